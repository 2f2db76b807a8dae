"""The living page's engine in a real browser, beside Python: ids, stories, distributions, scores, all from the files
that `python -m course page` wrote."""

import importlib.util
import json
import math
import os
from contextlib import contextmanager

import browser
import numpy as np
import pytest
import torch

from course.__main__ import main
from course.site.page_facts import tokenizer_facts
from helpers.checkpoint import load_model, save_model
from helpers.errors import CourseError
from helpers.evaluation import evaluate, score_rows, story_rows
from helpers.files import data_folder
from helpers.generation import PROMPT, SHIPPED, encode_prompt, generate, last_logits
from helpers.kv_cache import KVCache
from helpers.model import GPT, GPTConfig
from helpers.sampling import reshape, sample_by_inversion
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer, train_tokenizer

pytestmark = [
    pytest.mark.skipif(browser.find_chromium() is None, reason="needs Chromium"),
    pytest.mark.skipif(importlib.util.find_spec("onnxscript") is None, reason="needs docs/requirements.txt"),
]

STRANGE = [
    "", " ", "  two  spaces", "a\r\nb\r\n\r\nc", "tabs\t\tand\nlines\n\n ", "Don't, we'll; I'M he'd", "<|endoftext|>",
    "naïve café, Ærøskøbing", "日本語の文", "👩‍👩‍👧 and 🇫🇷!", "½ of ٣ and Ⅷ",
    "\ufeffmark \u0085 next\u00a0hard\u2003em",
    "e\u0301 combined",
    "x" * 300, "1234567890 12", "\0\x01\x7f", "—“quoted”—", "\U0010ffff\ufffd", "'s's 're",
]  # fmt: skip


@contextmanager
def empty(folder):
    """A browser with an empty page beside the engine, so that nothing else is at work."""
    (folder / "empty.html").write_text("<!doctype html><title>Empty</title>", encoding="utf-8")
    with browser.serve(folder) as address, browser.Browser((800, 600)) as window:
        window.open(f"{address}/empty.html")
        assert window.wait_for("location.pathname === '/empty.html'")
        yield window


@contextmanager
def opened(folder):
    """The engine of a page's folder in a browser."""
    with empty(folder) as window:
        window.value(
            "(async () => { window.all = await import('./engine/index.js'); window.engine = await all.open(); })()"
        )
        yield window
        assert window.strangers() == [] and window.errors() == []


def written(folder, model_folder=None):
    """A page, or a skip where the runtime has never been fetched and there is no internet; CI has it."""
    words = ["page", *([] if model_folder is None else [str(model_folder)]), "--out", str(folder)]
    if main(words) and not os.environ.get("CI"):
        from course.site import page_runtime

        try:
            page_runtime.runtime_files()
        except CourseError as error:
            pytest.skip(str(error))
    assert (folder / "model" / "model.onnx").is_file()
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return written(tmp_path_factory.mktemp("shipped") / "page")


@pytest.fixture(scope="module")
def shipped(page):
    with opened(page) as window:
        yield window


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    """Large random weights, so that no two logits are nearly tied, and a context that a story outgrows."""
    config = GPTConfig(vocab_size=2048, context_length=40, n_layer=2, n_head=2, d_model=16, tied_head=False)
    model, generator = GPT(config), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5, generator=generator)
    return save_model(tmp_path_factory.mktemp("random") / "random", model, load_tokenizer())


@pytest.fixture(scope="module")
def small(random_model, tmp_path_factory):
    with opened(written(tmp_path_factory.mktemp("small") / "page", random_model)) as window:
        yield window


def js(value) -> str:
    return json.dumps(value)


def told(window, prompt: str, tokens: int) -> list[int]:
    """The greedy story of the page, up to the end token."""
    return window.value(
        f"""(async () => {{
            let story = await engine.start(engine.encode({js(prompt)}));
            const said = [];
            while (said.length < {tokens}) {{
                const id = all.greedy(story.logits);
                if (id === engine.facts.end) break;
                said.push(id);
                story = await engine.next(story, id);
            }}
            window.story = story;
            return said;
        }})()"""
    )


# ---------------------------------------------------------------------- the story


def test_the_page_tells_the_story_that_python_tells(shipped):
    model, tokenizer = load_model(SHIPPED)
    options = dict(greedy=True, eos_token_id=tokenizer.eos_token_id)
    for prompt in (PROMPT, "Mia had a red kite. One day,"):
        story = list(generate(model, encode_prompt(tokenizer, prompt), 300, **options))
        assert told(shipped, prompt, 300) == story
        assert len(story) >= 150, "a whole story"
    assert shipped.value("engine.decode(story.ids)") == prompt + tokenizer.decode(story)


def test_a_story_slides_through_a_small_context_as_in_python(small, random_model):
    model, tokenizer = load_model(random_model)
    story = list(generate(model, encode_prompt(tokenizer, PROMPT), 170, greedy=True))
    before = [tokenizer.eos_token_id, *tokenizer.encode(PROMPT)]
    with torch.no_grad():
        margins = [last_logits(model, before + story[:i]).topk(2).values for i in range(0, 170, 10)]
    assert min(float(best - second) for best, second in margins) > 1e-3, "a tie would make this test a lottery"
    assert len(set(story)) > 1
    assert told(small, PROMPT, 170) == story
    looked = small.value("engine.at(story, story.ids.length)")
    assert looked["first"] == len(before) + 170 - 40 and len(looked["attention"][0][0]) == 40


