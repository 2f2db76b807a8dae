"""Stories come from what was asked for, or not at all."""

import json
import os
import re

import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import stories
from helpers.errors import CourseError
from helpers.files import sha256
from helpers.stories import describe, in_validation, load_stories, split_stories

TEXTS = [f"Once there was a rabbit with {n} kites.\nIt was glad — 🙂." for n in range(200)]


def write_parquet(path, texts):
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path)
    return path


def write_jsonl(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def write_txt(path, texts):
    path.write_text("\n<|endoftext|>\n".join(texts), encoding="utf-8")
    return path


WRITERS = {".txt": write_txt, ".jsonl": write_jsonl, ".parquet": write_parquet}


# --- the bundled stories
# ---------------------------------------------------------------------------------------------


def test_the_bundled_stories():
    train, validation = load_stories(), load_stories(split="validation")
    assert len(train) >= 50_000 and len(validation) >= 1_500
    assert train.source == "bundled" and train.split == "train" and "grammar" in train.description
    assert isinstance(train[0], str) and train[:2] == [train[0], train[1]] and train[-1]
    assert not set(train) & set(validation)
    assert {"text", "plot"} <= set(train.dataset.column_names)
    assert {"nats", "spans"} <= set(validation.dataset.column_names)
    assert list(load_stories(limit=7)) == train[:7]
    assert list(load_stories(limit=7, streaming=True)) == train[:7]


@pytest.fixture
def small_bundle(tmp_path, monkeypatch):
    """A folder like data/ with two small story files and their hashes."""
    folder = tmp_path / "stories"
    folder.mkdir()
    for split, texts in (("train", TEXTS[:150]), ("validation", TEXTS[150:])):
        write_parquet(folder / f"{split}-00000-of-00001.parquet", texts)
    hashes = {path.name: sha256(path) for path in folder.iterdir()}
    (folder / "hashes.json").write_text(json.dumps(hashes), encoding="utf-8")
    monkeypatch.setattr(stories, "data_folder", lambda: tmp_path)
    return folder


def test_a_bundle_is_read_and_verified(small_bundle):
    loaded = load_stories(limit=20)
    assert list(loaded) == TEXTS[:20] and len(loaded) == 20
    assert list(load_stories(split="validation", limit=10**9)) == TEXTS[150:]
    streamed = load_stories(streaming=True)
    assert list(streamed) == list(streamed) == TEXTS[:150]
    with pytest.raises(TypeError, match="streamed"):
        len(streamed)
    with pytest.raises(TypeError, match="streamed"):
        streamed[0]
    assert [row["text"] for row in streamed.dataset] == TEXTS[:150]
    assert "20 stories" in repr(loaded) and "streamed" in repr(streamed)


def test_a_damaged_bundle_is_refused(small_bundle):
    path = small_bundle / "train-00000-of-00001.parquet"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(CourseError, match="are damaged, or were changed"):
        load_stories()
    path.unlink()
    with pytest.raises(CourseError, match="are missing: restore"):
        load_stories()
    assert len(load_stories(split="validation")) == 50
    (small_bundle / "hashes.json").unlink()
    with pytest.raises(CourseError, match="are missing from .*: restore"):
        load_stories(split="validation")


# --- files
# -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("streaming", [False, True])
def test_own_files_are_split_by_story(tmp_path, ending, streaming):
    path = WRITERS[ending](tmp_path / f"mine{ending}", TEXTS)
    train = list(load_stories(path, streaming=streaming))
    validation = list(load_stories(str(path), "validation", streaming=streaming))
    assert (train, validation) == split_stories(TEXTS)
    assert 5 <= len(validation) <= 40
    assert list(load_stories(path, limit=3, streaming=streaming)) == train[:3]


def test_many_files_a_folder_and_a_pattern(tmp_path):
    for at, (ending, write) in enumerate(WRITERS.items()):
        write(tmp_path / f"part{at}{ending}", TEXTS[at * 60 : (at + 1) * 60])
    (tmp_path / "readme.md").write_text("not a story", encoding="utf-8")
    expected = split_stories(TEXTS[:180])[0]
    assert list(load_stories(tmp_path)) == expected
    assert list(load_stories(str(tmp_path / "part*"))) == expected
    assert list(load_stories(sorted(tmp_path.glob("part*")))) == expected


def test_files_named_train_and_valid_are_the_splits(tmp_path):
    write_txt(tmp_path / "Tiny-train.txt", TEXTS[:100])
    write_txt(tmp_path / "Tiny-valid.txt", TEXTS[100:])
    assert list(load_stories(tmp_path)) == TEXTS[:100]
    assert list(load_stories(tmp_path, "validation")) == TEXTS[100:]


def test_text_files_are_divided_by_the_end_line_or_by_blank_lines(tmp_path):
    path = tmp_path / "a.txt"

    def both():
        sides = [load_stories(path, split, streaming=True) for split in ("train", "validation")]
        return sorted(text for side in sides for text in side)

    path.write_bytes("\ufeffOne.\r\n\r\nStill one.\r\n<|endoftext|>\r\nTwo.\r\n<|endoftext|>\r\n".encode())
    assert both() == ["One.\n\nStill one.", "Two."]
    path.write_text("One.\nStill one.\n\n \nTwo.", encoding="utf-8")
    assert both() == ["One.\nStill one.", "Two."]
    path.write_text("One.<|endoftext|>Two.\n\nStill two. <|endoftext|>\n<|endoftext|>Three.", encoding="utf-8")
    assert both() == ["One.", "Three.", "Two.\n\nStill two."]
    path.write_bytes(b"One.\rStill one.\r\rTwo.\r")  # as an old Mac ended its lines
    assert both() == ["One.\nStill one.", "Two."]


def test_jsonl_may_hold_strings(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('"One."\n\n{"text": "Two.", "more": 1}\n', encoding="utf-8")
    found = [*load_stories(path, streaming=True), *load_stories(path, "validation", streaming=True)]
    assert sorted(found) == ["One.", "Two."]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"fine\ncaf\xe9\n", r"a\.txt, line 2: byte 0xe9 at column 4 is not UTF-8"),
        ("a.txt", "One.".encode("utf-16"), r"a\.txt, line 1: byte 0xff at column 1 is not UTF-8"),
        ("a.txt", b"", "there is not one story in .*a.txt"),
        ("a.txt", b"\n \n<|endoftext|>\n", "there is not one story in"),
        ("a.jsonl", b'{"text": "ok"}\n{"text": ', r"a\.jsonl, line 2, is not valid JSON"),
        ("a.jsonl", b'{"text": "ok"}\n{"text": "\\ud800"}', r"a\.jsonl, line 2, is not valid JSON \(.*surrogate"),
        ("a.jsonl", b'{"text": "ok", "id": ' + b"9" * 5000 + b"}", r"a\.jsonl, line 1, is not valid JSON"),
        ("a.jsonl", b'{"text": "ok", "id": ' + b"[" * 100_000, r"a\.jsonl, line 1, is not valid JSON \(brackets"),
        ("a.jsonl", b'{"text": NaN}', r"a\.jsonl, line 1: there is no story"),
        ("a.txt", "One.\n\nTwo.".encode("utf-16-le"), r"a\.txt, line 1: 4 NULs, as UTF-16 has them; save the file"),
        ("a.txt", "Раз.\nДва и три.".encode("utf-16-be"), r"a\.txt, line 1: .*UTF-8"),
        ("a.jsonl", '"One."'.encode("utf-16-le"), r"a\.jsonl, line 1: 6 NULs"),
        ("a.txt", b"One.\n" * 30, r"a\.txt has no <.* make 1 story of 30 lines \(149 char.* behind each"),
        ("a.txt", b"One. " * 3000, r"a\.txt has no .* make 1 story of 1 line \(14,999 characters\): put a line"),
        ("a.jsonl", b'""\n{"text": " \\n"}', "there is not one story in"),
        ("a.jsonl", b'{"text": "ok"}\n{"story": "x"}', r"a\.jsonl, line 2: there is no story"),
        ("a.jsonl", b'{"text": null}', r"a\.jsonl, line 1: there is no story"),
        ("a.jsonl", b'{"text": "\xff"}', r"a\.jsonl, line 1: byte 0xff"),
        ("a.parquet", b"PAR1 no", "is not a whole parquet file"),
        ("a.csv", b"text\nx", "not a kind of file"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_bad_files_are_named_with_their_line(tmp_path, name, content, message, streaming):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CourseError, match=message):
        list(load_stories(tmp_path / name, streaming=streaming))


def test_bad_parquet_is_named_with_its_row(tmp_path):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"story": ["x"]}), path)
    with pytest.raises(CourseError, match="no column \"text\", only 'story'"):
        load_stories(path)
    for rows, message in ((["x", None], "row 2: .* holds None"), ([7, 8], "row 1: .* holds 7")):
        write_parquet(path, rows)
        for streaming in (False, True):
            with pytest.raises(CourseError, match=f"{message}, not a story"):
                list(load_stories(path, streaming=streaming))


