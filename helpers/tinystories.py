"""TinyStories (Eldan and Li, 2023) from the Hugging Face Hub, or from the cache of `datasets`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path

from helpers.errors import CourseError
from helpers.hub import HubLost, hub_answers, impatient, require_hub

ADDRESS = "roneneldan/TinyStories"
PAGE = f"/datasets/{ADDRESS}/resolve/main/README.md"  # its first file that `datasets` asks for
# Where a download breaks off, `datasets` tries again 20 times, 5 to 60 seconds apart. (Names in datasets.config.)
_RETRIES = {"STREAMING_READ_MAX_RETRIES": 3, "STREAMING_OPEN_MAX_RETRIES": 3} | {
    f"STREAMING_{what}_RETRY_INTERVAL": 1 for what in ("READ", "OPEN", "READ_SERVER_UNAVAILABLE", "READ_RATE_LIMIT")
}


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
            rows = islice(_load(split, streaming=True), limit)
            first = next(rows, None)
        if first is not None:
            yield first["text"]
        with _clear_errors(online, patient=True):  # a run that has read for an hour outlives a minute without the Hub
            for row in rows:
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
        return hub_answers(2, PAGE)
    require_hub("TinyStories", 'use the bundled stories ("bundled"), or try again where the Hub answers', PAGE)
    return True


def _load(split: str, streaming: bool):
    from datasets import load_dataset

    return load_dataset(ADDRESS, split=split, streaming=streaming)


@contextmanager
def _clear_errors(online: bool, patient: bool = False):
    """Say in one line how a download broke; without the Hub, send `datasets` to its cache at once.

    With `patient`, the library tries again as often as it does by itself, and says so each time.
    """
    from datasets import config
    from huggingface_hub import constants

    before = {name: getattr(config, name) for name in ("HF_HUB_OFFLINE", *_RETRIES) if hasattr(config, name)}
    offline = constants.HF_HUB_OFFLINE
    if not patient:
        vars(config).update({name: value for name, value in _RETRIES.items() if name in before})
    if not online:
        config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        with nullcontext() if patient else impatient():
            yield
    except CourseError:
        raise
    except Exception as error:
        raise CourseError(
            f'TinyStories could not be read ({_reason(error)}): try again, or use the bundled stories ("bundled")'
        ) from error
    finally:
        vars(config).update(before)
        constants.HF_HUB_OFFLINE = offline


def _reason(error: BaseException) -> str:
    """Why, in a line: `datasets` says at length what it could not do, and what it came from says why."""
    while cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        if isinstance(error, HubLost):
            break
        error = cause
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if len(line) < 200 else line[:200].rsplit(" ", 1)[0] + " ..."
