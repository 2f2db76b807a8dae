"""What probes are asked in notebook 11: tokens with the roles that printed them, streams, and questions."""

import pytest
import torch

from course import interpret
from course.inside import Mentions
from course.mentions import role_of, token_roles
from course.probing import QUESTIONS, Friends, Known, questions
from course.skills import ROLES
from helpers.model import GPT, GPTConfig
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer

PLACES = ["embedding", "stream.0", "stream.1"]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("bundled")


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    return GPT(GPTConfig(tokenizer.vocab_size, 200, n_layer=2, n_head=2, d_model=16, dropout=0.5))


@pytest.fixture(scope="module")
def stories():
    return list(load_stories("bundled", "validation").dataset.select(range(60)))


@pytest.fixture(scope="module")
def known(model, tokenizer, stories):
    return Known.of(model, tokenizer, stories[:30], PLACES)


@pytest.fixture(scope="module")
def fit(model, tokenizer, stories):
    return Known.of(model, tokenizer, stories[30:], PLACES[:1])


@pytest.fixture(scope="module")
def asked(fit, known):
    return questions(fit, known)


def row_of(tokenizer, story) -> list[int]:
    return [tokenizer.eos_token_id, *tokenizer.encode(story["text"])]


def printed_by(story: dict, start: int, end: int) -> list[str]:
    """The roles of the spans that have one of the bytes from `start` to `end`, from left to right."""
    found = []
    for span in sorted(story["spans"], key=lambda span: span["start"]):
        first, last = (len(story["text"][: span[side]].encode()) for side in ("start", "end"))
        if first < end and start < last:
            found.append(role_of(span))
    return found


# ---------------------------------------------------------------------- which role printed a token


def made(text: str, *words: tuple[str, str]) -> dict:
    spans = [
        {"start": at, "end": at + len(word), "role": role, "attribute": "text", "text": word}
        for word, role in words
        for at in range(len(text))
        if text.startswith(word, at)
    ]
    return {"text": text, "spans": spans}


def test_each_token_has_the_role_of_the_span_that_it_lies_in(tokenizer, stories):
    signs = made(
        "Zoë saw Renée’s kite — “Zoë!”, said 小明. Zoë ran.", ("Zoë", "hero"), ("Renée", "friend"), ("小明", "toy")
    )
    halves = made("A kite.", ("ki", "toy"), ("te", "color"))  # two spans in one token: the last has it
    inside = 0
    for story in [*stories[:30], signs, halves]:
        row, position = row_of(tokenizer, story), 0
        roles = token_roles(tokenizer, story, row)
        assert len(roles) == len(row) and roles[0] is None
        for token, role in zip(row[1:], roles[1:], strict=True):
            end = position + len(tokenizer.decode_bytes([token]))
            touched = printed_by(story, position, end)
            assert role == (touched[-1] if touched else None)
            whole = [
                role_of(span)
                for span in story["spans"]
                if len(story["text"][: span["start"]].encode()) <= position
                and end <= len(story["text"][: span["end"]].encode())
            ]
            assert whole in ([], [role])
            inside += len(whole)
            position = end
        assert position == len(story["text"].encode())
        assert token_roles(tokenizer, story, row[:9]) == roles[:9]  # one that is cut
    assert inside > 300


# ---------------------------------------------------------------------- known stories


def test_the_streams_are_what_is_recorded_story_by_story(known, model, tokenizer, stories):
    assert model.training and known.streams.keys() == set(PLACES)
    model.eval()
    try:
        with torch.no_grad(), interpret.record(model, *PLACES) as seen:
            model(known.ids)
        for place in PLACES:
            assert torch.equal(known.streams[place], seen[place])
        for number, story in enumerate(stories[:30]):
            row = row_of(tokenizer, story)[:200]
            assert known.ids[number, : len(row)].tolist() == row
            with torch.no_grad(), interpret.record(model, *PLACES) as seen:
                model(torch.tensor([row]))
            for place in PLACES:
                assert torch.allclose(known.streams[place][number, : len(row)], seen[place][0], atol=1e-4)
    finally:
        model.train()


def test_tokens_and_roles_are_aligned_and_the_end_token_in_front_is_no_part(known, tokenizer, stories):
    rows = [row_of(tokenizer, story)[:200] for story in stories[:30]]
    assert known.tokens.tolist() == [token for row in rows for token in row[1:]]
    assert known.tokens.tolist() == known.ids[known.inside].tolist()
    expected = []
    for story, row in zip(stories[:30], rows, strict=True):
        expected += token_roles(tokenizer, story, row)[1:]
    assert known.roles == expected
    assert known.counts == {role: expected.count(role) for role in set(expected) - {None}}
    again = Mentions.of(tokenizer, stories[:30], 200)
    assert torch.equal(known.mentions.at, again.at) and torch.equal(known.mentions.true, again.true)


def test_what_passed_at_the_positions_that_are_asked(known):
    some = known.asked(torch.tensor([3, 0, 3]), torch.tensor([5, 1, 7]), [1, 0, 1])
    assert some.labels.tolist() == [1, 0, 1]
    for n, (row, at) in enumerate(((3, 5), (0, 1), (3, 7))):
        assert some.tokens[n] == known.ids[row, at]
        assert torch.equal(known.at("stream.1", some)[n], known.streams["stream.1"][row, at])


def test_the_first_word_that_a_role_printed():
    story = made("Her name was Ann. Ann, said Ben, be my friend.", ("Ann", "hero"), ("Ben", "friend"))
    story["spans"].insert(0, {"start": 0, "end": 3, "role": "hero", "attribute": "his", "text": "Her"})
    known = Known(*[None] * 3, [story, made("Nobody.")], *[None] * 3)
    assert [known.printed(role) for role in ("hero", "hero.his", "friend", "toy")] == [
        ["ann", None], ["her", None], ["ben", None], [None, None],
    ]  # fmt: skip


