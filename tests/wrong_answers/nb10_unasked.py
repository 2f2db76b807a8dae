"""Wrong repairs of Abe, whose loss divides by nothing (notebook 10)."""

import inspect

import torch.nn.functional as F

from course.clinic import unasked
from tests.wrong_answers import wrong

ROWS = "(each * asked).sum(dim=1) / asked.sum(dim=1)"
MEAN = "rows.mean()"
SAFE, SOME = ".clamp(min=1)  # (B,)", "rows.sum() / asked.any(dim=1).sum().clamp(min=1)"


def rewritten(name: str, organ, *lines: tuple[str, str]):
    """The organ under another name, with some pieces of its text replaced."""
    source = inspect.getsource(organ).replace(f"def {organ.__name__}(", f"def {name}(")
    for old, new in lines:
        assert source.count(old) == 1, f"{name}: {source.count(old)} times {old!r}"
        source = source.replace(old, new)
    scope = dict(vars(unasked))
    exec(compile(source, f"<{name}>", "exec"), scope)
    return scope[name]


def plant(slug: str, name: str, organ, *lines: tuple[str, str]) -> None:
    made = wrong("10.31", slug)(rewritten(name, organ, *lines))
    made.__module__, globals()[name] = __name__, made  # so that a notebook can import it


ILL, WELL = unasked.abe_loss, unasked.loss_by_rows
plant("empty-counts", "clamps_and_takes_the_mean_of_all", ILL, (ROWS, f"{ROWS}.clamp(min=1)"))
plant("empty-counts", "adds_a_little", ILL, (ROWS, f"(each * asked).sum(dim=1) / ({'asked.sum(dim=1)'} + 1e-8)"))
plant("empty-counts", "makes_zeros_of_nans", ILL, (MEAN, "rows.nan_to_num().mean()"))
plant("gradient-nan", "leaves_nans_out_of_the_mean", ILL, (MEAN, "rows.nanmean()"))
plant("gradient-nan", "picks_the_finite_rows", ILL, (MEAN, "rows[rows.isfinite()].mean()"))
plant("gradient-nan", "chooses_behind_the_division", ILL,
      (MEAN, "torch.where(asked.any(dim=1), rows, 0.0).sum() / asked.any(dim=1).sum().clamp(min=1)"))  # fmt: skip
plant("nothing-at-all", "takes_the_mean_of_what_is_left", WELL,
      (SOME, "rows[asked.any(dim=1)].mean()"))  # fmt: skip
plant("nothing-at-all", "divides_by_no_rows", WELL, (SOME, "rows.sum() / asked.any(dim=1).sum()"))
plant("value", "clamps_the_targets_harder", ILL, ("targets.clamp(min=0)", "targets.clamp(min=1)"))
plant("still-nan", "guards_the_mean_alone", ILL, (MEAN, "rows.sum() / asked.any(dim=1).sum().clamp(min=1)"))
plant("sum", "adds_the_rows_up", WELL, (SOME, "rows.sum()"))
plant("value", "asks_for_the_padding", WELL, ("targets != -100", "targets != -1"))
plant("batch-lost", "skips_the_batch", ILL,
      (MEAN, "rows.mean() if asked.any(dim=1).all() else 0.0 * each.sum()"))  # fmt: skip
plant("no-gradient", "gives_a_bare_zero", WELL,
      (f"return {SOME}", "return rows[asked.any(dim=1)].mean() if asked.any() else torch.zeros(())"))  # fmt: skip
plant("scalar", "returns_the_rows", WELL, (f"return {SOME}", "return rows"))


@wrong("10.31", "tokens-not-rows")
def counts_every_target(model, inputs, targets):
    asked = (targets != -100).sum().clamp(min=1)
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="sum") / asked


@wrong("10.31", "tokens-not-rows")
def takes_the_programs_own(model, inputs, targets):
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


@wrong("10.31", "another-gradient")
def counts_what_is_left_twice(model, inputs, targets):
    value = unasked.loss_by_rows(model, inputs, targets)
    some = (targets != -100).any(dim=1)
    return value if bool(some.all() | ~some.any()) else value + (value - value.detach())


@wrong("10.31", "value")
def puts_a_token_into_an_empty_row(model, inputs, targets):
    filled = targets.clone()
    filled[(targets == -100).all(dim=1), 0] = 0
    return unasked.loss_by_rows(model, inputs, filled)


@wrong("10.31", "learns-from-nothing")
def pulls_at_the_logits_where_nothing_is_asked(model, inputs, targets):
    logits = model(inputs).sum()
    value = unasked.loss_by_rows(model, inputs, targets)
    return value if bool((targets != -100).any()) else logits - logits.detach()
