"""Models of today's parts, exported: transformers loads them as Llama or Qwen3 and computes and tells the same."""

import json
from itertools import islice

import pytest
import torch

from course.__main__ import main
from course.export import config_to_transformers, export, kind_of, to_transformers, to_transformers_state
from course.site.model_cards import model_card
from helpers.checkpoint import save_model
from helpers.errors import CourseError
from helpers.generation import generate
from helpers.modern import ModernConfig, ModernGPT, stretched_base
from helpers.tokenizer import train_tokenizer

transformers = pytest.importorskip("transformers")

SHAPE = dict(vocab_size=280, context_length=48, n_layer=3, n_head=4, d_model=32)
KINDS = {
    "Llama": (dict(), "LlamaForCausalLM"),
    "shared keys, tied": (dict(n_kv_head=2, tied_head=True), "LlamaForCausalLM"),
    "one head of keys, another width and base": (dict(n_kv_head=1, d_ff=40, rope_base=500.0), "LlamaForCausalLM"),
    "positions interpolated": (dict(interpolation=4.0), "LlamaForCausalLM"),
    "base stretched": (dict(rope_base=stretched_base(10_000.0, 4, 8)), "LlamaForCausalLM"),
    "QK-norm": (dict(qk_norm=True, n_kv_head=2), "Qwen3ForCausalLM"),
    "QK-norm, tied, interpolated": (dict(qk_norm=True, tied_head=True, interpolation=2.0), "Qwen3ForCausalLM"),
}


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["Once upon a time, Tom had a kite. The kite was red."] * 3, 280)


def made(**changes) -> ModernGPT:
    torch.manual_seed(0)
    model = ModernGPT(ModernConfig.llama(**SHAPE | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def random_ids(batch: int, time: int) -> torch.Tensor:
    return torch.randint(0, 256, (batch, time), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_loads_it_and_has_the_same_logits_and_the_same_text(kind, tokenizer, tmp_path):
    changes, architecture = KINDS[kind]
    model = made(**changes)
    folder = export(model, tokenizer, tmp_path / "export", card=model_card(model, tokenizer))
    theirs, report = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report  # nothing missing, left over or of another shape
    assert type(theirs).__name__ == architecture == kind_of(model.config)
    assert theirs.num_parameters() == model.parameter_count()
    ids = random_ids(3, 48)
    with torch.no_grad():
        difference = (theirs(ids).logits - model(ids)).abs().max()
    assert difference < 1e-4 and model(ids).std() > 0.3
    prompt = [0, 45, 17, 99, 3]
    ids = torch.tensor([prompt])  # which begins with the end of a text: not to be taken for padding
    asked = dict(attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=40, eos_token_id=None)
    answer = theirs.generate(ids, **asked)
    assert answer[0].tolist() == prompt + list(islice(generate(model, prompt, 40, greedy=True), 40))


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_every_gradient_agree(kind):
    model = made(**KINDS[kind][0])
    theirs, ids = to_transformers(model), random_ids(2, 48)
    model.loss(ids[:, :-1], ids[:, 1:]).backward()
    loss = theirs(ids, labels=ids).loss
    loss.backward()
    assert loss.item() == pytest.approx(model(ids[:, :-1], ids[:, 1:])[1].item(), rel=1e-5)
    with torch.no_grad():  # the gradients take the way of the weights
        gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
        for parameter in model.parameters():
            parameter.copy_(parameter.grad)
        for name, gradient in to_transformers_state(model).items():
            assert (gradient - gradients[name]).abs().max() < 1e-5 * min(1, 10 * gradient.abs().max()), name


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (dict(rms_norm=False), "LayerNorms"),
        (dict(rotary=False), "not rotated"),
        (dict(swiglu=False), "without a gate"),
        (dict(bias=True), "biases"),
        (dict(window=8), "a window"),
        (dict(logit_cap=30.0), "a cap"),
        (dict(n_expert=4), "experts"),
    ],
)
def test_what_llama_cannot_be_is_not_exported(changes, reason, tokenizer, tmp_path):
    model = made(**changes)
    for refuse in (
        lambda: export(model, tokenizer, tmp_path / "export", card="# A model"),
        lambda: to_transformers(model),
        lambda: config_to_transformers(model.config),
    ):
        with pytest.raises(CourseError, match=reason):
            refuse()
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_overwritten_by_the_command_and_its_card_says_what_it_is(tokenizer, tmp_path, capsys):
    save_model(tmp_path / "model", made(qk_norm=True), tokenizer)
    for more in ([], ["--overwrite"]):
        assert main(["export", "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out"), *more]) == 0
    assert json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))["model_type"] == "qwen3"
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "A small Qwen3 of" in card and 'tags: ["qwen3"]' in card
    capsys.readouterr()
    save_model(tmp_path / "model", made(window=8), tokenizer)
    assert main(["export", "--model", str(tmp_path / "model"), "--out", str(tmp_path / "other")]) == 2
    assert "a window" in capsys.readouterr().err


def test_a_cached_story_of_the_command_line_is_the_one_of_the_model(tokenizer, tmp_path, capsys):
    model = made(n_kv_head=2)
    save_model(tmp_path / "model", model, tokenizer)
    command = ["generate", "Tom had", "--model", str(tmp_path / "model"), "--greedy", "--max-new-tokens", "12"]
    assert main(command) == 0
    ids = [tokenizer.eos_token_id, *tokenizer.encode("Tom had")]
    told = tokenizer.decode(list(generate(model, ids, 12, greedy=True, eos_token_id=tokenizer.eos_token_id)))
    assert capsys.readouterr().out.strip() == ("Tom had" + told).strip()


def test_the_engine_refuses_what_it_does_not_know(tokenizer, tmp_path, capsys):
    pytest.importorskip("ctranslate2")
    save_model(tmp_path / "model", made(), tokenizer)
    command = ["generate", "Tom had", "--model", str(tmp_path / "model"), "--engine", "ctranslate2"]
    assert main(command) == 2
    assert "not of a ModernGPT" in capsys.readouterr().err
