"""Skills: the targets where a name comes again, the loss there, and of all that no variable decides."""

import copy

import pytest
import torch

from course.rementions import remention_accuracy
from course.skills import GRAMMAR, ROLES, Skills
from helpers.errors import CourseError
from helpers.evaluation import score_rows
from helpers.model import GPT, GPTConfig
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("bundled")


@pytest.fixture(scope="module")
def stories():
    rows = load_stories("bundled", "validation").dataset
    return [rows[i] for i in range(24)]


@pytest.fixture(scope="module")
def skills(tokenizer, stories):
    return Skills(tokenizer, stories)


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    return GPT(GPTConfig(tokenizer.vocab_size, 512, n_layer=1, n_head=2, d_model=16))


def test_each_place_predicts_the_first_token_of_a_word_named_before(skills, tokenizer, stories):
    assert {target.role for target in skills.targets} == set(ROLES)
    for target in skills.targets:
        row, text = skills.rows[target.row], stories[target.row]["text"]
        assert target.rivals[0] == row[target.at + 1] and len(set(target.rivals)) == len(target.rivals)
        before, rest = tokenizer.decode(row[1 : target.at + 1]), tokenizer.decode(row[target.at + 1 :])
        assert text == before + rest.removesuffix("<|endoftext|>")
        words = [
            story["text"][span["start"] : span["end"]]
            for story in stories
            for span in story["spans"]
            if span["role"] == target.role and span["attribute"] == "text"
        ]
        named = [word for word in words if rest.lstrip().startswith(word)]
        assert named and any(word.lower() in before.lower() for word in named)


def test_grammar_is_every_token_that_touches_no_span(skills, tokenizer, stories):
    for story, row, marks in zip(stories, skills.rows, skills.quiet, strict=True):
        position = 0
        for at, token in enumerate(row[1:-1]):
            end = position + len(tokenizer.decode([token]))  # the bundled stories are ASCII but for nothing
            touched = any(span["start"] < end and position < span["end"] for span in story["spans"])
            assert (at in marks) is not touched
            position = end


def test_the_losses_are_those_of_evaluation(skills, model):
    found = skills.measure(model)
    scores = score_rows(model, skills.rows)
    for role in ROLES:
        mine = [-scores[target.row].log_probs[target.at] for target in skills.targets if target.role == role]
        assert found[role]["nats"] == pytest.approx(sum(mine) / len(mine), rel=1e-4)
    quiet = [-scores[n].log_probs[at] for n, marks in enumerate(skills.quiet) for at in marks]
    assert found[GRAMMAR]["nats"] == pytest.approx(sum(quiet) / len(quiet), rel=1e-4)


def test_a_model_that_knows_is_right_and_one_that_knows_nothing_guesses(skills, model, tokenizer):
    class Knowing(torch.nn.Module):
        """Looks the answer up."""

        def __init__(self, shift):
            super().__init__()
            self.config, self.shift = model.config, shift
            self.head, self.unused = torch.nn.Identity(), torch.nn.Linear(1, 1)

        def hidden(self, ids):
            out = torch.zeros(*ids.shape, tokenizer.vocab_size)
            for n, row in enumerate(skills.rows):
                for at, token in enumerate(row[1:]):
                    out[n, at, (token + self.shift) % tokenizer.vocab_size] = 30
            return out

    known = skills.measure(Knowing(0))
    assert all(known[role]["right"] == 1 and known[role]["nats"] < 1e-3 for role in ROLES)
    for role, found in skills.measure(model).items():
        if role != GRAMMAR:
            assert abs(found["right"] - skills.chance[role]) < 0.35


def test_it_agrees_with_remention_accuracy_where_words_are_single_tokens(skills, model, tokenizer, stories):
    single = all(len(tokenizer.encode(f" {word}")) == 1 for word in ("red", "blue", "green", "kite", "ball"))
    assert single
    thorough = remention_accuracy(model, tokenizer, stories, roles=["color"])
    assert skills.measure(model)["color"]["right"] == pytest.approx(thorough.roles["color"].all, abs=0.02)


def test_measuring_changes_nothing(skills, model):
    model.train()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    first = skills.measure(model)
    assert model.training and torch.equal(torch.get_rng_state(), state)
    assert first == skills.measure(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_short_context_leaves_out_what_does_not_fit(skills, tokenizer):
    torch.manual_seed(0)
    short = GPT(GPTConfig(tokenizer.vocab_size, 64, n_layer=1, n_head=2, d_model=16))
    assert skills.measure(short)[GRAMMAR]["nats"] > 0


def test_refusals(tokenizer, stories):
    with pytest.raises(CourseError, match="spans"):
        Skills(tokenizer, [{"text": "A cat."}])
    with pytest.raises(CourseError, match="no role|has the role 'wizard'"):
        Skills(tokenizer, stories, roles=("wizard",))
