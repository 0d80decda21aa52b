"""Whether rows that come have a value where the live table asks for one, found before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

from moi_backup.model.column_plan import LiveColumn
from moi_backup.postgres.identifiers import quote_identifier
from moi_backup.postgres.restore_checks import Refusal, Rows
from moi_backup.postgres.staged_changes import StagedChanges


def check_values(
    rows: Rows, staged: StagedChanges, *, added: Sequence[LiveColumn], filled: str | None
) -> tuple[Refusal, ...]:
    """Columns that are NOT NULL: without a value in rows that come, or `added` ones without a default.

    `filled` is the column of surrogate numbers, which get their values when rows are written.
    """
    return (*_nulls(rows, staged, filled), *_without_default(rows, staged, added))


def _nulls(rows: Rows, staged: StagedChanges, filled: str | None) -> list[Refusal]:
    required = [column.name for column in staged.written if column.not_null and column.name != filled]
    if not required:
        return []
    counts = ", ".join(f"count(*) FILTER (WHERE {quote_identifier(name)} IS NULL)" for name in required)
    [found] = rows(f"SELECT {counts} FROM {staged.come}")
    return [
        Refusal(f"column {name}", f"it is NOT NULL, and {count} rows of the backup have no value for it")
        for name, count in zip(required, found, strict=True)
        if count
    ]


def _without_default(rows: Rows, staged: StagedChanges, added: Sequence[LiveColumn]) -> list[Refusal]:
    bare = [found.column.name for found in added if found.column.not_null and not found.has_default]
    if not bare:
        return []
    [(count,)] = rows(f"SELECT count(*) FROM {staged.come} WHERE {staged.place} IS NULL")
    why = f"it is new, NOT NULL and without a default, so {count} rows that come back would have no value for it"
    return [Refusal(f"column {name}", why) for name in bare if count]
