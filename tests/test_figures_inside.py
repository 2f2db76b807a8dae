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
        [
            "62 words",
            "hero 3 times (first 'Pip')",
            "friend 2",
            "toy 2",
            "color 2",
            "1 span of other variables",
            "2 words framed, because the story itself forces them: hero 1, toy 1.",
        ],
    )
    yield inside_maps.story_with_roles(TEXT, spans("hero"), []), ["hero 3 times", "No word is framed"]
    yield inside_maps.story_with_roles("No roles here.", [], []), ["3 words", "no role"]
    yield inside_maps.story_with_roles("A pip.\nSo", [], [2]), ["1 word framed", "other 1"]  # no span begins there
    whole = [{"start": 0, "end": len(TEXT), "role": "kind"}]  # over several lines
    yield inside_maps.story_with_roles(TEXT, whole, []), ["no role"]

    tokens = [" Pip", " ran", ".", "\n", "<|endoftext|>", " Pip", " $x$"]
    yield (
        inside_maps.attention_on_text(tokens, [0.7, 0.2, 0.04, 0, 0.01, 0.05], 5, "Head 1.1"),
        [
            "Head 1.1. The framed token, “Pip” at position 5, gives 0.70 to “Pip” at position 0 and 0.20 to “ran” at",
            "7 tokens",
            "0.10 to all others",
        ],
    )
    twice = inside_maps.attention_on_text([" Pip", " and", " Pip", " ran"], [0.6, 0.0, 0.35, 0.05], 3, "Head 1.1")
    yield twice, ["0.60 to “Pip” at position 0 and 0.35 to “Pip” at position 2, the same word each time, and 0.05"]
    signs = inside_maps.attention_on_text(["\n", ".", " x"], [0.9, 0.1, 0.0], 2, "Head 1.1")
    yield signs, ["gives 0.90 to “↵” at position 0"]
    yield inside_maps.attention_on_text([" Pip"], [1.0], -1, "Alone"), ["1 token,", "gives all to itself"]
    many, none = [" many"] * 250, "gives no token much more than the rest"
    yield inside_maps.attention_on_text(many, [1 / 250] * 250, -1, "Even"), ["at position 249", none]
    yield inside_maps.attention_on_text(["."] * 9, [1 / 9] * 9, -1, "Close"), [none]


def heat_maps():
    yield (
        inside_maps.head_maps({"previous": HEADS, "left out": -HEADS}),
        [
            "2 layers with 4 heads",
            "Previous: head 1.1 stands out, 0.90; all others 0.00 to 0.40.",
            "Left out: head 1.1 is farthest below zero, −0.90; the highest is 0.00.",
        ],
    )
    two = np.array([[0.1, 0.8, 0.0, 0.0], [0.0, 0.9, 0.1, 0.0]])
    yield (
        inside_maps.head_maps({"two": two, "even": np.full((2, 4), 0.5), "low": HEADS / 10}),
        [
            "Two: heads 1.1 and 0.1 stand out, 0.90 and 0.80; all others 0.00 to 0.10.",
            "Even: no head stands out, 0.50.",
            "Low: no head stands out, 0.00 to 0.09.",
        ],
    )
    yield inside_maps.head_maps({"one": np.zeros((1, 1))}), ["1 layer with 1 head", "One: 0.00."]
    yield (
        inside_maps.head_maps({"big": np.eye(12) * 3, "too": np.eye(12)}),
        ["12 layers", "Big: many heads score, most"],
    )
    yield inside_maps.head_maps({str(i): HEADS for i in range(5)}), ["0, 1, 2, 3 and 4: head 1.1 stands out"]

    effects = np.zeros((5, 60))
    effects[1, 7], effects[4, 59] = 0.8, 1.02  # more than all can come back
    tokens = [f" word{i}" for i in range(60)]
    yield (
        inside_maps.patching_map(tokens, PLACES, effects),
        [
            "5 places by 60 tokens",
            "mostly pale: 2 of 300 cells are over 0.5",
            "Embedding, after MLP 1 and after attention 2: nowhere much, at most 0.00",
            "after attention 1: most at ·word7, position 7, 0.80",
            "1.02",
        ],
    )
    yield inside_maps.patching_map([" Pip"], ["stream"], np.array([[-0.1]])), ["0 of 1 cells are over", "nowhere much"]
    full = np.full((1, 1), 0.9)
    yield (
        inside_maps.patching_map(["."], ["stream"], full),
        ["Stream: most at “.”, position 0, 0.90.", "1 of 1 cells is over"],
    )

    table = np.array([[0.1, 0.9, 0.0], [0.6, 0.2, 0.3], [0.0, 0.1, 0.8]])
    sources = ["embedding", "head 1.1", "head 1.2"]
    yield (
        inside_maps.path_table(sources, table),
        [
            "3 sources",
            "Into its queries: head 1.1 0.60, all others 0.00 to 0.10.",
            "Into its keys: embedding 0.90, all others",
            "Into its values: head 1.2 0.80, all others",
        ],
    )
    even = inside_maps.path_table(sources, np.full((3, 3), 0.4))
    yield even, ["Into its keys: embedding 0.40, head 1.1 0.40, head 1.2 0.40."]
    yield inside_maps.path_table(sources[:1], -table[:1]), ["1 source", "Into its keys: nothing much, −0.90."]
    yield inside_maps.path_table(sources[:1], 0 * table[:1]), ["0.00"]

    near = np.exp(-abs(np.subtract.outer(np.arange(100), np.arange(100))) / 20)
    yield (
        inside_maps.learned_positions(near, np.eye(100)),
        [
            "between 100 positions",
            "As learned: a dark band along the diagonal; similarity is below 0.5 from a distance of 14 on, on average",
            "Sinusoids: a dark band along the diagonal; similarity is below 0.5 from a distance of 1 on, on average",
        ],
    )
    waves = np.cos(np.subtract.outer(np.arange(40), np.arange(40)) / 3)
    yield (
        inside_maps.learned_positions(waves, np.ones((40, 40))),
        ["falls below 0.5 at a distance of 4 and comes back", "distant positions are alike as well"],
    )
    yield inside_maps.learned_positions(-np.eye(9), np.eye(9)), ["As learned: no dark diagonal, -1.00 on average"]
    yield inside_maps.learned_positions(np.eye(1), -np.eye(1)), ["1 position,", "As learned: one position."]