def test_bad_questions_get_a_clear_line(tmp_path):
    with pytest.raises(CourseError, match="there are no stories at 'tinystorys'"):
        load_stories("tinystorys")
    with pytest.raises(CourseError, match="there is no split 'test'"):
        load_stories(split="test")
    for limit in (0, -1, 2.5):
        with pytest.raises(CourseError, match="limit must be"):
            load_stories(limit=limit)
    with pytest.raises(CourseError, match="holds no stories"):
        load_stories(tmp_path)
    path = write_jsonl(tmp_path / "one.jsonl", ["Just one."])
    split = "train" if in_validation("Just one.") else "validation"
    with pytest.raises(CourseError, match=f"has no {split} stories, only 1 story in all"):
        load_stories(path, split)
    write_jsonl(path, few := [text for text in TEXTS if not in_validation(text)][:5])
    with pytest.raises(CourseError, match="has no validation stories among its 5: give more"):
        load_stories(path, "validation")
    assert load_stories(path)[:] == few
    for nothing in ("", " ", [""]):
        with pytest.raises(CourseError, match="the source of stories is empty"):
            load_stories(nothing)


@pytest.mark.parametrize("ending", WRITERS)
def test_blank_stories_are_left_out(tmp_path, ending):
    kept = [*TEXTS, "!!!"]
    texts = ["", *kept[:20], " \n", *kept[20:], "\t"]
    path = WRITERS[ending](tmp_path / f"mine{ending}", texts)
    for streaming in (False, True):
        found = [list(load_stories(path, split, streaming=streaming)) for split in ("train", "validation")]
        assert tuple(found) == split_stories(kept)


