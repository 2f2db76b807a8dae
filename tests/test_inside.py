"""Looking inside: places at which the truth is known, the head that copies, its three tests, and whose model it is."""

import re
import shutil
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course import interpret
from course.inside import (
    TESTS,
    Mentions,
    by_distance,
    copiers,
    forced_starts,
    glance,
    heads_now,
    in_your_gpt,
    left_out,
    looked_back,
    mean_with_error,
    subject,
    three_tests,
    through_transformer_lens,
)
from course.mentions import role_of
from course.rementions import RementionAccuracy
from course.skills import GRAMMAR, ROLES, Skills
from helpers.checkpoint import load_model, save_model
from helpers.evaluation import score_rows, story_rows
from helpers.files import data_folder
from helpers.model import GPT, GPTConfig
from helpers.stories import load_stories

COUNT = 40


@pytest.fixture(scope="module")
def shipped():
    return load_model(data_folder() / "storyteller")


@pytest.fixture(scope="module")
def stories():
    return list(load_stories("bundled", "validation").dataset.select(range(COUNT)))


@pytest.fixture(scope="module")
def mentions(shipped, stories):
    model, tokenizer = shipped
    return Mentions.of(tokenizer, stories, model.config.context_length)


@pytest.fixture(scope="module")
def tested(shipped, mentions):
    return three_tests(shipped[0], mentions)


def small(**changes) -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(**dict(vocab_size=31, context_length=16, n_layer=3, n_head=2, d_model=16) | changes)).eval()


# ---------------------------------------------------------------------- a mean with its error


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_one_value_or_the_same_again_in_each_story_has_the_error_of_a_mean(values, times):
    of_story = torch.tensor(values, dtype=torch.float64)
    mean, error = mean_with_error(of_story.repeat_interleave(times), torch.arange(len(values)).repeat_interleave(times))
    assert mean == pytest.approx(of_story.mean().item(), abs=1e-9)
    assert error == pytest.approx(of_story.std().item() / len(values) ** 0.5, rel=1e-6, abs=1e-9)


def test_the_error_is_that_of_drawing_the_stories_again():
    draw = np.random.default_rng(0)
    sizes = draw.integers(1, 7, 80)
    of_story = draw.normal(0, 1, 80)
    stories = [of_story[i] + draw.normal(0, 0.5, size) for i, size in enumerate(sizes)]
    rows = torch.as_tensor(np.repeat(draw.permutation(500)[:80], sizes))  # rows need not be 0, 1, 2, ...
    mean, error = mean_with_error(torch.as_tensor(np.concatenate(stories)), rows)
    again = [np.concatenate([stories[i] for i in draw.integers(0, 80, 80)]).mean() for _ in range(4000)]
    assert mean == pytest.approx(np.concatenate(stories).mean())
    assert error == pytest.approx(np.std(again), rel=0.1)
    assert error > 1.3 * np.concatenate(stories).std() / sizes.sum() ** 0.5  # values of a story are alike


# ---------------------------------------------------------------------- mentions


def test_each_mention_asks_for_what_really_follows(mentions, shipped, stories):
    _, tokenizer = shipped
    rows = [[tokenizer.eos_token_id, *tokenizer.encode(story["text"])] for story in stories]
    assert set(mentions.roles) == set(ROLES)
    for i, (row, at, true) in enumerate(zip(mentions.rows, mentions.at, mentions.true, strict=True)):
        assert rows[row][at + 1] == true == mentions.rivals[i][0]
        assert rows[row][: at + 1] == mentions.ids[row, : at + 1].tolist()
        assert len(set(mentions.rivals[i])) == len(mentions.rivals[i]) > 1
        text = stories[row]["text"]
        start = len(tokenizer.decode(rows[row][1 : at + 1]))
        start += text[start] == " "
        assert (start, mentions.roles[i]) in {(span["start"], role_of(span)) for span in stories[row]["spans"]}
    assert mentions.inside.sum(1).tolist() == [min(len(row), 256) for row in rows]


def test_what_is_right_and_how_probable_it_is_as_loops(mentions, shipped):
    model, _ = shipped
    logits = mentions.logits(model)
    noisy = logits + 5 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))
    right, probability = mentions.right(noisy), mentions.probability(noisy)
    margins = (noisy * mentions.contrast(noisy.shape[1])).sum(1)
    for i, (true, *others) in enumerate(mentions.rivals):
        given_to = noisy[i].double()
        assert right[i] == all(given_to[true] > given_to[other] for other in others)
        assert probability[i].item() == pytest.approx((given_to[true].exp() / given_to.exp().sum()).item(), rel=1e-4)
        margin = given_to[true] - sum(given_to[other] for other in others) / len(others)
        assert margins[i].item() == pytest.approx(margin.item(), abs=1e-4)
    assert 0 < right.mean() < 1


