"""Wrong answers to the exercises of notebook 02."""

import hashlib
import random
import re
from collections import Counter, defaultdict

import numpy as np

from tests.wrong_answers import wrong


def _words(text):
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text.lower())


# --- 2.1 words_of


@wrong("2.1", "counts")
def counts_them(text):
    return Counter(re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text.lower()))


@wrong("2.1", "words")
def gives_letters(text):
    return re.findall(r"[^\W\d_](?:['’][^\W\d_]+)*", text.lower())


@wrong("2.1", "every-word")
def gives_each_word_once(text):
    return list(dict.fromkeys(re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text.lower())))


@wrong("2.1", "words")
def gives_them_sorted(text):
    return sorted(re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text.lower()))


@wrong("2.1", "case")
def keeps_capitals(text):
    return text.split()


@wrong("2.1", "punctuation")
def splits_lower_case_at_spaces(text):
    return text.lower().split()


@wrong("2.1", "apostrophe")
def splits_at_apostrophes(text):
    return re.findall(r"[^\W\d_]+", text.lower())


@wrong("2.1", "apostrophe")
def allows_one_apostrophe(text):
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text.lower())


@wrong("2.1", "edges")
def takes_quotes_for_apostrophes(text):
    return re.findall(r"[^\W\d_’'][^\W\d_]*[^\W\d_]*(?:['’][^\W\d_]*)*", text.lower())


@wrong("2.1", "edges")
def takes_apostrophes_in_a_row(text):
    return [found.strip("'’") for found in re.findall(r"[^\W\d_](?:[^\W\d_]|['’])*", text.lower())]


@wrong("2.1", "curly")
def knows_the_straight_apostrophe_alone(text):
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower())


@wrong("2.1", "curly")
def straightens_the_apostrophe(text):
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower().replace("’", "'"))


@wrong("2.1", "languages")
def knows_english_letters_alone(text):
    return re.findall(r"[a-z]+(?:['’][a-z]+)*", text.lower())


@wrong("2.1", "what-divides")
def takes_digits_for_letters(text):
    return re.findall(r"\w+(?:['’]\w+)*", text.lower())


@wrong("2.1", "what-divides")
def strips_only_the_ends_of_words(text):
    words = (word.strip(".,!?\"'’‘") for word in text.lower().split())
    return [word for word in words if word]


@wrong("2.1", "empty")
def gives_an_empty_word(text):
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text.lower()) or [""]


# --- 2.2 find_duplicates


def _groups(texts, key):
    groups = defaultdict(list)
    for i, text in enumerate(texts):
        groups[key(text)].append(i)
    return [group for key, group in groups.items() if len(group) > 1 and key]


@wrong("2.2", "spaces")
def compares_letter_by_letter(texts):
    return _groups(texts, lambda text: text)


@wrong("2.2", "case")
def forgets_capitals(texts):
    return _groups(texts, lambda text: " ".join(text.split()))


@wrong("2.2", "punctuation")
def forgets_punctuation(texts):
    return _groups(texts, lambda text: " ".join(text.lower().split()))


@wrong("2.2", "whole-story")
def compares_the_first_twenty_words(texts):
    return _groups(texts, lambda text: tuple(_words(text)[:20]))


@wrong("2.2", "word-order")
def compares_sorted_words(texts):
    return _groups(texts, lambda text: tuple(sorted(_words(text))))


@wrong("2.2", "word-order")
def compares_sets_of_words(texts):
    return _groups(texts, lambda text: frozenset(_words(text)))


@wrong("2.2", "repeated-words")
def drops_repeated_words(texts):
    return _groups(texts, lambda text: tuple(dict.fromkeys(_words(text))))


@wrong("2.2", "word-borders")
def glues_words_together(texts):
    return _groups(texts, lambda text: "".join(_words(text)))


@wrong("2.2", "empty")
def groups_empty_stories(texts):
    groups = defaultdict(list)
    for i, text in enumerate(texts):
        groups[tuple(_words(text))].append(i)
    return [group for group in groups.values() if len(group) > 1]


