"""Wrong answers to the exercises of notebook 06 that ask for a function and are no parts of the model: those are in
`decoder`.
"""

import math

import torch
import torch.nn.functional as F

from tests.wrong_answers import decoder, wrong  # noqa: F401 (it plants its own)

# --- 6.1 layer_norm


def normal(x, eps, dim=-1, correction=0):
    return (x - x.mean(dim, keepdim=True)) / torch.sqrt(x.var(dim, correction=correction, keepdim=True) + eps)


@wrong("6.1", "unbiased-variance")
def takes_torchs_variance_as_it_comes(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + eps) * weight + bias


@wrong("6.1", "unbiased-variance")
def takes_torchs_standard_deviation_as_it_comes(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps) * weight + bias


@wrong("6.1", "eps-outside")
def adds_eps_to_the_standard_deviation(x, weight, bias, eps):
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / (((x - mean) ** 2).mean(-1, keepdim=True).sqrt() + eps) * weight + bias


@wrong("6.1", "eps-missing")
def has_no_eps(x, weight, bias, eps):
    return normal(x, 0.0) * weight + bias


@wrong("6.1", "no-root")
def divides_by_the_variance(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + eps) * weight + bias


@wrong("6.1", "axis")
def normalizes_over_positions(x, weight, bias, eps):
    dim = 1 if x.shape[1] > 1 else -1
    return normal(x, eps, dim) * weight + bias


@wrong("6.1", "axis")
def normalizes_the_whole_tensor(x, weight, bias, eps):
    return (x - x.mean()) / torch.sqrt(x.var(correction=0) + eps) * weight + bias


@wrong("6.1", "axis")
def normalizes_each_sequence_as_a_whole(x, weight, bias, eps):
    return normal(x, eps, (1, 2)) * weight + bias


@wrong("6.1", "axis")
def normalizes_over_the_batch_as_batchnorm_does(x, weight, bias, eps):
    return normal(x, eps, (0, 2)) * weight + bias


@wrong("6.1", "axis")
def normalizes_over_the_batch(x, weight, bias, eps):
    return normal(x, eps, 0) * weight + bias


@wrong("6.1", "axis")
def normalizes_over_dim_1(x, weight, bias, eps):
    return normal(x, eps, 1) * weight + bias


@wrong("6.1", "by-hand")
def forgets_the_mean(x, weight, bias, eps):
    return x / torch.sqrt(x.var(-1, correction=0, keepdim=True) + eps) * weight + bias


@wrong("6.1", "by-hand")
def is_an_rmsnorm(x, weight, bias, eps):
    return x / torch.sqrt((x**2).mean(-1, keepdim=True) + eps) * weight + bias


@wrong("6.1", "weight-and-bias")
def forgets_weight_and_bias(x, weight, bias, eps):
    return normal(x, eps)


@wrong("6.1", "weight-and-bias")
def adds_before_it_multiplies(x, weight, bias, eps):
    return (normal(x, eps) + bias) * weight


@wrong("6.1", "gain")
def takes_the_weight_for_what_is_added_to_1(x, weight, bias, eps):
    return normal(x, eps) * (1 + weight) + bias


@wrong("6.1", "eps-fixed")
def has_an_eps_of_its_own(x, weight, bias, eps):
    return normal(x, 1e-5 if eps else 0.0) * weight + bias


@wrong("6.1", "eps-fixed")
def has_another_eps_of_its_own(x, weight, bias, eps):
    return normal(x, 1e-8) * weight + bias


@wrong("6.1", "eps-squared")
def adds_the_square_of_eps(x, weight, bias, eps):
    return normal(x, eps**2) * weight + bias


@wrong("6.1", "eps")
def cuts_the_variance_off_at_eps(x, weight, bias, eps):
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / x.var(-1, correction=0, keepdim=True).clamp(min=eps).sqrt() * weight + bias


@wrong("6.1", "any-shape")
def normalizes_the_third_axis(x, weight, bias, eps):
    return normal(x, eps, 2 if x.dim() > 2 else -1) * weight + bias


@wrong("6.1", "gradients")
def detaches_mean_and_variance(x, weight, bias, eps):
    mean, variance = x.mean(-1, keepdim=True).detach(), x.var(-1, correction=0, keepdim=True).detach()
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


@wrong("6.1", "gradients")
def goes_without_gradients(x, weight, bias, eps):
    with torch.no_grad():
        return normal(x, eps) * weight + bias


