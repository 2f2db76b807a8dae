"""The script for a borrowed GPU, in miniature on a CPU: every part works, and none of it can be taken for a GPU's."""

import subprocess
import sys

import gpu_checks
import pytest
import torch

from helpers.errors import CourseError
from helpers.files import data_folder, read_json, repository_root
from helpers.run_log import read_log

SCRIPT = repository_root() / "docs" / "tools" / "gpu_checks.py"
ON_CPU = pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens where there is no GPU")


def test_in_miniature_all_parts_are_done_and_say_what_they_are(tmp_path):
    pytest.importorskip("transformers")
    command = [sys.executable, str(SCRIPT), "--small", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = read_json(tmp_path / "summary.json")
    assert [(part["part"], part["ended"]) for part in summary["parts"]] == [(name, "done") for name in gpu_checks.PARTS]
    found = {name: read_json(tmp_path / f"{name}.json") for name in gpu_checks.PARTS}
    for content in (*found.values(), summary):
        assert content["small"] and content["about"] == "A trial of the script, and no measurement of a GPU."
        assert content["gpu"] == torch.cuda.is_available() and content["torch"] == torch.__version__
        assert content["machine"]["GPU"] == ("none" if not content["gpu"] else content["machine"]["GPU"])
    results = {name: content["result"] for name, content in found.items()}
    assert "transformers, compiled" in results["bench"]["sides"] and results["bench"]["reached"]["ratio"] > 0
    rows = results["ladder"]["rows"]
    assert len(rows) == 8 and not any(row["left_out"] for row in rows)
    for row in rows[3:-1]:  # the counted memory of a step, and the plan's
        assert row["counted_bytes"] == pytest.approx(row["peak_bytes"], rel=0.1)
    run = results["train"]
    assert run["hardware"]["compile"] == "on" and run["hardware"]["precision"] == "bfloat16" and run["steps"] > 0
    assert (tmp_path / "train-log.jsonl").exists() and (tmp_path / "train-curves.png").exists()
    cut = results["disconnect"]
    assert (cut["killed_after"], cut["went_on_from"], cut["ended_at"], cut["steps_done_twice"]) == (30, 20, 45, 10)
    if not torch.cuda.is_available():
        assert cut["largest_difference"] == 0 and run["peak_bytes"] is None


@ON_CPU
def test_without_a_gpu_nothing_is_written_where_a_gpus_results_are(tmp_path, capsys):
    recorded = data_folder() / "recorded" / "gpu"
    there = recorded.exists()
    assert gpu_checks.main(["--out", str(tmp_path)]) == 2 and "no GPU here" in capsys.readouterr().err
    for place in (recorded, recorded / "deeper", recorded / ".." / "other"):
        assert gpu_checks.main(["--out", str(place), "--small"]) == 2
        assert "give --out another folder" in capsys.readouterr().err
    assert recorded.exists() == there and not any(tmp_path.iterdir())


def test_a_part_that_fails_or_hangs_is_noted_and_the_next_one_runs(tmp_path, monkeypatch):
    def command(code):
        return [sys.executable, "-c", code]

    hung = command("import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])")
    found = gpu_checks.run_part("bench", tmp_path, 1, 1, True, hung)
    assert found["ended"] == "killed: it ran past its limit of 1 s" and found["seconds"] < 30
    found = gpu_checks.run_part("bench", tmp_path, 60, 1, True, command("raise SystemExit(3)"))
    assert found["ended"] == "failed, with exit code 3"

    asked = []

    def part(name, out, limit, seconds, small):
        asked.append((name, limit, seconds))
        return {"part": name, "ended": "failed, with exit code 1" if name == "bench" else "done", "seconds": 1.0}

    monkeypatch.setattr(gpu_checks, "run_part", part)
    summary = gpu_checks.run_all(list(gpu_checks.PARTS), tmp_path, False)
    assert [each["part"] for each in summary] == list(gpu_checks.PARTS)
    assert read_json(tmp_path / "summary.json")["parts"] == summary
    # All of them together keep within ten minutes, and training takes what the others leave.
    assert all(seconds <= 300 and limit <= gpu_checks.LIMITS[name] for name, limit, seconds in asked)
    gpu_checks.run_all(["train", "disconnect"], tmp_path, False, budget=300)
    (_, limit, seconds), (_, last, _) = asked[-2:]
    assert limit == pytest.approx(300 - 90, abs=1) and seconds == pytest.approx(limit - 80) and last == 90
    assert gpu_checks.run_all(["bench"], tmp_path, False, budget=10)[0]["ended"] == "left out: no time was left"


def test_what_a_killed_run_has_logged_is_kept(tmp_path):
    code = (
        "import sys, time, pathlib; work = pathlib.Path(sys.argv[1]); work.mkdir(parents=True);"
        "(work / 'log.jsonl').write_text('{\"step\": 1, \"loss\": 2.0}\\n'); time.sleep(60)"
    )
    real = subprocess.Popen

    class InItsFolder(real):
        def __init__(self, command, **options):
            super().__init__([sys.executable, "-c", code, command[command.index("--work") + 1]], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", InItsFolder)
        found = gpu_checks.run_part("train", tmp_path, 3, 1, True)
    assert found["ended"].startswith("killed")
    (tmp_path / "train-log.jsonl").rename(tmp_path / "log.jsonl")
    assert read_log(tmp_path) == [{"step": 1, "loss": 2.0}]


def test_parts_that_there_are_not_are_refused(tmp_path, capsys):
    assert gpu_checks.main(["--out", str(tmp_path), "--only", "bench,other", "--small"]) == 2
    assert "--only some of bench, ladder, train, disconnect" in capsys.readouterr().err
    with pytest.raises(CourseError, match="another folder"):
        gpu_checks.check_place(data_folder() / "recorded", small=True)
