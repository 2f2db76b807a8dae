"""What this machine has, what will be slow on it and what is missing, in a line each: `python -m course doctor`.

It is also for machines on which the course cannot run yet: nothing that must be installed is imported before it is
known to be here. An older Python is refused before this file can be read, in a line (`helpers/__init__.py`).
"""

import os
import platform
import shutil
import textwrap
from dataclasses import dataclass

import course
from course import packages
from course.bench import system_memory
from course.classroom import sandbox
from helpers.errors import CourseError, first_line, some_of
from helpers.files import runs_folder
from helpers.hub import hub_address, hub_answers

HERE, NOT_NEEDED, LOOK, MISSING = "[x]", "[ ]", "[?]", "[!]"
WIDTH = 88  # of the lines
# The most that the processes of notebooks 06 and 12, which hold GPT-2 in full, had at a time on a CPU: 3.2 and 3.1 GB.
MOST_GB, MOST_IN = 3.5, "06 and 12"
RESULTS_GB = {"cpu": 1, "mps": 1}  # in which runs/ has room, and to spare
RESULTS_GB_ON_A_GPU = 5  # a run of GPT-2 in full: docs/running.md has the parts
INSTALL = "run the first command of README.md"
FOR_DEVELOPMENT = ("nbval", "pytest", "pytest-xdist", "hypothesis", "ruff", "jupytext")  # only tests and tools use them
MUCH_SLOWER = 0.6  # of the speed of the machine whose times are told
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, and what was found, with what to do where something is wrong."""

    mark: str  # HERE, NOT_NEEDED, LOOK (the course runs, but ...) or MISSING (it does not)
    about: str
    says: str

    def __str__(self) -> str:
        start = f"{self.mark} {self.about:<10}"
        return textwrap.fill(
            self.says, WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False
        )


def examine(wait: bool = True) -> list[Finding]:
    """Look at this machine.

    Args:
        wait: also say what takes seconds to find out (the Hub, the speed), and what only teachers need.
    """
    torch, profile = _torch()
    found = [_python(), _packages(), torch, _cores(torch.mark != MISSING), _memory(), _results(profile)]
    found.append(_times(profile or "cpu"))
    if wait:
        found += [_speed(profile), _hub(), _teaching()]
    return found


def report(findings: list[Finding]) -> str:
    """The findings and, in a last line, what they come to."""
    missing = [finding.about for finding in findings if finding.mark == MISSING]
    verdict = f"The course {course.__version__} can run here."
    if missing:
        verdict = f"The course {course.__version__} cannot run here yet: see {', '.join(missing)}."
    return "\n".join([*map(str, findings), verdict])


def can_run(findings: list[Finding]) -> bool:
    """Whether nothing is missing that the course needs."""
    return all(finding.mark != MISSING for finding in findings)


def gflops(device: str) -> tuple[float, str]:
    """Billions of operations a second in one large matrix multiplication, and the precision: the one that runs use."""
    from course.bench.planning import matmul_flops
    from helpers.hardware import choose
    from helpers.settings import HardwareConfig

    precision = choose(HardwareConfig(), device).precision
    return matmul_flops(device, precision, 1024 if device == "cpu" else None) / 1e9, precision


def find_chromium() -> str | None:
    """The path of an installed Chromium or Chrome."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def _python() -> Finding:
    return Finding(HERE, "Python", f"{platform.python_version()} on {platform.system()}, {platform.machine()}")


def _packages() -> Finding:
    if missing := [name for name in packages.missing_packages() if name != "torch"]:
        return Finding(MISSING, "packages", f"{', '.join(missing)} not found: {INSTALL}")
    wanted = packages.required_versions()
    here = {name: packages.installed_version(name) for name in wanted}
    absent = [name for name, version in here.items() if version is None and name != "torch"]
    others = [f"{name} {here[name]}, not {wanted[name]}" for name in here if here[name] not in (None, wanted[name])]
    if others:
        says = f"all that notebooks import, in other versions than requirements.txt ({some_of(others)}): that may work"
        return Finding(LOOK, "packages", f"{says}; for those that were tested, {INSTALL}")
    if to_learn := [name for name in absent if name not in FOR_DEVELOPMENT]:
        return Finding(LOOK, "packages", f"{', '.join(to_learn)} not found, which not everybody needs: else {INSTALL}")
    rest = f"; {', '.join(absent)} not found, which only tests need" if absent else ""
    return Finding(HERE, "packages", f"all that notebooks import, as in requirements.txt{rest}")


