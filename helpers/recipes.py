"""Named recipes: a model, its data and its training in one word.

    python -m course train --recipe storyteller --out runs/storyteller

A recipe is data. Every field of its model and its training can be changed with `--set key=value`.
"""

import difflib
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from helpers.errors import CourseError
from helpers.model import GPTConfig
from helpers.settings import TrainingSettings


@dataclass(frozen=True)
class Recipe:
    """How to make a model.

    Attributes:
        name, about: what it is called and what it is for, in a sentence.
        model: fields of `GPTConfig`, without the vocabulary's size, which is the tokenizer's.
        training: the `TrainingSettings`.
        tokenizer: "bundled", "gpt2", a path, or "trained:4096": a byte-level BPE of that many entries, trained on the
            recipe's own stories.
        stories: a source of `load_stories`.
        limit: only the first so many stories.
        held_out: None takes the source's own validation split; a share, such as 0.1, is held out of the
            training stories instead, by story, copies on the same side.
    """

    name: str
    about: str
    model: dict[str, Any]
    training: TrainingSettings = field(default_factory=TrainingSettings)
    tokenizer: str = "bundled"
    stories: str = "bundled"
    limit: int | None = None
    held_out: float | None = None

    def config(self, vocab_size: int) -> GPTConfig:
        """The model's configuration for a vocabulary."""
        return GPTConfig(vocab_size=vocab_size, **self.model)

    def as_dict(self) -> dict:
        """For JSON; `recipe_from` reads it."""
        return asdict(self)


def recipe_from(content: dict) -> Recipe:
    """The recipe that `as_dict` wrote."""
    return Recipe(**content | {"training": TrainingSettings(**content["training"])})


def _gpt2(size: str, **training) -> Recipe:
    config = GPTConfig.gpt2(size)
    batch = dict(rows="windows", batch_size=8, accumulation=60, steps=600_000, warmup=1 / 300)
    common = dict(learning_rate=6e-4, decay_embeddings=True, eval_every=1000)
    return Recipe(
        name=f"gpt2-{size}",
        about=f"GPT-2 {size}: {config.n_layer} layers, width {config.d_model}, as in the paper.",
        model={name: getattr(config, name) for name in ("n_layer", "n_head", "d_model", "context_length")},
        training=TrainingSettings(**batch | common | training),
        tokenizer="gpt2",
        stories="tinystories",
    )


