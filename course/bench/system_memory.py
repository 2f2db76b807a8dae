"""How much memory this machine has left, as the system tells it; nothing but the standard library is needed."""

import importlib.util
from pathlib import Path

MEMINFO = Path("/proc/meminfo")  # Linux
CGROUP = Path("/sys/fs/cgroup")  # where a container's own limit stands (version 2)


def free_memory() -> int | None:
    """Bytes that new programs can have, a container's limit included; None where the system does not tell."""
    known = [bytes_free for bytes_free in (_of_the_system(), _of_the_container()) if bytes_free is not None]
    return min(known, default=None)


def _of_the_system() -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text(encoding="ascii").splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        pass
    if importlib.util.find_spec("psutil") is None:  # it comes with Jupyter
        return None
    import psutil

    return psutil.virtual_memory().available


def _of_the_container() -> int | None:
    try:
        limit, used = (int((CGROUP / f"memory.{name}").read_text(encoding="ascii")) for name in ("max", "current"))
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        return max(0, limit - used + int(stat["inactive_file"]))  # files that are only kept at hand give way
    except (OSError, KeyError, ValueError):  # no container, or one without a limit: "max"
        return None