def _torch() -> tuple[Finding, str | None]:
    """What is said of torch and the device, and the profile, if there is one."""
    try:
        import torch
    except ModuleNotFoundError as error:
        return Finding(MISSING, "torch", f"not found ({first_line(error)}): {INSTALL}, or see pytorch.org"), None
    except Exception as error:  # one of its libraries is missing, or it was built for another system
        return Finding(MISSING, "torch", f"cannot be imported ({first_line(error)}): see pytorch.org"), None
    try:
        packages.check_torch(torch.__version__)
        profile = course.profile()
    except CourseError as error:
        return Finding(MISSING, "torch", str(error)), None
    graphics = course.machine()["GPU"]
    says = f"{torch.__version__}, profile {profile}, GPU: {graphics}"
    if graphics == "none" and shutil.which("nvidia-smi"):
        says += ", though Nvidia's driver is here: see pytorch.org for a torch that uses it"
        return Finding(LOOK, "torch", says), profile
    return Finding(HERE, "torch", says), profile


def _cores(has_torch: bool) -> Finding:
    there = course.cores()
    if not has_torch:
        return Finding(HERE, "CPU cores", str(there))
    import torch

    threads = torch.get_num_threads()
    says = f"{there}; torch computes in {threads} thread{'s' if threads > 1 else ''}"
    asked = [name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if os.environ.get(name)]
    if threads < there and asked:
        return Finding(LOOK, "CPU cores", f"{says}, as {asked[0]} says: unset it, and training is faster")
    if threads > there:
        return Finding(LOOK, "CPU cores", f"{says}, which get in one another's way: set OMP_NUM_THREADS={there}")
    return Finding(HERE, "CPU cores", says)


def _memory() -> Finding:
    free = system_memory.free_memory()
    need = f"notebooks need up to {MOST_GB} GB ({MOST_IN})"
    if free is None:
        return Finding(LOOK, "memory", f"{course.memory()}; how much is free, the system does not tell; {need}")
    says = f"{free / 2**30:.1f} GB of {course.memory()} are free; {need}"
    if free < 2**30 * MOST_GB:
        return Finding(LOOK, "memory", f"{says}: close other programs, and shut down the kernels of other notebooks")
    return Finding(HERE, "memory", says)


def _results(profile: str | None) -> Finding:
    try:
        folder = runs_folder()
    except CourseError as error:
        return Finding(MISSING, "results", str(error))
    free, need = shutil.disk_usage(folder).free / 1e9, RESULTS_GB.get(profile or "cpu", RESULTS_GB_ON_A_GPU)
    says = f"can be written, with {free:,.0f} GB free, of which {need} GB are enough"
    if free < need:
        return Finding(LOOK, "results", f"{says}: make room, or let COURSE_RUNS name a folder on another disk")
    return Finding(HERE, "results", says)


def _times(profile: str) -> Finding:
    timed = course.timed(profile)
    seconds = timed.get("seconds", {})
    if not seconds:
        return Finding(LOOK, "time", f"nobody has timed the notebooks on a machine of profile {profile} yet")
    longest = sorted(seconds, key=seconds.get, reverse=True)[:3]
    told = ", ".join(f"{name[:2]} ({course.in_words(seconds[name])})" for name in longest)
    says = f"longest are {told}; all {len(seconds)} together {course.in_words(sum(seconds.values()))}"
    return Finding(HERE, "time", f"{says}, where they were timed ({timed.get('machine') or 'nobody wrote where'})")


def _speed(profile: str | None) -> Finding:
    if profile is None:
        return Finding(LOOK, "speed", "not measured, because torch cannot be used")
    try:
        reached, precision = gflops(course.device())
    except ImportError as error:
        return Finding(LOOK, "speed", f"not measured ({first_line(error)})")
    says = f"{reached:,.0f} billion operations a second in a matrix multiplication ({precision})"
    recorded = course.timed(profile).get("gflops")
    if not recorded:
        return Finding(HERE, "speed", says)
    says = f"{says}; {recorded:,.0f} where the notebooks were timed"
    if reached < MUCH_SLOWER * recorded:
        longer = f"expect {recorded / reached:.1f} times the times above, or see what else is computing now"
        return Finding(LOOK, "speed", f"{says}: {longer}")
    return Finding(HERE, "speed", says)


def _hub() -> Finding:
    there = "TinyStories and OpenAI's weights"
    if hub_answers(2):
        return Finding(HERE, "Hub", f"{hub_address()} answers: {there} can be fetched where you ask for them")
    return Finding(NOT_NEEDED, "Hub", f"no answer, which is fine: only {there} are there")


def _teaching() -> Finding:
    """What is needed to make the web book and slides, to look at them, and to mark what a class hands in."""
    file = "docs/requirements.txt"
    steps = []
    if any(packages.installed_version(name) is None for name in packages.required_versions(file)):
        steps.append(f"book and slides need python -m pip install -r {file}")
    if not find_chromium():
        steps.append("their checks need Chromium or Chrome")
    if not sandbox.confinements():
        steps.append("grading needs podman, docker or bubblewrap")
    if steps:
        return Finding(NOT_NEEDED, "teaching", f"for those who teach: {'; '.join(steps)}")
    return Finding(HERE, "teaching", "what the web book, the slides and grading need is here")
