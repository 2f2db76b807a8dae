"""Where a head looks, to be clicked through: a layer, a head, a token, and the text shaded by that token's attention.

`as_html` does the work and needs no widgets. Without `ipywidgets`, or on a page that is only read, there is the picture
`attention_on_text` of one token.
"""

import html
from collections.abc import Sequence

import numpy as np

from course.figures import style
from course.figures.inside_maps import attention_on_text, shade
from course.figures.inside_words import head_name, in_text
from course.figures.language_models import label
from course.playground import display_controls
from helpers.errors import CourseError


def attention_viewer(tokens: Sequence[str], maps: np.ndarray, layer: int, head: int, at: int = -1) -> "AttentionViewer":
    """Let it be the last line of a cell: the picture of one head, and below it the controls for all heads.

    Args:
        tokens: how they read, (T,). maps: attention of every head, (n_layer, n_head, T, T).
        layer, head: which is shown first, counted from 0 as in code.
        at: the token that looks first.

    Raises:
        CourseError: the maps do not fit the tokens, or there is no such head or token.
    """
    return AttentionViewer(tokens, maps, layer, head, at)


def as_html(tokens: Sequence[str], weights: Sequence[float], at: int) -> str:
    """A text as a piece of a page: each token on a ground as dark as the attention that `at` gives it.

    It brings its own light ground and dark letters, so that it can be read on a dark page too.
    A tooltip has the weight.
    """
    body = "".join(_token(token, float(weights[i]), i, at) for i, token in enumerate(tokens))
    note = f'<div style="color:{style.QUIET};font-family:sans-serif">{html.escape(_said(tokens, weights, at))}</div>'
    return (
        f'<div style="background:{style.GROUND};color:{style.INK};padding:10px 14px;border:1px solid {style.SKY};'
        f'line-height:2;max-width:820px;font-family:monospace">{body}{note}</div>'
    )


def _token(token: str, weight: float, number: int, at: int) -> str:
    ground = shade(weight)
    ink = style.text_colour(ground) if number <= at else style.QUIET
    frame = f"outline:2px solid {style.INK};outline-offset:1px;font-weight:bold;" if number == at else ""
    what = "looks; to itself" if number == at else "later" if number > at else "looked at"
    tip = html.escape(f"{label(token)}, position {number}, {what}: {weight:.3f}", quote=True)
    word = html.escape(in_text(token)).replace(" ", "\N{NO-BREAK SPACE}")
    look = f"background:{ground};color:{ink};{frame}padding:2px 0;border-radius:2px"
    chip = f'<span title="{tip}" style="{look}">{word}</span>'
    return chip + ("<br>" if "\n" in token else "<wbr>")


def _said(tokens: Sequence[str], weights: Sequence[float], at: int) -> str:
    best = [i for i in np.argsort(weights)[::-1][:3].tolist() if weights[i] > 0]
    most = ", ".join(f"“{label(tokens[i])}” at {i} ({weights[i]:.2f})" for i in best)
    return f"“{label(tokens[at])}” at position {at} looks most at {most or 'nothing'}"


class AttentionViewer:
    """What `attention_viewer` gives: a picture that is stored with a notebook, and controls where widgets are."""

    def __init__(self, tokens: Sequence[str], maps: np.ndarray, layer: int, head: int, at: int = -1):
        self.tokens, self.maps = list(tokens), np.asarray(maps, dtype=float)
        T = len(self.tokens)
        if self.maps.ndim != 4 or self.maps.shape[2:] != (T, T) or not T:
            raise CourseError(f"{T} tokens need maps (n_layer, n_head, {T}, {T}), and these are {self.maps.shape}")
        n_layer, n_head = self.maps.shape[:2]
        if layer not in range(n_layer) or head not in range(n_head):
            raise CourseError(f"layer {layer}, head {head}: there are {n_layer} layers with {n_head} heads, from 0")
        if at not in range(-T, T):
            raise CourseError(f"token {at} cannot look: there are {T}, from 0")
        self.layer, self.head, self.at = layer, head, at % T

    def weights(self, layer: int, head: int, at: int) -> np.ndarray:
        """How much the token at `at` looks at each token, (T,)."""
        return self.maps[layer, head, at]

    @property
    def picture(self) -> style.Picture:
        """The head and the token that are shown first."""
        title = f"Head {head_name(self.layer, self.head)}: where “{in_text(self.tokens[self.at]).strip()}” looks"
        return attention_on_text(self.tokens, self.weights(self.layer, self.head, self.at), self.at, title)

    def __repr__(self) -> str:
        said = _said(self.tokens, self.weights(self.layer, self.head, self.at), self.at)
        return f"Head {head_name(self.layer, self.head)}: {said}"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.picture)
        display_controls(self.widget)

    def widget(self):
        """The choices and the shaded text, as an `ipywidgets` box."""
        import ipywidgets as w

        n_layer, n_head = self.maps.shape[:2]
        like = {"style": {"description_width": "60px"}, "layout": w.Layout(width="160px")}
        layer = w.Dropdown(options=list(range(n_layer)), value=self.layer, description="layer", **like)
        head = w.Dropdown(options=list(range(n_head)), value=self.head, description="head", **like)
        at = w.SelectionSlider(
            options=[(f"{i}: {label(token)}", i) for i, token in enumerate(self.tokens)], value=self.at,
            description="looking", continuous_update=True, style={"description_width": "60px"},
            layout=w.Layout(width="460px"),
        )  # fmt: skip
        place = w.HTML()

        def show(_=None) -> None:
            place.value = as_html(self.tokens, self.weights(layer.value, head.value, at.value), at.value)

        for control in (layer, head, at):
            control.observe(show, names="value")
        show()
        return w.VBox([w.Box([layer, head, at], layout=w.Layout(flex_flow="row wrap")), place])
