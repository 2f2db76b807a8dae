"""The field's words: a learner must be able to search the literature, so what the field has a word for is called by it.

Counted in the prose of the notebooks (text cells, without code) and in what is written in the two packages.
"""

import re

import pytest

from course.site import notebooks
from helpers.files import repository_root

ROOT = repository_root()


def prose(path) -> str:
    """The text cells of a notebook, without code, formulas and addresses."""
    cells = [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "markdown"]
    text = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$|\]\([^)]*\)|<!--.*?-->", " ", "\n\n".join(cells), flags=re.DOTALL)
    return re.sub(r"\s+", " ", text)


PROSE = {path.stem: prose(path) for path in notebooks.all_notebooks()}
ALL = " ".join(PROSE.values())

# How often each must be said at least, in all notebooks together.
MUST = {
    r"back-?prop\w*": 3,
    r"hyperparameters?": 3,
    r"nonlinear\w*": 3,
    r"epochs?": 5,
    r"throughput": 3,
    r"batch sizes?": 5,
    r"matrix multiplications?|matmuls?": 5,
    r"autoregressive\w*": 2,
    r"inference": 3,
    r"forward pass(?:es)?": 5,
    r"backward pass(?:es)?": 3,
    r"learning rates?": 15,
    r"overfit\w*": 4,
    r"memoriz\w*": 2,
    r"validation": 30,
    r"CPUs?": 10,
    r"standard deviations?": 5,
    r"cross-entropy": 10,
    r"initializ\w*": 5,
    r"checkpoints?": 5,
    r"half precision": 2,
    r"moments?": 3,
    r"source entropy": 2,
    r"fine-tun\w*": 5,
    r"residual stream": 5,
    r"gradient accumulation|accumulat\w*": 3,
    r"up-projection": 1,
    r"down-projection": 1,
}
# What must not be said, and the words of everyday English or other terms in which it may stand.
MUST_NOT = {
    r"processors?": None,
    r"by heart": None,
    r"held[- ]out": r"\*held out\*",
    r"(?<!standard )(?<!standard\s)deviations?": None,
    r"(?<!learning )(?<!learning\s)\brates?\b": r"(?:error|sampling|at any|dropout) rates?",
    r"first weights|starting values": None,
    r"reading anew|reads? anew": None,
    r"end_id": None,
    r"reference bands?|expected bands?|in band\b": None,
    r"twins?": None,
    r"gain and shift": None,
    r"(?:neighbour|favour|behaviour|colour|normalis)\w*|centred|centre": None,  # the American spelling
}

WORD_IN_CODE = {  # names that are gone from both packages, the tests and the notebooks' code
    r"\bend_id\b": "eos_token_id",
    r"\bneed_logits\b": "GPT.loss",
    r"\bhead_weight\b": "GPT.head.weight",
    r"\battention_weights\(": "CausalSelfAttention.weights",
    r"\btransformers_twin\b": "to_transformers",
    r"\bStepper\b": "TrainStep",
    r"\bReadingAnew\b": "WithoutCache",
    r"\bopen_ones\b": "live hypotheses",
    r"\bof_all\b|\bin_turn\b": "all_gather, on_rank0_first",
    r"\bpenalise|\binitialise|\borthogonalise|\btokenise": "the American spelling",
    r"\bjudge_band|\bbands\.json\b": "reference ranges",
    r"\bhelpers\.(?:states|checkpoints|filters|beam|decoding|parallel|token_files|batches|fused)\b": "new names",
}


@pytest.mark.parametrize("term", MUST, ids=lambda term: re.sub(r"\W+", "-", term))
def test_the_fields_word_is_said(term):
    found = len(re.findall(rf"\b(?:{term})\b", ALL, flags=re.IGNORECASE))
    assert found >= MUST[term], f"{term} is said {found} times"


@pytest.mark.parametrize("word", MUST_NOT, ids=lambda word: re.sub(r"\W+", "-", word))
def test_what_the_field_calls_otherwise_is_not_said(word):
    allowed = MUST_NOT[word]
    found = []
    for name, text in PROSE.items():
        kept = re.sub(allowed, " ", text, flags=re.IGNORECASE) if allowed else text
        pattern = rf"\b(?:{word})" if word[0].isalpha() else word
        for m in re.finditer(pattern, kept, flags=re.IGNORECASE):
            found.append(f"{name[:2]}: ...{kept[max(0, m.start() - 50) : m.end() + 30]}...")
    assert not found, "\n".join(found)


def written() -> dict[str, str]:
    """All code: both packages, tools, tests but this one, and the code cells of the notebooks."""
    found = {}
    for folder in ("helpers", "course", "tests", "docs/tools"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name != "test_words.py":
                found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
    for path in notebooks.all_notebooks():
        cells = [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "code"]
        found[path.name] = "\n".join(cells)
    return found


CODE = written()


@pytest.mark.parametrize("name", WORD_IN_CODE, ids=WORD_IN_CODE.values())
def test_a_name_that_is_gone_is_gone_everywhere(name):
    found = [f"{path}: {text[m.start() : m.end()]}" for path, text in CODE.items() for m in re.finditer(name, text)]
    assert not found, f"{WORD_IN_CODE[name]} instead of " + ", ".join(found)
