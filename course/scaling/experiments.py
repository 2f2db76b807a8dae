"""What is trained to learn about scale: each experiment a list of runs that differ in one or two things.

All are the storyteller's recipe with a few values changed, on stories that the grammar tells afresh, so that a run
reads no story twice unless that is what it is about. Used by `course.scaling.running`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from course.recipes import Recipe, get_recipe
from helpers.model import GPTConfig
from helpers.modern import ModernConfig

FRESH = 200_000  # stories that are told for a run
STORIES_A_SEQUENCE = 2  # that are used up to fill one, on average: the second is cut where it is full
VOCABULARY = 2048  # of the bundled tokenizer
BATCH_TOKENS = 8 * 256  # that the storyteller's recipe reads in a step
SEEDS = (0, 1, 2)

WIDTHS = (24, 40, 64, 96, 128)  # of the grid's models; all have the storyteller's two layers of four heads
BUDGETS = (0.4e12, 0.8e12, 1.6e12, 3.2e12, 6.4e12)  # operations of a run: 6 N D
RATE = 0.04  # at all sizes and lengths, twice the storyteller's, whose run is longer: `pilot` asks whether that is fair
PILOT_WIDTHS, PILOT_BUDGETS, PILOT_RATES = (40, 128), (1.6e12, 6.4e12), (0.02, 0.04, 0.08)

# Fixed before the runs of `held_out` were made: which runs are fitted, which are foretold. A model that has made few
# steps has not learned the skills whose coming makes the loss fall steeply, and lies on no power law.
FITTED_FROM, FITTED_STEPS = 0.8e12, 300  # the least budget and the fewest steps of a run that a law is fitted to
HELD_OUT = ((64, 12.8e12), (96, 12.8e12), (144, 12.8e12), (112, 25.6e12))  # widths and budgets that no fit has seen

ON_A_CPU = dict(precision="float32", loss="plain", compile="off")


@dataclass(frozen=True)
class Point:
    """One run of an experiment."""

    name: str  # what its line in the record is called
    steps: int
    seed: int
    model: dict = field(default_factory=dict)  # what differs from the recipe's model
    training: dict = field(default_factory=dict)  # and from its training
    base: str = "storyteller"  # the recipe
    stories: int = FRESH  # so many different ones, 100,000 sequences; where they are too few they are read again
    mup_base: int | None = None  # the width that `course.scaling.mup` starts from; None: another parametrization
    vocabulary: int = VOCABULARY  # entries of its tokenizer; another number than the bundled one's: trained for it
    may_diverge: bool = False  # whether it is a result, with no loss, when the loss is no longer a number
    prepare: Callable | None = None  # changes the model before it is trained
    measure: Callable | None = None  # from the trained model, tokenizer and texts to more for the record
    series: str = "scaling"  # the folder of its record, and of its run

    def recipe(self) -> Recipe:
        """The recipe with this point's changes, on a CPU and silent until its end."""
        recipe = get_recipe(self.base)
        quiet = dict(eval_every=0, sample_every=0, log_every=max(self.steps // 20, 1), checkpoint_every=500)
        training = recipe.training.but(**quiet | ON_A_CPU | self.training, steps=self.steps, seed=self.seed)
        own = dict(tokenizer="bundled", vocab_multiple=1, stories="bundled", limit=None, validation_fraction=None)
        return replace(recipe, model=recipe.model | self.model, training=training, **own)

    def config(self) -> GPTConfig:
        """The shape of its model."""
        return self.recipe().config(self.vocabulary)


def multiplying(config: GPTConfig) -> int:
    """N, the weights that a token is multiplied by: the matrices of the blocks and the head.

    Looking up a row of an embedding multiplies nothing, and biases and norms are few. Counted so, 6 N D are the
    operations of a run that reads D tokens, but for those of attention between positions (Kaplan et al. 2020, "Scaling
    Laws for Neural Language Models", section 2.1, who leave out the head as well).
    """
    attention, network = 4 * config.d_model**2, 2 * config.d_model * config.d_ff
    if isinstance(config, ModernConfig):
        attention = 2 * config.d_model * (config.d_model + config.n_kv_head * config.d_head)
        network += config.d_model * config.d_ff if config.swiglu else 0
        if config.n_expert:  # a token is read by some of them, and by the router
            network = config.top_k * network + config.d_model * config.n_expert
    return config.n_layer * (attention + network) + config.vocab_size * config.d_model


def steps_for(budget: float, parameters: int) -> int:
    """The steps of the storyteller's batches in which a model of N = `parameters` has used up a budget of 6 N D."""
    return round(budget / (6 * parameters * BATCH_TOKENS))


def of_width(width: int, budget: float, seed: int, rate: float = RATE) -> Point:
    """A model of a width, trained for a budget of operations."""
    parameters = multiplying(Point("", 1, 0, {"d_model": width}).config())
    name = f"width{width}-budget{budget:.1e}" + ("" if rate == RATE else f"-rate{rate}")
    rates = dict(lr=rate, embedding_lr=rate)
    return Point(f"{name}-seed{seed}", steps_for(budget, parameters), seed, {"d_model": width}, rates)


def grid() -> list[Point]:
    """Five widths at each of five budgets; the two largest budgets with one seed, the others with three."""
    return [
        of_width(width, budget, seed)
        for seed in SEEDS
        for budget in BUDGETS
        for width in WIDTHS
        if seed == 0 or budget < BUDGETS[-2]
    ]


def budget_of(row: dict) -> float:
    """The budget of a recorded run, of which whole steps use up a little more or less; each is twice the one before."""
    return BUDGETS[0] * 2 ** round(math.log2(row["operations"] / BUDGETS[0]))


def fitted(rows: list[dict]) -> list[dict]:
    """Of recorded runs of the grid those that a law is fitted to: chosen by what was spent, not by what came out."""
    return [row for row in rows if row["operations"] > 0.98 * FITTED_FROM and row["steps"] >= FITTED_STEPS]


def pilot() -> list[Point]:
    """The narrow and the wide, the short and the long, at half the grid's learning rate, at it and at twice it."""
    return [
        of_width(width, budget, 0, rate) for budget in PILOT_BUDGETS for width in PILOT_WIDTHS for rate in PILOT_RATES
    ]


def held_out() -> list[Point]:
    """Runs with twice and four times the grid's largest budget, two of them at widths that the grid does not have."""
    return [of_width(*each, 0) for each in HELD_OUT]


REPEATS_WIDTH, REPEATS_STEPS = 40, 800  # so many steps read 12,800 stories


def repeats() -> list[Point]:
    """One model and one number of tokens, from fewer and fewer different stories (Muennighoff et al. 2023)."""
    return [
        Point(
            f"stories{stories}-seed{seed}",
            REPEATS_STEPS,
            seed,
            {"d_model": REPEATS_WIDTH},
            dict(lr=RATE, embedding_lr=RATE),
            stories=stories,
        )
        for seed in SEEDS
        for stories in (FRESH, 6400, 3200, 1600, 800, 400)
    ]


# What the published recipes become where 768 features are RECIPE_WIDTH: layers, heads and the ratio of learning rates
# stay, and all rates grow by 768 / RECIPE_WIDTH, because a narrow model takes larger steps. No context is longer than
# the stories need, and all read BATCH_TOKENS a step: so small a budget in larger batches would be few steps.
RECIPE_WIDTH, RECIPE_BUDGET = 48, 1.6e12
SMALL_RECIPES: dict[str, tuple[dict, dict]] = {
    "post-ln-sinusoidal": (dict(d_ff=4 * RECIPE_WIDTH), dict(lr=1e-4, batch_size=16, epochs=None)),
    "two-layer": ({}, dict(lr=3e-4, batch_size=4, epochs=None)),
    "context-512": (dict(context_length=256), dict(lr=3e-4, batch_size=8, epochs=None)),
    "eight-layer": (dict(context_length=256), dict(lr=1e-3, batch_size=8, epochs=None)),
    "gpt2-small": (dict(context_length=256), dict(lr=6e-4, batch_size=8, accumulation=1)),
    "storyteller": ({}, dict(lr=RATE * RECIPE_WIDTH / 768, embedding_lr=RATE)),
}


def recipes() -> list[Point]:
    """The recipes' layers, heads and norms at one width that fits, for the same 6 N D as a run of the grid."""
    return [_small_recipe(name, seed) for seed in SEEDS for name in SMALL_RECIPES]


def _small_recipe(name: str, seed: int) -> Point:
    model, training = SMALL_RECIPES[name]
    training = training | dict(lr=round(training["lr"] * 768 / RECIPE_WIDTH, 6))
    point = Point(f"{name}-seed{seed}", 1, seed, {"d_model": RECIPE_WIDTH} | model, training, name)
    config, data = point.config(), point.recipe().training.data
    batch = data.batch_size * data.accumulation * config.context_length
    return replace(point, steps=round(RECIPE_BUDGET / (6 * multiplying(config) * batch)))


CHOICES_WIDTH, CHOICES_BUDGET = 40, 0.8e12
CHOICES: dict[str, tuple[dict, dict]] = {
    "tied head": (dict(tied_head=True), {}),
    "small embeddings": (dict(embedding_std=0.02), {}),
    "post-LN": (dict(norm="post"), {}),
    "eight layers": (dict(n_layer=8), {}),
    "batches of four": ({}, dict(accumulation=4)),
    **{f"AdamW at {rate}": ({}, dict(kind="adamw", lr=rate, embedding_lr=None)) for rate in (0.004, 0.012)},
}


def choices() -> list[Point]:
    """The storyteller with one choice changed, at the operations of a run of the grid, which is what it is held to."""
    found = []
    for seed in SEEDS:
        for name, (model, training) in CHOICES.items():
            training = dict(lr=RATE, embedding_lr=RATE) | training
            point = Point(f"{name}-seed{seed}", 1, seed, {"d_model": CHOICES_WIDTH} | model, training)
            batch = BATCH_TOKENS * point.recipe().training.data.accumulation
            steps = round(CHOICES_BUDGET / (6 * multiplying(point.config()) * batch))
            found.append(replace(point, steps=steps))
    return found


MUP_WIDTHS, MUP_BASE, MUP_STEPS, MUP_BATCH = (32, 64, 128), 32, 600, 4
RATES = tuple(1e-3 * 2**k for k in range(6))


def rates() -> list[Point]:
    """Widths and learning rates of AdamW, in the standard parametrization and in muP (Yang et al. 2022)."""
    return [
        Point(
            f"{'mup' if base else 'standard'}-width{width}-rate{rate:.1e}-seed{seed}",
            MUP_STEPS,
            seed,
            {"d_model": width, "n_head": width // 16},  # heads of one size: then muP asks nothing of attention
            dict(kind="adamw", lr=rate, embedding_lr=None, batch_size=MUP_BATCH),
            mup_base=base,
        )
        for seed in SEEDS
        for width in MUP_WIDTHS
        for base in (None, MUP_BASE)
        for rate in RATES
        if base is None or width != base  # at the base width both are the same
    ]


EXPERIMENTS: dict[str, Callable[[], list[Point]]] = {
    "grid": grid,
    "pilot": pilot,
    "held-out": held_out,
    "repeats": repeats,
    "recipes": recipes,
    "choices": choices,
    "rates": rates,
}
