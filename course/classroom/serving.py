"""The side on which a student's answer is: calls come as plain data, what they give goes back as plain data.

What is no data stays here and is told of by a number, under which the other side may call it, or ask it for its next
value. What the other side keeps (a function of the check) is called back. See `apart` for that side.
"""

import base64
import contextlib
import io
import pickle
import random
import sys
import types
from collections.abc import Callable

from course.checks.answer import TimeLimit, TooSlow, where_it_broke
from course.classroom.values import decode, encode

MOST = 3000  # characters of a text
_ASKED = ("call", "iter", "next", "len", "getitem", "setitem", "contains", "bool")  # what an object may be asked for


class Served:
    """The objects of one answer, and the calls of them.

    Args:
        hear, tell: how an order is read, and how an answer is written.
    """

    def __init__(self, hear: Callable[[], dict], tell: Callable[[dict], None]):
        self._hear, self._tell = hear, tell
        self._objects: list = []
        self._token = ""

    def keep(self, value) -> int:
        """A number under which the other side can ask for an object."""
        self._objects.append(value)
        return len(self._objects) - 1

    def answer(self, order: dict) -> dict:
        """What came of one order: "value" or "raised" or "slow", with what was printed meanwhile."""
        printed, before, self._token = io.StringIO(), self._token, order["token"]
        with contextlib.redirect_stdout(printed):
            try:
                said = self._do(order)
            except TooSlow:
                said = {"slow": True}
            except BaseException as error:  # also SystemExit, and what is not an Exception
                said = {"raised": _told(error)}
        self._token = before
        return said | {"printed": printed.getvalue()[:MOST], "token": order["token"]}

    def _do(self, order: dict) -> dict:
        _set_random_numbers(order.get("random"))
        target = self._objects[order["object"]]
        given = [self._decoded(each) for each in order["given"]]
        named = {name: self._decoded(each) for name, each in order["named"].items()}
        everything = [*given, *named.values()]
        before = [_data_in(each) for each in everything]
        with TimeLimit(order["seconds"]) if order.get("seconds") else contextlib.nullcontext():
            value = _asked(target, order["do"])(*given, **named)
        after = [_data_in(each) for each in everything]
        changed = {str(i): now for i, (now, then) in enumerate(zip(after, before, strict=True)) if now != then}
        same = next((i for i, each in enumerate(everything) if each is value and isinstance(before[i], list)), None)
        if same is not None:
            return {"same": same, "changed": changed}
        return {"value": encode(value, self._other), "changed": changed}

    def _other(self, value) -> list:
        can = [each for each in _ASKED if hasattr(type(value), f"__{each}__")]
        name = getattr(value, "__name__", "")
        return ["kept", self.keep(value), type(value).__name__[:60], can, name[:60] if isinstance(name, str) else ""]

    def _decoded(self, said):
        return decode(said, self._from_the_other_side)

    def _from_the_other_side(self, said: list):
        kind, *rest = said
        if kind == "pickle":  # what the course's own process made, never what a student did
            return pickle.loads(base64.b64decode(rest[0]))
        if kind == "yours":
            return self._objects[rest[0]]
        return self._callback(*rest)

    def _callback(self, number: int, name: str):
        def theirs(*given, **named):
            order = {
                "callback": number, "token": self._token,
                "given": [encode(each, self._other) for each in given],
                "named": {key: encode(each, self._other) for key, each in named.items()},
            }  # fmt: skip
            self._tell(order)
            while True:
                reply = self._hear()
                if "reply" in reply:
                    break
                self._tell(self.answer(reply))  # the check's function asks the answer for something meanwhile
            if "raised" in reply:
                raise getattr(__import__("builtins"), reply["raised"], RuntimeError)(reply["text"])
            return self._decoded(reply["reply"])

        theirs.__name__ = theirs.__qualname__ = name
        return theirs


def _asked(target, what: list):
    """What an order asks of an object: ["call"], ["get", name], ["set", name], or one of its special methods."""
    match what:
        case ["call"]:
            return target
        case ["get", str(name)]:
            return lambda: getattr(target, name)
        case ["set", str(name)]:
            return lambda value: setattr(target, name, value)
        case [str(name)] if name in _ASKED:
            method = getattr(type(target), f"__{name}__")
            return lambda *given: method(target, *given)
    raise ValueError(f"no such order: {what!r}")


def _data_in(value):
    """What an argument holds, to see whether a call changed it; None where that is no data."""
    if isinstance(value, str | bytes | int | float | types.NoneType):
        return None
    try:
        return encode(value)
    except (ValueError, RecursionError):
        return None


def _told(error: BaseException) -> dict:
    """An error as plain data."""
    if isinstance(error, Exception):
        place = where_it_broke(error, _told)
    else:
        place = None
    return {
        "kinds": [kind.__name__[:60] for kind in type(error).__mro__][:20],
        "text": _text(error), "bare": not getattr(error, "args", ()), "place": place and place[:MOST],
    }  # fmt: skip


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MOST]
    except Exception:
        return "(an error that cannot be written)"


def _set_random_numbers(state: dict | None) -> None:
    """The random numbers of the check, from here on."""
    if state is None:
        return
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    random.setstate(decode(state["python"]))
    if numpy and "numpy" in state:
        numpy.random.set_state(decode(state["numpy"]))
    if torch and "torch" in state:
        torch.set_rng_state(decode(state["torch"]))
