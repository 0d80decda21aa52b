"""List the backups of a repository, or of its trash. A manifest that cannot be read does not hide the others."""

from __future__ import annotations

from datetime import datetime

import msgspec

from moi_backup.errors import Damaged
from moi_backup.model.backup import BackupManifest, Coverage
from moi_backup.model.day import DayRange
from moi_backup.operations.open_for_reading import open_for_reading
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.prune import GRACE_HOURS, prunable_from
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import documents
from moi_backup.repository.backups import read_backup, try_backups
from moi_backup.repository.chain import expired, published
from moi_backup.repository.holds import held_until, is_held


class CoverageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup covers, as documents show it; null means without limit."""

    complete: bool
    tables: tuple[str, ...] | None
    days: DayRange | None


class ListedBackup(msgspec.Struct, frozen=True, kw_only=True):
    """One backup in a list. `bytes` is what its chunks take as stored, `weight` what its rows weigh uncompressed.

    `held_until` is the time up to which it may not expire (null: nothing holds it), `restore` the restore it undoes.
    """

    id: str
    kind: str
    started_at: str
    finished_at: str
    coverage: CoverageDocument
    tables: int
    rows: int
    bytes: int
    bytes_written: int
    weight: int
    reason: str
    base: str | None
    held_until: str | None
    restore: str | None


class UnreadableBackup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup of the chain whose manifest cannot be read."""

    id: str
    detail: str


class BackupList(msgspec.Struct, frozen=True, kw_only=True):
    """All listed backups, the newest first."""

    backups: tuple[ListedBackup, ...]
    unreadable: tuple[UnreadableBackup, ...]


class TrashedBackup(msgspec.Struct, frozen=True, kw_only=True):
    """An expired backup; from `prunable_from` on (under the usual grace) a prune removes it for good."""

    id: str
    kind: str
    started_at: str
    rows: int
    bytes: int
    expired_at: str
    prunable_from: str


class TrashList(msgspec.Struct, frozen=True, kw_only=True):
    """The backups in the trash, the last expired first."""

    backups: tuple[TrashedBackup, ...]
    unreadable: tuple[UnreadableBackup, ...]


def list_backups(workspace: Workspace, *, progress: Progress | None = None) -> BackupList:
    """Every listed backup, the newest first; raises NoRepository, and DamagedObject for a damaged chain."""
    reading = open_for_reading(workspace, warn=(progress or Silent()).warn)
    repository, chain = reading.repository, reading.chain
    found: list[ListedBackup] = []
    now = workspace.clock.now()
    unreadable: list[UnreadableBackup] = []
    for backup, manifest in try_backups(repository, chain, reversed(published(chain))):
        if isinstance(manifest, BackupManifest):
            found.append(listed(manifest, now=now))
        elif isinstance(manifest, Damaged):
            unreadable.append(UnreadableBackup(id=backup, detail=manifest.what))
        else:
            raise manifest
    return BackupList(backups=tuple(found), unreadable=tuple(unreadable))


def list_trash(workspace: Workspace) -> TrashList:
    """Every expired backup that is not pruned, the last expired first; raises as `list_backups` does."""
    repository, chain = workspace.history()
    found: list[TrashedBackup] = []
    unreadable: list[UnreadableBackup] = []
    for backup, entry in reversed(expired(chain).items()):
        try:
            manifest = read_backup(repository, chain, backup)
        except Damaged as error:
            unreadable.append(UnreadableBackup(id=backup, detail=error.what))
            continue
        trashed = TrashedBackup(
            id=backup,
            kind=manifest.kind,
            started_at=manifest.started_at,
            rows=manifest.rows,
            bytes=sum(entry.bytes for entry in manifest.tables),
            expired_at=entry.at,
            prunable_from=documents.timestamp(prunable_from(repository, entry.seq, grace_hours=GRACE_HOURS)),
        )
        found.append(trashed)
    return TrashList(backups=tuple(found), unreadable=tuple(unreadable))


def listed(manifest: BackupManifest, *, now: datetime) -> ListedBackup:
    """A manifest as one line of the list."""
    until = held_until(manifest) if is_held(manifest, now=now) else None
    return ListedBackup(
        id=manifest.id,
        kind=manifest.kind,
        started_at=manifest.started_at,
        finished_at=manifest.finished_at,
        coverage=coverage_document(manifest.coverage),
        tables=len(manifest.tables),
        rows=manifest.rows,
        bytes=sum(entry.bytes for entry in manifest.tables),
        bytes_written=sum(entry.bytes_written for entry in manifest.tables),
        weight=sum(entry.weight for entry in manifest.tables),
        reason=manifest.reason,
        base=manifest.base,
        held_until=None if until is None else documents.timestamp(until),
        restore=manifest.restore or None,
    )


def coverage_document(coverage: Coverage) -> CoverageDocument:
    """Coverage with the word that scripts look for first."""
    return CoverageDocument(complete=coverage.complete, tables=coverage.tables, days=coverage.days)
