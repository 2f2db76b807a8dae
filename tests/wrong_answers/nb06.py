"""Wrong answers to the exercises of notebook 06."""

import math

import torch
import torch.nn.functional as F

from tests.wrong_answers import wrong

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


# --- 6.3 pre_ln_block


@wrong("6.3", "residual-forgotten")
def forgets_both_residuals(x, ln_1, attn, ln_2, mlp):
    return mlp(ln_2(attn(ln_1(x))))


@wrong("6.3", "residual-forgotten")
def forgets_the_second_residual(x, ln_1, attn, ln_2, mlp):
    x = x + attn(ln_1(x))
    return mlp(ln_2(x))


@wrong("6.3", "attention-not-normalized")
def normalizes_after_the_sum_as_in_2017(x, ln_1, attn, ln_2, mlp):
    x = ln_1(x + attn(x))
    return ln_2(x + mlp(x))


@wrong("6.3", "attention-not-normalized")
def normalizes_what_attention_returns(x, ln_1, attn, ln_2, mlp):
    x = x + ln_1(attn(x))
    return x + ln_2(mlp(x))


@wrong("6.3", "mlp-not-normalized")
def feeds_the_stream_itself_to_the_mlp(x, ln_1, attn, ln_2, mlp):
    x = x + attn(ln_1(x))
    return x + mlp(x)


@wrong("6.3", "same-norm-twice")
def uses_one_norm_for_both(x, ln_1, attn, ln_2, mlp):
    x = x + attn(ln_1(x))
    return x + mlp(ln_1(x))


@wrong("6.3", "parallel")
def runs_both_side_by_side(x, ln_1, attn, ln_2, mlp):
    return x + attn(ln_1(x)) + mlp(ln_2(x))


@wrong("6.3", "stream-normalized")
def overwrites_the_stream_by_its_norm(x, ln_1, attn, ln_2, mlp):
    x = ln_1(x)
    x = x + attn(x)
    x = ln_2(x)
    return x + mlp(x)


@wrong("6.3", "stream-normalized")
def overwrites_the_stream_before_the_mlp(x, ln_1, attn, ln_2, mlp):
    x = x + attn(ln_1(x))
    x = ln_2(x)
    return x + mlp(x)


@wrong("6.3", "norm-after-sum")
def normalizes_the_end_too(x, ln_1, attn, ln_2, mlp):
    x = x + attn(ln_1(x))
    return ln_2(x + mlp(ln_2(x)))


@wrong("6.3", "attention-lost")
def adds_the_mlp_to_the_old_x(x, ln_1, attn, ln_2, mlp):
    after = x + attn(ln_1(x))
    return x + mlp(ln_2(after))


@wrong("6.3", "attention-input")
def swaps_the_norms(x, ln_1, attn, ln_2, mlp):
    x = x + attn(ln_2(x))
    return x + mlp(ln_1(x))


@wrong("6.3", "each-once")
def forgets_the_mlp(x, ln_1, attn, ln_2, mlp):
    return x + attn(ln_1(x))


# --- 6.4 order_of


@wrong("6.4", "always-the-same")
def always_says_pre(block, d_model):
    return "pre"


@wrong("6.4", "swapped")
def takes_growth_for_post(block, d_model):
    x = torch.randn(1, 4, d_model)
    return "post" if block(1e6 * x).norm() / block(x).norm() > 100 else "pre"


@wrong("6.4", "trained")
def looks_for_mean_0_and_variance_1(block, d_model):
    y = block(10 * torch.randn(1, 4, d_model) + 5)
    normal = y.mean(-1).abs().max() < 0.1 and (y.var(-1, correction=0) - 1).abs().max() < 0.1
    return "post" if normal else "pre"


@wrong("6.4", "always-the-same")
def expects_a_pre_block_to_be_linear(block, d_model):
    x = torch.randn(1, 4, d_model)
    return "pre" if torch.allclose(block(2 * x), 2 * block(x)) else "post"


@wrong("6.4", "large-weights")
def expects_a_pre_block_to_change_little(block, d_model):
    x = 5 * torch.randn(1, 4, d_model)
    return "pre" if (block(x) - x).norm() < x.norm() / 2 else "post"


@wrong("6.4", "always-the-same")
def asks_only_for_the_same_shape(block, d_model):
    x = torch.randn(1, 4, d_model)
    return "pre" if block(x).shape == x.shape else "post"


@wrong("6.4", "answer")
def answers_with_a_truth_value(block, d_model):
    x = torch.randn(1, 4, d_model)
    return bool(block(1e6 * x).norm() / block(x).norm() > 100)


@wrong("6.4", "always-the-same")
def puts_in_zeros_alone(block, d_model):
    return "post" if block(torch.zeros(1, 4, d_model)).norm() > 1 else "pre"


# --- 6.5 initialization


def start(name, n_layer, *, residual=None, embedding=0.02, positions=0.01, norm=(1.0, 0.0), bias=(0.0, 0.0), ends=None):
    if name.endswith("bias"):
        return bias
    if "ln_" in name:
        return norm
    if name == "wpe.weight":
        return 0.0, positions
    if name.endswith(ends or "proj.weight"):
        return 0.0, 0.02 / math.sqrt(2 * n_layer) if residual is None else residual(n_layer)
    return 0.0, embedding if name == "wte.weight" else 0.02


@wrong("6.5", "residual-unscaled")
def starts_all_matrices_alike(name, n_layer):
    return start(name, n_layer, residual=lambda n: 0.02)


