"""The living page as a reader meets it, in a headless Chromium: by pointer, by keyboard, by ear, on a phone.

What it shows is compared with what the same model says in Python. Needs docs/requirements.txt and a Chromium. axe-core
is fetched by npm; where there is none, axe alone is left out.

python -m pytest tests/test_page_ui.py
"""

import importlib.util
import json
import os
import re
import shutil
import sys
import time

import pytest
import torch

from course import interpret
from course.__main__ import main
from course.site import page_runtime
from course.site.syllabus import SYLLABUS
from helpers.checkpoint import load_model, save_model
from helpers.errors import CourseError
from helpers.evaluation import evaluate
from helpers.files import data_folder, read_json, repository_root
from helpers.generation import PROMPT, encode_prompt, generate, generate_text
from helpers.model import GPT, GPTConfig
from helpers.sampling import reshape
from helpers.stories import load_stories
from helpers.tokenizer import load_tokenizer

TOOLS = repository_root() / "docs" / "tools"
sys.path.insert(0, str(TOOLS))
import browser as chromium  # noqa: E402

NEEDED = ("onnx", "onnxscript", "websocket")
pytestmark = pytest.mark.skipif(
    chromium.find_chromium() is None or any(importlib.util.find_spec(name) is None for name in NEEDED),
    reason="needs Chromium and docs/requirements.txt",
)

WIDE, PHONE = (1280, 900), (375, 812)
READY = "document.getElementById('status').textContent === 'Ready.'"
TOKENS = "document.querySelectorAll('#story [role=option]:not(.next)')"
AT_REST = "document.getElementById('start').textContent === 'Start'"
ROUNDED = 1.1e-3  # a probability is written with one digit behind the point, or as ">99.9%"
TROUBLE = "document.getElementById('status').className === 'trouble'"
KEYS = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


def written(out, *model):
    """A page as the command writes it; skipped where the runtime was never fetched and cannot be. CI fetches it."""
    if main(["page", *model, "--out", str(out)]):
        if not os.environ.get("CI"):
            try:
                page_runtime.runtime_files()
            except CourseError as error:
                pytest.skip(str(error))
        pytest.fail("the page was not written")
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page of the shipped storyteller."""
    return written(tmp_path_factory.mktemp("page") / "page")


@pytest.fixture(scope="module")
def storyteller():
    """The same model and its tokenizer in Python."""
    model, tokenizer = load_model(data_folder() / "storyteller")
    return model.eval(), tokenizer


@pytest.fixture(scope="module")
def told(storyteller):
    """The ids of the likeliest story, from the end token before it to the one after it."""
    model, tokenizer = storyteller
    prompt, end = encode_prompt(tokenizer, PROMPT), tokenizer.eos_token_id
    return [*prompt, *generate(model, prompt, greedy=True, eos_token_id=end), end]


class Page(chromium.Browser):
    """The browser with the page in it, and hands."""

    address: str

    def start(self, theme: str = "light", size: tuple[int, int] = WIDE, **wishes: str) -> "Page":
        """Load the page anew, as somebody with this window and these wishes sees it."""
        phone = size == PHONE
        view = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": phone}
        self.tell("Emulation.setDeviceMetricsOverride", **view)
        wishes = {"prefers-color-scheme": theme} | {name.replace("_", "-"): wish for name, wish in wishes.items()}
        features = [{"name": name, "value": wish} for name, wish in wishes.items()]
        self.tell("Emulation.setEmulatedMedia", features=features)
        self.open(f"{self.address}/index.html")
        assert self.wait_for(READY), self.value("document.getElementById('status').textContent")
        return self

    def press(self, key: str) -> None:
        more = {"text": "\r"} if key == "Enter" else {}
        code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        self.tell("Input.dispatchKeyEvent", type="keyDown", **code, **more)
        self.tell("Input.dispatchKeyEvent", type="keyUp", **code)

    def choose(self, control: str, value: str) -> None:
        """Set a control as a reader does, with its event."""
        kind = "change" if control in ("pace", "layer", "head") else "input"
        self.value(
            f"(one => {{ one.value = {value!r}; one.dispatchEvent(new Event({kind!r}, {{bubbles: true}})) }})"
            f"(document.getElementById({control!r}))"
        )

    def click(self, selector: str, number: int = 0) -> None:
        self.value(f"document.querySelectorAll({selector!r})[{number}].click()")

    def tell_story(self) -> None:
        """The whole likeliest story, as fast as it goes."""
        self.choose("pace", "0")
        self.choose("temperature", "0")
        self.click("#again")
        assert self.wait_for("document.getElementById('start').textContent === 'Stop'")
        assert self.wait_for(f"{AT_REST} && {TOKENS}.length > 20")

    def words(self) -> str:
        """The story as it reads, its white space made single."""
        space = "(o.previousSibling?.nodeType === Node.TEXT_NODE ? ' ' : '')"
        text = self.value(f"[...{TOKENS}].map(o => {space} + o.textContent).join('')")
        return " ".join(text.replace("[end]", "").replace("¶", " ").split())

    def rows(self, table: str) -> list[list[str]]:
        """The cells of a table's body, those that are drawings left out."""
        return self.value(
            f"[...document.querySelectorAll('{table} tbody tr')].map(row => [...row.cells]"
            ".filter(cell => !cell.ariaHidden).map(cell => (cell.querySelector('.piece') ?? cell).textContent))"
        )

    def focused(self, what: str) -> str:
        return self.value(f"document.activeElement.{what}")