def test_a_prompt_longer_than_the_context_is_read_from_its_end(small, random_model):
    model, tokenizer = load_model(random_model)
    text = load_stories("bundled", "validation", 1)[0]
    found = small.value(
        f"""engine.start(engine.encode({js(text)})).then((story) => ({{
            logits: Array.from(story.logits),
            early: engine.at(story, 0),
        }}))"""
    )
    expected = KVCache(model).start([[tokenizer.eos_token_id, *tokenizer.encode(text)]])[0]
    np.testing.assert_allclose(found["logits"], expected.numpy(), atol=1e-3)
    assert found["early"] is None


def test_what_was_looked_at_belongs_to_the_token_that_it_chose(shipped):
    """`at(story, i)` before token i: the model's distribution, its lens and its attention over what stands before."""
    model, tokenizer = load_model(SHIPPED)
    row = [tokenizer.eos_token_id, *tokenizer.encode("Lily had a blue boat. Tom")]
    found = shipped.value(
        f"""(async () => {{
            let story = await engine.start({js(row[1:6])});
            for (const id of {js(row[6:])}) story = await engine.next(story, id);
            return [0, 3, {len(row) - 1}].map((i) => {{
                const said = engine.at(story, i);
                return {{
                    logits: Array.from(said.logits),
                    last: Array.from(said.lens.at(-1)),
                    attention: said.attention.map((layer) => layer.map((head) => Array.from(head))),
                }};
            }});
        }})()"""
    )
    with torch.no_grad():
        logits = model(torch.tensor([row]))[0]
        maps, x = [], model.embed(torch.tensor([row]))
        for block in model.blocks:
            maps.append(block.attn.weights(block.ln_1(x))[0])
            x = block(x)
    for i, said in zip((0, 3, len(row) - 1), found, strict=True):
        np.testing.assert_allclose(said["logits"], logits[i].numpy(), atol=1e-3)
        assert said["last"] == said["logits"]
        for layer, heads in enumerate(said["attention"]):
            np.testing.assert_allclose(heads, maps[layer][:, i, : i + 1].numpy(), atol=1e-4)


# ---------------------------------------------------------------------- ids


def test_ids_and_texts_are_those_of_the_tokenizer(shipped):
    tokenizer, generator = load_tokenizer(), np.random.default_rng(0)
    texts = [*STRANGE, *load_stories("bundled", "validation", 30)]
    letters = [*range(0x250), *range(0x370, 0x590), 0x85, 0xA0, 0x2028, 0x3000, 0xFEFF, 0x1F600, 0x1F1EB, 0x20000]
    for size in generator.integers(1, 60, 300):
        texts.append("".join(chr(letters[i]) for i in generator.integers(0, len(letters), size)))
    ids = tokenizer.encode_batch(texts)
    assert shipped.value(f"{js(texts)}.map(engine.encode)") == ids
    assert shipped.value(f"{js(ids)}.map(engine.decode)") == texts


@pytest.mark.parametrize("which", ["the listener's", "a learner's"])
def test_other_tokenizers_of_the_course_work_too(shipped, which):
    stories = load_stories("bundled", "train", 200)[:]
    folder = data_folder() / "listener"
    tokenizer = load_tokenizer(folder) if which == "the listener's" else train_tokenizer(stories, 400)
    texts = [*STRANGE, *stories[:10], *(token["content"] for token in json.loads(tokenizer.to_json())["added_tokens"])]
    ids = tokenizer.encode_batch(texts)
    found = shipped.value(
        f"""import("./engine/tokenizer.js").then(({{ Tokenizer }}) => {{
            const tokenizer = new Tokenizer({js(tokenizer_facts(tokenizer, which))});
            const ids = {js(texts)}.map((text) => tokenizer.encode(text));
            const all = Array.from({{ length: {tokenizer.vocab_size} }}, (_, id) => tokenizer.decode([id]));
            return {{ ids, all }};
        }})"""
    )
    assert found["ids"] == ids
    assert found["all"] == [tokenizer.decode([i]) for i in range(tokenizer.vocab_size)]


def test_ids_that_cut_a_character_are_decoded_as_in_python(shipped):
    tokenizer, generator = load_tokenizer(), np.random.default_rng(1)
    rows = [generator.integers(0, tokenizer.vocab_size, 20).tolist() for _ in range(200)]
    rows += [generator.integers(1, 257, 12).tolist() for _ in range(200)]  # bytes alone, in any order
    assert shipped.value(f"{js(rows)}.map(engine.decode)") == [tokenizer.decode(row) for row in rows]
    snowman = tokenizer.encode("☃")
    assert shipped.value(f"{js(snowman)}.map(engine.piece).join('')") == "<E2><98><83>"


