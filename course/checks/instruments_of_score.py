"""Exercises of notebook 10 on instruments that hook into a model, and on those that ask whether a score is true."""

import itertools
import math
import statistics
from types import SimpleNamespace

import torch
from torch import nn

from course.checks.compare import as_number, is_pair, shown
from course.checks.exercise import exercise
from course.checks.instruments import minds_the_mode, must_be_number, random_ids, small_model
from helpers.kv_cache import KVCache, WithoutCache
from helpers.model import IGNORED

__all__ = [
    "saturated", "first_nonfinite", "uses_input", "train_eval_gap", "loss_by_position", "seeds_differ", "cache_gap",
]  # fmt: skip

# ---------------------------------------------------------------------- 10.18, 10.19, 10.20


@exercise("10.18", title="Dead and saturated units", minutes=10, difficulty=3)
def saturated(answer, check):
    ids = random_ids(rows=4)

    def model_with(*dead: tuple[int, int]):
        """No activation is flat but those of the named (layer, unit), which are so everywhere."""
        model = small_model()
        with torch.no_grad():
            for number, block in enumerate(model.blocks):
                block.mlp.fc.weight.zero_()
                block.mlp.fc.bias.fill_(-1.0)
                for unit in (unit for layer, unit in dead if layer == number):
                    block.mlp.fc.bias[unit] = -4.0
        return model

    got = answer(model_with(), ids)
    names = ["dead", "flat", "growth"]
    check.that(isinstance(got, dict) and sorted(got) == names, slug="keys", problem=f"the answer is {shown(got)}",
               hint="A dict with the keys flat, dead and growth.")  # fmt: skip
    for name in names:
        must_be_number(check, got[name])
    check.that(got["flat"] == got["dead"] == 0, slug="threshold", problem="activations of -1 count as flat",
               hint="What enters GELU, the output of `fc`, and the border is -3.")  # fmt: skip
    got = answer(model_with((0, 3), (0, 7), (1, 5)), ids)  # 2 layers of 32 units
    hint = "The features of both layers, all together: 3 of 64 here."
    check.that(got["flat"] != 0, slug="output-of-gelu", problem="activations of -4 do not count as flat",
               hint="What leaves GELU is never below -0.2. Look at what enters it.")  # fmt: skip
    check.close(got["dead"], 3 / 64, slug="dead", hint=hint)
    check.close(got["flat"], 3 / 64, slug="flat", hint=hint)
    high = model_with()
    with torch.no_grad():
        for block in high.blocks:
            block.mlp.fc.bias[5] = 4.0
    got = answer(high, ids)
    check.that(got["flat"] == got["dead"] == 0, slug="both-sides", problem="activations of 4 count as flat",
               hint="Above zero GELU hardly changes what it gets: gradients pass. Flat is below -3.")  # fmt: skip
    mixed = small_model(seed=3)
    with torch.no_grad():
        for block in mixed.blocks:
            block.mlp.fc.bias.sub_(2.0)
    flat, stream = _by_hand(mixed, ids)
    got = answer(mixed, ids)
    hint = "Dead are units, each in its layer, that are flat at every position of every row."
    for wrong, slug, problem in (
        (flat.any(dim=2).any(dim=1), "anywhere", "units that are flat somewhere count as dead"),
        (flat.all(dim=2), "each-row", "units count that are flat in one row only"),
        (flat[:1].all(dim=(1, 2)), "one-layer", "only the first layer was counted"),
    ):
        share = wrong.float().mean().item()
        check.that(not math.isclose(got["dead"], share, rel_tol=1e-5), slug=slug, problem=problem, hint=hint)
    check.close(got["dead"], flat.all(dim=(1, 2)).float().mean().item(), slug="dead", hint=hint)
    check.close(got["flat"], flat.float().mean().item(), slug="flat", hint="Over all values of all layers.")
    growth = (stream[-1].std() / stream[0].std()).item()
    for wrong, slug, problem, hint in (
        (1 / growth, "upside-down", "the growth is turned round", "Above over below."),
        ((stream[-2].std() / stream[0].std()).item(), "last-block", "what leaves the first block was taken",
         "The last block: the highest."),
        ((mixed.ln_f(stream[-1]).std() / stream[0].std()).item(), "final-norm", "it was measured behind the last "
         "LayerNorm", "A LayerNorm takes all growth away. Measure what leaves the last block."),
        (growth**2, "variance", "variances were compared", "Standard deviations."),
    ):  # fmt: skip
        check.that(not math.isclose(got["growth"], wrong, rel_tol=1e-4), slug=slug, problem=problem, hint=hint)
    check.close(
        got["growth"],
        growth,
        slug="growth",
        tolerance=1e-4,
        hint="The standard deviation of what leaves the last block over that of what leaves `wte`: no norms, no means.",
    )


