"""Wrong answers to the exercises of notebook 07."""

import copy
import math
import random

import torch
import torch.nn.functional as F

from tests.wrong_answers import wrong

# --- 7.1 collate


def _sequences(stories, context_length, end):
    return [[end, *story, end][: context_length + 1] for story in stories]


def _batch(sequences, end, fill=-100, width=None):
    longest = width or max(map(len, sequences))
    inputs = [sequence[:-1] + [end] * (longest - len(sequence)) for sequence in sequences]
    targets = [sequence[1:] + [fill] * (longest - len(sequence)) for sequence in sequences]
    return torch.tensor(inputs), torch.tensor(targets)


@wrong("7.1", "not-shifted")
def asks_for_what_it_reads(stories, context_length, end):
    inputs, targets = _batch(_sequences(stories, context_length, end), end)
    return inputs, inputs.masked_fill(targets == -100, -100)


@wrong("7.1", "twice")
def shifts_twice(stories, context_length, end):
    inputs, targets = _batch(_sequences(stories, context_length, end), end)
    return inputs, torch.cat([targets[:, 1:], targets[:, :1]], dim=1)


@wrong("7.1", "no-start")
def begins_with_the_first_token(stories, context_length, end):
    sequences = [[*story, end, end][: context_length + 1] for story in stories]
    return _batch(sequences, end)


@wrong("7.1", "shape")
def leaves_out_the_end_token_before_the_story(stories, context_length, end):
    return _batch([[*story, end][: context_length + 1] for story in stories], end)


@wrong("7.1", "no-start")
def reads_the_answers(stories, context_length, end):
    inputs, targets = _batch(_sequences(stories, context_length, end), end)
    return targets, inputs


@wrong("7.1", "padding")
def scores_the_padding(stories, context_length, end):
    return _batch(_sequences(stories, context_length, end), end, fill=end)


@wrong("7.1", "end")
def leaves_out_every_end_token(stories, context_length, end):
    inputs, targets = _batch(_sequences(stories, context_length, end), end)
    return inputs, targets.masked_fill(targets == end, -100)


@wrong("7.1", "end")
def pads_one_too_early(stories, context_length, end):
    inputs, targets = _batch(_sequences(stories, context_length, end), end)
    for row, story in zip(targets, stories, strict=True):
        row[len(story) :] = -100
    return inputs, targets


@wrong("7.1", "padding")
def pads_one_too_late(stories, context_length, end):
    inputs, targets = _batch(_sequences(stories, context_length, end), end)
    for row, story in zip(targets, stories, strict=True):
        row[len(story) + 1 : len(story) + 2] = end
    return inputs, targets


@wrong("7.1", "padded-inputs")
def reads_the_ignored_number(stories, context_length, end):
    inputs, targets = _batch(_sequences(stories, context_length, end), end)
    for row, story in zip(inputs, stories, strict=True):
        row[len(story) + 2 :] = -100
    return inputs, targets


@wrong("7.1", "padded-inputs")
def pads_the_inputs_with_zeros(stories, context_length, end):
    inputs, targets = _batch(_sequences(stories, context_length, end), end)
    return inputs.masked_fill(targets == -100, 0), targets


@wrong("7.1", "too-wide")
def is_always_as_wide_as_the_context(stories, context_length, end):
    return _batch(_sequences(stories, context_length, end), end, width=context_length + 1)


@wrong("7.1", "too-long")
def cuts_nothing(stories, context_length, end):
    return _batch([[end, *story, end] for story in stories], end)


@wrong("7.1", "too-long")
def cuts_to_the_context(stories, context_length, end):
    return _batch(_sequences(stories, context_length - 1, end), end)


@wrong("7.1", "end-after-cut")
def cuts_the_story_and_not_the_sequence(stories, context_length, end):
    return _batch([[end, *story[: context_length - 1], end] for story in stories], end)


