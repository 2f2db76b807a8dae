"""Wrong repairs of the patients of notebook 10 whose batches, loss or training loop are ill.

Most are one of the course's organs with a line or two written otherwise: `changed` makes them from its text.
"""

import inspect

import torch.nn.functional as F

from course.clinic import data, learning, other_ways
from tests.wrong_answers import wrong


def changed(exercise: str, slug: str, name: str, organ, *lines: tuple[str, str]) -> None:
    """Plant `organ` under another name and with some pieces of its text replaced."""
    source = inspect.getsource(organ).replace(f"def {organ.__name__}(", f"def {name}(")
    for old, new in lines:
        assert source.count(old) == 1, f"{name}: {source.count(old)} times {old!r}"
        source = source.replace(old, new)
    scope = dict(vars(other_ways)) | {"F": F}
    exec(compile(source, f"<{name}>", "exec"), scope)
    scope[name].__module__, globals()[name] = __name__, scope[name]  # so that a notebook can import it
    wrong(exercise, slug)(scope[name])


# --- 10.4 Bruno

TARGETS = "stream[i + 1 : i + 1 + time]"
INPUTS = "stream[i : i + time]"
PLACES = "starts = [shuffled.randrange(len(stream) - time) for _ in range(batch_size)]\n"
changed("10.4", "targets-are-inputs", "still_copies_in_another_way", data.bruno_batches,
        ("targets = torch.stack([stream[i : i + time] for i in starts])", "targets = inputs.clone()"))  # fmt: skip
changed("10.4", "two-ahead", "looks_two_ahead", other_ways.windows, (TARGETS, "stream[i + 2 : i + 2 + time]"),
        ("len(stream) - time)", "len(stream) - time - 1)"))  # fmt: skip
changed("10.4", "looks-back", "shifts_the_inputs", other_ways.windows, (INPUTS, "stream[i + 1 : i + 1 + time]"),
        ("targets = torch.stack([stream[i + 1 : i + 1 + time]",
         "targets = torch.stack([stream[i : i + time]"))  # fmt: skip
changed("10.4", "last-target", "rolls_the_inputs", other_ways.windows,
        ("torch.stack([stream[i + 1 : i + 1 + time] for i in starts])", "inputs.roll(-1, dims=1)"))  # fmt: skip
changed("10.4", "past-the-end", "draws_one_place_too_many", other_ways.windows,
        ("len(stream) - time)", "len(stream) - time + 1)"))  # fmt: skip
changed("10.4", "always-the-same", "draws_the_places_once", other_ways.windows,
        (f"    while True:\n        {PLACES}", f"    {PLACES}    while True:\n"))  # fmt: skip
changed("10.4", "ends", "gives_one_batch", other_ways.windows, ("while True:", "for _ in range(1):"))
changed("10.4", "no-generator", "returns_a_batch", other_ways.windows,
        ("yield inputs, targets", "return inputs, targets"))  # fmt: skip
changed("10.4", "never-the-last", "stops_short_of_the_end", other_ways.windows,
        ("len(stream) - time)", "len(stream) - time - 2)"))  # fmt: skip
changed("10.4", "shapes", "shortens_the_targets_alone", other_ways.windows,
        (TARGETS, "stream[i + 1 : i + time]"))  # fmt: skip
changed("10.4", "not-a-window", "shuffles_the_tokens", other_ways.windows,
        ("time = 48\n", "time = 48\n    stream = stream[torch.randperm(len(stream))]\n"))  # fmt: skip


# --- 10.5 Carla


@wrong("10.5", "shifted")
def shifts_what_is_shifted(model, inputs, targets):
    logits = model(inputs)[:, :-1]
    return F.cross_entropy(logits.transpose(1, 2), targets[:, 1:])


@wrong("10.5", "other-way")
def shifts_back(model, inputs, targets):
    logits = model(inputs)[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), targets[:, :-1].flatten())


@wrong("10.5", "last-left-out")
def cuts_both_alike(model, inputs, targets):
    logits = model(inputs)[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), targets[:, :-1].flatten())


@wrong("10.5", "first-left-out")
def cuts_both_at_the_front(model, inputs, targets):
    logits = model(inputs)[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten())


@wrong("10.5", "sum")
def adds_up_the_loss(model, inputs, targets):
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="sum")


@wrong("10.5", "divided-by-all")
def divides_by_all_positions(model, inputs, targets):
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="sum") / targets.numel()


@wrong("10.5", "scalar")
def gives_every_loss(model, inputs, targets):
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="none")


@wrong("10.5", "no-gradient")
def loses_the_gradient(model, inputs, targets):
    return F.cross_entropy(model(inputs).detach().flatten(0, 1), targets.flatten())


