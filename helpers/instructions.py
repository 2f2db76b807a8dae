"""Built in notebook 15: conversations as tokens: a chat template, a mask of what is learned, batches of both.

A conversation is a list of messages, each {"role": "user" or "assistant", "content": a text}. Special tokens, which no
text can hold, say who speaks: one for each role before a message, `<|end|>` after an answer. So a conversation reads

    <|endoftext|><|user|>Tell a story about a shy fox.<|assistant|>Once there was ...<|end|><|user|>Who ...

and a model that is trained on it answers a user, and stops. What it is to learn are the answers and where they end, not
what users say: the mask is true there (supervised fine-tuning; Ouyang et al. 2022, "Training language models to follow
instructions with human feedback", section 3.5).

In shapes, B is the conversations, or rows of several, in a batch, T the tokens in a row.
Used by `course.instructions` and `helpers.alignment`, and in notebook 15.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from helpers.errors import CourseError
from helpers.model import GPT, IGNORED
from helpers.tokenizer import Tokenizer

SPEAKER = {"user": "<|user|>", "assistant": "<|assistant|>"}  # what stands before a message
END_OF_ANSWER = "<|end|>"
CHAT_TOKENS = (*SPEAKER.values(), END_OF_ANSWER)


class Rendered(NamedTuple):
    """A conversation, or several in a row: `ids`, and of each whether it is learned: `mask`."""

    ids: list[int]
    mask: list[bool]


# ---------------------------------------------------------------------- new tokens and their rows


def add_chat_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with the special tokens of the template behind its vocabulary; itself if it has them already.

    What it made of texts it still makes: a text that says "<|user|>" is read as plain characters.
    """
    import tokenizers

    library = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    if not library.add_special_tokens([token for token in CHAT_TOKENS if tokenizer.token_to_id(token) is None]):
        return tokenizer
    return Tokenizer(library.to_str(), f"{tokenizer.name} with chat tokens")


@torch.no_grad()
def add_rows(model: GPT, vocab_size: int) -> GPT:
    """A copy of a model for a larger vocabulary. New rows of the embedding, and of a head of its own, are the mean of
    those that were there: a new token starts as nothing special, and takes from the others no more than its share
    (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models").

    Raises:
        CourseError: the vocabulary would become smaller.
    """
    old = model.config.vocab_size
    if vocab_size < old:
        raise CourseError(f"the model has {old} rows, more than the {vocab_size} asked for: no token may lose its row")
    larger = type(model)(replace(model.config, vocab_size=vocab_size)).to(model.head.weight.device)
    weights = dict(model.state_dict())
    for name in ("wte.weight", "head.weight"):  # one and the same where the head is tied
        rows = weights[name]
        mean = rows.mean(0, keepdim=True).expand(vocab_size - old, -1)
        weights[name] = torch.cat([rows, mean])  # (vocab_size, d_model)
    larger.load_state_dict(weights)
    return larger.train(model.training)


# ---------------------------------------------------------------------- the template


def render(tokenizer: Tokenizer, messages: Sequence[dict]) -> Rendered:
    """A conversation as ids, and a mask that is true on the answers and on what ends them.

    A conversation that ends with a user's message is a prompt: the assistant's token follows, and the model goes on.

    Raises:
        CourseError: the tokenizer has no chat tokens, or the messages are no conversation.
    """
    check_messages(messages)
    speaker = {role: token_id(tokenizer, token) for role, token in SPEAKER.items()}
    ids, mask = [tokenizer.eos_token_id], [False]  # as before every story that the model has read
    for message in messages:
        said, answer = tokenizer.encode(message["content"]), message["role"] == "assistant"
        if answer:
            said.append(token_id(tokenizer, END_OF_ANSWER))
        ids += [speaker[message["role"]], *said]
        mask += [False, *[answer] * len(said)]
    if messages[-1]["role"] == "user":
        ids.append(speaker["assistant"])
        mask.append(False)
    return Rendered(ids, mask)


def answer_of(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The text of an answer that a model gave: what comes before the first `<|end|>`, if there is one."""
    ids, end = list(ids), token_id(tokenizer, END_OF_ANSWER)
    return tokenizer.decode(ids[: ids.index(end)] if end in ids else ids)


def check_messages(messages: Sequence[dict]) -> None:
    """Refuse what is no conversation, with a CourseError that names the first message that is wrong."""
    if isinstance(messages, dict | str) or not messages:
        raise CourseError('a conversation is a list of messages: [{"role": "user", "content": "Tell a story."}]')
    for number, message in enumerate(messages):
        expected = "assistant" if number % 2 else "user"
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            raise CourseError(f'message {number} needs a "role" and a text as its "content", not {message!r:.60}')
        if message.get("role") != expected:
            raise CourseError(f"message {number} is the {expected}'s turn, not that of {message.get('role')!r:.20}")
        if not message["content"].strip():
            raise CourseError(f"message {number} is empty")


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token of the template.

    Raises:
        CourseError: the tokenizer does not have it.
    """
    found = tokenizer.token_to_id(token)
    if found is None:
        raise CourseError(f"the tokenizer {tokenizer.name} has no {token}: give it those of add_chat_tokens(tokenizer)")
    return found


# ---------------------------------------------------------------------- batches


def pack(conversations: Iterable[Rendered], length: int) -> list[Rendered]:
    """Rows of at most `length` tokens, each of as many whole conversations as fit, in the order of their arrival.

    None is cut: half an answer teaches to forget the order. A conversation goes into the first row that has room, which
    wastes little where some are short; one that fits no row is left out.
    """
    rows: list[Rendered] = []
    open_rows: list[int] = []  # numbers of rows that may still have room
    shortest = 8  # no conversation is shorter: begin, two speakers, an end, and words
    for ids, mask in conversations:
        if len(ids) > length:
            continue
        for number in open_rows:
            if len(rows[number].ids) + len(ids) <= length:
                rows[number].ids.extend(ids)
                rows[number].mask.extend(mask)
                break
        else:
            number = len(rows)
            rows.append(Rendered(list(ids), list(mask)))
            open_rows.append(number)
        if len(rows[number].ids) > length - shortest:
            open_rows.remove(number)
    return rows


def as_batch(rows: Sequence[Rendered], masked: bool = True) -> tuple[Tensor, Tensor]:
    """What the model reads and what should follow each token, (B, T) each; `IGNORED` where nothing is learned.

    Args:
        masked: only answers are learned; else all that is said, by users as well.
    """
    longest = max(len(row.ids) for row in rows) - 1
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    targets = torch.full_like(ids, IGNORED)
    for number, row in enumerate(rows):
        read, follows = torch.tensor(row.ids[:-1]), torch.tensor(row.ids[1:])
        learned = torch.tensor(row.mask[1:]) if masked else torch.ones_like(follows, dtype=torch.bool)
        ids[number, : len(read)] = read
        targets[number, : len(read)] = follows.where(learned, IGNORED)
    return ids, targets
