"""The exercises of notebook 12: Conv1D, names, state dicts, the first difference, losses, freezing, LoRA, exporting.

Longer than other modules: a notebook has one module of checks, in which each stands by itself.
"""

import copy
import math

import torch
from torch import nn

from course.checks.exercise import exercise
from helpers.model import GPT, GPTConfig

SMALL = dict(vocab_size=11, context_length=6, n_layer=3, n_head=2, d_model=4)
THEIR_MODULES = {"qkv": "c_attn", "proj": "c_proj", "fc": "c_fc"}
IN_A_BLOCK = ("attn.qkv", "attn.proj", "mlp.fc", "mlp.proj")


def _numbers(check, *shape: int) -> torch.Tensor:
    return torch.tensor([check.random.uniform(-1, 1) for _ in range(math.prod(shape))]).view(shape)


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
        [weight, bias], [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [10.0, 20.0, 30.0]], slug="changes-the-source",
        when="weight and bias after the call", hint="Leave the Conv1D's values as they were: they are not yours.",
    )  # fmt: skip
    x = _numbers(check, 5, 4)
    square, bias = _numbers(check, 4, 4), _numbers(check, 4)
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
        x, weight, bias = _numbers(check, 4, d_in), _numbers(check, d_in, d_out), _numbers(check, d_out)
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
    ours = {name: _numbers(check, *parameter.shape) for name, parameter in model.named_parameters()}
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
    own = running | {"lm_head.weight": _numbers(check, 11, 4)}
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


@exercise("12.4", title="Where two models part", minutes=10, difficulty=2, may_return_none=True)
def first_difference(answer, check):
    layers = [torch.zeros(1, 2, 3) + i for i in range(4)]

    def changed(at: int, by: float, place: tuple = (0, 1, 2)) -> list[torch.Tensor]:
        others = [layer.clone() for layer in layers]
        others[at][place] += by
        return others

    check.equal(
        answer(layers, layers, 1e-4), None, slug="equal", when="equal models", hint="Nothing differs: return None."
    )
    got, when = answer(layers, changed(2, 1.0), 1e-4), "a 1.0 added to layer 2"
    check.that(
        got is not None, slug="sign", problem=f"{when}: expected 2, got None",
        hint="A difference may be negative: compare its absolute value.",
    )  # fmt: skip
    check.equal(got, 2, slug="index", when=when, hint="Return the index in the list, counted from 0.")
    for ours, theirs, when in (
        (changed(2, -1.0), layers, "a 1.0 taken from ours in layer 2"),
        (layers, changed(2, -1.0), "a 1.0 taken from theirs in layer 2"),
    ):
        hint = "A difference may be negative: compare its absolute value."
        check.equal(answer(ours, theirs, 1e-4), 2, slug="sign", when=when, hint=hint)
    check.equal(
        answer(layers, changed(1, 1e-6), 1e-4), None, slug="tolerance", when="a difference of 0.000001",
        hint="Rounding is not a difference: only what is larger than the tolerance counts.",
    )  # fmt: skip
    check.equal(
        answer(layers, changed(3, 1.0), 1e-4), 3, slug="last", when="a 1.0 added to layer 3, the last",
        hint="The last layer counts as well.",
    )  # fmt: skip
    check.equal(
        answer(layers, changed(1, 3e-4), 1e-4), 1, slug="largest", when="0.0003 added to one of six values of layer 1",
        hint="One wrong value is enough. A mean would hide it: take the largest difference of the layer.",
    )  # fmt: skip
    check.equal(
        answer(layers, [layer + 8e-5 for layer in layers], 1e-4), None, slug="sum", when="0.00008 added to every value",
        hint="No value differs by more than the tolerance. A sum or a norm grows with the number of values.",
    )  # fmt: skip
    check.equal(
        answer(layers, changed(1, 0.5), 0.5), None, slug="border", when="a difference of 0.5, with a tolerance of 0.5",
        hint="What differs by exactly the tolerance is within it: only MORE counts.",
    )  # fmt: skip
    large = [layer + 5000 for layer in layers]
    larger = [layer.clone() for layer in large]
    larger[1][0, 1, 2] += 0.01
    check.equal(
        answer(large, larger, 1e-3), 1, slug="relative", when="5001.00 and 5001.01, with a tolerance of 0.001",
        hint="The tolerance is absolute. `allclose` and `isclose` add a relative one unless told `rtol=0`.",
    )  # fmt: skip
    several = changed(1, 1.0)
    several[2] += 7
    several[3] += 9
    check.equal(
        answer(layers, several, 1e-4), 1, slug="first", when="layers 1, 2 and 3 differ, each more than the one before",
        hint="A mistake in one layer spoils all later ones; look for the FIRST that differs, not for the largest.",
    )  # fmt: skip
    check.equal(
        answer(layers, changed(0, 1.0), 1e-4), 0, slug="zero", when="layer 0 differs",
        hint="The answer may be 0, which is not None, although both count as false in Python.",
    )  # fmt: skip
    broken = changed(2, math.nan)
    for ours, theirs, when in (
        (broken, layers, "layer 2 of ours holds a nan"),
        (layers, broken, "layer 2 of theirs holds a nan"),
        (broken, broken, "layer 2 of both holds a nan"),
    ):
        hint = "Every comparison with nan is False. Ask whether the difference is NOT within the tolerance."
        check.equal(answer(ours, theirs, 1e-4), 2, slug="nan", when=when, hint=hint)
    for _ in range(8):
        at, place = check.random.randrange(4), (0, check.random.randrange(2), check.random.randrange(3))
        check.equal(
            answer(layers, changed(at, check.random.choice([-0.5, 0.5]), place), 0.1), at, slug="random",
            when=f"a 0.5 more or less at {place} of layer {at}",
            hint="For each layer in turn: the largest absolute difference of ALL its values, and is it within it?",
        )  # fmt: skip


