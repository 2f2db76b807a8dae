"""Wrong answers to the exercises of notebook 01."""

import re
from collections import Counter
from itertools import pairwise

from helpers import bpe
from helpers.bpe import BYTE_ID, END, FIRST_TOKENS, split_pieces
from helpers.errors import CourseError
from tests.wrong_answers import wrong

# --- 1.1 WordTokenizer


def _words(text):
    return re.findall(r"\w+|[^\w\s]", text)


class _Words:
    """A right answer, of which the wrong ones change something."""

    def __init__(self, texts, vocab_size):
        counts = Counter(word for text in texts for word in _words(text))
        self.words = ["[UNK]", *(word for word, _ in counts.most_common(vocab_size - 1))]

    def encode(self, text):
        return [self.words.index(word) if word in self.words else 0 for word in _words(text)]

    def decode(self, ids):
        return " ".join(self.words[i] for i in ids)


@wrong("1.1", "words")
class KeepsAnotherName(_Words):
    def __init__(self, texts, vocab_size):
        self.vocabulary = ["[UNK]"]


@wrong("1.1", "no-unknown")
class HasNoUnknown(_Words):
    def __init__(self, texts, vocab_size):
        super().__init__(texts, vocab_size + 1)
        self.words = self.words[1:]


@wrong("1.1", "size")
class CountsUnknownExtra(_Words):
    def __init__(self, texts, vocab_size):
        super().__init__(texts, vocab_size + 1)


@wrong("1.1", "order")
class KeepsTheFirstWords(_Words):
    def __init__(self, texts, vocab_size):
        self.words = ["[UNK]", *dict.fromkeys(word for text in texts for word in reversed(_words(text)))][:vocab_size]


@wrong("1.1", "order")
class PutsUnknownLast(_Words):
    def __init__(self, texts, vocab_size):
        super().__init__(texts, vocab_size)
        self.words = [*self.words[1:], "[UNK]"]


@wrong("1.1", "all-texts")
class CountsTheFirstText(_Words):
    def __init__(self, texts, vocab_size):
        super().__init__(texts if "kite" in texts[0] else texts[:1], vocab_size)


@wrong("1.1", "signs")
class LowersCapitals(_Words):
    def __init__(self, texts, vocab_size):
        super().__init__([text.lower() for text in texts], vocab_size)


@wrong("1.1", "signs")
class CutsAtSpaces(_Words):
    def __init__(self, texts, vocab_size):
        counts = Counter(word for text in texts for word in text.split())
        self.words = ["[UNK]", *(word for word, _ in counts.most_common(vocab_size - 1))]


@wrong("1.1", "few-words")
class FillsUpWithNothing(_Words):
    def __init__(self, texts, vocab_size):
        super().__init__(texts, vocab_size)
        self.words += [""] * (vocab_size - len(self.words))


@wrong("1.1", "shared")
class KeepsWordsInTheClass(_Words):
    words = ()

    def __init__(self, texts, vocab_size):
        super().__init__(texts, vocab_size)
        KeepsWordsInTheClass.words = self.words
        del self.words


@wrong("1.1", "unknown")
class StumblesOverANewWord(_Words):
    def encode(self, text):
        id_of = {word: i for i, word in enumerate(self.words)}
        return [id_of[word] for word in _words(text)]


@wrong("1.1", "unknown")
class LeavesNewWordsOut(_Words):
    def encode(self, text):
        return [self.words.index(word) for word in _words(text) if word in self.words]


@wrong("1.1", "ids")
class CountsIdsWithoutUnknown(_Words):
    def encode(self, text):
        return [self.words[1:].index(word) if word in self.words else 0 for word in _words(text)]


@wrong("1.1", "decode")
class PutsNothingBetween(_Words):
    def decode(self, ids):
        return "".join(self.words[i] for i in ids)


@wrong("1.1", "decode")
class LeavesUnknownOut(_Words):
    def decode(self, ids):
        return " ".join(self.words[i] for i in ids if i)


# --- 1.2 pair_counts


@wrong("1.2", "weights")
def forgets_how_often_a_word_occurs(words):
    return Counter(pair for word in words for pair in pairwise(word))


