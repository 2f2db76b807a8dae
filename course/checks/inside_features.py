"""Exercises of notebook 11 on directions: a linear probe and its control, steering, sparse features and their truth."""

import torch
import torch.nn.functional as F

from course.checks.attention import near, none_of
from course.checks.compare import is_pair, shown
from course.checks.exercise import exercise
from course.checks.inside_hooks import runs, shape_of


@exercise("11.10", title="A linear probe", minutes=8, difficulty=2)
def fit_probe(answer, check):
    x = torch.randn(40, 6) * torch.tensor([1.0, 2, 0.5, 1, 3, 1]) + torch.tensor([4.0, -2, 0, 1, 0, 3])
    labels = torch.randint(3, (40,))
    got = answer(x, labels, 3, 5.0)
    check.that(
        is_pair(got), slug="form", problem=f"got {shown(got)}",
        hint="Two tensors: weight and bias.",
    )  # fmt: skip
    weight, bias = got
    check.that(
        shape_of(weight) != (6, 3), slug="transposed", problem="the weight is (d_model, n_classes)",
        hint="As in `nn.Linear`: a row for each class, (n_classes, d_model).",
    )  # fmt: skip
    check.shape(weight, (3, 6), slug="weight-shape", hint="(n_classes, d_model): a direction for each class.")
    check.shape(bias, (3,), slug="bias-shape", hint="(n_classes,): a number for each class.")
    y, mean = F.one_hot(labels, 3).double(), x.double().mean(0)
    right = _ridge(x, y, 5.0)
    plain = "The center of x is taken off first: then (X^T X + strength * I) W^T = X^T Y."
    wrong = {
        "no-strength": (_ridge(x, y, 0.0)[0], "`strength` has no part in it", plain),
        "strength-negative": (_ridge(x, y, -5.0)[0], "`strength` was taken off the diagonal", "It is added."),
        "strength-squared": (_ridge(x, y, 25.0)[0], "`strength` was squared", "It is added as it is."),
        "strength-times-n": (_ridge(x, y, 5.0 * 40)[0], "`strength` was multiplied by the number of examples",
                             "X^T X is a sum over the examples, not a mean, and `strength` is added as it is."),
        "strength-everywhere": (_ridge(x, y, 5.0, everywhere=True)[0], "`strength` was added to every entry of X^T X",
                                "Only the diagonal: `torch.eye`, or `.diagonal()`."),
        "not-centered": (_ridge(x, y, 5.0, center=0.0)[0], "the mean of x was not taken off",
                         "Without that, the direction must explain where the center lies, too."),
        "bias-penalized": (_ridge(torch.cat([x, torch.ones(40, 1)], 1), y, 5.0, center=0.0)[0][:, :6],
                           "the bias was penalized, as a column of ones",
                           "Take the means off first, and find the bias after that, from the means."),
        "standardized": (_ridge((x - x.mean(0)) / x.std(0), y, 5.0)[0], "every feature was divided by its spread",
                         "The mean alone is taken off."),
        "plus-minus": (2 * right[0], "the targets are 1 and -1", "One-hot targets are 1 and 0."),
        "class-as-number": (_ridge(x, labels.double()[:, None], 5.0)[0].expand(3, 6), "the classes are numbers here",
                            "Class 2 is not twice class 1: each class has a column of its own, `F.one_hot`."),
    }  # fmt: skip
    none_of(wrong, weight, check, when="the weight")
    check.close(weight, right[0], slug="weight", tolerance=1e-4, when="the weight", hint=plain)
    mean_of_bias = "At the mean of x the probe should say the mean of the targets: that settles the bias."
    wrong = {
        "bias-of-targets": (y.mean(0), "that is the mean of the targets",
                            "It would be right if x had its mean at 0. It has not: take off weight @ mean of x."),
        "bias-sign": (y.mean(0) + right[0] @ mean, "a sign is wrong", mean_of_bias),
        "no-bias": (torch.zeros(3), "there is no bias", mean_of_bias),
        "bias-of-x": (-(right[0] @ mean), "the mean of the targets is left out", mean_of_bias),
    }  # fmt: skip
    none_of(wrong, bias, check, when="the bias")
    check.close(bias, right[1], slug="bias", tolerance=1e-4, when="the bias", hint=mean_of_bias)
    rare = torch.randint(2, (40,))
    weight, bias = answer(x, rare, 4, 1.0)
    check.shape(weight, (4, 6), slug="unseen-class", when="with 4 classes of which two never occur",
                hint="How many classes there are is said by `n_classes`, not by the largest label.")  # fmt: skip
    centers = 6 * torch.eye(4, 6) + 10
    x, labels = (centers[:, None] + 0.3 * torch.randn(4, 9, 6)).flatten(0, 1), torch.arange(4).repeat_interleave(9)
    weight, bias = answer(x, labels, 4, 0.1)
    check.equal((x @ weight.T + bias).argmax(-1), labels, slug="separable", when="four classes that lie far apart",
                hint="A probe should tell them apart without a mistake.")  # fmt: skip


