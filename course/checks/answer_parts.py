"""Exercise of notebook 15 on how likely an answer is; and what the checks of this notebook share."""

import math

import torch

from course.checks.compare import first_difference, shown
from course.checks.decoder_parts import agrees, shake
from course.checks.exercise import exercise
from course.checks.modern_parts import refuse
from helpers.model import GPT, GPTConfig


def told(check, got, right, mistakes, when: str | None = None) -> None:
    """As `refuse`, and the message says what was expected and what came, where the two first differ."""
    said = first_difference(got, right, 1e-5) or f"expected {shown(right)}, got {shown(got)}"
    refuse(check, got, right, [(slug, wrong, f"{problem}; {said}", hint) for slug, wrong, problem, hint in mistakes],
           when=when)  # fmt: skip


def one_number(check, got) -> None:
    """`got` is a tensor without an axis, from which gradients can start."""
    check.that(isinstance(got, torch.Tensor) and got.dim() == 0, slug="one-number",
               problem=f"the answer is {shown(got)}",
               hint="A tensor with a single number and no axis: gradients start from it.")  # fmt: skip


def has_slope(check, got, what: str) -> None:
    """`got` carries a gradient."""
    check.that(got.requires_grad, slug="gradients", problem=f"{what} carries no gradient: nothing would be learned",
               hint="Nothing is detached, and no number is made of a tensor on the way.")  # fmt: skip


# ---------------------------------------------------------------------- 15.5


@exercise("15.5", title="How likely is an answer?", minutes=12, difficulty=2)
def token_logprobs(answer, check):
    model = _small_model(3.0)
    ids = torch.tensor([[3, 7, 1, 7, 2, 10, 4], [5, 0, 8, 6, 9, 0, 0]])
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0]]).bool()
    got = answer(model, ids, mask)
    _no_known_mistake(check, got, model, ids, mask)
    hint = "The logits one position before a token, log_softmax of them, the token's own entry; 0 outside of answers."
    agrees(check, got, _by_prefixes(model, ids) * mask, "log p of the answers' tokens", slug="values", hint=hint)
    outside = got[~mask]
    check.that(not outside.any(), slug="elsewhere", problem=f"outside of answers stands {shown(outside)}",
               hint="0 wherever mask is False.")  # fmt: skip
    _slopes(check, answer, model, ids, mask)
    sharp = _small_model(300.0)
    right = _by_prefixes(sharp, ids) * mask
    got = answer(sharp, ids, mask)
    lowest = got.min().item() if isinstance(got, torch.Tensor) else got
    check.that(bool(torch.isfinite(torch.as_tensor(got)).all()), slug="underflow",
               problem=f"a model that is very sure gave {lowest:g} where {right.min():.1f} was expected",
               hint="A softmax that has become 0 has no logarithm: log_softmax never forms it.")  # fmt: skip
    agrees(check, got, right, "log p under a model that is very sure", slug="underflow", tolerance=1e-3,
           hint="Small numbers added to a probability, or a limit, change the logarithm. Use log_softmax.")  # fmt: skip
    for B, T in ((1, 2), (3, 5), (4, 8), (1, 8)):
        ids = torch.randint(11, (B, T))
        begins = torch.randint(1, T, (B, 1))
        ends = begins + 1 + (torch.rand(B, 1) * (T - begins)).long()
        places = torch.arange(T)[None]
        mask = (places >= begins) & (places < ends)
        agrees(check, answer(model, ids, mask), _by_prefixes(model, ids) * mask, f"log p, {B} rows of {T}",
               slug="other-shapes", hint=hint)  # fmt: skip


def _small_model(size: float) -> GPT:
    model = GPT(GPTConfig(11, 8, n_layer=1, n_head=2, d_model=8, dropout=0.0)).eval()
    shake(model, 0.3)
    with torch.no_grad():
        model.ln_f.weight.mul_(size)
        model.ln_f.bias.mul_(size)
    return model


def _by_prefixes(model, ids) -> torch.Tensor:
    """log p of every token but a row's first, each from a model that has read no more than what stands before it."""
    found = []
    for row in ids:
        found.append([torch.zeros((), dtype=torch.float64)])
        for t in range(1, len(row)):
            logits = model(row[None, :t])[0, -1].double()
            found[-1].append(logits[row[t]] - (logits - logits.max()).exp().sum().log() - logits.max())
    return torch.stack([torch.stack(row) for row in found])


