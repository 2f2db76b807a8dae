"""Exercises of notebook 13 on several processes: the mean gradient, shares of rows, what each GPU holds."""

import torch
from torch import nn

from course.checks.compare import shown
from course.checks.exercise import exercise
from course.checks.imitated_processes import Hung, Imitation, NotATensor
from course.checks.scaling_parts import near

# ---------------------------------------------------------------------- 13.9


class Small(nn.Module):
    """Parameters of different shapes, so that no two can be taken for one another."""

    def __init__(self):
        super().__init__()
        self.first, self.middle = nn.Linear(3, 2), nn.Linear(2, 4, bias=False)
        self.norm, self.last = nn.LayerNorm(6), nn.Linear(4, 5, bias=False)


NAMES = [name for name, _ in Small().named_parameters()]


@exercise("13.9", title="The mean gradient", minutes=12, difficulty=2, may_return_none=True)
def average_gradients(answer, check):
    models, given = _processes(2)
    _run(answer, check, models, "two processes")
    _mistakes(check, models, given)
    _all_have_the_mean(check, models, given, "mean", "two processes", "The sum over the processes, divided by them.")
    models, given = _processes(3)
    _run(answer, check, models, "three processes")
    two = {name: sum(each[name] for each in given) / 2 for name in NAMES}
    check.that(not _have(models[0], two), slug="two-processes", when="three processes",
               problem="the sums were divided by 2",
               hint="dist.get_world_size() says how many there are.")  # fmt: skip
    _all_have_the_mean(check, models, given, "mean", "three processes", "Divide by the number of processes.")
    _with_frozen(answer, check)
    _without_somewhere(answer, check)
    for _ in range(6):
        count = check.random.randint(2, 4)
        without = {name: {rank for rank in range(count) if check.random.random() < 0.4} for name in NAMES}
        models, given = _processes(count, without)
        when = f"{count} processes, gradients missing here and there"
        _run(answer, check, models, when)
        _all_have_the_mean(check, models, given, "random", when, "No gradient counts as zero, unless none has any.")


def _processes(count: int, without: dict | None = None, frozen=()) -> tuple[list[Small], list[dict]]:
    """A model for each process, alike, and its gradients; `without` says of a name which processes have none."""
    models, given = [Small() for _ in range(count)], []
    for rank, model in enumerate(models):
        model.load_state_dict(models[0].state_dict())
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in frozen)
            if name not in frozen and rank not in (without or {}).get(name, ()):
                parameter.grad = torch.randn_like(parameter)
        given.append({n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()})
    return models, given


def _run(answer, check, models: list[Small], when: str) -> None:
    before = [value.clone() for value in models[0].state_dict().values()]
    world = Imitation(len(models), getattr(answer, "seconds", 20.0))
    try:
        world.run(answer, models)
    except Hung as error:
        check.fail(
            f"{when}: {error}. A real run would hang here", slug="would-hang",
            hint="Every process must make the same calls in the same order, whatever gradients it has itself.",
        )  # fmt: skip
    except NotATensor as error:
        check.fail(f"{when}: {error}", slug="no-gradient-summed",
                   hint="A parameter that is frozen, or was not used, has the gradient None.")  # fmt: skip
    check.that(sum(world.asked), slug="nothing-shared", when=when, problem="no process told the others anything",
               hint="dist.all_reduce adds up a tensor over all processes, in place.")  # fmt: skip
    check.that(not world.not_awaited, slug="not-awaited", when=when, problem="a sum was begun and not waited for",
               hint="With async_op=True the sum is not there before the handle's wait().")  # fmt: skip
    for model in models:
        check.that(all(map(torch.equal, before, model.state_dict().values())), slug="weights-changed",
                   when=when, problem="the weights are no longer what they were",
                   hint="Average the gradients. The weights are alike already, and stay so.")  # fmt: skip


def _have(model: Small, gradients: dict) -> bool:
    return all(
        p.grad is not None and p.grad.shape == gradients[n].shape and torch.allclose(p.grad, gradients[n], atol=1e-5)
        for n, p in model.named_parameters()
    )


