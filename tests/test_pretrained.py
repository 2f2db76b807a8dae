"""Weights from transformers' folders and from the Hub, refused with a reason where they do not fit; and exports."""

import contextlib
import hashlib
import json
import logging
import math
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
import torch
from safetensors.torch import load_file, save_file

from course import export as export_module
from course.export import config_to_transformers, export, from_transformers_state, to_transformers_state
from course.site.model_cards import facts_of_run, model_card
from helpers import model_files
from helpers.checkpoint import load_model, save_model
from helpers.errors import CourseError
from helpers.files import data_folder, repository_root
from helpers.generation import encode_prompt, generate, generate_text
from helpers.model import GPT, GPTConfig
from helpers.pretrained import config_from_transformers, load_pretrained, transformers_name
from helpers.tokenizer import load_tokenizer, train_tokenizer

TINY = GPTConfig(280, 24, n_layer=2, n_head=2, d_model=16)
CARD = "# A model"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = GPT(TINY).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["Once upon a time, Tom had a kite. The kite was red."] * 3, 280)


@pytest.fixture
def write(tmp_path, model):
    """A folder in transformers' layout, changed by a test before it is written."""

    def write(change_state=lambda state: None, config=None, name="model") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        state = {key: tensor.contiguous().clone() for key, tensor in to_transformers_state(model).items()}
        change_state(state)
        content = config_to_transformers(model.config, 0) | (config or {})
        (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
        save_file(state, folder / "model.safetensors", {"format": "pt"})
        return folder

    return write


def same(one: GPT, other: GPT) -> bool:
    pairs = zip(one.named_parameters(), other.named_parameters(), strict=True)
    return one.config == other.config and all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


# ---------------------------------------------------------------------- what is read


def test_names_and_layout():
    assert transformers_name("blocks.11.attn.qkv.weight") == ("transformer.h.11.attn.c_attn.weight", True)
    assert transformers_name("blocks.0.attn.proj.bias") == ("transformer.h.0.attn.c_proj.bias", False)
    assert transformers_name("blocks.0.mlp.fc.weight") == ("transformer.h.0.mlp.c_fc.weight", True)
    assert transformers_name("blocks.0.ln_1.weight") == ("transformer.h.0.ln_1.weight", False)
    assert transformers_name("wte.weight") == ("transformer.wte.weight", False)
    assert transformers_name("head.weight") == ("lm_head.weight", False)


def test_a_folder_is_read(write, model):
    folder = write()
    before = torch.get_rng_state()
    for source in (folder, str(folder)):
        loaded = GPT.from_pretrained(source)
        assert same(loaded, model) and not loaded.training
        assert all(p.requires_grad and p.dtype == torch.float32 for p in loaded.parameters())
    assert torch.equal(torch.get_rng_state(), before)  # nobody's seed is disturbed


def test_old_files_are_read_too(write, model):
    """OpenAI's checkpoints have no prefix, hold the causal masks, and newer ones repeat the tied head."""

    def as_of_old(state):
        for name in list(state):
            state[name.removeprefix("transformer.")] = state.pop(name)
        for i in range(2):
            state[f"h.{i}.attn.bias"] = torch.ones(1, 1, 24, 24).tril()
            state[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
        state["lm_head.weight"] = state["wte.weight"].clone()

    assert same(load_pretrained(write(as_of_old)), model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(write, model, dtype):
    loaded = load_pretrained(write(lambda state: state.update({n: t.to(dtype) for n, t in state.items()})))
    for mine, expected in zip(loaded.parameters(), model.parameters(), strict=True):
        assert mine.dtype == torch.float32 and torch.equal(mine, expected.to(dtype).float())


def test_sharded_weights_are_read(write, model):
    folder = write()
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {f"model-0000{i + 1}-of-00003.safetensors": dict(list(state.items())[i::3]) for i in range(3)}
    for name, part in parts.items():
        save_file(part, folder / name)
    index = {"metadata": {}, "weight_map": {key: name for name, part in parts.items() for key in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert same(load_pretrained(folder), model)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CourseError, match="lacks model-00002-of-00003.safetensors, which its .*index.json names"):
        load_pretrained(folder)
    save_file(parts["model-00001-of-00003.safetensors"], folder / "model-00002-of-00003.safetensors")
    with pytest.raises(CourseError, match="in two of its files"):
        load_pretrained(folder)
    for weight_map in ({"a": "../a.safetensors"}, {"a": "pytorch_model-1.bin"}, {}, None, {"a": 3}):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
        with pytest.raises(CourseError, match="does not say which file holds which tensor"):
            load_pretrained(folder)


def test_dropout_is_that_of_the_file_or_what_is_asked_for(write):
    folder = write(config=dict(resid_pdrop=0.1, attn_pdrop=0.1, embd_pdrop=0.1))
    assert GPT.from_pretrained(folder).config.dropout == 0.1
    assert GPT.from_pretrained(folder, dropout=0.0).config.dropout == 0
    folder = write(config=dict(resid_pdrop=0.1), name="uneven")
    with pytest.raises(CourseError, match="a different dropout in each place"):
        GPT.from_pretrained(folder)
    assert GPT.from_pretrained(folder, dropout=0.2).config.dropout == 0.2


def test_relu_and_a_head_of_its_own(tmp_path, tokenizer):
    torch.manual_seed(1)
    model = GPT(GPTConfig(280, 24, 1, 2, 16, d_ff=40, activation="relu", tied_head=False))
    folder = export(model, tokenizer, tmp_path / "export", card=CARD)
    assert same(GPT.from_pretrained(folder), model)
    state = load_file(folder / "model.safetensors")
    del state["lm_head.weight"]
    with pytest.raises(CourseError, match="lacks lm_head.weight"):
        from_transformers_state(state, model.config)


# ---------------------------------------------------------------------- what is refused


def put(**tensors):
    return lambda state: state.update({name.replace("__", "."): tensor for name, tensor in tensors.items()})


WRONG = {
    "shape": (
        put(transformer__wpe__weight=torch.zeros(25, 16)),
        r"transformer.wpe.weight has shape \(25, 16\), and its config.json asks for \(24, 16\)",
    ),
    "not transposed": (
        lambda state: state.update({(n := "transformer.h.1.mlp.c_fc.weight"): state[n].t().contiguous()}),
        r"h.1.mlp.c_fc.weight has shape \(64, 16\), and its config.json asks for \(16, 64\)",
    ),
    "missing": (
        lambda state: state.pop("transformer.h.1.ln_2.bias"),
        "lacks transformer.h.1.ln_2.bias, which a GPT-2",
    ),
    "extra": (put(transformer__h__2__ln_1__bias=torch.zeros(16)), "has transformer.h.2.ln_1.bias, which a GPT-2"),
    "another head": (put(multiple_choice_head__summary__bias=torch.zeros(1)), "has .*multiple_choice_head"),
    "twice": (put(wte__weight=torch.zeros(280, 16)), "has transformer.wte.weight twice"),
    "not tied": (put(lm_head__weight=torch.zeros(280, 16)), "lm_head.weight that is not its token embedding"),
    "short head": (put(lm_head__weight=torch.zeros(9, 16)), "lm_head.weight that is not its token embedding"),
    "integers": (put(transformer__ln_f__bias=torch.zeros(16, dtype=torch.int8)), "ln_f.bias holds torch.int8"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_tensors_that_do_not_fit_are_refused_by_name(write, kind):
    change, message = WRONG[kind]
    with pytest.raises(CourseError, match=message):
        load_pretrained(write(change))


def test_many_missing_tensors_are_counted(write):
    with pytest.raises(CourseError, match="h.2.attn.c_attn.bias, .* and 9 more, which"):
        load_pretrained(write(config={"n_layer": 3}))


CONFIGS = [
    ({"model_type": "llama"}, "not a GPT-2: its config.json says model_type 'llama'"),
    ({"model_type": None}, "not a GPT-2"),
    ({"activation_function": "gelu"}, "has the nonlinearity 'gelu', and the course's GPT only gelu_new or"),
    ({"activation_function": ["relu"]}, "has the nonlinearity"),
    ({"scale_attn_by_inverse_layer_idx": True}, "by the number of the layer"),
    ({"reorder_and_upcast_attn": True}, "another order and precision"),
    ({"scale_attn_weights": False}, "does not scale its attention scores"),
    ({"add_cross_attention": True}, "cross-attention"),
    ({"layer_norm_epsilon": 1e-6}, "LayerNorms .layer_norm_epsilon is 1e-06"),
    ({"quantization_config": {"bits": 4}}, "quantized"),
    ({"n_head": 3}, "describes no model that can be: d_model .*must be a multiple of n_head"),
    ({"n_layer": "2"}, "n_layer must be a whole number"),
    ({"resid_pdrop": None, "attn_pdrop": None, "embd_pdrop": None}, "describes no model that can be"),
    ({"vocab_size": 9_000_000}, r"wte.weight has shape \(280, 16\)"),  # refused before memory is asked for
]


@pytest.mark.parametrize(("config", "message"), CONFIGS)
def test_another_architecture_is_refused(write, config, message):
    with pytest.raises(CourseError, match=message):
        load_pretrained(write(config=config))


def test_a_config_without_a_shape_is_refused(write):
    folder = write()
    for text, message in [
        ('{"model_type": "gpt2", "n_layer": 2}', "does not say vocab_size, n_positions, n_head, n_embd"),
        ("[1]", "not a JSON object"),
        ("{", "is not valid JSON"),
    ]:
        (folder / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(CourseError, match=message):
            load_pretrained(folder)
    with pytest.raises(CourseError, match="not a JSON object"):
        config_from_transformers("gpt2")


def test_a_pickle_is_not_opened(write, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "it went off",))

    folder = write()
    (folder / "model.safetensors").unlink()
    with pytest.raises(CourseError, match="no weights: there is no model.safetensors"):
        load_pretrained(folder)
    torch.save(Bomb(), folder / "pytorch_model.bin")
    with pytest.raises(CourseError, match="only as pytorch_model.bin, and nothing is unpickled"):
        load_pretrained(folder)
    (folder / "pytorch_model.bin").rename(folder / "model.safetensors")  # a pickle by another name
    with pytest.raises(CourseError, match="damaged or not a safetensors file"):
        load_pretrained(folder)
    assert not (tmp_path / "it went off").exists()


def test_a_cut_file_is_refused(write):
    path = write() / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CourseError, match="damaged"):
        load_pretrained(path.parent)


def test_what_is_no_model_says_so(tmp_path, model, tokenizer, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CourseError, match="there is no folder no/such/folder, and .* give gpt2, gpt2-medium"):
        load_pretrained("no/such/folder")
    with pytest.raises(CourseError, match="there is no folder gpt3"):
        load_pretrained("gpt3")
    with pytest.raises(CourseError, match="there is no folder"):
        load_pretrained(tmp_path / "nothing")
    with pytest.raises(CourseError, match="it has no config.json"):
        load_pretrained(tmp_path)
    save_model(tmp_path / "ours", model, tokenizer)
    with pytest.raises(CourseError, match="helpers.checkpoint.load_model"):
        load_pretrained("ours")


def test_a_state_needs_a_shape_that_gpt2_can_have(model):
    state = to_transformers_state(model)
    assert same(from_transformers_state(state, TINY), model)
    with pytest.raises(CourseError, match="sinusoidal positions"):
        from_transformers_state(state, GPTConfig(280, 24, 2, 2, 16, positions="sinusoidal"))


# ---------------------------------------------------------------------- the Hub

HUB_TEST = """
import sys, time
from helpers.errors import CourseError
from helpers.model import GPT
for name in sys.argv[1:]:
    start = time.perf_counter()
    try:
        print(GPT.from_pretrained(name).parameter_count())
    except CourseError as error:
        print(error)
    assert time.perf_counter() - start < 60, name  # seconds, on a machine that is not busy
"""


@contextlib.contextmanager
def hub(files: dict[str, dict[str, bytes]], broken: str | None = None):
    """A small Hub on this machine: `{"owner/name": {path: content}}`; yields its address and what was asked for.

    The file `broken` is there, and cannot be had. An empty content stands for a file about which it says nothing.
    """
    asked, gone = [], Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            repository, _, name = self.path.strip("/").partition("/resolve/main/")
            asked.append(f"{self.command} {name}")
            content = files.get(repository, {}).get(name)
            if content == b"":
                gone.wait(30)
                return
            code = "RepoNotFound" if repository not in files else "EntryNotFound" if content is None else ""
            status = 503 if self.command == "GET" and name == broken else 404 if code and name else 200
            content = b"" if status != 200 else content or b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "1" * 40)
            if code:
                self.send_header("X-Error-Code", code)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        gone.set()
        server.shutdown()
        server.server_close()


def load_from_hub(address: str, home: Path, *names: str) -> list[str]:
    """The lines that a fresh process prints, which loads models by name; its cache is `home`."""
    closed = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    environment = {key: value for key, value in os.environ.items() if key not in closed}
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", HUB_TEST, *names], cwd=repository_root(), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_comes_from_the_hub_once(write, model, tmp_path):
    whole = contents(write())
    state = load_file(tmp_path / "model" / "model.safetensors")
    parts = {}
    for i in range(2):
        save_file(dict(list(state.items())[i::2]), tmp_path / "part.safetensors")
        parts[f"part-{i}.safetensors"] = (tmp_path / "part.safetensors").read_bytes()
    weight_map = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(state)}
    index = {"model.safetensors.index.json": json.dumps({"weight_map": weight_map}).encode()}
    config = {"config.json": whole["config.json"]}
    files = {
        "openai-community/gpt2": whole,
        "ada/sharded": config | index | parts,
        "ada/pickled": config | {"pytorch_model.bin": b"a pickle"},
        "ada/empty": config,
    }
    count = str(model.parameter_count())
    names = ("gpt2", "gpt2", "ada/sharded", "ada/pickled", "ada/empty", "ada/none")
    with hub(files) as (address, asked):
        lines = load_from_hub(address, tmp_path / "home", *names)
    assert lines[:3] == [count, count, count]
    assert asked.count("GET model.safetensors") == 1  # the second time it was in the cache
    assert "only as pytorch_model.bin, and nothing is unpickled" in lines[3]
    assert "GET pytorch_model.bin" not in asked and "HEAD pytorch_model.bin" in asked
    assert lines[4] == "ada/empty has no weights: there is no model.safetensors"
    assert lines[5] == f"{address} shows no model ada/none to you"
    # The Hub is gone: what was fetched is still there, the rest is refused within seconds.
    lines = load_from_hub(address, tmp_path / "home", "gpt2", "ada/sharded", "gpt2-xl")
    assert lines[:2] == [count, count] and f"{address} does not answer" in lines[2]


def test_a_hub_that_breaks_off_is_said_in_one_line_and_in_seconds(write, tmp_path):
    files = contents(write())
    cut = {"ada/silent": files | {"model.safetensors": b""}, "openai-community/gpt2": files}
    with hub(cut, broken="model.safetensors") as (address, asked):
        lines = load_from_hub(address, tmp_path / "home", "gpt2", "ada/silent")
    assert asked.count("HEAD model.safetensors") == 3  # of the silent one it was asked once, and not again and again
    assert (
        lines[0].startswith("model.safetensors of openai-community/gpt2 could not be fetched (") and "503" in lines[0]
    )
    assert lines[1].startswith(f"{address} does not give model.safetensors of ada/silent: it is busy")


def test_without_a_hub_nothing_else_is_given(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(model_files.HubFiles, "here", lambda *_: None)
    with pytest.raises(CourseError, match="config.json of openai-community/gpt2-medium is not in the cache"):
        GPT.from_pretrained("gpt2-medium")


# ---------------------------------------------------------------------- exports


@pytest.fixture(scope="module")
def storyteller():
    return load_model(data_folder() / "storyteller")


@pytest.fixture(scope="module")
def exported(storyteller, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "a story teller"
    return export(*storyteller, folder, card=model_card(*storyteller))


@pytest.fixture(autouse=True)
def quiet():
    """transformers shows bars on stderr; a course's tests need none."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()


def test_the_courses_own_commands_read_an_export_too(exported, storyteller, tmp_path):
    model, tokenizer = load_model(exported)
    assert same(model, storyteller[0]) and tokenizer.fingerprint == storyteller[1].fingerprint
    assert facts_of_run(exported) == {}
    with pytest.raises(CourseError, match="is not a GPT-2"):
        save_model(tmp_path, *storyteller)
        (tmp_path / "config.json").write_text('{"model_type": "gpt_neo"}', encoding="utf-8")
        load_model(tmp_path)


def test_an_export_is_what_transformers_expects(exported, storyteller):
    model, tokenizer = storyteller
    assert {path.name for path in exported.iterdir()} == export_module.WRITTEN
    assert not any(path.name.startswith(".") for path in exported.parent.iterdir())
    assert same(GPT.from_pretrained(exported), model)
    assert load_tokenizer(exported).fingerprint == tokenizer.fingerprint
    about = json.loads((exported / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert about["add_prefix_space"] is about["clean_up_tokenization_spaces"] is False  # older versions look at them
    from safetensors import safe_open

    with safe_open(exported / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
        assert all(name.startswith("transformer.") or name == "lm_head.weight" for name in file.keys())
        assert ("lm_head.weight" in file.keys()) is not model.config.tied_head


def test_transformers_computes_the_same_logits(exported, storyteller):
    from transformers import AutoModelForCausalLM, GPT2LMHeadModel

    model, _ = storyteller
    ids = torch.randint(0, model.config.vocab_size, (3, 256), generator=torch.Generator().manual_seed(0))
    for kind in (AutoModelForCausalLM, GPT2LMHeadModel):
        theirs, report = kind.from_pretrained(exported, output_loading_info=True)
        assert not any(report.values()), report  # nothing missing, left over or of another shape
        assert type(theirs) is GPT2LMHeadModel and theirs.dtype == torch.float32
        with torch.no_grad():
            assert (theirs(ids).logits - model(ids)).abs().max() < 1e-4


TEXTS = [
    "Once upon a time, there was a rabbit named Lily.",
    "",
    " ",
    "  two  spaces, a tab\tand\n\nlines \n",
    "Don't, I'll, they've: 3.14 and 2,048!",
    "na\u00efve caf\u00e9 \u2014 \u201cquoted\u201d \u2026",
    "\u65e5\u672c\u8a9e \u0420\u0443\u0441\u0441\u043a\u0438\u0439 \u0639\u0631\u0628\u064a",
    "\U0001f642\U0001f469\u200d\U0001f680 e\u0301",
    "\x00\x7f\ufeff\u00a0\u2028",
    "Hello ,world . It 's n't clean .",  # a cleaner would change these spaces
]


def test_the_tokenizers_give_the_same_ids(exported, storyteller):
    from transformers import AutoTokenizer

    _, tokenizer = storyteller
    theirs = AutoTokenizer.from_pretrained(exported)
    stories = [f"{text} {i}" for i, text in enumerate(TEXTS)]
    for text in [*TEXTS, *stories, "one<|endoftext|>two"]:
        ids = tokenizer.encode(text, allowed_special=True)
        assert theirs(text).input_ids == ids, text
        assert theirs.decode(ids) == tokenizer.decode(ids) == text
    assert theirs.eos_token_id == theirs.bos_token_id == theirs.pad_token_id == tokenizer.eos_token_id
    assert theirs.model_max_length == 256 and len(theirs) == tokenizer.vocab_size
    batch = theirs(["Tom", "Tom had a kite"], padding=True, return_tensors="pt")
    assert batch.input_ids.shape == batch.attention_mask.shape


def test_the_pipeline_tells_the_same_story(exported, storyteller):
    from transformers import pipeline

    model, tokenizer = storyteller
    theirs = pipeline("text-generation", str(exported))
    (answer,) = theirs("<|endoftext|>One day, Tom", do_sample=False, max_new_tokens=200)
    ours = generate_text(model, tokenizer, "One day, Tom", 200, greedy=True)
    assert answer["generated_text"] == "<|endoftext|>" + ours
    torch.manual_seed(0)
    (answer,) = theirs("<|endoftext|>Once upon a time", do_sample=True)  # as long as the context lets it by default
    assert len(tokenizer.encode(answer["generated_text"])) > 50


def test_a_pipeline_that_is_told_how_many_tokens_does_not_warn(exported):
    from transformers import pipeline

    theirs = pipeline("text-generation", str(exported))
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        for how in ({"max_new_tokens": 5}, {"max_new_tokens": 5, "do_sample": False}, {"do_sample": False}):
            theirs("<|endoftext|>Once upon a time", **how)
    finally:
        logger.removeHandler(handler)
    assert said == []


def test_a_batch_of_prompts_of_unequal_length_is_continued_as_each_alone(exported, storyteller):
    from transformers import AutoTokenizer, GPT2LMHeadModel

    model, tokenizer = storyteller
    theirs = AutoTokenizer.from_pretrained(exported)
    prompts = ["Tom", "Once upon a time, a little rabbit named Pip lost a red kite."]
    batch = theirs(["<|endoftext|>" + prompt for prompt in prompts], padding=True, return_tensors="pt")
    answers = GPT2LMHeadModel.from_pretrained(exported).generate(**batch, do_sample=False, max_new_tokens=30)
    for prompt, answer in zip(prompts, answers[:, batch.input_ids.shape[1] :].tolist(), strict=True):
        assert answer == list(generate(model, encode_prompt(tokenizer, prompt), 30, greedy=True))


def test_the_card_is_right_about_a_special_token_in_a_text(exported, storyteller):
    from transformers import AutoTokenizer

    _, tokenizer = storyteller
    theirs, text = AutoTokenizer.from_pretrained(exported), "one<|endoftext|>two"
    assert theirs(text).input_ids == tokenizer.encode(text, allowed_special=True)
    assert theirs(text, split_special_tokens=True).input_ids == tokenizer.encode(text)
    assert tokenizer.eos_token_id in theirs(text).input_ids and tokenizer.eos_token_id not in tokenizer.encode(text)
    card = (exported / "README.md").read_text(encoding="utf-8")
    assert "split_special_tokens=True" in card and "allowed_special=True" in card and "context of 256 tokens" in card


def test_generate_tells_the_same_story_and_stops_by_itself(exported, storyteller):
    from transformers import GPT2LMHeadModel

    model, tokenizer = storyteller
    ids = encode_prompt(tokenizer, "Once upon a time")
    theirs = GPT2LMHeadModel.from_pretrained(exported)
    answer = theirs.generate(torch.tensor([ids]), do_sample=False)[0, len(ids) :].tolist()
    assert len(ids) + len(answer) <= 256
    assert answer[:-1] == list(generate(model, ids, len(answer), greedy=True, eos_token_id=tokenizer.eos_token_id))
    assert answer[-1] == tokenizer.eos_token_id


def test_transformers_writes_what_we_read(exported, storyteller, tmp_path):
    from transformers import GPT2LMHeadModel

    GPT2LMHeadModel.from_pretrained(exported).save_pretrained(tmp_path / "whole")
    GPT2LMHeadModel.from_pretrained(exported).save_pretrained(tmp_path / "parts", max_shard_size="1MB")
    assert (tmp_path / "parts" / "model.safetensors.index.json").is_file()
    for name in ("whole", "parts"):
        assert same(GPT.from_pretrained(tmp_path / name), storyteller[0])


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"norm": "post"}, r"LayerNorms behind the sublayers \(norm='post'\)"),
        ({"positions": "sinusoidal"}, "sinusoidal positions"),
        ({"bias": False}, "no biases"),
    ],
)
def test_what_gpt2_cannot_be_is_not_exported(option, reason, tokenizer, tmp_path):
    model = GPT(GPTConfig(280, 24, 1, 2, 16, **option))
    with pytest.raises(CourseError, match=reason):
        export(model, tokenizer, tmp_path / "export", card=CARD)
    with pytest.raises(CourseError, match=reason):
        export_module.to_transformers(model)
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_of_another_model_is_refused(model, tmp_path):
    with pytest.raises(CourseError, match="do not belong together"):
        export(model, load_tokenizer("bundled"), tmp_path / "export", card=CARD)
    assert list(tmp_path.iterdir()) == []


def test_only_an_export_is_overwritten(model, tokenizer, tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    export(model, tokenizer, folder, card="# First")  # an empty folder is as good as none
    with pytest.raises(CourseError, match="holds an export already"):
        export(model, tokenizer, folder, card=CARD)
    export(model, tokenizer, folder, card="# Second", overwrite=True)
    assert "# Second" in (folder / "README.md").read_text(encoding="utf-8")
    (folder / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(CourseError, match="holds thesis.txt that no export wrote"):
        export(model, tokenizer, folder, card=CARD, overwrite=True)
    save_model(tmp_path / "ours", model, tokenizer)
    with pytest.raises(CourseError, match="holds something that no export wrote"):
        export(model, tokenizer, tmp_path / "ours", card=CARD, overwrite=True)
    with pytest.raises(CourseError, match="is a file"):
        export(model, tokenizer, folder / "thesis.txt", card=CARD, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"export", "ours"}


def test_an_interrupted_export_leaves_what_was_there(model, tokenizer, tmp_path, monkeypatch):
    folder = export(model, tokenizer, tmp_path / "export", card="# First")
    for broken in ("write_atomically", "_replace"):
        with monkeypatch.context() as patch:
            patch.setattr(export_module, broken, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                export(model, tokenizer, folder, card="# Second", overwrite=True)
    with monkeypatch.context() as patch:
        replace = os.replace
        patch.setattr(os, "replace", lambda a, b: replace(a, b) if Path(a) == folder or "/.export" not in str(a)
                      or str(a).endswith(".old") else (_ for _ in ()).throw(OSError("full")))  # fmt: skip
        with pytest.raises(OSError, match="full"):
            export(model, tokenizer, folder, card="# Third", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert "# First" in (folder / "README.md").read_text(encoding="utf-8")
    assert same(GPT.from_pretrained(folder), model)


# ---------------------------------------------------------------------- the model card


def metadata_of(card: str) -> dict:
    yaml = pytest.importorskip("yaml")
    _, head, _ = card.split("---\n", 2)
    return yaml.safe_load(head)


def test_a_card_says_what_it_is_told_and_no_more(model, tokenizer):
    card = model_card(model, tokenizer)
    assert metadata_of(card) == {
        "language": "en", "library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["gpt2"],
    }  # fmt: skip
    assert card.count("Not recorded.") == 2 and "Nothing was measured." in card and "Not examined." in card
    assert f"{model.parameter_count():,} parameters: 2 layers, 2 heads, width 16, a context of 24 tokens" in card
    card = model_card(
        model, tokenizer, title="Ada's", recipe="By hand.", data="Ten stories.", limits="Cannot rhyme.",
        scores={"bits | byte": 0.25, "seen": 10, "accuracy": "75%"}, license="mit", language="no",
        base_model="openai-community/gpt2",
    )  # fmt: skip
    head = metadata_of(card)
    assert head["language"] == "no" and head["license"] == "mit" and head["base_model"] == "openai-community/gpt2"
    assert "Training began with the weights of `openai-community/gpt2`.\n\nBy hand." in card
    assert "| bits \\| byte | 0.25 |" in card and "| accuracy | 75% |" in card
    assert "Not " not in card and "Nothing was" not in card


def test_the_hub_takes_the_card(exported):
    from huggingface_hub import ModelCard

    card = ModelCard.load(exported / "README.md")
    told = card.data.to_dict()
    assert told["pipeline_tag"] == "text-generation" and told["library_name"] == "transformers"


def test_a_runs_facts_are_those_it_wrote_down(tmp_path, model, tokenizer):
    folder = data_folder() / "storyteller"
    record = json.loads((folder / "config.json").read_text(encoding="utf-8"))["training"]
    facts = facts_of_run(folder)
    assert f"- steps: {record['steps']:,}" in facts["recipe"] and "- recipe: `storyteller`" in facts["recipe"]
    assert list(facts["scores"].values()) == [record["val_loss"]]
    assert "probabilistic grammar" in facts["data"] and "is not meant for any other use" in facts["limits"]
    own = {"recipe": {"name": "x", "stories": "/home/ada/diary.txt", "limit": 10}, "val_loss": math.nan, "steps": 3}
    save_model(tmp_path / "own", model, tokenizer, own)
    facts = facts_of_run(tmp_path / "own")
    assert "ada" not in str(facts) and "first 10 of them" in facts["data"]
    assert facts["limits"] is None and "scores" not in facts
    card = model_card(model, tokenizer, **facts)
    assert "- steps: 3" in card and "Nothing was measured." in card
    save_model(tmp_path / "bare", model, tokenizer)
    assert facts_of_run(tmp_path / "bare") == {}


# ---------------------------------------------------------------------- seconds and memory

PEAK_TEST = """
import resource, sys, time
import huggingface_hub, safetensors.torch
from helpers.model import GPT
from helpers.model_files import open_weights
from helpers.pretrained import load_pretrained
def peak():  # of this process in bytes; unlike the system's own number it does not begin with the parent's
    (line,) = [line for line in open("/proc/self/status", encoding="utf-8") if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
before, start = peak(), time.perf_counter()
model = GPT.from_pretrained(sys.argv[1])
size = sum(p.numel() * p.element_size() for p in model.parameters())
print(size, peak() - before - size, time.perf_counter() - start)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak is read from /proc")
def test_the_full_size_loads_in_seconds_and_in_little_memory(tmp_path):
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in to_transformers_state(GPT(GPTConfig.gpt2())).items()}
    state = {name: torch.full(shape, 0.02) for name, shape in shapes.items()}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    content = config_to_transformers(GPTConfig.gpt2(), 50256)
    (tmp_path / "config.json").write_text(json.dumps(content), encoding="utf-8")
    del state
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PEAK_TEST, str(tmp_path)], cwd=repository_root(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    size, more, seconds = (float(each) for each in done.stdout.split())
    assert size == 4 * 124_439_808
    assert more < 0.6 * size  # what was measured: 0.2; the promise is 1.3
    assert seconds < 30 and time.perf_counter() - start < 60
