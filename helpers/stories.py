"""Built in notebook 02: where stories come from: bundled, TinyStories from the Hub, a saved copy, one's own files.

What was asked for, or a clear error: a source is never silently replaced by another.

Used in all notebooks from 01 on, and by every command that reads stories.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path

from helpers import hub, story_files
from helpers.errors import CourseError, first_line
from helpers.files import data_folder, read_json, regular, sha256

SPLITS = ("train", "validation")
VALIDATION_FRACTION = 0.1  # of one's own stories, when they come without a validation split


class Stories:
    """Stories of one split: `for text in stories`, and, unless streamed, `len(stories)`, `stories[3]`,
    `stories[:5]`.

    Attributes:
        source, split: as they were asked for.
        description: where the stories come from, in a sentence.
        dataset: the same as a `datasets.Dataset` (with all its columns), or an `IterableDataset` when
            streamed.
    """

    def __init__(self, texts: Callable[[], Iterator[str]], source: str, split: str, description: str, dataset=None):
        """`texts()` starts a new pass over the stories; `dataset` is given when they are all at hand."""
        self._texts = texts
        self._dataset = dataset
        self.streaming = dataset is None
        self.source, self.split, self.description = source, split, description

    @property
    def dataset(self):
        if self._dataset is None:
            from datasets import IterableDataset

            return IterableDataset.from_generator(lambda: ({"text": text} for text in self))
        return self._dataset

    def __iter__(self) -> Iterator[str]:
        return self._texts()

    def __len__(self) -> int:
        if self.streaming:
            raise TypeError("streamed stories have no known number; count them while you read them")
        return len(self._dataset)

    def __getitem__(self, at: int | slice) -> str | list[str]:
        """The story at `at`, or a list of stories for a slice."""
        if self.streaming:
            raise TypeError("streamed stories can only be read in order; load them without streaming to pick one")
        return self._dataset[at]["text"]

    def __repr__(self) -> str:
        number = "streamed" if self.streaming else f"{len(self):,} stories"
        return f"Stories({self.source!r}, split={self.split!r}, {number}: {self.description})"


def load_stories(
    source: str | Path | list = "bundled",
    split: str = "train",
    limit: int | None = None,
    streaming: bool = False,
) -> Stories:
    """The stories of one split of a source.

    Args:
        source: "bundled" (shipped with the course, works offline); "tinystories" (`roneneldan/TinyStories` from the
            Hub or its cache); a folder written by `save_to_disk`; a file, a folder, a pattern ("texts/*.txt")
            or a list of .txt, .jsonl and .parquet files (see `helpers.story_files`). Empty stories are left out.
        split: "train" or "validation". Files of one's own are split by name if their names say "train" and "valid",
            else 90 to 10 by story, identical texts on the same side.
        limit: take the first so many stories of the split; None takes all. With "tinystories" only what is needed is
            fetched.
        streaming: read the stories one after another each time they are gone through, holding none in memory.

    Raises:
        CourseError: the source is not there, is damaged or holds no stories, or the Hub does not answer.
    """
    if split not in SPLITS:
        raise CourseError(f'there is no split {split!r}: give "train" or "validation"')
    if limit is not None and (not isinstance(limit, int) or not 1 <= limit <= 10**12):
        raise CourseError(f"limit must be a whole number of stories, from 1 to a trillion, not {limit!r}")
    if source == "bundled":
        return _bundled(split, limit, streaming)
    if source == "tinystories":
        return _tinystories(split, limit, streaming)
    return _own(source, split, limit, streaming)


def describe(source: str | Path | list = "bundled") -> str:
    """A sentence about a source, without loading it or asking the Hub."""
    if source == "bundled":
        return "stories sampled from the course's own story grammar (synthetic; shipped, offline)"
    if source == "tinystories":
        return "TinyStories (Eldan and Li, 2023; written by GPT-3.5 and GPT-4), from the Hub or its cache"
    files = [Path(one).name for one in source] if isinstance(source, list) else [str(source)]
    return f"your own stories, from {', '.join(files)}"


def in_validation(text: str, fraction: float = VALIDATION_FRACTION) -> bool:
    """Whether a story belongs to the validation split: decided by its words alone, so that every copy of a
    story, even with other spacing, falls on the same side, whatever stands around it.
    """
    digest = hashlib.sha256(" ".join(text.split()).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def split_stories(texts: Iterable[str], fraction: float = VALIDATION_FRACTION) -> tuple[list[str], list[str]]:
    """`(train, validation)`: about `fraction` of them in the second, no story in both, order kept."""
    if not 0 < fraction < 1:
        raise CourseError(f"fraction must be between 0 and 1, not {fraction}")
    train, validation = [], []
    for text in texts:
        (validation if in_validation(text, fraction) else train).append(text)
    return train, validation


def _stories(texts: list[str] | None, table, source, split, description) -> Stories:
    """Stories held in memory, from a list of texts or from an Arrow table that has a column `text`."""
    import pyarrow
    from datasets import Dataset
    from datasets.table import InMemoryTable

    table = pyarrow.table({"text": pyarrow.array(texts, pyarrow.string())}) if table is None else table
    if not table.num_rows:
        raise _without(description, split)
    mark = hashlib.sha256(f"{source} {split} {table.num_rows} {table.nbytes}".encode())
    for text in islice(table["text"], 1000):
        mark.update(text.as_py().encode("utf-8", "surrogatepass"))
    dataset = Dataset(InMemoryTable(table), fingerprint=mark.hexdigest()[:16])
    return Stories(lambda: _batched(dataset), source, split, description, dataset)


def _without(description: str, split: str, texts: list[str] | None = None) -> CourseError:
    """What to say of a source that has no stories of one split, of these in all."""
    said = "" if texts is None else f" among its {len(texts):,}" if len(texts) != 1 else ", only 1 story in all"
    more = ": give more stories, about a tenth are set aside for validation" if split == "validation" else ""
    if (lines := "\n".join(texts or ()).count("\n") + 1) > len(texts or "1"):
        more += f"; there are {lines:,} lines of {sum(map(len, texts)):,} characters: where several stories were read "
        more += f"as one, put a line with {story_files.END_LINE} behind each"
    return CourseError(f"{description} has no {split} stories{said}{more}")


def _batched(dataset) -> Iterator[str]:
    for batch in dataset.iter(batch_size=1000):
        yield from batch["text"]


_MEND = "restore them (git checkout -- data/stories) or make them again (python -m data.story_grammar)"


@cache
def _verified(folder: Path, name: str) -> Path:
    """The bundled file `name`, its hash checked once in a process."""
    path = folder / name
    if not path.is_file():
        raise CourseError(f"the bundled stories {path} are missing: {_MEND}")
    if sha256(path) != read_json(folder / "hashes.json").get(name):
        raise CourseError(f"the bundled stories {path} are damaged, or were changed: {_MEND}")
    return path


def _bundled(split, limit, streaming) -> Stories:
    folder = data_folder() / "stories"
    hashes = read_json(folder / "hashes.json") if (folder / "hashes.json").is_file() else {}
    names = sorted(hashes) if isinstance(hashes, dict) else ()
    paths = [_verified(folder, name) for name in names if name.startswith(f"{split}-")]
    if not paths:
        raise CourseError(f"the bundled {split} stories are missing from {folder}, or its hashes.json is: {_MEND}")
    description = f"the bundled stories ({describe()})"
    if streaming:
        texts = lambda: islice(story_files.read_all(paths), limit)  # noqa: E731
        return Stories(texts, "bundled", split, description)
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.concat_tables(pyarrow.parquet.read_table(path) for path in paths)
    return _stories(None, table.slice(0, limit), "bundled", split, description)


def _tinystories(split, limit, streaming) -> Stories:
    description = describe("tinystories")
    if streaming:
        return Stories(hub.streamed(split, limit), "tinystories", split, description)
    fetched = hub.fetched(split, limit)
    if isinstance(fetched, list):
        return _stories(fetched, None, "tinystories", split, description)
    return Stories(lambda: _batched(fetched), "tinystories", split, description, fetched)


def _own(source, split, limit, streaming) -> Stories:
    name = str(source)
    description = describe(source)
    if not isinstance(source, list) and story_files.is_saved(Path(source)):
        return _saved(Path(source), split, limit, description)
    paths, divided = story_files.choose(story_files.find(source), split)
    story_files.require_stories(paths, each=not streaming)  # told of now, not in the middle of a run

    def texts() -> Iterator[str]:
        every = story_files.read_all(paths)
        if not divided:
            every = (text for text in every if in_validation(text) == (split == "validation"))
        return islice(every, limit)

    if streaming:
        return Stories(texts, name, split, description)
    if not (found := list(texts())):
        raise _without(description, split, list(story_files.read_all(paths)))
    return _stories(found, None, name, split, description)


def _saved(folder: Path, split: str, limit: int | None, description: str) -> Stories:
    """From `save_to_disk`: a dataset, which is split here, or a dictionary of splits, kept as it is."""
    from datasets import DatasetDict, load_from_disk

    for path in folder.rglob("*"):
        if not path.is_dir():
            regular(path)
    try:
        dataset = load_from_disk(str(folder))
    except Exception as error:
        raise CourseError(f"{folder} is not a whole folder of save_to_disk: {first_line(error)}") from error
    divided = isinstance(dataset, DatasetDict) and list(dataset) != ["train"]
    if divided and split not in dataset:
        raise CourseError(f"{folder} has no split {split!r}, only {', '.join(map(repr, dataset))}")
    if isinstance(dataset, DatasetDict):
        dataset = dataset[split if divided else "train"]
    if "text" not in dataset.column_names:
        raise CourseError(f'{folder} has no column "text", only {", ".join(map(repr, dataset.column_names))}')
    texts = enumerate(story_files.texts_in(_batched(dataset), folder))
    side = split == "validation"
    at = (i for i, text in texts if text.strip() and (divided or in_validation(text) == side))
    if not (chosen := list(islice(at, limit))):
        raise _without(str(folder), split, list(_batched(dataset)))
    dataset = dataset.select(chosen)
    return Stories(lambda: _batched(dataset), str(folder), split, description, dataset)
