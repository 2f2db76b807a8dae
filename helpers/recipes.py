"""Built in notebook 07: named recipes: a model, its data and its training in one word.

    python -m course train --recipe storyteller --out runs/storyteller

A recipe is data. Every field of its model and its training can be changed with `--set key=value`.
Used by `course.runs`, by the command line, and in notebooks 07, 08 and 13.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from helpers.errors import CourseError, did_you_mean
from helpers.model import GPTConfig
from helpers.settings import SETTINGS, TrainingSettings


@dataclass(frozen=True)
class Recipe:
    """How to make a model."""

    name: str  # what it is called
    about: str  # what it is for, in a sentence
    model: dict[str, Any]  # fields of `GPTConfig`, without the vocabulary's size, which is the tokenizer's
    training: TrainingSettings = field(default_factory=TrainingSettings)  # its hyperparameters
    tokenizer: str = "bundled"  # "bundled", "gpt2", a path, or "trained:4096": a BPE of that size, from its own stories
    stories: str = "bundled"  # a source of `load_stories`
    limit: int | None = None  # only the first so many stories
    validation_fraction: float | None = None  # None: the source's own validation split; or of the training stories
    vocab_multiple: int = 1  # while it trains the vocabulary has so many extra rows that this divides it

    def config(self, vocab_size: int) -> GPTConfig:
        """The configuration of the model that is trained, for a tokenizer of so many entries."""
        return GPTConfig(vocab_size=padded_size(vocab_size, self.vocab_multiple), **self.model)

    def as_dict(self) -> dict:
        """For JSON; `recipe_from` reads it."""
        return vars(self) | {"training": self.training.flat()}


def padded_size(entries: int, multiple: int) -> int:
    """The rows of a vocabulary that is filled up until `multiple` divides them."""
    return math.ceil(entries / multiple) * multiple


def recipe_from(content: dict) -> Recipe:
    """The recipe that `as_dict` wrote."""
    return Recipe(**content | {"training": TrainingSettings.of(**content["training"])})


# What a recipe for a GPU adds: each of them is chosen on the device, and on a CPU changes nothing.
FAST = dict(precision="auto", loss="auto", compile="auto")
PADDED = 128  # a round number to matrix units


def _gpt2(size: str, **training) -> Recipe:
    config = GPTConfig.gpt2(size)
    batch = dict(packing="windows", batch_size=8, accumulation=60, steps=600_000, warmup=1 / 300)
    common = dict(lr=6e-4, decay_embeddings=True, eval_every=1000)
    return Recipe(
        name=f"gpt2-{size}",
        about=f"GPT-2 {size}: {config.n_layer} layers, width {config.d_model}, as in the paper.",
        model={name: getattr(config, name) for name in ("n_layer", "n_head", "d_model", "context_length")},
        training=TrainingSettings.of(**FAST | batch | common | training),
        tokenizer="gpt2",
        stories="tinystories",
        vocab_multiple=PADDED,
    )


def _wide(**changes) -> dict[str, Any]:
    """Twelve layers at GPT-2's small width, the shape most of the recipes start from."""
    return dict(n_layer=12, n_head=12, d_model=768) | changes


