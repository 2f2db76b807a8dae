"""Exercises of notebook 10 on instruments before and in training: batches, causality, rows, layers, what moves and what
is stuck; those on the score are in `instruments_of_score`.
"""

import copy
import math
from types import SimpleNamespace

import torch
from torch import nn

from course.checks.compare import is_number, shown
from course.checks.exercise import exercise
from helpers.model import GPT, IGNORED, GPTConfig

__all__ = [
    "first_loss", "what_enters", "future_leak", "row_leak", "first_difference", "overfit", "update_ratios",
]  # fmt: skip


def small_model(seed: int = 0, **changes) -> GPT:
    """A GPT with weights that are large enough for every path to matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = dict(vocab_size=17, context_length=12, n_layer=2, n_head=2, d_model=8) | changes
        model = GPT(GPTConfig(**config))
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
        return model.eval()


def random_ids(rows: int = 3, time: int = 8) -> torch.Tensor:
    return torch.randint(17, (rows, time), generator=torch.Generator().manual_seed(rows * time))


def must_be_number(check, got) -> None:
    check.that(is_number(got), slug="number", problem=f"the answer is of the type {type(got).__name__}",
               hint="One plain number: `.item()` makes one of a tensor.")  # fmt: skip


def minds_the_mode(check, model, ask) -> None:
    """What measures a model leaves it in the mode in which it came, whichever that was."""
    for training in (True, False):
        model.train(training)
        ask(model)
        check.that(all(module.training == training for module in model.modules()), slug="mode",
                   problem="the model was left in another mode",
                   hint="`with evaluating(model):` puts the mode back; `model.eval()` alone does not.")  # fmt: skip


class Mixer(nn.Module):
    """Not a GPT: logits that are a fixed mixture of the tokens' vectors, over time or over rows."""

    def __init__(self, over_time=None, over_rows=None, scale: float = 1.0):
        super().__init__()
        self.config = SimpleNamespace(vocab_size=17, context_length=12)
        self.wte = nn.Embedding(17, 6)
        self.head = nn.Linear(6, 17, bias=False)
        self.over_time, self.over_rows, self.scale = over_time, over_rows, scale

    def forward(self, ids):
        x = self.wte(ids)  # (B, T, 6)
        if self.over_time is not None:
            x = torch.einsum("ts,bsd->btd", self.over_time, x)
        if self.over_rows is not None:
            x = torch.einsum("ab,btd->atd", self.over_rows, x)
        return self.head(x) * self.scale


class _LeakInTheThirdRow(Mixer):
    """In the third row, and in no other, every position sees every token."""

    def forward(self, ids):
        logits = super().forward(ids)
        return torch.cat([logits[:2], logits[2:] + logits[2:].sum(1, keepdim=True)])


# ---------------------------------------------------------------------- 10.1


@exercise("10.1", title="The first loss", minutes=5, difficulty=1)
def first_loss(answer, check):
    model = small_model(vocab_size=100)
    ids = random_ids()

    def loss(model, inputs, targets):
        return torch.tensor(7.0, requires_grad=True)

    got = answer(model, loss, ids, ids)
    must_be_number(check, got)
    for wrong, slug, problem, hint in (
        (7.0, "not-subtracted", "that is the loss itself", "How far above ln V: subtract it."),
        (7 - math.log2(100), "logarithm", "the logarithm has base 2", "A loss in nats has the natural logarithm."),
        (7 - math.log10(100), "logarithm", "the logarithm has base 10", "A loss in nats has the natural logarithm."),
        (math.log(100) - 7, "swapped", "the sign is turned round", "A loss above ln V gives a number above 0."),
        (7 / math.log(100), "ratio", "that is a quotient", "Ask for the distance in nats: a difference."),
    ):
        check.that(not math.isclose(got, wrong, rel_tol=1e-5), slug=slug, problem=problem, hint=hint)
    check.close(got, 7 - math.log(100), slug="own-loss", hint="Take the number that `loss` gives, and no other: "
                "what is examined is the program's own loss. V is in the model's config.")  # fmt: skip
    check.close(answer(small_model(vocab_size=31), loss, ids, ids), 7 - math.log(31), slug="vocabulary",
                when="a vocabulary of 31", hint="V is in the model's config.")  # fmt: skip
    below = answer(model, lambda model, inputs, targets: torch.tensor(1.0), ids, ids)
    check.close(below, 1 - math.log(100), slug="below", hint="A loss below ln V gives a number below 0.")
    seen = []
    answer(model, lambda model, inputs, targets: seen.append((inputs, targets)) or torch.tensor(1.0), ids, ids + 1)
    check.equal(seen[0], (ids, ids + 1), slug="arguments", when="what `loss` was given",
                hint="`loss(model, inputs, targets)`, in this order.")  # fmt: skip
    minds_the_mode(check, model, lambda model: answer(model, loss, ids, ids))


