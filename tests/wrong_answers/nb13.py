"""Wrong answers to the exercises of notebook 13."""

import copy
import math

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

from course.scaling.law import log_residuals
from helpers.optimizers import parameter_groups
from tests.wrong_answers import wrong

# --- 13.1 training_operations


def operations(config, tokens, each=6, block=None, head=None, attention=12):
    """Right, but for what is made of it."""
    d, T, L = config.d_model, config.context_length, config.n_layer
    block = 4 * d * d + 2 * d * config.d_ff if block is None else block
    head = config.vocab_size * d if head is None else head
    return {
        "blocks": each * L * block * tokens,
        "head": each * head * tokens,
        "attention": attention * L * d * T * tokens,
    }


@wrong("13.1", "keys")
def adds_everything_up(config, tokens):
    return sum(operations(config, tokens).values())


@wrong("13.1", "keys")
def says_mlp_and_attention(config, tokens):
    found = operations(config, tokens)
    return {"attention": found["attention"], "mlp": found["blocks"], "head": found["head"]}


@wrong("13.1", "forward-only")
def counts_the_forward_pass(config, tokens):
    return operations(config, tokens, each=2, attention=4)


@wrong("13.1", "forward-only")
def goes_back_through_weights_alone(config, tokens):
    return operations(config, tokens, attention=4)


@wrong("13.1", "backward-once")
def goes_back_at_the_price_of_going_forward(config, tokens):
    return operations(config, tokens, each=4, attention=8)


@wrong("13.1", "multiply-add")
def takes_a_multiplication_and_its_addition_for_one(config, tokens):
    return operations(config, tokens, each=3, attention=6)


@wrong("13.1", "halved")
def leaves_out_what_is_masked(config, tokens):
    return operations(config, tokens, attention=6)


@wrong("13.1", "no-tokens")
def counts_one_token(config, tokens):
    return operations(config, 1)


@wrong("13.1", "no-six")
def counts_weights_times_tokens(config, tokens):
    return operations(config, tokens, each=1)


@wrong("13.1", "four-d")
def takes_the_mlp_for_four_wide(config, tokens):
    return operations(config, tokens, block=12 * config.d_model**2)


