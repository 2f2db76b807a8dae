"""What a model can do already, cheap enough to be asked while it learns.

The grammar of the bundled stories records where it printed a variable. So a story's tokens fall into groups: those
that no variable decides ("grammar"), and those where the hero, the friend, the toy or its color is named again, long
after its last mention. The loss of each group is followed on its own. `course.rementions` asks the same more
thoroughly: it spells whole words, where this looks at a word's first token only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from course.mentions import BINS, mentions_of, token_roles, words_by_role
from helpers.errors import CourseError
from helpers.evaluation import evaluating, padded, story_rows

ROLES = ("hero", "friend", "toy", "color")
GRAMMAR = "grammar"


@dataclass(frozen=True)
class Target:
    """A token to be predicted: `rows[row][at + 1]`, from `rows[row][: at + 1]`, among the `rivals`."""

    role: str
    row: int
    at: int
    rivals: tuple[int, ...]  # the first tokens of all words of the role, the true one first


class Skills:
    """Fixed stories with the tokens at which a skill shows.

    Args:
        tokenizer: of the models that will be measured.
        stories: rows with `text` and `spans`, such as the data set of the bundled validation stories.
        roles: variables whose words are followed.
        shortest: tokens since the word's last mention, at least.
        words: the words of each role; collected from `stories` if None.

    Raises:
        CourseError: the stories carry no spans, or a role is not in them.
    """

    def __init__(
        self,
        tokenizer,
        stories: Iterable[dict],
        roles: Sequence[str] = ROLES,
        shortest: int = BINS[0],
        words: dict[str, list[str]] | None = None,
    ):
        stories = list(stories)
        if not stories or any("spans" not in story for story in stories):
            raise CourseError("skills need stories with their spans, such as the bundled validation stories")
        words = words or words_by_role(stories)
        if unknown := [role for role in roles if role not in words]:
            raise CourseError(f"no story has the role {unknown[0]!r}; there are {', '.join(sorted(words))}")
        self.roles = tuple(roles)
        self.rows = story_rows(tokenizer, [story["text"] for story in stories])
        self.targets: list[Target] = []
        first = {
            (role, space): {tokenizer.encode(" " * space + word)[0] for word in words[role]}
            for role in roles
            for space in (False, True)
        }
        self.chance = {role: 1 / len(first[role, True]) for role in roles}
        for number, (row, story) in enumerate(zip(self.rows, stories, strict=True)):
            for mention in mentions_of(story, tokenizer, set(roles), shortest):
                at = len(mention.context) - 1
                if row[: at + 1] != mention.context:
                    continue  # the word's first token begins elsewhere
                true = row[at + 1]
                rivals = sorted(first[mention.role, mention.space] - {true})
                self.targets.append(Target(mention.role, number, at, (true, *rivals)))
        self.quiet = [_outside_spans(tokenizer, story, row) for story, row in zip(stories, self.rows, strict=True)]

    @torch.inference_mode()
    def measure(self, model) -> dict[str, dict[str, float]]:
        """How well a model does, by group: {"grammar": {"nats": 1.2}, "hero": {"nats": 2.5, "right": 0.4}, ...}.

        "nats" is the mean of -log P(token); "right" the fraction of mentions at which the true word's first token was
        given more than that of any other word of the role. The model's mode is left as it was. What does not fit the
        model's context is left out.
        """
        context = model.config.context_length
        ids, _ = padded([row[:-1][:context] for row in self.rows], next(model.parameters()).device)
        with evaluating(model):
            hidden = model.hidden(ids)  # (stories, T, d_model)
        targets = [target for target in self.targets if target.at < context]
        quiet = [(n, at) for n, marks in enumerate(self.quiet) for at in marks if at < context]
        found = {GRAMMAR: {"nats": _mean(self._nats(model, hidden, quiet).tolist())}}
        where = [(target.row, target.at) for target in targets]
        logits = self._logits(model, hidden, where)  # (targets, V)
        nats = -logits.log_softmax(1)[range(len(targets)), [target.rivals[0] for target in targets]]
        right = [bool(logits[i, list(target.rivals)].argmax() == 0) for i, target in enumerate(targets)]
        for role in self.roles:
            if mine := [i for i, target in enumerate(targets) if target.role == role]:
                found[role] = {"nats": _mean([nats[i].item() for i in mine]), "right": _mean([right[i] for i in mine])}
        return found

    @staticmethod
    def _logits(model, hidden, where: list[tuple[int, int]]) -> torch.Tensor:
        at = torch.tensor(where, device=hidden.device).view(-1, 2)
        return model.head(hidden[at[:, 0], at[:, 1]]).float()

    def _nats(self, model, hidden, where: list[tuple[int, int]]) -> torch.Tensor:
        true = [self.rows[n][at + 1] for n, at in where]
        return -self._logits(model, hidden, where).log_softmax(1)[range(len(where)), true]


def _outside_spans(tokenizer, story: dict, row: Sequence[int]) -> list[int]:
    """The positions `at` in a row whose next token, `row[at + 1]`, holds no character that a variable printed."""
    return [at for at, role in enumerate(token_roles(tokenizer, story, row[:-1])[1:]) if role is None]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
