"""Train a small GPT on the bundled stories, save it, load it, and let it go on with a story.

    python -m runs.clinic.closed_case        # in the course's folder

What `main`, `load` and `generate` take and give back must stay as it is: the mark is made with them.
"""

import math
import random
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer

LAYERS, HEADS, WIDTH, CONTEXT = 2, 4, 64, 48
STEPS, MICRO_BATCHES, ROWS = 150, 2, 4  # a step is made of two micro-batches of four rows
HIGHEST, WARM_UP = 5e-3, 10  # learning rate, and the steps in which it rises to that
tokenizer = load_tokenizer("bundled")


def read(split: str, limit: int) -> Tensor:
    """The ids of the openings of stories, one behind the other, with an end token before each and after the last."""
    texts = load_stories("bundled", split=split, limit=limit)
    stories = tokenizer.encode_batch([" ".join(re.split(r"(?<=[.!?])\s+", text)[:2]) for text in texts])
    end = tokenizer.eos_token_id
    return torch.tensor([token for story in stories for token in (end, *story)] + [end])


def draw(stream: Tensor, rows: int, chance: random.Random) -> tuple[Tensor, Tensor]:
    """Windows from anywhere in the stream, and the token that follows at each position: (rows, CONTEXT) each."""
    starts = [chance.randrange(len(stream) - CONTEXT) for _ in range(rows)]
    windows = torch.stack([stream[i : i + CONTEXT + 1] for i in starts])
    return windows[:, :-1], windows[:, 1:]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.register_buffer("mask", torch.ones(CONTEXT, CONTEXT).triu(diagonal=2).bool(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, WIDTH)
        B, T, _ = x.shape  # q, k, v: (B, HEADS, T, WIDTH / HEADS) each
        q, k, v = self.qkv(x).view(B, T, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) * (WIDTH // HEADS) ** -0.5
        scores = scores.masked_fill(self.mask[:T, :T], -math.inf)
        return self.proj((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(tokenizer.vocab_size, WIDTH)
        self.wpe = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.ln_f = nn.LayerNorm(WIDTH)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, ids: Tensor) -> Tensor:  # (B, T) -> (B, T, V); the head is the token table
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        return self.ln_f(self.blocks(x)) @ self.wte.weight.T


def learning_rate(step: int) -> float:
    """Rises in a line, then falls along half a cosine to a tenth."""
    if step < WARM_UP:
        return HIGHEST * (step + 1) / WARM_UP
    done = (step - WARM_UP) / (STEPS - WARM_UP)
    return HIGHEST * (0.55 + 0.45 * math.cos(math.pi * done))


def train(model: GPT, stream: Tensor, seed: int) -> None:
    chance = random.Random(seed)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    model.train()
    for step in range(STEPS):
        optimizer.lr = learning_rate(step)
        optimizer.zero_grad()
        total = 0.0
        for _ in range(MICRO_BATCHES):
            inputs, targets = draw(stream, ROWS, chance)
            loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()) / MICRO_BATCHES
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 25 == 0 or step == STEPS - 1:
            print(f"step {step:3}  learning rate {learning_rate(step):.4f}  loss {total:.3f}")


@torch.no_grad()
def evaluate(model: GPT, stream: Tensor) -> float:
    """Nats per token over the same 64 windows each time."""
    model.eval()
    inputs, targets = draw(stream, 64, random.Random(0))
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).item()


def load(path: str) -> GPT:
    """The model that was saved there, ready to tell."""
    model = GPT()
    model.load_state_dict(load_file(path))
    return model.eval()


@torch.no_grad()
def generate(model: GPT, ids: list[int], count: int) -> list[int]:
    """`ids` and `count` tokens after them, always the most probable one."""
    ids = list(ids)
    for _ in range(count):
        window = ids[:CONTEXT]  # no more than the model can read
        logits = model(torch.tensor([window]))[0, -1]
        ids.append(int(logits.argmax()))
    return ids


def main(seed: int, path: str) -> tuple[GPT, float]:
    """Train, score and save; gives the model, and its validation loss as reported."""
    torch.manual_seed(seed)
    model = GPT()
    train(model, read("train", limit=1_500), seed)
    validation = evaluate(model, read("validation", limit=200))
    print(f"validation loss {validation:.3f}")
    save_file(model.state_dict(), path)
    return model, validation


if __name__ == "__main__":
    weights = str(Path(__file__).with_suffix(".safetensors"))
    main(0, weights)
    beginning = [tokenizer.eos_token_id, *tokenizer.encode("One Saturday,")]
    print(tokenizer.decode(generate(load(weights), beginning, 80)[1:]))
