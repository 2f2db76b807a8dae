"""The figures of notebook 11 and its viewer: they say in words what they show, whatever they are given."""

import builtins
import re

import numpy as np
import pytest

from course.attention_viewer import as_html, attention_viewer
from course.figures import inside, inside_maps, style
from course.inside import Recall
from helpers.errors import CourseError
from tests.pictures import check_pictures

TEXT = 'One day, Pip met Olé.\n\n"Pip has a red kite," said Olé to a cat. Pip ran, and the red kite flew. ' + "So " * 40
PLACES = ["embedding", "after attention 1", "after MLP 1", "after attention 2", "after MLP 2"]
HEADS = np.array([[0.1, 0.0, 0.2, 0.3], [0.05, 0.9, 0.4, 0.3]])
TESTS = ("untouched", "without the head", "the head alone in its layer", "another head left out")


def spans(*roles):
    words = {"hero": "Pip", "friend": "Olé", "toy": "kite", "color": "red", "kind": "a cat"}
    return [
        {"start": match.start(), "end": match.end(), "role": role, "attribute": "text", "text": words[role]}
        for role in roles
        for match in re.finditer(words[role], TEXT)
    ]


def texts():
    last = TEXT.rindex("Pip")
    every = spans("hero", "friend", "toy", "color", "kind")
    yield (
        inside_maps.story_with_roles(TEXT, every, [last, TEXT.rindex("kite")]),
        ["62 words", "hero 3 times (first 'Pip')", "friend 2", "toy 2", "color 2", "2 are framed", "hero 1, toy 1"],
    )
    yield inside_maps.story_with_roles(TEXT, spans("hero"), []), ["hero 3 times", "None is framed"]
    yield inside_maps.story_with_roles("No roles here.", [], []), ["3 words", "no role"]
    yield inside_maps.story_with_roles("A pip.\nSo", [], [2]), ["1 are framed", "other 1"]  # no span begins there
    whole = [{"start": 0, "end": len(TEXT), "role": "kind"}]  # over several lines
    yield inside_maps.story_with_roles(TEXT, whole, []), ["no role"]

    tokens = [" Pip", " ran", ".", "\n", "<|endoftext|>", " Pip", " $x$"]
    yield (
        inside_maps.attention_on_text(tokens, [0.7, 0.2, 0.04, 0, 0.01, 0.05], 5, "Head 1.1"),
        [
            "Head 1.1. ",
            "7 tokens",
            "where ·Pip at position 5",
            "0.70 to ·Pip at position 0, 0.20",
            "0.05 to all others",
        ],
    )
    yield inside_maps.attention_on_text([" Pip"], [1.0], -1, "Alone"), ["1 tokens", "1.00 to ·Pip", "0.00 to all"]
    many = [" many"] * 250
    yield inside_maps.attention_on_text(many, [1 / 250] * 250, -1, "Even"), ["at position 249", "0.99 to all others"]
    yield inside_maps.attention_on_text(["."] * 9, [1 / 9] * 9, -1, "Close"), ["0.67 to all others"]


def heat_maps():
    yield (
        inside_maps.head_maps({"previous": HEADS, "left out": -HEADS}),
        [
            "2 layers with 4 heads",
            "previous: largest in head 1.1, 0.90, smallest in 0.1, 0.00",
            "smallest in 1.1, -0.90",
        ],
    )
    yield inside_maps.head_maps({"one": np.zeros((1, 1))}), ["1 layers", "largest in head 0.0, 0.00"]
    yield inside_maps.head_maps({"big": np.eye(12) * 3, "too": np.eye(12)}), ["12 layers", "largest in head 0.0, 3.00"]
    yield inside_maps.head_maps({str(i): HEADS for i in range(5)}), ["4: largest in head 1.1"]

    effects = np.zeros((5, 60))
    effects[1, 7], effects[4, 59] = 0.8, 1.02  # more than all can come back
    tokens = [f" word{i}" for i in range(60)]
    yield (
        inside_maps.patching_map(tokens, PLACES, effects),
        [
            "5 places by 60 tokens",
            "2 of 300 are over 0.5",
            "after attention 1: most at ·word7, position 7, 0.80",
            "1.02",
        ],
    )
    yield inside_maps.patching_map([" Pip"], ["stream"], np.array([[-0.1]])), ["0 of 1 are over", "most at ·Pip"]

    table = np.array([[0.1, 0.9, 0.0], [0.6, 0.2, 0.3], [0.0, 0.1, 0.8]])
    sources = ["embedding", "head 1.1", "head 1.2"]
    yield (
        inside_maps.path_table(sources, table),
        [
            "3 sources",
            "queries: most from head 1.1, 0.60, least from head 1.2",
            "keys: most from embedding",
            "values: mo",
        ],
    )
    yield inside_maps.path_table(sources[:1], -table[:1]), ["1 sources", "keys: most from embedding, -0.90"]
    yield inside_maps.path_table(sources[:1], 0 * table[:1]), ["0.00"]

    near = np.exp(-abs(np.subtract.outer(np.arange(100), np.arange(100))) / 20)
    yield (
        inside_maps.learned_positions(near, np.eye(100)),
        ["as learned, 100 positions: mean similarity 0.95 at distance 1", "sinusoids", "0.00 at distance 50"],
    )
    yield inside_maps.learned_positions(np.eye(1), -np.eye(1)), ["as learned, 1 positions: only one"]


