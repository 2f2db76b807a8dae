"""A conversation with a listener: what was said is kept as messages, rendered again for each answer, and made to fit.

One story nearly fills the context of a small model. So an order begins a conversation, and a question goes on with the
one of the last story. Where that no longer fits, what is left out are the oldest questions first, then the order, then
the story's end: the story is what questions are about, and most ask for what is told at its beginning.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from course.instructions.asked import THING, is_question, read_order, right_answer, tells
from course.instructions.orders import FACTS, MOST
from course.instructions.reading import read, sentences_of
from helpers.errors import CourseError
from helpers.generation import generate, stream_text, until
from helpers.instructions import CHAT_TOKENS, END_OF_ANSWER, render, token_id
from helpers.model import GPT
from helpers.tokenizer import Tokenizer

ROOM = 12  # tokens that an answer to a question may need; most have four
LONGEST = 24  # tokens of an answer to a question: what goes on for longer is none
SHORT = "Tell a story."  # what stands for an order that no longer fits
SAID = {"friend": "friend {}", "plot": "plot: {}", "ending": "ending: {}"}  # other facts speak for themselves
PLURAL = {"kind": "heroes", "hero": "names", "toy": "toys"}  # for which people ask for something unknown


@dataclass(frozen=True)
class Prompt:
    """What the model is to answer.

    Attributes:
        messages: the conversation, which ends with the user's message.
        ids: what of it fits, rendered.
        notes: what does not fit and is left out, in words.
    """

    messages: list[dict]
    ids: list[int]
    notes: tuple[str, ...] = ()

    @property
    def is_order(self) -> bool:
        """Whether a story is asked for; else it is a question about one."""
        return len(self.messages) == 1


class Talk:
    """The conversation so far. A message counts as said only when its answer is there (`answered`)."""

    def __init__(self, tokenizer: Tokenizer, context_length: int):
        """`context_length`: how many tokens the model reads.

        Raises:
            CourseError: the tokenizer has no chat tokens.
        """
        for token in CHAT_TOKENS:
            token_id(tokenizer, token)
        self.tokenizer, self.context_length = tokenizer, context_length
        self.messages: list[dict] = []
        self._left_out: tuple[str, ...] = ()  # as was said last

    @property
    def story(self) -> str | None:
        """The story that questions are about, if one was told."""
        return self.messages[1]["content"] if self.messages else None

    def forget(self) -> None:
        """Begin afresh."""
        self.messages, self._left_out = [], ()

    def prompt(self, text: str) -> Prompt:
        """What the model reads to answer an order or a question.

        Raises:
            CourseError: a question before any story, or a text that does not fit.
        """
        said = {"role": "user", "content": text}
        if not is_question(text):
            return self._order([said])
        if self.story is None:
            example = '"Tell a story about a shy fox with a red kite."'
            raise CourseError(f"there is no story yet that a question could be about: order one, such as {example}")
        return self._fitting([*self.messages, said])

    def again(self) -> Prompt:
        """The last order or question once more.

        Raises:
            CourseError: nothing was asked yet.
        """
        if not self.messages:
            raise CourseError("nothing was asked yet that could be answered again: order a story first")
        last = self.messages[:-1]
        return self._order(last) if len(last) == 1 else self._fitting(last)

    def answered(self, prompt: Prompt, answer: str) -> None:
        """Keep a message and its answer. One that was not answered at all is forgotten, since silence tells nothing."""
        if answer.strip():
            self.messages = [*prompt.messages, {"role": "assistant", "content": answer}]

    def beforehand(self, prompt: Prompt) -> list[str]:
        """What a user should know before the answer comes: what is forgotten, and what no story has."""
        notes = []
        if prompt.is_order:
            if self.messages:
                notes.append("an order begins a new conversation")
            notes += _about_order(prompt.messages[0]["content"])
        elif prompt.notes and prompt.notes != self._left_out:
            notes.append(
                f"all that was said exceeds its {self.context_length:,} tokens: without {', '.join(prompt.notes)}"
            )
        self._left_out = prompt.notes
        return notes

    def afterwards(self, prompt: Prompt, answer: str, whole: bool = True) -> str:
        """How it went, as far as that can be known; "" where all was said beforehand.

        Args:
            whole: the answer ended by itself.
        """
        text = prompt.messages[-1]["content"]
        if not answer.strip():
            return "it said nothing"
        if prompt.is_order:
            if not (demands := read_order(text).demands):
                return "" if _about_order(text) else "no demand that can be judged was read in this order"
            return verdict_in_words(demands, read(answer).facts) if whole else "it did not end, so it is not judged"
        right = right_answer(text, read(prompt.messages[1]["content"]).facts)
        if right is None:
            return "none of the questions that it learned, so nobody here can say whether this is right"
        return "right" if answer.strip() == right else f"wrong: by the story, as the grammar reads it, {right}"

    def _order(self, messages: list[dict]) -> Prompt:
        ids = self._ids(messages)
        if 2 * len(ids) > self.context_length:
            said = f"the order has {len(ids):,} tokens, and the model reads {self.context_length} with the story"
            raise CourseError(f"{said}: say it in at most half as many")
        return Prompt(messages, ids)

    def _fitting(self, messages: list[dict]) -> Prompt:
        """The conversation, and what fits of it beside an answer."""
        most, notes, kept = self.context_length - ROOM, [], list(messages)
        while len(self._ids(kept)) > most and len(kept) > 3:
            del kept[2:4]  # the oldest question and its answer
        if left := (len(messages) - len(kept)) // 2:
            notes.append("the oldest question" if left == 1 else f"the oldest {left} questions")
        if len(self._ids(kept)) > most:
            kept[0] = kept[0] | {"content": SHORT}
            notes.append("the order")
        sentences = sentences_of(kept[1]["content"])
        told = len(sentences)
        while len(self._ids(kept)) > most and told > 1:
            told -= 1
            kept[1] = kept[1] | {"content": "".join(border + said for border, said in sentences[:told])}
        if left := len(sentences) - told:
            notes.append("the story's last sentence" if left == 1 else f"the story's last {left} sentences")
        ids = self._ids(kept)
        if len(ids) > most:
            raise CourseError(
                f"that does not fit beside the story: the model reads {self.context_length} tokens in all"
            )
        return Prompt(messages, ids, tuple(notes))

    def _ids(self, messages: Sequence[dict]) -> list[int]:
        return render(self.tokenizer, messages).ids


def said(
    model: GPT, tokenizer: Tokenizer, ids: Sequence[int], *, max_new_tokens: int, engine=None, stop=(), **options
) -> Iterator[tuple[str, bool]]:
    """What a model answers, piece by piece, each with whether the answer has ended by itself.

    Args:
        ids: of `Prompt`.
        engine, stop, options: those of `helpers.generation.stream`.
    """
    special = {tokenizer.eos_token_id, *(token_id(tokenizer, token) for token in CHAT_TOKENS)}
    options |= {"engine": engine, "eos_token_id": token_id(tokenizer, END_OF_ANSWER)}
    new = generate(model, ids, max_new_tokens, **options)
    most = max_new_tokens if engine is None else min(max_new_tokens, model.config.context_length - len(ids))
    count = 0

    def words() -> Iterator[int]:
        nonlocal count
        for token in takewhile(lambda each: each not in special, new):  # a user's turn is not the model's to take
            count += 1
            yield token

    for piece in until(stream_text(tokenizer, words()), stop):
        yield piece, False
    yield "", count < most


def _about_order(text: str) -> list[str]:
    """What can be said of an order's text before it is answered."""
    asked, notes = read_order(text), []
    for fact in dict.fromkeys(asked.unknown.values()):
        words = [word for word, of in asked.unknown.items() if of == fact][:4]
        named = " or ".join(f'"{word}"' for word in words)
        values = [value for of, values in FACTS.items() for value in values if fact in (of, THING)]
        close = difflib.get_close_matches(words[0], values, n=1, cutoff=0.75)  # a dragon is no raccoon
        meant = f' (did you mean "{close[0]}"?)' if close else ""
        there = "/facts lists what there is" if fact == THING else f"there are the {PLURAL[fact]} {', '.join(values)}"
        notes.append(f"no order can ask for {named}{meant}; {there}")
    if len(asked.demands) > MOST:
        notes.append(
            f"that asks for {len(asked.demands)} things; of the orders that it learned none has more than {MOST}"
        )
    if not asked.demands and not asked.unknown and not tells(text):
        notes.append(
            "no order that can be read: stories are all it knows, so it tells one; /facts lists what to ask for"
        )
    return notes


def verdict_in_words(demands: dict[str, str], facts: dict[str, str]) -> str:
    """Which demands a story with these facts keeps, in one line."""
    said = {fact: SAID.get(fact, "{}").format(value) for fact, value in demands.items()}
    if not facts:
        return f"not kept: {', '.join(said.values())}; the grammar can read no story in this"
    kept = [said[fact] for fact, value in demands.items() if facts.get(fact) == value]
    missed = [
        f"{said[fact]} ({f'it has {facts[fact]}' if fact in facts else 'it says nothing of it'})"
        for fact, value in demands.items()
        if facts.get(fact) != value
    ]
    return "; ".join(
        f"{name}: {', '.join(values)}" for name, values in (("kept", kept), ("not kept", missed)) if values
    )


def facts_in_words() -> str:
    """What an order can ask for, a line for each fact."""
    lines = [f"{fact:8} {', '.join(values)}" for fact, values in FACTS.items()]
    return "\n".join(
        [*lines, f'{MOST} at most: "Tell a story about a shy fox with a red kite, in which there is a storm."']
    )
