"""Exercise of notebook 15 on a batch of conversations: what is read, and what is learned."""

import torch

from course.checks.answer_parts import told
from course.checks.compare import same, shown
from course.checks.exercise import exercise
from helpers.instructions import Rendered
from helpers.model import IGNORED

# ---------------------------------------------------------------------- 15.3


@exercise("15.3", title="What is learned", minutes=12, difficulty=2)
def as_batch(answer, check):
    rows = [Rendered([9, 4, 0, 7, 5, 6], [False, False, True, False, True, True]),
            Rendered([8, 3, 2], [False, True, False]), Rendered([1, 0, 2, 3], [False, False, True, True])]  # fmt: skip
    got = _pair(check, answer(rows), (3, 5))
    other = answer(rows, False)
    other = other[1] if isinstance(other, tuple | list) and len(other) == 2 else None
    exchanged = same(got[1], _by_hand(rows, False)[1]) and same(other, _by_hand(rows)[1])
    check.that(not exchanged, slug="masked-exchanged", hint="masked=True: answers only. masked=False: all tokens.",
               problem="with masked=True everything is learned, with masked=False only answers")  # fmt: skip
    _refuse_batches(check, got, rows)
    _is_batch(check, got, rows, True, "batch")
    got = _pair(check, answer(rows, False), (3, 5))
    told(check, got[1], _by_hand(rows, False)[1], [
        ("masked-ignored", _by_hand(rows)[1], "with masked=False still only answers are learned",
         "Then every token that follows another is learned, in all rows."),
        ("masked-inverted", torch.where(_by_hand(rows)[1] == IGNORED, _by_hand(rows, False)[1], IGNORED),
         "with masked=False only what the mask leaves out is learned", "Then every token that follows another is."),
        ("padding-learned", _by_hand(rows, False, pad=0)[1], "with masked=False the padding is learned as well",
         "Where a row is over there is nothing to learn, masked or not."),
    ])  # fmt: skip
    _is_batch(check, got, rows, False, "unmasked")
    _is_batch(check, _pair(check, answer(rows, masked=False), (3, 5)), rows, False, "unmasked")
    for number in range(12):
        lengths = [check.random.randint(2, 9) for _ in range(1 + number % 5)]
        rows = [Rendered([check.random.randrange(11) for _ in range(n)], [False] + [check.random.random() < 0.5
                for _ in range(n - 1)]) for n in lengths]  # fmt: skip
        rows, masked = (tuple(rows) if number % 2 else rows), number % 3 > 0
        got = _pair(check, answer(rows, masked=masked), (len(rows), max(lengths) - 1))
        _is_batch(check, got, rows, masked, "random")


def _pair(check, got, shape) -> tuple[torch.Tensor, torch.Tensor]:
    check.that(isinstance(got, tuple | list) and len(got) == 2, slug="a-pair", problem=f"the answer is {shown(got)}",
               hint="Return two tensors: what is read, and what should follow.")  # fmt: skip
    for each, name in zip(got, ("the ids", "the targets"), strict=True):
        found = tuple(getattr(each, "shape", ()))
        check.that(isinstance(each, torch.Tensor), slug="a-pair", problem=f"{name} are {shown(each)}",
                   hint="Return two tensors: what is read, and what should follow.")  # fmt: skip
        check.that(found != (shape[0], shape[1] + 1), slug="not-shortened", problem=f"{name} have the shape {found}",
                   hint="The last token of a row is only predicted, the first only read: T is one less.")  # fmt: skip
        check.that(found == shape, slug="shape", problem=f"{name} have the shape {found}, and not {shape}",
                   hint="A row for each conversation; as long as the longest, less one.")  # fmt: skip
        check.that(each.dtype == torch.long, slug="dtype", problem=f"{name} are {each.dtype}",
                   hint="Ids are whole numbers: torch.long.")  # fmt: skip
    return tuple(got)


