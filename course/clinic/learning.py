"""Patients whose training loop is ill: optimizer, gradients, learning rate and its schedule.

The organs stand first, as their owners wrote them; who has which fault is said below, where the patients are made.
"""

import copy
import math

import torch
from torch import nn

from course.clinic import other_ways
from course.clinic.program import Program
from course.clinic.ward import Cause, Patient


def nils_train(model: nn.Module, loss, batches, steps: int, lr: float):
    """Train a model in place; yields each step's loss and the gradient's norm."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 10) * (1 - step / steps)
        inputs, targets = next(batches)
        value = loss(model, inputs, targets)
        value.backward()
        norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])
        optimizer.step()
        yield value.item(), norm.item()


def olga_train(model: nn.Module, loss, batches, steps: int, lr: float):
    """Train a model in place, four batches a step; yields their mean loss and the gradient's norm before clipping."""
    accumulate = 4
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 10) * (1 - step / steps)
        optimizer.zero_grad()
        total = 0.0
        for _ in range(accumulate):
            inputs, targets = next(batches)
            value = loss(model, inputs, targets)
            value.backward()
            total += value.item()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield total / accumulate, norm.item()


def paul_train(model: nn.Module, loss, batches, steps: int, lr: float):
    """Give the tokens new vectors, and train a model in place; yields each step's loss and the gradient's norm."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    model.wte = nn.Embedding(model.config.vocab_size, model.config.d_model)
    nn.init.normal_(model.wte.weight, std=0.02)
    model.head.weight = model.wte.weight
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 10) * (1 - step / steps)
        inputs, targets = next(batches)
        value = loss(model, inputs, targets)
        model.zero_grad()
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield value.item(), norm.item()


def rosa_train(model: nn.Module, loss, batches, steps: int, lr: float):
    """Train a model in place, the rate up for 10 steps, then down with the root; yields each step's loss and norm."""
    warm_up = 10
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98))
    model.train()
    for step in range(1, steps + 1):
        rate = model.config.d_model**-0.5 * min(step**-0.5, step * warm_up**-1.5)
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs, targets = next(batches)
        value = loss(model, inputs, targets)
        optimizer.zero_grad()
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield value.item(), norm.item()


def sven_train(model: nn.Module, loss, batches, steps: int, lr: float):
    """Try rates around `lr` on a few batches, and train in place at the best; yields each step's loss and norm."""

    def learn(learner, rate, count):
        optimizer = torch.optim.AdamW(learner.parameters(), lr=rate, betas=(0.9, 0.95))
        for step in range(count):
            optimizer.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / 10)
            inputs, targets = next(batches)
            value = loss(learner, inputs, targets)
            optimizer.zero_grad()
            value.backward()
            norm = nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
            optimizer.step()
            yield value.item(), norm.item()

    found = {}
    trial = copy.deepcopy(model)
    for rate in (4 * lr, lr, lr / 4, lr / 10):
        losses = [value for value, _ in learn(trial, rate, 15)]
        found[rate] = sum(losses[-5:]) / 5
    best = min(found, key=found.get)
    yield from learn(model, best, steps)


