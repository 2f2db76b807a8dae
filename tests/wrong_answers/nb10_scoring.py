"""Wrong repairs of notebook 10's patients of scoring, precision, resuming and telling, and of Dan.

Most are one of the course's organs with a line or two changed, so they are written as that change.
"""

import inspect
import sys
import textwrap

from course.clinic import hard, healthier, healthy, precision, scoring, telling
from tests.wrong_answers import wrong


def changed(organ, name: str, *changes: tuple[str, str]):
    """The organ with pieces of its text replaced, each of which must be there."""
    text = textwrap.dedent(inspect.getsource(organ))
    for old, new in changes:
        assert old in text, (organ.__name__, old)
        text = text.replace(old, new)
    scope = dict(vars(sys.modules[organ.__module__]))
    exec(compile(text, f"<{name}>", "exec"), scope)
    made = scope[organ.__name__]
    made.__name__ = name
    return made


def plant(number: str, organ, *mistakes: tuple) -> None:
    """Mistakes are (slug, name, (old text, new text), ...)."""
    for slug, name, *changes in mistakes:
        made = wrong(number, slug)(changed(organ, name, *changes))
        made.__module__, globals()[name] = __name__, made  # so that a notebook can import it


# --- 10.35 Uma, 10.37 Wim

plant(
    "10.35", healthy.evaluate,
    ("still-drops", "evaluates_once_it_is_over",
     ("    model.eval()\n", ""), ("    return", "    model.eval()\n    return")),
    ("still-drops", "switches_gradients_only", ("    model.eval()\n", "    torch.set_grad_enabled(False)\n")),
    ("still-drops", "asks_for_the_mode", ("model.eval()", "model.training")),
    ("still-drops", "switches_to_training", ("model.eval()", "model.train()")),
    ("dropout-removed", "sets_p_to_zero", ("model.eval()", "for m in model.modules():\n        m.p = 0.0")),
    ("mean-of-means", "averages_batches", (".item() * asked", ".item()"), ("tokens += asked", "tokens += 1")),
    ("not-divided", "adds_up", ("return total / tokens", "return total")),
)  # fmt: skip
plant(
    "10.37", healthy.evaluate,
    ("mean-of-means", "weights_with_one", ("asked = int((targets != -100).sum())", "asked = 1")),
    ("padding-weighs", "counts_padding", ("int((targets != -100).sum())", "targets.numel()")),
    ("rows-weigh", "counts_stories", ("int((targets != -100).sum())", "len(targets)")),
    ("not-divided", "forgets_to_divide", ("return total / tokens", "return total")),
    ("wrong-score", "divides_sums_by_batches", ("return total / tokens", "return total / count")),
    ("wrong-score", "scores_in_training", ("model.eval()", "model.train()")),
    ("not-all-batches", "leaves_out_the_last", ("range(count)", "range(count - 1)")),
)  # fmt: skip

# --- 10.36 Vera

plant(
    "10.36", healthier.split,
    ("still-leaks", "cuts_at_another_place", ("shuffled[cut:]", "shuffled[cut - 4 :]")),
    ("still-leaks", "validates_on_the_beginning", ("shuffled[cut:]", "shuffled[: len(stories) - cut]")),
    ("sizes", "loses_some", ("shuffled[:cut]", "shuffled[: cut - 4]")),
    ("not-the-same-again", "draws_anew_each_time", ("random.Random(seed)", "random.Random()")),
    ("seed-ignored", "always_the_same", ("random.Random(seed)", "random.Random(0)")),
    ("sizes", "half_and_half", ("* 9 // 10", "// 2")),
    ("in-order", "takes_a_piece", ("chance.sample(stories, len(stories))",
                                   "(lambda k: stories[k:] + stories[:k])(chance.randrange(10) * 4)")),
)  # fmt: skip
plant(
    "10.36", healthier.split,
    ("few-divisions", "takes_every_tenth",
     ("    training = shuffled[:cut]\n", ""),
     ("    validation = shuffled[cut:]\n",
      "    validation = stories[seed % 10 :: 10]\n    training = [s for s in stories if s not in validation]\n")),
)  # fmt: skip
plant(
    "10.36", scoring.vera_split,
    ("sizes", "leaves_out_what_is_in_both",
     ("    return training, validation", "    return training, [s for s in validation if s not in training]")),
    ("still-leaks", "the_same_seed_for_two_draws",
     ("    validation = chance", "    validation = random.Random(seed + 1)")),
)  # fmt: skip

