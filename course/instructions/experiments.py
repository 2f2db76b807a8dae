"""What notebook 15 shows of runs longer than a notebook: which runs there are, and what differs between them.

Every run is made with three seeds. Seed s of any experiment begins where the fine-tuning of seed s ended, so the spread
over seeds is that of the whole way from the storyteller on. `course.instructions.recording` runs them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from course.alignment.grpo import GRPOSettings
from course.alignment.pairs import PairSettings
from course.instructions.judge import exact_score, keyword_score
from helpers.errors import CourseError

SEEDS = (0, 1, 2)
TUNED = "all weights"  # the fine-tuning that all other runs begin from

# Fine-tuning: what differs from the recipe of `course.instructions.tuning`; a rank is that of LoRA's adapters.
TUNING: dict[str, dict | None] = {
    "storyteller": None,  # not tuned
    TUNED: {},
    "all weights, no mask": {"masked": False},
    "LoRA rank 8": {"rank": 8},
}
BY_COUNT = (TUNED,)  # measured on orders of one to five demands; the others on orders of three
LORA_LR = 0.005

# Pairs: the best and the worst of four answers to each of so many orders; some are kept apart to test on.
PAIRS_ORDERS, FRESH_ORDERS, PAIRS_GROUP = 320, 160, 4
REWARD_MODELS: dict[str, int] = {f"{count} pairs": count for count in (40, 300)}
REWARDED = PairSettings(epochs=6, batch=8, lr=1e-3)
GENTLY = PairSettings(epochs=1, batch=16, lr=2e-4)
LONGER = PairSettings(epochs=3, batch=16, lr=5e-4)
DPO: dict[str, PairSettings] = {
    f"beta {beta:g}{', longer' if settings is LONGER else ''}": replace(settings, beta=beta)
    for settings in (GENTLY, LONGER)
    for beta in (0.03, 0.5)
}

# Answers that are judged. The first run is to keep orders: slowly, and from those that are not kept as a matter of
# course. The others are hasty, so that what a reward leaves out shows within as many steps. They differ in what is
# rewarded, or in what a nat of divergence costs, and in nothing else.
GRPO = GRPOSettings(steps=100, orders=4, group=8, updates=1, lr=4e-4, beta=0.02)
HASTY = replace(GRPO, steps=70, lr=7e-4)


class Reward(NamedTuple):
    """A judge's score as a reward, and how a policy learns from it.

    Attributes:
        hard: from orders of three that ask for a plot or an ending; else from all of three demands and more.
    """

    score: Callable[[dict[str, str], str], float]
    settings: GRPOSettings = HASTY
    hard: bool = False


REWARDS: dict[str, dict[str, Reward]] = {
    "grpo": {"exact judge": Reward(exact_score, GRPO, hard=True)},
    "hacked": {"keywords": Reward(keyword_score)},
    "mended": {
        "beta 2": Reward(keyword_score, replace(HASTY, beta=2.0)),
        "exact judge": Reward(exact_score),
    },
}
VARIANTS = {"tuning": TUNING, "reward-models": REWARD_MODELS, "dpo": DPO, **REWARDS}


def runs(experiment: str) -> list[tuple[str, int]]:
    """The name and the seed of each run of an experiment.

    Raises:
        CourseError: there is no such experiment.
    """
    if experiment not in VARIANTS:
        raise CourseError(f"there is no experiment {experiment!r}; there are {', '.join(VARIANTS)}")
    variants = VARIANTS[experiment]
    return [(name, seed) for name, what in variants.items() for seed in (SEEDS if what is not None else SEEDS[:1])]
