"""Exercises of notebook 05 on heads split and merged, and on the whole attention layer."""

import math

import torch

from course.checks.attention import brings_all_along, explained, near, none_of, parameters_are, randomize
from course.checks.exercise import exercise
from helpers import model as reference


@exercise("5.8", title="Split the heads", minutes=8, difficulty=2, of_the_model=True)
def split_heads(answer, check):
    B, H, T, d = 2, 3, 4, 5
    x = torch.arange(B * T * H * d, dtype=torch.float32).view(B, T, H * d)
    right = torch.stack(x.split(d, dim=-1), dim=1)
    answer = explained(
        answer, check, "view size is not compatible", slug="view",
        hint="`view` cannot set new borders in what does not lie in order in memory, as after a transpose. First cut, "
        "then swap.",
    )  # fmt: skip
    got = answer(x, H)
    check.that(
        tuple(getattr(got, "shape", ())) != (B, T, H, d), slug="no-transpose",
        problem=f"got shape {(B, T, H, d)}: time comes before the heads",
        hint="Cut rightly. Now bring the heads before time, so that each head multiplies on its own.",
    )  # fmt: skip
    check.that(
        tuple(getattr(got, "shape", ())) != (B, d, T, H), slug="swapped-sizes",
        problem=f"got shape {(B, d, T, H)}: there are {d} heads of {H} features",
        hint="n_head is the number of heads; each gets d_model // n_head features.",
    )  # fmt: skip
    check.shape(got, (B, H, T, d), slug="shape", hint="(batch, n_head, time, d_head), with d_head = d_model // n_head.")
    none_of({
        "view-alone": (x.reshape(B, H, T, d), "the first head has the first tokens",
        "The shape is right, the contents are not. `view` only sets new borders in the old order: split the last axis "
        "alone, and then swap axes."),
        "interleaved": (x.view(B, T, d, H).permute(0, 3, 1, 2), f"head 0 has every {H}rd feature",
        "Head 0 gets the first d_head features, all together: the last axis splits into (n_head, d_head)."),
        "order": (right.flip(1), "the last head comes first", "Head 0 gets the first features."),
        "torn": (x.view(B, T, H, d).transpose(1, 3).reshape(B, H, T, d), "a token's features are scattered",
        "Swap two axes and leave it at that: time and heads."),
    }, got, check)  # fmt: skip
    check.close(got, right, slug="value", hint="Head h has the features h * d_head to (h + 1) * d_head of every token.")
    square = torch.randn(2, 4, 16)
    check.close(
        answer(square, 4), torch.stack(square.split(4, dim=-1), dim=1), slug="square",
        hint="With as many heads as tokens a wrong order of axes has the right shape. Name each axis, and compare.",
    )  # fmt: skip
    check.close(
        answer(x[:1, :1], H), right[:1, :, :1], slug="single",
        hint="A batch of one and a sequence of one token must keep their axes: no `squeeze`.",
    )  # fmt: skip
    check.close(answer(x, 1), x[:, None], slug="single", hint="With one head it gets all the features, and an axis.")
    part = torch.randn(2, 3, 24).chunk(3, dim=-1)[1]
    check.close(
        answer(part, 2), torch.stack(part.split(4, dim=-1), dim=1), slug="slice",
        hint="x may itself be a part of a wider tensor, such as the keys among queries, keys and values.",
    )  # fmt: skip
    leaf = torch.randn(1, 2, 4, requires_grad=True)
    check.that(
        answer(leaf, 2).requires_grad, slug="gradient", problem="no gradient would reach x",
        hint="Only views of x: no copy by `torch.tensor`, no `detach`.",
    )  # fmt: skip


