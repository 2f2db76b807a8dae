"""Wrong answers to the exercises of notebook 08."""

import math

import torch
import torch.nn.functional as F

from tests.wrong_answers import wrong

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


@wrong("8.5", "minutes")
def takes_minutes_for_seconds(minutes, peak, mfu, flops, tokens):
    return int(minutes * peak * mfu / (flops * tokens))


@wrong("8.5", "hours")
def takes_minutes_for_hours(minutes, peak, mfu, flops, tokens):
    return int(3600 * minutes * peak * mfu / (flops * tokens))


@wrong("8.5", "no-mfu")
def believes_the_data_sheet(minutes, peak, mfu, flops, tokens):
    return int(60 * minutes * peak / (flops * tokens))


@wrong("8.5", "divided-by-mfu")
def divides_by_the_mfu(minutes, peak, mfu, flops, tokens):
    return int(60 * minutes * peak / mfu / (flops * tokens))


@wrong("8.5", "tokens")
def gives_tokens(minutes, peak, mfu, flops, tokens):
    return int(60 * minutes * peak * mfu / flops)


@wrong("8.5", "flops-missing")
def takes_a_token_for_an_operation(minutes, peak, mfu, flops, tokens):
    return int(60 * minutes * peak * mfu / tokens)


@wrong("8.5", "rounded-up")
def rounds_up(minutes, peak, mfu, flops, tokens):
    return math.ceil(60 * minutes * peak * mfu / (flops * tokens))


@wrong("8.5", "not-whole")
def does_not_round(minutes, peak, mfu, flops, tokens):
    return 60 * minutes * peak * mfu / (flops * tokens)


@wrong("8.5", "precedence")
def forgets_to_put_brackets(minutes, peak, mfu, flops_per_token, tokens_per_step):
    return int(60 * minutes * peak * mfu / flops_per_token * tokens_per_step)


@wrong("8.5", "whole-minutes")
def rounds_the_minutes(minutes, peak, mfu, flops_per_token, tokens_per_step):
    return int(60 * int(minutes) * peak * mfu / (flops_per_token * tokens_per_step))


@wrong("8.5", "whole-minutes")
def rounds_the_minutes_up(minutes, peak, mfu, flops_per_token, tokens_per_step):
    return int(60 * math.ceil(minutes) * peak * mfu / (flops_per_token * tokens_per_step))


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


# --- 8.7 loss_and_gradients


def scored_in(targets):
    return int((targets != -100).sum())


def pieces(hidden, weight, targets, size):
    """For each chunk the sum of its losses, and the error: p less one at the target, 0 where nothing is scored."""
    found = []
    for x, target in zip(hidden.split(size), targets.split(size), strict=True):
        log_p = (x @ weight.T).log_softmax(-1)
        keep = (target != -100)[:, None].float()
        one = F.one_hot(target.clamp(min=0), len(weight))
        found.append((-(log_p * one * keep).sum(), (log_p.exp() - one) * keep, x))
    return found


def together(found, weight, count):
    loss = torch.stack([loss for loss, _, _ in found]).sum() / count
    to_hidden = torch.cat([error @ weight for _, error, _ in found]) / count
    return loss, to_hidden, sum(error.T @ x for _, error, x in found) / count


def chunks(hidden, weight, targets, size, reduction):
    return [
        F.cross_entropy(hidden[i : i + size] @ weight.T, targets[i : i + size], reduction=reduction)
        for i in range(0, len(hidden), size)
    ]


def with_loss(loss, hidden, weight, targets, size):
    """Right gradients beside another loss."""
    return loss, *together(pieces(hidden, weight, targets, size), weight, scored_in(targets))[1:]


@wrong("8.7", "mean-of-means")
def takes_the_mean_of_means(hidden, weight, targets, size):
    loss = torch.stack(chunks(hidden, weight, targets, size, "mean")).mean()
    return with_loss(loss, hidden, weight, targets, size)


@wrong("8.7", "sum-of-means")
def adds_up_means(hidden, weight, targets, size):
    loss = torch.stack(chunks(hidden, weight, targets, size, "mean")).sum()
    return with_loss(loss, hidden, weight, targets, size)


@wrong("8.7", "sum")
def gives_the_sum(hidden, weight, targets, size):
    return together(pieces(hidden, weight, targets, size), weight, 1)


@wrong("8.7", "last-chunk")
def drops_the_last_chunk(hidden, weight, targets, size):
    whole = len(hidden) // size * size or len(hidden)
    return together(pieces(hidden[:whole], weight, targets[:whole], size), weight, scored_in(targets[:whole]))


