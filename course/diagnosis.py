"""What the instruments of notebook 10 say of a real run before it starts: of its model, its batches and its tokenizer.

    python -m course train --recipe storyteller --diagnose

They look at the model, and train copies of it for a few steps; neither the model nor the random numbers nor the order
of the stories change. Nothing is refused: what is found is printed, one line each, and kept in the run's folder as
diagnosis.json.
"""

import copy
import itertools
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import torch

from course.clinic import instruments
from course.runs import Prepared, make_sampler
from helpers.errors import CourseError, first_line
from helpers.evaluation import mean_loss
from helpers.files import write_json
from helpers.kv_cache import KVCache
from helpers.model import GPT, IGNORED
from helpers.train_step import TrainStep

FILE, FORMAT = "diagnosis.json", 1
ROWS, TOKENS, STEPS = 4, 128, 40  # that the instruments look at, and train copies for
MOST_BATCHES = 20  # in which the end of a story is looked for


@dataclass(frozen=True)
class Reading:
    """What one instrument says. `alarm` is None where it could not measure."""

    instrument: str
    value: float | str | None
    alarm: bool | None
    says: str

    def __str__(self) -> str:
        mark = {True: "[!]", False: "[ ]", None: "[?]"}[self.alarm]
        return f"diagnosis   {mark} {self.instrument:16} {self.says}"


@dataclass
class Case:
    """A run that is ready, and what several instruments need of it."""

    prepared: Prepared
    inputs: torch.Tensor  # a few rows, cut short, on the model's device
    targets: torch.Tensor

    @property
    def model(self) -> GPT:
        return self.prepared.model

    @property
    def trained(self) -> bool:
        """Whether the model has learned something already."""
        return self.prepared.started_from is not None

    @cached_property
    def learned(self) -> tuple[GPT, dict, dict]:
        """A copy that has learned a little, so that whatever passes through it is large; and its last two weights."""
        model, seen = copy.deepcopy(self.model), []
        batches = itertools.repeat((self.inputs.cpu(), self.targets.cpu()))
        for _ in self.train(model, GPT.loss, batches, 12, 0.0):
            seen = [*seen[-1:], {name: p.detach().clone() for name, p in model.named_parameters()}]
        return model.eval(), *seen

    def train(self, model, loss, batches, steps: int, lr: float) -> Iterator[tuple[float, float]]:
        """The run's own training step, at its highest learning rates; the loss is its own as well."""
        plain = dict(compile="off", loss="plain", accumulation=1)
        step = TrainStep(model, _Endless(batches), self.prepared.recipe.training.but(**plain))
        model.train()
        for number in range(1, steps + 1):
            stats = step.step(number, lambda number=number: min(1.0, number / 10))
            yield stats.loss, stats.grad_norm


class _Endless:
    """An iterator of batches as a sampler."""

    def __init__(self, batches: Iterator):
        self.next_batch = lambda: next(batches)


def diagnose(prepared: Prepared) -> list[Reading]:
    """The readings of all instruments that apply to a run before it starts."""
    model = prepared.model
    device = next(model.parameters()).device
    training = model.training
    with _as_it_was(device):
        inputs, targets = next(_batches(prepared))
        case = Case(prepared, inputs[:ROWS, :TOKENS].to(device), targets[:ROWS, :TOKENS].to(device))
        readings = [_asked(case, *each) for each in INSTRUMENTS]
    model.train(training)
    return [reading for reading in readings if reading is not None]


def write(folder: str | Path, readings: list[Reading]) -> Path:
    """Keep what was seen in the run's folder, whole or not at all."""
    return write_json(Path(folder) / FILE, {"format": FORMAT, "readings": [asdict(_plain(each)) for each in readings]})


def summary(readings: list[Reading]) -> str:
    """What to make of it, in a line or two."""
    alarms = [reading.instrument for reading in readings if reading.alarm]
    if not alarms:
        return f"diagnosis   {len(readings)} instruments, no alarm"
    return (
        f"diagnosis   ALARM: {', '.join(alarms)}. The run starts all the same; Ctrl-C stops it. Notebook 10 says what "
        "each instrument sees"
    )


def _plain(reading: Reading) -> Reading:
    finite = not isinstance(reading.value, float) or math.isfinite(reading.value)
    return reading if finite else Reading(reading.instrument, str(reading.value), reading.alarm, reading.says)


@contextmanager
def _as_it_was(device: torch.device):
    """Random numbers go on afterwards as if nothing had been drawn inside."""
    state = random.getstate()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
    random.setstate(state)


