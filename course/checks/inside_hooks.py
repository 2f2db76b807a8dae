"""Exercises of notebook 11 on hooks: record what passes a place, and patch it; and the model that checks use."""

from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from course.checks.attention import near, none_of
from course.checks.compare import shown
from course.checks.exercise import exercise
from helpers.model import GPT, GPTConfig


def small_gpt(n_layer: int = 2) -> GPT:
    """A random GPT in which every part has a say: no weight is small, no LayerNorm does nothing, the head is untied."""
    model = GPT(GPTConfig(17, context_length=12, n_layer=n_layer, n_head=3, d_model=24, tied_head=False))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.3).add_(name.endswith("weight") and parameter.dim() == 1)
    return model.eval()


@torch.no_grad()
def by_hand(model: GPT, ids: Tensor, place: str = "", put=None) -> tuple[dict[str, Tensor], Tensor]:
    """What passes each place, and the logits, step by step and without a hook; at `place` goes on what `put` gives."""
    seen = {}

    def passes(name: str, value: Tensor) -> Tensor:
        seen[name] = put(value) if name == place else value
        return seen[name]

    x = passes("embedding", model.embed(ids))
    for i, block in enumerate(model.blocks):
        q, k, v = block.attn.heads(passes(f"normed.{i}", block.ln_1(x)))
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        x = x + passes(f"attention.{i}", block.attn.proj(passes(f"heads.{i}", heads).flatten(2)))
        x = passes(f"stream.{i}", x + passes(f"mlp.{i}", block.mlp(block.ln_2(x))))
    return seen, model.head(passes("final", model.ln_f(x)))


def shape_of(value) -> tuple[int, ...]:
    """The shape of a tensor; of anything else ()."""
    return tuple(getattr(value, "shape", ()))


def _opened(context, check):
    check.that(
        hasattr(context, "__enter__") and hasattr(context, "__exit__"), slug="form", problem=f"got {shown(context)}, "
        "which cannot stand behind `with`", hint="`@contextmanager` above the `def`, and one `yield` inside.",
    )  # fmt: skip
    return context


@contextmanager
def runs(check, when: str, slug: str, hint: str):
    """What torch or contextlib says of a call that fails, as a message of this check."""
    try:
        yield
    except (RuntimeError, IndexError) as error:
        if isinstance(error, NotImplementedError) and not error.args:  # the stub's; torch's own say something
            raise
        check.fail(f"{when}: {error}", slug=slug, hint=hint)


class _Stop(Exception):
    """What goes wrong inside a `with` of a check."""


def _ends_with_an_error(context) -> object:
    """Open it, let something go wrong inside; what `as` gave."""
    seen = None
    try:
        with context as seen:
            raise _Stop
    except _Stop:
        pass
    return seen


@exercise("11.1", title="Record", minutes=6, difficulty=1)
def record(answer, check):
    model, ids, others = small_gpt(), torch.randint(17, (3, 6)), torch.randint(17, (3, 6))
    expected, plain = by_hand(model, ids)
    with torch.no_grad(), _opened(answer(model, "stream.0"), check) as seen:
        check.that(
            isinstance(seen, dict), slug="dict", problem=f"`with ... as seen` gives {shown(seen)}",
            hint="`yield` the dict, so that whoever opens the `with` holds it.",
        )  # fmt: skip
        logits = model(ids)
        check.that(
            bool(seen), slug="empty", problem="after a forward pass the dict is still empty",
            hint="The hooks must be there while the `with` is open, so until after the `yield`, and they must fill the "
            "very dict that was yielded.",
        )  # fmt: skip
        check.equal(
            sorted(seen), ["stream.0"], slug="keys", when="the keys", hint="Each value stands under its place's name."
        )
        check.that(
            near(logits, plain) and near(model(others), by_hand(model, others)[1]), slug="changes",
            problem="with the recorder the model gives other logits than without",
            hint="What `see` returns goes on in the place of what passed. Return nothing, that is None.",
        )  # fmt: skip
        model(ids)
    _is_what_passed(seen, "stream.0", expected, check)
    before = dict(seen)
    with torch.no_grad():
        model(others)
    check.that(
        seen.keys() == before.keys() and all(seen[name] is before[name] for name in before), slug="left-behind",
        problem="a forward pass after the `with` is recorded, too",
        hint="A hook stays until it is removed. `watching` removes its own when it is left: is every one entered "
        "such that it is left with yours?",
    )  # fmt: skip
    places = ("embedding", "normed.1", "heads.1", "mlp.0", "final")
    once = "Each place needs a hook, all open at once, and there is one `yield`: an ExitStack holds any number."
    with runs(check, f"with {len(places)} places", "several", once):
        with torch.no_grad(), answer(model, *places) as seen:
            model(ids)
    check.that(
        set(seen) != {places[-1]}, slug="late-binding", problem=f"of {len(places)} places only the last is there",
        hint="A function made in a loop looks its names up when it is called: then `place` is the last one for all. "
        "A default value, `place=place`, is fixed when the function is made.",
    )  # fmt: skip
    check.equal(sorted(seen), sorted(places), slug="keys", when="the keys", hint="Every place, by its own name.")
    for place in places:
        _is_what_passed(seen, place, expected, check)
    with answer(model, "stream.0") as seen:
        logits = model(ids)
    check.that(
        not seen["stream.0"].requires_grad, slug="detached", problem="what was recorded still hangs on its graph",
        hint="`value.detach()` is the same numbers without the history that a backward pass would need.",
    )  # fmt: skip
    reached = torch.autograd.grad(logits.sum(), model.wpe.weight, allow_unused=True)[0]
    check.that(
        reached is not None and bool(reached.any()), slug="gradient",
        problem="no gradient comes through a place that is recorded",
        hint="Detach what you keep, and return nothing: the model goes on with its own value.",
    )  # fmt: skip
    seen = _ends_with_an_error(answer(model, "stream.0"))
    model(ids)
    check.that(
        not seen, slug="error", problem="after an error inside the `with` the model is still watched",
        hint="What stands below a bare `yield` is not run after an error. The end of a `with` is, and `finally`.",
    )  # fmt: skip