@torch.no_grad()
def _by_hand(model, ids) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Where what enters GELU is below -3, (layers, B, T, d_ff); the tokens' vectors and what leaves each block."""
    x, flat, stream = model.embed(ids), [], [model.wte(ids)]
    for block in model.blocks:
        middle = x + block.attn(block.ln_1(x))
        flat.append(block.mlp.fc(block.ln_2(middle)) < -3)
        x = block(x)
        stream.append(x)
    return torch.stack(flat), stream


@exercise("10.19", title="Where it stops being a number", minutes=4, difficulty=1)
def first_nonfinite(answer, check):
    ids = random_ids()
    check.equal(answer(small_model(), ids), "", slug="healthy", hint="An empty text where all is finite.")
    hint = (
        "In the order in which modules finish: inner ones before those around them, the first block before the second."
    )
    for value, slug in ((math.nan, "first"), (math.inf, "infinity"), (-math.inf, "infinity")):
        for place in ("blocks.0.mlp.fc", "blocks.1.attn.proj", "ln_f"):
            model = small_model()
            with torch.no_grad():
                model.get_submodule(place).bias[2] = value
            check.equal(answer(model, ids), place, slug=slug, when=f"one value of {place} is {value}",
                        hint=hint if slug == "first" else "An infinity is not finite, whatever its sign.")  # fmt: skip
    model = small_model()
    with torch.no_grad():
        model.wpe.weight[7, 0] = math.nan  # of the last position alone
    check.equal(answer(model, ids), "wpe", slug="one-value", hint="One value anywhere is enough.")

    class Outside(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte = nn.Embedding(17, 4)

        def forward(self, ids):
            return self.wte(ids) / 0.0

    check.equal(
        answer(Outside(), ids),
        "the model",
        slug="the-model",
        hint='All modules inside are fine, and the model itself, whose name is empty, is not: "the model".',
    )


@exercise("10.20", title="Does it look at its input", minutes=4, difficulty=1)
def uses_input(answer, check):
    model, inputs, targets, seen = small_model(), random_ids() + 1, random_ids(4), []

    def loss(model, given, asked):
        seen.append((given, asked, model.training))
        return torch.tensor(5.0 if not given.any() else 2.0)

    got = answer(model.train(), loss, inputs, targets)
    must_be_number(check, got)
    given = [each for each, _, _ in seen]
    check.that(any(not each.any() for each in given), slug="zeros", problem="inputs were never all 0",
               hint="All inputs the same token, 0.")  # fmt: skip
    check.that(any(torch.equal(each, inputs) for each in given), slug="true-inputs", problem="true inputs are missing",
               hint="One of the two losses has the inputs as they are.")  # fmt: skip
    check.that(all(torch.equal(asked, targets) for _, asked, _ in seen), slug="targets", problem="targets were changed",
               hint="The targets stay the same in both.")  # fmt: skip
    check.that(all(each.dtype == inputs.dtype and each.shape == inputs.shape for each in given), slug="zeros",
               problem="the zeros have another shape or type", hint="torch.zeros_like keeps both.")  # fmt: skip
    check.that(got != -3, slug="swapped", problem="the sign is turned round", hint="Without the input, less with it.")
    check.close(got, 3.0, slug="difference", hint="A difference of two losses, in nats.")
    better = answer(model, lambda model, given, asked: torch.tensor(4.0 if given.any() else 1.0), inputs, targets)
    check.close(better, -3.0, slug="negative", when="a model that does better without its input",
                hint="Without the input, less with it, whatever the sign.")  # fmt: skip
    check.that(not any(training for *_, training in seen), slug="dropout", problem="the model was in training mode",
               hint="Dropout has nothing to do here: `with evaluating(model):`.")  # fmt: skip
    minds_the_mode(check, model, lambda model: answer(model, loss, inputs, targets))


# ---------------------------------------------------------------------- 10.32, 10.33, 10.34


@exercise("10.32", title="Train against eval", minutes=6, difficulty=2)
def train_eval_gap(answer, check):
    model, seen = small_model(), []

    def score(model):
        modes = {module.training for module in model.modules()}
        check.that(len(modes) == 1, slug="inside", when="while the score is computed",
                   problem="the model and its modules are in different modes",
                   hint="`model.train(mode)` tells all modules inside. Setting `model.training` does not.")  # fmt: skip
        seen.append(model.training)
        return 3.0 if model.training else 2.5

    got = answer(model.eval(), score)
    must_be_number(check, got)
    check.that(True in seen, slug="training", problem="the score never saw the model in training mode",
               hint="`model.train(True)` before one of the calls.")  # fmt: skip
    check.that(False in seen, slug="evaluation", problem="the score never saw the model in evaluation mode",
               hint="`model.train(False)`, which is `model.eval()`, before one of the calls.")  # fmt: skip
    check.that(got != -0.5, slug="swapped", problem="the sign is turned round", hint="Training less evaluation.")
    check.close(got, 0.5, slug="difference", hint="Training less evaluation.")
    check.close(answer(model, lambda model: 1.0 if model.training else 4.0), -3.0, slug="absolute",
                hint="A score may be better in training mode: the sign says so.")  # fmt: skip
    minds_the_mode(check, model, lambda model: answer(model, score))

    def careless(model):  # leaves the mode that it needs
        found = 3.0 if model.training else 2.5
        model.train(not model.training)
        return found

    for training in (True, False):
        check.close(answer(model.train(training), careless), 0.5, slug="set-before-each",
                    when="a score that changes the mode", hint="Set the mode before each call.")  # fmt: skip
    minds_the_mode(check, model, lambda model: answer(model, careless))


class _Fixed(nn.Module):
    """The same logits at a position, whatever is read; noise on them in training mode."""

    def __init__(self, context_length: int = 6):
        super().__init__()
        self.config = SimpleNamespace(vocab_size=5, context_length=context_length)
        self.logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(1)) * 2

    def forward(self, ids):
        logits = self.logits[: ids.shape[1]].expand(len(ids), -1, -1)
        return logits + torch.randn_like(logits) if self.training else logits


