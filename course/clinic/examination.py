"""What the instruments (`course.clinic.instruments`) say of a program of the clinic: a number, an alarm or none, words.

An instrument measures; where alarm begins is said here, in `LIMITS`: with room around what healthy programs show
(data/recorded/clinic.json, made by docs/tools/clinic_table.py). What an instrument needs and a program does not have is
left out.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

import torch
from torch import Tensor, nn

from course.clinic import instruments
from course.clinic.program import Chart, Program, one_thread, tokenizer
from helpers.kv_cache import KVCache
from helpers.model import GPT, IGNORED

TOOLS = (
    "first_loss", "what_enters", "future_leak", "row_leak", "first_difference", "overfit", "update_ratios", "saturated",
    "first_nonfinite", "uses_input", "train_eval_gap", "loss_by_position", "seeds_differ", "cache_gap",
)  # fmt: skip

# Between which numbers there is no alarm.
LIMITS: dict[str, tuple[float, float]] = {
    "first_loss": (-0.1, 0.3),  # nats; embeddings that are wide on purpose cost a little
    "next": (0.99, 1.0),  # fraction of the scored positions
    "padding": (0.0, 0.001),
    "ends": (0.5, math.inf),  # for each story that begins in a batch
    "known": (0.99, 1.0),  # fraction of the pairs of neighbours that occur in the stories
    "distinct": (0.6, 1.0),  # short stories do repeat
    "overlap": (0.0, 0.2),  # fraction of the validation stories that are training stories, too
    "future_leak": (0.0, 1e-4),  # logits
    "row_leak": (0.0, 1e-5),  # fraction of the gradient
    "overfit": (0.0, 1.0),  # nats
    "moves early": (8e-3, 0.25),  # median over the matrices of change over size, in a step
    "moves late": (1e-3, 0.1),
    "jump": (0.0, 1.5),  # times more than just before, where a run goes on
    "gradient": (0.0, 0.01),  # how far the gradient that is used lies from the loss's own, over its size
    "flat": (0.0, 0.02),  # fraction of the activations, before training
    "dead": (0.0, 0.05),  # fraction of the units, trained
    "growth": (0.0, 24.0),  # times, before training
    "uses_input": (2.0, 12.0),  # nats
    "train_eval_gap": (-1e-5, 1e-5),  # nats
    "score": (-0.01, 0.01),  # nats: what is reported, less the mean over all tokens
    "too good": (0.5, math.inf),  # nats, behind the first words
    "cache_gap": (0.0, 1e-3),  # logits
}


@dataclass(frozen=True)
class Reading:
    """What one instrument says. `alarm` is None where it cannot tell."""

    instrument: str
    value: float | str
    alarm: bool | None
    says: str


@dataclass(frozen=True)
class Moment:
    """Weights before and after one step, by name."""

    when: str  # "early", "late" or "going on"
    before: dict[str, Tensor]
    after: dict[str, Tensor]


def watched(observe: Callable[[Program], Chart], program: Program) -> Chart:
    """The chart of a program's run, with `more["weights"]`: some steps' weights, a `Moment` each."""
    moments: list[Moment] = []
    train, calls = program.train, []

    def keeping(model, loss, batches, steps, lr, *rest) -> Iterator[tuple[float, float]]:
        calls.append(model)
        last = rest[-1] if rest else steps  # one that is stopped half-way is told where
        # A later call goes on where it was only if it is told where that is; else a run of its own begins.
        wanted = {5: "early", 3 * last // 4: "late"} if len(calls) == 1 else {2: "going on"} if rest else {}
        before: dict[str, Tensor] = {}
        for step, seen in enumerate(train(model, loss, batches, steps, lr, *rest), start=1):
            if step in wanted:
                moments.append(Moment(wanted[step], before, weights_of(model)))
            if step + 1 in wanted:
                before = weights_of(model)
            yield seen

    chart = observe(replace(program, train=keeping))
    return replace(chart, more=chart.more | {"weights": moments})


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters, by name."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@dataclass
class Case:
    """A program and its chart, and what several instruments need of them."""

    program: Program
    chart: Chart
    tools: dict[str, Callable]
    seed: int
    fresh: GPT = field(init=False)
    batch: tuple[Tensor, Tensor] = field(init=False)

    def __post_init__(self):
        self.model, self.fresh = self.chart.model, self.program.model(self.seed)
        self.batch = next(self.program.data(self.seed))


def examine(program: Program, chart: Chart, tools: Mapping[str, Callable] | None = None, seed=0) -> list[Reading]:
    """The readings of all instruments that apply, in the order of `TOOLS`.

    Args:
        chart: of `watched`; of a plain run, what moves is not measured.
        tools: the learner's, by name; for what is missing, those of `course.clinic.instruments`.
        seed: of the run.
    """
    tools = {name: getattr(instruments, name) for name in TOOLS} | dict(tools or {})
    with one_thread(), torch.random.fork_rng(devices=[]):
        case = Case(program, chart, tools, seed)
        training = chart.model.training
        readings = [_asked(case, name) for name in TOOLS]
        chart.model.train(training)
    return [reading for reading in readings if reading is not None]


def _asked(case: Case, name: str) -> Reading | None:
    try:
        return globals()[f"_{name}"](case, name)
    except (ValueError, RuntimeError) as error:  # such as a layer that has no cache
        return Reading(name, str(error), None, f"cannot be measured: {error!s:.90}")


NO_NUMBER = "what it measures is no number: nan or an infinity"


def outside(name: str, value: float) -> bool:
    """Whether a number is beyond its limits; so is what is not a number."""
    low, high = LIMITS[name]
    return not low <= value <= high


def _one(instrument: str, limit: str, value: float, says: str, alarm_says: str) -> Reading:
    alarm = outside(limit, value)
    return Reading(instrument, value, alarm, _said(value, alarm_says) if alarm else says)


def _said(value: float, says: str) -> str:
    """What is said of a number, if it is one."""
    return says if math.isfinite(value) else NO_NUMBER


def _of(instrument: str, parts: list[tuple[str, float, str]], fine: str) -> Reading:
    """One reading of several numbers: (limit, value, what is said beyond it)."""
    said = dict.fromkeys(_said(value, says) for limit, value, says in parts if outside(limit, value))
    value = next((value for limit, value, _ in parts if outside(limit, value)), parts[0][1])
    return Reading(instrument, value, bool(said), "; ".join(said) or fine)


# ---------------------------------------------------------------------- one instrument each


def _first_loss(case: Case, name: str) -> Reading:
    value = case.tools[name](case.fresh, case.program.loss, *case.batch)
    says = f"before training the loss is {abs(value):.2f} nats {'above' if value > 0 else 'below'} ln V"
    return _one(name, name, value, says, f"{says}: an untrained model should know nothing, and nothing wrong")


def _what_enters(case: Case, name: str) -> Reading:
    program, end = case.program, tokenizer().eos_token_id
    inputs, targets = case.batch
    real = instruments.asked(case.fresh, program.loss, inputs, targets)
    found = case.tools[name](inputs, real, end)
    begun = ((inputs[:, :-1] == end) & (inputs[:, 1:] != end)).sum().item() / len(inputs)  # stories that a row begins
    parts = [
        ("next", found["next"], f"of the targets {found['next']:.0%} are the next input, {found['same']:.0%} the input "
         f"itself and {found['after_next']:.0%} the one after the next"),
        ("padding", found["padding"], f"{found['padding']:.0%} of what is scored is padding"),
        ("ends", found["ends"] / begun if begun else 1.0, f"{found['ends']:.1f} ends are asked for in a row, and "
         f"{begun:.1f} stories begin in it"),
        ("known", known(inputs, program, end), "what enters is not what stands in the stories: "
         f"{tokenizer().decode(inputs[0, 1:9].tolist())!r}"),
    ]  # fmt: skip
    for what, rows in rows_together(program, end):
        distinct = case.tools[name](rows, rows, end)["distinct"]
        parts.append(("distinct", distinct, f"only {distinct:.0%} of {what} are different ones"))
    if hasattr(program, "split"):
        # A story that stands twice on one side is no leak: each counts once.
        sides = [{tuple(story) for story in side} for side in program.split(list(map(list, program.training)), 0)]
        rows = padded([list(story) for side in sides for story in side], end)
        overlap = (1 - case.tools[name](rows, rows, end)["distinct"]) * len(rows) / len(sides[1])
        parts.append(("overlap", overlap, f"{overlap:.0%} of the validation stories are training stories, too"))
    return _of(name, parts, "each target is the next input, ends are asked for, padding is not, and no rows repeat")


def known(inputs: Tensor, program: Program, end: int) -> float:
    """The fraction of neighbouring ids in a batch that are neighbours in the program's stories, too."""
    there = {(end, end)}
    for story in [*program.training, *program.held_out]:
        line = [end, *story, end]
        there.update(zip(line, line[1:], strict=False))
    pairs = [pair for row in inputs.tolist() for pair in zip(row, row[1:], strict=False)]
    return sum(pair in there for pair in pairs) / len(pairs)


