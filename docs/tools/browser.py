"""A headless Chromium that cannot reach the internet, told what to do over its debugging protocol."""

import base64
import functools
import http.server
import itertools
import json
import os
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from course.doctor import find_chromium
from helpers.errors import CourseError

SECONDS = 60  # the browser may take to start, or a page to load


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def serve(folder: Path):
    """Serve a folder on a free port of this machine; gives the address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class Browser:
    """One page of a headless Chromium; `with Browser((1280, 720)) as browser`.

    Raises:
        CourseError: no Chromium is installed, or it does not start.
    """

    def __init__(self, size: tuple[int, int]):
        self.size, self.numbers, self.events = size, itertools.count(1), []

    def __enter__(self):
        import websocket

        chromium = find_chromium()
        if chromium is None:
            raise CourseError("no Chromium or Chrome was found: the decks cannot be looked at")
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = [
            "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
            "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={self.profile.name}",
            f"--window-size={self.size[0]},{self.size[1]}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            options.append("--no-sandbox")  # which Chromium demands of root, as in a container
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([chromium, *options, "about:blank"], **silent)
        try:
            self.socket = websocket.create_connection(self._page(), timeout=SECONDS)
            for domain in ("Page", "Network", "Runtime"):
                self.tell(f"{domain}.enable")
            width, height = self.size
            view = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            self.tell("Emulation.setDeviceMetricsOverride", **view)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if hasattr(self, "socket"):
            self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=SECONDS)
        self.profile.cleanup()

    def _page(self) -> str:
        """The address at which the browser's one page is told what to do."""
        import urllib.request

        told = Path(self.profile.name) / "DevToolsActivePort"
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            try:
                port = told.read_text(encoding="utf-8").split("\n")[0]
                local = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                pages = json.load(local.open(f"http://127.0.0.1:{port}/json", timeout=5))
                return next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"]
            except (OSError, ValueError, StopIteration):
                time.sleep(0.2)
        raise CourseError("Chromium did not start")

    def tell(self, method: str, **parameters) -> dict:
        """Send one command and return its result; what happens meanwhile is remembered in `events`."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, address: str) -> None:
        """Load a page; what earlier ones asked for is forgotten."""
        self.events.clear()
        self.tell("Page.navigate", url=address)

    def value(self, expression: str):
        """What a JavaScript expression is in the page, as Python sees its JSON; a promise is waited for."""
        result = self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression[:80]}: {result['result'].get('description', 'failed')}")
        return result["result"].get("value")

    def wait_for(self, condition: str) -> bool:
        """Wait until a JavaScript condition holds and the page's pictures and fonts are there; whether they were."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            if self.value(f"document.readyState === 'complete' && ({condition})"):
                self.value("document.fonts.ready.then(() => true)")
                return True
            time.sleep(0.1)
        return False

    def photograph(self) -> bytes:
        """The page as it is shown now, a PNG."""
        return base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"])

    def strangers(self) -> list[str]:
        """What the page asked for from other machines than this."""
        asked = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return sorted({url for url in asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:"))})

    def errors(self) -> list[str]:
        """Scripts that failed, and files of this machine that were not found."""
        found = [
            e["params"]["exceptionDetails"].get("exception", {}).get("description", "a script failed")
            for e in self.events
            if e["method"] == "Runtime.exceptionThrown"
        ]
        for event in self.events:
            response = event.get("params", {}).get("response", {})
            if response.get("status", 200) >= 400 and not response["url"].endswith("favicon.ico"):
                found.append(f"{response['status']} for {response['url']}")
        return found