@exercise("10.33", title="The loss by position", minutes=8, difficulty=2)
def loss_by_position(answer, check):
    model, no = _Fixed().eval(), IGNORED
    batches = [(torch.tensor(ids), torch.tensor(targets)) for ids, targets in (
        ([[1, 2, 3, 4], [1, 2, 3, 4]], [[2, 3, 4, no], [0, 1, no, no]]),
        ([[1, 2, 3, 4, 0]], [[2, 2, 2, 2, 2]]),
    )]  # fmt: skip
    log_probs = model.logits.log_softmax(-1)
    losses = [[] for _ in range(6)]
    for _, targets in batches:
        for line in targets.tolist():
            for t, target in enumerate(line):
                if target != no:
                    losses[t].append(-float(log_probs[t, target]))
    counts = [len(each) for each in losses]
    expected = [(statistics.fmean(each), len(each)) if each else (math.nan, 0) for each in losses]
    got = answer(model, batches)
    check.that(isinstance(got, list | tuple) and len(got) == 6, slug="length", problem=f"{len(got)} positions",
               hint="As many as the model's context is long, also where no row reaches.")  # fmt: skip
    check.that(all(isinstance(each, tuple | list) and len(each) == 2 for each in got), slug="pairs",
               problem=f"the first is {shown(got[0])}", hint="A mean and a count for each position.")  # fmt: skip
    found = [each[0] for each in got]
    check.equal([each[1] for each in got], counts, slug="counts",
                hint="How many targets were scored at each position: -100 is none, and rows may be short.")  # fmt: skip
    of_means = (statistics.fmean(losses[0][:2]) + losses[0][2]) / 2
    check.that(not math.isclose(found[0], of_means, rel_tol=1e-5), slug="mean-of-means",
               problem="the batches' means were averaged", hint="Two rows count twice as much as one.")  # fmt: skip
    check.that(not math.isclose(found[2], sum(losses[2]) / 3, rel_tol=1e-5), slug="divided-by-rows",
               problem="it was divided by the rows", hint="Divide by the targets that were scored there.")  # fmt: skip
    check.that(not math.isclose(found[0], sum(losses[0]), rel_tol=1e-5), slug="sum", problem="that is the sum",
               hint="A mean: divide by the count.")  # fmt: skip
    empty = as_number(found[5])
    check.that(empty is not None and math.isnan(empty), slug="nothing-scored",
               problem=f"where nothing was scored it is {shown(found[5])}",
               hint="A mean of nothing is nan, not 0.")  # fmt: skip
    check.close(
        found[:5], [mean for mean, _ in expected[:5]], slug="value", hint="-log p of the target, position by position."
    )
    check.close([each[0] for each in answer(model, iter(batches))][:5],
                [each[0] for each in expected[:5]], slug="iterator",
                hint="Batches may be an iterator, which can be gone through once.")  # fmt: skip
    check.equal(len(answer(_Fixed(5).eval(), batches)), 5, slug="length", when="a context of 5: how many pairs",
                hint="As many as the model's context is long.")  # fmt: skip
    noisy = [mean for mean, _ in answer(model.train(), batches)]
    check.close(noisy[:5], [mean for mean, _ in expected[:5]], slug="dropout", when="a model in training mode",
                hint="Score in evaluation mode: `with evaluating(model):`.")  # fmt: skip
    minds_the_mode(check, model, lambda model: answer(model, batches))


