"""The exercises of notebook 07 that an optimizer is made of: AdamW's step, the schedule, clipping.

`nb07` hands them to the notebook.
"""

import math

import torch
from torch import nn

from course.checks.compare import is_pair
from course.checks.exercise import exercise
from course.checks.optimizing import adamw, learning_rate, none_of, wrong_decays, wrong_moves


@exercise("7.3", title="A step of AdamW", minutes=18, difficulty=3)
def adamw_step(answer, check):
    p, g, m, v = torch.randn(4, 3), torch.randn(4, 3), torch.zeros(4, 3), torch.zeros(4, 3)
    betas = (0.9, 0.98)
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


@exercise("7.4", title="Warm-up and cosine", minutes=12, difficulty=2)
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
        ("clamped", 0.01, "the wave falls to 0 and is only cut off where it is below `final`",
         "Then the curve has a kink and lies flat at its end. Squeeze the wave between peak and final instead."),
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


@exercise("7.5", title="Clip by the global norm", minutes=10, difficulty=2)
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
    clipped, _ = answer([torch.tensor([0.6]), torch.tensor([0.0, 8.0])], 1.0)
    none_of(check, clipped[0], [
        ("some", torch.tensor([0.6]), "of a tensor of norm 0.6 and one of norm 8 only the second was shortened",
         "Then the direction of the whole has changed. It is the whole that is too long, so one factor shortens all."),
    ])  # fmt: skip
    check.close(torch.cat(list(clipped)), torch.tensor([0.6, 0.0, 8.0]) / math.hypot(0.6, 8), slug="scale",
                tolerance=1e-4, hint="One factor for all: limit / norm.")  # fmt: skip
    clipped, norm = answer([torch.tensor([0.3]), torch.tensor([0.4])], 1.0)
    check.close(
        [float(g) for g in clipped], [0.3, 0.4], slug="small",
        hint="A gradient that is short enough already stays as it is: the factor is at most 1.",
    )  # fmt: skip
    check.close(float(norm), 0.5, slug="small", hint="The norm is reported whether or not anything was clipped.")
    clipped, _ = answer([torch.zeros(3)], 1.0)
    check.close(clipped[0], [0.0, 0.0, 0.0], slug="zero", hint="A gradient of zeros must stay one, and not become nan.")
    clipped, _ = answer([torch.tensor([3.0, -4.0])], math.inf)
    check.close(
        clipped[0], [3.0, -4.0], slug="infinite",
        hint="A limit of math.inf clips nothing. What does your factor become there?",
    )  # fmt: skip
