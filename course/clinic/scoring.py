"""Patients whose score is not what it seems, or whose training does less than its owner believes."""

import copy
import math
import random
from collections.abc import Iterator
from statistics import mean

import torch
from torch import Tensor, nn

from course.clinic.program import Chart, openings, small
from course.clinic.programs import Dividing, Measuring, Resuming, ScoringTwice, Sharing
from course.clinic.ward import Cause, Patient

# ---------------------------------------------------------------------- Uma


@torch.no_grad()
def uma_evaluate(model: nn.Module, loss, batches: Iterator, count: int = 8) -> float:
    """The mean loss per token over `count` batches of validation stories."""
    total = 0.0
    tokens = 0
    for _ in range(count):
        inputs, targets = next(batches)
        asked = int((targets != -100).sum())
        total += loss(model, inputs, targets).item() * asked
        tokens += asked
    return total / tokens


Patient(
    name="Uma",
    short="evaluation with dropout on",
    report="I train with dropout 0.2. The validation loss is about what the training loss is, and I had hoped for a "
    "better one. When I score the same model on the same stories once more, I get another number.",
    ill={"evaluate": uma_evaluate},
    causes=(
        Cause(
            "The model is too small, so that it learns neither training nor validation stories well.",
            "A small model would explain a high loss, but not two numbers for one model and the same stories: "
            "whatever its size, its answer to the same input should be the same.",
        ),
        Cause(
            "Some values are still dropped at random while the model is scored.",
            "Yes. Something random goes on between two scores of one model on the same stories, and what is dropped "
            "makes the model worse. Training and validation loss agree because both are measured with dropout.",
            right=True,
        ),
        Cause(
            "The validation batches are drawn at random, and other stories give another loss.",
            "That is a good thought, and it often is so. But here both scores are of the same batches, with the same "
            "seed; and other stories of the same kind would not be worse on average.",
        ),
        Cause(
            "The model overfits: it has begun to memorize the training stories.",
            "Overfitting opens a gap: the training loss falls below the validation loss. Here they are about equal.",
        ),
    ),
    thread=("nanoGPT pull request 240: don't dropout in eval mode", "https://github.com/karpathy/nanoGPT/pull/240"),
    base=ScoringTwice(config=small(dropout=0.2)),
    observe=ScoringTwice.run,
    symptom=lambda chart: {"validation": chart.validation, "scored once more": chart.more["scored once more"]},
)

# ---------------------------------------------------------------------- Vera


def vera_split(stories: list[list[int]], seed: int) -> tuple[list[list[int]], list[list[int]]]:
    """Nine tenths of the stories for training and one tenth for validation, by chance; the seed decides."""
    chance = random.Random(seed)
    cut = len(stories) * 9 // 10
    training = chance.sample(stories, len(stories))[:cut]
    validation = chance.sample(stories, len(stories))[cut:]
    return training, validation


Patient(
    name="Vera",
    short="validation stories are among the training stories",
    report="I have sixty stories only, and still my model is good: its validation loss is far below that of others who "
    "train on so few, and close to its training loss. A friend has tried it on stories of the same kind that I never "
    "had. There it is as bad as everybody's.",
    ill={"split": vera_split},
    causes=(
        Cause(
            "The model overfits: it was trained too long on too little.",
            "It does overfit, as everything does that reads sixty stories many times. But then the validation loss "
            "should show it, and it does not. Ask why this score is blind to what the friend's stories see at once.",
        ),
        Cause(
            "The friend's stories are harder, or of another kind.",
            "Compare with the healthy run: on the friend's stories it has about the same loss as Vera's, and its own "
            "validation loss is just as bad. So these stories are nothing special; Vera's validation is.",
        ),
        Cause(
            "Most of the validation stories were trained on.",
            "Yes. A model that has memorized its training stories knows these, too. Its loss on them is between that "
            "on training stories and that on new ones, for a few of them are new by chance.",
            right=True,
        ),
        Cause(
            "The attention sees the future, so that every loss is too low.",
            "A leak of the future makes every loss too low, that on the friend's stories as well. His is not.",
        ),
    ),
    thread=(
        "marin pull request 2700: fix train and val set overlap bug by splitting before shuffling",
        "https://github.com/marin-community/marin/pull/2700",
    ),
    base=Dividing(training=openings("train")[:60], batch_size=5),
    observe=Dividing.run,
    symptom=lambda chart: {"validation": chart.validation},
)

# ---------------------------------------------------------------------- Wim


@torch.no_grad()
def wim_evaluate(model: nn.Module, loss, batches: Iterator, count: int = 8) -> float:
    """The mean loss per token over `count` batches of validation stories."""
    model.eval()
    total = 0.0
    for _ in range(count):
        inputs, targets = next(batches)
        total += loss(model, inputs, targets).item()
    return total / count


def _long_and_short(split: str) -> tuple:
    """Openings of stories, every other one cut to its first eight tokens."""
    return tuple(ids[:8] if i % 2 else ids for i, ids in enumerate(openings(split)))


