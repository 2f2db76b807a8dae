"""The living page: a model that tells stories in a browser, as a folder that any web server can show.

Nothing is asked of another host when the page is open: graph, weights, tokenizer and the runtime lie beside it.
"""

import json
import shutil
import tempfile
from pathlib import Path

from course.site.page_facts import facts, tokenizer_facts
from course.site.page_onnx import as_onnx, check_exportable
from course.site.page_runtime import runtime_files
from helpers.errors import CourseError
from helpers.files import folder_to_be, repository_root, write_atomically
from helpers.model import GPT
from helpers.tokenizer import Tokenizer

SOURCES = ("*.html", "*.css", "*.js", "*.txt", "*.svg")  # of docs/page: all of it that a browser reads
MODEL, TOKENIZER, FACTS = "model/model.onnx", "model/tokenizer.json", "model/facts.json"
LARGEST_WEIGHTS = 60e6  # bytes; a phone has to fetch them
LARGEST_STORY = 250e6  # bytes; what a whole story's logits take in the browser's memory


def sources() -> dict[str, Path]:
    """The page's own files by their names in it."""
    root = repository_root() / "docs" / "page"
    found = (path for pattern in SOURCES for path in root.rglob(pattern))
    return {path.relative_to(root).as_posix(): path for path in sorted(found)}


def check_size(model: GPT) -> None:
    """Refuse a model that is too large for a page.

    Raises:
        CourseError: naming what is too large.
    """
    check_exportable(model)
    config, weights = model.config, 4 * model.parameter_count()
    story = 4 * config.vocab_size * config.n_layer * config.context_length
    if weights > LARGEST_WEIGHTS:
        raise CourseError(
            f"the model's weights take {weights / 1e6:,.0f} MB, and a page should not fetch more than "
            f"{LARGEST_WEIGHTS / 1e6:.0f}: choose a smaller model"
        )
    if story > LARGEST_STORY:
        raise CourseError(
            f"a whole story's logits, {config.n_layer} layers of {config.vocab_size:,} at {config.context_length:,} "
            f"positions, take {story / 1e6:,.0f} MB of a browser's memory, more than {LARGEST_STORY / 1e6:.0f}: "
            "choose a smaller model"
        )


def write(
    model: GPT, tokenizer: Tokenizer, folder: Path, out: Path, *, links: str | None = None, cache: Path | None = None
) -> dict[str, int]:
    """Write the page of the model in `folder` to `out`; the size of each file in bytes.

    Args:
        links: where a notebook is, with {} for its name; None: in the course's repository.
        cache: where the runtime's archive is kept; None: see `page_runtime`.

    Raises:
        CourseError: the model is too large or of another kind, a package is missing, the runtime cannot be fetched, or
            `out` holds something else than a page.
    """
    check_size(model)
    if tokenizer.vocab_size > model.config.vocab_size:
        sizes = f"the tokenizer has {tokenizer.vocab_size} entries, the model knows {model.config.vocab_size}"
        raise CourseError(f"{sizes}: they do not belong together")
    out = check_target(out)
    words = tokenizer_facts(tokenizer, folder.name)
    about = facts(model, tokenizer, folder, links)
    files = {name: path.read_bytes() for name, path in sources().items()}
    files |= {f"runtime/{name}": content for name, content in runtime_files(cache).items()}
    files[MODEL] = as_onnx(model)
    files[TOKENIZER] = _json(words)
    about["bytes"] = sum(map(len, files.values()))
    files[FACTS] = _json(about)
    _put(out, files)
    return {name: len(content) for name, content in files.items()}


def _json(value) -> bytes:
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8")


def check_target(out: Path) -> Path:
    """`out`, if nothing is lost when a page is written there: it is new, empty, or a page.

    Raises:
        CourseError: it holds something else.
    """
    out = folder_to_be(out).absolute()
    if out.is_dir() and any(out.iterdir()) and not (out / FACTS).is_file():
        raise CourseError(f"{out} holds something that is no page: name a new folder (--out)")
    return out


def _put(out: Path, files: dict[str, bytes]) -> None:
    """The files in `out` in the place of an earlier page; until all are written, that one stays."""
    out.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".part"))
    try:
        for name, content in files.items():
            write_atomically(new / name, content)
        new.chmod(0o755)
        shutil.rmtree(out, ignore_errors=True)
        new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
