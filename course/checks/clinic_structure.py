"""The repairs of patients whose attention or initialization is ill (notebook 10)."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from course.checks.exercise import exercise
from course.clinic import structure
from helpers.model import GPT, GPTConfig

__all__ = ["ada_initialize", "leo_initialize", "mona_train"]


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