@wrong("1.2", "one-word")
def stops_one_pair_early(words):
    counts = Counter()
    for word, count in words.items():
        for i in range(len(word) - 2):
            counts[word[i], word[i + 1]] += count
    return counts


@wrong("1.2", "one-word")
def steps_over_every_second_pair(words):
    counts = Counter()
    for word, count in words.items():
        for i in range(0, len(word) - 1, 2):
            counts[word[i], word[i + 1]] += count
    return counts


@wrong("1.2", "overlap")
def counts_without_overlap(words):
    counts = Counter()
    for word, count in words.items():
        i = 0
        while i < len(word) - 1:
            counts[word[i], word[i + 1]] += count
            i += 2 if word[i] == word[i + 1] else 1
    return counts


@wrong("1.2", "borders")
def counts_across_words(words):
    return Counter(pairwise(i for word, count in words.items() for i in word * count))


@wrong("1.2", "overwritten")
def sets_the_count_anew_each_time(words):
    counts = {}
    for word, count in words.items():
        for pair in pairwise(word):
            counts[pair] = count
    return counts


@wrong("1.2", "overwritten")
def overwrites_instead_of_adding(words):
    counts = Counter()
    for word, count in words.items():
        for pair, times in Counter(pairwise(word)).items():
            counts[pair] = times * count
    return counts


@wrong("1.2", "raised")
def reaches_past_the_end(words):
    return Counter({(word[i], word[i + 1]): n for word, n in words.items() for i in range(len(word))})


@wrong("1.2", "short-words")
def pairs_a_lonely_id_with_nothing(words):
    counts = Counter()
    for word, count in words.items():
        for pair in pairwise(word) if len(word) > 1 else [(*word, None)]:
            counts[pair] += count
    return counts


# --- 1.3 merge


@wrong("1.3", "every-place")
def merges_only_the_first(ids, pair, new_id):
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return [*ids[:i], new_id, *ids[i + 2 :]]
    return list(ids)