@wrong("8.7", "last-chunk")
def drops_it_and_counts_it(hidden, weight, targets, size):
    whole = len(hidden) // size * size or len(hidden)
    return together(pieces(hidden[:whole], weight, targets[:whole], size), weight, scored_in(targets))


@wrong("8.7", "divided-by-all")
def counts_what_is_not_scored(hidden, weight, targets, size):
    return together(pieces(hidden, weight, targets, size), weight, len(targets))


@wrong("8.7", "ignored")
def weights_means_by_length(hidden, weight, targets, size):
    means = chunks(hidden, weight, targets, size, "mean")
    lengths = [len(part) for part in targets.split(size)]
    loss = sum(mean * length for mean, length in zip(means, lengths, strict=True)) / len(targets)
    return with_loss(loss, hidden, weight, targets, size)


@wrong("8.7", "whole-logits")
def multiplies_before_the_loop(hidden, weight, targets, size):
    logits, count, rows, total, by_weight = hidden @ weight.T, scored_in(targets), [], 0.0, torch.zeros_like(weight)
    for i in range(0, len(hidden), size):
        loss, error, x = pieces(hidden[i : i + size], weight, targets[i : i + size], size)[0]
        total, by_weight = total + loss + 0 * logits[0, 0], by_weight + error.T @ x
        rows.append(error @ weight)
    return total / count, torch.cat(rows) / count, by_weight / count


@wrong("8.7", "whole-logits")
def does_not_chunk(hidden, weight, targets, size):
    return together(pieces(hidden, weight, targets, len(hidden)), weight, scored_in(targets))


@wrong("8.7", "scalar")
def gives_a_loss_for_each_position(hidden, weight, targets, size):
    return with_loss(torch.cat(chunks(hidden, weight, targets, size, "none")), hidden, weight, targets, size)


@wrong("8.7", "divisor")
def divides_by_the_size(hidden, weight, targets, size):
    loss = torch.stack(chunks(hidden, weight, targets, size, "mean")).mean() / size
    return with_loss(loss, hidden, weight, targets, size)


@wrong("8.7", "scored-as-zero")
def clamps_and_forgets(hidden, weight, targets, size):
    return together(pieces(hidden, weight, targets.clamp(min=0), size), weight, scored_in(targets))


@wrong("8.7", "three")
def gives_the_loss_alone(hidden, weight, targets, size):
    return together(pieces(hidden, weight, targets, size), weight, scored_in(targets))[0]


@wrong("8.7", "sign")
def takes_p_from_one(hidden, weight, targets, size):
    loss, to_hidden, to_weight = together(pieces(hidden, weight, targets, size), weight, scored_in(targets))
    return loss, -to_hidden, -to_weight


@wrong("8.7", "not-divided")
def divides_the_loss_alone(hidden, weight, targets, size):
    loss = together(pieces(hidden, weight, targets, size), weight, scored_in(targets))[0]
    return loss, *together(pieces(hidden, weight, targets, size), weight, 1)[1:]


@wrong("8.7", "no-target")
def takes_the_probabilities_for_the_gradient(hidden, weight, targets, size):
    loss = together(pieces(hidden, weight, targets, size), weight, scored_in(targets))[0]
    p = (hidden @ weight.T).softmax(-1) * (targets != -100)[:, None]
    return loss, p @ weight / scored_in(targets), p.T @ hidden / scored_in(targets)


@wrong("8.7", "only-the-last")
def writes_over_the_gradient_by_weight(hidden, weight, targets, size):
    found, count = pieces(hidden, weight, targets, size), scored_in(targets)
    loss, to_hidden, _ = together(found, weight, count)
    return loss, to_hidden, found[-1][1].T @ found[-1][2] / count


@wrong("8.7", "gradient-shapes")
def transposes_the_gradient_by_weight(hidden, weight, targets, size):
    loss, to_hidden, to_weight = together(pieces(hidden, weight, targets, size), weight, scored_in(targets))
    return loss, to_hidden, to_weight.T


@wrong("8.7", "masked-gradient")
def gives_gradients_to_what_is_not_scored(hidden, weight, targets, size):
    loss = together(pieces(hidden, weight, targets, size), weight, scored_in(targets))[0]
    return loss, *together(pieces(hidden, weight, targets.clamp(min=0), size), weight, scored_in(targets))[1:]


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