def lines():
    rises = [0.0, 0.1, 0.2, 0.8, 0.9]
    yield (
        inside.lens_by_layer(PLACES, {"hero": rises, "toy": rises[::-1]}, {"hero": [0.5] * 5}),
        [
            "5 places",
            "hero from 0.00 to 0.90, the largest step up at the place after attention 2",
            "tuned lens, from 0.50",
        ],
    )
    yield inside.lens_by_layer(PLACES[:1], {"hero": [0.3]}), ["hero from 0.30 to 0.30."]

    results = {name: {test: (0.9 - 0.2 * i, 0.01) for i, test in enumerate(TESTS)} for name in ("shipped", "seed 1")}
    yield (
        inside.three_tests(results, 0.03, 1412),
        ["1,412 stories", "guessing is right in 3%", "shipped: untouched 90% ± 1.0%, without the head 70%", "seed 1"],
    )
    yield inside.three_tests({"one": {"untouched": (1.0, 0.0)}}, 0.5, 1), ["untouched 100%"]

    seen = [Recall(30, 1.0, 0.96, 1.0, 90), Recall(60, 0.9, 0.7, 0.97, 25), Recall(120, 0.5, 0.1, 0.9, 2)]
    guesses = [Recall(30, 0.1, 0.05, 0.2, 90), Recall(60, 0.0, 0.0, 0.13, 25), Recall(120, 0.0, 0.0, 0.6, 2)]
    yield (
        inside.recall_by_distance(
            {"hero": {"storyteller": seen, "trigram": guesses}, "toy": {"storyteller": seen[:1]}},
            {"hero": 1 / 12, "toy": 0.125},
        ),
        [
            "fewer than 20 mentions are left out",
            "90, 25, 2 mentions, guessing 8%: storyteller 100% (96% to 100%) at 30–59, 90% (70% to 97%) at 60–119",
            "trigram 10% (5% to 20%) at 30–59, 0% (0% to 13%) at 60–119.",
            "toy, 90, 0, 0 mentions, guessing 12%: storyteller 100% (96% to 100%) at 30–59.",
        ],
    )
    yield (
        inside.recall_by_distance({"toy": {"one": seen[2:], "two": []}}, {"toy": 0.1}, least=3),
        ["fewer than 3", "toy, 2 mentions, guessing 10%: one nowhere; two nowhere"],
    )
    yield inside.recall_by_distance({"toy": {"one": []}}, {"toy": 0.1}), ["toy, no mentions"]

    probe = {"probe": rises, "control": [0.1] * 5, "chance": 0.05}
    yield (
        inside.probe_accuracy(PLACES, {"hero's kind": probe, "plot": probe}),
        ["hero's kind: best 90% at after MLP 2, there the control 10%; chance 5%", "plot: best"],
    )
    for count in (1, 4, 5):
        yield inside.probe_accuracy(PLACES, {str(i): probe for i in range(count)}), [f"{count - 1}: best 90%"]

    runs = [{"seed": seed, "rows": rows(seed)} for seed in range(3)]
    yield (
        inside.arrival(runs),
        ["3 runs over 1,600 steps", "Seed 0: grammar from 7.00 to 0.50 nats", "hero's name recalled 0.95 at the end",
         "half of its most at step 400", "Seed 2", "a head does induction 0.80 at the end"],
    )  # fmt: skip
    bare = [{"seed": 5, "rows": [{"step": 1, "skills": {"grammar": {"nats": 7.0}}}]}]
    yield inside.arrival(bare), ["1 runs over 1 steps", "Seed 5: grammar from 7.00 to 7.00 nats."]
    flat = [{"seed": 0, "rows": rows(0)[:1]}]
    yield (
        inside.arrival(flat),
        ["a head looks at the hero 0.10 at the end", "induction 0.00 at the end, never over 0.00"],
    )
    yield inside.arrival([]), ["Nothing is recorded"]