def _refuse_batches(check, got, rows) -> None:
    read, follows = _by_hand(rows)
    not_shifted, every = [_by_hand(rows, mask_at=0)[1], _by_hand(rows, target_at=0)[1]], _by_hand(rows, False)[1]
    told(check, got[0], read, [
        ("read-shifted", _by_hand(rows, read_at=1)[0], "the tokens that follow are read", "All but the last are read."),
        ("read-padding", _by_hand(rows, pad_read=IGNORED)[0], "IGNORED stands among what is read",
         "What is read where a row is over is 0: the embedding has no row -100."),
        *[("read-padding", each, "a row's last token is read where the row is over",
           "The last token of a row is only predicted. What is read behind the others is 0.")
          for each in (_last_read(rows, read), _last_read(rows, read, on=True))],
        *[("read-masked", each, "what is not learned is not read either",
           "Everything is read. The mask is for targets alone.")
          for each in (torch.where(follows == IGNORED, 0, read), torch.where(_by_hand(rows, mask_at=0)[1] == IGNORED,
                                                                             0, read))],
        ("exchanged", follows, "the targets came first", "First what is read, then what should follow."),
        ("left-padded", _by_hand(rows, left=True)[0], "the padding is on the left", "A row begins at position 0."),
    ], when="what is read")  # fmt: skip
    told(check, got[1], follows, [
        ("mask-not-shifted", not_shifted[0], "the mask of the token that is read decided",
         "That of the token that is predicted counts: row.mask[1:]."),
        ("targets-not-shifted", not_shifted[1], "a token is to be followed by itself",
         "The target at a position is the token behind it: row.ids[1:]."),
        ("targets-not-shifted", _by_hand(rows, target_at=0, mask_at=0)[1], "a token is to be followed by itself",
         "The target at a position is the token behind it, and the mask moves with it."),
        ("padding-learned", _by_hand(rows, pad=0)[1], "the padding is learned",
         "Where a row is already over the target is IGNORED."),
        ("zeros-for-ignored", torch.where(follows == IGNORED, 0, follows), "0 stands where nothing is learned",
         "0 is a token. IGNORED is the target that the loss leaves out."),
        ("zeros-for-ignored", torch.where(follows == IGNORED, 0, follows).where(every != IGNORED, IGNORED),
         "0 stands where nothing is learned", "0 is a token. IGNORED is the target that the loss leaves out."),
        ("zeros-for-ignored", torch.where(follows == IGNORED, -1, follows), "-1 stands where nothing is learned",
         "IGNORED is the target that the loss leaves out."),
        ("mask-ignored", every, "users' tokens are learned", "IGNORED where row.mask is False."),
        ("mask-ignored", _by_hand(rows, False, pad=0)[1], "everything is learned", "IGNORED where mask is False."),
        ("mask-inverted", torch.where(follows == IGNORED, every, IGNORED), "what is learned is left out",
         "mask is True where a token is learned."),
        ("zero-is-no-padding", torch.where(follows == 0, IGNORED, follows), "the token 0 is taken for padding",
         "A row may hold a 0. Its length says where it is over."),
        ("left-padded", _by_hand(rows, left=True)[1], "the padding is on the left", "A row begins at position 0."),
    ], when="what should follow")  # fmt: skip


def _last_read(rows, read, on: bool = False) -> torch.Tensor:
    """What is read, and behind it a row's last token: once, or on and on."""
    read = read.clone()
    for row, (ids, _) in zip(read, rows, strict=True):
        row[len(ids) - 1 : None if on else len(ids)] = ids[-1]
    return read


def _is_batch(check, got, rows, masked: bool, slug: str) -> None:
    for each, right, name in zip(got, _by_hand(rows, masked), ("what is read", "what should follow"), strict=True):
        check.equal(each, right, slug=slug, when=f"{name}, masked={masked}, rows of {[len(r.ids) for r in rows]}",
                    hint="ids[:-1] is read, ids[1:] follows, mask[1:] decides; IGNORED elsewhere.")  # fmt: skip


def _by_hand(rows, masked=True, mask_at=1, target_at=1, read_at=0, pad=IGNORED, pad_read=0, left=False):
    """Position by position; all but the first two arguments are mistakes."""
    T, read, follows = max(len(row.ids) for row in rows) - 1, [], []
    for ids, mask in rows:
        used = range(len(ids) - 1)
        over = T - len(used)
        here = [ids[t + read_at] for t in used]
        then = [ids[t + target_at] if mask[t + mask_at] or not masked else IGNORED for t in used]
        read.append([pad_read] * over + here if left else here + [pad_read] * over)
        follows.append([pad] * over + then if left else then + [pad] * over)
    return torch.tensor(read), torch.tensor(follows)
