"""Exercises of notebook 10: patients whose score, precision, resuming or telling is ill, and two faults at once."""

import copy
import math
from collections import Counter
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course.checks.exercise import exercise
from course.clinic import hard, precision, scoring, telling
from course.clinic.healthy import Attention
from helpers.model import GPT, GPTConfig

__all__ = [
    "uma_evaluate", "vera_split", "wim_evaluate", "xena_share", "yan_train", "tom_train", "ZoeCache", "bea_pack",
    "cleo_load", "dan_train",
]  # fmt: skip

END = 0


def small(dropout: float = 0.0, seed: int = 0) -> GPT:
    """A model of some thousand weights, large enough for its logits to differ."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(30, 16, n_layer=2, n_head=2, d_model=8, dropout=dropout))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def batch(rows: int, time: int, seed: int = 0):
    """Random inputs, and targets of which the later rows have fewer."""
    torch.manual_seed(seed)
    inputs, targets = torch.randint(1, 30, (2, rows, time))
    for i in range(rows):
        targets[i, time - i % time :] = -100
    return inputs, targets


def loss(model: nn.Module, inputs, targets):
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


# ---------------------------------------------------------------------- 10.34 and 10.36: the mean loss of many batches


def _scoring(answer, check, model, made: list, slugs: dict[str, str]) -> None:
    """The answer's number is the mean over all targets of all batches, each of which is computed here by itself."""
    model.eval()
    with torch.no_grad():
        each = [F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum").item() for x, y in made]
    asked = [int((y != -100).sum()) for _, y in made]
    sizes = [y.numel() for _, y in made]
    model.train()
    calls = Counter()

    def counted(*given):
        calls["loss"] += 1
        return loss(*given)

    got = answer(model, counted, iter(made), len(made))
    check.that(isinstance(got, int | float), slug="no-number", problem=f"it returned {type(got).__name__}",
               hint="A number of Python's: `.item()` of a tensor.")  # fmt: skip
    near = lambda wrong: math.isclose(got, wrong, rel_tol=1e-5)  # noqa: E731
    check.that(
        calls["loss"] == len(made), slug="not-all-batches",
        problem=f"of {len(made)} batches {calls['loss']} were scored", hint="`count` batches, each once.",
    )  # fmt: skip
    means = [total / n for total, n in zip(each, asked, strict=True)]
    check.that(
        not near(sum(means) / len(means)), slug="mean-of-means", problem="it is the mean of the batches' means",
        hint="A batch with three targets counts as much as one with thirty. What is asked for is a mean over tokens.",
    )  # fmt: skip
    by_size = sum(m * n for m, n in zip(means, sizes, strict=True)) / sum(sizes)
    check.that(
        not near(by_size), slug="padding-weighs", problem="each batch was weighted by all its positions",
        hint="Positions of padding have the target -100. They are not scored, so they should not count as tokens.",
    )  # fmt: skip
    check.that(
        not near(sum(means)) and not near(sum(each)), slug="not-divided", problem="it is a sum",
        hint="Divide by the number of tokens.",
    )  # fmt: skip
    by_rows = sum(m * len(y) for m, (_, y) in zip(means, made, strict=True)) / sum(len(y) for _, y in made)
    check.that(
        not near(by_rows), slug="rows-weigh", problem="each batch was weighted by its number of stories",
        hint="Two stories can have very different numbers of tokens. Weight by tokens.",
    )  # fmt: skip
    check.close(got, sum(each) / sum(asked), tolerance=1e-4, slug=slugs["wrong"], hint=slugs["hint"])


def _made() -> list:
    return [batch(4, 9, 1), batch(1, 3, 2), batch(3, 12, 3)]


@exercise("10.34", title="Repair Uma", minutes=4, difficulty=1, begins_as=scoring.uma_evaluate)
def uma_evaluate(answer, check):
    model, made = small(dropout=0.5), _made()
    model.train()
    once, again = (answer(model.train(), loss, iter(made), len(made)) for _ in range(2))
    check.that(
        once == again, slug="still-drops", problem=f"the same weights and batches gave {once:.4f} and {again:.4f}",
        hint="Something random happens while it scores. Which layers behave in another way in training?",
    )  # fmt: skip
    before = copy.deepcopy(model.state_dict())
    _scoring(answer, check, model, made, {
        "wrong": "wrong-score", "hint": "It gives the same number each time, but not the mean loss per token of the "
        "model in evaluation mode, with all its weights as they are."})  # fmt: skip
    check.that(
        all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), slug="changes-the-model",
        problem="the model's weights are others afterwards", hint="Scoring only looks.",
    )  # fmt: skip
    check.that(
        all(module.p == 0.5 for module in model.modules() if isinstance(module, nn.Dropout)), slug="dropout-removed",
        problem="the model has no dropout left to train with",
        hint="Do not set `p`: training goes on after the scoring. There is a switch for it.",
    )  # fmt: skip
    model.train()
    value = loss(small(), *made[0])
    check.that(
        value.requires_grad, slug="gradients-off", problem="gradients are switched off for good",
        hint="`torch.no_grad()` around the scoring, not `torch.set_grad_enabled(False)`.",
    )  # fmt: skip


