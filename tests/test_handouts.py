"""Handouts: students' copies hold no solution, keys are right, and nbgrader's set is of its form."""

import ast
import re

import pytest
from nbformat import v4

from course.__main__ import main
from course.checks.answer import is_untouched
from course.checks.cells import exercise_cells, surroundings, without_solution
from course.checks.exercise import REGISTRY, RIGHT
from course.checks.registry import load_checks
from course.classroom import nbgrader_set
from course.classroom.filling import filled
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


def bodies(solution: str, stub: str) -> list[str]:
    """The lines of a solution below its `def`; of a class, those of the methods that the stub leaves open."""
    answer, asked = ast.parse(solution).body[-1], ast.parse(stub).body[-1]
    if isinstance(answer, ast.FunctionDef):
        return ["\n".join(solution.split("\n")[answer.body[0].lineno - 1 : answer.end_lineno])]
    given = {
        each.name for each in asked.body if isinstance(each, ast.FunctionDef) and "NotImpl" not in ast.unparse(each)
    }
    methods = [each for each in answer.body if isinstance(each, ast.FunctionDef) and each.name not in given]
    lines = solution.split("\n")
    return ["\n".join(lines[each.body[0].lineno - 1 : each.end_lineno]) for each in methods]


# ---------------------------------------------------------------------- students' copies


@each_notebook
def test_a_students_copy_has_the_stub_the_hints_and_no_solution(path):
    original, copy = notebooks.read(path), handout.make("student", path)
    text = "\n".join(cell.source for cell in copy.cells)
    assert "Solution</summary>" not in text and "Open in Colab" not in text
    stubs, stored = tagged(copy), tagged(original)
    assert stubs.keys() == stored.keys()
    for number, solution in solutions(path).items():
        stub, hints = copy.cells[stubs[number]], copy.cells[stubs[number] + 2]
        for lines in bodies(solution, stub.source):
            assert lines not in text, f"the solution of {number} still stands there"
        assert stub.source == original.cells[stored[number]].source
        assert hints.source.count("<summary>Hint") == hints.source.count("</details>") >= 1
        assert "```python" not in hints.source or "Hint" in hints.source.split("```python")[0]
    assert notebooks.as_text(copy), "valid"


@each_notebook
@pytest.mark.parametrize("kind", handout.KINDS)
def test_outputs_of_taught_cells_are_kept_those_of_exercises_and_predictions_are_not(kind, path):
    original, copy = notebooks.read(path), handout.make(kind, path)
    kept = {cell.id: cell.outputs for cell in original.cells if cell.cell_type == "code"}
    own = {i + offset for i in tagged(copy).values() for offset in (0, 1)}
    for i, cell in enumerate(copy.cells):
        if cell.cell_type == "code":
            predicted = "predicted" in cell.metadata.get("tags", []) and kind != "key"
            assert cell.outputs == ([] if i in own or predicted else kept[cell.id])


def predicted_notebook(tmp_path, monkeypatch):
    """A notebook without exercises and with one prediction, stored as it would be."""
    output = v4.new_output("stream", name="stdout", text="2\n")
    cells = [
        v4.new_markdown_cell("# 98 · A draft"),
        v4.new_code_cell("print(2)", outputs=[output], metadata={"slideshow": {"slide_type": "-"}}),
        v4.new_markdown_cell("**Predict:** what is one and one?"),
        v4.new_code_cell("print(1 + 1)", outputs=[output], metadata={"tags": ["predicted"]}),
    ]
    book = v4.new_notebook(cells=cells)
    notebooks.clean(book)
    path = tmp_path / "98_draft.ipynb"
    path.write_text(notebooks.as_text(book), encoding="utf-8")
    monkeypatch.setattr(handout, "load_checks", lambda number: {})
    return path


def test_what_is_to_be_predicted_is_not_in_a_students_copy(tmp_path, monkeypatch):
    path = predicted_notebook(tmp_path, monkeypatch)
    assert notebooks.read(path).cells[3].metadata.jupyter.outputs_hidden, "and folded in the notebook itself"
    for kind, shown in (("student", 0), ("nbgrader", 0), ("key", 1)):
        cell = handout.make(kind, path).cells[3]
        assert len(cell.outputs) == shown
        assert ("jupyter" in cell.metadata) == bool(shown), "what a student runs is seen at once"
        assert len(handout.make(kind, path).cells[1].outputs) == 1
    assert len(handout.make("student", path, outputs="all").cells[3].outputs) == 1
    assert len(handout.make("key", path, outputs="none").cells[3].outputs) == 0


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
        stub, answer = original.cells[stored[number]].source, key.cells[stubs[number]].source
        before, after = ast.parse(stub).body[-1], ast.parse(answer).body[-1]
        assert after.name == before.name and ast.get_docstring(after) == ast.get_docstring(before)
        for one in ast.walk(before):
            if isinstance(one, ast.FunctionDef):
                other = next(n for n in ast.walk(after) if isinstance(n, ast.FunctionDef) and n.name == one.name)
                assert ast.dump(other.args) == ast.dump(one.args)
                assert ast.get_docstring(other) == ast.get_docstring(one)
        assert all(lines in answer for lines in bodies(solution, stub))