@wrong("6.1", "ready-made")
def calls_torchs_own(x, weight, bias, eps):
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


@wrong("6.1", "ready-made")
def takes_a_group_of_all_features(x, weight, bias, eps):
    return F.group_norm(x.reshape(-1, x.shape[-1]), 1, weight, bias, eps).reshape(x.shape)


@wrong("6.1", "raised")
def loses_the_last_dimension(x, weight, bias, eps):
    return (x - x.mean(-1)) / torch.sqrt(x.var(-1, correction=0) + eps) * weight + bias


# --- 6.2 gelu

ROOT = math.sqrt(2 / math.pi)


@wrong("6.2", "exact")
def is_the_exact_form(x):
    return F.gelu(x)


@wrong("6.2", "exact")
def multiplies_by_the_normal_distribution(x):
    return x * torch.distributions.Normal(0.0, 1.0).cdf(x)


@wrong("6.2", "sigmoid")
def is_the_sigmoid_form(x):
    return x * torch.sigmoid(1.702 * x)


@wrong("6.2", "power")
def squares_where_it_must_cube(x):
    return 0.5 * x * (1 + torch.tanh(ROOT * (x + 0.044715 * x**2)).where(x > -20, torch.tensor(-1.0)))


@wrong("6.2", "bracket")
def multiplies_only_x_by_the_root(x):
    return 0.5 * x * (1 + torch.tanh(ROOT * x + 0.044715 * x**3))


@wrong("6.2", "far-out")
def forgets_the_half(x):
    return x * (1 + torch.tanh(ROOT * (x + 0.044715 * x**3)))


@wrong("6.2", "far-out")
def forgets_the_one(x):
    return 0.5 * x * torch.tanh(ROOT * (x + 0.044715 * x**3))


@wrong("6.2", "zero")
def forgets_the_x_in_front(x):
    return 0.5 * (1 + torch.tanh(ROOT * (x + 0.044715 * x**3)))


@wrong("6.2", "values")
def turns_the_root_over(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(math.pi / 2) * (x + 0.044715 * x**3)))


@wrong("6.2", "values")
def moves_a_digit_of_the_constant(x):
    return 0.5 * x * (1 + torch.tanh(ROOT * (x + 0.44715 * x**3)))


@wrong("6.2", "values")
def is_relu(x):
    return torch.relu(x)


@wrong("6.2", "ready-made")
def calls_torchs_gelu(x):
    return torch.nn.GELU(approximate="tanh")(x)


@wrong("6.2", "gradients")
def goes_through_numpy(x):
    y = x.detach().numpy()
    return torch.from_numpy(y * 0.5) * (1 + torch.tanh(ROOT * (x.detach() + 0.044715 * x.detach() ** 3)))


@wrong("6.2", "values")
def rounds_the_constant(x):
    return 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.0447 * x**3)))


# --- 6.5 order_of


@wrong("6.5", "real")
def expects_a_post_block_not_to_see_the_size(block, d_model):
    x = torch.randn(1, 4, d_model)
    return "post" if torch.allclose(block(2 * x), block(x), atol=1e-3) else "pre"


@wrong("6.5", "always-the-same")
def always_says_pre(block, d_model):
    return "pre"


@wrong("6.5", "swapped")
def takes_growth_for_post(block, d_model):
    x = torch.randn(1, 4, d_model)
    return "post" if block(1e6 * x).norm() / block(x).norm() > 100 else "pre"


@wrong("6.5", "trained")
def looks_for_mean_0_and_variance_1(block, d_model):
    y = block(10 * torch.randn(1, 4, d_model) + 5)
    normal = y.mean(-1).abs().max() < 0.1 and (y.var(-1, correction=0) - 1).abs().max() < 0.1
    return "post" if normal else "pre"


@wrong("6.5", "always-the-same")
def expects_a_pre_block_to_be_linear(block, d_model):
    x = torch.randn(1, 4, d_model)
    return "pre" if torch.allclose(block(2 * x), 2 * block(x)) else "post"


@wrong("6.5", "large-weights")
def expects_a_pre_block_to_change_little(block, d_model):
    x = 5 * torch.randn(1, 4, d_model)
    return "pre" if (block(x) - x).norm() < x.norm() / 2 else "post"


@wrong("6.5", "always-the-same")
def asks_only_for_the_same_shape(block, d_model):
    x = torch.randn(1, 4, d_model)
    return "pre" if block(x).shape == x.shape else "post"