@exercise("5.9", title="Merge the heads", minutes=8, difficulty=2, of_the_model=True)
def merge_heads(answer, check):
    B, H, T, d = 2, 3, 4, 5
    whole = torch.arange(B * T * H * d, dtype=torch.float32).view(B, T, H * d)
    split = whole.view(B, T, H, d).transpose(1, 2)
    answer = explained(
        answer, check, "view size is not compatible", slug="view",
        hint="After a transpose the values do not lie in order in memory, and `view` copies nothing. `reshape` does, "
        "where it must.",
    )  # fmt: skip
    got = answer(split)
    check.that(
        tuple(getattr(got, "shape", ())) != (B, T, d), slug="added",
        problem=f"got shape {(B, T, d)}: the heads were added up",
        hint="The heads' results stand side by side: n_head of them, each d_head wide, make d_model.",
    )  # fmt: skip
    check.shape(got, (B, T, H * d), slug="shape", hint="One vector for each token: (batch, time, d_model).")
    check.that(
        not near(got, split.reshape(B, T, H * d)), slug="no-transpose",
        problem="a token's vector holds features of other tokens",
        hint="The shape is right, the contents are not: reshape reads in the order of the axes, and there head "
        "stands before time. Transpose first.",
    )  # fmt: skip
    check.that(
        not near(got, split.permute(0, 2, 3, 1).reshape(B, T, H * d)), slug="interleaved",
        problem="the heads are interleaved, feature by feature",
        hint="Head 0's features come first, all together: the order is (batch, time, n_head, d_head).",
    )  # fmt: skip
    check.that(
        not near(got, whole.view(B, T, H, d).flip(2).reshape(B, T, H * d)), slug="order",
        problem="the last head came first", hint="Head 0 stands on the left.",
    )  # fmt: skip
    check.close(got, whole, slug="value", hint="Merging must undo splitting, feature by feature.")
    square = torch.randn(2, 4, 4, 4)
    expected = torch.cat([square[:, head] for head in range(4)], dim=-1)
    check.close(
        answer(square), expected, slug="square",
        hint="With as many heads as tokens a wrong order of axes has the right shape. Name each axis, and compare.",
    )  # fmt: skip
    check.close(
        answer(split[:1, :, :1]), whole[:1, :1], slug="single",
        hint="A batch of one and a sequence of one token must keep their axes: no `squeeze`.",
    )  # fmt: skip
    leaf = torch.randn(1, 2, 3, 2, requires_grad=True)
    check.that(
        answer(leaf).requires_grad, slug="gradient", problem="no gradient would reach x",
        hint="Move axes and join them: no copy by `torch.tensor`, no `detach`.",
    )  # fmt: skip


@exercise("5.10", title="The attention layer", minutes=25, difficulty=3, of_the_model=True)
def CausalSelfAttention(answer, check):
    B, T, H, d = 2, 5, 3, 4
    layer, judge = _layer_and_judge(answer, check, n_head=H, d_model=H * d, dropout=0.0)
    x = torch.randn(B, T, H * d)
    before = x.clone()
    _heads_are_right(layer, judge, x, check)
    _forward_is_right(layer, judge, x, check)
    check.that(
        torch.equal(x, before), slug="changes-input", when="", problem="x was changed",
        hint="Build new values, and leave the input as it was.",
    )  # fmt: skip
    _the_cache_is_asked(layer, judge, x, check)
    _it_drops_out_in_training_alone(answer, check)
    brings_all_along(answer, check)
    if (got := layer(x)).requires_grad:
        got.square().sum().backward()
    judge(x).square().sum().backward()
    for (name, one), (_, other) in zip(layer.named_parameters(), judge.named_parameters(), strict=True):
        check.that(
            one.grad is not None and near(one.grad / other.grad.norm(), other.grad / other.grad.norm()),
            slug="gradient", when="", problem=f"`{name}` gets {'no' if one.grad is None else 'a wrong'} gradient",
            hint="It could not learn. Is there a `detach`, `no_grad`, `.data` or `torch.tensor` on the way?",
        )  # fmt: skip
    for n_head, length, bias in ((1, 7, True), (4, 1, True), (2, 9, False)):
        layer, judge = _layer_and_judge(answer, check, n_head=n_head, d_model=16, dropout=0.0, bias=bias)
        x = torch.randn(1, length, 16)
        check.close(
            layer(x), judge(x), slug="other-sizes", tolerance=1e-4,
            when=f"n_head={n_head}, {length} tokens, bias={bias}",
            hint="It works for some sizes only. Read time from x and the heads from `self.n_head`.",
        )  # fmt: skip


def _layer_and_judge(answer, check, **shape):
    """A layer of the answer's class and one of the course's, with the same weights, which are large."""
    config = reference.GPTConfig(vocab_size=1, context_length=16, n_layer=1, **shape)
    layer, judge = answer(config), reference.CausalSelfAttention(config)
    parameters_are(layer, {name: tuple(value.shape) for name, value in judge.state_dict().items()}, check)
    randomize(judge)
    layer.load_state_dict(judge.state_dict())
    return layer.eval(), judge.eval()


