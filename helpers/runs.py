"""From a recipe to a run: its stories, tokens, model and sampler, ready to train or to go on."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path

import torch

from helpers.checkpoint import load_model, load_state, put_weights, remove_states, saved_states
from helpers.dataset import StorySampler, TokenFile, WindowSampler, tokenize_stories
from helpers.distributed import ALONE, Processes
from helpers.errors import CourseError
from helpers.evaluation import story_rows
from helpers.files import runs_folder
from helpers.model import GPT
from helpers.recipes import Recipe, get_recipe, recipe_from
from helpers.settings import TrainingSettings
from helpers.stories import in_validation, load_stories
from helpers.tokenizer import Tokenizer, load_tokenizer, train_tokenizer, trained_size
from helpers.training import Training, TrainingResult

ENOUGH_STORIES = 100_000  # a tokenizer is trained on the first of them: later ones hardly change what it counts


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
    started_from: str | None = None  # the model whose weights it begins with, if not random ones


class _Side:
    """The stories of one side of a split, read again each time and never all at once."""

    def __init__(self, stories: Iterable[str], share: float, validation: bool):
        self.stories, self.share, self.validation = stories, share, validation

    def __iter__(self) -> Iterator[str]:
        return (text for text in self.stories if in_validation(text, self.share) == self.validation)


def prepare(
    recipe: Recipe,
    device: str | torch.device = "cpu",
    progress: bool = True,
    processes: Processes = ALONE,
    start_from: str | Path | None = None,
) -> Prepared:
    """Load stories and tokenizer, tokenize (once; kept in the runs folder), build the model from its seed.

    Args:
        start_from: a model's folder; training goes on from its weights, with new optimizers and a new schedule.

    Raises:
        CourseError: that model has another shape than the recipe's, or another tokenizer.
    """
    size = trained_size(recipe.tokenizer)
    if size is None:  # what is named is looked at before stories are fetched
        tokenizer = load_tokenizer(recipe.tokenizer)
        weights = _weights_of(start_from, recipe, tokenizer)
    stories = load_stories(recipe.stories, "train", recipe.limit)
    number, train, held_out = recipe.training.eval_stories, stories, []
    if recipe.held_out is not None:
        train = _Side(stories, recipe.held_out, validation=False)
        held_out = list(islice(_Side(stories, recipe.held_out, validation=True), number))
    # Files of one's own come split in this very way: then there is nothing more to hold out.
    held_out = held_out or list(load_stories(recipe.stories, "validation", number))
    if size is not None:
        with processes.in_turn():
            tokenizer = _own_tokenizer(size, train)
        weights = _weights_of(start_from, recipe, tokenizer)
    config = recipe.config(tokenizer.vocab_size)
    with processes.in_turn():
        tokens = tokenize_stories(train, tokenizer, runs_folder() / "tokens", progress=progress and processes.first)
    validation = story_rows(tokenizer, held_out)
    torch.manual_seed(recipe.training.seed)
    model = GPT(config).to(device)
    if weights is not None:
        put_weights(model, weights)
    return Prepared(
        recipe,
        model,
        tokenizer,
        tokens,
        make_sampler(tokens, recipe.training, config.context_length, processes),
        validation,
        stories.description,
        None if start_from is None else Path(start_from).name,
    )


def _own_tokenizer(size: int, stories: Iterable[str]) -> Tokenizer:
    """A tokenizer of `size` entries, trained once on these stories and kept."""
    texts = list(islice(stories, ENOUGH_STORIES))
    content = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    path = runs_folder() / "tokenizers" / f"{size}-{content}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        train_tokenizer(texts, size).save(path)
    return load_tokenizer(path)


def check_start(recipe: Recipe, folder: str | Path) -> None:
    """Whether a run of the recipe can begin with the model in a folder, as far as can be told without its stories.

    Raises:
        CourseError: there is no model, or it has another shape than the recipe's, or another tokenizer.
    """
    size = trained_size(recipe.tokenizer)
    tokenizer = load_model(folder)[1] if size is not None else load_tokenizer(recipe.tokenizer)
    _weights_of(folder, recipe, tokenizer)


def _weights_of(folder: str | Path | None, recipe: Recipe, tokenizer: Tokenizer) -> dict[str, torch.Tensor] | None:
    """The weights of the model in a folder, if it is what the recipe makes with this tokenizer; None for no folder."""
    if folder is None:
        return None
    model, theirs = load_model(folder)
    config = recipe.config(tokenizer.vocab_size)
    if theirs.fingerprint != tokenizer.fingerprint:
        raise CourseError(f"the model in {folder} has another tokenizer than the recipe: its tokens mean other words")
    if model.config != config:
        its, ours = asdict(model.config), asdict(config)
        starts = {each.name for each in fields(config) if not each.compare}  # how a model starts is not its shape
        wanted = " ".join(f"--set {k}={v}" for k, v in its.items() if v != ours[k] and k not in starts)
        raise CourseError(f"the model in {folder} has another shape than the recipe's; to go on from it add {wanted}")
    return model.state_dict()


def make_sampler(
    tokens: TokenFile, settings: TrainingSettings, context_length: int, processes: Processes = ALONE
) -> StorySampler | WindowSampler:
    """The sampler that the settings name; `batch_size` rows for each process."""
    rows = settings.batch_size * processes.count
    if settings.rows == "windows":
        return WindowSampler(tokens, rows, context_length, settings.seed)
    return StorySampler(tokens, rows, context_length, settings.seed, packed=settings.rows == "packed")


def training_of(
    prepared: Prepared,
    folder: str | Path | None = None,
    callback: Callable[[dict], bool | None] | None = None,
    progress: bool = True,
    processes: Processes = ALONE,
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
        about={"recipe": prepared.recipe.as_dict()}
        | ({"started_from": prepared.started_from} if prepared.started_from else {}),
        processes=processes,
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
    processes: Processes = ALONE,
) -> Training:
    """The run of a folder, ready to go on where it stopped: call its `run`. Its `told` says what was found.

    Raises:
        CourseError: there is no unfinished run in the folder, or its stories are no longer the same.
    """
    with processes.in_turn():  # the first puts damaged files aside
        state, told = load_state(folder)
    prepared = prepare(_found_again(_recipe_in(state, folder), state["started_in"]), device, progress, processes)
    prepared.recipe = recipe_from(state["about"]["recipe"])  # as it was written: the state goes on with the same words
    training = training_of(prepared, folder, callback, progress, processes).resume()
    training.told = [*told, *(line for line in training.told if line not in told)]
    return training


def start_or_resume(
    recipe: Recipe,
    folder: str | Path,
    device: str | torch.device = "cpu",
    callback: Callable[[dict], bool | None] | None = None,
    progress: bool = True,
) -> Training:
    """The run of a recipe in a folder, ready to `run`: what was interrupted goes on, anything else starts anew.

    So a notebook's cell can be run again after an interruption. What a finished run, or one of another recipe, left in
    the folder is written over.
    """
    if saved_states(folder) and recipe_of(folder) == recipe:
        return resume(folder, device, callback, progress)
    remove_states(folder)
    return training_of(prepare(recipe, device, progress), folder, callback, progress)


def recipe_of(folder: str | Path) -> Recipe:
    """The recipe of an unfinished run, with the steps, data and model that it was started with."""
    return _recipe_in(load_state(folder)[0], folder)


def _recipe_in(state: dict, folder) -> Recipe:
    if "recipe" not in state["about"]:
        raise CourseError(f"the run in {folder} was not started from a recipe: resume it in its own code")
    try:
        return recipe_from(state["about"]["recipe"])
    except TypeError as error:
        raise CourseError(
            f"the run in {folder} was started by another version of the course ({error}): go on with that version"
        ) from error


def _found_again(recipe: Recipe, started_in: str) -> Recipe:
    """The recipe with paths that hold from here, where it was started in another folder."""
    changes = {}
    for name in ("stories", "tokenizer"):
        value = getattr(recipe, name)
        there = Path(started_in) / value
        if value not in ("bundled", "tinystories", "gpt2") and not Path(value).exists() and there.exists():
            changes[name] = str(there)
    return replace(recipe, **changes)
