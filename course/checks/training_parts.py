"""The exercises of notebook 07 that make a run: the step as a whole, the loop, a checkpoint, and how to resume.

`nb07` hands them to the notebook. The small models and samplers stand in `small_run`, and so does the run with which an
answer is compared.
"""

import copy
import math

import torch

from course.checks import small_run
from course.checks.compare import is_pair
from course.checks.exercise import exercise
from course.checks.optimizing import learning_rate, none_of

IGNORED = -100


@exercise("7.7", title="The step as a whole", minutes=12, difficulty=2)
def update(answer, check):
    def batch(rows, real):
        inputs, targets = torch.randint(9, (rows, 6)), torch.randint(9, (rows, 6))
        targets.view(-1)[real:] = IGNORED
        return inputs, targets

    batches = [batch(2, 12), batch(3, 5)]
    total = 17

    def begin():
        """A model with gradients of an earlier step, its optimizer with two groups, weights, gradients, mean loss."""
        model = small_run.WatchedModel()
        groups = [{"params": model.table.parameters()}, {"params": model.head.parameters(), "lr": 0.01}]
        optimizer = torch.optim.SGD(groups, lr=0.3)
        mean = sum(small_run.loss(model, *each, "sum") for each in batches) / total
        gradient, before, value = small_run.gradient(model, mean), small_run.weights(model), mean.item()
        old = small_run.gradient(model, small_run.loss(model, *batches[0]) * 3)
        each = sum(small_run.gradient(model, small_run.loss(model, *one)) for one in batches)
        small_run.put_gradient(model, old)
        return model, optimizer, before, gradient, old, each, value

    model, optimizer, before, gradient, old, each, mean = begin()
    table = model.table.weight.numel()
    norm = gradient.norm().item()
    got = answer(model, optimizer, batches, 0.5, math.inf)
    check.that(
        is_pair(got), slug="pair", problem="not a pair (loss, norm)",
        hint="Return the mean loss of the batches, and the norm of the gradient before clipping.",
    )  # fmt: skip
    moved = small_run.weights(model) - before
    check.that(
        bool(moved.any()), slug="no-step", problem="the weights did not move",
        hint="Gradients, then the step. If both are there: is a gradient cleared before the optimizer has seen it?",
    )  # fmt: skip
    rates = torch.cat([torch.full((table,), 0.3), torch.full((len(moved) - table,), 0.01)])
    one_group = torch.cat([torch.full((table,), 0.5), torch.full((len(moved) - table,), 0.01)])
    none_of(check, moved, [
        ("not-cleared", -0.5 * (gradient + old), "the step follows the gradients of an earlier step as well",
         "The model may hold gradients when a step begins, and `accumulate` adds to them."),
        ("lr", -rates * gradient, "the step was taken at the learning rates that the optimizer had before",
         "Each of `optimizer.param_groups` is a dict with an entry \"lr\": it must be set before the step."),
        ("lr", -rates * (gradient + old), "the step was taken at the learning rates that the optimizer had before",
         "Each of `optimizer.param_groups` is a dict with an entry \"lr\": it must be set before the step."),
        ("one-group", -one_group * gradient, "only the first group of parameters has the new learning rate",
         "An optimizer can have several groups, each with its own \"lr\": go through all."),
        ("not-weighed", -0.5 * each, "the batches' mean gradients were added up",
         "`accumulate` weighs the batches by their tokens."),
    ])  # fmt: skip
    check.close(
        moved, -0.5 * gradient, slug="move", tolerance=1e-4,
        hint="Without a limit a step is the learning rate times the gradient that `accumulate` leaves.",
    )  # fmt: skip
    check.close(got[0], mean, slug="loss", hint="Return the mean loss first.")
    check.close(
        got[1], norm, slug="norm", tolerance=1e-4,
        hint="The second is the norm of the whole gradient: `clip_by_norm` tells it.",
    )  # fmt: skip

    model, optimizer, before, gradient, old, _, _ = begin()
    limit = gradient.norm().item() / 4
    got = answer(model, optimizer, batches, 0.5, limit)
    moved = small_run.weights(model) - before
    none_of(check, moved, [
        ("not-clipped", -0.5 * gradient, "a gradient four times as long as the limit was not shortened",
         "`clip_by_norm` returns new gradients: the optimizer looks at each parameter's `.grad`."),
    ])  # fmt: skip
    check.close(
        moved, -0.5 * gradient / 4, slug="clipped", tolerance=1e-4,
        hint="The gradient is four times as long as the limit, so the step is a quarter: clip between `accumulate` and "
        "the step.",
    )  # fmt: skip
    none_of(check, got[1], [
        ("norm-after", limit, "the norm is that after clipping",
         "What is worth watching is the norm before: after clipping it is never above the limit."),
    ])  # fmt: skip
    check.close(
        got[1],
        4 * limit,
        slug="norm",
        tolerance=1e-4,
        hint="The norm before clipping.",
    )


