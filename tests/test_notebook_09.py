"""What notebook 09 teaches is what `helpers`, torch and transformers compute."""

import math
import re
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from course.site import notebooks
from helpers.evaluation import batches_of_windows, score_rows
from helpers.generation import generate
from helpers.kv_cache import KVCache, WithoutCache
from helpers.model import GPT, GPTConfig
from helpers.ngrams import NGramModel
from tests.taught import taught_code

V, END = 13, 0
NAME = "09_perplexity_and_sampling"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(9)
    model = GPT(GPTConfig(V, context_length=12, n_layer=2, n_head=2, d_model=16, tied_head=False, embedding_std=1.0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4) if parameter.dim() == 2 else None  # far from uniform
    return model.eval()


@pytest.fixture(scope="module")
def taught():
    """The notebook's imports, functions and classes, over a small vocabulary."""
    return taught_code(NAME, V=V, END=END)


SEQUENCES = [[0, 5, 7, 2, 0], [0, 3, 0], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0]]


def test_log_probs_are_those_of_evaluate(taught, model):
    for row, scores in zip(SEQUENCES, score_rows(model, SEQUENCES), strict=True):
        assert taught["log_probs"](model, row).tolist() == pytest.approx(scores.log_probs.tolist(), abs=1e-5)


def test_padded_sequences_score_the_same_where_they_are_real(taught, model):
    got, real = taught["padded_scores"](model, SEQUENCES, padding=END)
    expected = torch.cat([taught["log_probs"](model, row) for row in SEQUENCES])
    assert torch.allclose(got[real], expected, atol=1e-5)
    assert real.sum() == sum(len(row) - 1 for row in SEQUENCES)


@pytest.mark.parametrize("length", [1, 11, 12, 13, 18, 19, 40])
def test_windows_are_those_of_evaluate_where_both_overlap_by_half(taught, length):
    config = GPTConfig(V, context_length=12, n_layer=1, n_head=1, d_model=4)
    (batch,) = batches_of_windows([[0] * (length + 1)], config)
    expected = sorted((start, end, first) for _, first, start, end in batch)
    assert taught["overlapping_windows"](length, 12, 6) == expected


def test_a_stream_in_overlapping_windows_is_scored_as_evaluate_scores_it(taught, model):
    stream = [int(i) for i in torch.randint(V, (60,), generator=torch.Generator().manual_seed(1))]
    got = taught["stream_nats"](model, stream, 12, 6)
    assert (-got).tolist() == pytest.approx(score_rows(model, [stream])[0].log_probs.tolist(), abs=1e-5)


def test_a_5gram_that_overlaps_by_its_memory_is_measured_rightly(taught):
    generator = torch.Generator().manual_seed(4)
    stories = [torch.randint(1, 5, (20,), generator=generator).tolist() for _ in range(40)]
    scope = taught["fivegram_perplexity"].__globals__
    scope["fivegram"] = NGramModel(5, V, END).fit(stories)
    stream = [END, *(token for story in stories[:5] for token in [*story, END])]
    right = scope["fivegram_perplexity"](stream, len(stream), len(stream))
    assert scope["fivegram_perplexity"](stream, 16, 13) == pytest.approx(right, rel=1e-9)
    assert scope["fivegram_perplexity"](stream, 16, 16) > right * 1.001


def test_each_suspect_is_the_mistake_that_it_says(taught, model):
    measured = taught["suspects"](model, SEQUENCES)
    with torch.no_grad():
        logits = torch.cat([model(torch.tensor([row[:-1]]))[0] for row in SEQUENCES])
    targets = torch.tensor([token for row in SEQUENCES for token in row[1:]])
    p = logits.softmax(-1)
    by_hand = (p.exp().sum(-1).log() - p.gather(1, targets[:, None])[:, 0]).mean()
    assert measured["softmax twice"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert measured["right"].item() == pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-5)
    assert measured["log-softmax twice"].item() == pytest.approx(measured["right"].item(), rel=1e-5)
    own = torch.tensor([token for row in SEQUENCES for token in row[:-1]])
    assert measured["not shifted"].item() == pytest.approx(F.cross_entropy(logits, own).item(), rel=1e-5)


