"""The exercises of notebook 11: scores of heads, and what stands in for a part; four more modules hold the others."""

import torch

from course.checks.attention import near, none_of
from course.checks.compare import shown
from course.checks.exercise import exercise
from course.checks.inside_features import (  # noqa: F401
    control_labels,
    fit_probe,
    precision_recall,
    steer,
    strongest,
)
from course.checks.inside_hooks import patch, record, shape_of  # noqa: F401
from course.checks.inside_parts import logit_lens, shares, written_by_heads  # noqa: F401
from course.checks.inside_paths import fed_by  # noqa: F401
from helpers.errors import CourseError


def random_maps(n_layer: int, count: int, n_head: int, length: int) -> torch.Tensor:
    """Attention by chance: each row sums to 1, and sees nothing that comes later."""
    scores = 2 * torch.randn(n_layer, count, n_head, length, length)
    return scores.masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf).softmax(-1)


@exercise("11.4", title="An induction score", minutes=8, difficulty=2)
def induction_scores(answer, check):
    length = 5
    maps = random_maps(2, 3, 4, 1 + 2 * length)
    got = answer(maps, length)
    check.that(
        shape_of(got) != (2,), slug="heads-mixed", problem="there is one number for each layer",
        hint="Every head has its own score: average over sequences and positions alone.",
    )  # fmt: skip
    check.that(
        shape_of(got) != (2, 3, 4), slug="sequences-apart", problem="each sequence has a score",
        hint="Average over the sequences, too.",
    )  # fmt: skip
    check.shape(got, (2, 4), slug="shape", hint="(n_layer, H) from (n_layer, B, H, T, T).")
    picture = "Write a short one down: 0 a b c a b c. The second b should look where? How far back is that?"
    wrong = {
        "same-token": (
            _mean_back(maps, length, length + 1), "that is the attention to the same token in the first half",
            f"Induction looks at what *followed* it, one position later. {picture}",
        ),
        "before": (
            _mean_back(maps, length + 1, length + 1), "that is the attention to what stood before the same token",
            f"What followed it is one position later, not earlier. {picture}",
        ),
        "previous": (
            _mean_back(maps, 1, 1), "that is the attention to the token just before",
            f"That is another score. {picture}",
        ),
        "itself": (_mean_back(maps, 0, length + 1), "that is the attention of a token to itself", picture),
        "two-later": (
            _mean_back(maps, length - 2, length + 1), "that is the attention to a token one too far on", picture
        ),
        "first-half": (
            _mean_back(maps, length - 1, length - 1), "the first half was counted, too",
            "There no token has been said before. Which entry of the diagonal is the first of the second half?",
        ),
        "one-too-early": (
            _mean_back(maps, length - 1, length), "the last position of the first half was counted, too",
            f"The second half begins at position 1 + length: the first token stands before both halves. {picture}",
        ),
        "one-too-late": (
            _mean_back(maps, length - 1, length + 2), "the first position of the second half was left out", picture
        ),
        "summed": (
            _mean_back(maps, length - 1, length + 1) * length, "that is a sum over positions",
            "A score is a mean, between 0 and 1.",
        ),
        "summed-sequences": (
            _mean_back(maps, length - 1, length + 1) * 3, "that is a sum over sequences", "Average over them."
        ),
        "upside-down": (
            torch.zeros(2, 4), "all scores are 0", "That is the future. A row of a map is the position that looks, a "
            "column the one that is looked at, which lies below the main diagonal.",
        ),
    }  # fmt: skip
    none_of(wrong, got, check)
    check.close(got, _mean_back(maps, length - 1, length + 1), slug="value", hint=picture)
    perfect = torch.zeros(1, 2, 2, 13, 13)
    for looks in range(7, 13):
        perfect[0, :, 1, looks, looks - 5] = 1.0
    check.close(
        answer(perfect, 6), [[0.0, 1.0]], slug="perfect", when="a head that does nothing but induction, and one that "
        "never does", hint="Every position of the second half counts, and nothing else: then the score is 1.",
    )  # fmt: skip


