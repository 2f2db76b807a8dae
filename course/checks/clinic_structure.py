"""The repairs of patients whose attention or initialization is ill (notebook 10)."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from course.checks.attention import near, none_of, parameters_are, randomize
from course.checks.exercise import exercise
from course.clinic import structure
from helpers.kv_cache import KVCache
from helpers.model import GPT, GPTConfig

__all__ = [
    "ada_initialize", "FayAttention", "GusAttention", "HanaAttention", "IvoAttention", "JunAttention", "KiraAttention",
    "leo_initialize", "mona_train",
]  # fmt: skip


@exercise(
    "10.3", title="Repair Ada", minutes=5, difficulty=1, seconds=5, may_return_none=True, may_change_input=True,
    begins_as=structure.ada_initialize,
)  # fmt: skip
def ada_initialize(answer, check):
    for V, n_layer, d_model in ((500, 2, 32), (2000, 3, 64)):
        config = GPTConfig(V, 32, n_layer=n_layer, n_head=2, d_model=d_model)
        model = _started(answer, config, check)
        first = _first_loss(model)
        check.that(
            first < math.log(V) + 2, slug="still-certain", when=f"after it, with {V} tokens to choose from",
            problem=f"the first loss is {first:.1f}; one who knows nothing has {math.log(V):.2f}",
            hint="An untrained model should hold every token for about as probable as any other: its logits must be "
            "small. They are products of what leaves the last LayerNorm with the rows of which matrix?",
        )  # fmt: skip
        check.that(
            abs(first - math.log(V)) < 0.25, slug="too-certain", when=f"after it, with {V} tokens to choose from",
            problem=f"the first loss is {first:.2f}; one who knows nothing has {math.log(V):.2f}",
            hint="Much better, but not yet small enough. GPT-2 has one standard deviation for all its matrices.",
        )  # fmt: skip
        spread = float(model.wpe.weight.detach().std())
        check.that(
            spread < 0.2, slug="positions-large", when="after it", problem=f"positions have a spread of {spread:.2f}",
            hint="Positions are added to tokens: where they are many times larger, the tokens drown. They are an "
            "`nn.Embedding`, too.",
        )  # fmt: skip


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
        "sees-the-future": (made(None), "every position sees its future", "The mask went lost: it must stay causal."),
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


@exercise(
    "10.22", title="Repair Leo", minutes=6, difficulty=2, seconds=5, may_return_none=True, may_change_input=True,
    begins_as=structure.leo_initialize,
)  # fmt: skip
def leo_initialize(answer, check):
    sizes = {}
    for n_layer in (2, 18):
        model = _started(answer, GPTConfig(200, 32, n_layer=n_layer, n_head=2, d_model=32), check)
        first, when = _first_loss(model), f"after it, {n_layer} blocks"
        check.that(
            abs(first - math.log(200)) < 0.6, slug="first-loss", when=when,
            problem=f"the first loss is {first:.2f}; one who knows nothing has {math.log(200):.2f}",
            hint="The embeddings, which are the head, too, were well as they were.",
        )  # fmt: skip
        sizes[n_layer] = _added(model)
    for sublayer, name in ((0, "attention"), (1, "the feed-forward network")):
        shallow, deep = sizes[2][sublayer], sizes[18][sublayer]
        check.that(
            deep < 0.7 * shallow, slug="still-grows", when="after it",
            problem=f"what {name} adds to the stream is as large with 18 blocks as with 2",
            hint="The more sublayers add to the stream, the less each of them should add. Which matrix is the last one "
            "of a sublayer? There is one at the end of each.",
        )  # fmt: skip
        check.that(
            abs(deep / shallow * 3 - 1) < 0.3, slug="another-power", when="after it",
            problem=f"with 9 times as many blocks {name} adds {deep / shallow:.2f} times as much to the stream",
            hint="Independent additions add up in their squares: n of them, each divided by the root of n, are "
            "together as large as one.",
        )  # fmt: skip
        check.that(
            0.3 < shallow * 2 < 1.4, slug="another-size", when="after it, 2 blocks",
            problem=f"what {name} adds has a size of {shallow:.2g}, with inputs of size 1",
            hint="How many sublayers add to the stream of a model with n_layer blocks? Everything else keeps its "
            "output about as large as its input, as it did.",
        )  # fmt: skip


@exercise(
    "10.23", title="Repair Mona", minutes=7, difficulty=3, seconds=10, may_change_input=True,
    begins_as=structure.mona_train,
)  # fmt: skip
def mona_train(answer, check):
    steps, lr, when = 120, 0.01, "120 steps at lr=0.01"
    rates, seen = _rates(answer, check, steps, lr, sizes=[2.0] * steps)
    check.that(
        all(seen), slug="not-in-training", when=when, problem="the model was not in training mode",
        hint="`model.train()` stood before the loop.",
    )  # fmt: skip
    highest = max(rates)
    check.that(
        highest < 1.05 * lr, slug="too-high", when=when, problem=f"the rate rises to {highest / lr:.3g} times `lr`",
        hint="`lr` is the highest rate: a warm-up multiplies it by something that goes up to one.",
    )  # fmt: skip
    check.that(
        rates[0] < 0.5 * lr, slug="begins-high", when=when, problem=f"the first step has {rates[0] / lr:.2f} of `lr`",
        hint="The first steps are the ones that throw this model off. Let the rate rise from nearly nothing.",
    )  # fmt: skip
    check.that(
        highest > 0.8 * lr, slug="stays-low", when=when, problem=f"the rate never exceeds {highest / lr:.2f} of `lr`",
        hint="After some steps the rate must be what was asked for: the warm-up has to end.",
    )  # fmt: skip
    up = next(i for i, rate in enumerate(rates) if rate > 0.8 * lr)
    check.that(
        sum(rates[:5]) < 3.2 * lr, slug="too-short", when=when,
        problem=f"step {up + 1} already has {rates[up] / lr:.2f} of `lr`",
        hint="Adam needs some steps before it knows how large gradients are. Ten steps would be a warm-up here.",
    )  # fmt: skip
    check.that(
        up < steps // 2, slug="too-long", when=when, problem=f"the rate is not up before step {up + 1} of {steps}",
        hint="The warm-up takes the first steps of a run, not half of it.",
    )  # fmt: skip
    check.that(
        all(b > 0.9 * a for a, b in zip(rates[:up], rates[1 : up + 1], strict=True)), slug="jumps", when=when,
        problem="on its way up the rate falls", hint="Let it rise from step to step.",
    )  # fmt: skip
    check.that(
        rates[-1] < 0.5 * highest, slug="no-decay", when=when, problem="at the end the rate is as high as at its best",
        hint="The cosine that takes it down was in order: multiply it by the warm-up, and leave it there.",
    )  # fmt: skip
    clipped, _ = _rates(answer, check, steps, lr, sizes=[2.0] * 40 + [2000.0] + [2.0] * (steps - 41))
    check.that(
        min(clipped[45:60]) > 0.5 * min(rates[45:60]), slug="not-clipped", when="after a gradient a thousand times "
        "as large", problem="the steps that follow are tiny",
        hint="Clip the gradient's norm to 1.0, between `backward` and the optimizer's step, as it was.",
    )  # fmt: skip


def _rates(answer, check, steps: int, lr: float, sizes: list[float]) -> tuple[list[float], list[bool]]:
    """The rate of each step, seen by how far a weight moves whose gradients all have one direction; and whether the
    model was in training mode. With Adam such a weight moves by the rate, however large the gradient is.
    """
    model, modes = nn.Module(), []
    model.bias, model.weight = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1, 1))
    model.eval()

    def loss(model, inputs, targets):
        modes.append(model.training)
        return inputs.sum() * (model.bias.sum() + 0 * model.weight.sum()) + 5.0

    batches = ((torch.tensor([[size]]), torch.tensor([[0]])) for size in [*sizes, *sizes[:5]])
    at, rates, when = 0.0, [], f"{steps} steps at lr={lr}"
    got = []
    for step, pair in enumerate(answer(model, loss, batches, steps, lr)):
        check.that(
            step < steps, slug="steps", when=when, problem="there are more steps", hint="Each batch is one step.",
        )  # fmt: skip
        now = float(model.bias.detach())
        rates.append(at - now)
        got.append((pair, 5.0 + sizes[step] * at, sizes[step]))
        at = now
    check.that(
        len(rates) == steps, slug="steps", when=when, problem=f"there were {len(rates)} steps",
        hint="The loop has to go through all steps, and to yield behind each of them.",
    )  # fmt: skip
    for step, ((value, norm), asked, size) in enumerate(got[:45]):
        check.close(
            float(norm), size, slug="norm", tolerance=1e-3, when=f"the norm of step {step + 1}",
            hint="The gradient's norm before clipping, and that of this step's batch alone: are gradients reset?",
        )  # fmt: skip
        check.close(
            float(value), asked, slug="loss", tolerance=1e-3, when=f"the loss of step {step + 1}",
            hint="Yield the loss of each step's batch, as it was before that step.",
        )  # fmt: skip
    return rates, modes


def _added(model: GPT) -> tuple[float, float]:
    """How large what the first block's attention and feed-forward network add is, for normal inputs and one token."""
    x = torch.randn(400, 1, model.config.d_model)
    with torch.no_grad():
        return float(model.blocks[0].attn(x).std()), float(model.blocks[0].mlp(x).std())


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


