"""Built in notebook 09: from logits to the next token, by sampling or by beam search.

Sampling: temperature, top-k, top-p, min-p and the repetition penalty are functions from logits to logits; the
distribution that is left is sampled by inversion. Beam search: several hypotheses are followed at once, and the
likeliest as a whole wins. All follow the rules of `transformers`, so that both find the same story.

Letters in shapes: B sequences in a batch, T tokens in a sequence, V tokens in the vocabulary.

Used by `helpers.generation` and the playground.
"""

import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from helpers.errors import CourseError
from helpers.evaluation import evaluating
from helpers.kv_cache import KVCache

GREEDY_BELOW = 1e-5  # a temperature so near 0 is 0: divided by it, logits could overflow


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Below 1 likely tokens become likelier, above 1 rare tokens get a chance. (..., V)"""
    return logits / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """All but the k largest logits become minus infinity (Fan et al. 2018, section 5.4). (..., V)"""
    kth = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]  # what equals the k-th stays too
    return logits.masked_fill(logits < kth, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """The most probable tokens stay until their probabilities reach p (nucleus sampling: Holtzman et al. 2020).

    The token that crosses p stays, so at least one always does. (..., V)
    """
    if p >= 1:
        return logits
    ordered, token = logits.sort(dim=-1, descending=True)
    probability = ordered.softmax(dim=-1)
    dropped = probability.cumsum(dim=-1) - probability >= p  # the sum before a token has reached p already
    dropped[..., 0] = False
    return logits.masked_fill(dropped.scatter(-1, token, dropped), -torch.inf)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Tokens with at least p times the best one's probability stay (Nguyen et al. 2024, section 3). (..., V)"""
    probability = logits.softmax(dim=-1)
    return logits.masked_fill(probability < p * probability.amax(dim=-1, keepdim=True), -torch.inf)


