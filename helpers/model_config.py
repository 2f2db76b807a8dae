"""The shape of a GPT: everything that is decided before there are weights."""

import math
from dataclasses import dataclass, field

from helpers.errors import CourseError

# Layers, heads and width of the four released models (paper, table 2; heads: released code).
GPT2_SIZES = {"small": (12, 12, 768), "medium": (24, 16, 1024), "large": (36, 20, 1280), "xl": (48, 25, 1600)}
CHOICES = {
    "norm": ("pre", "post"),
    "activation": ("gelu", "relu"),
    "positions": ("learned", "sinusoidal"),
    "first_positions": ("random", "sinusoidal"),
}


@dataclass
class GPTConfig:
    """Everything that decides the shape of a `GPT`. The options that are left alone give GPT-2.

    Attributes:
        vocab_size: how many different tokens there are (V).
        context_length: the longest sequence the model can read, in tokens.
        n_layer, n_head: blocks, and attention heads in each of them.
        d_model: width of the residual stream; each head works on `d_head = d_model / n_head` of it.
        d_ff: width inside the feed-forward network; `4 * d_model` unless it is given.
        dropout: probability of dropping a value, in training, in the four places where GPT-2 does it.
        bias: whether linear layers and LayerNorms add a bias.
        norm: "pre" normalises what enters a sublayer (GPT-2), "post" the sum that leaves it (2017).
        activation: "gelu" (the tanh form, as in GPT-2) or "relu".
        positions: "learned" vectors (GPT-2) or fixed "sinusoidal" ones.
        tied_head: the output layer uses the token embedding's weights (GPT-2) or has its own.
        embedding_std: deviation of the token embedding's first values.
        first_positions: what learned positions start from: "random" numbers (GPT-2), or the "sinusoidal" ones.
    """

    vocab_size: int
    context_length: int
    n_layer: int
    n_head: int
    d_model: int
    d_ff: int | None = None
    dropout: float = 0.0
    bias: bool = True
    norm: str = "pre"
    activation: str = "gelu"
    positions: str = "learned"
    tied_head: bool = True
    embedding_std: float = field(default=0.02, compare=False)  # how a model starts, not what it is
    first_positions: str = field(default="random", compare=False)

    def __post_init__(self):
        if self.d_ff is None:
            self.d_ff = 4 * self.d_model
        for name in ("vocab_size", "context_length", "n_layer", "n_head", "d_model", "d_ff"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise CourseError(f"{name} must be a whole number of at least 1, not {value!r}")
        if self.d_model % self.n_head:
            raise CourseError(
                f"d_model ({self.d_model}) must be a multiple of n_head ({self.n_head}): "
                "every head gets an equal share of the width"
            )
        if not 0 <= self.dropout < 1:
            raise CourseError(f"dropout is a probability, at least 0 and less than 1, not {self.dropout!r}")
        for name, (one, other) in CHOICES.items():
            if getattr(self, name) not in (one, other):
                raise CourseError(f"{name} must be {one!r} or {other!r}, not {getattr(self, name)!r}")
        if not 0 < self.embedding_std < math.inf:
            raise CourseError(f"embedding_std must be a number above 0, not {self.embedding_std!r}")
        if "sinusoidal" in (self.positions, self.first_positions) and self.d_model % 2:
            raise CourseError(f"sinusoidal positions come in pairs: d_model must be even, not {self.d_model}")

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_head

    @classmethod
    def gpt2(cls, size: str = "small", **changes) -> "GPTConfig":
        """The configuration of a released GPT-2: "small" (124M parameters), "medium", "large" or "xl"."""
        if size not in GPT2_SIZES:
            raise CourseError(f"there is no GPT-2 size {size!r}; the sizes are {', '.join(GPT2_SIZES)}")
        n_layer, n_head, d_model = GPT2_SIZES[size]
        shape = dict(n_layer=n_layer, n_head=n_head, d_model=d_model)
        return cls(**{"vocab_size": 50257, "context_length": 1024} | shape | changes)
