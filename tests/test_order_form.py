"""The form for orders: an order in words, its story, what a judge says of it, with widgets and without."""

import builtins
import random

import pytest

from course.instructions import form
from course.instructions.judge import judge, keywords
from course.instructions.orders import FACTS, MOST
from course.instructions.reading import read
from course.playground import OrderForm
from helpers.errors import CourseError
from helpers.generation import Storyteller
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer
from tests.scripted import TOKENIZER, Scripted

STORY = load_stories("bundled", "validation")[0]
READ = read(STORY).facts
DEMANDS = {"hero": READ["hero"], "kind": "fox" if READ["kind"] != "fox" else "bear"}  # one kept, the other not


class Always(dict):
    """Whatever is ordered, this is told."""

    def get(self, key, default=None):
        return STORY


def teller(answers: dict[str, str] | None = None) -> Storyteller:
    return Storyteller(Scripted(Always() if answers is None else answers), TOKENIZER)


def test_the_example_is_an_order_its_story_and_the_verdict_of_the_exact_judge():
    place = OrderForm(teller(), seed=3, **DEMANDS)
    order, story, kept = place.example
    assert order == form.worded(DEMANDS, 3) and DEMANDS["hero"] in order
    assert story == STORY and kept == judge(DEMANDS, STORY).kept == {"hero": True, "kind": False}
    assert repr(place) == f"{order}\n\n{STORY}\n\nhero {DEMANDS['hero']}: kept\nkind {DEMANDS['kind']}: not kept"
    page = place._repr_html_()
    assert "<div>kind" in page and ": not kept</div>" in page and "temperature 0.7 with seed 3" in page


def test_another_judge_may_be_given():
    asked = []

    def strict(demands, story):
        asked.append((demands, story))
        return dict.fromkeys(demands, False)

    assert OrderForm(teller(), strict, **DEMANDS).example[2] == {"hero": False, "kind": False}
    assert asked == [(DEMANDS, STORY)]
    assert OrderForm(teller(), judge=keywords, **DEMANDS).example[2] == keywords(DEMANDS, STORY)


def test_what_cannot_be_is_refused_at_once():
    with pytest.raises(CourseError, match="add_chat_tokens"):
        OrderForm(Storyteller(Scripted({}), load_tokenizer()))
    with pytest.raises(CourseError, match="no story has the kind 'dragon'"):
        OrderForm(teller(), kind="dragon")
    with pytest.raises(CourseError, match="no order asks for 'colour'"):
        OrderForm(teller(), colour="red")
    for demands in ({}, dict(list(READ.items())[: MOST + 1])):
        with pytest.raises(CourseError, match=f"1 to 5 demands, and here are {len(demands)}"):
            form.worded(demands, 1)


def test_no_word_becomes_markup():
    page = form.as_html("<b>order</b>", '<script>"x"</script> & more', {"hero": "<i>"}, {"hero": True}, "<u>")
    for raw in ("<script", "<i>", "<u>", "<b>"):
        assert raw not in page
    assert "&lt;script&gt;" in page and "hero &lt;i&gt;: kept" in page and "&amp; more" in page
    assert ": kept" not in form.as_html("order", "", {"hero": "Pip"})


def test_a_surprise_is_an_order_that_some_story_keeps():
    seen = [form.surprise(random.Random(seed)) for seed in range(20)]
    assert all(len(demands) == 3 and form.worded(demands, 1) for demands in seen)
    assert all(value in FACTS[fact] for demands in seen for fact, value in demands.items())
    assert len({tuple(demands.items()) for demands in seen}) > 15
    assert form.surprise(random.Random(5)) == form.surprise(random.Random(5))


def test_the_story_grows_and_is_told_again_by_its_seed():
    parts = list(form.told(teller(), "Tell a story.", 0.7, 1))
    assert parts[-1] == STORY and len(parts) > 50
    assert all(STORY.startswith(part) for part in parts)


def test_without_widgets_the_example_is_all_there_is(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *what, **how: shown.append((what, how)))
    real = builtins.__import__

    def no_widgets(name, *rest):
        if name.split(".")[0] == "ipywidgets":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_widgets)
    place = OrderForm(teller(), **DEMANDS)
    place._ipython_display_()
    ((bundle,), how) = shown[0]
    assert len(shown) == 1 and how == {"raw": True}
    assert bundle["text/plain"] == repr(place) and bundle["text/html"] == place._repr_html_()


def test_the_buttons_tell_what_the_fields_say():
    box = OrderForm(teller(), seed=2, **DEMANDS).widget()
    rows, buttons, place = box.children
    fields = {field.description: field for field in rows.children}
    tell, surprise, limit = buttons.children
    assert list(fields) == [*form.ORDER, "temperature", "seed"] and "at most 5 demands" in limit.value
    assert fields["kind"].value == DEMANDS["kind"] and fields["toy"].value == "-" and fields["toy"].options[1] == "kite"
    tell.click()
    told = form.as_html(form.worded(DEMANDS, 2), STORY, DEMANDS, {"hero": True, "kind": False})
    assert place.value == told and not tell.disabled

    for fact in form.ORDER:
        fields[fact].value = fields[fact].options[1]
    tell.click()
    assert "1 to 5 demands, and here are 9" in place.value and not surprise.disabled
    for fact in form.ORDER:
        fields[fact].value = "-"
    tell.click()
    assert "here are 0" in place.value

    surprise.click()
    chosen = {fact: fields[fact].value for fact in form.ORDER if fields[fact].value != "-"}
    assert len(chosen) == 3
    assert place.value == form.as_html(
        form.worded(chosen, fields["seed"].value), STORY, chosen, judge(chosen, STORY).kept
    )
