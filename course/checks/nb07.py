"""The exercises of notebook 07: the shift, AdamW, a schedule, clipping, accumulation, an error bar, what to save.

Longer than other modules: a notebook has one module of checks, in which each stands by itself.
"""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from course.checks import small_run
from course.checks.exercise import exercise
from course.checks.optimizing import adamw, is_pair, learning_rate, none_of, wrong_decays, wrong_moves

IGNORED = -100


@exercise("7.1", title="Inputs and targets", minutes=10, difficulty=1)
def shift(answer, check):
    rows = torch.tensor([[1, 5, 6, 7, 1], [1, 8, 1, 3, 3]])  # 3 is padding, 1 the end token
    got = answer(rows, torch.tensor([5, 3]))
    check.that(
        is_pair(got), slug="pair", problem="not a pair (inputs, targets)",
        hint="Return both, the inputs first: `return inputs, targets`.",
    )  # fmt: skip
    inputs, targets = got
    for name, part in (("inputs", inputs), ("targets", targets)):
        shape = tuple(getattr(part, "shape", ()))
        check.that(
            shape == (2, 4), slug="shape", problem=f"the {name} have shape {shape}, not (2, 4)",
            hint="Of a sequence of five tokens four have a successor: leave off the last, or the first, of each.",
        )  # fmt: skip
    none_of(check, inputs, [
        ("backwards", rows[:, 1:], "the inputs are what should be predicted",
         "What is read comes first: inputs begin with the sequence's first token, targets with its second."),
    ])  # fmt: skip
    check.equal(inputs, rows[:, :-1], slug="inputs", hint="The inputs are all tokens of a sequence but the last.")
    none_of(check, targets[0, :3], [
        ("not-shifted", rows[0, :3], "each target is the input itself",
         "A model could copy and would learn nothing. The target at a position is the token after it."),
        ("twice", rows[0, 2:], "each target is two tokens further on",
         "Shifted twice: the targets are one position further than the inputs, in all."),
    ])  # fmt: skip
    check.equal(targets[0, :3], rows[0, 1:4], slug="targets", hint="In a full sequence: targets[i] is its token i + 1.")
    none_of(check, targets[0, 3], [
        ("end", IGNORED, "the end token after a story is not a target",
         "To stop is a decision that must be learned too. Leave out what lies after `lengths`, not what looks like an "
         "end token."),
    ])  # fmt: skip
    none_of(check, targets[1, 1], [
        ("one-early", IGNORED, "the last real token of the short sequence is no target",
         "A sequence of length 3 has two targets: the target at position i is its token i + 1, real if that is below "
         "the length."),
    ])  # fmt: skip
    check.that(
        int(targets[1, 2]) == IGNORED, slug="padding",
        problem=f"padding is a target: the second sequence's are {targets[1].tolist()}",
        hint="Behind a sequence's length stands padding. Its targets are -100, which cross-entropy leaves out.",
    )  # fmt: skip
    check.equal(targets[1], [8, 1, IGNORED, IGNORED], slug="value", hint="Compare with the example, one by one.")
    rows, lengths = torch.randint(2, 50, (3, 9)), torch.tensor([9, 4, 2])
    _, targets = answer(rows, lengths)
    expected = rows[:, 1:].tolist()
    expected[1][3:], expected[2][1:] = [IGNORED] * 5, [IGNORED] * 7
    check.equal(targets, expected, slug="value", hint="It must hold for any length, and whatever the padding is.")


