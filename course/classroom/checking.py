"""Checks answers in a process of our own that has none of a student's code in it: what `Marker` starts.

It reads orders from its standard input and writes verdicts to its standard output, a line of JSON each. The answers
are in a process that it starts in the confinement (`marking`) and that it calls; it believes of that process nothing
but that the values it sends are what the answer returned. Only for the exercises of `TOGETHER` the check runs there.
"""

import json
import os
import queue
import secrets
import sys
import threading
import time

from course.checks.begun import same_source
from course.checks.exercise import NOT_ATTEMPTED, REGISTRY, RIGHT
from course.checks.registry import load_checks
from course.checks.result import Result
from course.classroom import limits
from course.classroom.apart import Link, RemoteAnswer
from course.classroom.child import Child, Ended
from course.classroom.marking import ERROR, verdict
from course.classroom.sandbox import Confinement

START_SECONDS = 240  # for importing what the answers need
TIME_OUT, DIED, BROKEN = "time out", "died", "did not start"
_MORE_THREADS = 16  # that libraries may start when they are first used
EXERCISES = 20  # of one process, for its limit on processor time

# Exercises whose check and answer must share objects that are no plain data: modules, their parameters and gradients,
# optimizers, what is changed in them.
TOGETHER = frozenset(
    "1.7 2.7 3.9 4.1 4.3 4.6 5.2 5.3 5.6 5.7 5.10 6.1 6.2 6.3 6.4 6.6 6.7 6.10 7.2 7.6 7.7 7.8 7.10 7.11 8.3 8.7 8.10 "
    "9.12 9.13 10.3 10.10 10.11 10.12 10.13 10.14 10.15 10.16 10.19 10.21 10.22 10.23 10.24 10.25 10.26 10.27 10.28 "
    "10.29 10.30 10.31 10.39 10.40 10.41 10.43 10.44 11.1 11.2 11.8 12.1 12.6 12.7 12.8 "
    "12.9 13.7 13.8 13.9 14.2 14.3 14.7 14.9 14.11 15.1 15.4 15.5 15.6 15.7 15.10 15.11".split()
)


class Checker:
    """Checks the answers of one student after another; `confinement` and limits as they were ordered."""

    def __init__(self, confinement: Confinement, seconds: float, memory_gb: float):
        self._confinement, self._seconds, self._memory_gb = confinement, seconds, memory_gb
        self._worker: Child | None = None
        self._of = None  # what the process is for
        self._size = 0, 0  # processes and threads of it, before any answer ran

    def check(self, order: dict) -> dict:
        """The verdict on one answer; an order has student, checks, number, above, warm_up, own, source."""
        load_checks(order["checks"])
        problem = self._ready(order)
        if problem:
            return {"state": BROKEN, "problem": problem}
        until = time.monotonic() + self._seconds
        about = {key: order[key] for key in ("number", "above", "own", "source")}
        try:
            said = (self._together if order["number"] in TOGETHER else self._apart)(about, until)
        except Ended as error:
            self.stop()
            return {"state": TIME_OUT if error.reason == "time out" else DIED, "code": error.code, "why": error.reason}
        if self._worker and self._left_something(said):
            self.stop()
        return said

    def _left_something(self, said: dict) -> bool:
        """Whether an answer left processes or threads behind, with which the next one would share its limits."""
        if self._confinement.is_container:  # it cannot be looked into
            return said.get("state") != RIGHT
        processes, threads = self._worker.size()
        return processes > self._size[0] or threads > self._size[1] + _MORE_THREADS

    def stop(self) -> None:
        """End the process with the answers."""
        if self._worker:
            self._worker.stop()
        self._worker = self._of = None

    def _ready(self, order: dict) -> str:
        """See that there is a process for this student's answers to this notebook; what is wrong if there is none."""
        together = order["checks"] if order["number"] in TOGETHER else ""
        if self._worker and self._of == (order["student"], order["checks"], together):
            return ""
        self.stop()
        self._of = order["student"], order["checks"], together
        try:
            self._worker = Child("course.classroom.marking", self._confinement, self._memory_gb + 2)
        except OSError as error:
            return str(error)
        cpu_seconds = int(START_SECONDS + EXERCISES * self._seconds)
        start = {"warm_up": order["warm_up"], "together": together, "memory_gb": self._memory_gb}
        self._worker.send({**start, "cpu_seconds": cpu_seconds})
        try:
            self._worker.receive(START_SECONDS)
            self._size = self._worker.size()
        except Ended as error:
            said = self._worker.last_words() or f"{error.reason}, exit code {error.code}"
            self.stop()
            return said
        return ""

    def _together(self, order: dict, until: float) -> dict:
        return self._asked({"mark": order}, until)

    def _asked(self, order: dict, until: float) -> dict:
        token = secrets.token_hex(16)  # a new one each time: the last may have been seen
        self._worker.send(order | {"token": token})
        said = self._worker.receive_for(token, max(0.0, until - time.monotonic()))
        del said["token"]
        return said

    def _apart(self, order: dict, until: float) -> dict:
        exercise, number = REGISTRY[order["number"]], order["number"]
        said = self._asked({"load": {**order, "name": exercise.name}}, until).get("loaded")
        if not isinstance(said, dict) or said.get("state") == ERROR:
            return said if isinstance(said, dict) else _error("the answer sent no reply")
        remarks, elsewhere = _texts(said.get("remarks")), _texts(said.get("elsewhere"))
        begun = exercise.begins_as and same_source(order["source"], exercise.name, exercise.begins_as)
        if said.get("untouched") is True or begun:
            return verdict(Result(number, exercise.title, NOT_ATTEMPTED), remarks, elsewhere)
        link = Link(self._worker, until)
        kind, label = said.get("kind"), str(said.get("label") or "your function")
        if kind == "value":
            problem = f"{exercise.name} is neither a function nor a class"
            return _error(problem, "no-function") | {"remarks": remarks}
        place = said.get("object") if type(said.get("object")) is int else 0
        answer = RemoteAnswer(link, place, label, exercise.seconds, kind == "class")
        try:
            result = exercise(answer)
        except Ended:
            raise
        except BaseException as error:  # SystemExit of the answer, and what is not an Exception
            return _error(f"{type(error).__name__} ended the check: {error}", type(error).__name__, remarks)
        finally:
            if link.broken:  # a call was left before it ended
                self.stop()
        return verdict(result, remarks, elsewhere)


def _error(problem: str, slug: str = "no-reply", remarks=()) -> dict:
    return {"state": ERROR, "slug": slug, "problem": problem, "remarks": list(remarks)}


def _texts(value) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def main() -> int:
    orders: queue.Queue = queue.Queue()
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a check prints is no verdict
    start = json.loads(sys.stdin.readline())
    checker = Checker(Confinement(**start["confinement"]), start["seconds"], start["memory_gb"])

    def listen() -> None:
        for line in sys.stdin:
            orders.put(json.loads(line))
        checker.stop()  # whoever gave orders is gone
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    if sys.platform == "linux":
        limits.apply_memory(start["memory_gb"] + 4)
    while True:
        order = orders.get()
        try:
            said = checker.check(order)
        except Exception as error:  # the check itself failed on what came from the answer: that answer is not right
            checker.stop()
            said = _error(f"what the answer returned could not be checked ({type(error).__name__}: {error})"[:500])
        replies.write(json.dumps(said) + "\n")
        replies.flush()


if __name__ == "__main__":
    sys.exit(main())
