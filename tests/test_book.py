"""The web book: its contents are the course's; its pages, where Sphinx is installed, can be read by everyone.

python -m pip install -r docs/requirements.txt
python -m pytest tests/test_book.py
"""

import json
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from course.site import notebooks, setup_cell
from course.site.syllabus import SYLLABUS
from helpers.errors import CourseError
from helpers.files import repository_root

ROOT = repository_root()
DOCS = ROOT / "docs"
WRITTEN = [entry.name for entry in SYLLABUS if entry.exists]
each_notebook = pytest.mark.parametrize("name", WRITTEN)


@pytest.fixture
def contents(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "tools"))
    import book_contents

    return book_contents


# Without Sphinx


def test_the_settings_name_only_what_is_there(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    settings = runpy.run_path(str(DOCS / "conf.py"))
    for folder in settings["html_static_path"]:
        assert (DOCS / folder).is_dir()
    for file in settings["html_css_files"] + settings["html_js_files"]:
        assert (DOCS / "_static" / file).is_file()
    assert (DOCS / settings["html_favicon"]).is_file()
    assert settings["nb_execution_mode"] == "off"
    assert settings["html_theme_options"]["repository_url"].endswith(setup_cell.ADDRESS)
    own = [name for name in settings["extensions"] if (DOCS / "tools" / f"{name}.py").exists()]
    packages = (DOCS / "requirements.txt").read_text(encoding="utf-8").replace("-", "_")
    for name in set(settings["extensions"]) - set(own) | {settings["html_theme"]}:
        assert re.search(rf"^{name}==", packages, re.MULTILINE), f"{name} is in no requirement"


def test_what_the_book_needs_is_pinned():
    for line in (DOCS / "requirements.txt").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"(#.*|[\w-]+==[\d.]+|)", line), line


def test_the_chapters_are_the_syllabus_and_every_page_has_its_place(contents):
    pages = contents.pages()
    assert [page for page in pages if page.endswith(".ipynb")] == [f"notebooks/{name}.ipynb" for name in WRITTEN]
    assert len(set(pages)) == len(pages) and all((ROOT / page).is_file() for page in pages)
    written = {path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md")} - {contents.FRONT}
    written = {page for page in written if not page.startswith("docs/slides/")}  # what decks show, no pages
    assert written < set(pages)


def test_the_front_page_names_the_planned_notebooks_and_leaves_no_mark(contents):
    front = contents.front_page((DOCS / "index.md").read_text(encoding="utf-8"))
    assert "<!-- readme" not in front and "<!-- map -->" not in front and "<!-- contents -->" not in front
    for entry in SYLLABUS:
        assert re.search(rf"^\| {entry.number} \|.*{entry.title}", front, re.MULTILINE), entry.title
    listed = re.findall(r"^/notebooks/(\w+)$", front, re.MULTILINE)
    assert listed == WRITTEN


def test_a_section_that_the_readme_does_not_have_is_an_error(contents):
    with pytest.raises(CourseError, match="No such thing"):
        contents.front_page("<!-- readme: No such thing -->")


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("notebooks/01_tokenization.ipynb", "[on](02_dataset_eda.ipynb#the-stories)", None),
        ("docs/design.md", "[map](../README.md#the-map)", "[map](../index.md#the-map)"),
        ("docs/design.md", "[x](../helpers/model.py)", "[x](https://github.com/{}/blob/main/helpers/model.py)"),
        ("docs/design.md", "[x](../data/story_grammar)", "[x](https://github.com/{}/tree/main/data/story_grammar)"),
        ("docs/index.md", "[x](LICENSE)", "[x](https://github.com/{}/blob/main/LICENSE)"),
        ("docs/index.md", "[x](#no-heading)", "[x](https://github.com/{}/blob/main/README.md#no-heading)"),
        ("docs/index.md", "# A heading\n\n[x](#a-heading)", None),
        ("docs/design.md", "```\n[x](nowhere.md)\n```\n and `[y](nowhere.md)`", None),
        ("docs/design.md", "[x](https://example.org/a.md)", None),
    ],
)
def test_links_lead_to_a_page_or_to_the_repository(contents, page, text, expected):
    assert contents.adapted(text, page) == (expected or text).format(setup_cell.ADDRESS)


def test_a_link_to_nowhere_is_an_error(contents):
    with pytest.raises(CourseError, match="missing.md"):
        contents.adapted("[x](missing.md)", "docs/design.md")


@each_notebook
def test_a_badge_becomes_a_link_with_the_same_address(contents, name):
    text = contents.adapted(setup_cell.badge(name), f"notebooks/{name}.ipynb")
    colab = f"https://colab.research.google.com/github/{setup_cell.ADDRESS}/blob/main/notebooks/{name}.ipynb"
    assert text == f"[Open in Colab]({colab}){{.colab}}"


