"""Built in notebooks 07 and 08: one step of training: the loss of some batches, its gradients, one update.

How it is carried out, `HardwareConfig`, changes time and memory, and the loss no more than rounding does: in half
precision (Micikevicius et al. 2017, "Mixed Precision Training"), with the loss in chunks, compiled, with activations
computed twice, and where a batch does not fit the device's memory in pieces.

Used by `helpers.training` and `course.distributed`, and by the plan of a run (`course.bench.planning`).
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from helpers.errors import CourseError, NotANumber
from helpers.evaluation import LOGITS
from helpers.hardware import HALF, choose, matmul_precision
from helpers.model import GPT, IGNORED, check_targets
from helpers.model_files import shapes_only
from helpers.optimizers import build_optimizer, set_learning_rates
from helpers.settings import HardwareConfig, TrainingSettings

LOGITS_ON_GPU = 16 * LOGITS  # a GPU wants larger chunks
PATIENCE = 30  # skipped steps in a row: float16's scale begins at 65,536, and halved that often nothing is left of it


def loss_of(model: GPT, hardware: HardwareConfig) -> Callable[[Tensor, Tensor], Tensor]:
    """The function from ids and targets, (B, T) each, to the mean loss that such settings ask for."""
    compiled = torch.compile if hardware.compile == "on" else lambda function: function
    if hardware.loss == "plain" or getattr(model, "needs_logits", False):
        return compiled(lambda ids, targets: GPT.loss(model, ids, targets))
    hidden = compiled(lambda ids: GPT.hidden(model, ids))  # the chunked loss itself cannot be compiled
    return lambda ids, targets: chunked_loss(model, ids, targets, hidden, sparse=hardware.compile == "off")


def logits_at_once(device: torch.device) -> int:
    """How many logits the chunked loss makes at a time on a device."""
    return LOGITS if device.type == "cpu" else LOGITS_ON_GPU


def chunked_loss(
    model: GPT, ids: Tensor, targets: Tensor, hidden: Callable | None = None, sparse=True, logits: int | None = None
) -> Tensor:
    """`GPT.loss`, some positions at a time: all logits, (B, T, V), never exist at once. For `backward()` alone.

    Args:
        hidden: computes what the head reads; None: the model's own method.
        sparse: the embedding's gradient, of a tied head, holds only the tokens that were read.
        logits: that exist at once; None: as many as are good on the device where `ids` are.
    """
    if not hasattr(F, "linear_cross_entropy"):
        raise CourseError(f"loss=chunked needs torch 2.13 or newer, and this is {torch.__version__}: use loss=plain")
    check_targets(targets, ids, model.config)
    tied, weight = model.config.tied_head, model.head.weight
    model.wte.sparse = tied and sparse  # it is added to the head's in place
    try:
        read = (hidden or model.hidden)(ids).flatten(0, 1)  # (B * T, d_model)
    finally:
        model.wte.sparse = False
    if tied and weight.requires_grad:
        weight = _with_own_gradient(weight)
    if torch.is_autocast_enabled(read.device.type):
        dtype = torch.get_autocast_dtype(read.device.type)
        read, weight = read.to(dtype), weight.to(dtype)
    logits = logits or logits_at_once(read.device)
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=max(1, logits // weight.shape[0]))
    losses = F.linear_cross_entropy(read, weight, targets.flatten(), reduction="none", options=options)
    return losses.sum(dtype=torch.promote_types(losses.dtype, torch.float32)) / (targets != IGNORED).sum()


def unpadded(model: GPT, entries: int) -> GPT:
    """The model without the rows that padded its vocabulary: same values in the same memory, fewer of them.

    A tokenizer of 50,257 entries trains with 50,304 rows, because matrix units like round numbers. What is scored,
    sampled from and saved has no more entries than the tokenizer.
    """
    if model.config.vocab_size <= entries:
        return model
    with shapes_only():  # only the shape is made, the values are the model's
        smaller = type(model)(replace(model.config, vocab_size=entries))
    values = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers())
    for name, value in values.items():
        owner, _, last = name.rpartition(".")
        value = value.detach()[:entries] if name in ("wte.weight", "head.weight") else value.detach()
        is_parameter = isinstance(getattr(smaller.get_submodule(owner), last), nn.Parameter)
        setattr(smaller.get_submodule(owner), last, nn.Parameter(value) if is_parameter else value)
    if model.config.tied_head:
        smaller.head.weight = smaller.wte.weight
    return smaller.eval()


def _with_own_gradient(weight: Tensor) -> Tensor:
    """The same weight; its gradient becomes `weight`'s at once, where autograd would keep both and their sum."""
    alias = weight.detach().requires_grad_()

    def hand_over(alias: Tensor) -> None:
        weight.grad = alias.grad if weight.grad is None else weight.grad.add_(alias.grad)
        alias.grad = None

    alias.register_post_accumulate_grad_hook(hand_over)
    return alias