def _started(answer, config: GPTConfig, check) -> GPT:
    """A model that the answer has started; what every initialization owes is checked."""
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = GPT(config)
        for parameter in model.parameters():  # nothing of what stood there before may remain
            nn.init.constant_(parameter, 7.0)
        answer(model)
        models.append(dict(model.named_parameters()))
    for name, parameter in models[0].items():
        check.that(
            not bool((parameter == 7).all()), slug="left-out", when="after it", problem=f"`{name}` is as it was before",
            hint="Every parameter gets a beginning, none is left over.",
        )  # fmt: skip
        ordinary = 0.0 if name.endswith("bias") else 1.0
        if parameter.dim() == 1:
            check.that(
                bool((parameter == ordinary).all()), slug="vectors", when="after it",
                problem=f"`{name}` is not {ordinary:g} everywhere",
                hint="Biases begin at 0; a LayerNorm's weights begin at 1, so that it only normalizes.",
            )  # fmt: skip
            continue
        check.that(
            bool(parameter.isfinite().all()) and float(parameter.detach().std()) > 1e-4, slug="all-the-same",
            when="after it", problem=f"all of `{name}` is {float(parameter.detach().flatten()[0]):g}",
            hint="Neurons that begin alike get the same gradients and stay alike: random numbers keep them apart.",
        )  # fmt: skip
        check.that(
            not torch.equal(parameter, models[1][name]), slug="same-every-time", when="after it",
            problem=f"`{name}` is the same under another seed",
            hint="Draw from the global generator, and set no seed inside: who runs the program chooses it.",
        )  # fmt: skip
    return model


def _first_loss(model: GPT) -> float:
    """The loss on random tokens whose targets are random, too."""
    ids, targets = torch.randint(0, model.config.vocab_size, (2, 8, model.config.context_length))
    with torch.no_grad():
        return float(F.cross_entropy(model(ids).flatten(0, 1), targets.flatten()))


def _learns(layer, x, check) -> None:
    """Every parameter gets a gradient that is not zero everywhere."""
    layer(x).square().sum().backward()
    for name, parameter in layer.named_parameters():
        check.that(
            parameter.grad is not None and bool((parameter.grad != 0).any()), slug="gradient", when="",
            problem=f"`{name}` gets no gradient",
            hint="It could not learn. Is there a `detach`, `no_grad` or `torch.tensor` on the way?",
        )  # fmt: skip