def _is_what_passed(seen: dict, place: str, expected: dict[str, Tensor], check) -> None:
    got, when = seen[place], f"what was recorded at {place!r}"
    before = {"stream.0": "embedding", "final": "stream.1", "mlp.0": ""}.get(place, "")
    check.that(
        not before or not near(got, expected[before]), slug="input", when=when, problem="that is what went in there",
        hint="A place holds what comes out of its module; `watching` hands you that.",
    )  # fmt: skip
    check.shape(got, expected[place].shape, slug="shape", when=when, hint="As it passes: `watching` says the shapes.")
    check.close(got, expected[place], slug="value", tolerance=1e-4, when=when, hint="What passed in the last pass.")


@exercise("11.2", title="Patch", minutes=6, difficulty=1)
@torch.no_grad()
def patch(answer, check):
    model, ids = small_gpt(), torch.randint(17, (3, 6))
    old, plain = by_hand(model, ids)
    value = torch.randn(3, 6, 24)

    def patched(place: str, put) -> Tensor:
        return by_hand(model, ids, place, put)[1]

    with _opened(answer(model, "stream.0", value), check):
        got = model(ids)
    check.that(
        not near(got, plain), slug="nothing", problem="the logits are what they were without a patch",
        hint="What `see` returns goes on. Does yours return the new tensor?",
    )  # fmt: skip
    check.that(
        not near(got, patched("stream.0", lambda x: x + value)), slug="added", problem="the value was added",
        hint="It should stand in the place of what was there, not on top of it.",
    )  # fmt: skip
    check.close(
        got, patched("stream.0", lambda x: value), slug="all", tolerance=1e-4,
        when="the logits with a whole stream replaced", hint="With `at=...` all of what passes is replaced.",
    )  # fmt: skip
    fits = "`at` is an index of both: `value[at]` goes to `new[at]`."
    with runs(check, "at=np.s_[:, 2]", "index", fits), answer(model, "stream.0", value, at=np.s_[:, 2]):
        got = model(ids)
    everything, zeros = patched("stream.0", lambda x: value), torch.zeros(3, 6, 24)
    wrong = {
        "everything": (everything, "every position was replaced", "Only what `at` points to is replaced."),
        "nothing": (plain, "nothing was replaced", "Does the new tensor come back from `see`, with `value` in it?"),
        "rest-lost": (
            patched("stream.0", lambda x: put_at(zeros, value, np.s_[:, 2])), "all other positions are 0 now",
            "What `at` does not point to stays as it passed: begin with a copy of that.",
        ),
        "first-axis": (
            patched("stream.0", lambda x: put_at(x, value, np.s_[2])), "a sequence was replaced, not a position",
            fits,
        ),
    }  # fmt: skip
    none_of(wrong, got, check, when="at=np.s_[:, 2]")
    for place, size, at in (
        ("stream.0", (3, 6, 24), np.s_[:, 2]),
        ("heads.1", (3, 6, 3, 8), np.s_[:, :, 1]),
        ("mlp.1", (3, 6, 24), (torch.arange(3), torch.tensor([5, 0, 3]))),
    ):
        other = torch.randn(size)
        with runs(check, f"at {place!r}", "index", fits), answer(model, place, other, at=at):
            got = model(ids)
        check.close(
            got, patched(place, lambda x, other=other, at=at: put_at(x, other, at)), slug="at", tolerance=1e-4,
            when=f"the logits with a part of {place!r} replaced", hint=fits,
        )  # fmt: skip
    one = torch.randn(24)
    wide = "A value may have fewer axes: give it the shape of what passes, `value.expand_as(old)`, before you index it."
    with runs(check, "a value of shape (24,), at=np.s_[:, 2]", "expand", wide):
        with answer(model, "stream.0", one, at=np.s_[:, 2]):
            got = model(ids)
    check.close(
        got, patched("stream.0", lambda x: put_at(x, one.expand_as(x), np.s_[:, 2])), slug="expand", tolerance=1e-4,
        when="a value of shape (24,), at=np.s_[:, 2]", hint=wide,
    )  # fmt: skip
    passed = []
    handle = model.blocks[0].register_forward_hook(lambda module, args, out: passed.append(out))
    try:
        with answer(model, "stream.0", value, at=np.s_[:, 2]):
            model(ids)
    finally:
        handle.remove()
    check.that(
        near(passed[0], old["stream.0"]), slug="in-place",
        problem="the tensor that passed was itself changed, under the hands of whoever else holds it",
        hint="Write into a copy: `old.clone()`.",
    )  # fmt: skip
    check.that(
        near(model(ids), plain), slug="left-behind", problem="the model is patched even after the `with`",
        hint="Is the hook removed when the `with` is left? `watching` does it for you.",
    )  # fmt: skip
    _ends_with_an_error(answer(model, "stream.0", value))
    check.that(
        near(model(ids), plain), slug="error", problem="after an error inside the `with` the model is still patched",
        hint="What stands below a bare `yield` is not run after an error. The end of a `with` is, and `finally`.",
    )  # fmt: skip


def put_at(old: Tensor, value: Tensor, at) -> Tensor:
    """`value` where `at` points to, by a mask."""
    mask = torch.zeros(old.shape, dtype=torch.bool)
    mask[at] = True
    return torch.where(mask, value, old)
