"""The story grammar: its arithmetic proved on a miniature by enumeration, its prose held to the datasheet."""

import collections
import math
import random
import re

import pytest

from data.story_grammar.engine import Entry, Grammar, Table
from data.story_grammar.stories import full_grammar, plot_modules
from data.story_grammar.templates import Choice, Literal, Sequence, TemplateError, article, parse


def miniature() -> Grammar:
    """Every feature of the template language in a few hundred stories, some with several derivations."""
    she = Entry("she", he="she", names=[Entry("Mia"), Entry("Ann")], kinds=["girl", "fox", "owl"])
    he = Entry("he", he="he", names=[Entry("Ben"), Entry("Bo")], kinds=["boy", "fox"])
    variables = {
        "gender": Table([she, he]),
        "hero": Table("names", of="gender", differs_from=("friend",)),
        "kind": Table("kinds", of="gender"),
        "friend": Table([Entry("Mia"), Entry("Zed", 3.0), Entry("Ben")], differs_from=("hero",)),
        "toy": Table([Entry("orb", verb="{rolled|threw}"), Entry("kite", verb="flew")]),
    }
    rules = {"end": ["", "{2*The end.|Bye, [friend].}", (0.5, "The end.")]}
    return Grammar(variables, rules, "{[A kind] came. |}[hero] [toy.verb] [a toy]. [^gender.he] met [friend]. <end>{|}")


def enumerate_stories(grammar: Grammar) -> dict[str, float]:
    """Every text of a grammar with its probability, by brute force: no position, no merging, no look-ahead."""
    probability: dict[str, float] = collections.defaultdict(float)

    def expand(todo: list, values: dict, text: str, p: float) -> None:
        if not todo:
            probability[text] += p
            return
        node, rest = todo[0], todo[1:]
        if isinstance(node, Literal):
            expand(rest, values, text + node.text, p)
        elif isinstance(node, Sequence):
            expand([*node.parts, *rest], values, text, p)
        elif isinstance(node, Choice):
            for option, log_weight in zip(node.options, node.log_weights, strict=True):
                expand([option, *rest], values, text, p * math.exp(log_weight))
        else:
            needed = node.name
            while needed not in values and (of := grammar.variables[needed].of) and of not in values:
                needed = of
            if needed in values:
                printed: list[tuple[str, float]] = []
                inner = values[needed].nodes[node.attribute]
                for option, log_weight in (
                    zip(inner.options, inner.log_weights, strict=True) if isinstance(inner, Choice) else [(inner, 0.0)]
                ):
                    printed.append((option.text, math.exp(log_weight)))
                for words, share in printed:
                    if node.style == "^":
                        words = words[0].upper() + words[1:]
                    elif node.style:
                        words = f"{article(words).capitalize() if node.style == 'A' else article(words)} {words}"
                    expand(rest, values, text + words, p * share)
                return
            table = grammar.variables[needed]
            rows = values[table.of].attributes[table.rows] if table.of else grammar.entries(needed)
            rows = [row for row in rows if row.text not in {values[o].text for o in table.differs_from if o in values}]
            total = sum(row.weight for row in rows)
            for row in rows:
                expand(todo, {**values, needed: row}, text, p * row.weight / total)

    expand([grammar.start], {}, "", 1.0)
    return dict(probability)


def test_the_probabilities_of_all_stories_sum_to_one_and_equal_the_score():
    grammar = miniature()
    stories = enumerate_stories(grammar)
    assert len(stories) > 200
    assert sum(stories.values()) == pytest.approx(1.0, abs=1e-12)
    for text, probability in stories.items():
        assert grammar.log_prob(text) == pytest.approx(math.log(probability), abs=1e-9)
        assert sum(math.exp(d.log_prob) for d in grammar.derivations(text)) == pytest.approx(probability, abs=1e-12)


def test_a_text_outside_the_grammar_has_probability_zero():
    grammar = miniature()
    story = next(iter(enumerate_stories(grammar)))
    for wrong in ("", story[:-1] + "?", story + " ", story.replace("met", "saw")):
        assert grammar.log_prob(wrong) == -math.inf
        assert grammar.derivations(wrong) == []


