"""The commands as a person uses them: what they print, what they leave, and one clear line when they cannot."""

import argparse
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from course.__main__ import COMMANDS, main
from helpers.checkpoint import load_model, save_model, saved_checkpoints
from helpers.evaluation import evaluate
from helpers.files import data_folder, repository_root
from helpers.model import GPT, GPTConfig
from helpers.run_log import read_log
from helpers.stories import load_stories
from helpers.tokenizer import train_tokenizer

NAMES, THINGS = ("Pip", "Ann", "Tom", "Zoe", "Max"), ("kite", "ball", "drum", "boat")
TEXTS = [f"Once upon a time, {name} had a {thing}. {name} lost the {thing}." for name in NAMES for thing in THINGS]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Stories, a tokenizer and a model, in a folder whose name has a space."""
    folder = tmp_path_factory.mktemp("a home")
    (folder / "stories.txt").write_text("\n<|endoftext|>\n".join(TEXTS), encoding="utf-8")
    tokenizer = train_tokenizer(TEXTS, 280)
    tokenizer.save(folder / "tokenizer.json")
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=280, context_length=32, n_layer=1, n_head=1, d_model=8))
    save_model(folder / "model", model, tokenizer)
    return folder


@pytest.fixture(autouse=True)
def runs_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def call(capsys):
    """Run a command in this process: exit code, standard output, standard error."""

    def call(*argv):
        try:
            code = main([str(each) for each in argv])
        except SystemExit as left:  # argparse leaves so
            code = left.code
        shown = capsys.readouterr()
        return code or 0, shown.out, shown.err

    return call


def process(*argv, **options):
    options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8") | options
    command = [sys.executable, "-m", "course", *(str(each) for each in argv)]
    return subprocess.Popen(command, cwd=repository_root(), **options)


def small(home, *more):
    changes = ["n_layer=1", "n_head=1", "d_model=8", "context_length=24", "batch_size=2", "eval_stories=2"]
    changes += ["log_every=1", f"tokenizer={home / 'tokenizer.json'}", *more]
    return [part for change in changes for part in ("--set", change)] + ["--stories", home / "stories.txt"]


# ---------------------------------------------------------------------- help and errors


def test_help_is_quick_and_names_every_command():
    start = time.perf_counter()
    left = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "course", "--help"],
        cwd=repository_root(),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert left.returncode == 0 and time.perf_counter() - start < 5
    assert "| torch\n" not in left.stderr  # nothing heavy is imported to say so
    assert all(re.search(rf"\n    {name}\s", left.stdout) for name in COMMANDS)


@pytest.mark.parametrize("command", ["train", "resume", "generate", "chat", "evaluate", "export", "bench"])
def test_each_command_has_help_with_examples(call, command):
    code, out, _ = call(command, "--help")
    assert code == 0 and f"python -m course {command}" in out and "examples:" in out
    assert max(len(line) for line in out.splitlines()) <= 120


def test_without_a_command_the_help_is_shown(call):
    code, out, _ = call()
    assert code == 2 and "generate" in out


@pytest.mark.parametrize(
    "argv, message",
    [
        (["dance"], "invalid choice: 'dance'"),
        (["generate", "--model", "no/such/folder"], "there is no model folder"),
        (["generate", "--model", "{home}"], "is not a model's folder: it has no config.json"),
        (["evaluate", "--model", "no/such/folder"], "there is no model folder"),
        (["chat", "--model", "no/such/folder"], "there is no model folder"),
        (["generate", "", "--model", "{home}/model"], "prompt is empty"),
        (["generate", "  ", "--model", "{home}/model"], "prompt is empty"),
        (["generate", "Pip", "--top-p", "2", "--model", "{home}/model"], "top-p is a probability"),
        (["generate", "Pip", "--top-p", "0", "--model", "{home}/model"], "top-p is a probability"),
        (["generate", "Pip", "--top-k", "0", "--model", "{home}/model"], "top-k must keep"),
        (["generate", "Pip", "--temperature", "-1", "--model", "{home}/model"], "temperature must be"),
        (["generate", "Pip", "--temperature", "hot", "--model", "{home}/model"], "invalid float value: 'hot'"),
        (["generate", "Pip", "--min-p", "2", "--model", "{home}/model"], "min-p is a fraction"),
        (["generate", "Pip", "--repetition-penalty", "0", "--model", "{home}/model"], "repetition penalty must"),
        (["generate", "Pip", "--stop", "", "--model", "{home}/model"], "none of them empty"),
        (["generate", "Pip", "--beams", "0", "--model", "{home}/model"], "beams must be"),
        (["generate", "Pip", "--beams", "1000", "--model", "{home}/model"], "half of the vocabulary"),
        (["generate", "Pip", "--beams", "2", "--top-p", "0.9", "--model", "{home}/model"], "leave out --top-p"),
        (["generate", "Pip", "--beams", "2", "--temperature", "0.5", "--model", "{home}/model"], "out --temperature"),
        (["generate", "Pip", "--beams", "2", "--number", "2", "--model", "{home}/model"], "--number must be 1"),
        (["generate", "Pip", "--beams", "2", "--engine", "ctranslate2", "--model", "{home}/model"], "out --engine"),
        (["generate", "Pip", "--int8", "--model", "{home}/model"], "give --engine ctranslate2"),
        (["chat", "--int8", "--model", "{home}/model"], "give --engine ctranslate2"),
        (["generate", "Pip", "--engine", "steam", "--model", "{home}/model"], "invalid choice: 'steam'"),
        (["evaluate", "--engine", "ctranslate2", "--model", "{home}/model"], "--engine is for --samples"),
        (["evaluate", "--samples", "1", "--model", "{home}/model"], "samples must be at least 2"),
        (["generate", "Pip", "--seed", str(2**64), "--model", "{home}/model"], "below 2^63"),
        (["generate", "Pip", "--max-new-tokens", "0", "--model", "{home}/model"], "max-new-tokens"),
        (["generate", "Pip", "--number", "0", "--model", "{home}/model"], "number must be"),
        (["generate", "--ids", "1,280", "--model", "{home}/model"], "id 280 is outside"),
        (["generate", "--ids", "1,x", "--model", "{home}/model"], "--ids needs whole numbers"),
        (["generate", "Pip", "--ids", "1", "--model", "{home}/model"], "not both"),
        (["generate", "Pip", "--device", "abacus", "--model", "{home}/model"], "no device 'abacus'"),
        (["evaluate", "--model", "{home}/model", "--stories", "no/such/file.txt"], "no/such/file.txt"),
        (["evaluate", "--model", "{home}/model", "--limit", "0"], "limit"),
        (["evaluate", "--model", "{home}/model", "--stories", ""], "--stories is empty"),
        (["evaluate", "--model", "{home}/model", "--stories", " "], "the source of stories is empty"),
        (["train", "--stories", ""], "--stories is empty"),
        (["train", "--set", "stories="], "empty"),
        (
            ["evaluate", "--model", "{home}/model", "--stories", "{home}/stories.txt", "--rementions", "--json"],
            "re-mentions need stories with their spans",
        ),
        (["evaluate", "--model", "{home}/model", "--limit", str(10**23)], "from 1 to a trillion"),
        (["evaluate", "--model", "{home}/model", "--samples", "2", "--seed", str(2**64)], "below 2^62"),
        (["evaluate", "--model", "{home}/model", "--samples", "1" + "0" * 20], "10,000 at most"),
        (["evaluate", "--limit", "2", "--rementions", ","], "no story has the role ''"),
        (["generate", "Pip", "--seed", str(2**63 - 1), "--number", "2", "--model", "{home}/model"], "lower --seed"),
        (["generate", "Pip", "--device", "meta", "--model", "{home}/model"], "no device 'meta'"),
        (["generate", "Pip", "--device", "cpu:7", "--model", "{home}/model"], "no device 'cpu:7'"),
        (["train", "--device", "hpu"], "no device 'hpu'"),
        (["train", "--recipe", ""], "--recipe is empty"),
        (["train", "--out", ""], "--out is empty"),
        (["train", "--seconds", "nan"], "seconds needs a number, got 'nan'"),
        (["train", "--seed", str(2**64)], "below 2^63"),
        (["train", "--limit", str(10**23)], "from 1 to a trillion"),
        (["train", "--set", "lr=1e300"], "lr must be above 0 and at most 100"),
        (["train", "--set", "epochs=1e308"], "at most a trillion"),
        (["train", "--set", "tokenizer=trained:99999"], "99999"),
        (["train", "--set", "n_layer=1000000000"], "n_layer must be"),
        (["train", "--set", "n_layer=1000", "--set", "d_model=12800"], "GB of memory"),
        (["train", "--set", "batch_size=1000000"], "GB of memory"),
        (["train", "--set", "log_every=" + "9" * 30], "from 1 to a trillion"),
        (["train", "--set", "embedding_std=1e300"], "at most a million"),
        (["run", "--only", ","], "--only names no notebook"),
        (["run", "--only", ""], "--only is empty"),
        (["bench", "--tokens", "1e20"], "invalid int value"),
        (["run", "--steps", str(10**30)], "it must be from 1 to a trillion"),
        (["scaling", "grid", "--workers", str(10**9)], "--workers must be from 1 to 64"),
        (["since-gpt2", "parts", "--workers", "0"], "--workers must be from 1 to 64"),
        (["listening", "tuning", "--workers", "65"], "--workers must be from 1 to 64"),
        (["listening", "tuning", "--list", "--workers", "0"], "--workers must be from 1 to 64"),
        (["instructions", "--out", "{home}/new", "--count", str(10**30)], "ask for fewer"),
        (["train", "--recipe", "magic"], "there is no recipe 'magic'"),
        (["train", "--set", "layers=2"], "there is no key 'layers'"),
        (["train", "--set", "n_layer"], "--set needs key=value"),
        (["train", "--steps", "0"], "steps must be above 0"),
        (["train", "--seconds", "-1"], "seconds must be above 0"),
        (["train", "--steps", "5", "--seconds", "5"], "not allowed with"),
        (["train", "--stories", "no/such/file.txt", "--set", "tokenizer={home}/tokenizer.json"], "no/such/file"),
        (["train", "--out", "{home}/stories.txt"], "is a file"),
        (["train", "--out", "{home}/model"], "holds a run already"),
        (["resume", "{home}/model"], "nothing to resume"),
        (["export"], "the following arguments are required: --out"),
        (["export", "--out", "{home}/new", "--model", "no/such/folder"], "there is no model folder"),
        (["export", "--out", "{home}/model", "--overwrite"], "holds something that no export wrote"),
        (["export", "--out", "{home}", "--overwrite"], "that no export wrote: name a new folder"),
        (["export", "--out", "{home}/stories.txt"], "is a file"),
        (["export", "--out", "{home}/new", "--limit", "3"], "--limit is for --evaluate"),
        (["export", "--out", "{home}/new", "--model", "{home}/model", "--evaluate", "no/such.txt"], "no/such.txt"),
        (["bench", "--size", "huge"], "no size 'huge'"),
        (["bench", "--rounds", "0"], "rounds must be"),
        (["bench", "--only", "decoding", "--size", "huge"], "no size 'huge'"),
        (["bench", "--only", "decoding", "--tokens", "0"], "tokens must be"),
        (["bench", "--only", "gpu", "--size", "huge"], "no size 'huge'"),
    ],
)
def test_bad_input_gets_one_clear_line_and_exit_code_two(call, home, argv, message):
    code, out, err = call(*(each.format(home=home) if "{home}" in each else each for each in argv))
    assert code == 2 and out == ""
    assert message in err and err.count("\n") == 1 and "Traceback" not in err


@pytest.mark.parametrize(
    "argv",
    [
        ("generate", "--number", "9" * 5000),
        ("generate", "Pip", *["more"] * 5000),
        ("generate", "Pip", "more\nof it"),
        ("generate", "Pip", "--engine", "x " * 3000),
        ("x" * 5000,),
        ("train", "--recipe", "x" * 5000),
        ("train", "--recipe", "x " * 3000),
    ],
)
def test_what_is_echoed_is_cut_and_stays_in_its_line(call, argv):
    code, out, err = call(*argv)
    assert code == 2 and out == "" and err.count("\n") == 1 and len(err) < 1_700
    assert "argument" in err or "recipe" in err, "what is wrong is said all the same"


def test_a_file_of_the_courses_that_is_damaged_is_one_line_before_the_options_are_known(call, monkeypatch, tmp_path):
    from course import recipes

    (tmp_path / "recipes.toml").write_text("[storyteller\n", encoding="utf-8")
    monkeypatch.setattr("course.__main__._parser", lambda command: recipes.read_recipes(tmp_path / "recipes.toml"))
    code, out, err = call("train")
    assert code == 2 and err.startswith("error: ") and "recipes.toml does not hold recipes" in err
    assert err.count("\n") == 1
    (tmp_path / "recipes.toml").unlink()
    os.mkfifo(tmp_path / "recipes.toml")
    assert "is a pipe or a device, not a file" in call("train")[2]


# ---------------------------------------------------------------------- generate and chat


def test_a_seed_tells_the_same_story_again(call, home):
    def told(*more):
        code, out, err = call("generate", "Pip had", "--model", home / "model", "--max-new-tokens", 20, *more)
        assert code == 0 and not err and out.startswith("Pip had")
        return out

    assert told("--seed", 1) == told("--seed", 1) != told("--seed", 2)
    assert told("--greedy") == told("--greedy", "--seed", 5) == told("--temperature", 0)
    three = told("--seed", 1, "--number", 3).split("\n" + "-" * 40 + "\n")
    assert len(three) == 3 and three[0] == told("--seed", 1)
    assert three[1] == told("--seed", 2)  # each story can be told again by itself
    assert told("--top-k", 1) == told("--greedy")
    ids = ",".join(str(each) for each in load_model(home / "model")[1].encode("Pip had"))
    code, out, _ = call("generate", "--ids", ids, "--model", home / "model", "--max-new-tokens", 5)
    assert code == 0 and out.startswith("Pip had")


@pytest.mark.skipif(os.name == "nt", reason="on Windows only - reads what is piped in")
@pytest.mark.parametrize(
    ("piped", "argv", "said"),
    [
        (b"Pip had", [], "Pip had"),
        (b"Pip had\n", ["-"], "Pip had"),
        (b"\xef\xbb\xbfTom lost\r\n", ["-"], "Tom lost"),
        (b"", [], "Once upon a time"),
        (b"Pip had", ["Tom lost"], "Tom lost"),
        (b"", ["-"], "error: the prompt is empty"),
        (b" \n", [], "error: the prompt is empty"),
        (b"caf\xe9", [], "error: the input is not UTF-8"),
        (b"Pip " * 100_000, [], "error: the input is longer than 100,000 characters"),
    ],
)
def test_a_prompt_may_be_piped_in(call, home, tmp_path, monkeypatch, piped, argv, said):
    (tmp_path / "prompt.txt").write_bytes(piped)
    there, here = os.pipe()
    with open(here, "wb") as file:
        file.write(piped[:4000])  # which a pipe has room for
    for given in (there, tmp_path / "prompt.txt"):
        with open(given, encoding="utf-8") as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            code, out, err = call("generate", *argv, "--model", home / "model", "--max-new-tokens", 3)
        if len(piped) < 4000 or given != there:
            assert (out + err).startswith(said) and code == (2 if "error" in said else 0), out + err


@pytest.mark.skipif(os.name == "nt", reason="on Windows only - reads what is piped in")
def test_nobody_is_waited_for_who_writes_nothing(call, home, monkeypatch):
    """As where a command is started by another that keeps its end of the pipe open."""
    there, here = os.pipe()
    with open(here, "wb"), open(there, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        code, out, _ = call("generate", "--model", home / "model", "--max-new-tokens", 3)
    assert code == 0 and out.startswith("Once upon a time")


def test_a_space_at_the_end_of_a_prompt_is_left_out_and_that_is_said(call, home):
    argv = ["--model", home / "model", "--max-new-tokens", 8, "--seed", 2]
    plain, spaced = (call("generate", prompt, *argv) for prompt in ("Pip had", "Pip had \t "))
    assert plain[:2] == spaced[:2] and plain[2] == ""
    assert spaced[2] == "note: the space at the prompt's end is left out: the next token begins with one\n"


def test_of_a_prompt_that_does_not_fit_the_last_tokens_are_read_and_that_is_said_once(call, home):
    argv = ["--model", home / "model", "--max-new-tokens", 8, "--seed", 2, "--number", 2]
    code, out, err = call("generate", "Pip had. " * 50 + "Tom lost", *argv)
    assert code == 0 and out.startswith("Pip had. " * 50) and "the last 32" in err and err.count("\n") == 1
    _, longer, _ = call("generate", "Ann lost. " * 20 + "Pip had. " * 50 + "Tom lost", *argv)
    assert longer.replace("Ann lost. " * 20, "") == out  # what fell out changes nothing
    code, _, err = call("generate", "Pip " * 50, "--model", home / "model", "--max-new-tokens", 5, "--beams", 2)
    assert code == 0 and err.count("the last 32") == 1


def test_a_step_that_reads_the_stories_many_times_is_noted_once(call, home, tmp_path):
    many = small(home, "steps=1", "context_length=256", "batch_size=16")
    code, out, _ = call("train", *many, "--out", tmp_path / "many", "--quiet")
    assert code == 0 and out.count("goes through all ") == 1 and "a smaller batch" in out
    code, out, _ = call("train", *small(home, "steps=1"), "--out", tmp_path / "few", "--quiet")
    assert code == 0 and "goes through" not in out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal of a closed pipe")
def test_output_through_a_closed_pipe_is_no_drama(home):
    child = process("generate", "Pip", "--model", home / "model", "--max-new-tokens", 3000, "--number", 50)
    child.stdout.read(10)
    child.stdout.close()
    assert child.wait(60) == 141
    assert child.stderr.read() == ""


def test_an_engine_tells_the_same_story(call, home):
    pytest.importorskip("ctranslate2")
    argv = ["generate", "Pip had", "--model", home / "model", "--max-new-tokens", 20]
    for options in (["--greedy"], ["--greedy", "--repetition-penalty", 1.2], ["--min-p", 0.1, "--seed", 3]):
        code, out, err = call(*argv, *options, "--engine", "ctranslate2")
        assert code == 0 and out == call(*argv, *options)[1]
        assert err == "" or "no min-p" in err
    seeded = [call(*argv, "--engine", "ctranslate2", "--int8", "--number", 2, "--seed", 4)[1] for _ in range(2)]
    assert seeded[0] == seeded[1] and seeded[0].count("Pip had") == 2


def test_chat_goes_on_from_each_line(home):
    told = []
    for engine in ([], ["--engine", "ctranslate2"]):
        options = ["--model", home / "model", "--max-new-tokens", "5", "--greedy", *engine]
        child = process("chat", *options, stdin=subprocess.PIPE)
        out, err = child.communicate("Pip had\n" + "long " * 100 + "\nTom lost\n", timeout=60)
        assert child.returncode == 0 and "Pip had" in out and "Tom lost" in out
        assert "error:" not in err and err.count("note: of the prompt's") == 1 and "the last 32" in err
        assert out.count("long " * 99) == 1
        told.append(out)
    assert told[0] == told[1]


# ---------------------------------------------------------------------- evaluate


def test_evaluate_prints_what_the_issue_asks_for(call, home):
    argv = ["evaluate", "--model", home / "model", "--stories", home / "stories.txt"]
    code, out, _ = call(*argv, "--json")
    values = json.loads(out)
    assert code == 0
    keys = {"nats_per_token", "perplexity", "bits_per_byte", "accuracy", "tokens", "stories"}
    assert keys <= set(values) and not any("floor" in key for key in values)
    expected = evaluate(*load_model(home / "model"), load_stories(home / "stories.txt", "validation"))
    assert values["nats_per_token"] == pytest.approx(expected.nats_per_token)
    code, out, _ = call(*argv)
    assert code == 0 and f"{values['nats_per_token']:.4f}" in out


def test_evaluate_judges_generated_stories(call, home):
    argv = ["evaluate", "--model", home / "model", "--stories", home / "stories.txt", "--samples", 3]
    code, out, _ = call(*argv, "--json")
    found = json.loads(out)["samples"]
    assert code == 0 and set(found) == {"distinct_4", "self_bleu", "longest_copied_words", "tokens_per_story"}
    assert 0 < found["distinct_4"] <= 1 and 1 <= found["tokens_per_story"] <= 31
    assert out == call(*argv, "--json")[1] != call(*argv, "--json", "--seed", 1)[1]
    code, out, _ = call(*argv, "--engine", "ctranslate2")
    assert code == 0 and "3 stories" in out and "self bleu" in out


# ---------------------------------------------------------------------- export


def test_export_writes_a_folder_that_loads_and_a_card_that_tells_the_score(call, home, tmp_path):
    out = tmp_path / "an export"
    argv = ["export", "--model", home / "model", "--out", out]
    code, shown, _ = call(*argv, "--title", "Pip's", "--license", "mit")
    assert code == 0 and f"Written: {out}" in shown and "README.md" in shown
    model, tokenizer = load_model(home / "model")
    again = GPT.from_pretrained(out)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "# Pip's" in card and 'license: "mit"' in card and "Nothing was measured." in card
    code, shown, err = call(*argv)
    assert code == 2 and "holds an export already" in err and "--overwrite" in err
    code, _, _ = call(*argv, "--overwrite", "--evaluate", home / "stories.txt", "--limit", "2")
    stories = load_stories(home / "stories.txt", "validation", 2)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert code == 0 and str(home) not in card
    assert f"| {evaluate(model, tokenizer, stories).bits_per_byte:.4g} |" in card


def test_export_without_a_model_takes_the_shipped_storyteller(call, tmp_path):
    code, _, _ = call("export", "--out", tmp_path / "out")
    assert code == 0 and "recipe: `storyteller`" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


# ---------------------------------------------------------------------- train


def test_train_leaves_a_run_that_the_other_commands_use(call, home, tmp_path):
    out_folder = tmp_path / "my run"
    code, out, _ = call("train", *small(home), "--steps", 4, "--out", out_folder, "--seed", 3)
    assert code == 0
    for word in ("device", "stories", "tokenizer", "parameters", "validation", "Once upon a time", str(out_folder)):
        assert word in out
    files = {path.name for path in out_folder.iterdir()}
    assert files == {"model.safetensors", "config.json", "tokenizer.json", "log.jsonl", "curves.png", "best"}
    assert [row["step"] for row in read_log(out_folder)] == [1, 2, 3, 4]
    about = json.loads((out_folder / "config.json").read_text(encoding="utf-8"))["training"]
    assert about["recipe"]["name"] == "storyteller" and about["settings"]["seed"] == 3
    assert call("generate", "Pip", "--model", out_folder, "--max-new-tokens", 3)[0] == 0
    assert call("evaluate", "--model", out_folder, "--stories", home / "stories.txt")[0] == 0

    weights = (out_folder / "model.safetensors").read_bytes()
    code, _, err = call("train", *small(home), "--steps", 4, "--out", out_folder)
    assert code == 2 and "--overwrite" in err
    assert (out_folder / "model.safetensors").read_bytes() == weights
    (out_folder / "notes.txt").write_text("mine", encoding="utf-8")
    code, _, _ = call("train", *small(home), "--steps", 2, "--out", out_folder, "--overwrite", "--quiet")
    assert code == 0 and len(read_log(out_folder)) == 2 and (out_folder / "notes.txt").exists()


def test_a_mistake_costs_an_old_run_nothing(call, home, tmp_path):
    call("train", *small(home), "--steps", 1, "--out", tmp_path / "run")
    code, _, err = call("train", *small(home), "--stories", "nowhere.txt", "--out", tmp_path / "run", "--overwrite")
    assert code == 2 and "nowhere.txt" in err and load_model(tmp_path / "run")


def interrupt_when(condition):
    """Send this process a Ctrl-C as soon as the condition holds."""

    def wait():
        deadline = time.time() + 60
        while not condition() and time.time() < deadline:
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_ctrl_c_saves_and_resume_goes_on(call, home, tmp_path):
    run = tmp_path / "run"
    thread = interrupt_when(lambda: len(read_log(run)) >= 3)
    code, _, err = call("train", *small(home), "--steps", 100_000, "--out", run, "--quiet")
    thread.join()
    assert code == 130 and "python -m course resume" in err
    done = len(read_log(run))
    assert 3 <= done < 100_000 and saved_checkpoints(run)
    code, _, err = call("train", *small(home), "--steps", 4, "--out", run)
    assert code == 2 and "resume it" in err
    thread = interrupt_when(lambda: len(read_log(run)) >= done + 3)
    code, out, _ = call("resume", run, "--quiet")
    thread.join()
    assert code == 130 and f"going on from step {done:,}" in out
    steps = [row["step"] for row in read_log(run)]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > done


def test_seconds_are_kept(call, home, tmp_path):
    start = time.perf_counter()
    code, _, _ = call("train", *small(home), "--seconds", 1, "--out", tmp_path / "run", "--quiet")
    assert code == 0 and time.perf_counter() - start < 60
    assert 1 <= read_log(tmp_path / "run")[-1]["seconds"] < 20


def test_a_dry_run_tells_the_plan_and_does_nothing(call, tmp_path):
    code, out, _ = call("train", "--recipe", "gpt2-small", "--dry-run", "--out", tmp_path / "run")
    assert code == 0 and "124,439,808 parameters" in out and "491,520 tokens a step" in out
    assert not (tmp_path / "run").exists()
    for recipe in ("storyteller", "two-layer", "tinystories-t4"):
        assert call("train", "--recipe", recipe, "--dry-run")[0] == 0
    shipped = str(data_folder() / "storyteller")
    code, out, _ = call("train", "--dry-run", "--start-from", shipped)
    assert code == 0 and f"starts from {shipped}" in out
    code, _, err = call("train", "--dry-run", "--start-from", shipped, "--set", "n_layer=3", "--set", "d_ff=99")
    assert code == 2 and "another shape" in err and "--set n_layer=2 --set d_ff=512" in err
    code, out, _ = call("train", "--list")
    assert code == 0 and "post-ln-sinusoidal" in out


def test_nothing_is_written_where_it_cannot_be(call, home):
    code, out, err = call("train", *small(home), "--steps", 1, "--out", home / "stories.txt" / "run")
    assert code == 2 and err.count("\n") == 1 and "Traceback" not in err


def test_a_story_is_as_long_from_the_terminal_as_from_python():
    from course.cli.options import add_sampling
    from helpers.generation import WHOLE_STORY

    parser = argparse.ArgumentParser()
    add_sampling(parser)
    assert parser.parse_args([]).max_new_tokens == WHOLE_STORY  # written twice, so that --help need not load torch


def test_train_says_that_stories_lose_their_ends(call, home, tmp_path):
    short = call("train", *small(home, "context_length=4"), "--steps", 1, "--out", tmp_path / "short")[1]
    assert "100% of them are longer than the context of 4 tokens" in short and "packing=windows" in short
    long = call("train", *small(home, "context_length=900"), "--steps", 1, "--out", tmp_path / "long")[1]
    windows = call("train", *small(home, "context_length=4", "packing=windows"), "--steps", 1, "--out", tmp_path / "w")[
        1
    ]
    assert "longer than the context" not in long + windows
    assert "0.00 GB" not in short and " MB" in short  # a tiny model has a size too


def test_perplexity_is_the_exponential(call, home):
    _, out, _ = call("evaluate", "--model", home / "model", "--stories", home / "stories.txt", "--json")
    values = json.loads(out)
    assert values["perplexity"] == pytest.approx(math.exp(values["nats_per_token"]))
    assert os.linesep not in out.rstrip()


def test_bench_prints_what_was_measured(call, monkeypatch):
    from course.bench import generation, training

    asked = []

    def measured(sizes, rounds):
        asked.append((tuple(sizes), rounds))
        side = {"tokens_per_second": 1000.0, "step_bytes": 10**9, "fraction_of_matmul": 0.5}
        ratios, memory = {"reference": 1.0, "transformers": 1.25}, {"plain": 1.0, "chunked": 0.5}
        found = dict(sides={"ours": side}, ratios=ratios, memory_ratios=memory, loss_difference=0)
        return {"machine": {"matmul_flops": 1e11}, "results": dict.fromkeys(sizes, found)}

    def told(sizes, rounds, tokens):
        return {"bandwidth": 1e9, "threads": 1, "sizes": dict.fromkeys(sizes, {"rows": []})}

    monkeypatch.setattr(training, "run_benchmark", measured)
    monkeypatch.setattr(generation, "run_decoding", told)
    code, out, _ = call("bench", "--json", "--rounds", 2, "--size", "storyteller")
    assert code == 0 and json.loads(out)["results"]["storyteller"]["ratios"]["reference"] == 1
    assert set(json.loads(out)["decoding"]["sizes"]) == {"storyteller"}
    assert call("bench")[0] == 0
    code, out, _ = call("bench", "--only", "decoding", "--json")
    assert code == 0 and list(json.loads(out)) == ["decoding"]
    assert asked == [(("storyteller",), 2), (("storyteller", "12x384", "gpt2-small"), 5)]


def test_evaluate_asks_what_a_model_remembers(call, home, monkeypatch):
    text = "Pip had a kite. " + "It was a warm day. " * 12 + "Then Pip had the kite."
    spans = [dict(start=at, end=at + 3, role="hero", attribute="text", text="Pip") for at in (0, text.rindex("Pip"))]
    other = [dict(span, text="Ann") for span in spans]
    dataset = [{"text": text, "spans": spans}, {"text": text.replace("Pip", "Ann"), "spans": other}]

    class Told(list):
        streaming, description = False, "two stories"

    told = Told(row["text"] for row in dataset)
    told.dataset = dataset
    monkeypatch.setattr("helpers.stories.load_stories", lambda *_: told)
    code, out, _ = call("evaluate", "--model", home / "model", "--rementions", "hero", "--json")
    assert code == 0 and json.loads(out)["rementions"]["hero"]["mentions"] == 2
    code, out, _ = call("evaluate", "--model", home / "model", "--rementions", "hero")
    assert code == 0 and "two stories" in out and "chance" in out
