"""What notebook 03 counts, measures and trains is what `helpers` and torch compute; its shipped rows are current."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from course.site import notebooks
from helpers.evaluation import evaluate, story_rows
from helpers.files import data_folder, read_json
from helpers.ngrams import NGramModel
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer
from tests.taught import taught_code

V, END = 12, 0


@pytest.fixture(scope="module")
def taught():
    """The notebook's imports, functions and classes, over a small vocabulary."""
    return taught_code("03_baselines", V=V, END=END, tokenizer=Letters())


class Letters:
    """A tokenizer for these tests: "a" is 1, "b" is 2, ..."""

    eos_token_id, vocab_size = END, V

    def encode_batch(self, texts):
        return [[ord(letter) - 96 for letter in text] for text in texts]

    def decode(self, ids):
        return "".join(chr(96 + i) for i in ids)


@pytest.fixture(scope="module")
def stream():
    """[end] story [end] story [end] ...: some pairs occur once, some twice, some never; id 11 never occurs."""
    generator = np.random.default_rng(0)
    stories = [generator.integers(1, 11, 9) for _ in range(30)]
    return np.concatenate([[END], *(np.append(np.minimum(story, story[::-1] + 3), END) for story in stories)])


def test_counts_are_the_pairs(taught, stream):
    counts = taught["count_bigrams"](stream.astype(np.uint16), V)
    assert counts.sum() == len(stream) - 1
    assert counts[3, 4] == sum(a == 3 and b == 4 for a, b in zip(stream[:-1], stream[1:], strict=True))


def test_kneser_ney_is_the_helpers(taught, stream):
    table = taught["kneser_ney"](taught["count_bigrams"](stream, V))
    model = NGramModel(2, V, END).fit(stream[1:])
    expected = np.exp(model.next_log_probs_of([[i] for i in range(V)]))
    assert table == pytest.approx(expected, abs=1e-12)
    assert table.sum(axis=1) == pytest.approx(np.ones(V))


def test_modified_kneser_ney_takes_by_how_often_a_pair_was_met(taught, stream):
    """From the formulas of Chen and Goodman, pair by pair."""
    counts = taught["count_bigrams"](stream, V)
    table = taught["modified_kneser_ney"](counts)
    assert table.sum(axis=1) == pytest.approx(np.ones(V))
    n1, n2, n3, n4 = (max(int((counts == k).sum()), 1) for k in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    wanted = {0: 0, 1: 1 - 2 * y * n2 / n1, 2: 2 - 3 * y * n3 / n2, 3: 3 - 4 * y * n4 / n3}
    wanted = {k: min(max(d, 0), k) for k, d in wanted.items()}
    lower = taught["discounted"]((counts > 0).sum(axis=0), 1 / V)
    row = [int(c) for c in counts[3]]
    saved = sum(wanted[min(c, 3)] for c in row)
    for j, c in enumerate(row):
        assert table[3, j] == pytest.approx((c - wanted[min(c, 3)] + saved * lower[j]) / sum(row))


def test_smoothing_gives_distributions(taught, stream):
    counts = taught["count_bigrams"](stream, V)
    unigram = counts.sum(axis=0) / counts.sum()
    for table in (taught["add_k"](counts, 0.3), taught["interpolate"](counts, unigram, 0.7)):
        assert table.sum(axis=1) == pytest.approx(np.ones(V))
    assert taught["add_k"](counts, 0.5)[3, 4] == pytest.approx((counts[3, 4] + 0.5) / (counts[3].sum() + 6))
    assert taught["interpolate"](counts, unigram, 0.7)[11] == pytest.approx(unigram)


@pytest.mark.parametrize("order", [2, 3, 5])
def test_backing_off_is_the_helpers_model_of_any_order(taught, stream, order):
    followers, discounts = taught["followers_of"](stream.astype(np.uint16), order, V)
    model = NGramModel(order, V, END).fit(stream[1:])
    assert sum(len(tokens) for tokens, _ in followers.values()) == model.parameters
    for ids in ([END], [END, 3], [END, 3, 4], [END, 5, 5, 5, 5], *(stream[at : at + 4] for at in range(0, 60, 7))):
        before = [*ids[list(ids).index(END) :]] if END in ids else list(ids)
        context = tuple(int(i) for i in ([END] * order + before if before[0] == END else before)[1 - order :])
        probs = taught["back_off"](context, followers, discounts, V)
        assert np.log(probs) == pytest.approx(model.next_log_probs([int(i) for i in before]), abs=1e-9)


def test_the_trigram_scores_what_evaluate_scores(taught, stream):
    """By the chain rule and the conversion to bytes of the notebook's own parts."""
    texts = ["abcab", "bbd", "a"]
    followers, discounts = taught["followers_of"](stream, 3, V)

    def next_probs(before):
        return taught["back_off"](tuple([END, *before[-2:]][-2:]), followers, discounts, V)

    rows = Letters().encode_batch(texts)
    nats = -sum(taught["story_log_prob"](ids, next_probs) for ids in rows)
    metrics = evaluate(NGramModel(3, V, END).fit(stream[1:]), Letters(), texts)
    assert nats == pytest.approx(metrics.nats)
    tokens = sum(len(ids) + 1 for ids in rows)
    assert taught["bits_per_byte"](nats / tokens, tokens, texts) == pytest.approx(metrics.bits_per_byte)


def test_three_ways_to_the_same_loss(taught):
    """Counted pairs, `evaluate` with the notebook's table, and torch's cross-entropy on the ids."""
    texts = ["abcab", "bbd", "a"]
    rows = story_rows(Letters(), texts)
    table = np.random.default_rng(1).dirichlet(np.ones(V), V)
    metrics = evaluate(taught["TableModel"](table), Letters(), texts)
    pairs = sum(taught["count_bigrams"](np.array(row), V) for row in rows)
    assert taught["cross_entropy"](table, pairs) == pytest.approx(metrics.nats_per_token)
    before = torch.tensor([i for row in rows for i in row[:-1]])
    after = torch.tensor([i for row in rows for i in row[1:]])
    loss = F.cross_entropy(torch.from_numpy(table).log()[before], after)
    assert metrics.nats_per_token == pytest.approx(loss.item())
    assert metrics.accuracy == pytest.approx((torch.from_numpy(table).argmax(1)[before] == after).float().mean().item())


def test_the_network_learns_what_was_counted(taught, stream):
    counts = torch.from_numpy(taught["count_bigrams"](stream, V)).float()
    total = counts.sum(dim=1, keepdim=True)
    fraction, followed = total[:, 0] / total.sum(), counts / total.clamp(min=1)
    network = taught["NeuralBigram"](V)
    ids = torch.from_numpy(stream)
    assert network(ids[:-1], ids[1:]).item() == pytest.approx(math.log(V))
    assert taught["loss_on_all"](network, fraction, followed).item() == pytest.approx(math.log(V))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.3)
    for _ in range(300):
        taught["train_step"](lambda: taught["loss_on_all"](network, fraction, followed), optimizer)
    met = total[:, 0] > 0
    assert torch.allclose(network.logits.weight.softmax(1)[met], followed[met], atol=5e-3)
    one_by_one = F.cross_entropy(network.logits(ids[:-1]), ids[1:])
    assert taught["loss_on_all"](network, fraction, followed).item() == pytest.approx(one_by_one.item(), rel=1e-5)