@exercise("7.2", title="A step of AdamW", minutes=18, difficulty=3)
def adamw_step(answer, check):
    p, g, m, v = torch.randn(4, 3), torch.randn(4, 3), torch.zeros(4, 3), torch.zeros(4, 3)
    betas = (0.9, 0.99)
    given = (p, g, m, v, 1, 0.05, betas, 1e-2)

    got = answer(*given, 0.0)
    right = adamw(*given, 0.0)
    check.that(
        isinstance(got, tuple | list) and len(got) == 3, slug="three", problem="not the three new tensors",
        hint="Return the new parameter, the new m and the new v, in this order.",
    )  # fmt: skip
    none_of(check, got[1], [
        ("corrected-moment", right[1] / (1 - betas[0]), "the m that is returned is the corrected one",
         "m and v go on uncorrected to the next step; only this step's move uses the corrected ones."),
    ])  # fmt: skip
    check.close(got[1], right[1], slug="m", hint="m: nine tenths of what it was, and a tenth of the gradient.")
    none_of(check, got[2], [
        ("not-squared", (1 - betas[1]) * g.abs(), "v remembers |g| and not g squared",
         "v is a mean of squares; its root is then of the gradient's own size."),
    ])  # fmt: skip
    check.close(got[2], right[2], slug="v", hint="v is to the squared gradient what m is to the gradient, with beta 2.")
    none_of(check, got[0], wrong_moves(*given, 0.0))
    check.close(
        got[0], right[0], slug="move", hint="The move is lr times corrected m over (root of corrected v + eps)."
    )

    got = answer(*given, 0.4)
    none_of(check, got[0], wrong_decays(*given, 0.4))
    check.close(
        got[0], adamw(*given, 0.4)[0], slug="decay",
        hint="The new parameter: (1 - lr * weight_decay) times the old, moved.",
    )  # fmt: skip

    parameter = nn.Parameter(torch.randn(5, 2))
    library = torch.optim.AdamW([parameter], lr=0.03, betas=(0.8, 0.95), eps=1e-8, weight_decay=0.1, fused=False)
    mine = parameter.detach().clone(), torch.zeros(5, 2), torch.zeros(5, 2)
    for step in range(1, 21):
        gradient = torch.randn(5, 2)
        parameter.grad = gradient.clone()
        library.step()
        mine = answer(mine[0], gradient, mine[1], mine[2], step, 0.03, (0.8, 0.95), 1e-8, 0.1)
    check.close(
        mine[0], parameter.detach(), slug="twenty-steps", tolerance=1e-4, when="after 20 steps beside torch's AdamW",
        hint="The first step is right and later ones are not: does the correction use `step`, and do m and v keep "
        "a fraction of what they were?",
    )  # fmt: skip


@exercise("7.3", title="Warm-up and cosine", minutes=12, difficulty=2)
def lr_at(answer, check):
    given = 110, 10, 0.02, 0.002  # steps, warmup, peak, final
    none_of(check, answer(5, *given), [
        ("no-warm-up", 0.02, "lr_at(5, 110, 10, 0.02, 0.002) is the peak",
         "The first `warmup` steps climb in a straight line from 0 to the peak."),
        ("count", 0.02 * 4 / 10, "the warm-up lags by one step",
         "Step 5 of a warm-up of 10 is at half the peak: the learning rate is peak * step / warmup."),
        ("from-final", 0.002 + 0.018 * 5 / 10, "the warm-up begins at the final learning rate",
         "The warm-up climbs from 0. `final` belongs to the end."),
    ])  # fmt: skip
    check.close(answer(5, *given), 0.01, slug="warm-up", hint="Halfway through the warm-up: half the peak.")
    check.close(answer(10, *given), 0.02, slug="peak", hint="When the warm-up is over, lr is the peak, exactly.")
    none_of(check, answer(110, *given), [
        ("to-zero", 0.0, "the last learning rate is 0",
         "The curve ends at `final`, not at 0: scale the wave to the distance between final and peak."),
    ])  # fmt: skip
    middle = answer(60, *given)
    none_of(check, middle, [
        ("whole-run", 0.002 + 0.018 * (1 + math.cos(math.pi * 60 / 110)) / 2,
         "halfway between warm-up and end the learning rate is not halfway down",
         "The cosine begins where the warm-up ends: count its progress from there, (step - warmup) out of (steps - "
         "warmup)."),
        ("half-wave", 0.002 + 0.018 * math.cos(math.pi / 4), "the curve falls late and ends steeply",
         "That is a quarter of a wave, cos from 0 to pi/2. Take it from 0 to pi: (1 + cos(pi * progress)) / 2 begins "
         "and ends level."),
    ])  # fmt: skip
    check.close(middle, 0.011, slug="middle", hint="Halfway the wave is at half its height: between final and peak.")
    none_of(check, answer(35, *given), [
        ("straight", 0.002 + 0.018 * 0.75, "the learning rate falls in a straight line",
         "A quarter of the way down the cosine has lost less than a quarter."),
    ])  # fmt: skip
    for step in (11, 35, 85, 109, 110):
        check.close(
            answer(step, *given), learning_rate(step, *given), slug="cosine",
            hint="final + (peak - final) * (1 + cos(pi * progress)) / 2, with progress from 0 to 1 after the warm-up.",
        )  # fmt: skip
    check.close(answer(0, 50, 0, 1.0, 0.1), 1.0, slug="none", hint="A warm-up of 0 steps: the run begins at the peak.")
    check.close(answer(50, 50, 0, 1.0, 0.1), 0.1, slug="none", hint="A warm-up of 0 steps must not divide by zero.")


