"""A GPU that is not there: tensors that say they are on it, and are computed on the CPU.

Inside `fake_gpu("Tesla T4", (7, 5), 15.8)` torch believes in that GPU: `torch.cuda` answers for it, a tensor that was
moved to it, or made on it, says `device(type="cuda", index=0)`, autocast and the scaler of "cuda" work. And what a GPU
refuses is refused: tensors of the CPU and of the GPU in one operation, the numbers of a GPU's tensor as a NumPy array,
a generator of the other device. Memory is counted, by the tensors alive. Not imitated: speed, kernels, streams, and
what is asynchronous; `torch.compile` gives a function back as it is.
"""

import math
import weakref
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")
LARGEST, SQUARE = 2**21, 256  # values of a vector or square matrix there; rows and columns of one that had more
aten = torch.ops.aten
# Operations that may read from one device and write to the other, or that take an index of the CPU.
CROSSING = {aten.copy_.default, aten._to_copy.default, aten.index.Tensor}
CROSSING |= {aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}


class Memory:
    """Bytes of the tensors on the fake GPU: each piece of memory once, until nothing refers to it any more."""

    def __init__(self):
        self.held = self.most = 0
        self.ever = 0  # the most, whoever has begun to count anew
        self.inside = 0  # functions of torch that are running with tensors of the GPU
        self.size = float("inf")  # more is refused
        self.known: set[int] = set()

    def follow(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return
        if self.held + size > self.size:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes.")
        self.known.add(key)
        self.held += size
        self.most, self.ever = max(self.most, self.held), max(self.ever, self.held)
        weakref.finalize(storage, self.forget, key, size)

    def forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.held -= size


MEMORY = Memory()


def leaves(value):
    """What stands in nested tuples, lists and dicts."""
    if isinstance(value, tuple | list):
        for each in value:
            yield from leaves(each)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    else:
        yield value


def mapped(function: Callable, value):
    """The same nest with `function` of each thing that stands in it."""
    if isinstance(value, tuple | list):
        return type(value)([mapped(function, each) for each in value])
    if isinstance(value, dict):
        return {name: mapped(function, each) for name, each in value.items()}
    return function(value)


def on_gpu(device) -> bool:
    return device is not None and torch.device(device).type == "cuda"


class OnGPU(Tensor):
    """A tensor of the fake GPU around one of the CPU, which holds its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor):
        dense = inner.layout is torch.strided
        shape = dict(strides=inner.stride(), storage_offset=inner.storage_offset()) if dense else {}
        options = dict(dtype=inner.dtype, layout=inner.layout, device="cpu")
        made = Tensor._make_wrapper_subclass(cls, inner.shape, **shape, **options)
        made.inner = inner
        for part in (inner,) if dense else (inner._indices(), inner._values()):
            MEMORY.follow(part.untyped_storage())
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return computed(function, args, kwargs or {})

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        MEMORY.inside += 1  # what torch itself makes in there, it makes where its arguments are
        try:
            with torch._C.DisableTorchFunctionSubclass():
                return function(*args, **(kwargs or {}))
        finally:
            MEMORY.inside -= 1

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    def get_device(self) -> int:
        return 0

    def __repr__(self, **options) -> str:
        return repr(self.inner) + " on the fake GPU"

    def tolist(self) -> list:
        return self.detach().inner.tolist()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.inner.untyped_storage()

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def numpy(self, **options):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    def __array__(self, *options):
        self.numpy()

    def pin_memory(self, device=None):
        raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            copied = OnGPU(self.inner.detach().clone())
            memo[id(self)] = parameter(copied, self) if isinstance(self, nn.Parameter) else copied
        return memo[id(self)]


def _widened(function: Callable) -> Callable:
    """A product of half precision whose result is in float32: only a GPU has it."""

    def product(*args, out=None, **options):
        *given, dtype = args
        result = function(*(each.to(dtype) for each in given), **options)
        return result if out is None else out.copy_(result)

    return product


IMITATED = {
    getattr(getattr(aten, name), overload): _widened(getattr(torch, name))
    for name in ("mm", "addmm", "bmm", "baddbmm")
    for overload in ("dtype", "dtype_out")
    if hasattr(getattr(aten, name), overload)
}


def _in_float32(function: Callable) -> Callable:
    """A product of half precision, added up in float32, as matrix units do; this is also what a CPU is quick at."""

    def product(*args, **kwargs):
        half = next((each.dtype for each in args if isinstance(each, Tensor)), torch.float32)
        if half not in (torch.float16, torch.bfloat16) or "out" in kwargs:
            return function(*args, **kwargs)
        return function(*(each.float() if isinstance(each, Tensor) else each for each in args), **kwargs).to(half)

    return product


IMITATED |= {each: _in_float32(each) for each in (aten.mm.default, aten.addmm.default, aten.bmm.default)}


def computed(function, args, kwargs):
    """The result of an operation, on the device where a GPU would have it."""
    tensors = [each for each in leaves((args, kwargs)) if isinstance(each, Tensor)]
    here = any(isinstance(each, OnGPU) for each in tensors)
    to = kwargs.get("device")
    if here and function not in CROSSING:
        for each in tensors:
            if not isinstance(each, OnGPU) and each.dim() > 0:
                raise RuntimeError(f"Expected all tensors to be on the same device, found cuda:0 and cpu ({function})")
    generator = kwargs.get("generator")
    if (here or on_gpu(to)) and generator is not None and not isinstance(generator, GeneratorOfGPU):
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    if to is not None:
        kwargs = kwargs | {"device": CPU if on_gpu(to) else to}
        # Python's own `to` does not come here: inside torch the tensors of the fake GPU are the CPU's.
        here = here or on_gpu(to) or MEMORY.inside > 0
    elif function is aten.copy_.default or function is aten.set_.source_Tensor:
        here = isinstance(args[0], OnGPU)
    plain_args, plain_kwargs = mapped(lambda x: x.inner if isinstance(x, OnGPU) else x, (args, kwargs))
    result = IMITATED.get(function, function)(*plain_args, **plain_kwargs)
    if not here:
        return result
    # What was written into is handed back as the same tensor.
    given = {id(each.inner): each for each in tensors if isinstance(each, OnGPU)}

    def handed_back(value):
        if not isinstance(value, Tensor):
            return value
        return given[id(value)] if id(value) in given else OnGPU(value)

    return mapped(handed_back, result)


class Factories(TorchDispatchMode):
    """Tensors that are made on the fake GPU. What only a GPU multiplies or copies in a moment is made smaller."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = list(leaves((args, kwargs)))
        if MEMORY.inside or on_gpu(kwargs.get("device")) or any(isinstance(each, OnGPU) for each in given):
            at = next((i for i, each in enumerate(args) if _is_shape(each)), None)
            if at is not None and not any(isinstance(each, Tensor) for each in given):
                args = (*args[:at], cut(args[at]), *args[at + 1 :])
            return computed(function, args, kwargs)
        return function(*args, **kwargs)


def cut(shape) -> list[int]:
    """The shape that a vector or a square matrix has here, where a large one would take the CPU too long."""
    if math.prod(shape) <= LARGEST or len(set(shape)) > 1:
        return list(shape)
    return [min(n, LARGEST if len(shape) == 1 else SQUARE) for n in shape]


def _is_shape(value) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, int) for each in value)


