"""Programs that do more than train once, each with one organ more: what a patient's owner had who did that.

Each is a `Program` whose `run` also divides its stories, spreads them over processes, is interrupted and goes on, packs
its tokens into a file, loads a model, or tells in another way. Their further organs stand in `course.clinic.healthier`.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.clinic import healthier as organs
from course.clinic.program import Chart, Program, one_thread, openings, tokenizer
from course.clinic.structure import read_again

BEGINNINGS = (
    "One Saturday,", "Once upon a time", "There was", "A little girl", "The dog", "Her mother", "In the morning",
    "Every day", "Tom and", "The sun",
)  # fmt: skip


@dataclass(frozen=True)
class ScoringTwice(Program):
    """It scores its model once more, on the same batches."""

    def run(self, seed: int = 0) -> Chart:
        chart = Program.run(self, seed)
        with one_thread(), torch.random.fork_rng(devices=[]):
            chart.model.train()  # as training left it
            again = self.evaluate(chart.model, self.loss, self.data(seed=0, held_out=True))
        return replace(chart, more={"scored once more": again})


@dataclass(frozen=True)
class Dividing(Program):
    """It has one set of stories, and divides it into those for training and those for validation."""

    split: Callable[[list, int], tuple[list, list]] = organs.split

    def data(self, seed: int = 0, held_out: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        training, validation = self.split(list(map(list, self.training)), 0)
        chosen = validation if held_out else training
        return self.batches(chosen, self.batch_size, tokenizer().eos_token_id, seed)

    def run(self, seed: int = 0) -> Chart:
        """As ever, and a score on stories that the program never had."""
        chart = Program.run(self, seed)
        with one_thread():
            new = self.batches(list(map(list, openings("validation"))), 8, tokenizer().eos_token_id, 0)
            return replace(chart, more={"loss on new stories": self.evaluate(chart.model, self.loss, new)})


@dataclass(frozen=True)
class Measuring(Program):
    """It scores the same stories in batches of one size and of another."""

    sizes: tuple[int, int] = (1, 50)

    def run(self, seed: int = 0) -> Chart:
        chart, more = Program.run(self, seed), {}
        with one_thread():
            for size in self.sizes:
                made = list(self.in_order(size))
                name = f"validation, batches of {size}"
                more[name] = self.evaluate(chart.model, self.loss, iter(made), len(made))
        return replace(chart, more=more)

    def in_order(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every validation story once, `size` at a time."""
        for first in range(0, len(self.held_out), size):
            some = list(map(list, self.held_out[first : first + size]))
            yield next(self.batches(some, len(some), tokenizer().eos_token_id, 0))