@exercise("10.34", title="Two settings, some seeds", minutes=6, difficulty=1)
def seeds_differ(answer, check):
    one, other = [1.0, 2.0, 3.0], [4.0, 8.0]
    got = answer(one, other)
    check.that(is_pair(got), slug="a-pair", problem=f"the answer is {shown(got)}",
               hint="The difference, and its standard error.")  # fmt: skip
    difference, error = got
    check.that(difference != -4, slug="swapped", problem="the sign is turned round", hint="`other` less `one`.")
    check.close(difference, 4.0, slug="difference", hint="The difference of the two means.")
    right = math.sqrt(1 / 3 + 8 / 2)
    for wrong, slug, problem, hint in (
        (math.sqrt(2 / 3 / 3 + 4 / 2), "population", "the variances are divided by n", "A sample has n - 1 below."),
        (right**2, "squared", "that is the squared standard error", "Take the root."),
        (3.0, "deviation", "that is how far single runs scatter", "Divide each variance by its number of runs."),
        (math.sqrt(1 / 3) + math.sqrt(8 / 2), "added", "two standard errors were added", "Squares add, errors do not."),
        (math.sqrt(1 / 2 + 8 / 3), "crossed", "each was divided by the other's number", "Each by its own number."),
        (math.sqrt(1 / 3), "one-only", "the second setting's scatter is missing", "Both means are uncertain."),
        (math.sqrt(8 / 2), "one-only", "the first setting's scatter is missing", "Both means are uncertain."),
    ):  # fmt: skip
        check.that(not math.isclose(error, wrong, rel_tol=1e-6), slug=slug, problem=problem, hint=hint)
    check.close(error, right, slug="error", hint="The root of the sum of variance over number, of both.")
    check.close(answer(other, one), (-4.0, right), slug="difference", hint="The difference has a sign.")
    for _ in range(10):
        samples = [[check.random.gauss(1, 2) for _ in range(check.random.randrange(2, 6))] for _ in range(2)]
        means = [sum(each) / len(each) for each in samples]
        squares = [sum((x - mean) ** 2 for x in each) / (len(each) - 1) / len(each)
                   for each, mean in zip(samples, means, strict=True)]  # fmt: skip
        check.close(answer(*samples), (means[1] - means[0], math.sqrt(sum(squares))), slug="random",
                    hint="Means, variances over n - 1, each over its own n.")  # fmt: skip


# ---------------------------------------------------------------------- 10.40


class _OffAt:
    """A cache that is right, but for one logit of one row at one call, which is off by so much."""

    def __init__(self, model, call: int, row: int, by: float):
        self.cache, self.calls, self.at, self.by = KVCache(model), 0, (call, row), by

    def _told(self, logits):
        logits = logits.clone()
        if self.calls == self.at[0]:
            logits[self.at[1], 3] += self.by
        self.calls += 1
        return logits

    def start(self, sequences):
        return self._told(self.cache.start(sequences))

    def append(self, tokens):
        return self._told(self.cache.append(tokens))

    def reorder(self, numbers):
        self.cache.reorder(numbers)


