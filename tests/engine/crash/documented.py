"""The figures of docs/proofs.md, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parents[3] / "docs" / "proofs.md"
_ROW = re.compile(r"^\| ([a-z ]+) \| ([\d,]+) \| ([\d,]+) \| [^|]+ \|$", re.MULTILINE)


def documented_points() -> dict[str, int]:
    """The number of crash points of each operation."""
    return {match[1]: int(match[2].replace(",", "")) for match in _ROW.finditer(_PAGE.read_text("utf-8"))}
