"""Built in notebooks 04 to 06: GPT-2, the network that the course trains, measures and looks inside.

From top to bottom: configuration, attention, feed-forward network, block, model, initialization, checks. It follows
Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3, and the code and weights
released with it, which settle what the paper leaves open (tanh GELU, tied head). Attention and the options "post",
"relu" and "sinusoidal" are those of Vaswani et al. 2017, "Attention Is All You Need", section 3.

In shapes, B is the sequences in a batch, T the tokens in a sequence, V the vocabulary. Torch's fused attention has no
second or forward-mode derivatives on a CPU; under `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)` there are both.
Used from notebook 07 on, and by all that trains, evaluates or generates.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.errors import CourseError

LARGEST = 10_000_000  # of any size: what is beyond it is a slip, or a file that means no good
IGNORED = -100  # a target that is not scored: what `F.cross_entropy` leaves out
# Layers, heads and d_model of the four released models (paper, table 2; heads: released code).
GPT2_SIZES = {"small": (12, 12, 768), "medium": (24, 16, 1024), "large": (36, 20, 1280), "xl": (48, 25, 1600)}


@dataclass
class GPTConfig:
    """Everything that decides the shape of a `GPT`. The options that are left alone give GPT-2."""

    vocab_size: int  # V, how many different tokens there are
    context_length: int  # the longest sequence that the model can read, in tokens
    n_layer: int  # blocks
    n_head: int  # attention heads in each block
    d_model: int  # width of the residual stream; each head works on d_head = d_model / n_head of it
    d_ff: int | None = None  # width inside the feed-forward network; None: 4 * d_model
    dropout: float = 0.0  # probability of dropping a value in training
    bias: bool = True  # whether linear layers and LayerNorms add a bias
    norm: str = "pre"  # "pre": normalize what enters a sublayer (GPT-2); "post": the sum that leaves it (2017)
    activation: str = "gelu"  # "gelu" (its tanh form, as in GPT-2) or "relu"
    positions: str = "learned"  # "learned" vectors (GPT-2) or fixed "sinusoidal" ones
    tied_head: bool = True  # the output layer shares the token embedding's weights (GPT-2)
    # The next two say how a model starts, not what it is.
    embedding_std: float = field(default=0.02, compare=False)  # of the token embedding's initialization
    first_positions: str = field(default="random", compare=False)  # learned positions: "random" or "sinusoidal"

    def __post_init__(self):
        if self.d_ff is None:
            self.d_ff = 4 * self.d_model
        check_config(self)

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_head

    @classmethod
    def gpt2(cls, size: str = "small", **changes) -> "GPTConfig":
        """The configuration of a released GPT-2: "small" (124M parameters), "medium", "large" or "xl"."""
        if size not in GPT2_SIZES:
            raise CourseError(f"there is no GPT-2 size {size!r}; the sizes are {', '.join(GPT2_SIZES)}")
        shape = dict(zip(("n_layer", "n_head", "d_model"), GPT2_SIZES[size], strict=True))
        return cls(**{"vocab_size": 50257, "context_length": 1024} | shape | changes)


def split_heads(x: Tensor, n_head: int) -> Tensor:
    """Each head its own slice of the features: (B, T, d_model) to (B, n_head, T, d_head). Nothing is copied."""
    B, T, d_model = x.shape
    return x.view(B, T, n_head, d_model // n_head).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """The heads side by side again: (B, n_head, T, d_head) to (B, T, d_model)."""
    return x.transpose(1, 2).flatten(2)


class CausalSelfAttention(nn.Module):
    """Multi-head attention in which a position sees itself and what came before it."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model, bias=config.bias)
        self.proj = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of all heads, each (B, n_head, T, d_head), from one matrix multiplication."""
        return tuple(split_heads(part, self.n_head) for part in self.qkv(x).chunk(3, dim=-1))

    def weights(self, x: Tensor) -> Tensor:
        """The attention map, (B, n_head, T, T): what attention gives if the values are one-hot."""
        q, k, _ = self.heads(x)
        one_hot = torch.eye(x.shape[1], dtype=q.dtype, device=q.device).expand(*q.shape[:3], -1)
        return F.scaled_dot_product_attention(q, k, one_hot, is_causal=True)

    def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
        q, k, v = self.heads(x)
        mask = None
        if cache is not None:  # earlier keys and values in front of the new ones, and which of them each query sees
            k, v, mask = cache.extend(k, v)
        dropout = self.dropout.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=cache is None)
        return self.dropout(self.proj(merge_heads(mixed)))  # (B, T, d_model)


class MLP(nn.Module):
    """The feed-forward network: up-projection, nonlinearity, down-projection; each position on its own."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.fc = nn.Linear(config.d_model, config.d_ff, bias=config.bias)
        self.activation = nn.GELU(approximate="tanh") if config.activation == "gelu" else nn.ReLU()
        self.proj = nn.Linear(config.d_ff, config.d_model, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.fc(x))  # (B, T, d_ff)
        return self.dropout(self.proj(hidden))  # (B, T, d_model)


