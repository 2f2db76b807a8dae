"""The repair of the patient whose loss divides by nothing (notebook 10)."""

import torch
import torch.nn.functional as F
from torch import nn

from course.checks.compare import shown
from course.checks.exercise import exercise
from course.checks.optimizing import near
from course.clinic import unasked

__all__ = ["abe_loss"]

IGNORED = -100


class Table(nn.Module):
    """A model whose logits at a position depend on the token there alone, so that rows can be left out."""

    def __init__(self, vocab_size: int):
        super().__init__()
        self.logits = nn.Embedding(vocab_size, vocab_size)

    def forward(self, ids):
        return self.logits(ids)


def row_losses(model: Table, inputs, targets) -> list[torch.Tensor]:
    """The mean loss of each row of which anything is asked, each computed by itself."""
    some = (targets != IGNORED).any(dim=1)
    return [F.cross_entropy(model(ids), asked) for ids, asked in zip(inputs[some], targets[some], strict=True)]


@exercise("10.31", title="Repair Abe", minutes=6, difficulty=2, seconds=5, begins_as=unasked.abe_loss)
def abe_loss(answer, check):
    B, T, V = 5, 8, 7
    model = Table(V)
    inputs, full = torch.randint(V, (B, T)), torch.randint(V, (B, T))
    for i, (given, behind) in enumerate(((0, 8), (2, 5), (6, 7), (1, 7), (4, 6))):  # 8, 3, 1, 6 and 2 targets
        full[i, :given], full[i, behind:] = IGNORED, IGNORED

    def ask(targets, when: str) -> float:
        got = answer(model, inputs, targets)
        check.shape(got, (), slug="scalar", when=when, hint="One number: a mean over rows.")
        return got

    got = float(ask(full, "something is asked in each row").detach())
    means, counts = [each.item() for each in row_losses(model, inputs, full)], (full != IGNORED).sum(dim=1).tolist()
    by_tokens = sum(mean * count for mean, count in zip(means, counts, strict=True)) / sum(counts)
    check.that(
        not near(got, by_tokens, 1e-4), slug="tokens-not-rows", problem="every target counts the same",
        hint="That is a good loss, and another one: for Abe every row counts the same, however many targets it has.",
    )  # fmt: skip
    check.that(not near(got, sum(means), 1e-4), slug="sum", problem="it is the sum of the rows' means",
               hint="Divide by the number of rows that count.")  # fmt: skip
    check.close(got, sum(means) / B, slug="value", tolerance=1e-4, when="something is asked in each row",
                hint="Where every row is asked something, his loss was right. It should not change.")  # fmt: skip
    for empty in ([0], [4], [1, 3]):
        targets = full.clone()
        targets[empty] = IGNORED
        when = "nothing is asked in " + (f"row {empty[0]}" if len(empty) == 1 else "two of five rows")
        value, rows = ask(targets, when), row_losses(model, inputs, targets)
        got, right = float(value.detach()), sum(rows) / len(rows)
        check.that(
            got == got and abs(got) < 1e30, slug="still-nan", when=when, problem=f"the loss is {shown(got)}",
            hint="How many targets has that row, and what is it divided by?",
        )  # fmt: skip
        check.that(
            got != 0, slug="batch-lost", when=when, problem="the loss is 0, so that nothing is learned from this batch",
            hint="The other rows of the batch are good. Leave out those that ask for nothing, and no more.",
        )  # fmt: skip
        check.that(
            not near(got, sum(rows).item() / B, 1e-4), slug="empty-counts", when=when,
            problem="it counts as a row with a loss of 0",
            hint="The sum is right, and then it is divided by all rows. Over how many should the mean go?",
        )  # fmt: skip
        check.close(got, right.item(), slug="value", tolerance=1e-4, when=when,
                    hint="As if the rows that ask for nothing were not in the batch.")  # fmt: skip
        (slope,) = torch.autograd.grad(right, [model.logits.weight])
        check.close(_gradient(check, model, value, when), slope, slug="another-gradient", tolerance=1e-4, when=when,
                    hint="The gradient should be that of the same batch without these rows.")  # fmt: skip
    targets, when = torch.full((B, T), IGNORED), "nothing is asked in any row"
    value = ask(targets, when)
    got = float(value.detach())
    check.that(
        got == 0, slug="nothing-at-all", when=when, problem=f"the loss is {shown(got)}",
        hint="Then there is no row over which a mean could go, and that division, too, is by 0. The docstring says "
        "what it should be.",
    )  # fmt: skip
    check.that(
        not _gradient(check, model, value, when).any(), slug="learns-from-nothing", when=when,
        problem="the gradient is not 0", hint="Where nothing is asked, nothing can be learned.",
    )  # fmt: skip


def _gradient(check, model: Table, value, when: str):
    check.that(
        value.requires_grad, slug="no-gradient", when=when, problem="the loss has lost its way back to the model",
        hint="`backward` is called on it in each step. A sum over nothing, or a sum times 0, is a 0 that knows where "
        "it comes from.",
    )  # fmt: skip
    model.zero_grad()
    value.backward()
    gradient = model.logits.weight.grad
    if gradient is None:  # a constant that `backward` can be called on: nothing is learned from it
        gradient = torch.zeros_like(model.logits.weight)
    check.that(
        bool(gradient.isfinite().all()), slug="gradient-nan", when=when,
        problem=f"the loss is {float(value.detach()):.3f}, but its gradient is not finite",
        hint="A nan that is covered afterwards is still in the backward pass: 0 times nan is nan. The division by 0 "
        "must not happen at all.",
    )  # fmt: skip
    return gradient.clone()
