"""Several processes in one: each is a thread, and `torch.distributed` is replaced meanwhile by what they do together.

A sum over processes waits until all have asked for it. Where that can never be, because another process has ended or
waits for something else, a real run would hang; here all are set free, and `Hung` says who waits for what.
"""

import inspect
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist

from course.checks.answer import TooSlow

# What is not imitated: where an answer calls one of these it is told so.
OTHERS = (
    "all_gather_into_tensor", "all_reduce_coalesced", "all_to_all", "all_to_all_single", "batch_isend_irecv", "gather",
    "gather_object", "irecv", "isend", "monitored_barrier", "new_group", "recv", "reduce_scatter",
    "reduce_scatter_tensor", "scatter", "send",
)  # fmt: skip


class Hung(Exception):
    """A real run would wait for ever, or add up what does not belong together."""


class NotATensor(TypeError):
    """Something else than a tensor was to be summed: most often the gradient of a parameter that has none."""


class _SetFree(BaseException):
    """Ends a thread that waits for what never comes. Not an `Exception`: an answer must not swallow it."""


class _Step:
    """One thing that all processes do together: the k-th of each."""

    def __init__(self):
        self.kind: dict[int, tuple] = {}  # of each process that has come: what it asks for, and how
        self.given: dict[int, object] = {}  # and what it gave, as it was then


class Imitation:
    """`count` processes that run the same function, each with an argument of its own."""

    def __init__(self, count: int, seconds: float = 20.0):
        self.count, self.seconds = count, seconds
        self.asked = [0] * count  # how many things each process has asked for
        self.not_awaited: set = set()  # handles of async_op=True whose end nobody waited for
        self.hung = ""
        self._steps: list[_Step] = []
        self._waits: dict[int, int] = {}  # of each process that waits, for which step
        self._ended: set[int] = set()
        self._over = False
        self._changes, self._here = threading.Condition(), threading.local()
        self._errors: dict[int, BaseException] = {}

    def run(self, function: Callable, arguments: Sequence) -> None:
        """Call `function` in every process at the same time.

        Raises:
            Hung: it would not come to its end. Otherwise whatever the first of the processes raised.
        """
        threads = [
            threading.Thread(target=self._process, args=(rank, function, argument), daemon=True)
            for rank, argument in enumerate(arguments)
        ]
        with self._in_place(function):
            for thread in threads:
                thread.start()
            try:
                until = time.monotonic() + self.seconds + 3
                for thread in threads:
                    thread.join(max(0.0, until - time.monotonic()))
            finally:
                with self._changes:
                    self._over = True
                    self._changes.notify_all()
        errors = [self._errors[rank] for rank in sorted(self._errors)]
        if any(thread.is_alive() for thread in threads) or any(isinstance(each, TooSlow) for each in errors):
            raise TooSlow
        if errors:
            raise errors[0]
        if self.hung:
            raise Hung(self.hung)

    def _process(self, rank: int, function: Callable, argument) -> None:
        self._here.rank = rank
        try:
            function(argument)
        except _SetFree:
            pass
        except BaseException as error:
            self._errors[rank] = error
        finally:
            with self._changes:
                self._ended.add(rank)
                self._waits.pop(rank, None)
                self._look()

    # ------------------------------------------------------------------ what they do together

    def _ask(self, name: str, given, how: tuple, after: Callable, async_op: bool = False):
        """Take part in the next step; `after`, with what all gave, is called when all have come and this one waits."""
        rank = self._rank()
        if isinstance(given, torch.Tensor):
            given = given.detach().clone()
        with self._changes:
            number = self.asked[rank]
            self.asked[rank] += 1
            if number == len(self._steps):
                self._steps.append(_Step())
            step = self._steps[number]
            step.kind[rank], step.given[rank] = (name, *how), given
            self._look()
            self._changes.notify_all()
        handle = _Handle(self, rank, number, after)
        if not async_op:
            handle.wait()
            return None
        self.not_awaited.add(handle)
        return handle

    def _wait(self, rank: int, number: int) -> list:
        step = self._steps[number]
        with self._changes:
            self._waits[rank] = number
            self._look()
            while self._is_open(step) and not self.hung and not self._over:
                self._changes.wait(0.05)
            self._waits.pop(rank, None)
            if self._is_open(step):
                raise _SetFree
            return [step.given[each] for each in range(self.count)]

    def _is_open(self, step: _Step) -> bool:
        """Whether some process has not come to it, or they want different things of it."""
        return len(step.kind) < self.count or len(set(step.kind.values())) > 1

    def _look(self) -> None:
        """See whether nobody can go on: only then, so that what is said does not hang on who was faster."""
        opened = [number for number, step in enumerate(self._steps) if self._is_open(step)]
        free = [rank for rank in range(self.count) if rank not in self._ended and self._waits.get(rank) not in opened]
        if self.hung or free or not opened:
            return
        number, step = opened[0], self._steps[opened[0]]
        first = min(step.kind)
        odd = next((rank for rank in sorted(step.kind) if step.kind[rank] != step.kind[first]), None)
        if odd is not None:
            self.hung = (
                f"call {number + 1} of process {first} is {_said(step.kind[first])}, and that of process {odd} is "
                f"{_said(step.kind[odd])}"
            )
        else:
            absent = next(rank for rank in range(self.count) if rank not in step.kind)
            self.hung = (
                f"process {first} makes call {number + 1}, {_said(step.kind[first])}, and process {absent} makes "
                f"only {self.asked[absent]}"
            )
        self._changes.notify_all()

    def _rank(self) -> int:
        rank = getattr(self._here, "rank", None)
        if rank is None:
            raise RuntimeError("torch.distributed was called outside the imitated processes")
        if self._over or self.hung:
            raise _SetFree
        return rank

    # ------------------------------------------------------------------ in the place of torch.distributed

    def all_reduce(self, tensor, op=None, group=None, async_op=False):
        how = _how(tensor, op)

        def after(given: list) -> None:
            _write(tensor, _reduced(given, how[2]))

        return self._ask("all_reduce", tensor, how, after, async_op)

    def reduce(self, tensor, dst=None, op=None, group=None, async_op=False, group_dst=None):
        how, to, rank = _how(tensor, op), dst if dst is not None else group_dst, self._rank()

        def after(given: list) -> None:
            if rank == to:
                _write(tensor, _reduced(given, how[2]))

        return self._ask("reduce", tensor, (*how, to), after, async_op)

    def broadcast(self, tensor, src=None, group=None, async_op=False, group_src=None):
        src = src if src is not None else group_src

        def after(given: list) -> None:
            _write(tensor, given[src])

        return self._ask("broadcast", tensor, (*_how(tensor, "SUM"), src), after, async_op)

    def all_gather(self, tensor_list, tensor, group=None, async_op=False):
        def after(given: list) -> None:
            for into, each in zip(tensor_list, given, strict=True):
                _write(into, each)

        return self._ask("all_gather", tensor, _how(tensor, "SUM"), after, async_op)

    def all_gather_object(self, object_list, obj, group=None):
        def after(given: list) -> None:
            object_list[:] = given

        return self._ask("all_gather_object", obj, (), after)

    def barrier(self, group=None, async_op=False, device_ids=None):
        return self._ask("barrier", None, (), lambda given: None, async_op)

    def get_world_size(self, group=None) -> int:
        return self.count

    def get_rank(self, group=None) -> int:
        return self._rank()

    def is_initialized(self) -> bool:
        return True

    is_available = is_initialized

    def get_backend(self, group=None) -> str:
        return "gloo"

    @contextmanager
    def _in_place(self, function: Callable):
        """Put all this where an answer finds it: in the module, and where names of it were imported from there."""
        own = ["all_reduce", "reduce", "broadcast", "all_gather", "all_gather_object", "barrier", "get_world_size",
               "get_rank", "is_initialized", "is_available", "get_backend"]  # fmt: skip
        stand_ins = {name: getattr(self, name) for name in own}
        stand_ins |= {name: _refused(name, own) for name in OTHERS}
        kept = {name: vars(dist)[name] for name in stand_ins if name in vars(dist)}
        answer = inspect.unwrap(getattr(function, "function", function))
        scope = getattr(answer, "__globals__", {})
        meant = {id(old): stand_ins[name] for name, old in kept.items()}
        imported = {name: old for name, old in list(scope.items()) if id(old) in meant and scope is not vars(dist)}
        try:
            scope.update({name: meant[id(old)] for name, old in imported.items()})
            for name, stand_in in stand_ins.items():
                setattr(dist, name, stand_in)
            yield
        finally:
            scope.update(imported)
            for name in stand_ins:
                if name in kept:
                    setattr(dist, name, kept[name])
                else:
                    delattr(dist, name)


