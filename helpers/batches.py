"""Batches of ids and targets from tokenised stories: windows from anywhere, or rows that start with a story.

Both samplers are decided by their seed, and their state fits into a line of JSON: saved and loaded, they go
on with exactly the batches that would have come.
"""

import numpy as np
import torch

from helpers.errors import CourseError
from helpers.token_files import TokenFile, tokenize_stories

__all__ = ["IGNORED", "StorySampler", "TokenFile", "WindowSampler", "tokenize_stories"]

IGNORED = -100  # a target that the loss leaves out, as `torch.nn.functional.cross_entropy` does


class _Sampler:
    """What the two samplers share: their settings, and a state that can be saved as JSON and loaded again."""

    def __init__(self, token_file: TokenFile, batch_size: int, context_length: int, seed: int):
        for name, value in (("batch_size", batch_size), ("context_length", context_length)):
            if value < 1:
                raise CourseError(f"{name} must be 1 or more, not {value}")
        if seed < 0:
            raise CourseError(f"seed must be 0 or more, not {seed}")
        self.token_file, self.batch_size, self.context_length, self.seed = (
            token_file,
            batch_size,
            context_length,
            seed,
        )

    def _settings(self) -> dict:
        return {
            "sampler": type(self).__name__,
            "stories": self.token_file.fingerprint,
            "batch_size": self.batch_size,
            "context_length": self.context_length,
            "seed": self.seed,
        }

    def _place(self) -> dict[str, int]:
        raise NotImplementedError

    def state_dict(self) -> dict:
        """Settings and place, as JSON can hold them; who loads them goes on with the same batches."""
        return self._settings() | self._place()

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state` was saved.

        Raises:
            CourseError: it was saved by a sampler of other stories or settings, so that the batches would
                differ.
        """
        for name, value in self._settings().items():
            if state.get(name) != value:
                raise CourseError(f"the saved sampler had {name}={state.get(name)!r}, this one has {value!r}")
        for name in self._place():
            setattr(self, name, int(state[name]))

    def _batch(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.from_numpy(rows.astype(np.int64))
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


class WindowSampler(_Sampler):
    """Windows that start anywhere in the file, drawn at random with replacement.

    The batch of step n depends on the seed and n alone, so the step is the whole state.
    """

    def __init__(self, token_file: TokenFile, batch_size: int, context_length: int, seed: int = 0):
        super().__init__(token_file, batch_size, context_length, seed)
        self.step = 0
        self._starts = len(token_file.ids) - context_length
        if self._starts < 1:
            raise CourseError(
                f"context_length {context_length} is longer than all stories ({token_file.tokens} tokens)"
            )

    def _place(self) -> dict[str, int]:
        return {"step": self.step}

    @property
    def epochs(self) -> float:
        """Tokens drawn so far over tokens in the file."""
        return self.step * self.batch_size * self.context_length / self.token_file.tokens

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """`(ids, targets)`, each (batch_size, context_length) int64; targets are one place further."""
        starts = np.random.default_rng([self.seed, self.step]).integers(0, self._starts, self.batch_size)
        self.step += 1
        return self._batch(np.stack([self.token_file.ids[at : at + self.context_length + 1] for at in starts]))


class StorySampler(_Sampler):
    """Rows that start where a story starts; each epoch uses every story once, in an order of its own.

    With `fill`, stories follow one another in a row until it is full, and the last is cut there: no place is
    wasted, and a model sees across the borders of stories, whose places the end tokens mark. Without `fill`,
    a row is one
    story: the rest has end tokens as ids and `IGNORED` as targets, and the batch is as wide as its longest
        row. Either way a story longer than the context loses its end.
    """

    def __init__(self, token_file: TokenFile, batch_size: int, context_length: int, seed: int = 0, fill: bool = True):
        super().__init__(token_file, batch_size, context_length, seed)
        self.fill = fill
        self.epoch = self.position = 0  # position: stories of this epoch that were used
        self._order: tuple[int, np.ndarray] | None = None

    def _settings(self) -> dict:
        return super()._settings() | {"fill": self.fill}

    def _place(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position}

    @property
    def epochs(self) -> float:
        """Stories used so far over stories in the file."""
        return self.epoch + self.position / len(self.token_file)

    @property
    def cut(self) -> float:
        """The share of all stories that are longer than the context and lose their end."""
        return float((self.token_file.lengths() > self.context_length).mean())

    def _next_story(self) -> np.ndarray:
        """The next story of this epoch's order, which depends on the seed and the epoch alone."""
        if self.position >= len(self.token_file):
            self.epoch, self.position = self.epoch + 1, 0
        if self._order is None or self._order[0] != self.epoch:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.token_file))
            self._order = self.epoch, order
        self.position += 1
        return self.token_file.story(int(self._order[1][self.position - 1]))

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """`(ids, targets)`, each (batch_size, context_length) int64, narrower without `fill` where stories
        are short.

        ids begin with the end token, targets with a story's first token.
        """
        wanted = self.context_length + 1
        rows, lengths = np.full((self.batch_size, wanted), self.token_file.end_id, dtype=np.int64), []
        for row in rows:
            length = 1  # the end token before the story
            while length == 1 or (self.fill and length < wanted):
                story = self._next_story()[: wanted - length]
                row[length : length + len(story)] = story
                length += len(story)
            lengths.append(length)
        ids, targets = self._batch(rows[:, : max(lengths)])
        for target, length in zip(targets, lengths, strict=True):
            target[length - 1 :] = IGNORED
        return ids, targets
