"""Copies of a run on a disk that outlives its machine, such as Google Drive, written over in place.

A file that is deleted on Google Drive lies in its bin for 30 days and counts all that time; of one that is written over
only the newest version counts. So nothing is deleted or renamed there. In a run's place lie

    state-a.safetensors, state-b.safetensors    two checkpoints, written over by turns, seldom
    model.safetensors, config.json, best/       the model and the best model so far, often
    tokenizer.json, tokens/, prepared.json      the tokenized stories, once: they need not be read again
    log.jsonl, kept.json                        the log; whether the run is finished

The first eight bytes of a copy are written last: one that was broken off is known by its head, and the other is taken.
"""

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from course.figures.training import write_curves
from helpers.checkpoint import CONFIG, TOKENIZER, WEIGHTS, saved_checkpoints
from helpers.errors import CourseError
from helpers.files import read_json, runs_folder, sha256
from helpers.run_log import LOG
from helpers.training import BEST

STATES = ("state-a.safetensors", "state-b.safetensors")
PREPARED, TOKENS, KEPT = "prepared.json", "tokens", "kept.json"
TOKEN_FILES = ("ids.bin", "offsets.npy", "about.json")  # the last one says what the others are
MODEL = (WEIGHTS, CONFIG, TOKENIZER)
WEIGHTS_EVERY, STATE_EVERY = 300.0, 1200.0  # seconds
SHARE = 20  # copying takes at most one part in so many of the time, however slow the disk is
WORDS = {"start": "the tokens", "state": "a checkpoint", "model": "the model", "end": "the end of the run"}
HEAD = 8  # bytes; of a safetensors file they are the length of what describes it


def copy_in_place(source: Path, target: Path) -> int:
    """Write `source` over `target`, which stays the same file: nothing is deleted, nothing renamed. Returns its bytes.

    A copy that is broken off begins with zeros, so it is never taken for a whole one.

    Raises:
        OSError: it cannot be written, or there is not enough room; what was written of it is given back.
    """
    size = source.stat().st_size
    if size > room_for(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
    try:
        with open(source, "rb") as read, open(target, "r+b" if target.exists() else "w+b") as file:
            head = read.read(HEAD)
            file.write(bytes(len(head)))
            _to_the_disk(file)
            shutil.copyfileobj(read, file, 2**24)
            file.truncate()
            _to_the_disk(file)
            file.seek(0)
            file.write(head)
            _to_the_disk(file)
    except OSError:
        with suppress(OSError):  # when it is closed: what is still to be written would come after
            os.truncate(target, 0)  # half of it helps nobody and takes room
        raise
    return size


def _to_the_disk(file) -> None:
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):  # a disk that has no such thing
            raise


def room_for(target: Path) -> int:
    """How many bytes `target` can have: what is free on its disk, and what it has already."""
    return shutil.disk_usage(target.parent).free + _bytes(target)


def states_in(place: Path) -> dict[str, int | None]:
    """The checkpoints that are kept in a folder, and the step of each: None for one that is not whole, by its head."""
    return {name: step_of(place / name) for name in STATES if (place / name).exists()}


def step_of(path: Path) -> int | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return dict(json.loads(file.metadata()["state"])["$dict"])["step"]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None


