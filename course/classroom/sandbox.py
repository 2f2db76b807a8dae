"""A process for a student's code: apart from this one as far as the system allows, and killed when its time is over.

How far that is, is found out by trying, and said in the words of `Confinement.promises`. docs/grading.md says what it
protects against and what it does not.
"""

import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from helpers.errors import CourseError
from helpers.files import repository_root

START_SECONDS = 240  # for importing the course's own code
TIME_OUT, DIED = "time out", "died"
_LONGEST = 200_000  # characters of a line that is still read
_NOBODY = 65534
READ_ONLY = "files can be read, not written"  # the promise that not every confinement makes

# Inside namespaces of its own: every file system read-only but the working folder, memory that files can be put in
# empty, and then no right left by which any of it could be undone. What fails, fails as a whole.
_ONLY_READ = """
set -e
here=$PWD
mount --bind "$here" "$here"
while read -r _ place _ options _; do
    place=$(printf '%b' "$place")
    case "$place" in "$here" | /proc | /proc/* | /sys | /sys/* | /dev | /dev/*) continue ;; esac
    case ",$options," in *,ro,*) continue ;; esac
    kept=$(printf '%s' "$options" | tr , '\\n' | grep -xE 'no(suid|dev|exec|atime|diratime)|relatime' | tr '\\n' ,)
    mount -o "remount,bind,${kept}ro" "$place"
done < /proc/self/mounts
if [ -d /dev/shm ]; then mount -t tmpfs none /dev/shm; fi
cd "$here"
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs -- "$@"
"""

# What a student's code needs to know of this machine; keys and tokens are not among it.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "NUMBER_OF_PROCESSORS")
_SET = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "MPLBACKEND": "agg",
    "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8",
}  # fmt: skip


@dataclass(frozen=True)
class Confinement:
    """A way to start a process apart: `command(folder)` are the words before those of the process itself."""

    name: str
    command: Callable[[Path], Sequence[str]]
    promises: tuple[str, ...] = ()
    as_nobody: bool = False


@dataclass(frozen=True)
class Limits:
    """What one exercise may use: seconds of time, and memory in GB beyond that of the libraries."""

    seconds: float = 60.0
    memory_gb: float = 4.0


