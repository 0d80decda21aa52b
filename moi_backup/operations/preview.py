"""The first rows of days as a Markdown table: enough to recognise them, never a proof of anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from moi_backup.lake.parquet import first_rows, read_table
from moi_backup.model.key_ring import DEFAULT_SCOPE
from moi_backup.model.table import Chunk
from moi_backup.operations.markdown import markdown_cell
from moi_backup.operations.stored_table import StoredTable, without_scopes

ROWS = 5
CELL_CHARACTERS = 60


def preview_days(stored: StoredTable, days: Collection[str], *, rows: int = ROWS) -> dict[str, str]:
    """The first stored rows of each of the days as Markdown; a day that the backup does not have is left out.

    Cells are cut at 60 characters. The bytes of the chunks are not checked against their hash. From an encrypted
    repository the columns of scope `default` are shown alone: what is shown leaves the encryption behind.
    """
    wanted = frozenset(days)
    if stored.repository.ring.encrypted:
        hidden = {column.scope for column in stored.manifest.columns} - {DEFAULT_SCOPE}
        stored = replace(stored, manifest=without_scopes(stored.manifest, hidden))
    found: dict[str, str] = {}
    for chunk in _chunks(stored, wanted):
        with stored.repository.open_chunk(stored.manifest.table, chunk, check_hash=False) as path:
            for label, table in _first_rows(path, stored, chunk, wanted - found.keys(), rows=rows).items():
                found[label] = markdown_table(table)
    return found


def markdown_table(rows: pa.Table) -> str:
    """Rows as a Markdown table with its header."""
    lines = [rows.column_names, ["---"] * rows.num_columns]
    lines += [[_cell(value) for value in row.values()] for row in rows.to_pylist()]
    header = [markdown_cell(name) for name in lines[0]]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, *lines[1:]])


def _chunks(stored: StoredTable, wanted: Collection[str]) -> list[Chunk]:
    return [chunk for chunk in stored.chunks() if any(part.day in wanted for part in chunk.days)] if wanted else []


def _first_rows(
    path: Path, stored: StoredTable, chunk: Chunk, wanted: Collection[str], *, rows: int
) -> Mapping[str, pa.Table]:
    """The first rows of the wanted days. A chunk of one day is read no further; only small chunks hold several days."""
    if len(chunk.days) == 1:
        first = first_rows(path, stored.manifest, rows=rows, ring=stored.repository.ring)
        return {chunk.days[0].day: first} if first.num_rows else {}
    table, start = read_table(path, stored.manifest, ring=stored.repository.ring), 0
    found: dict[str, pa.Table] = {}
    for part in chunk.days:
        if part.day in wanted and part.day not in found:
            found[part.day] = table.slice(start, min(rows, part.rows))
        start += part.rows
    return found


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    text = value.hex() if isinstance(value, bytes) else str(value)
    return markdown_cell(text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…")
