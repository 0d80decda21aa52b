"""What differs from one state of the protected tables to another: the request, and the answer table by table."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from moi_backup.model.day import DayRange
from moi_backup.model.table import TableName

LIVE = "live"
DiffStatus = Literal["compared", "only_before", "only_after", "failed"]
ChangeKind = Literal["inserted", "updated", "deleted"]


class DiffRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to compare: `before` and `after` name a backup, one of them may be `live`; None means no limit."""

    before: str
    after: str
    tables: tuple[TableName, ...] | None = None
    days: DayRange | None = None
    without_scopes: tuple[str, ...] = ()


class ComparedState(msgspec.Struct, frozen=True, kw_only=True):
    """One side: `backup` is an id, or `live`; `at` is the moment it shows."""

    backup: str
    at: str
    address: str


class DayChanges(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of one day differ, and how; an updated row counts on its day in the state after."""

    day: str
    inserted: int
    updated: int
    deleted: int
    unchanged: int


class ChangedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """In how many updated rows a column differs."""

    name: str
    rows: int


class ColumnSum(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of a column over the days that differ, as text; None where a value is no number that can be summed."""

    name: str
    before: str | None
    after: str | None
    difference: str | None


class SchemaDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the definition that differs; `compared` tells whether the values were compared all the same."""

    name: str
    what: str
    compared: bool


class TableDiff(msgspec.Struct, frozen=True, kw_only=True):
    """One table. Rows are those of the days that were asked for; a table on one side alone counts them there alone.

    `days` are those on which rows differ. `left_out` are columns whose scope is not open or that were to be left out,
    `hidden_days` the days that differ in nothing but them. A `failed` table says why, and which days could not be read
    (empty: any).
    """

    table: TableName
    status: DiffStatus
    rows_before: int = 0
    rows_after: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    key: tuple[str, ...] | None = None
    days: tuple[DayChanges, ...] = ()
    columns: tuple[ChangedColumn, ...] = ()
    sums: tuple[ColumnSum, ...] = ()
    schema: tuple[SchemaDifference, ...] = ()
    left_out: tuple[str, ...] = ()
    hidden_days: tuple[str, ...] = ()
    error: str = ""
    error_days: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything is known to differ, the definition included."""
        alone = self.status in ("only_before", "only_after")
        return alone or bool(self.inserted + self.updated + self.deleted or self.schema or self.hidden_days)


class RowChange(msgspec.Struct, frozen=True, kw_only=True):
    """One row that differs: its key, and what changed from before to after (an inserted row has no before).

    `key` is empty in a table without one; of an updated row `before` and `after` hold the changed columns alone.
    """

    day: str
    kind: ChangeKind
    key: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


class DiffResult(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer; `days` is the range that was compared, None for all."""

    before: ComparedState
    after: ComparedState
    days: DayRange | None
    tables: tuple[TableDiff, ...]
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every table could be compared."""
        return all(table.status != "failed" for table in self.tables)

    @property
    def differs(self) -> bool:
        """Whether anything is known to differ."""
        return any(table.differs for table in self.tables)
