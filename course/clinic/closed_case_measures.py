"""What the closed case's script reaches: a process of its own runs this, so that a script can break nothing else.

python -m course.clinic.closed_case_measures FILE SEED FOLDER        # writes FOLDER/reached.json
"""

import importlib.util
import random
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from course.clinic.program import first_sentences, one_thread
from helpers.files import write_json
from helpers.tokenizer import load_tokenizer

CONTEXT, WINDOWS, TOLD = 48, 64, 80
BEGINNINGS = ("One Saturday,", "There was", "This is the story of")


def measure(path: str, seed: int, folder: str) -> dict:
    """Train with the script at `path`, and measure the model that it saved, trusting nothing that it says."""
    spec = importlib.util.spec_from_file_location("script_of_the_closed_case", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    weights = str(Path(folder) / "model.safetensors")
    with one_thread():
        trained, reported = script.main(seed, weights)
        model, tokenizer = script.load(weights).eval(), load_tokenizer("bundled")
        end = tokenizer.eos_token_id
        inputs, targets = windows(tokenizer.encode_batch(first_sentences("validation")), end)
        with torch.no_grad():
            validation = loss_from_before(model, inputs, targets)
            loaded = (model(inputs) - trained.eval()(inputs)).abs().max().item()
        begun = [[end, *tokenizer.encode(text)] for text in BEGINNINGS]
        told = [list(script.generate(model, ids, TOLD)) for ids in begun]
        right = sum(most_probable(model, new, len(ids)) for new, ids in zip(told, begun, strict=True))
    return {
        "validation": validation,
        "reported": abs(reported - validation),
        "loaded": loaded,
        "told": right / (len(BEGINNINGS) * TOLD),
        "sample": tokenizer.decode(told[0][1:]),
    }


def windows(stories: list[list[int]], end: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of stories and the tokens that follow, (WINDOWS, CONTEXT) each, the same every time."""
    stream = torch.tensor([token for story in stories for token in (end, *story)] + [end])
    chance = random.Random(0)
    starts = [chance.randrange(len(stream) - CONTEXT) for _ in range(WINDOWS)]
    rows = torch.stack([stream[i : i + CONTEXT + 1] for i in starts])
    return rows[:, :-1], rows[:, 1:]


def loss_from_before(model, inputs: torch.Tensor, targets: torch.Tensor) -> float:
    """Nats per token when the model is shown, for each target, only what stands before it."""
    last = (model(inputs[:, : t + 1])[:, -1] for t in range(inputs.shape[1]))
    return sum(F.cross_entropy(logits, targets[:, t]).item() for t, logits in enumerate(last)) / inputs.shape[1]


@torch.no_grad()
def most_probable(model, ids: list[int], begun: int) -> int:
    """How many of the TOLD tokens behind the first `begun` are the model's first choice; missing ones are none."""
    places = range(begun, min(len(ids), begun + TOLD))
    return sum(int(model(torch.tensor([ids[max(0, i - CONTEXT) : i]]))[0, -1].argmax()) == ids[i] for i in places)


if __name__ == "__main__":
    file, number, out = sys.argv[1:]
    write_json(Path(out) / "reached.json", measure(file, int(number), out))
