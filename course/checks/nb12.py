"""The exercises of notebook 12: Conv1D, names, state dicts, exporting; and those of the modules `models_compared` (the
first difference, losses) and `adapters` (freezing, LoRA).
"""

import torch
from torch import nn

from course.checks.adapters import SMALL, LoRA, add_lora, freeze, numbers
from course.checks.exercise import exercise
from course.checks.models_compared import convert_loss, first_difference
from helpers.model import GPT, GPTConfig

__all__ = [
    "as_linear", "our_name", "convert_state", "first_difference", "convert_loss", "freeze", "LoRA", "add_lora",
    "for_transformers",
]  # fmt: skip

THEIR_MODULES = {"qkv": "c_attn", "proj": "c_proj", "fc": "c_fc"}


@exercise("12.1", title="A Conv1D as a Linear", minutes=10, difficulty=2, may_change_input=True)
def as_linear(answer, check):
    weight, bias = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), torch.tensor([10.0, 20.0, 30.0])
    linear = answer(weight, bias)
    if linear is None:
        return
    check.that(
        isinstance(linear, nn.Linear), slug="a-linear", problem=f"that is a {type(linear).__name__}",
        hint="Return a whole torch.nn.Linear, not its weight alone.",
    )  # fmt: skip
    check.equal(
        (linear.in_features, linear.out_features), (2, 3), slug="in-out", when="in_features and out_features",
        hint="A Conv1D's matrix has a row for each input and a column for each output.",
    )  # fmt: skip
    check.shape(
        linear.weight, (3, 2), slug="shape", when="the new weight",
        hint="nn.Linear computes x @ weight.T: its matrix has a row for each output.",
    )  # fmt: skip
    check.equal(
        sorted(linear.weight.flatten().tolist()), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], slug="copied",
        when="the new weights, sorted",
        hint="A new nn.Linear starts with random values of its own: the given ones must be copied into it.",
    )  # fmt: skip
    check.equal(
        linear.weight, [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]], slug="transpose", when="the new weight",
        hint="`view` and `reshape` keep the order of the values and only cut it elsewhere. Rows must become columns.",
    )  # fmt: skip
    check.that(
        linear.bias is not None, slug="bias", problem="the new layer has no bias",
        hint="A Conv1D has a bias, one number for each output; so must the Linear.",
    )  # fmt: skip
    check.equal(
        linear.bias, bias, slug="bias-values", when="the new bias", hint="Copy the bias too; it is not transposed."
    )
    check.equal(
        {name for name, _ in linear.named_parameters()}, {"weight", "bias"}, slug="parameters",
        when="the names of its parameters",
        hint="What a Linear computes with can learn: weight and bias are Parameters.",
    )  # fmt: skip
    check.equal(
        [weight, bias], [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [10.0, 20.0, 30.0]], slug="changes-the-source",
        when="weight and bias after the call", hint="Leave the Conv1D's values as they were: they are not yours.",
    )  # fmt: skip
    x = numbers(check, 5, 4)
    square, bias = numbers(check, 4, 4), numbers(check, 4)
    linear = answer(square, bias)
    check.close(
        linear(x), torch.addmm(bias, x, square), slug="square", when="outputs for a square matrix",
        hint="A square matrix has the same shape both ways, and must be transposed all the same.",
    )  # fmt: skip
    for name, source, own in (("weight", square, linear.weight), ("bias", bias, linear.bias)):
        kept = own.detach().clone()
        source.zero_()
        check.that(
            torch.equal(own, kept), slug="shares",
            problem=f"the Conv1D's {name} was set to 0, and the Linear's with it",
            hint="A `.T` is a view, and a Parameter made of a tensor shares its memory. Copy the values.",
        )  # fmt: skip
    for d_in, d_out in ((3, 5), (6, 2), (1, 4)):
        x, weight, bias = numbers(check, 4, d_in), numbers(check, d_in, d_out), numbers(check, d_out)
        check.close(
            answer(weight, bias)(x), x @ weight + bias, slug="random", when=f"outputs of {d_in} -> {d_out}",
            hint="For every x the Linear must give x @ weight + bias.",
        )  # fmt: skip


