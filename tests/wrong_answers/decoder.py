"""Wrong answers to the exercises of notebook 06 that are parts of the model: MLP, Block, GPT, initialize, generate."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from helpers import model as right
from tests.wrong_answers import wrong

# --- 6.3 MLP


@wrong("6.3", "module")
def is_a_function(config):
    return right.MLP(config)


@wrong("6.3", "linear")
class HasNoNonlinearity(right.MLP):
    def forward(self, x):
        return self.dropout(self.proj(self.fc(x)))


@wrong("6.3", "activation-last")
class ActivatesAtTheEnd(right.MLP):
    def forward(self, x):
        return self.dropout(self.activation(self.proj(self.fc(x))))


@wrong("6.3", "residual")
class AddsTheStream(right.MLP):
    def forward(self, x):
        return x + super().forward(x)


@wrong("6.3", "which-activation")
class HasTheExactGelu(right.MLP):
    def __init__(self, config):
        super().__init__(config)
        self.activation = nn.GELU() if config.activation == "gelu" else nn.ReLU()


@wrong("6.3", "which-activation")
class AlwaysHasGelu(right.MLP):
    def __init__(self, config):
        super().__init__(config)
        self.activation = nn.GELU(approximate="tanh")


@wrong("6.3", "which-activation")
class AlwaysHasRelu(right.MLP):
    def __init__(self, config):
        super().__init__(config)
        self.activation = nn.ReLU()


@wrong("6.3", "names")
class HasOtherNames(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.up = nn.Linear(config.d_model, config.d_ff)
        self.down = nn.Linear(config.d_ff, config.d_model)

    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh"))


@wrong("6.3", "names")
class HasNoDropoutLayer(right.MLP):
    def __init__(self, config):
        super().__init__(config)
        del self.dropout

    def forward(self, x):
        return self.proj(self.activation(self.fc(x)))


@wrong("6.3", "names")
class AlwaysHasBiases(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.fc = nn.Linear(config.d_model, config.d_ff)
        self.activation = nn.GELU(approximate="tanh") if config.activation == "gelu" else nn.ReLU()
        self.proj = nn.Linear(config.d_ff, config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        return self.dropout(self.proj(self.activation(self.fc(x))))


@wrong("6.3", "order")
class MakesProjFirst(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.proj = nn.Linear(config.d_ff, config.d_model, bias=config.bias)
        self.fc = nn.Linear(config.d_model, config.d_ff, bias=config.bias)

    def forward(self, x):
        return self.proj(F.gelu(self.fc(x), approximate="tanh"))


@wrong("6.3", "widths")
class IsFourTimesAsWide(right.MLP):
    def __init__(self, config):
        super().__init__(config)
        self.fc = nn.Linear(config.d_model, 4 * config.d_model, bias=config.bias)
        self.proj = nn.Linear(4 * config.d_model, config.d_model, bias=config.bias)


@wrong("6.3", "dropout-missing")
class NeverDrops(right.MLP):
    def forward(self, x):
        return self.proj(self.activation(self.fc(x)))


@wrong("6.3", "dropout-place")
class DropsInside(right.MLP):
    def forward(self, x):
        return self.proj(self.dropout(self.activation(self.fc(x))))


@wrong("6.3", "dropout-probability")
class DropsATenth(right.MLP):
    def __init__(self, config):
        super().__init__(config)
        self.dropout = nn.Dropout(0.1)


@wrong("6.3", "dropout-probability")
class DropsTwice(right.MLP):
    def forward(self, x):
        return self.dropout(super().forward(x))


@wrong("6.3", "dropout-in-evaluation")
class AlwaysDrops(right.MLP):
    def forward(self, x):
        return F.dropout(self.proj(self.activation(self.fc(x))), self.dropout.p)


@wrong("6.3", "changes-input")
class WritesIntoX(right.MLP):
    def forward(self, x):
        x.copy_(super().forward(x))
        return x


@wrong("6.3", "gradients")
class Detaches(right.MLP):
    def forward(self, x):
        return self.dropout(self.proj(self.activation(self.fc(x)).detach()))


@wrong("6.3", "shape")
class TakesTheMean(right.MLP):
    def forward(self, x):
        return super().forward(x).mean(dim=1)


# --- 6.4 Block


class Order(right.Block):
    """A block whose two orders can be written apart."""

    def forward(self, x, cache=None):
        return self.in_pre(x, cache) if self.pre else self.in_post(x, cache)

    def in_pre(self, x, cache):
        x = x + self.attn(self.ln_1(x), cache)
        return x + self.mlp(self.ln_2(x))

    def in_post(self, x, cache):
        x = self.ln_1(x + self.attn(x, cache))
        return self.ln_2(x + self.mlp(x))


@wrong("6.4", "residual-forgotten")
class ForgetsBothResiduals(Order):
    def in_pre(self, x, cache):
        return self.mlp(self.ln_2(self.attn(self.ln_1(x), cache)))


@wrong("6.4", "residual-forgotten")
class ForgetsTheSecondResidual(Order):
    def in_pre(self, x, cache):
        x = x + self.attn(self.ln_1(x), cache)
        return self.mlp(self.ln_2(x))


@wrong("6.4", "attention-not-normalized")
class IsAlwaysPost(Order):
    def forward(self, x, cache=None):
        return self.in_post(x, cache)


@wrong("6.4", "post")
class IsAlwaysPre(Order):
    def forward(self, x, cache=None):
        return self.in_pre(x, cache)


@wrong("6.4", "attention-not-normalized")
class NormalizesWhatAttentionReturns(Order):
    def in_pre(self, x, cache):
        x = x + self.ln_1(self.attn(x, cache))
        return x + self.ln_2(self.mlp(x))


@wrong("6.4", "mlp-not-normalized")
class FeedsTheStreamItselfToTheMlp(Order):
    def in_pre(self, x, cache):
        x = x + self.attn(self.ln_1(x), cache)
        return x + self.mlp(x)


@wrong("6.4", "same-norm-twice")
class UsesOneNormForBoth(Order):
    def in_pre(self, x, cache):
        x = x + self.attn(self.ln_1(x), cache)
        return x + self.mlp(self.ln_1(x))


@wrong("6.4", "parallel")
class RunsBothSideBySide(Order):
    def in_pre(self, x, cache):
        return x + self.attn(self.ln_1(x), cache) + self.mlp(self.ln_2(x))


@wrong("6.4", "stream-normalized")
class OverwritesTheStreamByItsNorm(Order):
    def in_pre(self, x, cache):
        x = self.ln_1(x)
        x = x + self.attn(x, cache)
        x = self.ln_2(x)
        return x + self.mlp(x)


@wrong("6.4", "stream-normalized")
class OverwritesTheStreamBeforeTheMlp(Order):
    def in_pre(self, x, cache):
        x = x + self.attn(self.ln_1(x), cache)
        x = self.ln_2(x)
        return x + self.mlp(x)


@wrong("6.4", "norm-after-sum")
class NormalizesTheEndToo(Order):
    def in_pre(self, x, cache):
        x = x + self.attn(self.ln_1(x), cache)
        return self.ln_2(x + self.mlp(self.ln_2(x)))


@wrong("6.4", "attention-lost")
class AddsTheMlpToTheOldX(Order):
    def in_pre(self, x, cache):
        after = x + self.attn(self.ln_1(x), cache)
        return x + self.mlp(self.ln_2(after))


@wrong("6.4", "attention-input")
class SwapsTheNorms(Order):
    def in_pre(self, x, cache):
        x = x + self.attn(self.ln_2(x), cache)
        return x + self.mlp(self.ln_1(x))


@wrong("6.4", "each-once")
class ForgetsTheMlp(Order):
    def in_pre(self, x, cache):
        return x + self.attn(self.ln_1(x), cache)


@wrong("6.4", "cache")
class ForgetsTheCache(Order):
    def in_pre(self, x, cache):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


@wrong("6.4", "cache")
class ForgetsTheCacheInPost(Order):
    def in_post(self, x, cache):
        return super().in_post(x, None)


@wrong("6.4", "mlp-cache")
class HandsTheCacheToTheMlp(Order):
    def in_pre(self, x, cache):
        x = x + self.attn(self.ln_1(x), cache)
        return x + self.mlp(self.ln_2(x), cache)


@wrong("6.4", "cache")
class AsksWhetherTheCacheIsTrue(Order):
    def in_pre(self, x, cache):
        x = x + self.attn(self.ln_1(x), cache if cache else None)
        return x + self.mlp(self.ln_2(x))


@wrong("6.4", "changes-input")
class AddsInPlace(Order):
    def in_pre(self, x, cache):
        x += self.attn(self.ln_1(x), cache)
        x += self.mlp(self.ln_2(x))
        return x


@wrong("6.4", "post")
class NormalizesInPostWhatAttentionReturns(Order):
    def in_post(self, x, cache):
        x = x + self.ln_1(self.attn(x, cache))
        return x + self.ln_2(self.mlp(x))


@wrong("6.4", "post")
class ForgetsTheFirstNormInPost(Order):
    def in_post(self, x, cache):
        x = x + self.attn(x, cache)
        return self.ln_2(x + self.mlp(x))


@wrong("6.4", "post")
class UsesOneNormTwiceInPost(Order):
    def in_post(self, x, cache):
        x = self.ln_1(x + self.attn(x, cache))
        return self.ln_1(x + self.mlp(x))


@wrong("6.4", "post")
class AddsToTheSumBeforeTheNormInPost(Order):
    def in_post(self, x, cache):
        x = x + self.attn(x, cache)
        return self.ln_2(x + self.mlp(self.ln_1(x)))


@wrong("6.4", "post")
class EndsWithoutANormInPost(Order):
    def in_post(self, x, cache):
        x = self.ln_1(x + self.attn(x, cache))
        return x + self.mlp(x)


@wrong("6.4", "gradients")
class DetachesTheStream(Order):
    def in_post(self, x, cache):
        return super().in_post(x, cache).detach()


@wrong("6.4", "gradients")
class DetachesWhatAttentionReads(Order):
    def in_pre(self, x, cache):
        x = x + self.attn(self.ln_1(x.detach()), cache)
        return x + self.mlp(self.ln_2(x))


@wrong("6.4", "gradients")
class AddsInPlaceToACopy(Order):
    def in_pre(self, x, cache):
        x = x.clone()
        x += self.attn(self.ln_1(x), cache)
        return x + self.mlp(self.ln_2(x))


@wrong("6.4", "names")
class NamesTheNormsOtherwise(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(config.d_model), nn.LayerNorm(config.d_model)
        self.attn, self.mlp = right.CausalSelfAttention(config), right.MLP(config)

    def forward(self, x, cache=None):
        x = x + self.attn(self.norm1(x), cache)
        return x + self.mlp(self.norm2(x))


# --- 6.6 GPT


@wrong("6.6", "every-block-once")
class LeavesTheLastBlockOut(right.GPT):
    def hidden(self, ids, cache=None):
        x = self.embed(ids, cache)
        for number, block in enumerate(self.blocks[:-1]):
            x = block(x, None if cache is None else cache.layers[number])
        return self.ln_f(x)


@wrong("6.6", "every-block-once")
class ReturnsInsideTheLoop(right.GPT):
    def hidden(self, ids, cache=None):
        x = self.embed(ids, cache)
        for number, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache.layers[number])
            return self.ln_f(x)


@wrong("6.6", "block-to-block")
class GivesEveryBlockTheEmbedding(right.GPT):
    def hidden(self, ids, cache=None):
        x = self.embed(ids, cache)
        for block in self.blocks:
            y = block(x)
        return self.ln_f(y)


@wrong("6.6", "block-to-block")
class AddsTheStreamOnceMore(right.GPT):
    def hidden(self, ids, cache=None):
        x = self.embed(ids, cache)
        for block in self.blocks:
            x = x + block(x)
        return self.ln_f(x)


@wrong("6.6", "last-norm")
class ForgetsTheLastNorm(right.GPT):
    def hidden(self, ids, cache=None):
        x = self.embed(ids, cache)
        for number, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache.layers[number])
        return x


@wrong("6.6", "last-norm")
class PutsTheLastNormIntoForward(ForgetsTheLastNorm):
    def forward(self, ids, targets=None, cache=None):
        logits = self.head(self.ln_f(self.hidden(ids, cache)))
        return logits if targets is None else (logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten()))


@wrong("6.6", "hidden")
class PutsTheHeadIntoHidden(right.GPT):
    def hidden(self, ids, cache=None):
        return self.head(super().hidden(ids, cache))


@wrong("6.6", "embed")
class ForgetsThePositions(right.GPT):
    def hidden(self, ids, cache=None):
        x = self.wte(ids)
        for block in self.blocks:
            x = block(x)
        return self.ln_f(x)


@wrong("6.6", "logits")
class GivesProbabilities(right.GPT):
    def forward(self, ids, targets=None, cache=None):
        logits = self.head(self.hidden(ids, cache)).softmax(-1)
        return logits if targets is None else (logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten()))


@wrong("6.6", "shape")
class ScoresTheLastPositionAlone(right.GPT):
    def forward(self, ids, targets=None, cache=None):
        logits = self.head(self.hidden(ids, cache)[:, -1])
        return logits if targets is None else (logits, F.cross_entropy(logits, targets[:, -1]))


@wrong("6.6", "logits-alone")
class AlwaysReturnsAPair(right.GPT):
    def forward(self, ids, targets=None, cache=None):
        logits = self.head(self.hidden(ids, cache))
        return logits, None if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class WithLoss(right.GPT):
    """A model of which the loss can be written by itself."""

    def forward(self, ids, targets=None, cache=None):
        logits = self.head(self.hidden(ids, cache))
        if targets is None:
            return logits
        right.check_targets(targets, ids, self.config)
        return logits, self.cost(logits, targets)

    def cost(self, logits, targets):
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


@wrong("6.6", "pair")
class ReturnsTheLossAlone(WithLoss):
    def forward(self, ids, targets=None, cache=None):
        got = super().forward(ids, targets, cache)
        return got if targets is None else got[1]

    def loss(self, ids, targets):
        return self(ids, targets)


@wrong("6.6", "shape")
class ReturnsTheLossFirst(WithLoss):
    def forward(self, ids, targets=None, cache=None):
        got = super().forward(ids, targets, cache)
        return got if targets is None else got[::-1]


@wrong("6.6", "loss-sum")
class AddsUpTheLoss(WithLoss):
    def cost(self, logits, targets):
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


@wrong("6.6", "loss-each")
class HasALossForEachPosition(WithLoss):
    def cost(self, logits, targets):
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")


@wrong("6.6", "shifted-twice")
class ShiftsTheTargetsOnceMore(WithLoss):
    def cost(self, logits, targets):
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten())


@wrong("6.6", "loss-of-probabilities")
class TakesSoftmaxTwice(WithLoss):
    def cost(self, logits, targets):
        return F.cross_entropy(logits.softmax(-1).flatten(0, 1), targets.flatten())


@wrong("6.6", "loss-last")
class ScoresTheLastTargetAlone(WithLoss):
    def cost(self, logits, targets):
        return F.cross_entropy(logits[:, -1], targets[:, -1])


@wrong("6.6", "loss-axis")
class TakesSoftmaxOverPositions(WithLoss):
    def cost(self, logits, targets):
        return -logits.flatten(0, 1).log_softmax(0).gather(-1, targets.flatten()[:, None]).mean()


@wrong("6.6", "loss")
class CountsInBits(WithLoss):
    def cost(self, logits, targets):
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten()) / math.log(2)


@wrong("6.6", "ignored")
class DividesByAllPositions(WithLoss):
    def cost(self, logits, targets):
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum") / targets.numel()


@wrong("6.6", "ignored")
class ScoresTokenZeroWhereNothingIsAsked(WithLoss):
    def cost(self, logits, targets):
        return F.cross_entropy(logits.flatten(0, 1), targets.clamp(min=0).flatten())


@wrong("6.6", "gradients")
class TakesTheLossFromTheGraph(WithLoss):
    def cost(self, logits, targets):
        return super().cost(logits, targets).detach()


@wrong("6.6", "gradients")
class CutsTheGraphBelowTheBlocks(right.GPT):
    def hidden(self, ids, cache=None):
        x = self.embed(ids, cache).detach()
        for number, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache.layers[number])
        return self.ln_f(x)


@wrong("6.6", "targets-checked")
class ForgetsToCheckTheTargets(right.GPT):
    def forward(self, ids, targets=None, cache=None):
        logits = self.head(self.hidden(ids, cache))
        return logits if targets is None else (logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten()))


@wrong("6.6", "ids-checked")
class EmbedsByItselfAndChecksNothing(right.GPT):
    def hidden(self, ids, cache=None):
        places = torch.arange(ids.shape[1]) if cache is None else cache.positions(ids)
        x = self.dropout(self.wte(ids) * self.scale + self.wpe(places))
        for number, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache.layers[number])
        return self.ln_f(x)


@wrong("6.6", "cache")
class KnowsNothingOfACache(right.GPT):
    def hidden(self, ids, cache=None):
        x = self.embed(ids, cache)
        for block in self.blocks:
            x = block(x)
        return self.ln_f(x)


@wrong("6.6", "cache")
class LosesTheCacheInForward(right.GPT):
    def forward(self, ids, targets=None, cache=None):
        return super().forward(ids, targets)


@wrong("6.6", "cache")
class GivesEachBlockTheWholeCache(right.GPT):
    def hidden(self, ids, cache=None):
        x = self.embed(ids, cache)
        for block in self.blocks:
            x = block(x, cache)
        return self.ln_f(x)


@wrong("6.6", "cache")
class GivesEachBlockTheFirstLayersCache(right.GPT):
    def hidden(self, ids, cache=None):
        x = self.embed(ids, cache)
        for block in self.blocks:
            x = block(x, None if cache is None else cache.layers[0])
        return self.ln_f(x)


@wrong("6.6", "cache-positions")
class EmbedsWithoutTheCache(right.GPT):
    def hidden(self, ids, cache=None):
        x = self.embed(ids)
        for number, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache.layers[number])
        return self.ln_f(x)


@wrong("6.6", "dropout")
class DropsOnceMore(right.GPT):
    def hidden(self, ids, cache=None):
        return self.dropout(super().hidden(ids, cache))


@wrong("6.6", "tied-head")
class CopiesTheHead(right.GPT):
    def __init__(self, config):
        super().__init__(config)
        if config.tied_head:
            self.head.weight = nn.Parameter(self.wte.weight.detach().clone())


@wrong("6.6", "given")
class HasNoLossMethod(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.model = right.GPT(config)

    def forward(self, ids, targets=None, cache=None):
        return self.model(ids, targets, cache)


# --- 6.7 initialize


@torch.no_grad()
def start(model, *, residual=None, embedding=None, positions=0.01, norm=1.0, bias=0.0, ends="proj.weight", others=0.02):
    config = model.config
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.fill_(bias)
        elif parameter.dim() == 1:
            parameter.fill_(norm)
        elif name == "wpe.weight" and config.first_positions == "sinusoidal":
            parameter.copy_(right.sinusoids(*parameter.shape))
        elif name == "wpe.weight":
            parameter.normal_(std=positions)
        elif name == "wte.weight":
            parameter.normal_(std=config.embedding_std if embedding is None else embedding)
        elif name.endswith(ends):
            n = config.n_layer
            parameter.normal_(std=0.02 / math.sqrt(2 * n) if residual is None else residual(n))
        else:
            parameter.normal_(std=others)


@wrong("6.7", "untouched")
def does_nothing_at_all(model):
    return model


@wrong("6.7", "residual-unscaled")
def starts_all_matrices_alike(model):
    start(model, residual=lambda n: 0.02)


@wrong("6.7", "residual")
def forgets_that_a_block_adds_twice(model):
    start(model, residual=lambda n: 0.02 / math.sqrt(n))


@wrong("6.7", "residual")
def forgets_the_root(model):
    start(model, residual=lambda n: 0.02 / (2 * n))


@wrong("6.7", "residual")
def multiplies_by_the_root(model):
    start(model, residual=lambda n: 0.02 * math.sqrt(2 * n))


@wrong("6.7", "residual")
def takes_the_depth_of_gpt2(model):
    start(model, residual=lambda n: 0.02 / math.sqrt(24))


@wrong("6.7", "both-projections")
def scales_attention_alone(model):
    start(model, ends="attn.proj.weight")


@wrong("6.7", "not-residual")
def scales_every_matrix_of_a_block(model):
    start(model, ends=("proj.weight", "qkv.weight", "fc.weight"))


@wrong("6.7", "positions")
def starts_positions_like_tokens(model):
    start(model, positions=0.02)


@wrong("6.7", "norm-weight")
def starts_norm_weights_at_zero(model):
    start(model, norm=0.0)


@wrong("6.7", "bias")
def starts_biases_a_little_above_zero(model):
    start(model, bias=0.01)


@wrong("6.7", "std-one")
def leaves_torchs_embedding(model):
    start(model, embedding=1.0)


@wrong("6.7", "embedding")
def has_a_fixed_size_of_token_vectors(model):
    start(model, embedding=0.02)


@wrong("6.7", "not-residual")
def takes_a_variance_for_a_standard_deviation(model):
    start(model, others=math.sqrt(0.02))


@wrong("6.7", "first-positions")
@torch.no_grad()
def knows_no_sinusoids(model):
    start(model)
    if "wpe.weight" in dict(model.named_parameters()):
        model.wpe.weight.normal_(std=0.01)


@wrong("6.7", "normal")
@torch.no_grad()
def draws_from_a_uniform_distribution(model):
    start(model)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            end = parameter.std().item() * math.sqrt(3)
            parameter.uniform_(-end, end)


@wrong("6.7", "mean")
@torch.no_grad()
def draws_with_a_mean(model):
    start(model)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.add_(0.01)


@wrong("6.7", "std-one")
@torch.no_grad()
def takes_the_mean_for_the_deviation(model):
    start(model)
    for name, parameter in model.named_parameters():
        if name.endswith("qkv.weight"):
            parameter.normal_(0.02)


@wrong("6.7", "untouched")
@torch.no_grad()
def goes_through_the_blocks_alone(model):
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    start(model)
    for name, parameter in model.named_parameters():
        if not name.startswith("blocks"):
            parameter.copy_(before[name])


@wrong("6.7", "in-place")
def makes_new_parameters(model):
    start(model)
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(parameter.detach().clone()))


@wrong("6.7", "seed")
def sets_a_seed(model):
    torch.manual_seed(0)
    start(model)


@wrong("6.7", "seed")
def starts_all_blocks_alike(model):
    start(model)
    for block in model.blocks[1:]:
        block.load_state_dict(model.blocks[0].state_dict())


@wrong("6.7", "in-place")
def freezes_everything(model):
    start(model)
    model.requires_grad_(False)


@wrong("6.7", "raised")
def records_gradients(model):
    for parameter in model.parameters():
        parameter.normal_(std=0.02)


# --- 6.10 generate


def step_by_step(model, ids, max_new_tokens, choose, *, read=None, at=-1, made=lambda logits: logits):
    with torch.no_grad():
        for _ in range(max_new_tokens):
            seen = ids[:, -model.config.context_length :] if read is None else read(ids, model.config.context_length)
            new = choose(made(model(seen))[:, at])
            ids = torch.cat([ids, new[:, None]], dim=1)
    return ids


@wrong("6.10", "context")
def never_cuts(model, ids, max_new_tokens, choose):
    return step_by_step(model, ids, max_new_tokens, choose, read=lambda ids, n: ids)


@wrong("6.10", "context")
def keeps_the_oldest(model, ids, max_new_tokens, choose):
    return step_by_step(model, ids, max_new_tokens, choose, read=lambda ids, n: ids[:, :n])


@wrong("6.10", "context")
def leaves_a_place_free(model, ids, max_new_tokens, choose):
    return step_by_step(model, ids, max_new_tokens, choose, read=lambda ids, n: ids[:, -n + 1 :])


@wrong("6.10", "whole-text")
def reads_the_newest_token_alone(model, ids, max_new_tokens, choose):
    return step_by_step(model, ids, max_new_tokens, choose, read=lambda ids, n: ids[:, -1:])


@wrong("6.10", "last-position")
def asks_the_first_position(model, ids, max_new_tokens, choose):
    return step_by_step(model, ids, max_new_tokens, choose, at=0)


@wrong("6.10", "last-position")
@torch.no_grad()
def asks_all_positions(model, ids, max_new_tokens, choose):
    for _ in range(max_new_tokens):
        new = choose(model(ids[:, -model.config.context_length :]))
        ids = torch.cat([ids, new[:, -1:]], dim=1)
    return ids


@wrong("6.10", "last-position")
@torch.no_grad()
def keeps_all_logits(model, ids, max_new_tokens, choose):
    for _ in range(max_new_tokens):
        logits = model(ids[:, -model.config.context_length :])
        ids = torch.cat([ids, choose(logits)[:, None]], dim=1)
    return ids


@wrong("6.10", "column")
@torch.no_grad()
def joins_a_line_to_a_table(model, ids, max_new_tokens, choose):
    for _ in range(max_new_tokens):
        logits = model(ids[:, -model.config.context_length :])[:, -1]
        ids = torch.cat([ids, choose(logits)], dim=1)
    return ids


@wrong("6.10", "logits")
def hands_over_probabilities(model, ids, max_new_tokens, choose):
    return step_by_step(model, ids, max_new_tokens, choose, made=lambda logits: logits.softmax(-1))


@wrong("6.10", "prompt-lost")
def returns_what_is_new_alone(model, ids, max_new_tokens, choose):
    return step_by_step(model, ids, max_new_tokens, choose)[:, ids.shape[1] :]


@wrong("6.10", "prompt-lost")
@torch.no_grad()
def cuts_the_text_itself(model, ids, max_new_tokens, choose):
    for _ in range(max_new_tokens):
        ids = ids[:, -model.config.context_length :]
        ids = torch.cat([ids, choose(model(ids)[:, -1])[:, None]], dim=1)
    return ids


@wrong("6.10", "choose")
@torch.no_grad()
def takes_the_most_probable_whatever_is_chosen(model, ids, max_new_tokens, choose):
    for _ in range(max_new_tokens):
        logits = model(ids[:, -model.config.context_length :])[:, -1]
        choose(logits)
        ids = torch.cat([ids, logits.argmax(-1)[:, None]], dim=1)
    return ids


@wrong("6.10", "choose")
@torch.no_grad()
def asks_twice(model, ids, max_new_tokens, choose):
    for _ in range(max_new_tokens):
        logits = model(ids[:, -model.config.context_length :])[:, -1]
        choose(logits)
        ids = torch.cat([ids, choose(logits)[:, None]], dim=1)
    return ids


@wrong("6.10", "reads-on")
@torch.no_grad()
def reads_the_prompt_again_and_again(model, ids, max_new_tokens, choose):
    logits = [model(ids[:, -model.config.context_length :])[:, -1] for _ in range(max_new_tokens)]
    return torch.cat([ids, *(choose(each)[:, None] for each in logits)], dim=1)


@wrong("6.10", "how-many")
def stops_one_too_early(model, ids, max_new_tokens, choose):
    return step_by_step(model, ids, max_new_tokens - 1, choose)


@wrong("6.10", "how-many")
def takes_the_number_for_the_whole_length(model, ids, max_new_tokens, choose):
    return step_by_step(model, ids, max(0, max_new_tokens - ids.shape[1]), choose)


@wrong("6.10", "calls")
@torch.no_grad()
def reads_once_more_at_the_end(model, ids, max_new_tokens, choose):
    ids = step_by_step(model, ids, max_new_tokens, choose)
    model(ids[:, -model.config.context_length :])
    return ids


@wrong("6.10", "gradients")
def keeps_gradients(model, ids, max_new_tokens, choose):
    for _ in range(max_new_tokens):
        new = choose(model(ids[:, -model.config.context_length :])[:, -1])
        ids = torch.cat([ids, new[:, None]], dim=1)
    return ids


@wrong("6.10", "gradients-off")
def leaves_gradients_switched_off(model, ids, max_new_tokens, choose):
    torch.set_grad_enabled(False)
    return step_by_step(model, ids, max_new_tokens, choose)


@wrong("6.10", "result")
def returns_a_list(model, ids, max_new_tokens, choose):
    return step_by_step(model, ids, max_new_tokens, choose).tolist()


@wrong("6.10", "result")
@torch.no_grad()
def puts_the_new_ones_below(model, ids, max_new_tokens, choose):
    for _ in range(max_new_tokens):
        new = choose(model(ids[:1, -model.config.context_length :].expand(len(ids), -1))[:, -1])
        ids = torch.cat([ids, new[:1, None].expand(1, ids.shape[1])], dim=0)
    return ids
