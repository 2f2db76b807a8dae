"""Exercise of notebook 14 on windows and sinks: which keys a query sees."""

import torch

from course.checks.compare import shown
from course.checks.exercise import exercise
from course.checks.modern_parts import refuse


@exercise("14.10", title="Who sees whom", minutes=10, difficulty=2)
def sees(answer, check):
    at = torch.arange(6)
    got = answer(at, at)
    _is_mask(check, got, (6, 6))
    d, places = at[:, None] - at, "The positions count, not the places in the tensors."
    ahead = "No query sees a key whose position is above its own, not even a sink."
    refuse(check, got, d >= 0, [
        ("transposed", d <= 0, "keys see queries", "Queries are rows, keys are columns: (T, S)."),
        ("inverted", d < 0, "True stands where nothing is seen", "True where a query may see a key."),
        ("own-missing", d > 0, "no query sees its own position", "It sees itself, too."),
        ("ahead", d > -99, "every query sees every key", ahead), ("ahead", d >= -1, "one later key is seen", ahead),
        ("nothing", d > 99, "nothing is seen", "Without a window all keys up to its own position."),
        ("own-alone", d == 0, "each query sees itself alone", "Without a window all keys up to its own."),
    ], when="6 positions, no window")  # fmt: skip
    check.equal(got, d >= 0, slug="causal", hint="Without a window all keys up to its own position.")
    got, width = answer(at, at, 3), "The newest `window` keys, of which its own position is one."
    refuse(check, got, (d >= 0) & (d < 3), [
        ("ahead", d < 3, "later keys are seen", ahead), ("ahead", d.abs() < 3, "later keys are seen", ahead),
        ("ahead", d.abs() <= 3, "later keys are seen", ahead), ("ahead", d <= 3, "later keys are seen", ahead),
        ("too-wide", (d >= 0) & (d <= 3), "four keys are seen", width),
        ("too-narrow", (d >= 0) & (d < 2), "two keys are seen", width),
        ("own-missing", (d > 0) & (d <= 3), "no query sees its own position", width),
        ("own-missing", (d > 0) & (d < 3), "no query sees its own position", width),
        ("transposed", (d <= 0) & (d > -3), "keys see queries", "Queries are rows, keys are columns."),
        ("window-ignored", d >= 0, "all keys up to its own are seen", width),
        ("window-inverted", (d >= 0) & (d >= 3), "keys outside the window are seen", width),
        ("sinks-count", (d >= 0) & ((d < 3) | (at <= 0)), "the first key is always seen, without sinks",
         "A sink's position is below `sinks`: without any, none is."),
        ("both-asked", d > 99, "nothing is seen", "Without sinks a window is left. An `and` in place of an `or`?"),
        ("first-keys", (d >= 0) & (at < 3), "the first three keys are seen", "The newest, not the first."),
        ("blocks", (d >= 0) & (at[:, None] // 3 == at // 3), "the text is cut into pieces of three", width),
    ], when="6 positions, a window of 3")  # fmt: skip
    check.equal(got, (d >= 0) & (d < 3), slug="window", hint=width)
    _with_sinks(answer, check, at, d, ahead)
    for queries, keys, window in (
        ([5, 6, 7, 8], range(9), None), ([5, 6, 7, 8], range(3, 9), None), ([4, 6, 7], range(9), 4),
        ([9], range(10), 3), ([7, 8, 9, 10], range(7, 11), 2),
    ):  # fmt: skip
        _brute(answer, check, torch.tensor(queries), torch.tensor(keys), window, 0, "places", places)
    _brute(answer, check, torch.tensor([5, 6, 7, 8]), torch.arange(3, 9), 2, 2, "sinks-by-place",
           "A sink is one of the first tokens of the text: its position is below `sinks`.")  # fmt: skip
    _brute(answer, check, torch.tensor([7, 8]), torch.tensor([0, 1, 6, 7, 8]), 2, 2, "places", places)
    for T, S, B in ((3, 5, 2), (4, 4, 4), (1, 3, 3), (3, 3, 2), (2, 6, 1)):
        keys = torch.randint(0, 4, (B, 1)) + torch.arange(S)
        for window, sinks in ((None, 0), (2, 0), (2, 3)):
            _brute(answer, check, keys[:, -T:], keys, window, sinks, "batch", "Each sequence has positions of its own.")
    for _ in range(20):
        first, S = check.random.randint(0, 4), check.random.randint(1, 8)
        keys, pick = first + torch.randperm(S), check.random.choice
        queries = keys[torch.randint(S, (check.random.randint(1, 5),))]
        _brute(answer, check, queries, keys, pick((None, 1, 2, 3, 20)), pick((0, 0, 1, 3)), "random", places)


def _is_mask(check, got, shape: tuple[int, ...]) -> None:
    kind = getattr(got, "dtype", type(got).__name__)
    check.that(kind == torch.bool, slug="boolean", problem=f"the answer holds {kind}, not torch.bool",
               hint="A mask of True and False, as a comparison gives it.")  # fmt: skip
    check.shape(got, shape, slug="shape", hint="A row for each query, a column for each key.")


def _with_sinks(answer, check, at, d, ahead: str) -> None:
    check.equal(answer(at, at, sinks=2), d >= 0, slug="sinks-alone", hint="Without a window all keys up to its own.")
    got, near, sink = answer(at, at, 2, 2), (d >= 0) & (d < 2), at < 2
    besides = "The newest `window` keys, and besides those the sinks."
    refuse(check, got, (d >= 0) & ((d < 2) | sink), [
        ("sinks-ahead", near | sink, "sinks that lie ahead are seen", ahead),
        ("sinks-missing", near, "the sinks are not seen", besides),
        ("sinks-for-window", (d >= 0) & sink, "nothing but the sinks is seen", besides),
        ("both-asked", near & sink, "only sinks inside the window are seen", besides),
        ("sinks-count", (d >= 0) & ((d < 2) | (at <= 2)), "three sinks are seen", "Positions below `sinks`."),
        ("sinks-count", (d >= 0) & ((d < 2) | (at < 1)), "one sink is seen", "Positions below `sinks`."),
        ("wider-window", (d >= 0) & (d < 4), "the sinks made the window wider", "The first tokens of the text."),
        ("sinks-of-window", d == 0, "the sinks were taken from the window", besides),
        ("sinks-of-window", (d >= 0) & ((d < 1) | sink), "the sinks made the window narrower", besides),
        ("queries-sink", (d >= 0) & ((d < 2) | sink[:, None]), "the first queries see all", "Keys are sinks."),
        ("outside-hidden", (d >= 0) & (d < 2) & ~sink, "sinks are hidden", besides),
        ("all", d >= 0, "all keys up to its own are seen", besides),
    ], when="6 positions, a window of 2, 2 sinks")  # fmt: skip
    check.equal(got, (d >= 0) & ((d < 2) | sink), slug="sinks", hint=besides)


def _brute(answer, check, queries, keys, window, sinks: int, slug: str, hint: str) -> None:
    def seen(query: int, key: int) -> bool:
        return key <= query and (window is None or query - key < window or key < sinks)

    def rows(queries, keys):
        return [[seen(query, key) for key in keys] for query in queries]

    q, k = queries.tolist(), keys.tolist()
    right = rows(q, k) if queries.dim() == 1 else [rows(*each) for each in zip(q, k, strict=True)]
    got = answer(queries, keys, window, sinks)
    _is_mask(check, got, (*queries.shape, keys.shape[-1]))
    when = f"queries at {shown(queries.tolist())}, keys at {shown(keys.tolist())}, window={window}, sinks={sinks}"
    check.equal(got, right, slug=slug, hint=hint, when=when)
