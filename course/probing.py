"""What notebook 11 asks probes for: positions of stories with labels that the grammar knows, and the streams there."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from course import interpret
from course.inside import Mentions
from course.mentions import role_of, token_roles
from course.skills import ROLES
from helpers.evaluation import evaluating, padded, story_rows
from helpers.model import GPT
from helpers.tokenizer import Tokenizer

AT_ONCE = 100  # stories that a model reads together, so that what it holds meanwhile stays small


@dataclass(frozen=True)
class Asked:
    """Positions with an answer each: `rows` and `at`, (N,) each, their tokens, (N,), and `labels`, (N,)."""

    rows: Tensor
    at: Tensor
    tokens: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Known:
    """Stories, what passes some places while a model reads them, and which role printed each of their tokens.

    Attributes:
        ids: (stories, T), padded on the right. inside: their tokens but for the end token in front, (stories, T).
        streams: by place, (stories, T, d_model). stories: their rows with text, plot and spans.
        roles, tokens: of the tokens inside, in order.
    """

    ids: Tensor
    inside: Tensor
    streams: dict[str, Tensor]
    stories: list[dict]
    roles: list[str | None]
    tokens: Tensor
    mentions: Mentions

    @classmethod
    def of(cls, model: GPT, tokenizer: Tokenizer, stories, places: list[str]) -> "Known":
        stories, context = list(stories), model.config.context_length
        rows = [row[:-1][:context] for row in story_rows(tokenizer, [story["text"] for story in stories])]
        ids, inside = padded(rows, "cpu")
        inside[:, 0] = False
        read = []
        with evaluating(model), torch.no_grad(), interpret.record(model, *places) as seen:
            for some in ids.split(AT_ONCE):
                model.hidden(some)
                read.append(dict(seen))
        streams = {place: torch.cat([each[place] for each in read]) for place in places}
        roles = [
            role for story, row in zip(stories, rows, strict=True) for role in token_roles(tokenizer, story, row)[1:]
        ]
        return cls(ids, inside, streams, stories, roles, ids[inside], Mentions.of(tokenizer, stories, context))

    def at(self, place: str, asked: Asked) -> Tensor:
        """What passed a place at the positions that are asked: (N, d_model)."""
        return self.streams[place][asked.rows, asked.at]

    @property
    def counts(self) -> Counter:
        """How many tokens each role printed."""
        return Counter(role for role in self.roles if role)

    def asked(self, rows: Tensor, at: Tensor, labels: list[int]) -> Asked:
        return Asked(rows, at, self.ids[rows, at], torch.tensor(labels))

    def at_the_middle(self, names: list[str], answers: list[str | None]) -> Asked:
        """Each story asked at its middle for an answer: one of `names`; stories without one are left out."""
        rows = torch.tensor([row for row, answer in enumerate(answers) if answer in names])
        middle = self.inside.sum(1)[rows] // 2
        return self.asked(rows, middle, [names.index(answers[row]) for row in rows.tolist()])

    def printed(self, role: str) -> list[str | None]:
        """The first word that a role printed in each story, in lower case; None where it printed nothing."""
        found = []
        for story in self.stories:
            spans = sorted((span for span in story["spans"] if role_of(span) == role), key=lambda span: span["start"])
            found.append(story["text"][spans[0]["start"] : spans[0]["end"]].lower() if spans else None)
        return found

    def due(self) -> Asked:
        """Before each forced word: which of `ROLES` it has."""
        mentions = self.mentions
        return self.asked(mentions.rows, mentions.at, [ROLES.index(role) for role in mentions.roles.tolist()])

    def forced(self) -> Asked:
        """Before each forced word (1), and before as many tokens that no variable decides (0), drawn by chance."""
        mentions = self.mentions
        quiet_rows, quiet_at = mentions.quiet
        some = torch.randperm(len(quiet_rows), generator=torch.Generator().manual_seed(0))[: len(mentions.rows)]
        rows = torch.cat([mentions.rows, quiet_rows[some]])
        at = torch.cat([mentions.at, quiet_at[some]])
        return self.asked(rows, at, [1] * len(mentions.rows) + [0] * len(some))

    def named(self) -> Asked:
        """At each token of a name: the hero's (0) or the friend's (1)."""
        rows, at = self.inside.nonzero().T
        which = [i for i, role in enumerate(self.roles) if role in ("hero", "friend")]
        return self.asked(rows[which], at[which], [int(self.roles[i] == "friend") for i in which])


QUESTIONS = (
    "plot, at the middle",
    "the hero's kind, at the middle",
    "the toy's color, at the middle",
    "hero or friend, at a name",
    "a word of a role is due",
    "role of the word that is due",
)


def questions(fit: Known, test: Known) -> dict[str, tuple[Asked, Asked, int]]:
    """What probes are asked: for each of `QUESTIONS` where to fit, where to test, and how many classes there are."""
    found = {}
    for name, role in zip(QUESTIONS[:3], (None, "kind", "color"), strict=True):
        of_fit, of_test = (
            [s["plot"] for s in each.stories] if role is None else each.printed(role) for each in (fit, test)
        )
        names = sorted({answer for answer in of_fit if answer})
        found[name] = fit.at_the_middle(names, of_fit), test.at_the_middle(names, of_test), len(names)
    found[QUESTIONS[3]] = fit.named(), test.named(), 2
    found[QUESTIONS[4]] = fit.forced(), test.forced(), 2
    found[QUESTIONS[5]] = fit.due(), test.due(), len(ROLES)
    return found


@dataclass(frozen=True)
class Friends:
    """Mentions of heroes whose friend was named before: `which` of all mentions, and the friend's token for each."""

    which: Tensor
    friend: Tensor
    mentions: Mentions

    @classmethod
    def of(cls, known: Known, tokenizer: Tokenizer) -> "Friends":
        mentions, which, tokens = known.mentions, [], []
        names = known.printed("friend")
        for i in mentions.of_role("hero").nonzero().flatten().tolist():
            name = names[int(mentions.rows[i])]
            if name is None:
                continue
            spelled = {tokenizer.encode(space + name.capitalize())[0] for space in ("", " ")}
            said = set(known.ids[mentions.rows[i], : mentions.at[i] + 1].tolist())
            if not spelled & said:
                continue  # the friend comes later
            if rivals := spelled & set(mentions.rivals[i][1:]):
                which.append(i)
                tokens.append(rivals.pop())
        return cls(torch.tensor(which), torch.tensor(tokens), mentions)

    def shares(self, logits: Tensor) -> tuple[float, float]:
        """How often the hero's name, and how often the friend's, is given more than any other name; logits (N, V)."""
        firsts = []
        for i, each in zip(self.which.tolist(), logits[self.which], strict=True):
            rivals = torch.tensor(self.mentions.rivals[i])
            firsts.append(int(rivals[each[rivals].argmax()]))
        first = torch.tensor(firsts)
        hero, friend = (first == self.mentions.true[self.which]), first == self.friend
        return hero.float().mean().item(), friend.float().mean().item()
