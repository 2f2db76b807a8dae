"""Exercises of notebook 09 on whole texts: beam search, positions and mask of new tokens, the KV cache."""

import math
from contextlib import contextmanager

import torch

from course.checks.compare import is_number, is_whole, shown
from course.checks.exercise import exercise
from course.checks.sampling_parts import near
from helpers.errors import CourseError
from helpers.model import GPT, GPTConfig


@exercise("9.9", title="One step of beam search", minutes=15, difficulty=3, of_the_model=True)
def beam_step(answer, check):
    sums = torch.tensor([-1.0, -1.5])
    log_probs = torch.tensor([[0.4, 0.35, 0.25], [0.9, 0.06, 0.04]]).log()
    got = answer(sums, log_probs, 2)
    check.that(
        isinstance(got, list) and got and all(len(one) == 3 for one in got), slug="form", problem=f"got {shown(got)}",
        hint="A list of triples: the new sum, the number of the story that grows, the id that it grows by.",
    )  # fmt: skip
    check.that(
        all(is_number(a) and is_whole(b) and is_whole(c) for a, b, c in got),
        slug="numbers", problem=f"the first is {shown(tuple(got[0]))}: its entries are no plain numbers",
        hint="Who goes on with them needs a float and two ints: `.tolist()` or `.item()` makes them of a tensor.",
    )  # fmt: skip
    got = [(float(a), int(b), int(c)) for a, b, c in got]
    check.that(
        len(got) == 2, slug="how-many", problem=f"{len(got)} hypotheses are live now",
        hint="However many ways to go on there are, only `beams` hypotheses stay live.",
    )  # fmt: skip
    pairs = [(parent, token) for _, parent, token in got]
    check.that(
        not (near(got[0][0], math.log(0.9)) and pairs[0] == (1, 0)), slug="forgot-sums",
        problem="the sums so far were left out",
        hint="A story's score is everything so far: its sum plus the new log-probability.",
    )  # fmt: skip
    check.that(
        all(value < 0 for value, _, _ in got) and not near(got[0][0], math.exp(-1.5) * 0.9), slug="not-logs",
        problem=f"sums {[round(value, 3) for value, _, _ in got]}",
        hint="Logarithms are added. Multiplying them, or adding probabilities to them, mixes two languages.",
    )  # fmt: skip
    check.that(
        pairs != [(0, 0), (1, 0)], slug="worst-first", problem="the worse of the two stories stands first",
        hint="They compete with one another: sort all continuations by their sums, the best first.",
    )  # fmt: skip
    check.that(
        pairs != [(0, 1), (0, 0)], slug="swapped", problem="parent and token are exchanged",
        hint="In the flattened table a row has `vocab_size` entries: parent = place // vocab_size, token = the rest.",
    )  # fmt: skip
    check.that(
        not near(got[0][0], -1.5 + math.log(0.9)) or pairs[0] == (1, 0), slug="decoded",
        problem=f"the best sum is right, but it belongs to story 1 and id 0, not to story and id {pairs[0]}",
        hint="In the flattened table a row has `vocab_size` entries: divide by that, not by the number of stories.",
    )  # fmt: skip
    check.equal(
        pairs, [(1, 0), (0, 0)], slug="best",
        hint="Story 1 is behind by half a nat, and its next token is likely enough to overtake.",
    )  # fmt: skip
    check.close(
        [value for value, _, _ in got], [-1.5 + math.log(0.9), -1 + math.log(0.4)], slug="sums",
        hint="The new sum is the old one plus the log-probability of the new token.",
    )  # fmt: skip
    got = answer(torch.tensor([-1.0, -9.0]), log_probs, 2)
    check.equal(
        [(int(b), int(c)) for _, b, c in got], [(0, 0), (0, 1)], slug="same-parent",
        hint="Story 1 is far behind: both continuations are of story 0.",
    )  # fmt: skip
    got = answer(torch.tensor([0.0]), log_probs[:1], 3)
    check.equal(
        [(int(b), int(c)) for _, b, c in got], [(0, 0), (0, 1), (0, 2)], slug="first-step",
        hint="At the first step there is one live hypothesis, and it may grow in `beams` ways.",
    )  # fmt: skip
    table, start = torch.randn(4, 30).log_softmax(-1), torch.randn(4)
    every = sorted(((float(start[i] + table[i, j]), i, j) for i in range(4) for j in range(30)), reverse=True)[:4]
    got = answer(start, table, 4)
    check.equal([(int(b), int(c)) for _, b, c in got], [(i, j) for _, i, j in every], slug="random",
                hint="Compare with all pairs of a story and a token, sorted.")  # fmt: skip


