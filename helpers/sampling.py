"""From logits to a choice: filters that reshape a distribution, and the draw.

Temperature sharpens or flattens it; top-k keeps the k most probable tokens (Fan et al. 2018, section 5.4); top-p
the fewest that together have probability p (nucleus sampling: Holtzman et al. 2020, section 3.1); min-p those
that have at least a share of the best one's probability (Nguyen et al. 2024, section 3); the repetition penalty
makes what was already said less likely (Keskar et al. 2019, section 4.1). Each is a function from logits to logits.

Beam search: several stories are kept in view, and the likeliest as a whole wins (Sutskever et al. 2014, 3.2).

The rules are those of `transformers`, so that both find the same story: a finished story's score is the sum of its
log-probabilities divided by its length to the power `length_penalty`, and the search ends when the best open story,
scored at its present length, is no better than the worst of the finished ones.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from helpers.errors import CourseError
from helpers.kv_cache import KVCache


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide the logits: below 1 the likely tokens become likelier, above 1 rare tokens get a chance.

    Args:
        logits: (..., vocab_size).
        temperature: above 0; `generate` treats 0 as greedy.
    """
    if not temperature > 0:
        raise CourseError(f"a temperature must be above 0 to divide by it, got {temperature}")
    # The largest becomes 0: a difference is all that softmax sees, and no temperature makes it infinite.
    if temperature < 1e-3:
        return (logits - logits.amax(-1, keepdim=True)) / max(temperature, 1e-30)  # less would be 0 in float32
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


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Keep tokens with at least p times the probability of the most probable one. (..., vocab_size)"""
    if not 0 <= p <= 1:
        raise CourseError(f"min-p is a share of the best token's probability, from 0 to 1, got {p}")
    probability = logits.softmax(dim=-1)
    return logits.masked_fill(probability < p * probability.amax(dim=-1, keepdim=True), -torch.inf)


def penalize_repetition(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Make tokens that occur in `ids` less likely: positive logits are divided by `penalty`, negative multiplied.

    Args:
        logits: (batch, vocab_size).
        ids: what was said before, (batch, time).
        penalty: 1 changes nothing; above 1 discourages, below 1 encourages.
    """
    said = torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, ids, True)
    return penalize_said(logits, said, penalty)


def penalize_said(logits: Tensor, said: Tensor, penalty: float) -> Tensor:
    """The same where `said`, (batch, vocab_size), is true for the tokens that occurred."""
    if not 0 < penalty < float("inf"):
        raise CourseError(f"the repetition penalty must be above 0 (1 changes nothing), got {penalty}")
    return torch.where(said, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def draw(probability: Tensor, uniform: Tensor) -> Tensor:
    """One token for each row by inversion: the first whose cumulative probability exceeds a uniform number.

    The number decides alone, so what is drawn in a row does not depend on the rows beside it.

    Args:
        probability: (batch, vocab_size); the sums need not be exactly 1.
        uniform: numbers from 0 to below 1, (batch,).

    Returns:
        ids (batch,), never one of probability 0.

    Raises:
        CourseError: a probability is not a number.
    """
    reached = probability.cumsum(dim=-1)
    total = reached[:, -1:]
    if not total.isfinite().all():
        raise CourseError("the model's scores are not numbers: has its training diverged?")
    # Rounding must not lift the number to the total, which nothing exceeds.
    below = torch.nextafter(total, torch.zeros_like(total))
    number = torch.minimum(uniform.to(reached.dtype)[:, None] * total, below)
    return torch.searchsorted(reached, number, right=True).squeeze(-1)


def choose(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    generator: torch.Generator | None = None,
    min_p: float | None = None,
    uniform: Tensor | None = None,
) -> Tensor:
    """The next token of each row: logits `(batch, vocab_size)` to ids `(batch,)`.

    Temperature comes first, then top-k, top-p and min-p, each of what is left.

    Args:
        generator: where the uniform numbers that decide come from, unless they are given as `uniform`, (batch,).
    """
    if greedy or temperature == 0:
        return logits.argmax(dim=-1)
    logits = logits.float()
    if temperature != 1:
        logits = apply_temperature(logits, temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    if min_p is not None:
        logits = keep_min_p(logits, min_p)
    if uniform is None:
        device = logits.device if generator is None else generator.device
        uniform = torch.rand(len(logits), generator=generator, dtype=torch.float64, device=device)
    return draw(logits.softmax(dim=-1), uniform.to(logits.device))


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


@torch.inference_mode()
def beam_search(
    model,
    ids: Sequence[int],
    max_new_tokens: int = 200,
    *,
    beams: int = 4,
    length_penalty: float = 1.0,
    eos_token_id: int | None = None,
) -> tuple[list[int], float]:
    """The best continuation that a search with `beams` open stories finds, and its score.

    Args:
        ids: the prompt.
        length_penalty: 0 compares sums, 1 means per token; above 1 favours long stories.
        eos_token_id: a story is finished here; this id counts in its score and is not given out.

    Returns:
        The new ids, and the score in nats (a sum of log-probabilities over length ** length_penalty).

    Raises:
        CourseError: the prompt cannot be read, or an option is out of range.
    """
    ids = [int(token) for token in ids]
    check_prompt(model, ids)
    vocab_size = model.config.vocab_size
    if max_new_tokens < 1:
        raise CourseError(f"max-new-tokens must be at least 1, got {max_new_tokens}")
    if not 1 <= beams <= vocab_size // 2:
        raise CourseError(f"beams must be from 1 to half of the vocabulary ({vocab_size // 2}), got {beams}")
    was_training = model.training
    model.eval()
    try:
        return _search(model, ids, max_new_tokens, beams, length_penalty, eos_token_id)
    finally:
        model.train(was_training)


def _search(model, ids, max_new_tokens, beams, length_penalty, eos_token_id):
    cache = KVCache(model)
    logits = cache.start([ids])
    open_ones = [(0.0, [])]  # (sum of log-probabilities, new ids), the best first
    finished: list[tuple[float, list[int]]] = []  # (score, new ids), the best first, at most `beams`
    for length in range(1, max_new_tokens + 1):
        sums = torch.tensor([total for total, _ in open_ones])
        total = logits.float().cpu().log_softmax(-1) + sums[:, None]  # (open, vocab_size)
        best = total.flatten().topk(min(2 * beams, total.numel()))
        following = []
        for rank, (value, at) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
            parent, token = divmod(at, total.shape[1])
            story = [*open_ones[parent][1], token]
            if token == eos_token_id or length == max_new_tokens:
                if rank < beams:
                    finished.append((value / length**length_penalty, story))
            elif len(following) < beams:
                following.append((value, story, parent))
        finished = sorted(finished, key=lambda each: -each[0])[:beams]
        if not following:
            break
        if len(finished) == beams and following[0][0] / length**length_penalty <= finished[-1][0]:
            break
        open_ones = [(value, story) for value, story, _ in following]
        cache.reorder([parent for _, _, parent in following])
        logits = cache.append([story[-1] for _, story in open_ones])
    score, story = finished[0]
    return (story[:-1] if story[-1] == eos_token_id else story), score
