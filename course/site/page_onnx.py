"""A model as an ONNX graph for the living page: it reads on from a cache, and gives what it looked at with its logits.

The graph is one step of a story. Letters in shapes: t new tokens, p tokens read before, V tokens in the vocabulary.

    ids        (1, t)                       int32   the new tokens
    past       (layers, 2, heads, p, d_head)        keys and values of what was read before, 0 long at the start
    present    (layers, 2, heads, p + t, d_head)    keys and values of all, the next step's `past`
    attention  (layers, heads, t, p + t)            where each new position looked
    lens       (layers, t, V)                       logits of the stream behind each layer (the logit lens of
                                                    notebook 11); the last layer's are the model's own
"""

import copy
import io
import logging
import math
import warnings
from contextlib import contextmanager, redirect_stdout

import torch
from torch import Tensor, nn

from helpers.errors import CourseError
from helpers.model import GPT, merge_heads
from helpers.modern import ModernConfig

INPUTS, OUTPUTS = ("ids", "past"), ("present", "attention", "lens")


class Kept:
    """What one layer's attention is given beside the stream, and what it leaves to be seen."""

    def __init__(self, past: Tensor, hidden: Tensor):
        self.past, self.hidden = past, hidden  # (2, heads, p, d_head); (t, p + t), true where nobody may look
        self.present = self.weights = None


class WatchedAttention(nn.Module):
    """`CausalSelfAttention` in the open: the same numbers, with its weights and its keys and values to be seen."""

    def __init__(self, attention: nn.Module):
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor, kept: Kept) -> Tensor:
        q, k, v = self.attention.heads(x)
        k, v = (torch.cat((past[None], new), dim=2) for past, new in zip(kept.past, (k, v), strict=True))
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])  # (1, heads, t, p + t)
        kept.weights = scores.masked_fill(kept.hidden, -torch.inf).softmax(dim=-1)
        kept.present = torch.cat((k, v))
        return self.attention.proj(merge_heads(kept.weights @ v))


class Step(nn.Module):
    """One step of a story; see the top of this file. The model itself stays as it is."""

    def __init__(self, model: GPT):
        super().__init__()
        self.model = copy.deepcopy(model).eval()
        for block in self.model.blocks:
            block.attn = WatchedAttention(block.attn)

    def forward(self, ids: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        model, before, new = self.model, past.shape[3], ids.shape[1]
        positions = torch.arange(new) + before
        hidden = torch.arange(before + new) > positions[:, None]
        x = model.wte(ids) * model.scale + model.wpe(positions)
        layers, lens = [], []
        for number, block in enumerate(model.blocks):
            layers.append(Kept(past[number], hidden))
            x = block(x, layers[-1])
            lens.append(model.head(model.ln_f(x))[0])
        present, weights = ([getattr(kept, name) for kept in layers] for name in ("present", "weights"))
        return torch.stack(present), torch.cat(weights), torch.stack(lens)


def check_exportable(model: nn.Module) -> None:
    """Refuse a model that is no `GPT`; all of that one's options can be exported.

    Raises:
        CourseError: naming what the model is.
    """
    if isinstance(model.config, ModernConfig):
        raise CourseError("this model has parts of notebook 14, and the page runs the GPT of notebook 06 alone")


def as_onnx(model: GPT) -> bytes:
    """The bytes of an .onnx file: graph and weights (float32).

    Raises:
        CourseError: the model cannot be exported, or a package is missing.
    """
    check_exportable(model)
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise CourseError(
            f"{error.name} is not installed, and the page needs it: python -m pip install -r docs/requirements.txt"
        ) from error
    config, step = model.config, Step(model).cpu()
    ids = torch.zeros(1, 3, dtype=torch.int32)
    past = torch.zeros(config.n_layer, 2, config.n_head, 5, config.d_head)
    any_length = torch.export.Dim.DYNAMIC
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            step,
            (ids, past),
            dynamo=True,
            verbose=False,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes={"ids": {1: any_length}, "past": {3: any_length}},
        )
    exported = program.model_proto
    _forget_where_it_was_made(exported)
    onnx.checker.check_model(exported)
    return exported.SerializeToString(deterministic=True)


@contextmanager
def _quiet():
    """The exporter tells of every step, warns of itself, and misses packages that nothing here needs."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _forget_where_it_was_made(exported) -> None:
    """Take out the notes for debugging: they hold paths of this machine."""
    graph = exported.graph
    for part in (exported, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del exported.functions[:]
