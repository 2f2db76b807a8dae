"""The shape of a GPT: everything that is decided before there are weights.

GPT-2: the network that the course builds, trains, measures and looks inside.

The file reads from top to bottom: attention, feed-forward network, block, and the whole model.
What it follows:

- Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2), section 2.3, and the code and
  weights released with it, which settle what the paper leaves open (tanh GELU, tied head, first positions).
- Vaswani et al., "Attention Is All You Need", section 3, for attention and for the options `norm="post"`,
  `activation="relu"` and `positions="sinusoidal"`.

Letters in shapes: B sequences in a batch, T tokens in a sequence, V tokens in the vocabulary.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.errors import CourseError
from helpers.fused import causal_attention, gelu_linear, gelu_tanh
from helpers.products import Linear
from helpers.tied_head import IGNORED, head_loss, tied_lookup

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


def attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """How much each position takes from each earlier one: softmax(q kT / sqrt(d_head)) without the future.

    Args:
        q, k: queries and keys, (B, n_head, T, d_head).

    Returns:
        (B, n_head, T, T); row i sums to 1 and is 0 to the right of column i. (Vaswani et al., section 3.2.)
    """
    T, d_head = q.shape[-2:]
    scores = q @ k.transpose(-2, -1) / math.sqrt(d_head)  # (B, n_head, T, T)
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(diagonal=1)
    return scores.masked_fill(future, -math.inf).softmax(dim=-1)


class CausalSelfAttention(nn.Module):
    """Multi-head attention in which a position sees itself and what came before it.

    The explicit path shows every step; the fused path computes the same without holding the (T, T) weights.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.n_head, self.dropout = config.n_head, config.dropout
        self.qkv = Linear(config.d_model, 3 * config.d_model, bias=config.bias)
        self.proj = Linear(config.d_model, config.d_model, bias=config.bias)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of all heads, each (B, n_head, T, d_head), from one product."""
        B, T, d_model = x.shape
        qkv = self.qkv(x).view(B, T, 3, self.n_head, d_model // self.n_head)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(dim=2))  # views: nothing is copied
        return q, k, v

    def forward(self, x: Tensor, attention: str = "fused") -> Tensor:
        dropout = self.dropout if self.training else 0.0
        if attention == "fused":
            merged = causal_attention(self.qkv(x), self.n_head, dropout)
        else:
            q, k, v = self.heads(x)
            mixed = F.dropout(attention_weights(q, k), dropout) @ v  # (B, n_head, T, d_head)
            merged = mixed.transpose(1, 2).reshape(x.shape)  # the heads side by side: (B, T, d_model)
        return F.dropout(self.proj(merged), dropout)


class MLP(nn.Module):
    """The feed-forward network: widen, bend, narrow; each position on its own."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.fc = Linear(config.d_model, config.d_ff, bias=config.bias)
        self.activation = gelu_tanh if config.activation == "gelu" else F.relu
        self.proj = Linear(config.d_ff, config.d_model, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        wide, proj = self.fc(x), self.proj  # (B, T, d_ff)
        # In training the last two steps are one, which keeps less; not where `proj` was replaced or is listened to.
        as_one = self.training and self.activation is gelu_tanh and type(proj) is Linear and not proj._forward_hooks
        narrow = gelu_linear(wide, proj.weight, proj.bias) if as_one else proj(self.activation(wide))
        return self.dropout(narrow)


class Block(nn.Module):
    """One layer: attention, then the feed-forward network, each added to the residual stream."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.pre = config.norm == "pre"
        self.ln_1 = nn.LayerNorm(config.d_model, eps=1e-5, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.d_model, eps=1e-5, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, attention: str = "fused") -> Tensor:
        if self.pre:  # the stream itself is never normalised: gradients have a straight way through
            x = x + self.attn(self.ln_1(x), attention)
            return x + self.mlp(self.ln_2(x))
        x = self.ln_1(x + self.attn(x, attention))
        return self.ln_2(x + self.mlp(x))


def sinusoids(length: int, d_model: int) -> Tensor:
    """Fixed positions, (length, d_model): sines in even columns, cosines in odd (section 3.5 of 2017)."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    frequency = torch.exp(torch.arange(0, d_model, 2, dtype=torch.float32) * (-math.log(10000.0) / d_model))
    angle = position * frequency  # (length, d_model / 2)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


class GPT(nn.Module):
    """A decoder-only Transformer: ids of tokens in, a score for every possible next token out.

    >>> model = GPT(GPTConfig(vocab_size=2048, context_length=256, n_layer=4, n_head=4, d_model=128))
    >>> model(torch.tensor([[5, 17, 42]])).shape
    torch.Size([1, 3, 2048])
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.d_model)
        if config.positions == "learned":
            self.wpe = nn.Embedding(config.context_length, config.d_model)
        else:
            table = sinusoids(config.context_length, config.d_model)
            self.register_buffer("position_table", table, persistent=False)  # fixed, so not saved
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        if config.norm == "pre":  # a post-LN block ends in a LayerNorm of its own
            self.ln_f = nn.LayerNorm(config.d_model, eps=1e-5, bias=config.bias)
        else:
            self.ln_f = nn.Identity()
        if not config.tied_head:
            self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.initialise()

    @classmethod
    def from_pretrained(cls, source="gpt2", dropout: float | None = None, device: str | torch.device = "cpu") -> "GPT":
        """OpenAI's weights, or any GPT-2 that `transformers` saved: see `helpers.pretrained.load_pretrained`.

        Args:
            source: "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", a folder, or "owner/name" on the Hub.
        """
        from helpers.pretrained import load_pretrained  # when it is called: that module needs this one

        return load_pretrained(source, dropout, device)

    @torch.no_grad()
    def initialise(self) -> None:
        """GPT-2's starting point: weights of deviation 0.02, biases 0, and a residual stream that stays calm.

        2 * n_layer sublayers add to the stream; shrinking each one's last matrix by the root of that number
        keeps the stream's variance from growing with depth (section 2.3). Positions start at 0.01 (released
        code), or as sinusoids: then one matrix can turn every position into the one before it from the first step on.
        """
        residual_std = 0.02 / math.sqrt(2 * self.config.n_layer)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.dim() == 1:  # the gain of a LayerNorm
                parameter.fill_(1.0)
            elif name == "wpe.weight" and self.config.first_positions == "sinusoidal":
                parameter.copy_(sinusoids(*parameter.shape))
            elif name == "wpe.weight":
                parameter.normal_(std=0.01)
            elif name == "wte.weight":
                parameter.normal_(std=self.config.embedding_std)
            else:
                parameter.normal_(std=residual_std if name.endswith("proj.weight") else 0.02)

    def forward(
        self, ids: Tensor, targets: Tensor | None = None, attention: str = "fused", need_logits: bool = True
    ) -> Tensor | tuple[Tensor | None, Tensor]:
        """Score every possible next token at every position.

        Args:
            ids: token ids, (B, T), T at most `config.context_length`. Shorter rows are filled up on the right:
                nothing sees what comes after it, so no mask is needed. (On the left one would be, and other
                positions too; that is not offered.)
            targets: the token that follows each position, (B, T); -100 marks a position that is not scored.
            attention: "fused" or "explicit", the same numbers by two ways.
            need_logits: False with `targets` skips the (B, T, V) logits, which is faster and smaller.

        Returns:
            Without targets the logits, (B, T, V). With targets the pair `(logits, loss)`: the loss is the
            mean of -log p(target) over the scored positions, in nats; without `need_logits` logits is None.

        Raises:
            CourseError: ids of a wrong shape, too long, or outside the vocabulary.
        """
        if targets is not None and targets.shape != ids.shape:
            self._check(ids)
            raise CourseError(
                f"every position needs one target: ids are {tuple(ids.shape)}, targets {tuple(targets.shape)}"
            )
        if targets is not None and not need_logits:
            return None, self._loss(ids, targets, attention)
        hidden = self.hidden(ids, attention)  # (B, T, d_model)
        logits = F.linear(hidden, self.head_weight)  # (B, T, V)
        if targets is None:
            return logits
        return logits, F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED)

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """The mean loss alone, in nats, by the fast way that never holds all logits; training uses this."""
        return self(ids, targets, need_logits=False)[1]

    def _loss(self, ids: Tensor, targets: Tensor, attention: str) -> Tensor:
        """The loss without logits; the gradients of a tied matrix's two ends become one as they are made."""
        self._check(ids)
        tokens, handed_on = tied_lookup(self.wte.weight, ids) if self.config.tied_head else (self.wte(ids), None)
        hidden = self._through_blocks(self._place(tokens), attention)  # (B, T, d_model)
        return head_loss(hidden.flatten(0, 1), self.head_weight, targets.flatten(), handed_on)

    def hidden(self, ids: Tensor, attention: str = "fused") -> Tensor:
        """What the last layer knows at each position: (B, T, d_model), ready for the head."""
        return self._through_blocks(self.embed(ids), attention)

    def _through_blocks(self, x: Tensor, attention: str) -> Tensor:
        if attention not in ("fused", "explicit"):
            raise CourseError(f"attention must be 'fused' or 'explicit', not {attention!r}")
        for block in self.blocks:
            x = block(x, attention)
        return self.ln_f(x)

    def embed(self, ids: Tensor) -> Tensor:
        """Tokens and positions as vectors: what enters the first block, (B, T, d_model)."""
        self._check(ids)
        return self._place(self.wte(ids))

    def _place(self, tokens: Tensor) -> Tensor:
        """Vectors of tokens, (B, T, d_model), with their positions added."""
        T = tokens.shape[1]
        if self.config.positions == "learned":
            return self.dropout(tokens + self.wpe.weight[:T])
        # Scaled up (section 3.4 of the 2017 paper); the sinusoids would drown vectors of deviation 0.02.
        return self.dropout(tokens * math.sqrt(self.config.d_model) + self.position_table[:T])

    @property
    def head_weight(self) -> Tensor:
        """The output layer, (V, d_model): one row for each token."""
        return self.wte.weight if self.config.tied_head else self.head.weight

    def parameter_count(self) -> int:
        """How many numbers are learned; a tied head is counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _check(self, ids: Tensor) -> None:
        V, longest = self.config.vocab_size, self.config.context_length
        if ids.dim() != 2 or ids.shape[1] == 0:
            raise CourseError(f"ids must be (batch, time) with at least one token, not {tuple(ids.shape)}")
        if ids.shape[1] > longest:
            raise CourseError(
                f"{ids.shape[1]} tokens do not fit a context of {longest}: shorten the text or keep its end"
            )
        if ids.device.type == "cpu" and ids.numel():  # elsewhere looking at values would make the device wait
            low, high = (int(value) for value in torch.aminmax(ids))
            if low < 0 or high >= V:
                bad = low if low < 0 else high
                raise CourseError(
                    f"token id {bad} is outside the vocabulary (0 to {V - 1}): "
                    "were these ids made by another tokenizer than the model's?"
                )
