"""The exercises of notebook 12: Conv1D, names, the first difference, scores compared, freezing, exporting.

Longer than other modules: a notebook has one module of checks, in which each stands by itself.
"""

import math

import torch
from torch import nn

from course.checks.exercise import exercise
from helpers.model import GPT, GPTConfig

SMALL = dict(vocab_size=11, context_length=6, n_layer=3, n_head=2, d_model=4)


def _numbers(check, *shape: int) -> torch.Tensor:
    return torch.tensor([check.random.uniform(-1, 1) for _ in range(math.prod(shape))]).view(shape)


@exercise("12.1", title="A Conv1D as a Linear", minutes=10, difficulty=2)
def as_linear(answer, check):
    weight, bias = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), torch.tensor([10.0, 20.0, 30.0])
    linear = answer(weight, bias)
    check.that(
        isinstance(linear, nn.Linear) or linear is None, slug="a-linear",
        problem=f"that is a {type(linear).__name__}", hint="Return a whole torch.nn.Linear, not its weight alone.",
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
    x = _numbers(check, 5, 4)
    square, bias = _numbers(check, 4, 4), _numbers(check, 4)
    check.close(
        answer(square, bias)(x), torch.addmm(bias, x, square), slug="square", when="outputs for a square matrix",
        hint="A square matrix has the same shape both ways, and must be transposed all the same.",
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
    ask("transformer.h.3.mlp.c_fc.bias", "blocks.3.mlp.fc.bias", "prefix", hint)
    hint = "The last line of the table: their lm_head is our head."
    ask("lm_head.weight", "head.weight", "head", hint)
    hint = "h.0.attn.bias and h.0.attn.masked_bias are causal masks, not parameters: return None for both."
    ask("h.0.attn.bias", None, "masks", hint)
    ask("h.7.attn.masked_bias", None, "masks", hint)
    ask("transformer.h.7.attn.bias", None, "masks", hint)
    hint = "c_attn.bias is a real bias, although its name ends like a mask's. Compare whole parts of the name."
    ask("h.0.attn.c_attn.bias", "blocks.0.attn.qkv.bias", "bias-or-mask", hint)
    pairs = {"attn.c_attn": "attn.qkv", "attn.c_proj": "attn.proj", "mlp.c_fc": "mlp.fc", "mlp.c_proj": "mlp.proj"}
    for theirs, ours in pairs.items():
        number, kind = check.random.randrange(48), check.random.choice(["weight", "bias"])
        ask(f"h.{number}.{theirs}.{kind}", f"blocks.{number}.{ours}.{kind}", "random", "See the table of names above.")


@exercise("12.3", title="Where two models part", minutes=10, difficulty=2, may_return_none=True)
def first_difference(answer, check):
    layers = [torch.zeros(1, 2, 3) + i for i in range(4)]

    def changed(at: int, by: float) -> list[torch.Tensor]:
        others = [layer.clone() for layer in layers]
        others[at][0, 1, 2] += by
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
        answer(layers, changed(3, 3e-4), 1e-4), 3, slug="largest", when="0.0003 added to one of six values",
        hint="One wrong value is enough. A mean would hide it: take the largest difference of the layer.",
    )  # fmt: skip
    large = [layer + 5000 for layer in layers]
    larger = [layer.clone() for layer in large]
    larger[1][0, 0, 0] += 0.01
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
    check.equal(
        answer(broken, layers, 1e-4), 2, slug="nan", when="layer 2 of ours holds a nan",
        hint="Every comparison with nan is False. Ask whether the difference is NOT within the tolerance.",
    )  # fmt: skip
    for _ in range(5):
        at = check.random.randrange(4)
        check.equal(
            answer(layers, changed(at, check.random.choice([-0.5, 0.5])), 0.1), at, slug="random",
            hint="For each layer in turn: the largest absolute difference, and is it within the tolerance?",
        )  # fmt: skip


@exercise("12.4", title="A loss from another tokenizer", minutes=8, difficulty=2)
def compared(answer, check):
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


@exercise("12.5", title="Freeze", minutes=12, difficulty=2)
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
    check.equal(
        got, wanted(model, 1), slug="whole", when="the names of what learns", hint="A block learns with all its parts."
    )
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


@exercise("12.6", title="Export", minutes=15, difficulty=3)
def to_theirs(answer, check):
    model = GPT(GPTConfig(**SMALL))
    state = {name: _numbers(check, *parameter.shape) for name, parameter in model.named_parameters()}
    got = answer(state)
    check.that(
        not any("blocks" in name or "qkv" in name for name in got or {}), slug="names",
        problem=f"it still holds {next((n for n in got or {} if 'blocks' in n or 'qkv' in n), '')}",
        hint="blocks becomes h, qkv c_attn, fc c_fc and proj c_proj, in every name.",
    )  # fmt: skip
    check.that(
        all(name.startswith("transformer.") for name in got or {}), slug="prefix",
        problem="some names lack transformer. in front",
        hint='A GPT2LMHeadModel keeps the network in its attribute `transformer`: "transformer." stands before each.',
    )  # fmt: skip
    expected = _exported(state)
    check.equal(
        sorted(got), sorted(expected), slug="all", when="the names",
        hint="Every parameter once, none more and none less; the tied head has none.",
    )  # fmt: skip
    for name, tensor in expected.items():
        if tensor.dim() == 1 or "wte" in name or "wpe" in name:
            check.equal(
                got[name], tensor, slug="left-alone", when=name,
                hint="Vectors and embeddings have the same layout on both sides; only four matrices of a block differ.",
            )  # fmt: skip
    for name, tensor in expected.items():
        if tensor.dim() == 2 and tensor.shape[0] != tensor.shape[1]:
            check.equal(
                got[name], tensor, slug="transposed", when=name,
                hint="A Conv1D keeps (inputs, outputs): transpose the matrices of c_attn, c_fc and both c_proj.",
            )  # fmt: skip
    for name, tensor in expected.items():
        check.equal(
            got[name], tensor, slug="square", when=name,
            hint="attn.c_proj is square, so its shape tells nothing. It is a Conv1D like the others.",
        )  # fmt: skip
    check.that(
        all(tensor.is_contiguous() for tensor in got.values()), slug="contiguous",
        problem="a tensor is only a view with its rows and columns exchanged",
        hint="safetensors writes the values in the order in which they lie in memory: add .contiguous().",
    )  # fmt: skip
    check.equal(
        list(answer({"head.weight": state["wte.weight"]})), ["lm_head.weight"], slug="own-head",
        when="the names for a head that is not tied",
        hint="Their head is not inside `transformer`: it is called lm_head.weight, with nothing in front.",
    )  # fmt: skip


def _exported(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """By the layers of `transformers` themselves: what a Conv1D holds is transposed."""
    modules = {"qkv": "c_attn", "proj": "c_proj", "fc": "c_fc"}
    found = {}
    for name, tensor in state.items():
        *path, module, kind = name.replace("blocks.", "h.").split(".")
        if module in modules and kind == "weight":
            tensor = torch.einsum("oi->io", tensor)
        found[".".join(["transformer", *path, modules.get(module, module), kind])] = tensor
    return found
