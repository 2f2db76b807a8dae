"""Make `data/tokenizer.json` again: `python -m data.make_tokenizer`.

A byte-level BPE of 2,048 entries, GPT-2's split pattern, trained on the bundled training stories.
"""

import argparse
from pathlib import Path

from helpers.files import data_folder
from helpers.stories import load_stories
from helpers.tokenizer import train_tokenizer

VOCABULARY = 2048


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m data.make_tokenizer", description=__doc__)
    parser.add_argument("--out", type=Path, default=data_folder() / "tokenizer.json", help="the file to write")
    out = parser.parse_args().out
    stories = load_stories("bundled", "train")
    tokenizer = train_tokenizer(stories, VOCABULARY)
    tokenizer.save(out)
    validation = list(load_stories("bundled", "validation"))
    tokens = sum(len(ids) for ids in tokenizer.encode_batch(validation))
    size = sum(len(text.encode("utf-8")) for text in validation)
    print(f"{out}: {tokenizer.vocab_size} entries, {size / tokens:.3f} bytes a token on the validation stories")


if __name__ == "__main__":
    main()
