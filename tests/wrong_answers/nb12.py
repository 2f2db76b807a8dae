"""Wrong answers to the exercises of notebook 12."""

import math
import re

import torch
from torch import nn

from tests.wrong_answers import wrong

# --- 12.1 as_linear


def _linear(d_in, d_out, weight, bias):
    linear = nn.Linear(d_in, d_out)
    linear.weight, linear.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
    return linear


@wrong("12.1", "raised")
def copies_where_gradients_are_watched(weight, bias):
    linear = nn.Linear(*weight.shape)
    linear.weight.copy_(weight.T)
    linear.bias.copy_(bias)
    return linear


@wrong("12.1", "in-out")
def exchanges_inputs_and_outputs(weight, bias):
    return _linear(weight.shape[1], weight.shape[0], weight, bias[: weight.shape[0]])


@wrong("12.1", "shape")
def keeps_the_matrix_as_it_is(weight, bias):
    return _linear(*weight.shape, weight, bias)


@wrong("12.1", "transpose")
def cuts_the_numbers_elsewhere(weight, bias):
    return _linear(*weight.shape, weight.reshape(weight.shape[1], weight.shape[0]), bias)


@wrong("12.1", "square")
def transposes_only_what_does_not_fit(weight, bias):
    linear = nn.Linear(*weight.shape)
    fits = linear.weight.shape == weight.shape
    return _linear(*weight.shape, weight if fits else weight.T, bias)


@wrong("12.1", "bias")
def forgets_the_bias(weight, bias):
    linear = nn.Linear(*weight.shape, bias=False)
    linear.weight = nn.Parameter(weight.T.clone())
    return linear


@wrong("12.1", "bias-values")
def leaves_the_bias_random(weight, bias):
    linear = nn.Linear(*weight.shape)
    linear.weight = nn.Parameter(weight.T.clone())
    return linear


@wrong("12.1", "copied")
def leaves_the_weight_random(weight, bias):
    linear = nn.Linear(*weight.shape)
    linear.bias = nn.Parameter(bias.clone())
    return linear


@wrong("12.1", "a-linear")
def returns_the_weight_alone(weight, bias):
    return weight.T


@wrong("12.1", "transpose")
def turns_the_matrix_round(weight, bias):
    return _linear(*weight.shape, torch.rot90(weight), bias)


# --- 12.2 our_name

PARTS = {"h": "blocks", "c_attn": "qkv", "c_fc": "fc", "c_proj": "proj", "lm_head": "head"}


def _renamed(theirs):
    return ".".join(PARTS.get(part, part) for part in theirs.removeprefix("transformer.").split("."))


@wrong("12.2", "masks")
def forgets_the_masks(theirs):
    return _renamed(theirs)


@wrong("12.2", "bias-or-mask")
def takes_a_bias_for_a_mask(theirs):
    if theirs.endswith(("attn.bias", "masked_bias")):
        return None
    return _renamed(theirs)


@wrong("12.2", "prefix")
def knows_no_prefix(theirs):
    return ".".join(PARTS.get(part, part) for part in theirs.split("."))


@wrong("12.2", "head")
def gives_the_head_no_name(theirs):
    return None if theirs == "lm_head.weight" else _renamed(theirs)


@wrong("12.2", "parts")
def replaces_attn_everywhere(theirs):
    return theirs.replace("h.", "blocks.").replace("c_", "").replace("attn", "qkv")


@wrong("12.2", "two-digits")
def knows_blocks_of_one_digit(theirs):
    theirs = theirs.removeprefix("transformer.")
    if re.fullmatch(r"h\.\d\..*", theirs):
        return _renamed(theirs)
    return theirs if theirs.startswith(("w", "ln")) else None


@wrong("12.2", "blocks")
def forgets_the_blocks(theirs):
    return theirs.replace("c_attn", "qkv").replace("c_", "")


@wrong("12.2", "same")
def replaces_every_h(theirs):
    return theirs.replace("h", "blocks").replace("c_attn", "qkv").replace("c_", "")


@wrong("12.2", "parts")
def forgets_the_feed_forward_network(theirs):
    return theirs.replace("h.", "blocks.").replace("c_attn", "qkv").replace("c_proj", "proj")


