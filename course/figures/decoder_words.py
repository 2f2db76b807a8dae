"""What the figures of the decoder show, in words: computed from what `course.figures.decoder` draws."""

from collections.abc import Mapping, Sequence

import numpy as np

from course.figures import words


def normalized(before: np.ndarray, after: np.ndarray, not_drawn: int | None) -> str:
    """Whether the vectors have one mean and one spread after LayerNorm, and what they had before."""
    std, mean, left_out = before.std(axis=1), before.mean(axis=1), f", all but feature {not_drawn}"
    new, center = after.std(axis=1), after.mean(axis=1)
    alike = np.ptp(new) < 0.02 * new.mean() and np.abs(center).max() < 0.02 * new.mean()
    end = (
        f"After LayerNorm all have mean 0 and standard deviation {new.mean():.2f}"
        if alike
        else f"After it they differ still: their standard deviation runs from {new.min():.2f} to {new.max():.2f}, "
        f"their mean from {center.min():.2f} to {center.max():.2f}"
    )
    return words.told(
        f"Rows of dots, a row for each of {len(before)} vectors and a dot for each feature"
        f"{left_out if not_drawn is not None else ''}, before on the left and after on the right",
        f"Before, the rows are of different width: their standard deviation runs from {std.min():.2f} to "
        f"{std.max():.2f}, their mean from {mean.min():.2f} to {mean.max():.2f}"
        if np.ptp(std) > 0.02 * std.mean()
        else f"Before, all have standard deviation {std.mean():.2f}, and their mean runs from {mean.min():.2f} to "
        f"{mean.max():.2f}",
        end,
    )


def activations(x: np.ndarray, curves: Mapping[str, np.ndarray], difference: np.ndarray) -> str:
    """What each function does to x: where it is flat, how deep it dips, where two part; and two forms of GELU."""
    said = [f"{name} {_activation(np.asarray(x), np.asarray(values))}" for name, values in curves.items()]
    names, apart = list(curves), ""
    if len(names) == 2:
        gap = np.abs(np.asarray(curves[names[0]]) - np.asarray(curves[names[1]]))
        apart = f"They are furthest apart at x = {words.number(x[int(gap.argmax())])}, by {gap.max():.2f}"
    humps = _humps(np.asarray(x), 1000 * np.asarray(difference, dtype=float))
    return words.told(
        f"Left, functions of x from {x[0]:g} to {x[-1]:g}: {'; '.join(said)}",
        apart,
        f"Right, the tanh form of GELU minus the exact form, in thousandths: it is at most "
        f"{1000 * np.abs(difference).max():.2f} away from zero, at x = {_where_largest(x, np.abs(difference))}{humps}",
    )


def _where_largest(x: np.ndarray, y: np.ndarray) -> str:
    """The places at which a curve reaches its largest value, or comes within a fiftieth of it."""
    tops = [i for i in range(len(y)) if y[i] >= 0.98 * y.max() and y[i] == y[max(0, i - 1) : i + 2].max()]
    return words.listing(dict.fromkeys(words.number(round(float(x[i]), 1)) for i in tops))


def _activation(x: np.ndarray, y: np.ndarray) -> str:
    lowest = int(y.argmin())
    dip = y[lowest] < min(y[0], 0) - 0.02
    bottom = f", dips to {words.number(y[lowest])} at x = {words.number(x[lowest])}, and then" if dip else ", then"
    flat = np.abs(y) < 0.01
    zero = bool(flat[0])
    edge = x[int(np.argmin(flat)) - 1] if zero and not flat.all() else None
    rising = (x > 0) & (y > 0)
    as_x = bool(rising.any()) and abs(y[-1] - x[-1]) < 0.02 * abs(x[-1])
    exact = as_x and np.abs(y - x)[x > 0].max() < 1e-6
    end = "is x" if exact else "comes near to x" if as_x else f"goes to {words.number(y[-1])}"
    corner = ", with a corner at 0" if exact and edge is not None and abs(edge) <= 2 * (x[1] - x[0]) and not dip else ""
    if edge is None:
        return words.shape(y, x, at="x = {}")
    nothing = np.abs(y) < 1e-9
    last = x[int(np.argmin(nothing)) - 1] if nothing[0] else -np.inf
    near = "is 0" if edge - last <= 2 * (x[1] - x[0]) else "is close to 0"
    edge = last if near == "is 0" else edge
    return f"{near} up to x = {words.number(round(edge, 1))}{bottom} {end}{corner}"


def _humps(x: np.ndarray, y: np.ndarray) -> str:
    """Where a curve around zero has its peaks and troughs."""
    size = np.abs(y).max()
    if size == 0:
        return ""
    inner = [i for i in range(1, len(y) - 1) if abs(y[i]) > 0.2 * size and (y[i] - y[i - 1]) * (y[i + 1] - y[i]) <= 0]
    peaks = [f"{words.number(round(x[i], 1))}" for i in inner if y[i] > 0]
    troughs = [f"{words.number(round(x[i], 1))}" for i in inner if y[i] < 0]
    peaks, troughs = list(dict.fromkeys(peaks)), list(dict.fromkeys(troughs))  # a peak may be flat to rounding
    return (f"; peaks at x = {words.listing(peaks)}" if peaks else "") + (
        f", troughs at x = {words.listing(troughs)}" if troughs else "")  # fmt: skip


def by_layer(panels: Mapping[str, Mapping[str, Sequence[float]]], title: str, log: bool, first: int) -> str:
    """How each line goes from layer to layer."""
    said = []
    for what, curves in panels.items():
        layers = range(first, first + max(map(len, curves.values())))
        said.append(f"{what}: {words.lines(curves, layers, at='layer {}', log=log, write=_two, alone=0.15)}")
    scale = ", in powers of ten" if log else ""
    return words.told(f"{title}: lines by layer{scale}", *said)