class StepStats(NamedTuple):
    loss: float  # nats per token
    grad_norm: float  # the gradient's norm before clipping
    tokens: int  # how many were scored
    skipped: bool  # left out, because float16 had overflowed


class TrainStep:
    """Moves a model's weights, in place: the gradients of some batches, then one update.

    `sampler` has `next_batch()` -> (ids, targets), (B, T) each; `StopIteration` says that the data have ended.
    """

    may_split = True  # whether a batch that does not fit is read in pieces

    def __init__(self, model, sampler, settings: TrainingSettings):
        self.model, self.sampler, self.settings = model, sampler, settings
        self.device = next(model.parameters()).device
        self.hardware = choose(settings.hardware, self.device)
        self.half = HALF[self.hardware.precision]
        if self.hardware.recompute:  # a block keeps its input alone (Chen et al. 2016, "... Sublinear Memory Cost")
            for block in model.blocks:
                block.forward = partial(checkpoint, type(block).forward, block, use_reentrant=False)
        self.loss = loss_of(model, self.hardware)
        self.optimizers = build_optimizer(model, settings.optimizer)
        # float16 alone has too little range for small gradients: they are multiplied by a scale on their way back.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.half == torch.float16)
        self.pieces = 1  # in which each batch is read
        self.skipped = self.skipped_in_all = 0  # steps that float16 left out: in a row up to now, and since the start
        self.data_ended = False

    def warm_up(self) -> float:
        """Have all compiled that is to be, on a batch whose gradients are thrown away; the seconds that this took.

        Before the clock of a run starts: a schedule that counts seconds would find its warm-up over after one step.
        """
        if self.hardware.compile == "off":
            return 0.0
        started, gpus = time.perf_counter(), [self.device] if self.device.type == "cuda" else []
        ids = torch.zeros(self.settings.data.batch_size, self.model.config.context_length, dtype=torch.long)
        with torch.random.fork_rng(gpus), matmul_precision(self.hardware.matmul_precision):
            try:
                self.gradients([(ids, ids)], ids.numel())[0].item()
            except Exception as error:  # compilers raise what they like, on GPUs that are old to them above all
                if isinstance(error, CourseError) or self.settings.hardware.compile != "auto" or not self.may_split:
                    raise
                said = (str(error).strip() or type(error).__name__).splitlines()[0]
                print(f"torch.compile does not work here ({said:.100}): training goes on without it")
                self.hardware = replace(self.hardware, compile="off")
                self.loss = loss_of(self.model, self.hardware)
        self.model.zero_grad()
        return time.perf_counter() - started

    def step(self, number: int, factor: Callable[[], float]) -> StepStats | None:
        """Gradients of `accumulation` batches, one update. Each token weighs the same, in whatever batch it is.

        Args:
            number: of this step, for messages.
            factor: asked, after the batches were drawn, for the learning rates as a fraction of their highest.

        Returns:
            None if the data had ended before the first batch.

        Raises:
            NotANumber: loss or gradient is not a number, and the weights are as they were; under float16 only after
                many steps in a row.
        """
        position = self._position()
        batches = self.batches()
        if not batches:
            return None
        with matmul_precision(self.hardware.matmul_precision):
            return self._move(number, factor, batches, position)

    def _move(self, number: int, factor: Callable, batches: list, position: str) -> StepStats:
        tokens = int(self.total(sum(int((targets != IGNORED).sum()) for _, targets in batches)))
        losses = torch.stack(self.gradients(batches, tokens)).tolist()
        loss = self.total(sum(losses))
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        limit = self.settings.optimizer.clip or math.inf
        grad_norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        set_learning_rates(self.optimizers, factor())
        fine = math.isfinite(loss) and math.isfinite(grad_norm)
        if fine:
            self.skipped = 0
            with self.autocast():  # Muon's products, too, are matrix multiplications
                for optimizer in self.optimizers:
                    self.scaler.step(optimizer)
        else:  # no optimizer may step: a moment would keep what is not a number
            self._skip(number, losses, grad_norm, position)
        self.model.zero_grad()
        self.scaler.update()  # under float16, lowers the scale where a gradient overflowed
        return StepStats(loss, grad_norm, tokens, not fine)

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """The batches of one step; fewer, or none, where the data end."""
        batches = []
        try:
            for _ in range(self.settings.data.accumulation):
                batches.append(self.sampler.next_batch())
        except StopIteration:
            self.data_ended = True
        return batches

    def autocast(self):
        """In it matrix multiplications are done in half precision, if the settings say so."""
        return torch.autocast(self.device.type, self.half, enabled=self.half is not None)

    def gradients(self, batches: list[tuple[Tensor, Tensor]], tokens: int) -> list[Tensor]:
        """Add up the gradients of all batches; returns their parts of the loss. What does not fit is read in pieces."""
        rows = max(len(ids) for ids, _ in batches)
        while True:
            parts = [part for batch in batches for part in self._cut(batch)]
            try:
                return [self.backward(*part, tokens, last=part is parts[-1]) for part in parts]
            except torch.OutOfMemoryError as error:
                if self.pieces >= rows or not self.may_split:
                    said = "not even one sequence fits" if self.pieces >= rows else "a batch does not fit"
                    raise CourseError(
                        f"{said} the GPU's memory: choose a smaller batch_size, model or context"
                    ) from error
            # Here, and not above, the error is gone, and with it what it held on to.
            self.pieces *= 2
            print(f"\na batch of {rows} does not fit the GPU's memory: it is read in {self.pieces} pieces from now on")
            self.model.zero_grad()
            torch.cuda.empty_cache()

    def _cut(self, batch: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """A batch in its pieces; those in which nothing is scored have no mean loss, and are left out."""
        if self.pieces == 1:
            return [batch]
        pieces = zip(*(each.chunk(self.pieces) for each in batch), strict=True)
        return [(ids, targets) for ids, targets in pieces if (targets != IGNORED).any()]

    def backward(self, ids: Tensor, targets: Tensor, tokens: float, last: bool) -> Tensor:
        """Add a batch's gradients to those before; returns its part of the mean loss over the step's `tokens`."""
        weight = int((targets != IGNORED).sum()) / tokens
        with self.autocast():
            loss = self.loss(self.on_device(ids), self.on_device(targets)) * weight
        self.scaler.scale(loss).backward()
        return loss.detach()

    def on_device(self, ids: Tensor) -> Tensor:
        """Copied to where the model is; from pinned memory a GPU fetches it while Python goes on."""
        if self.device.type == "cuda" and ids.device.type == "cpu":
            ids = ids.pin_memory()
        return ids.to(self.device, non_blocking=True)

    def total(self, value: float) -> float:
        """A count or a loss of these batches as one of the whole step."""
        return value

    def _skip(self, number: int, losses: list[float], grad_norm: float, position: str) -> None:
        """Count a step that is left out; say what was wrong where this is not float16, or where it is so too often."""
        bad = [i for i, loss in enumerate(losses, start=1) if not math.isfinite(loss)]
        what = f"the loss became {losses[bad[0] - 1]}" if bad else f"the gradient's norm became {grad_norm}"
        which = f", batch {bad[0]} of {len(losses)}" if bad and len(losses) > 1 else ""
        said = f"{what} at step {number}{which}{position}"
        self.skipped += 1
        self.skipped_in_all += 1
        if not self.scaler.is_enabled():
            raise NotANumber(
                f"{said}: try a lower learning rate, a longer warm-up or stronger clipping; the weights and what was "
                "saved are as they were before, and log.jsonl shows where it began to rise"
            )
        if self.skipped > PATIENCE:
            raise NotANumber(f"{said}, after {PATIENCE} steps in a row that float16 left out: use float32 or bfloat16")

    def _position(self) -> str:
        """Where the sampler stands, for a person who looks for the batch that did it."""
        state = self.sampler.state_dict() if hasattr(self.sampler, "state_dict") else {}
        known = [f"{name} {state[name]}" for name in ("epoch", "position", "step") if name in state]
        return f" (the sampler stood at {', '.join(known)})" if known else ""

    def state_dict(self) -> dict:
        """What decides the coming steps, apart from the weights and the random numbers."""
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        skipped, sampler = [self.skipped, self.skipped_in_all], self.sampler.state_dict()
        return {"optimizers": optimizers, "scaler": self.scaler.state_dict(), "skipped": skipped, "sampler": sampler}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state_dict` was taken."""
        self.sampler.load_state_dict(state["sampler"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if state["scaler"] and self.scaler.is_enabled():  # another GPU may train in another precision
            self.scaler.load_state_dict(state["scaler"])
        self.skipped, self.skipped_in_all = state["skipped"]
