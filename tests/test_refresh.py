"""From a draft to a stored notebook: executed, filled in, clean, and the same when it is done again."""

import nbformat
import pytest

from course.site import notebooks, setup_cell
from helpers.files import repository_root

DRAFT = """\
# %% [markdown]
# # 98 · A draft
#
# [![Open in Colab](x)](x)

# %% tags=["setup"]
# replaced

# %%
for i in range(3):
    print(i, end=" ", flush=True)
print(root)

# %% tags=["exercise"] exercise="98.1"
def f(x): ...

# %%
import ipywidgets

ipywidgets.IntSlider()

# %% [markdown]
# **Predict:** what is one and one?

# %% tags=["predicted"]
print(1 + 1)
"""


@pytest.fixture(scope="module")
def refresh():
    import refresh

    return refresh


@pytest.fixture(scope="module")
def stored(refresh, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drafts")
    draft, path = folder / "draft.py", folder / "98_draft.ipynb"
    draft.write_text(DRAFT, encoding="utf-8")
    assert refresh.main([str(path), "--source", str(draft)]) == 0
    return path


def test_setup_cell_and_badge_are_filled_in(stored):
    book = notebooks.read(stored)
    assert book.cells[1].source == setup_cell.setup_cell("98")
    assert book.cells[0].source.endswith(setup_cell.badge("98_draft"))


def test_it_was_executed_and_what_a_cell_prints_is_one_output(stored):
    cells = [cell for cell in notebooks.read(stored).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, 5]
    assert len(cells[1].outputs) == 1 and cells[1].outputs[0].text.startswith("0 1 2 ")


def test_nothing_of_this_machine_is_kept(stored):
    text = stored.read_text(encoding="utf-8")
    assert str(repository_root()) not in text
    assert "jupyter.widget" not in text and '"execution"' not in text and "lines_to_next_cell" not in text
    assert notebooks.read(stored).metadata.language_info == {"name": "python"}


def test_exercise_metadata_is_kept(stored):
    (cell,) = [cell for cell in notebooks.read(stored).cells if "exercise" in notebooks.tags_of(cell)]
    assert cell.metadata.exercise == "98.1"


def test_executing_again_gives_the_same_file(refresh, stored):
    before = stored.read_bytes()
    assert refresh.main([str(stored)]) == 0
    assert stored.read_bytes() == before


def test_a_cell_that_fails_leaves_the_file_as_it_was(refresh, stored, tmp_path, capsys):
    before = stored.read_bytes()
    draft = tmp_path / "draft.py"
    draft.write_text("# %%\n1 / 0\n", encoding="utf-8")
    assert refresh.main([str(stored), "--source", str(draft)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert stored.read_bytes() == before


def test_what_is_to_be_predicted_is_folded_and_nothing_else(stored):
    *others, cell = [cell for cell in notebooks.read(stored).cells if cell.cell_type == "code"]
    assert cell.metadata.jupyter == {"outputs_hidden": True} and cell.outputs[0].text == "2\n"
    assert notebooks.tags_of(cell) == ["predicted", "hide-output"]  # the second is for the web book
    assert not any("outputs_hidden" in other.metadata.get("jupyter", {}) for other in others)
    assert not any("hide-output" in notebooks.tags_of(other) for other in others)


def test_folding_follows_the_tag_and_can_be_done_again():
    cell = nbformat.v4.new_code_cell("1", metadata={"tags": ["a", "predicted"], "slideshow": {"slide_type": "-"}})
    other = nbformat.v4.new_code_cell("2", metadata={"jupyter": {"source_hidden": True, "outputs_hidden": True}})
    book = nbformat.v4.new_notebook(cells=[cell, other])
    for _ in range(2):
        notebooks.clean(book)
    assert notebooks.tags_of(cell) == ["a", "predicted", "hide-output"]
    assert cell.metadata.slideshow.slide_type == "fragment", "the answer waits for a key"
    assert other.metadata == {"jupyter": {"source_hidden": True}}
    cell.metadata["tags"].remove("predicted")
    notebooks.clean(book)
    assert notebooks.tags_of(cell) == ["a"] and "jupyter" not in cell.metadata


def test_equal_cells_have_different_ids_that_do_not_depend_on_the_run():
    def book():
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1") for _ in range(3)])

    one, other = book(), book()
    notebooks.clean(one), notebooks.clean(other)
    assert [cell.id for cell in one.cells] == [cell.id for cell in other.cells]
    assert len({cell.id for cell in one.cells}) == 3


def test_the_setup_cell_tells_the_time_that_was_recorded_after_it_ran(refresh, stored, monkeypatch):
    monkeypatch.setattr(refresh.course, "profile", lambda: "cpu")
    monkeypatch.setattr(refresh.course, "notebook_seconds", lambda profile: {stored.stem: 121.0})
    refresh.say_times([stored])
    said = notebooks.read(stored).cells[1].outputs[0]["text"]
    assert "Running all of it took 2 minutes" in said and said.count("\n") == 2