@exercise("7.8", title="The loop", minutes=20, difficulty=3)
def train(answer, check):
    def run(*given, momentum=0.9, **options):
        """What the answer returns and leaves, beside what an independent loop does."""
        model, sampler = small_run.Dropping(), small_run.Nines()
        optimizer = torch.optim.SGD(model.parameters(), lr=7.0, momentum=momentum)
        twin, its_sampler = copy.deepcopy(model), small_run.Nines()
        seen = []
        look = {} if "every" not in options else {"validate": lambda m: seen.append(m.training) or float(len(seen))}
        rows = answer(model, optimizer, sampler, *given, **options, **look)
        expected = small_run.reference_run(twin, its_sampler, *given, momentum=momentum, **options)
        return rows, expected, model, twin, sampler, its_sampler, seen

    rows, expected, model, twin, sampler, its_sampler, _ = run(5, 0.5)
    check.that(
        isinstance(rows, list) and all(isinstance(row, dict) for row in rows), slug="rows",
        problem="not a list of dicts",
        hint="A row for each step, a dict, collected in a list that is returned at the end.",
    )  # fmt: skip
    check.that(
        len(rows) == 5, slug="count", problem=f"5 steps gave {len(rows)} rows",
        hint="Steps 1 to `steps`, the last one included, with a row for each.",
    )  # fmt: skip
    for key in ("step", "lr", "loss", "norm"):
        check.that(
            all(key in row for row in rows), slug="keys", problem=f"a row has no {key!r}",
            hint='Each row is {"step": ..., "lr": ..., "loss": ..., "norm": ...}.',
        )  # fmt: skip
    check.equal([row["step"] for row in rows], [1, 2, 3, 4, 5], slug="numbers",
                when='the "step" of each row, of 5 steps', hint="The first step is number 1.")  # fmt: skip
    check.that(
        model.steps_in_training >= 5, slug="never-trains",
        problem="the model was in evaluation mode in some of the steps",
        hint="A model may come in evaluation mode, in which dropout is off: `model.train()` switches it on.",
    )  # fmt: skip
    rates = [float(row["lr"]) for row in rows]
    none_of(check, rates, [
        ("late", [learning_rate(step, 6, 0, 0.5, 0.0) for step in range(5)], "the learning rates lag by one step",
         "Step n is taken at lr_at(n, ...): the first at lr_at(1, ...)."),
        ("steps", [learning_rate(step, 5, 0, 0.5, 0.0) for step in range(1, 6)], "the last step stands still, at lr 0",
         "The schedule reaches its end after the last step: it has steps + 1."),
        ("constant", [0.5] * 5, "the learning rate stays at its peak", "Ask `lr_at` anew before every step."),
    ])  # fmt: skip
    check.close(
        rates, [row["lr"] for row in expected], slug="schedule", hint="lr_at(step, steps + 1, warmup, peak, final)."
    )
    check.that(
        sampler.position == its_sampler.position, slug="batches",
        problem=f"{sampler.position - 1} batches were read in 5 steps", hint="A new batch for each step, and no more.",
    )  # fmt: skip
    check.close(
        [float(row["loss"]) for row in rows], [row["loss"] for row in expected], slug="loss", tolerance=1e-4,
        hint="The first losses agree and later ones do not? Then something of a step is missing, or comes twice.",
    )  # fmt: skip
    check.close([float(row["norm"]) for row in rows], [row["norm"] for row in expected], slug="norm", tolerance=1e-4,
                hint="The norm that `update` returns.")  # fmt: skip

    rows, expected, model, twin, sampler, its_sampler, _ = run(4, 0.5, warmup=2, final=0.1)
    check.close([float(row["lr"]) for row in rows], [row["lr"] for row in expected], slug="schedule",
                hint="`warmup` and `final` belong to the schedule.")  # fmt: skip

    rows, expected, model, twin, sampler, its_sampler, _ = run(3, 0.5, accumulation=2)
    check.that(
        sampler.position == its_sampler.position, slug="accumulation",
        problem=f"3 steps of 2 batches each read {sampler.position - 1} batches",
        hint="`accumulation` batches are drawn for every step, and given to `update` together.",
    )  # fmt: skip
    check.close(
        [float(row["loss"]) for row in rows], [row["loss"] for row in expected], slug="accumulation", tolerance=1e-4,
        hint="The batches of a step belong into one update, not into one each.",
    )  # fmt: skip

    rows, expected, model, twin, *_ = run(3, 0.5, limit=0.05)
    check.close(small_run.weights(model), small_run.weights(twin), slug="clip", tolerance=1e-4,
                when="train(..., limit=0.05)", hint="`limit` is for `update`, in every step.")  # fmt: skip

    rows, expected, model, twin, _, _, seen = run(5, 0.5, every=2)
    at = [row["step"] for row in rows if row.get("val_loss") is not None]
    none_of(check, at, [
        ("last-validation", [2, 4], "after the last step there is no validation loss",
         "A run ends with a validation loss, whether or not `every` divides its length."),
        ("validates-before", [1, 3, 5], "the validation losses stand in the wrong rows",
         "After step 2, 4, ...: the remainder of step / every is then 0."),
    ])  # fmt: skip
    check.equal(at, [2, 4, 5], slug="validation", when="the steps with a \"val_loss\", with every=2 and 5 steps",
                hint="After every `every` steps, and after the last.")  # fmt: skip
    check.that(
        len(seen) == 3, slug="validation", problem=f"`validate` was called {len(seen)} times for 3 validation losses",
        hint="It costs time: call it once, and put what it returns into the row.",
    )  # fmt: skip
    check.equal(
        [row["val_loss"] for row in rows if row.get("val_loss") is not None], [1.0, 2.0, 3.0], slug="validation",
        when="the validation losses", hint="`validate(model)` returns the loss that belongs into the row.",
    )  # fmt: skip
    check.that(
        not any(seen), slug="validates-in-training", problem="the model was validated in training mode",
        hint="With dropout a validation loss is too high, and another one each time: `model.eval()` before it.",
    )  # fmt: skip
    check.that(
        model.steps_in_training == 5, slug="stays-in-evaluation",
        problem="after the first validation the model trained on in evaluation mode, without dropout",
        hint="`model.eval()` lasts until somebody calls `model.train()`.",
    )  # fmt: skip
    *_, seen = run(4, 0.5, every=2)
    check.that(
        len(seen) == 2, slug="last-twice", problem=f"`validate` was called {len(seen)} times in 4 steps, with every=2",
        hint="Where `every` divides the number of steps, the last step is validated already: once, and not again.",
    )  # fmt: skip

    rows, expected, model, twin, sampler, its_sampler, _ = run(5, 0.5, warmup=1, start=3)
    check.equal([row["step"] for row in rows], [4, 5], slug="start", when="the steps of train(..., 5, ..., start=3)",
                hint="3 steps are done, so the next is number 4, and 5 is the last.")  # fmt: skip
    check.close(
        [float(row["lr"]) for row in rows], [row["lr"] for row in expected], slug="start",
        when="their learning rates", hint="A run that is resumed goes on in its schedule: step 4 is step 4.",
    )  # fmt: skip


