# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # 10 · The debugging clinic
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/OWNER/NAME/blob/main/notebooks/10_debugging_clinic.ipynb)
#
# **You will build** the instruments with which one finds out what is wrong with a training program, from the first loss to the
# cache. Then you make a ward round: small programs, each with a fault that somebody really made. You know their symptoms, you
# name the causes, and you repair the code.

# %% [markdown] slideshow={"slide_type": "notes"}
# **You need** attention, the model and the training loop of notebooks 05 to 07. The last rounds use the cache of
# notebook 09. Nothing has to be run before. A patient must be the same on every machine: so all programs here train on the
# bundled stories, on the CPU and in one thread, whatever the setup cell says of stories and devices.
#
# **It takes** about six hours with all exercises, and is best taken in pieces: each round is one. Whoever has an hour takes
# the instruments of the first two rounds and a few patients. The setup cell prints how long running every cell takes.

# %% cellView="form" jupyter={"source_hidden": true} slideshow={"slide_type": "skip"} tags=["setup"]
# @title Setup: finds the course, or on Colab fetches it; the same in every notebook but for the number
import subprocess
import sys
from pathlib import Path

ADDRESS = "OWNER/NAME"  # on github.com; written here by `python -m course publish OWNER/NAME`
places = [Path.cwd(), *Path.cwd().parents, Path(ADDRESS.split("/")[1]).resolve()]
root = next((p for p in places if (p / "course" / "__init__.py").is_file()), None)
if root is None and ADDRESS == "OWNER/NAME":
    raise RuntimeError("The course is not here and has no public address yet: set ADDRESS to its OWNER/NAME")