@exercise("9.10", title="Beam search", minutes=20, difficulty=3)
def fixed_length_search(answer, check):
    read: list[list[list[int]]] = []  # what the model was asked to read, call by call

    def garden_path(sequences):
        """After the prompt [7] token 0 is likelier, but it leads nowhere; token 1 leads to where all is sure."""
        read.append([list(ids) for ids in sequences])
        table = {(): [0.6, 0.4, 0.0], (0,): [0.34, 0.33, 0.33], (1,): [0.04, 0.06, 0.9]}
        rows = [table.get(tuple(ids[1:]), [0.2, 0.3, 0.5]) for ids in sequences]
        return torch.tensor(rows).log()

    got = answer(garden_path, [7], 2, 2)
    check.that(
        isinstance(got, tuple | list) and len(got) == 2 and isinstance(got[1], list), slug="form",
        problem=f"got {shown(got)}", hint="Two things: the best sum, and the list of its new ids.",
    )  # fmt: skip
    total, new = float(got[0]), [int(token) for token in got[1]]
    check.that(new[:1] != [7], slug="prompt", problem=f"{new} begins with the prompt", hint="Only the new ids.")
    check.equal(len(new), 2, slug="length", hint="`count` tokens are added, one in each round.",
                when="new ids after two rounds")  # fmt: skip
    check.that(
        max(map(len, read)) <= 2, slug="too-many-live",
        problem=f"the model had to read {max(map(len, read))} sequences at once, with 2 beams",
        hint="After each round only the `beams` best stay live.",
    )  # fmt: skip
    check.that(
        len(read) == 1 or all(len(ids) == 2 for ids in read[1]), slug="reads-the-prompt",
        problem=f"in the second round the model read {read[1] if len(read) > 1 else None}",
        hint="A hypothesis is the prompt *and* what has been added to it: the model must read both.",
    )  # fmt: skip
    check.that(new != [0, 0], slug="greedy", problem="that is what greedy decoding finds",
               hint="Both tokens of the first round must stay live, so that the second can overtake.")  # fmt: skip
    check.equal(new, [1, 2], slug="best", when="the best of two rounds with 2 beams",
                hint="0.4 times 0.9 is more than 0.6 times 0.34.")  # fmt: skip
    check.close(
        total, math.log(0.36), slug="sum", when="the sum of the best", tolerance=1e-4,
        hint="The sum of a hypothesis is that of all its log-probabilities, from the first round on.",
    )  # fmt: skip
    total, new = answer(garden_path, [7], 1, 2)
    check.equal([int(token) for token in new], [0, 0], slug="one-beam", when="with a single beam",
                hint="One live hypothesis: that is greedy decoding.")  # fmt: skip

    def one_family(sequences):
        """Both of the best two after the second round come from token 0, and the second of them wins in the third."""
        table = {(): [0.9, 0.1], (0,): [0.52, 0.48], (0, 1): [0.01, 0.99]}
        return torch.tensor([table.get(tuple(ids[1:]), [0.5, 0.5]) for ids in sequences]).log()

    total, new = answer(one_family, [7], 2, 3)
    check.equal(
        [int(token) for token in new], [0, 1, 1], slug="same-parent", when="the best of three rounds with 2 beams",
        hint="Several of the best may come from one story, and none from another: each may go on in many ways.",
    )  # fmt: skip
    for beams, count in ((2, 6), (3, 5), (5, 4), (25, 3)):
        model = _Markov(torch.randn(5, 5, 5).log_softmax(-1))
        total, new = answer(model, [3, 1], beams, count)
        expected = _search_by_hand(model, [3, 1], beams, count)
        check.equal(
            [int(token) for token in new], expected[1], slug="random", when=f"{beams} beams, {count} rounds",
            hint="Each round: every live hypothesis by every token, and the best `beams` of all these; each of them "
            "goes on from its own parent's ids.",
        )  # fmt: skip
        check.close(
            float(total), expected[0], slug="random-sum", when=f"{beams} beams, {count} rounds: the sum",
            tolerance=1e-4, hint="A hypothesis keeps its own parent's sum, and adds its own token's.",
        )  # fmt: skip


