"""What `grade` marks with: a process of our own with the checks (`checking`), which starts those with the answers."""

from dataclasses import asdict

from course.classroom.checking import BROKEN, DIED, START_SECONDS, TIME_OUT
from course.classroom.child import Child, Ended
from course.classroom.sandbox import Confinement, Limits
from helpers.errors import CourseError

_MORE_SECONDS = 30  # than an exercise may take, until the checks are given up


class Marker:
    """Marks answers, one after another; used as a context. One that was stopped starts again with the next answer."""

    def __init__(self, confinement: Confinement, limits: Limits):
        self._confinement, self._limits = confinement, limits
        self._child: Child | None = None
        self._closed = False

    def __enter__(self) -> "Marker":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """End all that was started; nothing is started any more."""
        self._closed = True
        self._stop()

    def mark(self, order: dict) -> dict:
        """The verdict on an order as `checking.Checker.check` takes it.

        Raises:
            CourseError: the process for the answers does not start, which is no student's fault.
            InterruptedError: the marker was closed meanwhile.
        """
        try:
            verdict = self._asked(order)
        except Ended as error:
            self._stop()
            if self._closed:
                raise InterruptedError("stopped") from error
            return {"state": TIME_OUT if error.reason == "time out" else DIED, "code": error.code}
        if verdict.get("state") == BROKEN:
            raise CourseError(f"the process that marks did not start ({verdict.get('problem')})")
        return verdict

    def _asked(self, order: dict) -> dict:
        if self._closed:
            raise InterruptedError("stopped")
        if self._child is None:
            self._child = Child("course.classroom.checking")
            self._child.send({"confinement": asdict(self._confinement), **asdict(self._limits)})
        self._child.send(order)
        return self._child.receive(START_SECONDS + self._limits.seconds + _MORE_SECONDS)

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child:
            child.stop()