# ---------------------------------------------------------------------- 10.2


@exercise("10.2", title="What really enters", minutes=12, difficulty=2)
def what_enters(answer, check):
    names = ["same", "next", "after_next", "padding", "ends", "distinct"]
    end, no = 9, IGNORED

    def ask(inputs, targets, end=end):
        return answer(torch.tensor(inputs), torch.tensor(targets), end)

    got = ask([[9, 1, 2, 3]], [[1, 2, 3, 9]])
    check.that(isinstance(got, dict) and sorted(got) == sorted(names), slug="keys",
               problem=f"the answer is {shown(got)}", hint=f"A dict with the keys {', '.join(names)}.")  # fmt: skip
    check.that(got["next"] != 0.0, slug="direction", problem="`next` is 0 for a batch that is as it should be",
               hint="targets[t] is inputs[t + 1]: compare targets[:, :-1] with inputs[:, 1:].")  # fmt: skip
    check.that(not math.isclose(got["next"], 3 / 4, rel_tol=1e-5), slug="row-ends",
               problem="at the last position there is no next input, and it was counted",
               hint="Leave positions without such an input out, below the fraction as well.")  # fmt: skip
    check.that(got["next"] != 100, slug="fraction", problem="that is a percentage", hint="A fraction, from 0 to 1.")
    expected = {"same": 0.0, "next": 1.0, "after_next": 0.0, "padding": 0.0, "ends": 1.0, "distinct": 1.0}
    check.close(got, expected, slug="healthy", hint="A whole story, every target the next input.")
    padded = [[9, 1, 2, 9, 9, 9], [9, 4, 5, 6, 7, 8]], [[1, 2, 9, no, no, no], [4, 5, 6, 7, 8, 9]]
    got = ask(*padded)
    check.that(not math.isclose(got["next"], 8 / 10, rel_tol=1e-5), slug="unscored",
               problem="positions that are not scored were counted", hint="Only where targets != -100.")  # fmt: skip
    check.close(got["padding"], 0.0, slug="padding", hint="Padding that is not scored is as it should be.")
    check.close(
        got, expected | {"after_next": 1 / 7}, slug="padded", hint="Padding that is not scored changes nothing."
    )
    got = ask(padded[0], [[1, 2, 9, 9, 9, 9], padded[1][1]])
    check.that(not math.isclose(got["padding"], 5 / 12, rel_tol=1e-5), slug="true-ends",
               problem="a story's own end counted as padding",
               hint="Padding is an end that is asked for where the input is an end already.")  # fmt: skip
    check.close(got["padding"], 3 / 12, slug="padding", hint="Scored ends behind an end, of all scored positions.")
    check.that(not math.isclose(got["ends"], 5 / 2, rel_tol=1e-5), slug="ends",
               problem="scored padding counted as an end",
               hint="`ends` are those that are no padding.")  # fmt: skip
    check.that(got["ends"] != 2, slug="ends-per-row", problem="the ends of two rows were not divided by the rows",
               hint="How many for each row.")  # fmt: skip
    check.close(got["ends"], 1.0, slug="ends", hint="Two true ends in two rows.")
    got = ask([[9, 1, 2], [9, 1, 2], [9, 1, 3]], [[1, 2, 4], [1, 2, 5], [1, 3, 4]])
    check.close(got["distinct"], 2 / 3, slug="distinct", hint="Rows of inputs: two different ones among three.")
    for _ in range(15):
        rows, time = check.random.randrange(1, 5), check.random.randrange(3, 7)
        inputs = [[check.random.choice((1, 2, 9)) for _ in range(time)] for _ in range(rows)]
        targets = [[check.random.choice((1, 2, 9, no)) for _ in range(time)] for _ in range(rows)]
        for line in targets:
            line[0] = 1
        check.close(ask(inputs, targets), _counted(inputs, targets, end), slug="random",
                    hint="Count a small batch by hand, position by position.")  # fmt: skip
        check.close(ask(inputs, targets, 2), _counted(inputs, targets, 2), slug="another-end",
                    hint="Which id ends a story, `end` says: here it is 2.")  # fmt: skip


