"""The teaching plans, docs/teaching/NN.md: where they are, and their parts."""

from pathlib import Path

from helpers.files import repository_root


def path_of(number: str) -> Path:
    """The file of notebook `number`'s plan ("05"), whether it is there or not."""
    return repository_root() / "docs" / "teaching" / f"{number}.md"


def part(plan: str, heading: str) -> str:
    """What stands in a plan's text under a second-level heading; "" where there is none."""
    return plan.partition(f"\n## {heading}\n")[2].split("\n## ")[0]
