"""Built in notebook 08: how a computation is carried out on a device: in which precision, compiled or not.

Used by `helpers.train_step`, and by the plan and the benchmarks of a run (`course.bench`).
"""

from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec

import torch
import torch.nn.functional as F

from helpers.settings import HardwareConfig

HALF = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose(hardware: HardwareConfig, device: str | torch.device) -> HardwareConfig:
    """The settings with every "auto" replaced by what is best on this device.

    A GPU's *capability* tells its generation: bfloat16 and TF32 are in hardware from 8.0 on (Ampere), float16's matrix
    units from 7.0 on (Volta, and the T4). Other devices, Apple's GPU among them, get float32 and nothing special:
    nobody has measured there that anything else wins.
    """
    device = torch.device(device)
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)
    best = {
        "precision": "bfloat16" if capability >= (8, 0) else "float16" if capability >= (7, 0) else "float32",
        "matmul_precision": "high" if capability >= (8, 0) else "highest",
        "loss": "chunked" if device.type == "cuda" and hasattr(F, "linear_cross_entropy") else "plain",
        "compile": "on" if capability >= (7, 0) and find_spec("triton") else "off",  # the kernels are written in Triton
    }
    return replace(hardware, **{name: value for name, value in best.items() if getattr(hardware, name) == "auto"})


@contextmanager
def matmul_precision(precision: str):
    """Multiply float32 matrices in this precision, "highest" or "high", inside and nowhere else."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