def _counted(inputs, targets, end: int) -> dict[str, float]:
    """The same, position by position."""
    found = {}
    for further, name in enumerate(("same", "next", "after_next")):
        pairs = [(target, line[t + further]) for line, asked in zip(inputs, targets, strict=True)
                 for t, target in enumerate(asked) if target != IGNORED and t + further < len(line)]  # fmt: skip
        found[name] = sum(a == b for a, b in pairs) / len(pairs)
    flat = [pair for line, asked in zip(inputs, targets, strict=True) for pair in zip(line, asked, strict=True)]
    padding = flat.count((end, end))
    found["padding"] = padding / sum(target != IGNORED for _, target in flat)
    found["ends"] = (sum(target == end for _, target in flat) - padding) / len(inputs)
    return found | {"distinct": len({str(line) for line in inputs}) / len(inputs)}


# ---------------------------------------------------------------------- 10.8, 10.9


@exercise("10.8", title="A causality test", minutes=8, difficulty=2)
def future_leak(answer, check):
    ids = random_ids()
    model = small_model()
    must_be_number(check, answer(model, ids))
    check.that(answer(Mixer(torch.ones(8, 8)), ids) > 1e-3, slug="blind",
               problem="a model that sees everything gave 0",
               hint="Replace a token, and compare the logits before it with what they were.")  # fmt: skip
    got = answer(model, ids)
    check.that(got < 1e-4, slug="own-position", problem=f"a causal model gave {got:.3g}",
               hint="The logits at the replaced token and behind it may change. Only [:, :t] must not.")  # fmt: skip
    hint = "What sees one token ahead, or the last token alone, leaks as well: replace tokens at several places."
    check.that(answer(Mixer(torch.ones(8, 8).tril(1)), ids) > 1e-3, slug="one-ahead",
               problem="a model that sees one token ahead gave 0", hint=hint)  # fmt: skip
    for seen, slug in (([7], "last"), ([1], "second"), ([3, 4], "middle")):  # by the first position
        sees = torch.eye(8)
        sees[0, seen] = 1.0
        check.that(answer(Mixer(sees), ids) > 1e-3, slug=slug, hint=hint,
                   problem=f"a model whose first position sees the {slug} token gave 0")  # fmt: skip
    for sign in (1.0, -1.0):
        fixed = Mixer(torch.ones(8, 8) * sign)
        with torch.no_grad():  # a larger id has larger logits, all of them
            fixed.wte.weight.copy_(torch.arange(17.0)[:, None].expand(17, 6))
            fixed.head.weight.fill_(1.0)
        check.that(answer(fixed, torch.full((1, 8), 5)) > 1e-3, slug="absolute",
                   problem="a leak that makes all logits smaller gave 0 or less",
                   hint="A change may go either way: take its absolute value.")  # fmt: skip
    for token in range(17):
        check.that(answer(Mixer(torch.ones(8, 8)), torch.full((1, 8), token)) > 1e-3, slug="the-same-token",
                   problem=f"where all ids are {token} no leak was found",
                   hint="A token that is replaced by itself changes nothing: take one that depends on it.")  # fmt: skip
    sees = torch.eye(8)
    sees[3, 7] = 1.0
    one = Mixer(sees)
    with torch.no_grad():  # whatever stands in the last place but a 5 moves all logits of one position by 6
        one.wte.weight.fill_(1.0)
        one.wte.weight[5] = 0.0
        one.head.weight.fill_(1.0)
    check.close(answer(one, torch.full((2, 8), 5)), 6.0, slug="largest", when="one position moves, by 6",
                hint="The largest change of any logit: a mean hides a leak in one place.")  # fmt: skip
    check.that(answer(_LeakInTheThirdRow(torch.eye(8)), ids) > 1e-3, slug="every-row",
               problem="a leak in the last of three rows was not found", hint="All rows count.")  # fmt: skip
    full = torch.full((2, 8), 16)
    check.that(answer(model, full) < 1e-4, slug="own-position", hint="Ids of 16 are the last of the vocabulary.")
    check.that(answer(Mixer(torch.ones(2, 2)), ids[:, :2]) > 1e-3, slug="two-tokens",
               problem="in rows of two tokens no leak was found", hint="Replace the second token.")  # fmt: skip
    noisy = small_model(dropout=0.5).train()
    got = answer(noisy, ids)
    check.that(got < 1e-4, slug="dropout", problem=f"a causal model with dropout gave {got:.3g}",
               hint="Dropout makes any two passes differ. Switch it off meanwhile.")  # fmt: skip
    minds_the_mode(check, noisy, lambda model: answer(model, ids))


