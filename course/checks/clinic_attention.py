"""Repairs of attentions (notebook 10)."""

import math

import torch
import torch.nn.functional as F

from course.checks.attention import near, none_of, parameters_are, randomize
from course.checks.exercise import exercise
from course.clinic import structure
from helpers.kv_cache import KVCache
from helpers.model import GPT, GPTConfig

__all__ = ["FayAttention", "GusAttention", "HanaAttention", "IvoAttention", "JunAttention", "KiraAttention"]


@exercise("10.11", title="Repair Fay", minutes=6, difficulty=1, seconds=5, begins_as=structure.FayAttention)
def FayAttention(answer, check):
    _attends(answer, check)


@exercise("10.12", title="Repair Gus", minutes=6, difficulty=2, seconds=5, begins_as=structure.GusAttention)
def GusAttention(answer, check):
    _attends(answer, check)


@exercise("10.13", title="Repair Hana", minutes=6, difficulty=2, seconds=5, begins_as=structure.HanaAttention)
def HanaAttention(answer, check):
    _attends(answer, check)


@exercise("10.14", title="Repair Ivo", minutes=7, difficulty=2, seconds=5, begins_as=structure.IvoAttention)
def IvoAttention(answer, check):
    _attends(answer, check)


@exercise("10.15", title="Repair Jun", minutes=8, difficulty=2, seconds=5, begins_as=structure.JunAttention)
def JunAttention(answer, check):
    B, T, H, d = 3, 5, 2, 4
    layer = answer(GPTConfig(1, 16, n_layer=1, n_head=H, d_model=H * d)).eval()
    parameters_are(layer, {
        "inner.in_proj_weight": (3 * H * d, H * d), "inner.in_proj_bias": (3 * H * d,),
        "inner.out_proj.weight": (H * d, H * d), "inner.out_proj.bias": (H * d,),
    }, check)  # fmt: skip
    randomize(layer)
    x, when = torch.randn(B, T, H * d), "forward(x)"
    q, k, v = (
        part.unflatten(-1, (H, d)).transpose(1, 2)
        for part in F.linear(x, layer.inner.in_proj_weight, layer.inner.in_proj_bias).detach().chunk(3, dim=-1)
    )

    def made(mask):
        mixed = F.scaled_dot_product_attention(q, k, v, mask)
        return layer.inner.out_proj(mixed.transpose(1, 2).flatten(2)).detach()

    try:
        got = layer(x)
    except (RuntimeError, AssertionError) as error:
        check.that(
            "attn_mask" not in str(error), slug="mask-size", when=when, problem=str(error),
            hint="The mask is a square: one row and one column for each token of a text. Which axis of x is time?",
        )  # fmt: skip
        raise
    check.shape(got, (B, T, H * d), slug="shape", when=when, hint="As x: one vector for each token of each text.")
    alone = torch.cat([layer(x[i : i + 1]) for i in range(B)]).detach()
    check.that(
        near(got, alone), slug="rows-mixed", when=when, problem="a text's result depends on the others in its batch",
        hint="Row 1 of a batch is a text of its own. What does `nn.MultiheadAttention` take the first axis of its "
        "input for? Its documentation names the argument that says so.",
    )  # fmt: skip
    past = torch.ones(T, T, dtype=torch.bool).tril()
    none_of({
        "sees-the-future": (made(None), "every position sees its future", "The mask was lost: it must stay causal."),
        "wrong-way": (made(past.T), "each position sees its future, and not its past",
        "In this layer's mask, True says what must *not* be looked at."),
        "one-too-far": (made(torch.ones(T, T, dtype=torch.bool).tril(1)), "each position sees the next one",
        "Position t sees positions 0 to t. The diagonal itself must stay open, and nothing above it."),
        "only-itself": (made(torch.eye(T, dtype=torch.bool)), "each position sees itself alone",
        "Attention is there to look at earlier positions."),
    }, got, check, when)  # fmt: skip
    check.close(
        got, made(past), slug="value", tolerance=1e-4, when=when,
        hint="Each position of a text sees itself and what came before it in the same text, and nothing else.",
    )  # fmt: skip
    _learns(layer, x, check)
    for batch, length in ((1, 1), (4, 4), (2, 9)):
        x = torch.randn(batch, length, H * d)
        alone = torch.cat([layer(x[i : i + 1, : t + 1])[:, -1:] for i in range(batch) for t in range(length)])
        check.close(
            layer(x).flatten(0, 1), alone.flatten(0, 1), slug="other-sizes", tolerance=1e-4,
            when=f"{batch} texts of {length} tokens",
            hint="It works for some sizes only: the mask must follow the length of the texts.",
        )  # fmt: skip


