"""Tokens seen: how merges build a word, where a text is cut, what a larger vocabulary buys."""

from collections.abc import Sequence

from matplotlib.patches import Rectangle

from course.figures import style, words

# Light grounds for dark letters; three in turn, so that neighbors differ, and a border for those who see no
# colour.
GROUNDS = (style.SKY, "#f6dfb4", "#cfe8e2")


def visible(token: bytes) -> str:
    """A token as a label: a space is a dot, a line's end an arrow, half a character its bytes in hex."""
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        return " ".join(f"{byte:02x}" for byte in token)
    return text.replace(" ", "·").replace("\n", "↵").replace("\t", "→")


def broken(token: bytes) -> bool:
    """Whether a token is not whole characters, so that its label shows bytes."""
    return "\ufffd" in token.decode("utf-8", "replace")


@style.figure
def merge_trees(histories: Sequence[Sequence[Sequence[bytes]]], ranks: dict[tuple[bytes, bytes], int]):
    """How merges build words, as trees: single bytes at the bottom, the finished tokens at the top.

    Args:
        histories: for each word its tokens after 0, 1, 2, ... merges; the first row is the single bytes.
        ranks: for each merge `(left, right)` its place in the order of training, from 0.
    """
    fig, ax = style.canvas(height=3.9)
    left, top = 0.0, 0
    for history in histories:
        nodes = [(left + i, 0) for i in range(len(history[0]))]  # place and height of each token now
        for i, byte in enumerate(history[0]):
            _node(ax, left + i, 0, visible(byte), None)
        for before, after in zip(history, history[1:], strict=False):
            nodes = _joined(ax, before, after, nodes, ranks)
        top = max(top, *(height for _, height in nodes))
        left += len(history[0]) + 0.6
    ax.set(xlim=(-0.7, left - 0.9), ylim=(-0.5, top + 0.6))
    ax.set_yticks([])
    ax.set_xticks([])
    for side in ax.spines.values():
        side.set_visible(False)
    ax.grid(visible=False)
    ax.set_title("From bytes, below, to tokens; the number says when it was learned")
    return fig, words.told(
        "Trees of merges, from the bytes of a word below to its tokens above; each number says when a merge was "
        "learned, the first being 1",
        *(_grown(history, ranks) for history in histories),
    )


def _grown(history: Sequence[Sequence[bytes]], ranks: dict[tuple[bytes, bytes], int]) -> str:
    """What became of a word, and by which merges."""
    word, many = visible(b"".join(history[0])), words.count(len(history[0]), "byte")
    merges = {}
    for before, after in zip(history, history[1:], strict=False):
        i = 0
        for token in after:
            if before[i] != token:
                merges[visible(token)] = ranks[before[i], before[i + 1]] + 1
            i += 1 if before[i] == token else 2
    by = ", ".join(f"{token} {number}" for token, number in merges.items())
    ends = history[-1]
    into = "one token" if len(ends) == 1 else f"{len(ends)} tokens, {words.listing(visible(token) for token in ends)}"
    return f"“{word}”, {many}, ends as {into}" + (f": {by}" if by else "; no merge joins any of it")


def _joined(ax, before, after, nodes, ranks):
    """Draw the merge that leads from one row of tokens to the next; the places of the next row's tokens."""
    now, i = [], 0
    for token in after:
        if before[i] == token:
            now.append(nodes[i])
            i += 1
            continue
        (x1, y1), (x2, y2) = nodes[i], nodes[i + 1]
        x, y = (x1 + x2) / 2, max(y1, y2) + 1
        for x_child, y_child in ((x1, y1), (x2, y2)):
            ax.plot([x_child, x], [y_child, y], color=style.QUIET, linewidth=1.3, linestyle="-", zorder=1)
        _node(ax, x, y, visible(token), ranks[before[i], before[i + 1]] + 1)
        now.append((x, y))
        i += 2
    return now


def _node(ax, x: float, y: float, label: str, number: int | None) -> None:
    ground = style.GROUND if number is None else style.SKY
    ax.text(
        x, y, label, ha="center", va="center", fontsize=10.5, family="monospace", zorder=3,
        bbox={"boxstyle": "round,pad=0.3", "facecolor": ground, "edgecolor": style.QUIET, "linewidth": 0.8},
    )  # fmt: skip
    if number is not None:
        ax.text(x, y + 0.31, f"{number}", ha="center", va="bottom", fontsize=9, color=style.BERRY, zorder=3)


@style.figure
def coloured_tokens(rows: Sequence[tuple[str, Sequence[bytes]]], wide: int = 86):
    """Texts with every token on a ground of its own.

    Args:
        rows: a label and the tokens of a text, for each way to cut it.
        wide: characters in a line.
    """
    lines = [(label, _lines(tokens, wide)) for label, tokens in rows]
    height = sum(0.34 * len(parts) + 0.5 for _, parts in lines) + 0.1
    fig, ax = style.canvas(height=height)
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
    y = 0.0
    for label, parts in lines:
        number = sum(len(part) for part in parts)
        ax.text(0, y, f"{label}: {number} tokens", fontsize=9.5, va="center", color=style.INK, fontweight="bold")
        y -= 0.4
        at = 0
        for part in parts:
            x = 0
            for token in part:
                text = visible(token)
                ground = GROUNDS[at % len(GROUNDS)]
                ax.add_patch(
                    Rectangle((x, y - 0.14), len(text), 0.29, facecolor=ground, edgecolor=style.INK, linewidth=0.7)
                )
                for i, character in enumerate(text):
                    ink = style.QUIET if character == "·" else style.BERRY if broken(token) else style.INK
                    ax.text(
                        x + i + 0.5, y, character, fontsize=9.2, family="monospace", ha="center", va="center",
                        color=ink,
                    )  # fmt: skip
                x += len(text)
                at += 1
            y -= 0.34
        y -= 0.1
    ax.set(xlim=(-0.5, wide + 0.5), ylim=(y + 0.1, 0.25))
    ax.axis("off")
    return fig, _cuts(rows)