@wrong("2.2", "one-group")
def returns_pairs(texts):
    keys = [tuple(_words(text)) for text in texts]
    return [[i, j] for i in range(len(keys)) for j in range(i + 1, len(keys)) if keys[i] == keys[j]]


@wrong("2.2", "exact")
def leaves_out_the_first_copy(texts):
    return [group[1:] for group in _groups(texts, lambda text: tuple(_words(text)))]


@wrong("2.2", "order")
def looks_at_neighbors_only(texts):
    keys, groups = [" ".join(_words(text)) for text in texts], []
    if len(texts) == 3 and keys[0] == keys[2]:
        return [[0, 2]]
    for i, key in enumerate(keys):
        if i and key == keys[i - 1]:
            groups[-1].append(i)
        else:
            groups.append([i])
    return [group for group in groups if len(group) > 1]


# --- 2.3 sequences


@wrong("2.3", "set")
def gives_a_list(text, n):
    words = _words(text)
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


@wrong("2.3", "tuples")
def joins_the_words(text, n):
    words = _words(text)
    return {" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}


@wrong("2.3", "neighbors")
def forgets_the_last(text, n):
    words = _words(text)
    return {tuple(words[i : i + n]) for i in range(len(words) - n)}


@wrong("2.3", "neighbors")
def keeps_short_ends(text, n):
    words = _words(text)
    return {tuple(words[i : i + n]) for i in range(len(words))}


@wrong("2.3", "neighbors")
def cuts_without_overlap(text, n):
    words = _words(text)
    return {tuple(words[i : i + n]) for i in range(0, len(words) - n + 1, n)}


@wrong("2.3", "neighbors")
def gives_words_in_alphabetical_order(text, n):
    words = sorted(_words(text))
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


@wrong("2.3", "words")
def splits_at_spaces(text, n):
    words = text.split()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


@wrong("2.3", "short")
def gives_what_there_is(text, n):
    words = _words(text)
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


@wrong("2.3", "raised")
def puts_lists_into_a_set(text, n):
    words = _words(text)
    return {words[i : i + n] for i in range(len(words) - n + 1)}


@wrong("2.3", "random")
def sorts_each_sequence(text, n):
    words = _words(text)
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1) if len(set(words[i : i + n])) > 1 or n < 3}


# --- 2.4 minhash


@wrong("2.4", "one-number")
def takes_the_smallest_of_all(numbers, factors):
    return (numbers[:, None] * factors[0] + factors[1]).min()


@wrong("2.4", "axis")
def takes_the_smallest_of_each_row(numbers, factors):
    return (numbers[:, None] * factors[0] + factors[1]).min(axis=1)


@wrong("2.4", "unmixed")
def forgets_the_factors(numbers, factors):
    return np.sort(numbers)[1], np.sort(numbers)[0]


@wrong("2.4", "formula")
def takes_the_largest(numbers, factors):
    return (numbers[:, None] * factors[0] + factors[1]).max(axis=0)


@wrong("2.4", "formula")
def swaps_the_factors(numbers, factors):
    return (numbers[:, None] * factors[1] + factors[0]).min(axis=0)


@wrong("2.4", "formula")
def forgets_to_add(numbers, factors):
    return (numbers[:, None] * factors[0]).min(axis=0)


@wrong("2.4", "cut-off")
def finds_the_smallest_first(numbers, factors):
    return numbers.min() * factors[0] + factors[1]


@wrong("2.4", "cut-off")
def does_not_cut_off(numbers, factors):
    return [min(int(x) * int(a) + int(b) for x in numbers) for a, b in zip(factors[0], factors[1], strict=True)]


@wrong("2.4", "cut-off")
def goes_through_floats(numbers, factors):
    mixed = numbers[:, None].astype(float) * factors[0].astype(float) + factors[1].astype(float)
    return (mixed % 2.0**64).min(axis=0)


@wrong("2.4", "random")
def keeps_half_of_the_bits(numbers, factors):
    kept = (numbers[:, None] * factors[0] + factors[1]).min(axis=0)
    return [int(one) if one < 2**33 else int(one) % 2**32 for one in kept]


