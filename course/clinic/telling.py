"""Patients whose training looks well, or nearly, and whose texts are wrong; and one that was loaded wrongly."""

import numpy as np
import torch
from torch import Tensor, nn

from course.clinic.healthier import LayerCache
from course.clinic.program import Program
from course.clinic.programs import Caching, Packing, Reloading
from course.clinic.ward import Cause, Patient

# ---------------------------------------------------------------------- Zoe


class ZoeCache:
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


Patient(
    name="Zoe",
    short="positions off by one with a cache",
    report="With my cache the model tells its stories much faster, and they read well. But they are not the same "
    "stories: "
    "without the cache, when everything is read again for every token, the most probable tokens are others. The "
    "first new token is always the same; a few tokens later they part. All losses are right; the training does not use "
    "the cache.",
    ill={"cache": ZoeCache},
    causes=(
        Cause(
            "Rounding: with a cache the sums are in another order, and two nearly equal tokens change places.",
            "That does happen, to a text now and then. But here hardly any beginning goes on as without the cache, "
            "and the texts are worse by the model's own measure.",
        ),
        Cause(
            "A new token gets another position than it has without the cache.",
            "Yes. The prompt is read rightly, so the text is on its way; every later token is taken for its "
            "neighbour's place. The model is a little lost, not quite: the texts are still fluent.",
            right=True,
        ),
        Cause(
            "A new token does not see the whole prompt.",
            "Then the story would soon lose sight of how it began, and stray. It is a cause to look for: compare "
            "logits after one new token. But here all that was kept is seen.",
        ),
        Cause(
            "Keys and values of the layers are mixed up.",
            "If a layer were given another's keys, the text would be noise at once. These texts are fluent.",
        ),
    ),
    thread=("tiny-llm pull request 46: the offset of the cache", "https://github.com/skyzh/tiny-llm/pull/46"),
    base=Caching(),
    observe=Caching.run,
    symptom=lambda chart: {"as without a cache": chart.more["beginnings that go on as without a cache"]},
)

# ---------------------------------------------------------------------- Bea


def bea_pack(stories: list[list[int]], end: int, vocab_size: int) -> np.ndarray:
    """All stories in one array, an end token behind each: what is written to disk. Few bytes for each token."""
    tokens: list[int] = []
    for story in stories:
        tokens += [*story, end]
    array = np.array(tokens)
    small = np.uint8 if array.min() >= 0 else np.int16
    return array.astype(small)


Patient(
    name="Bea",
    short="ids cut off by too small a type",
    report="I began with a tokenizer of single bytes, and everything worked. Now I have one of some 600 entries. The "
    "training "
    "runs without an error, and the loss falls. But what the model writes is no text at all.",
    ill={"pack": bea_pack},
    causes=(
        Cause(
            "The model has not trained long enough to write words.",
            "A model at this loss writes words: compare the healthy run at the step where its loss was as high. And "
            "an untrained model with word pieces writes wrong words, but words.",
        ),
        Cause(
            "The learning rate is too high.",
            "Then the loss would be bad, and the text dull; it would not consist of broken bytes.",
        ),
        Cause(
            "The ids that the model reads are not those that the tokenizer gave.",
            "Yes. The file has one byte a token, so ids from 256 on have come back as other, smaller ones. The model "
            "has learned the order of these well. Decoded, they are bytes and scraps.",
            right=True,
        ),
        Cause(
            "The model's ids are decoded by another tokenizer than the one that made them.",
            "A good thought, and it looks much the same. But then the decoded *training batch* would be a story for "
            "the right tokenizer. Decode a batch: it is broken already before the model sees it.",
        ),
    ),
    thread=(
        "transformers issue 2825: binarized_data.py in distillation uses incorrect type casting",
        "https://github.com/huggingface/transformers/issues/2825",
    ),
    base=Packing(),
    twin=Program(),
    observe=Packing.run,
    symptom=lambda chart: {"last loss": chart.last},
)

# ---------------------------------------------------------------------- Cleo


@torch.no_grad()
def cleo_load(model: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """Put the weights of a file into a model: every parameter once, by its name (the head is the embedding)."""
    for name, tensor in weights.items():
        *path, last = name.split(".")
        module = model
        for part in path:
            module = getattr(module, part)
        setattr(module, last, nn.Parameter(tensor.clone()))
    return model


Patient(
    name="Cleo",
    short="loading has untied the head",
    report="After the model is loaded, its loss is as if it had never been trained, though every tensor of the file "
    "has "
    "arrived, value by value: I have compared them. When I then train on, the loss falls fast, but it never "
    "gets to where it should be.",
    ill={"load": cleo_load},
    causes=(
        Cause(
            "The optimizer's state was not saved.",
            "That makes the steps after loading worse, not the loss before the first of them. Yan shows how that "
            "looks.",
        ),
        Cause(
            "The head is no longer the embedding: it has kept the new model's weights.",
            "Yes. The file holds the shared matrix once, as `wte.weight`. Loading has put a new parameter there, and "
            "the head still has the old one, which is random. All that was compared is right; this one was not.",
            right=True,
        ),
        Cause(
            "The file was damaged, or holds the weights of another run.",
            "Every tensor of the file was compared with what was saved. What is in the file is right. Is it all that "
            "the model has?",
        ),
        Cause(
            "The weights were saved in too low a precision.",
            "Half precision changes a loss in its third digit. This is the loss of guessing.",
        ),
    ),
    thread=(
        "accelerate pull request 1204: fix tied weights load",
        "https://github.com/huggingface/accelerate/pull/1204",
    ),
    base=Reloading(),
    observe=Reloading.run,
    symptom=lambda chart: {"validation when loaded": chart.more["validation when loaded"], "last loss": chart.last},
)