class _Handle:
    """What async_op=True returns."""

    def __init__(self, world: Imitation, rank: int, number: int, after: Callable):
        self._world, self._rank, self._number, self._after = world, rank, number, after
        self._done = False

    def wait(self, timeout=None) -> bool:
        if not self._done:
            self._after(self._world._wait(self._rank, self._number))
            self._world.not_awaited.discard(self)
            self._done = True
        return True

    def is_completed(self) -> bool:
        return self._done


def _how(tensor, op) -> tuple:
    """The shape, the type of numbers and the way of reducing: all processes must agree on them."""
    if not isinstance(tensor, torch.Tensor):
        raise NotATensor(f"{type(tensor).__name__} was handed to torch.distributed, which takes a tensor")
    how = "SUM" if op is None else str(op).split(".")[-1].upper()
    return tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), how


def _reduced(given: list, how: str) -> torch.Tensor:
    every = torch.stack(given)
    ways = {"SUM": lambda x: x.sum(0), "MAX": lambda x: x.amax(0), "MIN": lambda x: x.amin(0),
            "PRODUCT": lambda x: x.prod(0), "AVG": lambda x: x.sum(0) / len(x)}  # fmt: skip
    if how not in ways:
        raise RuntimeError(f"this check imitates ReduceOp.SUM, AVG, MAX, MIN and PRODUCT, not {how}")
    return ways[how](every)


@torch.no_grad()
def _write(tensor: torch.Tensor, value: torch.Tensor) -> None:
    tensor.copy_(value)


def _refused(name: str, own: list[str]) -> Callable:
    def refuse(*_, **__):
        raise RuntimeError(f"this check does not imitate torch.distributed.{name}, but {', '.join(own[:6])}")

    return refuse


def _said(kind: tuple) -> str:
    """A step in words: "all_reduce of a tensor of shape (3, 2)"."""
    name, *how = kind
    if not how:
        return name
    reduced = "" if how[2] == "SUM" else f", {how[2]}"
    return f"{name} of a tensor of shape {how[0]}, {how[1]}{reduced}"
