"""Tokens, chosen again and again: the loop below `helpers.generation`, for one prompt or for a batch of them."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from helpers.errors import CourseError
from helpers.filters import choose, penalise_said
from helpers.kv_cache import KVCache, ReadingAnew
from helpers.model import GPT


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
            `repetition_penalty` (None leaves the distribution alone: see `helpers.filters`); `end_id`
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
    end_id=None,
) -> Iterator[list[tuple[int, int]]]:
    """Check everything, then give a list of (row, token) for each step."""
    rows = [[int(token) for token in ids] for ids in prompts]
    filters = dict(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    check_options(max_new_tokens=max_new_tokens, repetition_penalty=repetition_penalty, **filters)
    for ids in rows:
        check_prompt(model, ids)
    sampling = None if greedy or temperature == 0 else Uniforms(seeds)
    options = filters | {"greedy": greedy}
    return _steps(model, rows, max_new_tokens, sampling, next_logits, repetition_penalty, end_id, options)


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


def _steps(model, rows, max_new_tokens, sampling, next_logits, penalty, end_id, options):
    cache = KVCache(model) if isinstance(model, GPT) else ReadingAnew(model)
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
                    logits = penalise_said(logits, said, penalty)
                uniform = None if sampling is None else sampling.next()
                tokens = choose(logits, uniform=uniform, **options).tolist()  # all rows at once
        finally:
            if was_training:
                model.train()
        if end_id in tokens:  # stories that are finished leave the batch
            told = [place for place, token in enumerate(tokens) if token != end_id]
            if not told:
                return
            if next_logits is None:
                cache.keep(told)
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


def check_prompt(model, ids: Sequence[int]) -> None:
    """Refuse what the model cannot read.

    Raises:
        CourseError: no ids, more than fit the context, or one outside the vocabulary.
    """
    longest, vocab_size = model.config.context_length, model.config.vocab_size
    if not ids:
        raise CourseError("the prompt is empty: give the model at least one word to continue")
    if len(ids) > longest:
        raise CourseError(f"the prompt has {len(ids)} tokens and this model reads at most {longest}: shorten it")
    if min(ids) < 0 or max(ids) >= vocab_size:
        wrong = next(token for token in ids if not 0 <= token < vocab_size)
        raise CourseError(
            f"id {wrong} is outside the model's vocabulary of {vocab_size}: was the prompt encoded by its tokenizer?"
        )


def last_logits(model, ids: Sequence[int]) -> Tensor:
    """The logits `(vocab_size,)` of what follows `ids`, of which the last `context_length` are read."""
    device = model.head_weight.device
    row = torch.tensor([ids[-model.config.context_length :]], device=device)
    return model.hidden(row)[0, -1] @ model.head_weight.T  # the head for the last position alone


def check_options(
    *,
    max_new_tokens: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
) -> None:
    """Refuse what makes no sense, before anything is computed.

    Raises:
        CourseError: naming the option and its range.
    """
    if max_new_tokens < 1:
        raise CourseError(f"max-new-tokens must be at least 1, got {max_new_tokens}")
    if not 0 <= temperature < float("inf"):
        raise CourseError(f"temperature must be 0 (greedy) or more, got {temperature}")
    if top_k is not None and top_k < 1:
        raise CourseError(f"top-k must keep at least 1 token, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise CourseError(f"top-p is a probability above 0 and at most 1, got {top_p}")
    if min_p is not None and not 0 <= min_p <= 1:
        raise CourseError(f"min-p is a share of the best token's probability, from 0 to 1, got {min_p}")
    if repetition_penalty is not None and not 0 < repetition_penalty < float("inf"):
        raise CourseError(f"the repetition penalty must be above 0 (1 changes nothing), got {repetition_penalty}")
