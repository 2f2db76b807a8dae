"""Where a student's code runs: in a container or under bubblewrap, where there is one that proves to hold.

podman, docker and bwrap are tried in this order. Each is asked to run `course.classroom.probe`, which tries what must
not be possible; one in which anything of it is possible counts as absent. docs/grading.md says what remains.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from course.classroom.limits import PROCESSES
from helpers.errors import CourseError
from helpers.files import repository_root

PROBE_SECONDS = 240
INSIDE = "/answers"  # the working folder, in memory
DISK_BYTES = 256 * 2**20  # that can be written there
IMAGE = "course-grade-empty"  # a container's own files: none; what it needs is mounted
_NOBODY = 65534
_FIRST_UID, _UIDS = 1_900_000_000, 10_000_000  # nobody has these numbers: one for each process
PROMISES = (
    "no network", "no other process in sight", "files can be read, not written",
    "nothing to be seen but Python and the course without its notebooks",
)  # fmt: skip
INSTALL = "install podman, docker or bubblewrap (on Debian and Ubuntu: apt install bubblewrap)"

_SET = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "MPLBACKEND": "agg",
    "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8", "USER": "student",
    "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What one exercise may use: seconds of time, and memory in GB beyond that of the libraries."""

    seconds: float = 60.0
    memory_gb: float = 4.0


@dataclass(frozen=True)
class Confinement:
    """A way to start a process apart: plain data, so that it can be handed to another process.

    Attributes:
        name: "podman", "docker", "bubblewrap" or "none".
        program: that program.
        as_root: whether bubblewrap is started by root, and lets the process become a user that owns nothing.
        hidden: folders that are not to be seen.
        memory_gb: of all processes in a container together.
    """

    name: str
    program: str = ""
    as_root: bool = False
    hidden: tuple[str, ...] = ()
    memory_gb: float = 8.0

    @property
    def promises(self) -> tuple[str, ...]:
        return PROMISES if self.program else ()

    @property
    def is_container(self) -> bool:
        """Whether what was started is only the client of what runs."""
        return self.name in ("podman", "docker")

    def start(self, words: Sequence[str], folder: Path, trusted=False, **pipes) -> tuple[subprocess.Popen, str]:
        """Start a process in it, in `folder` or in a folder in memory, and the name under which `stop` knows it.

        Args:
            trusted: it is our own, and needs our own environment variables.
        """
        name = f"course-grade-{secrets.token_hex(6)}"
        variables = environment(INSIDE if self.program else str(folder))
        own = dict(os.environ) if trusted or self.is_container else variables  # a container's client is our own, too
        own |= {"PYTHONPATH": str(repository_root())} if trusted else {}
        command = self.command(name, list(words), variables)
        return subprocess.Popen(command, cwd=folder, env=own, start_new_session=True, **pipes), name

    def command(self, name: str, words: list[str], variables: dict[str, str]) -> list[str]:
        """The words that start a process, which `words` are, under this `name`."""
        if self.is_container:
            return _container(self, name, variables) + words
        return _bubblewrap(self) + words if self.program else words

    def stop(self, name: str) -> None:
        """End what `start` named so, as far as it does not end with the process that was started."""
        if self.is_container:
            try:
                _quietly([self.program, "rm", "--force", name])
            except OSError:
                pass


def _quietly(words: list[str]) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    except subprocess.TimeoutExpired as error:
        raise OSError("it does not answer") from error


