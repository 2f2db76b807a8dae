"""Exercises of notebook 01 that make a tokenizer: of words, by training, and the whole class."""

import re
from collections import Counter

from course.checks.answer import where_it_broke
from course.checks.exercise import exercise


def _words_and_signs(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


@exercise("1.1", title="A tokenizer of words", minutes=10, difficulty=1)
def WordTokenizer(answer, check):
    name = answer.__name__

    def words(texts, size, **more):
        made = answer(texts, size)
        check.that(
            isinstance(getattr(made, "words", None), list | tuple), slug="words", when=f"{name}({texts}, {size})",
            problem="it has no list `words`", hint="Keep the list in __init__, under the name self.words.",
        )  # fmt: skip
        return list(made.words)

    def ids(made, text, when):
        try:
            return made.encode(text)
        except (KeyError, ValueError) as error:
            check.fail(
                f"{when} raised {type(error).__name__}: {error}", slug="unknown",
                hint="A word without an id must not stop the tokenizer: what does `dict.get` give for it?",
            )  # fmt: skip

    texts, made_by = ["a kite and a boat", "a kite and a kite"], f'{name}(["a kite and a boat", "a kite and a kite"], '
    got = words(texts, 3)
    check.that(
        "[UNK]" in got, slug="no-unknown", when=f"{made_by}3).words", problem=f"'[UNK]' is not among {got}",
        hint="The first entry is UNKNOWN: its place is the id of all words that have no other.",
    )  # fmt: skip
    check.that(
        len(got) == 3, slug="size", when=f"{made_by}3).words", problem=f"expected 3 entries, got {len(got)}: {got}",
        hint="vocab_size counts UNKNOWN, too: how many places are left for words?",
    )  # fmt: skip
    check.equal(
        got, ["[UNK]", "a", "kite"], slug="order", when=f"{made_by}3).words",
        hint="After UNKNOWN come the most frequent words: here 'a' (4 times), then 'kite' (3 times).",
    )  # fmt: skip
    check.equal(
        words(["b b c", "c c c"], 2), ["[UNK]", "c"], slug="all-texts", when=f'{name}(["b b c", "c c c"], 2).words',
        hint="Count the words of all texts together, not of one alone.",
    )  # fmt: skip
    got = words(texts, 100)
    check.equal(
        sorted(got), sorted(["[UNK]", "a", "kite", "and", "boat"]), slug="few-words", when=f"{made_by}100).words",
        hint="Where there are fewer words than places, the list is shorter, and each word stands there once.",
    )  # fmt: skip
    check.equal(
        set(words(["Oh, no. no, Oh!", "Oh."], 99)), {"[UNK]", "Oh", ",", "no", ".", "!"}, slug="signs",
        when=f'{name}(["Oh, no. no, Oh!", "Oh."], 99).words',
        hint="Cut texts with words_and_signs, and leave capitals as they are: a sign is a token of its own.",
    )  # fmt: skip
    check.equal(words(texts, 1), ["[UNK]"], slug="size", when=f"{made_by}1).words", hint="UNKNOWN takes a place, too.")
    small = answer(texts, 3)
    answer(["x y z"], 3)
    check.equal(
        list(small.words), ["[UNK]", "a", "kite"], slug="shared", when="after a second tokenizer was made",
        hint="Each tokenizer keeps its own words: in `self`, not in the class or in a global name.",
    )  # fmt: skip
    when = f'{made_by}3).encode("a kite")'
    check.equal(
        ids(small, "a kite", when), [1, 2], slug="ids", when=when,
        hint="A word's id is its place in self.words: self.words[1] is 'a'.",
    )  # fmt: skip
    when = f'{made_by}3).encode("a boat, a ship")'
    check.equal(
        ids(small, "a boat, a ship", when), [1, 0, 0, 1, 0], slug="unknown", when=when,
        hint="Every word and sign gives one id: 0 where it is not among self.words. None is left out.",
    )  # fmt: skip
    check.equal(ids(small, "", "encode('')"), [], slug="empty", when="encode('')", hint="No words, no ids.")
    when = f"{made_by}3).decode([1, 0, 2])"
    check.equal(
        small.decode([1, 0, 2]), "a [UNK] kite", slug="decode", when=when,
        hint="The words of the ids in their order, with one space between: self.words[i] is the word of id i.",
    )  # fmt: skip
    check.equal(small.decode([]), "", slug="empty", when="decode([])", hint="No ids, no words.")
    for _ in range(10):
        made_up = [" ".join(check.random.choices("abcdefg", k=12)) + "." for _ in range(5)]
        size = check.random.randint(2, 9)
        made = answer(made_up, size)
        counts, kept = Counter(w for text in made_up for w in _words_and_signs(text)), list(made.words)
        numbers = [counts[word] for word in kept[1:]]
        check.that(
            numbers == sorted(counts.values(), reverse=True)[: size - 1], slug="random",
            when=f"{name}({made_up[:1]} and 4 more, {size}).words",
            problem=f"the words kept occur {numbers} times; the most frequent are wanted, in falling order",
            hint="Count by hand, and compare.",
        )  # fmt: skip
        expected = [kept.index(word) if word in kept else 0 for word in _words_and_signs(made_up[0])]
        check.equal(
            ids(made, made_up[0], "encode"), expected, slug="random", when=f"encode({made_up[0]!r})",
            hint="Look each word up in self.words.",
        )  # fmt: skip


@exercise("1.4", title="Train the tokenizer", minutes=20, difficulty=3)
def train(answer, check):
    from helpers.bpe import BYTE_ID, FIRST_TOKENS, split_pieces
    from helpers.errors import CourseError
    from helpers.tokenizer import train_tokenizer

    def pair(text):
        return tuple(BYTE_ID[byte] for byte in text.encode())

    def trained(pieces, size):
        try:
            got = answer(pieces, size)
        except (AttributeError, TypeError) as error:
            if "tuple" not in str(error) or "list" in str(error) and "concatenate" not in str(error):
                raise
            place = where_it_broke(error, train.ask)
            check.fail(
                f"{type(error).__name__}: {error}" + (f"\n{place}" if place else ""), slug="tuple",
                hint="If this is FIRST_TOKENS: a tuple cannot be changed, so all can begin with it. Make a list of it.",
            )  # fmt: skip
        check.that(
            isinstance(got, tuple | list) and len(got) == 2 and hasattr(got[1], "items"), slug="returns",
            problem="expected two things, the list of tokens and the dictionary of merges",
            hint="Write `return tokens, merges`.",
        )  # fmt: skip
        return list(got[0]), dict(got[1])

    def learned(pieces, size):
        return trained(pieces, size)[0][257:]

    tokens, merges = trained({"ab": 3}, 258)
    check.equal(
        tokens[:257],
        FIRST_TOKENS,
        slug="first-tokens",
        hint="The tokens begin with all of FIRST_TOKENS, in their order.",
    )
    check.that(
        tokens[257:] != [FIRST_TOKENS[97] + FIRST_TOKENS[98]], slug="byte-ids",
        problem=f"the pair of bytes 97 and 98 became the token {tokens[-1]}, expected b'ab'",
        hint="A byte is not its id: 'a' is the byte 97 and has the id 65, which BYTE_ID tells.",
    )  # fmt: skip
    check.equal(
        tokens[257:], [b"ab"], slug="bytes",
        hint="One token is learned. Its bytes are those of its two parts, joined: tokens[left] + tokens[right].",
    )  # fmt: skip
    check.equal(
        merges, {pair("ab"): 257}, slug="merges",
        hint="merges gives for the pair of two ids the new id: the number of tokens that there were before.",
    )  # fmt: skip
    check.equal(
        trained({"ab": 3}, 257), (FIRST_TOKENS, {}), slug="size",
        hint="257 tokens are there before any merge: there is nothing to learn.",
    )  # fmt: skip
    got = learned({"abcdefgh": 1}, 260)
    check.that(
        len(got) == 3, slug="size", problem=f"expected 260 tokens, got {257 + len(got)}",
        hint="Stop when there are vocab_size tokens, FIRST_TOKENS among them.",
    )  # fmt: skip
    check.equal(
        learned({"ab": 1, "cd": 5}, 258), [b"cd"], slug="weights",
        hint="A piece that occurs 5 times brings its pairs 5 times: pair_counts takes the table with its numbers.",
    )  # fmt: skip
    check.equal(
        learned({"abc": 5, "ab": 1, "cd": 3}, 259), [b"ab", b"abc"], slug="again",
        hint="After 'ab' the pair of 'ab' and 'c' is the most frequent: merge in the table, and count anew each time.",
    )  # fmt: skip
    check.equal(
        learned({"ac": 2, "ab": 2, "zy": 2}, 259), [b"ab", b"ac"], slug="ties",
        hint="All are equally frequent, so the smaller ids win: first the left one, then the right one.",
    )  # fmt: skip
    check.equal(
        learned({" a": 2, "ba": 2}, 258), [b"ba"], slug="ties",
        hint="Ids decide, not bytes: a space is the byte 32 and has the id 221, b is the byte 98 and has the id 66.",
    )  # fmt: skip
    check.equal(
        learned({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 260), [b"es", b"est", b"lo"], slug="again",
        hint="'es', then 'est': after a merge there are new pairs, and others are gone: count anew each time.",
    )  # fmt: skip
    check.equal(
        learned({"aaaa": 1}, 259), [b"aa", b"aaaa"], slug="overlap",
        hint="After 'aa' the piece is two tokens 'aa': merge from left to right, without overlap, as your merge does.",
    )  # fmt: skip
    check.equal(
        learned({"é": 2}, 258), ["é".encode()], slug="utf-8", when="the token learned from {'é': 2}",
        hint="'é' is one character and two bytes in UTF-8: encode gives its bytes, and ord its number in Unicode.",
    )  # fmt: skip
    try:
        got = learned({"ab": 1, "é": 2}, 300)
    except (ValueError, IndexError) as error:
        check.fail(
            f"with two short pieces and vocab_size=300: {type(error).__name__}: {error}", slug="early-end",
            hint="After two merges no pair is left, and 300 tokens cannot be reached: stop there.",
        )  # fmt: skip
    check.equal(
        got, ["é".encode(), b"ab"], slug="early-end",
        hint="A pair that occurs once is merged as well; when no pair is left, stop.",
    )  # fmt: skip
    check.raises(
        CourseError, lambda: answer({"ab": 3}, 256), slug="too-small",
        hint="A vocabulary below len(FIRST_TOKENS) has no room for the bytes: raise CourseError with a sentence.",
    )  # fmt: skip
    syllables = ["ka", "lo", "mi", "ne", "ki", " to", "é", "s"]
    for _ in range(3):
        text = " ".join("".join(check.random.choices(syllables, k=check.random.randint(1, 4))) for _ in range(80))
        pieces = Counter(split_pieces(text))
        library = train_tokenizer([text], 290)
        tokens, merges = trained(dict(pieces), 290)
        expected = [library.decode([i]) for i in range(257, library.vocab_size)]
        check.equal(
            [token.decode("utf-8", "replace") for token in tokens[257:]], expected, slug="library",
            when=f"with the pieces of {text[:24]!r} ... and vocab_size=290",
            hint="The library `tokenizers` learns other tokens from these pieces. Do the first rounds by hand.",
        )  # fmt: skip
        check.equal(
            [(tokens[left] + tokens[right], new) for (left, right), new in merges.items()],
            [(token, i) for i, token in enumerate(tokens[257:], start=257)], slug="merges",
            when="with many pieces", hint="merges keeps the order of learning: an entry for each new token.",
        )  # fmt: skip


@exercise("1.7", title="The whole tokenizer", minutes=25, difficulty=3)
def BytePairEncoder(answer, check):
    from helpers import bpe
    from helpers.errors import CourseError

    END = bpe.END
    texts = ["the cat and the hat on the mat, the end", "Zoé and the cat"] * 5
    course = bpe.BytePairEncoder.train(texts, 290)

    def made():
        return answer(course.token_bytes, course.merges, 0)

    own = made()
    for piece in (" the", "cat", "x", " hats", "é🙂", ""):
        check.equal(
            own.encode_piece(piece), course.encode_piece(piece), slug="piece", when=f"encode_piece({piece!r})",
            hint="The bytes of the piece, in UTF-8, each as its id by self.byte_id; then merge_all.",
        )  # fmt: skip
    first = own.encode_piece(" the")
    if isinstance(first, list):
        first.append(99)
    check.equal(
        own.encode_piece(" the"), course.encode_piece(" the"), slug="own-list",
        when="encode_piece(' the'), after a caller changed the list it got before",
        hint="Whoever remembers a list must hand out a copy: list(...).",
    )  # fmt: skip
    check.equal(
        own.encode("the cat, the hat"), course.encode("the cat, the hat"), slug="pieces",
        when='encode("the cat, the hat")',
        hint="Cut the text with split_pieces, encode each piece on its own, and put the ids into one list.",
    )  # fmt: skip
    across = answer([*bpe.FIRST_TOKENS, b"t "], {(bpe.BYTE_ID[ord("t")], bpe.BYTE_ID[ord(" ")]): 257}, 0)
    check.that(
        257 not in across.encode("at a"), slug="pieces", when="encode('at a'), where 't' and ' ' have a merge",
        problem="a token reaches from one piece into the next",
        hint="Merge only inside a piece: cut with split_pieces first.",
    )  # fmt: skip
    # The end token last and the bytes from 0 on, as GPT-2 has them.
    other = answer([*bpe.FIRST_TOKENS[1:], END.encode()], {}, 256)
    ids = [bpe.BYTE_ID[byte] - 1 for byte in b"a b"]
    check.equal(
        other.encode("a b"), ids, slug="byte-ids", when="encode('a b') where the bytes have the ids 0 to 255",
        hint="BYTE_ID belongs to our own vocabulary; another one has its own numbers, in self.byte_id.",
    )  # fmt: skip
    check.equal(
        own.encode(f"end{END}"), course.encode(f"end{END}"), slug="typed", when="encode('end<|endoftext|>')",
        hint="Without allowed_special the name is ordinary text, character by character.",
    )  # fmt: skip
    for text in (f"end{END}", f"{END}a{END}{END} the cat", END, "no name"):
        check.equal(
            own.encode(text, allowed_special=True), course.encode(text, allowed_special=True), slug="special",
            when=f"encode({text!r}, allowed_special=True)",
            hint="Between two parts of the text stands one end token; parts may be empty, and are ordinary text.",
        )  # fmt: skip
    signs = answer([*bpe.FIRST_TOKENS, b" <"], {(bpe.BYTE_ID[ord(" ")], bpe.BYTE_ID[ord("<")]): 257}, 0)
    check.equal(
        signs.encode(f"a {END}", allowed_special=True), [bpe.BYTE_ID[ord("a")], bpe.BYTE_ID[ord(" ")], 0],
        slug="special", when="encode('a <|endoftext|>', allowed_special=True), where ' ' and '<' have a merge",
        hint="Look for the name in the text, before anything is cut into pieces: a merge may swallow its first sign.",
    )  # fmt: skip
    check.equal(
        other.encode(f"a b{END}", allowed_special=True), [*ids, 256], slug="eos",
        when="encode('a b<|endoftext|>', allowed_special=True) with eos_token_id=256",
        hint="The end token has its own id in each vocabulary: self.eos_token_id.",
    )  # fmt: skip
    ids = course.encode("the cat é🙂")
    check.equal(
        own.decode(ids),
        "the cat é🙂",
        slug="decode",
        when=f"decode({ids})",
        hint="Join the bytes of all ids, then decode once: a character may be spread over several tokens.",
    )
    ids = course.encode("a 🙂")[:-1]
    check.equal(
        own.decode(ids), course.decode(ids), slug="broken", when="decode() of ids that end in half a character",
        hint="Decode as in exercise 1.6: what is no character becomes U+FFFD.",
    )  # fmt: skip
    for outside in (len(course.token_bytes), -1):
        try:
            got = own.decode([1, outside])
        except CourseError:
            continue
        except (IndexError, KeyError) as error:
            got = f"{type(error).__name__}: {error}"
        check.fail(
            f"decode([1, {outside}]) with {len(course.token_bytes)} tokens: expected a CourseError, got {got!r}",
            slug="outside", hint="Ids go from 0 to len(self.token_bytes) - 1; others are a CourseError, below 0, too.",
        )  # fmt: skip
    for text in ("", " ", "\n\n\t  x", "é🙂👩‍👧", "\x00\x07", " " * 50, f"a{END}b", "'S don’t", "\u2028\xa0"):
        for allowed in (False, True):
            check.equal(
                own.decode(own.encode(text, allowed_special=allowed)), text, slug="round-trip",
                when=f"encode({text!r}, allowed_special={allowed}), decoded",
                hint="Decoding gives the text back, whatever it is: where does a character get lost?",
            )  # fmt: skip
    trained = answer.train(texts, 290)
    check.that(
        isinstance(trained, answer), slug="train", when=f"{answer.__name__}.train(texts, 290)",
        problem=f"expected an encoder, got {type(trained).__name__}",
        hint="Return cls(...) with the tokens and the merges that train gives.",
    )  # fmt: skip
    check.equal(
        list(trained.token_bytes[257:]), course.token_bytes[257:], slug="train",
        when=f"the tokens that {answer.__name__}.train(texts, 290) has learned",
        hint="Count the pieces of all texts in one table, by split_pieces, and hand it to train.",
    )  # fmt: skip
    check.equal(
        dict(trained.merges), course.merges, slug="train", when=f"the merges of {answer.__name__}.train(texts, 290)",
        hint="train returns tokens and merges, in this order: cls(tokens, merges).",
    )  # fmt: skip
    with_name = [f"the cat{END}the hat{END}"] * 9
    check.equal(
        list(answer.train(with_name, 266).token_bytes[257:]),
        bpe.BytePairEncoder.train(with_name, 266).token_bytes[257:], slug="learned-name",
        when=f"the tokens that {answer.__name__}.train learns from texts that hold <|endoftext|>",
        hint="Cut the texts at END before you cut them into pieces; the two parts are no neighbors.",
    )  # fmt: skip
    try:
        answer.train("the cat", 266)
    except CourseError:
        pass
    else:
        check.fail(
            f'{answer.__name__}.train("the cat", 266): expected a CourseError, got an encoder', slug="one-string",
            hint="A string is a row of letters, each of which would be taken for a text: refuse it with CourseError.",
        )  # fmt: skip
