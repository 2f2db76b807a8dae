"""The repairs of patients whose training loop is ill (notebook 10).

A training loop is asked with a model whose gradient is what the batch says, so that what each step must do is known.
"""

import math
from types import SimpleNamespace

import torch
from torch import nn

from course.checks.answer import TimeLimit
from course.checks.exercise import exercise
from course.checks.optimizing import near
from course.clinic import learning
from helpers.model import GPT, GPTConfig

__all__ = ["nils_train", "olga_train", "paul_train", "rosa_train", "sven_train", "quin_train"]


class Plane(nn.Module):
    """Its loss is the product of its weights with the batch: so the gradient is the batch."""

    def __init__(self, start: float = 0.0, d_model: int = 64):
        super().__init__()
        self.config = SimpleNamespace(d_model=d_model)
        self.weights = nn.Parameter(torch.full((2, 3), start))

    def forward(self, inputs):
        return (inputs * self.weights).sum()


def slope(model, inputs, targets):
    return model(inputs)


class Trained:
    """What a training loop has done: its losses and norms, the weights after each step, how many batches it took."""

    def __init__(self, answer, check, gradients, steps: int, lr: float, model=None, loss=slope):
        self.model, self.drawn = model or Plane(), 0
        self.losses, self.norms, self.weights = [], [], [self._weights()]
        self.batches = []  # how many had been drawn after each step
        made = answer(self.model, loss, self._counted(gradients), steps, lr)
        for got in _each(made, check):
            pair = isinstance(got, tuple | list) and len(got) == 2
            check.that(pair, slug="pair", problem="a step did not give a loss and a norm", when="",
                       hint="yield the loss and the norm, as before.")  # fmt: skip
            self.losses.append(float(got[0]))
            self.norms.append(float(got[1]))
            self.weights.append(self._weights())
            self.batches.append(self.drawn)
            if len(self.losses) > steps:
                break
        check.that(len(self.losses) == steps, slug="steps", when="",
                   problem=f"of {steps} steps it took {'more' if len(self.losses) > steps else len(self.losses)}",
                   hint="The number of the optimizer's steps is `steps`, as before.")  # fmt: skip

    def _weights(self):
        return torch.cat([p.detach().flatten().clone() for p in self.model.parameters()])

    def _counted(self, gradients):
        for each in gradients:
            self.drawn += 1
            yield each, torch.ones(each.shape, dtype=torch.long)

    @property
    def moves(self) -> list[torch.Tensor]:
        return [after - before for before, after in zip(self.weights[:-1], self.weights[1:], strict=True)]

    @property
    def rates(self) -> list[float]:
        """The longest way of a weight in each step: AdamW's learning rate, if the gradient is always the same."""
        return [float(move.abs().max()) for move in self.moves]


def _each(made, check):
    check.that(
        hasattr(made, "__next__"), slug="no-generator", problem=f"it gives one {type(made).__name__} and is done",
        hint="It must give a pair for each step: `yield` inside the loop.",
    )  # fmt: skip
    # The first step of all loads torch's compiler, which may take seconds, and is no work of the answer.
    torch.optim.AdamW([nn.Parameter(torch.zeros(1))]).zero_grad()
    with TimeLimit(8):
        yield from made


def some_gradients(count: int, size: float) -> list[torch.Tensor]:
    """Random directions with norms around `size`, none the same as another."""
    found = [torch.randn(2, 3) for _ in range(count)]
    return [size * (1 + 0.3 * math.sin(i)) * each / each.norm() for i, each in enumerate(found)]


def adamw(gradients, rates, betas=(0.9, 0.95), decay: float = 0.1, start: float = 0.0) -> list[torch.Tensor]:
    """The weights after each of AdamW's steps, by its formula (Loshchilov and Hutter 2019, algorithm 2)."""
    w, m, v, found = torch.full((6,), start), torch.zeros(6), torch.zeros(6), []
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        g = gradient.flatten()
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        move = (m / (1 - betas[0] ** step)) / ((v / (1 - betas[1] ** step)).sqrt() + 1e-8)
        w = w - rate * decay * w - rate * move
        found.append(w)
    return found


