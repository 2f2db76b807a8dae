"""The exercises of notebook 13: the coordinate check and muP's learning rates; and those of `scaling_parts` (budgets),
`law_parts` (fitting a law) and `distributed_parts` (several processes).
"""

import copy

import torch

from course.checks.compare import shown
from course.checks.distributed_parts import average_gradients, memory_per_gpu, rows_of
from course.checks.exercise import exercise
from course.checks.law_parts import huber, log_residuals, resample
from course.checks.scaling_parts import best_size, best_split, near, none_of, training_operations
from helpers.model import GPT, GPTConfig

__all__ = [
    "training_operations", "best_size", "log_residuals", "huber", "resample", "best_split", "change_of_logits",
    "mup_groups", "average_gradients", "rows_of", "memory_per_gpu",
]  # fmt: skip


# ---------------------------------------------------------------------- 13.7


class Watched(GPT):
    """A model that remembers how it was asked: whether gradients were kept, and after how many steps."""

    def __init__(self, config: GPTConfig):
        super().__init__(config)
        self.asked: list[tuple[bool, int]] = []
        self.steps = 0

    def forward(self, ids, targets=None, cache=None):
        self.asked.append((torch.is_grad_enabled(), self.steps))
        return super().forward(ids, targets, cache)


class Steps:
    """`take_step`: moves the weights to and fro, and remembers how it was called."""

    def __init__(self, model: Watched, seed: int):
        self.model, self.generator = model, torch.Generator().manual_seed(seed)
        self.modes: list[tuple[bool, bool]] = []  # of each call: whether the model trained, whether gradients were kept

    def __call__(self):
        self.modes.append((self.model.training, torch.is_grad_enabled()))
        self.model.steps += 1
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=self.generator))


def _moved(model: Watched, ids, seed: int, steps: int) -> list[torch.Tensor]:
    """The logits before, and after each step, of a copy of the model."""
    model = copy.deepcopy(model)
    step, found = Steps(model, seed), []
    with torch.no_grad():
        for number in range(steps + 1):
            found.append(model(ids).double())
            if number < steps:
                step()
    return found


@exercise("13.7", title="The coordinate check", minutes=10, difficulty=2)
def change_of_logits(answer, check):
    config = GPTConfig(11, 6, 1, 2, 8)
    ids = torch.randint(11, (2, 5))
    model = Watched(config).train()
    logits = _moved(model, ids, 1, 6)
    model.asked.clear()
    step = Steps(model, 1)
    got = answer(model, ids, step, 3)
    check.that(len(step.modes) == 3, slug="steps", problem=f"take_step was called {len(step.modes)} times, not 3",
               hint="Call it `steps` times, between the two looks at the logits.")  # fmt: skip
    check.that(all(kept for _, kept in step.modes), slug="step-without-gradients",
               problem="take_step was called where no gradients are kept",
               hint="A training step needs them: only the looks at the logits stand under no_grad().")  # fmt: skip
    check.that(all(training for training, _ in step.modes), slug="mode",
               problem="the model was in another mode while it was trained",
               hint="Leave it in the mode in which it was handed over.")  # fmt: skip
    check.that(model.training, slug="mode", problem="the model was handed over in train mode, and is in eval mode now",
               hint="Leave it in the mode in which it was handed over.")  # fmt: skip
    kept = getattr(got, "requires_grad", False) or any(kept for kept, _ in model.asked)
    check.that(not kept, slug="gradient", problem="the logits were computed with gradients",
               hint="Look at them under torch.no_grad().")  # fmt: skip
    check.that(not (isinstance(got, torch.Tensor) and got.dim()), slug="one-number",
               problem=f"the answer is {shown(got)}", hint="One number: the mean over all logits.")  # fmt: skip
    change = logits[3] - logits[0]
    each = [(after - before).abs().mean().item() for before, after in zip(logits[:3], logits[1:4], strict=True)]
    none_of(check, float(got), [
        ("summed", change.abs().sum().item(), "that is a sum", "The mean over sequences, positions and tokens."),
        ("summed", change.abs().mean(-1).sum().item(), "it is a sum over positions", "The mean over all logits."),
        ("summed", change.abs().sum(-1).mean().item(), "it is a sum over the vocabulary", "The mean over all logits."),
        ("no-absolute", change.mean().item(), "changes up and down cancel out", "Take each change's size first."),
        ("no-absolute", change.mean().abs().item(), "changes up and down cancel out",
         "First the size of each change, then the mean."),
        ("squares", change.square().mean().sqrt().item(), "that is the root of the mean square",
         "The mean of absolute differences is asked for."),
        ("squares", change.square().mean().item(), "that is the mean square", "Absolute differences, not squares."),
        ("largest", change.abs().max().item(), "that is the largest change", "The mean is asked for."),
        ("sizes-compared", (logits[3].abs().mean() - logits[0].abs().mean()).item(), "the mean sizes were compared",
         "First the difference of each logit, then its size, then the mean."),
        ("sizes-compared", (logits[3].abs() - logits[0].abs()).abs().mean().item(), "the sizes were compared",
         "First the difference of each logit, then its size."),
        ("relative", change.abs().mean().item() / logits[0].abs().mean().item(), "that is relative to the logits",
         "The plain difference is asked for."),
        ("relative", (change / logits[0]).abs().mean().item(), "that is relative to the logits",
         "The plain difference is asked for."),
        ("step-by-step", sum(each), "the changes of the single steps were added up",
         "Steps to and fro cancel. Compare the last with the first."),
        ("step-by-step", sum(each) / 3, "that is the mean change of a step", "Compare the last with the first."),
        ("last-step", each[-1], "that is the change of the last step", "Compare with the logits before all steps."),
        ("too-late", (logits[3] - logits[1]).abs().mean().item(), "the first look came after a step",
         "Look before the first step."),
        ("too-early", (logits[2] - logits[0]).abs().mean().item(), "the second look came before the last step",
         "Look again when all steps are taken."),
        ("per-step", change.abs().mean().item() / 3, "it was divided by the steps", "The whole change is asked for."),
        ("nothing", 0.0, "nothing has changed", "Keep the logits from before the steps."),
        ("softmax", (logits[3].softmax(-1) - logits[0].softmax(-1)).abs().mean().item(),
         "those are probabilities", "Compare the logits themselves."),
        ("softmax", (logits[3].log_softmax(-1) - logits[0].log_softmax(-1)).abs().mean().item(),
         "those are log-probabilities", "Compare the logits themselves."),
        ("last-position", change[:, -1].abs().mean().item(), "only the last position was looked at", "All count."),
        ("first-sequence", change[0].abs().mean().item(), "only one sequence was looked at", "All of them count."),
    ])  # fmt: skip
    hint = "The mean of the absolute differences, the logits after all steps less those before."
    check.close(float(got), change.abs().mean().item(), slug="value", tolerance=1e-4, hint=hint)
    check.that(not isinstance(got, torch.Tensor), slug="one-number", problem="the answer is a tensor",
               hint=".item() makes it a plain number.")  # fmt: skip
    _other_cases(answer, check, config)