@exercise("7.4", title="Clip by the global norm", minutes=10, difficulty=2)
def clip_by_norm(answer, check):
    gradients = [torch.tensor([[2.0, 1.0], [2.0, 0.0]]), torch.tensor([0.0, 4.0])]
    got = answer(gradients, 1.0)
    check.that(
        is_pair(got) and isinstance(got[0], tuple | list), slug="pair", problem="not a pair (clipped, norm)",
        hint="Return the list of new gradients, and the norm before clipping.",
    )  # fmt: skip
    clipped, norm = got[0], float(got[1])
    check.equal(
        [tuple(getattr(g, "shape", ())) for g in clipped], [(2, 2), (2,)], slug="shapes",
        hint="Return one new tensor for each that was given, of its shape, in the same order.",
    )  # fmt: skip
    none_of(check, norm, [
        ("sum", 7.0, "the norm of (2, 1, 2, 0) and (0, 4) was given as 7",
         "Norms do not add up. Put all entries into one long vector: the root of the sum of all squares."),
        ("squared", 25.0, "the norm of (2, 1, 2, 0) and (0, 4) was given as 25",
         "That is the sum of the squares; the norm is its root."),
        ("after", 1.0, "the norm that is returned is that after clipping",
         "What is worth watching is the norm before: after clipping it is never above the limit."),
    ])  # fmt: skip
    check.close(norm, 5.0, slug="norm", hint="All entries of all tensors as one vector: 2, 1, 2 and 4, and zeros.")
    none_of(check, torch.cat([g.flatten() for g in clipped]), [
        ("each", torch.cat([g.flatten() / g.norm() for g in gradients]), "each tensor was clipped on its own",
         "Now the second tensor is as long as the first, and was longer: the direction has changed. One factor for "
         "all."),
        ("values", torch.cat([g.flatten().clamp(-1, 1) for g in gradients]), "each entry was cut off at the limit",
         "Cutting entries off changes the direction. Make the whole vector shorter."),
    ])  # fmt: skip
    for got, whole in zip(clipped, gradients, strict=True):
        check.close(got, whole / 5, slug="scale", hint="Every gradient times limit / norm, here a fifth.")
    gradients = [torch.randn(3, 4) * 2, torch.randn(5), torch.randn(2, 2, 2)]
    length = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
    clipped, norm = answer(gradients, 0.5)
    for got, whole in zip(clipped, gradients, strict=True):
        check.close(got, whole * (0.5 / length), slug="scale", tolerance=1e-4, hint="One factor for all: limit / norm.")
    clipped, norm = answer([torch.tensor([0.3]), torch.tensor([0.4])], 1.0)
    check.close(
        [float(g) for g in clipped], [0.3, 0.4], slug="small",
        hint="A gradient that is short enough already stays as it is: the factor is at most 1.",
    )  # fmt: skip
    check.close(float(norm), 0.5, slug="small", hint="The norm is reported whether or not anything was clipped.")
    clipped, _ = answer([torch.zeros(3)], 1.0)
    check.close(clipped[0], [0.0, 0.0, 0.0], slug="zero", hint="A gradient of zeros must stay one, and not become nan.")


