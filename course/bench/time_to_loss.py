"""How long until a loss: tokens, minutes, and a band of what to expect on TinyStories. Arithmetic, no measurement.

The only losses known here are three that Stanford's CS336 publishes (Spring 2025, assignment 1, "Basics", section on
TinyStories): a validation loss of 1.45 nats per token is the target after 327,680,000 tokens; where there is little
hardware, 2.00 is the target after 40,960,000, and the staff's own solution reached 1.80. The vocabulary has 10,000
entries, the context 256 tokens, and the model 4 layers, a width of 512, three matrices of 512 by 1,344 in each MLP and
an untied head: about 17 million parameters besides the embedding, 12.5 million of them in the blocks.

Everything between and beyond these points is a power law, loss = a * tokens ** -b, because that is what such curves
look like over a decade or two. Both targets fix its upper edge; the lower edge has the same b and goes through what the
staff reached. A power law in this form goes to 0, and no loss does: far beyond the last point it promises too much.
Each point is of a run that ends there, its learning rate brought down; a run's own curve lies above until its end.

A loss per token depends on the tokenizer, a loss per byte does not. The course's notes give 1.45 nats as 0.50 bits per
byte. So one of CS336's tokens stands for 1.45 / (0.50 ln 2) = 4.18 bytes of a story, an end token counted with it. That
0.50 is rounded, to within a hundredth: it is between 4.14 and 4.23 bytes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from course.bench.planning import training_flops_per_token
from helpers.model import GPTConfig


@dataclass(frozen=True)
class Published:
    """A loss that was published."""

    what: str
    tokens: int  # of the vocabulary of 10,000, seen in training
    nats: float  # per token


TARGET = Published("CS336's target", 327_680_000, 1.45)
LOW_TARGET = Published("CS336's target with little hardware", 40_960_000, 2.00)
STAFF = Published("CS336's staff with little hardware", 40_960_000, 1.80)
PUBLISHED = (LOW_TARGET, STAFF, TARGET)
IN_BLOCKS = 4 * (4 * 512**2 + 3 * 512 * 1344)  # parameters of the model that CS336 sets the targets for, 12.5 million
# What is asked of the blocks of a model here: as many as CS336's has in its blocks and its head. On the safe side: the
# small vocabulary's head has a quarter of theirs, and twelve thin layers have not been shown to be as good as four.
ENOUGH = 17_000_000

# Bytes of a story that one token stands for. CS336: see above. The others: counted on TinyStories.
BYTES_PER_TOKEN = {"CS336": 1.45 / (0.50 * math.log(2)), "trained:4096": 4.01, "gpt2": 4.02}
MFUS = (0.25, 0.4)  # of the data sheet's speed: what training this small reaches, poorly and well
# Operations a second of matrix multiplications in half precision, dense, by NVIDIA's data sheets.
DATA_SHEETS = {"T4": 65e12, "L4": 121e12, "A100": 312e12, "H100": 989e12}


def _exponent() -> float:
    """b of the power law through both targets."""
    return math.log(LOW_TARGET.nats / TARGET.nats) / math.log(TARGET.tokens / LOW_TARGET.tokens)


def expected_loss(tokens: float, bytes_per_token: float = BYTES_PER_TOKEN["CS336"]) -> tuple[float, float]:
    """The band in which a model of CS336's size or larger can be expected, low and high, in nats per token of CS336's.

    Args:
        tokens: seen in training, of so many `bytes_per_token` each: what counts is how much text it was.
    """
    theirs = tokens * bytes_per_token / BYTES_PER_TOKEN["CS336"]
    low, high = (point.nats * (theirs / point.tokens) ** -_exponent() for point in (STAFF, LOW_TARGET))
    return low, high


def bits_per_byte(nats: float, bytes_per_token: float = BYTES_PER_TOKEN["CS336"]) -> float:
    """A loss in nats per token as bits per byte."""
    return nats / math.log(2) / bytes_per_token


def tokens_for(nats: float, bytes_per_token: float = BYTES_PER_TOKEN["CS336"]) -> tuple[float, float]:
    """After how many tokens a loss is reached, if all goes well and if it goes as the targets have it.

    Args:
        nats: per token of CS336's.
        bytes_per_token: of the tokens that are counted.
    """
    ratio = BYTES_PER_TOKEN["CS336"] / bytes_per_token
    few, many = (ratio * point.tokens * (point.nats / nats) ** (1 / _exponent()) for point in (STAFF, LOW_TARGET))
    return few, many


def minutes_to(
    nats: float, config: GPTConfig, peak: float, mfu: float, bytes_per_token: float = BYTES_PER_TOKEN["CS336"]
) -> float:
    """Minutes of training until a loss is reached, as the targets have it.

    Args:
        nats: per token of CS336's.
        config: of a model with at least `ENOUGH` parameters in its blocks, for which the targets are taken to hold.
        peak: operations a second of the device; `mfu`: the fraction of them that training reaches.
        bytes_per_token: of the model's tokenizer.
    """
    return tokens_for(nats, bytes_per_token)[1] * training_flops_per_token(config) / (peak * mfu) / 60


def loss_by_minute(
    config: GPTConfig,
    peak: float,
    minutes: Iterable[float],
    mfus: Sequence[float] = MFUS,
    bytes_per_token: float = BYTES_PER_TOKEN["CS336"],
) -> list[dict]:
    """What to expect minute by minute: {"minutes", "tokens", "nats", "bits_per_byte"}, the last three as (low, high).

    The lowest loss is that of the band's lower edge at the higher MFU, the highest that of its upper edge at the lower.
    """
    rows = []
    for minute in minutes:
        few, many = (60 * minute * peak * mfu / training_flops_per_token(config) for mfu in sorted(mfus))
        nats = (expected_loss(many, bytes_per_token)[0], expected_loss(few, bytes_per_token)[1])
        bits = tuple(bits_per_byte(each) for each in nats)
        rows.append({"minutes": minute, "tokens": (few, many), "nats": nats, "bits_per_byte": bits})
    return rows


def candidates(
    peak: float,
    widths: Iterable[int] = (256, 320, 384, 448, 512, 768),
    context_length: int = 512,
    vocab_size: int = 4096,
    bytes_per_token: float = BYTES_PER_TOKEN["trained:4096"],
    mfus: Sequence[float] = MFUS,
) -> list[dict]:
    """Models of twelve layers, and how long each needs to CS336's target, without what an optimizer multiplies.

    Args:
        peak: operations a second of the device.

    Returns:
        rows of {"width", "parameters" (of the blocks' matrices), "enough" (no fewer than `ENOUGH`: only then the time
        means something), "flops_per_token", "tokens", "minutes" (fast, slow)}.
    """
    rows = []
    for width in widths:
        config = GPTConfig(vocab_size, context_length, n_layer=12, n_head=width // 64, d_model=width)
        parameters = 12 * 12 * width**2
        minutes = tuple(minutes_to(TARGET.nats, config, peak, mfu, bytes_per_token) for mfu in sorted(mfus)[::-1])
        flops, tokens = training_flops_per_token(config), tokens_for(TARGET.nats, bytes_per_token)[1]
        rows.append(
            {"width": width, "parameters": parameters, "enough": parameters >= ENOUGH, "flops_per_token": flops,
             "tokens": tokens, "minutes": minutes}
        )  # fmt: skip
    return rows
