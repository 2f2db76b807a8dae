"""The side on which a check is: a student's answer is in another process, and only plain data comes from there.

`RemoteAnswer` stands in for the answer. What it returns is built here, of exactly Python's, numpy's and torch's own
types; what is no data (an iterator, an object of a class of the student's) is a stand-in that asks the other side. See
`serving` for that.
"""

import base64
import builtins
import pickle
import random
import secrets
import sys
import time
import types
from functools import cache

from course.checks.answer import TooSlow
from course.classroom.child import Child, Ended
from course.classroom.values import decode, encode
from helpers.errors import CourseError

_MOST_KEPT = 100_000  # objects of the check that the other side may call


class Link:
    """A conversation with the process that has the answer, about one exercise.

    Args:
        until: when, by `time.monotonic`, the time for the exercise is over.
    """

    def __init__(self, child: Child, until: float):
        self._child, self._until = child, until
        self._lent: list = []
        self._random = None
        self.broken = False  # whether a call was left before it ended: the process must not be used again

    def ask(self, number: int, do: list, given=(), named=None, seconds: float | None = None):
        """What an object of the other side answers.

        Raises:
            Ended: the process has ended, or the time is over.
            Exception: as the answer raised it, by its kind and its text.
        """
        named = named or {}
        order = {
            "object": number, "do": do, "given": [self._encoded(each) for each in given],
            "named": {name: self._encoded(each) for name, each in named.items()},
            "seconds": seconds, "random": self._random_numbers(), "token": secrets.token_hex(16),
        }  # fmt: skip
        self.broken = True
        self._child.send(order)
        while "callback" in (said := self._heard(order["token"])):
            self._child.send(self._called_back(said))
        self.broken = False
        if isinstance(printed := said.get("printed"), str) and printed:
            print(printed, end="")
        if said.get("slow"):
            raise TooSlow
        if "raised" in said:
            raise _error(said["raised"])
        everything = [*given, *named.values()]
        _write_back(everything, said.get("changed"), self._decoded)
        if type(same := said.get("same")) is int and 0 <= same < len(everything):
            return everything[same]
        return self._decoded(said.get("value"))

    def _heard(self, token: str) -> dict:
        return self._child.receive_for(token, max(0.0, self._until - time.monotonic()))

    def _called_back(self, said: dict) -> dict:
        """The reply to a call of a function that was lent."""
        try:
            function = self._lent[said["callback"]] if type(said["callback"]) is int else None
            given = [self._decoded(each) for each in said["given"]]
            named = {str(name): self._decoded(each) for name, each in said["named"].items()}
            return {"reply": self._encoded(function(*given, **named))}
        except (Ended, TooSlow):
            raise
        except Exception as error:
            return {"reply": None, "raised": type(error).__name__, "text": str(error)}

    def _encoded(self, value):
        return encode(value, self._other)

    def _other(self, value) -> list:
        """What is no data goes over as a copy if it can, and else stays here to be called."""
        if isinstance(value, Remote):
            return ["yours", value._number]
        if not (isinstance(value, types.FunctionType | types.MethodType) and _of_the_checks(value)):
            try:
                return ["pickle", base64.b64encode(pickle.dumps(value)).decode()]
            except Exception:  # a pickle fails in many ways
                pass
        if len(self._lent) >= _MOST_KEPT:
            raise ValueError("too many functions were handed over")
        self._lent.append(value)
        return ["lent", len(self._lent) - 1, getattr(value, "__name__", type(value).__name__)]

    def _decoded(self, said):
        return decode(said, self._stand_in)

    def _stand_in(self, said: list):
        match said:
            case ["kept", int(number), str(kind), list(can), str(name)]:
                return _class_for(tuple(sorted(each for each in can if each in _SPECIAL)))(self, number, kind, name)
        raise ValueError("nothing that can stand in")

    def _random_numbers(self) -> dict | None:
        """The states of the check's random numbers, where they are others than when they were last sent."""
        numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        state = {"python": encode(random.getstate())}
        if numpy:
            state["numpy"] = encode(numpy.random.get_state())
        if torch:
            state["torch"] = encode(torch.get_rng_state())
        if state == self._random:
            return None
        self._random = state
        return state


