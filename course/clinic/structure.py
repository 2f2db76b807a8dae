"""Attentions and initializations that are ill, each in full as its owner wrote it, and ways to look at such programs.

Nothing is said here about what is wrong with an organ; `course.clinic.structure_patients` says who has which fault.
"""

import math
from dataclasses import replace
from statistics import mean

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.clinic.program import Chart, Program, one_thread, tokenizer
from helpers.kv_cache import KVCache


@torch.no_grad()
def ada_initialize(model: nn.Module) -> None:
    """Start all weights: biases at zero, LayerNorms at one, the rest from normal distributions."""
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.fill_(1.0)
            module.bias.zero_()
        elif isinstance(module, nn.Linear) and module is not model.head:  # the head's weights are the embedding's
            nn.init.normal_(module.weight, std=0.02)
            module.bias.zero_()
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
    for block in model.blocks:  # what adds to the residual stream adds less, the more blocks there are
        for layer in (block.attn.proj, block.mlp.proj):
            layer.weight.div_(math.sqrt(2 * len(model.blocks)))


class FayAttention(nn.Module):
    """Causal attention of many heads by PyTorch's fused function."""

    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.proj = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
        B, T, d_model = x.shape
        q, k, v = (part.view(B, T, self.n_head, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        visible = None
        if cache is not None:
            k, v, visible = cache.extend(k, v)  # all keys and values so far, and which of them each query sees
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible)  # (B, n_head, T, d_head)
        return self.proj(mixed.transpose(1, 2).reshape(B, T, d_model))


class GusAttention(nn.Module):
    """Causal attention of many heads, step by step."""

    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.proj = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
        B, T, d_model = x.shape
        d_head = d_model // self.n_head
        q, k, v = (part.view(B, T, self.n_head, d_head).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        visible = torch.ones(T, T, dtype=torch.bool).tril()
        if cache is not None:
            k, v, visible = cache.extend(k, v)  # (B, n_head, past + T, d_head)
        scores = q @ k.transpose(-2, -1) / math.sqrt(d_head)  # (B, n_head, T, past + T)
        weights = F.softmax(scores, dim=-1)
        if visible is not None:
            weights = weights.masked_fill(~visible, 0.0)
        mixed = (weights @ v).transpose(1, 2).reshape(B, T, d_model)
        return self.proj(mixed)


class HanaAttention(nn.Module):
    """Causal attention of many heads; the axes are batch b, query q, key k, head h, feature d."""

    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.proj = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
        B, T, d_model = x.shape
        q, k, v = (part.view(B, T, self.n_head, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        visible = torch.ones(T, T, dtype=torch.bool).tril()
        if cache is not None:
            k, v, visible = cache.extend(k, v)  # (B, n_head, past + T, d_head)
        scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
        if visible is not None:
            scores = scores.masked_fill(~visible, -math.inf)
        weights = torch.softmax(scores, dim=2)
        mixed = torch.einsum("bhqk,bhkd->bqhd", weights, v)
        return self.proj(mixed.reshape(B, T, d_model))


class IvoAttention(nn.Module):
    """Causal attention of many heads by PyTorch's fused function."""

    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.proj = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
        B, T, d_model = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q = q.view(B, T, self.n_head, -1).transpose(1, 2)
        k = k.view(B, T, self.n_head, -1).transpose(1, 2)
        v = v.view(B, T, self.n_head, -1).transpose(1, 2)
        visible = None
        if cache is not None:
            k, v, visible = cache.extend(k, v)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, is_causal=cache is None)
        return self.proj(mixed.contiguous().view(B, T, d_model))


class JunAttention(nn.Module):
    """Causal attention of many heads, PyTorch's own layer."""

    def __init__(self, config):
        super().__init__()
        self.inner = nn.MultiheadAttention(config.d_model, config.n_head)

    def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
        if cache is not None:
            raise ValueError("this layer keeps no keys and values: read the whole text again")
        length = x.size(0)
        hidden = torch.ones(length, length, dtype=torch.bool).triu(diagonal=1)  # True: must not be looked at
        mixed, _ = self.inner(x, x, x, attn_mask=hidden, need_weights=False)
        return mixed


class KiraAttention(nn.Module):
    """Causal attention of many heads, step by step."""

    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.proj = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
        B, T, d_model = x.shape
        q, k, v = (part.view(B, T, self.n_head, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        visible = torch.ones(T, T, dtype=torch.bool).tril()
        if cache is not None:
            k, v, visible = cache.extend(k, v)  # (B, n_head, past + T, d_head)
        scores = q @ k.transpose(-2, -1)  # (B, n_head, T, past + T)
        if visible is not None:
            scores = scores.masked_fill(~visible, -math.inf)
        mixed = scores.softmax(dim=-1) @ v  # (B, n_head, T, d_head)
        return self.proj(mixed.transpose(1, 2).reshape(B, T, d_model))


def mona_train(model: nn.Module, loss, batches, steps: int, lr: float):
    """Train a model in place; yields each step's loss and the gradient's norm before clipping."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        inputs, targets = next(batches)
        value = loss(model, inputs, targets)
        optimizer.zero_grad()
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield value.item(), norm.item()


@torch.no_grad()
def leo_initialize(model: nn.Module) -> None:
    """Every matrix such that its output is about as large as its input; embeddings smaller, biases at zero."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.dim() == 1:  # the weight of a LayerNorm
            parameter.fill_(1.0)
        elif name in ("wte.weight", "wpe.weight"):  # the first is the head, too
            parameter.normal_(std=0.1)
        else:
            parameter.normal_(std=1 / math.sqrt(parameter.shape[1]))


@torch.no_grad()
def outputs_as_large(model: nn.Module, embeddings: float = 0.02) -> None:
    """Healthy, for post-LN: every matrix keeps its output about as large as its input."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.dim() == 1:  # the weight of a LayerNorm
            parameter.fill_(1.0)
        elif name in ("wte.weight", "wpe.weight"):
            parameter.normal_(std=embeddings)
        else:
            parameter.normal_(std=1 / math.sqrt(parameter.shape[1]))


@torch.no_grad()
def less_added(model: nn.Module, embeddings: float = 0.02) -> None:
    """Healthy, for pre-LN: as before, and what adds to the residual stream adds less, the more blocks there are."""
    outputs_as_large(model, embeddings)
    for name, parameter in model.named_parameters():
        if name.endswith("proj.weight"):
            parameter.div_(math.sqrt(2 * model.config.n_layer))


class TextByText(nn.Module):
    """Healthy: PyTorch's own layer, told what comes first."""

    def __init__(self, config):
        super().__init__()
        self.inner = nn.MultiheadAttention(config.d_model, config.n_head, batch_first=True)

    def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
        if cache is not None:
            raise ValueError("this layer keeps no keys and values: read the whole text again")
        hidden = torch.ones(x.size(1), x.size(1), dtype=torch.bool).triu(diagonal=1)  # True: must not be looked at
        return self.inner(x, x, x, attn_mask=hidden, need_weights=False)[0]


@torch.no_grad()
def read_again(model: nn.Module, ids: list[int], count: int, end: int) -> list[int]:
    """As `healthy.generate`, without a cache: the whole text is read again for each token. Slower, and simpler."""
    model.eval()
    ids = list(ids)
    for _ in range(count):
        logits = model(torch.tensor([ids[-model.config.context_length :]]))  # (1, T, V)
        ids.append(int(logits[0, -1].argmax()))
        if ids[-1] == end:
            break
    return ids


def eight_stories(program: Program) -> tuple[Tensor, Tensor]:
    """(inputs, targets) of the first validation stories, (8, longest) each, as `healthy.batches` makes them."""
    end = tokenizer().eos_token_id
    rows = [[end, *story, end] for story in program.held_out[:8]]
    longest = max(map(len, rows)) - 1
    inputs, targets = torch.full((8, longest), end), torch.full((8, longest), -100)
    for i, row in enumerate(rows):
        inputs[i, : len(row) - 1] = torch.tensor(row[:-1])
        targets[i, : len(row) - 1] = torch.tensor(row[1:])
    return inputs, targets


def alone_and_in_company(program: Program) -> Chart:
    """A run, and afterwards the loss of eight stories, each scored alone, and each as the last of eight."""
    chart = program.run()
    inputs, targets = eight_stories(program)
    changes = []
    with one_thread(), torch.no_grad():
        for i in range(8):
            order = [*range(i + 1, 8), *range(i + 1)]  # i is the last
            nobody = torch.full_like(targets, -100)
            nobody[-1] = targets[i]
            alone = program.loss(chart.model, inputs[i : i + 1], targets[i : i + 1]).item()
            changes.append(abs(program.loss(chart.model, inputs[order], nobody).item() - alone))
    return replace(chart, more=chart.more | {"change in company": mean(changes)})


def whole_and_by_token(program: Program) -> Chart:
    """A run, and afterwards the loss of eight stories, read whole and read token by token with a cache."""
    chart = program.run()
    inputs, targets = eight_stories(program)
    with one_thread(), torch.no_grad():
        whole = program.loss(chart.model, inputs, targets).item()
        cache = KVCache(chart.model)
        logits = [cache.start(inputs[:, :1].tolist())]
        logits += [cache.append(column) for column in inputs[:, 1:].T.tolist()]
        one_by_one = F.cross_entropy(torch.stack(logits, dim=1).flatten(0, 1), targets.flatten()).item()
    return replace(chart, more=chart.more | {"read whole": whole, "read token by token": one_by_one})


def by_token_less_whole(chart: Chart) -> dict[str, float]:
    """How much worse stories are read when the tokens behind are not there yet."""
    return {"difference": chart.more["read token by token"] - chart.more["read whole"]}


def as_it_is_and_padded(program: Program) -> Chart:
    """A run, and afterwards the loss of eight stories, each read as it is and with end tokens behind it."""
    chart = program.run()
    inputs, targets = eight_stories(program)
    lengths = (targets != -100).sum(dim=1).tolist()
    missing = program.config.context_length - inputs.shape[1]
    longer = F.pad(inputs, (0, missing), value=int(inputs[0, 0])), F.pad(targets, (0, missing), value=-100)
    bare, padded = [], []
    with one_thread(), torch.no_grad():
        for i, length in enumerate(lengths):
            row = slice(i, i + 1)
            bare.append(program.loss(chart.model, inputs[row, :length], targets[row, :length]).item())
            padded.append(program.loss(chart.model, longer[0][row], longer[1][row]).item())
    return replace(chart, more=chart.more | {"a story as it is": mean(bare), "the same, padded to 64": mean(padded)})
