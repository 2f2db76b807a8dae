"""Built in notebook 14: what decoders changed since GPT-2, part by part, and a model that is put together from it.

Each part is chosen by itself in a `ModernConfig`, which left alone gives GPT-2, weight for weight that of
`helpers.model`; `ModernConfig.llama` gives what most open models have today.
In shapes, B is the sequences in a batch, T the tokens in a sequence, S the keys that are kept, V the vocabulary.
Used by `helpers.checkpoint`, by `course.export` and `python -m course since-gpt2`, and in notebook 14.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers import model as gpt2
from helpers.errors import CourseError


@dataclass
class ModernConfig(gpt2.GPTConfig):
    """The shape of a `ModernGPT`: GPT-2's options, and what came since. Those that are left alone give GPT-2."""

    n_kv_head: int | None = None  # heads of keys and values, each shared by n_head / n_kv_head queries; None: n_head
    rms_norm: bool = False  # RMSNorm instead of LayerNorm
    rotary: bool = False  # queries and keys are rotated by their positions, instead of position vectors that are added
    rope_base: float = 10_000.0  # the larger, the more slowly the slow pairs of a head turn; see `stretched_base`
    interpolation: float = 1.0  # by which positions are divided before anything is rotated
    swiglu: bool = False  # a gated feed-forward network
    qk_norm: bool = False  # an RMSNorm on every query and key
    window: int | None = None  # how many tokens a query sees, its own included; None: all before it
    sinks: int = 0  # the first tokens of a text, which every query sees besides its window
    logit_cap: float | None = None  # logits are bent to stay between -logit_cap and logit_cap
    z_loss: float = 0.0  # weight of the square of the log of the softmax's denominator in the training loss
    n_expert: int = 0  # feed-forward networks in a block, of which a router chooses; 0: one, and no router
    top_k: int = 2  # experts that read a token
    balance: float = 0.01  # weight in the training loss of what keeps the experts equally busy

    def __post_init__(self):
        self.n_kv_head, given = self.n_head if self.n_kv_head is None else self.n_kv_head, self.d_ff
        super().__post_init__()
        check_modern(self)
        if given is None:  # as many operations as GPT-2's network, whatever is chosen
            whole = swiglu_width(self.d_model) if self.swiglu else 4 * self.d_model
            self.d_ff = max(1, whole // self.top_k) if self.n_expert else whole

    @classmethod
    def llama(cls, **values) -> "ModernConfig":
        """The parts of Llama (Touvron et al. 2023, section 2.2); with `qk_norm=True` those of Qwen3 (2025)."""
        return cls(**dict(rms_norm=True, rotary=True, swiglu=True, bias=False, tied_head=False) | values)


class RMSNorm(nn.Module):
    """(..., width) over the root of its mean square: no mean is taken away (Zhang and Sennrich 2019, equation 4)."""

    def __init__(self, width: int, eps: float = 1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # squares of half precision overflow
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


def rotary_frequencies(d_head: int, base: float = 10_000.0, interpolation: float = 1.0) -> Tensor:
    """By how many radians each pair turns from a token to the next, (d_head / 2,): Su et al. 2021, "RoFormer", 3.2.2.

    Interpolation (Chen et al. 2023, "Extending Context Window ...") lets all pairs turn more slowly.
    """
    return base ** (-torch.arange(0, d_head, 2) / d_head) / interpolation


def stretched_base(base: float, times: float, d_head: int) -> float:
    """The base that stretches a context so many times and leaves the fastest pair alone: NTK-aware (YaRN, 3.1)."""
    return base * times ** (d_head / (d_head - 2))


def rotate(x: Tensor, positions: Tensor, frequencies: Tensor) -> Tensor:
    """Turn each pair of features by its frequency times the token's position; feature i goes with i + d_head / 2.

    Args:
        x: queries or keys, (B, heads, T, d_head).
        positions: (T,), or (B, T) where sequences begin at different places.
        frequencies: (d_head / 2,).
    """
    angle = positions[..., None, :, None] * frequencies.to(x.device)  # (1, T, d_head / 2) or (B, 1, T, d_head / 2)
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


def sees(queries: Tensor, keys: Tensor, window: int | None = None, sinks: int = 0) -> Tensor:
    """Which keys each query sees, (..., T, S), by their positions, (..., T) and (..., S).

    Of those up to its own the newest `window` (Jiang et al. 2023, "Mistral 7B") and the first `sinks` of the text (Xiao
    et al. 2023, "Efficient Streaming Language Models with Attention Sinks").
    """
    distance = queries[..., :, None] - keys[..., None, :]
    seen = distance >= 0
    return seen if window is None else seen & ((distance < window) | (keys < sinks)[..., None, :])


def repeat_heads(x: Tensor, heads: int) -> Tensor:
    """As many heads as there are queries, each in a row: (B, n_kv_head, S, d_head) to (B, heads, S, d_head)."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], dim=1)


class GroupedQueryAttention(nn.Module):
    """Causal attention in which neighboring heads of queries share a head of keys and values.

    Ainslie et al. 2023, "GQA", section 2.2; with one head of keys Shazeer 2019. QK-norm as in Qwen3.
    """

    def __init__(self, config: ModernConfig):
        super().__init__()
        self.config, self.counts = config, (config.n_head, config.n_kv_head, config.n_kv_head)  # of q, k, v
        self.qkv = nn.Linear(config.d_model, sum(self.counts) * config.d_head, bias=config.bias)
        self.proj = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.q_norm, self.k_norm = (RMSNorm(config.d_head) if config.qk_norm else nn.Identity() for _ in range(2))
        self.dropout = nn.Dropout(config.dropout)

    def heads(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, (B, n_head, T, d_head), keys and values, (B, n_kv_head, T, d_head); the first two are rotated."""
        q, k, v = gpt2.split_heads(self.qkv(x), sum(self.counts)).split(self.counts, dim=1)
        q, k = self.q_norm(q), self.k_norm(k)
        if self.config.rotary:
            turns = rotary_frequencies(self.config.d_head, self.config.rope_base, self.config.interpolation)
            q, k = rotate(q, positions, turns), rotate(k, positions, turns)
        return q, k, v

    def weights(self, x: Tensor) -> Tensor:
        """The attention map, (B, n_head, T, T): what attention gives if the values are one-hot."""
        positions = torch.arange(x.shape[1], device=x.device)
        q, k, _ = self.heads(x, positions)
        one_hot = torch.eye(x.shape[1], dtype=q.dtype, device=q.device).expand(*q.shape[:3], -1)
        seen = sees(positions, positions, self.config.window, self.config.sinks)
        return F.scaled_dot_product_attention(q, repeat_heads(k, q.shape[1]), one_hot, seen)

    def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
        config, T, mask = self.config, x.shape[1], None
        positions = torch.arange(T, device=x.device) if cache is None else cache.cache.positions(x)
        q, k, v = self.heads(x, positions)
        if cache is not None:  # earlier keys and values in front of the new ones, and which of them each query sees
            k, v, mask = cache.extend(k, v)
            positions = torch.arange(k.shape[2], device=x.device) - cache.cache.first[:, None]  # of all keys, (B, S)
        if config.window is not None:
            near = sees(positions[..., -T:], positions, config.window, config.sinks).unsqueeze(-3)  # ([B,] 1, T, S)
            mask = near if mask is None else mask & near
        k, v = repeat_heads(k, config.n_head), repeat_heads(v, config.n_head)
        dropout = self.dropout.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=cache is None and mask is None)
        return self.dropout(self.proj(gpt2.merge_heads(mixed)))  # (B, T, d_model)


def swiglu_width(d_model: int, multiple: int = 8) -> int:
    """The width at which three matrices hold what two of width 4 * d_model do: 8/3 d_model, to the next multiple."""
    return max(1, round(8 * d_model / 3 / multiple)) * multiple


class SwiGLU(nn.Module):
    """The feed-forward network with a gate: silu(gate) times up-projection (Shazeer 2020, "GLU Variants ...")."""

    def __init__(self, config: ModernConfig):
        super().__init__()
        self.gate = nn.Linear(config.d_model, config.d_ff, bias=config.bias)
        self.fc = nn.Linear(config.d_model, config.d_ff, bias=config.bias)
        self.proj = nn.Linear(config.d_ff, config.d_model, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.silu(self.gate(x)) * self.fc(x)  # (B, T, d_ff)
        return self.dropout(self.proj(hidden))  # (B, T, d_model)


class Mixture(nn.Module):
    """A mixture of experts: each token goes to the `top_k` that its router prefers (Jiang et al. 2024, "Mixtral")."""

    def __init__(self, config: ModernConfig):
        super().__init__()
        self.top_k = config.top_k
        self.router = nn.Linear(config.d_model, config.n_expert, bias=False)
        self.experts = nn.ModuleList(feed_forward(config) for _ in range(config.n_expert))

    def forward(self, x: Tensor) -> Tensor:  # (B, T, d_model)
        tokens = x.flatten(0, 1)  # (N, d_model)
        probabilities = self.router(tokens).softmax(dim=-1)  # (N, n_expert)
        weights, chosen = probabilities.topk(self.top_k, dim=-1)  # (N, top_k) each
        if self.top_k > 1:  # alone it stays its probability, or the router would learn nothing (Switch)
            weights = weights / weights.sum(dim=-1, keepdim=True)
        self.imbalance = imbalance(probabilities, chosen)  # for the training loss
        mixed = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            which, place = (chosen == number).nonzero(as_tuple=True)  # the tokens that chose it, first or second
            mixed = mixed.index_add(0, which, (weights[which, place, None] * expert(tokens[which])).to(x.dtype))
        return mixed.view_as(x)


def imbalance(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """1: experts are equally busy, n_expert: one does all; (N, n_expert), (N, top_k): Fedus et al. 2021, eq. 4."""
    n_expert = probabilities.shape[-1]
    share = F.one_hot(chosen, n_expert).to(probabilities.dtype).mean(dim=(0, 1))  # (n_expert,)
    return n_expert * (share * probabilities.mean(dim=0)).sum()


class CappedHead(nn.Linear):
    """An output layer whose logits approach a cap and never pass it (Gemma 2, 2024, section 2)."""

    def __init__(self, config: ModernConfig):
        super().__init__(config.d_model, config.vocab_size, bias=False)
        self.cap = config.logit_cap

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)


def normalization(config: ModernConfig) -> nn.Module:
    """What stands in front of a sublayer, and of the head."""
    return RMSNorm(config.d_model) if config.rms_norm else nn.LayerNorm(config.d_model, bias=config.bias)


def feed_forward(config: ModernConfig) -> nn.Module:
    """One feed-forward network: that of a block, or one of its experts."""
    return SwiGLU(config) if config.swiglu else gpt2.MLP(config)


class ModernBlock(gpt2.Block):
    """One layer of other parts. The order in which they are called is GPT-2's: `forward` is inherited."""

    def __init__(self, config: ModernConfig):
        nn.Module.__init__(self)
        self.pre = True
        self.ln_1 = normalization(config)
        self.attn = GroupedQueryAttention(config)
        self.ln_2 = normalization(config)
        self.mlp = Mixture(config) if config.n_expert else feed_forward(config)


class ModernGPT(gpt2.GPT):
    """A `GPT` of other parts. Inherited is what has not changed: `embed`, `hidden`, `loss`, `parameter_count`."""

    def __init__(self, config: ModernConfig):
        nn.Module.__init__(self)
        self.config, self.scale = config, 1.0
        self.wte = nn.Embedding(config.vocab_size, config.d_model)
        self.wpe = (lambda _: 0.0) if config.rotary else nn.Embedding(config.context_length, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(ModernBlock(config) for _ in range(config.n_layer))
        self.ln_f = normalization(config)
        self.head = CappedHead(config)
        if config.tied_head:
            self.head.weight = self.wte.weight
        gpt2.initialize(self)

    @property
    def needs_logits(self) -> bool:
        """Whether the training loss is more than head and cross-entropy, and cannot be computed in chunks."""
        return bool(self.config.logit_cap or self.config.z_loss or self.config.n_expert)

    def forward(self, ids: Tensor, targets: Tensor | None = None, cache=None) -> Tensor | tuple[Tensor, Tensor]:
        """As `GPT.forward`; while the model trains, z-loss and the experts' balance are part of the loss."""
        config, logits = self.config, self.head(self.hidden(ids, cache))  # (B, T, V)
        if targets is None:
            return logits
        gpt2.check_targets(targets, ids, config)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        if self.training and config.z_loss:  # Chowdhery et al. 2022 (PaLM), section 5
            loss = loss + config.z_loss * logits.logsumexp(dim=-1)[targets != gpt2.IGNORED].pow(2).mean()
        if self.training and config.n_expert:
            loss = loss + config.balance * torch.stack([block.mlp.imbalance for block in self.blocks]).mean()
        return logits, loss


def config_of(values: dict) -> gpt2.GPTConfig:
    """The configuration of which these are the fields, as a model's folder keeps them."""
    return (ModernConfig if "n_kv_head" in values else gpt2.GPTConfig)(**values)


def model_of(config: gpt2.GPTConfig) -> gpt2.GPT:
    """A new model of a configuration."""
    return ModernGPT(config) if isinstance(config, ModernConfig) else gpt2.GPT(config)


def check_modern(config: ModernConfig) -> None:
    """Refuse a configuration that no `ModernGPT` can have; what GPT-2's options must be is known."""
    c, least = config, dict(n_kv_head=1, n_expert=0, top_k=1, sinks=0)
    for name, lowest in (least | ({"window": 1} if c.window is not None else {})).items():
        if type(getattr(c, name)) is not int or getattr(c, name) < lowest:
            raise CourseError(f"{name} must be a whole number, {lowest} or more, not {getattr(c, name)!r:.40}")
    for what, wrong in {
        "norm must be 'pre', and positions 'learned' or rotary": c.norm != "pre" or c.positions != "learned",
        f"n_head ({c.n_head}) must be a multiple of n_kv_head ({c.n_kv_head})": c.n_head % c.n_kv_head,
        f"what is rotated has pairs: d_head, now {c.d_head}, must be even": c.rotary and c.d_head % 2,
        f"top_k ({c.top_k}) cannot be more than n_expert ({c.n_expert})": 0 < c.n_expert < c.top_k,
        "logit_cap must be above 0, or None": c.logit_cap is not None and not c.logit_cap > 0,
        "rope_base must be above 1, and interpolation 1 or more": not (c.rope_base > 1 and c.interpolation >= 1),
        "z_loss and balance must be 0 or more": not (c.z_loss >= 0 and c.balance >= 0),
    }.items():
        if wrong:
            raise CourseError(what)
