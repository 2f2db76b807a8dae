"""Exercise of notebook 14 on RMSNorm."""

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from course.checks.compare import shown
from course.checks.decoder_parts import agrees, is_module
from course.checks.exercise import exercise
from course.checks.modern_parts import alike, of_type, refuse


class _ReadyMade(TorchFunctionMode):
    """Remembers whether torch's own RMSNorm was called."""

    called = False

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.called |= getattr(func, "__name__", "") in ("rms_norm", "_fused_rms_norm")
        return func(*args, **(kwargs or {}))


@exercise("14.2", title="RMSNorm", minutes=10, difficulty=2)
def RMSNorm(answer, check):
    is_module(check, answer)
    norm = answer(4, 0.0)
    _one_parameter(check, norm, 4)
    x = torch.tensor([[[1.0, 7.0, -5.0, 5.0]]])  # their mean is 2, their mean square 25
    with _ReadyMade() as torchs:
        got = _through(check, norm, x)
    spread = "The deviation is measured from the mean. Here nothing is taken away: the mean of the squares themselves."
    refuse(check, got, x / 5, [
        ("mean-subtracted", (x - 2) / 5, "the mean was taken away", "That is LayerNorm's first step, and not here."),
        ("mean-subtracted", (x - 2) / 21**0.5, "that is LayerNorm", "No mean is taken away, neither above nor below."),
        ("mean-subtracted", (x - 2) / 28**0.5, "the mean was taken away", "RMSNorm takes nothing away."),
        ("deviation", x / 21**0.5, "x was divided by its standard deviation", spread),
        ("deviation", x / 28**0.5, "x was divided by its standard deviation", spread),
        ("sum", x / 10, "x was divided by the root of the sum of its squares", "The mean of the squares, not the sum."),
        ("no-root", x / 25, "x was divided by the mean square", "Divide by the root of it."),
        ("multiplied", 5 * x, "x was multiplied by the root", "Divide by it: torch.rsqrt is one over the root."),
        ("mean-first", x / 2, "x was divided by its mean", "First the squares, then their mean, then the root."),
        ("absolute", x / 4.5, "x was divided by the mean of its absolute values", "Squares, their mean, and its root."),
        ("largest", x / 7, "x was divided by its largest value", "By the root of the mean of its squares."),
        ("axis", x.sign(), "each value was divided by its own size",
         "The mean is taken over another axis, in which there is one value here. The features are the last axis."),
        ("gain", 2 * x / 5, "with a weight of 1 the result is twice as large as it should be",
         "The weight itself is the factor, not 1 + weight: it starts at 1."),
        ("unchanged", x, "x came back as it was", "Divide it by the root of the mean of its squares."),
    ], when="x = [1, 7, -5, 5], eps = 0")  # fmt: skip
    agrees(check, got, x / 5, "what became of [1, 7, -5, 5]", slug="by-hand", tolerance=1e-5,
           hint="The squares are 1, 49, 25 and 25, their mean is 25, the root of it 5.")  # fmt: skip
    check.that(not torchs.called, slug="ready-made", problem="that is torch's own RMSNorm",
               hint="Torch's is what yours is compared with. Write it with a mean, a root and a product.")  # fmt: skip
    _over_the_last_axis(check, norm, x)
    _epsilon(check, answer, x)
    _weight(check, answer)
    _types(check, answer)
    _slopes(check, answer)


def _one_parameter(check, norm, width: int) -> None:
    found = dict(norm.named_parameters())
    check.that(isinstance(getattr(norm, "weight", None), torch.Tensor) and "weight" in found, slug="weight-parameter",
               problem=f"its parameters are {list(found)}",
               hint="The weight is an nn.Parameter called `weight`: only then does it learn.")  # fmt: skip
    check.that(list(norm.state_dict()) == ["weight"], slug="names", problem=f"it holds {list(norm.state_dict())}",
               hint="A weight and nothing else, so that saved weights fit. RMSNorm has no bias.")  # fmt: skip
    check.that(torch.equal(norm.weight, torch.ones(width)), slug="weight-start",
               problem=f"the weight starts as {shown(norm.weight)}", hint="Ones, one for each feature.")  # fmt: skip