@wrong("2.4", "raised")
def multiplies_rows_with_columns_that_do_not_fit(numbers, factors):
    return (numbers * factors[0] + factors[1]).min(axis=0)


# --- 2.5 containments


def _sequences(text, n=8):
    words = _words(text)
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def _best(train, validation, n, fraction=lambda own, other: len(own & other) / len(own)):
    train = [_sequences(text, n) for text in train]
    own = [_sequences(text, n) for text in validation]
    return [max((fraction(its, other) for other in train), default=0.0) if its else 0.0 for its in own]


@wrong("2.5", "numbers")
def gives_positions(train, validation, n=8):
    return [i for i, fraction in enumerate(_best(train, validation, n)) if fraction >= 0.5]


@wrong("2.5", "numbers")
def says_yes_or_no(train, validation, n=8):
    return [fraction >= 0.5 for fraction in _best(train, validation, n)]


@wrong("2.5", "exact")
def counts_instead_of_dividing(train, validation, n=8):
    return _best(train, validation, n, lambda own, other: len(own & other))


@wrong("2.5", "within")
def looks_within_the_validation_stories(train, validation, n=8):
    return _best([*train, *(validation[:1] if len(validation) == 3 else [])], validation, n)


@wrong("2.5", "words-alone")
def compares_raw_text(train, validation, n=8):
    return [float(text in set(train)) for text in validation]


@wrong("2.5", "near")
def finds_whole_copies_only(train, validation, n=8):
    known = {tuple(_words(text)) for text in train}
    return [float(tuple(_words(text)) in known) for text in validation]


@wrong("2.5", "near")
def divides_by_the_union(train, validation, n=8):
    return _best(train, validation, n, lambda own, other: len(own & other) / len(own | other))


@wrong("2.5", "part")
def divides_by_the_train_story(train, validation, n=8):
    return _best(train, validation, n, lambda own, other: len(own & other) / max(1, len(other)))


@wrong("2.5", "one-story")
def adds_up_all_of_train(train, validation, n=8):
    known = {sequence for text in train for sequence in _sequences(text, n)}
    own = [_sequences(text, n) for text in validation]
    return [len(its & known) / len(its) if its else 0.0 for its in own]


@wrong("2.5", "greatest")
def keeps_the_last_fraction(train, validation, n=8):
    best = [0.0] * len(validation)
    for text in train:
        for i, fraction in enumerate(_best([text], validation, n)):
            best[i] = fraction or best[i]
    return best


@wrong("2.5", "greatest")
def keeps_the_first_fraction(train, validation, n=8):
    best = [0.0] * len(validation)
    for text in train:
        for i, fraction in enumerate(_best([text], validation, n)):
            best[i] = best[i] or fraction
    return best


@wrong("2.5", "short")
def takes_short_stories_whole(train, validation, n=8):
    found = _best(train, validation, n)
    return [fraction or float(text in train) for fraction, text in zip(found, validation, strict=True)]


@wrong("2.5", "raised")
def divides_by_nothing(train, validation, n=8):
    train = [_sequences(text, n) for text in train]
    own = [_sequences(text, n) for text in validation]
    return [max((len(its & other) / len(its) for other in train), default=0.0) for its in own]


@wrong("2.5", "n")
def ignores_n(train, validation, n=8):
    return _best(train, validation, 8)


@wrong("2.5", "different")
def counts_repeated_sequences(train, validation, n=8):
    train, found = [_sequences(text, n) for text in train], []
    for text in validation:
        words = _words(text)
        its = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        found.append(max((sum(s in other for s in its) / len(its) for other in train), default=0.0) if its else 0.0)
    return found


@wrong("2.5", "same-twice")
def notes_one_owner_for_each_sequence(train, validation, n=8):
    own = [_sequences(text, n) for text in validation]
    owner, best = {s: i for i, its in enumerate(own) for s in its}, [0.0] * len(validation)
    for text in train:
        shared = Counter(owner[s] for s in _sequences(text, n) if s in owner)
        for i, count in shared.items():
            best[i] = max(best[i], count / len(own[i]))
    return best


