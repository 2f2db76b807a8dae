"""The exercises of notebook 02: counting words, duplicates, leaks, broken characters, splitting, packing.

Longer than other modules: a notebook has one module of checks, in which each stands by itself.
"""

from collections import Counter

from course.checks.exercise import exercise
from course.checks.made_texts import broken, hash_is_noticed, story


@exercise("2.1", title="Count the words", minutes=8, difficulty=1)
def count_words(answer, check):
    check.equal(
        dict(answer(["a red kite", "a pond"])), {"a": 2, "red": 1, "kite": 1, "pond": 1}, slug="all-texts",
        hint="Words of all texts go into one counter.",
    )  # fmt: skip
    check.equal(
        dict(answer(["The kite the THE"])), {"the": 3, "kite": 1}, slug="case",
        hint="A word at the start of a sentence is the same word: put the text into lower case.",
    )  # fmt: skip
    check.equal(
        dict(answer(['"Oh," said Pip. Oh!'])), {"oh": 2, "said": 1, "pip": 1}, slug="punctuation",
        hint="Commas, full stops and quotation marks are not part of a word.",
    )  # fmt: skip
    check.equal(
        dict(answer(["Don't! I don't."])), {"don't": 2, "i": 1}, slug="apostrophe",
        hint="An apostrophe between letters belongs to the word: \"don't\" is one word, not two.",
    )  # fmt: skip
    check.equal(
        dict(answer(["the bears' den, 'tis 'red'"])), {"the": 1, "bears": 1, "den": 1, "tis": 1, "red": 1},
        slug="edges", hint="An apostrophe before or after a word is a quotation mark: it does not belong to it.",
    )  # fmt: skip
    check.equal(
        dict(answer(["red-hot\n\nsun—and 3 suns"])), {"red": 1, "hot": 1, "sun": 1, "and": 1, "suns": 1},
        slug="what-divides", hint="Anything that is not a letter divides words: dashes, line ends, digits.",
    )  # fmt: skip
    check.equal(
        dict(answer(["", " \n", "..."])),
        {},
        slug="empty",
        hint="A text without letters has no words: not even an empty one.",
    )
    for _ in range(20):
        words = [check.random.choice(["the", "pip's", "kite", "pond", "a"]) for _ in range(12)]
        text = "".join(word + check.random.choice([" ", ", ", ".\n", '!" ', " - "]) for word in words)
        check.equal(dict(answer([text])), dict(Counter(words)), slug="random", hint="Count this one by hand.")


@exercise("2.2", title="Find planted duplicates", minutes=12, difficulty=2)
def find_duplicates(answer, check):
    def groups(texts):
        return [list(group) for group in answer(texts)]

    check.equal(
        groups(["one kite", "two kites", "one kite"]), [[0, 2]], slug="exact",
        hint="Return the positions of equal stories, as one group; a story that stands alone is no group.",
    )  # fmt: skip
    check.equal(groups(["a", "b", "c"]), [], slug="alone", hint="Without duplicates the list is empty.")
    check.equal(
        groups(["x", "x", "x", "x"]), [[0, 1, 2, 3]], slug="one-group",
        hint="Four copies are one group of four, not six pairs.",
    )  # fmt: skip
    check.equal(
        groups(["a", "b", "c", "b", "a"]), [[0, 4], [1, 3]], slug="order",
        hint="Groups in the order of their first story, positions rising, copies need not be neighbours.",
    )  # fmt: skip
    check.equal(
        groups(["The kite.\n\nThe end.", "The kite. The  end. "]), [[0, 1]], slug="spaces",
        hint="Spaces and line ends are not part of the story: split() and join the words again.",
    )  # fmt: skip
    check.equal(
        groups(["The kite.", "the KITE."]), [[0, 1]], slug="case", hint="Capital letters do not make a new story."
    )
    check.equal(
        groups(['"Oh!" said Pip.', "“Oh”, said Pip!"]), [[0, 1]], slug="punctuation",
        hint="Compare the words alone, without any punctuation. The function words_of gives you the words.",
    )  # fmt: skip
    check.equal(
        groups(["the cat saw Pip", "Pip saw the cat"]), [], slug="word-order",
        hint="The same words in another order are another story: compare sequences, not sets.",
    )  # fmt: skip
    check.equal(
        groups(["the big big dog", "the big dog"]), [], slug="repeated-words",
        hint="A word that comes twice counts twice: compare sequences, not sets.",
    )  # fmt: skip
    check.equal(
        groups(["a red kite", "are dk ite"]), [], slug="word-borders",
        hint="Where a word ends is part of the story: do not glue the words together without a space.",
    )  # fmt: skip
    check.equal(
        groups(["", "a", "  \n", "..."]), [], slug="empty",
        hint="Stories without a word are empty, not duplicates: they are another fault, with another repair.",
    )  # fmt: skip
    many = [story(check.random) for _ in range(3000)]
    for _ in range(200):
        many[check.random.randrange(len(many))] = many[check.random.randrange(len(many))].upper()
    copies: dict[str, list[int]] = {}
    for i, text in enumerate(many):
        copies.setdefault(text.casefold(), []).append(i)
    expected = [group for group in copies.values() if len(group) > 1]
    check.equal(
        groups(many), expected, slug="many", when=f"in {len(many):,} stories with copies in capital letters",
        hint="A dictionary from the words of a story to its positions needs one pass.",
    )  # fmt: skip


