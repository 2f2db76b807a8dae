"""The scoreboard: every model of the course on the same validation stories, in bits per byte.

Bits per byte do not depend on the tokenizer, so the numbers of all notebooks compare. What a notebook adds
goes to `runs/scoreboard/NN.json`; what earlier notebooks would have added, had they been run here, is filled
in from `data/scoreboard.json` and marked as shipped.
"""

import html
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import course
from course import mine
from helpers.errors import CourseError
from helpers.files import data_folder, read_json, runs_folder, write_json

FLOOR = "the floor: the grammar itself"  # its entropy, the source entropy


@dataclass(frozen=True)
class Row:
    """One model's score. `nats_per_token` is its cross-entropy loss; without tokens it is None, `tokenizer` then ""."""

    name: str
    bits_per_byte: float
    nats_per_token: float | None
    tokenizer: str
    parameters: int
    notebook: str
    shipped: bool = False


def add(
    name: str,
    *,
    nats_per_token: float,
    bits_per_byte: float,
    tokenizer: str,
    parameters: int,
    notebook: str | None = None,
) -> None:
    """Put a model on the scoreboard, or replace the row of the same name that this notebook added before.

    `notebook` ("03") is the one that is running unless said otherwise.

    Raises:
        CourseError: a score is not a positive finite number, or no notebook is running and none is named.
    """
    notebook = notebook or (course.current().number if course.current() else None)
    if notebook is None:
        raise CourseError('say which notebook the row belongs to: add(..., notebook="03")')
    for what, value in (("nats_per_token", nats_per_token), ("bits_per_byte", bits_per_byte)):
        if not (math.isfinite(value) and value > 0):
            raise CourseError(f"{what} of {name!r} is {value}; a score is a positive number")
    row = Row(name, float(bits_per_byte), float(nats_per_token), tokenizer, int(parameters), notebook)
    path = _path(notebook)
    kept = [each for each in _read(path) if each.name != name]
    write_json(path, [asdict(each) for each in (*kept, row)])


def rows(upto: str | None = None) -> list[Row]:
    """All rows, worst first, the floor last.

    Shipped rows appear only where the notebook that makes them is `upto` or earlier (the running one, unless
    said), so that a learner sees no score before its time.
    """
    upto = upto or (course.current().number if course.current() else "99")
    own = [row for path in sorted(_folder().glob("*.json")) for row in _read(path)]
    names = {row.name for row in own}
    own += [row for row in shipped_rows() if row.name not in names and row.notebook <= upto]
    return sorted(own, key=lambda row: -row.bits_per_byte) + floor()


def shipped_rows() -> list[Row]:
    """What the course's own models scored, as it comes with the course."""
    return [replace(row, shipped=True) for row in _read(data_folder() / "scoreboard.json")]


def show(upto: str | None = None) -> "Board":
    """The scoreboard as a table, and how much of the model is the learner's own: let it be the last line of a cell."""
    own, of = mine.count()
    return Board(rows(upto), f"{own} of the {of} parts of your GPT are yours (python -m course mine).")


def _folder():
    return runs_folder() / "scoreboard"


def _path(notebook: str):
    return _folder() / f"{notebook}.json"


def _read(path: Path) -> list[Row]:
    """The rows of a file; none where there is no file."""
    if not path.exists():
        return []
    try:
        content = read_json(path)
        found = [Row(**row) for row in content] if isinstance(content, list) else [None]
        for row in found:
            texts, scores = (row.name, row.notebook, row.tokenizer), (row.bits_per_byte, row.nats_per_token or 1.0)
            if not (all(isinstance(each, str) for each in texts) and min(scores) > 0 and row.parameters >= 0):
                raise TypeError("a row holds something else than a score")
        return found
    except (CourseError, TypeError, AttributeError) as error:
        said = f"the scoreboard's {path} is damaged ({error})"
        raise CourseError(f"{said}: delete it, then run its notebook again") from error


def floor() -> list[Row]:
    """The best score that any model can have on the bundled stories: known exactly from the story grammar."""
    path = data_folder() / "stories" / "statistics.json"
    known = read_json(path) if path.exists() else {"floor": {}}
    floor = known.get("floor") if isinstance(known, dict) else None
    bits = floor.get("bits_per_byte", 1.0) if isinstance(floor, dict) else None
    if not isinstance(bits, int | float):
        raise CourseError(f"{path} does not hold the grammar's floor: git checkout -- data/stories/statistics.json")
    return [Row(FLOOR, bits, None, "", 0, "")] if "bits_per_byte" in floor else []


class Board:
    """A scoreboard that shows itself as an HTML table with bars, and as plain text."""

    def __init__(self, rows: list[Row], below: str = ""):
        self.rows, self.below = rows, below

    def __repr__(self) -> str:
        if not self.rows:
            return "The scoreboard is empty so far."
        width = max(len(_name(row)) for row in self.rows)
        head = f"{'model':<{width}}  bits per byte  loss (nats per token)    parameters  notebook  tokenizer"
        lines = [head, *(self._text(row, width) for row in self.rows)]
        return "\n".join([*lines, self.below] if self.below else lines)

    def _text(self, row: Row, width: int) -> str:
        return (
            f"{_name(row):<{width}}  {row.bits_per_byte:13.3f}  {_nats(row):>21}  {_parameters(row):>12}  "
            f"{row.notebook or '-':>8}  {row.tokenizer or '-'}"
        )

    def _repr_html_(self) -> str:
        if not self.rows:
            return "<p>The scoreboard is empty so far.</p>"
        most = max(row.bits_per_byte for row in self.rows)
        head = "".join(
            f'<th style="text-align:{side}">{title}</th>'
            for title, side in (
                ("model", "left"), ("bits per byte, less is better", "left"),
                ("cross-entropy loss (nats per token)", "right"), ("parameters", "right"), ("notebook", "right"),
                ("tokenizer", "left"),
            )
        )  # fmt: skip
        return (
            f'<table style="font-size:92%"><thead><tr>{head}</tr></thead><tbody>'
            + "".join(self._html(row, most) for row in self.rows)
            + "</tbody></table>"
            + (f"<p>{html.escape(self.below)}</p>" if self.below else "")
        )

    def _html(self, row: Row, most: float) -> str:
        colour = "#e9a23b" if row.name == FLOOR else "#8fa3bf" if row.shipped else "#1b75bc"
        width = max(1, round(150 * row.bits_per_byte / most))
        bar = (
            '<div style="display:flex;align-items:center;min-width:230px">'
            f'<div style="background:{colour};height:11px;width:{width}px;margin-right:8px"></div>'
            f"{row.bits_per_byte:.3f}</div>"
        )
        cells = (
            (html.escape(_name(row)), "left"), (bar, "left"), (_nats(row), "right"), (_parameters(row), "right"),
            (row.notebook or "-", "right"), (html.escape(row.tokenizer) or "-", "left"),
        )  # fmt: skip
        return "<tr>" + "".join(f'<td style="text-align:{side}">{cell}</td>' for cell, side in cells) + "</tr>"


def _name(row: Row) -> str:
    return row.name + (" (shipped)" if row.shipped else "")


def _nats(row: Row) -> str:
    return "-" if row.nats_per_token is None else f"{row.nats_per_token:.3f}"


def _parameters(row: Row) -> str:
    return f"{row.parameters:,}" if row.parameters else "-"