def _other_cases(answer, check, config: GPTConfig) -> None:
    model, ids = Watched(config).eval(), torch.randint(11, (3, 6))
    logits, step = _moved(model, ids, 2, 5), Steps(model, 2)
    got = answer(model, ids, step)
    check.that(len(step.modes) == 5, slug="default", problem=f"take_step was called {len(step.modes)} times, not 5",
               hint="Without `steps` it is called five times.")  # fmt: skip
    check.that(not model.training and not any(training for training, _ in step.modes), slug="mode",
               problem="the model was handed over in eval mode, and did not stay in it",
               hint="Leave it in the mode in which it was handed over.")  # fmt: skip
    check.close(got, (logits[5] - logits[0]).abs().mean().item(), slug="default", tolerance=1e-4,
                hint="Without `steps` it is called five times.")  # fmt: skip
    for steps in (1, 0, 2):
        logits, step = _moved(model, ids, 3, steps), Steps(model, 3)
        got = answer(model, ids, step, steps=steps)
        check.close(got, (logits[-1] - logits[0]).abs().mean().item(), slug="other-steps", tolerance=1e-4,
                    hint="Each call measures anew: from before its own steps to behind them.")  # fmt: skip


# ---------------------------------------------------------------------- 13.8


@exercise("13.8", title="muP's learning rates", minutes=15, difficulty=3)
def mup_groups(answer, check):
    shapes = dict(vocab_size=13, context_length=7, n_layer=2, tied_head=False)
    for number, (width, base, lr, more) in enumerate((
        (48, 8, 0.1, dict(n_head=3, d_ff=72)), (24, 6, 0.02, dict(n_head=4, bias=False)), (8, 32, 0.3, dict(n_head=1)),
        (16, 16, 0.05, dict(n_head=2)),
    )):  # fmt: skip
        model = GPT(GPTConfig(d_model=width, **shapes, **more))
        found = _learning_rates(check, answer(model, lr, base), model)
        when = f"d_model {width}, base {base}, lr {lr:g}"
        if not number:
            _no_known_mistake(check, found, lr, base, model, when)
        for name, got in found.items():
            slower = name == "head.weight" or name.startswith("blocks.") and model.get_parameter(name).dim() == 2
            hint = "Matrices of the blocks and the head: lr * base / d_model. All others: lr."
            check.close(got, lr * base / width if slower else lr, slug="learning-rate", tolerance=1e-6, hint=hint,
                        when=f"{when}: the learning rate of {name}")  # fmt: skip


