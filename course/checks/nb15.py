"""The exercises of notebook 15: an exact judge, LoRA merged and taken out; and those of `chat_parts` and `batch_parts`
(conversations), `answer_parts` and `preference_parts` (preferences), `policy_parts`, `clipping_parts` and
`divergence_parts` (reinforcement learning).
"""

import random
from functools import cache
from numbers import Real

import torch
from torch import nn

from course.checks.answer_parts import token_logprobs
from course.checks.batch_parts import as_batch
from course.checks.chat_parts import render
from course.checks.clipping_parts import clipped_objective
from course.checks.compare import first_difference, same, shown
from course.checks.decoder_parts import agrees, is_module
from course.checks.divergence_parts import kl_estimates
from course.checks.exercise import exercise
from course.checks.policy_parts import advantages, leave_one_out
from course.checks.preference_parts import dpo_loss, pair_loss
from course.instructions.judge import Verdict, keywords
from course.instructions.orders import FACTS, facts_of
from course.instructions.reading import Reading
from data.story_grammar.engine import Sample
from data.story_grammar.stories import full_grammar

__all__ = [
    "judge", "render", "as_batch", "LoRALinear", "token_logprobs", "pair_loss", "dpo_loss", "leave_one_out",
    "advantages", "clipped_objective", "kl_estimates",
]  # fmt: skip

# ---------------------------------------------------------------------- 15.1


@exercise("15.1", title="An exact judge", minutes=6, difficulty=1)
def judge(answer, check):
    stories = _stories()
    story = next(each for each in stories if "friend" in facts_of(each) and "ending" not in facts_of(each))
    facts = facts_of(story)
    # The truth is what the grammar wrote down when it made the story, and not what was read.
    friends_kind = next(kind for kind in FACTS["kind"] if kind in story.text.split() and kind != facts["kind"])
    mixed = {"hero": facts["friend"], "kind": friends_kind, "toy": _another("toy", facts), "plot": facts["plot"]}
    mixed["ending"] = "bedtime"  # of which nothing is said
    _one_order(check, answer, mixed, story.text, facts)
    _one_order(check, answer, {"friend": facts["hero"], "hero": facts["friend"]}, story.text, facts)
    _one_order(check, answer, {fact: facts[fact] for fact in ("hero", "toy", "trait")}, story.text, facts)
    for fact in ("friend", "ending"):
        without = next(each for each in stories if fact not in facts_of(each))
        facts = facts_of(without)
        demands = {fact: _another(fact, facts), "hero": facts["hero"], "color": facts["color"]}
        _one_order(check, answer, demands, without.text, facts)
    color = next(each for each in ("red", "green", "purple") if each != facts["color"] and each not in without.text)
    repainted = without.text.replace(facts["color"], color)
    for asked in (color, facts["color"]):
        demands = {"color": asked, "toy": facts["toy"], "place": _another("place", facts)}
        _one_order(check, answer, demands, repainted, facts | {"color": color})
    demands = {fact: facts[fact] for fact in ("hero", "kind", "toy", "color")}
    _one_order(check, answer, demands, f"{' '.join(demands.values())}.", {})
    for story in stories:
        facts = facts_of(story)
        asked = check.random.sample(list(FACTS), check.random.randint(1, 5))
        demands = {each: check.random.choice((facts.get(each), _another(each, facts))) for each in asked}
        demands = {each: value or _another(each, facts) for each, value in demands.items()}
        _one_order(check, answer, demands, story.text, facts)


@cache
def _stories() -> list[Sample]:
    return [full_grammar().sample(random.Random(seed)) for seed in range(8)]


def _another(fact: str, facts: dict[str, str]) -> str:
    """A value that no fact of the story has."""
    return next(value for value in FACTS[fact] if value not in facts.values())


