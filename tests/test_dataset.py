"""Stories to tokens to batches: nothing lost, nothing half written, every batch again after a resume."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import dataset
from helpers.dataset import IGNORED, StorySampler, TokenFile, WindowSampler, tokenize_stories
from helpers.errors import CourseError
from helpers.files import repository_root
from helpers.stories import Stories, load_stories
from helpers.tokenizer import load_tokenizer, train_tokenizer

TEXTS = [f"Once Pip the rabbit lost {n} kites{' in the park' * (n % 7)}. 🙂" for n in range(60)] + [
    "",
    "Short.",
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 300)


@pytest.fixture(scope="module")
def tokens(tokenizer, tmp_path_factory):
    return tokenize_stories(TEXTS, tokenizer, tmp_path_factory.mktemp("tokens"), progress=False, chunk=7)


def folders(path):
    return sorted(one.name for one in path.iterdir())


# --- the file
# --------------------------------------------------------------------------------------------------------


def test_every_story_is_whole_and_between_end_tokens(tokens, tokenizer):
    assert len(tokens) == len(TEXTS) == len(list(tokens))
    assert tokens.ids.dtype == np.uint16 and tokens.ids[0] == tokens.eos_token_id == tokenizer.eos_token_id
    for i, text in enumerate(TEXTS):
        assert tokens.story(i).tolist() == [*tokenizer.encode(text), tokenizer.eos_token_id]
        start, end = tokens.offsets[i] - 1, tokens.offsets[i + 1]
        assert tokens.ids[start] == tokens.ids[end - 1] == tokenizer.eos_token_id
    assert tokens.story(-1).tolist() == tokens.story(len(TEXTS) - 1).tolist()
    with pytest.raises(IndexError):
        tokens.story(len(TEXTS))
    assert tokens.tokens == sum(tokens.lengths()) == len(tokens.ids) - 1
    assert tokens.text_bytes == sum(len(text.encode("utf-8")) for text in TEXTS)
    assert "62 stories" in repr(tokens)


def test_wide_vocabularies_get_wide_ids(tokenizer, tmp_path):
    class Wide:
        vocab_size, eos_token_id, fingerprint = 70_000, 69_999, "wide"

        def encode_batch(self, texts):
            return [[66_000, 1] for _ in texts]

    wide = tokenize_stories(["a", "b"], Wide(), tmp_path, progress=False)
    assert wide.ids.dtype == np.uint32
    assert wide.ids.tolist() == [69_999, 66_000, 1, 69_999, 66_000, 1, 69_999]


def test_the_same_stories_are_tokenised_once(tokenizer, tmp_path, monkeypatch):
    first = tokenize_stories(TEXTS, tokenizer, tmp_path, progress=False)
    monkeypatch.setattr(type(tokenizer), "encode_batch", lambda *_: pytest.fail("tokenized again"))
    again = tokenize_stories(tuple(TEXTS), tokenizer, tmp_path, progress=False)
    assert again.folder == first.folder and again.fingerprint == first.fingerprint


def test_other_stories_or_another_tokenizer_make_another_file(tokenizer, tmp_path):
    made = [
        tokenize_stories(texts, one, tmp_path, progress=False).folder
        for texts, one in [
            (TEXTS, tokenizer),
            (TEXTS[:-1], tokenizer),
            (TEXTS[::-1], tokenizer),
            (["ab", "c"], tokenizer),
            (["a", "bc"], tokenizer),
            (TEXTS, train_tokenizer(TEXTS, 290)),
        ]
    ]
    assert len(set(made)) == len(made) == len(folders(tmp_path))


def test_generators_and_streamed_stories_are_read_once(tokenizer, tmp_path):
    passes = []

    def texts():
        passes.append(1)
        return iter(TEXTS)

    first = tokenize_stories(TEXTS, tokenizer, tmp_path, progress=False)
    assert tokenize_stories(iter(TEXTS), tokenizer, tmp_path, progress=False).folder == first.folder
    streamed = Stories(texts, "mine", "train", "streamed")
    assert tokenize_stories(streamed, tokenizer, tmp_path, progress=False).folder == first.folder
    assert len(passes) == 1 and folders(tmp_path) == [first.folder.name]


def test_two_that_tokenise_the_same_at_once_share_the_file(tokenizer, tmp_path):
    quicker = []

    def texts():
        yield from TEXTS[:-1]
        quicker.append(tokenize_stories(TEXTS, tokenizer, tmp_path, progress=False))
        yield TEXTS[-1]

    slower = tokenize_stories(texts(), tokenizer, tmp_path, progress=False)
    assert slower.folder == quicker[0].folder and folders(tmp_path) == [slower.folder.name]
    assert len(quicker[0].story(0))  # the file that the other one has open is still whole


class Stopped(BaseException):
    """Like a KeyboardInterrupt, which pytest would take for its own."""


@pytest.mark.parametrize("error", [Stopped, RuntimeError])
def test_a_broken_off_run_leaves_nothing(tokenizer, tmp_path, error):
    def texts():
        yield from TEXTS[:30]
        raise error

    with pytest.raises(error):
        tokenize_stories(texts(), tokenizer, tmp_path, progress=False, chunk=4)
    assert folders(tmp_path) == []


def test_a_killed_run_leaves_no_file_that_is_taken_for_whole(tokenizer, tmp_path):
    script = f"""
