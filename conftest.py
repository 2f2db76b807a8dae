"""For every test and every notebook under test: the network closed, runs/ left alone, the cores shared
fairly.
"""

import os
import shutil
import signal
import tempfile

# Set before anything is imported that reads them; the workers and the notebooks' kernels inherit them.
CLOSED = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
OUTPUT_SECONDS = 120  # nbval gives a kernel 5 s to deliver each output; a busy machine may need more

os.environ.update(CLOSED)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as in helpers, which may be imported after torch
for variable in ("COURSE_STORIES", "COURSE_SEED", "COURSE_DEVICE", "COURSE_AWAY"):
    os.environ.pop(variable, None)

# Whoever starts the tests in the background has these ignored, and so would every process that a test stops with them.
for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, name), usual)

LONG = (
    "10_debugging_clinic.ipynb", "07_training.ipynb", "test_own_stories.py", "test_gpu_branches.py",
    "13_scaling_up.ipynb", "12_pretrained_gpt2.ipynb", "08_training_on_a_gpu.ipynb", "test_nothing_given_away.py",
    "test_exercise.py", "14_since_gpt2.ipynb", "15_following_instructions.ipynb", "test_fault_matrix.py",
    "11_looking_inside.ipynb",
)  # fmt: skip

_scratch = None


def pytest_configure(config):
    """Give each worker a runs folder of its own, and as many threads as its share of the cores."""
    global _scratch
    _scratch = tempfile.mkdtemp(prefix="course-runs-")
    os.environ["COURSE_RUNS"] = _scratch
    if "PYTEST_XDIST_WORKER" in os.environ:
        threads = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, threads)))


def pytest_unconfigure(config):
    if _scratch:
        shutil.rmtree(_scratch, ignore_errors=True)


def pytest_collection_modifyitems(items):
    for item in items:
        if hasattr(item, "output_timeout"):  # a notebook's cell
            item.output_timeout = OUTPUT_SECONDS
    # What takes long begins first, so that no worker ends long after the others.
    items.sort(key=lambda item: not str(item.path).endswith(LONG))
