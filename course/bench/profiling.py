"""What a step of training spends its time on: the table of `torch.profiler`, added up by kind of operation."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch.autograd import DeviceType

# kind: what the name of an operator holds, in small letters and without underscores; the first that fits is meant
KINDS = {
    "fused by torch.compile": ("triton", "compiledf", "torch-compiled"),
    "the optimizer, clipping": ("adamw", "muon", "optimizer.", "linalgvectornorm", "foreach"),
    "attention": ("scaleddotproduct", "flashattention", "efficientattention", "cudnnattention"),
    "softmax and the loss": ("softmax", "nllloss", "crossentropy"),
    "matrix multiplications": ("mm", "linear", "matmul", "gemm"),
    "LayerNorm": ("layernorm",),
    "GELU": ("gelu",),
    "embeddings": ("embedding",),
    "adding, filling, copying": (
        "add", "mul", "div", "sub", "fill", "zero", "copy", "sum", "cat", "clone", "accumulategrad",
    ),
}  # fmt: skip
OTHER = "all other"


def kind_of(name: str) -> str:
    """The kind of an operator, by its name in the profiler's table."""
    plain = name.lower().replace("_", "")
    return next((kind for kind, parts in KINDS.items() if any(part in plain for part in parts)), OTHER)


def seconds_by_kind(events: Iterable, on_gpu: bool = False) -> dict[str, float]:
    """Seconds by kind of operation, the most first.

    Args:
        events: what `profile.key_averages()` gives.
        on_gpu: count what the kernels of each operator took on the GPU, not what its call took on the CPU.

    An operator's own time alone is counted, without that of the operators it calls, so that no moment counts twice; for
    the same reason the kernels, which stand in the table a second time by themselves, are left out.
    """
    spent: dict[str, float] = {}
    for event in events:
        if event.device_type == DeviceType.CPU:
            own = event.self_device_time_total if on_gpu else event.self_cpu_time_total  # microseconds
            spent[kind_of(event.key)] = spent.get(kind_of(event.key), 0.0) + own / 1e6
    return dict(sorted(((kind, each) for kind, each in spent.items() if each > 0), key=lambda pair: -pair[1]))


@contextmanager
def quietly() -> Iterator[None]:
    """Without the lines that the profiler's library writes past Python onto the standard error."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
