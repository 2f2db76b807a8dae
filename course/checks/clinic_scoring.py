"""Exercises of notebook 10: patients whose score, precision, resuming or telling is ill, and two faults at once."""

import copy
import math
from collections import Counter
from itertools import islice

import torch
import torch.nn.functional as F
from torch import nn

from course.checks.compare import is_number
from course.checks.exercise import exercise
from course.clinic import scoring
from helpers.model import GPT, GPTConfig

__all__ = ["uma_evaluate", "vera_split", "wim_evaluate", "xena_share"]

END = 0


def small(dropout: float = 0.0, seed: int = 0) -> GPT:
    """A model of some thousand weights, large enough for its logits to differ."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(30, 16, n_layer=2, n_head=2, d_model=8, dropout=dropout))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def batch(rows: int, time: int, seed: int = 0):
    """Random inputs, and targets of which the later rows have fewer."""
    torch.manual_seed(seed)
    inputs, targets = torch.randint(1, 30, (2, rows, time))
    for i in range(rows):
        targets[i, time - i % time :] = -100
    return inputs, targets


def loss(model: nn.Module, inputs, targets):
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


# ---------------------------------------------------------------------- 10.35 and 10.37: the mean loss of many batches


def _scoring(answer, check, model, made: list, slugs: dict[str, str]) -> None:
    """The answer's number is the mean over all targets of all batches, each of which is computed here by itself."""
    model.eval()
    with torch.no_grad():
        each = [F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum").item() for x, y in made]
    asked = [int((y != -100).sum()) for _, y in made]
    sizes = [y.numel() for _, y in made]
    model.train()
    calls = Counter()

    def counted(*given):
        calls["loss"] += 1
        return loss(*given)

    got = answer(model, counted, iter(made), len(made))
    check.that(is_number(got), slug="no-number", problem=f"it returned {type(got).__name__}",
               hint="A number of Python's: `.item()` of a tensor.")  # fmt: skip
    near = lambda wrong: math.isclose(got, wrong, rel_tol=1e-5)  # noqa: E731
    check.that(
        calls["loss"] == len(made), slug="not-all-batches",
        problem=f"of {len(made)} batches {calls['loss']} were scored", hint="`count` batches, each once.",
    )  # fmt: skip
    means = [total / n for total, n in zip(each, asked, strict=True)]
    check.that(
        not near(sum(means) / len(means)), slug="mean-of-means", problem="it is the mean of the batches' means",
        hint="A batch with three targets counts as much as one with thirty. What is asked for is a mean over tokens.",
    )  # fmt: skip
    by_size = sum(m * n for m, n in zip(means, sizes, strict=True)) / sum(sizes)
    check.that(
        not near(by_size), slug="padding-weighs", problem="each batch was weighted by all its positions",
        hint="Positions of padding have the target -100. They are not scored, so they should not count as tokens.",
    )  # fmt: skip
    check.that(
        not near(sum(means)) and not near(sum(each)), slug="not-divided", problem="it is a sum",
        hint="Divide by the number of tokens.",
    )  # fmt: skip
    by_rows = sum(m * len(y) for m, (_, y) in zip(means, made, strict=True)) / sum(len(y) for _, y in made)
    check.that(
        not near(by_rows), slug="rows-weigh", problem="each batch was weighted by its number of stories",
        hint="Two stories can have very different numbers of tokens. Weight by tokens.",
    )  # fmt: skip
    check.close(got, sum(each) / sum(asked), tolerance=1e-4, slug=slugs["wrong"], hint=slugs["hint"])


def _made() -> list:
    return [batch(4, 9, 1), batch(1, 3, 2), batch(3, 12, 3)]


@exercise("10.35", title="Repair Uma", minutes=4, difficulty=1, begins_as=scoring.uma_evaluate)
def uma_evaluate(answer, check):
    model, made = small(dropout=0.5), _made()
    model.train()
    once, again = (answer(model.train(), loss, iter(made), len(made)) for _ in range(2))
    check.that(
        once == again, slug="still-drops", when="scored twice",
        problem=f"the same weights and batches gave {once:.4f} and {again:.4f}",
        hint="Something random happens while it scores. Which layers behave in another way in training?",
    )  # fmt: skip
    before = copy.deepcopy(model.state_dict())
    _scoring(answer, check, model, made, {
        "wrong": "wrong-score", "hint": "It gives the same number each time, but not the mean loss per token of the "
        "model in evaluation mode, with all its weights as they are."})  # fmt: skip
    check.that(
        all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), slug="changes-the-model",
        problem="the model's weights are others afterwards", hint="Scoring only looks.",
    )  # fmt: skip
    check.that(
        all(module.p == 0.5 for module in model.modules() if isinstance(module, nn.Dropout)), slug="dropout-removed",
        problem="the model has no dropout left to train with",
        hint="Do not set `p`: training goes on after the scoring. There is a switch for it.",
    )  # fmt: skip


