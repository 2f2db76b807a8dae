"""Exercises of notebook 12 on two models side by side: where they first differ, and what their losses say. `nb12` hands
them on.
"""

import math

import torch

from course.checks.compare import is_pair, shown
from course.checks.exercise import exercise


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
        got is not None, slug="sign", when=when, problem="expected 2, got None",
        hint="A difference may be negative, and in any value of a layer: compare the absolute values of all.",
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
        answer(layers, changed(1, 2e-4), 1e-4), 1, slug="largest", when="0.0002 added to one of six values of layer 1",
        hint="One wrong value is enough. A mean, of squares too, would hide it: take the largest difference.",
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
        is_pair(both) or both is None, slug="two",
        problem=f"expected two numbers, got {shown(both)}",
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
