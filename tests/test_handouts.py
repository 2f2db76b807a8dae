"""Handouts: students' copies hold no solution, keys are right, and nbgrader's set is of its form."""

import ast
import re

import pytest

from course.__main__ import main
from course.checks.answer import is_untouched
from course.checks.cells import filled, without_solution
from course.checks.exercise import REGISTRY
from course.classroom import nbgrader_set
from course.cli import handout
from course.site import notebooks
from helpers.errors import CourseError

PATHS = notebooks.all_notebooks()
each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def tagged(book) -> dict:
    """By exercise, the index of its stub's cell."""
    return {c.metadata["exercise"]: i for i, c in enumerate(book.cells) if "exercise" in c.metadata.get("tags", [])}


def solutions(path) -> dict[str, str]:
    """Found by other means than the handouts': the block behind the word Solution, in the cell two after the stub."""
    book = notebooks.read(path)
    return {
        number: book.cells[i + 2].source.split("Solution</summary>")[1].split("```python\n")[1].split("```")[0]
        for number, i in tagged(book).items()
    }


def body(solution: str) -> str:
    function = ast.parse(solution).body[-1]
    return "\n".join(solution.split("\n")[function.body[0].lineno - 1 : function.end_lineno])


# ---------------------------------------------------------------------- students' copies


@each_notebook
def test_a_students_copy_has_the_stub_the_hints_and_no_solution(path):
    original, copy = notebooks.read(path), handout.make("student", path)
    text = "\n".join(cell.source for cell in copy.cells)
    assert "Solution</summary>" not in text and "Open in Colab" not in text
    stubs, stored = tagged(copy), tagged(original)
    assert stubs.keys() == stored.keys()
    for number, solution in solutions(path).items():
        if number not in handout.taught_later(path):
            assert body(solution) not in text, f"the solution of {number} still stands there"
        stub, hints = copy.cells[stubs[number]], copy.cells[stubs[number] + 2]
        assert stub.source == original.cells[stored[number]].source
        assert hints.source.count("<summary>Hint") == hints.source.count("</details>") >= 1
        assert "```python" not in hints.source or "Hint" in hints.source.split("```python")[0]
    assert notebooks.as_text(copy), "valid"


@each_notebook
def test_the_outputs_of_taught_cells_are_kept_and_those_of_exercises_are_not(path):
    original, copy = notebooks.read(path), handout.make("student", path)
    kept = {cell.id: cell.outputs for cell in original.cells if cell.cell_type == "code"}
    own = {i + offset for i in tagged(copy).values() for offset in (0, 1)}
    for i, cell in enumerate(copy.cells):
        if cell.cell_type == "code":
            assert cell.outputs == ([] if i in own else kept[cell.id])


@each_notebook
def test_only_a_taught_cell_below_an_exercise_may_show_its_answer(path):
    copy = handout.make("student", path)
    own = {i + offset for i in tagged(copy).values() for offset in (-1, 0, 1, 2)}
    for number in handout.taught_later(path):
        answer, at = body(solutions(path)[number]), tagged(copy)[number]
        places = [i for i, cell in enumerate(copy.cells) if answer in cell.source]
        assert places and min(places) > at and not own & set(places)


