"""Built in notebook 09: from a prompt to a story, one token after the other (autoregressive generation).

`generate` and `generate_batch` work on ids: the model reads, a token is sampled (`helpers.sampling`), the model reads
that too; keys and values of what was read are kept (`helpers.kv_cache`). `stream` and `Storyteller` work on text. Used
by notebooks 00, 07, 09 and 12, and by everything in `course` that tells stories.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

import helpers
from helpers.errors import CourseError
from helpers.evaluation import evaluating
from helpers.files import data_folder
from helpers.kv_cache import KVCache, WithoutCache
from helpers.sampling import GREEDY_BELOW, check_options, check_prompts, penalize_repetition, sample, tidy_prompt

SHIPPED = data_folder() / "storyteller"
PROMPT = "Once upon a time"
WHOLE_STORY = 300  # tokens; the longest of the bundled validation stories has 258, so a story ends by itself


def generate(
    model, ids: Sequence[int], max_new_tokens: int = 200, *, seed: int | None = None, engine=None, **options
) -> Iterator[int]:
    """Continue `ids`, one token at a time.

    Args:
        model: a `GPT`, read with a `KVCache`, or any model that gives logits. It is in evaluation mode meanwhile.
        ids: the text so far, at least one id. Of more than `context_length` the last are read, and that is said.
        max_new_tokens: where to stop at the latest. When the context is full it slides: the oldest token falls out.
        seed: the same seed gives the same tokens; None samples anew each time.
        engine: what generates in the model's stead; see `Storyteller.load`.
        options: `temperature` (0 or more; 0 is greedy), `greedy`; `top_k`, `top_p`, `min_p`,
            `repetition_penalty` (None leaves the distribution alone: see `helpers.sampling`); `eos_token_id`
            (generation stops here; this id itself is not given out).

    Yields:
        One id after the other, as soon as it is known.

    Raises:
        CourseError: at once, not at the first token, if anything is out of range.
    """
    prompts, uniforms, options = _prepare(model, [ids], max_new_tokens, [seed], **options)
    if engine is not None:
        return engine.generate(prompts[0], max_new_tokens, seed=seed, **options)
    steps = _steps(model, prompts, max_new_tokens, uniforms, **options)
    return (token for step in steps for _, token in step)


def generate_batch(
    model,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int = 200,
    *,
    seed: int | None = None,
    engine=None,
    **options,
) -> list[list[int]]:
    """Continue several prompts at once, which may be of unequal length: the new ids of each.

    Args:
        seed: sequence i is sampled with a generator of its own, seeded with seed + i, and so is what
            `generate(model, prompts[i], seed=seed + i)` gives, whatever else is in the batch (unless two tokens
            are so nearly tied that the order in which a sum is taken decides).
        engine, options: those of `generate`.
    """
    seeds = [None if seed is None else seed + number for number in range(len(prompts))]
    prompts, uniforms, options = _prepare(model, prompts, max_new_tokens, seeds, **options)
    if engine is not None:
        return engine.generate_batch(prompts, max_new_tokens, seed=seed, **options)
    new: list[list[int]] = [[] for _ in prompts]
    for step in _steps(model, prompts, max_new_tokens, uniforms, **options):
        for number, token in step:
            new[number].append(token)
    return new


def _prepare(
    model,
    prompts,
    max_new_tokens,
    seeds,
    *,
    greedy=False,
    temperature=1.0,
    top_k=None,
    top_p=None,
    min_p=None,
    repetition_penalty=None,
    eos_token_id=None,
):
    """Check everything: the prompts as lists, the uniform numbers that decide (None: greedy), all options."""
    options = dict(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    check_options(max_new_tokens=max_new_tokens, repetition_penalty=repetition_penalty, **options)
    prompts = check_prompts(model, prompts)
    uniforms = None if greedy or temperature < GREEDY_BELOW else Uniforms(seeds)
    options |= {"repetition_penalty": repetition_penalty, "eos_token_id": eos_token_id}
    return prompts, uniforms, options | {"greedy": uniforms is None}


def _steps(model, sequences, max_new_tokens, uniforms, *, repetition_penalty, eos_token_id, greedy, **options):
    """Generate one token for each sequence that is not finished, again and again: lists of (number, token)."""
    cache = KVCache(model) if hasattr(model, "blocks") else WithoutCache(model)
    live, tokens = list(range(len(sequences))), []  # the numbers of those not finished, and the newest token of each
    for count in range(max_new_tokens if sequences else 0):
        with evaluating(model):
            logits = cache.append(tokens) if count else cache.start(sequences)  # (live, V)
            if repetition_penalty is not None:
                said = _rectangle([sequences[number] for number in live], logits.device)
                logits = penalize_repetition(logits, said, repetition_penalty)
            tokens = sample(logits, None if greedy else uniforms.next(), **options).tolist()
        if eos_token_id in tokens:  # finished sequences leave the batch
            left = [place for place, token in enumerate(tokens) if token != eos_token_id]
            if not left:
                return
            cache.reorder(left)
            if not greedy:
                uniforms.reorder(left)
            live, tokens = [live[place] for place in left], [tokens[place] for place in left]
        for number, token in zip(live, tokens, strict=True):
            sequences[number].append(token)
        yield list(zip(live, tokens, strict=True))


def _rectangle(sequences: list[list[int]], device) -> Tensor:
    """Sequences as one tensor, the shorter ones filled up with a token that they have."""
    longest = max(map(len, sequences))
    return torch.tensor([ids + ids[-1:] * (longest - len(ids)) for ids in sequences], device=device)


class Uniforms:
    """A number from 0 to below 1 for each sequence and step, each sequence with a generator of its own.

    Asking a generator takes longer than a small model's token, so it is asked for many numbers at a time.
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
        """The next number of each sequence, (B,)."""
        if self.used == self.MANY:
            many = [torch.rand(self.MANY, generator=each, dtype=torch.float64) for each in self.generators]
            self.numbers, self.used = torch.stack(many, dim=1).unbind(), 0
        self.used += 1
        return self.numbers[self.used - 1]

    def reorder(self, numbers: list[int]) -> None:
        """Go on with these sequences."""
        self.generators = [self.generators[number] for number in numbers]
        self.numbers = [each[numbers] for each in self.numbers]


