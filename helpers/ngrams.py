"""Built in notebook 03: counting models: uniform, unigram, bigram, ... with interpolated Kneser-Ney smoothing.

A model of order n sees the n - 1 tokens before the one it predicts. Its estimate mixes what was counted after
that context with the estimate of the model one order lower (Kneser and Ney 1995; Chen and Goodman 1999,
section 2.7):

    P_k(w | h) = max(c(h, w) - D_k, 0) / c(h)  +  D_k * N(h) / c(h) * P_{k-1}(w | h without its oldest token)

`c` counts occurrences for the highest order. For the lower ones it counts in how many different contexts the
token was met, since a lower order is asked only where the higher one does not know. N(h) is the number of
different tokens met after h, and P_0 is uniform: every token of the vocabulary has some probability, and each
distribution sums to one.

The notebook builds the bigram as a dense table; here, for any order, only what was met is kept, in sorted arrays. Tests
hold the two equal.

Used in notebooks 03, 04 and 09, and wherever a baseline is scored.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from helpers.errors import CourseError


def discount_of(counts: np.ndarray) -> float:
    """What to take from each count: n1 / (n1 + 2 n2) with n1, n2 the number of grams met once and twice (Ney, Essen and
    Kneser 1994).
    """
    once, twice = (counts == 1).sum(), (counts == 2).sum()
    return once / (once + 2 * twice) if once and twice else 0.5


class NGramModel:
    """Token counts of a fixed order, smoothed.

    Args:
        order: 0 is the uniform model, 1 the unigram, 2 the bigram, 3 the trigram and so on.
        vocab_size: how many ids there are.
        eos_token_id: the id that ends a story. It also stands for everything before a story's first token, so no
            context ever reaches back into the story before.
        discount: D above, between 0 and 1, the same for every order; None estimates one for each order from
            the counts, by `discount_of`.
    """

    def __init__(self, order: int, vocab_size: int, eos_token_id: int = 0, discount: float | None = None):
        if order < 0 or vocab_size < 1:
            raise CourseError(f"an n-gram model needs order >= 0 and vocab_size >= 1, got {order} and {vocab_size}")
        if discount is not None and not 0 < discount < 1:
            raise CourseError(f"the discount must lie between 0 and 1, got {discount}")
        self.order, self.vocab_size, self.eos_token_id, self.discount = order, vocab_size, eos_token_id, discount
        # For contexts of m tokens (m = 0 ... order - 1). A context is known by its index in the sorted
        # `_longer[m]`, whose keys say how it grows to the left: index of the context of m - 1 tokens *
        # vocab_size + older token.
        self._longer: list[np.ndarray] = []
        self._grams: list[np.ndarray] = []  # sorted keys: context index * vocab_size + token that follows
        self._counts: list[np.ndarray] = []  # c(h, w) of each gram
        self._totals: list[np.ndarray] = []  # c(h) of each context
        self._first: list[np.ndarray] = []  # where a context's grams begin in `_grams`, and one more: where they end
        self._discounts: list[float] = []

    # ------------------------------------------------------------------ counting

    def fit(self, stories: np.ndarray | Iterable[Sequence[int]]) -> "NGramModel":
        """Count.

        Args:
            stories: a `helpers.dataset.TokenFile`; or one flat array of ids in which every story is followed by
                `eos_token_id`; or an iterable of stories, each a sequence of ids without its end token.

        Returns:
            The model itself.
        """
        if hasattr(stories, "offsets"):
            stories = stories.ids[1:]  # without the end token before the first story
        if not isinstance(stories, np.ndarray):
            end = np.array([self.eos_token_id])
            parts = [part for ids in stories for part in (np.asarray(ids, dtype=np.int64), end)]
            stories = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
        ids = np.asarray(stories).astype(np.int64)
        if ids.ndim != 1 or len(ids) == 0:
            raise CourseError("an n-gram model needs a flat array of at least one token to count")
        self._check_ids(ids)
        self._longer, self._grams, self._counts, self._totals, self._first = [], [], [], [], []
        self._discounts = []
        index = _index_in_story(ids, self.eos_token_id)
        context = np.zeros(len(ids), dtype=np.int64)  # the index of each position's context of m tokens; m = 0 now
        for m in range(self.order):
            if m == 0:
                self._longer.append(np.zeros(1, dtype=np.int64))
            else:
                keys, context = _distinct(
                    context * self.vocab_size + self._older(ids, index, m),
                    len(self._longer[-1]) * self.vocab_size,
                )
                self._longer.append(keys)
            grams, counts = _counted(context * self.vocab_size + ids, len(self._longer[-1]) * self.vocab_size)
            self._grams.append(grams)
            self._counts.append(counts)
        self._smooth()
        return self

    def _older(self, ids: np.ndarray, index: np.ndarray, m: int) -> np.ndarray:
        """The token m before each position, or the end token where that would be in another story."""
        older = np.full(len(ids), self.eos_token_id, dtype=np.int64)
        older[m:] = ids[:-m]
        older[index < m] = self.eos_token_id
        return older

    def _smooth(self) -> None:
        """Replace the lower orders' counts by numbers of contexts; sum them; estimate the discounts."""
        for m in range(self.order - 1):
            longer_context, token = np.divmod(self._grams[m + 1], self.vocab_size)
            context = self._longer[m + 1][longer_context] // self.vocab_size  # without its oldest token
            where = np.searchsorted(self._grams[m], context * self.vocab_size + token)
            self._counts[m] = np.bincount(where, minlength=len(self._grams[m]))
        for m in range(self.order):
            context = self._grams[m] // self.vocab_size
            size = len(self._longer[m])
            self._totals.append(np.bincount(context, weights=self._counts[m], minlength=size))
            self._first.append(np.searchsorted(context, np.arange(size + 1)))
            self._discounts.append(discount_of(self._counts[m]) if self.discount is None else self.discount)

    @property
    def parameters(self) -> int:
        """How many counts are kept: the different grams of every length up to the order."""
        return sum(map(len, self._grams))

    # ------------------------------------------------------------------ asking

    def log_probs(self, ids: Sequence[int]) -> np.ndarray:
        """log P(ids[i] | what is before it in `ids`) for i = 1, 2, ...

        Args:
            ids: a sequence, such as `[eos_token_id, *story, eos_token_id]` to score a whole story.

        Returns:
            float64 array `(len(ids) - 1,)`, natural logarithms.
        """
        return self.score_rows([ids])[0]

    def score_rows(self, rows: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """`log_probs` of many sequences at once, which is much faster than one by one."""
        history, target, lengths = self._positions(rows)
        probability = np.full(len(target), 1.0 / self.vocab_size)
        for m, context in enumerate(self._contexts(history)):
            known = np.flatnonzero(context >= 0)
            keys = context[known] * self.vocab_size + target[known]
            gram = _find(self._grams[m], keys)
            counts = np.where(gram >= 0, self._counts[m][gram], 0)
            kept, back_off = self._weights(m, context[known])
            seen = np.maximum(counts - self._discounts[m], 0) * kept
            probability[known] = seen + back_off * probability[known]
        return np.split(np.log(probability), np.cumsum(lengths)[:-1])

    def next_log_probs(self, ids: Sequence[int]) -> np.ndarray:
        """The logarithm of the whole distribution of the token after `ids`: float64 `(vocab_size,)`."""
        return self.next_log_probs_of([ids])[0]

    def next_log_probs_of(self, contexts: Sequence[Sequence[int]]) -> np.ndarray:
        """`next_log_probs` after each of many contexts: `(contexts, vocab_size)`."""
        reach = max(self.order - 1, 1)  # what is further back does not matter
        ends = [np.asarray(ids[-reach:] if len(ids) else [self.eos_token_id], dtype=np.int64) for ids in contexts]
        for ids in ends:
            self._check_ids(ids)
        history = np.concatenate([self._histories(np.append(ids, self.eos_token_id))[-1:] for ids in ends])
        return np.log(self._distributions(history))

    def most_likely(self, rows: Sequence[Sequence[int]], chunk: int = 256) -> list[np.ndarray]:
        """The most probable token at each position that `score_rows` scores: int64 `(len(ids) - 1,)` for
        each sequence `ids`.
        """
        history, _, lengths = self._positions(rows)
        distinct, which = np.unique(history, axis=0, return_inverse=True)
        best = [self._distributions(distinct[i : i + chunk]).argmax(axis=1) for i in range(0, len(distinct), chunk)]
        return np.split(np.concatenate(best)[which.reshape(-1)], np.cumsum(lengths)[:-1])

    # ------------------------------------------------------------------ inside

    def _check_ids(self, ids: np.ndarray) -> None:
        if len(ids) and (ids.min() < 0 or ids.max() >= self.vocab_size):
            wrong = int(ids.max() if ids.max() >= self.vocab_size else ids.min())
            raise CourseError(f"id {wrong} is outside the vocabulary of {self.vocab_size}")

    def _histories(self, ids: np.ndarray) -> np.ndarray:
        """The order - 1 tokens before ids[1], ids[2], ..., newest first: `(len(ids) - 1, order - 1)`."""
        reach = max(self.order - 1, 0)
        padded = np.concatenate([np.full(reach, self.eos_token_id), ids])
        columns = [padded[reach - m + 1 : len(padded) - m] for m in range(1, reach + 1)]
        return np.stack(columns, axis=1) if columns else np.empty((len(ids) - 1, 0), dtype=np.int64)

    def _positions(self, rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray, list[int]]:
        if self.order and not self._grams:
            raise CourseError("this n-gram model has counted nothing yet: call fit first")
        arrays = [np.asarray(ids, dtype=np.int64) for ids in rows]
        if not arrays or min(map(len, arrays)) < 1:
            raise CourseError("there is nothing to score: every sequence needs at least one id")
        for ids in arrays:
            self._check_ids(ids)
        history = np.concatenate([self._histories(ids) for ids in arrays])
        return history, np.concatenate([ids[1:] for ids in arrays]), [len(ids) - 1 for ids in arrays]

    def _contexts(self, history: np.ndarray) -> Iterable[np.ndarray]:
        """The index of each history's context of 0, 1, ... tokens, -1 where that context was never met."""
        context = np.zeros(len(history), dtype=np.int64)
        for m in range(self.order):
            if m:
                keys = context * self.vocab_size + history[:, m - 1]
                context = np.where(context >= 0, _find(self._longer[m], keys), -1)
            yield context

    def _weights(self, m: int, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """1 / c(h), and the weight of the lower order, for known contexts."""
        total = self._totals[m][context]
        kinds = self._first[m][context + 1] - self._first[m][context]
        return 1 / total, self._discounts[m] * kinds / total

    def _distributions(self, history: np.ndarray) -> np.ndarray:
        """Every token's probability after each history: `(len(history), vocab_size)`."""
        if self.order and not self._grams:
            raise CourseError("this n-gram model has counted nothing yet: call fit first")
        probability = np.full((len(history), self.vocab_size), 1.0 / self.vocab_size)
        for m, context in enumerate(self._contexts(history)):
            known = np.flatnonzero(context >= 0)
            kept, back_off = self._weights(m, context[known])
            probability[known] *= back_off[:, None]
            first = self._first[m][context[known]]
            length = self._first[m][context[known] + 1] - first
            # The grams of one context lie side by side: list all their indices without a loop.
            at = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length - first, length)
            token = self._grams[m][at] % self.vocab_size
            seen = np.maximum(self._counts[m][at] - self._discounts[m], 0) * np.repeat(kept, length)
            probability[np.repeat(known, length), token] += seen
        return probability


def _index_in_story(ids: np.ndarray, eos_token_id: int) -> np.ndarray:
    """0 for a story's first token, 1 for its second, ...; the end token is its story's last."""
    index = np.arange(len(ids))
    starts = np.zeros(len(ids), dtype=np.int64)
    after_end = np.flatnonzero(ids[:-1] == eos_token_id) + 1
    starts[after_end] = after_end
    return index - np.maximum.accumulate(starts)


TABLE = 2**26  # keys below this are looked up in a table of as many cells (at most 268 MB) instead of sorted


def _distinct(keys: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The different keys in rising order, and the index of each key among them; all keys are below `size`.

    As `np.unique(keys, return_inverse=True)`, without sorting where a table can be used: much faster.
    """
    if size > TABLE:
        return np.unique(keys, return_inverse=True)
    met = np.zeros(size, dtype=bool)
    met[keys] = True
    values = np.flatnonzero(met)
    index = np.empty(size, dtype=np.int32)
    index[values] = np.arange(len(values), dtype=np.int32)
    return values, index[keys].astype(np.int64)


def _counted(keys: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The different keys in rising order, and how often each occurs; all keys are below `size`."""
    if size > TABLE:
        return np.unique(keys, return_counts=True)
    values, index = _distinct(keys, size)
    return values, np.bincount(index, minlength=len(values))


def _find(sorted_keys: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Where each key is in `sorted_keys`, -1 where it is not."""
    where = np.searchsorted(sorted_keys, keys)
    where[where == len(sorted_keys)] = 0
    return np.where(sorted_keys[where] == keys, where, -1)
