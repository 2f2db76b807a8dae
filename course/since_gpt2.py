"""What is trained to hold each change since GPT-2 to what it replaced: lists of small runs, and what is measured after.

All are the storyteller's recipe at one width with a few options changed, for one budget of operations in which every
multiplication is counted, with three seeds, on stories that the grammar tells afresh. `course.scaling.running` runs
them (`python -m course since-gpt2`) and keeps the results in data/recorded/since_gpt2/, which notebook 14 draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F

from course.bench.planning import training_flops_per_token
from course.scaling.experiments import BATCH_TOKENS, RATE, SEEDS, VOCABULARY, Point
from helpers.evaluation import evaluate, evaluating, story_rows
from helpers.kv_cache import KVCache, StreamingCache
from helpers.model import GPT
from helpers.modern import ModernGPT, model_of, repeat_heads, stretched_base
from helpers.tokenizer import Tokenizer

WIDTH = 64  # of all models: two layers of four heads, as the storyteller has them
BUDGET = 2e12  # operations of a run, about 550 steps
STRETCH = 4  # so many times the trained context is read when the runs are over
BUCKETS = 32  # into which positions are divided then
SCORED = 200  # stories that are read to see what experts and scores do
STREAMS = 16  # texts without an end that are read side by side


# ---------------------------------------------------------------------- measured when a run is over


def longer(model: GPT, context_length: int, **changes) -> GPT:
    """A copy that reads a longer context, with other options where they change no weight.

    Learned positions beyond the trained ones are what they are before any training.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        copy = model_of(replace(model.config, context_length=context_length, **changes))
        own = dict(copy.named_parameters())
        for name, parameter in model.named_parameters():
            own[name][: len(parameter)].copy_(parameter)
    return copy.eval()


def beyond(model: GPT, tokenizer: Tokenizer, texts: Sequence[str]) -> dict:
    """The loss by position when sequences are `STRETCH` times as long as those in training: a number for each bucket.

    With rotary positions as the model is, with its positions divided, and with its base stretched.
    """
    config, length = model.config, STRETCH * model.config.context_length
    ways = {"as it is": {}}
    if getattr(config, "rotary", False):
        ways["positions divided"] = dict(interpolation=float(STRETCH))
        ways["base stretched"] = dict(rope_base=stretched_base(config.rope_base, STRETCH, config.d_head))
    sequences = run_together(tokenizer, texts, length)
    return {"by_position": {name: _losses(longer(model, length, **way), sequences) for name, way in ways.items()}}