def _one_order(check, answer, demands: dict[str, str], story: str, facts: dict[str, str]) -> None:
    got = answer(demands, story)
    said = f"demands {demands}, a story that states {facts}"
    hint = "Verdict(kept, reading): a dictionary with a bool for each demand, and what read(story) gave."
    for kind, slug, problem in ((bool, "one-word", "one word for the whole order"), (Real, "share", "a number"),
                                (dict, "no-verdict", "a dictionary, without the reading"),
                                (tuple, "no-verdict", "a tuple")):  # fmt: skip
        check.that(not isinstance(got, kind), slug=slug, hint=hint, problem=f"the answer is {shown(got)}: {problem}")
    check.that(isinstance(got, Verdict), slug="no-verdict", problem=f"the answer is {shown(got)}", hint=hint)
    check.that(isinstance(got.reading, Reading), slug="reading",
               problem=f"the verdict's reading is {shown(got.reading)}",
               hint="The second part of a Verdict is what read(story) gave, all of it.")  # fmt: skip
    check.that(same(got.reading.text, story), slug="part-of-story", hint="read(story): from beginning to end.",
               problem=f"of {len(story)} characters of the story {len(str(got.reading.text))} were read")  # fmt: skip
    right, kept = {fact: facts.get(fact) == value for fact, value in demands.items()}, got.kept
    check.that(isinstance(kept, dict), slug="kept-dict", problem=f"kept is {shown(kept)}", hint=hint)
    _keys(check, kept, demands, facts)
    words, whole, by_name = keywords(demands, story), all(right.values()), demands.items()
    exact = "Of each demand: is reading.facts.get(fact) equal to the value that was ordered?"
    for slug, wrong, problem, where in (
        ("keywords", words, "words were looked for", _WORDS),
        ("keywords", {fact: value in story for fact, value in by_name}, "words were looked for", _WORDS),
        ("keywords", {fact: value.lower() in story.lower() for fact, value in by_name}, "words were looked for",
         _WORDS),
        ("keywords", {fact: right[fact] or value in story for fact, value in by_name},
         "what was not read was looked for among the words", _WORDS),
        ("any-value", {fact: fact in facts for fact in demands}, "any value of a fact counts as kept", exact),
        ("any-fact", {fact: value in facts.values() for fact, value in by_name},
         "a value counts as kept for whatever fact it is stated", "The friend's name is not the hero's."),
        ("not-said", {fact: facts.get(fact, value) == value for fact, value in by_name},
         "what the story does not say counts as kept", "A story that does not say a fact has not kept it."),
        ("slips", dict.fromkeys(demands, False) if not got.reading.of_this_world else right,
         "a story with a slip has kept nothing", "It may still state what was ordered. Slips are another measure."),
        ("inverted", {fact: not one for fact, one in right.items()}, "kept and not kept are exchanged", exact),
        ("whole-order", dict.fromkeys(demands, whole), "all demands have one verdict", exact),
        ("whole-order", dict.fromkeys(demands, True), "all demands count as kept", exact),
        ("values", {fact: facts.get(fact) for fact in demands}, "kept holds what was read", "True or False for each."),
    ):  # fmt: skip
        problem = f"{said}: {problem}; expected {right}, got {shown(kept, 200)}"
        is_it = same(kept, wrong) and not same(wrong, right)
        check.that(not is_it, slug=slug, problem=problem, hint=where, when="")
    check.equal(kept, right, slug="kept", when=said, hint=exact)


_WORDS = "The word may belong to somebody else, or be of another thing. Ask what was read."


def _keys(check, kept: dict, demands: dict[str, str], facts: dict[str, str]) -> None:
    """`kept` has a key for each demand, and no other."""
    keys, hint = set(map(str, kept)), "The demands are the keys of kept: every one of them, kept or not."
    for slug, wrong, problem in (
        ("by-value", set(demands.values()), "what was ordered is the keys, and not the facts"),
        ("all-facts", set(facts), "the facts of the story are the keys"),
    ):
        is_it = keys == wrong and wrong != set(demands)
        check.that(not is_it, slug=slug, problem=f"kept is {shown(kept)}: {problem}", hint=hint)
    lacking = [fact for fact in demands if fact not in keys]
    check.that(not lacking, slug="missing", hint=hint,
               problem=f"kept has no key for {', '.join(lacking)}: it is {shown(kept)}")  # fmt: skip
    check.that(keys == set(demands), slug="too-many", problem=f"nobody ordered some of what is in kept: {shown(kept)}",
               hint=hint)  # fmt: skip


