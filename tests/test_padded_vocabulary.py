"""A vocabulary padded for the matrix units: it trains with extra rows, and nobody but the optimizer ever sees them."""

from dataclasses import replace

import pytest
import torch

from course import runs
from course.recipes import get_recipe, override
from helpers.checkpoint import load_checkpoint, load_model, saved_checkpoints
from helpers.evaluation import loss_and_accuracy
from helpers.generation import generate_text
from helpers.model import GPT, GPTConfig
from helpers.run_log import read_log
from helpers.tokenizer import train_tokenizer
from helpers.train_step import unpadded

NAMES, THINGS = ("Pip", "Ann", "Tom", "Zoe", "Max"), ("kite", "ball", "drum", "boat")
TEXTS = [f"Once upon a time, {name} had a {thing}. {name} lost the {thing}." for name in NAMES for thing in THINGS]
SHAPES = [{}, {"tied_head": False}, {"positions": "sinusoidal"}, {"norm": "post"}, {"bias": False}]
SMALL = ["n_layer=1", "n_head=2", "d_model=16", "context_length=24", "batch_size=2", "steps=6", "eval_stories=3",
         "eval_every=2", "sample_every=2", "log_every=1", "checkpoint_every=3"]  # fmt: skip


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A small recipe with a tokenizer of 280 entries, padded to 384."""
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    (tmp_path / "stories.txt").write_text("\n<|endoftext|>\n".join(TEXTS * 3), encoding="utf-8")
    train_tokenizer(TEXTS, 280).save(tmp_path / "tokenizer.json")
    own = [f"tokenizer={tmp_path / 'tokenizer.json'}", "vocab_multiple=128"]
    return replace(override(get_recipe("storyteller"), [*SMALL, *own]), stories=str(tmp_path / "stories.txt"))


@pytest.mark.parametrize("shape", SHAPES)
def test_without_its_extra_rows_a_model_gives_the_same_logits_from_the_same_memory(shape):
    torch.manual_seed(0)
    padded = GPT(GPTConfig(64, 12, n_layer=2, n_head=2, d_model=8, **shape)).eval()
    model, ids = unpadded(padded, 50), torch.randint(50, (3, 12))
    assert type(model) is GPT and model.config == replace(padded.config, vocab_size=50)
    torch.testing.assert_close(model(ids), padded(ids)[..., :50], rtol=0, atol=0)
    extra = 14 * 8 * (1 if padded.config.tied_head else 2)
    assert padded.parameter_count() - model.parameter_count() == extra
    with torch.no_grad():
        padded.wte.weight.mul_(2.0)
        padded.blocks[0].attn.proj.weight.add_(1.0)
    torch.testing.assert_close(model(ids), padded(ids)[..., :50], rtol=0, atol=0)  # trained with it
    assert unpadded(padded, 64) is padded


def test_a_padded_run_saves_and_scores_a_model_of_the_tokenizers_size(recipe, tmp_path):
    prepared, result = runs.train_recipe(recipe, tmp_path / "run", progress=False)
    entries = prepared.tokenizer.vocab_size
    assert prepared.model.config.vocab_size == 384 > entries
    model, tokenizer = load_model(tmp_path / "run")
    assert model.config.vocab_size == entries and model.wte.weight.shape[0] == entries
    assert loss_and_accuracy(model, prepared.validation)[0] == pytest.approx(result.val_loss, rel=1e-6)
    assert generate_text(model, tokenizer, "Once", 30, seed=1)  # no id that the tokenizer does not know
    assert torch.isfinite(prepared.model.wte.weight).all()


def test_a_padded_run_is_resumed_exactly_with_all_its_rows(recipe, tmp_path):
    def stop(row):
        return row["step"] == 4

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    runs.train_recipe(recipe, whole, progress=False)
    runs.train_recipe(recipe, broken, progress=False, callback=stop)
    assert load_checkpoint(broken)[0]["model"]["wte.weight"].shape[0] == 384
    runs.resume(broken, progress=False).run()
    assert [row["loss"] for row in read_log(whole)] == [row["loss"] for row in read_log(broken)]
    assert not saved_checkpoints(broken)
    for one, other in zip(load_model(whole)[0].parameters(), load_model(broken)[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_that_starts_from_a_finished_model_has_no_extra_rows(recipe, tmp_path):
    runs.train_recipe(recipe, tmp_path / "first", progress=False)
    prepared = runs.prepare(recipe, progress=False, start_from=tmp_path / "first")
    assert prepared.model.config.vocab_size == prepared.tokenizer.vocab_size
    assert prepared.recipe.vocab_multiple == 1


def test_the_extra_rows_change_nothing_but_rounding(recipe, tmp_path):
    """As likely as any other token at first, and then never: the losses of both runs approach each other."""
    losses = []
    for multiple in ("1", "128"):
        changed = override(recipe, [f"vocab_multiple={multiple}", "steps=60", "eval_every=0", "sample_every=0"])
        prepared, _ = runs.train_recipe(changed, progress=False)
        model = unpadded(prepared.model, prepared.tokenizer.vocab_size)
        losses.append(loss_and_accuracy(model, prepared.validation)[0])
    assert losses[1] == pytest.approx(losses[0], rel=0.25)  # other random numbers at the start
