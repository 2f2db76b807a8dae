"""Tokens, chosen again and again: the loop below `helpers.generation`, for one prompt or for a batch of them.

From a model to text: which token comes next, chosen again and again.

Greedy takes the most probable token. Sampling draws one, from a distribution that filters may have reshaped
(`helpers.sampling`). Keys and values of what was read are kept (`helpers.kv_cache`). Beam search is
`helpers.sampling`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from helpers.errors import CourseError
from helpers.files import data_folder
from helpers.kv_cache import KVCache, WithoutCache
from helpers.model import GPT
from helpers.sampling import check_options, check_prompt, choose, penalize_said


def generate(
    model,
    ids: Sequence[int],
    max_new_tokens: int = 200,
    *,
    next_logits: Callable[[list[int]], Tensor] | None = None,
    seed: int | None = None,
    **options,
) -> Iterator[int]:
    """Continue `ids`, one token at a time.

    Args:
        model: a `GPT`. It is put in evaluation mode while it works and back afterwards.
        ids: what the model has read so far; at least one id, at most `context_length`.
        max_new_tokens: where to stop at the latest. When the context is full it slides: the oldest token
            falls out, and what is left is read anew.
        next_logits: from the ids so far to the logits `(vocab_size,)` of the next; the model with its
            `KVCache` if None.
        seed: the same seed gives the same tokens; None draws anew each time.
        options: `temperature` (0 or more; 0 is greedy), `greedy`; `top_k`, `top_p`, `min_p`,
            `repetition_penalty` (None leaves the distribution alone: see `helpers.sampling`); `eos_token_id`
            (generation stops here; this id itself is not given out).

    Yields:
        One id after the other, as soon as it is known.

    Raises:
        CourseError: at once, not at the first token, if anything is out of range.
    """
    steps = _decode(model, [ids], max_new_tokens, [seed], next_logits, **options)
    return (token for step in steps for _, token in step)


def generate_batch(
    model, prompts: Sequence[Sequence[int]], max_new_tokens: int = 200, *, seed: int | None = None, **options
) -> list[list[int]]:
    """Continue several prompts at once, which may be of unequal length: the new ids of each.

    Args:
        seed: row i is drawn with the numbers of a generator of its own, seeded with seed + i, and so is what
            `generate(model, prompts[i], seed=seed + i)` gives, whatever else is in the batch (unless two tokens
            are so nearly tied that the order in which a sum is taken decides).
        options: those of `generate`.
    """
    seeds = [None if seed is None else seed + number for number in range(len(prompts))]
    new: list[list[int]] = [[] for _ in prompts]
    for step in _decode(model, prompts, max_new_tokens, seeds, None, **options):
        for number, token in step:
            new[number].append(token)
    return new


def _decode(
    model,
    prompts,
    max_new_tokens,
    seeds,
    next_logits,
    *,
    temperature=1.0,
    top_k=None,
    top_p=None,
    min_p=None,
    repetition_penalty=None,
    greedy=False,
    eos_token_id=None,
) -> Iterator[list[tuple[int, int]]]:
    """Check everything, then give a list of (row, token) for each step."""
    rows = [[int(token) for token in ids] for ids in prompts]
    filters = dict(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    check_options(max_new_tokens=max_new_tokens, repetition_penalty=repetition_penalty, **filters)
    for ids in rows:
        check_prompt(model, ids)
    sampling = None if greedy or temperature == 0 else Uniforms(seeds)
    options = filters | {"greedy": greedy}
    return _steps(model, rows, max_new_tokens, sampling, next_logits, repetition_penalty, eos_token_id, options)


class Uniforms:
    """A number from 0 to below 1 for each row and step. Each row has a generator, and so its own sequence.

    Asking a generator costs more than a small model's token, so they are asked for many numbers at a time.
    """

    MANY = 256

    def __init__(self, seeds: Sequence[int | None]):
        self.generators = [torch.Generator() for _ in seeds]
        for generator, seed in zip(self.generators, seeds, strict=True):
            if seed is not None and not -(2**63) <= seed < 2**63:
                raise CourseError(f"a seed is a whole number of at most 63 bits, got {seed}")
            generator.seed() if seed is None else generator.manual_seed(seed)
        self.used = self.MANY

    def next(self) -> Tensor:
        """The next number of each row, (batch,)."""
        if self.used == self.MANY:
            drawn = [torch.rand(self.MANY, generator=each, dtype=torch.float64) for each in self.generators]
            self.numbers = torch.stack(drawn, dim=1).unbind()
            self.used = 0
        self.used += 1
        return self.numbers[self.used - 1]

    def keep(self, places: list[int]) -> None:
        """Go on with these rows."""
        self.generators = [self.generators[place] for place in places]
        self.numbers = [each[places] for each in self.numbers]


def _steps(model, rows, max_new_tokens, sampling, next_logits, penalty, eos_token_id, options):
    cache = KVCache(model) if isinstance(model, GPT) else WithoutCache(model)
    alive = list(range(len(rows)))
    tokens: list[int] = []  # the newest of each row that is alive
    said = None  # with a penalty: which tokens each such row has had, (batch, vocab_size)
    for count in range(max_new_tokens if rows else 0):
        was_training = model.training  # changing the mode walks through the whole model: only where needed
        if was_training:
            model.eval()
        try:
            with torch.inference_mode():
                if next_logits is not None:
                    logits = next_logits(rows[0])[None]
                elif count == 0:
                    logits = cache.start(rows)
                else:
                    logits = cache.append(tokens)
                if penalty is not None:
                    said = _said(logits, rows) if said is None else _also(said, tokens)
                    logits = penalize_said(logits, said, penalty)
                uniform = None if sampling is None else sampling.next()
                tokens = choose(logits, uniform=uniform, **options).tolist()  # all rows at once
        finally:
            if was_training:
                model.train()
        if eos_token_id in tokens:  # stories that are finished leave the batch
            told = [place for place, token in enumerate(tokens) if token != eos_token_id]
            if not told:
                return
            if next_logits is None:
                cache.reorder(told)
            if sampling is not None:
                sampling.keep(told)
            said = None if said is None else said[told]
            alive, tokens = [alive[place] for place in told], [tokens[place] for place in told]
        for number, token in zip(alive, tokens, strict=True):
            rows[number].append(token)
        yield list(zip(alive, tokens, strict=True))


def _said(logits: Tensor, rows: list[list[int]]) -> Tensor:
    said = torch.zeros_like(logits, dtype=torch.bool)
    for line, row in zip(said, rows, strict=True):
        line[row] = True
    return said


def _also(said: Tensor, tokens: list[int]) -> Tensor:
    said[range(len(tokens)), tokens] = True
    return said


def last_logits(model, ids: Sequence[int]) -> Tensor:
    """The logits `(vocab_size,)` of what follows `ids`, of which the last `context_length` are read."""
    row = torch.tensor([ids[-model.config.context_length :]], device=next(model.parameters()).device)
    return model(row)[0, -1]


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
    return [tokenizer.eos_token_id, *tokenizer.encode(prompt)]


def generate_text(model, tokenizer, prompt: str = PROMPT, max_new_tokens: int = WHOLE_STORY, **options) -> str:
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
    options.setdefault("eos_token_id", tokenizer.eos_token_id)
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
        """From a folder that `helpers.checkpoint.save_model` wrote; the shipped storyteller if none is
        named.
        """
        from helpers.checkpoint import load_model

        return cls(*load_model(SHIPPED if path is None else path))

    def tell(self, prompt: str = PROMPT, max_new_tokens: int = WHOLE_STORY, **options) -> str:
        """A story that begins with `prompt`; `options` are those of `stream` and `generate`.

        >>> Storyteller.load().tell("Once upon a time", max_length=100)  # doctest: +SKIP
        """
        return generate_text(self.model, self.tokenizer, prompt, max_new_tokens, **options)

    def stream(self, prompt: str = PROMPT, max_new_tokens: int = WHOLE_STORY, **options) -> Iterator[str]:
        """What follows the prompt, piece by piece."""
        return stream(self.model, self.tokenizer, prompt, max_new_tokens, **options)
