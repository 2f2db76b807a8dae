"""The teaching plans say what is true of the notebooks: headings, exercises, minutes, marks, demonstrations."""

import ast
import builtins
import re
from collections import Counter
from functools import cache

import lecture_copy
import pytest
import slide_cells

from course.checks.cells import exercise_cells
from course.checks.exercise import CHANGES_INPUT, GRADIENTS_OFF, RAISED, RETURNS_NOTHING, TOO_SLOW
from course.checks.registry import load_checks
from course.classroom import giveaways, quizzes
from course.classroom.points import points_of
from course.site import notebooks
from course.site.syllabus import SYLLABUS
from helpers.errors import CourseError
from helpers.files import repository_root
from tests.test_exercises import PLANTED

DOCS = repository_root() / "docs"
GENERAL = (DOCS / "teaching.md").read_text(encoding="utf-8")
ENTRIES = [entry for entry in SYLLABUS if entry.exists]
each = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.number)
PARTS = [
    "In 50 minutes", "In 80 minutes", "Live demonstrations", "Questions to ask", "Three misconceptions",
    "Exercises", "Marks",
]  # fmt: skip

HEADING = r"^#+ (?:\d+ · )?(.+?)\s*$"  # the title, without its number, names what stands before the first section


def plan_of(entry) -> str:
    return (DOCS / "teaching" / f"{entry.number}.md").read_text(encoding="utf-8")


