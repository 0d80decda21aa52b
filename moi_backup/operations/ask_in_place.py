"""What a restore in place is asked of each of its tables, from the request and the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from moi_backup.errors import UsageError
from moi_backup.lake.chosen_keys import check_condition
from moi_backup.model.backup import BackupManifest
from moi_backup.model.configuration import Configuration
from moi_backup.model.restore import RestoreRequest, TablePlan
from moi_backup.model.table import TableName
from moi_backup.operations.in_place import InPlace
from moi_backup.operations.locked_columns import wrong_key
from moi_backup.operations.stored_table import StoredTable, open_table
from moi_backup.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class Asking:
    """The request with the backups it names."""

    repository: Repository
    backup: BackupManifest
    base: BackupManifest | None
    request: RestoreRequest
    configuration: Configuration

    def table(self, plan: TablePlan) -> InPlace:
        """What is asked of one table; raises UsageError for an option that does not fit it."""
        request, stored = self.request, open_table(self.repository, self.backup, plan.table)
        assert request.on_conflict is not None  # noqa: S101 - the request was checked
        if request.where is not None:
            names = dict(request.renames)
            known = [replace(column, name=names.get(column.name, column.name)) for column in stored.manifest.restorable]
            check_condition(request.where, columns=known)
        return InPlace(
            target=plan.target,
            stored=stored,
            days=request.days or self.backup.coverage.days,
            policy=request.on_conflict,
            base=self._base(plan.table),
            newer_by=self._newer_by(plan.table),
            where=request.where,
            disable_triggers=request.disable_triggers,
            renames=dict(request.renames),
        )

    def _base(self, table: TableName) -> StoredTable | None:
        if self.base is None:
            return None
        if all(entry.table != table for entry in self.base.tables):
            raise UsageError(
                f"The base {self.base.id} does not hold {table}.",
                remedy="Choose a base that holds every table to be merged, or name fewer tables (--table).",
            )
        stored = open_table(self.repository, self.base, table)
        days = self.request.days or self.backup.coverage.days
        covered = self.base.coverage.days
        if covered is not None and (days is None or days.first < covered.first or days.last > covered.last):
            raise UsageError(
                f"The base {self.base.id} covers only the days {covered}.",
                meaning="Of other days it does not tell what was there.",
                remedy="Ask for days inside of it (--days), or choose another base.",
            )
        if locked := stored.locked(days):
            raise wrong_key(f"{table} cannot be merged", locked)
        return stored

    def _newer_by(self, table: TableName) -> str | None:
        if self.request.on_conflict != "take-newer":
            return None
        found = self.request.newer_by or self.configuration.table(table).newer_by
        if found is None:
            raise UsageError(
                f"take-newer needs a column of {table} that tells which row is the newer one.",
                meaning="None is configured, and none is guessed.",
                remedy=f'Give --newer-by COLUMN, or set newer_by in [tables."{table}"] of moi.toml.',
            )
        return found