@exercise("12.5", title="A loss from another tokenizer", minutes=8, difficulty=2)
def convert_loss(answer, check):
    ln2 = math.log(2)
    both = answer(ln2, 1.0, 1.0)
    check.that(
        isinstance(both, tuple | list) and len(both) == 2 or both is None, slug="two",
        problem=f"expected two numbers, got {both!r}",
        hint="Return a pair: bits per byte, then nats per token of our tokenizer.",
    )  # fmt: skip
    check.close(
        both[0], 1.0, slug="one-bit", when="ln 2 nats per token, one byte per token: bits per byte",
        hint="ln 2 nats are one bit: divide nats by the natural logarithm of 2.",
    )  # fmt: skip
    check.close(
        answer(8 * ln2, 4.0, 4.0)[0], 2.0, slug="per-byte", when="eight bits for a token of four bytes: bits per byte",
        hint="The bits of a token are shared by its bytes.",
    )  # fmt: skip
    check.close(
        answer(3.0, 4.0, 4.0)[1], 3.0, slug="same-tokenizer", when="3.0 nats, both tokenizers alike: our nats",
        hint="If our tokens are as long as theirs, our loss is the same number, in nats and per token.",
    )  # fmt: skip
    check.close(
        answer(3.0, 4.0, 2.0)[1], 1.5, slug="ratio", when="3.0 nats for 4 bytes; our tokens have 2: our nats",
        hint="A token with half the bytes should cost half the nats.",
    )  # fmt: skip
    check.close(
        answer(3.0, 4.0, 2.0)[0], 3.0 / 4 / ln2, slug="whose-bytes", when="3.0 nats for 4 bytes: bits per byte",
        hint="The loss belongs to THEIR tokens: divide by the bytes of theirs. Ours do not enter the first number.",
    )  # fmt: skip
    for _ in range(8):
        nats, theirs, ours = (check.random.uniform(0.5, 5) for _ in range(3))
        got = answer(nats, theirs, ours)
        text = 1000.0  # bytes: the total loss of a text does not depend on how it is cut
        total = nats * text / theirs
        check.close(
            [got[0], got[1]], [total / ln2 / text, total / (text / ours)], slug="random",
            hint="Imagine a text of 1,000 bytes: how many tokens has it for them, how many nats in all, and for us?",
        )  # fmt: skip


