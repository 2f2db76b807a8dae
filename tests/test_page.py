"""The living page's parts, without a browser: the graph beside its model, the runtime's archive, the facts."""

import base64
import hashlib
import io
import math
import sys
import tarfile
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch

from course.__main__ import main
from course.mentions import words_by_role
from course.site import page, page_facts, page_onnx, page_runtime
from data.story_grammar.stories import full_grammar
from helpers.checkpoint import load_model, save_model
from helpers.errors import CourseError
from helpers.files import read_json, repository_root, write_json
from helpers.generation import SHIPPED
from helpers.kv_cache import KVCache
from helpers.model import GPT, GPTConfig
from helpers.modern import ModernConfig, model_of
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer

TINY = dict(vocab_size=300, context_length=24, n_layer=3, n_head=2, d_model=16)
OPTIONS = {
    "GPT-2": {},
    "2017": dict(norm="post", activation="relu", positions="sinusoidal", bias=False, tied_head=False, d_ff=20),
}


def made(name: str) -> GPT:
    """The shipped storyteller, or a small model whose every weight is random, so that no part goes unnoticed."""
    if name == "shipped":
        return load_model(SHIPPED)[0]
    generator = torch.Generator().manual_seed(5)
    model = GPT(GPTConfig(**TINY | OPTIONS[name])).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5, generator=generator)
    return model


# ---------------------------------------------------------------------- the graph


@pytest.fixture(scope="module", params=["shipped", *OPTIONS])
def both(request):
    """A model, and a function that runs its graph: ids and past to present, attention and lens."""
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = made(request.param)
    exported = page_onnx.as_onnx(model)
    assert str(repository_root()).encode() not in exported and b"site-packages" not in exported, "paths of this machine"
    session = runtime.InferenceSession(exported)

    def run(ids, past=None):
        config = model.config
        if past is None:
            past = np.zeros((config.n_layer, 2, config.n_head, 0, config.d_head), np.float32)
        return session.run(page_onnx.OUTPUTS, {"ids": np.array([ids], np.int32), "past": past})

    return model, run


def some_ids(model: GPT, number: int) -> list[int]:
    generator = torch.Generator().manual_seed(number)
    return torch.randint(model.config.vocab_size, (number,), generator=generator).tolist()


def close(found, expected):
    torch.testing.assert_close(torch.as_tensor(found), expected.detach(), rtol=1e-4, atol=1e-4)


def test_the_graph_says_what_the_model_says_at_every_position(both):
    model, run = both
    ids = some_ids(model, model.config.context_length)
    _, _, lens = run(ids)
    close(lens[-1], model(torch.tensor([ids]))[0])


def test_a_story_read_in_pieces_is_a_story_read_at_once(both):
    model, run = both
    ids, cache, past, at = some_ids(model, 21), KVCache(model), None, 0
    for size in (7, 1, 1, 5, 1, 6):
        past, attention, lens = run(ids[at : at + size], past)
        at += size
        assert past.shape[3] == at and attention.shape[2:] == (size, at)
        close(lens[-1][-1], cache.start([ids[:at]])[0])


def test_attention_and_lens_are_those_of_the_model_s_own_layers(both):
    model, run = both
    ids = some_ids(model, 13)
    _, attention, lens = run(ids)
    entered, left, hooks = [], [], []
    for block in model.blocks:
        hooks.append(block.attn.register_forward_pre_hook(lambda _, given: entered.append(given[0])))
        hooks.append(block.register_forward_hook(lambda _, given, found: left.append(found)))
    with torch.no_grad():
        model(torch.tensor([ids]))
        for hook in hooks:
            hook.remove()
        for layer, block in enumerate(model.blocks):
            close(attention[layer], block.attn.weights(entered[layer])[0])
            close(lens[layer], model.head(model.ln_f(left[layer]))[0])


# ---------------------------------------------------------------------- what is refused


def test_a_model_of_other_parts_is_refused():
    modern = model_of(ModernConfig.llama(vocab_size=300, context_length=16, n_layer=1, n_head=2, d_model=16))
    with pytest.raises(CourseError, match="notebook 14"):
        page.check_size(modern)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict(d_model=1024, n_layer=2, d_ff=4096), "weights take 10. MB"),
        (dict(vocab_size=50257, context_length=1024), "logits, 3 layers of 50,257 at 1,024 positions, take 618 MB"),
    ],
)
def test_a_model_that_is_too_large_is_refused(changes, said):
    with pytest.raises(CourseError, match=said):
        page.check_size(GPT(GPTConfig(**TINY | changes)))


@pytest.fixture
def tiny_folder(tmp_path):
    model = GPT(GPTConfig(**TINY | {"vocab_size": 2048}))
    return save_model(tmp_path / "tiny", model, load_tokenizer())


