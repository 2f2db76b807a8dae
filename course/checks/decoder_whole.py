"""The exercises of notebook 06 on what is done with a whole model: its initialization, and the loop that generates.

`nb06` hands them to the notebook. What is expected comes from statistics over a real model, and from a made-up model
that remembers what it has read.
"""

import math
from dataclasses import replace
from itertools import combinations

import torch
from torch import nn

from course.checks.decoder_parts import agrees, refuse
from course.checks.exercise import exercise
from helpers import model as reference
from helpers.errors import CourseError


@exercise("6.7", title="Initialization", minutes=15, difficulty=2, may_return_none=True, of_the_model=True)
def initialize(answer, check):
    config = reference.GPTConfig(vocab_size=307, context_length=64, n_layer=8, n_head=4, d_model=64)
    for options in (
        {},
        {"n_layer": 2, "embedding_std": 0.1},
        {"first_positions": "sinusoidal", "tied_head": False},
        {"positions": "sinusoidal", "norm": "post", "bias": False, "activation": "relu"},
    ):
        model = _untouched(replace(config, **options))
        tensors = dict(model.named_parameters())
        answer(model)
        _in_place(check, model, tensors, replace(config, **options))
        for name, parameter in model.named_parameters():
            _starts_as_it_should(check, name, parameter.detach(), model.config)
    models = [_untouched(config) for _ in range(2)]
    for model in models:
        answer(model)
    both = [dict(model.named_parameters()) for model in models]
    alike = torch.equal(both[0]["wte.weight"], both[1]["wte.weight"])
    hint = "Which seed is used, the caller decides: set none in here."
    check.that(not alike, slug="seed", when="two models", problem="they got the very same values", hint=hint)
    drawn = [p.detach().flatten()[:64] / p.std().item() for p in both[0].values() if p.dim() == 2]
    hint = "Each matrix is drawn for itself."
    equal = any(torch.allclose(a, b, atol=0.1) for a, b in combinations(drawn, 2))
    check.that(not equal, slug="seed", when="one model", problem="two matrices have the same values", hint=hint)