def test_a_contrast_sums_to_zero_and_knows_the_true_word_from_its_rivals(mentions, shipped):
    contrast = mentions.contrast(shipped[1].vocab_size)
    assert contrast.sum(1).abs().max() < 1e-5
    for row, rivals in zip(contrast, mentions.rivals, strict=True):
        assert row[rivals[0]] == 1 and set(row.nonzero().flatten().tolist()) == set(rivals)


def test_it_agrees_with_skills(mentions, shipped, stories):
    model, tokenizer = shipped
    measured = Skills(tokenizer, stories).measure(model)
    logits = mentions.logits(model)
    right, nats = mentions.right(logits), -mentions.probability(logits).log()
    for role in ROLES:
        mine = mentions.of_role(role)
        assert right[mine].mean().item() == pytest.approx(measured[role]["right"])
        assert nats[mine].mean().item() == pytest.approx(measured[role]["nats"], rel=1e-3, abs=1e-6)
    assert mentions.quiet_nats(model).mean().item() == pytest.approx(measured[GRAMMAR]["nats"], rel=1e-2)


def test_quiet_tokens_touch_no_span(mentions, shipped, stories):
    _, tokenizer = shipped
    quiet = set(zip(*(each.tolist() for each in mentions.quiet), strict=True))
    assert len(quiet) == len(mentions.quiet[0])
    for number, story in enumerate(stories):
        position, ids = 0, mentions.ids[number, mentions.inside[number]].tolist()
        for at, token in enumerate(ids[1:]):
            end = position + len(tokenizer.decode([token]))
            touched = any(span["start"] < end and position < span["end"] for span in story["spans"])
            assert ((number, at) in quiet) is not touched
            position = end


@pytest.mark.parametrize("context", [1, 2, 16, 64])
def test_a_short_context_has_fewer_mentions_or_none(shipped, stories, context):
    _, tokenizer = shipped
    short = Mentions.of(tokenizer, stories, context)
    assert short.ids.shape == (COUNT, context)
    assert (short.at < context).all() and (short.quiet[1] < context - 1).all()
    assert len(short.rows) == len(short.at) == len(short.true) == len(short.rivals) == len(short.roles)
    assert (len(short.rows) > 0) is (context == 64)
    model = small(vocab_size=tokenizer.vocab_size, context_length=context)
    logits = short.logits(model)
    assert len(short.right(logits)) == len(short.probability(logits)) == len(short.of_role("hero")) == len(short.rows)
    assert len(short.quiet_nats(model)) == len(short.quiet[0])


def test_forced_words_begin_where_the_mentions_are(mentions, shipped, stories):
    _, tokenizer = shipped
    for number, story in enumerate(stories):
        expected = []
        for at in mentions.at[mentions.rows == number].tolist():
            start = len(tokenizer.decode(mentions.ids[number, 1 : at + 1].tolist()))
            expected.append(start + (story["text"][start] == " "))
        found = forced_starts(story, tokenizer)
        cut = len(tokenizer.decode(mentions.ids[number, mentions.inside[number]][1:].tolist()))
        assert [start for start in found if start < cut] == sorted(expected)


# ---------------------------------------------------------------------- heads that look back