def environment(folder: str) -> dict[str, str]:
    """The environment variables of a student's process: of this one's only the way to programs and the language."""
    own = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT") if name in os.environ}
    home = {name: folder for name in ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP")}
    course = {"PYTHONPATH": str(repository_root()), "COURSE_RUNS": f"{folder}/runs"}
    return own | home | course | _SET


UNSAFE = Confinement("none")


def confinements(hidden: Sequence[Path] = (), memory_gb: float = 4.0) -> list[Confinement]:
    """What this system might have, the best first; `hidden` are folders that no student's code should see."""
    if sys.platform != "linux":
        return []
    common = dict(hidden=tuple(str(path.resolve()) for path in hidden), memory_gb=memory_gb + 2)  # 2 for the libraries
    there = {name: shutil.which(name) for name in ("podman", "docker", "bwrap")}
    found = [Confinement(name, there[name], **common) for name in ("podman", "docker") if there[name]]
    if there["bwrap"]:
        ways = (True, False) if os.geteuid() == 0 and shutil.which("setpriv") else (False,)
        found += [Confinement("bubblewrap", there["bwrap"], as_root, **common) for as_root in ways]
    return found


def best_confinement(hidden: Sequence[Path] = (), memory_gb: float = 4.0, unsafe: bool = False) -> Confinement:
    """The first way that proves to hold here; with `unsafe`, where there is none, no confinement at all.

    Raises:
        CourseError: there is none, and `unsafe` was not asked for; it says what was wrong with each that was tried.
    """
    said = []
    for one in confinements(hidden, memory_gb):
        problem = problem_of(one)
        if not problem:
            return one
        said.append(f"{one.name}: {problem}")
    if unsafe:
        return UNSAFE
    tried = "; ".join(dict.fromkeys(said)) or "none of podman, docker and bwrap is here"
    raise CourseError(
        f"nothing here can hold what strangers wrote ({tried}). Either {INSTALL}; or say --unsafe, and their code may "
        "do whatever you may: see docs/grading.md"
    )


def problem_of(confinement: Confinement) -> str:
    """Why a confinement is not to be trusted, by running the probe in it; "" if nothing was found."""
    with (
        tempfile.TemporaryDirectory(prefix="course-grade-") as name,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as on_disk,
    ):
        outside = Path(name).resolve()
        os.chmod(outside, 0o777)  # so that no other right keeps a student's code from it
        on_disk.bind(str(outside / "socket"))
        os.chmod(outside / "socket", 0o777)
        on_disk.listen()
        root = repository_root()
        asked = {
            "library": json.__file__, "port": server.getsockname()[1], "socket": str(outside / "socket"),
            "outside": [str(outside), "/", "/usr", "/etc", "/dev", "/sys", "/proc", str(root / "course"), str(root)],
            "hidden": [str(root / "notebooks"), *confinement.hidden],
        }  # fmt: skip
        return _probe(confinement, asked)


def _probe(confinement: Confinement, asked: dict) -> str:
    words = [sys.executable, "-P", "-m", "course.classroom.probe", json.dumps(asked)]
    with tempfile.TemporaryDirectory(prefix="course-grade-") as folder:
        try:
            process, name = confinement.start(
                words, Path(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            return str(error)
        try:
            said, errors = process.communicate(timeout=PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            return f"a trial did not end in {PROBE_SECONDS} seconds"
        finally:
            process.kill()
            confinement.stop(name)
    if process.returncode != 0:
        last = errors.decode("utf-8", "replace").strip().split("\n")[-1]
        return last[:200] or f"a trial ended with exit code {process.returncode}"
    try:
        possible = json.loads(said)
    except ValueError:
        return "a trial said nothing"
    return f"code in it can {', '.join(map(str, possible))}" if possible else ""


# ---------------------------------------------------------------------- what is to be seen inside


def _system() -> list[Path]:
    """Programs and libraries of this system."""
    names = "/usr /bin /sbin /lib /lib32 /lib64 /etc/ld.so.cache /etc/alternatives /etc/localtime".split()
    return [Path(name) for name in names if Path(name).exists()]


def _python_and_course() -> list[Path]:
    """This Python with its packages, and of the course what marking needs: not its notebooks, nor its history."""
    root = repository_root()
    paths = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent]
    folders = [Path(each).resolve() for each in sys.path if each and Path(each).is_dir()]
    paths += [path for path in folders if not root.is_relative_to(path) and path != Path.cwd()]
    paths += [root / "course", root / "helpers", root / "data"]
    return sorted({path for path in paths if path.exists() and path != Path("/")})  # a folder before what is in it


def _covered(hidden: Sequence[str]) -> list[Path]:
    """Folders inside of those of the system that are not to be seen."""
    private = [repository_root(), Path.home(), *map(Path, hidden)]
    return [path for path in private if any(map(path.is_relative_to, _system()))]


def _bubblewrap(one: Confinement) -> list[str]:
    """An empty root, into which only what is needed is put, to be read; two folders in memory, to be written.

    Started by root, bubblewrap makes the folders as root and the process then becomes a user that owns nothing at all.
    """
    words = [one.program, "--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-pid", "--unshare-net"]
    words += ["--unshare-uts", "--unshare-cgroup-try"]
    if one.as_root:
        words += ["--cap-drop", "ALL", *(w for c in ("SETUID", "SETGID", "SETPCAP") for w in ("--cap-add", f"CAP_{c}"))]
    else:
        words += ["--unshare-user", "--uid", str(_NOBODY), "--gid", str(_NOBODY)]
        words += ["--disable-userns"] if "--disable-userns" in _help_of(one.program) else []
    system, covered, own = _system(), _covered(one.hidden), _python_and_course()
    for path in _above([*system, *covered, *own, Path("/sys/devices")]):
        words += [] if any(map(path.is_relative_to, system)) else ["--perms", "0755", "--dir", str(path)]
    for path in system:
        link = path.is_symlink() and path.parent == Path("/")
        words += ["--symlink", os.readlink(path), str(path)] if link else ["--ro-bind", str(path), str(path)]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for path in (*covered, Path("/sys/devices")):
        words += ["--tmpfs", str(path)]
    for path in _above(own):
        words += ["--perms", "0755", "--dir", str(path)] if any(map(path.is_relative_to, covered)) else []
    for path in (Path("/sys/devices/system/cpu"), *own):
        words += ["--ro-bind-try", str(path), str(path)]
    for path in (INSIDE, "/dev/shm"):
        words += ["--perms", "1777", "--size", str(DISK_BYTES), "--tmpfs", path]
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", INSIDE, "--"]
    if one.as_root:
        uid = _FIRST_UID + secrets.randbelow(_UIDS)
        words += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all"]
        words += ["--bounding-set=-all", "--no-new-privs", "--"]
    return words


def _above(paths: Sequence[Path]) -> list[Path]:
    """The folders in which these lie, the outermost first."""
    return list(dict.fromkeys(above for path in paths for above in reversed(path.parents) if above != Path("/")))


@cache
def _help_of(program: str) -> str:
    return subprocess.run([program, "--help"], capture_output=True, text=True).stdout


def _container(one: Confinement, name: str, variables: dict[str, str]) -> list[str]:
    """A container without files of its own: this system's, this Python and the course are mounted, to be read."""
    _make_image(one.program)
    words = [one.program, "run", "--rm", "--interactive", "--name", name, "--network", "none", "--read-only"]
    words += ["--user", f"{_NOBODY}:{_NOBODY}", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    words += ["--ulimit", "nofile=1024:1024", "--ulimit", f"nproc={4 * PROCESSES}:{4 * PROCESSES}"]
    words += ["--pids-limit", str(2 * PROCESSES), "--memory", f"{one.memory_gb * 1024:.0f}m", "--workdir", INSIDE]
    words += ["--tmpfs", f"{INSIDE}:rw,nosuid,nodev,size={DISK_BYTES},mode=1777"]
    for path in [*_system(), *_python_and_course()]:
        words += ["--volume", f"{path}:{path}:ro"]
    for path in _covered(one.hidden):
        words += ["--tmpfs", f"{path}:ro,size=4096"]
    for key, value in variables.items():
        words += ["--env", f"{key}={value}"]
    return [*words, IMAGE]


def _make_image(program: str) -> None:
    """An image with nothing in it, once."""
    if _quietly([program, "image", "inspect", IMAGE]).returncode == 0:
        return
    with tempfile.TemporaryDirectory(prefix="course-grade-") as folder:
        nothing = Path(folder) / "empty.tar"
        nothing.write_bytes(bytes(10_240))  # an archive with no file
        made = _quietly([program, "import", str(nothing), IMAGE])
    if made.returncode != 0:
        raise OSError(made.stderr.decode("utf-8", "replace").strip().split("\n")[-1][:200])
