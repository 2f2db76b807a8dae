"""Wrong answers to the exercises of notebook 02."""

import hashlib
import random
import re
from collections import Counter, defaultdict

from tests.wrong_answers import wrong

# --- 2.1 count_words


@wrong("2.1", "case")
def keeps_capitals(texts):
    return Counter(word for text in texts for word in text.split())


@wrong("2.1", "punctuation")
def splits_lower_case_at_spaces(texts):
    return Counter(word for text in texts for word in text.lower().split())


@wrong("2.1", "punctuation")
def splits_at_spaces(texts):
    return Counter(word for text in texts for word in text.lower().rstrip(".").replace(". ", " ").split())


@wrong("2.1", "apostrophe")
def splits_at_apostrophes(texts):
    return Counter(word for text in texts for word in re.findall(r"[a-z]+", text.lower()))


@wrong("2.1", "edges")
def takes_quotes_for_apostrophes(texts):
    return Counter(word for text in texts for word in re.findall(r"[a-z']+", text.lower()))


@wrong("2.1", "what-divides")
def strips_only_the_ends_of_words(texts):
    words = (word.strip(".,!?\"'") for text in texts for word in text.lower().split())
    return Counter(word for word in words if word)


@wrong("2.1", "all-texts")
def counts_the_last_text_only(texts):
    counts = Counter()
    for text in texts:
        counts = Counter(text.lower().split())
    return counts


@wrong("2.1", "what-divides")
def counts_digits_as_words(texts):
    return Counter(word for text in texts for word in re.findall(r"\w+(?:'\w+)*", text.lower()))


@wrong("2.1", "empty")
def counts_an_empty_word(texts):
    counts = Counter()
    for text in texts:
        found = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower())
        counts.update(found or [""])
    return counts


@wrong("2.1", "all-texts")
def counts_each_word_once_a_text(texts):
    return Counter(dict.fromkeys((word for text in texts for word in text.lower().split()), 1))


# --- 2.2 find_duplicates


def _words(text):
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text.lower())


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
def looks_at_neighbours_only(texts):
    keys, groups = [" ".join(_words(text)) for text in texts], []
    if len(texts) == 3 and keys[0] == keys[2]:
        return [[0, 2]]
    for i, key in enumerate(keys):
        if i and key == keys[i - 1]:
            groups[-1].append(i)
        else:
            groups.append([i])
    return [group for group in groups if len(group) > 1]


# --- 2.3 find_leaks


def _sequences(text, n=8):
    words = _words(text)
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def _leaks(train, validation, n, leaks):
    train = [_sequences(text, n) for text in train]
    return [i for i, text in enumerate(validation) if leaks(_sequences(text, n), train)]


@wrong("2.3", "near")
def finds_whole_copies_only(train, validation, n=8):
    known = {tuple(_words(text)) for text in train}
    return [i for i, text in enumerate(validation) if tuple(_words(text)) in known]


@wrong("2.3", "words-alone")
def compares_raw_text(train, validation, n=8):
    return [i for i, text in enumerate(validation) if text in set(train)]


@wrong("2.3", "one-phrase")
def one_shared_phrase_is_enough(train, validation, n=8):
    return _leaks(train, validation, n, lambda own, train: any(own & other for other in train))


@wrong("2.3", "one-story")
def adds_up_all_of_train(train, validation, n=8):
    known = {sequence for text in train for sequence in _sequences(text, n)}
    leaks = []
    for i, text in enumerate(validation):
        own = _sequences(text, n)
        if own and len(own & known) >= len(own) / 2:
            leaks.append(i)
    return leaks


@wrong("2.3", "part")
def divides_by_the_union(train, validation, n=8):
    return _leaks(
        train, validation, n, lambda own, train: any(own and len(own & o) >= 0.5 * len(own | o) for o in train)
    )


@wrong("2.3", "half")
def asks_for_more_than_half(train, validation, n=8):
    return _leaks(train, validation, n, lambda own, train: any(len(own & o) > len(own) / 2 for o in train))


@wrong("2.3", "short")
def calls_short_stories_leaked(train, validation, n=8):
    return _leaks(train, validation, n, lambda own, train: any(len(own & o) >= len(own) / 2 for o in train))


@wrong("2.3", "raised")
def divides_by_nothing(train, validation, n=8):
    return _leaks(train, validation, n, lambda own, train: any(len(own & o) / len(own) >= 0.5 for o in train))