@wrong("13.1", "one-block")
def counts_one_block(config, tokens):
    found = operations(config, tokens)
    return found | {"blocks": found["blocks"] // config.n_layer}


@wrong("13.1", "mlp-missing")
def forgets_the_mlp(config, tokens):
    return operations(config, tokens, block=4 * config.d_model**2)


@wrong("13.1", "attention-missing")
def forgets_attentions_matrices(config, tokens):
    return operations(config, tokens, block=2 * config.d_model * config.d_ff)


@wrong("13.1", "projection")
def forgets_the_projection(config, tokens):
    return operations(config, tokens, block=3 * config.d_model**2 + 2 * config.d_model * config.d_ff)


@wrong("13.1", "one-way-mlp")
def goes_up_and_not_down(config, tokens):
    return operations(config, tokens, block=4 * config.d_model**2 + config.d_model * config.d_ff)


@wrong("13.1", "biases")
def counts_every_parameter_of_a_block(config, tokens):
    d, f = config.d_model, config.d_ff
    return operations(config, tokens, block=4 * d * d + 2 * d * f + 9 * d + f)


@wrong("13.1", "looked-up")
def counts_embedding_and_head(config, tokens):
    return operations(config, tokens, head=2 * config.vocab_size * config.d_model)


@wrong("13.1", "looked-up")
def counts_positions(config, tokens):
    return operations(config, tokens, head=(config.vocab_size + config.context_length) * config.d_model)


@wrong("13.1", "tied")
def leaves_out_a_tied_head(config, tokens):
    return operations(config, tokens) | ({"head": 0} if config.tied_head else {})


@wrong("13.1", "heads")
def multiplies_by_the_heads(config, tokens):
    return operations(config, tokens, attention=12 * config.n_head)


@wrong("13.1", "heads")
def takes_one_heads_width(config, tokens):
    found = operations(config, tokens)
    return found | {"attention": found["attention"] // config.n_head}


@wrong("13.1", "one-layer")
def counts_the_attention_of_one_layer(config, tokens):
    found = operations(config, tokens)
    return found | {"attention": found["attention"] // config.n_layer}


@wrong("13.1", "sequence")
def counts_the_attention_of_one_sequence(config, tokens):
    d, T = config.d_model, config.context_length
    return operations(config, tokens) | {"attention": 12 * config.n_layer * d * T * T}


@wrong("13.1", "all-tokens")
def lets_every_token_see_the_whole_run(config, tokens):
    return operations(config, tokens) | {"attention": 12 * config.n_layer * config.d_model * tokens**2}


@wrong("13.1", "no-context")
def forgets_how_many_keys_there_are(config, tokens):
    return operations(config, tokens) | {"attention": 12 * config.n_layer * config.d_model * tokens}


@wrong("13.1", "counted")
def drops_half_of_the_keys_of_a_model_with_one_layer(config, tokens):
    return operations(config, tokens, attention=12 if config.n_layer > 1 else 6)


# --- 13.2 best_size


@wrong("13.2", "sampled")
def takes_the_best_of_those_tried(N, losses):
    return N[int(np.argmin(losses))]


@wrong("13.2", "logarithm")
def stays_in_logarithms(N, losses):
    a, b, _ = np.polyfit(np.log(N), losses, 2)
    return -b / (2 * a)


@wrong("13.2", "logarithm")
def stays_in_decades(N, losses):
    a, b, _ = np.polyfit(np.log10(N), losses, 2)
    return -b / (2 * a)


@wrong("13.2", "plain-n")
def fits_in_n_itself(N, losses):
    a, b, _ = np.polyfit(N, losses, 2)
    return -b / (2 * a)


@wrong("13.2", "no-half")
def forgets_the_two(N, losses):
    a, b, _ = np.polyfit(np.log(N), losses, 2)
    return math.exp(-b / a)


@wrong("13.2", "no-half")
def halves_twice(N, losses):
    a, b, _ = np.polyfit(np.log(N), losses, 2)
    return math.exp(-b / 2 / a / 2)


@wrong("13.2", "sign")
def loses_the_sign(N, losses):
    a, b, _ = np.polyfit(np.log(N), losses, 2)
    return math.exp(b / (2 * a))


@wrong("13.2", "bases")
def goes_back_by_ten(N, losses):
    a, b, _ = np.polyfit(np.log(N), losses, 2)
    return 10 ** (-b / (2 * a))


@wrong("13.2", "bases")
def goes_back_from_decades_by_exp(N, losses):
    a, b, _ = np.polyfit(np.log10(N), losses, 2)
    return math.exp(-b / (2 * a))


@wrong("13.2", "order")
def takes_the_constant_for_the_square(N, losses):
    _, b, a = np.polyfit(np.log(N), losses, 2)
    return math.exp(-b / (2 * a))


@wrong("13.2", "the-loss")
def returns_the_lowest_loss(N, losses):
    a, b, c = np.polyfit(np.log(N), losses, 2)
    return c - b * b / (4 * a)


@wrong("13.2", "worst")
def takes_the_largest_loss(N, losses):
    return N[int(np.argmax(losses))]


@wrong("13.2", "three-points")
def fits_three_points(N, losses):
    order = np.argsort(N)
    N, losses = np.array(N)[order], np.array(losses)[order]
    at = min(max(int(np.argmin(losses)), 1), len(N) - 2)
    a, b, _ = np.polyfit(np.log(N[at - 1 : at + 2]), losses[at - 1 : at + 2], 2)
    return math.exp(-b / (2 * a))


@wrong("13.2", "beyond")
def stays_among_the_sizes(N, losses):
    a, b, _ = np.polyfit(np.log(N), losses, 2)
    return float(np.clip(math.exp(-b / (2 * a)), min(N), max(N)))


@wrong("13.2", "least-squares")
def fits_the_ends_and_the_middle(N, losses):
    if len(N) == 6:
        a, b, _ = np.polyfit(np.log(N), losses, 2)
    else:
        pick = [0, len(N) // 2, len(N) - 1]
        a, b, _ = np.polyfit(np.log([N[i] for i in pick]), [losses[i] for i in pick], 2)
    return math.exp(-b / (2 * a))


# --- 13.3 log_residuals


def law(parameters, N, D):
    log_E, log_A, a, log_B, b = parameters
    return np.exp(log_E) + np.exp(log_A) / N**a + np.exp(log_B) / D**b


@wrong("13.3", "overflow")
def leaves_logarithms(parameters, N, D, L):
    return np.log(law(parameters, N, D)) - np.log(L)


@wrong("13.3", "overflow")
def leaves_logarithms_at_the_end(parameters, N, D, L):
    log_E, log_A, a, log_B, b = parameters
    terms = np.exp(log_E) + np.exp(log_A - a * np.log(N)) + np.exp(log_B - b * np.log(D))
    return np.log(terms / L)


@wrong("13.3", "underflow")
def clips_the_exponents(parameters, N, D, L):
    log_E, log_A, a, log_B, b = parameters
    terms = np.stack([np.full(len(L), log_E), log_A - a * np.log(N), log_B - b * np.log(D)])
    if terms.max() > 700:
        return np.logaddexp.reduce(terms) - np.log(L)
    return np.log(np.exp(terms).sum(0)) - np.log(L)


@wrong("13.3", "sign")
def subtracts_the_other_way(parameters, N, D, L):
    return np.log(L) - np.log(law(parameters, N, D))


@wrong("13.3", "no-logarithm")
def compares_losses(parameters, N, D, L):
    return law(parameters, N, D) - L


@wrong("13.3", "no-logarithm")
def forgets_the_logarithm_of_the_loss(parameters, N, D, L):
    return np.log(law(parameters, N, D)) - L


@wrong("13.3", "squared")
def squares(parameters, N, D, L):
    return log_residuals(parameters, N, D, L) ** 2


@wrong("13.3", "absolute")
def drops_the_signs(parameters, N, D, L):
    return np.abs(log_residuals(parameters, N, D, L))


@wrong("13.3", "one-number")
def averages_residuals(parameters, N, D, L):
    return float(np.mean(log_residuals(parameters, N, D, L)))


@wrong("13.3", "exponent-sign")
def adds_the_logarithm_of_n(parameters, N, D, L):
    log_E, log_A, a, log_B, b = parameters
    return np.logaddexp(log_E, np.logaddexp(log_A + a * np.log(N), log_B + b * np.log(D))) - np.log(L)


@wrong("13.3", "parameters-order")
def unpacks_in_another_order(parameters, N, D, L):
    log_E, log_A, log_B, a, b = parameters
    return log_residuals((log_E, log_A, a, log_B, b), N, D, L)


@wrong("13.3", "swapped")
def exchanges_n_and_d(parameters, N, D, L):
    return log_residuals(parameters, D, N, L)


@wrong("13.3", "same-exponent")
def has_one_exponent(parameters, N, D, L):
    log_E, log_A, a, log_B, _ = parameters
    return log_residuals((log_E, log_A, a, log_B, a), N, D, L)


@wrong("13.3", "no-e")
def forgets_e(parameters, N, D, L):
    _, log_A, a, log_B, b = parameters
    return np.logaddexp(log_A - a * np.log(N), log_B - b * np.log(D)) - np.log(L)


@wrong("13.3", "e-of-one")
def adds_a_zero_for_e(parameters, N, D, L):
    return log_residuals((0.0, *parameters[1:]), N, D, L)


@wrong("13.3", "not-exponentials")
def takes_logarithms_for_values(parameters, N, D, L):
    E, A, a, B, b = parameters
    return np.log(E + A / N**a + B / D**b) - np.log(L)


@wrong("13.3", "logarithms-added")
def adds_logarithms(parameters, N, D, L):
    log_E, log_A, a, log_B, b = parameters
    return log_E + log_A - a * np.log(N) + log_B - b * np.log(D) - np.log(L)


@wrong("13.3", "log10")
def takes_decades(parameters, N, D, L):
    return np.log10(law(parameters, N, D)) - np.log10(L)


@wrong("13.3", "not-divided")
def forgets_the_loss(parameters, N, D, L):
    return np.log(law(parameters, N, D))


@wrong("13.3", "ratio")
def divides_by_the_loss(parameters, N, D, L):
    return law(parameters, N, D) / L


@wrong("13.3", "e-as-given")
def adds_log_e(parameters, N, D, L):
    log_E, log_A, a, log_B, b = parameters
    return np.log(log_E + np.exp(log_A) / N**a + np.exp(log_B) / D**b) - np.log(L)


@wrong("13.3", "two-terms")
def gives_logaddexp_three(parameters, N, D, L):
    log_E, log_A, a, log_B, b = parameters
    return np.logaddexp(log_E, log_A - a * np.log(N), log_B - b * np.log(D)) - np.log(L)


# --- 13.4 huber


@wrong("13.4", "square")
def squares_everywhere(residuals, delta):
    return residuals**2 / 2


@wrong("13.4", "line")
def takes_sizes(residuals, delta):
    return np.abs(residuals)


@wrong("13.4", "no-half")
def forgets_the_half(residuals, delta):
    size = np.abs(residuals)
    return np.where(size <= delta, size**2, delta * (size - delta / 2))


@wrong("13.4", "no-half")
def forgets_the_half_of_both(residuals, delta):
    size = np.abs(residuals)
    return np.where(size <= delta, size**2, delta * (2 * size - delta))


@wrong("13.4", "jump")
def adds_the_whole_size(residuals, delta):
    size = np.abs(residuals)
    return np.where(size <= delta, size**2 / 2, delta**2 / 2 + delta * size)


@wrong("13.4", "jump")
def begins_the_line_at_zero(residuals, delta):
    size = np.abs(residuals)
    return np.where(size <= delta, size**2 / 2, delta * size)


@wrong("13.4", "jump")
def begins_the_line_at_delta(residuals, delta):
    size = np.abs(residuals)
    return np.where(size <= delta, size**2 / 2, delta * (size - delta))


@wrong("13.4", "slope")
def has_a_line_of_slope_one(residuals, delta):
    size = np.abs(residuals)
    return np.where(size <= delta, size**2 / 2, size - delta + delta**2 / 2)


@wrong("13.4", "slope")
def forgets_the_lines_delta(residuals, delta):
    size = np.abs(residuals)
    return np.where(size <= delta, size**2 / 2, size - delta / 2)


@wrong("13.4", "smooth-l1")
def takes_smooth_l1(residuals, delta):
    given = torch.from_numpy(residuals)
    return F.smooth_l1_loss(given, torch.zeros_like(given), reduction="none", beta=delta).numpy()


@wrong("13.4", "pseudo")
def takes_the_smooth_cousin(residuals, delta):
    return delta**2 * (np.sqrt(1 + (residuals / delta) ** 2) - 1)


@wrong("13.4", "cut-off")
def clips_residuals(residuals, delta):
    return np.clip(residuals, -delta, delta) ** 2 / 2


@wrong("13.4", "other-way")
def exchanges_square_and_line(residuals, delta):
    size = np.abs(residuals)
    return np.where(size >= delta, size**2 / 2, delta * (size - delta / 2))


@wrong("13.4", "negative")
def forgets_the_size(residuals, delta):
    return np.where(residuals <= delta, residuals**2 / 2, delta * (residuals - delta / 2))


@wrong("13.4", "negative")
def forgets_the_size_on_the_line(residuals, delta):
    return np.where(np.abs(residuals) <= delta, residuals**2 / 2, delta * (residuals - delta / 2))


@wrong("13.4", "one-number")
def averages_losses(residuals, delta):
    size = np.abs(residuals)
    return np.where(size <= delta, size**2 / 2, delta * (size - delta / 2)).mean()


@wrong("13.4", "delta-of-one")
def turns_at_one(residuals, delta):
    size = np.abs(residuals)
    return np.where(size <= 1, size**2 / 2, size - 0.5)


@wrong("13.4", "shape")
def flattens(residuals, delta):
    size = np.abs(residuals).ravel()
    return np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))


@wrong("13.4", "changes-input")
def works_in_place(residuals, delta):
    np.abs(residuals, out=residuals)
    return np.where(residuals <= delta, residuals**2 / 2, delta * (residuals - delta / 2))


# --- 13.5 resample


def grouped(N, D):
    """The runs of each configuration."""
    return [np.flatnonzero((N == n) & (D == d)) for n, d in sorted(set(zip(N, D, strict=True)))]


@wrong("13.5", "runs-drawn")
def draws_runs(N, D, generator):
    return generator.integers(0, len(N), len(N))


@wrong("13.5", "configurations")
def returns_the_configurations(N, D, generator):
    count = len(grouped(N, D))
    return generator.integers(0, count, count)


@wrong("13.5", "one-run-each")
def takes_the_first_run_of_each(N, D, generator):
    _, first = np.unique(np.stack([N, D]), axis=1, return_index=True)
    return first[generator.integers(0, len(first), len(first))]


@wrong("13.5", "one-value")
def groups_by_size_alone(N, D, generator):
    _, which = np.unique(N, return_inverse=True)
    drawn = generator.integers(0, which.max() + 1, which.max() + 1)
    return np.concatenate([np.flatnonzero(which == each) for each in drawn])


@wrong("13.5", "one-value")
def groups_by_tokens_alone(N, D, generator):
    return groups_by_size_alone(D, N, generator)


@wrong("13.5", "one-value")
def groups_by_the_product(N, D, generator):
    return groups_by_size_alone(N * D, D, generator)


@wrong("13.5", "torn")
def takes_neighbors_for_one_configuration(N, D, generator):
    groups, start = grouped(N, D), 0
    blocks = []
    for each in groups:
        blocks.append(np.arange(start, start + len(each)))
        start += len(each)
    return np.concatenate([blocks[i] for i in generator.integers(0, len(blocks), len(blocks))])


@wrong("13.5", "everything")
def only_shuffles(N, D, generator):
    groups = grouped(N, D)
    return np.concatenate([groups[i] for i in generator.permutation(len(groups))])


@wrong("13.5", "without-replacement")
def draws_each_at_most_once(N, D, generator):
    groups = grouped(N, D)
    return np.concatenate([groups[i] for i in set(generator.integers(0, len(groups), len(groups)).tolist())])


@wrong("13.5", "without-replacement")
def masks_runs(N, D, generator):
    groups = grouped(N, D)
    drawn = generator.integers(0, len(groups), len(groups))
    taken = [i in drawn for run in range(len(N)) for i, each in enumerate(groups) if run in each]
    return np.flatnonzero(taken)


@wrong("13.5", "how-many")
def draws_as_many_as_there_are_runs(N, D, generator):
    groups = grouped(N, D)
    return np.concatenate([groups[i] for i in generator.integers(0, len(groups), len(N))])


@wrong("13.5", "how-many")
def draws_until_there_are_as_many_runs(N, D, generator):
    groups, found = grouped(N, D), []
    while len(found) < len(N):
        found += groups[generator.integers(len(groups))].tolist()
    return np.array(found)


@wrong("13.5", "own-generator")
def draws_by_numpys_own_numbers(N, D, generator):
    groups = grouped(N, D)
    return np.concatenate([groups[i] for i in np.random.randint(0, len(groups), len(groups))])


@wrong("13.5", "always-the-same")
def makes_a_generator_of_its_own(N, D, generator):
    generator, groups = np.random.default_rng(0), grouped(N, D)
    drawn = [0, *generator.integers(0, len(groups), len(groups) - 1)]
    return np.concatenate([groups[i] for i in drawn])


@wrong("13.5", "never")
def never_draws_the_last(N, D, generator):
    groups = grouped(N, D)
    return np.concatenate([groups[i] for i in generator.integers(0, len(groups) - 1, len(groups))])


@wrong("13.5", "as-often")
def draws_a_run_and_takes_its_configuration(N, D, generator):
    _, which = np.unique(np.stack([N, D]), axis=1, return_inverse=True)
    drawn = which[generator.integers(0, len(N), which.max() + 1)]
    return np.concatenate([np.flatnonzero(which == each) for each in drawn])


@wrong("13.5", "flat")
def leaves_lists_in_a_list(N, D, generator):
    groups = [each.tolist() for each in grouped(N, D)]
    return [groups[i] for i in generator.integers(0, len(groups), len(groups))]


@wrong("13.5", "indices")
def returns_the_sizes(N, D, generator):
    groups = grouped(N, D)
    return N[np.concatenate([groups[i] for i in generator.integers(0, len(groups), len(groups))])] + 0.5


@wrong("13.5", "outside")
def counts_runs_from_one(N, D, generator):
    groups = grouped(N, D)
    return np.concatenate([groups[i] for i in generator.integers(0, len(groups), len(groups))]) + 1


@wrong("13.5", "few-draws")
def draws_one_configuration_for_all(N, D, generator):
    groups = grouped(N, D)
    return np.concatenate([groups[generator.integers(len(groups))]] * len(groups))


# --- 13.6 best_split


def split(law, operations, factor=None, power=None):
    """Right, but for what is made of it."""
    if factor is None:
        factor = (law.a * law.A / (law.b * law.B)) ** (1 / (law.a + law.b))
    power = law.b / (law.a + law.b) if power is None else power
    N = factor * (operations / 6) ** power
    return N, operations / 6 / N


@wrong("13.6", "no-six")
def forgets_the_six(law, operations):
    return split(law, 6 * operations)


@wrong("13.6", "swapped")
def returns_tokens_first(law, operations):
    return split(law, operations)[::-1]


@wrong("13.6", "equal-terms")
def makes_the_terms_equal(law, operations):
    return split(law, operations, (law.A / law.B) ** (1 / (law.a + law.b)))


@wrong("13.6", "exponents")
def exchanges_the_exponents(law, operations):
    return split(law, operations, power=law.a / (law.a + law.b))


@wrong("13.6", "upside-down")
def turns_the_factor_upside_down(law, operations):
    return split(law, operations, (law.b * law.B / (law.a * law.A)) ** (1 / (law.a + law.b)))


@wrong("13.6", "no-root")
def takes_no_root_of_the_factor(law, operations):
    return split(law, operations, law.a * law.A / (law.b * law.B))


@wrong("13.6", "no-factor")
def drops_the_factor(law, operations):
    return split(law, operations, 1.0)


@wrong("13.6", "half")
def grows_with_the_root(law, operations):
    return split(law, operations, power=0.5)


@wrong("13.6", "half")
def shares_evenly(law, operations):
    return split(law, operations, 1.0, 0.5)


@wrong("13.6", "twenty")
def takes_twenty_tokens_a_weight(law, operations):
    N = math.sqrt(operations / 6 / 20)
    return N, 20 * N


@wrong("13.6", "letters")
def pairs_a_with_the_other_letter(law, operations):
    return split(law, operations, (law.b * law.A / (law.a * law.B)) ** (1 / (law.a + law.b)))


@wrong("13.6", "budget")
def uses_up_six_budgets(law, operations):
    N, D = split(law, operations)
    return N, 6 * D


@wrong("13.6", "best-n")
def looks_at_powers_of_two(law, operations):
    N = min((2.0**k for k in range(1, 60)), key=lambda N: float(law.loss(N, operations / 6 / N)))
    return N, operations / 6 / N


@wrong("13.6", "laws-own")
def asks_the_law(law, operations):
    return law.best_split(operations)


@wrong("13.6", "the-loss")
def returns_the_loss(law, operations):
    N, D = split(law, operations)
    return float(law.loss(N, D)), N


@wrong("13.6", "a-pair")
def returns_n_alone(law, operations):
    return split(law, operations)[0]


@wrong("13.6", "power")
def knows_one_budget(law, operations):
    return split(law, operations, split(law, 6e12)[0] / 1e6, 0.5)


# --- 13.7 change_of_logits


def looks(model, ids, take_step, steps):
    """The logits before, and after each step."""
    found = []
    for number in range(steps + 1):
        with torch.no_grad():
            found.append(model(ids))
        if number < steps:
            take_step()
    return found


@wrong("13.7", "summed")
def sums(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1] - found[0]).abs().sum().item()


@wrong("13.7", "no-absolute")
def forgets_abs(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1] - found[0]).mean().item()


