"""What notebook 11 looks at: places of stories at which the truth is known, and what a model does there.

The grammar of the bundled stories says where it named its hero, the friend, the toy and the color again
(`course.skills`). A head that copies shows itself there by where it looks.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from course import artifact, interpret
from course.export import export
from course.mentions import mentions_of
from course.rementions import RementionAccuracy
from course.skills import ROLES, Skills
from helpers.checkpoint import load_model
from helpers.errors import CourseError
from helpers.evaluation import evaluating, padded
from helpers.files import data_folder
from helpers.model import GPT
from helpers.stories import load_stories
from helpers.tokenizer import Tokenizer

AT_ONCE = 20  # stories whose logits are held together
REPEATED, LENGTH = 16, 40  # sequences of random tokens, and how many tokens are said twice
PLACES = ("normed", "qkv", "heads", "attention", "mlp", "stream")  # of each layer
REMEMBERS = 0.5  # recall of the hero from which on a model has what is looked for
TESTS = ("untouched", "without the head", "the head alone in its layer", "another head left out")


@dataclass(frozen=True)
class Mentions:
    """Stories, and the N positions in them after which a word comes that the story forces.

    Attributes:
        ids: the stories, (stories, T), padded on the right. inside: which of them are tokens of a story, (stories, T).
        rows, at: in which story, and at which position, the model is asked for the word, (N,) each.
        true: the token that comes, (N,). rivals: of each, the first tokens of its role's words, the true one first.
        roles: of each, its role, (N,). quiet: positions, as `rows` and `at`, whose next token no variable decides.
    """

    ids: Tensor
    inside: Tensor
    rows: Tensor
    at: Tensor
    true: Tensor
    rivals: list[tuple[int, ...]]
    roles: np.ndarray
    quiet: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, tokenizer, stories: Iterable[dict], context: int) -> "Mentions":
        """The mentions in stories with spans, such as the data set of the bundled validation stories."""
        skills = Skills(tokenizer, stories)
        ids, inside = padded([row[:-1][:context] for row in skills.rows], "cpu")
        targets = [target for target in skills.targets if target.at < context]
        places = [(target.row, target.at, target.rivals[0]) for target in targets]
        rows, at, true = torch.tensor(places, dtype=torch.long).view(-1, 3).T
        quiet = [(row, at) for row, marks in enumerate(skills.quiet) for at in marks if at < ids.shape[1] - 1]
        return cls(
            ids,
            inside,
            rows,
            at,
            true,
            [target.rivals for target in targets],
            np.array([target.role for target in targets], dtype=str),
            tuple(torch.tensor(quiet, dtype=torch.long).view(-1, 2).T),
        )

    def of_role(self, role: str) -> Tensor:
        """Which mentions are of a role: (N,) of bool."""
        return torch.as_tensor(self.roles == role)

    @torch.no_grad()
    def logits(self, model: GPT) -> Tensor:
        """What a model says at the mentions: (N, V)."""
        with evaluating(model):
            return model.head(model.hidden(self.ids)[self.rows, self.at])

    def right(self, logits: Tensor) -> Tensor:
        """Whether the true word is given more than any rival: (N,), 1.0 or 0.0."""
        firsts = [float(logits[i, list(each)].argmax() == 0) for i, each in enumerate(self.rivals)]
        return torch.tensor(firsts)

    def probability(self, logits: Tensor) -> Tensor:
        """The probability of the true word's token: (N,)."""
        return logits.softmax(-1)[range(len(self.true)), self.true]

    def contrast(self, vocab_size: int) -> Tensor:
        """Of each mention 1 for the true word's token, less the mean of its rivals': (N, V). Times logits: a margin."""
        rows = torch.zeros(len(self.true), vocab_size)
        for row, (true, *others) in zip(rows, self.rivals, strict=True):
            row[others] = -1 / len(others)
            row[true] = 1
        return rows

    @torch.no_grad()
    def nats(self, model: GPT) -> float:
        """The loss of all tokens of the stories but the last of each, in nats per token."""
        nats, count = 0.0, 0
        with evaluating(model):
            stream = model.hidden(self.ids)  # of all stories at once, as a patch of `left_out` expects; logits are not
            chunks = (each.split(AT_ONCE) for each in (stream, self.ids, self.inside))
            for hidden, ids, inside in zip(*chunks, strict=True):
                log_probs = model.head(hidden[:, :-1]).log_softmax(-1)
                follows = inside[:, 1:]  # where a token of the story comes next
                nats -= log_probs.gather(-1, ids[:, 1:, None])[..., 0][follows].double().sum().item()
                count += int(follows.sum())
        return nats / count

    @torch.no_grad()
    def quiet_nats(self, model: GPT) -> Tensor:
        """The loss of each token that no variable decides, in nats: (M,), in the order of `quiet`."""
        with evaluating(model):
            return self._quiet_nats(model, model.hidden(self.ids))

    def _quiet_nats(self, model: GPT, stream: Tensor) -> Tensor:
        rows, at = self.quiet
        logits = model.head(stream[rows, at])
        return -logits.log_softmax(-1)[range(len(at)), self.ids[rows, at + 1]]

    @torch.no_grad()
    def measure(self, model: GPT) -> dict[str, tuple[float, float]]:
        """By role recall, then "probability", of the true word, and "quiet", the loss of quiet tokens: from one run.

        Each with its standard error over stories.
        """
        with evaluating(model):
            stream = model.hidden(self.ids)
            logits, quiet = model.head(stream[self.rows, self.at]), self._quiet_nats(model, stream)
        right, found = self.right(logits), {}
        for role in dict.fromkeys(self.roles.tolist()):
            mine = self.of_role(role)
            found[role] = mean_with_error(right[mine], self.rows[mine])
        found["probability"] = mean_with_error(self.probability(logits), self.rows)
        return found | {"quiet": mean_with_error(quiet, self.quiet[0])}


