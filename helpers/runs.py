"""From a recipe to a run: its stories, tokens, model and sampler, ready to train or to go on."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from helpers.batches import StorySampler, WindowSampler
from helpers.checkpoints import load_training_state
from helpers.errors import CourseError
from helpers.evaluation import story_rows
from helpers.files import runs_folder
from helpers.model import GPT
from helpers.recipes import Recipe, get_recipe, recipe_from
from helpers.settings import TrainingSettings
from helpers.stories import in_validation, load_stories
from helpers.token_files import TokenFile, tokenize_stories
from helpers.tokenizer import Tokenizer, load_tokenizer
from helpers.training import Training, TrainingResult

KNOWN_SIZES = {"bundled": 2048, "gpt2": 50257}  # entries, so that a plan needs no download


@dataclass
class Plan:
    """What a recipe will do, known before anything is read or trained; numbers are None where unknown."""

    parameters: int
    tokens_per_step: int
    steps: int | None
    tokens: int | None


def plan(recipe: Recipe) -> Plan:
    """Size and cost of a recipe, without loading its data."""
    size = KNOWN_SIZES.get(recipe.tokenizer) or load_tokenizer(recipe.tokenizer).vocab_size
    config = recipe.config(size)
    with torch.device("meta"):  # shapes without memory
        parameters = GPT(config).parameter_count()
    training = recipe.training
    per_step = training.batch_size * training.accumulation * config.context_length
    steps = training.steps
    return Plan(parameters, per_step, steps, None if steps is None else per_step * steps)


@dataclass
class Prepared:
    """Everything a run needs: `Training(model, sampler, recipe.training, ...)`."""

    recipe: Recipe
    model: GPT
    tokenizer: Tokenizer
    tokens: TokenFile
    sampler: StorySampler | WindowSampler
    validation: list[list[int]]
    description: str


class _Side:
    """The stories of one side of a split, read again each time and never all at once."""

    def __init__(self, stories: Iterable[str], share: float, validation: bool):
        self.stories, self.share, self.validation = stories, share, validation

    def __iter__(self) -> Iterator[str]:
        return (text for text in self.stories if in_validation(text, self.share) == self.validation)


def prepare(recipe: Recipe, device: str | torch.device = "cpu", progress: bool = True) -> Prepared:
    """Load stories and tokenizer, tokenise (once; kept in the runs folder), build the model from its seed."""
    tokenizer = load_tokenizer(recipe.tokenizer)
    config = recipe.config(tokenizer.vocab_size)
    stories = load_stories(recipe.stories, "train", recipe.limit)
    number, train, held_out = recipe.training.eval_stories, stories, []
    if recipe.held_out is not None:
        train = _Side(stories, recipe.held_out, validation=False)
        held_out = list(islice(_Side(stories, recipe.held_out, validation=True), number))
    # Files of one's own come split in this very way: then there is nothing more to hold out.
    held_out = held_out or list(load_stories(recipe.stories, "validation", number))
    tokens = tokenize_stories(train, tokenizer, runs_folder() / "tokens", progress=progress)
    validation = story_rows(tokenizer, held_out)
    torch.manual_seed(recipe.training.seed)
    model = GPT(config).to(device)
    return Prepared(
        recipe,
        model,
        tokenizer,
        tokens,
        make_sampler(tokens, recipe.training, config.context_length),
        validation,
        stories.description,
    )


def make_sampler(
    tokens: TokenFile, settings: TrainingSettings, context_length: int
) -> StorySampler | WindowSampler:
    """The sampler that the settings name."""
    if settings.rows == "windows":
        return WindowSampler(tokens, settings.batch_size, context_length, settings.seed)
    fill = settings.rows == "filled"
    return StorySampler(tokens, settings.batch_size, context_length, settings.seed, fill=fill)


def training_of(
    prepared: Prepared,
    folder: str | Path | None = None,
    callback: Callable[[dict], bool | None] | None = None,
    progress: bool = True,
) -> Training:
    """A run ready to start, or to `resume`."""
    return Training(
        prepared.model,
        prepared.sampler,
        prepared.recipe.training,
        tokenizer=prepared.tokenizer,
        validation=prepared.validation,
        folder=folder,
        callback=callback,
        progress=progress,
        about={"recipe": prepared.recipe.as_dict()},
    )


def train_recipe(
    recipe: Recipe | str,
    folder: str | Path | None = None,
    device: str | torch.device = "cpu",
    callback: Callable[[dict], bool | None] | None = None,
    progress: bool = True,
) -> tuple[Prepared, TrainingResult]:
    """From a recipe to a trained model: `prepare`, then train.

    Returns:
        What was prepared, its model now trained, and how it went.
    """
    recipe = get_recipe(recipe) if isinstance(recipe, str) else recipe
    prepared = prepare(recipe, device, progress)
    return prepared, training_of(prepared, folder, callback, progress).run()


def resume(
    folder: str | Path,
    device: str | torch.device = "cpu",
    callback: Callable[[dict], bool | None] | None = None,
    progress: bool = True,
) -> Training:
    """The run of a folder, ready to go on where it stopped: call its `run`.

    Raises:
        CourseError: there is no unfinished run in the folder, or its stories are no longer the same.
    """
    about = load_training_state(folder)["about"]
    if "recipe" not in about:
        raise CourseError(f"the run in {folder} was not started from a recipe: resume it in its own code")
    prepared = prepare(recipe_from(about["recipe"]), device, progress)
    return training_of(prepared, folder, callback, progress).resume()
