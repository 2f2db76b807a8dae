"""Open every page of the web book in headless Chromium, and report what keeps somebody from reading it.

python docs/tools/build_book.py
python docs/tools/check_book.py                                       # the book in runs/book
python docs/tools/check_book.py 03 index --pictures runs/photographs  # some pages, photographed

Each page is opened light and dark in a wide window and in a phone's, everything that unfolds unfolded, and read by
axe-core. Reported are: axe's findings from --least on (serious, unless told otherwise), a page wider than its window,
pictures that do not load, figures too small to be read or in the colors of the other theme, scripts that fail, every
request to another machine, code that scrolls sideways or is small in a window of 1280 or 1920 pixels, a skip link or a
focus that cannot be seen, and a search that does not find. The exit code is 1 if there is any.

axe-core comes from the npm registry by `npm pack`, once; it stays in runs/tools.
"""

import argparse
import base64
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "tools")]

from browser import Browser, serve

from helpers.errors import CourseError
from helpers.files import runs_folder, write_atomically

AXE = "axe-core@4.14.1"
WINDOWS = {"wide": (1280, 900), "phone": (375, 812)}
COLUMNS = ((1280, 900), (1920, 1080))  # windows in which no code scrolls sideways; on a phone it may
SMALLEST_CODE = 13  # pixels
THEMES = ("light", "dark")
IMPACTS = ("minor", "moderate", "serious", "critical")
KNOWN_WORD = "attention"

_UNFOLD = "document.querySelectorAll('details').forEach(one => one.open = true)"
_RUN_AXE = """axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(rule => {
    const {id, impact, help, nodes} = rule, where = nodes[0].html.slice(0, 160);
    const why = nodes[0].failureSummary.split('\\n').slice(1).join(' ').trim();
    return {id, impact, help, number: nodes.length, where, why}}))"""
_WIDE_ONES = """(() => {
    const scrolling = 'pre, .output, .course-figure, .pst-scrollable-table-container, div.math, .visually-hidden';
    const wide = one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(scrolling);
    const found = [...document.querySelectorAll('.bd-article *')].filter(wide);
    return found.slice(0, 3).map(one => one.outerHTML.slice(0, 80));
})()"""
_CODE_THAT_SCROLLS = f"""(() => {{
    const code = [...document.querySelectorAll('.cell pre, .bd-article details pre, .highlight-python pre')];
    const wide = code.filter(one => one.scrollWidth > one.clientWidth);
    const small = code.filter(one => parseFloat(getComputedStyle(one).fontSize) < {SMALLEST_CODE});
    const longest = one => one.innerText.split('\\n').reduce((a, b) => b.length > a.length ? b : a, '').slice(0, 60);
    return [wide, small].map(found => [found.length, found.slice(0, 3).map(longest)]);
}})()"""
_SMALL_FIGURES = """[...document.querySelectorAll('.course-drawing')].filter(one => {
    const read = parseFloat(getComputedStyle(one).getPropertyValue('--least'));
    return [...one.querySelectorAll('.whole img, .panel')].some(part => {
        const wide = parseFloat(getComputedStyle(part).getPropertyValue('--w'));
        const shown = part.getBoundingClientRect().width;
        return shown && shown < wide * read - 1;
    });
}).map(one => one.getAttribute('aria-label').slice(0, 80))"""
_WITHOUT_PICTURE = """[...document.querySelectorAll('.course-drawing')].filter(one => {
    const seen = [...one.querySelectorAll('img')].filter(image => image.getClientRects().length);
    return !seen.length || seen.some(image => !image.className.includes(document.documentElement.dataset.theme));
}).map(one => one.getAttribute('aria-label').slice(0, 80))"""
_BROKEN = "[...document.images].filter(one => one.complete && !one.naturalWidth).map(one => one.src)"
_FOCUSED = """(() => {
    const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
    const inside = box.bottom > 0 && box.top < innerHeight;
    const marked = style.outlineStyle !== 'none' || style.boxShadow !== 'none';
    return {html: one.outerHTML.slice(0, 80), href: one.getAttribute('href'), seen: inside && marked}
})()"""


def axe_source() -> str:
    """axe-core's script, fetched with npm the first time.

    Raises:
        CourseError: npm is missing or could not fetch it.
    """
    kept = runs_folder() / "tools" / f"{AXE}.min.js"
    if not kept.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise CourseError(f"npm is needed to fetch {AXE}, and is not installed")
        kept.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([npm, "pack", "--silent", AXE], cwd=kept.parent, capture_output=True, text=True)
        if done.returncode:
            raise CourseError(f"npm could not fetch {AXE}: {done.stderr.strip()[-300:]}")
        package = kept.parent / done.stdout.strip().split("\n")[-1]
        with tarfile.open(package) as archive:
            write_atomically(kept, archive.extractfile("package/axe.min.js").read())
        package.unlink()
    return kept.read_text(encoding="utf-8")


