"""Your GPT: the answers that passed their checks, put together into one file, `runs/my_gpt.py`.

>>> from course import mine                                        # doctest: +SKIP
>>> my_gpt = mine.load()                                           # doctest: +SKIP
runs/my_gpt.py: 9 of 14 parts are yours ...
>>> model = my_gpt.GPT(config)                                     # doctest: +SKIP

A part that is missing, or does not fit the others, is the course's own, and imported: the file gives no answer away.
What is kept is run here, and in notebooks that load it, and nowhere else: `python -m course grade` knows nothing of it.
"""

import ast
import importlib.util
import inspect
import sys
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import torch

from course.checks import kept
from course.checks.cells import course_part
from course.checks.exercise import Exercise
from course.checks.registry import all_exercises
from course.checks.source import names_missing
from helpers import model as reference
from helpers import sampling
from helpers.files import runs_folder, write_atomically

FILE = "my_gpt.py"
YOURS, COURSE = "yours", "the course's"
TOLERANCE = 1e-4  # how far a logit of one's own GPT may be from the course's: another order of summing is no fault

# What a part may use without bringing it along.
PREAMBLE = """\
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course.mine import among_mine
from helpers.errors import CourseError
from helpers.model import IGNORED, GPTConfig, check_ids, check_targets
"""
_KNOWN = {each.asname or each.name for line in ast.parse(PREAMBLE).body for each in line.names}
_KNOWN |= {"FixedPositions"}  # which stands with `sinusoids`


@dataclass(frozen=True)
class Part:
    """A part of the model: which exercise asks for it, and what stands in the file."""

    exercise: Exercise
    source: str
    whose: str  # YOURS or COURSE
    why: str = ""  # why it is the course's, though an answer is kept

    @property
    def name(self) -> str:
        return self.exercise.part


def parts() -> list[Part]:
    """The parts of the model in the order of the file: the learner's where they are kept and fit, else the course's."""
    found = [_part(one) for one in all_exercises().values() if one.of_the_model]
    known = _KNOWN | {part.name for part in found}
    found = [_without(part, why) if (why := _not_whole(part, known)) else part for part in found]
    return _that_agree(found)


def _not_whole(part: Part, known: set[str]) -> str:
    """Why a kept answer cannot stand in a file, or ""."""
    try:
        names = names_missing(part.source, known) if part.whose == YOURS else []
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"what is kept is not valid Python ({getattr(error, 'msg', error)})"
    return f"it uses {', '.join(names)}, which stands in another cell" if names else ""


def _part(one: Exercise) -> Part:
    source = kept.kept(one.number, one.part)
    return Part(one, course_part(one.number), COURSE) if source is None else Part(one, source, YOURS)


def _without(part: Part, why: str) -> Part:
    return replace(part, source=course_part(part.exercise.number), whose=COURSE, why=why)


def _that_agree(found: list[Part]) -> list[Part]:
    """Of the learner's parts those with which the model is the course's: the first that is not is taken out."""
    own = [i for i, part in enumerate(found) if part.whose == YOURS]
    fault = _fault(found) if own else ""
    while fault:
        without = {i: [_without(p, fault) if i == j else p for j, p in enumerate(found)] for i in own}
        for i in own:
            if not _fault(without[i]):
                return without[i]
        found, own = without[own[0]], own[1:]
        fault = _fault(found) if own else ""
    return found


def _fault(found: list[Part]) -> str:
    """What is wrong with a model that is made of these parts, or ""."""
    try:
        module = ModuleType("my_gpt_tried")
        exec(compile(text_of(found), FILE, "exec"), vars(module))
        return _difference(module)
    except Exception as error:
        return f"{type(error).__name__}: {error}".split("\n")[0][:200]


def _difference(module: ModuleType) -> str:
    """In what a model of these parts is not the course's, or ""."""
    config = reference.GPTConfig(vocab_size=61, context_length=12, n_layer=2, n_head=2, d_model=16)
    for options in ({}, {"norm": "post", "activation": "relu", "positions": "sinusoidal", "tied_head": False}):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            mine, course = module.GPT(replace(config, **options)), reference.GPT(replace(config, **options))
            with torch.no_grad():  # as after training: two LayerNorms that were just made are alike
                for parameter in mine.parameters():
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
            ids, targets = torch.randint(61, (2, 12)), torch.randint(61, (2, 12))
        names, wanted = list(mine.state_dict()), list(course.state_dict())
        if names != wanted:
            odd = next((name for name in [*wanted, *names] if (name in names) != (name in wanted)), "their order")
            return f"its parameters are not those of the course's model ({odd})"
        course.load_state_dict(mine.state_dict())
        (got, loss), (expected, _) = mine(ids, targets), course(ids, targets)
        if not torch.allclose(got, expected, atol=TOLERANCE):
            return f"a logit of the whole model is {(got - expected).abs().max():.2g} away from the course's"
        loss.backward()
        if missing := [name for name, parameter in mine.named_parameters() if parameter.grad is None]:
            return f"no gradient reaches {missing[0]}"
    return ""


