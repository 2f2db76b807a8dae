"""Built in notebook 07: named recipes: a model, its data and its training in one word.

    python -m course train --recipe storyteller --out runs/storyteller

A recipe is data: those of the course stand in `data/recipes.toml`. Every field of its model and its training can be
changed with `--set key=value`.
Used by `course.runs`, by the command line, and in notebooks 07, 08 and 13.
"""

import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from helpers.errors import CourseError, did_you_mean
from helpers.files import data_folder, regular
from helpers.model import GPTConfig
from helpers.modern import ModernConfig
from helpers.settings import SETTINGS, TrainingSettings

# Options that GPT-2 does not have: a recipe that names one makes a `helpers.modern.ModernGPT`.
NEWER = {each.name for each in fields(ModernConfig)} - {each.name for each in fields(GPTConfig)}


@dataclass(frozen=True)
class Recipe:
    """How to make a model."""

    name: str  # what it is called
    about: str  # what it is for, in a sentence
    model: dict[str, Any]  # fields of `GPTConfig` or `ModernConfig`, but for the vocabulary's size, the tokenizer's
    training: TrainingSettings = field(default_factory=TrainingSettings)  # its hyperparameters
    tokenizer: str = "bundled"  # "bundled", "gpt2", a path, or "trained:4096": a BPE of that size, from its own stories
    stories: str = "bundled"  # a source of `load_stories`
    limit: int | None = None  # only the first so many stories
    validation_fraction: float | None = None  # None: the source's own validation split; or of the training stories
    vocab_multiple: int = 1  # while it trains the vocabulary has so many extra rows that this divides it

    def config(self, vocab_size: int) -> GPTConfig:
        """The configuration of the model that is trained, for a tokenizer of so many entries."""
        kind = ModernConfig if NEWER & self.model.keys() else GPTConfig
        return kind(vocab_size=padded_size(vocab_size, self.vocab_multiple), **self.model)

    def as_dict(self) -> dict:
        """For JSON; `recipe_from` reads it."""
        return vars(self) | {"training": self.training.flat()}


def padded_size(entries: int, multiple: int) -> int:
    """The rows of a vocabulary that is filled up until `multiple` divides them."""
    return math.ceil(entries / multiple) * multiple


def recipe_from(content: dict) -> Recipe:
    """The recipe that `as_dict` wrote."""
    return Recipe(**content | {"training": TrainingSettings.of(**content["training"])})


# What `gpu = true` adds to a recipe: each of these is chosen on the device, and on a CPU changes nothing.
FAST = dict(precision="auto", loss="auto", compile="auto")
PADDED = 128  # a round number to matrix units


def read_recipes(path: str | Path) -> dict[str, Recipe]:
    """The recipes of a TOML file, by name.

    Raises:
        CourseError: the file cannot be read, or a recipe has a setting that there is not.
    """
    try:
        tables = tomllib.loads(regular(path).read_text(encoding="utf-8"))
        recipes = {}
        for name, table in tables.items():
            on_gpu = dict(training=FAST | table["training"], vocab_multiple=PADDED) if table.pop("gpu", False) else {}
            recipes[name] = recipe_from(dict(name=name) | table | on_gpu)
        return recipes
    except (OSError, TypeError, AttributeError, LookupError, ValueError) as error:  # ValueError: it is no TOML
        raise CourseError(f"{path} does not hold recipes: {error}") from error


RECIPES: dict[str, Recipe] = read_recipes(data_folder() / "recipes.toml")


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
MODEL = {each.name: each.type for each in fields(ModernConfig) if each.name != "vocab_size"}
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