def rows_together(program: Program, end: int) -> Iterator[tuple[str, Tensor]]:
    """Rows of which none should repeat: those of a batch, and of what all processes read in a step."""
    yield "a batch's rows", next(program.data(0))[0]
    if hasattr(program, "share"):
        stories, ranks = list(map(list, program.training)), range(program.processes)
        shares = [program.share(stories, program.batch_size, end, 0, rank, program.processes) for rank in ranks]
        rows = [row for each in shares for row in next(each)[0].tolist()]
        yield "the rows that all processes read in a step", padded(rows, end)


def padded(rows: list[list[int]], end: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [end] * (longest - len(row)) for row in rows])


def _future_leak(case: Case, name: str) -> Reading:
    value = case.tools[name](case.model, case.batch[0])
    return _one(name, name, value, "no logit depends on a later token",
                f"another token changes logits before it, by up to {value:.3g}")  # fmt: skip


def _row_leak(case: Case, name: str) -> Reading:
    value = case.tools[name](case.model, case.batch[0])
    return _one(name, name, value, "no row depends on another",
                f"{value:.1%} of the gradient of a row's logits goes to other rows")  # fmt: skip


def _first_difference(case: Case, name: str) -> Reading | None:
    reference, own = GPT(case.program.config).eval(), case.model.state_dict()
    names = {each for each, _ in reference.named_parameters()}  # without the head where it is the embedding
    if not names <= own.keys():  # it has other parameters: there is nothing to compare
        return None
    reference.load_state_dict({each: own[each] for each in names}, strict=False)
    place, value = case.tools[name](case.model, reference, case.batch[0])
    says = f"with the same weights a model known to be good differs first at {place}, by {value:.2g}"
    return Reading(name, value, bool(place), says if place else "every module gives what it gives in a good model")


