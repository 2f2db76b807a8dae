"""The patients of the clinic, by name, and what is done with them: admit, name the cause, examine, repair."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from course.clinic.program import Chart, Program

REGISTRY: dict[str, "Patient"] = {}


@dataclass(frozen=True)
class Cause:
    """One of the possible causes that the learner chooses from; `feedback` says what speaks for or against it."""

    text: str
    feedback: str
    right: bool = False


@dataclass(frozen=True)
class Patient:
    """A program with a fault (or two, or none), known by what its owner reports.

    Attributes:
        name: "Fay"; exercises call its organs `fay_train` or `FayAttention`.
        short: the cause in a few words, for the table at the end.
        report: what the owner says: what was done and what is seen, never why.
        ill: the organs that have a fault, by their names in `Program`.
        causes: three or four, all plausible, one right.
        thread: where somebody really had this fault: (title, address).
        base: the program that it would be, were it well; its settings may be the patient's own.
        twin: another program that gives the very numbers of `base`, so that one run does for both; None: there is none.
        observe: what is run and looked at; by default a training run.
        symptom: named numbers of a chart, with which the text speaks and a test holds it.
    """

    name: str
    short: str
    report: str
    ill: dict[str, Callable]
    causes: tuple[Cause, ...]
    thread: tuple[str, str] = ("", "")
    base: Program = field(default_factory=Program)
    twin: Program | None = None
    observe: Callable[[Program], Chart] = Program.run
    symptom: Callable[[Chart], dict[str, float]] = lambda chart: {"first loss": chart.first, "last loss": chart.last}

    def __post_init__(self):
        if sum(cause.right for cause in self.causes) != 1 and self.causes:
            raise ValueError(f"{self.name} needs one right cause")
        REGISTRY[self.name] = self

    def program(self, **repaired: Callable) -> Program:
        """The patient's program; with organs of the same name in place of ill ones."""
        return replace(self.base, **{**self.ill, **repaired})


_HEALTHY: list[tuple[Program, Callable[[Program], Chart], Chart]] = []  # programs are compared, they have no hash


def healthy_chart(base: Program, observe: Callable[[Program], Chart]) -> Chart:
    """The program without a fault, run once."""
    for program, way, chart in _HEALTHY:
        if program == base and way == observe:
            return chart
    _HEALTHY.append((base, observe, observe(base)))
    return _HEALTHY[-1][-1]
