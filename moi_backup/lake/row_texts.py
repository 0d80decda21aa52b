"""Rows as people and documents read them: every value the text that a query of the backup gives for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from moi_backup.lake.parquet import with_uuids
from moi_backup.model.table import Column

Row = tuple[tuple[str, str], ...]
"""A row by the names of its columns, sorted. NULL is left out: a column that is not there yet holds nothing else."""


def row_texts(connection: Any, rows: pa.Table, columns: Sequence[Column]) -> list[Row]:
    """The rows (canonical `columns` by name) in their order; `connection` is a sandbox."""
    if not columns or not rows.num_rows:
        return [()] * rows.num_rows
    typed = with_uuids(rows.select([column.name for column in columns]), columns)
    # SQL would take names that differ in capitals alone for one.
    numbered = typed.rename_columns([f"c{index}" for index in range(len(columns))])
    texts = ", ".join(f"CAST(c{index} AS VARCHAR)" for index in range(len(columns)))
    found: list[tuple[str | None, ...]] = connection.from_arrow(numbered).project(texts).fetchall()
    return [_row(columns, values) for values in found]


def _row(columns: Sequence[Column], values: Sequence[str | None]) -> Row:
    named = zip(columns, values, strict=True)
    return tuple(sorted((column.name, value) for column, value in named if value is not None))