def _ridge(x, y, strength: float, center: float = 1.0, everywhere: bool = False):
    """Weight and bias by gradient zero: a solution by the inverse, in double precision."""
    x = x.double()
    off = center * x.mean(0)
    inner = (x - off).T @ (x - off)
    extra = torch.ones_like(inner) if everywhere else torch.eye(x.shape[1], dtype=torch.float64)
    weight = ((inner + strength * extra).inverse() @ (x - off).T @ y).T
    return weight, y.mean(0) - weight @ x.mean(0)


@exercise("11.11", title="A control task", minutes=6, difficulty=2)
def control_labels(answer, check):
    tokens = torch.tensor([7, 3, 7, 900, 3, 0, 7])
    got = answer(tokens, 5, torch.Generator().manual_seed(1))
    check.shape(got, (7,), slug="shape", hint="A class for each occurrence: (N,), as the tokens came.")
    check.that(
        not got.dtype.is_floating_point, slug="whole", problem=f"the classes are {got.dtype}", hint="Whole numbers."
    )
    many = torch.randint(3000, (6000,))
    alike = "The class is drawn once for each *kind* of token: make a table of classes, and look tokens up in it."
    draws = []
    for seed in range(3):
        got = answer(many, 5, torch.Generator().manual_seed(seed))
        check.that(
            0 <= int(got.min()) and int(got.max()) < 5, slug="range",
            problem=f"classes from {int(got.min())} to {int(got.max())}", hint="From 0 to n_classes - 1.",
        )  # fmt: skip
        table = torch.full((3000,), -1)
        table[many] = got
        check.that(
            bool((table[many] == got).all()), slug="each-occurrence",
            problem="the same token has one class here and another there", hint=alike,
        )  # fmt: skip
        draws.append(table[table >= 0])
        count = draws[-1].bincount(minlength=5) / len(draws[-1])
        check.that(float(count.max()) < 0.9, slug="one-class", problem="nearly all tokens are in one class", hint=alike)
        check.that(
            float(count.min()) > 0.1, slug="uneven", problem=f"some classes come too seldom: {shown(count.tolist())}",
            hint="Each class should be as likely as any other. `torch.randint(high, ...)` leaves out `high`.",
        )  # fmt: skip
    check.that(
        not torch.equal(draws[0], draws[1]), slug="not-random", when="two generators",
        problem="every token has the same class with both",
        hint="A class must say nothing of its token, not even its number: draw it, with the generator.",
    )  # fmt: skip
    once = [answer(many, 5, torch.Generator().manual_seed(9)) for _ in range(2)]
    check.equal(once[0], once[1], slug="generator", when="two calls with generators of one seed",
                hint="Hand the generator on: `torch.randint(..., generator=generator)`.")  # fmt: skip
    kinds = torch.arange(2000)
    table = answer(kinds, 5, torch.Generator().manual_seed(4))
    for apart in (1, 2, 5, 10):
        same = float((table[apart:] == table[:-apart]).float().mean())
        check.that(
            0.1 < same < 0.35, slug="pattern",
            problem=f"of tokens whose ids are {apart} apart, {same:.0%} share a class",
            hint="Every kind of token is drawn on its own; no arithmetic with its id.",
        )  # fmt: skip