_Generator = torch.Generator


class GeneratorOfGPU(_Generator):
    """Random numbers of the fake GPU."""

    device = property(lambda self: GPU)


class _OfEither(type):
    def __call__(cls, device="cpu"):
        return GeneratorOfGPU() if on_gpu(device) else _Generator(device)

    def __instancecheck__(cls, each):
        return isinstance(each, _Generator)


class GeneratorOfEither(metaclass=_OfEither):
    """What stands for `torch.Generator`."""


class Autocast(torch.autocast):
    """Of "cuda": that of the CPU."""

    def __init__(self, device_type: str, dtype=None, enabled=True, cache_enabled=None):
        if torch.device(device_type).type == "cuda":
            device_type, dtype = "cpu", dtype or torch.float16
        super().__init__(device_type, dtype, enabled, cache_enabled)


def parameter(value: Tensor, like: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=like.requires_grad)


def moved(module: nn.Module, device, dtype: torch.dtype | None = None) -> nn.Module:
    """The module with its parameters and buffers on a device; what was shared stays shared."""
    new: dict[int, Tensor] = {}

    def there(value: Tensor) -> Tensor:
        if id(value) not in new:
            kind = dtype if dtype is not None and value.is_floating_point() else value.dtype
            if isinstance(value, OnGPU) == on_gpu(device) and kind == value.dtype:
                new[id(value)] = value
            else:
                other = value.detach().to(device).to(kind)
                new[id(value)] = parameter(other, value) if isinstance(value, nn.Parameter) else other
        return new[id(value)]

    kept = {}
    for each in module.modules():
        for values in (each._parameters, each._buffers):
            for name, value in values.items():
                if value is not None:
                    kept[id(value)] = value  # so that no id comes twice
                    values[name] = there(value)
    return module