class Reader:
    """Opens pages of the book in one window of the browser and writes down what is wrong."""

    def __init__(self, browser: Browser, address: str, axe: str, least: str):
        self.browser, self.address, self.axe = browser, address, axe
        self.reported = IMPACTS[IMPACTS.index(least) :]

    def window(self, kind: str, theme: str) -> None:
        """Become a wide window or a phone's, of somebody who likes it light or dark."""
        self._resize(*WINDOWS[kind], phone=kind == "phone")
        wish = [{"name": "prefers-color-scheme", "value": theme}]
        self.browser.tell("Emulation.setEmulatedMedia", features=wish)

    def _resize(self, width: int, height: int, phone: bool = False) -> None:
        view = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self.browser.tell("Emulation.setDeviceMetricsOverride", **view)

    def open(self, page: str) -> None:
        self.browser.open(f"{self.address}/{page}")
        # The living page is busy until its model is there.
        ready = "document.documentElement.dataset.theme && !document.querySelector('[aria-busy=true]')"
        if not self.browser.wait_for(ready):
            raise CourseError(f"{page} did not load")

    def faults(self, page: str, theme: str) -> list[str]:
        """What is wrong with a page in the present window."""
        self.open(page)
        value = self.browser.value
        found = [] if value("document.documentElement.dataset.theme") == theme else [f"is not shown {theme}"]
        value(_UNFOLD)
        value("dispatchEvent(new Event('resize'))")
        wide, has = value("document.documentElement.scrollWidth"), value("innerWidth")
        if wide > has or value(_WIDE_ONES):
            found.append(f"is {wide} pixels wide in a window of {has}: {value(_WIDE_ONES)}")
        found += [f"does not load {source}" for source in value(_BROKEN)]
        found += [f"has a figure whose text is too small: {words}" for words in value(_SMALL_FIGURES)]
        found += [f"has no figure for a {theme} page: {words}" for words in value(_WITHOUT_PICTURE)]
        found += self.browser.errors() + [f"asks for {url}" for url in self.browser.strangers()]
        value(self.axe)
        for rule in value(_RUN_AXE):
            if rule["impact"] in self.reported:
                found.append(
                    f"{rule['impact']}: {rule['help']} ({rule['id']}, {rule['number']} times): "
                    f"{rule['where']!r}: {rule['why']}"
                )
        return found

    def column_faults(self, page: str) -> list[str]:
        """Code that is wider than its column in one of `COLUMNS`, or set too small; solutions unfolded."""
        found = []
        for width, height in COLUMNS:
            self._resize(width, height)
            self.open(page)
            self.browser.value(_UNFOLD)
            (wide, longest), (small, examples) = self.browser.value(_CODE_THAT_SCROLLS)
            if wide:
                found.append(f"{wide} pieces of code scroll sideways in a window of {width} pixels: {longest}")
            if small:
                found.append(f"{small} pieces of code are smaller than {SMALLEST_CODE} pixels: {examples}")
        return found

    def keyboard_faults(self, page: str, tabs: int = 25) -> list[str]:
        """Walk through a page with Tab: the skip link comes first, and one always sees where one is."""
        self.open(page)
        found = []
        for number in range(tabs):
            for kind in ("keyDown", "keyUp"):
                self.browser.tell("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            for _ in range(10):  # what comes into view may take a moment to do so
                focused = self.browser.value(_FOCUSED)
                if focused["seen"]:
                    break
                time.sleep(0.1)
            if number == 0 and focused["href"] != "#main-content":
                found.append(f"Tab does not first reach the skip link but {focused['html']}")
            if not focused["seen"]:
                found.append(f"no focus to be seen at {focused['html']}")
        return found

    def search_faults(self) -> list[str]:
        """The book's search finds a word that stands in it."""
        self.open(f"search.html?q={KNOWN_WORD}")
        if self.browser.wait_for("document.querySelectorAll('#search-results li a').length > 2"):
            return []
        return [f"the search finds nothing for {KNOWN_WORD!r}"]

    def photograph(self, page: str, folder: Path, name: str) -> None:
        """The whole page as a picture, at most 12,000 pixels of it."""
        self.open(page)
        height = min(self.browser.value("document.documentElement.scrollHeight"), 12_000)
        width = self.browser.value("innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        taken = self.browser.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))


def check(html: Path, words: list[str], pictures: Path | None, least: str) -> tuple[int, list[str]]:
    """How many pages were read, and one line for each fault."""
    pages = [path.relative_to(html).as_posix() for path in sorted(html.rglob("*.html"))]
    pages = [page for page in pages if not page.startswith("_") and page != "genindex.html"]
    chosen = [page for page in pages if not words or any(word in page for word in words)]
    if not chosen:
        raise CourseError(f"no such page in {html}: build the book first with python docs/tools/build_book.py")
    found = []
    with serve(html) as address, Browser(WINDOWS["wide"]) as browser:
        reader = Reader(browser, address, axe_source(), least)
        for kind in WINDOWS:
            for theme in THEMES:
                reader.window(kind, theme)
                for page in chosen:
                    faults = reader.faults(page, theme)
                    found += [f"{page} ({kind}, {theme}): {fault}" for fault in faults]
                    if pictures:
                        reader.photograph(page, pictures, f"{page[:-5].replace('/', '-')}-{kind}-{theme}")
        reader.window("wide", "light")
        for page in chosen:
            found += [f"{page} (keyboard): {fault}" for fault in reader.keyboard_faults(page)]
        for page in chosen:
            found += [f"{page} (columns): {fault}" for fault in reader.column_faults(page)]
        reader.window("wide", "light")
        found += reader.search_faults()
    return len(chosen), found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only pages with one of these in their names")
    parser.add_argument("--book", type=Path, help="where the book was built (default: runs/book)")
    parser.add_argument("--pictures", type=Path, help="a folder for photographs of the pages")
    parser.add_argument(
        "--least", choices=IMPACTS, default="serious", help="the least impact of axe's that is reported"
    )
    asked = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        html = (asked.book or runs_folder() / "book").resolve() / "html"
        number, found = check(html, asked.words, asked.pictures, asked.least)
    except CourseError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{number} pages read in {time.monotonic() - started:.0f} s: {len(found) or 'no'} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
