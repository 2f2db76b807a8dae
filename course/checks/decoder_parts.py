"""The exercises of notebook 06 that ask for a layer: the MLP and the block. `nb06` hands them to the notebook.

What is expected comes from formulas, and from sublayers that remember what they were given.
"""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from course.checks.exercise import exercise
from helpers import model as reference

CONFIG = reference.GPTConfig(vocab_size=41, context_length=9, n_layer=3, n_head=2, d_model=16, d_ff=40)


def refuse(check, got, mistakes, tolerance: float = 1e-5) -> None:
    """Recognize known mistakes by what they give: each is (slug, the wrong value, what is wrong, where to look)."""
    for slug, wrong, problem, hint in mistakes:
        same = isinstance(got, torch.Tensor) and got.shape == wrong.shape and torch.allclose(got, wrong, atol=tolerance)
        check.that(not same, slug=slug, problem=problem, hint=hint)


def agrees(check, got, expected, what: str, *, slug: str, hint: str, tolerance: float = 1e-4) -> None:
    """`got` is a tensor of the shape and with the values of `expected`; else say where the first one differs."""
    is_tensor = isinstance(got, torch.Tensor)
    problem = f"{what} was {type(got).__name__}" if not is_tensor else f"{what} had the shape {tuple(got.shape)}"
    check.that(
        is_tensor and got.shape == expected.shape, slug="shape", hint=hint,
        problem=f"{problem} where a tensor of shape {tuple(expected.shape)} belongs",
    )  # fmt: skip
    apart = (got - expected).abs() > tolerance * (1 + expected.abs())
    if bool(apart.any()) or not bool(torch.isfinite(got).all()):
        at = tuple((apart | ~torch.isfinite(got)).nonzero()[0].tolist())
        numbers = f"{got[at].item():.4f} where {expected[at].item():.4f} was expected"
        check.fail(f"{what}: entry {list(at)} was {numbers}" if at else f"{what} was {numbers}", slug=slug, hint=hint)
    check.passed += 1


def is_module(check, answer) -> None:
    check.that(
        isinstance(answer, type) and issubclass(answer, nn.Module), slug="module",
        problem="that is no class made from nn.Module", hint="Begin with the class line of the stub.",
    )  # fmt: skip


def has_the_parameters(check, module, other) -> None:
    """Of the same names and shapes, in the same order, as the course's."""
    own, wanted = module.state_dict(), other.state_dict()
    odd = next((name for name in [*wanted, *own] if (name in own) != (name in wanted)), None)
    problem = f"it has no {odd}" if odd in wanted else f"it has a {odd}, which the task does not name"
    hint = "The names of the layers are a contract: saved weights are found by them. Compare with the task's list."
    if odd is not None and odd.endswith("bias"):
        hint = "Whether a linear layer has a bias, config.bias says."
    check.that(odd is None, slug="names", problem=problem, hint=hint)
    hint = "Make the layers in the order of the task: then the same seed gives the same weights."
    check.that(list(own) == list(wanted), slug="order", problem=f"the order is {list(own)}", hint=hint)
    for name, value in wanted.items():
        hint = (
            "A linear layer goes from as many values as come in to as many as go out; config.d_ff is the width inside."
        )
        problem = f"{name} has the shape {tuple(own[name].shape)}; expected {tuple(value.shape)}"
        check.that(own[name].shape == value.shape, slug="widths", problem=problem, hint=hint)


@torch.no_grad()
def shake(module, size: float = 0.3) -> None:
    """At weight 1 and bias 0 of a LayerNorm some mistakes cannot be seen, and at small weights most."""
    for parameter in module.parameters():
        parameter.add_(size * torch.randn_like(parameter))