def _as_tensor(args: tuple) -> tuple:
    """What `to(tensor)` says: the tensor's device, which is the CPU's inside torch, and its kind."""
    return (args[0].device, args[0].dtype, *args[1:]) if args and isinstance(args[0], Tensor) else args


def _module_to(real: Callable) -> Callable:
    def to(self, *args, **kwargs):
        device, dtype, *_ = torch._C._nn._parse_to(*_as_tensor(args), **kwargs)
        here = next((each.device for each in (*self.parameters(), *self.buffers())), CPU)
        if (device or here).type not in ("cuda", "cpu") or here.type not in ("cuda", "cpu"):
            return real(self, *args, **kwargs)
        return moved(self, device or here, dtype)

    return to


def _tensor_to(real: Callable) -> Callable:
    """`Tensor.to` and the like; Python asks for a CUDA that is compiled in before any operation is dispatched."""

    def to(self, *args, **kwargs):
        kwargs = dict(kwargs)
        copy = kwargs.pop("copy", False)
        device, dtype, *_ = torch._C._nn._parse_to(*_as_tensor(args), **kwargs)
        if device is not None and on_gpu(device) != isinstance(self, OnGPU):
            crossed = onto(self[tuple(map(slice, cut(self.shape)))]) if on_gpu(device) else off(self)
            return crossed if dtype is None else crossed.to(dtype)
        changed = self if dtype is None else real(self, dtype, copy=copy)
        return changed.clone() if copy and changed is self else changed

    return to


class _Onto(torch.autograd.Function):
    @staticmethod
    def forward(context, value):
        return OnGPU(value.detach().clone())

    @staticmethod
    def backward(context, gradient):
        return gradient.inner.clone() if isinstance(gradient, OnGPU) else gradient


class _Off(torch.autograd.Function):
    @staticmethod
    def forward(context, value):
        return value.inner.detach().clone()

    @staticmethod
    def backward(context, gradient):
        return gradient if isinstance(gradient, OnGPU) else OnGPU(gradient.clone())


onto, off = _Onto.apply, _Off.apply


def _values(real: Callable) -> Callable:
    """`torch.tensor` and the like, whose values are read by Python before any operation is dispatched."""

    def made(data, *args, device=None, requires_grad=False, **kwargs):
        if isinstance(data, OnGPU):
            value = data.detach() if not on_gpu(device) and device is not None else data
            return value.to(device) if device is not None else value
        value = real(data, *args, **kwargs)
        if on_gpu(device or torch.get_default_device()):
            value = onto(value)
        elif device is not None:
            value = value.to(device)
        return value.requires_grad_() if requires_grad else value

    return made


