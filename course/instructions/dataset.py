"""The set of orders and questions in data/instructions/: how it is made, byte for byte, and read.

A row names a bundled story by its number and asks for some of its facts. Stories are not stored again: `load` puts them
beside their orders. Training conversations are made from training stories; every other split from validation stories.

TinyStories has such a set too, TinyStories-Instruct (Eldan and Li 2023, "TinyStories"; on the Hub as
`roneneldan/TinyStoriesInstruct`): each story follows words, features and a summary that it was to have.
"""

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from course.instructions.orders import FACTS, PAIRS, Order, draw_order, draw_question, held_out
from course.instructions.reading import read
from helpers.errors import CourseError
from helpers.files import data_folder, folder_to_be, read_json, sha256, write_json
from helpers.instructions import add_chat_tokens, render
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer

SEED = 15
TRAIN = 8_000  # conversations
CONTEXT = 256  # of the storyteller, in tokens: a conversation has to fit
QUESTION_EVERY = 5  # of so many training conversations one goes on with a question
ENDING_EVERY = 6  # of so many one asks how the story ends; of all stories only one in nine has such an ending
# How many orders of so many demands there are in the splits that are not trained on.
SEEN = {1: 100, 2: 100, 3: 200, 4: 100, 5: 100}
UNSEEN = {3: 200}
QUESTIONS = 200
SPLITS = ("train", "seen", "unseen_combinations", "unseen_paraphrases", "questions")


def make(count: int = TRAIN, seed: int = SEED) -> dict[str, list[dict]]:
    """The rows of every split: `story` (its number), `order`, `demands`, and `question` and `answer` or None.

    - train: conversations without a held-out pair (`orders.held_out`), neither asked for nor in the story;
    - seen: orders worded as in training, that ask for no held-out pair;
    - unseen_combinations: orders of three that ask for such a pair;
    - unseen_paraphrases: orders of three in wordings that no training order uses;
    - questions: each after its story, half of them in such wordings.

    Raises:
        CourseError: there are not enough stories for so many conversations.
    """
    generator = random.Random(f"{seed}/instructions")
    tokenizer = add_chat_tokens(load_tokenizer())
    stories, validation = load_stories("bundled", "train"), load_stories("bundled", "validation")
    made: dict[str, list[dict]] = {split: [] for split in SPLITS}
    if count > len(stories):
        raise CourseError(f"{count:,} conversations are more than the {len(stories):,} stories: ask for fewer")

    drawn = generator.sample(range(len(stories)), len(stories))
    for number in drawn:
        if len(made["train"]) == count:
            break
        facts = read(stories[number]).facts
        if held_out(facts):
            continue
        asks = len(made["train"]) % QUESTION_EVERY == 0
        ends = len(made["train"]) % ENDING_EVERY == 1 and not asks
        if ends and "ending" not in facts:
            continue
        order = draw_order(facts, generator, 1 if asks else None, always=("ending",) if ends else ())
        row = _row(number, order, draw_question(facts, generator) if asks else None)
        if len(render(tokenizer, conversation(row, stories[number])).ids) <= CONTEXT:
            made["train"].append(row)
    if len(made["train"]) < count:
        raise CourseError(f"the bundled stories give {len(made['train']):,} training conversations: ask for no more")

    generator = random.Random(f"{seed}/validation")  # of its own: the same orders however many there are to train on
    facts_of = [read(story).facts for story in validation]
    drawn = generator.sample(range(len(validation)), len(validation))
    plain = iter([number for number in drawn if not held_out(facts_of[number])])
    pairs = iter([number for number in drawn if held_out(facts_of[number])])
    for demands, wanted in SEEN.items():
        for number in islice(plain, wanted):
            facts = facts_of[number]
            ends = ("ending",) if "ending" in facts and generator.random() < 0.5 else ()  # else hardly any would ask
            made["seen"].append(_row(number, draw_order(facts, generator, demands, always=ends)))
    for demands, wanted in UNSEEN.items():
        for number in islice(plain, wanted):
            made["unseen_paraphrases"].append(_row(number, draw_order(facts_of[number], generator, demands, True)))
        for number in islice(pairs, wanted):
            facts = facts_of[number]
            pair = next(pair for pair in PAIRS if held_out({fact: facts[fact] for fact in pair}))
            made["unseen_combinations"].append(_row(number, draw_order(facts, generator, demands, always=pair)))
    while len(made["questions"]) < QUESTIONS:
        number = next(plain)
        question = draw_question(facts_of[number], generator, unseen=len(made["questions"]) % 2 == 1)
        row = _row(number, draw_order(facts_of[number], generator, 1), question)
        if len(render(tokenizer, conversation(row, validation[number])).ids) <= CONTEXT:
            made["questions"].append(row)
    return made


