"""The exercises of notebook 08 about a run on a borrowed machine: what lies on the disk, and what to go on from.

`nb08` hands them to the notebook.
"""

from pathlib import Path

from course.checks.compare import as_number, shown
from course.checks.exercise import exercise


def _most_by_moments(writes: list[tuple[str, int]], keep: int) -> int:
    """The most bytes at any moment, from when each file comes and when it goes.

    A file goes right after the write that pushes it out: the next of its kind, or of states the `keep`-th next.
    """
    spans = []
    for at, (kind, size) in enumerate(writes):
        later = [i for i in range(at + 1, len(writes)) if writes[i][0] == kind]
        stay = keep if kind == "state" else 1
        spans.append((at, later[stay - 1] if len(later) >= stay else len(writes), size))
    return max((sum(s for first, last, s in spans if first <= at <= last) for at in range(len(writes))), default=0)


def _number(check, got, when: str):
    number = as_number(got)
    check.that(
        number is not None, slug="a-number", when=when,
        problem=f"the answer is {shown(got)}, and not a number of bytes",
        hint="Return one number: the largest sum there was.",
    )  # fmt: skip
    return number


@exercise("8.9", title="What lies on the disk", minutes=12, difficulty=2)
def disk_bytes(answer, check):
    states = [("state", 100)] * 4
    got = _number(check, answer(states, 2), "four states of 100 bytes, of which two stay")
    told = "four states of 100 bytes, of which two stay"
    for wrong, slug, problem, hint in (
        (200, "the-end", "200 is what lies there when a write is over",
         "The third state is written while the older two still lie there. Look before anything is removed."),
        (400, "nothing-goes", "400 is all that was ever written", "Of the states only the newest `keep` stay."),
        (100, "one-state", "100 is one state alone", "Two states stay, and a third is being written."),
        (500, "one-too-many", "500 is one more than there ever was", "Four were written in all: count no write twice."),
    ):  # fmt: skip
        check.that(got != wrong, slug=slug, problem=problem, hint=hint, when=told)
    check.equal(got, 300, slug="states", when=told, hint="Two that stay, and the one that is being written.")

    when = "a model of 10 bytes, written three times"
    got = _number(check, answer([("model", 10)] * 3, 2), when)
    check.that(got != 10, slug="in-place", problem="the new model is written over the old one", when=when,
               hint="A file is first written whole beside the old one: for a moment both are there.")  # fmt: skip
    check.that(got != 30, slug="kinds", problem="three models lie there", when=when,
               hint="`keep` is for states. Of model and best there is one each, once a write is over.")  # fmt: skip
    check.equal(got, 20, slug="models", when=when, hint="The old one and the new one, until the new one is whole.")

    when = "a model of 10 bytes, a best model of 7, a model of 9"
    got = _number(check, answer([("model", 10), ("best", 7), ("model", 9)], 2), when)
    check.that(got != 17, slug="kinds-apart", problem="the best model has replaced the model", when=when,
               hint="A file replaces one of its own kind, and no other.")  # fmt: skip
    check.equal(got, 26, slug="kinds-together", when=when,
                hint="They lie side by side: what counts is the sum of all files of all kinds.")  # fmt: skip

    # The moment with the most is not the last one, and not that of the largest write.
    writes = [("state", 50), ("state", 50), ("best", 40), ("best", 40), ("state", 10), ("model", 5)]
    when = f"disk_bytes({writes}, 1)"
    got = _number(check, answer(writes, 1), when)
    check.that(got != _most_by_moments(writes, 2), slug="keep-ignored", when=when, hint="`keep` is an argument.",
               problem="one state more than keep=1 stays")  # fmt: skip
    check.that(got not in (105, 95, 55), slug="last-moment", when=when, problem="that is what there is at the end",
               hint="Sizes may fall as well as rise: remember the largest sum of all moments.")  # fmt: skip
    check.equal(got, 130, slug="largest-moment", when=when, hint="Note the sum at each write, and return the largest.")

    when = "states of 8, 2, 1 and 5 bytes, of which two stay"
    got = _number(check, answer([("state", 8), ("state", 2), ("state", 1), ("state", 5)], 2), when)
    check.equal(got, 11, slug="oldest-goes", when=when, hint="It is the oldest that goes, whatever its size.")
    when = "a file of 30 bytes, then one of 4 of the same kind, then another kind"
    got = _number(check, answer([("model", 30), ("model", 4), ("best", 9)], 3), when)
    check.equal(got, 34, slug="sizes-differ", when=when, hint="Each file has its own size: what goes takes its own.")
    check.equal(answer([("state", 12)], 2), 12, slug="first", hint="With the first file nothing is there yet.")
    check.equal(answer([], 2), 0, slug="empty", hint="A run that has written nothing takes nothing.")
    for _ in range(40):
        kinds = [check.random.choice(("state", "model", "best")) for _ in range(check.random.randint(1, 12))]
        writes = [(kind, check.random.randint(1, 30)) for kind in kinds]
        keep = check.random.randint(1, 3)
        check.equal(answer(writes, keep), _most_by_moments(writes, keep), slug="random",
                    hint="Put the new file to those of its kind, look at the sum of all, then remove.")  # fmt: skip
    # What the course's run does, in bytes of a parameter.
    save = [("best", 4), ("state", 12), ("model", 4)]
    check.equal(answer([("state", 12), ("model", 4), *save * 5], 2), 44, slug="a-run",
                hint="Two states of 12, a third of 12, a model and a best model of 4 each.")  # fmt: skip


