"""Make the bundled stories again, byte for byte: `python -m data.story_grammar`.

Writes `data/stories/train-*.parquet`, `validation-*.parquet`, their hashes and their statistics.
"""

import argparse
import collections
import math
import multiprocessing
import random
import re
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
from tqdm import tqdm

from course.corpus import seen_fraction
from data.story_grammar.stories import full_grammar, plot_modules
from helpers.files import data_folder, sha256, write_atomically, write_json

SEED = 2026
TRAIN_STORIES, VALIDATION_STORIES = 60_000, 2_000
CHUNK = 500
SPAN = pyarrow.struct(
    [
        ("start", pyarrow.int32()),
        ("end", pyarrow.int32()),
        ("role", pyarrow.string()),
        ("attribute", pyarrow.string()),
        ("text", pyarrow.string()),
    ]
)


def sample_chunk(task: tuple[str, int, bool]) -> list[dict]:
    """The rows of one chunk. Each chunk has its own seed, so the stories do not depend on the number of processes."""
    split, number, with_truth = task
    grammar = full_grammar()
    generator = random.Random(f"{SEED}/{split}/{number}")
    names = [module.NAME for module in plot_modules()]
    rows = []
    for _ in range(CHUNK):
        sample = grammar.sample(generator)
        row = {"text": sample.text, "plot": names[sample.choices.get("plot", 0)]}
        if with_truth:
            row["nats"] = -grammar.log_prob(sample.text)
            row["spans"] = [vars(span) for span in sample.spans]
        rows.append(row)
    return rows


def sample_split(split: str, count: int, taken: set[str], pool, with_truth: bool) -> list[dict]:
    """`count` stories, none of them in `taken` and none twice; their texts are added to `taken`."""
    rows: list[dict] = []
    done = 0  # chunks
    with tqdm(total=count, desc=split, unit="story") as bar:
        while len(rows) < count:
            more = math.ceil((count - len(rows)) / CHUNK)
            if done > 10 * math.ceil(count / CHUNK):
                raise RuntimeError(f"the grammar is too small for {count} different stories")
            for chunk in pool.imap(sample_chunk, [(split, done + i, with_truth) for i in range(more)]):
                for row in chunk:
                    if row["text"] not in taken and len(rows) < count:
                        taken.add(row["text"])
                        rows.append(row)
                        bar.update()
            done += more
    return rows


def write_parquet(rows: list[dict], path: Path) -> None:
    """One parquet file, written the same way every time."""
    fields = [("text", pyarrow.string()), ("plot", pyarrow.string())]
    if "nats" in rows[0]:
        fields += [("nats", pyarrow.float64()), ("spans", pyarrow.list_(SPAN))]
    table = pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(fields))
    temporary = path.with_suffix(".part")
    pyarrow.parquet.write_table(
        table,
        temporary,
        compression="zstd",
        compression_level=19,
        row_group_size=10_000,
        data_page_size=1 << 24,
        use_dictionary=["plot"],
        write_statistics=False,
    )
    temporary.replace(path)


def words(text: str) -> list[str]:
    """The words of a text in lower case, for counting."""
    return re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())


def statistics(train: list[dict], validation: list[dict]) -> dict:
    """The figures that the datasheet quotes and that later notebooks compare with."""
    vocabulary = collections.Counter(word for row in train for word in words(row["text"]))
    lengths = [len(row["text"].split()) for row in train]
    seen = seen_fraction([row["text"] for row in train], [row["text"] for row in validation])
    nats = [row["nats"] for row in validation]
    byte_count = sum(len(row["text"].encode("utf-8")) for row in validation)
    mean = sum(nats) / len(nats)
    spread = math.sqrt(sum((n - mean) ** 2 for n in nats) / (len(nats) - 1))
    return {
        "seed": SEED,
        "plots": len(plot_modules()),
        "train": {"stories": len(train), "bytes": sum(len(row["text"].encode("utf-8")) for row in train)},
        "validation": {"stories": len(validation), "bytes": byte_count},
        "distinct_words": len(vocabulary),
        "words_per_story": {"mean": round(sum(lengths) / len(lengths), 2), "min": min(lengths), "max": max(lengths)},
        "validation_sentences_seen_in_train": round(seen, 4),
        "floor": {
            "nats_per_story": round(mean, 4),
            "standard_error_nats_per_story": round(spread / math.sqrt(len(nats)), 4),
            "bytes_per_story": round(byte_count / len(validation), 4),
            "bits_per_byte": round(sum(nats) / math.log(2) / byte_count, 6),
        },
    }


def datasheet_table(figures: dict) -> str:
    """The figures as the Markdown table of `data/README.md`."""
    floor, length = figures["floor"], figures["words_per_story"]
    train, validation = figures["train"], figures["validation"]
    rows = [
        ("stories, train and validation", f"{train['stories']:,} and {validation['stories']:,}"),
        ("bytes of text, train and validation", f"{train['bytes']:,} and {validation['bytes']:,}"),
        ("plots", f"{figures['plots']}"),
        ("distinct words", f"{figures['distinct_words']:,}"),
        ("words a story, mean (least to most)", f"{length['mean']} ({length['min']} to {length['max']})"),
        ("validation sentences that also stand in train", f"{figures['validation_sentences_seen_in_train']:.1%}"),
        ("floor, nats a story", f"{floor['nats_per_story']} (standard error {floor['standard_error_nats_per_story']})"),
        ("floor, bits per byte", f"{floor['bits_per_byte']}"),
        ("seed", f"{figures['seed']}"),
    ]
    return "\n".join(["| figure | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m data.story_grammar", description=__doc__)
    parser.add_argument("--out", type=Path, default=data_folder() / "stories", help="the folder to write to")
    parser.add_argument("--train", type=int, default=TRAIN_STORIES, help="how many stories to train on")
    parser.add_argument("--validation", type=int, default=VALIDATION_STORIES, help="how many stories to hold out")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    with multiprocessing.Pool() as pool:
        validation = sample_split("validation", arguments.validation, taken, pool, with_truth=True)
        train = sample_split("train", arguments.train, taken, pool, with_truth=False)
    hashes = {}
    for split, rows in (("train", train), ("validation", validation)):
        path = arguments.out / f"{split}-00000-of-00001.parquet"
        write_parquet(rows, path)
        hashes[path.name] = sha256(path)
    figures = statistics(train, validation)
    write_json(arguments.out / "hashes.json", hashes)
    write_json(arguments.out / "statistics.json", {**figures, "pyarrow": pyarrow.__version__})
    datasheet = arguments.out.parent / "README.md"
    if datasheet.is_file():
        begin, end = "<!-- statistics: written by `python -m data.story_grammar` -->", "<!-- end of statistics -->"
        before, rest = datasheet.read_text(encoding="utf-8").split(begin)
        after = rest.split(end)[1]
        write_atomically(datasheet, f"{before}{begin}\n{datasheet_table(figures)}\n{end}{after}")
    size = sum(path.stat().st_size for path in arguments.out.glob("*.parquet"))
    print(f"{len(train):,} + {len(validation):,} stories, {size / 1e6:.2f} MB in {arguments.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
