"""Values as plain data, so that they can cross from one process to another: JSON, and nothing in it is ever run.

What was a list subclass or a number that claims to equal everything arrives as the built-in value that it holds, or not
at all; only the named tuples of `helpers` keep their class. `None`, true, false, numbers and text stand for themselves;
anything else is a list that begins with its kind.
"""

import base64
import math
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable

_SEQUENCES = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}
_MAPPINGS = {"Counter": Counter, "OrderedDict": OrderedDict, "dict": dict}
_LARGE = 2**63
MOST_BYTES = 64 * 2**20  # of one value on its way
_DTYPES = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128".split()


def encode(value, other: Callable[[object], list] | None = None):
    """A value as plain data.

    Args:
        other: what to say of a value that is no data; without it there is none.

    Raises:
        ValueError: it cannot be said.
    """
    if value is None or value is True or value is False or type(value) is float:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        number = int.__int__(value)
        return number if -_LARGE < number < _LARGE else ["int", hex(number)]
    if isinstance(value, float) and type(value).__module__ != "numpy":
        return float.__float__(value)
    for kind in (bytes, bytearray):
        if isinstance(value, kind):
            return [kind.__name__, base64.b64encode(value).decode()]
    array = _array(value)
    if array is not None:
        return array
    named = f"{type(value).__module__}.{type(value).__name__}"
    if _named_tuple(named) is type(value):
        return ["named", named, *_inside(value, "tuple", other)]
    for name, kind in (*_MAPPINGS.items(), *_SEQUENCES.items()):
        if isinstance(value, kind):
            return [name, *_inside(value, name, other)]
    match value:
        case complex():
            return ["complex", value.real, value.imag]
        case range():
            return ["range", value.start, value.stop, value.step]
        case slice():
            return ["slice", *(encode(each) for each in (value.start, value.stop, value.step))]
        case _ if value is Ellipsis or value is NotImplemented:
            return [str(value)]
    if other is None:
        raise ValueError(f"a {type(value).__name__} is no plain data")
    return other(value)


def _named_tuple(name: str) -> type | None:
    """The named tuple that a module of `helpers`, which is imported already, has under this name."""
    module, _, name = name.rpartition(".")
    found = vars(sys.modules[module]).get(name) if module.startswith("helpers.") and module in sys.modules else None
    return found if isinstance(found, type) and issubclass(found, tuple) and hasattr(found, "_fields") else None


def _inside(value, name: str, other) -> list:
    if name in _MAPPINGS:
        return [[encode(k, other), encode(v, other)] for k, v in list(dict.items(value))]
    torch = sys.modules.get("torch")
    if torch and isinstance(value, torch.Size):
        return [int(each) for each in value]
    return [encode(each, other) for each in list(value)]


def _array(value) -> list | None:
    """A tensor, a numpy array or a numpy number as its kind, type, shape and bytes."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch and isinstance(value, torch.dtype):
        return ["dtype", str(value).removeprefix("torch.")]
    if torch and isinstance(value, torch.Tensor):
        if value.device.type == "meta" or value.is_sparse or value.is_quantized:
            raise ValueError("a tensor without plain numbers")
        plain = value.as_subclass(torch.Tensor).detach().cpu().contiguous()
        if plain.is_conj() or plain.is_neg():
            plain = plain.resolve_conj().resolve_neg()
        data = bytes(plain.reshape(-1).view(torch.uint8).numpy()) if plain.numel() else b""
        kind = str(plain.dtype).removeprefix("torch.")
        return ["tensor", kind, list(plain.shape), base64.b64encode(data).decode(), bool(value.requires_grad)]
    if numpy and isinstance(value, numpy.ndarray | numpy.generic):
        plain = numpy.asarray(value)
        if plain.dtype.hasobject or plain.dtype.names:
            raise ValueError("an array of objects")
        kind = "array" if isinstance(value, numpy.ndarray) else "scalar"
        return [kind, plain.dtype.str, list(plain.shape), base64.b64encode(plain.tobytes()).decode()]
    return None


def decode(said, other: Callable[[list], object] | None = None):
    """The value that `encode` told of, made of exactly Python's, numpy's and torch's own types.

    Args:
        other: makes something of what `encode`'s `other` said.

    Raises:
        ValueError: nothing that `encode` says.
    """
    try:
        return _decode(said, other)
    except ValueError:
        raise
    except Exception as error:  # whatever data that is not as it should be makes Python say
        raise ValueError(f"that is no value ({type(error).__name__}: {error})") from error


def _decode(said, other):
    if not isinstance(said, list):
        if said is None or type(said) in (bool, int, float, str):
            return said
        raise ValueError("neither plain nor told of")
    kind, *rest = said
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](_decode(each, other) for each in rest)
    if kind in _MAPPINGS:
        made = _MAPPINGS[kind]()
        for key, value in rest:
            dict.__setitem__(made, _decode(key, other), _decode(value, other))
        return made
    match kind, *rest:
        case "named", str(name), *parts if (named := _named_tuple(name)) and len(parts) == len(named._fields):
            return tuple.__new__(named, [_decode(each, other) for each in parts])
        case "int", str(text):
            return int(text, 16)
        case "bytes", str(text):
            return base64.b64decode(text, validate=True)
        case "bytearray", str(text):
            return bytearray(base64.b64decode(text, validate=True))
        case "complex", float(real), float(imaginary):
            return complex(real, imaginary)
        case "range", int(start), int(stop), int(step):
            return range(start, stop, step)
        case "slice", start, stop, step:
            return slice(start, stop, step)
        case ("Ellipsis",):
            return Ellipsis
        case ("NotImplemented",):
            return NotImplemented
        case "dtype" | "tensor", *_:
            return _tensor(kind, *rest)
        case "array" | "scalar", str(dtype), list(shape), str(data):
            return _numpy(kind, dtype, shape, base64.b64decode(data, validate=True))
    if other is None:
        raise ValueError(f"{str(kind)[:40]} is no kind of value")
    return other(said)


def _tensor(kind: str, dtype: str, shape=(), data="", requires_grad=False):
    import torch

    if dtype not in _DTYPES and dtype != "long":
        raise ValueError("no such type of numbers")
    if kind == "dtype":
        return getattr(torch, dtype)
    data, shape = base64.b64decode(data, validate=True), _shape(shape)
    one = torch.empty(0, dtype=getattr(torch, dtype)).element_size()
    if math.prod(shape) * one != len(data):
        raise ValueError("a shape that does not fit its numbers")
    made = torch.empty(shape, dtype=getattr(torch, dtype))
    if data:
        made = torch.frombuffer(bytearray(data), dtype=getattr(torch, dtype)).reshape(shape).clone()
    return made.requires_grad_() if requires_grad is True and (made.is_floating_point() or made.is_complex()) else made


def _numpy(kind: str, dtype: str, shape: list, data: bytes):
    import numpy as np

    wanted = np.dtype(dtype)
    if wanted.hasobject or wanted.names:
        raise ValueError("an array of objects")
    made = np.frombuffer(data, dtype=wanted).reshape(_shape(shape)).copy()
    return made if kind == "array" else made[()]


def _shape(shape) -> list[int]:
    if not all(type(each) is int and 0 <= each < 2**40 for each in shape) or len(shape) > 32:
        raise ValueError("no shape")
    return list(shape)