@pytest.fixture(scope="module")
def opened(folder):
    with chromium.serve(folder) as address, Page(WIDE) as page:
        page.address = address
        yield page


@pytest.fixture
def page(opened):
    yield opened.start()
    assert opened.errors() == [] and opened.strangers() == []


def share(text: str) -> float:
    """A probability as the page writes it."""
    return float(text.strip("<>%")) / 100


def as_shown(piece: str) -> str:
    return piece.replace(" ", "␣").replace("\n", "¶")


# A story


def test_it_tells_the_story_that_python_tells(page, storyteller):
    page.tell_story()
    assert page.words() == " ".join(generate_text(*storyteller, PROMPT, greedy=True).split())
    assert page.value(f"{TOKENS}.length") > 100 and page.value(f"[...{TOKENS}].at(-1).textContent") == "[end]"


def test_it_starts_stops_and_takes_one_token_at_a_time(page):
    count = f"{TOKENS}.length"
    given = page.value(count)
    page.click("#one")
    assert page.wait_for(f"{count} === {given + 1}")
    page.click("#start")
    assert page.wait_for(f"{count} > {given + 5}")
    page.click("#start")
    stopped = page.value(count)
    time.sleep(1)
    assert page.value(count) == stopped and page.value(AT_REST)
    before = page.words()
    page.click("#start")
    assert page.wait_for(f"{count} > {stopped}")
    page.click("#start")
    assert page.words().startswith(before), "Start goes on with the story that is there"


def test_a_prompt_of_ones_own_begins_another_story(page):
    page.value("document.getElementById('prompt').focus(); document.getElementById('prompt').select()")
    page.tell("Input.insertText", text="Ruby had a red wagon ")
    page.press("Enter")
    assert page.wait_for(f"{TOKENS}.length > 12")
    assert page.words().startswith("Ruby had a red wagon")
    marked = page.value("[...document.querySelectorAll('#story .role')].map(o => [o.textContent, o.ariaLabel])")
    assert marked[0][1].endswith("the hero") or len(marked[0][0]) < 4, marked[0]
    assert ["red", "red, its color"] in marked and ["wagon", "wagon, the toy"] in marked