def gelu_by_formula(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@exercise("6.3", title="The MLP", minutes=12, difficulty=2, of_the_model=True)
def MLP(answer, check):
    is_module(check, answer)
    for options in ({}, {"activation": "relu"}, {"bias": False}):
        config = replace(CONFIG, **options)
        mlp = answer(config)
        has_the_parameters(check, mlp, reference.MLP(config))
        for name in ("activation", "dropout"):
            hint = "Four layers, by these names: fc, activation, proj, dropout. Later notebooks look for them."
            there = isinstance(getattr(mlp, name, None), nn.Module)
            check.that(there, slug="names", problem=f"it has no layer called {name}", hint=hint)
        shake(mlp)
        _through_the_mlp(check, mlp, config)
    _dropped(check, answer)


def _through_the_mlp(check, mlp, config) -> None:
    x = 2 * torch.randn(2, 3, config.d_model)
    before = x.clone()
    mlp.eval()
    with torch.no_grad():
        got, wide = mlp(x), x @ mlp.fc.weight.T + (0 if mlp.fc.bias is None else mlp.fc.bias)
    check.that(torch.equal(x, before), slug="changes-input", problem="forward has changed the x that it was given",
               hint="Others still need that x: make new tensors, and no in-place operations on it.")  # fmt: skip

    def down(inside):
        return inside @ mlp.proj.weight.T + (0 if mlp.proj.bias is None else mlp.proj.bias)

    tanh, relu = gelu_by_formula(wide), wide.clamp(min=0)
    right, other = (tanh, relu) if config.activation == "gelu" else (relu, tanh)
    last = gelu_by_formula(down(wide)) if config.activation == "gelu" else down(wide).clamp(min=0)
    kind = f"with activation={config.activation!r} the values are those of"
    refuse(check, got.detach(), [
        ("linear", down(wide), "nothing that is not linear stands between the two layers",
         "Without the activation function two linear layers are one."),
        ("activation-last", last, "the nonlinearity came last",
         "Up-projection, then the nonlinearity, then the down-projection, whose results may be negative."),
        ("residual", x + down(right), "x was added to the result",
         "The MLP gives what is to be added. The plus sign stands in the block, not here."),
        ("which-activation", down(F.gelu(wide)), f"{kind} the exact GELU",
         "GPT-2 has the tanh form. torch's default is the exact one; nn.GELU has an argument for it."),
        ("which-activation", down(other), f"{kind} the other activation function",
         'config.activation says which one: "gelu" or "relu".'),
    ], tolerance=2e-5)  # fmt: skip
    hint = "Through fc, activation, proj and dropout, one after the other, each once."
    agrees(check, got, down(right), "what the MLP made of x", slug="values", hint=hint, tolerance=1e-5)
    again = mlp(x).sum()
    if again.requires_grad:
        again.backward()
    missing = [name for name, parameter in mlp.named_parameters() if parameter.grad is None]
    hint = "Training needs gradients: nothing may be detached, or computed under no_grad."
    check.that(not missing, slug="gradients", problem=f"no gradient reaches {missing}", hint=hint)


def _dropped(check, answer) -> None:
    """In training a dropped value is zero and the others are larger; in evaluation nothing happens."""
    x = torch.randn(40, 5, CONFIG.d_model)
    mlp = answer(replace(CONFIG, dropout=0.25))
    shake(mlp)
    with torch.no_grad():
        kept, dropped = mlp.eval()(x), mlp.train()(x)
    zeros = (dropped == 0).float().mean().item()
    for ok, slug, problem, hint in (
        (torch.equal(kept, mlp.eval()(x)), "dropout-in-evaluation", "in evaluation two passes gave different values",
         "nn.Dropout knows of eval(); F.dropout must be told by training=self.training."),
        (not torch.equal(kept, dropped), "dropout-missing", "with dropout=0.25 nothing is dropped in training",
         "The last layer is self.dropout = nn.Dropout(config.dropout), and forward goes through it."),
        (zeros > 0, "dropout-place", "with dropout=0.25 no value that left the MLP was 0 in training",
         "Dropped is what leaves the MLP: dropout comes after proj."),
        (abs(zeros - 0.25) < 0.05, "dropout-probability", f"with dropout=0.25 a fraction of {zeros:.2f} was dropped",
         "The probability is config.dropout, and dropout stands in one place."),
    ):  # fmt: skip
        check.that(bool(ok), slug=slug, problem=problem, hint=hint)
    scaled = torch.where(dropped == 0, 0, kept / 0.75)
    hint = "Up, nonlinearity, down, dropout: in this order, and nothing behind it."
    agrees(check, dropped, scaled, "what was not dropped in training", slug="dropout-place", hint=hint)


NO_CACHE = "none was handed over"


class Sublayer(nn.Module):
    """A stand-in for attention or the MLP: remembers what it was given, answers with something unmistakable."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix, self.given, self.caches = matrix, [], []

    def forward(self, x, cache=NO_CACHE):
        self.given.append(x.detach().clone())
        self.caches.append(cache)
        return x @ self.matrix


@exercise("6.4", title="The block", minutes=15, difficulty=3, of_the_model=True)
def Block(answer, check):
    is_module(check, answer)
    for norm in ("pre", "post"):
        config = replace(CONFIG, norm=norm)
        has_the_parameters(check, answer(config), reference.Block(config))
    for norm in ("pre", "pre", "post", "post"):
        block = answer(replace(CONFIG, norm=norm)).eval()
        shake(block, 0.5)
        block.attn, block.mlp = (Sublayer(torch.randn(CONFIG.d_model, CONFIG.d_model)) for _ in range(2))
        x, cache = 3 * torch.randn(2, 3, CONFIG.d_model), []  # as empty as a cache can be: it counts as False
        before = x.clone()
        with torch.no_grad():
            got = block(x, cache)
            check.that(torch.equal(x, before), slug="changes-input", problem="forward has changed the x it was given",
                       hint="`x += ...` writes into the caller's tensor. x = x + ... makes a new one.")  # fmt: skip
            check.that(
                len(block.attn.given) == len(block.mlp.given) == 1, slug="each-once",
                problem=f"attention was called {len(block.attn.given)} times, the MLP {len(block.mlp.given)} times",
                hint="Each of the two sublayers is used once.",
            )  # fmt: skip
            check.that(
                block.mlp.caches == [NO_CACHE], slug="mlp-cache", problem="the MLP was given a second argument",
                hint="`cache` is attention's alone. The MLP takes x and nothing else.",
            )  # fmt: skip
            (_in_pre_order if norm == "pre" else _in_post_order)(check, block, x, got)
        hint = "forward gets a cache, which may be None, and hands it to attention as the second argument."
        handed = block.attn.caches[0] is cache
        check.that(handed, slug="cache", problem="attention was not given the cache", hint=hint)
        _gradients_through(check, block, x)


def _gradients_through(check, block, x) -> None:
    """The same with respect to x as through the course's block, of the same parts."""
    course = reference.Block(replace(CONFIG, norm="pre" if block.pre else "post"))
    course.ln_1, course.attn, course.ln_2, course.mlp = block.ln_1, block.attn, block.ln_2, block.mlp
    x.requires_grad_()
    slopes = []
    hint = "Training needs gradients through all of it: nothing may be detached."
    for each in (course, block):
        y = each(x)
        check.that(y.requires_grad, slug="gradients", problem="no gradient reaches x", hint=hint)
        try:
            slopes += torch.autograd.grad((y * y.detach().cos()).sum(), x)
        except RuntimeError as error:
            hint = "`x += ...` overwrites what the backward pass still needs. x = x + ... makes a new tensor."
            check.fail(f"the backward pass failed: {str(error)[:90]} ...", slug="gradients", hint=hint)
    agrees(check, slopes[1], slopes[0], "the gradient with respect to x", slug="gradients", hint=hint, tolerance=1e-3)


def _in_pre_order(check, block, x, got) -> None:
    ln_1, attn, ln_2, mlp = block.ln_1, block.attn, block.ln_2, block.mlp
    given = attn.given[0]
    refuse(check, given, [
        ("attention-not-normalized", x, "norm is 'pre', and attention was given x itself",
         "In a pre-LN block attention reads LayerNorm ln_1 of x, not x."),
    ])  # fmt: skip
    hint = "In a pre-LN block attention reads ln_1(x), the first of the two norms."
    agrees(check, given, ln_1(x), "what attention was given", slug="attention-input", hint=hint)
    branch, given = given @ attn.matrix, mlp.given[0]
    stream = x + branch
    refuse(check, given, [
        ("mlp-not-normalized", stream, "norm is 'pre', and the MLP was given the stream itself",
         "The MLP too reads a normalized copy: ln_2 of the stream, after attention was added."),
        ("same-norm-twice", ln_1(stream), "the MLP was given ln_1 of the stream",
         "A block has two LayerNorms, each with a weight and a bias of its own. The second is ln_2."),
        ("parallel", ln_2(x), "the MLP was given ln_2 of the x that came in, without what attention added",
         "The MLP comes after attention: it reads the stream to which attention has already been added."),
        ("residual-forgotten", ln_2(branch), "the MLP was given attention's output alone; x is lost",
         "What a sublayer gives is added to the stream. Without x the straight way is cut."),
        ("stream-normalized", ln_2(ln_1(x) + branch), "attention's output was added to ln_1(x), not to x",
         "Only the branch is normalized. If x is overwritten by ln_1(x), the stream itself is."),
    ], tolerance=1e-4)  # fmt: skip
    hint = "The MLP reads ln_2 of the stream to which attention was added."
    agrees(check, given, ln_2(stream), "what the MLP was given", slug="mlp-input", hint=hint)
    out = given @ mlp.matrix
    refuse(check, got, [
        ("residual-forgotten", out, "the MLP's output replaced the stream",
         "The MLP's output, too, is added to the stream."),
        ("stream-normalized", given + out, "the MLP's output was added to ln_2 of the stream, not to the stream",
         "Only the branch is normalized. What is added to is the stream as it was before ln_2."),
        ("attention-lost", x + out, "what attention added is missing",
         "The MLP's output is added to the stream that already holds attention's output."),
        *[("norm-after-sum", norm(stream + out), "norm is 'pre', and the sum was normalized at the end",
           "In a pre-LN block nothing normalizes the stream.") for norm in (ln_1, ln_2)],
    ], tolerance=1e-4)  # fmt: skip
    hint = "Two sums and nothing else on the stream."
    agrees(check, got, stream + out, "what left the block", slug="result", hint=hint)


def _in_post_order(check, block, x, got) -> None:
    ln_1, attn, ln_2, mlp = block.ln_1, block.attn, block.ln_2, block.mlp
    given = attn.given[0]
    refuse(check, given, [
        ("post", ln_1(x), "norm is 'post', and attention was given ln_1(x)",
         "self.pre says which order is asked for. In a post-LN block nothing is normalized before the sublayers."),
    ])  # fmt: skip
    hint = "In a post-LN block attention reads x as it is."
    agrees(check, given, x, "norm is 'post': what attention was given", slug="post", hint=hint)
    stream, given = x + given @ attn.matrix, mlp.given[0]
    refuse(check, given, [
        ("post", stream, "norm is 'post', and the sum of x and attention's output was not normalized",
         "In a post-LN block each sum passes a norm, on the line: ln_1 the first one."),
        ("post", x + ln_1(stream - x), "norm is 'post', and what attention gave was normalized, not the sum",
         "First the sum, then the norm."),
        ("post", ln_2(stream), "norm is 'post', and the MLP was given ln_2 of the first sum",
         "ln_1 stands on the line after attention, ln_2 after the MLP. Nothing else is normalized."),
    ], tolerance=1e-4)  # fmt: skip
    hint = "In a post-LN block the MLP reads ln_1 of the first sum, and nothing else."
    agrees(check, given, ln_1(stream), "norm is 'post': what the MLP was given", slug="post", hint=hint)
    total = given + given @ mlp.matrix
    refuse(check, got, [
        ("post", total, "norm is 'post', and the second sum was not normalized",
         "A post-LN block ends in a norm: ln_2 of the second sum."),
        ("post", ln_1(total), "norm is 'post', and the second sum went through ln_1", "The second norm is ln_2."),
        ("post", ln_2(stream + given @ mlp.matrix), "norm is 'post', and the MLP's part was added to what ln_1 read",
         "ln_1 stands on the line: what leaves it is the stream from there on."),
    ], tolerance=1e-4)  # fmt: skip
    hint = "Sum, norm, sum, norm."
    agrees(check, got, ln_2(total), "norm is 'post': what left the block", slug="post", hint=hint)