def subject() -> tuple[GPT, Tokenizer, str]:
    """The model that is looked into, its tokenizer, and whose it is: the learner's own storyteller, or the shipped one.

    The learner's own is taken where it has learned what the notebook looks for: from the bundled stories, in two
    layers or more, with nothing but additions on its stream. Prints why where it is not.
    """
    own, shipped = artifact("storyteller"), data_folder() / "storyteller"
    model, tokenizer = load_model(own)
    if own == shipped:
        return model, tokenizer, "the shipped storyteller"
    if model.config.norm != "pre" or model.config.n_layer < 2:
        reason = "it needs two layers and norm='pre'"
    else:
        few = load_stories("bundled", "validation").dataset.select(range(40))
        mentions = Mentions.of(tokenizer, few, model.config.context_length)
        right = mentions.right(mentions.logits(model))[mentions.of_role("hero")]
        if len(right) and right.mean() >= REMEMBERS:
            return model, tokenizer, "your own storyteller"
        reason = f"it recalls the hero's name in {right.mean():.0%} of the bundled stories' mentions"
        if not len(right):
            reason = "no name comes again within its context"
    print(f"Your own storyteller is left aside, because {reason}: this is about the shipped one.")
    return *load_model(shipped), "the shipped storyteller"


def in_your_gpt(model: GPT, module: ModuleType) -> GPT:
    """The same weights in the learner's own GPT (`course.mine.load()`), where hooks find in it what they look for.

    Prints why where they do not: a model can compute the same and be built of other modules.
    """
    places = [f"{name}.{i}" for name in PLACES for i in range(model.config.n_layer)] + ["embedding", "final"]
    ids = torch.arange(min(16, model.config.context_length, model.config.vocab_size))[None]
    try:
        own = module.GPT(model.config).eval()
        own.load_state_dict(model.state_dict())
        with torch.no_grad():
            seen = []
            for each in (model.eval(), own):
                with interpret.record(each, *places) as found:
                    each.hidden(ids)
                seen.append(found | {"attention maps": interpret.attention_maps(each, ids)})
        apart = [place for place in seen[0] if not torch.allclose(seen[0][place], seen[1][place], atol=1e-4)]
        reason = f"{apart[0]!r} is not what it is in the course's" if apart else ""
    except Exception as error:  # a learner's own class: anything may be missing
        reason = f"{type(error).__name__}: {error}".split("\n")[0][:200]
    if reason:
        print(
            f"Hooks do not find their places in your GPT ({reason}): the course's GPT stands in, with the same weights."
        )
        return model
    return own


def forced_starts(story: dict, tokenizer: Tokenizer) -> list[int]:
    """Where, in characters, a story names something of `course.skills.ROLES` again that it forces."""
    return [mention.start for mention in mentions_of(story, tokenizer, set(ROLES))]


