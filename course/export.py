"""Built in notebooks 12 and 14: a trained model for everybody else, as a folder that `transformers` loads.

`transformers.AutoModelForCausalLM.from_pretrained(folder)`, `AutoTokenizer.from_pretrained(folder)` and
`pipeline("text-generation", folder)` read what `export` writes, and of a GPT-2 so does `GPT.from_pretrained(folder)`.
A `GPT` is a GPT-2 there; a `ModernGPT` of Llama's parts (`ModernConfig.llama`) is a Llama, or with QK-norm a Qwen3.
In memory, `to_transformers` makes their model of ours, and `from_transformers_state` a `GPT` of a GPT-2's weights.

Used by `python -m course export`, and by the benchmarks, which compare with `to_transformers(model)`.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from helpers.bpe import END
from helpers.errors import CourseError
from helpers.files import folder_to_be, read_json, write_atomically, write_json
from helpers.model import GPT, GPTConfig
from helpers.model_files import CONFIG, WEIGHTS
from helpers.modern import ModernConfig
from helpers.pretrained import DROPOUTS, SHAPE, fill, for_transformers
from helpers.tokenizer import Tokenizer

TOKENIZER, TOKENIZER_CONFIG, GENERATION, CARD = (
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "README.md",
)
GPT2, LLAMA, QWEN3 = "GPT2LMHeadModel", "LlamaForCausalLM", "Qwen3ForCausalLM"  # what is made of our models there
# What a part of our model is called in Llama and Qwen3.
LLAMA_NAMES = {
    "wte": "model.embed_tokens",
    "ln_1": "input_layernorm",
    "attn.q_norm": "self_attn.q_norm",
    "attn.k_norm": "self_attn.k_norm",
    "attn.proj": "self_attn.o_proj",
    "ln_2": "post_attention_layernorm",
    "mlp.gate": "mlp.gate_proj",
    "mlp.fc": "mlp.up_proj",
    "mlp.proj": "mlp.down_proj",
    "ln_f": "model.norm",
    "head": "lm_head",
}
WRITTEN = {WEIGHTS, CONFIG, TOKENIZER, TOKENIZER_CONFIG, GENERATION, CARD}


def from_transformers_state(
    state: Mapping[str, Tensor], config: GPTConfig, source: str = "the weights", device: str | torch.device = "cpu"
) -> GPT:
    """A new `GPT`, in evaluation mode, with the weights of `transformers`' GPT-2.

    Args:
        state: tensors by their names there, with or without "transformer." in front: the `state_dict()` of a
            `GPT2LMHeadModel` or `GPT2Model`. They are copied, as float32.
        config: the shape; `config_from_transformers(model.config.to_dict())` reads it from theirs.
        source: what messages call the weights.

    Raises:
        CourseError: a tensor is missing, left over, or of another shape; the message names it.
    """
    check_is_gpt2(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    return fill(config, shapes, state.__getitem__, source, device)


def to_transformers_state(model: GPT) -> dict[str, Tensor]:
    """The weights of `model` as those of its kind in `transformers`; a tied head is left out, as in its files.

    Raises:
        CourseError: the model has an option that its kind does not have there.
    """
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    return for_transformers(weights) if kind_of(model.config) == GPT2 else _for_llama(weights, model.config)


def _for_llama(weights: Mapping[str, Tensor], config: ModernConfig) -> dict[str, Tensor]:
    """By the names of Llama and Qwen3, which keep queries, keys and values apart; no matrix is transposed."""
    found = {}
    for name, weight in weights.items():
        *block, part = name.removesuffix(".weight").replace("blocks.", "model.layers.").split(".", 3)
        where = ".".join(block) + "." if block else ""
        if part == "attn.qkv":
            rows = [heads * config.d_head for heads in (config.n_head, config.n_kv_head, config.n_kv_head)]
            for letter, matrix in zip("qkv", weight.split(rows), strict=True):
                found[f"{where}self_attn.{letter}_proj.weight"] = matrix
        else:
            found[f"{where}{LLAMA_NAMES[part]}.weight"] = weight
    return found


def config_to_transformers(config: GPTConfig, eos_token_id: int | None = None) -> dict:
    """What config.json of `transformers` says of such a model, as a dictionary for JSON.

    Args:
        eos_token_id: the id of the token that ends a text.

    Raises:
        CourseError: the model has an option that its kind does not have there.
    """
    if kind_of(config) != GPT2:
        return _llama_config(config, eos_token_id)
    return {
        "architectures": [GPT2],
        "model_type": "gpt2",
        **{theirs: getattr(config, ours) for theirs, ours in SHAPE.items()},
        "n_inner": config.d_ff,
        "activation_function": {"gelu": "gelu_new", "relu": "relu"}[config.activation],
        **dict.fromkeys(DROPOUTS, config.dropout),
        "layer_norm_epsilon": 1e-5,
        "initializer_range": 0.02,
        "tie_word_embeddings": config.tied_head,
        "bos_token_id": eos_token_id,
        "eos_token_id": eos_token_id,
        "dtype": "float32",
    }


def _llama_config(config: ModernConfig, eos_token_id: int | None) -> dict:
    rope = {"rope_type": "default", "rope_theta": config.rope_base}
    if config.interpolation != 1:
        rope |= {"rope_type": "linear", "factor": config.interpolation}
    return {
        "architectures": [kind_of(config)],
        "model_type": "qwen3" if config.qk_norm else "llama",
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.context_length,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_kv_head,
        "head_dim": config.d_head,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_parameters": rope,
        "attention_bias": False,
        "attention_dropout": config.dropout,
        "initializer_range": 0.02,
        "tie_word_embeddings": config.tied_head,
        "bos_token_id": eos_token_id,
        "eos_token_id": eos_token_id,
        "dtype": "float32",
    }


def kind_of(config: GPTConfig) -> str:
    """The class of `transformers` that is such a model.

    Raises:
        CourseError: there is none; the message names the option.
    """
    if not isinstance(config, ModernConfig):
        check_is_gpt2(config)
        return GPT2
    reasons = {
        "LayerNorms": not config.rms_norm,
        "positions that are not rotated": not config.rotary,
        "feed-forward networks without a gate": not config.swiglu,
        "biases": config.bias,
        "a window": config.window is not None,
        "a cap on its logits": config.logit_cap is not None,
        "experts": config.n_expert > 0,
    }
    for reason, applies in reasons.items():
        if applies:
            raise CourseError(f"this model has {reason}, and transformers' Llama and Qwen3 do not")
    return QWEN3 if config.qk_norm else LLAMA


def check_is_gpt2(config: GPTConfig) -> None:
    """Refuse a model that `transformers`' GPT-2 cannot be; ReLU and a head of its own it can have.

    Raises:
        CourseError: naming the option.
    """
    reasons = {
        "LayerNorms behind the sublayers (norm='post')": config.norm != "pre",
        "sinusoidal positions": config.positions != "learned",
        "no biases (bias=False)": not config.bias,
    }
    for reason, applies in reasons.items():
        if applies:
            raise CourseError(f"this model has {reason}, and transformers' GPT-2 cannot have that")


def to_transformers(model: GPT) -> torch.nn.Module:
    """`transformers`' model with a copy of the weights of `model`, in the same mode and on its device.

    Raises:
        CourseError: transformers is not installed, or has no such model.
    """
    try:
        import transformers
    except ImportError as error:
        raise CourseError("this needs transformers: pip install -r requirements.txt") from error
    state = to_transformers_state(model)
    kind = getattr(transformers, kind_of(model.config))
    config = kind.config_class(**config_to_transformers(model.config), attn_implementation="sdpa")
    with torch.random.fork_rng(devices=[]):  # its random initialization must not disturb anybody's seed
        equivalent = kind(config)
    equivalent.loss_type = "ForCausalLM"  # its default, said aloud: otherwise it warns
    theirs = dict(equivalent.named_parameters())
    with torch.no_grad():
        for name, weight in state.items():
            theirs.pop(name).copy_(weight)
    assert not theirs, f"parameters without a counterpart: {sorted(theirs)}"
    return equivalent.to(model.head.weight.device).train(model.training)


def export(model: GPT, tokenizer: Tokenizer, folder: str | Path, *, card: str, overwrite: bool = False) -> Path:
    """Write a model in the layout of `transformers`, whole or not at all.

    The folder gets model.safetensors (float32), config.json, tokenizer.json, tokenizer_config.json,
    generation_config.json, and the model card README.md.

    Args:
        folder: a new or an empty one.
        card: the text of the model card, in Markdown.
        overwrite: replace what an earlier export wrote there; nothing else is ever replaced.

    Raises:
        CourseError: the model has an option that its kind in `transformers` does not have, the tokenizer belongs
            to another model, or the folder holds something else.
    """
    from safetensors.torch import save_file

    kind_of(model.config)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise CourseError(
            f"the tokenizer has {tokenizer.vocab_size} entries, the model knows {model.config.vocab_size}: "
            "they do not belong together"
        )
    folder = check_target(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        weights = {name: each.float().cpu().contiguous() for name, each in to_transformers_state(model).items()}
        save_file(weights, new / WEIGHTS, {"format": "pt"})
        del weights
        write_json(new / CONFIG, config_to_transformers(model.config, tokenizer.eos_token_id))
        tokenizer.save(new / TOKENIZER)
        write_json(new / TOKENIZER_CONFIG, _tokenizer_config(model))
        write_json(new / GENERATION, _generation_config(model, tokenizer))
        write_atomically(new / CARD, card)
        os.chmod(new, 0o755)  # mkdtemp makes folders that only their owner may enter
        os.chmod(new / WEIGHTS, 0o644)
        _replace(folder, new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return folder


def check_target(folder: str | Path, overwrite: bool = False) -> Path:
    """The absolute path of a folder that an export may be written to.

    Raises:
        CourseError: it holds something that would be lost.
    """
    folder = folder_to_be(folder).absolute()
    found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if not found:
        return folder
    foreign = sorted(found - WRITTEN)
    if foreign or not _is_export(folder):
        what = foreign[0] if foreign else "something"
        raise CourseError(f"{folder} holds {what} that no export wrote: name a new folder")
    if not overwrite:
        raise CourseError(f"{folder} holds an export already: name a new folder, or overwrite it (--overwrite)")
    return folder


def _is_export(folder: Path) -> bool:
    if not (folder / CONFIG).is_file():
        return False
    content = read_json(folder / CONFIG, nan=True)
    return isinstance(content, dict) and content.get("model_type") in ("gpt2", "llama", "qwen3")


def _replace(folder: Path, new: Path) -> None:
    """Put `new` where `folder` is: a full folder cannot be renamed over, so the old one steps aside first."""
    aside = new.with_suffix(".old")
    if folder.exists():
        os.replace(folder, aside)
    try:
        os.replace(new, folder)
    except BaseException:
        if aside.exists():
            os.replace(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _tokenizer_config(model: GPT) -> dict:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",  # reads tokenizer.json as it stands
        "bos_token": END,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",  # generation goes on at the right end: padding there would stand before what is new
        "model_max_length": model.config.context_length,
    }


def _generation_config(model: GPT, tokenizer: Tokenizer) -> dict:
    return {
        "bos_token_id": tokenizer.eos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
        # Not `max_length`: every call with max_new_tokens would warn that both are given. There are no positions
        # beyond the context, so an eighth of it is left for the prompt.
        "max_new_tokens": max(1, model.config.context_length * 7 // 8),
    }