import sys, time
sys.path.insert(0, {str(repository_root())!r})
from helpers.dataset import tokenize_stories
from helpers.tokenizer import load_tokenizer
def texts():
    for n in range(10**9):
        if n == 5000: print("on the way", flush=True)
        yield f"story {{n}}"
tokenize_stories(texts(), load_tokenizer({str(tmp_path / "tokenizer.json")!r}), {str(tmp_path / "cache")!r},
progress=False)
"""
    tokenizer.save(tmp_path / "tokenizer.json")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "on the way\n"
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
    (left,) = folders(tmp_path / "cache")
    assert left.endswith(".part")
    made = tokenize_stories(TEXTS, tokenizer, tmp_path / "cache", progress=False)
    assert len(made) == len(TEXTS)
    part = tmp_path / "cache" / left
    os.utime(part, (time.time() - 2 * 86_400,) * 2)
    tokenize_stories(["other"], tokenizer, tmp_path / "cache", progress=False)
    assert not part.exists()


@pytest.mark.parametrize("name", ["ids.bin", "offsets.npy", "about.json"])
def test_a_damaged_file_is_noticed_and_made_again(tokenizer, tmp_path, name):
    made = tokenize_stories(TEXTS, tokenizer, tmp_path, progress=False)
    folder, whole = made.folder, np.array(made.ids)
    del made  # Windows does not write to a file that is mapped
    path = folder / name
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CourseError, match="damaged|not valid JSON"):
        TokenFile(folder)
    again = tokenize_stories(TEXTS, tokenizer, tmp_path, progress=False)
    assert again.folder == folder and np.array_equal(again.ids, whole)


@pytest.mark.parametrize("value", [..., None, True, -1, 0, 10**40, 0.5, "uint32", [], {}, [1]])
@pytest.mark.parametrize("name", [
    None, "stories", "ids", "dtype", "eos_token_id", "vocab_size", "text_bytes", "tokenizer", "fingerprint", "content",
    "whole", "more",
])  # fmt: skip
def test_any_other_value_in_what_is_said_of_the_tokens_is_noticed(tokenizer, tmp_path, name, value):
    made = tokenize_stories(TEXTS, tokenizer, tmp_path, progress=False)
    path = made.folder / "about.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    assert name in (None, "more") or name in about
    content = {key: each for key, each in (about | {name: value}).items() if each is not ...} if name else value
    if content in (about, ...):
        return
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CourseError, match=r"tokens-\w+ is damaged \(.*\): delete it and tokenize again"):
        TokenFile(made.folder)
    again = tokenize_stories(TEXTS, tokenizer, tmp_path, progress=False)
    assert json.loads(path.read_text(encoding="utf-8")) == about and again.eos_token_id == tokenizer.eos_token_id


def with_other_ids(folder):
    """Two ids change places, in the file's middle."""
    content = bytearray((folder / "ids.bin").read_bytes())
    middle = len(content) // 4 * 2
    first, second = content[middle : middle + 2], content[middle + 2 : middle + 4]
    assert first != second
    content[middle : middle + 4] = second + first
    (folder / "ids.bin").write_bytes(content)


