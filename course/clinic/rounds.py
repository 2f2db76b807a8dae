"""The ward round of notebook 10: what its cells do with a patient, and what is known of each so far.

from course.clinic.rounds import ward

ward.admit("Fay")                                # what its owner sees, beside the program without the fault
ward.examine("Fay", tools)                       # what the learner's instruments say
ward.name("Fay", "b")                            # the cause, from evidence
ward.discharge("Fay", attention=FayAttention)    # the repaired run, drawn over both
"""

import math
import random
import textwrap
from collections.abc import Collection
from dataclasses import dataclass, field

from course.checks import parts
from course.checks.begun import same_code
from course.checks.result import NOT_ATTEMPTED, RIGHT, WRONG, as_html, as_text, show
from course.clinic import data, hard, learning, precision, scoring, structure_patients, telling, unasked  # noqa: F401
from course.clinic.examination import TOOLS, examine, watched
from course.clinic.program import Chart, Program
from course.clinic.programs import BEGINNINGS
from course.clinic.ward import REGISTRY, Cause, Patient, healthy_chart
from course.figures import clinic as figures
from helpers.errors import CourseError
from helpers.files import data_folder, read_json

LETTERS = "abcdefgh"
SALT = 129  # of the order of the causes: one with which no letter is right much more often than another
ROUNDS = (  # whom the notebook meets, round by round
    ("Ada", "Bruno", "Carla", "Dora", "Emil"),
    ("Fay", "Gus", "Hana", "Ivo", "Jun"),
    ("Kira", "Leo", "Mona", "Nils", "Olga", "Paul", "Rosa", "Sven", "Tom", "Quin", "Abe"),
    ("Uma", "Vera", "Wim", "Xena", "Yan"),
    ("Zoe", "Bea", "Cleo"),
    ("Dan", "Eve"),
)
ROWS = {  # a chart's further numbers, as the table of numbers calls them
    "change in company": "change in a batch of eight",
    "beginnings that go on as without a cache": f"of {len(BEGINNINGS)} beginnings, told as without a cache",
    "nats per token it tells": "its own loss on what it tells, read whole",
}
UNFIT = {  # why an instrument is not asked about a run
    "seeds_differ": "it compares several runs",
    "first_difference": "it needs a good model with parameters of the same names",
}
WELL_WITHIN = 0.25  # of the way from the healthy number to the ill one: a repaired symptom may be off by so much


@dataclass(frozen=True)
class Naming:
    """The answer to "what is it?", as a notebook and a terminal show it."""

    patient: str
    state: str
    verdict: str
    lines: list[tuple[str, str]]

    def __repr__(self) -> str:
        return as_text(self.state, f"{self.patient}: {self.verdict}", self.lines)

    def _repr_html_(self) -> str:
        return as_html(self.state, f"{self.patient}:", self.verdict, self.lines)