LINES = [f"Story {n}: Pip had a kite and lost it in a tree." for n in range(240)]
UNDIVIDED = {
    "one story a line": (LINES, "1 story of 240 lines"),
    "a blank line among them": ([*LINES[:9], "", *LINES[9:]], "2 stories of 240 lines"),
    "blank lines here and there": ([*LINES, "", *LINES, "", *LINES] * 9, "19 stories of 6,480 lines"),
}


@pytest.mark.parametrize("what", UNDIVIDED)
@pytest.mark.parametrize("streaming", [False, True])
def test_lines_that_are_stories_are_not_taken_for_a_few_long_ones(tmp_path, what, streaming):
    lines, seen = UNDIVIDED[what]
    for names in ({"a.txt"}, {"a.txt", "b.txt"}, {"a.txt", "of-the-course.jsonl"}):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name in names - {"of-the-course.jsonl"}:
            (folder / name).write_text("\n".join(lines), encoding="utf-8")
        if "of-the-course.jsonl" in names:
            write_jsonl(folder / "of-the-course.jsonl", TEXTS)
        with pytest.raises(CourseError, match=rf"a\.txt has no <\|endoftext\|>, and blank lines make {seen} \("):
            load_stories(folder, streaming=streaming)
        for name in names - {"of-the-course.jsonl"}:  # as the message says
            (folder / name).write_text("".join(f"{line}\n<|endoftext|>\n" for line in lines if line), encoding="utf-8")
        assert len(load_stories(folder)) > 200