@exercise("7.10", title="A checkpoint", minutes=15, difficulty=2)
def checkpoint(answer, check):
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


@exercise("7.11", title="Resume", minutes=8, difficulty=2, may_change_input=True)
def resume(answer, check):
    model, optimizer, sampler = small_run.begin()
    small_run.train(model, optimizer, sampler, 0, 4)
    state = {
        "model": copy.deepcopy(model.state_dict()),
        "optimizer": copy.deepcopy(optimizer.state_dict()),
        "sampler": sampler.state_dict(),
        "random": torch.get_rng_state(),
        "step": 4,
    }
    kept = copy.deepcopy(state)
    small_run.train(model, optimizer, sampler, 4, 5)

    def again():
        fresh = small_run.begin(seed=8)
        torch.manual_seed(99)
        return fresh, answer(state, *fresh)

    (new, its_optimizer, its_sampler), step = again()
    at_once = torch.get_rng_state()
    check.that(
        small_run.equal(new.state_dict(), kept["model"]), slug="no-model", problem="the model has other weights",
        hint="`load_state_dict` puts a state back; every one of the three has it.",
    )  # fmt: skip
    check.that(
        small_run.equal(its_optimizer.state_dict()["state"], kept["optimizer"]["state"]), slug="no-optimizer",
        problem="the optimizer's moments are not those that were saved",
        hint="An optimizer whose moments are empty takes its first steps anew.",
    )  # fmt: skip
    check.equal(
        its_sampler.position, kept["sampler"]["position"], slug="no-sampler", when="the sampler's position",
        hint="The sampler must go on where it stood, or stories come a second time.",
    )  # fmt: skip
    check.that(
        not torch.equal(at_once, _state_of(99)), slug="no-random", problem="torch's generator was left where it was",
        hint="Dropout samples from it: `torch.set_rng_state`.",
    )  # fmt: skip
    check.that(
        torch.equal(at_once, kept["random"]), slug="random-too-early",
        problem="torch's generator does not stand where it stood",
        hint="Was something sampled after it was put back, or another generator set? It belongs at the end.",
    )  # fmt: skip
    none_of(check, step, [
        ("next-step", 5, "the number returned is the next step's", "Return how many steps are done, as it was saved."),
    ])  # fmt: skip
    check.equal(step, 4, slug="step", hint="Return how many steps are done: the schedule goes on from there.")
    small_run.train(new, its_optimizer, its_sampler, step, 5)
    check.that(
        small_run.equal(new.state_dict(), model.state_dict()), slug="differs",
        problem="five steps later the resumed run has other weights",
        hint="Something that decides the next step was not put back.",
    )  # fmt: skip
    check.that(
        small_run.equal(state, kept), slug="moves-on",
        problem="training on has changed what was saved: nobody can resume from it a second time",
        hint="An optimizer may take over the very tensors that it is given, and write into them: give it a copy.",
    )  # fmt: skip


def _state_of(seed: int) -> torch.Tensor:
    """The state of a generator right after it was seeded."""
    return torch.Generator().manual_seed(seed).get_state()