@dataclass
class Ward:
    """All patients, and how far the learner has come with each.

    Attributes:
        named: the letters that were tried, in order; repaired: whether the symptom is gone, and by whom.
    """

    named: dict[str, list[str]] = field(default_factory=dict)
    repaired: dict[str, str] = field(default_factory=dict)
    _charts: dict[str, Chart] = field(default_factory=dict, repr=False)
    _readings: dict[str, list] = field(default_factory=dict, repr=False)

    def patient(self, name: str) -> Patient:
        """The patient of that name.

        Raises:
            CourseError: there is none.
        """
        if name not in REGISTRY:
            raise CourseError(f"there is no patient {name!r}; there are {', '.join(REGISTRY)}")
        return REGISTRY[name]

    def chart(self, name: str) -> Chart:
        """What the owner of the patient sees: its run, done once."""
        if name not in self._charts:
            patient = self.patient(name)
            self._charts[name] = watched(patient.observe, patient.program())
        return self._charts[name]

    def healthy(self, name: str) -> Chart:
        """The same program without the fault; beside a patient that has none, the program that all others are."""
        patient = self.patient(name)
        return healthy_chart(patient.twin or (patient.base if patient.ill else Program()), patient.observe)

    def admit(self, name: str):
        """Print a patient's numbers beside those without the fault; returns the picture of both runs."""
        charts = {figures.WITHOUT: self.healthy(name), name: self.chart(name)}
        print(beside(charts))
        return figures.runs(charts)

    def examine(self, name: str, tools) -> None:
        """Print the alarms of those instruments that are among `tools`, and which of them are silent.

        Below an alarm stands what was recorded of the same instrument and the program without the fault.
        """
        built = {reading.instrument: reading for reading in self.readings(name, tools) if reading.instrument in tools}
        well = record_of(f"{name} without the fault 0").get("readings", {})
        for tool, reading in built.items():
            if reading.alarm is not False:
                mark = "[!]" if reading.alarm else "[ ]"
                print(textwrap.fill(f"{mark} {tool:16} {reading.says}", 104, subsequent_indent=" " * 21))
                if says := well.get(tool, {}).get("says"):
                    print(textwrap.fill(f"{'':20} (without the fault: {says})", 104, subsequent_indent=" " * 21))
        silent = [tool for tool, reading in built.items() if reading.alarm is False]
        unfit = [f"{tool} ({UNFIT[tool]})" if tool in UNFIT else tool for tool in tools if tool not in built]
        for what, names in (("silent", silent), ("cannot be asked here", unfit)):
            if names:
                print(textwrap.fill(f"[ ] {what}: {', '.join(names)}", 104, subsequent_indent=" " * 4))

    def readings(self, name: str, tools) -> list:
        """The readings of all instruments that can look at this patient, taken once."""
        if name not in self._readings:
            self._readings[name] = examine(self.patient(name).program(), self.chart(name), tools)
        return self._readings[name]

    def name(self, name: str, letter: str) -> None:
        """Show the possible causes, or what speaks for or against the one of that letter."""
        causes = shuffled(self.patient(name))
        options = [(each, cause.text) for each, cause in zip(LETTERS, causes, strict=False)]
        letter = letter.strip().lower()
        if letter not in dict(options):
            none = f"there is no cause {letter!r}. " if letter else ""
            asked = f"{none}what is it? Write its letter between the quotation marks."
            show(Naming(name, NOT_ATTEMPTED, asked[0].lower() + asked[1:], options))
            return
        tried = self.named.setdefault(name, [])
        tried.append(letter)
        cause = causes[LETTERS.index(letter)]
        state, verdict = (RIGHT, "yes") if cause.right else (WRONG, "no; look again")
        show(Naming(name, state, f"{letter}, {verdict}", [(cause.text, cause.feedback)]))

    def discharge(self, name: str, **organs):
        """Run the program with repaired organs; print its numbers beside the others, and return the picture of all.

        Where the repair is the course's own and the very code of the program without the fault, that run is taken.
        """
        patient = self.patient(name)
        if unknown := [organ for organ in organs if organ not in patient.ill]:
            raise CourseError(f"{name}'s {unknown[0]} has no fault; ill are {', '.join(patient.ill)}")
        before, well = self.chart(name), self.healthy(name)
        after = well if known(patient, organs) else patient.observe(patient.program(**organs))
        own = all(parts.yours(organ) is not organ for organ in organs.values())
        is_well = recovered(*(patient.symptom(chart) for chart in (before, after, well)))
        self.repaired[name] = ("by you" if own else "by the course's own part") if is_well else "not yet"
        charts = {figures.WITHOUT: well, name: before, "repaired": after}
        print(beside(charts, only=("repaired",)))
        told = "what was ill is now as without the fault" if is_well else "this is not yet what it is without the fault"
        print(f"\n{name}, repaired {self.repaired[name]}: {told}." if is_well else f"\n{name}: {told}.")
        return figures.runs(charts)

    def progress(self) -> None:
        """Print how many causes were named, how many at the first try, and what was repaired by whom."""
        to_name = [name for name in all_names() if REGISTRY[name].causes]
        right = {name: next(LETTERS[i] for i, c in enumerate(shuffled(REGISTRY[name])) if c.right) for name in to_name}
        named = [name for name in to_name if right[name] in self.named.get(name, ())]
        first = [name for name in named if self.named[name][0] == right[name]]
        to_repair = [name for name in all_names() if REGISTRY[name].ill]
        yours = [name for name in to_repair if self.repaired.get(name) == "by you"]
        print(f"causes named: {len(named)} of {len(to_name)}, {len(first)} of them at the first try")
        print(f"repaired by you, and discharged: {len(yours)} of {len(to_repair)}")
        for what, names in (("still to name", set(to_name) - set(named)), ("to repair", set(to_repair) - set(yours))):
            listed = ", ".join(name for name in all_names() if name in names)
            if listed:
                print(textwrap.fill(f"{what}: {listed}", 110, subsequent_indent="    "))

    def table(self, tools, first: int = 1, last: int = len(ROUNDS)):
        """The picture of which of the learner's instruments gives alarm at which patient of the rounds from `first`
        to `last`.

        Raises:
            CourseError: there are no such rounds.
        """
        if not 1 <= first <= last <= len(ROUNDS):
            raise CourseError(f"there are rounds 1 to {len(ROUNDS)}, not {first} to {last}")
        alarms = {}
        for name in [name for names in ROUNDS[first - 1 : last] for name in names]:
            row = {reading.instrument: reading.alarm for reading in self.readings(name, tools)}
            alarms[f"{name}: {self.patient(name).short}"] = row
        return figures.seen_by(alarms, f"Which instrument sees which fault: rounds {first} to {last}")