@pytest.mark.parametrize("vocab_size", [50, 2048])
def test_softmax_twice_stays_in_its_range_whatever_the_logits(vocab_size):
    """From V / e to V + e - 1: the ends are a model that is always right and one that is always sure and wrong."""
    for scale in (0.0, 1.0, 30.0):
        logits = scale * torch.randn(64, vocab_size, generator=torch.Generator().manual_seed(3))
        for targets in (logits.argmax(-1), logits.argmin(-1)):
            reported = F.cross_entropy(logits.softmax(-1), targets).exp().item()
            assert vocab_size / math.e < reported < vocab_size + math.e


def test_the_taught_cache_is_that_of_helpers_for_one_sequence_also_past_the_context(taught, model):
    generator = torch.Generator().manual_seed(7)
    for length in (1, 5, 12, 17):
        ids = torch.randint(V, (length,), generator=generator).tolist()
        cache, theirs, without = taught["KVCache"](model), KVCache(model), WithoutCache(model)
        got, expected, slow = cache.start(ids), theirs.start([ids]), without.start([ids])
        for step in range(16):
            assert torch.allclose(got, expected[0], atol=1e-5), step
            assert torch.allclose(got, slow[0], atol=1e-3), step
            token = int(torch.randint(V, (1,), generator=generator))
            got, expected, slow = cache.append(token), theirs.append([token]), without.append([token])


def test_the_taught_search_follows_the_likeliest_of_all_where_it_may(taught, model):
    scope = taught["fixed_length_search"].__globals__
    scope["model"] = model
    after = taught["next_log_probs"]
    every = [[a, b] for a in range(V) for b in range(V)]
    sums = [float(after([[3, 5]])[0, a] + after([[3, 5, a]])[0, b]) for a, b in every]
    total, new = taught["fixed_length_search"](after, [3, 5], V, 2)
    assert new == every[sums.index(max(sums))] and total == pytest.approx(max(sums), abs=1e-5)
    greedy = list(generate(model, [3, 5], 6, greedy=True))
    assert taught["fixed_length_search"](after, [3, 5], 1, 6)[1] == greedy


def test_the_taught_story_is_that_of_helpers_from_the_same_seed(taught, model):
    for how in ({}, {"temperature": 0.7, "top_k": 5}, {"top_p": 0.8, "min_p": 0.02}):
        for seed in range(3):
            expected = list(generate(model, [END, 4], 15, seed=seed, eos_token_id=END, **how))
            assert taught["tell"](model, [END, 4], 15, seed=seed, **how) == expected


def test_windows_at_their_own_positions_are_the_text_where_nothing_has_slid(taught, model):
    windows = torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]])
    got = taught["read_windows"](model, windows, torch.tensor([0, 0]))
    with torch.no_grad():
        assert torch.allclose(got, model(windows)[:, -1], atol=1e-5)
    moved = taught["read_windows"](model, windows, torch.tensor([0, 3]))
    assert torch.allclose(moved[0], got[0], atol=1e-5) and not torch.allclose(moved[1], got[1], atol=1e-3)


def test_kappa_is_one_for_equal_verdicts_and_nothing_by_chance(taught):
    kappa = taught["kappa"]
    yes = torch.tensor([True, True, False, False])
    assert kappa(yes, yes) == pytest.approx(1) and kappa(yes, ~yes) == pytest.approx(-1)
    assert kappa(yes, torch.tensor([True, False, True, False])) == pytest.approx(0)
    assert math.isnan(kappa(yes | True, yes | True))


def test_what_is_sampled_has_the_frequencies_of_its_distribution(taught):
    logits = 2 * torch.randn(30, generator=torch.Generator().manual_seed(5))
    p = taught["reshape"](logits, temperature=1.3, top_p=0.9).softmax(-1)
    uniform = (torch.arange(20_000) + 0.5) / 20_000  # every quantile once
    counts = taught["sample_by_inversion"](p.expand(len(uniform), -1), uniform).bincount(minlength=30)
    assert torch.allclose(counts / len(uniform), p, atol=1e-3) and (counts[p == 0] == 0).all()