@exercise("10.24", title="Repair Nils", minutes=4, difficulty=1, seconds=10, begins_as=learning.nils_train)
def nils_train(answer, check):
    steps, lr = 12, 0.01
    gradients = some_gradients(steps, 0.7)
    run = Trained(answer, check, gradients, steps, lr)
    right = [float(g.norm()) for g in gradients]
    summed = [float(sum(gradients[: i + 1]).norm()) for i in range(steps)]
    check.that(
        any(bool(move.abs().max() > lr * 1e-2) for move in run.moves), slug="cleared-too-soon", when="",
        problem="the weights do not move", hint="Between `backward` and the optimizer's step the gradients must live.",
    )  # fmt: skip
    check.that(
        not near(run.norms, summed, 1e-3), slug="adds-up", when="",
        problem=f"every batch has a gradient of norm {min(right):.1f} to {max(right):.1f}; the step's norm has grown "
        f"to {max(run.norms):.1f}",
        hint="`backward` adds to what is in `.grad`. Whose task is it to empty it, and how often?",
    )  # fmt: skip
    check.close(
        run.norms, right, slug="norm", tolerance=1e-3, when="the norm of each step",
        hint="A step's gradient is that of its own batch: nothing of another batch in it, nothing cut off or divided.",
    )  # fmt: skip
    rates = [lr * min(1.0, (step + 1) / 10) * (1 - step / steps) for step in range(steps)]
    check.close(
        run.weights[-1], adamw(gradients, rates)[-1], slug="changed-more", tolerance=1e-3,
        when="the weights at the end", hint="The gradients are right. Now leave optimizer and schedule as they were.",
    )  # fmt: skip
    check.that(run.model.training, slug="eval-mode", when="", problem="the model is not in training mode",
               hint="Keep `model.train()`.")  # fmt: skip


@exercise("10.25", title="Repair Olga", minutes=5, difficulty=2, seconds=10, begins_as=learning.olga_train)
def olga_train(answer, check):
    steps, lr = 10, 0.01
    for size in (0.6, 3.0):  # without clipping, and with it
        gradients = some_gradients(4 * steps, size)
        run = Trained(answer, check, gradients, steps, lr)
        check.that(
            run.batches[0] == 4 and run.batches[-1] == 4 * steps, slug="batches", when="",
            problem=f"the first step took {run.batches[0]} batches, all {steps} together {run.batches[-1]}",
            hint="A step takes four batches, and steps once.",
        )  # fmt: skip
        means = [sum(gradients[i : i + 4]) / 4 for i in range(0, 4 * steps, 4)]
        right = [float(g.norm()) for g in means]
        for slug, value, problem, hint in (
            ("sum", [4 * norm for norm in right], "the norm is that of the sum of four batches' gradients",
             "A large batch's loss is a mean over all its stories. What, then, is its gradient, if the four small "
             "batches have theirs?"),
            ("too-small", [norm / 4 for norm in right], "the norm is a quarter of what it should be",
             "Divided twice. Once is enough: the sum of four gradients, by four."),
            ("last-alone", [float(gradients[i].norm()) for i in range(3, 4 * steps, 4)],
             "only the last of the four batches counts", "Clear once a step, not once a batch."),
            ("last-alone", [float(gradients[i].norm()) / 4 for i in range(3, 4 * steps, 4)],
             "only the last of the four batches counts", "Clear once a step, not once a batch."),
        ):  # fmt: skip
            check.that(not near(run.norms, value, 1e-3), slug=slug, problem=problem, hint=hint, when="")
        check.close(
            run.norms, right, slug="norm", tolerance=1e-3, when="the norm of each step",
            hint="It must be that of the mean of the four batches' gradients, before clipping.",
        )  # fmt: skip
        with torch.no_grad():
            losses = [
                sum(float((g * w.view(2, 3)).sum()) for g in gradients[4 * i : 4 * i + 4]) / 4
                for i, w in enumerate(run.weights[:-1])
            ]
        check.that(
            not near(run.losses, [each / 4 for each in losses], 1e-4), slug="reported-loss", when="",
            problem="the loss that is reported is a quarter of the mean",
            hint="What is reported was right: the mean of the four losses. Divide what `backward` gets, and that once.",
        )  # fmt: skip
        check.close(run.losses, losses, slug="reported-loss", tolerance=1e-4, when="the losses that are reported",
                    hint="The mean loss of the four batches, as it was before.")  # fmt: skip
        rates = [lr * min(1.0, (step + 1) / 10) * (1 - step / steps) for step in range(steps)]
        clipped = [g * min(1.0, 1.0 / float(g.norm())) for g in means]
        check.close(
            run.weights[-1], adamw(clipped, rates)[-1], slug="changed-more", tolerance=1e-3,
            when="the weights at the end",
            hint="The gradient is right. Clip it to a norm of 1, and leave optimizer and schedule as they were.",
        )  # fmt: skip