@exercise("7.5", title="Many small batches as a large one", minutes=15, difficulty=3)
def accumulate(answer, check):
    def batch(rows, real):
        inputs, targets = torch.randint(9, (rows, 6)), torch.randint(9, (rows, 6))
        targets.view(-1)[real:] = IGNORED
        return inputs, targets

    def loss(model, inputs, targets, reduction="mean"):
        logits = model(inputs).flatten(0, 1)
        return F.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, reduction=reduction)

    erased = "Something erased what the first ones had left: `zero_grad` belongs before the first batch."
    for even, batches in ((True, [batch(2, 12), batch(2, 12), batch(2, 12)]), (False, [batch(2, 12), batch(3, 5)])):
        model, total = small_run.WatchedModel(), sum(int((targets != IGNORED).sum()) for _, targets in batches)
        whole = sum(loss(model, *one, reduction="sum") for one in batches) / total
        everything = small_run.gradient(model, whole)
        each = [small_run.gradient(model, loss(model, *one)) for one in batches]
        padded = sum(targets.numel() for _, targets in batches)
        model.most = model.kept = model.waiting = 0
        model.zero_grad(set_to_none=True)
        got = answer(model, batches)
        check.that(
            all(parameter.grad is not None for parameter in model.parameters()), slug="no-gradient",
            problem="the model's parameters have no gradient afterwards",
            hint="Call `backward()` on each batch's part of the loss; gradients then add up by themselves.",
        )  # fmt: skip
        found = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
        none_of(check, found, [
            ("not-divided", sum(each), "the gradient is the sum of the batches' mean gradients",
             "backward() adds. Three batches then push three times as hard: weigh each batch's part."),
            ("last", each[-1], "only the last batch left a gradient", erased),
            ("last-part", each[-1] / len(batches), "only the last batch left a gradient", erased),
        ])  # fmt: skip
        if not even:
            none_of(check, found, [
                ("batches-alike", sum(each) / len(each), "a batch of 5 tokens weighs as much as one of 12",
                 "In a large batch every token weighs the same. So must it be here: divide the sum of a batch's losses "
                 "by the number of tokens in all batches."),
                ("padding", everything * total / padded, "padding was counted among the tokens",
                 "Count the targets that are scored: those that are not -100."),
                ("sequences", (each[0] * 2 + each[1] * 3) / 5, "a batch was weighed by its sequences",
                 "Sequences can be short. Weigh by the tokens that are scored: those that are not -100."),
            ])  # fmt: skip
        check.close(
            found, everything, slug="gradient",
            hint="The gradient of one large batch: all losses added up, over the number of all scored tokens.",
        )  # fmt: skip
        check.that(
            model.most <= max(len(inputs) for inputs, _ in batches), slug="together",
            problem="the model was given more sequences at once than a batch has",
            hint="Then the memory of the large batch is needed after all. One batch at a time.",
        )  # fmt: skip
        check.that(
            model.kept < len(batches), slug="one-backward", problem="`backward` was called once, at the end",
            hint="Until then every batch's activations must be kept, as for the large batch. Call it for each batch.",
        )  # fmt: skip
        check.close(
            float(torch.as_tensor(got).detach()), whole.item(), slug="loss",
            hint="Return the mean loss over all scored tokens, as the large batch has it.",
        )  # fmt: skip
        check.that(
            not getattr(got, "requires_grad", False), slug="number", problem="the loss is a tensor with its graph",
            hint="Return a number, for a log: `.item()` gives it, and lets go of what `backward` needed.",
        )  # fmt: skip


@exercise("7.6", title="An error bar", minutes=12, difficulty=2)
def loss_with_error(answer, check):
    nats, tokens = torch.tensor([100.0, 60.0, 300.0, 40.0]), torch.tensor([100.0, 50.0, 200.0, 50.0])
    n, total = 4, 400.0
    residuals = nats - 500 / 400 * tokens  # (-25, -2.5, 50, -22.5)
    right = math.sqrt(float((residuals**2).sum()) * n / (n - 1)) / total
    per_story = nats / tokens
    got = answer(nats, tokens)
    check.that(
        is_pair(got), slug="pair", problem="not a pair (loss, error)",
        hint="Return the mean loss per token, then its standard error.",
    )  # fmt: skip
    loss, error = float(got[0]), float(got[1])
    none_of(check, loss, [
        ("stories-alike", per_story.mean(), "the loss is a mean of the stories' means",
         "A short story's tokens would weigh more than a long one's. All nats over all tokens."),
        ("per-story", nats.mean(), "the loss is per story, not per token", "Divide by the number of tokens."),
    ])  # fmt: skip
    check.close(loss, 500 / 400, slug="loss", hint="All nats over all tokens.")
    spread = "that is how far the stories lie apart, not the error of the mean"
    root = "The mean of n stories is more certain than one story, by the root of n."
    sampled = "far too small: every token was counted as a sample"
    luck = "Tokens of one story share its luck. What was sampled at random are stories."
    none_of(check, error, [
        ("standard-deviation", right * math.sqrt(n), spread, root),
        ("standard-deviation", per_story.std(), spread, root),
        ("variance", right**2, "that is the error squared", "An error bar is a root: the same unit as the loss."),
        ("n", right * math.sqrt((n - 1) / n), "slightly too small",
         "The residuals were taken from a mean of the same stories, which lies too near to them: n / (n - 1) mends "
         "it."),
        ("tokens", right / math.sqrt(total / n), sampled, luck),
        ("tokens", math.sqrt(float((residuals**2 / tokens).sum()) / (total - 1) / total), sampled, luck),
        ("means", per_story.std() / math.sqrt(n), "that is the error of the stories' means",
         "A long story moves the loss more: use how far its nats lie from what the loss expects, nats - loss * "
         "tokens."),
        ("nats", nats.std() / math.sqrt(n) / (total / n), "long stories were taken for bad ones",
         "A story of 200 tokens has many nats because it is long. Take off what the loss expects, loss * tokens."),
    ])  # fmt: skip
    check.close(error, right, slug="error", hint="root(n / (n - 1) * sum of (nats - loss * tokens) ** 2) / all tokens.")
    nats, tokens = 50 + 30 * torch.rand(30), 40 + 20 * torch.rand(30)
    residuals = nats - nats.sum() / tokens.sum() * tokens
    check.close(
        answer(nats, tokens)[1], math.sqrt(float((residuals**2).sum()) * 30 / 29) / float(tokens.sum()), slug="error",
        tolerance=1e-4, hint="It must hold for any number of stories.",
    )  # fmt: skip