def _heads_are_right(layer, judge, x, check) -> None:
    B, T, d_model = x.shape
    H = judge.n_head
    d, when, wide = d_model // H, "heads(x)", judge.qkv(x).detach()
    right = [head.detach() for head in judge.heads(x)]
    got = layer.heads(x)
    check.that(
        isinstance(got, tuple | list | torch.Tensor) and len(got) == 3, slug="three", when=when,
        problem="that is not three tensors", hint="Queries, keys and values: return the three of them, in this order.",
    )  # fmt: skip
    got = [head.detach() for head in got]
    check.that(
        tuple(got[0].shape) != (B, T, H, d), slug="no-transpose", when=when,
        problem=f"the queries have shape {(B, T, H, d)}: time comes before the heads",
        hint="`view` has cut them; the transpose that brings heads before time is missing. `split_heads` does both.",
    )  # fmt: skip
    for name, head in zip(("queries", "keys", "values"), got, strict=True):
        check.shape(
            head, (B, H, T, d), slug="shape", when=f"{when}, the {name}",
            hint="(batch, n_head, time, d_head). Cut `self.qkv(x)` into three first, and each of them into heads.",
        )  # fmt: skip
    by_head = wide.view(B, T, H, 3, d).permute(3, 0, 2, 1, 4)
    torn = [part.reshape(B, H, T, d) for part in wide.chunk(3, dim=-1)]
    whole = wide.reshape(3, B, H, T, d)
    names = ("queries", "keys", "values")
    for order in ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        check.that(
            not all(near(g, right[i]) for g, i in zip(got, order, strict=True)), slug="order", when=when,
            problem=f"they come as {', '.join(names[i] for i in order)}",
            hint="In `qkv` all queries come first, then all keys, then all values, and so they are returned.",
        )  # fmt: skip
    for slug, (parts, problem, hint) in {
        "view-alone": (torn, "the first head has the first tokens",
        "The shape is right, the contents are not: `view` without a transpose tears tokens apart."),
        "torn": (whole, "queries hold features of keys and values", "Cut along the last axis first."),
        "by-head": (by_head, "each head's queries, keys and values were taken side by side",
        "Some models store them so. Here all heads' queries come first: cut into three, and then into heads."),
        "same": ([right[0]] * 3, "queries, keys and values are the same", "Each of the three is a part of its own."),
    }.items():  # fmt: skip
        check.that(
            not all(near(g, part) for g, part in zip(got, parts, strict=True)), slug=slug, when=when,
            problem=problem, hint=hint,
        )  # fmt: skip
    for name, head, expected in zip(("queries", "keys", "values"), got, right, strict=True):
        check.close(
            head, expected, slug="heads", tolerance=1e-4, when=f"{when}, the {name}",
            hint="`self.qkv(x)`, cut into three along its last axis, and each of them into heads.",
        )  # fmt: skip
    check.close(
        layer.weights(x), judge.weights(x).detach(), slug="weights", tolerance=1e-4, when="weights(x)",
        hint="Leave `weights` as it is given.",
    )  # fmt: skip