@exercise("10.9", title="A test of the rows", minutes=8, difficulty=2)
def row_leak(answer, check):
    ids = random_ids()
    model = small_model()
    got = answer(model, ids)
    must_be_number(check, got)
    check.that(got < 1e-6, slug="own-row", problem=f"a model whose rows know nothing of each other gave {got:.3g}",
               hint="The gradient of one row's logits, and of it what falls on all rows but that one.")  # fmt: skip
    for order, which in (
        ([0, 2, 2], "the one behind"), ([0, 0, 2], "the one before"), ([0, 1, 0, 3, 4], "the first"),
        ([0, 1, 4, 3, 4], "the last"),
    ):  # fmt: skip
        moved = Mixer(over_rows=torch.eye(len(order))[order])
        hint = f"Here the middle row's logits come from {which} alone: all of the gradient is there."
        check.close(answer(moved, random_ids(len(order))), 1.0, slug="all-rows", hint=hint)
    half = Mixer(over_rows=torch.ones(2, 2))
    got = answer(half, ids[:2])
    check.that(not math.isclose(got, 0.5, rel_tol=1e-4), slug="norm", problem="for two rows that count alike it is 0.5",
               hint="The norm of the others' part over the norm of the whole.")  # fmt: skip
    check.that(not math.isclose(got, 1.0, rel_tol=1e-4), slug="over-the-whole",
               problem="for two rows that count alike it is 1", hint="Divide by the norm in all rows.")  # fmt: skip
    check.close(got, math.sqrt(0.5), slug="fraction", hint="The root of a half, for two equal parts.")
    loud = Mixer(over_rows=torch.ones(2, 2), scale=100.0)
    check.close(answer(loud, ids[:2]), math.sqrt(0.5), slug="fraction", hint="A fraction does not depend on the scale.")
    check.that(not model.wte._forward_hooks, slug="hook", problem="a hook was left on the model",
               hint="`hook.remove()` when it has done its work.")  # fmt: skip
    check.that(all(p.grad is None for p in model.parameters()), slug="gradients",
               problem="the model's parameters have gradients now",
               hint="`torch.autograd.grad` returns gradients; `backward()` adds them to every parameter.")  # fmt: skip


# ---------------------------------------------------------------------- 10.10


