"""A learner's answer in use: the following cells call what passed its check, with the course's own part behind it.

A check sees much, and not all. Where an answer raises an error in a later cell, and the course's part, given the same,
does not, the course's part takes its place from then on, and says so.
"""

import functools
import inspect
from collections.abc import Callable


class StandIn:
    """The course's part behind an answer, fetched when it is first needed.

    Attributes:
        used: whether it has taken the answer's place.
    """

    def __init__(self, fetch: Callable[[], object], tell: Callable[[Exception], None]):
        self._fetch, self._tell, self._part = fetch, tell, None
        self.used = False

    @property
    def part(self):
        self._part = self._part or self._fetch()
        return self._part

    def after(self, error: Exception, call: Callable[[], object]):
        """What `call`, which uses the course's part, returns; the answer's own `error` where that fails, too."""
        try:
            result = call()
        except Exception:
            raise error from None  # what was given is to blame, or nothing can be done
        if not self.used:
            self.used = True
            self._tell(error)
        return result


def in_use(answer, name: str, stand_in: StandIn):
    """The answer, a function or a class, as the following cells get it.

    Args:
        name: that the part has; a class is shown by it.
    """
    if isinstance(answer, type):
        return _class_in_use(answer, name, stand_in)
    if not callable(answer):
        return answer
    part = _generator_in_use(answer, stand_in) if inspect.isgeneratorfunction(answer) else _function(answer, stand_in)
    part.yours = answer
    return part


def yours(part):
    """The learner's own answer behind a part; any other object as it is."""
    return getattr(part, "yours", part)


def _function(answer, stand_in: StandIn):
    @functools.wraps(answer)
    def part(*args, **kwargs):
        if stand_in.used:
            return stand_in.part(*args, **kwargs)
        try:
            return answer(*args, **kwargs)
        except Exception as error:
            return stand_in.after(error, lambda: stand_in.part(*args, **kwargs))

    return part


def _generator_in_use(answer, stand_in: StandIn):
    @functools.wraps(answer)
    def part(*args, **kwargs):
        given = 0
        try:
            for item in (stand_in.part if stand_in.used else answer)(*args, **kwargs):
                yield item
                given += 1
        except Exception as error:
            if stand_in.used:
                raise
            rest = stand_in.after(error, lambda: list(stand_in.part(*args, **kwargs))[given:])
            yield from rest

    return part


def _class_in_use(answer: type, name: str, stand_in: StandIn) -> type:
    """A subclass whose instances become those of the course's class when one of the answer's methods fails."""

    def guarded(method_name: str, method):
        @functools.wraps(method)
        def call(self, *args, **kwargs):
            def as_the_courses():
                before = self.__class__
                self.__class__ = stand_in.part
                try:
                    return getattr(self, method_name)(*args, **kwargs)
                except Exception:
                    self.__class__ = before
                    raise

            if stand_in.used and isinstance(self, part):  # another instance has failed before
                return as_the_courses()
            try:
                return method(self, *args, **kwargs)
            except Exception as error:
                if not isinstance(self, part) or not hasattr(stand_in.part, method_name):
                    raise
                return stand_in.after(error, as_the_courses)

        return call

    methods = {
        each: guarded(each, member)
        for each, member in vars(answer).items()
        if inspect.isfunction(member) and (not each.startswith("__") or each in ("__init__", "__call__", "__len__"))
    }
    part = type(
        name, (answer,), methods | {"yours": answer, "__doc__": answer.__doc__, "__module__": answer.__module__}
    )
    part.__qualname__ = name
    return part