def test_other_ids_of_the_same_length_are_noticed_and_made_again(tokenizer, tmp_path):
    made = tokenize_stories(TEXTS, tokenizer, tmp_path, progress=False)
    folder, whole = made.folder, np.array(made.ids)
    del made
    with_other_ids(folder)
    with pytest.raises(CourseError, match="damaged.*does not hold what was written"):
        TokenFile(folder)
    again = tokenize_stories(TEXTS, tokenizer, tmp_path, progress=False)
    assert again.folder == folder and np.array_equal(again.ids, whole)


def test_a_sampler_does_not_go_on_with_other_ids_whoever_wrote_them(tokenizer, tmp_path):
    """As where a tokenizer of another version had cut the same stories into as many other tokens."""
    made = tokenize_stories(TEXTS, tokenizer, tmp_path, progress=False)
    states = [sampler(made, 2, 8).state_dict() for sampler in (StorySampler, WindowSampler)]
    folder = made.folder
    del made
    with_other_ids(folder)
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    del about["whole"]
    about["content"] = dataset._digest(folder)
    about["whole"] = dataset._digest(folder, about)
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
    other = TokenFile(folder)
    for sampler, state in zip((StorySampler, WindowSampler), states, strict=True):
        with pytest.raises(CourseError, match="other stories, tokens or tokenizer"):
            sampler(other, 2, 8).load_state_dict(state)


def test_a_large_file_is_known_by_its_length_and_by_pieces_all_over_it(tmp_path, monkeypatch):
    """Reading 200 GB would take minutes: 64 MB of it are read, here less. Its first and last bytes are among them."""
    monkeypatch.setattr(dataset, "PIECE", 8)
    monkeypatch.setattr(dataset, "PIECES", 4)
    ids = np.arange(1000, dtype=np.uint16)
    seen = set()
    np.save(tmp_path / "offsets.npy", np.array([1]))
    for changed in (None, 0, 250, 999):
        now = ids.copy()
        if changed is not None:
            now[changed] = 7777
        (tmp_path / "ids.bin").write_bytes(now.tobytes())
        seen.add(dataset._digest(tmp_path))
    (tmp_path / "ids.bin").write_bytes(ids[:-1].tobytes())
    seen.add(dataset._digest(tmp_path))
    assert len(seen) == 5


def test_bad_stories_and_folders_get_a_clear_line(tokenizer, tmp_path):
    with pytest.raises(CourseError, match="no stories to tokenize"):
        tokenize_stories([], tokenizer, tmp_path, progress=False)
    with pytest.raises(CourseError, match="story 1 .* is not text"):
        tokenize_stories(["a", "\ud800"], tokenizer, tmp_path, progress=False)
    with pytest.raises(CourseError, match="story 0 .* is not text"):
        tokenize_stories(iter([None]), tokenizer, tmp_path, progress=False)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(CourseError, match="cannot be written"):
        tokenize_stories(["a"], tokenizer, tmp_path / "file" / "cache", progress=False)
    with pytest.raises(CourseError, match="there is no file"):
        TokenFile(tmp_path)
    assert folders(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="the peak of memory is read with the module resource")
def test_memory_does_not_grow_with_the_number_of_stories(tokenizer, tmp_path):
    """The whole of TinyStories, 2.1 million, must fit into a gigabyte: measure what more stories cost."""
    tokenizer.save(tmp_path / "tokenizer.json")
    script = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from helpers.dataset import tokenize_stories
