"""Wrong answers to the exercises of notebook 08."""

import math

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from tests.wrong_answers import wrong

# --- 8.1 kernel_seconds


@wrong("8.1", "added")
def adds_arithmetic_and_memory(kernels, peak, bandwidth, launch):
    return sum(operations / peak + moved / bandwidth + launch for operations, moved in kernels)


@wrong("8.1", "the-shorter")
def takes_the_shorter(kernels, peak, bandwidth, launch):
    return sum(min(operations / peak, moved / bandwidth) + launch for operations, moved in kernels)


@wrong("8.1", "swapped")
def swaps_peak_and_bandwidth(kernels, peak, bandwidth, launch):
    return sum(max(operations / bandwidth, moved / peak) + launch for operations, moved in kernels)


@wrong("8.1", "no-launch")
def launches_for_nothing(kernels, peak, bandwidth, launch):
    return sum(max(operations / peak, moved / bandwidth) for operations, moved in kernels)


@wrong("8.1", "operations-only")
def counts_operations_alone(kernels, peak, bandwidth, launch):
    return sum(operations / peak + launch for operations, _ in kernels)


@wrong("8.1", "the-shorter")
def counts_bytes_alone(kernels, peak, bandwidth, launch):
    return sum(moved / bandwidth + launch for _, moved in kernels)


@wrong("8.1", "tiny")
def takes_the_largest_of_three(kernels, peak, bandwidth, launch):
    longest = [max(operations / peak, moved / bandwidth) for operations, moved in kernels]
    return sum(each + launch if each > 1 else max(each, launch) for each in longest)


@wrong("8.1", "no-launch")
def hides_the_launch(kernels, peak, bandwidth, launch):
    return sum(max(operations / peak, moved / bandwidth, launch) for operations, moved in kernels)


@wrong("8.1", "one-launch")
def launches_once(kernels, peak, bandwidth, launch):
    return sum(max(operations / peak, moved / bandwidth) for operations, moved in kernels) + launch


@wrong("8.1", "sums-first")
def adds_up_first(kernels, peak, bandwidth, launch):
    operations, moved = (sum(kernel[i] for kernel in kernels) for i in (0, 1))
    return max(operations / peak, moved / bandwidth) + launch * len(kernels)


@wrong("8.1", "sums-first")
def compares_sums(kernels, peak, bandwidth, launch):
    operations, moved = (sum(kernel[i] for kernel in kernels) for i in (0, 1))
    return max(operations / peak, moved / bandwidth) + launch


@wrong("8.1", "longest-only")
def waits_for_the_longest_kernel(kernels, peak, bandwidth, launch):
    return max((max(operations / peak, moved / bandwidth) + launch for operations, moved in kernels), default=0.0)


@wrong("8.1", "multiplied")
def multiplies_by_the_peak(kernels, peak, bandwidth, launch):
    return sum(max(operations * peak, moved * bandwidth) + launch for operations, moved in kernels)


@wrong("8.1", "nothing")
def launches_without_a_kernel(kernels, peak, bandwidth, launch):
    return (
        launch
        + sum(max(operations / peak, moved / bandwidth) + launch for operations, moved in kernels[:-1])
        + (max(kernels[-1][0] / peak, kernels[-1][1] / bandwidth) if kernels else 0)
    )


# --- 8.2 state_bytes


@wrong("8.2", "no-gradients")
def forgets_the_gradients(parameters, precision):
    return parameters * {"float32": 12, "autocast": 14, "master": 14, "half": 6}[precision]


@wrong("8.2", "one-moment")
def keeps_one_moment(parameters, precision):
    return parameters * {"float32": 12, "autocast": 14, "master": 12, "half": 6}[precision]


@wrong("8.2", "weights-only")
def counts_the_weights_alone(parameters, precision):
    return parameters * {"float32": 4, "autocast": 6, "master": 6, "half": 2}[precision]


@wrong("8.2", "no-copy")
def forgets_autocasts_copy(parameters, precision):
    return parameters * {"float32": 16, "autocast": 16, "master": 16, "half": 8}[precision]


@wrong("8.2", "no-master")
def forgets_the_master_copy(parameters, precision):
    return parameters * {"float32": 16, "autocast": 18, "master": 12, "half": 8}[precision]


@wrong("8.2", "autocast-in-half")
def halves_everything_under_autocast(parameters, precision):
    return parameters * {"float32": 16, "autocast": 8, "master": 16, "half": 8}[precision]


@wrong("8.2", "half-moments")
def leaves_the_moments_in_float32(parameters, precision):
    return parameters * {"float32": 16, "autocast": 18, "master": 16, "half": 12}[precision]


