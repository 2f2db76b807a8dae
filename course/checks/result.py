"""The verdict on an answer, and how a notebook and a terminal show it."""

import html
import re
import sys
from dataclasses import dataclass

NOT_ATTEMPTED, RIGHT, WRONG = "not attempted", "right", "wrong"


@dataclass(frozen=True)
class Result:
    """The verdict on an answer: `state` is "not attempted", "right" or "wrong"; `slug` names the check that
    failed.
    """

    number: str
    title: str
    state: str
    passed: int = 0  # checks that passed
    slug: str | None = None
    problem: str = ""  # what is wrong
    hint: str = ""  # where to look
    printed: str = ""  # what the learner's own code printed meanwhile
    goes_on: str = ""  # with what the notebook goes on

    @property
    def verdict(self) -> str:
        return self._verdict + (f"; {self.goes_on}" if self.goes_on else "")

    @property
    def _verdict(self) -> str:
        if self.state == NOT_ATTEMPTED:
            return "not attempted yet"
        checks = f"{self.passed} check{'' if self.passed == 1 else 's'}"
        return f"right ({checks} passed)" if self.state == RIGHT else f"not right yet ({checks} passed before this one)"

    def _lines(self) -> list[tuple[str, str]]:
        rows = [
            ("what happened", self.problem),
            ("where to look", self.hint),
            ("your code printed", self.printed),
        ]
        return [(label, text) for label, text in rows if text]

    def __repr__(self) -> str:
        return as_text(self.state, f"Exercise {self.number}, {self.title}: {self.verdict}", self._lines())

    def _repr_html_(self) -> str:
        return as_html(self.state, f"Exercise {self.number}, {self.title}:", self.verdict, self._lines())


def as_text(state: str, headline: str, lines: list[tuple[str, str]]) -> str:
    """A verdict in a terminal: a headline, and below it labelled lines."""
    mark = {NOT_ATTEMPTED: "[ ]", RIGHT: "[x]", WRONG: "[!]"}[state]
    shown = [f"{mark} {headline}"]
    for label, text in lines:
        first, *rest = text.split("\n")
        shown += [f"    {label}: {first}", *(f"        {line}" for line in rest)]
    return "\n".join(shown)


def as_html(state: str, name: str, verdict: str, lines: list[tuple[str, str]]) -> str:
    """The same in a notebook: a box whose colour and mark tell the state; backquotes in the verdict make code."""
    looks = {
        NOT_ATTEMPTED: ("#8a8b94", "&#9675;"),
        RIGHT: ("#2f9e8f", "&#10003;"),
        WRONG: ("#c2476f", "&#10007;"),
    }
    colour, mark = looks[state]
    rows = "".join(
        f'<div style="margin-top:4px"><em>{label}:</em> '
        f'<span style="white-space:pre-wrap">{html.escape(text)}</span></div>'
        for label, text in lines
    )
    return (
        f'<div style="border-left:4px solid {colour};padding:4px 12px;margin:4px 0;line-height:1.45">'
        f"{mark} <strong>{html.escape(name)}</strong> "
        f"{_with_code(verdict)}{rows}</div>"
    )


def _with_code(text: str) -> str:
    """Text as HTML, what stands in backquotes as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def show(result) -> None:
    """Show a verdict, or what has both its forms, as the output of a notebook's cell; elsewhere as text."""
    if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
        sys.modules["IPython"].display.display(result)
    else:
        print(result)