from helpers.tokenizer import load_tokenizer
number, folder = int(sys.argv[2]), sys.argv[3]
texts = (f"Once Pip lost {n} kites in the park and " + "the rabbit was sad. " * 40 for n in range(number))
made = tokenize_stories(texts, load_tokenizer(folder + "/tokenizer.json"), folder + "/cache", progress=False)
assert len(made) == number
if sys.platform == "linux":  # there ru_maxrss begins with the peak of the process that started this one
    line = next(line for line in open("/proc/self/status", encoding="utf-8") if line.startswith("VmHWM"))
    print(int(line.split()[1]) / 2**10)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
    peak = {}
    for number in (12_000, 48_000):
        arguments = [sys.executable, "-c", script, str(repository_root()), str(number), str(tmp_path)]
        environment = os.environ | {"TOKENIZERS_PARALLELISM": "true"}
        peak[number] = float(subprocess.run(arguments, check=True, capture_output=True, env=environment).stdout)
    a_story = (peak[48_000] - peak[12_000]) / 36_000 * 2**20  # bytes
    assert peak[12_000] + a_story * 2_119_719 / 2**20 < 1024, peak


# --- the samplers
# ----------------------------------------------------------------------------------------------------


def equal(a, b):
    return torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


SAMPLERS = {
    "windows": lambda tokens, seed=0: WindowSampler(tokens, 4, 16, seed),
    "packed": lambda tokens, seed=0: StorySampler(tokens, 4, 32, seed),
    "padded": lambda tokens, seed=0: StorySampler(tokens, 4, 32, seed, packed=False),
}


@pytest.mark.parametrize("kind", SAMPLERS)
def test_shapes_targets_and_seeds(tokens, kind):
    make = SAMPLERS[kind]
    ids, targets = make(tokens).next_batch()
    assert ids.dtype == targets.dtype == torch.int64 and ids.shape == targets.shape
    assert ids.shape[0] == 4 and ids.shape[1] <= 32 and ids.is_contiguous() and targets.is_contiguous()
    known = targets[:, :-1] != IGNORED
    assert torch.equal(ids[:, 1:][known], targets[:, :-1][known])
    assert equal(make(tokens).next_batch(), (ids, targets))
    assert not equal(make(tokens, seed=1).next_batch(), (ids, targets))


@pytest.mark.parametrize("kind", SAMPLERS)
@settings(max_examples=25, deadline=None)
@given(before=st.integers(0, 40), after=st.integers(1, 25))
def test_a_resumed_sampler_gives_the_batches_that_would_have_come(tokens, kind, before, after):
    make = SAMPLERS[kind]
    whole = make(tokens)
    for _ in range(before):
        whole.next_batch()
    resumed = make(tokens)
    resumed.load_state_dict(json.loads(json.dumps(whole.state_dict())))
    for _ in range(after):
        assert equal(whole.next_batch(), resumed.next_batch())
    assert whole.state_dict() == resumed.state_dict() and whole.epochs == resumed.epochs


def stories_in(ids, targets, eos_token_id):
    """The stories of a packed batch: each sequence's ids and last target, cut at the end tokens."""
    for row, last in zip(ids.tolist(), targets[:, -1].tolist(), strict=True):
        story = []
        for i in [*row[1:], last]:
            story.append(i)
            if i == eos_token_id:
                yield story
                story = []
        if story:
            yield story


