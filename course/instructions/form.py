"""What a form for orders does, without its widgets: an order worded, a story told, both shown with the verdict.

`course.playground.OrderForm` puts fields and buttons around it.
"""

import html
import random
from collections.abc import Callable, Iterator

from course.instructions.orders import FACTS, MOST, facts_of, word_order
from course.instructions.talk import Talk, said
from data.story_grammar.stories import full_grammar
from helpers.errors import CourseError
from helpers.generation import WHOLE_STORY, Storyteller

ORDER = ("hero", "kind", "trait", "toy", "color", "place", "plot", "ending", "friend")  # of the fields
NOTHING = "-"  # what a field says that demands nothing
LIMIT = f"at most {MOST} demands; {NOTHING} demands nothing"


def fields() -> dict[str, tuple[str, ...]]:
    """What each field can say."""
    return {fact: (NOTHING, *FACTS[fact]) for fact in ORDER}


def worded(demands: dict[str, str], seed: int) -> str:
    """Demands in words; the same seed words them in the same way.

    Raises:
        CourseError: there are none, too many, or one that no story can keep.
    """
    if not 1 <= len(demands) <= MOST:
        raise CourseError(
            f'an order has 1 to {MOST} demands, and here are {len(demands)}: leave the others at "{NOTHING}"'
        )
    return word_order(demands, random.Random(seed))


def told(
    teller: Storyteller, order: str, temperature: float, seed: int, max_new_tokens: int = WHOLE_STORY
) -> Iterator[str]:
    """The story so far, longer each time; at last the whole story."""
    ids = Talk(teller.tokenizer, teller.model.config.context_length).prompt(order).ids
    how = {"engine": teller.engine, "temperature": temperature, "seed": seed, "max_new_tokens": max_new_tokens}
    story = ""
    for piece, _ in said(teller.model, teller.tokenizer, ids, **how):
        story += piece
        yield story


def verdict(judge: Callable, demands: dict[str, str], story: str) -> dict[str, bool]:
    """Of each demand whether a judge finds it kept; the judge gives a dictionary, or has one as `kept`."""
    found = judge(demands, story)
    return dict(getattr(found, "kept", found))


def surprise(generator: random.Random, count: int = 3) -> dict[str, str]:
    """Demands that some story keeps together."""
    facts = facts_of(full_grammar().sample(generator))
    chosen = generator.sample([fact for fact in ORDER if fact in facts], count)
    return {fact: facts[fact] for fact in ORDER if fact in chosen}


def as_text(order: str, story: str, kept: dict[str, bool], demands: dict[str, str]) -> str:
    """An order, its story and the verdict as plain text."""
    return "\n\n".join([order, story, "\n".join(_line(fact, demands[fact], held) for fact, held in kept.items())])


def as_html(
    order: str, story: str, demands: dict[str, str], kept: dict[str, bool] | None = None, note: str = ""
) -> str:
    """An order and its story as a piece of a page, beside them the demands, each with its verdict once there is one."""
    lines = [_line(fact, value, None if kept is None else kept[fact]) for fact, value in demands.items()]
    beside = "".join(f"<div>{html.escape(line)}</div>" for line in lines)
    note = f'<div style="color:#62636f;font-size:85%;margin-top:6px">{html.escape(note)}</div>' if note else ""
    return (
        '<div style="background:#fdfcf8;color:#22232b;padding:10px 14px;border:1px solid #c5d6ec;max-width:820px;'
        'display:flex;flex-wrap:wrap;gap:18px;line-height:1.35"><div style="flex:3 1 320px">'
        f'<div style="color:#62636f">{html.escape(order)}</div>'
        f'<div style="white-space:pre-wrap;margin-top:6px">{html.escape(story)}</div>{note}</div>'
        f'<div style="flex:1 1 160px">{beside}</div></div>'
    )


def _line(fact: str, value: str, kept: bool | None) -> str:
    verdict = "" if kept is None else ": kept" if kept else ": not kept"
    return f"{fact} {value}{verdict}"