@wrong("10.5", "raised")
def cuts_the_logits_alone(model, inputs, targets):
    return F.cross_entropy(model(inputs)[:, :-1].flatten(0, 1), targets.flatten())


# --- 10.6 Dora, 10.7 Emil

REAL = "[*story, end] + [-100] * missing"
changed("10.6", "padding-scored", "scores_padding_as_before", data.dora_batches,
        ("[*story, end] + [end] * missing", "[*story] + [end] * (missing + 1)"))  # fmt: skip
changed("10.6", "end-not-asked", "leaves_out_every_end", other_ways.padded_sequences,
        (REAL, "[*story] + [-100] * (missing + 1)"))  # fmt: skip
changed("10.6", "some-padding-scored", "scores_one_too_many", other_ways.padded_sequences,
        (REAL, "[*story, end, end] + [-100] * (missing - 1)"))  # fmt: skip
changed("10.6", "shape", "fills_up_to_the_longest_alone", other_ways.padded_sequences,
        ("        inputs, targets = [], []\n        for story in shuffled.sample(stories, batch_size):\n"
         "            missing = 64 - len(story) - 1\n",
         "        inputs, targets = [], []\n        drawn = shuffled.sample(stories, batch_size)\n"
         "        for story in drawn:\n            missing = max(map(len, drawn)) - len(story)\n"))  # fmt: skip
changed("10.6", "inputs-ignored", "puts_the_mark_among_the_inputs", data.dora_batches,
        ("[end, *story] + [end] * missing", "[end, *story] + [-100] * missing"))  # fmt: skip
changed("10.6", "story", "leaves_out_the_first_word", other_ways.padded_sequences,
        (REAL, "[-100, *story[1:], end] + [-100] * missing"))  # fmt: skip
changed("10.6", "padding-scored", "takes_another_token", other_ways.padded_sequences, ("[-100]", "[1]"))
changed("10.6", "nothing-asked", "leaves_out_everything", other_ways.padded_sequences,
        (REAL, "[-100] * 64"))  # fmt: skip
changed("10.6", "shapes", "does_not_fill_up_the_targets", other_ways.padded_sequences,
        ("yield torch.tensor(inputs), torch.tensor(targets)",
         "yield torch.tensor(inputs), torch.tensor(targets)[:, :-1]"))  # fmt: skip

MARKED = "        for target, row in zip(targets, rows, strict=True):\n            target[len(row) - 1 :] = -100\n"
changed("10.7", "end-not-asked", "marks_every_end_as_before", data.emil_batches,
        ("targets[targets == end] = -100", "targets.masked_fill_(targets == end, -100)"))  # fmt: skip
changed("10.7", "padding-scored", "marks_nothing", other_ways.collated, (MARKED, ""))
changed("10.7", "end-not-asked", "marks_from_the_end_on", other_ways.collated,
        ("target[len(row) - 1 :]", "target[len(row) - 2 :]"))  # fmt: skip
changed("10.7", "some-padding-scored", "marks_one_too_few", other_ways.collated,
        ("target[len(row) - 1 :]", "target[len(row) :]"))  # fmt: skip
changed("10.7", "some-padding-scored", "marks_the_last_column", other_ways.collated, (MARKED, "        "
        "for target, row in zip(targets, rows, strict=True):\n            if len(row) < longest:\n"
        "                target[-1] = -100\n"))  # fmt: skip
changed("10.7", "story", "shifts_once_more", other_ways.collated,
        ("ids[:, :-1], ids[:, 1:].clone()", "ids[:, :-1], torch.cat([ids[:, 2:], ids[:, -1:]], dim=1)"))  # fmt: skip
changed("10.7", "inputs-ignored", "marks_the_inputs_as_well", other_ways.collated,
        ("target[len(row) - 1 :] = -100", "target[len(row) - 1 :] = -100\n        inputs = torch.where(targets < 0, "
         "-100, inputs)"))  # fmt: skip
changed("10.7", "end", "ends_with_another_token", other_ways.collated,
        ("= -100\n", "= -100\n            target[len(row) - 2] = 2\n"))  # fmt: skip


# --- 10.24 Nils

CLEAR, BACK = "        optimizer.zero_grad()\n", "        value.backward()\n"
NORM = "        norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])\n"
changed("10.24", "adds-up", "clears_once_before_the_loop", learning.nils_train,
        ("    model.train()\n", "    model.train()\n    optimizer.zero_grad()\n"))  # fmt: skip
changed("10.24", "cleared-too-soon", "clears_before_the_step", other_ways.unclipped,
        (CLEAR, ""), (NORM, NORM + CLEAR))  # fmt: skip
changed("10.24", "adds-up", "turns_momentum_off", learning.nils_train, ("betas=(0.9, 0.95)", "betas=(0.0, 0.95)"))
changed("10.24", "norm", "divides_by_the_steps", learning.nils_train,
        (NORM, "        for p in model.parameters():\n            p.grad /= step + 1\n" + NORM))  # fmt: skip