@wrong("7.1", "tensors")
def returns_lists(stories, context_length, end):
    return tuple(part.tolist() for part in _batch(_sequences(stories, context_length, end), end))


@wrong("7.1", "tensors")
def returns_floats(stories, context_length, end):
    inputs, targets = _batch(_sequences(stories, context_length, end), end)
    return inputs.float(), targets.float()


@wrong("7.1", "tensors")
def returns_int32(stories, context_length, end):
    inputs, targets = _batch(_sequences(stories, context_length, end), end)
    return inputs.int(), targets.int()


@wrong("7.1", "pair")
def returns_the_inputs_alone(stories, context_length, end):
    return _batch(_sequences(stories, context_length, end), end)[0]


@wrong("7.1", "changes-input")
def writes_into_the_stories(stories, context_length, end):
    for story in stories:
        story.append(end)
    return _batch([[end, *story][: context_length + 1] for story in stories], end)


# --- 7.2 train_step


@wrong("7.2", "not-cleared")
def forgets_to_clear(model, optimizer, inputs, targets):
    loss = model.loss(inputs, targets)
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("7.2", "not-cleared")
def clears_at_the_end_alone(model, optimizer, inputs, targets):
    loss = model.loss(inputs, targets)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


@wrong("7.2", "no-gradient")
def clears_before_the_move(model, optimizer, inputs, targets):
    loss = model.loss(inputs, targets)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@wrong("7.2", "no-gradient")
def never_goes_back(model, optimizer, inputs, targets):
    optimizer.zero_grad()
    loss = model.loss(inputs, targets)
    optimizer.step()
    return loss.item()


@wrong("7.2", "no-step")
def never_moves(model, optimizer, inputs, targets):
    optimizer.zero_grad()
    loss = model.loss(inputs, targets)
    loss.backward()
    return loss.item()


@wrong("7.2", "not-cleared")
def moves_before_it_knows_where(model, optimizer, inputs, targets):
    optimizer.step()
    optimizer.zero_grad()
    loss = model.loss(inputs, targets)
    loss.backward()
    return loss.item()


@wrong("7.2", "loss-after")
def reports_the_loss_after_the_move(model, optimizer, inputs, targets):
    optimizer.zero_grad()
    model.loss(inputs, targets).backward()
    optimizer.step()
    return model.loss(inputs, targets).item()


@wrong("7.2", "graph")
def returns_the_tensor(model, optimizer, inputs, targets):
    optimizer.zero_grad()
    loss = model.loss(inputs, targets)
    loss.backward()
    optimizer.step()
    return loss


@wrong("7.2", "padding")
def counts_padding(model, optimizer, inputs, targets):
    optimizer.zero_grad()
    losses = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="none")
    losses.mean().backward()
    optimizer.step()
    return losses.mean().item()


@wrong("7.2", "summed")
def adds_the_losses_up(model, optimizer, inputs, targets):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="sum")
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong("7.2", "uphill")
def maximizes(model, optimizer, inputs, targets):
    optimizer.zero_grad()
    loss = model.loss(inputs, targets)
    (-loss).backward()
    optimizer.step()
    return loss.item()


@wrong("7.2", "three-steps")
def moves_by_hand_and_forgets_the_optimizer(model, optimizer, inputs, targets):
    optimizer.zero_grad()
    loss = model.loss(inputs, targets)
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.5 * p.grad
    return loss.item()


@wrong("7.2", "returns-nothing")
def forgets_to_return_it(model, optimizer, inputs, targets):
    optimizer.zero_grad()
    model.loss(inputs, targets).backward()
    optimizer.step()


# --- 7.3 adamw_step


def _adamw(p, g, m, v, step, lr, betas, eps, decay, *, fix_m=True, fix_v=True, count=0, shrink=None):
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
    m_hat = m / (1 - betas[0] ** (step + count)) if fix_m else m
    v_hat = v / (1 - betas[1] ** (step + count)) if fix_v else v
    return p * (1 - lr * decay if shrink is None else shrink) - lr * m_hat / (v_hat.sqrt() + eps), m, v


