"""Does a model remember who and what its story is about?

The grammar of the bundled stories records where it printed a variable: the hero's name, the lost object, its
color. Where one is named again, long after its last mention, a model that keeps the story in mind gives the
true word more probability than any other word that could stand there: how often it does is the re-mention accuracy. A
model that sees only a few tokens back cannot know, and guesses.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch

from course.mentions import BINS, Mention, mentions_of, only_words, words_by_role
from helpers.errors import CourseError
from helpers.evaluation import LOGITS, evaluating, padded

STORIES_AT_ONCE = 32

# From contexts, lists of ids, to the log-probabilities of what may come next: (contexts, vocab_size).
Scorer = Callable[[Sequence[Sequence[int]]], np.ndarray]


@dataclass
class Score:
    """How often the true word came first: among all words of its role, and among the unseen, which are those of
    its role that do not occur in the story, and itself. `chance` is what guessing among all would give.
    """

    mentions: int = 0
    hits_all: int = 0
    hits_unseen: int = 0
    expected: float = 0.0

    @property
    def all(self) -> float:
        return self.hits_all / max(self.mentions, 1)

    @property
    def unseen(self) -> float:
        return self.hits_unseen / max(self.mentions, 1)

    @property
    def chance(self) -> float:
        return self.expected / max(self.mentions, 1)

    def add(self, hit_all: bool, hit_unseen: bool, candidates: int) -> None:
        self.mentions += 1
        self.hits_all += hit_all
        self.hits_unseen += hit_unseen
        self.expected += 1 / candidates


@dataclass
class RementionAccuracy:
    """Scores by role, and by role and distance: `found.roles["hero"].all`, `found.bins["hero"][30].all`.

    A bin is named by its shortest distance in tokens.
    """

    roles: dict[str, Score] = field(default_factory=lambda: defaultdict(Score))
    bins: dict[str, dict[int, Score]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Score)))

    def as_dict(self) -> dict:
        """For JSON."""

        def numbers(score: Score) -> dict:
            return {
                "mentions": score.mentions,
                "all": score.all,
                "unseen": score.unseen,
                "chance": score.chance,
            }

        return {
            role: numbers(score) | {"by_distance": {at: numbers(s) for at, s in sorted(self.bins[role].items())}}
            for role, score in sorted(self.roles.items(), key=lambda item: -item[1].mentions)
        }

    def __str__(self) -> str:
        lines = [f"{'role':24}{'mentions':>9}{'all':>9}{'unseen':>9}{'chance':>9}"]
        for role, score in sorted(self.roles.items(), key=lambda item: -item[1].mentions):
            lines.append(f"{role:24}{score.mentions:>9,}{score.all:>9.1%}{score.unseen:>9.1%}{score.chance:>9.1%}")
        return "\n".join(lines)


def remention_accuracy(
    model,
    tokenizer,
    stories: Iterable[dict],
    *,
    roles: Sequence[str] | None = None,
    shortest: int = BINS[0],
    words: dict[str, list[str]] | None = None,
    progress: bool = False,
) -> RementionAccuracy:
    """How often the true word is the model's first choice where it is named again.

    Args:
        model: a `GPT`, or anything with `next_log_probs(ids)` like `NGramModel`.
        stories: rows with `text` and `spans` (each `start`, `end` in characters, `role`, perhaps `attribute`),
            such as the data set of the bundled validation stories.
        roles: only these; None takes all that have at least two words.
        shortest: re-mentions nearer than this, in tokens, are left out.
        words: the words of each role; collected from `stories` if None.

    Raises:
        CourseError: the stories carry no spans.
    """
    stories = list(stories)
    if not stories or any("spans" not in story for story in stories[:1]):
        raise CourseError("re-mentions need stories with their spans, such as the bundled validation stories")
    words = words or words_by_role(stories)
    wanted = set(roles) if roles is not None else {role for role in words if len(words[role]) > 1}
    if unknown := wanted - words.keys():
        raise CourseError(f"no story has the role {sorted(unknown)[0]!r}; there are {', '.join(sorted(words))}")
    scorer, result, candidates = scorer_of(model), RementionAccuracy(), _Candidates(tokenizer, words)
    iterator = iter(stories)
    bar = None
    if progress:
        from tqdm.auto import tqdm

        bar = tqdm(total=len(stories), unit=" stories", desc="re-mentions", leave=False)
    while batch := list(islice(iterator, STORIES_AT_ONCE)):
        mentions = [m for story in batch for m in mentions_of(story, tokenizer, wanted, shortest)]
        for mention, hit_all, hit_unseen in zip(mentions, *_first_choices(mentions, candidates, scorer), strict=True):
            for score in (result.roles[mention.role], result.bins[mention.role][_bin(mention.distance)]):
                score.add(hit_all, hit_unseen, len(words[mention.role]))
        if bar is not None:
            bar.update(len(batch))
    if bar is not None:
        bar.close()
    return result


def scorer_of(model) -> Scorer:
    """What a model thinks comes next, for many contexts at once."""
    if hasattr(model, "next_log_probs_of"):
        return model.next_log_probs_of
    if hasattr(model, "next_log_probs"):
        return lambda contexts: np.stack([model.next_log_probs(context) for context in contexts])

    def score(contexts: Sequence[Sequence[int]]) -> np.ndarray:
        longest, device = model.config.context_length, next(model.parameters()).device
        # A context that begins another needs no reading of its own: what it would see is the same.
        cut = [tuple(context[-longest:]) for context in contexts]
        order = sorted(range(len(cut)), key=lambda i: cut[i])
        rows: list[tuple[int, ...]] = []  # what is read
        position = [(0, 0)] * len(cut)
        for i in reversed(order):  # longer ones come before what they begin with
            if not rows or rows[-1][: len(cut[i])] != cut[i]:
                rows.append(cut[i])
            position[i] = len(rows) - 1, len(cut[i]) - 1
        result = np.empty((len(cut), model.config.vocab_size), np.float32)
        most = max(1, LOGITS // model.config.vocab_size // max(len(row) for row in rows))
        with evaluating(model), torch.inference_mode():
            for first in range(0, len(rows), most):
                hidden = model.hidden(padded(rows[first : first + most], device)[0])  # (contexts, T, d_model)
                mine = [i for i in range(len(cut)) if first <= position[i][0] < first + most]
                at = torch.tensor([position[i] for i in mine], device=device)
                logits = model.head(hidden[at[:, 0] - first, at[:, 1]])  # of the positions that are asked for
                result[mine] = logits.float().log_softmax(1).cpu().numpy()
        return result

    return score


class _Candidates:
    """The words of each role as the tokens that spell them, and which of them a story does not have."""

    def __init__(self, tokenizer, words: dict[str, list[str]]):
        self.tokenizer, self.words = tokenizer, words
        self._paths: dict[tuple[str, bool], dict[tuple[int, ...], str]] = {}

    def all(self, mention: Mention) -> dict[tuple[int, ...], str]:
        """Path of tokens -> the word it spells."""
        key = mention.role, mention.space
        if key not in self._paths:
            spelled = self.tokenizer.encode_batch([" " * mention.space + word for word in self.words[mention.role]])
            self._paths[key] = dict(zip(map(tuple, spelled), self.words[mention.role], strict=True))
        return self._paths[key]

    def unseen(self, mention: Mention) -> dict[tuple[int, ...], str]:
        """Those whose words do not stand in the story, and the true one."""
        return {
            path: word
            for path, word in self.all(mention).items()
            if word == mention.text or f" {only_words(word)} " not in mention.story
        }


def _first_choices(mentions: list[Mention], candidates: _Candidates, scorer: Scorer) -> tuple[list[bool], list[bool]]:
    """For each mention: is the true word first among all, and among the unseen?"""
    searches = []
    for mention in mentions:
        for words in (candidates.all(mention), candidates.unseen(mention)):
            searches.append(_Search(mention.context, words))
    known: dict[tuple, np.ndarray] = {}
    while True:
        asked = {query for search in searches if (query := search.advance(known)) is not None}
        if not asked:
            break
        missing = sorted(asked - known.keys(), key=len)
        for query, log_probs in zip(missing, scorer(missing), strict=True):
            known[query] = log_probs
    hits = [search.winner == mentions[i // 2].text for i, search in enumerate(searches)]
    return hits[0::2], hits[1::2]


class _Search:
    """Finds the most probable of some words, best path first, asking the model only where paths still compete.

    A path's probability can only fall as it grows, so the first word taken from the queue is the winner. Where
    one word begins another ("Ben", "Benny"), the shorter gets what the longer ones leave.
    """

    def __init__(self, context: list[int], ends: dict[tuple[int, ...], str]):
        self.context, self.ends = tuple(context), ends
        self.winner: str | None = None
        self.steps: dict[tuple[int, ...], set[int]] = defaultdict(set)
        for path in ends:
            for depth in range(len(path)):
                self.steps[path[:depth]].add(path[depth])
        self.queue: list[tuple[float, tuple[int, ...], bool]] = [(0.0, (), False)]  # (-log P, path, is a word)

    def advance(self, known: dict[tuple, np.ndarray]) -> tuple | None:
        """Search on until the winner is found (None) or a context's distribution is needed (that context)."""
        while self.winner is None and self.queue:
            cost, path, whole = self.queue[0]
            if whole or path not in self.steps:
                self.winner = self.ends[path]
                break
            query = self.context + path
            if query not in known:
                return query
            heapq.heappop(self.queue)
            tokens = sorted(self.steps[path])
            log_probs = known[query][tokens]
            for token, log_prob in zip(tokens, log_probs, strict=True):
                heapq.heappush(self.queue, (cost - float(log_prob), (*path, token), False))
            if path in self.ends:
                rest = max(1 - float(np.exp(log_probs.astype(np.float64)).sum()), 1e-12)
                heapq.heappush(self.queue, (cost - np.log(rest), path, True))
        return None


def _bin(distance: int) -> int:
    return max((start for start in BINS if start <= distance), default=0)
