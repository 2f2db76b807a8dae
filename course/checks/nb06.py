"""The exercises of notebook 06: LayerNorm, GELU, the block, pre against post, initialization, first loss, counting.

Longer than other modules: a notebook has one module of checks, in which each stands by itself.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from course.checks.exercise import exercise


def refuse(check, got, mistakes, tolerance: float = 1e-5) -> None:
    """Recognize known mistakes by what they give: each is (slug, the wrong value, what is wrong, where to look)."""
    for slug, wrong, problem, hint in mistakes:
        same = isinstance(got, torch.Tensor) and got.shape == wrong.shape and torch.allclose(got, wrong, atol=tolerance)
        check.that(not same, slug=slug, problem=problem, hint=hint)


@exercise("6.1", title="LayerNorm", minutes=12, difficulty=2)
def layer_norm(answer, check):
    d = 8
    ones, zeros = torch.ones(d), torch.zeros(d)
    x = torch.tensor([[[2.0, 4, 4, 4, 5, 5, 7, 9]]])
    by_hand = [-1.5, -0.5, -0.5, -0.5, 0, 0, 1, 2]
    got = answer(x, ones, zeros, 0.0)
    check.shape(
        got, (1, 1, d), slug="shape", hint="As many values go out as come in; `keepdim=True` keeps a mean as a column."
    )
    refuse(check, got, [
        ("unbiased-variance", (x - 5) / math.sqrt(32 / 7), "the squared differences were divided by 7, not by 8",
         "LayerNorm divides the squared differences by d_model. torch.var and torch.std divide by one less, unless "
         "told otherwise."),
        ("no-root", (x - 5) / 4, "divided by the variance, 4, where the standard deviation is 2",
         "Divide by the standard deviation: the root of the variance."),
    ])  # fmt: skip
    hint = "By hand: the mean is 5, the standard deviation 2. Take the mean off, then divide."
    check.close(got, [[by_hand]], slug="by-hand", hint=hint)
    two = torch.stack([x[0, 0], 10 * x[0, 0] + 3])[None]  # one sequence, two positions
    hint = "Each position is normalized by its own mean and variance, over its features: the last axis, no other."
    check.close(answer(two, ones, zeros, 0.0)[0, 1], by_hand, slug="axis", hint=hint)
    hint = "Another sequence of the batch must not matter: mean and variance are taken over the last axis alone."
    check.close(answer(two.transpose(0, 1), ones, zeros, 0.0)[1, 0], by_hand, slug="axis", hint=hint)
    got = answer(torch.full((1, 1, d), 3.0), ones, zeros, 1e-5)
    hint = "A vector of equal values has variance 0. eps is there so that nothing is divided by zero."
    check.that(bool(torch.isfinite(got).all()), slug="eps-missing", problem="equal features gave 0 / 0", hint=hint)
    narrow = x / 1000
    got, outside = answer(narrow, ones, zeros, 1e-5), (narrow - 5 / 1000) / (2 / 1000 + 1e-5)
    refuse(check, got, [
        ("eps-outside", outside, "eps was added after the root",
         "eps stands under the root: it is added to the variance, not to the standard deviation."),
    ], tolerance=1e-3)  # fmt: skip
    hint = "eps is added to the variance, under the root."
    check.close(got, F.layer_norm(narrow, (d,), eps=1e-5), slug="eps-missing", tolerance=1e-4, hint=hint)
    weight, bias = torch.linspace(0.5, 2, d), torch.linspace(-1, 1, d)
    check.close(
        answer(x, weight, bias, 0.0), F.layer_norm(x, (d,), weight, bias, eps=0.0),
        slug="weight-and-bias", tolerance=1e-4,
        hint="First normalize; then multiply by the weight, feature by feature; then add the bias.",
    )  # fmt: skip
    for _ in range(5):
        x = torch.randn(3, 4, d) * check.random.uniform(0.1, 9) + check.random.uniform(-5, 5)
        weight, bias = torch.randn(d), torch.randn(d)
        check.close(
            answer(x, weight, bias, 1e-5), F.layer_norm(x, (d,), weight, bias, eps=1e-5), slug="random", tolerance=1e-4,
            hint="Compare one position with torch's F.layer_norm.",
        )  # fmt: skip


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
    hint = "x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))): compare the constants one by one."
    check.close(got, F.gelu(x, approximate="tanh"), slug="values", hint=hint)
    x = torch.randn(2, 3, 4)
    hint = "Every value on its own, in any shape."
    check.close(answer(x), F.gelu(x, approximate="tanh"), slug="any-shape", hint=hint)


class _Sublayer(nn.Module):
    """A stand-in for attention or the MLP: remembers what it was given, answers with something unmistakable."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix, self.given = matrix, []

    def forward(self, x):
        self.given.append(x.detach().clone())
        return x @ self.matrix