@torch.no_grad()
def _no_known_mistake(check, got, model, ids, mask) -> None:
    L, logits = _by_prefixes(model, ids), model(ids).double()
    right, one_back = L * mask + 0.0, torch.nn.functional.pad  # no -0.0, which a message would show
    own = logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    raw = one_back(logits[:, :-1].gather(-1, ids[:, 1:, None])[..., 0], (1, 0))
    best = one_back(logits[:, :-1].log_softmax(-1).amax(-1), (1, 0))
    over_places = one_back(logits[:, :-1].log_softmax(1).gather(-1, ids[:, 1:, None])[..., 0], (1, 0))
    two_back = one_back(logits[:, :-2].log_softmax(-1).gather(-1, ids[:, 2:, None])[..., 0], (2, 0))
    twice = one_back(logits[:, :-1].softmax(-1).log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0], (1, 0))
    until = mask.flip(1).cummax(1).values.flip(1)
    hidden = model(ids * mask).double().log_softmax(-1)[:, :-1].gather(-1, (ids * mask)[:, 1:, None])[..., 0]
    hidden = one_back(hidden, (1, 0))
    every, lengths = logits[:, :-1].log_softmax(-1), mask.sum(1)
    early, late = mask.roll(-1, 1), mask.roll(1, 1)
    before = "A token was chosen from the logits one position before it: model(ids)[:, :-1] foretells ids[:, 1:]."
    keep = "One number for each token: sums and means are taken by whoever needs them."
    moves = "There is one value fewer than tokens. A 0 in front of each row puts them where their tokens are."
    told(check, got, right, [
        ("own-position", own * mask, "the logits at the token itself were taken", before),
        ("own-position", two_back * mask, "the logits two positions before were taken", before),
        ("not-normalized", raw * mask, "those are logits", "log p is a log_softmax over the vocabulary."),
        ("sign", -right, "that is minus log p, the cross-entropy", "A logarithm of a probability is not above 0."),
        ("probabilities", L.exp() * mask, "those are probabilities", "Their logarithms."),
        ("prompt-too", L, "prompts and padding are counted as well", "0 where mask is False."),
        ("mask-inverted", L * ~mask, "what is no answer is counted", "mask is True on answers."),
        ("one-early", L.roll(-1, 1) * mask, "the values stand one place early", moves),
        ("one-early", L.roll(-1, 1) * early, "the values stand one place early", moves),
        ("mask-early", L * early, "the mask is one token early", "A token and its mask have the same place."),
        ("mask-late", L * late, "the mask is one token late", "A token and its mask have the same place."),
        ("one-short", right[:, 1:], "the first column is missing", "(B, T), with a 0 in front of each row."),
        ("one-short", L[:, 1:] * mask[:, :-1], "a column is missing", "(B, T), with a 0 in front of each row."),
        ("softmax-twice", twice * mask, "the softmax was taken twice", "cross_entropy and log_softmax want logits."),
        ("prompt-too", L * until, "prompts are counted as well", "0 where mask is False."),
        ("prompt-hidden", hidden * mask, "the prompt was hidden from the model", "The model reads ids as they are."),
        ("one-mean", L[:, 1:].mean() * mask, "every token has one and the same mean", 'reduction="none".'),
        ("cumulated", right.cumsum(1) * mask, "the tokens before are added to each", keep),
        ("axis", over_places * mask, "the softmax is over positions", "Over the vocabulary, the last axis."),
        ("likeliest", best * mask, "that is the likeliest token's", "The token that stands there: its own entry."),
        ("base-two", right / math.log(2), "those are bits", "The natural logarithm."),
        ("summed", right.sum(1), "an answer's tokens were added up", keep),
        ("summed", right.sum(), "everything was added up", keep),
        ("mean", right.sum(1) / lengths, "that is the mean of each answer", keep),
        ("mean", right.sum() / lengths.sum(), "that is the mean of all tokens", keep),
        ("mean", right.mean(), "that is the mean of all positions", keep),
        ("mean", right / lengths[:, None], "each was divided by the answer's length", keep),
        ("flat", L[mask], "only the answers' tokens came back", "(B, T), 0 where there is no answer."),
        ("elsewhere", right.masked_fill(~mask, -math.inf), "outside of answers it is minus infinity", "0 there."),
        ("elsewhere", right.masked_fill(~mask, math.nan), "outside of answers it is NaN", "0 there."),
        ("whole-vocabulary", every, "there is a number for each entry of the vocabulary", "The token's own: gather."),
        ("whole-vocabulary", logits.log_softmax(-1), "there is a number for each entry", "The token's own: gather."),
    ])  # fmt: skip


def _slopes(check, answer, model, ids, mask) -> None:
    direction, parameters = torch.randn(ids.shape), list(model.parameters())
    got = answer(model, ids, mask)
    has_slope(check, got, "log p")
    ours = torch.autograd.grad((got * direction).sum(), parameters, allow_unused=True)
    right = torch.autograd.grad((_by_prefixes(model, ids) * mask * direction).sum(), parameters, allow_unused=True)
    for (name, _), slope, expected in zip(model.named_parameters(), ours, right, strict=True):
        if expected is not None:
            check.that(slope is not None, slug="gradients", problem=f"no gradient reaches {name}",
                       hint="Nothing is detached on the way.")  # fmt: skip
            agrees(check, slope, expected, f"the gradient of {name}", slug="gradients", tolerance=1e-3,
                   hint="The gradient of every token's log p goes through all that stands before it.")  # fmt: skip
