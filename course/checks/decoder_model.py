"""The exercise of notebook 06 that asks for the whole model; `nb06` hands it to the notebook.

What is expected comes from `helpers.model` with the same weights, and from the definition of the loss.
"""

from dataclasses import replace

import torch
from torch import nn

from course.checks.decoder_parts import CONFIG, agrees, has_the_parameters, is_module, refuse, shake
from course.checks.exercise import exercise
from helpers import model as reference
from helpers.errors import CourseError

GIVEN = ("embed", "hidden", "forward", "loss", "parameter_count", "from_pretrained")
OPTIONS = ({}, {"norm": "post", "activation": "relu", "positions": "sinusoidal"}, {"tied_head": False, "bias": False})


@exercise("6.6", title="GPT", minutes=20, difficulty=3, of_the_model=True)
def GPT(answer, check):
    is_module(check, answer)
    for name in GIVEN:
        hint = "The stub gave it, and later notebooks call it: leave it in the class."
        check.that(callable(getattr(answer, name, None)), slug="given", problem=f"it has no {name}", hint=hint)
    for options in OPTIONS:
        config = replace(CONFIG, **options)
        course, model = reference.GPT(config), answer(config)
        has_the_parameters(check, model, course)
        shake(course, 0.2)
        model.load_state_dict(course.state_dict())
        tied = (model.head.weight is model.wte.weight) == config.tied_head
        hint = "With config.tied_head the head's weight is the token embedding's: the same tensor, not a copy."
        check.that(tied, slug="tied-head", problem="the head is not tied as config.tied_head says", hint=hint)
        ids, targets = torch.randint(41, (2, 9)), torch.randint(41, (2, 9))
        _hidden(check, model, course, ids)
        _logits_and_loss(check, model, course, ids, targets)
        _gradients(check, model, course, ids, targets)
    _refusals(check, answer(CONFIG))
    _with_a_cache(check, answer)
    _dropout(check, answer)


