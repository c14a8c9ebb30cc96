"""Tables that scripts write into the pages of docs/, between two marks."""

import re
from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; the first row is the head, the first column is text, the others are numbers."""
    head, *lines = rows
    rule = ("---", *["---:"] * (len(head) - 1))
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *lines))


def write(page: str, mark: str, text: str) -> None:
    """Put a text between the marks ``<!-- {mark} -->`` and ``<!-- end of {mark} -->`` of a page.

    Raises:
        SystemExit: the marks are not there once.
    """
    path = DOCS / page
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    new, number = re.subn(
        f"({re.escape(begin)}\n).*?({re.escape(end)})",
        lambda found: f"{found[1]}{text}\n{found[2]}",
        path.read_text(),
        flags=re.S,
    )
    if number != 1:
        raise SystemExit(f"{path}: the marks '{begin}' and '{end}' are not there once")
    path.write_text(new)
