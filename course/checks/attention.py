"""Exercises of notebook 05 on a single head and on heads in a loop, and what all its checks ask with."""

import dis
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from course.checks.exercise import exercise
from course.checks.source import names_missing, source_of

NOT_IN_THE_MODEL = {"softmax", "scaled_scores", "causal_weights", "masked_attention", "SelfAttention", "HeadsInALoop"}
IN_THE_MODEL = {"math", "torch", "F", "nn", "Tensor", "GPTConfig", "CourseError", "split_heads", "merge_heads"}


class Called(TorchFunctionMode):
    """Notes which of torch's functions are called, by their names."""

    def __init__(self):
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.add(getattr(function, "__name__", ""))
        return function(*args, **(kwargs or {}))


def near(got, expected) -> bool:
    """Whether two tensors of one shape agree; False for anything else."""
    return isinstance(got, torch.Tensor) and got.shape == expected.shape and torch.allclose(
        got.double(), expected.double(), atol=1e-4
    )  # fmt: skip


def rows_sum_to_one(got, check, hint: str) -> None:
    for i, total in enumerate(got.sum(-1).tolist()):
        check.that(
            abs(total - 1) < 1e-4, slug="sums-to-one", problem=f"the weights of row {i} sum to {total:.5g}", hint=hint
        )


def none_of(wrong: dict, got, check, when: str | None = None) -> None:
    """`got` is none of these wrong results: slug -> (the result, what is wrong with it, the hint)."""
    for slug, (values, problem, hint) in wrong.items():
        check.that(not near(got, values), slug=slug, problem=problem, hint=hint, when=when)


def parameters_are(layer, expected: dict[str, tuple], check) -> None:
    got = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    odd = next((n for n in [*expected, *got] if got.get(n) != expected.get(n)), "")
    check.that(
        not odd, slug="parameters", when="", problem=f"`{odd}` is {got.get(odd, 'missing')}, not "
        f"{expected.get(odd, 'a parameter of this layer')}",
        hint="Leave `__init__` as it is given: with these names and shapes, weights can be handed from layer to layer.",
    )  # fmt: skip


def explained(answer, check, text: str, *, slug: str, hint: str) -> Callable:
    """The answer; an error of torch's with this text in its message gets a hint of its own."""

    def call(*args):
        try:
            return answer(*args)
        except RuntimeError as error:
            check.that(text not in str(error), slug=slug, problem=f"RuntimeError: {error}", hint=hint)
            raise

    return call