# ---------------------------------------------------------------------- drawing


def logits_to_draw_from() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    smooth = 3 * torch.randn(3, 200, generator=generator)
    tied = torch.randint(-4, 5, (3, 64), generator=generator).float()  # many equal ones
    return [*smooth, *tied, torch.zeros(8)]


OPTIONS = [
    dict(temperature=temperature, top_k=k, top_p=p)
    for temperature in (0.3, 1.0, 1.7)
    for k in (None, 1, 5, 50, 10_000)
    for p in (None, 0.05, 0.5, 0.9, 1.0)
]


def test_distributions_are_those_of_python(shipped):
    for logits in logits_to_draw_from():
        cases = [dict(temperature=o["temperature"], topK=o["top_k"], topP=o["top_p"]) for o in OPTIONS]
        found = shipped.value(
            f"""(() => {{
                const logits = Float32Array.from({js(logits.tolist())});
                return {js(cases)}.map((options) => Array.from(all.distribution(logits, options)));
            }})()"""
        )
        for options, probabilities in zip(OPTIONS, found, strict=True):
            expected, probabilities = reshape(logits, **options).softmax(dim=-1).numpy(), np.array(probabilities)
            if len(logits.unique()) < len(logits):  # which of equal ones crosses p is left to torch's sort
                expected, probabilities = np.sort(expected), np.sort(probabilities)
            np.testing.assert_array_equal(probabilities > 0, expected > 0, err_msg=str(options))
            np.testing.assert_allclose(probabilities, expected, rtol=1e-5, atol=1e-8)


def test_a_temperature_of_zero_is_greedy_and_nonsense_is_refused(shipped):
    first = "all.distribution(Float32Array.from([1, 3, 3, 2]), {temperature: 0})"
    assert shipped.value(f"Array.from({first})") == [0, 1, 0, 0]
    for options in ("temperature: -1", "temperature: NaN", "topK: 0", "topP: 0", "topP: 1.5"):
        with pytest.raises(RuntimeError, match="RangeError"):
            shipped.value(f"all.distribution(Float32Array.from([1, 2]), {{{options}}})")


def test_a_number_draws_the_token_that_it_draws_in_python(shipped):
    generator = torch.Generator().manual_seed(4)
    uniform = torch.rand(400, generator=generator, dtype=torch.float64)
    uniform[:3] = torch.tensor([0.0, 0.25, 1 - 2**-53])
    for logits in logits_to_draw_from():
        probability = reshape(logits, top_p=0.9).softmax(dim=-1)
        expected = sample_by_inversion(probability.expand(len(uniform), -1), uniform)
        found = shipped.value(
            f"""(() => {{
                const probability = Float32Array.from({js(probability.tolist())});
                return {js(uniform.tolist())}.map((number) => all.draw(probability, number));
            }})()"""
        )
        assert found == expected.tolist()


# ---------------------------------------------------------------------- scores


@pytest.mark.parametrize("what", ["a story", "strange", "longer than the context"])
def test_a_text_s_score_is_that_of_the_scoreboard(shipped, what):
    model, tokenizer = load_model(SHIPPED)
    stories = load_stories("bundled", "validation", 4)
    text = {"a story": stories[0], "strange": "Zoë saw 3 ☃!\r\n", "longer than the context": "\n\n".join(stories)}[what]
    found = shipped.value(f"engine.score({js(text)})")
    expected = evaluate(model, tokenizer, [text])
    assert (found["tokens"], found["bytes"]) == (expected.tokens, expected.bytes)
    assert found["bitsPerByte"] == pytest.approx(expected.bits_per_byte, rel=1e-4)
    assert found["nats"] == pytest.approx(expected.nats, rel=1e-4)
    (row,) = story_rows(tokenizer, [text])
    (scores,) = score_rows(model, [row])
    assert [token["id"] for token in found["perToken"]] == row[1:]
    np.testing.assert_allclose([token["nats"] for token in found["perToken"]], -scores.log_probs, atol=2e-4)


def test_an_example_s_score_stands_over_its_floor(shipped):
    for example in shipped.value("engine.facts.examples"):
        found = shipped.value(f"engine.score({js(example['text'])})")
        assert found["bytes"] == example["bytes"] and math.isfinite(found["bitsPerByte"])
        assert found["bitsPerByte"] > 0.9 * example["floorBitsPerByte"]


# ---------------------------------------------------------------------- the folder


def test_the_page_is_small(page):
    assert sum(path.stat().st_size for path in page.rglob("*") if path.is_file()) < 25e6
    assert (page / "model" / "model.onnx").stat().st_size < 6.1e6


def test_what_is_missing_is_said(page):
    with empty(page) as window:
        said = window.value("import('./engine/index.js').then((all) => all.open('./nowhere/')).catch((e) => e.message)")
        assert "/nowhere/" in said and said.endswith("could not be read (404)")
        said = window.value(
            "import('./engine/index.js').then((all) => all.open('./model/', './off/')).catch((e) => e.message)"
        )
        assert said.startswith("the runtime in ") and "/off/ could not be loaded" in said