def _wide(**changes) -> dict[str, Any]:
    """Twelve layers at GPT-2's small width, the shape most of the recipes start from."""
    return dict(n_layer=12, n_head=12, d_model=768) | changes


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="storyteller",
            about="The default: a small model that learns to tell stories in minutes on two processor cores.",
            # A head of its own and large first embeddings: with GPT-2's tied head every attention head first learns
            # to take the present token out of the stream, the opposite of copying, and no name is remembered.
            # Sinusoids to start from: one matrix then finds the place before, at all places alike, and names are
            # copied so soon that two layers, whose steps are short, get further than four in the same time.
            model=dict(
                n_layer=2,
                n_head=4,
                d_model=128,
                context_length=256,
                tied_head=False,
                embedding_std=1.0,
                first_positions="sinusoidal",
            ),
            training=TrainingSettings(
                batch_size=8,
                optimizer="muon",
                learning_rate=0.02,
                embedding_learning_rate=0.02,
                weight_decay=0.0,
                warmup=0.02,
                final=0.0,
                steps=1300,
                eval_every=100,
                sample_every=300,
            ),
        ),
        _gpt2("small"),
        _gpt2("medium", learning_rate=3e-4),
        _gpt2("large", learning_rate=2.5e-4, batch_size=4, accumulation=120),
        _gpt2("xl", learning_rate=2e-4, batch_size=2, accumulation=240),
        Recipe(
            name="post-ln-sinusoidal",
            about="The 2017 Transformer's decoder: post-LN, ReLU and sinusoidal positions at GPT-2's width.",
            model=_wide(
                d_ff=3072,
                dropout=0.1,
                context_length=128,
                norm="post",
                activation="relu",
                positions="sinusoidal",
            ),
            training=TrainingSettings(
                rows="windows",
                batch_size=32,
                learning_rate=1e-4,
                beta2=0.999,
                weight_decay=0.01,
                clip=1.0,
                epochs=5,
                eval_every=1000,
            ),
            tokenizer="gpt2",
            stories="tinystories",
            held_out=0.1,
        ),
        Recipe(
            name="two-layer",
            about="Two wide layers and an untied head on a tenth of TinyStories: many parameters, little depth.",
            model=_wide(n_layer=2, context_length=256, tied_head=False),
            training=TrainingSettings(
                batch_size=8, accumulation=2, learning_rate=3e-4, epochs=5, eval_every=500, sample_every=2000
            ),
            tokenizer="gpt2",
            stories="tinystories",
            limit=211_972,
            held_out=0.1,
        ),
        Recipe(
            name="context-512",
            about="GPT-2 small with half its context, long enough for every story.",
            model=_wide(context_length=512),
            training=TrainingSettings(batch_size=12, learning_rate=3e-4, epochs=10, eval_every=1000),
            tokenizer="gpt2",
            stories="tinystories",
        ),
        Recipe(
            name="eight-layer",
            about="Eight layers with four wide heads, and a high learning rate.",
            model=_wide(n_layer=8, n_head=4, context_length=512),
            training=TrainingSettings(batch_size=16, learning_rate=1e-3, epochs=5, eval_every=1000),
            tokenizer="gpt2",
            stories="tinystories",
        ),
        Recipe(
            name="tinystories-t4",
            about="Twelve layers for one hour on a T4, in float16.",
            model=dict(n_layer=12, n_head=8, d_model=512, context_length=512),
            training=TrainingSettings(
                batch_size=32,
                optimizer="muon",
                learning_rate=0.02,
                embedding_learning_rate=3e-3,
                final=0.02,
                seconds=3600,
                eval_every=500,
                sample_every=1000,
                precision="float16",
            ),
            tokenizer="trained:4096",
            stories="tinystories",
        ),
    )
}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        CourseError: there is none; the message lists those there are.
    """
    if name not in RECIPES:
        near = _nearest(name, RECIPES)
        raise CourseError(f"there is no recipe {name!r}{near}; there are {', '.join(RECIPES)}")
    return RECIPES[name]


# ---------------------------------------------------------------------- changing a recipe


def keys() -> dict[str, Any]:
    """What `--set` can change: each key and its type."""
    types = {each.name: each.type for each in fields(GPTConfig) if each.name != "vocab_size"}
    types |= {each.name: each.type for each in fields(TrainingSettings)}
    return types | {"tokenizer": str, "limit": int | None, "held_out": float | None}


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """The recipe with some values changed.

    Args:
        assignments: such as "n_layer=2" or "learning_rate=1e-3"; "none" clears what may be empty.

    Raises:
        CourseError: an unknown key (the message lists all), or a value of the wrong kind.
    """
    known, model, training, own = keys(), dict(recipe.model), {}, {}
    trained = {each.name for each in fields(TrainingSettings)}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals:
            raise CourseError(f"--set needs key=value, got {assignment!r}")
        if key not in known:
            raise CourseError(f"there is no key {key!r}{_nearest(key, known)}; the keys are {', '.join(sorted(known))}")
        value = _parse(key, text.strip(), known[key])
        part = own if key in ("tokenizer", "limit", "held_out") else training if key in trained else model
        part[key] = value
        if key in ("steps", "epochs", "seconds") and value is not None:
            training |= {other: None for other in ("steps", "epochs", "seconds") if other not in training}
    changed = replace(recipe, model=model, training=replace(recipe.training, **training), **own)
    length = changed.training
    if length.steps is None and length.epochs is None and length.seconds is None:
        raise CourseError("a run needs a length: set steps, epochs or seconds")
    changed.config(vocab_size=2)  # a shape that cannot be built is refused now
    if changed.limit is not None and changed.limit < 1:
        raise CourseError(f"limit must be at least 1, got {changed.limit}")
    if changed.held_out is not None and not 0 < changed.held_out < 1:
        raise CourseError(f"held_out must be between 0 and 1, got {changed.held_out}")
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


def _nearest(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
