"""The exercises of notebook 07: a batch, a step, accumulation, an error bar; and those of the modules `optimizer_parts`
(AdamW, the schedule, clipping) and `training_parts` (the whole step, the loop, checkpoint and resume).
"""

import copy
import math

import torch
import torch.nn.functional as F

from course.checks import small_run
from course.checks.compare import is_pair, shown
from course.checks.exercise import exercise
from course.checks.optimizer_parts import adamw_step, clip_by_norm, lr_at
from course.checks.optimizing import none_of
from course.checks.training_parts import checkpoint, resume, train, update

__all__ = [
    "collate", "train_step", "adamw_step", "lr_at", "clip_by_norm", "accumulate", "update", "train", "loss_with_error",
    "checkpoint", "resume",
]  # fmt: skip

IGNORED = -100


@exercise("7.1", title="A batch of questions and answers", minutes=12, difficulty=2)
def collate(answer, check):
    end = 1
    got = answer([[5, 6, 7], [8]], 6, end)
    check.that(
        is_pair(got), slug="pair", problem="not a pair (inputs, targets)",
        hint="Return both, the inputs first: `return inputs, targets`.",
    )  # fmt: skip
    inputs, targets = got
    for name, part in (("inputs", inputs), ("targets", targets)):
        check.that(
            isinstance(part, torch.Tensor), slug="tensors", problem=f"the {name} are no tensor, but {shown(part)}",
            hint="A model reads tensors of ids: `torch.tensor(rows)` makes one of rows that are equally long.",
        )  # fmt: skip
        check.that(
            part.dtype == torch.int64, slug="tensors", problem=f"the {name} are {part.dtype}, not torch.int64",
            hint="torch's own type for ids is int64: cross-entropy asks for it, and `torch.tensor` of ints has it.",
        )  # fmt: skip
        shape = tuple(part.shape)
        check.that(
            shape != (2, 6), slug="too-wide", problem=f"the {name} have 6 columns, and the longest story needs 4",
            hint="The batch is as wide as its longest story needs: 6 is only what the model could read.",
        )  # fmt: skip
        check.that(
            shape == (2, 4), slug="shape", problem=f"the {name} have shape {shape}, not (2, 4)",
            hint="The longest story has 3 tokens, 5 with an end token on both sides: that makes 4 questions.",
        )  # fmt: skip
    none_of(check, inputs[0], [
        ("no-start", [5, 6, 7, 1], "the first thing that is read is the story's first token",
         "A story begins after an end token, so that its first token is asked for as well."),
        ("backwards", [5, 6, 7, 1], "the inputs are what should be predicted", "What is read comes first."),
    ])  # fmt: skip
    check.equal(inputs[0], [1, 5, 6, 7], slug="inputs", hint="The inputs: the end token, then the story.")
    none_of(check, targets[0, :3], [
        ("not-shifted", inputs[0, :3], "each target is the input itself",
         "A model could copy and would learn nothing. The target at a position is the token after it."),
        ("twice", [6, 7, 1], "each target is two tokens further on",
         "Shifted twice: the targets are one position further than the inputs, in all."),
    ])  # fmt: skip
    check.equal(targets[0, :3], [5, 6, 7], slug="targets", hint="The target at a position is the token after it.")
    end_hint = (
        "To stop is a decision that must be learned too: only what stands *behind* a story's own end token is padding."
    )
    check.that(
        int(targets[0, 3]) != IGNORED and int(targets[1, 1]) != IGNORED, slug="end", hint=end_hint,
        problem=f"the end of a story is no target: the targets are {targets.tolist()}",
    )  # fmt: skip
    check.equal(targets[0], [5, 6, 7, 1], slug="targets", hint="The last question of a story is where it ends.")
    check.equal(targets[1, :2], [8, 1], slug="targets", hint="The short story: its one token, then its end.")
    check.that(
        targets[1, 2:].tolist() == [IGNORED, IGNORED], slug="padding",
        problem=f"padding is a target: the second story's are {targets[1].tolist()}",
        hint="Behind a story's end stands padding. Its targets are -100, which cross-entropy leaves out.",
    )  # fmt: skip
    check.equal(
        inputs[1], [1, 8, 1, 1], slug="padded-inputs",
        hint="The short story's inputs: an end token, its token, its own end token, and end tokens as padding.",
    )  # fmt: skip
    inputs, targets = answer([[5, 6, 7, 8, 9], [2, 3]], 4, end)
    for name, part in (("inputs", inputs), ("targets", targets)):
        check.that(
            tuple(part.shape) == (2, 4), slug="too-long",
            problem=f"the {name} of a model that reads 4 tokens have shape {tuple(part.shape)}, not (2, 4)",
            hint="A model cannot read more than `context_length` tokens: cut a longer story off. 4 questions take 5 "
            "tokens.",
        )  # fmt: skip
    none_of(check, targets[0], [
        ("end-after-cut", [5, 6, 7, 1], "a story that was cut ends with an end token",
         "It does not end there. Cut last, when the end tokens are in place, so that its own falls off."),
    ])  # fmt: skip
    check.equal(inputs[0], [1, 5, 6, 7], slug="cut", hint="Of a long story: the end token and its first tokens.")
    check.equal(targets[0], [5, 6, 7, 8], slug="cut", hint="A token that cannot be read can still be asked for.")
    for _ in range(5):
        stories = [[check.random.randrange(2, 50) for _ in range(check.random.randrange(1, 9))] for _ in range(4)]
        width = min(6, max(map(len, stories)) + 1)
        inputs, targets = answer(stories, 6, end)
        read, asked = [], []
        for story in stories:
            questions = [*story, end][:6]
            asked.append(questions + [IGNORED] * (width - len(questions)))
            read.append(([end, *story, end] + [end] * width)[:width] if len(story) < 6 else [end, *story][:6])
        check.equal(targets, asked, slug="targets", hint="It must hold for any stories: compare row by row.")
        check.equal(inputs, read, slug="padded-inputs", hint="It must hold for any stories: compare row by row.")


