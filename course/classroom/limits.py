"""What a process may use: limits that it asks the system for itself, before it runs any code of a student."""

import os

FILE_BYTES, PROCESSES = 64 * 2**20, 64


def apply(memory_gb: float, cpu_seconds: int) -> None:
    """Limits from now on, which this process and its children cannot lift; none where the system has none (Windows)."""
    try:
        import resource
    except ImportError:
        return
    limits = {
        "RLIMIT_AS": _address_space() + int(memory_gb * 2**30),
        "RLIMIT_FSIZE": FILE_BYTES,
        "RLIMIT_CPU": cpu_seconds,
        "RLIMIT_CORE": 0,
        "RLIMIT_NPROC": _own_threads() + PROCESSES,
    }
    for name, most in limits.items():
        try:
            resource.setrlimit(getattr(resource, name), (most, most))
        except (AttributeError, ValueError, OSError):  # this system does not have it, or has a lower one
            continue


def apply_memory(gb: float) -> None:
    """A limit on this process's memory alone, beyond what the libraries have taken already."""
    import resource

    most = _address_space() + int(gb * 2**30)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (ValueError, OSError):  # there is a lower one
        pass


def _address_space() -> int:
    """Bytes of address space that the libraries have taken already."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _own_threads() -> int:
    """Threads that this user runs already, as far as they can be seen: the limit counts them all."""
    import psutil

    uid, count = os.getuid(), 0
    for process in psutil.process_iter():
        try:
            count += process.num_threads() if process.uids().real == uid else 0
        except psutil.Error:
            continue
    return count
