"""How fast the living page is in headless Chromium on this machine: the engine alone, without anything drawn.

python -m course page
python docs/tools/page_speed.py             # of runs/page; prints, and keeps nothing
python docs/tools/page_speed.py --page DIR

Each round is a browser of its own with an empty cache: the runtime is compiled again.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import median

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from browser import Browser, serve

from course.site.page import FACTS
from helpers.errors import CourseError
from helpers.files import runs_folder
from helpers.generation import PROMPT

ROUNDS = 3
MEASURE = """(async () => {
    const begun = performance.now();
    const { greedy, open } = await import("/engine/index.js");
    const engine = await open("/model/", "/runtime/");
    const loaded = performance.now();
    let story = await engine.start(engine.encode(%s));
    const first = performance.now();
    let tokens = 0;
    while (tokens < engine.facts.context && greedy(story.logits) !== engine.facts.end) {
        story = await engine.next(story, greedy(story.logits));
        tokens++;
    }
    const told = performance.now();
    return { load: loaded - begun, first: first - loaded, tokens, perSecond: (1000 * tokens) / (told - first) };
})()"""


def measure(page: Path) -> dict:
    """One round: milliseconds to load and to the first token, and the tokens a second of a greedy story."""
    with serve(page) as address, Browser((800, 600)) as browser:
        browser.open(f"{address}/engine/LICENSES.txt")  # any file of the page that runs nothing by itself
        browser.wait_for("location.pathname.endsWith('.txt')")
        return browser.value(MEASURE % json.dumps(PROMPT))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, metavar="DIR", help="the page's folder (default: runs/page)")
    asked = parser.parse_args(arguments)
    try:
        page = asked.page or runs_folder() / "page"
        if not (page / FACTS).is_file():
            raise CourseError(f"{page} is no page: make one with python -m course page")
        rounds = [measure(page) for _ in range(ROUNDS)]
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    load, first, speed = (median(each[key] for each in rounds) for key in ("load", "first", "perSecond"))
    busy = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    print(
        f"loaded in {load / 1000:.2f} s, the first token {first / 1000:.2f} s later, then {speed:.0f} tokens a second"
    )
    print(f"the median of {ROUNDS} rounds of {rounds[0]['tokens']} tokens; {os.cpu_count()} cores, their load {busy}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
