"""Wrong repairs of the patients whose attention or initialization is ill."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.wrong_answers import wrong


def wrong_for(*planted: tuple[str, str]):
    """Plant one answer in several exercises."""

    def plant(answer):
        for exercise, slug in planted:
            wrong(exercise, slug)(answer)
        return answer

    return plant


# --- 10.3 ada_initialize


def started(model, tokens: float, positions: float = 0.02, matrices: float = 0.02):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                parameter.normal_(std={"wte.weight": tokens, "wpe.weight": positions}.get(name, matrices))


@wrong("10.3", "still-certain")
def draws_only_the_linear_layers_smaller(model):
    started(model, tokens=1.0, positions=1.0, matrices=0.002)


@wrong("10.3", "still-certain")
def takes_the_standard_deviation_for_the_variance(model):
    started(model, tokens=math.sqrt(0.5), positions=math.sqrt(0.5))


@wrong("10.3", "too-certain")
def draws_tokens_somewhat_smaller(model):
    started(model, tokens=0.25, positions=0.25)


@wrong("10.3", "positions-large")
def mends_the_tokens_and_forgets_the_positions(model):
    started(model, tokens=0.02, positions=1.0)


@wrong("10.3", "all-the-same")
def begins_with_zeros(model):
    started(model, tokens=0.0, positions=0.0, matrices=0.0)


@wrong("10.3", "all-the-same")
def begins_with_a_constant(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.02)
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.fill_(1.0)
            if getattr(module, "bias", None) is not None:
                module.bias.zero_()


@wrong("10.3", "same-every-time")
def sets_a_seed_of_its_own(model):
    torch.manual_seed(42)
    started(model, tokens=0.02)


@wrong("10.3", "left-out")
def leaves_positions_as_they_are(model):
    kept = model.wpe.weight.detach().clone()
    started(model, tokens=0.02)
    with torch.no_grad():
        model.wpe.weight.copy_(kept)


@wrong("10.3", "vectors")
def draws_biases_too(model):
    started(model, tokens=0.02)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.02)


@wrong("10.3", "vectors")
def silences_the_layer_norms(model):
    started(model, tokens=0.02)
    with torch.no_grad():
        model.ln_f.weight.zero_()


# --- 10.11 to 10.14, 10.21: attention with `qkv` and `proj`


class Given(nn.Module):
    """What the ill organs have in common: their layers, and how heads are split."""

    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.proj = nn.Linear(config.d_model, config.d_model)

    def heads(self, x):
        B, T, d_model = x.shape
        return [part.view(B, T, self.n_head, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1)]

    def forward(self, x, cache=None):
        q, k, v = self.heads(x)
        visible = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
        if cache is not None:
            k, v, visible = cache.extend(k, v)
        if visible is None:
            visible = torch.ones(1, 1, dtype=torch.bool)
        return self.join(self.mix(q, k, v, visible))

    def mix(self, q, k, v, visible):
        return F.scaled_dot_product_attention(q, k, v, visible.expand(*q.shape[:-1], k.shape[2]))

    def join(self, mixed):
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def scores(self, q, k):
        return q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])


@wrong_for(("10.11", "sees-the-future"))
class HidesTheFutureWithACacheOnly(Given):
    def forward(self, x, cache=None):
        q, k, v = self.heads(x)
        if cache is not None:
            k, v, _ = cache.extend(k, v)
        return self.join(F.scaled_dot_product_attention(q, k, v, is_causal=cache is not None))


@wrong_for(("10.11", "in-training-only"))
class HidesTheFutureInTrainingOnly(Given):
    def forward(self, x, cache=None):
        q, k, v = self.heads(x)
        visible = None
        if cache is not None:
            k, v, visible = cache.extend(k, v)
        return self.join(F.scaled_dot_product_attention(q, k, v, visible, is_causal=self.training and cache is None))


@wrong_for(("10.11", "cache-mask"), ("10.14", "cache-mask"))
class IsAlwaysCausal(Given):
    def forward(self, x, cache=None):
        q, k, v = self.heads(x)
        visible = None
        if cache is not None:
            k, v, visible = cache.extend(k, v)
        return self.join(F.scaled_dot_product_attention(q, k, v, visible, is_causal=True))


@wrong_for(("10.11", "cache-mask"), ("10.12", "cache-mask"))
class IgnoresTheCache(Given):
    def forward(self, x, cache=None):
        q, k, v = self.heads(x)
        return self.join(F.scaled_dot_product_attention(q, k, v, is_causal=True))


@wrong_for(("10.11", "cache-mask"), ("10.13", "cache-mask"))
class MakesAMaskOfItsOwnWithACache(Given):
    def forward(self, x, cache=None):
        q, k, v = self.heads(x)
        if cache is not None:
            k, v, _ = cache.extend(k, v)
        new, all_ = q.shape[2], k.shape[2]
        visible = torch.ones(new, all_, dtype=torch.bool).tril(all_ - new)
        return self.join(F.scaled_dot_product_attention(q, k, v, visible))


@wrong_for(("10.11", "not-itself"), ("10.12", "not-itself"))
class HidesTheTokenItself(Given):
    def mix(self, q, k, v, visible):
        if q.shape[2] > 1:
            visible = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).tril(-1)
        return super().mix(q, k, v, visible)


@wrong_for(("10.11", "one-too-far"), ("10.12", "one-too-far"))
class HidesOneTooFew(Given):
    def mix(self, q, k, v, visible):
        return super().mix(q, k, v, torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(1))


@wrong_for(("10.11", "wrong-way"))
class HidesThePast(Given):
    def mix(self, q, k, v, visible):
        return super().mix(q, k, v, torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).triu())


@wrong_for(("10.12", "rows-not-one"))
class HidesAfterTheSoftmaxBySelection(Given):
    def mix(self, q, k, v, visible):
        weights = self.scores(q, k).softmax(-1)
        return torch.where(visible, weights, torch.zeros(())) @ v


@wrong_for(("10.12", "hidden-as-zero"), ("10.13", "hidden-as-zero"))
class HidesWithAScoreOfZero(Given):
    def mix(self, q, k, v, visible):
        return self.scores(q, k).masked_fill(~visible, 0.0).softmax(-1) @ v


@wrong_for(("10.12", "sees-the-future"), ("10.13", "sees-the-future"), ("10.21", "sees-the-future"))
class HidesNothing(Given):
    def mix(self, q, k, v, visible):
        return self.scores(q, k).softmax(-1) @ v


@wrong_for(("10.12", "leak"))
class DividesByTheSumOfTheWholeRow(Given):
    def mix(self, q, k, v, visible):
        weights = self.scores(q, k).softmax(-1) * visible
        return weights / weights.sum(-1, keepdim=True).sqrt() @ v


@wrong_for(("10.12", "over-queries"))
class DividesTheColumnsAfterwards(Given):
    def mix(self, q, k, v, visible):
        weights = self.scores(q, k).exp() * visible
        return weights / weights.sum(-2, keepdim=True) @ v


@wrong_for(("10.13", "over-queries"))
class TakesTheLastAxisButOne(Given):
    def mix(self, q, k, v, visible):
        return F.softmax(self.scores(q, k).masked_fill(~visible, -math.inf), dim=-2) @ v


@wrong_for(("10.13", "queries-unmasked"))
class TakesTheQueriesAndHidesNothing(Given):
    def mix(self, q, k, v, visible):
        return F.softmax(self.scores(q, k), dim=2) @ v


@wrong_for(("10.13", "not-a-number"))
class TakesTheHeads(Given):
    def mix(self, q, k, v, visible):
        return F.softmax(self.scores(q, k).masked_fill(~visible, -math.inf), dim=1) @ v


@wrong_for(("10.13", "over-heads"))
class TakesTheHeadsAndHidesNothing(Given):
    def mix(self, q, k, v, visible):
        return F.softmax(self.scores(q, k), dim=1) @ v


@wrong_for(("10.13", "leak"))
class TakesKeysAndQueriesTogether(Given):
    def mix(self, q, k, v, visible):
        hidden = self.scores(q, k).masked_fill(~visible, -math.inf)
        return hidden.flatten(2).softmax(-1).view_as(hidden) @ v


@wrong_for(("10.13", "changes-input"))
class WorksInPlace(Given):
    def forward(self, x, cache=None):
        result = super().forward(x, cache)
        x.detach().mul_(1.5)
        return result


@wrong_for(("10.14", "torn-heads"))
class JoinsByReshape(Given):
    def join(self, mixed):
        B, H, T, d = mixed.shape
        return self.proj(mixed.reshape(B, T, H * d))


@wrong_for(("10.14", "interleaved"))
class SwapsTheLastAxes(Given):
    def join(self, mixed):
        return self.proj(mixed.permute(0, 2, 3, 1).flatten(2))


@wrong_for(("10.14", "reversed-axes"))
class SwapsHeadsAndFeatures(Given):
    def join(self, mixed):
        B, H, T, d = mixed.shape
        return self.proj(mixed.transpose(1, 3).transpose(2, 3).reshape(B, T, H * d))


@wrong_for(("10.14", "one-head"))
class GivesUpTheHeads(Given):
    def heads(self, x):
        return [part[:, None] for part in self.qkv(x).chunk(3, dim=-1)]


@wrong_for(("10.14", "rows-mixed"))
class SwapsTheTexts(Given):
    def join(self, mixed):
        return self.proj(mixed.transpose(1, 2).flatten(2).flip(0))


@wrong_for(("10.14", "gradient"))
class JoinsByANewTensor(Given):
    def join(self, mixed):
        return self.proj(torch.tensor(mixed.transpose(1, 2).flatten(2).tolist()))


@wrong_for(("10.14", "no-projection"))
class ForgetsTheProjection(Given):
    def join(self, mixed):
        return mixed.transpose(1, 2).flatten(2)


@wrong_for(("10.14", "parameters"))
class ChangesTheLayers(Given):
    def __init__(self, config):
        super().__init__(config)
        self.proj = nn.Linear(config.d_model // config.n_head, config.d_model)


@wrong_for(("10.21", "by-d-head"))
class DividesByDHead(Given):
    def scores(self, q, k):
        return q @ k.transpose(-2, -1) / q.shape[-1]

    def mix(self, q, k, v, visible):
        return self.scores(q, k).masked_fill(~visible, -math.inf).softmax(-1) @ v


@wrong_for(("10.21", "by-d-model"))
class DividesByTheRootOfDModel(DividesByDHead):
    def scores(self, q, k):
        return q @ k.transpose(-2, -1) / math.sqrt(self.proj.in_features)


@wrong_for(("10.21", "multiplied"))
class Multiplies(DividesByDHead):
    def scores(self, q, k):
        return q @ k.transpose(-2, -1) * math.sqrt(q.shape[-1])


@wrong_for(("10.21", "by-d-head"))
class ScalesBeforeTheFusedAttention(Given):
    def mix(self, q, k, v, visible):
        return super().mix(q / math.sqrt(q.shape[-1]), k, v, visible)


@wrong_for(("10.21", "not-scaled"))
class ScalesTheValues(DividesByDHead):
    def scores(self, q, k):
        return q @ k.transpose(-2, -1)


@wrong_for(("10.21", "value"))
class DividesByAConstant(DividesByDHead):
    def scores(self, q, k):
        return q @ k.transpose(-2, -1) / math.sqrt(64)


@wrong_for(("10.21", "value"))
class NormalizesQueriesAndKeys(DividesByDHead):
    def scores(self, q, k):
        return F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)


# --- 10.15 JunAttention


class Inner(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.inner = nn.MultiheadAttention(config.d_model, config.n_head, batch_first=True)

    def mask(self, length: int):
        return torch.ones(length, length, dtype=torch.bool).triu(1)

    def forward(self, x, cache=None):
        return self.inner(x, x, x, attn_mask=self.mask(x.shape[1]), need_weights=False)[0]


class TimeFirst(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.inner = nn.MultiheadAttention(config.d_model, config.n_head)


@wrong("10.15", "rows-mixed")
class AsksForTheWeightsToo(TimeFirst):
    def forward(self, x, cache=None):
        hidden = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
        return self.inner(x, x, x, attn_mask=hidden, need_weights=True)[0]


@wrong("10.15", "mask-size")
class MendsTheMaskAlone(TimeFirst):
    def forward(self, x, cache=None):
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return self.inner(x, x, x, attn_mask=hidden, need_weights=False)[0]


@wrong("10.15", "mask-size")
class MendsTheLayerAlone(Inner):
    def forward(self, x, cache=None):
        return self.inner(x, x, x, attn_mask=self.mask(len(x)), need_weights=False)[0]


@wrong("10.15", "shape")
class SwapsBeforeAndNotAfter(TimeFirst):
    def forward(self, x, cache=None):
        x = x.transpose(0, 1)
        hidden = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
        return self.inner(x, x, x, attn_mask=hidden, need_weights=False)[0]


@wrong("10.15", "sees-the-future")
class DropsTheMask(Inner):
    def forward(self, x, cache=None):
        return self.inner(x, x, x, need_weights=False)[0]


@wrong("10.15", "wrong-way")
class TurnsTheMask(Inner):
    def mask(self, length):
        return torch.ones(length, length, dtype=torch.bool).tril(-1)


@wrong("10.15", "one-too-far")
class MovesTheDiagonal(Inner):
    def mask(self, length):
        return torch.ones(length, length, dtype=torch.bool).triu(2)


@wrong("10.15", "only-itself")
class HidesEverythingElse(Inner):
    def mask(self, length):
        return ~torch.eye(length, dtype=torch.bool)


@wrong("10.15", "value")
class AddsTheResidual(Inner):
    def forward(self, x, cache=None):
        return x + super().forward(x)


@wrong("10.15", "parameters")
class MakesOneHeadOfBias(Inner):
    def __init__(self, config):
        super().__init__(config)
        self.inner = nn.MultiheadAttention(config.d_model, config.n_head, bias=False, batch_first=True)


# --- 10.22 leo_initialize


def kept_large(model, attention=1.0, forward=1.0, tokens=0.1):
    """Leo's own, with the last matrices of the sublayers divided."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            elif name in ("wte.weight", "wpe.weight"):
                parameter.normal_(std=tokens)
            else:
                by = attention if name.endswith("attn.proj.weight") else forward if "mlp.proj" in name else 1.0
                parameter.normal_(std=1 / math.sqrt(parameter.shape[1]) / by)


