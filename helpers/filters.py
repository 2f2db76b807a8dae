"""From logits to a choice: filters that reshape a distribution, and the draw.

Temperature sharpens or flattens it; top-k keeps the k most probable tokens (Fan et al. 2018, section 5.4); top-p
the fewest that together have probability p (nucleus sampling: Holtzman et al. 2020, section 3.1); min-p those
that have at least a share of the best one's probability (Nguyen et al. 2024, section 3); the repetition penalty
makes what was already said less likely (Keskar et al. 2019, section 4.1). Each is a function from logits to logits.
"""

import torch
from torch import Tensor

from helpers.errors import CourseError


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide the logits: below 1 the likely tokens become likelier, above 1 rare tokens get a chance.

    Args:
        logits: (..., vocab_size).
        temperature: above 0; `generate` treats 0 as greedy.
    """
    if not temperature > 0:
        raise CourseError(f"a temperature must be above 0 to divide by it, got {temperature}")
    # The largest becomes 0: a difference is all that softmax sees, and no temperature makes it infinite.
    return (logits - logits.amax(-1, keepdim=True)) / temperature if temperature < 1e-3 else logits / temperature


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


def penalise_repetition(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Make tokens that occur in `ids` less likely: positive logits are divided by `penalty`, negative multiplied.

    Args:
        logits: (batch, vocab_size).
        ids: what was said before, (batch, time).
        penalty: 1 changes nothing; above 1 discourages, below 1 encourages.
    """
    if not 0 < penalty < float("inf"):
        raise CourseError(f"the repetition penalty must be above 0 (1 changes nothing), got {penalty}")
    said = logits.gather(-1, ids)
    return logits.scatter(-1, ids, torch.where(said < 0, said * penalty, said / penalty))


def choose(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    generator: torch.Generator | None = None,
    min_p: float | None = None,
) -> Tensor:
    """The next token of each row: logits `(batch, vocab_size)` to ids `(batch,)`.

    Temperature comes first, then top-k, top-p and min-p, each of what is left.
    """
    if greedy or temperature == 0:
        return logits.argmax(dim=-1)
    logits = apply_temperature(logits.float(), temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    if min_p is not None:
        logits = keep_min_p(logits, min_p)
    return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).squeeze(-1)
