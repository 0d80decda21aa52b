"""List the backups of a repository. A manifest that cannot be read does not hide the others."""

from __future__ import annotations

import msgspec

from moi_backup.errors import Damaged
from moi_backup.model.backup import BackupManifest, Coverage
from moi_backup.model.day import DayRange
from moi_backup.operations.open_for_reading import open_for_reading
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import read_backup
from moi_backup.repository.chain import published


class CoverageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup covers, as documents show it; null means without limit."""

    complete: bool
    tables: tuple[str, ...] | None
    days: DayRange | None


class ListedBackup(msgspec.Struct, frozen=True, kw_only=True):
    """One backup in a list. `bytes` is what its chunks take as stored, `weight` what its rows weigh uncompressed."""

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


class UnreadableBackup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup of the chain whose manifest cannot be read."""

    id: str
    detail: str


class BackupList(msgspec.Struct, frozen=True, kw_only=True):
    """All listed backups, the newest first."""

    backups: tuple[ListedBackup, ...]
    unreadable: tuple[UnreadableBackup, ...]


def list_backups(workspace: Workspace, *, progress: Progress | None = None) -> BackupList:
    """Every listed backup, the newest first; raises NoRepository, and DamagedObject for a damaged chain."""
    reading = open_for_reading(workspace, warn=(progress or Silent()).warn)
    repository, chain = reading.repository, reading.chain
    found: list[ListedBackup] = []
    unreadable: list[UnreadableBackup] = []
    for backup in reversed(published(chain)):
        try:
            found.append(listed(read_backup(repository, chain, backup)))
        except Damaged as error:
            unreadable.append(UnreadableBackup(id=backup, detail=error.what))
    return BackupList(backups=tuple(found), unreadable=tuple(unreadable))


def listed(manifest: BackupManifest) -> ListedBackup:
    """A manifest as one line of the list."""
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
    )


def coverage_document(coverage: Coverage) -> CoverageDocument:
    """Coverage with the word that scripts look for first."""
    return CoverageDocument(complete=coverage.complete, tables=coverage.tables, days=coverage.days)
