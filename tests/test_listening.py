"""`course.instructions.recording`: what a run begins from, what is kept of it, and that nothing is run twice.

Every experiment is made once, with a few steps and a few orders.
"""

import json
from dataclasses import replace

import pytest

from course.__main__ import main
from course.alignment.pairs import PairSettings
from course.instructions import experiments, recording, tuning
from course.instructions.judge import exact_score, judge
from helpers.errors import CourseError

FEW = (tuning.Stage(2, (tuning.Part(1, 4), tuning.Part(None, 1, 0.5))),)
SHORT = replace(experiments.GRPO, steps=2, orders=2, group=2, max_new_tokens=20)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Runs of seconds, kept in a folder of the test."""
    monkeypatch.setattr(recording, "data_folder", lambda: tmp_path / "data")
    monkeypatch.setattr(recording, "runs_folder", lambda: tmp_path / "runs")
    whole = recording.load
    some = {"train": slice(0, 300), "seen": slice(300, 340)}
    monkeypatch.setattr(recording, "load", lambda split: whole(split)[some.get(split, slice(0, 40))])
    tested = recording._tested
    monkeypatch.setattr(recording, "_tested", lambda: tested()[:2])
    monkeypatch.setattr(tuning, "tune", lambda *given, tune=tuning.tune, **options: tune(*given, FEW, **options))
    monkeypatch.setattr(experiments, "SEEDS", (0, 1))
    monkeypatch.setattr(experiments, "PAIRS_ORDERS", 4)
    monkeypatch.setattr(experiments, "FRESH_ORDERS", 3)
    monkeypatch.setattr(experiments, "PAIRS_GROUP", 2)
    monkeypatch.setattr(experiments, "REWARDED", PairSettings(batch=2))
    for name, settings in experiments.DPO.items():
        monkeypatch.setitem(experiments.DPO, name, replace(settings, epochs=1, batch=2))
    for variants in experiments.REWARDS.values():
        for name, reward in variants.items():
            settings = replace(SHORT, beta=reward.settings.beta)
            monkeypatch.setitem(variants, name, reward._replace(settings=settings))
    return tmp_path


def test_a_run_is_made_once_and_kept_under_its_name_and_seed(small, capsys):
    asked = ["listening", "tuning", "--workers", "1", "--only", "all weights, seed 1"]
    assert main(asked) == 0
    record = small / "data" / "recorded" / "instructions" / "tuning.jsonl"
    (row,) = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    assert (row["name"], row["seed"], row["steps"], row["learned"]) == ("all weights", 1, 2, row["parameters"])
    assert {"seen", "unseen_combinations", "unseen_paraphrases", "greedy", "questions", "judge_errors"} <= row.keys()
    then = record.read_bytes()
    assert main(asked) == 0 and record.read_bytes() == then
    capsys.readouterr()
    assert main(["listening", "tuning", "--list"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert sum("to be run" in line for line in said) == len(experiments.runs("tuning")) - 1


def test_adapters_learn_less_and_are_gone_from_what_is_kept(small):
    row = recording.run(("tuning", "LoRA rank 8", 0))
    assert row["learned"] < row["parameters"]
    kept = recording.Storyteller.load(recording._weights("LoRA rank 8", 0))
    assert kept.model.parameter_count() == row["parameters"]


def test_a_listener_is_tuned_where_it_is_not_there_and_then_read(small, monkeypatch):
    first = recording.listener(1).model.state_dict()
    monkeypatch.setattr(tuning, "tune", None)  # may not be called again
    again = recording.listener(1).model.state_dict()
    assert all((first[name] == again[name]).all() for name in first)


@pytest.mark.parametrize("experiment", experiments.REWARDS)
def test_a_run_with_a_reward_says_what_became_of_it(small, experiment):
    for name in experiments.REWARDS[experiment]:
        row = recording.run((experiment, name, 0))
        assert len(row["steps"]) == 2 and row["before"]["orders"] == row["after"]["orders"] == 2
        assert {"reward", "exact", "keywords", "slips", "kl_answer"} <= row["steps"][0].keys()
        assert row["told"] and row["settings"]["seed"] == 0
        scored = {"keywords": "keywords"}.get(name)
        if scored:
            assert [step["reward"] for step in row["steps"]] == [step[scored] for step in row["steps"]]


def test_pairs_are_made_once_for_each_seed_and_none_is_learned_and_tested(small, monkeypatch):
    known, fresh = recording.pairs_of(0)
    assert known and fresh and not {tuple(pair.prompt) for pair in known} & {tuple(pair.prompt) for pair in fresh}
    monkeypatch.setattr(recording.preferences, "make_pairs", None)
    assert recording.pairs_of(0) == (known, fresh)
    row = recording.run(("reward-models", "40 pairs", 0))
    assert row["pairs"] == len(known) and row["fresh"] == len(fresh) and 0 <= row["right"] <= 1
    row = recording.run(("dpo", "beta 0.5", 0))
    assert row["beta"] == 0.5 and row["kl_answer"] >= 0 and len(row["steps"]) == -(-len(known) // 2)


def test_an_unknown_experiment_is_refused_with_those_that_there_are():
    with pytest.raises(CourseError, match="tuning, reward-models, dpo, grpo, hacked, mended"):
        recording.recorded("gpro")


def test_a_reward_takes_a_tenth_for_each_slip_and_at_most_half():
    row = recording.load("seen")[0]
    story, demands = row["text"], row["demands"]
    assert exact_score(demands, story) == 1
    spoiled = story + " The end is near. The end is here."
    verdict = judge(demands, spoiled)
    assert verdict.reading.slips == 2 and exact_score(demands, spoiled) == pytest.approx(verdict.share - 0.2)
    assert exact_score(demands, "Blue. " * 40) == -0.5


def test_hard_orders_ask_for_what_is_not_copied():
    hard = recording.orders_to_learn_from(hard=True)
    assert len(hard) > experiments.PAIRS_ORDERS + experiments.FRESH_ORDERS
    assert all(len(row["demands"]) == 3 and {"plot", "ending"} & row["demands"].keys() for row in hard)
    assert not any(row["question"] for row in hard) and len(hard) < len(recording.orders_to_learn_from())
