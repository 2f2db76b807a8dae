"""Which branches that depend on a GPU are entered, and a notebook's cells run as Colab would run them.

    python -m tests.branches t4 report.json        # also a100, cpu; tests: unit tests that enter what no notebook does

Source files are changed as they are imported: each branch notes that it was entered. So this is done in a process of
its own, and works alike in every Python.
"""

import ast
import contextlib
import functools
import importlib.machinery
import importlib.util
import io
import json
import linecache
import os
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = "08_training_on_a_gpu.ipynb"
# Where branches are looked for: the files that a GPU has a say in.
FILES = (
    "course/__init__.py",
    "course/bench/*.py",
    "course/colab.py",
    "course/keeping.py",
    "course/reference_ranges.py",
    "course/checks/nb08*.py",
    "helpers/checkpoint.py",
    "course/distributed.py",
    "helpers/run_log.py",
    "helpers/hardware.py",
    "helpers/train_step.py",
    "course/cli/options.py",
    "course/cli/bench.py",
)
# A branch depends on a GPU if what it asks says one of these, or if it stands inside of such a branch.
ASKS = re.compile(
    r"(?i)gpu|cuda|capabilit|device|\bmps\b|profile\b|OutOfMemory|\bhalf|scaler|triton|linear_cross_entropy"
)

ENTERED: set[str] = set()
SECONDS: dict[int, float] = {}  # of the processor, by cell


def of_file(path: Path) -> str:
    return path.resolve().relative_to(ROOT).as_posix()


class Branches(ast.NodeTransformer):
    """Notes each branch that depends on a GPU, and lets it say when it is entered."""

    def __init__(self, file: str):
        self.file, self.inside, self.known, self.function = file, False, {}, ""

    def branch(self, test: ast.AST | None) -> bool:
        """Whether a statement that asks `test` is of interest."""
        return self.inside or (test is not None and bool(ASKS.search(ast.unparse(test))))

    def note(self, first: ast.AST, asked: str = "") -> ast.Call:
        """A call that says that the branch which begins with `first` is entered."""
        text = f"{self.file}{self.function}: {_short(first)}{asked}"
        key, number = text, 1
        while key in self.known:
            key, number = f"{text} ({number + 1})", number + 1
        self.known[key] = first.lineno
        call = ast.Call(ast.Name("_entered", ast.Load()), [ast.Constant(key)], [])
        return ast.fix_missing_locations(ast.copy_location(call, first))

    def noted(self, value: ast.expr, asked: str) -> ast.expr:
        """The same expression, which says that it is computed."""
        both = ast.copy_location(ast.Tuple([self.note(value, asked), self.visit(value)], ast.Load()), value)
        chosen = ast.copy_location(ast.Subscript(both, ast.Constant(1), ast.Load()), value)
        return ast.fix_missing_locations(chosen)

    def arm(self, statements: list[ast.stmt], wanted: bool) -> list[ast.stmt]:
        before, self.inside = self.inside, self.inside or wanted
        noted = [ast.copy_location(ast.Expr(self.note(statements[0])), statements[0])] if wanted and statements else []
        done = noted + [self.visit(each) for each in statements]
        self.inside = before
        return done

    def visit_If(self, node: ast.If):
        wanted = self.branch(node.test)
        node.test = self.visit(node.test)
        chained = len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)
        node.body = self.arm(node.body, wanted)
        node.orelse = [self.visit(node.orelse[0])] if chained else self.arm(node.orelse, wanted)
        return node

    visit_While = visit_If

    def visit_IfExp(self, node: ast.IfExp):
        if not self.branch(node.test):
            return self.generic_visit(node)
        asked = _short(node.test)
        node.body, node.orelse = self.noted(node.body, f" if {asked}"), self.noted(node.orelse, f" unless {asked}")
        node.test = self.visit(node.test)
        return node

    def visit_BoolOp(self, node: ast.BoolOp):
        """What is computed only if what stands before it, which depends on a GPU, does not decide."""
        word, done, wanted = "or" if isinstance(node.op, ast.Or) else "and", [], False
        for before, value in zip([None, *node.values], node.values, strict=False):
            wanted = wanted or (before is not None and bool(ASKS.search(ast.unparse(before))))
            done.append(self.noted(value, f" after {_short(before)} {word}") if wanted else self.visit(value))
        node.values = done
        return node

    def visit_Try(self, node: ast.Try):
        self.generic_visit_list(node, "body")
        for handler in node.handlers:
            handler.body = self.arm(handler.body, self.branch(handler.type))
        for name in ("orelse", "finalbody"):
            self.generic_visit_list(node, name)
        return node

    def generic_visit_list(self, node: ast.AST, name: str) -> None:
        setattr(node, name, [self.visit(each) for each in getattr(node, name)])

    def visit_FunctionDef(self, node: ast.FunctionDef):
        """What is defined inside a branch is entered later, and is looked at by itself."""
        before = self.inside, self.function
        self.inside, self.function = False, f", {node.name}"
        self.generic_visit_list(node, "body")
        self.inside, self.function = before
        return node