@exercise("12.6", title="Freeze", minutes=12, difficulty=2)
def freeze(answer, check):
    def learns(model: GPT) -> set[str]:
        return {name for name, parameter in model.named_parameters() if parameter.requires_grad}

    def wanted(model: GPT, k: int) -> set[str]:
        last = tuple(f"blocks.{i}." for i in range(model.config.n_layer - k, model.config.n_layer))
        return {name for name, _ in model.named_parameters() if name.startswith((*last, "ln_f."))}

    model = GPT(GPTConfig(**SMALL))
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    count = answer(model, 1)
    got = learns(model)
    check.that(
        not got & {"wte.weight", "wpe.weight"}, slug="embeddings", problem="the embeddings learn",
        hint="Everything but the last blocks and ln_f is frozen, the token and position embeddings too.",
    )  # fmt: skip
    check.that(
        not any(name.startswith(("blocks.0.", "blocks.1.")) for name in got), slug="early",
        problem="blocks 0 and 1 of 3 should be frozen, and something in them learns",
        hint="k = 1 leaves the LAST block to learn: those nearest to the output.",
    )  # fmt: skip
    check.that(
        any(name.startswith("blocks.2.") for name in got), slug="last",
        problem="block 2 of 3, the last, is frozen", hint="The last k blocks must learn: requires_grad is True there.",
    )  # fmt: skip
    check.that(
        {"ln_f.weight", "ln_f.bias"} <= got, slug="norm", problem="ln_f is frozen",
        hint="The final LayerNorm belongs to what learns.",
    )  # fmt: skip
    missing = sorted(got ^ wanted(model, 1))
    check.that(
        not missing, slug="whole", problem=f"k = 1: {missing[0]} is frozen" if missing else "",
        hint="A block learns with all its parts.",
    )  # fmt: skip
    check.equal(
        count, sum(p.numel() for p in model.parameters() if p.requires_grad), slug="count", when="what is returned",
        hint="Count values (`numel`), not tensors, and only of the parameters that learn.",
    )  # fmt: skip
    check.that(
        all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True)), slug="values",
        problem="weights were changed", hint="Freezing changes no value: only `requires_grad`.",
    )  # fmt: skip
    model = GPT(GPTConfig(**SMALL))
    answer(model, 0)
    check.equal(
        learns(model), {"ln_f.weight", "ln_f.bias"}, slug="zero", when="k = 0, what learns",
        hint="blocks[-0:] is blocks[0:], which is all of them. Count from the front: n_layer - k.",
    )  # fmt: skip
    answer(model, 3)
    check.equal(
        learns(model), wanted(model, 3), slug="again", when="k = 3 after k = 0, what learns",
        hint="The model may have been frozen before: what must learn has to be switched on again.",
    )  # fmt: skip
    answer(model, 2)
    check.equal(
        learns(model), wanted(model, 2), slug="again", when="k = 2 after k = 3, what learns",
        hint="The model may have been frozen otherwise before: what must not learn has to be switched off.",
    )  # fmt: skip
    untied = GPT(GPTConfig(**SMALL, tied_head=False))
    answer(untied, 1)
    check.that(
        "head.weight" not in learns(untied), slug="head", problem="a head that is not tied learns",
        hint="Not every model's head is its token embedding. Freeze the whole model first, and then thaw.",
    )  # fmt: skip


