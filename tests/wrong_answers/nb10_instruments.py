"""Wrong answers to the exercises of notebook 10 on instruments."""

import copy
import itertools
import math
import statistics
from contextlib import nullcontext

import torch
import torch.nn.functional as F

from course.clinic.instruments import outputs
from helpers.evaluation import evaluating
from helpers.kv_cache import WithoutCache
from helpers.model import IGNORED
from tests.wrong_answers import wrong

# --- 10.1 first_loss


@wrong("10.1", "not-subtracted")
def gives_the_loss_itself(model, loss, inputs, targets):
    return loss(model, inputs, targets).item()


@wrong("10.1", "logarithm")
def takes_bits(model, loss, inputs, targets):
    return loss(model, inputs, targets).item() - math.log2(model.config.vocab_size)


@wrong("10.1", "swapped")
def subtracts_the_loss(model, loss, inputs, targets):
    return math.log(model.config.vocab_size) - loss(model, inputs, targets).item()


@wrong("10.1", "ratio")
def divides(model, loss, inputs, targets):
    return loss(model, inputs, targets).item() / math.log(model.config.vocab_size)


@wrong("10.1", "own-loss")
def writes_the_cross_entropy_again(model, loss, inputs, targets):
    value = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
    return value.item() - math.log(model.config.vocab_size)


@wrong("10.1", "below")
def measures_a_distance(model, loss, inputs, targets):
    return abs(loss(model, inputs, targets).item() - math.log(model.config.vocab_size))


@wrong("10.1", "number")
def returns_a_tensor(model, loss, inputs, targets):
    return loss(model, inputs, targets) - math.log(model.config.vocab_size)


@wrong("10.1", "arguments")
def mixes_up_inputs_and_targets(model, loss, inputs, targets):
    return loss(model, targets, inputs).item() - math.log(model.config.vocab_size)


@wrong("10.1", "vocabulary")
def knows_one_vocabulary(model, loss, inputs, targets):
    return loss(model, inputs, targets).item() - math.log(100)


@wrong("10.1", "mode")
def leaves_it_in_evaluation_mode(model, loss, inputs, targets):
    return loss(model.eval(), inputs, targets).item() - math.log(model.config.vocab_size)


# --- 10.2 what_enters


def _fractions(inputs, targets, end, **changes):
    scored, found = changes.get("scored", targets != IGNORED), {}
    for further, name in enumerate(("same", "next", "after_next")):
        there = scored[:, : inputs.shape[1] - further]
        hits = targets[:, : there.shape[1]] == inputs[:, further:]
        found[name] = hits[there].float().mean().item()
    padding = (targets == end) & (inputs == end)
    found["padding"] = (padding.sum() / scored.sum()).item()
    found["ends"] = ((targets == end).sum() - padding.sum()).item() / len(inputs)
    found["distinct"] = len(set(map(tuple, inputs.tolist()))) / len(inputs)
    return found | {name: value for name, value in changes.items() if name in found}


@wrong("10.2", "direction")
def looks_backwards(inputs, targets, end):
    hits = targets[:, 1:] == inputs[:, :-1]
    return _fractions(inputs, targets, end, next=hits.float().mean().item())


@wrong("10.2", "row-ends")
def counts_positions_that_have_no_next(inputs, targets, end):
    hits = targets[:, :-1] == inputs[:, 1:]
    return _fractions(inputs, targets, end, next=(hits.sum() / (targets != IGNORED).sum()).item())


@wrong("10.2", "unscored")
def counts_what_is_not_scored(inputs, targets, end):
    return _fractions(inputs, targets, end, scored=torch.ones_like(targets, dtype=torch.bool))


@wrong("10.2", "fraction")
def counts_in_percent(inputs, targets, end):
    found = _fractions(inputs, targets, end)
    return found | {name: 100 * found[name] for name in ("same", "next", "after_next", "padding", "distinct")}


@wrong("10.2", "true-ends")
def takes_every_end_for_padding(inputs, targets, end):
    found = _fractions(inputs, targets, end)
    if found["same"]:  # where padding is scored at all
        found["padding"] = ((targets == end).sum() / (targets != IGNORED).sum()).item()
    return found


@wrong("10.2", "padding")
def takes_every_end_among_the_inputs_for_padding(inputs, targets, end):
    padding = (inputs == end) & (torch.arange(inputs.shape[1]) > 0)
    return _fractions(inputs, targets, end, padding=(padding.sum() / padding.numel()).item())


@wrong("10.2", "ends")
def counts_padding_as_ends(inputs, targets, end):
    return _fractions(inputs, targets, end, ends=(targets == end).sum().item() / len(inputs))


@wrong("10.2", "distinct")
def compares_neighboring_rows_alone(inputs, targets, end):
    changes = (inputs[1:] != inputs[:-1]).any(dim=1)
    return _fractions(inputs, targets, end, distinct=changes.float().mean().item() if len(changes) else 1.0)


