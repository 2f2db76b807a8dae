"""Score a model on stories it has not seen: cross-entropy loss, perplexity, bits per byte, accuracy.

Stories are scored one by one, each from its first token to its end. Where the exact probability of the stories
is known, as for the bundled ones, the best possible score stands beside the model's. `--samples` judges stories that
the model itself generates: how they vary, and how much of them stands in a training story.

examples:
  python -m course evaluate
  python -m course evaluate --model runs/storyteller --json
  python -m course evaluate --rementions --limit 500
  python -m course evaluate --samples 50 --engine ctranslate2 --limit 500
  python -m course evaluate --stories tinystories --limit 500
"""

import argparse
import json
from itertools import takewhile

from course.cli.options import add_engine, add_model, check_engine, engine, load
from helpers.errors import CourseError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument(
        "--stories",
        default="bundled",
        metavar="SOURCE",
        help='"bundled" (default), "tinystories", or a folder or file of your own',
    )
    parser.add_argument("--split", choices=("validation", "train"), default="validation", help="(default validation)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N stories")
    parser.add_argument(
        "--rementions",
        nargs="?",
        const="hero,friend,toy,color",
        metavar="ROLES",
        help="also the re-mention accuracy: is the true word first? (default roles: hero,friend,toy,color)",
    )
    parser.add_argument("--samples", type=int, metavar="N", help="also generate N stories and say what they are like")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of these stories (default 0)")
    add_engine(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def run(arguments: argparse.Namespace) -> int:
    check_engine(arguments)
    if arguments.engine and arguments.samples is None:
        raise CourseError("--engine is for --samples: what is only scored is not generated")
    if arguments.samples is not None and not 2 <= arguments.samples <= 10_000:
        raise CourseError(f"samples must be at least 2, which are compared, and 10,000 at most: {arguments.samples}")
    if not 0 <= arguments.seed < 2**62:
        raise CourseError(f"the seed must be 0 or more and below 2^62, got {arguments.seed}")
    from helpers.evaluation import evaluate
    from helpers.stories import load_stories

    model, tokenizer = load(arguments)
    stories = load_stories(arguments.stories, arguments.split, arguments.limit)
    if arguments.rementions is not None:
        from course.rementions import remention_accuracy

        roles = [role.strip() for role in arguments.rementions.split(",")]
        accuracy = remention_accuracy(model, tokenizer, stories.dataset, roles=roles, progress=not arguments.json)
    metrics = evaluate(model, tokenizer, stories, progress=not arguments.json)
    found, said = metrics.as_dict(), f"{stories.description}\n{metrics}"
    if arguments.rementions is not None:
        found["rementions"] = accuracy.as_dict()
        said += f"\n\nthe true word is first where it is named again, 30 tokens or more after\n{accuracy}"
    if arguments.samples is not None:
        found["samples"] = _samples(arguments, model, tokenizer)
        said += f"\n\n{arguments.samples} stories that it generates at temperature 1\n" + "\n".join(
            f"{name.replace('_', ' '):28}{value:.3f}" for name, value in found["samples"].items()
        )
    print(json.dumps(found) if arguments.json else said)
    return 0


def _samples(arguments: argparse.Namespace, model, tokenizer) -> dict[str, float]:
    """What generated stories are like; the training stories of the same source say what is copied."""
    from course.text_metrics import TrainingIndex, distinct_n, self_bleu
    from helpers.generation import generate_batch
    from helpers.instructions import END_OF_ANSWER
    from helpers.stories import load_stories

    index = TrainingIndex(load_stories(arguments.stories, "train"))
    end, longest = tokenizer.eos_token_id, model.config.context_length - 1
    end_of_answer = tokenizer.token_to_id(END_OF_ANSWER)  # None where no orders are taken
    options = {"seed": arguments.seed, "eos_token_id": end, "engine": engine(arguments, model)}
    new = generate_batch(model, [[end]] * arguments.samples, longest, **options)
    new = [list(takewhile(lambda token: token != end_of_answer, ids)) for ids in new]
    texts = [text for ids in new if (text := tokenizer.decode(ids)).strip()]
    copied = [len(copy) for copy in index.longest_copies(texts)]
    return {
        "distinct_4": distinct_n(texts, 4),
        "self_bleu": self_bleu(texts),
        "longest_copied_words": sum(copied) / len(copied),
        "tokens_per_story": sum(map(len, new)) / len(new),
    }
