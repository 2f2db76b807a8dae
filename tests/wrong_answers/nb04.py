"""Wrong answers to the exercises of notebook 04."""

import torch
from torch.nn import functional as F

from tests.wrong_answers import wrong

# --- 4.1 lookup_by_one_hot


@wrong("4.1", "one-hot-only")
def stops_at_the_one_hot_rows(ids, table):
    return F.one_hot(ids, len(table)).to(table.dtype)


@wrong("4.1", "raised")
def multiplies_whole_numbers_by_floats(ids, table):
    return F.one_hot(ids, len(table)) @ table


@wrong("4.1", "raised")
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


# --- 4.3 nearest


def _cosines(table, i):
    unit = F.normalize(table, dim=1)
    return unit @ unit[i]


@wrong("4.3", "itself")
def finds_the_row_itself(table, i, k):
    return _cosines(table, i).topk(k).indices.tolist()


@wrong("4.3", "dot-product")
def takes_the_dot_product(table, i, k):
    similar = table @ table[i]
    similar[i] = -torch.inf
    return similar.topk(k).indices.tolist()


@wrong("4.3", "farthest")
def sorts_upwards(table, i, k):
    similar = _cosines(table, i)
    similar[i] = torch.inf
    return similar.argsort()[:k].tolist()


@wrong("4.3", "order")
def puts_the_closest_last(table, i, k):
    similar = _cosines(table, i)
    similar[i] = -torch.inf
    return similar.topk(k).indices.tolist()[::-1]


@wrong("4.3", "sign")
def takes_the_absolute_value(table, i, k):
    similar = _cosines(table, i).abs()
    similar[i] = -torch.inf
    return similar.topk(k).indices.tolist()


@wrong("4.3", "two")
def leaves_out_itself_after_topk(table, i, k):
    return [j for j in _cosines(table, i).topk(k).indices.tolist() if j != i]


@wrong("4.3", "random")
def centres_although_it_was_not_asked(table, i, k):
    similar = _cosines(table - 0.3 * table.mean(dim=0), i)
    similar[i] = -torch.inf
    return similar.topk(k).indices.tolist()


# --- 4.4 analogy


def _answer(table, a, b, c, centre=True, sign=1, unit=True, leave=(0, 1, 2)):
    centred = table - table.mean(dim=0) if centre else table
    wanted = sign * (centred[b] - centred[a]) + centred[c]
    similar = (F.normalize(centred, dim=1) if unit else centred) @ wanted
    for place in leave:
        similar[(a, b, c)[place]] = -torch.inf
    return int(similar.argmax())


@wrong("4.4", "excluded")
def answers_with_a_given_word(table, a, b, c):
    return _answer(table, a, b, c, leave=())


@wrong("4.4", "excluded")
def leaves_out_only_c(table, a, b, c):
    return _answer(table, a, b, c, leave=(2,))


@wrong("4.4", "centre")
def does_not_centre(table, a, b, c):
    return _answer(table, a, b, c, centre=False)


@wrong("4.4", "sign")
def goes_from_b_to_a(table, a, b, c):
    return _answer(table, a, b, c, sign=-1)


@wrong("4.4", "cosine")
def takes_the_dot_product_of_the_sum(table, a, b, c):
    return _answer(table, a, b, c, unit=False)


@wrong("4.4", "centre-number")
def centres_by_one_number(table, a, b, c):
    return _answer(table - table.mean(), a, b, c, centre=False)


@wrong("4.4", "unit-first")
def normalises_before_the_sum(table, a, b, c):
    return _answer(F.normalize(table - table.mean(dim=0), dim=1), a, b, c, centre=False)


@wrong("4.4", "random")
def centres_each_vector_by_its_own_mean(table, a, b, c):
    centred = table - table.mean(dim=1, keepdim=True)
    return _answer(centred, a, b, c, centre=False)


# --- 4.5 add_positions


def _refuse(tokens, table):
    if tokens.shape[1] > len(table):
        raise ValueError("too long")


@wrong("4.5", "twice")
def adds_them_twice(tokens, table):
    _refuse(tokens, table)
    x = tokens + table[: tokens.shape[1]]
    return x + table[: tokens.shape[1]]


@wrong("4.5", "raised")
def adds_the_whole_table(tokens, table):
    return tokens + table


@wrong("4.5", "raised")
def cuts_the_table_by_the_batch(tokens, table):
    return tokens + table[: tokens.shape[0]]


@wrong("4.5", "batch-for-time")
def gives_each_row_of_the_batch_a_position(tokens, table):
    return tokens + table[: tokens.shape[0], None]


@wrong("4.5", "one-row")
def adds_the_first_position_everywhere(tokens, table):
    return tokens + table[0]


@wrong("4.5", "off-by-one")
def starts_at_position_one(tokens, table):
    return tokens + table[1 : tokens.shape[1] + 1]


@wrong("4.5", "last-rows")
def takes_the_last_rows(tokens, table):
    return tokens + table[-tokens.shape[1] :]


@wrong("4.5", "changes-input")
def adds_in_place(tokens, table):
    _refuse(tokens, table)
    tokens += table[: tokens.shape[1]]
    return tokens


@wrong("4.5", "too-long")
def lets_torch_complain(tokens, table):
    return tokens + table[: tokens.shape[1]]


@wrong("4.5", "too-long")
def cuts_what_is_too_long(tokens, table):
    tokens = tokens[:, : len(table)]
    return tokens + table[: tokens.shape[1]]


# --- 4.6 sinusoid_table


def _table(length, d_model, exponent, first=0, base=10000.0, swap=False):
    angle = torch.arange(first, first + length)[:, None] / base**exponent
    pair = (angle.cos(), angle.sin()) if swap else (angle.sin(), angle.cos())
    return torch.stack(pair, dim=-1).flatten(1)


def _two_i(d_model):
    return torch.arange(0, d_model, 2) / d_model


@wrong("4.6", "swapped")
def puts_cosines_first(length, d_model):
    return _table(length, d_model, _two_i(d_model), swap=True)


@wrong("4.6", "halves")
def puts_them_in_two_halves(length, d_model):
    angle = torch.arange(length)[:, None] / 10000 ** _two_i(d_model)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


@wrong("4.6", "off-by-one")
def starts_at_one(length, d_model):
    return _table(length, d_model, _two_i(d_model), first=1)


@wrong("4.6", "exponent")
def takes_i_for_two_i(length, d_model):
    return _table(length, d_model, torch.arange(d_model // 2) / d_model)


@wrong("4.6", "twice-two")
def doubles_two_i(length, d_model):
    return _table(length, d_model, 2 * _two_i(d_model))


@wrong("4.6", "inverse")
def multiplies_by_the_power(length, d_model):
    return _table(length, d_model, -_two_i(d_model))


@wrong("4.6", "base")
def takes_another_base(length, d_model):
    return _table(length, d_model, _two_i(d_model), base=1000.0)


@wrong("4.6", "pairs")
def gives_each_column_its_own_angle(length, d_model):
    angle = torch.arange(length)[:, None] / 10000 ** (torch.arange(d_model) / d_model)
    table = angle.sin()
    table[:, 1::2] = angle[:, 1::2].cos()
    return table