def test_the_bars_show_what_is_left_as_the_sliders_move(page, storyteller, told):
    """Temperature, top-k and top-p by the keyboard; the numbers are those of helpers.sampling."""
    model, _ = storyteller
    with torch.inference_mode():
        said = model(torch.tensor([told[:-1]]))[0].softmax(-1)
    at = int(said.amax(-1).argmin())  # where the model is least sure
    logits, said = said[at].log(), said[at]
    page.tell_story()
    page.click("#story [role=option]", at)
    page.choose("temperature", "1")
    words = "['temperature', 'top-k', 'top-p'].map(id => document.getElementById(id).ariaValueText)"
    for slider, presses in (("temperature", 14), ("top-k", -4), ("top-p", -6)):
        page.value(f"document.getElementById({slider!r}).focus()")
        for _ in range(abs(presses)):
            page.press("ArrowRight" if presses > 0 else "ArrowLeft")
        shape = [None if word == "off" else float(word) for word in page.value(words)]
        options = {"temperature": shape[0], "top_k": shape[1] and int(shape[1]), "top_p": shape[2]}
        left = reshape(logits, **options).softmax(-1)
        rows = page.rows("#choices")
        for token, row in zip(said.topk(10).indices.tolist(), rows, strict=False):
            assert share(row[1]) == pytest.approx(float(said[token]), abs=ROUNDED)
            assert (row[2] == "out") == (float(left[token]) == 0)
            assert row[2] == "out" or share(row[2]) == pytest.approx(float(left[token]), abs=ROUNDED)
        kept = int((left > 0).sum())
        assert f"{kept:,}" in page.value("document.getElementById('choices-note').textContent")
    assert options == {"temperature": 1.7, "top_k": 10, "top_p": 0.7}, "the keys have moved all three"
    widths = page.value("[...document.querySelectorAll('#choices .bar.left')].map(bar => bar.style.width)")
    assert float(widths[0].rstrip("%")) / 100 == pytest.approx(float(left.max()), abs=ROUNDED)


def test_another_of_the_ten_and_the_story_goes_on_from_there(page):
    page.tell_story()
    told = page.value(f"[...{TOKENS}].map(o => o.textContent)")
    at = next(i for i, word in enumerate(told) if i > 5 and len(word) > 3)
    page.click("#story [role=option]", at)
    other = page.value("document.querySelectorAll('#choices .pick')[3].textContent")
    page.value("document.querySelectorAll('#choices .pick')[3].focus()")
    page.press("Enter")
    assert page.wait_for(f"{TOKENS}.length > {at + 5}")
    assert page.wait_for(AT_REST)
    now = page.value(f"[...{TOKENS}].map(o => o.textContent)")
    assert now[:at] == told[:at] and now[at] == other.replace("␣", "") != told[at]
    assert page.focused("textContent") == other, "the keyboard stays on what it chose"
    assert page.value("document.querySelector('#choices tr.here .pick').textContent") == other


def test_the_next_token_can_be_chosen_by_hand(page):
    given = page.value(f"{TOKENS}.length")
    for more in (1, 2, 3):
        page.click("#choices .pick")
        assert page.wait_for(f"{TOKENS}.length === {given + more}")
    assert page.value("document.getElementById('chosen-title').textContent") == "The next token"


# Inside


def test_arcs_and_lens_are_those_of_the_model(page, storyteller, told):
    model, tokenizer = storyteller
    at = 60
    before = torch.tensor([told[: at + 1]])
    with torch.inference_mode():
        maps = interpret.attention_maps(model, before)[:, 0, :, -1]  # (n_layer, n_head, T)
        with interpret.record(model, "stream.0", "stream.1") as seen:
            model(before)
        lens = [interpret.logit_lens(model, seen[f"stream.{i}"])[0, -1].softmax(-1) for i in (0, 1)]
    page.tell_story()
    page.click("#story [role=option]", at)
    pieces = ["start", *(as_shown(tokenizer.decode([i])) for i in told[1 : at + 1])]
    for layer, head, weights in (("1", "2", maps[1, 2]), ("0", "", maps[0].mean(0)), ("", "", maps.mean((0, 1)))):
        page.choose("layer", layer)
        page.choose("head", head)
        best = weights.topk(8)
        drawn = [(pieces[i], w) for w, i in zip(*map(torch.Tensor.tolist, best), strict=True) if w >= 0.03]
        rows = page.rows("#looks")
        assert [name for name, _ in rows] == [name for name, _ in drawn[:5]]
        assert [share(weight) for _, weight in rows] == pytest.approx([w for _, w in drawn[:5]], abs=ROUNDED)
        for what in (".arcs path", ".looked"):
            assert page.value(f"document.querySelectorAll('#story {what}').length") == len(drawn)
    for layer in (0, 1):
        rows = page.value(
            f"[...document.querySelectorAll('#lens tbody')[{layer}].rows].map(row => "
            "[row.querySelector('.piece').textContent, row.querySelector('.number').textContent])"
        )
        top = lens[layer].topk(3)
        assert [word for word, _ in rows[:3]] == [as_shown(tokenizer.decode([i])) for i in top.indices.tolist()]
        assert [share(p) for _, p in rows[:3]] == pytest.approx(top.values.tolist(), abs=ROUNDED)
    page.click("#arcs")
    assert page.value("document.querySelectorAll('.arcs, .looked').length") == 0
    assert page.rows("#looks"), "the table stays"


