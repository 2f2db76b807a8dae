"""The loops of `course.alignment` on a model of a few hundred weights, with rewards that can be counted."""

import copy
from dataclasses import replace

import pytest
import torch

from course.alignment.answers import Task, average, judged, sample_answers, side_by_side
from course.alignment.grpo import GRPOSettings, grpo
from course.alignment.pairs import Pair, PairSettings, calibration, dpo, make_pairs, margins, reward_model, rows_of
from helpers.alignment import RewardModel, add_lora, sequence_logprobs, token_logprobs
from helpers.errors import CourseError
from helpers.evaluation import evaluating
from helpers.model import GPT, GPTConfig

STOP, WANTED = 0, 3
LETTERS = ".abcdefg"


def model(seed=0, **options) -> GPT:
    """At first nearly every token is as likely as any other."""
    torch.manual_seed(seed)
    return GPT(GPTConfig(len(LETTERS), 12, 1, 2, 16, embedding_std=0.5, tied_head=False, **options))


def task(reward=lambda order, text: text.count(LETTERS[WANTED]), **watch) -> Task:
    return Task(
        prompt=lambda order: [STOP, *(LETTERS.index(letter) for letter in order)],
        decode=lambda ids: "".join(LETTERS[number] for number in ids),
        stop=STOP,
        reward=reward,
        watch=watch,
    )


ORDERS = ["a", "ab", "g", "def", "ba", "c"]
QUICK = GRPOSettings(steps=12, orders=4, group=8, lr=0.03, warmup=0)


# ---------------------------------------------------------------------- answers


def test_an_answer_ends_with_its_end_or_is_cut_off():
    answers = sample_answers(model(), task(), ORDERS * 4, seed=1, max_new_tokens=5)
    assert answers.ended.any() and not answers.ended.all()
    for order, ids, mask, text, ended in zip(ORDERS * 4, *answers, strict=True):
        own = ids[mask].tolist()
        assert ids[: 1 + len(order)].tolist() == list(task().prompt(order))
        assert mask.nonzero().flatten().tolist() == list(range(1 + len(order), 1 + len(order) + len(own)))
        assert task().decode(own) == text + LETTERS[STOP] * bool(ended)
        assert len(own) == 5 or ended


def test_answers_are_sampled_from_what_their_logprobs_say():
    """How often each first token comes is its probability, as `token_logprobs` has it."""
    policy, count = model(), 1500
    answers = sample_answers(policy, task(), ["ab"] * count, seed=0, max_new_tokens=1)
    for token in range(len(LETTERS)):
        ids, mask = side_by_side([[STOP, 1, 2]], [[token]])
        p = sequence_logprobs(policy, ids, mask).exp().item()
        came = (answers.ids[:, 3] == token).sum().item()
        assert abs(came - count * p) < 5 * (count * p * (1 - p)) ** 0.5


def test_a_prompt_that_fills_the_context_is_refused():
    with pytest.raises(CourseError, match="context"):
        sample_answers(model(), task(), ["a" * 11])


def test_a_judge_that_gives_no_number_is_told():
    with pytest.raises(CourseError, match="number for every answer"):
        judged(lambda order, text: float("nan"), ["a"], ["b"])


# ---------------------------------------------------------------------- GRPO


@pytest.mark.parametrize("change", [{}, {"divide": False, "per": "token"}, {"per": 11.0, "kind": "muon"}])
def test_grpo_makes_more_of_what_is_rewarded(change):
    policy = model()
    before = average(policy, task(), ORDERS * 10)["reward"]
    records = list(grpo(policy, task(), ORDERS, replace(QUICK, **change)))
    after = average(policy, task(), ORDERS * 10)["reward"]
    assert after > before + 2
    assert [record["step"] for record in records] == list(range(QUICK.steps))
    assert records[0]["kl"] == pytest.approx(0, abs=1e-6) and records[-1]["kl"] > 0.05
    assert records[-1]["reward"] > records[0]["reward"] + 2
    assert all(0 <= record[name] <= 1 for record in records for name in ("ended", "spread", "clipped"))


def test_the_divergence_holds_it_back():
    far = {}
    for beta in (0.0, 2.0):
        policy = model()
        far[beta] = [record["kl"] for record in grpo(policy, task(), ORDERS, replace(QUICK, beta=beta))][-1]
    assert far[2.0] < far[0.0] / 3


def test_what_is_watched_is_recorded_and_not_learned_from():
    watched = task(length=lambda order, text: len(text))
    one, other = model(), model()
    seen = list(grpo(one, watched, ORDERS, replace(QUICK, steps=3)))
    unseen = list(grpo(other, task(), ORDERS, replace(QUICK, steps=3)))
    for more, fewer in zip(seen, unseen, strict=True):
        assert more == fewer | {"length": more["length"]}
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_reward_that_is_always_the_same_changes_nothing_without_divergence():
    policy = model()
    before = copy.deepcopy(policy.state_dict())
    records = list(grpo(policy, task(lambda order, text: 1.0), ORDERS, replace(QUICK, steps=2, beta=0.0)))
    assert [record["spread"] for record in records] == [0.0, 0.0]
    assert all(torch.equal(value, before[name]) for name, value in policy.state_dict().items())


def test_who_stops_asking_has_stopped_early():
    policy = model()
    for record in grpo(policy, task(), ORDERS, QUICK):
        if record["step"] == 1:
            break
    whole = model()
    assert len(list(grpo(whole, task(), ORDERS, replace(QUICK, steps=2, seed=QUICK.seed)))) == 2
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), whole.parameters(), strict=True))


