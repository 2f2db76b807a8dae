"""Wrong answers to the exercises of notebook 07."""

import copy
import math
import random

import torch
import torch.nn.functional as F

from tests.wrong_answers import wrong

# --- 7.1 shift


def _real(padded, lengths):
    return torch.arange(1, padded.shape[1]) < lengths[:, None]


@wrong("7.1", "not-shifted")
def asks_for_what_it_reads(padded, lengths):
    inputs = padded[:, :-1]
    return inputs, inputs.masked_fill(~_real(padded, lengths), -100)


@wrong("7.1", "twice")
def shifts_twice(padded, lengths):
    targets = padded.clone()
    targets[:, :-2] = padded[:, 2:]
    return padded[:, :-1], targets[:, :-1].masked_fill(~_real(padded, lengths), -100)


@wrong("7.1", "backwards")
def reads_the_answers(padded, lengths):
    return padded[:, 1:], padded[:, :-1].masked_fill(~_real(padded, lengths), -100)


@wrong("7.1", "padding")
def scores_the_padding(padded, lengths):
    return padded[:, :-1], padded[:, 1:]


@wrong("7.1", "end")
def leaves_out_every_end_token(padded, lengths):
    targets = padded[:, 1:].masked_fill(~_real(padded, lengths), -100)
    return padded[:, :-1], targets.masked_fill(targets == 1, -100)


@wrong("7.1", "end")
def leaves_out_the_last_column(padded, lengths):
    targets = padded[:, 1:].masked_fill(~_real(padded, lengths), -100)
    targets[:, -1] = -100
    return padded[:, :-1], targets


@wrong("7.1", "one-early")
def leaves_out_the_end_of_short_sequences(padded, lengths):
    real = torch.arange(1, padded.shape[1]) < (lengths - 1)[:, None]
    real[:, -1] = lengths == padded.shape[1]
    real[0] = True
    return padded[:, :-1], padded[:, 1:].masked_fill(~real, -100)


@wrong("7.1", "shape")
def keeps_all_columns(padded, lengths):
    return padded, padded.roll(-1, dims=1)


@wrong("7.1", "padding")
def is_off_by_one_at_the_border(padded, lengths):
    real = torch.arange(padded.shape[1] - 1) < lengths[:, None]
    return padded[:, :-1], padded[:, 1:].masked_fill(~real, -100)


@wrong("7.1", "changes-input")
def writes_into_what_it_was_given(padded, lengths):
    padded[:, 1:][~_real(padded, lengths)] = -100
    return padded[:, :-1], padded[:, 1:]


@wrong("7.1", "pair")
def returns_the_targets_alone(padded, lengths):
    return padded[:, 1:]


# --- 7.2 adamw_step


def _adamw(p, g, m, v, step, lr, betas, eps, decay, *, fix_m=True, fix_v=True, count=0, shrink=None):
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
    m_hat = m / (1 - betas[0] ** (step + count)) if fix_m else m
    v_hat = v / (1 - betas[1] ** (step + count)) if fix_v else v
    return p * (1 - lr * decay if shrink is None else shrink) - lr * m_hat / (v_hat.sqrt() + eps), m, v


@wrong("7.2", "no-correction")
def forgets_the_correction(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, decay, fix_m=False, fix_v=False)


@wrong("7.2", "one-correction")
def corrects_m_alone(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, decay, fix_v=False)


@wrong("7.2", "v-correction-only")
def corrects_v_alone(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, decay, fix_m=False)


@wrong("7.2", "count")
def counts_from_zero(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, decay, count=1)


@wrong("7.2", "coupled")
def adds_the_decay_to_the_gradient(p, g, m, v, step, lr, betas, eps, decay):
    p_new, m, v = _adamw(p, g + decay * p, m, v, step, lr, betas, eps, 0.0)
    return p_new, m, v


@wrong("7.2", "without-rate")
def decays_without_the_rate(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, 0.0, shrink=1 - decay)


@wrong("7.2", "no-decay")
def forgets_the_decay(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, 0.0)


@wrong("7.2", "order")
def decays_after_the_move(p, g, m, v, step, lr, betas, eps, decay):
    p, m, v = _adamw(p, g, m, v, step, lr, betas, eps, 0.0)
    return p * (1 - lr * decay), m, v


