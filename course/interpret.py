"""Built in notebook 11: looking inside a GPT: hooks that record, replace or leave out what a part of it writes.

A place is a name: "embedding" (what enters the first block), "normed.0" (what attention 0 reads), "qkv.0", "heads.0"
(what each head gives, before they are mixed), "attention.0" and "mlp.0" (what each adds to the residual stream),
"stream.0" (the stream after block 0), "final" (what the head reads). Layers count from 0, negative ones from the end.

In shapes, B is the sequences in a batch, T the tokens in a sequence, H the heads, F an autoencoder's features.
Used in notebook 11, and by `course.inside`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from helpers.errors import CourseError
from helpers.model import GPT, CausalSelfAttention


def module_at(model: GPT, place: str) -> nn.Module:
    """The module whose output passes a place (for "heads": whose input does).

    Raises:
        CourseError: there is no such place in this model.
    """
    name, _, layer = place.partition(".")
    if place in ("embedding", "final"):
        return model.dropout if place == "embedding" else model.ln_f
    inside = {
        "stream": lambda block: block,
        "normed": lambda block: block.ln_1,
        "qkv": lambda block: block.attn.qkv,
        "heads": lambda block: block.attn.proj,
        "attention": lambda block: block.attn,
        "mlp": lambda block: block.mlp,
    }
    n_layer = len(model.blocks)
    if name not in inside or not layer.removeprefix("-").isdecimal() or not -n_layer <= int(layer) < n_layer:
        raise CourseError(
            f"there is no place {place!r}: it is 'embedding', 'final', or one of {', '.join(inside)} with a point and "
            f"a layer from 0 to {n_layer - 1}, such as 'stream.0'"
        )
    if name == "normed":
        require_pre_ln(model)
    return inside[name](model.blocks[int(layer)])


def require_pre_ln(model: GPT) -> None:
    """Refuse, with a CourseError, a model whose LayerNorms stand on the residual stream, so that nothing sums to it."""
    if model.config.norm != "pre":
        raise CourseError('this model has norm="post": attribution and attention maps are for norm="pre", as in GPT-2')


@contextmanager
def watching(model: GPT, place: str, see: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """While this is open, `see` is given what passes a place, and what it returns (if anything) goes on instead.

    What passes is (B, T, d_model), "heads" (B, T, H, d_head), "qkv" (B, T, 3 * d_model).
    """
    module = module_at(model, place)

    def of_heads(attn_proj, args):
        side_by_side = args[0]  # (B, T, d_model): head 0's features, then head 1's, ...
        new = see(side_by_side.unflatten(-1, (model.config.n_head, -1)))
        return None if new is None else (new.flatten(-2),)

    if place.startswith("heads"):
        handle = module.register_forward_pre_hook(of_heads)
    else:
        handle = module.register_forward_hook(lambda _, __, value: see(value))
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def record(model: GPT, *places: str) -> Iterator[dict[str, Tensor]]:
    """A dict that holds, after a forward pass, what passed each place; nothing is changed."""
    seen: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for place in places:
            hooks.enter_context(watching(model, place, lambda value, place=place: seen.update({place: value.detach()})))
        yield seen


@contextmanager
def patch(model: GPT, place: str, value: Tensor, at=...) -> Iterator[None]:
    """While this is open, `value[at]` stands in the place of what passes there; the rest is left as it is.

    Args:
        value: of the shape of what passes (`watching`), or one that broadcasts to it.
        at: an index, by default of all: `np.s_[:, 7]` for position 7, and of "heads" `np.s_[:, :, 2]` for head 2.
    """

    def put(old: Tensor) -> Tensor:
        new = old.clone()
        new[at] = value.expand_as(old)[at].to(old.dtype)
        return new

    with watching(model, place, put):
        yield


def stand_in(values: Tensor, how: str, generator: torch.Generator | None = None) -> Tensor:
    """What an ablated part says instead of `values`, (B, ...): nothing, what it says on average, or in another text.

    Args:
        how: "zero"; "mean", of all sequences, position by position; "resample": each sequence gets another's values.
    """
    if how == "zero":
        return torch.zeros_like(values)
    if how == "mean":
        return values.mean(0, keepdim=True).expand_as(values)
    if how == "resample":
        if len(values) < 2:
            raise CourseError("to resample there must be at least two sequences")
        shift = int(torch.randint(1, len(values), (), generator=generator))  # nobody gets their own
        return values.roll(shift, 0)
    raise CourseError(f"an ablation is 'zero', 'mean' or 'resample', not {how!r}")


# ---------------------------------------------------------------------- reading the stream and the logits


def logit_lens(model: GPT, stream: Tensor) -> Tensor:
    """What the model would say if a stream, (B, T, d_model), were its last: (B, T, V) (nostalgebraist 2020)."""
    return model.head(model.ln_f(stream))


def written_by_heads(attn: CausalSelfAttention, heads: Tensor) -> Tensor:
    """What each head adds to the stream, (..., H, d_model), from what passes "heads", (..., H, d_head); no bias."""
    slices = attn.proj.weight.unflatten(1, (attn.n_head, -1))  # (d_model, H, d_head)
    return torch.einsum("...he,dhe->...hd", heads, slices)


def parts_of_stream(model: GPT, ids: Tensor, at: Tensor) -> dict[str, Tensor]:
    """What was added up to the last stream at a position of each sequence, by name; each (B, d_model).

    The names are "token", "position", "head 0.0", ..., "bias 0", with which attention 0 mixes its heads, "mlp 0", ...
    """
    require_pre_ln(model)
    layers = range(len(model.blocks))
    rows, at = torch.arange(len(ids), device=ids.device), torch.arange(ids.shape[1], device=ids.device)[at]
    with record(model, *(f"{name}.{i}" for name in ("heads", "mlp") for i in layers)) as seen:
        model(ids)
    parts = {"token": (model.wte(ids) * model.scale)[rows, at], "position": model.wpe(at)}
    for i in layers:
        written = written_by_heads(model.blocks[i].attn, seen[f"heads.{i}"][rows, at])  # (B, H, d_model)
        parts |= {f"head {i}.{h}": written[:, h] for h in range(model.config.n_head)}
        if (bias := model.blocks[i].attn.proj.bias) is not None:
            parts[f"bias {i}"] = bias.expand(len(ids), -1)
        parts[f"mlp {i}"] = seen[f"mlp.{i}"][rows, at]
    return parts


def shares(ln: nn.LayerNorm, parts: dict[str, Tensor], direction: Tensor) -> dict[str, Tensor]:
    """What each part adds to a logit, or to a difference of two: (B,) each (Elhage et al. 2021, "direct effects").

    The last LayerNorm is linear once its scale is held at what it was; so the shares sum to the logit.

    Args:
        direction: (B, d_model): a row of the head's weight for each sequence, or the difference of two rows.
    """
    variance = sum(parts.values()).var(-1, unbiased=False, keepdim=True)
    read = direction * ln.weight / (variance + ln.eps).sqrt()  # (B, d_model)
    found = {name: ((part - part.mean(-1, keepdim=True)) * read).sum(-1) for name, part in parts.items()}
    return found if ln.bias is None else found | {"final bias": direction @ ln.bias}


@torch.no_grad()
def attribution(model: GPT, ids: Tensor, at: Tensor, direction: Tensor) -> dict[str, Tensor]:
    """The shares of all parts of a model in a logit at a position of each sequence; `at` is (B,), ids (B, T)."""
    return shares(model.ln_f, parts_of_stream(model, ids, at), direction)


# ---------------------------------------------------------------------- heads by what they look at


@torch.no_grad()
def attention_maps(model: GPT, ids: Tensor) -> Tensor:
    """The attention of all heads, (n_layer, B, H, T, T): a row is a position that looks, and sums to 1."""
    with record(model, *(f"normed.{i}" for i in range(len(model.blocks)))) as seen:
        model(ids)
    return torch.stack([block.attn.weights(seen[f"normed.{i}"]) for i, block in enumerate(model.blocks)])


def repeated_tokens(model: GPT, count: int, length: int, first: int, generator: torch.Generator) -> Tensor:
    """Sequences of random tokens said twice, after the token `first`: (count, 1 + 2 * length)."""
    once = torch.randint(model.config.vocab_size, (count, length), generator=generator)
    return torch.cat([torch.full((count, 1), first), once, once], dim=1)


def previous_token_scores(maps: Tensor) -> Tensor:
    """The attention to the token just before, averaged over positions: (n_layer, H) from (n_layer, B, H, T, T)."""
    return maps.diagonal(-1, -2, -1).mean((1, 3))


def induction_scores(maps: Tensor, length: int) -> Tensor:
    """The attention, in the second half of `repeated_tokens`, to what followed the same token in the first half.

    (n_layer, H) from (n_layer, B, H, T, T); Olsson et al. 2022, "In-context Learning and Induction Heads".
    """
    second_half = maps.diagonal(1 - length, -2, -1)[..., 2:]  # the query 1 + length looks at the key 2, and so on
    return second_half.mean((1, 3))


# ---------------------------------------------------------------------- features


def strongest(strength: Tensor, k: int) -> Tensor:
    """The k largest of the last dimension as they are, 0 in the place of all others."""
    found = strength.topk(k, dim=-1)
    return torch.zeros_like(strength).scatter(-1, found.indices, found.values)


class SparseAutoencoder(nn.Module):
    """Rewrites vectors of a stream as sums of few directions out of many (Bricken et al. 2023; top-k: Gao et al. 2024).

    x is first brought to mean 0 and to a mean length of the root of d_model, as over `examples`.
    """

    def __init__(self, examples: Tensor, n_features: int, k: int):
        super().__init__()
        d_model = examples.shape[-1]
        self.k = k
        self.register_buffer("mean", examples.mean(0))
        self.register_buffer("scale", (examples - self.mean).norm(dim=-1).mean() / d_model**0.5)
        self.decoder = nn.Parameter(F.normalize(torch.randn(n_features, d_model), dim=-1))  # a direction each
        self.encoder = nn.Parameter(self.decoder.detach().clone())
        self.bias = nn.Parameter(torch.zeros(n_features))

    def features(self, x: Tensor) -> Tensor:
        """How strong each feature is, (..., F): not more than k are above 0."""
        return strongest(F.relu((x - self.mean) / self.scale @ self.encoder.T + self.bias), self.k)

    def forward(self, x: Tensor) -> Tensor:
        """The vectors rewritten: (..., d_model) from the same."""
        return self.features(x) @ self.decoder * self.scale + self.mean