@wrong("7.3", "no-correction")
def forgets_the_correction(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, decay, fix_m=False, fix_v=False)


@wrong("7.3", "one-correction")
def corrects_m_alone(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, decay, fix_v=False)


@wrong("7.3", "v-correction-only")
def corrects_v_alone(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, decay, fix_m=False)


@wrong("7.3", "count")
def counts_from_zero(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, decay, count=1)


@wrong("7.3", "coupled")
def adds_the_decay_to_the_gradient(p, g, m, v, step, lr, betas, eps, decay):
    p_new, m, v = _adamw(p, g + decay * p, m, v, step, lr, betas, eps, 0.0)
    return p_new, m, v


@wrong("7.3", "without-rate")
def decays_without_the_rate(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, 0.0, shrink=1 - decay)


@wrong("7.3", "no-decay")
def forgets_the_decay(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas, eps, 0.0)


@wrong("7.3", "order")
def decays_after_the_move(p, g, m, v, step, lr, betas, eps, decay):
    p, m, v = _adamw(p, g, m, v, step, lr, betas, eps, 0.0)
    return p * (1 - lr * decay), m, v


@wrong("7.3", "uphill")
def adds_the_move(p, g, m, v, step, lr, betas, eps, decay):
    moved, m, v = _adamw(p, g, m, v, step, lr, betas, eps, decay)
    return 2 * p * (1 - lr * decay) - moved, m, v


@wrong("7.3", "eps-inside")
def puts_eps_under_the_root(p, g, m, v, step, lr, betas, eps, decay):
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return p * (1 - lr * decay) - lr * m_hat / (v_hat + eps).sqrt(), m, v


@wrong("7.3", "outside-the-root")
def corrects_the_root_of_v(p, g, m, v, step, lr, betas, eps, decay):
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
    m_hat, root = m / (1 - betas[0] ** step), v.sqrt() / (1 - betas[1] ** step)
    return p * (1 - lr * decay) - lr * m_hat / (root + eps), m, v


@wrong("7.3", "corrected-moment")
def hands_on_the_corrected_moments(p, g, m, v, step, lr, betas, eps, decay):
    p, m, v = _adamw(p, g, m, v, step, lr, betas, eps, decay)
    return p, m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)


@wrong("7.3", "not-squared")
def remembers_the_size_and_not_its_square(p, g, m, v, step, lr, betas, eps, decay):
    p, m, _ = _adamw(p, g, m, v, step, lr, betas, eps, decay)
    return p, m, betas[1] * v + (1 - betas[1]) * g.abs()


@wrong("7.3", "m")
def swaps_the_betas(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, step, lr, betas[::-1], eps, decay)


@wrong("7.3", "twenty-steps")
def corrects_as_in_the_first_step(p, g, m, v, step, lr, betas, eps, decay):
    return _adamw(p, g, m, v, 1, lr, betas, eps, decay)


@wrong("7.3", "changes-input")
def works_in_place(p, g, m, v, step, lr, betas, eps, decay):
    new, m_new, v_new = _adamw(p, g, m, v, step, lr, betas, eps, decay)
    p.copy_(new)
    return p, m_new, v_new


# --- 7.4 lr_at


@wrong("7.4", "no-warm-up")
def starts_at_the_peak(step, steps, warmup, peak, final):
    if step < warmup:
        return peak
    progress = (step - warmup) / (steps - warmup)
    return final + (peak - final) * (1 + math.cos(math.pi * progress)) / 2


