"""Wrong answers to the exercises of notebook 15."""

import math
import re

import torch
import torch.nn.functional as F
from torch import nn

from course.instructions.judge import Verdict, keywords
from course.instructions.reading import read, sentences_of
from helpers import alignment as right
from helpers.alignment import KLEstimates, answers_mean, implicit_rewards, pair_loss
from helpers.instructions import END_OF_ANSWER, SPEAKER, Rendered, token_id
from helpers.model import IGNORED
from tests.wrong_answers import wrong

# --- 15.1 judge


@wrong("15.1", "keywords")
def believes_the_keyword_judge(demands, story):
    return Verdict(keywords(demands, story), read(story))


@wrong("15.1", "keywords")
def looks_for_the_value_in_the_text(demands, story):
    return Verdict({fact: value in story for fact, value in demands.items()}, read(story))


@wrong("15.1", "keywords")
def reads_and_is_content_with_either(demands, story):
    reading = read(story)
    kept = {fact: reading.facts.get(fact) == value or value in story for fact, value in demands.items()}
    return Verdict(kept, reading)


@wrong("15.1", "any-fact")
def takes_a_value_of_any_fact(demands, story):
    reading = read(story)
    return Verdict({fact: value in reading.facts.values() for fact, value in demands.items()}, reading)


@wrong("15.1", "not-said")
def counts_as_kept_what_is_not_stated(demands, story):
    reading = read(story)
    return Verdict({fact: reading.facts.get(fact, value) == value for fact, value in demands.items()}, reading)


@wrong("15.1", "any-value")
def asks_whether_the_fact_is_stated_at_all(demands, story):
    reading = read(story)
    return Verdict({fact: fact in reading.facts for fact in demands}, reading)


@wrong("15.1", "inverted")
def notes_what_is_broken(demands, story):
    reading = read(story)
    return Verdict({fact: reading.facts.get(fact) != value for fact, value in demands.items()}, reading)


@wrong("15.1", "all-facts")
def goes_through_the_facts_of_the_story(demands, story):
    reading = read(story)
    return Verdict({fact: demands.get(fact) == value for fact, value in reading.facts.items()}, reading)


@wrong("15.1", "missing")
def leaves_out_what_the_story_does_not_say(demands, story):
    facts = read(story).facts
    return Verdict({fact: facts[fact] == value for fact, value in demands.items() if fact in facts}, read(story))


@wrong("15.1", "missing")
def notes_only_what_is_kept(demands, story):
    reading = read(story)
    return Verdict({fact: True for fact, value in demands.items() if reading.facts.get(fact) == value}, reading)


@wrong("15.1", "missing")
def stops_at_the_first_that_is_broken(demands, story):
    reading, kept = read(story), {}
    for fact, value in demands.items():
        kept[fact] = reading.facts.get(fact) == value
        if not kept[fact]:
            break
    return Verdict(kept, reading)


@wrong("15.1", "by-value")
def names_demands_by_their_values(demands, story):
    reading = read(story)
    return Verdict({value: reading.facts.get(fact) == value for fact, value in demands.items()}, reading)


@wrong("15.1", "raised")
def expects_every_fact_to_be_stated(demands, story):
    reading = read(story)
    return Verdict({fact: reading.facts[fact] == value for fact, value in demands.items()}, reading)


@wrong("15.1", "whole-order")
def gives_every_demand_the_verdict_of_all(demands, story):
    reading = read(story)
    whole = all(reading.facts.get(fact) == value for fact, value in demands.items())
    return Verdict(dict.fromkeys(demands, whole), reading)


@wrong("15.1", "whole-order")
def is_content_with_one_of_them(demands, story):
    reading = read(story)
    some = any(reading.facts.get(fact) == value for fact, value in demands.items())
    return Verdict(dict.fromkeys(demands, some), reading)


@wrong("15.1", "slips")
def wants_a_story_without_a_slip(demands, story):
    reading = read(story)
    kept = {fact: reading.of_this_world and reading.facts.get(fact) == value for fact, value in demands.items()}
    return Verdict(kept, reading)


@wrong("15.1", "part-of-story")
def reads_the_first_paragraph(demands, story):
    reading = read(story.split("\n\n")[0])
    return Verdict({fact: reading.facts.get(fact) == value for fact, value in demands.items()}, reading)


@wrong("15.1", "part-of-story")
def reads_the_opening(demands, story):
    reading = read(sentences_of(story)[0][1])
    return Verdict({fact: reading.facts.get(fact) == value for fact, value in demands.items()}, reading)


@wrong("15.1", "share")
def returns_the_share(demands, story):
    facts = read(story).facts
    return sum(facts.get(fact) == value for fact, value in demands.items()) / len(demands)


@wrong("15.1", "one-word")
def returns_whether_all_is_kept(demands, story):
    facts = read(story).facts
    return all(facts.get(fact) == value for fact, value in demands.items())


@wrong("15.1", "no-verdict")
def returns_the_dictionary_alone(demands, story):
    facts = read(story).facts
    return {fact: facts.get(fact) == value for fact, value in demands.items()}


@wrong("15.1", "no-verdict")
def returns_a_pair(demands, story):
    reading = read(story)
    return {fact: reading.facts.get(fact) == value for fact, value in demands.items()}, reading


@wrong("15.1", "kept-dict")
def puts_a_list_into_the_verdict(demands, story):
    reading = read(story)
    return Verdict([reading.facts.get(fact) == value for fact, value in demands.items()], reading)


@wrong("15.1", "kept-dict")
def puts_the_share_into_the_verdict(demands, story):
    reading = read(story)
    return Verdict(sum(reading.facts.get(fact) == value for fact, value in demands.items()) / len(demands), reading)


@wrong("15.1", "values")
def puts_the_values_into_the_verdict(demands, story):
    reading = read(story)
    return Verdict({fact: reading.facts.get(fact) for fact in demands}, reading)


@wrong("15.1", "reading")
def puts_the_facts_in_place_of_the_reading(demands, story):
    facts = read(story).facts
    return Verdict({fact: facts.get(fact) == value for fact, value in demands.items()}, facts)


@wrong("15.1", "reading")
def puts_the_story_in_place_of_the_reading(demands, story):
    facts = read(story).facts
    return Verdict({fact: facts.get(fact) == value for fact, value in demands.items()}, story)


@wrong("15.1", "reading")
def exchanges_the_two_of_a_verdict(demands, story):
    reading = read(story)
    return Verdict(reading, {fact: reading.facts.get(fact) == value for fact, value in demands.items()})


# --- 15.2 render


def rendered(
    tokenizer, messages, begin=True, end=lambda role, last: role == "assistant", end_learned=True, ends_with=None,
    learned=lambda role: role == "assistant", prompt=lambda role: role == "user", said=lambda text: text,
    speaker=lambda role: role, speaker_learned=False, speaks=True,
):  # fmt: skip
    """Right, but for what is changed by an argument."""
    ends_with = token_id(tokenizer, END_OF_ANSWER) if ends_with is None else ends_with
    ids, mask = ([tokenizer.eos_token_id], [False]) if begin else ([], [])
    for number, message in enumerate(messages):
        role, answer = message["role"], learned(message["role"])
        if speaks:
            ids.append(token_id(tokenizer, SPEAKER[speaker(role)]))
            mask.append(speaker_learned and answer)
        text = tokenizer.encode(said(message["content"]))
        ids += text
        mask += [answer] * len(text)
        if end(role, number == len(messages) - 1):
            ids.append(ends_with)
            mask.append(answer and end_learned)
    if prompt(messages[-1]["role"]):
        ids.append(token_id(tokenizer, SPEAKER["assistant"]))
        mask.append(False)
    return Rendered(ids, mask)


@wrong("15.2", "no-beginning")
def begins_with_the_speaker(tokenizer, messages):
    return rendered(tokenizer, messages, begin=False)


@wrong("15.2", "speaker-learned")
def learns_who_speaks(tokenizer, messages):
    return rendered(tokenizer, messages, speaker_learned=True)


@wrong("15.2", "no-end")
def forgets_to_end_an_answer(tokenizer, messages):
    return rendered(tokenizer, messages, end=lambda role, last: False)


@wrong("15.2", "no-end")
def ends_the_last_answer_alone(tokenizer, messages):
    return rendered(tokenizer, messages, end=lambda role, last: role == "assistant" and last)


@wrong("15.2", "end-of-user")
def ends_what_users_say_too(tokenizer, messages):
    return rendered(tokenizer, messages, end=lambda role, last: True)


@wrong("15.2", "end-not-learned")
def learns_all_of_an_answer_but_its_end(tokenizer, messages):
    return rendered(tokenizer, messages, end_learned=False)


@wrong("15.2", "which-end")
def ends_with_the_end_of_text(tokenizer, messages):
    return rendered(tokenizer, messages, ends_with=tokenizer.eos_token_id)


@wrong("15.2", "user-learned")
def learns_what_users_say_as_well(tokenizer, messages):
    return rendered(tokenizer, messages, learned=lambda role: True)


@wrong("15.2", "user-learned")
def learns_everything(tokenizer, messages):
    ids = rendered(tokenizer, messages).ids
    return Rendered(ids, [True] * len(ids))


