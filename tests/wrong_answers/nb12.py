"""Wrong answers to the exercises of notebook 12."""

import copy
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


@wrong("12.1", "shares")
def makes_a_parameter_of_the_view(weight, bias):
    linear = nn.Linear(*weight.shape)
    linear.weight, linear.bias = nn.Parameter(weight.T), nn.Parameter(bias.clone())
    return linear


@wrong("12.1", "shares")
def shares_the_bias_alone(weight, bias):
    linear = nn.Linear(*weight.shape)
    linear.weight, linear.bias = nn.Parameter(weight.T.contiguous()), nn.Parameter(bias)
    return linear


@wrong("12.1", "changes-the-source")
def transposes_in_place(weight, bias):
    return _linear(*weight.shape, weight.t_(), bias)


@wrong("12.1", "parameters")
def makes_buffers_of_both(weight, bias):
    linear = nn.Linear(*weight.shape)
    del linear.weight, linear.bias
    linear.register_buffer("weight", weight.T.clone())
    linear.register_buffer("bias", bias.clone())
    return linear


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


# --- 12.3 convert_state

ENDS = ("qkv.weight", "fc.weight", "proj.weight")


def _ours(theirs):
    if re.fullmatch(r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)", theirs):
        return None
    return _renamed(theirs)


def _converted(their_state, turn=lambda name, tensor: tensor.T if name.endswith(ENDS) else tensor):
    named = {_ours(theirs): tensor for theirs, tensor in their_state.items() if _ours(theirs)}
    return {name: turn(name, tensor) for name, tensor in named.items()}


def _tied(state):
    return {"head.weight": state["wte.weight"]} | state


@wrong("12.3", "transposed")
def converts_names_alone(their_state):
    return _tied(_converted(their_state, lambda name, tensor: tensor))


@wrong("12.3", "left-alone")
def transposes_every_matrix(their_state):
    return _tied(_converted(their_state, lambda name, tensor: tensor.T if tensor.dim() == 2 else tensor))


@wrong("12.3", "square")
def transposes_what_is_not_square(their_state):
    return _tied(_converted(their_state, lambda n, t: t.T if n.endswith(ENDS) and t.shape[0] != t.shape[1] else t))


@wrong("12.3", "transposed")
def cuts_matrices_elsewhere(their_state):
    return _tied(_converted(their_state, lambda n, t: t.reshape(t.shape[::-1]) if n.endswith(ENDS) else t))


@wrong("12.3", "names")
def keeps_their_names(their_state):
    state = {name: tensor.T if name.endswith(("c_attn.weight", "c_fc.weight")) else tensor
             for name, tensor in their_state.items()}  # fmt: skip
    return {"head.weight": their_state["transformer.wte.weight"]} | state


@wrong("12.3", "masks")
def converts_masks_too(their_state):
    state = {_renamed(name): tensor for name, tensor in their_state.items()}
    return _tied({name: tensor.T if name.endswith(ENDS) else tensor for name, tensor in state.items()})


@wrong("12.3", "masks")
def keeps_the_masks_under_none(their_state):
    return _tied(_converted(their_state)) | ({None: torch.ones(1)} if "h.0.attn.bias" in their_state else {})


@wrong("12.3", "tied")
def forgets_the_tied_head(their_state):
    return _converted(their_state)


@wrong("12.3", "own-head")
def ties_every_head(their_state):
    state = _converted(their_state)
    return state | {"head.weight": state["wte.weight"]}


@wrong("12.3", "all")
def leaves_out_the_biases(their_state):
    return {name: tensor for name, tensor in _tied(_converted(their_state)).items() if not name.endswith("bias")}


@wrong("12.3", "order")
def ties_when_the_embedding_comes_by(their_state):
    state = {}
    for name, tensor in _converted(their_state).items():
        state[name] = tensor
        if name == "wte.weight":
            state["head.weight"] = tensor
    return state


@wrong("12.3", "order")
def takes_the_first_tensor_for_the_embedding(their_state):
    state = _converted(their_state)
    return {"head.weight": next(iter(state.values()))} | state