@exercise("12.7", title="LoRA", minutes=20, difficulty=3)
def LoRA(answer, check):
    linear = nn.Linear(3, 5)
    before = copy.deepcopy(linear)
    adapter = answer(linear, 2, 5.0)
    check.that(
        isinstance(adapter, nn.Module), slug="a-module", problem="it is no torch.nn.Module",
        hint="`class MyLoRA(torch.nn.Module)`, so that its parameters are found.",
    )  # fmt: skip
    own = dict(adapter.named_parameters())
    for name, shape, what in (("A", (2, 3), "(r, inputs)"), ("B", (5, 2), "(outputs, r)")):
        check.that(
            name in own, slug="parameters", problem=f"it has the parameters {sorted(own)}, and no {name}",
            hint="What learns is a `torch.nn.Parameter`, assigned to self.A and self.B. A tensor alone is not found.",
        )  # fmt: skip
        check.shape(
            own[name], shape, slug="shapes", when=f"inputs 3, outputs 5, r 2: {name}", hint=f"{name} is {what}."
        )
    x = _numbers(check, 4, 3)
    check.that(
        not own["B"].any(), slug="start", problem="B is not zero at the start",
        hint="At the start nothing is added: the model is the one that was given. B begins with zeros.",
    )  # fmt: skip
    check.that(
        bool(own["A"].any()), slug="dead", problem="A is zero, as B is",
        hint="If both are zero, both gradients are zero and nothing ever learns. A begins with random values.",
    )  # fmt: skip
    check.that(
        not torch.equal(own["A"][0], own["A"][1]), slug="alike", problem="the rows of A are alike",
        hint="Rows that are alike stay alike, and a correction of rank r has rank 1. Draw them at random.",
    )  # fmt: skip
    learning = {name for name, parameter in own.items() if parameter.requires_grad}
    check.that(
        not any(name.startswith("linear.") for name in learning), slug="frozen", problem="the given layer still learns",
        hint="`requires_grad` of the layer's weight AND bias must be False.",
    )  # fmt: skip
    check.equal(
        learning, {"A", "B"}, slug="learns", when="the names of the parameters that learn",
        hint="A and B learn, the layer that was given is kept as `linear` and does not.",
    )  # fmt: skip
    check.that(
        {"linear.weight", "linear.bias"} <= own.keys(), slug="keeps", problem=f"its parameters are {sorted(own)}",
        hint="Keep the layer that was given as self.linear.",
    )  # fmt: skip
    check.close(
        adapter(x), before(x), slug="unchanged", when="the output at the start",
        hint="With B = 0 the output is that of the Linear alone, bias included, once.",
    )  # fmt: skip
    a, b = _numbers(check, 2, 3), _numbers(check, 5, 2)
    _set(adapter, a, b)
    _forward(check, adapter(x), before(x), x @ a.T @ b.T, 2.5)
    for shape in ((3,), (2, 7, 3)):
        x = _numbers(check, *shape)
        check.close(
            adapter(x), before(x) + 2.5 * (x @ a.T @ b.T), slug="batch", when=f"x of shape {shape}",
            hint="`nn.Linear` takes (..., inputs). Multiply from the right, `x @ A.T`, and any shape in front will do.",
        )  # fmt: skip
    _learns(check, adapter, x)
    _merges(check, adapter, before, a, b)
    bare = nn.Linear(4, 4, bias=False)
    adapter = answer(bare, 1, 1.0)
    x, a, b = _numbers(check, 6, 4), _numbers(check, 1, 4), _numbers(check, 4, 1)
    _set(adapter, a, b)
    hint = "A Linear may have no bias: ask nothing of linear.bias that None cannot answer."
    check.close(
        adapter(x), x @ (bare.weight + b @ a).T, slug="no-bias", when="a layer without bias, 4 to 4, r 1", hint=hint
    )
    check.close(adapter.merge()(x), x @ (bare.weight + b @ a).T, slug="no-bias", when="the same, merged", hint=hint)


def _set(adapter: nn.Module, a: torch.Tensor, b: torch.Tensor) -> None:
    with torch.no_grad():
        adapter.A.copy_(a)
        adapter.B.copy_(b)