@exercise("10.36", title="Repair Wim", minutes=6, difficulty=2, begins_as=scoring.wim_evaluate)
def wim_evaluate(answer, check):
    model, made = small(dropout=0.5), _made()
    _scoring(answer, check, model, made, {
        "wrong": "wrong-score", "hint": "The sum of all targets' losses, over the number of all targets that are not "
        "-100, of the model in evaluation mode."})  # fmt: skip
    rows = [(x[i : i + 1], y[i : i + 1]) for x, y in [batch(6, 8, 4)] for i in range(6)]
    whole = [batch(6, 8, 4)]
    check.close(
        answer(model, loss, iter(rows), 6), answer(model, loss, iter(whole), 1), tolerance=1e-4, slug="batch-size",
        when="story by story, beside all in one batch", hint="Which stories share a batch must not change the score.",
    )  # fmt: skip


# ---------------------------------------------------------------------- 10.35: training and validation


@exercise("10.35", title="Repair Vera", minutes=6, difficulty=2, begins_as=scoring.vera_split)
def vera_split(answer, check):
    stories = [[i, i + 1, i + 2] for i in range(40)]
    made = answer(stories, 0)
    check.that(
        isinstance(made, tuple | list) and len(made) == 2, slug="two-lists", problem="it is not a pair",
        hint="Return two lists: the training stories and the validation stories.",
    )  # fmt: skip
    training, validation = map(list, made)
    both = [story for story in validation if story in training]
    check.that(
        not both, slug="still-leaks", problem=f"{len(both)} of {len(validation)} validation stories are also "
        f"trained on",
        hint="What is validated on must not have been trained on. How many times is the order drawn?",
    )  # fmt: skip
    check.that(
        (len(training), len(validation)) == (36, 4), slug="sizes",
        problem=f"{len(training)} and {len(validation)} of 40 stories",
        hint="Nine tenths and one tenth. Nothing may be lost: leaving out what is in both is not enough.",
    )  # fmt: skip
    check.equal(sorted(training + validation), stories, slug="all-of-them", when="both parts together",
                hint="Every story is in one of the two parts, once.")  # fmt: skip
    check.equal(answer(stories, 0), made, slug="not-the-same-again", hint="The seed alone decides the division.")
    others = [sorted(answer(stories, seed)[1]) for seed in range(1, 6)]
    check.that(
        any(other != sorted(validation) for other in others), slug="seed-ignored",
        problem="the validation stories are the same for six seeds", hint="Draw with the seed that is given.",
    )  # fmt: skip
    in_order = sum(sorted(chosen) == chosen and chosen[-1][0] - chosen[0][0] == 3 for chosen in others)
    check.that(
        in_order < 3, slug="in-order", problem="validation is a piece of the list, as it stood",
        hint="By chance: a file is often sorted in some way, and then its end is of another kind.",
    )  # fmt: skip


# ---------------------------------------------------------------------- 10.37: several processes