# ---------------------------------------------------------------------- 15.4


@exercise("15.4", title="Merge, and take out", minutes=10, difficulty=2)
def LoRALinear(answer, check):
    is_module(check, answer)
    for (into, out, rank, alpha), bias in zip(((3, 3, 3, 7.5), (5, 4, 2, 5.0), (2, 6, 1, 0.5)), (True, True, False),
                                              strict=True):  # fmt: skip
        linear = nn.Linear(into, out, bias)
        before = linear.weight.detach().double().clone()
        layer, x = answer(linear, rank, alpha), torch.randn(2, 4, into)
        plain = linear(x).detach().double()
        agrees(check, layer(x), plain, "the output at the start", slug="start", hint="B is zero at first.")
        with torch.no_grad():
            layer.A.copy_(torch.randn(rank, into)), layer.B.copy_(torch.randn(out, rank))
        _of_a_layer(check, layer, linear, x, before, alpha / rank)


def _of_a_layer(check, layer, linear, x, before, scale: float) -> None:
    """Merged, merged again, taken out, taken out again; the product is added up entry by entry."""
    W, plain = layer.weight, x.double() @ before.T + (0 if layer.bias is None else layer.bias.detach().double())
    product = _product(layer)
    beside = plain + scale * x.double() @ product.T
    agrees(check, layer(x), beside, "the output before merging", slug="forward", hint="forward is given: leave it.")
    _merge(check, layer, False)
    _has(check, layer, W, before, before, product, scale, False, "merge(False) of a layer that is not merged",
         "There is nothing to take out: two of the four cases change nothing.", "taken-out-unmerged")  # fmt: skip
    _merge(check, layer)
    merged = before + scale * product
    if layer.merged is not True and torch.equal(W.detach().double(), before):
        _merge(check, layer, True)
        added = torch.allclose(W.detach().double(), merged, atol=1e-4)
        check.that(not added, slug="default", problem="merge() did not merge, and merge(True) did",
                   hint="`merged` is True where nothing is said: def merge(self, merged=True).")  # fmt: skip
    _has(check, layer, W, merged, before, product, scale, True, "merge()",
         "The weight itself, plus scale times B A; and then it is noted.", "merged")  # fmt: skip
    out = layer(x)
    for slug, wrong, problem, hint in (
        ("still-added", beside + scale * x.double() @ product.T, "the product is added a second time by forward",
         "forward asks self.merged: note it there."),
        ("plain", plain, "the product is gone", "It belongs into the weight."),
    ):  # fmt: skip
        near = torch.allclose(out.double(), wrong, atol=1e-4)
        check.that(not near, slug=slug, problem=f"after merge() {problem}", hint=hint)
    agrees(check, out, beside, "the output after merge()", slug="output", hint="The same as before merging.")
    layer.merge(True)
    _has(check, layer, W, merged, before, product, scale, True, "merge() a second time",
         "Merging twice is merging once: self.merged says whether it is done.", "merged-twice")  # fmt: skip
    layer.merge(merged=False)
    _has(check, layer, W, before, before, product, scale, False, "merge(False) after merge()",
         "What was added is taken away again.", "taken-out")  # fmt: skip
    agrees(check, layer(x), beside, "the output after merge(False)", slug="output", hint="The product is beside again.")
    layer.merge(False)
    _has(check, layer, W, before, before, product, scale, False, "merge(False) a second time",
         "It is taken out once.", "taken-out-twice")  # fmt: skip
    learns = [name for name, parameter in layer.named_parameters() if parameter.requires_grad]
    check.equal(sorted(learns), ["A", "B"], slug="learns", when="what learns afterwards",
                hint="Merging freezes nothing and thaws nothing.")  # fmt: skip
    layer(x).sum().backward()
    check.that(layer.A.grad is not None and layer.B.grad is not None, slug="gradient",
               problem="no gradient reaches A and B any more", hint="A and B stay as they are.")  # fmt: skip
    with torch.no_grad():
        layer.A.mul_(-0.5)
    layer.merge()
    _has(check, layer, W, before - 0.5 * scale * product, before, _product(layer), scale, True,
         "merge() after A has learned", "The product is that of A and B as they are now.", "remembered")  # fmt: skip
    layer.merge(False)
    _has(check, layer, W, before, before, _product(layer), scale, False, "merge(False) after A has learned",
         "The product is that of A and B as they are now.", "remembered")  # fmt: skip


