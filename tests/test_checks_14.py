"""The checks of notebook 14: what is right is called right, every time, however it is written; and nothing crashes."""

import math
import statistics

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course.checks import nb14
from course.checks.exercise import NOT_ATTEMPTED, RIGHT, WRONG
from course.checks.modern_parts import alike, doubles
from course.checks.modern_positions import by_logarithms
from course.checks.modern_rotation import angles, turned
from helpers import modern

# ---------------------------------------------------------------------- 14.1


def difference(before, after):
    squares = [np.var(losses, ddof=1) / len(losses) for losses in (before, after)]
    return np.mean(after) - np.mean(before), math.sqrt(sum(squares))


def difference_by_statistics(before, after):
    one, other = (statistics.stdev(losses) / len(losses) ** 0.5 for losses in (before, after))
    return [statistics.fmean(after) - statistics.fmean(before), math.hypot(one, other)]


def difference_in_torch(before, after):
    before, after = torch.tensor(before), torch.tensor(after)
    error = (before.var() / len(before) + after.var() / len(after)).sqrt()
    return torch.stack((after.mean() - before.mean(), error))


def difference_by_hand(before, after):
    error = 0.0
    for losses in (before, after):
        n = len(losses)
        error += (sum(loss**2 for loss in losses) - sum(losses) ** 2 / n) / (n - 1) / n
    return sum(after) / len(after) - sum(before) / len(before), max(error, 0.0) ** 0.5


def difference_with_n_below(before, after):
    """A variance with n below, over n - 1, is the same."""
    return np.array(
        (np.mean(after) - np.mean(before), np.sqrt(sum(np.var(x) / (len(x) - 1) for x in (before, after))))
    )


# ---------------------------------------------------------------------- 14.2


class Norm(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps


class DividingNorm(Norm):
    def forward(self, x):
        wide = x.double() if x.dtype == torch.float64 else x.float()
        root = torch.sqrt(wide.square().mean(dim=-1, keepdim=True) + self.eps)
        return self.weight * (wide / root).to(x.dtype)


class NormAlwaysInFloat64(Norm):
    def forward(self, x):
        wide = x.to(torch.float64)
        root = (torch.linalg.vector_norm(wide, dim=-1, keepdim=True) ** 2 / x.shape[-1] + self.eps) ** 0.5
        return (wide / root).type_as(x) * self.weight


class NormInEinsum(Norm):
    def forward(self, x):
        wide = x if x.dtype in (torch.float32, torch.float64) else x.float()
        square = torch.einsum("...i,...i->...", wide, wide) / wide.size(-1)
        return wide.mul((square + self.eps).rsqrt().unsqueeze(-1)).to(x.dtype).mul(self.weight)


class NormThatInheritsNothingElse(nn.Module):
    """A learner's own __init__, with names of its own for what is no parameter."""

    def __init__(self, width: int, eps: float = 1e-6):
        nn.Module.__init__(self)
        self.register_parameter("weight", nn.Parameter(torch.ones(width)))
        self.small = eps

    def forward(self, x):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        wide = wide / (wide.pow(2).sum(-1, keepdim=True) / wide.shape[-1] + self.small).sqrt()
        return wide.to(x.dtype) * self.weight


# ---------------------------------------------------------------------- 14.3


def rotate_as_llama(x, positions, frequencies):
    angle = positions.float().unsqueeze(-1) * frequencies
    angle = torch.cat((angle, angle), dim=-1)
    angle = angle[None, None] if positions.dim() == 1 else angle[:, None]
    half = x.shape[-1] // 2
    other = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * angle.cos().to(x.dtype) + other * angle.sin().to(x.dtype)


def rotate_as_complex(x, positions, frequencies):
    wide = x.float()
    first, second = wide.split(x.shape[-1] // 2, dim=-1)
    angle = (positions[..., None] * frequencies).unsqueeze(-3)
    pairs = torch.complex(first, second) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((pairs.real, pairs.imag), -1).type_as(x)


def rotate_by_einsum(x, positions, frequencies):
    at = positions.expand(x.shape[0], -1) if positions.dim() == 1 else positions
    angle = torch.einsum("bt,f->btf", at.to(frequencies.dtype), frequencies)[:, None]
    cos, sin = angle.cos(), angle.sin()
    pairs = torch.stack(x.to(torch.promote_types(x.dtype, torch.float32)).chunk(2, -1), -1)  # (..., d_head / 2, 2)
    turn = torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), -2)
    return (turn.to(pairs.dtype) @ pairs[..., None])[..., 0].mT.flatten(-2).to(x.dtype)