@exercise("10.37", title="Repair Xena", minutes=8, difficulty=2, begins_as=scoring.xena_share)
def xena_share(answer, check):
    stories, processes, size = [[i, i + 100] for i in range(1, 49)], 4, 3

    def read(seed: int, rank: int, steps: int, ranks: int = processes) -> list[list[int]]:
        """The number of each story in each batch of one process."""
        made = islice(answer(stories, size, END, seed, rank, ranks), steps)
        return [x[:, 1].tolist() for x, _ in made]

    inputs, targets = next(answer(stories, size, END, 0, 0, processes))
    check.shape(inputs, (size, 3), slug="shape", hint="Each process has batch_size stories in a batch.")
    check.that(
        torch.equal(inputs[:, 1:], targets[:, :-1]) and bool((inputs[:, 0] == END).all()), slug="rows",
        problem="inputs and targets are not a story between end tokens any more",
        hint="Which stories a process reads is ill; how a row is made from a story was right.",
    )  # fmt: skip
    every = [read(3, rank, 4) for rank in range(processes)]
    equal = [rank for rank in range(1, processes) if every[rank] == every[0]]
    check.that(
        not equal, slug="same-batch", problem=f"process {equal[0] if equal else 0} reads just what process 0 reads",
        hint="The order of the stories is drawn by `random.Random`. What does it know of the rank?",
    )  # fmt: skip
    sets = [[frozenset(step) for step in steps] for steps in every]
    mixed = [rank for rank in range(1, processes) if sets[rank] == sets[0]]
    check.that(
        not mixed, slug="same-stories", problem="two processes have the same stories in a batch, in another order",
        hint="A mean does not care for the order within a batch. The processes need other stories.",
    )  # fmt: skip
    late = [rank for rank in range(1, processes) if set(sets[rank]) & set(sets[0])]
    check.that(
        not late, slug="one-behind", problem="what one process reads, another reads some steps before or after it",
        hint="Shifting by some batches puts the same stories into step after step.",
    )  # fmt: skip
    check.equal(read(3, 1, 4), every[1], slug="not-the-same-again", hint="Seed and rank alone decide.")
    same = [rank for rank in range(processes) if read(1, rank, 4) == read(0, rank, 4)]
    check.that(
        not same, slug="seed-ignored", problem=f"process {same[0] if same else 0} reads the same for seeds 0 and 1",
        hint="Another seed, another order, for every process: rank times seed is 0 for rank 0.",
    )  # fmt: skip
    seen = Counter(story for rank in range(processes) for step in read(0, rank, 40) for story in step)
    check.that(
        len(seen) == len(stories), slug="stories-left-out",
        problem=f"{len(stories) - len(seen)} of {len(stories)} stories are never read by any "
        f"process", hint="All processes together should read everything, with time.",
    )  # fmt: skip
    check.that(
        max(seen.values()) <= 3 * min(seen.values()), slug="unequal",
        problem=f"one story was read {max(seen.values())} times, another {min(seen.values())}",
        hint="Every story should come about equally often.",
    )  # fmt: skip
    alone = {story for step in read(0, 0, 40, ranks=1) for story in step}
    check.that(len(alone) == len(stories), slug="one-process", problem="a single process does not read everything",
               hint="With one process it should be as before.")  # fmt: skip


# ---------------------------------------------------------------------- 10.38: stopped and gone on


def _forever(seed: int = 0):
    torch.manual_seed(seed)
    made = [batch(4, 6, seed + i) for i in range(20)]
    while True:
        yield from made


def _in_parts(answer, ends: tuple[int, ...], steps: int = 12):
    """Train in processes that end there; (losses, norms, the last model)."""
    saved, seen, model = {}, [], None
    for i, until in enumerate(ends):
        model, saved = small(seed=i), copy.deepcopy(saved)
        seen += list(answer(model, loss, _forever(), steps, 1e-2, saved, until))
    return [a for a, _ in seen], [b for _, b in seen], model


