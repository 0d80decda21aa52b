"""The JSON document of `moi-backup backup` (docs/json.md). Outside scripts read it: fields are added, never changed."""

from __future__ import annotations

import msgspec

from moi_backup.model.backup import BackupManifest
from moi_backup.operations.list_backups import CoverageDocument, coverage_document


class BackedUpTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table; `bytes` of all its chunks as stored, `bytes_written` of the new ones, `weight` of its rows."""

    name: str
    rows: int
    chunks: int
    new_chunks: int
    bytes_written: int
    digest: str
    bytes: int
    weight: int


class BackupDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was just published; times are ISO 8601 in UTC with offset."""

    id: str
    kind: str
    started_at: str
    finished_at: str
    coverage: CoverageDocument
    tables: tuple[BackedUpTable, ...]
    rows: int
    bytes: int
    bytes_written: int
    weight: int
    saving: float
    reason: str
    base: str | None
    unprotected: tuple[str, ...]


def backup_document(manifest: BackupManifest) -> BackupDocument:
    """The document of a manifest; `saving` is the share of the rows' weight that compression saves."""
    tables = tuple(
        BackedUpTable(
            name=str(entry.table),
            rows=entry.rows,
            chunks=entry.chunks,
            new_chunks=entry.new_chunks,
            bytes_written=entry.bytes_written,
            digest=entry.digest,
            bytes=entry.bytes,
            weight=entry.weight,
        )
        for entry in manifest.tables
    )
    stored, weight = sum(table.bytes for table in tables), sum(table.weight for table in tables)
    return BackupDocument(
        id=manifest.id,
        kind=manifest.kind,
        started_at=manifest.started_at,
        finished_at=manifest.finished_at,
        coverage=coverage_document(manifest.coverage),
        tables=tables,
        rows=manifest.rows,
        bytes=stored,
        bytes_written=sum(table.bytes_written for table in tables),
        weight=weight,
        saving=round(1 - stored / weight, 4) if weight > stored else 0.0,
        reason=manifest.reason,
        base=manifest.base,
        unprotected=manifest.unprotected,
    )