def test_roles_are_those_that_the_grammar_recorded(page):
    """Every mention of hero, friend, toy and color in held-out stories, and hardly anything else."""
    stories = load_stories("bundled", "validation", 150).dataset
    texts = json.dumps([story["text"] for story in stories])
    found = page.value(
        "Promise.all([import('./ui/roles.js'), fetch('model/facts.json').then(answer => answer.json())])"
        f".then(([{{rolesIn}}, facts]) => {texts}.map(text => rolesIn(text, facts.roles)))"
    )
    extra = total = 0
    for story, marks in zip(stories, found, strict=True):
        truth = {
            (span["start"], span["end"], span["role"])
            for span in story["spans"]
            if span["role"] in ("hero", "friend", "toy", "color") and span["attribute"] in (None, "", "text")
        }
        marked = {(mark["start"], mark["end"], mark["role"]) for mark in marks}
        assert truth <= marked, story["text"]
        extra, total = extra + len(marked - truth), total + len(truth)
    assert total > 2000 and extra < total / 500


def test_marks_are_told_apart_without_color_and_by_ear(page):
    page.tell_story()
    lines = page.value(
        "[...document.querySelectorAll('#legend .token')].map(o => getComputedStyle(o).borderBottomStyle)"
    )
    assert len(lines) == len(set(lines)) == 4
    for role, words in {"hero": "the hero", "friend": "the friend", "toy": "the toy", "color": "its color"}.items():
        names = page.value(f"[...document.querySelectorAll('#story .{role}')].map(o => o.ariaLabel)")
        assert names and all(name.endswith(f", {words}") for name in names)


# The score


def test_the_score_of_a_text_is_python_s(page, storyteller):
    text = 'Once there was a little fox named Ben. "I like trains," said Ben.'
    page.value(f"document.getElementById('text').value = {text!r}; document.getElementById('score').click()")
    assert page.wait_for("document.querySelectorAll('#surprises [role=option]').length > 5")
    expected = evaluate(*storyteller, [text])
    said = page.value("document.getElementById('verdict').textContent")
    assert said.startswith(f"{expected.bits_per_byte:.3f} bits per byte")
    floor = read_json(data_folder() / "stories" / "statistics.json")["floor"]["bits_per_byte"]
    assert f"{floor:.3f}" in said and ["held-out stories, the floor", f"{floor:.3f}"] in page.rows("#scale")
    rows = page.rows("#surprise-table")
    assert len(rows) == expected.tokens
    bits = sum(float(row[2]) for row in rows)
    assert bits / len(text.encode()) == pytest.approx(expected.bits_per_byte, abs=0.006 * len(rows) / len(text))
    page.value("document.querySelector('#surprises [tabindex=\"0\"]').focus()")
    page.press("Home")
    told = page.value("document.getElementById('surprise').textContent")
    assert told.startswith(rows[0][1]) and f"{rows[0][2]} bits" in told


def test_a_held_out_story_has_its_own_floor(page):
    page.click("#examples button")
    assert page.wait_for("document.querySelectorAll('#surprises [role=option]').length > 50")
    text = page.value("document.getElementById('text').value")
    story = next(one for one in load_stories("bundled", "validation", 200).dataset if one["text"] == text)
    own = story["nats"] / torch.tensor(2.0).log().item() / len(text.encode())
    shown = dict(map(tuple, page.rows("#scale")))
    assert float(shown["this text under its grammar"]) == pytest.approx(own, abs=6e-4)
    score = float(page.value("document.getElementById('verdict').textContent").split(" bits")[0])
    times = re.search(r"([\d.]+) times", page.value("document.getElementById('verdict').textContent"))[1]
    assert float(times) == pytest.approx(score / own, abs=0.01)