def _two(value: float) -> str:
    """Two digits: what a reader takes from a line."""
    return words.number(float(f"{value:.2g}"))


def first_losses(sizes, measured, widths, by_width, expected, known: float) -> str:
    """Whether the first losses lie on ln V, and whether they grow with the width as the formula says."""
    off = max(abs(loss - np.log(size)) for size, loss in zip(sizes, measured, strict=True))
    near = max(abs(loss - formula) for loss, formula in zip(by_width, expected, strict=True))
    where = "lie on it" if off < 0.02 * max(measured) else "do not lie on it"
    said = ", ".join(f"{loss:.2f} for {size:,}" for size, loss in zip(sizes, measured, strict=True))
    steps = np.diff(by_width)
    rises = "rises" if (steps > 0).all() else "rises on the whole" if by_width[-1] > by_width[0] else "does not rise"
    also = ", ".join(f"{loss:.3f} at {width}" for width, loss in zip(widths, by_width, strict=True))
    follow = "the points follow it" if near < 0.5 * (expected[-1] - expected[0]) else "the points do not follow it"
    return words.told(
        f"Left: the line ln V over the size of the vocabulary, V, on a logarithmic axis; the first losses measured "
        f"{where}, at most {off:.2f} away: {said}",
        f"Right, enlarged, over the width: ln V is flat at {known:.3f}, the formula ln V + s²/2 rises above it to "
        f"{expected[-1]:.3f}, and {follow}, at most {near:.3f} away",
        f"Measured, the loss {rises}: {also}",
    )


def influence(values: np.ndarray) -> str:
    """Whether the future has no influence, and where that of the past is strong; a row is over its largest."""
    T = len(values)
    future = np.triu(np.ones_like(values, dtype=bool), 1)
    zeros, past = int((values[future] == 0).sum()), int((values[~future] == 0).sum())
    leaks = int(future.sum()) - zeros
    own = int((values.argmax(axis=1) == np.arange(T)).sum())
    rows = "every row" if own == T else f"{own} of {T} rows" if own else "no row"
    left = [values[i, :i].mean() for i in range(1, T)]
    ends = [(values[i, 0], values[i, i - 1]) for i in range(2, T)]
    early = sum(first > 1.2 * last for first, last in ends) >= 0.8 * len(ends) > 0
    pale = ""
    if len(left) >= 4 and left[-1] < 0.7 * left[0]:
        pale = f"the cells left of it are paler the lower the row, {left[0]:.2f} of the diagonal in the second row, "
        pale += f"{left[-1]:.2f} on average in the last"
    if pale and early:
        pale += ", and paler from left to right"
        pale += f", from {ends[-1][0]:.2f} to {ends[-1][1]:.2f} there" if ends[-1][0] > 1.2 * ends[-1][1] else ""
    return words.told(
        f"Heat map of influence between {T} positions, a row for the logits, a column for the vector that entered",
        f"No position is influenced by a later one: all {zeros} cells above the diagonal are exactly zero"
        if not leaks
        else f"The future leaks: of {future.sum()} cells above the diagonal {leaks} are not zero",
        f"Every position is influenced by itself and all before it: none of the {(~future).sum()} other cells is zero"
        if not past
        else f"Of the {(~future).sum()} other cells {past} are zero",
        f"In {rows} the diagonal is darkest" + (f"; {pale}" if pale and own == T else ""),
    )


def fractions(bars: Mapping[str, Mapping[str, int]], title: str, unit: str) -> str:
    """How the fraction of each part goes from bar to bar, and which part, or parts, are largest in each."""
    totals = {name: sum(parts.values()) for name, parts in bars.items()}
    shares = {name: {part: count / totals[name] for part, count in parts.items()} for name, parts in bars.items()}
    parts = list(next(iter(shares.values())))
    most = {name: [part for part, count in each.items() if count == max(each.values())] for name, each in bars.items()}
    largest = {name: words.listing(found) for name, found in most.items()}
    if len(set(largest.values())) == 1:
        found = next(iter(most.values()))
        rank = "is the largest part" if len(found) == 1 else "are the largest parts"
        lead = f"{words.listing(found)} {rank} of every bar"
    else:
        lead = "The largest part: " + ", ".join(f"{part} in {name}" for name, part in largest.items())
    by_part = [f"{part} {', '.join(f'{share[part]:.0%}' for share in shares.values())}" for part in parts]
    return words.told(
        f"{title}: bars of one length, cut into fractions. {lead}",
        f"In the bars {', '.join(bars)}, in this order: {'; '.join(by_part)}",
        f"In all: {', '.join(f'{name} {total:,}' for name, total in totals.items())} {unit}",
    )


def memory(rows: Mapping[str, Mapping[str, float]], limits: Mapping[str, float] | None) -> str:
    """How much each case needs, what takes most of it, and which limits it stays under."""
    said = []
    for case, parts in rows.items():
        total = sum(parts.values())
        most = max(parts, key=parts.get)
        held = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in parts.items() if size > 0)
        said.append(f"{case}: {total / 1e9:.1f} GB, most of it {most} ({parts[most] / max(total, 1e-9):.0%}); {held}"
                    if parts[most] > total / 2 else f"{case}: {total / 1e9:.1f} GB; {held}")  # fmt: skip
    for name, size in (limits or {}).items():
        over = [case for case, parts in rows.items() if sum(parts.values()) > size]
        fit = "every bar ends before it" if not over else (
            "every bar passes it" if len(over) == len(rows) else f"{words.listing(over)} passes it")  # fmt: skip
        said.append(f"Beside them a line at {size / 1e9:.1f} GB marks {name}: {fit}")
    return words.told("Bars of memory by what it holds, in gigabytes", *said)
