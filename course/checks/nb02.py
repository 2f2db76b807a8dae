"""The exercises of notebook 02: words, broken characters, splitting, packing, growth; those that compare stories
are in `stories_compared`.
"""

from collections import Counter

from course.checks.compare import shown
from course.checks.exercise import exercise
from course.checks.made_texts import broken, hash_is_noticed, number_word, story
from course.checks.stories_compared import containments, find_duplicates, minhash, sequences

__all__ = [
    "containments", "find_duplicates", "growth", "mend_characters", "minhash", "pack_stream", "sequences",
    "split_by_text", "words_of",
]  # fmt: skip


@exercise("2.1", title="The words of a text", minutes=8, difficulty=1)
def words_of(answer, check):
    got = answer("a red kite")
    check.that(
        not hasattr(got, "keys"), slug="counts", problem="expected a list of words, got a dictionary",
        hint="Counting comes afterwards: return the words themselves, each as often as it stands there.",
    )  # fmt: skip
    check.equal(got, ["a", "red", "kite"], slug="words", hint="Return a list of the words, in their order.")
    check.equal(
        answer("one two one two"), ["one", "two", "one", "two"], slug="every-word",
        hint="A word that comes twice stands twice in the list: nothing is sorted or left out.",
    )  # fmt: skip
    check.equal(
        answer("The kite the THE"), ["the", "kite", "the", "the"], slug="case",
        hint="A word at the start of a sentence is the same word: put the text into lower case.",
    )  # fmt: skip
    check.equal(
        answer('"Oh," said Pip. Oh!'), ["oh", "said", "pip", "oh"], slug="punctuation",
        hint="Commas, full stops and quotation marks are not part of a word.",
    )  # fmt: skip
    check.equal(
        answer("Don't! I don't."), ["don't", "i", "don't"], slug="apostrophe",
        hint="An apostrophe between letters belongs to the word: \"don't\" is one word, not two.",
    )  # fmt: skip
    check.equal(
        answer("the bears' den, 'tis 'red'"), ["the", "bears", "den", "tis", "red"], slug="edges",
        hint="An apostrophe before or after a word is a quotation mark: it does not belong to it.",
    )  # fmt: skip
    check.equal(
        answer("Let’s go, ’tis Pip’s ‘kite’"), ["let’s", "go", "tis", "pip’s", "kite"], slug="curly",
        hint="The curly apostrophe ’ of printed books is treated as the straight one, and stays curly.",
    )  # fmt: skip
    check.equal(
        answer("rock'n'roll o'er"), ["rock'n'roll", "o'er"], slug="apostrophe",
        hint="A word may hold more than one apostrophe: any number of times, an apostrophe with letters after it.",
    )  # fmt: skip
    check.equal(
        answer("red-hot\n\nsun—and 3 suns, a_b x2y"), ["red", "hot", "sun", "and", "suns", "a", "b", "x", "y"],
        slug="what-divides", hint="What is no letter divides words: dashes, line ends, digits, underscores.",
    )  # fmt: skip
    check.equal(
        answer("the cook''s pot, rock' n' roll"), ["the", "cook", "s", "pot", "rock", "n", "roll"], slug="edges",
        hint="Of two apostrophes in a row neither stands between two letters, and a space is no letter.",
    )  # fmt: skip
    check.equal(
        answer("Zoé naïve ÄRGER"), ["zoé", "naïve", "ärger"], slug="languages",
        hint="é, ï and Ä are letters, too: [a-z] is English alone.",
    )  # fmt: skip
    for text in ("", " \n", "...", "' '"):
        check.equal(answer(text), [], slug="empty", hint="A text without letters has no words: not even an empty one.")
    for _ in range(20):
        words = [check.random.choice(["the", "pip's", "kité", "pond", "a"]) for _ in range(12)]
        text = "".join(word + check.random.choice([" ", ", ", ".\n", '!" ', " - "]) for word in words)
        check.equal(answer(text.title()), words, slug="random", hint="Find the words of this one by hand.")


_BREAKABLE = "“”‘’–—…éèêñüö"