@exercise("8.10", title="What to go on from", minutes=10, difficulty=2, may_return_none=True)
def newest_whole(answer, check):
    asked: list[Path] = []

    def choose(known: dict[str, int | None]) -> str | None:
        """The answer to files with these steps, None where one is not whole; its path as text."""
        paths = [Path(name) for name in known]
        asked.clear()

        def step_of(path) -> int | None:
            asked.append(Path(path))
            return known[Path(path).as_posix()]

        got = answer(paths, step_of)
        check.that(
            got is None or got in paths, slug="a-path", problem=f"the answer is {shown(got)}, and not one of the paths",
            hint="Return the path itself, not its step.", when="some files",
        )  # fmt: skip
        return None if got is None else got.as_posix()

    a, b = "here/step-00000400.safetensors", "here/step-00000800.safetensors"
    got = choose({a: 400, b: 800})
    when = "two whole files, steps 400 and 800"
    check.that(got is not None, slug="nothing-found", problem="nothing was found", when=when,
               hint="A file is whole where `step_of` gives a number.")  # fmt: skip
    check.equal(got, b, slug="newest", when=when, hint="The newest is the one with the highest step.")
    check.equal(choose({b: 800, a: 400}), b, slug="order", when="the newer file stands first in the list",
                hint="The order of the list says nothing of how new a file is: compare steps.")  # fmt: skip

    got = choose({a: 400, b: None})
    when = "step 400 is whole, the newer one is not"
    check.that(got != b, slug="not-whole", problem="the file that is not whole was chosen", when=when,
               hint="`step_of` gives None for it: from such a file nothing can go on.")  # fmt: skip
    check.that(got is not None, slug="gave-up", problem="nothing was found", when=when,
               hint="Where the newest is damaged, look on: an older one will do.")  # fmt: skip
    check.equal(got, a, slug="falls-back", when=when, hint="Of the whole ones, the newest.")
    check.equal(choose({b: None, a: 400}), a, slug="gave-up", when="the first file is not whole, the second is",
                hint="One damaged file says nothing of the others: look at all of them.")  # fmt: skip
    check.equal(choose({a: None, b: None}), None, slug="none-whole", when="no file is whole",
                hint="Return None: the run starts anew.")  # fmt: skip
    check.equal(choose({}), None, slug="no-files", when="there is no file at all", hint="Return None then, too.")

    away = ("away/state-a.safetensors", "away/state-b.safetensors")
    got = choose({a: 400, away[0]: 1200, away[1]: 800})
    check.equal(got, away[0], slug="by-name", when="states a and b, with steps 1200 and 800",
                hint="A name may say nothing: a and b are overwritten in turn. Ask `step_of`.")  # fmt: skip
    got = choose({"here/step-900.safetensors": 900, "here/step-1000.safetensors": 1000})
    check.equal(got, "here/step-1000.safetensors", slug="by-name", when="steps 900 and 1000",
                hint="As text \"900\" comes after \"1000\". Compare the steps as numbers.")  # fmt: skip
    got = choose({a: 400, away[0]: 1200})
    check.equal(got, away[0], slug="here-first", when="step 400 is here, step 1200 away",
                hint="A newer state is worth fetching: nearness decides only between equally new ones.")  # fmt: skip

    check.equal(choose({a: 0, b: None}), a, slug="step-zero", when="the only whole state is of step 0",
                hint="Step 0 is a state as good as any: do not ask `if step`.")  # fmt: skip
    near = "here/step-00000500.safetensors"
    check.equal(choose({near: 500, away[0]: 500, away[1]: 100}), near, slug="tie",
                when="here and away have the same step",
                hint="Of two equally new ones the first in the list: it is here, and need not be fetched.")  # fmt: skip
    check.equal(choose({away[0]: 500, near: 500}), away[0], slug="tie", when="two of the same step",
                hint="Of two equally new ones the first in the list.")  # fmt: skip
    for _ in range(30):
        known = {}
        for i in range(check.random.randint(1, 6)):
            known[f"{check.random.choice('zya')}{i}/s.safetensors"] = check.random.choice((None, 0, 1, 2, 3, 4))
        expected = max((name for name in known if known[name] is not None), key=known.get, default=None)
        check.equal(choose(known), expected, slug="random", when=f"files of steps {list(known.values())}",
                    hint="Whole, of the highest step, and of several such the first.")  # fmt: skip
        check.that(len(asked) == len(set(asked)), slug="read-twice", when=f"{len(known)} files",
                   problem=f"`step_of` was called {len(asked)} times",
                   hint="Drive is slow: ask for each file once, and keep what you were told.")  # fmt: skip
