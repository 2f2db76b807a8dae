"""Record what the instruments of notebook 10 say: of 20 healthy seeds, and of each patient with and without its fault.

python docs/tools/clinic_table.py                  # makes what is missing or was made by other code, in 15 minutes
python docs/tools/clinic_table.py --only Fay,Kira  # these patients alone
python docs/tools/clinic_table.py --list           # what has been made, and all alarms

The record, data/recorded/clinic.json, is written after every run: stopped, it goes on where it was.
"""

import argparse
import hashlib
import importlib
import inspect
import math
import pkgutil
import sys
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from course import clinic
from course.clinic.examination import TOOLS, examine, watched
from course.clinic.instruments import seeds_differ
from course.clinic.program import Program
from course.clinic.ward import REGISTRY
from helpers.files import data_folder, read_json, repository_root, write_json

FORMAT = 1
HEALTHY_SEEDS, SEEDS = 20, 3
ERRORS = 5.0  # standard errors from which a difference of three seeds and three is called one


def recorded() -> Path:
    return data_folder() / "recorded" / "clinic.json"


def code(*modules: str) -> str:
    """A hash of what decides the numbers."""
    found = hashlib.sha256()
    for name in ("course/clinic/instruments.py", "course/clinic/examination.py", "course/clinic/healthy.py", *modules):
        found.update((repository_root() / name).read_bytes())
    return found.hexdigest()[:12]


def code_of(patient) -> str:
    """The same for a patient: the files of its organs too."""
    organs = [*patient.ill.values(), type(patient.base), *(vars(patient.base).values())]
    files = {Path(inspect.getsourcefile(each)) for each in organs if inspect.isroutine(each) or inspect.isclass(each)}
    own = (path.relative_to(repository_root()).as_posix() for path in files if repository_root() in path.parents)
    return code(*sorted(own))


def look(observe, program, seed: int) -> dict:
    """One run, examined, as JSON can hold it."""
    program = seeded(program, seed)
    chart = watched(observe, program)
    return {
        "first": plain(chart.first),
        "last": plain(chart.last),
        "validation": plain(chart.validation),
        "readings": {
            each.instrument: {"value": plain(each.value), "alarm": each.alarm, "says": each.says}
            for each in examine(program, chart)
        },
    }


def seeded(program: Program, by: int) -> Program:
    """The same program, which begins with another model and another order of stories wherever it would use seed 0."""
    kind = type(program)

    class Seeded(kind):
        def model(self, seed: int = 0):
            return kind.model(self, seed + by)

        def data(self, seed: int = 0, held_out: bool = False):
            return kind.data(self, seed if held_out else seed + by, held_out)

    return Seeded(**{each.name: getattr(program, each.name) for each in fields(program)})


def plain(value: float | str) -> float | str:
    """A number of five digits; what is not finite as a text."""
    if isinstance(value, str):
        return value
    return float(f"{value:.5g}") if math.isfinite(value) else str(value)


def wanted(only: list[str]) -> list[tuple[str, str, object, object, int]]:
    """(name, hash of its code, observe, program, seed) of each run that the record should have."""
    runs = []
    if not only:
        runs += [(f"healthy {seed}", code(), Program.run, Program(), seed) for seed in range(HEALTHY_SEEDS)]
    for name, patient in REGISTRY.items():
        if only and name not in only:
            continue
        for seed in range(SEEDS):
            runs.append((f"{name} {seed}", code_of(patient), patient.observe, patient.program(), seed))
            runs.append((f"{name} without the fault {seed}", code_of(patient), patient.observe, patient.base, seed))
    return runs


def differences(entries: dict) -> dict:
    """Of each patient how far its validation loss lies above that without the fault, and the standard error."""
    found = {}
    for name in REGISTRY:
        ill, well = (
            [entries.get(f"{name}{which} {seed}", {}).get("validation") for seed in range(SEEDS)]
            for which in ("", " without the fault")
        )
        if all(isinstance(value, float) for value in [*ill, *well]):
            difference, error = seeds_differ(well, ill)
            alarm = abs(difference) > ERRORS * error
            found[name] = {"difference": plain(difference), "error": plain(error), "alarm": alarm}
    return found


def show(entries: dict) -> None:
    for name, entry in entries.items():
        alarms = [tool for tool in TOOLS if entry.get("readings", {}).get(tool, {}).get("alarm")]
        print(f"{name:32} {entry.get('validation', '')!s:>10}  {', '.join(alarms)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of patients, with commas between them")
    parser.add_argument("--list", action="store_true", help="show the record")
    parser.add_argument("--out", type=Path, default=recorded(), help="the file (default data/recorded/clinic.json)")
    arguments = parser.parse_args()
    for module in pkgutil.iter_modules(clinic.__path__):  # each family brings its patients
        importlib.import_module(f"course.clinic.{module.name}")
    entries = read_json(arguments.out)["entries"] if arguments.out.exists() else {}
    if arguments.list:
        return show(entries)
    for name, made_by, observe, program, seed in wanted([name for name in arguments.only.split(",") if name]):
        if entries.get(name, {}).get("code") != made_by:
            entries[name] = {"code": made_by} | look(observe, program, seed)
            show({name: entries[name]})
            content = {"format": FORMAT, "entries": entries, "seeds_differ": differences(entries)}
            write_json(arguments.out, content)


if __name__ == "__main__":
    main()
