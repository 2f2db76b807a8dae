"""The exercises of notebook 07: the shift, AdamW, a schedule, clipping, accumulation, an error bar, what to save."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from helpers.checks.exercise import exercise

IGNORED = -100


def _near(got, expected, tolerance: float = 1e-5) -> bool:
    """Whether two tensors, or two numbers, agree; False for anything else."""
    try:
        got, expected = torch.as_tensor(got).double(), torch.as_tensor(expected).double()
    except (TypeError, ValueError, RuntimeError):
        return False
    return got.shape == expected.shape and torch.allclose(got, expected, rtol=tolerance, atol=tolerance)


@exercise("7.1", title="Inputs and targets", minutes=10, difficulty=1)
def shift(answer, check):
    rows = torch.tensor([[1, 5, 6, 7, 1], [1, 8, 1, 3, 3]])  # 3 is padding, 1 the end token
    lengths = torch.tensor([5, 3])
    got = answer(rows, lengths)
    check.that(
        isinstance(got, tuple | list) and len(got) == 2, slug="pair", problem="not a pair (inputs, targets)",
        hint="Return both, the inputs first: `return inputs, targets`.",
    )  # fmt: skip
    inputs, targets = got
    for name, part in (("inputs", inputs), ("targets", targets)):
        check.that(
            tuple(getattr(part, "shape", ())) == (2, 4), slug="shape",
            problem=f"the {name} have shape {tuple(getattr(part, 'shape', ()))}, not (2, 4)",
            hint="Of a row of five tokens four have a successor: leave off the last, or the first, of each row.",
        )  # fmt: skip
    check.that(
        not _near(inputs, rows[:, 1:]), slug="backwards", problem="the inputs are what should be guessed",
        hint="What is read comes first: inputs begin with the row's first token, targets with its second.",
    )  # fmt: skip
    check.equal(inputs, rows[:, :-1], slug="inputs", hint="The inputs are all tokens of a row but the last.")
    check.that(
        not _near(targets[0], rows[0, :-1]), slug="not-shifted", problem="each target is the input itself",
        hint="A model could copy and would learn nothing. The target at a place is the token after it.",
    )  # fmt: skip
    check.that(
        not _near(targets[0, :3], rows[0, 2:]), slug="twice", problem="each target is two tokens further on",
        hint="Shifted twice: the targets are one place further than the inputs, in all.",
    )  # fmt: skip
    check.equal(
        targets[0, :3], rows[0, 1:4], slug="targets", hint="In a full row: targets[i] is the row's token i + 1."
    )
    check.that(
        int(targets[0, 3]) != IGNORED, slug="end", problem="the end token after a story is not a target",
        hint="To stop is a decision that must be learned too. Leave out what lies after `lengths`, not what looks like "
        "an end token.",
    )  # fmt: skip
    check.that(
        int(targets[1, 1]) != IGNORED, slug="one-early", problem="the last real token of the short row is no target",
        hint="A row of length 3 has two targets: the target at place i is the row's token i + 1, real if that is below "
        "the length.",
    )  # fmt: skip
    check.that(
        int(targets[1, 2]) == IGNORED, slug="padding", problem=f"padding is a target: the second row's are "
        f"{targets[1].tolist()}",
        hint="Behind a row's length stands filling. Its targets are -100, which cross-entropy leaves out.",
    )  # fmt: skip
    check.equal(targets[1], [8, 1, IGNORED, IGNORED], slug="value", hint="Compare with the example, place by place.")
    rows, lengths = torch.randint(2, 50, (3, 9)), torch.tensor([9, 4, 2])
    _, targets = answer(rows, lengths)
    expected = rows[:, 1:].tolist()
    expected[1][3:], expected[2][1:] = [IGNORED] * 5, [IGNORED] * 7
    check.equal(targets, expected, slug="value", hint="It must hold for any length, and whatever the padding is.")


def _adamw(p, g, m, v, step, lr, betas, eps, decay, *, fixed=(True, True), coupled=0.0, bare=0.0, inside=False,
           count=0, late=False, squared=True):  # fmt: skip
    """One step of AdamW, or of one of the ways to get it wrong."""
    b1, b2 = betas
    g = g + coupled * p
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * (g * g if squared else g.abs())
    first = m / (1 - b1 ** (step + count)) if fixed[0] else m
    second = v / (1 - b2 ** (step + count)) if fixed[1] else v
    move = lr * first / ((second + eps).sqrt() if inside else second.sqrt() + eps)
    shrink = 1 - (bare or lr * decay)
    return ((p - move) * shrink if late else p * shrink - move), m, v


@exercise("7.2", title="A step of AdamW", minutes=18, difficulty=3)
def adamw_step(answer, check):
    p, g = torch.randn(4, 3), torch.randn(4, 3)
    m, v = torch.zeros(4, 3), torch.zeros(4, 3)
    lr, betas, eps = 0.05, (0.9, 0.99), 1e-2

    got = answer(p, g, m, v, 1, lr, betas, eps, 0.0)
    check.that(
        isinstance(got, tuple | list) and len(got) == 3, slug="three", problem="not the three new tensors",
        hint="Return the new parameter, the new m and the new v, in this order.",
    )  # fmt: skip
    right = _adamw(p, g, m, v, 1, lr, betas, eps, 0.0)
    check.that(
        not _near(got[1], right[1] / (1 - betas[0])), slug="corrected-memory",
        problem="the m that is returned is the corrected one",
        hint="m and v go on uncorrected to the next step; only this step's move uses the corrected ones.",
    )  # fmt: skip
    check.close(got[1], right[1], slug="m", hint="m: nine tenths of what it was, and a tenth of the gradient.")
    check.that(
        not _near(got[2], (1 - betas[1]) * g.abs()), slug="not-squared", problem="v remembers |g| and not g squared",
        hint="v is a mean of squares; its root is then of the gradient's own size.",
    )  # fmt: skip
    check.close(got[2], right[2], slug="v", hint="v is to the squared gradient what m is to the gradient, with beta 2.")

    wrong = {
        "no-correction": (
            {"fixed": (False, False)}, "the first step is not as long as it should be",
            "Without the correction the two memories, which began at zero, are still far too small: divide m by 1 - "
            "beta1**step, and v by 1 - beta2**step.",
        ),
        "one-correction": (
            {"fixed": (True, False)}, "only m was corrected",
            "v began at zero as well, and is too small for even longer than m.",
        ),
        "v-correction-only": (
            {"fixed": (False, True)}, "only v was corrected", "m began at zero as well: divide it by 1 - beta1**step.",
        ),
        "count": (
            {"count": 1}, "the correction is that of the next step", "The first step is step 1, and is given as 1.",
        ),
        "eps-inside": (
            {"inside": True}, "eps was added under the root", "First the root of v, then eps is added.",
        ),
    }  # fmt: skip
    for slug, (change, problem, hint) in wrong.items():
        values = _adamw(p, g, m, v, 1, lr, betas, eps, 0.0, **change)[0]
        check.that(not _near(got[0], values), slug=slug, problem=problem, hint=hint)
    check.that(
        not _near(got[0], 2 * p - right[0]), slug="uphill", problem="the step goes up the slope",
        hint="The gradient points to where the loss grows: subtract.",
    )  # fmt: skip
    check.close(
        got[0], right[0], slug="move", hint="The move is lr times corrected m over (root of corrected v + eps)."
    )

    decay = 0.4
    got = answer(p, g, m, v, 1, lr, betas, eps, decay)
    right = _adamw(p, g, m, v, 1, lr, betas, eps, decay)
    wrong = {
        "no-decay": ({"decay": 0.0}, "the parameter did not decay", "weight_decay is 0.4 in this call."),
        "coupled": (
            {"decay": 0.0, "coupled": decay}, "the decay went into the gradient",
            "That is Adam with an L2 penalty: divided by the root of v, the pull no longer depends on its size. The "
            "W of "
            "AdamW is to shrink the parameter itself.",
        ),
        "without-rate": (
            {"decay": 0.0, "bare": decay}, "the decay does not follow the learning rate",
            "The parameter shrinks by lr * weight_decay, so that a schedule holds for the decay as well.",
        ),
        "order": (
            {"decay": decay, "late": True}, "the decay came after the move",
            "Shrink the old parameter, then move; torch does it in this order.",
        ),
    }  # fmt: skip
    for slug, (change, problem, hint) in wrong.items():
        values = _adamw(p, g, m, v, 1, lr, betas, eps, **({"decay": decay} | change))[0]
        check.that(not _near(got[0], values), slug=slug, problem=problem, hint=hint)
    check.close(got[0], right[0], slug="decay", hint="The new parameter: (1 - lr * weight_decay) times the old, moved.")

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
        hint="The first step is right and later ones are not: does the correction use `step`, and are m and v handed "
        "on?",
    )  # fmt: skip


def _rate(step, steps, warmup, peak, final):
    if step < warmup:
        return peak * step / warmup
    return final + (peak - final) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


@exercise("7.3", title="Warm-up and cosine", minutes=12, difficulty=2)
def rate_at(answer, check):
    given = 110, 10, 0.02, 0.002  # steps, warmup, peak, final
    check.that(
        not _near(answer(5, *given), 0.02), slug="no-warm-up", problem="rate_at(5, 110, 10, 0.02, 0.002) is the peak",
        hint="The first `warmup` steps climb in a straight line from 0 to the peak.",
    )  # fmt: skip
    check.that(
        not _near(answer(5, *given), 0.02 * 4 / 10), slug="count", problem="the warm-up lags by one step",
        hint="Step 5 of a warm-up of 10 is at half the peak: the rate is peak * step / warmup.",
    )  # fmt: skip
    check.that(
        not _near(answer(5, *given), 0.002 + 0.018 * 5 / 10), slug="from-final",
        problem="the warm-up begins at the final rate", hint="The warm-up climbs from 0. `final` belongs to the end.",
    )  # fmt: skip
    check.close(answer(5, *given), 0.01, slug="warm-up", hint="Halfway through the warm-up: half the peak.")
    check.close(
        answer(10, *given), 0.02, slug="peak", hint="When the warm-up is over the rate is at its peak, exactly."
    )
    middle = answer(60, *given)
    check.that(
        not _near(answer(110, *given), 0.0, 1e-7), slug="to-zero", problem="the last rate is 0",
        hint="The curve ends at `final`, not at 0: scale the wave to the distance between final and peak.",
    )  # fmt: skip
    check.that(
        not _near(middle, 0.002 + 0.018 * (1 + math.cos(math.pi * 60 / 110)) / 2), slug="whole-run",
        problem="halfway between warm-up and end the rate is not halfway down",
        hint="The cosine begins where the warm-up ends: count its progress from there, (step - warmup) out of "
        "(steps - warmup).",
    )  # fmt: skip
    check.that(
        not _near(middle, 0.002 + 0.018 * math.cos(math.pi / 4)), slug="half-wave",
        problem="the curve falls late and ends steeply",
        hint="That is a quarter of a wave, cos from 0 to pi/2. Take it from 0 to pi: (1 + cos(pi * progress)) / 2 "
        "begins "
        "and ends level.",
    )  # fmt: skip
    check.close(middle, 0.011, slug="middle", hint="Halfway the wave is at half its height: between final and peak.")
    check.that(
        not _near(answer(35, *given), 0.002 + 0.018 * 0.75), slug="straight", problem="the rate falls in a straight "
        "line",
        hint="A quarter of the way down the cosine has lost less than a quarter.",
    )  # fmt: skip
    for step in (11, 35, 85, 109, 110):
        check.close(
            answer(step, *given), _rate(step, *given), slug="cosine",
            hint="final + (peak - final) * (1 + cos(pi * progress)) / 2, with progress from 0 to 1 after the warm-up.",
        )  # fmt: skip
    check.close(answer(0, 50, 0, 1.0, 0.1), 1.0, slug="none", hint="A warm-up of 0 steps: the run begins at the peak.")
    check.close(answer(50, 50, 0, 1.0, 0.1), 0.1, slug="none", hint="A warm-up of 0 steps must not divide by zero.")


@exercise("7.4", title="Clip by the global norm", minutes=10, difficulty=2)
def clip_by_norm(answer, check):
    gradients = [torch.tensor([[2.0, 1.0], [2.0, 0.0]]), torch.tensor([0.0, 4.0])]
    got = answer(gradients, 1.0)
    check.that(
        isinstance(got, tuple | list) and len(got) == 2 and isinstance(got[0], tuple | list), slug="pair",
        problem="not a pair (clipped, norm)",
        hint="Return the list of new gradients, and the norm before clipping.",
    )  # fmt: skip
    clipped, norm = got
    norm = float(norm)
    check.that(
        not _near(norm, 7.0), slug="sum", problem="the norm of (2, 1, 2, 0) and (0, 4) was given as 7",
        hint="Norms do not add up. Put all numbers into one long vector: the root of the sum of all squares.",
    )  # fmt: skip
    check.that(
        not _near(norm, 25.0), slug="squared", problem="the norm of (2, 1, 2, 0) and (0, 4) was given as 25",
        hint="That is the sum of the squares; the norm is its root.",
    )  # fmt: skip
    check.that(
        not _near(norm, 1.0), slug="after", problem="the norm that is returned is that after clipping",
        hint="What is worth watching is the norm before: after clipping it is never above the limit.",
    )  # fmt: skip
    check.close(norm, 5.0, slug="norm", hint="All numbers of all tensors as one vector: 2, 1, 2 and 4, and zeros.")
    check.that(
        not (_near(clipped[0], gradients[0] / 3) and _near(clipped[1], gradients[1] / 4)), slug="each",
        problem="each tensor was clipped on its own",
        hint="Now the second tensor is as long as the first, and was longer: the direction has changed. One factor for "
        "all.",
    )  # fmt: skip
    check.that(
        not all(map(_near, clipped, [g.clamp(-1, 1) for g in gradients])), slug="values",
        problem="each number was cut off at the limit",
        hint="Cutting numbers off changes the direction. Make the whole vector shorter.",
    )  # fmt: skip
    check.close(clipped[0], gradients[0] / 5, slug="scale", hint="Every gradient times limit / norm, here a fifth.")
    check.close(clipped[1], gradients[1] / 5, slug="scale", hint="Every gradient times limit / norm, here a fifth.")
    gradients = [torch.randn(3, 4) * 2, torch.randn(5), torch.randn(2, 2, 2)]
    length = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
    clipped, norm = answer(gradients, 0.5)
    for one, whole in zip(clipped, gradients, strict=True):
        check.close(one, whole * (0.5 / length), slug="scale", tolerance=1e-4, hint="One factor for all: limit / norm.")
    small = [torch.tensor([0.3]), torch.tensor([0.4])]
    clipped, norm = answer(small, 1.0)
    check.close(
        [float(g) for g in clipped], [0.3, 0.4], slug="small",
        hint="A gradient that is short enough already stays as it is: the factor is at most 1.",
    )  # fmt: skip
    check.close(float(norm), 0.5, slug="small", hint="The norm is reported whether or not anything was clipped.")
    clipped, _ = answer([torch.zeros(3)], 1.0)
    check.close(clipped[0], [0.0, 0.0, 0.0], slug="zero", hint="A gradient of zeros must stay one, and not become nan.")


class _Watched(nn.Module):
    """A tiny model that notes how many rows it is given at once."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(9, 5), nn.Linear(5, 9)
        self.most = self.calls = 0

    def forward(self, ids):
        self.most, self.calls = max(self.most, len(ids)), self.calls + 1
        return self.head(torch.tanh(self.table(ids)))


