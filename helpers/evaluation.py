"""Built in notebooks 03 and 09: how good a language model is: cross-entropy loss, perplexity, bits per byte, accuracy.

Stories are scored one by one, each with all of its own text before it as context and nothing of another story: a
sequence is `[end] + story + [end]`, so the first token is scored too, and so is the decision to stop. Every token
weighs the same. Bits per byte divide by the UTF-8 bytes of the stories and so compare across tokenizers; the loss, in
nats per token, and perplexity do not. The course's own stories come with their exact probability under the grammar that
made them: their source entropy, the floor below which no model can stay on average. Of a model only `config`,
`forward` and its parameters are asked. Used by the scoreboard, by training's validation, and in notebooks 03 to 12.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from helpers.errors import CourseError

CHUNK = 1000  # stories encoded and sorted by length at a time
LOGITS = 2**23  # how many logits may exist at once (32 MB)


@contextmanager
def evaluating(model):
    """Dropout is off inside; afterwards the model is in the mode that it was in."""
    was_training = model.training
    if was_training:  # changing the mode walks through the whole model: only where needed
        model.eval()
    try:
        yield
    finally:
        if was_training:
            model.train()


@dataclass(frozen=True)
class Metrics:
    """The scores of one model on one set of stories.

    Attributes:
        nats_per_token: the cross-entropy loss, the mean of -log P(token | what is before it), end tokens included.
        perplexity: its exponential: among how many equally likely tokens the model hesitates.
        bits_per_byte: the same loss in bits, divided by the bytes of the text (an end token has none).
        accuracy: fraction of tokens that the model held for the most probable.
        tokens, stories, bytes: how many were scored.
        nats: the whole loss.
        floor_nats_per_token, floor_bits_per_byte: the source entropy, what the source of the stories itself would
            score, if known.
    """

    nats_per_token: float
    perplexity: float
    bits_per_byte: float
    accuracy: float
    tokens: int
    stories: int
    bytes: int
    nats: float
    floor_nats_per_token: float | None = None
    floor_bits_per_byte: float | None = None

    @property
    def times_floor(self) -> float | None:
        """How many times the floor the loss is, if the floor is known."""
        return self.nats_per_token / self.floor_nats_per_token if self.floor_nats_per_token else None

    def as_dict(self) -> dict:
        """For JSON: what is not known is left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        lines = [
            f"cross-entropy loss  {self.nats_per_token:.4f} nats per token   (perplexity {self.perplexity:.2f})",
            f"bits per byte       {self.bits_per_byte:.4f}",
            f"accuracy            {self.accuracy:.1%}",
            f"scored              {self.tokens:,} tokens of {self.stories:,} stories",
        ]
        if self.times_floor:
            lines.append(
                f"floor               {self.floor_nats_per_token:.4f} nats per token, "
                f"{self.floor_bits_per_byte:.4f} bits per byte\n"
                f"over the floor      the model is at {self.times_floor:.2f} times the floor"
            )
        return "\n".join(lines)


def evaluate(model, tokenizer, stories: Iterable[str], progress: bool = False) -> Metrics:
    """Score a model on stories.

    Args:
        model: a `GPT` (put in evaluation mode meanwhile), or anything with `score_rows` and `most_likely`
            like `NGramModel`.
        tokenizer: the one the model was trained with.
        stories: `Stories` or any iterable of texts. The floor is reported if they are a whole data set with a
            column `nats`.
        progress: show a bar.

    Raises:
        CourseError: there are no stories, or tokenizer and model do not belong together.
    """
    nats = hits = tokens = count = length = 0
    for texts in _chunks(stories, progress):
        rows = story_rows(tokenizer, texts)
        for scores in score_rows(model, rows):
            nats -= float(scores.log_probs.sum(dtype=np.float64))
            hits += int(scores.hits.sum())
            tokens += len(scores.hits)
        count += len(texts)
        length += sum(len(text.encode("utf-8")) for text in texts)
    if not length:
        raise CourseError("there are no stories to score" + (f": all {count} are empty" if count else ""))
    floor = _floor(stories, count)
    return Metrics(
        nats_per_token=nats / tokens,
        perplexity=math.exp(min(nats / tokens, 700)),  # beyond that a float ends
        bits_per_byte=nats / math.log(2) / length,
        accuracy=hits / tokens,
        tokens=tokens,
        stories=count,
        bytes=length,
        nats=nats,
        floor_nats_per_token=None if floor is None else floor / tokens,
        floor_bits_per_byte=None if floor is None else floor / math.log(2) / length,
    )


class Scores(NamedTuple):
    """For each scored token of a sequence: its log-probability (natural), and whether it was the model's first."""

    log_probs: np.ndarray
    hits: np.ndarray