def text_of(found: list[Part]) -> str:
    """The file that these parts make: the learner's as they wrote them, the course's without their text."""
    own, others = ([part for part in found if part.whose == whose] for whose in (YOURS, COURSE))
    head = [f'"""My GPT: {len(own)} of its {len(found)} parts are mine. Notebooks 07, 09 and 12 use it.', ""]
    for title, some in (("Mine", own), ("The course's", others)):
        if some:
            head += _wrapped(f"{title}: " + ", ".join(f"{part.name} ({part.exercise.number})" for part in some) + ".")
    head += [
        "",
        "The course writes this file anew from the answers. To change a part, change its notebook.",
        '"""',
    ]
    body, using_mine = [PREAMBLE], _that_use_mine(found)
    for part in found:
        where = f"exercise {part.exercise.number}" + (f"; not mine yet: {part.why}" if part.why else "")
        text = _text_of(part, part.name in using_mine)
        body.append(f"\n# {'-' * 20} {part.name}: {part.whose} ({where})\n\n{text}\n")
    return "\n".join(["\n".join(head), "", *body])


def _that_use_mine(found: list[Part]) -> set[str]:
    """The course's parts that use one of the learner's, themselves or by another part."""
    names = {part.name for part in found}
    uses = {part.name: set(names_missing(part.source, set())) & names for part in found}
    mine = {part.name for part in found if part.whose == YOURS}
    reached, before = set(mine), set()
    while reached != before:
        before, reached = reached, reached | {name for name, used in uses.items() if used & reached}
    return reached - mine


def _text_of(part: Part, uses_mine: bool) -> str:
    if part.whose == YOURS:
        text = part.source.strip("\n")
        if part.name == "sinusoids":  # what lets them stand where learned vectors do: notebook 06 shows it
            text += "\n\n\n" + inspect.getsource(reference.FixedPositions).strip("\n")
        return text
    module = next((each for each in (reference, sampling) if hasattr(each, part.name)), None)
    if module is not None and not uses_mine:
        also = "FixedPositions, " if part.name == "sinusoids" else ""
        return f"from {module.__name__} import {also}{part.name}"
    return f'{part.name} = among_mine("{part.exercise.number}", globals())'


def among_mine(number: str, scope: dict):
    """The course's own part for an exercise, made so that it uses the parts of `scope`, a module's names."""
    source, name = course_part(number), all_exercises()[number].part
    exec(compile(source, f"<the course's {name}, exercise {number}>", "exec"), scope)
    return scope[name]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 110, subsequent_indent="    ")


def path() -> Path:
    return runs_folder() / FILE


def write(found: list[Part] | None = None) -> Path:
    """Write `runs/my_gpt.py`, if it is not what it should be already."""
    text = text_of(parts() if found is None else found)
    if not path().is_file() or path().read_bytes() != text.encode("utf-8"):
        write_atomically(path(), text)
    return path()


def load(quiet: bool = False) -> ModuleType:
    """`runs/my_gpt.py`, put together anew, as a module: `load().GPT` is the model. Says which parts are whose."""
    found = parts()
    module = _module(found)
    if not quiet:
        print(summary(found))
        for part in found:
            if part.why:
                print(
                    f"  {part.name} (exercise {part.exercise.number}) is the course's, though yours is kept: {part.why}"
                )
    return module


def _module(found: list[Part]) -> ModuleType:
    spec = importlib.util.spec_from_file_location("my_gpt", write(found))
    module = importlib.util.module_from_spec(spec)
    sys.modules["my_gpt"] = module
    spec.loader.exec_module(module)
    return module


def part(name: str):
    """One part of it, by name: the learner's, or the course's; says which."""
    found = parts()
    asked = next(each for each in found if each.name == name)
    print(f"{name}: {asked.whose}, exercise {asked.exercise.number}")
    return getattr(_module(found), name)


def summary(found: list[Part] | None = None) -> str:
    """ "runs/my_gpt.py: 9 of 14 parts are yours." """
    found = parts() if found is None else found
    own = sum(part.whose == YOURS for part in found)
    return f"runs/{FILE}: {own} of {len(found)} parts are yours."


def count() -> tuple[int, int]:
    """How many parts of the model are the learner's, and how many there are: those that `summary` and the file say."""
    of_model = [one for one in all_exercises().values() if one.of_the_model]
    if all(kept.kept(one.number, one.part) is None for one in of_model):  # which takes no time
        return 0, len(of_model)
    return sum(part.whose == YOURS for part in parts()), len(of_model)