def test_each_epoch_uses_every_story_once(tokens):
    longest = int(tokens.lengths().max())
    sampler, seen = StorySampler(tokens, 1, longest, seed=3, packed=False), []
    for _ in range(3 * len(tokens)):
        ids, targets = sampler.next_batch()
        assert ids[0, 0] == tokens.eos_token_id and targets[0, -1] == tokens.eos_token_id
        seen.append(targets[0].tolist())
    every = sorted(story.tolist() for story in tokens)
    epochs = [seen[at : at + len(tokens)] for at in range(0, len(seen), len(tokens))]
    assert all(sorted(epoch) == every for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert sampler.epochs == 3


def test_packed_sequences_hold_whole_stories_and_cut_only_the_last(tokens):
    sampler, known = StorySampler(tokens, 3, 64, seed=5), {tuple(story.tolist()) for story in tokens}
    starts = {story[:n] for story in known for n in range(1, len(story) + 1)}
    used = 0
    while sampler.epoch == 0:
        ids, targets = sampler.next_batch()
        assert ids.shape == (3, 64) and (targets != IGNORED).all()
        assert (ids[:, 0] == tokens.eos_token_id).all()
        for story in stories_in(ids, targets, tokens.eos_token_id):
            used += 1
            assert tuple(story) in (known if story[-1] == tokens.eos_token_id else starts)
    assert used == len(tokens) + sampler.position


def test_padding_is_ignored_and_the_batch_is_as_wide_as_its_longest_story(tokens):
    sampler = StorySampler(tokens, 5, 1000, seed=1, packed=False)
    ids, targets = sampler.next_batch()
    lengths = (targets != IGNORED).sum(1)
    assert ids.shape[1] == int(lengths.max())
    for row, target, length in zip(ids, targets, lengths, strict=True):
        assert target[length - 1] == tokens.eos_token_id and (row[length:] == tokens.eos_token_id).all()
        assert (target[length:] == IGNORED).all()


def test_a_story_longer_than_the_context_loses_its_end(tokens):
    for packed in (True, False):
        ids, targets = StorySampler(tokens, 8, 3, packed=packed).next_batch()
        assert ids.shape == (8, 3) and (ids[:, 0] == tokens.eos_token_id).all()
    ids, _ = StorySampler(tokens, 8, 1).next_batch()
    assert ids.shape == (8, 1)
    lengths = [len(story) for story in tokens]
    for context in (1, 12, min(lengths), max(lengths) - 1, max(lengths)):
        share = sum(length > context for length in lengths) / len(lengths)
        assert StorySampler(tokens, 2, context).cut == pytest.approx(share)


def test_windows_reach_both_ends_of_the_file(tokenizer, tmp_path):
    tokens = tokenize_stories(["ab", "cd"], tokenizer, tmp_path, progress=False)
    sampler = WindowSampler(tokens, 64, tokens.tokens - 1)
    ids, targets = sampler.next_batch()
    assert {tuple(row) for row in ids.tolist()} == {
        tuple(tokens.ids[:-2].tolist()),
        tuple(tokens.ids[1:-1].tolist()),
    }
    assert tokens.ids[-1] in targets
    assert equal(
        WindowSampler(tokens, 1, tokens.tokens).next_batch(),
        (torch.tensor([tokens.ids[:-1].tolist()]), torch.tensor([tokens.ids[1:].tolist()])),
    )


def test_settings_that_cannot_be_are_refused(tokens, tokenizer, tmp_path):
    with pytest.raises(CourseError, match="longer than all stories"):
        WindowSampler(tokens, 1, tokens.tokens + 1)
    for make in (WindowSampler, StorySampler):
        with pytest.raises(CourseError, match="batch_size must be"):
            make(tokens, 0, 8)
        with pytest.raises(CourseError, match="context_length must be"):
            make(tokens, 1, 0)
        with pytest.raises(CourseError, match="seed must be"):
            make(tokens, 1, 8, seed=-1)
    saved = StorySampler(tokens, 4, 32).state_dict()
    others = tokenize_stories(TEXTS[1:], tokenizer, tmp_path, progress=False)
    for sampler, name in [
        (WindowSampler(tokens, 4, 32), "sampler"),
        (StorySampler(others, 4, 32), "stories"),
        (StorySampler(tokens, 5, 32), "batch_size"),
        (StorySampler(tokens, 4, 31), "context_length"),
        (StorySampler(tokens, 4, 32, seed=1), "seed"),
        (StorySampler(tokens, 4, 32, packed=False), "packed"),
    ]:
        with pytest.raises(CourseError, match=f"the saved sampler had {name}="):
            sampler.load_state_dict(saved)


# --- the bundled stories
# ---------------------------------------------------------------------------------------------


def test_the_bundled_stories_are_tokenised_whole(tmp_path):
    stories, tokenizer = load_stories(split="validation", limit=300), load_tokenizer()
    tokens = tokenize_stories(stories, tokenizer, tmp_path, progress=False)
    assert [tokenizer.decode(tokens.story(i)[:-1]) for i in range(300)] == list(stories)