def story_rows(tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """`[end] + story + [end]` for each text."""
    return [[tokenizer.eos_token_id, *ids, tokenizer.eos_token_id] for ids in tokenizer.encode_batch(list(texts))]


def score_rows(model, rows: Sequence[Sequence[int]]) -> list[Scores]:
    """Score row[1:] given what is before, for each sequence, many at once.

    Sequences of similar length are padded on the right, where a causal model cannot look, and what is padded is not
    scored. One that is longer than the context is read in windows that overlap by half: each of its tokens is scored
    once, with at least half a context before it.
    """
    if hasattr(model, "most_likely"):
        guesses = model.most_likely(rows)
        return [
            Scores(log_probs, guess == np.asarray(row[1:]))
            for log_probs, guess, row in zip(model.score_rows(rows), guesses, rows, strict=True)
        ]
    results = [Scores(np.empty(len(row) - 1, np.float32), np.empty(len(row) - 1, bool)) for row in rows]
    with evaluating(model), torch.inference_mode():
        for batch in batches_of_windows(rows, model.config):
            for (row, first, start, end), (log_probs, hits) in zip(batch, _score(model, rows, batch), strict=True):
                results[row].log_probs[first:end] = log_probs[first - start :]
                results[row].hits[first:end] = hits[first - start :]
    return results


def loss_and_accuracy(model, rows: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Over `[end] + story + [end]`: nats per token, and the fraction of tokens that were the first choice."""
    scores = score_rows(model, rows)
    nats = -sum(float(each.log_probs.sum(dtype=np.float64)) for each in scores)
    tokens = sum(len(each.hits) for each in scores)
    return nats / tokens, sum(int(each.hits.sum()) for each in scores) / tokens


def mean_loss(model, rows: Sequence[Sequence[int]]) -> float:
    """The cross-entropy loss over `[end] + story + [end]`, in nats per token."""
    return loss_and_accuracy(model, rows)[0]


def batches_of_windows(rows: Sequence[Sequence[int]], config) -> Iterator[list[tuple[int, int, int, int]]]:
    """Cut sequences into windows of at most the context and gather windows of similar length.

    Yields:
        Lists of `(row, first, start, end)`: read `row[start:end]`, score what follows each from `first` on.
    """
    windows = []
    for index, row in enumerate(rows):
        size, context = len(row) - 1, config.context_length
        first = 0
        while first < size:
            end = min(size, context if first == 0 else first + context - context // 2)
            windows.append((index, first, max(0, end - context), end))
            first = end
    windows.sort(key=lambda window: window[3] - window[2])
    most = max(LOGITS // config.vocab_size, config.context_length)
    batch: list[tuple[int, int, int, int]] = []
    for window in windows:
        if batch and (len(batch) + 1) * (window[3] - window[2]) > most:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def padded(rows: Sequence[Sequence[int]], device) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences as one tensor (B, longest), padded with 0, and where it is not padding."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for line, row in zip(ids, rows, strict=True):
        line[: len(row)] = torch.as_tensor(np.asarray(row, dtype=np.int64))
    real = torch.arange(ids.shape[1]) < lengths[:, None]
    return ids.to(device), real.to(device)


def _score(model, rows, batch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    device = next(model.parameters()).device
    ids, real = padded([rows[row][start:end] for row, _, start, end in batch], device)
    targets, _ = padded([rows[row][start + 1 : end + 1] for row, _, start, end in batch], device)
    logits = model(ids)[real].float()  # (tokens, V)
    # Three times as fast on a CPU as logsumexp, and the memory is bounded by LOGITS.
    log_probs = logits.log_softmax(1).gather(1, targets[real][:, None]).squeeze(1).cpu().numpy()
    hits = (logits.argmax(1) == targets[real]).cpu().numpy()
    borders = np.cumsum([end - start for _, _, start, end in batch])[:-1]
    return zip(np.split(log_probs, borders), np.split(hits, borders), strict=True)


def _chunks(stories: Iterable[str], progress: bool) -> Iterator[list[str]]:
    iterator = iter(stories)
    bar = None
    if progress:
        from tqdm.auto import tqdm

        total = len(stories) if hasattr(stories, "__len__") and not getattr(stories, "streaming", False) else None
        bar = tqdm(total=total, unit=" stories", desc="scoring", leave=False)
    while texts := list(islice(iterator, CHUNK)):
        yield texts
        if bar is not None:
            bar.update(len(texts))
    if bar is not None:
        bar.close()


def _floor(stories, count: int) -> float | None:
    """The stories' own nats, if they carry them."""
    if getattr(stories, "streaming", True):
        return None
    dataset = getattr(stories, "dataset", None)
    if "nats" not in (getattr(dataset, "column_names", None) or []) or len(dataset) != count:
        return None
    return float(np.sum(np.asarray(dataset["nats"], dtype=np.float64)))