def test_no_text_has_no_score(page):
    page.click("#score")
    assert "no text" in page.value("document.getElementById('verdict').textContent")
    assert not page.value("document.getElementById('scale').checkVisibility()")


# What it says of itself


def test_it_says_what_it_is_and_where_each_part_is_built(page, storyteller):
    text = " ".join(page.value("document.body.innerText").split())
    assert f"{storyteller[0].parameter_count():,} parameters" in text
    assert "drawn from a grammar" in text and "no real children's stories" in text
    links = page.value("[...document.querySelectorAll('#built a')].map(a => [a.textContent, a.href])")
    titles = {f"{entry.number}, {entry.title}": entry.name for entry in SYLLABUS}
    assert {title[:2] for title, _ in links} == {"01", "03", "05", "06", "07", "09", "11"}
    for title, address in links:
        assert titles[title] in address
    assert page.value("[...document.querySelectorAll('main a')].every(a => a.href)")


def test_a_model_of_other_stories_has_no_roles_and_no_floor_and_may_outgrow_its_context(opened, tmp_path):
    torch.manual_seed(1)
    model = GPT(GPTConfig(vocab_size=2048, context_length=24, n_layer=3, n_head=2, d_model=16))
    out = written(tmp_path / "page", str(save_model(tmp_path / "mine", model, load_tokenizer())))
    with chromium.serve(out) as address:
        opened.open(f"{address}/index.html")
        assert opened.wait_for(READY)
        assert "Mine, a GPT of" in opened.value("document.getElementById('about').textContent")
        assert opened.value("document.getElementById('legend')") is None
        assert "grammar" not in opened.value("document.getElementById('made').textContent")
        opened.value("document.getElementById('text').value = 'A story.'; document.getElementById('score').click()")
        assert opened.wait_for("document.querySelectorAll('#surprises [role=option]').length > 1")
        assert "is not known" in opened.value("document.getElementById('verdict').textContent")
        assert len(opened.rows("#scale")) == 1
        opened.tell_story()
        assert opened.value(f"{TOKENS}.length") > 24
        opened.click("#story [role=option]", 60)
        assert len(opened.rows("#looks")) and opened.value("document.querySelectorAll('#lens tbody').length") == 3
        opened.click("#choices .pick", 2)
        assert opened.wait_for(f"{AT_REST} && {TOKENS}.length > 70")
        opened.click("#story [role=option]", 60)
        assert opened.value("document.querySelector('.panel').hidden") is False
        opened.click("#story [role=option]", 5)
        assert opened.value("document.querySelector('.panel').hidden"), "the story was read again without this token"
    assert opened.errors() == []


# Keyboard, ear, eye


def test_the_story_is_one_stop_for_tab_and_the_arrows_walk_in_it(page):
    page.tell_story()
    page.value("document.activeElement.blur()")
    stops = []
    for _ in range(40):
        page.press("Tab")
        stops.append(page.value("document.activeElement.closest('#story') ? 'story' : document.activeElement.id"))
    assert stops.count("story") == 1
    assert {"prompt", "start", "again", "pace", "temperature", "layer", "text"} <= set(stops)
    page.value("document.querySelector('#story [tabindex=\"0\"]').focus()")
    number = f"[...{TOKENS}].indexOf(document.activeElement)"
    page.press("Home")
    assert page.value(number) == 0
    page.press("ArrowRight")
    page.press("ArrowRight")
    assert page.value(number) == 2
    assert page.focused("ariaSelected") == "true"
    assert page.value("document.querySelectorAll('#story [aria-selected=true]').length") == 1
    assert page.value("document.getElementById('chosen-title').textContent").startswith("Token 3 of")
    top = page.value("document.activeElement.getBoundingClientRect().top")
    page.press("ArrowDown")
    assert page.value("document.activeElement.getBoundingClientRect().top") > top
    page.press("ArrowUp")
    assert page.value("document.activeElement.getBoundingClientRect().top") == pytest.approx(top, abs=3)
    page.press("End")
    assert page.focused("ariaLabel") == "end of the story"
    style = page.value("(s => [s.outlineStyle, s.outlineWidth])(getComputedStyle(document.activeElement))")
    assert style[0] == "solid" and float(style[1].rstrip("px")) >= 2