PAGE = "<html><body><h1 id='a'>A</h1>{}</body></html>"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<a href='nowhere.html'>x</a>", "dead link nowhere.html"),
        ("<a href='../outside.html'>x</a>", "dead link ../outside.html"),
        ("<a href='#b'>x</a>", "dead anchor #b"),
        ("<a href='other.html#b'>x</a>", "dead anchor other.html#b"),
        ("<img src='other.html'>", "no alternative text"),
        ("<img src='other.html' alt=' '>", "no alternative text"),
        ("<img src='https://example.org/a.png' alt='a'>", "fetches https://example.org/a.png"),
        ("<script src='//example.org/a.js'></script>", "fetches //example.org/a.js"),
        ("<link rel='stylesheet' href='https://example.org/a.css'>", "fetches https://example.org/a.css"),
        ("<iframe src='https://example.org/'></iframe>", "fetches https://example.org/"),
    ],
)
def test_faults_of_pages_are_found(contents, tmp_path, body, fault):
    pytest.importorskip("bs4")
    import book_faults

    (tmp_path / "other.html").write_text(PAGE.format("<a href='index.html#a'>x</a>"), encoding="utf-8")
    (tmp_path / "index.html").write_text(PAGE.format("<a href='https://example.org'>x</a>"), encoding="utf-8")
    assert book_faults.faults(tmp_path) == []
    (tmp_path / "index.html").write_text(PAGE.format(body), encoding="utf-8")
    (found,) = book_faults.faults(tmp_path)
    assert found.startswith("index.html: ") and fault in found


def test_a_style_sheet_that_fetches_is_found(contents, tmp_path):
    pytest.importorskip("bs4")
    import book_faults

    (tmp_path / "a.css").write_text("@font-face {src: url(https://example.org/a.woff2)}", encoding="utf-8")
    assert book_faults.faults(tmp_path) == ["a.css: fetches from another host"]


def test_what_the_search_knows_of_a_page(contents):
    pytest.importorskip("sphinx")
    import book_search
    from docutils import nodes
    from docutils.utils import new_document

    setup = nodes.container("", nodes.literal_block(text="subprocess.run(git)"), classes=["cell", "tag_setup"])
    code = nodes.literal_block(text="import torch\nfrom torch import nn\nx = torch.ones(3)  # from here on")
    page = new_document("page")
    page += [setup, nodes.paragraph(text="We import nothing."), code]
    before = page.pformat()
    seen = book_search.searched(page, [("single", "mask", "a", "main", None)])
    assert page.pformat() == before
    shown = [str(text) for text in seen.findall(nodes.Text) if "no-search" not in text.parent.parent.get("classes", [])]
    assert shown == ["We import nothing.", "x = torch.ones(3)  # from here on"]
    assert seen[-1]["entries"] == [("single", "mask", "a", "main", None)]


def test_the_terms_of_the_glossary_lead_to_where_they_are_taught(contents):
    pytest.importorskip("sphinx")
    import book_search

    glossary = (
        "- **causal mask** (*look-ahead mask*): It hides\n  the future.\n"
        "  [05, Hide](../notebooks/05_x.ipynb#hide)\n"
        "- **head**: One of many.\n  [05, Heads](../notebooks/05_x.ipynb#heads)\n"
    )
    hide, heads = ("notebooks/05_x", "hide"), ("notebooks/05_x", "heads")
    assert book_search.terms_of(glossary) == [
        ("causal mask", *hide), ("look-ahead mask", *hide), ("head", *heads), ("mask", *hide)
    ]  # fmt: skip
    known = {name for name, _, _ in book_search.terms_of((DOCS / "glossary.md").read_text(encoding="utf-8"))}
    assert {"attention", "perplexity", "temperature", "LayerNorm", "loss", "mask", "LoRA"} <= known


@pytest.mark.parametrize(
    ("address", "site"),
    [
        (setup_cell.UNSET, None),
        ("Ada/stories", "https://ada.github.io/stories"),
        ("ada/ada.github.io", "https://ada.github.io"),
    ],
)
def test_a_preview_has_a_picture_where_the_book_has_an_address(contents, monkeypatch, address, site):
    pytest.importorskip("docutils")
    import book_meta

    monkeypatch.setattr(setup_cell, "ADDRESS", address)
    found = book_meta.tags("notebooks/05_self_attention", "5", "Heads.", "A book")
    assert found["og:title"] == "5" and found["og:description"] == found["description"] == "Heads."
    if site is None:
        assert not {"og:url", "og:image"} & found.keys(), "no made-up address"
    else:
        assert found["og:url"] == f"{site}/notebooks/05_self_attention.html"
        assert found["og:image"].startswith(f"{site}/_static/") and (DOCS / found["og:image"][len(site) + 1 :]).exists()
        assert book_meta.tags("index", "x", "y", "z")["og:url"] == f"{site}/"