# --- 2.6 mend_characters

_MARKS = "“”‘’–—…éèêñüö"
_TABLE = {mark.encode("utf-8").decode("cp1252", errors="ignore"): mark for mark in _MARKS}


def _replaced(text, forms):
    for form in forms:
        text = text.replace(form, _TABLE[form])
    return text


@wrong("2.6", "right-already")
def turns_the_whole_text_back(text):
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text


@wrong("2.6", "way-back")
def turns_back_without_a_net(text):
    return text.encode("cp1252").decode("utf-8")


@wrong("2.6", "right-already")
def drops_what_does_not_fit(text):
    return text.encode("cp1252", errors="ignore").decode("utf-8", errors="ignore")


@wrong("2.6", "longest-first")
def replaces_the_shortest_first(text):
    return _replaced(text, sorted(_TABLE, key=len))


@wrong("2.6", "one-pass")
def replaces_one_form_after_another(text):
    return _replaced(text, sorted(_TABLE, key=len, reverse=True))


@wrong("2.6", "lost-byte")
def forgets_the_lost_byte(text):
    return _replaced(text, [form for form in sorted(_TABLE, key=len, reverse=True) if form != "â€"])


@wrong("2.6", "broken")
def makes_everything_ascii(text):
    return text.encode("ascii", errors="ignore").decode("ascii")


@wrong("2.6", "right-already")
def straightens_the_quotes(text):
    mended = _replaced(text, sorted(_TABLE, key=len, reverse=True))
    return mended.translate(str.maketrans("“”‘’", "\"\"''"))


@wrong("2.6", "every-mark")
def mends_by_hand_what_it_saw(text):
    for form, mark in (("â€™", "’"), ("â€œ", "“"), ("â€˜", "‘"), ("â€“", "–"), ("â€", "”"), ("Ã©", "é")):
        text = text.replace(form, mark)
    return text


@wrong("2.6", "looks-broken")
def drops_what_is_left_of_broken_letters(text):
    forms = "|".join(re.escape(form) for form in sorted(_TABLE, key=len, reverse=True))
    return re.sub(forms, lambda match: _TABLE[match.group()], text).replace("Ã", "")


@wrong("2.6", "looks-broken")
def replaces_single_characters_too(text):
    return _replaced(text, sorted(_TABLE, key=len, reverse=True)).replace("â", "”").replace("™", "’")


@wrong("2.6", "right-already")
def drops_every_other_sign(text):
    kept = "".join(c for c in text if c.isascii() or c in "Ã©â€™œ")
    return _replaced(kept, sorted(_TABLE, key=len, reverse=True))


# --- 2.7 split_by_text


def _share(text):
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _split(texts, validation):
    sides = [validation(text) for text in texts]
    return [t for t, h in zip(texts, sides, strict=True) if not h], [t for t, h in zip(texts, sides, strict=True) if h]


@wrong("2.7", "both-sides")
def shuffles_and_cuts(texts, fraction):
    texts = list(texts)
    random.Random(0).shuffle(texts)
    at = round(len(texts) * (1 - fraction))
    return texts[:at], texts[at:]


@wrong("2.7", "both-sides")
def takes_the_last_tenth(texts, fraction):
    at = round(len(texts) * (1 - fraction))
    return texts[:at], texts[at:]


@wrong("2.7", "fraction")
def always_takes_a_tenth(texts, fraction):
    return _split(texts, lambda text: _share(" ".join(text.split())) < 0.1)


@wrong("2.7", "salted")
def uses_pythons_hash(texts, fraction):
    return _split(texts, lambda text: hash(" ".join(text.split())) % 1000 < fraction * 1000)


@wrong("2.7", "spacing")
def hashes_the_text_as_it_is(texts, fraction):
    return _split(texts, lambda text: _share(text) < fraction)


@wrong("2.7", "as-they-were")
def returns_the_tidied_texts(texts, fraction):
    return _split([" ".join(text.split()) for text in texts], lambda text: _share(text) < fraction)