def _merge(check, layer, *merged: bool) -> None:
    try:
        layer.merge(*merged)
    except (RuntimeError, ValueError) as error:
        if "leaf" not in str(error):
            raise
        check.fail(f"merge raised {type(error).__name__}: {error}", slug="gradient-kept",
                   hint="It is no step of training: under torch.no_grad().")  # fmt: skip


def _product(layer) -> torch.Tensor:
    """B A, entry by entry: of each row of B and each column of A the products, added up."""
    B, columns = layer.B.tolist(), list(zip(*layer.A.tolist(), strict=True))
    entries = [[sum(b * a for b, a in zip(row, column, strict=True)) for column in columns] for row in B]
    return torch.tensor(entries, dtype=torch.float64)


def _has(check, layer, W, right, before, product, scale: float, merged: bool, what: str, hint: str, slug: str) -> None:
    """The layer's weight is `right`, it knows whether it is merged, and no gradient is kept."""
    check.that(layer.weight is W, slug="in-place", problem=f"after {what} the weight is another tensor",
               hint="In place: the layer keeps the parameter that it was given.")  # fmt: skip
    kept = W.requires_grad or W.grad_fn is not None
    check.that(not kept, slug="gradient-kept", problem=f"after {what} the weight carries a gradient",
               hint="It is no step of training: under torch.no_grad().")  # fmt: skip
    check.that(torch.allclose(_product(layer), product), slug="adapters", problem=f"{what} has changed A or B",
               hint="Only the weight changes. A and B are needed to take the product out again.")  # fmt: skip
    added, rank = (W.detach().double() - before), layer.A.shape[0]
    mistakes = [
        ("no-scale", product, "the scale is missing", "self.scale times B A."),
        ("alpha", scale * rank * product, "it was multiplied by alpha alone", "self.scale is alpha / rank."),
        ("scale-twice", scale**2 * product, "the scale is in it twice", "Once."),
        ("no-scale", -product, "the scale is missing", "self.scale times B A."),
        ("divided", product / scale, "the product was divided by the scale", "self.scale times B A."),
        ("added-twice", 2 * scale * product, "the product was added twice", hint),
        ("negative", -scale * product, "the product was subtracted", hint),
        ("not-taken-out", scale * product, "the product is in the weight, where it should not be", hint),
        ("not-merged", torch.zeros_like(product), "the weight is as it was at first", hint),
        ("replaced", scale * product - before, "the weight is the product alone", "Added to what is there."),
    ]  # fmt: skip
    if product.shape[0] == product.shape[1]:
        mistakes.append(("transposed", scale * product.T, "the product was transposed", "self.B @ self.A."))
        if rank == len(product):
            turned = (layer.A @ layer.B).detach().double()
            mistakes.append(("order", scale * turned, "A B was added", "B A: first through A, then through B."))
    for name, wrong, problem, where in mistakes:
        is_it = torch.allclose(added, wrong, atol=1e-4) and not torch.allclose(right - before, wrong, atol=1e-4)
        seen = first_difference(added, right - before, 1e-4)
        check.that(not is_it, slug=slug if name in ("added-twice", "negative", "not-taken-out", "not-merged") else name,
                   problem=f"after {what} {problem}; of what was added {seen}", hint=where)  # fmt: skip
    agrees(check, W.detach(), right, f"the weight after {what}", slug=slug, hint=hint)
    check.that(bool(layer.merged) is merged, slug="flag", hint="It is noted in self.merged.",
               problem=f"after {what} self.merged is {shown(layer.merged)}, expected {merged}")  # fmt: skip
