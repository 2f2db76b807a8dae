"""A process that takes orders and answers, a line of JSON each, and that is waited for no longer than was said.

Nothing that the other side does, or leaves undone, holds up this one: lines are written and read by threads.
"""

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from course.classroom.sandbox import UNSAFE, Confinement

LONGEST = 96 * 2**20  # characters of a line that is still read
_WAITING = 100  # lines that were read and not asked for yet
_LOOK = 0.2  # seconds between two looks at the memory, and the longest wait that nothing interrupts


class Ended(BaseException):
    """The process has ended, or has not answered in time; `reason` is "died", "time out" or "memory".

    Not an `Exception`: a check that goes on after an error of the answer's must not go on after this.
    """

    def __init__(self, reason: str, code: int | None = None):
        super().__init__(reason)
        self.reason, self.code = reason, code


class Child:
    """A process of this Python that runs a module of the course.

    Args:
        confinement: where it runs; None for a process of our own.
        memory_gb: that all its processes may take together; None for any amount.
    """

    def __init__(self, module: str, confinement: Confinement | None = None, memory_gb: float | None = None):
        self._confinement = confinement or UNSAFE
        self._folder = tempfile.TemporaryDirectory(prefix="course-grade-", ignore_cleanup_errors=True)
        self._errors = tempfile.TemporaryFile()
        self._outgoing: queue.Queue = queue.Queue()
        self._incoming: queue.Queue = queue.Queue(_WAITING)
        self._stopped = threading.Event()
        self._too_much = False
        try:
            self._process, self._name = self._confinement.start(
                [sys.executable, "-P", "-m", module], Path(self._folder.name).resolve(), confinement is None,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            )  # fmt: skip
        except BaseException:
            self._folder.cleanup()
            raise
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._write, self._read)]
        if memory_gb is not None:
            self._threads.append(threading.Thread(target=self._watch, args=(memory_gb * 2**30,), daemon=True))
        for thread in self._threads:
            thread.start()

    def send(self, order: dict) -> None:
        """Give an order; this returns at once, whether it is read or not."""
        self._outgoing.put(json.dumps(order) + "\n")

    def receive(self, seconds: float) -> dict:
        """The next answer.

        Raises:
            Ended: there is none in this time, or the process is not there any more.
        """
        until = time.monotonic() + seconds
        while True:
            try:  # in short waits, so that an error that another thread raises in this one is met
                said = self._incoming.get(timeout=max(0.0, min(_LOOK, until - time.monotonic())))
            except queue.Empty:
                if self._stopped.is_set():
                    raise Ended("died") from None
                if time.monotonic() >= until:
                    raise Ended("memory" if self._too_much else "time out") from None
                continue
            if said is None:
                self._pass_on(None)
                raise Ended("memory" if self._too_much else "died", self._exit_code())
            return said

    def receive_for(self, token: str, seconds: float) -> dict:
        """The next answer that has the token of an order; what has not is nobody's, printed by a student's code."""
        until = time.monotonic() + seconds
        while True:
            said = self.receive(max(0.0, until - time.monotonic()))
            if said.get("token") == token:
                return said

    def size(self) -> tuple[int, int]:
        """How many processes and threads it consists of, as far as they can be seen."""
        import psutil

        family, threads = _family(self._process.pid), 0
        for process in family:
            try:
                threads += process.num_threads()
            except psutil.Error:
                continue
        return len(family), threads

    def last_words(self) -> str:
        """The last line that the process wrote to its errors."""
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace").strip().split("\n")[-1]

    def stop(self) -> None:
        """End the process and all that it started."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        family = _family(self._process.pid)
        self._kill(family)
        self._process.wait()
        self._confinement.stop(self._name)
        self._kill(family)
        self._outgoing.put(None)
        for thread in self._threads:
            thread.join(timeout=5)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            try:
                pipe.close()
            except OSError:  # what was not sent yet has no reader
                continue
        self._folder.cleanup()

    def _kill(self, family: Sequence) -> None:
        import psutil

        self._process.kill()
        for process in family:
            try:
                process.kill()
            except psutil.Error:
                continue

    def _write(self) -> None:
        try:
            while (text := self._outgoing.get()) is not None:
                self._process.stdin.write(text.encode("ascii"))
                self._process.stdin.flush()
        except (OSError, ValueError):  # nobody reads any more
            pass

    def _read(self) -> None:
        try:
            while line := self._process.stdout.readline(LONGEST):
                try:
                    said = json.loads(line)
                except (ValueError, RecursionError, MemoryError):
                    continue
                if isinstance(said, dict):
                    self._pass_on(said)
        except (OSError, ValueError):  # the pipe was closed
            pass
        self._pass_on(None)

    def _pass_on(self, said: dict | None) -> None:
        while not self._stopped.is_set():
            try:
                return self._incoming.put(said, timeout=_LOOK)
            except queue.Full:  # more than anybody asked for: it has to wait
                continue

    def _watch(self, most: float) -> None:
        """End the process when it and its children take more memory than they may."""
        import psutil

        while not self._stopped.wait(_LOOK):
            taken = 0
            for process in _family(self._process.pid):
                try:
                    taken += process.memory_info().rss
                except psutil.Error:
                    continue
            if taken > most:
                self._too_much = True
                self._kill(_family(self._process.pid))
                return

    def _exit_code(self) -> int | None:
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return None


def _family(pid: int) -> list:
    """A process and all that it started, as far as they can be seen."""
    import psutil

    try:
        parent = psutil.Process(pid)
        return [*parent.children(recursive=True), parent]
    except psutil.Error:
        return []