# With Sphinx


class Page(HTMLParser):
    """What a page of the book links to, shows and fetches."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags, self.ids, self.text = [], set(), path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.ids |= {attributes[key] for key in ("id", "name") if attributes.get(key)}

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def folders() -> set[str]:
    """The folders beside the book's sources; Sphinx and MyST-NB like to make some."""
    return {path.name for place in (ROOT, DOCS, ROOT / "notebooks") for path in place.iterdir() if path.is_dir()}


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The folder of a freshly built book."""
    for package in ("sphinx", "myst_nb", "sphinx_book_theme"):
        pytest.importorskip(package)
    out = tmp_path_factory.mktemp("book")
    before = folders()
    command = [sys.executable, str(DOCS / "tools" / "build_book.py"), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=out, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    assert folders() - before <= {"__pycache__", "runs"}, "building the book leaves something in the checkout"
    return out / "html"


@pytest.fixture(scope="module")
def pages(html):
    return {path.relative_to(html).as_posix(): Page(path) for path in html.rglob("*.html")}


def test_every_page_is_there(contents, pages):
    assert {f"{page.rsplit('.', 1)[0]}.html" for page in contents.pages()} | {"index.html", "search.html"} <= set(pages)


@each_notebook
def test_a_chapter_opens_in_colab_from_its_text_and_from_its_bar(pages, name):
    colab = f"https://colab.research.google.com/github/{setup_cell.ADDRESS}/blob/main/notebooks/{name}.ipynb"
    links = [link for link in pages[f"notebooks/{name}.html"].all("a") if link.get("href") == colab]
    assert len(links) == 2 and "colab" in links[0].get("class", "") + links[1].get("class", "")


@each_notebook
def test_a_chapter_can_be_downloaded_as_it_is_stored(html, name):
    assert (html / "_sources" / "notebooks" / f"{name}.ipynb").read_bytes() == (
        notebooks.folder() / f"{name}.ipynb"
    ).read_bytes()


@each_notebook
def test_every_figure_has_the_words_that_are_stored_with_it(pages, name):
    book = notebooks.read(notebooks.folder() / f"{name}.ipynb")
    stored = [
        output.metadata["image/png"]["alt"]
        for cell in book.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    page = BeautifulSoup(pages[f"notebooks/{name}.html"].text, "html.parser")
    shown = [
        one.get("aria-label") or one.img["alt"] for one in page.select(".course-drawing, .course-figure:has(> img)")
    ]
    assert shown == stored and stored


@each_notebook
def test_every_drawing_is_there_for_a_light_and_for_a_dark_page(html, name):
    page = html / "notebooks" / f"{name}.html"
    for drawing in BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select(".course-drawing"):
        for box in drawing.select(".whole, .box"):
            light, dark = box.find_all("img")
            assert (light["class"], dark["class"]) == (["only-light"], ["only-dark"])
            assert light["src"].replace("-light.svg", "-dark.svg") == dark["src"] != light["src"]
            assert (page.parent / light["src"]).is_file() and (page.parent / dark["src"]).is_file()


@each_notebook
def test_what_unfolds_in_the_notebook_unfolds_in_the_book(pages, name):
    book = notebooks.read(notebooks.folder() / f"{name}.ipynb")
    text = "".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    text += "".join(o.get("data", {}).get("text/html", "") for c in book.cells for o in c.get("outputs", []))
    page = pages[f"notebooks/{name}.html"].text
    article = page[page.index("<article") : page.index("</article>")]
    predicted = sum(notebooks.PREDICTED in notebooks.tags_of(cell) for cell in book.cells)
    stored = text.count("<details") + predicted
    assert article.count("<details") == article.count("</details>") == stored + 1, "the setup cell is folded too"
    assert article.count("<summary") == stored + 1 and not re.search(r"<details[^>]*\bopen\b", article)


def test_nothing_is_fetched_from_elsewhere(html, pages):
    for name, page in pages.items():
        fetched = [tag.get("src") for kind in ("script", "img", "iframe", "source") for tag in page.all(kind)]
        fetched += [link["href"] for link in page.all("link") if link.get("rel") not in ("canonical", "next", "prev")]
        assert [address for address in fetched if address and urlsplit(address).netloc] == [], name
    for sheet in html.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


def test_every_link_inside_the_book_leads_somewhere(html, pages):
    for name, page in pages.items():
        for link in page.all("a"):
            to = urlsplit(link.get("href", ""))
            if to.scheme or to.netloc:
                continue
            file = (html / name).parent / unquote(to.path) if to.path else html / name
            assert file.exists(), f"{name}: {link['href']}"
            if to.fragment and file.suffix == ".html":
                target = pages[file.resolve().relative_to(html.resolve()).as_posix()]
                assert unquote(to.fragment) in target.ids, f"{name}: {link['href']}"


def test_the_side_column_follows_the_syllabus(pages):
    links = [link["href"] for link in pages["index.html"].all("a") if "internal" in link.get("class", "")]
    chapters = [link[len("notebooks/") : -len(".html")] for link in links if re.fullmatch(r"notebooks/\w+\.html", link)]
    assert chapters[: len(WRITTEN)] == WRITTEN


def test_the_living_page_lies_in_the_book_and_links_to_its_chapters(html):
    facts = json.loads((html / "page" / "model" / "facts.json").read_bytes())
    assert facts["links"] and all((html / "page" / link).is_file() for link in facts["links"].values())
    assert (html / "page" / "runtime" / "ort.wasm.min.mjs").is_file()


def test_the_search_knows_the_words(html):
    index = (html / "searchindex.js").read_text(encoding="utf-8")
    found = json.loads(index[len("Search.setIndex(") : index.rindex(")")])
    names = set()
    for kind in ("terms", "titleterms"):
        where = found[kind]["attent"]  # the stem of "attention"
        names |= {found["docnames"][i] for i in (where if isinstance(where, list) else [where])}
    assert {"notebooks/05_self_attention", "notebooks/06_gpt2_decoder"} <= names


# What a learner would look for, and the page that must come first.
LOOKED_FOR = {
    "attention": "notebooks/05_self_attention.html",
    "perplexity": "notebooks/03_baselines.html#a-fair-measure",
    "temperature": "notebooks/00_start_here.html#ask-for-other-stories",
    "layernorm": "notebooks/06_gpt2_decoder.html#layernorm",
    "loss": "notebooks/03_baselines.html#a-fair-measure",
    "tokenizer": "notebooks/01_tokenization.html",
    "floor": "notebooks/03_baselines.html#the-floor",
    "mask": "notebooks/05_self_attention.html#step-6-hide-the-future",
    "resume": "notebooks/07_training.html#killed-and-resumed",
    "LoRA": "notebooks/12_pretrained_gpt2.html#lora-a-thin-correction",
}
SHOWN = """[...document.querySelectorAll('#search-results li')].map(one => [
    one.querySelector('a').getAttribute('href'), one.querySelector('p.context')?.textContent ?? ''])"""


def test_the_search_shows_first_where_a_thing_is_taught(html):
    pytest.importorskip("websocket")
    import browser

    if browser.find_chromium() is None:
        pytest.skip("no Chromium")
    with browser.serve(html) as address, browser.Browser((1280, 900)) as reader:
        for word, first in LOOKED_FOR.items():
            reader.open(f"{address}/search.html?q={word}")
            items = "document.querySelectorAll('#search-results li')"
            assert reader.wait_for(f"{items}.length && [...{items}].every(one => one.querySelector('p.context'))"), word
            found = reader.value(SHOWN)
            assert found[0][0].startswith(first), f"{word}: {found[0][0]}"
            places = [re.match(r"notebooks/|docs/teaching|", target)[0] for target, _ in found]
            assert "notebooks/" not in places[places.index("docs/teaching") :] if "docs/teaching" in places else True
            imports = re.compile(r"^\s*(?:import [\w.]+(?: as \w+)?$|from [\w.]+ import )", re.MULTILINE)
            assert not [target for target, shown in found if imports.search(shown)], word


def test_the_index_has_no_words_of_the_setup_cell(html):
    index = (html / "searchindex.js").read_text(encoding="utf-8")
    found = json.loads(index[len("Search.setIndex(") : index.rindex(")")])
    named = found["terms"].get("lowspeedlimit", [])  # of git's options in the setup cell
    assert named == []


def test_every_page_has_one_first_heading_and_says_what_it_is(pages):
    for name, page in pages.items():
        if name.startswith("_static/"):
            continue
        assert len(page.all("h1")) == 1, name
        meta = {tag.get("name") or tag.get("property"): tag.get("content") for tag in page.all("meta")}
        assert meta["og:title"] and meta["og:site_name"]
        if name not in ("genindex.html", "search.html"):
            assert 20 <= len(meta["description"]) <= 200 and meta["og:description"] == meta["description"], name
    descriptions = [page.text.split('name="description" content="')[1].split('"')[0] for page in
                    (pages[f"notebooks/{name}.html"] for name in WRITTEN)]  # fmt: skip
    assert len(set(descriptions)) == len(WRITTEN)


def test_formulas_are_drawn_without_a_script(pages):
    page = pages["notebooks/04_embeddings_and_positions.html"]
    assert page.all("math") and not [
        script for script in page.all("script") if "mathjax" in script.get("src", "").lower()
    ]
    assert "\\sin" not in page.text
