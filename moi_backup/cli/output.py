"""Standard output: one JSON document, or text with tables (rich on a terminal, aligned columns elsewhere)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

_LEVELS = {"ok": "green", "warn": "yellow", "warning": "yellow", "fail": "red", "critical": "red", "failed": "red"}
_GAP = 2


class Output:
    """Where a command's answer goes. Under `json` only `document` writes, under `quiet` nothing but documents does."""

    def __init__(self, *, json: bool, quiet: bool) -> None:
        self._speaks = not json and not quiet
        self._json = json

    def document(self, value: Any) -> None:
        """The answer as one JSON document, when JSON was asked for."""
        if self._json:
            write_line(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())

    def line(self, text: str = "") -> None:
        """A line of text for people."""
        if self._speaks:
            write_line("\n".join(visible(part) for part in text.split("\n")))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
        """A table for people; the columns named in `right` hold numbers. No cell is ever cut."""
        if not self._speaks:
            return
        cells = [[visible(cell) for cell in row] for row in rows]
        if sys.stdout.isatty():
            _rich_table(headings, cells, right=right)
        else:
            for line in aligned([list(headings), *cells], right=[heading in right for heading in headings]):
                write_line(line)


def write_line(text: str) -> None:
    """A line on standard output, whatever the command was told."""
    sys.stdout.write(f"{text}\n")


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[bool]) -> list[str]:
    """Rows as lines with columns two spaces apart."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        (" " * _GAP)
        .join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, right, strict=True)
        )
        .rstrip()
        for row in rows
    ]


def visible(text: str) -> str:
    """Text that cannot steer a terminal: control characters are written as escapes."""
    return "".join(c if c.isprintable() or c == " " else c.encode("unicode_escape").decode() for c in text)


def _rich_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str]) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True, justify="right" if heading in right else "left")
    for row in rows:
        table.add_row(*(Text(cell, style=_LEVELS.get(cell, "")) for cell in row))
    console = Console(highlight=False)
    # A table that is wider than the terminal is wrapped by the terminal: a cut id is worth nothing.
    widths = [max(map(cell_len, column)) + _GAP for column in zip(headings, *rows, strict=True)]
    console.width = max(console.width, sum(widths))
    console.print(table, soft_wrap=True)
