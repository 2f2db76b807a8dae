"""From a model to text: which token comes next, chosen again and again.

Greedy takes the most probable token. Sampling draws one, from a distribution that three filters may have
reshaped: temperature sharpens or flattens it, top-k keeps the k most probable tokens (Fan et al. 2018,
section 5.4), top-p the fewest that together have probability p (nucleus sampling: Holtzman et al. 2020,
section 3.1). Each filter is a function from logits to logits.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from helpers.errors import CourseError
from helpers.files import data_folder

SHIPPED = data_folder() / "storyteller"
PROMPT = "Once upon a time"


# ---------------------------------------------------------------------- filters


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide the logits: below 1 the likely tokens become likelier, above 1 rare tokens get a chance.

    Args:
        logits: (..., vocab_size).
        temperature: above 0; `generate` treats 0 as greedy.
    """
    if not temperature > 0:
        raise CourseError(f"a temperature must be above 0 to divide by it, got {temperature}")
    return logits / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Set all but the k largest logits to minus infinity; those equal to the k-th stay. (..., vocab_size)"""
    if k < 1:
        raise CourseError(f"top-k must keep at least 1 token, got {k}")
    smallest_kept = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < smallest_kept, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the most probable tokens until their probabilities reach p, the others become minus infinity.

    The token that crosses p is kept, so at least one always is. Shape (..., vocab_size).
    """
    if not 0 < p <= 1:
        raise CourseError(f"top-p is a probability above 0 and at most 1, got {p}")
    if p == 1:
        return logits
    ordered, token = logits.sort(dim=-1, descending=True)
    probability = ordered.softmax(dim=-1)
    mass_before = probability.cumsum(dim=-1) - probability
    dropped = mass_before >= p
    dropped[..., 0] = False
    return logits.masked_fill(dropped.scatter(-1, token, dropped), -torch.inf)


def choose(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The next token of each row: logits `(batch, vocab_size)` to ids `(batch,)`.

    Temperature comes first, then top-k, then top-p of what is left.
    """
    if greedy or temperature == 0:
        return logits.argmax(dim=-1)
    logits = apply_temperature(logits.float(), temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).squeeze(-1)


# ---------------------------------------------------------------------- tokens


def generate(
    model,
    ids: Sequence[int],
    max_new_tokens: int = 200,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    seed: int | None = None,
    end_id: int | None = None,
    next_logits: Callable[[list[int]], Tensor] | None = None,
) -> Iterator[int]:
    """Continue `ids`, one token at a time.

    Args:
        model: a `GPT`. It is put in evaluation mode while it works and back afterwards.
        ids: what the model has read so far; at least one id, at most `context_length`.
        max_new_tokens: where to stop at the latest. When the context is full it slides: the oldest token
            falls out.
        temperature: 0 or more; 0 is greedy.
        top_k, top_p: keep the k likeliest tokens, or the likeliest with probability p together; None keeps
            all.
        greedy: always take the most probable token.
        seed: the same seed gives the same tokens; None draws anew each time.
        end_id: generation stops here; this id itself is not given out.
        next_logits: from the ids so far to the logits `(vocab_size,)` of the next; `model` read from scratch
            if None.

    Yields:
        One id after the other, as soon as it is known.

    Raises:
        CourseError: at once, not at the first token, if anything is out of range.
    """
    ids = [int(token) for token in ids]
    check_options(max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p)
    longest, vocab_size = model.config.context_length, model.config.vocab_size
    if not ids:
        raise CourseError("the prompt is empty: give the model at least one word to continue")
    if len(ids) > longest:
        raise CourseError(
            f"the prompt has {len(ids)} tokens and this model reads at most {longest}: shorten it"
        )
    if min(ids) < 0 or max(ids) >= vocab_size:
        wrong = next(token for token in ids if not 0 <= token < vocab_size)
        raise CourseError(
            f"id {wrong} is outside the model's vocabulary of {vocab_size}: "
            "was the prompt encoded by its tokenizer?"
        )
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    read = next_logits or (lambda ids: last_logits(model, ids))
    options = dict(temperature=temperature, top_k=top_k, top_p=top_p, greedy=greedy, generator=generator)
    return _generate(model, ids, max_new_tokens, end_id, read, options)


def _generate(model, ids, max_new_tokens, end_id, read, options) -> Iterator[int]:
    for _ in range(max_new_tokens):
        was_training = model.training  # changing the mode walks through the whole model: only where needed
        if was_training:
            model.eval()
        try:
            with torch.inference_mode():
                token = int(choose(read(ids)[None].cpu(), **options))
        finally:
            if was_training:
                model.train()
        if token == end_id:
            return
        ids.append(token)
        yield token


def last_logits(model, ids: Sequence[int]) -> Tensor:
    """The logits `(vocab_size,)` of what follows `ids`, of which the last `context_length` are read."""
    device = model.head_weight.device
    row = torch.tensor([ids[-model.config.context_length :]], device=device)
    return model.hidden(row)[0, -1] @ model.head_weight.T  # the head for the last position alone


def check_options(*, max_new_tokens: int, temperature: float, top_k: int | None, top_p: float | None) -> None:
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


# ---------------------------------------------------------------------- text


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


def encode_prompt(tokenizer, prompt: str) -> list[int]:
    """A prompt as the model knows a story's beginning: the end of the story before, then the prompt's tokens.

    Raises:
        CourseError: the prompt is empty.
    """
    if not prompt.strip():
        raise CourseError('the prompt is empty: give a beginning such as "Once upon a time"')
    return [tokenizer.end_id, *tokenizer.encode(prompt)]


def tell(model, tokenizer, prompt: str = PROMPT, max_new_tokens: int = 200, **options) -> str:
    """The prompt and its continuation as text. `options` are those of `generate`."""
    return prompt + "".join(stream(model, tokenizer, prompt, max_new_tokens, **options))


def stream(model, tokenizer, prompt: str = PROMPT, max_new_tokens: int = 200, **options) -> Iterator[str]:
    """The continuation of a prompt in pieces of text, each as soon as it is known."""
    if tokenizer.vocab_size > model.config.vocab_size:
        raise CourseError(
            f"the tokenizer has {tokenizer.vocab_size} entries, the model knows {model.config.vocab_size}: "
            "they do not belong together"
        )
    ids = encode_prompt(tokenizer, prompt)
    options.setdefault("end_id", tokenizer.end_id)
    return stream_text(tokenizer, generate(model, ids, max_new_tokens, **options))


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

    def tell(self, prompt: str = PROMPT, max_new_tokens: int = 200, **options) -> str:
        """A story that begins with `prompt`; `options` are those of `generate`."""
        return tell(self.model, self.tokenizer, prompt, max_new_tokens, **options)

    def stream(self, prompt: str = PROMPT, max_new_tokens: int = 200, **options) -> Iterator[str]:
        """What follows the prompt, piece by piece."""
        return stream(self.model, self.tokenizer, prompt, max_new_tokens, **options)
