"""Patients whose attention or initialization is ill, each organ in full as its owner wrote it.

The organs stand first, healthy-looking and without a word about what is wrong with them; who has which fault is said
below, where the patients are made.
"""

import math
from dataclasses import replace
from statistics import mean

import torch
from torch import Tensor, nn

from course.clinic.program import Chart, Program, one_thread, tokenizer
from course.clinic.ward import Cause, Patient


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


def alone_and_in_company(program: Program) -> Chart:
    """A run, and afterwards the loss of eight stories, each scored alone, and each as the last of eight."""
    chart = program.run()
    end = tokenizer().eos_token_id
    rows = [[end, *story, end] for story in program.held_out[:8]]
    longest = max(map(len, rows))
    inputs, targets = torch.full((8, longest), end), torch.full((8, longest), -100)
    for i, row in enumerate(rows):
        inputs[i, : len(row) - 1] = torch.tensor(row[:-1])
        targets[i, : len(row) - 1] = torch.tensor(row[1:])
    alone, last = [], []
    with one_thread(), torch.no_grad():
        for i in range(8):
            order = [*range(i + 1, 8), *range(i + 1)]  # i is the last
            nobody = torch.full_like(targets, -100)
            nobody[-1] = targets[i]
            alone.append(program.loss(chart.model, inputs[i : i + 1], targets[i : i + 1]).item())
            last.append(program.loss(chart.model, inputs[order], nobody).item())
    return replace(chart, more=chart.more | {"a story alone": mean(alone), "as the last of eight": mean(last)})


Patient(
    name="Ada",
    short="a normal distribution of standard deviation 1 for tokens and positions",
    report=(
        "I wrote the start of the weights myself. The very first loss is far above what I know from others, before "
        "anything was trained. It does fall, quickly even, but after as many steps as theirs I am nowhere near them, "
        "and it tells words in no order. What went wrong?"
    ),
    ill={"initialize": ada_initialize},
    causes=(
        Cause(
            "The learning rate is too high.",
            "The first loss is measured before the first step: no learning rate has had any say in it.",
        ),
        Cause(
            "The targets are shifted by one place too many.",
            "An untrained model whose logits are small has a first loss of ln V whatever it is asked for. Wrong "
            "targets show later, in where the curve ends, and not in how it begins.",
        ),
        Cause(
            "The weights begin too large.",
            "The first loss is many times ln V: before any step the model is certain, and wrong. Only large logits do "
            "that, and they come from large weights. The curve then spends its steps on unlearning.",
            right=True,
        ),
        Cause(
            "The loss is a sum over tokens, not their mean.",
            "A sum over a whole batch would be hundreds of times ln V, would change with the length of the texts, and "
            "dividing it could not spoil what is told.",
        ),
    ),
    thread=(
        "pytorch/pytorch issue 3121: Better initialization in Embedding class",
        "https://github.com/pytorch/pytorch/issues/3121",
    ),
)

Patient(
    name="Jun",
    short="batch and time mixed up",
    report=(
        "I replaced my own attention by PyTorch's layer. It trains, without an error and without a spike, but the loss "
        "stays above that of my old layer, in training and in validation. And the odd thing: score the same story "
        "alone, and then as the last of a batch of eight, and you get two different numbers."
    ),
    ill={"attention": JunAttention},
    causes=(
        Cause(
            "Padding is not masked: beside longer stories a short one gets end tokens behind it, and looks at them.",
            "Here both scores are of equally long rows, padding and all. And padding behind a text cannot change what "
            "a causal model says about the text itself.",
        ),
        Cause(
            "The layer takes the batch for the time: stories look at one another, and not at their own past.",
            "A story's score depends on its neighbours, and the loss stays where a model stays that does not know "
            "what came before the current token. Both follow from one mistake.",
            right=True,
        ),
        Cause(
            "Dropout is on while it is scored, so that every call gives another number.",
            "Then two calls on the same batch would differ as well. These do not: the score changes with the company.",
        ),
        Cause(
            "The causal mask is missing.",
            "A model that sees its future gets too good a loss in training. And the future of another row is not in "
            "this row at all: a missing mask leaves the rows apart.",
        ),
    ),
    thread=(
        "IBM/TabFormer pull request 14: set the correct ordering of dimensions in the input tensor",
        "https://github.com/IBM/TabFormer/pull/14",
    ),
    base=Program(generate=read_again),
    observe=alone_and_in_company,
    symptom=lambda chart: {
        "last loss": chart.last, "difference": chart.more["as the last of eight"] - chart.more["a story alone"]
    },
)  # fmt: skip
