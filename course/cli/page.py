"""Write a page on which a model tells stories in the browser.

The folder can be put on any web server. What runs the model in the browser, onnxruntime-web, is fetched once from the
npm registry and kept.

examples:
  python -m course page
  python -m course page runs/storyteller --out runs/my_page
"""

import argparse
from pathlib import Path

from helpers.files import data_folder, runs_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", nargs="?", metavar="RUN", help="a run's or a model's folder (default: the shipped storyteller)"
    )
    parser.add_argument("--out", metavar="DIR", help="the folder to write (default: runs/page); an earlier page goes")


def run(arguments: argparse.Namespace) -> int:
    from course.site import page
    from helpers.checkpoint import load_model

    folder = data_folder() / "storyteller" if arguments.model is None else Path(arguments.model)
    out = page.check_target(runs_folder() / "page" if arguments.out is None else Path(arguments.out))
    model, tokenizer = load_model(folder)
    sizes = page.write(model, tokenizer, folder, out)
    weights, runtime = sizes[page.MODEL], sum(size for name, size in sizes.items() if name.startswith("runtime/"))
    print(
        f"Written: {out}, {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB: the model {weights / 1e6:.1f}, "
        f"the runtime {runtime / 1e6:.1f}"
    )
    print("A browser runs it from a web server alone. To see it, start one and open http://127.0.0.1:8000:")
    print(f"  python -m http.server --bind 127.0.0.1 --directory {out}")
    return 0