@exercise("10.10", title="The first that differs", minutes=8, difficulty=2)
def first_difference(answer, check):
    good, ids = small_model(), random_ids()

    def changed(*places: str, by: float = 0.5) -> GPT:
        model = copy.deepcopy(good)
        for place in places:
            with torch.no_grad():
                model.get_submodule(place).weight.add_(by)
        return model

    got = answer(copy.deepcopy(good), good, ids)
    check.that(isinstance(got, tuple | list) and len(got) == 2, slug="a-pair", problem=f"the answer is {shown(got)}",
               hint='A name and a number; ("", 0.0) if nothing differs.')  # fmt: skip
    check.equal(tuple(got), ("", 0.0), slug="nothing", hint="The two are the same.")
    hint = "The first module in the order in which they finish: inner ones before those around them."
    for place in ("blocks.0.attn.proj", "blocks.1.mlp.fc", "ln_f"):
        check.equal(answer(changed(place), good, ids)[0], place, slug="first", hint=hint)
    got = answer(changed("blocks.1.ln_1", "blocks.0.mlp.proj"), good, ids)
    check.equal(got[0], "blocks.0.mlp.proj", slug="first", hint=hint)
    louder = copy.deepcopy(good)
    with torch.no_grad():
        for each in (louder.ln_f.weight, louder.ln_f.bias):
            each.mul_(1.25)
    check.close(answer(louder, good, ids)[1], 0.25, slug="relative", tolerance=1e-4,
                hint="The largest difference over the reference's largest absolute value.")  # fmt: skip
    rounded = changed("blocks.0.attn.proj", by=1e-6)
    check.equal(answer(rounded, good, ids)[0], "", slug="rounding", hint="Differences up to `tolerance` are rounding.")
    check.equal(answer(rounded, good, ids, 1e-9)[0], "blocks.0.attn.proj", slug="tolerance",
                hint="The tolerance is the caller's.")  # fmt: skip
    broken = changed("blocks.1.attn.qkv", by=math.nan)
    check.equal(answer(broken, good, ids)[0], "blocks.1.attn.qkv", slug="nan",
                hint="What is not a number differs, and compares as false with everything.")  # fmt: skip
    other = changed("blocks.1.mlp.proj")
    other.blocks[0].attn.extra = nn.Identity()
    other.blocks[0].attn.register_forward_pre_hook(lambda module, args: (module.extra(args[0]), None)[1])
    check.equal(answer(other, good, ids)[0], "blocks.1.mlp.proj", slug="only-one",
                hint="A module that the reference does not have has nothing to be compared with.")  # fmt: skip


# ---------------------------------------------------------------------- 10.16, 10.17


def same_batch(one, other) -> bool:
    return isinstance(one, tuple | list) and len(one) == 2 and all(map(torch.equal, one, other))


@exercise("10.16", title="Overfit one batch", minutes=5, difficulty=1, seconds=5)
def overfit(answer, check):
    model, batch, seen = small_model(), (random_ids(), random_ids() + 1), []
    before = copy.deepcopy(model.state_dict())
    losses = [4.0, 1.0, 0.5, 2.0, 3.0, 0.75]

    def train(student, loss, batches, steps, lr):
        for step in range(steps):
            seen.append((student, loss, next(batches), steps, lr))
            with torch.no_grad():
                for parameter in student.parameters():
                    parameter.mul_(0.5)
            yield losses[min(step, 5)], 1.0

    def loss(model, inputs, targets):
        return torch.tensor(99.0)

    got = answer(model, loss, train, batch, 6, 0.125)
    check.that(bool(seen), slug="not-trained", problem="train did not take a step",
               hint="A generator does nothing until somebody goes through it.")  # fmt: skip
    same = all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    check.that(same and all(each[0] is not model for each in seen), slug="original",
               problem="the model itself was trained", hint="Train a copy: `copy.deepcopy(model)`.")  # fmt: skip
    check.equal(len(seen), 6, slug="steps", when="the steps that were taken", hint="As many as `steps` says.")
    check.that(all(same_batch(each[2], batch) for each in seen), slug="batch", problem="train was given something else",
               hint="At every step the same pair (inputs, targets).")  # fmt: skip
    check.equal({each[3:] for each in seen}, {(6, 0.125)}, slug="settings", when="steps and lr that train was given",
                hint="`train(model, loss, batches, steps, lr)`.")  # fmt: skip
    check.that(all(each[1] is loss for each in seen), slug="own-loss", problem="train was given another loss",
               hint="The loss is handed on as it came.")  # fmt: skip
    for wrong, slug, problem, hint in (
        (4.0, "first", "that is the first loss", "The last one tells whether it has learned."),
        (0.5, "lowest", "that is the lowest loss", "The last one: what went down and up again has not learned."),
        (sum(losses) / 6, "mean", "that is the mean loss", "The last one alone."),
        (1.0, "norm", "that is the gradient's norm", "Of each pair the first number is the loss."),
    ):
        check.that(got != wrong, slug=slug, problem=problem, hint=hint)
    check.equal(got, 0.75, slug="last", hint="The loss of the last step.")


