"""Measure GPT-2's tokenizer on the stories, for readers whom the Hub does not answer.

    python docs/tools/gpt2_facts.py

It needs the Hugging Face Hub once, for GPT-2's tokenizer and the first stories of TinyStories, and writes
data/gpt2_tokenizer_facts.json.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from helpers.files import data_folder, write_json
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer

SENTENCE = "Once upon a time, a little rabbit named Pip lost a red kite."
WORDS = ("the", " the", " The", "rabbit", " rabbit")


def measured(tokenizer, stories) -> dict:
    """Stories, bytes, tokens (end tokens not counted) and bytes a token."""
    texts = list(stories)
    size = sum(len(text.encode("utf-8")) for text in texts)
    tokens = sum(map(len, tokenizer.encode_batch(texts)))
    return {"stories": len(texts), "bytes": size, "tokens": tokens, "bytes_per_token": size / tokens}


def main() -> None:
    tokenizer = load_tokenizer("gpt2")
    facts = {
        "made_by": "python docs/tools/gpt2_facts.py",
        "tokenizer": "openai-community/gpt2 (OpenAI, 2019)",
        "vocab_size": tokenizer.vocab_size,
        "eos_token_id": tokenizer.eos_token_id,
        "bundled_validation": measured(tokenizer, load_stories(split="validation")),
        "tinystories_train": measured(tokenizer, load_stories("tinystories", limit=1000)),
        "sentence": SENTENCE,
        "sentence_tokens": [tokenizer.decode([i]) for i in tokenizer.encode(SENTENCE)],
        "words": {word: tokenizer.encode(word) for word in WORDS},
    }
    print(write_json(data_folder() / "gpt2_tokenizer_facts.json", facts))


if __name__ == "__main__":
    main()
