"""Describe one backup: tables with columns and days, source, schema archive, and what it does not protect."""

from __future__ import annotations

from typing import Any

import msgspec

from moi_backup.model.backup import BackupManifest, SchemaDump, Source, TableEntry
from moi_backup.model.day import order_of
from moi_backup.model.table import Column, DayColumn
from moi_backup.operations.list_backups import CoverageDocument, coverage_document
from moi_backup.operations.open_for_reading import open_for_reading
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.stored_table import StoredTable, open_table
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import resolve_backup
from moi_backup.repository.repository import Repository


class DescribedTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table. `days` counts the distinct days; `first_day` and `last_day` are dates, "" when it has none.

    `undated` and `infinite` count the rows that lie on no calendar day. `day_rows` maps every day to its rows.
    """

    name: str
    rows: int
    chunks: int
    new_chunks: int
    bytes: int
    bytes_written: int
    weight: int
    digest: str
    data_class: str = msgspec.field(name="class")
    day: DayColumn | None
    key: tuple[str, ...] | None
    order_by: tuple[str, ...]
    required: tuple[str, ...]
    columns: tuple[Column, ...]
    days: int
    first_day: str
    last_day: str
    undated: int
    infinite: int
    day_rows: dict[str, int]
    sequences: dict[str, tuple[int, bool]]


class BackupDescription(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a manifest says. Holds no password."""

    id: str
    kind: str
    started_at: str
    finished_at: str
    reason: str
    coverage: CoverageDocument
    base: str | None
    rows: int
    bytes: int
    bytes_written: int
    weight: int
    tables: tuple[DescribedTable, ...]
    unprotected: tuple[str, ...]
    files: tuple[dict[str, Any], ...]
    source: Source
    schema: SchemaDump
    configuration: str
    timezone: str
    partition_start: str
    tool: dict[str, str]
    format: int


def show_backup(workspace: Workspace, backup: str, *, progress: Progress | None = None) -> BackupDescription:
    """Describe the backup a person named; raises UsageError when there is none of that name."""
    reading = open_for_reading(workspace, warn=(progress or Silent()).warn)
    manifest = resolve_backup(reading.repository, reading.chain, backup)
    return _describe(manifest, tuple(_table(reading.repository, manifest, entry) for entry in manifest.tables))


def _describe(manifest: BackupManifest, tables: tuple[DescribedTable, ...]) -> BackupDescription:
    return BackupDescription(
        id=manifest.id,
        kind=manifest.kind,
        started_at=manifest.started_at,
        finished_at=manifest.finished_at,
        reason=manifest.reason,
        coverage=coverage_document(manifest.coverage),
        base=manifest.base,
        rows=manifest.rows,
        bytes=sum(table.bytes for table in tables),
        bytes_written=sum(table.bytes_written for table in tables),
        weight=sum(table.weight for table in tables),
        tables=tables,
        unprotected=manifest.unprotected,
        files=manifest.files,
        source=manifest.source,
        schema=manifest.schema,
        configuration=manifest.configuration,
        timezone=manifest.timezone,
        partition_start=manifest.partition_start,
        tool=manifest.tool,
        format=manifest.format,
    )


def _table(repository: Repository, backup: BackupManifest, entry: TableEntry) -> DescribedTable:
    stored = open_table(repository, backup, entry.table)
    rows = _day_rows(stored)
    dates = [label for label in rows if label[-1].isdigit()]
    manifest = stored.manifest
    return DescribedTable(
        name=str(entry.table),
        rows=entry.rows,
        chunks=entry.chunks,
        new_chunks=entry.new_chunks,
        bytes=entry.bytes,
        bytes_written=entry.bytes_written,
        weight=entry.weight,
        digest=entry.digest,
        data_class=manifest.data_class,
        day=manifest.day,
        key=manifest.key,
        order_by=manifest.order_by,
        required=manifest.required,
        columns=manifest.columns,
        days=len(dates),
        first_day=dates[0] if dates else "",
        last_day=dates[-1] if dates else "",
        undated=rows.get("undated", 0),
        infinite=rows.get("infinity", 0) + rows.get("-infinity", 0),
        day_rows=rows,
        sequences=entry.sequences,
    )


def _day_rows(stored: StoredTable) -> dict[str, int]:
    """Rows of every day, in day order."""
    rows: dict[str, int] = {}
    for part in stored.parts():
        rows[part.day] = rows.get(part.day, 0) + part.rows
    return dict(sorted(rows.items(), key=lambda item: order_of(item[0])))