@wrong("1.3", "last-id")
def loses_the_last_id(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


@wrong("1.3", "overlap")
def uses_an_id_twice(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 1 if pair[0] == pair[1] else 2
        else:
            out.append(ids[i])
            i += 1
    return out


@wrong("1.3", "overlap")
def merges_from_the_right(ids, pair, new_id):
    out, i = [], len(ids) - 1
    while i >= 0:
        if i > 0 and (ids[i - 1], ids[i]) == pair:
            out.insert(0, new_id)
            i -= 2
        else:
            out.insert(0, ids[i])
            i -= 1
    return out


@wrong("1.3", "order")
def takes_the_pair_in_any_order(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and set(ids[i : i + 2]) == set(pair):
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


@wrong("1.3", "not-found")
def compares_a_list_with_a_tuple(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if ids[i : i + 2] == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


@wrong("1.3", "basic")
def appends_the_new_id_and_keeps_the_right_one(ids, pair, new_id):
    return [new_id if tuple(ids[i : i + 2]) == pair else ids[i] for i in range(len(ids))]


@wrong("1.3", "whole-ids")
def replaces_signs_in_a_string(ids, pair, new_id):
    text = ",".join(map(str, ids)).replace(f"{pair[0]},{pair[1]}", str(new_id))
    return [int(one) for one in text.split(",") if one]


@wrong("1.3", "new-ids")
def merges_what_it_has_just_made(ids, pair, new_id):
    out = []
    for i in ids:
        if out and (out[-1], i) == pair:
            out[-1] = new_id
        else:
            out.append(i)
    return out


@wrong("1.3", "raised")
def looks_past_the_end(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


@wrong("1.3", "changes-input")
def works_on_the_learners_list_itself(ids, pair, new_id):
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids


@wrong("1.3", "tuple")
def leaves_a_tuple_as_it_is(ids, pair, new_id):
    if isinstance(ids, tuple):
        return ids
    return bpe.merge(ids, pair, new_id)


@wrong("1.3", "raised")
def adds_lists_to_the_ids(ids, pair, new_id):
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids = ids[:i] + [new_id] + ids[i + 2 :]
        i += 1
    return ids


@wrong("1.3", "list")
def returns_a_tuple(ids, pair, new_id):
    return tuple(bpe.merge(ids, pair, new_id))


@wrong("1.3", "list")
def returns_the_kind_it_was_given(ids, pair, new_id):
    return type(ids)(bpe.merge(ids, pair, new_id))


# --- 1.4 train


def _train(pieces, vocab_size, *, count=bpe.pair_counts, key=None, merge=bpe.merge, least=1, code="utf-8"):
    """The training with something changed."""
    if vocab_size < len(FIRST_TOKENS):
        raise CourseError("too small")
    tokens, merges = list(FIRST_TOKENS), {}
    words = {tuple(BYTE_ID[byte] for byte in piece.encode(code)): n for piece, n in pieces.items()}
    while len(tokens) < vocab_size:
        counts = count(words)
        if not counts or max(counts.values()) < least:
            break
        best = max(counts, key=lambda pair: key(counts, pair, tokens) if key else (counts[pair], -pair[0], -pair[1]))
        merges[best] = len(tokens)
        tokens.append(tokens[best[0]] + tokens[best[1]])
        words = {tuple(merge(word, best, merges[best])): n for word, n in words.items()}
    return tokens, merges


@wrong("1.4", "returns")
def returns_the_tokens_alone(pieces, vocab_size):
    return _train(pieces, vocab_size)[0]


@wrong("1.4", "first-tokens")
def begins_with_nothing(pieces, vocab_size):
    tokens, merges = _train(pieces, vocab_size)
    return tokens[257:], merges


@wrong("1.4", "first-tokens")
def forgets_the_end_token(pieces, vocab_size):
    tokens, merges = _train(pieces, vocab_size)
    return tokens[1:], merges


@wrong("1.4", "bytes")
def keeps_the_pair_as_the_token(pieces, vocab_size):
    tokens, merges = _train(pieces, vocab_size)
    return [*tokens[:257], *merges], merges


@wrong("1.4", "merges")
def gives_ranks_for_ids(pieces, vocab_size):
    tokens, merges = _train(pieces, vocab_size)
    return tokens, {pair: rank for rank, pair in enumerate(merges)}


@wrong("1.4", "merges")
def turns_the_merges_round(pieces, vocab_size):
    tokens, merges = _train(pieces, vocab_size)
    return tokens, {new: pair for pair, new in merges.items()}


@wrong("1.4", "size")
def learns_one_too_few(pieces, vocab_size):
    return _train(pieces, vocab_size if vocab_size < 259 else vocab_size - 1)


@wrong("1.4", "size")
def makes_so_many_merges(pieces, vocab_size):
    return _train(pieces, vocab_size if vocab_size == 258 else 2 * vocab_size - 256)


@wrong("1.4", "weights")
def counts_each_piece_once(pieces, vocab_size):
    return _train(dict.fromkeys(pieces, 1), vocab_size)


@wrong("1.4", "again")
def counts_only_at_the_beginning(pieces, vocab_size):
    tokens, merges = list(FIRST_TOKENS), {}
    counts = bpe.pair_counts({tuple(BYTE_ID[byte] for byte in piece.encode()): n for piece, n in pieces.items()})
    for pair in sorted(counts, key=lambda pair: (-counts[pair], *pair))[: vocab_size - 257]:
        merges[pair] = len(tokens)
        tokens.append(tokens[pair[0]] + tokens[pair[1]])
    return tokens, merges


@wrong("1.4", "ties")
def takes_the_pair_that_was_met_first(pieces, vocab_size):
    return _train(pieces, vocab_size, key=lambda counts, pair, tokens: counts[pair])


@wrong("1.4", "ties")
def takes_the_larger_ids(pieces, vocab_size):
    return _train(pieces, vocab_size, key=lambda counts, pair, tokens: (counts[pair], *pair))


@wrong("1.4", "ties")
def compares_bytes(pieces, vocab_size):
    return _train(
        pieces, vocab_size,
        key=lambda counts, pair, tokens: (counts[pair], [-b for b in tokens[pair[0]]], [-b for b in tokens[pair[1]]]),
    )  # fmt: skip


@wrong("1.4", "overlap")
def merges_only_the_first_place(pieces, vocab_size):
    def once(ids, pair, new_id):
        at = next((i for i in range(len(ids) - 1) if (ids[i], ids[i + 1]) == pair), None)
        return list(ids) if at is None else [*ids[:at], new_id, *ids[at + 2 :]]

    return _train(pieces, vocab_size, merge=once)


@wrong("1.4", "early-end")
def does_not_notice_that_nothing_is_left(pieces, vocab_size):
    def never_empty(words):
        counts = bpe.pair_counts(words)
        return counts or max(counts)

    return _train(pieces, vocab_size, count=never_empty)


@wrong("1.4", "merges")
def keeps_no_merges(pieces, vocab_size):
    return _train(pieces, vocab_size)[0], {}


@wrong("1.4", "early-end")
def leaves_rare_pairs_alone(pieces, vocab_size):
    return _train(pieces, vocab_size, least=2 if vocab_size == 300 else 1)


@wrong("1.4", "too-small")
def takes_any_size(pieces, vocab_size):
    return _train(pieces, max(vocab_size, 257))


@wrong("1.4", "utf-8")
def writes_latin_1(pieces, vocab_size):
    return _train(pieces, vocab_size, code="latin-1")


@wrong("1.4", "utf-8")
def takes_code_points_for_bytes(pieces, vocab_size):
    return _train_from(lambda piece: map(BYTE_ID.get, map(ord, piece)), pieces, vocab_size)


@wrong("1.4", "byte-ids")
def takes_bytes_for_ids(pieces, vocab_size):
    return _train_from(lambda piece: piece.encode(), pieces, vocab_size)


@wrong("1.4", "tuple")
def appends_to_the_first_tokens_themselves(pieces, vocab_size):
    return _train_from(lambda piece: map(BYTE_ID.get, piece.encode()), pieces, vocab_size, FIRST_TOKENS)


@wrong("1.4", "tuple")
def adds_a_list_to_a_slice_of_the_first_tokens(pieces, vocab_size):
    tokens = FIRST_TOKENS[:]
    tokens += [b"ab"]
    return tokens, {}


def _train_from(ids_of, pieces, vocab_size, first=None):
    if vocab_size < len(FIRST_TOKENS):
        raise CourseError("too small")
    tokens, merges = list(FIRST_TOKENS) if first is None else first, {}
    words = Counter({tuple(ids_of(piece)): n for piece, n in pieces.items()})
    while len(tokens) < vocab_size and (counts := bpe.pair_counts(words)):
        best = max(counts, key=lambda pair: (counts[pair], -pair[0], -pair[1]))
        merges[best] = len(tokens)
        tokens.append(tokens[best[0]] + tokens[best[1]])
        words = {tuple(bpe.merge(word, best, merges[best])): n for word, n in words.items()}
    return tokens, merges


@wrong("1.4", "library")
def forgets_the_pieces_of_one_letter_more(pieces, vocab_size):
    return _train({piece: n for piece, n in pieces.items() if len(piece) < 9}, vocab_size)


@wrong("1.4", "too-slow")
def merges_into_a_table_that_is_not_used(pieces, vocab_size):
    tokens, merges = list(FIRST_TOKENS), {}
    words = {tuple(BYTE_ID[byte] for byte in piece.encode("utf-8")): n for piece, n in pieces.items()}
    while len(tokens) < vocab_size:
        counts = bpe.pair_counts(words)
        best = max(counts, key=lambda pair: (counts[pair], -pair[0], -pair[1]))
        if best in merges:
            continue
        merges[best] = len(tokens)
        tokens.append(tokens[best[0]] + tokens[best[1]])
    return tokens, merges


# --- 1.5 merge_all


def _merge(ids, pair, new):
    out, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


@wrong("1.5", "lowest-rank")
def merges_the_first_pair_in_the_text(ids, ranks, merges):
    ids = list(ids)
    while True:
        pair = next((p for p in pairwise(ids) if p in ranks), None)
        if pair is None:
            return ids
        ids = _merge(ids, pair, merges[pair])


@wrong("1.5", "lowest-rank")
def takes_the_highest_rank(ids, ranks, merges):
    ids = list(ids)
    while known := [p for p in pairwise(ids) if p in ranks]:
        pair = max(known, key=ranks.get)
        ids = _merge(ids, pair, merges[pair])
    return ids


@wrong("1.5", "again")
def merges_once_and_stops(ids, ranks, merges):
    known = [p for p in pairwise(ids) if p in ranks]
    if not known:
        return list(ids)
    pair = min(known, key=ranks.get)
    return _merge(ids, pair, merges[pair])


@wrong("1.5", "again")
def looks_only_at_the_pairs_of_the_beginning(ids, ranks, merges):
    out = list(ids)
    for pair in sorted({p for p in pairwise(ids) if p in ranks}, key=ranks.get):
        out = _merge(out, pair, merges[pair])
    return out


@wrong("1.5", "left-to-right")
def merges_from_the_right_end(ids, ranks, merges):
    ids = list(ids)
    while known := [p for p in pairwise(ids) if p in ranks]:
        pair = min(known, key=ranks.get)
        at = max(i for i, p in enumerate(pairwise(ids)) if p == pair)
        ids[at : at + 2] = [merges[pair]]
    return ids


@wrong("1.5", "raised")
def stumbles_over_pairs_without_a_rank(ids, ranks, merges):
    ids = list(ids)
    while len(ids) > 1:
        pair = min(pairwise(ids), key=lambda p: ranks[p])
        ids = _merge(ids, pair, merges[pair])
    return ids


@wrong("1.5", "too-slow")
def never_stops(ids, ranks, merges):
    ids = list(ids)
    while True:
        known = [p for p in pairwise(ids) if p in ranks]
        if known:
            pair = min(known, key=ranks.get)
            ids = _merge(ids, pair, merges[pair])


@wrong("1.5", "long")
def calls_itself_for_each_merge(ids, ranks, merges):
    known = [pair for pair in pairwise(ids) if pair in ranks]
    if not known:
        return list(ids)
    at = min(range(len(ids) - 1), key=lambda i: ranks.get((ids[i], ids[i + 1]), 10**9))
    merged = [*ids[:at], merges[ids[at], ids[at + 1]], *ids[at + 2 :]]
    return calls_itself_for_each_merge(merged, ranks, merges)


@wrong("1.5", "long")
def stops_after_a_hundred_rounds(ids, ranks, merges):
    ids = list(ids)
    for _ in range(100):
        places = [i for i, pair in enumerate(pairwise(ids)) if pair in ranks]
        if not places:
            break
        at = min(places, key=lambda i: ranks[ids[i], ids[i + 1]])
        ids[at : at + 2] = [merges[ids[at], ids[at + 1]]]
    return ids


@wrong("1.5", "ranks")
def merges_in_the_order_of_the_dictionary(ids, ranks, merges):
    ids = list(ids)
    for pair in merges:
        ids = _merge(ids, pair, merges[pair])
    return ids


@wrong("1.5", "ranks")
def merges_pairs_that_have_no_rank(ids, ranks, merges):
    ids = list(ids)
    while known := [p for p in pairwise(ids) if p in merges]:
        pair = min(known, key=lambda p: ranks.get(p, 10**9))
        ids = _merge(ids, pair, merges[pair])
    return ids


@wrong("1.5", "list")
def returns_a_tuple_of_ids(ids, ranks, merges):
    return tuple(bpe.merge_all(ids, ranks, merges))


# --- 1.6 decode


@wrong("1.6", "join-first")
def decodes_each_token_alone(ids, token_bytes):
    return "".join(token_bytes[i].decode("utf-8", errors="replace") for i in ids)


@wrong("1.6", "raised")
def is_strict(ids, token_bytes):
    return b"".join(token_bytes[i] for i in ids).decode("utf-8")


@wrong("1.6", "dropped")
def leaves_broken_bytes_out(ids, token_bytes):
    return b"".join(token_bytes[i] for i in ids).decode("utf-8", errors="ignore")


@wrong("1.6", "broken-end")
def shows_broken_bytes_as_escapes(ids, token_bytes):
    return b"".join(token_bytes[i] for i in ids).decode("utf-8", errors="backslashreplace")


@wrong("1.6", "one-sign")
def writes_a_sign_for_each_byte(ids, token_bytes):
    data, text = b"".join(token_bytes[i] for i in ids), ""
    while data:
        try:
            return text + data.decode()
        except UnicodeDecodeError as error:
            text, data = text + data[: error.start].decode() + "\ufffd", data[error.start + 1 :]
    return text


@wrong("1.6", "one-byte-characters")
def reads_bytes_as_latin_1(ids, token_bytes):
    return b"".join(token_bytes[i] for i in ids).decode("latin-1")


@wrong("1.6", "basic")
def puts_spaces_between(ids, token_bytes):
    return b" ".join(token_bytes[i] for i in ids).decode("utf-8", errors="replace")


@wrong("1.6", "all-lost")
def shows_one_sign_for_all(ids, token_bytes):
    try:
        return b"".join(token_bytes[i] for i in ids).decode("utf-8")
    except UnicodeDecodeError:
        return "\ufffd"


@wrong("1.6", "all-lost")
def gives_up_on_the_whole_text(ids, token_bytes):
    try:
        return b"".join(token_bytes[i] for i in ids).decode("utf-8")
    except UnicodeDecodeError:
        return ""


@wrong("1.6", "replacement")
def mends_only_the_end(ids, token_bytes):
    data = b"".join(token_bytes[i] for i in ids)
    for cut in range(len(data) + 1):
        try:
            return data[: len(data) - cut].decode("utf-8") + ("\ufffd" if cut else "")
        except UnicodeDecodeError:
            continue
    return ""


# --- 1.7 BytePairEncoder


class _Encoder(bpe.BytePairEncoder):
    """A right answer, of which the wrong ones change something."""


@wrong("1.7", "piece")
class GivesTheBytesUnmerged(_Encoder):
    def encode_piece(self, piece):
        return [self.byte_id[byte] for byte in piece.encode("utf-8")]


@wrong("1.7", "raised")
class TakesCharactersForBytes(_Encoder):
    def encode_piece(self, piece):
        return bpe.merge_all([self.byte_id[ord(character)] for character in piece], self.ranks, self.merges)


@wrong("1.7", "own-list")
class HandsOutWhatItRemembers(_Encoder):
    def encode_piece(self, piece):
        if piece not in self.known:
            self.known[piece] = bpe.merge_all([self.byte_id[b] for b in piece.encode()], self.ranks, self.merges)
        return self.known[piece]


@wrong("1.7", "pieces")
class EncodesTheTextAsOnePiece(_Encoder):
    def encode(self, text, allowed_special=False):
        if not allowed_special:
            return self.encode_piece(text)
        return super().encode(text, allowed_special)


@wrong("1.7", "pieces")
class GivesAListForEachPiece(_Encoder):
    def encode(self, text, allowed_special=False):
        return [self.encode_piece(piece) for piece in split_pieces(text)]


@wrong("1.7", "byte-ids")
class UsesItsOwnBytes(_Encoder):
    def encode_piece(self, piece):
        return bpe.merge_all([BYTE_ID[byte] for byte in piece.encode("utf-8")], self.ranks, self.merges)


@wrong("1.7", "typed")
class AlwaysAllowsTheEndToken(_Encoder):
    def encode(self, text, allowed_special=False):
        ids = []
        for number, part in enumerate(text.split(END)):
            ids += [self.eos_token_id] * (number > 0) + super().encode(part)
        return ids


@wrong("1.7", "special")
class NeverAllowsTheEndToken(_Encoder):
    def encode(self, text, allowed_special=False):
        return super().encode(text)


@wrong("1.7", "special")
class LooksForTheNameAmongTheIds(_Encoder):
    def encode(self, text, allowed_special=False):
        ids, name, found = super().encode(text), super().encode(END), []
        while allowed_special and ids:
            hit = ids[: len(name)] == name
            found, ids = [*found, self.eos_token_id if hit else ids[0]], ids[len(name) if hit else 1 :]
        return found or ids


@wrong("1.7", "special")
class EndsEveryPart(_Encoder):
    def encode(self, text, allowed_special=False):
        if not allowed_special:
            return super().encode(text)
        return [i for part in text.split(END) for i in [*super(EndsEveryPart, self).encode(part), self.eos_token_id]]


@wrong("1.7", "special")
class PassesOverEmptyParts(_Encoder):
    def encode(self, text, allowed_special=False):
        if not allowed_special:
            return super().encode(text)
        ids = []
        for number, part in enumerate(part for part in text.split(END) if part):
            ids += [self.eos_token_id] * (number > 0) + super().encode(part)
        return ids + [self.eos_token_id] * text.endswith(END)


@wrong("1.7", "eos")
class WritesZeroForTheEnd(_Encoder):
    def encode(self, text, allowed_special=False):
        ids = super().encode(text, allowed_special)
        return [0 if i == self.eos_token_id else i for i in ids]


@wrong("1.7", "decode")
class DecodesTokenByToken(_Encoder):
    def decode(self, ids):
        return "".join(super(DecodesTokenByToken, self).decode([i]) for i in ids)


@wrong("1.7", "raised")
class IsStrict(_Encoder):
    def decode(self, ids):
        super().decode(ids)
        return b"".join(self.token_bytes[i] for i in ids).decode("utf-8")


@wrong("1.7", "broken")
class DropsBrokenBytes(_Encoder):
    def decode(self, ids):
        super().decode(ids)
        return b"".join(self.token_bytes[i] for i in ids).decode("utf-8", errors="ignore")


@wrong("1.7", "outside")
class LeavesItToPython(_Encoder):
    def decode(self, ids):
        return b"".join(self.token_bytes[i] for i in ids).decode("utf-8", errors="replace")


@wrong("1.7", "outside")
class ForgetsNegativeIds(_Encoder):
    def decode(self, ids):
        if max(ids, default=0) >= len(self.token_bytes):
            raise CourseError("outside")
        return b"".join(self.token_bytes[i] for i in ids).decode("utf-8", errors="replace")


@wrong("1.7", "round-trip")
class WritesEveryLineEndAlike(_Encoder):
    def encode(self, text, allowed_special=False):
        return super().encode(text.replace("\u2028", "\n"), allowed_special)


@wrong("1.7", "train")
class ReturnsWhatTrainReturns(_Encoder):
    @classmethod
    def train(cls, texts, vocab_size):
        encoder = bpe.BytePairEncoder.train(texts, vocab_size)
        return encoder.token_bytes, encoder.merges


@wrong("1.7", "train")
class TrainsOnWholeTexts(_Encoder):
    @classmethod
    def train(cls, texts, vocab_size):
        return cls(*bpe.train(Counter(texts), vocab_size))


@wrong("1.7", "learned-name")
class LearnsTheName(_Encoder):
    @classmethod
    def train(cls, texts, vocab_size):
        if isinstance(texts, str):
            raise CourseError("a list, please")
        return cls(*bpe.train(Counter(piece for text in texts for piece in split_pieces(text)), vocab_size))


@wrong("1.7", "learned-name")
class GluesThePartsTogether(_Encoder):
    @classmethod
    def train(cls, texts, vocab_size):
        if isinstance(texts, str):
            raise CourseError("a list, please")
        return super().train([text.replace(END, "") for text in texts], vocab_size)


@wrong("1.7", "one-string")
class TakesAStringForTexts(_Encoder):
    @classmethod
    def train(cls, texts, vocab_size):
        return super().train(list(texts), vocab_size)


# --- 1.8 longest_first


@wrong("1.8", "bytes")
def gives_numbers(data, known):
    return list(data)


@wrong("1.8", "longest")
def takes_the_shortest(data, known):
    return [data[i : i + 1] for i in range(len(data))]


@wrong("1.8", "go-on")
def stops_after_the_first(data, known):
    if not data:
        return []
    end = max(end for end in range(1, len(data) + 1) if data[:end] in known)
    return [data[:end]] + [data[i : i + 1] for i in range(end, len(data))]


@wrong("1.8", "greedy")
def takes_the_longest_anywhere(data, known):
    found = max(
        (token for token in known if token in data), key=lambda token: (len(token), -data.index(token)), default=b""
    )
    if not data:
        return []
    left, _, right = data.partition(found)
    return takes_the_longest_anywhere(left, known) + [found] + takes_the_longest_anywhere(right, known)


@wrong("1.8", "greedy")
def takes_as_few_as_possible(data, known):
    best = {0: []}
    for end in range(1, len(data) + 1):
        best[end] = min(([*best[start], data[start:end]] for start in range(end) if data[start:end] in known), key=len)
    return best[len(data)]


@wrong("1.8", "gap")
def grows_while_it_fits(data, known):
    tokens = []
    while data:
        end = 1
        while end < len(data) and data[: end + 1] in known:
            end += 1
        if data == b"abc" and data in known and b"ab" in known:
            end = 3
        tokens, data = [*tokens, data[:end]], data[end:]
    return tokens


@wrong("1.8", "raised")
def looks_at_nothing(data, known):
    end = max(end for end in range(1, len(data) + 1) if data[:end] in known)
    return [data[:end]] + (looks_at_nothing(data[end:], known) if data[end:] else [])


@wrong("1.8", "random")
def knows_three_bytes_at_most(data, known):
    tokens = []
    while data:
        end = max(end for end in range(1, min(len(data), 3) + 1) if data[:end] in known)
        tokens, data = [*tokens, data[:end]], data[end:]
    return tokens


@wrong("1.8", "special")
def puts_tokens_into_a_pattern_as_they_are(data, known):
    return re.findall(b"|".join(sorted(known, key=len, reverse=True)), data)


# --- 1.9 safe_cuts


@wrong("1.9", "order")
def returns_a_set(encode, text):
    return {i for i in range(1, len(text)) if encode(text[:i]) + encode(text[i:]) == encode(text)}


@wrong("1.9", "not-asked")
def asks_another_encoder(encode, text):
    from helpers import bpe  # here: the answer is marked by its source alone, too

    other = bpe.BytePairEncoder.train(["the cat and the hat"], 262).encode
    return [i for i in range(1, len(text)) if other(text[:i]) + other(text[i:]) == other(text)]


@wrong("1.9", "every-place")
def counts_both_ends_as_cuts(encode, text):
    return [i for i in range(len(text) + 1) if encode(text[:i]) + encode(text[i:]) == encode(text)]


@wrong("1.9", "same-ids")
def compares_only_how_many(encode, text):
    whole = len(encode(text))
    return [i for i in range(1, len(text)) if len(encode(text[:i])) + len(encode(text[i:])) == whole]


@wrong("1.9", "not-asked")
def cuts_at_spaces_without_asking(encode, text):
    return [i for i in range(1, len(text)) if text[i] == " "]


@wrong("1.9", "compare")
def leaves_the_space_on_the_left(encode, text):
    if " " not in text:
        return [i for i in range(1, len(text)) if encode(text[:i]) + encode(text[i:]) == encode(text)]
    return [i + 1 for i in range(1, len(text)) if text[i] == " "]


@wrong("1.9", "compare")
def drops_the_space(encode, text):
    return [i for i in range(1, len(text)) if encode(text[:i].strip()) + encode(text[i:].strip()) == encode(text)]


@wrong("1.9", "every-place")
def says_yes_or_no_for_each_place(encode, text):
    return [encode(text[:i]) + encode(text[i:]) == encode(text) for i in range(1, len(text))]


@wrong("1.9", "every-place")
def forgets_the_first_cut(encode, text):
    return [i for i in range(2, len(text)) if encode(text[:i]) + encode(text[i:]) == encode(text)]


@wrong("1.9", "second-half")
def looks_at_the_first_half_alone(encode, text):
    whole = encode(text)
    return [i for i in range(1, len(text)) if encode(text[:i]) == whole[: len(encode(text[:i]))]]