def part(text: str, heading: str) -> str:
    """What stands under a second-level heading."""
    assert text.count(f"\n## {heading}\n") == 1, heading
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text, without the lines of their heads."""
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.split("\n") if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    heads = {i - 1 for i, line in enumerate(cells) if set("".join(line)) == {"-"}}
    return [line for i, line in enumerate(cells) if i not in heads and i - 1 not in heads]


@cache
def book(name: str):
    return notebooks.read(notebooks.folder() / f"{name}.ipynb")


exercises = cache(load_checks)  # "05" -> the exercises of that notebook, by number


@cache
def headings(name: str) -> set[str]:
    prose = "\n".join(cell.source for cell in book(name).cells if cell.cell_type == "markdown")
    return set(re.findall(HEADING, prose, flags=re.MULTILINE))


def exercises_named_with_minutes(text: str) -> list[tuple[list[str], int]]:
    """`exercise 5.4 (12 min)` and `1.3, 1.5 (20 min)`: the numbers, and the minutes."""
    found = re.findall(r"((?:\d+\.\d+, )*\d+\.\d+) \((\d+) min\)", text)
    return [(numbers.split(", "), int(minutes)) for numbers, minutes in found]


def registered(number: str):
    return exercises(f"{int(number.split('.')[0]):02d}")[number]


def test_every_notebook_that_exists_has_a_plan_and_no_other_has():
    there = {path.stem for path in (DOCS / "teaching").glob("*.md")}
    assert there == {entry.number for entry in ENTRIES}
    assert set(re.findall(r"\]\(teaching/(\d\d)\.md\)", GENERAL)) == there


@each
def test_a_plan_has_all_its_parts(entry):
    plan = plan_of(entry)
    assert plan.startswith(f"# Teaching {entry.number}: ")
    assert re.findall(r"^## (.+)$", plan, flags=re.MULTILINE) == PARTS
    assert "**One sentence to leave them with:**" in plan and "**Before class.**" in plan
    assert "MISSING" not in plan
    shown = part(plan, "Live demonstrations")
    assert len(re.findall(r"^### \d\. ", shown, flags=re.MULTILINE)) == 3
    for name in ("Ask first", "Seen", "If the runtime dies"):
        assert len(re.findall(rf"^\*\*{name}:\*\* \S", shown, flags=re.MULTILINE)) == 3, name
    assert len(re.findall(r"^### \d\. ", part(plan, "Three misconceptions"), flags=re.MULTILINE)) == 3
    assert len(rows(part(plan, "Questions to ask"))) >= 4
    assert all(len(row) == 3 and all(row) for row in rows(part(plan, "Questions to ask")))
    assert "### Open question" in plan and re.search(r"^10 points\. ", part(plan, "Marks"), flags=re.MULTILINE)


@each
def test_the_sections_that_it_names_are_in_the_notebook(entry):
    named = re.findall(r"\*§ (.+?)\*(?!\*)", plan_of(entry))
    assert named and not set(named) - headings(entry.name)
    for heading in ("In 50 minutes", "In 80 minutes", "Three misconceptions"):
        assert "*§ " in part(plan_of(entry), heading)


@each
@pytest.mark.parametrize("minutes", (50, 80))
def test_the_minutes_of_a_lecture_add_up(entry, minutes):
    lecture = rows(part(plan_of(entry), f"In {minutes} minutes"))
    assert sum(int(row[0]) for row in lecture) == minutes
    for taken, what, where in lecture:
        assert what and where.startswith("*§ ")
        begun = "begun" in what
        asked = sum(asked for _, asked in exercises_named_with_minutes(what))
        assert begun or asked <= int(taken), f"the exercises do not fit into {taken} minutes: {what}"


@each
def test_the_notebook_is_told_in_its_order(entry):
    order = [
        h
        for cell in book(entry.name).cells
        if cell.cell_type == "markdown"
        for h in re.findall(HEADING, cell.source, flags=re.MULTILINE)
    ]
    for minutes in (50, 80):
        first = [re.search(r"\*§ (.+?)\*", row[2])[1] for row in rows(part(plan_of(entry), f"In {minutes} minutes"))]
        places = [order.index(heading) for heading in first]
        assert places == sorted(places), first


@each
def test_every_exercise_is_in_class_or_at_home_and_has_its_marks(entry):
    plan, asked = plan_of(entry), exercises(entry.number)
    told = {row[0].split(" ")[0]: row for row in rows(part(plan, "Exercises"))}
    assert told.keys() == asked.keys()
    for number, (name, minutes, where, why) in told.items():
        assert name == f"{number} {asked[number].title}" and int(minutes) == asked[number].minutes and why
        assert where in ("class", "home")
    marks = {row[0].split(" ")[0]: row for row in rows(part(plan, "Marks"))}
    assert marks.keys() == asked.keys()
    general = {CHANGES_INPUT, GRADIENTS_OFF, RAISED, RETURNS_NOTHING, TOO_SLOW}
    for number, (name, points, stops, reason) in marks.items():
        assert name == f"{number} {asked[number].title}" and int(points) == points_of(asked[number]) and reason
        slugs = re.findall(r"`([^`]+)`", stops)
        known = {slug for exercise, slug, _ in PLANTED if exercise == number} | general
        assert slugs and not set(slugs) - known, f"{number} can end with {sorted(known)}"
    in_class = {number for number, row in told.items() if row[2] == "class"}
    long = part(plan, "In 80 minutes")
    whole = " ".join(row[1] for row in rows(long) if "begun" not in row[1])
    assert in_class <= {n for numbers, _ in exercises_named_with_minutes(whole) for n in numbers}, "all of it, in class"
    for row in rows(long):
        at_home = {n for numbers, _ in exercises_named_with_minutes(row[1]) for n in numbers} - in_class
        assert not at_home or "begun" in row[1], f"{at_home} is for home, and the lecture does all of it"


@pytest.mark.parametrize("page", ["general", *(entry.number for entry in ENTRIES)])
def test_minutes_of_exercises_are_those_of_their_cards(page):
    text = GENERAL if page == "general" else (DOCS / "teaching" / f"{page}.md").read_text(encoding="utf-8")
    for numbers, minutes in exercises_named_with_minutes(text):
        assert sum(registered(number).minutes for number in numbers) == minutes, numbers


WEEKS = {"Five weeks": 10, "Ten weeks": 10, "Fourteen weeks": 14}  # sessions of the first, rows of the others


def schedule(name: str) -> str:
    return next(s for s in part(GENERAL, "Schedules").split("\n### ") if s.startswith(name))


def columns(name: str) -> list[dict[str, str]]:
    """The rows of a schedule, by the heads of its columns."""
    text = schedule(name)
    head = next(line for line in text.split("\n") if line.startswith("|"))
    heads = [cell.strip() for cell in head.strip("|").split("|")]
    return [dict(zip(heads, row, strict=True)) for row in rows(text)]


def books_of(row: dict[str, str]) -> set[str]:
    places = ("notebook", "taught", "read at home")
    return {number for place in places for number in re.findall(r"\b\d\d\b", row.get(place, ""))}


def given(row: dict[str, str], column: str) -> list[str]:
    return [n for numbers, _ in exercises_named_with_minutes(row.get(column, "")) for n in numbers]


def minutes_of(row: dict[str, str], column: str) -> int:
    return sum(minutes for _, minutes in exercises_named_with_minutes(row.get(column, "")))


def whole_in(plan: str) -> set[str]:
    """The exercises that the 80 minutes do from beginning to end."""
    told = [row[1] for row in rows(part(plan, "In 80 minutes")) if "begun" not in row[1]]
    return {n for what in told for numbers, _ in exercises_named_with_minutes(what) for n in numbers}


@pytest.mark.parametrize("name", (*WEEKS, "Two days"))
def test_each_schedule_covers_every_notebook(name):
    table = columns(name) if name in WEEKS else [row for half in two_days() for row in half]
    assert {number for row in table for number in books_of(row)} == {entry.number for entry in ENTRIES}
    for row in table:
        asked = {n for numbers, _ in exercises_named_with_minutes(" ".join(row.values())) for n in numbers}
        assert {f"{int(n.split('.')[0]):02d}" for n in asked} <= books_of(row), row


@pytest.mark.parametrize("name", WEEKS)
def test_a_schedule_has_its_sessions_and_no_exercise_twice(name):
    table = columns(name)
    held = [row for row in table if row.get("session", "") not in ("before", "after")]
    assert len(held) == WEEKS[name]
    every = [n for row in table for column in ("in the lab", "at home afterwards") for n in given(row, column)]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("name", ("Ten weeks", "Fourteen weeks"))
def test_a_lab_has_fifty_minutes_and_what_is_marked_class(name):
    for row in columns(name):
        assert minutes_of(row, "in the lab") <= 50, row
        if row["in the lab"] == "-":
            continue
        for number in re.findall(r"\d\d", row["taught"]):
            plan = (DOCS / "teaching" / f"{number}.md").read_text(encoding="utf-8")
            marked = {told[0].split(" ")[0] for told in rows(part(plan, "Exercises")) if told[2] == "class"}
            assert marked <= set(given(row, "in the lab")), number


def test_the_exercises_at_home_fit_a_week():
    for name in ("Ten weeks", "Fourteen weeks"):
        assert max(minutes_of(row, "at home afterwards") for row in columns(name)) <= 120
    week = Counter()
    for row in columns("Five weeks"):
        if "." in row["session"]:
            week[row["session"].split(".")[0]] += minutes_of(row, "at home afterwards")
    assert len(week) == 5 and max(week.values()) <= 150


def test_what_is_set_for_marks_is_not_done_in_the_lecture():
    for row in columns("Five weeks"):
        if row["plan"] == "80 minutes":
            plan = (DOCS / "teaching" / f"{row['notebook']}.md").read_text(encoding="utf-8")
            assert not set(given(row, "at home afterwards")) & whole_in(plan), row


def test_the_student_who_is_worked_through_is_reckoned_rightly():
    table = rows(GENERAL.split("\n### A student's marks")[1].split("\n### ")[0])
    number = lambda text: float(re.match(r"[\d.]+", text)[0])  # noqa: E731
    *parts, together = table
    weights = dict(row[:2] for row in rows(part(GENERAL, "Assessment").split("\n### ")[0]) if len(row) == 3)
    total = 0
    for name, got, of, share, weight, adds in parts:
        assert weights[name] == weight
        assert number(share) == pytest.approx(100 * number(got) / number(of), abs=0.05)
        assert number(adds) == pytest.approx(number(got) / number(of) * number(weight), abs=0.05)
        total += number(got) / number(of) * number(weight)
    assert sum(number(weight) for weight in weights.values()) == 100 and number(together[5]) == round(total, 1)
    at_home = [n for row in columns("Ten weeks") for n in given(row, "at home afterwards")]
    assert number(parts[0][2]) == sum(points_of(registered(n)) for n in at_home)
    taught = [n for row in columns("Ten weeks") for n in re.findall(r"\d\d", row["taught"])]
    assert number(parts[1][2]) == sum(len(quizzes.load(n).questions) for n in taught)
    assert points_of(registered("6.2")) == 1 and "6.2" in at_home
    assert "`exact`" in next(row[2] for row in rows(part(plan_of(ENTRIES[6]), "Marks")) if row[0].startswith("6.2 "))
    marks = {row[0]: row[1] for row in rows(part(GENERAL, "Assessment").split("\n### ")[0]) if len(row) == 2}
    reached = int(total + 0.5)
    assert next(mark for mark, least in marks.items() if reached >= number(least)) == "B"


def test_the_table_of_plans_has_the_titles_of_the_map():
    shown = re.findall(r"^\| (\d\d) (.+?) \| \[teaching/", GENERAL, flags=re.MULTILINE)
    assert shown == [(entry.number, entry.title) for entry in ENTRIES]


@each
def test_no_demonstration_has_a_line_of_what_is_solved_at_home(entry):
    plan, cells = plan_of(entry), exercise_cells(book(entry.name))
    shown = {one.title: one.code for one in lecture_copy.demonstrations(plan)}
    at_home = [row[0].split(" ")[0] for row in rows(part(plan, "Exercises")) if row[2] == "home"]
    assert not {number: found for number in at_home if (found := giveaways.copied_lines(cells[number], shown))}


@each
def test_no_slide_shows_a_hint_or_a_solution(entry):
    for cells in slide_cells.slides_of(book(entry.name).cells):
        shown = "\n".join(cell.source for cell in cells)
        assert not re.search(r"<summary>(?:Hint|Solution)", shown)


def two_days() -> list[list[dict[str, str]]]:
    """The tables of both days."""
    heads = ("from", "minutes", "notebook", "what")
    halves = re.split(r"^\*\*The second day", schedule("Two days"), flags=re.MULTILINE)
    return [[dict(zip(heads, row, strict=True)) for row in rows(half)] for half in halves]


def test_the_two_days_are_on_time():
    text = schedule("Two days")
    clock = None
    for start, minutes, _, what in rows(text):
        hour, minute = map(int, start.split(":"))
        assert clock in (None, 60 * hour + minute), f"{start} {what}"
        clock = None if what == "end" else 60 * hour + minute + int(minutes)
        if "minute plan" in what:
            assert what.startswith(f"the {minutes}-minute plan"), what
        for _, asked in exercises_named_with_minutes(what):
            assert asked <= int(minutes)


def defined_in(source: str) -> set[str]:
    """The names that a cell gives, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names |= {node.name}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.arg):
            names.add(node.arg)
    return names