class _Watch:
    """Which blocks were called, in which order, and what each was given."""

    def __init__(self, blocks):
        self.calls = []
        self.hooks = [
            block.register_forward_pre_hook(
                lambda _, args, kwargs, number=number: self.calls.append((number, args, kwargs)), with_kwargs=True
            )
            for number, block in enumerate(blocks)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()

    def caches(self) -> list:
        """What each call got beside x, None where that was nothing."""
        return [kwargs.get("cache", args[1] if len(args) > 1 else None) for _, args, kwargs in self.calls]


@torch.no_grad()
def _hidden(check, model, course, ids) -> None:
    with _Watch(model.blocks) as watch:
        got = model.hidden(ids)
    called = [number for number, _, _ in watch.calls]
    wanted = list(range(len(model.blocks)))
    check.that(
        called == wanted, slug="every-block-once",
        problem=f"the blocks were called in the order {called}; there are {len(wanted)}, numbers {wanted}",
        hint="Through every block, once, from the first to the last: what one gives, the next one reads.",
    )  # fmt: skip
    x, inputs = course.embed(ids), []
    for block in course.blocks:
        inputs.append(x)
        x = block(x)
    given = [args[0] if args else kwargs["x"] for _, args, kwargs in watch.calls]
    positions = course.wte(ids) * course.scale
    refuse(check, given[0], [
        ("embed", positions, "the first block was given the token vectors alone",
         "self.embed adds the positions and looks whether the ids can be read: let it make what enters."),
    ])  # fmt: skip
    hint = "What enters the first block is self.embed(ids, cache)."
    agrees(check, given[0], inputs[0], "what the first block was given", slug="embed", hint=hint)
    for number, (mine, theirs) in enumerate(zip(given, inputs, strict=True)):
        hint = "Each block reads what the one before it has given."
        agrees(check, mine, theirs, f"what block {number} was given", slug="block-to-block", hint=hint)
    if isinstance(course.ln_f, nn.LayerNorm):
        refuse(check, got, [
            ("last-norm", x, "hidden gave the stream as it left the last block",
             "Above the last block stands ln_f. The head reads what ln_f gives."),
            ("hidden", course.head(course.ln_f(x)), "hidden gave logits",
             "hidden ends before the head: forward puts the head on it."),
        ])  # fmt: skip
    agrees(check, got, course.ln_f(x), "what hidden gave", slug="hidden", hint="After the last block: ln_f, once.")


@torch.no_grad()
def _logits_and_loss(check, model, course, ids, targets) -> None:
    got, logits = model(ids), course(ids)
    check.that(
        not isinstance(got, tuple), slug="logits-alone", problem="without targets forward gave a tuple",
        hint="Without targets there is no loss: return the logits and nothing else.",
    )  # fmt: skip
    refuse(check, got, [
        ("logits", logits.softmax(dim=-1), "forward gave probabilities",
         "Logits are scores before softmax. Cross-entropy takes logits."),
        ("logits", logits.log_softmax(dim=-1), "forward gave logarithms of probabilities",
         "Logits are scores before softmax. Cross-entropy takes logits."),
        ("logits", course.head(course.embed(ids)), "the blocks were left out",
         "The head reads self.hidden(ids, cache)."),
    ])  # fmt: skip
    agrees(
        check, got, logits, "logits", slug="logits", hint="The head, on what hidden gives: (batch, time, vocab_size)."
    )
    pair = model(ids, targets)
    check.that(
        isinstance(pair, tuple) and len(pair) == 2, slug="pair",
        problem=f"with targets it gave {f'{len(pair)} values' if isinstance(pair, tuple) else type(pair).__name__}",
        hint="With targets forward returns two values: the logits, as they are, and the loss.",
    )  # fmt: skip
    agrees(check, pair[0], logits, "logits, with targets", slug="pair", hint="First the logits, as without targets.")
    cost = -logits.log_softmax(dim=-1).gather(-1, targets[..., None])[..., 0]  # (batch, time)
    shifted = -logits[:, :-1].log_softmax(dim=-1).gather(-1, targets[:, 1:, None])
    by_row = -logits.flatten(0, 1).log_softmax(dim=0).gather(-1, targets.flatten()[:, None]).mean()
    probabilities = -logits.softmax(-1).log_softmax(-1).gather(-1, targets[..., None]).mean()
    said = "the loss is not the mean of -log p(target)"
    refuse(check, pair[1], [
        ("loss-sum", cost.sum(), "the loss is the sum over all positions", "The loss is nats per token: a mean."),
        ("loss-each", cost, "the loss has a value for each position", "One number: the mean over all that are scored."),
        ("loss-each", cost.flatten(), "the loss has a value for each position", "One number: the mean over all."),
        ("shifted-twice", shifted.mean(), f"{said}: each target was compared with the position before",
         "targets[:, t] follows ids[:, t] already. Who calls the model has shifted them; do not shift again."),
        ("loss-of-probabilities", probabilities, f"{said}: softmax was taken twice",
         "F.cross_entropy takes logits, and does the softmax itself."),
        ("loss-last", cost[:, -1].mean(), "only the last position counts in the loss", "Every position has a target."),
        ("loss-axis", by_row, f"{said}: softmax runs over positions", "Probabilities are over the vocabulary."),
    ], tolerance=1e-6)  # fmt: skip
    agrees(check, pair[1], cost.mean(), "the loss", slug="loss", hint="The mean of -log p(target), in nats.")
    some = targets.clone()
    some[0, :5], some[1, 2] = reference.IGNORED, reference.IGNORED
    scored = some != reference.IGNORED
    got = model(ids, some)[1]
    hint = "A target of -100 is not scored: neither its cost counts nor its position in the number divided by."
    problem = "with targets of -100 the mean was taken over all positions"
    check.that(abs(got - cost[scored].sum() / scored.numel()) > 1e-6, slug="ignored", problem=problem, hint=hint)
    agrees(check, got, cost[scored].mean(), "the loss with some targets of -100", slug="ignored", hint=hint)
    hint = "Later notebooks call model.loss(ids, targets), as the stub gave it."
    agrees(check, model.loss(ids, targets), cost.mean(), "model.loss(ids, targets)", slug="given", hint=hint)


def _gradients(check, model, course, ids, targets) -> None:
    for network in (model, course):
        loss = network(ids, targets)[1]
        hint = "Training needs gradients: no .item(), no .detach(), no no_grad in here."
        check.that(loss.requires_grad, slug="gradients", problem="the loss has no gradient", hint=hint)
        loss.backward()
    for (name, mine), theirs in zip(model.named_parameters(), course.parameters(), strict=True):
        hint = "Every part must be reached by the gradient, each once: nothing detached."
        check.that(mine.grad is not None, slug="gradients", problem=f"no gradient reaches {name}", hint=hint)
        agrees(check, mine.grad, theirs.grad, f"the gradient of {name}", slug="gradients", hint=hint, tolerance=1e-3)


def _refusals(check, model) -> None:
    ids = torch.randint(41, (2, 9))
    wrong = {
        "an id that is no token (41 of 41)": (ids.where(ids != ids[0, 0], 41), None, "ids-checked"),
        "ten tokens in a context of nine": (torch.zeros(1, 10, dtype=torch.long), None, "ids-checked"),
        "a target that is no token (-1)": (ids, ids.where(ids != ids[0, 0], -1), "targets-checked"),
        "a target that is no token (41 of 41)": (ids, ids.where(ids != ids[0, 0], 41), "targets-checked"),
        "a target too few": (ids, ids[:, :-1], "targets-checked"),
        "targets laid out the other way": (ids, ids.T.contiguous(), "targets-checked"),
    }
    for what, (bad_ids, bad_targets, slug) in wrong.items():
        try:
            model(bad_ids, bad_targets)
            problem = f"{what} was accepted"
        except CourseError:
            check.passed += 1
            continue
        except Exception as error:
            problem = f"{what}: {type(error).__name__}, which says little to a learner"
        hint = "check_targets(targets, ids, self.config) says what is wrong with targets, before the loss is computed."
        if slug == "ids-checked":
            hint = "self.embed looks at the ids first: let it make what enters the first block."
        check.fail(problem, slug=slug, hint=hint)


class _Cache:
    """What `GPT` asks of a cache: positions, and something for each block. Here nothing is kept."""

    class Layer:
        def extend(self, k, v):
            return k, v, torch.ones(k.shape[2], k.shape[2], dtype=torch.bool).tril()

    def __init__(self, model, first: int):
        self.first, self.layers = first, [_Cache.Layer() for _ in model.blocks]

    extend = Layer.extend  # for who hands over the whole

    def __len__(self):  # as an empty cache: `if cache` is no question for one
        return 0

    def positions(self, ids):
        return self.first + torch.arange(ids.shape[1])


@torch.no_grad()
def _with_a_cache(check, answer) -> None:
    course, model = reference.GPT(CONFIG), answer(CONFIG)
    shake(course)
    model.load_state_dict(course.state_dict())
    ids = torch.randint(41, (2, 4))
    for how in ("hidden", "forward"):
        cache = _Cache(model, 3)
        with _Watch(model.blocks) as watch:
            got = getattr(model, how)(ids, cache=cache)
        handed, hint = watch.caches(), "Block number i gets cache.layers[i]: each has keys and values of its own."
        check.that(
            not all(one is None for one in handed), slug="cache", problem=f"{how} got a cache, and no block did",
            hint="forward hands its cache to hidden, and hidden a part of it to each block, if it `is not None`: an "
            "empty cache may count as False.",
        )  # fmt: skip
        check.that(
            not any(one is cache for one in handed), slug="cache", problem=f"{how}: a block was given the whole cache",
            hint=hint,
        )  # fmt: skip
        own = all(one is layer for one, layer in zip(handed, cache.layers, strict=True))
        check.that(own, slug="cache", problem=f"{how}: a block was given another block's cache", hint=hint)
        hint = "With a cache the new tokens do not begin at position 0: embed gets the cache, too."
        expected = getattr(course, how)(ids, cache=_Cache(course, 3))
        agrees(
            check, got, expected, f"{how} with a cache that has read three tokens", slug="cache-positions", hint=hint
        )
    with _Watch(model.blocks) as watch:
        model(ids)
    hint = "Without a cache every block gets None."
    check.that(all(one is None for one in watch.caches()), slug="cache", problem="without a cache a block got one",
               hint=hint)  # fmt: skip


@torch.no_grad()
def _dropout(check, answer) -> None:
    model, ids = answer(replace(CONFIG, dropout=0.5)), torch.randint(41, (2, 9))
    seen = []
    model.dropout.register_forward_hook(lambda *_: seen.append(1))
    model.train()
    model(ids)
    hint = "Dropout of what enters is in self.embed, and there alone."
    check.that(len(seen) == 1, slug="dropout", problem=f"self.dropout was called {len(seen)} times", hint=hint)
    model.eval()
    problem = "in evaluation two passes gave different logits"
    check.that(torch.equal(model(ids), model(ids)), slug="dropout", problem=problem, hint=hint)