# --- 10.38 Xena

plant(
    "10.38", scoring.xena_share,
    ("same-batch", "seeds_another_generator", ("torch.manual_seed(seed + rank)", "random.seed(seed + rank)")),
    ("seed-ignored", "multiplies_seed_and_rank", ("random.Random(seed)", "random.Random(seed * rank)")),
    ("seed-ignored", "draws_with_the_rank_alone", ("random.Random(seed)", "random.Random(rank)")),
    ("one-behind", "skips_some_batches",
     ("    while True:\n",
      "    order = shuffled.sample(stories, len(stories))[rank * batch_size :]\n    while True:\n")),
    ("same-stories", "turns_rows_round",
     ("rows = [[end, *story, end] for story in rows]", "rows = [[end, *story, end] for story in rows[:: -1 if rank "
     "else 1]]")),
    ("stories-left-out", "reads_a_part_of_the_stories",
     ("    shuffled",
      "    stories = stories[: len(stories) // processes * processes // 2][rank::processes]\n    shuffled")),
)  # fmt: skip
plant(
    "10.38", healthier.share,
    ("not-the-same-again", "draws_anew", ("random.Random(seed)", "random.Random()")),
)  # fmt: skip

# --- 10.39 Yan

plant(
    "10.39", healthier.train_in_parts,
    ("optimizer-lost", "saves_and_never_loads", ('        optimizer.load_state_dict(saved["optimizer"])\n', "")),
    ("optimizer-lost", "loads_groups_only",
     ('optimizer.load_state_dict(saved["optimizer"])',
      'optimizer.param_groups[0].update(lr=saved["optimizer"]["param_groups"][0]["lr"])')),
    ("optimizer-lost", "makes_the_optimizer_after_loading",
     ("    model.train()\n",
      "    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99))\n    model.train()\n")),
    ("first-step", "forgets_the_weights", ('        model.load_state_dict(saved["model"])\n', "")),
    ("first-step", "forgets_the_stories", ("            next(batches)\n", "            pass\n")),
    ("steps", "forgets_the_step", ('        done = saved["step"]\n', "")),
    ("another-training", "takes_no_moments", ("betas=(0.9, 0.99)", "betas=(0.0, 0.0)")),
    ("second-stop", "saves_only_the_first_time", ("    saved.update", "    if not saved:\n        saved.update")),
)  # fmt: skip

# --- 10.29 Tom

plant(
    "10.29", precision.tom_train,
    ("still-scaled", "clips_at_the_scale", ("parameters(), 1.0)", "parameters(), scaler.get_scale())")),
    ("still-scaled", "unscales_afterwards",
     ("        scaler.step", "        scaler.unscale_(optimizer)\n        scaler.step")),
    ("not-clipped", "clips_no_more",
     ("nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
      "sum(p.grad.pow(2).sum() for p in model.parameters()) ** 0.5 / scaler.get_scale()")),
)  # fmt: skip
plant(
    "10.29", healthier.train_in_half,
    ("unscaled-twice", "divides_by_hand_as_well",
     ("        norm "
     "=", "        for p in model.parameters():\n            p.grad /= scaler.get_scale()\n        norm =")),
    ("another-limit", "clips_at_a_tenth", ("parameters(), 1.0)", "parameters(), 0.1)")),
    ("no-scaler", "does_without", ('GradScaler("cpu", init_scale=2.0**16)', 'GradScaler("cpu", enabled=False)')),
    ("overflow-kept", "steps_itself", ("scaler.step(optimizer)", "optimizer.step()")),
    ("hardly-moves", "divides_after_clipping",
     ("        "
     "scaler.step", "        for p in model.parameters():\n            p.grad /= 2.0**32\n        scaler.step")),
)  # fmt: skip

# --- 10.41 Zoe