def _gradient(model, loss) -> torch.Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


@exercise("7.5", title="Many small batches as a large one", minutes=15, difficulty=3)
def accumulate(answer, check):
    def batch(rows, real):
        inputs, targets = torch.randint(9, (rows, 6)), torch.randint(9, (rows, 6))
        targets.view(-1)[real:] = IGNORED
        return inputs, targets

    def loss(model, inputs, targets, reduction="mean"):
        logits = model(inputs).flatten(0, 1)
        return F.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, reduction=reduction)

    for even, batches in ((True, [batch(2, 12), batch(2, 12), batch(2, 12)]), (False, [batch(2, 12), batch(3, 5)])):
        model, total = _Watched(), sum(int((targets != IGNORED).sum()) for _, targets in batches)
        parts = [loss(model, *each) for each in batches]
        sums = [loss(model, *each, reduction="sum") for each in batches]
        everything = _gradient(model, sum(sums) / total)
        each = [_gradient(model, part) for part in parts]
        whole = (sum(sums) / total).item()
        padded = sum(targets.numel() for _, targets in batches)
        model.most = model.calls = 0
        model.zero_grad(set_to_none=True)
        got = answer(model, batches)
        if any(parameter.grad is None for parameter in model.parameters()):
            check.fail(
                "the model's parameters have no gradient afterwards", slug="no-gradient",
                hint="Call `backward()` on each batch's share of the loss; gradients then add up by themselves.",
            )  # fmt: skip
        found = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
        wrong = {
            "not-divided": (
                sum(each), "the gradient is the sum of the batches' mean gradients",
                "backward() adds. Three batches then push three times as hard: weigh each batch's share.",
            ),
            "last": (
                each[-1], "only the last batch left a gradient",
                "Something erased what the first ones had left: `zero_grad` belongs before the first batch.",
            ),
            "last-share": (
                each[-1] / len(batches), "only the last batch left a gradient",
                "Something erased what the first ones had left: `zero_grad` belongs before the first batch.",
            ),
        }  # fmt: skip
        if not even:
            wrong |= {
                "batches-alike": (
                    sum(each) / len(each), "a batch of 5 tokens weighs as much as one of 12",
                    "In a large batch every token weighs the same. So must it be here: divide the sum of a batch's "
                    "losses "
                    "by the number of tokens in all batches.",
                ),
                "padding": (
                    everything * total / padded, "padding was counted among the tokens",
                    "Count the targets that are scored: those that are not -100.",
                ),
                "rows": (
                    sum(one * len(inputs) for one, (inputs, _) in zip(each, batches, strict=True)) / 5,
                    "a batch was weighed by its rows",
                    "Rows can be short. Weigh by the tokens that are scored: those that are not -100.",
                ),
            }  # fmt: skip
        for slug, (values, problem, hint) in wrong.items():
            check.that(not _near(found, values), slug=slug, problem=problem, hint=hint)
        check.close(
            found, everything, slug="gradient",
            hint="The gradient of one large batch: all losses added up, over the number of all scored tokens.",
        )  # fmt: skip
        check.that(
            model.most <= max(len(inputs) for inputs, _ in batches), slug="together",
            problem="the model was given more rows at once than a batch has",
            hint="Then the memory of the large batch is needed after all. One batch at a time.",
        )  # fmt: skip
        check.close(
            float(got),
            whole,
            slug="loss",
            hint="Return the mean loss over all scored tokens, as the large batch has it.",
        )