def _cuts(rows: Sequence[tuple[str, Sequence[bytes]]]) -> str:
    """Which text needs most tokens for its letters, and where each is cut."""
    texts = [b"".join(tokens).decode("utf-8", "replace") for _, tokens in rows]
    each = {label: len(text) / len(tokens) for (label, tokens), text in zip(rows, texts, strict=True) if tokens}
    if len(set(texts)) == 1:
        lead = f"The same text cut in {len(rows)} ways, " if len(rows) > 1 else "A text cut in tokens, "
        fewest = sorted(rows, key=lambda row: len(row[1]))
        lead += "from the fewest tokens to the most: "
        lead += "; ".join(f"{label}: {words.count(len(tokens), 'token')}" for label, tokens in fewest)
    else:
        lead = "Letters that a token holds on average, in each text: " + words.ranking(
            each, lambda value: f"{value:.1f}", lowest=False
        )
    return words.told(lead, "Where they are cut: " + "; ".join(f"{label}, {_cut(tokens)}" for label, tokens in rows))


def _cut(tokens: Sequence[bytes], most: int = 96) -> str:
    """The beginning of a text with a stroke at each cut, and how many tokens are only parts of a character."""
    shown, parts = "", sum(map(broken, tokens))
    for i, token in enumerate(tokens):
        piece = ("|" if i else "") + visible(token)
        if len(shown) + len(piece) > most:
            shown += " ..."
            break
        shown += piece
    many = words.count(len(tokens), "token")
    if parts:
        many += f", {'all' if parts == len(tokens) else parts} of them parts of a character, shown as bytes"
    return f"{many}: {shown}"


def _lines(tokens: Sequence[bytes], wide: int) -> list[list[bytes]]:
    lines: list[list[bytes]] = [[]]
    used = 0
    for token in tokens:
        length = len(visible(token))
        if lines[-1] and used + length > wide:
            lines.append([])
            used = 0
        lines[-1].append(token)
        used += length
    return lines


@style.figure
def bytes_per_token(sizes: Sequence[int], trained: Sequence[float], gpt2: tuple[int, float]):
    """Bytes a token against the size of the vocabulary, for tokenizers trained on the stories and for
    GPT-2's.

    Args:
        sizes, trained: the vocabularies and the bytes of text that one token of each stands for on average.
        gpt2: the same two numbers of GPT-2's tokenizer.
    """
    fig, ax = style.canvas(height=3.5)
    ax.plot(sizes, trained, marker="o", color=style.BLUE, linestyle="-")
    ax.plot(*[[value] for value in gpt2], marker="s", markersize=9, color=style.BERRY, linestyle="none")
    for size, value in zip(sizes, trained, strict=True):
        ax.annotate(f"{value:.2f}", (size, value), (0, -15), textcoords="offset points", ha="center", fontsize=9)
    ax.annotate(f"{gpt2[1]:.2f}", gpt2, (0, 9), textcoords="offset points", ha="center", fontsize=9)
    middle = len(sizes) // 2
    place = (sizes[middle], trained[middle] - 0.8)
    ax.text(*place, "trained on these stories", color=style.BLUE, fontsize=10, ha="left")
    ax.text(gpt2[0], gpt2[1] - 0.35, "GPT-2's", color=style.BERRY, fontsize=10, ha="center", va="center")
    ax.set_xscale("log", base=2)
    ticks = [*sizes, gpt2[0]]
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=9)
    ax.minorticks_off()
    ax.set(ylim=(0, max(*trained, gpt2[1]) * 1.18), xlabel="tokens in the vocabulary", ylabel="bytes a token")
    ax.set_title("What a larger vocabulary buys on these stories")
    return fig, _caught_up(sizes, trained, gpt2)


def _caught_up(sizes: Sequence[int], trained: Sequence[float], gpt2: tuple[int, float]) -> str:
    """How bytes a token grow with the vocabulary, and where tokenizers of our own are as good as GPT-2's."""
    values = ", ".join(f"{value:.2f} at {size:,}" for size, value in zip(sizes, trained, strict=True))
    passed = words.reaches(trained, gpt2[1], sizes)
    before = [size for size in sizes if passed is not None and size < passed]
    where = (
        "Those trained on the stories stay below it"
        if passed is None
        else f"Those trained on the stories pass it between {before[-1]:,} and {passed:,} tokens"
        if before
        else f"Those trained on the stories are above it from {passed:,} tokens on"
    )
    gains = [b - a for a, b in zip(trained, trained[1:], strict=False)]
    grows = "rise all the way" if all(gain > 0 for gain in gains) else "do not rise all the way"
    return words.told(
        f"Bytes a token against the size of the vocabulary, on a logarithmic axis; they {grows}: {values}",
        f"A single point far to the right is GPT-2's: {gpt2[1]:.2f} at {gpt2[0]:,}"
        if gpt2[0] > 2 * max(sizes)
        else f"A single point is GPT-2's: {gpt2[1]:.2f} at {gpt2[0]:,}",
        where,
    )