def _mistakes(check, models: list[Small], given: list[dict]) -> None:
    """Two processes that have all gradients, and have done it wrong."""
    own, other = given
    total = {name: own[name] + other[name] for name in NAMES}
    mistakes = (
        ("sum", total, "the gradients are sums", "A mean is the sum over the number of processes."),
        ("divided-only", {n: own[n] / 2 for n in NAMES}, "each process has half of its own gradient",
         "What all_reduce has added up must get into `parameter.grad`."),
        ("unchanged", own, "each process still has its own gradients",
         "What is summed must be the gradient itself, or be put in its place: `parameter.grad = ...`."),
        ("divided-twice", {n: total[n] / 4 for n in NAMES}, "it was divided twice", "Divide once by the processes."),
        ("maximum", {n: torch.maximum(own[n], other[n]) for n in NAMES}, "the gradients are the larger of both",
         "ReduceOp.SUM, which is what you get without an `op`."),
        ("parameters-counted", {n: total[n] / len(NAMES) for n in NAMES}, "it was divided by the number of parameters",
         "Divide by the number of processes."),
    )  # fmt: skip
    check.that(not _have(models[1], own), slug="from-one", when="two processes", problem="both have those of process 0",
               hint="That is a broadcast. A mean needs the gradients of all.")  # fmt: skip
    for slug, wrong, problem, hint in mistakes:
        check.that(not _have(models[0], wrong), slug=slug, when="two processes", problem=problem, hint=hint)
    mean = {name: total[name] / 2 for name in NAMES}
    done = [n for n, p in models[0].named_parameters() if near(p.grad, mean[n], 1e-5)]
    rest = [n for n, p in models[0].named_parameters() if near(p.grad, own[n], 1e-5)]
    check.that(not done or not rest or len(done) + len(rest) < len(NAMES), slug="some-parameters",
               when="two processes", problem=f"{shown(done)} have the mean, the others their own gradients",
               hint="All parameters need it. Does a line stand outside the loop?")  # fmt: skip
    right = [_have(model, mean) for model in models]
    check.that(right != [True, False] and right != [False, True], slug="one-process",
               when="two processes", problem=f"only process {right.index(True) if True in right else 0} has the mean",
               hint="All processes take the same step: all of them need the mean.")  # fmt: skip


def _all_have_the_mean(check, models, given: list[dict], slug: str, when: str, hint: str) -> None:
    for rank, model in enumerate(models):
        for name, parameter in model.named_parameters():
            have = [each[name] for each in given if each[name] is not None]
            told = f"{when}: {name} in process {rank}"
            if not have:
                check.that(parameter.grad is None, slug="none-anywhere", when=told, problem="it has got a gradient",
                           hint="No process had one. An optimizer moves what has a gradient, were it zero: "
                           "leave it None.")  # fmt: skip
                continue
            check.that(parameter.grad is not None, slug="left-without", when=told, problem="it has no gradient",
                       hint="Others have one. Where it is None it counts as zero, and the mean goes in.")  # fmt: skip
            among = sum(have) / len(have)
            over = "of the one process that has one" if len(have) == 1 else f"over the {len(have)} that have one"
            check.that(len(have) == len(given) or not near(parameter.grad, among, 1e-5), slug="those-that-have",
                       when=told, problem=f"it is the mean {over}",
                       hint="One without counts as zero: divide by all processes.")  # fmt: skip
            check.close(parameter.grad, sum(have) / len(given), slug=slug, when=told, hint=hint)


def _with_frozen(answer, check) -> None:
    frozen = {"first.bias", "last.weight"}
    models, given = _processes(2, frozen=frozen)
    when = "two processes, frozen parameters"
    _run(answer, check, models, when)
    for model in models:
        odd = next((n for n, p in model.named_parameters() if n in frozen and p.grad is not None), None)
        check.that(odd is None, slug="frozen", when=when, problem=f"{odd} is frozen and has got a gradient",
                   hint="Leave out what does not require a gradient.")  # fmt: skip
        check.that(all(p.requires_grad != (n in frozen) for n, p in model.named_parameters()), slug="frozen",
                   when=when, problem="what is frozen has changed", hint="Leave requires_grad as it is.")  # fmt: skip
    _all_have_the_mean(check, models, given, "mean", when, "The mean over all processes.")


def _without_somewhere(answer, check) -> None:
    for name in ("last.weight", "middle.weight"):
        models, given = _processes(2, {name: {1}})
        when = f"two processes, {name} without a gradient in process 1"
        _run(answer, check, models, when)
        _all_have_the_mean(check, models, given, "one-without", when, "A process without a gradient counts as zero.")
    models, given = _processes(2, {"middle.weight": {0, 1}})
    when = "two processes, middle.weight without a gradient in both"
    _run(answer, check, models, when)
    _all_have_the_mean(check, models, given, "none-anywhere", when, "What has none anywhere stays without.")


# ---------------------------------------------------------------------- 13.10