def mean_with_error(values: Tensor, rows: Tensor) -> tuple[float, float]:
    """A mean, and its standard error where the values of one story, with the same row, belong together.

    The error is that of a ratio of sums over stories (Cochran 1977, "Sampling Techniques", section 6.3).
    """
    stories, where = rows.unique(return_inverse=True)
    sums = torch.zeros(len(stories), dtype=torch.float64).index_add(0, where, values.double())
    counts = torch.zeros(len(stories), dtype=torch.float64).index_add(0, where, torch.ones(len(rows)).double())
    mean = sums.sum() / counts.sum()
    spread = ((sums - mean * counts) ** 2).sum() * len(stories) / max(len(stories) - 1, 1)
    return mean.item(), (spread.sqrt() / counts.sum()).item()


class Recall(NamedTuple):
    """How often a word is right that was last named so far back: hits of mentions, within an interval.

    Attributes:
        distance: the shortest of its range, in tokens; the range goes up to the next one of `course.mentions.BINS`.
        right: the fraction. low, high: its Wilson interval (1927) of 95%. mentions: how many there are.
    """

    distance: int
    right: float
    low: float
    high: float
    mentions: int


def by_distance(found: RementionAccuracy, role: str) -> list[Recall]:
    """Recall of one role by the distance to the last mention, the nearest first; ranges without a mention are left out.

    The interval is that of independent mentions. Unlike a standard error it is not empty where nothing was missed.
    """
    rows = []
    for distance, score in sorted(found.bins[role].items()):
        n, z = score.mentions, 1.96
        middle, spread = score.all + z * z / (2 * n), z * (score.all * (1 - score.all) / n + (z / (2 * n)) ** 2) ** 0.5
        low, high = ((middle + sign * spread) / (1 + z * z / n) for sign in (-1, 1))
        rows.append(Recall(distance, score.all, min(low, score.all), max(high, score.all), n))
    return rows


def looked_back(maps: Tensor, ids: Tensor, rows: Tensor, at: Tensor, true: Tensor) -> Tensor:
    """How much each head looks, from places of stories, at where a token stood before: (N, n_layer, H).

    Args:
        maps: (n_layer, stories, H, T, T), of `course.interpret.attention_maps`. ids: (stories, T).
        rows, at: which position of which story looks, (N,) each. true: the token that is looked for, (N,).
    """
    stood = (ids[rows] == true[:, None]).to(maps.dtype)  # (N, T); attention to what comes later is 0 anyway
    looks = maps[:, rows, :, at]  # (N, n_layer, H, T)
    return torch.einsum("nlht,nt->nlh", looks, stood)


def copiers(model: GPT, mentions: Mentions) -> dict[str, tuple[int, int]]:
    """For each role the (layer, head) that looks back most at the true word."""
    return {role: divmod(int(looks.argmax()), model.config.n_head) for role, looks in _looks(model, mentions).items()}


def _looks(model: GPT, mentions: Mentions) -> dict[str, Tensor]:
    """For each role how much each head looks back at the true word, on average: (n_layer, H)."""
    maps = interpret.attention_maps(model, mentions.ids)
    looks = looked_back(maps, mentions.ids, mentions.rows, mentions.at, mentions.true)  # (N, n_layer, H)
    return {role: looks[mentions.of_role(role)].mean(0) for role in dict.fromkeys(mentions.roles.tolist())}


@contextmanager
def left_out(model: GPT, ids: Tensor, heads: Iterable[tuple[int, int]], how: str = "mean") -> Iterator[None]:
    """While this is open, heads, each (layer, head), say what `course.interpret.stand_in` says instead of them."""
    heads = list(heads)
    with interpret.record(model, *{f"heads.{layer}" for layer, _ in heads}) as seen, torch.no_grad():
        model.hidden(ids)
    with ExitStack() as patches:
        for layer, head in heads:
            instead = interpret.stand_in(seen[f"heads.{layer}"], how, torch.Generator().manual_seed(0))
            patches.enter_context(interpret.patch(model, f"heads.{layer}", instead, np.s_[:, :, head]))
        yield


