"""Built in notebook 07: from a recipe to a run: stories, tokens, model, trainer, folder.

>>> prepared = prepare(get_recipe("storyteller"))                  # stories, tokens, model      # doctest: +SKIP
>>> trainer_of(prepared, "runs/storyteller").run()                 # trainer, folder             # doctest: +SKIP

Used by the command line (`python -m course train`) and in notebooks 07 and 08.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import islice
from pathlib import Path

import torch

from course.recipes import Recipe, get_recipe
from course.saved import divided, load_state, recipe_of
from course.shard_files import load_run
from helpers.checkpoint import load_checkpoint, load_model, put_weights, remove_checkpoints, saved_checkpoints
from helpers.dataset import StorySampler, TokenFile, WindowSampler, tokenize_stories
from helpers.errors import CourseError
from helpers.evaluation import story_rows
from helpers.files import runs_folder
from helpers.model import GPT
from helpers.modern import ModernConfig, model_of
from helpers.settings import TrainingSettings
from helpers.stories import in_validation, load_stories
from helpers.tokenizer import Tokenizer, load_tokenizer, train_tokenizer
from helpers.training import Trainer, TrainingResult

ENOUGH_STORIES = 100_000  # a tokenizer is trained on the first of them: later ones hardly change what it counts


@dataclass
class Prepared:
    """Everything that a `Trainer` needs."""

    recipe: Recipe  # with its settings
    model: GPT  # initialized, or with the weights that the run starts from
    tokenizer: Tokenizer
    tokens: TokenFile  # the training stories
    sampler: StorySampler | WindowSampler  # of batches of them
    validation: list[list[int]]  # sequences to be scored
    description: str  # where the stories come from
    started_from: str | None = None  # the model whose weights it begins with, if it was not initialized
    state: dict | None = None  # of the checkpoint from which an interrupted run goes on
    notes: list[str] = field(default_factory=list)  # what was found on the way to it


def prepare(
    recipe: Recipe,
    device: str | torch.device = "cpu",
    progress: bool = True,
    start_from: str | Path | None = None,
    model_class: type[GPT] = GPT,
    processes: int = 1,
) -> Prepared:
    """Load stories and tokenizer, tokenize (once; kept in the runs folder), build the model from its seed.

    Says so where the stories are so few that a step reads all of them more than twice.

    Args:
        start_from: a model's folder; training goes on from its weights, with new optimizers and a new schedule.
        model_class: makes the model of its configuration; a learner's own (`course.mine`) has the same parameters.
        processes: that read a batch each in a step.

    Raises:
        CourseError: that model has another shape than the recipe's, or another tokenizer.
    """
    size = trained_size(recipe.tokenizer)
    tokenizer = load_tokenizer(recipe.tokenizer) if size is None else None  # looked at before stories are fetched
    if start_from is not None:
        recipe = replace(recipe, vocab_multiple=1)  # a finished model has no extra rows
        check_start(recipe, start_from)
    stories = load_stories(recipe.stories, "train", recipe.limit)
    train, validation = _split(recipe, stories)
    tokenizer = tokenizer or own_tokenizer(size, train)
    tokens = tokenize_stories(train, tokenizer, runs_folder() / "tokens", progress=progress)
    scored = story_rows(tokenizer, validation)
    prepared = put_together(recipe, tokenizer, tokens, scored, stories.description, device, model_class)
    if start_from is not None:
        put_weights(prepared.model, _weights_of(start_from, recipe, tokenizer))
        prepared.started_from = Path(start_from).name
    step = recipe.training.data.batch_size * recipe.training.data.accumulation * processes
    if (step := step * prepared.sampler.context_length) > 2 * tokens.tokens:
        print(
            f"note: a step reads {step:,} tokens, so it goes through all {tokens.tokens:,} of the stories "
            f"{step / tokens.tokens:,.0f} times: give more stories, or a smaller batch (batch_size=1)"
        )
    return prepared


def put_together(
    recipe: Recipe, tokenizer: Tokenizer, tokens: TokenFile, validation: list[list[int]], description: str,
    device: str | torch.device = "cpu", model_class: type[GPT] = GPT,
) -> Prepared:  # fmt: skip
    """The model, built from its seed, and batches of stories that are tokenized already: no story is read.

    Args:
        validation: sequences to be scored, `[end] + story + [end]`.
        description: where the stories come from.
    """
    config, settings = recipe.config(tokenizer.vocab_size), recipe.training
    torch.manual_seed(settings.seed)
    model = (model_of(config) if isinstance(config, ModernConfig) else model_class(config)).to(device)
    sampler = make_sampler(tokens, settings, config.context_length)
    return Prepared(recipe, model, tokenizer, tokens, sampler, validation, description)


class _Side:
    """The stories of one side of a split, read again each time and never all at once."""

    def __init__(self, stories: Iterable[str], fraction: float, validation: bool):
        self.stories, self.fraction, self.validation = stories, fraction, validation

    def __iter__(self) -> Iterator[str]:
        return (text for text in self.stories if in_validation(text, self.fraction) == self.validation)


def _split(recipe: Recipe, stories: Iterable[str]) -> tuple[Iterable[str], list[str]]:
    """The stories to train on, and those of the validation split that are scored."""
    train, validation, number = stories, [], recipe.training.logging.eval_stories
    if recipe.validation_fraction is not None:
        train = _Side(stories, recipe.validation_fraction, validation=False)
        validation = list(islice(_Side(stories, recipe.validation_fraction, validation=True), number))
    # Files of one's own come split in this very way: then there is nothing more to set aside.
    return train, validation or list(load_stories(recipe.stories, "validation", number))


def trained_size(source: str | Path) -> int | None:
    """4096 for "trained:4096", which stands for a tokenizer still to be trained; None for any other source.

    Raises:
        CourseError: what follows the colon is not a number, or too large a one.
    """
    kind, _, size = str(source).partition(":")
    if kind != "trained":
        return None
    if not size.isdecimal() or len(size) > 7 or int(size) > 65_536:
        said = f"{size:.20}" + ("..." if len(size) > 20 else "")
        hint = "with its size, 65,536 at most"
        raise CourseError(f'a tokenizer to be trained is written "trained:4096", {hint}, not "trained:{said}"')
    return int(size)


def own_tokenizer(size: int, stories: Iterable[str]) -> Tokenizer:
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


def _weights_of(folder: str | Path, recipe: Recipe, tokenizer: Tokenizer) -> dict[str, torch.Tensor]:
    """The weights of the model in a folder, if it is what the recipe makes with this tokenizer."""
    model, theirs = load_model(folder)
    config = recipe.config(tokenizer.vocab_size)
    if theirs.fingerprint != tokenizer.fingerprint:
        raise CourseError(f"the model in {folder} has another tokenizer than the recipe: its tokens mean other words")
    if model.config != config:
        its, ours = asdict(model.config), asdict(config)
        starts = {each.name for each in fields(config) if not each.compare}  # how a model starts is not its shape
        wanted = " ".join(f"--set {k}={v}" for k, v in its.items() if v != ours.get(k) and k not in starts)
        raise CourseError(f"the model in {folder} has another shape than the recipe's; to go on from it add {wanted}")
    return dict(model.named_parameters())  # a tied head is the embedding, and is in it once


def make_sampler(tokens: TokenFile, settings: TrainingSettings, context_length: int) -> StorySampler | WindowSampler:
    """The sampler that the settings name."""
    data = settings.data
    if data.packing == "windows":
        return WindowSampler(tokens, data.batch_size, context_length, settings.seed)
    return StorySampler(tokens, data.batch_size, context_length, settings.seed, packed=data.packing == "packed")


def prepare_again(
    folder: str | Path, device="cpu", progress: bool = True, model_class: type[GPT] = GPT,
    processes: int = 1, parallel: str | None = None,
) -> Prepared:  # fmt: skip
    """What an interrupted run needs to go on exactly.

    Args:
        processes: that go on with it, as many as there were before or not: each step reads the same stories.
        parallel: "ddp" or "fsdp", if another one than before.

    Raises:
        CourseError: there is no unfinished run of a recipe in the folder, or its batch cannot be divided among so many.
    """
    state, notes = load_run(folder)
    recipe = divided(recipe_in(state, folder), state, processes, folder)
    if parallel is not None:
        recipe = replace(recipe, training=recipe.training.but(parallel=parallel))
    again = _found_again(recipe, state.get("started_in"))
    prepared = prepare(again, device, progress, model_class=model_class, processes=processes)
    prepared.recipe = recipe  # as it was written: the checkpoint goes on with the same words
    prepared.state, prepared.notes = state, notes
    return prepared


def trainer_of(
    prepared: Prepared, folder: str | Path | None = None, make: Callable[..., Trainer] = Trainer, **options
) -> Trainer:
    """A run ready to start, or to go on; the options are those of `Trainer`, which `make` may replace."""
    about = {"recipe": prepared.recipe.as_dict()}
    if prepared.started_from:
        about["started_from"] = prepared.started_from
    given = dict(tokenizer=prepared.tokenizer, validation=prepared.validation, folder=folder, about=about)
    trainer = make(prepared.model, prepared.sampler, prepared.recipe.training, **given, **options)
    if prepared.state is not None:
        load_state(trainer, prepared.state, folder)
        trainer.notes = prepared.notes
    return trainer


def train_recipe(
    recipe: Recipe | str, folder: str | Path | None = None, device: str | torch.device = "cpu", **options
) -> tuple[Prepared, TrainingResult]:
    """From a recipe to a trained model: what was prepared, its model now trained, and how it went."""
    recipe = get_recipe(recipe) if isinstance(recipe, str) else recipe
    prepared = prepare(recipe, device, options.get("progress", True))
    return prepared, trainer_of(prepared, folder, **options).run()


def resume(folder: str | Path, device="cpu", model_class: type[GPT] = GPT, **options) -> Trainer:
    """The run of a folder, ready to go on where it stopped: call its `run`. Its `notes` say what was found."""
    return trainer_of(prepare_again(folder, device, options.get("progress", True), model_class), folder, **options)


def start_or_resume(recipe: Recipe, folder: str | Path, device="cpu", model_class=GPT, **options) -> Trainer:
    """The run of a recipe in a folder, ready to `run`: what was interrupted goes on, anything else starts anew.

    So a notebook's cell can be run again after an interruption. What a finished run, or one of another recipe, left in
    the folder is written over.
    """
    if saved_checkpoints(folder) and recipe_in(load_checkpoint(folder)[0], folder) == recipe:
        return resume(folder, device, model_class, **options)
    remove_checkpoints(folder)
    prepared = prepare(recipe, device, options.get("progress", True), model_class=model_class)
    return trainer_of(prepared, folder, **options)


def recipe_in(state: dict, folder: str | Path) -> Recipe:
    """The recipe of the run in a folder, as the state of its checkpoint has it.

    Raises:
        CourseError: it has none, or none of this version of the course.
    """
    about = state.get("about")
    if not isinstance(about, dict) or "recipe" not in about:
        raise CourseError(f"the run in {folder} was not started from a recipe: resume it in its own code")
    try:
        return recipe_of(about["recipe"])
    except CourseError as error:
        raise CourseError(
            f"the run in {folder} was started by another version of the course ({error}): go on with that version"
        ) from error


def _found_again(recipe: Recipe, started_in) -> Recipe:
    """The recipe with paths that hold from here, where it was started in another folder."""
    changes, started_in = {}, started_in if isinstance(started_in, str) else ""
    for name in ("stories", "tokenizer"):
        value = getattr(recipe, name)
        there = Path(started_in) / value
        if value not in ("bundled", "tinystories", "gpt2") and not Path(value).exists() and there.exists():
            changes[name] = str(there)
    return replace(recipe, **changes)