@exercise("10.21", title="Repair Kira", minutes=5, difficulty=2, seconds=5, begins_as=structure.KiraAttention)
def KiraAttention(answer, check):
    _attends(answer, check)


def _attends(answer, check) -> None:
    """An attention layer with `qkv` and `proj` is causal attention of many heads, with a cache and without."""
    B, T, H, d = 2, 5, 3, 4
    layer = _layer(answer, check, H, d)
    x, when = torch.randn(B, T, H * d), "forward(x)"
    before, right = x.clone(), _attention(layer, x, H)
    got = layer(x)
    check.that(
        torch.equal(x, before), slug="changes-input", when=when, problem="x was changed",
        hint="Build new values, and leave the input as it was.",
    )  # fmt: skip
    check.shape(got, (B, T, H * d), slug="shape", when=when, hint="As x: one vector of d_model for each token.")
    check.that(
        bool(got.isfinite().all()), slug="not-a-number", when=when, problem="some results are not numbers",
        hint="A row in which everything is hidden has nothing to divide. Each token sees at least itself.",
    )  # fmt: skip
    none_of(_wrong_attentions(layer, x, H), got, check, when)
    later = x.clone()
    later[:, -1] = torch.randn(H * d)
    check.that(
        near(layer(later)[:, :-1], got[:, :-1].detach()), slug="leak", when="forward(x), with another last token",
        problem="the results before it have changed",
        hint="A result must not depend on a later token in any way: neither on its value nor on its key. Follow what "
        "the later tokens' keys go into.",
    )  # fmt: skip
    alone = torch.cat([layer(x[i : i + 1]) for i in range(B)])
    check.that(
        near(got, alone.detach()), slug="rows-mixed", when=when, problem="a text's result depends on the other text",
        hint="The texts of a batch must stay apart: look where axes are swapped or joined.",
    )  # fmt: skip
    check.close(
        got, right, slug="value", tolerance=1e-4, when=when,
        hint="It should be `F.scaled_dot_product_attention(q, k, v, is_causal=True)`, heads side by side, projected.",
    )  # fmt: skip
    _learns(layer, x, check)
    layer.zero_grad()
    layer.eval()
    check.close(
        layer(x), right, slug="in-training-only", tolerance=1e-4, when="forward(x) after eval()",
        hint="Another result than in training. There is no dropout here: the two should be the same.",
    )  # fmt: skip
    for n_head, length in ((1, 7), (4, 1), (4, 4), (2, 9)):
        layer = _layer(answer, check, n_head, 16 // n_head)
        x = torch.randn(2, length, 16)
        check.close(
            layer(x), _attention(layer, x, n_head), slug="other-sizes", tolerance=1e-4,
            when=f"n_head={n_head}, {length} tokens of 16 features",
            hint="It works for some sizes only. Read time from x and the heads from `self.n_head`.",
        )  # fmt: skip
    _reads_with_a_cache(answer, check)


def _layer(answer, check, n_head: int, d_head: int):
    """A layer of the answer's class with large weights."""
    width = n_head * d_head
    layer = answer(GPTConfig(1, 16, n_layer=1, n_head=n_head, d_model=width))
    parameters_are(layer, {
        "qkv.weight": (3 * width, width), "qkv.bias": (3 * width,), "proj.weight": (width, width),
        "proj.bias": (width,),
    }, check)  # fmt: skip
    randomize(layer)
    return layer


def _heads(layer, x, n_head: int) -> list[torch.Tensor]:
    """Queries, keys and values, (B, n_head, T, d_head)."""
    wide = F.linear(x, layer.qkv.weight, layer.qkv.bias).detach()
    return [torch.stack(part.chunk(n_head, dim=-1), dim=1) for part in wide.chunk(3, dim=-1)]


def _attention(layer, x, n_head: int) -> torch.Tensor:
    """What the layer's own weights should give: PyTorch's causal attention, heads side by side, projected."""
    mixed = F.scaled_dot_product_attention(*_heads(layer, x, n_head), is_causal=True)
    return F.linear(torch.cat(mixed.unbind(1), dim=-1), layer.proj.weight, layer.proj.bias).detach()


def _wrong_attentions(layer, x, H: int) -> dict:
    """What typical faults would give with the layer's own weights: slug -> (result, problem, hint)."""
    B, T, d_model = x.shape
    q, k, v = _heads(layer, x, H)
    d = d_model // H
    raw, past = q @ k.transpose(-2, -1), torch.ones(T, T, dtype=torch.bool).tril()
    scaled, everything = raw / math.sqrt(d), torch.ones_like(past)

    def projected(joined):
        return F.linear(joined, layer.proj.weight, layer.proj.bias).detach()

    def side_by_side(mixed):
        return projected(mixed.transpose(1, 2).reshape(B, T, d_model))

    def made(scores, mask=past, dim=-1):
        return side_by_side(scores.masked_fill(~mask, -math.inf).softmax(dim) @ v)

    good = scaled.masked_fill(~past, -math.inf).softmax(-1) @ v
    with_zeros = scaled.masked_fill(~past, 0.0).softmax(-1) @ v
    strictly = F.scaled_dot_product_attention(q, k, v, past.tril(-1)).nan_to_num(0.0)
    bidirectional, after = made(scaled, everything), side_by_side((scaled.softmax(-1) * past) @ v)
    return {
        "sees-the-future": (bidirectional, "every position sees its future",
        "Without a cache nothing is hidden. Read the documentation of the function that attends: does it hide the "
        "future by itself?"),
        "wrong-way": (made(scaled, past.T), "each position sees its future, and not its past",
        "The mask is the wrong way round: True, in PyTorch's fused attention, is what *may* be seen."),
        "one-too-far": (made(scaled, torch.ones_like(past).tril(1)), "each position sees the next one as well",
        "Position t sees positions 0 to t. Check the diagonal of the triangle."),
        "not-itself": (side_by_side(strictly), "each position sees what comes before it, and not itself",
        "Check the diagonal of the triangle: it stays open."),
        "rows-not-one": (after, "the weights of a row do not sum to one",
        "The future is weighted with zero, but it is still in the sum by which the softmax divides. What has no weight "
        "must have had no part in that sum."),
        "hidden-as-zero": (side_by_side(with_zeros), "what should be hidden has got the score 0, and so a weight",
        "The softmax turns a score of 0 into exp(0) = 1 before it divides. Which score becomes a weight of exactly 0?"),
        "over-queries": (made(scaled, dim=-2), "the weights of a column sum to one, not those of a row",
        "Each query divides its attention among the keys. Which axis of the scores are the keys?"),
        "over-heads": (made(scaled, everything, dim=1), "the weights of the heads sum to one for each pair",
        "The heads are independent of one another. The softmax goes over the keys."),
        "queries-unmasked": (made(scaled, everything, dim=-2), "columns sum to one, and nothing is hidden",
        "The softmax goes over the keys, and only over those that a query may see."),
        "not-scaled": (made(raw), "the scores were not scaled",
        "A score is a sum of d_head products: its size grows with the root of their number. Divide by that."),
        "by-d-head": (made(raw / d), "the scores were divided by d_head",
        "By its root, and once: PyTorch's fused attention scales by itself."),
        "by-d-model": (made(raw / math.sqrt(d_model)), "the scores were divided by the root of d_model",
        "A head's score sums over that head's features only: d_head of them."),
        "multiplied": (made(raw * math.sqrt(d)), "the scores were multiplied by the root of d_head", "Divide by it."),
        "torn-heads": (projected(good.reshape(B, T, d_model)), "a token's vector holds what heads found elsewhere",
        "The shape is right, the contents are not: heads stand before time, and `view` or `reshape` read on in that "
        "order. Which two axes have to be swapped before heads can be joined?"),
        "interleaved": (projected(good.permute(0, 2, 3, 1).reshape(B, T, d_model)),
        "the heads are interleaved, feature by feature",
        "Head 0's features come first, all together: (batch, time, n_head, d_head), and then join the last two."),
        "reversed-axes": (projected(good.permute(0, 3, 1, 2).reshape(B, T, d_model)),
        "features, heads and time are in a mixed-up order", "Swap heads and time, and no other axes."),
        "one-head": (projected(F.scaled_dot_product_attention(
            *(part.transpose(1, 2).reshape(B, T, d_model) for part in (q, k, v)), is_causal=True)),
        "all features are one head", "There are `n_head` heads, each with scores of its own."),
        "no-projection": (good.transpose(1, 2).reshape(B, T, d_model), "the output projection is missing",
        "Leave `self.proj` at the end, as it was."),
    }  # fmt: skip


def _reads_with_a_cache(answer, check) -> None:
    """Texts of unequal length, read in one batch with a cache and then token by token, as each is read alone."""
    torch.manual_seed(3)
    model = GPT(GPTConfig(20, 16, n_layer=2, n_head=2, d_model=8))
    for block in model.blocks:
        block.attn = answer(model.config)
    randomize(model)
    model.eval()
    texts = [[3, 1, 4, 1], [5, 9]]
    cache, told = KVCache(model), []
    for new in (None, [2, 6], [5, 3]):
        when = "its first reading of two texts" if new is None else "one more token for each of two texts"
        told = [[*text, *more] for text, more in zip(told or texts, zip(new) if new else ((), ()), strict=True)]
        try:
            got = cache.start(texts) if new is None else cache.append(new)
        except Exception as error:
            check.fail(
                f"with a cache, {when}: {type(error).__name__}: {error}", slug="cache-broke",
                hint="`cache.extend(k, v)` returns keys, values and which of them each query sees (None: all). With a "
                "cache there are more keys than queries, and `is_causal=True` does not go with a mask.",
            )  # fmt: skip
        expected = torch.stack([_alone(model, text) for text in told])
        check.close(
            got, expected, slug="cache-mask", tolerance=1e-3, when=f"with a cache, {when}",
            hint="Reading with a cache must give what reading each text from its beginning gives: use the keys, the "
            "values and the mask that `cache.extend` returns.",
        )  # fmt: skip


def _alone(model: GPT, text: list[int]) -> torch.Tensor:
    """The logits of what follows one text, by PyTorch's attention with the weights of the layers of the model."""
    with torch.no_grad():
        x = model.embed(torch.tensor([text]))
        for block in model.blocks:
            x = x + _attention(block.attn, block.ln_1(x), model.config.n_head)
            x = x + block.mlp(block.ln_2(x))
        return model.head(model.ln_f(x))[0, -1]


def _learns(layer, x, check) -> None:
    """Every parameter gets a gradient that is not zero everywhere."""
    layer(x).square().sum().backward()
    for name, parameter in layer.named_parameters():
        check.that(
            parameter.grad is not None and bool((parameter.grad != 0).any()), slug="gradient", when="",
            problem=f"`{name}` gets no gradient",
            hint="It could not learn. Is there a `detach`, `no_grad` or `torch.tensor` on the way?",
        )  # fmt: skip
