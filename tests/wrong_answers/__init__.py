"""Answers that learners plausibly give and that are wrong, one module a notebook, each with the check that must
catch it.

    @wrong("1.2", "overlap")
    def merges_overlapping_pairs(ids, pair, new_id):
        ...

The function's name says the mistake; the slug is the one its exercise must answer with. Each exercise has at least
five, and tests/test_exercises.py runs them all.
"""

from collections.abc import Callable

PLANTED: list[tuple[str, str, object]] = []  # (exercise, slug, answer)


def wrong(exercise: str, slug: str) -> Callable:
    """Plant the decorated function (or class) as an answer that `exercise` must refuse with `slug`."""

    def plant(answer):
        PLANTED.append((exercise, slug, answer))
        return answer

    return plant
