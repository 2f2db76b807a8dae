"""Is the Hugging Face Hub there? Asked before its clients are: they try for half a minute."""

import os
import threading
import urllib.error
import urllib.request

from helpers.errors import CourseError


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
        path: what is asked for behind the Hub's address: "/openai-community/gpt2/resolve/main/config.json".
    """
    if hub_is_off():
        return False
    answered = threading.Event()

    def ask():
        try:
            request = urllib.request.Request(hub_address() + path, method="HEAD")
            urllib.request.build_opener(_StayHere).open(request, timeout=seconds).close()
            answered.set()
        except urllib.error.HTTPError as error:  # a refusal is an answer too, unless a proxy or a gateway made it
            if error.code not in {403, 407, 502, 503, 504}:
                answered.set()
        except (OSError, ValueError):
            pass

    # A look-up of a name has no time limit of its own, so the question is asked in a thread that may be left
    # behind.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()


def require_hub(wanted: str, instead: str) -> None:
    """Raise a clear error, within seconds, if the Hub cannot be asked for `wanted`; `instead` is what else to
    do.

    Raises:
        CourseError: the Hub is switched off by `HF_HUB_OFFLINE`, or does not answer.
    """
    if hub_is_off():
        raise CourseError(f"{wanted} is not in the cache, and HF_HUB_OFFLINE forbids fetching it: {instead}")
    if not hub_answers():
        raise CourseError(f"{wanted} must be fetched, and {hub_address()} does not answer: {instead}")
