"""Notebook 02: its repairs, its near copies, its layouts of sequences, and solutions that have the helpers' results.

That its measures are those of `course.corpus` is tested in test_taught_code_01_04.py.
"""

import ast
import random
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course.checks.cells import exercise_cells, part_source, surroundings
from course.site import notebooks
from helpers.dataset import tokenize_stories
from helpers.stories import split_stories
from helpers.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def solved():
    """The functions of the folded solutions, over what the cells above them define."""
    book, scope = notebooks.read(notebooks.folder() / "02_dataset_eda.ipynb"), {}
    for cells in exercise_cells(book).values():
        scope |= surroundings(book, cells.stub)
        exec(part_source(cells), scope)
    return scope


@pytest.fixture(scope="module")
def taught(solved):
    """The notebook's functions, without what it reads, plants, prints and draws, over the course's own parts."""
    kept = []
    for cell in notebooks.read(notebooks.folder() / "02_dataset_eda.ipynb").cells:
        if cell.cell_type != "code" or {"setup", "exercise"} & set(notebooks.tags_of(cell)):
            continue
        for statement in ast.parse(cell.source).body:
            if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef):
                kept.append(statement)
            elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                if statement.targets[0].id in {"CONTEXT", "MARKS", "factors"}:
                    kept.append(statement)
    scope = solved | {"session": SimpleNamespace(seed=1337)}
    exec(compile(ast.Module(kept, type_ignores=[]), "<notebook 02>", "exec"), scope)
    return scope


def test_what_was_broken_is_mended(taught):
    story = 'Pip said, "Let\'s go!"\n"Oh," said Zoé.'
    damaged = taught["broken"](story)
    assert "â€" in damaged and "Ã" in damaged
    assert taught["mend_characters"](damaged) == re.sub(r'"([^"]*)"', r"“\1”", story).replace("'", "’")


def test_near_copies_are_found_as_often_as_minhash_promises(taught):
    """Two stories are likely with a probability of 1 - (1 - J ** 3) ** 8, which needs independent numbers."""
    rng, stories, expected = random.Random(7), [], 0.0
    for _ in range(300):
        words = ["".join(rng.choices("abcdefghij", k=6)) for _ in range(104)]
        changed = words[:80] + ["".join(rng.choices("klmnopqrst", k=6)) for _ in range(24)]
        stories += [" ".join(words), " ".join(changed)]
        index = taught["jaccard"](*(taught["sequences"](story, 5) for story in stories[-2:]))
        expected += 1 - (1 - index**3) ** 8
    found = taught["near_copies"](stories)
    assert set(found) <= {(i, i + 1) for i in range(0, 600, 2)}
    assert abs(len(found) - expected) < 20, (len(found), expected)


def test_sequences_hold_all_that_they_should(taught):
    lengths = [300, 10, 200, 256, 1, 90]
    stories = [[number] * (length - 1) for number, length in enumerate(lengths)]
    packed = [taught["blocks"](row) for row in taught["pack_stream"](stories, taught["CONTEXT"], -1)]
    assert all(sum(n for _, n in sequence) == taught["CONTEXT"] for sequence in packed)
    assert len(packed) == sum(lengths) // taught["CONTEXT"]
    assert packed[0] == [(0, 256)] and packed[1][:3] == [(0, 44), (1, 10), (2, 200)]
    assert taught["wasted"](lengths, 2, 256) > taught["wasted"](lengths, 2) > taught["wasted"](sorted(lengths), 2)


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(max_size=20), max_size=12), fraction=st.floats(0.05, 0.95))
def test_the_solved_split_is_the_helpers(solved, texts, fraction):
    assert solved["split_by_text"](texts, fraction) == split_stories(texts, fraction)


def test_the_solved_stream_is_what_the_window_sampler_cuts(solved, tmp_path):
    """Both read one stream with an end token after each story; the sampler's begins with one more."""
    tokenizer = load_tokenizer("bundled")
    stories = ["Pip lost a kite.", "Mia found it.", "They all went home, and that was the end."]
    file = tokenize_stories(stories, tokenizer, tmp_path, progress=False)
    packed = solved["pack_stream"](tokenizer.encode_batch(stories), 5, tokenizer.eos_token_id)
    assert packed == file.ids[1 : 1 + 5 * len(packed)].reshape(-1, 5).tolist() and len(packed) == file.tokens // 5


def test_two_stories_share_a_smallest_number_as_often_as_their_index_says(taught):
    """The probability is Jaccard's index: of 2,400 pairs of numbers about 0.6 agree."""
    rng, agreed = random.Random(3), 0
    for _ in range(100):
        shared, one, other = ([rng.randrange(2**32) for _ in range(size)] for size in (60, 20, 20))
        smallest = [taught["minhash"](np.array(its, dtype=np.uint64), taught["factors"]) for its in
                    (shared + one, shared + other)]  # fmt: skip
        agreed += sum(a == b for a, b in zip(*smallest, strict=True))
    assert abs(agreed / 2400 - 0.6) < 0.04


def test_the_tidiest_of_each_group_stays(taught):
    stories = ["PIP LOST A KITE.", "Pip lost a kite.", "Pip  lost  a kite.", "Mia found it."]
    assert taught["copies_to_drop"](stories) == {0, 2} and taught["copies_in"](stories) == 2