def _forward(check, got: torch.Tensor, base: torch.Tensor, product: torch.Tensor, factor: float) -> None:
    """The output once A and B hold numbers, and which mistake explains another one."""

    def near(other: torch.Tensor) -> bool:
        return got.shape == other.shape and torch.allclose(got, other, atol=1e-5)

    when = "r 2, alpha 5, with numbers in A and B"
    check.that(
        not near(base), slug="no-correction", when=when, problem="the output is that of the Linear alone",
        hint="`forward` adds the correction to what the frozen layer gives.",
    )  # fmt: skip
    check.that(
        not near(factor * product), slug="no-base", when=when, problem="the output is the correction alone",
        hint="`forward` adds the correction to what the frozen layer gives.",
    )  # fmt: skip
    for other, said in (
        (1.0, "not at all"),
        (5.0, "by alpha"),
        (0.5, "by 1 / r"),
        (0.4, "by r / alpha"),
        (10.0, "by both"),
        (2.0, "by a whole number"),
    ):
        check.that(
            not near(base + other * product), slug="scale", when=when, problem=f"the correction is scaled {said}",
            hint="The correction is multiplied by alpha / r, once.",
        )  # fmt: skip
    check.close(got, base + factor * product, slug="forward", when=when, hint="h = W x + b + alpha / r * B A x.")


def _learns(check, adapter: nn.Module, x: torch.Tensor) -> None:
    loss = adapter(x).square().sum()
    if loss.requires_grad:
        loss.backward()
    for name in "AB":
        gradient = getattr(adapter, name).grad
        check.that(
            gradient is not None and bool(gradient.any()), slug="gradient", problem=f"no gradient reaches {name}",
            hint="Use self.A and self.B themselves in forward: no `.data`, no `.detach()`, no `no_grad`.",
        )  # fmt: skip
    adapter.zero_grad()


def _merges(check, adapter: nn.Module, before: nn.Linear, a: torch.Tensor, b: torch.Tensor) -> None:
    merged = adapter.merge()
    check.that(
        isinstance(merged, nn.Linear), slug="merge-linear", problem=f"merge returned a {type(merged).__name__}",
        hint="`merge` returns an nn.Linear, a new one.",
    )  # fmt: skip
    x = _numbers(check, 4, 3)
    expected = x @ (before.weight + 2.5 * b @ a).T + before.bias
    check.close(
        merged(x), expected, slug="merge", when="the output of the merged layer",
        hint="The merged weight is W + alpha / r * B A, and the bias stays. B A has the shape of W.",
    )  # fmt: skip
    check.close(
        [adapter.linear.weight, adapter.linear.bias], [before.weight, before.bias], slug="merge-changes",
        when="the frozen weight and bias after merge", hint="`merge` must leave the frozen layer alone. Copy it.",
    )  # fmt: skip
    check.close(
        adapter(x), expected, slug="merge-changes", when="the adapter's output after merge",
        hint="The adapter computes after merge what it computed before: the correction must not be added twice.",
    )  # fmt: skip
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.zero_()
    check.close(
        merged(x), expected, slug="merge-shares", when="the merged layer, after all of the adapter was set to 0",
        hint="The merged layer needs memory of its own, for the bias, too: copy.deepcopy, or clone.",
    )  # fmt: skip