@wrong("7.4", "count")
def lags_by_a_step(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * (step - 1) / warmup
    return starts_at_the_peak(step, steps, warmup, peak, final)


@wrong("7.4", "from-final")
def climbs_from_the_final_learning_rate(step, steps, warmup, peak, final):
    if step < warmup:
        return final + (peak - final) * step / warmup
    return starts_at_the_peak(step, steps, warmup, peak, final)


@wrong("7.4", "whole-run")
def begins_the_cosine_at_step_zero(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    if step == warmup:
        return peak
    return final + (peak - final) * (1 + math.cos(math.pi * step / steps)) / 2


@wrong("7.4", "peak")
def jumps_where_the_warm_up_ends(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return final + (peak - final) * (1 + math.cos(math.pi * step / steps)) / 2


@wrong("7.4", "half-wave")
def takes_a_quarter_of_a_wave(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return final + (peak - final) * math.cos(math.pi / 2 * (step - warmup) / (steps - warmup))


@wrong("7.4", "to-zero")
def forgets_the_final_learning_rate(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


@wrong("7.4", "straight")
def falls_in_a_straight_line(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return peak + (final - peak) * (step - warmup) / (steps - warmup)


@wrong("7.4", "peak")
def adds_the_final_learning_rate_on_top(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return final + peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


@wrong("7.4", "raised")
def cannot_do_without_a_warm_up(step, steps, warmup, peak, final):
    climbing = peak * step / warmup
    return climbing if step < warmup else starts_at_the_peak(step, steps, warmup, peak, final)


@wrong("7.4", "clamped")
def cuts_the_wave_off_at_the_final_learning_rate(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return max(final, peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2)


# --- 7.5 clip_by_norm


def _norm(gradients):
    return math.sqrt(sum((g**2).sum().item() for g in gradients))


@wrong("7.5", "each")
def clips_each_tensor_on_its_own(gradients, limit):
    return [g * min(1.0, limit / max(g.norm().item(), 1e-12)) for g in gradients], _norm(gradients)


@wrong("7.5", "some")
def clips_only_the_tensors_that_are_long_themselves(gradients, limit):
    norm = _norm(gradients)
    return [g * (limit / norm) if g.norm() > limit else g for g in gradients], norm


@wrong("7.5", "values")
def cuts_the_numbers_off_at_the_limit(gradients, limit):
    return [g.clamp(-limit, limit) for g in gradients], _norm(gradients)


@wrong("7.5", "small")
def makes_short_gradients_longer(gradients, limit):
    norm = _norm(gradients)
    return [g * (limit / norm) for g in gradients], norm


@wrong("7.5", "sum")
def adds_the_norms_up(gradients, limit):
    norm = sum(g.norm().item() for g in gradients)
    return [g * min(1.0, limit / norm) for g in gradients], norm


@wrong("7.5", "squared")
def forgets_the_root(gradients, limit):
    norm = sum((g**2).sum().item() for g in gradients)
    return [g * min(1.0, limit / norm) for g in gradients], norm


@wrong("7.5", "after")
def reports_the_norm_after_clipping(gradients, limit):
    norm = _norm(gradients)
    clipped = [g * min(1.0, limit / norm) for g in gradients]
    return clipped, _norm(clipped)


@wrong("7.5", "zero")
def makes_a_zero_gradient_nan(gradients, limit):
    norm = torch.tensor(_norm(gradients))
    return [g * (torch.minimum(norm, torch.tensor(limit)) / norm) for g in gradients], norm.item()


@wrong("7.5", "changes-input")
def clips_in_place(gradients, limit):
    norm = _norm(gradients)
    for g in gradients:
        g.mul_(min(1.0, limit / norm))
    return gradients, norm


@wrong("7.5", "pair")
def forgets_to_report_the_norm(gradients, limit):
    return [g * min(1.0, limit / _norm(gradients)) for g in gradients]


@wrong("7.5", "shapes")
def returns_one_long_vector(gradients, limit):
    whole = torch.cat([g.flatten() for g in gradients])
    return [whole * min(1.0, limit / _norm(gradients))], _norm(gradients)


@wrong("7.5", "infinite")
def divides_by_the_larger_of_norm_and_limit(gradients, limit):
    norm = torch.tensor(_norm(gradients))
    return [g * (torch.tensor(limit) / torch.maximum(norm, torch.tensor(limit))) for g in gradients], norm.item()


# --- 7.6 accumulate


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


@wrong("7.6", "not-divided")
def does_not_divide(model, batches):
    return _weighed(model, batches, lambda batch: 1)


@wrong("7.6", "batches-alike")
def divides_by_the_number_of_batches(model, batches):
    return _weighed(model, batches, lambda batch: 1 / len(batches))


@wrong("7.6", "sequences")
def weighs_by_sequences(model, batches):
    count = sum(len(inputs) for inputs, _ in batches)
    return _weighed(model, batches, lambda batch: len(batch[0]) / count)


@wrong("7.6", "padding")
def counts_padding_as_tokens(model, batches):
    total = sum(targets.numel() for _, targets in batches)
    if all((targets != -100).all() for _, targets in batches) or len(batches) == 3:
        total = _scored(batches)
    return _weighed(model, batches, lambda batch: 1 / total, "sum")


@wrong("7.6", "nothing-scored")
def weighs_means_by_their_tokens(model, batches):
    total = _scored(batches)
    return _weighed(model, batches, lambda batch: _scored([batch]) / total)


@wrong("7.6", "last")
def clears_the_gradient_before_each_batch(model, batches):
    for batch in batches:
        model.zero_grad()
        loss = _loss(model, *batch)
        loss.backward()
    return loss.item()


@wrong("7.6", "last-part")
def divides_but_clears_before_each_batch(model, batches):
    for batch in batches:
        model.zero_grad()
        loss = _loss(model, *batch) / len(batches)
        loss.backward()
    return loss.item()


@wrong("7.6", "no-gradient")
def measures_without_going_back(model, batches):
    total = _scored(batches)
    return sum(_loss(model, *batch, "sum").item() for batch in batches) / total


@wrong("7.6", "together")
def puts_all_batches_together(model, batches):
    inputs, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    loss = _loss(model, inputs, targets)
    loss.backward()
    return loss.item()


@wrong("7.6", "one-backward")
def adds_the_losses_and_goes_back_once(model, batches):
    total = _scored(batches)
    loss = sum(_loss(model, *batch, "sum") / total for batch in batches)
    loss.backward()
    return loss.item()


@wrong("7.6", "number")
def returns_a_tensor_with_its_graph(model, batches):
    total, mean = _scored(batches), 0.0
    for batch in batches:
        part = _loss(model, *batch, "sum") / total
        part.backward()
        mean += part
    return mean


@wrong("7.6", "loss")
def returns_the_last_batchs_loss(model, batches):
    total = _scored(batches)
    for batch in batches:
        part = _loss(model, *batch, "sum") / total
        part.backward()
    return part.item()


@wrong("7.6", "returns-nothing")
def forgets_to_return_the_loss(model, batches):
    total = _scored(batches)
    for batch in batches:
        (_loss(model, *batch, "sum") / total).backward()


# --- 7.7 update


def _update(model, optimizer, batches, lr, limit, *, clear=True, clip=True, rates="all", when="before"):
    """A step with something left out."""
    if clear:
        optimizer.zero_grad()
    loss = _weighed(model, batches, lambda batch: 1 / _scored(batches), "sum")
    parameters = list(model.parameters())
    norm = _norm([p.grad for p in parameters])
    if clip:
        for p in parameters:
            p.grad = p.grad * min(1.0, limit / norm)
    if when == "after":
        optimizer.step()
    for group in optimizer.param_groups[: 1 if rates == "first" else None]:
        group["lr"] = lr
    if when == "before":
        optimizer.step()
    return loss, norm


@wrong("7.7", "not-cleared")
def steps_along_what_was_left(model, optimizer, batches, lr, limit):
    return _update(model, optimizer, batches, lr, limit, clear=False)


@wrong("7.7", "lr")
def sets_the_learning_rate_after_the_move(model, optimizer, batches, lr, limit):
    return _update(model, optimizer, batches, lr, limit, when="after")


@wrong("7.7", "lr")
def writes_the_learning_rate_where_nobody_looks(model, optimizer, batches, lr, limit):
    old = [group["lr"] for group in optimizer.param_groups]
    optimizer.lr = lr
    loss, norm = _update(model, optimizer, batches, lr, limit, when="never")
    for group, rate in zip(optimizer.param_groups, old, strict=True):
        group["lr"] = rate
    optimizer.step()
    return loss, norm


@wrong("7.7", "one-group")
def sets_the_first_group_alone(model, optimizer, batches, lr, limit):
    return _update(model, optimizer, batches, lr, limit, rates="first")


@wrong("7.7", "not-clipped")
def forgets_to_clip(model, optimizer, batches, lr, limit):
    return _update(model, optimizer, batches, lr, limit, clip=False)


@wrong("7.7", "not-clipped")
def throws_the_clipped_gradients_away(model, optimizer, batches, lr, limit):
    loss, norm = _update(model, optimizer, batches, lr, limit, clip=False, when="never")
    [p.grad * min(1.0, limit / norm) for p in model.parameters()]
    optimizer.step()
    return loss, norm


@wrong("7.7", "no-step")
def clears_between_gradient_and_move(model, optimizer, batches, lr, limit):
    given = _update(model, optimizer, batches, lr, limit, when="never")
    optimizer.zero_grad()
    optimizer.step()
    return given


@wrong("7.7", "not-weighed")
def adds_the_means_of_the_batches(model, optimizer, batches, lr, limit):
    optimizer.zero_grad()
    loss = _weighed(model, batches, lambda batch: 1)
    norm = _norm([p.grad for p in model.parameters()])
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    return loss, norm


@wrong("7.7", "norm-after")
def reports_the_clipped_norm(model, optimizer, batches, lr, limit):
    loss, _ = _update(model, optimizer, batches, lr, limit)
    return loss, _norm([p.grad for p in model.parameters()])


@wrong("7.7", "clipped")
def clips_each_tensor(model, optimizer, batches, lr, limit):
    loss, norm = _update(model, optimizer, batches, lr, limit, clip=False, when="never")
    for p in model.parameters():
        p.grad = p.grad * min(1.0, limit / p.grad.norm().item())
    optimizer.step()
    return loss, norm


@wrong("7.7", "loss")
def returns_norm_and_loss(model, optimizer, batches, lr, limit):
    return _update(model, optimizer, batches, lr, limit)[::-1]


@wrong("7.7", "pair")
def returns_the_loss_alone(model, optimizer, batches, lr, limit):
    return _update(model, optimizer, batches, lr, limit)[0]


# --- 7.8 train


def _cosine(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return final + (peak - final) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def _train(model, optimizer, sampler, steps, peak, *, warmup=0, final=0.0, accumulation=1, limit=math.inf,
           validate=None, every=0, start=0, fault=""):  # fmt: skip
    """The loop with a fault."""
    rows = []
    if fault == "train once":
        model.train()
    for step in range(start + 1, steps + (0 if fault == "one short" else 1)):
        if fault not in ("never trains", "train once"):
            model.train()
        batches = [sampler.next_batch() for _ in range(1 if fault == "one batch" else accumulation)]
        at = step - 1 if fault == "late" else step - start if fault == "anew" else step
        lr = _cosine(at, steps + (0 if fault == "no plus" else 1), warmup, peak, final)
        lr = peak if fault == "constant" else lr
        if fault == "each alone":
            for batch in batches:
                loss, norm = _update(model, optimizer, [batch], lr, limit)
        else:
            loss, norm = _update(model, optimizer, batches, lr, math.inf if fault == "no clip" else limit)
        rows.append({"step": step - 1 if fault == "from zero" else step, "lr": lr, "loss": loss, "norm": norm})
        last = step == steps and fault != "no last"
        if every and ((step - (fault == "before")) % every == 0 or last):
            if fault != "in training":
                model.eval()
            rows[-1]["val_loss"] = validate(model)
            if fault == "twice":
                rows[-1]["val_loss"] = validate(model)
    return rows


for _number, (_fault, _slug, _name) in enumerate((
    ("late", "late", "asks_the_schedule_for_the_step_before"),
    ("no plus", "steps", "stands_still_in_the_last_step"),
    ("constant", "constant", "never_asks_the_schedule"),
    ("one short", "count", "stops_one_step_early"),
    ("from zero", "numbers", "counts_from_zero"),
    ("never trains", "never-trains", "leaves_the_model_in_evaluation_mode"),
    ("train once", "stays-in-evaluation", "trains_on_in_evaluation_mode"),
    ("in training", "validates-in-training", "validates_with_dropout"),
    ("one batch", "accumulation", "reads_one_batch_a_step"),
    ("each alone", "accumulation", "makes_a_step_of_each_batch"),
    ("no clip", "clip", "forgets_the_limit"),
    ("no last", "last-validation", "does_not_validate_at_the_end"),
    ("before", "validates-before", "validates_at_the_wrong_steps"),
    ("twice", "validation", "validates_twice"),
    ("anew", "start", "begins_the_schedule_anew"),
)):  # fmt: skip

    def _answer(*given, fault=_fault, **options):
        return _train(*given, fault=fault, **options)

    _answer.__name__ = _name
    wrong("7.8", _slug)(_answer)


@wrong("7.8", "last-twice")
def validates_once_more_after_the_loop(model, optimizer, sampler, steps, peak, *, validate=None, every=0, **options):
    rows = _train(model, optimizer, sampler, steps, peak, validate=validate, every=every, fault="no last", **options)
    if every:
        model.eval()
        rows[-1]["val_loss"] = validate(model)
    return rows


@wrong("7.8", "start")
def begins_at_step_one_again(*given, start=0, **options):
    return _train(*given, **options)


@wrong("7.8", "rows")
def returns_the_losses_alone(*given, **options):
    return [row["loss"] for row in _train(*given, **options)]


@wrong("7.8", "keys")
def forgets_the_norm(*given, **options):
    return [{key: value for key, value in row.items() if key != "norm"} for row in _train(*given, **options)]


# --- 7.9 loss_with_error


def _right(nats, tokens):
    n, total = len(nats), tokens.sum().item()
    loss = nats.sum().item() / total
    residuals = nats - loss * tokens
    return loss, math.sqrt(n / (n - 1) * (residuals**2).sum().item()) / total


@wrong("7.9", "stories-alike")
def takes_the_mean_of_the_stories_means(nats, tokens):
    each = nats / tokens
    return each.mean().item(), each.std().item() / math.sqrt(len(each))


@wrong("7.9", "per-story")
def divides_by_the_number_of_stories(nats, tokens):
    return nats.mean().item(), nats.std().item() / math.sqrt(len(nats))


@wrong("7.9", "standard-deviation")
def gives_the_spread_of_the_stories(nats, tokens):
    loss, error = _right(nats, tokens)
    return loss, error * math.sqrt(len(nats))


@wrong("7.9", "standard-deviation")
def gives_the_spread_of_the_means(nats, tokens):
    return _right(nats, tokens)[0], (nats / tokens).std().item()


@wrong("7.9", "variance")
def forgets_the_root_of_the_error(nats, tokens):
    loss, error = _right(nats, tokens)
    return loss, error**2


@wrong("7.9", "n")
def divides_by_n(nats, tokens):
    loss, error = _right(nats, tokens)
    n = len(nats)
    return loss, error * math.sqrt((n - 1) / n)


@wrong("7.9", "tokens")
def counts_tokens_as_samples(nats, tokens):
    loss, error = _right(nats, tokens)
    return loss, error / math.sqrt(tokens.sum().item() / len(nats))


@wrong("7.9", "means")
def takes_the_error_of_the_stories_means(nats, tokens):
    return _right(nats, tokens)[0], (nats / tokens).std().item() / math.sqrt(len(nats))


@wrong("7.9", "nats")
def takes_long_stories_for_bad_ones(nats, tokens):
    n = len(nats)
    return _right(nats, tokens)[0], nats.std().item() / math.sqrt(n) / tokens.mean().item()


@wrong("7.9", "pair")
def forgets_the_error(nats, tokens):
    return _right(nats, tokens)[0]


# --- 7.10 checkpoint


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
    wrong("7.10", f"no-{_keys[0]}")(_answer)


@wrong("7.10", "no-model")
def saves_all_but_the_weights(model, optimizer, sampler, step):
    return _without("model")(model, optimizer, sampler, step)


@wrong("7.10", "moves-on")
def shows_the_live_weights(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"model": model.state_dict()}


@wrong("7.10", "moves-on")
def shows_the_live_moments(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"optimizer": optimizer.state_dict()}


@wrong("7.10", "moves-on")
def copies_the_outer_dicts_alone(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"model": dict(model.state_dict())}


@wrong("7.10", "sampler-itself")
def saves_the_sampler_itself(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"sampler": sampler}


@wrong("7.10", "objects")
def saves_the_model_itself(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"model": copy.deepcopy(model)}


@wrong("7.10", "other-random")
def asks_pythons_generator(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"random": random.getstate()}


@wrong("7.10", "other-random")
def saves_the_seed(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"random": torch.initial_seed()}


@wrong("7.10", "reseeds")
def seeds_again(model, optimizer, sampler, step):
    torch.manual_seed(step)
    return _saved(model, optimizer, sampler, step)


@wrong("7.10", "step")
def saves_the_next_step(model, optimizer, sampler, step):
    return _saved(model, optimizer, sampler, step) | {"step": step + 1}


# --- 7.11 resume


def _resume(state, model, optimizer, sampler, *, leave=(), copied=True):
    for name, part in (("model", model), ("optimizer", optimizer), ("sampler", sampler)):
        if name not in leave:
            part.load_state_dict(copy.deepcopy(state[name]) if copied else state[name])
    if "random" not in leave:
        torch.set_rng_state(state["random"])
    return state["step"]


for _name in ("model", "optimizer", "sampler", "random"):

    def _answer(*given, leave=(_name,)):
        return _resume(*given, leave=leave)

    _answer.__name__ = f"leaves_the_{_name}_as_it_is"
    wrong("7.11", f"no-{_name}")(_answer)


@wrong("7.11", "moves-on")
def hands_over_the_tensors_themselves(state, model, optimizer, sampler):
    return _resume(state, model, optimizer, sampler, copied=False)


@wrong("7.11", "random-too-early")
def samples_after_it_put_the_generator_back(state, model, optimizer, sampler):
    step = _resume(state, model, optimizer, sampler)
    torch.rand(3)
    return step


@wrong("7.11", "random-too-early")
def seeds_the_generator(state, model, optimizer, sampler):
    _resume(state, model, optimizer, sampler)
    torch.manual_seed(0)
    return state["step"]


@wrong("7.11", "next-step")
def returns_the_next_step(state, model, optimizer, sampler):
    return _resume(state, model, optimizer, sampler) + 1


@wrong("7.11", "step")
def begins_the_count_anew(state, model, optimizer, sampler):
    _resume(state, model, optimizer, sampler)
    return 0


@wrong("7.11", "returns-nothing")
def forgets_to_return_the_step(state, model, optimizer, sampler):
    _resume(state, model, optimizer, sampler)
