"""What is read of an order in a person's own words: every wording of the set, nothing that was not said."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course.instructions import asked
from course.instructions.dataset import SPLITS, load
from course.instructions.orders import FACTS
from course.instructions.reading import read


@pytest.mark.parametrize("split", SPLITS)
def test_of_the_orders_of_the_set_no_demand_is_made_up_and_hardly_one_missed(split):
    rows = load(split)[:1500]
    found = [asked.read_order(row["order"]) for row in rows]
    assert not [row["order"] for row, one in zip(rows, found, strict=True) if one.unknown]
    assert not [
        (row["order"], one.demands)
        for row, one in zip(rows, found, strict=True)
        if not one.demands.items() <= row["demands"].items()
    ]
    whole = sum(row["demands"] == one.demands for row, one in zip(rows, found, strict=True)) / len(rows)
    assert whole == 1 or (split == "unseen_paraphrases" and whole > 0.9)


@pytest.mark.parametrize(
    ("text", "demands"),
    [
        ("a shy fox", {"kind": "fox", "trait": "shy"}),
        ("Tell me a story about Ruby and Tom in the zoo", {"hero": "Ruby", "friend": "Tom", "place": "zoo"}),
        ("STORY ABOUT A BRAVE LITTLE PUPPY CALLED MAX", {"hero": "Max", "kind": "puppy", "trait": "brave"}),
        ("I want a funny story with a fox and a ball", {"kind": "fox", "toy": "ball"}),
        ("a tale of a lost kite, please", {"toy": "kite", "plot": "lost and found"}),
        ("Tell a story about a kind girl", {"kind": "girl", "trait": "kind"}),
        ("what kind of story do you like", {}),
        ("Tell a story about a fox without a kite", {"kind": "fox"}),  # what is not wanted is no demand
        ("a story about a fox or a bear", {}),
        ("a story about Ruby or Tom", {}),
        ("a story about Ruby and her friend the bear", {"hero": "Ruby"}),  # the friend's kind
        ("a story with a kite and a drum", {}),  # two toys, and no story has two
        ("a red fox with a kite", {"kind": "fox", "toy": "kite"}),  # the fox is red
        ("a fox with a kite in red", {"kind": "fox", "toy": "kite", "color": "red"}),
        ("Tell Lily a story about the toy shop", {"place": "toy shop"}),  # neither told of Lily nor a toy
        ("There is a storm and a secret", {}),  # two plots
        ("Hello!", {}),
        ("", {}),
    ],
)
def test_what_is_sure_is_read_and_nothing_else(text, demands):
    assert asked.read_order(text).demands == demands


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("a story about a dragon named Ember with a red sword", {"dragon": "kind", "Ember": "hero", "sword": "toy"}),
        ("Tell me about Harry Potter", {"Harry": "hero", "Potter": "hero"}),
        ("a story about a foxx", {"foxx": "kind"}),
        ("Write me an essay about a sandwich", {"essay": "thing", "sandwich": "kind"}),
        ("a story about a cat who goes to the moon", {"cat": "kind"}),
        ("a story about a princess in a castle", {"princess": "kind"}),
        ("Tell a funny story about a little shy fox, and a happy ending", {}),
        ("Tell a story about a day at the beach", {}),
    ],
)
def test_what_no_story_has_is_named_with_what_it_was_said_for(text, unknown):
    assert asked.read_order(text).unknown == unknown


@settings(deadline=None, max_examples=100)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from("a fox named with Ruby or and , ? . red kite".split())).map(" ".join)
)
def test_any_text_can_be_read(text):
    found = asked.read_order(text)
    assert all(value in FACTS[fact] for fact, value in found.demands.items())
    assert isinstance(asked.is_question(text), bool)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Who is the story about?", True),
        ("who lost it", True),
        ("Tell me who lost the kite", True),
        ("Could you tell me what color it is?", True),
        ("Is there a bear?", True),
        ("Tell a story about a fox", False),
        ("Could you make up a tale about a fox?", False),
        ("Is there a story with a bear?", False),
        ("How about a story about Pip?", False),
        ("Can you sing?", False),
        ("Hello", False),
    ],
)
def test_questions_are_told_from_orders(text, question):
    assert asked.is_question(text) == question


def test_the_right_answer_is_that_of_the_set():
    rows = load("questions")
    assert all(asked.right_answer(row["question"], read(row["text"]).facts) == row["answer"] for row in rows)
    assert not any(asked.is_question(row["order"]) for row in rows)
    assert all(asked.is_question(row["question"]) for row in rows)


def test_questions_may_be_worded_a_little_otherwise_but_not_much():
    facts = {"hero": "Pip", "toy": "kite", "color": "red", "plot": "stuck", "friend": "Mia"}
    for said in ("What color is the kite?", "what colour is the kite", "Tell me what color is the kite?"):
        assert asked.right_answer(said, facts) == "Red."
    assert asked.right_answer("Who was stuck?", facts) == "Mia."
    assert asked.right_answer("Who lost the kite?", facts) is None  # of another plot
    assert asked.right_answer("Where is the story set?", facts) is None  # which this story does not say
    assert asked.right_answer("Why?", facts) is None
