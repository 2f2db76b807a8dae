"""Patients whose attention or initialization is ill, each organ in full as its owner wrote it.

The organs stand first, healthy-looking and without a word about what is wrong with them; who has which fault is said
below, where the patients are made.
"""

import math
from dataclasses import replace
from functools import partial
from statistics import mean

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.clinic.program import Chart, Program, one_thread, tokenizer
from course.clinic.ward import Cause, Patient
from helpers.kv_cache import KVCache
from helpers.model import GPTConfig


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
    name="Fay",
    short="no causal mask",
    report=(
        "I replaced my attention by PyTorch's fused function, and my losses became better than they were, in "
        "training and in validation alike. But what it tells is hopeless: it gets stuck in one word and then in the "
        "next. Read token by token, with a cache, the same validation stories have about twice the loss that they have "
        "read whole."
    ),
    ill={"attention": FayAttention},
    causes=(
        Cause(
            "It has learned the training stories by heart.",
            "Then the validation loss would be worse than the training loss: nobody has learned those stories. Both "
            "are better than they should be.",
        ),
        Cause(
            "The cache gives new tokens the wrong positions.",
            "Leave the cache out: change the last token of a text that is read whole, and the results before it "
            "change. No cache took part in that.",
        ),
        Cause(
            "The weights were started too large, and attention is stuck on one token.",
            "That would cost training loss, from the first steps on. This curve ends below the other.",
        ),
        Cause(
            "Nothing hides the future: when a text is read whole, each position sees what it should predict.",
            "Good when read whole, bad when the future is not there yet: while it is read token by token, nothing can "
            "be looked up. A changed token that changes results before it is the proof.",
            right=True,
        ),
    ),
    thread=(
        "keras-team/keras issue 23038: MultiHeadAttention silently drops the causal mask",
        "https://github.com/keras-team/keras/issues/23038",
    ),
    base=Program(lr=1e-2, steps=150, batch_size=12, config=GPTConfig(2048, 64, n_layer=1, n_head=4, d_model=64)),
    observe=whole_and_by_token,
    symptom=by_token_less_whole,
)

Patient(
    name="Gus",
    short="mask after the softmax",
    report=(
        "My losses are even a little better than those of the model beside it. Told text is not: it stumbles, and "
        "token by token my validation stories get a clearly worse loss than read whole. It is not the mask, that I "
        "have checked: I printed the attention weights, and above the diagonal there is nothing but zeros."
    ),
    ill={"attention": GusAttention},
    causes=(
        Cause(
            "There is no causal mask in training.",
            "Then there would be weights above the diagonal, and the printed map has zeros there. Something else of "
            "the future comes through.",
        ),
        Cause(
            "The mask is off by one, so that each position sees the next token.",
            "One diagonal of weights would stand above the main one, and the loss would soon go to nearly nothing: "
            "the next token is the answer.",
        ),
        Cause(
            "What is hidden is hidden too late, after the weights have been made to sum to one.",
            "Zeros above the diagonal, and yet a later token changes earlier results: it has no weight of its own, but "
            "it stands in the sum by which all weights of the row were divided.",
            right=True,
        ),
        Cause(
            "The cache keeps keys and values of another layer.",
            "A later token changes earlier results without any cache; and then told text would be far worse than this.",
        ),
    ),
    thread=(
        "lucidrains/memory-compressed-attention issue 2: The order of masking and softmax operation",
        "https://github.com/lucidrains/memory-compressed-attention/issues/2",
    ),
    observe=whole_and_by_token,
    symptom=by_token_less_whole,
)

