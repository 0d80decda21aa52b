"""The side of a comparison that a backup is: what it says of a table, its rows, and what of them cannot be read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import msgspec

from moi_backup.errors import MoiError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.day import DayRange
from moi_backup.model.diff import ComparedState
from moi_backup.model.table import TableName
from moi_backup.operations.diff_plan import Definition, DiffPlan
from moi_backup.operations.row_states import StoredState
from moi_backup.operations.stored_table import StoredTable, open_table
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class StoredSide:
    """A backup."""

    repository: Repository
    manifest: BackupManifest

    @property
    def state(self) -> ComparedState:
        """What it is called and the moment it shows."""
        place = self.repository.store.address
        return ComparedState(backup=self.manifest.id, at=self.manifest.started_at, address=place)

    @property
    def names(self) -> frozenset[TableName]:
        """The tables it has."""
        return frozenset(entry.table for entry in self.manifest.tables)

    def covers(self, table: TableName) -> bool:
        """Whether it would have the table if it had been there."""
        tables = self.manifest.coverage.tables
        return tables is None or str(table) in tables

    def open(self, table: TableName) -> StoredTable:
        """The table as it is stored."""
        return open_table(self.repository, self.manifest, table)


def definition_of(stored: StoredTable) -> Definition:
    """What a backup says of a table."""
    manifest = stored.manifest
    return Definition(manifest.restorable, manifest.day, manifest.key, manifest.order_by)


def unread_columns(stored: StoredTable, days: DayRange | None, *, without: Collection[str]) -> dict[str, str]:
    """The columns that are to be left out or cannot be read in those days, each with the reason."""
    found = {column.name: "left out" for column in stored.manifest.restorable if column.scope in without}
    for locked in stored.locked(days):
        found |= dict.fromkeys(locked.columns, f"scope {locked.scope} is not open: {locked.why}")
    return {
        column.name: found.get(column.name) or _closed(stored, column.scope)
        for column in stored.manifest.restorable
        if column.name in found or _closed(stored, column.scope)
    }


def stored_rows(stored: StoredTable, days: DayRange | None, plan: DiffPlan) -> StoredState:
    """The rows of the compared columns, in their common form."""
    return StoredState(narrowed(stored, plan.names), days, form=plan.shape.columns, undivided=not plan.by_day)


def narrowed(stored: StoredTable, names: Collection[str]) -> StoredTable:
    """The table with these of its columns alone; its days stay what they are."""
    columns = tuple(column for column in stored.manifest.restorable if column.name in names)
    return replace(stored, manifest=msgspec.structs.replace(stored.manifest, columns=columns))


def hidden_days(before: StoredTable, after: StoredTable, days: DayRange | None, same: Iterable[str]) -> list[str]:
    """Those of the `same` days on which columns differ all the same that were not read: digests tell it."""
    both = {column.name for column in before.manifest.restorable} & {
        column.name for column in after.manifest.restorable
    }
    states = [StoredState(narrowed(stored, both), days) for stored in (before, after)]
    return [label for label in same if states[0].digests.get(label) != states[1].digests.get(label)]


def damaged_days(stored: StoredTable, days: DayRange | None, error: MoiError) -> list[str]:
    """The days that the damaged object holds: labels, or the month whose list it is; empty when it is another's."""
    if not isinstance(error, DamagedObject):
        return []
    months = [ref.month for ref in stored.manifest.months if ref.list in error.object_name]
    if months:
        return months
    try:
        chunks = [chunk for chunk in stored.chunks(days) if chunk.stored in error.object_name]
    except MoiError:  # told by the error that brought us here
        return []
    return list(dict.fromkeys(part.day for chunk in chunks for part in chunk.days if days is None or part.day in days))


def _closed(stored: StoredTable, scope: str) -> str:
    """Why the scope's digests cannot be made, which live rows need; "" when they can."""
    ring = stored.repository.ring
    held = not ring.encrypted or any(name == scope for name, _ in ring.keys)
    return "" if held else f"scope {scope} is not open"