@exercise("10.26", title="Repair Paul", minutes=6, difficulty=2, seconds=10, begins_as=learning.paul_train)
def paul_train(answer, check):
    config = GPTConfig(12, 8, n_layer=1, n_head=2, d_model=16)
    model, lr, steps = GPT(config), 1e-3, 14
    with torch.no_grad():
        model.wte.weight.fill_(3.0)
    rows = [torch.randint(12, (1, 5)) for _ in range(100)]
    batches = ((ids[:, :-1], ids[:, 1:]) for ids in rows)
    kept, norms = [], []

    def loss(model, inputs, targets):
        return model.loss(inputs, targets)

    for got in _each(answer(model, loss, batches, steps, lr), check):
        kept.append({name: each.detach().clone() for name, each in model.named_parameters()})
        norms.append(float(got[1]))
        check.that(len(kept) <= steps, slug="steps", when="", problem=f"asked for {steps} steps, it took more",
                   hint="The number of steps is `steps`, as before.")  # fmt: skip
    check.that(len(kept) == steps, slug="steps", when="", problem=f"asked for {steps} steps, it took {len(kept)}",
               hint="The number of steps is `steps`, as before.")  # fmt: skip
    table = kept[0]["wte.weight"]
    check.that(
        model.head.weight is model.wte.weight, slug="untied", when="", problem="head and token table are two tensors",
        hint="After a new table has been made, the head must be tied to that one.",
    )  # fmt: skip
    check.that(
        float(table.mean()) < 2.0, slug="old-table", when="", problem="the token table is the one from before",
        hint="Paul needs new vectors for his tokens. Making them was no mistake: when was it done?",
    )  # fmt: skip
    check.that(
        0.012 < float(table.std()) < 0.03, slug="table-size", when="",
        problem=f"the new token vectors have a standard deviation of {float(table.std()):.3f}",
        hint="They begin with a standard deviation of 0.02, as before.",
    )  # fmt: skip
    still = [name for name in kept[0] if torch.equal(kept[0][name], kept[-1][name])]
    check.that(
        "wte.weight" not in still, slug="table-stands-still", when="",
        problem=f"after {steps} steps the token table is what it was after the first",
        hint="An optimizer moves the tensors that it was given when it was made. Which did the model have then?",
    )  # fmt: skip
    check.that(not still, slug="others-stand-still", when="", problem=f"these do not move: {', '.join(still)}",
               hint="Now the table learns; all else must learn as before.")  # fmt: skip
    rates = [lr * min(1.0, (step + 1) / 10) * (1 - step / steps) for step in range(steps)]
    moves = [kept[i]["wte.weight"] - kept[i - 1]["wte.weight"] for i in range(1, steps)]
    as_long_as_the_rate = [float(((m.abs() / rate - 1).abs() < 0.02).float().mean())
                           for m, rate in zip(moves, rates[1:], strict=True)]  # fmt: skip
    check.that(
        max(as_long_as_the_rate[4:]) < 0.6, slug="new-every-step", when="",
        problem="each step is as long as an optimizer's first",
        hint="An optimizer remembers earlier gradients. Make it once, before the loop.",
    )  # fmt: skip
    longest = [float(max((kept[i][n] - kept[i - 1][n]).abs().max() for n in kept[0])) for i in range(1, steps)]
    check.that(
        all(rate / 3 < one < 2.5 * rate for one, rate in zip(longest, rates[1:], strict=True)), slug="changed-more",
        when="", problem="the steps are longer or shorter than the learning rate allows",
        hint="Leave the schedule as it was.",
    )  # fmt: skip
    check.that(norms[-1] < 5, slug="adds-up", when="", problem=f"the gradient's norm has grown to {norms[-1]:.1f}",
               hint="Gradients are cleared once a step.")  # fmt: skip