def test_a_growing_story_is_spoken_in_sentences_and_not_too_often(page):
    page.value(
        "window.spoken = []; window.began = performance.now(); new MutationObserver(() => "
        "spoken.push([document.getElementById('announcer').textContent, performance.now()]))"
        ".observe(document.getElementById('announcer'), {childList: true, characterData: true, subtree: true})"
    )
    page.tell_story()
    spoken = page.value("window.spoken")
    assert " ".join(" ".join(text for text, _ in spoken).split()).endswith("The end.")
    times = [when for _, when in spoken[:-1]]  # what remains is said when the story stops
    assert all(later - earlier > 3900 for earlier, later in zip(times, times[1:], strict=False))
    assert all(re.search(r"[.!?][\"”]?$", text) for text, _ in spoken[:-1])
    said = " ".join(" ".join(text for text, _ in spoken).split())
    assert page.words().endswith(said.removesuffix("The end.").replace("[end]", "").strip()), "all of it is said"


def test_who_wants_no_motion_sees_the_inside_when_the_story_rests(opened):
    opened.start(prefers_reduced_motion="reduce")
    opened.value(
        "window.changes = 0; new MutationObserver(() => window.changes++).observe("
        "document.getElementById('choices'), {childList: true})"
    )
    opened.tell_story()
    assert opened.value("window.changes") <= 2
    assert opened.value("document.querySelector('#choices tr.here .pick').textContent") == "[end]"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_is_cut_off_or_keeps_anybody_out(opened, theme, size):
    """axe finds nothing serious, and nothing is wider than the window: just opened, and with everything shown."""
    opened.start(theme, size)
    ground = re.findall(r"\d+", opened.value("getComputedStyle(document.body).backgroundColor"))
    assert (sum(map(int, ground[:3])) < 200) == (theme == "dark")
    assert opened.value("document.documentElement.scrollWidth") <= size[0]
    assert barriers(opened) == []
    opened.tell_story()
    opened.click("#story [role=option]", 40)
    opened.click("#examples button")
    assert opened.wait_for("document.querySelectorAll('#surprises [role=option]').length > 50")
    opened.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert opened.value("document.documentElement.scrollWidth") <= size[0]
    assert barriers(opened) == []


def barriers(page: Page) -> list[dict]:
    """What axe finds that is serious or worse; nothing where there is no npm to fetch it."""
    if shutil.which("npm") is None:
        return []
    import check_book

    page.value(check_book.axe_source())
    return [rule for rule in page.value(check_book._RUN_AXE) if rule["impact"] in ("serious", "critical")]


# What can go wrong is said


def test_opened_as_a_file_it_says_what_to_do(folder, opened):
    opened.open(f"file://{folder}/index.html")
    assert opened.wait_for(TROUBLE)
    assert "http.server" in opened.value("document.getElementById('status').textContent")


def test_without_webassembly_it_says_so(opened):
    script = opened.tell("Page.addScriptToEvaluateOnNewDocument", source="delete globalThis.WebAssembly")
    try:
        opened.open(f"{opened.address}/index.html")
        assert opened.wait_for(TROUBLE)
        assert "WebAssembly" in opened.value("document.getElementById('status').textContent")
    finally:
        opened.tell("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])


@pytest.mark.parametrize("missing", ["model/model.onnx", "runtime/ort.wasm.min.mjs", "ui/story.js"])
def test_a_missing_file_is_named(folder, opened, tmp_path, missing):
    copy = tmp_path / "page"
    shutil.copytree(folder, copy)
    (copy / missing).unlink()
    with chromium.serve(copy) as address:
        opened.open(f"{address}/index.html")
        assert opened.wait_for(TROUBLE)
        said = opened.value("document.getElementById('status').textContent")
        assert "could not be loaded" in said
        assert missing.split("/")[0] in said
        assert opened.value("document.getElementById('start').disabled")