class Names:
    """What `torch.cuda` says of itself."""

    def __init__(self, name: str, capability: tuple[int, int], gigabytes: float):
        self.name, self.capability, self.total = name, capability, int(gigabytes * 1e9)

    def functions(self) -> dict[str, Callable]:
        of_device = SimpleNamespace(
            name=self.name, total_memory=self.total, major=self.capability[0], minor=self.capability[1],
            multi_processor_count=40, L2_cache_size=4 * 2**20, warp_size=32, max_threads_per_multi_processor=1024,
        )  # fmt: skip
        state = torch.zeros(16, dtype=torch.uint8)
        return {
            "_lazy_init": lambda: None,
            "is_available": lambda: True,
            "is_initialized": lambda: False,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "get_device_name": lambda device=None: self.name,
            "get_device_capability": lambda device=None: self.capability,
            "get_device_properties": lambda device=None: of_device,
            "is_bf16_supported": lambda including_emulation=True: including_emulation or self.capability >= (8, 0),
            "mem_get_info": lambda device=None: (self.total - MEMORY.held, self.total),
            "memory_allocated": lambda device=None: MEMORY.held,
            "memory_reserved": lambda device=None: MEMORY.held,
            "max_memory_allocated": lambda device=None: MEMORY.most,
            "max_memory_reserved": lambda device=None: MEMORY.most,
            "reset_peak_memory_stats": lambda device=None: setattr(MEMORY, "most", MEMORY.held),
            "synchronize": lambda device=None: None,
            "empty_cache": lambda: None,
            "set_device": lambda device: None,
            "get_rng_state": lambda device="cuda": state.clone(),
            "set_rng_state": lambda new, device="cuda": state.copy_(new),
            "get_rng_state_all": lambda: [state.clone()],
            "set_rng_state_all": lambda new: state.copy_(new[0]),
            "manual_seed": lambda seed: None,
            "manual_seed_all": lambda seed: None,
        }


class Profile(torch.profiler.profile):
    """Watches the CPU, and says that a GPU took as long for each operation."""

    def __init__(self, *, activities=None, **options):
        cpu = torch.profiler.ProfilerActivity.CPU
        super().__init__(activities=[cpu], **options)

    def key_averages(self, *args, **options):
        events = super().key_averages(*args, **options)
        for event in events:
            event.self_device_time_total = event.self_cpu_time_total
        return events


def _of_cpu(real: Callable) -> Callable:
    return lambda device="cuda": real("cpu" if on_gpu(device) else device)


@contextmanager
def fake_gpu(name: str = "Tesla T4", capability: tuple[int, int] = (7, 5), gigabytes: float = 15.8, memory=None):
    """Within it torch sees this one GPU.

    Args:
        memory: bytes above which a new tensor is refused, as by a full GPU; None: never.
    """
    before = {each: getattr(Tensor, each) for each in ("to", "cpu", "cuda", "pin_memory")}
    to = _tensor_to(before["to"])
    MEMORY.size = float("inf") if memory is None else memory
    MEMORY.most = MEMORY.ever = MEMORY.held
    with ExitStack() as stack:
        for function, answer in Names(name, capability, gigabytes).functions().items():
            stack.enter_context(mock.patch.object(torch.cuda, function, answer, create=True))
        for owner, attribute, new in (
            (Tensor, "to", to),
            (Tensor, "cpu", lambda self, memory_format=None: to(self, "cpu")),
            (Tensor, "cuda", lambda self, device=None, non_blocking=False, memory_format=None: to(self, "cuda")),
            (Tensor, "pin_memory", lambda self, device=None: self),
            (nn.Module, "to", _module_to(nn.Module.to)),
            (nn.Module, "cuda", lambda self, device=None: moved(self, "cuda")),
            (nn.Module, "cpu", lambda self: moved(self, "cpu")),
            (torch, "tensor", _values(torch.tensor)),
            (torch, "as_tensor", _values(torch.as_tensor)),
            (torch, "Generator", GeneratorOfEither),
            (torch, "autocast", Autocast),
            (torch.amp, "autocast", Autocast),
            (torch, "is_autocast_enabled", _of_cpu(torch.is_autocast_enabled)),
            (torch, "get_autocast_dtype", _of_cpu(torch.get_autocast_dtype)),
            (torch, "compile", _compile),
            (torch.profiler, "profile", Profile),
        ):
            stack.enter_context(mock.patch.object(owner, attribute, new))
        stack.enter_context(Factories())
        try:
            yield MEMORY
        finally:
            MEMORY.size = float("inf")


def _compile(model=None, **options):
    return (lambda function: function) if model is None else model
