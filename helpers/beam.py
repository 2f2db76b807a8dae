"""Beam search: several stories are kept in view, and the likeliest as a whole wins (Sutskever et al. 2014, 3.2).

The rules are those of `transformers`, so that both find the same story: a finished story's score is the sum of its
log-probabilities divided by its length to the power `length_penalty`, and the search ends when the best open story,
scored at its present length, is no better than the worst of the finished ones.
"""

from collections.abc import Sequence

import torch

from helpers.decoding import check_prompt
from helpers.errors import CourseError
from helpers.kv_cache import KVCache


@torch.inference_mode()
def beam_search(
    model,
    ids: Sequence[int],
    max_new_tokens: int = 200,
    *,
    beams: int = 4,
    length_penalty: float = 1.0,
    end_id: int | None = None,
) -> tuple[list[int], float]:
    """The best continuation that a search with `beams` open stories finds, and its score.

    Args:
        ids: the prompt.
        length_penalty: 0 compares sums, 1 means per token; above 1 favours long stories.
        end_id: a story is finished here; this id counts in its score and is not given out.

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
        return _search(model, ids, max_new_tokens, beams, length_penalty, end_id)
    finally:
        model.train(was_training)


def _search(model, ids, max_new_tokens, beams, length_penalty, end_id):
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
            if token == end_id or length == max_new_tokens:
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
        cache.keep([parent for _, _, parent in following])
        logits = cache.append([story[-1] for _, story in open_ones])
    score, story = finished[0]
    return (story[:-1] if story[-1] == end_id else story), score
