"""What `helpers.alignment` computes, held to definitions: sums over all answers, gradients, finite differences."""

import copy
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import alignment
from helpers.checkpoint import load_model, save_model
from helpers.errors import CourseError
from helpers.generation import SHIPPED
from helpers.model import GPT, GPTConfig
from helpers.modern import ModernConfig, ModernGPT

V, T = 5, 6


def small(kind=GPT, seed=0, **options):
    """A model with weights large enough that its distributions are not flat, in float64."""
    torch.manual_seed(seed)
    config = (GPTConfig if kind is GPT else ModernConfig)(V, 8, 2, 2, 8, **options)
    model = kind(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def answers(seed=0, rows=4):
    """Ids, and masks of unequal length that begin at unequal places."""
    generator = torch.Generator().manual_seed(seed)
    ids, mask = torch.randint(0, V, (rows, T), generator=generator), torch.zeros(rows, T, dtype=torch.bool)
    for row in range(rows):
        first = int(torch.randint(1, T, (), generator=generator))
        mask[row, first : int(torch.randint(first + 1, T + 1, (), generator=generator))] = True
    return ids, mask


# ---------------------------------------------------------------------- log-probabilities


@pytest.mark.parametrize("model", [small(), small(tied_head=False), small(ModernGPT, rotary=True, logit_cap=3.0)])
def test_logprobs_are_those_of_the_tokens_one_by_one(model):
    ids, mask = answers()
    found = alignment.token_logprobs(model, ids, mask)
    for row, place in itertools.product(range(len(ids)), range(T)):
        expected = 0.0
        if mask[row, place]:
            expected = model(ids[row : row + 1, :place])[0, -1].softmax(0)[ids[row, place]].log().item()
        assert found[row, place].item() == pytest.approx(expected, abs=1e-9)
    torch.testing.assert_close(alignment.sequence_logprobs(model, ids, mask), found.sum(1))


def test_probabilities_of_all_answers_add_up_to_one():
    ids = torch.tensor([[2, *answer] for answer in itertools.product(range(V), repeat=3)])
    mask = torch.tensor([False, True, True, True]).expand_as(ids)
    total = alignment.sequence_logprobs(small(), ids, mask).exp().sum().item()
    assert total == pytest.approx(1.0)


def test_padding_and_prompt_do_not_count():
    ids, mask = answers()
    model = small()
    padded = torch.cat([ids, torch.zeros(len(ids), 2, dtype=torch.long)], dim=1)
    wider = torch.cat([mask, torch.zeros(len(ids), 2, dtype=torch.bool)], dim=1)
    ours, theirs = alignment.sequence_logprobs(model, ids, mask), alignment.sequence_logprobs(model, padded, wider)
    torch.testing.assert_close(ours, theirs)


def test_a_mask_that_cannot_be_is_refused():
    ids, mask = answers()
    first, none = mask.clone(), mask.clone()
    first[0, 0], none[1] = True, False
    for wrong in (mask[:, 1:], mask.long(), first, none):
        with pytest.raises(CourseError):
            alignment.token_logprobs(small(), ids, wrong)


# ---------------------------------------------------------------------- preferences


def test_a_reward_model_reads_the_end_of_the_answer_and_begins_indifferent():
    model, (ids, mask) = small(), answers()
    judge = alignment.RewardModel(model).double()
    assert judge(ids, mask).tolist() == [0.0] * len(ids)
    torch.nn.init.normal_(judge.score.weight)
    for row, reward in enumerate(judge(ids, mask)):
        last = int(mask[row].nonzero().max())
        hidden = model.hidden(ids[row : row + 1, : last + 1])[0, -1]
        assert reward.item() == pytest.approx((judge.score.weight[0] @ hidden).item())
    assert all(one is not other for one, other in zip(judge.trunk.parameters(), model.parameters(), strict=False))


def test_a_reward_model_learns_an_order_from_pairs():
    """Answers with more of token 0 are better: after some steps it says so of pairs that it has not seen."""
    torch.manual_seed(0)
    judge = alignment.RewardModel(GPT(GPTConfig(V, 8, 1, 2, 16)))
    ids = torch.randint(0, V, (2, 400, T))
    count = (ids[..., 1:] == 0).sum(-1)
    ids = ids[:, count[0] != count[1]]
    count = (ids[..., 1:] == 0).sum(-1)
    better, worse = ids.gather(0, count.argsort(0, descending=True)[..., None].expand_as(ids))
    mask = torch.ones(len(better), T, dtype=torch.bool)
    mask[:, 0] = False
    optimizer = torch.optim.AdamW(judge.parameters(), lr=1e-2)
    for _ in range(60):
        loss = alignment.pair_loss(judge(better[:150], mask[:150]), judge(worse[:150], mask[:150]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        right = (judge(better[150:], mask[150:]) > judge(worse[150:], mask[150:])).float().mean()
    assert right > 0.9


number = st.floats(-30, 30)


@given(number, number)
def test_pair_loss_is_bradley_and_terrys(better, worse):
    one, other = torch.tensor([better], dtype=torch.float64), torch.tensor([worse], dtype=torch.float64)
    expected = -np.log(np.exp(better) / (np.exp(better) + np.exp(worse)))
    assert alignment.pair_loss(one, other).item() == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(number, number, number, number), min_size=1, max_size=5), st.floats(0.01, 1))
def test_dpo_is_equation_7(rows, beta):
    better, worse, reference_better, reference_worse = torch.tensor(rows, dtype=torch.float64).T
    z = beta * ((better - reference_better) - (worse - reference_worse))
    loss = alignment.dpo_loss(better, worse, reference_better, reference_worse, beta)
    assert loss.item() == pytest.approx(torch.log1p((-z).exp()).mean().item(), abs=1e-9)
    shifted = alignment.dpo_loss(better + 3, worse + 3, reference_better, reference_worse, beta)
    assert shifted.item() == pytest.approx(loss.item(), abs=1e-9)  # only differences mean anything


def test_the_best_policy_has_its_rewards_as_implicit_ones():
    """The policy that earns most, less beta KL, is reference * exp(reward / beta) / Z: equation 4 of the paper."""
    torch.manual_seed(0)
    reference, rewards, beta = torch.randn(20).double().log_softmax(0), torch.randn(20).double(), 0.3
    best = (reference + rewards / beta).log_softmax(0)
    implicit = alignment.implicit_rewards(best, reference, beta)
    torch.testing.assert_close(implicit - implicit[0], rewards - rewards[0])


# ---------------------------------------------------------------------- reinforcement learning


def bandit(seed=0):
    """A distribution over five answers of one token, what each is worth: logits, (5,), and rewards, (5,)."""
    torch.manual_seed(seed)
    return torch.randn(V, dtype=torch.float64, requires_grad=True), torch.randn(V, dtype=torch.float64)


def mean_gradient(loss_of_answer) -> torch.Tensor:
    """The gradient of REINFORCE, averaged over all answers by their probability."""
    logits, rewards = bandit()
    total = torch.zeros(V, dtype=torch.float64)
    for answer, probability in enumerate(logits.softmax(0).tolist()):
        loss = loss_of_answer(logits.log_softmax(0)[answer].view(1, 1), rewards[answer].view(1))
        total += probability * torch.autograd.grad(loss, logits)[0]
    return total


@pytest.mark.parametrize("baseline", [0.0, 1.7, -3.0])
def test_reinforce_is_the_gradient_of_the_expected_reward(baseline):
    logits, rewards = bandit()
    expected = torch.autograd.grad(-(logits.softmax(0) * rewards).sum(), logits)[0]
    mask = torch.ones(1, 1, dtype=torch.bool)
    found = mean_gradient(lambda logprob, reward: alignment.reinforce_loss(logprob, reward, baseline, mask))
    torch.testing.assert_close(found, expected)


def test_a_baseline_takes_noise_away():
    logits, rewards = bandit()
    mask = torch.ones(1, 1, dtype=torch.bool)
    probability = logits.softmax(0).detach()

    def noise(baseline):
        gradients = []
        for answer in range(V):
            logprob = logits.log_softmax(0)[answer].view(1, 1)
            loss = alignment.reinforce_loss(logprob, rewards[answer].view(1) + 10, baseline, mask)
            gradients.append(torch.autograd.grad(loss, logits)[0])
        gradients = torch.stack(gradients)
        mean = (probability[:, None] * gradients).sum(0)
        return (probability[:, None] * (gradients - mean) ** 2).sum().item()

    assert noise((probability * rewards).sum() + 10) < noise(0.0) / 10


def test_leave_one_out_is_the_mean_of_the_others():
    rewards = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    for group, place in itertools.product(range(3), range(5)):
        others = [rewards[group, other].item() for other in range(5) if other != place]
        assert alignment.leave_one_out(rewards)[group, place].item() == pytest.approx(np.mean(others), abs=1e-6)


@given(st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=4))
def test_advantages_are_standard_scores(rewards):
    values = torch.tensor(rewards, dtype=torch.float64)
    for divide in (True, False):
        found = alignment.advantages(values, divide)
        assert found.sum(dim=1).abs().max() < 1e-9
        expected = np.array(rewards) - np.mean(rewards, axis=1, keepdims=True)
        if divide:
            expected = expected / (np.std(rewards, axis=1, ddof=1, keepdims=True) + 1e-4)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    others = values - alignment.leave_one_out(values)
    torch.testing.assert_close(alignment.advantages(values, divide=False), others * 3 / 4)


