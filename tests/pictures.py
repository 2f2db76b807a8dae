"""What every picture of the course owes its readers; used by the tests of the figures."""

import warnings
from collections.abc import Iterable


def check_pictures(pictures: Iterable[tuple[object, list[str]]], most_bytes: int = 100_000) -> None:
    """Each picture is small and says in words what it shows.

    Args:
        pictures: `(picture, said)`: a picture, and pieces of text that must stand in its alternative text. Draw
            them in a generator: warnings while drawing count as errors.
        most_bytes: the largest size of a PNG.
    """
    drawn = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a sign that the font does not have, or a layout that does not fit
        for picture, said in pictures:
            drawn += 1
            assert len(picture.png) < most_bytes, f"{len(picture.png):,} bytes: {picture.alt}"
            for words in said:
                assert words in picture.alt, picture.alt
    assert drawn, "no pictures"
