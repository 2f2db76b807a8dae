"""Built in notebook 07: the training loop: a run that can be stopped and resumed exactly.

A run's length is counted in steps, epochs or seconds, and its learning rates follow the fraction of it that has passed.
Its folder holds the model, the best model so far, `log.jsonl`, samples and the newest checkpoints: stopped after any
step and resumed, it ends with the same weights, bit for bit on a CPU, as if it had never stopped. What several
processes need is a layer around this: `course.distributed`.

Used by `course.runs`, by the command line (`python -m course train`), and in notebooks 07 and 08.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field
from pathlib import Path
from typing import Any

from helpers import checkpoint
from helpers.errors import CourseError
from helpers.evaluation import loss_and_accuracy
from helpers.generation import PROMPT, generate_text
from helpers.model import GPT
from helpers.run_log import RunLog, owning, progress_bar, show_step, stop_on_interrupt, writing_to
from helpers.settings import TrainingSettings, schedule
from helpers.train_step import StepStats, TrainStep, unpadded

BEST = "best"  # the folder, inside a run's, of the model with the lowest validation loss
COUNTED = ("step", "tokens", "seconds", "val_loss", "best_loss")  # what a `Trainer` counts


@dataclass
class TrainingResult:
    """What a run came to."""

    steps: int
    tokens: int
    seconds: float
    loss: float  # mean over the steps of the log's last rows
    val_loss: float | None
    stopped: str  # "finished", "interrupted", "callback" or "data ended"
    history: list[dict]  # the log's rows


@dataclass(eq=False)
class Trainer:
    """One run: `run()` trains, and `resume()` before it goes on from the folder's newest checkpoint."""

    model: GPT  # trained in place, on the device where it is
    sampler: Any  # as for `TrainStep`; to be saved and resumed it needs `state_dict()` and `load_state_dict()`
    settings: TrainingSettings  # with a length; `epochs` needs a sampler with a property `epochs`
    _: KW_ONLY
    tokenizer: Any = None  # for the samples and the saved folder
    validation: Sequence[Sequence[int]] = ()  # sequences `[end] + story + [end]`, scored every `eval_every` steps
    folder: str | Path | None = None  # where model, log and checkpoints are written; None writes nothing
    callback: Callable[[dict], bool | None] | None = None  # gets every row of the log, may add to it; true: stop
    report: Callable[[Path, Sequence[dict]], None] | None = None  # gets folder and rows at each save, to draw them
    progress: bool = True  # show a bar with the loss
    about: dict = field(default_factory=dict)  # anything JSON can hold; kept in the checkpoint and in config.json
    keep: int = checkpoint.KEEP  # so many of the newest checkpoints stay on the disk

    patient = False  # whether Ctrl-C after the first is left alone

    step: int = field(default=0, init=False)  # how many are done
    tokens: int = field(default=0, init=False)  # how many were scored in them
    seconds: float = field(default=0.0, init=False)  # that they took, checkpoints and validation included
    val_loss: float | None = field(default=None, init=False)  # the newest
    best_loss: float = field(default=math.inf, init=False)  # the lowest validation loss
    notes: list[str] = field(default_factory=list, init=False)  # what `resume` found worth saying

    def __post_init__(self):
        if self.settings.schedule.endless:
            raise CourseError("a run needs a length: set steps, epochs or seconds")
        if self.folder is not None and self.tokenizer is None:
            raise CourseError("a run that is saved needs its tokenizer")
        self.folder = None if self.folder is None else Path(self.folder)
        entries = self.model.config.vocab_size if self.tokenizer is None else self.tokenizer.vocab_size
        self.unpadded = unpadded(self.model, entries)  # what is scored, sampled from and saved
        self.train_step = self.make_step()
        self.log = RunLog(self.folder)
        self.step_seconds = 0.01  # of the last step; a guess before the first

    def make_step(self) -> TrainStep:
        return TrainStep(self.model, self.sampler, self.settings)

    def run(self) -> TrainingResult:
        """Train to the end, to an interrupt (Ctrl-C: the step is finished and all is saved) or to the callback.

        Raises:
            CourseError: the loss or the gradient is no longer a number, the folder cannot be written, or another
                process is at work in it. What was saved before is left as it was.
        """
        with owning(self.folder):
            return self._run()

    def _run(self) -> TrainingResult:
        self.model.train()
        if self.step == 0:
            self.save()  # from the first moment on there is something to resume; and a full disk is known now
        if (seconds := self.train_step.warm_up()) and self.progress:
            print(f"compiled in {seconds:.0f} s")
        self.log.start(self.tokens)
        stopped, started = "finished", time.perf_counter() - self.seconds
        bar = progress_bar(self.settings.schedule, self.step, self.progress)
        with stop_on_interrupt(self.patient) as interrupted, bar:
            while not self.done():
                epoch = int(self.epochs)
                stats = self.train_step.step(self.step + 1, self.factor)
                before, self.seconds = self.seconds, self.clock(started)
                self.step_seconds = max(self.seconds - before, 1e-6)
                if stats is None:
                    break
                self.step, self.tokens = self.step + 1, self.tokens + stats.tokens
                self.log.losses += [] if stats.skipped else [stats.loss]
                last, new_epoch, wanted, row = self.done(), int(self.epochs) > epoch, False, {}
                if last or new_epoch or self.due("log_every", "eval_every", "sample_every"):
                    row = self.measure(stats, last, new_epoch)
                    wanted = self.log.add(row, self.callback)
                    self.seconds = self.clock(started)
                if self.progress:
                    length = self.settings.schedule
                    at = self.step if length.steps else self.seconds if length.seconds else self.epochs
                    show_step(bar, at, stats.loss, self.val_loss, row)
                wanted, interrupt = self.agree(wanted), self.agree(interrupted.is_set())
                if not last and (wanted or interrupt):
                    stopped = "callback" if wanted else "interrupted"
                    break
                if not last and (new_epoch or self.due("checkpoint_every")):
                    self.save()
            self.save()
        self.model.eval()
        stopped = "data ended" if self.train_step.data_ended else stopped
        loss = next((row["loss"] for row in reversed(self.history) if row["loss"] is not None), math.nan)
        return TrainingResult(self.step, self.tokens, self.seconds, loss, self.val_loss, stopped, self.history)

    @property
    def history(self) -> list[dict]:
        """The log's rows so far."""
        return self.log.rows

    @property
    def epochs(self) -> float:
        """How many epochs have passed, in a run that is counted in epochs."""
        return self.sampler.epochs if self.settings.schedule.epochs else 0.0

    def factor(self) -> float:
        """The learning rates of the coming step as a fraction of their highest."""
        length, seconds = self.settings.schedule, self.seconds + self.step_seconds
        return schedule(length.progress(self.step + 1, seconds, self.step_seconds, self.epochs), length)

    def done(self) -> bool:
        over = self.settings.schedule.is_over(self.step, self.seconds, self.epochs)
        return over or self.train_step.data_ended

    def due(self, *names: str) -> bool:
        """Whether one of these settings, each a number of steps, falls on this step."""
        every = [getattr(self.settings.logging, name) for name in names]
        return any(steps and self.step % steps == 0 for steps in every)

    def clock(self, started: float) -> float:
        """Seconds since the start."""
        return time.perf_counter() - started

    def agree(self, wanted: bool) -> bool:
        """Whether the run stops, where somebody wants it."""
        return wanted

    def measure(self, stats: StepStats, last: bool, new_epoch: bool) -> dict:
        """A row of the log: the newest steps, and in its time the validation loss and a sample."""
        step, settings = self.train_step, self.settings
        more = {"lr": step.optimizers[0].param_groups[0]["lr"], "grad_norm": stats.grad_norm}
        row = self.log.row(self.step, self.tokens, self.seconds, step.device, **more)
        if step.pieces > 1:
            row["pieces"] = step.pieces
        if step.scaler.is_enabled():
            row |= {"loss_scale": step.scaler.get_scale(), "skipped": step.skipped_in_all}
        if self.validation and (last or new_epoch or self.due("eval_every")):
            self.val_loss, row["val_accuracy"] = loss_and_accuracy(self.unpadded, self.validation)
            row["val_loss"] = self.val_loss
            if self.val_loss < self.best_loss:
                self.best_loss = self.val_loss
                self.save_model(BEST)
        if self.tokenizer is not None and (new_epoch or self.due("sample_every")):
            tokens = min(self.model.config.context_length, 100)
            row["sample"] = generate_text(
                self.unpadded, self.tokenizer, PROMPT, tokens, temperature=0.8, seed=settings.seed
            )
        return row

    def save(self) -> None:
        """Write the checkpoint from which the run goes on, the model and the report; when it is done, no checkpoint."""
        if self.folder is None:
            return
        with writing_to(self.folder):
            if not self.done():
                checkpoint.save_checkpoint(self.folder, self.state_dict(), self.keep)
            self.save_model()
            self.log.write_report(self.report)
            if self.done():
                checkpoint.remove_checkpoints(self.folder)

    def save_model(self, place: str = "") -> None:
        """Write the model into the run's folder, or into one inside it."""
        if self.folder is not None:
            counted = {"steps": self.step, "tokens": self.tokens, "seconds": round(self.seconds, 1)}
            extra = counted | {"val_loss": self.val_loss, "settings": self.settings.flat()} | self.about
            with writing_to(self.folder):
                checkpoint.save_model(self.folder / place, self.unpadded, self.tokenizer, extra)

    def must_match(self) -> dict:
        """What a checkpoint must have in common with this run, by name."""
        values = asdict(self.model.config) | self.settings.flat()
        return {name: values[name] for name in values if name not in ("recompute", "parallel")}  # they change no loss

    def state_dict(self) -> dict:
        """Everything that decides what comes next."""
        return {name: getattr(self, name) for name in COUNTED} | {
            "losses": self.log.losses,
            "must_match": self.must_match(),
            "about": self.about,
            "started_in": str(Path.cwd()),
            "train_step": self.train_step.state_dict(),
            "model": dict(self.model.named_parameters()),
            "random": checkpoint.random_state(),
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state_dict` was taken; a CourseError where that was another model, other stories or settings."""
        run = f"the run in {self.folder}"
        refuse_another(state["must_match"], self.must_match(), run)
        checkpoint.put_weights(self.model, state["model"], run)
        self.train_step.load_state_dict(state["train_step"])
        for name in COUNTED:
            setattr(self, name, state[name])
        self.log.losses[:] = state["losses"]
        self.log.keep_until(self.step)
        checkpoint.set_random_state(state["random"])

    def resume(self) -> "Trainer":
        """Go on from the newest whole checkpoint in the folder; a CourseError where there is none."""
        state, self.notes = checkpoint.load_checkpoint(self.folder)
        self.load_state_dict(state)
        return self


def refuse_another(saved: dict, here: dict, run: str) -> None:
    """Refuse, as `run`, to go on with another model, other settings or another number of processes."""
    for key in here | saved:
        if saved.get(key) != here.get(key):
            raise CourseError(f"{run} has another {key}: {saved.get(key)!r:.80} there, {here.get(key)!r:.80} here")


def train(model, sampler, settings: TrainingSettings, **options) -> TrainingResult:
    """Train a model; the options are those of `Trainer`."""
    return Trainer(model, sampler, settings, **options).run()