def shuffled(patient: Patient) -> list[Cause]:
    """A patient's causes in the order in which they are offered, always the same one."""
    return random.Random(f"{patient.name}{SALT}").sample(patient.causes, len(patient.causes))


def recorded() -> dict:
    """The record of all instruments on all runs, data/recorded/clinic.json."""
    return read_json(data_folder() / "recorded" / "clinic.json")


def record_of(run: str) -> dict:
    """What was recorded of one run, such as "Ada without the fault 0"; empty if nothing was."""
    return recorded()["entries"].get(run, {})


def record() -> None:
    """Print what was recorded of every instrument: alarms on healthy runs, and the patients whose runs it saw."""
    all_runs = recorded()
    alarms = {
        run: {tool for tool, reading in entry["readings"].items() if reading["alarm"]}
        for run, entry in all_runs["entries"].items()
    }
    healthy = [run for run in alarms if run.startswith("healthy ")]
    repaired = [run for run in alarms if " without the fault " in run]
    seeds = {name: [run for run in alarms if run.rpartition(" ")[0] == name] for name in all_names()}
    seen = {name: set.intersection(*(alarms[run] for run in runs)) for name, runs in seeds.items() if runs}
    ill = [name for name in seen if REGISTRY[name].ill]
    print(f"{'':17}{'healthy seeds':>15}{'without fault':>15}{'patients':>12}   seen by it alone")
    for tool in TOOLS:
        false = [f"{sum(tool in alarms[run] for run in runs)} of {len(runs)}" for runs in (healthy, repaired)]
        by_it = [name for name in ill if tool in seen[name]]
        if tool == "seeds_differ":  # it looks at no single run: three with the fault were compared with three without
            false = ["-", "-"]
            by_it = [name for name in ill if all_runs["seeds_differ"].get(name, {}).get("alarm")]
        alone = ", ".join(name for name in by_it if seen[name] == {tool})
        print(f"{tool:17}{false[0]:>15}{false[1]:>15}{f'{len(by_it)} of {len(ill)}':>12}   {alone}")


def all_names() -> list[str]:
    """The patients in the order of the rounds."""
    return [name for each in ROUNDS for name in each if name in REGISTRY]


def known(patient: Patient, organs: dict) -> bool:
    """Whether a repair is the course's own and, but for names, the code of the program without the fault.

    Run again, it would give the same numbers. A learner's own is always run.
    """
    return organs.keys() == patient.ill.keys() and all(
        parts.yours(organ) is organ and same_code(organ, getattr(patient.base, name)) for name, organ in organs.items()
    )


def recovered(ill: dict[str, float], after: dict[str, float], well: dict[str, float]) -> bool:
    """Whether every number of a symptom has gone back to where it is without the fault, or nearly."""
    return all(
        math.isfinite(after[key])
        and abs(after[key] - well[key]) <= (WELL_WITHIN * abs(ill[key] - well[key]) if math.isfinite(ill[key]) else 0.1)
        for key in well
    )


def beside(charts: dict[str, Chart], only: Collection[str] | None = None) -> str:
    """The numbers of some runs in columns, and below them what each model tells, or those in `only`."""
    rows = {"first loss": lambda c: c.first, "loss of the last ten": lambda c: c.last,
            "validation loss": lambda c: c.validation, "largest norm": lambda c: max(c.norms)}  # fmt: skip
    extra = dict.fromkeys(k for c in charts.values() for k, v in c.more.items() if isinstance(v, int | float))
    rows |= {ROWS.get(key, key): lambda c, key=key: c.more.get(key, math.nan) for key in extra}
    wide = max(map(len, rows))
    heads = [f"{name:>18}" for name in charts]
    lines = [" " * wide + "".join(heads)]
    for name, number in rows.items():
        lines.append(f"{name:{wide}}" + "".join(f"{_number(number(chart)):>18}" for chart in charts.values()))
    lines += [f"{key}: {text}" for c in charts.values() for key, text in c.more.items() if isinstance(text, str)]
    said: dict[str, str] = {}  # by whom, so that nothing is printed twice
    for name, chart in charts.items():
        same = said.setdefault(chart.sample, name)
        text = printable(chart.sample) if same == name else f"the same as {same}"
        if text and (only is None or name in only):
            who = f"{name}, it" if name == figures.WITHOUT else name
            lines.append(textwrap.fill(f"{who} tells: {text}", 110, subsequent_indent="    "))
    return "\n".join(lines)


def printable(text: str) -> str:
    """A text in one line; what no page can show, such as a control character, as U+FFFD."""
    return "".join(each if each.isprintable() else "\ufffd" for each in " ".join(text.split()))


def _number(value: float) -> str:
    """Two places after the point, or as much as is needed of very small and very large numbers; a count as it is."""
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:,.2f}" if 0.01 <= abs(value) < 1e5 else f"{value:.2g}"


ward = Ward()
