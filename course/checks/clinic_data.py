"""The repairs of patients whose batches or whose loss are ill (notebook 10)."""

import math
from itertools import islice

import torch
from torch import nn

from course.checks.answer import TimeLimit
from course.checks.exercise import exercise
from course.checks.optimizing import near
from course.clinic import data

__all__ = ["bruno_batches", "carla_loss", "dora_batches", "emil_batches"]

END, IGNORED = 0, -100


def taken(made, count: int, check) -> list:
    """The next `count` things of a generator, which has a few seconds for them."""
    check.that(
        hasattr(made, "__next__"), slug="no-generator", problem=f"it gives one {type(made).__name__} and is done",
        hint="It must give one after the other: `yield` inside the loop, and no `return` of a value.",
    )  # fmt: skip
    with TimeLimit(5):
        return list(islice(made, count))


# ---------------------------------------------------------------------- batches


def pairs(answer, check, stories, batch_size: int, count: int) -> list[tuple[list, list]]:
    """(inputs, targets) of each of the batches, each a list of rows."""
    batches = taken(answer(stories, batch_size, END, 5), count, check)
    check.that(len(batches) == count, slug="ends", problem=f"there were {len(batches)} batches, and then no more",
               hint="Batches come without end: keep the `while True`.")  # fmt: skip
    for batch in batches:
        good = isinstance(batch, tuple | list) and len(batch) == 2 and all(map(torch.is_tensor, batch))
        check.that(good, slug="pair", problem="a batch is not a pair of tensors", hint="yield inputs, targets")
        inputs, targets = batch
        check.that(
            inputs.shape == targets.shape and inputs.dim() == 2, slug="shapes",
            problem=f"the inputs have shape {tuple(inputs.shape)}, the targets {tuple(targets.shape)}",
            hint="A target for each input: cut both to the same length.",
        )  # fmt: skip
        check.equal(len(inputs), batch_size, slug="rows", when="rows of a batch", hint="One row for each story drawn.")
        check.that(
            bool((inputs >= 0).all()), slug="inputs-ignored", problem="an input is -100, which is no token",
            hint="-100 says that a target is not scored. An input is looked up in a table, and must be a token.",
        )  # fmt: skip
    return [(inputs.tolist(), targets.tolist()) for inputs, targets in batches]


@exercise("10.4", title="Repair Bruno", minutes=4, difficulty=1, seconds=5, begins_as=data.bruno_batches)
def bruno_batches(answer, check):
    stories = [list(range(first, first + 30)) for first in range(1, 300, 30)]  # no token comes twice but the end
    stream = [token for story in stories for token in (END, *story)]
    places = {tuple(stream[i : i + 3]): i for i in range(len(stream) - 2)}
    rows = [row for batch in pairs(answer, check, stories, 4, 8) for row in zip(*batch, strict=True)]
    check.that(
        all(46 <= len(inputs) <= 48 for inputs, _ in rows), slug="length",
        problem=f"a window has {len(rows[0][0])} inputs", hint="Windows of 48 tokens; one less may be lost to a shift.",
    )  # fmt: skip
    for inputs, targets in rows:
        start = places.get(tuple(inputs[:3]), -1)
        size = len(inputs)
        check.that(
            start >= 0 and inputs == stream[start : start + size], slug="not-a-window",
            problem="the inputs of a row do not follow each other in the stream of stories",
            hint="Leave the inputs as they were: a piece of the stream. What is wrong is what they are paired with.",
        )  # fmt: skip
        around = {shift: stream[max(0, start + shift) : start + shift + size] for shift in (0, 2, -1)}
        check.that(targets != around[0], slug="targets-are-inputs", problem="each target is the input of its position",
                   hint="A position is asked for the token that follows it.")  # fmt: skip
        check.that(targets != around[2], slug="two-ahead", problem="each target stands two tokens after its input",
                   hint="The next token, not the one after it.")  # fmt: skip
        check.that(targets != around[-1], slug="looks-back", problem="each target is the token before its input",
                   hint="Shifted the wrong way: a model predicts what comes, not what was.")  # fmt: skip
        check.that(
            targets[:-1] != stream[start + 1 : start + size] or targets[-1] == stream[start + size],
            slug="last-target", problem=f"the last target is {targets[-1]}; what follows is {stream[start + size]}",
            hint="The last position has a next token as well: the stream goes on behind the window.",
        )  # fmt: skip
        check.equal(targets, stream[start + 1 : start + 1 + size], slug="targets", when="the targets of a row",
                    hint="At each position the token that comes next in the stream.")  # fmt: skip
    starts = {places[tuple(inputs[:3])] for inputs, _ in rows}
    check.that(len(starts) > 8, slug="always-the-same", problem=f"32 rows began at {len(starts)} places",
               hint="Draw the places anew for each batch and each row.")  # fmt: skip
    try:
        short = pairs(answer, check, [list(range(1, 52))], 4, 60)  # 52 tokens: few windows, so the last is drawn, too
    except (RuntimeError, IndexError) as error:
        check.fail(f"near the end of the stream: {error}", slug="past-the-end",
                   hint="The last window must leave room for the target of its last position.")  # fmt: skip
    seen = {row[-1] for _, targets in short for row in targets}
    check.that(max(seen) >= 50, slug="never-the-last", problem="the last tokens of the stream are never asked for",
               hint="`randrange(n)` gives at most n - 1. Which is the last place where a window fits?")  # fmt: skip