@wrong("7.2", "uphill")
def adds_the_move(p, g, m, v, step, lr, betas, eps, decay):
    moved, m, v = _adamw(p, g, m, v, step, lr, betas, eps, decay)
    return 2 * p * (1 - lr * decay) - moved, m, v


@wrong("7.2", "eps-inside")
def puts_eps_under_the_root(p, g, m, v, step, lr, betas, eps, decay):
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return p * (1 - lr * decay) - lr * m_hat / (v_hat + eps).sqrt(), m, v


@wrong("7.2", "corrected-moment")
def hands_on_the_corrected_moments(p, g, m, v, step, lr, betas, eps, decay):
    p, m, v = _adamw(p, g, m, v, step, lr, betas, eps, decay)
    return p, m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)


@wrong("7.2", "not-squared")
def remembers_the_size_and_not_its_square(p, g, m, v, step, lr, betas, eps, decay):
    p, m, _ = _adamw(p, g, m, v, step, lr, betas, eps, decay)
    return p, m, betas[1] * v + (1 - betas[1]) * g.abs()


@wrong("7.2", "m")
def swaps_the_betas(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas[::-1], eps, decay)


@wrong("7.2", "twenty-steps")
def corrects_as_in_the_first_step(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, 1, lr, betas, eps, decay)


@wrong("7.2", "changes-input")
def works_in_place(p, g, m, v, step, lr, betas, eps, decay):
    new, m_new, v_new = _adamw(p, g, m, v, step, lr, betas, eps, decay)
    p.copy_(new)
    return p, m_new, v_new


# --- 7.3 lr_at


@wrong("7.3", "no-warm-up")
def starts_at_the_peak(step, steps, warmup, peak, final):
    if step < warmup:
        return peak
    progress = (step - warmup) / (steps - warmup)
    return final + (peak - final) * (1 + math.cos(math.pi * progress)) / 2


