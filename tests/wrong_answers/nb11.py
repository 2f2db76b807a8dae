"""Wrong answers to the exercises of notebook 11."""

import random
from contextlib import ExitStack, contextmanager

import torch
import torch.nn.functional as F

from course.interpret import module_at, patch, record, watching
from helpers.errors import CourseError
from tests.wrong_answers import wrong

# --- 11.1 record


@wrong("11.1", "form")
def is_no_context_manager(model, *places):
    return {place: None for place in places}


@wrong("11.1", "form")
def forgets_the_decorator(model, *places):
    seen = {}
    with watching(model, places[0], lambda value: seen.update({places[0]: value.detach()})):
        yield seen


@wrong("11.1", "dict")
@contextmanager
def yields_nothing(model, *places):
    seen = {}
    with watching(model, places[0], lambda value: seen.update({places[0]: value.detach()})):
        yield


@wrong("11.1", "empty")
@contextmanager
def leaves_each_hook_at_once(model, *places):
    seen = {}
    for place in places:
        with watching(model, place, lambda value, place=place: seen.update({place: value.detach()})):
            pass
    yield seen


@wrong("11.1", "empty")
@contextmanager
def yields_a_copy(model, *places):
    seen = {}
    with ExitStack() as hooks:
        for place in places:
            hooks.enter_context(watching(model, place, lambda value, place=place: seen.update({place: value.detach()})))
        yield dict(seen)


@wrong("11.1", "keys")
@contextmanager
def numbers_the_places(model, *places):
    seen = {}
    with ExitStack() as hooks:
        for i, place in enumerate(places):
            hooks.enter_context(watching(model, place, lambda value, i=i: seen.update({f"place {i}": value.detach()})))
        yield seen


@wrong("11.1", "several")
@contextmanager
def yields_at_every_place(model, *places):
    seen = {}
    for place in places:
        with watching(model, place, lambda value, place=place: seen.update({place: value.detach()})):
            yield seen


@wrong("11.1", "late-binding")
@contextmanager
def binds_the_loop_variable_late(model, *places):
    seen = {}
    with ExitStack() as hooks:
        for place in places:
            hooks.enter_context(watching(model, place, lambda value: seen.update({place: value.detach()})))  # noqa: B023
        yield seen


@wrong("11.1", "changes")
@contextmanager
def goes_on_with_the_first_value(model, *places):
    seen = {}
    with ExitStack() as hooks:
        for place in places:
            hooks.enter_context(
                watching(model, place, lambda value, place=place: seen.setdefault(place, value.detach()))
            )
        yield seen


@wrong("11.1", "gradient")
@contextmanager
def goes_on_with_the_detached_value(model, *places):
    seen = {}

    def keep(place, value):
        seen[place] = value.detach()
        return seen[place]

    with ExitStack() as hooks:
        for place in places:
            hooks.enter_context(watching(model, place, lambda value, place=place: keep(place, value)))
        yield seen


@wrong("11.1", "detached")
@contextmanager
def does_not_detach(model, *places):
    seen = {}
    with ExitStack() as hooks:
        for place in places:
            hooks.enter_context(watching(model, place, lambda value, place=place: seen.update({place: value})))
        yield seen


@wrong("11.1", "left-behind")
@contextmanager
def never_removes(model, *places):
    seen = {}
    for place in places:
        module_at(model, place).register_forward_hook(
            lambda _, __, value, place=place: seen.update({place: value.detach()})
        )
    yield seen


