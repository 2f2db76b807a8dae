"""What notebook 04 defines computes what torch and `helpers` compute; its solutions are what GPT uses."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from helpers.evaluation import score_rows
from helpers.model import GPT, GPTConfig, sinusoids
from tests.taught import taught_code

V, END = 12, 0


@pytest.fixture(scope="module")
def taught():
    """The notebook's imports, functions and classes, over a small vocabulary."""
    return taught_code("04_embeddings_and_positions", V=V, END=END, offsets=torch.tensor([-4, -3, -2, -1, 1, 2, 3, 4]))


@pytest.fixture(scope="module")
def solved(taught):
    """The course's own parts, which are the folded solutions."""
    return SimpleNamespace(**{name: taught[name] for name in taught if not name.startswith("__")})


def model(**options) -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(vocab_size=V, context_length=9, n_layer=1, n_head=2, d_model=8, **options))


def test_the_solved_parts_put_together_are_what_gpt_reads(solved):
    gpt, ids = model(), torch.tensor([[1, 5, 3, 3, 11], [0, 2, 7, 1, 4]])
    looked_up = solved.lookup_by_one_hot(ids, gpt.wte.weight)
    assert torch.equal(solved.add_positions(looked_up, gpt.wpe.weight), gpt.embed(ids))
    gpt = model(positions="sinusoidal")
    looked_up = solved.lookup_by_one_hot(ids, gpt.wte.weight) * 8**0.5
    torch.testing.assert_close(solved.add_positions(looked_up, solved.sinusoids(9, 8)), gpt.embed(ids))


def test_their_gradients_are_gpts(solved):
    gpt, ids = model(), torch.tensor([[1, 5, 3, 3, 11]])
    gpt.embed(ids).square().sum().backward()
    wte, wpe = (table.weight.detach().clone().requires_grad_() for table in (gpt.wte, gpt.wpe))
    solved.add_positions(solved.lookup_by_one_hot(ids, wte), wpe).square().sum().backward()
    torch.testing.assert_close(wte.grad, gpt.wte.weight.grad)
    torch.testing.assert_close(wpe.grad, gpt.wpe.weight.grad)


def test_the_sinusoids_are_the_helpers(solved):
    torch.testing.assert_close(solved.sinusoids(300, 64), sinusoids(300, 64), atol=1e-4, rtol=0)


def test_the_counted_parameters_are_gpts(solved):
    for tied in (True, False):
        gpt = model(tied_head=tied)
        tables = gpt.wte.weight.numel() + gpt.wpe.weight.numel() + (0 if tied else gpt.head.weight.numel())
        assert solved.embedding_parameters(V, 9, 8, tied) == tables


@pytest.mark.parametrize("k", [0, 1, 7, 40])
def test_one_matrix_moves_every_position(taught, k):
    table = sinusoids(100, 16)
    moved = table[: 100 - k] @ taught["shift_matrix"](k, 16)
    torch.testing.assert_close(moved, table[k:], atol=1e-4, rtol=0)


def test_cbow_is_torchs_embedding_bag(taught):
    torch.manual_seed(0)
    cbow = taught["CBOW"](V, 6)
    nn.init.normal_(cbow.head.weight)
    around = torch.randint(V, (5, 8))
    bag = F.embedding_bag(around, cbow.wte.weight, mode="mean")
    torch.testing.assert_close(cbow(around), bag @ cbow.head.weight.T)
    hidden = torch.randint(V, (5,))
    torch.testing.assert_close(cbow.loss(around, hidden), F.cross_entropy(bag @ cbow.head.weight.T, hidden))


def test_gaps_leave_out_the_hidden_token(taught):
    around, hidden = taught["gaps"](torch.arange(50), 64)
    expected = hidden[:, None] + torch.tensor([-4, -3, -2, -1, 1, 2, 3, 4])
    assert torch.equal(around, expected)


def test_pca_keeps_the_widest_directions(taught):
    torch.manual_seed(0)
    points = torch.randn(40, 5) * torch.tensor([5.0, 3.0, 0.1, 0.1, 0.1]) + 7
    flat, kept = taught["pca"](points)
    _, _, directions = torch.pca_lowrank(points, q=5, center=True)
    expected = (points - points.mean(dim=0)) @ directions[:, :2]
    torch.testing.assert_close(flat.abs(), expected.abs(), atol=1e-3, rtol=1e-3)
    assert kept > 0.99


@pytest.mark.parametrize("ordered", [False, True])
def test_a_window_model_sees_the_last_n_and_nothing_else(taught, ordered):
    torch.manual_seed(0)
    window = taught["WindowModel"](V, n=3, d_model=4, d_hidden=8, ordered=ordered)
    ids = torch.tensor([[0, 4, 5, 6, 7, 8]])
    logits = window(ids)[0]
    torch.testing.assert_close(window(torch.tensor([[9, 9, 9, 6, 7, 8]]))[0, -1], logits[-1])
    torch.testing.assert_close(window(ids[:, :4])[0], logits[:4])  # the future is not seen
    swapped = window(torch.tensor([[0, 4, 5, 7, 6, 8]]))[0, -1]
    assert torch.allclose(swapped, logits[-1], atol=1e-6) != ordered


def test_the_evaluator_scores_a_window_model_by_its_own_logits(taught):
    torch.manual_seed(0)
    window = taught["WindowModel"](V, n=3, d_model=4, d_hidden=8, ordered=True)
    rows = [[0, 3, 4, 5, 0], [0, 7, 0]]
    for row, scores in zip(rows, score_rows(window, rows), strict=True):
        expected = window(torch.tensor([row[:-1]]))[0].log_softmax(dim=1)
        wanted = expected[torch.arange(len(row) - 1), torch.tensor(row[1:])]
        torch.testing.assert_close(torch.tensor(scores.log_probs), wanted.detach(), atol=1e-5, rtol=1e-5)
