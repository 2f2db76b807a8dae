"""Texts for the checks of notebook 02, made on the spot; and a watch on Python's own `hash`."""

import builtins
from contextlib import contextmanager

_NAMES = ("Pip", "Mia", "Tom", "Lily", "Ben", "Zoe")
_THINGS = ("kite", "boat", "drum", "ball", "cake", "sled")


def story(random, sentences: int = 4) -> str:
    """A little text with many different sequences of words."""
    says = (
        "{a} saw a {b} near the {n} houses.",
        "Then {a} and {c} ran after the {b} for {n} minutes.",
        '"Is that my {b}?" asked {a}, {n} times.',
        "They put the {b} beside {n} stones and went home.",
    )
    return " ".join(
        random.choice(says).format(
            a=random.choice(_NAMES), b=random.choice(_THINGS), c=random.choice(_NAMES), n=number_word(random)
        )
        for _ in range(sentences)
    )


def number_word(random) -> str:
    """A made-up word, so that two texts hardly ever share a long sequence by chance."""
    return "".join(random.choice("bdklmnrstv") + random.choice("aeiou") for _ in range(3))


def broken(text: str) -> str:
    """UTF-8 read as Windows-1252, with bytes that have no character there lost."""
    return text.encode("utf-8").decode("cp1252", errors="ignore")


@contextmanager
def hash_is_noticed(seen: list):
    """Notice calls of `hash(text)`: its values are others in every process, so a split by it is, too."""
    kept = builtins.hash

    def noticed(value):
        if isinstance(value, str | bytes | tuple):
            seen.append(value)
        return kept(value)

    builtins.hash = noticed
    try:
        yield
    finally:
        builtins.hash = kept
