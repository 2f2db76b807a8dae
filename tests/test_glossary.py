"""The glossary against the notebooks: complete, in order, its links lead to where the terms are explained, and no
notebook uses a term that only a later one explains.
"""

import re
from typing import NamedTuple

from course.site import notebooks
from helpers.files import repository_root

GLOSSARY = repository_root() / "docs" / "glossary.md"
PROSE = {
    path.name[:2]: [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "markdown"]
    for path in notebooks.all_notebooks()
}
NEARBY = 300  # characters before and after a term in which it must be said where it is explained
# Terms that are also words of everyday English (or of Python): earlier notebooks use them as such.
EVERYDAY = {"block", "moment", "piece", "position", "recipe", "score", "sequence", "value"}
# (term, earlier notebook): why it may stand there without a pointer.
EXPLAINED_THERE = {
    ("head", "04"): "only as part of 'tied head', a term of its own, explained there",
    ("story grammar", "00"): "in the same sentence: made for this course; no more is needed there",
    ("unigram", "01"): "in the same sentence: a kind of tokenizer, which has only the name in common",
    ("decoder", "01"): "there it is what turns ids into a text, and the exercise says so",
    ("target", "03"): "in the same sentence: what should come",
    ("target", "05"): "in the same sentence: -100 marks a position where nothing is asked",
    ("target", "06"): "a comment where the targets are made says it: what comes next",
}


ENTRY = (  # - **term** (*another name*): definition, and on a line of its own the link
    r"- \*\*`?([^*`]+)`?\*\*(?: \(([^)]*)\))?: (.*)\n"
    r"  \[(\d\d), ([^]]+)\]\(\.\./notebooks/(\d\d)_\w+\.ipynb#([^)]+)\)\s*"
)


class Entry(NamedTuple):
    term: str
    also: list[str]
    definition: str
    notebook: str
    section: str
    anchor: str


def entries_of(text: str) -> list[tuple[str, Entry]]:
    """(the letter above, the entry) for every entry of the glossary."""
    found, letter = [], ""
    for part in re.split(r"\n(?=## |- )", text):
        if part.startswith("## "):
            letter = part[3:].split("\n")[0]
        elif match := re.fullmatch(
            ENTRY,
            part,
            flags=re.DOTALL,
        ):
            term, also, definition, number, section, linked, anchor = match.groups()
            assert number == linked, f"{term}: the link's words name another notebook than its address"
            names = [name.strip("*` ") for name in (also or "").split(", ") if name]
            found.append((letter, Entry(term, names, " ".join(definition.split()), number, section, anchor)))
        else:
            assert not part.startswith("- "), f"not an entry as the others are: {part}"
    return found


ENTRIES = entries_of(GLOSSARY.read_text(encoding="utf-8"))