class Block(nn.Module):
    """One layer: attention, then the feed-forward network, each added to the residual stream."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.pre = config.norm == "pre"
        self.ln_1 = nn.LayerNorm(config.d_model, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.d_model, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
        if self.pre:  # nothing stands on the stream itself: gradients have a straight way through
            x = x + self.attn(self.ln_1(x), cache)
            return x + self.mlp(self.ln_2(x))
        x = self.ln_1(x + self.attn(x, cache))
        return self.ln_2(x + self.mlp(x))


def sinusoids(length: int, d_model: int) -> Tensor:
    """Fixed positions, (length, d_model): sines in even columns, cosines in odd (section 3.5 of 2017)."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    frequency = torch.exp(torch.arange(0, d_model, 2, dtype=torch.float32) * (-math.log(10000.0) / d_model))
    angle = position * frequency  # (length, d_model / 2)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


class FixedPositions(nn.Module):
    """Sinusoids instead of learned position vectors; they are computed, so they are not saved."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.register_buffer("table", sinusoids(config.context_length, config.d_model), persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        return self.table[positions]


class GPT(nn.Module):
    """A decoder-only Transformer: ids of tokens in, a score for every possible next token out."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        d_model, learned, pre = config.d_model, config.positions == "learned", config.norm == "pre"
        self.wte = nn.Embedding(config.vocab_size, d_model)
        self.wpe = nn.Embedding(config.context_length, d_model) if learned else FixedPositions(config)
        self.scale = 1.0 if learned else math.sqrt(d_model)  # else sinusoids would drown the tokens (2017, 3.4)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(d_model, bias=config.bias) if pre else nn.Identity()  # a post-LN block ends in one
        self.head = nn.Linear(d_model, config.vocab_size, bias=False)
        if config.tied_head:
            self.head.weight = self.wte.weight
        initialize(self)

    def embed(self, ids: Tensor, cache=None) -> Tensor:
        """Tokens and positions as vectors: what enters the first block, (B, T, d_model)."""
        check_ids(ids, self.config)
        positions = torch.arange(ids.shape[1], device=ids.device) if cache is None else cache.positions(ids)
        return self.dropout(self.wte(ids) * self.scale + self.wpe(positions))

    def hidden(self, ids: Tensor, cache=None) -> Tensor:
        """What leaves the last layer at each position, (B, T, d_model): what the head reads."""
        x = self.embed(ids, cache)
        for number, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache.layers[number])
        return self.ln_f(x)

    def forward(self, ids: Tensor, targets: Tensor | None = None, cache=None) -> Tensor | tuple[Tensor, Tensor]:
        """Score every possible next token at every position.

        Args:
            ids: token ids, (B, T), T at most `config.context_length`; shorter sequences are padded on the right.
            targets: the token that follows each position, (B, T); -100 marks a position that is not scored.
            cache: a `helpers.kv_cache.KVCache` of what was read before; `ids` then go on from there.

        Returns:
            The logits, (B, T, V); with targets (logits, loss), the mean of -log p(target) over scored positions.

        Raises:
            CourseError: ids or targets have a wrong shape, are too long, or outside the vocabulary.
        """
        logits = self.head(self.hidden(ids, cache))  # (B, T, V)
        if targets is None:
            return logits
        check_targets(targets, ids, self.config)
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy loss alone, in nats per token."""
        return self(ids, targets)[1]

    def parameter_count(self) -> int:
        """How many values are learned; a tied head is counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

    @classmethod
    def from_pretrained(cls, source="gpt2", dropout: float | None = None, device="cpu") -> "GPT":
        """OpenAI's weights, or any GPT-2 that `transformers` saved; `helpers.pretrained` lists the sources."""
        from helpers.pretrained import load_pretrained  # here, because that module needs this one

        return load_pretrained(source, dropout, device)


