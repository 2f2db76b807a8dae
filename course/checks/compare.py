"""Comparing what a learner's function returned with what it should have, and writing values short enough to
read.
"""

import math
import re
from collections.abc import Mapping, Sequence, Set

MOST = 72  # characters of a value in a message
_HAS_ITEMS = (list, tuple, dict, set, frozenset)


def is_array(value) -> bool:
    """A numpy array or a torch tensor (or a scalar of theirs), without importing either."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _plain(value):
    """An array as nested lists, so that a tensor, an array and a list of the same numbers compare equal."""
    if is_array(value):
        return value.detach().cpu().tolist() if hasattr(value, "detach") else value.tolist()
    return value


def _is_sequence(value) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(got, expected) -> bool:
    """Equal in value. Lists, tuples and arrays compare element by element; 1 and 1.0 are equal, True and 1
    are not.
    """
    got, expected = _plain(got), _plain(expected)
    if _is_sequence(expected):
        return _is_sequence(got) and len(got) == len(expected) and all(map(same, got, expected))
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping) and got.keys() == expected.keys() and all(same(got[k], expected[k]) for k in got)
        )
    if isinstance(expected, Set):
        return isinstance(got, Set) and set(got) == set(expected)
    if isinstance(expected, bool) or isinstance(got, bool):
        return got is expected
    if isinstance(expected, float) and isinstance(got, float) and math.isnan(expected):
        return math.isnan(got)
    try:
        return bool(got == expected)
    except Exception:  # a type that cannot be compared is not equal
        return False


def close(got, expected, tolerance: float) -> bool:
    """As `same`, but numbers may differ by `tolerance`, absolutely or relative to the expected number."""
    got, expected = _plain(got), _plain(expected)
    if _is_number(expected):
        return _is_number(got) and (
            same(got, expected) or math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance)
        )
    if _is_sequence(expected):
        return (
            _is_sequence(got)
            and len(got) == len(expected)
            and all(close(g, e, tolerance) for g, e in zip(got, expected, strict=True))
        )
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping)
            and got.keys() == expected.keys()
            and all(close(got[k], expected[k], tolerance) for k in got)
        )
    return same(got, expected)


def _kind(value) -> str:
    return "tensor" if hasattr(value, "detach") else "array"


def kind_and_shape(value) -> str:
    """ "tensor of shape (2, 3)"."""
    return f"{_kind(value)} of shape {tuple(value.shape)}"


def shown(value, most: int = MOST) -> str:
    """A value as it would be typed, shortened; of a large array only the kind, the shape and the type of its
    numbers.
    """
    if is_array(value):
        if math.prod(value.shape) > 12:
            return f"{kind_and_shape(value)}, {str(value.dtype).removeprefix('torch.')}"
        text = f"{_kind(value)}({_rounded(_plain(value))})"
    elif callable(value) and hasattr(value, "__name__"):
        text = value.__name__
    else:
        try:
            text = repr(_rounded(value))
        except Exception:
            text = f"<{type(value).__name__}>"
        if not isinstance(value, _HAS_ITEMS) and ("\n" in text or " object at 0x" in text):
            text = f"<{type(value).__name__}>"  # a model, an optimizer, a sampler: its name says enough
        text = re.sub(r"\n\s*", " ", text)  # a list of tensors has a line for each of their rows
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def _rounded(value):
    """Floats to six significant digits, so that a message is short and the same on every machine."""
    if type(value) is float:
        return float(f"{value:.6g}")
    if type(value) in (list, tuple):
        return type(value)(_rounded(v) for v in value)
    return value