def _overfit(case: Case, name: str) -> Reading:
    program, batch = case.program, tuple(each[:2] for each in case.batch)
    value = case.tools[name](case.fresh, program.loss, training_of(program), batch, 60, program.lr)
    says = f"after 60 steps on the same two rows the loss is {value:.2f}"
    return _one(name, name, value, says, f"{says}: it cannot even memorize these")


def training_of(program: Program) -> Callable:
    """The program's `train` with the usual arguments; one that can be stopped is not."""
    if "until" not in inspect.signature(program.train).parameters:
        return program.train
    return lambda model, loss, batches, steps, lr: program.train(model, loss, batches, steps, lr, {}, steps)


def _update_ratios(case: Case, name: str) -> Reading:
    measure, parts, medians = case.tools[name], [], {}
    for moment in case.chart.more.get("weights", ()):
        ratios = measure(moment.before, moment.after)
        still = [matrix for matrix, ratio in ratios.items() if ratio == 0]
        median = sorted(ratios.values())[len(ratios) // 2]
        if 0 < len(still) < len(ratios):
            parts.append(("moves early", 0.0, f"{still[0]} does not move at all"))
        if moment.when == "going on":
            jump = median / medians["late"] if medians.get("late") else math.inf
            parts.append(("jump", jump, f"where the run goes on, the weights move {jump:.1f} times as far as before"))
        elif moment.when not in medians:
            medians[moment.when] = median
            much = "little" if median < LIMITS[f"moves {moment.when}"][0] else "much"
            says = f"{moment.when} in the run a step moves the weights by {median:.2%} of their size: {much}"
            parts.append((f"moves {moment.when}", median, says))
    off = max(measure(*gradients(case)).values())
    parts.append(("gradient", off, f"the gradient before clipping is not the loss's own: it is off by {_times(off)}"))
    fine = ", ".join(f"{median:.2%} {when}" for when, median in medians.items())
    return _of(name, parts, f"a step moves the weights by {fine}, and by the loss's own gradient")


def _times(off: float) -> str:
    """How far a gradient is off, as a part of its size or as a multiple of it."""
    return f"{off:.0%}" if off < 10 else f"{off:,.0f} times its size"


def gradients(case: Case, steps: int = 3) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The gradient of a step's mean loss, by autograd; and the one that training used, as it was before clipping."""
    model, program, own, norms = case.program.model(case.seed), case.program, [], []

    def spying(model_, inputs, targets):
        value = program.loss(model_, inputs, targets)
        if model_ is model:
            names, parameters = zip(*model.named_parameters(), strict=True)
            found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
            own.append({n: g for n, g in zip(names, found, strict=True) if g is not None})
        return value

    training = training_of(program)(model, spying, program.data(case.seed), program.steps, program.lr)
    for _, norm in islice(training, steps):
        norms.append(norm)
        calls, own[:] = list(own), []
    true = {name: sum(call[name] for call in calls) / len(calls) for name in calls[0]}
    used = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    total = math.sqrt(sum(g.norm().item() ** 2 for g in used.values()))
    used = {name: g * (norms[-1] / total) for name, g in used.items()}
    both = true.keys() & used.keys()
    return {name: true[name] for name in sorted(both)}, {name: used[name] for name in sorted(both)}


def _saturated(case: Case, name: str) -> Reading:
    before, after = (case.tools[name](model, case.batch[0]) for model in (case.fresh, case.model))
    growth = before["growth"] if case.program.config.norm == "pre" else 1.0  # a post-LN block ends in a LayerNorm
    fine = f"{after['dead']:.0%} of the units are dead, and the residual stream grows {growth:.1f} times"
    return _of(name, [
        ("flat", before["flat"], f"before training {before['flat']:.0%} of the activations are where GELU is flat"),
        ("dead", after["dead"], f"{after['dead']:.0%} of the units are dead"),
        ("growth", growth, f"the residual stream grows {before['growth']:.1f} times on its way up"),
    ], fine)  # fmt: skip


def _first_nonfinite(case: Case, name: str) -> Reading:
    place = case.tools[name](case.model, case.batch[0])
    return Reading(name, place, bool(place), f"{place} is the first with a value that is not finite" if place else
                   "all values inside are finite")  # fmt: skip


def _uses_input(case: Case, name: str) -> Reading:
    value = case.tools[name](case.model, case.program.loss, *case.batch)
    says = f"without its input the loss is {value:.1f} nats higher"
    looks = "it makes little of it" if value < LIMITS[name][0] else "nothing else matters"
    return _one(name, name, value, says, f"{says}: {looks}")


def _train_eval_gap(case: Case, name: str) -> Reading:
    program = case.program
    value = case.tools[name](
        case.model, lambda model: program.evaluate(model, program.loss, program.data(0, held_out=True), 2)
    )
    return _one(name, name, value, "the score is the same, whatever mode the model comes in",
                f"the score is {value:+.3f} nats off if the model comes in training mode")  # fmt: skip


def _loss_by_position(case: Case, name: str) -> Reading:
    program, batches = case.program, uneven(case.program)
    found = case.tools[name](case.model, batches)
    whole = sum(loss * count for loss, count in found if count) / sum(count for _, count in found)
    behind = [(loss, count) for loss, count in found[8:] if count]
    late = sum(loss * count for loss, count in behind) / sum(count for _, count in behind)
    case.model.eval()
    off = program.evaluate(case.model, program.loss, iter(batches), len(batches)) - whole
    return _of(name, [
        ("score", off, f"on batches of unequal lengths the score is {off:+.2f} nats off the mean over all tokens"),
        ("too good", late, f"behind the first words the loss is {late:.2f}: too good to be true"),
    ], f"the score is the mean over all tokens; behind the first words it is {late:.2f}")  # fmt: skip


def uneven(program: Program) -> list[tuple[Tensor, Tensor]]:
    """Validation batches of the program; every other one has a single row, so that batches differ in length."""
    some = list(islice(program.data(0, held_out=True), 4))
    cut = []
    for i, (inputs, targets) in enumerate(some):
        rows = slice(0, 1) if i % 2 else slice(None)
        longest = int((targets[rows] != IGNORED).any(dim=0).nonzero().max()) + 1
        cut.append((inputs[rows, :longest], targets[rows, :longest]))
    return cut


def _seeds_differ(case: Case, name: str) -> None:
    """Of a single run nothing can be said; docs/tools/clinic_table.py asks it of several seeds."""


class Readers:
    """One cache that reads a single text, `read(ids)`, for each of some texts; as `cache_gap` wants to ask it."""

    def __init__(self, cache: type, model: nn.Module):
        self.cache, self.model = cache, model

    def start(self, sequences) -> Tensor:
        self.each = [self.cache(self.model) for _ in sequences]
        return torch.stack([reader.read(list(ids)) for reader, ids in zip(self.each, sequences, strict=True)])

    def reorder(self, numbers) -> None:
        self.each = [self.each[number] for number in numbers]

    def append(self, tokens) -> Tensor:
        return torch.stack([reader.read([token]) for reader, token in zip(self.each, tokens, strict=True)])


def _cache_gap(case: Case, name: str) -> Reading:
    model = case.model
    sequences = [row[:length].tolist() for row, length in zip(case.batch[0], (12, 16, 20), strict=False)]
    cache = Readers(case.program.cache, model) if hasattr(case.program, "cache") else KVCache(model)
    value = case.tools[name](model, cache, sequences)
    return _one(name, name, value, "the cache changes no logit",
                f"with the cache logits are off by up to {value:.2g}")  # fmt: skip