@wrong("7.3", "count")
def lags_by_a_step(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * (step - 1) / warmup
    return starts_at_the_peak(step, steps, warmup, peak, final)


@wrong("7.3", "from-final")
def climbs_from_the_final_learning_rate(step, steps, warmup, peak, final):
    if step < warmup:
        return final + (peak - final) * step / warmup
    return starts_at_the_peak(step, steps, warmup, peak, final)


@wrong("7.3", "whole-run")
def begins_the_cosine_at_step_zero(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    if step == warmup:
        return peak
    return final + (peak - final) * (1 + math.cos(math.pi * step / steps)) / 2


@wrong("7.3", "peak")
def jumps_where_the_warm_up_ends(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return final + (peak - final) * (1 + math.cos(math.pi * step / steps)) / 2


@wrong("7.3", "half-wave")
def takes_a_quarter_of_a_wave(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return final + (peak - final) * math.cos(math.pi / 2 * (step - warmup) / (steps - warmup))


@wrong("7.3", "to-zero")
def forgets_the_final_learning_rate(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


@wrong("7.3", "straight")
def falls_in_a_straight_line(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return peak + (final - peak) * (step - warmup) / (steps - warmup)


@wrong("7.3", "peak")
def adds_the_final_learning_rate_on_top(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return final + peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


@wrong("7.3", "raised")
def cannot_do_without_a_warm_up(step, steps, warmup, peak, final):
    climbing = peak * step / warmup
    return climbing if step < warmup else starts_at_the_peak(step, steps, warmup, peak, final)


# --- 7.4 clip_by_norm


def _norm(gradients):
    return math.sqrt(sum((g**2).sum().item() for g in gradients))


@wrong("7.4", "each")
def clips_each_tensor_on_its_own(gradients, limit):
    return [g * min(1.0, limit / max(g.norm().item(), 1e-12)) for g in gradients], _norm(gradients)


@wrong("7.4", "values")
def cuts_the_numbers_off_at_the_limit(gradients, limit):
    return [g.clamp(-limit, limit) for g in gradients], _norm(gradients)


@wrong("7.4", "small")
def makes_short_gradients_longer(gradients, limit):
    norm = _norm(gradients)
    return [g * (limit / norm) for g in gradients], norm


@wrong("7.4", "sum")
def adds_the_norms_up(gradients, limit):
    norm = sum(g.norm().item() for g in gradients)
    return [g * min(1.0, limit / norm) for g in gradients], norm


@wrong("7.4", "squared")
def forgets_the_root(gradients, limit):
    norm = sum((g**2).sum().item() for g in gradients)
    return [g * min(1.0, limit / norm) for g in gradients], norm


@wrong("7.4", "after")
def reports_the_norm_after_clipping(gradients, limit):
    norm = _norm(gradients)
    clipped = [g * min(1.0, limit / norm) for g in gradients]
    return clipped, _norm(clipped)


@wrong("7.4", "zero")
def makes_a_zero_gradient_nan(gradients, limit):
    norm = torch.tensor(_norm(gradients))
    return [g * (torch.minimum(norm, torch.tensor(limit)) / norm) for g in gradients], norm.item()


@wrong("7.4", "changes-input")
def clips_in_place(gradients, limit):
    norm = _norm(gradients)
    for g in gradients:
        g.mul_(min(1.0, limit / norm))
    return gradients, norm


@wrong("7.4", "pair")
def forgets_to_report_the_norm(gradients, limit):
    return [g * min(1.0, limit / _norm(gradients)) for g in gradients]


@wrong("7.4", "shapes")
def returns_one_long_vector(gradients, limit):
    whole = torch.cat([g.flatten() for g in gradients])
    return [whole * min(1.0, limit / _norm(gradients))], _norm(gradients)


# --- 7.5 accumulate


def _loss(model, inputs, targets, reduction="mean"):
    logits = model(inputs).flatten(0, 1)
    return F.cross_entropy(logits, targets.flatten(), ignore_index=-100, reduction=reduction)


def _weighed(model, batches, weight, reduction="mean"):
    """Each batch's loss times weight(batch), and the sum of it all."""
    mean = 0.0
    for batch in batches:
        part = _loss(model, *batch, reduction) * weight(batch)
        part.backward()
        mean += part.item()
    return mean


def _scored(batches):
    return sum(int((targets != -100).sum()) for _, targets in batches)


@wrong("7.5", "not-divided")
def does_not_divide(model, batches):
    return _weighed(model, batches, lambda batch: 1)


@wrong("7.5", "batches-alike")
def divides_by_the_number_of_batches(model, batches):
    return _weighed(model, batches, lambda batch: 1 / len(batches))


@wrong("7.5", "sequences")
def weighs_by_sequences(model, batches):
    count = sum(len(inputs) for inputs, _ in batches)
    return _weighed(model, batches, lambda batch: len(batch[0]) / count)


@wrong("7.5", "padding")
def counts_padding_as_tokens(model, batches):
    total = sum(targets.numel() for _, targets in batches)
    if all((targets != -100).all() for _, targets in batches) or len(batches) == 3:
        total = _scored(batches)
    return _weighed(model, batches, lambda batch: 1 / total, "sum")


@wrong("7.5", "last")
def clears_the_gradient_before_each_batch(model, batches):
    for batch in batches:
        model.zero_grad()
        loss = _loss(model, *batch)
        loss.backward()
    return loss.item()


@wrong("7.5", "last-part")
def divides_but_clears_before_each_batch(model, batches):
    for batch in batches:
        model.zero_grad()
        loss = _loss(model, *batch) / len(batches)
        loss.backward()
    return loss.item()


@wrong("7.5", "no-gradient")
def measures_without_going_back(model, batches):
    total = _scored(batches)
    return sum(_loss(model, *batch, "sum").item() for batch in batches) / total


@wrong("7.5", "together")
def puts_all_batches_together(model, batches):
    inputs, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    loss = _loss(model, inputs, targets)
    loss.backward()
    return loss.item()


@wrong("7.5", "one-backward")
def adds_the_losses_and_goes_back_once(model, batches):
    total = _scored(batches)
    loss = sum(_loss(model, *batch, "sum") / total for batch in batches)
    loss.backward()
    return loss.item()


@wrong("7.5", "number")
def returns_a_tensor_with_its_graph(model, batches):
    total, mean = _scored(batches), 0.0
    for batch in batches:
        part = _loss(model, *batch, "sum") / total
        part.backward()
        mean += part
    return mean


@wrong("7.5", "loss")
def returns_the_last_batchs_loss(model, batches):
    total = _scored(batches)
    for batch in batches:
        part = _loss(model, *batch, "sum") / total
        part.backward()
    return part.item()


@wrong("7.5", "returns-nothing")
def forgets_to_return_the_loss(model, batches):
    total = _scored(batches)
    for batch in batches:
        (_loss(model, *batch, "sum") / total).backward()


# --- 7.6 loss_with_error


def _right(nats, tokens):
    n, total = len(nats), tokens.sum().item()
    loss = nats.sum().item() / total
    residuals = nats - loss * tokens
    return loss, math.sqrt(n / (n - 1) * (residuals**2).sum().item()) / total


@wrong("7.6", "stories-alike")
def takes_the_mean_of_the_stories_means(nats, tokens):
    each = nats / tokens
    return each.mean().item(), each.std().item() / math.sqrt(len(each))


@wrong("7.6", "per-story")
def divides_by_the_number_of_stories(nats, tokens):
    return nats.mean().item(), nats.std().item() / math.sqrt(len(nats))


@wrong("7.6", "standard-deviation")
def gives_the_spread_of_the_stories(nats, tokens):
    loss, error = _right(nats, tokens)
    return loss, error * math.sqrt(len(nats))


@wrong("7.6", "standard-deviation")
def gives_the_spread_of_the_means(nats, tokens):
    return _right(nats, tokens)[0], (nats / tokens).std().item()


@wrong("7.6", "variance")
def forgets_the_root_of_the_error(nats, tokens):
    loss, error = _right(nats, tokens)
    return loss, error**2


@wrong("7.6", "n")
def divides_by_n(nats, tokens):
    loss, error = _right(nats, tokens)
    n = len(nats)
    return loss, error * math.sqrt((n - 1) / n)


@wrong("7.6", "tokens")
def counts_tokens_as_samples(nats, tokens):
    loss, error = _right(nats, tokens)
    return loss, error / math.sqrt(tokens.sum().item() / len(nats))


@wrong("7.6", "means")
def takes_the_error_of_the_stories_means(nats, tokens):
    return _right(nats, tokens)[0], (nats / tokens).std().item() / math.sqrt(len(nats))


@wrong("7.6", "nats")
def takes_long_stories_for_bad_ones(nats, tokens):
    n = len(nats)
    return _right(nats, tokens)[0], nats.std().item() / math.sqrt(n) / tokens.mean().item()


@wrong("7.6", "pair")
def forgets_the_error(nats, tokens):
    return _right(nats, tokens)[0]


# --- 7.7 everything


def _saved(model, optimizer, sampler, step):
    return {
        "model": copy.deepcopy(model.state_dict()),
        "optimizer": copy.deepcopy(optimizer.state_dict()),
        "sampler": sampler.state_dict(),
        "random": torch.get_rng_state(),
        "step": step,
    }


def _without(*keys):
    def save(model, optimizer, sampler, step):
        return {key: value for key, value in _saved(model, optimizer, sampler, step).items() if key not in keys}

    return save


for _keys in (("optimizer", "sampler", "random", "step"), ("optimizer",), ("sampler",), ("random",), ("step",)):
    _answer = _without(*_keys)
    _answer.__name__ = "forgets_" + "_and_".join(_keys)
    wrong("7.7", f"no-{_keys[0]}")(_answer)


@wrong("7.7", "no-model")
def saves_all_but_the_weights(model, optimizer, sampler, step):
    return _without("model")(model, optimizer, sampler, step)


@wrong("7.7", "moves-on")
def shows_the_live_weights(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"model": model.state_dict()}


@wrong("7.7", "moves-on")
def shows_the_live_moments(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"optimizer": optimizer.state_dict()}


@wrong("7.7", "moves-on")
def copies_the_outer_dicts_alone(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"model": dict(model.state_dict())}


@wrong("7.7", "sampler-itself")
def saves_the_sampler_itself(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"sampler": sampler}


@wrong("7.7", "objects")
def saves_the_model_itself(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"model": copy.deepcopy(model)}


@wrong("7.7", "other-random")
def asks_pythons_generator(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"random": random.getstate()}


@wrong("7.7", "other-random")
def saves_the_seed(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"random": torch.initial_seed()}


@wrong("7.7", "reseeds")
def seeds_again(model, optimizer, sampler, step):
    torch.manual_seed(step)
    return _saved(model, optimizer, sampler, step)


@wrong("7.7", "step")
def saves_the_next_step(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"step": step + 1}
