"""How much memory a piece of PyTorch holds at its peak, counted tensor by tensor: the same on every machine."""

import weakref
from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_bytes(call: Callable[[], object]) -> int:
    """The most bytes that tensors made inside `call()` held at one time.

    Every operator's results are counted from when they are made until nothing refers to them; views share what they
    view, and are not counted again. Tensors from before are not counted, nor what a kernel uses for itself inside.
    What autograd keeps for the backward pass is: call under `torch.no_grad()` to leave it out.
    """
    with _Counting() as count:
        result = call()
    del result
    return count.most


class _Counting(TorchDispatchMode):
    """Follows the storages of all tensors that operators return."""

    def __init__(self):
        super().__init__()
        self.held = self.most = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = {storage._cdata for storage in _storages((args, kwargs))}
        result = function(*args, **(kwargs or {}))
        for storage in _storages(result):
            if storage._cdata not in given:  # neither a view nor in place
                self._follow(storage)
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known[key] = size
        self.held += size
        self.most = max(self.most, self.held)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.held -= self._known.pop(key)


def _storages(values: object) -> list[torch.UntypedStorage]:
    """The memory behind all tensors in `values`; that of a sparse one is its indices' and its values'."""
    found = []
    for tensor in tree_leaves(values):
        if isinstance(tensor, torch.Tensor):
            parts = (tensor._indices(), tensor._values()) if tensor.layout is torch.sparse_coo else (tensor,)
            found += [part.untyped_storage() for part in parts]
    return found
