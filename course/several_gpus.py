"""The arithmetic of a step on several GPUs: what travels between them, how long that takes, and what each must hold.

Bytes are those that one GPU sends (it receives as many at the same time), at the bandwidth of one direction of its link
and without the delay of each message, so the seconds are the least that can be. A part of them passes while gradients
are still being computed.

Where the bandwidths come from, each the most that the link itself can carry in one direction:

* PCIe 5.0 x16, an H100's: 16 lanes of 32 Gbit/s, of which 128 in 130 bits are data (PCI-SIG, PCI Express Base
  Specification 5.0): 63 GB/s.
* NVLink of an H100: 18 links of 25 GB/s in each direction, "900 GB/s" for both together (NVIDIA, "H100 Tensor Core GPU
  Architecture", 2022): 450 GB/s.
* 100 Gbit Ethernet (IEEE 802.3ba, 2010): 12.5 GB/s.

The ring is that of Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations"; the
memory and the traffic of shards are those of Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training
Trillion Parameter Models", sections 5 and 7.

Used in notebook 13.
"""

from helpers.errors import CourseError
from helpers.model import GPTConfig

LINKS = {  # bytes a second in one direction
    "PCIe 5.0 x16": 16 * 32e9 / 8 * 128 / 130,
    "NVLink, H100": 450e9,
    "100 Gbit Ethernet": 12.5e9,
}
SIZES = ("small", "medium", "large", "xl")  # of GPT-2
WEIGHT, GRADIENT = 2, 2  # bytes a parameter in half precision
OPTIMIZER = 12  # bytes a parameter: float32 weights and Adam's two moments, 4 each


def parameters_of(config: GPTConfig) -> int:
    """How many values a GPT-2 with a tied head and biases learns, without building it.

    >>> parameters_of(GPTConfig.gpt2("small"))
    124439808
    """
    d, rest = config.d_model, config.vocab_size + config.context_length + 2  # embeddings, and the last LayerNorm
    block = 4 * d * d + 4 * d + 2 * d * config.d_ff + config.d_ff + d + 4 * d  # attention, MLP, two LayerNorms
    return config.n_layer * block + rest * d


def all_reduce_bytes(size: float, gpus: int) -> float:
    """The bytes that each GPU sends to get the sum of `size` bytes over all: 2 (n - 1) / n times `size`.

    On a ring each GPU sends n - 1 times an nth of its bytes until every part is added up somewhere (reduce-scatter),
    and as many again until everybody has all the sums (all-gather). However many GPUs: less than twice the bytes.

    >>> all_reduce_bytes(1000, 4)
    1500.0
    """
    return 2 * (_at_least_one(gpus) - 1) / gpus * size


def sharded_bytes(size: float, gpus: int) -> float:
    """The bytes that each GPU sends in a step of ZeRO's stage 3 (FSDP); weights and gradients have `size` bytes each.

    Weights are gathered for the forward pass and for the backward pass, gradients are reduced and scattered: three
    times (n - 1) / n of the bytes, half as much again as an all-reduce (section 7.2).
    """
    return 3 * (_at_least_one(gpus) - 1) / gpus * size


def seconds(size: float, link: str) -> float:
    """The least time in which a GPU sends `size` bytes over one of the `LINKS`."""
    if link not in LINKS:
        raise CourseError(f"no link is called {link!r}: choose one of {', '.join(LINKS)}")
    return size / LINKS[link]


def memory_per_gpu(parameters: float, gpus: int, stage: int) -> float:
    """The bytes that each GPU holds of a model, its gradients and its optimizer, in mixed precision with Adam.

    Args:
        stage: of ZeRO: 0, data parallelism, divides nothing; 1 the optimizer's 12 bytes a parameter among the GPUs; 2
            the gradients' 2 as well; 3 the weights' 2 as well.

    >>> [round(memory_per_gpu(7.5e9, 64, stage) / 1e9, 1) for stage in range(4)]  # figure 1 of the paper
    [120.0, 31.4, 16.6, 1.9]
    """
    if stage not in (0, 1, 2, 3):
        raise CourseError(f"ZeRO has the stages 1, 2 and 3, and 0 stands for none: not {stage!r}")
    divided_from = ((OPTIMIZER, 1), (GRADIENT, 2), (WEIGHT, 3))  # bytes a parameter, and the first stage that divides
    return parameters * sum(size / (_at_least_one(gpus) if stage >= first else 1) for size, first in divided_from)


def rows(gpus: int) -> list[dict]:
    """What a step of each size of GPT-2 costs on so many GPUs: sizes in GB, times in milliseconds.

    "sent" is what each GPU sends where all have the whole model and gradients are float32, as in this course.
    """
    found = []
    for size in SIZES:
        parameters = parameters_of(GPTConfig.gpt2(size))
        sent = all_reduce_bytes(4 * parameters, gpus)
        row = {"model": f"GPT-2 {size}", "parameters": parameters, "sent": sent / 1e9}
        row |= {link: 1000 * seconds(sent, link) for link in LINKS}
        row |= {f"ZeRO {stage}": memory_per_gpu(parameters, gpus, stage) / 1e9 for stage in range(4)}
        found.append(row)
    return found


def table(gpus: int) -> str:
    """The same as text."""
    head = f"{'':14}{'sent':>9}" + "".join(f"{link:>20}" for link in LINKS)
    lines = [head + "".join(f"{'ZeRO ' + str(stage) if stage else 'whole':>9}" for stage in range(4))]
    for row in rows(gpus):
        line = f"{row['model']:14}{row['sent']:6.2f} GB" + "".join(f"{row[link]:17.1f} ms" for link in LINKS)
        lines.append(line + "".join(f"{row[f'ZeRO {stage}']:6.1f} GB" for stage in range(4)))
    return "\n".join(lines)


def _at_least_one(gpus: int) -> int:
    if gpus < 1:
        raise CourseError(f"there must be at least one GPU, not {gpus}")
    return gpus