@exercise("10.17", title="How far the weights move", minutes=5, difficulty=1)
def update_ratios(answer, check):
    before = {"matrix": torch.tensor([[3.0, 4.0]]), "bias": torch.zeros(2), "still": torch.ones(2, 2)}
    after = {"matrix": torch.tensor([[3.0, 4.5]]), "bias": torch.ones(2), "still": torch.ones(2, 2)}
    got = answer(before, after)
    check.that(isinstance(got, dict) and "bias" not in got, slug="vectors", problem="it is no dict, or has a vector",
               hint="Only what has two dimensions or more.")  # fmt: skip
    check.equal(set(got), {"matrix", "still"}, slug="names", hint="Every matrix by its name, moved or not.")
    check.that(all(map(is_number, got.values())), slug="number", problem="a value is no plain number",
               hint="`.item()` makes a number of a tensor.")  # fmt: skip
    for wrong, slug, problem, hint in (
        (0.5, "not-divided", "that is the norm of the change", "Divide it by the norm of the weights."),
        (0.5 / math.hypot(3, 4.5), "over-after", "it was divided by the norm afterwards", "Divide by the norm before."),
        (math.hypot(3, 4.5) / 5 - 1, "norms-compared", "the two norms were compared",
         "A matrix can turn without growing: take the norm of the difference."),
        (0.01, "squared", "that is the square", "A norm is the root of the sum of squares."),
        (0.0625, "each-value", "the ratios of single values were averaged", "One norm over another, of all of it."),
    ):  # fmt: skip
        check.that(not math.isclose(got["matrix"], wrong, rel_tol=1e-4), slug=slug, problem=problem, hint=hint)
    check.close(got, {"matrix": 0.1, "still": 0.0}, slug="value", hint="Norm of the change over the norm before.")
    before, after = ({"w": torch.randn(4, 3)} for _ in range(2))
    rows = ((after["w"] - before["w"]).norm(dim=1) / before["w"].norm(dim=1)).mean().item()
    got = answer(before, after)["w"]
    check.that(not math.isclose(got, rows, rel_tol=1e-4), slug="each-row", problem="the ratios of rows were averaged",
               hint="One norm over another, of all of the matrix.")  # fmt: skip
    squares = [sum(x * x for line in each.tolist() for x in line) for each in (after["w"] - before["w"], before["w"])]
    check.close(got, math.sqrt(squares[0] / squares[1]), slug="all-values", tolerance=1e-4,
                hint="The root of the sum of all squares: `.norm()` as it is.")  # fmt: skip
    turned = answer({"w": torch.tensor([[1.0, 0.0]])}, {"w": torch.tensor([[0.0, 1.0]])})
    check.close(turned["w"], math.sqrt(2), slug="norms-compared", hint="Turned, and as long as before: it has moved.")
    deep = answer({"w": torch.full((2, 2, 2), 2.0)}, {"w": torch.full((2, 2, 2), 1.0)})
    check.close(deep, {"w": 0.5}, slug="dimensions", hint="Three dimensions: one norm over all of it.")