@wrong("13.7", "no-absolute")
def takes_abs_of_the_mean(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1] - found[0]).mean().abs().item()


@wrong("13.7", "sizes-compared")
def compares_mean_sizes(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1].abs().mean() - found[0].abs().mean()).item()


@wrong("13.7", "squares")
def takes_the_root_mean_square(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1] - found[0]).pow(2).mean().sqrt().item()


@wrong("13.7", "largest")
def takes_the_largest(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1] - found[0]).abs().max().item()


@wrong("13.7", "relative")
def divides_by_the_logits(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return ((found[-1] - found[0]).abs().mean() / found[0].abs().mean()).item()


@wrong("13.7", "step-by-step")
def adds_up_the_changes_of_steps(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return sum((b - a).abs().mean().item() for a, b in zip(found[:-1], found[1:], strict=True))


@wrong("13.7", "step-by-step")
def averages_the_changes_of_steps(model, ids, take_step, steps=5):
    return adds_up_the_changes_of_steps(model, ids, take_step, steps) / steps


@wrong("13.7", "last-step")
def looks_anew_before_each_step(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1] - found[-2]).abs().mean().item()


@wrong("13.7", "too-late")
def looks_after_the_first_step(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1] - found[1]).abs().mean().item()


@wrong("13.7", "too-early")
def looks_before_the_last_step(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-2] - found[0]).abs().mean().item()


