"""What notebook 07 builds is what `helpers` and torch compute: batches, AdamW, Muon, the loop, error bar, resuming."""

import copy
import json
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from course import mine, runs
from course.checks.optimizing import learning_rate
from course.recipes import get_recipe
from course.site import notebooks
from helpers.dataset import StorySampler
from helpers.files import data_folder
from helpers.model import GPT, IGNORED, GPTConfig
from helpers.optimizers import build_optimizer
from helpers.settings import ScheduleConfig, TrainingSettings
from helpers.tokenizer import train_tokenizer
from tests.taught import taught_code

SMALL = GPTConfig(vocab_size=300, context_length=64, n_layer=1, n_head=2, d_model=16)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    from helpers.dataset import tokenize_stories

    texts = [f"Once upon a time there was a little fox number {i}. " * (1 + i % 4) for i in range(200)]
    tokenizer = train_tokenizer(texts, 300)
    return tokenize_stories(texts, tokenizer, tmp_path_factory.mktemp("tokens"), progress=False)


@pytest.fixture(scope="module")
def taught(tokens):
    """The notebook's imports, functions and classes, on a small model and a few stories."""
    return taught_code("07_training", tokens=tokens, small=SMALL, GPT=GPT, QUINTIC=(3.4445, -4.7750, 2.0315))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(7)


def test_the_batches_are_the_samplers(taught, tokens):
    longest = int(tokens.lengths().max())
    sampler = StorySampler(tokens, 5, longest, seed=3, packed=False)
    for _ in range(20):
        inputs, targets = sampler.next_batch()
        stories = [row[row != IGNORED][:-1].tolist() for row in targets]
        ours = taught["collate"](stories, longest, tokens.eos_token_id)
        assert torch.equal(ours[0], inputs) and torch.equal(ours[1], targets)


def test_a_long_story_is_cut_as_the_sampler_cuts_it(taught, tokens):
    sampler = StorySampler(tokens, 4, 9, seed=3, packed=False)
    inputs, targets = sampler.next_batch()
    whole = [tokens.story(i)[:-1].tolist() for i in range(len(tokens))]
    stories = [next(story for story in whole if story[:9] == row.tolist()[: len(story)]) for row in targets]
    ours = taught["collate"](stories, 9, tokens.eos_token_id)
    assert torch.equal(ours[0], inputs) and torch.equal(ours[1], targets)


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("betas", [(0.9, 0.95), (0.8, 0.999)])
def test_adamw_is_torchs(taught, decay, betas):
    ours = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(5))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    settings = dict(lr=0.02, betas=betas, weight_decay=decay)
    one, other = taught["HandAdamW"](ours, **settings), torch.optim.AdamW(theirs, **settings)
    for _ in range(50):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        one.step(), other.step()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_adamw_is_what_the_helpers_train_with(taught):
    torch.manual_seed(0)
    ours, theirs = GPT(SMALL), GPT(SMALL)
    theirs.load_state_dict(ours.state_dict())
    (library,) = build_optimizer(theirs, TrainingSettings.of(kind="adamw", lr=1e-3, weight_decay=0.0).optimizer)
    mine = taught["HandAdamW"](ours.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0)
    ids = torch.randint(300, (4, 33))
    for _ in range(20):
        for model, optimizer in ((ours, mine), (theirs, library)):
            model.zero_grad()
            model.loss(ids[:, :-1], ids[:, 1:]).backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-3)


@pytest.mark.parametrize("shape", [(24, 24), (72, 24), (24, 96)])
def test_orthogonalizing_keeps_the_singular_vectors_and_maps_each_value_by_the_quintic(taught, shape):
    matrix = torch.randn(shape, dtype=torch.float64)
    U, S, Vt = torch.linalg.svd(matrix, full_matrices=False)
    a, b, c = 3.4445, -4.7750, 2.0315
    after = S / S.norm()
    for _ in range(5):
        after = a * after + b * after**3 + c * after**5
    assert torch.allclose(taught["orthogonalize"](matrix), U * after @ Vt, atol=1e-9)


@pytest.mark.parametrize(("warmup", "final"), [(0, 0.0), (20, 0.1), (50, 0.5)])
def test_the_schedule_is_that_of_the_exercise(taught, warmup, final):
    config = ScheduleConfig(warmup=warmup / 100, final=final)
    for step in range(101):
        expected = learning_rate(step, 100, warmup, 3.0, 3.0 * final)
        assert 3.0 * taught["schedule"](step / 100, config) == pytest.approx(expected, abs=1e-9)
        assert taught["lr_at"](step, 100, warmup, 3.0, 3.0 * final) == pytest.approx(expected, abs=1e-9)


