"""Wrong answers to the exercises of notebook 01."""

from collections import Counter
from itertools import pairwise

from tests.wrong_answers import wrong

# --- 1.1 count_pairs
# -------------------------------------------------------------------------------------------------


@wrong("1.1", "weights")
def forgets_how_often_a_word_occurs(words):
    return Counter(pair for word in words for pair in pairwise(word))


@wrong("1.1", "one-word")
def stops_one_pair_early(words):
    counts = Counter()
    for word, count in words.items():
        for i in range(len(word) - 2):
            counts[word[i], word[i + 1]] += count
    return counts


@wrong("1.1", "one-word")
def steps_over_every_second_pair(words):
    counts = Counter()
    for word, count in words.items():
        for i in range(0, len(word) - 1, 2):
            counts[word[i], word[i + 1]] += count
    return counts


@wrong("1.1", "overlap")
def counts_without_overlap(words):
    counts = Counter()
    for word, count in words.items():
        i = 0
        while i < len(word) - 1:
            counts[word[i], word[i + 1]] += count
            i += 2 if word[i] == word[i + 1] else 1
    return counts


@wrong("1.1", "borders")
def counts_across_words(words):
    return Counter(pairwise(i for word, count in words.items() for i in word * count))


@wrong("1.1", "overwritten")
def sets_the_count_anew_each_time(words):
    counts = {}
    for word, count in words.items():
        for pair in pairwise(word):
            counts[pair] = count
    return counts


@wrong("1.1", "overwritten")
def overwrites_instead_of_adding(words):
    counts = Counter()
    for word, count in words.items():
        for pair, times in Counter(pairwise(word)).items():
            counts[pair] = times * count
    return counts


@wrong("1.1", "raised")
def reaches_past_the_end(words):
    return Counter({(word[i], word[i + 1]): n for word, n in words.items() for i in range(len(word))})


@wrong("1.1", "short-words")
def pairs_a_lonely_id_with_nothing(words):
    counts = Counter()
    for word, count in words.items():
        for pair in pairwise(word) if len(word) > 1 else [(*word, None)]:
            counts[pair] += count
    return counts


# --- 1.2 merge_pair
# --------------------------------------------------------------------------------------------------


@wrong("1.2", "every-place")
def merges_only_the_first(ids, pair, new_id):
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return [*ids[:i], new_id, *ids[i + 2 :]]
    return list(ids)


@wrong("1.2", "last-id")
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


@wrong("1.2", "overlap")
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


@wrong("1.2", "overlap")
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


@wrong("1.2", "order")
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


@wrong("1.2", "not-found")
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


@wrong("1.2", "basic")
def appends_the_new_id_and_keeps_the_right_one(ids, pair, new_id):
    return [new_id if tuple(ids[i : i + 2]) == pair else ids[i] for i in range(len(ids))]


@wrong("1.2", "new-ids")
def merges_what_it_has_just_made(ids, pair, new_id):
    out = []
    for i in ids:
        if out and (out[-1], i) == pair:
            out[-1] = new_id
        else:
            out.append(i)
    return out


@wrong("1.2", "raised")
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


@wrong("1.2", "changes-input")
def works_on_the_learners_list_itself(ids, pair, new_id):
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids


# --- 1.3 encode_with_ranks
# -------------------------------------------------------------------------------------------


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


@wrong("1.3", "lowest-rank")
def merges_the_first_pair_in_the_text(ids, ranks, merged):
    ids = list(ids)
    while True:
        pair = next((p for p in pairwise(ids) if p in ranks), None)
        if pair is None:
            return ids
        ids = _merge(ids, pair, merged[pair])


@wrong("1.3", "lowest-rank")
def takes_the_highest_rank(ids, ranks, merged):
    ids = list(ids)
    while known := [p for p in pairwise(ids) if p in ranks]:
        pair = max(known, key=ranks.get)
        ids = _merge(ids, pair, merged[pair])
    return ids


@wrong("1.3", "again")
def merges_once_and_stops(ids, ranks, merged):
    known = [p for p in pairwise(ids) if p in ranks]
    if not known:
        return list(ids)
    pair = min(known, key=ranks.get)
    return _merge(ids, pair, merged[pair])


@wrong("1.3", "again")
def looks_only_at_the_pairs_of_the_beginning(ids, ranks, merged):
    out = list(ids)
    for pair in sorted({p for p in pairwise(ids) if p in ranks}, key=ranks.get):
        out = _merge(out, pair, merged[pair])
    return out