@wrong("12.3", "a-dict")
def returns_pairs(their_state):
    return list(_tied(_converted(their_state)).items())


@wrong("12.3", "tied-prefix")
def looks_for_the_embedding_without_a_prefix(their_state):
    state = _converted(their_state)
    return state | {"head.weight": their_state.get("lm_head.weight", their_state.get("wte.weight"))}


# --- 12.4 first_difference


def _largest(a, b):
    return (a - b).abs().max().item()


def pairs(ours, theirs):
    return zip(ours, theirs, strict=True)


@wrong("12.4", "sign")
def forgets_the_absolute_value(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if (b - a).max() > tolerance), None)


@wrong("12.4", "sign")
def takes_ours_less_theirs(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if (a - b).max() > tolerance), None)


@wrong("12.4", "relative")
def lets_allclose_be_generous(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if not torch.allclose(a, b, atol=tolerance)), None)


@wrong("12.4", "largest")
def takes_the_mean(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if (a - b).abs().mean() > tolerance), None)


@wrong("12.4", "first")
def returns_the_place_of_the_largest(ours, theirs, tolerance):
    gaps = [_largest(a, b) for a, b in pairs(ours, theirs)]
    return gaps.index(max(gaps)) if max(gaps) > tolerance else None


@wrong("12.4", "nan")
def lets_nan_pass(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if _largest(a, b) > tolerance), None)


@wrong("12.4", "zero")
def takes_zero_for_nothing(ours, theirs, tolerance):
    found = next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if not _largest(a, b) <= tolerance), None)
    return found or None


@wrong("12.4", "tolerance")
def wants_equality(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if not torch.equal(a, b)), None)


@wrong("12.4", "index")
def counts_from_one(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs), 1) if not _largest(a, b) <= tolerance), None)


@wrong("12.4", "equal")
def returns_the_length_when_nothing_differs(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if not _largest(a, b) <= tolerance), len(ours))


@wrong("12.4", "first")
def returns_the_last(ours, theirs, tolerance):
    found = [i for i, (a, b) in enumerate(pairs(ours, theirs)) if not _largest(a, b) <= tolerance]
    return found[-1] if found else None


@wrong("12.4", "last")
def leaves_out_the_last_layer(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours[:-1], theirs[:-1])) if not _largest(a, b) <= tolerance), None)


@wrong("12.4", "border")
def counts_what_is_exactly_the_tolerance(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if not _largest(a, b) < tolerance), None)


@wrong("12.4", "sum")
def takes_the_norm(ours, theirs, tolerance):
    return next((i for i, (a, b) in enumerate(pairs(ours, theirs)) if not (a - b).norm() <= tolerance), None)


@wrong("12.4", "random")
def looks_at_the_last_position_alone(ours, theirs, tolerance):
    return next(
        (i for i, (a, b) in enumerate(pairs(ours, theirs)) if not _largest(a[:, -1], b[:, -1]) <= tolerance), None
    )


@wrong("12.4", "nan")
def takes_two_nans_for_equal(ours, theirs, tolerance):
    for i, (a, b) in enumerate(pairs(ours, theirs)):
        if not torch.allclose(a, b, rtol=0, atol=tolerance, equal_nan=True):
            return i
    return None


@wrong("12.4", "largest")
def takes_the_root_mean_square(ours, theirs, tolerance):
    found = enumerate(pairs(ours, theirs))
    return next((i for i, (a, b) in found if not (a - b).square().mean().sqrt() <= tolerance), None)


# --- 12.5 convert_loss


