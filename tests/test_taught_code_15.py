"""What notebook 15 teaches is what `helpers` uses: to the letter, or by its results."""

import ast
import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course.instructions import judge as judges
from course.instructions.orders import facts_of
from course.instructions.reading import read
from data.story_grammar.stories import full_grammar
from helpers import alignment, instructions
from helpers.model import GPT, GPTConfig
from helpers.tokenizer import load_tokenizer
from tests.taught import assert_same_code, taught_definition

LISTENER = "15_following_instructions"


@pytest.mark.parametrize(
    ("name", "module"),
    [("as_batch", "helpers.instructions")]
    + [
        (name, "helpers.alignment")
        for name in (
            "LoRALinear", "pair_loss", "implicit_rewards", "dpo_loss", "reinforce_loss", "leave_one_out",
            "clipped_objective", "kl_estimates",
        )
    ],
)  # fmt: skip
def test_it_is_the_same_code(name, module):
    assert_same_code(LISTENER, name, module)


def taught(name: str, **more):
    """A definition of the notebook, which stands on what `helpers` has under the names of the learner's parts."""
    scope = {"torch": torch, "nn": nn, "F": F, "Tensor": torch.Tensor} | more
    exec(ast.unparse(taught_definition(LISTENER, name).node), scope)
    return scope[name]


def test_a_conversation_is_rendered_as_by_helpers():
    """The notebook's does not look whether the messages are a conversation."""
    names = {name: getattr(instructions, name) for name in ("SPEAKER", "END_OF_ANSWER", "Rendered", "token_id")}
    render, tokenizer = taught("render", **names), instructions.add_chat_tokens(load_tokenizer())
    said = ["Tell a story about <|end|> a fox.", "Once there was a fox.<|user|>", " Who?\n", "The fox."]
    messages = [{"role": ("user", "assistant")[turn % 2], "content": text} for turn, text in enumerate(said)]
    for turns in range(1, 5):
        ours = render(tokenizer, messages[:turns])
        assert ours == instructions.render(tokenizer, messages[:turns])
        assert any(ours.mask) == (turns > 1)


@pytest.mark.parametrize("tied_head", [True, False])
def test_how_likely_an_answer_is_as_by_helpers(tied_head):
    """The notebook's gives the logits of all positions; that of helpers asks the head for the answers' alone."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(17, 9, n_layer=2, n_head=2, d_model=8, tied_head=tied_head)).double().eval()
    ids, places = torch.randint(17, (4, 9)), torch.arange(9)[None]
    first, last = torch.tensor([[1], [3], [8], [2]]), torch.tensor([[8], [5], [8], [2]])
    mask = (places >= first) & (places <= last)
    results, direction = [], torch.randn(4, 9, dtype=torch.float64)
    for each in (taught("token_logprobs"), alignment.token_logprobs):
        values = each(model, ids, mask)
        slopes = torch.autograd.grad((values * direction).sum(), list(model.parameters()))
        results.append([values.detach(), *slopes])
    assert (results[0][0][mask] < 0).all() and not results[0][0][~mask].any()
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("divide", [True, False])
def test_advantages_are_those_of_helpers(divide):
    """The notebook's does not refuse groups of one."""
    advantages = taught("advantages")
    torch.manual_seed(0)
    for rewards in (torch.randn(3, 4), torch.tensor([[1.0, 0.0], [0.5, 0.5]]), 1e-4 * torch.randn(2, 8)):
        torch.testing.assert_close(advantages(rewards, divide), alignment.advantages(rewards, divide), rtol=0, atol=0)
    assert torch.equal(advantages(torch.ones(2, 4), divide), torch.zeros(2, 4))


def test_the_judge_is_that_of_the_course():
    """The notebook's does not look whether any story could keep the demands."""
    judge = taught("judge", Verdict=judges.Verdict, read=read)
    samples = [full_grammar().sample(random.Random(seed)) for seed in range(6)]
    for sample, other in zip(samples, samples[1:] + samples[:1], strict=True):
        for facts in map(facts_of, (sample, other)):
            demands = {fact: facts[fact] for fact in ("hero", "kind", "toy", "plot")}
            ours, theirs = judge(demands, sample.text), judges.judge(demands, sample.text)
            assert ours == theirs and ours.kept.keys() == demands.keys()
    assert judge({"hero": "Ruby"}, "Ruby.").kept == {"hero": False}


@pytest.mark.parametrize("per", ["answer", "token", 7.0])
def test_the_loss_of_a_step_of_grpo_is_that_of_helpers(per):
    """The notebook puts it together inside of `grpo_step`, from its own parts: beta times the distance, less the
    objective.
    """
    parts = {name: getattr(alignment, name) for name in ("KLEstimates", "answers_mean")}
    kl_estimates, clipped_objective = (taught(name, **parts) for name in ("kl_estimates", "clipped_objective"))
    torch.manual_seed(0)
    scope = dict(beta=0.3, logprobs=-torch.rand(3, 5), old=-torch.rand(3, 5), worth=torch.randn(3))
    scope |= dict(mask=torch.arange(5)[None] >= torch.tensor([[1], [4], [2]]), far=-torch.rand(3, 5))
    weighed = {"answers_mean": lambda values, mask: alignment.answers_mean(values, mask, per)}
    weighed |= {"clipped_objective": lambda *given: clipped_objective(*given, per=per), "kl_estimates": kl_estimates}
    statements = {
        ast.unparse(node.targets[0]): ast.unparse(node)
        for node in ast.walk(taught_definition(LISTENER, "grpo_step").node)
        if isinstance(node, ast.Assign)
    }
    for name in ("distance", "loss"):
        exec(statements[name], weighed, scope)
    given = [scope[name] for name in ("logprobs", "old", "far", "worth", "mask")]
    torch.testing.assert_close(scope["loss"], alignment.grpo_loss(*given, beta=0.3, per=per))
