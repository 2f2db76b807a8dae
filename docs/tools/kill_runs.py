"""Kill a training run at random moments and resume it, again and again: it must end as the run that was never killed.

    python docs/tools/kill_runs.py --kills 500

Half of the kills come at a random time, half in the middle of a write: when half of the bytes are written, before and
after they are flushed, before and after the file gets its name. Needs Linux (`fork`).
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the process forks
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from course.runs import make_sampler
from helpers import checkpoint, files, training
from helpers.dataset import tokenize_stories
from helpers.errors import CourseError
from helpers.evaluation import story_rows
from helpers.model import GPT, GPTConfig
from helpers.run_log import read_log
from helpers.settings import TrainingSettings
from helpers.tokenizer import train_tokenizer

TEXTS = [f"{name} had a {thing}. {name} lost it." for name in ("Pip", "Ann", "Tom") for thing in ("kite", "ball")]
SETTINGS = TrainingSettings.of(
    batch_size=2, accumulation=2, kind="muon", lr=0.02, steps=24, log_every=1, eval_every=4,
    sample_every=8, checkpoint_every=2,
)  # fmt: skip
POINTS = ("half written", "before the flush", "after the flush", "before the name", "after the name")


class Trial:
    """A small run in a folder, in a process of its own that may be killed."""

    def __init__(self, folder: Path):
        torch.set_num_threads(1)
        self.folder = folder
        self.tokenizer = train_tokenizer(TEXTS, 290)
        self.tokens = tokenize_stories(TEXTS, self.tokenizer, folder / "tokens", progress=False)
        self.validation = story_rows(self.tokenizer, TEXTS[:2])

    def train(self, run: Path) -> training.Trainer:
        """Begin the run, or go on with it, to its end."""
        torch.manual_seed(0)
        model = GPT(GPTConfig(self.tokenizer.vocab_size, 24, n_layer=2, n_head=2, d_model=16, dropout=0.1))
        options = dict(tokenizer=self.tokenizer, validation=self.validation, folder=run, progress=False)
        one = training.Trainer(model, make_sampler(self.tokens, SETTINGS, 24), SETTINGS, **options)
        if checkpoint.saved_checkpoints(run):
            one.resume()
        one.run()
        return one

    def killed(self, run: Path, seconds: float | None, write: tuple[int, str] | None = None) -> bool:
        """Train in a new process that is killed after some seconds or in a write; False if it ended before."""
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if write is not None:
                    _die_in_a_write(*write)
                self.train(run)
                code = 0
            except BaseException as error:  # what the parent must hear of
                print(f"the run failed: {error!r}", file=sys.stderr, flush=True)
            finally:
                os._exit(code)
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise CourseError(f"a resumed run failed with exit code {os.WEXITSTATUS(status)}")
        return os.WIFSIGNALED(status)


def _die_in_a_write(number: int, point: str) -> None:
    """Let this process kill itself in its write of that number, counted from 0."""
    count, fsync, replace, fdopen = [-1], os.fsync, os.replace, os.fdopen

    def die(here: str) -> None:
        if count[0] == number and here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    class Dying:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            die("half written")
            self.file.write(data[len(data) // 2 :])

        def writelines(self, pieces):
            self.write(b"".join(pieces))

    def opened(*arguments):
        count[0] += 1
        return Dying(fdopen(*arguments))

    def flushed(*arguments):
        die("before the flush")
        fsync(*arguments)
        die("after the flush")

    def named(*arguments):
        die("before the name")
        replace(*arguments)
        die("after the name")

    files.os = type("Os", (), {**vars(os), "fsync": staticmethod(flushed), "replace": staticmethod(named),
                               "fdopen": staticmethod(opened)})  # fmt: skip


def same_rows(one: list[dict], other: list[dict]) -> bool:
    """Whether two logs tell the same course, apart from what depends on the clock and the machine."""
    unlike = ("seconds", "tokens_per_second", "memory_gb")

    def told(rows):
        return [{key: value for key, value in row.items() if key not in unlike} for row in rows]

    return told(one) == told(other)


def kill_and_resume(kills: int, seed: int = 0, say=lambda line: None) -> dict:
    """Kill runs so many times in all; returns how many runs ended, and where the kills fell.

    Raises:
        CourseError: a run was lost, or ended otherwise than the one that was never killed.
    """
    generator = random.Random(seed)
    home = Path(tempfile.mkdtemp(prefix="kill-runs-"))
    try:
        trial = Trial(home)
        started = time.perf_counter()
        if trial.killed(home / "timed", None):
            raise CourseError("the run that nobody kills was killed")
        duration = time.perf_counter() - started
        right = checkpoint.load_model(home / "timed")[0].state_dict()
        whole, rows = (home / "timed" / "model.safetensors").read_bytes(), read_log(home / "timed")
        made, ended, in_writes, before_any = 0, 0, dict.fromkeys(POINTS, 0), 0
        run = home / "run-0"
        while made < kills:
            if generator.random() < 0.5:
                killed = trial.killed(run, generator.uniform(0, 0.6 * duration))
            else:
                point = generator.choice(POINTS)
                killed = trial.killed(run, None, (generator.randrange(12), point))
                in_writes[point] += killed
            made += killed
            before_any += killed and not checkpoint.saved_checkpoints(run)
            if not killed:
                model = checkpoint.load_model(run)[0].state_dict()
                if not all(torch.equal(right[name], model[name]) for name in right):
                    raise CourseError(f"{run} ended with other weights than the run that was never killed")
                if (run / "model.safetensors").read_bytes() != whole:
                    raise CourseError(f"{run} ended with another file than the run that was never killed")
                if not same_rows(rows, read_log(run)):
                    raise CourseError(f"{run} has another log than the run that was never killed")
                if left := [path.name for path in run.rglob("*") if path.suffix in (".part", ".damaged")]:
                    raise CourseError(f"{run} keeps {left}")
                ended += 1
                shutil.rmtree(run)
                run = home / f"run-{ended}"
                say(f"{made} kills, {ended} runs ended, all as the one that was never killed")
        return {"kills": made, "runs": ended, "in_writes": in_writes, "before_the_first_checkpoint": before_any}
    finally:
        shutil.rmtree(home, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.perf_counter()
    found = kill_and_resume(arguments.kills, arguments.seed, say=lambda line: print(line, flush=True))
    print(found, f"in {time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