@exercise("2.6", title="Mend broken characters", minutes=12, difficulty=3)
def mend_characters(learners, check):
    def answer(text):
        try:
            return learners(text)
        except UnicodeError as error:  # who turns the whole text back cannot get past the first right character
            check.fail(
                f"{text!r} raised {type(error).__name__}: {error}", slug="way-back",
                hint="The whole text cannot be encoded and decoded back: right characters, and lost bytes, are in the "
                "way. Look for the broken forms, and replace them alone.",
            )  # fmt: skip

    check.equal(
        answer("A plain story."), "A plain story.", slug="plain", hint="Text without broken characters stays as it is."
    )
    check.equal(
        answer(broken("Zoé and Chloé")), "Zoé and Chloé", slug="broken",
        hint='"Ã©" was "é" once. Make a table from each broken form to its character, and replace.',
    )  # fmt: skip
    check.equal(
        answer("“Oh,” said ZoÃ©. Let’s go…"), "“Oh,” said Zoé. Let’s go…", slug="right-already",
        hint="In one story some characters are broken and some are right. What is right must stay.",
    )  # fmt: skip
    check.equal(
        answer("â€œLetâ€™s go"), "“Let’s go", slug="longest-first",
        hint='"â€œ" begins with "â€", which is a broken form, too. Replace the longer forms first.',
    )  # fmt: skip
    check.equal(
        answer("â€œOhâ€ said Pip"), "“Oh” said Pip", slug="lost-byte",
        hint='The last byte of "”" has no character in Windows-1252 and was lost: what is left of it is "â€".',
    )  # fmt: skip
    check.equal(
        answer("你好🙂 â€“ Pip"), "你好🙂 – Pip", slug="other-languages",
        hint="A character that Windows-1252 does not have is not broken: leave it, and mend the rest.",
    )  # fmt: skip
    check.equal(
        answer("pâté, Âge, JOÃO, 10 €, œuf ™"), "pâté, Âge, JOÃO, 10 €, œuf ™", slug="looks-broken",
        hint="â, Ã, €, œ and ™ are characters of their own; only whole broken forms may be replaced.",
    )  # fmt: skip
    for mark in _BREAKABLE:
        check.equal(
            answer(broken(f"a{mark}b")), f"a{mark}b", slug="every-mark",
            hint=f"The broken form of {mark!r} is not mended. Make the table from all of MARKS by code, not by hand.",
        )  # fmt: skip
    check.equal(
        answer("â€œOh!â€â€œHm.â€"), "“Oh!”“Hm.”", slug="one-pass",
        hint='"â€" before a “ that was just mended looks like a broken "–". Go through the text once (re.sub can), '
        "so that nothing is mended twice.",
    )  # fmt: skip
    for _ in range(30):
        text = "".join(check.random.choice("ab .,\n" + _BREAKABLE) for _ in range(20))
        check.equal(
            answer(broken(text)), text, slug="random", hint="Break this text yourself, and mend it step by step."
        )


