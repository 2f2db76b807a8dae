"""The patients of score, precision, resuming and telling, and the hard ones: each symptom, each repair, each diff."""

import difflib
import inspect
from dataclasses import replace

import pytest

from course.checks import nb10  # noqa: F401
from course.checks.exercise import NOT_ATTEMPTED, REGISTRY, RIGHT
from course.clinic import hard, healthier, healthy, precision, scoring, telling
from course.clinic.program import Program
from course.clinic.ward import REGISTRY as PATIENTS
from tests.wrong_answers.nb10_scoring import changed

WELL = {  # exercise, the ill organ, the well one
    "10.35": (scoring.uma_evaluate, healthy.evaluate),
    "10.36": (scoring.vera_split, healthier.split),
    "10.37": (scoring.wim_evaluate, healthy.evaluate),
    "10.38": (scoring.xena_share, healthier.share),
    "10.39": (scoring.yan_train, healthier.train_in_parts),
    "10.29": (precision.tom_train, healthier.train_in_half),
    "10.41": (telling.ZoeCache, healthier.Cache),
    "10.42": (telling.bea_pack, healthier.pack),
    "10.43": (telling.cleo_load, healthier.load),
    "10.44": (hard.dan_train, healthy.train),
}
SYMPTOMS = {  # of seed 0: ill and well, and how far a CPU may be off
    "Uma": ({"validation": 2.38, "scored once more": 2.38}, {"validation": 2.21, "scored once more": 2.21}, 0.06),
    "Vera": ({"validation": 1.67}, {"validation": 2.94}, 0.25),
    "Wim": ({"difference between batch sizes": 0.21}, {"difference between batch sizes": 0.0}, 0.06),
    "Xena": (
        {"last loss": 3.50, "mean norm of the second half": 1.58},
        {"last loss": 1.82, "mean norm of the second half": 0.98},
        0.25,
    ),
    "Yan": ({"loss of ten after the stop": 2.11}, {"loss of ten after the stop": 1.92}, 0.08),
    "Zoe": ({"as without a cache": 1}, {"as without a cache": 10}, 2),
    "Cleo": (
        {"validation when loaded": 6.44, "last loss": 2.10}, {"validation when loaded": 2.92, "last loss": 1.74}, 0.2,
    ),
    "Dan": ({"last loss": 0.10, "validation": 7.57}, {"last loss": 1.65, "validation": 1.66}, 0.6),
}  # fmt: skip


@pytest.mark.parametrize("name", SYMPTOMS)
def test_a_patient_shows_its_symptom_and_the_repaired_one_does_not(name):
    ill, well, room = SYMPTOMS[name]
    patient = PATIENTS[name]
    organ = {key: getattr(patient.base, key) for key in patient.ill}
    assert patient.symptom(patient.observe(patient.program())) == pytest.approx(ill, abs=room)
    assert patient.symptom(patient.observe(patient.program(**organ))) == pytest.approx(well, abs=room)


def test_tom_learns_too_slowly_and_logs_norms_of_the_scaled_loss():
    patient = PATIENTS["Tom"]
    ill, well = (patient.observe(each) for each in (patient.program(), patient.base))
    assert ill.last > well.last + 0.15
    assert ill.norms[0] / well.norms[0] == pytest.approx(2**16, rel=0.1)


def test_bea_reads_no_id_above_a_byte_and_learns_it_well():
    patient = PATIENTS["Bea"]
    ill = patient.observe(patient.program())
    inputs, _ = next(patient.program().data(0))
    assert int(inputs.max()) < 256 <= int(next(patient.base.data(0))[0].max())
    assert ill.last < 4 and "\ufffd" in ill.sample + patient.program().tell(ill.model, "Every day")


def test_eve_is_as_well_as_a_run_without_the_jump():
    eve, usual = PATIENTS["Eve"].observe(PATIENTS["Eve"].program()), Program().run()
    jump = hard.STRAYED_INTO
    assert PATIENTS["Eve"].ill == {}
    assert eve.losses[jump] > eve.losses[0] + 1
    assert eve.losses[:jump] == usual.losses[:jump]
    assert max(eve.losses[jump + 1 : jump + 6]) < 2.7 and abs(eve.validation - usual.validation) < 0.06


@pytest.mark.parametrize("number", WELL)
def test_ill_and_well_differ_in_a_few_lines(number):
    ill, well = (inspect.getsource(organ).splitlines() for organ in WELL[number])
    assert 7 <= len(ill) <= 40
    lines = [line for line in difflib.unified_diff(ill[2:], well[2:], lineterm="", n=0) if line[0] in "+-"]
    assert 1 <= len([line for line in lines if not line.startswith(("+++", "---"))]) <= 14


@pytest.mark.parametrize("number", WELL)
def test_the_ill_organ_is_not_attempted_and_the_well_one_right(number):
    ill, well = WELL[number]
    assert REGISTRY[number](ill).state == NOT_ATTEMPTED
    assert REGISTRY[number](well).state == RIGHT
    assert replace(REGISTRY[number], begins_as=None)(ill).state != RIGHT


OTHER_WAYS = [
    ("10.38", scoring.xena_share, [("random.Random(seed)", "random.Random(1_000 * seed + rank)")]),
    ("10.38", scoring.xena_share, [("    shuffled", "    stories = stories[rank::processes]\n    shuffled")]),
    ("10.43", telling.cleo_load,
     [("    return",
       '    if "head.weight" not in weights:\n        model.head.weight = model.wte.weight\n    return')]),
    ("10.44", healthy.train, [("        optimizer.zero_grad()\n", ""),
                              ("        yield", "        optimizer.zero_grad()\n        yield")]),
    ("10.41", telling.ZoeCache,
     [("torch.tensor([self.length])", "torch.tensor([self.length - 1])"),
      ("if ids.shape[1] > 1:", "if ids.shape[1] > 1 and self.length > ids.shape[1]:\n"
       "            return self.length - ids.shape[1] + torch.arange(ids.shape[1])\n        if ids.shape[1] > 1:")]),
    ("10.42", telling.bea_pack, [("np.uint8 if array.min() >= 0 else np.int16", "np.uint32")]),
    ("10.35", scoring.uma_evaluate,
     [("    total = 0.0", "    model.eval()\n    total = 0.0"), ("    return", "    model.train()\n    return")]),
]  # fmt: skip


@pytest.mark.parametrize(("number", "organ", "changes"), OTHER_WAYS)
def test_a_repair_in_another_way_passes(number, organ, changes):
    result = REGISTRY[number](changed(organ, "another_way", *changes))
    assert result.state == RIGHT, result