def last_logits(model, ids: Sequence[int]) -> Tensor:
    """The logits (V,) of what follows `ids`, of which the last `context_length` are read."""
    ids = torch.tensor([ids[-model.config.context_length :]], device=next(model.parameters()).device)
    return model(ids)[0, -1]


def stream_text(tokenizer, ids: Iterable[int]) -> Iterator[str]:
    """Decode ids as they come; joined, the pieces are what `tokenizer.decode` gives for all ids.

    A token's bytes may end inside a character, which then waits for the rest.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token in ids:
        if piece := decoder.decode(tokenizer.decode_bytes([token])):
            yield piece
    if rest := decoder.decode(b"", final=True):
        yield rest


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
        sizes = f"the tokenizer has {tokenizer.vocab_size} entries, the model knows {model.config.vocab_size}"
        raise CourseError(f"{sizes}: they do not belong together")
    ids = encode_prompt(tokenizer, tidy_prompt(prompt))
    if max_length is not None:
        max_new_tokens = max_length - len(ids) + 1  # the end of the story before is not part of this one
        if max_new_tokens < 1:
            raise CourseError(f"the prompt has {len(ids) - 1} tokens, so max_length must be more than {max_length}")
    options = {"eos_token_id": tokenizer.eos_token_id} | options
    pieces = stream_text(tokenizer, generate(model, ids, max_new_tokens, **options))
    return until(pieces, stop) if stop else pieces


def generate_text(model, tokenizer, prompt: str = PROMPT, max_new_tokens: int = WHOLE_STORY, **options) -> str:
    """The prompt and its continuation as text. `options` are those of `stream` and `generate`."""
    prompt = tidy_prompt(prompt)
    return prompt + "".join(stream(model, tokenizer, prompt, max_new_tokens, **options))


class Storyteller:
    """A trained model with its tokenizer, and with an engine if there is one.

    >>> Storyteller.load().tell("Once upon a time", seed=1)  # doctest: +SKIP
    """

    def __init__(self, model, tokenizer, engine=None):
        self.model, self.tokenizer, self.engine = model, tokenizer, engine

    @classmethod
    def load(cls, path: str | Path | None = None, engine: str | None = None, **engine_options) -> "Storyteller":
        """From a folder that `helpers.checkpoint.save_model` wrote; the shipped storyteller if none is named.

        Args:
            engine: the name of what generates in the model's stead, such as "ctranslate2"; `import course` knows it.
            engine_options: what the engine takes, such as `int8=True`.
        """
        from helpers.checkpoint import load_model

        if engine is not None and engine not in helpers.ENGINES:
            known = ", ".join(helpers.ENGINES) or "none yet: `import course` brings one"
            raise CourseError(f"there is no engine {engine!r}; there are {known}")
        model, tokenizer = load_model(SHIPPED if path is None else path)
        return cls(model, tokenizer, helpers.ENGINES[engine](model, **engine_options) if engine else None)

    def tell(self, prompt: str = PROMPT, max_new_tokens: int = WHOLE_STORY, **options) -> str:
        """A story that begins with `prompt`; `options` are those of `stream` and `generate`.

        >>> Storyteller.load().tell("Once upon a time", max_length=100)  # doctest: +SKIP
        """
        return generate_text(self.model, self.tokenizer, prompt, max_new_tokens, engine=self.engine, **options)

    def stream(self, prompt: str = PROMPT, max_new_tokens: int = WHOLE_STORY, **options) -> Iterator[str]:
        """What follows the prompt, piece by piece."""
        return stream(self.model, self.tokenizer, prompt, max_new_tokens, engine=self.engine, **options)