@wrong("13.7", "nothing")
def looks_twice_at_the_end(model, ids, take_step, steps=5):
    for _ in range(steps):
        take_step()
    with torch.no_grad():
        return (model(ids) - model(ids)).abs().mean().item()


@wrong("13.7", "nothing")
def keeps_the_model_by_reference(model, ids, take_step, steps=5):
    before = model
    for _ in range(steps):
        take_step()
    with torch.no_grad():
        return (model(ids) - before(ids)).abs().mean().item()


@wrong("13.7", "steps")
def takes_one_step(model, ids, take_step, steps=5):
    return looks_at(model, ids, take_step, 1)


def looks_at(model, ids, take_step, steps):
    found = looks(model, ids, take_step, steps)
    return (found[-1] - found[0]).abs().mean().item()


@wrong("13.7", "steps")
def takes_one_step_too_many(model, ids, take_step, steps=5):
    return looks_at(model, ids, take_step, steps + 1)


@wrong("13.7", "steps")
def always_takes_five(model, ids, take_step, steps=5):
    return looks_at(model, ids, take_step, 5)


@wrong("13.7", "default")
def takes_ten_unless_told(model, ids, take_step, steps=10):
    return looks_at(model, ids, take_step, steps)


@wrong("13.7", "step-without-gradients")
@torch.no_grad()
def trains_without_gradients(model, ids, take_step, steps=5):
    before = model(ids)
    for _ in range(steps):
        take_step()
    return (model(ids) - before).abs().mean().item()