def padded_rows(answer, check) -> list[tuple[list[int], list[int], list[int]]]:
    """(inputs, targets, story) of each row of some batches, all of whose inputs are as they should be."""
    stories = [[100 * i + j for j in range(1, 4 + 3 * i)] for i in range(1, 8)]  # told by their first token
    known, rows = {story[0]: story for story in stories}, []
    for batch in pairs(answer, check, stories, 4, 6):
        drawn = []
        for inputs, targets in zip(*batch, strict=True):
            story = known.get(inputs[1] if len(inputs) > 1 else None)
            check.that(
                story is not None and inputs[: len(story) + 1] == [END, *story], slug="inputs",
                problem="the inputs of a row do not begin with an end token and all of a story",
                hint="Leave the inputs as they were: an end token, the story, and what fills up.",
            )  # fmt: skip
            check.that(
                not set(inputs[len(story) + 1 :]) - {END}, slug="inputs",
                problem="a row of inputs is not filled up with end tokens",
                hint="Leave the inputs as they were: what stands behind a story is not looked at by anybody.",
            )  # fmt: skip
            drawn.append(story[0])
            rows.append((inputs, targets, story))
        check.that(
            len(set(drawn)) == 4, slug="drawn", problem="a batch holds a story twice", hint="`sample`, as before."
        )
    check.that(len({story[0] for *_, story in rows}) > 4, slug="drawn", problem="24 rows held few of the seven stories",
               hint="Draw anew for each batch.")  # fmt: skip
    return rows


def padded_targets_are_right(answer, check) -> None:
    for _, targets, story in padded_rows(answer, check):
        size, behind = len(story), targets[len(story) + 1 :]
        when = f"a story of {size} tokens in a row of {len(targets)}"
        asked = sum(target != IGNORED for target in behind)
        check.that(
            any(target != IGNORED for target in targets), slug="nothing-asked", when=when,
            problem="no target is scored", hint="Only what fills up the row is left out.",
        )  # fmt: skip
        check.that(
            targets[:size] == story, slug="story", when=when,
            problem=f"the targets begin with {targets[:3]}, the story with {story[:3]}"
            if targets[:3] != story[:3] else "tokens of the story are not asked for",
            hint="Every token of the story is asked for at the position before it.",
        )  # fmt: skip
        check.that(
            targets[size] != IGNORED, slug="end-not-asked", when=when,
            problem="behind the story's last word nothing is asked for",
            hint="The first end token behind a story is no padding: it says that the story is over. If it is never a "
            "target, who should learn to stop?",
        )  # fmt: skip
        check.equal(targets[size], END, slug="end", when=f"{when}: the target behind its last word",
                    hint="What follows the last word is the end token.")  # fmt: skip
        check.that(
            asked != len(behind) or not asked, slug="padding-scored", when=when,
            problem=f"{asked} positions behind the end are scored",
            hint="A target that only fills up must say so: which value does the loss leave out?",
        )  # fmt: skip
        check.that(
            not asked, slug="some-padding-scored", when=when, problem=f"{asked} positions behind the end are scored",
            hint="Count: a story of n tokens has n + 1 targets. All behind them is left out.",
        )  # fmt: skip
    check.passed += 1