@exercise("2.7", title="Split by text", minutes=10, difficulty=2)
def split_by_text(answer, check):
    def split(texts, fraction=0.1):
        train, validation = answer(texts, fraction)
        return list(train), list(validation)

    texts = [story(check.random) for _ in range(3000)]
    train, validation = split(texts)
    check.equal(
        Counter(train + validation) == Counter(texts), True, slug="complete", when="with 3,000 stories",
        hint="Every story goes to one side: none is lost, none doubled, none changed.",
    )  # fmt: skip
    check.that(
        240 <= len(validation) <= 360, slug="fraction", when="with 3,000 stories and fraction 0.1",
        problem=f"{len(validation)} stories are in the validation split; about 300 were asked for",
        hint="The smaller part is the second one: (train, validation)." if 240 <= len(train) <= 360 else
        "Turn the story into a number that is even between 0 and 1, and compare it with fraction.",
    )  # fmt: skip
    for asked in (0.5, 0.25, 0.75, 0.02, round(check.random.uniform(0.3, 0.7), 3)):
        count, room = len(split(texts, asked)[1]), 4.5 * (3000 * asked * (1 - asked)) ** 0.5
        check.that(
            abs(count - 3000 * asked) <= room, slug="fraction", when=f"with 3,000 stories and fraction {asked}",
            problem=f"{count} stories are in the validation split; about {3000 * asked:.0f} were asked for",
            hint="fraction is an argument, and may be any number between 0 and 1: use it as it is.",
        )  # fmt: skip
    many = [f"Story {i} of {number_word(check.random)}." for i in range(20_000)]
    count = len(split(many, 0.002)[1])
    check.that(
        15 <= count <= 70, slug="too-coarse", when="with 20,000 stories and fraction 0.002",
        problem=f"{count} stories are in the validation split; about 40 were asked for",
        hint="One byte, or two digits, have too few different values: take more of the hash.",
    )  # fmt: skip
    check.equal(split([]), ([], []), slug="complete", hint="No stories: two empty lists.")
    copies = [text for text in texts[:400] for _ in range(3)]
    check.random.shuffle(copies)
    left, right = split(copies)
    check.that(
        Counter(left + right) == Counter(copies), slug="complete", when="with three copies of each story",
        problem=f"{len(copies)} stories went in, {len(left) + len(right)} came out",
        hint="Every story goes to one side, copies too: to find copies is another task.",
    )  # fmt: skip
    check.that(
        not set(left) & set(right), slug="both-sides", when="with three copies of each story",
        problem="some stories stand on both sides",
        hint="Equal texts must go the same way: decide by the text itself, not by its position or by chance.",
    )  # fmt: skip
    spaced = [text.replace(" ", "\n") for text in texts[:600]]
    left, right = split(texts[:600] + spaced)
    check.that(
        Counter(left + right) == Counter(texts[:600] + spaced), slug="as-they-were",
        when="with stories that have line ends in them", problem="some stories came back with other spaces",
        hint="Decide by the tidied text, and put the story itself into the list, as it was.",
    )  # fmt: skip
    left = {" ".join(text.split()) for text in left}
    check.that(
        not left & {" ".join(text.split()) for text in right}, slug="spacing",
        when="with copies that have other spacing",
        problem="a story and its copy with other spaces stand on different sides",
        hint="Before you hash it, write the story in one way: ' '.join(text.split()).",
    )  # fmt: skip
    check.equal(
        set(split(texts[:1500])[1]) <= set(validation), True, slug="more-stories",
        when="when stories are added", hint="Adding stories must not move others: each is decided for itself.",
    )  # fmt: skip
    check.equal(
        [text for text in texts if text in set(validation)], validation, slug="keeps-order", when="with 3,000 stories",
        hint="Keep the stories in their order.",
    )  # fmt: skip
    seen: list = []
    with hash_is_noticed(seen):
        split(texts[:20])
    check.that(
        not seen, slug="salted", when="in a second run of Python",
        problem="hash() of a text gives other numbers in every run, so the split would be another one",
        hint="Take a hash that is the same everywhere: hashlib.sha256(text.encode('utf-8')).",
    )  # fmt: skip