def test_a_group_of_equals_teaches_nothing_and_a_group_of_one_is_refused():
    assert alignment.advantages(torch.full((2, 4), 0.7)).tolist() == [[0.0] * 4] * 2
    for wrong in (torch.ones(3, 1), torch.ones(3)):
        with pytest.raises(CourseError, match="group"):
            alignment.advantages(wrong)


def test_the_mean_of_answers():
    values = torch.tensor([[1.0, 2.0, 9.0], [4.0, 5.0, 6.0]])
    mask = torch.tensor([[True, True, False], [False, False, True]])
    assert alignment.answers_mean(values, mask).item() == (1.5 + 6) / 2
    assert alignment.answers_mean(values, mask, "token").item() == 9 / 3
    assert alignment.answers_mean(values, mask, 10).item() == pytest.approx((0.3 + 0.6) / 2)


def test_at_ratio_one_the_clipped_objective_is_reinforce():
    model, (ids, mask) = small(), answers()
    rewards = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    parameters = list(model.parameters())
    logprobs = alignment.token_logprobs(model, ids, mask)
    objective = alignment.clipped_objective(logprobs, logprobs.detach(), rewards - 0.4, mask, per=1)
    ours = torch.autograd.grad(-objective, parameters, retain_graph=True)
    theirs = torch.autograd.grad(alignment.reinforce_loss(logprobs, rewards, 0.4, mask), parameters)
    torch.testing.assert_close(ours, theirs)


