"""A backup as the repository stores it: `BackupManifest` (docs/format.md, "Backup manifest") and the chain entries."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from moi_backup.model.day import DayRange
from moi_backup.model.table import TableName

BackupKind = Literal["full", "incremental", "pre_upload", "pre_restore"]
ChainAction = Literal["publish", "expire", "undelete", "prune", "mark", "rewrite"]


class Coverage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup covers; None means without limit.

    A backup that is limited is never `latest`, `latest-full`, a base, or a retention pillar.
    """

    tables: tuple[str, ...] | None = None
    days: DayRange | None = None

    @property
    def complete(self) -> bool:
        """Whether every protected table is covered with all its days."""
        return self.tables is None and self.days is None


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The database a backup was taken from and the exact snapshot it shows."""

    database: str
    address: str
    system_identifier: str
    server_version: str
    timeline: int
    wal_position: str
    snapshot: str
    role: str
    extensions: tuple[str, ...] = ()


class SchemaDump(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The definition of every protected table: a `pg_dump -Fc --schema-only` archive at `files/<digest>`.

    `text` is the blake3 of its SQL without what changes from dump to dump; equal definitions share one archive.
    """

    digest: str
    size: int
    text: str
    pg_dump: str


class TableEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of a backup; `manifest` names `tables/<manifest>`. Sizes in bytes as stored.

    `fingerprint` is what the change scan must find unchanged to reuse this backup's days (name of the fact to its
    value). `sequences` maps the table's sequences (`schema.name`) to their position: last value, and whether it was
    handed out.
    """

    table: TableName
    manifest: str
    rows: int
    digest: str
    chunks: int
    new_chunks: int
    bytes: int
    bytes_written: int
    weight: int
    fingerprint: dict[str, str]
    sequences: dict[str, tuple[int, bool]] = {}


class BackupManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A backup: complete by itself, whatever its kind. Times are ISO 8601 in UTC with offset.

    `base` is the backup whose chunks an incremental reused; `unprotected` names ordinary tables no entry covers.
    `restore` is the restore before which it was taken; of other backups it is not written at all.
    """

    id: str
    kind: BackupKind
    started_at: str
    finished_at: str
    reason: str
    coverage: Coverage
    source: Source
    base: str | None
    schema: SchemaDump
    tables: tuple[TableEntry, ...]
    unprotected: tuple[str, ...]
    configuration: str
    tool: dict[str, str]
    partition_start: str
    timezone: str
    files: tuple[dict[str, Any], ...] = ()
    restore: str | msgspec.UnsetType = msgspec.UNSET
    format: int = 1

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(entry.rows for entry in self.tables)


class ChainEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of the repository's history at `chain/<seq>`; `previous` is the blake3 of the entry before it.

    A publish names the backup and the blake3 of its manifest's stored bytes; a mark names no backup, and its `manifest`
    is the blake3 of the list of what is marked for deletion. `lease_epoch` is the writer's fencing token.
    """

    seq: int
    previous: str
    action: ChainAction
    backup: str
    manifest: str
    at: str
    lease_epoch: int
    format: int = 1