@wrong("10.22", "still-grows")
def divides_for_attention_alone(model):
    kept_large(model, attention=math.sqrt(2 * model.config.n_layer))


@wrong("10.22", "still-grows")
def divides_for_the_feed_forward_network_alone(model):
    kept_large(model, forward=math.sqrt(2 * model.config.n_layer))


@wrong("10.22", "still-grows")
def asks_for_a_name_that_no_parameter_has(model):
    with torch.no_grad():
        kept_large(model)
        for name, parameter in model.named_parameters():
            if name.endswith("c_proj.weight"):
                parameter.div_(math.sqrt(2 * model.config.n_layer))


@wrong("10.22", "still-grows")
def divides_by_a_constant(model):
    kept_large(model, math.sqrt(24), math.sqrt(24))


@wrong("10.22", "another-power")
def divides_without_the_root(model):
    kept_large(model, 2 * model.config.n_layer, 2 * model.config.n_layer)


@wrong("10.22", "another-power")
def divides_by_the_root_of_the_root(model):
    kept_large(model, (2 * model.config.n_layer) ** 0.25 * 1.2, (2 * model.config.n_layer) ** 0.25 * 1.2)


@wrong("10.22", "another-size")
def divides_by_ten_times_too_much(model):
    kept_large(model, 10 * math.sqrt(2 * model.config.n_layer), 10 * math.sqrt(2 * model.config.n_layer))