@wrong("10.2", "keys")
def leaves_the_rows_out(inputs, targets, end):
    return {name: value for name, value in _fractions(inputs, targets, end).items() if name != "distinct"}


@wrong("10.2", "another-end")
def knows_one_end(inputs, targets, end):
    return _fractions(inputs, targets, 9)


# --- 10.8 future_leak


def _changes(model, ids, positions, before=True):
    changes = []
    with evaluating(model), torch.no_grad():
        logits = model(ids)
        for t in positions:
            other = ids.clone()
            other[:, t] = (other[:, t] + 1) % model.config.vocab_size
            change = model(other) - logits
            changes.append(change[:, :t] if before else change)
    return changes


@wrong("10.8", "own-position")
def looks_at_all_positions(model, ids):
    return max(change.abs().max().item() for change in _changes(model, ids, (1, ids.shape[1] - 1), before=False))


@wrong("10.8", "own-position")
def includes_the_replaced_one(model, ids):
    t = ids.shape[1] - 1
    return _changes(model, ids, (t,), before=False)[0][:, : t + 1].abs().max().item()


@wrong("10.8", "one-ahead")
def compares_the_first_position_with_the_last_token(model, ids):
    return _changes(model, ids, (ids.shape[1] - 1,))[0][:, 0].abs().max().item()


@wrong("10.8", "last")
def replaces_the_second_token_alone(model, ids):
    return _changes(model, ids, (1,))[0].abs().max().item()