def brings_all_along(answer, check) -> None:
    """A class that goes into the learner's GPT uses nothing that stays behind in the notebook."""
    used, codes = set(), [f.__code__ for f in vars(answer).values() if hasattr(f, "__code__")]
    for code in codes:
        codes += [inner for inner in code.co_consts if hasattr(inner, "co_code")]
        used |= {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    behind = sorted(used & (NOT_IN_THE_MODEL | {f"my_{name}" for name in NOT_IN_THE_MODEL}))
    if not behind and (source := source_of(answer)):
        behind = names_missing(source, IN_THE_MODEL | {f"my_{name}" for name in IN_THE_MODEL})
    check.that(
        not behind, slug="stays-behind", when="", problem=f"the class uses `{', '.join(behind)}`",
        hint="The class goes into your GPT, and of this notebook only `split_heads` and `merge_heads` come along. "
        "Write out what it needs, in the class or in its cell.",
    )  # fmt: skip


def randomize(layer) -> None:
    """Weights large enough that scores differ."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()


@exercise("5.3", title="One head", minutes=12, difficulty=2)
def SelfAttention(answer, check):
    B, T, d_model, d_head = 2, 5, 6, 4
    head = answer(d_model, d_head)
    parameters_are(head, {f"{name}.weight": (d_head, d_model) for name in ("query", "key", "value")}, check)
    randomize(head)
    x = torch.randn(B, T, d_model)
    q, k, v = (x @ layer.weight.detach().T for layer in (head.query, head.key, head.value))
    raw = q @ k.transpose(-2, -1)
    right = raw.softmax(-1)
    before = x.clone()

    got, when = head.weights(x), "weights(x)"
    check.shape(
        got, (B, T, T), slug="shape", when=when,
        hint="A row for each token that takes, a column for each that gives, and the batch in front.",
    )  # fmt: skip
    hidden = torch.ones(T, T, dtype=torch.bool).triu(1)
    none_of({
        "queries": (raw.softmax(-2), "each column sums to one, not each row",
        "A row belongs to one query. Its weights are divided among the keys: softmax over the last axis."),
        "not-softmaxed": (raw, "these are scores", "A softmax makes weights of them."),
        "swapped": (raw.transpose(-2, -1).softmax(-1), "row i holds what is asked of token i, not what it asks",
        "Rows are queries, columns are keys: the query stands on the left of the product."),
        "scaled": ((raw / 2).softmax(-1), "the scores were scaled",
        "True attention does that, and step 5 will say why. Here it is the plain product still."),
        "masked": (raw.masked_fill(hidden, -math.inf).softmax(-1), "the future was hidden",
        "That comes in step 6, which needs to see the leak. Here every token takes from every token."),
        "no-projection": ((x @ x.transpose(-2, -1)).softmax(-1), "the vectors themselves were compared, as in step 3",
        "Compare queries with keys: `self.query(x)` and `self.key(x)`."),
        "values-asked": ((q @ v.transpose(-2, -1)).softmax(-1), "queries were compared with values",
        "What a token can be found by is its key; the value is what it hands over."),
        "one-part": ((q @ q.transpose(-2, -1)).softmax(-1), "queries were compared with queries",
        "A token asks with its query and is found by its key."),
        "batch": (raw.softmax(0), "the weights of the two sequences sum to one",
        "The first axis is the batch. The softmax goes over the keys, the last one."),
    }, got, check, when)  # fmt: skip
    check.close(
        got, right, slug="weights", tolerance=1e-4, when=when,
        hint="Softmax, over the keys, of query times key. Each sequence of the batch looks at itself alone.",
    )  # fmt: skip

    got, when = head(x), "forward(x)"
    check.that(
        tuple(getattr(got, "shape", ())) != (B, T, d_model), slug="inputs-mixed", when=when,
        problem="the mixtures are as wide as x", hint="What is handed over is not x but its value: `self.value(x)`.",
    )  # fmt: skip
    check.shape(
        got, (B, T, d_head), slug="shape", when=when, hint="For each token one mixture, as wide as a value.",
    )  # fmt: skip
    none_of({
        "mixes-keys": (right @ k, "the keys were mixed",
        "Keys say where to look. What is taken from there are the values."),
        "mixes-queries": (right @ q, "the queries were mixed", "What is taken from a token is its value."),
        "transposed": (right.transpose(-2, -1) @ v, "each token gets by what it is asked, not by what it asks",
        "Row i of the weights makes mixture i: weights on the left, values on the right."),
        "not-mixed": (v, "each token got its own value", "Weights times values: nothing has been mixed yet."),
    }, got, check, when)  # fmt: skip
    check.close(
        got, right @ v, slug="mixtures", tolerance=1e-4, when=when, hint="The weights, times the values.",
    )  # fmt: skip
    check.that(
        torch.equal(x, before), slug="changes-input", when="", problem="x was changed",
        hint="Build new values, and leave the input as it was.",
    )  # fmt: skip
    if got.requires_grad:
        got.square().sum().backward()
    for name in ("query", "key", "value"):
        gradient = getattr(head, name).weight.grad
        check.that(
            gradient is not None and bool(gradient.abs().sum() > 0), slug="gradient", when="",
            problem=f"no gradient reaches `{name}`",
            hint="Such a head could not learn. Is there a `detach`, `no_grad`, `.data` or `.item()` on the way?",
        )  # fmt: skip
    other = answer(3, 7)
    randomize(other)
    y = torch.randn(1, 2, 3)
    expected = (other.query(y) @ other.key(y).transpose(-2, -1)).softmax(-1) @ other.value(y)
    check.close(
        other(y), expected, slug="other-sizes", tolerance=1e-4, when="another size",
        hint="It works for one size only. Read sizes from x and from the layers.",
    )  # fmt: skip


@exercise("5.6", title="Masked attention from scratch", minutes=8, difficulty=2)
def masked_attention(answer, check):
    B, H, T, d = 2, 3, 5, 4
    q, k, v = (torch.randn(B, H, T, d) for _ in range(3))
    right = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    past = torch.ones(T, T, dtype=torch.bool).tril()
    raw = q @ k.transpose(-2, -1)

    def mixed(scores, mask=past, dim=-1):
        return scores.masked_fill(~mask, -math.inf).softmax(dim) @ v

    with Called() as called:
        got = answer(q, k, v)
    check.shape(got, (B, H, T, d), slug="shape", hint="One mixture of values for each token of each head.")
    check.that(
        not bool(torch.isnan(got[:, :, -1]).all()) or bool(torch.isnan(got[:, :, 0]).any()), slug="wrong-way",
        problem="the last token, which may look everywhere, sees nothing at all",
        hint="You hid the past. Hidden is where the column (key) is greater than the row (query): `triu`, not `tril`.",
    )  # fmt: skip
    check.that(
        not bool(torch.isnan(got).all()), slug="zero-times-infinity", problem="not one of the results is a number",
        hint="0 times infinity is not a number. Do not multiply a mask by infinity: `masked_fill` puts it in place.",
    )  # fmt: skip
    check.that(
        not bool(torch.isnan(got).any()), slug="itself",
        problem="some results are not numbers: a token saw nothing at all",
        hint="A token sees itself. The mask begins one right of the diagonal: `triu(diagonal=1)`.",
    )  # fmt: skip
    wrong = {
        "no-mask": ((raw / 2).softmax(-1) @ v, "the future was not hidden",
        "Hide what comes later, before the softmax."),
        "after-softmax": (
            ((raw / 2).softmax(-1) * past) @ v, "the weights of a row do not sum to one",
            "The mask came after the softmax. The future took its weight first: mask the scores, with minus infinity.",
        ),
        "wrong-way": (
            mixed(raw / 2, past.T), "each token takes from its future",
            "The mask is the wrong way round: hidden is where the column (key) is greater than the row (query).",
        ),
        "queries": (
            mixed(raw / 2, dim=-2), "the weights of a column sum to one, not those of a row",
            "The softmax goes over the keys, dim=-1: each query divides one whole.",
        ),
        "not-scaled": (mixed(raw), "the scores were not scaled", "Divide the scores by the root of d_head."),
        "d-head": (mixed(raw / d), "the scores were divided by d_head",
        "By its root: the variance of a score is d_head."),
        "d-model": (
            mixed(raw / math.sqrt(H * d)), "the scores were divided by the root of d_model",
            "A head's score sums over d_head terms, q.shape[-1]: take the root of that.",
        ),
        "swapped": (
            mixed(raw.transpose(-2, -1) / 2), "the keys ask and the queries answer",
            "Rows of the scores are queries: q stands on the left, k is transposed.",
        ),
        "mixes-keys": (
            (raw / 2).masked_fill(~past, -math.inf).softmax(-1) @ k, "the keys were mixed",
            "Keys say where to look. What is taken from there are the values.",
        ),
        "scaled-late": (
            (mixed(raw)) / 2, "the result was scaled, not the scores",
            "The root belongs to the scores, before the softmax: there it keeps the weights from becoming all or "
            "nothing.",
        ),
    }  # fmt: skip
    none_of(wrong, got, check)
    check.close(
        got, right, slug="value", tolerance=1e-4,
        hint="In order: scores, divided by the root of d_head; hide the future; softmax over the keys; times the "
        "values.",
    )  # fmt: skip
    check.that(
        torch.equal(got[:, :, 0], v[:, :, 0]) or torch.allclose(got[:, :, 0], v[:, :, 0], atol=1e-6), slug="value",
        problem="the first token does not get its own value",
        hint="The first token sees itself alone: all weight on it.",
    )  # fmt: skip
    wild = 200 * q
    check.close(
        answer(wild, k, v), F.scaled_dot_product_attention(wild, k, v, is_causal=True), slug="overflow", tolerance=1e-3,
        hint="Large scores: either exp overflows (a softmax takes the row's largest off first), or the future took "
        "part in the softmax and left the past nothing to divide.",
    )  # fmt: skip
    q, k, v = torch.randn(1, 2, 7, 9), torch.randn(1, 2, 7, 9), torch.randn(1, 2, 7, 9)
    check.close(
        answer(q, k, v), F.scaled_dot_product_attention(q, k, v, is_causal=True), slug="other-sizes", tolerance=1e-4,
        hint="It works for one size only. Read time and d_head from q's shape.",
    )  # fmt: skip
    q, k, v = torch.randn(3, 6, 4), torch.randn(3, 6, 4), torch.eye(6).expand(3, 6, 6)
    check.close(
        answer(q, k, v), F.scaled_dot_product_attention(q, k, v, is_causal=True), slug="value-width", tolerance=1e-4,
        hint="Values may be wider or narrower than queries, and there may be no axis for heads: count from the end.",
    )  # fmt: skip
    q, k, v = torch.randn(5, 4), torch.randn(5, 4), torch.randn(5, 2)
    check.close(
        answer(q, k, v), F.scaled_dot_product_attention(q, k, v, is_causal=True), slug="alone", tolerance=1e-4,
        hint="There may be nothing in front, neither batch nor heads: count axes from the end, with -1 and -2.",
    )  # fmt: skip
    check.that(
        not any("attention" in name for name in called.names), slug="torchs-own",
        problem="torch's attention was called", hint="Right, and not yours: it is the judge. Write the five steps.",
    )  # fmt: skip


@exercise("5.7", title="Heads in a loop", minutes=6, difficulty=1)
def HeadsInALoop(answer, check):
    B, T, d_model, n_head = 2, 5, 12, 3
    d_head = d_model // n_head
    loop = answer(d_model, n_head)
    names = {f"heads.{i}.{part}.weight": (d_head, d_model) for i in range(n_head) for part in ("query", "key", "value")}
    parameters_are(loop, names | {"proj.weight": (d_model, d_model)}, check)
    randomize(loop)
    x, given = torch.randn(B, T, d_model), []
    found = [
        F.scaled_dot_product_attention(head.query(x), head.key(x), head.value(x), is_causal=True).detach()
        for head in loop.heads
    ]
    watch = loop.proj.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].detach()))
    try:
        got = loop(x)
    except RuntimeError as error:  # what the output projection cannot take
        got = error
    watch.remove()
    side_by_side = torch.cat(found, dim=-1)
    when = "what the output projection is given"
    if given:
        shape = tuple(given[0].shape)
        check.that(
            shape != (B, T, d_head), slug="added", when=when, problem=f"shape {shape}, as wide as one head",
            hint="Heads are not added, averaged or picked from: their results stand side by side and make d_model.",
        )  # fmt: skip
        check.that(
            shape != (B, n_head * T, d_head) and shape != (n_head * B, T, d_head), slug="joined-along", when=when,
            problem=f"shape {shape}",
            hint="Side by side is along the features, the last axis: not along time, nor the batch.",
        )  # fmt: skip
        check.shape(
            given[0], (B, T, d_model), slug="shape", when=when, hint="One vector of d_model features for each token.",
        )  # fmt: skip
        interleaved = torch.stack(found, dim=-1).flatten(2)
        none_of({
            "order": (torch.cat(found[::-1], dim=-1), "the last head came first", "Head 0 stands on the left."),
            "interleaved": (interleaved, "the heads are interleaved, feature by feature",
            "Head 0's features come first, all together: join the results along the last axis."),
            "torn": (torch.stack(found, dim=1).reshape(B, T, d_model), "a token's vector holds features of others",
            "Stacked along a new axis and reshaped, the heads come before time. Join them along the last axis."),
            "not-attended": (x, "x itself", "Each head reads x first; its result goes on."),
        }, given[0], check, when)  # fmt: skip
        check.close(
            given[0], side_by_side, slug="heads", tolerance=1e-4, when=when,
            hint="Every head reads x itself, and their results follow one another along the last axis.",
        )  # fmt: skip
    if isinstance(got, RuntimeError):
        raise got
    when = "forward(x)"
    check.shape(
        got, (B, T, d_model), slug="shape", when=when, hint="One vector of d_model features for each token.",
    )  # fmt: skip
    check.that(
        not near(got, side_by_side), slug="no-projection", when=when,
        problem="the results stand side by side, unmixed",
        hint="The output projection is missing: `self.proj`.",
    )  # fmt: skip
    check.close(
        got, loop.proj(side_by_side), slug="value", tolerance=1e-4, when=when,
        hint="The heads' results, side by side, through the output projection, and nothing else.",
    )  # fmt: skip
    single = answer(4, 1)
    y = torch.randn(1, 3, 4)
    check.close(
        single(y), single.proj(single.heads[0](y)), slug="single", tolerance=1e-4, when="with a single head",
        hint="There may be any number of heads: go through `self.heads`.",
    )  # fmt: skip