@exercise("11.12", title="Steer", minutes=6, difficulty=2)
def steer(answer, check):
    x, direction = torch.tensor([[1.0, 5.0], [-2.0, 3.0], [0.0, 0.0]]), torch.tensor([4.0, 0.0])
    with_axes = "Any number of axes before the last, with a number for each vector: `[..., None]` makes it fit."
    with runs(check, "with x of shape (3, 2)", "axes", with_axes):
        got = answer(x, direction, 3.0)
    check.shape(got, (3, 2), slug="shape", hint="As many vectors as came in, each moved.")
    unit = "Bring `direction` to length 1 before anything else."
    to = "Not *by* so much, but *to* there: take off what coordinate a vector has, then add what it should have."
    wrong = {
        "moved-by": (x + torch.tensor([3.0, 0.0]), "every vector was moved by the same amount", to),
        "not-unit": (x + (3 - 4 * x[:, :1]) * direction, "`direction` was used at its full length", unit),
        "added-long": (x + 3 * direction, "3 times `direction` was added", f"{unit} {to}"),
        "half-unit": (x + (3 - 4 * x[:, :1]) * direction / 4, "the coordinate was measured with a long `direction`",
                      unit),
        "long-step": (x + (3 - x[:, :1]) * direction, "the step was taken along a long `direction`", unit),
        "squared": (x + (3 - x[:, :1] / 4) * direction / 16, "`direction` was divided by its squared length", unit),
        "rest-lost": (torch.tensor([[3.0, 0.0]] * 3), "nothing but the direction is left",
                      "What is orthogonal to it stays as it was."),
        "removed": (x * torch.tensor([0.0, 1.0]), "the direction was taken out", "Then add what should be there."),
    }  # fmt: skip
    none_of(wrong, got, check)
    check.close(got, [[3.0, 5.0], [3.0, 3.0], [3.0, 0.0]], slug="value", hint=to)
    direction = torch.randn(6) * 3
    for size in ((4, 5, 6), (6, 6), (6,)):
        x = torch.randn(size)
        with runs(check, f"with x of shape {size}", "axes", with_axes):
            got = answer(x, direction, -1.5)
        check.shape(got, size, slug="axes", hint=with_axes)
        vectors, moved = x.reshape(-1, 6).double(), got.reshape(-1, 6).double()
        toward = direction.double() / float(direction.double().pow(2).sum()) ** 0.5
        check.close(
            torch.stack([one @ toward for one in moved]), [-1.5] * len(moved), slug="coordinate", tolerance=1e-4,
            when=f"the coordinates of vectors {size} after it", hint=f"{to} {with_axes}",
        )  # fmt: skip
        basis = torch.linalg.qr(torch.cat([toward[:, None], torch.eye(6, dtype=torch.float64)], 1)).Q[:, 1:6]
        check.close(
            moved @ basis, vectors @ basis, slug="orthogonal", tolerance=1e-4,
            when=f"what is orthogonal to the direction, vectors {size}", hint="It must stay as it was.",
        )  # fmt: skip


@exercise("11.13", title="The strongest k", minutes=5, difficulty=1)
def strongest(answer, check):
    strength = torch.tensor([[0.5, 3.0, 0.0, 2.0, 1.0], [4.0, 0.1, 5.0, 0.2, 0.3]])
    got = answer(strength, 2)
    check.that(
        shape_of(got) != (2, 2), slug="only-k", problem="only the two values come back",
        hint="Each stays in its place, among zeros: `scatter` writes them where they were.",
    )  # fmt: skip
    check.shape(got, (2, 5), slug="shape", hint="The same shape as came in.")
    top = strength.topk(2, dim=-1)
    wrong = {
        "infinity": (torch.full((2, 5), -torch.inf).scatter(-1, top.indices, top.values), "all others are -inf",
                     "Here a feature that is off is 0: these are no logits."),
        "ones": ((strength >= top.values[:, -1:]).float(), "they are 1 instead of what they were",
                 "The largest stay as they are."),
        "first-places": (F.pad(top.values, (0, 3)), "they stand in the first places",
                         "Each stays in its own place: `topk` gives the indices, too."),
        "smallest": (torch.where(strength <= strength.sort(-1).values[:, 1:2], strength, 0), "the smallest were kept",
                     "The largest."),
        "dropped": (torch.where(strength < top.values[:, -1:], strength, 0), "the largest were taken out",
                    "They are what stays."),
        "one-less": (torch.where(strength > top.values[:, -1:], strength, 0), "one too few were kept", "k of them."),
        "over-all": (torch.where(strength >= strength.flatten().topk(2).values[-1], strength, 0),
                     "the largest of the whole tensor were kept", "Each row on its own: the last dimension."),
        "wrong-axis": (torch.where(strength >= strength.topk(2, dim=0).values[-1:], strength, 0),
                       "they were looked for along the first dimension", "The last dimension: `dim=-1`."),
    }  # fmt: skip
    none_of(wrong, got, check)
    check.close(got, _strongest(strength, 2), slug="value", hint="k values as they are, 0 in the place of all others.")
    negative = torch.tensor([[-3.0, -1.0, -2.0, -9.0]])
    check.close(answer(negative, 2), [[0.0, -1.0, -2.0, 0.0]], slug="negative",
                hint="The largest, not those furthest from 0; they stay as they are, whatever their sign.")  # fmt: skip
    got = answer(torch.tensor([[2.0, 2.0, 2.0, 1.0]]), 2)
    check.equal(int((got != 0).sum()), 2, slug="ties", when="three equal values, k=2: how many are left",
                hint="Not more than k. What is compared with the k-th keeps its equals, too.")  # fmt: skip
    many = torch.randn(3, 4, 9)
    for k in (1, 4, 9):
        check.close(answer(many, k), _strongest(many, k), slug="random", hint="Along the last dimension, any shape.")