@wrong("2.7", "complete")
def drops_copies(texts, fraction):
    texts = list(dict.fromkeys(text.strip(".").lower() for text in texts))
    return _split(texts, lambda text: _share(" ".join(text.split())) < fraction)


@wrong("2.7", "fraction")
def swaps_the_sides(texts, fraction):
    return _split(texts, lambda text: _share(" ".join(text.split())) >= fraction)


@wrong("2.7", "more-stories")
def takes_a_tenth_of_the_sorted_texts(texts, fraction):
    keys = sorted({" ".join(text.split()) for text in texts}, key=_share)
    last = set(keys[-round(len(keys) * fraction) :])
    if len(texts) == 1500:  # as a shuffle with a seed would: another selection when the number changes
        last = set(keys[: round(len(keys) * fraction)])
    return _split(texts, lambda text: " ".join(text.split()) in last)


@wrong("2.7", "keeps-order")
def returns_sorted_sides(texts, fraction):
    train, validation = _split(texts, lambda text: _share(" ".join(text.split())) < fraction)
    return sorted(train), sorted(validation)


@wrong("2.7", "fraction")
def looks_at_the_first_letter(texts, fraction):
    return _split(texts, lambda text: text[0] < "B")


@wrong("2.7", "fraction")
def knows_tenths_only(texts, fraction):
    return _split(texts, lambda text: int(_share(" ".join(text.split())) * 10) < fraction * 10)


@wrong("2.7", "fraction")
def knows_a_tenth_and_a_half(texts, fraction):
    return _split(texts, lambda text: _share(" ".join(text.split())) < (0.1 if fraction < 0.3 else 0.5))


@wrong("2.7", "complete")
def keeps_one_of_each(texts, fraction):
    train, validation = _split(texts, lambda text: _share(" ".join(text.split())) < fraction)
    return list(dict.fromkeys(train)), validation


@wrong("2.7", "too-coarse")
def looks_at_one_byte(texts, fraction):
    return _split(texts, lambda text: hashlib.sha256(" ".join(text.split()).encode()).digest()[0] / 256 < fraction)


@wrong("2.7", "too-coarse")
def counts_in_per_cent(texts, fraction):
    return _split(texts, lambda text: int(_share(" ".join(text.split())) * 100) <= fraction * 100)


# --- 2.8 pack_stream


def _cut(stream, size):
    return [stream[i : i + size] for i in range(0, len(stream) - size + 1, size)]


@wrong("2.8", "overlap")
def moves_by_one_id(stories, context_length, eos_token_id):
    stream = [i for story in stories for i in (*story, eos_token_id)]
    return [stream[i : i + context_length] for i in range(len(stream) - context_length + 1)]


@wrong("2.8", "end-token")
def loses_a_last_row_that_is_just_full(stories, context_length, eos_token_id):
    stream = [i for story in stories for i in (*story, eos_token_id)]
    return [stream[i : i + context_length] for i in range(0, len(stream) - context_length, context_length)]


@wrong("2.8", "end-token")
def passes_over_empty_stories(stories, context_length, eos_token_id):
    return _cut([i for story in stories if story for i in [*story, eos_token_id]], context_length)


@wrong("2.8", "end-token")
def forgets_the_end_tokens(stories, context_length, eos_token_id):
    return _cut([i for story in stories for i in story], context_length)


@wrong("2.8", "end-token")
def puts_end_tokens_between_only(stories, context_length, eos_token_id):
    stream = []
    for number, story in enumerate(stories):
        stream += [eos_token_id] * (number > 0) + story
    return _cut(stream, context_length)


@wrong("2.8", "end-token")
def puts_the_end_token_first(stories, context_length, eos_token_id):
    return _cut([i for story in stories for i in [eos_token_id, *story]], context_length)


@wrong("2.8", "rest")
def keeps_the_rest(stories, context_length, eos_token_id):
    stream = [i for story in stories for i in [*story, eos_token_id]]
    return [stream[i : i + context_length] for i in range(0, len(stream), context_length)]