@exercise("12.8", title="Adapters in every block", minutes=12, difficulty=2)
def add_lora(answer, check):
    model = GPT(GPTConfig(**SMALL, tied_head=False)).eval()
    model.blocks[0].requires_grad_(False)  # whatever was frozen before
    plain, ids = copy.deepcopy(model), torch.tensor([[1, 5, 2, 7]])
    returned = answer(model, 2, 5.0)
    if returned is None:
        return
    names = dict(model.named_parameters())
    around = {name.removesuffix(".B") for name in names if name.endswith(".B")}
    wanted = {f"blocks.{i}.{part}" for i in range(3) for part in IN_A_BLOCK}
    check.that(
        around, slug="none", problem="no layer has an adapter",
        hint="Assign a LoRA to the layer's name in the module that holds it. A variable alone changes nothing there.",
    )  # fmt: skip
    check.that(
        "head" not in around, slug="head", problem="the head has an adapter", hint="Only the Linears of `model.blocks`."
    )
    bare = sorted({name.split(".")[1] for name in wanted} - {name.split(".")[1] for name in around})
    check.that(
        not bare, slug="every-block", problem=f"no layer of block {bare[:1]} has an adapter",
        hint="Every block gets adapters, the first and the last too.",
    )  # fmt: skip
    missing = sorted(wanted - around)
    check.that(
        not missing, slug="every-linear", problem=f"{missing[:1]} has no adapter of its own",
        hint="Four Linears a block: qkv and proj in attn, fc and proj in mlp, each with its own A and B.",
    )  # fmt: skip
    extra = sorted(around - wanted)
    check.that(
        not extra, slug="twice", problem=f"there is an adapter around {extra[:1]}",
        hint="One adapter around each Linear. While the modules are walked through, the adapters' own Linears come by.",
    )  # fmt: skip
    learning = {name for name, parameter in names.items() if parameter.requires_grad}
    adapters = {name for name in names if name.endswith((".A", ".B"))}
    others = sorted(learning - adapters)
    check.that(
        not others, slug="frozen", problem=f"{others[:1]} learns",
        hint="A LoRA freezes the layer inside it. Embeddings, LayerNorms and the head must be frozen as well.",
    )  # fmt: skip
    check.that(
        adapters <= learning, slug="adapters-learn", problem=f"{sorted(adapters - learning)[:1]} is frozen",
        hint="Freeze the model first; the adapters that come afterwards learn.",
    )  # fmt: skip
    check.equal(
        sorted({tuple(names[f"{name}.A"].shape) for name in wanted}), [(2, 4), (2, 16)], slug="rank",
        when="r = 2: the shapes of all A", hint="Each A is (r, inputs): hand over r and alpha in that order.",
    )  # fmt: skip
    check.close(
        model(ids), plain(ids), slug="start", when="the logits at the start",
        hint="With B = 0 nothing has changed: each layer must be wrapped itself, with its own weight.",
    )  # fmt: skip
    for name in sorted(wanted):
        a, b = _numbers(check, *names[f"{name}.A"].shape), _numbers(check, *names[f"{name}.B"].shape)
        _set(model.get_submodule(name), a, b)
        with torch.no_grad():
            plain.get_submodule(name).weight += 2.5 * b @ a
    check.close(
        model(ids), plain(ids), slug="alpha", when="r = 2, alpha = 5, numbers in A and B: the logits",
        hint="Each correction is scaled by alpha / r: hand over r and alpha as they are.", tolerance=1e-4,
    )  # fmt: skip
    check.that(
        isinstance(returned, list | tuple) and all(isinstance(each, nn.Parameter) for each in returned), slug="a-list",
        problem=f"that is a {type(returned).__name__}", hint="Return the list of the parameters themselves.",
    )  # fmt: skip
    check.that(
        sorted(map(id, returned)) == sorted(id(names[name]) for name in adapters), slug="returned",
        problem=f"{len(returned)} parameters are returned, and {len(adapters)} learn",
        hint="What is returned goes to the optimizer: each A and each B once, and nothing else.",
    )  # fmt: skip


@exercise("12.9", title="Export", minutes=15, difficulty=3)
def for_transformers(answer, check):
    model = GPT(GPTConfig(**SMALL))
    state = {name: _numbers(check, *parameter.shape) for name, parameter in model.named_parameters()}
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
        problem="a tensor is only a view with its rows and columns exchanged",
        hint="safetensors writes the values in the order in which they lie in memory: add .contiguous().",
    )  # fmt: skip
    head = _numbers(check, 11, 4)
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
