"""The checks of notebook 15: what is right is called right, every time, however it is written; and nothing crashes.

The wrong answers are in tests/wrong_answers/nb15.py, and tests/test_exercises.py holds each to the check that must
catch it.
"""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course.checks import nb15
from course.checks.exercise import NOT_ATTEMPTED, RIGHT, WRONG
from course.instructions.judge import Verdict, judge
from course.instructions.reading import read
from helpers import alignment, instructions
from helpers.alignment import KLEstimates, answers_mean, implicit_rewards, pair_loss
from helpers.instructions import END_OF_ANSWER, SPEAKER, Rendered, token_id
from helpers.model import IGNORED
from tests.wrong_answers import PLANTED
from tests.wrong_answers import nb15 as planted

# ---------------------------------------------------------------------- 15.1


def judge_by_reading(demands, story):
    reading = read(story)
    return Verdict({fact: reading.facts.get(fact) == value for fact, value in demands.items()}, reading)


def judge_in_a_loop(demands, story):
    reading, kept = read(story), {}
    for fact in demands:
        if fact not in reading.facts:
            kept[fact] = False
        else:
            kept[fact] = bool(reading.facts[fact] == demands[fact])
    return Verdict(reading=reading, kept=kept)


def judge_by_sets(demands, story):
    reading = read(story)
    both = demands.items() & reading.facts.items()
    return Verdict({fact: fact in dict(both) for fact in demands}, reading)


def judge_by_items(demands, story):
    reading = read(text=story)
    return Verdict(dict(zip(demands, ((fact, demands[fact]) in reading.facts.items() for fact in demands))), reading)  # noqa: B905


def judge_that_tries(demands, story):
    reading, kept = read(story), dict.fromkeys(demands, False)
    for fact, value in demands.items():
        try:
            kept[fact] = reading.facts[fact] == value
        except KeyError:
            pass
    return Verdict(kept, reading)


def judge_that_reads_again(demands, story):
    """Slower than it needs to be, and right."""
    return Verdict({fact: read(story).facts.get(fact, "") == value for fact, value in demands.items()}, read(story))


def judge_of_parts(demands, story):
    """No value of a fact is a part of another one of the same fact."""
    reading = read(story)
    return Verdict({fact: value in reading.facts.get(fact, "") for fact, value in demands.items()}, reading)


# ---------------------------------------------------------------------- 15.2


def render_piece_by_piece(tokenizer, messages):
    ids, mask = [], []

    def add(numbers, learned):
        ids.extend(numbers)
        mask.extend(learned for _ in numbers)

    add([tokenizer.eos_token_id], False)
    for message in messages:
        add([token_id(tokenizer, SPEAKER[message["role"]])], False)
        add(tokenizer.encode(message["content"]), message["role"] == "assistant")
        if message["role"] == "assistant":
            add([token_id(tokenizer, END_OF_ANSWER)], True)
    if messages[-1]["role"] != "assistant":
        add([token_id(tokenizer, SPEAKER["assistant"])], False)
    return Rendered(ids, mask)


def render_as_pairs(tokenizer, messages):
    pairs = [(tokenizer.eos_token_id, False)]
    for message in messages:
        role, said = message["role"], tokenizer.encode(message["content"])
        pairs.append((tokenizer.token_to_id(SPEAKER[role]), False))
        if role == "user":
            pairs += [(number, False) for number in said]
        else:
            pairs += [(number, True) for number in [*said, tokenizer.token_to_id(END_OF_ANSWER)]]
    if messages[-1]["role"] == "user":
        pairs.append((tokenizer.token_to_id(SPEAKER["assistant"]), False))
    ids, mask = map(list, zip(*pairs, strict=True))
    return Rendered(ids=ids, mask=mask)


def render_by_segments(tokenizer, messages):
    speaker = {role: [token_id(tokenizer, token)] for role, token in SPEAKER.items()}
    segments = [([tokenizer.eos_token_id], False)]
    for message in messages:
        answer = message["role"] == "assistant"
        end = [token_id(tokenizer, END_OF_ANSWER)] * answer
        segments += [(speaker[message["role"]], False), (tokenizer.encode(message["content"]) + end, answer)]
    if not answer:
        segments.append((speaker["assistant"], False))
    ids = list(itertools.chain.from_iterable(numbers for numbers, _ in segments))
    return Rendered(ids, [learned for numbers, learned in segments for _ in numbers])


