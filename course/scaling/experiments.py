"""What is trained to learn about scale: each experiment a list of runs that differ in one or two things.

All are the storyteller's recipe with a few values changed, on stories that the grammar tells afresh, so that a run
reads no story twice unless that is what it is about. Used by `course.scaling.running`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from helpers.model import GPTConfig
from helpers.recipes import Recipe, get_recipe

FRESH = 200_000  # stories that are told for a run
STORIES_A_SEQUENCE = 2  # that are used up to fill one, on average: the second is cut where it is full
VOCABULARY = 2048  # of the bundled tokenizer
BATCH_TOKENS = 8 * 256  # that the storyteller's recipe reads in a step
SEEDS = (0, 1, 2)

WIDTHS = (24, 40, 64, 96, 128)  # of the grid's models; all have the storyteller's two layers of four heads
BUDGETS = (0.8e12, 1.6e12, 3.2e12, 6.4e12, 12.8e12)  # operations of a run: 6 N D
HELD_OUT = 144, 51.2e12  # a budget beyond the grid, at the width that the grid's first seed says is best for it

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
    stories: int = FRESH  # so many different ones; where they are too few they are read again
    mup_base: int | None = None  # the width that `course.scaling.mup` starts from; None: another parametrization

    def recipe(self) -> Recipe:
        """The recipe with this point's changes, on a CPU and silent until its end."""
        recipe = get_recipe(self.base)
        quiet = dict(eval_every=0, sample_every=0, log_every=max(self.steps // 20, 1), checkpoint_every=500)
        training = recipe.training.but(**quiet | ON_A_CPU | self.training, steps=self.steps, seed=self.seed)
        own = dict(tokenizer="bundled", vocab_multiple=1, stories="bundled", limit=None, validation_fraction=None)
        return replace(recipe, model=recipe.model | self.model, training=training, **own)

    def config(self) -> GPTConfig:
        """The shape of its model."""
        return self.recipe().config(VOCABULARY)


def multiplying(config: GPTConfig) -> int:
    """N, the weights that a token is multiplied by: the matrices of the blocks and the head.

    Looking up a row of an embedding multiplies nothing, and biases and norms are few. Counted so, 6 N D are the
    operations of a run that reads D tokens, but for those of attention between positions (Kaplan et al. 2020, "Scaling
    Laws for Neural Language Models", section 2.1, who leave out the head as well).
    """
    blocks = config.n_layer * (4 * config.d_model**2 + 2 * config.d_model * config.d_ff)
    return blocks + config.vocab_size * config.d_model


def steps_for(budget: float, parameters: int) -> int:
    """The steps of the storyteller's batches in which a model of N = `parameters` has used up a budget of 6 N D."""
    return round(budget / (6 * parameters * BATCH_TOKENS))


def of_width(width: int, budget: float, seed: int) -> Point:
    """A model of a width, trained for a budget of operations."""
    model = {"d_model": width}
    parameters = multiplying(Point("", 1, 0, model).config())
    steps = steps_for(budget, parameters)
    used = steps * BATCH_TOKENS // 256 * STORIES_A_SEQUENCE
    stories = FRESH if used < FRESH else 2 * FRESH  # none is read twice
    return Point(f"width{width}-budget{budget:.1e}-seed{seed}", steps, seed, model, stories=stories)


def grid() -> list[Point]:
    """Five widths at each of five budgets; the largest budget with one seed, the others with three."""
    return [
        of_width(width, budget, seed)
        for seed in SEEDS
        for budget in BUDGETS
        for width in WIDTHS
        if seed == 0 or budget < BUDGETS[-1]
    ]


def held_out() -> list[Point]:
    """One model with four times the largest budget, which no fit has seen."""
    return [of_width(*HELD_OUT, seed) for seed in SEEDS]


def repeats() -> list[Point]:
    """One model and one number of tokens, from fewer and fewer different stories (Muennighoff et al. 2023)."""
    return [
        Point(f"stories{stories}-seed{seed}", 1600, seed, {"d_model": 64}, stories=stories)
        for seed in SEEDS
        for stories in (FRESH, 8000, 4000, 2000, 1000, 500, 250, 125)
    ]


# What the published recipes become where 768 features are RECIPE_WIDTH: layers, heads and the ratio of learning rates
# stay, and all rates grow by 768 / RECIPE_WIDTH, because a narrow model takes larger steps. Batches hold about 4,096
# tokens, and no context is longer than the stories need.
RECIPE_WIDTH, RECIPE_BUDGET = 72, 6.4e12
FASTER = 768 / RECIPE_WIDTH
SMALL_RECIPES: dict[str, tuple[dict, dict]] = {
    "post-ln-sinusoidal": (dict(d_ff=4 * RECIPE_WIDTH), dict(lr=1e-4 * FASTER, epochs=None)),
    "two-layer": ({}, dict(lr=3e-4 * FASTER, epochs=None)),
    "context-512": (dict(context_length=256), dict(lr=3e-4 * FASTER, batch_size=12, epochs=None)),
    "eight-layer": (dict(context_length=256), dict(lr=1e-3 * FASTER, batch_size=16, epochs=None)),
    "gpt2-small": (dict(context_length=256), dict(lr=6e-4 * FASTER, batch_size=16, accumulation=1)),
    "storyteller": (dict(d_model=128), {}),
}


def recipes() -> list[Point]:
    """The recipes in their own proportions, at a size that fits, for the same operations."""
    return [_small_recipe(name, seed) for seed in SEEDS for name in SMALL_RECIPES]


def _small_recipe(name: str, seed: int) -> Point:
    model, training = SMALL_RECIPES[name]
    point = Point(f"{name}-seed{seed}", 1, seed, {"d_model": RECIPE_WIDTH} | model, training, base=name)
    config, data = point.config(), point.recipe().training.data
    batch = data.batch_size * data.accumulation * config.context_length
    return replace(point, steps=round(RECIPE_BUDGET / (6 * multiplying(config) * batch)))


MUP_WIDTHS, MUP_BASE, MUP_STEPS = (32, 64, 128), 32, 300
RATES = tuple(5e-4 * 2**k for k in range(8))


def rates() -> list[Point]:
    """Widths and learning rates of AdamW, in the standard parametrization and in muP (Yang et al. 2022)."""
    return [
        Point(
            f"{'mup' if base else 'standard'}-width{width}-rate{rate:.1e}-seed{seed}",
            MUP_STEPS,
            seed,
            {"d_model": width, "n_head": width // 16},  # heads of one size: then muP asks nothing of attention
            dict(kind="adamw", lr=rate, embedding_lr=None),
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
    "held-out": held_out,
    "repeats": repeats,
    "recipes": recipes,
    "rates": rates,
}