@exercise("7.2", title="A step of training", minutes=10, difficulty=1)
def train_step(answer, check):
    inputs, targets = torch.randint(9, (3, 6)), torch.randint(9, (3, 6))
    targets[2, 3:] = IGNORED

    def one(rate=0.5, stale=True, **options):
        """A model, an optimizer, the weights before, the loss's gradient, and gradients of an earlier batch."""
        model = small_run.WatchedModel()
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, **options)
        before, gradient = small_run.weights(model), small_run.gradient(model, small_run.loss(model, inputs, targets))
        old = small_run.gradient(model, small_run.loss(model, targets.clamp(min=0), inputs))
        if stale:
            small_run.put_gradient(model, old)
        return model, optimizer, before, gradient, old

    model, optimizer, before, gradient, old = one()
    with torch.no_grad():
        first = small_run.loss(model, inputs, targets).item()
    got = answer(model, optimizer, inputs, targets)
    moved = small_run.weights(model) - before
    left = small_run.left_gradient(model)
    if not moved.any():
        check.that(
            bool(left.any()), slug="no-gradient", problem="the weights did not move, and there is no gradient",
            hint="`backward()` leaves the gradient. If it was called: what stands between it and the step?",
        )  # fmt: skip
        check.fail(
            "the weights did not move", slug="no-step",
            hint="The gradient is there, but nothing was done with it: the optimizer has a method for that.",
        )  # fmt: skip
    none_of(check, moved, [
        ("not-cleared", -0.5 * (gradient + old), "the step follows the gradient of an earlier batch as well",
         "`backward` adds to the gradients that are there. What the last batch left must go first."),
        ("not-cleared", -0.5 * old, "the step follows the gradient of an earlier batch",
         "The step came before this batch's gradient. In which order do they belong?"),
        ("uphill", 0.5 * gradient, "the weights moved up the slope",
         "Let the optimizer move them, with the loss's own gradient."),
    ])  # fmt: skip
    model_too = small_run.WatchedModel()
    small_run.put(model_too, before)
    padded = small_run.gradient(model_too, small_run.loss(model_too, inputs, targets, "sum") / targets.numel())
    none_of(check, moved, [
        ("padding", -0.5 * padded, "targets of -100 were counted in the mean",
         "The loss is the mean over the scored targets alone: `F.cross_entropy` does that by itself."),
        ("summed", -0.5 * gradient * 15, "the gradient is that of the losses' sum",
         "The loss is a mean over the tokens, so that a step does not depend on how many there are."),
    ])  # fmt: skip
    check.close(
        moved, -0.5 * gradient, slug="move", tolerance=1e-4,
        hint="The step must follow the gradient of the mean loss of this batch, and nothing else.",
    )  # fmt: skip
    check.that(
        not getattr(got, "requires_grad", False), slug="graph", problem="the loss is a tensor with its graph",
        hint="Return a number, for a log: `.item()` gives it, and lets go of what `backward` needed.",
    )  # fmt: skip
    with torch.no_grad():
        after = small_run.loss(model, inputs, targets).item()
    none_of(check, got, [
        ("loss-after", after, "the loss is that after the step",
         "A second pass through the model costs as much as the first. The loss is known before the step."),
    ])  # fmt: skip
    check.close(got, first, slug="loss", hint="Return the batch's mean loss, from which the gradient was taken.")

    model, optimizer, *_ = one(stale=False, momentum=0.9)
    twin = copy.deepcopy(model)
    its_optimizer = torch.optim.SGD(twin.parameters(), lr=0.5, momentum=0.9)
    for _ in range(3):
        answer(model, optimizer, inputs, targets)
        small_run.put_gradient(twin, small_run.gradient(twin, small_run.loss(twin, inputs, targets)))
        its_optimizer.step()
    check.close(
        small_run.weights(model), small_run.weights(twin), slug="three-steps", tolerance=1e-4,
        when="after 3 steps with momentum",
        hint="The first step is right and later ones are not: does each begin without the gradients of the one before?",
    )  # fmt: skip


@exercise("7.6", title="Many small batches as a large one", minutes=15, difficulty=3)
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
    batches = [batch(2, 12), batch(2, 0)]
    model = small_run.WatchedModel()
    alone = loss(model, *batches[0])
    expected = small_run.gradient(model, alone)
    got = answer(model, batches)
    left = small_run.left_gradient(model)
    check.that(
        bool(left.isfinite().all()) and math.isfinite(float(torch.as_tensor(got).detach())), slug="nothing-scored",
        problem="a batch with no scored token has made the loss or the gradient nan",
        hint="Its *mean* is 0 / 0, and nan times 0 is nan again. Its sum is 0, and does no harm.",
    )  # fmt: skip
    check.close(
        left, expected, slug="nothing-scored", when="12 scored tokens, and a batch with none",
        hint="A batch in which nothing is asked adds nothing.",
    )  # fmt: skip
    check.close(float(torch.as_tensor(got).detach()), alone.item(), slug="nothing-scored", when="the loss with a batch "
                "in which nothing is asked", hint="The mean over the tokens that are scored.")  # fmt: skip


@exercise("7.9", title="An error bar", minutes=12, difficulty=2)
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
