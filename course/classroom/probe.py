"""Run inside a confinement before it is trusted: tries what no student's code may do, and says what it could.

    python -m course.classroom.probe '{"port": 1234, ...}'

`sandbox.proved` starts it, and takes a confinement only if nothing is found.
"""

import json
import os
import signal
import socket
import sys
import tempfile
import time

from course.classroom import limits

MEMORY_GB = 0.5  # what the probe allows itself
MANY = 200  # processes, more than `limits.PROCESSES`


def main() -> int:
    import course.checks.exercise  # noqa: F401  Python must be whole in there, and the course with it

    asked = json.loads(sys.argv[1])
    tempfile.TemporaryFile().close()  # the working folder can be written to
    if json.__file__ != asked["library"]:
        raise RuntimeError(f"another Python's library: {json.__file__}")
    limits.apply(MEMORY_GB, 60)
    tries = {
        "reach the network": lambda: socket.create_connection(("127.0.0.1", asked["port"]), timeout=2),
        "reach a socket on the disk": lambda: _connect(asked["socket"]),
        "open the terminal": lambda: os.open("/dev/tty", os.O_WRONLY),
        "set what the system does": lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY),
        "be the administrator": lambda: None if os.getuid() == 0 else _no(),
        "see other processes": lambda: None if sum(map(str.isdigit, os.listdir("/proc"))) > 9 else _no(),
        "start any number of processes": _many_processes,
        "take any amount of memory": lambda: bytearray(int(2 * MEMORY_GB * 2**30)),
        **{f"write in {folder}": lambda folder=folder: _write(folder) for folder in asked["outside"]},
        **{f"read {folder}": lambda folder=folder: _read(folder) for folder in asked["hidden"]},
    }
    print(json.dumps([what for what, attempt in tries.items() if _possible(attempt)]))
    return 0


def _possible(attempt) -> bool:
    try:
        attempt()
    except (OSError, MemoryError):
        return False
    return True


def _no():
    raise PermissionError


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)


def _write(folder: str) -> None:
    path = os.path.join(folder, "course-grade-probe")
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    os.unlink(path)


def _read(folder: str) -> None:
    if not os.listdir(folder):
        raise FileNotFoundError(folder)


def _many_processes() -> None:
    started = []
    try:
        for _ in range(MANY):
            child = os.fork()
            if child == 0:
                time.sleep(30)
                os._exit(0)
            started.append(child)
    finally:
        for child in started:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


if __name__ == "__main__":
    sys.exit(main())