def run_together(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> torch.Tensor:
    """Stories one after the other, each with its end token, (sequences, length + 1).

    As in training: every sequence begins where a story begins, and the last of its stories is cut. Were they cut from
    one long row, they would begin in the middle of stories, as no sequence in training does.
    """
    sequences, sequence = [], []
    for row in story_rows(tokenizer, texts):
        sequence += row if not sequence else row[1:]
        if len(sequence) > length:
            sequences.append(sequence[: length + 1])
            sequence = []
    return torch.tensor(sequences)


@torch.inference_mode()
def _losses(model: GPT, sequences: torch.Tensor) -> list[float]:
    losses = [F.cross_entropy(model(row[None, :-1])[0], row[1:], reduction="none") for row in sequences]
    return torch.stack(losses).mean(dim=0).view(BUCKETS, -1).mean(dim=1).tolist()


def streaming(model: GPT, tokenizer: Tokenizer, texts: Sequence[str]) -> dict:
    """The loss by position of texts that outgrow the context, read token by token: a number for each bucket.

    Where the context is full everything is read again, or, if positions are rotated, the oldest token falls out.
    """
    length = STRETCH * model.config.context_length
    sequences = run_together(tokenizer, texts, length)[:STREAMS]
    caches = {"read again": KVCache(model)}
    if getattr(model.config, "rotary", False):
        caches |= {"streamed": StreamingCache(model, sinks=0), "streamed with 4 sinks": StreamingCache(model, sinks=4)}
    with evaluating(model):
        return {"by_position": {name: token_by_token(cache, sequences) for name, cache in caches.items()}}


@torch.inference_mode()
def token_by_token(cache: KVCache, sequences: torch.Tensor) -> list[float]:
    """The loss of sequences, (B, length + 1), that are read token by token: a number for each bucket of positions."""
    logits, losses = cache.start(sequences[:, :1].tolist()), []
    for now in sequences[:, 1:].T:
        losses.append(F.cross_entropy(logits, now))
        logits = cache.append(now.tolist())
    return torch.stack(losses).view(BUCKETS, -1).mean(dim=1).tolist()


@torch.inference_mode()
def busy(model: ModernGPT, tokenizer: Tokenizer, texts: Sequence[str]) -> dict:
    """The share of all choices that fall on each expert, for each layer."""
    shares = [[0] * model.config.n_expert for _ in model.blocks]

    def count(layer: int, scores: torch.Tensor) -> None:
        for expert in scores.topk(model.config.top_k).indices.flatten().tolist():
            shares[layer][expert] += 1

    hooks = [
        block.mlp.router.register_forward_hook(lambda module, given, scores, layer=layer: count(layer, scores))
        for layer, block in enumerate(model.blocks)
    ]
    with evaluating(model):
        for row in story_rows(tokenizer, texts[:SCORED]):
            model(torch.tensor([row[: model.config.context_length]]))
    for hook in hooks:
        hook.remove()
    return {"busy": [[share / sum(layer) for share in layer] for layer in shares]}


@torch.inference_mode()
def largest(model: ModernGPT, tokenizer: Tokenizer, texts: Sequence[str]) -> dict:
    """The largest score of attention, the largest logit, and the log of the softmax's denominator on average."""
    scores, logits, denominators = [], [], []

    def look(attn: torch.nn.Module, given: tuple) -> None:
        q, k, _ = attn.heads(given[0], torch.arange(given[0].shape[1]))
        k = repeat_heads(k, q.shape[1])
        scores.append((q @ k.mT / q.shape[-1] ** 0.5).tril().abs().max().item())

    hooks = [block.attn.register_forward_pre_hook(look) for block in model.blocks]
    with evaluating(model):
        for row in story_rows(tokenizer, texts[:SCORED]):
            found = model(torch.tensor([row[: model.config.context_length]]))
            logits.append(found.abs().max().item())
            denominators.append(found.logsumexp(dim=-1).mean().item())
    for hook in hooks:
        hook.remove()
    mean = sum(denominators) / len(denominators)
    return {"largest_score": max(scores), "largest_logit": max(logits), "log_denominator": mean}


def bits(model: GPT, tokenizer: Tokenizer, texts: Sequence[str]) -> dict:
    """Bits per byte, by which models with different tokenizers compare."""
    return {"bits_per_byte": evaluate(model, tokenizer, texts).bits_per_byte}


# ---------------------------------------------------------------------- what is trained


def point(name: str, seed: int, model: dict, training: dict | None = None, budget: float = BUDGET, **more) -> Point:
    """The storyteller with some options changed, in as many steps as use up the budget."""
    training = dict(lr=RATE, embedding_lr=RATE) | (training or {})
    found = Point(f"{name}-seed{seed}", 1, seed, {"d_model": WIDTH} | model, training, series="since_gpt2", **more)
    return replace(found, steps=round(budget / (training_flops_per_token(found.config()) * BATCH_TOKENS)))


def each(choices: dict[str, dict], **more) -> list[Point]:
    """Every choice with every seed."""
    return [point(name, seed, choice, **more) for seed in SEEDS for name, choice in choices.items()]


# One change at a time. The storyteller's learned positions start as sinusoids, and its head is not tied.
PARTS: dict[str, dict] = {
    "GPT-2": {},
    "random positions": dict(first_positions="random"),
    "rotary positions": dict(rotary=True),
    "RMSNorm": dict(rms_norm=True),
    "no biases": dict(bias=False),
    "SwiGLU": dict(swiglu=True),
    "two heads of keys": dict(n_kv_head=2),
    "one head of keys": dict(n_kv_head=1),
    "QK-norm": dict(qk_norm=True),
    "tied head": dict(tied_head=True, embedding_std=0.02),
}


def parts() -> list[Point]:
    """GPT-2 and each change alone, and what all of them do beyond the trained context."""
    return each(PARTS, measure=beyond)


LLAMA = dict(rms_norm=True, rotary=True, swiglu=True, bias=False)


def together() -> list[Point]:
    """The parts of Llama and of Qwen3, all at once."""
    kinds = {"Llama": LLAMA, "Qwen3": LLAMA | dict(qk_norm=True)}
    return each(
        kinds | {f"{name}, shared keys": kind | dict(n_kv_head=2) for name, kind in kinds.items()}, measure=beyond
    )


def pairs() -> list[Point]:
    """Rotary positions with one more of Llama's parts, and Llama with biases: which of them get in each other's way.

    Without a bias, of a matrix or of a norm, no part of a score is the same for all tokens and depends on distance.
    """
    others = {name: PARTS[name] for name in ("RMSNorm", "no biases", "SwiGLU")}
    kinds = {f"rotary positions and {name}": dict(rotary=True) | other for name, other in others.items()}
    return each(kinds | {"Llama with biases": LLAMA | dict(bias=True)})


def biases_of(where: str, model: GPT) -> None:
    """Let only some biases learn: those of queries and keys ("queries and keys"), all others ("elsewhere"), or "none".

    Biases begin at 0, so one that does not learn is none.
    """
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            learns = torch.full_like(parameter, float(where == "elsewhere"))
            if name.endswith("attn.qkv.bias"):  # queries, keys and values, one after the other
                learns[: 2 * len(learns) // 3] = float(where == "queries and keys")
            parameter.register_hook(lambda gradient, learns=learns: gradient * learns)


def biases() -> list[Point]:
    """Rotary positions with biases at some places: which of them are missed."""
    return [
        point(f"rotary, biases {where}", seed, dict(rotary=True), prepare=partial(biases_of, where), measure=beyond)
        for seed in SEEDS
        for where in ("none", "queries and keys", "elsewhere")
    ]


def part_rates() -> list[Point]:
    """Some of them at half and at twice the learning rate: whether one only wants another one."""
    kinds = {name: PARTS[name] for name in ("GPT-2", "rotary positions", "SwiGLU", "QK-norm")} | {"Llama": LLAMA}
    kinds["rotary positions and no biases"] = dict(rotary=True, bias=False)
    return [
        point(f"{name}-rate{rate}", 0, choice, dict(lr=rate, embedding_lr=rate))
        for rate in (RATE / 2, 2 * RATE)
        for name, choice in kinds.items()
    ]


def windows() -> list[Point]:
    """How much a query sees; the same with all before it is `parts`' "rotary positions"."""
    sizes = {f"window {size}": dict(rotary=True, window=size) for size in (128, 64, 32)}
    return each(sizes | {"window 32 and sinks": dict(rotary=True, window=32, sinks=4)}, measure=beyond)


def streams() -> list[Point]:
    """Two of `parts` again, to read texts that outgrow the context as one does who tells a story: token by token."""
    return each({"added, read on": {}, "rotated, read on": dict(rotary=True)}, measure=streaming)


def experts() -> list[Point]:
    """More parameters for the same operations, with and without the loss that keeps experts equally busy."""
    kinds = {
        "two of eight": dict(n_expert=8),
        "two of eight, no balance": dict(n_expert=8, balance=0.0),
        "one of eight": dict(n_expert=8, top_k=1),
    }
    return each(kinds, measure=busy)


# With AdamW: with Muon nothing went wrong at 4 times the rate of `parts`, in models of this size.
STABILITY_BUDGET, STABILITY_RATES = BUDGET / 2, (0.003, 0.01, 0.03, 0.1)
STABILIZERS: dict[str, dict] = {
    "plain": dict(qk_norm=False),  # said aloud, so that all of them are a `ModernGPT`, which is looked into afterwards
    "QK-norm": dict(qk_norm=True),
    "cap": dict(logit_cap=30.0),
    "z-loss": dict(z_loss=1e-4),
    "all three": dict(qk_norm=True, logit_cap=30.0, z_loss=1e-4),
}


def stability() -> list[Point]:
    """Short runs at learning rates up to one that is far too high, with what is to keep them from going wrong."""
    found = []
    for seed in SEEDS:
        for rate in STABILITY_RATES:
            training = dict(kind="adamw", lr=rate, embedding_lr=None)
            for name, choice in STABILIZERS.items():
                name = f"{name}-rate{rate}"
                found.append(point(name, seed, choice, training, STABILITY_BUDGET, measure=largest, may_diverge=True))
    return found


LONG = 512  # a context that holds nearly every story, also in the tokens of a small vocabulary


def vocabularies() -> list[Point]:
    """Smaller vocabularies, whose texts have more tokens: in a context that is long enough for all of them."""
    longer_context = dict(context_length=LONG), dict(batch_size=BATCH_TOKENS // LONG)
    return [
        point(f"{size} entries", seed, *longer_context, vocabulary=size, measure=bits)
        for seed in SEEDS
        for size in (VOCABULARY // 4, VOCABULARY // 2, VOCABULARY)
    ]


EXPERIMENTS: dict[str, Callable[[], list[Point]]] = {
    "parts": parts,
    "together": together,
    "pairs": pairs,
    "biases": biases,
    "part-rates": part_rates,
    "windows": windows,
    "streams": streams,
    "experts": experts,
    "stability": stability,
    "vocabularies": vocabularies,
}
