"""The example for SkyPilot as SkyPilot itself reads it. Its packages are in docs/cluster/requirements.txt, for an
environment of their own, so nothing else is imported here.
"""

import os
from pathlib import Path

import pytest

os.environ["SKYPILOT_DISABLE_USAGE_COLLECTION"] = "1"
sky = pytest.importorskip("sky")

FILE = Path(__file__).resolve().parents[1] / "docs" / "cluster" / "train.sky.yaml"


def test_skypilot_reads_the_task():
    task = sky.Task.from_yaml(str(FILE))
    (resources,) = task.resources
    assert (task.name, task.num_nodes, task.workdir) == ("gpt2-small", 2, ".")
    assert resources.accelerators == {"H100": 8} and resources.use_spot
    (folder, bucket), = task.storage_mounts.items()  # fmt: skip
    assert task.envs["RUN"].startswith(f"{folder}/") and bucket.mode == sky.StorageMode.MOUNT_CACHED
    assert "-m course" in task.run and "requirements.txt" in task.setup


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("num_nodes:", "num_node:"),
        ("use_spot:", "spot:"),
        ("mode: MOUNT_CACHED", "mode: MOUNT_CASHED"),
        ("num_nodes: 2", "num_nodes: two"),
    ],
)
def test_skypilot_refuses_a_mistake(right, wrong, tmp_path):
    text = FILE.read_text(encoding="utf-8")
    assert right in text
    file = tmp_path / "task.yaml"
    file.write_text(text.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(ValueError):
        sky.Task.from_yaml(str(file))