@exercise("10.27", title="Repair Rosa", minutes=6, difficulty=2, seconds=10, begins_as=learning.rosa_train)
def rosa_train(answer, check):
    steps = 60
    for lr, d_model in ((0.002, 64), (0.0005, 16)):
        gradient = torch.full((2, 3), 0.2)
        rates = Trained(answer, check, [gradient] * steps, steps, lr, Plane(d_model=d_model)).rates
        when, peak = f"lr={lr}, a model {d_model} wide", max(rates)
        check.that(
            peak > 0, slug="stands-still", when=when, problem="the weights do not move",
            hint="The rate must rise from small to `lr`.",
        )  # fmt: skip
        check.that(
            peak < 1.2 * lr, slug="too-high", when=when, problem=f"the highest rate is {peak:.4f}",
            hint="Whoever calls `train` chooses the rate with `lr`. Where is it used? The formula of 2017 sets its own "
            "height, by the width and by how long the warm-up is: it was made for 4,000 steps.",
        )  # fmt: skip
        check.that(
            peak > 0.8 * lr, slug="too-low", when=when, problem=f"the highest rate is only {peak:.5f}",
            hint="At the end of the warm-up the rate is `lr` itself.",
        )  # fmt: skip
        check.that(
            rates[0] < 0.5 * peak, slug="no-warm-up", when=when, problem="the first step is taken at full height",
            hint="Keep the warm-up: the rate rises over ten steps.",
        )  # fmt: skip
        check.that(
            rates.index(peak) <= 14 and min(rates[9:12]) > 0.8 * peak, slug="warm-up", when=when,
            problem=f"the rate is highest at step {rates.index(peak) + 1}",
            hint="The rate rises over the first ten steps.",
        )  # fmt: skip
        check.that(
            rates[-1] < 0.7 * peak, slug="never-falls", when=when, problem="after the warm-up the rate does not fall",
            hint="After the warm-up it falls with the root of the step, as before; only its height was wrong.",
        )  # fmt: skip
        check.that(
            rates[-1] > 0.02 * peak, slug="falls-away", when=when, problem=f"the last rate is {rates[-1]:.6f}",
            hint="It falls slowly, with the root of the step.",
        )  # fmt: skip