def _forward_is_right(layer, judge, x, check) -> None:
    B, T, d_model = x.shape
    H, when = judge.n_head, "forward(x)"
    d = d_model // H
    q, k, v = (head.detach() for head in judge.heads(x))
    raw, past = q @ k.transpose(-2, -1), torch.ones(T, T, dtype=torch.bool).tril()

    def joined(mixed):
        return mixed.transpose(1, 2).reshape(B, T, d_model)

    def made(scores, mask=past, dim=-1):
        return judge.proj(joined(scores.masked_fill(~mask, -math.inf).softmax(dim) @ v)).detach()

    scaled = raw / math.sqrt(d)
    mixed = scaled.masked_fill(~past, -math.inf).softmax(-1) @ v
    got = layer(x)
    check.that(
        not isinstance(got, tuple | list), slug="shape", when=when, problem="several things came back",
        hint="Only the result: one tensor, (batch, time, d_model).",
    )  # fmt: skip
    check.shape(got, (B, T, d_model), slug="shape", when=when, hint="As x: one vector of d_model for each token.")
    check.that(
        not bool(torch.isnan(got).any()), slug="itself", when=when, problem="some results are not numbers",
        hint="A row in which everything is hidden has nothing to divide. Each token sees at least itself.",
    )  # fmt: skip
    none_of({
        "no-mask": (made(scaled, torch.ones_like(past)), "every position sees its future",
        "It must be causal: nothing was hidden. Which argument of the fused attention is the mask?"),
        "wrong-way": (made(scaled, past.T), "each position sees its future, and not its past",
        "A boolean mask of `F.scaled_dot_product_attention` is True where a query *may* look."),
        "queries": (made(scaled, dim=-2), "the weights of a column sum to one, not those of a row",
        "The softmax goes over the keys, the last axis."),
        "after-softmax": (judge.proj(joined((scaled.softmax(-1) * past) @ v)).detach(),
        "the weights of a row do not sum to one", "The mask belongs before the softmax, as minus infinity."),
        "not-scaled": (made(raw), "the scores were not scaled", "Divide the scores by the root of d_head."),
        "d-head": (made(raw / d), "the scores were divided by d_head",
        "By its root, and once: the fused attention scales by itself."),
        "d-model": (made(raw / math.sqrt(d_model)), "the scores were divided by the root of d_model",
        "A head's score sums over d_head terms: take the root of that. The fused attention scales by itself."),
        "no-projection": (joined(mixed), "the heads' results stand side by side, unmixed",
        "The output projection is missing: `self.proj`."),
        "merged-without-transpose": (judge.proj(mixed.reshape(B, T, d_model)).detach(),
        "a token's vector holds what others found",
        "The shape is right, the contents are not: heads stand before time, so transpose before you join. "
        "`merge_heads` does both."),
        "interleaved": (judge.proj(mixed.permute(0, 2, 3, 1).reshape(B, T, d_model)).detach(),
        "the heads are interleaved, feature by feature", "Head 0's features come first, all together."),
        "swapped": (made(scaled.transpose(-2, -1)), "the keys ask and the queries answer",
        "The order of arguments: query, key, value."),
        "mixes-keys": (judge.proj(joined(scaled.masked_fill(~past, -math.inf).softmax(-1) @ k)).detach(),
        "the keys were mixed", "Keys say where to look. What is taken from there are the values."),
        "residual": (x + judge.proj(joined(mixed)).detach(), "x was added to the result",
        "The sum with what was there is made outside, by the block of notebook 06."),
    }, got, check, when)  # fmt: skip
    check.close(
        got, judge(x).detach(), slug="value", tolerance=1e-4, when=when,
        hint="In order: heads, causal attention, merge, output projection.",
    )  # fmt: skip


class _FakeCache:
    """Three earlier positions, and a mask of its own."""

    def __init__(self, heads: tuple[int, ...], masked: bool):
        B, H, T, d = heads
        self.earlier = torch.randn(2, B, H, 3, d)
        seen = torch.ones(T, 3 + T, dtype=torch.bool).tril(3)
        seen[:, 0] = False  # not what a triangle would say
        self.mask = seen.expand(B, 1, T, 3 + T) if masked else None
        self.shapes = []

    def __len__(self):  # as an empty cache: `if cache` is no question for one
        return 0

    def extend(self, k, v):
        self.shapes.append((tuple(k.shape), tuple(v.shape)))
        return torch.cat((self.earlier[0], k), dim=2), torch.cat((self.earlier[1], v), dim=2), self.mask


def _the_cache_is_asked(layer, judge, x, check) -> None:
    q, k, v = judge.heads(x)
    for masked, some in ((True, x), (False, x[:, :1])):
        when = f"forward(x, cache) with {'a mask' if masked else 'None as the mask'} from the cache"
        heads = (x.shape[0], judge.n_head, some.shape[1], q.shape[-1])
        cache = _FakeCache(heads, masked)
        expected = judge(some, cache).detach()
        cache.shapes.clear()
        try:
            got = layer(some, cache)
        except Exception as error:
            check.fail(
                f"{when}: {type(error).__name__}: {error}",
                slug="cache-mask" if "is_causal" in str(error) else "cache-broke",
                hint="`cache.extend(k, v)` returns three things, with which to attend. A mask of its own and "
                "`is_causal=True` exclude each other.",
            )  # fmt: skip
        check.that(
            bool(cache.shapes), slug="cache-ignored", when=when, problem="`cache.extend` was not called",
            hint="With a cache, earlier keys and values stand in front of the new ones: ask it for them. Whether there "
            "is one, `cache is not None` says; an empty one may count as False.",
        )  # fmt: skip
        check.that(
            cache.shapes == [(heads, heads)], slug="cache-shapes", when=when,
            problem=f"`cache.extend` was called {len(cache.shapes)} times, first with shapes {cache.shapes[0]}",
            hint="Once, with the new keys and values, both (batch, n_head, time, d_head).",
        )  # fmt: skip
        check.that(
            not near(got, judge(some).detach()), slug="cache-ignored", when=when,
            problem="the result is that without a cache",
            hint="`cache.extend` returns keys and values: go on with these, and not with the new ones alone.",
        )  # fmt: skip
        check.close(
            got, expected, slug="cache-mask", tolerance=1e-4, when=when,
            hint="What a query may see is what the cache's mask says (None: everything), and no triangle besides.",
        )  # fmt: skip
    check.close(
        layer(x, None), judge(x).detach(), slug="cache-none", tolerance=1e-4, when="forward(x, None)",
        hint="No cache: the causal attention of before.",
    )  # fmt: skip