# fmt: off
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="storyteller",
            about="The default: a small model that learns to tell stories in minutes on two CPU cores.",
            # A head of its own and large first embeddings: with GPT-2's tied head every attention head first learns
            # to take the present token out of the stream, the opposite of copying, and no name is remembered.
            # Sinusoids to start from: one matrix then finds the position before, at all positions alike, and names are
            # copied so soon that two layers, whose steps are short, get further than four in the same time.
            # A learning rate that falls in a straight line: the last skill to come, the toy's color, comes when a
            # cosine would already have let it fall too far.
            model=dict(
                n_layer=2, n_head=4, d_model=128, context_length=256,
                tied_head=False, embedding_std=1.0, first_positions="sinusoidal",
            ),
            training=TrainingSettings.of(
                kind="muon", lr=0.02, embedding_lr=0.02, weight_decay=0.0,
                shape="linear", warmup=0.02, final=0.0, steps=1600, batch_size=8, eval_every=100, sample_every=400,
            ),
        ),
        _gpt2("small"),
        _gpt2("medium", lr=3e-4),
        _gpt2("large", lr=2.5e-4, batch_size=4, accumulation=120),
        _gpt2("xl", lr=2e-4, batch_size=2, accumulation=240),
        Recipe(
            name="post-ln-sinusoidal",
            about="The 2017 Transformer's decoder: post-LN, ReLU and sinusoidal positions at GPT-2's width.",
            model=_wide(
                d_ff=3072, dropout=0.1, context_length=128, norm="post", activation="relu", positions="sinusoidal"
            ),
            training=TrainingSettings.of(
                lr=1e-4, beta2=0.999, weight_decay=0.01, clip=1.0, packing="windows", batch_size=32, epochs=5,
                eval_every=1000, **FAST,
            ),
            tokenizer="gpt2",
            stories="tinystories",
            validation_fraction=0.1,
            vocab_multiple=PADDED,
        ),
        Recipe(
            name="two-layer",
            about="Two wide layers and an untied head on a tenth of TinyStories: many parameters, little depth.",
            model=_wide(n_layer=2, context_length=256, tied_head=False),
            training=TrainingSettings.of(
                batch_size=8, accumulation=2, lr=3e-4, epochs=5, eval_every=500, sample_every=2000, **FAST
            ),
            tokenizer="gpt2",
            stories="tinystories",
            limit=211_972,
            validation_fraction=0.1,
            vocab_multiple=PADDED,
        ),
        Recipe(
            name="context-512",
            about="GPT-2 small with half its context, long enough for every story.",
            model=_wide(context_length=512),
            training=TrainingSettings.of(batch_size=12, lr=3e-4, epochs=10, eval_every=1000, **FAST),
            tokenizer="gpt2",
            stories="tinystories",
            vocab_multiple=PADDED,
        ),
        Recipe(
            name="eight-layer",
            about="Eight layers with four wide heads, and a high learning rate.",
            model=_wide(n_layer=8, n_head=4, context_length=512),
            training=TrainingSettings.of(batch_size=16, lr=1e-3, epochs=5, eval_every=1000, **FAST),
            tokenizer="gpt2",
            stories="tinystories",
            vocab_multiple=PADDED,
        ),
        # Sized by the time to a known loss (`course.bench.time_to_loss`): Stanford's CS336 sets 1.45 nats per token, or
        # 0.50 bits per byte, after 327,680,000 tokens as the target of a model with 17 million parameters in its
        # layers and its head. In twelve layers with no fewer than that, a token's operations are fewest at this width.
        Recipe(
            name="tinystories-t4",
            about="Twelve layers for one hour on a T4, in float16.",
            model=dict(n_layer=12, n_head=6, d_model=384, context_length=512),
            training=TrainingSettings.of(
                kind="muon", lr=0.02, embedding_lr=3e-3, final=0.02, seconds=3600, batch_size=32,
                eval_every=500, sample_every=1000, **FAST,
            ),
            tokenizer="trained:4096",
            stories="tinystories",
            limit=1_600_000,  # what an hour reads, roughly: the rest need not be turned into tokens
            vocab_multiple=PADDED,
        ),
        Recipe(
            name="tinystories-gpu",
            about="The same twelve layers on a large GPU: a batch four times as large, and no clock.",
            model=dict(n_layer=12, n_head=6, d_model=384, context_length=512),
            training=TrainingSettings.of(
                kind="muon", lr=0.02, embedding_lr=3e-3, final=0.02, steps=5000, batch_size=128,
                eval_every=250, sample_every=500, **FAST,
            ),
            tokenizer="trained:4096",
            stories="tinystories",
            limit=1_600_000,
            vocab_multiple=PADDED,
        ),
        Recipe(
            name="gpt2-tinystories",
            about="GPT-2 small for one hour on any GPU: what notebook 08 trains there.",
            model=_wide(context_length=1024),
            training=TrainingSettings.of(
                lr=6e-4, batch_size=8, accumulation=4, warmup=0.02, seconds=3600, eval_every=100, sample_every=200,
                checkpoint_every=100, **FAST,
            ),
            tokenizer="gpt2",
            stories="tinystories",
            vocab_multiple=PADDED,
        ),
        Recipe(
            name="twelve-thin-layers",
            about="As deep as GPT-2 and very thin, for a minute on a CPU: what notebook 08 trains there.",
            model=dict(
                n_layer=12, n_head=2, d_model=64, context_length=256,
                tied_head=False, embedding_std=1.0, first_positions="sinusoidal",
            ),
            training=TrainingSettings.of(
                kind="muon", lr=0.02, embedding_lr=0.02, weight_decay=0.0, shape="linear", warmup=0.02, final=0.0,
                steps=360, batch_size=8, eval_every=60, eval_stories=60, sample_every=0, checkpoint_every=60,
            ),
            limit=6000,
        ),
    )
}
# fmt: on


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        CourseError: there is none; the message lists those there are.
    """
    if name not in RECIPES:
        raise CourseError(f"there is no recipe {name!r}{did_you_mean(name, RECIPES)}; there are {', '.join(RECIPES)}")
    return RECIPES[name]


# ---------------------------------------------------------------------- changing a recipe

OWN = {
    "stories": str, "tokenizer": str, "limit": int | None, "validation_fraction": float | None, "vocab_multiple": int
}  # fmt: skip
MODEL = {each.name: each.type for each in fields(GPTConfig) if each.name != "vocab_size"}
LENGTHS = ("steps", "epochs", "seconds")


def keys() -> dict[str, Any]:
    """What `--set` can change: each key and its type."""
    return MODEL | {key: kind for key, (_, kind) in SETTINGS.items()} | OWN


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """The recipe with some values changed.

    Args:
        assignments: such as "n_layer=2" or "lr=1e-3"; "none" clears what may be empty.

    Raises:
        CourseError: an unknown key (the message lists all), or a value of the wrong kind.
    """
    known, model, training, own = keys(), dict(recipe.model), {}, {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals:
            raise CourseError(f"--set needs key=value, got {assignment!r}")
        if key not in known:
            said = f"there is no key {key!r}{did_you_mean(key, known)}"
            raise CourseError(f"{said}; the keys are {', '.join(sorted(known))}")
        value = _parse(key, text.strip(), known[key])
        part = own if key in OWN else training if key in SETTINGS else model
        part[key] = value
        if key in LENGTHS and value is not None:  # another length takes the place of the recipe's
            training = {other: None for other in LENGTHS} | training
    changed = replace(recipe, model=model, training=recipe.training.but(**training), **own)
    if changed.training.schedule.endless:
        raise CourseError("a run needs a length: set steps, epochs or seconds")
    for name in ("limit", "vocab_multiple"):
        if (value := getattr(changed, name)) is not None and value < 1:
            raise CourseError(f"{name} must be at least 1, got {value}")
    changed.config(vocab_size=2)  # a shape that cannot be built is refused now
    fraction = changed.validation_fraction
    if fraction is not None and not 0 < fraction < 1:
        raise CourseError(f"validation_fraction must be between 0 and 1, got {fraction}")
    return changed


def _parse(key: str, text: str, kind) -> Any:
    options = getattr(kind, "__args__", (kind,))
    if type(None) in options and text.lower() in ("none", ""):
        return None
    (kind,) = [option for option in options if option is not type(None)]
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if kind is int:
            return int(text.replace("_", ""))
        if kind is float:
            number = float(text)
            if not math.isfinite(number):
                raise ValueError
            return number
        return text
    except (ValueError, KeyError) as error:
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise CourseError(f"{key} needs {wanted}, got {text!r}") from error
