"""What notebook 12 teaches about pretrained weights is what `helpers` and `transformers` do; its run is honest."""

import ast
import copy
import dataclasses
import math
import re

import numpy as np
import pytest
import torch

from course.checks.cells import definitions
from course.export import from_transformers_state, to_transformers, to_transformers_state
from course.site import notebooks
from helpers.dataset import StorySampler, tokenize_stories
from helpers.model import GPT, GPTConfig
from helpers.pretrained import transformers_name
from helpers.tokenizer import load_tokenizer

PATH = notebooks.folder() / "12_pretrained_gpt2.ipynb"
SMALL = GPTConfig(vocab_size=2048, context_length=32, n_layer=3, n_head=2, d_model=8)


@pytest.fixture(scope="module")
def taught():
    """What the notebook imports and defines, constants and the course's own parts included."""
    scope = {"__name__": "notebook"}
    cells = notebooks.read(PATH).cells
    kept = definitions(cells)
    for statement in [s for cell in cells if "FINE_TUNING =" in cell.source for s in ast.parse(cell.source).body]:
        if isinstance(statement, ast.Assign):  # not a literal
            kept.append(statement)
    exec(compile(ast.Module(kept, type_ignores=[]), "<notebook 12>", "exec"), scope)
    return scope


@pytest.fixture
def model():
    """A model whose biases and LayerNorms are random too: a forgotten one is noticed."""
    torch.manual_seed(0)
    model = GPT(SMALL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def test_the_taught_map_is_the_helpers(taught, model):
    equivalent = to_transformers(model)
    state = taught["convert_state"](equivalent.state_dict())
    ours = from_transformers_state(equivalent.state_dict(), SMALL).state_dict()
    assert state.keys() == ours.keys()
    for name, tensor in ours.items():
        assert torch.equal(state[name], tensor) and torch.equal(model.state_dict()[name], tensor)


def test_the_solutions_are_the_helpers_too(taught, model):
    expected = to_transformers_state(model)
    exported = taught["for_transformers"](dict(model.named_parameters()))
    assert exported.keys() == expected.keys()
    assert all(torch.equal(exported[name], expected[name]) and exported[name].is_contiguous() for name in expected)
    name = taught["our_name"]
    assert all(name(transformers_name(ours)[0]) == ours for ours in model.state_dict())


def test_layers_are_listened_to_in_both_models(taught, model):
    equivalent = to_transformers(model).eval()
    taught["ours"], taught["theirs"] = model, equivalent
    batch = torch.tensor([[1, 5, 7], [9, 2, 4]])
    ours, theirs = taught["both"](batch)
    assert len(ours) == len(theirs) == SMALL.n_layer + 3
    with torch.inference_mode():
        assert torch.equal(ours[-1], model(batch)) and torch.equal(ours[0], model.embed(batch))
        reference = equivalent(batch, output_hidden_states=True).hidden_states
    assert torch.allclose(theirs[1], reference[1]) and torch.allclose(theirs[-2], reference[-1])
    assert max(taught["relative"](ours, theirs)) < 1e-5
    parts = [model.dropout, *model.blocks, model.ln_f]
    assert not any(part._forward_hooks for part in parts), "the hooks are taken off again"
    with pytest.raises(ZeroDivisionError):
        taught["activations"](parts, lambda: 1 / 0)
    assert not any(part._forward_hooks for part in parts), "even when the run fails"


def test_the_stand_in_has_openais_layout_and_random_biases(taught, tmp_path):
    from safetensors.torch import load_file
    from transformers import GPT2Config

    shape = GPT2Config(n_layer=2, n_head=2, n_embd=8, vocab_size=50, n_positions=16)
    for seed in (1, 1, 2):
        taught["make_stand_in"](shape, str(tmp_path / f"{seed}"), seed)
    tensors = load_file(tmp_path / "1" / "model.safetensors")
    assert {"wte.weight", "h.1.attn.c_attn.weight", "ln_f.bias"} <= tensors.keys()
    assert not any(name.startswith(("transformer.", "lm_head")) for name in tensors)
    assert all(tensor.std() > 0 for tensor in tensors.values()), "no bias is zero, no LayerNorm's weight is one"
    assert not torch.equal(tensors["wte.weight"], load_file(tmp_path / "2" / "model.safetensors")["wte.weight"])
    assert GPT.from_pretrained(tmp_path / "1").config.n_layer == 2


def test_an_untied_model_is_exported_whole(taught):
    model = GPT(dataclasses.replace(SMALL, tied_head=False))
    exported = taught["for_transformers"](dict(model.named_parameters()))
    assert exported.keys() == to_transformers_state(model).keys() and "lm_head.weight" in exported
    assert torch.equal(exported["lm_head.weight"], model.head.weight)
    assert torch.equal(taught["convert_state"](exported)["head.weight"], model.head.weight)


def test_adapters_learn_and_are_merged_into_a_plain_model(taught, model, tmp_path):
    plain = copy.deepcopy(model)
    tokens = tokenize_stories(["Tom had a ball."] * 4, load_tokenizer(), tmp_path, progress=False)
    parameters = taught["add_lora"](model, 2, 4)
    taught["fine_tune"](model.train(), parameters, StorySampler(tokens, 2, 8, 0), 3, 1e-2)
    batch = torch.tensor([[1, 5, 7, 9]])
    learned = model.eval()(batch)
    assert not torch.allclose(learned, plain(batch), atol=1e-4)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, taught["LoRA"]):
            model.set_submodule(name, layer.merge())
    assert torch.allclose(learned, model(batch), atol=1e-5)
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_the_optimizer_keeps_two_moments_for_what_learns(taught, model):
    taught["freeze"](model, 1)
    model(torch.tensor([[1, 5, 7]]), torch.tensor([[5, 7, 9]]))[1].backward()
    before = copy.deepcopy(model.state_dict())
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert taught["optimizer_bytes"](learning) == 2 * 4 * sum(parameter.numel() for parameter in learning)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_fine_tuning_moves_what_learns_and_nothing_else(taught, model, tmp_path):
    stories = [f"Lily saw a red kite {i} times." for i in range(12)]
    tokens = tokenize_stories(stories, load_tokenizer(), tmp_path, progress=False)
    before = copy.deepcopy(model.state_dict())
    seen = []
    taught["freeze"](model, 1)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    losses = taught["fine_tune"](model, parameters, StorySampler(tokens, 2, 16, 0), 8, 1e-2, seen.append)
    assert seen == list(range(9)) and len(losses) == 8 and losses[-1] < losses[0]
    for name, parameter in model.named_parameters():
        assert torch.equal(before[name], parameter) != parameter.requires_grad, name