class Keeper:
    """Copies a run to a folder that stays: the `report` of a `Trainer`, called at every checkpoint, which it draws too.

    The model goes there about every `weights_every` seconds, a checkpoint about every `state_every`; both less often
    where copying is slow, and with 0 at every checkpoint. What does not fit is left out, and said. A copy that fails is
    said in a line and tried again later; the run goes on.
    """

    def __init__(
        self, folder: Path, place: Path, weights_every: float = WEIGHTS_EVERY, state_every: float = STATE_EVERY,
        say: Callable[[str], None] | None = None,
    ):  # fmt: skip
        """`folder` is the run's, on the local disk; `place` is made, in a folder that is there, when it is needed."""
        self.folder, self.place, self.say = Path(folder), Path(place), say or _say
        self.every = {"model": weights_every, "state": state_every}
        self.due = {what: time.monotonic() + seconds for what, seconds in self.every.items()}
        self.said: dict[str, str] = {}  # the last words on each subject
        self.failed: set[str] = set()  # what could not be copied the last time
        self.model_bytes = 0
        self.copied = -1  # the step of the newest checkpoint that is there

    def __call__(self, folder: Path, rows: Sequence[dict]) -> None:
        write_curves(folder, rows)
        now = time.monotonic()
        if now >= self.due["state"]:
            if "start" in self.failed:
                self.start(self.model_bytes)
            self._try("state", self._state)
        if now >= self.due["model"]:
            self._try("model", self._model)

    def start(self, model_bytes: int) -> None:
        """Copy the tokenized stories, once; `model_bytes`, of the weights, tell what room the rest needs."""
        self.model_bytes = model_bytes
        self._try("start", self._start)

    def end(self) -> None:
        """Copy what the run has come to."""
        self._try("end", self._finish if is_finished(self.folder) else self._stop)

    def used(self) -> int:
        """Bytes of all that is kept there."""
        return sum(path.stat().st_size for path in self.place.rglob("*") if path.is_file())

    def account(self) -> str:
        """What is kept there, and how large it is."""
        found = states_in(self.place)
        steps = sorted(step for step in found.values() if step is not None)
        parts = [f"the checkpoint of step {step:,}" for step in steps]
        if (step := training_in(self.place).get("steps")) is not None:
            parts.append(f"the model of step {step:,}")
        parts += ["the best model"] if (self.place / BEST / WEIGHTS).exists() else []
        parts += ["tokens"] if (self.place / TOKENS / "ids.bin").exists() else []
        return f"kept in {in_short(self.place)}: {_size(self.used())}: {', '.join(parts) or 'nothing yet'}"

    def _try(self, what: str, copy: Callable[[], None]) -> None:
        started = time.monotonic()
        try:
            self._open()
            copy()
            self.failed.discard(what)
            if self.said.pop(f"no {what}", None):
                self.say(f"{WORDS[what]} can be copied to {self.place} again")
        except (OSError, CourseError) as error:
            self.failed.add(what)
            reason = getattr(error, "strerror", None) or str(error)
            later = "" if what == "end" else ": the run goes on here, and tries again later"
            self._say_once(f"no {what}", f"{WORDS[what]} could not be copied to {self.place} ({reason}){later}")
        now = time.monotonic()
        if what in self.every:
            self.due[what] = now + (max(self.every[what], SHARE * (now - started)) if self.every[what] else 0)

    def _open(self) -> None:
        """Make the place. Where the folder around it has gone, Drive is not mounted, and none is made in its stead."""
        if not self.place.parent.is_dir():
            raise OSError(errno.ENOENT, "its folder is not there, or not mounted", str(self.place.parent))
        for folder in (self.place, self.place / TOKENS, self.place / BEST):
            folder.mkdir(exist_ok=True)

    def _say_once(self, subject: str, words: str) -> None:
        if self.said.get(subject) != words:
            self.said[subject] = words
            self.say(words)

    def _start(self) -> None:
        if is_finished_copy(self.place) is not False:
            _put(self.place / KEPT, {"finished": False})
        _copy_if_new(self.folder / TOKENIZER, self.place / TOKENIZER)
        _copy_if_new(self.folder / PREPARED, self.place / PREPARED)
        tokens, target = runs_folder() / TOKENS / read_json(self.folder / PREPARED)["tokens"], self.place / TOKENS
        sizes = {name: _bytes(tokens / name) for name in TOKEN_FILES}
        there = {name: _bytes(target / name) for name in TOKEN_FILES}
        about = TOKEN_FILES[-1]
        if there == sizes and (tokens / about).read_bytes() == (target / about).read_bytes():
            return
        first = 4 * self.model_bytes  # a model and a checkpoint come before the tokens
        first = max(0, first - sum(_bytes(self.place / name) for name in (WEIGHTS, *STATES)))
        if sum(sizes.values()) + first > shutil.disk_usage(target).free + sum(there.values()):
            words = "there is no room for the tokens: after a disconnect the stories are read and tokenized again"
            return self._say_once("tokens", f"{self.place}: {words}")
        if there[about]:
            os.truncate(target / about, 0)  # until all is there
        for name in TOKEN_FILES:
            copy_in_place(tokens / name, target / name)
        self.say(self.account())

    def _state(self) -> None:
        paths = saved_checkpoints(self.folder)
        if not paths:
            return
        found, newest = states_in(self.place), paths[0]
        step = step_of(newest)
        if step is None or step == self.copied:
            return
        self._log()  # first: a checkpoint needs the rows up to its step
        size, model = newest.stat().st_size, (self.folder / WEIGHTS).stat().st_size
        spare = 0 if (self.place / WEIGHTS).exists() else model
        # One that is not there or not whole is written over before all. Is one as far as the run itself, it is damaged:
        # otherwise the run would have gone on from it.
        age = {name: -1 if found.get(name) is None or found[name] >= step else found[name] for name in STATES}
        for name in sorted(STATES, key=age.get):
            if size + spare <= room_for(self.place / name):
                if name in found and len(found) == 1:
                    words = "there is room for one checkpoint only, and while it is written over there is none"
                    self._say_once("states", f"{self.place}: {words}")
                copy_in_place(newest, self.place / name)
                self.copied = step
                return self.say(self.account())
        words = f"there is no room for a checkpoint of {_size(size)}, only for the model: after a disconnect the run "
        self._say_once("states", f"{self.place}: {words}goes on from that, with an optimizer that begins anew")

    def _log(self) -> None:
        """Copy the log from where it differs: what a checkpoint there needs of it is never half written."""
        if not (self.folder / LOG).exists():
            return
        new, target = (self.folder / LOG).read_bytes(), self.place / LOG
        same = len(os.path.commonprefix([new, target.read_bytes()])) if target.exists() else 0
        with open(target, "r+b" if target.exists() else "wb") as file:
            file.seek(same)
            file.write(new[same:])
            file.truncate()
            _to_the_disk(file)

    def _model(self) -> None:
        self._log()
        for name in MODEL:
            copy_in_place(self.folder / name, self.place / name)
        self._best(spare=True)
        if "model" not in self.said:
            self._say_once("model", self.account())

    def _best(self, spare: bool) -> None:
        """The best model, where it fits and leaves room for two checkpoints."""
        if not (self.folder / BEST / CONFIG).exists():
            return
        size = (self.folder / BEST / WEIGHTS).stat().st_size
        missing = 3 * size * sum(not (self.place / name).exists() for name in STATES) if spare else 0
        if size + missing <= room_for(self.place / BEST / WEIGHTS):
            if training_in(self.folder / BEST) != training_in(self.place / BEST):
                for name in MODEL:
                    copy_in_place(self.folder / BEST / name, self.place / BEST / name)

    def _stop(self) -> None:
        self._state()
        self._model()
        self.say(self.account())

    def _finish(self) -> None:
        self._model()
        if sha256(self.folder / WEIGHTS) != sha256(self.place / WEIGHTS):
            raise OSError(errno.EIO, "the copy of the model is not the model", str(self.place))
        _put(self.place / KEPT, {"finished": True})
        self._best(spare=False)
        self.say(self.account())

    def empty_states(self) -> None:
        """Give back the room of a finished run's checkpoints, once its model was fetched from there.

        Not when the run ends: a network disk takes copies at once and sends them off in its own time, and a machine
        that is lost meanwhile would leave neither the checkpoints nor the model.
        """
        for name in STATES:
            if (self.place / name).exists():
                os.truncate(self.place / name, 0)


