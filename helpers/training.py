"""One step of training: the gradients of some batches, and one move of the weights.

The training loop: batches in, a better model out, and nothing lost on the way.

A run's length is counted in steps, epochs or seconds, and its learning rates follow the share of it that has passed.
Its folder holds the model, the best model so far, `log.jsonl`, a picture of the curves and the newest states from
which it can go on: stopped after any step and resumed, it ends with the same weights, bit for bit on a processor, as
if it had never stopped. Under `torchrun` the same loop runs on several devices (`helpers.distributed`).
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from helpers import checkpoint
from helpers.distributed import ALONE, Processes
from helpers.errors import CourseError
from helpers.evaluation import loss_and_accuracy
from helpers.generation import PROMPT, generate_text
from helpers.optimizers import build_optimizer, set_learning_rates
from helpers.run_log import (
    append_to_log,
    bar_of,
    peak_memory,
    read_log,
    show_step,
    start_log,
    stop_on_interrupt,
    write_report,
    writing_to,
)
from helpers.settings import TrainingSettings, is_over, schedule, share_passed

HALF = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
PATIENCE = 30  # skipped steps in a row: float16's scale begins at 65,536, and halved that often nothing is left of it


class StepStats(NamedTuple):
    """What a step showed: nats per token, the gradient's norm before clipping, tokens scored, and whether it was left
    out because float16 had overflowed.
    """

    loss: float
    grad_norm: float
    tokens: int
    skipped: bool


class TrainStep:
    """Moves a model's weights, batch by batch.

    Args:
        model: trained in place, on the device where it is.
        sampler: has `next_batch()` -> (ids, targets), each (rows, time), the rows of all processes together;
            `StopIteration` says that the data have ended.
        settings: optimizer, accumulation, clipping and precision.
        processes: which of several this is.
    """

    def __init__(self, model, sampler, settings: TrainingSettings, processes: Processes = ALONE):
        self.model, self.sampler, self.settings, self.processes = model, sampler, settings, processes
        self.device = next(model.parameters()).device
        half = HALF[settings.precision]
        if half is not None and self.device.type == "cpu":
            raise CourseError(f"precision={settings.precision} needs a GPU; on a processor use float32")
        self.network = processes.network(model)
        self.optimizers = build_optimizer(model, settings)
        self.autocast = lambda: torch.autocast(self.device.type, half) if half else nullcontext()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "float16")
        self.skipped = self.skipped_in_all = 0  # steps that float16 left out: in a row up to now, and since the start
        self.data_ended = False

    def step(self, number: int, rate: Callable[[], float]) -> StepStats | None:
        """Gradients of `accumulation` batches, one update. Each token weighs the same, in whatever batch it is.

        Args:
            number: of this step, for messages.
            rate: asked, after the batches were drawn, for the learning rate as a share of the highest.

        Returns:
            None if the data had ended before the first batch.

        Raises:
            CourseError: loss or gradient is not a number, and the weights are as they were; under float16, where that
                happens while the scale is sought, only after many steps in a row.
        """
        stood = self._place()
        batches = self._batches()
        if not batches:
            return None
        total = sum(int((targets != -100).sum()) for _, targets in batches)
        parts = torch.stack([self._gradients(*batch, total, last=batch is batches[-1]) for batch in batches]).tolist()
        (loss,) = self.processes.total(sum(parts) / self.processes.count)
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        limit = self.settings.clip or math.inf
        grad_norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        set_learning_rates(self.optimizers, rate())
        fine = math.isfinite(loss) and math.isfinite(grad_norm)
        if fine:
            self.skipped = 0
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
        else:  # no optimizer may step: a momentum would keep what is not a number
            self._skip(f"{self._what(loss, grad_norm)} at step {number}{_which(parts)}{stood}")
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.scaler.update()  # under float16, lowers the scale where a gradient overflowed
        return StepStats(loss, grad_norm, total, not fine)

    def _batches(self) -> list:
        batches = []
        try:
            for _ in range(self.settings.accumulation):
                batches.append(self.sampler.next_batch())
        except StopIteration:
            self.data_ended = True
        return batches

    def _gradients(self, ids, targets, total: int, last: bool) -> torch.Tensor:
        """Add the gradients of this process's rows; returns their loss, weighted by their share of all tokens."""
        ids, targets = self.processes.share(ids), self.processes.share(targets)
        # DistributedDataParallel takes the mean over the processes, where the sum is wanted.
        weight = int((targets != -100).sum()) / total * self.processes.count
        with self.processes.exchange(self.network, now=last):
            with self.autocast():
                loss = self.network(ids.to(self.device), targets.to(self.device))[1] * weight
            self.scaler.scale(loss).backward()
        return loss.detach()

    def _skip(self, said: str) -> None:
        self.skipped += 1
        self.skipped_in_all += 1
        if not self.scaler.is_enabled():
            raise CourseError(
                f"{said}: try a lower learning rate, a longer warm-up or stronger clipping, and look at log.jsonl for "
                "where it began to rise; the weights and what was saved are as they were before"
            )
        if self.skipped > PATIENCE:
            raise CourseError(f"{said}, after {PATIENCE} steps in a row that float16 left out: use float32 or bfloat16")

    @staticmethod
    def _what(loss: float, grad_norm: float) -> str:
        return f"the loss became {loss}" if not math.isfinite(loss) else f"the gradient's norm became {grad_norm}"

    def _place(self) -> str:
        """Where the sampler stands, for a person who looks for the batch that did it."""
        state = self.sampler.state_dict() if hasattr(self.sampler, "state_dict") else {}
        place = [f"{name} {state[name]}" for name in ("epoch", "position", "step") if name in state]
        return f" (the sampler stood at {', '.join(place)})" if place else ""

    # ------------------------------------------------------------------ stopping and going on

    def state_dict(self) -> dict:
        """What decides the coming steps, apart from the weights and the random numbers."""
        return {
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "skipped": [self.skipped, self.skipped_in_all],
            "sampler": self.sampler.state_dict(),
        }

    def load_state_dict(self, state: dict, run: str = "the run") -> None:
        """Go on where `state_dict` was taken.

        Raises:
            CourseError: it belongs to other stories or another sampler; `run` is named in the message.
        """
        ours, theirs = self.sampler.state_dict(), state["sampler"]
        if ours.get("stories") != theirs.get("stories"):
            raise CourseError(
                f"{run} was trained on other stories or with another tokenizer (fingerprint {theirs.get('stories')}, "
                f"here {ours.get('stories')}): put back what it had, or start a new run"
            )
        self.sampler.load_state_dict(theirs)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.scaler.load_state_dict(state["scaler"])
        self.skipped, self.skipped_in_all = state["skipped"]