@wrong("8.2", "bits")
def counts_bits(parameters, precision):
    return 8 * parameters * {"float32": 16, "autocast": 18, "master": 16, "half": 8}[precision]


@wrong("8.2", "float32")
def counts_in_kilobytes(parameters, precision):
    return parameters * {"float32": 16, "autocast": 18, "master": 16, "half": 8}[precision] / 1024


@wrong("8.2", "proportional")
def adds_a_constant(parameters, precision):
    each = {"autocast": 18, "master": 16, "half": 8}
    return 4 * 4 * 1_000_000 if precision == "float32" else parameters * each[precision]


@wrong("8.2", "no-copy")
def counts_one_set_of_weights(parameters, precision):
    return parameters * {"float32": 16, "autocast": 16, "master": 14, "half": 8}[precision]


@wrong("8.2", "one-set-of-weights")
def lets_the_master_copy_replace_the_weights(parameters, precision):
    return parameters * {"float32": 16, "autocast": 18, "master": 14, "half": 8}[precision]


@wrong("8.2", "master-gradients")
def keeps_the_masters_gradients_in_float32(parameters, precision):
    return parameters * {"float32": 16, "autocast": 18, "master": 18, "half": 8}[precision]


# --- 8.3 fitting_batch


@wrong("8.3", "tokens-lost")
def forgets_to_accumulate(step, sequences):
    while True:
        try:
            step(sequences)
            return sequences, 1
        except torch.OutOfMemoryError:
            if sequences % 2:
                raise
        sequences //= 2


def halving(step, sequences):
    """Right, but for what is made of it: the batch size that fits, and how often it was halved."""
    size, halved = sequences, 0
    while True:
        try:
            step(size)
            return size, halved
        except torch.OutOfMemoryError:
            if size % 2:
                raise
        size, halved = size // 2, halved + 1


@wrong("8.3", "all-at-once")
def counts_halvings(step, sequences):
    return halving(step, sequences)


@wrong("8.3", "halvings")
def counts_tries(step, sequences):
    size, halved = halving(step, sequences)
    return size, halved + 1


@wrong("8.3", "all-at-once")
def swaps_the_two(step, sequences):
    size, _ = halving(step, sequences)
    return sequences // size, size


@wrong("8.3", "one-too-large")
def returns_what_failed(step, sequences):
    size, halved = halving(step, sequences)
    size = 2 * size if halved else size
    return size, sequences // size


@wrong("8.3", "not-halved")
def takes_one_away_at_a_time(step, sequences):
    size = sequences
    while True:
        try:
            step(size)
            return size, sequences // size
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        size -= 1


@wrong("8.3", "tries")
def begins_with_one(step, sequences):
    size = 1
    while 2 * size <= sequences:
        try:
            step(2 * size)
        except torch.OutOfMemoryError:
            break
        size *= 2
    return size, sequences // size


@wrong("8.3", "tries")
def tries_what_fits_again(step, sequences):
    size, _ = halving(step, sequences)
    step(size)
    return size, sequences // size


