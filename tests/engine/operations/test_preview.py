"""Previews as Markdown."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa

from moi_backup.operations.preview import markdown_table


def test_a_cell_cannot_break_out_of_its_table() -> None:
    """Pipes, line breaks and markup of a campaign's name stay text."""
    rows = pa.table({"a|b": ["TOF | 80K,\n<b>LUXE</b>", None]})
    assert markdown_table(rows).splitlines() == [r"| a\|b |", "| --- |", r"| TOF \| 80K, \<b\>LUXE\</b\> |", "|  |"]


def test_values_read_as_a_person_writes_them_and_long_ones_are_cut() -> None:
    """Days in ISO form, decimals with their digits, bytes in hex, and 60 characters at most."""
    rows = pa.table({"day": [date(2025, 10, 1)], "cost": [Decimal("1.50")], "raw": [b"\x00\xff"], "text": ["x" * 100]})
    last = markdown_table(rows).splitlines()[-1]
    assert last == f"| 2025-10-01 | 1.50 | 00ff | {'x' * 59}… |"
