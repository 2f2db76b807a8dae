"""The clinic's figures say in words what they show, and its ward keeps what was named and repaired."""

import math
from dataclasses import dataclass, field, replace

import pytest

from course.clinic import rounds
from course.clinic.ward import REGISTRY, Cause, Patient
from course.figures import clinic as figures
from helpers.errors import CourseError
from tests.pictures import check_pictures


@dataclass(frozen=True)
class Run:
    """A chart without a model."""

    losses: tuple = (7.6, 3.0, 1.5)
    norms: tuple = (2.0, 1.0, 1.0)
    validation: float = 1.6
    sample: str = " One day"
    more: dict = field(default_factory=dict)
    model: object = None

    @property
    def first(self):
        return self.losses[0]

    @property
    def last(self):
        return self.losses[-1]


WELL, ILL = Run(), Run(losses=(7.6, 0.5, 0.01), norms=(2.0, 200.0, math.nan), sample="")
LISTED = replace(WELL, more={"loss by position": [5.0, 1.0], "stories": 8, "weights": [object()]})


def pictures():
    yield (
        figures.runs({"the healthy program": WELL}),
        ["The healthy program, over 3 steps.", "the healthy program falls from 7.6 to 1.5"],
    )
    yield (
        figures.runs({figures.WITHOUT: WELL, "Ann": ILL}),
        [
            "Ann beside the program without the fault",
            "Ann lies below the line without the fault from step 2 on, 2.7 against 4.03 on average",
            "Ann mostly near 101, 101 times as large, growing from 2 to 200, no number from step 3 on",
        ],
    )
    yield (
        figures.runs({figures.WITHOUT: LISTED, "Ann": LISTED, "repaired": WELL}),
        [
            "Ann before and after the repair",
            "Loss: Ann lies on the line without the fault at every step; repaired lies on it at every step;",
            "Loss by position: Ann lies on the line without the fault",
        ],
    )
    yield figures.runs({figures.WITHOUT: Run((), ()), "Ann": ILL}), ["Loss: Ann falls from 7.6 to 0.01"]
    rows = {"Ann: a fault": {"first_loss": True, "overfit": False}, "Ben: another": {"overfit": None, "rows": 0.5}}
    yield (
        figures.seen_by(rows),
        [
            "2 patients by 3 instruments",
            "first_loss and rows give alarm for 1 patient, the most; none does for every one.",
            "Every patient has an alarm.",
            "by instrument: first_loss and rows 1, overfit 0.",
            "2 patients have a single alarm, by first_loss and rows.",
        ],
    )
    yield (
        figures.seen_by({"Eve: none": {"first_loss": False}}),
        ["No instrument gives alarm. No alarm at all for Eve: none."],
    )
    yield (
        figures.seen_by({"Ann": {"a": True, "b": True}, "Ben": {"a": True, "b": False}}),
        ["A gives alarm for 2 patients, for every one.", "by instrument: a 2, b 1."],
    )


def test_every_picture_says_what_it_shows():
    check_pictures(pictures())


FALL = tuple(1.5 + 5 * 0.95**step for step in range(90))
LEVEL = (1.0,) * 90
ILLS = {  # losses, norms, what must be said of them
    "the same": (FALL, LEVEL, ["Ann lies on the line without the fault at every step", "Ann the same at every step"]),
    "too high": (tuple(7 * loss for loss in FALL), LEVEL, ["begins at 45.5 against 6.5 and lies above", "all the way"]),
    "too low": (tuple(loss - 0.5 for loss in FALL), LEVEL, ["begins at 6 against 6.5 and lies below", "all the way"]),
    "close": (tuple(loss + 0.05 for loss in FALL), LEVEL, ["can hardly be told from", "never more than 0.05 away"]),
    "leap": (FALL[:55] + (8.5,) + FALL[56:], LEVEL, ["but for step 56, where it leaps to 8.5 and comes back"]),
    "later": (FALL[:50] + tuple(loss + 0.5 for loss in FALL[50:]), LEVEL, ["lies above", "from step 51 on"]),
    "lost": (FALL[:18] + (math.nan,) * 72, LEVEL, ["at every step before, and is no number from step 19 on"]),
    "stuck": ((6.5,) * 90, LEVEL, ["Ann stays at 6.5 throughout"]),
    "large norms": (FALL, (4.0,) * 90, ["Ann mostly near 4, 4.0 times as large"]),
    "small norms": (FALL, (0.1,) * 90, ["Ann mostly near 0.1, smaller by 10 times"]),
    "growing norms": (FALL, tuple(1.0 + step for step in range(90)), ["growing from 5.5 to 85.5"]),
    "a peak": (FALL, LEVEL[:40] + (9.0,) + LEVEL[41:], ["with a peak of 9 at step 41"]),
}


