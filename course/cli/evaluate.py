"""Score a model on stories it has not seen: nats per token, perplexity, bits per byte, accuracy.

Stories are scored one by one, each from its first token to its end. Where the exact probability of the stories
is known, as for the bundled ones, the best possible score stands beside the model's.

examples:
  python -m course evaluate
  python -m course evaluate --model runs/storyteller --json
  python -m course evaluate --recall --limit 500
  python -m course evaluate --stories tinystories --limit 500
"""

import argparse
import json

from course.cli.options import add_model, load


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
        "--recall",
        nargs="?",
        const="hero,friend,toy,color",
        metavar="ROLES",
        help="also: does it remember who and what a story is about? (default roles: hero,friend,toy,color)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def run(arguments: argparse.Namespace) -> int:
    from helpers.evaluation import evaluate
    from helpers.stories import load_stories

    model, tokenizer = load(arguments)
    stories = load_stories(arguments.stories, arguments.split, arguments.limit)
    metrics = evaluate(model, tokenizer, stories, progress=not arguments.json)
    remembered = None
    if arguments.recall is not None:
        from course.rementions import recall

        roles = [role.strip() for role in arguments.recall.split(",")]
        remembered = recall(model, tokenizer, stories.dataset, roles=roles, progress=not arguments.json)
    if arguments.json:
        extra = {} if remembered is None else {"recall": remembered.as_dict()}
        print(json.dumps(metrics.as_dict() | extra))
        return 0
    print(f"{stories.description}\n{metrics}")
    if remembered is not None:
        print(f"\nthe true word is first where it is named again, 30 tokens or more after\n{remembered}")
    return 0
