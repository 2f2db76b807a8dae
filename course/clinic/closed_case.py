"""The closed case: a whole training script with three faults and no hint, marked by what it then reaches.

    closed_case()                          # writes runs/closed_case.py, to be edited
    closed_case("runs/closed_case.py")     # runs it, and says what it reaches

The script's functions are called as it stands; everything that it reaches is measured here, by code of its own. What
is marked says nothing of where a fault is.
"""

import traceback
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from course.clinic.program import one_thread
from helpers.errors import CourseError
from helpers.files import write_atomically

SCRIPT = Path(__file__).with_name("case_script.py")
HERE = Path("runs") / "closed_case.py"
BAR = 1.9  # nats per token on validation stories; the script without its faults reaches about 1.6 to 1.7
BEGINNINGS = ("One Saturday,", "There was", "Every day", "A little girl", "The dog")
PARTS = ("Storyteller", "openings", "train", "tell", "END", "STEPS", "tokenizer")


@dataclass(frozen=True)
class Mark:
    """One thing that the script should reach, and what it did."""

    aim: str
    reached: bool
    seen: str


def closed_case(answer: str | Path | None = None) -> list[Mark]:
    """Run a script and print what it reaches.

    Args:
        answer: the path of a file, or the script itself as text (with line breaks). None: put the script with its
            faults to runs/closed_case.py, unless that is there.

    Raises:
        CourseError: there is no such file, or a part of the script is missing.
    """
    if answer is None:
        if not HERE.is_file():
            write_atomically(HERE, SCRIPT.read_text(encoding="utf-8"))
        print(f"The script is {HERE}: edit it, then run closed_case({str(HERE)!r}).")
        return []
    marks = marked(_text_of(answer))
    for mark in marks:
        print(f"[{'x' if mark.reached else ' '}] {mark.aim}: {mark.seen}")
    solved = sum(mark.reached for mark in marks)
    print(f"\n{solved} of {len(marks)}" + (": the case is closed." if solved == len(marks) else ": the case is open."))
    return marks


def marked(source: str) -> list[Mark]:
    """What a script reaches: a few seconds on one thread. Global generators are left as they were."""
    script = _run(source)
    with one_thread(), torch.random.fork_rng(devices=[]):
        stories, held_out = script["openings"]("train", 1_500), script["openings"]("validation", 120)
        torch.manual_seed(0)
        model = script["Storyteller"]()
        try:
            losses, _ = script["train"](model, stories)
            return [*_learning(script, model, losses, held_out), _resumed(script, stories)]
        except CourseError:
            raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise CourseError(f"the script stops in line {place.lineno}: {type(error).__name__}: {error}") from error


def _learning(script: dict, model, losses: list[float], held_out: list[list[int]]) -> list[Mark]:
    """Whether it predicts stories that it never saw, sees no future, and knows where a story ends."""
    model.eval()
    end, total, ends, asked = script["END"], 0.0, 0.0, 0
    with torch.no_grad():
        for story in held_out:
            row = torch.tensor([end, *story, end])
            each = F.cross_entropy(model(row[None, :-1])[0], row[1:], reduction="none")
            total, asked, ends = total + each[:-1].sum().item(), asked + len(each) - 1, ends + each[-1].item()
        ids = torch.tensor([[end, *held_out[0]]])
        other = ids.clone()
        other[0, 6:] = other[0, 6:].flip(0)
        gap = (model(ids)[0, :6] - model(other)[0, :6]).abs().max().item()
        told = [script["tell"](model, beginning) for beginning in BEGINNINGS]
    stopped = sum(ids[-1] == end for ids in told)
    score, ends = total / asked, ends / len(held_out)
    steps = f"{len(losses)} of {script['STEPS']} steps"
    return [
        Mark(f"new stories cost less than {BAR} nats per token", score < BAR, f"{score:.2f}, after {steps}"),
        Mark("a token's prediction does not depend on later ones", gap < 1e-3, f"differs by {gap:.1g}"),
        Mark("where a new story ends, the end costs less than 2 nats", ends < 2, f"{ends:.2f}"),
        Mark("at least three of five stories it tells come to an end", stopped >= 3, f"{stopped}"),
    ]


def _resumed(script: dict, stories: list[list[int]]) -> Mark:
    """Whether a run that is stopped twice has the losses of one that is not."""
    whole, _ = script["train"](_new(script, 1), stories, seed=5, until=12)
    parts, saved = [], None
    for i, until in enumerate((4, 7, 12)):
        some, saved = script["train"](_new(script, 1 if i == 0 else 10 + i), stories, seed=5, saved=saved, until=until)
        parts += some
    if len(whole) != 12 or len(parts) != 12:
        return Mark("a run that is stopped goes on as if it were not", False, f"{len(parts)} losses for 12 steps")
    worst = max(abs(a - b) for a, b in zip(whole, parts, strict=True))
    return Mark("a run that is stopped goes on as if it were not", worst < 1e-3, f"losses differ by up to {worst:.2g}")


def _new(script: dict, seed: int):
    torch.manual_seed(seed)
    return script["Storyteller"]()


def _text_of(answer: str | Path) -> str:
    if isinstance(answer, str) and "\n" in answer:
        return answer
    if not Path(answer).is_file():
        raise CourseError(f"there is no file {answer}: closed_case() writes the script, to be edited")
    return Path(answer).read_text(encoding="utf-8")


def _run(source: str) -> dict:
    """The script's names, after it has been read but not started."""
    scope: dict = {"__name__": "closed_case"}
    try:
        exec(compile(source, "<the script>", "exec"), scope)
    except Exception as error:
        raise CourseError(f"the script cannot be read: {type(error).__name__}: {error}") from error
    if missing := [name for name in PARTS if name not in scope]:
        raise CourseError(f"the script has no {', '.join(missing)} any more: keep the names, change what they do")
    return scope