@exercise("12.2", title="Their names and ours", minutes=12, difficulty=2, may_return_none=True)
def our_name(answer, check):
    def ask(theirs: str, ours: str | None, slug: str, hint: str) -> None:
        check.equal(answer(theirs), ours, slug=slug, hint=hint)

    ask("wte.weight", "wte.weight", "same", "The embeddings and ln_f are called the same on both sides.")
    ask("ln_f.bias", "ln_f.bias", "same", "The embeddings and ln_f are called the same on both sides.")
    hint = "Their `h` is our `blocks`: one part of the name, between two dots. Split the name at its dots."
    ask("h.0.ln_1.weight", "blocks.0.ln_1.weight", "blocks", hint)
    hint = "In a block c_attn is our qkv, c_fc our fc and c_proj our proj; attn and mlp keep their names."
    ask("h.0.attn.c_attn.weight", "blocks.0.attn.qkv.weight", "parts", hint)
    ask("h.1.attn.c_proj.weight", "blocks.1.attn.proj.weight", "parts", hint)
    ask("h.1.mlp.c_fc.weight", "blocks.1.mlp.fc.weight", "parts", hint)
    ask("h.2.mlp.c_proj.bias", "blocks.2.mlp.proj.bias", "parts", hint)
    ask("h.11.ln_2.bias", "blocks.11.ln_2.bias", "two-digits", "The number of a block can have two digits.")
    hint = 'Some files write "transformer." in front of every name. Take it off first.'
    ask("transformer.wpe.weight", "wpe.weight", "prefix", hint)
    ask("transformer.ln_f.weight", "ln_f.weight", "prefix", hint)
    ask("transformer.h.3.mlp.c_fc.bias", "blocks.3.mlp.fc.bias", "prefix", hint)
    hint = "The last line of the table: their lm_head is our head."
    ask("lm_head.weight", "head.weight", "head", hint)
    hint = "h.0.attn.bias and h.0.attn.masked_bias are causal masks, not parameters: return None for both."
    ask("h.0.attn.bias", None, "masks", hint)
    ask("h.7.attn.masked_bias", None, "masks", hint)
    ask("h.11.attn.bias", None, "masks", hint)
    ask("transformer.h.7.attn.bias", None, "masks", hint)
    ask("transformer.h.10.attn.masked_bias", None, "masks", hint)
    hint = "c_attn.bias is a real bias, although its name ends like a mask's. Compare whole parts of the name."
    ask("h.0.attn.c_attn.bias", "blocks.0.attn.qkv.bias", "bias-or-mask", hint)
    ask("h.0.attn.c_proj.bias", "blocks.0.attn.proj.bias", "bias-or-mask", hint)
    pairs = {"attn.c_attn": "attn.qkv", "attn.c_proj": "attn.proj", "mlp.c_fc": "mlp.fc", "mlp.c_proj": "mlp.proj"}
    for theirs, ours in pairs.items():
        number, kind = check.random.randrange(48), check.random.choice(["weight", "bias"])
        ask(f"h.{number}.{theirs}.{kind}", f"blocks.{number}.{ours}.{kind}", "random", "See the table of names above.")


@exercise("12.3", title="Convert a state dict", minutes=15, difficulty=2)
def convert_state(answer, check):
    model = GPT(GPTConfig(**SMALL))
    ours = {name: numbers(check, *parameter.shape) for name, parameter in model.named_parameters()}
    running = {f"transformer.{name}": tensor for name, tensor in _of_theirs(ours).items()}
    running["lm_head.weight"] = ours["wte.weight"].clone()
    got = answer(running)
    if got is None:
        return
    check.that(
        isinstance(got, dict), slug="a-dict", problem=f"that is a {type(got).__name__}",
        hint="Return a dictionary: our name for each tensor, and the tensor.",
    )  # fmt: skip
    left = next((name for name in got if name.startswith("transformer.") or ".h." in f".{name}" or "c_" in name), None)
    check.that(
        left is None,
        slug="names",
        problem=f"it still holds {left}",
        hint="Every key is what `our_name` makes of theirs.",
    )
    wanted = ours | {"head.weight": ours["wte.weight"]}
    _same_names(check, got, wanted, "the state of a running model")
    _same_layout(check, got, wanted)
    file = _of_theirs(ours)
    file |= {f"h.{i}.attn.{mask}": torch.ones(1, 1, 6, 6) for i in range(3) for mask in ("bias", "masked_bias")}
    got = answer(file)
    masks = [name for name in got if name is None or name.endswith(("attn.bias", "masked_bias"))]
    check.that(
        not masks, slug="masks", problem=f"the file has causal masks, and they are kept under {masks[:1]}",
        hint="`our_name` returns None for what has no counterpart: leave it out.",
    )  # fmt: skip
    check.that(
        "head.weight" in got, slug="tied", problem="the file has no lm_head.weight, and head.weight is missing",
        hint="Without lm_head.weight the head is tied: it is the token embedding.",
    )  # fmt: skip
    _same_names(check, got, wanted, "OpenAI's file, without transformer., with masks and without lm_head")
    _same_layout(check, got, wanted)
    bare = {name: tensor for name, tensor in running.items() if name != "lm_head.weight"}
    check.equal(
        answer(bare).get("head.weight"), ours["wte.weight"], slug="tied-prefix",
        when="names with transformer. in front, and no lm_head.weight: head.weight",
        hint="The token embedding has one name here, whatever its name there: take it from what you have converted.",
    )  # fmt: skip
    own = running | {"lm_head.weight": numbers(check, 11, 4)}
    check.equal(
        answer(own)["head.weight"], own["lm_head.weight"], slug="own-head", when="a head that is not tied: head.weight",
        hint="Where the file has an lm_head.weight, that is the head, whatever the embedding is. It is not transposed.",
    )  # fmt: skip
    backwards = dict(reversed(own.items()))
    check.equal(
        answer(backwards)["head.weight"], own["lm_head.weight"], slug="order",
        when="the same, with lm_head.weight as the first key: head.weight",
        hint="A dictionary may come in any order: the embedding must not be written over a head that was there before.",
    )  # fmt: skip
    check.equal(
        answer(dict(reversed(file.items())))["head.weight"], ours["wte.weight"], slug="order",
        when="a file without lm_head.weight whose first key is ln_f.bias: head.weight",
        hint="A dictionary may come in any order: the token embedding is found by its name.",
    )  # fmt: skip
    model.load_state_dict(answer(running))  # as the notebook does
    ids = torch.tensor([[1, 5, 2, 7]])
    check.close(
        model(ids), _logits(ours, ids), slug="logits", when="the logits of a GPT that loads it",
        hint="The names and shapes fit, the values do not: compare them one by one.",
    )  # fmt: skip