@exercise("2.8", title="Pack a stream", minutes=10, difficulty=2)
def pack_stream(answer, check):
    def rows(stories, context_length, eos_token_id=0):
        return [[int(i) for i in row] for row in answer(stories, context_length, eos_token_id)]

    check.equal(
        rows([[1, 2, 3]], 4),
        [[1, 2, 3, 0]],
        slug="end-token",
        hint="Every story is followed by the end token, the last one, too. And a last row that is just full counts.",
    )
    check.equal(
        rows([[1, 2], [3]], 5), [[1, 2, 0, 3, 0]], slug="end-token", hint="Every story is followed by one end token."
    )
    got = rows([[1, 2, 3], [4, 5, 6]], 4)
    check.that(
        len(got) <= 2, slug="overlap", problem=f"expected 2 rows, got {len(got)}, which overlap",
        hint="Each row begins where the one before it ended: the starts are context_length apart.",
    )  # fmt: skip
    check.equal(
        got,
        [[1, 2, 3, 0], [4, 5, 6, 0]],
        slug="order",
        hint="The stream keeps the order of the stories.",
    )
    check.equal(
        rows([[1, 2, 3, 4, 5, 6, 7]], 4), [[1, 2, 3, 4], [5, 6, 7, 0]], slug="across-rows",
        hint="A story that does not fit goes on in the next row: nothing is cut off.",
    )  # fmt: skip
    check.equal(
        rows([[1, 2, 3, 4], [5, 6]], 4), [[1, 2, 3, 4], [0, 5, 6, 0]], slug="across-rows",
        hint="The end token may be the first of the next row.",
    )  # fmt: skip
    check.equal(
        rows([[1, 2, 3], [4, 5]], 4), [[1, 2, 3, 0]], slug="rest", hint="A last row that is not full is dropped."
    )
    check.equal(rows([[1]], 4), [], slug="rest", hint="Less than one row is no row.")
    check.equal(rows([], 4), [], slug="empty", hint="No stories, no rows.")
    check.equal(
        rows([[1], [], [2, 3]], 3), [[1, 0, 0], [2, 3, 0]], slug="end-token",
        hint="A story without ids is a story, too: its end token stands in the stream.",
    )  # fmt: skip
    check.equal(
        rows([[1, 2], [3, 4]], 3, eos_token_id=9),
        [[1, 2, 9], [3, 4, 9]],
        slug="end-id",
        hint="The end token's id is an argument.",
    )
    for _ in range(20):
        stories = [[check.random.randrange(1, 9) for _ in range(check.random.randrange(1, 9))] for _ in range(9)]
        got = rows(stories, 5)
        stream = "".join("".join(map(str, story)) + "0" for story in stories)
        check.equal(
            ["".join(map(str, row)) for row in got], [stream[i : i + 5] for i in range(0, len(stream) - 4, 5)],
            slug="random", hint="Write the whole stream on paper, and cut it every 5 ids.",
        )  # fmt: skip


@exercise("2.9", title="How a vocabulary grows", minutes=8, difficulty=2)
def growth(answer, check):
    def points(texts):
        return [tuple(point) for point in answer(texts)]

    check.equal(points(["a red kite"]), [(3, 3)], slug="one", hint="After one text: (words read, different words).")
    check.equal(
        points(["a kite a kite a"]), [(5, 2)], slug="different", hint="Five words were read, two are different."
    )
    check.equal(
        points(["a b", "b c"]), [(2, 2), (4, 3)], slug="adds-up",
        hint="After the second text all words so far count: four were read, and b was known.",
    )  # fmt: skip
    check.equal(
        points(["a b", "A, B!"]), [(2, 2), (4, 2)], slug="words-of", hint="Take the words from words_of: A is a."
    )
    three = points(["a", "b", "c"])
    check.that(
        three != [(1, 1), (2, 2)], slug="last",
        problem=f"with three texts: expected (3, 3) at the end, got {shown(three)}",
        hint="After the last text there is a point as well, though three is no power of two.",
    )  # fmt: skip
    check.equal(three, [(1, 1), (2, 2), (3, 3)], slug="when", hint="Points after 1, 2, 4, 8, ... texts, and after all.")
    check.equal(
        points(list("abcdefghi")), [(1, 1), (2, 2), (4, 4), (8, 8), (9, 9)], slug="when",
        hint="Nine texts: points after 1, 2, 4 and 8 of them, and after the last.",
    )  # fmt: skip
    check.equal(
        points(list("abcd")), [(1, 1), (2, 2), (4, 4)], slug="twice",
        hint="After the fourth and last text there is one point, not two.",
    )  # fmt: skip
    check.equal(
        points(["", "a", "...", "b", "c", "d", ""]), [(1, 1), (2, 2), (4, 4)], slug="empty-texts",
        hint="A text without words does not count as a text: neither at the beginning, nor in between, nor at the end.",
    )  # fmt: skip
    check.equal(points([]), [], slug="nothing", hint="No texts, no points.")
    for _ in range(10):
        texts = [" ".join(check.random.choices("abcdefghijklmnop", k=check.random.randint(1, 5))) for _ in range(21)]
        expected = []
        for number in (1, 2, 4, 8, 16, 21):
            words = " ".join(texts[:number]).split()
            expected.append((len(words), len(set(words))))
        check.equal(points(texts), expected, slug="random", hint="Count the first texts of this one by hand.")
