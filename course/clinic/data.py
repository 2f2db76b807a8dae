"""Patients whose batches or whose loss are ill: what enters a model, and what it is asked for.

The organs stand first, as their owners wrote them; who has which fault is said below, where the patients are made.
"""

import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.clinic import other_ways
from course.clinic.program import Program
from course.clinic.ward import Cause, Patient


def bruno_batches(stories: list[list[int]], batch_size: int, end: int, seed: int):
    """(inputs, targets) without end, (batch_size, 48) each: windows of a long stream, `end` before each story."""
    stream = torch.tensor([token for story in stories for token in (end, *story)])
    time = 48
    shuffled = random.Random(seed)
    while True:
        starts = [shuffled.randrange(len(stream) - time) for _ in range(batch_size)]
        inputs = torch.stack([stream[i : i + time] for i in starts])
        targets = torch.stack([stream[i : i + time] for i in starts])
        yield inputs, targets


def carla_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy in nats per token; a target of -100 is left out."""
    logits = model(inputs)  # (B, T, V)
    logits, targets = logits[:, :-1], targets[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


def dora_batches(stories: list[list[int]], batch_size: int, end: int, seed: int):
    """(inputs, targets) without end, (batch_size, 64) each: stories in a random order, all brought to 64 tokens."""
    shuffled = random.Random(seed)
    while True:
        inputs, targets = [], []
        for story in shuffled.sample(stories, batch_size):
            missing = 64 - len(story) - 1
            inputs.append([end, *story] + [end] * missing)
            targets.append([*story, end] + [end] * missing)
        yield torch.tensor(inputs), torch.tensor(targets)


def emil_batches(stories: list[list[int]], batch_size: int, end: int, seed: int):
    """(inputs, targets) without end, (batch_size, time) each: stories in a random order, filled up to the longest."""
    shuffled = random.Random(seed)
    while True:
        rows = [[end, *story, end] for story in shuffled.sample(stories, batch_size)]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [end] * (longest - len(row)) for row in rows])
        inputs, targets = ids[:, :-1], ids[:, 1:].clone()
        targets[targets == end] = -100
        yield inputs, targets


def scores(chart) -> dict[str, float]:
    """The loss at the end and the one on validation stories."""
    return {"loss of the last ten": chart.last, "validation loss": chart.validation}


Patient(
    name="Bruno",
    short="the targets are the inputs",
    report="My loss fell to almost nothing within a minute, and the validation loss with it. No run of mine has ever "
    "looked so good. Then I let it tell a story, and it says its last token again and again.",
    ill={"batches": bruno_batches},
    base=Program(batches=other_ways.windows),
    symptom=scores,
    thread=(
        "MBartForCausalLM: nothing shifts the labels, and the model learns to copy its input",
        "https://github.com/huggingface/transformers/issues/27517",
    ),
    causes=(
        Cause(
            "The model is small and the stories are few: it has memorized the training stories.",
            "A model that has memorized its training stories is bad on others. Here the validation loss is as low as "
            "the training loss, on stories that it has never seen.",
        ),
        Cause(
            "The causal mask is missing: each position sees the token that it has to predict.",
            "That would give so low a loss, too. But with that fault inputs and targets, decoded, are as they should "
            "be. Here each target is the input itself.",
        ),
        Cause(
            "Each position is asked for the token which it is given.",
            "Right. To copy is the easiest of tasks, on any stories, and it is all that was learned: asked what "
            "follows, the model names what stands there. Inputs and targets, printed, are the same.",
            right=True,
        ),
        Cause(
            "Validation stories have found their way into the training set.",
            "Then it would have learned stories, and could tell some. Besides, a model of this size does not come so "
            "near to zero in so few steps, not even on stories that it sees again.",
        ),
    ),
)

Patient(
    name="Carla",
    short="targets shifted twice",
    report="It learns, and nothing raises an error. But it stays well above what a friend's run reaches with the same "
    "model and the same stories, in training as in validation. Its stories read like telegrams: as if every other "
    "word had been left out.",
    ill={"loss": carla_loss},
    symptom=scores,
    thread=(
        "GitForCausalLM: the training loss was shifted twice",
        "https://github.com/huggingface/transformers/pull/47395",
    ),
    causes=(
        Cause(
            "The loss shifts targets that are shifted already: each position is asked for the token after the next.",
            "Right. That token is harder to guess, so the loss stays higher; but it is not hopeless, so it falls. "
            "And a model that names the token after the next leaves one out at each step.",
            right=True,
        ),
        Cause(
            "The learning rate is too low: given more steps, it would get there.",
            "The curve has the shape of the healthy one and flattens as early. With a low rate the model would first "
            "learn the frequent words and repeat them, but not leave words out.",
        ),
        Cause(
            "The batches hold the same token as input and as target.",
            "Copying is easy: the loss would be near zero soon, not above the healthy one. And the sample would repeat "
            "its last token.",
        ),
        Cause(
            "Positions are mixed up inside attention, so that a token's neighbours are lost.",
            "Possible from the loss alone. But then the sample would have the words in disorder; here the order is "
            "right, and there are gaps. And what is asked can be read off: *what enters*.",
        ),
    ),
)

Patient(
    name="Dora",
    short="padding is scored",
    report="All my batches have one shape, sixty-four tokens, since that is faster on my machine. My loss is clearly "
    "lower than that of the others here, from the first steps on. I was proud of it. But my stories are not better "
    "than theirs, if you read them.",
    ill={"batches": dora_batches},
    base=Program(batches=other_ways.padded_sequences, steps=120, lr=5e-3),
    symptom=lambda chart: {"first loss": chart.first} | scores(chart),
    thread=(
        "Loss mask for fine-tuning GPT2LMHeadModel: the padding was in the loss",
        "https://github.com/huggingface/transformers/issues/7135",
    ),
    causes=(
        Cause(
            "The model sees a little of the future.",
            "A leak makes a loss too good as well. But a "
            "leak's loss goes on falling towards zero, while this curve only lies lower by about the same share.",
        ),
        Cause(
            "Some of the validation stories were in training.",
            "The training loss is too low just as much, and from the first steps on, when nothing can have been "
            "remembered yet. Look for something that makes every batch easier.",
        ),
        Cause(
            "Hers is simply the better model: batches of one shape train better.",
            "Then the stories would be better, too. Two losses can only be compared if both are means over the same "
            "kind of tokens.",
        ),
        Cause(
            "Tokens that only fill up a batch are counted in the loss.",
            "Right. An end token after an end token is the easiest thing to predict, and the mean is taken over many "
            "of them. On the real tokens she is even worse than the others.",
            right=True,
        ),
    ),
)

Patient(
    name="Emil",
    short="the end is padding, and never learned",
    report="Training is fine, the loss is where it should be, and the validation loss too. But my model does not know "
    "when to stop: it tells on and on until I cut it off. Every one of my training stories has an end, and in "
    "my batches they stand to their last word: I have looked.",
    ill={"batches": emil_batches},
    base=Program(batches=other_ways.collated),
    twin=Program(),
    symptom=lambda chart: {"stories that end": float(chart.sample.endswith("<|endoftext|>"))},
    thread=(
        "DataCollatorForCompletionOnlyLM can create a model that never generates the end token",
        "https://github.com/huggingface/trl/issues/976",
    ),
    causes=(
        Cause(
            "It has trained too little: the end of a story is learned last.",
            "The healthy run has trained just as long on the same stories, and stops. Look how often an end was asked "
            "for in a batch.",
        ),
        Cause(
            "No target is ever an end token: with the padding, the ends were left out of the loss as well.",
            "Right. The end token fills up the rows, so whoever leaves out all of them leaves out the one that ends "
            "the story. No loss can show it, since it is not asked there either.",
            right=True,
        ),
        Cause(
            "`generate` does not stop at an end token.",
            "Then one would see an end token in the middle of the text, and a new story after it. There is none in it. "
            "The model does not write one.",
        ),
        Cause(
            "The stories were cut before their ends when they were made into batches.",
            "A good thought: that gives the same symptom. But print a batch: each story is there to its last word. "
            "What is missing is missing from the targets alone.",
        ),
    ),
)
