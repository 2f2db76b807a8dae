"""Whether what was saved is what a run goes on from: a recipe, the state in a checkpoint.

A right checksum says that a file is as it was written, not who wrote it. So every field is looked at before anything is
done with it: its type, its range, its form beside that of the run that is to go on.

Used by `course.runs`, `course.keeping` and `course.reference_ranges`.
"""

from dataclasses import replace
from pathlib import Path

import torch

from course.recipes import OWN, Recipe, keys, override, recipe_from
from helpers.errors import CourseError
from helpers.training import COUNTED, Trainer, refuse_another

WRONG = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError)  # what wrong values raise
LARGEST = 2**63  # no count is as large
# What an optimizer keeps of a parameter.
MOMENTS = {"Muon": {"momentum_buffer"}, "AdamW": {"step", "exp_avg", "exp_avg_sq"}}


def recipe_of(content) -> Recipe:
    """The recipe that `Recipe.as_dict` wrote, from JSON.

    Raises:
        CourseError: it is none: it lacks a field, has another, or one holds what it cannot.
    """
    kinds = keys() | {"name": str, "about": str}
    try:
        recipe = recipe_from(content)
        values = {name: getattr(recipe, name) for name in ("name", "about", *OWN)}
        for name, value in (values | recipe.model | recipe.training.flat()).items():
            if not _is_a(value, kinds[name]):
                raise CourseError(f"{name} cannot be {value!r:.40}")
        return override(recipe, [])  # which looks at the ranges
    except CourseError as error:
        raise CourseError(f"{error!s:.200}") from error
    except WRONG as error:
        raise CourseError(f"it is no recipe ({type(error).__name__}: {error!s:.80})") from error


def _is_a(value, kind) -> bool:
    """Whether a value is of a type, or of one of several; a whole number is a number, and a truth value is not."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) or (type(value) is int and isinstance(0.5, kind))


def divided(recipe: Recipe, state: dict, processes: int, folder: str | Path) -> Recipe:
    """The recipe of a stopped run for so many processes: the batch of all stays, and each reads its share.

    Changes the state where an older version of the course wrote it, which kept each process's share and their number.

    Raises:
        CourseError: the batch cannot be divided among them, or the state does not say how large it is.
    """
    try:
        known = dict(state["must_match"])
        known["batch_size"] = known["batch_size"] * known.pop("processes", 1)
        if type(known["batch_size"]) is not int:
            raise TypeError("a number of sequences is whole")
        together = recipe.training.but(batch_size=known["batch_size"]).data.batch_size
        shares = [count for count in range(1, 1025) if together % count == 0]
    except (CourseError, *WRONG) as error:
        raise CourseError(f"the run in {folder} cannot go on: its checkpoint does not tell its batch_size") from error
    if processes not in shares:
        few = ", ".join(map(str, shares[:8]))
        raise CourseError(
            f"the run in {folder} reads {together} sequences at once, which cannot be divided among {processes} "
            f"processes: resume it with another number of them ({few})"
        )
    state["must_match"] = known
    return replace(recipe, training=recipe.training.but(batch_size=together // processes))


def load_state(trainer: Trainer, state: dict, folder: str | Path | None) -> None:
    """Let a run go on where the state of a checkpoint was taken.

    Raises:
        CourseError: it was another model, other stories or settings, or it holds what no run has saved.
    """
    run = f"the run in {folder}"
    try:
        refuse_another(state["must_match"], trainer.must_match(), run)
        if wrong := _wrong(trainer, state):
            raise ValueError(f"its {wrong} is none")
        trainer.load_state_dict(state)
    except CourseError:
        raise
    except WRONG as error:
        said = f"its checkpoint holds what no run has saved ({type(error).__name__}: {error!s:.80})"
        raise CourseError(f"{run} cannot go on: {said}; start again with --overwrite") from error


def _wrong(trainer: Trainer, state: dict) -> str | None:
    """What of a state is not as a run saves it; only what would be found later, if at all."""
    own, step = trainer.state_dict(), state["train_step"]
    for name in COUNTED:
        if not (_counts(state[name], own[name]) or state[name] == own[name]):  # infinite, as the first best loss
            return name
    if not all(_counts(loss, 0.0) for loss in state["losses"]):
        return "losses"
    if not all(_counts(count, 0) for count in step["skipped"]):
        return "count of skipped steps"
    sampler = own["train_step"]["sampler"]
    if not all(type(step["sampler"][key]) is type(value) for key, value in sampler.items()):
        return "sampler"
    if not all(_counts(step["sampler"][name], 0) for name in trainer.sampler.moving):
        return "place among the stories"
    for optimizer, saved, fresh in zip(
        trainer.train_step.optimizers, step["optimizers"], own["train_step"]["optimizers"], strict=True
    ):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        if not all(_are_moments(type(optimizer), parameters[i], kept) for i, kept in saved["state"].items()):
            return "optimizers' memory"
        saved["param_groups"] = fresh["param_groups"]  # of the same settings, as `refuse_another` has seen
    return None


def _counts(value, like) -> bool:
    """Whether a value is a number that a run counts, whole where `like` is; or, where that is None, not known yet."""
    if like is None and value is None:
        return True
    kinds = int if isinstance(like, int) else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < LARGEST  # a NaN is neither


def _are_moments(optimizer: type, parameter: torch.Tensor, kept: dict) -> bool:
    """Whether an optimizer could have kept this of a parameter."""
    wanted = MOMENTS.get(optimizer.__name__, kept.keys())
    shapes = (parameter.shape, torch.Size([]))
    return kept.keys() == wanted and all(torch.is_tensor(each) and each.shape in shapes for each in kept.values())