class _Markov:
    """A model that looks two tokens back."""

    def __init__(self, log_probs: torch.Tensor):
        self.log_probs = log_probs

    def __call__(self, sequences) -> torch.Tensor:
        return torch.stack([self.log_probs[ids[-2], ids[-1]] for ids in sequences])


def _search_by_hand(model, ids: list[int], beams: int, count: int) -> tuple[float, list[int]]:
    live = [(0.0, [])]
    for _ in range(count):
        grown = [
            (total + float(value), [*new, token])
            for total, new in live
            for token, value in enumerate(model([[*ids, *new]])[0])
        ]
        live = sorted(grown, key=lambda one: -one[0])[:beams]
    return live[0]


@exercise("9.11", title="Positions and mask of new tokens", minutes=15, difficulty=3)
def positions_and_mask(answer, check):
    got = answer(5, 1)
    check.that(
        isinstance(got, tuple | list) and len(got) == 2 and all(isinstance(one, torch.Tensor) for one in got),
        slug="form", problem=f"got {shown(got)}", hint="Two tensors: positions, and the mask.",
    )  # fmt: skip
    positions, mask = got
    check.that(
        positions.flatten().tolist() != [0], slug="from-zero", problem="the sixth token was given position 0",
        hint="A new token stands behind what is kept: after 5 tokens comes position 5.",
    )  # fmt: skip
    check.that(
        positions.flatten().tolist() != [6], slug="off-by-one", problem="after 5 kept tokens the next position is 6?",
        hint="Positions count from 0: the kept ones are 0 to 4.",
    )  # fmt: skip
    check.equal(positions, torch.tensor([5]), slug="positions", hint="A whole number for each new token.")
    check.that(
        not positions.dtype.is_floating_point, slug="positions", problem=f"the positions are {positions.dtype}",
        hint="A position picks a row of a table: whole numbers, `torch.long`.",
    )  # fmt: skip
    check.that(
        tuple(mask.shape) != (1, 1), slug="only-new", problem="the mask has no columns for what is kept",
        hint="The new token must see all kept ones: a row for each new token, a column for each token that there is.",
    )  # fmt: skip
    check.shape(mask, (1, 6), slug="mask-shape", hint="(new, past + new).")
    seen = "True means: may be seen."
    check.that(mask.dtype == torch.bool, slug="bool", problem=f"the mask is {mask.dtype}", hint=seen)
    check.that(
        mask.tolist() != [[True] + [False] * 5], slug="not-shifted",
        problem="the new token sees the first kept one and nothing else",
        hint="`torch.ones(new, past + new).tril()` has its diagonal at column 0. It must be shifted by `past`.",
    )  # fmt: skip
    check.that(bool(mask.any()), slug="inverted", problem="the new token sees nothing at all", hint=seen)
    check.equal(mask.tolist(), [[True] * 6], slug="all-seen", hint="The newest token sees all others, and itself.")
    positions, mask = answer(2, 3)
    check.equal(positions, torch.tensor([2, 3, 4]), slug="positions", hint="past, past + 1, ... for each new token.")
    check.that(
        not bool(mask.all()), slug="future", problem="with three new tokens the first of them sees the other two",
        hint="New tokens come in a row: token i sees what is kept, itself, and the new ones before it.",
    )  # fmt: skip
    check.equal(
        mask, torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]).bool(), slug="mask",
        hint="Row i, at position past + i, may look at every column up to past + i.",
    )  # fmt: skip
    positions, mask = answer(0, 4)
    check.equal(mask, torch.ones(4, 4).tril().bool(), slug="nothing-kept", hint="Nothing kept: the usual mask.")
    check.equal(positions, torch.arange(4), slug="nothing-kept", hint="With nothing kept positions begin at 0.")