@exercise("13.10", title="Rows without overlap", minutes=8, difficulty=1)
def rows_of(answer, check):
    got, when = [answer(rank, 3, 12) for rank in range(3)], "12 rows, 3 processes"
    check.that(all(isinstance(each, range) for each in got), slug="a-range", when=when,
               problem=f"the answer is {shown(got[0])}",
               hint="Return a range: range(start, stop), whose stop is not in it.")  # fmt: skip
    lists = [list(each) for each in got]
    check.that(lists != [list(range(rank, 12, 3)) for rank in range(3)], slug="interleaved", when=when,
               problem="every third row goes to each process", hint="Rows that stand side by side: range(start, stop), "
               "so that a batch can be cut with batch[start:stop].")  # fmt: skip
    check.that(lists[0] != list(range(4, 8)), slug="from-one", when=when, problem="process 0 has the second share",
               hint="Ranks begin at 0.")  # fmt: skip
    check.that([len(each) for each in lists] != [3, 3, 3], slug="stop", when=when,
               problem="each process lacks its last row",
               hint="The stop of a range is not in it.")  # fmt: skip
    check.that([len(each) for each in lists] != [5, 5, 5], slug="stop", when=when,
               problem="each process has a row too many",
               hint="The stop of a range is not in it.")  # fmt: skip
    check.that([len(each) for each in lists] != [1, 1, 1], slug="exchanged", when=when,
               problem="each process has one row",
               hint="total over count, not count over total: 12 rows, 3 processes.")  # fmt: skip
    check.equal(lists, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]], slug="even", when=when,
                hint="total // count rows each, where it divides; each begins behind the ones before.")  # fmt: skip
    lists = [list(answer(rank, 3, 8)) for rank in range(3)]
    mistakes = (
        ("rows-lost", [[0, 1], [2, 3], [4, 5]], "rows 6 and 7 belong to nobody",
         "What is left over goes to the first processes, one row each."),
        ("last-takes-all", [[0, 1], [2, 3], [4, 5, 6, 7]], "the last process has all that was left over",
         "The others wait for it. The first ones have one row more."),
        ("first-takes-all", [[0, 1, 2, 3], [4, 5], [6, 7]], "the first process has all that was left over",
         "One row more for each of the first ones."),
        ("last-longer", [[0, 1], [2, 3, 4], [5, 6, 7]], "the last ones are the longer ones",
         "The first ones have one row more."),
        ("overlap", [[0, 1, 2], [2, 3, 4], [4, 5]], "rows belong to two processes",
         "Behind longer shares the start moves as well: by one row for each."),
        ("gap", [[0, 1, 2], [4, 5, 6], [8, 9]], "rows are missing between shares",
         "Only the first `total % count` shares are longer, and the start moves by no more than that."),
        ("beyond", [[0, 1, 2], [3, 4, 5], [6, 7, 8]], "there is no row 8", "8 rows: three, three and two."),
    )  # fmt: skip
    for slug, wrong, problem, hint in mistakes:
        check.that(lists != wrong, slug=slug, when="8 rows, 3 processes", problem=problem, hint=hint)
    for total, count in ((8, 3), (7, 3), (10, 4), (9, 6), (2, 4), (0, 2), (5, 1)):
        _shares(answer, check, total, count)
    for _ in range(10):
        _shares(answer, check, check.random.randint(0, 60), check.random.randint(1, 9))


def _shares(answer, check, total: int, count: int) -> None:
    found = [answer(rank, count, total) for rank in range(count)]
    when = f"{total} rows, {count} processes"
    check.that(all(isinstance(each, range) for each in found), slug="a-range", when=when, problem=f"{shown(found)}",
               hint="Return a range, also where it is empty.")  # fmt: skip
    rows = [row for each in found for row in each]
    lost, twice = sorted(set(range(total)) - set(rows)), sorted({row for row in rows if rows.count(row) > 1})
    check.that(not lost, slug="rows-lost", when=when,
               problem=f"nobody has row {lost[:1]}", hint="Each row has a process.")
    check.that(not twice, slug="overlap", when=when, problem=f"row {twice[:1]} belongs to two processes",
               hint="A share begins where the one before ends.")  # fmt: skip
    check.that(len(rows) == total, slug="beyond", when=when, problem=f"the shares hold {shown(rows)}",
               hint=f"The rows are 0 to {total - 1}.")  # fmt: skip
    dealt = [0] * count
    for row in range(total):  # one to each, in turn
        dealt[row % count] += 1
    sizes = [len(each) for each in found]
    check.that(max(sizes) - min(sizes) <= 1, slug="uneven", when=when, problem=f"shares of {sizes} rows",
               hint="No process has two rows more than another: all wait for the slowest.")  # fmt: skip
    check.equal(sizes, dealt, slug="last-longer", when=f"{when}: the sizes",
                hint="Where it does not divide the first ones have one row more.")  # fmt: skip
    check.equal(rows, list(range(total)), slug="order", when=f"{when}: all rows, process after process",
                hint="Process 0 has the first rows, and each share begins where the one before ends.")  # fmt: skip


# ---------------------------------------------------------------------- 13.11


