"""Wrong answers to the exercises of notebook 04."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from tests.wrong_answers import wrong

# --- 4.1 lookup_by_one_hot


@wrong("4.1", "one-hot-only")
def stops_at_the_one_hot_rows(ids, table):
    return F.one_hot(ids, len(table)).to(table.dtype)


@wrong("4.1", "lookup")
def indexes_the_table(ids, table):
    return table[ids]


@wrong("4.1", "lookup")
def calls_torchs_lookup(ids, table):
    return F.embedding(ids, table)


@wrong("4.1", "precision")
def makes_float32_of_the_rows(ids, table):
    return F.one_hot(ids, len(table)).float() @ table


@wrong("4.1", "dtype")
def multiplies_whole_numbers_by_floats(ids, table):
    return F.one_hot(ids, len(table)) @ table


@wrong("4.1", "num-classes")
def lets_the_largest_id_decide_the_length(ids, table):
    return F.one_hot(ids).to(table.dtype) @ table


@wrong("4.1", "dtype")
def makes_the_table_whole_numbers(ids, table):
    return F.one_hot(ids, len(table)) @ table.long()


@wrong("4.1", "off-by-one")
def counts_ids_from_one(ids, table):
    return F.one_hot(ids + 1, len(table)).to(table.dtype) @ table


@wrong("4.1", "batch")
def flattens_a_batch(ids, table):
    return F.one_hot(ids.flatten(), len(table)).to(table.dtype) @ table


@wrong("4.1", "precision")
def always_gives_float32(ids, table):
    return F.one_hot(ids, len(table)).float() @ table.float()


@wrong("4.1", "gradient")
def cuts_the_gradient_off(ids, table):
    return F.one_hot(ids, len(table)).to(table.dtype) @ table.detach()


@wrong("4.1", "num-classes")
def makes_rows_as_wide_as_a_vector(ids, table):
    return F.one_hot(ids, table.shape[1]).to(table.dtype) @ table


# --- 4.2 embedding_parameters


@wrong("4.2", "positions")
def forgets_the_positions(vocab_size, context_length, d_model, tied):
    return vocab_size * d_model * (1 if tied else 2)


@wrong("4.2", "tied")
def counts_a_tied_head_twice(vocab_size, context_length, d_model, tied):
    return 2 * vocab_size * d_model + context_length * d_model


@wrong("4.2", "bias")
def adds_a_bias_to_the_head(vocab_size, context_length, d_model, tied):
    return vocab_size * d_model * (1 if tied else 2) + context_length * d_model + vocab_size


@wrong("4.2", "position-width")
def gives_a_position_one_number(vocab_size, context_length, d_model, tied):
    return vocab_size * d_model * (1 if tied else 2) + context_length


@wrong("4.2", "product")
def multiplies_the_tables(vocab_size, context_length, d_model, tied):
    return vocab_size * context_length * d_model


@wrong("4.2", "untied")
def ignores_whether_the_head_is_tied(vocab_size, context_length, d_model, tied):
    return (vocab_size + context_length) * d_model


@wrong("4.2", "tied")
def takes_tied_for_untied(vocab_size, context_length, d_model, tied):
    return ((2 if tied else 1) * vocab_size + context_length) * d_model


# --- 4.3 CBOW


class Tables(nn.Module):
    """What the stub gives."""

    def __init__(self, vocab_size, d_model):
        super().__init__()
        self.wte = nn.Embedding(vocab_size, d_model)
        self.head = nn.Linear(d_model, vocab_size, bias=False)
        nn.init.normal_(self.wte.weight, std=0.1)
        nn.init.zeros_(self.head.weight)

    def forward(self, neighbors):
        return self.head(self.wte(neighbors).mean(dim=1))

    def loss(self, neighbors, hidden):
        return F.cross_entropy(self(neighbors), hidden)


@wrong("4.3", "sum")
class AddsTheVectorsUp(Tables):
    def forward(self, neighbors):
        return self.head(self.wte(neighbors).sum(dim=1))


@wrong("4.3", "mean-of-batch")
class TakesTheMeanOverTheBatch(Tables):
    def forward(self, neighbors):
        return self.head(self.wte(neighbors).mean(dim=0))


@wrong("4.3", "raised")
class TakesTheMeanOverTheWidth(Tables):
    def forward(self, neighbors):
        return self.head(self.wte(neighbors).mean(dim=2))


@wrong("4.3", "no-mean")
class GivesLogitsForEachNeighbor(Tables):
    def forward(self, neighbors):
        return self.head(self.wte(neighbors))


@wrong("4.3", "no-head")
class ReturnsTheMeanVectors(Tables):
    def forward(self, neighbors):
        return self.wte(neighbors).mean(dim=1)


@wrong("4.3", "probabilities")
class ReturnsProbabilities(Tables):
    def forward(self, neighbors):
        return super().forward(neighbors).softmax(dim=1)


@wrong("4.3", "any-number")
class DividesByEight(Tables):
    def forward(self, neighbors):
        return self.head(self.wte(neighbors).sum(dim=1) / 8)


@wrong("4.3", "one-gap")
class SqueezesABatchOfOne(Tables):
    def forward(self, neighbors):
        return super().forward(neighbors).squeeze()


@wrong("4.3", "names")
class GivesTheHeadABias(Tables):
    def __init__(self, vocab_size, d_model):
        super().__init__(vocab_size, d_model)
        self.head = nn.Linear(d_model, vocab_size)


@wrong("4.3", "first-loss")
class LeavesTheHeadRandom(Tables):
    def __init__(self, vocab_size, d_model):
        super().__init__(vocab_size, d_model)
        nn.init.normal_(self.head.weight)
        nn.init.normal_(self.wte.weight)


@wrong("4.3", "softmax-twice")
class GivesProbabilitiesToTheLoss(Tables):
    def loss(self, neighbors, hidden):
        return F.cross_entropy(self(neighbors).softmax(dim=1), hidden)


@wrong("4.3", "no-softmax")
class TakesMinusTheScores(Tables):
    def loss(self, neighbors, hidden):
        return F.nll_loss(self(neighbors), hidden)


@wrong("4.3", "total")
class AddsTheLossesUp(Tables):
    def loss(self, neighbors, hidden):
        return F.cross_entropy(self(neighbors), hidden, reduction="sum")


@wrong("4.3", "per-gap")
class KeepsALossForEachGap(Tables):
    def loss(self, neighbors, hidden):
        return F.cross_entropy(self(neighbors), hidden, reduction="none")


@wrong("4.3", "loss-tensor")
class MakesTheLossANumber(Tables):
    def loss(self, neighbors, hidden):
        return F.cross_entropy(self(neighbors), hidden).item()


@wrong("4.3", "gradient")
class DetachesTheVectors(Tables):
    def forward(self, neighbors):
        return self.head(self.wte(neighbors).mean(dim=1).detach())


@wrong("4.3", "gradient")
class LooksUpInTheData(Tables):
    def forward(self, neighbors):
        return self.head(self.wte.weight.data[neighbors].mean(dim=1))


@wrong("4.3", "swapped")
class GivesTheIdsFirst(Tables):
    def loss(self, neighbors, hidden):
        return F.cross_entropy(hidden, self(neighbors))


# --- 4.4 nearest


def _cosines(table, i):
    unit = F.normalize(table, dim=1)
    return unit @ unit[i]


@wrong("4.4", "itself")
def finds_the_row_itself(table, i, k):
    return _cosines(table, i).topk(k).indices.tolist()


@wrong("4.4", "itself")
def leaves_out_the_first_place(table, i, k):
    return _cosines(table, i).topk(k + 1).indices[1:].tolist()


@wrong("4.4", "itself")
def leaves_out_the_first_of_a_stable_order(table, i, k):
    return _cosines(table, i).argsort(descending=True, stable=True)[1 : k + 1].tolist()


@wrong("4.4", "dot-product")
def takes_the_dot_product(table, i, k):
    similar = table @ table[i]
    similar[i] = -torch.inf
    return similar.topk(k).indices.tolist()


@wrong("4.4", "farthest")
def sorts_upwards(table, i, k):
    similar = _cosines(table, i)
    similar[i] = torch.inf
    return similar.argsort()[:k].tolist()


@wrong("4.4", "order")
def puts_the_closest_last(table, i, k):
    similar = _cosines(table, i)
    similar[i] = -torch.inf
    return similar.topk(k).indices.tolist()[::-1]


@wrong("4.4", "sign")
def takes_the_absolute_value(table, i, k):
    similar = _cosines(table, i).abs()
    similar[i] = -torch.inf
    return similar.topk(k).indices.tolist()


@wrong("4.4", "two")
def leaves_out_itself_after_topk(table, i, k):
    return [j for j in _cosines(table, i).topk(k).indices.tolist() if j != i]


@wrong("4.4", "random")
def centres_although_it_was_not_asked(table, i, k):
    similar = _cosines(table - 0.3 * table.mean(dim=0), i)
    similar[i] = -torch.inf
    return similar.topk(k).indices.tolist()


@wrong("4.4", "all-far")
def marks_itself_with_a_zero(table, i, k):
    similar = _cosines(table, i)
    similar[i] = 0
    return similar.topk(k).indices.tolist()


@wrong("4.4", "two")
def returns_the_cosines(table, i, k):
    similar = _cosines(table, i)
    similar[i] = -torch.inf
    return similar.topk(k).values.tolist()


@wrong("4.4", "shifted-ids")
def counts_without_the_row(table, i, k):
    return F.cosine_similarity(torch.cat([table[:i], table[i + 1 :]]), table[i][None]).topk(k).indices.tolist()


@wrong("4.4", "distance")
def takes_the_distance(table, i, k):
    far = (table - table[i]).norm(dim=1)
    far[i] = torch.inf
    return far.topk(k, largest=False).indices.tolist()


@wrong("4.4", "centered")
def centres_first(table, i, k):
    similar = _cosines(table - table.mean(dim=0), i)
    similar[i] = -torch.inf
    return similar.topk(k).indices.tolist()


# --- 4.5 analogy


def _answer(table, a, b, c, center=True, sign=1, unit=True, leave=(0, 1, 2)):
    centered = table - table.mean(dim=0) if center else table
    wanted = sign * (centered[b] - centered[a]) + centered[c]
    similar = (F.normalize(centered, dim=1) if unit else centered) @ wanted
    for place in leave:
        similar[(a, b, c)[place]] = -torch.inf
    return int(similar.argmax())


@wrong("4.5", "excluded")
def answers_with_a_given_word(table, a, b, c):
    return _answer(table, a, b, c, leave=())


@wrong("4.5", "excluded")
def leaves_out_only_c(table, a, b, c):
    return _answer(table, a, b, c, leave=(2,))


@wrong("4.5", "center")
def does_not_center(table, a, b, c):
    return _answer(table, a, b, c, center=False)


@wrong("4.5", "sign")
def goes_from_b_to_a(table, a, b, c):
    return _answer(table, a, b, c, sign=-1)


@wrong("4.5", "zero")
def marks_the_given_words_with_zeros(table, a, b, c):
    centered = table - table.mean(dim=0)
    similar = F.cosine_similarity(centered, (centered[b] - centered[a] + centered[c])[None])
    similar[[a, b, c]] = 0
    return int(similar.argmax())


@wrong("4.5", "cosine")
def takes_the_dot_product_of_the_sum(table, a, b, c):
    return _answer(table, a, b, c, unit=False)


@wrong("4.5", "center-number")
def centres_by_one_number(table, a, b, c):
    return _answer(table - table.mean(), a, b, c, center=False)


@wrong("4.5", "unit-first")
def normalises_before_the_sum(table, a, b, c):
    return _answer(F.normalize(table - table.mean(dim=0), dim=1), a, b, c, center=False)


@wrong("4.5", "random")
def centres_each_vector_by_its_own_mean(table, a, b, c):
    centered = table - table.mean(dim=1, keepdim=True)
    return _answer(centered, a, b, c, center=False)


# --- 4.6 add_positions


def _refuse(tokens, table):
    if tokens.shape[1] > len(table):
        raise ValueError("too long")


@wrong("4.6", "twice")
def adds_them_twice(tokens, table):
    _refuse(tokens, table)
    x = tokens + table[: tokens.shape[1]]
    return x + table[: tokens.shape[1]]


@wrong("4.6", "raised")
def adds_the_whole_table(tokens, table):
    return tokens + table


@wrong("4.6", "raised")
def cuts_the_table_by_the_batch(tokens, table):
    return tokens + table[: tokens.shape[0]]


@wrong("4.6", "batch-for-time")
def gives_each_row_of_the_batch_a_position(tokens, table):
    return tokens + table[: tokens.shape[0], None]


@wrong("4.6", "one-row")
def adds_the_first_position_everywhere(tokens, table):
    return tokens + table[0]


@wrong("4.6", "off-by-one")
def starts_at_position_one(tokens, table):
    return tokens + table[1 : tokens.shape[1] + 1]


@wrong("4.6", "last-rows")
def takes_the_last_rows(tokens, table):
    return tokens + table[-tokens.shape[1] :]


@wrong("4.6", "changes-input")
def adds_in_place(tokens, table):
    _refuse(tokens, table)
    tokens += table[: tokens.shape[1]]
    return tokens


@wrong("4.6", "gradient")
def does_not_let_the_positions_learn(tokens, table):
    _refuse(tokens, table)
    return tokens + table[: tokens.shape[1]].detach()


@wrong("4.6", "too-long")
def lets_torch_complain(tokens, table):
    return tokens + table[: tokens.shape[1]]


@wrong("4.6", "too-long")
def cuts_what_is_too_long(tokens, table):
    tokens = tokens[:, : len(table)]
    return tokens + table[: tokens.shape[1]]


# --- 4.7 sinusoids


def _table(length, d_model, exponent, first=0, base=10000.0, swap=False):
    angle = torch.arange(first, first + length)[:, None] / base**exponent
    pair = (angle.cos(), angle.sin()) if swap else (angle.sin(), angle.cos())
    return torch.stack(pair, dim=-1).flatten(1)


def _two_i(d_model):
    return torch.arange(0, d_model, 2) / d_model


@wrong("4.7", "parameter")
def makes_it_a_parameter(length, d_model):
    return nn.Parameter(_table(length, d_model, _two_i(d_model)))


@wrong("4.7", "layout")
def stacks_in_front(length, d_model):
    angle = torch.arange(length)[:, None] / 10000 ** _two_i(d_model)
    return torch.stack((angle.sin(), angle.cos())).reshape(length, -1)


@wrong("4.7", "swapped")
def puts_cosines_first(length, d_model):
    return _table(length, d_model, _two_i(d_model), swap=True)


@wrong("4.7", "halves")
def puts_them_in_two_halves(length, d_model):
    angle = torch.arange(length)[:, None] / 10000 ** _two_i(d_model)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


@wrong("4.7", "off-by-one")
def starts_at_one(length, d_model):
    return _table(length, d_model, _two_i(d_model), first=1)


@wrong("4.7", "exponent")
def takes_i_for_two_i(length, d_model):
    return _table(length, d_model, torch.arange(d_model // 2) / d_model)


@wrong("4.7", "twice-two")
def doubles_two_i(length, d_model):
    return _table(length, d_model, 2 * _two_i(d_model))


@wrong("4.7", "inverse")
def multiplies_by_the_power(length, d_model):
    return _table(length, d_model, -_two_i(d_model))


@wrong("4.7", "base")
def takes_another_base(length, d_model):
    return _table(length, d_model, _two_i(d_model), base=1000.0)


@wrong("4.7", "pairs")
def gives_each_column_its_own_angle(length, d_model):
    angle = torch.arange(length)[:, None] / 10000 ** (torch.arange(d_model) / d_model)
    table = angle.sin()
    table[:, 1::2] = angle[:, 1::2].cos()
    return table


@wrong("4.7", "two-pi")
def turns_once_a_position(length, d_model):
    angle = 2 * math.pi * torch.arange(length)[:, None] / 10000 ** _two_i(d_model)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("4.7", "off-by-one")
def starts_before_the_first(length, d_model):
    return _table(length, d_model, _two_i(d_model), first=-1)


@wrong("4.7", "denominator")
def divides_by_one_less(length, d_model):
    return _table(length, d_model, torch.arange(0, d_model, 2) / (d_model - 1))


@wrong("4.7", "denominator")
def lets_the_last_wave_be_the_slowest(length, d_model):
    return _table(length, d_model, torch.linspace(0, 1, d_model // 2))


@wrong("4.7", "halves")
def puts_cosines_first_in_two_halves(length, d_model):
    angle = torch.arange(length)[:, None] / 10000 ** _two_i(d_model)
    return torch.cat([angle.cos(), angle.sin()], dim=1)


@wrong("4.7", "fractions")
def lets_positions_run_from_0_to_1(length, d_model):
    angle = torch.linspace(0, 1, length)[:, None] / 10000 ** _two_i(d_model)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("4.7", "degrees")
def takes_angles_for_degrees(length, d_model):
    angle = torch.deg2rad(torch.arange(length)[:, None] / 10000 ** _two_i(d_model))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


@wrong("4.7", "shape")
def exchanges_rows_and_columns(length, d_model):
    return _table(length, d_model, _two_i(d_model)).T


@wrong("4.7", "dtype")
def computes_in_double_precision(length, d_model):
    return _table(length, d_model, _two_i(d_model)).double()


@wrong("4.7", "long")
def computes_in_half_precision(length, d_model):
    angle = torch.arange(length).bfloat16()[:, None] / 10000 ** _two_i(d_model)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()


# --- 4.8 shift_matrix


def _moving(k, d_model, angle_of, signs=(1, -1, 1, 1)):
    R = torch.zeros(d_model, d_model)
    for i in range(0, d_model, 2):
        cos, sin = math.cos(angle_of(i)), math.sin(angle_of(i))
        values = torch.tensor([cos, sin, sin, cos]) * torch.tensor(signs)
        R[i : i + 2, i : i + 2] = values.reshape(2, 2)
    return R


@wrong("4.8", "transposed")
def moves_back(k, d_model):
    return _moving(k, d_model, lambda i: k / 10000 ** (i / d_model)).T


@wrong("4.8", "one-angle")
def turns_all_pairs_alike(k, d_model):
    return _moving(k, d_model, lambda i: k)


@wrong("4.8", "exponent")
def counts_pairs_for_columns(k, d_model):
    return _moving(k, d_model, lambda i: k / 10000 ** (i / 2 / d_model))


@wrong("4.8", "inverse")
def multiplies_the_angle(k, d_model):
    return _moving(k, d_model, lambda i: k * 10000 ** (i / d_model))


@wrong("4.8", "one-step")
def forgets_how_far(k, d_model):
    return _moving(k, d_model, lambda i: 1 / 10000 ** (i / d_model))


@wrong("4.8", "signs")
def forgets_the_minus_of_a_formula(k, d_model):
    return _moving(k, d_model, lambda i: k / 10000 ** (i / d_model), (1, 1, 1, 1))


@wrong("4.8", "signs")
def puts_a_minus_on_both(k, d_model):
    return _moving(k, d_model, lambda i: k / 10000 ** (i / d_model), (1, -1, -1, 1))


@wrong("4.8", "halves")
def thinks_of_two_halves(k, d_model):
    angle = k / 10000 ** _two_i(d_model)
    cos, sin = angle.cos().diag(), angle.sin().diag()
    return torch.cat([torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)])


@wrong("4.8", "dtype")
def moves_in_double_precision(k, d_model):
    return _moving(k, d_model, lambda i: k / 10000 ** (i / d_model)).double()


@wrong("4.8", "other-steps")
def moves_forward_only(k, d_model):
    return _moving(k, d_model, lambda i: abs(k) / 10000 ** (i / d_model))


@wrong("4.8", "shape")
def makes_a_block_a_pair(k, d_model):
    angle = k / 10000 ** _two_i(d_model)
    return torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).reshape(-1, 2, 2)