@exercise("10.37", title="Repair Wim", minutes=6, difficulty=2, begins_as=scoring.wim_evaluate)
def wim_evaluate(answer, check):
    model, made = small(dropout=0.5), _made()
    _scoring(answer, check, model, made, {
        "wrong": "wrong-score", "hint": "The sum of all targets' losses, over the number of all targets that are not "
        "-100, of the model in evaluation mode."})  # fmt: skip
    rows = [(x[i : i + 1], y[i : i + 1]) for x, y in [batch(6, 8, 4)] for i in range(6)]
    whole = [batch(6, 8, 4)]
    check.close(
        answer(model, loss, iter(rows), 6), answer(model, loss, iter(whole), 1), tolerance=1e-4, slug="batch-size",
        when="story by story, beside all in one batch", hint="Which stories share a batch must not change the score.",
    )  # fmt: skip


# ---------------------------------------------------------------------- 10.36: training and validation


@exercise("10.36", title="Repair Vera", minutes=6, difficulty=2, begins_as=scoring.vera_split)
def vera_split(answer, check):
    stories = [[i, i + 1, i + 2] for i in range(40)]
    made = answer(stories, 0)
    check.that(
        isinstance(made, tuple | list) and len(made) == 2, slug="two-lists", problem="it is not a pair",
        hint="Return two lists: the training stories and the validation stories.",
    )  # fmt: skip
    training, validation = map(list, made)
    both = [story for story in validation if story in training]
    check.that(
        not both, slug="still-leaks", problem=f"{len(both)} of {len(validation)} validation stories are also "
        f"trained on",
        hint="What is validated on must not have been trained on. How many times is the order drawn?",
    )  # fmt: skip
    check.that(
        (len(training), len(validation)) == (36, 4), slug="sizes",
        problem=f"{len(training)} and {len(validation)} of 40 stories",
        hint="Nine tenths and one tenth. Nothing may be lost: leaving out what is in both is not enough.",
    )  # fmt: skip
    check.equal(sorted(training + validation), stories, slug="all-of-them", when="both parts together",
                hint="Every story is in one of the two parts, once.")  # fmt: skip
    check.equal(answer(stories, 0), made, slug="not-the-same-again", hint="The seed alone decides the division.")
    others = [sorted(answer(stories, seed)[1]) for seed in range(1, 6)]
    check.that(
        any(other != sorted(validation) for other in others), slug="seed-ignored", when="six seeds",
        problem="the validation stories are the same", hint="Draw with the seed that is given.",
    )  # fmt: skip
    in_order = sum(sorted(chosen) == chosen and chosen[-1][0] - chosen[0][0] == 3 for chosen in others)
    check.that(
        in_order < 3, slug="in-order", when="five seeds", problem="validation is a piece of the list, as it stood",
        hint="By chance: a file is often sorted in some way, and then its end is of another kind.",
    )  # fmt: skip
    drawn = {str(sorted(answer(stories, seed)[1])) for seed in range(60)}
    check.that(
        len(drawn) > 40, slug="few-divisions", when="60 seeds", problem=f"only {len(drawn)} divisions ever come",
        hint="By chance: each story may be in either part, whatever the others are in. A rule with the seed in it is "
        "no chance.",
    )  # fmt: skip