@exercise("2.3", title="Find leakage", minutes=15, difficulty=3)
def find_leaks(answer, check):
    def leaks(train, validation, *more):
        return sorted(answer(train, validation, *more))

    other = "a story that shares no sequence of words with that one"
    base = "one two three four five six seven eight nine ten"  # ten words: three sequences of eight
    check.equal(leaks([base], [base, other]), [0], slug="exact", hint="A validation story that is in train leaks.")
    check.equal(leaks([base], []), [], slug="none", hint="No validation stories, no leaks.")
    check.equal(
        leaks(["a b c"], [base, other, base.upper() + "!"]), [], slug="within",
        hint="Copies within the validation stories are no leak: the question is what stands in train.",
    )  # fmt: skip
    check.equal(
        leaks([base], [base.replace(" ", ",\n").upper()]), [0], slug="words-alone",
        hint="Compare words in lower case, without punctuation and spacing: use words_of.",
    )  # fmt: skip
    near = base.replace("ten", "eleven")  # two of its three sequences stand in train
    check.equal(
        leaks([base], [near]), [0], slug="near",
        hint="One word was changed, and two of its three sequences of 8 words still stand in train.",
    )  # fmt: skip
    third = base.replace("nine", "99th").replace("ten", "10th")
    check.equal(
        leaks([base], [third]), [], slug="one-phrase",
        hint="A shared phrase is no leak: one train story must hold at least half of the story's sequences.",
    )  # fmt: skip
    long = " ".join(f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(60))
    words = long.split()
    check.equal(
        leaks([long], [" ".join(words[20:40])]), [0], slug="part",
        hint="A piece cut out of a train story leaks whole: divide by the validation story's number of sequences.",
    )  # fmt: skip
    check.equal(
        leaks([" ".join(words[20:40])], [long]), [], slug="part",
        hint="Only 13 of its 53 sequences stand in train: divide by the validation story's number of sequences.",
    )  # fmt: skip
    half = " ".join(words[:12]) + " " + " ".join(f"x{word}" for word in words[12:16])  # 9 sequences: 5 stand in train
    check.equal(
        leaks([long], [half]), [0], slug="half", hint="5 of 9 sequences stand in one train story: at least half."
    )
    exactly = " ".join(words[:10]) + " " + " ".join(f"x{word}" for word in words[10:13])  # 6 sequences: 3
    check.equal(leaks([long], [exactly]), [0], slug="half", hint="Exactly half is enough: 'at least' means >=.")
    patched = " ".join([*words[:9], *words[30:39], *words[50:59]])  # 2 + 2 + 2 of 20, but from one story
    check.equal(leaks([long], [patched]), [], slug="one-phrase", hint="6 of 20 sequences are less than half.")
    pieces = [" ".join(words[i : i + 14]) for i in (0, 7, 14, 21, 28, 35, 42, 46)]
    check.equal(
        leaks(pieces, [long]), [], slug="one-story",
        hint="No single train story holds half of the sequences, only all together. Count for each train story.",
    )  # fmt: skip
    check.equal(
        leaks(["a red kite"], ["a red kite", "", "a red"]), [], slug="short",
        hint="A story of fewer than n words has no sequence of n words: by this rule it does not leak.",
    )  # fmt: skip
    check.equal(
        leaks(["a red kite"], ["a red kite", "a red"], 3), [0], slug="n",
        hint="n is an argument: with n = 3, a story of three words has one sequence.",
    )  # fmt: skip
    again = " ".join(["row row row the boat"] * 6)
    check.equal(
        leaks(["row row row the boat row row row"], [again + " " + long]), [], slug="different",
        hint="Count different sequences: one that occurs six times in a story counts once.",
    )  # fmt: skip
    train = [story(check.random, 6) for _ in range(1500)]
    validation = [story(check.random, 6) for _ in range(200)]
    expected = sorted(check.random.sample(range(200), 20))
    for i in expected:
        validation[i] = "Well. " + check.random.choice(train).replace(".", "!")
    check.equal(
        leaks(train, validation), expected, slug="many", when="with 200 validation stories, 20 of them leaked",
        hint="Note for each sequence which validation stories have it; then go through train once.",
    )  # fmt: skip


_BREAKABLE = "“”‘’–—…éèêñüö"


@exercise("2.4", title="Mend broken characters", minutes=12, difficulty=3)
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
        answer("pâté, Âge, 10 €, œuf ™"), "pâté, Âge, 10 €, œuf ™", slug="looks-broken",
        hint="â, €, œ and ™ are characters of their own; only whole broken forms may be replaced.",
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


@exercise("2.5", title="Split by text", minutes=10, difficulty=2)
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
    check.that(
        1350 <= len(split(texts, 0.5)[1]) <= 1650, slug="fraction", when="with 3,000 stories and fraction 0.5",
        problem="not about half of them are in the validation split", hint="fraction is an argument: use it.",
    )  # fmt: skip
    copies = [text for text in texts[:400] for _ in range(3)]
    check.random.shuffle(copies)
    left, right = split(copies)
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


@exercise("2.6", title="Pack a stream", minutes=10, difficulty=2)
def pack_stream(answer, check):
    def rows(stories, context_length, eos_token_id=0):
        return [list(row) for row in answer(stories, context_length, eos_token_id)]

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
