"""A training run drawn: its loss and accuracy against steps, from the rows of its log."""

from collections.abc import Mapping, Sequence

from helpers.figures import style


@style.figure
def run_curves(rows: Sequence[Mapping], levels: Mapping[str, float] | None = None, title: str = ""):
    """Loss on the left; on the right the share of held-out tokens that were the model's first choice.

    Args:
        rows: of a run's log, each with "step" and "loss", some with "val_loss" and "val_accuracy".
        levels: named horizontal lines in nats per token, such as a baseline's and the floor's.
    """
    trained = [(row["step"], row["loss"]) for row in rows if row.get("loss") is not None]
    held_out = [(row["step"], row["val_loss"]) for row in rows if row.get("val_loss") is not None]
    accuracy = [(row["step"], row["val_accuracy"]) for row in rows if row.get("val_accuracy") is not None]
    fig, axes = style.canvas(1, 2 if accuracy else 1, height=3.4, squeeze=False)
    ax = axes[0][0]
    said = []
    for points, name, colour, line, marker in (
        (trained, "training", style.BLUE, "-", None),
        (held_out, "held out", style.BERRY, "--", "s"),
    ):
        if points:
            steps, losses = zip(*points, strict=True)
            ax.plot(steps, losses, color=colour, linestyle=line, marker=marker, linewidth=1.6, label=name)
            said.append(f"{name} loss goes from {losses[0]:.2f} to {losses[-1]:.2f} nats per token")
    for name, value in (levels or {}).items():
        ax.axhline(value, color=style.INK, linewidth=1.1, linestyle=":")
        ax.text(0.99, value, f"{name}: {value:.2f}", transform=ax.get_yaxis_transform(), ha="right", va="bottom",
                fontsize=9)  # fmt: skip
        said.append(f"a line marks {name} at {value:.2f}")
    ax.set(xlabel="steps", ylabel="nats per token", ylim=(0, None))
    ax.set_title("loss", fontsize=10.5, fontweight="normal")
    if trained or held_out:
        ax.legend(loc="upper right")
    if accuracy:
        steps, shares = zip(*accuracy, strict=True)
        right = axes[0][1]
        right.plot(steps, [100 * share for share in shares], color=style.BERRY, linestyle="--", marker="s")
        right.set(xlabel="steps", ylabel="per cent of tokens", ylim=(0, 100))
        right.set_title("first choice was right, held-out stories", fontsize=10.5, fontweight="normal")
        said.append(f"accuracy on held-out stories goes from {shares[0]:.0%} to {shares[-1]:.0%}")
    last = rows[-1]["step"] if rows else 0
    fig.suptitle(title or f"The run after {last:,} steps", x=0.01, ha="left", fontweight="bold", fontsize=12)
    return fig, f"Curves of a training run over {last:,} steps: {'; '.join(said) or 'nothing measured yet'}."