@wrong("8.3", "still-held")
def tries_again_inside_except(step, sequences):
    def smaller(size):
        try:
            step(size)
            return size
        except torch.OutOfMemoryError:
            if size % 2:
                raise
            return smaller(size // 2)

    size = smaller(sequences)
    return size, sequences // size


@wrong("8.3", "error-swallowed")
def returns_one_whatever_happens(step, sequences):
    size = sequences
    while size > 1:
        try:
            step(size)
            break
        except torch.OutOfMemoryError:
            pass
        size //= 2
    return size, sequences // size


@wrong("8.3", "other-errors")
def catches_everything(step, sequences):
    size = sequences
    while True:
        try:
            step(size)
            return size, sequences // size
        except Exception as error:
            if size % 2:
                raise torch.OutOfMemoryError from error
        size //= 2


@wrong("8.3", "other-errors")
def catches_every_runtime_error(step, sequences):
    size = sequences
    while True:
        try:
            step(size)
            return size, sequences // size
        except RuntimeError as error:
            if size % 2:
                raise torch.OutOfMemoryError from error
        size //= 2


@wrong("8.3", "a-pair")
def gives_the_batch_size_alone(step, sequences):
    return halving(step, sequences)[0]


@wrong("8.3", "not-tried")
def guesses(step, sequences):
    return sequences, 1


@wrong("8.3", "error-swallowed")
def halves_to_nothing(step, sequences):
    size = sequences
    while size:
        try:
            step(size)
            return size, sequences // size
        except torch.OutOfMemoryError:
            pass
        size //= 2
    return 1, sequences


# --- 8.4 mfu


def operations(L, d, T, V):
    return 6 * (L * 12 * d * d + V * d) + 12 * L * d * T


@wrong("8.4", "no-attention")
def takes_six_times_the_weights(speed, L, d, T, V, peak):
    return speed * 6 * (L * 12 * d * d + V * d) / peak


@wrong("8.4", "forward-only")
def counts_the_way_forward(speed, L, d, T, V, peak):
    return speed * operations(L, d, T, V) / 3 / peak


@wrong("8.4", "per-cent")
def gives_a_percentage(speed, L, d, T, V, peak):
    return 100 * speed * operations(L, d, T, V) / peak


@wrong("8.4", "no-head")
def forgets_the_head(speed, L, d, T, V, peak):
    return speed * (6 * L * 12 * d * d + 12 * L * d * T) / peak


@wrong("8.4", "one-layer")
def has_attention_in_one_layer(speed, L, d, T, V, peak):
    return speed * (6 * (L * 12 * d * d + V * d) + 12 * d * T) / peak


@wrong("8.4", "halved")
def counts_what_a_causal_kernel_does(speed, L, d, T, V, peak):
    return speed * (6 * (L * 12 * d * d + V * d) + 6 * L * d * T) / peak


@wrong("8.4", "attention-forward")
def lets_attention_go_forward_alone(speed, L, d, T, V, peak):
    return speed * (6 * (L * 12 * d * d + V * d) + 4 * L * d * T) / peak


@wrong("8.4", "backward-once")
def lets_backward_cost_as_much_as_forward(speed, L, d, T, V, peak):
    return speed * (4 * (L * 12 * d * d + V * d) + 8 * L * d * T) / peak


@wrong("8.4", "mlp-only")
def forgets_attentions_matrices(speed, L, d, T, V, peak):
    return speed * (6 * (L * 8 * d * d + V * d) + 12 * L * d * T) / peak


@wrong("8.4", "looked-up")
def counts_the_embeddings(speed, L, d, T, V, peak):
    return speed * (6 * (L * 12 * d * d + 2 * V * d + T * d) + 12 * L * d * T) / peak


@wrong("8.4", "looked-up")
def counts_the_positions(speed, L, d, T, V, peak):
    return speed * (6 * (L * 12 * d * d + V * d + T * d) + 12 * L * d * T) / peak


@wrong("8.4", "upside-down")
def turns_it_round(speed, L, d, T, V, peak):
    return peak / (speed * operations(L, d, T, V))


@wrong("8.4", "block-of-one")
def has_one_matrix_a_block(speed, L, d, T, V, peak):
    return speed * (6 * (L * d * d + V * d) + 12 * L * d * T) / peak


@wrong("8.4", "per-sequence")
def counts_a_whole_sequence(speed, L, d, T, V, peak):
    return speed * T * operations(L, d, T, V) / peak


@wrong("8.4", "one-block")
def counts_one_block(speed, layers, d, context, vocab, peak):
    return speed * (6 * (12 * d**2 + vocab * d) + 12 * layers * d * context) / peak


@wrong("8.4", "six-twice")
def multiplies_attention_by_six(speed, layers, d, context, vocab, peak):
    return speed * 6 * (layers * 12 * d**2 + vocab * d + 12 * layers * d * context) / peak


@wrong("8.4", "no-six")
def counts_weights_alone(speed, layers, d, context, vocab, peak):
    return speed * (layers * 12 * d**2 + vocab * d + 12 * layers * d * context) / peak


@wrong("8.4", "no-six")
def forgets_the_brackets(speed, layers, d, context, vocab, peak):
    return speed * (6 * layers * 12 * d**2 + vocab * d + 12 * layers * d * context) / peak


# --- 8.5 steps_within


def rounds_of(seconds, a_step, every, pause):
    """Right: whole rounds, and the steps of the last one that still fit."""
    if seconds <= 0:
        return 0
    if not every:
        return int(seconds / a_step)
    rounds, rest = divmod(seconds, every * a_step + pause)
    return int(rounds) * every + min(every, int(rest / a_step))


@wrong("8.5", "minutes")
def takes_minutes_for_seconds(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return rounds_of(minutes - start, flops * tokens / (peak * mfu), every, pause)


@wrong("8.5", "hours")
def takes_minutes_for_hours(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return rounds_of(3600 * minutes - start, flops * tokens / (peak * mfu), every, pause)


@wrong("8.5", "no-mfu")
def believes_the_data_sheet(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return rounds_of(60 * minutes - start, flops * tokens / peak, every, pause)


@wrong("8.5", "divided-by-mfu")
def divides_by_the_mfu(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return rounds_of(60 * minutes - start, flops * tokens * mfu / peak, every, pause)


@wrong("8.5", "tokens")
def gives_tokens(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return tokens * rounds_of(60 * minutes - start, flops * tokens / (peak * mfu), every, pause)


@wrong("8.5", "flops-missing")
def takes_a_token_for_an_operation(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return rounds_of(60 * minutes - start, tokens / (peak * mfu), every, pause)


@wrong("8.5", "rounded-up")
def rounds_up(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return math.ceil((60 * minutes - start) * peak * mfu / (flops * tokens))


@wrong("8.5", "not-whole")
def does_not_round(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return (60 * minutes - start) * peak * mfu / (flops * tokens)


@wrong("8.5", "precedence")
def forgets_to_put_brackets(minutes, peak, mfu, flops_per_token, tokens_per_step, start=0.0, every=0, pause=0.0):
    return int((60 * minutes - start) * peak * mfu / flops_per_token * tokens_per_step)


@wrong("8.5", "whole-minutes")
def rounds_the_minutes(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return rounds_of(60 * int(minutes) - start, flops * tokens / (peak * mfu), every, pause)


@wrong("8.5", "start")
def leaves_out_the_start(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return rounds_of(60 * minutes, flops * tokens / (peak * mfu), every, pause)


@wrong("8.5", "start")
def takes_the_start_for_steps(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return int(max(0, rounds_of(60 * minutes, flops * tokens / (peak * mfu), every, pause) - start))


@wrong("8.5", "no-time-left")
def takes_fewer_than_no_steps(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    seconds, a_step = 60 * minutes - start, flops * tokens / (peak * mfu)
    return rounds_of(seconds, a_step, every, pause) if seconds > 0 else int(seconds / a_step)


@wrong("8.5", "no-pause")
def never_pauses(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return rounds_of(60 * minutes - start, flops * tokens / (peak * mfu), 0, 0)


@wrong("8.5", "one-pause")
def pauses_once(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return rounds_of(60 * minutes - start - pause, flops * tokens / (peak * mfu), 0, 0)


@wrong("8.5", "pauses-of-no-pause")
def counts_pauses_first(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    seconds, a_step = 60 * minutes - start, flops * tokens / (peak * mfu)
    if seconds <= 0:
        return 0
    pauses = int(seconds / a_step) // every if every else 0
    return int((seconds - pauses * pause) / a_step)


@wrong("8.5", "spread")
def spreads_the_pause(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    a_step = flops * tokens / (peak * mfu) + (pause / every if every else 0)
    return rounds_of(60 * minutes - start, a_step, 0, 0)


@wrong("8.5", "last-round")
def counts_whole_rounds_alone(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    seconds, a_step = 60 * minutes - start, flops * tokens / (peak * mfu)
    if not every:
        return rounds_of(seconds, a_step, 0, 0)
    return int(max(0, seconds) // (every * a_step + pause)) * every


@wrong("8.5", "in-the-pause")
def trains_through_the_pause(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    seconds, a_step = 60 * minutes - start, flops * tokens / (peak * mfu)
    if not every:
        return rounds_of(seconds, a_step, 0, 0)
    rounds, rest = divmod(seconds, every * a_step + pause)
    return int(rounds) * every + int(rest / a_step)


@wrong("8.5", "pause-each-step")
def pauses_after_every_step(minutes, peak, mfu, flops, tokens, start=0.0, every=0, pause=0.0):
    return rounds_of(60 * minutes - start, flops * tokens / (peak * mfu) + pause, 0, 0)


@wrong("8.5", "every-zero")
def pauses_after_every_step_unless_told(
    minutes, peak, mfu, flops_per_token, tokens_per_step, start=0.0, every=1, pause=0.0
):
    every = max(1, every)
    a_step = flops_per_token * tokens_per_step / (peak * mfu)
    rounds, rest = divmod(max(0.0, 60 * minutes - start), every * a_step + pause)
    return int(rounds) * every + min(every, int(rest / a_step))


# --- 8.6 unscaled_and_clipped


def all_finite(gradients):
    return all(torch.isfinite(g).all() for g in gradients)


def norm_of(gradients):
    return math.sqrt(sum(float((g**2).sum()) for g in gradients))


@wrong("8.6", "clipped-scaled")
def clips_and_then_unscales(gradients, scale, limit):
    if not all_finite(gradients):
        return None, scale / 2
    shrink = min(1.0, limit / (norm_of(gradients) + 1e-12))
    return [g * shrink / scale for g in gradients], scale


@wrong("8.6", "clipped-scaled")
def makes_short_ones_longer(gradients, scale, limit):
    if not all_finite(gradients):
        return None, scale / 2
    return [g * limit / (norm_of(gradients) + 1e-12) for g in gradients], scale


@wrong("8.6", "not-unscaled")
def does_not_unscale(gradients, scale, limit):
    if not all_finite(gradients):
        return None, scale / 2
    return list(gradients), scale


@wrong("8.6", "not-clipped")
def does_not_clip(gradients, scale, limit):
    if not all_finite(gradients):
        return None, scale / 2
    return [g / scale for g in gradients], scale


@wrong("8.6", "each-clipped")
def clips_each_on_its_own(gradients, scale, limit):
    if not all_finite(gradients):
        return None, scale / 2
    return [g / scale * min(1.0, limit / (float((g / scale).norm()) + 1e-12)) for g in gradients], scale


def right(gradients, scale, limit):
    true = [g / scale for g in gradients]
    shrink = min(1.0, limit / (norm_of(true) + 1e-12))
    return [g * shrink for g in true]


@wrong("8.6", "overflow-used")
def uses_what_overflowed(gradients, scale, limit):
    return right(gradients, scale, limit), scale


@wrong("8.6", "overflow-used")
def looks_at_the_first_alone(gradients, scale, limit):
    if not all_finite(gradients[:1]):
        return None, scale / 2
    return right(gradients, scale, limit), scale


@wrong("8.6", "overflow-used")
def does_not_see_nan(gradients, scale, limit):
    if any(torch.isinf(g).any() for g in gradients):
        return None, scale / 2
    return right(gradients, scale, limit), scale


@wrong("8.6", "large-but-finite")
def takes_float16s_largest_for_the_limit(gradients, scale, limit):
    if any((g.abs() > 65504).any() or g.isnan().any() for g in gradients):
        return None, scale / 2
    return right(gradients, scale, limit), scale


@wrong("8.6", "limit")
def always_clips_to_one(gradients, scale, limit):
    if not all_finite(gradients):
        return None, scale / 2
    return right(gradients, scale, 1.0), scale


@wrong("8.6", "half-the-scale")
def knows_one_scale(gradients, scale, limit):
    if not all_finite(gradients):
        return None, 512.0
    return right(gradients, scale, limit), scale


@wrong("8.6", "scale-not-lowered")
def keeps_the_scale(gradients, scale, limit):
    return (None if not all_finite(gradients) else right(gradients, scale, limit)), scale


@wrong("8.6", "half-the-scale")
def doubles_the_scale(gradients, scale, limit):
    return (None, 2 * scale) if not all_finite(gradients) else (right(gradients, scale, limit), scale)


@wrong("8.6", "zero-norm")
def divides_by_a_norm_of_zero(gradients, scale, limit):
    if not all_finite(gradients):
        return None, scale / 2
    true = [g / scale for g in gradients]
    norm = torch.tensor(norm_of(true))
    return [g / norm * torch.minimum(norm, torch.tensor(limit)) for g in true], scale


@wrong("8.6", "a-pair")
def returns_the_gradients_alone(gradients, scale, limit):
    return [g / scale for g in gradients] + [torch.zeros(1)]


@wrong("8.6", "squared")
def forgets_the_root(gradients, scale, limit):
    if not all(torch.isfinite(g).all() for g in gradients):
        return None, scale / 2
    true = [g / scale for g in gradients]
    squares = sum(float((g**2).sum()) for g in true)
    return [g * min(1.0, limit / max(squares, 1e-9)) for g in true], scale


@wrong("8.6", "not-clipped")
def hands_gradients_to_torchs_clipping(gradients, scale, limit):
    if not all(torch.isfinite(g).all() for g in gradients):
        return None, scale / 2
    true = [g / scale for g in gradients]
    torch.nn.utils.clip_grad_norm_(true, limit)
    return true, scale


# --- 8.7 chunked_loss


def scored_in(targets):
    return int((targets != -100).sum())


def summed(x, weight, target):
    return F.cross_entropy(F.linear(x, weight).float(), target, reduction="sum")


def again(function, *given):
    """Computed once more in the backward pass."""
    return checkpoint(function, *given, use_reentrant=False)


def sums(hidden, weight, targets, size):
    parts = zip(hidden.split(size), targets.split(size), strict=True)
    return [again(summed, x, weight, target) for x, target in parts]


@wrong("8.7", "mean-of-means")
def takes_the_mean_of_means(hidden, weight, targets, size):
    parts = list(zip(hidden.split(size), targets.split(size), strict=True))
    means = [again(lambda x, w, t: F.cross_entropy(x @ w.T, t), x, weight, target) for x, target in parts]
    return torch.stack(means).mean()


@wrong("8.7", "sum-of-means")
def adds_up_means(hidden, weight, targets, size):
    parts = zip(hidden.split(size), targets.split(size), strict=True)
    return sum(again(lambda x, w, t: F.cross_entropy(x @ w.T, t), x, weight, target) for x, target in parts)


@wrong("8.7", "sum")
def gives_the_sum(hidden, weight, targets, size):
    return sum(sums(hidden, weight, targets, size))


@wrong("8.7", "divisor")
def divides_by_the_size(hidden, weight, targets, size):
    return sum(sums(hidden, weight, targets, size)) / scored_in(targets) / size


@wrong("8.7", "last-chunk")
def drops_the_last_chunk(hidden, weight, targets, size):
    whole = len(hidden) // size * size or len(hidden)
    return sum(sums(hidden[:whole], weight, targets[:whole], size)) / scored_in(targets[:whole])


@wrong("8.7", "last-chunk")
def drops_it_and_counts_it(hidden, weight, targets, size):
    whole = len(hidden) // size * size or len(hidden)
    return sum(sums(hidden[:whole], weight, targets[:whole], size)) / scored_in(targets)


@wrong("8.7", "id-zero")
def counts_ids_above_zero(hidden, weight, targets, size):
    return sum(sums(hidden, weight, targets, size)) / (targets > 0).sum()


@wrong("8.7", "divided-by-all")
def counts_what_is_not_scored(hidden, weight, targets, size):
    return sum(sums(hidden, weight, targets, size)) / len(targets)


@wrong("8.7", "ignored")
def weights_means_by_length(hidden, weight, targets, size):
    parts = zip(hidden.split(size), targets.split(size), strict=True)
    return sum(F.cross_entropy(x @ weight.T, target) * len(target) for x, target in parts) / len(targets)


@wrong("8.7", "scored-as-zero")
def clamps_and_forgets(hidden, weight, targets, size):
    return sum(sums(hidden, weight, targets.clamp(min=0), size)) / scored_in(targets)


@wrong("8.7", "scalar")
def gives_a_loss_for_each_chunk(hidden, weight, targets, size):
    return torch.stack(sums(hidden, weight, targets, size)) / scored_in(targets)


@wrong("8.7", "whole-logits")
def multiplies_before_the_loop(hidden, weight, targets, size):
    logits = hidden @ weight.T
    parts = zip(logits.split(size), targets.split(size), strict=True)
    return sum(F.cross_entropy(z, target, reduction="sum") for z, target in parts) / scored_in(targets)


@wrong("8.7", "whole-logits")
def does_not_chunk(hidden, weight, targets, size):
    return F.cross_entropy(hidden @ weight.T, targets)


@wrong("8.7", "kept")
def lets_autograd_keep_every_chunk(hidden, weight, targets, size):
    parts = zip(hidden.split(size), targets.split(size), strict=True)
    return sum(summed(x, weight, target) for x, target in parts) / scored_in(targets)


@wrong("8.7", "kept")
def recomputes_the_loss_and_keeps_the_logits(hidden, weight, targets, size):
    parts = zip(hidden.split(size), targets.split(size), strict=True)
    return sum(
        again(lambda z, t: F.cross_entropy(z.float(), t, reduction="sum"), F.linear(x, weight), target)
        for x, target in parts
    ) / scored_in(targets)


@wrong("8.7", "kept")
def recomputes_everything_at_once(hidden, weight, targets, size):
    def all_chunks(hidden, weight):
        parts = zip(hidden.split(size), targets.split(size), strict=True)
        return sum(summed(x, weight, target) for x, target in parts) / scored_in(targets)

    return again(all_chunks, hidden, weight)


@wrong("8.7", "chunk-size")
def makes_so_many_chunks(hidden, weight, targets, size):
    parts = zip(hidden.chunk(size), targets.chunk(size), strict=True)
    return sum(again(summed, x, weight, target) for x, target in parts) / scored_in(targets)


@wrong("8.7", "no-gradient")
def adds_up_numbers(hidden, weight, targets, size):
    return torch.tensor(sum(each.item() for each in sums(hidden, weight, targets, size)) / scored_in(targets))


@wrong("8.7", "no-gradient")
def detaches_what_the_chunks_read(hidden, weight, targets, size):
    return sum(sums(hidden.detach(), weight, targets, size)) / scored_in(targets)


@wrong("8.7", "gradient")
def detaches_all_chunks_but_one(hidden, weight, targets, size):
    first, *others = sums(hidden, weight, targets, size)
    return (first + sum(each.detach() for each in others)) / scored_in(targets)


@wrong("8.7", "half-precision")
def adds_up_in_half_precision(hidden, weight, targets, size):
    total = sum(each.to(F.linear(hidden[:1], weight[:1]).dtype) for each in sums(hidden, weight, targets, size))
    return total / scored_in(targets)


# --- 8.8 padded_head


def zeros(weight, extra):
    return torch.cat([weight, weight.new_zeros(extra, weight.shape[1])])


def added(count, extra, value=-math.inf):
    return torch.cat([torch.zeros(count), torch.full((extra,), value)])


@wrong("8.8", "not-masked")
def leaves_the_logits_at_zero(weight, multiple):
    extra = -len(weight) % multiple
    return zeros(weight, extra), added(len(weight), extra, 0.0)


@wrong("8.8", "sign")
def adds_plus_infinity(weight, multiple):
    extra = -len(weight) % multiple
    return zeros(weight, extra), added(len(weight), extra, math.inf)


@wrong("8.8", "left-over")
def adds_something_negative(weight, multiple):
    extra = -len(weight) % multiple
    return zeros(weight, extra), added(len(weight), extra, -20.0)


@wrong("8.8", "left-over")
def adds_something_very_negative(weight, multiple):
    extra = -len(weight) % multiple
    return zeros(weight, extra), added(len(weight), extra, -1e4)


@wrong("8.8", "left-over")
def adds_what_is_nearly_infinite(weight, multiple):
    extra = -len(weight) % multiple
    return zeros(weight, extra), added(len(weight), extra, -1e9)


@wrong("8.8", "already")
def always_adds_rows(weight, multiple):
    extra = multiple - len(weight) % multiple
    return zeros(weight, extra), added(len(weight), extra)


@wrong("8.8", "rows")
def rounds_down(weight, multiple):
    whole = len(weight) // multiple * multiple
    return weight[:whole], torch.zeros(whole)


@wrong("8.8", "rows")
def adds_so_many_rows(weight, multiple):
    return zeros(weight, multiple), added(len(weight), multiple)


@wrong("8.8", "real-rows")
def pads_in_front(weight, multiple):
    extra = -len(weight) % multiple
    return torch.cat([weight.new_zeros(extra, weight.shape[1]), weight]), added(len(weight), extra).flip(0)


@wrong("8.8", "zeros")
def repeats_rows(weight, multiple):
    extra = -len(weight) % multiple
    return torch.cat([weight, weight[:extra]]), added(len(weight), extra)


@wrong("8.8", "real-logits")
def masks_the_real_tokens(weight, multiple):
    extra = -len(weight) % multiple
    return zeros(weight, extra), torch.cat([torch.full((len(weight),), -5.0), torch.full((extra,), -math.inf)])


@wrong("8.8", "a-pair")
def returns_the_weight_alone(weight, multiple):
    return zeros(weight, -len(weight) % multiple)


# --- 8.9 disk_bytes


@wrong("8.9", "the-end")
def looks_after_removing(writes, keep):
    there, most = {}, 0
    for kind, size in writes:
        there[kind] = (there.get(kind, []) + [size])[-(keep if kind == "state" else 1) :]
        most = max(most, sum(map(sum, there.values())))
    return most


@wrong("8.9", "nothing-goes")
def adds_up_all_writes(writes, keep):
    return sum(size for _, size in writes)


@wrong("8.9", "one-state")
def takes_the_largest_file(writes, keep):
    return max((size for _, size in writes), default=0)


@wrong("8.9", "in-place")
def writes_models_in_place(writes, keep):
    states, others, most = [], {}, 0
    for kind, size in writes:
        if kind == "state":
            states.append(size)
        else:
            others[kind] = size
        most = max(most, sum(states) + sum(others.values()))
        states = states[-keep:]
    return most


@wrong("8.9", "kinds")
def keeps_as_many_of_each_kind(writes, keep):
    there, most = {}, 0
    for kind, size in writes:
        files = there.setdefault(kind, [])
        files.append(size)
        most = max(most, sum(map(sum, there.values())))
        del files[:-keep]
    return most


@wrong("8.9", "kinds-apart")
def takes_the_best_for_a_model(writes, keep):
    states, models, most = [], [], 0
    for kind, size in writes:
        (states if kind == "state" else models).append(size)
        most = max(most, sum(states) + sum(models))
        states, models = states[-keep:], models[-1:]
    return most


@wrong("8.9", "last-moment")
def returns_the_last_sum(writes, keep):
    there, now = {}, 0
    for kind, size in writes:
        files = there.setdefault(kind, [])
        files.append(size)
        now = sum(map(sum, there.values()))
        del files[: -(keep if kind == "state" else 1)]
    return now


@wrong("8.9", "keep-ignored")
def always_keeps_two(writes, keep):
    there, most = {}, 0
    for kind, size in writes:
        files = there.setdefault(kind, [])
        files.append(size)
        most = max(most, sum(map(sum, there.values())))
        del files[: -(2 if kind == "state" else 1)]
    return most


@wrong("8.9", "oldest-goes")
def removes_the_smallest_state(writes, keep):
    there, most = {}, 0
    for kind, size in writes:
        files = there.setdefault(kind, [])
        files.append(size)
        most = max(most, sum(map(sum, there.values())))
        if len(files) > (keep if kind == "state" else 1):
            files.remove(min(files[:-1]) if kind == "state" else files[0])
    return most


@wrong("8.9", "raised")
def does_not_begin_empty(writes, keep):
    there = {"state": [], "model": [], "best": []}
    moments = []
    for kind, size in writes:
        there[kind].append(size)
        moments.append(sum(map(sum, there.values())))
        there[kind] = there[kind][-(keep if kind == "state" else 1) :]
    return max(moments)


@wrong("8.9", "a-number")
def returns_all_moments(writes, keep):
    there, moments = {}, []
    for kind, size in writes:
        there[kind] = there.get(kind, []) + [size]
        moments.append(sum(map(sum, there.values())))
        there[kind] = there[kind][-(keep if kind == "state" else 1) :]
    return moments


@wrong("8.9", "kinds-together")
def looks_at_one_kind_at_a_time(writes, keep):
    there, most = {}, 0
    for kind, size in writes:
        files = there.setdefault(kind, [])
        files.append(size)
        most = max(most, sum(files))
        del files[: -(keep if kind == "state" else 1)]
    return most


# --- 8.10 newest_whole


@wrong("8.10", "not-whole")
def trusts_every_name(files, step_of):
    return max(files, key=lambda path: path.name, default=None)


@wrong("8.10", "order")
def takes_the_last_whole_one(files, step_of):
    found = [path for path in files if step_of(path) is not None]
    return found[-1] if found else None


@wrong("8.10", "gave-up")
def looks_at_the_newest_name_alone(files, step_of):
    newest = max(files, key=lambda path: path.name, default=None)
    return newest if newest and step_of(newest) is not None else None


@wrong("8.10", "gave-up")
def stops_at_the_first_damaged_one(files, step_of):
    best = None
    for path in files:
        step = step_of(path)
        if step is None:
            break
        if best is None or step > best[0]:
            best = step, path
    return best and best[1]


@wrong("8.10", "by-name")
def sorts_whole_ones_by_name(files, step_of):
    return max((path for path in files if step_of(path) is not None), key=lambda path: path.name, default=None)


@wrong("8.10", "by-name")
def looks_away_only_where_nothing_is_here(files, step_of):
    steps = {path: step for path in files if (step := step_of(path)) is not None}
    here = [path for path in steps if path.parts[0] == "here"]
    return max(here or steps, key=steps.get, default=None)


@wrong("8.10", "step-zero")
def begins_above_step_zero(files, step_of):
    newest, highest = None, 0
    for path in files:
        step = step_of(path)
        if step and step > highest:
            newest, highest = path, step
    return newest


@wrong("8.10", "tie")
def takes_the_last_of_equals(files, step_of):
    newest, highest = None, -1
    for path in files:
        step = step_of(path)
        if step is not None and step >= highest:
            newest, highest = path, step
    return newest


@wrong("8.10", "tie")
def compares_paths_between_equals(files, step_of):
    whole = [(step, path) for path in files if (step := step_of(path)) is not None]
    return max(whole)[1] if whole else None


@wrong("8.10", "read-twice")
def asks_once_to_choose_and_once_to_compare(files, step_of):
    return max((path for path in files if step_of(path) is not None), key=step_of, default=None)


@wrong("8.10", "a-path")
def returns_the_step(files, step_of):
    return max((step for path in files if (step := step_of(path)) is not None), default=None)


@wrong("8.10", "raised")
def expects_one_at_least(files, step_of):
    steps = {path: step for path in files if (step := step_of(path)) is not None}
    return max(steps, key=steps.get)


@wrong("8.10", "raised")
def compares_none_with_numbers(files, step_of):
    return max(files, key=step_of, default=None)