def test_the_command_says_which_answers_are_taught_later(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(handout, "taught_later", lambda path: ["1.2", "1.5"])
    assert main(["handout", "--out", str(tmp_path), "--kind", "student", "01"]) == 0
    assert "is the answer to 1.2, 1.5" in capsys.readouterr().out


def test_outputs_can_all_be_kept_or_none():
    outputs = {
        kind: sum(len(c.get("outputs", [])) for c in handout.make("student", PATHS[1], outputs=kind).cells)
        for kind in (handout.NONE, handout.TAUGHT, handout.ALL)
    }
    assert outputs["none"] == 0 < outputs["taught"] < outputs["all"]
    stored = sum(len(cell.get("outputs", [])) for cell in notebooks.read(PATHS[1]).cells)
    assert outputs["all"] == stored


def test_without_hints():
    with_hints, without = (handout.make("student", PATHS[1], hints=hints) for hints in (True, False))
    assert "<summary>Hint" not in notebooks.as_text(without)
    assert len(with_hints.cells) - len(without.cells) == len(tagged(with_hints))


@each_notebook
def test_all_that_the_notebook_explains_is_in_every_handout(path):
    """What a speaker says in a lecture is what a student at home has to read: only solutions and badges go."""
    for kind in handout.KINDS:
        there = {cell.id: cell.source for cell in handout.make(kind, path).cells}
        for cell in notebooks.read(path).cells:
            if cell.cell_type == "markdown" and "<details>" not in cell.source and "Open in Colab" not in cell.source:
                assert there[cell.id] == cell.source


def test_the_stored_notebook_is_not_touched():
    before = PATHS[1].read_bytes()
    for kind in handout.KINDS:
        handout.make(kind, PATHS[1], hints=False, outputs=handout.NONE)
    assert PATHS[1].read_bytes() == before


# ---------------------------------------------------------------------- filling a stub in


def test_a_stub_is_filled_with_all_that_its_solution_says():
    head = 'from a import b\nMARKS = "xy"\n\n\ndef f(x: int, y=2) -> int:\n    """Its words."""\n'
    solution = 'import math\nMARKS = "xy"\n\n\ndef f(x, y=2):\n    # why\n    return math.floor(x)\n'
    expected = (
        'from a import b\nMARKS = "xy"\n\n\ndef f(x: int, y=2) -> int:\n    """Its words."""\n'
        "    # in\n    import math\n    # why\n    return math.floor(x)\n    # out"
    )
    assert filled(f"{head}    raise NotImplementedError", solution, "# in", "# out") == expected


@pytest.mark.parametrize("solution", ["def g(x):\n    return 1", "x = 1"])
def test_a_solution_of_something_else_is_refused(solution):
    with pytest.raises(CourseError, match="must define"):
        filled('def f(x):\n    """Words."""\n    ...', solution)


def test_only_the_solution_is_cut_from_the_hints():
    fold = "<details><summary>{}</summary>\n\ntext {}\n</details>".format
    text = f"{fold('Hint 1', 1)}\n\n{fold('Solution', 's')}\n\nA last word."
    assert without_solution(text) == f"{fold('Hint 1', 1)}\n\nA last word."


# ---------------------------------------------------------------------- keys


@each_notebook
def test_a_key_has_every_stub_filled_and_keeps_its_signature(path):
    original, key = notebooks.read(path), handout.make("key", path)
    stubs, stored = tagged(key), tagged(original)
    for number, solution in solutions(path).items():
        before = ast.parse(original.cells[stored[number]].source).body[-1]
        after = ast.parse(key.cells[stubs[number]].source).body[-1]
        assert ast.dump(after.args) == ast.dump(before.args) and after.name == before.name
        assert ast.get_docstring(after) == ast.get_docstring(before)
        assert body(solution) in key.cells[stubs[number]].source


def test_a_key_that_is_executed_passes_all_its_checks(tmp_path, capsys):
    """Really run, as an instructor would; that every key's answers are right is for tests/test_exercises.py."""
    assert main(["handout", "--out", str(tmp_path), "--kind", "key", "--execute", "00"]) == 0
    book = notebooks.read(tmp_path / "key" / "00_start_here.ipynb")
    check = book.cells[tagged(book)["0.1"] + 1]
    assert ": right (" in check.outputs[0]["data"]["text/plain"]


def test_a_key_with_a_wrong_answer_is_noticed(tmp_path, monkeypatch, capsys):
    def pretend(book):
        for cell in book.cells:
            if cell.source.endswith("count_words(count_words)"):
                text = "[!] Exercise 0.1, Count the words: not right yet (2 checks passed before this one)"
                cell.outputs = [notebooks_output(text)]

    def notebooks_output(text):
        from nbformat import v4

        return v4.new_output("execute_result", {"text/plain": text})

    monkeypatch.setattr(notebooks, "execute", pretend)
    assert main(["handout", "--out", str(tmp_path), "--kind", "key", "--execute", "00"]) == 2
    assert "does not pass" in capsys.readouterr().err
    assert not (tmp_path / "key" / "00_start_here.ipynb").exists()


# ---------------------------------------------------------------------- nbgrader


@each_notebook
def test_nbgraders_metadata_is_of_its_schema(path):
    """Rules of nbgrader's schema version 3, from its documentation (contributor guide, metadata)."""
    cells = [cell for cell in handout.make("nbgrader", path).cells if "nbgrader" in cell.metadata]
    ids = [cell.metadata["nbgrader"]["grade_id"] for cell in cells]
    assert len(set(ids)) == len(ids)
    for cell in cells:
        said = cell.metadata["nbgrader"]
        assert re.fullmatch(r"[a-zA-Z0-9_\-]+", said["grade_id"]) and said["schema_version"] == 3
        assert all(isinstance(said[key], bool) for key in ("grade", "solution", "locked", "task"))
        assert ("points" in said) == said["grade"]
        assert ("BEGIN SOLUTION" in cell.source) == said["solution"]
        assert ("BEGIN HIDDEN TESTS" in cell.source) == said["grade"]
        if said["grade"]:
            assert cell.cell_type == "code" and said["locked"] and not said["solution"] and said["points"] > 0


@each_notebook
def test_what_nbgrader_gives_to_students_is_the_courses_own_stub_and_check(path):
    original, book = notebooks.read(path), handout.make("nbgrader", path)
    code_stub = re.search(r'"python": "(.*)"', nbgrader_set.CONFIG)[1]

    def released(source: str) -> str:
        source = re.sub(r"( *)### BEGIN SOLUTION.*?### END SOLUTION", rf"\1{code_stub}", source, flags=re.DOTALL)
        return re.sub(r"\n### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", "", source, flags=re.DOTALL)

    for number, i in tagged(book).items():
        at = tagged(original)[number]
        scope = {}
        function = ast.parse(released(book.cells[i].source)).body[-1]
        function.args, function.returns, function.decorator_list = (
            ast.parse("lambda: 0", mode="eval").body.args,
            None,
            [],
        )
        exec(compile(ast.Module([function], []), "<stub>", "exec"), scope)
        assert is_untouched(scope[function.name])
        assert released(book.cells[i + 1].source) == original.cells[at + 1].source
        assert solutions(path)[number].strip() not in released(book.cells[i].source)


def test_points_are_the_exercises_own():
    by = {scale: handout.make("nbgrader", PATHS[1], points=scale) for scale in ("difficulty", "minutes", "equal")}
    for number, i in tagged(by["minutes"]).items():
        given = [by[scale].cells[i + 1].metadata["nbgrader"]["points"] for scale in ("difficulty", "minutes", "equal")]
        assert given == [REGISTRY[number].difficulty, REGISTRY[number].minutes, 1]


# ---------------------------------------------------------------------- the command


def test_the_command_writes_a_folder_for_each_kind_and_never_over_anything(tmp_path, capsys):
    assert main(["handout", "--out", str(tmp_path), "1", "03"]) == 0
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    names = ("01_tokenization", "03_baselines")
    assert written == {
        *(f"{kind}/{name}.ipynb" for name in names for kind in ("student", "key")),
        *(f"nbgrader/source/{name}/{name}.ipynb" for name in names),
        "nbgrader/nbgrader_config.py",
    }
    assert "5 exercises, no solutions" in capsys.readouterr().out
    mine = tmp_path / "student" / "01_tokenization.ipynb"
    mine.write_text("edited", encoding="utf-8")
    assert main(["handout", "--out", str(tmp_path), "--kind", "student", "01"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert mine.read_text(encoding="utf-8") == "edited"
    assert main(["handout", "--out", str(tmp_path), "--kind", "student", "--overwrite", "01"]) == 0


def test_a_notebook_that_is_not_there(tmp_path, capsys):
    assert main(["handout", "--out", str(tmp_path), "77"]) == 2
    assert "no notebook 77" in capsys.readouterr().err
