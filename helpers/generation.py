"""From a model to text: which token comes next, chosen again and again.

Greedy takes the most probable token. Sampling draws one, from a distribution that filters may have reshaped
(`helpers.filters`). Keys and values of what was read are kept (`helpers.kv_cache`). Beam search is
`helpers.beam`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from helpers.decoding import check_options, check_prompt, generate, generate_batch, last_logits
from helpers.errors import CourseError
from helpers.files import data_folder
from helpers.filters import apply_temperature, choose, keep_min_p, keep_top_k, keep_top_p, penalise_repetition

__all__ = [
    "PROMPT",
    "SHIPPED",
    "Storyteller",
    "WHOLE_STORY",
    "apply_temperature",
    "check_options",
    "check_prompt",
    "choose",
    "encode_prompt",
    "generate",
    "generate_batch",
    "keep_min_p",
    "keep_top_k",
    "keep_top_p",
    "last_logits",
    "penalise_repetition",
    "stream",
    "stream_text",
    "tell",
    "until",
]

SHIPPED = data_folder() / "storyteller"
PROMPT = "Once upon a time"
WHOLE_STORY = 300  # tokens; the longest of the bundled validation stories has 258, so a story ends by itself


def stream_text(tokenizer, ids: Iterable[int]) -> Iterator[str]:
    """Decode ids as they come. A character whose bytes are spread over several tokens waits until it is
    whole.
    """
    waiting: list[int] = []
    for token in ids:
        waiting.append(token)
        text = tokenizer.decode(waiting)
        # U+FFFD at the end is what an unfinished character looks like; no character has more than four bytes.
        if text.endswith("\ufffd") and len(waiting) < 4:
            continue
        yield text
        waiting = []
    if waiting:
        yield tokenizer.decode(waiting)


def until(pieces: Iterable[str], stop: Sequence[str]) -> Iterator[str]:
    """The text up to the first place where one of `stop` begins. Text that may be its beginning waits."""
    if isinstance(stop, str) or not all(stop):
        raise CourseError("stop is a list of strings, none of them empty")
    return _until(pieces, list(stop))


def _until(pieces, stop):
    waiting = ""
    for piece in pieces:
        waiting += piece
        # The one that is complete first ends the text; of those that are complete together, the longest.
        found = [(waiting.find(each) + len(each), waiting.find(each)) for each in stop if each in waiting]
        if found:
            yield waiting[: min(found)[1]]
            return
        longest = min(len(waiting), max(map(len, stop), default=1) - 1)
        held = next((n for n in range(longest, 0, -1) if any(s.startswith(waiting[-n:]) for s in stop)), 0)
        if len(waiting) > held:
            yield waiting[: len(waiting) - held]
            waiting = waiting[len(waiting) - held :]
    if waiting:
        yield waiting


def encode_prompt(tokenizer, prompt: str) -> list[int]:
    """A prompt as the model knows a story's beginning: the end of the story before, then the prompt's tokens.

    Raises:
        CourseError: the prompt is empty, or no text.
    """
    if not isinstance(prompt, str):
        raise CourseError(f"a prompt is a text, not a {type(prompt).__name__}")
    if not prompt.strip():
        raise CourseError('the prompt is empty: give a beginning such as "Once upon a time"')
    if any("\ud800" <= letter <= "\udfff" for letter in prompt):  # what Python makes of bytes that are no UTF-8
        raise CourseError("the prompt holds half a character (a lone surrogate): was it read as UTF-8?")
    return [tokenizer.end_id, *tokenizer.encode(prompt)]


def tell(model, tokenizer, prompt: str = PROMPT, max_new_tokens: int = WHOLE_STORY, **options) -> str:
    """The prompt and its continuation as text. `options` are those of `generate`."""
    return prompt + "".join(stream(model, tokenizer, prompt, max_new_tokens, **options))


def stream(
    model,
    tokenizer,
    prompt: str = PROMPT,
    max_new_tokens: int = WHOLE_STORY,
    *,
    max_length: int | None = None,
    stop: Sequence[str] = (),
    **options,
) -> Iterator[str]:
    """The continuation of a prompt in pieces of text, each as soon as it is known.

    Args:
        max_length: instead of `max_new_tokens`: how many tokens prompt and continuation have together at most.
        stop: the text ends before the first of these strings.
        options: those of `generate`.
    """
    if tokenizer.vocab_size > model.config.vocab_size:
        raise CourseError(
            f"the tokenizer has {tokenizer.vocab_size} entries, the model knows {model.config.vocab_size}: "
            "they do not belong together"
        )
    ids = encode_prompt(tokenizer, prompt)
    if max_length is not None:
        max_new_tokens = max_length - len(ids) + 1  # the end of the story before is not part of this one
        if max_new_tokens < 1:
            raise CourseError(f"the prompt has {len(ids) - 1} tokens, so max_length must be more than {max_length}")
    options.setdefault("end_id", tokenizer.end_id)
    pieces = stream_text(tokenizer, generate(model, ids, max_new_tokens, **options))
    return until(pieces, stop) if stop else pieces


class Storyteller:
    """A trained model with its tokenizer.

    >>> Storyteller.load().tell("Once upon a time", seed=1)  # doctest: +SKIP
    """

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer

    @classmethod
    def load(cls, path: str | Path | None = None) -> "Storyteller":
        """From a folder that `helpers.checkpoints.save_model` wrote; the shipped storyteller if none is
        named.
        """
        from helpers.checkpoints import load_model

        return cls(*load_model(SHIPPED if path is None else path))

    def tell(self, prompt: str = PROMPT, max_new_tokens: int = WHOLE_STORY, **options) -> str:
        """A story that begins with `prompt`; `options` are those of `stream` and `generate`.

        >>> Storyteller.load().tell("Once upon a time", max_length=100)  # doctest: +SKIP
        """
        return tell(self.model, self.tokenizer, prompt, max_new_tokens, **options)

    def stream(self, prompt: str = PROMPT, max_new_tokens: int = WHOLE_STORY, **options) -> Iterator[str]:
        """What follows the prompt, piece by piece."""
        return stream(self.model, self.tokenizer, prompt, max_new_tokens, **options)