@given(n_layer=st.integers(1, 3), n_head=st.integers(1, 3), count=st.integers(1, 12), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_looking_back_as_loops(n_layer, n_head, count, seed):
    chance = torch.Generator().manual_seed(seed)
    maps = torch.rand(n_layer, 4, n_head, 9, 9, generator=chance).tril()
    ids = torch.randint(0, 5, (4, 9), generator=chance)
    rows, at, true = (torch.randint(0, most, (count,), generator=chance) for most in (4, 9, 6))
    looks = looked_back(maps, ids, rows, at, true)
    assert looks.shape == (count, n_layer, n_head)
    for n in range(count):
        for layer in range(n_layer):
            for head in range(n_head):
                stood = [k for k in range(at[n] + 1) if ids[rows[n], k] == true[n]]
                expected = sum(maps[layer, rows[n], head, at[n], k].item() for k in stood)
                assert looks[n, layer, head].item() == pytest.approx(expected, abs=1e-5)


def test_one_head_of_the_shipped_storyteller_copies_all_roles(shipped, mentions):
    model, _ = shipped
    found = copiers(model, mentions)
    assert found.keys() == set(ROLES) and len(set(found.values())) == 1
    maps = interpret.attention_maps(model, mentions.ids)
    for role, (layer, head) in found.items():
        sums = torch.zeros(model.config.n_layer, model.config.n_head)
        for i in mentions.of_role(role).nonzero().flatten().tolist():
            stood = mentions.ids[mentions.rows[i]] == mentions.true[i]
            sums += maps[:, mentions.rows[i], :, mentions.at[i]][..., stood].sum(-1)
        assert sums[layer, head] == sums.max() > 0.5 * mentions.of_role(role).sum()


def test_the_head_is_necessary_sufficient_and_specific(tested):
    assert tested["roles"].keys() == set(ROLES)
    assert len({found["head"] for found in tested["roles"].values()}) == 1
    for found in tested["roles"].values():
        recall = found["recall"]
        assert recall.keys() == set(TESTS)
        (without, error), chance = recall["without the head"], found["chance"]
        assert abs(without - chance) < 4 * error or without < 0.25
        assert recall["untouched"][0] > 0.95 and recall["the head alone in its layer"][0] > 0.95
        assert recall["another head left out"][0] > 0.95
        assert 0 <= found["quiet without it"][0] - tested["quiet"][0] < 0.1
        assert found["others without it"] == {}  # all roles have this head


def test_the_three_tests_as_one_would_do_them_by_hand(shipped, mentions, tested):
    """The head's slice of the projection's input, set to its mean over stories by a hook of our own."""
    model, _ = shipped
    layer, head = map(int, tested["roles"]["hero"]["head"].split("."))
    width, proj = model.config.d_head, model.blocks[layer].attn.proj
    side_by_side = []
    handle = proj.register_forward_pre_hook(lambda _, args: side_by_side.append(args[0]))
    with torch.no_grad():
        model(mentions.ids)
    handle.remove()

    def recall(out: list[int]) -> float:
        def instead(_, args):
            new = args[0].clone()
            for each in out:
                mine = slice(each * width, (each + 1) * width)
                new[..., mine] = side_by_side[0].mean(0)[:, mine]
            return (new,)

        handle = proj.register_forward_pre_hook(instead)
        with torch.no_grad():
            logits = model(mentions.ids)[mentions.rows, mentions.at]
        handle.remove()
        return mentions.right(logits)[mentions.of_role("hero")].mean().item()

    found = tested["roles"]["hero"]["recall"]
    others = [each for each in range(model.config.n_head) if each != head]
    assert found["without the head"][0] == pytest.approx(recall([head]), abs=1e-6)
    assert found["the head alone in its layer"][0] == pytest.approx(recall(others), abs=1e-6)
    assert found["another head left out"][0] == pytest.approx(recall(others[:1]), abs=1e-6)


# ---------------------------------------------------------------------- leaving out


def hooks(model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("how", ["zero", "mean", "resample"])
def test_what_is_left_out_says_something_else_and_no_hook_stays(how):
    model, ids = small(), torch.randint(0, 31, (5, 12), generator=torch.Generator().manual_seed(1))
    heads = [(0, 1), (2, 0), (2, 1)]
    with torch.no_grad(), interpret.record(model, "heads.0", "heads.1") as before:
        plain = model(ids)
    with pytest.raises(ZeroDivisionError), left_out(model, ids, iter(heads), how):
        assert hooks(model) == 3
        with torch.no_grad(), interpret.record(model, "heads.0", "heads.2") as after:
            assert not torch.equal(model(ids), plain)
        assert torch.equal(after["heads.0"][:, :, 0], before["heads.0"][:, :, 0])
        instead = after["heads.0"][:, :, 1]
        if how == "zero":
            assert not instead.any() and not after["heads.2"].any()
        elif how == "mean":
            assert torch.allclose(instead, before["heads.0"][:, :, 1].mean(0).expand_as(instead), atol=1e-6)
        else:
            assert all(any(torch.equal(one, other) for other in before["heads.0"][:, :, 1]) for one in instead)
            assert not any(map(torch.equal, instead, before["heads.0"][:, :, 1]))
        raise ZeroDivisionError
    assert hooks(model) == 0
    with torch.no_grad():
        assert torch.equal(model(ids), plain)


def test_nothing_left_out_is_the_same_run():
    model, ids = small(), torch.randint(0, 31, (2, 12))
    with torch.no_grad():
        plain = model(ids)
        with left_out(model, ids, []):
            assert torch.equal(model(ids), plain)


# ---------------------------------------------------------------------- whose model


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    return tmp_path / "storyteller"


def same(model, other) -> bool:
    return all(map(torch.equal, model.state_dict().values(), other.state_dict().values()))


def test_without_a_storyteller_of_ones_own_it_is_the_shipped_one(own, shipped, capsys):
    model, tokenizer, whose = subject()
    assert whose == "the shipped storyteller" and same(model, shipped[0])
    assert tokenizer.fingerprint == shipped[1].fingerprint
    assert "left aside" not in capsys.readouterr().out


def test_a_storyteller_of_ones_own_that_remembers_is_taken(own, shipped, capsys):
    shutil.copytree(data_folder() / "storyteller", own)
    model, _, whose = subject()
    assert whose == "your own storyteller" and same(model, shipped[0])
    assert "left aside" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"context_length": 256}, r"it recalls the hero's name in \d+% of the bundled stories"),
        ({"context_length": 16}, "no name comes again within its context"),
        ({"norm": "post"}, "it needs two layers and norm='pre'"),
        ({"n_layer": 1}, "it needs two layers and norm='pre'"),
    ],
    ids=str,
)
def test_one_that_cannot_be_looked_into_is_left_aside_and_it_is_said_why(own, shipped, capsys, changes, why):
    save_model(own, small(vocab_size=shipped[1].vocab_size, **changes), shipped[1])
    model, _, whose = subject()
    assert whose == "the shipped storyteller" and same(model, shipped[0])
    said = capsys.readouterr().out
    assert re.search(f"left aside, because {why}", said), said