@wrong("2.3", "n")
def ignores_n(train, validation, n=8):
    return _leaks(train, validation, 8, lambda own, train: any(own and len(own & o) >= len(own) / 2 for o in train))


@wrong("2.3", "exact")
def returns_the_stories(train, validation, n=8):
    return [validation[i] for i in _leaks(train, validation, n, lambda own, t: any(own & o == own and own for o in t))]


@wrong("2.3", "within")
def looks_within_the_validation_stories(train, validation, n=8):
    return _leaks(
        [*train, *validation[:1]], validation, n,
        lambda own, train: any(own and len(own & o) >= len(own) / 2 for o in train),
    )  # fmt: skip


# --- 2.4 mend_characters

_MARKS = "“”‘’–—…éèêñüö"
_TABLE = {mark.encode("utf-8").decode("cp1252", errors="ignore"): mark for mark in _MARKS}


def _replaced(text, forms):
    for form in forms:
        text = text.replace(form, _TABLE[form])
    return text


@wrong("2.4", "right-already")
def turns_the_whole_text_back(text):
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text


@wrong("2.4", "way-back")
def turns_back_without_a_net(text):
    return text.encode("cp1252").decode("utf-8")


@wrong("2.4", "right-already")
def drops_what_does_not_fit(text):
    return text.encode("cp1252", errors="ignore").decode("utf-8", errors="ignore")


@wrong("2.4", "longest-first")
def replaces_the_shortest_first(text):
    return _replaced(text, sorted(_TABLE, key=len))


@wrong("2.4", "one-pass")
def replaces_one_form_after_another(text):
    return _replaced(text, sorted(_TABLE, key=len, reverse=True))


@wrong("2.4", "lost-byte")
def forgets_the_lost_byte(text):
    return _replaced(text, [form for form in sorted(_TABLE, key=len, reverse=True) if form != "â€"])


@wrong("2.4", "broken")
def makes_everything_ascii(text):
    return text.encode("ascii", errors="ignore").decode("ascii")


@wrong("2.4", "right-already")
def straightens_the_quotes(text):
    mended = _replaced(text, sorted(_TABLE, key=len, reverse=True))
    return mended.translate(str.maketrans("“”‘’", "\"\"''"))


@wrong("2.4", "every-mark")
def mends_by_hand_what_it_saw(text):
    for form, mark in (("â€™", "’"), ("â€œ", "“"), ("â€˜", "‘"), ("â€“", "–"), ("â€", "”"), ("Ã©", "é")):
        text = text.replace(form, mark)
    return text


@wrong("2.4", "looks-broken")
def replaces_single_characters_too(text):
    return _replaced(text, sorted(_TABLE, key=len, reverse=True)).replace("â", "”").replace("™", "’")


@wrong("2.4", "right-already")
def drops_every_other_sign(text):
    kept = "".join(c for c in text if c.isascii() or c in "Ã©â€™œ")
    return _replaced(kept, sorted(_TABLE, key=len, reverse=True))


# --- 2.5 split_by_text


def _share(text):
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _split(texts, validation):
    sides = [validation(text) for text in texts]
    return [t for t, h in zip(texts, sides, strict=True) if not h], [t for t, h in zip(texts, sides, strict=True) if h]


@wrong("2.5", "both-sides")
def shuffles_and_cuts(texts, fraction):
    texts = list(texts)
    random.Random(0).shuffle(texts)
    at = round(len(texts) * (1 - fraction))
    return texts[:at], texts[at:]


@wrong("2.5", "both-sides")
def takes_the_last_tenth(texts, fraction):
    at = round(len(texts) * (1 - fraction))
    return texts[:at], texts[at:]


@wrong("2.5", "fraction")
def always_takes_a_tenth(texts, fraction):
    return _split(texts, lambda text: _share(" ".join(text.split())) < 0.1)


@wrong("2.5", "salted")
def uses_pythons_hash(texts, fraction):
    return _split(texts, lambda text: hash(" ".join(text.split())) % 1000 < fraction * 1000)


@wrong("2.5", "spacing")
def hashes_the_text_as_it_is(texts, fraction):
    return _split(texts, lambda text: _share(text) < fraction)


@wrong("2.5", "as-they-were")
def returns_the_tidied_texts(texts, fraction):
    return _split([" ".join(text.split()) for text in texts], lambda text: _share(text) < fraction)