@given(st.floats(-1, 1), st.sampled_from([-2.0, 1.5]), st.floats(0.05, 0.5))
def test_the_clip_takes_the_gradient_only_where_it_has_gone_too_far(log_ratio, advantage, clip):
    logprobs = torch.tensor([[log_ratio - 1.0]], dtype=torch.float64, requires_grad=True)
    ratio = float(np.exp(log_ratio))
    if min(abs(ratio - 1 - clip), abs(ratio - 1 + clip)) < 1e-6:
        return
    old, mask = torch.full((1, 1), -1.0, dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool)
    objective = alignment.clipped_objective(logprobs, old, torch.tensor([advantage]).double(), mask, clip)
    objective.backward()
    too_far = ratio > 1 + clip if advantage > 0 else ratio < 1 - clip
    held = (1 + clip if advantage > 0 else 1 - clip) if too_far else ratio
    assert objective.item() == pytest.approx(held * advantage)
    assert logprobs.grad.item() == pytest.approx(0.0 if too_far else ratio * advantage)


def test_grpo_by_finite_differences():
    ids, mask = answers()
    model = small()
    logprobs = alignment.token_logprobs(model, ids, mask).detach()
    torch.manual_seed(1)
    old, reference = (logprobs + 0.05 * torch.randn_like(logprobs) for _ in range(2))
    worth = torch.tensor([1.0, -1.0, 0.3, -0.2], dtype=torch.float64)

    def loss(values):
        return alignment.grpo_loss(values, old, reference, worth, mask, clip=0.2, beta=0.5)

    assert torch.autograd.gradcheck(loss, logprobs.clone().requires_grad_())