Patient(
    name="Hana",
    short="softmax over the queries",
    report=(
        "It trains as well as any other, down to the last digit I care about, and its attention map has zeros above "
        "the diagonal. But it cannot tell a story: two words, then dots. So I looked at one step with the cache, where "
        "a single new token asks: its attention weights are 1.00 for every token of the text so far. For every one!"
    ),
    ill={"attention": HanaAttention},
    causes=(
        Cause(
            "The softmax is taken over the queries, and not over the keys.",
            "The weights of one query should sum to one; here each of them is one. With a single query, a softmax over "
            "the queries has one number to divide by itself. In training there are many, so it goes unseen.",
            right=True,
        ),
        Cause(
            "The mask comes after the softmax.",
            "Then a row's weights sum to less than one. Here a row sums to as much as there are tokens.",
        ),
        Cause(
            "The scores are not divided by the root of d_head, so that attention is all or nothing.",
            "Large scores give one token nearly all the weight, and the others nearly none. A softmax over the keys "
            "cannot give several tokens a weight of one each.",
        ),
        Cause(
            "The cache holds nothing but copies of the new token.",
            "Then the weights would be equal, but they would still sum to one: each would be one divided by their "
            "number.",
        ),
    ),
    thread=(
        "labmlai/annotated_deep_learning_paper_implementations issue 146: Bug in SA for DDPM UNet?",
        "https://github.com/labmlai/annotated_deep_learning_paper_implementations/issues/146",
    ),
    observe=whole_and_by_token,
    symptom=by_token_less_whole,
)

Patient(
    name="Ivo",
    short="heads joined without a transpose",
    report=(
        "Training looks fine. But one and the same story gets another loss when I put padding behind it, which is not "
        "scored, of course. Each head's attention map I have compared with PyTorch's: they agree, and the future is "
        "hidden in all of them. With a single head there is no problem at all."
    ),
    ill={"attention": IvoAttention},
    causes=(
        Cause(
            "Padding is not hidden from the tokens before it.",
            "Padding stands behind the story, so it is the story's future. The maps say that the future is hidden.",
        ),
        Cause(
            "Positions are counted from the end, so that padding moves them.",
            "One head would have the same problem: positions are added before there are any heads.",
        ),
        Cause(
            "Heads read each other's keys, for d_head is too large.",
            "Then the maps would not agree with PyTorch's. They do, so all is well until the values have been mixed.",
        ),
        Cause(
            "What the heads found is joined in the wrong order of axes.",
            "All is right within a head, and with one head; so it is the joining. If time and heads are not swapped "
            "back, which token gets whose features depends on how many tokens there are: padding changes it.",
            right=True,
        ),
    ),
    thread=(
        "jsbaan/transformer-from-scratch pull request 6: Fix several bugs, one critical",
        "https://github.com/jsbaan/transformer-from-scratch/pull/6",
    ),
    observe=as_it_is_and_padded,
    symptom=lambda chart: {"difference": abs(chart.more["the same, padded to 64"] - chart.more["a story as it is"])},
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
    base=Program(attention=TextByText, generate=read_again),  # begins as the ill one does
    observe=alone_and_in_company,
    symptom=lambda chart: {"last loss": chart.last, "change in company": chart.more["change in company"]},
)  # fmt: skip

Patient(
    name="Kira",
    short="scores not divided by the root of d_head",
    report=(
        "One head, as wide as the model, and weights that keep everything about as large as it was. The first loss is "
        "right. Then it falls slowly, and stays far above a model which differs in its attention's code alone. The "
        "gradient norm is larger than there from the first step on. In the untrained model's attention maps many rows "
        "already have nearly all of their weight on one token."
    ),
    ill={"attention": KiraAttention},
    causes=(
        Cause(
            "The learning rate is too high.",
            "The gradient of the first step is already too large, and the maps were made before any step. The other "
            "model does well at the same rate.",
        ),
        Cause(
            "The scores are too large, because nothing divides them by the root of d_head.",
            "A score is a sum of d_head products, here as many as the model is wide. Undivided, its softmax is all or "
            "nothing before anything was learned, and where it is, hardly any gradient tells it to look elsewhere.",
            right=True,
        ),
        Cause(
            "The token embedding was started too large.",
            "It is the head, too: then the first loss would be far above ln V. It is not.",
        ),
        Cause(
            "There is no causal mask.",
            "To see the future does not hurt a training loss, and it does not put a row's weight on one token.",
        ),
    ),
    thread=(
        "mlc-ai/mlc-llm pull request 3426: fix missing 1/sqrt(d) scaling in attention fallback path",
        "https://github.com/mlc-ai/mlc-llm/pull/3426",
    ),
    base=Program(initialize=less_added, config=GPTConfig(2048, 64, n_layer=2, n_head=1, d_model=64)),
    symptom=lambda chart: {"last loss": chart.last, "first norm": chart.norms[0]},
)

