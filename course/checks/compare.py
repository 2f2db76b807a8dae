"""Comparing what a learner's function returned with what it should have, saying where the two first differ, and
writing values short enough to read.
"""

import ast
import functools
import linecache
import math
import re
import sys
from collections.abc import Mapping, Sequence, Set
from numbers import Integral, Real

MOST = 72  # characters of a value in a message
FEW = 4  # entries of a list that anyone can compare by eye
_AROUND = 12, 24  # characters of a long text that are shown before and behind the first that differs
_PLAIN = {int, float, bool, str, bytes, type(None)}
_LIBRARIES = sys.stdlib_module_names | {"numpy", "torch", "helpers", "course"}
_ADDRESS = re.compile(r"<(?:(?:bound method|function|built-in method|class) )?([\w.<>]+)[^<>]*?(?: object)? at 0x\w+>")


def is_array(value) -> bool:
    """A numpy array or a torch tensor (or a scalar of theirs), without importing either."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _plain(value):
    """An array as nested lists, so that a tensor, an array and a list of the same numbers compare equal; what holds a
    single number and has no axis is that number.
    """
    if is_array(value):
        return value.detach().cpu().tolist() if hasattr(value, "detach") else value.tolist()
    return value


def _is_sequence(value) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _is_text(value) -> bool:
    return isinstance(value, str | bytes | bytearray)


def is_number(value) -> bool:
    """A number of Python or NumPy: no bool, and no tensor."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value) -> bool:
    """A whole number of Python or NumPy, by its type: 3.0 is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_pair(value) -> bool:
    """Two values in a tuple or a list, or two numbers in an array or a tensor."""
    return tuple(value.shape) == (2,) if is_array(value) else _is_sequence(value) and len(value) == 2


def as_number(value) -> Real | None:
    """The number that a value is, also where a tensor or an array without axes holds it; None: it is no number."""
    value = _plain(value)
    return value if is_number(value) else None


def _honest(value) -> bool:
    """Whether it is compared by Python or a library, and not by a class that may say that it equals everything."""
    if type(value) in _PLAIN:
        return True
    if isinstance(value, tuple | frozenset):
        return all(map(_honest, value))
    for kind in type(value).__mro__:
        if "__eq__" in vars(kind):
            module = str(kind.__module__)
            known = vars(sys.modules.get(module, sys)).get(kind.__qualname__) is kind
            return known and module.split(".")[0] in _LIBRARIES or kind.__eq__ is object.__eq__
    return False


def _as_dict(value: Mapping) -> dict:
    """What a mapping holds, by what it hands out."""
    return dict(dict.items(value)) if isinstance(value, dict) else {key: value[key] for key in value}


def same(got, expected) -> bool:
    """Equal in value. Lists, tuples and arrays compare element by element; 1 and 1.0 are equal, True and 1
    are not. An object of a class of one's own equals nothing but itself, whatever its class says.
    """
    got, expected = _plain(got), _plain(expected)
    if _is_sequence(expected):
        if not _is_sequence(got):
            return False
        got = list(got)
        return len(got) == len(expected) and all(map(same, got, expected))
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping):
            return False
        got = _as_dict(got)
        known = all(map(_honest, got)) and got.keys() == expected.keys()
        return known and all(same(got[k], expected[k]) for k in expected)
    if isinstance(expected, Set):
        if not isinstance(got, Set):
            return False
        members = list(map(_plain, got))
        return all(map(_honest, members)) and set(members) == set(map(_plain, expected))
    if got is not expected and not _honest(got):
        return False
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
    if is_number(expected):
        return is_number(got) and (
            same(got, expected) or math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance)
        )
    if _is_sequence(expected):
        if not _is_sequence(got):
            return False
        got = list(got)
        return len(got) == len(expected) and all(close(g, e, tolerance) for g, e in zip(got, expected, strict=True))
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping):
            return False
        got = _as_dict(got)
        known = all(map(_honest, got)) and got.keys() == expected.keys()
        return known and all(close(got[k], expected[k], tolerance) for k in expected)
    return same(got, expected)


# ---------------------------------------------------------------------- where two values differ


def first_difference(got, expected, tolerance: float | None = None) -> str:
    """In a few words, where `got` first differs from `expected`, and both values there.

    "entry [2, 3]: expected 0.5, got 0.25", "entry ['a']: ...", "expected 3 entries, got 2; ...". It is "" where they
    agree, and where the two values themselves, as `shown` writes them, say it all.

    Args:
        tolerance: as for `close`; without it they are compared as by `same`.
    """
    if _agree(got, expected, tolerance) or _say_it_all(got, expected):
        return ""
    path, said = _difference(got, expected, tolerance)
    place = f"entry {path}: " if path else ""
    if path:
        said = said.replace("; entry [", "; its entry [")
    return place + said + _not_numbers(got, expected, said)


def _agree(got, expected, tolerance: float | None) -> bool:
    return same(got, expected) if tolerance is None else close(got, expected, tolerance)


def _say_it_all(got, expected) -> bool:
    """Whether anyone sees the difference between the two as `shown` writes them."""
    texts = shown(got), shown(expected)
    got, expected = _plain(got), _plain(expected)
    if texts[0] == texts[1] or any(_is_cut(text) for text in texts):
        return not _same_kind(got, expected) and texts[0] != texts[1]
    if not _has_entries(got) or not _has_entries(expected):
        return True
    inside = [each for both in (got, expected) for each in (both.values() if isinstance(both, Mapping) else both)]
    return max(len(got), len(expected)) <= FEW and not any(map(_has_entries, inside))


def _same_kind(got, expected) -> bool:
    kinds = _is_sequence, is_number, lambda v: isinstance(v, Mapping), lambda v: isinstance(v, Set), _is_text
    return any(is_kind(got) and is_kind(expected) for is_kind in kinds)


def _has_entries(value) -> bool:
    value = _plain(value)
    return _is_sequence(value) or isinstance(value, Mapping | Set)


def _difference(got, expected, tolerance: float | None) -> tuple[str, str]:
    """The place, as an index is written, and what is different there."""
    if is_array(got) and is_array(expected) and tuple(got.shape) != tuple(expected.shape):
        return "", f"expected shape {tuple(expected.shape)}, got shape {tuple(got.shape)}"
    got, expected = _plain(got), _plain(expected)
    if _is_sequence(got) and _is_sequence(expected):
        return _difference_of_sequences(got, expected, tolerance)
    if isinstance(got, Mapping) and isinstance(expected, Mapping):
        return _difference_of_mappings(got, expected, tolerance)
    if isinstance(got, Set) and isinstance(expected, Set):
        return "", _counts(got, expected, "members") + _missing_or_odd(got, expected)
    return "", _both(got, expected)


def _difference_of_sequences(got, expected, tolerance: float | None) -> tuple[str, str]:
    at = next((i for i, (g, e) in enumerate(zip(got, expected, strict=False)) if not _agree(g, e, tolerance)), None)
    if at is not None:
        inner, said = _difference(got[at], expected[at], tolerance)
        # The entries of an entry are named as those of a tensor: [2, 3]. A key inside stands in brackets of its own.
        joined = f"[{at}, {inner[1:]}" if re.match(r"\[-?\d", inner) else f"[{at}]{inner}"
        if len(got) == len(expected):
            return joined, said
        return "", f"{_counts(got, expected, 'entries')}entry {joined}: {said}"
    both = len(got), len(expected)
    which = "is missing" if both[0] < both[1] else "is one too many"
    odd = (expected if both[0] < both[1] else got)[min(both)]
    return "", f"{_counts(got, expected, 'entries')}entry [{min(both)}] {which}: {shown(odd)}"


def _difference_of_mappings(got, expected, tolerance: float | None) -> tuple[str, str]:
    counts = _counts(got, expected, "keys")
    for key in expected:
        if key not in got:
            return "", f"{counts}the key {shown(key)} is missing"
        if not _agree(got[key], expected[key], tolerance):
            inner, said = _difference(got[key], expected[key], tolerance)
            place = f"[{shown(key)}]{inner}"
            return ("", f"{counts}entry {place}: {said}") if counts else (place, said)
    odd = next(key for key in got if key not in expected)
    return "", f"{counts}the key {shown(odd)} should not be there"


def _missing_or_odd(got: Set, expected: Set) -> str:
    got, expected = set(map(_plain, got)), set(map(_plain, expected))
    missing, odd = (
        sorted(each, key=lambda v: (type(v).__name__, repr(v))) for each in (expected - got, got - expected)
    )
    return f"{shown(missing[0])} is missing" if missing else f"{shown(odd[0])} should not be there"


def _counts(got, expected, what: str) -> str:
    return "" if len(got) == len(expected) else f"expected {len(expected)} {what}, got {len(got)}; "


def _both(got, expected) -> str:
    """ "expected 0.5, got 0.25", in as many digits or letters as it takes to see the difference."""
    if _is_text(got) and _is_text(expected) and isinstance(got, str) == isinstance(expected, str):
        return _both_texts(got, expected)
    texts = shown(expected), shown(got)
    if texts[0] == texts[1]:
        texts = tuple(
            text if len(text) <= 3 * MOST else f"{text[: 3 * MOST]} ..." for text in map(_exact, (expected, got))
        )
    if texts[0] == texts[1]:
        texts = tuple(f"{text}, a {type(value).__name__}" for text, value in zip(texts, (expected, got), strict=True))
    return f"expected {texts[0]}, got {texts[1]}"


def _exact(value) -> str:
    return _without_addresses(repr(value))


def _both_texts(got, expected) -> str:
    if len(repr(got)) <= MOST and len(repr(expected)) <= MOST:
        return f"expected {expected!r}, got {got!r}"
    at = next((i for i, (g, e) in enumerate(zip(got, expected, strict=False)) if g != e), min(len(got), len(expected)))

    def around(text) -> str:
        if at == len(text):
            return "its end"
        first, last = max(0, at - _AROUND[0]), at + _AROUND[1]
        dots = "... " if first else "", " ..." if last < len(text) else ""
        return f"{dots[0]}{bytes(text[first:last]) if isinstance(text, bytearray) else text[first:last]!r}{dots[1]}"

    lengths = _counts(got, expected, "characters" if isinstance(got, str) else "bytes")
    return f"{lengths}at [{at}] expected {around(expected)}, got {around(got)}"


def _not_numbers(got, expected, said: str) -> str:
    """A word on entries that are nan or infinite where they should not be, if the first difference is not of them."""
    words = []
    for name, is_odd in (("nan", math.isnan), ("infinite", math.isinf)):
        odd = _count(got, is_odd)
        if odd and not _count(expected, is_odd) and not re.search(r"got -?(?:nan|inf)\b", said):
            words.append(f"{odd} {'entry is' if odd == 1 else 'entries are'} {name}")
    return f"; {', '.join(words)}" if words else ""


def _count(value, is_odd) -> int:
    value = _plain(value)
    if isinstance(value, float):
        return int(is_odd(value))
    if isinstance(value, Mapping):
        return sum(_count(each, is_odd) for each in value.values())
    return sum(_count(each, is_odd) for each in value) if _is_sequence(value) else 0


# ---------------------------------------------------------------------- values as text


def _kind(value) -> str:
    return "tensor" if hasattr(value, "detach") else "array"


def kind_and_shape(value) -> str:
    """ "tensor of shape (2, 3)"."""
    return f"{_kind(value)} of shape {tuple(value.shape)}"


def shown(value, most: int = MOST) -> str:
    """A value as it would be typed, shortened; of a large array only the kind, the shape and the type of its
    numbers. The same on every machine: floats have six digits, and nothing is told by its address.
    """
    text = _text(value, most)
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def _is_cut(text: str) -> bool:
    return text.endswith(" ...") or re.match(r"(?:tensor|array) of shape ", text) is not None


def _text(value, most: int) -> str:
    if is_array(value):
        if not tuple(value.shape):
            return _text(_plain(value), most) if not is_array(_plain(value)) else repr(value)
        if math.prod(value.shape) > 12:
            return f"{kind_and_shape(value)}, {str(value.dtype).removeprefix('torch.')}"
        return f"{_kind(value)}({_text(_plain(value), most)})"
    kind = type(value)
    if kind is float:
        return repr(float(f"{value:.6g}"))
    if kind in (list, tuple):
        inside = _joined((_text(each, most) for each in value), most)
        return f"[{inside}]" if kind is list else f"({inside}{',' if len(value) == 1 else ''})"
    if kind in (set, frozenset) and value:
        inside = _joined(sorted(_text(each, most) for each in value), most)
        return f"{{{inside}}}" if kind is set else f"frozenset({{{inside}}})"
    if isinstance(value, dict) and value:
        inside = _joined((f"{_text(k, most)}: {_text(v, most)}" for k, v in value.items()), most)
        return f"{{{inside}}}" if kind.__name__ in ("dict", "defaultdict") else f"{kind.__name__}({{{inside}}})"
    if kind is functools.partial:
        given = [*map(_brief, value.args), *(f"{name}={_brief(each)}" for name, each in value.keywords.items())]
        return f"partial({', '.join([_brief(value.func), *given])})"
    if callable(value) and hasattr(value, "__name__"):
        return lambda_as_text(value) if value.__name__ == "<lambda>" else value.__name__
    try:
        text = repr(value)
    except Exception:
        return f"<{kind.__name__}>"
    if "\n" in text or " object at 0x" in text:
        return f"<{kind.__name__}>"  # a model, an optimizer, a sampler: its name says enough
    return _without_addresses(text)


def _brief(value) -> str:
    return shown(value, 30)


def _joined(texts, most: int) -> str:
    """The texts with commas between them, no more of them than can be shown."""
    found, length = [], 0
    for text in texts:
        found.append(text)
        length += len(text) + 2
        if length > most + 8:
            break
    return ", ".join(found)


def _without_addresses(text: str) -> str:
    """ "<function f at 0x7f...>" is "f"."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", _ADDRESS.sub(lambda found: found[1].split(".")[-1], text))


def lambda_as_text(function) -> str:
    """The source of a lambda, where it can be found and is short; else "a lambda"."""
    code = getattr(function, "__code__", None)
    text = _lambda_source(code) if code is not None else ""
    return text if 0 < len(text) <= MOST else "a lambda"


@functools.lru_cache(maxsize=256)
def _lambda_source(code) -> str:
    """The source of a lambda by its code; "" where it stands in no file or cell that is known."""
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except (SyntaxError, ValueError):
        return ""
    places = {(line, column) for line, end, column, last in code.co_positions() if column is not None and last}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno:
            body = node.body
            if (body.lineno, body.col_offset) in places:
                return ast.unparse(node)
    return ""
