"""The runs that hold each change since GPT-2 to what it replaced: counted alike, run, looked into, and recorded."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from course import since_gpt2
from course.__main__ import main
from course.bench.planning import plan, training_flops_per_token
from course.recipes import get_recipe, override
from course.scaling import experiments, running
from course.scaling.experiments import BATCH_TOKENS, SEEDS, VOCABULARY, multiplying
from course.since_gpt2 import BUDGET, EXPERIMENTS, PARTS, STABILITY_BUDGET, beyond, busy, each, largest, longer, point
from helpers.errors import CourseError, NotANumber
from helpers.evaluation import mean_loss
from helpers.kv_cache import KVCache, StreamingCache
from helpers.model import GPT
from helpers.modern import ModernConfig, ModernGPT, model_of
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer

SHAPE = dict(vocab_size=97, context_length=32, n_layer=3, n_head=4, d_model=16)
TINY = dict(d_model=8, n_head=2, context_length=32)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Runs, tokens and records in a folder of the test's own."""
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(running, "record_of", lambda experiment: tmp_path / f"{experiment}.jsonl")


def tiny(name: str, changes: dict, steps: int = 4, **more) -> experiments.Point:
    found = point(name, 0, TINY | changes, dict(batch_size=2, checkpoint_every=2) | more.pop("training", {}), **more)
    return experiments.replace(found, steps=steps, stories=120)


# ---------------------------------------------------------------------- what is trained


def test_both_series_are_run_by_one_runner_and_share_no_name():
    assert not experiments.EXPERIMENTS.keys() & EXPERIMENTS.keys()
    assert running.EXPERIMENTS == experiments.EXPERIMENTS | EXPERIMENTS
    for name in running.EXPERIMENTS:
        series = "scaling" if name in experiments.EXPERIMENTS else "since_gpt2"
        assert {point.series for point in running.EXPERIMENTS[name]()} == {series}
        assert running.record_of(name).parts[-3:] == ("recorded", series, f"{name}.jsonl")
    names = [point.name for experiment in EXPERIMENTS for point in EXPERIMENTS[experiment]()]
    assert len(set(names)) == len(names)  # each has a folder of its own


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_all_runs_of_an_experiment_use_up_the_same_operations(name):
    points = EXPERIMENTS[name]()
    assert {point.seed for point in points} == ({0} if name == "part-rates" else set(SEEDS))
    budget = STABILITY_BUDGET if name == "stability" else BUDGET
    for each_point in points:
        tokens, config = each_point.steps * BATCH_TOKENS, each_point.config()
        assert each_point.recipe().training.data.accumulation == 1
        assert training_flops_per_token(config) * tokens == pytest.approx(budget, rel=0.02)
        assert tokens < each_point.stories / 2 * config.context_length  # no story is read twice
        assert each_point.config().vocab_size == each_point.vocabulary


def test_networks_of_another_kind_have_as_many_weights():
    own = multiplying(point("", 0, {}).config())
    for name in set(PARTS) - {"two heads of keys", "one head of keys"}:
        assert multiplying(point("", 0, PARTS[name]).config()) == pytest.approx(own, rel=0.01), name


@pytest.mark.parametrize(
    "changes",
    [
        dict(n_kv_head=1),
        dict(swiglu=True, d_ff=24, n_kv_head=2),
        dict(rms_norm=True, rotary=True, qk_norm=True, window=5),
        dict(n_expert=4, top_k=2, swiglu=True),
        dict(n_expert=3, top_k=1),
    ],
)
def test_operations_are_those_that_torch_counts(changes):
    config = ModernConfig(**SHAPE, **changes)
    model, ids = ModernGPT(config).eval(), torch.randint(97, (2, 32), generator=torch.Generator().manual_seed(0))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.loss(ids, ids).backward()
    assert counter.get_total_flops() == training_flops_per_token(config) * ids.numel()


def test_a_recipe_can_ask_for_what_gpt2_does_not_have():
    storyteller = get_recipe("storyteller")
    assert type(model_of(storyteller.config(97))) is GPT
    for sets in (["rotary=true"], ["n_kv_head=2", "qk_norm=true"], ["n_expert=8", "swiglu=true"], ["window=none"]):
        recipe = override(storyteller, sets)
        model = model_of(recipe.config(VOCABULARY))
        assert isinstance(model, ModernGPT)
        planned = plan(recipe)
        assert planned.parameters == model.parameter_count()
        assert planned.peak_bytes > 4 * model.parameter_count()
    with pytest.raises(CourseError, match="multiple of n_kv_head"):
        override(storyteller, ["n_kv_head=3"])


