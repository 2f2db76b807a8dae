"""Go on with a run that was stopped, exactly where it was.

On a CPU the result is the same, bit for bit, as if the run had never stopped.

examples:
  python -m course resume runs/storyteller

with several processes, or with fewer or more than before (they read the same batches, and each its share):
  python -m torch.distributed.run --nnodes 1 --nproc-per-node 2 -m course resume runs/two
"""

import argparse
from pathlib import Path

from course.cli.options import add_device, device_of
from course.cli.train import finish, one_speaks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="the folder of the run")
    add_device(parser)
    parser.add_argument(
        "--parallel", choices=("ddp", "fsdp"), help="with several processes: each holds all of the model, or a shard"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no samples")


def run(arguments: argparse.Namespace) -> int:
    from course.distributed import processes
    from course.runs import prepare_again
    from helpers.run_log import owning

    folder, quiet = Path(arguments.run_folder), arguments.quiet
    mine = folder if folder.is_dir() else None  # nothing is made where there is nothing to resume
    with processes(arguments.device) as group, one_speaks(group.is_rank0), owning(mine if group.is_rank0 else None):
        device = group.device or device_of(arguments.device)
        with group.on_rank0_first():
            prepared = prepare_again(folder, device, not quiet, processes=group.count, parallel=arguments.parallel)
        for line in prepared.notes:
            print(f"note: {line}")
        print(f"going on from step {prepared.state['step']:,} on {device}", flush=True)
        return finish(prepared, folder, group, quiet)