@exercise("13.11", title="What each GPU holds", minutes=10, difficulty=2)
def memory_per_gpu(answer, check):
    found = [answer(1000.0, 10, stage) for stage in range(4)]
    mistakes = (
        ((16000, 16000, 16000, 16000), "nothing-divided", "nothing is divided", "From stage 1 on something is."),
        ((1600, 1600, 1600, 1600), "all-divided", "everything is divided at every stage",
         "The stages differ in what is divided: 0 nothing, 1 the optimizer, 2 gradients as well, 3 weights as well."),
        ((16000, 1600, 1600, 1600), "all-divided", "everything is divided from stage 1 on",
         "Stage 1 divides the optimizer alone."),
        ((16000, 14200, 14200, 1600), "order", "stage 1 divides the gradients",
         "Stage 1 divides what takes the most: the optimizer."),
        ((16000, 14200, 3400, 1600), "order", "stage 1 divides the gradients",
         "Stage 1 divides what takes the most: the optimizer."),
        ((16000, 14200, 12400, 1600), "order", "stage 1 divides the weights or the gradients",
         "Optimizer first, then gradients, then weights."),
        ((16000, 5200, 14200, 14200), "not-as-well", "each stage divides one thing alone",
         "Stage 2 divides what stage 1 divides *and* the gradients; stage 3 all."),
        ((5200, 3400, 1600, 1600), "one-stage-on", "all is one stage too early", "Stage 0 divides nothing."),
        ((16000, 16000, 5200, 3400), "one-stage-late", "all is one stage too late",
         "Stage 1 divides the optimizer already."),
        ((12000, 4800, 3000, 1200), "moments-only", "the optimizer has 8 bytes a parameter",
         "Besides two moments it keeps the weights in float32: 12 bytes."),
        ((20000, 9200, 5600, 2000), "float32", "weights and gradients are in float32", "In half precision: 2 bytes."),
        ((18000, 7200, 5400, 1800), "float32", "weights have 4 bytes", "Weights in half precision have 2 bytes."),
        ((18000, 7200, 3600, 1800), "float32", "gradients have 4 bytes", "Gradients in half precision have 2 bytes."),
        ((14000, 3200, 3200, 1400), "no-gradients", "the gradients are missing", "They have 2 bytes a parameter."),
        ((14000, 3200, 1400, 1400), "no-weights", "the weights are missing", "They have 2 bytes a parameter."),
        ((4000, 4000, 2200, 400), "no-optimizer", "the optimizer is missing", "It has 12 bytes a parameter."),
        ((160000, 52000, 34000, 16000), "all-gpus", "those are the bytes of all GPUs", "One GPU's are asked for."),
        ((16000, 124000, 142000, 160000), "multiplied", "it grows with the number of GPUs", "A share is a division."),
        ((16, 5.2, 3.4, 1.6), "one-parameter", "those are the bytes of one parameter", "Multiply by `parameters`."),
    )  # fmt: skip
    for wrong, slug, problem, hint in mistakes:
        for scale, unit in ((1, ""), (8, " in bits"), (1e-9, " in GB"), (2**-30, " in GiB")):
            check.that(not all(near(got, each * scale) for got, each in zip(found, wrong, strict=True)), slug=slug,
                       when="1,000 parameters, 10 GPUs, the four stages",
                       problem=problem + unit, hint=hint)  # fmt: skip
    right = (16000, 5200, 3400, 1600)
    for scale, slug, problem in ((8, "unit", "bits"), (1e-9, "unit", "GB"), (2**-30, "unit", "GiB")):
        check.that(not near(found, [each * scale for each in right]), slug=slug, problem=f"those are {problem}",
                   when="1,000 parameters, 10 GPUs, the four stages",
                   hint="Return bytes.")  # fmt: skip
    # Bytes a parameter that every GPU has whole, and that are divided, by stage.
    split = ((16, 0), (4, 12), (2, 14), (0, 16))
    for stage, (got, whole) in enumerate(zip(found, right, strict=True)):
        check.close(got, whole, slug=f"stage-{stage}", tolerance=1e-6, when=f"1,000 parameters, 10 GPUs, stage {stage}",
                    hint="2 bytes of weights, 2 of gradients, 12 of the optimizer: which are divided?")  # fmt: skip
    for stage, figure in enumerate((120.0, 31.4, 16.6, 1.9)):  # Rajbhandari et al. 2020, figure 1
        check.close(round(float(answer(7.5e9, 64, stage)) / 1e9, 1), figure, slug="figure-1", tolerance=1e-9,
                    when=f"7.5 billion parameters, 64 GPUs, stage {stage}, in GB",
                    hint="Figure 1 of the paper has this number.")  # fmt: skip
    for _ in range(8):
        parameters, gpus = 10 ** check.random.uniform(3, 12), check.random.randint(1, 99)
        stage = check.random.randint(0, 3)
        whole, divided = split[stage]
        check.close(answer(parameters, gpus, stage), parameters * whole + parameters * divided / gpus, slug="random",
                    tolerance=1e-6, hint="What is divided has a share on each GPU, the rest is on all.")  # fmt: skip