# --- 12.3 first_difference


def _largest(a, b):
    return (a - b).abs().max().item()


def pairs(ours, theirs):
    return zip(ours, theirs, strict=True)


@wrong("12.3", "sign")
def forgets_the_absolute_value(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if (b - a).max() > tolerance), None)


@wrong("12.3", "sign")
def takes_ours_less_theirs(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if (a - b).max() > tolerance), None)


@wrong("12.3", "relative")
def lets_allclose_be_generous(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if not torch.allclose(a, b, atol=tolerance)), None)


@wrong("12.3", "largest")
def takes_the_mean(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if (a - b).abs().mean() > tolerance), None)


@wrong("12.3", "first")
def returns_the_place_of_the_largest(ours, theirs, tolerance):
    gaps = [_largest(a, b) for a, b in pairs(ours, theirs)]
    return gaps.index(max(gaps)) if max(gaps) > tolerance else None


@wrong("12.3", "nan")
def lets_nan_pass(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if _largest(a, b) > tolerance), None)


@wrong("12.3", "zero")
def takes_zero_for_nothing(ours, theirs, tolerance):
    found = next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if not _largest(a, b) <= tolerance), None)
    return found or None


@wrong("12.3", "tolerance")
def wants_equality(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if not torch.equal(a, b)), None)


@wrong("12.3", "index")
def counts_from_one(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs), 1) if not _largest(a, b) <= tolerance), None)


@wrong("12.3", "equal")
def returns_the_length_when_nothing_differs(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if not _largest(a, b) <= tolerance), len(ours))


@wrong("12.3", "first")
def returns_the_last(ours, theirs, tolerance):
    found = [i for i, (a, b) in enumerate(pairs(ours, theirs)) if not _largest(a, b) <= tolerance]
    return found[-1] if found else None


# --- 12.4 compared