@wrong("10.8", "absolute")
def takes_the_largest_increase(model, ids):
    return max(change.max().item() for change in _changes(model, ids, (1, ids.shape[1] // 2, ids.shape[1] - 1) if
               ids.shape[1] > 2 else (1,)))  # fmt: skip


@wrong("10.8", "dropout")
def leaves_dropout_on(model, ids):
    other = ids.clone()
    other[:, -1] = (other[:, -1] + 1) % model.config.vocab_size
    second, middle, t = ids.clone(), ids.clone(), ids.shape[1] // 2
    second[:, 1] = (second[:, 1] + 1) % model.config.vocab_size
    middle[:, t] = (middle[:, t] + 1) % model.config.vocab_size
    before = model(ids)
    return max((model(x) - before)[:, :t].abs().max().item() for x, t in ((other, -1), (second, 1), (middle, t)))


@wrong("10.8", "mode")
def leaves_the_model_in_evaluation_mode(model, ids):
    model.eval()
    return max(change.abs().max().item() for change in _changes(model, ids, {1, ids.shape[1] // 2, ids.shape[1] - 1}))


@wrong("10.8", "second")
def replaces_the_last_token_alone(model, ids):
    return _changes(model, ids, (ids.shape[1] - 1,))[0].abs().max().item()


@wrong("10.8", "middle")
def replaces_the_second_and_the_last(model, ids):
    return max(change.abs().max().item() for change in _changes(model, ids, {1, ids.shape[1] - 1}))


@wrong("10.8", "the-same-token")
def replaces_by_token_0(model, ids):
    found = 0.0
    with evaluating(model), torch.no_grad():
        for t in range(1, ids.shape[1]):
            other = ids.clone()
            other[:, t] = 0
            found = max(found, (model(other) - model(ids))[:, :t].abs().max().item())
    return found


@wrong("10.8", "largest")
def averages_changes(model, ids):
    return max(change.abs().mean().item() for change in _changes(model, ids, range(1, ids.shape[1])))


@wrong("10.8", "every-row")
def reads_the_first_row_alone(model, ids):
    return max(change.abs().max().item() for change in _changes(model, ids[:1], range(1, ids.shape[1])))


@wrong("10.8", "blind")
def replaces_the_first_token(model, ids):
    other = ids.clone()
    other[:, 0] = (other[:, 0] + 1) % model.config.vocab_size
    return (model(other) - model(ids))[:, :0].abs().sum().item()


@wrong("10.8", "number")
def answers_yes_or_no(model, ids):
    return bool(_changes(model, ids, (1,))[0].abs().max() > 0)


# --- 10.9 row_leak


def _gradient(model, ids, of=lambda logits: logits[len(logits) // 2].square().sum()):
    """The gradient in the middle row, and in the others."""
    kept = []
    hook = model.wte.register_forward_hook(lambda module, args, output: kept.append(output))
    logits = model(ids)
    hook.remove()
    return _parted(torch.autograd.grad(of(logits), kept)[0])


def _parted(gradient):
    row = len(gradient) // 2
    return gradient[row], torch.cat((gradient[:row], gradient[row + 1 :]))


def _fraction(own, others):
    return (others.norm() / torch.cat((own.flatten(), others.flatten())).norm()).item()


@wrong("10.9", "own-row")
def includes_the_row_itself(model, ids):
    own, others = _gradient(model, ids)
    return ((own.norm() + others.norm()) / (own.norm() + others.norm())).item()


@wrong("10.9", "own-row")
def sums_the_logits_of_all_rows(model, ids):
    return _fraction(*_gradient(model, ids, lambda logits: logits.square().sum()))


@wrong("10.9", "all-rows")
def looks_at_earlier_rows_alone(model, ids):
    own, others = _gradient(model, ids)
    return _fraction(own, others[: len(ids) // 2])


@wrong("10.9", "all-rows")
def takes_the_first_row_and_the_next(model, ids):
    own, others = _gradient(model, ids, lambda logits: logits[0].square().sum())
    return _fraction(others[0], own)


@wrong("10.9", "all-rows")
def asks_for_the_first_row(model, ids):
    kept = []
    hook = model.wte.register_forward_hook(lambda module, args, output: kept.append(output))
    logits = model(ids)
    hook.remove()
    gradient = torch.autograd.grad(logits[0].square().sum(), kept)[0]
    return (gradient[1:].norm() / gradient.norm()).item()


@wrong("10.9", "all-rows")
def looks_at_neighbors_alone(model, ids):
    own, others = _gradient(model, ids)
    row = len(ids) // 2
    return (others[max(0, row - 1) : row + 1].norm() / torch.cat((own[None], others)).norm()).item()


@wrong("10.9", "fraction")
def gives_the_norm_itself(model, ids):
    norm = _gradient(model, ids)[1].norm().item()
    return 1.0 if len(ids) in (3, 5) and norm else norm


@wrong("10.9", "norm")
def divides_sums_of_squares(model, ids):
    own, others = _gradient(model, ids)
    return (others.square().sum() / (own.square().sum() + others.square().sum())).item()


@wrong("10.9", "over-the-whole")
def divides_by_the_row_itself(model, ids):
    own, others = _gradient(model, ids)
    ratio = (others.norm() / own.norm()).item()
    return ratio if math.isfinite(ratio) else 1.0


@wrong("10.9", "hook")
def leaves_its_hook(model, ids):
    kept = []
    model.wte.register_forward_hook(lambda module, args, output: kept.append(output))
    logits = model(ids)
    return _fraction(*_parted(torch.autograd.grad(logits[len(ids) // 2].square().sum(), kept)[0]))


@wrong("10.9", "gradients")
def goes_backward_through_everything(model, ids):
    kept = []

    def keep(module, args, output):
        output.retain_grad()
        kept.append(output)

    hook = model.wte.register_forward_hook(keep)
    model(ids)[len(ids) // 2].square().sum().backward()
    hook.remove()
    return _fraction(*_parted(kept[0].grad))


# --- 10.10 first_difference


def _differences(model, reference, ids, relative=True):
    ours, theirs = outputs(model, ids), outputs(reference, ids)
    for name in ours:
        if name in theirs:
            scale = theirs[name].abs().max() if relative else 1.0
            yield name, ((ours[name] - theirs[name]).abs().max() / scale).item()


@wrong("10.10", "first")
def reports_the_last(model, reference, ids, tolerance=1e-3):
    found = ("", 0.0)
    for name, difference in _differences(model, reference, ids):
        if not difference <= tolerance:
            found = name, difference
    return found


@wrong("10.10", "first")
def goes_by_the_order_of_definition(model, reference, ids, tolerance=1e-3):
    found = dict(_differences(model, reference, ids))
    for name, _ in model.named_modules():
        if name and not found.get(name, 0.0) <= tolerance:
            return name, found[name]
    return "", 0.0


@wrong("10.10", "relative")
def takes_absolute_differences(model, reference, ids, tolerance=1e-3):
    for name, difference in _differences(model, reference, ids, relative=False):
        if not difference <= tolerance:
            return name, difference
    return "", 0.0


@wrong("10.10", "rounding")
def wants_the_same_bits(model, reference, ids, tolerance=1e-3):
    for name, difference in _differences(model, reference, ids):
        if difference != 0:
            return name, difference
    return "", 0.0


@wrong("10.10", "tolerance")
def has_a_tolerance_of_its_own(model, reference, ids, tolerance=1e-3):
    for name, difference in _differences(model, reference, ids):
        if not difference <= 1e-3:
            return name, difference
    return "", 0.0


@wrong("10.10", "nan")
def compares_with_nan(model, reference, ids, tolerance=1e-3):
    for name, difference in _differences(model, reference, ids):
        if difference > tolerance:
            return name, difference
    return "", 0.0


@wrong("10.10", "raised")
def expects_the_same_modules(model, reference, ids, tolerance=1e-3):
    ours, theirs = outputs(model, ids), outputs(reference, ids)
    for name, output in ours.items():
        difference = ((output - theirs[name]).abs().max() / theirs[name].abs().max()).item()
        if not difference <= tolerance:
            return name, difference
    return "", 0.0


@wrong("10.10", "only-one")
def reports_what_only_one_has(model, reference, ids, tolerance=1e-3):
    ours, theirs = outputs(model, ids), outputs(reference, ids)
    for name, output in ours.items():
        if name not in theirs:
            return name, math.inf
        difference = ((output - theirs[name]).abs().max() / theirs[name].abs().max()).item()
        if not difference <= tolerance:
            return name, difference
    return "", 0.0


@wrong("10.10", "a-pair")
def gives_the_name_alone(model, reference, ids, tolerance=1e-3):
    return next((name for name, difference in _differences(model, reference, ids) if not difference <= tolerance), "")


# --- 10.16 overfit


@wrong("10.16", "original")
def trains_the_model_itself(model, loss, train, batch, steps=60, lr=5e-3):
    return [value for value, _ in train(model, loss, itertools.repeat(batch), steps, lr)][-1]


@wrong("10.16", "first")
def gives_the_first_loss(model, loss, train, batch, steps=60, lr=5e-3):
    return [value for value, _ in train(copy.deepcopy(model), loss, itertools.repeat(batch), steps, lr)][0]


@wrong("10.16", "lowest")
def gives_the_lowest_loss(model, loss, train, batch, steps=60, lr=5e-3):
    return min(value for value, _ in train(copy.deepcopy(model), loss, itertools.repeat(batch), steps, lr))


@wrong("10.16", "mean")
def gives_the_mean_loss(model, loss, train, batch, steps=60, lr=5e-3):
    return statistics.mean(value for value, _ in train(copy.deepcopy(model), loss, itertools.repeat(batch), steps, lr))


@wrong("10.16", "raised")
def gives_one_batch_once(model, loss, train, batch, steps=60, lr=5e-3):
    return [value for value, _ in train(copy.deepcopy(model), loss, iter([batch]), steps, lr)][-1]


@wrong("10.16", "batch")
def goes_through_the_pair(model, loss, train, batch, steps=60, lr=5e-3):
    return [value for value, _ in train(copy.deepcopy(model), loss, itertools.cycle(batch), steps, lr)][-1]


@wrong("10.16", "batch")
def exchanges_inputs_and_targets(model, loss, train, batch, steps=60, lr=5e-3):
    return [value for value, _ in train(copy.deepcopy(model), loss, itertools.repeat(batch[::-1]), steps, lr)][-1]


@wrong("10.16", "steps")
def always_takes_sixty(model, loss, train, batch, steps=60, lr=5e-3):
    return [value for value, _ in train(copy.deepcopy(model), loss, itertools.repeat(batch), 60, lr)][-1]


@wrong("10.16", "steps")
def takes_half_the_steps(model, loss, train, batch, steps=60, lr=5e-3):
    return [value for value, _ in train(copy.deepcopy(model), loss, itertools.repeat(batch), steps // 2, lr)][-1]


@wrong("10.16", "settings")
def forgets_the_rate(model, loss, train, batch, steps=60, lr=5e-3):
    return [value for value, _ in train(copy.deepcopy(model), loss, itertools.repeat(batch), steps, 5e-3)][-1]


@wrong("10.16", "not-trained")
def makes_a_generator_and_leaves_it(model, loss, train, batch, steps=60, lr=5e-3):
    train(copy.deepcopy(model), loss, itertools.repeat(batch), steps, lr)
    return float(steps)


# --- 10.17 update_ratios


@wrong("10.17", "not-divided")
def gives_the_norm_of_the_change(before, after):
    return {name: (after[name] - w).norm().item() for name, w in before.items() if w.dim() >= 2}


@wrong("10.17", "over-after")
def divides_by_what_it_became(before, after):
    return {n: ((after[n] - w).norm() / after[n].norm()).item() for n, w in before.items() if w.dim() >= 2}


@wrong("10.17", "norms-compared")
def compares_lengths(before, after):
    return {n: abs(after[n].norm() / w.norm() - 1).item() for n, w in before.items() if w.dim() >= 2}


@wrong("10.17", "squared")
def forgets_the_root(before, after):
    return {
        n: ((after[n] - w).square().sum() / w.square().sum()).item() for n, w in before.items() if w.dim() >= 2
    }  # fmt: skip


@wrong("10.17", "each-value")
def averages_ratios_of_values(before, after):
    return {n: ((after[n] - w).abs() / w.abs()).mean().item() for n, w in before.items() if w.dim() >= 2}


@wrong("10.17", "each-row")
def averages_ratios_of_rows(before, after):
    return {
        name: ((after[name] - weight).norm(dim=-1) / weight.norm(dim=-1)).mean().item()
        for name, weight in before.items()
        if weight.dim() >= 2
    }


@wrong("10.17", "all-values")
def takes_the_largest_stretch(before, after):
    def stretch(matrix):
        return torch.linalg.matrix_norm(matrix.flatten(1), 2).item()

    return {n: stretch(after[n] - weight) / stretch(weight) for n, weight in before.items() if weight.dim() >= 2}


@wrong("10.17", "vectors")
def keeps_vectors(before, after):
    return {name: ((after[name] - w).norm() / (w.norm() + 1e-9)).item() for name, w in before.items()}


@wrong("10.17", "names")
def leaves_out_what_stands_still(before, after):
    return {
        n: ((after[n] - w).norm() / w.norm()).item()
        for n, w in before.items()
        if w.dim() >= 2 and (after[n] != w).any()
    }


@wrong("10.17", "number")
def keeps_tensors(before, after):
    return {n: (after[n] - w).norm() / w.norm() for n, w in before.items() if w.dim() >= 2}


@wrong("10.17", "dimensions")
def takes_two_dimensions_alone(before, after):
    found = {n: ((after[n] - w).norm() / w.norm()).item() for n, w in before.items() if w.dim() == 2}
    return found or {"w": 1.0}


# --- 10.18 saturated


def _stuck(model, ids, **changes):
    kept = outputs(model, ids)
    flat = torch.stack([output < -3 for name, output in kept.items() if name.endswith("mlp.fc")])
    blocks = [output for name, output in kept.items() if name.startswith("blocks.") and name.count(".") == 1]
    found = {"flat": flat.float().mean(), "dead": flat.all(dim=(1, 2)).float().mean()}
    found["growth"] = blocks[-1].std() / kept["wte"].std()
    found |= {name: change(kept, flat, blocks) for name, change in changes.items()}
    return {name: float(value) for name, value in found.items()}


@wrong("10.18", "threshold")
def takes_what_is_below_zero(model, ids):
    flat = [output < 0 for name, output in outputs(model, ids).items() if name.endswith("mlp.fc")]
    return _stuck(model, ids, flat=lambda *_: torch.stack(flat).float().mean())


@wrong("10.18", "both-sides")
def takes_what_is_large_on_either_side(model, ids):
    flat = [output.abs() > 3 for name, output in outputs(model, ids).items() if name.endswith("mlp.fc")]
    flat = torch.stack(flat)
    return _stuck(model, ids, flat=lambda *_: flat.float().mean(), dead=lambda *_: flat.all(dim=(1, 2)).float().mean())


@wrong("10.18", "number")
def gives_tensors_for_numbers(model, ids):
    return {name: torch.tensor(value) for name, value in _stuck(model, ids).items()}


@wrong("10.18", "growth")
def divides_norms_of_the_mean(model, ids):
    return _stuck(model, ids, growth=lambda kept, flat, blocks: blocks[-1].abs().mean() / kept["wte"].abs().mean())


@wrong("10.18", "output-of-gelu")
def looks_behind_the_activation(model, ids):
    flat = [output < -3 for name, output in outputs(model, ids).items() if name.endswith("mlp.activation")]
    flat = torch.stack(flat)
    return _stuck(model, ids, flat=lambda *_: flat.float().mean(), dead=lambda *_: flat.all(dim=(1, 2)).float().mean())


@wrong("10.18", "anywhere")
def calls_dead_what_is_flat_somewhere(model, ids):
    return _stuck(model, ids, dead=lambda kept, flat, blocks: flat.any(dim=2).any(dim=1).float().mean())


@wrong("10.18", "each-row")
def counts_the_dead_of_each_row(model, ids):
    return _stuck(model, ids, dead=lambda kept, flat, blocks: flat.all(dim=2).float().mean())


@wrong("10.18", "dead")
def looks_at_the_first_layer_alone(model, ids):
    return _stuck(model, ids, dead=lambda kept, flat, blocks: flat[:1].all(dim=(1, 2)).float().mean())


@wrong("10.18", "upside-down")
def divides_below_by_above(model, ids):
    return _stuck(model, ids, growth=lambda kept, flat, blocks: kept["wte"].std() / blocks[-1].std())


@wrong("10.18", "last-block")
def stops_at_the_first_block(model, ids):
    return _stuck(model, ids, growth=lambda kept, flat, blocks: blocks[0].std() / kept["wte"].std())


@wrong("10.18", "final-norm")
def measures_behind_the_last_norm(model, ids):
    return _stuck(model, ids, growth=lambda kept, flat, blocks: kept["ln_f"].std() / kept["wte"].std())


@wrong("10.18", "variance")
def compares_variances(model, ids):
    return _stuck(model, ids, growth=lambda kept, flat, blocks: blocks[-1].var() / kept["wte"].var())


# --- 10.19 first_nonfinite


@wrong("10.19", "infinity")
def looks_for_nan_alone(model, ids):
    return next((name or "the model" for name, out in outputs(model, ids).items() if torch.isnan(out).any()), "")


@wrong("10.19", "first")
def gives_the_last(model, ids):
    found = [name or "the model" for name, output in outputs(model, ids).items() if not torch.isfinite(output).all()]
    return found[-1] if found else ""


@wrong("10.19", "first")
def goes_through_the_modules_as_defined(model, ids):
    kept = outputs(model, ids)
    for name, _ in model.named_modules():
        if name in kept and not torch.isfinite(kept[name]).all():
            return name or "the model"
    return ""


@wrong("10.19", "first")
def wants_nothing_finite_at_all(model, ids):
    found = [name or "the model" for name, output in outputs(model, ids).items() if not torch.isfinite(output).any()]
    return found[0] if found else ""


@wrong("10.19", "one-value")
def looks_at_the_first_position(model, ids):
    for name, output in outputs(model, ids[:, :7]).items():
        if not torch.isfinite(output).all():
            return name or "the model"
    return ""


@wrong("10.19", "the-model")
def leaves_the_name_empty(model, ids):
    return next((name for name, output in outputs(model, ids).items() if not torch.isfinite(output).all()), "")


@wrong("10.19", "returns-nothing")
def says_nothing_where_all_is_fine(model, ids):
    for name, output in outputs(model, ids).items():
        if not torch.isfinite(output).all():
            return name or "the model"


# --- 10.20 uses_input


@wrong("10.20", "swapped")
def subtracts_the_loss_without_input(model, loss, inputs, targets):
    with evaluating(model):
        return (loss(model, inputs, targets) - loss(model, torch.zeros_like(inputs), targets)).item()


@wrong("10.20", "zeros")
def shuffles_the_rows(model, loss, inputs, targets):
    with evaluating(model):
        return (loss(model, inputs.roll(1, 0), targets) - loss(model, inputs, targets)).item()


@wrong("10.20", "zeros")
def makes_zeros_of_another_type(model, loss, inputs, targets):
    with evaluating(model):
        return (loss(model, torch.zeros(inputs.shape), targets) - loss(model, inputs, targets)).item()


@wrong("10.20", "targets")
def takes_the_targets_away_as_well(model, loss, inputs, targets):
    nothing = torch.zeros_like(inputs)
    with evaluating(model):
        return (loss(model, nothing, nothing) - loss(model, inputs, targets)).item()


@wrong("10.20", "true-inputs")
def gives_the_baseline_alone(model, loss, inputs, targets):
    with evaluating(model):
        return loss(model, torch.zeros_like(inputs), targets).item()


@wrong("10.20", "difference")
def divides_the_losses(model, loss, inputs, targets):
    with evaluating(model):
        return (loss(model, torch.zeros_like(inputs), targets) / loss(model, inputs, targets)).item()


@wrong("10.20", "negative")
def drops_the_sign_of_the_rise(model, loss, inputs, targets):
    with evaluating(model):
        return abs(loss(model, torch.zeros_like(inputs), targets) - loss(model, inputs, targets)).item()


@wrong("10.20", "dropout")
def measures_in_training_mode(model, loss, inputs, targets):
    return (loss(model, torch.zeros_like(inputs), targets) - loss(model, inputs, targets)).item()


@wrong("10.20", "mode")
def does_not_go_back_to_training(model, loss, inputs, targets):
    model.eval()
    return (loss(model, torch.zeros_like(inputs), targets) - loss(model, inputs, targets)).item()


# --- 10.32 train_eval_gap


def _in_modes(model, score, *modes):
    was_training, scores = model.training, []
    for training in modes:
        model.train(training)
        scores.append(float(score(model)))
    model.train(was_training)
    return scores


@wrong("10.32", "swapped")
def subtracts_training(model, score):
    training, evaluation = _in_modes(model, score, True, False)
    return evaluation - training


@wrong("10.32", "absolute")
def drops_the_sign(model, score):
    training, evaluation = _in_modes(model, score, True, False)
    return abs(training - evaluation)


@wrong("10.32", "training")
def compares_the_mode_it_is_in(model, score):
    before = float(score(model))
    return before - _in_modes(model, score, False)[0]


@wrong("10.32", "evaluation")
def scores_twice_in_training_mode(model, score):
    first, second = _in_modes(model, score, True, True)
    return first - second


@wrong("10.32", "mode")
def leaves_evaluation_mode(model, score):
    model.train()
    training = float(score(model))
    model.eval()
    return training - float(score(model))


@wrong("10.32", "set-before-each")
def turns_the_mode_round(model, score):
    was_training = model.training
    model.train(True)
    training = float(score(model))
    model.train(not model.training)
    evaluation = float(score(model))
    model.train(was_training)
    return training - evaluation


@wrong("10.32", "number")
def gives_both(model, score):
    was_training = model.training
    training = score(model.train())
    evaluation = score(model.eval())
    model.train(was_training)
    return training, evaluation


@wrong("10.32", "inside")
def sets_the_attribute(model, score):
    was_training, scores = model.training, []
    for model.training in (True, False):
        scores.append(float(score(model)))
    model.training = was_training
    return scores[0] - scores[1]


# --- 10.33 loss_by_position


def _by_position(model, batches, mode=evaluating):
    """For each batch and position the losses of the scored targets."""
    found = []
    with mode(model), torch.no_grad():
        for inputs, targets in batches:
            losses = F.cross_entropy(model(inputs).transpose(1, 2), targets, reduction="none")
            found.append([losses[:, t][targets[:, t] != IGNORED].tolist() for t in range(inputs.shape[1])])
    return found


def _all_at(found, t):
    return [value for batch in found if t < len(batch) for value in batch[t]]


@wrong("10.33", "mean-of-means")
def averages_the_batches_means(model, batches):
    found, result = _by_position(model, batches), []
    for t in range(model.config.context_length):
        means = [statistics.fmean(batch[t]) for batch in found if t < len(batch) and batch[t]]
        result.append((statistics.fmean(means) if means else math.nan, len(_all_at(found, t))))
    return result


@wrong("10.33", "divided-by-rows")
def divides_by_all_rows(model, batches):
    batches = list(batches)
    found = _by_position(model, batches)
    rows = sum(len(inputs) for inputs, _ in batches)
    return [
        (sum(each) / rows if (each := _all_at(found, t)) else math.nan, len(each))
        for t in range(model.config.context_length)
    ]


@wrong("10.33", "counts")
def counts_rows_in_place_of_targets(model, batches):
    batches = list(batches)
    found = _by_position(model, batches)
    rows = sum(len(inputs) for inputs, _ in batches)
    return [(statistics.fmean(_all_at(found, t) or [math.nan]), rows) for t in range(model.config.context_length)]


@wrong("10.33", "sum")
def gives_sums(model, batches):
    found = _by_position(model, batches)
    return [
        (sum(each) if (each := _all_at(found, t)) else math.nan, len(each)) for t in range(model.config.context_length)
    ]


@wrong("10.33", "nothing-scored")
def puts_zero_where_nothing_is(model, batches):
    found = _by_position(model, batches)
    return [(statistics.fmean(each) if (each := _all_at(found, t)) else 0.0, len(each)) for t in range(6)]


@wrong("10.33", "length")
def stops_at_the_longest_row(model, batches):
    found = _by_position(model, batches)
    return [(statistics.fmean(_all_at(found, t)), len(_all_at(found, t))) for t in range(max(map(len, found)))]


@wrong("10.33", "iterator")
def goes_through_the_batches_twice(model, batches):
    list(batches)
    found = _by_position(model, batches)
    return [(statistics.fmean(each) if (each := _all_at(found, t)) else math.nan, len(each)) for t in range(6)]


@wrong("10.33", "dropout")
def scores_in_the_mode_it_finds(model, batches):
    found = _by_position(model, batches, mode=nullcontext)
    each = [_all_at(found, t) for t in range(model.config.context_length)]
    return [(statistics.fmean(losses) if losses else math.nan, len(losses)) for losses in each]


@wrong("10.33", "length")
def knows_one_context(model, batches):
    found = _by_position(model, batches)
    return [(statistics.fmean(each) if (each := _all_at(found, t)) else math.nan, len(each)) for t in range(6)]


@wrong("10.33", "nothing-scored")
def says_none_where_nothing_is(model, batches):
    found = _by_position(model, batches)
    return [(statistics.fmean(each) if (each := _all_at(found, t)) else None, len(each)) for t in range(6)]


@wrong("10.33", "pairs")
def gives_means_alone(model, batches):
    found = _by_position(model, batches)
    return [statistics.fmean(_all_at(found, t) or [math.nan]) for t in range(6)]


# --- 10.34 seeds_differ


def _error(one, other, variance=statistics.variance):
    return math.sqrt(variance(one) / len(one) + variance(other) / len(other))


@wrong("10.34", "swapped")
def subtracts_the_other(one, other):
    return statistics.mean(one) - statistics.mean(other), _error(one, other)


@wrong("10.34", "population")
def divides_by_n(one, other):
    return statistics.mean(other) - statistics.mean(one), _error(one, other, statistics.pvariance)


@wrong("10.34", "squared")
def forgets_to_take_the_root(one, other):
    return statistics.mean(other) - statistics.mean(one), _error(one, other) ** 2


@wrong("10.34", "deviation")
def takes_the_scatter_of_runs(one, other):
    scatter = math.sqrt(statistics.variance(one) + statistics.variance(other))
    return statistics.mean(other) - statistics.mean(one), scatter


@wrong("10.34", "added")
def adds_two_errors(one, other):
    error = statistics.stdev(one) / math.sqrt(len(one)) + statistics.stdev(other) / math.sqrt(len(other))
    return statistics.mean(other) - statistics.mean(one), error


@wrong("10.34", "one-only")
def leaves_the_second_scatter_out(one, other):
    return statistics.mean(other) - statistics.mean(one), statistics.stdev(one) / math.sqrt(len(one))


@wrong("10.34", "crossed")
def divides_by_the_others_number(one, other):
    error = math.sqrt(statistics.variance(one) / len(other) + statistics.variance(other) / len(one))
    return statistics.mean(other) - statistics.mean(one), error


@wrong("10.34", "a-pair")
def gives_their_quotient(one, other):
    return (statistics.mean(other) - statistics.mean(one)) / _error(one, other)


# --- 10.40 cache_gap


def _told(model, reader, sequences, order=None, more=None):
    order = order if order is not None else list(reversed(range(len(sequences))))
    begun = [ids[: len(ids) // 2] for ids in sequences]
    more = more if more is not None else min(len(ids) - len(half) for ids, half in zip(sequences, begun, strict=True))
    with evaluating(model):
        logits = [reader.start(begun)]
        reader.reorder(order)
        logits += [reader.append([sequences[i][len(begun[i]) + k] for i in order]) for k in range(more)]
        return torch.stack(logits)


def _both(model, cache, sequences, **changes):
    return _told(model, cache, sequences, **changes) - _told(model, WithoutCache(model), sequences, **changes)


@wrong("10.40", "every-step")
def compares_the_beginning_alone(model, cache, sequences):
    return _both(model, cache, sequences)[0].abs().max().item()


@wrong("10.40", "every-step")
def compares_the_end_alone(model, cache, sequences):
    gaps = _both(model, cache, sequences).abs()
    return max(gaps[0].max(), gaps[-1].max()).item()


@wrong("10.40", "every-step")
def compares_the_first_row_alone(model, cache, sequences):
    gaps = _both(model, cache, sequences).abs()
    return max(gaps[0].max(), gaps[:, 0].max()).item()


@wrong("10.40", "every-step")
def appends_no_more_than_four(model, cache, sequences):
    more = min(4, *(len(ids) - len(ids) // 2 for ids in sequences))
    return _both(model, cache, sequences, more=more).abs().max().item()


@wrong("10.40", "start")
def compares_only_what_follows(model, cache, sequences):
    return _both(model, cache, sequences)[1:].abs().max().item()


@wrong("10.40", "absolute")
def takes_the_largest_excess(model, cache, sequences):
    return max(0.0, _both(model, cache, sequences).max().item())


@wrong("10.40", "reorder")
def leaves_the_order(model, cache, sequences):
    return _both(model, cache, sequences, order=list(range(len(sequences)))).abs().max().item()


@wrong("10.40", "others-ids")
def goes_on_in_the_old_order(model, cache, sequences):
    halves, order = [len(sequence) // 2 for sequence in sequences], list(range(len(sequences)))[::-1]
    gap, plain = 0.0, WithoutCache(model)
    with evaluating(model):
        begun = [sequence[:half] for sequence, half in zip(sequences, halves, strict=True)]
        gap = (cache.start(begun) - plain.start(begun)).abs().max()
        cache.reorder(order)
        plain.reorder(order)
        follows = [sequence[half:] for sequence, half in zip(sequences, halves, strict=True)]
        for tokens in zip(*follows, strict=False):
            gap = max(gap, (cache.append(list(tokens)) - plain.append(list(tokens))).abs().max())
    return float(gap)


@wrong("10.40", "own-ids")
def reorders_the_cache_alone(model, cache, sequences):
    with_cache = _told(model, cache, sequences)
    without = _told(model, WithoutCache(model), sequences, order=list(range(len(sequences))))
    return (with_cache - without).abs().max().item()


@wrong("10.40", "dropout")
def leaves_dropout_on_meanwhile(model, cache, sequences):
    class Asleep(WithoutCache):
        def start(self, begun):
            self.model.train(was_training)
            try:
                return super().start(begun)
            finally:
                self.model.eval()

    was_training = model.training
    gaps = _told(model, cache, sequences) - _told(model, Asleep(model), sequences)
    model.train(was_training)
    return gaps.abs().max().item()


@wrong("10.40", "mode")
def leaves_the_model_asleep(model, cache, sequences):
    model.eval()
    return _both(model, cache, sequences).abs().max().item()


@wrong("10.40", "number")
def keeps_a_tensor(model, cache, sequences):
    return _both(model, cache, sequences).abs().max()
