"""The runs of `course.instructions.experiments`, made once and kept in data/recorded/instructions/.

Each finished run is a line of EXPERIMENT.jsonl, written when it is known; what is recorded is not run again. Every run
has one thread, so that its numbers are the same however many cores there are. What later runs begin from, tuned models
and pairs of answers, is kept in runs/instructions/ and made again where it is missing.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path

import torch

from course.alignment import pairs as preferences
from course.alignment.answers import Task, sample_answers
from course.alignment.grpo import grpo
from course.clinic.program import one_thread
from course.instructions import experiments, judge, tuning
from course.instructions.dataset import load
from course.instructions.orders import Order
from course.scaling.running import keep, rows_in
from helpers.alignment import RewardModel, add_lora, fold_lora, kl_estimates, token_logprobs
from helpers.checkpoint import save_model
from helpers.errors import CourseError
from helpers.evaluation import evaluate
from helpers.files import data_folder, read_json, rounded, runs_folder, write_json
from helpers.generation import Storyteller
from helpers.instructions import END_OF_ANSWER, render, token_id
from helpers.stories import load_stories

TEMPERATURE = 0.7
SAMPLING_SEED = 15
TESTED = 3  # demands of the orders that runs are compared by
SHOWN = 3  # stories of a run that are kept


def record_of(experiment: str) -> Path:
    """Where the results of an experiment are kept."""
    return data_folder() / "recorded" / "instructions" / f"{experiment}.jsonl"


def recorded(experiment: str) -> list[dict]:
    """The results so far, name by name and seed by seed in the order of `experiments.runs`; [] where there are none."""
    found = {(row["name"], row["seed"]): row for row in rows_in(record_of(experiment), seed=int)}
    return [found[run] for run in experiments.runs(experiment) if run in found]


def missing(experiment: str, only: str = "") -> list[tuple[str, int]]:
    """What is not recorded yet, of the runs whose "NAME, seed N" has `only` in it."""
    done = {(row["name"], row["seed"]) for row in recorded(experiment)}
    return [run for run in experiments.runs(experiment) if run not in done and only in "{}, seed {}".format(*run)]


def run_experiment(experiment: str, workers: int = 2, only: str = "") -> list[dict]:
    """Make the runs that are missing, `workers` at a time; returns all results of the experiment."""
    from tqdm.auto import tqdm

    runs = [(experiment, *run) for run in missing(experiment, only)]
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=len(runs), desc=experiment))
        if workers > 1:
            pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(workers, _end_with_parent))
        for row in pool.imap_unordered(run, runs) if workers > 1 else map(run, runs):
            keep(record_of(experiment), [*recorded(experiment), row])
            bar.update()
            bar.set_postfix_str(in_words(row))
    return recorded(experiment)


def _end_with_parent() -> None:
    """A worker whose command is gone would go on for minutes, for nobody."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def run(asked: tuple[str, str, int]) -> dict:
    """One run, by its experiment, name and seed; the row is returned and not kept."""
    experiment, name, seed = asked
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        begin = time.process_time()
        found = MAKERS[experiment](name, seed)
        return rounded({"name": name, "seed": seed, "cpu_seconds": time.process_time() - begin} | found, 4)


def in_words(row: dict) -> str:
    """A recorded run: its name and what it came to."""
    run = f"{row['name']}, seed {row['seed']}"
    try:
        for place in ("seen", "after"):
            if place in row:
                return f"{run}: {_wholly(row[place]):.0%} of orders of three kept wholly"
        return f"{run}: {row['right']:.0%} of fresh pairs ordered rightly"
    except (LookupError, TypeError, ValueError) as error:
        raise CourseError(f"the record of {run} lacks what it came to: put it back, or make that run again") from error


def _wholly(kept: dict) -> float:
    counts = kept["by_count"]
    return counts[TESTED if TESTED in counts else str(TESTED)][1]  # as it is read, JSON's names are texts


# ---------------------------------------------------------------------- fine-tuning


