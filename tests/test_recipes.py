"""Recipes: each of them trains, at a reduced size, and what --set changes is checked and typed."""

import json
from dataclasses import replace

import pytest
import torch

from course import recipes, runs
from course.bench import planning
from course.recipes import RECIPES, get_recipe, override, recipe_from
from helpers.checkpoint import load_model
from helpers.errors import CourseError
from helpers.files import read_json
from helpers.run_log import read_log
from helpers.settings import schedule
from helpers.stories import in_validation, load_stories
from helpers.tokenizer import load_tokenizer, train_tokenizer

NAMES, THINGS = ("Pip", "Ann", "Tom", "Zoe"), ("kite", "ball", "drum", "boat")
TEXTS = [f"Once upon a time, {name} had a {thing}. {name} lost the {thing}." for name in NAMES for thing in THINGS]
PARAMETERS = {
    "gpt2-small": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
}
SMALL = ["n_layer=2", "n_head=2", "d_model=16", "context_length=24", "batch_size=2", "accumulation=2", "steps=3"]
SMALL += ["eval_stories=2", "eval_every=2", "sample_every=2", "log_every=1", "precision=float32"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A file of stories and a tokenizer of one's own."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "stories.txt").write_text("\n<|endoftext|>\n".join(TEXTS * 3), encoding="utf-8")
    train_tokenizer(TEXTS, 280).save(folder / "tokenizer.json")
    return folder


@pytest.fixture(autouse=True)
def runs_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))


def reduced(name, source, *more):
    small = [*SMALL, f"tokenizer={source / 'tokenizer.json'}", *(["d_ff=24"] if "post" in name else [])]
    return replace(override(get_recipe(name), [*small, *more]), stories=str(source / "stories.txt"))


def test_the_recipes_of_the_design_are_there():
    assert list(RECIPES) == [
        "storyteller", "gpt2-small", "gpt2-medium", "gpt2-large", "gpt2-xl", "post-ln-sinusoidal", "two-layer",
        "context-512", "eight-layer", "tinystories-t4", "tinystories-gpu", "gpt2-tinystories", "twelve-thin-layers",
    ]  # fmt: skip
    for name, recipe in RECIPES.items():
        assert recipe.name == name and recipe.about
        assert recipe_from(json.loads(json.dumps(recipe.as_dict()))) == recipe


@pytest.mark.parametrize("name", PARAMETERS)
def test_gpt2_has_its_size(name):
    planned = planning.plan(get_recipe(name))
    assert planned.parameters == PARAMETERS[name]
    assert planned.tokens_per_step == 480 * 1024 and planned.tokens == planned.steps * planned.tokens_per_step


def test_the_others_have_the_size_they_say():
    assert planning.plan(get_recipe("two-layer")).parameters == pytest.approx(86e6, rel=0.08)
    config = get_recipe("post-ln-sinusoidal").config(50257)
    assert (config.norm, config.activation, config.positions) == ("post", "relu", "sinusoidal")
    assert (config.d_ff, config.dropout, config.context_length) == (3072, 0.1, 128)


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_trains_at_a_reduced_size(name, source, tmp_path):
    recipe = reduced(name, source)
    prepared, result = runs.train_recipe(recipe, tmp_path / "run", progress=False)
    assert result.steps == 3 and result.val_loss > 0
    model, _ = load_model(tmp_path / "run")
    full = get_recipe(name).config(280)
    for option in ("norm", "activation", "positions", "tied_head", "dropout"):
        assert getattr(model.config, option) == getattr(full, option)
    assert type(prepared.sampler).__name__ == (
        "WindowSampler" if "windows" in recipe.training.data.packing else "StorySampler"
    )


OWN = ["kind", "lr", "embedding_lr", "weight_decay", "decay_embeddings", "beta1", "beta2"]
OWN += ["momentum", "shape", "warmup", "final", "decay", "clip", "packing"]


@pytest.mark.parametrize("name", RECIPES)
def test_its_own_settings_are_visible_in_what_a_run_keeps(name, source, tmp_path):
    runs.train_recipe(reduced(name, source), tmp_path / "run", progress=False)
    about, full = read_json(tmp_path / "run" / "config.json")["training"], get_recipe(name).training
    assert about["recipe"]["name"] == name
    for key in OWN:
        assert about["settings"][key] == about["recipe"]["training"][key] == full.flat()[key]
    rows = read_log(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3]
    for row in rows:  # three steps, so that a quarter, a half and three quarters have passed
        assert row["lr"] == pytest.approx(full.optimizer.lr * schedule(row["step"] / 4, full.schedule))
        assert row["grad_norm"] > 0 and row["tokens_per_second"] > 0 and row["loss"] > 0
    assert ["val_loss" in row for row in rows] == [False, True, True]
    assert ["sample" in row for row in rows][:2] == [False, True]


def test_the_seed_decides_everything(source, tmp_path):
    def weights(*more):
        model = runs.train_recipe(reduced("storyteller", source, *more), progress=False)[0].model
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    assert torch.equal(weights(), weights())
    assert not torch.equal(weights(), weights("seed=1"))


