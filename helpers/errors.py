"""Built beside the notebooks: the one error type of the course, a message written for the person who reads it.

Used by all of `helpers` and `course`.
"""

import difflib
from collections.abc import Iterable


class CourseError(ValueError):
    """Something is wrong with what was asked for; the message says what to do about it.

    The command line prints the message as one line and leaves with exit code 2. A notebook shows it as any other error.
    """


class NotANumber(CourseError):
    """A loss or a gradient is no longer a number: the training has diverged."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """What to add to a message about an unknown name: the nearest known one, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def first_line(error: BaseException) -> str:
    """What an error says, as far as its first line goes; the name of its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def some_of(names: list[str]) -> str:
    """The first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