def _of_the_checks(function) -> bool:
    return str(getattr(function, "__module__", "")).startswith("course.")


class Remote:
    """Something on the other side."""

    def __init__(self, link: Link, number: int, kind: str = "", name: str = ""):
        vars(self).update(_link=link, _number=number, _kind=kind)
        if name:
            vars(self)["__name__"] = name

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._link.ask(self._number, ["get", name])

    def __setattr__(self, name: str, value) -> None:
        self._link.ask(self._number, ["set", name], [value])

    def __repr__(self) -> str:
        return f"<{self._kind} object>"


class RemoteAnswer:
    """A student's function or class, to be handed to an `Exercise`."""

    def __init__(self, link: Link, number: int, name: str, seconds: float, is_class: bool):
        self._link, self._number, self._seconds, self.is_class = link, number, seconds, is_class
        self.__name__ = name

    def __call__(self, *given, **named):
        return self._link.ask(self._number, ["call"], given, named, None if self.is_class else self._seconds)

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._link.ask(self._number, ["get", name])


def _special(what: str):
    def ask(self, *given, **named):
        try:
            return self._link.ask(self._number, [what], given, named)
        except StopIteration:
            raise StopIteration from None

    return ask


_SPECIAL = {each: _special(each) for each in "call iter next len getitem setitem contains bool".split()}


@cache
def _class_for(can: tuple[str, ...]) -> type:
    return type("Remote", (Remote,), {f"__{each}__": _SPECIAL[each] for each in can})


def _write_back(given: list, changed, decoded) -> None:
    """Let arguments hold what a call left in its copies of them."""
    for place, said in changed.items() if isinstance(changed, dict) else ():
        if place.isdigit() and int(place) < len(given):
            _assign(given[int(place)], decoded(said))


def _assign(old, new):
    """Put what `new` holds into `old`, as deep as the two are alike; what stands for `new` from now on."""
    torch = sys.modules.get("torch")
    if type(old) is not type(new) and not (torch and isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor)):
        return new
    if isinstance(old, list | tuple) and len(old) == len(new):
        parts = [_assign(o, n) for o, n in zip(old, new, strict=True)]
        if isinstance(old, list):
            old[:] = parts
        return old
    if isinstance(old, list | bytearray):
        old[:] = new
    elif isinstance(old, dict):
        merged = {key: _assign(old[key], value) if key in old else value for key, value in new.items()}
        old.clear()
        old.update(merged)
    elif isinstance(old, set):
        old.clear()
        old.update(new)
    elif torch and isinstance(old, torch.Tensor) and old.shape == new.shape and old.dtype == new.dtype:
        with torch.no_grad():
            old.copy_(new)
    elif hasattr(old, "shape") and hasattr(old, "dtype") and getattr(new, "shape", None) == old.shape:
        old[...] = new
    else:
        return new
    return old


def _error(told) -> BaseException:
    """The error that was told of: of the nearest kind that Python itself has, with its name and text."""
    told = told if isinstance(told, dict) else {}
    kinds = [str(each) for each in told.get("kinds") or [] if isinstance(each, str)] or ["RuntimeError"]
    known = (CourseError if name == "CourseError" else getattr(builtins, name, None) for name in kinds)
    base = next((each for each in known if isinstance(each, type) and issubclass(each, BaseException)), RuntimeError)
    text, place = str(told.get("text") or ""), told.get("place")
    made = _kind_of_error(kinds[0], base)(*([] if told.get("bare") is True else [text]))
    made.text, made.place = text, place if isinstance(place, str) else None
    return made


@cache
def _kind_of_error(name: str, base: type) -> type:
    def start(self, *args):
        self.args = args

    return type(name, (base,), {"__init__": start, "__str__": lambda self: self.text, "__new__": base.__new__})
