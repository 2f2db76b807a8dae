"""What is wrong with built pages: links that lead nowhere, pictures without words, requests to other hosts."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

# Elements that a browser fetches by itself, and where they say from where.
_FETCHED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "audio": "src",
    "video": "src",
    "embed": "src",
}
_FETCHED_LINKS = {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "preconnect", "dns-prefetch"}


def faults(folder: Path) -> list[str]:
    """One line for each fault of the pages under `folder`."""
    pages = {
        path.relative_to(folder).as_posix(): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(folder.rglob("*.html"))
        if "_static" not in path.relative_to(folder).parts
    }
    anchors = {
        name: {tag.get("id") or tag.get("name") for tag in page.find_all(_has_anchor)} for name, page in pages.items()
    }
    found = []
    for name, page in pages.items():
        problems = [*_remote(page), *_wordless(page), *_dead(name, page, anchors, folder)]
        found += [f"{name}: {problem}" for problem in dict.fromkeys(problems)]
    return found + _remote_styles(folder)


def _has_anchor(tag) -> bool:
    return tag.has_attr("id") or (tag.name == "a" and tag.has_attr("name"))


def _remote(page) -> list[str]:
    addresses = [tag[key] for name, key in _FETCHED.items() for tag in page.find_all(name) if tag.has_attr(key)]
    addresses += [tag["href"] for tag in page.find_all("link") if _FETCHED_LINKS & set(tag.get("rel", []))]
    addresses += [tag["src"] for tag in page.find_all("input", type="image") if tag.has_attr("src")]
    return [f"fetches {address}" for address in addresses if urlsplit(address).netloc]


def _remote_styles(folder: Path) -> list[str]:
    """Style sheets that fetch from elsewhere."""
    return [
        f"{path.relative_to(folder).as_posix()}: fetches from another host"
        for path in sorted(folder.rglob("*.css"))
        if any(
            mark in path.read_text(encoding="utf-8")
            for mark in ("url(http", 'url("http', "url('http", "url(//", "@import url(")
        )
    ]


def _wordless(page) -> list[str]:
    """Pictures without words, in themselves or around them."""
    return [
        f"no alternative text: {str(tag)[:80]}"
        for tag in page.find_all("img")
        if not tag.get("alt", "").strip() and not tag.find_parent(attrs={"role": "img", "aria-label": True})
    ]


def _dead(name: str, page, anchors: dict[str, set], folder: Path) -> list[str]:
    """Links to a page, a file or an anchor of the book that is not there."""
    dead = []
    for tag in page.find_all(href=True):
        to = urlsplit(tag["href"])
        if to.scheme or to.netloc:
            continue
        file = folder / name if not to.path else (folder / name).parent / unquote(to.path)
        target = file.resolve()
        if target.is_dir():
            target = target / "index.html"
        if not target.is_relative_to(folder.resolve()) or not target.exists():
            dead.append(f"dead link {tag['href']}")
        elif to.fragment and target.suffix == ".html":
            known = anchors[target.relative_to(folder.resolve()).as_posix()]
            if unquote(to.fragment) not in known:
                dead.append(f"dead anchor {tag['href']}")
    return dead