@exercise("9.12", title="What a block keeps", minutes=10, difficulty=2)
def LayerCache(answer, check):
    class Owner:
        length, mask = 0, torch.ones(1, 3, dtype=torch.bool)

    owner = Owner()
    layer, other = answer(owner), answer(owner)
    k, v = torch.randn(2, 3, 7, 4), torch.randn(2, 3, 7, 4)  # (batch, n_head, time, d_head)
    got = layer.extend(k[:, :, :4], v[:, :, :4])
    check.that(
        isinstance(got, tuple | list) and len(got) == 3, slug="form", problem=f"`extend` returned {shown(got)}",
        hint="Three things: all keys, all values, and the mask, which the cache knows.",
    )  # fmt: skip
    check.that(
        owner.length == 0, slug="counts", problem=f"`self.cache.length` was 0 and is {owner.length} after `extend`",
        hint="All blocks share it, and each would count again: the whole model's cache counts, when all have read.",
    )  # fmt: skip
    first = "the first four tokens"
    check.shape(got[0], (2, 3, 4, 4), slug="shape", when=first, hint="(batch, n_head, tokens so far, d_head).")
    check.that(not near(got[0], v[:, :, :4]), slug="swapped", problem="the keys are the values",
               hint="Keys first, then values.")  # fmt: skip
    for name, each, expected in (("keys", got[0], k), ("values", got[1], v)):
        check.close(each, expected[:, :, :4], slug="first", when=f"{name} after {first}",
                    hint="With nothing kept what comes back is what was given.")  # fmt: skip
    owner.length = 4
    for at in (4, 5, 6):
        try:
            got = layer.extend(k[:, :, at : at + 1], v[:, :, at : at + 1])
        except RuntimeError as error:
            hint = "Tokens stand on the third axis of (batch, n_head, tokens, d_head): that one grows."
            check.fail(f"`extend` with one more token: {error}", slug="axis", hint=hint)
        owner.length = at + 1
        check.that(
            got[0].shape[2] != 1, slug="forgets", problem="only the new token's keys come back",
            hint="What `extend` is given must be remembered, and come back with what was kept before.",
        )  # fmt: skip
        check.that(
            tuple(got[0].shape) not in {(4, 3, at, 4), (2, 6, at, 4)} and got[0].shape[0] == 2 and got[0].shape[1] == 3
            and got[0].shape[3] == 4, slug="axis", problem=f"the keys have shape {tuple(got[0].shape)} now",
            hint="Tokens stand on the third axis of (batch, n_head, tokens, d_head): that one grows.",
        )  # fmt: skip
        check.shape(
            got[0],
            (2, 3, at + 1, 4),
            slug="shape",
            when=f"keys after {at + 1} tokens",
            hint="All tokens so far, and no others: room that is not in use yet does not come back.",
        )
        check.that(
            not near(got[0][:, :, 0], k[:, :, at]), slug="in-front", problem="the newest token stands first",
            hint="Kept ones first, new ones behind them: the mask counts on it.",
        )  # fmt: skip
        for name, each, expected in (("keys", got[0], k), ("values", got[1], v)):
            check.close(each, expected[:, :, : at + 1], slug=f"{name}-kept", when=f"{name} after {at + 1} tokens",
                        hint="Those of all tokens so far, in their order, unchanged.")  # fmt: skip
    check.that(
        got[2] is owner.mask, slug="mask", problem=f"as its mask `extend` returned {shown(got[2])}",
        hint="Which keys a new query may see is known to the cache that the layer belongs to: `self.cache.mask`.",
    )  # fmt: skip
    owner.length = 0
    got = other.extend(k[:, :, :2], v[:, :, :2])
    check.shape(
        got[0], (2, 3, 2, 4), slug="shared", when="the first two tokens of a second LayerCache",
        hint="Every block has a cache of its own: what belongs to one stands on `self`, not on the class.",
    )  # fmt: skip