def _through(check, norm, x) -> torch.Tensor:
    before = x.clone()
    got = norm(x)
    check.that(isinstance(got, torch.Tensor), slug="shape", problem=f"forward returned {shown(got)}",
               hint="forward returns a tensor of the shape of x.")  # fmt: skip
    check.that(torch.equal(x, before), slug="changes-input", problem="forward has changed the x that it was given",
               hint="The residual stream still needs that x: make new tensors, nothing in place.")  # fmt: skip
    check.shape(got, x.shape, slug="shape", when=f"x of shape {tuple(x.shape)}",
                hint="As many values go out as come in; `keepdim=True` keeps a mean as a column.")  # fmt: skip
    return got.detach()


def _over_the_last_axis(check, norm, x) -> None:
    hint = "Each position by itself: the mean is over its features, which are the last axis."
    rows = torch.cat((x, 10 * x, 100 * x.flip(-1), 7 * x), dim=1)  # one sequence, as many positions as features
    right = torch.cat((x, x, x.flip(-1), x), dim=1) / 5
    agrees(check, _through(check, norm, rows), right, "four positions", slug="axis", hint=hint)
    batch = rows.transpose(0, 1)
    agrees(check, _through(check, norm, batch), right.transpose(0, 1), "four sequences", slug="axis", hint=hint)
    heads = torch.randn(2, 5, 3, 4).transpose(1, 2)
    for any_shape in (rows[0, 0], rows[0], heads, torch.randn(4, 4), torch.randn(4, 4, 4)):
        right = F.rms_norm(any_shape.double(), (4,))
        agrees(check, _through(check, norm, any_shape), right, f"x of shape {tuple(any_shape.shape)}", slug="any-shape",
               hint="The features are the last axis, however many there are before it: dim=-1.")  # fmt: skip


def _epsilon(check, answer, x) -> None:
    got = _through(check, answer(4), torch.zeros(1, 2, 4))
    check.that(bool((got == 0).all()), slug="eps-missing", problem="zeros gave 0 / 0",
               hint="eps is there so that nothing is divided by zero.")  # fmt: skip
    for scale, eps in ((1e-3, 2e-3), (1e-3, 1e-5), (1.0, 0.5), (1.0, 5.0)):
        small, root = scale * x, scale * 5.0
        got, right = _through(check, answer(4, eps=eps), small), small / (root**2 + eps) ** 0.5
        refuse(check, got, right, [
            ("eps-outside", small / (root + eps), "eps was added after the root", "eps stands under the root."),
            ("eps-squared", small / (root**2 + eps**2) ** 0.5, "the square of eps was added", "eps itself is added."),
            ("eps-before-mean", small / (root**2 + eps / 4) ** 0.5, "eps was divided by the width",
             "First the mean of the squares, then eps is added."),
            *[("eps-fixed", small / (root**2 + fixed) ** 0.5, f"the result is that of eps = {fixed:g}",
               "eps is an argument: the one that was given counts.") for fixed in (1e-5, 1e-6, 1e-8)
              if eps > 1e-5 > scale**2],
            ("eps-missing", small / root, "eps made no difference", "eps is added to the mean square."),
        ], when=f"eps = {eps:g}")  # fmt: skip
        agrees(check, got, right, f"eps = {eps:g}: what became of x", slug="eps",
               tolerance=1e-5, hint="eps is added to the mean square, under the root, whatever is larger.")  # fmt: skip
    agrees(check, _through(check, answer(4), 1e-3 * x), 1e-3 * x / 26e-6**0.5, "eps left out: what became of x",
           slug="eps-default", tolerance=1e-5, hint="Without another word eps is 1e-6.")  # fmt: skip