class _Listening(KVCache):
    """A right cache that remembers what it was given to append."""

    def __init__(self, model):
        super().__init__(model)
        self.appended: list[list[int]] = []
        self.orders: list[list[int]] = []

    def append(self, tokens):
        self.appended.append([int(token) for token in tokens])
        return super().append(tokens)

    def reorder(self, numbers):
        self.orders.append([int(number) for number in numbers])
        super().reorder(numbers)


class _Unmoved(KVCache):
    """Sequences change places, and what is kept of them does not."""

    def reorder(self, numbers):
        self.sequences = [list(self.sequences[number]) for number in numbers]


@exercise("10.40", title="With and without the cache", minutes=12, difficulty=3)
def cache_gap(answer, check):
    model = small_model()
    ids = torch.randint(17, (3, 12), generator=torch.Generator().manual_seed(4)).tolist()
    sequences = [ids[0][:8], ids[1][:11], ids[2]]  # 4, 5 and 6 ids begin; 4 follow
    asked = _Listening(model)
    got = answer(model, asked, sequences)
    must_be_number(check, got)
    check.that(0 <= got < 1e-3, slug="own-ids", problem=f"a cache that is right gave {got:.3g}",
               hint="Both readers get the same ids: after the reverse, row j is sequence order[j].")  # fmt: skip
    check.that(asked.orders == [[2, 1, 0]], slug="reorder", problem=f"the cache was reordered: {asked.orders}",
               hint="After the first halves, once: the last row first, as beam search does.")  # fmt: skip
    follows = [sequence[len(sequence) // 2 :] for sequence in sequences[::-1]]
    expected = [list(tokens) for tokens in zip(*follows, strict=False)]
    in_order = [tokens[::-1] for tokens in expected]
    check.that(asked.appended != in_order, slug="others-ids", problem="rows went on with another sequence's tokens",
               hint="After the reverse, row j is sequence order[j]: so is what follows it.")  # fmt: skip
    check.equal(asked.appended, expected, slug="appended", when="the tokens that the cache was given, step by step",
                hint="The second half of each sequence, a token at a time, as many as the shortest has.")  # fmt: skip
    for by in (2.0, -2.0):
        check.close(answer(model, _OffAt(model, 0, 0, by), sequences), 2.0, slug="start" if by > 0 else "absolute",
                    tolerance=1e-3, when=f"a cache whose first logits are off by {by:g}",
                    hint="Compare what `start` returns, too, and take absolute values.")  # fmt: skip
    for call, row in itertools.product((1, 2, 4), (0, 2)):
        check.close(answer(model, _OffAt(model, call, row, 2.0), sequences), 2.0, slug="every-step", tolerance=1e-3,
                    when=f"a cache that is off by 2 after {call} tokens, in row {row}",
                    hint="Every step and every row: as many tokens as the shortest remainder has.")  # fmt: skip
    check.that(answer(model, _Unmoved(model), sequences) > 0.1, slug="reorder",
               problem="a cache that forgets to reorder its keys and values gave no gap",
               hint="Change the order of the rows on the way, as beam search does.")  # fmt: skip
    check.that(answer(model, WithoutCache(model), sequences) < 1e-5, slug="own-ids",
               problem="no cache, compared with no cache, differs", hint="Ask both readers the same.")  # fmt: skip
    longer = [ids[0][:4], ids[1]]
    check.close(answer(model, _OffAt(model, 2, 1, 2.0), longer), 2.0, slug="every-step", tolerance=1e-3,
                when="2 tokens follow in the shortest", hint="The shortest remainder decides: 2 here.")  # fmt: skip
    check.close(answer(model, _OffAt(model, 6, 2, 2.0), ids), 2.0, slug="every-step", tolerance=1e-3,
                when="6 tokens follow", hint="As many steps as the shortest remainder has.")  # fmt: skip
    noisy = small_model(dropout=0.5)
    check.that(answer(noisy.train(), KVCache(noisy), sequences) < 1e-3, slug="dropout",
               problem="with dropout a right cache differs", hint="Evaluation mode for both.")  # fmt: skip
    minds_the_mode(check, noisy, lambda noisy: answer(noisy, KVCache(noisy), sequences))