@wrong("6.5", "trained")
def knows_how_large_a_normalized_vector_is(block, d_model):
    return "post" if block(10 * torch.randn(1, 50, d_model)).std() < 3 else "pre"


@wrong("6.5", "answer")
def answers_with_a_truth_value(block, d_model):
    x = torch.randn(1, 4, d_model)
    return bool(block(1e6 * x).norm() / block(x).norm() > 100)


@wrong("6.5", "always-the-same")
def puts_in_zeros_alone(block, d_model):
    return "post" if block(torch.zeros(1, 4, d_model)).norm() > 1 else "pre"


# --- 6.8 first_loss


@wrong("6.8", "no-spread")
def takes_ln_v_alone(vocab_size, d_model, std):
    return math.log(vocab_size)


@wrong("6.8", "uniform")
def counts_in_bits(vocab_size, d_model, std):
    return math.log2(vocab_size) + d_model * std**2 / 2


@wrong("6.8", "uniform")
def takes_the_common_logarithm(vocab_size, d_model, std):
    return math.log10(vocab_size) + d_model * std**2 / 2


@wrong("6.8", "fixed-std")
def takes_gpt2s_standard_deviation_for_every_model(vocab_size, d_model, std):
    return math.log(vocab_size) + d_model * 0.02**2 / 2


@wrong("6.8", "half")
def adds_the_whole_variance(vocab_size, d_model, std):
    return math.log(vocab_size) + d_model * std**2


@wrong("6.8", "root")
def adds_half_the_standard_deviation(vocab_size, d_model, std):
    return math.log(vocab_size) + math.sqrt(d_model) * std / 2


@wrong("6.8", "sign")
def takes_the_spread_off(vocab_size, d_model, std):
    return math.log(vocab_size) - d_model * std**2 / 2


@wrong("6.8", "width")
def forgets_the_width(vocab_size, d_model, std):
    return math.log(vocab_size) + std**2 / 2


@wrong("6.8", "value")
def multiplies_by_the_width_twice(vocab_size, d_model, std):
    return math.log(vocab_size) + (d_model * std) ** 2 / 2


@wrong("6.8", "uniform")
def returns_a_perplexity(vocab_size, d_model, std):
    return vocab_size * math.exp(d_model * std**2 / 2)


# --- 6.9 count_parameters


def count(V, C, L, d, *, head=0, block=None, final=None, positions=None):
    block = 12 * d * d + 13 * d if block is None else block
    return V * d + head + (C * d if positions is None else positions) + L * block + (2 * d if final is None else final)


@wrong("6.9", "head-twice")
def counts_the_tied_head_again(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, head=vocab_size * d_model)


@wrong("6.9", "biases")
def forgets_the_biases(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=12 * d_model**2 + 4 * d_model)


@wrong("6.9", "biases")
def forgets_the_biases_of_qkv(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=12 * d_model**2 + 10 * d_model)


@wrong("6.9", "biases")
def forgets_the_biases_of_the_mlp(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=12 * d_model**2 + 8 * d_model)


@wrong("6.9", "biases")
def counts_the_matrices_of_a_block_alone(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=12 * d_model**2)


@wrong("6.9", "final-norm")
def forgets_the_last_norm(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, final=0)


@wrong("6.9", "norms")
def forgets_the_norms_of_the_blocks(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=12 * d_model**2 + 9 * d_model)


@wrong("6.9", "one-norm")
def has_one_norm_a_block(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=12 * d_model**2 + 11 * d_model)


@wrong("6.9", "norm-biases")
def gives_norms_a_weight_alone(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=12 * d_model**2 + 11 * d_model, final=d_model)


@wrong("6.9", "attention-output")
def forgets_attentions_own_projection(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=11 * d_model**2 + 12 * d_model)


@wrong("6.9", "mlp-back")
def forgets_the_way_back_in_the_mlp(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=8 * d_model**2 + 12 * d_model)


@wrong("6.9", "narrow-mlp")
def has_no_wider_mlp(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=6 * d_model**2 + 10 * d_model)


@wrong("6.9", "positions")
def forgets_the_positions(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, positions=0)


@wrong("6.9", "layers")
def counts_the_last_norm_in_every_block(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, final=2 * d_model * max(1, n_layer))


@wrong("6.9", "block")
def counts_a_head_matrix_for_each_head(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=(3 * 12 + 9) * d_model**2 + 13 * d_model)