def test_generated_stories_follow_the_distribution_and_the_seed(taught, stream):
    model = NGramModel(2, V, END).fit(stream[1:])

    def generate(limit, seed):
        return taught["sample_story"](lambda ids: np.exp(model.next_log_probs(ids)), limit=limit, seed=seed)

    assert [generate(15, seed) for seed in range(20)] == [generate(15, seed) for seed in range(20)]
    assert max(len(generate(15, seed)) for seed in range(20)) == 15
    firsts = [generate(1, seed) for seed in range(1000)]
    for token, probability in enumerate(np.exp(model.next_log_probs([END]))):
        story = [] if token == END else [token]
        assert firsts.count(story) / 1000 == pytest.approx(probability, abs=0.05)


# --- what is shipped


def shipped() -> dict[str, dict]:
    return {row["name"]: row for row in read_json(data_folder() / "scoreboard.json") if row["notebook"] == "03"}


def test_the_shipped_rows_belong_to_the_bundled_stories():
    """If this fails the stories or the tokenizer have changed: python docs/tools/ship_scoreboard.py"""
    stories, tokenizer = load_stories("bundled", "validation"), load_tokenizer("bundled")
    tokens = sum(len(ids) + 1 for ids in tokenizer.encode_batch(list(stories)))
    length = sum(len(text.encode("utf-8")) for text in stories)
    rows = shipped()
    assert rows["uniform"]["nats_per_token"] == pytest.approx(math.log(tokenizer.vocab_size), abs=1e-5)
    for name, row in rows.items():
        bits = row["nats_per_token"] * tokens / math.log(2) / length
        assert row["bits_per_byte"] == pytest.approx(bits, abs=1e-5), name


def test_the_shipped_rows_stand_in_the_stored_notebook():
    book = notebooks.read(notebooks.folder() / "03_baselines.ipynb")
    cell = next(cell for cell in book.cells if cell.source.strip() == "scoreboard.show()")
    board = cell.outputs[0].data["text/plain"]
    for name, row in shipped().items():
        line = next(line for line in board.split("\n") if line.startswith(f"{name}  "))
        assert f"{row['bits_per_byte']:.3f}" in line


def test_each_model_beats_the_simpler_one_and_none_the_floor():
    rows = shipped()
    order = ["uniform", "unigram", "bigram", "trigram", "5-gram"]
    values = [rows[name]["bits_per_byte"] for name in order]
    assert values == sorted(values, reverse=True)
    assert values[-1] > read_json(data_folder() / "stories" / "statistics.json")["floor"]["bits_per_byte"]
    assert rows["bigram, as a network"]["nats_per_token"] == pytest.approx(rows["bigram"]["nats_per_token"], abs=0.01)
