"""`helpers.instructions`: the template's tokens, rows that begin as the mean, a mask on answers, whole rows."""

import random

import pytest
import tokenizers
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import CourseError
from helpers.instructions import (
    CHAT_TOKENS,
    END_OF_ANSWER,
    Rendered,
    add_chat_tokens,
    add_rows,
    answer_of,
    as_batch,
    pack,
    render,
)
from helpers.model import GPT, IGNORED, GPTConfig
from helpers.tokenizer import Tokenizer, load_tokenizer, train_tokenizer

PLAIN = load_tokenizer()
CHAT = add_chat_tokens(PLAIN)


def say(*texts: str) -> list[dict]:
    """A conversation in turns, the user first."""
    return [{"role": ("user", "assistant")[turn % 2], "content": text} for turn, text in enumerate(texts)]


def small(tied: bool) -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(50, 32, 1, 2, 16, tied_head=tied))


# ---------------------------------------------------------------------- tokens


def test_chat_tokens_stand_behind_the_vocabulary():
    assert [CHAT.token_to_id(token) for token in CHAT_TOKENS] == [2048, 2049, 2050]
    assert CHAT.vocab_size == PLAIN.vocab_size + 3 and CHAT.eos_token_id == PLAIN.eos_token_id
    assert add_chat_tokens(CHAT) is CHAT
    small_one = train_tokenizer(["once upon a time"] * 3, 260)
    assert add_chat_tokens(small_one).token_to_id("<|user|>") == small_one.vocab_size


def test_chat_tokens_survive_the_file_and_are_known_to_the_library(tmp_path):
    CHAT.save(tmp_path / "tokenizer.json")
    again, library = load_tokenizer(tmp_path), tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ids = render(CHAT, say("A story.", "Once.")).ids
    assert again.fingerprint == CHAT.fingerprint != PLAIN.fingerprint
    assert again.decode(ids) == "<|endoftext|><|user|>A story.<|assistant|>Once.<|end|>"
    assert library.encode(again.decode(ids), add_special_tokens=False).ids == ids


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([*CHAT_TOKENS, "<|endoftext|>", " a fox", "<", "|", "é"]), max_size=6).map("".join))
def test_no_text_can_speak_for_another(text):
    """What a user types is the plain tokenizer's, and none of it is special."""
    assert CHAT.encode(text) == PLAIN.encode(text)
    assert not {CHAT.token_to_id(token) for token in CHAT_TOKENS} & set(CHAT.encode(text))
    assert CHAT.decode(CHAT.encode(text)) == text


# ---------------------------------------------------------------------- rows


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_are_the_mean_of_the_old(tied):
    model = small(tied)
    larger = add_rows(model, 53)
    assert larger.config.vocab_size == 53 and model.config.vocab_size == 50
    assert (larger.head.weight is larger.wte.weight) == tied
    for new, old in ((larger.wte, model.wte), (larger.head, model.head)):
        assert torch.equal(new.weight[:50], old.weight)
        assert torch.allclose(new.weight[50:], old.weight.mean(0).expand(3, -1))
    ids = torch.randint(50, (2, 9))
    assert torch.allclose(larger(ids)[..., :50], model(ids))
    assert larger.parameter_count() == model.parameter_count() + 3 * 16 * (1 if tied else 2)
    with torch.no_grad():  # a copy: the model keeps what it has
        larger.wte.weight.zero_()
    assert model.wte.weight.abs().sum() > 0


def test_new_rows_take_their_share_of_probability_and_no_more():
    """The logit of a mean row is the mean logit (Hewitt 2021): a new token is no likelier than others on average."""
    model, ids = small(False), torch.randint(50, (2, 9))
    probability = add_rows(model, 51)(ids).softmax(-1)
    assert (probability[..., 50] <= probability[..., :50].mean(-1) + 1e-7).all()


def test_no_row_is_taken_away():
    with pytest.raises(CourseError, match="no token may lose its row"):
        add_rows(small(True), 40)


# ---------------------------------------------------------------------- template and mask