@exercise("7.7", title="What resume must save", minutes=15, difficulty=2)
def everything(answer, check):
    model, optimizer, sampler = small_run.begin()
    small_run.train(model, optimizer, sampler, 0, 4)
    random = torch.get_rng_state()
    saved = answer(model, optimizer, sampler, 4)
    check.that(
        isinstance(saved, dict), slug="dict", problem="not a dict", hint='Return a dict: {"model": ..., "step": ...}.'
    )
    check.that(
        torch.equal(torch.get_rng_state(), random), slug="reseeds", problem="the generator was moved by saving",
        hint="To save is to look. Seeding again would make the resumed run sample what was sampled before.",
    )  # fmt: skip
    missing = {
        "model": "Without the weights there is nothing to go on from.",
        "optimizer": "AdamW's two moments, m and v, began at zero and took many steps to fill. Started again, the "
        "first steps go wrong, and the curve has a kink.",
        "sampler": "It would begin with the first story again, and the run would see some twice and some never.",
        "random": "Dropout samples from torch's generator: `torch.get_rng_state()`.",
        "step": "The schedule asks for the step. Without it the warm-up begins again.",
    }
    for key, hint in missing.items():
        check.that(key in saved, slug=f"no-{key}", problem=f"{key!r} is missing from the dict", hint=hint)
    check.that(
        isinstance(saved["sampler"], dict), slug="sampler-itself", problem="the sampler was saved and not its state",
        hint="An object cannot be written to a file safely, and goes on counting. `sampler.state_dict()`.",
    )  # fmt: skip
    check.that(
        isinstance(saved["model"], dict) and isinstance(saved["optimizer"], dict), slug="objects",
        problem="the model or the optimizer itself was saved",
        hint="Their `state_dict()` holds what they have learned.",
    )  # fmt: skip
    kept = copy.deepcopy(saved)
    small_run.train(model, optimizer, sampler, 4, 5)
    for key in ("model", "optimizer", "sampler"):
        check.that(
            small_run.equal(saved[key], kept[key]), slug="moves-on",
            problem=f"what was saved under {key!r} changed while training went on",
            hint="A state_dict shows the live tensors. Copy them: `copy.deepcopy`.",
        )  # fmt: skip
    check.equal(saved["step"], 4, slug="step", hint="The step that was given: 4 are done.")
    check.that(
        isinstance(saved["random"], torch.Tensor) and torch.equal(saved["random"], random), slug="other-random",
        problem="what is under 'random' is not the state of torch's generator",
        hint="Dropout asks torch, neither Python nor NumPy: `torch.get_rng_state()`.",
    )  # fmt: skip
    again, its_optimizer, its_sampler = small_run.begin()
    again.load_state_dict(saved["model"])
    its_optimizer.load_state_dict(saved["optimizer"])
    its_sampler.load_state_dict(saved["sampler"])
    torch.set_rng_state(saved["random"])
    small_run.train(again, its_optimizer, its_sampler, saved["step"], 5)
    check.that(
        small_run.equal(again.state_dict(), model.state_dict()), slug="differs",
        problem="the resumed run ends with other weights",
        hint="Something that decides the next step is missing, or was saved at another moment.",
    )  # fmt: skip
