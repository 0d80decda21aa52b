"""Whether the required columns of a table are there and filled, counted over every stored row of a backup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from moi_backup.lake.parquet import read_rows
from moi_backup.lake.untyped import pc
from moi_backup.model.table import Chunk, Column
from moi_backup.model.verdict import Verdict
from moi_backup.operations.stored_table import StoredTable
from moi_backup.repository.open_ahead import open_ahead

_DAYS_SHOWN = 5


def required_fields_filled(stored: StoredTable) -> Verdict:
    """A field is filled when it is not NULL and, for text, not only white space.

    A missing column is serious; empty fields are not, for the backup is then true to data that is incomplete. Raises
    Damaged when stored bytes are not as written.
    """
    required = stored.manifest.required
    if not required:
        return Verdict(passed=True, text="The configuration requires no field.", facts={"required fields": "none"})
    columns = [column for column in stored.manifest.columns if column.name in required]
    missing = [name for name in required if name not in {column.name for column in columns}]
    empty, days = _count_empty(stored, columns)
    facts: dict[str, int | str] = {"rows": stored.manifest.rows, "required fields": ", ".join(required)}
    facts |= {f"empty: {name}": count for name, count in empty.items()}
    if days:
        facts["first days with empty fields"] = ", ".join(days)
    return Verdict(
        passed=not missing and not any(empty.values()), text=_text(missing, empty), facts=facts, serious=bool(missing)
    )


def _text(missing: Sequence[str], empty: dict[str, int]) -> str:
    told = [f"column {name} is missing" for name in missing]
    told += [f"{name} is empty in {count:,} rows" for name, count in empty.items() if count]
    return f"{'; '.join(told)}." if told else "Every required field is filled in every row."


def _count_empty(stored: StoredTable, columns: Sequence[Column]) -> tuple[dict[str, int], list[str]]:
    """Empty fields by column, and the first days that have any."""
    empty = dict.fromkeys((column.name for column in columns), 0)
    days: list[str] = []
    chunks = stored.chunks() if columns else []
    for chunk, path, held in open_ahead(stored.repository, stored.manifest.table, chunks):
        marks = {column.name: [np.zeros(0, dtype=bool)] for column in columns}
        with held:
            for rows in read_rows(path, stored.manifest, columns=columns, ring=stored.repository.ring):
                for name, found in marks.items():
                    found.append(_is_empty(rows.column(name)))
        for name, found in marks.items():
            mark = np.concatenate(found)
            empty[name] += int(mark.sum())
            days += [label for label in _days_of(mark, chunk) if label not in days][: _DAYS_SHOWN - len(days)]
    return empty, days


def _is_empty(column: Any) -> np.ndarray[Any, Any]:
    empty = column.is_null()
    if pa.types.is_string(column.type):
        blank = pc.equal(pc.utf8_trim_whitespace(column), "")
        empty = pc.or_(empty, pc.fill_null(blank, fill_value=False))
    return np.asarray(empty, dtype=bool)


def _days_of(mark: np.ndarray[Any, Any], chunk: Chunk) -> list[str]:
    """The days of a chunk that have a marked row."""
    if not mark.any():
        return []
    ends = np.cumsum([part.rows for part in chunk.days])
    starts = ends - [part.rows for part in chunk.days]
    pieces = zip(chunk.days, starts, ends, strict=True)
    return [part.day for part, start, end in pieces if mark[int(start) : int(end)].any()]
