"""The exercises of notebook 12 about what is trained: freezing, LoRA, adapters in every block. `nb12` hands them on."""

import copy
import math

import torch
from torch import nn

from course.checks.compare import shown
from course.checks.exercise import exercise
from helpers.model import GPT, GPTConfig

SMALL = dict(vocab_size=11, context_length=6, n_layer=3, n_head=2, d_model=4)
IN_A_BLOCK = ("attn.qkv", "attn.proj", "mlp.fc", "mlp.proj")


def numbers(check, *shape: int) -> torch.Tensor:
    return torch.tensor([check.random.uniform(-1, 1) for _ in range(math.prod(shape))]).view(shape)


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
        model.training, slug="mode", problem="the model is in evaluation mode now",
        hint="That is another switch: it turns dropout off, and freezes nothing. Set `requires_grad`, and no more.",
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
    deeper = GPT(GPTConfig(**SMALL | {"n_layer": 5}))
    answer(deeper, 2)
    check.equal(
        learns(deeper), wanted(deeper, 2), slug="deeper", when="k = 2 of 5 blocks, what learns",
        hint="How many blocks there are, the model says: model.config.n_layer.",
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
    x = numbers(check, 4, 3)
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
        getattr(adapter, "linear", linear) is linear, slug="keeps", problem="`linear` is another layer than was given",
        hint="The layer itself is frozen and kept. A copy of it would be held twice.",
    )  # fmt: skip
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
    a, b = numbers(check, 2, 3), numbers(check, 5, 2)
    _set(adapter, a, b)
    _forward(check, adapter(x), before(x), x @ a.T @ b.T, 2.5)
    for shape in ((3,), (2, 7, 3)):
        x = numbers(check, *shape)
        check.close(
            adapter(x), before(x) + 2.5 * (x @ a.T @ b.T), slug="batch", when=f"x of shape {shape}",
            hint="`nn.Linear` takes (..., inputs). Multiply from the right, `x @ A.T`, and any shape in front will do.",
        )  # fmt: skip
    _learns(check, adapter, x, before.weight + 2.5 * b @ a)
    _merges(check, adapter, before, a, b)
    _other_numbers(answer, check)
    bare = nn.Linear(4, 4, bias=False)
    adapter = answer(bare, 1, 1.0)
    x, a, b = numbers(check, 6, 4), numbers(check, 1, 4), numbers(check, 4, 1)
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


def _other_numbers(answer, check) -> None:
    """Another rank and alpha; and how large A is where there are many inputs."""
    linear, r, alpha = nn.Linear(4, 3), 4, 2.0
    adapter, x = answer(linear, r, alpha), numbers(check, 6, 4)
    a, b = numbers(check, r, 4), numbers(check, 3, r)
    _set(adapter, a, b)
    check.close(adapter(x), linear(x) + 0.5 * (x @ a.T @ b.T), slug="scale", when="r 4, alpha 2",
                hint="The correction is multiplied by alpha / r, whatever these are.")  # fmt: skip
    spread = answer(nn.Linear(400, 2), 4, 1.0).A.std().item()
    check.that(spread < 1.5, slug="small", when="400 inputs",
               problem=f"A's values have a standard deviation of {spread:.3g}",
               hint="Small random values: divided by the root of the inputs, for example.")  # fmt: skip


def _learns(check, adapter: nn.Module, x: torch.Tensor, weight: torch.Tensor) -> None:
    x = x.clone().requires_grad_()
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
    direction = torch.ones(5)
    (slope,) = torch.autograd.grad((adapter(x) * direction).sum(), [x], allow_unused=True)
    check.close(
        x.new_zeros(x.shape) if slope is None else slope, (direction @ weight).expand_as(x), slug="gradient-before",
        when="the gradient by x",
        hint="What stands before this layer learns through it: through the frozen layer, which "
        "gets no gradient and passes one on, and through the correction. No detach, no no_grad.",
    )  # fmt: skip


def _merges(check, adapter: nn.Module, before: nn.Linear, a: torch.Tensor, b: torch.Tensor) -> None:
    merged = adapter.merge()
    check.that(
        isinstance(merged, nn.Linear), slug="merge-linear", problem=f"merge returned a {type(merged).__name__}",
        hint="`merge` returns an nn.Linear, a new one.",
    )  # fmt: skip
    x = numbers(check, 4, 3)
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
        a, b = numbers(check, *names[f"{name}.A"].shape), numbers(check, *names[f"{name}.B"].shape)
        _set(model.get_submodule(name), a, b)
        with torch.no_grad():
            plain.get_submodule(name).weight += 2.5 * b @ a
    check.close(
        model(ids), plain(ids), slug="alpha", when="r = 2, alpha = 5, numbers in A and B: the logits",
        hint="Each correction is scaled by alpha / r: hand over r and alpha as they are.", tolerance=1e-4,
    )  # fmt: skip
    check.that(
        isinstance(returned, list | tuple) and all(isinstance(each, nn.Parameter) for each in returned), slug="a-list",
        problem=f"that is {shown(returned)}", hint="Return the list of the parameters themselves.",
    )  # fmt: skip
    check.that(
        sorted(map(id, returned)) == sorted(id(names[name]) for name in adapters), slug="returned",
        problem=f"{len(returned)} parameters are returned, and {len(adapters)} learn",
        hint="What is returned goes to the optimizer: each A and each B once, and nothing else.",
    )  # fmt: skip
