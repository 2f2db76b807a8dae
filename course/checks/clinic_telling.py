"""Repairs of patients who tell, store or load wrongly (notebook 10)."""

import numpy as np
import torch
from torch import nn

from course.checks.clinic_scoring import END, batch, loss, small
from course.checks.exercise import exercise
from course.clinic import telling
from course.clinic.healthy import Attention
from helpers.model import GPT, GPTConfig

__all__ = ["ZoeCache", "bea_pack", "cleo_load"]


@exercise("10.41", title="Repair Zoe", minutes=8, difficulty=3, begins_as=telling.ZoeCache)
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


@exercise("10.42", title="Repair Bea", minutes=5, difficulty=1, begins_as=telling.bea_pack)
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
        len(kinds) == 1, slug="depends-on-the-texts", when="two files, one vocab_size",
        problem="the type depends on the ids that happen to occur",
        hint="Two parts of one file must have one type: `vocab_size` decides.",
    )  # fmt: skip


@exercise("10.43", title="Repair Cleo", minutes=8, difficulty=2, begins_as=telling.cleo_load, may_change_input=True)
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