def test_sampled_frequencies_equal_the_probabilities():
    grammar = miniature()
    stories = enumerate_stories(grammar)
    generator = random.Random(7)
    draws = 40_000
    counts = collections.Counter(grammar.sample(generator).text for _ in range(draws))
    assert set(counts) <= set(stories)
    # Pearson's chi-square over stories that are expected at least five times, the others together.
    large = {text: p for text, p in stories.items() if p * draws >= 5}
    rest = 1 - sum(large.values())
    chi_square = sum((counts[text] - draws * p) ** 2 / (draws * p) for text, p in large.items())
    if rest > 1e-9:
        chi_square += (draws - sum(counts[text] for text in large) - draws * rest) ** 2 / (draws * rest)
    degrees = len(large) - (rest <= 1e-9)
    assert abs(chi_square - degrees) < 4 * math.sqrt(2 * degrees)


def test_prefix_probabilities_are_sums_over_stories():
    grammar = miniature()
    stories = enumerate_stories(grammar)
    for text in list(stories)[::40]:
        for length in range(0, len(text), 5):
            expected = sum(p for other, p in stories.items() if other.startswith(text[:length]))
            assert math.exp(grammar.prefix_log_prob(text[:length])) == pytest.approx(expected, abs=1e-12)


def test_a_sample_is_among_the_derivations_of_its_text_with_its_spans():
    grammar = miniature()
    generator = random.Random(1)
    for _ in range(200):
        sample = grammar.sample(generator)
        assert all(sample.text[span.start : span.end] == span.text for span in sample.spans)
        assert any(
            found.spans == sample.spans
            and found.values == sample.values
            and found.log_prob == pytest.approx(sample.log_prob, abs=1e-9)
            for found in grammar.derivations(sample.text)
        )


@pytest.mark.parametrize(
    "template, message",
    [("{a|b", "no '}'"), ("[hero", "no ']'"), ("<unknown>", "no rule"), ("a]", "opening"), ("[He-ro]", "variable")],
)
def test_a_broken_template_is_refused_with_its_place(template, message):
    with pytest.raises(TemplateError, match=re.escape(message)):
        parse(template, {})


def test_unknown_variables_and_attributes_are_refused():
    with pytest.raises(ValueError, match="no variable named 'hero'"):
        Grammar({}, {}, "[hero]")
    with pytest.raises(ValueError, match="no attribute 'verb'"):
        Grammar({"toy": Table([Entry("kite")])}, {}, "[toy.verb]")


@pytest.mark.parametrize(
    "word, expected",
    [("apple", "an"), ("kite", "a"), ("unicorn", "a"), ("hour", "an"), ("orange ball", "an"), ("useful tool", "a")],
)
def test_articles(word, expected):
    assert article(word) == expected


@pytest.fixture(scope="module")
def samples():
    generator = random.Random(99)
    return [full_grammar().sample(generator) for _ in range(1500)]


def test_every_story_of_the_full_grammar_is_recovered_from_its_text(samples):
    """The sampler, the scorer and the decoder are three pieces of code; they have to agree on every story."""
    grammar = full_grammar()
    for sample in samples[:300]:
        found = grammar.derivations(sample.text)
        assert len(found) == 1, f"{len(found)} derivations of {sample.text!r}"
        assert found[0].spans == sample.spans
        assert found[0].values == sample.values
        assert found[0].log_prob == pytest.approx(sample.log_prob, abs=1e-8)
        assert grammar.log_prob(sample.text) == pytest.approx(sample.log_prob, abs=1e-8)


def test_prefix_probability_falls_along_a_story_and_ends_at_its_probability(samples):
    grammar, text = full_grammar(), samples[0].text
    values = [grammar.prefix_log_prob(text[:length]) for length in range(0, len(text) + 1, 7)]
    assert values[0] == pytest.approx(0.0, abs=1e-9)
    assert all(later <= earlier + 1e-9 for earlier, later in zip(values, values[1:], strict=False))
    assert grammar.prefix_log_prob(text) == pytest.approx(grammar.log_prob(text), abs=1e-9)