def test_long_stories_that_are_plainly_divided_are_taken(tmp_path):
    poem = "\n".join("Of kites and trees," for _ in range(25))
    for joint, number in (("\n\n", 30), ("\n<|endoftext|>\n", 3), ("\n \n\n", 12)):
        path = tmp_path / "a.txt"
        path.write_text(joint.join(f"Poem {n}\n{poem}" for n in range(number)), encoding="utf-8")
        both = [text for split in ("train", "validation") for text in load_stories(path, split, streaming=True)]
        assert len(both) == number
    path.write_text("\n\n".join(f"{n} " + "One. " * 4000 for n in range(12)), encoding="utf-8")
    assert len(list(load_stories(path, streaming=True))) > 6
    path.write_text(f"{poem}\n<|endoftext|>", encoding="utf-8")  # the only story, and said to be one
    assert len(list(load_stories(path, "train" if not in_validation(poem) else "validation"))) == 1


@pytest.mark.parametrize("joint", ["\n", "\n\n"])
def test_too_few_stories_say_how_many_lines_they_have_and_what_divides_them(tmp_path, joint):
    path = tmp_path / "a.txt"
    path.write_text(joint.join(["\n".join(LINES[:9]), "\n".join(LINES[9:18])]), encoding="utf-8")
    seen = ", only 1 story in all" if joint == "\n" else " among its 2"
    lines = "there are 18 lines of 8.. characters: .*, put a line with <.endoftext.> behind each"
    with pytest.raises(CourseError, match=f"no validation stories{seen}: give more .*; {lines}"):
        load_stories(path, "validation")


def test_a_text_of_a_few_lines_may_be_one_story_of_several_files(tmp_path):
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text(f"Story {number}.\n" * 40, encoding="utf-8")
    assert len(load_stories(tmp_path)) + len(load_stories(tmp_path, "validation")) == 30


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(CourseError, match="there are no stories at"):
        load_stories(tmp_path / "a.txt")
    with pytest.raises(CourseError, match="there are no stories at '/dev/zero'"):
        load_stories("/dev/zero")


def test_describe_says_what_it_is():
    assert "grammar" in describe() and "Eldan" in describe("tinystories")
    assert describe(["x/a.txt", "b.txt"]) == "your own stories, from a.txt, b.txt"


# --- the split by story
# ----------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=8), max_size=60), st.floats(0.01, 0.9))
def test_no_story_is_on_both_sides(texts, fraction):
    train, validation = split_stories(texts, fraction)
    assert sorted(train + validation) == sorted(texts)
    assert not set(train) & set(validation)
    assert not {" ".join(text.split()) for text in train} & {" ".join(text.split()) for text in validation}


def test_the_split_is_about_as_large_as_asked():
    train, validation = split_stories((f"story {n}" for n in range(20_000)), 0.1)
    assert 0.09 < len(validation) / 20_000 < 0.11
    with pytest.raises(CourseError, match="between 0 and 1"):
        split_stories([], 1.0)


# --- saved data sets and the Hub
# -------------------------------------------------------------------------------------


