"""List the restores that were recorded, and show one in full. A damaged record does not hide the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from moi_backup.errors import MoiError, UsageError
from moi_backup.model.restore_record import RestoreRecord
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.chain import Chain, published, scan_chain
from moi_backup.repository.documents import timestamp
from moi_backup.repository.holds import UNDO_DAYS
from moi_backup.repository.records import read_record, record_ids, try_records
from moi_backup.repository.repository import Repository


class ListedRestore(msgspec.Struct, frozen=True, kw_only=True):
    """One restore in a list; counts are rows of all its tables. `undo` are the backups of what it replaced.

    `can_undo` tells whether there are any and all are still there, `undo_held_until` the time up to which they stay in
    any case (null: it is over). `undoes` is the restore that this one took back, `undone_by` those that took back this.
    """

    id: str
    at: str
    by: str
    backup: str
    in_place: bool
    policy: str
    address: str
    tables: tuple[str, ...]
    rows: int
    inserted: int
    updated: int
    deleted: int
    conflicts: int
    status: str
    undo: tuple[str, ...]
    can_undo: bool
    undo_held_until: str | None
    undoes: str
    undone_by: tuple[str, ...]
    reason: str


class UnreadableRestore(msgspec.Struct, frozen=True, kw_only=True):
    """A record that cannot be read."""

    id: str
    detail: str


class RestoreList(msgspec.Struct, frozen=True, kw_only=True):
    """All recorded restores, the newest first."""

    restores: tuple[ListedRestore, ...]
    unreadable: tuple[UnreadableRestore, ...]


def list_restores(workspace: Workspace) -> RestoreList:
    """Every recorded restore, the newest first; raises NoRepository."""
    repository, now = workspace.open(), workspace.clock.now()
    records: list[RestoreRecord] = []
    unreadable: list[UnreadableRestore] = []
    for record, read in try_records(repository, "restores", RestoreRecord):
        if isinstance(read, RestoreRecord):
            records.append(read)
        else:
            unreadable.append(UnreadableRestore(id=record, detail=read.what))
    there = _listed_backups(repository)
    undoing: dict[str, list[str]] = {}
    for record in records:
        undoing.setdefault(record.undoes, []).append(record.id)
    found = [_listed(record, there=there, undone_by=undoing.get(record.id, ()), now=now) for record in records]
    return RestoreList(restores=tuple(reversed(found)), unreadable=tuple(reversed(unreadable)))


def _listed_backups(repository: Repository) -> set[str]:
    """The backups that are listed, as far as the history can be read: its damage hides no record."""
    scan = scan_chain(repository)
    return set(published(Chain(scan.entries, scan.head)))


def show_restore(workspace: Workspace, text: str) -> RestoreRecord:
    """The record that a person named by its id or a unique prefix; raises UsageError, DamagedObject."""
    repository = workspace.open()
    known = list(record_ids(repository, "restores"))
    found = [text] if text in known else [record for record in known if record.startswith(text)]
    if len(found) != 1 or not text:
        raise _not_one(text, found)
    return read_record(repository, "restores", found[0], RestoreRecord)


def _listed(record: RestoreRecord, *, there: Collection[str], undone_by: Sequence[str], now: datetime) -> ListedRestore:
    tables = record.tables
    undo = tuple(dict.fromkeys(table.undo for table in tables if table.undo))
    can_undo = bool(undo) and all(backup in there for backup in undo)
    until = datetime.fromisoformat(record.finished_at) + timedelta(days=UNDO_DAYS)
    return ListedRestore(
        id=record.id,
        at=record.at,
        by=record.by,
        backup=record.backup,
        in_place=record.in_place,
        policy=record.policy,
        address=record.address,
        tables=tuple(table.target for table in tables),
        rows=sum(table.rows for table in tables),
        inserted=sum(table.inserted for table in tables),
        updated=sum(table.updated for table in tables),
        deleted=sum(table.deleted for table in tables),
        conflicts=sum(table.conflicts for table in tables),
        status=record.status,
        undo=undo,
        can_undo=can_undo,
        undo_held_until=timestamp(until) if can_undo and now < until else None,
        undoes=record.undoes,
        undone_by=tuple(undone_by),
        reason=record.reason,
    )


def _not_one(text: str, found: list[str]) -> MoiError:
    if text and found:
        return UsageError(
            f"{text!r} is the beginning of {len(found)} restores: {', '.join(found[-10:])}.",
            remedy="Give more of the id.",
        )
    return UsageError(f"No recorded restore is called {text!r}.", remedy="See moi-backup restores.")