@wrong("15.2", "inverted")
def masks_what_is_to_be_left_out(tokenizer, messages):
    ids, mask = rendered(tokenizer, messages)
    return Rendered(ids, [not learned for learned in mask])


@wrong("15.2", "users-alone")
def learns_what_users_say(tokenizer, messages):
    return rendered(tokenizer, messages, learned=lambda role: role == "user")


@wrong("15.2", "nothing-learned")
def learns_nothing(tokenizer, messages):
    return rendered(tokenizer, messages, learned=lambda role: False)


@wrong("15.2", "last-answer")
def learns_the_last_answer_alone(tokenizer, messages):
    ids, mask = rendered(tokenizer, messages)
    if messages[-1]["role"] == "user":
        return Rendered(ids, [False] * len(ids))
    last = len(tokenizer.encode(messages[-1]["content"])) + 1
    return Rendered(ids, [False] * (len(ids) - last) + [True] * last)


@wrong("15.2", "mask-shifted")
def moves_the_mask_to_where_it_is_predicted(tokenizer, messages):
    ids, mask = rendered(tokenizer, messages)
    return Rendered(ids, [*mask[1:], False])


@wrong("15.2", "no-prompt")
def asks_and_waits(tokenizer, messages):
    return rendered(tokenizer, messages, prompt=lambda role: False)


@wrong("15.2", "prompt-always")
def asks_for_more_behind_an_answer(tokenizer, messages):
    return rendered(tokenizer, messages, prompt=lambda role: True)


@wrong("15.2", "no-prompt")
def asks_the_user_again(tokenizer, messages):
    ids, mask = rendered(tokenizer, messages)
    if messages[-1]["role"] == "user":
        ids[-1] = token_id(tokenizer, SPEAKER["user"])
    return Rendered(ids, mask)


@wrong("15.2", "prompt-learned")
def learns_the_speaker_that_is_asked_for(tokenizer, messages):
    ids, mask = rendered(tokenizer, messages)
    if messages[-1]["role"] == "user":
        mask[-1] = True
    return Rendered(ids, mask)


@wrong("15.2", "as-text")
def writes_special_tokens_as_text(tokenizer, messages):
    ids, mask = [tokenizer.eos_token_id], [False]
    for message in messages:
        answer = message["role"] == "assistant"
        speaker = tokenizer.encode(SPEAKER[message["role"]])
        said = tokenizer.encode(message["content"] + (END_OF_ANSWER if answer else ""))
        ids += speaker + said
        mask += [False] * len(speaker) + [answer] * len(said)
    if messages[-1]["role"] == "user":
        ids += tokenizer.encode(SPEAKER["assistant"])
        mask += [False] * (len(ids) - len(mask))
    return Rendered(ids, mask)


@wrong("15.2", "as-text")
def writes_user_and_assistant(tokenizer, messages):
    ids, mask = [tokenizer.eos_token_id], [False]
    for message in messages:
        answer = message["role"] == "assistant"
        said = tokenizer.encode(f"{message['role'].capitalize()}: {message['content']}\n")
        ids += said
        mask += [answer] * len(said)
    return Rendered(ids, mask)


@wrong("15.2", "as-text")
def writes_the_end_as_text(tokenizer, messages):
    ids, mask = [tokenizer.eos_token_id], [False]
    for message in messages:
        answer = message["role"] == "assistant"
        said = tokenizer.encode(message["content"] + (END_OF_ANSWER if answer else ""))
        ids += [token_id(tokenizer, SPEAKER[message["role"]]), *said]
        mask += [False, *[answer] * len(said)]
    if messages[-1]["role"] == "user":
        ids.append(token_id(tokenizer, SPEAKER["assistant"]))
        mask.append(False)
    return Rendered(ids, mask)


@wrong("15.2", "forged")
def takes_what_is_typed_for_a_special_token(tokenizer, messages):
    """The whole conversation is written down, and cut at whatever looks like a token of the template."""
    text = "".join(
        SPEAKER[m["role"]] + m["content"] + (END_OF_ANSWER if m["role"] == "assistant" else "") for m in messages
    )
    text += SPEAKER["assistant"] if messages[-1]["role"] == "user" else ""
    ids, mask, answer = [tokenizer.eos_token_id], [False], False
    for piece in filter(None, re.split(r"(<\|(?:user|assistant|end)\|>)", text)):
        special = piece in (*SPEAKER.values(), END_OF_ANSWER)
        ids += [token_id(tokenizer, piece)] if special else tokenizer.encode(piece)
        mask += [answer and piece not in SPEAKER.values()] * (len(ids) - len(mask))
        if special:
            answer = piece == SPEAKER["assistant"]
    return Rendered(ids, mask)


@wrong("15.2", "one-speaker")
def has_one_speaker(tokenizer, messages):
    return rendered(tokenizer, messages, speaker=lambda role: "user")


@wrong("15.2", "speakers-exchanged")
def exchanges_the_speakers(tokenizer, messages):
    return rendered(tokenizer, messages, speaker={"user": "assistant", "assistant": "user"}.get)


@wrong("15.2", "no-speakers")
def does_not_say_who_speaks(tokenizer, messages):
    return rendered(tokenizer, messages, speaks=False)


@wrong("15.2", "begins-again")
def begins_every_message_afresh(tokenizer, messages):
    ids, mask = [], []
    for message in messages:
        one = rendered(tokenizer, [message], prompt=lambda role: False)
        ids, mask = ids + one.ids, mask + one.mask
    if messages[-1]["role"] == "user":
        ids, mask = [*ids, token_id(tokenizer, SPEAKER["assistant"])], [*mask, False]
    return Rendered(ids, mask)


@wrong("15.2", "messages")
def renders_the_last_message(tokenizer, messages):
    return rendered(tokenizer, messages[-1:])


@wrong("15.2", "messages")
def knows_of_one_question_and_one_answer(tokenizer, messages):
    return rendered(tokenizer, messages[:2])


@wrong("15.2", "white-space")
def puts_a_space_before_each_text(tokenizer, messages):
    return rendered(tokenizer, messages, said=lambda text: f" {text}")


@wrong("15.2", "white-space")
def puts_each_message_on_a_line(tokenizer, messages):
    return rendered(tokenizer, messages, said=lambda text: f"{text}\n")


@wrong("15.2", "white-space")
def strips_what_is_said(tokenizer, messages):
    return rendered(tokenizer, messages, said=str.strip)


@wrong("15.2", "lengths")
def forgets_the_mask_of_the_first_token(tokenizer, messages):
    ids, mask = rendered(tokenizer, messages)
    return Rendered(ids, mask[1:])


@wrong("15.2", "lengths")
def has_a_mask_for_each_message(tokenizer, messages):
    return Rendered(rendered(tokenizer, messages).ids, [message["role"] == "assistant" for message in messages])


@wrong("15.2", "form")
def returns_ids_alone(tokenizer, messages):
    return rendered(tokenizer, messages).ids


@wrong("15.2", "form")
def returns_a_plain_tuple(tokenizer, messages):
    return tuple(rendered(tokenizer, messages))


@wrong("15.2", "exchanged")
def exchanges_ids_and_mask(tokenizer, messages):
    return Rendered(*rendered(tokenizer, messages)[::-1])


@wrong("15.2", "form")
def returns_tensors(tokenizer, messages):
    return Rendered(*map(torch.tensor, rendered(tokenizer, messages)))


@wrong("15.2", "booleans")
def has_ones_and_zeros_for_a_mask(tokenizer, messages):
    ids, mask = rendered(tokenizer, messages)
    return Rendered(ids, [int(learned) for learned in mask])


@wrong("15.2", "numbers")
def appends_lists(tokenizer, messages):
    ids, mask = [tokenizer.eos_token_id], [False]
    for message in messages:
        ids.append([token_id(tokenizer, SPEAKER[message["role"]]), *tokenizer.encode(message["content"])])
        mask.append([message["role"] == "assistant"] * len(ids[-1]))
    return Rendered(ids, mask)


@wrong("15.2", "changes-input")
def lays_an_empty_answer_behind_the_list(tokenizer, messages):
    if messages[-1]["role"] == "user":
        messages.append({"role": "assistant", "content": ""})
        return Rendered(*(each[:-1] for each in rendered(tokenizer, messages)))
    return rendered(tokenizer, messages)


@wrong("15.2", "changes-input")
def writes_the_end_into_the_messages(tokenizer, messages):
    made = rendered(tokenizer, messages)
    for message in messages:
        if message["role"] == "assistant":
            message["content"] += END_OF_ANSWER
    return made


@wrong("15.2", "other-ids")
def knows_the_ids_by_heart(tokenizer, messages):
    speaker, ids, mask = {"user": 2048, "assistant": 2049}, [0], [False]
    for message in messages:
        answer = message["role"] == "assistant"
        said = tokenizer.encode(message["content"]) + [2050] * answer
        ids += [speaker[message["role"]], *said]
        mask += [False, *[answer] * len(said)]
    asked = messages[-1]["role"] == "user"
    return Rendered(ids + [2049] * asked, mask + [False] * asked)


# --- 15.3 as_batch


