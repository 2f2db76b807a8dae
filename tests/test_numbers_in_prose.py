"""Numbers in prose are printed, not typed: whatever a notebook's text claims in figures stands in one of its outputs or
is set in its code.

What it cannot see: counts in words below a hundred ("four heads"), and ratios in words ("three times as long").
"""

import ast
import re

import pytest
from slide_deck import ideas_of

from course.site import notebooks

WORDS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
WORDS = {word: value for value, word in enumerate(WORDS)} | {"seventeen": 17, "eighteen": 18, "nineteen": 19}
TENS = dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True))
MAGNITUDES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
# Numbers that no cell can print: facts from elsewhere, said with their source, and numbers that are only examples.
GIVEN = {
    "01": {"40": "gigabytes of web pages, section 2.1 of the GPT-2 paper"},
    "03": {"twenty thousand": "a bound: the scoreboard shows 17,821"},
    "04": {"40": "an id, as an example", "20": "an id, as an example", "15": "the last row of a table of 16"},
    "06": {"117 million": "what the GPT-2 paper says of its smallest model"},
    "09": {"0.2": "a setting to try in the playground"},
    "10": {
        "43,030": "the perplexity of notebook 09's case",
        "0.2": "the dropout of a patient",
        "256": "values of a byte",
        "65,535": "the largest number of sixteen bits",
        "65,536": "2 to the power of 16",
        "50,257": "GPT-2's vocabulary",
        "100,277": "the vocabulary of a later tokenizer of OpenAI's",
        "three hundred": "tokens, as an example",
    },
    "12": {
        "257": "an id, as an example",
        "eight million": "web pages, section 2.1 of the GPT-2 paper",
        "53": "bits of a float64's fraction",
    },
    "13": {
        "1.5": "an equation of Kaplan et al. 2020",
        "2.1": "a section of Kaplan et al. 2020",
        "86 million": "a headline that is quoted",
    },
    "14": {"500,000": "the base of Llama 3's rotations, section 3.2 of Dubey et al. 2024"},
    "15": {
        "73": "of 100 verdicts that labelers share, section 3.4 of Ouyang et al. 2022",
        "175 billion": "GPT-3's parameters, Ouyang et al. 2022",
        "13,000": "prompts with answers, table 6 of Ouyang et al. 2022",
        "33,000": "prompts with rankings, table 6 of Ouyang et al. 2022",
        "31,000": "prompts for PPO, table 6 of Ouyang et al. 2022",
        "40": "labelers, section 3 of Ouyang et al. 2022",
        "3.1": "the Llama that Lambert et al. 2024 begin with",
        "8 billion": "parameters of the smaller of their models",
        "939,344": "prompts of their fine-tuning, section 4 of Lambert et al. 2024",
        "671 billion": "parameters of DeepSeek-V3, DeepSeek-AI 2025",
        "800,000": "samples of their later fine-tuning, section 2.3 of DeepSeek-AI 2025",
        "seventy billion": "parameters, as an example",
        "90 %": "how sure a reward model is, as an example",
        "90 per cent": "the same",
        "0.25": "a probability, as an example",
    },
}

each = pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=lambda path: path.stem)


def readable(markdown: str) -> str:
    """The text of a notebook in which numbers are claims: tables, hints and descriptions of pictures belong to it;
    code, formulas and addresses do not.
    """
    text = re.sub(r"```(?:python|bash)\n.*?```|\$[^$]*\$|\]\([^)]*\)|<!--.*?-->", " ", markdown, flags=re.DOTALL)
    text = re.sub(r"```\w*", " ", text)  # what other languages stand in fences is shown as a result
    text = re.sub(r"`([^`]*)`", lambda code: code[1] if re.fullmatch(rf"{NUMBER}\s?[%x]?", code[1]) else " ", text)
    text = re.sub(
        r"\b(?:[Ss]ection|[Ee]xercise|[Ff]igure|[Nn]otebooks?) \d+(?:\.\d+)?(?: (?:to|and) \d\d)?\b", " ", text
    )
    text = re.sub(r"\b(?:[Ii]ssues?|[Pp]ull requests?) \d+(?: and \d+)?\b", " ", text)  # of a project's tracker
    text = re.sub(r"CC0 1\.0|Python 3\.\d+|Difficulty \d of \d - about \d+ minutes", " ", text)
    return re.sub(r"(?<![\w.,])(?:19|20)\d\d(?!\w|,\d|\.\d)", " ", text)  # years


def without_comments(source: str) -> str:
    """Code as it runs: a number in a comment is typed, too. Strings stay: they are printed."""
    lines = [line for line in source.split("\n") if not line.lstrip().startswith(("%", "!"))]
    return ast.unparse(ast.parse("\n".join(lines)))


def numbers_in(text: str) -> set[str]:
    """All numbers of a text, without the commas between thousands; 0.25 also as 25 (per cent)."""
    found = {number.replace(",", "").replace("_", "") for number in re.findall(r"\d[\d,_]*(?:\.\d+)?", text)}
    return found | {f"{float(number) * 100:g}" for number in found if re.fullmatch(r"0\.\d+", number)}


