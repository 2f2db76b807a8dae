"""What stands in a notebook's visible cells that could be called: each function, class, method and lambda, as something
that takes arguments. It is the course's own code, and it is run.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from course.checks.cells import plain_python
from course.checks.source import names_missing

MOST_LIFTED = 3  # names, attributes or constructor's arguments that an adaptation may turn into arguments
_FUNCTIONS = (ast.FunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Parameter:
    name: str
    required: bool


@dataclass(frozen=True)
class Candidate:
    """Something that stands in a visible cell and that might be an exercise's answer.

    Attributes:
        cell: the index of its cell in the notebook.
        name: as a reader would call it: "f", "Head.forward", "a lambda in f".
        how: what had to be done with it so that it takes these arguments.
        call: takes a value for each of the parameters that are given, by name.
        made: the class, where it is one.
        takes_self: whether the first parameter is a method's own object.
    """

    cell: int
    name: str
    how: str
    call: Callable[[dict], object] = field(repr=False)
    parameters: tuple[Parameter, ...]
    made: type | None = None
    takes_self: bool = False


def candidates(cells: Mapping[int, str], scope: dict) -> list[Candidate]:
    """All candidates in these cells, by their index and source; `scope` has what the notebook imports and defines."""
    found: list[Candidate] = []
    for index, source in cells.items():
        for node, around in _definitions(ast.parse(plain_python(source)), ()):
            try:
                if isinstance(node, ast.ClassDef):
                    found += _of_a_class(index, node, scope) if not around else []
                elif not (around and isinstance(around[-1], ast.ClassDef)):
                    found += _of_a_function(index, node, around, scope)
            except Exception:  # it cannot even be defined among the notebook's names
                continue
    return found


def _definitions(tree: ast.AST, around: tuple) -> Iterator[tuple]:
    """Every function, lambda and class, and what it stands inside of, as far as that has names of its own."""
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, (*_FUNCTIONS, ast.ClassDef))
        if named:
            yield node, around
        yield from _definitions(node, (*around, node) if named or isinstance(node, _COMPREHENSIONS) else around)


def _of_a_function(index: int, node, around: tuple, scope: dict) -> list[Candidate]:
    name, source = _named(node)
    shown = name if isinstance(node, ast.FunctionDef) else "a lambda"
    outside = next((each.name for each in reversed(around) if hasattr(each, "name")), "")
    shown += f" in {outside}" if outside else ""
    missing = names_missing(source, set(scope) - _locals(around))
    if len(missing) > MOST_LIFTED or (missing and isinstance(node, ast.Lambda)):
        return []  # a lambda with all its names made arguments is no function any more, but any expression
    whole = f"def lifted({', '.join(missing)}):\n{textwrap.indent(source, '    ')}\n    return {name}\n"
    made = _run(whole if missing else source, "lifted" if missing else name, scope)
    own = _parameters(node)

    def call(values: dict):
        function = made(*(values.pop(f"<{each}>") for each in missing)) if missing else made
        return function(**values)

    how = f"with {', '.join(missing)} as arguments" if missing else ""
    return [Candidate(index, shown, how, call, (*(Parameter(f"<{each}>", True) for each in missing), *own))]


def _named(node) -> tuple[str, str]:
    """A name that the function gets, and its source."""
    if isinstance(node, ast.Lambda):
        return "the_lambda", f"the_lambda = {ast.unparse(node)}"
    return node.name, ast.unparse(node)


def _locals(around: tuple) -> set[str]:
    """The names that functions and comprehensions around a definition have for themselves."""
    found = set()
    for outer in around:
        for node in ast.walk(outer):
            if isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return found


def _run(source: str, name: str, scope: dict):
    """What `source` makes of `name` among the notebook's names, which stay as they were."""
    before = scope.get(name, _run)
    exec(compile(source, "<a visible cell>", "exec"), scope)
    made = scope.pop(name)
    if before is not _run:
        scope[name] = before
    return made


def _parameters(node) -> tuple[Parameter, ...]:
    """A function's own, as its source says; those behind a `*` are as good as others, and stars are left empty."""
    arguments = node.args
    if arguments.posonlyargs:
        raise ValueError("arguments without a name")
    first = len(arguments.args) - len(arguments.defaults)
    found = [Parameter(each.arg, i < first) for i, each in enumerate(arguments.args)]
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return (*found, *(Parameter(each.arg, default is None) for each, default in pairs))


def _of_a_class(index: int, node: ast.ClassDef, scope: dict) -> list[Candidate]:
    made = _run(ast.unparse(node), node.name, scope)
    found = [Candidate(index, node.name, "", lambda values: made(**values), (), made)]
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name != "__init__":
            try:
                found += _of_a_method(index, made, method)
            except Exception:
                continue
    return found


def _of_a_method(index: int, made: type, node: ast.FunctionDef) -> list[Candidate]:
    name, kind = f"{made.__name__}.{node.name}", vars(made)[node.name]
    own = _parameters(node)
    if isinstance(kind, staticmethod | classmethod):
        function = kind.__get__(None, made)
        own = own[isinstance(kind, classmethod) :]
        return [Candidate(index, name, "out of its class", lambda values: function(**values), own)]
    function = kind.fget if isinstance(kind, property) else kind
    itself, rest = own[0], own[1:]
    found = [Candidate(index, name, "as a method", lambda v: function(v.pop(itself.name), **v), own, takes_self=True)]
    wanted = _attributes(node, itself.name, made)
    if len(wanted) <= MOST_LIFTED:
        found.append(_with_a_made_up_self(index, name, made, function, wanted, rest))
    try:
        first = [p for p in inspect.signature(made).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    except (TypeError, ValueError):
        return found
    if 0 < len(first) <= MOST_LIFTED and all(p.kind is not inspect.Parameter.VAR_POSITIONAL for p in first):
        given = [Parameter(f"<{p.name}>", p.default is inspect.Parameter.empty) for p in first]

        def call(values: dict):
            start = {key[1:-1]: values.pop(key) for key in [k for k in values if k.startswith("<")]}
            return function(made(**start), **values)

        found.append(Candidate(index, name, f"of a {made.__name__} that is made for each call", call, (*given, *rest)))
    return found


def _attributes(node: ast.FunctionDef, itself: str, made: type) -> list[str]:
    """What a method reads of its object that its class does not have."""
    read = [
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == itself
    ]
    return [each for each in dict.fromkeys(read) if not hasattr(made, each)]


def _with_a_made_up_self(index, name, made: type, function, wanted: Sequence[str], rest) -> Candidate:
    def call(values: dict):
        made_up = made.__new__(made)
        vars(made_up).update({each: values.pop(f"<{each}>") for each in wanted})
        return function(made_up, **values)

    how = f"with a made-up self that has {', '.join(wanted)}" if wanted else "out of its class"
    return Candidate(index, name, how, call, (*(Parameter(f"<{each}>", True) for each in wanted), *rest))
