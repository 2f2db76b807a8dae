"""A learner's function in good hands: copied inputs, remembered calls, a time limit, and the line where it
broke.
"""

import copy
import ctypes
import dis
import inspect
import linecache
import sys
import sysconfig
import threading
import traceback
from pathlib import Path

from course.checks.compare import is_array, kind_and_shape, same, shown


class NotAttempted(Exception):
    """The answer is still (partly) the stub."""


class TooSlow(BaseException):
    """A call took too long. Not an `Exception`: a learner's `except Exception` must not swallow it."""


class Answer:
    """Stands in for the learner's function inside a check.

    Attributes:
        last_call: the latest call, written as code.
        returned_none_from, changed_input_of, switched_gradients: the first call that returned None, changed an
            argument, or left gradients switched on or off where they were not; or "".
    """

    def __init__(self, function, seconds: float, hand_over_originals: bool = False):
        self.function = function
        self.seconds = seconds
        self.hand_over_originals = hand_over_originals
        self.__name__ = _name_of(function)
        self.last_call = self.returned_none_from = self.changed_input_of = self.switched_gradients = ""

    def __call__(self, *args, **kwargs):
        written = [_as_argument(a) for a in args] + [f"{k}={_as_argument(v)}" for k, v in kwargs.items()]
        self.last_call = f"{self.__name__}({', '.join(written)})"
        given = (
            (args, kwargs)
            if self.hand_over_originals
            else (tuple(map(_copied, args)), {k: _copied(v) for k, v in kwargs.items()})
        )
        kept = gradients_are_kept()
        try:
            with TimeLimit(self.seconds):
                result = self.function(*given[0], **given[1])
        finally:
            if gradients_are_kept() != kept:
                self.switched_gradients = self.switched_gradients or self.last_call
                sys.modules["torch"].set_grad_enabled(kept)
        if result is Ellipsis:
            raise NotAttempted
        if result is None and not self.returned_none_from:
            self.returned_none_from = self.last_call
        before, after = [*args, *kwargs.values()], [*given[0], *given[1].values()]
        if not self.changed_input_of and any(
            _is_data(b) and not same(a, b) for a, b in zip(after, before, strict=True)
        ):
            self.changed_input_of = self.last_call
        return result


def gradients_are_kept() -> bool:
    """Whether torch, if it is there, remembers what it computes for a backward pass."""
    return "torch" not in sys.modules or sys.modules["torch"].is_grad_enabled()


def _name_of(function) -> str:
    """What the messages call an answer: never `<lambda>`, nor an address."""
    name = getattr(function, "__name__", "your function")
    return "your lambda" if name == "<lambda>" else name


def _as_argument(value) -> str:
    """A value in few characters: beyond them an array is better told by its shape than by its first numbers."""
    text = shown(value, 40)
    return kind_and_shape(value) if is_array(value) and text.endswith(" ...") else text


def _is_data(value) -> bool:
    return isinstance(value, list | tuple | dict | set | bytearray) or is_array(value)


def _copied(value):
    """A deep copy of plain data; anything else (a model, an iterator, a tensor that gradients flow to) as it
    is.
    """
    if not _is_data(value) or getattr(value, "requires_grad", False):
        return value
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


class TimeLimit:
    """Raises `TooSlow` in the calling thread after so many seconds: on every system, unlike an alarm signal.

    It interrupts Python code; a single call into a library is waited for.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._caller = threading.get_ident()
        self._over, self._lock = threading.Event(), threading.Lock()

    def _interrupt(self) -> None:
        wait = self._seconds
        while not self._over.wait(wait):
            with self._lock:  # never after the call has ended
                if not self._over.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._caller), ctypes.py_object(TooSlow))
            wait = 0.5  # again, if a bare `except:` has swallowed it

    def __enter__(self):
        threading.Thread(target=self._interrupt, daemon=True).start()

    def __exit__(self, *_):
        with self._lock:
            self._over.set()


def is_untouched(answer) -> bool:
    """Whether a function, or any method of a class, still has the stub's body: only a docstring, `...`,
    `pass` or `raise NotImplementedError`.
    """
    if isinstance(answer, type):
        return bool(still_to_write(answer))
    code = getattr(inspect.unwrap(answer) if callable(answer) else answer, "__code__", None)  # below its decorators
    if code is None:
        return False
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("RESUME", "NOP", "CACHE", "POP_TOP")]
    if steps and steps[-1].opname == "RAISE_VARARGS":
        return steps[0].argval in ("NotImplementedError", NotImplementedError)  # Python 3.14 has it as a constant
    return all(
        step.opname.startswith("RETURN") and step.argval in (None, Ellipsis)
        or step.opname in ("LOAD_CONST", "LOAD_COMMON_CONSTANT") and step.argval in (None, Ellipsis)
        for step in steps
    )  # fmt: skip


def still_to_write(answer: type) -> list[str]:
    """The methods of a class that still have the stub's body."""
    return [name for name, member in vars(answer).items() if inspect.isfunction(member) and is_untouched(member)]


_LIBRARIES = tuple(str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib"))
_HERE = str(Path(__file__).resolve().parent)


def where_it_broke(error: BaseException, check_function) -> str | None:
    """ "line 3 of merge: `return ids[i + 1]`" for the innermost line of the learner's own code, or None.

    The line is counted from the `def`, as the learner sees it in the cell. An error that came from another process
    brings its place along.
    """
    if isinstance(place := getattr(error, "place", None), str):
        return place
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        code = frame.f_code
        if code is check_function.__code__:
            continue
        name = code.co_filename
        if name.startswith("<frozen") or str(Path(name).resolve()).startswith((_HERE, *_LIBRARIES)):
            continue
        if frame.f_globals.get("__name__", "").startswith(("helpers.", "course.")):
            continue
        text = linecache.getline(name, line).strip()
        place = "the lambda" if code.co_name == "<lambda>" else code.co_name
        return f"line {line - code.co_firstlineno + 1} of {place}" + (f": {text}" if text else "")
    return None


_MEANINGS = (  # of Python's own errors, for a learner; the first that fits is taken
    (RecursionError, "", "A recursion needs a case in which it stops."),
    (IndexError, "", "A place was asked for that is not there. What is the largest index, and what is the length?"),
    (KeyError, "", "The dictionary has no such key: ask first whether it is `in` there, or use `.get`."),
    (ZeroDivisionError, "", "In this case the divisor is zero. What should come out then?"),
    (NameError, "", "That name means nothing yet: is it spelled right, and defined or imported in a cell that ran?"),
    (TypeError, "unhashable", "A list can be no key of a dictionary and no member of a set; a tuple of it can."),
    (UnicodeDecodeError, "", "These bytes are not UTF-8. `bytes.decode` has an argument, `errors`, for that."),
)
_OWN = "That message is Python's own. Print the values that stand on that line, just before it."
_ASKED = "Does it take the arguments that the exercise names, and return the kind of value it asks for?"


def hint_for(error: Exception, in_the_answer: bool) -> str:
    """Where to look after an error, which came from the learner's own lines (`in_the_answer`) or from what was
    done with the result.
    """
    if not in_the_answer and not isinstance(error, RecursionError):
        return _ASKED
    return next((hint for kind, says, hint in _MEANINGS if isinstance(error, kind) and says in str(error)), _OWN)