def known_numbers(book) -> set[str]:
    """The numbers in a notebook's outputs, in the descriptions of its pictures and in its code.

    A quiz proves none: most of its numbers are wrong on purpose.
    """
    known = set()
    for cell in book.cells:
        if cell.cell_type == "code" and "quiz" not in notebooks.tags_of(cell):
            known |= numbers_in(without_comments(cell.source))
            for output in cell.outputs:
                data = output.get("data", {})
                known |= numbers_in("\n".join([output.get("text", ""), data.get("text/plain", "")]))
                known |= numbers_in(
                    re.sub(r"<style.*?</style>|<[^>]*>", " ", data.get("text/html", ""), flags=re.DOTALL)
                )
                known |= numbers_in(output.get("metadata", {}).get("image/png", {}).get("alt", ""))
    return known


def claims(text: str) -> dict[str, tuple[float, float] | str]:
    """What a text claims: as it is written, and the number (as text) or the range in which a number must lie."""
    found = {}
    in_words = "|".join([*WORDS, *TENS])
    large = rf"(?<![\w.,])({NUMBER}|(?:{in_words})(?:-(?:{in_words}))?)((?:\s+(?:{'|'.join(MAGNITUDES)})\b)+)"
    for match in re.finditer(large, text, flags=re.IGNORECASE):
        parts = match[1].lower().split("-")
        count = sum({**WORDS, **TENS}.get(part, 0) for part in parts) or float(match[1].replace(",", ""))
        unit = 1
        for word in match[2].lower().split():
            unit *= MAGNITUDES[word]
        found[" ".join(match[0].split())] = ((count - 0.5) * unit, (count + 1) * unit)
    rest = re.sub(large, " ", text, flags=re.IGNORECASE)
    for match in re.finditer(rf"(?<![\w.,])(?<![A-Za-z]-)({NUMBER})(\s?(?:%|×|x\b|per ?cent\b|times\b))?", rest):
        number = match[1].replace(",", "")
        if len(number) > 1 or match[2]:
            found[match[0].strip()] = number
    return found


def typed_by_hand(text: str, known: set[str], given=()) -> list[str]:
    """The claims of a text that no known number covers."""
    values = [float(number) for number in known]

    def covered(claim) -> bool:
        if isinstance(claim, str):
            return claim in known or f"{float(claim):g}" in known
        return any(claim[0] <= value < claim[1] for value in values)

    return sorted(written for written, claim in claims(text).items() if not covered(claim) and written not in given)


@each
def test_numbers_in_prose_are_printed_by_a_cell(path):
    book = notebooks.read(path)
    text = readable("\n\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown"))
    assert typed_by_hand(text, known_numbers(book), GIVEN.get(path.name[:2], ())) == []


@each
def test_numbers_in_the_ideas_of_the_slides_are_printed_by_a_cell(path):
    said = readable("\n\n".join(ideas_of(path.name[:2]).values()))
    assert typed_by_hand(said, known_numbers(notebooks.read(path)), GIVEN.get(path.name[:2], ())) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "The loss falls to 1.37.",
        "It is 1.37x as fast.",
        "It needs 3.7GB, or 3.7 GB.",
        "A share of 37% is lost.",
        "A share of 37 per cent is lost.",
        "It is 4x as fast.",
        "It is 4 times as fast.",
        "It took 37 steps.",
        "It has 9,437 tokens.",
        "It has seven thousand tokens, or 7 million.",
        "It read thirty-seven million tokens.",
        "| model | loss |\n|---|---|\n| ours | 1.37 |",
        "![a curve that falls to 1.37](curve.png)",
        "<details><summary>Hint 1</summary>The answer is 1.37.</details>",
        "The loss is `1.37`.",
        "```text\nloss 1.37\n```",
        "The loss is **1.37**.",
        "See figure 2: 1.37.",
        "From 1-1.37 nats.",
    ],
)
def test_no_way_of_writing_a_number_slips_through(sentence):
    known = numbers_in("printed: 11.37 1.375 9437.5 14 237 0.004 2.37")
    assert typed_by_hand(readable(sentence), known) != []


@pytest.mark.parametrize(
    "sentence",
    [
        "The loss falls to 1.37, that of 40% of the 9,437 tokens.",
        "Nine thousand tokens; Ba (2014), section 3.2, Exercise 4.3, notebooks 04 to 06; GPT-2 has 4 layers.",
        "`x = 1.38` is code, and so is\n\n```python\ny = 1.39\n```",
    ],
)
def test_what_was_printed_may_be_said(sentence):
    assert typed_by_hand(readable(sentence), numbers_in("1.37 nats; 0.4 of 9,437")) == []


def test_a_comment_prints_nothing():
    assert numbers_in(without_comments("x = 4.5  # about 1.37\nprint(f'{x} of 2.5')")) >= {"4.5", "2.5"}
    assert "1.37" not in numbers_in(without_comments("x = 4.5  # about 1.37"))


def test_what_is_given_is_still_said():
    for path in notebooks.all_notebooks():
        text = " ".join(cell.source for cell in notebooks.read(path).cells if cell.cell_type == "markdown")
        for number in GIVEN.get(path.name[:2], ()):
            assert number in " ".join(text.split()), f"{number} stands in {path.stem} no more"
