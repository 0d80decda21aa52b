"""Rows of a live table together with where each lies, so that exactly these rows can be changed under a lock.

A place is `tableoid ctid` as text: it holds as long as nobody else can write to the table.
"""

from __future__ import annotations

from collections.abc import Sequence

from moi_backup.model.table import Column
from moi_backup.postgres.export import RowSource, select_rows

PLACE = Column("\x00place", "text", "native", "string")
"""The place as a column of its own after the table's; no name in Postgres holds NUL."""
_EXPRESSION = "tableoid::text || ' ' || ctid::text"


def select_located(source: RowSource, runs: Sequence[tuple[str, str]] | None) -> str:
    """As `select_rows`, with the place after the table's columns (and before the label of the day)."""
    return select_rows(source, runs, extra=(f"{_EXPRESSION} AS {source.free_name('moi_place')}",))