def test_adapters_alone_learn_if_they_are_there():
    policy = model()
    torch.nn.init.normal_(policy.head.weight, std=0.5)  # it stays as it is, so it must have something to say
    add_lora(policy, rank=4, layers=("attn.qkv", "mlp.fc", "mlp.proj"))
    before = copy.deepcopy(policy.state_dict())
    records = list(grpo(policy, task(), ORDERS, QUICK))
    assert records[-1]["reward"] > records[0]["reward"] + 0.5
    for name, value in policy.state_dict().items():
        assert torch.equal(value, before[name]) != name.endswith((".A", ".B"))


def test_a_model_with_dropout_is_compared_with_itself():
    policy = model(dropout=0.5).train()
    (record,) = grpo(policy, task(), ORDERS, replace(QUICK, steps=1, updates=1))
    assert record["kl"] == pytest.approx(0, abs=1e-6) and record["clipped"] == 0
    assert policy.training


def test_the_entropy_and_the_divergence_are_those_of_the_answers():
    policy, reference = model(), model(seed=1)
    (record,) = grpo(policy, task(), ["a"], GRPOSettings(steps=1, orders=1, group=4), reference)
    answers = sample_answers(model(), task(), ["a"] * 4, seed=0)
    with torch.no_grad():
        logits, entropies = model()(answers.ids), []
        for row, place in answers.mask.nonzero().tolist():
            p = logits[row, place - 1].softmax(0)
            entropies.append(-(p * p.log()).sum().item())
        log_ratio = (token_logprobs(reference, *answers[:2]) - token_logprobs(model(), *answers[:2]))[answers.mask]
    assert record["entropy"] == pytest.approx(sum(entropies) / len(entropies), abs=1e-5)
    assert record["kl"] == pytest.approx((log_ratio.exp() - 1 - log_ratio).mean().item(), abs=1e-5)
    assert record["kl_answer"] == pytest.approx(record["kl"] * answers.mask.sum().item() / 4, abs=1e-4)


@pytest.mark.parametrize("wrong", [{"group": 1}, {"steps": 0}, {"updates": 0}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(CourseError):
        GRPOSettings(**wrong)
    with pytest.raises(CourseError, match="orders"):
        next(grpo(model(), task(), [], QUICK))


# ---------------------------------------------------------------------- pairs


def test_pairs_are_the_best_and_the_worst_of_a_group():
    pairs = make_pairs(model(), task(), ORDERS * 5, group=4, seed=0)
    assert 20 <= len(pairs) <= 30
    for pair in pairs:
        assert pair.better.count(WANTED) > pair.worse.count(WANTED)
        assert pair.prompt[1:] and pair.prompt[0] == STOP
    assert make_pairs(model(), task(lambda order, text: 1.0), ORDERS) == []
    (ids, mask) = rows_of(pairs[:2])
    assert [ids[row][mask[row]].tolist() for row in (0, 3)] == [pairs[0].better, pairs[1].worse]


def test_dpo_makes_the_better_answers_likelier_than_the_worse():
    policy = model()
    pairs = make_pairs(policy, task(), ORDERS * 25, group=4)
    before = average(policy, task(), ORDERS * 10)["reward"]
    records = list(dpo(policy, pairs, PairSettings(epochs=4, lr=0.01)))
    assert records[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # log 2: the policy is the reference
    assert records[0]["margin"] == pytest.approx(0, abs=1e-5)
    last = records[-len(records) // 4 :]  # the last time that each pair was read
    assert sum(record["right"] for record in last) / len(last) > 0.8 and records[-1]["margin"] > 1
    assert records[-1]["better"] - records[-1]["worse"] == pytest.approx(records[-1]["margin"], abs=1e-4)
    assert average(policy, task(), ORDERS * 10)["reward"] > before + 0.5


def test_a_reward_model_knows_pairs_that_it_has_not_seen_and_how_sure_it_is():
    policy = model()
    pairs = make_pairs(policy, task(), ORDERS * 40, group=4)
    cut = len(pairs) * 3 // 4
    judge = RewardModel(policy)
    records = list(reward_model(judge, pairs[:cut], PairSettings(epochs=4, lr=0.01)))
    assert records[0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    apart = margins(judge, pairs[cut:])
    assert (apart > 0).float().mean() > 0.85
    table = calibration(apart)
    assert sum(count for _, _, count in table) == len(pairs) - cut
    assert all(0.5 <= probability <= 1 and 0 <= right <= 1 for probability, right, _ in table)


def test_calibration_counts():
    probabilities = torch.tensor([0.55, 0.55, 0.95, 0.95])
    apart = torch.logit(probabilities) * torch.tensor([1, -1, 1, 1])
    low, high = calibration(apart)
    assert low == (pytest.approx(0.55), 0.5, 2) and high == (pytest.approx(0.95), 1.0, 2)


def test_pairs_are_needed_and_a_reward_model_refuses_muon():
    policy = model()
    with pytest.raises(CourseError, match="no pairs"):
        dpo(policy, [])
    with pytest.raises(CourseError, match="no pairs"):
        next(reward_model(RewardModel(policy), []))
    with pytest.raises(CourseError, match="AdamW"):
        next(reward_model(RewardModel(policy), [Pair([0, 1], [3], [2])], PairSettings(kind="muon")))


def test_a_model_is_in_its_mode_again_afterwards():
    policy = model().train()
    list(dpo(policy, [Pair([0, 1], [3, 0], [2])]))
    assert policy.training
    with evaluating(policy):
        assert not policy.training