@torch.no_grad()
def initialize(model: GPT) -> None:
    """GPT-2's initialization: weights of standard deviation 0.02, biases 0, and a residual stream that stays calm.

    2 * n_layer sublayers add to the stream; dividing each one's last matrix by the root of that number keeps the
    stream's variance from growing with depth (section 2.3). Positions start at 0.01 (released code), or as
    sinusoids: then one matrix can turn every position into the one before it from the first step on.
    """
    config = model.config
    residual_std = 0.02 / math.sqrt(2 * config.n_layer)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.dim() == 1:  # the weight of a LayerNorm
            parameter.fill_(1.0)
        elif name == "wpe.weight" and config.first_positions == "sinusoidal":
            parameter.copy_(sinusoids(*parameter.shape))
        elif name == "wpe.weight":
            parameter.normal_(std=0.01)
        elif name == "wte.weight":
            parameter.normal_(std=config.embedding_std)
        else:
            parameter.normal_(std=residual_std if name.endswith("proj.weight") else 0.02)


def check_config(config: GPTConfig) -> None:
    """Refuse a configuration that no model can have, and say why."""
    for name in ("vocab_size", "context_length", "n_layer", "n_head", "d_model", "d_ff"):
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
            raise CourseError(f"{name} must be a whole number from 1 to {LARGEST:,}, not {value!r:.40}")
    if config.d_model % config.n_head:
        raise CourseError(f"d_model ({config.d_model}) must be a multiple of n_head ({config.n_head})")
    choices = {"norm": ("pre", "post"), "activation": ("gelu", "relu"), "positions": ("learned", "sinusoidal")}
    for name, allowed in (choices | {"first_positions": ("random", "sinusoidal")}).items():
        if getattr(config, name) not in allowed:
            raise CourseError(f"{name} must be {' or '.join(map(repr, allowed))}, not {getattr(config, name)!r:.80}")
    if not 0 <= config.dropout < 1:
        raise CourseError(f"dropout is a probability, at least 0 and less than 1, not {config.dropout!r:.80}")
    if not 0 < config.embedding_std <= 1e6:
        raise CourseError(f"embedding_std must be above 0 and at most a million, not {config.embedding_std!r:.80}")
    if "sinusoidal" in (config.positions, config.first_positions) and config.d_model % 2:
        raise CourseError(f"sinusoidal positions come in pairs: d_model must be even, not {config.d_model}")


def check_ids(ids: Tensor, config: GPTConfig) -> None:
    """Refuse ids that a model of this configuration cannot read, in words that say why."""
    V, longest = config.vocab_size, config.context_length
    if ids.dim() != 2 or ids.shape[1] == 0:
        raise CourseError(f"ids must be (batch, time) with at least one token, not {tuple(ids.shape)}")
    if ids.shape[1] > longest:
        raise CourseError(f"{ids.shape[1]} tokens do not fit a context of {longest}: shorten the text or keep its end")
    if (bad := _outside(ids, V)) is not None:
        raise CourseError(f"token id {bad} is outside the vocabulary (0 to {V - 1}): does the tokenizer fit the model?")


def check_targets(targets: Tensor, ids: Tensor, config: GPTConfig) -> None:
    """Refuse targets that cannot be scored: every position needs a token's id, or -100 to be left out."""
    if targets.shape != ids.shape:
        raise CourseError(f"every position needs one target: ids {tuple(ids.shape)}, targets {tuple(targets.shape)}")
    if (bad := _outside(targets.where(targets != IGNORED, 0), config.vocab_size)) is not None:
        raise CourseError(f"target {bad} is neither a token id (0 to {config.vocab_size - 1}) nor {IGNORED}")


def _outside(ids: Tensor, vocab_size: int) -> int | None:
    """One of the values that are no token's id, or None; None too where looking is slow or impossible."""
    if ids.device.type != "cpu" or torch.compiler.is_compiling() or not ids.numel():
        return None  # a GPU would first have to finish all that it was given
    try:
        low, high = (value.item() for value in ids.aminmax())
    except RuntimeError:  # under torch.vmap there is no single value to look at
        return None
    return low if low < 0 else high if high >= vocab_size else None
