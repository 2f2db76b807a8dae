"""The course's notebooks as files: which there are, running them, the clean form in which they are kept."""

import asyncio
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

from course.site import setup_cell
from helpers.errors import CourseError
from helpers.files import regular, repository_root

CELL_SECONDS = 900  # no single cell may run longer
PREDICTED = "predicted"  # the tag of a code cell whose output a reader should guess first
_FOLDED_IN_THE_BOOK = "hide-output"  # MyST-NB's own tag
_WIDGET = "application/vnd.jupyter.widget"
_VARYING = ("execution", "ExecuteTime", "collapsed", "scrolled", "lines_to_next_cell")  # cell metadata


def folder() -> Path:
    return repository_root() / "notebooks"


def all_notebooks() -> list[Path]:
    """The notebooks in the order of the course."""
    return sorted(folder().glob("[0-9][0-9]_*.ipynb"))


def chosen(numbers: Sequence[str] | None = None) -> list[Path]:
    """The notebooks with these numbers ("03", or "3"), in the order they are named; all if there are none.

    Raises:
        CourseError: there is no such notebook.
    """
    existing = {path.name[:2]: path for path in all_notebooks()}
    wanted = [number.strip().zfill(2) for number in numbers or existing]
    unknown = [number for number in wanted if number not in existing]
    if unknown:
        raise CourseError(f"there is no notebook {', '.join(unknown)}; there are {', '.join(existing)}")
    return [existing[number] for number in dict.fromkeys(wanted)]