def environment(folder: Path) -> dict[str, str]:
    """The environment variables of a student's process: none of this one's but a few harmless ones."""
    own = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    home = {name: str(folder) for name in ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP")}
    course = {"PYTHONPATH": str(repository_root()), "COURSE_RUNS": str(folder / "runs")}
    return own | home | course | _SET


def confinements(hidden: Sequence[Path] = ()) -> list[Confinement]:
    """All ways that this system might know, the best first; `hidden` are folders that no student's code should see."""
    found = []
    bwrap, unshare, setpriv = map(shutil.which, ("bwrap", "unshare", "setpriv"))
    apart = "no network", "no other process in sight"
    if bwrap:
        read_only = READ_ONLY, "home, temporary files and the class's folder hidden"
        found.append(Confinement("bubblewrap", lambda f: _bwrap(bwrap, f, hidden), (*apart, *read_only)))
    if unshare and sys.platform == "linux":
        words = [unshare, "--map-root-user", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "--"]
        if setpriv:
            read_only = [*words, "sh", "-c", _ONLY_READ, "sh"]
            found.append(Confinement("unshare, read-only", lambda f: read_only, (*apart, READ_ONLY)))
        found.append(Confinement("unshare", lambda f: words, apart))
    found.append(Confinement("none", lambda f: []))
    if getattr(os, "geteuid", lambda: 1)() != 0 or not setpriv:
        return found
    # An administrator's process could write anywhere, and knows no limit on processes: rather be nobody.
    nobody = [setpriv, f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--no-new-privs", "--"]
    lesser = [
        Confinement(f"{c.name}, as nobody", lambda f, c=c: [*nobody, *c.command(f)], c.promises, as_nobody=True)
        for c in found
    ]
    return [each for pair in zip(lesser, found, strict=True) for each in pair]


def _bwrap(program: str, folder: Path, hidden: Sequence[Path]) -> list[str]:
    """Everything read-only; what is private, empty; then again what Python and the course need, and `folder`."""
    words = [program, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    needed = {repository_root(), Path(sys.prefix), Path(sys.base_prefix), *map(Path, filter(os.path.isdir, sys.path))}
    private = dict.fromkeys([Path.home(), Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/run")])
    for each in private:
        words += ["--tmpfs", str(each)] if each.is_dir() else []
    for each in sorted(needed):
        words += ["--ro-bind", str(each), str(each)] if any(map(each.is_relative_to, private)) else []
    for each in hidden:
        words += ["--tmpfs", str(each.resolve())]
    return [*words, "--bind", str(folder), str(folder), "--chdir", str(folder)]


def best_confinement(hidden: Sequence[Path] = ()) -> Confinement:
    """The first way that works here; that without any confinement always does."""
    for one in confinements(hidden):
        if _holds(one):
            return one
    raise CourseError("this Python cannot import the course in a process of its own: is it installed whole?")


# Python must be whole there, with the same library as here, which nobody may not be allowed to read; the folder can be
# written to; and what is tried outside of it must not be there afterwards where that is promised.
_PROBE = """
import json, sys, tempfile
import course.checks
tempfile.TemporaryFile()
try:
    open(sys.argv[2], "w").close()
except OSError:
    pass
sys.exit(json.__file__ != sys.argv[1])
"""


def _holds(confinement: Confinement) -> bool:
    """Whether a confinement works on this system, and keeps what it promises of files."""
    with tempfile.TemporaryDirectory(prefix="course-grade-") as outside, _working_folder(confinement) as name:
        os.chmod(outside, 0o777)  # so that no other right keeps a student's code from it
        escaped, folder = Path(outside).resolve() / "escaped", Path(name).resolve()
        probe = [sys.executable, "-P", "-c", _PROBE, json.__file__, str(escaped)]
        try:
            tried = subprocess.run(
                [*confinement.command(folder), *probe], cwd=folder, env=environment(folder),
                stdin=subprocess.DEVNULL, capture_output=True, timeout=START_SECONDS,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return False
        return tried.returncode == 0 and not (escaped.exists() and READ_ONLY in confinement.promises)


def _working_folder(confinement: Confinement) -> tempfile.TemporaryDirectory:
    folder = tempfile.TemporaryDirectory(prefix="course-grade-", ignore_cleanup_errors=True)
    if confinement.as_nobody:
        os.chown(folder.name, _NOBODY, _NOBODY)
    return folder


@dataclass
class Marker:
    """A process that marks answers of one student in one notebook; used as a context.

    Args:
        checks: the notebook's number ("01").
        above: code of the course that each exercise will need, run before the clock starts.

    Raises:
        CourseError: it does not start, which is no student's fault.
    """

    confinement: Confinement
    limits: Limits
    checks: str
    above: Sequence[str] = ()
    exercises: int = 20  # as many as it may be asked to mark
    _token: str = field(default="", repr=False)

    def __enter__(self) -> "Marker":
        self._folder = _working_folder(self.confinement)
        self._errors = tempfile.TemporaryFile()
        folder = Path(self._folder.name).resolve()
        worker = [sys.executable, "-P", "-m", "course.classroom.marking"]
        self._process = subprocess.Popen(
            [*self.confinement.command(folder), *worker], cwd=folder, env=environment(folder),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            encoding="utf-8", errors="replace", start_new_session=True,
        )  # fmt: skip
        self._verdicts: queue.Queue = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        start = {
            "checks": self.checks, "warm_up": list(self.above), "memory_gb": self.limits.memory_gb,
            "cpu_seconds": int(START_SECONDS + self.exercises * self.limits.seconds),
        }  # fmt: skip
        ready = self._ask(start, START_SECONDS)
        if ready.get("state") != "ready":
            self._errors.seek(0)
            said = self._errors.read().decode("utf-8", "replace").strip().split("\n")[-1]
            self.__exit__()
            raise CourseError(f"the process that marks did not start ({said or ready['state']})")
        return self

    def __exit__(self, *_):
        self._kill()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            try:
                pipe.close()
            except OSError:  # what was not sent yet has no reader
                continue
        self._folder.cleanup()

    def mark(self, order: dict) -> dict:
        """The verdict on an order as `marking.mark` takes it; state "time out" or "died" ends the process."""
        verdict = self._ask(order, self.limits.seconds)
        if verdict["state"] in (TIME_OUT, DIED):
            self._kill()
        return verdict

    def _ask(self, order: dict, seconds: float) -> dict:
        self._token = secrets.token_hex(16)  # a new one each time: the last may have been seen
        try:
            self._process.stdin.write(json.dumps({"token": self._token, **order}) + "\n")
            self._process.stdin.flush()
            verdict = self._verdicts.get(timeout=seconds)
        except queue.Empty:
            return {"state": TIME_OUT}
        except OSError:
            verdict = None
        if verdict is None:
            return {"state": DIED, "code": self._exit_code()}
        return verdict

    def _listen(self) -> None:
        """Pass on the verdicts that have the token of the present order; drop whatever else comes."""
        try:
            while line := self._process.stdout.readline(_LONGEST):
                try:
                    verdict = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(verdict, dict) and verdict.get("token") == self._token and "state" in verdict:
                    self._token = secrets.token_hex(16)  # one verdict an order
                    self._verdicts.put(verdict)
        except (OSError, ValueError):  # the pipe was closed
            pass
        self._verdicts.put(None)

    def _exit_code(self) -> int | None:
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return None

    def _kill(self) -> None:
        """End the process and all that it started."""
        if sys.platform == "win32":
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(self._process.pid)], capture_output=True)
        else:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self._process.kill()
        self._process.wait()