@exercise("10.38", title="Repair Yan", minutes=6, difficulty=2, begins_as=scoring.yan_train, may_change_input=True)
def yan_train(answer, check):
    whole, _, trained = _in_parts(answer, (12,))
    judge, _, _ = _in_parts(scoring.yan_train, (12,))
    check.close(
        whole, judge, tolerance=1e-4, slug="another-training", when="a run that is never stopped",
        hint="Training itself was right. Only what is saved, and what is restored, needs to change.",
    )  # fmt: skip
    losses, _, model = _in_parts(answer, (6, 12))
    check.that(len(losses) == 12, slug="steps", problem=f"12 steps in two parts were {len(losses)}",
               hint="Go on at the step that was saved, up to `until`.")  # fmt: skip
    check.that(
        math.isclose(losses[6], whole[6], rel_tol=1e-4), slug="first-step",
        problem=f"the first loss after the stop is {losses[6]:.4f}, without a stop {whole[6]:.4f}",
        hint="The weights, or the place in the stories, are not restored.",
    )  # fmt: skip
    check.that(
        math.isclose(losses[7], whole[7], rel_tol=1e-4), slug="optimizer-lost",
        problem=f"one step after the first, the loss is {losses[7]:.4f}; without a stop {whole[7]:.4f}",
        hint="The first loss agrees, so the weights do; the step after it went another way. What does AdamW keep of "
        "each weight besides its value?",
    )  # fmt: skip
    check.close(losses, whole, tolerance=1e-4, slug="drifts", when="all losses, stopped once or never",
                hint="Something is restored only in part.")  # fmt: skip
    thrice, _, model = _in_parts(answer, (3, 5, 12))
    check.close(thrice, whole, tolerance=1e-4, slug="second-stop", when="stopped twice",
                hint="What goes on must also save everything again at its end.")  # fmt: skip
    same = all(torch.allclose(a, b, atol=1e-4) for a, b in zip(model.parameters(), trained.parameters(), strict=True))
    check.that(same, slug="weights", problem="the weights at the end are others than without a stop",
               hint="Every parameter, and both of AdamW's means of it, must go on.")  # fmt: skip


# ---------------------------------------------------------------------- 10.29: half precision


def _losses(answer, steps: int = 6, lr: float = 1e-2, seed: int = 0):
    model = small(seed=seed)
    seen = list(answer(model, loss, _forever(), steps, lr))
    return [a for a, _ in seen], [b for _, b in seen], model


def _plain_norms(steps_of: list, model: GPT) -> float:
    """The norm of the first gradient, in float32."""
    value = loss(model, *steps_of[0])
    value.backward()
    return math.sqrt(sum(float(p.grad.pow(2).sum()) for p in model.parameters()))


@exercise("10.29", title="Repair Tom", minutes=6, difficulty=3, begins_as=precision.tom_train)
def tom_train(answer, check):
    losses, norms, model = _losses(answer)
    check.that(len(losses) == 6, slug="steps", problem=f"6 steps were {len(losses)}", hint="One pair a step.")
    torch.manual_seed(0)
    true = _plain_norms(list(islice(_forever(), 1)), small())
    check.that(
        norms[0] < 1000 * true, slug="still-scaled", problem=f"the norm that is clipped is {norms[0]:,.0f}; without "
        f"the scaler it is {true:.2f}", hint="These are the scaled gradients still. What must happen between "
        "backward and "
        "clipping?",
    )  # fmt: skip
    check.that(
        norms[0] > true / 100, slug="unscaled-twice", problem=f"the norm is {norms[0]:.2g}, in float32 it is "
        f"{true:.2f}",
        hint="Divided by the scale once too often: `unscale_` or by hand, not both.",
    )  # fmt: skip
    check.close(norms[0], true, tolerance=0.05, slug="norm", when="the first norm",
                hint="The norm before clipping, of gradients that the scaler has unscaled.")  # fmt: skip
    _, _, start = _losses(answer, steps=0)
    _, _, after = _losses(answer, steps=1, lr=1e-2)
    moved = max((a - b).abs().max().item() for a, b in zip(start.parameters(), after.parameters(), strict=True))
    check.that(
        moved > 5e-4, slug="hardly-moves", problem=f"the first step moves no weight by more than {moved:.1g}",
        hint="AdamW's first step is about as long as the rate. Are the gradients still divided by the scale "
        "afterwards?",
    )  # fmt: skip
    limits = _watch_clipping(answer)
    check.that(limits != [], slug="not-clipped", problem="nothing was clipped", hint="Clip, but what is unscaled.")
    check.that(all(1.0 == limit for limit in limits), slug="another-limit", problem=f"clipped to {limits[0]:g}",
               hint="The limit of 1 was right, for gradients as they are.")  # fmt: skip
    check.that(
        _scales(answer), slug="no-scaler", problem="the loss is not scaled any more",
        hint="Without the scaler, small gradients become zero in float16. Keep it, and unscale in the right place.",
    )  # fmt: skip
    check.that(_skips_overflow(answer), slug="overflow-kept", problem="a gradient of infinity has reached the weights",
               hint="`scaler.step` leaves a step out if a gradient is not finite: keep it.")  # fmt: skip