# ---------------------------------------------------------------------- divergence


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-4, 4), st.floats(-4, 4)), min_size=2, max_size=8))
def test_estimates_of_the_divergence_by_enumeration(pairs):
    p, q = torch.tensor(pairs, dtype=torch.float64).T.log_softmax(dim=1)
    divergence = F.kl_div(q, p, log_target=True, reduction="sum").item()
    k1, k2, k3 = alignment.kl_estimates(p, q)
    assert (p.exp() * k1).sum().item() == pytest.approx(divergence, abs=1e-9)
    assert (p.exp() * k3).sum().item() == pytest.approx(divergence, abs=1e-9)
    assert k3.min() >= -1e-12 and k2.min() >= 0
    near = torch.log_softmax(p + 0.01 * (q - p), dim=0)  # where they are near, k2 is nearly right too
    small_divergence = F.kl_div(near, p, log_target=True, reduction="sum").item()
    k2_mean = (p.exp() * alignment.kl_estimates(p, near).k2).sum().item()
    assert k2_mean == pytest.approx(small_divergence, rel=0.1, abs=1e-8)


def test_k3_is_less_noisy_than_k1_where_the_policies_are_near():
    torch.manual_seed(0)
    p = torch.randn(50, dtype=torch.float64).log_softmax(0)
    q = torch.log_softmax(p + 0.1 * torch.randn(50, dtype=torch.float64), dim=0)
    k1, _, k3 = alignment.kl_estimates(p, q)

    def deviation(values):
        mean = (p.exp() * values).sum()
        return (p.exp() * (values - mean) ** 2).sum().sqrt()

    assert deviation(k3) < deviation(k1) / 5


# ---------------------------------------------------------------------- adapters


def moved(model):
    """Give every adapter values."""
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if name.endswith((".A", ".B")):
            torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.mark.parametrize("kind, options", [(GPT, {}), (GPT, {"bias": False, "tied_head": False}), (ModernGPT, {})])
def test_adapters_begin_as_nothing_and_merged_equal_unmerged(kind, options):
    model, (ids, _) = small(kind, **options), answers()
    before, weights = model(ids), copy.deepcopy(model.state_dict())
    alignment.add_lora(model, rank=2, alpha=5.0, layers=("attn.qkv", "mlp.fc", "mlp.proj"))
    assert torch.equal(model(ids), before)
    apart = moved(model)(ids)
    assert (apart - before).abs().max() > 0.01
    layers = [each for each in model.modules() if isinstance(each, alignment.LoRALinear)]
    assert len(layers) == 3 * model.config.n_layer
    for layer in layers:
        layer.merge()
        layer.merge()  # once is enough
    torch.testing.assert_close(model(ids), apart)
    for layer in layers:
        layer.merge(False)
    torch.testing.assert_close(model(ids), apart)
    for name, weight in weights.items():
        torch.testing.assert_close(model.state_dict()[name], weight)


def test_an_adapter_is_a_change_of_the_weight_of_low_rank():
    model = small()
    before = model.blocks[0].attn.qkv.weight.clone()
    alignment.add_lora(model, rank=2, alpha=6.0)
    layer = moved(model).blocks[0].attn.qkv
    layer.merge()
    change = layer.weight - before
    torch.testing.assert_close(change, 3.0 * layer.B @ layer.A)
    assert torch.linalg.matrix_rank(change).item() == 2


def test_only_adapters_learn():
    model, (ids, mask) = small(), answers()
    alignment.add_lora(model, rank=2)
    moved(model)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    (-alignment.sequence_logprobs(model, ids, mask).mean()).backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"blocks.{n}.attn.qkv.{matrix}" for n in range(2) for matrix in "AB"}


def test_a_folded_model_is_saved_and_read_as_any_other(tmp_path):
    model, tokenizer = load_model(SHIPPED)
    alignment.add_lora(model, layers=("qkv", "proj"))
    moved(model)
    ids = torch.arange(40, 60)[None]
    before = model(ids)
    alignment.fold_lora(model)
    assert all(each.requires_grad for each in model.parameters())
    save_model(tmp_path, model, tokenizer)
    torch.testing.assert_close(load_model(tmp_path)[0](ids), before, atol=1e-4, rtol=1e-4)


def test_what_can_have_no_adapter_is_refused():
    for layers in ((), ("nothing",), ("head",), ("wte",), ("ln_1",), ("kv",)):
        with pytest.raises(CourseError):
            alignment.add_lora(small(), layers=layers)
    model = small()
    alignment.add_lora(model)
    with pytest.raises(CourseError, match="has one"):
        alignment.add_lora(model)
    with pytest.raises(CourseError, match="rank"):
        alignment.add_lora(small(), rank=0)