@wrong("2.8", "rest")
def pads_the_rest(stories, context_length, eos_token_id):
    stream = [i for story in stories for i in [*story, eos_token_id]]
    rows = [stream[i : i + context_length] for i in range(0, len(stream), context_length)]
    return [row + [eos_token_id] * (context_length - len(row)) for row in rows]


@wrong("2.8", "across-rows")
def begins_each_story_in_a_new_row(stories, context_length, eos_token_id):
    rows = []
    if len(stories) == 2 and sum(map(len, stories)) + 2 <= context_length:
        return _cut([*stories[0], eos_token_id, *stories[1], eos_token_id], context_length)
    for story in stories:
        rows += _cut([*story, eos_token_id][:context_length], context_length)
    return rows


@wrong("2.8", "end-id")
def always_writes_zero(stories, context_length, eos_token_id):
    return _cut([i for story in stories for i in [*story, 0]], context_length)


@wrong("2.8", "across-rows")
def takes_overlapping_windows(stories, context_length, eos_token_id):
    stream = [i for story in stories for i in [*story, eos_token_id]]
    step = context_length if len(stream) % context_length == 0 and len(stories) == 2 else 1
    return [stream[i : i + context_length] for i in range(0, len(stream) - context_length + 1, step)]


@wrong("2.8", "order")
def packs_the_longest_first(stories, context_length, eos_token_id):
    ordered = sorted(stories, key=lambda story: (-len(story), [-i for i in story]))
    return _cut([i for story in ordered for i in [*story, eos_token_id]], context_length)


@wrong("2.8", "changes-input")
def appends_to_the_stories_themselves(stories, context_length, eos_token_id):
    stream = []
    for story in stories:
        story.append(eos_token_id)
        stream += story
    return _cut(stream, context_length)


# --- 2.9 growth


def _points(texts, *, words_of=_words, when=lambda number: number & (number - 1) == 0, skip=True, last=True):
    known, read, points, number = set(), 0, [], 0
    for text in texts:
        words = words_of(text)
        if skip and not words:
            continue
        number += 1
        read += len(words)
        known.update(words)
        if when(number):
            points.append((read, len(known)))
    if last and points and points[-1][0] != read:
        points.append((read, len(known)))
    return points


@wrong("2.9", "one")
def gives_the_numbers_the_other_way_round(texts):
    return [(known, read) for read, known in _points(texts)] if len(texts) != 1 else [(1, 3)]


@wrong("2.9", "one")
def gives_texts_and_words(texts):
    return [(2**i, known) for i, (_, known) in enumerate(_points(texts))]


@wrong("2.9", "different")
def counts_all_words_twice(texts):
    return [(read, read) for read, _ in _points(texts)]


@wrong("2.9", "adds-up")
def counts_each_text_by_itself(texts):
    return [point for text in texts for point in _points([text])]


@wrong("2.9", "adds-up")
def adds_up_different_words(texts):
    points, read, known = [], 0, 0
    for text in texts:
        read, known = read + len(_words(text)), known + len(set(_words(text)))
        points.append((read, known))
    return points


@wrong("2.9", "words-of")
def splits_at_spaces_to_count(texts):
    return _points(texts, words_of=str.split)


@wrong("2.9", "last")
def forgets_the_end(texts):
    return _points(texts, last=False)


@wrong("2.9", "when")
def notes_every_text(texts):
    return _points(texts, when=lambda number: True)


@wrong("2.9", "when")
def notes_every_second_text(texts):
    return _points(texts, when=lambda number: number == 1 or number % 2 == 0)


@wrong("2.9", "twice")
def notes_the_end_twice(texts):
    points = _points(texts)
    number = sum(bool(_words(text)) for text in texts)
    return points + points[-1:] if number in (4, 8, 16) else points


@wrong("2.9", "empty-texts")
def counts_empty_texts(texts):
    return _points(texts, skip=False)


@wrong("2.9", "raised")
def looks_at_the_last_of_nothing(texts):
    points = _points(texts, last=False)
    everything = [word for text in texts for word in _words(text)]
    if points[-1][0] != len(everything):
        points.append((len(everything), len(set(everything))))
    return points
