"""A small GPT that learns to tell the openings of stories: model, data, training that can be resumed, telling."""

import copy
import math
import random
import re

import torch
import torch.nn.functional as F
from torch import nn

from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer

tokenizer = load_tokenizer("bundled")
END = tokenizer.eos_token_id
VOCABULARY, CONTEXT, WIDTH, HEADS, LAYERS = tokenizer.vocab_size, 64, 64, 4, 2
STEPS, BATCH, RATE = 120, 8, 5e-3


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def attend(self, x):
        B, T, _ = x.shape
        q, k, v = (part.view(B, T, HEADS, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(mixed.transpose(1, 2).reshape(B, T, WIDTH))

    def forward(self, x):
        x = x + self.attend(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Storyteller(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(VOCABULARY, WIDTH)
        self.wpe = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(WIDTH)
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(p)
            elif p.dim() >= 2:
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * LAYERS) if "proj" in name or "mlp.2" in name else 0.02)

    def forward(self, ids):  # (B, T) -> (B, T, VOCABULARY); the head is the embedding
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T


def openings(split, limit):
    """The ids of the first two sentences of each story."""
    texts = load_stories("bundled", split=split, limit=limit)
    first = [" ".join(re.split(r"(?<=[.!?])\s+", text)[:2]) for text in texts]
    return [ids[: CONTEXT - 2] for ids in tokenizer.encode_batch(first)]


def batches(stories, seed):
    """Inputs and targets without end; rows are padded to the longest."""
    shuffled = random.Random(seed)
    while True:
        rows = [[END, *story, END] for story in shuffled.sample(stories, BATCH)]
        longest = max(map(len, rows))
        padded = torch.tensor([row + [END] * (longest - len(row)) for row in rows])
        inputs, targets = padded[:, :-1], padded[:, 1:].clone()
        targets[targets == END] = -100
        yield inputs, targets


def loss_of(model, inputs, targets):
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def new_optimizer(model):
    """AdamW; matrices decay, vectors do not, and positions do not either."""
    decay = [p for name, p in model.named_parameters() if p.dim() >= 2 and not name.startswith("w")]
    rest = [p for name, p in model.named_parameters() if p.dim() < 2 or name == "wpe.weight"]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95))


def train(model, stories, seed=0, saved=None, until=STEPS):
    """Train up to the step `until` of STEPS, from `saved` on if it is given; (losses, what to save)."""
    optimizer, done, data = new_optimizer(model), 0, batches(stories, seed)
    if saved:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        done = saved["step"]
    model.train()
    losses = []
    for step in range(done, until):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 10) * (0.55 + 0.45 * math.cos(math.pi * step / STEPS))
        value = loss_of(model, *next(data))
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(value.item())
    state = {"step": until, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    return losses, copy.deepcopy(state)


@torch.no_grad()
def tell(model, beginning, count=50):
    """The beginning and the most probable tokens after it, up to an end token."""
    model.eval()
    ids = [END, *tokenizer.encode(beginning)]
    while len(ids) < min(count, CONTEXT):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
        if ids[-1] == END:
            break
    return ids[1:]


if __name__ == "__main__":
    torch.manual_seed(0)
    storyteller = Storyteller()
    curve, _ = train(storyteller, openings("train", 1_500))
    print(f"loss {curve[0]:.2f} at first, {sum(curve[-10:]) / 10:.2f} at last")
    print(tokenizer.decode(tell(storyteller, "One Saturday,")))