def render_by_special_encoding(tokenizer, messages):
    """The template's tokens as texts that may be special, which the tokenizer knows how to read."""
    ids = tokenizer.encode("<|endoftext|>", allowed_special=True)
    learned = set()
    for message in messages:
        ids = ids + tokenizer.encode(SPEAKER[message["role"]], allowed_special=True)
        first = len(ids)
        ids = ids + tokenizer.encode(message["content"])
        if message["role"] == "assistant":
            ids = ids + tokenizer.encode(END_OF_ANSWER, allowed_special=True)
            learned.update(range(first, len(ids)))
    if messages[-1]["role"] == "user":
        ids = ids + tokenizer.encode(SPEAKER["assistant"], allowed_special=True)
    return Rendered(ids, [place in learned for place in range(len(ids))])


# ---------------------------------------------------------------------- 15.3


def as_batch_padded(rows, masked=True):
    def padded(lists, fill):
        return nn.utils.rnn.pad_sequence([torch.tensor(each) for each in lists], batch_first=True, padding_value=fill)

    ids = padded([row.ids[:-1] for row in rows], 0)
    targets = [
        [number if learned or not masked else IGNORED for number, learned in zip(row.ids, row.mask, strict=True)][1:]
        for row in rows
    ]
    return ids, padded(targets, IGNORED)


def as_batch_in_lists(rows, masked=True):
    T = max(map(len, (row.ids for row in rows))) - 1
    ids, targets = [], []
    for row in rows:
        gap = T - len(row.ids) + 1
        ids.append(row.ids[:-1] + gap * [0])
        follows = [n if (m or not masked) else IGNORED for n, m in zip(row.ids[1:], row.mask[1:], strict=True)]
        targets.append(follows + gap * [IGNORED])
    return torch.tensor(ids), torch.tensor(targets)


def as_batch_in_one(rows, masked=True):
    """All of it as one tensor, and then cut in two."""
    T = max(len(row.ids) for row in rows)
    whole, learned = torch.zeros((len(rows), T), dtype=torch.int64), torch.zeros((len(rows), T), dtype=torch.bool)
    there = torch.arange(T) < torch.tensor([[len(row.ids)] for row in rows])
    whole[there] = torch.tensor([number for row in rows for number in row.ids])
    learned[there] = torch.tensor([each for row in rows for each in row.mask])
    targets = torch.where(learned if masked else there, whole, IGNORED)
    # The last token of a row is only predicted, whatever the length of the row.
    last = torch.tensor([[len(row.ids) - 1] for row in rows])
    return torch.where(torch.arange(T) < last, whole, 0)[:, :-1], targets[:, 1:]


def as_batch_in_numpy(rows, masked=True):
    T = max(len(row.ids) for row in rows) - 1
    ids, targets = np.zeros((len(rows), T), np.int64), np.full((len(rows), T), IGNORED)
    for number, row in enumerate(rows):
        n = len(row.ids) - 1
        ids[number, :n] = row.ids[:-1]
        targets[number, :n] = np.where(np.array(row.mask[1:]) | (not masked), row.ids[1:], IGNORED)
    return torch.from_numpy(ids), torch.from_numpy(targets)


# ---------------------------------------------------------------------- 15.4


class WithCases(planted.Given):
    @torch.no_grad()
    def merge(self, merged=True):
        if merged and not self.merged:
            self.weight.add_(self.scale * (self.B @ self.A))
        elif self.merged and not merged:
            self.weight.sub_(self.scale * (self.B @ self.A))
        self.merged = merged


class WithData(planted.Given):
    """No decorator: the weight's data are no part of any graph."""

    def merge(self, merged=True):
        if merged == self.merged:
            return
        product = self.scale * torch.einsum("or,ri->oi", self.B.data, self.A.data)
        self.weight.data += product if merged else -product
        self.merged = bool(merged)


class WithContext(planted.Given):
    def merge(self, merged=True):
        change = int(merged) - int(self.merged)
        with torch.no_grad():
            self.weight.copy_(torch.addmm(self.weight, self.B, self.A, alpha=change * self.scale))
        self.merged = merged