def _weight(check, answer) -> None:
    norm, x = answer(6, 0.0), torch.randn(2, 3, 6)
    weight = torch.tensor([0.5, -1.0, 2.0, 0.1, 1.5, 3.0])
    with torch.no_grad():
        norm.weight.copy_(weight)
    got, plain = _through(check, norm, x), F.rms_norm(x, (6,), eps=0.0)
    refuse(check, got, plain * weight, [
        ("weight-missing", plain, "the weight made no difference", "Multiply by self.weight, feature by feature."),
        ("weight-inside", F.rms_norm(x * weight, (6,), eps=0.0), "x was multiplied by the weight before it was divided",
         "The weight is multiplied at the end: the mean square is that of x."),
        ("weight-divided", plain / weight, "the result was divided by the weight", "Multiply by it."),
    ])  # fmt: skip
    agrees(check, got, plain * weight, "with a trained weight: the result", slug="weight", tolerance=1e-5,
           hint="First divide by the root, then multiply feature by feature.")  # fmt: skip


def _types(check, answer) -> None:
    for dtype, size in ((torch.float16, 300.0), (torch.float16, 1e-3), (torch.bfloat16, 1.0), (torch.float16, 1.0)):
        norm, x = answer(64).to(dtype), (size * torch.randn(8, 64)).to(dtype)
        with torch.no_grad():
            norm.weight.copy_(torch.rand(64) + 0.5)
        got, what = _through(check, norm, x), f"{dtype} of about {size:g}"
        lost = not bool(torch.isfinite(got).all()) or not bool(got.any())
        check.that(not lost, slug="overflow", problem=f"{what}: the result is all zeros, or no numbers",
                   hint="The squares of half precision overflow. Convert x first, then square.")  # fmt: skip
        of_type(check, got, dtype, "x")
        wide, weight = F.rms_norm(x.double(), (64,), eps=1e-6), norm.weight.detach()
        first = (got == wide.to(dtype) * weight).double().mean().item()
        last = (got == (wide * weight.double()).to(dtype)).double().mean().item()
        check.that(last < 0.97 or first > 0.97, slug="weight-too-early", hint="First the type of x, then the product.",
                   problem=f"{what}: the weight was multiplied before the type of x was restored")  # fmt: skip
        check.that(first > 0.97, slug="half", problem=f"{what}: {1 - first:.0%} of the values are not exact",
                   hint="Squares, mean, root and quotient in float32; only then the type of x.")  # fmt: skip
    norm, x = answer(16).double(), torch.randn(4, 16, dtype=torch.float64)
    got = _through(check, norm, x)
    of_type(check, got, torch.float64, "x")
    check.that(alike(got, F.rms_norm(x, (16,), eps=1e-6), 1e-11), slug="double",
               problem="for float64 the result has the digits of float32",
               hint="float64 holds more than float32, and is not made narrower: torch.promote_types.")  # fmt: skip
    x = torch.randn(3, 16).half()
    agrees(check, _through(check, answer(16), x), F.rms_norm(x.double(), (16,)), "float16 x, float32 weight: all",
           slug="half", tolerance=3e-3, hint="What the type of x is, x says, and not the weight.")  # fmt: skip


def _slopes(check, answer) -> None:
    norm, given = answer(5), torch.randn(2, 3, 5)
    found = []
    hint = "Gradients must flow through all of it, the root as well. Nothing is detached."
    for call in (norm, lambda x: F.rms_norm(x, (5,), norm.weight, 1e-6)):
        x = given.clone().requires_grad_()
        y = call(x)
        check.that(y.requires_grad, slug="gradients", problem="the result carries no gradient", hint=hint)
        found.append(torch.autograd.grad((y * y.detach().cos()).sum(), (x, norm.weight), allow_unused=True))
    for name, mine, right in zip(("x", "the weight"), *found, strict=True):
        check.that(mine is not None and torch.allclose(mine, right, atol=1e-4), slug="gradients", hint=hint,
                   problem=f"the gradient with respect to {name} is wrong")  # fmt: skip