def rows(seed):
    return [
        {
            "step": step,
            "skills": {"grammar": {"nats": nats}, "hero": {"nats": 3.0, "right": right}},
            "heads": {"looks at hero": [[0.0, 0.1], [right, 0.0]], "induction": [[0.0, 0.0], [0.0, level]]},
        }
        for step, nats, right, level in ((1, 7.0, 0.0, 0.0), (200, 2.0, 0.1, 0.0), (400, 1.0, 0.6, 0.3),
                                         (1600, 0.5, 0.95, 0.8))
    ]  # fmt: skip


def bars():
    shares = {"embedding": (0.5, 0.1), "head 2.2": (4.0, 0.2), "MLP 2": (-1.0, 0.1)}
    yield (
        inside.logit_shares(shares, "Who says “Pip”?"),
        ["Who says “Pip”?", "3 parts and their sum, +3.50", "largest is head 2.2, +4.00", "smallest MLP 2, −1.00"],
    )
    yield inside.logit_shares({"all": (-1.0, 0.0)}, "One part"), ["sum, −1.00"]
    yield inside.logit_shares({"none": (0.0, 0.0)}, "Nothing"), ["sum, +0.00"]

    ways = {"zero": 0.1, "mean": 0.5, "resample": 0.3}
    yield (
        inside.ablations({"head 2.2": ways, "MLP 1": ways | {"zero": 0.2}}, whole=0.9, measure="names right"),
        ["names right", "zero: least without head 2.2, 0.10, most without MLP 1, 0.20", "Untouched it is 0.90"],
    )
    yield inside.ablations({"head 1.1": {"zero": 0.0}}), ["zero: least without head 1.1, 0.00"]

    whole = {"hero": 1.0, "quiet, nats": 0.4}
    left = {"head 0.0": {"zero": {"hero": 0.98, "quiet, nats": 0.4}, "mean": whole},
            "head 0.1": {"zero": {"hero": 0.06, "quiet, nats": 0.5}, "mean": {"hero": 0.2, "quiet, nats": 0.3}},
            "layer 0": {"zero": {"hero": 0.1, "quiet, nats": 8.7}, "mean": whole}}  # fmt: skip
    yield (
        inside_maps.ablation_grid(left, whole, "quiet, nats"),
        [
            "3 parts that are left out in 2 ways",
            "Untouched: hero 1.00, quiet, nats 0.40",
            "zero: worst for hero without head 0.1, 0.06, for quiet, nats without layer 0, 8.70",
            "mean: worst for hero without head 0.1, 0.20",
        ],
    )
    nothing = {"hero": 0.0, "quiet, nats": 9.0}
    yield inside_maps.ablation_grid({"layer 0": {"zero": nothing}}, nothing, "quiet, nats"), ["1 parts", "9.00"]

    best = [
        {"role": "hero's name", "feature": 17, "precision": 0.98, "recall": 0.7},
        {"role": "toy", "feature": 3, "precision": 0.5, "recall": 1.0},
    ]
    yield (
        inside.features_and_roles(best),
        ["2 roles", "hero's name, feature 17: precision 0.98, recall 0.70", "toy, fea"],
    )
    yield inside.features_and_roles(best[:1]), ["1 roles"]


@pytest.mark.parametrize("pictures", [texts, heat_maps, lines, bars])
def test_every_picture_says_what_it_shows_and_is_small(pictures):
    check_pictures(pictures())


