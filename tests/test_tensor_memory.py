"""Counted memory: what is held at the same time, and no view twice."""

import torch
from torch.nn import functional as F

from course.bench.memory import peak_bytes

KB = 1024  # 256 float32


def test_what_is_held_together_counts_together():
    def chain():
        a = torch.zeros(256)
        b = a + 1
        return a, b

    assert peak_bytes(chain) == 2 * KB


def test_what_was_given_back_is_free_again():
    def one_after_the_other():
        for _ in range(10):
            torch.zeros(256).sum()

    assert KB <= peak_bytes(one_after_the_other) < 2 * KB


def test_views_results_in_place_and_tensors_from_before_are_not_counted():
    x = torch.zeros(16, 16)
    assert peak_bytes(lambda: x.T.flatten(0).view(256)) == KB  # flatten copies, the views do not
    assert peak_bytes(lambda: x.add_(1).view(256)) == 0


def test_the_counter_knows_what_autograd_keeps():
    x = torch.zeros(256, requires_grad=True)

    def chain():
        y = x
        for _ in range(10):
            y = y.exp()
        return y

    with torch.no_grad():
        assert peak_bytes(chain) == 2 * KB
    assert peak_bytes(chain) == 10 * KB


def test_a_sparse_gradient_counts_as_what_it_holds():
    table = torch.nn.Embedding(1000, 256, sparse=True)
    ids = torch.tensor([3, 5, 3, 8])
    sparse = peak_bytes(lambda: table(ids).sum().backward())
    assert table.weight.grad.is_sparse and 4 * KB <= sparse < 1000 * KB / 10


def test_fused_attention_never_holds_the_map():
    q = torch.randn(1, 2, 256, 16)
    with torch.no_grad():
        explicit = peak_bytes(lambda: (q @ q.mT).softmax(-1) @ q)
        fused = peak_bytes(lambda: F.scaled_dot_product_attention(q, q, q, is_causal=True))
    assert explicit >= 2 * 2 * 256 * 256 * 4 > 8 * fused
