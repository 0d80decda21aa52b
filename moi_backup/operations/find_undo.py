"""Find what a restore in place replaced: by its record, or by the backups that name the restore."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from moi_backup.errors import Damaged, StorageError, UsageError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.restore_record import FileReference, RecordedTable, RestoreRecord
from moi_backup.model.table import TableName, parse_table_name
from moi_backup.operations.open_for_reading import Reading
from moi_backup.operations.store_undo import CHANGES
from moi_backup.repository.backups import read_backup, try_backups
from moi_backup.repository.chain import published, states
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.holds import UNDO_DAYS, held_until
from moi_backup.repository.records import read_record, record_ids

_SHOWN = 10


class Replaced(NamedTuple):
    """The backup of what was replaced in one table, and the list of its changes.

    `recorded` tells that the restore is known to have been committed there.
    """

    table: TableName
    backup: BackupManifest
    listed: FileReference
    recorded: bool


class Lost(NamedTuple):
    """A table that cannot be undone."""

    table: TableName
    why: str


@dataclass(frozen=True, slots=True)
class FoundUndo:
    """What there is of a restore; `notes` tells of tables in which there is nothing to undo."""

    restore: str
    tables: tuple[Replaced | Lost, ...]
    notes: tuple[str, ...]


def find_undo(reading: Reading, text: str, names: Collection[TableName] | None, *, timezone: str) -> FoundUndo:
    """What the restore replaced, in all its tables or in these; `timezone` is that of the days that are told.

    Raises UsageError when there is no such restore or table, or when it made new tables.
    """
    finding = _Finding(reading, ZoneInfo(timezone))
    restore = finding.resolve(text)
    notes: list[str] = []
    record = finding.record(restore, notes)
    if record is not None and not record.in_place:
        raise _nothing_replaced(record)
    found = finding.unrecorded(restore) if record is None else finding.recorded(record, notes)
    tables = [entry for entry in found if names is None or entry.table in names]
    known = {entry.table for entry in found}
    if record is not None:
        known |= {_target(table) for table in record.tables}
    if unknown := [str(name) for name in names or () if name not in known]:
        raise UsageError(
            f"Restore {restore} did not write into {', '.join(unknown)}.",
            meaning=f"It wrote into {', '.join(sorted(map(str, known)))}.",
            remedy="Correct the name, or leave out --table.",
        )
    return FoundUndo(restore, tuple(tables), tuple(notes))


@dataclass(frozen=True, slots=True)
class _Finding:
    reading: Reading
    zone: ZoneInfo

    def resolve(self, text: str) -> str:
        """The id of a restore that a person named, recorded or not."""
        recorded = set(record_ids(self.reading.repository, "restores"))
        if text in recorded:
            return text
        known = recorded | {str(manifest.restore) for manifest in self._kept()}
        found = sorted(restore for restore in known if restore.startswith(text)) if text else []
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{text!r} is the beginning of {len(found)} restores: {', '.join(found[-_SHOWN:])}.",
                remedy="Give more of the id.",
            )
        raise UsageError(f"No restore is called {text!r}.", remedy="See moi-backup restores.")

    def record(self, restore: str, notes: list[str]) -> RestoreRecord | None:
        """The record, or a note why there is none."""
        if restore not in set(record_ids(self.reading.repository, "restores")):
            notes.append(f"Restore {restore} was cut short: there is no record of it, only what it kept.")
            return None
        try:
            return read_record(self.reading.repository, "restores", restore, RestoreRecord)
        except (Damaged, StorageError) as error:
            notes.append(f"The record of the restore cannot be read, only what it kept. {error.what}")
            return None

    def unrecorded(self, restore: str) -> list[Replaced | Lost]:
        """Every backup that names the restore."""
        return [_replaced(manifest, recorded=False) for manifest in self._kept() if manifest.restore == restore]

    def recorded(self, record: RestoreRecord, notes: list[str]) -> list[Replaced | Lost]:
        """What each recorded table was; one whose commit failed may have been committed all the same."""
        found: list[Replaced | Lost] = []
        for table in record.tables:
            name = _target(table)
            if table.status != "restored":
                cut = [entry for entry in self.unrecorded(record.id) if entry.table == name]
                found += cut
                if not cut:
                    notes.append(f"{name}: nothing to undo, for that restore left it as it was ({table.status}).")
            elif table.undo:
                found.append(self._by_id(record, name, table.undo))
            else:
                notes.append(f"{name}: nothing to undo, for that restore changed no row.")
        return found

    def _by_id(self, record: RestoreRecord, name: TableName, backup: str) -> Replaced | Lost:
        chain = self.reading.chain
        until = self._day(datetime.fromisoformat(record.finished_at) + timedelta(days=UNDO_DAYS))
        if backup not in published(chain):
            state = states(chain).get(backup)
            gone = "has expired and is in the trash" if state == "expire" else "is not there any more"
            remedy = f"; bring it back with moi-backup undelete {backup}" if state == "expire" else ""
            return Lost(name, f"backup {backup} of what was replaced {gone}; it was held until {until}{remedy}")
        try:
            return _replaced(read_backup(self.reading.repository, chain, backup), recorded=True)
        except (Damaged, StorageError) as error:
            return Lost(
                name,
                f"backup {backup} of what was replaced cannot be read (it is held until {until}): {error.what}"
                " See moi-backup repair",
            )

    def _day(self, moment: datetime) -> str:
        return f"{moment.astimezone(self.zone):%Y-%m-%d}"

    def _kept(self) -> Iterator[BackupManifest]:
        """The readable backups before restores, oldest first."""
        chain = self.reading.chain
        for _, manifest in try_backups(self.reading.repository, chain, published(chain)):
            if isinstance(manifest, BackupManifest) and manifest.kind == "pre_restore" and manifest.restore:
                yield manifest


def told_hold(backup: BackupManifest, *, timezone: str) -> str:
    """Until when a backup of what was replaced is kept."""
    until = held_until(backup)
    day = f"{until.astimezone(ZoneInfo(timezone)):%Y-%m-%d}" if until is not None else "it expires"
    return f"{backup.tables[0].table}: what was replaced is in backup {backup.id}, held until {day}."


def _replaced(backup: BackupManifest, *, recorded: bool) -> Replaced | Lost:
    table = backup.tables[0].table
    for file in backup.files:
        if file.get("what") == CHANGES:
            return Replaced(table, backup, FileReference(str(file["digest"]), int(file["size"])), recorded)
    return Lost(table, f"backup {backup.id} lists no changes")


def _target(table: RecordedTable) -> TableName:
    try:
        return parse_table_name(table.target)
    except ValueError as error:
        raise DamagedObject("the record of the restore", "inconsistent", f"names the table {table.target!r}") from error


def _nothing_replaced(record: RestoreRecord) -> UsageError:
    made = [table.target for table in record.tables if table.status == "restored"]
    return UsageError(
        f"Restore {record.id} replaced nothing: it made new tables"
        f" ({', '.join(made) or 'none was finished'}) at {record.address}.",
        meaning="There is nothing to undo. Tables are never dropped from here.",
        remedy="Drop by hand what you do not want to keep.",
    )