def _mean_back(maps: torch.Tensor, back: int, first: int) -> torch.Tensor:
    """The mean attention, from the position `first` on, to what stands so far back; one entry after another."""
    n_layer, _, n_head, length, _ = maps.shape
    found = torch.zeros(n_layer, n_head)
    for layer in range(n_layer):
        for head in range(n_head):
            looks = [row[at, at - back] for row in maps[layer, :, head] for at in range(first, length)]
            found[layer, head] = sum(looks) / len(looks)
    return found


@exercise("11.5", title="Who looks back", minutes=8, difficulty=2)
def looked_back(answer, check):
    maps, ids = random_maps(2, 6, 3, 9), torch.randint(4, (6, 9))
    rows, at = torch.tensor([4, 0, 3, 3, 5]), torch.tensor([7, 5, 7, 4, 6])
    true = torch.stack([ids[row, : place + 1].mode().values for row, place in zip(rows, at, strict=True)])  # said often
    given = (maps, ids, rows, at, true)
    got = answer(*given)
    right = _by_loops(*given)
    check.that(
        not near(got, right.transpose(0, 1)), slug="order", problem=f"the result is {shape_of(got)}",
        hint="(N, n_layer, H): a place of a story first. What does `maps[:, rows, :, at]` put first? Print its shape.",
    )  # fmt: skip
    check.shape(got, (5, 2, 3), slug="shape", hint="(N, n_layer, H): for each place a number from every head.")
    shifted = [torch.roll(ids, by, 1) for by in (-1, 1)]
    wrong = {
        "largest": (_by_loops(*given, collect=max), "only the strongest look was counted",
                    "A token may have been said several times, and a head share its attention among these: add it up."),
        "averaged": (right / (ids[rows] == true[:, None]).sum(-1)[:, None, None], "it is a mean over all places of "
                     "the token", "How much the head looks there *in all* is asked for."),
        "first-only": (_by_loops(*given, collect=lambda looks: looks[0]), "only the first time counts",
                       "Wherever the token stood, it counts."),
        "last-only": (_by_loops(*given, collect=lambda looks: looks[-1]), "only the last time counts",
                      "Wherever the token stood, it counts."),
        "rows-ignored": (_by_loops(maps, ids, torch.arange(5), at, true), "the first five stories were looked at",
                         "`rows` says which story: it is an index of the maps and of `ids`."),
        "wrong-story": (_by_loops(maps, ids, torch.arange(5), at, true, in_ids=rows), "attention of another story",
                        "`rows` says which story: it is an index of the maps and of `ids`."),
        "wrong-text": (_by_loops(maps, ids, rows, at, true, in_ids=torch.arange(5)), "the token was looked for in "
                       "another story", "`rows` says which story: it is an index of the maps and of `ids`."),
        "before": (_by_loops(maps, shifted[0], rows, at, true), "that is attention to what stood just before the token",
                   "Look where `ids` *is* the token."),
        "after": (_by_loops(maps, shifted[1], rows, at, true), "that is attention to what followed the token",
                  "Look where `ids` *is* the token. What followed it is another score, that of induction."),
        "current": (_by_loops(maps, ids, rows, at, ids[rows, at]), "the token that stands at `at` was looked for",
                    "Looked for is `true`: the token that should come next."),
        "next-row": (_by_loops(maps, ids, rows, at + 1, true), "the position after `at` looked",
                     "At `at` the model says what comes next: that row of the map it is."),
        "columns": (_by_loops(maps.transpose(-1, -2), ids, rows, at, true), "rows and columns are exchanged",
                    "The row of a map is the position that looks: `at` belongs before the last axis."),
        "elsewhere": (1 - right, "that is the attention to all other tokens", "== where you have !=."),
    }  # fmt: skip
    none_of(wrong, got, check)
    check.close(got, right, slug="value", hint="Row `at` of each map of story `rows`, summed where `ids` is the token.")
    never = answer(maps, ids, rows, at, torch.full((5,), 9))
    check.close(never, torch.zeros(5, 2, 3), slug="never-said", hint="A token that was not said is not looked at: 0.")


def _by_loops(maps, ids, rows, at, true, collect=sum, in_ids=None) -> torch.Tensor:
    n_layer, _, n_head, length, _ = maps.shape
    found = torch.zeros(len(rows), n_layer, n_head)
    for n, row in enumerate(rows.tolist()):
        text = ids[row if in_ids is None else in_ids[n]]
        for layer in range(n_layer):
            for head in range(n_head):
                looks = [maps[layer, row, head, at[n], t] for t in range(length) if text[t] == true[n]]
                looks = [look for look in looks if look > 0] or [torch.tensor(0.0)]
                found[n, layer, head] = collect(looks)
    return found


