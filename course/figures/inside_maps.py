"""The inside of a model as colored text and as heat maps: roles, attention, scores of heads, patching, positions."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from course.figures import comparing, grids, inside_words, style, words
from course.figures.language_models import label

ROLES = {  # a pale ground, and a line below the word for those who see no color
    "hero": (style.SKY, "-"),
    "friend": ("#f6dfb4", (0, (3, 1.4))),
    "toy": ("#cfe8e2", (0, (0.9, 1.1))),
    "color": ("#f3cfdb", (0, (5, 1.2, 0.9, 1.2))),
}
OTHER = "#ebe9e2"
WIDE, LETTER = 88, 9  # letters in a line of text; pixels of one, a whole number, so that marks fit their words
WRITTEN = 0.05  # weights from here on are written below their token


def shade(weight: float) -> str:
    """The ground of a token that gets so much attention; small weights are seen too, since it goes by the root."""
    return to_hex(style.HEAT(0.95 * min(1.0, max(0.0, weight)) ** 0.5))


# ---------------------------------------------------------------------- text


def _page(bottom: float, pitch: float, title: str):
    """A figure for `WIDE` letters of fixed width a line, down to `bottom` lines of `pitch` inches; its font size."""
    height = bottom * pitch + 0.42
    fig, ax = style.canvas(height=height)
    fig.set_layout_engine("none")
    ax.set_position([0.01, 0.0, WIDE * LETTER / (style.WIDTH * style.DPI), 1 - 0.38 / height])
    ax.set(xlim=(0, WIDE), ylim=((height - 0.38) / pitch, 0))
    ax.axis("off")
    fig.suptitle(title, x=0.01, y=1 - 0.1 / height, ha="left", va="top", fontweight="bold", fontsize=12)
    return fig, ax, LETTER * 72 / style.DPI / 0.602  # a letter is 0.602 times as wide as the font is high


def _placed(text: str) -> tuple[list[tuple[float, int]], float]:
    """For each character its line and column, and where the last line ends; words stay whole."""
    places, line, column = [], 0.0, 0
    for piece in re.findall(r"\n+|[^\S\n]+|\S+", text):
        if piece.startswith("\n"):
            places += [(line, column)] * len(piece)
            line, column = line + (1.4 if len(piece) > 1 else 1.0), 0
            continue
        if column + len(piece) > WIDE and column:
            line, column = line + 1, 0
        for character in piece:
            places.append((line, column))
            if column or not character.isspace():  # no space begins a line
                column += 1
    return places, line + 1


@style.figure
def story_with_roles(text: str, spans: Sequence[Mapping], forced: Sequence[int]):
    """A story with the words that its grammar filled in: a ground and a line below for each role.

    Args:
        spans: of the story, each with "start", "end" and "role". Hero, friend, toy and color are told apart.
        forced: where mentions begin, in characters, that the story itself forces: they are framed.
    """
    places, bottom = _placed(text)
    shown = [role for role in ROLES if any(span["role"] == role for span in spans)]
    others = any(span["role"] not in ROLES for span in spans)
    rest = ["another variable"] if others else []
    legend = [*shown, *rest, *(["the story forces this word"] if forced else [])]
    pitch = 0.272
    fig, ax, size = _page(bottom + (1.7 if legend else 0.2), pitch, "What the grammar knows about its story")
    for match in re.finditer(r"\S+", text):
        line, column = places[match.start()]
        ax.text(column, line + 0.68, match[0], family="monospace", fontsize=size, zorder=3, parse_math=False)
    ends = {span["start"]: span["end"] for span in spans}
    for span in sorted(spans, key=lambda span: span["role"] in ROLES):
        for where in _runs(text, places, span["start"], span["end"]):
            _mark(ax, *where, span["role"])
    for start in forced:
        word = re.compile(r"\w+").match(text, start)
        for where in _runs(text, places, start, ends.get(start, word.end() if word else start + 1)):
            _frame(ax, *where)
    column, line = 0.0, bottom + 0.5
    for name in legend:
        ax.text(column + 1, line + 0.68, name, family="monospace", fontsize=size, zorder=3, parse_math=False)
        wide = len(name) + 2
        if name == legend[-1] and forced:
            _frame(ax, line, column + 0.4, wide - 0.8)
        else:
            _mark(ax, line, column, wide, name)
        column += wide + 1.5
    counts = Counter(role for span in spans if (role := span["role"]) in ROLES)
    first = {role: next(text[s["start"] : s["end"]] for s in spans if s["role"] == role) for role in shown}
    said = ", ".join(f"{role} {counts[role]} times (first {first[role]!r})" for role in shown) or "no role"
    by_role = Counter(next((s["role"] for s in spans if s["start"] == start), "other") for start in forced)
    kinds = ", ".join(f"{role} {count}" for role, count in by_role.most_common())
    rest = sum(span["role"] not in ROLES for span in spans)
    return fig, comparing.text(
        f"A story with the words that its grammar filled in on grounds with lines below, each role its own: {said}"
        + (f"; {words.count(rest, 'span')} of other variables" if rest else ""),
        f"{words.count(len(forced), 'word')} framed, because the story itself forces them: {kinds}" if forced
        else "no word is framed as one that the story itself forces",
        f"it has {words.count(len(text.split()), 'word')} and begins “{text[:40].strip()} ...”",
    )  # fmt: skip


def _runs(text: str, places: Sequence[tuple[float, int]], start: int, end: int) -> list[tuple[float, int, int]]:
    """Line, column and width of each piece of a span; it has several where a line ends inside of it."""
    pieces: dict[float, list[int]] = {}
    for character, (line, column) in zip(text[start:end], places[start:end], strict=True):
        if not character.isspace():
            pieces.setdefault(line, []).append(column)
    return [(line, min(columns), max(columns) - min(columns) + 1) for line, columns in pieces.items()]


def _mark(ax, line: float, column: float, wide: float, role: str) -> None:
    ground, below = ROLES.get(role, (OTHER, None))
    ax.add_patch(Rectangle((column, line + 0.06), wide, 0.84, facecolor=ground, edgecolor="none", zorder=1))
    if below is not None:
        ax.plot([column, column + wide], [line + 0.9] * 2, color=style.INK, linewidth=1.6, linestyle=below, zorder=2,
                solid_capstyle="butt", dash_capstyle="butt")  # fmt: skip


def _frame(ax, line: float, column: float, wide: float) -> None:
    ax.add_patch(
        Rectangle(
            (column - 0.2, line + 0.03), wide + 0.4, 0.93, fill=False, edgecolor=style.INK, linewidth=2.1, zorder=4
        )
    )


@style.figure
def attention_on_text(tokens: Sequence[str], weights: Sequence[float], at: int, title: str):
    """A text whose tokens stand on a ground as dark as the attention that position `at` gives them.

    Args:
        weights: a row of an attention map, for all tokens or only for those up to `at`.
        at: which token looks; it is framed, and those after it are pale. Negative numbers count from the end.
    """
    at = range(len(tokens))[at]
    weights = [*map(float, weights), *[0.0] * len(tokens)][: len(tokens)]
    names = [inside_words.in_text(token) for token in tokens]
    line, column, places = 0, 0, []
    for name in names:
        if column and column + len(name) > WIDE:
            line, column = line + 1, 0
        places.append((line, column))
        column += len(name)
        if name.endswith("↵"):
            line, column = line + 1, 0
    fig, ax, size = _page(places[-1][0] + 1.15, 0.365, title)
    for number, (name, weight, (line, column)) in enumerate(zip(names, weights, places, strict=True)):
        ground = shade(weight)
        ink = style.text_colour(ground) if number <= at else style.QUIET
        ax.add_patch(Rectangle((column, line + 0.06), len(name), 0.56, facecolor=ground, edgecolor="#d5d3cb",
                               linewidth=0.5, zorder=1))  # fmt: skip
        ax.text(column, line + 0.47, name, family="monospace", fontsize=size, color=ink, zorder=3, parse_math=False)
        if number == at:
            ax.add_patch(Rectangle((column - 0.15, line + 0.03), len(name) + 0.3, 0.62, fill=False,
                                   edgecolor=style.INK, linewidth=2.3, zorder=4))  # fmt: skip
    largest = np.argsort(weights)[::-1].tolist()
    taken: list[tuple[int, float]] = []
    for i in (i for i in largest if weights[i] >= WRITTEN):
        line, middle = places[i][0], max(1.2, places[i][1] + len(names[i]) / 2)
        if all(line != other or abs(middle - there) > 2.6 for other, there in taken):  # else there is no room
            ax.text(middle, line + 0.9, f"{weights[i]:.2f}".removeprefix("0"), ha="center", fontsize=9)
            taken.append((line, middle))
    even = 1 / (at + 1)
    taken = [i for i in largest if weights[i] >= max(WRITTEN, even)][:3] if weights[largest[0]] >= 2 * even else []
    left = max(0.0, sum(weights) - sum(weights[i] for i in taken))
    said = [f"{weights[i]:.2f} to {inside_words.quoted(tokens[i])} at position {i}" for i in taken]
    same = (
        ", the same word each time,"
        if len(taken) > 1 and len({inside_words.quoted(tokens[i]) for i in taken}) == 1
        else ""
    )
    gives = words.listing(said) + f"{same} and {left:.2f} to all others"
    if not taken:
        gives = "no token much more than the rest" if at else "all to itself"
    return fig, comparing.text(
        f"{title}. The framed token, {inside_words.quoted(tokens[at])} at position {at}, gives {gives}",
        f"a text of {words.count(len(tokens), 'token')}, the darker the ground the more a token is looked at",
    )


# ---------------------------------------------------------------------- heat maps


def _heat(ax, values: np.ndarray, most: float, size: float = 9, signed: bool = False, names=None) -> None:
    """A heat map with a number in every cell, and above it the cell's name."""
    scale, low = (style.DIVERGING, -most) if signed else (style.HEAT, 0.0)
    ax.imshow(values, cmap=scale, vmin=low, vmax=most, aspect="auto", interpolation="nearest")
    grids.frame(ax, *values.shape)
    for (i, j), value in np.ndenumerate(values):
        ink = style.text_colour(to_hex(scale((value - low) / (most - low))))
        ax.text(
            j,
            i + (0.14 if names else 0),
            inside_words.number(value),
            ha="center",
            va="center",
            fontsize=size,
            color=ink,
        )
        if names:
            ax.text(
                j, i - 0.26, names(i, j), ha="center", va="center", fontsize=max(style.SMALLEST, 0.8 * size), color=ink
            )


