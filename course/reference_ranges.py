"""What a healthy run shows: reference ranges of loss, speed and memory on each profile, and likely causes outside them.

`data/reference_ranges.json` holds, for a recipe and a profile, the ranges that measured runs stayed in, or an estimate
with its arithmetic until somebody has measured. `record` makes of a run the file from which ranges are made.
"""

import platform
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import course
from course.saved import recipe_of
from helpers.checkpoint import load_model
from helpers.errors import CourseError
from helpers.files import data_folder, parse_json, read_json, regular, write_json
from helpers.model_files import CONFIG
from helpers.run_log import LOG, read_log

FORMAT = 1
FILE = "reference_ranges.json"
POINTS = 12  # losses that a record keeps of a run, evenly spread over its steps
AGAIN = "copy the run's folder again, or train it again"
RESTORE = "restore it, or delete it and make it again"
# What a record is made of, and whether each row of a log has it.
MEASURED = {"step": True, "tokens": True, "seconds": True, "tokens_per_second": True,
            "loss": False, "val_loss": False, "memory_gb": False}  # fmt: skip
LARGEST = 1e15  # no run measures more of anything
LOSS_MARGIN, SPEED_MARGIN, MEMORY_MARGIN = 0.03, 0.35, 0.25  # around what was measured: other seeds, other machines

