"""Wrong answers to the exercise of notebook 00."""

import re

from tests.wrong_answers import wrong


@wrong("0.1", "not-a-number")
def returns_the_words(story):
    return story.split()


@wrong("0.1", "one-word")
def counts_the_gaps(story):
    return story.count(" ")


@wrong("0.1", "one-word")
def counts_the_letters(story):
    return len(story)


@wrong("0.1", "plain")
def counts_different_words(story):
    return len(set(story.split()))


@wrong("0.1", "spaces")
def cuts_at_every_space(story):
    return len(story.split(" "))


@wrong("0.1", "lines")
def knows_no_lines(story):
    return len([word for word in story.split(" ") if word])


@wrong("0.1", "edges")
def counts_what_stands_before_the_first_word(story):
    return len(re.split(r"\s+", story))


@wrong("0.1", "empty")
def cannot_be_without_words(story):
    return max(1, len(story.split()))


@wrong("0.1", "random")
def knows_no_tabs(story):
    return len(re.findall(r"[^ \n]+", story))


@wrong("0.1", "returns-nothing")
def prints_instead(story):
    print(len(story.split()))