@style.figure
def head_maps(grids_of_heads: Mapping[str, np.ndarray], title: str = "Where each head looks"):
    """A small heat map for each score of the heads, with the numbers and the heads' names in its cells.

    Args:
        grids_of_heads: for each score's name the values, (n_layer, n_head). Each map has a scale of its own, up to 1
            where no value is larger.
    """
    scores = {name: np.asarray(values, dtype=float) for name, values in grids_of_heads.items()}
    n_layer, n_head = next(iter(scores.values())).shape
    columns = min(len(scores), 3 if n_head <= 4 else 2 if n_head <= 8 else 1)
    rows = -(-len(scores) // columns)
    high = max(1.35, 0.36 + 0.5 * n_layer) if n_head <= 8 else 0.4 + 0.3 * n_layer
    fig, axes = style.canvas(rows, columns, height=rows * high + 0.35, squeeze=False)
    fig.get_layout_engine().set(wspace=0.04, hspace=0.04)
    named = n_head <= 8
    size = 9.5 if n_head <= 4 else 9
    said = {}
    for ax in axes.flat[len(scores) :]:
        ax.axis("off")
    for ax, (name, values) in zip(axes.flat, scores.items(), strict=False):
        largest = float(np.abs(values).max())
        signed = bool((values < -0.005).any())
        most = largest if signed or largest > 1 else 1.0
        _heat(ax, values, most, size, signed, inside_words.head_name if named else None)
        style.panel_title(ax, name)
        ax.set_xticks([] if named else range(n_head), [] if named else range(n_head), fontsize=9)
        ax.set_yticks([] if named else range(n_layer), [] if named else range(n_layer), fontsize=9)
        if not named:
            ax.set(xlabel="head", ylabel="layer")
        said[name] = inside_words.standing_out(values)
    style.headline(fig, title)
    return fig, comparing.text(
        f"{title}: {words.count(len(scores), 'map')} of scores, {words.count(n_layer, 'layer')} with "
        f"{words.count(n_head, 'head')} each",
        *(f"{words.listing(names)}: {what}" for what, names in inside_words.by_what(said).items()),
    )


@style.figure
def ablation_grid(left: Mapping[str, Mapping[str, Mapping[str, float]]], whole: Mapping[str, float], loss: str):
    """What is left when a part, small or large, is replaced: recall by role and a loss, a panel for each way.

    Args:
        left: for each part, for each way to replace it, for each measure what is left.
        whole: the same measures of the untouched model; they are the first row.
        loss: which of the measures is a loss; it is darkest from 1 nat more on. All others are fractions right.
    """
    ways, measures, parts = list(next(iter(left.values()))), list(whole), list(left)
    fig, axes = style.canvas(1, len(ways), height=1.6 + 0.25 * len(parts), sharey=True, squeeze=False)
    fig.get_layout_engine().set(wspace=0.02)
    told = {}
    for ax, way in zip(axes[0], ways, strict=True):
        rows = [whole, *(left[part][way] for part in parts)]
        values = np.array([[row[measure] for measure in measures] for row in rows])
        lost = np.array([inside_words.lost(row, whole, loss) for row in rows])
        ax.imshow(lost, cmap=style.HEAT, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        grids.frame(ax, *values.shape)
        for (i, j), value in np.ndenumerate(values):
            ink = style.text_colour(to_hex(style.HEAT(lost[i, j])))
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=9, color=ink)
        style.panel_title(ax, way)
        ax.set_xticks(range(len(measures)), measures, rotation=90, fontsize=9)
        ax.axhline(0.5, color=style.INK, linewidth=1.0, linestyle="-")
        for edge in (i + 0.5 for i, part in enumerate(parts) if i and part.split()[0] != parts[i - 1].split()[0]):
            ax.axhline(edge, color=style.QUIET, linewidth=1.0, linestyle="-")
        told[way] = {part: row for part, row in zip(parts, lost[1:].tolist(), strict=True)}
    axes[0][0].set_yticks(range(len(parts) + 1), ["untouched", *parts], fontsize=9)
    style.headline(fig, "What is left without a part: recall by role, and a loss")
    untouched = ", ".join(f"{measure} {value:.2f}" for measure, value in whole.items())
    return fig, comparing.text(
        f"Tables of recall by role and of a loss ({loss}), darker where more is lost, for "
        f"{words.count(len(parts), 'part')} left out in {words.count(len(ways), 'way')}",
        *inside_words.lost_most(told, measures, loss),
        f"untouched: {untouched}",
    )


@style.figure
def patching_map(tokens: Sequence[str], places: Sequence[str], effects: np.ndarray, title: str = "Where it is stored"):
    """How much of an answer comes back when one place at one token is put back, from 0 to 1.

    Args:
        tokens: of the text, up to about 60. places: in the model, from the first to the last.
        effects: (places, tokens). The last place is drawn on top, as the stream flows upward.
    """
    effects = np.asarray(effects, dtype=float)
    T, size = len(tokens), min(9.5, 400 / max(len(tokens), 1))
    fig, ax = style.canvas(height=1.55 + 0.4 * len(places))
    image = ax.imshow(effects, cmap=style.HEAT, vmin=0, vmax=1, aspect="auto", interpolation="nearest", origin="lower")
    grids.frame(ax, *effects.shape)
    for i, j in np.argwhere(effects > 0.5):
        ink = style.text_colour(to_hex(style.HEAT(min(1.0, effects[i, j]))))
        ax.text(j, i, f"{effects[i, j]:.2f}".removeprefix("0"), ha="center", va="center", color=ink,
                fontsize=max(style.SMALLEST, size), rotation=90 if T > 20 else 0)  # fmt: skip
    names = [label(token) for token in tokens]
    turned = 90 if T > 9 else 0
    ax.set_xticks(range(T), names, rotation=turned, fontsize=max(style.SMALLEST, size), family="monospace")
    ax.set_yticks(range(len(places)), places, fontsize=9)
    bar = fig.colorbar(image, ax=ax, pad=0.012, fraction=0.04, ticks=[0, 0.5, 1])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9)
    ax.set_title(title)
    strong = np.argwhere(effects > 0.5)
    places_said = {}
    for place, row in zip(places, effects, strict=True):
        at = int(row.argmax())
        seen = f"most at {words.quoted(names[at])}, position {at}, {row[at]:.2f}"
        places_said[place] = seen if row[at] >= 0.1 else f"nowhere much, at most {row[at]:.2f}"
    pale = ", mostly pale" if (effects < 0.1).mean() > 0.5 else ""
    return fig, comparing.text(
        title,
        comparing.grouped(places_said, "; ", ": "),
        f"a map of {words.count(len(places), 'place')} by {words.count(T, 'token')}, from 0 to 1{pale}: {len(strong)} "
        f"of {effects.size} cells {'is' if len(strong) == 1 else 'are'} over 0.5",
    )