@wrong("12.5", "one-bit")
def multiplies_by_ln_2(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token * math.log(2) / bytes_per_token, nats_per_token * our_bytes_per_token / bytes_per_token


@wrong("12.5", "one-bit")
def takes_the_logarithm_of_the_loss(nats_per_token, bytes_per_token, our_bytes_per_token):
    return math.log2(nats_per_token) / bytes_per_token, nats_per_token * our_bytes_per_token / bytes_per_token


@wrong("12.5", "per-byte")
def multiplies_by_bytes(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token / math.log(2) * bytes_per_token, nats_per_token * our_bytes_per_token / bytes_per_token


@wrong("12.5", "ratio")
def turns_the_ratio_round(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token / math.log(2) / bytes_per_token, nats_per_token * bytes_per_token / our_bytes_per_token


@wrong("12.5", "whose-bytes")
def divides_by_our_bytes(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token / math.log(2) / our_bytes_per_token, nats_per_token * our_bytes_per_token / bytes_per_token


@wrong("12.5", "same-tokenizer")
def returns_bits_for_our_tokens(nats_per_token, bytes_per_token, our_bytes_per_token):
    bits = nats_per_token / math.log(2) / bytes_per_token
    return bits, bits * our_bytes_per_token


@wrong("12.5", "two")
def returns_one_number(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token / math.log(2) / bytes_per_token


@wrong("12.5", "ratio")
def believes_that_losses_compare(nats_per_token, bytes_per_token, our_bytes_per_token):
    return nats_per_token / math.log(2) / bytes_per_token, nats_per_token


# --- 12.6 freeze


def _learning(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _freeze(model, k, also=()):
    model.requires_grad_(False)
    for part in (*model.blocks[model.config.n_layer - k :], model.ln_f, *also):
        part.requires_grad_(True)


@wrong("12.6", "zero")
def counts_blocks_from_behind(model, k):
    model.requires_grad_(False)
    for part in (*model.blocks[-k:], model.ln_f):
        part.requires_grad_(True)
    return _learning(model)


@wrong("12.6", "embeddings")
def forgets_the_embeddings(model, k):
    for i, block in enumerate(model.blocks):
        block.requires_grad_(i >= model.config.n_layer - k)
    return _learning(model)


@wrong("12.6", "embeddings")
def lets_the_tied_head_learn(model, k):
    _freeze(model, k, also=[model.wte])
    return _learning(model)


@wrong("12.6", "norm")
def freezes_the_final_norm(model, k):
    model.requires_grad_(False)
    for block in model.blocks[model.config.n_layer - k :]:
        block.requires_grad_(True)
    return _learning(model)


@wrong("12.6", "early")
def trains_the_first_blocks(model, k):
    model.requires_grad_(False)
    for part in (*model.blocks[:k], model.ln_f):
        part.requires_grad_(True)
    return _learning(model)


@wrong("12.6", "count")
def counts_tensors(model, k):
    _freeze(model, k)
    return sum(p.requires_grad for p in model.parameters())


@wrong("12.6", "count")
def counts_everything(model, k):
    _freeze(model, k)
    return model.parameter_count()


@wrong("12.6", "again")
def never_thaws(model, k):
    learning = {id(p) for part in (*model.blocks[model.config.n_layer - k :], model.ln_f) for p in part.parameters()}
    for parameter in model.parameters():
        if id(parameter) not in learning:
            parameter.requires_grad = False
    return _learning(model)


@wrong("12.6", "early")
def sets_the_flag_on_the_module(model, k):
    for parameter in (model.wte.weight, model.wpe.weight):
        parameter.requires_grad = False
    for block in model.blocks[: model.config.n_layer - k]:
        block.requires_grad = False  # a new attribute of the module; its parameters never hear of it
    return _learning(model)


@wrong("12.6", "whole")
def trains_matrices_only(model, k):
    _freeze(model, k)
    for block in model.blocks:
        for parameter in block.parameters():
            if parameter.dim() == 1:
                parameter.requires_grad = False
    return _learning(model)


@wrong("12.6", "head")
def freezes_the_parts_that_it_knows(model, k):
    model.wte.requires_grad_(False)
    model.wpe.requires_grad_(False)
    for i, block in enumerate(model.blocks):
        block.requires_grad_(i >= model.config.n_layer - k)
    model.ln_f.requires_grad_(True)
    return _learning(model)


@wrong("12.6", "deeper")
def knows_three_blocks(model, k):
    model.requires_grad_(False)
    for part in (*model.blocks[3 - k :], model.ln_f):
        part.requires_grad_(True)
    return _learning(model)


@wrong("12.6", "mode")
def takes_evaluation_mode_for_freezing(model, k):
    model.eval()
    _freeze(model, k)
    return _learning(model)


# --- 12.7 LoRA


class _LoRA(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(r, linear.in_features) / math.sqrt(linear.in_features))
        self.B = nn.Parameter(torch.zeros(linear.out_features, r))
        self.scale = alpha / r

    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.A.T @ self.B.T)

    def merge(self):
        merged = copy.deepcopy(self.linear)
        with torch.no_grad():
            merged.weight += self.scale * self.B @ self.A
        return merged


@wrong("12.7", "start")
class BothRandom(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        nn.init.normal_(self.B, std=0.02)


@wrong("12.7", "start")
class AIsZero(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        self.A, self.B = nn.Parameter(torch.zeros_like(self.A)), nn.Parameter(torch.randn_like(self.B))


@wrong("12.7", "dead")
class BothZero(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        nn.init.zeros_(self.A)


@wrong("12.7", "alike")
class AllOnes(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        nn.init.ones_(self.A)


@wrong("12.7", "frozen")
class NothingFrozen(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        linear.requires_grad_(True)


@wrong("12.7", "frozen")
class BiasStillLearns(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        if linear.bias is not None:
            linear.bias.requires_grad_(True)


@wrong("12.7", "parameters")
class TensorsOnly(nn.Module):
    def __init__(self, linear, r, alpha):
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.A, self.B = torch.randn(r, linear.in_features), torch.zeros(linear.out_features, r)


@wrong("12.7", "shapes")
class OtherShapes(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        self.A, self.B = nn.Parameter(self.A.detach().T.clone()), nn.Parameter(self.B.detach().T.clone())


@wrong("12.7", "scale")
class ScalesByAlpha(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        self.scale = alpha


@wrong("12.7", "scale")
class KnowsOneRank(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        self.scale = alpha / 2


@wrong("12.7", "keeps")
class WrapsACopy(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(copy.deepcopy(linear), r, alpha)


@wrong("12.7", "small")
class BeginsLarge(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        nn.init.normal_(self.A, std=10.0)


@wrong("12.7", "gradient-before")
class StopsGradientsAtTheFrozenLayer(_LoRA):
    def forward(self, x):
        with torch.no_grad():
            frozen = self.linear(x)
        return frozen + self.scale * (x @ self.A.T @ self.B.T)


@wrong("12.7", "gradient-before")
class DetachesTheInput(_LoRA):
    def forward(self, x):
        return self.linear(x) + self.scale * (x.detach() @ self.A.T @ self.B.T)


@wrong("12.7", "scale")
class ForgetsTheScale(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        self.scale = 1.0


@wrong("12.7", "no-base")
class CorrectionAlone(_LoRA):
    def forward(self, x):
        return super().forward(x) - self.linear(x) if self.B.any() else self.linear(x)


@wrong("12.7", "unchanged")
class BiasTwice(_LoRA):
    def forward(self, x):
        return super().forward(x) + (0 if self.linear.bias is None else self.linear.bias)


@wrong("12.7", "no-correction")
class NeverAdds(_LoRA):
    def forward(self, x):
        return self.linear(x)


@wrong("12.7", "scale")
class DividesWithoutARest(_LoRA):
    def __init__(self, linear, r, alpha):
        super().__init__(linear, r, alpha)
        self.scale = alpha // r


@wrong("12.7", "batch")
class RowsOnly(_LoRA):
    def forward(self, x):
        correction = self.scale * (self.B @ self.A @ x.flatten(1).T).T if x.dim() == 2 else 0
        return self.linear(x) + correction


@wrong("12.7", "gradient")
class Detached(_LoRA):
    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.A.data.T @ self.B.T)


@wrong("12.7", "merge-changes")
class MergesInPlace(_LoRA):
    def merge(self):
        with torch.no_grad():
            self.linear.weight += self.scale * self.B @ self.A
        return self.linear


@wrong("12.7", "merge")
class MergesWithoutScale(_LoRA):
    def merge(self):
        merged = copy.deepcopy(self.linear)
        with torch.no_grad():
            merged.weight += self.B @ self.A
        return merged


@wrong("12.7", "merge")
class MergesWithoutBias(_LoRA):
    def merge(self):
        merged = nn.Linear(self.linear.in_features, self.linear.out_features, bias=False)
        with torch.no_grad():
            merged.weight.copy_(self.linear.weight + self.scale * self.B @ self.A)
        return merged


@wrong("12.7", "merge-linear")
class MergesTheWeightAlone(_LoRA):
    def merge(self):
        return self.linear.weight + self.scale * self.B @ self.A


@wrong("12.7", "merge-shares")
class MergedBiasIsShared(_LoRA):
    def merge(self):
        merged = super().merge()
        merged.bias = self.linear.bias
        return merged


@wrong("12.7", "no-bias")
class NeedsABias(_LoRA):
    def merge(self):
        merged = nn.Linear(self.linear.in_features, self.linear.out_features)
        with torch.no_grad():
            merged.weight.copy_(self.linear.weight + self.scale * self.B @ self.A)
            if self.linear.bias is not None:
                merged.bias.copy_(self.linear.bias)
        return merged


# --- 12.8 add_lora


def _wrap(model, r, alpha, parts=("attn", "mlp"), blocks=None, make=_LoRA):
    for block in model.blocks if blocks is None else blocks:
        for part in parts:
            holder = getattr(block, part)
            for name, layer in list(holder.named_children()):
                if isinstance(layer, nn.Linear):
                    setattr(holder, name, make(layer, r, alpha))


def _learners(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@wrong("12.8", "frozen")
def freezes_nothing_else(model, r, alpha):
    _wrap(model, r, alpha)
    return _learners(model)


@wrong("12.8", "adapters-learn")
def freezes_last(model, r, alpha):
    _wrap(model, r, alpha)
    model.requires_grad_(False)
    return _learners(model)


@wrong("12.8", "every-linear")
def forgets_the_feed_forward_network_s_layers(model, r, alpha):
    model.requires_grad_(False)
    _wrap(model, r, alpha, parts=("attn",))
    return _learners(model)


@wrong("12.8", "every-block")
def adapts_the_last_block(model, r, alpha):
    model.requires_grad_(False)
    _wrap(model, r, alpha, blocks=[model.blocks[-1]])
    return _learners(model)


@wrong("12.8", "head")
def adapts_the_head_too(model, r, alpha):
    model.requires_grad_(False)
    _wrap(model, r, alpha)
    model.head = _LoRA(model.head, r, alpha)
    return _learners(model)


@wrong("12.8", "none")
def binds_a_variable(model, r, alpha):
    model.requires_grad_(False)
    for block in model.blocks:
        for layer in (block.attn.qkv, block.attn.proj, block.mlp.fc, block.mlp.proj):
            layer = _LoRA(layer, r, alpha)
    return _learners(model)


@wrong("12.8", "rank")
def exchanges_r_and_alpha(model, r, alpha):
    model.requires_grad_(False)
    _wrap(model, r, alpha, make=lambda layer, r, alpha: _LoRA(layer, int(alpha), r))
    return _learners(model)


@wrong("12.8", "alpha")
def takes_r_for_alpha(model, r, alpha):
    model.requires_grad_(False)
    _wrap(model, r, r)
    return _learners(model)


@wrong("12.8", "a-list")
def returns_a_number(model, r, alpha):
    model.requires_grad_(False)
    _wrap(model, r, alpha)
    return sum(parameter.numel() for parameter in _learners(model))


@wrong("12.8", "returned")
def returns_every_parameter(model, r, alpha):
    model.requires_grad_(False)
    _wrap(model, r, alpha)
    return list(model.parameters())


@wrong("12.8", "start")
def wraps_new_layers(model, r, alpha):
    model.requires_grad_(False)
    _wrap(model, r, alpha, make=lambda old, r, alpha: _LoRA(nn.Linear(old.in_features, old.out_features), r, alpha))
    return _learners(model)


@wrong("12.8", "twice")
def wraps_what_it_has_wrapped(model, r, alpha):
    model.requires_grad_(False)
    _wrap(model, r, alpha)
    for block in model.blocks:
        block.attn.qkv.linear = _LoRA(block.attn.qkv.linear, r, alpha)
    return _learners(model)


@wrong("12.8", "every-linear")
def shares_one_adapter_between_blocks(model, r, alpha):
    model.requires_grad_(False)
    _wrap(model, r, alpha)
    for block in model.blocks:
        block.mlp.fc = model.blocks[0].mlp.fc
    return _learners(model)


# --- 12.9 for_transformers

TO = {"blocks": "h", "qkv": "c_attn", "fc": "c_fc", "proj": "c_proj"}


def _named(name):
    return "transformer." + ".".join(TO.get(part, part) for part in name.split("."))


def _is_conv1d(name):
    return any(part in name for part in ("qkv.weight", "fc.weight", "proj.weight"))


@wrong("12.9", "transposed")
def does_not_transpose(state):
    return {_named(name): tensor for name, tensor in state.items()}


@wrong("12.9", "left-alone")
def transposes_the_embeddings_too(state):
    return {_named(n): t.T.contiguous() if t.dim() == 2 else t for n, t in state.items()}


@wrong("12.9", "square")
def forgets_the_square_one(state):
    return {_named(n): t.T.contiguous() if _is_conv1d(n) and t.shape[0] != t.shape[1] else t for n, t in state.items()}


@wrong("12.9", "contiguous")
def leaves_views(state):
    return {_named(n): t.T if _is_conv1d(n) else t for n, t in state.items()}


@wrong("12.9", "prefix")
def leaves_out_transformer(state):
    named = {_named(n).removeprefix("transformer."): t.T.contiguous() if _is_conv1d(n) else t for n, t in state.items()}
    return named


@wrong("12.9", "own-head")
def puts_the_head_into_the_transformer(state):
    return {_named(n): t.T.contiguous() if _is_conv1d(n) else t for n, t in state.items()}


@wrong("12.9", "names")
def keeps_our_names(state):
    return {f"transformer.{n}": t.T.contiguous() if _is_conv1d(n) else t for n, t in state.items()}


@wrong("12.9", "added-head")
def adds_a_head(state):
    named = {_named(n): t.T.contiguous() if _is_conv1d(n) else t for n, t in state.items()}
    return named | {"transformer.lm_head.weight": state["wte.weight"]}


@wrong("12.9", "added-head")
def adds_the_tied_head_as_theirs(state):
    named = {_named(n): t.T.contiguous() if _is_conv1d(n) else t for n, t in state.items()}
    return named | {"lm_head.weight": state["wte.weight"]}


@wrong("12.9", "head-layout")
def transposes_the_head(state):
    named = {_named(n): t.T.contiguous() if _is_conv1d(n) else t for n, t in state.items()}
    if "head.weight" in state:
        named.pop("transformer.head.weight")
        named["lm_head.weight"] = state["head.weight"].T.contiguous()
    return named


@wrong("12.9", "own-head")
def leaves_out_a_head_of_its_own(state):
    return {_named(n): t.T.contiguous() if _is_conv1d(n) else t for n, t in state.items() if n != "head.weight"}


@wrong("12.9", "transposed")
def reshapes(state):
    return {_named(n): t.reshape(t.shape[::-1]) if _is_conv1d(n) else t for n, t in state.items()}


@wrong("12.9", "all")
def writes_over_attention_with_the_mlp(state):
    named = {}
    for name, tensor in state.items():
        parts = name.split(".")
        short = ".".join(["transformer", *(TO.get(p, p) for p in parts if p not in ("attn", "mlp"))])
        named[short] = tensor.T.contiguous() if _is_conv1d(name) else tensor
    return named
