"""Checks for notebook 00: one small exercise that shows how exercises work."""

import re

from course.checks.compare import is_whole
from course.checks.exercise import exercise


@exercise("0.1", title="Count the words", minutes=3, difficulty=1)
def count_words(answer, check):
    check.that(
        is_whole(answer("Pip ran")),
        slug="not-a-number",
        hint="Return how many words there are, not the words themselves.",
        problem="the answer is not a whole number",
    )
    check.equal(answer("kite"), 1, slug="one-word", hint="One word, no space: is a space being counted?")
    check.equal(
        answer("a little rabbit named Pip lost a red kite"),
        9,
        slug="plain",
        hint="Count the words, each time they stand there, and not the letters.",
    )
    check.equal(answer("Once  upon   a time"), 4, slug="spaces", hint="Several spaces in a row are still one gap.")
    check.equal(answer("The end.\n\nPip slept."), 4, slug="lines", hint="A new line separates words as a space does.")
    check.equal(answer(" Pip slept. "), 2, slug="edges", hint="What is there before the first word?")
    check.equal(answer(""), 0, slug="empty", hint="A story with nothing in it has no words.")
    for _ in range(10):
        words = ["kite"] * check.random.randrange(1, 30)
        gaps = [check.random.choice([" ", "  ", "\n", "\t"]) for _ in words]
        story = "".join(word + gap for word, gap in zip(words, gaps, strict=True))
        check.equal(answer(story), len(words), slug="random", hint="Any white space can stand between words.")


def somebody_elses(story: str) -> int:
    """A right answer to 0.1 by a detour: notebook 00 shows its verdict, and not how it is made."""
    return len(re.findall(r"[^ \n\t]+", story))