@style.figure
def path_table(sources: Sequence[str], effects: np.ndarray, title: str = "Which path feeds the head"):
    """How much each source matters to a head by way of its queries, its keys and its values.

    Args:
        sources: what writes into the stream before the head. effects: (sources, 3).
    """
    effects = np.asarray(effects, dtype=float)
    fig, ax = style.canvas(width=5.2, height=1.1 + 0.36 * len(sources))
    signed = bool((effects < -0.005).any())
    largest = float(np.abs(effects).max())
    _heat(ax, effects, largest if signed or largest > 1 else 1.0, signed=signed)
    ways = ("queries", "keys", "values")
    ax.set_xticks(range(3), [f"into its {way}" for way in ways])
    ax.set_yticks(range(len(sources)), sources)
    ax.set_title(title)
    said = []
    for way, column in zip(ways, effects.T, strict=True):
        order = np.argsort(-column)
        high = [
            f"{sources[i]} {inside_words.number(column[i])}" for i in order if column[i] >= max(0.1, 0.5 * column.max())
        ]
        rest = [float(column[i]) for i in order if column[i] < max(0.1, 0.5 * column.max())]
        others = (
            f"{'all others' if high else 'nothing much,'} {comparing.reach(rest, inside_words.number)}" if rest else ""
        )
        said.append(f"into its {way}: {', '.join([*high, *([others] if rest else [])])}")
    return fig, comparing.text(
        f"{title}: a table of {words.count(len(sources), 'source')} by three paths, darker where the path matters more",
        *said,
    )