def test_the_mask_is_on_answers_and_what_ends_them():
    rendered = render(CHAT, say("A fox.", "Once.", "Who?", "Tom."))
    learned = [i for i, learn in zip(rendered.ids, rendered.mask, strict=True) if learn]
    assert CHAT.decode(learned) == "Once.<|end|>Tom.<|end|>"
    assert CHAT.decode([i for i, learn in zip(*rendered, strict=True) if not learn]) == (
        "<|endoftext|><|user|>A fox.<|assistant|><|user|>Who?<|assistant|>"
    )


def test_a_prompt_ends_where_the_answer_begins():
    prompt, whole = render(CHAT, say("A fox.")), render(CHAT, say("A fox.", "Once."))
    assert whole.ids[: len(prompt.ids)] == prompt.ids and not any(prompt.mask)
    assert answer_of(CHAT, whole.ids[len(prompt.ids) :]) == "Once."
    assert answer_of(CHAT, CHAT.encode("Once upon")) == "Once upon"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "a list of messages"),
        ({"role": "user", "content": "A fox."}, "a list of messages"),
        ([{"role": "assistant", "content": "Once."}], "message 0 is the user's turn"),
        (say("A fox.") * 2, "message 1 is the assistant's turn"),
        ([{"role": "user"}], 'message 0 needs a "role" and a text'),
        (say("A fox.", " "), "message 1 is empty"),
    ],
)
def test_what_is_no_conversation_is_refused(messages, said):
    with pytest.raises(CourseError, match=said):
        render(CHAT, messages)


def test_a_tokenizer_without_the_tokens_is_refused():
    with pytest.raises(CourseError, match="add_chat_tokens"):
        render(PLAIN, say("A fox."))


# ---------------------------------------------------------------------- rows and batches


def drawn(count: int, seed: int) -> list[Rendered]:
    generator, made = random.Random(seed), []
    for number in range(count):
        length = generator.randint(2, 30)
        made.append(Rendered([number + 1] * length, [False] + [generator.random() < 0.5 for _ in range(length - 1)]))
    return made


@given(st.integers(0, 40), st.integers(0, 10**6), st.integers(8, 40))
def test_packing_keeps_every_conversation_whole_and_once(count, seed, length):
    conversations = drawn(count, seed)
    rows = pack(conversations, length)
    assert all(0 < len(ids) <= length and len(ids) == len(mask) for ids, mask in rows)
    found = {}
    for ids, mask in rows:
        at = 0
        while at < len(ids):
            size = ids.count(ids[at])
            assert ids[at : at + size] == [ids[at]] * size and ids[at] not in found
            found[ids[at]] = Rendered(ids[at : at + size], mask[at : at + size])
            at += size
    assert found == {each.ids[0]: each for each in conversations if len(each.ids) <= length}


def test_packing_leaves_what_was_given_alone():
    given_rows = [Rendered([1, 1], [False, True]), Rendered([2, 2], [False, True])]
    assert pack(given_rows, 20) == [Rendered([1, 1, 2, 2], [False, True, False, True])]
    assert given_rows[0].ids == [1, 1]


@given(st.integers(1, 12), st.integers(0, 10**6), st.booleans())
def test_a_batch_asks_for_the_next_token_where_the_mask_says(count, seed, masked):
    rows = drawn(count, seed)
    ids, targets = as_batch(rows, masked)
    for number, row in enumerate(rows):
        for at in range(ids.shape[1]):
            inside = at + 1 < len(row.ids)
            learned = inside and (row.mask[at + 1] or not masked)
            assert targets[number, at] == (row.ids[at + 1] if learned else IGNORED)
            assert not inside or ids[number, at] == row.ids[at]


def test_the_loss_of_a_batch_is_that_of_its_answers_one_by_one():
    model, conversations = small(True), []
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(50, (6 + seed,), generator=generator).tolist()
        conversations.append(Rendered(ids, [False, False, *[True] * (len(ids) - 2)]))
    total = count = 0
    for ids, mask in conversations:
        log_probs = F.log_softmax(model(torch.tensor([ids]))[0], -1)
        for at in range(1, len(ids)):
            if mask[at]:
                total, count = total - log_probs[at - 1, ids[at]], count + 1
    assert model.loss(*as_batch(conversations)).item() == pytest.approx((total / count).item(), rel=1e-5)


def test_an_answer_ends_with_its_token():
    assert render(CHAT, say("A fox.", "Once.")).ids[-1] == CHAT.token_to_id(END_OF_ANSWER)
    assert isinstance(CHAT, Tokenizer)