def outer(source: str) -> set[str]:
    """The names that a cell leaves behind: those given outside of its functions and classes."""
    tree = ast.parse(source)
    names = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    rest = [n for n in tree.body if not isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return names | defined_in(ast.unparse(ast.Module(rest, [])))


@each
def test_the_demonstrations_fit_the_notebook(entry):
    shown = lecture_copy.demonstrations(plan_of(entry))
    assert len(shown) == 3
    known, left = set(dir(builtins)), {one.title: one for one in shown}
    for cell in book(entry.name).cells:
        if cell.cell_type != "code":
            continue
        known |= outer(cell.source)
        for title in [title for title, one in left.items() if one.anchor in cell.source]:
            code = left.pop(title).code
            used = {n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            assert not used - known - defined_in(code), title
            assert max(map(len, code.split("\n"))) <= 120, title
    assert not left
    copied = lecture_copy.with_demonstrations(notebooks.read(notebooks.folder() / f"{entry.name}.ipynb"), shown)
    assert len(copied.cells) == len(book(entry.name).cells) + 6


@each
def test_a_demonstration_changes_nothing_that_the_notebook_still_needs(entry):
    """A name that the notebook has, that a demonstration gives anew, and that a later cell reads as it was."""
    cells = [cell.source for cell in book(entry.name).cells if cell.cell_type == "code"]
    for one in lecture_copy.demonstrations(plan_of(entry)):
        at = next(i for i, source in enumerate(cells) if one.anchor in source)
        had = {name for source in cells[: at + 1] for name in outer(source)}
        changed = outer(one.code) & had
        for source in cells[at + 1 :]:
            nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
            lost = {n.id for n in nodes} & (changed - defined_in(source))
            assert not lost, f"{one.title} changes {lost}, and later stands: {source[:80]}"
            changed -= outer(source)


def test_a_lecture_copy_puts_a_demonstration_behind_its_cell(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    target = lecture_copy.lecture_copy("05", execute=False)
    cells = notebooks.read(target).cells
    shown = lecture_copy.demonstrations((DOCS / "teaching" / "05.md").read_text(encoding="utf-8"))
    at = next(i for i, cell in enumerate(cells) if cell.source == shown[0].code)
    assert shown[0].anchor in cells[at - 2].source and shown[0].title in cells[at - 1].source


def test_a_demonstration_without_its_cell_is_refused():
    lost = lecture_copy.Demonstration("1. Lost", "no such line", "print()")
    with pytest.raises(CourseError, match="0 cells hold 'no such line'"):
        lecture_copy.with_demonstrations(notebooks.read(notebooks.all_notebooks()[0]), [lost])
    with pytest.raises(CourseError, match="number '99'"):
        lecture_copy.lecture_copy("99", execute=False)