@exercise("7.6", title="An error bar", minutes=15, difficulty=3)
def loss_with_error(answer, check):
    nats, tokens = torch.tensor([100.0, 60.0, 300.0, 40.0]), torch.tensor([100.0, 50.0, 200.0, 50.0])
    n, total = 4, 400.0
    mean = 500 / 400
    off = nats - mean * tokens  # (-25, -2.5, 50, -22.5)
    right = math.sqrt(float((off**2).sum()) * n / (n - 1)) / total
    got = answer(nats, tokens)
    check.that(
        isinstance(got, tuple | list) and len(got) == 2, slug="pair", problem="not a pair (loss, error)",
        hint="Return the mean loss per token, then its standard error.",
    )  # fmt: skip
    loss, error = float(got[0]), float(got[1])
    check.that(
        not _near(loss, float((nats / tokens).mean())), slug="stories-alike",
        problem="the loss is a mean of the stories' means",
        hint="A short story's tokens would weigh more than a long one's. All nats over all tokens.",
    )  # fmt: skip
    check.that(
        not _near(loss, float(nats.mean())), slug="per-story", problem="the loss is per story, not per token",
        hint="Divide by the number of tokens.",
    )  # fmt: skip
    check.close(loss, mean, slug="loss", hint="All nats over all tokens.")
    per_story = nats / tokens
    wrong = {
        "deviation": (
            (right * math.sqrt(n), float(per_story.std())), "that is how far the stories lie apart, not the error of "
            "the "
            "mean",
            "The mean of n stories is more certain than one story, by the root of n.",
        ),
        "variance": ((right**2,), "that is the error squared", "An error bar is a root: the same unit as the loss."),
        "n": (
            (right * math.sqrt((n - 1) / n),), "slightly too small",
            "The deviations were taken from a mean of the same stories, which lies too near to them: n / (n - 1) mends "
            "it.",
        ),
        "tokens": (
            (right / math.sqrt(total / n), math.sqrt(float((off**2 / tokens).sum()) / (total - 1)) / math.sqrt(total)),
            "far too small: every token was counted as a sample",
            "Tokens of one story share its luck. What was drawn at random are stories.",
        ),
        "means": (
            (float(per_story.std()) / math.sqrt(n),), "that is the error of the stories' means",
            "A long story moves the loss more: use how far its nats lie from what the loss expects, nats - loss * "
            "tokens.",
        ),
        "nats": (
            (float(nats.std()) / math.sqrt(n) / (total / n),), "long stories were taken for bad ones",
            "A story of 200 tokens has many nats because it is long. Take off what the loss expects, loss * tokens.",
        ),
    }  # fmt: skip
    for slug, (values, problem, hint) in wrong.items():
        check.that(not any(_near(error, value) for value in values), slug=slug, problem=problem, hint=hint)
    check.close(error, right, slug="error", hint="root(n / (n - 1) * sum of (nats - loss * tokens) ** 2) / all tokens.")
    nats, tokens = 50 + 30 * torch.rand(30), 40 + 20 * torch.rand(30)
    lost = nats - nats.sum() / tokens.sum() * tokens
    check.close(
        answer(nats, tokens)[1], math.sqrt(float((lost**2).sum()) * 30 / 29) / float(tokens.sum()), slug="error",
        tolerance=1e-4, hint="It must hold for any number of stories.",
    )  # fmt: skip