def rotate_written_into_a_new_tensor(x, positions, frequencies):
    out, half = torch.empty_like(x), x.shape[-1] // 2
    for i in range(half):
        angle = (positions * frequencies[i])[..., None, :]
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        out[..., i] = x[..., i] * cos - x[..., i + half] * sin
        out[..., i + half] = x[..., i + half] * cos + x[..., i] * sin
    return out


# ---------------------------------------------------------------------- 14.4


def change_by_shift(scores_at, positions, shift):
    return (scores_at(positions + shift) - scores_at(positions)).abs().max().item()


def change_by_shift_the_other_way(scores_at, positions, shift):
    moved = positions.clone()
    moved += shift
    return float(torch.max(torch.abs(scores_at(positions) - scores_at(moved))))


def change_by_shift_in_numpy(scores_at, positions, shift):
    return np.abs(scores_at(positions + shift).numpy() - scores_at(positions).numpy()).max()


def change_by_shift_in_lists(scores_at, positions, shift):
    moved = torch.tensor([at + shift for at in positions.tolist()])
    rows = zip(scores_at(positions).tolist(), scores_at(moved).tolist(), strict=True)
    return max(abs(a - b) for both in rows for a, b in zip(*both, strict=True))


# ---------------------------------------------------------------------- 14.5


def stretched_base_by_logarithms(base, times, d_head):
    return math.exp(math.log(base) + math.log(times) * d_head / (d_head - 2))