@dataclass(frozen=True)
class Sharing(Program):
    """It trains in several processes, which are taken in turn here; each has the batches that `share` gives it."""

    share: Callable[..., Iterator[tuple[Tensor, Tensor]]] = organs.share
    train: Callable[..., Iterator[tuple[float, float]]] = organs.train_together
    processes: int = 4

    def data(self, seed: int = 0, held_out: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the processes in turn, so that `processes` of them make one step."""
        if held_out:
            return Program.data(self, seed, held_out)
        stories, end = list(map(list, self.training)), tokenizer().eos_token_id
        ranks = range(self.processes)
        shares = [self.share(stories, self.batch_size, end, seed, rank, self.processes) for rank in ranks]
        return (next(shares[step % self.processes]) for step in count())


@dataclass(frozen=True)
class Resuming(Program):
    """It is stopped half-way, and goes on in a new process from what was saved."""

    train: Callable[..., Iterator[tuple[float, float]]] = organs.train_in_parts

    def run(self, seed: int = 0) -> Chart:
        with one_thread(), torch.random.fork_rng(devices=[]):
            saved, seen = {}, []
            for until, of_process in ((self.steps // 2, 0), (self.steps, 1)):
                model = self.model(seed + of_process)  # another process begins with another model
                saved = copy.deepcopy(saved)  # a file shares nothing with the process that wrote it
                seen += self.train(model, self.loss, self.data(seed), self.steps, self.lr, saved, until)
            losses, norms = zip(*seen, strict=True)
            validation = self.evaluate(model, self.loss, self.data(seed=0, held_out=True))
            after = losses[self.steps // 2 : self.steps // 2 + 10]
            more = {"loss of ten after the stop": sum(after) / len(after)}
            return Chart(losses, norms, validation, self.tell(model), model, more)


@dataclass(frozen=True)
class Reloading(Program):
    """It trains, saves the weights, and a new process loads them and trains on."""

    load: Callable[[nn.Module, dict[str, Tensor]], nn.Module] = organs.load

    def run(self, seed: int = 0) -> Chart:
        with one_thread(), torch.random.fork_rng(devices=[]):
            model, data, half = self.model(seed), self.data(seed), self.steps // 2
            seen = list(self.train(model, self.loss, data, half, self.lr))
            weights = {name: p.detach().clone() for name, p in model.named_parameters()}  # a tied head is not repeated
            before = self.evaluate(model, self.loss, self.data(0, held_out=True))
            model = self.load(self.model(seed + 1), weights)
            after = self.evaluate(model, self.loss, self.data(0, held_out=True))
            seen += self.train(model, self.loss, data, self.steps - half, self.lr)
            losses, norms = zip(*seen, strict=True)
            validation = self.evaluate(model, self.loss, self.data(0, held_out=True))
            more = {"validation when saved": before, "validation when loaded": after}
            return Chart(losses, norms, validation, self.tell(model), model, more)


@dataclass(frozen=True)
class Packing(Program):
    """It writes all stories into one array of numbers first, as a file of tokens is written, and reads them from it."""

    pack: Callable[[list[list[int]], int, int], object] = organs.pack

    def data(self, seed: int = 0, held_out: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        stories, end = list(map(list, self.held_out if held_out else self.training)), tokenizer().eos_token_id
        packed, read = self.pack(stories, end, self.config.vocab_size), [[]]
        for token in packed.tolist():
            if token != end:
                read[-1].append(token)
            elif read[-1]:
                read.append([])
        longest = self.config.context_length - 1
        return self.batches([ids[:longest] for ids in read if ids], self.batch_size, end, seed)


@dataclass(frozen=True)
class Caching(Program):
    """It tells with a cache of its own."""

    cache: type = organs.Cache

    def run(self, seed: int = 0) -> Chart:
        """As ever, and how many of some beginnings go on as they do when all is read again for every token."""
        chart, end = Program.run(self, seed), tokenizer().eos_token_id
        with one_thread(), torch.no_grad():
            same, nats = 0, []
            for beginning in BEGINNINGS:
                ids = [end, *tokenizer().encode(beginning)]
                told, slowly = (
                    organs.tell_with(self.cache(chart.model), ids, 25, end),
                    read_again(chart.model, ids, 25, end),
                )
                same += told == slowly
                nats.append(surprise(chart.model, told, len(ids)))
        more = {"beginnings that go on as without a cache": same, "nats per token it tells": sum(nats) / len(nats)}
        return replace(chart, more=more, sample=self.tell(chart.model))

    def tell(self, model: nn.Module, beginning: str = "One Saturday,") -> str:
        end = tokenizer().eos_token_id
        told = organs.tell_with(self.cache(model), [end, *tokenizer().encode(beginning)], 40, end)
        return tokenizer().decode(told[1:])


def surprise(model: nn.Module, ids: list[int], begun: int) -> float:
    """Mean nats that the model, reading all of it, gives to the tokens behind the first `begun`."""
    model.eval()
    logits = model(torch.tensor([ids[:-1]]))[0, begun - 1 :]
    return F.cross_entropy(logits, torch.tensor(ids[begun:])).item()
