"""Read stored chunks and files whole and compare them with what the manifests say: hash, rows, and every digest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from moi_backup.errors import Damaged, StorageError
from moi_backup.lake.arrow_types import schema_of
from moi_backup.lake.digest import RowDigester, RowsDigest, chunk_digest, digest_of_columns
from moi_backup.lake.parquet import is_readable, read_rows
from moi_backup.model.backup import BackupManifest
from moi_backup.model.key_ring import PLAIN, KeyRing
from moi_backup.model.table import Chunk, ChunkDay, Column, TableManifest
from moi_backup.operations.locked_columns import locked_columns
from moi_backup.operations.progress import Progress
from moi_backup.operations.stored_table import without_scopes
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.reachability import ReachableChunk
from moi_backup.repository.reading import files_of
from moi_backup.repository.repository import Repository
from moi_backup.repository.verify import Fault
from moi_backup.storage.at_once import in_order

_UNDECODABLE = (pa.ArrowException, OSError, ValueError, KeyError)


@dataclass
class Amount:
    """What was read so far."""

    objects: int = 0
    bytes: int = 0
    rows: int = 0


@dataclass
class DataReader:
    """Reads objects of one repository; `faults` collects what is wrong, `amount` what was read.

    `bad_chunks` are the stored hashes of chunks found damaged, `good_chunks` of those found whole.
    """

    repository: Repository
    progress: Progress
    amount: Amount = field(default_factory=Amount)
    faults: list[Fault] = field(default_factory=list[Fault])
    bad_chunks: set[str] = field(default_factory=set[str])
    good_chunks: set[str] = field(default_factory=set[str])

    def read_chunks(self, chunks: Sequence[ReachableChunk]) -> None:
        """Read chunks whole, decode them and recompute their digests."""
        self.progress.start("chunks", total=sum(item.chunk.size for item in chunks), unit="bytes")
        threads = max(os.cpu_count() or 1, self.repository.store.requests_at_once)
        found = in_order(self._chunk_faults, chunks, threads=threads, weight=lambda item: item.chunk.weight)
        for item, faults in zip(chunks, found, strict=True):
            (self.bad_chunks if faults else self.good_chunks).add(item.chunk.stored)
            self.faults += faults
            self.amount.objects += 1
            self.amount.bytes += item.chunk.size
            self.amount.rows += item.chunk.rows
            self.progress.advance("chunks", item.chunk.size)
        self.progress.finish("chunks", f"{len(chunks)} read, {len(self.bad_chunks)} damaged")

    def read_files(self, files: dict[str, tuple[int, tuple[str, ...]]]) -> None:
        """Read whole files (digest to size and the backups that need them) and check their hashes."""
        for digest, (size, backups) in sorted(files.items()):
            name = layout.file_name(digest)
            try:
                with self.repository.open_file(digest, size=size):
                    self.amount.objects += 1
                    self.amount.bytes += size
            except (Damaged, StorageError) as error:
                self.faults.append(_fault_of(error, name, backups=backups))

    def _chunk_faults(self, item: ReachableChunk) -> list[Fault]:
        name, days = layout.chunk_name(item.table, item.chunk), _labels(item.chunk)
        try:
            with self.repository.open_chunk(item.table, item.chunk) as path:
                found = contradictions(path, item.manifest, item.chunk, ring=self.repository.ring)
                return [Fault(name, "content", detail, item.backups, str(item.table), wrong) for detail, wrong in found]
        except (Damaged, StorageError) as error:
            return [_fault_of(error, name, backups=item.backups, table=str(item.table), days=days)]


def files_to_read(backups: Sequence[BackupManifest]) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Every whole file of the backups: digest to its size and the backups that need it."""
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    for backup in backups:
        try:
            files = files_of(backup)
        except Damaged:
            continue  # a fault of the structure already
        for digest, size in files:
            found[digest] = (size, (*found.get(digest, (size, ()))[1], backup.id))
    return found


def contradictions(
    path: Path, table: TableManifest, chunk: Chunk, *, ring: KeyRing = PLAIN
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is wrong with a chunk file whose bytes are as written: what, and the days it concerns.

    Columns of a scope that is not held are left out.
    """
    if not is_readable(chunk.encoding, encrypted=ring.encrypted):
        yield f"has the encoding {chunk.encoding}, which this version cannot read", _labels(chunk)
        return
    if chunk_digest((day.day, day.digest) for day in chunk.days) != chunk.digest:
        yield "has days whose digests do not make its own", _labels(chunk)
    held = without_scopes(table, {locked.scope for locked in locked_columns(table, ring, [chunk.encoding])})
    days = [digest_of_columns(day, table.restorable, held.restorable) for day in chunk.days]
    try:
        for day, digest, generated in _recomputed(read_rows(path, held, ring=ring), held, days, ring):
            if (digest.digest, digest.columns) != (day.digest, day.columns):
                yield f"holds rows of {day.day} with the digest {digest.digest} instead of {day.digest}", (day.day,)
            if generated != day.generated and held == table:
                yield f"holds generated values of {day.day} that are not those of the manifest", (day.day,)
    except _Miscounted as error:
        yield str(error), _labels(chunk)
    except _UNDECODABLE as error:
        yield f"cannot be decoded ({type(error).__name__}: {error})", _labels(chunk)


class _Miscounted(Exception):
    """The file holds more or fewer rows than its days have."""


def _recomputed(
    groups: Iterator[pa.Table], table: TableManifest, days: Sequence[ChunkDay], ring: KeyRing
) -> Iterator[tuple[ChunkDay, RowsDigest, str]]:
    """Every day with its digests from the rows, which lie in the order of the days; a day may span row groups."""
    rows = schema_of(table.columns).empty_table()
    waiting = list(days)
    for group in groups:
        rows = pa.concat_tables([rows, group]) if rows.num_rows else group
        whole: list[ChunkDay] = []
        held = rows.num_rows
        while waiting and waiting[0].rows <= held:
            held -= waiting[0].rows
            whole.append(waiting.pop(0))
        yield from _digests(rows, table, whole, ring)
        rows = rows.slice(rows.num_rows - held)
    if waiting or rows.num_rows:
        raise _Miscounted(f"holds other rows than the {sum(day.rows for day in days)} its days have")


def _digests(
    rows: pa.Table, table: TableManifest, days: Sequence[ChunkDay], ring: KeyRing
) -> Iterator[tuple[ChunkDay, RowsDigest, str]]:
    digester = RowDigester(rows, table.restorable, ring=ring)
    made = _generated(table)
    generated = RowDigester(rows, made, ring=ring) if made else None
    start = 0
    for day in days:
        stop = start + day.rows
        yield day, digester.digest(start, stop), generated.digest(start, stop).digest if generated else ""
        start = stop


def _generated(table: TableManifest) -> tuple[Column, ...]:
    return tuple(column for column in table.columns if column.generated)


def _labels(chunk: Chunk) -> tuple[str, ...]:
    return tuple(dict.fromkeys(day.day for day in chunk.days))


def _fault_of(
    error: Damaged | StorageError,
    name: str,
    *,
    backups: tuple[str, ...],
    table: str | None = None,
    days: tuple[str, ...] = (),
) -> Fault:
    if isinstance(error, DamagedObject):
        return Fault(error.object_name, error.kind, error.detail, backups, table, days)
    return Fault(name, "unreadable", error.what, backups, table, days)