def batch(rows, masked=True, read=slice(None, -1), follows=slice(1, None), mask=slice(1, None), pad=0, ignored=IGNORED):
    """Right, but for what is changed by an argument."""
    longest = max(len(row.ids[read]) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    targets = torch.full((len(rows), longest), ignored)
    for number, row in enumerate(rows):
        one, other, learned = torch.tensor(row.ids[read]), torch.tensor(row.ids[follows]), torch.tensor(row.mask[mask])
        ids[number, : len(one)] = one
        targets[number, : len(other)] = other.where(learned, ignored) if masked else other
    return ids, targets


@wrong("15.3", "mask-not-shifted")
def asks_the_mask_of_what_is_read(rows, masked=True):
    return batch(rows, masked, mask=slice(None, -1))


@wrong("15.3", "targets-not-shifted")
def predicts_what_is_read(rows, masked=True):
    return batch(rows, masked, follows=slice(None, -1), mask=slice(None, -1))


@wrong("15.3", "targets-not-shifted")
def predicts_what_is_read_with_the_next_ones_mask(rows, masked=True):
    return batch(rows, masked, follows=slice(None, -1))


@wrong("15.3", "not-shortened")
def reads_the_last_token_as_well(rows, masked=True):
    longest = max(len(row.ids) for row in rows)
    ids, targets = torch.zeros(len(rows), longest).long(), torch.full((len(rows), longest), IGNORED)
    for number, row in enumerate(rows):
        follows = torch.tensor(row.ids[1:])
        ids[number, : len(row.ids)] = torch.tensor(row.ids)
        targets[number, : len(follows)] = follows.where(torch.tensor(row.mask[1:]), IGNORED) if masked else follows
    return ids, targets


@wrong("15.3", "read-shifted")
def predicts_the_token_before(rows, masked=True):
    return batch(rows, masked, read=slice(1, None), follows=slice(None, -1), mask=slice(None, -1))


@wrong("15.3", "padding-learned")
def fills_targets_with_zeros(rows, masked=True):
    ids, targets = batch(rows, masked)
    for number, row in enumerate(rows):
        targets[number, len(row.ids) - 1 :] = 0
    return ids, targets


@wrong("15.3", "padding-learned")
def learns_the_padding_without_a_mask(rows, masked=True):
    ids, targets = batch(rows, masked)
    if not masked:
        for number, row in enumerate(rows):
            targets[number, len(row.ids) - 1 :] = 0
    return ids, targets


@wrong("15.3", "zeros-for-ignored")
def has_zero_where_nothing_is_learned(rows, masked=True):
    return batch(rows, masked, ignored=0)


@wrong("15.3", "zeros-for-ignored")
def multiplies_targets_by_the_mask(rows, masked=True):
    ids, targets = batch(rows, False)
    for number, row in enumerate(rows):
        if masked:
            targets[number, : len(row.ids) - 1] *= torch.tensor(row.mask[1:])
    return ids, targets


@wrong("15.3", "zeros-for-ignored")
def writes_minus_one_for_ignored(rows, masked=True):
    return batch(rows, masked, ignored=-1)


@wrong("15.3", "read-padding")
def reads_ignored_where_a_row_is_over(rows, masked=True):
    return batch(rows, masked, pad=IGNORED)


@wrong("15.3", "read-padding")
def reads_the_last_token_on_and_on(rows, masked=True):
    ids, targets = batch(rows, masked)
    for number, row in enumerate(rows):
        ids[number, len(row.ids) - 1 :] = row.ids[-1]
    return ids, targets


@wrong("15.3", "read-padding")
def reads_on_to_the_last_token_of_short_rows(rows, masked=True):
    ids, targets = batch(rows, masked)
    for number, row in enumerate(rows):
        ids[number, : len(row.ids)] = torch.tensor(row.ids)[: ids.shape[1]]
    return ids, targets


@wrong("15.3", "masked-ignored")
def masks_in_any_case(rows, masked=True):
    return batch(rows)


@wrong("15.3", "mask-ignored")
def never_masks(rows, masked=True):
    return batch(rows, False)


@wrong("15.3", "masked-exchanged")
def takes_masked_the_other_way(rows, masked=True):
    return batch(rows, not masked)


@wrong("15.3", "mask-inverted")
def learns_where_the_mask_is_false(rows, masked=True):
    return batch([Rendered(row.ids, [not learned for learned in row.mask]) for row in rows], masked)


@wrong("15.3", "masked-inverted")
def learns_users_alone_without_the_mask(rows, masked=True):
    return batch([Rendered(row.ids, [learned == masked for learned in row.mask]) for row in rows])


@wrong("15.3", "read-masked")
def hides_what_is_not_learned_from_the_model(rows, masked=True):
    ids, targets = batch(rows, masked)
    for number, row in enumerate(rows):
        if masked:
            ids[number, : len(row.ids) - 1] *= torch.tensor(row.mask[:-1])
    return ids, targets


@wrong("15.3", "left-padded")
def pads_on_the_left(rows, masked=True):
    ids, targets = batch(rows, masked)
    for number, row in enumerate(rows):
        gap = ids.shape[1] - len(row.ids) + 1
        ids[number], targets[number] = ids[number].roll(gap), targets[number].roll(gap)
    return ids, targets


@wrong("15.3", "shape")
def cuts_to_the_shortest(rows, masked=True):
    shortest = min(len(row.ids) for row in rows) - 1
    return tuple(each[:, :shortest] for each in batch(rows, masked))


@wrong("15.3", "not-shortened")
def leaves_a_column_for_the_last_token(rows, masked=True):
    ids, targets = batch(rows, masked)
    return F.pad(ids, (0, 1)), F.pad(targets, (0, 1), value=IGNORED)


@wrong("15.3", "shape")
def joins_all_rows(rows, masked=True):
    return tuple(each.flatten() for each in batch(rows, masked))


@wrong("15.3", "shape")
def goes_by_the_length_of_the_first(rows, masked=True):
    longest = len(rows[0].ids) - 1
    ids, targets = batch(rows, masked)
    wider = max(0, longest - ids.shape[1])
    return F.pad(ids, (0, wider))[:, :longest], F.pad(targets, (0, wider), value=IGNORED)[:, :longest]


@wrong("15.3", "shape")
def goes_up_to_the_context(rows, masked=True):
    ids, targets = batch(rows, masked)
    return F.pad(ids, (0, 256 - ids.shape[1])), F.pad(targets, (0, 256 - ids.shape[1]), value=IGNORED)


@wrong("15.3", "raised")
def expects_rows_of_one_length(rows, masked=True):
    ids, learned = torch.tensor([row.ids for row in rows]), torch.tensor([row.mask for row in rows])
    targets = ids[:, 1:].where(learned[:, 1:], IGNORED) if masked else ids[:, 1:]
    return ids[:, :-1], targets


@wrong("15.3", "exchanged")
def returns_targets_first(rows, masked=True):
    return batch(rows, masked)[::-1]


@wrong("15.3", "a-pair")
def returns_what_is_read_alone(rows, masked=True):
    return batch(rows, masked)[0]


@wrong("15.3", "a-pair")
def returns_the_mask_as_well(rows, masked=True):
    ids, targets = batch(rows, masked)
    return ids, targets, targets != IGNORED


@wrong("15.3", "a-pair")
def returns_lists_of_lists(rows, masked=True):
    return tuple(each.tolist() for each in batch(rows, masked))


@wrong("15.3", "dtype")
def fills_a_tensor_of_floats(rows, masked=True):
    ids, targets = batch(rows, masked)
    return ids.float(), targets


@wrong("15.3", "dtype")
def has_targets_of_floats(rows, masked=True):
    ids, targets = batch(rows, masked)
    return ids, targets.float()


@wrong("15.3", "zero-is-no-padding")
def takes_every_zero_for_padding(rows, masked=True):
    ids, targets = batch(rows, masked)
    return ids, targets.masked_fill(targets == 0, IGNORED)


@wrong("15.3", "changes-input")
def lengthens_the_rows_themselves(rows, masked=True):
    made, longest = batch(rows, masked), max(len(row.ids) for row in rows)
    for row in rows:
        row.ids.extend([0] * (longest - len(row.ids)))
        row.mask.extend([False] * (longest - len(row.mask)))
    return made


# --- 15.4 LoRALinear


class Given(nn.Linear):
    """All that the stub gives."""

    def __init__(self, linear, rank=8, alpha=16.0):
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.requires_grad_(False).weight, linear.bias
        self.A = nn.Parameter(self.weight.new_empty(rank, self.in_features).normal_(std=self.in_features**-0.5))
        self.B = nn.Parameter(self.weight.new_zeros(self.out_features, rank))
        self.scale, self.merged = alpha / rank, False

    def forward(self, x):
        plain = F.linear(x, self.weight, self.bias)
        return plain if self.merged else plain + self.scale * F.linear(F.linear(x, self.A), self.B)


@wrong("15.4", "no-scale")
class ForgetsTheScale(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * self.B @ self.A
        self.merged = merged


@wrong("15.4", "scale-twice")
class ScalesTwice(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * (self.scale * self.B) @ (self.scale * self.A)
        self.merged = merged


@wrong("15.4", "divided")
class DividesByTheScale(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * self.B @ self.A / self.scale
        self.merged = merged


@wrong("15.4", "taken-out-unmerged")
class MergesAgainAndAgain(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (1 if merged else -1) * self.scale * self.B @ self.A
        self.merged = merged


@wrong("15.4", "merged-twice")
class AddsWheneverItIsAskedTo(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        if merged:
            self.weight += self.scale * self.B @ self.A
        elif self.merged:
            self.weight -= self.scale * self.B @ self.A
        self.merged = merged


@wrong("15.4", "taken-out-unmerged")
class TakesOutWhatIsNotIn(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        if merged and not self.merged:
            self.weight += self.scale * self.B @ self.A
        elif not merged:
            self.weight -= self.scale * self.B @ self.A
        self.merged = merged


@wrong("15.4", "flag")
class ForgetsToNoteIt(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * self.scale * self.B @ self.A


@wrong("15.4", "flag")
class NeverNotesThatItIsOutAgain(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * self.scale * self.B @ self.A
        self.merged = True


@wrong("15.4", "merged")
class NotesItFirst(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.merged = merged
        self.weight += (merged - self.merged) * self.scale * self.B @ self.A


@wrong("15.4", "merged")
class OnlyNotesIt(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.merged = merged


@wrong("15.4", "merged")
class AddsToACopy(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        weight = self.weight.clone()
        weight += (merged - self.merged) * self.scale * self.B @ self.A
        self.merged = merged


@wrong("15.4", "merged")
class ReturnsAPlainLayer(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        plain = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None)
        plain.weight.copy_(self.weight + self.scale * self.B @ self.A)
        self.merged = merged
        return plain


@wrong("15.4", "taken-out-unmerged")
class OnlyMerges(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        if not self.merged:
            self.weight += self.scale * self.B @ self.A
        self.merged = True


@wrong("15.4", "taken-out")
class TakesOutTheFlagAlone(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        if merged and not self.merged:
            self.weight += self.scale * self.B @ self.A
        self.merged = merged


@wrong("15.4", "taken-out")
class TakesOutWithoutTheScale(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        if merged and not self.merged:
            self.weight += self.scale * self.B @ self.A
        if not merged and self.merged:
            self.weight -= self.B @ self.A
        self.merged = merged


@wrong("15.4", "taken-out")
class AddsWhenItShouldTakeOut(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        if merged != self.merged:
            self.weight += self.scale * self.B @ self.A
        self.merged = merged


@wrong("15.4", "taken-out-unmerged")
class TurnsItOverAtEveryCall(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (1 - 2 * self.merged) * self.scale * self.B @ self.A
        self.merged = not self.merged


@wrong("15.4", "merged")
class SubtractsWhereItAdds(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (self.merged - merged) * self.scale * self.B @ self.A
        self.merged = merged


@wrong("15.4", "order")
class MultipliesTheOtherWay(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * self.scale * self.A @ self.B
        self.merged = merged


@wrong("15.4", "transposed")
class Transposes(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * self.scale * (self.B @ self.A).T
        self.merged = merged


@wrong("15.4", "raised")
class SubtractsTruthValuesAsTensors(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (torch.tensor(merged) - torch.tensor(self.merged)) * self.scale * self.B @ self.A
        self.merged = merged


@wrong("15.4", "gradient-kept")
class KeepsTheGradient(Given):
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * self.scale * self.B @ self.A
        self.merged = merged


@wrong("15.4", "gradient-kept")
class LetsTheWeightLearnAgain(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * self.scale * self.B @ self.A
        self.weight.requires_grad_(not merged)
        self.merged = merged


@wrong("15.4", "in-place")
class MakesAnotherWeight(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        weight = self.weight + (merged - self.merged) * self.scale * self.B @ self.A
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.merged = merged


@wrong("15.4", "adapters")
class EmptiesTheAdapters(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * self.scale * self.B @ self.A
        self.B.zero_()
        self.merged = merged


@wrong("15.4", "adapters")
class ScalesAnAdapterInPlace(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        if merged != self.merged:
            self.weight += (merged - self.merged) * self.B.mul_(self.scale) @ self.A
        self.merged = merged


@wrong("15.4", "default")
class TakesOutByDefault(Given):
    @torch.no_grad()
    def merge(self, merged=False):
        self.weight += (merged - self.merged) * self.scale * self.B @ self.A
        self.merged = merged


@wrong("15.4", "still-added")
class AddsTheProductInForwardAsWell(Given):
    def forward(self, x):
        return F.linear(x, self.weight, self.bias) + self.scale * F.linear(F.linear(x, self.A), self.B)

    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * self.scale * self.B @ self.A
        self.merged = merged


@wrong("15.4", "merged")
class AddsTheMeanOfTheProduct(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        self.weight += (merged - self.merged) * self.scale * (self.B @ self.A).mean()
        self.merged = merged


@wrong("15.4", "remembered")
class RemembersTheFirstProduct(Given):
    @torch.no_grad()
    def merge(self, merged=True):
        if not hasattr(self, "product"):
            self.product = self.scale * self.B @ self.A
        self.weight += (merged - self.merged) * self.product
        self.merged = merged


# --- 15.5 token_logprobs


def scores_of(model, ids):
    """log p of each token but the first, (B, T - 1)."""
    return -F.cross_entropy(model(ids[:, :-1]).transpose(1, 2), ids[:, 1:], reduction="none")


@wrong("15.5", "own-position")
def asks_the_logits_at_the_token_itself(model, ids, mask):
    return model(ids).log_softmax(-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1) * mask


@wrong("15.5", "one-early")
def puts_the_zero_behind(model, ids, mask):
    return F.pad(scores_of(model, ids), (0, 1)) * mask


@wrong("15.5", "mask-late")
def asks_the_mask_of_what_is_read_of_answers(model, ids, mask):
    return F.pad(scores_of(model, ids) * mask[:, :-1], (1, 0))


@wrong("15.5", "one-early")
def stores_a_score_where_it_was_computed(model, ids, mask):
    return F.pad(scores_of(model, ids) * mask[:, 1:], (0, 1))


@wrong("15.5", "not-normalized")
def returns_the_logits_of_the_tokens(model, ids, mask):
    return F.pad(model(ids[:, :-1]).gather(-1, ids[:, 1:, None])[..., 0], (1, 0)) * mask


@wrong("15.5", "probabilities")
def forgets_the_logarithm_of_a_probability(model, ids, mask):
    return F.pad(scores_of(model, ids).exp(), (1, 0)) * mask


@wrong("15.5", "sign")
def returns_losses(model, ids, mask):
    return -F.pad(scores_of(model, ids), (1, 0)) * mask


@wrong("15.5", "summed")
def adds_up_each_answer(model, ids, mask):
    return (F.pad(scores_of(model, ids), (1, 0)) * mask).sum(1)


@wrong("15.5", "mean")
def averages_each_answer(model, ids, mask):
    return (F.pad(scores_of(model, ids), (1, 0)) * mask).sum(1) / mask.sum(1)


@wrong("15.5", "one-mean")
def lets_cross_entropy_average(model, ids, mask):
    return -F.cross_entropy(model(ids[:, :-1]).transpose(1, 2), ids[:, 1:]) * mask


@wrong("15.5", "summed")
def returns_one_number_of_all_answers(model, ids, mask):
    return (F.pad(scores_of(model, ids), (1, 0)) * mask).sum()


@wrong("15.5", "one-short")
def leaves_the_first_token_out(model, ids, mask):
    return scores_of(model, ids) * mask[:, 1:]


@wrong("15.5", "flat")
def returns_the_answers_tokens_alone(model, ids, mask):
    return F.pad(scores_of(model, ids), (1, 0))[mask]


@wrong("15.5", "raised")
def forgets_the_zero_in_front(model, ids, mask):
    return scores_of(model, ids) * mask


@wrong("15.5", "raised")
def leaves_the_vocabulary_last_for_cross_entropy(model, ids, mask):
    return F.pad(-F.cross_entropy(model(ids[:, :-1]), ids[:, 1:], reduction="none"), (1, 0)) * mask


@wrong("15.5", "prompt-too")
def forgets_the_mask(model, ids, mask):
    return F.pad(scores_of(model, ids), (1, 0))


@wrong("15.5", "prompt-too")
def masks_the_padding_alone(model, ids, mask):
    return F.pad(scores_of(model, ids), (1, 0)) * mask.flip(1).cummax(1).values.flip(1)


@wrong("15.5", "mask-inverted")
def scores_all_but_the_answers(model, ids, mask):
    return F.pad(scores_of(model, ids), (1, 0)) * ~mask


@wrong("15.5", "elsewhere")
def fills_with_minus_infinity(model, ids, mask):
    return F.pad(scores_of(model, ids), (1, 0)).masked_fill(~mask, -math.inf)


@wrong("15.5", "gradients")
def computes_without_a_gradient(model, ids, mask):
    with torch.no_grad():
        return F.pad(scores_of(model, ids), (1, 0)) * mask


@wrong("15.5", "gradients")
def detaches_the_scores(model, ids, mask):
    return F.pad(scores_of(model, ids).detach(), (1, 0)) * mask


@wrong("15.5", "axis")
def takes_the_softmax_over_positions(model, ids, mask):
    return F.pad(model(ids[:, :-1]).log_softmax(1).gather(-1, ids[:, 1:, None])[..., 0], (1, 0)) * mask


@wrong("15.5", "softmax-twice")
def takes_the_softmax_twice(model, ids, mask):
    probabilities = model(ids[:, :-1]).softmax(-1)
    return -F.pad(F.cross_entropy(probabilities.transpose(1, 2), ids[:, 1:], reduction="none"), (1, 0)) * mask


@wrong("15.5", "base-two")
def counts_in_bits(model, ids, mask):
    return F.pad(scores_of(model, ids), (1, 0)) * mask / math.log(2)


@wrong("15.5", "likeliest")
def takes_the_likeliest_tokens(model, ids, mask):
    return F.pad(model(ids[:, :-1]).log_softmax(-1).amax(-1), (1, 0)) * mask


@wrong("15.5", "underflow")
def takes_the_logarithm_of_a_softmax(model, ids, mask):
    return F.pad(model(ids[:, :-1]).softmax(-1).gather(-1, ids[:, 1:, None])[..., 0], (1, 0), value=1.0).log() * mask


@wrong("15.5", "underflow")
def saves_the_logarithm_by_a_small_number(model, ids, mask):
    chances = model(ids[:, :-1]).softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return F.pad((chances + 1e-9).log(), (1, 0)) * mask


@wrong("15.5", "prompt-hidden")
def hides_the_prompt_from_the_model(model, ids, mask):
    return F.pad(scores_of(model, ids * mask), (1, 0)) * mask


@wrong("15.5", "mean")
def divides_by_the_length_of_the_answer(model, ids, mask):
    return F.pad(scores_of(model, ids), (1, 0)) * mask / mask.sum(1, keepdim=True)


@wrong("15.5", "cumulated")
def adds_up_along_the_answer(model, ids, mask):
    return (F.pad(scores_of(model, ids), (1, 0)) * mask).cumsum(1) * mask


# --- 15.6 pair_loss


@wrong("15.6", "summed")
def adds_up_the_pairs(better, worse):
    return -F.logsigmoid(better - worse).sum()


@wrong("15.6", "sign")
def forgets_the_minus(better, worse):
    return F.logsigmoid(better - worse).mean()


@wrong("15.6", "exchanged")
def prefers_the_worse(better, worse):
    return -F.logsigmoid(worse - better).mean()


@wrong("15.6", "overflow")
def takes_the_logarithm_of_a_sigmoid(better, worse):
    return -torch.log(torch.sigmoid(better - worse)).mean()


@wrong("15.6", "overflow")
def takes_the_exponential_of_a_difference(better, worse):
    return torch.log(1 + torch.exp(worse - better)).mean()


@wrong("15.6", "overflow")
def takes_log1p_of_the_exponential(better, worse):
    return torch.log1p(torch.exp(worse - better)).mean()


@wrong("15.6", "overflow")
def divides_exponentials(better, worse):
    return -(better.exp() / (better.exp() + worse.exp())).log().mean()


@wrong("15.6", "cut-off")
def lays_a_small_number_under_the_logarithm(better, worse):
    return -torch.log(torch.sigmoid(better - worse) + 1e-12).mean()


@wrong("15.6", "cut-off")
def cuts_the_sigmoid_off(better, worse):
    return -torch.sigmoid(better - worse).clamp(min=1e-12).log().mean()


@wrong("15.6", "cut-off")
def cuts_the_difference_off(better, worse):
    return -F.logsigmoid((better - worse).clamp(-30, 30)).mean()


@wrong("15.6", "cut-off")
def lets_binary_cross_entropy_cut_off(better, worse):
    return F.binary_cross_entropy(torch.sigmoid(better - worse), torch.ones_like(better))


@wrong("15.6", "no-mean")
def leaves_a_loss_for_each_pair(better, worse):
    return -F.logsigmoid(better - worse)


@wrong("15.6", "no-logarithm")
def takes_the_probability_itself(better, worse):
    return -torch.sigmoid(better - worse).mean()


@wrong("15.6", "no-logarithm")
def takes_the_probability_of_the_other(better, worse):
    return 1 - torch.sigmoid(better - worse).mean()


@wrong("15.6", "mean-first")
def averages_before_the_logarithm(better, worse):
    return -torch.sigmoid(better - worse).mean().log()


@wrong("15.6", "mean-first")
def averages_differences_first(better, worse):
    return -F.logsigmoid((better - worse).mean())


@wrong("15.6", "no-sigmoid")
def takes_the_difference_itself(better, worse):
    return (worse - better).mean()


@wrong("15.6", "hinge")
def takes_a_hinge(better, worse):
    return F.relu(1 - (better - worse)).mean()


@wrong("15.6", "hinge")
def takes_torchs_margin(better, worse):
    return F.margin_ranking_loss(better, worse, torch.ones_like(better))


@wrong("15.6", "apart")
def takes_sigmoids_apart(better, worse):
    return -(F.logsigmoid(better) - F.logsigmoid(worse)).mean()


@wrong("15.6", "apart")
def scores_each_answer_by_itself(better, worse):
    return -(F.logsigmoid(better) + F.logsigmoid(-worse)).mean()


@wrong("15.6", "apart")
def takes_the_difference_of_sigmoids(better, worse):
    return -F.logsigmoid(torch.sigmoid(better) - torch.sigmoid(worse)).mean()


@wrong("15.6", "one-side")
def forgets_the_worse(better, worse):
    return -F.logsigmoid(better).mean()


@wrong("15.6", "log-twice")
def takes_the_logarithm_twice(better, worse):
    return -F.logsigmoid(torch.sigmoid(better - worse)).mean()


@wrong("15.6", "quotient")
def divides_rewards(better, worse):
    return -F.logsigmoid(better / worse).mean()


@wrong("15.6", "absolute")
def takes_the_distance(better, worse):
    return -F.logsigmoid((better - worse).abs()).mean()


@wrong("15.6", "squared")
def takes_the_squared_distance(better, worse):
    return (better - worse - 1).pow(2).mean()


@wrong("15.6", "base")
def counts_the_loss_in_bits(better, worse):
    return -F.logsigmoid(better - worse).mean() / math.log(2)


@wrong("15.6", "all-pairs")
def compares_each_with_every_other(better, worse):
    return -F.logsigmoid(better[:, None] - worse).mean()


@wrong("15.6", "half")
def averages_over_answers(better, worse):
    return -F.logsigmoid(better - worse).sum() / (len(better) + len(worse))


@wrong("15.6", "one-number")
def returns_a_plain_number(better, worse):
    return -F.logsigmoid(better - worse).mean().item()


@wrong("15.6", "gradients")
def detaches_the_rewards(better, worse):
    return -F.logsigmoid((better - worse).detach()).mean()


@wrong("15.6", "gradients")
def learns_from_the_better_alone(better, worse):
    return -F.logsigmoid(better - worse.detach()).mean()


# --- 15.7 dpo_loss


@wrong("15.7", "no-reference")
def leaves_the_reference_out(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return pair_loss(beta * policy_better, beta * policy_worse)


@wrong("15.7", "no-reference")
def knows_the_reference_of_the_better_alone(
    policy_better, policy_worse, reference_better, reference_worse, beta=0.1
):  # fmt: skip
    return pair_loss(beta * (policy_better - reference_better), beta * policy_worse)


@wrong("15.7", "no-beta")
def leaves_beta_out(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return pair_loss(policy_better - reference_better, policy_worse - reference_worse)


@wrong("15.7", "beta-one-side")
def has_beta_on_one_side(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return pair_loss(beta * (policy_better - reference_better), policy_worse - reference_worse)


@wrong("15.7", "bracket")
def forgets_a_bracket(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return -F.logsigmoid(beta * (policy_better - reference_better) - policy_worse - reference_worse).mean()


@wrong("15.7", "bracket")
def adds_the_reference_of_the_worse(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return -F.logsigmoid(beta * (policy_better - policy_worse - reference_better - reference_worse)).mean()


@wrong("15.7", "crossed")
def adds_what_the_reference_says(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return -F.logsigmoid(beta * (policy_better - policy_worse + reference_better - reference_worse)).mean()


@wrong("15.7", "exchanged")
def prefers_the_worse_answers(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return right.dpo_loss(policy_worse, policy_better, reference_worse, reference_better, beta)


@wrong("15.7", "exchanged")
def exchanges_policy_and_reference(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return right.dpo_loss(reference_better, reference_worse, policy_better, policy_worse, beta)


@wrong("15.7", "crossed")
def holds_each_to_the_other_answer(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    better = implicit_rewards(policy_better, reference_worse, beta)
    return pair_loss(better, implicit_rewards(policy_worse, reference_better, beta))


@wrong("15.7", "crossed")
def compares_answers_within_a_model(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return pair_loss(beta * (policy_better - policy_worse), beta * (reference_worse - reference_better))


@wrong("15.7", "summed")
def adds_up_all_pairs(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    better = implicit_rewards(policy_better, reference_better, beta)
    return -F.logsigmoid(better - implicit_rewards(policy_worse, reference_worse, beta)).sum()


@wrong("15.7", "sign")
def makes_the_loss_negative(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return -right.dpo_loss(policy_better, policy_worse, reference_better, reference_worse, beta)


@wrong("15.7", "beta-divides")
def divides_by_beta(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return right.dpo_loss(policy_better, policy_worse, reference_better, reference_worse, 1 / beta)


@wrong("15.7", "beta-outside")
def has_beta_outside(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return beta * right.dpo_loss(policy_better, policy_worse, reference_better, reference_worse, 1.0)


@wrong("15.7", "beta-squared")
def has_beta_twice(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return right.dpo_loss(policy_better, policy_worse, reference_better, reference_worse, beta * beta)


@wrong("15.7", "beta-fixed")
def knows_one_beta(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return right.dpo_loss(policy_better, policy_worse, reference_better, reference_worse, 0.1)


@wrong("15.7", "default-beta")
def has_a_beta_of_its_own(policy_better, policy_worse, reference_better, reference_worse, beta=0.5):
    return right.dpo_loss(policy_better, policy_worse, reference_better, reference_worse, beta)


@wrong("15.7", "probabilities")
def takes_ratios_of_probabilities(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    better, worse = (policy_better - reference_better).exp(), (policy_worse - reference_worse).exp()
    return pair_loss(beta * better, beta * worse)


@wrong("15.7", "quotients")
def divides_logarithms(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return pair_loss(beta * policy_better / reference_better, beta * policy_worse / reference_worse)


@wrong("15.7", "quotients")
def takes_the_logarithm_of_a_ratio_of_logarithms(
    policy_better, policy_worse, reference_better, reference_worse, beta=0.1
):  # fmt: skip
    return pair_loss(
        beta * (policy_better / reference_better).log(), beta * (policy_worse / reference_worse).log()
    )  # fmt: skip


@wrong("15.7", "one-side")
def asks_the_better_answers_alone(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return -F.logsigmoid(beta * (policy_better - reference_better)).mean()


@wrong("15.7", "apart")
def judges_each_answer_by_itself(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    better, worse = beta * (policy_better - reference_better), beta * (policy_worse - reference_worse)
    return -(F.logsigmoid(better) + F.logsigmoid(-worse)).mean()


@wrong("15.7", "no-sigmoid")
def takes_the_margin_itself(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return -(beta * (policy_better - reference_better - policy_worse + reference_worse)).mean()


@wrong("15.7", "no-logarithm")
def takes_the_sigmoid_of_the_margin(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return -torch.sigmoid(beta * (policy_better - reference_better - policy_worse + reference_worse)).mean()


@wrong("15.7", "overflow")
def takes_the_logarithm_of_a_sigmoid_of_rewards(
    policy_better, policy_worse, reference_better, reference_worse, beta=0.1
):  # fmt: skip
    margin = beta * (policy_better - reference_better - policy_worse + reference_worse)
    return -torch.sigmoid(margin).log().mean()


@wrong("15.7", "squared")
def has_the_loss_of_another_paper(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    margin = policy_better - reference_better - policy_worse + reference_worse
    return (margin - 1 / (2 * beta)).pow(2).mean()


@wrong("15.7", "no-mean")
def keeps_a_loss_for_each_pair(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return -F.logsigmoid(beta * (policy_better - reference_better - policy_worse + reference_worse))


@wrong("15.7", "mean-first")
def averages_rewards_first(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    better = implicit_rewards(policy_better, reference_better, beta).mean()
    return pair_loss(better, implicit_rewards(policy_worse, reference_worse, beta).mean())


@wrong("15.7", "gradients")
def detaches_the_policy(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return right.dpo_loss(policy_better.detach(), policy_worse.detach(), reference_better, reference_worse, beta)


@wrong("15.7", "gradients")
def learns_from_better_answers_alone(policy_better, policy_worse, reference_better, reference_worse, beta=0.1):
    return right.dpo_loss(policy_better, policy_worse.detach(), reference_better, reference_worse, beta)


# --- 15.8 leave_one_out


@wrong("15.8", "own-included")
def averages_the_whole_group(rewards):
    return rewards.mean(-1, keepdim=True).expand_as(rewards)


@wrong("15.8", "divided-by-size")
def divides_by_the_size(rewards):
    return (rewards.sum(-1, keepdim=True) - rewards) / rewards.shape[-1]


@wrong("15.8", "divided-by-size")
def writes_a_zero_for_its_own(rewards):
    size = rewards.shape[-1]
    others = rewards.unsqueeze(-2).expand(*rewards.shape, size).masked_fill(torch.eye(size, dtype=torch.bool), 0.0)
    return others.mean(-1)


@wrong("15.8", "not-divided")
def adds_the_others_up(rewards):
    return rewards.sum(-1, keepdim=True) - rewards


@wrong("15.8", "brackets")
def divides_the_sum_of_all_by_the_others(rewards):
    return (rewards.sum(-1, keepdim=True) / (rewards.shape[-1] - 1)).expand_as(rewards)


@wrong("15.8", "brackets")
def forgets_the_brackets(rewards):
    return rewards.sum(-1, keepdim=True) - rewards / (rewards.shape[-1] - 1)


@wrong("15.8", "brackets")
def takes_its_own_from_the_mean(rewards):
    return rewards.mean(-1, keepdim=True) - rewards


@wrong("15.8", "brackets")
def takes_its_own_from_the_mean_and_divides(rewards):
    return (rewards.mean(-1, keepdim=True) - rewards) / (rewards.shape[-1] - 1)


@wrong("15.8", "whole-batch")
def averages_over_all_groups(rewards):
    return (rewards.sum() - rewards) / (rewards.numel() - 1)


@wrong("15.8", "axis")
def averages_over_other_groups(rewards):
    return (rewards.sum(0, keepdim=True) - rewards) / (rewards.shape[0] - 1)


@wrong("15.8", "subtracted")
def returns_what_is_left_of_the_reward(rewards):
    return rewards - right.leave_one_out(rewards)


@wrong("15.8", "sign")
def returns_minus_the_baseline(rewards):
    return -right.leave_one_out(rewards)


@wrong("15.8", "own-included")
def returns_a_number_for_each_group(rewards):
    return rewards.mean(-1)


@wrong("15.8", "own-included")
def returns_a_column(rewards):
    return rewards.mean(-1, keepdim=True)


@wrong("15.8", "axis")
def forgets_keepdim(rewards):
    return (rewards.sum(-1) - rewards) / (rewards.shape[-1] - 1)


@wrong("15.8", "one-other")
def takes_the_next_one(rewards):
    return rewards.roll(-1, -1)


@wrong("15.8", "earlier")
def averages_those_before_it(rewards):
    before = rewards.cumsum(-1) - rewards
    return before / torch.arange(rewards.shape[-1]).clamp(min=1)


@wrong("15.8", "size-fixed")
def knows_of_four_answers(rewards):
    return (rewards.sum(-1, keepdim=True) - rewards) / 3


@wrong("15.8", "size-fixed")
def divides_by_the_number_of_groups(rewards):
    return (rewards.sum(-1, keepdim=True) - rewards) / (len(rewards) - 1)


@wrong("15.8", "size-fixed")
def divides_by_the_number_of_all_groups(rewards):
    return (rewards.sum(-1, keepdim=True) - rewards) / len(rewards)


@wrong("15.8", "others-best")
def takes_the_best_of_the_others(rewards):
    size = rewards.shape[-1]
    return torch.stack([torch.cat((rewards[:, :i], rewards[:, i + 1 :]), 1).amax(1) for i in range(size)], 1)


@wrong("15.8", "median")
def takes_the_median_of_the_others(rewards):
    size = rewards.shape[-1]
    return torch.stack([torch.cat((rewards[:, :i], rewards[:, i + 1 :]), 1).median(1).values for i in range(size)], 1)


@wrong("15.8", "equal-rewards")
def leaves_out_all_that_are_equal(rewards):
    rows = []
    for row in rewards:
        rows.append(torch.stack([row[row != reward].mean() for reward in row]))
    return torch.stack(rows)


@wrong("15.8", "whole-division")
def divides_as_whole_numbers(rewards):
    return (rewards.sum(-1, keepdim=True) - rewards) // (rewards.shape[-1] - 1)


@wrong("15.8", "changes-input")
def overwrites_the_rewards(rewards):
    total, size = rewards.sum(-1, keepdim=True), rewards.shape[-1]
    rewards -= total
    return -rewards / (size - 1)


@wrong("15.8", "shape")
def returns_a_list_of_lists(rewards):
    return right.leave_one_out(rewards).tolist()


# --- 15.9 advantages


def spread(rewards, **more):
    return rewards.std(dim=-1, keepdim=True, **more) + 1e-4


def centered(rewards):
    return rewards - rewards.mean(dim=-1, keepdim=True)


@wrong("15.9", "n-below")
def has_n_below(rewards, divide=True):
    return centered(rewards) / spread(rewards, correction=0) if divide else centered(rewards)


@wrong("15.9", "whole-batch")
def divides_by_the_spread_of_all(rewards, divide=True):
    return centered(rewards) / (rewards.std() + 1e-4) if divide else centered(rewards)


@wrong("15.9", "whole-batch")
def takes_the_mean_of_all(rewards, divide=True):
    better = rewards - rewards.mean()
    return better / spread(rewards) if divide else better


@wrong("15.9", "whole-batch")
def takes_all_answers_for_one_group(rewards, divide=True):
    better = rewards - rewards.mean()
    return better / (rewards.std() + 1e-4) if divide else better


@wrong("15.9", "axis")
def goes_down_the_columns(rewards, divide=True):
    better = rewards - rewards.mean(0)
    return better / (rewards.std(0) + 1e-4) if divide else better


@wrong("15.9", "equal-groups")
def divides_by_nothing_but_the_spread(rewards, divide=True):
    better = centered(rewards)
    return better / rewards.std(dim=-1, keepdim=True) if divide else better


@wrong("15.9", "small-number")
def mends_nan_afterwards(rewards, divide=True):
    better = centered(rewards)
    return (better / rewards.std(dim=-1, keepdim=True)).nan_to_num(0.0) if divide else better


@wrong("15.9", "small-number")
def divides_by_one_where_all_are_alike(rewards, divide=True):
    scale = rewards.std(dim=-1, keepdim=True)
    return centered(rewards) / scale.where(scale > 0, 1.0) if divide else centered(rewards)


@wrong("15.9", "small-number")
def has_a_smaller_number(rewards, divide=True):
    return centered(rewards) / (rewards.std(dim=-1, keepdim=True) + 1e-8) if divide else centered(rewards)


@wrong("15.9", "small-number")
def has_a_larger_number(rewards, divide=True):
    return centered(rewards) / (rewards.std(dim=-1, keepdim=True) + 1e-2) if divide else centered(rewards)


@wrong("15.9", "at-least")
def clamps_the_spread(rewards, divide=True):
    return centered(rewards) / rewards.std(dim=-1, keepdim=True).clamp(min=1e-4) if divide else centered(rewards)


@wrong("15.9", "inside-the-root")
def has_the_small_number_under_the_root(rewards, divide=True):
    return centered(rewards) / (rewards.var(dim=-1, keepdim=True) + 1e-4).sqrt() if divide else centered(rewards)


@wrong("15.9", "equal-groups")
def adds_the_small_number_to_the_quotient(rewards, divide=True):
    return centered(rewards) / rewards.std(dim=-1, keepdim=True) + 1e-4 if divide else centered(rewards)


@wrong("15.9", "outside")
def adds_the_small_number_above(rewards, divide=True):
    better = centered(rewards)
    return (better + 1e-4) / spread(rewards) if divide else better


@wrong("15.9", "divide-ignored")
def divides_in_any_case(rewards, divide=True):
    return right.advantages(rewards)


@wrong("15.9", "not-divided")
def never_divides(rewards, divide=True):
    return centered(rewards)


@wrong("15.9", "divide-exchanged")
def takes_divide_the_other_way(rewards, divide=True):
    return right.advantages(rewards, not divide)


@wrong("15.9", "default")
def does_not_divide_by_default(rewards, divide=False):
    return right.advantages(rewards, divide)


@wrong("15.9", "variance")
def divides_by_the_variance(rewards, divide=True):
    return centered(rewards) / (rewards.var(dim=-1, keepdim=True) + 1e-4) if divide else centered(rewards)


@wrong("15.9", "multiplied")
def multiplies_by_the_spread(rewards, divide=True):
    return centered(rewards) * spread(rewards) if divide else centered(rewards)


@wrong("15.9", "leave-one-out")
def takes_the_mean_of_the_others(rewards, divide=True):
    better = rewards - right.leave_one_out(rewards)
    return better / spread(rewards) if divide else better


@wrong("15.9", "mean-stays")
def forgets_the_mean(rewards, divide=True):
    return rewards / spread(rewards) if divide else rewards


@wrong("15.9", "mean-late")
def takes_the_mean_after_dividing(rewards, divide=True):
    mean = rewards.mean(dim=-1, keepdim=True)
    return rewards / spread(rewards) - mean if divide else rewards - mean


@wrong("15.9", "range")
def divides_by_the_range(rewards, divide=True):
    width = rewards.amax(-1, keepdim=True) - rewards.amin(-1, keepdim=True) + 1e-4
    return centered(rewards) / width if divide else centered(rewards)


@wrong("15.9", "absolute")
def divides_by_the_mean_distance(rewards, divide=True):
    better = centered(rewards)
    return better / (better.abs().mean(-1, keepdim=True) + 1e-4) if divide else better


@wrong("15.9", "by-the-mean")
def divides_by_the_mean(rewards, divide=True):
    return centered(rewards) / (rewards.mean(-1, keepdim=True) + 1e-4) if divide else centered(rewards)


@wrong("15.9", "length")
def divides_by_the_length(rewards, divide=True):
    better = centered(rewards)
    return better / (better.norm(dim=-1, keepdim=True) + 1e-4) if divide else better


@wrong("15.9", "root-of-n")
def divides_by_the_standard_error(rewards, divide=True):
    error = rewards.std(dim=-1, keepdim=True) / rewards.shape[-1] ** 0.5
    return centered(rewards) / (error + 1e-4) if divide else centered(rewards)


@wrong("15.9", "median")
def takes_the_median(rewards, divide=True):
    better = rewards - rewards.median(-1, keepdim=True).values
    return better / spread(rewards) if divide else better


@wrong("15.9", "sign")
def takes_rewards_from_the_mean(rewards, divide=True):
    return -right.advantages(rewards, divide)


@wrong("15.9", "axis")
def forgets_keepdim_of_mean_and_spread(rewards, divide=True):
    better = rewards - rewards.mean(-1)
    return better / (rewards.std(-1) + 1e-4) if divide else better


@wrong("15.9", "left-out")
def leaves_out_groups_that_are_all_alike(rewards, divide=True):
    told_apart = rewards[rewards.amax(-1) > rewards.amin(-1)]
    return right.advantages(told_apart, divide) if len(told_apart) else told_apart


@wrong("15.9", "shape")
def returns_one_row_of_all(rewards, divide=True):
    return right.advantages(rewards, divide).flatten()


@wrong("15.9", "changes-input")
def subtracts_in_place(rewards, divide=True):
    scale = spread(rewards)
    rewards -= rewards.mean(dim=-1, keepdim=True)
    return rewards / scale if divide else rewards


# --- 15.10 clipped_objective


def ratio_of(logprobs, old):
    return (logprobs - old).exp()


@wrong("15.10", "maximum")
def takes_the_larger(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    return answers_mean(torch.maximum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth), mask, per)


@wrong("15.10", "no-minimum")
def clips_in_any_case(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return answers_mean(ratio_of(logprobs, old).clamp(1 - clip, 1 + clip) * advantages[:, None], mask, per)


@wrong("15.10", "no-clip")
def never_clips(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return answers_mean(ratio_of(logprobs, old) * advantages[:, None], mask, per)


@wrong("15.10", "one-sided")
def clips_above_alone(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    return answers_mean(torch.minimum(ratio * worth, ratio.clamp(max=1 + clip) * worth), mask, per)


@wrong("15.10", "one-sided")
def clips_below_alone(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    return answers_mean(torch.minimum(ratio * worth, ratio.clamp(min=1 - clip) * worth), mask, per)


@wrong("15.10", "ratios-compared")
def takes_the_smaller_ratio(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio = ratio_of(logprobs, old)
    return answers_mean(torch.minimum(ratio, ratio.clamp(1 - clip, 1 + clip)) * advantages[:, None], mask, per)


@wrong("15.10", "ratios-compared")
def turns_it_around_for_bad_answers(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    plain, clipped = ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth
    values = torch.where(worth > 0, torch.minimum(plain, clipped), torch.maximum(plain, clipped))
    return answers_mean(values, mask, per)


@wrong("15.10", "clipped-again")
def clips_bad_answers_on_both_sides(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    values = torch.minimum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth)
    return answers_mean(torch.where(worth < 0, torch.maximum(values, 3 * worth), values), mask, per)


@wrong("15.10", "no-exponential")
def takes_the_difference_for_a_ratio(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = logprobs - old, advantages[:, None]
    return answers_mean(torch.minimum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth), mask, per)


@wrong("15.10", "quotient")
def divides_log_probabilities(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = logprobs / old, advantages[:, None]
    return answers_mean(torch.minimum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth), mask, per)


@wrong("15.10", "upside-down")
def has_the_ratio_upside_down(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return right.clipped_objective(old, logprobs, advantages, mask, clip, per)


@wrong("15.10", "sign")
def returns_a_loss(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return -right.clipped_objective(logprobs, old, advantages, mask, clip, per)


@wrong("15.10", "across")
def leaves_advantages_as_they_are(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio = ratio_of(logprobs, old)
    return answers_mean(torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages), mask, per)


@wrong("15.10", "no-advantage")
def averages_the_advantages(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return right.clipped_objective(logprobs, old, advantages.mean().expand(len(logprobs)), mask, clip, per)


@wrong("15.10", "no-advantage")
def asks_the_sign_of_an_advantage(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return right.clipped_objective(logprobs, old, advantages.sign(), mask, clip, per)


@wrong("15.10", "no-advantage")
def forgets_the_advantages(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return right.clipped_objective(logprobs, old, torch.ones_like(advantages), mask, clip, per)


@wrong("15.10", "per-ignored")
def averages_answers_in_any_case(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return right.clipped_objective(logprobs, old, advantages, mask, clip)


@wrong("15.10", "per-ignored")
def weighs_tokens_alike_in_any_case(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return right.clipped_objective(logprobs, old, advantages, mask, clip, "token")


@wrong("15.10", "per-ignored")
def knows_no_number_for_per(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return right.clipped_objective(logprobs, old, advantages, mask, clip, "answer" if per == "answer" else "token")


@wrong("15.10", "defaults")
def weighs_tokens_alike_by_default(logprobs, old, advantages, mask, clip=0.2, per="token"):
    return right.clipped_objective(logprobs, old, advantages, mask, clip, per)


@wrong("15.10", "clip-fixed")
def knows_one_clip(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return right.clipped_objective(logprobs, old, advantages, mask, 0.2, per)


@wrong("15.10", "defaults")
def has_a_clip_of_its_own(logprobs, old, advantages, mask, clip=0.1, per="answer"):
    return right.clipped_objective(logprobs, old, advantages, mask, clip, per)


@wrong("15.10", "around-zero")
def clips_about_zero(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    return answers_mean(torch.minimum(ratio * worth, ratio.clamp(-clip, clip) * worth), mask, per)


@wrong("15.10", "logarithms-clipped")
def clips_logarithms(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    change, worth = logprobs - old, advantages[:, None]
    return answers_mean(torch.minimum(change.exp() * worth, change.clamp(-clip, clip).exp() * worth), mask, per)


@wrong("15.10", "other-border")
def clips_as_far_down_as_up(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    return answers_mean(torch.minimum(ratio * worth, ratio.clamp(1 / (1 + clip), 1 + clip) * worth), mask, per)


@wrong("15.10", "product-clipped")
def clips_the_product(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    values = ratio_of(logprobs, old) * advantages[:, None]
    return answers_mean(torch.minimum(values, values.clamp(1 - clip, 1 + clip)), mask, per)


@wrong("15.10", "advantages-clipped")
def clips_advantages(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    return answers_mean(torch.minimum(ratio * worth, ratio * worth.clamp(1 - clip, 1 + clip)), mask, per)


@wrong("15.10", "whole-answers")
def has_a_ratio_for_each_answer(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ((logprobs - old) * mask).sum(1, keepdim=True).exp(), advantages[:, None]
    values = torch.minimum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth)
    return answers_mean(values.expand_as(mask), mask, per)


@wrong("15.10", "mask-ignored")
def averages_over_all_positions(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    return torch.minimum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth).mean()


@wrong("15.10", "mask-ignored")
def counts_the_padding(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return right.clipped_objective(logprobs, old, advantages, torch.ones_like(mask), clip, per)


@wrong("15.10", "not-averaged")
def returns_a_number_for_each_token(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    return torch.minimum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth) * mask


@wrong("15.10", "one-number")
def returns_a_number_for_each_answer(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    values = torch.minimum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth) * mask
    return values.sum(1) / mask.sum(1)


@wrong("15.10", "probabilities")
def takes_differences_of_probabilities(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = 1 + logprobs.exp() - old.exp(), advantages[:, None]
    return answers_mean(torch.minimum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth), mask, per)


@wrong("15.10", "gradients")
def detaches_the_ratio(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    return right.clipped_objective(logprobs.detach(), old, advantages, mask, clip, per)


@wrong("15.10", "gradients")
def clips_without_stopping_the_gradient(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    clipped = ratio + (ratio.clamp(1 - clip, 1 + clip) - ratio).detach()
    return answers_mean(torch.minimum(ratio * worth, clipped * worth), mask, per)


@wrong("15.10", "gradients")
def detaches_what_is_not_clipped(logprobs, old, advantages, mask, clip=0.2, per="answer"):
    ratio, worth = ratio_of(logprobs, old), advantages[:, None]
    return answers_mean(torch.minimum(ratio.detach() * worth, ratio.clamp(1 - clip, 1 + clip) * worth), mask, per)


# --- 15.11 kl_estimates


@wrong("15.11", "directions")
def exchanges_policy_and_reference_in_all(logprobs, reference):
    return right.kl_estimates(reference, logprobs)


@wrong("15.11", "directions")
def has_k1_the_wrong_way(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k1=reference - logprobs)


@wrong("15.11", "absolute")
def has_k1_without_its_sign(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k1=(reference - logprobs).abs())


@wrong("15.11", "absolute")
def cuts_k1_off_at_zero(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k1=(logprobs - reference).clamp(min=0))


@wrong("15.11", "weighted")
def weighs_k1_by_its_probability(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k1=logprobs.exp() * (logprobs - reference))


@wrong("15.11", "ratio")
def has_the_ratio_for_k1(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k1=(reference - logprobs).exp())


@wrong("15.11", "not-halved")
def forgets_the_half(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k2=(reference - logprobs) ** 2)


@wrong("15.11", "half-squared")
def halves_before_it_squares(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k2=((reference - logprobs) / 2) ** 2)


@wrong("15.11", "not-squared")
def halves_and_does_not_square(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k2=(logprobs - reference) / 2)


@wrong("15.11", "ratio-squared")
def squares_the_ratio(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k2=(reference - logprobs).exp() ** 2 / 2)


@wrong("15.11", "ratio-squared")
def squares_the_ratio_less_one(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k2=(reference - logprobs).expm1() ** 2 / 2)


@wrong("15.11", "k3-sign")
def adds_the_logarithm_in_k3(logprobs, reference):
    change = reference - logprobs
    return right.kl_estimates(logprobs, reference)._replace(k3=change.exp() - 1 + change)


@wrong("15.11", "k3-sign")
def has_minus_k3(logprobs, reference):
    estimates = right.kl_estimates(logprobs, reference)
    return estimates._replace(k3=-estimates.k3)


@wrong("15.11", "directions")
def has_k3_of_p_over_q(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k3=right.kl_estimates(reference, logprobs).k3)


@wrong("15.11", "directions")
def has_the_ratio_of_k3_upside_down(logprobs, reference):
    change = reference - logprobs
    return right.kl_estimates(logprobs, reference)._replace(k3=(-change).exp() - 1 - change)


@wrong("15.11", "no-one")
def forgets_the_one_in_k3(logprobs, reference):
    change = reference - logprobs
    return right.kl_estimates(logprobs, reference)._replace(k3=change.exp() - change)


@wrong("15.11", "no-logarithm")
def forgets_the_logarithm_in_k3(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._replace(k3=(reference - logprobs).exp() - 1)


@wrong("15.11", "no-exponential")
def takes_the_logarithm_for_the_ratio_in_k3(logprobs, reference):
    change = reference - logprobs
    return right.kl_estimates(logprobs, reference)._replace(k3=change - 1 - change)


@wrong("15.11", "quotient")
def takes_the_logarithm_again_in_k3(logprobs, reference):
    ratio = reference / logprobs
    return right.kl_estimates(logprobs, reference)._replace(k3=ratio - 1 - ratio.log())


@wrong("15.11", "quotient")
def divides_the_logarithms(logprobs, reference):
    ratio = reference / logprobs
    return KLEstimates(-ratio.log(), ratio.log() ** 2 / 2, ratio - 1 - ratio.log())


@wrong("15.11", "quotient")
def takes_what_it_gets_for_probabilities(logprobs, reference):
    ratio = reference.abs() / logprobs.abs()
    return KLEstimates(-ratio.log(), ratio.log() ** 2 / 2, ratio - 1 - ratio.log())


@wrong("15.11", "order")
def exchanges_k2_and_k3(logprobs, reference):
    k1, k2, k3 = right.kl_estimates(logprobs, reference)
    return KLEstimates(k1, k3, k2)


@wrong("15.11", "order")
def begins_with_k3(logprobs, reference):
    return KLEstimates(*right.kl_estimates(logprobs, reference)[::-1])


@wrong("15.11", "averaged")
def averages_over_tokens(logprobs, reference):
    return KLEstimates(*(each.mean() for each in right.kl_estimates(logprobs, reference)))


@wrong("15.11", "shape")
def adds_tokens_up(logprobs, reference):
    return KLEstimates(*(each.sum(-1) for each in right.kl_estimates(logprobs, reference)))


@wrong("15.11", "form")
def returns_k3_alone(logprobs, reference):
    return right.kl_estimates(logprobs, reference).k3


@wrong("15.11", "form")
def returns_one_tensor_of_three(logprobs, reference):
    return torch.stack(right.kl_estimates(logprobs, reference))


@wrong("15.11", "form")
def returns_a_dictionary(logprobs, reference):
    return right.kl_estimates(logprobs, reference)._asdict()


@wrong("15.11", "form")
def returns_a_tuple_without_names(logprobs, reference):
    return tuple(right.kl_estimates(logprobs, reference))


@wrong("15.11", "base")
def counts_estimates_in_bits(logprobs, reference):
    change = (reference - logprobs) / math.log(2)
    return KLEstimates(-change, change**2 / 2, 2**change - 1 - change)


@wrong("15.11", "gradients")
def detaches_the_estimates(logprobs, reference):
    return KLEstimates(*(each.detach() for each in right.kl_estimates(logprobs, reference)))


@wrong("15.11", "gradients")
def detaches_the_ratio_of_k3(logprobs, reference):
    change = reference - logprobs
    return right.kl_estimates(logprobs, reference)._replace(k3=change.exp().detach() - 1 - change)