def three_tests(model: GPT, mentions: Mentions) -> dict:
    """Is a role's word carried by the head that looks back at it? By role: the head, and for each of `TESTS` recall.

    "without the head" asks whether it is necessary, "the head alone in its layer" whether it is sufficient; whether it
    is specific is asked of "another head left out", of the recall of the other roles and of the tokens that no
    variable decides. Each number comes with its standard error over stories.
    """
    heads, rows, quiet = copiers(model, mentions), mentions.rows, mentions.quiet[0]
    untouched = mentions.right(mentions.logits(model))
    tried = {copier: _tried(model, mentions, copier, set(heads.values())) for copier in set(heads.values())}
    found = {"quiet": mean_with_error(mentions.quiet_nats(model), quiet), "roles": {}}
    for role, copier in heads.items():
        mine = mentions.of_role(role)
        right, quiet_nats = tried[copier]
        right = {TESTS[0]: untouched} | right
        chance = [1 / len(each) for each, is_mine in zip(mentions.rivals, mine, strict=True) if is_mine]
        found["roles"][role] = {
            "head": "{}.{}".format(*copier),
            "chance": sum(chance) / len(chance),
            "recall": {test: mean_with_error(each[mine], rows[mine]) for test, each in right.items()},
            "quiet without it": mean_with_error(quiet_nats[TESTS[1]], quiet),
            "quiet without another": mean_with_error(quiet_nats[TESTS[3]], quiet),
            "others without it": {
                other: mean_with_error(right[TESTS[1]][mentions.of_role(other)], rows[mentions.of_role(other)])
                for other in heads
                if heads[other] != copier
            },
        }
    return found


def _tried(model: GPT, mentions: Mentions, copier: tuple[int, int], copiers: set) -> tuple[dict, dict]:
    """In each test of a head, which mentions are right, and the loss of the quiet tokens."""
    layer, head = copier
    others = [(layer, each) for each in range(model.config.n_head) if each != head]
    bystander = next((each for each in others if each not in copiers), others[0])
    right, quiet_nats = {}, {}
    for test, out in zip(TESTS[1:], ([copier], others, [bystander]), strict=True):
        with left_out(model, mentions.ids, out):
            right[test] = mentions.right(mentions.logits(model))
            quiet_nats[test] = mentions.quiet_nats(model)
    return right, quiet_nats


def glance(model: GPT, tokenizer: Tokenizer, skills: Skills, mentions: Mentions) -> dict:
    """What a model can do, and what its heads look at, in plain numbers: for a record of how skills arrive."""
    return {"skills": skills.measure(model)} | heads_now(model, tokenizer, mentions)


def heads_now(model: GPT, tokenizer: Tokenizer, mentions: Mentions) -> dict:
    """{"heads": scores of all heads, (n_layer, H) each}, in plain numbers, of a model that may be on its way.

    The weights are looked at in the course's GPT on the CPU, wherever and in whatever class they are trained; {} where
    they do not fit it, or it has no stream to look at. Nothing random is drawn from global generators.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            twin = GPT(model.config)
        twin.load_state_dict({name: value.detach().cpu() for name, value in model.state_dict().items()})
        interpret.require_pre_ln(twin)
    except (AttributeError, RuntimeError, CourseError):
        return {}
    twin.eval()
    generator = torch.Generator().manual_seed(0)
    length = min(LENGTH, (twin.config.context_length - 1) // 2)
    with torch.no_grad():
        twice = interpret.repeated_tokens(twin, REPEATED, length, tokenizer.eos_token_id, generator)
        maps = interpret.attention_maps(twin, twice)
        scores = {
            "previous": interpret.previous_token_scores(maps).tolist(),
            "induction": interpret.induction_scores(maps, length).tolist(),
        }
        scores |= {f"looks at {role}": looks.tolist() for role, looks in _looks(twin, mentions).items()}
    return {"heads": scores}


def through_transformer_lens(model: GPT, tokenizer: Tokenizer, ids: Tensor) -> None:
    """Load a model into TransformerLens (4.0 or later), where it is installed, and print how far apart the two are."""
    try:
        from transformer_lens.model_bridge import TransformerBridge
    except ImportError:
        print("TransformerLens is not installed here: pip install transformer_lens")
        return
    with tempfile.TemporaryDirectory() as folder:
        export(model, tokenizer, folder, card="a storyteller that is looked into")
        theirs = TransformerBridge.boot_transformers(folder, device="cpu")
    with torch.no_grad():
        logits, cache = theirs.run_with_cache(ids)
        maps = torch.stack([cache[f"blocks.{layer}.attn.hook_pattern"] for layer in range(model.config.n_layer)])
        apart = (logits - model(ids)).abs().max(), (maps - interpret.attention_maps(model, ids)).abs().max()
    print(f"TransformerLens: logits apart by {apart[0]:.0e} at most, attention by {apart[1]:.0e}")
