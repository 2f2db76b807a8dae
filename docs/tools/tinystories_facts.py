"""Measure the first real stories of TinyStories, for readers whom the Hub does not answer.

    python docs/tools/tinystories_facts.py

It needs the Hugging Face Hub once and writes data/tinystories_facts.json. What is said of the whole data set
is not measured here: it is written below, with its sources.
"""

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from course import corpus
from helpers.files import data_folder, write_json
from helpers.stories import load_stories, split_stories

STORIES = 1000

WHOLE = {
    "about": "all of TinyStories, version 1; not measured by this course",
    "source": "stories and splits: the data set's page, huggingface.co/datasets/roneneldan/TinyStories; "
    "tokens: counts published by projects that encoded both splits with GPT-2's tokenizer, one end token a story",
    "paper": "Eldan and Li (2023), TinyStories: How Small Can Language Models Be and Still Speak Coherent English? "
    "arXiv:2305.07759",
    "licence": "CDLA-Sharing-1.0",
    "train_stories": 2_119_719,
    "validation_stories": 21_990,
    "train_gpt2_tokens": 473_992_236,
    "validation_gpt2_tokens": 4_765_918,
    "bytes_per_story": 899,
}


def measured(texts: list[str]) -> dict:
    """The measures of notebook 02 on `texts`."""
    lengths = sorted(len(corpus.words_of(text)) for text in texts)
    counts = Counter(word for text in texts for word in corpus.words_of(text))
    train, validation = split_stories(texts)
    return {
        "about": f"{len(texts):,} stories of the training split, from the Hub",
        "stories": len(texts),
        "bytes": sum(len(text.encode("utf-8")) for text in texts),
        "words": sum(lengths),
        "different_words": len(counts),
        "words_seen_once": sum(count == 1 for count in counts.values()),
        "words_per_story": {
            "shortest": lengths[0],
            "median": lengths[len(lengths) // 2],
            "longest": lengths[-1],
        },
        "characters": len(set("".join(texts))),
        "stories_with_mojibake": sum("â€" in text or "Ã" in text for text in texts),
        "growth": corpus.growth(texts),
        "rank_frequencies": [(rank, round(times, 2)) for rank, times in corpus.rank_frequencies(counts, most=40)],
        "validation_sentences_seen": round(corpus.seen_fraction(train, validation), 4),
    }


def main() -> None:
    facts = {
        "made_by": "python docs/tools/tinystories_facts.py",
        "whole": WHOLE,
        "sample": measured(load_stories("tinystories", limit=STORIES)[:]),
    }
    print(write_json(data_folder() / "tinystories_facts.json", facts))


if __name__ == "__main__":
    main()