@wrong("11.1", "input")
@contextmanager
def keeps_what_goes_in(model, *places):
    seen = {}

    def keep(place, args):
        seen[place] = args[0].detach()

    handles = [
        module_at(model, place).register_forward_pre_hook(lambda _, args, place=place: keep(place, args))
        for place in places
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@wrong("11.1", "shape")
@contextmanager
def takes_the_output_of_the_projection_for_the_heads(model, *places):
    seen = {}
    with ExitStack() as hooks:
        for place in places:
            handle = module_at(model, place).register_forward_hook(
                lambda _, __, value, place=place: seen.update({place: value.detach()})
            )
            hooks.callback(handle.remove)
        yield seen


@wrong("11.1", "error")
@contextmanager
def removes_only_if_all_goes_well(model, *places):
    seen, handles = {}, []
    for place in places:

        def keep(module, args, value, place=place):
            out = args[0].unflatten(-1, (model.config.n_head, -1)) if place.startswith("heads") else value
            seen[place] = out.detach()

        handles.append(module_at(model, place).register_forward_hook(keep))
    yield seen
    for handle in handles:
        handle.remove()


# --- 11.2 patch


@wrong("11.2", "form")
def forgets_the_decorator_of_the_patch(model, place, value, at=...):
    with watching(model, place, lambda old: value.expand_as(old)):
        yield


@wrong("11.2", "everything")
def registers_a_hook_that_knows_no_index(model, place, value, at=...):
    return module_at(model, place).register_forward_hook(lambda _, __, old: value)


@wrong("11.2", "nothing")
@contextmanager
def returns_nothing_from_the_hook(model, place, value, at=...):
    def put(old):
        new = old.clone()
        new[at] = value.expand_as(old)[at]

    with watching(model, place, put):
        yield


@wrong("11.2", "added")
@contextmanager
def adds(model, place, value, at=...):
    def put(old):
        new = old.clone()
        new[at] += value.expand_as(old)[at]
        return new

    with watching(model, place, put):
        yield


@wrong("11.2", "everything")
@contextmanager
def ignores_at(model, place, value, at=...):
    with watching(model, place, lambda old: value.expand_as(old)):
        yield


@wrong("11.2", "rest-lost")
@contextmanager
def begins_with_zeros(model, place, value, at=...):
    def put(old):
        new = torch.zeros_like(old)
        new[at] = value.expand_as(old)[at]
        return new

    with watching(model, place, put):
        yield


@wrong("11.2", "index")
@contextmanager
def puts_the_whole_value_there(model, place, value, at=...):
    def put(old):
        new = old.clone()
        new[at] = value
        return new

    with watching(model, place, put):
        yield


@wrong("11.2", "expand")
@contextmanager
def does_not_expand(model, place, value, at=...):
    def put(old):
        new = old.clone()
        new[at] = value[at]
        return new

    with watching(model, place, put):
        yield


@wrong("11.2", "in-place")
@contextmanager
def changes_what_passed(model, place, value, at=...):
    def put(old):
        old[at] = value.expand_as(old)[at]
        return old

    with watching(model, place, put):
        yield


def _by_own_hook(model, place, value, at):
    def put(_, args, old):
        new = old.clone()
        new[at] = value.expand_as(old)[at]
        return new

    def put_heads(_, args):
        old = args[0].unflatten(-1, (model.config.n_head, -1))
        return (put(_, args, old).flatten(-2),)

    module = module_at(model, place)
    if place.startswith("heads"):
        return module.register_forward_pre_hook(put_heads)
    return module.register_forward_hook(put)


@wrong("11.2", "left-behind")
@contextmanager
def never_removes_the_patch(model, place, value, at=...):
    kept = getattr(model, "patched", None)  # the last one is taken away by the next
    if kept is not None:
        kept.remove()
    model.patched = _by_own_hook(model, place, value, at)
    yield


@wrong("11.2", "error")
@contextmanager
def removes_the_patch_only_if_all_goes_well(model, place, value, at=...):
    handle = _by_own_hook(model, place, value, at)
    yield
    handle.remove()


# --- 11.3 logit_lens


@wrong("11.3", "no-norm")
def forgets_the_norm(model, stream):
    return model.head(stream)


@wrong("11.3", "embedding")
def takes_the_embedding_for_the_head(model, stream):
    return model.ln_f(stream) @ model.wte.weight.T


@wrong("11.3", "plain-norm")
def normalizes_without_weights(model, stream):
    return model.head(F.layer_norm(stream, stream.shape[-1:]))


@wrong("11.3", "probabilities")
def returns_probabilities(model, stream):
    return model.head(model.ln_f(stream)).softmax(-1)


@wrong("11.3", "log-probabilities")
def returns_log_probabilities(model, stream):
    return model.head(model.ln_f(stream)).log_softmax(-1)


@wrong("11.3", "other-norm")
def uses_a_norm_of_the_last_block(model, stream):
    return model.head(model.blocks[-1].ln_2(stream))


@wrong("11.3", "later-blocks")
def lets_the_last_block_read_it(model, stream):
    return model.head(model.ln_f(model.blocks[-1](stream)))


@wrong("11.3", "shape")
def reads_the_last_position(model, stream):
    return model.head(model.ln_f(stream[:, -1]))


@wrong("11.3", "one-vector")
def knows_three_axes_only(model, stream):
    logits = model.head(model.ln_f(stream))
    return logits if stream.dim() == 3 else logits[None]


# --- 11.4 induction_scores


@wrong("11.4", "same-token")
def looks_at_the_same_token(maps, length):
    return maps.diagonal(-length, -2, -1)[..., 1:].mean((1, 3))


@wrong("11.4", "before")
def looks_one_too_far_back(maps, length):
    return maps.diagonal(-length - 1, -2, -1).mean((1, 3))


@wrong("11.4", "two-later")
def looks_one_too_far_on(maps, length):
    return maps.diagonal(2 - length, -2, -1)[..., 3:].mean((1, 3))


@wrong("11.4", "previous")
def scores_the_previous_token(maps, length):
    return maps.diagonal(-1, -2, -1).mean((1, 3))


@wrong("11.4", "itself")
def scores_the_token_itself(maps, length):
    return maps.diagonal(0, -2, -1)[..., length + 1 :].mean((1, 3))


@wrong("11.4", "first-half")
def counts_the_first_half(maps, length):
    return maps.diagonal(1 - length, -2, -1).mean((1, 3))


@wrong("11.4", "one-too-early")
def begins_one_too_early(maps, length):
    return maps.diagonal(1 - length, -2, -1)[..., 1:].mean((1, 3))


@wrong("11.4", "one-too-late")
def begins_one_too_late(maps, length):
    return maps.diagonal(1 - length, -2, -1)[..., 3:].mean((1, 3))


@wrong("11.4", "upside-down")
def exchanges_rows_and_columns(maps, length):
    return maps.diagonal(length - 1, -2, -1)[..., 2:].mean((1, 3))


@wrong("11.4", "heads-mixed")
def averages_over_heads(maps, length):
    return maps.diagonal(1 - length, -2, -1)[..., 2:].mean((1, 2, 3))


@wrong("11.4", "sequences-apart")
def keeps_the_sequences_apart(maps, length):
    return maps.diagonal(1 - length, -2, -1)[..., 2:].mean(-1).transpose(1, 2).transpose(1, 2)


@wrong("11.4", "summed")
def sums_over_positions(maps, length):
    return maps.diagonal(1 - length, -2, -1)[..., 2:].sum(-1).mean(1)


@wrong("11.4", "value")
def takes_the_largest(maps, length):
    return maps.diagonal(1 - length, -2, -1)[..., 2:].amax(-1).mean(1)


# --- 11.5 looked_back


def _looks(maps, ids, rows, at, true):
    return maps[:, rows, :, at], (ids[rows] == true[:, None])[:, None, None].to(
        maps.dtype
    )  # (N, L, H, T), (N, 1, 1, T)


@wrong("11.5", "largest")
def takes_the_strongest_look(maps, ids, rows, at, true):
    looks, stood = _looks(maps, ids, rows, at, true)
    return (looks * stood).amax(-1)


@wrong("11.5", "averaged")
def averages_over_the_times(maps, ids, rows, at, true):
    looks, stood = _looks(maps, ids, rows, at, true)
    return (looks * stood).sum(-1) / stood.sum(-1)


@wrong("11.5", "first-only")
def counts_the_first_time(maps, ids, rows, at, true):
    looks, stood = _looks(maps, ids, rows, at, true)
    first = stood.argmax(-1, keepdim=True).expand(*looks.shape[:3], 1)
    return looks.gather(-1, first)[..., 0]


@wrong("11.5", "wrong-story")
def looks_at_the_first_maps(maps, ids, rows, at, true):
    return _looks(maps, ids, torch.arange(len(rows)), at, true)[0].mul(_looks(maps, ids, rows, at, true)[1]).sum(-1)


@wrong("11.5", "wrong-text")
def reads_the_first_stories(maps, ids, rows, at, true):
    return (_looks(maps, ids, rows, at, true)[0] * _looks(maps, ids, torch.arange(len(rows)), at, true)[1]).sum(-1)


@wrong("11.5", "rows-ignored")
def ignores_the_rows(maps, ids, rows, at, true):
    looks, stood = _looks(maps, ids, torch.arange(len(rows)), at, true)
    return (looks * stood).sum(-1)


@wrong("11.5", "before")
def looks_at_the_token_before(maps, ids, rows, at, true):
    looks, stood = _looks(maps, ids, rows, at, true)
    return (looks * stood.roll(-1, -1)).sum(-1)


@wrong("11.5", "after")
def looks_at_what_followed(maps, ids, rows, at, true):
    looks, stood = _looks(maps, ids, rows, at, true)
    return (looks * stood.roll(1, -1)).sum(-1)


@wrong("11.5", "current")
def looks_for_the_present_token(maps, ids, rows, at, true):
    looks, stood = _looks(maps, ids, rows, at, ids[rows, at])
    return (looks * stood).sum(-1)


@wrong("11.5", "next-row")
def lets_the_next_position_look(maps, ids, rows, at, true):
    looks, stood = _looks(maps, ids, rows, at + 1, true)
    return (looks * stood).sum(-1)


@wrong("11.5", "columns")
def exchanges_looking_and_looked_at(maps, ids, rows, at, true):
    looks, stood = _looks(maps.transpose(-1, -2), ids, rows, at, true)
    return (looks * stood).sum(-1)


@wrong("11.5", "order")
def puts_the_layers_first(maps, ids, rows, at, true):
    looks, stood = _looks(maps, ids, rows, at, true)
    return (looks * stood).sum(-1).transpose(0, 1)


@wrong("11.5", "shape")
def averages_over_all_heads(maps, ids, rows, at, true):
    looks, stood = _looks(maps, ids, rows, at, true)
    return (looks * stood).sum(-1).mean(-1)


# --- 11.6 written_by_heads


@wrong("11.6", "rows")
def takes_rows(attn, heads):
    slices = attn.proj.weight.unflatten(0, (attn.n_head, -1))
    return torch.einsum("...he,hed->...hd", heads, slices)


@wrong("11.6", "rows")
def transposes(attn, heads):
    slices = attn.proj.weight.T.unflatten(1, (attn.n_head, -1))
    return torch.einsum("...he,dhe->...hd", heads, slices)


@wrong("11.6", "interleaved")
def interleaves_the_features(attn, heads):
    slices = attn.proj.weight.unflatten(1, (-1, attn.n_head))
    return torch.einsum("...he,deh->...hd", heads, slices)


@wrong("11.6", "bias")
def adds_the_bias(attn, heads):
    slices = attn.proj.weight.unflatten(1, (attn.n_head, -1))
    return torch.einsum("...he,dhe->...hd", heads, slices) + attn.proj.bias


@wrong("11.6", "bias-shared")
def shares_out_the_bias(attn, heads):
    slices = attn.proj.weight.unflatten(1, (attn.n_head, -1))
    return torch.einsum("...he,dhe->...hd", heads, slices) + attn.proj.bias / attn.n_head


@wrong("11.6", "summed")
def applies_the_whole_projection(attn, heads):
    return attn.proj(heads.flatten(-2))


@wrong("11.6", "all-alike")
def gives_every_head_the_sum(attn, heads):
    whole = heads.flatten(-2) @ attn.proj.weight.T
    return whole[..., None, :].expand(*heads.shape[:-1], -1)


@wrong("11.6", "all-slices")
def sends_each_head_through_all_columns(attn, heads):
    slices = attn.proj.weight.unflatten(1, (attn.n_head, -1))
    return torch.einsum("...he,dge->...hd", heads, slices)


@wrong("11.6", "axes")
def knows_four_axes_only(attn, heads):
    slices = attn.proj.weight.unflatten(1, (attn.n_head, -1))
    return torch.einsum("bthe,dhe->bthd", heads, slices)


# --- 11.7 shares


def _shares(ln, parts, direction, root, mean=lambda part: part.mean(-1, keepdim=True), weight=None):
    """Shares by a mistaken `root` of the whole stream, mean of a part, or weight."""
    read = direction * (ln.weight if weight is None else weight) / root(sum(parts.values()))
    found = {name: ((part - mean(part)) * read).sum(-1) for name, part in parts.items()}
    return found if ln.bias is None else found | {"final bias": direction @ ln.bias}


def _variance(x):
    return x.var(-1, unbiased=False, keepdim=True)


@wrong("11.7", "own-scale")
def normalizes_each_part_by_itself(ln, parts, direction):
    found = {name: (direction * F.layer_norm(part, part.shape[-1:], ln.weight, None, ln.eps)).sum(-1)
             for name, part in parts.items()}  # fmt: skip
    return found if ln.bias is None else found | {"final bias": direction @ ln.bias}


@wrong("11.7", "mean")
def leaves_the_mean(ln, parts, direction):
    return _shares(ln, parts, direction, lambda x: (_variance(x) + ln.eps).sqrt(), mean=lambda part: 0)


@wrong("11.7", "total-mean")
def takes_off_the_mean_of_the_sum(ln, parts, direction):
    mean = sum(parts.values()).mean(-1, keepdim=True)
    return _shares(ln, parts, direction, lambda x: (_variance(x) + ln.eps).sqrt(), mean=lambda part: mean)


@wrong("11.7", "weight")
def forgets_the_weight(ln, parts, direction):
    return _shares(ln, parts, direction, lambda x: (_variance(x) + ln.eps).sqrt(), weight=1)


@wrong("11.7", "unbiased")
def divides_by_one_less(ln, parts, direction):
    return _shares(ln, parts, direction, lambda x: (x.var(-1, keepdim=True) + ln.eps).sqrt())


@wrong("11.7", "eps")
def forgets_eps(ln, parts, direction):
    return _shares(ln, parts, direction, lambda x: _variance(x).sqrt())


@wrong("11.7", "eps-outside")
def adds_eps_to_the_root(ln, parts, direction):
    return _shares(ln, parts, direction, lambda x: _variance(x).sqrt() + ln.eps)


@wrong("11.7", "not-rooted")
def divides_by_the_variance(ln, parts, direction):
    return _shares(ln, parts, direction, lambda x: _variance(x) + ln.eps)


@wrong("11.7", "no-scale")
def does_not_divide(ln, parts, direction):
    return _shares(ln, parts, direction, lambda x: 1)


@wrong("11.7", "final-bias")
def leaves_out_the_final_bias(ln, parts, direction):
    found = _shares(ln, parts, direction, lambda x: (_variance(x) + ln.eps).sqrt())
    return {name: found[name] for name in parts}


@wrong("11.7", "bias-everywhere")
def gives_every_part_the_bias(ln, parts, direction):
    found = _shares(ln, parts, direction, lambda x: (_variance(x) + ln.eps).sqrt())
    return found if ln.bias is None else {n: v + (n in parts) * (direction @ ln.bias) for n, v in found.items()}


@wrong("11.7", "sum")
def takes_the_bias_for_the_share(ln, parts, direction):
    found = _shares(ln, parts, direction, lambda x: (_variance(x) + ln.eps).sqrt())
    return found if ln.bias is None else found | {"final bias": ln.bias.sum().expand(len(direction))}


@wrong("11.7", "no-bias")
def needs_a_bias(ln, parts, direction):
    found = _shares(ln, parts, direction, lambda x: (_variance(x) + ln.eps).sqrt())
    return found | {"final bias": direction @ ln.bias}


@wrong("11.7", "shape")
def multiplies_all_sequences_with_all(ln, parts, direction):
    scale = (_variance(sum(parts.values())) + ln.eps).sqrt()
    found = {name: ((part - part.mean(-1, keepdim=True)) / scale * ln.weight) @ direction.T
             for name, part in parts.items()}  # fmt: skip
    return found | {"final bias": direction @ ln.bias}


# --- 11.8 fed_by


def _fed_by(model, ids, layer, changes, held):
    """What enters as "qkv" with some places held, and then changes made; both are lists of (place, value, index)."""
    with ExitStack() as patches, torch.no_grad(), record(model, f"qkv.{layer}") as seen:
        for place, value, at in [*held, *changes]:
            patches.enter_context(patch(model, place, value, at))
        model.hidden(ids)
    return seen[f"qkv.{layer}"]


def _of(values, changed):
    return [(place, values[place], at) for place, at in changed]


def _all_of(values, but=()):
    return [(place, values[place], ...) for place in values if place.partition(".")[0] not in but]


@wrong("11.8", "one-per-place")
def keeps_one_index_a_place(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer, _of(other, dict(changed).items()), _all_of(clean, through))


@wrong("11.8", "first-per-place")
def keeps_the_first_index_of_a_place(model, ids, layer, clean, other, changed, through=()):
    first = dict(reversed(changed))
    return _fed_by(model, ids, layer, _of(other, first.items()), _all_of(clean, through))


@wrong("11.8", "rest-of-a-kind")
def holds_what_is_changed_whatever_its_kind(model, ids, layer, clean, other, changed, through=()):
    named = {place for place, _ in changed}
    held = [(place, clean[place], ...) for place in clean if place.partition(".")[0] not in through or place in named]
    return _fed_by(model, ids, layer, _of(other, changed), held)


@wrong("11.8", "other-kind")
def knows_of_mlps_alone(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer, _of(other, changed), _all_of(clean, ("mlp",) if through else ()))


@wrong("11.8", "not-held")
def holds_nothing(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer, _of(other, changed), [])


@wrong("11.8", "nothing")
def holds_after_it_has_changed(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer, _all_of(clean, through), _of(other, changed))


@wrong("11.8", "nothing")
def changes_to_what_was_there(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer, _of(clean, changed), _all_of(clean, through))


@wrong("11.8", "mlps-react")
def holds_heads_alone(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer, _of(other, changed), _all_of(clean, ("mlp",)))


@wrong("11.8", "heads-react")
def holds_mlps_alone(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer, _of(other, changed), _all_of(clean, ("heads",)))


@wrong("11.8", "whole-place")
def changes_the_whole_place(model, ids, layer, clean, other, changed, through=()):
    changes = [(place, other[place], ...) for place, _ in changed]
    return _fed_by(model, ids, layer, changes, _all_of(clean, through))


@wrong("11.8", "rest-lost")
def puts_the_change_on_zeros(model, ids, layer, clean, other, changed, through=()):
    changes = []
    for place, at in changed:
        value = torch.zeros_like(other[place])
        value[at] = other[place][at]
        changes.append((place, value, ...))
    return _fed_by(model, ids, layer, changes, _all_of(clean, through))


@wrong("11.8", "swapped")
def takes_the_two_texts_for_each_other(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer, _of(clean, changed), _all_of(other, through))


@wrong("11.8", "other-text")
def lets_all_parts_speak_as_there(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer, [], _all_of(other, through))


@wrong("11.8", "other-layer")
def listens_one_layer_too_low(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer - 1, _of(other, changed), _all_of(clean, through))


@wrong("11.8", "layer")
def listens_at_the_last_layer(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, -1, _of(other, changed), _all_of(clean, through))


@wrong("11.8", "shape")
def gives_what_attention_reads(model, ids, layer, clean, other, changed, through=()):
    with record(model, f"normed.{layer}") as seen:
        _fed_by(model, ids, layer, _of(other, changed), _all_of(clean, through))
    return seen[f"normed.{layer}"]


@wrong("11.8", "only-last")
def changes_one_part_after_the_other(model, ids, layer, clean, other, changed, through=()):
    for each in changed:
        found = _fed_by(model, ids, layer, _of(other, [each]), _all_of(clean, through))
    return found


@wrong("11.8", "only-first")
def returns_inside_the_loop(model, ids, layer, clean, other, changed, through=()):
    for each in changed:
        return _fed_by(model, ids, layer, _of(other, [each]), _all_of(clean, through))


@wrong("11.8", "held-all")
def holds_what_may_react(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer, _of(other, changed), _all_of(clean))


@wrong("11.8", "held-all")
def compares_places_with_kinds(model, ids, layer, clean, other, changed, through=()):
    held = [(place, clean[place], ...) for place in clean if place not in through]
    return _fed_by(model, ids, layer, _of(other, changed), held)


@wrong("11.8", "free-all")
def holds_nothing_once_something_may_react(model, ids, layer, clean, other, changed, through=()):
    return _fed_by(model, ids, layer, _of(other, changed), [] if through else _all_of(clean))


@wrong("11.8", "inverted")
def holds_what_may_react_and_nothing_else(model, ids, layer, clean, other, changed, through=()):
    held = [(place, clean[place], ...) for place in clean if not through or place.partition(".")[0] in through]
    return _fed_by(model, ids, layer, _of(other, changed), held)


@wrong("11.8", "rest-reacts")
def does_not_hold_what_is_changed_in_part(model, ids, layer, clean, other, changed, through=()):
    moved = {place for place, _ in changed}
    held = [each for each in _all_of(clean, through) if each[0] not in moved]
    return _fed_by(model, ids, layer, _of(other, changed), held)


OPEN = ExitStack()  # as in a notebook, where what a cell has made lives on


@wrong("11.8", "left-behind")
def leaves_its_patches_open(model, ids, layer, clean, other, changed, through=()):
    for place, value, at in _all_of(clean, through) + _of(other, changed):
        OPEN.enter_context(patch(model, place, value, at))
    with torch.no_grad(), record(model, f"qkv.{layer}") as seen:
        model.hidden(ids)
    return seen[f"qkv.{layer}"]


@wrong("11.8", "returns-nothing")
def forgets_to_return(model, ids, layer, clean, other, changed, through=()):
    _fed_by(model, ids, layer, _of(other, changed), _all_of(clean, through))


# --- 11.9 stand_in


def _stand_in(values, how, generator, mean=lambda v: v.mean(0, keepdim=True).expand_as(v), resample=None):
    if how == "zero":
        return torch.zeros_like(values)
    if how == "mean":
        return mean(values)
    if how == "resample":
        if len(values) < 2:
            raise CourseError("to resample there must be at least two sequences")
        return (
            resample(values)
            if resample
            else values.roll(int(torch.randint(1, len(values), (), generator=generator)), 0)
        )
    raise CourseError("zero, mean or resample")


@wrong("11.9", "shape")
def gives_one_mean(values, how, generator=None):
    return _stand_in(values, how, generator, mean=lambda v: v.mean(0, keepdim=True))


@wrong("11.9", "one-mean")
def gives_one_number(values, how, generator=None):
    return _stand_in(values, how, generator, mean=lambda v: torch.full_like(v, float(v.mean())))


@wrong("11.9", "over-positions")
def averages_over_positions_too(values, how, generator=None):
    return _stand_in(values, how, generator, mean=lambda v: v.mean((0, 1)).expand_as(v))


@wrong("11.9", "own-mean")
def gives_each_sequence_its_own_mean(values, how, generator=None):
    return _stand_in(values, how, generator, mean=lambda v: v.mean(1, keepdim=True).expand_as(v))


@wrong("11.9", "own")
def may_give_back_what_was_there(values, how, generator=None):
    return _stand_in(values, how, generator, resample=lambda v: v[torch.randperm(len(v), generator=generator)])


@wrong("11.9", "own")
def may_not_move_at_all(values, how, generator=None):
    return _stand_in(
        values, how, generator, resample=lambda v: v.roll(int(torch.randint(len(v), (), generator=generator)), 0)
    )


@wrong("11.9", "torn")
def shuffles_positions(values, how, generator=None):
    return _stand_in(
        values, how, generator, resample=lambda v: v.roll(int(torch.randint(1, len(v), (), generator=generator)), 1)
    )


@wrong("11.9", "torn")
def rolls_all_numbers_together(values, how, generator=None):
    return _stand_in(
        values, how, generator, resample=lambda v: v.roll(int(torch.randint(1, len(v), (), generator=generator)))
    )


@wrong("11.9", "not-random")
def always_takes_the_neighbor(values, how, generator=None):
    return _stand_in(values, how, generator, resample=lambda v: v.roll(1, 0))


@wrong("11.9", "never-drawn")
def leaves_out_the_last_shift(values, how, generator=None):
    def resample(v):
        return v.roll(int(torch.randint(1, max(2, len(v) - 1), (), generator=generator)), 0)

    return _stand_in(values, how, generator, resample=resample)


@wrong("11.9", "generator")
def ignores_the_generator(values, how, generator=None):
    return _stand_in(values, how, None)


@wrong("11.9", "generator")
def draws_with_python(values, how, generator=None):
    return _stand_in(values, how, generator, resample=lambda v: v.roll(random.randrange(1, len(v)), 0))


@wrong("11.9", "alone")
def resamples_from_nobody(values, how, generator=None):
    return values if how == "resample" and len(values) == 1 else _stand_in(values, how, generator)


@wrong("11.9", "unknown")
def resamples_whatever_else_is_asked(values, how, generator=None):
    return _stand_in(values, how if how in ("zero", "mean") else "resample", generator)


@wrong("11.9", "returns-nothing")
def says_nothing_of_what_is_unknown(values, how, generator=None):
    return _stand_in(values, how, generator) if how in ("zero", "mean", "resample") else None


# --- 11.10 fit_probe


def _probe(x, labels, n_classes, penalty, targets=None):
    """Ridge regression with a mistaken penalty matrix, or mistaken targets."""
    y = F.one_hot(labels, n_classes).to(x.dtype) if targets is None else targets
    centered = x - x.mean(0)
    weight = torch.linalg.solve(centered.T @ centered + penalty, centered.T @ (y - y.mean(0))).T
    return weight, y.mean(0) - weight @ x.mean(0)


@wrong("11.10", "form")
def returns_the_weight_alone(x, labels, n_classes, strength):
    return _probe(x, labels, n_classes, strength * torch.eye(x.shape[1]))[0]


@wrong("11.10", "transposed")
def leaves_the_weight_transposed(x, labels, n_classes, strength):
    weight, bias = _probe(x, labels, n_classes, strength * torch.eye(x.shape[1]))
    return weight.T, bias


@wrong("11.10", "no-strength")
def forgets_the_strength(x, labels, n_classes, strength):
    return _probe(x, labels, n_classes, 0)


@wrong("11.10", "strength-everywhere")
def adds_the_strength_to_every_entry(x, labels, n_classes, strength):
    return _probe(x, labels, n_classes, strength)


@wrong("11.10", "strength-times-n")
def takes_a_mean_over_the_examples(x, labels, n_classes, strength):
    return _probe(x, labels, n_classes, strength * len(x) * torch.eye(x.shape[1]))


@wrong("11.10", "strength-negative")
def subtracts_the_strength(x, labels, n_classes, strength):
    return _probe(x, labels, n_classes, -strength * torch.eye(x.shape[1]))


@wrong("11.10", "not-centered")
def does_not_center(x, labels, n_classes, strength):
    y = F.one_hot(labels, n_classes).to(x.dtype)
    weight = torch.linalg.solve(x.T @ x + strength * torch.eye(x.shape[1]), x.T @ y).T
    return weight, y.mean(0) - weight @ x.mean(0)


@wrong("11.10", "bias-penalized")
def penalizes_the_bias(x, labels, n_classes, strength):
    y, wide = F.one_hot(labels, n_classes).to(x.dtype), torch.cat([x, torch.ones(len(x), 1)], 1)
    both = torch.linalg.solve(wide.T @ wide + strength * torch.eye(wide.shape[1]), wide.T @ y).T
    return both[:, :-1], both[:, -1]


@wrong("11.10", "standardized")
def divides_by_the_spread(x, labels, n_classes, strength):
    return _probe((x - x.mean(0)) / x.std(0), labels, n_classes, strength * torch.eye(x.shape[1]))


@wrong("11.10", "plus-minus")
def takes_plus_and_minus_one(x, labels, n_classes, strength):
    targets = 2 * F.one_hot(labels, n_classes).to(x.dtype) - 1
    return _probe(x, labels, n_classes, strength * torch.eye(x.shape[1]), targets)


@wrong("11.10", "weight-shape")
def takes_classes_for_numbers(x, labels, n_classes, strength):
    return _probe(x, labels, n_classes, strength * torch.eye(x.shape[1]), labels.to(x.dtype)[:, None])


@wrong("11.10", "bias-of-targets")
def forgets_the_mean_of_x(x, labels, n_classes, strength):
    weight, _ = _probe(x, labels, n_classes, strength * torch.eye(x.shape[1]))
    return weight, F.one_hot(labels, n_classes).float().mean(0)


@wrong("11.10", "bias-sign")
def adds_where_the_bias_is_less(x, labels, n_classes, strength):
    weight, _ = _probe(x, labels, n_classes, strength * torch.eye(x.shape[1]))
    return weight, F.one_hot(labels, n_classes).float().mean(0) + weight @ x.mean(0)


@wrong("11.10", "no-bias")
def has_no_bias(x, labels, n_classes, strength):
    return _probe(x, labels, n_classes, strength * torch.eye(x.shape[1]))[0], torch.zeros(n_classes)


@wrong("11.10", "unseen-class")
def counts_the_classes_that_occur(x, labels, n_classes, strength):
    return _probe(x, labels, int(labels.max()) + 1, strength * torch.eye(x.shape[1]))


# --- 11.11 control_labels


@wrong("11.11", "each-occurrence")
def draws_for_each_occurrence(tokens, n_classes, generator):
    return torch.randint(n_classes, tokens.shape, generator=generator)


@wrong("11.11", "each-occurrence")
def shuffles_labels(tokens, n_classes, generator):
    return (tokens % n_classes)[torch.randperm(len(tokens), generator=generator)]


@wrong("11.11", "not-random")
def takes_the_remainder(tokens, n_classes, generator):
    return tokens % n_classes


@wrong("11.11", "pattern")
def shifts_the_remainder(tokens, n_classes, generator):
    return (tokens + torch.randint(1000, (), generator=generator)) % n_classes


@wrong("11.11", "shape")
def returns_the_table(tokens, n_classes, generator):
    return torch.randint(n_classes, (int(tokens.max()) + 1,), generator=generator)


@wrong("11.11", "shape")
def labels_each_kind_once(tokens, n_classes, generator):
    return torch.randint(n_classes, (len(tokens.unique()),), generator=generator)


@wrong("11.11", "generator")
def draws_from_elsewhere(tokens, n_classes, generator):
    return torch.randint(n_classes, (int(tokens.max()) + 1,))[tokens]


@wrong("11.11", "uneven")
def never_draws_the_last_class(tokens, n_classes, generator):
    return torch.randint(n_classes - 1, (int(tokens.max()) + 1,), generator=generator)[tokens]


@wrong("11.11", "range")
def counts_classes_from_one(tokens, n_classes, generator):
    return torch.randint(1, n_classes + 1, (int(tokens.max()) + 1,), generator=generator)[tokens]


@wrong("11.11", "one-class")
def draws_once_for_all(tokens, n_classes, generator):
    return torch.randint(n_classes, (), generator=generator).expand(tokens.shape)


@wrong("11.11", "raised")
def has_no_room_for_the_largest_id(tokens, n_classes, generator):
    return torch.randint(n_classes, (int(tokens.max()),), generator=generator)[tokens]


@wrong("11.11", "whole")
def draws_numbers_with_a_point(tokens, n_classes, generator):
    return (torch.rand(int(tokens.max()) + 1, generator=generator) * n_classes).floor()[tokens]


# --- 11.12 steer


@wrong("11.12", "not-unit")
def uses_the_direction_as_it_is(x, direction, to):
    return x + (to - x @ direction)[..., None] * direction


@wrong("11.12", "half-unit")
def measures_with_the_long_direction(x, direction, to):
    return x + (to - x @ direction)[..., None] * direction / direction.norm()


@wrong("11.12", "long-step")
def steps_along_the_long_direction(x, direction, to):
    return x + (to - x @ direction / direction.norm())[..., None] * direction


@wrong("11.12", "squared")
def divides_by_the_squared_length(x, direction, to):
    unit = direction / direction.pow(2).sum()
    return x + (to - x @ unit)[..., None] * unit


@wrong("11.12", "moved-by")
def moves_by_so_much(x, direction, to):
    return x + to * direction / direction.norm()


@wrong("11.12", "added-long")
def adds_the_direction(x, direction, to):
    return x + to * direction


@wrong("11.12", "rest-lost")
def replaces_the_vectors(x, direction, to):
    return (to * direction / direction.norm()).expand_as(x)


@wrong("11.12", "removed")
def only_takes_the_direction_out(x, direction, to):
    unit = direction / direction.norm()
    return x - (x @ unit)[..., None] * unit


@wrong("11.12", "changes-input")
def moves_in_place(x, direction, to):
    unit = direction / direction.norm()
    x += (to - x @ unit)[..., None] * unit
    return x


@wrong("11.12", "axes")
def knows_two_axes_only(x, direction, to):
    unit = direction / direction.norm()
    return x + (to - x @ unit)[:, None] * unit


@wrong("11.12", "axes")
def forgets_the_last_axis(x, direction, to):
    unit = direction / direction.norm()
    return x + (to - x @ unit) * unit


@wrong("11.12", "coordinate")
def takes_one_step_for_all(x, direction, to):
    unit = direction / direction.norm()
    return x + (to - (x @ unit)[..., None].mean(0 if x.dim() > 2 else -1, keepdim=True)) * unit


# --- 11.13 strongest


@wrong("11.13", "only-k")
def returns_only_the_values(strength, k):
    return strength.topk(k, dim=-1).values


@wrong("11.13", "infinity")
def fills_with_minus_infinity(strength, k):
    found = strength.topk(k, dim=-1)
    return torch.full_like(strength, -torch.inf).scatter(-1, found.indices, found.values)


@wrong("11.13", "ones")
def marks_them_with_ones(strength, k):
    return torch.zeros_like(strength).scatter(-1, strength.topk(k, dim=-1).indices, 1.0)


@wrong("11.13", "smallest")
def keeps_the_smallest(strength, k):
    found = strength.topk(k, dim=-1, largest=False)
    return torch.zeros_like(strength).scatter(-1, found.indices, found.values)


@wrong("11.13", "dropped")
def takes_the_largest_out(strength, k):
    return strength.scatter(-1, strength.topk(k, dim=-1).indices, 0.0)


@wrong("11.13", "one-less")
def drops_the_kth_too(strength, k):
    return strength * (strength > strength.topk(k, dim=-1).values[..., -1:])


@wrong("11.13", "over-all")
def looks_at_the_whole_tensor(strength, k):
    return strength * (strength >= strength.flatten().topk(k).values[-1])


@wrong("11.13", "wrong-axis")
def looks_along_the_first_axis(strength, k):
    found = strength.topk(k, dim=0)
    return torch.zeros_like(strength).scatter(0, found.indices, found.values)


@wrong("11.13", "first-places")
def moves_them_to_the_front(strength, k):
    return F.pad(strength.topk(k, dim=-1).values, (0, strength.shape[-1] - k))


@wrong("11.13", "negative")
def takes_those_furthest_from_zero(strength, k):
    indices = strength.abs().topk(k, dim=-1).indices
    return torch.zeros_like(strength).scatter(-1, indices, strength.gather(-1, indices))


@wrong("11.13", "negative")
def drops_what_is_negative(strength, k):
    found = strength.topk(k, dim=-1)
    return torch.zeros_like(strength).scatter(-1, found.indices, found.values.relu())


@wrong("11.13", "ties")
def keeps_all_equals(strength, k):
    return torch.where(strength >= strength.topk(k, dim=-1).values[..., -1:], strength, 0.0)


@wrong("11.13", "changes-input")
def writes_into_what_was_given(strength, k):
    strength[strength < strength.topk(k, dim=-1).values[..., -1:]] = 0
    return strength


# --- 11.14 precision_recall


def _both(active, truth):
    active, truth = active.float(), truth.float()
    return active.T @ truth, active.sum(0).clamp(min=1)[:, None], truth.sum(0).clamp(min=1)


@wrong("11.14", "form")
def returns_the_mean_of_both(active, truth):
    both, of_active, of_truth = _both(active, truth)
    return both / of_active / 2 + both / of_truth / 2


@wrong("11.14", "swapped")
def exchanges_the_two(active, truth):
    both, of_active, of_truth = _both(active, truth)
    return both / of_truth, both / of_active


@wrong("11.14", "transposed")
def puts_the_roles_first(active, truth):
    both, of_active, of_truth = _both(active, truth)
    return (both / of_active).T, (both / of_truth).T


@wrong("11.14", "of-all")
def divides_by_all_examples(active, truth):
    both, _, _ = _both(active, truth)
    return both / len(active), both / len(active)


@wrong("11.14", "union")
def divides_by_the_union(active, truth):
    both, of_active, of_truth = _both(active, truth)
    return both / (of_active + of_truth - both), both / of_truth


@wrong("11.14", "counts")
def only_counts(active, truth):
    both, _, _ = _both(active, truth)
    return both, both


@wrong("11.14", "accuracy")
def counts_silence_as_right(active, truth):
    both, _, of_truth = _both(active, truth)
    return (active[:, :, None] == truth[:, None]).float().mean(0), both / of_truth


@wrong("11.14", "nan")
def divides_by_zero(active, truth):
    active, truth = active.float(), truth.float()
    both = active.T @ truth
    return both / active.sum(0)[:, None], both / truth.sum(0)


@wrong("11.14", "never")
def gives_silence_the_best_marks(active, truth):
    active, truth = active.float(), truth.float()
    both = active.T @ truth
    return (both / active.sum(0)[:, None]).nan_to_num(1.0), (both / truth.sum(0)).nan_to_num(1.0)


@wrong("11.14", "many")
def counts_in_bytes(active, truth):
    active, truth = active.to(torch.uint8), truth.to(torch.uint8)
    both = active.T @ truth
    of_active, of_truth = active.sum(0, dtype=torch.uint8), truth.sum(0, dtype=torch.uint8)
    return both / of_active.clamp(min=1)[:, None], both / of_truth.clamp(min=1)


@wrong("11.14", "precision")
def divides_by_active_features_of_a_token(active, truth):
    active, truth = active.float(), truth.float()
    both = (active / active.sum(1, keepdim=True).clamp(min=1)).T @ truth
    return both / active.sum(0).clamp(min=1)[:, None], both / truth.sum(0).clamp(min=1)


@wrong("11.14", "fractions")
def multiplies_truth_values(active, truth):
    both = active.T @ truth
    return both / active.sum(0).clamp(min=1)[:, None], both / truth.sum(0).clamp(min=1)