def test_the_learning_rate_warms_up_and_falls(taught, model, tmp_path, monkeypatch):
    tokens = tokenize_stories(["Tom had a ball."] * 4, load_tokenizer(), tmp_path, progress=False)
    lrs = []

    class Watched(torch.optim.AdamW):
        def step(self, closure=None):
            lrs.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    taught["fine_tune"](model, list(model.parameters()), StorySampler(tokens, 1, 8, 0), 20, 1.0)
    assert lrs[0] == pytest.approx(10 / 21) and max(lrs) <= 1 and lrs[-1] == pytest.approx(1 / 21 / 0.9)
    assert all(a >= b for a, b in zip(lrs[2:], lrs[3:], strict=False))


def test_pirates_keep_capitals_and_other_words(taught):
    words, pirate = taught["PIRATE"], taught["as_pirate"]
    the = words["the"]
    text = pirate("The boy said: the motherland!")
    assert text == f"{the[0].upper()}{the[1:]} {words['boy']} {words['said']}: {the} motherland!"
    assert pirate("A red kite, 5 o'clock?") == "A red kite, 5 o'clock?"


# --- what is stored


def outputs() -> str:
    cells = [cell for cell in notebooks.read(PATH).cells if cell.cell_type == "code"]
    return "\n".join(
        output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
        for cell in cells
        for output in cell.outputs
    )


def test_the_stored_run_says_that_its_weights_are_untrained():
    text = outputs()
    if "OpenAI's weights are here" in text:
        pytest.skip("stored from a run with OpenAI's weights")
    assert "does not answer" in text and "UNTRAINED" in text
    assert "gpt2's shape, untrained, zero-shot" in text, "the scoreboard's row does not claim to be GPT-2"


def test_the_stored_run_shows_what_the_prose_says():
    text = outputs()
    for said in (
        "148 of 148 tensors are equal",
        "equal: True",
        "their names, translated, are ours: True",
        "in float64 within 0.00000000001: True",
        "the same first choice at every position: True",
        "ids equal: True   logits within 0.0001: True",
        "greedy text equal: True",
        "back again, bit for bit: True",
    ):
        assert said in text, said
    bars = text.split("Pirate stories, ")[1].split("The lowest")[0]
    learned = {}
    for group, said in zip(("pirate stories", "plain stories"), bars.split("Plain stories, "), strict=True):
        learned[group] = {
            name: float(re.search(rf"{name} (\d+\.\d+)", said)[1])
            for name in ("before", "last block", "all layers", "a quarter plain")
        }
    pirate, plain = learned["pirate stories"], learned["plain stories"]
    assert pirate["all layers"] < pirate["a quarter plain"] < pirate["last block"] < pirate["before"]
    assert plain["before"] < plain["a quarter plain"] < min(plain["last block"], plain["all layers"])


def test_the_stored_run_shows_what_is_said_of_lora():
    rows = re.findall(
        r"^(all layers|last block|LoRA) +([\d,]+) +(\S+) +(\S+) MB +(\S+) +(\S+)$", outputs(), re.MULTILINE
    )
    count, rate, memory, pirate, plain = ({row[0]: float(row[i].replace(",", "")) for row in rows} for i in range(1, 6))
    assert count["LoRA"] < count["last block"] / 6 and memory["LoRA"] < memory["all layers"] / 20
    assert pirate["all layers"] < pirate["last block"] < pirate["LoRA"] < 1.2 * pirate["last block"]
    assert plain["LoRA"] < min(plain["last block"], plain["all layers"])
    assert rate["all layers"] < rate["LoRA"]
    for said in ("bit for bit: True", "within 0.0001: True", "names of a plain model: True", "the same values: True"):
        assert said in outputs(), said


def test_an_untrained_model_is_about_as_good_as_a_guess():
    text = outputs()
    if "UNTRAINED" not in text:
        pytest.skip("stored from a run with OpenAI's weights")
    measured = float(re.search(r"^measured (\d+\.\d+)$", text, re.MULTILINE)[1])
    assert np.isclose(measured, math.log(50_257), atol=0.4)