def _which(parts: list[float]) -> str:
    bad = next((i for i, part in enumerate(parts) if not math.isfinite(part)), None)
    return f", batch {bad + 1} of {len(parts)}" if bad is not None and len(parts) > 1 else ""


BEST = "best"  # the folder, inside a run's, of the model with the lowest validation loss


@dataclass
class TrainingResult:
    """What a run came to. `history` are the log's rows; `stopped` is "finished", "interrupted", "callback" or
    "data ended".
    """

    steps: int
    tokens: int
    seconds: float
    loss: float
    val_loss: float | None
    stopped: str
    history: list[dict] = field(default_factory=list)


class Training:
    """One run.

    Args:
        model: trained in place, on the device where it is.
        sampler: has `next_batch()` -> (ids, targets), `state_dict()` and `load_state_dict()`. With several
            processes it gives the batch of all. `StopIteration` ends the run.
        settings: with `steps` or `seconds` set; `epochs` needs a sampler with a property `epochs`.
        tokenizer: for the samples and the saved folder.
        validation: rows `[end] + story + [end]` that are scored every `eval_every` steps.
        folder: where model, log and states are written; None writes nothing.
        callback: called with every row of the log, for drawing live or to add what it measures to the row, as JSON
            can hold it; a true answer ends the run.
        progress: show a bar with the loss.
        about: anything JSON can hold; kept in the state and in config.json.
        processes: which of several this is, from `helpers.distributed.processes`.
        keep: so many of the newest states stay on the disk.
    """

    def __init__(
        self,
        model,
        sampler,
        settings: TrainingSettings,
        *,
        tokenizer=None,
        validation: Sequence[Sequence[int]] = (),
        folder: str | Path | None = None,
        callback: Callable[[dict], bool | None] | None = None,
        progress: bool = True,
        about: dict | None = None,
        processes: Processes = ALONE,
        keep: int = checkpoint.KEEP,
    ):
        if settings.steps is None and settings.seconds is None and settings.epochs is None:
            raise CourseError("a run needs a length: set steps, epochs or seconds")
        if folder is not None and tokenizer is None:
            raise CourseError("a run that is saved needs its tokenizer")
        self.model, self.sampler, self.settings, self.tokenizer = model, sampler, settings, tokenizer
        self.validation, self.callback, self.about = list(validation), callback, about or {}
        self.folder, self.progress = None if folder is None else Path(folder), progress and processes.first
        self.processes, self.keep = processes, keep
        self.device = next(model.parameters()).device
        self.stepper = TrainStep(model, sampler, settings, processes)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.val_loss: float | None = None
        self.best_loss = math.inf  # the lowest validation loss so far
        self.recent: list[float] = []  # losses since the last row of the log
        self.history: list[dict] = []
        self.told: list[str] = []  # what `resume` found worth telling
        self._step_seconds = 0.01

    # ------------------------------------------------------------------ the loop

    def run(self) -> TrainingResult:
        """Train to the end, to an interrupt (Ctrl-C: the step is finished and all is saved) or to the callback.

        Raises:
            CourseError: the loss or the gradient is no longer a number, or the folder cannot be written. What was
                saved before is left as it was.
        """
        self.model.train()
        if self.step == 0:
            if not self.processes.first:  # each process drops out values of its own
                torch.manual_seed(self.settings.seed + self.processes.rank)
            self.save()  # from the first moment on there is something to go on from; and a full disk is known now
        if self._writes:
            start_log(self.folder, self.history)
        stopped = "finished"
        started = time.perf_counter() - self.seconds
        rate_from = self.tokens, time.perf_counter()
        every = self.settings.log_every, self.settings.eval_every, self.settings.sample_every
        several = self.processes.count > 1
        with stop_on_interrupt(several) as interrupted, bar_of(self.settings, self.step, self.progress) as bar:
            last = self._done()
            while not last:
                epoch = int(self._epochs())
                measured = self.stepper.step(self.step + 1, lambda: schedule(self._progress(), self.settings))
                before, self.seconds = self.seconds, self._clock(started)
                self._step_seconds = max(self.seconds - before, 1e-6)
                if measured is not None:
                    self.step, self.tokens = self.step + 1, self.tokens + measured.tokens
                    if not measured.skipped and self.processes.first:
                        self.recent.append(measured.loss)
                last, stop = self._done(), False
                new_epoch = int(self._epochs()) > epoch
                if measured is not None and (last or new_epoch or any(map(self._every, every))):
                    now = time.perf_counter()
                    rate = (self.tokens - rate_from[0]) / (now - rate_from[1] + 1e-9)
                    stop = self.processes.first and self._log(measured, rate, last, new_epoch)
                    rate_from = self.tokens, time.perf_counter()
                    self.seconds = self._clock(started)
                if measured is not None and self.progress:
                    self._show(bar, measured.loss)
                stop, interrupt = self.processes.total(float(stop), float(interrupted.is_set()))
                if not last and (stop or interrupt):
                    stopped = "callback" if stop else "interrupted"
                    break
                if not last and (new_epoch or self._every(self.settings.checkpoint_every)):
                    self.save()
            if self.stepper.data_ended:
                stopped = "data ended"
            self.save()
        self.model.eval()
        loss = next((row["loss"] for row in reversed(self.history) if row["loss"] is not None), math.nan)
        return TrainingResult(self.step, self.tokens, self.seconds, loss, self.val_loss, stopped, self.history)

    def _clock(self, started: float) -> float:
        """Seconds since the start, the same in all processes."""
        now = time.perf_counter() - started
        return self.processes.total(now if self.processes.first else 0.0)[0]

    def _epochs(self) -> float:
        """How many epochs have passed, in a run that is counted in epochs."""
        return self.sampler.epochs if self.settings.epochs else 0.0

    def _progress(self) -> float:
        seconds = self.seconds + self._step_seconds, self._step_seconds
        return share_passed(self.settings, self.step + 1, *seconds, self._epochs())

    def _done(self) -> bool:
        return self.stepper.data_ended or is_over(self.settings, self.step, self.seconds, self._epochs())

    def _every(self, steps: int) -> bool:
        return steps > 0 and self.step % steps == 0

    # ------------------------------------------------------------------ what is told

    def _log(self, measured: StepStats, rate: float, last: bool, new_epoch: bool) -> bool:
        """Keep a row of the run's course; a true answer means that the callback wants to stop."""
        settings, whole = self.settings, last or new_epoch
        row = {
            "step": self.step,
            "tokens": self.tokens,
            "loss": sum(self.recent) / len(self.recent) if self.recent else None,
            "lr": self.stepper.optimizers[0].param_groups[0]["lr"],
            "grad_norm": measured.grad_norm,
            "tokens_per_second": rate,
            "seconds": round(self.seconds, 3),
            "memory_gb": peak_memory(self.device),
        }
        if settings.precision == "float16":
            row |= {"loss_scale": self.stepper.scaler.get_scale(), "skipped": self.stepper.skipped_in_all}
        self.recent = []
        if self.validation and (whole or self._every(settings.eval_every)):
            self.val_loss, row["val_accuracy"] = loss_and_accuracy(self.model, self.validation)
            row["val_loss"] = self.val_loss
            if self.val_loss < self.best_loss:
                self.best_loss = self.val_loss
                if self._writes:
                    with writing_to(self.folder):
                        self._save_model(self.folder / BEST)
        if self.tokenizer is not None and (new_epoch or self._every(settings.sample_every)):
            tokens = min(self.model.config.context_length, 100)
            row["sample"] = generate_text(self.model, self.tokenizer, PROMPT, tokens, temperature=0.8, seed=settings.seed)
        self.history.append(row)
        stop = bool(self.callback and self.callback(row))
        if self._writes:
            with writing_to(self.folder):
                append_to_log(self.folder, row)
        return stop

    def _show(self, bar, loss: float) -> None:
        at = self.step if self.settings.steps else self.seconds if self.settings.seconds else self._epochs()
        row = self.history[-1] if self.history else {}
        show_step(bar, at, loss, self.val_loss, row if row.get("step") == self.step else {})

    # ------------------------------------------------------------------ stopping and going on

    @property
    def _writes(self) -> bool:
        return self.folder is not None and self.processes.first

    def save(self) -> None:
        """Write the state from which the run goes on, the model and the report; when it is done, no state any more."""
        if self.folder is None:
            return
        done, state = self._done(), self.state()  # which all processes give a part of
        if not self._writes:
            return
        with writing_to(self.folder):
            if not done:
                checkpoint.save_state(self.folder, state, self.keep)
            self._save_model(self.folder)
            write_report(self.folder, self.history)
            if done:
                checkpoint.remove_states(self.folder)

    def _save_model(self, folder: Path) -> None:
        extra = {
            "steps": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "val_loss": self.val_loss,
            "settings": asdict(self.settings),
            **self.about,
        }
        checkpoint.save_model(folder, self.model, self.tokenizer, extra)

    def state(self) -> dict:
        """Everything that decides what comes next."""
        return {
            "settings": asdict(self.settings),
            "about": self.about,
            "config": asdict(self.model.config),
            "processes": self.processes.count,
            "started_in": str(Path.cwd()),
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "val_loss": self.val_loss,
            "best_loss": self.best_loss,
            "recent": self.recent,
            "stepper": self.stepper.state_dict(),
            "model": dict(self.model.named_parameters()),
            "random": checkpoint.random_state(),
            "random_of_all": self.processes.of_all(checkpoint.torch_random_state(self.device)),
        }

    def resume(self) -> "Training":
        """Go on from the newest whole state in the folder: call before `run`. `told` then says what was found.

        Raises:
            CourseError: there is none, or it belongs to another model, other stories, settings or processes.
        """
        state, self.told = checkpoint.load_state(self.folder)
        there = f"the run in {self.folder}"
        checkpoint.refuse_another(state, there, asdict(self.model.config), asdict(self.settings), self.processes.count)
        checkpoint.put_weights(self.model, state["model"], there)
        self.stepper.load_state_dict(state["stepper"], there)
        for name in ("step", "tokens", "seconds", "val_loss", "best_loss", "recent"):
            setattr(self, name, state[name])
        self.history = [row for row in read_log(self.folder) if row["step"] <= self.step]
        checkpoint.set_random_state(state["random"])
        if not self.processes.first:
            checkpoint.set_torch_random_state(state["random_of_all"][self.processes.rank], self.device)
        return self


def train(model, sampler, settings: TrainingSettings, **options) -> TrainingResult:
    """Train a model; the options are those of `Training`."""
    return Training(model, sampler, settings, **options).run()
