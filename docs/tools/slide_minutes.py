"""What a teaching plan says of each slide, for the speaker's notes: which minutes, what happens, what to leave out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from course.classroom import plans

LECTURES = (50, 80)
_ALWAYS = ("Recap", "Where to go next")  # sections that no lecture leaves out; neither does one the deck's opening
_START = re.compile(r"course\.start\(\"(\d\d)\"\)")  # in the setup cell


@dataclass(frozen=True)
class Row:
    """A row of a lecture: from which minute to which, what happens, in which sections of the notebook."""

    start: int
    end: int
    what: str
    sections: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a slide stands: its section (##, or # without its number), the part of it (###), the exercise it shows."""

    section: str
    part: str = ""
    exercise: str = ""


def plan_of(cells: Sequence) -> str:
    """The teaching plan of the notebook with these cells; "" where there is none."""
    number = next((found[1] for cell in cells if (found := _START.search(cell.source))), None)
    path = plans.path_of(number)
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def lecture(plan: str, minutes: int) -> list[Row]:
    """The rows of the plan's lecture of so many minutes."""
    table = plans.part(plan, f"In {minutes} minutes")
    rows, at = [], 0
    for taken, what, where in re.findall(r"^\| *(\d+) *\|(.*?)\|([^|]*)\|$", table, re.MULTILINE):
        rows.append(Row(at, at + int(taken), what.strip(), tuple(re.findall(r"\*§ (.+?)\*(?!\*)", where))))
        at += int(taken)
    return rows


def places(slides: Sequence[Sequence]) -> list[Place]:
    """Where each slide stands, by the headings that begin its cells and those of the slides before."""
    found, section, part = [], "", ""
    for cells in slides:
        exercise = ""
        for cell in cells:
            heading = re.match(r"(#+) (?:\d+ · )?(.+)", cell.source) if cell.cell_type == "markdown" else None
            card = heading and re.match(r"Exercise (\d+\.\d+)", heading[2])
            if card:
                exercise = card[1]
            elif heading:
                section, part = (heading[2].strip(), "") if len(heading[1]) < 3 else (section, heading[2].strip())
        found.append(Place(section, part, exercise))
    return found


def shown_in(rows: Sequence[Row], spots: Sequence[Place], elsewhere: Sequence[Row] = ()) -> list[bool]:
    """For each slide whether a lecture shows it; `elsewhere` are the rows of all lectures of the plan.

    A part that some lecture names by itself belongs to those alone that name it; any other goes with its section.
    """
    named = {name for row in rows for name in row.sections}
    by_itself = {name for row in (*rows, *elsewhere) for name in row.sections}
    opened = {spot.section for spot in spots if spot.part in named}  # one of its parts is shown, so its opening is
    shown = []
    for spot in spots:
        if spot.exercise:
            shown.append(any(re.search(rf"\b{re.escape(spot.exercise)}\b", row.what) for row in rows))
        elif spot.part in by_itself:
            shown.append(spot.part in named)
        else:
            whole = spot.section in named or spot.section in (spots[0].section, *_ALWAYS)
            shown.append(whole or (not spot.part and spot.section in opened))
    return shown


def slides_by_row(rows: Sequence[Row], spots: Sequence[Place], shown: Sequence[bool]) -> list[int]:
    """How many slides each row of a lecture has, the cards of its exercises not counted.

    What opens the deck belongs to the first row; what closes it, where no row names it, to the last.
    """
    counts = [0] * len(rows)
    inside = {spot.part: spot.section for spot in spots if spot.part}
    for spot in (spot for spot, on in zip(spots, shown, strict=True) if on and not spot.exercise):
        of_part = [i for i, row in enumerate(rows) if spot.part in row.sections]
        of_section = [i for i, row in enumerate(rows) if spot.section in row.sections]
        of_its_parts = [i for i, row in enumerate(rows) if spot.section in map(inside.get, row.sections)]
        otherwise = [0 if spot.section == spots[0].section else len(rows) - 1]
        counts[(of_part or of_section or of_its_parts or otherwise)[0]] += 1
    return counts


def runs(numbers: Sequence[int]) -> str:
    """Numbers in words: "5, 18, 25 to 29"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in found)


def said_of(slides: Sequence[Sequence], plan: str) -> list[str]:
    """For each slide what the plan says of it, in Markdown; "" where it says nothing new."""
    if not plan:
        return [""] * len(slides)
    spots = places(slides)
    aim = re.search(r"^\*\*One sentence to leave them with:\*\* .+$", plan, re.MULTILINE)
    said: list[list[str]] = [[] for _ in slides]
    said[0] += [aim[0]] if aim else []
    every = [row for minutes in LECTURES for row in lecture(plan, minutes)]
    for minutes in LECTURES:
        rows = lecture(plan, minutes)
        shown = shown_in(rows, spots, every)
        out = [i + 1 for i, is_shown in enumerate(shown) if not is_shown]
        leave = f"leave out {runs(out)}" if out else "all slides"
        said[0].append(f"**{minutes} minutes:** {leave}. (G, a number and Enter go to a slide.)")
        for row in rows:
            first = row.sections[0]
            begins = (i for i, spot in enumerate(spots) if first in (spot.section, spot.part) and not spot.exercise)
            at = next(begins, None)
            if at is not None:
                said[at].append(f"**{minutes} minutes,** minute {row.start} to {row.end}: {row.what}.")
        for i, is_shown in enumerate(shown):
            if not is_shown and (i == 0 or shown[i - 1]):
                on = next((j + 1 for j in range(i, len(shown)) if shown[j]), None)
                said[i].append(f"**{minutes} minutes:** leave out" + (f", go on with slide {on}." if on else "."))
    return ["\n\n".join(lines) for lines in said]
