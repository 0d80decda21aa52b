"""Whole backups with consistent documents and chunks of arbitrary bytes: structure is all that matters here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from moi_backup.model.backup import BackupKind, BackupManifest, Coverage, SchemaDump, Source, TableEntry
from moi_backup.model.day import month_of
from moi_backup.model.table import (
    Chunk,
    ChunkDay,
    ChunkList,
    ChunkListRef,
    Column,
    ScannedDay,
    TableManifest,
    TableName,
)
from moi_backup.repository.chain import append
from moi_backup.repository.documents import digest_of
from moi_backup.repository.leases import Lease
from moi_backup.repository.repository import Repository

SALES = TableName("public", "sales")
ORDERS = TableName("public", "Orders")
AT = datetime(2026, 11, 24, 20, 30, tzinfo=UTC)
DAYS = ("2025-09-01", "2025-09-14", "2025-10-02")


def backup_id(number: int) -> str:
    """An id that sorts by its number."""
    return f"20261124T2030{number:02d}Z-{number:06x}"


def write_backup(
    repository: Repository,
    number: int,
    *,
    tables: Mapping[TableName, Sequence[str]] | None = None,
    kind: BackupKind = "full",
    coverage: Coverage | None = None,
    **changes: Any,
) -> BackupManifest:
    """Write everything but the chain entry; each table has one chunk of ten rows for each of its days."""
    schema = repository.write_file(b"schema archive")
    contents = {SALES: DAYS, ORDERS: DAYS[:1]} if tables is None else tables
    manifest = BackupManifest(
        id=backup_id(number),
        kind=kind,
        started_at="2026-11-24T20:30:00.000000+00:00",
        finished_at="2026-11-24T20:31:00.000000+00:00",
        reason="",
        coverage=coverage or Coverage(),
        source=Source("shop", "localhost:5432", "7", "18.6", 1, "0/1", "1:1:", "backup"),
        base=None,
        schema=SchemaDump(digest=schema.digest, size=schema.size, text=digest_of(b"sql"), pg_dump="18.6"),
        tables=tuple(write_table(repository, table, days) for table, days in contents.items()),
        unprotected=(),
        configuration=digest_of(b"configuration"),
        tool={"moi-backup": "0.1.0"},
        partition_start="2025-09-01",
        timezone="Asia/Kolkata",
    )
    manifest = msgspec.structs.replace(manifest, **changes)
    repository.write_backup(manifest)
    return manifest


def publish(repository: Repository, manifest: BackupManifest, *, lease: Lease) -> str:
    """Give a written backup its chain entry; returns its id."""
    stored = repository.write_backup(manifest)
    append(repository, action="publish", backup=manifest.id, at=AT, lease=lease, manifest=stored)
    return manifest.id


def publish_backup(repository: Repository, number: int, *, lease: Lease, **changes: Any) -> BackupManifest:
    """Write and publish."""
    manifest = write_backup(repository, number, **changes)
    publish(repository, manifest, lease=lease)
    return manifest


def write_table(repository: Repository, table: TableName, days: Sequence[str]) -> TableEntry:
    """A table with one chunk a day, its lists and its manifest."""
    months = [
        write_month(repository, table, month, [day for day in days if month_of(day) == month])
        for month in sorted({month_of(day) for day in days})
    ]
    rows, size = sum(month.rows for month in months), sum(month.size for month in months)
    manifest = TableManifest(
        table=table,
        columns=(Column("day", "date", "native", "date32"),),
        day=None,
        order_by=("day",),
        key=None,
        required=(),
        data_class="critical",
        rows=rows,
        digest=digest_of(f"{table}{days}".encode()),
        months=tuple(months),
    )
    return TableEntry(
        table=table,
        manifest=repository.write_table(manifest),
        rows=rows,
        digest=manifest.digest,
        chunks=len(days),
        new_chunks=0,
        bytes=size,
        bytes_written=0,
        weight=rows * 8,
        fingerprint={},
    )


def write_month(repository: Repository, table: TableName, month: str, days: Sequence[str]) -> ChunkListRef:
    """The chunks of a month and their list."""
    chunks = tuple(write_chunk(repository, table, day) for day in days)
    digest = repository.write_chunk_list(ChunkList(month, chunks, {day: ScannedDay(10, "0") for day in days}))
    return ChunkListRef(month, digest, 10 * len(days), sum(chunk.size for chunk in chunks), len(chunks))


def write_chunk(repository: Repository, table: TableName, day: str) -> Chunk:
    """A chunk of ten rows, whose bytes are a text: nobody decodes it here."""
    file = repository.store.scratch() / "chunk"
    file.write_bytes(f"rows of {table} on {day}".encode() * 10)
    digest = digest_of(f"{table}/{day}".encode())
    stored = repository.store_chunk(table, span=day, digest=digest, file=file)
    return Chunk(day, digest, stored.digest, stored.size, 80, "parquet-zstd-1", (ChunkDay(day, 10, digest, ""),))
