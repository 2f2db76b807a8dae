"""Open every deck in headless Chromium with the internet closed, and report what does not fit on its slide.

    python docs/tools/check_slides.py                            the decks in runs/slides
    python docs/tools/check_slides.py 05 --pictures runs/photos  one deck, and a photograph of each of its slides

Each slide is shown at 1280 x 720 with all its fragments. Reported are: content beyond the slide's padding, code wider
than the slide or smaller than 16 pixels, figures with text below 15 pixels, other pictures shown below seven tenths of
their own size, missing pictures, slides without a word, scripts that failed, and requests that leave this machine.
The exit code is 1 if there is any. How many slides are less than a third full is counted as well.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "tools")]

from browser import Browser, serve

from helpers.errors import CourseError
from helpers.files import runs_folder

SIZE = (1280, 720)
THIN = 1 / 3  # of a slide's height is used

# One slide after the other: its place, its title, what is wrong with it.
_SHOW = "(i) => { const s = Reveal.getSlides()[i], p = Reveal.getIndices(s); Reveal.slide(p.h, p.v, 999); return true }"
_MEASURE = """(i) => {
    const slide = Reveal.getSlides()[i], wrong = [], frame = slide.getBoundingClientRect();
    const title = slide.querySelector('h1, h2, h3, .kicker');
    for (const one of slide.querySelectorAll('*')) {
        if (one.closest('aside') || one.closest('.anchor-link') || !one.getClientRects().length) continue;
        const box = one.getBoundingClientRect();
        if (box.bottom > frame.top + 720 - 16) wrong.push(`${Math.round(box.bottom - 720 - frame.top)} px below`);
        if (box.right > frame.left + 1280 - 20) wrong.push(`${Math.round(box.right - 1280 - frame.left)} px right`);
        if (one.scrollWidth > one.clientWidth + 2 && one.tagName === 'PRE') wrong.push('code too wide');
        const size = parseFloat(getComputedStyle(one).fontSize);
        if (one.tagName === 'PRE' && size < 16) wrong.push(`code at ${size} px`);
        if (one.tagName === 'IMG') {
            if (!one.naturalWidth) wrong.push('a picture is missing');
            else {
                const scale = Math.min(box.width / one.naturalWidth, box.height / one.naturalHeight);
                const text = scale * one.dataset.smallest; // which pictures stored as pixels do not tell
                if (text < 15) wrong.push(`a picture with text of ${text.toFixed(1)} px`);
                if (!text && scale < 0.7) wrong.push(`a picture at ${Math.round(100 * scale)} percent of its size`);
            }
        }
    }
    const leaves = [...slide.querySelectorAll('p, li, pre, img, svg, table, math, h2, h3')];
    const seen = leaves.filter((one) => !one.closest('aside') && one.getClientRects().length);
    const low = Math.max(...seen.map((one) => one.getBoundingClientRect().bottom - frame.top));
    const shown = [...slide.children].filter((e) => !e.matches('aside')).map((e) => e.innerText).join('').trim();
    if (!shown) wrong.push('no word on it');
    return [title ? title.innerText : '', [...new Set(wrong)].slice(0, 4), low / 720];
}"""


def check(browser: Browser, address: str, pictures: Path | None = None) -> tuple[list[str], list[int]]:
    """What is wrong with the deck at `address`, a line each, and the numbers of the slides that are less than a third
    full, the title left out; with `pictures`, PNGs of the slides go there.

    Raises:
        CourseError: the page is no deck.
    """
    browser.open(address)
    if not browser.wait_for("window.Reveal && Reveal.isReady && Reveal.isReady()"):
        raise CourseError(f"{address} is no deck of slides, or its scripts did not load")
    wrong, thin = [], []
    for i in range(browser.value("Reveal.getSlides().length")):
        browser.value(f"({_SHOW})({i})")
        title, found, full = browser.value(f"({_MEASURE})({i})")
        thin += [i + 1] * (i > 0 and full < THIN)
        wrong += [f"slide {i + 1} ({title}): {one}" for one in found]
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
            name = address.split("/")[-1].split(".")[0]
            (pictures / f"{name}-{i + 1:02d}.png").write_bytes(browser.photograph())
    wrong += [f"a request that leaves this machine: {url}" for url in browser.strangers()]
    return wrong + [f"an error in the page: {text}" for text in browser.errors()], thin


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", nargs="*", help="numbers of notebooks, such as 05; every deck if none is given")
    parser.add_argument("--slides", type=Path, default=runs_folder() / "slides", help="the folder of the decks")
    parser.add_argument("--pictures", type=Path, help="a folder for photographs of every slide")
    asked = parser.parse_args(arguments)
    decks = sorted(asked.slides.glob("*.slides.html"))
    decks = [deck for deck in decks if not asked.number or deck.name[:2] in asked.number]
    bad = 0
    try:
        if not decks:
            raise CourseError(f"no deck in {asked.slides}: python docs/tools/build_slides.py makes them")
        with serve(asked.slides) as address, Browser(SIZE) as browser:
            for deck in decks:
                wrong, thin = check(browser, f"{address}/{deck.name}", asked.pictures)
                bad += bool(wrong)
                slides = browser.value("Reveal.getSlides().length")
                print(f"{deck.name}: {slides} slides, {len(wrong) or 'nothing'} wrong, {len(thin)} thin: {thin}")
                for line in wrong:
                    print(f"    {line}")
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