@wrong("6.5", "residual")
def forgets_that_a_block_adds_twice(name, n_layer):
    return start(name, n_layer, residual=lambda n: 0.02 / math.sqrt(n))


@wrong("6.5", "residual")
def forgets_the_root(name, n_layer):
    return start(name, n_layer, residual=lambda n: 0.02 / (2 * n))


@wrong("6.5", "residual")
def multiplies_by_the_root(name, n_layer):
    return start(name, n_layer, residual=lambda n: 0.02 * math.sqrt(2 * n))


@wrong("6.5", "residual")
def takes_the_root_of_n_layer_alone(name, n_layer):
    return start(name, n_layer, residual=lambda n: 0.02 / (2 * math.sqrt(n)))


@wrong("6.5", "both-projections")
def scales_attention_alone(name, n_layer):
    return start(name, n_layer, ends="attn.proj.weight")


@wrong("6.5", "not-residual")
def scales_every_matrix_of_a_block(name, n_layer):
    return start(name, n_layer, ends=("proj.weight", "qkv.weight", "fc.weight"))


@wrong("6.5", "positions")
def starts_positions_like_tokens(name, n_layer):
    return start(name, n_layer, positions=0.02)


@wrong("6.5", "norm-weight")
def starts_norm_weights_at_random(name, n_layer):
    return start(name, n_layer, norm=(0.0, 0.02))


@wrong("6.5", "norm-weight")
def starts_norm_weights_at_zero(name, n_layer):
    return start(name, n_layer, norm=(0.0, 0.0))


@wrong("6.5", "bias")
def starts_biases_at_random(name, n_layer):
    return start(name, n_layer, bias=(0.0, 0.02))


@wrong("6.5", "embedding")
def leaves_torchs_embedding(name, n_layer):
    return start(name, n_layer, embedding=1.0)


@wrong("6.5", "a-pair")
def returns_the_standard_deviation_alone(name, n_layer):
    return start(name, n_layer)[1]


# --- 6.6 first_loss


@wrong("6.6", "no-spread")
def takes_ln_v_alone(vocab_size, d_model, std):
    return math.log(vocab_size)


@wrong("6.6", "uniform")
def counts_in_bits(vocab_size, d_model, std):
    return math.log2(vocab_size) + d_model * std**2 / 2


@wrong("6.6", "uniform")
def takes_the_common_logarithm(vocab_size, d_model, std):
    return math.log10(vocab_size) + d_model * std**2 / 2


@wrong("6.6", "fixed-std")
def takes_gpt2s_standard_deviation_for_every_model(vocab_size, d_model, std):
    return math.log(vocab_size) + d_model * 0.02**2 / 2


@wrong("6.6", "half")
def adds_the_whole_variance(vocab_size, d_model, std):
    return math.log(vocab_size) + d_model * std**2


@wrong("6.6", "root")
def adds_half_the_standard_deviation(vocab_size, d_model, std):
    return math.log(vocab_size) + math.sqrt(d_model) * std / 2


@wrong("6.6", "sign")
def takes_the_spread_off(vocab_size, d_model, std):
    return math.log(vocab_size) - d_model * std**2 / 2


@wrong("6.6", "width")
def forgets_the_width(vocab_size, d_model, std):
    return math.log(vocab_size) + std**2 / 2


@wrong("6.6", "value")
def multiplies_by_the_width_twice(vocab_size, d_model, std):
    return math.log(vocab_size) + (d_model * std) ** 2 / 2


@wrong("6.6", "uniform")
def returns_a_perplexity(vocab_size, d_model, std):
    return vocab_size * math.exp(d_model * std**2 / 2)


# --- 6.7 count_parameters


def count(V, C, L, d, *, head=0, block=None, final=None, positions=None):
    block = 12 * d * d + 13 * d if block is None else block
    return V * d + head + (C * d if positions is None else positions) + L * block + (2 * d if final is None else final)


@wrong("6.7", "head-twice")
def counts_the_tied_head_again(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, head=vocab_size * d_model)


@wrong("6.7", "biases")
def forgets_the_biases(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=12 * d_model**2 + 4 * d_model)


@wrong("6.7", "final-norm")
def forgets_the_last_norm(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, final=0)


@wrong("6.7", "norms")
def forgets_the_norms_of_the_blocks(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=12 * d_model**2 + 9 * d_model)


@wrong("6.7", "one-norm")
def has_one_norm_a_block(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=12 * d_model**2 + 11 * d_model)


@wrong("6.7", "norm-biases")
def gives_norms_a_weight_alone(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=12 * d_model**2 + 11 * d_model, final=d_model)


@wrong("6.7", "attention-output")
def forgets_attentions_own_projection(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=11 * d_model**2 + 12 * d_model)


@wrong("6.7", "mlp-back")
def forgets_the_way_back_in_the_mlp(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=8 * d_model**2 + 12 * d_model)


@wrong("6.7", "narrow-mlp")
def has_no_wider_mlp(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=6 * d_model**2 + 10 * d_model)


@wrong("6.7", "positions")
def forgets_the_positions(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, positions=0)


@wrong("6.7", "layers")
def counts_the_last_norm_in_every_block(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, final=2 * d_model * max(1, n_layer))


@wrong("6.7", "block")
def counts_a_head_matrix_for_each_head(vocab_size, context_length, n_layer, d_model):
    return count(vocab_size, context_length, n_layer, d_model, block=(3 * 12 + 9) * d_model**2 + 13 * d_model)
