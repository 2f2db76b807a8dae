"""The list of notebooks, the map drawn from it, and the first notebook's figures."""

import json

from course.figures import course_map, storytelling
from course.site import notebooks
from course.site.syllabus import SYLLABUS


def test_the_syllabus_is_in_order_and_holds_every_notebook():
    assert [entry.number for entry in SYLLABUS] == [f"{i:02d}" for i in range(15)]
    assert {path.stem for path in notebooks.all_notebooks()} <= {entry.name for entry in SYLLABUS}


def test_the_map_names_every_notebook_and_says_which_are_planned():
    picture = course_map.course_map()
    for entry in SYLLABUS:
        assert f"{entry.number} {entry.title}" + ("" if entry.exists else " (planned)") in picture.alt
    assert len(picture.png) < 100_000


def test_notebook_00_shows_the_present_map():
    first = notebooks.all_notebooks()[0]
    assert course_map.course_map().alt in json.dumps(notebooks.read(first)), f"run docs/tools/refresh.py {first.name}"


STEPS = [
    storytelling.Step(text, probability, [(text, probability), (" dog", 0.1), (" cat", 0.05)])
    for text, probability in [(" a", 0.99), (" little", 0.5), (" rab", 0.02), ("bit", 0.999), (".\n", 0.6)] * 9
]


def test_a_growing_story_tells_its_most_surprising_token():
    picture = storytelling.growing_story("Once upon a time", STEPS)
    assert "45 tokens" in picture.alt and "18 had a probability above 0.9" in picture.alt
    assert "'rab' at 0.02" in picture.alt
    assert len(picture.png) < 100_000


def test_lines_are_broken_before_they_are_too_long():
    lines = storytelling._broken(STEPS, wide=30)
    assert [step for line in lines for step in line] == STEPS
    assert all(sum(map(storytelling._width, line)) <= 34 for line in lines)


def test_choices_tell_the_likeliest():
    picture = storytelling.choices(STEPS, at=[1, 3])
    assert "after '... a' the likeliest is '·little' at 0.50" in picture.alt
