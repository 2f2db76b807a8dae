"""A story as the model sees it: one token after another, each with its probability."""

from dataclasses import dataclass
from textwrap import shorten

from matplotlib.patches import FancyBboxPatch

from course.figures import style, words


@dataclass(frozen=True)
class Step:
    """One token of a story: its text, the probability it had, and the likeliest tokens with theirs."""

    text: str
    probability: float
    likeliest: list[tuple[str, float]]


def _visible(text: str) -> str:
    """A token as a label: a leading space and a line's end can be seen."""
    return text.replace("\n", "\u21b5").replace(" ", "\u00b7")


@style.figure
def growing_story(prompt: str, steps: list[Step], wide: int = 58):
    """The story line by line, each token on a ground as dark as its probability, which stands below it.

    `wide` is about how many characters a line has.
    """
    lines = _broken(steps, wide)
    fig, ax = style.canvas(height=0.55 * len(lines) + 0.75)
    for row, line in enumerate(lines):
        x = 0.0
        for step in line:
            x = _token(ax, step, x, -row)
    ax.text(0, 0.85, f"{prompt} ...", fontsize=10.5, color=style.QUIET, va="center")
    ax.set(xlim=(-0.5, wide + 6), ylim=(-len(lines) + 0.3, 1.15))
    ax.axis("off")
    return fig, _sure_and_unsure(prompt, steps)


def _sure_and_unsure(prompt: str, steps: list[Step]) -> str:
    """How often the model was certain, where it was least so, and the story."""
    sure = sum(step.probability > 0.9 for step in steps)
    least = sorted(steps, key=lambda step: step.probability)[:6]
    doubtful = [f"“{_visible(s.text)}” {s.probability:.2f}" for s in steps if s in least and s.probability <= 0.9][:6]
    longest = max(_certain_stretches(steps), key=len, default=[])
    return words.told(
        f"Of {words.count(len(steps), 'token')} after “{prompt}” the model was almost certain of {sure}, a probability "
        f"above 0.9",
        f"Those that had the least, in the order of the story: {', '.join(doubtful)}" if doubtful else "",
        f"The longest stretch of which it was certain: “{''.join(step.text for step in longest).strip()}”"
        if len(longest) > 1
        else "",
        "The story: " + shorten(prompt + "".join(step.text for step in steps), 300, placeholder=" ..."),
    )


def _certain_stretches(steps: list[Step]) -> list[list[Step]]:
    """The tokens in a row that had more than 0.9 each."""
    stretches = [[]]
    for step in steps:
        if step.probability > 0.9:
            stretches[-1].append(step)
        elif stretches[-1]:
            stretches.append([])
    return stretches


def _broken(steps: list[Step], wide: int) -> list[list[Step]]:
    lines, used = [[]], 0.0
    for step in steps:
        if lines[-1] and used + _width(step) > wide + 4:
            lines.append([])
            used = 0.0
        lines[-1].append(step)
        used += _width(step)
    return lines


def _width(step: Step) -> float:
    return max(len(step.text), 3.2) + 1.1


def _token(ax, step: Step, x: float, y: float) -> float:
    ground = style.HEAT(0.95 * step.probability)
    wide = _width(step) - 0.35
    ax.add_patch(
        FancyBboxPatch(
            (x, y - 0.18), wide, 0.5, boxstyle="round,pad=0,rounding_size=0.12", mutation_aspect=0.3,
            facecolor=ground, edgecolor=style.QUIET, linewidth=0.5,
        )
    )  # fmt: skip
    middle = x + wide / 2
    ink = style.text_colour(ground)
    ax.text(
        middle,
        y + 0.07,
        _visible(step.text),
        ha="center",
        va="center",
        fontsize=9.2,
        family="monospace",
        color=ink,
    )
    ax.text(middle, y - 0.34, f"{step.probability:.2f}", ha="center", va="center", fontsize=9, color=style.QUIET)
    return x + _width(step)


@style.figure
def choices(steps: list[Step], at: list[int]):
    """For a few steps, the likeliest tokens as bars, the sampled one dark, and last if it is not among them."""
    fig, axes = style.canvas(1, len(at), height=2.8, sharex=True)
    said = []
    for ax, i in zip(axes, at, strict=True):
        step, before = steps[i], "".join(s.text for s in steps[max(0, i - 3) : i]).strip()
        shown = list(step.likeliest)
        if step.text not in dict(shown):
            shown.append((step.text, step.probability))
        names = [_visible(text) for text, _ in shown]
        sampled = [text == step.text for text, _ in shown]
        colours = [style.NAVY if one else style.SKY for one in sampled]
        bars = ax.barh(range(len(names)), [p for _, p in shown], color=colours)
        for bar, is_sampled in zip(bars, sampled, strict=True):
            bar.set_hatch("" if is_sampled else "//")
            bar.set_edgecolor(style.QUIET)
        ax.set_yticks(range(len(names)), names, family="monospace", fontsize=9)
        ax.invert_yaxis()
        ax.set(xlim=(0, 1), xticks=(0, 0.5, 1))
        ax.set_title(f"... {before}", fontsize=9.5, fontweight="normal")
        ax.grid(axis="x"), ax.grid(visible=False, axis="y")
        said.append(f"After “... {before}” {_spread(step)}")
    fig.supxlabel("probability of the next token", fontsize=10)
    style.headline(fig, "What could have come instead")
    return fig, words.told(
        f"Bars of the likeliest next tokens at {len(at)} positions of the story",
        *said,
        "The token that was sampled is dark, the others are pale and hatched",
    )


def _spread(step: Step) -> str:
    """Whether one token has it all, a few share it, or many have a little each; and which was sampled."""
    first, p = step.likeliest[0]
    top = f"“{_visible(first)}” {p:.2f}"
    if p >= 0.9:
        how = f"one token has nearly everything, {top}"
    elif p < 0.2:
        others = [_visible(text) for text, _ in step.likeliest[1:5]]
        how = f"many share it and none has much: at most {top}" + (f", then {', '.join(others)}" if others else "")
    else:
        others = [f"“{_visible(text)}” {q:.2f}" for text, q in step.likeliest[1:4] if q >= 0.05]
        how = "a few share it: " + ", ".join([top, *others])
    sampled = "the first" if step.text == first else f"“{_visible(step.text)}” {step.probability:.2f}"
    return f"{how}; sampled was {sampled}"
