"""TinyStories (Eldan and Li, 2023) from the Hugging Face Hub, or from the cache of `datasets`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from helpers.errors import CourseError
from helpers.hub import hub_answers, require_hub

ADDRESS = "roneneldan/TinyStories"


def in_cache() -> bool:
    """Whether the whole data set was prepared here before, so that it can be used without the Hub."""
    from datasets import config

    folder = Path(config.HF_DATASETS_CACHE) / ADDRESS.replace("/TinyStories", "___tiny_stories")
    return all(any(folder.rglob(f"*-{split}*.arrow")) for split in ("train", "validation"))


def streamed(split: str, limit: int | None) -> Callable[[], Iterator[str]]:
    """A function that starts a pass over the first `limit` stories, fetched as they are read.

    Raises:
        CourseError: the Hub does not answer, now, or while stories are read.
    """
    online = _look()

    def texts() -> Iterator[str]:
        with _clear_errors(online):
            for row in islice(_load(split, streaming=True), limit):
                yield row["text"]

    return texts


def fetched(split: str, limit: int | None):
    """The first `limit` stories of a split: a `datasets.Dataset`, kept in the cache; or, where the cache does
    not have the data set and `limit` is given, a list, so that a thousand stories do not cost a gigabyte.

    Raises:
        CourseError: the Hub does not answer, or a download breaks.
    """
    cached, online = in_cache(), _look()
    with _clear_errors(online):
        if limit and not cached:
            return [row["text"] for row in islice(_load(split, streaming=True), limit)]
        dataset = _load(split, streaming=False)
        return dataset.select(range(min(limit or len(dataset), len(dataset))))


def _look() -> bool:
    """Whether the Hub answers; without it, the cache will do, and without that, a clear error."""
    if in_cache():
        return hub_answers(2)
    require_hub("TinyStories", 'use the bundled stories ("bundled"), or try again where the Hub answers')
    return True


def _load(split: str, streaming: bool):
    from datasets import load_dataset

    return load_dataset(ADDRESS, split=split, streaming=streaming)


@contextmanager
def _clear_errors(online: bool):
    """Say in one line how a download broke; without the Hub, send `datasets` to its cache at once."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    if not online:
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    except CourseError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CourseError(
            f'TinyStories could not be read ({reason}): try again, or use the bundled stories ("bundled")'
        ) from error
    finally:
        if not online:
            datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before