def quin_train(model: nn.Module, loss, batches, steps: int, lr: float):
    """Train a model in place, four batches a step; yields their mean loss and the gradient's norm before clipping."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    done = 0
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        total = 0.0
        for _ in range(4):
            cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, done / steps))
            for group in optimizer.param_groups:
                group["lr"] = lr * min(1.0, (done + 1) / 10) * cosine
            inputs, targets = next(batches)
            value = loss(model, inputs, targets) / 4
            value.backward()
            total += value.item()
            done += 1
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield total, norm.item()


def scores(chart) -> dict[str, float]:
    """The loss at the end and the one on validation stories."""
    return {"loss of the last ten": chart.last, "validation loss": chart.validation}


Patient(
    name="Nils",
    short="gradients are never cleared",
    report="The first steps are fine. Then the loss turns round and never comes down again: in the end it is "
    "that of one who knows less than which words are frequent. I print the gradient's norm at every step, and it "
    "grows and grows. With a third of the learning rate it is better, and still nowhere near the others; the norm "
    "grows just the same.",
    ill={"train": nils_train},
    base=Program(train=other_ways.unclipped),
    symptom=lambda chart: scores(chart) | {"last norm": chart.norms[-1]},
    thread=(
        "optimizer.zero_grad() was missing in the OpenAI GPT example",
        "https://github.com/huggingface/transformers/issues/340",
    ),
    causes=(
        Cause(
            "The learning rate is too high, so that it jumps about.",
            "It looks like that. But a high rate makes gradients large where the model has jumped to; they come and "
            "go. These norms rise nearly all the way, at any rate.",
        ),
        Cause(
            "The initialization is too large, and the gradients explode.",
            "Then the first loss would be far above that of guessing, and the first norm would be the largest. Both "
            "are healthy here.",
        ),
        Cause(
            "Each step's gradient is added to those of all the steps before it.",
            "Right. A sum grows with the number of its terms, and so does the norm. And the sum points to where the "
            "model should have gone long ago, so it never settles.",
            right=True,
        ),
        Cause(
            "The stories come in an order, so that the model forgets what it learned at the beginning.",
            "Then the loss would move in waves with the data. It would not make the norm grow, and the batches, "
            "printed, are mixed well.",
        ),
    ),
)

Patient(
    name="Olga",
    short="accumulated gradients are not divided",
    report="To save memory I take four small batches a step in place of a large one. It should be the same "
    "arithmetic, and the loss is the same indeed. But the gradient's norm is several times what it was with the "
    "large batch, and clipping now cuts off most of it at every step. Should I worry?",
    ill={"train": olga_train},
    base=Program(train=other_ways.accumulating, batch_size=2, steps=80),
    symptom=lambda chart: {"mean norm": sum(chart.norms) / len(chart.norms), "first norm": chart.norms[0]},
    thread=(
        "nanoGPT: should the loss be divided by gradient_accumulation_steps?",
        "https://github.com/karpathy/nanoGPT/issues/168",
    ),
    causes=(
        Cause(
            "Small batches have noisier gradients, and noise makes a norm larger.",
            "Noise does that for a single small batch. But four of them hold the same stories as the large one, and "
            "their mean gradient has the same norm, noise and all. And the norm is too large by the same factor at "
            "every step, which no noise is.",
        ),
        Cause(
            "The gradients of the four batches are added up, and nothing divides them.",
            "Right. Each batch's loss is a mean already; the sum of four such gradients is four times that of the "
            "large batch, to the digit. AdamW divides by the size of the gradients, so the loss does not show it. The "
            "limit for clipping is now a quarter of what it says.",
            right=True,
        ),
        Cause(
            "Gradients are not cleared between the steps.",
            "Then the norm would grow from step to step. It is too large from the first step on, when there was no "
            "step before, and stays so by the same factor.",
        ),
        Cause(
            "The gradients are about to explode: the learning rate is too high.",
            "Exploding gradients come with a loss that jumps. This one runs like the healthy one, and the first norm "
            "is too large before any step has been taken.",
        ),
    ),
)

Patient(
    name="Paul",
    short="optimizer made before the token table",
    report="I fit the model to my own tokenizer: new token vectors, which it has to learn, the head tied to them as "
    "before. The loss begins where it should, but then it hardly moves, as if it were stuck in glue. No error, "
    "healthy gradients. A higher learning rate changes little.",
    ill={"train": paul_train},
    base=Program(train=other_ways.new_table),
    symptom=scores,
    thread=(
        "The embedding matrix must be resized before it is handed to the optimizer",
        "https://github.com/huggingface/transformers/pull/3532",
    ),
    causes=(
        Cause(
            "The learning rate is far too low.",
            "It looks like that. But then all matrices would move little. Compare the size of the updates, matrix by "
            "matrix: most are as in the healthy run, and one stands quite still.",
        ),
        Cause(
            "The head and the token table are no longer one matrix.",
            "They are: both names lead to the same tensor in both runs. And two separate tables would learn, only "
            "with more parameters.",
        ),
        Cause(
            "The gradients vanish on their way down to the token table.",
            "The table is the head as well, so its gradient has no way to go at all, and it is not small. It has a "
            "gradient at every step. Ask who uses it.",
        ),
        Cause(
            "The optimizer holds another tensor than the table that the model uses.",
            "Right. The optimizer was given the parameters that there were at that time. The new table is not among "
            "them; it gets a gradient at each step, and nobody moves it.",
            right=True,
        ),
    ),
)

Patient(
    name="Rosa",
    short="learning rate about ten times too high",
    report="I took the schedule from the Transformer paper, and a short warm-up, since my run is short. The loss comes "
    "down faster than a friend's at first. Then it crawls, and his overtakes it for good. What mine tells is hardly a "
    "sentence.",
    ill={"train": rosa_train},
    base=Program(train=other_ways.inverse_root, lr=4e-3),
    symptom=scores,
    thread=(
        "A learning rate of 1.0 in the config: the loss would not fall until it was a thousand times lower",
        "https://github.com/rajveermalviya/language-modeling/issues/3",
    ),
    causes=(
        Cause(
            "The learning rate gets far too high.",
            "Right. Look at how far each matrix moves in a step, measured by its own size: early in the run about five "
            "times what it is in the healthy one. Steps so long throw the model from one place to the next: what is "
            "learned fast is lost as fast, and only as the schedule comes down does more remain than which words are "
            "frequent.",
            right=True,
        ),
        Cause(
            "The learning rate is too low after so short a warm-up.",
            "A low rate gives a smooth curve that begins slowly, and small updates. This curve came down faster than "
            "the healthy one and then fell behind; and its updates are large.",
        ),
        Cause(
            "Attention passes nothing on, so that each token is predicted from frequencies alone.",
            "Then the loss would stop where frequencies alone lead. It goes on below that, only slowly; and compared "
            "layer by layer with a healthy model that has the same weights, nothing differs.",
        ),
        Cause(
            "The weights were initialized too large.",
            "The first loss is that of guessing, and the first norm is healthy. The trouble begins with the first "
            "steps, not before them.",
        ),
    ),
)

Patient(
    name="Sven",
    short="learning rate ten times too low",
    report="I do not guess my learning rate, I search for it: a few rates, from high to low, a few steps of each on a "
    "copy, and the one with the lowest loss wins. Mine says that the lowest of them is the best. The training that "
    "follows is so slow that I have begun to doubt my model.",
    ill={"train": sven_train},
    base=Program(train=other_ways.searching, steps=80),
    symptom=scores,
    thread=(
        "lr_find does not reset the model: the second search begins where the first has ended",
        "https://github.com/Lightning-AI/pytorch-lightning/issues/9672",
    ),
    causes=(
        Cause(
            "The model is too small for these stories.",
            "The healthy run has the same model. A small model learns fast and stops early; this curve is smooth and "
            "still falling when the run ends.",
        ),
        Cause(
            "The gradients vanish in the lower layers.",
            "Their norms are healthy from the first step to the last. It is the steps made of them that are small: "
            "compare the updates of all matrices with those of the healthy run.",
        ),
        Cause(
            "The search is not fair: a later trial has an advantage over an earlier one.",
            "Right. Each trial goes on with the copy that the trial before has trained, so the last begins with the "
            "best model, and a low rate does no harm to it. The search praises the order of its trials, and the run "
            "gets a rate ten times too low.",
            right=True,
        ),
        Cause(
            "The trials are too short: with a few steps one sees nothing, and the choice is chance.",
            "Short trials favour high rates if anything, which get somewhere in a few steps. And chance would not "
            "choose the lowest rate with every seed.",
        ),
    ),
)

Patient(
    name="Quin",
    short="schedule counts micro-batches",
    report="I accumulate the gradients of four small batches. It begins well, perhaps a little fast. But after about a "
    "quarter of the run the curve goes flat, quite flat, and stays so to the end. I let it run twice as long: now "
    "it stops at a quarter of that.",
    ill={"train": quin_train},
    base=Program(train=other_ways.scheduled, batch_size=2, steps=80),
    symptom=scores,
    thread=(
        "The learning rate scheduler should step after each optimizer step",
        "https://github.com/Lightning-AI/pytorch-lightning/issues/1476",
    ),
    causes=(
        Cause(
            "The model has learned what it can: it is too small for more.",
            "Then a longer run would go flat at the same loss and at the same step. His goes flat at the same part of "
            "the run, however long that is. So something there knows how long the run is.",
        ),
        Cause(
            "The accumulated gradients are not divided by four.",
            "Then their norms would be four times the healthy ones. They are not; and AdamW would hardly mind.",
        ),
        Cause(
            "The data repeat themselves after a quarter of the run.",
            "Repeated stories make the training loss fall further, not stand still; it is the validation loss that "
            "would go flat.",
        ),
        Cause(
            "The learning rate has come to the end of its schedule long before the run has.",
            "Right. The weights hardly move in the last three quarters, which the size of the updates shows at once. "
            "Four batches make one step, and the schedule counts the batches.",
            right=True,
        ),
    ),
)