@wrong("10.22", "all-the-same")
def begins_sublayers_with_nothing(model):
    kept_large(model, math.inf, math.inf)


@wrong("10.22", "first-loss")
def makes_tokens_larger_instead(model):
    kept_large(model, math.sqrt(2 * model.config.n_layer), math.sqrt(2 * model.config.n_layer), tokens=1.0)


# --- 10.23 mona_train


def trained(model, loss, batches, steps, lr, rate, clip=1.0, reset=True, optimizer=torch.optim.AdamW, mode=True):
    made = optimizer(model.parameters(), lr=lr, betas=(0.9, 0.95))
    model.train(mode)
    for step in range(steps):
        made.param_groups[0]["lr"] = lr * rate(step)
        inputs, targets = next(batches)
        value = loss(model, inputs, targets)
        if reset:
            made.zero_grad()
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip) if clip else nn.utils.get_total_norm(
            [p.grad for p in model.parameters()]
        )  # fmt: skip
        made.step()
        yield value.item(), norm.item()


def cosine(step, steps):
    return 0.55 + 0.45 * math.cos(math.pi * step / steps)


@wrong("10.23", "begins-high")
def lowers_nothing_but_the_end(model, loss, batches, steps, lr):
    yield from trained(model, loss, batches, steps, lr, lambda step: 1 - step / steps)