changed("10.24", "norm", "clips_what_adds_up", learning.nils_train,
        (NORM, "        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"))  # fmt: skip
changed("10.24", "changed-more", "lowers_the_rate_too", other_ways.unclipped,
        ('group["lr"] = lr *', 'group["lr"] = 0.1 * lr *'))  # fmt: skip
changed("10.24", "norm", "clears_every_other_step", other_ways.unclipped,
        (CLEAR, "        if step % 2 == 0:\n            optimizer.zero_grad()\n"))  # fmt: skip
changed("10.24", "changed-more", "makes_the_optimizer_anew", other_ways.unclipped,
        (CLEAR, "        optimizer = torch.optim.AdamW(model.parameters(), lr=group['lr'], betas=(0.9, 0.95), "
         "weight_decay=0.1)\n        model.zero_grad()\n"))  # fmt: skip
changed("10.24", "steps", "stops_early", other_ways.unclipped, ("range(steps)", "range(steps // 2)"))

# --- 10.25 Olga

DIVIDED = "(value / accumulate).backward()"
STEP = "        optimizer.step()\n"
LIMIT = "model.parameters(), 1.0)"
changed("10.25", "sum", "divides_the_rate", learning.olga_train, ('group["lr"] = lr *', 'group["lr"] = lr / 4 *'))
changed("10.25", "sum", "raises_the_limit", learning.olga_train, (LIMIT, "model.parameters(), 4.0)"))
changed("10.25", "sum", "divides_after_the_norm", learning.olga_train,
        (STEP, "        for p in model.parameters():\n            p.grad /= accumulate\n" + STEP))  # fmt: skip
changed("10.25", "reported-loss", "divides_the_report_as_well", other_ways.accumulating,
        (DIVIDED, "value = value / accumulate\n            value.backward()"))  # fmt: skip
changed("10.25", "last-alone", "clears_every_batch", other_ways.accumulating,
        ("            inputs, targets = next(batches)\n",
         "            optimizer.zero_grad()\n            inputs, targets = next(batches)\n"))  # fmt: skip
changed("10.25", "too-small", "divides_twice", other_ways.accumulating,
        (DIVIDED, "(value / accumulate**2).backward()"))  # fmt: skip
changed("10.25", "norm", "divides_by_the_batch", other_ways.accumulating,
        (DIVIDED, "(value / len(inputs)).backward()"))  # fmt: skip
changed("10.25", "changed-more", "does_not_clip", other_ways.accumulating, (LIMIT, "model.parameters(), 1e9)"))
changed("10.25", "batches", "takes_one_batch", other_ways.accumulating, ("accumulate = 4", "accumulate = 1"))

# --- 10.26 Paul

MADE = "    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=0.1)\n"
TABLE = "    nn.init.normal_(model.wte.weight, std=0.02)\n"
TIED = "    model.head.weight = model.wte.weight\n"
NEW = "    model.wte = nn.Embedding(model.config.vocab_size, model.config.d_model)\n"
changed("10.26", "table-stands-still", "clears_by_the_model_alone", learning.paul_train,
        ("model.zero_grad()", "model.zero_grad(set_to_none=True)"))  # fmt: skip
changed("10.26", "old-table", "leaves_out_the_new_table", other_ways.new_table, (NEW + TABLE + TIED, ""))
changed("10.26", "untied", "forgets_the_head", other_ways.new_table, (TIED, ""))
changed("10.26", "table-size", "forgets_the_deviation", other_ways.new_table, (TABLE, ""))
changed("10.26", "others-stand-still", "trains_the_table_alone", other_ways.new_table,
        (MADE, MADE.replace("model.parameters()", "[model.wte.weight]")))  # fmt: skip
changed("10.26", "new-every-step", "makes_the_optimizer_every_step", other_ways.new_table,
        ("        model.zero_grad()\n", "        rate = group['lr']\n    " + MADE.replace("lr=lr", "lr=rate")
         + "        model.zero_grad()\n"))  # fmt: skip
changed("10.26", "changed-more", "raises_the_rate", other_ways.new_table, ("lr * min(", "10 * lr * min("))
changed("10.26", "table-stands-still", "makes_the_table_after_the_optimizer", other_ways.new_table,
        (MADE, ""), (TIED, MADE + NEW + TABLE + TIED))  # fmt: skip
changed("10.26", "steps", "takes_a_step_too_few", other_ways.new_table, ("in range(steps)", "in range(1, steps)"))

# --- 10.27 Rosa