@wrong("12.4", "one-bit")
def multiplies_by_ln_2(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token * math.log(2) / bytes_per_token, nats_per_token * our_bytes_per_token / bytes_per_token


@wrong("12.4", "one-bit")
def takes_the_logarithm_of_the_loss(nats_per_token, bytes_per_token, our_bytes_per_token):
    return math.log2(nats_per_token) / bytes_per_token, nats_per_token * our_bytes_per_token / bytes_per_token


@wrong("12.4", "per-byte")
def multiplies_by_bytes(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token / math.log(2) * bytes_per_token, nats_per_token * our_bytes_per_token / bytes_per_token


@wrong("12.4", "ratio")
def turns_the_ratio_round(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token / math.log(2) / bytes_per_token, nats_per_token * bytes_per_token / our_bytes_per_token


@wrong("12.4", "whose-bytes")
def divides_by_our_bytes(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token / math.log(2) / our_bytes_per_token, nats_per_token * our_bytes_per_token / bytes_per_token


@wrong("12.4", "same-tokenizer")
def returns_bits_for_our_tokens(nats_per_token, bytes_per_token, our_bytes_per_token):
    bits = nats_per_token / math.log(2) / bytes_per_token
    return bits, bits * our_bytes_per_token


@wrong("12.4", "two")
def returns_one_number(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token / math.log(2) / bytes_per_token


@wrong("12.4", "ratio")
def believes_that_losses_compare(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token / math.log(2) / bytes_per_token, nats_per_token


# --- 12.5 freeze


def _learning(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _freeze(model, k, also=()):
    model.requires_grad_(False)
    for part in (*model.blocks[model.config.n_layer - k :], model.ln_f, *also):
        part.requires_grad_(True)


@wrong("12.5", "zero")
def counts_blocks_from_behind(model, k):
    model.requires_grad_(False)
    for part in (*model.blocks[-k:], model.ln_f):
        part.requires_grad_(True)
    return _learning(model)


@wrong("12.5", "embeddings")
def forgets_the_embeddings(model, k):
    for i, block in enumerate(model.blocks):
        block.requires_grad_(i >= model.config.n_layer - k)
    return _learning(model)


@wrong("12.5", "embeddings")
def lets_the_tied_head_learn(model, k):
    _freeze(model, k, also=[model.wte])
    return _learning(model)


@wrong("12.5", "norm")
def freezes_the_final_norm(model, k):
    model.requires_grad_(False)
    for block in model.blocks[model.config.n_layer - k :]:
        block.requires_grad_(True)
    return _learning(model)


@wrong("12.5", "early")
def trains_the_first_blocks(model, k):
    model.requires_grad_(False)
    for part in (*model.blocks[:k], model.ln_f):
        part.requires_grad_(True)
    return _learning(model)


@wrong("12.5", "count")
def counts_tensors(model, k):
    _freeze(model, k)
    return sum(p.requires_grad for p in model.parameters())


@wrong("12.5", "count")
def counts_everything(model, k):
    _freeze(model, k)
    return model.parameter_count()


@wrong("12.5", "again")
def never_thaws(model, k):
    learning = {id(p) for part in (*model.blocks[model.config.n_layer - k :], model.ln_f) for p in part.parameters()}
    for parameter in model.parameters():
        if id(parameter) not in learning:
            parameter.requires_grad = False
    return _learning(model)


@wrong("12.5", "early")
def sets_the_flag_on_the_module(model, k):
    for parameter in (model.wte.weight, model.wpe.weight):
        parameter.requires_grad = False
    for block in model.blocks[: model.config.n_layer - k]:
        block.requires_grad = False  # a new attribute of the module; its parameters never hear of it
    return _learning(model)


@wrong("12.5", "whole")
def trains_matrices_only(model, k):
    _freeze(model, k)
    for block in model.blocks:
        for parameter in block.parameters():
            if parameter.dim() == 1:
                parameter.requires_grad = False
    return _learning(model)


# --- 12.6 to_theirs

TO = {"blocks": "h", "qkv": "c_attn", "fc": "c_fc", "proj": "c_proj"}


def _named(name):
    return "transformer." + ".".join(TO.get(part, part) for part in name.split("."))


def _is_conv1d(name):
    return any(part in name for part in ("qkv.weight", "fc.weight", "proj.weight"))


@wrong("12.6", "transposed")
def does_not_transpose(state):
    return {_named(name): tensor for name, tensor in state.items()}


@wrong("12.6", "left-alone")
def transposes_the_embeddings_too(state):
    return {_named(n): t.T.contiguous() if t.dim() == 2 else t for n, t in state.items()}


@wrong("12.6", "square")
def forgets_the_square_one(state):
    return {_named(n): t.T.contiguous() if _is_conv1d(n) and t.shape[0] != t.shape[1] else t for n, t in state.items()}


@wrong("12.6", "contiguous")
def leaves_views(state):
    return {_named(n): t.T if _is_conv1d(n) else t for n, t in state.items()}


@wrong("12.6", "prefix")
def leaves_out_transformer(state):
    named = {_named(n).removeprefix("transformer."): t.T.contiguous() if _is_conv1d(n) else t for n, t in state.items()}
    return named


@wrong("12.6", "own-head")
def puts_the_head_into_the_transformer(state):
    return {_named(n): t.T.contiguous() if _is_conv1d(n) else t for n, t in state.items()}


@wrong("12.6", "names")
def keeps_our_names(state):
    return {f"transformer.{n}": t.T.contiguous() if _is_conv1d(n) else t for n, t in state.items()}


@wrong("12.6", "all")
def adds_a_head(state):
    named = {_named(n): t.T.contiguous() if _is_conv1d(n) else t for n, t in state.items()}
    return named | {"transformer.lm_head.weight": state["wte.weight"]}


@wrong("12.6", "transposed")
def reshapes(state):
    return {_named(n): t.reshape(t.shape[::-1]) if _is_conv1d(n) else t for n, t in state.items()}


@wrong("12.6", "all")
def writes_over_attention_with_the_mlp(state):
    named = {}
    for name, tensor in state.items():
        parts = name.split(".")
        short = ".".join(["transformer", *(TO.get(p, p) for p in parts if p not in ("attn", "mlp"))])
        named[short] = tensor.T.contiguous() if _is_conv1d(name) else tensor
    return named