@style.figure
def learned_positions(similarity: np.ndarray, sinusoidal: np.ndarray):
    """Cosine similarity between the vectors of positions, as learned and as sinusoids have it, (T, T) each."""
    fig, axes = style.canvas(1, 2, height=4.1, sharey=True)
    maps = [np.asarray(values, dtype=float) for values in (similarity, sinusoidal)]
    least = min(-0.1, np.floor(10 * min(values.min() for values in maps)) / 10)
    said = []
    for ax, name, values in zip(axes, ("as learned", "sinusoids"), maps, strict=True):
        T = len(values)
        image = ax.imshow(values, cmap=style.HEAT, vmin=least, vmax=1, interpolation="nearest", origin="lower")
        grids.frame(ax, T, T, lines=False)
        style.panel_title(ax, name)
        ax.set_xlabel("position")
        said.append(f"{name}: {inside_words.alike(values)}")
    axes[0].set_ylabel("position")
    bar = fig.colorbar(
        image, ax=axes, pad=0.015, fraction=0.03, ticks=[least, 0, 0.5, 1] if least < -0.2 else [0, 0.5, 1]
    )
    bar.outline.set_visible(False)
    bar.set_label("cosine similarity")
    style.headline(fig, "Which positions are alike?")
    return fig, comparing.text(
        f"Two maps of the cosine similarity between {words.count(len(maps[0]), 'position')}, darker where they are "
        "alike",
        *said,
    )
