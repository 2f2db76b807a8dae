"""The page that stands beside a model: what it is, what it learned from, how good it is, and what it cannot do.

After Mitchell et al. 2019, "Model Cards for Model Reporting", in the form in which the Hugging Face Hub shows it:
a README.md that opens with a block of metadata. What is not known is said to be unknown, never made up.
"""

import json
import math
from pathlib import Path

from course.export import GPT2, LLAMA, QWEN3, kind_of
from helpers.bpe import END
from helpers.evaluation import Metrics
from helpers.files import read_json
from helpers.model import GPT
from helpers.tokenizer import Tokenizer

# What each kind of model is called, and its tag on the Hub.
KINDS = {GPT2: ("GPT-2", "gpt2"), LLAMA: ("small Llama", "llama"), QWEN3: ("small Qwen3", "qwen3")}
DATA = {
    "bundled": "English stories for small children, sampled from a probabilistic grammar that was written for the "
    "course. They are synthetic: nobody in them is real, and nothing is taken from another text.",
    "tinystories": "[TinyStories](https://huggingface.co/datasets/roneneldan/TinyStories) (Eldan and Li 2023): English "
    "stories for small children, synthetic, written by GPT-3.5 and GPT-4.",
}
LIMITS = "Not examined. The model was made to learn how models are made: do not rely on what it writes."
STORY_LIMITS = (
    "It knows the small, orderly world of short English children's stories and nothing else. What it tells is made "
    "up; within a story it may mix up who is who and what belongs to whom. It was made to learn how language models "
    "work and is not meant for any other use: nobody has examined what it says to children, or to anyone."
)


def model_card(
    model: GPT,
    tokenizer: Tokenizer,
    *,
    title: str | None = None,
    recipe: str | None = None,
    data: str | None = None,
    scores: dict[str, float | str] | None = None,
    limits: str | None = None,
    license: str | None = None,
    base_model: str | None = None,
    language: str = "en",
) -> str:
    """The text of a README.md.

    Args:
        title: the heading; None: what kind of model it is.
        recipe: how the model was trained, in Markdown.
        data: what it was trained on, in Markdown.
        scores: what was measured, each with its value: `{"bits per byte, validation stories": 0.25}`.
        limits: what it cannot do, and what it is not for.
        license: an identifier of the Hub, such as "mit"; without one nobody but you may use the model.
        base_model: whose weights training began with: "owner/name" on the Hub.
        language: of the texts, by its code ("en").
    """
    config, kind = model.config, kind_of(model.config)
    metadata = {
        "language": language,
        "license": license,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": base_model,
        "tags": [KINDS[kind][1]],
    }
    # Every JSON value is YAML as well, and with its quotes nothing is mistaken ("no" is Norwegian, not false).
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in metadata.items() if value), "---", ""]
    lines += [
        f"# {_one_line(title or f'A {KINDS[kind][0]} from the course')}",
        "",
        f"A {KINDS[kind][0]} of {model.parameter_count():,} parameters: {config.n_layer} layers, {config.n_head} "
        f"heads, width {config.d_model}, a context of {config.context_length:,} tokens, a vocabulary of "
        f"{config.vocab_size:,}.",
    ]
    began = f"Training began with the weights of `{base_model}`." if base_model else ""
    how = "\n\n".join(part for part in (began, recipe) if part)
    for heading, text in {"Training": how, "Data": data, "Scores": _table(scores), "Limits": limits or LIMITS}.items():
        lines += ["", f"## {heading}", "", (text or "Not recorded.").strip()]
    lines += ["", "## Use", "", _usage(tokenizer, config.context_length)]
    return "\n".join(lines) + "\n"


def facts_of_run(folder: str | Path) -> dict:
    """What the config.json of a model's folder tells of its training, as arguments of `model_card`.

    Numbers are those that the run wrote down itself. A folder without a record gives no facts.
    """
    content = read_json(Path(folder) / "config.json", nan=True)
    record = content.get("training") if isinstance(content, dict) else None
    recipe = record.get("recipe") if isinstance(record, dict) else None
    if not isinstance(recipe, dict):
        return {}
    settings = _flat(record.get("settings") or {})
    what = "decoder" if "n_kv_head" in (content.get("model") or {}) else "GPT-2"
    facts = [
        ("recipe", f"`{recipe.get('name')}`"),
        ("steps", record.get("steps")),
        ("tokens read", record.get("tokens")),
    ]
    facts += [("seconds", record.get("seconds")), ("optimizer", settings.get("kind"))]
    facts += [("learning rate", settings.get("lr")), ("schedule", settings.get("shape"))]
    for key in ("batch_size", "accumulation", "weight_decay", "precision", "seed"):
        facts.append((key.replace("_", " "), settings.get(key)))
    lines = [f"- {name}: {_number(value)}" for name, value in facts if value is not None]
    source = str(recipe.get("stories"))
    data = DATA.get(source, "Texts of the trainer's own, which nobody has described here.")
    if recipe.get("limit"):
        data += f" The first {recipe['limit']:,} of them."
    result = {
        "title": f"A small {what}, trained by the recipe {recipe.get('name')}",
        "recipe": "\n".join(lines),
        "data": data,
        "limits": STORY_LIMITS if source in DATA else None,
    }
    loss = record.get("val_loss")
    if isinstance(loss, float) and math.isfinite(loss):
        number = settings.get("eval_stories")
        which = f"the run's own {number} validation stories" if number else "the run's own validation stories"
        result["scores"] = {f"cross-entropy loss on {which}, nats per token": loss}
    return result


def _flat(settings: dict) -> dict:
    """The values of all groups of settings together; their names differ."""
    groups = [group for group in settings.values() if isinstance(group, dict)]
    return settings | {key: value for group in groups for key, value in group.items()}


def scores_of(metrics: Metrics, what: str = "validation stories") -> dict[str, float | str]:
    """A model's metrics as the rows of its card."""
    rows = {
        f"bits per byte, {metrics.stories:,} {what}": metrics.bits_per_byte,
        "cross-entropy loss on them, nats per token": metrics.nats_per_token,
        "perplexity, by token of its tokenizer": metrics.perplexity,
        "most probable token was the true one": f"{metrics.accuracy:.1%}",
    }
    if metrics.floor_bits_per_byte:
        rows["bits per byte of the grammar that made them (source entropy, the floor)"] = metrics.floor_bits_per_byte
    return rows


def _table(scores: dict[str, float | str] | None) -> str:
    if not scores:
        return "Nothing was measured."
    rows = [f"| {_cell(name)} | {_cell(_number(value))} |" for name, value in scores.items()]
    return "\n".join(["| measured | value |", "|---|---|", *rows])


def _number(value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


def _usage(tokenizer: Tokenizer, context_length: int) -> str:
    return f"""\
```python
from transformers import pipeline

tell = pipeline("text-generation", "path or name of this model")
print(tell("{END}Once upon a time", do_sample=True, temperature=0.8, max_new_tokens=100)[0]["generated_text"])
```

The course puts the token `{END}` (id {tokenizer.eos_token_id}) between texts: a text begins behind it, and so should a
prompt. Prompt and answer together must fit in the context of {context_length:,} tokens. Batches of prompts are padded
on the left.

A text may hold the letters `{END}`. `AutoTokenizer` reads them as the one end token, wherever they stand; with
`split_special_tokens=True` it reads them as letters. The course's `encode` reads letters unless it is called with
`allowed_special=True`. So pass on a stranger's text with `split_special_tokens=True`, or it can end the text where it
likes."""