@wrong("2.5", "complete")
def drops_copies(texts, fraction):
    texts = list(dict.fromkeys(text.strip(".").lower() for text in texts))
    return _split(texts, lambda text: _share(" ".join(text.split())) < fraction)


@wrong("2.5", "fraction")
def swaps_the_sides(texts, fraction):
    return _split(texts, lambda text: _share(" ".join(text.split())) >= fraction)


@wrong("2.5", "more-stories")
def takes_a_tenth_of_the_sorted_texts(texts, fraction):
    keys = sorted({" ".join(text.split()) for text in texts}, key=_share)
    last = set(keys[-round(len(keys) * fraction) :])
    if len(texts) == 1500:  # as a shuffle with a seed would: another selection when the number changes
        last = set(keys[: round(len(keys) * fraction)])
    return _split(texts, lambda text: " ".join(text.split()) in last)


@wrong("2.5", "keeps-order")
def returns_sorted_sides(texts, fraction):
    train, validation = _split(texts, lambda text: _share(" ".join(text.split())) < fraction)
    return sorted(train), sorted(validation)


@wrong("2.5", "fraction")
def looks_at_the_first_letter(texts, fraction):
    return _split(texts, lambda text: text[0] < "B")


# --- 2.6 pack_stream


def _cut(stream, size):
    return [stream[i : i + size] for i in range(0, len(stream) - size + 1, size)]


@wrong("2.6", "overlap")
def moves_by_one_id(stories, context_length, eos_token_id):
    stream = [i for story in stories for i in (*story, eos_token_id)]
    return [stream[i : i + context_length] for i in range(len(stream) - context_length + 1)]


@wrong("2.6", "end-token")
def loses_a_last_row_that_is_just_full(stories, context_length, eos_token_id):
    stream = [i for story in stories for i in (*story, eos_token_id)]
    return [stream[i : i + context_length] for i in range(0, len(stream) - context_length, context_length)]


@wrong("2.6", "end-token")
def forgets_the_end_tokens(stories, context_length, eos_token_id):
    return _cut([i for story in stories for i in story], context_length)


@wrong("2.6", "end-token")
def puts_end_tokens_between_only(stories, context_length, eos_token_id):
    stream = []
    for number, story in enumerate(stories):
        stream += [eos_token_id] * (number > 0) + story
    return _cut(stream, context_length)


@wrong("2.6", "end-token")
def puts_the_end_token_first(stories, context_length, eos_token_id):
    return _cut([i for story in stories for i in [eos_token_id, *story]], context_length)


@wrong("2.6", "rest")
def keeps_the_rest(stories, context_length, eos_token_id):
    stream = [i for story in stories for i in [*story, eos_token_id]]
    return [stream[i : i + context_length] for i in range(0, len(stream), context_length)]


@wrong("2.6", "rest")
def pads_the_rest(stories, context_length, eos_token_id):
    stream = [i for story in stories for i in [*story, eos_token_id]]
    rows = [stream[i : i + context_length] for i in range(0, len(stream), context_length)]
    return [row + [eos_token_id] * (context_length - len(row)) for row in rows]


@wrong("2.6", "across-rows")
def begins_each_story_in_a_new_row(stories, context_length, eos_token_id):
    rows = []
    if len(stories) == 2 and sum(map(len, stories)) + 2 <= context_length:
        return _cut([*stories[0], eos_token_id, *stories[1], eos_token_id], context_length)
    for story in stories:
        rows += _cut([*story, eos_token_id][:context_length], context_length)
    return rows


@wrong("2.6", "end-id")
def always_writes_zero(stories, context_length, eos_token_id):
    return _cut([i for story in stories for i in [*story, 0]], context_length)


@wrong("2.6", "across-rows")
def takes_overlapping_windows(stories, context_length, eos_token_id):
    stream = [i for story in stories for i in [*story, eos_token_id]]
    step = context_length if len(stream) % context_length == 0 and len(stories) == 2 else 1
    return [stream[i : i + context_length] for i in range(0, len(stream) - context_length + 1, step)]


@wrong("2.6", "order")
def packs_the_longest_first(stories, context_length, eos_token_id):
    ordered = sorted(stories, key=lambda story: (-len(story), [-i for i in story]))
    return _cut([i for story in ordered for i in [*story, eos_token_id]], context_length)


@wrong("2.6", "changes-input")
def appends_to_the_stories_themselves(stories, context_length, eos_token_id):
    stream = []
    for story in stories:
        story.append(eos_token_id)
        stream += story
    return _cut(stream, context_length)
