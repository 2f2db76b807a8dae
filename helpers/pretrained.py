"""Built in notebook 12: weights from `transformers` and for it, so OpenAI's four GPT-2s in the course's `GPT`.

Both sides compute the same and differ in two habits. The first is names: `h.0.attn.c_attn` there is
`blocks.0.attn.qkv` here. The second is layout: `transformers` kept OpenAI's `Conv1D`, whose matrices are
(inputs, outputs), while `nn.Linear` holds (outputs, inputs); so four matrices of each block are transposed.

Whatever does not fit is refused, never guessed at. Nothing is unpickled: weights are read from safetensors.

Used by `GPT.from_pretrained` and `course.export`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from helpers.errors import CourseError, some_of
from helpers.files import read_json
from helpers.model import GPT, GPTConfig
from helpers.model_files import CONFIG, FolderFiles, HubFiles, check_layers, open_weights, shapes_only

# OpenAI's weights on the Hugging Face Hub, by the names people call them (124M, 355M, 774M, 1558M parameters).
RELEASED = {name: f"openai-community/{name}" for name in ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")}

THEIRS = {"blocks": "h", "qkv": "c_attn", "fc": "c_fc", "proj": "c_proj"}  # what a part of a name is called there
CONV1D = ("qkv.weight", "fc.weight", "proj.weight")  # the ends of the names of what a Conv1D keeps transposed
# Causal masks that old files hold beside the weights; they are not learned.
_MASKS = re.compile(r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)")

# What config.json calls the numbers that decide a model's shape.
SHAPE = {
    "vocab_size": "vocab_size",
    "n_positions": "context_length",
    "n_layer": "n_layer",
    "n_head": "n_head",
    "n_embd": "d_model",
}
_ACTIVATIONS = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "relu": "relu"}  # the first two are one function
DROPOUTS = ("embd_pdrop", "attn_pdrop", "resid_pdrop")
# What `GPT` does, and what each other value would mean.
_REQUIRED = {
    "layer_norm_epsilon": (1e-5, "adds another number in its LayerNorms"),
    "scale_attn_weights": (True, "does not scale its attention scores"),
    "scale_attn_by_inverse_layer_idx": (False, "divides attention scores by the number of the layer"),
    "reorder_and_upcast_attn": (False, "computes attention in another order and precision"),
    "add_cross_attention": (False, "has cross-attention to an encoder"),
    "quantization_config": (None, "has quantized weights"),
}


def load_pretrained(
    source: str | Path = "gpt2", dropout: float | None = None, device: str | torch.device = "cpu"
) -> GPT:
    """A GPT-2 that was saved by `transformers`, as a `GPT` in float32 and evaluation mode.

    Tensors are read one by one, so that little more memory is needed than the model takes.

    Args:
        source: "gpt2", "gpt2-medium", "gpt2-large" or "gpt2-xl" for OpenAI's weights; a folder with config.json
            and model.safetensors (or its parts and their index); or "owner/name" of a model on the Hub. What comes
            from the Hub is fetched once and then found in its cache. A folder that is called gpt2 is "./gpt2".
        dropout: the probability for training on; None takes what config.json says (OpenAI's: 0.1).
        device: where the weights go.

    Raises:
        CourseError: there is no such model, the Hub does not answer, or the model is not a GPT-2 that `GPT` can be.
    """
    name = str(source)
    if name in RELEASED:
        files = HubFiles(RELEASED[name])
    elif Path(source).is_dir():
        files = FolderFiles(source)
    elif isinstance(source, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        files = HubFiles(name)
    else:
        raise CourseError(
            f"there is no folder {name}, and it is not the name of a model: give {', '.join(RELEASED)}, a folder, "
            'or "owner/name" of a model on the Hub'
        )
    path = files.path(CONFIG)
    if path is None:
        raise CourseError(f"{name} is not a model that transformers saved: it has no {CONFIG}")
    config = config_from_transformers(read_json(path, nan=True), dropout, name)
    shapes, read = open_weights(files, name)
    return fill(config, shapes, read, name, device)


def config_from_transformers(content: dict, dropout: float | None = None, source: str = CONFIG) -> GPTConfig:
    """The configuration of a `GPT` that computes what the GPT-2 of a config.json does.

    Args:
        content: what stands in config.json, or `to_dict()` of a `GPT2Config`.
        dropout: instead of what is said there.
        source: what messages call the model.

    Raises:
        CourseError: another architecture, or a GPT-2 with something that `GPT` does not have.
    """
    if not isinstance(content, dict):
        raise CourseError(f"{source}: its {CONFIG} is not a JSON object")
    if isinstance(content.get("model"), dict) and "model_type" not in content:
        raise CourseError(
            f"{source} is a model that this course saved, not transformers: "
            "helpers.checkpoint.load_model loads it with its tokenizer"
        )
    kind = content.get("model_type")
    if kind != "gpt2":
        raise CourseError(f"{source} is not a GPT-2: its {CONFIG} says model_type {kind!r:.80}")
    for key, (wanted, otherwise) in _REQUIRED.items():
        if content.get(key, wanted) != wanted:
            raise CourseError(f"{source} {otherwise} ({key} is {content[key]!r:.80}), and the course's GPT does not")
    activation = str(content.get("activation_function", "gelu_new"))
    if activation not in _ACTIVATIONS:
        raise CourseError(
            f"{source} has the nonlinearity {activation!r:.80}, and the course's GPT only {' or '.join(_ACTIVATIONS)}"
        )
    missing = [key for key in SHAPE if key not in content]
    if missing:
        raise CourseError(f"{source}: its {CONFIG} does not say {', '.join(missing)}")
    if dropout is None:
        dropouts = [content.get(key, 0.1) for key in DROPOUTS]
        if dropouts != dropouts[:1] * 3:
            raise CourseError(
                f"{source} has a different dropout in each place ({', '.join(DROPOUTS)}), and the course's GPT "
                "one for all: give dropout=..."
            )
        dropout = dropouts[0]
    try:
        return GPTConfig(
            **{ours: content[theirs] for theirs, ours in SHAPE.items()},
            d_ff=content.get("n_inner"),
            dropout=dropout,
            activation=_ACTIVATIONS[activation],
            tied_head=content.get("tie_word_embeddings", True),
        )
    except (CourseError, TypeError) as error:
        raise CourseError(f"{source}: its {CONFIG} describes no model that can be: {error}") from error


def fill(
    config: GPTConfig,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[[str], Tensor],
    source: str,
    device: str | torch.device,
) -> GPT:
    """A model whose every parameter is copied from the tensor that `read` gives; whether all fit is seen before.

    Args:
        shapes: of all tensors, by their names in the source.
        source: what messages call it.
    """
    check_layers(shapes, config.n_layer, source)
    with shapes_only():  # no memory, no time, and nobody's random numbers
        model = GPT(config)
    in_file = _by_full_name(shapes, source)
    wanted = {name: transformers_name(name) for name, _ in model.named_parameters()}
    expected = {other for other, _ in wanted.values()}
    missing = sorted(expected - in_file.keys())
    if missing:
        raise CourseError(f"{source} lacks {some_of(missing)}, which a GPT-2 of its {CONFIG} has")
    extra = sorted(in_file.keys() - expected - ({"lm_head.weight"} if config.tied_head else set()))
    if extra:
        raise CourseError(f"{source} has {some_of(extra)}, which a GPT-2 of its {CONFIG} does not have")
    for name, parameter in model.named_parameters():
        other, transposed = wanted[name]
        shape = tuple(reversed(parameter.shape)) if transposed else tuple(parameter.shape)
        if shapes[in_file[other]] != shape:
            raise CourseError(
                f"{source}: {other} has shape {shapes[in_file[other]]}, and its {CONFIG} asks for {shape}"
            )
    model.to_empty(device=device)
    if config.tied_head:  # a parameter that two modules share has become two
        model.head.weight = model.wte.weight
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            other, transposed = wanted[name]
            tensor = read(in_file[other])
            if not tensor.is_floating_point():
                raise CourseError(f"{source}: {other} holds {tensor.dtype}, and weights are floating-point numbers")
            parameter.copy_(tensor.t() if transposed else tensor)
        if config.tied_head and "lm_head.weight" in in_file:
            _check_tied(model, read(in_file["lm_head.weight"]), source)
    return model.eval()


def _by_full_name(names: Iterable[str], source: str) -> dict[str, str]:
    """From a tensor's name with "transformer." in front to its name in the file; masks are left out."""
    full: dict[str, str] = {}
    for name in names:
        if _MASKS.fullmatch(name):
            continue
        key = name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}"
        if key in full:
            raise CourseError(f"{source} has {key} twice, with and without transformer. in front")
        full[key] = name
    return full


def _check_tied(model: GPT, head: Tensor, source: str) -> None:
    tied = model.wte.weight
    if head.shape != tied.shape or not torch.equal(head.to(tied), tied):
        raise CourseError(
            f"{source} has an lm_head.weight that is not its token embedding, "
            f"although its {CONFIG} says that the two are tied (tie_word_embeddings)"
        )


def transformers_name(name: str) -> tuple[str, bool]:
    """What `transformers` calls a parameter of `GPT`, and whether it keeps it transposed.

    >>> transformers_name("blocks.0.attn.qkv.weight")
    ('transformer.h.0.attn.c_attn.weight', True)
    """
    if name == "head.weight":
        return "lm_head.weight", False
    theirs = "transformer." + ".".join(THEIRS.get(part, part) for part in name.split("."))
    return theirs, name.endswith(CONV1D)


def for_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a `GPT` by name, under the names and in the layout of `transformers`."""
    exported = {}
    for name, tensor in state.items():
        theirs, transposed = transformers_name(name)
        exported[theirs] = tensor.T.contiguous() if transposed else tensor
    return exported
