"""A run's log in TensorBoard as well, where that is installed: `tensorboard --logdir runs` then draws it live."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

FOLDER = "tensorboard"  # inside a run's
DRAWN = ("loss", "val_loss", "val_accuracy", "lr", "grad_norm", "tokens_per_second", "memory_gb", "loss_scale")


def to_tensorboard(folder: str | Path) -> Callable[[dict], None] | None:
    """A callback for `helpers.training.Trainer` that draws every row of the log; None where TensorBoard is missing.

    A run that is resumed goes on in the same curves: what had been drawn beyond its step is taken back.
    """
    if importlib.util.find_spec("tensorboard") is None:
        return None
    writer = None

    def draw(row: dict) -> None:
        nonlocal writer
        if writer is None:
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(str(Path(folder) / FOLDER), purge_step=row["step"])
        for name in DRAWN:
            if row.get(name) is not None:
                writer.add_scalar(name, row[name], row["step"])
        if "sample" in row:
            writer.add_text("sample", row["sample"], row["step"])
        writer.flush()

    return draw
