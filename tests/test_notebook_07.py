"""What notebook 07 builds is what `helpers` and torch compute: shift, AdamW, Muon, schedule, error bar, resuming."""

import json
import math

import pytest
import torch
import torch.nn.functional as F

from course.checks.optimizing import learning_rate
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
    return taught_code("07_training", tokens=tokens, small=SMALL, QUINTIC=(3.4445, -4.7750, 2.0315))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(7)


def test_the_shift_is_the_samplers(taught, tokens):
    sampler = StorySampler(tokens, 5, 64, seed=3, packed=False)
    for _ in range(20):
        inputs, targets = sampler.next_batch()
        lengths = (targets != IGNORED).sum(1) + 1
        padded = torch.cat([inputs, torch.full((5, 1), tokens.eos_token_id)], dim=1)
        for n, length in enumerate(lengths):  # one that fills the whole width has its last token in the targets alone
            padded[n, length - 1] = targets[n, length - 2]
        ours = taught["inputs_and_targets"](padded, lengths)
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


def test_the_small_run_clips_as_torch_does_and_a_spoilt_batch_is_seen(taught):
    taught["new_model"](), taught["new_batches"]()
    _, losses, norms = taught["train_small"](1e-3, steps=4, warmup=0.2, spoilt=3)
    assert len(losses) == len(norms) == 4
    assert norms[2] > 50 * max(norms[0], norms[1])
    again = taught["train_small"](1e-3, steps=4, warmup=0.2, spoilt=3)
    assert losses == again[1], "it is decided by its seed"


def test_pieces_weighed_by_their_tokens_are_the_large_batch(taught, tokens):
    inputs, targets = StorySampler(tokens, 6, 64, seed=1, packed=False).next_batch()
    targets[3:, 5:] = IGNORED
    model = GPT(SMALL)
    pieces = list(zip(inputs.split(2), targets.split(2), strict=True))
    counts = [int((answers != IGNORED).sum()) for _, answers in pieces]
    whole = taught["gradient_of"](model, [(inputs, targets)], lambda i: 1)
    ours = taught["gradient_of"](model, pieces, lambda i: counts[i] / sum(counts))
    assert torch.allclose(ours, whole, atol=1e-5)


def test_the_error_bar_covers_what_it_should(taught):
    """Against brute force: many samples are drawn, and the bar is how far their losses lie apart."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.randint(50, 250, (20_000,), generator=generator).float()
    hard = 1 + 0.3 * torch.randn(20_000, generator=generator)
    nats = sizes * hard
    drawn = [torch.randperm(20_000, generator=generator)[:60] for _ in range(600)]
    measured = torch.tensor([taught["mean_and_error"](nats[some], sizes[some]) for some in drawn])
    assert measured[:, 1].mean().item() == pytest.approx(measured[:, 0].std().item(), rel=0.1)
    assert taught["mean_and_error"](nats, sizes)[0] == pytest.approx((nats.sum() / sizes.sum()).item(), rel=1e-5)


def test_smoothing_keeps_the_mean(taught):
    assert taught["smooth"]([1.0, 3.0, 5.0, 7.0, 100.0], by=2) == [2.0, 6.0]


def test_overfitting_reaches_almost_nothing_and_a_missing_shift_gets_there_sooner(taught):
    _, healthy = taught["overfit"](steps=60)
    _, copied = taught["overfit"](shifted=False, steps=60)
    assert abs(healthy[0] - math.log(300)) < 0.2 and healthy[-1] < healthy[0] / 5
    assert sum(copied) < sum(healthy)


def test_recorded_logs_are_read_by_what_they_say_of_themselves(taught, tmp_path):
    folder = tmp_path / "data" / "recorded"
    folder.mkdir(parents=True)
    there = taught["recorded"].__globals__ | {"root": tmp_path}
    read = type(taught["recorded"])(taught["recorded"].__code__, there, argdefs=taught["recorded"].__defaults__)
    assert read() == read("recorded/rates") == {}
    for kind, lr, seed in (("muon", 0.02, 1), ("muon", 0.02, 0), ("adamw", 0.003, 0)):
        rows = [{"recipe": {"training": {"kind": kind, "lr": lr, "shape": "linear"}}}]
        rows += [{"step": 10, "loss": 3.0}, {"step": 20 + seed, "val_loss": 2.0}, {"evaluated_stories": 300}]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"storyteller-{kind}-seed{seed}.jsonl").write_text(text, encoding="utf-8")
    found = read()
    assert {name: [[row["step"] for row in log] for log in logs] for name, logs in found.items()} == {
        "AdamW at 0.003, linear": [[20]],
        "Muon at 0.02, linear": [[20], [21]],
    }
    (folder / "rates").mkdir()
    (folder / "storyteller-adamw-seed0.jsonl").rename(folder / "rates" / "storyteller-adamw-seed0.jsonl")
    assert list(read()) == ["Muon at 0.02, linear"] and list(read("recorded/rates")) == ["AdamW at 0.003, linear"]


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
    names = [line.split("  ")[0].removesuffix(" (shipped)") for line in board[1:]]
    assert names.index("5-gram") < names.index("the storyteller") < len(names) - 1
    assert names[-1].startswith("the floor")


def test_losses_are_those_of_cross_entropy(taught):
    model, ids = GPT(SMALL), torch.randint(300, (2, 20))
    found = taught["nats_of"](model, [each.tolist() for each in ids])
    logits = model(ids[:, :-1])
    expected = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").sum(1)
    assert torch.allclose(found, expected, atol=1e-3)
