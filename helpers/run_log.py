"""Built in notebook 07: what a run shows and keeps of its course: a log, a bar, samples, and a way to stop it.

Used by `helpers.training`; `read_log` by everything that draws or judges a run.
"""

import errno
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from helpers.errors import CourseError
from helpers.files import folder_to_be, parse_json, write_atomically
from helpers.settings import ScheduleConfig

LOG, CURVES, SAMPLES, LOCK = "log.jsonl", "curves.png", "samples.txt", ".lock"
NUMBERS = ("tokens", "loss", "val_loss", "val_accuracy", "lr", "grad_norm", "tokens_per_second", "seconds", "memory_gb")


class RunLog:
    """The rows of a run: kept, handed to a callback, and written to the run's folder; None writes nothing."""

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.rows: list[dict] = []
        self.losses: list[float] = []  # of the steps since the last row
        self._since = 0, time.perf_counter()  # tokens and time of the last row

    def start(self, tokens: int) -> None:
        """Begin the file with the rows there are: none, or those that a resumed run keeps."""
        if self.folder is not None:
            with writing_to(self.folder):
                write_atomically(self.folder / LOG, "".join(_line(row) for row in self.rows))
        self._since = tokens, time.perf_counter()

    def keep_until(self, step: int) -> None:
        """Take up what was written before, as far as this step."""
        found = [] if self.folder is None else read_log(self.folder)
        self.rows[:] = [row for row in found if row["step"] <= step]

    def row(self, step: int, tokens: int, seconds: float, device: torch.device, **more) -> dict:
        """A new row, with what has been seen since the last one."""
        before, at = self._since
        return {
            "step": step,
            "tokens": tokens,
            "loss": sum(self.losses) / len(self.losses) if self.losses else None,
            **more,
            "tokens_per_second": (tokens - before) / (time.perf_counter() - at + 1e-9),
            "seconds": round(seconds, 3),
            "memory_gb": peak_memory(device),
        }

    def add(self, row: dict, callback: Callable[[dict], bool | None] | None = None) -> bool:
        """Keep a row; a true answer means that the callback wants to stop. Whoever reads the file sees it at once."""
        self.losses.clear()
        self.rows.append(row)
        stop = bool(callback and callback(row))
        if self.folder is not None:
            with writing_to(self.folder), open(self.folder / LOG, "a", encoding="utf-8") as file:
                file.write(_line(row))
        self._since = row["tokens"], time.perf_counter()
        return stop

    def write_report(self, report: Callable[[Path, Sequence[dict]], None] | None = None) -> None:
        """Gather the stories that the run wrote, and have it drawn."""
        samples = [f"step {row['step']}: {row['sample']}\n" for row in self.rows if "sample" in row]
        if samples:
            write_atomically(self.folder / SAMPLES, "\n".join(samples))
        if report is not None:
            report(self.folder, self.rows)


def read_log(folder: str | Path) -> list[dict]:
    """The rows of a run's log; a line that was cut off or damaged is left out."""
    path = Path(folder) / LOG
    if not path.is_file():
        return []
    rows = []
    for line in path.read_bytes().split(b"\n"):  # not splitlines: a story may hold what it takes for an end
        with suppress(CourseError):
            row = parse_json(line, path, nan=True)
            if isinstance(row, dict) and type(row.get("step")) is int and all(map(_fits, row, row.values())):
                rows.append(row)
    return rows


def _fits(name: str, value) -> bool:
    """Whether a log can hold this value: a text for a sample, a number or None for what it always measures."""
    if name == "sample":
        return isinstance(value, str)
    return name not in NUMBERS or value is None or (isinstance(value, int | float) and not isinstance(value, bool))


@contextmanager
def stop_on_interrupt(patient: bool = False):
    """Turn the first Ctrl-C (or a polite kill, or a closed terminal) into an event; a second interrupts.

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

    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # `nohup` has it ignored: so be it
        numbers.append(hangup)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_OWNED: dict[Path, int] = {}  # folders of this process, and how many times over


@contextmanager
def owning(folder: str | Path | None):
    """Be the one process that writes to a run's folder, for as long as the context lasts.

    The system itself takes the lock from a process that dies. Where a disk knows no locks, as some on networks, nothing
    is locked. A folder that was made for it and in which nothing came about is removed again.

    Raises:
        CourseError: another process is at work there.
    """
    if folder is None:
        yield
        return
    folder, file = folder_to_be(folder).absolute(), None
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    if not _OWNED.get(folder):
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = _locked_file(folder / LOCK)
    _OWNED[folder] = _OWNED.get(folder, 0) + 1
    try:
        yield
    finally:
        _OWNED[folder] -= 1
        if file is not None:
            with suppress(OSError):  # Windows removes no open file
                (folder / LOCK).unlink()
            file.close()  # and with it the lock
            with suppress(OSError):  # not empty: a run is in it
                for each in made:
                    each.rmdir()


def _locked_file(path: Path):
    """The open file with this process's number in it, locked; a CourseError if another process holds it."""
    while True:
        file = open(path, "a+", encoding="utf-8")
        if not _locked(file):
            file.seek(0)
            owner = file.read(20).strip() or "?"
            file.close()
            raise CourseError(f"process {owner} is at work in {path.parent}: wait, stop it, or take another folder")
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            break
        file.close()  # whoever had it has just removed it
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _locked(file) -> bool:
    """Whether the lock of an open file is ours now."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(1 << 30)  # far behind the text: others may read that
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)  # no locks on this disk
    return True


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
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
        what = "make room, then resume the run" if full else "see that you may write there, or take another folder"
        raise CourseError(f"{folder} cannot be written to ({reason}): {what}") from error


def _line(row: dict) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def peak_memory(device) -> float | None:
    """The most memory that this process has held so far, in GB: the GPU's on a GPU; None where it is not known."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def progress_bar(length: ScheduleConfig, start: int = 0, shown: bool = True):
    """A bar over a run's steps, seconds or epochs, whichever decides its length."""
    from tqdm.auto import tqdm

    if length.steps:
        return tqdm(total=length.steps, initial=start, unit=" steps", mininterval=0.5, disable=not shown)
    total, unit = (length.seconds, "s") if length.seconds else (length.epochs, "epochs")
    form = "{l_bar}{bar}| {n:.2f}/{total_fmt} {unit} {postfix}"
    return tqdm(total=total, unit=unit, bar_format=form, mininterval=0.5, disable=not shown)


def show_step(bar, at: float, loss: float, val_loss: float | None, row: dict) -> None:
    """Move a bar to `at`, with the losses beside it; a sample that stands in this step's row is written above."""
    losses = {"loss": f"{loss:.3f}"} | ({} if val_loss is None else {"val": f"{val_loss:.3f}"})
    bar.set_postfix(losses, refresh=False)
    bar.update(min(at, bar.total) - bar.n)
    if "sample" in row:
        bar.write(f"\nstep {row['step']}: {row['sample']}\n")