def anchor_of(heading: str) -> str:
    """The anchor that GitHub and MyST give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower().replace(" ", "-"))


def plain(cells: list[str]) -> str:
    """What is read: no code, no hints and solutions, no addresses of links, no emphasis."""
    text = re.sub(r"```.*?```|<details>.*?</details>", " ", "\n\n".join(cells), flags=re.DOTALL)
    return re.sub(r"[*`]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text))


def sections_of(cells: list[str]) -> dict[str, tuple[str, str]]:
    """By anchor: the heading, and what is read below it up to the next heading of its level or above.

    Exercises belong to the section in which they stand; what stands before the first section belongs to the title.
    """
    found, open_now = {}, []
    for line in plain(cells).split("\n"):
        heading = re.match(r"(#{1,3}) (?!Exercise )(.*)", line)
        if heading:
            level = len(heading[1])
            open_now = [(lv, anchor) for lv, anchor in open_now if 1 < lv < level] + [(level, anchor_of(heading[2]))]
            found[open_now[-1][1]] = (heading[2], "")
        for _, anchor in open_now:
            found[anchor] = (found[anchor][0], f"{found[anchor][1]}{line}\n")
    return found


READ = {number: plain(cells) for number, cells in PROSE.items()}
SECTIONS = {number: sections_of(cells) for number, cells in PROSE.items()}


def uses(term: str, text: str):
    """The places of `text` in which `term` stands as a word or phrase, in the singular or plural."""
    words = r"\s+".join(map(re.escape, term.split()))
    return re.finditer(rf"(?<![\w-]){words}(?:s|es|'s)?(?![\w-])", text, flags=re.IGNORECASE)


def test_it_is_in_alphabetical_order_under_its_letters_and_names_nothing_twice():
    def key(term: str) -> str:
        return re.sub(r"[^a-z0-9 -]", "", term.lower())

    terms = [entry.term for _, entry in ENTRIES]
    assert terms == sorted(terms, key=key)
    names = [name.lower() for _, entry in ENTRIES for name in (entry.term, *entry.also)]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    assert [
        term for letter, term in ((letter, entry.term) for letter, entry in ENTRIES) if term[0].upper() != letter
    ] == []
    headings = re.findall(r"^## (.)$", GLOSSARY.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings == sorted(set(headings)) and set(headings) == {letter for letter, _ in ENTRIES}


def test_every_notebook_teaches_some_terms():
    counts = {number: sum(entry.notebook == number for _, entry in ENTRIES) for number in PROSE}
    assert min(counts.values()) >= 5, counts


def fault_of_link(entry: Entry) -> str:
    """What is wrong with where an entry leads; empty if nothing is."""
    heading, text = SECTIONS[entry.notebook].get(entry.anchor, ("", ""))
    if not heading:
        return "no such section"
    if entry.section not in (heading, "its opening"):
        return "the link's words are not the section's heading"
    return (
        "" if any(any(uses(name, text)) for name in (entry.term, *entry.also)) else "the section does not say the term"
    )


def test_the_links_lead_to_sections_that_speak_of_the_terms():
    faults = {entry.term: fault_of_link(entry) for _, entry in ENTRIES}
    assert {term: fault for term, fault in faults.items() if fault} == {}


def test_a_definition_is_a_sentence_or_a_few():
    for _, entry in ENTRIES:
        assert entry.definition[0].isupper() or entry.definition[0] == "*", entry
        assert entry.definition.endswith((".", ".)")), entry
        assert 4 <= len(entry.definition.split()) <= 60, entry


def unexplained(entry: Entry) -> list[str]:
    """First uses in earlier notebooks that do not stand beside the number of a notebook that explains the term."""
    found = []
    for number, text in READ.items():
        first = next(uses(entry.term, text), None) if number < entry.notebook else None
        if first is None or entry.term in EVERYDAY or (entry.term, number) in EXPLAINED_THERE:
            continue
        nearby = text[max(0, first.start() - NEARBY) : first.end() + NEARBY]
        pointers = re.findall(r"[Nn]otebooks? (\d\d)(?: (?:to|and) (\d\d))?", nearby)
        following = f"{int(number) + 1:02d}" if "the next notebook" in nearby else ""
        if not any(pointer >= entry.notebook for pair in [*pointers, (following,)] for pointer in pair):
            found.append(f"{entry.term}, in {number}: ...{text[max(0, first.start() - 60) : first.end() + 60]}...")
    return found


def test_no_notebook_uses_a_term_that_only_a_later_one_explains():
    assert [use for _, entry in ENTRIES for use in unexplained(entry)] == []


def test_the_exceptions_are_needed():
    terms = {entry.term: entry for _, entry in ENTRIES}
    assert set(terms) >= EVERYDAY | {term for term, _ in EXPLAINED_THERE}, "a term that is none any more"
    for term in EVERYDAY:
        assert any(number < terms[term].notebook and any(uses(term, text)) for number, text in READ.items()), term
    for term, number in EXPLAINED_THERE:
        assert number < terms[term].notebook and any(uses(term, READ[number])), (term, number)