Patient(
    name="Leo",
    short="residual projections not scaled with depth",
    report=(
        "Twelve blocks, and an initialization of my own. The first loss is right, no gradient is large, nothing "
        "spikes; but the loss lags behind that of a model which is only started otherwise. I printed how large the "
        "residual stream is behind each block of the untrained model: it grows from block to block, to many times "
        "what it was."
    ),
    ill={"initialize": leo_initialize},
    causes=(
        Cause(
            "The learning rate is too low for so deep a model.",
            "The model beside it is as deep and has the same rate. And the growing stream was seen before any step.",
        ),
        Cause(
            "LayerNorm is missing in the blocks.",
            "Then each block would multiply what the last one gave it, and the stream would grow far more than this: "
            "by a factor a block, and not by about as much each time.",
        ),
        Cause(
            "What the sublayers add to the stream is not made smaller for the number of them.",
            "Each sublayer adds about as much as the one before. So the stream's size grows with the root of their "
            "number, the tokens drown in it, and each block changes less of it than the one before.",
            right=True,
        ),
        Cause(
            "The token embedding was started too large.",
            "It is the head, too: the first loss would be far above ln V. And a large beginning would make the "
            "stream's growth look smaller.",
        ),
    ),
    thread=(
        "huggingface/transformers issue 47458: GPT2 c_proj weights incorrectly initialised",
        "https://github.com/huggingface/transformers/issues/47458",
    ),
    base=Program(
        initialize=partial(less_added, embeddings=0.1), steps=60, lr=1e-2,
        config=GPTConfig(2048, 64, n_layer=12, n_head=2, d_model=32),
    ),
)  # fmt: skip

Patient(
    name="Mona",
    short="post-LN without warm-up",
    report=(
        "I wanted to train a Transformer as in 2017: LayerNorms after the sums, weights that keep everything about as "
        "large as it was. The loss falls at once, to where a model is that knows how frequent each token is and "
        "nothing else. There it lies for most of the run, without a NaN and without a sign of life. What I feed it I "
        "have decoded and read: these are my stories."
    ),
    ill={"train": mona_train},
    causes=(
        Cause(
            "The learning rate is ten times too low.",
            "The loss has fallen from ln V to where it is within the first steps; with too low a rate it would "
            "creep. What it then does is nothing, and slow is not nothing.",
        ),
        Cause(
            "Gradients are not reset between steps.",
            "They would pile up, and their norm would grow to the end of the run. It does not: its largest values are "
            "early ones.",
        ),
        Cause(
            "The inputs do not reach the model: every position gets the same token.",
            "What enters was read, and an untrained model's results change with it. That the trained one no longer "
            "minds its input is what happened to it, not why.",
        ),
        Cause(
            "The first steps are too large for this architecture: the learning rate begins at its full height.",
            "In post-LN all that comes back passes every LayerNorm, and Adam's first steps are as large for every "
            "weight, whatever its gradient. It has been thrown to where only the frequencies of tokens are learned.",
            right=True,
        ),
    ),
    thread=(
        "Xiong et al. 2020: On Layer Normalization in the Transformer Architecture",
        "https://arxiv.org/abs/2002.04745",
    ),
    base=Program(
        initialize=outputs_as_large, steps=100, lr=8e-3,
        config=GPTConfig(2048, 64, n_layer=3, n_head=4, d_model=64, norm="post"),
    ),
)  # fmt: skip