RATE = "lr * min(step / warm_up, (warm_up / step) ** 0.5)"
FORMULA = "model.config.d_model**-0.5 * min(step**-0.5, step * warm_up**-1.5)"
changed("10.27", "too-low", "multiplies_by_the_rate", learning.rosa_train, (FORMULA, "lr * " + FORMULA))
changed("10.27", "too-high", "divides_by_ten", learning.rosa_train, (FORMULA, FORMULA + " / 10"))
changed("10.27", "too-low", "warms_up_for_long", learning.rosa_train, ("warm_up = 10", "warm_up = 4000"))
changed("10.27", "no-warm-up", "forgets_the_warm_up", other_ways.inverse_root, (RATE, "lr * (1 / step) ** 0.5"))
changed("10.27", "never-falls", "stays_at_the_top", other_ways.inverse_root, ("(warm_up / step) ** 0.5", "1.0"))
changed("10.27", "too-high", "takes_the_larger", other_ways.inverse_root, ("min(step", "max(step"))
changed("10.27", "too-low", "writes_the_rate_of_another_run", other_ways.inverse_root, ("lr * min(", "1e-4 * min("))
changed("10.27", "falls-away", "falls_to_zero", other_ways.inverse_root,
        (RATE, "lr * min(step / warm_up, (steps - step) / (steps - warm_up))"))  # fmt: skip
changed("10.27", "stands-still", "takes_whole_parts", other_ways.inverse_root, (RATE, "lr * (step // 1000)"))
changed("10.27", "warm-up", "warms_up_too_slowly", other_ways.inverse_root, ("warm_up = 10", "warm_up = 30"))

# --- 10.28 Sven

COPY = "        trial = copy.deepcopy(model)\n"
changed("10.28", "goes-on", "turns_the_order_round", learning.sven_train,
        ("(4 * lr, lr, lr / 4, lr / 10)", "(lr / 10, lr / 4, lr, 4 * lr)"))  # fmt: skip
changed("10.28", "starts-trained", "gives_it_a_second_name", other_ways.searching, (COPY, "        trial = model\n"))
changed("10.28", "starts-trained", "keeps_no_copy_of_the_weights", other_ways.searching,
        ("    found = {}\n", "    found, start = {}, model.state_dict()\n"),
        (COPY, "        trial = model\n        trial.load_state_dict(start)\n"))  # fmt: skip
changed("10.28", "choice", "takes_the_worst", other_ways.searching, ("best = min(", "best = max("))
changed("10.28", "no-search", "does_not_search", other_ways.searching, ("(4 * lr, lr, lr / 4, lr / 10)", "(lr,)"),
        ("learn(trial, rate, 15)", "learn(trial, rate, 5)"))  # fmt: skip
changed("10.28", "choice", "takes_the_first", other_ways.searching, ("min(found, key=found.get)", "next(iter(found))"))
changed("10.28", "stands-still", "trains_a_copy", other_ways.searching,
        ("learn(model, best, steps)", "learn(copy.deepcopy(model), best, steps)"))  # fmt: skip
changed("10.28", "beginnings", "tries_two_rates", other_ways.searching, ("lr, lr / 4, lr / 10)", "lr)"))
changed("10.28", "starts-trained", "goes_on_with_the_last_trial", other_ways.searching,
        ("    best = min", "    model.load_state_dict(trial.state_dict())\n    best = min"))  # fmt: skip

# --- 10.30 Quin

COUNT = "        done += 1\n"
changed("10.30", "warm-up", "mends_the_cosine_alone", learning.quin_train, ("done / steps", "done / (4 * steps)"))
changed("10.30", "runs-out", "mends_the_warm_up_alone", learning.quin_train, ("(done + 1) / 10", "(done + 1) / 40"))
changed("10.30", "never-falls", "counts_to_ten", other_ways.scheduled, ("done += 1", "done = min(10, done + 1)"))
changed("10.30", "warm-up", "never_counts", other_ways.scheduled, (COUNT, ""), ("(done + 1) / 10", "1.0"))
changed("10.30", "batches", "takes_one_batch_a_step", other_ways.scheduled, ("range(4)", "range(1)"))
changed("10.30", "never-falls", "counts_every_fourth_step", learning.quin_train, ("done += 1", "done += 1 / 16"),
        ("(done + 1) / 10", "(4 * done + 1) / 10"))  # fmt: skip
changed("10.30", "steps", "stops_early", learning.quin_train, ("for _ in range(steps):", "while done < steps:"))
changed("10.30", "schedule", "falls_in_a_line", other_ways.scheduled,
        ("0.5 + 0.5 * math.cos(math.pi * min(1.0, done / steps))", "1 - done / steps"))  # fmt: skip
changed("10.30", "too-high", "raises_the_rate_for_it", other_ways.scheduled, ("lr * min(", "4 * lr * min("))
changed("10.30", "norm", "does_not_divide_any_more", other_ways.scheduled, ("inputs, targets) / 4", "inputs, targets)"))