@exercise("10.6", title="Repair Dora", minutes=5, difficulty=1, seconds=5, begins_as=data.dora_batches)
def dora_batches(answer, check):
    padded_targets_are_right(answer, check)
    for inputs, _, story in padded_rows(answer, check):
        check.that(
            len(inputs) == 64, slug="shape", problem=f"a story of {len(story)} tokens has a row of {len(inputs)}",
            hint="Her batches all have 64 columns, since that is faster for her. That was no mistake.",
        )  # fmt: skip


@exercise("10.7", title="Repair Emil", minutes=6, difficulty=2, seconds=5, begins_as=data.emil_batches)
def emil_batches(answer, check):
    padded_targets_are_right(answer, check)


# ---------------------------------------------------------------------- a loss


class Fixed(nn.Module):
    """Gives the same logits whatever it reads: a row for each position."""

    def __init__(self, *shape: int):
        super().__init__()
        self.logits = nn.Parameter(torch.randn(*shape))

    def forward(self, ids):
        return self.logits


@exercise("10.5", title="Repair Carla", minutes=4, difficulty=1, seconds=5, begins_as=data.carla_loss)
def carla_loss(answer, check):
    B, T, V = 3, 6, 7
    model = Fixed(B, T, V)
    inputs, targets = torch.randint(V, (B, T)), torch.randint(V, (B, T))
    surprise = -model.logits.detach().log_softmax(-1)  # (B, T, V)

    def mean(pairs) -> float:
        """Over (row, position of the logits, position of the target), one after the other."""
        found = [float(surprise[b, t, targets[b, u]]) for b, t, u in pairs if targets[b, u] != IGNORED]
        return sum(found) / max(1, len(found))

    def every(shift: int, first: int = 0, last: int = T):
        return [(b, t, t + shift) for b in range(B) for t in range(first, last) if 0 <= t + shift < T]

    def ask():
        got = answer(model, inputs, targets)
        check.shape(got, (), slug="scalar", when="the loss", hint="One number: the mean over all scored targets.")
        return got

    got = ask()
    mistakes = (
        ("shifted", every(1), "each position is scored on the target of the next",
         "`targets` hold at each position the token that comes next. Who shifts them once more asks for the token "
         "after it."),
        ("other-way", every(-1), "each position is scored on the target of the position before",
         "Now it is shifted the other way. The target of a position stands at that position."),
        ("last-left-out", every(0, last=T - 1), "the last position is not scored",
         "Every position has a target of its own, the last one as well: nothing is to be cut off."),
        ("first-left-out", every(0, first=1), "the first position is not scored",
         "Every position has a target of its own, the first one as well: nothing is to be cut off."),
    )  # fmt: skip
    for slug, which, problem, hint in mistakes:
        check.that(not near(float(got.detach()), mean(which), 1e-4), slug=slug, problem=problem, hint=hint)
    check.that(not near(float(got.detach()), mean(every(0)) * B * T, 1e-4), slug="sum", problem="the loss is a sum",
               hint="The mean over the scored targets.")  # fmt: skip
    check.that(not near(float(got.detach()), mean(every(0)) / math.log(2), 1e-4), slug="bits",
               problem="the loss is in bits", hint="In nats, as cross_entropy gives it.")  # fmt: skip
    check.close(float(got.detach()), mean(every(0)), slug="value", tolerance=1e-4, when="the loss",
                hint="Each position's logits with the target of the same position.")  # fmt: skip
    targets[0, 3:], targets[2, 1:] = IGNORED, IGNORED
    got = ask()
    check.that(
        not near(float(got.detach()), mean(every(0)) * int((targets != IGNORED).sum()) / (B * T), 1e-4),
        slug="divided-by-all", problem="the loss was divided by all positions, also by those that are left out",
        hint="A mean over the scored targets alone.",
    )  # fmt: skip
    check.close(float(got.detach()), mean(every(0)), slug="ignored", tolerance=1e-4,
                when="the loss when some targets are -100", hint="A target of -100 is left out.")  # fmt: skip
    check.that(got.requires_grad, slug="no-gradient", problem="the loss has lost its way back to the model",
               hint="It must stay the tensor that autograd made: no `item`, no `no_grad`.")  # fmt: skip