def _learning_rates(check, groups, model: GPT) -> dict[str, float]:
    """By name, the learning rate of each of the model's parameters."""
    check.that(isinstance(groups, list | tuple) and groups and
               all(isinstance(g, dict) and "params" in g for g in groups), slug="groups",
               problem=f"the answer is {shown(groups)}",
               hint='A list of dictionaries with "params" and "lr", as torch.optim takes it.')  # fmt: skip
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found: dict[str, float] = {}
    for group in groups:
        inside = [group["params"]] if isinstance(group["params"], torch.Tensor) else list(group["params"])
        check.that("lr" in group, slug="no-lr", problem=f"a group has the keys {shown(list(group))}",
                   hint='Each group has its own "lr".')  # fmt: skip
        for each in inside:
            check.that(id(each) in names, slug="not-parameters", problem=f'"params" holds {shown(each)}',
                       hint="Hand over the parameters themselves: not names, pairs or copies.")  # fmt: skip
            name = names[id(each)]
            check.that(name not in found, slug="twice", problem=f"{name} is in there twice",
                       hint="AdamW refuses that. In parameter_groups the head is among the embeddings.")  # fmt: skip
            found[name] = group["lr"]
    left = [name for name in names.values() if name not in found]
    check.that(not left, slug="left-out", problem=f"{left[0] if left else ''} is in no group: it would not learn",
               hint="Every parameter of the model is in one group.")  # fmt: skip
    return found


def _no_known_mistake(check, found: dict[str, float], lr: float, base: int, model: GPT, when: str) -> None:
    ratio = base / model.config.d_model
    matrices = [n for n, p in model.named_parameters() if n.startswith("blocks.") and p.dim() == 2]
    of_blocks = [n for n, p in model.named_parameters() if n.startswith("blocks.") and p.dim() == 1]
    norms, biases = [n for n in of_blocks if ".ln_" in n], [n for n in of_blocks if ".ln_" not in n]

    def all_at(names, value: float) -> bool:
        return all(near(found[name], value) for name in names)

    down, slow = "All others keep lr: embeddings, positions, biases and norms.", lr * ratio
    mistakes = (
        (all_at(found, lr), "all-alike", "all parameters learn at lr", "Some learn slower by base / d_model."),
        (all_at(found, slow), "all-slower", "all parameters learn slower", down),
        (all_at(matrices, lr / ratio), "upside-down", "matrices of the blocks learn faster",
         "The wider the model, the slower: base / d_model."),
        (all_at(matrices, lr * ratio**0.5), "root", "the ratio's root was taken",
         "The root is for the standard deviations at the start. Learning rates have the ratio itself."),
        (all_at(matrices, lr * ratio**2), "squared", "the ratio was squared", "Once base / d_model."),
        (all_at(matrices, lr), "blocks-missing", "the matrices of the blocks learn at lr", "They learn slower."),
        (all_at(matrices, ratio), "no-lr-in-it", "lr is missing", "lr * base / d_model."),
        (all_at(matrices, lr / model.config.d_model), "no-base", "base is missing", "At the base width all have lr."),
        (all_at([n for n in matrices if "mlp.proj" in n], lr * base / model.config.d_ff) and
         all_at([n for n in matrices if "qkv" in n], slow), "fan-in", "the MLP's second matrix learns slower still",
         "All matrices of the blocks have the one ratio of widths, base / d_model."),
        (all_at(matrices, lr * base / (model.config.d_model // model.config.n_head)), "one-head",
         "the width of one head was taken", "d_model is the width of the model."),
        (near(found["head.weight"], lr), "head", "the head learns at lr",
         "An untied head is a matrix whose inputs get more with the width: it learns slower."),
        (near(found["wte.weight"], slow), "embeddings", "the token embedding learns slower", down),
        (near(found["wpe.weight"], slow), "positions", "the position embedding learns slower", down),
        (all_at(of_blocks, slow), "vectors", "biases and norms learn slower", down),
        (all_at(biases, slow), "biases", "the biases learn slower", down),
        (all_at(norms, slow), "norms", "the norms learn slower", down),
    )  # fmt: skip
    for is_so, slug, problem, hint in mistakes:
        check.that(not is_so, slug=slug, problem=f"{when}: {problem}", hint=hint)