def _parts(d: int):
    """Two LayerNorms with weights and biases of their own, and two sublayers that remember."""
    norms = [nn.LayerNorm(d), nn.LayerNorm(d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.copy_(torch.rand(d) + 0.5), norm.bias.copy_(torch.randn(d))
    return norms[0], _Sublayer(torch.randn(d, d)), norms[1], _Sublayer(torch.randn(d, d))


@exercise("6.3", title="The block", minutes=10, difficulty=2)
def pre_ln_block(answer, check):
    d = 6
    for _ in range(3):
        ln_1, attn, ln_2, mlp = _parts(d)
        x = torch.randn(2, 3, d) * 3
        with torch.no_grad():
            got = answer(x, ln_1, attn, ln_2, mlp)
            check.shape(
                got, x.shape, slug="shape", hint="A block returns the shape it was given, or none could follow it."
            )
            check.that(
                len(attn.given) == 1 and len(mlp.given) == 1, slug="each-once",
                problem=f"attention was called {len(attn.given)} times, the MLP {len(mlp.given)} times",
                hint="Each of the two sublayers is used once.",
            )  # fmt: skip
            _attention_reads(check, attn.given[0], x, ln_1)
            branch = attn.given[0] @ attn.matrix
            _mlp_reads(check, mlp.given[0], x, branch, ln_1, ln_2)
            _result(check, got, x, x + branch, mlp.given[0], mlp.given[0] @ mlp.matrix, (ln_1, ln_2))


def _attention_reads(check, given, x, ln_1) -> None:
    refuse(check, given, [
        ("attention-not-normalized", x, "attention was given x itself",
         "In a pre-LN block attention reads LayerNorm ln_1 of x, not x."),
    ])  # fmt: skip
    check.close(
        given, ln_1(x), slug="attention-input", hint="Attention reads ln_1(x), the first of the two norms.",
        when="what attention was given",
    )  # fmt: skip


def _mlp_reads(check, given, x, branch, ln_1, ln_2) -> None:
    stream = x + branch
    refuse(check, given, [
        ("mlp-not-normalized", stream, "the MLP was given the stream itself",
         "The MLP too reads a normalized copy: ln_2 of the stream, after attention was added."),
        ("same-norm-twice", ln_1(stream), "the MLP was given ln_1 of the stream",
         "A block has two LayerNorms, each with a weight and a bias of its own. The second is ln_2."),
        ("parallel", ln_2(x), "the MLP was given ln_2 of the x that came in, without what attention added",
         "The MLP comes after attention: it reads the stream to which attention has already been added."),
        ("residual-forgotten", ln_2(branch), "the MLP was given attention's output alone; x is lost",
         "A sublayer's output is added to the stream: x + attn(...). Without x the straight way is cut."),
        ("stream-normalized", ln_2(ln_1(x) + branch), "attention's output was added to ln_1(x), not to x",
         "Only the branch is normalized. If x is overwritten by ln_1(x), the stream itself is."),
    ], tolerance=1e-4)  # fmt: skip
    check.close(
        given, ln_2(stream), slug="mlp-input", tolerance=1e-4, when="what the MLP was given",
        hint="First x = x + attn(ln_1(x)); the MLP then reads ln_2(x).",
    )  # fmt: skip


def _result(check, got, x, stream, read, out, norms) -> None:
    refuse(check, got, [
        ("residual-forgotten", out, "the MLP's output replaced the stream",
         "The MLP's output, too, is added to the stream."),
        ("stream-normalized", read + out, "the MLP's output was added to ln_2 of the stream, not to the stream",
         "Only the branch is normalized. What is added to is the stream as it was before ln_2."),
        ("attention-lost", x + out, "what attention added is missing",
         "The MLP's output is added to the stream that already holds attention's output."),
        *[("norm-after-sum", norm(stream + out), "the sum was normalized at the end",
           "In a pre-LN block nothing normalizes the stream.") for norm in norms],
    ], tolerance=1e-4)  # fmt: skip
    check.close(got, stream + out, slug="result", tolerance=1e-4, hint="Two sums and nothing else on the stream.")


@exercise("6.4", title="Pre or post?", minutes=12, difficulty=3)
def order_of(answer, check):
    d = 16

    def block(order, size, trained):
        ln_1, attn, ln_2, mlp = _parts(d)
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
    check.that(got in ("pre", "post"), slug="answer", problem=f"the answer was {got!r}", hint=hint)
    plain = [(order, answer(block(order, 0.1, False), d)) for order in ("pre", "post") for _ in range(3)]
    check.that(
        any(got == order for order, got in plain), slug="swapped",
        problem="of six answers every one was the opposite of what is true",
        hint="A pre-LN block never normalizes the stream; a post-LN block normalizes everything that leaves it.",
    )  # fmt: skip
    check.that(
        len({got for _, got in plain}) == 2, slug="always-the-same",
        problem=f"six blocks, three of each kind, and the answer was always {plain[0][1]!r}",
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
    hint = "Do not compare the output with x: large sublayers can drown x. Compare outputs, for x and for a huge x."
    for order in ("pre", "post") * 4:
        when = f"a {order}-LN block with large weights"
        check.equal(answer(block(order, 3.0, True), d), order, slug="large-weights", when=when, hint=hint)


@exercise("6.5", title="Initialization", minutes=8, difficulty=2)
def initialization(answer, check):
    def ask(name, n_layer, mean, std, slug, hint):
        got = answer(name, n_layer)
        check.that(
            isinstance(got, tuple | list) and len(got) == 2, slug="a-pair", problem=f"for {name!r} it was {got!r}",
            hint="Return two values: the mean and the standard deviation.",
        )  # fmt: skip
        check.close(got, [mean, std], slug=slug, tolerance=1e-9, hint=hint)

    ask("wte.weight", 12, 0.0, 0.02, "embedding", "Token vectors start at mean 0, standard deviation 0.02.")
    ask(
        "wpe.weight",
        12,
        0.0,
        0.01,
        "positions",
        "The released code starts position vectors at 0.01, half of the others.",
    )
    for part in ("attn.qkv", "attn.proj", "mlp.fc", "mlp.proj"):
        ask(f"blocks.3.{part}.bias", 12, 0.0, 0.0, "bias", "Every bias starts at exactly 0.")
    for norm in ("blocks.0.ln_1", "blocks.11.ln_2", "ln_f"):
        hint = "A LayerNorm's weight starts at exactly 1. At 0 nothing would pass; at random, features are distorted."
        ask(f"{norm}.weight", 12, 1.0, 0.0, "norm-weight", hint)
        ask(f"{norm}.bias", 12, 0.0, 0.0, "bias", "A LayerNorm's bias starts at 0, like every other bias.")
    for part in ("attn.qkv", "mlp.fc"):
        hint = f"{part} does not write into the stream, so it keeps 0.02."
        ask(f"blocks.0.{part}.weight", 12, 0.0, 0.02, "not-residual", hint)
    check.that(
        not math.isclose(answer("blocks.0.attn.proj.weight", 12)[1], 0.02), slug="residual-unscaled",
        problem="attn.proj got 0.02, like all others",
        hint="The matrices that write into the stream, both called proj, start smaller: divided by sqrt(2 * n_layer).",
    )  # fmt: skip
    hint = "A block writes to the stream twice, and variances add: the divisor is the root of 2 * n_layer."
    ask("blocks.0.attn.proj.weight", 8, 0.0, 0.02 / 4, "residual", hint)
    hint = "The MLP's last matrix writes into the stream too."
    ask("blocks.7.mlp.proj.weight", 8, 0.0, 0.02 / 4, "both-projections", hint)
    hint = "The divisor is sqrt(2 * n_layer), for any depth."
    ask("blocks.40.mlp.proj.weight", 48, 0.0, 0.02 / math.sqrt(96), "residual", hint)


@exercise("6.6", title="The first loss", minutes=10, difficulty=2)
def first_loss(answer, check):
    without, wide, even = answer(1000, 400, 0.0), answer(1000, 400, 0.1), math.log(1000)
    check.that(
        without != wide or math.isclose(without, even, rel_tol=1e-6), slug="fixed-std",
        problem="the loss was the same for std = 0 and for std = 0.1",
        hint="0.02 is where GPT-2 starts. Here the standard deviation is the argument `std`, which may be another.",
    )  # fmt: skip
    check.close(
        answer(1000, 64, 0.0), math.log(1000), slug="uniform", tolerance=1e-6,
        hint="With standard deviation 0 all logits are 0, every token has probability 1 / V, and the loss is in nats: "
        "a natural logarithm.",
    )  # fmt: skip
    for slug, value, hint in (
        ("no-spread", even, "The logits are not all equal. Their variance costs something: add half of it."),
        ("half", even + 4.0, "Half of the variance is added, not all of it."),
        ("root", even + 1.0, "Half of the variance, not half of the standard deviation."),
        ("sign", even - 2.0, "To be unsure and uneven is worse than to be unsure and even: the loss rises."),
        ("width", even + 0.005, "A logit is a sum of d_model terms: its variance is d_model times std squared."),
    ):
        problem = f"first_loss(1000, 400, 0.1) was {wide:.4f}"
        check.that(not math.isclose(wide, value, rel_tol=1e-6), slug=slug, problem=problem, hint=hint)
    check.close(wide, even + 2.0, slug="value", tolerance=1e-6, hint="The variance of a logit is d_model * std**2.")
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


@exercise("6.7", title="Count the parameters", minutes=15, difficulty=2)
def count_parameters(answer, check):
    V, C, d = 101, 10, 7
    bottom, block = V * d + C * d + 2 * d, 12 * d * d + 13 * d
    got = answer(V, C, 0, d)
    _count(check, got, f"without any blocks: expected {bottom}, got {got}", [
        ("head-twice", bottom + V * d,
         "The head is tied: it has no parameters beside the token embedding, which is counted once."),
        ("final-norm", bottom - 2 * d, "After the last block stands one more LayerNorm, ln_f: a weight and a bias."),
        ("positions", bottom - C * d, "Each of the context_length positions has a vector of its own."),
        ("norm-biases", bottom - d, "A LayerNorm has a weight and a bias: two values for each feature."),
    ])  # fmt: skip
    hint = "Without blocks: V * d + C * d for the embeddings, and 2 * d for ln_f."
    check.equal(got, bottom, slug="without-blocks", hint=hint)
    one = answer(V, C, 1, d) - bottom
    _count(check, one, f"a block of width {d}: expected {block}, got {one}", [
        ("biases", 12 * d * d + 4 * d, "Linear layers have biases: 3 d, d, 4 d and d of them."),
        ("norms", 12 * d * d + 9 * d, "Each block has two LayerNorms, each with a weight and a bias."),
        ("one-norm", 12 * d * d + 11 * d, "Each block has two LayerNorms, each with a weight and a bias."),
        ("attention-output", 11 * d * d + 12 * d, "After the heads are merged comes attn.proj: d * d and a bias."),
        ("mlp-back", 8 * d * d + 12 * d, "The MLP has two matrices: d to 4 d, and 4 d back to d."),
        ("narrow-mlp", 6 * d * d + 10 * d, "The MLP is four times as wide inside as the stream."),
    ])  # fmt: skip
    hint = "12 * d**2 for the matrices, and 13 * d for biases and LayerNorms."
    check.equal(one, block, slug="block", when="one block", hint=hint)
    hint = "Every block counts the same; ln_f is there once."
    check.equal(answer(V, C, 5, d), bottom + 5 * block, slug="layers", hint=hint)
    for shape in ((50257, 1024, 12, 768), (50257, 1024, 48, 1600), (2048, 256, 4, 96)):
        hint = "Compare with sum(p.numel() for p in model.parameters())."
        check.equal(answer(*shape), _built(*shape), slug="gpt2", hint=hint)


def _count(check, got, problem, mistakes) -> None:
    for slug, value, hint in mistakes:
        check.that(got != value, slug=slug, problem=problem, hint=hint)


def _built(V: int, C: int, L: int, d: int) -> int:
    """The parameters of a model that is really built, though without memory."""
    from helpers.model import GPT, GPTConfig

    with torch.device("meta"):
        return GPT(GPTConfig(vocab_size=V, context_length=C, n_layer=L, n_head=1, d_model=d)).parameter_count()