class WithDetached(planted.Given):
    def merge(self, merged=True):
        sign = {(False, True): 1.0, (True, False): -1.0}.get((self.merged, merged), 0.0)
        self.weight += (sign * self.scale * self.B @ self.A).detach()
        self.merged = merged


class WithInference(planted.Given):
    """The product by the layer's own means: what it makes of the unit vectors."""

    @torch.no_grad()
    def merge(self, merged: bool = True) -> None:
        if merged is not self.merged:
            unit = torch.eye(self.in_features, dtype=self.weight.dtype)
            product = F.linear(F.linear(unit, self.A), self.B).T
            self.weight.add_(product, alpha=self.scale if merged else -self.scale)
        self.merged = merged


class WithCopy(planted.Given):
    """What was there before is kept, and put back to the letter."""

    @torch.no_grad()
    def merge(self, merged=True):
        if merged and not self.merged:
            self.before = self.weight.clone()
            self.weight += self.scale * self.B @ self.A
        elif self.merged and not merged:
            self.weight.copy_(self.before)
        self.merged = merged


# ---------------------------------------------------------------------- 15.5


def token_logprobs_by_cross_entropy(model, ids, mask):
    logits = model(ids[:, :-1])
    return F.pad(-F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none"), (1, 0)) * mask


def token_logprobs_gathered(model, ids, mask):
    chosen = model(ids).log_softmax(dim=-1)[:, :-1].gather(2, ids[:, 1:].unsqueeze(2)).squeeze(2)
    return torch.cat((torch.zeros_like(chosen[:, :1]), chosen), dim=1).masked_fill(~mask, 0.0)


def token_logprobs_rolled(model, ids, mask):
    """What comes round from the end stands at the first token, where no mask is True."""
    scores = model(ids).log_softmax(-1).roll(1, dims=1).gather(-1, ids[..., None])[..., 0]
    return torch.where(mask, scores, torch.zeros(()))


def token_logprobs_flat(model, ids, mask):
    logits = model(ids[:, :-1])
    losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(ids), -1)
    return F.pad(-losses * mask[:, 1:], (1, 0))


def token_logprobs_ignoring(model, ids, mask):
    targets = ids.masked_fill(~mask, IGNORED)[:, 1:]
    losses = F.cross_entropy(model(ids[:, :-1]).movedim(-1, 1), targets, ignore_index=IGNORED, reduction="none")
    return -F.pad(losses, (1, 0))


def token_logprobs_by_hand(model, ids, mask):
    logits = model(ids)[:, :-1]
    scores = torch.take_along_dim(logits, ids[:, 1:, None], -1)[..., 0] - logits.logsumexp(-1)
    out = scores.new_zeros(ids.shape)
    out[:, 1:] = scores
    return out * mask.to(scores.dtype)


# ---------------------------------------------------------------------- 15.6


def pair_loss_softplus(better, worse):
    return F.softplus(worse - better).mean()


def pair_loss_by_logits(better, worse):
    return F.binary_cross_entropy_with_logits(better - worse, torch.ones_like(better))


def pair_loss_as_a_choice_of_two(better, worse):
    return F.cross_entropy(torch.stack((better, worse), -1), torch.zeros(len(better), dtype=torch.long))


def pair_loss_by_logaddexp(better, worse):
    return torch.logaddexp(torch.zeros_like(better), worse - better).sum() / better.numel()


def pair_loss_by_logsumexp(better, worse):
    return (torch.stack((better, worse)).logsumexp(0) - better).mean()


# ---------------------------------------------------------------------- 15.7