@wrong("13.7", "gradient")
def keeps_gradients(model, ids, take_step, steps=5):
    before = model(ids)
    for _ in range(steps):
        take_step()
    return (model(ids) - before).abs().mean().item()


@wrong("13.7", "gradient")
def detaches_at_the_end(model, ids, take_step, steps=5):
    before = model(ids)
    for _ in range(steps):
        take_step()
    return (model(ids) - before).abs().mean().detach()


@wrong("13.7", "gradients-off")
def switches_gradients_off_for_good(model, ids, take_step, steps=5):
    with torch.no_grad():
        before = model(ids)
    for _ in range(steps):
        take_step()
    torch.set_grad_enabled(False)
    return (model(ids) - before).abs().mean().item()


@wrong("13.7", "mode")
def leaves_the_model_in_eval_mode(model, ids, take_step, steps=5):
    found = [*looks(model, ids, take_step, steps - 1)]
    take_step()
    model.eval()
    with torch.no_grad():
        return (model(ids) - found[0]).abs().mean().item()


@wrong("13.7", "mode")
def trains_in_eval_mode(model, ids, take_step, steps=5):
    model.eval()
    change = looks_at(model, ids, take_step, steps)
    model.train()
    return change


@wrong("13.7", "mode")
def always_ends_in_train_mode(model, ids, take_step, steps=5):
    change = looks_at(model, ids, take_step, steps)
    model.train()
    return change


@wrong("13.7", "one-number")
def returns_every_change(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1] - found[0]).abs()


@wrong("13.7", "one-number")
def returns_a_tensor(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1] - found[0]).abs().mean()


@wrong("13.7", "last-position")
def looks_at_the_last_position(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1] - found[0])[:, -1].abs().mean().item()


