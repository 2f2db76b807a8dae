"""The list of notebooks, the map drawn from it, and the first notebook's figures."""

import json

from matplotlib.patches import FancyBboxPatch

from course.figures import course_map, storytelling, style
from course.site import notebooks
from course.site.syllabus import SYLLABUS


def test_the_syllabus_is_in_order_and_holds_every_notebook():
    assert [entry.number for entry in SYLLABUS] == [f"{i:02d}" for i in range(16)]
    assert {path.stem for path in notebooks.all_notebooks()} <= {entry.name for entry in SYLLABUS}


def test_the_map_names_every_notebook_and_says_which_are_planned():
    picture = course_map.course_map()
    for entry in SYLLABUS:
        assert f"{entry.number} {entry.title}" + ("" if entry.exists else " (planned)") in picture.alt
    assert len(picture.png) < 100_000


def test_every_title_stands_in_its_box_and_every_box_in_the_map():
    with style.applied():
        fig, _ = course_map.course_map.__wrapped__()
        fig.draw_without_rendering()
    (ax,) = fig.axes
    boxes = [patch.get_window_extent() for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    titles = [text.get_window_extent() for text in ax.texts if text.get_text() in {entry.title for entry in SYLLABUS}]
    stages = [text.get_window_extent() for text in ax.texts if text.get_ha() == "right"]
    assert len(boxes) == len(titles) == len(SYLLABUS) and len(stages) == len({entry.stage for entry in SYLLABUS})
    for box, title in zip(boxes, titles, strict=True):
        assert ax.bbox.x0 <= box.x0 < title.x0 and title.x1 < box.x1 <= ax.bbox.x1
    assert all(fig.bbox.x0 < stage.x0 and stage.x1 < boxes[0].x0 for stage in stages)


def test_notebook_00_shows_the_present_map():
    first = notebooks.all_notebooks()[0]
    assert course_map.course_map().alt in json.dumps(notebooks.read(first)), f"run docs/tools/refresh.py {first.name}"


STEPS = [
    storytelling.Step(text, probability, [(text, probability), (" dog", 0.1), (" cat", 0.05)])
    for text, probability in [(" a", 0.99), (" little", 0.5), (" rab", 0.02), ("bit", 0.999), (".\n", 0.6)] * 9
]


def test_a_growing_story_tells_its_most_surprising_token():
    picture = storytelling.growing_story("Once upon a time", STEPS)
    assert "Of 45 tokens" in picture.alt and "almost certain of 18, a probability above 0.9" in picture.alt
    assert "“·rab” 0.02" in picture.alt
    assert len(picture.png) < 100_000


def test_lines_are_broken_before_they_are_too_long():
    lines = storytelling._broken(STEPS, wide=30)
    assert [step for line in lines for step in line] == STEPS
    assert all(sum(map(storytelling._width, line)) <= 34 for line in lines)


def test_choices_tell_the_likeliest():
    picture = storytelling.choices(STEPS, at=[1, 3])
    assert "After “... a” a few share it: “·little” 0.50" in picture.alt
    assert "one token has nearly everything, “bit” 1.00" in picture.alt
