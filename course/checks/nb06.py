"""The exercises of notebook 06: LayerNorm, GELU, pre against post, first loss, counting; and those of the modules
`decoder_parts` (MLP, block), `decoder_model` (GPT) and `decoder_whole` (initialization, generating).
"""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from course.checks.compare import shown
from course.checks.decoder_model import GPT
from course.checks.decoder_parts import CONFIG, MLP, Block, Sublayer, refuse, shake
from course.checks.decoder_whole import generate, initialize
from course.checks.exercise import exercise
from helpers import model as reference

__all__ = [
    "layer_norm", "gelu", "MLP", "Block", "order_of", "GPT", "initialize", "first_loss", "count_parameters", "generate",
]  # fmt: skip


class _Operations(TorchDispatchMode):
    """Remembers which of torch's operations were used."""

    def __init__(self):
        super().__init__()
        self.used = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.used.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


_NORMS = {"native_layer_norm", "native_group_norm", "native_batch_norm", "_native_batch_norm_legit", "_fused_rms_norm"}


def _written_by_hand(check, call, ready_made: set[str], what: str) -> None:
    with _Operations() as operations:
        call()
    found = operations.used & ready_made
    hint = f"Torch's {what} is what yours will be compared with. Write it with means, roots, tanh and arithmetic."
    check.that(not found, slug="ready-made", problem=f"that is torch's own: {', '.join(sorted(found))}", hint=hint)


@exercise("6.1", title="LayerNorm", minutes=12, difficulty=2)
def layer_norm(answer, check):
    d = 8
    ones, zeros = torch.ones(d), torch.zeros(d)
    x = torch.tensor([[[2.0, 4, 4, 4, 5, 5, 7, 9]]])
    by_hand = [-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2]
    got = answer(x, ones, zeros, 0.0)
    check.that(
        not bool(torch.isnan(torch.as_tensor(got)).all()), slug="axis", problem="not one value is a number: 0 / 0",
        hint="Here is one sequence of one position. Over dim 0 or 1 there is a single value to average, which is its "
        "own mean. The features are the last axis: dim=-1.",
    )  # fmt: skip
    check.shape(
        got, (1, 1, d), slug="shape", hint="As many values go out as come in; `keepdim=True` keeps a mean as a column."
    )
    refuse(check, got, [
        ("unbiased-variance", (x - 5) / math.sqrt(32 / 7), "the squared differences were divided by 7, not by 8",
         "LayerNorm divides the squared differences by d_model. torch.var and torch.std divide by one less, unless "
         "told otherwise."),
        ("no-root", (x - 5) / 4, "divided by the variance, 4, where the standard deviation is 2",
         "Divide by the standard deviation: the root of the variance."),
        ("gain", (x - 5), "with a weight of 1 the result was twice as large as it should be",
         "The weight itself is the factor, not 1 + weight: it starts at 1, and not at 0."),
    ])  # fmt: skip
    hint = "By hand: the mean is 5, the standard deviation 2. Take the mean off, then divide."
    check.close(got, [[by_hand]], slug="by-hand", hint=hint)
    two = torch.stack([x[0, 0], 10 * x[0, 0] + 3])[None]  # one sequence, two positions
    hint = "Each position is normalized by its own mean and variance, over its features: the last axis, no other."
    check.close(answer(two, ones, zeros, 0.0)[0, 1], by_hand, slug="axis", hint=hint)
    hint = "Another sequence of the batch must not matter: mean and variance are taken over the last axis alone."
    check.close(answer(two.transpose(0, 1), ones, zeros, 0.0)[1, 0], by_hand, slug="axis", hint=hint)
    hint = "The features are the last axis, however many there are before it: dim=-1."
    for any_shape in (two[0, 0], two[0], two[None]):
        got = answer(any_shape, ones, zeros, 0.0)
        check.close(got.flatten()[-d:], by_hand, slug="any-shape", hint=hint)
    _epsilon(check, answer, x, ones, zeros)
    weight, bias = torch.linspace(0.5, 2, d), torch.linspace(-1, 1, d)
    check.close(
        answer(x, weight, bias, 0.0), F.layer_norm(x, (d,), weight, bias, eps=0.0),
        slug="weight-and-bias", tolerance=1e-4,
        hint="First normalize; then multiply by the weight, feature by feature; then add the bias.",
    )  # fmt: skip
    for dtype in (torch.float32,) * 4 + (torch.float64,):
        x = torch.randn(3, 4, d, dtype=dtype) * check.random.uniform(0.1, 9) + check.random.uniform(-5, 5)
        weight, bias = torch.randn(d, dtype=dtype), torch.randn(d, dtype=dtype)
        check.close(
            answer(x, weight, bias, 1e-5), F.layer_norm(x, (d,), weight, bias, eps=1e-5), slug="random", tolerance=1e-4,
            hint="Compare one position with torch's F.layer_norm.",
        )  # fmt: skip
    _slopes(check, answer, d)
    _written_by_hand(check, lambda: answer(x, weight, bias, 1e-5), _NORMS, "LayerNorm")