def in_short(path: Path) -> str:
    """A file's or folder's name and its folder's: enough to know it by."""
    return "/".join(Path(path).parts[-2:])


def _say(words: str) -> None:
    from tqdm.auto import tqdm

    tqdm.write(words)  # above a bar, if there is one


def _put(path: Path, value) -> None:
    """A small JSON file, written in place."""
    with open(path, "r+b" if path.exists() else "wb") as file:
        file.write(json.dumps(value).encode("utf-8"))
        file.truncate()
        _to_the_disk(file)


def _copy_if_new(source: Path, target: Path) -> None:
    if not target.exists() or source.read_bytes() != target.read_bytes():
        copy_in_place(source, target)


def _size(number: float) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit:
            return f"{number / unit:.2f} {name}"
    return f"{number} bytes"


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def training_in(folder: Path) -> dict:
    """What the config.json of a model says of its training: "steps", "recipe" and more; empty if it cannot be read."""
    try:
        return dict(read_json(folder / CONFIG)["training"])
    except (CourseError, OSError, KeyError, TypeError, ValueError):
        return {}


def is_finished(folder: Path) -> bool:
    """Whether the run in a folder on the local disk is finished: it has a model, and no checkpoint any more."""
    return (folder / WEIGHTS).is_file() and not saved_checkpoints(folder)


def is_finished_copy(place: Path) -> bool | None:
    """Whether the run that is kept in a place is finished; None where nothing whole says so."""
    try:
        return bool(read_json(place / KEPT)["finished"])
    except (CourseError, OSError, KeyError, TypeError):
        return None