def test_texts_without_an_end_are_read_as_they_are_without_a_cache(monkeypatch):
    monkeypatch.setattr(since_gpt2, "BUCKETS", 4)
    generator = torch.Generator().manual_seed(0)
    for changes in ({}, dict(rotary=True)):
        model = ModernGPT(ModernConfig(**SHAPE, **changes)).eval()
        sequences = torch.randint(97, (3, 4 * 32 + 1), generator=generator)
        found = since_gpt2.token_by_token(KVCache(model), sequences)
        with torch.no_grad():
            windows = [(sequences[:, max(0, end - 32) : end], sequences[:, end]) for end in range(1, 4 * 32 + 1)]
            losses = [F.cross_entropy(model(window)[:, -1], target) for window, target in windows]
        expected = torch.stack(losses).view(4, -1).mean(dim=1).tolist()
        assert found == pytest.approx(expected, abs=1e-5)
        if changes:  # streamed: the same until the context is full
            streamed = since_gpt2.token_by_token(StreamingCache(model), sequences)
            assert streamed[0] == pytest.approx(expected[0], abs=1e-5)
            assert streamed[1:] != pytest.approx(expected[1:], abs=1e-5)


def test_sequences_are_made_as_those_of_training():
    tokenizer, texts = load_tokenizer("bundled"), load_stories("bundled", "validation").dataset[:12]["text"]
    found = since_gpt2.run_together(tokenizer, texts, 300)
    stories = [[*tokenizer.encode(text), tokenizer.eos_token_id] for text in texts]
    assert len(found) >= 3 and found.shape[1] == 301
    for sequence in found.tolist():
        assert sequence[0] == tokenizer.eos_token_id
        first = next(number for number, story in enumerate(stories) if sequence[1 : len(story) + 1] == story)
        assert sequence[1:] == [token for story in stories[first:] for token in story][:300]
        stories = stories[first + 1 :]  # none is read twice


@pytest.mark.parametrize("where", ["none", "queries and keys", "elsewhere"])
def test_biases_learn_where_they_are_asked_to(where):
    model = ModernGPT(ModernConfig(**SHAPE, rotary=True))
    since_gpt2.biases_of(where, model)
    model.loss(ids := torch.randint(97, (2, 32)), ids).backward()
    for name, parameter in model.named_parameters():
        if not name.endswith(".bias"):
            assert parameter.grad.any(), name
        elif name.endswith("qkv.bias"):
            queries, keys, values = parameter.grad.chunk(3)
            assert bool(queries.any()) == (where == "queries and keys"), name
            assert keys.shape == queries.shape and (where == "queries and keys" or not keys.any())
            assert bool(values.any()) == (where == "elsewhere"), name
        else:
            assert bool(parameter.grad.any()) == (where == "elsewhere"), name


# ---------------------------------------------------------------------- running


def test_tiny_runs_are_recorded_with_what_was_measured(elsewhere, monkeypatch, capsys):
    points = [
        tiny("old", {}, measure=beyond),
        tiny("new", dict(rotary=True, rms_norm=True, swiglu=True, n_kv_head=1), measure=beyond),
        tiny("experts", dict(n_expert=4), measure=busy),
        tiny("wild", dict(qk_norm=False), training=dict(lr=100.0, embedding_lr=100.0, kind="adamw"), measure=largest),
        tiny("small words", {}, vocabulary=512, measure=since_gpt2.bits),
        tiny("stream", dict(rotary=True), measure=since_gpt2.streaming),
    ]
    monkeypatch.setitem(running.EXPERIMENTS, "parts", lambda: points)
    monkeypatch.setattr(running, "SCORED", 20)
    rows = []
    for each_point in points:
        rows.append(running.run_point(each_point))
        assert not (running.runs_folder() / "since_gpt2" / each_point.name).exists()
    old, new, experts, wild, small, stream = rows
    assert set(old["by_position"]) == {"as it is"}
    assert set(new["by_position"]) == {"as it is", "positions divided", "base stretched"}
    assert all(len(losses) == 32 and min(losses) > 0 for losses in new["by_position"].values())
    assert [sum(layer) for layer in experts["busy"]] == pytest.approx([1, 1], abs=1e-5)
    assert wild["largest_logit"] > 0 and wild["largest_score"] > 0
    assert 0.5 < small["bits_per_byte"] < 4
    assert set(stream["by_position"]) == {"read again", "streamed", "streamed with 4 sinks"}
    assert old["all_operations"] == training_flops_per_token(points[0].config()) * old["tokens"]
    running.record_of("parts").write_text("".join(f"{running.json.dumps(row)}\n" for row in rows[:2]))
    assert main(["since-gpt2", "parts", "--list"]) == 0
    said = capsys.readouterr().out
    assert "old-seed0: " in said and "small words-seed0: to be run, 4 steps" in said


