"""The training loop: batches in, a better model out, and nothing lost on the way.

A run's length is counted in steps or in seconds, and its learning rates follow the share of it that has passed.
Its folder holds the model, `log.jsonl` and a state from which it can go on: stopped after any step and resumed,
it ends with the same weights, bit for bit on a processor, as if it had never stopped.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from helpers import checkpoints
from helpers.errors import CourseError
from helpers.evaluation import score_rows
from helpers.generation import PROMPT, tell
from helpers.optimizers import build_optimizer, set_learning_rates
from helpers.progress import append_to_log, bar_of, read_log, start_log, stop_on_interrupt
from helpers.settings import TrainingSettings, schedule

HALF = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class TrainingResult:
    """What a run came to. `stopped` is "finished", "interrupted" or "callback"; `history` are the log's rows."""

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
        sampler: has `next_batch()` -> (ids, targets), `state_dict()` and `load_state_dict()`.
        settings: with `steps` or `seconds` set; `epochs` needs a sampler with a property `epochs`.
        tokenizer: for the samples and the saved folder.
        validation: rows `[end] + story + [end]` that are scored every `eval_every` steps.
        folder: where model, log and state are written; None writes nothing.
        callback: called with every row of the log, for drawing live; a true answer ends the run.
        progress: show a bar with the loss.
        about: anything JSON can hold; kept in the state and in config.json.
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
    ):
        if settings.steps is None and settings.seconds is None and settings.epochs is None:
            raise CourseError("a run needs a length: set steps, epochs or seconds")
        if folder is not None and tokenizer is None:
            raise CourseError("a run that is saved needs its tokenizer")
        self.model, self.sampler, self.settings, self.tokenizer = model, sampler, settings, tokenizer
        self.validation, self.callback, self.about = list(validation), callback, about or {}
        self.folder, self.progress = None if folder is None else Path(folder), progress
        self.device = model.head_weight.device
        self.optimizers = build_optimizer(model, settings)
        half = HALF[settings.precision]
        if half is not None and self.device.type == "cpu":
            raise CourseError(f"precision={settings.precision} needs a GPU; on a processor use float32")
        self.autocast = lambda: torch.autocast(self.device.type, half) if half else nullcontext()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "float16")
        self.step, self.tokens, self.seconds, self.val_loss = 0, 0, 0.0, None
        self.recent: list[float] = []  # losses since the last row of the log
        self.history: list[dict] = []
        self._step_seconds = 0.01

    # ------------------------------------------------------------------ the loop

    def run(self) -> TrainingResult:
        """Train to the end, to an interrupt (Ctrl-C: the step is finished and all is saved) or to the callback.

        Raises:
            CourseError: the loss is no longer a number. What was saved before is left as it was.
        """
        self.model.train()
        if self.folder is not None:
            start_log(self.folder, self.history)
        stopped = "finished"
        started = time.perf_counter() - self.seconds
        rate_from = self.tokens, time.perf_counter()
        every = self.settings.log_every, self.settings.eval_every, self.settings.sample_every
        with stop_on_interrupt() as interrupted, bar_of(self.settings, self.step, self.progress) as bar:
            last = self._done()
            while not last:
                loss, grad_norm = self._one_step()
                now = time.perf_counter()
                self._step_seconds = max(now - started - self.seconds, 1e-6)
                self.seconds = now - started
                last, stop = self._done(), False
                if last or any(self._every(steps) for steps in every):
                    rate = (self.tokens - rate_from[0]) / (now - rate_from[1] + 1e-9)
                    stop = self._log(grad_norm, rate, last)
                    rate_from = self.tokens, time.perf_counter()
                    self.seconds = rate_from[1] - started
                self._show(bar, loss)
                if not last and (stop or interrupted.is_set()):
                    stopped = "callback" if stop else "interrupted"
                    break
                if self._every(self.settings.checkpoint_every) and not last:
                    self.save()
        self.save()
        self.model.eval()
        loss = self.history[-1]["loss"] if self.history else math.nan
        return TrainingResult(
            self.step, self.tokens, self.seconds, loss, self.val_loss, stopped, self.history
        )

    def _one_step(self) -> tuple[float, float]:
        """Gradients of `accumulation` batches, one update. Each token weighs the same, in whatever batch it is."""
        batches = [self.sampler.next_batch() for _ in range(self.settings.accumulation)]
        counts = [int((targets != -100).sum()) for _, targets in batches]
        total, loss = sum(counts), 0.0
        for (ids, targets), count in zip(batches, counts, strict=True):
            with self.autocast():
                part = self.model.loss(ids.to(self.device), targets.to(self.device)) * (count / total)
            self.scaler.scale(part).backward()
            loss += part.item()
        if not math.isfinite(loss):
            raise CourseError(
                f"the loss became {loss} at step {self.step + 1}: try a lower learning rate, a longer warm-up or "
                "stronger clipping, and look at log.jsonl for where it began to rise"
            )
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        limit = self.settings.clip or math.inf
        grad_norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        set_learning_rates(self.optimizers, schedule(self._progress(), self.settings))
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
            optimizer.zero_grad(set_to_none=True)
        self.scaler.update()
        self.step += 1
        self.tokens += total
        self.recent.append(loss)
        return loss, grad_norm

    def _progress(self) -> float:
        """The share of the run that has passed, the coming step included: never 0, and 1 only after the end."""
        shares = []
        if self.settings.steps:
            shares.append((self.step + 1) / (self.settings.steps + 1))
        if self.settings.seconds:
            shares.append((self.seconds + self._step_seconds) / (self.settings.seconds + self._step_seconds))
        if self.settings.epochs:
            shares.append(min(self.sampler.epochs / self.settings.epochs, 1.0))
        return max(shares)

    def _done(self) -> bool:
        settings = self.settings
        return bool(
            (settings.steps and self.step >= settings.steps)
            or (settings.seconds and self.seconds >= settings.seconds)
            or (settings.epochs and self.sampler.epochs >= settings.epochs)
        )

    def _every(self, steps: int) -> bool:
        return steps > 0 and self.step % steps == 0

    # ------------------------------------------------------------------ what is told

    def _log(self, grad_norm: float, rate: float, last: bool) -> bool:
        """Keep a row of the run's course; a true answer means that the callback wants to stop."""
        settings = self.settings
        row = {
            "step": self.step,
            "tokens": self.tokens,
            "loss": sum(self.recent) / len(self.recent),
            "lr": self.optimizers[0].param_groups[0]["lr"],
            "grad_norm": grad_norm,
            "tokens_per_second": rate,
            "seconds": round(self.seconds, 3),
        }
        self.recent = []
        if self.validation and (last or self._every(settings.eval_every)):
            row["val_loss"] = self.val_loss = mean_loss(self.model, self.validation)
        if self.tokenizer is not None and self._every(settings.sample_every):
            tokens = min(self.model.config.context_length, 100)
            row["sample"] = tell(self.model, self.tokenizer, PROMPT, tokens, temperature=0.8, seed=settings.seed)
        self.history.append(row)
        if self.folder is not None:
            append_to_log(self.folder, row)
        return bool(self.callback and self.callback(row))

    def _show(self, bar, loss: float) -> None:
        if not self.progress:
            return
        at = self.step if self.settings.steps else self.seconds if self.settings.seconds else self.sampler.epochs
        told = {"loss": f"{loss:.3f}"} | ({} if self.val_loss is None else {"val": f"{self.val_loss:.3f}"})
        bar.set_postfix(told, refresh=False)
        bar.update(min(at, bar.total) - bar.n)
        row = self.history[-1] if self.history else {}
        if row.get("step") == self.step and "sample" in row:
            bar.write(f"\nstep {self.step}: {row['sample']}\n")

    # ------------------------------------------------------------------ stopping and going on

    def save(self) -> None:
        """Write the model and, until the run is done, the state from which it goes on."""
        if self.folder is None:
            return
        extra = {
            "steps": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "val_loss": self.val_loss,
            "settings": asdict(self.settings),
            **self.about,
        }
        checkpoints.save_model(self.folder, self.model, self.tokenizer, extra)
        if self._done():
            (self.folder / checkpoints.STATE).unlink(missing_ok=True)
        else:
            checkpoints.save_training_state(self.folder, self.state())

    def state(self) -> dict:
        """Everything that decides what comes next."""
        return {
            "settings": asdict(self.settings),
            "about": self.about,
            "config": asdict(self.model.config),
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "val_loss": self.val_loss,
            "recent": self.recent,
            "model": dict(self.model.named_parameters()),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "sampler": self.sampler.state_dict(),
            "random": checkpoints.random_state(),
        }

    def resume(self) -> "Training":
        """Go on from the state in the folder: call before `run`.

        Raises:
            CourseError: there is none, it is damaged, or it belongs to another model, other stories or settings.
        """
        state = checkpoints.load_training_state(self.folder)
        if state["config"] != asdict(self.model.config):
            raise CourseError(f"the run in {self.folder} trains a model of another shape")
        ours, theirs = asdict(self.settings), state["settings"]
        if changed := [key for key in ours if ours[key] != theirs.get(key)]:
            raise CourseError(f"the run in {self.folder} has another {changed[0]}: {theirs.get(changed[0])!r}")
        checkpoints.put_weights(self.model, state["model"], self.folder / checkpoints.STATE)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.scaler.load_state_dict(state["scaler"])
        self.sampler.load_state_dict(state["sampler"])
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
        self.val_loss, self.recent = state["val_loss"], state["recent"]
        self.history = [row for row in read_log(self.folder) if row["step"] <= self.step]
        checkpoints.set_random_state(state["random"])
        return self


def mean_loss(model, rows: Sequence[Sequence[int]]) -> float:
    """Nats per token over rows `[end] + story + [end]`."""
    scores = score_rows(model, rows)
    total = sum(float(each.log_probs.sum(dtype="float64")) for each in scores)
    return -total / sum(len(each.log_probs) for each in scores)


def train(model, sampler, settings: TrainingSettings, **options) -> TrainingResult:
    """Train a model; the options are those of `Training`."""
    return Training(model, sampler, settings, **options).run()