def test_the_roles_are_told_apart_without_color():
    assert len({str(below) for _, below in inside_maps.ROLES.values()}) == len(inside_maps.ROLES)
    for ground in [*(ground for ground, _ in inside_maps.ROLES.values()), inside_maps.OTHER]:
        assert style.contrast(style.INK, ground) >= 4.5


# ---------------------------------------------------------------------- the viewer

TOKENS = ["<|endoftext|>", " <Pip>", " &", "\n", " Pip"]


@pytest.fixture
def maps():
    weights = np.tril(np.random.default_rng(0).random((2, 4, 5, 5)) + 0.01)
    return weights / weights.sum(-1, keepdims=True)


def test_the_page_names_each_weight_and_holds_no_raw_markup(maps):
    page = as_html(TOKENS, maps[1, 2, 2], 2)
    assert "<Pip>" not in page and "&lt;Pip&gt;" in page and ">\N{NO-BREAK SPACE}&amp;<" in page
    tips = re.findall(r'<span title="([^"]*)"', page)
    assert [float(tip.split(": ")[-1]) for tip in tips] == [round(weight, 3) for weight in maps[1, 2, 2].tolist()]
    assert "position 2, looks; to itself" in tips[2] and "position 4, later" in tips[4]
    assert page.count("outline:2px") == 1 and ">“·&amp;” at position 2 looks most at “" in page
    assert page.count("[end]") == 1 and "[end]" not in as_html(["end"], [1.0], 0)


@pytest.mark.parametrize("weight", np.linspace(0, 1, 41))
def test_letters_can_be_read_on_every_ground(weight):
    page = as_html([" Pip", " ran"], [weight, 1 - weight], 0)
    for ground, ink in re.findall(r'<span title="[^"]*" style="background:(#\w+);color:(#\w+)', page)[:1]:
        assert style.contrast(ground, ink) >= 4.5
    later = as_html([" Pip", " ran"], [1.0, 0.0], 0)
    ((ground, ink),) = re.findall(r'later: 0.000" style="background:(#\w+);color:(#\w+)', later)
    assert style.contrast(ground, ink) >= 4.5


def test_the_choices_change_what_is_shown(maps):
    pytest.importorskip("ipywidgets")
    controls, place = attention_viewer(TOKENS, maps, 1, 2).widget().children
    layer, head, at = controls.children
    assert place.value == as_html(TOKENS, maps[1, 2, 4], 4)
    assert [layer.label, head.label, at.label] == ["1", "2", "4: ·Pip"]
    layer.value, head.value, at.value = 0, 3, 1
    assert place.value == as_html(TOKENS, maps[0, 3, 1], 1)
    viewer = attention_viewer(TOKENS, maps, 1, 2, at=-4)
    assert viewer.widget().children[1].value == as_html(TOKENS, maps[1, 2, 1], 1)
    assert "where ·<Pip> at position 1" in viewer.picture.alt


@pytest.mark.parametrize("widgets", [True, False])
def test_the_picture_is_shown_with_and_without_widgets(maps, monkeypatch, widgets):
    if widgets:
        pytest.importorskip("ipywidgets")
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *what, **how: shown.extend(what))
    real = builtins.__import__

    def no_widgets(name, *rest):
        if name.split(".")[0] == "ipywidgets":
            raise ImportError(name)
        return real(name, *rest)

    if not widgets:
        monkeypatch.setattr(builtins, "__import__", no_widgets)
    viewer = attention_viewer(TOKENS, maps, 0, 0)
    viewer._ipython_display_()
    assert len(shown) == (2 if widgets else 1)
    assert "Head 0.0: where “Pip” looks. A text of 5 tokens" in shown[0].alt
    assert repr(viewer).startswith("Head 0.0: “·Pip” at position 4 looks most at")


@pytest.mark.parametrize(
    ("tokens", "layer", "head", "said"),
    [(TOKENS[1:], 0, 0, "4 tokens need maps"), (TOKENS, 2, 0, "layer 2"), (TOKENS, 0, -1, "4 heads, from 0")],
)
def test_what_does_not_fit_is_refused(maps, tokens, layer, head, said):
    with pytest.raises(CourseError, match=said):
        attention_viewer(tokens, maps, layer, head)
    with pytest.raises(CourseError, match="token 5 cannot look"):
        attention_viewer(TOKENS, maps, 0, 0, at=5)