# ---------------------------------------------------------------------- questions


def test_every_question_is_asked_of_both_and_has_its_classes(asked, fit, known):
    assert tuple(asked) == QUESTIONS
    for of_fit, of_test, classes in asked.values():
        for some, each in ((fit, of_fit), (known, of_test)):
            assert len(each.rows) == len(each.at) == len(each.labels) > 10
            assert torch.equal(each.tokens, some.ids[each.rows, each.at])
            assert each.labels.min() >= 0 and each.labels.max() < classes and each.labels.unique().numel() > 1
            assert (each.at < some.inside.sum(1)[each.rows] + 1).all()  # in the story, not in what is padded


@pytest.mark.parametrize(("question", "role"), list(zip(QUESTIONS[:3], (None, "kind", "color"), strict=True)))
def test_in_the_middle_the_label_is_what_the_story_says(asked, stories, tokenizer, question, role):
    def answer(story):
        if role is None:
            return story["plot"]
        spans = [span for span in story["spans"] if span["role"] == role and span["attribute"] == "text"]
        return min(spans, key=lambda span: span["start"])["text"].lower() if spans else None

    names = sorted({answer(story) for story in stories[30:]} - {None})
    of_fit, of_test, classes = asked[question]
    assert classes == len(names)
    for each, some in ((of_fit, stories[30:]), (of_test, stories[:30])):
        expected = [(row, names.index(answer(story))) for row, story in enumerate(some) if answer(story) in names]
        assert list(zip(each.rows.tolist(), each.labels.tolist(), strict=True)) == expected
        lengths = [min(len(row_of(tokenizer, some[row])), 200) - 1 for row in each.rows.tolist()]
        assert each.at.tolist() == [length // 2 for length in lengths]


def test_before_a_forced_word_and_before_as_many_others(asked, known, tokenizer, stories):
    forced = asked["a word of a role is due"][1]
    mentions = known.mentions
    count = len(mentions.rows)
    assert forced.labels.bincount().tolist() == [count, count]
    places = list(zip(forced.rows.tolist(), forced.at.tolist(), strict=True))
    assert len(set(places)) == 2 * count
    for (row, at), label in zip(places, forced.labels.tolist(), strict=True):
        following = row_of(tokenizer, stories[row])[at + 1]
        before = len(tokenizer.decode(row_of(tokenizer, stories[row])[1 : at + 1]))
        roles = printed_by(stories[row], before, before + len(tokenizer.decode([following])))
        assert bool(roles) == label and (not label or roles[-1] in ROLES)
        if label:
            assert (row, at, following) in set(
                zip(mentions.rows.tolist(), mentions.at.tolist(), mentions.true.tolist(), strict=True)
            )


def test_which_role_is_due_and_whose_name_it_is(asked, tokenizer, stories):
    due = asked["role of the word that is due"][1]
    for row, at, label in zip(due.rows.tolist(), due.at.tolist(), due.labels.tolist(), strict=True):
        ids = row_of(tokenizer, stories[row])
        before = len(tokenizer.decode(ids[1 : at + 1]))
        assert printed_by(stories[row], before, before + len(tokenizer.decode([ids[at + 1]])))[-1] == ROLES[label]
    named = asked["hero or friend, at a name"][1]
    found = set(zip(named.rows.tolist(), named.at.tolist(), named.labels.tolist(), strict=True))
    expected = set()
    for row, story in enumerate(stories[:30]):
        position = 0
        for at, token in enumerate(row_of(tokenizer, story)[1:200], 1):
            end = position + len(tokenizer.decode([token]))
            role = (printed_by(story, position, end) or [None])[-1]
            expected |= {(row, at, int(role == "friend"))} if role in ("hero", "friend") else set()
            position = end
    assert found == expected and len(found) == len(named.rows)


# ---------------------------------------------------------------------- heroes who have a friend


def test_shares_are_of_the_first_among_names(known, tokenizer, stories):
    friends, mentions = Friends.of(known, tokenizer), known.mentions
    assert len(friends.which) > 10
    for i, token in zip(friends.which.tolist(), friends.friend.tolist(), strict=True):
        spans = stories[mentions.rows[i]]["spans"]
        names = {span["text"] for span in spans if span["role"] == "friend" and span["attribute"] == "text"}
        assert mentions.roles[i] == "hero" and token in mentions.rivals[i][1:]
        assert any(name.startswith(tokenizer.decode([token]).strip()) for name in names)
    logits = torch.randn(len(mentions.rows), tokenizer.vocab_size, generator=torch.Generator().manual_seed(0))
    names = {token for rivals in mentions.rivals for token in rivals}
    logits[:, next(token for token in range(300, 2000) if token not in names)] = 99.0  # no name
    first = [max(mentions.rivals[i], key=lambda token, i=i: logits[i, token]) for i in friends.which.tolist()]
    hero = sum(token == mentions.true[i] for token, i in zip(first, friends.which, strict=True)) / len(first)
    friend = sum(token == each for token, each in zip(first, friends.friend, strict=True)) / len(first)
    assert friends.shares(logits) == pytest.approx((float(hero), float(friend)))
    logits[friends.which, mentions.true[friends.which]] = 50.0
    assert friends.shares(logits) == (1.0, 0.0)
    half = friends.which[: len(friends.which) // 2]
    logits[half, friends.friend[: len(half)]] = 60.0
    share = len(half) / len(friends.which)
    assert friends.shares(logits) == pytest.approx((1 - share, share))
    logits[friends.which, friends.friend] = 60.0
    assert friends.shares(logits) == (0.0, 1.0)