def _tuning(name: str, seed: int) -> dict:
    """A storyteller tuned in one way, and measured in all."""
    options = experiments.TUNING[name]
    storyteller = Storyteller.load()
    row = {"parameters": storyteller.model.parameter_count(), "learned": 0}
    if options is None:
        model, tokenizer = tuning.listener_of(storyteller.model, storyteller.tokenizer)
    else:
        model, tokenizer, row = _tuned(storyteller, seed, **options)
        save_model(_weights(name, seed), model, tokenizer, {"tuned": name, "seed": seed})
    model.eval()
    plain = evaluate(model, tokenizer, load_stories("bundled", "validation").dataset["text"][:500])
    row |= {"val_loss": plain.nats_per_token, "bits_per_byte": plain.bits_per_byte}
    sampled = {"temperature": TEMPERATURE, "seed": SAMPLING_SEED}
    rows = load("seen") if name in experiments.BY_COUNT else _tested()
    told = tuning.told(model, tokenizer, rows, **sampled)
    row |= {"seen": asdict(tuning.kept(rows, told)), "judge_errors": _judge_errors(rows, told)}
    if name == experiments.TUNED:
        for split in ("unseen_combinations", "unseen_paraphrases"):
            row[split] = asdict(tuning.orders_kept(model, tokenizer, load(split), **sampled))
        row["greedy"] = asdict(tuning.orders_kept(model, tokenizer, _tested(), greedy=True))
        row["questions"] = tuning.questions_answered(model, tokenizer, load("questions"))
    return row


def _tuned(storyteller: Storyteller, seed: int, rank: int | None = None, **options):
    model, tokenizer = tuning.listener_of(storyteller.model, storyteller.tokenizer)
    parameters, optimizer = model.parameter_count(), tuning.OPTIMIZER
    if rank is not None:
        add_lora(model, rank, layers=("attn.qkv", "attn.proj", "mlp.fc", "mlp.proj"))
        for table in (model.wte, model.head):  # the new tokens' rows are all alike: no adapter could tell them apart
            table.requires_grad_(True)
        optimizer = replace(optimizer, kind="adamw", lr=experiments.LORA_LR)
    learned = sum(each.numel() for each in model.parameters() if each.requires_grad)
    losses = tuning.tune(model, tokenizer, load("train"), optimizer=optimizer, seed=seed, **options)
    if rank is not None:
        fold_lora(model)
    kept = {"parameters": parameters, "learned": learned, "steps": len(losses), "losses": losses[9::10]}
    return model, tokenizer, kept | {"lr": optimizer.lr, "embedding_lr": optimizer.embedding_lr}


def _weights(name: str, seed: int) -> Path:
    return runs_folder() / "instructions" / f"{name.replace(',', '').replace(' ', '-')}-{seed}"


def listener(seed: int) -> Storyteller:
    """The storyteller tuned by the recipe with this seed, from runs/instructions/; tuned now where it is not there."""
    folder = _weights(experiments.TUNED, seed)
    with suppress(CourseError):
        return Storyteller.load(folder)
    model, tokenizer, _ = _tuned(Storyteller.load(), seed)
    save_model(folder, model, tokenizer, {"tuned": experiments.TUNED, "seed": seed})
    return Storyteller.load(folder)


def _judge_errors(rows: Sequence[dict], told: Sequence[str]) -> dict:
    """Where the keyword judge is wrong about these stories."""
    found = judge.errors([Order(row["order"], row["demands"]) for row in rows], told)
    return {fact: asdict(errors) for fact, errors in found.items()}


# ---------------------------------------------------------------------- learning from judged answers


def orders_to_learn_from(hard: bool = False) -> list[dict]:
    """Training orders of three demands and more, without their questions; or those of three that are not kept as a
    matter of course, because they ask for a plot or an ending."""
    rows = [row for row in load("train") if len(row["demands"]) >= TESTED and not row["question"]]
    if hard:
        return [row for row in rows if len(row["demands"]) == TESTED and row["demands"].keys() & {"plot", "ending"}]
    return rows


def task_of(teller: Storyteller, score=judge.exact_score, watch: Iterable[str] = ()) -> Task:
    """What is asked of a listener, and how its stories are judged.

    Args:
        score: from demands and a story to the reward.
        watch: names of `WATCHED`, recorded beside it.
    """
    tokenizer = teller.tokenizer
    watched = {name: WATCHED[name] for name in watch}
    return Task(
        prompt=lambda row: render(tokenizer, [{"role": "user", "content": row["order"]}]).ids,
        decode=tokenizer.decode,
        stop=token_id(tokenizer, END_OF_ANSWER),
        reward=lambda row, story: score(row["demands"], story),
        watch={name: _of_row(score) for name, score in watched.items()},
    )


def _of_row(score):
    return lambda row, story: score(row["demands"], story)


WATCHED = {
    "exact": lambda demands, story: judge.judge(demands, story).share,
    "all_kept": lambda demands, story: float(judge.judge(demands, story).all_kept),
    "keywords": judge.keyword_score,
    "slips": lambda demands, story: float(judge.judge(demands, story).reading.slips),
    "of_this_world": lambda demands, story: float(judge.judge(demands, story).reading.of_this_world),
}