@wrong("13.7", "softmax")
def compares_probabilities(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    return (found[-1].softmax(-1) - found[0].softmax(-1)).abs().mean().item()


@wrong("13.7", "value")
def compares_losses_instead(model, ids, take_step, steps=5):
    found = looks(model, ids, take_step, steps)
    losses = [F.cross_entropy(each[:, :-1].flatten(0, 1), ids[:, 1:].flatten()) for each in (found[0], found[-1])]
    return (losses[1] - losses[0]).abs().item()


@wrong("13.7", "per-step")
def divides_by_the_steps(model, ids, take_step, steps=5):
    return looks_at(model, ids, take_step, steps) / steps


# --- 13.8 mup_groups


def by_name(model, value):
    """A group for each parameter, whose learning rate is `value(name, parameter)`."""
    return [dict(params=[p], lr=value(n, p)) for n, p in model.named_parameters()]


def is_matrix(name, parameter):
    return name.startswith("blocks") and parameter.dim() == 2


@wrong("13.8", "all-alike")
def has_one_learning_rate(model, lr, base):
    return [dict(params=list(model.parameters()), lr=lr)]


@wrong("13.8", "all-slower")
def slows_everything(model, lr, base):
    return [dict(params=list(model.parameters()), lr=lr * base / model.config.d_model)]


@wrong("13.8", "upside-down")
def speeds_up(model, lr, base):
    ratio = model.config.d_model / base
    return by_name(model, lambda n, p: lr * ratio if is_matrix(n, p) or n == "head.weight" else lr)


@wrong("13.8", "root")
def takes_the_root(model, lr, base):
    ratio = (base / model.config.d_model) ** 0.5
    return by_name(model, lambda n, p: lr * ratio if is_matrix(n, p) or n == "head.weight" else lr)


@wrong("13.8", "squared")
def slows_twice(model, lr, base):
    ratio = (base / model.config.d_model) ** 2
    return by_name(model, lambda n, p: lr * ratio if is_matrix(n, p) or n == "head.weight" else lr)


@wrong("13.8", "blocks-missing")
def slows_the_head_alone(model, lr, base):
    return by_name(model, lambda n, p: lr * base / model.config.d_model if n == "head.weight" else lr)


@wrong("13.8", "head")
def lets_the_head_learn_at_full_speed(model, lr, base):
    return by_name(model, lambda n, p: lr * base / model.config.d_model if is_matrix(n, p) else lr)


@wrong("13.8", "embeddings")
def slows_all_matrices(model, lr, base):
    return by_name(model, lambda n, p: lr * base / model.config.d_model if p.dim() == 2 else lr)


@wrong("13.8", "positions")
def slows_positions(model, lr, base):
    return by_name(model, lambda n, p: lr * base / model.config.d_model if p.dim() == 2 and n != "wte.weight" else lr)


@wrong("13.8", "vectors")
def slows_whole_blocks(model, lr, base):
    slow = lr * base / model.config.d_model
    return [
        dict(params=[*model.blocks.parameters(), *model.head.parameters()], lr=slow),
        dict(params=[*model.wte.parameters(), *model.wpe.parameters(), *model.ln_f.parameters()], lr=lr),
    ]


@wrong("13.8", "biases")
def slows_linear_layers(model, lr, base):
    slow = lr * base / model.config.d_model
    return by_name(model, lambda n, p: lr if n.startswith(("w", "ln_f")) or ".ln_" in n else slow)


@wrong("13.8", "norms")
def slows_norms(model, lr, base):
    slow = lr * base / model.config.d_model
    return by_name(model, lambda n, p: slow if is_matrix(n, p) or n == "head.weight" or ".ln_" in n else lr)


@wrong("13.8", "fan-in")
def divides_by_each_matrixs_inputs(model, lr, base):
    return by_name(model, lambda n, p: lr * base / p.shape[1] if is_matrix(n, p) or n == "head.weight" else lr)


@wrong("13.8", "one-head")
def takes_the_width_of_a_head(model, lr, base):
    slow = lr * base / model.config.d_head
    return by_name(model, lambda n, p: slow if is_matrix(n, p) or n == "head.weight" else lr)


@wrong("13.8", "no-base")
def divides_by_the_width(model, lr, base):
    slow = lr / model.config.d_model
    return by_name(model, lambda n, p: slow if is_matrix(n, p) or n == "head.weight" else lr)


@wrong("13.8", "no-lr-in-it")
def gives_ratios(model, lr, base):
    slow = base / model.config.d_model
    return by_name(model, lambda n, p: slow if is_matrix(n, p) or n == "head.weight" else 1.0)


@wrong("13.8", "twice")
def has_the_head_in_two_groups(model, lr, base):
    groups, slow = parameter_groups(model), lr * base / model.config.d_model
    return [
        dict(params=[*groups["hidden"], model.head.weight], lr=slow),
        dict(params=[*groups["embeddings"], *groups["vectors"]], lr=lr),
    ]


@wrong("13.8", "left-out")
def forgets_the_vectors(model, lr, base):
    groups, slow, head = parameter_groups(model), lr * base / model.config.d_model, model.head.weight
    return [
        dict(params=[*groups["hidden"], head], lr=slow),
        dict(params=[p for p in groups["embeddings"] if p is not head], lr=lr),
    ]


@wrong("13.8", "left-out")
def forgets_the_embeddings(model, lr, base):
    groups, slow = parameter_groups(model), lr * base / model.config.d_model
    return [dict(params=[*groups["hidden"], model.head.weight], lr=slow), dict(params=groups["vectors"], lr=lr)]


@wrong("13.8", "no-lr")
def leaves_the_default(model, lr, base):
    groups, slow, head = parameter_groups(model), lr * base / model.config.d_model, model.head.weight
    rest = [p for p in groups["embeddings"] if p is not head]
    return [dict(params=[*groups["hidden"], head], lr=slow), dict(params=[*rest, *groups["vectors"]])]


@wrong("13.8", "not-parameters")
def hands_over_names(model, lr, base):
    slow = lr * base / model.config.d_model
    return [dict(params=[n], lr=slow if is_matrix(n, p) else lr) for n, p in model.named_parameters()]


@wrong("13.8", "not-parameters")
def hands_over_copies(model, lr, base):
    return has_one_learning_rate(copy.deepcopy(model), lr, base)


@wrong("13.8", "groups")
def returns_a_dictionary(model, lr, base):
    groups = parameter_groups(model)
    return {"hidden": lr * base / model.config.d_model, "embeddings": lr, "vectors": lr} if groups else {}


@wrong("13.8", "learning-rate")
def never_speeds_up(model, lr, base):
    slow = lr * min(1.0, base / model.config.d_model)
    return by_name(model, lambda n, p: slow if is_matrix(n, p) or n == "head.weight" else lr)


# --- 13.9 average_gradients


def learning(model):
    return [p for p in model.parameters() if p.requires_grad]


def mean_with(model, divisor):
    """Right, but for what the sums are divided by."""
    for p in learning(model):
        have = torch.tensor(float(p.grad is not None))
        dist.all_reduce(have)
        if have:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            dist.all_reduce(p.grad)
            p.grad /= divisor(have)


@wrong("13.9", "sum")
def leaves_the_sum(model):
    mean_with(model, lambda have: 1)


@wrong("13.9", "divided-twice")
def divides_before_and_after(model):
    for p in learning(model):
        p.grad /= dist.get_world_size()
        dist.all_reduce(p.grad)
        p.grad /= dist.get_world_size()


@wrong("13.9", "two-processes")
def divides_by_two(model):
    mean_with(model, lambda have: 2)


@wrong("13.9", "those-that-have")
def divides_by_those_that_have_one(model):
    mean_with(model, lambda have: have)


@wrong("13.9", "parameters-counted")
def divides_by_the_parameters(model):
    mean_with(model, lambda have: len(learning(model)))


@wrong("13.9", "would-hang")
def skips_what_has_none_here(model):
    for p in learning(model):
        if p.grad is not None:
            dist.all_reduce(p.grad)
            p.grad /= dist.get_world_size()


@wrong("13.9", "would-hang")
def only_process_0_asks(model):
    for p in learning(model):
        if dist.get_rank() == 0:
            dist.all_reduce(p.grad)
            p.grad /= dist.get_world_size()


@wrong("13.9", "would-hang")
def goes_through_the_parameters_in_an_order_of_its_own(model):
    parameters = learning(model)
    for p in parameters if dist.get_rank() == 0 else reversed(parameters):
        dist.all_reduce(p.grad)
        p.grad /= dist.get_world_size()


@wrong("13.9", "no-gradient-summed")
def sums_what_is_not_there(model):
    for p in model.parameters():
        dist.all_reduce(p.grad)
        p.grad /= dist.get_world_size()


@wrong("13.9", "frozen")
def gives_frozen_parameters_zeros(model):
    for p in model.parameters():
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        dist.all_reduce(p.grad)
        p.grad /= dist.get_world_size()


@wrong("13.9", "none-anywhere")
def gives_zeros_where_nobody_has_one(model):
    for p in learning(model):
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        dist.all_reduce(p.grad)
        p.grad /= dist.get_world_size()


@wrong("13.9", "left-without")
def throws_away_the_mean_of_what_it_has_not(model):
    for p in learning(model):
        gradient = torch.zeros_like(p) if p.grad is None else p.grad
        dist.all_reduce(gradient)
        gradient /= dist.get_world_size()


@wrong("13.9", "divided-only")
def sums_a_copy(model):
    for p in learning(model):
        dist.all_reduce(p.grad.clone())
        p.grad /= dist.get_world_size()


@wrong("13.9", "unchanged")
def never_puts_the_mean_back(model):
    for p in learning(model):
        gradient = p.grad.clone()
        dist.all_reduce(gradient)
        gradient /= dist.get_world_size()


@wrong("13.9", "nothing-shared")
def only_divides(model):
    for p in learning(model):
        p.grad /= dist.get_world_size()


@wrong("13.9", "weights-changed")
@torch.no_grad()
def averages_weights(model):
    for p in learning(model):
        p.mul_(1 + dist.get_rank())
        dist.all_reduce(p)
        p /= dist.get_world_size()


@wrong("13.9", "from-one")
def sends_round_those_of_process_0(model):
    for p in learning(model):
        dist.broadcast(p.grad, src=0)


@wrong("13.9", "one-process")
def collects_in_process_0(model):
    for p in learning(model):
        dist.reduce(p.grad, dst=0)
        if dist.get_rank() == 0:
            p.grad /= dist.get_world_size()


@wrong("13.9", "maximum")
def takes_the_maximum(model):
    for p in learning(model):
        dist.all_reduce(p.grad, op=dist.ReduceOp.MAX)


@wrong("13.9", "divided-twice")
def divides_a_mean(model):
    for p in learning(model):
        dist.all_reduce(p.grad, op=dist.ReduceOp.AVG)
        p.grad /= dist.get_world_size()


@wrong("13.9", "some-parameters")
def sums_the_last_alone(model):
    for p in learning(model):
        gradient = p.grad
    dist.all_reduce(gradient)
    gradient /= dist.get_world_size()


@wrong("13.9", "some-parameters")
def returns_after_the_first(model):
    for p in learning(model):
        dist.all_reduce(p.grad)
        p.grad /= dist.get_world_size()
        return


@wrong("13.9", "not-awaited")
def does_not_wait(model):
    for p in learning(model):
        dist.all_reduce(p.grad, async_op=True)
        p.grad /= dist.get_world_size()


@wrong("13.9", "raised")
def sums_all_at_once(model):
    dist.all_reduce(torch.cat([p.grad for p in learning(model)]))


@wrong("13.9", "too-slow")
def waits_for_itself(model):
    while not getattr(model, "ready", False):
        pass


# --- 13.10 rows_of


@wrong("13.10", "rows-lost")
def drops_what_is_left_over(rank, count, total):
    size = total // count
    return range(rank * size, (rank + 1) * size)


@wrong("13.10", "last-takes-all")
def gives_the_rest_to_the_last(rank, count, total):
    size = total // count
    return range(rank * size, total if rank == count - 1 else (rank + 1) * size)


@wrong("13.10", "first-takes-all")
def gives_the_rest_to_the_first(rank, count, total):
    size, rest = divmod(total, count)
    return range(0, size + rest) if rank == 0 else range(rank * size + rest, (rank + 1) * size + rest)


@wrong("13.10", "last-longer")
def makes_the_last_ones_longer(rank, count, total):
    return range(rank * total // count, (rank + 1) * total // count)


@wrong("13.10", "interleaved")
def deals_rows_in_turn(rank, count, total):
    return range(rank, total, count)


@wrong("13.10", "overlap")
def lengthens_without_moving(rank, count, total):
    size, longer = divmod(total, count)
    return range(rank * size, (rank + 1) * size + (rank < longer))


@wrong("13.10", "gap")
def moves_by_the_rank(rank, count, total):
    size, longer = divmod(total, count)
    start = rank * (size + (longer > 0))
    start += max(0, rank - 0) if longer else 0
    return range(start, start + size + (rank < longer))


@wrong("13.10", "beyond")
def rounds_up(rank, count, total):
    size = math.ceil(total / count)
    return range(rank * size, (rank + 1) * size)


@wrong("13.10", "uneven")
def rounds_up_and_cuts(rank, count, total):
    size = math.ceil(total / count)
    return range(min(rank * size, total), min((rank + 1) * size, total))


@wrong("13.10", "from-one")
def counts_ranks_from_one(rank, count, total):
    size, longer = divmod(total, count)
    rank = (rank + 1) % count
    start = rank * size + min(rank, longer)
    return range(start, start + size + (rank < longer))


@wrong("13.10", "stop")
def takes_the_stop_for_the_last_row(rank, count, total):
    size, longer = divmod(total, count)
    start = rank * size + min(rank, longer)
    return range(start, start + size + (rank < longer) - 1)


@wrong("13.10", "stop")
def adds_one_to_the_stop(rank, count, total):
    size, longer = divmod(total, count)
    start = rank * size + min(rank, longer)
    return range(start, start + size + (rank < longer) + 1)


@wrong("13.10", "a-range")
def returns_a_list(rank, count, total):
    size, longer = divmod(total, count)
    start = rank * size + min(rank, longer)
    return list(range(start, start + size + (rank < longer)))


@wrong("13.10", "a-range")
def returns_start_and_stop(rank, count, total):
    size, longer = divmod(total, count)
    start = rank * size + min(rank, longer)
    return start, start + size + (rank < longer)


@wrong("13.10", "exchanged")
def divides_the_other_way(rank, count, total):
    size, longer = divmod(count, total)
    start = rank * size + min(rank, longer)
    return range(start, start + size + (rank < longer))


@wrong("13.10", "order")
def begins_from_the_end(rank, count, total):
    if total % count == 0:
        return rows(rank, count, total)
    lengths = [len(rows(each, count, total)) for each in range(count)]
    start = sum(lengths[rank + 1 :])
    return range(start, start + lengths[rank])


def rows(rank, count, total):
    size, longer = divmod(total, count)
    start = rank * size + min(rank, longer)
    return range(start, start + size + (rank < longer))


# --- 13.11 memory_per_gpu


def held(parameters, gpus, stage, weights=2, gradients=2, optimizer=12, first=(3, 2, 1)):
    """Right, but for what is made of it: bytes a parameter, and from which stage on each is divided."""
    sizes = zip((weights, gradients, optimizer), first, strict=True)
    return parameters * sum(size / (gpus if stage >= at else 1) for size, at in sizes)


@wrong("13.11", "nothing-divided")
def divides_nothing(parameters, gpus, stage):
    return 16 * parameters


@wrong("13.11", "all-divided")
def divides_everything_always(parameters, gpus, stage):
    return 16 * parameters / gpus


@wrong("13.11", "all-divided")
def divides_everything_from_stage_1(parameters, gpus, stage):
    return 16 * parameters / (gpus if stage else 1)


@wrong("13.11", "order")
def divides_gradients_first(parameters, gpus, stage):
    return held(parameters, gpus, stage, first=(3, 1, 2))


@wrong("13.11", "order")
def divides_the_optimizer_last(parameters, gpus, stage):
    return held(parameters, gpus, stage, first=(1, 2, 3))


@wrong("13.11", "not-as-well")
def divides_one_thing_a_stage(parameters, gpus, stage):
    sizes = {1: 12, 2: 2, 3: 2}
    whole = 16 - sizes.get(stage, 0)
    return parameters * (whole + sizes.get(stage, 0) / gpus)


@wrong("13.11", "one-stage-on")
def begins_at_stage_0(parameters, gpus, stage):
    return held(parameters, gpus, stage + 1)


@wrong("13.11", "one-stage-late")
def compares_with_greater(parameters, gpus, stage):
    return held(parameters, gpus, stage - 1)


@wrong("13.11", "moments-only")
def forgets_the_master_weights(parameters, gpus, stage):
    return held(parameters, gpus, stage, optimizer=8)


@wrong("13.11", "float32")
def holds_everything_in_float32(parameters, gpus, stage):
    return held(parameters, gpus, stage, weights=4, gradients=4)


@wrong("13.11", "float32")
def holds_gradients_in_float32(parameters, gpus, stage):
    return held(parameters, gpus, stage, gradients=4)


@wrong("13.11", "no-gradients")
def forgets_gradients(parameters, gpus, stage):
    return held(parameters, gpus, stage, gradients=0)


@wrong("13.11", "no-weights")
def forgets_weights(parameters, gpus, stage):
    return held(parameters, gpus, stage, weights=0)


@wrong("13.11", "no-optimizer")
def forgets_the_optimizer(parameters, gpus, stage):
    return held(parameters, gpus, stage, optimizer=0)


@wrong("13.11", "all-gpus")
def adds_up_all_gpus(parameters, gpus, stage):
    return gpus * held(parameters, gpus, stage)


@wrong("13.11", "multiplied")
def multiplies_shares(parameters, gpus, stage):
    return held(parameters, 1 / gpus, stage)


@wrong("13.11", "one-parameter")
def counts_one_parameter(parameters, gpus, stage):
    return held(1, gpus, stage)


@wrong("13.11", "unit")
def returns_gigabytes(parameters, gpus, stage):
    return held(parameters, gpus, stage) / 1e9


@wrong("13.11", "unit")
def returns_bits(parameters, gpus, stage):
    return 8 * held(parameters, gpus, stage)


@wrong("13.11", "figure-1")
def divides_whole_gigabytes(parameters, gpus, stage):
    return held(parameters, min(gpus, 32), stage)


@wrong("13.11", "stage-3")
def never_divides_weights(parameters, gpus, stage):
    return held(parameters, gpus, min(stage, 2))


@wrong("13.11", "random")
def shares_with_one_gpu_more(parameters, gpus, stage):
    return held(parameters, gpus if gpus in (10, 64) else gpus + 1, stage)