def _batches(prepared: Prepared) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The run's batches, from a sampler of its own: the run's stands where it stood."""
    sampler = make_sampler(prepared.tokens, prepared.recipe.training, prepared.model.config.context_length)
    while True:
        yield sampler.next_batch()


def _asked(case: Case, instrument: str, ask: Callable) -> Reading | None:
    """What an instrument says; an error of its own, such as too little memory, is said and stops nothing."""
    try:
        found = ask(case)
    except (RuntimeError, CourseError, ValueError) as error:
        said = first_line(error)
        return Reading(instrument, None, None, f"could not be measured: {said:.100}")
    return found and Reading(instrument, *found)


# ---------------------------------------------------------------------- one instrument each: value, alarm, what it says


def _first_loss(case: Case):
    value = instruments.first_loss(case.model, GPT.loss, case.inputs, case.targets)
    says = f"the first loss is {abs(value):.2f} nats {'above' if value > 0 else 'below'} ln V"
    if case.trained:
        alarm = not value < 0
        return value, alarm, f"{says}, of a model that has been trained" + (": it knows nothing of it" if alarm else "")
    alarm = not abs(value) < 0.5
    return value, alarm, says + (": an untrained model should know nothing, and nothing wrong" if alarm else "")


def _what_enters(case: Case):
    end, tokenizer = case.prepared.tokenizer.eos_token_id, case.prepared.tokenizer
    found = instruments.what_enters(
        case.inputs, instruments.asked(case.model, GPT.loss, case.inputs, case.targets), end
    )
    read, said = tokenizer.decode(case.inputs[0, :12].tolist()), []
    if not found["next"] > 0.99:
        said.append(f"only {found['next']:.0%} of the targets are the next input")
    if found["padding"] > 0.001:
        said.append(f"{found['padding']:.0%} of what is scored is padding")
    if found["distinct"] < 1:
        said.append(f"{1 - found['distinct']:.0%} of the rows repeat")
    if not any((targets == end).any() for _, targets in itertools.islice(_batches(case.prepared), MOST_BATCHES)):
        said.append(f"in {MOST_BATCHES} batches no story ends: all are longer than the context of "
                    f"{case.model.config.context_length} tokens?")  # fmt: skip
    says = "; ".join(said) or f"each target is the next input; the first row reads {read!r:.70}"
    return found["next"], bool(said), says


def _tokenizer(case: Case):
    """The ids, decoded, are as long as the stories were: with another tokenizer they are other words."""
    tokens, tokenizer = case.prepared.tokens, case.prepared.tokenizer
    some = [tokens.story(i).tolist()[:-1] for i in range(min(len(tokens), 200))]
    length = sum(len(tokenizer.decode(ids).encode("utf-8")) for ids in some) / sum(len(ids) + 1 for ids in some)
    off = length / (tokens.text_bytes / tokens.tokens) - 1
    alarm = not abs(off) < (0.3 if len(some) < len(tokens) else 0.01)  # the first stories may be shorter or longer
    says = f"decoded, the ids of {len(some)} stories are {length:.2f} bytes each"
    return off, alarm, says + (f", {abs(off):.0%} off what was read: do tokenizer and tokens agree?" if alarm else "")


def _future_leak(case: Case):
    value = instruments.future_leak(case.learned[0], case.inputs)
    alarm = not value < 1e-4
    return value, alarm, f"another token changes logits before it, by {value:.2g}" if alarm else (
        "no logit depends on a later token")  # fmt: skip


def _row_leak(case: Case):
    value = instruments.row_leak(case.learned[0], case.inputs) if len(case.inputs) > 1 else 0.0
    alarm = not value < 1e-5
    return value, alarm, f"{value:.1%} of a row's gradient goes to others" if alarm else "no row depends on another"


def _first_difference(case: Case):
    if type(case.model) is GPT:  # with what should it be compared?
        return None
    reference = GPT(case.model.config).to(case.inputs.device).eval()
    reference.load_state_dict(case.model.state_dict())
    place, value = instruments.first_difference(case.model, reference, case.inputs)
    return value, bool(place), f"the course's model differs first at {place}" if place else "as the course's own model"


def _overfit(case: Case):
    rows = slice(0, 2)
    batch = case.inputs[rows].cpu(), case.targets[rows].cpu()
    before = GPT.loss(case.model, case.inputs[rows], case.targets[rows]).item()
    value = instruments.overfit(case.model, GPT.loss, case.train, batch, STEPS)
    alarm = not value < 0.9 * before
    says = f"{STEPS} steps on the same two rows take the loss from {before:.2f} to {value:.2f}"
    return value, alarm, says + (": they should be learned by heart" if alarm else "")


def _update_ratios(case: Case):
    ratios = instruments.update_ratios(*case.learned[1:])
    name, median = min(ratios, key=ratios.get), sorted(ratios.values())[len(ratios) // 2]
    if not ratios[name] > 0:
        return 0.0, True, f"{name} does not move"
    alarm = not 1e-4 < median < 0.3
    says = f"at the highest learning rate a step moves the weights by {median:.2%} of their size"
    return median, alarm, says + (": little" if alarm and median < 0.1 else ": much" if alarm else "")


def _saturated(case: Case):
    found = instruments.saturated(case.model, case.inputs)
    alarm = not (found["dead"] < 0.1 and (case.trained or found["flat"] < 0.05))
    if case.model.config.norm == "pre" and not case.trained:  # a post-LN block ends in a LayerNorm
        alarm = alarm or not found["growth"] < 5
    says = f"{found['dead']:.0%} of the units are dead, {found['flat']:.0%} of the activations flat"
    return found["dead"], alarm, f"{says}, and the residual stream grows {found['growth']:.1f} times"


def _first_nonfinite(case: Case):
    half = TrainStep(case.model, None, case.prepared.recipe.training.but(compile="off", loss="plain")).half
    with torch.autocast(case.inputs.device.type, half, enabled=half is not None):
        place = instruments.first_nonfinite(case.model, case.inputs)
    return place, bool(place), f"{place} is not finite" if place else "all values inside are finite"


def _uses_input(case: Case):
    if not case.trained:  # it cannot do so yet
        return None
    value = instruments.uses_input(case.model, GPT.loss, case.inputs, case.targets)
    return value, not value > 0.5, f"without its input the loss is {value:.2f} nats higher"


def _train_eval_gap(case: Case):
    rows = [row[:TOKENS] for row in case.prepared.validation[:2]]
    if not rows:
        return None
    value = instruments.train_eval_gap(case.model, lambda model: mean_loss(model, rows))
    alarm = not abs(value) < 1e-4
    return value, alarm, f"the validation loss depends on the mode, by {value:+.3f}" if alarm else (
        "the validation loss does not depend on the mode that the model comes in")  # fmt: skip


def _loss_by_position(case: Case):
    """The validation loss is the mean over all tokens of all stories, position by position."""
    rows = [list(row[: min(TOKENS, case.model.config.context_length)]) for row in case.prepared.validation[:4]]
    if not rows:
        return None
    device, longest = case.inputs.device, max(map(len, rows)) - 1
    inputs = torch.zeros(len(rows), longest, dtype=torch.long, device=device)
    targets = torch.full_like(inputs, IGNORED)
    for i, row in enumerate(rows):
        ids = torch.tensor(row, device=device)
        inputs[i, : len(row) - 1], targets[i, : len(row) - 1] = ids[:-1], ids[1:]
    found = instruments.loss_by_position(case.model, [(inputs, targets)])
    whole = sum(loss * count for loss, count in found if count) / sum(count for _, count in found)
    off = mean_loss(case.model, rows) - whole
    alarm = not abs(off) < 1e-2
    return off, alarm, f"the validation loss is {off:+.3f} nats off the mean over all tokens" if alarm else (
        "the validation loss is the mean over all tokens")  # fmt: skip


def _cache_gap(case: Case):
    most = min(24, case.model.config.context_length)
    sequences = [
        case.inputs[i, :length].tolist() for i, length in zip(range(len(case.inputs)), (most, most - 3), strict=False)
    ]
    model = case.learned[0]
    value = instruments.cache_gap(model, KVCache(model), sequences)
    alarm = not value < 1e-2
    return value, alarm, f"with the cache logits are off by {value:.2g}" if alarm else "the cache changes no logit"


INSTRUMENTS = (
    ("first_loss", _first_loss), ("what_enters", _what_enters), ("tokenizer", _tokenizer),
    ("future_leak", _future_leak), ("row_leak", _row_leak), ("first_difference", _first_difference),
    ("overfit", _overfit), ("update_ratios", _update_ratios), ("saturated", _saturated),
    ("first_nonfinite", _first_nonfinite), ("uses_input", _uses_input), ("train_eval_gap", _train_eval_gap),
    ("loss_by_position", _loss_by_position), ("cache_gap", _cache_gap),
)  # fmt: skip