def _epsilon(check, answer, x, ones, zeros) -> None:
    """That eps is there, is the one that was given, and stands under the root."""
    got = answer(torch.full((1, 1, len(ones)), 3.0), ones, zeros, 1e-5)
    hint = "A vector of equal values has variance 0. eps is there so that nothing is divided by zero."
    check.that(bool(torch.isfinite(got).all()), slug="eps-missing", problem="equal features gave 0 / 0", hint=hint)
    for scale, eps in ((1e-3, 2e-3), (1e-3, 1e-5), (1.0, 0.5), (1.0, 5.0)):
        narrow, std = scale * x, scale * 2.0
        got, plain = answer(narrow, ones, zeros, eps), (narrow - 5 * scale)
        refuse(check, got, [
            ("eps-outside", plain / (std + eps), "eps was added after the root",
             "eps stands under the root: it is added to the variance, not to the standard deviation."),
            ("eps-squared", plain / math.sqrt(std**2 + eps**2), "the square of eps was added to the variance",
             "eps itself is added to the variance, under the root."),
            *[("eps-fixed", plain / math.sqrt(std**2 + fixed), f"the result is that of eps = {fixed:g}",
               "eps is an argument: the one that is given counts, and no other.")
              for fixed in (1e-5, 1e-6, 1e-8) if abs(fixed - eps) > eps / 2 and eps > 1e-5],
            ("eps-missing", plain / std, "eps made no difference", "eps is added to the variance, under the root."),
        ], tolerance=1e-4)  # fmt: skip
        hint = "eps is added to the variance, under the root, and the variance is not cut off at it."
        check.close(got, plain / math.sqrt(std**2 + eps), slug="eps", tolerance=1e-4, hint=hint)


def _slopes(check, answer, d: int) -> None:
    given = [torch.randn(2, 3, d), torch.randn(d), torch.randn(d)]
    results = []
    for function in (answer, lambda x, weight, bias, eps: F.layer_norm(x, (d,), weight, bias, eps)):
        leaves = [each.clone().requires_grad_() for each in given]
        y = function(*leaves, 1e-5)
        hint = "Gradients must flow through all of it: through the mean and the variance, too. Nothing is detached."
        check.that(y.requires_grad, slug="gradients", problem="the result carries no gradient", hint=hint)
        results.append(torch.autograd.grad((y * y.detach().cos()).sum(), leaves, allow_unused=True))
    for name, mine, theirs in zip(("x", "weight", "bias"), *results, strict=True):
        same = mine is not None and torch.allclose(mine, theirs, atol=1e-4)
        check.that(same, slug="gradients", problem=f"the gradient with respect to {name} is wrong", hint=hint)