def test_training_on_the_wrong_loss_learns_next_to_nothing(taught, tmp_path):
    """What the case rests on, at a smaller size still: the same batches, the right loss and the flat one."""

    class Sampler:
        def __init__(self, *_, batch_size, context_length, seed):
            self.shape, self.step = (batch_size, context_length), 0

        def next_batch(self):
            self.step += 1
            start = torch.randint(V, (self.shape[0], 1), generator=torch.Generator().manual_seed(self.step))
            row = (start + torch.arange(self.shape[1] + 1)) % V  # each token follows from the one before
            return row[:, :-1], row[:, 1:]

    scope = taught["train_small"].__globals__
    scope.update(StorySampler=Sampler, token_file=None, session=type("Session", (), {"seed": 1}))
    _, right = taught["train_small"](twice=False, steps=40)
    _, twice = taught["train_small"](twice=True, steps=40)
    assert right[-1][0] < 0.5 * right[0][0]
    assert all(math.log(V) - 1 < bad < math.log(V + 2) for _, bad in right + twice)


def test_an_opening_holds_what_the_grammar_says(taught):
    text = "A bear, Tom, had a red kite. He ran."
    spans = [("hero", "text", "Tom"), ("color", "text", "red"), ("toy", "text", "kite"), ("hero", "he", "He")]
    story = {
        "text": text,
        "spans": [
            {
                "role": role,
                "attribute": attribute,
                "text": word,
                "start": text.index(word),
                "end": text.index(word) + len(word),
            }
            for role, attribute, word in spans
        ],
    }
    story["spans"][-1]["text"] = "he"
    found = taught["opening"](story)
    assert found == {
        "text": "A bear, Tom, had a red kite.", "rest": " He ran.", "male": True,
        "hero": "Tom", "toy": "kite", "color": "red",
    }  # fmt: skip
    assert taught["opening"]({"text": text, "spans": story["spans"][:2]}) == {}
    scope = taught["survival"].__globals__
    scope["COLORS"] = {"red", "blue"}
    ask = taught["survival"]
    assert ask(found, "Tom took his kite.") == {
        "the name": True, "the thing": True, "its color": None, "the pronoun": True,
    }  # fmt: skip
    assert ask(found, "She lost the blue kite, and the red kite.") == {
        "the name": False, "the thing": True, "its color": False, "the pronoun": False,
    }  # fmt: skip


# --- what is stored


def outputs() -> str:
    book = notebooks.read(notebooks.folder() / f"{NAME}.ipynb")
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    return "\n".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in cells
        for output in cell.outputs
    )


def test_the_stored_page_found_every_method_equal_to_the_librarys():
    assert len(re.findall(r"equal to transformers: True", outputs())) == 8
    assert "equal to transformers: False" not in outputs()


def test_the_stored_page_has_the_same_greedy_story_from_the_engine():
    lines = re.findall(r"^(?:with a KV cache|CTranslate2, float32) .*", outputs(), re.MULTILINE)
    assert all(line.endswith("the same greedy story: True") for line in lines)


def test_the_stored_playground_reads_without_widgets():
    book = notebooks.read(notebooks.folder() / f"{NAME}.ipynb")
    (cell,) = [cell for cell in book.cells if cell.source.strip().startswith("from course.playground")]
    (output,) = cell.outputs
    assert len(re.findall(r"\[\d+\]", output.data["text/plain"])) > 20
    assert "<script" not in output.data["text/html"] and "VBox" not in output.data["text/plain"]


def test_the_stored_scoreboard_runs_from_guessing_to_the_storyteller_and_the_floor():
    book = notebooks.read(notebooks.folder() / f"{NAME}.ipynb")
    (cell,) = [cell for cell in book.cells if "scoreboard.show(" in cell.source]
    board = cell.outputs[-1].data["text/plain"].split("\n")
    names = [re.split(r"  +| \(shipped\)", line)[0] for line in board[1:] if "of your GPT" not in line]
    learners, shipped = names.index("the storyteller"), names.index("the shipped storyteller")
    assert names.index("uniform") < names.index("5-gram") < learners < shipped < len(names) - 1
    assert names[-1].startswith("the floor")


def test_dropout_left_on_is_the_same_model_otherwise(taught, model):
    forgetful = GPT(replace(model.config, dropout=0.5))
    forgetful.load_state_dict(model.state_dict())
    assert torch.allclose(
        taught["log_probs"](forgetful.eval(), SEQUENCES[0]), taught["log_probs"](model, SEQUENCES[0]), atol=1e-5
    )
    assert not torch.allclose(
        taught["log_probs"](forgetful.train(), SEQUENCES[0]), taught["log_probs"](model, SEQUENCES[0])
    )