def test_a_recipes_run_resumes(source, tmp_path):
    recipe = reduced("storyteller", source, "steps=6")
    whole, _ = runs.train_recipe(recipe, tmp_path / "whole", progress=False)
    runs.train_recipe(recipe, tmp_path / "parts", progress=False, callback=lambda row: row["step"] == 2)
    training = runs.resume(tmp_path / "parts", progress=False)
    assert training.step == 2
    training.run()
    for one, other in zip(whole.model.parameters(), training.model.parameters(), strict=True):
        assert torch.equal(one, other)
    (source / "stories.txt").write_text("\n<|endoftext|>\n".join(TEXTS), encoding="utf-8")
    runs.train_recipe(recipe, tmp_path / "third", progress=False, callback=lambda row: row["step"] == 2)
    (source / "stories.txt").write_text("\n<|endoftext|>\n".join(TEXTS * 3), encoding="utf-8")
    with pytest.raises(CourseError, match="stories"):
        runs.resume(tmp_path / "third", progress=False)


def test_a_cell_that_is_run_again_goes_on_or_starts_anew(source, tmp_path):
    recipe, folder = reduced("storyteller", source, "steps=6"), tmp_path / "run"
    whole, _ = runs.train_recipe(recipe, tmp_path / "whole", progress=False)

    def stop(row):
        return row["step"] == 2

    assert runs.start_or_resume(recipe, folder, callback=stop, progress=False).run().stopped == "callback"
    again = runs.start_or_resume(recipe, folder, progress=False)
    assert again.step == 2 and again.run().steps == 6
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert runs.start_or_resume(recipe, folder, progress=False).step == 0, "a finished run is trained again"
    runs.start_or_resume(recipe, folder, callback=stop, progress=False).run()
    other = reduced("storyteller", source, "steps=6", "seed=1")
    assert runs.start_or_resume(other, folder, progress=False).step == 0, "another recipe is another run"


def test_stories_that_a_step_reads_many_times_are_told_of_wherever_a_run_is_made_ready(source, tmp_path, capsys):
    few = reduced("storyteller", source, "steps=2", "batch_size=8", "accumulation=50", "checkpoint_every=1")
    for again in range(2):
        stop = dict(callback=lambda row: True) if not again else {}
        runs.start_or_resume(few, tmp_path / "few", progress=False, **stop).run()
        said = capsys.readouterr().out
        assert said.count("note: a step reads ") == 1 and "give more stories" in said
    runs.prepare(override(few, ["batch_size=1", "accumulation=1"]), progress=False)
    assert "note" not in capsys.readouterr().out
    runs.prepare(override(few, ["batch_size=1", "accumulation=1"]), progress=False, processes=500)
    assert "note: a step reads" in capsys.readouterr().out


def test_validation_stories_are_not_trained_on(source):
    prepared = runs.prepare(reduced("two-layer", source, "validation_fraction=0.3"), progress=False)
    ids = {tuple(story.tolist()[:-1]) for story in prepared.tokens}
    scored = {tuple(sequence[1:-1]) for sequence in prepared.validation}
    assert ids and scored and not ids & scored
    expected = {text for text in TEXTS if not in_validation(text, 0.3)}
    # What the file's own split had put aside stays aside as well.
    assert {prepared.tokenizer.decode(story) for story in ids} <= expected


def test_values_are_typed():
    changed = override(
        get_recipe("storyteller"),
        ["n_layer=3", "lr=1e-3", "tied_head=false", "norm=post", "limit=10", "d_ff=none", " clip = 0.5"],
    )
    assert changed.model["n_layer"] == 3 and changed.model["tied_head"] is False and changed.model["d_ff"] is None
    assert changed.training.optimizer.lr == 1e-3 and changed.training.optimizer.clip == 0.5 and changed.limit == 10
    assert override(changed, ["limit=none"]).limit is None
    assert get_recipe("storyteller").model["n_layer"] == 2  # the recipe itself is as it was


def test_one_length_replaces_the_other():
    timed = override(get_recipe("storyteller"), ["seconds=60"]).training.schedule
    assert (timed.steps, timed.seconds) == (None, 60)
    both = override(get_recipe("storyteller"), ["seconds=60", "steps=10"]).training.schedule
    assert (both.steps, both.seconds) == (10, 60)


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("n_layers=2", "no key 'n_layers' .did you mean 'n_layer'.*batch_size.*weight_decay"),
        ("vocab_size=10", "no key 'vocab_size'"),
        ("n_layer", "needs key=value"),
        ("n_layer=two", "n_layer needs a whole number, got 'two'"),
        ("n_layer=2.5", "n_layer needs a whole number"),
        ("lr=fast", "lr needs a number"),
        ("lr=nan", "lr needs a number"),
        ("tied_head=maybe", "tied_head needs true or false"),
        ("steps=none", "needs a length|steps"),
        ("d_model=131", "multiple of n_head"),
        ("n_layer=0", "n_layer must be"),
        ("norm=middle", "norm must be"),
        ("shape=stairs", "shape must be"),
        ("embeding_lr=1", "did you mean 'embedding_lr'"),
        ("limit=0", "limit must be"),
        ("validation_fraction=2", "validation_fraction must be"),
    ],
)
def test_bad_assignments_are_refused(assignment, message):
    with pytest.raises(CourseError, match=message):
        override(get_recipe("storyteller"), [assignment])


