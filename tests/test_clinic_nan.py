"""Abe, whose loss divides by nothing: when it becomes nan, what sees it, and which repairs are right."""

import difflib
import inspect
import math
from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F

from course.checks.clinic_unasked import abe_loss as check
from course.checks.exercise import NOT_ATTEMPTED, RIGHT
from course.clinic import instruments, rounds, unasked
from course.clinic.examination import examine, watched
from course.clinic.program import Chart, one_thread, openings
from course.clinic.ward import REGISTRY
from tests.wrong_answers.nb10_unasked import rewritten

ABE = REGISTRY["Abe"]
ILL_AT = {0: 17, 1: 19, 2: 14}  # by seed, the step whose batch holds a row of which nothing is asked
LOSSES = {0: 1.75, 1: 1.71, 2: 1.81}  # of the last ten steps, without the fault
each_seed = pytest.mark.parametrize("seed", ILL_AT)


@cache
def run(seed: int, organ=None) -> Chart:
    return watched(lambda program: program.run(seed), ABE.program(**({"loss": organ} if organ else {})))


def asked_of(program, seed: int, steps: int) -> list[list[int]]:
    """How many targets each row of each batch has."""
    batches = program.data(seed)
    return [(next(batches)[1] != -100).sum(dim=1).tolist() for _ in range(steps)]


# ---------------------------------------------------------------------- what is seen


@each_seed
def test_the_loss_is_a_number_until_a_row_asks_for_nothing_and_never_again(seed):
    chart, asked = run(seed), asked_of(ABE.program(), seed, ILL_AT[seed])
    finite = [math.isfinite(loss) for loss in chart.losses]
    assert finite == [step < ILL_AT[seed] for step in range(1, 91)]
    assert [min(counts) == 0 for counts in asked] == [False] * (ILL_AT[seed] - 1) + [True]
    assert asked[-1].count(0) == 1, "one row of eight is enough"
    assert chart.losses[ILL_AT[seed] - 2] < chart.losses[0] - 1
    assert seed or max(chart.norms[: ILL_AT[seed] - 1]) < 3, "the notebook's own seed: quiet norms"
    assert all(weight.isnan().all() for weight in chart.model.parameters())


@each_seed
def test_a_repair_ends_it(seed):
    before, after = ABE.symptom(run(seed)), ABE.symptom(run(seed, unasked.loss_by_rows))
    assert before == pytest.approx(
        {"steps with a finite loss": ILL_AT[seed] - 1, "loss of the last ten": math.nan, "validation loss": math.nan},
        nan_ok=True,
    )
    assert after["steps with a finite loss"] == 90
    assert after["loss of the last ten"] == pytest.approx(LOSSES[seed], abs=0.12)
    assert after["validation loss"] == pytest.approx(LOSSES[seed], abs=0.2)
    assert rounds.recovered(before, after, after) and not rounds.recovered(before, before, after)


def test_a_tenth_of_the_learning_rate_changes_nothing():
    losses = replace(ABE.program(), lr=ABE.base.lr / 10, steps=30).run(0).losses
    assert sum(map(math.isfinite, losses)) == ILL_AT[0] - 1


def test_few_stories_have_no_full_stop_and_no_other_differs():
    made, usual = ABE.base.training, openings("train")
    others = [ids for ids, before in zip(made, usual, strict=True) if ids != before]
    assert len(others) == pytest.approx(len(usual) / unasked.EVERY, abs=1)
    assert not any(set(ids) & set(unasked.stops().tolist()) for ids in others)
    assert all(set(ids) & set(unasked.stops().tolist()) for ids in ABE.base.held_out)


def test_what_is_asked_begins_behind_the_first_full_stop():
    inputs, targets = next(ABE.base.data(3))
    stop = set(unasked.stops().tolist())
    for ids, asked in zip(inputs.tolist(), targets.tolist(), strict=True):
        first = next(i for i, answer in enumerate(asked) if answer != -100)
        assert ids[first] in stop and not set(ids[:first]) & stop
        assert asked[first:-1] == [*ids[first + 1 :]] or -100 in asked[first:]


# ---------------------------------------------------------------------- what sees it


@each_seed
def test_the_instrument_gives_alarm_and_none_does_without_the_fault(seed):
    def alarms(loss) -> dict[str, str]:
        program = ABE.program(loss=loss)
        return {each.instrument: each.says for each in examine(program, run(seed, loss), seed=seed) if each.alarm}

    ill = alarms(unasked.abe_loss)
    assert ill["first_nonfinite"].startswith("wte is the first"), ill
    assert not {"first_loss", "what_enters", "overfit"} & ill.keys(), "what looks before the step sees nothing"
    assert alarms(unasked.loss_by_rows) == {}


def test_the_notebook_s_cells_can_show_it(capsys):
    ward = rounds.Ward()
    ward.admit("Abe")
    ward.examine("Abe", {name: getattr(instruments, name) for name in ("first_nonfinite", "overfit")})
    ward.discharge("Abe", loss=unasked.loss_by_rows)
    ward.discharge("Abe", loss=unasked.abe_loss)
    said = capsys.readouterr().out
    assert "[!] first_nonfinite  wte is the first" in said and "[ ] silent: overfit" in said
    assert "loss of the last ten              1.7" in said and said.count("nan") >= 4
    assert "what was ill is now as without the fault" in said and "not yet what it is without the fault" in said


