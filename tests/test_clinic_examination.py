"""What the instruments say in the clinic: nothing of healthy programs, and something of each patient."""

import importlib
import itertools
import pkgutil
import sys
from dataclasses import replace

import pytest
import torch

from course import clinic
from course.clinic import healthy, instruments
from course.clinic.examination import LIMITS, TOOLS, Case, examine, gradients, known, outside, uneven, watched
from course.clinic.program import Program, tokenizer
from course.clinic.ward import REGISTRY
from helpers.files import read_json, repository_root

sys.path.insert(0, str(repository_root() / "docs" / "tools"))
clinic_table = importlib.import_module("clinic_table")
for module in pkgutil.iter_modules(clinic.__path__):
    importlib.import_module(f"course.clinic.{module.name}")

PATIENTS = [name for name, patient in REGISTRY.items() if patient.ill]


@pytest.fixture(scope="module")
def charts() -> dict:
    """Two healthy runs, for all tests that want one."""
    return {seed: watched(Program.run, clinic_table.seeded(Program(), seed)) for seed in (0, 31)}


@pytest.fixture(scope="module")
def record() -> dict:
    path = clinic_table.recorded()
    if not path.exists():
        pytest.fail("make it: python docs/tools/clinic_table.py")
    return read_json(path)


def alarms(entry: dict) -> list[str]:
    return [name for name, reading in entry["readings"].items() if reading["alarm"]]


# ---------------------------------------------------------------------- no false alarm


@pytest.mark.parametrize("seed", [0, 31])
def test_a_healthy_program_gives_no_alarm(charts, seed):
    readings = examine(clinic_table.seeded(Program(), seed), charts[seed])
    assert [reading for reading in readings if reading.alarm is not False] == []
    assert [each.instrument for each in readings] == [name for name in TOOLS if name != "seeds_differ"]


def test_on_record_no_healthy_seed_gives_an_alarm(record):
    entries = [record["entries"][f"healthy {seed}"] for seed in range(clinic_table.HEALTHY_SEEDS)]
    assert len(entries) == 20 and [alarms(entry) for entry in entries] == [[]] * 20
    assert len({entry["validation"] for entry in entries}) == 20  # they are different runs


def test_on_record_no_patient_gives_an_alarm_without_its_fault(record):
    assert not {
        f"{name} {seed}": found
        for name in PATIENTS
        for seed in range(clinic_table.SEEDS)
        if (found := alarms(record["entries"][f"{name} without the fault {seed}"]))
    }


def test_twenty_healthy_seeds_do_not_differ_from_one_another(record):
    losses = [record["entries"][f"healthy {seed}"]["validation"] for seed in range(clinic_table.HEALTHY_SEEDS)]
    for first in range(0, 18, 6):
        one, other = losses[first : first + 3], losses[first + 3 : first + 6]
        difference, error = instruments.seeds_differ(one, other)
        assert abs(difference) < clinic_table.ERRORS * error


# ---------------------------------------------------------------------- each patient is seen


@pytest.mark.parametrize("name", PATIENTS)
def test_on_record_each_patient_is_seen_with_every_seed(record, name):
    seen = [set(alarms(record["entries"][f"{name} {seed}"])) for seed in range(clinic_table.SEEDS)]
    assert set.intersection(*seen), f"by which instruments, seed by seed: {seen}"


def test_the_record_is_of_the_patients_there_are(record):
    assert {name.rsplit(" ", 1)[0] for name in record["entries"]} == {
        "healthy", *REGISTRY, *(f"{name} without the fault" for name in REGISTRY)
    }  # fmt: skip


@pytest.mark.parametrize("name", ["Dora", "Nils", "Fay"])
def test_live_a_patient_is_seen(name):
    if name not in REGISTRY:
        pytest.skip("this patient is not here")
    patient = REGISTRY[name]
    program = replace(patient.program(), steps=24)
    readings = {each.instrument: each for each in examine(program, watched(Program.run, program))}
    by = {"Dora": "what_enters", "Nils": "update_ratios", "Fay": "future_leak"}[name]
    assert readings[by].alarm, readings[by]


@pytest.mark.parametrize("name", [name for name, patient in REGISTRY.items() if patient.twin])
def test_a_twin_gives_the_very_numbers(name):
    patient = REGISTRY[name]
    own, other = (patient.observe(replace(each, steps=12)) for each in (patient.base, patient.twin))
    assert own == other  # losses, norms, validation, what it tells


# ---------------------------------------------------------------------- how it looks


def test_the_learners_instruments_are_used_and_the_courses_where_one_is_missing(charts):
    def future_leak(model, ids):
        return 7.0

    readings = {each.instrument: each for each in examine(Program(), charts[0], {"future_leak": future_leak})}
    assert readings["future_leak"].value == 7.0 and readings["future_leak"].alarm
    assert readings["row_leak"].alarm is False


def test_random_numbers_and_the_mode_are_left_alone(charts):
    model = charts[0].model.train()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    examine(Program(), charts[0])
    assert torch.equal(torch.get_rng_state(), before) and model.training
    model.eval()


def test_a_watched_run_is_the_run_and_keeps_neighboring_weights(charts):
    plain = Program().run(0)
    assert charts[0].losses == plain.losses and charts[0].validation == plain.validation
    early, late = charts[0].more["weights"]
    assert (early.when, late.when) == ("early", "late")
    for moment in (early, late):
        assert any(not torch.equal(moment.after[name], value) for name, value in moment.before.items())


@pytest.mark.parametrize(("factor", "off"), [(1.0, 0.0), (3.0, 2.0)])
def test_the_gradient_that_is_used_is_compared_with_the_losss_own(charts, factor, off):
    def train(model, loss, batches, steps, lr):
        yield from healthy.train(model, lambda *each: factor * loss(*each), batches, steps, lr)

    case = Case(replace(Program(), train=train), charts[0], {}, 0)
    own, used = gradients(case)
    ratios = instruments.update_ratios(own, used)
    assert all(ratio == pytest.approx(off, abs=1e-3) for ratio in ratios.values())


def test_uneven_batches_tell_a_mean_of_means_from_a_mean(charts):
    model, program = charts[0].model, Program()
    batches = uneven(program)
    assert len({inputs.shape for inputs, _ in batches}) > 1
    means = [program.loss(model, *each).item() for each in batches]
    whole = healthy.evaluate(model, program.loss, iter(batches), len(batches))
    assert abs(sum(means) / len(means) - whole) > LIMITS["score"][1]


def test_ids_that_are_not_the_stories_are_known_by_their_neighbors():
    program, end = Program(), tokenizer().eos_token_id
    inputs, _ = next(program.data(3))
    assert known(inputs, program, end) == 1
    assert known(inputs % 256, program, end) < 0.5


def test_limits_are_between_numbers_and_nan_is_beyond_them():
    assert all(low < high for low, high in LIMITS.values())
    assert all(outside(name, float("nan")) for name in LIMITS)
    assert not any(outside(name, low) and outside(name, high) for name, (low, high) in LIMITS.items())
    assert list(itertools.chain(TOOLS)) == [name for name in TOOLS if hasattr(instruments, name)]