CAUSES = {
    "loss high at first": (
        "the loss before training should be near ln(vocabulary): look at the initialization and at the shift of the "
        "targets"
    ),
    "loss high": (
        "the learning rate (too low, or so high that the norm of the gradient jumps), another batch size or "
        "accumulation, a warm-up that is too long, other stories or another tokenizer than the recipe's"
    ),
    "loss low": (
        "a loss below what is possible means leakage: targets that are not shifted, a missing causal mask, validation "
        "stories among the training stories"
    ),
    "slow": (
        "another program uses the CPU or the GPU, the run is on the CPU, half precision or fused attention is off, or "
        "the laptop is saving power"
    ),
    "fast": "shorter sequences, a smaller model, or a better machine than the measured one: compare the settings",
    "memory high": "a larger batch, float32 instead of half precision, all logits kept, attention that is not fused",
    "memory low": "a smaller model or batch than the recipe's",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is outside its reference range: what, where, how much, and which causes are likely."""

    what: str
    value: float
    low: float
    high: float
    causes: str

    def __str__(self) -> str:
        return f"{self.what} is {self.value:,.4g}, expected {self.low:,.4g} to {self.high:,.4g}; likely: {self.causes}"


@dataclass(frozen=True)
class Verdict:
    """Whether a run is as expected. `findings` is empty where it is; `estimate` says that nobody has measured yet."""

    findings: tuple[Finding, ...]
    compared: int
    estimate: bool
    about: str

    @property
    def as_expected(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        kind = "an estimate, not a measurement" if self.estimate else "measured"
        head = f"as expected: {self.compared} values are within their reference ranges"
        if not self.as_expected:
            head = f"not as expected: outside the reference range are {len(self.findings)} of {self.compared} values"
        return "\n".join([f"{head} ({kind}: {self.about})", *(f"- {finding}" for finding in self.findings)])


def record(folder: str | Path) -> dict:
    """A run of a recipe as a small dictionary for JSON: what it was, where it ran, and what it showed.

    Raises:
        CourseError: there is no run in the folder, it was not started from a recipe, or one of its files is damaged.
    """
    folder = Path(folder)
    config = read_json(folder / CONFIG, nan=True)
    try:
        recipe, parameters = config["training"]["recipe"], config["parameters"]
        whole = all(isinstance(recipe[key], str) for key in ("name", "stories", "tokenizer"))
        made = recipe_of(recipe)
    except (KeyError, TypeError, ValueError, AttributeError):
        whole = False
    if not whole:
        raise CourseError(f"{folder} holds no run of a recipe: its {CONFIG} does not name one as `train` writes it")
    model, tokenizer = load_model(folder)  # which refuses weights that were damaged, or are another model's
    shape = replace(made.config(tokenizer.vocab_size), vocab_size=tokenizer.vocab_size)
    if model.config != shape or model.parameter_count() != parameters:
        raise CourseError(f"{folder} holds another model than its recipe makes: {AGAIN}")
    rows = _rows(folder)
    # Whose stories they are, and where they lie, is nobody's business.
    known = ("bundled", "tinystories", "gpt2")
    recipe = recipe | {key: recipe[key] if recipe[key] in known else "own" for key in ("stories", "tokenizer")}
    trained = [row for row in rows if row.get("loss") is not None]
    kept = sorted({round(i * (len(trained) - 1) / (POINTS - 1)) for i in range(POINTS)}) if trained else []
    validated = [row for row in rows if row.get("val_loss") is not None]
    speeds = [row["tokens_per_second"] for row in rows[len(rows) // 10 :]]  # the first ones warm up
    return {
        "format": FORMAT,
        "recipe": recipe,
        "parameters": parameters,
        "profile": course.profile(),
        "machine": machine(),
        "steps": rows[-1]["step"],
        "tokens": rows[-1]["tokens"],
        "seconds": rows[-1]["seconds"],
        "loss": [[trained[i]["step"], trained[i]["loss"]] for i in kept],
        "val_loss": [[row["step"], row["val_loss"]] for row in validated],
        "tokens_per_second": statistics.median(speeds),
        "memory_gb": max(row.get("memory_gb") or 0 for row in rows) or None,
    }


def _rows(folder: Path) -> list[dict]:
    """Every row of a run's log; a CourseError names the line that no run has written.

    `read_log` leaves such a line out, so that a run can be resumed: what is sent to others must be whole.
    """
    path, rows = regular(folder / LOG), []
    if not path.exists():
        raise CourseError(f"{folder} has no {LOG}: {AGAIN}")
    for number, line in enumerate(path.read_bytes().removesuffix(b"\n").split(b"\n"), 1):
        where = f"line {number} of {path}"
        row = parse_json(line, where, nan=True, instead=AGAIN)
        if not isinstance(row, dict):
            raise CourseError(f"{where} is no row of a log: {AGAIN}")
        for name, needed in MEASURED.items():
            value = row.get(name)
            if needed or value is not None:
                if not (_is_number(value) and 0 <= value <= LARGEST):  # a NaN is neither
                    raise CourseError(f"{where}: {name} is {str(value):.40}, which no run measures: {AGAIN}")
        if type(row["step"]) is not int or row["step"] <= (rows[-1]["step"] if rows else 0):
            raise CourseError(f"{where}: step {row['step']} does not come after the one before: {AGAIN}")
        rows.append(row)
    return rows


def machine() -> dict[str, str]:
    """What is worth knowing of this machine, and nothing that tells whose it is."""
    import torch

    known = {"system": platform.system(), "cpu": platform.machine(), "threads": str(torch.get_num_threads())}
    if torch.cuda.is_available():
        known |= {"gpu": torch.cuda.get_device_name(0), "cuda": str(torch.version.cuda)}
    return known | {"torch": torch.__version__, "python": platform.python_version()}


def ranges_of(records: list[dict]) -> dict:
    """The reference ranges of some runs of one recipe on one profile: what all showed, and a margin around it.

    Raises:
        CourseError: none, or runs of different recipes, lengths or profiles.
    """
    if not records:
        raise CourseError("reference ranges need at least one record")
    first = records[0]
    for other in records[1:]:
        for key in ("profile", "steps", "parameters"):
            if other[key] != first[key]:
                raise CourseError(f"the records differ in {key}: {first[key]!r} and {other[key]!r}")
        if other["recipe"]["name"] != first["recipe"]["name"]:
            raise CourseError("the records are of different recipes")

    def spread(values: list[float], margin: float) -> list[float]:
        return [float(f"{min(values) * (1 - margin):.5g}"), float(f"{max(values) * (1 + margin):.5g}")]

    def along(key: str) -> list:
        steps = [step for step, _ in first[key]]
        found = [[dict(map(tuple, each[key])).get(step) for each in records] for step in steps]
        return [
            [step, *spread(values, LOSS_MARGIN)]
            for step, values in zip(steps, found, strict=True)
            if all(value is not None for value in values)
        ]

    ranges = {
        "estimate": False,
        "about": f"{len(records)} run{'s' if len(records) > 1 else ''}, "
        f"{first['machine'].get('gpu', first['machine']['cpu'])}, torch {first['machine']['torch']}",
        "parameters": first["parameters"],
        "loss": along("loss"),
        "val_loss": along("val_loss"),
        "tokens_per_second": spread([each["tokens_per_second"] for each in records], SPEED_MARGIN),
    }
    memory = [each["memory_gb"] for each in records if each["memory_gb"]]
    return ranges | ({"memory_gb": spread(memory, MEMORY_MARGIN)} if memory else {})


def find_ranges(recipe: str, profile: str, path: str | Path | None = None) -> dict | None:
    """The ranges of a recipe on a profile, if there are any in `data/reference_ranges.json` (or in another file).

    Raises:
        CourseError: the file is damaged, or holds something else in their place.
    """
    path = Path(path) if path is not None else data_folder() / FILE
    found = _ranges_in(path)["ranges"].get(recipe, {}).get(profile)
    if found is not None and not _are_ranges(found):
        raise CourseError(f"{path} holds no ranges of {recipe} on profile {profile}: {RESTORE}")
    return found


def _are_ranges(found) -> bool:
    """Whether this is what `ranges_of` makes."""
    if not isinstance(found, dict) or not isinstance(found.get("about"), str):
        return False
    along = [row for key in ("loss", "val_loss") for row in _list(found.get(key, []))]
    whole = [found[key] for key in ("tokens_per_second", "memory_gb") if key in found]
    pairs = [_list(row)[1:] for row in along] + whole
    steps = [row[0] for row in along if isinstance(row, list) and row] + [found.get("parameters", 0)]
    return (
        isinstance(found.get("estimate"), bool)
        and all(type(step) is int for step in steps)
        and all(isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)) for pair in pairs)
    )


def _list(value) -> list:
    """The list itself; of anything else one that is no row of ranges."""
    return value if isinstance(value, list) else [None]


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ranges_in(path: Path) -> dict:
    """What a file of ranges holds; an empty one where there is none."""
    content = read_json(path) if path.exists() else {"format": FORMAT, "ranges": {}}
    its = content.get("format") if isinstance(content, dict) else None
    if its != FORMAT:
        raise CourseError(f"{path} has format {its}, this version of the course reads {FORMAT}")
    ranges = content.get("ranges")
    if not isinstance(ranges, dict) or not all(isinstance(each, dict) for each in ranges.values()):
        raise CourseError(f"{path} holds no ranges: {RESTORE}")
    return content


def add_ranges(records: list[dict], path: str | Path | None = None) -> Path:
    """Put the ranges of some runs into `data/reference_ranges.json` (or another file), instead of what it had."""
    path = Path(path) if path is not None else data_folder() / FILE
    content = _ranges_in(path)
    found = ranges_of(records)
    content["ranges"].setdefault(records[0]["recipe"]["name"], {})[records[0]["profile"]] = found
    return write_json(path, content)


def judge(rows: list[dict], ranges: dict) -> Verdict:
    """Compare a run's log with its reference ranges, at the steps that both have: a run can be judged before it ends.

    Args:
        rows: of `helpers.run_log.read_log`.
        ranges: of `find_ranges` or `ranges_of`.
    """
    findings, compared = [], 0

    def look(what: str, value: float | None, low: float, high: float, below: str, above: str) -> None:
        nonlocal compared
        if value is None:
            return
        compared += 1
        if not low <= value <= high:  # nan as well
            findings.append(Finding(what, value, low, high, CAUSES[below if value < low else above]))

    by_step = {row["step"]: row for row in rows}
    for key, name in (("loss", "the training loss"), ("val_loss", "the validation loss")):
        for i, (step, low, high) in enumerate(ranges.get(key, ())):
            above = "loss high at first" if key == "loss" and i == 0 else "loss high"
            look(f"{name} at step {step:,}", by_step.get(step, {}).get(key), low, high, "loss low", above)
    speeds = [row["tokens_per_second"] for row in rows if row.get("tokens_per_second")]
    if speeds and "tokens_per_second" in ranges:
        look("tokens a second", statistics.median(speeds), *ranges["tokens_per_second"], "slow", "fast")
    memory = max((row.get("memory_gb") or 0 for row in rows), default=0)
    if memory and "memory_gb" in ranges:
        look("memory in GB", memory, *ranges["memory_gb"], "memory low", "memory high")
    return Verdict(tuple(findings), compared, ranges["estimate"], ranges["about"])


def judge_run(folder: str | Path, run: dict | None = None) -> Verdict | None:
    """The verdict on a run in a folder; None where there are no ranges for its recipe on this profile.

    Args:
        run: its record, if there is one already.

    Raises:
        CourseError: there is no run of a recipe in the folder, or it is damaged.
    """
    run = run or record(folder)
    ranges = find_ranges(run["recipe"]["name"], run["profile"])
    if ranges is None or ranges.get("parameters", run["parameters"]) != run["parameters"]:
        return None
    return judge(read_log(folder), ranges)
