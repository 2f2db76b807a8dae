"""A small training program made of organs, and what a person sees who runs it.

    healthy = Program()
    chart = healthy.run(seed=0)                               # trained for a second or two
    ill = replace(healthy, attention=forgetful.Attention)     # the same program with one organ replaced
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor, nn

from course.clinic import healthy as organs
from course.clinic.few_tokens import FewTokens
from helpers.model import GPT, GPTConfig
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer

SENTENCES = 2  # of each story: its opening fits the context, so that its end is asked for, too


@lru_cache(maxsize=2)
def first_sentences(split: str) -> list[str]:
    """The first two sentences of bundled stories, 1,500 of training or 200 of validation."""
    texts = load_stories("bundled", split=split, limit=1_500 if split == "train" else 200)
    return [" ".join(re.split(r"(?<=[.!?])\s+", text)[:SENTENCES]) for text in texts]


@lru_cache(maxsize=1)
def tokenizer() -> FewTokens:
    """The course's own, cut down to the tokens of these sentences: most of a step's time would go into the others."""
    return FewTokens(load_tokenizer("bundled"), [*first_sentences("train"), *first_sentences("validation")])


@lru_cache(maxsize=2)
def openings(split: str) -> tuple[tuple[int, ...], ...]:
    """The ids of those sentences, without end tokens."""
    return tuple(map(tuple, tokenizer().encode_batch(first_sentences(split))))


def small(n_layer: int = 2, n_head: int = 4, d_model: int = 64, **others) -> GPTConfig:
    """The sizes of a program's model, with the clinic's vocabulary and a context of 64."""
    return GPTConfig(tokenizer().vocab_size, 64, n_layer=n_layer, n_head=n_head, d_model=d_model, **others)


@dataclass(frozen=True)
class Chart:
    """What was seen of one run.

    Attributes:
        losses: of each step, before it, in nats per token; norms: the gradient's, before clipping.
        validation: nats per token afterwards; sample: how the trained model goes on with the beginning of a story.
        more: named numbers or lists that only some patients show.
    """

    losses: tuple[float, ...]
    norms: tuple[float, ...]
    validation: float
    sample: str
    model: nn.Module = field(repr=False, compare=False)
    more: dict = field(default_factory=dict)

    @property
    def first(self) -> float:
        return self.losses[0]

    @property
    def last(self) -> float:
        """The mean of the last ten steps."""
        return sum(self.losses[-10:]) / len(self.losses[-10:])


@dataclass(frozen=True)
class Program:
    """All of a small training program. First its organs, each a function or class as in `course.clinic.healthy`."""

    attention: type[nn.Module] = organs.Attention
    initialize: Callable[[nn.Module], None] = organs.initialize
    batches: Callable[..., Iterator[tuple[Tensor, Tensor]]] = organs.batches
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor] = organs.loss
    train: Callable[..., Iterator[tuple[float, float]]] = organs.train
    evaluate: Callable[..., float] = organs.evaluate
    generate: Callable[..., list[int]] = organs.generate
    config: GPTConfig = field(default_factory=small)
    steps: int = 90
    batch_size: int = 8
    lr: float = 8e-3
    training: tuple = field(default_factory=lambda: openings("train"), repr=False)
    held_out: tuple = field(default_factory=lambda: openings("validation"), repr=False)

    def model(self, seed: int = 0) -> GPT:
        """A new model, its attention and its initialization the program's own."""
        torch.manual_seed(seed)
        model = GPT(self.config)
        for block in model.blocks:
            block.attn = self.attention(self.config)
        self.initialize(model)
        return model

    def data(self, seed: int = 0, held_out: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches as this program makes them, of training or of validation stories."""
        stories = list(map(list, self.held_out if held_out else self.training))
        return self.batches(stories, self.batch_size, tokenizer().eos_token_id, seed)

    def run(self, seed: int = 0) -> Chart:
        """Train, score, and let it tell: all that its owner sees. Global generators are left as they were."""
        with one_thread(), torch.random.fork_rng(devices=[]):
            model = self.model(seed)
            losses, norms = zip(*self.train(model, self.loss, self.data(seed), self.steps, self.lr), strict=True)
            validation = self.evaluate(model, self.loss, self.data(seed=0, held_out=True))
            return Chart(losses, norms, validation, self.tell(model), model)

    def tell(self, model: nn.Module, beginning: str = "One Saturday,") -> str:
        """How a model goes on, always with the most probable token."""
        end = tokenizer().eos_token_id
        told = self.generate(model, [end, *tokenizer().encode(beginning)], 40, end)
        return tokenizer().decode(told[1:])


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order, so that a run gives the same numbers however many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