def test_every_illness_has_a_text_of_its_own_that_names_what_is_to_be_seen():
    texts = set()
    for losses, norms, said in ILLS.values():
        alt = figures.runs({figures.WITHOUT: Run(FALL, LEVEL), "Ann": Run(losses, norms)}).alt
        assert all(words in alt for words in said), alt
        texts.add(alt)
    assert len(texts) == len(ILLS)


@pytest.fixture
def ann(monkeypatch):
    """A patient whose runs cost nothing: its program is the chart that it shows."""
    monkeypatch.setattr(rounds, "watched", lambda observe, program: observe(program))
    monkeypatch.setattr(rounds, "ROUNDS", (("Ann",),))
    monkeypatch.setattr(rounds, "REGISTRY", REGISTRY)
    causes = (Cause("a leak", "No later token counts."), Cause("the targets", "They are the inputs.", right=True))
    yield Patient("Ann", "targets", "It says the same word again.", {"sample": ""}, causes, base=WELL, observe=broken)
    del REGISTRY["Ann"]


def broken(program):
    return program if program.sample else ILL


def shown(capsys) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_patient_is_admitted_beside_the_program_without_the_fault(ann, capsys):
    picture = rounds.Ward().admit("Ann")
    said = shown(capsys)
    assert "first loss 7.60 7.60" in said and "validation loss 1.60 1.60" in said and "One day" in said
    assert "Ann lies below the line without the fault from step 2 on" in picture.alt


def test_a_cause_is_named_by_its_letter(ann, capsys, monkeypatch):
    monkeypatch.setattr(rounds, "shuffled", lambda patient: list(patient.causes))
    ward = rounds.Ward()
    for nothing in ("", " ", "x", "ab"):
        ward.name("Ann", nothing)
        assert "a: a leak b: the targets" in shown(capsys) and ward.named == {}
    ward.name("Ann", "A ")
    assert "No later token counts." in shown(capsys)
    ward.progress()
    assert "causes named: 0 of 1" in shown(capsys)
    ward.name("Ann", "b")
    said = shown(capsys)
    assert said.startswith("[x] Ann: b, yes") and "They are the inputs." in said
    ward.progress()
    assert "causes named: 1 of 1, 0 of them at the first try" in shown(capsys)


def test_causes_are_offered_in_an_order_of_their_own_and_each_letter_is_about_equally_often_right():
    right = []
    for name in rounds.all_names():
        patient = rounds.REGISTRY[name]
        offered = rounds.shuffled(patient)
        assert sorted(map(id, offered)) == sorted(map(id, patient.causes)) and offered == rounds.shuffled(patient)
        right.append(rounds.LETTERS[[cause.right for cause in offered].index(True)])
    counts = [right.count(letter) for letter in "abcd"]
    assert sum(counts) == len(right) > 28 and max(counts) - min(counts) <= 2


def test_a_patient_is_discharged_when_its_symptom_is_gone(ann, capsys):
    ward = rounds.Ward()
    ward.discharge("Ann", sample="")
    assert "this is not yet what it is without the fault" in shown(capsys) and ward.repaired == {"Ann": "not yet"}
    picture = ward.discharge("Ann", sample="One day")
    assert "as without the fault" in shown(capsys) and "repaired lies on it at every step" in picture.alt
    with pytest.raises(CourseError, match="losses has no fault; ill are sample"):
        ward.discharge("Ann", losses=())
    with pytest.raises(CourseError, match="no patient 'Nobody'"):
        ward.admit("Nobody")


@pytest.mark.parametrize(
    ("ill", "after", "well", "is_well"),
    [
        (1.0, 2.0, 2.0, True),
        (1.0, 1.9, 2.0, True),
        (1.0, 1.5, 2.0, False),
        (1.0, math.nan, 2.0, False),
        (math.nan, 2.05, 2.0, True),
        (math.nan, 3.0, 2.0, False),
        (math.inf, math.inf, 2.0, False),
    ],
)
def test_a_symptom_is_gone_when_it_is_nearly_where_it_would_be(ill, after, well, is_well):
    assert rounds.recovered({"x": ill}, {"x": after}, {"x": well}) == is_well


def test_every_patient_is_met_in_a_round():
    met = [name for each in rounds.ROUNDS for name in each]
    assert len(met) == len(set(met)) and set(met) == set(REGISTRY)