@exercise("9.13", title="The KV cache", minutes=30, difficulty=3)
def KVCache(answer, check):
    torch.manual_seed(9)
    model = GPT(GPTConfig(13, context_length=8, n_layer=2, n_head=2, d_model=16, tied_head=False, embedding_std=1.0))
    model.eval().requires_grad_(False)
    for parameter in model.blocks.parameters():
        parameter.mul_(20) if parameter.dim() == 2 else None  # attention has a say: every mistake shows
    model.wpe.weight.mul_(40)  # and so have positions
    read, original = [], model.hidden

    def hidden(ids, cache=None):
        read.append((ids.shape[1], cache is not None))
        return original(ids, cache=cache)

    ids = [check.random.randrange(13) for _ in range(20)]

    def expected(count: int) -> torch.Tensor:
        with torch.no_grad():
            return model.head(original(torch.tensor([ids[max(0, count - 8) : count]])))[0, -1]

    model.hidden = hidden
    cache = answer(model)
    given = ids[:3]
    after = "start(3 ids)"
    own = "Has every block a `LayerCache` of its own, and the mask a row for each new token, a column for all there is?"
    with _sizes_fit(check, after, "sizes", own):
        got = cache.start(given)
    check.that(isinstance(got, torch.Tensor), slug="form", problem=f"`start` returned {shown(got)}",
               hint="`start` and `append` return logits.")  # fmt: skip
    check.shape(got, (13,), slug="shape", when=after, hint="The logits of what follows the last token, (vocab_size,).")
    check.equal(given, ids[:3], slug="changes-input", when="the ids given to `start`, afterwards",
                hint="Keep a copy of the ids: `list(ids)`.")  # fmt: skip
    check.that(read[-1][1], slug="not-handed-over", problem="the model read without the cache",
               hint="`self.model.hidden(ids, cache=self)`: else nothing is kept.")  # fmt: skip
    check.that(
        near(got, expected(3), 1e-3), slug="start", problem=f"after {after} a logit is {_apart(got, expected(3))} away "
        "from the model's own", hint="With nothing kept it is the plain forward pass: positions from 0, and the usual "
        "causal mask. Are the logits those of the *last* token?",
    )  # fmt: skip
    for count in range(4, 9):
        with _sizes_fit(check, f"token {count}, appended", "sizes", own):
            got = cache.append(ids[count - 1])
        check.equal(given, ids[:3], slug="changes-input", when="the ids given to `start`, after `append`",
                    hint="The list belongs to whoever called: keep a copy of it, `list(ids)`.")  # fmt: skip
        check.that(
            read[-1][0] == 1, slug="reads-again", problem=f"to append one token the model read {read[-1][0]}",
            hint="What was read is kept. `append` reads the new token and nothing else.",
        )  # fmt: skip
        check.that(
            near(got, expected(count), 1e-3), slug="append",
            problem=f"after {count} tokens a logit is {_apart(got, expected(count))} away from the model's own",
            hint="Has the new token the position behind what is kept (`length` grows with every read, but only *after* "
            "it), and a mask as wide as all tokens so far? Has every block a `LayerCache` of its own?",
        )  # fmt: skip
    read.clear()
    ninth, anew = "the ninth token, with a context of 8", "When a window is read again, nothing kept may be left over."
    try:
        with _sizes_fit(check, ninth, "old-layers", f"{anew} Do the layers still hold old keys?"):
            got = cache.append(ids[8])
    except (CourseError, IndexError) as error:
        hint = "The model has no ninth position. What is left when the oldest token falls out?"
        check.fail(f"{ninth}: {type(error).__name__}: {error}", slug="past-the-context", hint=hint)
    check.that(
        near(got, expected(9), 1e-3), slug="slides", problem=f"past the context a logit is {_apart(got, expected(9))} "
        "away from that of the last 8 tokens read alone", hint="When the oldest token falls out every other one moves "
        "to another position, so no kept key is right any more: read the last `context_length` tokens again.",
    )  # fmt: skip
    for count in (10, 11):
        check.that(
            near(cache.append(ids[count - 1]), expected(count), 1e-3), slug="slides-on",
            problem=f"after {count} tokens, with a context of 8, the logits are not those of the last 8",
            hint="Which ids does the cache know after it has slid once? It needs the newest `context_length`.",
        )  # fmt: skip
    with _sizes_fit(check, "a second `start`", "start-again", anew):
        got = cache.start(ids[:3])
    check.that(
        near(got, expected(3), 1e-3), slug="start-again", problem="a second `start` still remembers the first text",
        hint="`start` begins anew: nothing kept, length 0, new layers.",
    )  # fmt: skip
    check.that(
        near(answer(model).start(ids[:20]), expected(20), 1e-3), slug="long-start",
        problem="`start` with more ids than the context holds", hint="It reads the last `context_length` of them.",
    )  # fmt: skip
    one, two = answer(model), answer(model)
    one.start(ids[:3]), two.start(ids[4:7])
    try:
        alone = near(one.append(ids[3]), expected(4), 1e-3)
    except RuntimeError:
        alone = False
    check.that(
        alone, slug="shared", problem="two caches disturb each other", hint="What a cache keeps stands on `self`."
    )


@contextmanager
def _sizes_fit(check, when: str, slug: str, hint: str):
    """What torch says of sizes that do not fit, as a message of this check."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, NotImplementedError):
            raise
        check.fail(f"{when}: {error}", slug=slug, hint=hint)


def _apart(got: torch.Tensor, expected: torch.Tensor) -> str:
    return f"{float((got - expected).abs().max()):.2g}"
