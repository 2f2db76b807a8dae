"""Built in notebook 02: the Hugging Face Hub, asked whether it is there, and TinyStories from it or from the cache.

It is asked before its clients are: they try for half a minute, or for ever.

Used by `helpers.stories` (02), `helpers.tokenizer` (01) and `helpers.pretrained` (12).
"""

import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path

from helpers.errors import CourseError, first_line

# What a proxy, a gateway or a Hub that is busy answers: trying again at once will not help.
_REFUSALS = {403, 407, 408, 429, 500, 502, 503, 504}
_BUSY = _REFUSALS - {403}
_SECONDS_OF_SILENCE = 5  # a request of the Hub's clients may wait so long for each next sign
_SECONDS_OF_TROUBLE = 6  # and they may try again for so long


def hub_address() -> str:
    """Where the Hub is: https://huggingface.co, or the address in `HF_ENDPOINT`."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def hub_is_off() -> bool:
    """Whether the clients are told to stay offline (`HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`)."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in names)


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Where the Hub sends us on, it has answered."""

    def redirect_request(self, *_):
        return None


def hub_answers(seconds: float = 4.0, path: str = "") -> bool:
    """Whether the Hub answers a request within `seconds`, whatever its answer is. Proxies are used as set.

    Args:
        path: what is asked for behind the Hub's address: "/openai-community/gpt2/resolve/main/config.json". A page
            that something else sends in the place of such a file (the log-in of a hotel's network) is no answer.
    """
    if hub_is_off():
        return False
    answered = threading.Event()

    def ask():
        try:
            request = urllib.request.Request(hub_address() + path, method="HEAD")
            with urllib.request.build_opener(_StayHere).open(request, timeout=seconds) as answer:
                if "/resolve/" not in path or answer.headers.get("X-Repo-Commit"):
                    answered.set()
        except urllib.error.HTTPError as error:  # a refusal is an answer too, unless a proxy or a gateway made it
            if error.code not in _REFUSALS:
                answered.set()
        except Exception:  # a broken proxy answers with anything at all, and urllib has no one error for that
            pass

    # A look-up of a name has no time limit of its own, so the question is asked in a thread that may be left
    # behind.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()


def require_hub(wanted: str, instead: str, path: str = "") -> None:
    """Raise a clear error, within seconds, if the Hub cannot be asked for `wanted`; `instead` is what else to
    do.

    Args:
        path: a file of it, as for `hub_answers`: a Hub can answer and yet not give what is wanted.

    Raises:
        CourseError: the Hub is switched off by `HF_HUB_OFFLINE`, does not answer, or does not give that file.
    """
    if hub_is_off():
        raise CourseError(f"{wanted} is not in the cache, and HF_HUB_OFFLINE forbids fetching it: {instead}")
    if hub_answers(path=path):
        return
    if path and hub_answers():
        raise CourseError(
            f"{hub_address()} does not give {wanted}: it is busy, or something in between does not let you: {instead}"
        )
    raise CourseError(f"{wanted} must be fetched, and {hub_address()} does not answer: {instead}")


class HubLost(RuntimeError):
    """The Hub was given up; the message says what it last did. Who catches it says what was wanted, and what to do."""


_impatient = 0  # how many `impatient` blocks are open


@contextmanager
def impatient() -> Iterator[None]:
    """Let the clients of `huggingface_hub` give up after seconds: while this is open, a Hub that refuses or is silent
    is tried again for a few seconds and no longer. By themselves they try for half a minute, and wait for ever.

    Raises:
        HubLost: inside the block, as soon as the Hub is given up.
    """
    global _impatient
    from huggingface_hub import get_session

    client = get_session()
    if hasattr(client, "event_hooks") and not hasattr(client, "gives_up"):  # not so in huggingface_hub below 1.0
        _teach_to_give_up(client)
    _impatient += 1
    try:
        yield
    finally:
        _impatient -= 1


def _teach_to_give_up(client) -> None:
    """Have `client.send` raise a HubLost where trouble lasts, while an `impatient` block is open."""
    send, trouble = client.send, []  # when each request began that failed, since the last that did not

    def give_up(problem: str):
        trouble.clear()
        raise HubLost(f"{hub_address()} {problem}")

    def send_or_give_up(request, **options):
        if not _impatient:
            return send(request, **options)
        trouble.append(time.monotonic())
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), _SECONDS_OF_SILENCE)
        try:
            response = send(request, **options)
        except Exception as error:
            silent = "Timeout" in type(error).__name__
            if silent and time.monotonic() - trouble[0] < _SECONDS_OF_TROUBLE:
                raise
            give_up("is silent" if silent else f"breaks off ({type(error).__name__})")
        if response.status_code not in _BUSY:
            trouble.clear()
        elif response.status_code == 429 or time.monotonic() - trouble[0] > _SECONDS_OF_TROUBLE:
            give_up(f"answers with status {response.status_code}")  # after 429 the library would wait as it is told
        return response

    client.send, client.gives_up = send_or_give_up, True


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
    line = first_line(error)
    return line if len(line) < 200 else line[:200].rsplit(" ", 1)[0] + " ..."