@wrong("10.23", "too-high")
def takes_the_larger_of_the_two(model, loss, batches, steps, lr):
    yield from trained(model, loss, batches, steps, lr, lambda step: max(1, (step + 1) / 10) * cosine(step, steps))


@wrong("10.23", "stays-low")
def lowers_the_whole_rate(model, loss, batches, steps, lr):
    yield from trained(model, loss, batches, steps, lr, lambda step: 0.1 * cosine(step, steps))


@wrong("10.23", "too-short")
def warms_up_for_two_steps(model, loss, batches, steps, lr):
    yield from trained(model, loss, batches, steps, lr, lambda step: min(1, (step + 0.5) / 2) * cosine(step, steps))


@wrong("10.23", "too-long")
def warms_up_to_the_end(model, loss, batches, steps, lr):
    yield from trained(model, loss, batches, steps, lr, lambda step: (step + 1) / steps)


@wrong("10.23", "jumps")
def begins_again_and_again(model, loss, batches, steps, lr):
    yield from trained(
        model, loss, batches, steps, lr, lambda step: 0.07 * (step % 10) + 0.02 if step < 30 else cosine(step, steps)
    )  # fmt: skip


@wrong("10.23", "no-decay")
def replaces_the_decay_by_the_warm_up(model, loss, batches, steps, lr):
    yield from trained(model, loss, batches, steps, lr, lambda step: min(1, (step + 1) / 10))


@wrong("10.23", "not-clipped")
def warms_up_and_no_longer_clips(model, loss, batches, steps, lr):
    yield from trained(
        model, loss, batches, steps, lr, lambda step: min(1, (step + 1) / 10) * cosine(step, steps), clip=None
    )  # fmt: skip


@wrong("10.23", "norm")
def warms_up_and_no_longer_resets(model, loss, batches, steps, lr):
    yield from trained(
        model, loss, batches, steps, lr, lambda step: min(1, (step + 1) / 10) * cosine(step, steps), clip=1e9,
        reset=False,
    )  # fmt: skip


@wrong("10.23", "steps")
def leaves_out_the_first_steps(model, loss, batches, steps, lr):
    yield from trained(model, loss, batches, steps - 10, lr, lambda step: min(1, (step + 1) / 10))


@wrong("10.23", "not-in-training")
def trains_in_evaluation_mode(model, loss, batches, steps, lr):
    yield from trained(
        model, loss, batches, steps, lr, lambda step: min(1, (step + 1) / 10) * cosine(step, steps), mode=False
    )  # fmt: skip