def _row(story: int, order: Order, question=None) -> dict:
    asked = {"question": None, "answer": None}
    if question is not None:
        asked = {"question": question.text, "answer": question.answer}
    return {"story": story, "order": order.text, "demands": order.demands, **asked}


def conversation(row: dict, story: str) -> list[dict]:
    """A row as messages: the order, the story, and perhaps a question and its answer."""
    said = [row["order"], story] + ([row["question"], row["answer"]] if row["question"] else [])
    return [{"role": ("user", "assistant")[turn % 2], "content": text} for turn, text in enumerate(said)]


# ---------------------------------------------------------------------- files


def write(folder: Path, made: dict[str, list[dict]]) -> list[Path]:
    """A parquet file for each split, a column for each fact that an order can ask for, and their SHA-256."""
    import pyarrow
    import pyarrow.parquet

    text = pyarrow.string()
    fields = [("story", pyarrow.int32()), ("order", text), *((fact, text) for fact in FACTS)]
    schema = pyarrow.schema([*fields, ("question", text), ("answer", text)])
    folder_to_be(folder).mkdir(parents=True, exist_ok=True)
    paths = []
    for split, rows in made.items():
        flat = [{**dict.fromkeys(FACTS), **row["demands"], **row} for row in rows]
        path = folder / f"{split}.parquet"
        temporary = path.with_suffix(".part")
        table = pyarrow.Table.from_pylist(flat, schema=schema)
        pyarrow.parquet.write_table(table, temporary, compression="zstd", compression_level=19, write_statistics=False)
        temporary.replace(path)
        paths.append(path)
    write_json(folder / "hashes.json", {path.name: sha256(path) for path in paths})
    return paths


def load(split: str = "train", folder: Path | None = None) -> list[dict]:
    """The rows of a split, as `make` gives them, each with its story's text under `text`.

    Raises:
        CourseError: there is no such split, or a file is missing or not as it was made.
    """
    import pyarrow.parquet

    if split not in SPLITS:
        raise CourseError(f"there is no split {split!r} of the orders; there are {', '.join(SPLITS)}")
    folder = data_folder() / "instructions" if folder is None else Path(folder)
    path = folder / f"{split}.parquet"
    again = "make it again: python -m course instructions"
    if not path.is_file():
        raise CourseError(f"there is no file {path}: {again}")
    hashes = read_json(folder / "hashes.json")
    if not isinstance(hashes, dict) or hashes.get(path.name) != sha256(path):
        raise CourseError(f"{path} is not as it was made, or damaged: {again}")
    stories = load_stories("bundled", "train" if split == "train" else "validation")
    return list(_rows(pyarrow.parquet.read_table(path).to_pylist(), stories))


def _rows(flat: list[dict], stories) -> Iterator[dict]:
    for row in flat:
        demands = {fact: row[fact] for fact in FACTS if row[fact] is not None}
        asked = {name: row[name] for name in ("story", "order", "question", "answer")}
        yield asked | {"demands": demands, "text": stories[row["story"]]}