@exercise("11.9", title="Three ways to leave out", minutes=6, difficulty=2)
def stand_in(answer, check):
    values = torch.randn(4, 3, 5)
    got = answer(values, "zero")
    check.shape(got, (4, 3, 5), slug="shape", hint="What stands in has the shape of what it stands in for.")
    check.equal(got, torch.zeros(4, 3, 5), slug="zero", hint="Zeros everywhere: `torch.zeros_like`.")
    got = answer(values, "mean")
    check.that(
        shape_of(got) not in ((1, 3, 5), (3, 5)), slug="shape", problem=f"got shape {shape_of(got)}",
        hint="Every sequence gets the mean: `expand_as` repeats it without copying.",
    )  # fmt: skip
    check.shape(got, (4, 3, 5), slug="shape", hint="What stands in has the shape of what it stands in for.")
    by_position = "Over the sequences alone, axis 0: a position is said by its own mean, feature by feature."
    wrong = {
        "one-mean": (values.mean().expand(4, 3, 5), "it is one number everywhere", by_position),
        "over-positions": (values.mean((0, 1)).expand(4, 3, 5), "all positions have the same mean", by_position),
        "own-mean": (values.mean(1, keepdim=True).expand(4, 3, 5), "each sequence got its own mean", by_position),
        "over-features": (values.mean(-1, keepdim=True).expand(4, 3, 5), "each vector got its own mean", by_position),
    }  # fmt: skip
    none_of(wrong, got, check)
    check.close(got, values.mean(0)[None].repeat(4, 1, 1), slug="mean", hint=by_position)
    when = "forty generators"
    donors = [_donors(answer(values, "resample", torch.Generator().manual_seed(seed)), values, check)
              for seed in range(40)]  # fmt: skip
    check.that(
        not any(donor == i for each in donors for i, donor in enumerate(each)), slug="own", when=when,
        problem="a sequence got its own values back", hint="Then nothing is left out there. A permutation by chance "
        "may leave one in its place: which ones never do?",
    )  # fmt: skip
    check.that(
        len(set(donors)) > 1, slug="not-random", when=when, problem="the same sequences always give their values",
        hint="Draw with `torch.randint(..., generator=generator)`.",
    )  # fmt: skip
    check.that(
        all(len({each[i] for each in donors}) == 3 for i in range(4)), slug="never-drawn", when=when,
        problem="some sequence never gets the values of some other one",
        hint="`torch.randint(low, high, ...)` leaves out `high`: from 1 to len(values) - 1 all should come.",
    )  # fmt: skip
    again = [_donors(answer(values, "resample", torch.Generator().manual_seed(5)), values, check) for _ in range(12)]
    check.that(
        len(set(again)) == 1, slug="generator", when="twelve generators of one seed",
        problem="they gave different results",
        hint="Hand the generator on: `torch.randint(..., generator=generator)`.",
    )  # fmt: skip
    check.close(
        answer(values[:2], "resample"), values[:2].flip(0), slug="two",
        hint="Of two sequences each gets the other's, and without a generator it must work, too.",
    )  # fmt: skip
    check.raises(
        CourseError, lambda: answer(values[:1], "resample"), slug="alone",
        hint="A single sequence has no other: raise a CourseError that says so.",
    )  # fmt: skip
    for how in ("median", "Zero", ""):
        check.raises(
            CourseError, lambda how=how: answer(values, how), slug="unknown",
            hint="What is none of the three is a slip: raise a CourseError that names the three.",
        )  # fmt: skip


def _donors(got, values: torch.Tensor, check) -> tuple[int, ...]:
    """Whose values each sequence got."""
    check.shape(got, values.shape, slug="shape", hint="What stands in has the shape of what it stands in for.")
    found = []
    for one in got:
        who = [j for j, other in enumerate(values) if torch.equal(one, other)]
        mixed = "Each sequence gets *all* values of one other sequence, position by position: move along axis 0 alone."
        check.that(who, slug="torn", problem=f"{shown(one[0])} ... is no sequence's own row of values", hint=mixed)
        found += who[:1]
    return tuple(found)
