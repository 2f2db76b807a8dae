"""What the living page knows of its model beside the weights: its tokenizer, its scores, the grammar's words."""

import json
import math
from pathlib import Path

from course import scoreboard
from course.site import setup_cell
from course.site.syllabus import SYLLABUS
from helpers.bpe import END
from helpers.errors import CourseError
from helpers.files import data_folder, read_json
from helpers.generation import PROMPT
from helpers.model import GPT
from helpers.stories import load_stories
from helpers.tokenizer import Tokenizer

PARTS = {  # what the page shows, and the notebook in which it is built
    "tokenizer": "01",
    "scoreboard": "03",
    "attention": "05",
    "decoder": "06",
    "training": "07",
    "sampling": "09",
    "inside": "11",
}
EXAMPLES = 6  # validation stories to score, each of another plot


def tokenizer_facts(tokenizer: Tokenizer, name: str) -> dict:
    """A byte-level BPE with GPT-2's split, as the page reads it.

    Returns:
        `tokens`: how each id is written in the vocabulary, a character for each byte, in the order of the ids;
        `merges`: (left id, right id, id of what the two make) in the order in which they were learned;
        `special`: the ids that no text makes; `end`: the one that ends a story.

    Raises:
        CourseError: it is another kind of tokenizer, which the page does not have.
    """
    content = json.loads(tokenizer.to_json())
    model, before = content["model"], content["pre_tokenizer"] or {}
    others = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")
    plain = model["type"] == "BPE" and not content["normalizer"] and not any(model.get(key) for key in others)
    gpt2 = before.get("type") == "ByteLevel" and before.get("use_regex", True) and not before["add_prefix_space"]
    if not plain or not gpt2:
        raise CourseError(f"the tokenizer of {name} is no byte-level BPE with GPT-2's split, and the page has no other")
    vocab = model["vocab"]
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    return {
        "tokens": [tokenizer.id_to_token(i) for i in range(tokenizer.vocab_size)],
        "merges": [[vocab[left], vocab[right], vocab[left + right]] for left, right in pairs],
        "special": sorted(token["id"] for token in content["added_tokens"]),
        "end": tokenizer.eos_token_id,
    }


def facts(model: GPT, tokenizer: Tokenizer, folder: Path, links: str | None = None) -> dict:
    """What the page says of the model in `folder`, which it was loaded from.

    What holds only for the bundled stories (the floor, the roles' words, the examples) is there for a model that was
    trained on them, and empty for others. What is not known is None.

    Args:
        links: where a notebook is, with {} for its name; None: in the course's repository.
    """
    config, shipped = model.config, folder.resolve() == (data_folder() / "storyteller").resolve()
    record = _record(folder)
    bundled = shipped or record["recipe"].get("stories") == "bundled"
    links = links or f"https://github.com/{setup_cell.ADDRESS}/blob/main/notebooks/{{}}.ipynb"
    names = {entry.number: entry.name for entry in SYLLABUS}
    return {
        "name": "the shipped storyteller" if shipped else folder.resolve().name,
        "parameters": model.parameter_count(),
        "layers": config.n_layer,
        "heads": config.n_head,
        "width": config.d_model,
        "context": config.context_length,
        "vocabulary": config.vocab_size,
        "end": tokenizer.eos_token_id,
        "bitsPerByte": _score(shipped),
        "floorBitsPerByte": _floor() if bundled else None,
        "madeBy": _made_by(record),
        "roles": roles() if bundled else {},
        "examples": examples(tokenizer, config.context_length) if bundled else [],
        "links": {part: links.format(names[number]) for part, number in PARTS.items()},
        "prompt": PROMPT,
        "endToken": END,
    }


def _record(folder: Path) -> dict:
    content = read_json(folder / "config.json", nan=True)
    record = content.get("training") if isinstance(content, dict) else None
    record = record if isinstance(record, dict) else {}
    return record | {"recipe": record["recipe"] if isinstance(record.get("recipe"), dict) else {}}


def _made_by(record: dict) -> str | None:
    """The training in a few words: the recipe, the steps and the tokens that were read."""
    recipe, steps, tokens = record["recipe"], record.get("steps"), record.get("tokens")
    if not (recipe.get("name") and isinstance(steps, int) and isinstance(tokens, int)):
        return None
    return f"the recipe {recipe['name']}, {steps:,} steps on {tokens:,} tokens"


def _score(shipped: bool) -> float | None:
    """What the scoreboard has of the shipped storyteller; of other models nobody has measured it."""
    rows = scoreboard.shipped_rows() if shipped else []
    return next((row.bits_per_byte for row in rows if row.name == "the shipped storyteller"), None)


def _floor() -> float | None:
    return next((row.bits_per_byte for row in scoreboard.floor()), None)


def roles() -> dict[str, list[str]]:
    """The words that fill each role, from the story grammar's own tables."""
    from data.story_grammar import cast

    genders = cast.VARIABLES["gender"].rows
    return {
        "names": sorted({entry.text for gender in genders for entry in gender.attributes["names"]}),
        "kinds": sorted({entry.text for gender in genders for entry in gender.attributes["kinds"]}),
        "colors": sorted(cast.COLORS),
        "toys": sorted(entry.text for entry in cast.TOYS),
        "traits": sorted(cast.TRAITS),
        "helpers": sorted(entry.text for entry in cast.HELPERS),
        "family": sorted(entry.text for entry in cast.FAMILY),
        "places": sorted(entry.text for entry in cast.PLACES),
        "weather": sorted(entry.text for entry in cast.WEATHER),
        "feelings": sorted(entry.text for entry in cast.FEELINGS),
        "treats": sorted(entry.text for entry in cast.TREATS),
    }


def examples(tokenizer: Tokenizer, context: int) -> list[dict]:
    """Validation stories of different plots that fit the context, each with what the grammar itself scores on it."""
    found = {}
    for story in load_stories("bundled", "validation", 200).dataset:
        if story["plot"] not in found and len(tokenizer.encode(story["text"])) < context:
            size = len(story["text"].encode("utf-8"))
            bits = story["nats"] / math.log(2) / size
            found[story["plot"]] = {
                "plot": story["plot"],
                "text": story["text"],
                "bytes": size,
                "floorBitsPerByte": round(bits, 6),
            }
    return [found[plot] for plot in sorted(found)[:EXAMPLES]]