# ---------------------------------------------------------------------- a glance, and another library


def test_a_glance_is_plain_numbers_and_changes_nothing(shipped, stories):
    model, tokenizer = shipped
    skills = Skills(tokenizer, stories[:8])
    mentions = Mentions.of(tokenizer, stories[:8], model.config.context_length)
    model.train()
    try:
        state = torch.get_rng_state()
        found = glance(model, tokenizer, skills, mentions)
        assert found == glance(model, tokenizer, skills, mentions)
        assert model.training and hooks(model) == 0 and torch.equal(torch.get_rng_state(), state)
    finally:
        model.eval()
    assert found.keys() == {"skills", "heads"} and found["skills"].keys() == {GRAMMAR, *ROLES}
    assert found["heads"].keys() == {"previous", "induction", *(f"looks at {role}" for role in ROLES)}
    for grid in found["heads"].values():
        assert np.shape(grid) == (model.config.n_layer, model.config.n_head) and type(grid[0][0]) is float
    for role, (layer, head) in copiers(model, mentions).items():
        assert found["heads"][f"looks at {role}"][layer][head] == np.max(found["heads"][f"looks at {role}"])


def test_without_transformer_lens_it_says_so(shipped, mentions, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "transformer_lens", None)
    through_transformer_lens(*shipped, mentions.ids[:2])
    assert capsys.readouterr().out == "TransformerLens is not installed here: pip install transformer_lens\n"


# ---------------------------------------------------------------------- the learner's own class; recall by distance


class _Module:
    """A learner's file with a GPT in it."""

    def __init__(self, gpt: type):
        self.GPT = gpt


def test_the_weights_go_into_a_gpt_of_ones_own(shipped, capsys):
    class Mine(GPT):
        """The same parts under another name."""

    own = in_your_gpt(shipped[0], _Module(Mine))
    assert isinstance(own, Mine) and capsys.readouterr().out == ""
    assert all(torch.equal(a, b) for a, b in zip(own.parameters(), shipped[0].parameters(), strict=True))


def _without_dropout(model):
    del model.dropout
    model.embed = lambda ids, cache=None: model.wte(ids) + model.wpe(torch.arange(ids.shape[1]))


def _that_adds_later(model):
    model.blocks[0].mlp.register_forward_hook(lambda _, __, value: value + 1e-2)