def test_a_missing_package_is_named_with_what_installs_it(tiny_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr(page, "runtime_files", lambda cache: {})
    assert main(["page", str(tiny_folder), "--out", str(tmp_path / "page")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "onnx is not installed" in said and "docs/requirements.txt" in said
    assert not (tmp_path / "page").exists()


def test_a_folder_that_is_no_page_is_left_alone(tiny_folder, capsys):
    assert main(["page", str(tiny_folder), "--out", str(tiny_folder)]) == 2
    assert "holds something that is no page" in capsys.readouterr().err
    assert (tiny_folder / "model.safetensors").is_file()


def test_a_page_is_written_over_a_page_and_says_how_to_see_it(tiny_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(page, "as_onnx", lambda model: b"graph")
    monkeypatch.setattr(page, "runtime_files", lambda cache: {"run.mjs": b"runtime"})
    out = tmp_path / "pages" / "mine"
    for _ in range(2):
        assert main(["page", str(tiny_folder), "--out", str(out)]) == 0
        assert f"python -m http.server --bind 127.0.0.1 --directory {out}" in capsys.readouterr().out
        assert read_json(out / "model" / "facts.json")["name"] == "tiny"
        assert (out / "runtime" / "run.mjs").is_file() and (out / "engine" / "index.js").is_file()
        assert not (out / "old.html").exists()
        (out / "old.html").write_text("of an earlier page", encoding="utf-8")
    assert [path.name for path in out.parent.iterdir()] == ["mine"]


def test_another_kind_of_tokenizer_is_refused():
    from tokenizers import Tokenizer, models, pre_tokenizers

    from helpers.tokenizer import Tokenizer as Ours

    library = Tokenizer(models.WordLevel({"<|endoftext|>": 0, "a": 1, "?": 2}, unk_token="?"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.add_special_tokens(["<|endoftext|>"])
    with pytest.raises(CourseError, match="byte-level BPE"):
        page_facts.tokenizer_facts(Ours(library.to_str(), "words"), "words")


# ---------------------------------------------------------------------- the runtime's archive


def archive(names) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            file.addfile(member, io.BytesIO(name.encode()))
    return packed.getvalue()


@pytest.fixture
def registry(monkeypatch):
    """A stand-in for the npm registry: what it gives, and how often it was asked."""
    good = archive([*(f"package/dist/{name}" for name in page_runtime.FILES), "../outside", "package/dist/x/../y"])
    state = {"gives": good, "asked": 0}

    def opened(address, timeout):
        state["asked"] += 1
        assert address == page_runtime.ADDRESS and timeout
        if isinstance(state["gives"], Exception):
            raise state["gives"]
        return io.BytesIO(state["gives"])

    monkeypatch.setattr(urllib.request, "urlopen", opened)
    monkeypatch.setattr(page_runtime, "SIZE", len(good))
    monkeypatch.setattr(page_runtime, "INTEGRITY", base64.b64encode(hashlib.sha512(good).digest()).decode())
    return state


def test_the_runtime_is_fetched_once_and_nothing_else_is_taken_out(registry, tmp_path):
    for _ in range(2):
        found = page_runtime.runtime_files(tmp_path)
        assert found == {name: f"package/dist/{name}".encode() for name in page_runtime.FILES}
    assert registry["asked"] == 1 and len(list(tmp_path.iterdir())) == 1


def test_a_damaged_archive_is_fetched_again(registry, tmp_path):
    page_runtime.runtime_files(tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(bytes(len(registry["gives"])))
    page_runtime.runtime_files(tmp_path)
    assert registry["asked"] == 2 and kept.read_bytes() == registry["gives"]


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (b"<html>log in to the hotel's network</html>", "gave something else"),
        (urllib.error.URLError("no route to host"), "could not be fetched (no route to host)"),
        (TimeoutError("timed out"), "could not be fetched (timed out)"),
    ],
)
def test_what_cannot_be_fetched_is_said_and_not_kept(registry, tmp_path, gives, said):
    registry["gives"] = gives
    with pytest.raises(CourseError) as error:
        page_runtime.runtime_files(tmp_path)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- what the page knows of its model


@pytest.fixture(scope="module")
def shipped_facts():
    model, tokenizer = load_model(SHIPPED)
    return page_facts.facts(model, tokenizer, SHIPPED)


def test_an_example_s_floor_is_what_the_grammar_scores(shipped_facts):
    grammar = full_grammar()
    assert len({example["plot"] for example in shipped_facts["examples"]}) == page_facts.EXAMPLES
    for example in shipped_facts["examples"][:3]:
        bits = -grammar.log_prob(example["text"]) / math.log(2) / len(example["text"].encode("utf-8"))
        assert example["floorBitsPerByte"] == pytest.approx(bits, abs=1e-6)


def test_the_roles_hold_the_words_that_the_stories_use(shipped_facts):
    said = words_by_role(load_stories("bundled", "validation").dataset)
    roles = shipped_facts["roles"]
    assert set(said["hero"]) == set(said["friend"]) == set(roles["names"])
    assert set(said["toy"]) == set(roles["toys"]) and set(said["color"]) == set(roles["colors"])
    assert set(said["kind"]) == set(roles["kinds"])


def test_links_lead_to_notebooks_that_are_there(shipped_facts):
    links = shipped_facts["links"]
    assert set(links) == set(page_facts.PARTS)
    for address in links.values():
        assert (repository_root() / "notebooks" / address.rsplit("/", 1)[1]).is_file(), address


def test_what_is_known_of_the_bundled_stories_alone_is_not_said_of_others(tiny_folder):
    model, tokenizer = load_model(tiny_folder)
    found = page_facts.facts(model, tokenizer, tiny_folder)
    assert found["floorBitsPerByte"] is found["bitsPerByte"] is found["madeBy"] is None
    assert found["roles"] == {} and found["examples"] == [] and found["name"] == "tiny"


@pytest.mark.parametrize("training", [None, [], {"recipe": ["bundled"]}, {"recipe": "bundled", "steps": "x"}])
def test_what_a_model_says_of_its_training_may_be_anything(tiny_folder, training):
    model, tokenizer = load_model(tiny_folder)
    write_json(tiny_folder / "config.json", read_json(tiny_folder / "config.json") | {"training": training})
    found = page_facts.facts(model, tokenizer, tiny_folder)
    assert found["madeBy"] is None and found["examples"] == []