class _Numbers:
    """A sampler of rows that goes on from where it stands."""

    def __init__(self):
        self.position = 0

    def next_batch(self):
        self.position += 1
        rows = torch.arange(self.position, self.position + 12).view(3, 4) % 7
        return rows, (rows * 3 + self.position) % 7

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


def _run():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Embedding(7, 6), nn.Dropout(0.3), nn.Linear(6, 7))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1), _Numbers()


def _train(model, optimizer, sampler, first: int, steps: int) -> None:
    for step in range(first, first + steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (1 + step)  # a schedule
        inputs, targets = sampler.next_batch()
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@exercise("7.7", title="What resume must save", minutes=15, difficulty=2)
def everything(answer, check):
    model, optimizer, sampler = _run()
    _train(model, optimizer, sampler, 0, 4)
    random = torch.get_rng_state()
    saved = answer(model, optimizer, sampler, 4)
    check.that(
        isinstance(saved, dict), slug="dict", problem="not a dict", hint='Return a dict: {"model": ..., "step": ...}.'
    )
    check.that(
        torch.equal(torch.get_rng_state(), random), slug="reseeds", problem="the generator was moved by saving",
        hint="To save is to look. Seeding again would make the resumed run draw numbers that have been drawn before.",
    )  # fmt: skip
    missing = {
        "model": "Without the weights there is nothing to go on from.",
        "optimizer": "AdamW's two memories, m and v, began at zero and took many steps to fill. Started again, the "
        "first "
        "steps go wrong, and the curve has a kink.",
        "sampler": "It would begin with the first story again, and the run would see some twice and some never.",
        "random": "Dropout draws from torch's generator: `torch.get_rng_state()`.",
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
        problem="the model or the optimizer itself was saved", hint="Their `state_dict()` holds what they have "
        "learned.",
    )  # fmt: skip
    kept = copy.deepcopy(saved)
    _train(model, optimizer, sampler, 4, 5)
    for key in ("model", "optimizer", "sampler"):
        check.that(
            _equal(saved[key], kept[key]), slug="moves-on", problem=f"what was saved under {key!r} changed while "
            "training "
            "went on",
            hint="A state_dict shows the live tensors. Copy them: `copy.deepcopy`.",
        )  # fmt: skip
    check.equal(saved["step"], 4, slug="step", hint="The step that was given: 4 are done.")
    check.that(
        isinstance(saved["random"], torch.Tensor) and torch.equal(saved["random"], random), slug="other-random",
        problem="what is under 'random' is not the state of torch's generator",
        hint="Dropout asks torch, neither Python nor NumPy: `torch.get_rng_state()`.",
    )  # fmt: skip
    again, its_optimizer, its_sampler = _run()
    again.load_state_dict(saved["model"])
    its_optimizer.load_state_dict(saved["optimizer"])
    its_sampler.load_state_dict(saved["sampler"])
    torch.set_rng_state(saved["random"])
    _train(again, its_optimizer, its_sampler, saved["step"], 5)
    check.that(
        _equal(again.state_dict(), model.state_dict()), slug="differs", problem="the resumed run ends with other "
        "weights",
        hint="Something that decides the next step is missing, or was saved at another moment.",
    )  # fmt: skip


def _equal(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other