@exercise("6.2", title="The tanh form of GELU", minutes=8, difficulty=1)
def gelu(answer, check):
    hint = "Whatever the bracket is, x stands in front of it: GELU(0) = 0."
    check.close(answer(torch.zeros(1)), [0.0], slug="zero", hint=hint)
    check.close(
        answer(torch.tensor([-30.0, 30.0])), [0.0, 30.0], slug="far-out", tolerance=1e-3,
        hint="Far to the right GELU is x, far to the left it is 0: half of x times (1 + tanh), which goes from 0 to 2.",
    )  # fmt: skip
    x = torch.linspace(-4, 4, 33)
    got, root = answer(x), math.sqrt(2 / math.pi)
    refuse(check, got, [
        ("exact", F.gelu(x), "these are the values of the exact GELU, not of its tanh form",
         "GPT-2 was trained with the tanh form, which differs from the exact one in the fourth decimal."),
        ("sigmoid", x * torch.sigmoid(1.702 * x), "these are the values of x * sigmoid(1.702 x)",
         "That is another, coarser approximation from the same paper. The task asks for the one with tanh."),
        ("power", 0.5 * x * (1 + torch.tanh(root * (x + 0.044715 * x**2))), "x was squared where it must be cubed",
         "Inside the tanh stands x + 0.044715 x to the power of three: an odd function, like tanh itself."),
        ("bracket", 0.5 * x * (1 + torch.tanh(root * x + 0.044715 * x**3)), "the root multiplies x, but not the cube",
         "The root of 2 / pi multiplies the whole sum, x and the cube alike."),
    ], tolerance=1e-6)  # fmt: skip
    hint = "Compare the constants with those of the formula, one by one, and what the root stands around."
    expected = F.gelu(x, approximate="tanh")
    check.close(got, expected, slug="values", hint=hint, tolerance=2e-6)
    x = torch.randn(2, 3, 4)
    hint = "Every value on its own, in any shape."
    check.close(answer(x), F.gelu(x, approximate="tanh"), slug="any-shape", hint=hint)
    x = torch.linspace(-6, 6, 49).requires_grad_()
    y = answer(x)
    hint = "Gradients must flow through it: tensors and torch's functions from beginning to end."
    check.that(y.requires_grad, slug="gradients", problem="the result carries no gradient", hint=hint)
    slopes = [torch.autograd.grad(each.sum(), x)[0] for each in (y, F.gelu(x, approximate="tanh"))]
    problem = "its slope is not that of the formula"
    check.that(torch.allclose(*slopes, atol=1e-5), slug="gradients", problem=problem, hint=hint)
    _written_by_hand(check, lambda: answer(x), {"gelu", "gelu_"}, "GELU")