def _untouched(config):
    """A model none of whose values is a number yet."""
    model = reference.GPT(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    return model


def _in_place(check, model, tensors, config) -> None:
    now = dict(model.named_parameters())
    changed = [name for name in tensors if now.get(name) is not tensors[name]]
    hint = "Write into the parameters that are there (parameter.normal_(std=...)): the tied head needs them."
    problem = (
        f"{', '.join(changed[:2])}: another parameter stands there now" if changed else "the head is not tied any more"
    )
    tied = (model.head.weight is model.wte.weight) == config.tied_head
    check.that(not changed and tied, slug="in-place", problem=problem, hint=hint)
    learns = all(p.requires_grad and p.is_leaf for p in now.values())
    hint = "After it every parameter is learned as before: under no_grad nothing of this is recorded."
    check.that(learns, slug="in-place", problem="a parameter cannot be trained any more", hint=hint)
    left = [name for name, p in now.items() if p.isnan().any()]
    hint = "Every parameter starts somewhere: go through model.named_parameters(), and leave none out."
    problem = f"{left[0] if left else ''} was not touched, or not all of it"
    check.that(not left, slug="untouched", problem=problem, hint=hint)


def _starts_as_it_should(check, name, values, config) -> None:
    mean, std = values.mean().item(), values.std().item() if values.numel() > 1 else 0.0
    if name.endswith("bias") or values.dim() == 1:
        constant, slug = (0.0, "bias") if name.endswith("bias") else (1.0, "norm-weight")
        hint = "Every bias starts at exactly 0, a LayerNorm's too."
        if slug == "norm-weight":
            hint = (
                "A LayerNorm's weight starts at exactly 1. At 0 nothing would pass; at random, features are distorted."
            )
        problem = f"{name} has mean {mean:.3g} and standard deviation {std:.3g}; all of it should be {constant:g}"
        check.that(bool((values == constant).all()), slug=slug, problem=problem, hint=hint)
        return
    if name == "wpe.weight" and config.first_positions == "sinusoidal":
        hint = "With first_positions='sinusoidal' the table of positions starts as sinusoids(length, d_model)."
        agrees(check, values, reference.sinusoids(*values.shape), name, slug="first-positions", hint=hint)
        return
    expected, slug, hint = _expected(name, config)
    written = 0.02 if slug in ("residual", "both-projections") else expected
    said = f"{name} has standard deviation {std:.4f}; expected about {expected:.4f}"
    check.that(
        abs(std - 1) > 0.1, slug="std-one", problem=said,
        hint="1 is the standard deviation of what torch's own embeddings start with, and of what is drawn where none "
        "is named: `normal_(0.02)` names the mean. `normal_(std=...)` is meant.",
    )  # fmt: skip
    if abs(std / written - 1) < 0.05 and written != expected:
        slug = "residual-unscaled" if "attn" in name else slug
    check.that(abs(std / expected - 1) < 0.08, slug=slug, problem=said, hint=hint)
    problem = f"{name} has mean {mean:.4f}; expected about 0"
    check.that(abs(mean) < 6 * expected / math.sqrt(values.numel()), slug="mean", problem=problem,
               hint="All that is drawn has mean 0: half of the values are negative.")  # fmt: skip
    far = (values.abs() > 2 * expected).float().mean().item()  # of a normal distribution 4.6%, of a uniform one none
    problem = f"of {name} {far:.1%} lie beyond two standard deviations; of a normal distribution 4.6% do"
    check.that(0.02 < far < 0.08, slug="normal", problem=problem, hint="Draw from a normal distribution.")
    rows = values.std(dim=1)
    problem = f"some rows of {name} are constant, or all rows alike"
    alike = bool((rows < expected / 3).any()) or torch.equal(values[0], values[1])
    check.that(not alike, slug="normal", problem=problem, hint="Each value is drawn for itself.")


def _expected(name: str, config) -> tuple[float, str, str]:
    if name == "wte.weight":
        return config.embedding_std, "embedding", "Token vectors start at config.embedding_std, 0.02 in GPT-2."
    if name == "wpe.weight":
        return 0.01, "positions", "The released code starts position vectors at 0.01, half of the others."
    if name.endswith("proj.weight"):
        std = 0.02 / math.sqrt(2 * config.n_layer)
        if "mlp" in name:
            return std, "both-projections", "The MLP's last matrix writes into the stream, too."
        return std, "residual", (
            "What writes into the stream starts smaller. A block writes twice, and variances add: think of a root."
        )  # fmt: skip
    if name == "head.weight":
        return 0.02, "head", "A head that is not tied starts like the other matrices."
    return 0.02, "not-residual", f"{name} does not write into the stream, so it starts at 0.02."


class _Reader(nn.Module):
    """A made-up model: its logits tell which tokens it has read last, and it remembers all that it was given."""

    def __init__(self, context_length: int = 5, vocab_size: int = 11):
        super().__init__()
        self.config = reference.GPTConfig(vocab_size, context_length, n_layer=1, n_head=1, d_model=2)
        self.table = nn.Parameter(torch.randn(vocab_size, vocab_size))
        self.read, self.recorded = [], []

    def forward(self, ids, targets=None, cache=None):
        reference.check_ids(ids, self.config)
        self.read.append(ids.detach().clone())
        self.recorded.append(torch.is_grad_enabled())
        before = self.table[ids]  # (batch, time, vocab_size)
        return before + 0.3 * before.cumsum(dim=1).roll(1, -1)


class _Choice:
    """Remembers the logits that it was asked with; what it chooses is known beforehand, and not the most probable."""

    def __init__(self, batch: int, steps: int):
        self.asked, self.chosen = [], torch.randint(11, (steps, batch))

    def __call__(self, logits):
        self.asked.append(logits.detach().clone())
        at = min(len(self.asked), len(self.chosen)) - 1
        return self.chosen[at] if logits.dim() == 2 else logits.argmax(dim=-1)


@exercise("6.10", title="Generate", minutes=12, difficulty=2, of_the_model=True)
def generate(answer, check):
    for batch, T, steps in ((1, 3, 1), (1, 2, 3), (2, 3, 2), (2, 4, 6), (1, 9, 4)):
        model, choice = _Reader(), _Choice(batch, steps)
        ids = torch.randint(11, (batch, T))
        try:
            got = answer(model, ids, steps, choice)
        except CourseError as error:
            hint = "The model reads at most config.context_length tokens: give it the newest ones."
            check.fail(f"the model was given too much to read: {error}", slug="context", hint=hint)
        except RuntimeError as error:
            _ids_did_not_fit(check, choice, error)
            raise
        if got is not None:
            _what_came_out(check, got, ids, steps, choice, model)
    model, ids = _Reader(), torch.randint(11, (2, 4))
    got = answer(model, ids, 0, _Choice(2, 1))
    check.equal(got, ids, slug="how-many", hint="With max_new_tokens = 0 nothing is added.")


def _ids_did_not_fit(check, choice, error) -> None:
    hint = "choose gets the logits of the last position alone, (batch, vocab_size): of all positions, the last."
    asked = choice.asked[-1] if choice.asked else torch.zeros(1, 1)
    check.that(asked.dim() == 2, slug="last-position", hint=hint,
               problem=f"choose was given a tensor of shape {tuple(asked.shape)}")  # fmt: skip
    hint = "choose gives one id for each sequence, (batch,). As a column, (batch, 1), it fits behind ids: `[:, None]`."
    check.that("ensors must have same number of dim" not in str(error), slug="column", hint=hint,
               problem=f"RuntimeError: {error}")  # fmt: skip


def _what_came_out(check, got, ids, steps, choice, model) -> None:
    context, T = model.config.context_length, ids.shape[1]
    asked = [tuple(logits.shape) for logits in choice.asked]
    wanted = (len(ids), 11)
    problem = f"choose was given a tensor of shape {next((s for s in asked if s != wanted), None)}, not {wanted}"
    hint = "choose gets the logits of the last position alone, (batch, vocab_size)."
    check.that(all(shape == wanted for shape in asked), slug="last-position", problem=problem, hint=hint)
    is_ids = isinstance(got, torch.Tensor) and got.dim() == 2 and got.dtype == torch.long
    hint = "The result is a tensor of ids, (batch, time): torch.cat puts new ones behind the old ones, along dim=1."
    problem = f"the result was {type(got).__name__}"
    if isinstance(got, torch.Tensor):
        problem = f"the result had the shape {tuple(got.shape)} and the type {got.dtype}"
    check.that(is_ids and len(got) == len(ids), slug="result", problem=problem, hint=hint)
    whole = torch.cat([ids, choice.chosen.T], dim=1)
    for slug, wrong, problem, hint in (
        ("prompt-lost", choice.chosen.T, "the prompt is missing in the result",
         "The result holds the prompt and, behind it, what is new."),
        ("prompt-lost", whole[:, -context:], "the beginning of the text is missing in the result",
         "What the model reads is cut to its context; the text itself is not."),
        ("prompt-lost", torch.cat([ids[:, -context:], choice.chosen.T], 1), "the beginning of the prompt is missing",
         "What the model reads is cut to its context; the text itself is not."),
    ):  # fmt: skip
        different = got.shape != wrong.shape or whole.shape == wrong.shape or not torch.equal(got, wrong)
        check.that(different, slug=slug, problem=problem, hint=hint)
    hint = "Each step adds one token to each sequence, and there are max_new_tokens steps."
    problem = f"{got.shape[1] - T} tokens were added, not {steps}"
    check.that(got.shape[1] == T + steps, slug="how-many", problem=problem, hint=hint)
    hint = "What is added is what choose has returned for the logits, once in each step."
    problem = f"choose was called {len(asked)} times for {steps} tokens"
    check.that(len(asked) == steps, slug="choose", problem=problem, hint=hint)
    check.that(torch.equal(got[:, T:], choice.chosen.T), slug="choose", hint=hint,
               problem=f"choose gave {choice.chosen.T.tolist()}, and added was {got[:, T:].tolist()}")  # fmt: skip
    check.that(torch.equal(got[:, :T], ids), slug="prompt-lost", problem="the prompt itself was changed",
               hint="New tokens come behind the prompt, which stays as it is.")  # fmt: skip
    for step, read in enumerate(model.read):
        _what_was_read(check, read, whole[:, : T + step], context, step)
    problem = f"for {steps} tokens the model was called {len(model.read)} times"
    check.that(
        len(model.read) == steps, slug="calls", problem=problem, hint="Once for each token: reading is what costs."
    )
    hint = "Nothing is trained here: under torch.no_grad() torch keeps nothing for a backward pass."
    problem = "the model was called with gradients switched on"
    check.that(not any(model.recorded), slug="gradients", problem=problem, hint=hint)
    with torch.no_grad():
        for read, logits in zip(list(model.read), choice.asked, strict=True):
            expected = model(read)
            refuse(check, logits, [
                ("last-position", expected[:, 0], "choose was given the logits of the first position",
                 "What comes next is said at the last position that the model has read."),
                ("logits", expected[:, -1].softmax(dim=-1), "choose was given probabilities",
                 "choose gets logits. What it makes of them is its own affair."),
            ])  # fmt: skip
            hint = "choose gets the logits of the last position, as the model gives them."
            agrees(check, logits, expected[:, -1], "what choose was given", slug="logits", hint=hint)


def _what_was_read(check, read, text, context, step) -> None:
    newest = text[:, -context:]
    for slug, wrong, problem, hint in (
        ("reads-on", text[:, : text.shape[1] - step][:, -context:], "the model read the prompt again, nothing new",
         "What was chosen is read in the next step: the text grows."),
        ("context", text[:, :context], "the model was given the oldest tokens",
         "Of a text that is too long the model reads the end: the last context_length tokens."),
        ("whole-text", text[:, -1:], "the model was given the newest token alone",
         "Without a cache the model knows only what it reads now: give it all that fits."),
    ):  # fmt: skip
        check.that(torch.equal(wrong, newest) or not torch.equal(read, wrong), slug=slug, problem=problem, hint=hint)
    problem = (
        f"in step {step + 1} the model was given {read.shape[1]} of {text.shape[1]} tokens; its context holds {context}"
    )
    hint = "As much of the text as fits: its last context_length tokens, or all of them."
    check.that(read.shape[1] == newest.shape[1], slug="context", problem=problem, hint=hint)
    hint = "The model reads the text as it stands now, its newest tokens."
    check.that(torch.equal(read, newest), slug="reads-on", problem=f"in step {step + 1} the model read {read.tolist()}",
               hint=hint)  # fmt: skip