def test_a_run_without_such_rows_is_the_same_with_the_fault_and_without():
    program = replace(ABE.program(), training=openings("train"), steps=12)
    well = replace(program, loss=unasked.loss_by_rows)
    assert program.run(0).losses == pytest.approx(well.run(0).losses, rel=1e-5)


# ---------------------------------------------------------------------- repairs


def test_ill_and_well_differ_in_two_lines():
    ill, well = (inspect.getsource(organ).splitlines() for organ in (unasked.abe_loss, unasked.loss_by_rows))
    changes = [line for line in difflib.ndiff(ill[1:], well[1:]) if line[0] in "+-"]
    assert 5 <= len(ill) <= 40 and len(changes) == 4, changes


def test_the_ill_organ_is_not_attempted_and_the_well_one_right():
    assert check(unasked.abe_loss).state == NOT_ATTEMPTED
    assert check(unasked.loss_by_rows).state == RIGHT
    assert replace(check, begins_as=None)(unasked.abe_loss).slug == "still-nan"


def selects_rows_first(model, inputs, targets):
    some = (targets != -100).any(dim=1)
    asked = (targets[some] != -100).float()
    each = F.cross_entropy(model(inputs[some]).transpose(1, 2), targets[some].clamp(min=0), reduction="none")
    return ((each * asked).sum(dim=1) / asked.sum(dim=1)).sum() / max(1, len(asked))


def goes_row_by_row(model, inputs, targets):
    losses = [
        F.cross_entropy(logits, row)
        for logits, row in zip(model(inputs), targets, strict=True)
        if bool((row != -100).any())
    ]
    return sum(losses) / len(losses) if losses else 0 * model(inputs).sum()


def leaves_targets_out(model, inputs, targets):
    """torch's own -100: there a row without targets has no gradient at all, so nan may be left out afterwards."""
    each = F.cross_entropy(model(inputs).transpose(1, 2), targets, reduction="none")
    rows = each.sum(dim=1) / (targets != -100).sum(dim=1)
    return rows.nanmean() if bool((targets != -100).any()) else each.sum()


OTHER_WAYS = {
    "rows-selected": rewritten(
        "picks_rows", unasked.abe_loss,
        ("rows = (each * asked).sum(dim=1) / asked.sum(dim=1)", "some = asked.any(dim=1)\n"
         "    rows = (each * asked).sum(dim=1)[some] / asked.sum(dim=1)[some]"),
        ("rows.mean()", "rows.sum() / max(1, len(rows))")),
    "returns-early": rewritten(
        "returns_early", unasked.loss_by_rows,
        ("    rows =", "    if not asked.any():\n        return (each * asked).sum()\n    rows =")),
    "weights": rewritten(
        "weights_of_targets", unasked.abe_loss,
        ("rows = (each * asked).sum(dim=1) / asked.sum(dim=1)",
         "weights = asked / asked.sum(dim=1, keepdim=True).clamp(min=1)"),
        ("rows.mean()", "(each * weights).sum() / weights.sum().round().clamp(min=1)")),
    "selects-first": selects_rows_first,
    "row-by-row": goes_row_by_row,
    "torchs-own": leaves_targets_out,
}  # fmt: skip


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_other_right_repairs_pass_and_train_alike(way):
    result = check(OTHER_WAYS[way])
    assert result.state == RIGHT, result
    losses = replace(ABE.program(loss=OTHER_WAYS[way]), steps=20).run(0).losses
    well = replace(ABE.base, steps=20).run(0).losses
    assert losses == pytest.approx(well, rel=1e-2)


def test_a_covered_nan_stays_in_the_gradient():
    """What the notebook says of `nan_to_num`, and of torch's own -100, whose gradient is 0."""
    covered = rewritten("covers_nan", unasked.abe_loss, ("rows.mean()", "rows.nan_to_num().mean()"))
    losses = replace(ABE.program(loss=covered), steps=20).run(0).losses
    assert losses[ILL_AT[0] - 2] > losses[ILL_AT[0] - 1] > 1 and set(losses[ILL_AT[0] :]) == {0.0}, losses
    logits = torch.randn(4, 5, requires_grad=True)
    value = F.cross_entropy(logits, torch.full((4,), -100))
    value.backward()
    assert value.isnan() and not logits.grad.any()


def test_the_hunt_ends_at_a_batch_on_which_all_inside_is_finite_and_at_a_product_that_is_not():
    program, seed = ABE.program(), 0
    with one_thread(), torch.random.fork_rng(devices=[]):
        model, batches = program.model(seed), program.data(seed)
        steps = program.train(model, program.loss, program.data(seed), program.steps, program.lr)
        for _ in range(ILL_AT[seed] - 1):
            next(steps)
            next(batches)
        batch = next(batches)
        assert all(weight.isfinite().all() for weight in model.parameters())
        assert instruments.first_nonfinite(model, batch[0]) == ""
        with pytest.warns(UserWarning), torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="nan"):
            program.loss(model, *batch).backward()
