"""The tables of README.md that are made and not written: each stands between two comments that name it."""

import re


def marked(name: str) -> re.Pattern:
    """What stands from `<!-- name: ... -->` to `<!-- end of name -->`; both comments are groups."""
    return re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- end of {name} -->)", flags=re.DOTALL)


def with_table(text: str, name: str, table: str) -> str:
    """The README's text with `table` between the two comments."""
    return marked(name).sub(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", text)