def _watch_clipping(answer) -> list[float]:
    """The limits with which the answer clips."""
    original, limits = nn.utils.clip_grad_norm_, []

    def noted(parameters, max_norm, *args, **kwargs):
        limits.append(float(max_norm))
        return original(parameters, max_norm, *args, **kwargs)

    nn.utils.clip_grad_norm_ = noted
    try:
        _losses(answer, steps=1)
    finally:
        nn.utils.clip_grad_norm_ = original
    return limits


def _scales(answer) -> bool:
    """Whether what is sent backward is larger than the loss."""
    seen: list[float] = []

    def noted(model, inputs, targets):
        value = loss(model, inputs, targets)
        value.register_hook(lambda grad: seen.append(float(grad)))
        return value

    list(answer(small(), noted, _forever(), 1, 1e-2))
    return bool(seen) and seen[0] > 100


def _skips_overflow(answer) -> bool:
    """Whether weights stay finite when a loss has an infinite gradient."""
    model, calls = small(), Counter()

    def bad(model, inputs, targets):
        calls["n"] += 1
        value = loss(model, inputs, targets)
        return value * 1e38 * 1e38 if calls["n"] == 2 else value

    list(answer(model, bad, _forever(), 3, 1e-2))
    return all(bool(p.isfinite().all()) for p in model.parameters())


# ---------------------------------------------------------------------- 10.40 and 10.41: telling


@exercise("10.40", title="Repair Zoe", minutes=8, difficulty=3, begins_as=telling.ZoeCache)
def ZoeCache(answer, check):
    torch.manual_seed(3)
    model = _with_clinic_attention()
    ids = torch.randint(1, 30, (12,)).tolist()
    asked: list[list[int]] = []

    class Noted(answer):
        def positions(self, new):
            got = super().positions(new)
            asked.append(torch.as_tensor(got).flatten().tolist())
            return got

    right = lambda upto: model(torch.tensor([ids[:upto]]))[0, -1].detach()  # noqa: E731
    cache = Noted(model)
    got = cache.read(ids[:5])
    check.that(
        asked[-1] == list(range(5)), slug="prompt", problem=f"the prompt's positions are {asked[-1]}",
        hint="The prompt's first token is at position 0. That was right.",
    )  # fmt: skip
    check.shape(got, (30,), slug="shape", when="read(five ids)", hint="One logit for each token that may follow.")
    check.close(got, right(5), tolerance=1e-4, slug="prompt-logits", when="read(five ids)",
                hint="The logits behind the prompt's last token.")  # fmt: skip
    for i in range(5, 9):
        got = cache.read([ids[i]])
        check.that(
            asked[-1] != [i + 1], slug="still-one-off", problem=f"the token with index {i} stands at position {i + 1}",
            hint="When the position is asked for, what has been counted already?",
        )  # fmt: skip
        check.that(
            asked[-1] == [i], slug="position", problem=f"the token with index {i} stands at position {asked[-1]}",
            hint="Without the cache a token's position is the number of tokens before it.",
        )  # fmt: skip
        check.close(got, right(i + 1), tolerance=1e-4, slug="logits", when=f"read(id {i}), after {i} others",
                    hint="As without the cache: the same positions, keys and values.")  # fmt: skip
    got = cache.read(ids[9:])
    check.that(
        asked[-1] == [9, 10, 11], slug="several", problem=f"three more tokens at once stand at {asked[-1]}, not 9, "
        f"10, 11",
        hint="More than one id is not always a prompt: count from what is kept.",
    )  # fmt: skip
    check.close(got, right(12), tolerance=1e-4, slug="several", when="read(three ids) after nine",
                hint="As if all twelve had been read at once.")  # fmt: skip
    again = answer(model)
    check.close(again.read(ids[:1]), right(1), tolerance=1e-4, slug="single", when="a prompt of one id",
                hint="A prompt may be a single token: its position is 0.")  # fmt: skip
    one, two = answer(model), answer(model)
    one.read(ids[:4]), two.read(ids[:2])
    check.close(one.read(ids[4:5]), right(5), tolerance=1e-4, slug="shared", when="two caches in turn",
                hint="Each cache counts for itself: keep the length in `self`.")  # fmt: skip