@each_notebook
def test_every_class_in_a_key_passes_its_check(path):
    """As `filled` puts it together; that functions do is for tests/test_exercises.py."""
    original, key = notebooks.read(path), handout.make("key", path)
    for number, one in load_checks(path.name[:2]).items():
        if one.part[0].isupper():
            scope = surroundings(original, exercise_cells(original)[number].stub)
            exec(compile(key.cells[tagged(key)[number]].source, "<key>", "exec"), scope)
            assert one(scope[one.name]).state == RIGHT, one(scope[one.name])


def test_a_key_that_is_executed_passes_all_its_checks(tmp_path, capsys):
    """Really run, as an instructor would; that every key's answers are right is for tests/test_exercises.py."""
    assert main(["handout", "--out", str(tmp_path), "--kind", "key", "--execute", "00"]) == 0
    book = notebooks.read(tmp_path / "key" / "00_start_here.ipynb")
    check = book.cells[tagged(book)["0.1"] + 1]
    assert ": right (" in check.outputs[0]["data"]["text/plain"]


def test_a_key_with_a_wrong_answer_is_noticed(tmp_path, monkeypatch, capsys):
    def pretend(book):
        for cell in book.cells:
            if cell.source.endswith("count_words.use(my_count_words)"):
                text = "[!] Exercise 0.1, Count the words: not right yet (2 checks passed before this one)"
                cell.outputs = [notebooks_output(text)]

    def notebooks_output(text):
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
        stub = released(book.cells[i].source)
        scope = surroundings(original, original.cells[at])
        exec(compile(stub, "<stub>", "exec"), scope)
        begun = REGISTRY[number].begins_as  # code with a fault, which nbgrader must not put a stub in place of
        assert (stub == original.cells[at].source) if begun else is_untouched(scope[REGISTRY[number].name])
        assert released(book.cells[i + 1].source) == original.cells[at + 1].source
        assert not any(lines in stub for lines in bodies(solutions(path)[number], original.cells[at].source))


def test_of_a_class_only_what_is_open_is_filled_in():
    stub = (
        'class A:\n    def f(self):\n        return 1\n\n    def g(self, x: int):\n        """Its words."""\n'
        "        raise NotImplementedError\n\n    def h(self):\n        ..."
    )
    solution = (
        "import math\n\n\nclass A:\n    def f(self): return 1\n\n    def g(self, x):\n        # why\n        y = x\n\n"
        "        return y\n\n    def h(self):\n        return self._k()\n\n    def _k(self):\n        return 2"
    )
    expected = (
        'class A:\n    def f(self):\n        return 1\n\n    def g(self, x: int):\n        """Its words."""\n'
        "        # in\n        import math\n        # why\n        y = x\n\n        return y\n        # out\n\n"
        "    def h(self):\n        # in\n        import math\n        return self._k()\n\n"
        "    def _k(self):\n        return 2\n        # out"
    )
    assert filled(stub, solution, "# in", "# out") == expected
    with pytest.raises(CourseError, match="has no h"):
        filled(stub, solution.replace("def h", "def i"))


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
    assert f"{len(load_checks('01'))} exercises, no solutions" in capsys.readouterr().out
    mine = tmp_path / "student" / "01_tokenization.ipynb"
    mine.write_text("edited", encoding="utf-8")
    assert main(["handout", "--out", str(tmp_path), "--kind", "student", "01"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert mine.read_text(encoding="utf-8") == "edited"
    assert main(["handout", "--out", str(tmp_path), "--kind", "student", "--overwrite", "01"]) == 0


def test_where_to_write_must_be_said(capsys):
    assert main(["handout", "01"]) == 2
    assert "--out" in capsys.readouterr().err


def test_a_notebook_that_is_not_there(tmp_path, capsys):
    assert main(["handout", "--out", str(tmp_path), "77"]) == 2
    assert "no notebook 77" in capsys.readouterr().err