def test_the_prose_is_clean(samples):
    for sample in samples:
        text = sample.text
        assert text.isascii() and text == text.strip()
        assert not re.search(r" {2}| [.,!?]|\n{3}|\.\.| \n|\n |[\[\]{}<>|*^_]", text), text
        assert not re.search(r"\b[Aa] [aeiouAEIO]\w*", re.sub(r"\b[Aa] (one|uni|use)", "", text)), text
        assert not re.search(r"\b[Aa]n [^aeiouAEIOhH]", text), text
        for paragraph in text.split("\n\n"):
            assert paragraph[0].isupper() or paragraph[0] == '"', paragraph
            assert paragraph.count('"') % 2 == 0, paragraph
            assert re.search(r'[.!?]"?$', paragraph), paragraph
        assert not re.search(r'[.!?]"? [a-z]', re.sub(r'[!?.,]" [a-z]', "", text)), text
        assert not re.search(r"\b(\w+) \1\b", re.sub(r"\b(had had|that that|knock knock)\b", "", text.lower())), text
        assert 80 <= len(text.split()) <= 220


def test_every_plot_is_told_and_things_come_back_at_the_end(samples):
    plots = collections.Counter(sample.choices["plot"] for sample in samples)
    assert len(plot_modules()) >= 12
    assert set(plots) == set(range(len(plot_modules())))
    assert min(plots.values()) > 0.5 * len(samples) / len(plots)
    hero_again = [
        sample
        for sample in samples
        if any(span.role == "hero" and span.start > 0.7 * len(sample.text) for span in sample.spans)
    ]
    assert len(hero_again) > 0.97 * len(samples)


def test_the_bundled_stories_are_made_again_byte_for_byte(tmp_path):
    """The first chunks of both files, sampled afresh, and the file format's bytes where pyarrow is the same version."""
    pyarrow = pytest.importorskip("pyarrow")
    from data.story_grammar.__main__ import CHUNK, sample_chunk, write_parquet
    from helpers.files import data_folder, read_json, sha256

    folder = data_folder() / "stories"
    for split, with_truth in (("validation", True), ("train", False)):
        path = folder / f"{split}-00000-of-00001.parquet"
        stored = pyarrow.parquet.read_table(path).to_pylist()
        again = sample_chunk((split, 0, with_truth))
        assert len(again) == CHUNK
        assert again == stored[:CHUNK]
        if pyarrow.__version__ == read_json(folder / "statistics.json")["pyarrow"]:
            write_parquet(stored, tmp_path / path.name)
            assert sha256(tmp_path / path.name) == read_json(folder / "hashes.json")[path.name]


def test_the_bundled_validation_stories_are_exact_and_held_out():
    """Every validation story: one derivation, which gives its nats and its spans; and none of them is in train."""
    pyarrow = pytest.importorskip("pyarrow")
    from helpers.files import data_folder

    grammar = full_grammar()
    folder = data_folder() / "stories"
    train = set(pyarrow.parquet.read_table(folder / "train-00000-of-00001.parquet").column("text").to_pylist())
    assert len(train) == 60_000
    validation = pyarrow.parquet.read_table(folder / "validation-00000-of-00001.parquet").to_pylist()
    assert len(validation) == 2_000
    for row in validation:
        assert row["text"] not in train
        (found,) = grammar.derivations(row["text"])
        assert -found.log_prob == pytest.approx(row["nats"], abs=1e-8)
        assert [vars(span) for span in found.spans] == row["spans"]


def test_the_datasheet_tells_the_statistics():
    from data.story_grammar.__main__ import datasheet_table, statistics
    from helpers.files import data_folder, read_json
    from helpers.stories import load_stories

    figures = read_json(data_folder() / "stories" / "statistics.json")
    assert datasheet_table(figures) in (data_folder() / "README.md").read_text(encoding="utf-8")
    train = [{"text": text} for text in load_stories("bundled", "train")]
    validation = load_stories("bundled", "validation").dataset.select_columns(["text", "nats"])
    again = statistics(train, list(validation))
    assert again == {key: figures[key] for key in again}