def _with_clinic_attention() -> GPT:
    model = small(seed=5)
    for block in model.blocks:
        block.attn = Attention(model.config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model.eval()


@exercise("10.41", title="Repair Bea", minutes=5, difficulty=1, begins_as=telling.bea_pack)
def bea_pack(answer, check):
    def read(stories, vocab_size):
        got = answer(stories, END, vocab_size)
        check.that(isinstance(got, np.ndarray) and got.ndim == 1 and np.issubdtype(got.dtype, np.integer), slug="array",
                   problem="it is not one row of whole numbers", hint="`np.array(tokens)` with a type of "
                   "integers.")  # fmt: skip
        return got

    little = [[5, 7, 200], [9]]
    check.equal(read(little, 256).tolist(), [5, 7, 200, END, 9, END], slug="layout",
                hint="The stories one after the other, an end token behind each.")  # fmt: skip
    for largest, vocab, slug, hint in (
        (2_047, 2_048, "still-cut-off", "Ids from 256 on do not fit one byte. How large can a number in two bytes be?"),
        (40_000, 50_257, "signed", "GPT-2's 50,257 ids fit two bytes, but not if one bit of them is a sign."),
        (100_276, 100_277, "too-small", "Larger vocabularies do not fit two bytes either: look at `vocab_size`."),
    ):
        check.equal(read([[1, largest]], vocab).tolist(), [1, largest, END], slug=slug, hint=hint)
    got = read([[1, 2]], 50_257)
    check.that(got.itemsize <= 4, slug="wasteful", problem=f"an id takes {got.itemsize} bytes",
               hint="Eight bytes a token make a file four times as large as it needs to be.")  # fmt: skip
    kinds = {read(stories, 100_277).dtype for stories in ([[1, 2]], [[1, 100_000]])}
    check.that(
        len(kinds) == 1, slug="depends-on-the-texts", problem="the type depends on the ids that happen to occur",
        hint="Two parts of one file must have one type: `vocab_size` decides.",
    )  # fmt: skip


# ---------------------------------------------------------------------- 10.42: loading


@exercise("10.42", title="Repair Cleo", minutes=8, difficulty=2, begins_as=telling.cleo_load, may_change_input=True)
def cleo_load(answer, check):
    source, model = small(seed=1), small(seed=2)
    weights = {name: p.detach().clone() for name, p in source.named_parameters()}
    ids = torch.randint(1, 30, (2, 7))
    model = answer(model, weights)
    check.that(isinstance(model, nn.Module), slug="no-model", problem="it does not return the model",
               hint="Return the model that was loaded.")  # fmt: skip
    wrong = [
        name for name, p in model.named_parameters() if name in weights and not torch.equal(p.detach(), weights[name])
    ]
    check.that(not wrong, slug="values", problem=f"`{wrong[0] if wrong else ''}` is not what the file holds",
               hint="Every parameter of the file belongs in the model.")  # fmt: skip
    check.that(
        torch.equal(model.head.weight, model.wte.weight), slug="still-untied",
        problem="the head's weights are not those of the embedding", hint="In the file the shared matrix stands "
        "once, as "
        "`wte.weight`. Where does `model.head.weight` point after the loading?",
    )  # fmt: skip
    check.that(
        model.head.weight is model.wte.weight, slug="copied-not-shared",
        problem="the head holds the same numbers, in another tensor",
        hint="They are equal now, and will part at the first step. One parameter must stand in both places.",
    )  # fmt: skip
    check.close(model.eval()(ids), source.eval()(ids), tolerance=1e-5, slug="logits", when="the loaded model's logits",
                hint="They should be those of the model that was saved.")  # fmt: skip
    check.that(all(p.requires_grad for p in model.parameters()), slug="frozen", problem="parameters need no "
    "gradient any more",
               hint="It is trained on: parameters, not plain tensors.")  # fmt: skip
    before = {name: tensor.clone() for name, tensor in weights.items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    loss(model, *batch(2, 6)).backward()
    optimizer.step()
    check.that(
        all(torch.equal(weights[name], before[name]) for name in weights), slug="file-changed",
        problem="training the model changes the tensors that were read", hint="Copy the values: the model must not "
        "share "
        "memory with what was read.",
    )  # fmt: skip
    untied = GPT(GPTConfig(30, 16, n_layer=1, n_head=2, d_model=8, tied_head=False))
    both = {name: torch.randn_like(p) for name, p in untied.named_parameters()}
    untied = answer(untied, both)
    check.that(
        torch.equal(untied.head.weight, both["head.weight"]) and torch.equal(untied.wte.weight, both["wte.weight"]),
        slug="always-tied", when="a model whose head has weights of its own", problem="the head was tied to the "
        "embedding",
        hint="Not every model shares them. In-place copying keeps whatever the model shares, and nothing else.",
    )  # fmt: skip


# ---------------------------------------------------------------------- 10.43: two faults


@exercise("10.43", title="Repair Dan", minutes=10, difficulty=3, begins_as=hard.dan_train)
def dan_train(answer, check):
    read = Counter()

    def counted():
        for made in _forever():
            read["batches"] += 1
            yield made

    model, given, old = small(), [], []

    def noted(model, inputs, targets):
        given.append(inputs)
        old.append(sum(float(p.grad.abs().sum()) for p in model.parameters() if p.grad is not None))
        value = loss(model, inputs, targets)
        return value

    seen = list(answer(model, noted, counted(), 8, 1e-2))
    losses, norms = [a for a, _ in seen], [b for _, b in seen]
    check.that(len(seen) == 8, slug="steps", problem=f"8 steps were {len(seen)}", hint="One pair for each step.")
    different = len({tuple(x.flatten().tolist()) for x in given})
    check.that(
        different > 1, slug="one-batch", problem="every step has the same batch",
        hint="How often is `next(batches)` called in eight steps?",
    )  # fmt: skip
    check.that(different == 8 and read["batches"] == 8, slug="batches", problem=f"8 steps have read "
    f"{read['batches']} batches",
               hint="One new batch for each step.")  # fmt: skip
    expected, wrong_norms = _by_hand(8, 1e-2, clear=True), _by_hand(8, 1e-2, clear=False)[1]
    check.that(
        not math.isclose(norms[3], wrong_norms[3], rel_tol=1e-3), slug="pile-up",
        problem=f"the norm at step 3 is {norms[3]:.3f}, that of this batch alone is smaller or larger: "
        "the gradients of earlier steps are in it", hint="`backward` adds to what is there. The second fault is of "
        "that kind.",
    )  # fmt: skip
    check.that(
        max(norms) > 0 and len(set(losses)) > 1, slug="no-learning", problem="the gradients are zero at every step",
        hint="Cleared between `backward` and `step`, the gradients are gone before they are used.",
    )  # fmt: skip
    check.close(norms, expected[1], tolerance=2e-3, slug="norms", when="the norms before clipping",
                hint="The gradient of this step's batch, and nothing else, before it is clipped.")  # fmt: skip
    check.close(losses, expected[0], tolerance=2e-3, slug="losses", when="the losses of eight steps",
                hint="Rate, decay and clipping were right: leave them as they were.")  # fmt: skip


def _by_hand(steps: int, lr: float, clear: bool) -> tuple[list[float], list[float]]:
    """The training that is asked for, with `torch.autograd.grad`: no `.grad` is there to be forgotten."""
    model, batches, losses, norms = small(), _forever(), [], []
    parameters = list(model.parameters())
    sums = [torch.zeros_like(p) for p in parameters]
    first, second = [torch.zeros_like(p) for p in parameters], [torch.zeros_like(p) for p in parameters]
    for step in range(steps):
        rate = lr * min(1.0, (step + 1) / 10) * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        value = loss(model, *next(batches))
        grads = torch.autograd.grad(value, parameters)
        sums = [g if clear else s + g for s, g in zip(sums, grads, strict=True)]
        norm = math.sqrt(sum(float(g.pow(2).sum()) for g in sums))
        sums = [g * min(1.0, 1.0 / (norm + 1e-6)) for g in sums]
        with torch.no_grad():
            for p, g, m, v in zip(parameters, sums, first, second, strict=True):
                m.mul_(0.9).add_(0.1 * g), v.mul_(0.95).add_(0.05 * g * g)
                p.mul_(1 - rate * (0.1 if p.dim() >= 2 else 0.0))
                p.sub_(rate * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.95 ** (step + 1))).sqrt() + 1e-8))
        losses.append(value.item()), norms.append(norm)
    return losses, norms
