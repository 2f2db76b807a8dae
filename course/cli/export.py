"""Write a trained model as a folder that `transformers` loads, with a model card.

The card says what the run wrote down of itself; with --evaluate the model is scored first, on stories it has not
seen, and the card tells the result.

examples:
  python -m course export --out runs/storyteller-for-transformers
  python -m course export --model runs/storyteller --out runs/export --evaluate --license mit
  python -m course export --model runs/storyteller --out runs/export --overwrite --title "Ada's storyteller"
"""

import argparse

from course.cli.options import add_model, load, model_folder
from helpers.errors import CourseError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the folder to write: a new or an empty one")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export in that folder")
    parser.add_argument("--title", metavar="TEXT", help="the heading of the model card")
    parser.add_argument(
        "--license", metavar="ID", help='for the model card, as the Hub names it ("mit"); without one none is claimed'
    )
    parser.add_argument(
        "--evaluate",
        nargs="?",
        const="bundled",
        metavar="SOURCE",
        help='score it for the card on the validation stories of SOURCE (default "bundled")',
    )
    parser.add_argument("--limit", type=int, metavar="N", help="with --evaluate: only the first N stories")


def run(arguments: argparse.Namespace) -> int:
    from course.export import check_target, export, kind_of
    from course.site.model_cards import DATA, facts_of_run, model_card, scores_of

    if arguments.limit is not None and not arguments.evaluate:
        raise CourseError("--limit is for --evaluate: it says how many stories are scored")
    check_target(arguments.out, arguments.overwrite)  # before minutes are spent on scores
    model, tokenizer = load(arguments)
    kind_of(model.config)
    facts = facts_of_run(model_folder(arguments))
    given = {"title": arguments.title, "license": arguments.license}
    facts |= {name: value for name, value in given.items() if value is not None}
    if arguments.evaluate:
        from helpers.evaluation import evaluate
        from helpers.stories import load_stories

        stories = load_stories(arguments.evaluate, "validation", arguments.limit)
        metrics = evaluate(model, tokenizer, stories, progress=True)
        which = arguments.evaluate if arguments.evaluate in DATA else "the trainer's own"  # no paths in a public card
        facts["scores"] = facts.get("scores", {}) | scores_of(metrics, f"validation stories ({which})")
    card = model_card(model, tokenizer, **facts)
    folder = export(model, tokenizer, arguments.out, card=card, overwrite=arguments.overwrite)
    print(f"Written: {folder}")
    print("Read its README.md before you show the model to others. transformers loads it:")
    print(f'  pipeline("text-generation", {str(folder)!r})')
    return 0