def _same_names(check, got: dict, wanted: dict, when: str) -> None:
    odd = sorted(got.keys() ^ wanted.keys(), key=str)
    check.that(
        not odd, slug="all", when=when,
        problem=f"{odd[0]} is " + ("one name too many" if odd[0] in got else "missing") if odd else "",
        hint="Every tensor that has a counterpart once, and head.weight: nothing else.",
    )  # fmt: skip


def _same_layout(check, got: dict, wanted: dict) -> None:
    for name, tensor in wanted.items():
        if tensor.dim() == 1 or name in ("wte.weight", "wpe.weight", "head.weight"):
            check.equal(
                got[name], tensor, slug="left-alone", when=name,
                hint="Vectors, embeddings and the head have one layout on both sides; four matrices of a block differ.",
            )  # fmt: skip
    for name, tensor in wanted.items():
        if tensor.dim() == 2 and tensor.shape[0] != tensor.shape[1]:
            check.equal(
                got[name], tensor, slug="transposed", when=name,
                hint="A Conv1D keeps (inputs, outputs): transpose the matrices of c_attn, c_fc and both c_proj.",
            )  # fmt: skip
    for name, tensor in wanted.items():
        check.equal(
            got[name], tensor, slug="square", when=name,
            hint="attn.c_proj is square, so its shape tells nothing. It is a Conv1D like the others.",
        )  # fmt: skip


def _of_theirs(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our tensors under their names, without a prefix, by the layers of `transformers`: a Conv1D's is transposed."""
    found = {}
    for name, tensor in state.items():
        *path, module, kind = name.replace("blocks.", "h.").split(".")
        if module in THEIR_MODULES and kind == "weight":
            tensor = torch.einsum("oi->io", tensor).contiguous()
        found[".".join([*path, THEIR_MODULES.get(module, module), kind])] = tensor
    return found


def _logits(state: dict[str, torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
    """What a `GPT` with these parameters says of `ids`."""
    model = GPT(GPTConfig(**SMALL))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(state[name])
    return model(ids)


@exercise("12.9", title="Export", minutes=15, difficulty=3)
def for_transformers(answer, check):
    model = GPT(GPTConfig(**SMALL))
    state = {name: numbers(check, *parameter.shape) for name, parameter in model.named_parameters()}
    got = answer(state)
    check.that(
        not any("blocks" in name or "qkv" in name for name in got or {}), slug="names",
        problem=f"it still holds {next((n for n in got or {} if 'blocks' in n or 'qkv' in n), '')}",
        hint="blocks becomes h, qkv c_attn, fc c_fc and proj c_proj, in every name.",
    )  # fmt: skip
    check.that(
        not any("lm_head" in name for name in got or {}), slug="added-head",
        problem="it holds an lm_head.weight, and what was given holds no head.weight",
        hint="A tied head is the embedding, which is there already. Export a head only where there is one.",
    )  # fmt: skip
    check.that(
        all(name.startswith("transformer.") for name in got or {}), slug="prefix",
        problem="some names lack transformer. in front",
        hint='A GPT2LMHeadModel keeps the network in its attribute `transformer`: "transformer." stands before each.',
    )  # fmt: skip
    expected = {f"transformer.{name}": tensor for name, tensor in _of_theirs(state).items()}
    odd = sorted(got.keys() ^ expected.keys())
    check.that(
        not odd, slug="all", problem=f"{odd[0]} is " + ("one too many" if odd[0] in got else "missing") if odd else "",
        hint="Every parameter once, none more and none less.",
    )  # fmt: skip
    _same_layout(check, _plain_names(got), _plain_names(expected))
    check.that(
        all(tensor.is_contiguous() for tensor in got.values()), slug="contiguous",
        problem="a tensor has its rows and columns exchanged and lies in memory as before",
        hint="safetensors writes the values in the order in which they lie in memory: add .contiguous().",
    )  # fmt: skip
    head = numbers(check, 11, 4)
    got = answer({**state, "head.weight": head})
    check.that(
        "lm_head.weight" in got and len(got) == len(state) + 1, slug="own-head",
        problem=f"a head that is not tied is exported as {sorted(got.keys() - expected.keys())}",
        hint="Their head is not inside `transformer`: it is called lm_head.weight, with nothing in front.",
    )  # fmt: skip
    check.equal(
        got["lm_head.weight"], head, slug="head-layout", when="lm_head.weight",
        hint="Their head is an nn.Linear, as ours is: it is not transposed.",
    )  # fmt: skip


def _plain_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