def _short(node: ast.AST) -> str:
    text = ast.unparse(node).split("\n")[0]
    return text if len(text) <= 60 else text[:57] + "..."


KNOWN: dict[str, int] = {}  # each branch, and its line


def watched(source: str, name: str, file: str):
    """The code of a source text whose branches say when they are entered."""
    branches = Branches(name)
    tree = ast.fix_missing_locations(branches.visit(ast.parse(source)))
    KNOWN.update(branches.known)
    return compile(tree, file, "exec")


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        return watched(self.get_data(self.path).decode("utf-8"), of_file(Path(self.path)), self.path)


class _Finder:
    """Before Python's own: for the files that are watched."""

    def __init__(self):
        self.files = {path.resolve() for pattern in FILES for path in ROOT.glob(pattern)}

    def find_spec(self, name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec and spec.origin and Path(spec.origin).resolve() in self.files:
            spec.loader = _Loader(name, spec.origin)
            return spec
        return None


def watch() -> None:
    """From now on watched files are imported with their branches noted; those that nobody imports are known too."""
    import builtins

    builtins._entered = ENTERED.add
    finder = _Finder()
    for path in finder.files:
        watched(path.read_text(encoding="utf-8"), of_file(path), str(path))
    sys.meta_path.insert(0, finder)


# ---------------------------------------------------------------------- a notebook's cells


# What a cell takes of the real GPT-2 is wrong for a thin one.
CHANGED = {"DRIVE = 15e9": "DRIVE = 15e9 * parameters / 124_439_808"}


def run_cells() -> list[str]:
    """Run all code cells of the notebook in order, as a kernel would; what each printed.

    Raises:
        RuntimeError: a cell failed; the message names it and says what it had printed.
    """
    from course.site import notebooks

    book = notebooks.read(ROOT / "notebooks" / NOTEBOOK)
    scope, printed = {"__name__": "__main__"}, []
    for original in CHANGED:
        assert sum(original in cell.source for cell in book.cells) == 1, original
    for number, cell in enumerate(book.cells):
        if cell.cell_type != "code":
            continue
        file, source = f"<08, cell {number}>", cell.source
        for original, new in CHANGED.items():
            source = source.replace(original, new)
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        said, began = io.StringIO(), time.process_time()
        try:
            with contextlib.redirect_stdout(said):
                exec(watched(source, f"notebooks/08, cell {number}", file), scope)
        except Exception as error:
            raise RuntimeError(f"cell {number} of {NOTEBOOK} failed; it had printed:\n{said.getvalue()}") from error
        printed.append(said.getvalue())
        SECONDS[number] = round(time.process_time() - began, 2)
        if "SHOW_CELLS" in os.environ:
            print(number, SECONDS[number], file=sys.stderr, flush=True)
        import matplotlib.pyplot

        matplotlib.pyplot.close("all")
    return printed


def replace_everywhere(original, new) -> None:
    """In every module of the course that has it by name, and in those that are still to be imported."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in ("course", "helpers"):
            for attribute, value in list(vars(module).items()):
                if value is original:
                    setattr(module, attribute, new)


THIN = dict(n_layer=4, n_head=2, d_model=32, context_length=64)
GPT2 = dict(n_layer=4, n_head=2, d_model=32, context_length=16, d_ff=128)  # with its vocabulary
STEPS = 20  # of a run; on a GPU there are ten or more between two checkpoints


def make_small() -> None:
    """GPT-2 thin, of four blocks; recipes short; TinyStories the bundled stories, GPT-2's tokenizer the bundled one."""
    from course import keeping, recipes, runs
    from course.bench import ladder, planning
    from helpers import model, stories, tokenizer, training

    real_stories, real_tokenizer = stories.load_stories, tokenizer.load_tokenizer

    def load_stories(source="bundled", split="train", limit=None, streaming=False):
        found = real_stories("bundled" if source == "tinystories" else source, split, min(limit or 300, 300))
        found.source = source
        return found

    def load_tokenizer(source="bundled"):
        return real_tokenizer("bundled" if source == "gpt2" else source)

    replace_everywhere(real_stories, load_stories)
    replace_everywhere(real_tokenizer, load_tokenizer)
    replace_everywhere(importlib.util.find_spec, lambda name, *rest: object())  # Triton is there, as on Colab
    ladder.climb = functools.partial(ladder.climb, turns=1, steps=1)
    runs.ENOUGH_STORIES = 300
    planning.KNOWN_SIZES["gpt2"] = real_tokenizer().vocab_size
    planning.PATIENCE, keeping.LOCAL_MINUTES = 0.1, 0.0

    sizes = model.GPTConfig.gpt2
    model.GPTConfig.gpt2 = classmethod(lambda cls, size="small": replace(sizes(size), **GPT2))
    over = training.Trainer.done
    training.Trainer.done = lambda self: over(self) or self.step >= STEPS
    for name, recipe in recipes.RECIPES.items():
        if name.startswith("gpt2-"):  # the others are planned and not run
            recipe = replace(recipe, model=recipe.model | THIN)
        changes = dict(eval_every=6, eval_stories=4, sample_every=0)
        changes |= dict(checkpoint_every=4, log_every=1, accumulation=min(2, recipe.training.data.accumulation))
        recipe = replace(recipe, limit=min(recipe.limit or 300, 300), training=recipe.training.but(**changes))
        recipes.RECIPES[name] = recipe


@contextlib.contextmanager
def machine(name: str):
    """The fake GPU of that name, as on Colab; "cpu" is none."""
    from tests import fake_gpu

    if name == "cpu":
        yield
        return
    kinds = {"t4": ("Tesla T4", (7, 5), 15.8), "a100": ("NVIDIA A100-SXM4-40GB", (8, 0), 42.3)}
    with fake_gpu.fake_gpu(*kinds[name]) as memory:
        yield memory


def run_notebook(name: str) -> dict:
    """The notebook on one machine: what was printed, and which branches were entered."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_RUNS"] = str(Path(folder) / "runs")
        os.environ["COURSE_AWAY"] = str(Path(folder) / "away")
        os.environ.setdefault("MPLBACKEND", "agg")
        watch()
        make_small()
        with machine(name):
            printed = run_cells()
    return {"entered": sorted(ENTERED), "known": KNOWN, "printed": printed, "seconds": SECONDS}


def run_tests(which: list[str]) -> dict:
    """Unit tests, by name, and which branches they enter."""
    import pytest

    watch()
    arguments = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    code = pytest.main([*arguments, *which])
    if code:
        raise RuntimeError(f"the unit tests failed ({code})")
    return {"entered": sorted(ENTERED), "known": KNOWN, "printed": []}


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    what, out, *rest = sys.argv[1:]
    result = run_tests(rest) if what == "tests" else run_notebook(what)
    Path(out).write_text(json.dumps(result), encoding="utf-8")