def lines():
    rises = [0.0, 0.1, 0.2, 0.8, 0.9]
    yield (
        inside.lens_by_layer(PLACES, {"hero": rises, "toy": rises[::-1]}, {"hero": [0.5] * 5}),
        [
            "Hero: leaps at the place after attention 2, where at least half of its rise lies",
            "toy: ends no higher than it began, 0.00 after 0.90.",
            "A tuned lens, dashed, for hero: reads up to 0.50 more.",
            "hero 0.00, 0.10, 0.20, 0.80, 0.90",
        ],
    )
    slow = {"steady": [0.0, 0.2, 0.4, 0.65, 0.8], "level": [0.3, 0.31, 0.3, 0.31, 0.3]}
    yield (
        inside.lens_by_layer(PLACES, slow, slow),
        ["Steady: rises step by step, most at the place after attention 2; level: stays near 0.30.",
         "A tuned lens, dashed, for steady and level: reads the same within 0.05."],
    )  # fmt: skip
    yield inside.lens_by_layer(PLACES[:1], {"hero": [0.3]}), ["Hero: is 0.30."]

    results = {name: {test: (0.9 - 0.2 * i, 0.01) for i, test in enumerate(TESTS)} for name in ("shipped", "seed 1")}
    yield (
        inside.three_tests(results, 0.03, 1412),
        [
            "1,412 stories, 2 models: untouched 90%; without the head 70%; the head alone in its layer 50%;",
            "Guessing is right in 3%",
            "standard errors of at most 1.0%",
        ],
    )
    lost = {
        name: {"untouched": (1.0, 0.0), "without the head": (share, 0.01)} for name, share in (("a", 0.06), ("b", 0.1))
    }
    yield (
        inside.three_tests(lost, 0.08, 200),
        ["untouched 100%; without the head 6% to 10%, about as by guessing."],
    )
    yield inside.three_tests({"one": {"untouched": (1.0, 0.0)}}, 0.5, 1), ["1 story, 1 model: untouched 100%"]

    seen = [Recall(30, 1.0, 0.96, 1.0, 90), Recall(60, 0.9, 0.7, 0.97, 25), Recall(120, 0.5, 0.1, 0.9, 2)]
    guesses = [Recall(30, 0.1, 0.05, 0.2, 90), Recall(60, 0.0, 0.0, 0.13, 25), Recall(120, 0.0, 0.0, 0.6, 2)]
    yield (
        inside.recall_by_distance(
            {"hero": {"storyteller": seen, "trigram": guesses}, "toy": {"storyteller": seen[:1]}},
            {"hero": 1 / 12, "toy": 0.125},
        ),
        [
            "fewer than 20 mentions are left out",
            "30–59, 60–119, 120 or more",
            "beside guessing, 8% to 12%",
            "Storyteller: hero 90% to 100% at every distance, toy 100%.",
            "Trigram: hero 0% to 10%, no better than guessing.",
        ],
    )
    roles = dict.fromkeys(("hero", "toy"), {"model": seen[:1], "trigram": guesses})
    others = {"hero": {"trigram": guesses}, "toy": {"trigram": guesses[:1]}, "color": {"trigram": seen}}
    yield (
        inside.recall_by_distance(roles, {"hero": 0.1, "toy": 0.1}),
        ["Model: 100% for every one.", "Trigram: 0% to 10%, no better than guessing for every one."],
    )
    yield (
        inside.recall_by_distance(others, dict.fromkeys(others, 0.1)),
        ["Trigram: no better than guessing for hero 0% to 10%, toy 10%; color 90% to 100% at every distance."],
    )
    fading = [Recall(30, 1.0, 0.96, 1.0, 90), Recall(60, 0.5, 0.4, 0.6, 90)]
    yield (
        inside.recall_by_distance({"hero": {"one": fading}}, {"hero": 0.1}),
        ["One: hero falls from 100% at 30–59 to 50% at 60 or more."],
    )
    yield (
        inside.recall_by_distance({"toy": {"one": seen[2:], "two": []}}, {"toy": 0.1}, least=3),
        ["fewer than 3", "guessing, 10%", "One: toy nowhere measured. Two: toy nowhere measured."],
    )
    yield inside.recall_by_distance({"toy": {"one": []}}, {"toy": 0.1}), ["nothing measured"]

    probe = {"probe": rises, "control": [0.1] * 5, "chance": 0.05}
    yield (
        inside.probe_accuracy(PLACES, {"hero's kind": probe, "plot": probe}),
        [
            "At its best place a probe does better than chance and than the control: “hero's kind” and “plot”.",
            "Probe, control and chance, where the probe is best: hero's kind 90%, 10%, 5% (after MLP 2); plot 90%",
        ],
    )
    blind = {"probe": [0.3] * 5, "control": [0.29] * 5, "chance": 0.05}
    yield (
        inside.probe_accuracy(PLACES, {"plot": probe, "kind": blind, "color": probe | {"chance": 0.88}}),
        [
            "At its best place a probe does better than chance and than the control: “plot”.",
            "A probe does better than chance, but the control is about as good: “kind”.",
            "A probe does no better than chance: “color”.",
        ],
    )
    for count in (1, 4, 5):
        yield (
            inside.probe_accuracy(PLACES, {str(i): probe for i in range(count)}),
            [f"{count - 1} 90%, 10%, 5% (after MLP 2)"],
        )

    runs = [{"seed": seed, "rows": rows(seed)} for seed in range(3)]
    yield (
        inside.arrival(runs),
        ["3 runs over 1,600 steps", "The loss goes from 7.00 to 0.50 nats on average.",
         "Hero's name recalled and a head looks at the hero arrive together in every run.",
         "Hero's name recalled: half of its most by step 400, 0.95 at the end.",
         "A head does induction: half of its most by step 1,600, 0.80 at the end."],
    )  # fmt: skip
    late = [{"seed": 0, "rows": [row | {"heads": {"looks at hero": [[0.9 * (row["step"] > 900)]]}} for row in rows(0)]}]
    yield (
        inside.arrival(late),
        ["arrive at different steps.", "A head looks at the hero: half of its most by step 1,600"],
    )
    bare = [{"seed": 5, "rows": [{"step": 1, "skills": {"grammar": {"nats": 7.0}}}]}]
    yield inside.arrival(bare), ["1 run over 1 step,", "The loss goes from 7.00 to 7.00 nats."]
    flat = [{"seed": 0, "rows": rows(0)[:1]}]
    yield (
        inside.arrival(flat),
        ["A head looks at the hero: half of its most by step 1, 0.10", "induction: never, at most 0.00"],
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
        [
            "Who says “Pip”?: head 2.2 adds most to the logit, +4.00; the sum of all parts is +3.50.",
            "head 2.2 +4.00 ± 0.20, embedding +0.50 ± 0.10, MLP 2 −1.00 ± 0.10.",
        ],
    )
    small = {f"head 0.{i}": (0.01 * i - 0.02, 0.0) for i in range(4)}
    yield (
        inside.logit_shares({"head 1.1": (3.0, 0.1), "bias": (1.0, 0.0)} | small, "Who?"),
        ["+3.00, 75% of it; the sum of all parts is +3.98", "The 4 others lie between −0.02 and +0.01."],
    )
    yield inside.logit_shares({"all": (-1.0, 0.0)}, "One part"), ["no part adds to the logit, −1.00 in all"]
    yield inside.logit_shares({"none": (0.0, 0.0)}, "Nothing"), ["no part adds to the logit, +0.00 in all"]

    ways = {"zero": 0.1, "mean": 0.5, "resample": 0.3}
    yield (
        inside.ablations({"head 2.2": ways, "MLP 1": ways | {"zero": 0.2}}, whole=0.9, measure="names right"),
        [
            "Names right when one of 2 parts is replaced, in 3 ways, a bar each; untouched it is 0.90",
            "Least is left without head 2.2, however it is replaced.",
            "Zero: head 2.2 0.10 and MLP 1 0.20.",
        ],
    )
    other = {"head 2.2": ways, "MLP 1": ways | {"zero": 0.0}, "MLP 0": dict.fromkeys(ways, 0.9)}
    yield (
        inside.ablations(other, whole=0.9),
        ["Least is left without MLP 1 (zero), head 2.2 (mean), head 2.2 (resample).", "; all others 0.90."],
    )
    harmless = {"head 0.0": {"zero": 0.9}, "head 0.1": {"zero": 0.89}}
    yield inside.ablations(harmless, whole=0.9), ["Zero: no part matters much; all others 0.89 to 0.90."]
    yield inside.ablations({"head 1.1": {"zero": 0.0}}), ["Zero: head 1.1 0.00."]

    whole = {"hero": 1.0, "quiet, nats": 0.4}
    left = {"head 0.0": {"zero": {"hero": 0.98, "quiet, nats": 0.4}, "mean": whole},
            "head 0.1": {"zero": {"hero": 0.06, "quiet, nats": 0.5}, "mean": {"hero": 0.2, "quiet, nats": 0.3}},
            "layer 0": {"zero": {"hero": 0.1, "quiet, nats": 8.7}, "mean": whole}}  # fmt: skip
    yield (
        inside_maps.ablation_grid(left, whole, "quiet, nats"),
        [
            "3 parts left out in 2 ways",
            "Untouched: hero 1.00, quiet, nats 0.40",
            "At least half of every role's recall is lost, in every way, without head 0.1.",
            "Less than a tenth of any is lost without head 0.0. Some of it without layer 0.",
            "Head 0.1 hardly raises it, for all the lost recall.",
        ],
    )
    heavy = {"layer 1": {"zero": {"hero": 0.1, "quiet, nats": 3.0}}, "layer 0": {"zero": whole}}
    yield (
        inside_maps.ablation_grid(heavy, whole, "quiet, nats"),
        ["lost, in every way, without layer 1.", "rises by half a nat or more in every way without layer 1."],
    )
    yield (
        inside_maps.ablation_grid({"layer 0": {"zero": whole}}, whole, "quiet, nats"),
        ["No part costs half of every role's recall in every way.", "1 part left out in 1 way"],
    )
    nothing = {"hero": 0.0, "quiet, nats": 9.0}
    yield inside_maps.ablation_grid({"layer 0": {"zero": nothing}}, nothing, "quiet, nats"), ["1 part ", "9.00"]

    best = [
        {"role": "hero's name", "feature": 17, "precision": 0.98, "recall": 0.7},
        {"role": "toy", "feature": 3, "precision": 0.5, "recall": 1.0},
    ]
    yield (
        inside.features_and_roles(best),
        [
            "2 roles",
            "None has 0.8 or more of both.",
            "is often on elsewhere, for toy.",
            "less than 0.8 for hero's name.",
            "Precision and recall: hero's name 0.98 and 0.70; toy 0.50 and 1.00.",
        ],
    )
    good = best[1] | {"precision": 0.9}
    yield (
        inside.features_and_roles([good, good | {"role": "color"}]),
        ["Both are 0.8 or more for toy and color.", "Some roles share one feature: 3."],
    )
    yield inside.features_and_roles(best[:1]), ["1 role,"]


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
    assert "The framed token, “<Pip>” at position 1, gives" in viewer.picture.alt


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
    assert "Head 0.0: where “Pip” looks. The framed token, “Pip” at position 4" in shown[0].alt
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