Patient(
    name="Wim",
    short="loss averaged over batches of different length",
    report="We have two machines. On the small one we evaluate story by story, on the large one in batches of "
    "fifty. The "
    "weights are the same, so are the stories, some of which are very short, and everything is in float32. The "
    "two losses differ by far more than rounding.",
    ill={"evaluate": wim_evaluate},
    causes=(
        Cause(
            "Dropout is on while the model is scored.",
            "This model has no dropout, and with dropout the number would change from one scoring to the next. Here "
            "each batch size gives its own number, and the same one every time.",
        ),
        Cause(
            "In large batches the model reads padding, and what it reads there changes what it predicts.",
            "It would be so with padding on the left, or without a causal mask. Here padding stands behind the story, "
            "where no token can see it: a row's logits are the same whatever stands beside it.",
        ),
        Cause(
            "Sums in another order: large batches are rounded differently.",
            "Rounding shows in float32's sixth or seventh digit. The difference here is in the first two.",
        ),
        Cause(
            "Each batch counts the same in the mean, however few tokens it has.",
            "Yes. Story by story, a token of a short text counts more than one of a long text; in batches of fifty "
            "that evens out. The short stories are easier by the token, so the means differ.",
            right=True,
        ),
    ),
    thread=(
        "torchtune pull request 1875: normalize CE loss by total number of (non-padding) tokens",
        "https://github.com/meta-pytorch/torchtune/pull/1875",
    ),
    base=Measuring(training=_long_and_short("train"), held_out=_long_and_short("validation")),
    observe=Measuring.run,
    symptom=lambda chart: {
        "difference between batch sizes": abs(
            chart.more["validation, batches of 1"] - chart.more["validation, batches of 50"]
        )
    },
)

# ---------------------------------------------------------------------- Xena


def xena_share(
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


Patient(
    name="Xena",
    short="every process trains on the same batch",
    report="I train in four processes, each with a batch of two stories, and the mean of their four gradients makes "
    "the "
    "step. Nothing fails, and all four are busy. But the curve is as restless and as high as with one process. I "
    "had expected that of a batch of eight.",
    ill={"share": xena_share},
    causes=(
        Cause(
            "The gradients of the processes are added up, not averaged.",
            "Then the gradient's norm would be four times as large. AdamW would hardly notice, and the mean of four "
            "different batches would still be calmer. Here the curve is that of a batch of two.",
        ),
        Cause(
            "All processes read the same stories in the same order.",
            "Yes. The mean of four equal gradients is one of them: four processes do the work of one. So the curve and "
            "the norms have the unrest of two stories a step, not of eight.",
            right=True,
        ),
        Cause(
            "With four processes the learning rate has to be four times as high.",
            "A larger batch often allows a higher rate. But even at the same rate a batch of eight is calmer than one "
            "of two, as the healthy run shows, which has this very rate.",
        ),
        Cause(
            "The processes began with different weights.",
            "Then each would go its own way, and the mean gradient would fit none of them. The curve would not be "
            "that of one process.",
        ),
    ),
    thread=(
        "icefall issue 1616: identical batches across multiple GPUs",
        "https://github.com/k2-fsa/icefall/issues/1616",
    ),
    base=Sharing(batch_size=2, steps=80),
    observe=Sharing.run,
    symptom=lambda chart: {
        "last loss": chart.last, "mean norm of the second half": mean(chart.norms[len(chart.norms) // 2 :]),
    },
)  # fmt: skip

# ---------------------------------------------------------------------- Yan


def yan_train(
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


def after_the_stop(chart: Chart) -> dict[str, float]:
    return {"loss of ten after the stop": chart.more["loss of ten after the stop"]}


Patient(
    name="Yan",
    short="resumed without the optimizer's state",
    report="My runs are stopped half-way and go on from what was saved. The first loss after that is what it should "
    "be. From the next one on it lies above where it would have been, and at the end it is not quite back. The step "
    "count and the learning rate go on as they should, and so do the batches: I have looked.",
    ill={"train": yan_train},
    causes=(
        Cause(
            "The weights are not restored, or not all of them.",
            "The first loss after the stop is computed before any step, with the weights as they were loaded. It is "
            "what it would have been, so they are all there.",
        ),
        Cause(
            "The learning rate begins anew, with its warm-up.",
            "The owner has looked: it goes on. A warm-up that begins anew would make the first steps smaller, and "
            "would not throw the model back.",
        ),
        Cause(
            "AdamW's two means of every weight were lost, and begin at zero.",
            "Yes. The weights are right, so the first loss is. But the first steps of a new AdamW are as long as the "
            "learning rate for every weight, whatever its gradient: its means must be found again.",
            right=True,
        ),
        Cause(
            "The same stories are read once more from the beginning.",
            "Stories that were read before have, if anything, a lower loss. Here it is higher.",
        ),
    ),
    thread=(
        "ModernMT issue 321: optimizer not restored when resuming neural training",
        "https://github.com/modernmt/modernmt/issues/321",
    ),
    base=Resuming(lr=1e-2, steps=100),
    observe=Resuming.run,
    symptom=after_the_stop,
)