@pytest.mark.parametrize(("spoil", "why"), [(_without_dropout, "dropout"), (_that_adds_later, "mlp.0")])
def test_a_gpt_in_which_hooks_miss_their_places_is_left_aside(shipped, capsys, spoil, why):
    class Mine(GPT):
        def __init__(self, config):
            super().__init__(config)
            spoil(self)

    assert in_your_gpt(shipped[0], _Module(Mine)) is shipped[0]
    said = capsys.readouterr().out
    assert "stands in" in said and why in said


def test_recall_by_distance_is_one_role_s_with_its_intervals():
    found = RementionAccuracy()
    for role, distance, hits, count in (("toy", 60, 2, 2), ("hero", 30, 3, 4), ("toy", 30, 0, 50)):
        for i in range(count):
            found.bins[role][distance].add(i < hits, False, 12)
    near, far = by_distance(found, "toy")
    assert near[:2] == (30, 0.0) and near.mentions == 50 and far[:2] == (60, 1.0) and far.mentions == 2
    assert near.low == 0 and 0.05 < near.high < 0.1  # nothing was right, and that is no certainty
    assert far.high == 1 and far.low < 0.4  # both were right, and that is little
    (hero,) = by_distance(found, "hero")
    for edge in (hero.low, hero.high):  # the fractions from which what was seen is 1.96 standard errors away
        assert abs(hero.right - edge) == pytest.approx(1.96 * (edge * (1 - edge) / 4) ** 0.5, rel=1e-6)
    assert by_distance(found, "color") == []


def test_one_run_measures_what_several_do(shipped, mentions):
    model, _ = shipped
    with interpret.patch(model, "mlp.0", torch.zeros(())):
        measured = mentions.measure(model)
        logits, quiet = mentions.logits(model), mentions.quiet_nats(model)
    right = mentions.right(logits)
    assert measured.keys() == {*ROLES, "probability", "quiet"} and not model.training
    for role in ROLES:
        mine = mentions.of_role(role)
        assert measured[role] == pytest.approx(mean_with_error(right[mine], mentions.rows[mine]))
    assert measured["probability"] == pytest.approx(mean_with_error(mentions.probability(logits), mentions.rows))
    assert measured["quiet"] == pytest.approx(mean_with_error(quiet, mentions.quiet[0]))


def test_a_layer_whose_attention_and_mlp_say_nothing_adds_nothing():
    model, ids = small(), torch.randint(0, 31, (3, 12))
    with torch.no_grad(), interpret.record(model, "stream.0", "stream.1") as seen:
        with interpret.patch(model, "attention.1", torch.zeros(())), interpret.patch(model, "mlp.1", torch.zeros(())):
            model(ids)
    assert torch.equal(seen["stream.0"], seen["stream.1"])


def test_the_loss_of_all_tokens_is_that_of_the_scoreboard(shipped, stories, mentions):
    """Notebook 03's way of scoring, but without the end token, which is the last of each story."""
    model, tokenizer = shipped
    rows = story_rows(tokenizer, [story["text"] for story in stories])
    log_probs = [score.log_probs[:-1] for score in score_rows(model, rows)]
    expected = -sum(map(sum, log_probs)) / sum(map(len, log_probs))
    assert mentions.nats(model) == pytest.approx(float(expected), rel=1e-5)


def test_heads_of_a_model_on_its_way_are_those_of_the_course_s_class(shipped, mentions):
    model, tokenizer = shipped

    class Mine(GPT):
        """A learner's class in which no hook would find its place."""

        def __init__(self, config):
            super().__init__(config)
            del self.dropout

    mine = Mine(model.config)
    mine.load_state_dict(model.state_dict())
    state = torch.get_rng_state()
    found = heads_now(mine.train(), tokenizer, mentions)["heads"]
    assert mine.training and torch.equal(torch.get_rng_state(), state)
    layer, head = copiers(model, mentions)["hero"]
    assert max(map(max, found["looks at hero"])) == found["looks at hero"][layer][head] > 0.8
    assert set(found) == {"previous", "induction", *(f"looks at {role}" for role in ROLES)}
    assert all(0 <= value <= 1 + 1e-6 for grid in found.values() for row in grid for value in row)


def test_heads_that_cannot_be_looked_at_are_none(shipped, mentions):
    _, tokenizer = shipped
    assert heads_now(small(norm="post"), tokenizer, mentions) == {}
    assert heads_now(torch.nn.Linear(2, 2), tokenizer, mentions) == {}
    other = small()
    other.config = GPTConfig(31, 16, n_layer=2, n_head=2, d_model=16)  # says another size than it has
    assert heads_now(other, tokenizer, mentions) == {}