def penalize_repetition(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Tokens that occur in `ids` become less likely, each once (Keskar et al. 2019, section 4.1).

    Args:
        logits: (B, V).
        ids: what was said before, (B, T).
        penalty: divides positive logits and multiplies negative ones; 1 changes nothing.
    """
    said = logits.gather(-1, ids)  # (B, T)
    return logits.scatter(-1, ids, torch.where(said < 0, said * penalty, said / penalty))


def reshape(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Tensor:
    """Temperature first, then top-k, top-p and min-p, each on what is left. (..., V)"""
    logits = apply_temperature(logits.float(), temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    if min_p is not None:
        logits = keep_min_p(logits, min_p)
    return logits


def sample_by_inversion(probability: Tensor, uniform: Tensor) -> Tensor:
    """One token of each distribution: the first whose cumulative probability exceeds a uniform number.

    The number alone decides, so what a sequence gets does not depend on those beside it.

    Args:
        probability: (B, V); the sums need not be exactly 1.
        uniform: numbers from 0 to below 1, (B,).

    Returns:
        ids (B,), never one of probability 0.

    Raises:
        CourseError: a probability is not a number.
    """
    cumulative = probability.cumsum(dim=-1)
    total = cumulative[:, -1:]
    if not total.isfinite().all():
        raise CourseError("the model's logits are not numbers: has its training diverged?")
    below = torch.nextafter(total, torch.zeros_like(total))  # rounding must not reach the total: nothing exceeds it
    number = torch.minimum(uniform.to(cumulative.dtype)[:, None] * total, below)
    return torch.searchsorted(cumulative, number, right=True).squeeze(-1)


def sample(logits: Tensor, uniform: Tensor | None = None, **options) -> Tensor:
    """The next token of each sequence: logits (B, V) to ids (B,).

    Args:
        uniform: numbers from 0 to below 1, (B,), that decide; None takes the most probable tokens (greedy).
        options: those of `reshape`.
    """
    if uniform is None:
        return logits.argmax(dim=-1)
    return sample_by_inversion(reshape(logits, **options).softmax(dim=-1), uniform.to(logits.device))


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
    """The best continuation that a search with `beams` live hypotheses finds, and its score.

    (Sutskever et al. 2014, section 3.2.) The search ends when the best live hypothesis, scored at its present
    length, is no better than the worst of `beams` finished ones.

    Args:
        ids: the prompt; of more than `context_length` ids the last are read, and that is said.
        length_penalty: 0 compares sums, 1 means per token; above 1 favors long stories.
        eos_token_id: a hypothesis is finished here; this id counts in its score and is not given out.

    Returns:
        The new ids, and the score in nats (a sum of log-probabilities over length ** length_penalty).

    Raises:
        CourseError: the prompt cannot be read, or an option is out of range.
    """
    (ids,) = check_prompts(model, [ids])
    if max_new_tokens < 1:
        raise CourseError(f"max-new-tokens must be at least 1, got {max_new_tokens}")
    if not 1 <= beams <= model.config.vocab_size // 2:
        most = model.config.vocab_size // 2
        raise CourseError(f"beams must be from 1 to half of the vocabulary ({most}), got {beams}")
    with evaluating(model):
        cache = KVCache(model)
        score, story = _search(cache, cache.start([ids]), max_new_tokens, beams, length_penalty, eos_token_id)
    return (story[:-1] if story[-1] == eos_token_id else story), score


def _search(cache, logits, max_new_tokens, beams, length_penalty, eos_token_id) -> tuple[float, list[int]]:
    live = [(0.0, [])]  # (sum of log-probabilities, new ids), the best first
    finished: list[tuple[float, list[int]]] = []  # (score, new ids), the best first, at most `beams`
    for length in range(1, max_new_tokens + 1):
        sums = torch.tensor([total for total, _ in live])
        grown, parents = [], []
        # Twice as many as are needed: at most half of them end here.
        steps = beam_step(sums, logits.float().cpu().log_softmax(dim=-1), 2 * beams)
        for rank, (total, parent, token) in enumerate(steps):
            story = [*live[parent][1], token]
            if token == eos_token_id or length == max_new_tokens:
                if rank < beams:
                    finished.append((total / length**length_penalty, story))
            elif len(grown) < beams:
                grown.append((total, story))
                parents.append(parent)
        finished = sorted(finished, key=lambda each: -each[0])[:beams]
        if not grown or len(finished) == beams and grown[0][0] / length**length_penalty <= finished[-1][0]:
            break
        live = grown
        cache.reorder(parents)
        logits = cache.append([story[-1] for _, story in live])
    return finished[0]


def beam_step(sums: Tensor, log_probs: Tensor, beams: int) -> list[tuple[float, int, int]]:
    """The best continuations of the live hypotheses by one token, the best first.

    Args:
        sums: the log-probability of each live hypothesis, (live,).
        log_probs: the distribution of the next token of each, (live, V).

    Returns:
        `beams` of them, each as (new sum, number of the hypothesis that grows, id that it grows by).
    """
    total = sums[:, None] + log_probs  # one cell for each continuation
    best = total.flatten().topk(beams)
    cells = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    return [(value, *divmod(cell, total.shape[1])) for value, cell in cells]


def tidy_prompt(prompt: str) -> str:
    """A prompt without spaces at its end, with a word where there were some: the next token brings its own space."""
    if not isinstance(prompt, str) or not prompt.strip() or prompt == (tidy := prompt.rstrip(" \t")):
        return prompt
    print("note: the space at the prompt's end is left out: the next token begins with one", file=sys.stderr)
    return tidy


def check_prompts(model, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """What the model reads of each: its last `context_length` ids, as of a text that it wrote itself.

    Where that is not all, it is said.

    Raises:
        CourseError: no ids, or one outside the vocabulary.
    """
    longest, vocab_size = model.config.context_length, model.config.vocab_size
    prompts = [[int(token) for token in ids] for ids in prompts]
    for ids in prompts:
        if not ids:
            raise CourseError("the prompt is empty: give the model at least one word to continue")
        if min(ids) < 0 or max(ids) >= vocab_size:
            wrong = next(token for token in ids if not 0 <= token < vocab_size)
            said = f"id {wrong} is outside the model's vocabulary of {vocab_size}"
            raise CourseError(f"{said}: was the prompt encoded by its tokenizer?")
    if (most := max(map(len, prompts), default=0)) > longest:
        print(f"note: of the prompt's {most:,} tokens the model reads the last {longest:,}", file=sys.stderr)
    return [ids[-longest:] for ids in prompts]


def check_options(
    *,
    max_new_tokens: int,
    temperature: float,
    top_k: int | None = None,
    top_p: float | None = None,
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
        raise CourseError(f"min-p is a fraction of the best token's probability, from 0 to 1, got {min_p}")
    if repetition_penalty is not None and not 0 < repetition_penalty < float("inf"):
        raise CourseError(f"the repetition penalty must be above 0 (1 changes nothing), got {repetition_penalty}")
