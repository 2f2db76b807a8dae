"""A run goes on from what a run has saved: each field of a recipe and of a checkpoint's state, changed, is one line."""

import copy
import json

import pytest
import torch

from course import runs, saved
from course.recipes import RECIPES, get_recipe, override
from helpers import checkpoint
from helpers.errors import CourseError
from tests.damage import write_stories

SMALL = ["n_layer=1", "n_head=1", "d_model=8", "context_length=16", "batch_size=2", "steps=6", "eval_stories=2",
         "eval_every=2", "log_every=1", "checkpoint_every=2", "sample_every=0"]  # fmt: skip
VALUES = (None, True, 7, -1, 10**40, 0.5, float("nan"), float("inf"), "x", "\0", [], {}, [None], {"a": 1})


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory):
    """A run of a few steps in the current folder, stopped after step 3."""
    folder = tmp_path_factory.mktemp("saved")
    write_stories(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COURSE_RUNS", str(folder / "runs"))
        recipe = override(get_recipe("storyteller"), [*SMALL, "stories=stories.txt", "tokenizer=tokenizer.json"])
        prepared = runs.prepare(recipe, progress=False)
        runs.trainer_of(prepared, "run", progress=False, callback=lambda row: row["step"] == 3).run()
        yield recipe


def places(value, at=()):
    """Every place inside of dictionaries, lists and tuples."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list | tuple) else ():
        yield (*at, key)
        yield from places(value[key], (*at, key))


def with_value(value, at: tuple, new):
    """The value with another at a place; `...`: without it."""
    if not at:
        return new
    kind = type(value)
    items = dict(value) if kind is dict else dict(enumerate(value))
    items[at[0]] = with_value(items[at[0]], at[1:], new)
    items = {key: each for key, each in items.items() if each is not ...}
    return items if kind is dict else kind(items.values())


def outcome(call) -> str:
    """What is said, one line, where it is refused."""
    try:
        call()
    except CourseError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
        return str(error)
    return ""


# ---------------------------------------------------------------------- a recipe


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_what_was_written_is_read(recipe):
    assert saved.recipe_of(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_a_recipe_with_anything_else_in_a_field_is_refused_or_can_be_built(small):
    written, refused, tried = json.loads(json.dumps(small.as_dict())), 0, 0
    for at in places(written):
        for new in (..., *VALUES):
            content = with_value(written, at, new)
            said, tried = outcome(lambda content=content: saved.recipe_of(content).config(270)), tried + 1
            refused += bool(said)
    assert refused > tried / 2
    for content in VALUES:
        assert outcome(lambda content=content: saved.recipe_of(content))
    assert outcome(lambda: saved.recipe_of(with_value(written, ("training", "kind"), "x" * 5000)))


@pytest.mark.parametrize(("name", "value"), {"n_layer": "2", "tied_head": 1, "dropout": True, "d_ff": 2.5}.items())
def test_a_wrong_type_is_named(small, name, value):
    written = small.as_dict()
    assert outcome(lambda: saved.recipe_of(written | {"model": written["model"] | {name: value}})) == (
        f"{name} cannot be {value!r}"
    )


# ---------------------------------------------------------------------- the state in a checkpoint


def go_on(state: dict) -> None:
    """As `resume` does: to the end of the run."""
    recipe = runs.recipe_in(state, "run")
    prepared = runs.prepare(recipe, progress=False)
    prepared.state = state
    runs.trainer_of(prepared, progress=False, folder="again").run()


def test_a_state_as_it_was_saved_goes_on():
    state, notes = checkpoint.load_checkpoint("run")
    go_on(state)
    assert not notes and state["step"] == 3
    assert checkpoint.load_model("again") and not checkpoint.saved_checkpoints("again")


def test_a_state_with_anything_else_in_a_field_is_refused_or_goes_on():
    """Here every place once, with one of the values; `tests/test_fault_properties.py` tries any."""
    state, _ = checkpoint.load_checkpoint("run")
    refused = 0
    for number, at in enumerate(places(state)):
        if at[0] in ("versions", "about") or (at[0] == "random" and len(at) > 3):
            continue
        new = (..., *VALUES)[number % (len(VALUES) + 1)]
        refused += bool(outcome(lambda at=at, new=new: go_on(copy.deepcopy(with_value(state, at, new)))))
    assert refused > 40


@pytest.mark.parametrize(
    ("at", "new", "said"),
    [
        (("step",), -1, "its step is none"),
        (("seconds",), float("nan"), "its seconds is none"),
        (("losses",), [None], "its losses is none"),
        (("train_step", "skipped", 0), "no", "count of skipped steps"),
        (("train_step", "sampler", "position"), -1, "place among the stories"),
        (("train_step", "sampler", "seed"), None, "its sampler is none"),
        (("train_step", "optimizers", 0, "state", 0, "momentum_buffer"), 7, "optimizers' memory"),
        (("train_step", "optimizers", 1, "state", 0, "step"), ..., "optimizers' memory"),
        (("train_step", "optimizers", 1, "state", 0, "exp_avg"), torch.zeros(3), "optimizers' memory"),
        (("train_step", "sampler"), ..., "KeyError: 'sampler'"),
        (("random", "torch"), torch.zeros(3), "TypeError"),
        (("model",), 5, "AttributeError"),
        (("must_match", "d_model"), "x" * 5000, "has another d_model: 'xxx"),
        (("train_step", "sampler", "seed"), 10**1000, "the saved sampler had seed=1000"),
        (("must_match", "d_model"), 16, "has another d_model: 16 there, 8 here"),
        (("about", "recipe"), ..., "was not started from a recipe"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(at, new, said):
    state, _ = checkpoint.load_checkpoint("run")
    assert said in outcome(lambda: go_on(with_value(state, at, new)))


@pytest.mark.parametrize(
    "state", [{"step": "x"}, {"step": None}, {"versions": 5}, {"versions": [1]}, {"more": {"$tensor": 1}}]
)
def test_where_the_newest_is_no_checkpoint_the_one_before_is_taken(tmp_path, state, monkeypatch):
    whole, pack = {"step": 1, "versions": checkpoint.versions()}, checkpoint._pack
    checkpoint.save_checkpoint(tmp_path, whole)
    monkeypatch.setattr(checkpoint, "_pack", lambda *_: {"$dict": [list(each) for each in (whole | state).items()]})
    checkpoint.save_checkpoint(tmp_path, {"step": 2})
    monkeypatch.setattr(checkpoint, "_pack", pack)
    found, (note,) = checkpoint.load_checkpoint(tmp_path)
    assert found["step"] == 1 and "step-00000002.safetensors holds something else than a checkpoint" in note