def test_a_saved_dataset_is_split_and_a_saved_dictionary_is_not(tmp_path):
    Dataset.from_dict({"text": TEXTS}).save_to_disk(str(tmp_path / "one"))
    train, validation = split_stories(TEXTS)
    assert list(load_stories(tmp_path / "one")) == train
    assert load_stories(tmp_path / "one", "validation")[:] == validation
    two = DatasetDict(train=Dataset.from_dict({"text": TEXTS[:9]}), validation=Dataset.from_dict({"text": TEXTS[9:12]}))
    two.save_to_disk(str(tmp_path / "two"))
    assert list(load_stories(tmp_path / "two", limit=5)) == TEXTS[:5]
    assert list(load_stories(tmp_path / "two", "validation")) == TEXTS[9:12]
    with_blanks = {"text": ["", *TEXTS, " "]}
    DatasetDict(train=Dataset.from_dict(with_blanks)).save_to_disk(str(tmp_path / "three"))
    assert list(load_stories(tmp_path / "three", "validation")) == validation
    assert list(load_stories(tmp_path / "three")) == train, "no story is on both sides"


@pytest.mark.parametrize(("rows", "message"), [(["a", None], "row 2: .* holds None"), ([5, 6], "row 1: .* holds 5")])
@pytest.mark.parametrize("divided", [False, True])
def test_saved_rows_that_are_no_text_are_named_as_in_parquet(tmp_path, rows, message, divided):
    one = Dataset.from_dict({"text": rows})
    (DatasetDict(train=one, validation=one) if divided else one).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(CourseError, match=f"saved, {message}, not a story"):
        load_stories(tmp_path / "saved")


def test_a_damaged_saved_dataset_is_one_clear_line(tmp_path):
    Dataset.from_dict({"story": TEXTS}).save_to_disk(str(tmp_path / "named"))
    with pytest.raises(CourseError, match='no column "text"'):
        load_stories(tmp_path / "named")
    Dataset.from_dict({"text": TEXTS}).save_to_disk(str(tmp_path / "cut"))
    for path in (tmp_path / "cut").glob("*.arrow"):
        path.unlink()
    with pytest.raises(CourseError, match="not a whole folder of save_to_disk"):
        load_stories(tmp_path / "cut")


def test_without_a_hub_tinystories_is_refused_and_nothing_else_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("helpers.hub.hub_answers", lambda *_, **__: False)
    for streaming in (False, True):
        with pytest.raises(CourseError, match="does not answer"):
            load_stories("tinystories", limit=5, streaming=streaming)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CourseError, match="HF_HUB_OFFLINE forbids"):
        load_stories("tinystories")


def test_tinystories_are_taken_as_they_come(monkeypatch):
    whole = Dataset.from_dict({"text": TEXTS})
    asked = []

    def load(address, split, streaming):
        asked.append((address, split, streaming))
        return whole.to_iterable_dataset() if streaming else whole

    monkeypatch.setattr("datasets.load_dataset", load)
    monkeypatch.setattr("helpers.hub._look", lambda: True)
    monkeypatch.setattr("helpers.hub.in_cache", lambda: False)
    assert list(load_stories("tinystories", limit=5)) == TEXTS[:5]
    assert asked == [("roneneldan/TinyStories", "train", True)]  # the limit spares a gigabyte
    assert list(load_stories("tinystories", "validation")) == TEXTS
    assert asked[-1] == ("roneneldan/TinyStories", "validation", False)
    assert list(load_stories("tinystories", streaming=True, limit=4)) == TEXTS[:4]


def test_a_download_that_breaks_is_one_clear_line(monkeypatch):
    def load(*_, **__):
        raise ConnectionError("peer closed\nand more")

    monkeypatch.setattr("datasets.load_dataset", load)
    monkeypatch.setattr("helpers.hub._look", lambda: True)
    monkeypatch.setattr("helpers.hub.in_cache", lambda: False)
    for streaming in (False, True):
        with pytest.raises(CourseError, match=re.escape("could not be read (peer closed)")):
            list(load_stories("tinystories", streaming=streaming))