def stretched_base_of_the_slowest(base, times, d_head):
    exponent = -2 * (d_head // 2 - 1) / d_head
    return (base**exponent / times) ** (1 / exponent)


def stretched_base_in_numpy(base, times, d_head):
    return np.float64(base) * np.power(float(times), 1 / (1 - 2 / d_head))


def stretched_base_in_torch(base, times, d_head):
    return base * torch.tensor(times, dtype=torch.float64) ** (d_head / (d_head - 2))


# ---------------------------------------------------------------------- 14.6


def swiglu_width_half_up(d_model, multiple=8):
    return max(multiple, multiple * int(8 * d_model / 3 / multiple + 0.5))


def swiglu_width_in_whole_numbers(d_model, multiple=8):
    return max(1, (16 * d_model + 3 * multiple) // (6 * multiple)) * multiple


def swiglu_width_tried_out(d_model, multiple=8):
    best, weights = multiple, 8 * d_model**2
    while abs(3 * d_model * (best + multiple) - weights) < abs(3 * d_model * best - weights):
        best += multiple
    return best


def swiglu_width_in_numpy(d_model, multiple=8):
    return np.int64(max(1, np.rint(d_model * 8 / 3 / multiple)) * multiple)


# ---------------------------------------------------------------------- 14.7


def repeat_heads_expanded(x, heads):
    B, kept, S, d_head = x.shape
    if kept == heads:
        return x
    return x[:, :, None].expand(B, kept, heads // kept, S, d_head).reshape(B, heads, S, d_head)


def repeat_heads_expanded_always(x, heads):
    return x.unsqueeze(2).expand(-1, -1, heads // x.size(1), -1, -1).flatten(1, 2)


def repeat_heads_by_index(x, heads):
    if heads == x.shape[1]:
        return x
    return x[:, torch.arange(heads) // (heads // x.shape[1])]


def repeat_heads_joined(x, heads):
    each = heads // x.shape[1]
    return x if each == 1 else torch.cat([head for head in x.split(1, dim=1) for _ in range(each)], dim=1)


# ---------------------------------------------------------------------- 14.8


def cache_bytes(config, tokens, bytes_a_number=2):
    if config.window is not None:
        tokens = min(tokens, config.window + config.sinks)
    return 2 * config.n_layer * config.n_kv_head * config.d_head * tokens * bytes_a_number


def cache_bytes_by_union(config, tokens, bytes_a_number=2):
    everything = range(tokens)
    kept = set(everything)
    if config.window:
        kept = set(everything[: config.sinks]) | set(everything[-config.window :])
    return len(kept) * config.n_layer * config.n_kv_head * (config.d_model // config.n_head) * 2 * bytes_a_number


def cache_bytes_of_tensors(config, tokens, bytes_a_number=2):
    kept = tokens if config.window is None else min(tokens, config.window) + min(
        max(0, tokens - config.window), config.sinks
    )
    keys = torch.empty(config.n_layer, config.n_kv_head, kept, config.d_head, device="meta")
    return (keys.numel() + keys.numel()) * bytes_a_number


def cache_bytes_in_numpy(config, tokens, bytes_a_number=2):
    most = np.inf if config.window is None else config.window + config.sinks
    shape = 2, config.n_layer, config.n_kv_head, config.d_head, int(min(tokens, most)), bytes_a_number
    return np.prod(shape)


# ---------------------------------------------------------------------- 14.9


def soft_cap(logits, cap):
    return cap * torch.tanh(logits / cap)


def soft_cap_as_method(logits, cap):
    return logits.div(cap).tanh().mul(cap)


def soft_cap_by_a_sigmoid(logits, cap):
    return cap * (2 * torch.sigmoid(2 * logits / cap) - 1)


def soft_cap_in_place_of_its_own(logits, cap):
    out = logits / cap
    out = F.tanh(out)
    return out * cap


# ---------------------------------------------------------------------- 14.10


def sees_by_comparing(queries, keys, window=None, sinks=0):
    q, k = queries.unsqueeze(-1), keys.unsqueeze(-2)
    if window is None:
        return k <= q
    return (k <= q) & ((k > q - window) | (k < sinks))


def sees_filled(queries, keys, window=None, sinks=0):
    mask = torch.zeros(*queries.shape, keys.shape[-1], dtype=torch.bool)
    at = queries[..., None].expand_as(mask), keys[..., None, :].expand_as(mask)
    mask[at[0] - at[1] < (window or math.inf)] = True
    mask[at[1] < sinks] = True
    mask[at[1] > at[0]] = False
    return mask


def sees_in_loops(queries, keys, window=None, sinks=0):
    if queries.dim() == 2:
        return torch.stack([sees_in_loops(q, k, window, sinks) for q, k in zip(queries, keys, strict=True)])
    mask = torch.full((len(queries), len(keys)), False)
    for row, q in enumerate(queries.tolist()):
        for column, k in enumerate(keys.tolist()):
            mask[row, column] = k <= q and (window is None or k >= q - window + 1 or k < sinks)
    return mask


def sees_what_is_newest(queries, keys, window=None, sinks=0):
    """The card to the letter: of the keys that are not later, the newest `window`."""
    causal = keys[..., None, :] <= queries[..., :, None]
    if window is None:
        return causal
    placed = torch.where(causal, keys[..., None, :], -1)
    rank = (placed[..., None, :] > placed[..., :, None]).sum(-1)
    return causal & ((rank < window) | (keys < sinks)[..., None, :])


# ---------------------------------------------------------------------- 14.11


def imbalance_by_bincount(probabilities, chosen):
    n_expert = probabilities.size(1)
    share = torch.bincount(chosen.reshape(-1), minlength=n_expert) / chosen.numel()
    return n_expert * torch.dot(share.to(probabilities), probabilities.mean(0))


def imbalance_expert_by_expert(probabilities, chosen):
    N, n_expert = probabilities.shape
    total = 0
    for expert in range(n_expert):
        total = total + (chosen == expert).sum() / chosen.numel() * probabilities[:, expert].sum() / N
    return total * n_expert


def imbalance_scattered(probabilities, chosen):
    taken = torch.zeros_like(probabilities).scatter_(1, chosen, 1.0)
    share = taken.sum(0) / taken.sum()
    return (share * probabilities.mean(0) * len(share)).sum()


def imbalance_in_one_product(probabilities, chosen):
    taken = F.one_hot(chosen, probabilities.shape[-1]).sum(1).type_as(probabilities)
    pairs = taken @ probabilities.T  # every token's choices with every token's probabilities
    return probabilities.shape[-1] * pairs.mean() / chosen.shape[-1]


RIGHT_ANSWERS = {
    "difference": [
        difference, difference_by_statistics, difference_in_torch, difference_by_hand, difference_with_n_below,
    ],
    "RMSNorm": [modern.RMSNorm, DividingNorm, NormAlwaysInFloat64, NormInEinsum, NormThatInheritsNothingElse],
    "rotate": [
        modern.rotate, rotate_as_llama, rotate_as_complex, rotate_by_einsum, rotate_written_into_a_new_tensor,
    ],
    "change_by_shift": [
        change_by_shift, change_by_shift_the_other_way, change_by_shift_in_numpy, change_by_shift_in_lists,
    ],
    "stretched_base": [
        modern.stretched_base, stretched_base_by_logarithms, stretched_base_of_the_slowest, stretched_base_in_numpy,
        stretched_base_in_torch,
    ],
    "swiglu_width": [
        modern.swiglu_width, swiglu_width_half_up, swiglu_width_in_whole_numbers, swiglu_width_tried_out,
        swiglu_width_in_numpy,
    ],
    "repeat_heads": [
        modern.repeat_heads, repeat_heads_expanded, repeat_heads_expanded_always, repeat_heads_by_index,
        repeat_heads_joined,
    ],
    "cache_bytes": [cache_bytes, cache_bytes_by_union, cache_bytes_of_tensors, cache_bytes_in_numpy],
    "soft_cap": [soft_cap, soft_cap_as_method, soft_cap_by_a_sigmoid, soft_cap_in_place_of_its_own],
    "sees": [modern.sees, sees_by_comparing, sees_filled, sees_in_loops, sees_what_is_newest],
    "imbalance": [
        modern.imbalance, imbalance_by_bincount, imbalance_expert_by_expert, imbalance_scattered,
        imbalance_in_one_product,
    ],
}  # fmt: skip
PAIRS = [(part, answer) for part, answers in RIGHT_ANSWERS.items() for answer in answers]


@pytest.mark.parametrize(("part", "answer"), PAIRS, ids=[f"{part}-{answer.__name__}" for part, answer in PAIRS])
def test_what_is_right_is_called_right_every_time(part, answer):
    first = getattr(nb14, part)(answer)
    assert first.state == RIGHT, first
    assert getattr(nb14, part)(answer) == first


def test_every_exercise_is_tried():
    assert list(RIGHT_ANSWERS) == nb14.__all__
    assert [getattr(nb14, part).number for part in nb14.__all__] == [f"14.{n}" for n in range(1, 12)]


@pytest.mark.parametrize("part", nb14.__all__)
def test_what_is_right_is_right_wherever_the_notebook_stands(part):
    """After other seeds, in float64, and with several threads."""
    torch.manual_seed(123)
    torch.set_default_dtype(torch.float64)
    try:
        in_double = getattr(nb14, part)(RIGHT_ANSWERS[part][0])
    finally:
        torch.set_default_dtype(torch.float32)
    assert in_double.state in (RIGHT, WRONG)  # a default of float64 is nobody's: it must not crash, no more
    assert getattr(nb14, part)(RIGHT_ANSWERS[part][0]).state == RIGHT


def raises(*args, **more):
    raise ValueError("no")


def nothing(*args, **more):
    len(args)


ODD = {
    "None": nothing,
    "a text": lambda *args, **more: "about three",
    "nan": lambda *args, **more: math.nan,
    "a list": lambda *args, **more: [],
    "a dictionary": lambda *args, **more: {"a": 1},
    "a pair": lambda *args, **more: (torch.zeros(2), "x"),
    "a ragged pair": lambda *args, **more: ([1.0, 2.0], [1.0]),
    "a whole number": lambda *args, **more: 10**30,
    "a complex number": lambda *args, **more: 1j,
    "an empty tensor": lambda *args, **more: torch.zeros(0),
    "a tensor of six axes": lambda *args, **more: torch.zeros(1, 1, 1, 1, 1, 1),
    "an array": lambda *args, **more: np.zeros((2, 3)),
    "an array of texts": lambda *args, **more: np.array(["a", "b"]),
    "infinite": lambda *args, **more: torch.tensor(math.inf),
    "what it was given": lambda first, *args, **more: first,
    "nan of its shape": lambda first, *args, **more: first * math.nan,
    "sparse": lambda *args, **more: torch.eye(3).to_sparse(),
    "an error": raises,
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("part", nb14.__all__)
@pytest.mark.filterwarnings("ignore")
def test_what_is_odd_is_wrong_and_nothing_crashes(part, odd):
    answer = ODD[odd]
    if part == "RMSNorm":

        class answer(Norm):  # noqa: N801
            def forward(self, x):
                return ODD[odd](x)

    result = getattr(nb14, part)(answer)
    assert result.state == WRONG, result
    assert result.problem and result.hint


@pytest.mark.parametrize("answer", [nn.LayerNorm, nn.RMSNorm, object, dict, Norm], ids=lambda each: each.__name__)
def test_other_classes_are_no_rms_norm(answer):
    assert nb14.RMSNorm(answer).state in (WRONG, NOT_ATTEMPTED)


def test_torchs_own_norm_is_told():
    class Own(Norm):
        def forward(self, x):
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)

    assert nb14.RMSNorm(Own).slug == "ready-made"


# ---------------------------------------------------------------------- what the checks compare with


@settings(max_examples=30, deadline=None)
@given(st.floats(1.5, 1e6), st.floats(1, 64), st.integers(2, 80))
def test_a_stretched_base_turns_the_slowest_pair_so_many_times_as_slowly(base, times, half):
    new = by_logarithms(base, times, 2 * half)
    slowest = -(2 * half - 2) / (2 * half)
    assert new**slowest * times == pytest.approx(base**slowest)
    assert new == pytest.approx(modern.stretched_base(base, times, 2 * half))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 5), st.integers(1, 4))
def test_turned_pairs_keep_their_lengths_and_turn_back(seed, B, T, half):
    generator = torch.Generator().manual_seed(seed)
    x, frequencies = torch.randn(B, 2, T, 2 * half, generator=generator), torch.rand(half, generator=generator)
    positions = torch.randint(-20, 20, (B, T), generator=generator)
    there = turned(x, angles(positions, frequencies))
    assert torch.allclose(there.norm(dim=-1), x.double().norm(dim=-1))
    assert torch.allclose(turned(there, angles(-positions, frequencies)), x.double())
    assert torch.allclose(modern.rotate(x, positions, frequencies).double(), there, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from((None, 1, 2, 5)), st.integers(0, 3))
def test_all_ways_to_write_a_mask_agree(seed, window, sinks):
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randint(0, 3, (1,), generator=generator) + torch.arange(6)
    masks = [each(keys[2:], keys, window, sinks) for each in RIGHT_ANSWERS["sees"]]
    assert all(torch.equal(mask, masks[0]) for mask in masks)


def test_numbers_of_any_kind_are_compared_and_others_are_not():
    assert alike(doubles(np.float32(0.1)), doubles(0.1))
    assert alike(doubles(torch.tensor([True, False])), doubles([1, 0]))
    assert alike(doubles((1.0, torch.tensor(2.0))), doubles([1.0, 2.0]))
    assert not alike(doubles(1.0), doubles([1.0]))
    assert alike(doubles(math.nan), doubles(math.nan)) and alike(doubles(math.inf), doubles(math.inf))
    for odd in ("a", None, {"a": 1}, [1, "a"], 10**30, object()):
        assert doubles(odd) is None and not alike(doubles(odd), doubles(1.0))