# ---------------------------------------------------------------------- 10.38: several processes


@exercise("10.38", title="Repair Xena", minutes=8, difficulty=2, begins_as=scoring.xena_share)
def xena_share(answer, check):
    stories, processes, size = [[i, i + 100] for i in range(1, 49)], 4, 3

    def read(seed: int, rank: int, steps: int, ranks: int = processes) -> list[list[int]]:
        """The number of each story in each batch of one process."""
        made = islice(answer(stories, size, END, seed, rank, ranks), steps)
        return [x[:, 1].tolist() for x, _ in made]

    inputs, targets = next(answer(stories, size, END, 0, 0, processes))
    check.shape(inputs, (size, 3), slug="shape", hint="Each process has batch_size stories in a batch.")
    check.that(
        torch.equal(inputs[:, 1:], targets[:, :-1]) and bool((inputs[:, 0] == END).all()), slug="rows",
        problem="inputs and targets are not a story between end tokens any more",
        hint="Which stories a process reads is ill; how a row is made from a story was right.",
    )  # fmt: skip
    every, when = [read(3, rank, 4) for rank in range(processes)], "four processes, four steps"
    equal = [rank for rank in range(1, processes) if every[rank] == every[0]]
    check.that(
        not equal, slug="same-batch", when=when,
        problem=f"process {equal[0] if equal else 0} reads just what process 0 reads",
        hint="The order of the stories is drawn by `random.Random`. What does it know of the rank?",
    )  # fmt: skip
    sets = [[frozenset(step) for step in steps] for steps in every]
    mixed = [rank for rank in range(1, processes) if sets[rank] == sets[0]]
    check.that(
        not mixed, slug="same-stories", when=when,
        problem="two processes have the same stories in a batch, in another order",
        hint="A mean does not care for the order within a batch. The processes need other stories.",
    )  # fmt: skip
    late = [rank for rank in range(1, processes) if set(sets[rank]) & set(sets[0])]
    check.that(
        not late, slug="one-behind", when=when,
        problem="what one process reads, another reads some steps before or after it",
        hint="Shifting by some batches puts the same stories into step after step.",
    )  # fmt: skip
    check.equal(read(3, 1, 4), every[1], slug="not-the-same-again", hint="Seed and rank alone decide.")
    same = [rank for rank in range(processes) if read(1, rank, 4) == read(0, rank, 4)]
    check.that(
        not same, slug="seed-ignored", when=when,
        problem=f"process {same[0] if same else 0} reads the same for seeds 0 and 1",
        hint="Another seed, another order, for every process: rank times seed is 0 for rank 0.",
    )  # fmt: skip
    seen = Counter(story for rank in range(processes) for step in read(0, rank, 40) for story in step)
    check.that(
        len(seen) == len(stories), slug="stories-left-out",
        when="four processes, forty steps",
        problem=f"{len(stories) - len(seen)} of {len(stories)} stories are never read by any "
        f"process", hint="All processes together should read everything, with time.",
    )  # fmt: skip
    check.that(
        max(seen.values()) <= 3 * min(seen.values()), slug="unequal",
        when="four processes, forty steps",
        problem=f"one story was read {max(seen.values())} times, another {min(seen.values())}",
        hint="Every story should come about equally often.",
    )  # fmt: skip
    alone = {story for step in read(0, 0, 40, ranks=1) for story in step}
    check.that(len(alone) == len(stories), slug="one-process", problem="a single process does not read everything",
               hint="With one process it should be as before.")  # fmt: skip


# ---------------------------------------------------------------------- 10.39: stopped and gone on


# ---------------------------------------------------------------------- 10.29: half precision


# ---------------------------------------------------------------------- 10.41 and 10.42: telling


# ---------------------------------------------------------------------- 10.43: loading


# ---------------------------------------------------------------------- 10.44: two faults