plant(
    "10.41", telling.ZoeCache,
    ("position", "steps_back_too_far", ("torch.tensor([self.length])", "torch.tensor([self.length - 2])")),
    ("several", "more_than_one_is_a_prompt", ("torch.tensor([self.length])", "torch.tensor([self.length - 1])")),
    ("still-one-off", "counts_from_the_keys",
     ("torch.tensor([self.length])", "torch.tensor([self.layers[0].keys.shape[2] + 1])")),
)  # fmt: skip
plant(
    "10.41", healthier.Cache,
    ("position", "never_counts", ("self.length += len(ids)", "pass")),
    ("single", "takes_a_single_one_for_a_later_one",
     ("self.length + torch.arange", "(self.length or int(ids.shape[1] == 1)) + torch.arange")),
    ("prompt", "begins_at_one", ("self.length = 0", "self.length = 1")),
    ("position", "counts_the_prompt_twice", ("self.length += len(ids)", "self.length += 2 * len(ids)")),
    ("shared", "one_length_for_all",
     ("        self.length = 0\n", "        type(self).length = 0\n"),
     ("self.length += len(ids)", "type(self).length += len(ids)")),
)  # fmt: skip

# --- 10.42 Bea

plant(
    "10.42", telling.bea_pack,
    ("layout", "one_byte_with_a_sign", ("np.uint8", "np.int8")),
    ("signed", "two_bytes_with_a_sign", ("np.uint8", "np.int16")),
    ("too-small", "always_two_bytes", ("np.uint8", "np.uint16")),
    ("wasteful", "always_eight_bytes", ("np.uint8", "np.int64")),
    ("array", "floating_point", ("np.uint8", "np.float32")),
    ("depends-on-the-texts", "looks_at_the_largest",
     ("np.uint8 if array.min() >= 0 else np.int16", "np.uint16 if array.max() < 2**16 else np.uint32")),
    ("still-cut-off", "takes_the_rest", ("np.array(tokens)", "np.array(tokens) % 256"), ("np.uint8", "np.uint32")),
)  # fmt: skip

# --- 10.43 Cleo

RETIE = "    return model"
plant(
    "10.43", telling.cleo_load,
    ("copied-not-shared", "copies_the_embedding",
     (RETIE, "    model.head.weight.copy_(model.wte.weight)\n    return model")),
    ("copied-not-shared", "makes_another_parameter",
     (RETIE, '    model.head.weight = nn.Parameter(weights["wte.weight"].clone())\n    return model')),
    ("always-tied", "ties_every_model", (RETIE, "    model.head.weight = model.wte.weight\n    return model")),
    ("values", "ties_the_other_way_round", (RETIE, "    model.wte.weight = model.head.weight\n    return model")),
    ("no-model", "returns_the_names", (RETIE, "    return list(weights)")),
)  # fmt: skip
plant(
    "10.43", healthier.load,
    ("values", "adds_to_what_is_there", ("copy_(tensor)", "add_(tensor)")),
    ("file-changed", "shares_memory", ("known[name].copy_(tensor)", "known[name].data = tensor")),
    ("frozen", "needs_no_gradient", ("copy_(tensor)", "copy_(tensor).requires_grad_(False)")),
)  # fmt: skip

# --- 10.44 Dan

FETCH = "        inputs, targets = next(batches)\n"
CLEAR = "        optimizer.zero_grad()\n"
plant(
    "10.44", healthy.train,
    ("pile-up", "mends_the_batches_alone", (CLEAR, "")),
    ("one-batch", "mends_the_gradients_alone",
     (FETCH, ""), ("    model.train()\n", "    model.train()\n    inputs, targets = next(batches)\n")),
    ("no-learning", "clears_before_the_step", (CLEAR, ""), ("        norm "
    "=", "        optimizer.zero_grad(set_to_none=False)\n        norm =")),
    ("pile-up", "clears_once_in_the_beginning", (CLEAR, ""),
     ("    model.train()\n", "    model.train()\n    optimizer.zero_grad()\n")),
    ("batches", "fetches_twice", (FETCH, FETCH + FETCH)),
    ("norms", "clears_every_other_step", (CLEAR, "        if step % 2:\n            optimizer.zero_grad()\n")),
    ("norms", "changes_the_rate", ("* warm_up *", "* 0.5 *")),
)  # fmt: skip
plant(
    "10.44", hard.dan_train,
    ("one-batch", "fetches_into_another_name",
     ("        value = loss", "        new = next(batches)\n        optimizer.zero_grad()\n        value = loss")),
)  # fmt: skip