class Valley(nn.Module):
    """Six weights that should all be one; its loss is how far they are from it, squared."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(2, 3))


@exercise("10.28", title="Repair Sven", minutes=7, difficulty=3, seconds=10, begins_as=learning.sven_train)
def sven_train(answer, check):
    steps = 12
    for lr, best in ((0.1, 0.1), (0.025, 0.1), (0.4, 0.1)):
        begun = []  # of the weights that the loss was asked with: those of a model that has learned nothing

        def loss(model, inputs, targets, begun=begun):
            begun.append(not bool(model.weights.any()))
            return ((model.weights - 1) ** 2).mean()

        when = f"lr={lr}"
        run = Trained(answer, check, [torch.zeros(2, 3)] * 1000, steps, lr, Valley(), loss)
        trials = len(begun) - steps
        check.that(trials > 20, slug="no-search", when=when, problem=f"{max(0, trials)} steps were spent on the search",
                   hint="Keep the search: each of the rates is tried on a few batches.")  # fmt: skip
        check.that(
            begun[trials], slug="starts-trained", when=when,
            problem="the training begins with a model that the search has changed",
            hint="The search may only touch copies. A name more for a model is no copy of it, and neither is a "
            "state_dict, whose tensors are the model's own.",
        )  # fmt: skip
        fresh = sum(begun[:trials])
        check.that(
            fresh != 1, slug="goes-on", when=when,
            problem="of all trials only the first has begun with a model that had learned nothing",
            hint="Which model does the second trial begin with?",
        )  # fmt: skip
        check.equal(fresh, 4, slug="beginnings", when=f"{when}: trials that began with an untrained model",
                    hint="Four rates, and each of them begins where the training will begin.")  # fmt: skip
        chosen = run.rates[0] * 10
        check.that(
            chosen > 0, slug="stands-still", when=when, problem="the model itself was not trained",
            hint="After the search the model is trained in place, at the best rate.",
        )  # fmt: skip
        check.that(
            abs(math.log(chosen / best)) < 0.3, slug="choice", when=when,
            problem=f"it trained at about {chosen:.3f}, and {best} gives the lowest loss",
            hint="The rate whose trial ends with the lowest loss is the one to train at.",
        )  # fmt: skip


@exercise("10.30", title="Repair Quin", minutes=6, difficulty=2, seconds=10, begins_as=learning.quin_train)
def quin_train(answer, check):
    for steps, lr in ((40, 0.002), (80, 0.001)):
        run = Trained(answer, check, [torch.full((2, 3), 0.2)] * (4 * steps), steps, lr)
        when, rates = f"{steps} steps at lr={lr}", [rate / lr for rate in run.rates]
        check.that(
            run.batches[0] == 4 and run.batches[-1] == 4 * steps, slug="batches", when=when,
            problem=f"the first step took {run.batches[0]} batches, all together {run.batches[-1]}",
            hint="A step takes four batches, as before.",
        )  # fmt: skip
        check.that(
            rates[steps // 2] > 0.05, slug="runs-out", when=when,
            problem="in the second half of the run the weights do not move any more",
            hint="The schedule is at its end when the run is at its end. What does it count, what does `steps`?",
        )  # fmt: skip
        check.that(
            max(rates) < 1.15, slug="too-high", when=when, problem=f"the rate rises to {max(rates):.1f} times `lr`",
            hint="The schedule's height was right: it is `lr`.",
        )  # fmt: skip
        check.that(
            abs(rates[4] - 0.5) < 0.2, slug="warm-up", when=when,
            problem=f"at the fifth of ten steps of warm-up the rate is {rates[4]:.2f} of `lr`",
            hint="The warm-up is ten of the optimizer's steps long, not ten batches.",
        )  # fmt: skip
        cosine = [min(1, (s + 1) / 10) * (0.5 + 0.5 * math.cos(math.pi * s / steps)) for s in range(steps)]
        check.that(
            rates[-1] < 0.15, slug="never-falls", when=when,
            problem=f"at the end the rate is still {rates[-1]:.2f} of `lr`",
            hint="The cosine ends where the run ends. The count must go on, once for each step.",
        )  # fmt: skip
        check.that(
            all(abs(rates[s] - cosine[s]) < (0.13 if s < 12 else 0.06) for s in range(steps)), slug="schedule",
            when=when, problem="between warm-up and end the rate does not follow the cosine",
            hint="Ten steps up, and then half a cosine down to the end; both counted in steps.",
        )  # fmt: skip
        check.close(run.norms, [0.2 * math.sqrt(6)] * steps, slug="norm", tolerance=1e-3, when="the norms",
                    hint="The accumulated gradient was right: leave it as it was.")  # fmt: skip