def _parts(d: int, scale: float = 1.0):
    """Two LayerNorms with weights and biases of their own, and two sublayers that remember."""
    norms = [nn.LayerNorm(d), nn.LayerNorm(d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.copy_(scale * (torch.rand(d) + 0.5)), norm.bias.copy_(torch.randn(d))
    return norms[0], Sublayer(torch.randn(d, d)), norms[1], Sublayer(torch.randn(d, d))


@exercise("6.5", title="Pre or post?", minutes=12, difficulty=3)
def order_of(answer, check):
    d = 16

    def block(order, size, trained, scale=1.0):
        ln_1, attn, ln_2, mlp = _parts(d, scale)
        if not trained:
            ln_1, ln_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        attn.matrix, mlp.matrix = attn.matrix * size, mlp.matrix * size

        def block(x):
            with torch.no_grad():
                if order == "pre":
                    x = x + attn(ln_1(x))
                    return x + mlp(ln_2(x))
                x = ln_1(x + attn(x))
                return ln_2(x + mlp(x))

        return block

    got = answer(block("pre", 0.1, False), d)
    hint = 'Answer with the text "pre" or "post".'
    check.that(got in ("pre", "post"), slug="answer", problem=f"the answer was {shown(got)}", hint=hint)
    plain = [(order, answer(block(order, 0.1, False), d)) for order in ("pre", "post") for _ in range(3)]
    check.that(
        any(got == order for order, got in plain), slug="swapped",
        when="six fresh blocks", problem="of six answers every one was the opposite of what is true",
        hint="A pre-LN block never normalizes the stream; a post-LN block normalizes everything that leaves it.",
    )  # fmt: skip
    check.that(
        len({got for _, got in plain}) == 2, slug="always-the-same",
        when="six fresh blocks", problem=f"three are of each kind, and the answer was always {plain[0][1]!r}",
        hint="Give the block something that the two kinds must treat differently. What if x were a million times as "
        "large?",
    )  # fmt: skip
    hint = "A post-LN block's output has the same size, whatever went in; a pre-LN block's grows with x."
    for order, got in plain:
        check.equal(got, order, slug="fresh", when=f"a fresh {order}-LN block", hint=hint)
    hint = (
        "After training the LayerNorms' weights are not 1 and their biases not 0: mean 0 and variance 1 prove nothing. "
        "Compare the output for x with the output for a much larger x."
    )
    for order in ("pre", "post") * 4:
        when = f"a {order}-LN block whose LayerNorms were trained"
        check.equal(answer(block(order, 0.1, True), d), order, slug="trained", when=when, hint=hint)
    hint = "Large sublayers can drown x: neither x nor 2 x tells anything. Compare outputs, for x and for a huge x."
    for order in ("pre", "post") * 4:
        when = f"a {order}-LN block with large weights"
        check.equal(answer(block(order, 3.0, True), d), order, slug="large-weights", when=when, hint=hint)
    hint = "In a trained block the LayerNorms' weights may be large: what size a normalized vector has, nobody knows."
    for order in ("pre", "post") * 3:
        when = f"a {order}-LN block whose LayerNorms' weights are about 20"
        check.equal(answer(block(order, 0.1, True, 20.0), d), order, slug="trained", when=when, hint=hint)
    hint = "Attention and MLP are not linear: of a real block no two outputs are equal. How large they are tells more."
    for order, size in (("pre", 0.05), ("post", 0.05), ("pre", 0.5), ("post", 0.5)) * 2:
        real = reference.Block(replace(CONFIG, norm=order)).eval()
        shake(real, size)
        when = f"a real {order}-LN block, with attention and MLP"

        def block_of_the_course(x, real=real):
            with torch.no_grad():
                return real(x)

        check.equal(answer(block_of_the_course, d), order, slug="real", when=when, hint=hint)


@exercise("6.8", title="The first loss", minutes=10, difficulty=2)
def first_loss(answer, check):
    without, wide, even = answer(1000, 400, 0.0), answer(1000, 400, 0.1), math.log(1000)
    check.that(
        without != wide or math.isclose(without, even, rel_tol=1e-6), slug="fixed-std",
        when="std = 0 and std = 0.1", problem="the loss was the same",
        hint="0.02 is where GPT-2 starts. Here the standard deviation is the argument `std`, which may be another.",
    )  # fmt: skip
    check.close(
        answer(1000, 64, 0.0), math.log(1000), slug="uniform", tolerance=1e-6,
        hint="With standard deviation 0 all logits are 0, every token has probability 1 / V, and the loss is in nats: "
        "a natural logarithm.",
    )  # fmt: skip
    wide = answer(1000, 400, 0.1)
    for slug, value, hint in (
        ("no-spread", even, "The logits are not all equal: what is random costs more, on average, than what is even."),
        ("half", even + 4.0, "Right but for a factor: look at the exponent in the mean of exp(logit) again."),
        ("root", even + 1.0, "In the exponent stands a variance, not a standard deviation."),
        ("sign", even - 2.0, "To be unsure and uneven is worse than to be unsure and even: the loss rises."),
        ("width", even + 0.005, "A logit is a sum of d_model terms: its variance is d_model times std squared."),
    ):
        problem = f"the loss was {wide:.4f}"
        check.that(not math.isclose(wide, value, rel_tol=1e-6), slug=slug, problem=problem, hint=hint)
    check.close(wide, even + 2.0, slug="value", tolerance=1e-6,
                hint="A logit is a sum of d_model products of a number of size 1 and one of this std.")  # fmt: skip
    for _ in range(5):
        V, d, std = (
            check.random.randrange(100, 60_000),
            check.random.randrange(16, 1600),
            check.random.uniform(0.01, 0.1),
        )
        # The mean of exp(logit) by a numerical integral over the normal distribution, not by its formula.
        s = std * math.sqrt(d)
        grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64) * s
        density = torch.exp(-((grid / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi))
        mean_exp = torch.trapezoid(density * grid.exp(), grid).item()
        hint = "Try V = 1000, d_model = 400, std = 0.1."
        check.close(answer(V, d, std), math.log(V * mean_exp), slug="random", tolerance=1e-4, hint=hint)


@exercise("6.9", title="Count the parameters", minutes=15, difficulty=2)
def count_parameters(answer, check):
    V, C, d = 101, 10, 7
    bottom, block = V * d + C * d + 2 * d, 12 * d * d + 13 * d
    got = answer(V, C, 0, d)
    _count(check, got, f"without any blocks: expected {bottom}, got {shown(got)}", [
        ("head-twice", bottom + V * d,
         "The head is tied: it has no parameters beside the token embedding, which is counted once."),
        ("final-norm", bottom - 2 * d, "After the last block stands one more LayerNorm, ln_f: a weight and a bias."),
        ("positions", bottom - C * d, "Each of the context_length positions has a vector of its own."),
        ("norm-biases", bottom - d, "A LayerNorm has a weight and a bias: two values for each feature."),
    ])  # fmt: skip
    hint = "Without blocks there are the two tables at the bottom, and ln_f."
    check.equal(got, bottom, slug="without-blocks", hint=hint)
    one = answer(V, C, 1, d) - bottom
    problem = f"a block of width {d}: expected {block}, got {one}"
    _count(check, one, problem, [
        ("attention-output", 11 * d * d + 12 * d, "After the heads are merged comes attn.proj: d * d and a bias."),
        ("mlp-back", 8 * d * d + 12 * d, "The MLP has two matrices: d to 4 d, and 4 d back to d."),
        ("narrow-mlp", 6 * d * d + 10 * d, "The MLP is four times as wide inside as the stream."),
        *[(slug, block - short * d, f"The matrices are all there; {short} * {d} small values are missing. {hint}")
          for short, (slug, hint) in _SMALL.items()],
    ])  # fmt: skip
    hint = "Go through the block's four matrices, their four biases and the two LayerNorms, one after the other."
    check.equal(one, block, slug="block", when="one block", hint=hint)
    hint = "Every block counts the same; ln_f is there once."
    check.equal(answer(V, C, 5, d), bottom + 5 * block, slug="layers", hint=hint)
    for shape in ((50257, 1024, 12, 768), (50257, 1024, 48, 1600), (2048, 256, 4, 96)):
        hint = "Compare with sum(p.numel() for p in model.parameters())."
        check.equal(answer(*shape), _built(*shape), slug="gpt2", hint=hint)


_SMALL = {  # by how many times d a block is short: the slug, and what has so many values
    1: ("biases", "Each of the two matrices called proj has a bias of its own."),
    2: (
        "one-norm",
        "Each block has two LayerNorms, each with a weight and a bias; each matrix called proj has a bias.",
    ),
    3: ("biases", "qkv has a bias for each of its outputs, of which there are three times d."),
    4: ("norms", "So many are in the two LayerNorms of a block, or in the biases of fc."),
    5: ("biases", "So many biases are in the MLP: some inside, some behind."),
    8: ("biases", "Nearly all biases of the linear layers."),
    9: ("biases", "Linear layers have biases, one value for each output: qkv, proj, fc, proj."),
    13: ("biases", "Neither the biases of the linear layers nor the LayerNorms are counted."),
}


def _count(check, got, problem, mistakes) -> None:
    for slug, value, hint in mistakes:
        check.that(got != value, slug=slug, problem=problem, hint=hint)


def _built(V: int, C: int, L: int, d: int) -> int:
    """The parameters of a model that is really built, though without memory."""
    with torch.device("meta"):
        return reference.GPT(reference.GPTConfig(V, C, n_layer=L, n_head=1, d_model=d)).parameter_count()