def _it_drops_out_in_training_alone(answer, check) -> None:
    H, d, many, p = 4, 8, 400, 0.5
    layer, judge = _layer_and_judge(answer, check, n_head=H, d_model=H * d, dropout=p)
    with torch.no_grad():
        for each in (layer, judge):  # the output projection changes nothing, so that both dropouts can be seen
            each.proj.weight.copy_(torch.eye(H * d))
            each.proj.bias.zero_()
    x = torch.randn(many, 3, H * d)
    with torch.no_grad():
        calm, again, right = layer(x), layer(x), judge(x)
    check.that(
        torch.equal(calm, again) and near(calm, right), slug="always-drops", when="forward(x) after eval()",
        problem="values were dropped, though the layer is not in training",
        hint="`F.scaled_dot_product_attention` drops whenever its `dropout_p` is above 0, for it does not know whether "
        "this is training. `self.training` knows.",
    )  # fmt: skip
    layer.train()
    with torch.no_grad():
        got = layer(x)[:, 0].unflatten(-1, (H, d))  # token 0 sees only itself: its weight is kept, or all its values go
    when = f"forward(x) in training, with dropout {p}"
    zero = got == 0
    gone = zero.all(-1)  # (many, n_head)
    whole, single = float(gone.float().mean()), float(zero[~gone].float().mean()) if bool((~gone).any()) else 1.0
    check.that(
        whole > 0.01 or single > 0.01, slug="no-dropout", when=when, problem="nothing was dropped",
        hint="In training it drops out in two places: the attention weights and the result.",
    )  # fmt: skip
    check.that(
        single > 0.01, slug="result-kept", when=when, problem="of the result nothing was dropped",
        hint="`self.dropout` belongs around what the output projection gives.",
    )  # fmt: skip
    check.that(
        single > p - 0.1, slug="probability", when=when, problem=f"a feature of the result is gone with {single:.0%}",
        hint="The probability of dropping is the configuration's: `self.dropout` knows it.",
    )  # fmt: skip
    with torch.no_grad():
        layer.proj.weight.zero_(), layer.proj.bias.fill_(1)
        after = float((layer(x) == 0).float().mean())
    check.that(
        after > p - 0.1, slug="dropout-place", when=when, problem="dropped was what goes into the output projection",
        hint="The result is what the output projection gives: dropout comes last, after `self.proj`.",
    )  # fmt: skip
    check.that(
        single < p + 0.1, slug="dropped-twice", when=when,
        problem=f"of the features of a head that was kept, {single:.0%} are gone",
        hint="Single features are dropped once, at the end. The other dropout is that of attention weights: it is an "
        "argument of the fused attention.",
    )  # fmt: skip
    check.that(
        whole > 0.1, slug="weights-kept", when=when, problem="no attention weight was dropped",
        hint="A weight that is dropped takes all features of that token with it: `dropout_p` of the fused attention.",
    )  # fmt: skip
    check.that(
        abs(whole - p) < 0.1, slug="dropped-twice", when=when, problem=f"{whole:.0%} of the attention weights are gone",
        hint="Attention weights are dropped once, with the probability `self.dropout.p`.",
    )  # fmt: skip
    kept = got[~zero]
    calm = calm[:, 0].unflatten(-1, (H, d))[~zero]
    check.close(
        float((kept / calm).median()), 1 / (1 - p) ** 2, slug="not-enlarged", tolerance=1e-2,
        when="how much larger a value is that no dropout took",
        hint="What is kept is divided by the fraction that is kept, at each of the two places; torch's dropouts do it.",
    )  # fmt: skip
