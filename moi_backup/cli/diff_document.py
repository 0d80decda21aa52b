"""The JSON document of `moi-backup diff` (docs/json.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from moi_backup.model.day import DayRange
from moi_backup.model.diff import (
    ChangedColumn,
    ColumnSum,
    ComparedState,
    DayChanges,
    DiffResult,
    RowChange,
    SchemaDifference,
    TableDiff,
)


class ListedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row that differs; values by column, numbers and truth values as such, all others as text."""

    day: str
    kind: str
    key: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


class DiffedTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table. `rows` is null where they were not asked for."""

    name: str
    status: str
    rows_before: int
    rows_after: int
    inserted: int
    updated: int
    deleted: int
    unchanged: int
    key: tuple[str, ...] | None
    days: tuple[DayChanges, ...]
    columns: tuple[ChangedColumn, ...]
    sums: tuple[ColumnSum, ...]
    schema: tuple[SchemaDifference, ...]
    left_out: tuple[str, ...]
    hidden_days: tuple[str, ...]
    rows: tuple[ListedRow, ...] | None
    error: str
    error_days: tuple[str, ...]


class DiffDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from `before` to `after`."""

    before: ComparedState
    after: ComparedState
    days: DayRange | None
    differs: bool
    complete: bool
    inserted: int
    updated: int
    deleted: int
    unchanged: int
    tables: tuple[DiffedTable, ...]
    notes: tuple[str, ...]


def diff_document(result: DiffResult, rows: Mapping[str, Sequence[RowChange]] | None) -> DiffDocument:
    """The document; `rows` are the listed ones by table, None where none were asked for."""
    return DiffDocument(
        before=result.before,
        after=result.after,
        days=result.days,
        differs=result.differs,
        complete=result.complete,
        inserted=sum(table.inserted for table in result.tables),
        updated=sum(table.updated for table in result.tables),
        deleted=sum(table.deleted for table in result.tables),
        unchanged=sum(table.unchanged for table in result.tables),
        tables=tuple(
            _table(table, None if rows is None else rows.get(str(table.table), ())) for table in result.tables
        ),
        notes=result.notes,
    )


def _table(table: TableDiff, rows: Sequence[RowChange] | None) -> DiffedTable:
    return DiffedTable(
        name=str(table.table),
        status=table.status,
        rows_before=table.rows_before,
        rows_after=table.rows_after,
        inserted=table.inserted,
        updated=table.updated,
        deleted=table.deleted,
        unchanged=table.unchanged,
        key=table.key,
        days=table.days,
        columns=table.columns,
        sums=table.sums,
        schema=table.schema,
        left_out=table.left_out,
        hidden_days=table.hidden_days,
        rows=None if rows is None else tuple(ListedRow(**msgspec.structs.asdict(row)) for row in rows),
        error=table.error,
        error_days=table.error_days,
    )
