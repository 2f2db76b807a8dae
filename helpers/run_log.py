"""What a run shows and keeps of its course: a bar, a log, a picture, and a way to stop it between two steps."""

import json
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

from helpers.errors import CourseError
from helpers.files import write_atomically

LOG, CURVES, SAMPLES = "log.jsonl", "curves.png", "samples.txt"


def read_log(folder: str | Path) -> list[dict]:
    """The rows of a run's log; a line that was cut off or damaged is left out."""
    path = Path(folder) / LOG
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


@contextmanager
def stop_on_interrupt(patient: bool = False):
    """Turn the first Ctrl-C (or a polite kill) into an event to be looked at between steps; a second interrupts.

    With `patient` further ones change nothing: under `torchrun` every process gets the terminal's signal and then
    the launcher's.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # only the main thread may handle signals
        return

    def handle(number, frame):
        if event.is_set() and not patient:
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def writing_to(folder: str | Path):
    """Say in one line what is wrong where a run's folder cannot be written to.

    Raises:
        CourseError: in place of an `OSError` inside.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise CourseError(f"{folder} cannot be written to ({reason}): make room, then resume the run") from error


def start_log(folder: str | Path, rows: Sequence[dict] = ()) -> None:
    """Begin a log with these rows: none, or those that a resumed run keeps of what was written before."""
    write_atomically(Path(folder) / LOG, "".join(_line(row) for row in rows))


def append_to_log(folder: str | Path, row: dict) -> None:
    """Add one row; whoever reads the file meanwhile sees it at once."""
    with open(Path(folder) / LOG, "a", encoding="utf-8") as file:
        file.write(_line(row))


def _line(row: dict) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def write_report(folder: str | Path, rows: Sequence[dict]) -> None:
    """Draw the run so far, and gather the stories that it told; both from the rows of the log alone."""
    from course.figures.training import run_curves

    if rows:
        write_atomically(Path(folder) / CURVES, run_curves(rows).png)
    told = [f"step {row['step']}: {row['sample']}\n" for row in rows if "sample" in row]
    if told:
        write_atomically(Path(folder) / SAMPLES, "\n".join(told))


def peak_memory(device) -> float | None:
    """The most memory that this process has held so far, in GB: the GPU's on a GPU; None where it is not known."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def bar_of(settings, start: int = 0, shown: bool = True):
    """A progress bar over a run's steps, seconds or epochs, whichever decides its length."""
    from tqdm.auto import tqdm

    if settings.steps:
        return tqdm(total=settings.steps, initial=start, unit=" steps", mininterval=0.5, disable=not shown)
    total, unit = (settings.seconds, "s") if settings.seconds else (settings.epochs, "epochs")
    form = "{l_bar}{bar}| {n:.2f}/{total_fmt} {unit} {postfix}"
    return tqdm(total=total, unit=unit, bar_format=form, mininterval=0.5, disable=not shown)


def show_step(bar, at: float, loss: float, val_loss: float | None, row: dict) -> None:
    """Move a bar to `at`, with the losses beside it; a sample that stands in this step's row is written above."""
    told = {"loss": f"{loss:.3f}"} | ({} if val_loss is None else {"val": f"{val_loss:.3f}"})
    bar.set_postfix(told, refresh=False)
    bar.update(min(at, bar.total) - bar.n)
    if "sample" in row:
        bar.write(f"\nstep {row['step']}: {row['sample']}\n")
