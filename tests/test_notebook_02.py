"""What notebook 02 builds by hand is what `helpers.corpus` does."""

import ast
import random
import re
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course.site import notebooks
from helpers import corpus

AWKWARD = ["", "...", "Don't! ’Tis Zoé’s.", 'Pip ran. "Is that you?" asked Mia. “Yes!” He was.\n\nThe end', "a_b 3 c-d"]
AWKWARD += ["Mr. Bell met Mrs. Green. Dr. Day", "Ms. Ash of St. Ives said, “Best. Ever.”"]


@pytest.fixture(scope="module")
def taught():
    """The notebook's functions, without what it reads, plants, prints and draws."""
    kept = []
    for cell in notebooks.read(notebooks.folder() / "02_dataset_eda.ipynb").cells:
        if cell.cell_type != "code" or {"setup", "exercise"} & set(notebooks.tags_of(cell)):
            continue
        for statement in ast.parse(cell.source).body:
            if isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef):
                kept.append(statement)
            elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                if statement.targets[0].id in {"CONTEXT", "TYPICAL", "draws", "repairs", "any_broken"}:
                    kept.append(statement)
    scope = {"__name__": "notebook", "session": SimpleNamespace(seed=1337)}
    exec(compile(ast.Module(kept, type_ignores=[]), "<notebook 02>", "exec"), scope)
    return scope


texts = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(AWKWARD), max_size=3).map(" ".join))


@settings(max_examples=200, deadline=None)
@given(text=texts)
def test_words_and_sentences_are_the_helpers(taught, text):
    assert taught["words_of"](text) == corpus.words(text)
    assert taught["sentences_of"](text) == corpus.sentences(text)


@settings(max_examples=100, deadline=None)
@given(stories=st.lists(texts, max_size=9))
def test_growth_and_ranks_are_the_helpers(taught, stories):
    assert taught["growth"](stories) == corpus.growth(stories)
    counts = Counter(word for text in stories for word in corpus.words(text))
    if counts:
        ours, theirs = taught["rank_frequencies"](counts, 40), corpus.rank_frequencies(counts, 40)
        assert [rank for rank, _ in ours] == [rank for rank, _ in theirs]
        assert [share for _, share in ours] == pytest.approx([share for _, share in theirs])


def test_seen_sentences_are_the_helpers(taught):
    assert taught["seen_share"](AWKWARD[:3], AWKWARD) == corpus.seen_share(AWKWARD[:3], AWKWARD)


def test_what_was_broken_is_mended(taught):
    story = 'Pip said, "Let\'s go!"\n"Oh," said Zoé.'
    damaged = taught["broken"](story)
    assert "â€" in damaged and "Ã" in damaged
    assert taught["mended"](damaged) == re.sub(r'"([^"]*)"', r"“\1”", story).replace("'", "’")


def test_near_copies_are_found_as_often_as_minhash_promises(taught):
    """Two stories are likely with a probability of 1 - (1 - J ** 3) ** 8, which needs independent draws."""
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


def test_rows_hold_all_that_they_should(taught):
    lengths = [300, 10, 200, 256, 1, 90]
    packed = taught["packed_rows"](lengths)
    assert all(sum(n for _, n in row) == taught["CONTEXT"] for row in packed)
    assert len(packed) == sum(lengths) // taught["CONTEXT"]
    assert taught["wasted"](lengths, 2, 256) > taught["wasted"](lengths, 2) > taught["wasted"](sorted(lengths), 2)