def dpo_loss_in_one_line(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return F.softplus(-beta * (policy_better - reference_better - policy_worse + reference_worse)).mean()


def dpo_loss_by_models(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    """Rearranged, as in most libraries: what the policy says of the pair, less what the reference says."""
    policy, reference = policy_better - policy_worse, reference_better - reference_worse
    return -F.logsigmoid(beta * (policy - reference)).mean()


def dpo_loss_by_rewards(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    rewards = implicit_rewards(torch.stack((policy_better, policy_worse)),
                               torch.stack((reference_better, reference_worse)), beta)  # fmt: skip
    return pair_loss(*rewards)


def dpo_loss_as_a_choice(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    moved = [policy_better - reference_better, policy_worse - reference_worse]
    return -(beta * torch.stack(moved, dim=1)).log_softmax(dim=1)[:, 0].mean()


def dpo_loss_by_turns(policy_better, reference_better, policy_worse, reference_worse, beta=0.1):
    """Its arguments have other names; it makes no difference which of the two in the middle is which."""
    return alignment.dpo_loss(policy_better, policy_worse, reference_better, reference_worse, beta)


# ---------------------------------------------------------------------- 15.8


def leave_one_out_from_the_mean(rewards):
    n = rewards.shape[-1]
    return (n * rewards.mean(-1, keepdim=True) - rewards) / (n - 1)


def leave_one_out_by_matrix(rewards):
    n = rewards.size(1)
    others = 1 - torch.eye(n, dtype=rewards.dtype)
    return rewards @ (others / (n - 1))


def leave_one_out_in_loops(rewards):
    rows = []
    for row in rewards.tolist():
        rows.append([sum(row[:i] + row[i + 1 :]) / (len(row) - 1) for i in range(len(row))])
    return torch.tensor(rows, dtype=rewards.dtype)


def leave_one_out_by_leaving_out(rewards):
    columns = [torch.cat((rewards[:, :i], rewards[:, i + 1 :]), dim=1).mean(1) for i in range(rewards.shape[1])]
    return torch.stack(columns, dim=1)


def leave_one_out_masked(rewards):
    groups, size = rewards.shape
    others = rewards[:, None].expand(groups, size, size)[:, ~torch.eye(size, dtype=torch.bool)]
    return others.view(groups, size, size - 1).mean(-1)


# ---------------------------------------------------------------------- 15.9


def advantages_by_hand(rewards, divide=True):
    n = rewards.shape[1]
    mean = rewards.sum(1, keepdim=True) / n
    better = rewards - mean
    if not divide:
        return better
    return better / ((better.pow(2).sum(1, keepdim=True) / (n - 1)) ** 0.5 + 1e-4)


def advantages_by_var_mean(rewards, divide=True):
    var, mean = torch.var_mean(rewards, dim=-1, keepdim=True)
    return (rewards - mean) / (var.sqrt() + 1e-4 if divide else 1.0)


def advantages_row_by_row(rewards, divide=True):
    rows = []
    for row in rewards:
        better = row - row.mean()
        rows.append(better / (row.std() + 1e-4) if divide else better)
    return torch.stack(rows)


def advantages_transposed(rewards, divide=True):
    columns = rewards.T
    better = columns - columns.mean(0)
    if divide:
        better = better / (columns.std(0, unbiased=True) + 1e-4)
    return better.T


def advantages_that_ask_first(rewards, divide=True):
    better = rewards - rewards.mean(dim=-1, keepdim=True)
    if divide:
        scale = rewards.std(dim=-1, keepdim=True)
        better = torch.where(scale > 0, better / (scale + 1e-4), torch.zeros_like(better))
    return better


# ---------------------------------------------------------------------- 15.10


def clipped_by_cases(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = torch.exp(logprobs - old), advantages.unsqueeze(1)
    held = torch.where(worth >= 0, ratio.clamp(max=1 + clip), ratio.clamp(min=1 - clip))
    return answers_mean(held * worth, mask, per)


def clipped_as_a_loss(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    """The larger of two losses, as in most libraries; and its sign turned again."""
    ratio = torch.exp(logprobs - old)
    losses = -advantages.view(-1, 1) * ratio, -advantages.view(-1, 1) * torch.clamp(ratio, 1 - clip, 1 + clip)
    return -answers_mean(torch.max(*losses), mask, per)


def clipped_row_by_row(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    rows = []
    for now, then, worth in zip(logprobs, old, advantages, strict=True):
        ratio = (now - then).exp()
        rows.append(torch.stack((ratio * worth, ratio.clip(1 - clip, 1 + clip) * worth)).amin(0))
    return answers_mean(torch.stack(rows), mask, per)


def clipped_by_einsum(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio = logprobs.sub(old).exp()
    plain, held = (torch.einsum("bt,b->bt", each, advantages) for each in (ratio, ratio.clamp(1 - clip, 1 + clip)))
    return answers_mean(torch.where(plain < held, plain, held), mask, per)


def clipped_of_the_masked_alone(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    change = torch.where(mask, logprobs - old, 0.0)
    ratio, worth = change.exp(), advantages[:, None].expand_as(change)
    return answers_mean(torch.min(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth), mask, per=per)


# ---------------------------------------------------------------------- 15.11


def kl_in_three_lines(logprobs, reference):
    k1 = logprobs - reference
    k2 = 0.5 * k1.square()
    return KLEstimates(k1, k2, torch.expm1(-k1) + k1)


def kl_by_names(logprobs, reference):
    ratio = torch.exp(reference - logprobs)
    log_ratio = reference - logprobs
    return KLEstimates(k3=ratio - log_ratio - 1, k2=log_ratio * log_ratio / 2, k1=-log_ratio)


def kl_of_probabilities(logprobs, reference):
    ratio = reference.exp() / logprobs.exp()
    return KLEstimates(-ratio.log(), ratio.log() ** 2 / 2, ratio - 1 - ratio.log())


def kl_from_k1(logprobs, reference):
    k1 = torch.sub(logprobs, reference)
    return KLEstimates(k1, k1**2 / 2, k1 + (-k1).exp() - 1)


RIGHT_ANSWERS = {
    "judge": [
        judge, judge_by_reading, judge_in_a_loop, judge_by_sets, judge_by_items, judge_that_tries,
        judge_that_reads_again, judge_of_parts,
    ],
    "render": [
        instructions.render, render_piece_by_piece, render_as_pairs, render_by_segments, render_by_special_encoding,
    ],
    "as_batch": [instructions.as_batch, as_batch_padded, as_batch_in_lists, as_batch_in_one, as_batch_in_numpy],
    "LoRALinear": [alignment.LoRALinear, WithCases, WithData, WithContext, WithDetached, WithInference, WithCopy],
    "token_logprobs": [
        alignment.token_logprobs, token_logprobs_by_cross_entropy, token_logprobs_gathered, token_logprobs_rolled,
        token_logprobs_flat, token_logprobs_ignoring, token_logprobs_by_hand,
    ],
    "pair_loss": [
        alignment.pair_loss, pair_loss_softplus, pair_loss_by_logits, pair_loss_as_a_choice_of_two,
        pair_loss_by_logaddexp, pair_loss_by_logsumexp,
    ],
    "dpo_loss": [
        alignment.dpo_loss, dpo_loss_in_one_line, dpo_loss_by_models, dpo_loss_by_rewards, dpo_loss_as_a_choice,
        dpo_loss_by_turns,
    ],
    "leave_one_out": [
        alignment.leave_one_out, leave_one_out_from_the_mean, leave_one_out_by_matrix, leave_one_out_in_loops,
        leave_one_out_by_leaving_out, leave_one_out_masked,
    ],
    "advantages": [
        alignment.advantages, advantages_by_hand, advantages_by_var_mean, advantages_row_by_row, advantages_transposed,
        advantages_that_ask_first,
    ],
    "clipped_objective": [
        alignment.clipped_objective, clipped_by_cases, clipped_as_a_loss, clipped_row_by_row, clipped_by_einsum,
        clipped_of_the_masked_alone,
    ],
    "kl_estimates": [
        alignment.kl_estimates, kl_in_three_lines, kl_by_names, kl_of_probabilities, kl_from_k1,
    ],
}  # fmt: skip
PAIRS = [(part, answer) for part, answers in RIGHT_ANSWERS.items() for answer in answers]


@pytest.mark.parametrize(("part", "answer"), PAIRS, ids=[f"{part}-{answer.__name__}" for part, answer in PAIRS])
def test_what_is_right_is_called_right_every_time(part, answer):
    first = getattr(nb15, part)(answer)
    assert first.state == RIGHT, first
    assert getattr(nb15, part)(answer) == first


def test_every_exercise_is_tried():
    assert list(RIGHT_ANSWERS) == nb15.__all__
    assert [getattr(nb15, part).number for part in nb15.__all__] == [f"15.{n}" for n in range(1, 12)]


def test_there_are_a_dozen_wrong_answers_to_each():
    counts = Counter(number for number, _, _ in PLANTED)
    assert all(counts[f"15.{n}"] >= 12 for n in range(1, 12)), counts


@pytest.mark.parametrize("part", nb15.__all__)
def test_what_is_right_is_right_wherever_the_notebook_stands(part):
    """After other seeds, in float64, and with several threads."""
    torch.manual_seed(123)
    torch.set_default_dtype(torch.float64)
    try:
        in_double = getattr(nb15, part)(RIGHT_ANSWERS[part][0])
    finally:
        torch.set_default_dtype(torch.float32)
    assert in_double.state in (RIGHT, WRONG)  # a default of float64 is nobody's: it must not crash, no more
    assert getattr(nb15, part)(RIGHT_ANSWERS[part][0]).state == RIGHT


def raises(*args, **more):
    raise ValueError("no")


def nothing(*args, **more):
    len(args)


ODD = {
    "None": nothing,
    "a text": lambda *args, **more: "about three",
    "nan": lambda *args, **more: math.nan,
    "a list": lambda *args, **more: [],
    "a dictionary": lambda *args, **more: {"a": 1},
    "a pair": lambda *args, **more: (torch.zeros(2), "x"),
    "a ragged pair": lambda *args, **more: ([1.0, 2.0], [1.0]),
    "a whole number": lambda *args, **more: 10**30,
    "a complex number": lambda *args, **more: 1j,
    "an empty tensor": lambda *args, **more: torch.zeros(0),
    "a tensor of six axes": lambda *args, **more: torch.zeros(1, 1, 1, 1, 1, 1),
    "an array": lambda *args, **more: np.zeros((2, 3)),
    "an array of texts": lambda *args, **more: np.array(["a", "b"]),
    "infinite": lambda *args, **more: torch.tensor(math.inf),
    "what it was given": lambda first, *args, **more: first,
    "sparse": lambda *args, **more: torch.eye(3).to_sparse(),
    "an empty verdict": lambda *args, **more: Verdict({}, None),
    "a verdict of texts": lambda *args, **more: Verdict("kept", "read"),
    "a conversation of texts": lambda *args, **more: Rendered("ids", "mask"),
    "a conversation of nothing": lambda *args, **more: Rendered([], []),
    "a conversation of unknown ids": lambda *args, **more: Rendered([-1, 10**9, None, "x"], [True] * 4),
    "three texts": lambda *args, **more: KLEstimates("k1", "k2", "k3"),
    "three numbers": lambda *args, **more: KLEstimates(1.0, 2.0, 3.0),
    "three of nothing": lambda *args, **more: KLEstimates(None, None, None),
    "an error": raises,
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("part", nb15.__all__)
@pytest.mark.filterwarnings("ignore")
def test_what_is_odd_is_wrong_and_nothing_crashes(part, odd):
    answer = ODD[odd]
    if part == "LoRALinear":

        class answer(alignment.LoRALinear):  # noqa: N801
            def forward(self, x):
                return ODD[odd](x)

    result = getattr(nb15, part)(answer)
    assert result.state == WRONG, result
    assert result.problem and result.hint


@pytest.mark.parametrize("odd", [odd for odd in ODD if odd != "None"])
@pytest.mark.filterwarnings("ignore")
def test_a_merge_that_does_odd_things_is_wrong(odd):
    class Odd(planted.Given):
        def merge(self, merged=True):
            return ODD[odd](merged)

    result = nb15.LoRALinear(Odd)
    assert result.state == WRONG, result
    assert result.problem and result.hint


@pytest.mark.parametrize("answer", [nn.Linear, object, dict, nn.Identity], ids=lambda each: each.__name__)
def test_other_classes_have_no_adapter(answer):
    assert nb15.LoRALinear(answer).state in (WRONG, NOT_ATTEMPTED)


def test_the_stub_of_the_class_is_not_attempted():
    class Stub(planted.Given):
        @torch.no_grad()
        def merge(self, merged=True):
            raise NotImplementedError

    assert nb15.LoRALinear(Stub).state == NOT_ATTEMPTED


def test_no_special_token_can_be_typed():
    """What the wrong answer of this name is refused for: that a user can speak as the assistant."""
    result = nb15.render(planted.takes_what_is_typed_for_a_special_token)
    assert (result.state, result.slug) == (WRONG, "forged")
    assert SPEAKER["assistant"] in result.problem and "plain characters" in result.hint
