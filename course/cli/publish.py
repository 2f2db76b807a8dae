"""Write the course's public address into every badge, every setup cell and README.md.

example:
  python -m course publish ada/stories
"""

import argparse
import os
import re
from pathlib import Path

from course.site import notebooks
from helpers.errors import CourseError
from helpers.files import regular, repository_root, write_atomically

# GitHub's rules: an owner has letters, digits and single hyphens inside, a name also dots and underscores.
_ADDRESS = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}/[A-Za-z0-9._-]{1,100}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="OWNER/NAME", help="the repository on github.com")


def run(arguments: argparse.Namespace) -> int:
    changed = publish(arguments.address, repository_root())
    for path in changed:
        print(f"changed {path.relative_to(repository_root()).as_posix()}")
    print(f"The course's address is {arguments.address}." + ("" if changed else " It was already."))
    return 0


def publish(address: str, root: Path) -> list[Path]:
    """Make `address` the address of the course in the checkout at `root`; the files that this changed.

    Raises:
        CourseError: `address` cannot be a repository's, or a notebook is damaged; then nothing has been changed.
    """
    if not _ADDRESS.fullmatch(address) or address.endswith(("/.", "/..", ".git")):
        raise CourseError(f"{address!r} is not of the form OWNER/NAME, as in github.com/OWNER/NAME")
    constant = root / "course" / "site" / "setup_cell.py"
    code = _text(constant)
    if not (line := re.search(r'^ADDRESS = "(.*)"$', code, flags=re.MULTILINE)):
        raise CourseError(f'{constant} has no line ADDRESS = "OWNER/NAME": put it back')
    old = line[1]
    new_texts = {constant: code.replace(f'ADDRESS = "{old}"', f'ADDRESS = "{address}"', 1)}
    readme = root / "README.md"
    links = re.compile(rf"(github(?:\.com)?/){re.escape(old)}(?![\w.-])")
    new_texts[readme] = links.sub(rf"\g<1>{address}", _text(readme))
    for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        book = notebooks.read(path)
        notebooks.fill_in(book, path.stem, address)
        new_texts[path] = notebooks.as_text(book)
    changed = [path for path, text in new_texts.items() if path.read_bytes() != text.encode()]
    if locked := next((path for path in changed if not os.access(path, os.W_OK)), None):
        raise CourseError(f"{locked} cannot be written, so nothing was changed")
    for path in changed:
        write_atomically(path, new_texts[path])
    return changed


def _text(path: Path) -> str:
    try:
        return regular(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} cannot be read ({error})") from error
