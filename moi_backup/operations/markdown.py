"""Text as Markdown that shows what it says: tables, and cells in which nothing is markup. Nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*\[\]<>|~])")


def markdown_cell(text: str) -> str:
    """The text on one line, with everything escaped that Markdown would read."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def markdown_rows(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of escaped cells; whole numbers with separators."""
    lines = [[markdown_cell(name) for name in headings], ["---"] * len(headings)]
    lines += [[_shown(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return markdown_cell(str(value))