def _tested() -> list[dict]:
    return [row for row in load("seen") if len(row["demands"]) == TESTED]


def measured(teller: Storyteller) -> tuple[dict, list[str], list[dict]]:
    """How orders of three are kept: `judge.Kept` as a dictionary with the keywords found, the stories, and the rows."""
    rows = _tested()
    told = tuning.told(teller.model.eval(), teller.tokenizer, rows, temperature=TEMPERATURE, seed=SAMPLING_SEED)
    words = [judge.keyword_score(row["demands"], story) for row, story in zip(rows, told, strict=True)]
    exact = [judge.judge(row["demands"], story).share for row, story in zip(rows, told, strict=True)]
    both = {"keywords": sum(words) / len(words), "exact": sum(exact) / len(exact)}
    return asdict(tuning.kept(rows, told)) | both, told, rows


def _reinforced(experiment: str, name: str, seed: int) -> dict:
    """A listener that learns from a reward, with what became of it at every step and at its end."""
    reward = experiments.REWARDS[experiment][name]
    teller, settings = listener(seed), replace(reward.settings, seed=seed)
    before, told, rows = measured(teller)
    row = {"settings": asdict(settings), "before": before, "judge_errors_before": _judge_errors(rows, told)}
    task = task_of(teller, reward.score, WATCHED)
    row["steps"] = list(grpo(teller.model, task, orders_to_learn_from(reward.hard), settings))
    row["after"], told, rows = measured(teller)
    save_model(_weights(f"{experiment} {name}", seed), teller.model, teller.tokenizer, {"reward": name, "seed": seed})
    row["told"] = [[each["order"], story] for each, story in zip(rows[:SHOWN], told, strict=False)]
    return row | {"judge_errors": _judge_errors(rows, told)}


# ---------------------------------------------------------------------- learning from pairs


def pairs_of(seed: int) -> tuple[list[preferences.Pair], list[preferences.Pair]]:
    """Pairs of answers of the listener with this seed, to learn from and fresh ones; kept in runs/instructions/."""
    path = runs_folder() / "instructions" / f"pairs-{seed}.json"
    if not path.exists():
        teller, orders = listener(seed), orders_to_learn_from(hard=True)
        made = []
        for first, count in ((0, experiments.PAIRS_ORDERS), (experiments.PAIRS_ORDERS, experiments.FRESH_ORDERS)):
            some = orders[first : first + count]
            asked = task_of(teller)
            made.append(preferences.make_pairs(teller.model, asked, some, experiments.PAIRS_GROUP, seed=first))
        write_json(path, made)
    return tuple([preferences.Pair(*pair) for pair in pairs] for pairs in read_json(path))


def _reward_model(name: str, seed: int) -> dict:
    """A reward model, and how often it is right about fresh pairs when it is how sure."""
    known, fresh = pairs_of(seed)
    judging = RewardModel(listener(seed).model)
    count = experiments.REWARD_MODELS[name]
    settings = replace(experiments.REWARDED, seed=seed)
    steps = list(preferences.reward_model(judging, known[:count], settings))
    margins = preferences.margins(judging, fresh)
    return {
        "pairs": min(count, len(known)),
        "fresh": len(fresh),
        "right": (margins > 0).float().mean().item(),
        "calibration": preferences.calibration(margins),
        "losses": [step["loss"] for step in steps],
    }


def _dpo(name: str, seed: int) -> dict:
    """A listener that learned from pairs: orders kept before and after, and how far it went."""
    teller, reference = listener(seed), listener(seed)
    known, _ = pairs_of(seed)
    settings = replace(experiments.DPO[name], seed=seed)
    row = {"beta": settings.beta, "epochs": settings.epochs, "lr": settings.lr}
    row |= {"pairs": len(known), "before": measured(teller)[0]}
    row["steps"] = list(preferences.dpo(teller.model, known, settings))
    row["after"] = measured(teller)[0]
    some = orders_to_learn_from(hard=True)[-64:]
    ids, mask, _, _ = sample_answers(teller.model.eval(), task_of(teller), some, seed=SAMPLING_SEED)
    with torch.no_grad():
        now, then = (token_logprobs(each.model, ids, mask) for each in (teller, reference))
        k3 = kl_estimates(now, then).k3
    return row | {"kl_answer": (k3 * mask).sum(dim=1).mean().item()}


MAKERS = {
    "tuning": _tuning,
    "reward-models": _reward_model,
    "dpo": _dpo,
    **{name: (lambda run, seed, name=name: _reinforced(name, run, seed)) for name in experiments.REWARDS},
}