def test_the_loop_is_the_courses(taught, tokens):
    settings = TrainingSettings.of(kind="adamw", lr=3e-3, steps=9, warmup=0.2, final=0.0, clip=0.5, accumulation=2)
    settings = settings.but(log_every=1, eval_every=0, sample_every=0)
    torch.manual_seed(0)
    mine_, theirs = GPT(SMALL), GPT(SMALL)
    theirs.load_state_dict(mine_.state_dict())
    (optimizer,) = build_optimizer(mine_, settings.optimizer)
    sampler = StorySampler(tokens, 4, 64, seed=1)
    rows = taught["train"](mine_, optimizer, copy.deepcopy(sampler), 9, 3e-3, warmup=2, accumulation=2, limit=0.5)
    expected = taught["training"].train(theirs, sampler, settings, progress=False).history
    for ours, course in zip(rows, expected, strict=True):
        assert ours["loss"] == pytest.approx(course["loss"], abs=2e-4)
        assert ours["norm"] == pytest.approx(course["grad_norm"], rel=1e-2)
        assert ours["lr"] == pytest.approx(course["lr"], rel=1e-4)


def test_the_small_run_is_decided_by_its_seed_and_a_spoilt_batch_is_seen(taught):
    spoil = taught["Spoilt"]

    def norms():
        _, rows = taught["train_small"](1e-3, steps=4, warmup=1, spoil=lambda model, batches: spoil(model, batches, 3))
        return [row["norm"] for row in rows]

    found = norms()
    assert found[2] > 50 * max(found[0], found[1])
    assert found == norms()


def test_gradients_that_are_never_cleared_add_up(taught):
    model = torch.nn.Linear(2, 1, bias=False)
    optimizer = taught["NeverCleared"](model.parameters(), lr=0.0)
    for step in range(1, 4):
        model.weight.grad = torch.ones(1, 2)
        optimizer.step()
        assert model.weight.grad.tolist() == [[step, step]]


def test_pieces_weighed_by_their_tokens_are_the_large_batch(taught, tokens):
    inputs, targets = StorySampler(tokens, 6, 64, seed=1, packed=False).next_batch()
    targets[3:, 5:] = IGNORED
    pieces = list(zip(inputs.split(2), targets.split(2), strict=True))
    whole, ours = taught["gradient_of"]([(inputs, targets)]), taught["gradient_of"](pieces)
    assert torch.allclose(ours, whole, atol=1e-5)


def test_turned_the_valley_is_the_same_for_all_who_do_not_look_at_axes(taught):
    momentum, adam = (
        lambda p: torch.optim.SGD(p, lr=0.06, momentum=0.5),
        lambda p: torch.optim.AdamW(p, lr=0.2, weight_decay=0.0),
    )
    far, descend = taught["far"], taught["descend"]
    assert far(descend(momentum, 45)) == pytest.approx(far(descend(momentum)), rel=1e-3)
    assert far(descend(adam, 45)) != pytest.approx(far(descend(adam)), rel=0.1)
    assert far(descend(adam, loud=100)) == pytest.approx(far(descend(adam)), rel=1e-2)
    assert math.isinf(far(descend(momentum, loud=100, steps=200)))


