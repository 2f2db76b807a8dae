"""Where a story names somebody or something again: what its grammar recorded, as positions with a right answer."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

BINS = (30, 60, 90, 120)  # distances in tokens; the last bin is open


@dataclass(frozen=True)
class Mention:
    """A word of the story that was named before.

    Attributes:
        role: which variable it is, such as "hero" or "object.color".
        text: the word; start: where it begins in the story, in characters.
        context: ids from the end token before the story to the token before the word.
        space: whether the word's first token carries the space before it.
        distance: tokens since the end of the word's last mention.
        story: the whole text in lower case, only its words, with single spaces.
    """

    role: str
    text: str
    start: int
    context: list[int]
    space: bool
    distance: int
    story: str


def role_of(span: dict) -> str:
    """The name of what a span holds: its variable, with the attribute if it is not the word itself."""
    attribute = span.get("attribute") or "text"
    return span["role"] if attribute == "text" else f"{span['role']}.{attribute}"


def words_by_role(stories: Iterable[dict]) -> dict[str, list[str]]:
    """Every word that fills a role anywhere in these stories, sorted."""
    words: dict[str, set[str]] = defaultdict(set)
    for story in stories:
        for span in story["spans"]:
            words[role_of(span)].add(story["text"][span["start"] : span["end"]])
    return {role: sorted(found) for role, found in words.items()}


def mentions_of(story: dict, tokenizer, roles: set[str], shortest: int = BINS[0]) -> Iterator[Mention]:
    """The spans of one story that name again, `shortest` tokens or more after its last mention, a word that
    the same role had before. Any occurrence of the word is a mention, recorded or not.
    """
    text = story["text"]
    before: dict[str, set[str]] = defaultdict(set)
    whole = f" {only_words(text)} "
    for span in sorted(story["spans"], key=lambda span: span["start"]):
        role, word = role_of(span), text[span["start"] : span["end"]]
        seen = word in before[role]
        before[role].add(word)
        if role not in roles or not seen:
            continue
        named = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
        last = max((match.end() for match in named.finditer(text, 0, span["start"])), default=None)
        if last is None:
            continue
        space = span["start"] > 0 and text[span["start"] - 1] == " "
        context = tokenizer.encode(text[: span["start"] - space])
        distance = len(context) - len(tokenizer.encode(text[:last]))
        if distance >= shortest:
            yield Mention(
                role,
                word,
                span["start"],
                [tokenizer.eos_token_id, *context],
                space,
                distance,
                whole,
            )


def token_roles(tokenizer, story: dict, row: Sequence[int]) -> list[str | None]:
    """Which role printed each token of a story's sequence, `row`, (end token first); None: no variable did."""
    owner: list[str | None] = [None] * len(story["text"].encode("utf-8"))
    for span in story["spans"]:
        start, end = (len(story["text"][: span[side]].encode("utf-8")) for side in ("start", "end"))
        owner[start:end] = [role_of(span)] * (end - start)
    roles, position = [None], 0
    for token in row[1:]:
        size = len(tokenizer.id_to_token(token))  # a character for each byte
        roles.append(next((role for role in owner[position : position + size][::-1] if role), None))
        position += size
    return roles


def only_words(text: str) -> str:
    """The words of a text in lower case, with single spaces between them."""
    return " ".join(re.findall(r"\w+", text.lower()))
