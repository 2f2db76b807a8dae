"""One step of training: the gradients of some batches, and one move of the weights."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import torch

from helpers.errors import CourseError
from helpers.optimizers import build_optimizer, set_learning_rates
from helpers.parallel import ALONE, Processes
from helpers.settings import TrainingSettings

HALF = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
PATIENCE = 30  # skipped steps in a row: float16's scale begins at 65,536, and halved that often nothing is left of it


class Measured(NamedTuple):
    """What a step showed: nats per token, the gradient's norm before clipping, tokens scored, and whether it was left
    out because float16 had overflowed.
    """

    loss: float
    grad_norm: float
    tokens: int
    skipped: bool


class Stepper:
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
        self.device = model.head_weight.device
        half = HALF[settings.precision]
        if half is not None and self.device.type == "cpu":
            raise CourseError(f"precision={settings.precision} needs a GPU; on a processor use float32")
        self.network = processes.network(model)
        self.optimizers = build_optimizer(model, settings)
        self.autocast = lambda: torch.autocast(self.device.type, half) if half else nullcontext()
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "float16")
        self.skipped = self.skipped_in_all = 0  # steps that float16 left out: in a row up to now, and since the start
        self.data_ended = False

    def step(self, number: int, rate: Callable[[], float]) -> Measured | None:
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
        return Measured(loss, grad_norm, total, not fine)

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
                loss = self.network(ids.to(self.device), targets.to(self.device), need_logits=False)[1] * weight
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
