"""No network, broken proxies, Hubs that refuse, fall silent or break off: one clear sentence within seconds, each time.

A server on this machine misbehaves as it is told. The questions are asked in one new process, because the Hub's clients
read their settings when they are imported; the times that they wait are made short there, so that silence costs little.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from urllib.parse import unquote

import pytest

from helpers.files import repository_root

QUESTIONS = ("stream", "limit", "tokenizer", "model")
# What the root of the server answers, and what all behind it does.
WAYS = {
    "refused": ("403", "403"),
    "a login page": ("html", "html"),
    "no gateway": ("502", "502"),
    "garbage": ("garbage", "garbage"),
    "hangs up": ("drop", "drop"),
    "silent": ("silent", "silent"),
    "busy behind its door": ("200", "503"),
    "breaks off": ("200", "once"),  # a first answer as a Hub's, then status 503
    "falls silent": ("200", "once-silent"),
    "too many requests": ("200", "once-429"),
    "dies": ("200", "once-drop"),
}
ASK = """
import json, sys, time, urllib.request
import datasets, huggingface_hub, tokenizers  # importing them is not part of any answer
from helpers import hub
hub._SECONDS_OF_SILENCE, hub._SECONDS_OF_TROUBLE = 1, 0.5
hub.hub_answers.__defaults__ = (1.5, "")
from helpers.errors import CourseError
from helpers.model import GPT
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer

questions = {
    "stream": lambda: next(iter(load_stories("tinystories", streaming=True))),
    "limit": lambda: load_stories("tinystories", limit=5)[0],
    "tokenizer": lambda: load_tokenizer("gpt2"),
    "model": lambda: GPT.from_pretrained("gpt2"),
}
for way, question in json.loads(sys.argv[1]):
    if len(sys.argv) > 2:
        address = sys.argv[2] + "/now/" + way.replace(" ", "%20")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address)
    began, said = time.perf_counter(), ""
    try:
        said = f"GOT {questions[question]()!r}"
    except CourseError as error:
        said = str(error)
    except Exception as error:
        said = f"RAW {error!r}"
    print(json.dumps([way, question, said, time.perf_counter() - began]), flush=True)
"""


class Server:
    """A server, or a proxy, that answers as it is told; `asked` are the requests since it was told last."""

    def __init__(self):
        self.way, self.asked, self.counts = "refused", [], {}
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._over = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self):
        self._over.set()
        self._listening.close()

    def _listen(self):
        while not self._over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket):
        with connection:
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    if not (more := connection.recv(4096)):
                        return
                    request += more
                method, path, *_ = request.decode("latin-1").split()
                if path.startswith("/now/"):
                    self.counts[self.way] = self.counts.get(self.way, 0) + len(self.asked)
                    self.way, self.asked = unquote(path.removeprefix("/now/")), []
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                self.asked.append(f"{method} {path}")
                root, behind = WAYS[self.way]
                self._misbehave(connection, root if path in ("/", "") else behind)
            except OSError:
                pass

    def _misbehave(self, connection: socket.socket, how: str):
        body, first = b"", sum("/resolve/" in each for each in self.asked) == 1
        if how.startswith("once"):
            how = "hub" if first else how.partition("-")[2] or "503"
        if how == "silent":
            self._over.wait(30)
        elif how == "garbage":
            connection.sendall(b"\x00\x01 what?\r\n" * 30)
        elif how != "drop":
            status = {"html": "200", "hub": "200"}.get(how, how)
            page = b"<html>Log in to the hotel's network</html>" if how == "html" else body
            more = b"X-Repo-Commit: 1\r\nETag: 1\r\n" if how == "hub" else b"Retry-After: 300\r\n" * (how == "429")
            head = f"HTTP/1.1 {status} So\r\nContent-Length: {len(page)}\r\nConnection: close\r\n".encode()
            connection.sendall(head + more + b"\r\n" + page)


@contextmanager
def server():
    one = Server()
    try:
        yield one
    finally:
        one.close()


def ask(
    questions: list[tuple[str, str]], home, control: str = "", **variables: str
) -> list[tuple[str, str, str, float]]:
    """What a new process is told: (way, question, the sentence, seconds); its caches are in the empty folder `home`."""
    closed = ("HF_", "TRANSFORMERS_OFFLINE", "HTTP_", "HTTPS_", "ALL_PROXY", "NO_PROXY")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(closed)}
    kept |= {"HF_HOME": str(home), "OMP_NUM_THREADS": "1"} | variables
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(questions), *([control] if control else [])],
        cwd=repository_root(), env=kept, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def is_one_clear_sentence(said: str, address: str) -> bool:
    what_to_do = ("try again", "load_tokenizer", '"bundled"', "give a folder")
    return (
        not re.search(r"\n|None", said)
        and len(said) < 400
        and not said.startswith(("RAW", "GOT"))
        and any(w in said for w in what_to_do)
    )


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """Every question, of a Hub that misbehaves in every way: {(way, question): (sentence, seconds)}, and requests."""
    with server() as one:
        asked = [(way, question) for way in WAYS for question in QUESTIONS]
        variables = {"HF_ENDPOINT": one.address, "NO_PROXY": "127.0.0.1"}
        found = ask(asked, tmp_path_factory.mktemp("home"), one.address, **variables)
        counts = one.counts | {one.way: one.counts.get(one.way, 0) + len(one.asked)}
    return {(way, question): (said, seconds) for way, question, said, seconds in found}, counts, one.address


@pytest.mark.parametrize("way", WAYS)
def test_it_is_said_in_one_clear_sentence_and_nothing_else_is_given(heard, way):
    found, counts, address = heard
    for question in QUESTIONS:
        said, seconds = found[way, question]
        assert is_one_clear_sentence(said, address), f"{question}: {said}"
        assert seconds < 120, f"{question}: the clients went on trying"  # a second or two where nothing else computes
    assert counts[way] <= 6 * len(QUESTIONS), "asked again and again"  # by themselves the clients ask seven times


@pytest.mark.parametrize("way", ["refused", "no gateway", "garbage", "silent"])
def test_a_proxy_that_answers_errors_is_told_from_a_hub_that_does(way, tmp_path):
    with server() as proxy:
        proxy.way = way
        variables = {"HTTPS_PROXY": proxy.address, "https_proxy": proxy.address}
        asked = [(way, question) for question in QUESTIONS[1:3]]
        found = ask(asked, tmp_path, **variables)
        assert any(line.startswith("CONNECT huggingface.co") for line in proxy.asked)
    for _, _, said, seconds in found:
        assert "https://huggingface.co does not answer" in said and seconds < 120


def test_where_there_is_no_network_at_all(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    found = ask([("none", question) for question in QUESTIONS], tmp_path, HF_ENDPOINT=address, NO_PROXY="127.0.0.1")
    for _, question, said, seconds in found:
        assert f"{address} does not answer" in said and is_one_clear_sentence(said, address), question
        assert seconds < 120


def test_patience_comes_back_afterwards(monkeypatch):
    """Outside the block the library's clients are as they were."""
    from huggingface_hub import get_session

    from helpers import hub

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "_SECONDS_OF_TROUBLE", -1)
    with server() as one:
        one.way = "no gateway"
        with pytest.raises(hub.HubLost, match="answers with status 502"), hub.impatient():
            get_session().get(one.address)
        assert [get_session().get(one.address).status_code for _ in range(3)] == [502, 502, 502]