def _strongest(strength: torch.Tensor, k: int) -> torch.Tensor:
    """One row after another, by sorting."""
    found = []
    for row in strength.reshape(-1, strength.shape[-1]).tolist():
        kept = sorted(range(len(row)), key=lambda i, row=row: -row[i])[:k]
        found.append([value if i in kept else 0.0 for i, value in enumerate(row)])
    return torch.tensor(found).view(strength.shape)


@exercise("11.14", title="Precision and recall", minutes=6, difficulty=2)
def precision_recall(answer, check):
    active = torch.tensor([[1, 0], [1, 0], [1, 1], [0, 1], [0, 0], [1, 0]]).bool()
    truth = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]]).bool()
    with runs(
        check, "with active (6, 2) and truth (6, 3)", "fractions", "Truth values are not multiplied: make floats."
    ):
        got = answer(active, truth)
    check.that(
        is_pair(got), slug="form", problem=f"got {shown(got)}",
        hint="Two tensors: precision and recall.",
    )  # fmt: skip
    right = _counted(active, truth)
    check.that(
        shape_of(got[0]) != (3, 2), slug="transposed", problem="the precision is (R, F)",
        hint="A row for each feature, a column for each role: (F, R).",
    )  # fmt: skip
    for each, name in zip(got, ("precision", "recall"), strict=True):
        check.shape(each, (2, 3), slug="shape", when=name, hint="(F, R): every feature with every role.")
        check.that(
            each.dtype.is_floating_point, slug="fractions", when=name, problem=f"it is {each.dtype}",
            hint="A fraction: count in floats.",
        )  # fmt: skip
    check.that(
        not (near(got[0], right[1]) and near(got[1], right[0])), slug="swapped", problem="the two are exchanged",
        hint="Precision: of the times that the feature is active, how often is it right? Recall: of the times that "
        "the role is there, how often is the feature active?",
    )  # fmt: skip
    both = right[0] * active.sum(0)[:, None]
    either = active.sum(0)[:, None] + truth.sum(0) - both
    agree = (active.T[:, None] == truth.T[None]).float()
    wrong = {
        "of-all": (both / 6, "that is a fraction of all examples", "Divide by how often the feature is active."),
        "union": (both / either, "it was divided by how often either is there",
                  "That is another measure (Jaccard's). Divide by how often the feature is active."),
        "counts": (both, "those are counts", "Precision is a fraction of the times that the feature is active."),
        "accuracy": (agree.mean(-1), "that is how often the two agree, silence included",
                     "Only what is active counts."),
    }  # fmt: skip
    none_of(wrong, got[0], check, when="precision")
    none_of({"of-all": (both / 6, "that is a fraction of all examples", "Divide by how often the role is there."),
             "counts": (both, "those are counts", "A fraction of the times that the role is there.")},
            got[1], check, when="recall")  # fmt: skip
    check.close(got[0], right[0], slug="precision", when="precision",
                hint="How often both are there, over how often the feature is active.")  # fmt: skip
    check.close(got[1], right[1], slug="recall", when="recall",
                hint="How often both are there, over how often the role is there.")  # fmt: skip
    silent, never = torch.rand(50, 4) < 0.4, torch.rand(50, 3) < 0.4
    silent[:, 2], never[:, 1] = False, False
    got, right = answer(silent, never), _counted(silent, never)
    for each, expected, name in zip(got, right, ("precision", "recall"), strict=True):
        check.that(
            not bool(each.isnan().any()), slug="nan", when=name, problem="there is a nan: 0 was divided by 0",
            hint="A feature that is never active, and a role that never occurs, have 0. `clamp(min=1)` on the divisor?",
        )  # fmt: skip
        check.close(each, expected, slug="never", when=f"{name}, with a feature and a role that never occur",
                    hint="Where nothing is to be counted it is 0; everywhere else nothing changes.")  # fmt: skip
    active, truth = torch.rand(3000, 5) < 0.7, torch.rand(3000, 4) < 0.6
    for each, expected, name in zip(answer(active, truth), _counted(active, truth), ("precision", "recall"),
                                    strict=True):  # fmt: skip
        check.close(each, expected, slug="many", when=f"{name}, 3,000 examples",
                    hint="Can the type that you count in hold so large a number?")  # fmt: skip


def _counted(active: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Precision and recall by sets."""
    features = [set(one.nonzero().flatten().tolist()) for one in active.T]
    roles = [set(one.nonzero().flatten().tolist()) for one in truth.T]
    precision = [[len(f & r) / max(1, len(f)) for r in roles] for f in features]
    recall = [[len(f & r) / max(1, len(r)) for r in roles] for f in features]
    return torch.tensor(precision), torch.tensor(recall)
