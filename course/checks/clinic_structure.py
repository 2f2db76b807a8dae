"""The repairs of patients whose attention or initialization is ill (notebook 10)."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from course.checks.attention import near, none_of, parameters_are, randomize
from course.checks.exercise import exercise
from course.clinic import structure
from helpers.model import GPT, GPTConfig

__all__ = ["ada_initialize", "JunAttention"]

RESIDUAL = ("attn.proj.weight", "mlp.proj.weight")  # what adds to the residual stream


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
        spread = float(model.wpe.weight.std())
        check.that(
            spread < 0.2, slug="positions-large", when="after it", problem=f"positions have a spread of {spread:.2f}",
            hint="Positions are added to tokens: where they are many times larger, the tokens drown. They are an "
            "`nn.Embedding`, too.",
        )  # fmt: skip


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
            bool(parameter.isfinite().all()) and float(parameter.std()) > 1e-4, slug="all-the-same", when="after it",
            problem=f"all of `{name}` is {float(parameter.flatten()[0]):g}",
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