if root is None:
    root, url = places[-1], f"https://github.com/{ADDRESS}"
    print(f"Fetching the course from {url}")
    git = f"git -c http.lowSpeedLimit=1 -c http.lowSpeedTime=20 clone -q --depth=1 {url}"  # silent for 20 s: give up
    try:
        subprocess.run([*git.split(), str(root)], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = str(getattr(error, "stderr", None) or error).strip().splitlines()[0]
        todo = "look at the address and the internet, or copy the course's folder here, and run this again"
        raise RuntimeError(f"The course could not be fetched ({reason}): {todo}") from None
sys.path.insert(0, str(root))

import course

session = course.start("10")

# %% [markdown] slideshow={"slide_type": "subslide"}
# Every course shows programs that work. Most of the time with a model goes into those that do not, and that say nothing
# about it. What to look at can be listed on a page, and is (the page is [docs/clinic.md](../docs/clinic.md)). To see it in a
# curve takes practice, and practice takes cases whose truth is known.

# %% slideshow={"slide_type": "skip"}
import copy
import itertools
import math
import random
import statistics
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.clinic.healthier import LayerCache
from course.clinic.program import Program
from course.clinic.rounds import ward
from course.figures import clinic as figures
from helpers.evaluation import evaluating
from helpers.kv_cache import KVCache, WithoutCache
from helpers.model import GPT, IGNORED, GPTConfig

# %% [markdown] slideshow={"slide_type": "slide"}
# ## It fails silently
#
# A program that is wrong mostly says so: it stops with an error. A training program that is wrong mostly trains. The shapes
# fit, the loss falls, a number comes out. It is only not the number that it could have been.

# %% [markdown] slideshow={"slide_type": "notes"}
# Andrej Karpathy says of neural networks that their training fails silently, in *A Recipe for Training Neural Networks*
# (2019). Such a **silent failure** has no line number. The rule that he draws from it runs through this notebook: from simple to complicated, one change at a time, and
# before each look say what should be seen. With a target that is shifted by one too many no list index is out of range, and a
# model is robust: it learns what it can from a wrong program, too. So nobody is told. One has to ask.
#
# The patients are one training program, taken apart into **organs**: functions and classes that you know from
# notebooks 05 to 07, and the cache of notebook 09, each as plain as it can be. A patient is this program with one organ exchanged for another of the same name that
# has a fault. No fault is invented: below each repair stands a thread in which it was reported for a real project.

# %% slideshow={"slide_type": "-"} tags=["slide-hide-code"]
program = Program()
for organ in ("attention", "initialize", "batches", "loss", "train", "evaluate", "generate"):
    print(f"{organ:11} {getattr(program, organ).__doc__.splitlines()[0]}")
print()
c = program.config
print(f"{c.n_layer} layers of {c.n_head} heads, {c.d_model} wide, context {c.context_length}, vocabulary {c.vocab_size:,}")
print(f"{program.steps} steps on {program.batch_size} stories each, learning rate {program.lr}")

# %% [markdown] slideshow={"slide_type": "notes"}
# Its stories are the first two sentences of the bundled ones, so that the end of a story fits into the context and is asked
# for. The tokenizer is the course's own. It trains for a second or two: long enough to learn common words and how a story
# begins, and long enough to fall ill.

# %% [markdown] slideshow={"slide_type": "subslide"}
# **Predict:** what is the loss of the healthy program before its first step? And how does the curve go on: a straight
# line down, a bend, a plateau?

# %% jupyter={"outputs_hidden": true} slideshow={"slide_type": "fragment"} tags=["predicted", "slide-hide-code", "hide-output"]
healthy = program.run(seed=0)
print(f"ln V is {math.log(program.config.vocab_size):.2f}; the first loss is {healthy.first:.2f}, that of the last ten steps "
      f"{healthy.last:.2f}, the validation loss {healthy.validation:.2f}")
print(healthy.sample)
figures.runs({"the healthy program": healthy})


# %% [markdown] slideshow={"slide_type": "notes"}
# This is what healthy looks like here, and worth a second look. The loss begins at ln V, the price of knowing nothing. It falls
# steeply while the model learns which tokens are common, bends, and goes on slowly while it learns which follows which. The
# gradient's norm has a peak in the first steps and then stays in the same region. The validation loss is that of the last
# batches: in so few steps nothing is memorized. The sample ends where a story ends.
#
# Many wrong programs give a curve of the same form. The eye alone is a poor instrument.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## How the round goes
#
# Each patient is met in the same way: what its owner tells, the numbers, the instruments, a name for the cause, the repair.

# %% [markdown] slideshow={"slide_type": "notes"}
# 1. **The report** says what its owner did and saw, never why. `ward.admit` draws the run beside the same program without the
#    fault. (A real owner has no such second curve, but something like it: a published run, an older version, the run of a
#    friend.) Think of two causes before you read on, and of what would tell them apart.
# 2. **The instruments** that you have built by then are tried on the patient: `ward.examine`. Those marked with an
#    exclamation mark give alarm. An alarm is a symptom as well, not yet a cause.
# 3. **The cause**: `ward.name` shows some that are possible. Write a letter between the quotation marks and run the cell again;
#    it says what speaks for or against it. The first try counts.
# 4. **The repair**: the organ stands in the cell in full. Change what is wrong, as little as possible. A check looks at it by
#    other means than the run, so it is cheap and independent of luck.
# 5. **Discharge**: the repaired program runs, and its curve is drawn over both others.
#
# Whoever is stuck opens a hint. Running all cells unchanged shows every patient healed by the course's own repair.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Round one: before the first step
#
# Most faults of data can be seen before training has cost anything. Two looks: what does a model pay that knows nothing, and
# what is it really asked?

# %% [markdown] slideshow={"slide_type": "notes"}
# Before a model has learned anything, no token should be more probable to it than another. Each then has probability $1/V$, and the loss is
#
# $$-\ln \frac{1}{V} = \ln V .$$
#
# This number is known before a run is started, which makes it the cheapest instrument there is. A first loss well above it says that the model is sure of something although it knows nothing: its initialization is too large. One well below says that it is told something. What it cannot see: any fault that leaves an ignorant model ignorant. A missing mask, shifted targets, a wrong learning rate all begin at $\ln V$.

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Exercise 10.1 - The first loss
# *Difficulty 1 of 3 - about 5 minutes*
#
# Write the instrument: how far a program's loss on one batch lies above $\ln V$. `loss` is the program's own function, whatever it does inside; $V$ is `model.config.vocab_size`.

# %% exercise="10.1" slideshow={"slide_type": "skip"} tags=["exercise"]
@torch.no_grad()
def my_first_loss(model, loss, inputs, targets) -> float:
    """How far a loss lies above ln V, the loss of a model that knows nothing: nats per token, about 0 at first."""
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
from course.checks import nb10

first_loss = nb10.first_loss.use(my_first_loss)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# `loss(model, inputs, targets)` is all that is needed of the program. Do not write the cross-entropy again: the program's own may be what is ill.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `math.log` is the natural logarithm. The loss is a tensor; return a plain float, and let no gradient be built.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def my_first_loss(model, loss, inputs, targets) -> float:
#     return float(loss(model, inputs, targets)) - math.log(model.config.vocab_size)
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
model = program.model(seed=0)
inputs, targets = next(program.data(seed=0))  # (batch, time) each
print(f"the first loss lies {first_loss(model, program.loss, inputs, targets):+.3f} nats from ln V")
print(f"after training it lies {first_loss(healthy.model, program.loss, inputs, targets):+.3f} nats from it")


# %% [markdown] slideshow={"slide_type": "notes"}
# Near 0 is what an untrained model should show. On a trained one the same number is negative: by so much it knows more than nothing.

# %% [markdown] slideshow={"slide_type": "notes"}
# Where a loss shifts or masks targets by itself, the tensors that enter it are not what is asked. There is a way to see
# through that. The gradient of a cross-entropy with respect to the logits is each token's probability, less one for the token
# that was asked for: so at that token, and at no other, it is negative. `asked` reads the question off the gradient. It uses a
# forward hook (notebook 05), which keeps the logits as they leave the head.

# %% slideshow={"slide_type": "skip"}
def asked(model, loss, inputs, targets):
    """The token that a loss really asks for at each position, (B, T); -100 where none is.

    The gradient of a cross-entropy is each token's probability, less 1 for the one that is asked for: at that token
    alone it is negative, whatever the loss did to logits and targets before it compared them.
    """
    kept = []
    hook = model.head.register_forward_hook(lambda module, args, output: kept.append(output))
    try:
        value = loss(model, inputs, targets)
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(value, kept)  # (B, T, V)
    least, token = gradient.min(dim=-1)
    return token.where(least < 0, IGNORED)


# %% slideshow={"slide_type": "subslide"}
from course.clinic.program import tokenizer

end, words = tokenizer().eos_token_id, tokenizer()
question = asked(model, program.loss, inputs, targets)  # (batch, time)
for read, target in zip(inputs[0, :9].tolist(), question[0, :9].tolist(), strict=True):
    print(f"{words.decode([read])!r:18} -> {words.decode([target])!r}")


# %% [markdown] slideshow={"slide_type": "notes"}
# Read it as a person: with what stands on the left, is the right side the answer? No test is better, and it takes a minute. Only
# nobody reads a thousand batches. So the reading becomes an instrument.

# %% [markdown] slideshow={"slide_type": "notes"}
# More faults sit between the stories and the model than in the model. So look at what arrives: not at the data set, not at the function that ought to have prepared it, but at the tensors of a real batch. Six fractions say nearly all. Is the target the *next* input, as it should be, or the same one, or the one after the next? Is padding scored? Is the end of a story ever asked for? Do rows repeat? What these numbers cannot see is a loss that shifts or hides targets again on its own; `asked`, above, reads off the gradient which tokens a loss really asks for, and its result can be given to this instrument in place of the targets.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.2 - What really enters
# *Difficulty 2 of 3 - about 12 minutes*
#
# Count, over all scored positions of a batch (targets that are not -100), what the docstring lists. A position $t$ has no input two further if its row ends before: it is left out of that fraction.

# %% exercise="10.2" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_what_enters(inputs, targets, end: int) -> dict[str, float]:
    """What a batch asks for, (B, T) each; `end` is the id before a story, behind it, and in padding.

    Returns:
        same, next, after_next: of the scored positions, the fraction whose target is the input there, one further, or
            two (positions whose row ends before that are left out).
        padding: the fraction that asks for an end behind an end.
        ends: other ends that are asked for, for each row.
        distinct: the fraction of rows that are different ones.
    """
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
what_enters = nb10.what_enters.use(my_what_enters)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# `scored = targets != IGNORED` is where anything counts. For `next`, compare `targets[:, :-1]` with `inputs[:, 1:]`, and look only where `scored[:, :-1]`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# An `end` that is asked for where the input is an `end`, too, asks for an empty story: that is padding. Other ends are true ones. For `distinct`, rows as tuples can go into a set.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_what_enters(inputs, targets, end: int) -> dict[str, float]:
#     scored, found = targets != IGNORED, {}
#     for further, name in enumerate(("same", "next", "after_next")):
#         there = scored[:, : inputs.shape[1] - further]
#         hits = targets[:, : there.shape[1]] == inputs[:, further:]
#         found[name] = hits[there].float().mean().item()
#     padding = scored & (targets == end) & (inputs == end)
#     found["padding"] = (padding.sum() / scored.sum()).item()
#     found["ends"] = ((targets == end).sum() - padding.sum()).item() / len(inputs)
#     found["distinct"] = len(set(map(tuple, inputs.tolist()))) / len(inputs)
#     return found
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
for name, value in what_enters(inputs, question, end).items():
    print(f"{name:12} {value:.3f}")
tools = {"first_loss": first_loss, "what_enters": what_enters}

# %% [markdown] slideshow={"slide_type": "notes"}
# The target is the next input at every scored position; no padding is asked for, and each row asks for its end once.

# %% [markdown] slideshow={"slide_type": "notes"}
# With two instruments the ward opens. They are handed over in `tools`, to which every round adds.

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Ada
#
# > I wrote the start of the weights myself. The very first loss is far above what I know from others, before anything was trained. It does fall, quickly even, but after as many steps as theirs I am nowhere near them, and it tells words in no order. What went wrong?

# %% slideshow={"slide_type": "-"} tags=["slide-hide-code"]
ward.admit("Ada")

# %% slideshow={"slide_type": "skip"}
ward.examine("Ada", tools)
ward.name("Ada", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.3 - Repair Ada
# *Difficulty 1 of 3 - about 5 minutes*
#
# Ada's `initialize` stands below as she wrote it; it changes the model and returns nothing. Repair it, so that an untrained model holds every token for about as probable as any other.

# %% exercise="10.3" slideshow={"slide_type": "skip"} tags=["exercise"]
@torch.no_grad()
def my_ada_initialize(model: nn.Module) -> None:
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
ada_initialize = nb10.ada_initialize.use(my_ada_initialize)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Two modules of this model are an `nn.Embedding`, and one of them is also the head. How large are logits which are products of a normalized vector, `d_model` long, with such rows?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Look up which standard deviation `nn.init.normal_` uses when none is named.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def my_ada_initialize(model: nn.Module) -> None:
#     """Start all weights: biases at zero, LayerNorms at one, the rest from normal distributions."""
#     for module in model.modules():
#         if isinstance(module, nn.LayerNorm):
#             module.weight.fill_(1.0)
#             module.bias.zero_()
#         elif isinstance(module, nn.Linear) and module is not model.head:  # the head's weights are the embedding's
#             nn.init.normal_(module.weight, std=0.02)
#             module.bias.zero_()
#         elif isinstance(module, nn.Embedding):
#             nn.init.normal_(module.weight, std=0.02)
#     for block in model.blocks:  # what adds to the residual stream adds less, the more blocks there are
#         for layer in (block.attn.proj, block.mlp.proj):
#             layer.weight.div_(math.sqrt(2 * len(model.blocks)))
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Ada", initialize=ada_initialize)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** `nn.init.normal_` without a standard deviation draws from $N(0, 1)$; `nn.Embedding` does so by
# itself. Alone that is no harm. But the token embedding is also the head (*weight tying*), so the logits are sums of
# `d_model` products of numbers near one: the model starts certain of a token, mostly of the one that it has just read.
# The steps then go into unlearning. Two look-alikes: a wrong learning rate, which cannot touch the first loss, and wrong
# targets, which cannot either as long as logits are small. That is why the first loss is the first thing to look at. The
# default was discussed in [PyTorch issue 3121](https://github.com/pytorch/pytorch/issues/3121), whose reporter lost
# hours to it.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Bruno
#
# > My loss fell to almost nothing within a minute, and the validation loss with it. No run of mine has ever looked so good. Then I let it tell a story, and it says its last token again and again.

# %% slideshow={"slide_type": "skip"}
ward.admit("Bruno")

# %% slideshow={"slide_type": "skip"}
ward.examine("Bruno", tools)
ward.name("Bruno", "")


# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Exercise 10.4 - Repair Bruno
# *Difficulty 1 of 3 - about 4 minutes*
#
# Bruno's `batches` cuts windows out of one long stream of stories. Repair it, so that each position is asked for the token that follows it; also the last position of a window.

# %% exercise="10.4" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_bruno_batches(stories: list[list[int]], batch_size: int, end: int, seed: int):
    """(inputs, targets) without end, (batch_size, 48) each: windows of a long stream, `end` before each story."""
    stream = torch.tensor([token for story in stories for token in (end, *story)])
    time = 48
    shuffled = random.Random(seed)
    while True:
        starts = [shuffled.randrange(len(stream) - time) for _ in range(batch_size)]
        inputs = torch.stack([stream[i : i + time] for i in starts])
        targets = torch.stack([stream[i : i + time] for i in starts])
        yield inputs, targets


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
bruno_batches = nb10.bruno_batches.use(my_bruno_batches)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Print a row of the inputs and, below it, the same row of the targets. What should stand below the first token?
# </details>
#
# <details><summary>Hint 2</summary>
#
# `inputs` and `targets` are cut from the same stream. Where must a window of targets begin, if the inputs begin at `i`? And where must it end?
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_bruno_batches(stories: list[list[int]], batch_size: int, end: int, seed: int):
#     """(inputs, targets) without end, (batch_size, 48) each: windows of a long stream, `end` before each story."""
#     stream = torch.tensor([token for story in stories for token in (end, *story)])
#     time = 48
#     shuffled = random.Random(seed)
#     while True:
#         starts = [shuffled.randrange(len(stream) - time) for _ in range(batch_size)]
#         inputs = torch.stack([stream[i : i + time] for i in starts])
#         targets = torch.stack([stream[i + 1 : i + 1 + time] for i in starts])
#         yield inputs, targets
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Bruno", batches=bruno_batches)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** Inputs and targets were cut at the same places, so each position was asked for the token that it
# was given. To copy is quickly learned, on any text, so the loss is close to zero on validation stories as well; and when
# it is to go on, such a model repeats what stands there. Even its first loss lies below $\ln V$: head and token
# embedding are tied, so a model that has learned nothing names most readily the token that it has just read. A missing causal mask
# and a leaked validation set look good, too; neither makes a model repeat itself. *What enters*, decoded, tells them
# apart at a glance. It happens where two parts of a program each leave the shift to the other: in
# [a report on MBart in `transformers`](https://github.com/huggingface/transformers/issues/27517) neither the model nor
# the collator shifted the labels.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Carla
#
# > It learns, and nothing raises an error. But it stays well above what a friend's run reaches with the same model and the same stories, in training as in validation. Its stories read like telegrams: as if every other word had been left out.

# %% slideshow={"slide_type": "skip"}
ward.admit("Carla")

# %% slideshow={"slide_type": "skip"}
ward.examine("Carla", tools)
ward.name("Carla", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.5 - Repair Carla
# *Difficulty 1 of 3 - about 4 minutes*
#
# Carla's `loss` stands below; her batches are the healthy ones, in which `targets` hold at each position the token that comes next. Repair the loss, so that every position is scored on its own target.

# %% exercise="10.5" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_carla_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy in nats per token; a target of -100 is left out."""
    logits = model(inputs)  # (B, T, V)
    logits, targets = logits[:, :-1], targets[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
carla_loss = nb10.carla_loss.use(my_carla_loss)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Take a story of five tokens and write down: the inputs, the targets that the batch brings, and which target the loss compares with the logits of the first position.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Where does the program shift? Count the places. Each of them is right, if it is the only one.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_carla_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
#     """The mean cross-entropy in nats per token; a target of -100 is left out."""
#     logits = model(inputs)  # (B, T, V)
#     return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Carla", loss=carla_loss)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** The batches bring shifted targets, and the loss shifted them once more, so the model learned to
# name the token after the next. That is harder, so the loss stays above the healthy one, in training and validation
# alike. The samples read like telegrams, because every step of `generate` leaves a token out. A low learning rate and a
# small model stay above, too; but the first repeats frequent words, and the second has no gaps. The instrument is the one that reads off which token the *loss* really asks
# for: batches alone look healthy. `transformers` had this in
# [GIT's training loss](https://github.com/huggingface/transformers/pull/47395), where nothing raised an error; its models
# shift inside, and who shifts before, shifts twice.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Dora
#
# > All my batches have one shape, sixty-four tokens, since that is faster on my machine. My loss is clearly lower than that of the others here, from the first steps on. I was proud of it. But my stories are not better than theirs, if you read them.

# %% slideshow={"slide_type": "skip"}
ward.admit("Dora")

# %% slideshow={"slide_type": "skip"}
ward.examine("Dora", tools)
ward.name("Dora", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.6 - Repair Dora
# *Difficulty 1 of 3 - about 5 minutes*
#
# Dora's `batches` fills all rows up to 64 tokens. Repair it, so that only the tokens of the stories and the one end behind each of them are scored. The shape of her batches shall stay.

# %% exercise="10.6" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_dora_batches(stories: list[list[int]], batch_size: int, end: int, seed: int):
    """(inputs, targets) without end, (batch_size, 64) each: stories in a random order, all brought to 64 tokens."""
    shuffled = random.Random(seed)
    while True:
        inputs, targets = [], []
        for story in shuffled.sample(stories, batch_size):
            missing = 64 - len(story) - 1
            inputs.append([end, *story] + [end] * missing)
            targets.append([*story, end] + [end] * missing)
        yield torch.tensor(inputs), torch.tensor(targets)


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
dora_batches = nb10.dora_batches.use(my_dora_batches)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# What is easier to predict than an end token behind an end token? Count how many targets of a batch are of that kind.
# </details>
#
# <details><summary>Hint 2</summary>
#
# The healthy loss leaves out targets with the value -100.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_dora_batches(stories: list[list[int]], batch_size: int, end: int, seed: int):
#     """(inputs, targets) without end, (batch_size, 64) each: stories in a random order, all brought to 64 tokens."""
#     shuffled = random.Random(seed)
#     while True:
#         inputs, targets = [], []
#         for story in shuffled.sample(stories, batch_size):
#             missing = 64 - len(story) - 1
#             inputs.append([end, *story] + [end] * missing)
#             targets.append([*story, end] + [-100] * missing)
#         yield torch.tensor(inputs), torch.tensor(targets)
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Dora", batches=dora_batches)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** The rows were filled up with end tokens, and these were scored like words. After a few steps they
# cost nothing, and since the loss is a mean over all scored positions, they pull it down: the more padding, the better it
# looks. On the tokens of the stories Dora's model is no better than the others. A leak and an overlap of training and
# validation make a loss too good as well; but only padding does so from the first steps on and by about the same share
# all along. Ask of each loss: the mean over what? In
# [a question to `transformers`](https://github.com/huggingface/transformers/issues/7135) the padding was scored like this,
# and the answer was the same: labels of -100.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Emil
#
# > Training is fine, the loss is where it should be, and the validation loss too. But my model does not know when to stop: it tells on and on until I cut it off. Every one of my training stories has an end.

# %% slideshow={"slide_type": "skip"}
ward.admit("Emil")

# %% slideshow={"slide_type": "skip"}
ward.examine("Emil", tools)
ward.name("Emil", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.7 - Repair Emil
# *Difficulty 2 of 3 - about 6 minutes*
#
# Emil's `batches` fills up with the end token, as GPT-2 has no token of its own for that. Repair it, so that the padding is left out of the loss, and the end of each story is learned.

# %% exercise="10.7" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_emil_batches(stories: list[list[int]], batch_size: int, end: int, seed: int):
    """(inputs, targets) without end, (batch_size, time) each: stories in a random order, filled up to the longest."""
    shuffled = random.Random(seed)
    while True:
        rows = [[end, *story, end] for story in shuffled.sample(stories, batch_size)]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [end] * (longest - len(row)) for row in rows])
        inputs, targets = ids[:, :-1], ids[:, 1:].clone()
        targets[targets == end] = -100
        yield inputs, targets


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
emil_batches = nb10.emil_batches.use(my_emil_batches)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Decode a row of targets, -100 left out. What is its last token, and what should it be?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Two kinds of end tokens stand in `ids` behind a story. They look alike. What tells them apart is where they stand, and `rows` knows how long each story is.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_emil_batches(stories: list[list[int]], batch_size: int, end: int, seed: int):
#     """(inputs, targets) without end, (batch_size, time) each: stories in a random order, filled up to the longest."""
#     shuffled = random.Random(seed)
#     while True:
#         rows = [[end, *story, end] for story in shuffled.sample(stories, batch_size)]
#         longest = max(map(len, rows))
#         ids = torch.tensor([row + [end] * (longest - len(row)) for row in rows])
#         inputs, targets = ids[:, :-1], ids[:, 1:].clone()
#         for target, row in zip(targets, rows, strict=True):
#             target[len(row) - 1 :] = -100
#         yield inputs, targets
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Emil", batches=emil_batches)


# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** GPT-2 has no padding token, so the end token fills up, and every target that is an end token was
# left out: the padding, and with it the one end that every story has. No model learns what it is never asked. Neither
# loss nor validation loss shows it, since the validation batches do not ask it either; only a sample does, or a count of
# the ends among the targets. Stories cut too early give the same symptom. It is an old trap: see
# [the collator of TRL](https://github.com/huggingface/trl/issues/976), whose defaults made models that never generate the
# end token. Which of the ends are padding is known by position, not by value.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Round two: who sees whom
#
# A causal model has two borders that nothing may cross: at a position no later token counts, and in a batch no row knows of the
# others. Both can be tested in a few lines, without training.

# %% [markdown] slideshow={"slide_type": "notes"}
# Three instruments: a **causality test** along time, its counterpart across the rows, and a comparison with a model that is known to be
# good, where there is one.

# %% [markdown] slideshow={"slide_type": "notes"}
# A causal model's logits at a position depend on that token and on earlier ones, and on nothing else. That can be tested without knowing how attention is written: put another token at position $t$, and look at the logits before $t$. They must not move at all:
#
# $$\max_{s<t} \left|\, z_s(x) - z_s(x') \right| = 0 \quad\text{if}\quad x_i = x'_i \text{ for } i \ne t .$$
#
# Such a leak makes training look wonderful, and the generated text poor: in generation there is no future to copy from. The test sees every leak along time, in any layer. It does not see leaks between rows, and with dropout left on it sees leaks where there are none.

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Exercise 10.8 - A causality test
# *Difficulty 2 of 3 - about 8 minutes*
#
# Write the test for ids of shape (B, T). Replace a token at a few places (the second, the middle and the last position will do), and return the largest absolute change of any logit before the replaced one.

# %% exercise="10.8" slideshow={"slide_type": "skip"} tags=["exercise"]
@torch.no_grad()
def my_future_leak(model, ids) -> float:
    """The largest change of a logit before the position at which a token of ids (B, T) is replaced; 0 if causal."""
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
future_leak = nb10.future_leak.use(my_future_leak)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Two forward passes differ for another reason, too, if the model is training: `with evaluating(model):` switches dropout off and puts the mode back.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `other = ids.clone(); other[:, t] = (other[:, t] + 1) % V` is another token for certain. Then `(model(other) - before)[:, :t]`.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def my_future_leak(model, ids) -> float:
#     changes = []
#     with evaluating(model):
#         before = model(ids)
#         for t in {1, ids.shape[1] // 2, ids.shape[1] - 1}:
#             other = ids.clone()
#             other[:, t] = (other[:, t] + 1) % model.config.vocab_size
#             changes.append((model(other) - before)[:, :t].abs().max())
#     return torch.stack(changes).max().item()
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
print(f"a changed token changes earlier logits by {future_leak(model, inputs)}")


# %% [markdown] slideshow={"slide_type": "notes"}
# Exactly zero, not nearly: what is masked is multiplied by a zero weight.

# %% [markdown] slideshow={"slide_type": "notes"}
# For the next two instruments one has to see inside a model. `named_modules` goes through all of its modules, from the whole to the
# smallest part, and hooks collect what each of them gives; `evaluating` puts a model into evaluation mode, and back.

# %% slideshow={"slide_type": "skip"}
@torch.no_grad()
def outputs(model, ids) -> dict:
    """What each module inside a model gives for ids (B, T), by its name, in the order in which they finish."""
    kept, hooks = {}, []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_hook(lambda module, args, output, name=name: kept.update({name: output})))
    try:
        with evaluating(model):
            model(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: output[0] if isinstance(output, tuple) else output for name, output in kept.items()}


# %% slideshow={"slide_type": "skip"}
for name, output in list(outputs(model, inputs).items())[:6]:
    print(f"{name:16} {tuple(output.shape)}")


# %% [markdown] slideshow={"slide_type": "notes"}
# The rows of a batch are strangers: they were put together for speed alone. A `view` where a `transpose` belongs, a normalization over the wrong axis, attention that takes the batch for time, and one story tells another what comes next. Shapes stay right, no error is raised. Karpathy's test uses autograd: take a number that depends on one row's logits alone, here $\sum z_b^2$ of the middle one, and ask for its gradient with respect to the vectors of *all* tokens. It must be zero in all other rows,
#
# $$\frac{\lVert \nabla_{\text{other rows}} \rVert}{\lVert \nabla_{\text{all rows}} \rVert} = 0 .$$
#
# One backward pass tests all positions and layers at once. The middle row has neighbours on both sides: with a causal mask along the wrong axis the first would hear of nobody. Leaks along time it does not see.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.9 - A test of the rows
# *Difficulty 2 of 3 - about 8 minutes*
#
# Return that fraction for the middle row, `len(ids) // 2`, of ids (B, T). The vectors of the tokens are what `model.wte` gives: a forward hook gets hold of them, as in `outputs`.

# %% exercise="10.9" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_row_leak(model, ids) -> float:
    """How much of the gradient of the middle row's logits goes to other rows of ids (B, T): a fraction, 0 if none."""
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
row_leak = nb10.row_leak.use(my_row_leak)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# `hook = model.wte.register_forward_hook(lambda module, args, output: kept.append(output))`; afterwards `kept[0]` is (B, T, d_model). Remove the hook, whatever happens.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.autograd.grad(logits[row].square().sum(), kept)` gives the gradient without touching any parameter's `.grad`; it returns a tuple. `torch.cat` puts the rows before and behind together.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_row_leak(model, ids) -> float:
#     kept, row = [], len(ids) // 2  # with neighbours on both sides
#     hook = model.wte.register_forward_hook(lambda module, args, output: kept.append(output))
#     try:
#         logits = model(ids)
#     finally:
#         hook.remove()
#     (gradient,) = torch.autograd.grad(logits[row].square().sum(), kept)  # (B, T, d_model)
#     others = torch.cat((gradient[:row], gradient[row + 1 :]))
#     return (others.norm() / gradient.norm()).item()
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
print(f"of the gradient of one row, a fraction of {row_leak(model, inputs)} lies in other rows")


# %% [markdown] slideshow={"slide_type": "notes"}
# Zero again: no row hears of another.

# %% [markdown] slideshow={"slide_type": "notes"}
# Sometimes a good model is at hand: the one before the last change, another implementation, `transformers`. Then do not compare losses; give both the same weights and the same ids, and compare what *each module* gives, in the order of computation. The first that differs has the fault, or stands right behind it: its input was still right, as everything before agreed. This is the sharpest instrument of all, and the only one that points at a line. Its price is the second model. It cannot see faults that both have, and faults outside the forward pass: data, optimizer, evaluation.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.10 - The first that differs
# *Difficulty 2 of 3 - about 8 minutes*
#
# Walk through the outputs of both models (`outputs` has them in the order in which they finish) and return the first name at which they differ by more than `tolerance`, relative to the reference's largest absolute value there, together with that difference; `("", 0.0)` if there is none. What is not a number differs, too.

# %% exercise="10.10" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_first_difference(model, reference, ids, tolerance: float = 1e-3) -> tuple[str, float]:
    """The first module whose output on ids (B, T) is not that of a model known to be good, and by how much.

    Returns:
        Its name and the largest difference, relative to the reference's largest value; ("", 0.0) if none differs by
        more than `tolerance`. Modules that only one of the two has are passed over.
    """
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
first_difference = nb10.first_difference.use(my_first_difference)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# `ours, theirs = outputs(model, ids), outputs(reference, ids)` are dicts that remember their order. Names that only one has are passed over.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Every comparison with `nan` is false. `not difference <= tolerance` is true for `nan`, and `difference > tolerance` is not.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_first_difference(model, reference, ids, tolerance: float = 1e-3) -> tuple[str, float]:
#     ours, theirs = outputs(model, ids), outputs(reference, ids)
#     for name, output in ours.items():
#         if name in theirs:
#             difference = (output - theirs[name]).abs().max() / theirs[name].abs().max()
#             if not difference <= tolerance:  # nan, too
#                 return name, difference.item()
#     return "", 0.0
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
torchs = GPT(program.config)  # its attention is fused, and uses torch's own

torchs.load_state_dict(model.state_dict())
print(f"the first difference: {first_difference(model, torchs, inputs)}")
tools |= {"future_leak": future_leak, "row_leak": row_leak, "first_difference": first_difference}

# %% [markdown] slideshow={"slide_type": "notes"}
# Two models with the same weights, one written step by step and one with torch's fused attention, agree to rounding.

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Fay
#
# > I replaced my attention by PyTorch's fused function, and my losses became better than they were, in training and in validation alike. But what it tells is hopeless: it gets stuck in one word and then in the next. Read token by token, with a cache, the same validation stories have about twice the loss that they have read whole.

# %% slideshow={"slide_type": "-"} tags=["slide-hide-code"]
ward.admit("Fay")

# %% slideshow={"slide_type": "skip"}
ward.examine("Fay", tools)
ward.name("Fay", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.11 - Repair Fay
# *Difficulty 1 of 3 - about 6 minutes*
#
# Fay's attention stands below. Repair it: read whole or with a cache, a position may see itself and what came before it.

# %% exercise="10.11" slideshow={"slide_type": "skip"} tags=["exercise"]
class MyFayAttention(nn.Module):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
FayAttention = nb10.FayAttention.use(MyFayAttention)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# With a cache, the cache says what each query sees. Who says so without one?
# </details>
#
# <details><summary>Hint 2</summary>
#
# `F.scaled_dot_product_attention` hides nothing unless it is told to: see its arguments `attn_mask` and `is_causal`. With a cache that has a mask of its own, the second must stay False.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class MyFayAttention(nn.Module):
#     """Causal attention of many heads by PyTorch's fused function."""
#
#     def __init__(self, config):
#         super().__init__()
#         self.n_head = config.n_head
#         self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
#         self.proj = nn.Linear(config.d_model, config.d_model)
#
#     def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
#         B, T, d_model = x.shape
#         q, k, v = (part.view(B, T, self.n_head, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
#         visible = None
#         if cache is not None:
#             k, v, visible = cache.extend(k, v)  # all keys and values so far, and which of them each query sees
#         mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, is_causal=cache is None)
#         return self.proj(mixed.transpose(1, 2).reshape(B, T, d_model))
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Fay", attention=FayAttention)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** The fused function attends to everything unless it is told `is_causal=True` or given a mask.
# With a cache, the cache's mask did that; without one, nobody. In training each position could therefore read its own
# answer, and the model has begun to copy it: the loss is lower than an honest one can be, and told text, which has no
# future to copy from, is hopeless. Trained for longer, such a loss goes to nearly nothing. In
# [Keras](https://github.com/keras-team/keras/issues/23038) the mask went lost on one of two paths: a fast one relied on
# the fused function's own flag, and the other one had none. What looks similar: stories learned by heart, but then validation is bad; and wrong positions with a
# cache. Changing a future token, without any cache, tells them apart.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Gus
#
# > My losses are even a little better than those of the model beside it. Told text is not: it stumbles, and token by token my validation stories get a clearly worse loss than read whole. It is not the mask, that I have checked: I printed the attention weights, and above the diagonal there is nothing but zeros.

# %% slideshow={"slide_type": "skip"}
ward.admit("Gus")

# %% slideshow={"slide_type": "skip"}
ward.examine("Gus", tools)
ward.name("Gus", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.12 - Repair Gus
# *Difficulty 2 of 3 - about 6 minutes*
#
# Gus's attention stands below. Repair it: no result may depend on a later token, in any way.

# %% exercise="10.12" slideshow={"slide_type": "skip"} tags=["exercise"]
class MyGusAttention(nn.Module):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
GusAttention = nb10.GusAttention.use(MyGusAttention)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Add up a row of the weights, the first one, say. What should it be, and what can change it here?
# </details>
#
# <details><summary>Hint 2</summary>
#
# There are two right ways: hide the scores before the softmax, with a score whose weight becomes exactly zero; or divide what is left by its own sum. The first is the usual one.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class MyGusAttention(nn.Module):
#     """Causal attention of many heads, step by step."""
#
#     def __init__(self, config):
#         super().__init__()
#         self.n_head = config.n_head
#         self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
#         self.proj = nn.Linear(config.d_model, config.d_model)
#
#     def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
#         B, T, d_model = x.shape
#         d_head = d_model // self.n_head
#         q, k, v = (part.view(B, T, self.n_head, d_head).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
#         visible = torch.ones(T, T, dtype=torch.bool).tril()
#         if cache is not None:
#             k, v, visible = cache.extend(k, v)  # (B, n_head, past + T, d_head)
#         scores = q @ k.transpose(-2, -1) / math.sqrt(d_head)  # (B, n_head, T, past + T)
#         if visible is not None:
#             scores = scores.masked_fill(~visible, -math.inf)
#         weights = F.softmax(scores, dim=-1)
#         mixed = (weights @ v).transpose(1, 2).reshape(B, T, d_model)
#         return self.proj(mixed)
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Gus", attention=GusAttention)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** The softmax divided by a sum over all tokens, and only then was the future set to zero. The map
# looks causal, and is not: how small the weights of a row are tells how much the later keys would have been attended to.
# That is little information about the future, so the loss is only a little too good. But the rows sum to less than one,
# and to another number as soon as the text ends elsewhere: told text is read by a model that was never trained on such
# rows. Two projects that had it:
# [memory-compressed-attention](https://github.com/lucidrains/memory-compressed-attention/issues/2) and
# [timm](https://github.com/huggingface/pytorch-image-models/pull/2236). Dividing the rows by their sums afterwards is
# no fault: it comes to the same as hiding before.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Hana
#
# > It trains as well as any other, down to the last digit I care about, and its attention map has zeros above the diagonal. But it cannot tell a story: two words, then dots. So I looked at one step with the cache, where a single new token asks: its attention weights are 1.00 for every token of the text so far. For every one!

# %% slideshow={"slide_type": "skip"}
ward.admit("Hana")

# %% slideshow={"slide_type": "skip"}
ward.examine("Hana", tools)
ward.name("Hana", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.13 - Repair Hana
# *Difficulty 2 of 3 - about 6 minutes*
#
# Hana's attention stands below. Repair it: each query's weights must sum to one.

# %% exercise="10.13" slideshow={"slide_type": "skip"} tags=["exercise"]
class MyHanaAttention(nn.Module):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
HanaAttention = nb10.HanaAttention.use(MyHanaAttention)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Write the name of each axis above `scores`, as her docstring does, and count from 0.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Which axis would you sum over to get one number for each query?
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class MyHanaAttention(nn.Module):
#     """Causal attention of many heads; the axes are batch b, query q, key k, head h, feature d."""
#
#     def __init__(self, config):
#         super().__init__()
#         self.n_head = config.n_head
#         self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
#         self.proj = nn.Linear(config.d_model, config.d_model)
#
#     def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
#         B, T, d_model = x.shape
#         q, k, v = (part.view(B, T, self.n_head, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
#         visible = torch.ones(T, T, dtype=torch.bool).tril()
#         if cache is not None:
#             k, v, visible = cache.extend(k, v)  # (B, n_head, past + T, d_head)
#         scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(q.shape[-1])
#         if visible is not None:
#             scores = scores.masked_fill(~visible, -math.inf)
#         weights = torch.softmax(scores, dim=-1)
#         mixed = torch.einsum("bhqk,bhkd->bqhd", weights, v)
#         return self.proj(mixed.reshape(B, T, d_model))
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Hana", attention=HanaAttention)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** The axes of the scores are batch, head, query, key: axis 2 is the queries'. So it was the columns
# that summed to one: each *key* divided itself among the queries, later ones too, which leaks a little of the future.
# With many queries the weights still look like attention, and training makes the best of them. A new token with a cache
# is a single query: each softmax has one number and gives 1, and all values are simply added up, far more than any row
# in training got. That is why the loss says nothing and the text everything. Shapes cannot tell, since the scores are
# square; `dim=-1` cannot be miscounted. The same slip in
# [an annotated diffusion model](https://github.com/labmlai/annotated_deep_learning_paper_implementations/issues/146) was
# called a big bug by its author; whoever had reported it then saw no difference in the scores.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Ivo
#
# > Training looks fine. But one and the same story gets another loss when I put padding behind it, which is not scored, of course. Each head's attention map I have compared with PyTorch's: they agree, and the future is hidden in all of them. With a single head there is no problem at all.

# %% slideshow={"slide_type": "skip"}
ward.admit("Ivo")

# %% slideshow={"slide_type": "skip"}
ward.examine("Ivo", tools)
ward.name("Ivo", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.14 - Repair Ivo
# *Difficulty 2 of 3 - about 7 minutes*
#
# Ivo's attention stands below. Repair it: a token's vector must hold what its own heads found, and nothing of other tokens.

# %% exercise="10.14" slideshow={"slide_type": "skip"} tags=["exercise"]
class MyIvoAttention(nn.Module):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
IvoAttention = nb10.IvoAttention.use(MyIvoAttention)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Write down the shape of `mixed`, axis by axis, and in which order `view` goes through it. Whose features are the first `d_model` numbers?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Splitting took two steps, a `view` and a `transpose`. Joining undoes both, in reverse order.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class MyIvoAttention(nn.Module):
#     """Causal attention of many heads by PyTorch's fused function."""
#
#     def __init__(self, config):
#         super().__init__()
#         self.n_head = config.n_head
#         self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
#         self.proj = nn.Linear(config.d_model, config.d_model)
#
#     def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
#         B, T, d_model = x.shape
#         q, k, v = self.qkv(x).chunk(3, dim=-1)
#         q = q.view(B, T, self.n_head, -1).transpose(1, 2)
#         k = k.view(B, T, self.n_head, -1).transpose(1, 2)
#         v = v.view(B, T, self.n_head, -1).transpose(1, 2)
#         visible = None
#         if cache is not None:
#             k, v, visible = cache.extend(k, v)
#         mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, is_causal=cache is None)
#         return self.proj(mixed.transpose(1, 2).contiguous().view(B, T, d_model))
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Ivo", attention=IvoAttention)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** `mixed` is (batch, head, time, feature), and `view` reads on in that order: the first token got the
# first head's features of the first few tokens, the next token those of the following ones. The shape is right, nothing
# is raised, and each map is right. Since a token's own vector goes by in the residual stream, training hardly suffers
# here. But a token now receives what *later* tokens found, and which, depends on the length: padding changes the score.
# With one head, or one new token, there is nothing to swap, so a cache gives other results than a text read whole.
# [A from-scratch Transformer](https://github.com/jsbaan/transformer-from-scratch/pull/6) had it, and its test, too easy
# a task, went through. `.contiguous()` is often a sign: it silences the error by which `view` warns.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Jun
#
# > I replaced my own attention by PyTorch's layer. It trains, without an error and without a spike, but the loss stays above that of my old layer, in training and in validation. And the odd thing: score the same story alone, and then as the last of a batch of eight, and you get two different numbers.

# %% slideshow={"slide_type": "skip"}
ward.admit("Jun")

# %% slideshow={"slide_type": "skip"}
ward.examine("Jun", tools)
ward.name("Jun", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.15 - Repair Jun
# *Difficulty 2 of 3 - about 8 minutes*
#
# Jun's attention stands below: PyTorch's layer, called as its documentation shows. Repair it, so that each text looks at its own past and at no other text. His program generates without a cache, so none has to be served.

# %% exercise="10.15" slideshow={"slide_type": "skip"} tags=["exercise"]
class MyJunAttention(nn.Module):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
JunAttention = nb10.JunAttention.use(MyJunAttention)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# The layer was made before `(batch, time, features)` became usual. What does it expect unless it is told otherwise? `help(nn.MultiheadAttention)` says it.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Two lines have to change: how the layer is made, and how large the mask is. Ask what axis 0 of `x` is.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class MyJunAttention(nn.Module):
#     """Causal attention of many heads, PyTorch's own layer."""
#
#     def __init__(self, config):
#         super().__init__()
#         self.inner = nn.MultiheadAttention(config.d_model, config.n_head, batch_first=True)
#
#     def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
#         if cache is not None:
#             raise ValueError("this layer keeps no keys and values: read the whole text again")
#         length = x.size(1)
#         hidden = torch.ones(length, length, dtype=torch.bool).triu(diagonal=1)  # True: must not be looked at
#         mixed, _ = self.inner(x, x, x, attn_mask=hidden, need_weights=False)
#         return mixed
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Jun", attention=JunAttention)


# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** `nn.MultiheadAttention` takes `(time, batch, features)` unless it is made with
# `batch_first=True`. Handed `(batch, time, features)`, it raises nothing: it lets token 5 of one story look at token 5
# of the stories above it. The mask went along, since it was cut to the wrong axis, too. What is left is a model that
# knows its current token, its position, and noise from strangers; therefore the curve looks like that of a model that is
# too small or trained too slowly. What tells them apart is one question: does a row's result change with the other rows?
# A gradient answers it. The same happened in [IBM's TabFormer](https://github.com/IBM/TabFormer/pull/14) and in
# [OmDet](https://github.com/om-ai-lab/OmDet/issues/19).

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Round three: does it learn, and how fast?
#
# The data are right, and nobody sees what they should not. Now the weights move: all of them, in the right direction, and
# neither too little nor too far?

# %% [markdown] slideshow={"slide_type": "notes"}
# Five instruments. One asks whether anything is learned at all, and one how far the weights move, their **update ratio**. One looks for
# **dead units**, one for the first value that is not a number. The last compares a model with an **input-independent baseline**: itself,
# when all inputs are the same.

# %% [markdown] slideshow={"slide_type": "notes"}
# Anything that can learn can memorize one batch. So give the program's own training the same batch at every step, and look at the last loss: it should come near zero. If it does not, something between the loss and the weights is broken, or is set so that it cannot work: gradients that do not reach the weights, an optimizer that holds other weights, a learning rate that is far too low or too high. What it cannot see is everything that helps to memorize: leaks, of the future or of the targets, pass this test best of all. And it says nothing about stories that are new.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.16 - Overfit one batch
# *Difficulty 1 of 3 - about 5 minutes*
#
# Train a copy of the model with the program's own `train`, the same batch each time, and return the last loss. The model itself must stay as it was.

# %% exercise="10.16" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_overfit(model, loss, train, batch, steps: int = 60, lr: float = 5e-3) -> float:
    """The last loss after training a copy on one batch, (inputs, targets), again and again: near 0 if it can learn.

    Args:
        train: the program's own, `train(model, loss, batches, steps, lr)`; yields (loss, norm of the gradient).
    """
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
overfit = nb10.overfit.use(my_overfit)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# `copy.deepcopy(model)` is another model with the same weights, tied ones still tied.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `train` wants an iterator that never ends: `itertools.repeat(batch)`. It is a generator and does nothing until it is gone through; it yields pairs of a loss and a norm.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_overfit(model, loss, train, batch, steps: int = 60, lr: float = 5e-3) -> float:
#     student = copy.deepcopy(model)
#     return [value for value, _ in train(student, loss, itertools.repeat(batch), steps, lr)][-1]
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
batch = next(program.data(seed=1))
print(f"after training on one batch alone its loss is {overfit(model, program.loss, program.train, batch):.3f}")


# %% [markdown] slideshow={"slide_type": "notes"}
# The program memorizes a batch in a few dozen steps.

# %% [markdown] slideshow={"slide_type": "notes"}
# The learning rate is a number that nobody can judge by itself. What it does can be judged: how far a matrix moves in one step, relative to its size,
#
# $$r = \frac{\lVert W_{\text{after}} - W_{\text{before}} \rVert}{\lVert W_{\text{before}} \rVert} .$$
#
# A common rule of thumb is about one in a thousand for a long run; a run of a hundred steps has to move faster. Matrices of one model should lie within a factor of ten or so of each other. A ratio of exactly zero is a weight that the optimizer does not have. Small ones come from a learning rate that is too low *or* from weights that were initialized too large: the instrument says that it is slow, not why.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.17 - How far the weights move
# *Difficulty 1 of 3 - about 5 minutes*
#
# For every parameter of two or more dimensions, by name, the norm of its change over its norm before. Vectors (biases, LayerNorms) are left out: biases begin at zero, and nothing can be divided by that.

# %% exercise="10.17" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_update_ratios(before: dict, after: dict) -> dict[str, float]:
    """How far each matrix has moved, relative to its size: the norm of the change over the norm, by name.

    Args:
        before, after: copies of a model's parameters by name, such as of two steps that follow each other.
    """
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
update_ratios = nb10.update_ratios.use(my_update_ratios)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# The norm of a tensor is `tensor.norm()`, over all of its entries.
# </details>
#
# <details><summary>Hint 2</summary>
#
# A dict comprehension over `before.items()`, with `if weight.dim() >= 2`, and `.item()` to make a plain number.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_update_ratios(before: dict, after: dict) -> dict[str, float]:
#     return {
#         name: ((after[name] - weight).norm() / weight.norm()).item()
#         for name, weight in before.items()
#         if weight.dim() >= 2
#     }
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
student = copy.deepcopy(healthy.model)
weights = [{name: weight.clone() for name, weight in student.named_parameters()}]
for _ in program.train(student, program.loss, program.data(seed=1), 1, program.lr):  # one more step
    weights.append({name: weight.clone() for name, weight in student.named_parameters()})
for name, ratio in list(update_ratios(*weights).items())[:6]:
    print(f"{name:24} {ratio:.4f}")


# %% [markdown] slideshow={"slide_type": "notes"}
# All matrices move by comparable amounts, and less and less as the schedule goes down.

# %% [markdown] slideshow={"slide_type": "notes"}
# Where a function is flat no gradient passes. GELU is flat below about $-3$: a unit that is there for every token of every story is *dead*, it gives nothing and learns nothing. Some values in the flat part are normal and even useful; many of them before training are a sign of weights that are too large, and units that die in training one of steps that are too long. The same pass through the model shows a third thing, how much the residual stream grows on its way up: each block adds to it, and GPT-2 makes the added parts smaller the deeper the model is. None of these numbers sees data, masks or the score.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.18 - Dead and saturated units
# *Difficulty 3 of 3 - about 10 minutes*
#
# From the outputs of all `...mlp.fc` modules (what enters GELU): the fraction of values below $-3$, and the fraction of units (features of a layer) that are there at every position of every row. And the standard deviation of what leaves the last block over that of what leaves `wte`.

# %% exercise="10.18" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_saturated(model, ids) -> dict[str, float]:
    """What is stuck inside a model that reads ids (B, T).

    Returns:
        flat: the fraction of the feed-forward activations below -3, where GELU is flat and no gradient passes.
        dead: the fraction of units that are there at every position of every row.
        growth: how many times larger the residual stream is above the last block than the vectors of the tokens.
    """
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
saturated = nb10.saturated.use(my_saturated)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# `outputs(model, ids)` has "blocks.0.mlp.fc", "blocks.1.mlp.fc" and so on, (B, T, d_ff) each. Stack their truth values `output < -3`: (layers, B, T, d_ff).
# </details>
#
# <details><summary>Hint 2</summary>
#
# A unit is dead if it is flat over B and T: `flat.all(dim=(1, 2))`. Blocks are the names like "blocks.1", with one dot; the last of them in the dict is the top one.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_saturated(model, ids) -> dict[str, float]:
#     kept = outputs(model, ids)
#     flat = torch.stack([output < -3 for name, output in kept.items() if name.endswith("mlp.fc")])  # (n, B, T, d_ff)
#     blocks = [output for name, output in kept.items() if name.startswith("blocks.") and name.count(".") == 1]
#     return {
#         "flat": flat.float().mean().item(),
#         "dead": flat.all(dim=(1, 2)).float().mean().item(),
#         "growth": (blocks[-1].std() / kept["wte"].std()).item(),
#     }
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
for what, each in {"untrained": model, "trained": healthy.model}.items():
    print(what, {name: round(value, 3) for name, value in saturated(each, inputs).items()})


# %% [markdown] slideshow={"slide_type": "notes"}
# Before training nothing is flat, and the stream grows little.

# %% [markdown] slideshow={"slide_type": "notes"}
# One `nan` spreads: everything that is computed with it is `nan`, and after one optimizer step so are all weights. When it is seen in the loss it is everywhere, so where did it begin? Hooks on all modules answer that for the forward pass: the first module with an output that is not finite. An infinity counts, too: it is a number that has left the range, often float16's, and a subtraction later it is `nan`. For the backward pass torch has its own instrument, `torch.autograd.detect_anomaly()`: inside of it, the backward pass that makes the first `nan` raises an error and shows the line of the forward pass that it belongs to. It is slow; use it to find, not to train.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.19 - Where it stops being a number
# *Difficulty 1 of 3 - about 4 minutes*
#
# Return the name of the first module, in the order in which they finish, with an output that holds `nan` or an infinity; "" if there is none. The model as a whole has the empty name: call it "the model".

# %% exercise="10.19" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_first_nonfinite(model, ids) -> str:
    """The first module that turns ids (B, T) into an output with nan or an infinity; "" if all is finite."""
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
first_nonfinite = nb10.first_nonfinite.use(my_first_nonfinite)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# `outputs(model, ids)` is in that order: inner modules finish before those around them.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.isfinite(output).all()` is false for `nan` and for both infinities.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_first_nonfinite(model, ids) -> str:
#     for name, output in outputs(model, ids).items():
#         if not torch.isfinite(output).all():
#             return name or "the model"
#     return ""
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
spoiled = copy.deepcopy(model)
with torch.no_grad():
    spoiled.blocks[1].mlp.fc.weight[0, 0] = math.inf
print(f"healthy: {first_nonfinite(model, inputs)!r}; with one infinite weight: {first_nonfinite(spoiled, inputs)!r}")


# %% [markdown] slideshow={"slide_type": "notes"}
# One weight is enough, and the instrument names the module that has it.

# %% [markdown] slideshow={"slide_type": "notes"}
# A loss that falls does not prove that a model reads. Without looking at anything it can learn which tokens are frequent, and the curve looks like learning that has become slow. Karpathy's baseline: take the input away, all tokens the same, and see how much worse the loss is:
#
# $$\ell(\text{no input}) - \ell(\text{input}) .$$
#
# About zero says that the input does not matter, to an untrained model or to one whose data are mixed up: inputs of one story with targets of another, or gradients that never reach the lower layers. It is measured after some training. A large number does not say that the input is used *well*: a model that looks at its target uses its input a great deal.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.20 - Does it look at its input
# *Difficulty 1 of 3 - about 4 minutes*
#
# Write it: the loss on the targets with all inputs 0, less the loss with the true inputs, without dropout.

# %% exercise="10.20" slideshow={"slide_type": "skip"} tags=["exercise"]
@torch.no_grad()
def my_uses_input(model, loss, inputs, targets) -> float:
    """By how much a loss rises if every input is the same token, in nats per token: about 0 if they are not used."""
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
uses_input = nb10.uses_input.use(my_uses_input)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# `torch.zeros_like(inputs)` has the same shape and type.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Both losses in evaluation mode: `with evaluating(model):`; and no gradient.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def my_uses_input(model, loss, inputs, targets) -> float:
#     with evaluating(model):
#         return float(loss(model, torch.zeros_like(inputs), targets) - loss(model, inputs, targets))
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
for what, each in {"untrained": model, "trained": healthy.model}.items():
    print(f"{what:10} constant inputs cost {uses_input(each, program.loss, inputs, targets):+.2f} nats")
tools |= {"overfit": overfit, "update_ratios": update_ratios, "saturated": saturated}
tools |= {"first_nonfinite": first_nonfinite, "uses_input": uses_input}

# %% [markdown] slideshow={"slide_type": "notes"}
# About zero before training and several nats after it.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Kira
#
# > One head, as wide as the model, and weights that keep everything about as large as it was. The first loss is right. Then it falls slowly, and stays far above a model which differs in its attention's code alone. The gradient norm is larger than there from the first step on. In the untrained model's attention maps many rows already have nearly all of their weight on one token.

# %% slideshow={"slide_type": "skip"}
ward.admit("Kira")

# %% slideshow={"slide_type": "skip"}
ward.examine("Kira", tools)
ward.name("Kira", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.21 - Repair Kira
# *Difficulty 2 of 3 - about 5 minutes*
#
# Kira's attention stands below. Repair it, so that its scores begin about as large as one number of `q`, however wide a head is.

# %% exercise="10.21" slideshow={"slide_type": "skip"} tags=["exercise"]
class MyKiraAttention(nn.Module):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
KiraAttention = nb10.KiraAttention.use(MyKiraAttention)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# A score is a sum of how many products? If each is about as large as one, how large is their sum?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Section 3.2.1 of *Attention Is All You Need* says by what to divide, and why.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class MyKiraAttention(nn.Module):
#     """Causal attention of many heads, step by step."""
#
#     def __init__(self, config):
#         super().__init__()
#         self.n_head = config.n_head
#         self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
#         self.proj = nn.Linear(config.d_model, config.d_model)
#
#     def forward(self, x: Tensor, cache=None) -> Tensor:  # (B, T, d_model)
#         B, T, d_model = x.shape
#         q, k, v = (part.view(B, T, self.n_head, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
#         visible = torch.ones(T, T, dtype=torch.bool).tril()
#         if cache is not None:
#             k, v, visible = cache.extend(k, v)  # (B, n_head, past + T, d_head)
#         scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (B, n_head, T, past + T)
#         if visible is not None:
#             scores = scores.masked_fill(~visible, -math.inf)
#         mixed = scores.softmax(dim=-1) @ v  # (B, n_head, T, d_head)
#         return self.proj(mixed.transpose(1, 2).reshape(B, T, d_model))
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Kira", attention=KiraAttention)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** The sum of $d$ independent products has a standard deviation of $\sqrt{d}$ times that of one. Without
# the division, the scores of a wide head are large from the start: the softmax gives nearly everything to one token, and
# where it is that sure its gradient nearly vanishes, so attention finds it hard to look elsewhere. What remains learns,
# slowly. With GPT-2's small initial weights and narrow heads the same fault would hardly show, for then scores are tiny
# anyway: a fault can wait for another initialization. It looks like a learning rate that is too high; but the norm is
# too large before any step. [MLC-LLM](https://github.com/mlc-ai/mlc-llm/pull/3426) had it in one of its two paths. A
# near relative divides by the root of `d_model`
# ([an example](https://github.com/FareedKhan-dev/train-llm-from-scratch/pull/3)).

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Leo
#
# > Twelve blocks, and an initialization of my own. The first loss is right, no gradient is large, nothing spikes; but the loss lags behind that of a model which is only started otherwise. I printed how large the residual stream is behind each block of the untrained model: it grows from block to block, to many times what it was.

# %% slideshow={"slide_type": "skip"}
ward.admit("Leo")

# %% slideshow={"slide_type": "skip"}
ward.examine("Leo", tools)
ward.name("Leo", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.22 - Repair Leo
# *Difficulty 2 of 3 - about 6 minutes*
#
# Leo's `initialize` stands below; it changes the model and returns nothing. Repair it, so that all sublayers together add to the stream about as much as one of them does now, however many blocks there are.

# %% exercise="10.22" slideshow={"slide_type": "skip"} tags=["exercise"]
@torch.no_grad()
def my_leo_initialize(model: nn.Module) -> None:
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
leo_initialize = nb10.leo_initialize.use(my_leo_initialize)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Each sublayer, attention and feed-forward network, ends in a matrix called `proj`. Its size decides how much is added to the stream.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Independent additions add up in their squares. There are two a block: by what must each be divided, so that all of them together are as large as one?
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def my_leo_initialize(model: nn.Module) -> None:
#     """Every matrix such that its output is about as large as its input; embeddings smaller, biases at zero."""
#     for name, parameter in model.named_parameters():
#         if name.endswith("bias"):
#             parameter.zero_()
#         elif parameter.dim() == 1:  # the weight of a LayerNorm
#             parameter.fill_(1.0)
#         elif name in ("wte.weight", "wpe.weight"):  # the first is the head, too
#             parameter.normal_(std=0.1)
#         else:
#             parameter.normal_(std=1 / math.sqrt(parameter.shape[1]))
#             if name.endswith("proj.weight"):  # adds to the residual stream, as 2 * n_layer sublayers do
#                 parameter.div_(math.sqrt(2 * model.config.n_layer))
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Leo", initialize=leo_initialize)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** Each sublayer added about as much as the one before: with $n$ of them the stream's standard
# deviation grows with $\sqrt{n}$. In pre-LN nothing on the stream takes that back. The tokens' own vectors drown in the
# first sums, and a late block, which adds one more of the same size, changes little of what is there: the last LayerNorm
# divides by a large number, so gradients are small and not large. That looks like a learning rate that is too low. GPT-2 divides
# the last matrix of each sublayer by $\sqrt{2 n_{layer}}$. [A test for a name that never
# matched](https://github.com/huggingface/transformers/issues/47458) switched exactly this off in `transformers`, and
# nothing was raised. In a shallow model you would not see it.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Mona
#
# > I wanted to train a Transformer as in 2017: LayerNorms after the sums, weights that keep everything about as large as it was. The loss falls at once, to where a model is that knows how frequent each token is and nothing else. There it lies for most of the run, without a NaN and without a sign of life. What I feed it I have decoded and read: these are my stories.

# %% slideshow={"slide_type": "skip"}
ward.admit("Mona")

# %% slideshow={"slide_type": "skip"}
ward.examine("Mona", tools)
ward.name("Mona", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.23 - Repair Mona
# *Difficulty 3 of 3 - about 7 minutes*
#
# Mona's training loop stands below. The architecture is to remain as it is, and so are the highest learning rate, the decay at the end, clipping and the rest: repair what the loop lacks for such a model.

# %% exercise="10.23" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_mona_train(model: nn.Module, loss, batches, steps: int, lr: float):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
mona_train = nb10.mona_train.use(my_mona_train)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# What does Adam divide by in its very first step? How large does that make the step of a weight whose gradient is tiny?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Let the learning rate rise over the first ten steps or so, from nearly nothing to what the cosine says.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_mona_train(model: nn.Module, loss, batches, steps: int, lr: float):
#     """Train a model in place; yields each step's loss and the gradient's norm before clipping."""
#     matrices = [p for p in model.parameters() if p.dim() >= 2]
#     vectors = [p for p in model.parameters() if p.dim() < 2]
#     groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
#     optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))
#     model.train()
#     for step in range(steps):
#         warm_up = min(1.0, (step + 1) / 10)
#         for group in optimizer.param_groups:
#             group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
#         inputs, targets = next(batches)
#         value = loss(model, inputs, targets)
#         optimizer.zero_grad()
#         value.backward()
#         norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#         optimizer.step()
#         yield value.item(), norm.item()
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Mona", train=mona_train)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** The learning rate began at its full height. Adam's first steps are about as large as the learning rate for every
# weight, however small its gradient. In post-LN the LayerNorms stand on the stream itself, and what comes back passes all
# of them: the last layers get the largest gradients, and a few full steps bring the model where it no longer minds its
# input. What is left to learn then are the frequencies of tokens, so the curve lies flat where those end. It looks
# like inputs that do not arrive, and the input-independence baseline says the same of both: what enters has to be looked
# at to tell them apart. [Xiong et al. 2020](https://arxiv.org/abs/2002.04745) explain it. Pre-LN, GPT-2's choice, minds far less.

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Nils
#
# > The first steps are fine. Then the loss stops at about what one gets who knows only which words are frequent, and wanders around there. I print the gradient's norm at every step, and it grows and grows. A smaller learning rate does not help.

# %% slideshow={"slide_type": "-"} tags=["slide-hide-code"]
ward.admit("Nils")

# %% slideshow={"slide_type": "skip"}
ward.examine("Nils", tools)
ward.name("Nils", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.24 - Repair Nils
# *Difficulty 1 of 3 - about 4 minutes*
#
# Nils' `train` stands below, with a schedule that only falls in a line. It gives the loss and the gradient's norm of each step. Repair it.

# %% exercise="10.24" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_nils_train(model: nn.Module, loss, batches, steps: int, lr: float):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
nils_train = nb10.nils_train.use(my_nils_train)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# The norm grows with the number of steps. What in this function could know how many steps there were?
# </details>
#
# <details><summary>Hint 2</summary>
#
# What does `backward` do with a gradient that is still there from the step before?
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_nils_train(model: nn.Module, loss, batches, steps: int, lr: float):
#     """Train a model in place; yields each step's loss and the gradient's norm."""
#     optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
#     model.train()
#     for step in range(steps):
#         for group in optimizer.param_groups:
#             group["lr"] = lr * min(1.0, (step + 1) / 10) * (1 - step / steps)
#         inputs, targets = next(batches)
#         value = loss(model, inputs, targets)
#         optimizer.zero_grad()
#         value.backward()
#         norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])
#         optimizer.step()
#         yield value.item(), norm.item()
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Nils", train=nils_train)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** `backward` adds to what stands in `.grad`, and nobody emptied it. So the optimizer followed the
# sum of all gradients since the beginning, of which most belong to a model that is long gone; and a sum grows with its
# terms, which is what the norm showed. A high learning rate looks alike in the loss, but its norms come
# and go, and a lower one would help. The update sizes look harmless: AdamW divides by the size of the gradient. Clipping hides most
# of it, norm and all, which is why a program that clips should print the norm before. It was missing in
# [the first GPT example of `transformers`](https://github.com/huggingface/transformers/issues/340), and was
# confirmed as a mistake.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Olga
#
# > To save memory I take four small batches a step in place of a large one. It should be the same arithmetic, and the loss is the same indeed. But the gradient's norm is several times what it was with the large batch, and clipping now cuts off most of it at every step. Should I worry?

# %% slideshow={"slide_type": "skip"}
ward.admit("Olga")

# %% slideshow={"slide_type": "skip"}
ward.examine("Olga", tools)
ward.name("Olga", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.25 - Repair Olga
# *Difficulty 2 of 3 - about 5 minutes*
#
# Olga's `train` takes four batches a step. Repair it, so that gradient and norm are those of the large batch; what it reports as the loss is right and shall stay.

# %% exercise="10.25" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_olga_train(model: nn.Module, loss, batches, steps: int, lr: float):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
olga_train = nb10.olga_train.use(my_olga_train)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Each batch's loss is a mean over its tokens. Write down the mean of four such means, and the gradient of that.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `backward` adds up gradients. By which number must the loss be divided before?
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_olga_train(model: nn.Module, loss, batches, steps: int, lr: float):
#     """Train a model in place, four batches a step; yields their mean loss and the gradient's norm before clipping."""
#     accumulate = 4
#     optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
#     model.train()
#     for step in range(steps):
#         for group in optimizer.param_groups:
#             group["lr"] = lr * min(1.0, (step + 1) / 10) * (1 - step / steps)
#         optimizer.zero_grad()
#         total = 0.0
#         for _ in range(accumulate):
#             inputs, targets = next(batches)
#             value = loss(model, inputs, targets)
#             (value / accumulate).backward()
#             total += value.item()
#         norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#         optimizer.step()
#         yield total / accumulate, norm.item()
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Olga", train=olga_train)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** Four gradients were added up, and not divided by four. With SGD that is a learning rate four times
# as high, and one sees it at once. AdamW divides each step by the size of the gradients, so the factor cancels and the
# loss hardly notices; what does is everything with a fixed measure: the norm in the log, and the clipping limit, which is
# now a quarter of what it says and cuts at nearly every step. A forgotten `zero_grad` grows from step to step, and noise
# is no constant factor. Karpathy's answer to
# [the question in nanoGPT](https://github.com/karpathy/nanoGPT/issues/168) was just this. Where the batches have different
# numbers of tokens, dividing by four is not quite right either: then sums must be divided by all tokens together.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Paul
#
# > I fit the model to my own tokenizer: new token vectors, which it has to learn, the head tied to them as before. The loss begins where it should, but then it hardly moves, as if it were stuck in glue. No error, healthy gradients. A higher learning rate changes little.

# %% slideshow={"slide_type": "skip"}
ward.admit("Paul")

# %% slideshow={"slide_type": "skip"}
ward.examine("Paul", tools)
ward.name("Paul", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.26 - Repair Paul
# *Difficulty 2 of 3 - about 6 minutes*
#
# Paul's `train` first gives the model new token vectors, and then trains it. Repair it, so that they learn, too. The new table itself is wanted, with its standard deviation, and so is the tied head.

# %% exercise="10.26" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_paul_train(model: nn.Module, loss, batches, steps: int, lr: float):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
paul_train = nb10.paul_train.use(my_paul_train)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Which tensors does the optimizer have? When was it told?
# </details>
#
# <details><summary>Hint 2</summary>
#
# After the first line of the body, `model.wte` is another module, with another weight. An optimizer keeps the tensors, not the names.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_paul_train(model: nn.Module, loss, batches, steps: int, lr: float):
#     """Give the tokens new vectors, and train a model in place; yields each step's loss and the gradient's norm."""
#     model.wte = nn.Embedding(model.config.vocab_size, model.config.d_model)
#     nn.init.normal_(model.wte.weight, std=0.02)
#     model.head.weight = model.wte.weight
#     optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
#     model.train()
#     for step in range(steps):
#         for group in optimizer.param_groups:
#             group["lr"] = lr * min(1.0, (step + 1) / 10) * (1 - step / steps)
#         inputs, targets = next(batches)
#         value = loss(model, inputs, targets)
#         model.zero_grad()
#         value.backward()
#         norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#         optimizer.step()
#         yield value.item(), norm.item()
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Paul", train=paul_train)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** An optimizer keeps the tensors that it was given. The new table was made afterwards: it takes part
# in every forward pass, gets a gradient at every step, and nobody moves it. Since it is the head as well, the logits cannot
# even say which words are frequent, so the loss stays near that of guessing. A learning rate that is too low looks alike, but
# then all matrices move little; here the updates are healthy in all matrices but one. `zero_grad` of the optimizer would
# not have cleared the new table's gradient either. It happens wherever a parameter is replaced: a vocabulary
# resized, weights tied, a layer exchanged. An example script of
# [`transformers`](https://github.com/huggingface/transformers/pull/3532) resized the embedding after the optimizer had
# been made, and its token embeddings were not updated.

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Rosa
#
# > I took the schedule from the Transformer paper, and a short warm-up, since my run is short. The loss comes down quickly at first and then crawls along a high plateau. What it tells is a few frequent words, again and again.

# %% slideshow={"slide_type": "-"} tags=["slide-hide-code"]
ward.admit("Rosa")

# %% slideshow={"slide_type": "skip"}
ward.examine("Rosa", tools)
ward.name("Rosa", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.27 - Repair Rosa
# *Difficulty 2 of 3 - about 6 minutes*
#
# Rosa's `train` lets the learning rate rise for ten steps and then fall with the root of the step. Repair it, so that the highest learning rate is the one that its caller asks for.

# %% exercise="10.27" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_rosa_train(model: nn.Module, loss, batches, steps: int, lr: float):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
rosa_train = nb10.rosa_train.use(my_rosa_train)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Work out the learning rate at the end of the warm-up, for a `d_model` of your choice. What did the caller ask for?
# </details>
#
# <details><summary>Hint 2</summary>
#
# The argument `lr` goes to the optimizer, and then? The formula needs a height of its own: let it be one at the end of the warm-up, and multiply.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_rosa_train(model: nn.Module, loss, batches, steps: int, lr: float):
#     """Train a model in place, the rate up for 10 steps, then down with the root; yields each step's loss and norm."""
#     warm_up = 10
#     optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.98))
#     model.train()
#     for step in range(1, steps + 1):
#         rate = lr * min(step / warm_up, (warm_up / step) ** 0.5)
#         for group in optimizer.param_groups:
#             group["lr"] = rate
#         inputs, targets = next(batches)
#         value = loss(model, inputs, targets)
#         optimizer.zero_grad()
#         value.backward()
#         norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#         optimizer.step()
#         yield value.item(), norm.item()
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Rosa", train=rosa_train)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** The schedule of *Attention Is All You Need* has its height built in: the width to the power of
# -0.5, times the step to the power of -0.5. With the thousands of steps of warm-up that it was made for, its peak is
# modest. The shorter the warm-up, the higher the peak; and `lr`, which was handed over, has no say. The loss came down to what the frequencies of words give, and crawled from there. A broken attention or a
# wrong initialization can look like that. What tells them apart is how far each matrix moves in a step, and a first loss and a
# first norm that are healthy. A learning rate too high by orders of magnitude was the whole trouble in
# [this report](https://github.com/rajveermalviya/language-modeling/issues/3), with a learning rate of one left in a config.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Sven
#
# > I do not guess my learning rate, I search for it: a few learning rates, a few steps of each on a copy, and the one with the lowest loss wins. Mine says that the lowest of them is the best. The training that follows is so slow that I have begun to doubt my model.

# %% slideshow={"slide_type": "skip"}
ward.admit("Sven")

# %% slideshow={"slide_type": "skip"}
ward.examine("Sven", tools)
ward.name("Sven", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.28 - Repair Sven
# *Difficulty 3 of 3 - about 7 minutes*
#
# Sven's `train` tries four learning rates on a few batches each, and then trains at the best. Repair the search, so that each learning rate has the same chance.

# %% exercise="10.28" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_sven_train(model: nn.Module, loss, batches, steps: int, lr: float):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
sven_train = nb10.sven_train.use(my_sven_train)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Print the loss at the *beginning* of each trial. Should it not be the same for all?
# </details>
#
# <details><summary>Hint 2</summary>
#
# What does the second trial train: the model that the first one began with, or the one that it left?
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_sven_train(model: nn.Module, loss, batches, steps: int, lr: float):
#     """Try rates around `lr` on a few batches, and train in place at the best; yields each step's loss and norm."""
#
#     def learn(learner, rate, count):
#         optimizer = torch.optim.AdamW(learner.parameters(), lr=rate, betas=(0.9, 0.95))
#         for step in range(count):
#             optimizer.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / 10)
#             inputs, targets = next(batches)
#             value = loss(learner, inputs, targets)
#             optimizer.zero_grad()
#             value.backward()
#             norm = nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
#             optimizer.step()
#             yield value.item(), norm.item()
#
#     found = {}
#     for rate in (4 * lr, lr, lr / 4, lr / 10):
#         trial = copy.deepcopy(model)
#         losses = [value for value, _ in learn(trial, rate, 15)]
#         found[rate] = sum(losses[-5:]) / 5
#     best = min(found, key=found.get)
#     yield from learn(model, best, steps)
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Sven", train=sven_train)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** The copy was made once, before the loop, so each trial went on with what the trial before had
# trained. The last began with the best model, and a low learning rate has the merit of spoiling nothing: it won by its place in
# the line. The run itself then had a learning rate ten times too low, which looks like a model that is too small or like gradients
# that vanish. The norms are healthy, though, and all updates small by the same factor. A smooth curve that
# is still falling when the run ends is a sign of a low learning rate. Just this was reported of PyTorch Lightning's
# [search for a learning rate, which did not reset its model](https://github.com/Lightning-AI/pytorch-lightning/issues/9672). Beware of a
# near relative: `model.state_dict()` keeps no copy of the weights, but the weights themselves.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Tom
#
# > In float32 the program learns well. I have moved it to float16, with a scaler as the manual says, and now the curve is much too flat. There is no infinity and no NaN anywhere. The norms that I log are enormous from the first step on, so I am glad that I clip.

# %% slideshow={"slide_type": "skip"}
ward.admit("Tom")

# %% slideshow={"slide_type": "skip"}
ward.examine("Tom", tools)
ward.name("Tom", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.29 - Repair Tom
# *Difficulty 3 of 3 - about 6 minutes*
#
# Tom has moved his program to float16, with a scaler. Since then the curve is much too flat, and the norms that he logs are enormous from the first step
# on; he is glad that he clips. There is no NaN. `my_tom_train` is his loop. Repair it; float16, the scaler and the clipping to 1 should stay.

# %% exercise="10.29" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_tom_train(model: nn.Module, loss, batches: Iterator, steps: int, lr: float) -> Iterator[tuple[float, float]]:
    """Train in float16 with a scaled loss; yields each step's loss and the gradient's norm before clipping."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    model.train()
    for step in range(steps):
        warm_up = min(1.0, (step + 1) / 10)
        for group in optimizer.param_groups:
            group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        inputs, targets = next(batches)
        with torch.autocast("cpu", dtype=torch.float16):
            value = loss(model, inputs, targets)
        optimizer.zero_grad()
        scaler.scale(value).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        yield value.item(), norm.item()


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
tom_train = nb10.tom_train.use(my_tom_train)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# By which factor are his norms too large? Print `scaler.get_scale()`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `scaler.step` divides the gradients by the scale, unless that has been done. There is a method that does it earlier: `scaler.unscale_(optimizer)`.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_tom_train(model: nn.Module, loss, batches: Iterator, steps: int, lr: float) -> Iterator[tuple[float, float]]:
#     """Train in float16 with a scaled loss; yields each step's loss and the gradient's norm before clipping."""
#     optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))
#     scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
#     model.train()
#     for step in range(steps):
#         warm_up = min(1.0, (step + 1) / 10)
#         for group in optimizer.param_groups:
#             group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
#         inputs, targets = next(batches)
#         with torch.autocast("cpu", dtype=torch.float16):
#             value = loss(model, inputs, targets)
#         optimizer.zero_grad()
#         scaler.scale(value).backward()
#         scaler.unscale_(optimizer)
#         norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#         scaler.step(optimizer)
#         scaler.update()
#         yield value.item(), norm.item()
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Tom", train=tom_train)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** The loss was multiplied by 65,536 so that small gradients survive in float16. The clipping came before the division, cut these large gradients to a norm of 1,
# and `scaler.step` then divided by 65,536. AdamW usually forgives a factor, since it divides by the gradient's own size; but so small the gradients are no longer
# large beside its epsilon, and the steps shrink. It looks like a learning rate that is too low, or, by its norms, like an explosion. Lightning had it
# ([issue 9694](https://github.com/Lightning-AI/pytorch-lightning/issues/9694)): its users saw curves that were clearly worse, and no error.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Quin
#
# > I accumulate the gradients of four small batches. It begins well, perhaps a little fast. But after about a quarter of the run the curve goes flat, quite flat, and stays so to the end. I let it run twice as long: now it stops at a quarter of that.

# %% slideshow={"slide_type": "skip"}
ward.admit("Quin")

# %% slideshow={"slide_type": "skip"}
ward.examine("Quin", tools)
ward.name("Quin", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.30 - Repair Quin
# *Difficulty 2 of 3 - about 6 minutes*
#
# Quin's `train` accumulates four batches a step, and has a warm-up of ten steps and a cosine that ends with the run. Repair it, so that this is true.

# %% exercise="10.30" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_quin_train(model: nn.Module, loss, batches, steps: int, lr: float):
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


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
quin_train = nb10.quin_train.use(my_quin_train)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Something in the program knows how long the run is, and comes to its end too early. Print the learning rate of every step.
# </details>
#
# <details><summary>Hint 2</summary>
#
# What does `done` count, and what does `steps` count?
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_quin_train(model: nn.Module, loss, batches, steps: int, lr: float):
#     """Train a model in place, four batches a step; yields their mean loss and the gradient's norm before clipping."""
#     optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
#     done = 0
#     model.train()
#     for _ in range(steps):
#         optimizer.zero_grad()
#         total = 0.0
#         for _ in range(4):
#             cosine = 0.5 + 0.5 * math.cos(math.pi * min(1.0, done / steps))
#             for group in optimizer.param_groups:
#                 group["lr"] = lr * min(1.0, (done + 1) / 10) * cosine
#             inputs, targets = next(batches)
#             value = loss(model, inputs, targets) / 4
#             value.backward()
#             total += value.item()
#         done += 1
#         norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#         optimizer.step()
#         yield total, norm.item()
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Quin", train=quin_train)


# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** `done` counted batches, and was held against a number of steps. So warm-up and cosine ran four times
# too fast, and for three quarters of the run the learning rate was zero. A curve that goes flat looks like a model that has
# learned what it can; the telling sign is that it goes flat at a fixed *part* of the run, however long the run is. Whoever
# draws the learning rate beside the loss sees it at once; otherwise the size of the updates in the last part says it: nothing moves.
# With a schedule that does not end at zero, or one that rises again, it is much harder to see. PyTorch Lightning stepped
# its schedulers once a batch:
# [the more batches were accumulated, the sooner its warm-up was over](https://github.com/Lightning-AI/pytorch-lightning/issues/1476).

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Round four: is the score true?
#
# The loss falls, the score is good. Whose score? Of which texts, in which mode, averaged over what? A false score is worse than a
# bad one: nobody looks for it.

# %% [markdown] slideshow={"slide_type": "notes"}
# `model.train()` and `model.eval()` switch dropout on and off, and whoever scores a model must have switched it off, and on again afterwards. A score that forgets is too bad, by about as much as dropout costs, and a little different each time: it looks like a model that is too small. The test treats the score as a black box. Hand it the model in training mode, then in evaluation mode: a score that takes care of the mode gives the same number twice, to the last digit. A model without dropout passes whatever the score forgets, so the test says something only where there is dropout.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.31 - Train against eval
# *Difficulty 2 of 3 - about 6 minutes*
#
# `score(model)` gives a number. Return it for the model in training mode less that in evaluation mode, and leave the model in the mode in which it came.

# %% exercise="10.31" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_train_eval_gap(model, score) -> float:
    """`score(model)` of a model that comes in training mode, less the same in evaluation mode: 0 if it minds itself."""
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
train_eval_gap = nb10.train_eval_gap.use(my_train_eval_gap)


# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# `model.train(True)` and `model.train(False)` set the mode; `model.training` says which it is. The score may change the mode itself, so set it before each call.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Keep `model.training` before anything else, and put it back at the end.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_train_eval_gap(model, score) -> float:
#     was_training, scores = model.training, []
#     for training in (True, False):
#         model.train(training)
#         scores.append(float(score(model)))
#     model.train(was_training)
#     return scores[0] - scores[1]
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
def score(model):
    """The healthy program's validation loss."""
    return program.evaluate(model, program.loss, program.data(held_out=True))


print(f"in training mode less in evaluation mode: {train_eval_gap(healthy.model, score)}")


# %% [markdown] slideshow={"slide_type": "notes"}
# Exactly zero: this program's evaluation takes care of the mode.

# %% [markdown] slideshow={"slide_type": "notes"}
# One number for a whole batch hides where the loss is. By position it is a curve with a known shape: high where nothing has been read yet, lower behind. A curve that is flat says that the context is not used; one that goes to zero behind the beginning, that it can see what it should guess; a jump at some position, that positions are mixed up from there on. And the sum checks the program's own score: every token should weigh the same, so the mean over all positions, weighted by how many targets each has, must be what `evaluate` says,
#
# $$\bar\ell = \sum_t n_t\, \ell_t \Big/ \sum_t n_t .$$
#
# An average of batch averages is not that: where batches have unequal numbers of tokens, it is another number.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.32 - The loss by position
# *Difficulty 2 of 3 - about 8 minutes*
#
# For each position up to `model.config.context_length`, the mean loss over all batches and the number of targets that were scored: a list of pairs, `(nan, 0)` where there was none.

# %% exercise="10.32" slideshow={"slide_type": "skip"} tags=["exercise"]
@torch.no_grad()
def my_loss_by_position(model, batches) -> list[tuple[float, int]]:
    """The mean loss at each position, in nats, and how many targets were scored there; (nan, 0) where none was.

    Args:
        batches: of (inputs, targets), (B, T) each; T need not be the same.
    """
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
loss_by_position = nb10.loss_by_position.use(my_loss_by_position)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# `F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")` is (B, T), with 0 where the target is -100.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Add up sums and counts over all batches, and divide once at the end: a mean of means is wrong where batches differ. Evaluation mode, no gradient.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def my_loss_by_position(model, batches) -> list[tuple[float, int]]:
#     sums, counts = [0.0] * model.config.context_length, [0] * model.config.context_length
#     with evaluating(model):
#         for inputs, targets in batches:
#             losses = F.cross_entropy(model(inputs).transpose(1, 2), targets, reduction="none")  # (B, T); 0 at -100
#             for t in range(inputs.shape[1]):
#                 sums[t] += losses[:, t].sum().item()
#                 counts[t] += (targets[:, t] != IGNORED).sum().item()
#     return [(total / count if count else math.nan, count) for total, count in zip(sums, counts, strict=True)]
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
by_position = loss_by_position(healthy.model, itertools.islice(program.data(held_out=True), 8))
count = sum(each for _, each in by_position)
mean = sum(value * each for value, each in by_position if each) / count
print("loss at the first positions:", " ".join(f"{value:.2f}" for value, _ in by_position[:9]))
print(f"over all {count:,} tokens {mean:.4f}, and evaluate says {score(healthy.model):.4f}")


# %% [markdown] slideshow={"slide_type": "notes"}
# High at the first word, low where only one continuation is usual, and in the middle of a story somewhere between.

# %% [markdown] slideshow={"slide_type": "notes"}
# A change that helps by a hundredth of a nat has helped as much as another seed might have. One run each proves nothing: a run is a random number, because the initialization and the order of the stories are. With some seeds each, the difference of the means has a standard error,
#
# $$\mathrm{SE} = \sqrt{\frac{s_1^2}{n_1} + \frac{s_2^2}{n_2}} ,$$
#
# $s^2$ being the variance of the sample, with $n - 1$ below. A difference below two standard errors may be chance. With three seeds the standard error is itself uncertain, so ask for more than two. It does not see a fault that all runs share, and cannot say why they differ.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.33 - Two settings, some seeds
# *Difficulty 1 of 3 - about 6 minutes*
#
# Return the difference of the means, `other` less `one`, and its standard error.

# %% exercise="10.33" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_seeds_differ(one: list[float], other: list[float]) -> tuple[float, float]:
    """By how much the mean of `other` lies above that of `one`, and its standard error; each of two numbers or more."""
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
seeds_differ = nb10.seeds_differ.use(my_seeds_differ)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# `statistics.mean` and `statistics.variance`; the latter divides by $n - 1$, as a sample needs it, `pvariance` by $n$.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Each variance is divided by its own number of seeds, then added, then the root is taken of the sum.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_seeds_differ(one: list[float], other: list[float]) -> tuple[float, float]:
#     squared = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
#     return statistics.mean(other) - statistics.mean(one), math.sqrt(squared)
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
whole = [program.run(seed).validation for seed in (0, 1, 2)]
half = [replace(program, lr=program.lr / 2).run(seed).validation for seed in (0, 1, 2)]
difference, error = seeds_differ(whole, half)
print(f"half the learning rate: {difference:+.3f} nats, with a standard error of {error:.3f}")
tools |= {"train_eval_gap": train_eval_gap, "loss_by_position": loss_by_position, "seeds_differ": seeds_differ}

# %% [markdown] slideshow={"slide_type": "notes"}
# Half the learning rate against the whole one: is the difference larger than the seeds' own?

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Uma
#
# > I train with dropout 0.2. The validation loss is about what the training loss is, and I had hoped for a better one. When I score the same model on the same stories once more, I get another number.

# %% slideshow={"slide_type": "skip"}
ward.admit("Uma")

# %% slideshow={"slide_type": "skip"}
ward.examine("Uma", tools)
ward.name("Uma", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.34 - Repair Uma
# *Difficulty 1 of 3 - about 4 minutes*
#
# Uma trains with dropout 0.2, and her validation loss is about what her training loss is. When the same model is scored once more on the
# same batches, the number is another one. `my_uma_evaluate` is her scoring in full: it walks over some batches of validation stories and returns the
# mean loss per token. Repair it, so that one model on the same stories always has one score, and the true one.

# %% exercise="10.34" slideshow={"slide_type": "skip"} tags=["exercise"]
@torch.no_grad()
def my_uma_evaluate(model: nn.Module, loss, batches: Iterator, count: int = 8) -> float:
    """The mean loss per token over `count` batches of validation stories."""
    total = 0.0
    tokens = 0
    for _ in range(count):
        inputs, targets = next(batches)
        asked = int((targets != -100).sum())
        total += loss(model, inputs, targets).item() * asked
        tokens += asked
    return total / tokens


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
uma_evaluate = nb10.uma_evaluate.use(my_uma_evaluate)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Score one model on one batch twice. What can make two answers of the same weights to the same ids differ? Which layers of a model
# behave in one way while it is trained and in another when it is used?
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.no_grad()` turns off the recording of gradients, and nothing else. Dropout is switched by `model.train()` and
# `model.eval()`.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def my_uma_evaluate(model: nn.Module, loss, batches: Iterator, count: int = 8) -> float:
#     """The mean loss per token over `count` batches of validation stories."""
#     model.eval()
#     total = tokens = 0
#     for _ in range(count):
#         inputs, targets = next(batches)
#         asked = int((targets != -100).sum())
#         total += loss(model, inputs, targets).item() * asked
#         tokens += asked
#     return total / tokens
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Uma", evaluate=uma_evaluate)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** Dropout was on while Uma was scored. `torch.no_grad()` looks as if it meant "only looking", but dropout knows nothing of it. Every score
# is then a score of the model with a fifth of its values missing: too high, and never twice the same. It looks like a model that is too small, since
# training and validation loss agree: both are measured with dropout. With dropout and a right evaluation, the validation loss of a model that does
# not overfit lies *below* the training loss. A fault of this family sat in nanoGPT, where the attention dropped whatever the mode
# ([pull request 240](https://github.com/karpathy/nanoGPT/pull/240)).

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Vera
#
# > I have sixty stories only, and still my model is good: its validation loss is far below that of others who train on so few, and close to its training loss. A friend has tried it on stories of the same kind that I never had. There it is as bad as everybody's.

# %% slideshow={"slide_type": "-"} tags=["slide-hide-code"]
ward.admit("Vera")

# %% slideshow={"slide_type": "skip"}
ward.examine("Vera", tools)
ward.name("Vera", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.35 - Repair Vera
# *Difficulty 2 of 3 - about 6 minutes*
#
# Vera has sixty stories. Her validation loss is close to her training loss and far below that of others who train on so few. On a friend's
# stories, of the same kind but new, she is as bad as they are. `my_vera_split` divides her stories: nine tenths for training and one tenth for
# validation, in an order that the seed decides. Repair it: the same sizes, still by chance, and the same division whenever the seed is the same.

# %% exercise="10.35" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_vera_split(stories: list[list[int]], seed: int) -> tuple[list[list[int]], list[list[int]]]:
    """Nine tenths of the stories for training and one tenth for validation, by chance; the seed decides."""
    chance = random.Random(seed)
    cut = len(stories) * 9 // 10
    training = chance.sample(stories, len(stories))[:cut]
    validation = chance.sample(stories, len(stories))[cut:]
    return training, validation


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
vera_split = nb10.vera_split.use(my_vera_split)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Which story may stand in both lists? Take ten stories, divide them, and look at what is in both.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `chance.sample` gives another order every time it is called. The end of one order is not what the beginning of another leaves
# out: shuffle once, then cut.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_vera_split(stories: list[list[int]], seed: int) -> tuple[list[list[int]], list[list[int]]]:
#     """Nine tenths of the stories for training and one tenth for validation, by chance; the seed decides."""
#     chance = random.Random(seed)
#     cut = len(stories) * 9 // 10
#     shuffled = chance.sample(stories, len(stories))
#     training = shuffled[:cut]
#     validation = shuffled[cut:]
#     return training, validation
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Vera", split=vera_split)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** Vera shuffled twice: once for the training stories, once for those of validation. Nine of ten validation stories were therefore trained
# on. The curve is that of a good model, and nothing in the run looks wrong; that is what makes a leak into the validation the most expensive of all
# faults. It looks like a model that generalizes. What tells them apart is a story that certainly was never seen, or simply the question which
# stories are in both lists. It happens in large projects: in marin training and validation set overlapped until the data was split before it was shuffled
# ([pull request 2700](https://github.com/marin-community/marin/pull/2700)). Texts that occur twice in a collection leak in the same way.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Wim
#
# > We have two machines. On the small one we evaluate story by story, on the large one in batches of fifty. The weights are the same, so are the stories, some of which are very short, and everything is in float32. The two losses differ by far more than rounding.

# %% slideshow={"slide_type": "skip"}
ward.admit("Wim")

# %% slideshow={"slide_type": "skip"}
ward.examine("Wim", tools)
ward.name("Wim", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.36 - Repair Wim
# *Difficulty 2 of 3 - about 6 minutes*
#
# Wim scores the same weights on the same stories on two machines: story by story on one, in batches of fifty on the other. Some stories are
# very short. The two losses differ by far more than rounding. `my_wim_evaluate` is his scoring. Repair it, so that the loss is the mean over all tokens
# that are scored (targets of -100 are padding), whichever stories share a batch.

# %% exercise="10.36" slideshow={"slide_type": "skip"} tags=["exercise"]
@torch.no_grad()
def my_wim_evaluate(model: nn.Module, loss, batches: Iterator, count: int = 8) -> float:
    """The mean loss per token over `count` batches of validation stories."""
    model.eval()
    total = 0.0
    for _ in range(count):
        inputs, targets = next(batches)
        total += loss(model, inputs, targets).item()
    return total / count


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
wim_evaluate = nb10.wim_evaluate.use(my_wim_evaluate)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Take two batches: one with three scored tokens, one with three hundred. How much does one token of each count in his result?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Weight each batch's mean by the number of tokens it is the mean of: those whose target is not -100.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def my_wim_evaluate(model: nn.Module, loss, batches: Iterator, count: int = 8) -> float:
#     """The mean loss per token over `count` batches of validation stories."""
#     model.eval()
#     total = tokens = 0
#     for _ in range(count):
#         inputs, targets = next(batches)
#         asked = int((targets != -100).sum())
#         total += loss(model, inputs, targets).item() * asked
#         tokens += asked
#     return total / tokens
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Wim", evaluate=wim_evaluate)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** A mean of means is the mean only if all groups have the same size. Scored one at a time, every story counts the same, so a token of a short story
# counts more; in large batches it evens out. Nothing is random, nothing is rounded badly, and each machine agrees with itself; so people suspect
# padding or the hardware. The test is to score the same stories in two batch sizes. The same mistake sits in the *training* loss when gradients of unequal
# micro-batches are averaged: torchtune normalizes by the total number of tokens since
# [pull request 1875](https://github.com/meta-pytorch/torchtune/pull/1875), and `transformers` had the same to mend in
# [pull request 34191](https://github.com/huggingface/transformers/pull/34191).

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Xena
#
# > I train in four processes, each with a batch of two stories, and the mean of their four gradients makes the step. Nothing fails, and all four are busy. But the curve is as restless and as high as with one process. I had expected that of a batch of eight.

# %% slideshow={"slide_type": "skip"}
ward.admit("Xena")

# %% slideshow={"slide_type": "skip"}
ward.examine("Xena", tools)
ward.name("Xena", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.37 - Repair Xena
# *Difficulty 2 of 3 - about 8 minutes*
#
# Xena trains in four processes, each with batches of two stories; the mean of their gradients makes the step. All four are busy, nothing fails,
# and the curve is as high and as restless as with one. `my_xena_share` makes the batches of the process `rank`. Repair it: in each step other stories
# for each process, every story about equally often, and the same run again for the same seed.

# %% exercise="10.37" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_xena_share(
    stories: list[list[int]], batch_size: int, end: int, seed: int, rank: int, processes: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of process `rank`, one of `processes`, without end: (inputs, targets), (batch_size, time) each."""
    torch.manual_seed(seed + rank)
    shuffled = random.Random(seed)
    order: list[list[int]] = []
    while True:
        if len(order) < batch_size:  # an epoch is over
            order = shuffled.sample(stories, len(stories))
        rows, order = order[:batch_size], order[batch_size:]
        rows = [[end, *story, end] for story in rows]
        longest = max(map(len, rows))
        inputs = torch.full((batch_size, longest - 1), end)
        targets = torch.full((batch_size, longest - 1), -100)
        for i, row in enumerate(rows):
            inputs[i, : len(row) - 1] = torch.tensor(row[:-1])
            targets[i, : len(row) - 1] = torch.tensor(row[1:])
        yield inputs, targets


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
xena_share = nb10.xena_share.use(my_xena_share)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Ask two processes for their first batch and decode it. Which generator draws the order, and what does it know of the rank?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Two ways are right: all processes draw the same order and each takes its part of it (`step[rank::processes]`), or each draws its own. For its
# own, `random.Random(1_000 * seed + rank)` will do; the rank times the seed will not.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_xena_share(
#     stories: list[list[int]], batch_size: int, end: int, seed: int, rank: int, processes: int
# ) -> Iterator[tuple[Tensor, Tensor]]:
#     """The batches of process `rank`, one of `processes`, without end: (inputs, targets), (batch_size, time) each."""
#     shuffled = random.Random(seed)
#     order: list[list[int]] = []
#     while True:
#         if len(order) < batch_size * processes:  # an epoch is over
#             order = shuffled.sample(stories, len(stories))
#         step, order = order[: batch_size * processes], order[batch_size * processes :]
#         rows = [[end, *story, end] for story in step[rank::processes]]
#         longest = max(map(len, rows))
#         inputs = torch.full((batch_size, longest - 1), end)
#         targets = torch.full((batch_size, longest - 1), -100)
#         for i, row in enumerate(rows):
#             inputs[i, : len(row) - 1] = torch.tensor(row[:-1])
#             targets[i, : len(row) - 1] = torch.tensor(row[1:])
#         yield inputs, targets
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Xena", share=xena_share)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** Every process drew the same order, since only torch's generator knew of the rank, and `random.Random` was given the seed alone. The mean of four equal
# gradients is that gradient: four processes did the work of one. No error can tell, and the loss falls. What tells is the unrest: the mean of different
# batches has a smaller norm than each. It looks like a batch that is too small, and is one. In icefall the ranks were not recognized, and all GPUs had
# identical batches ([issue 1616](https://github.com/k2-fsa/icefall/issues/1616)). The first thing to do with several processes is to print the first
# ids of each.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Yan
#
# > My runs are stopped half-way and go on from what was saved. The first loss after that is what it should be. Then it rises, and only after many steps is it where it would have been. The step count and the learning rate go on as they should, and so do the batches: I have looked.

# %% slideshow={"slide_type": "skip"}
ward.admit("Yan")

# %% slideshow={"slide_type": "skip"}
ward.examine("Yan", tools)
ward.name("Yan", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.38 - Repair Yan
# *Difficulty 2 of 3 - about 6 minutes*
#
# Yan's run is stopped half-way and goes on in a new process. The first loss after that is what it should be; then it rises, and it takes many steps to
# come back. Step, learning rate and batches go on rightly. `my_yan_train` trains from `saved`, if that holds anything, up to the step `until`, and then fills
# `saved` for the next process. Repair it: a run that was stopped should have the very losses of one that was not.

# %% exercise="10.38" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_yan_train(
    model: nn.Module, loss, batches: Iterator, steps: int, lr: float, saved: dict, until: int
) -> Iterator[tuple[float, float]]:
    """Train up to the step `until` of `steps`, from where `saved` was left if it holds anything; then save there."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99))
    done = 0
    if saved:
        model.load_state_dict(saved["model"])
        done = saved["step"]
        for _ in range(done):
            next(batches)
    model.train()
    for step in range(done, until):
        warm_up = min(1.0, (step + 1) / 10)
        for group in optimizer.param_groups:
            group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        inputs, targets = next(batches)
        value = loss(model, inputs, targets)
        optimizer.zero_grad()
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield value.item(), norm.item()
    state = {"step": until, "model": model.state_dict()}
    saved.update(copy.deepcopy(state))


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
yan_train = nb10.yan_train.use(my_yan_train)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# The first loss is right, the second is not. What decides a step, besides weights, batch and learning rate?
# </details>
#
# <details><summary>Hint 2</summary>
#
# AdamW keeps two moving averages for each weight and a count of its steps. `optimizer.state_dict()` has them; two lines are missing, one where it
# is saved and one where it is restored.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_yan_train(
#     model: nn.Module, loss, batches: Iterator, steps: int, lr: float, saved: dict, until: int
# ) -> Iterator[tuple[float, float]]:
#     """Train up to the step `until` of `steps`, from where `saved` was left if it holds anything; then save there."""
#     optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99))
#     done = 0
#     if saved:
#         model.load_state_dict(saved["model"])
#         optimizer.load_state_dict(saved["optimizer"])
#         done = saved["step"]
#         for _ in range(done):
#             next(batches)
#     model.train()
#     for step in range(done, until):
#         warm_up = min(1.0, (step + 1) / 10)
#         for group in optimizer.param_groups:
#             group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
#         inputs, targets = next(batches)
#         value = loss(model, inputs, targets)
#         optimizer.zero_grad()
#         value.backward()
#         norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#         optimizer.step()
#         yield value.item(), norm.item()
#     state = {"step": until, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
#     saved.update(copy.deepcopy(state))
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Yan", train=yan_train)


# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** A checkpoint that holds only the weights has forgotten AdamW's two averages. A new AdamW's first steps are about as long as the learning rate in every weight,
# also where the gradient is next to nothing. So the loss rises right after it began well, which tells this fault from weights that were not restored (a bad *first*
# loss, like Cleo's) and from a schedule that begins again. ModernMT had it:
# [issue 321](https://github.com/modernmt/modernmt/issues/321). The test costs little: train twelve steps in one piece and in two, and compare the losses.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Round five: good loss, bad text
#
# The score is true and good, and what the model tells is not. So the fault lies between the logits and the text: generation is a
# second program, with positions, a cache, a tokenizer and a way to choose, and none of them took part in training.

# %% [markdown] slideshow={"slide_type": "notes"}
# A KV cache must not change a single logit by more than rounding. It is easy to write one that does: positions that are off by one after the first token, keys that stay where they were while beams change places, a mask that is one slot too short. The text that comes out is still text, only worse, and the loss is perfect, because training uses no cache. So compare: the same sequences once with the cache, a token at a time, once without, read from the start for every token. Use sequences of unequal length and change their order on the way, as beam search does. What it cannot see is a fault that both ways share: a model that is bad without a cache, too.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.39 - With and without the cache
# *Difficulty 3 of 3 - about 12 minutes*
#
# Have both readers, `cache` and a new `WithoutCache(model)`, begin with the first half of every sequence, put them in reverse order, and append the remaining tokens one at a time, as many as the shortest remainder has. Return the largest absolute difference of any logit at any step.

# %% exercise="10.39" slideshow={"slide_type": "skip"} tags=["exercise"]
@torch.no_grad()
def my_cache_gap(model, cache, sequences) -> float:
    """The largest difference of a logit with a cache and without; about 0.

    Args:
        cache: a new `KVCache(model)`, or anything with its `start`, `append` and `reorder`.
        sequences: lists of ids, the first halves read at once, the rest a token at a time and in another order.
    """
    raise NotImplementedError


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
cache_gap = nb10.cache_gap.use(my_cache_gap)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Both readers have `start(sequences)`, `reorder(numbers)` and `append(tokens)`; `start` and `append` return (B, V). Do the same with both in one loop, and keep all logits.
# </details>
#
# <details><summary>Hint 2</summary>
#
# After `reorder(order)` row $j$ is sequence `order[j]`: append `sequences[i][len(begun[i]) + k]` for `i in order`. Evaluation mode.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def my_cache_gap(model, cache, sequences) -> float:
#     order = list(reversed(range(len(sequences))))
#     begun = [ids[: len(ids) // 2] for ids in sequences]
#     more = min(len(ids) - len(half) for ids, half in zip(sequences, begun, strict=True))
#     told = []
#     with evaluating(model):
#         for reader in (cache, WithoutCache(model)):
#             logits = [reader.start(begun)]
#             reader.reorder(order)
#             logits += [reader.append([sequences[i][len(begun[i]) + k] for i in order]) for k in range(more)]
#             told.append(torch.stack(logits))  # (steps, B, V)
#     return (told[0] - told[1]).abs().max().item()
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
rows = [row[:length].tolist() for row, length in zip(inputs, (12, 16, 20))]
gap = cache_gap(healthy.model, KVCache(healthy.model), rows)
print(f"with the cache and without, logits differ by {gap:.1e} at most")
tools |= {"cache_gap": cache_gap}

# %% [markdown] slideshow={"slide_type": "notes"}
# The two agree to rounding.

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Zoe
#
# > With my cache the model tells its stories much faster, and they read well. But they are not the same stories: without the cache, when everything is read again for every token, the most probable tokens are others. All losses are right; the training does not use the cache.

# %% slideshow={"slide_type": "-"} tags=["slide-hide-code"]
ward.admit("Zoe")

# %% slideshow={"slide_type": "skip"}
ward.examine("Zoe", tools)
ward.name("Zoe", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.40 - Repair Zoe
# *Difficulty 3 of 3 - about 8 minutes*
#
# Zoe has written a cache, and her model now tells its stories fast and fluently. But they are not the stories that it tells when everything is read again for
# every token. `MyZoeCache` is the cache: the attention asks its layers, the embedding asks `positions`. Repair it, so that its logits are those without a cache;
# ids may come one by one or several at once, also after a prompt.

# %% exercise="10.40" slideshow={"slide_type": "skip"} tags=["exercise"]
class MyZoeCache:
    """What a model remembers of one text. Its layers are asked by the attention, `positions` by the embedding."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.layers = [LayerCache() for _ in model.blocks]
        self.length = 0

    def positions(self, ids: Tensor) -> Tensor:
        if ids.shape[1] > 1:  # the prompt
            return torch.arange(ids.shape[1])
        return torch.tensor([self.length])

    @torch.no_grad()
    def read(self, ids: list[int]) -> Tensor:
        """Read further ids; the logits of what follows, (V,)."""
        self.length += len(ids)
        return self.model(torch.tensor([ids]), cache=self)[0, -1]


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
ZoeCache = nb10.ZoeCache.use(MyZoeCache)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# The prompt is read rightly. Ask for the position of the first token after a prompt of five: which should it be, which is it?
# </details>
#
# <details><summary>Hint 2</summary>
#
# When `positions` is asked, `length` has been raised already. Raise it after the model has read, and no case for the prompt is needed.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# class MyZoeCache:
#     """What a model remembers of one text. Its layers are asked by the attention, `positions` by the embedding."""
#
#     def __init__(self, model: nn.Module):
#         self.model = model
#         self.layers = [LayerCache() for _ in model.blocks]
#         self.length = 0
#
#     def positions(self, ids: Tensor) -> Tensor:
#         return self.length + torch.arange(ids.shape[1])
#
#     @torch.no_grad()
#     def read(self, ids: list[int]) -> Tensor:
#         """Read further ids; the logits of what follows, (V,)."""
#         logits = self.model(torch.tensor([ids]), cache=self)[0, -1]
#         self.length += len(ids)
#         return logits
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Zoe", cache=ZoeCache)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** `length` was raised before the model read, so each new token stood one place too far; the prompt had a case of its own and was right. A model bears a shift by
# one well enough to stay fluent, so nobody notices by reading. What notices is equality: the same ids with and without the cache must give the same logits, to
# rounding. It looks like the rounding that does at times swap two tokens; but that is rare. In tiny-llm the offset was raised by the prompt's length twice
# ([pull request 46](https://github.com/skyzh/tiny-llm/pull/46)).

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Bea
#
# > I began with a tokenizer of single bytes, and everything worked. Now I have one of 2,048 entries. The training runs without an error, and the loss falls. But what the model writes is no text at all, and its norms were wild at first.

# %% slideshow={"slide_type": "skip"}
ward.admit("Bea")

# %% slideshow={"slide_type": "skip"}
ward.examine("Bea", tools)
ward.name("Bea", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.41 - Repair Bea
# *Difficulty 1 of 3 - about 5 minutes*
#
# Bea's program worked with a tokenizer of single bytes. With one of 2,048 entries the training runs, the loss falls, and what the model writes is no text at all.
# `my_bea_pack` puts all stories into one array, as they are written to disk. Repair it for vocabularies of any size: no id may change, and an id should
# take two bytes where that is enough, four where it is not. `vocab_size` decides, so that all parts of a file have one type.

# %% exercise="10.41" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_bea_pack(stories: list[list[int]], end: int, vocab_size: int) -> np.ndarray:
    """All stories in one array, an end token behind each: what is written to disk. Few bytes for each token."""
    tokens: list[int] = []
    for story in stories:
        tokens += [*story, end]
    array = np.array(tokens)
    small = np.uint8 if array.min() >= 0 else np.int16
    return array.astype(small)


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
bea_pack = nb10.bea_pack.use(my_bea_pack)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Pack one story, and decode what comes out of the array. What is the largest number that one byte can hold?
# </details>
#
# <details><summary>Hint 2</summary>
#
# `np.uint16` ends at 65,535: enough for GPT-2's 50,257 ids and too small for a vocabulary of 100,277. `astype` says nothing when a number does not fit.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_bea_pack(stories: list[list[int]], end: int, vocab_size: int) -> np.ndarray:
#     """All stories in one array, an end token behind each: what is written to disk. Few bytes for each token."""
#     tokens: list[int] = []
#     for story in stories:
#         tokens += [*story, end]
#     small = np.uint16 if vocab_size <= 2**16 else np.uint32
#     return np.array(tokens).astype(small)
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Bea", pack=bea_pack)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** `astype(np.uint8)` keeps an id's lowest byte, without a word. Ids from 256 on came back as other tokens, and the model learned their order, for they do have one.
# So the loss falls, and only the text is broken. It looks like a wrong tokenizer at decoding; but there a training batch, decoded, is a story, and here it is
# not. In `transformers` more than a hundred thousand ids were cast to uint16, and nearly half of them were wrong
# ([issue 2825](https://github.com/huggingface/transformers/issues/2825)). Decode what really enters the model.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Cleo
#
# > After the model is loaded, its loss is as if it had never been trained, though every tensor of the file has arrived, value by value: I have compared them. When I then train on, the loss falls fast, but it never gets to where it should be.

# %% slideshow={"slide_type": "skip"}
ward.admit("Cleo")

# %% slideshow={"slide_type": "skip"}
ward.examine("Cleo", tools)
ward.name("Cleo", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.42 - Repair Cleo
# *Difficulty 2 of 3 - about 8 minutes*
#
# After loading, Cleo's model has the loss of one that was never trained, though every tensor of the file has arrived, value by value. Trained on, it never gets to
# where it should be. `my_cleo_load` puts a file's tensors into a model; the file has the matrix that embedding and head share once, as `wte.weight`. Repair it. A
# model whose head is not shared, with a file that has both, must still get both.

# %% exercise="10.42" slideshow={"slide_type": "skip"} tags=["exercise"]
@torch.no_grad()
def my_cleo_load(model: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Put the weights of a file into a model: every parameter once, by its name (the head is the embedding)."""
    for name, tensor in weights.items():
        *path, last = name.split(".")
        module = model
        for part in path:
            module = getattr(module, part)
        setattr(module, last, nn.Parameter(tensor.clone()))
    return model


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
cleo_load = nb10.cleo_load.use(my_cleo_load)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# Is `model.head.weight` the same object as `model.wte.weight` before the loading? And after?
# </details>
#
# <details><summary>Hint 2</summary>
#
# `setattr` puts a new parameter in one place. Copying values *into* the parameter that is there keeps whatever shares it: `parameter.copy_(tensor)`.
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def my_cleo_load(model: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
#     """Put the weights of a file into a model: every parameter once, by its name (the head is the embedding)."""
#     known = dict(model.named_parameters())
#     for name, tensor in weights.items():
#         known[name].copy_(tensor)
#     return model
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Cleo", load=cleo_load)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** Sharing is a matter of objects, not of numbers: one parameter stood in two places, and loading put a new one in one of them. The head kept the random matrix of the
# new model. Comparing the file with what was saved finds nothing, since in the file all is right. It looks like a file that was not read, and like Yan's fault; but
# there the first loss is good. `accelerate` had it with models whose tensors are made while loading
# ([pull request 1204](https://github.com/huggingface/accelerate/pull/1204)); in NeMo Automodel it was a spike at the first step after a resume
# ([pull request 2511](https://github.com/NVIDIA-NeMo/Automodel/pull/2511)).

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Round six: hard cases
#
# Two patients for whom the method is not enough as it stands.

# %% [markdown] slideshow={"slide_type": "notes"}
# When a fault is found and mended and the symptom becomes smaller but does not go away, most people look for what they did wrong in the
# repair. Often there was a second fault, which the first had hidden. So: after every repair examine again, with all instruments.
#
# And there are patients who look ill. Whoever repairs them makes them ill.

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Dan
#
# > My training loss goes nearly to zero, and I was proud of it until I saw the validation loss, which is hardly better than guessing. A colleague says that I must have two faults, since one of the two would not look like this.

# %% slideshow={"slide_type": "skip"}
ward.admit("Dan")

# %% slideshow={"slide_type": "skip"}
ward.examine("Dan", tools)
ward.name("Dan", "")


# %% [markdown] slideshow={"slide_type": "skip"}
# ### Exercise 10.43 - Repair Dan
# *Difficulty 3 of 3 - about 10 minutes*
#
# Dan's training loss goes nearly to zero, and his validation loss is hardly better than guessing. There are two faults in `my_dan_train`, and one of them
# hides what the other would show. Repair both. The learning rate, the decay and the clipping are right.

# %% exercise="10.43" slideshow={"slide_type": "skip"} tags=["exercise"]
def my_dan_train(model: nn.Module, loss, batches: Iterator, steps: int, lr: float) -> Iterator[tuple[float, float]]:
    """Train a model in place; yields each step's loss and the gradient's norm before clipping."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))
    model.train()
    inputs, targets = next(batches)
    for step in range(steps):
        warm_up = min(1.0, (step + 1) / 10)
        for group in optimizer.param_groups:
            group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        value = loss(model, inputs, targets)
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield value.item(), norm.item()


# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output"]
dan_train = nb10.dan_train.use(my_dan_train)

# %% [markdown] slideshow={"slide_type": "skip"}
# <details><summary>Hint 1</summary>
#
# First: which stories has the model learned? Count how many different batches eight steps see.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Then look at the norms once more: with one batch known by heart the gradient should be next to nothing. What is in `.grad` when `backward` begins?
# </details>
#
# <details><summary>Solution</summary>
#
# ```python
# def my_dan_train(model: nn.Module, loss, batches: Iterator, steps: int, lr: float) -> Iterator[tuple[float, float]]:
#     """Train a model in place; yields each step's loss and the gradient's norm before clipping."""
#     matrices = [p for p in model.parameters() if p.dim() >= 2]
#     vectors = [p for p in model.parameters() if p.dim() < 2]
#     groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
#     optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95))
#     model.my_dan_train()
#     for step in range(steps):
#         warm_up = min(1.0, (step + 1) / 10)
#         for group in optimizer.param_groups:
#             group["lr"] = lr * warm_up * (0.55 + 0.45 * math.cos(math.pi * step / steps))
#         inputs, targets = next(batches)
#         value = loss(model, inputs, targets)
#         optimizer.zero_grad()
#         value.backward()
#         norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#         optimizer.step()
#         yield value.item(), norm.item()
# ```
#
# </details>

# %% slideshow={"slide_type": "skip"}
ward.discharge("Dan", train=dan_train)

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** `next(batches)` stood before the loop, so one batch was learned by heart; and `zero_grad` was missing. With one batch for ever, the gradients that pile up all point
# the same way, and the training loss falls in spite of them: the first fault hides the second. Who mends the first alone sees the loss get *worse*, and may
# take the repair back. So after every repair, run all instruments once more. The missing `zero_grad` stood in the first GPT example of what is now `transformers`
# ([issue 340](https://github.com/huggingface/transformers/issues/340)).

# %% [markdown] slideshow={"slide_type": "skip"}
# ### Eve
#
# > My run was going well. Then, from one step to the next, the loss jumps up, higher than it was at the very beginning, and the gradient's norm jumps with it. Shall I stop the run, and begin again with a lower learning rate?

# %% slideshow={"slide_type": "skip"}
ward.admit("Eve")

# %% slideshow={"slide_type": "skip"}
ward.examine("Eve", tools)
ward.name("Eve", "")

# %% [markdown] slideshow={"slide_type": "notes"}
# **What it was.** What others saw: [OLMo issue 560: the loss spike](https://github.com/allenai/OLMo/issues/560).

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The table: symptom, instrument, cause
#
# All instruments, tried on all patients. A filled circle is an alarm, an empty one is none, and a dash stands where there was
# nothing to look at.

# %% [markdown] slideshow={"slide_type": "-"}
# **Predict:** which instrument gives alarm most often? Which patients are seen by one instrument alone? And would the first
# loss, cheapest of all, have found half of them?

# %% jupyter={"outputs_hidden": true} slideshow={"slide_type": "fragment"} tags=["predicted", "slide-hide-code", "hide-output"]
ward.table(tools)

# %% [markdown] slideshow={"slide_type": "notes"}
# Read it by columns first. An instrument with many marks is good for finding *that* something is wrong, and poor for saying what:
# `overfit` and `update_ratios` are like a thermometer. One with few marks is nearly a diagnosis. Then read it by rows: a patient with a
# single mark is found only by whoever thinks of that test. That is why the list is run through from top to bottom even where the cause
# seems clear, and why it pays to have it as a program.
#
# And the table says what each symptom is worth. The same curve, a plateau somewhat too high, stands behind rows whose marks have nothing in
# common: the curve has to be seen, and cannot tell.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## False alarms
#
# An instrument that always gives alarm sees every fault. So each has two numbers: its **sensitivity**, the fraction of ill programs that it
# sees, and its **false alarms**, on programs that are healthy.

# %% [markdown] slideshow={"slide_type": "notes"}
# Both were measured once, on more runs than a notebook has time for, by `docs/tools/clinic_table.py`: healthy runs from different seeds;
# every patient from three seeds, counted where all three gave alarm; and every patient's program without its fault, since those have other
# schedules, data and sizes than the one that you know.

# %% [markdown] slideshow={"slide_type": "-"}
# **Predict:** how many false alarms are there among the healthy seeds?

# %% jupyter={"outputs_hidden": true} slideshow={"slide_type": "fragment"} tags=["predicted", "slide-hide-code", "hide-output"]
from course.clinic import rounds

rounds.record()

# %% [markdown] slideshow={"slide_type": "notes"}
# No false alarm is what the limits were set for, with room, on these very runs; on a program of another size they would have to be set
# again, from healthy runs of it. What is a *healthy* value depends on width, depth, data and schedule. What does not depend on them are the
# tests that must give zero, or equality: causality, rows, cache, mode. Trust those first.
#
# (Repaired is not the same as healthy. A program that ran too slowly and now runs at its own pace may still be a poor program.)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ### Before every run
#
# What you have built needs about as long as a step or two of a large run. So it can be done before each: the course's own training does
# it where you ask for it, and writes what it saw into the run's folder.
#
# `python -m course train --diagnose`

# %% [markdown] slideshow={"slide_type": "notes"}
# It does so as well when a run has ended with a loss that is not a number, or above the range in which this recipe should end.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The closed case
#
# A last case, as it comes in real life: not one organ but a whole training script. Nobody reports a symptom, nobody names the
# part. It has three faults, of three kinds, and all three run without an error.

# %% [markdown] slideshow={"slide_type": "notes"}
# It reads stories, trains a small model of its own, scores it, saves and loads it, and tells. Some faults hide others: repair
# one, and only then is the next to be seen. Say what you should see before you look, and use your instruments. They work on
# its model and its batches as on any others.

# %% slideshow={"slide_type": "subslide"} tags=["slide-hide-code"]
from course.clinic import closed_case

closed_case.open()
print("runs/clinic/closed_case.py is yours to repair")

# %% [markdown] slideshow={"slide_type": "notes"}
# Open that file in an editor and repair it; it is never written over. Keep what `main`, `load` and `generate` take and give
# back. Then mark it: your file runs in a process of its own, from its first line, and the course measures what came out. It
# does not read your code, and it says nothing of causes. Each line names a number, what your script reached, and what the
# repaired script reaches over several seeds. As long as nothing is repaired it says *not attempted yet*, and shows what the
# script reaches as it is.

# %% slideshow={"slide_type": "subslide"} tags=["slide-hide-code"]
closed_case.mark()

# %% [markdown] slideshow={"slide_type": "notes"}
# The loss is measured in an unusual way: for each token the model is shown what stands before it, and nothing else at all.
# Compare that with what the script itself reports, and think about how the two could ever differ. When all numbers are those
# of a healthy script, the case is closed. Write down, for each of the three, what you saw first and which test spoke for it:
# that is worth more than the repair. Whoever teaches finds the three in the plan of this notebook.

# %% [markdown] slideshow={"slide_type": "skip"}
# ## Check yourself
#
# A few questions on this notebook. Choose an answer, open it, and read why it is right, or what would lead one to it.

# %% slideshow={"slide_type": "skip"} tags=["nbval-check-output", "quiz"]
from course.classroom import quizzes

quizzes.show("10")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Recap
#
# - Training programs **fail silently**: shapes fit, the loss falls. Say what you should see, then look.
# - **Before the first step**: the loss at ln V, and the tensors that enter, decoded and read.
# - **Who sees whom**: change a token, and no earlier logit may change; no gradient crosses from row to row.
# - **Does it learn**: one batch is memorized, every matrix moves, nothing is stuck or not a number, inputs count.
# - **Is the score true**: the same in both modes, a mean over tokens, a difference larger than its standard error.
# - **Telling** is a second program: with the cache and without, the same logits.
# - An alarm is a symptom. A repair is done when *all* instruments are silent, and not before.

# %% slideshow={"slide_type": "skip"}
from course import scoreboard

ward.progress()
scoreboard.show()

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Where to go next
#
# Models that work can be opened, too: notebook 11 (planned) looks inside one. [Notebook 12](12_pretrained_gpt2.ipynb) loads OpenAI's weights into
# your model, and compares layer by layer with a model that is known to be good.

# %% [markdown] slideshow={"slide_type": "notes"}
# The card of this notebook, [docs/clinic.md](../docs/clinic.md), is made to be printed: symptom, likely causes in order, the test. The case
# of a perplexity of 43,030 in [notebook 09](09_perplexity_and_sampling.ipynb) is one more patient; with what you know now it
# is a short one.
#
# To read more: Andrej Karpathy, *A Recipe for Training Neural Networks* (2019). Xiong and others, *On Layer Normalization in the
# Transformer Architecture* (2020), explain why post-LN needs its warm-up.