def read(path: Path):
    """A notebook as `nbformat` sees it, version 4.

    Raises:
        CourseError: it is not there, or it is damaged.
    """
    path = regular(path, "it cannot be read")
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise CourseError(f"{path} cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged file makes parsers raise errors of many kinds
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise CourseError(f"{path} is no notebook, or a damaged one ({reason})") from error


def parse(data: bytes, lenient: bool = False):
    """The bytes of a notebook, with or without a mark of their encoding, as `nbformat` sees it, version 4.

    Args:
        lenient: what a cell has besides its text is left away where it is not as it must be.

    Raises:
        ValueError, among others: they are no notebook, or one whose cells are not as they must be.
    """
    import nbformat

    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    book = nbformat.reads(data.decode("utf-16" if marked else "utf-8-sig"), as_version=4)
    if not lenient:
        nbformat.validate(book)  # which `reads` only speaks of
        json.dumps(book, ensure_ascii=False).encode("utf-8")  # half a character could not be written again
    for i, cell in enumerate(book.cells):
        where = f"cell {i + 1}"
        if cell.cell_type not in ("code", "markdown", "raw") or not isinstance(cell.source, str):
            raise ValueError(f"{where} is no cell")
        if lenient:
            about = cell.get("metadata")
            kept = about if isinstance(about, dict) else {}
            cell.metadata = nbformat.from_dict({k: v for k, v in kept.items() if k != "tags" or isinstance(v, list)})
        if not isinstance(cell.metadata, dict) or not isinstance(cell.metadata.get("tags", []), list):
            raise ValueError(f"{where} has metadata that are none")
        if cell.cell_type == "code" and not lenient and not isinstance(cell.get("outputs", []), list):
            raise ValueError(f"{where} has outputs that are none")
    return book


def as_text(book) -> str:
    """A notebook as Jupyter writes it: valid, indented by one space, sorted keys, a newline at the end.

    Raises:
        CourseError: it is not valid.
    """
    import nbformat

    try:
        nbformat.validate(book)
    except nbformat.ValidationError as error:
        raise CourseError(f"that would be no valid notebook ({str(error).splitlines()[0][:160]})") from error
    return nbformat.writes(book).rstrip("\n") + "\n"


def title_of(path: Path) -> str:
    """The notebook's first heading; its name, if it has none."""
    text = "".join(cell.source for cell in read(path).cells[:1])
    return text.split("\n")[0].lstrip("# ") or path.stem


def tags_of(cell) -> list[str]:
    return cell["metadata"].get("tags", [])


def execute(book, on_cell: Callable[[int, int], None] | None = None):
    """Run every cell of `book` in place, in the notebooks' folder; `on_cell(done, of)` is called after each
    one.

    Raises:
        CourseError: a cell failed; the message names the cell and the error. The outputs so far are in
            `book`.
        KeyboardInterrupt: on Ctrl-C, whoever got it.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    code = [i for i, cell in enumerate(book.cells) if cell.cell_type == "code"]

    def executed(cell, cell_index, **_):
        if on_cell:
            on_cell(code.index(cell_index) + 1 if cell_index in code else 0, len(code))

    client = NotebookClient(
        book,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder())}},
        on_cell_executed=executed,
        extra_arguments=["--log-level=ERROR"],  # else each kernel warns that it is not encrypted
        coalesce_streams=True,  # what a cell prints piece by piece is one output
    )
    # Tokenizers warn on stderr when a process that used them forks, which datasets does.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        with _loop_that_notes_interrupts() as (loop, interrupts):
            try:
                # The last words of a notebook's process that is stopped help nobody.
                loop.run_until_complete(client.async_execute(stderr=subprocess.DEVNULL))
            except Exception:
                if interrupts:  # nbclient takes Ctrl-C, stops the notebook's process and fails in one way or another
                    raise KeyboardInterrupt from None
                raise
    except CellExecutionError as error:
        if error.ename == "KeyboardInterrupt":  # the terminal sends Ctrl-C to the notebook's process as well
            raise KeyboardInterrupt from None
        place = _failed_cell(book)
        raise CourseError(f"{place} failed: {error.ename}: {error.evalue}") from error
    except CellTimeoutError as error:
        raise CourseError(f"a cell ran longer than {CELL_SECONDS} seconds") from error
    except DeadKernelError as error:
        raise CourseError("the notebook's process died, perhaps for want of memory") from error
    return book


@contextmanager
def _loop_that_notes_interrupts():
    """An event loop, and a list of the signals that whoever asked it for a handler was given."""
    loop, interrupts = asyncio.new_event_loop(), []
    add = loop.add_signal_handler

    def noted(number, callback, *given):
        def call():
            interrupts.append(number)
            callback(*given)

        add(number, call)

    loop.add_signal_handler = noted
    loop.set_exception_handler(lambda one, about: interrupts or one.default_exception_handler(about))
    try:
        yield loop, interrupts
    finally:
        loop.close()


def _failed_cell(book) -> str:
    for number, cell in enumerate((c for c in book.cells if c.cell_type == "code"), start=1):
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            first = next((line for line in cell.source.split("\n") if line.strip()), "")
            return f"code cell {number} ({first.strip()[:60]!r})"
    return "a cell"


def fill_in(book, name: str, address: str | None = None) -> None:
    """Put the course's setup cell, folded, and the Colab badge into notebook `name` ("03_baselines").

    A cell tagged "run-cell" sets up and trains: it gets its text, folded, too.
    """
    texts = {"setup": setup_cell.setup_cell, "run-cell": setup_cell.run_cell}
    for cell in book.cells:
        if tag := next((tag for tag in texts if tag in tags_of(cell)), None):
            cell.source = texts[tag](name[:2], address)
            cell.metadata.setdefault("jupyter", {})["source_hidden"] = True
            cell.metadata["cellView"] = "form"  # Colab's way of folding: only the title shows
        elif cell.cell_type == "markdown":
            badge = setup_cell.badge(name, address)
            lines = cell.source.split("\n")
            cell.source = "\n".join(badge if line.startswith("[![Open in Colab]") else line for line in lines)


def clean(book) -> None:
    """Leave in an executed notebook only what a reader needs and what does not change from run to run."""
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    fold_predictions(book)
    used: set[str] = set()
    for cell in book.cells:
        for key in _VARYING:
            cell.metadata.pop(key, None)
        cell.id = _identity(cell, used)
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_clean_output, cell.outputs) if output is not None]


def fold_predictions(book) -> None:
    """Fold the outputs of the cells tagged `predicted`, and of no others: in Jupyter, in the web book; on a slide the
    answer waits for the next key.
    """
    for cell in book.cells:
        if cell.cell_type != "code":
            continue
        unfold(cell)
        if PREDICTED in tags_of(cell):
            cell.metadata.setdefault("jupyter", {})["outputs_hidden"] = True
            cell.metadata["tags"] = [*tags_of(cell), _FOLDED_IN_THE_BOOK]
            if cell.metadata.get("slideshow", {}).get("slide_type") == "-":
                cell.metadata["slideshow"]["slide_type"] = "fragment"


def unfold(cell) -> None:
    """Let a cell show its output again."""
    jupyter = cell.metadata.get("jupyter", {})
    jupyter.pop("outputs_hidden", None)
    if not jupyter:
        cell.metadata.pop("jupyter", None)
    if _FOLDED_IN_THE_BOOK in tags_of(cell):
        cell.metadata["tags"] = [tag for tag in tags_of(cell) if tag != _FOLDED_IN_THE_BOOK]


def _identity(cell, used: set[str]) -> str:
    """An id made from the cell's own text, so that an unchanged cell keeps its id."""
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()
    name = next(digest[i : i + 8] for i in range(0, 56) if digest[i : i + 8] not in used)
    used.add(name)
    return name


def _clean_output(output):
    if any(kind.startswith(_WIDGET) for kind in output.get("data", {})):
        return None
    # The course's own folder is of no interest; any other path of this machine is left for the tests to find.
    root = re.escape(json.dumps(str(repository_root()))[1:-1]) + r"[/\\]*"
    texts = json.dumps({k: output[k] for k in ("text", "data") if k in output})
    output.update(json.loads(re.sub(root, "", texts)))
    output.get("metadata", {}).pop("execution", None)
    return output