GOOD = '[one]\nabout = "One."\ngpu = true\nmodel = { n_layer = 1 }\ntraining = { steps = 3, compile = "off" }\n'


def test_what_is_for_a_gpu_can_be_said_in_a_word(tmp_path):
    path = tmp_path / "recipes.toml"
    path.write_text(GOOD, encoding="utf-8")
    (recipe,) = recipes.read_recipes(path).values()
    assert recipe.name == "one" and recipe.training.schedule.steps == 3 and recipe.vocab_multiple == recipes.PADDED
    hardware = recipe.training.hardware
    assert (hardware.precision, hardware.loss, hardware.compile) == ("auto", "auto", "off")


@pytest.mark.parametrize(
    "content, message",
    [
        (GOOD.replace("[one]", "[one"), "recipes.toml does not hold recipes: .*line 1"),
        (GOOD.replace("steps", "stepps"), "did you mean 'steps'"),
        (GOOD.replace("gpu", "gpus"), "gpus"),
        (GOOD.replace("training", "trainings"), "training"),
        ("one = 1", "recipes.toml does not hold recipes"),
    ],
)
def test_a_file_of_recipes_that_cannot_be_is_refused(content, message, tmp_path):
    (tmp_path / "recipes.toml").write_text(content, encoding="utf-8")
    with pytest.raises(CourseError, match=message):
        recipes.read_recipes(tmp_path / "recipes.toml")
    with pytest.raises(CourseError, match="nowhere.toml"):
        recipes.read_recipes(tmp_path / "nowhere.toml")


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(CourseError, match="did you mean 'storyteller'.*tinystories-t4"):
        get_recipe("storyteler")


def test_every_key_is_a_field():
    assert {
        "n_layer",
        "d_ff",
        "packing",
        "seconds",
        "tokenizer",
        "validation_fraction",
        "stories",
    } <= recipes.keys().keys()
    assert "vocab_size" not in recipes.keys()


@pytest.mark.parametrize("head", ["false", "true"])
def test_a_run_can_begin_with_the_weights_of_another(source, tmp_path, head):
    recipe = reduced("storyteller", source, f"tied_head={head}")
    first, _ = runs.train_recipe(recipe, tmp_path / "first", progress=False)
    second = runs.prepare(recipe, progress=False, start_from=tmp_path / "first")
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)
    runs.trainer_of(second, tmp_path / "second", progress=False).run()
    assert read_json(tmp_path / "second" / "config.json")["training"]["started_from"] == "first"
    with pytest.raises(CourseError, match="another shape"):
        runs.prepare(override(recipe, ["n_layer=1"]), progress=False, start_from=tmp_path / "first")
    train_tokenizer(TEXTS, 270).save(source / "other.json")
    with pytest.raises(CourseError, match="another (shape|tokenizer)"):
        other = override(recipe, [f"tokenizer={source / 'other.json'}"])
        runs.prepare(other, progress=False, start_from=tmp_path / "first")


def test_a_mistake_in_a_name_is_told_before_stories_are_fetched(source, monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "load_stories", None)
    recipe = reduced("storyteller", source)
    with pytest.raises(CourseError, match="nowhere"):
        runs.prepare(recipe, progress=False, start_from=tmp_path / "nowhere")
    with pytest.raises(CourseError, match="missing"):
        runs.prepare(override(recipe, [f"tokenizer={tmp_path / 'missing.json'}"]), progress=False)


def test_a_tokenizer_of_its_own_is_trained_on_the_recipes_stories_and_kept(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    recipe = override(get_recipe("storyteller"), ["tokenizer=trained:300", "limit=40", "n_layer=1", "steps=1"])
    stories = list(load_stories("bundled", "train", 40))
    prepared = runs.prepare(recipe, progress=False)
    assert prepared.tokenizer.vocab_size == prepared.model.config.vocab_size == 300
    assert prepared.tokenizer.fingerprint == train_tokenizer(stories, 300).fingerprint
    (kept,) = (tmp_path / "tokenizers").iterdir()
    monkeypatch.setattr(runs, "train_tokenizer", None)  # the second time it is not trained
    assert runs.prepare(recipe, progress=False).tokenizer.fingerprint == load_tokenizer(kept).fingerprint
    with pytest.raises(CourseError, match='"trained:4096", with its size'):
        runs.prepare(override(recipe, ["tokenizer=trained:many"]), progress=False)
    assert planning.plan(override(recipe, ["tokenizer=trained:512"])).parameters > prepared.model.parameter_count()