def test_a_run_that_diverges_is_a_result_where_it_may(elsewhere, monkeypatch):
    from helpers.train_step import TrainStep

    real = TrainStep.gradients

    def broken(self, batches, tokens):
        losses = real(self, batches, tokens)
        broken.count += 1
        return losses if broken.count < 3 else [loss * math.nan for loss in losses]

    monkeypatch.setattr(TrainStep, "gradients", broken)
    monkeypatch.setattr(running, "SCORED", 5)
    broken.count = 0
    row = running.run_point(tiny("may", {}, may_diverge=True, measure=largest))
    assert (row["val_loss"], row["val_accuracy"], row["steps"]) == (None, None, 2)
    assert running.in_words(row).startswith("may-seed0: diverged after")
    broken.count = 0
    with pytest.raises(NotANumber, match="the loss became nan at step 3"):
        running.run_point(tiny("may not", {}))


# ---------------------------------------------------------------------- what is measured


def model_for(changes: dict) -> GPT:
    torch.manual_seed(0)
    config = ModernConfig(vocab_size=2048, **dict(context_length=32, n_layer=2, n_head=2, d_model=16) | changes)
    return ModernGPT(config).eval()


def test_a_longer_copy_reads_what_the_model_reads_as_it_does():
    ids = torch.randint(97, (2, 32), generator=torch.Generator().manual_seed(0))
    for changes in ({}, dict(rotary=True), dict(window=4), dict(first_positions="sinusoidal")):
        model = model_for(changes)
        copy = longer(model, 128)
        assert torch.allclose(copy(ids), model(ids), atol=1e-6)
        assert copy(ids.repeat(1, 4)).shape == (2, 128, 2048)
    rotary = model_for(dict(rotary=True))
    assert not torch.allclose(longer(rotary, 128, interpolation=4.0)(ids), rotary(ids), atol=1e-6)


def test_the_loss_by_position_has_the_mean_loss():
    model, tokenizer = model_for(dict(rotary=True)), load_tokenizer("bundled")
    texts = list(load_stories("bundled", "validation", 12))
    found = beyond(model, tokenizer, texts)["by_position"]["as it is"]
    stream = [token for row in since_gpt2.story_rows(tokenizer, texts) for token in row[:-1]]
    rows = [stream[start : start + 129] for start in range(0, len(stream) - 129, 128)]
    assert sum(found) / 32 == pytest.approx(mean_loss(longer(model, 129), rows), rel=1e-4)


def test_experts_are_counted():
    model, tokenizer = model_for(dict(n_expert=3, top_k=1)), load_tokenizer("bundled")
    with torch.no_grad():
        for block in model.blocks:
            block.mlp.router.weight.zero_()
            block.ln_2.bias.fill_(1.0)
            block.ln_2.weight.zero_()
            block.mlp.router.weight[1] = 1.0
    assert busy(model, tokenizer, ["One day, Tom had a kite."])["busy"] == [[0, 1, 0], [0, 1, 0]]


def test_the_largest_score_is_found():
    model, tokenizer = model_for(dict(qk_norm=True)), load_tokenizer("bundled")
    found = largest(model, tokenizer, ["One day, Tom had a kite."])
    with torch.no_grad():  # with QK-norm no score is above the root of d_head
        assert 0 < found["largest_score"] <= 8**0.5
        for block in model.blocks:
            block.attn.q_norm.weight.mul_(10)
        assert largest(model, tokenizer, ["One day, Tom had a kite."])["largest_score"] > found["largest_score"]
    assert found["log_denominator"] == pytest.approx(math.log(2048), abs=0.1)


# ---------------------------------------------------------------------- what is recorded


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_recorded_is_of_these_points(name):
    rows, points = running.recorded(name), {each_point.name: each_point for each_point in EXPERIMENTS[name]()}
    lines = running.record_of(name).read_text(encoding="utf-8").splitlines() if rows else []
    assert len(lines) == len(rows), "a line belongs to no point, or stands twice"
    for row in rows:
        each_point = points[row["name"]]
        config, diverged = each_point.config(), row["val_loss"] is None
        assert (row["seed"], row["multiplying"]) == (each_point.seed, multiplying(config))
        assert diverged == (row["steps"] < each_point.steps) and (not diverged or each_point.may_diverge)
        assert row["all_operations"] == pytest.approx(training_flops_per_token(config) * row["tokens"], rel=1e-5)
        assert row["epochs"] < 1, "a story was read twice"
        assert diverged or row["floor"] < row["val_loss"] < 20


def test_every_choice_is_made_with_every_seed():
    points = each({"one": {}, "two": dict(rotary=True)})
    assert [point.name for point in points] == [f"{name}-seed{seed}" for seed in SEEDS for name in ("one", "two")]
