"""What stands out in a map of attention, in words."""

from collections.abc import Sequence

import numpy as np

from course.figures import words


def standing_out(weights: np.ndarray, names: Sequence[str]) -> str:
    """What stands out in an attention map, or that nothing does.

    Args:
        weights: row i says how much token i takes from each token, (time, time); rows sum to 1.
        names: the tokens.
    """
    weights = np.asarray(weights, dtype=float)
    names = [
        words.quoted(name) + (f" at {i + 1}" if list(names).count(name) > 1 else "") for i, name in enumerate(names)
    ]
    T = len(weights)
    causal = T > 1 and not np.triu(weights, 1).any()
    choose = range(1 if causal else 0, T)  # the first sees itself alone
    if T == 1:
        return "there is one token, which takes all from itself"
    start = "nobody takes from a later token, and " if causal else ""
    if all(np.ptp(weights[i, : i + 1 if causal else T]) <= 0.1 / (i + 1 if causal else T) for i in choose):
        share = "" if causal else f", {weights[0, 0]:.2f}"
        return f"{start}every token takes the same from all it sees{share}"
    if causal and (band := _same_over_a_band(weights)):
        return f"{start}{band}"
    targets = {"itself": lambda i: i, "the token before it": lambda i: i - 1}
    targets |= {name: lambda i, j=j: j for j, name in reversed(list(enumerate(names)))}
    most = {what: [i for i in choose if to(i) >= 0 and weights[i, to(i)] >= 0.98 * weights[i].max()]
            for what, to in targets.items()}  # fmt: skip
    pattern = max(most, key=lambda what: len(most[what]))
    who, others = most[pattern], [i for i in choose if i not in most[pattern]]
    if len(who) <= len(choose) / 2:
        said = "no one token or diagonal stands out in most rows"
    elif others:
        said = f"{len(who)} of {len(choose)} tokens take most from {pattern}"
    else:
        said = f"every token{' but the first' if causal else ''} takes most from {pattern}"
    if others and len(others) <= 3 and len(who) > len(choose) / 2:
        said += " (not " + words.listing(f"{names[i]}: {_giver(weights, names, i)}" for i in others) + ")"
    row = max(choose, key=lambda i: weights[i].max())
    return f"{start}{said}; the largest share is what {names[row]} takes from {_giver(weights, names, row)}"


def _same_over_a_band(weights: np.ndarray) -> str:
    """What each token sees, where it takes the same from all that it sees and this is a band; "" where it is not."""
    seen = weights > 1e-6
    if any(np.ptp(row[there]) > 0.1 / there.sum() for row, there in zip(weights, seen, strict=True)):
        return ""
    T = len(weights)
    unseen = np.flatnonzero(~seen[-1])
    if not len(unseen):
        return ""
    wide, first = T - 1 - int(unseen[-1]), int(unseen[0])
    at = np.arange(T)
    band = (at[:, None] - at < wide) | (at < first)
    if not (seen == (band & (at <= at[:, None]))).all():
        return ""
    also = f", and in every row from {words.count(first, 'first token')} as well" if first else ""
    return f"each token takes the same from itself and the {wide - 1} before it, a band along the diagonal{also}"


def _giver(weights: np.ndarray, names: Sequence[str], i: int) -> str:
    """From whom a token takes most, and how much."""
    j = int(weights[i].argmax())
    j = i if weights[i, i] >= 0.98 * weights[i, j] else j
    return f"{'itself' if i == j else names[j]}, {weights[i, j]:.2f}"
