"""Time to a loss: the arithmetic by hand, and what it says of the recipes that were chosen by it."""

import math

import pytest

from course.bench import time_to_loss
from course.bench.planning import training_flops_per_token
from course.recipes import get_recipe
from helpers.model import GPTConfig

THIN = GPTConfig(4096, 512, n_layer=12, n_head=6, d_model=384)


def test_the_band_goes_through_what_was_published():
    assert time_to_loss.expected_loss(40_960_000) == pytest.approx((1.80, 2.00))
    low, high = time_to_loss.expected_loss(327_680_000)
    assert high == pytest.approx(1.45) and low == pytest.approx(1.45 * 1.80 / 2.00)
    # Eight times the tokens take the loss from 2.00 to 1.45: twice the tokens take a third of that way in logarithms.
    assert time_to_loss.expected_loss(81_920_000)[1] == pytest.approx(2.00 * (1.45 / 2.00) ** (1 / 3))


def test_tokens_for_a_loss_undo_the_band():
    few, many = time_to_loss.tokens_for(1.45)
    assert many == pytest.approx(327_680_000)
    assert time_to_loss.expected_loss(few)[0] == pytest.approx(1.45)
    # Shorter tokens: more of them for the same text, and the same loss of it.
    shorter = time_to_loss.tokens_for(1.45, bytes_per_token=2.09)[1]
    assert shorter == pytest.approx(327_680_000 * 4.18 / 2.09, rel=2e-3)
    assert time_to_loss.expected_loss(shorter, 2.09)[1] == pytest.approx(1.45)


def test_a_loss_per_token_is_one_per_byte():
    assert time_to_loss.bits_per_byte(1.45) == pytest.approx(0.50)
    assert time_to_loss.bits_per_byte(2.00) == pytest.approx(0.69, abs=0.005)  # as the course's notes have it
    assert time_to_loss.BYTES_PER_TOKEN["CS336"] == pytest.approx(4.18, abs=0.005)
    # One bit for each byte of a token that has four bytes.
    assert time_to_loss.bits_per_byte(4 * math.log(2), bytes_per_token=4) == pytest.approx(1)


def test_minutes_by_hand():
    # A block of width 384 has 12 * 384 * 384 weights; six operations for each, and for the head's; attention's besides.
    per_token = 6 * (12 * 12 * 384**2 + 4096 * 384) + 12 * 12 * 384 * 512
    assert training_flops_per_token(THIN) == per_token
    minutes = time_to_loss.minutes_to(1.45, THIN, peak=50e12, mfu=0.5)
    assert minutes == pytest.approx(327_680_000 * per_token / 25e12 / 60)


def test_what_to_expect_minute_by_minute():
    one, two = time_to_loss.loss_by_minute(THIN, 65e12, (10, 20), mfus=(0.4, 0.25))
    flops = training_flops_per_token(THIN)
    assert one["tokens"] == pytest.approx((600 * 65e12 * 0.25 / flops, 600 * 65e12 * 0.4 / flops))
    assert two["tokens"] == pytest.approx([2 * count for count in one["tokens"]])
    assert one["nats"][1] == pytest.approx(time_to_loss.expected_loss(one["tokens"][0])[1])
    assert one["nats"][0] == pytest.approx(time_to_loss.expected_loss(one["tokens"][1])[0])
    assert one["nats"][0] < one["nats"][1] and two["nats"][1] < one["nats"][1]
    assert two["bits_per_byte"][0] == pytest.approx(two["nats"][0] * 0.50 / 1.45)


@pytest.mark.parametrize("device", time_to_loss.DATA_SHEETS)
def test_the_recipes_are_the_fastest_model_that_is_large_enough(device):
    rows = time_to_loss.candidates(time_to_loss.DATA_SHEETS[device])
    enough = [row for row in rows if row["enough"]]
    best = min(enough, key=lambda row: row["minutes"])
    assert best["width"] == 384 and best["parameters"] == 21_233_664 and not rows[1]["enough"]
    for name in ("tinystories-t4", "tinystories-gpu"):
        recipe = get_recipe(name)
        assert (recipe.model["n_layer"], recipe.model["d_model"]) == (12, best["width"])
        assert recipe.tokenizer == "trained:4096" and recipe.model["context_length"] == 512
    if device == "T4":
        fast, slow = best["minutes"]
        assert fast < slow < 60  # an hour is enough
        hour = 3600 * 65e12 * time_to_loss.MFUS[0]  # and others are not fast enough, poorly run
        assert all(row["tokens"] * row["flops_per_token"] > hour for row in enough if row is not best)