def test_the_error_bar_covers_what_it_should(taught):
    """Against brute force: many samples are drawn, and the bar is how far their losses lie apart."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.randint(50, 250, (20_000,), generator=generator).float()
    hard = 1 + 0.3 * torch.randn(20_000, generator=generator)
    nats = sizes * hard
    drawn = [torch.randperm(20_000, generator=generator)[:60] for _ in range(600)]
    measured = torch.tensor([taught["loss_with_error"](nats[some], sizes[some]) for some in drawn])
    assert measured[:, 1].mean().item() == pytest.approx(measured[:, 0].std().item(), rel=0.1)
    assert taught["loss_with_error"](nats, sizes)[0] == pytest.approx((nats.sum() / sizes.sum()).item(), rel=1e-5)


def test_smoothing_keeps_the_mean(taught):
    assert taught["smooth"]([1.0, 3.0, 5.0, 7.0, 100.0], by=2) == [2.0, 6.0]


def test_overfitting_reaches_almost_nothing_and_a_missing_shift_gets_there_sooner(taught):
    _, healthy = taught["overfit"](steps=60)
    _, copied = taught["overfit"](shifted=False, steps=60)
    assert abs(healthy[0] - math.log(300)) < 0.2 and healthy[-1] < healthy[0] / 5
    assert sum(copied) < sum(healthy)


def test_recorded_logs_are_read_by_what_they_say_of_themselves(taught, tmp_path):
    there = taught["recorded"].__globals__ | {"recordings": tmp_path}
    read = type(taught["recorded"])(taught["recorded"].__code__, there, argdefs=taught["recorded"].__defaults__)
    assert read() == read("rates") == {}
    for kind, lr, seed in (("muon", 0.02, 1), ("muon", 0.02, 0), ("adamw", 0.003, 0)):
        rows = [{"recipe": {"training": {"kind": kind, "lr": lr, "embedding_lr": 0.01}}}]
        rows += [{"step": 10, "loss": 3.0}, {"step": 20 + seed, "val_loss": 2.0}, {"evaluated_stories": 300}]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"storyteller-{kind}-seed{seed}.jsonl").write_text(text, encoding="utf-8")
    found = read()
    assert {name: [[row["step"] for row in rows] for rows, _ in each] for name, each in found.items()} == {
        "AdamW 0.003, embeddings 0.01": [[20]],
        "Muon 0.02, embeddings 0.01": [[20], [21]],
    }
    assert found["AdamW 0.003, embeddings 0.01"][0][1] == {"evaluated_stories": 300}


def test_the_recorded_search_was_as_wide_for_both_and_the_best_of_each_has_three_seeds():
    """The notebook says: six trials each, with one seed; then two seeds more for the best."""
    folder, ends, logs = data_folder() / "recorded", {}, {}
    for path in sorted([*folder.glob("storyteller-*.jsonl"), *(folder / "rates").glob("storyteller-*.jsonl")]):
        head, *_, end = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
        used = head["recipe"]["training"]
        logs.setdefault((used["kind"], used["lr"], used["embedding_lr"]), {})[used["seed"]] = end
        assert head["recipe"]["training"]["shape"] == "linear" and head["threads"] == 1
    for kind in ("adamw", "muon"):
        ends = {key: found[0]["evaluate"]["nats_per_token"] for key, found in logs.items() if key[0] == kind}
        assert len(ends) == 6
        assert set(logs[min(ends, key=ends.get)]) == {0, 1, 2}


def test_the_recorded_starts_of_the_positions_differ_in_nothing_else():
    """The notebook says of the two runs: the same recipe, the same stories in the same order."""
    folder = data_folder() / "recorded"
    paths = folder / "storyteller-muon-seed0.jsonl", folder / "positions/storyteller-muon-random-positions-seed0.jsonl"
    ours, theirs = (json.loads(path.read_text(encoding="utf-8").splitlines()[0])["recipe"] for path in paths)
    starts = [recipe["model"].pop("first_positions") for recipe in (ours, theirs)]
    assert starts == ["sinusoidal", "random"]
    assert ours | {"about": ""} == theirs | {"about": ""}


def test_the_course_would_not_train_again_what_the_notebook_trained():
    """Its run goes to the folder where `python -m course run` looks for one that is newer than its start."""
    sources = [cell.source for cell in notebooks.read(notebooks.folder() / "07_training.ipynb").cells]
    assert any('runs_folder() / "storyteller"' in source and "trainer.run()" in source for source in sources)


def test_the_stored_run_passes_the_5_gram_and_stays_above_the_floor():
    book = notebooks.read(notebooks.folder() / "07_training.ipynb")
    cell = next(cell for cell in book.cells if cell.source.strip() == "scoreboard.show()")
    board = cell.outputs[0].data["text/plain"].split("\n")
    names = [line.split("  ")[0].removesuffix(" (shipped)") for line in board[1:] if "of your GPT" not in line]
    assert names.index("5-gram") < names.index("the storyteller") < len(names) - 1
    assert names[-1].startswith("the floor")


def test_losses_are_those_of_cross_entropy(taught):
    model, ids = GPT(SMALL), torch.randint(300, (2, 20))
    found = taught["nats_of"](model, [each.tolist() for each in ids])
    logits = model(ids[:, :-1])
    expected = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").sum(1)
    assert torch.allclose(found, expected, atol=1e-3)


def test_the_learners_model_is_trained_to_the_same_bits(tmp_path, monkeypatch, tokens):
    """With an empty runs/ all parts are the course's: the run of `mine.load().GPT` is that of `helpers.model.GPT`."""
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    recipe = get_recipe("storyteller")
    recipe = replace(recipe, limit=200, training=recipe.training.but(steps=3, batch_size=2, eval_stories=1))
    own = runs.prepare(recipe, progress=False, model_class=mine.load(quiet=True).GPT)
    course = runs.prepare(recipe, progress=False)
    assert type(course.model) is GPT
    rows = [runs.trainer_of(each, progress=False).run().history for each in (own, course)]
    assert rows[0][-1]["loss"] == rows[1][-1]["loss"]
    for (name, a), (other, b) in zip(own.model.named_parameters(), course.model.named_parameters(), strict=True):
        assert name == other and torch.equal(a, b)


def test_an_interrupted_run_goes_on_with_the_learners_model(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    recipe = get_recipe("storyteller")
    recipe = replace(
        recipe, limit=200, training=recipe.training.but(steps=4, batch_size=2, eval_stories=1, log_every=1)
    )

    class Own(GPT):
        pass

    def until(step):
        return dict(progress=False, callback=lambda row: row["step"] == step)

    folder = tmp_path / "run"
    assert runs.start_or_resume(recipe, folder, "cpu", Own, **until(2)).run().stopped == "callback"
    again = runs.start_or_resume(recipe, folder, "cpu", Own, **until(0))
    assert type(again.model) is Own and again.step == 2
    whole = runs.train_recipe(recipe, progress=False)[0].model
    again.run()
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), whole.parameters(), strict=True))