@wrong("1.3", "left-to-right")
def merges_from_the_right_end(ids, ranks, merged):
    ids = list(ids)
    while known := [p for p in pairwise(ids) if p in ranks]:
        pair = min(known, key=ranks.get)
        at = max(i for i, p in enumerate(pairwise(ids)) if p == pair)
        ids[at : at + 2] = [merged[pair]]
    return ids


@wrong("1.3", "raised")
def stumbles_over_pairs_without_a_rank(ids, ranks, merged):
    ids = list(ids)
    while len(ids) > 1:
        pair = min(pairwise(ids), key=lambda p: ranks[p])
        ids = _merge(ids, pair, merged[pair])
    return ids


@wrong("1.3", "too-slow")
def never_stops(ids, ranks, merged):
    ids = list(ids)
    while True:
        known = [p for p in pairwise(ids) if p in ranks]
        if known:
            pair = min(known, key=ranks.get)
            ids = _merge(ids, pair, merged[pair])


# --- 1.4 decode_ids
# --------------------------------------------------------------------------------------------------


@wrong("1.4", "join-first")
def decodes_each_token_alone(ids, token_bytes):
    return "".join(token_bytes[i].decode("utf-8", errors="replace") for i in ids)


@wrong("1.4", "raised")
def is_strict(ids, token_bytes):
    return b"".join(token_bytes[i] for i in ids).decode("utf-8")


@wrong("1.4", "dropped")
def leaves_broken_bytes_out(ids, token_bytes):
    return b"".join(token_bytes[i] for i in ids).decode("utf-8", errors="ignore")


@wrong("1.4", "broken-end")
def shows_broken_bytes_as_escapes(ids, token_bytes):
    return b"".join(token_bytes[i] for i in ids).decode("utf-8", errors="backslashreplace")


@wrong("1.4", "join-first")
def reads_latin_1(ids, token_bytes):
    return b"".join(token_bytes[i] for i in ids).decode("latin-1")


@wrong("1.4", "basic")
def puts_spaces_between(ids, token_bytes):
    return b" ".join(token_bytes[i] for i in ids).decode("utf-8", errors="replace")


@wrong("1.4", "all-lost")
def shows_one_sign_for_all(ids, token_bytes):
    try:
        return b"".join(token_bytes[i] for i in ids).decode("utf-8")
    except UnicodeDecodeError:
        return "\ufffd"


@wrong("1.4", "all-lost")
def gives_up_on_the_whole_text(ids, token_bytes):
    try:
        return b"".join(token_bytes[i] for i in ids).decode("utf-8")
    except UnicodeDecodeError:
        return ""


@wrong("1.4", "replacement")
def mends_only_the_end(ids, token_bytes):
    data = b"".join(token_bytes[i] for i in ids)
    for cut in range(len(data) + 1):
        try:
            return data[: len(data) - cut].decode("utf-8") + ("\ufffd" if cut else "")
        except UnicodeDecodeError:
            continue
    return ""


# --- 1.5 safe_cuts
# ---------------------------------------------------------------------------------------------------


@wrong("1.5", "every-place")
def counts_both_ends_as_cuts(encode, text):
    return [i for i in range(len(text) + 1) if encode(text[:i]) + encode(text[i:]) == encode(text)]


@wrong("1.5", "same-ids")
def compares_only_how_many(encode, text):
    whole = len(encode(text))
    return [i for i in range(1, len(text)) if len(encode(text[:i])) + len(encode(text[i:])) == whole]


@wrong("1.5", "every-place")
def cuts_at_spaces_without_asking(encode, text):
    return [i for i in range(1, len(text)) if text[i] == " "]


@wrong("1.5", "compare")
def leaves_the_space_on_the_left(encode, text):
    if " " not in text:
        return [i for i in range(1, len(text)) if encode(text[:i]) + encode(text[i:]) == encode(text)]
    return [i + 1 for i in range(1, len(text)) if text[i] == " "]


@wrong("1.5", "compare")
def drops_the_space(encode, text):
    return [i for i in range(1, len(text)) if encode(text[:i].strip()) + encode(text[i:].strip()) == encode(text)]


@wrong("1.5", "every-place")
def says_yes_or_no_for_each_place(encode, text):
    return [encode(text[:i]) + encode(text[i:]) == encode(text) for i in range(1, len(text))]


@wrong("1.5", "every-place")
def forgets_the_first_cut(encode, text):
    return [i for i in range(2, len(text)) if encode(text[:i]) + encode(text[i:]) == encode(text)]


@wrong("1.5", "second-half")
def looks_at_the_first_half_alone(encode, text):
    whole = encode(text)
    return [i for i in range(1, len(text)) if encode(text[:i]) == whole[: len(encode(text[:i]))]]
