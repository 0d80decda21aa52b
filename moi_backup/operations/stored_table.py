"""A table of a backup as it is stored: its chunks, the parts of its days, and its rows, streamed and hash-checked."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from moi_backup.lake.digest import digest_of_columns
from moi_backup.lake.parquet import read_rows
from moi_backup.model.backup import BackupManifest
from moi_backup.model.day import DayRange, month_of
from moi_backup.model.span import Span
from moi_backup.model.table import Chunk, ChunkDay, TableManifest, TableName
from moi_backup.operations.locked_columns import LockedColumns, locked_columns
from moi_backup.repository.open_ahead import open_ahead
from moi_backup.repository.reading import read_chunk_lists
from moi_backup.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class StoredTable:
    """One table manifest of a repository; `days` None means every day, undated and infinite ones included.

    `manifest` may leave out columns of the `whole` one; parts and rows then are as if these had never been.
    """

    repository: Repository
    manifest: TableManifest
    whole: TableManifest

    def chunks(self, days: DayRange | None = None) -> list[Chunk]:
        """The chunks that hold any of the days, in day order."""
        months = [ref for ref in self.manifest.months if days is None or _may_hold(ref.month, days)]
        listed = (chunk for found in read_chunk_lists(self.repository, months) for chunk in found.chunks)
        return [chunk for chunk in listed if any(_wanted(part, days) for part in chunk.days)]

    def parts(self, days: DayRange | None = None) -> list[ChunkDay]:
        """The days (an oversized day in several parts) in stored order, with their digests."""
        return self.parts_of(self.chunks(days), days)

    def parts_of(self, chunks: Sequence[Chunk], days: DayRange | None = None) -> list[ChunkDay]:
        """The days of these chunks, as `parts` gives them."""
        wanted = [part for chunk in chunks for part in chunk.days if _wanted(part, days)]
        kept = self.manifest.restorable
        return [digest_of_columns(part, self.whole.restorable, kept) for part in wanted]

    def locked(self, days: DayRange | None = None) -> list[LockedColumns]:
        """The columns that cannot be read in those days, because a key is not held."""
        return locked_columns(self.manifest, self.repository.ring, (chunk.encoding for chunk in self.chunks(days)))

    def rows(self, days: DayRange | None = None) -> Iterator[pa.Table]:
        """The rows in stored order, all columns in canonical types.

        Raises Damaged when a chunk's bytes are not as written.
        """
        ring = self.repository.ring
        with closing(open_ahead(self.repository, self.manifest.table, self.chunks(days))) as opened:
            for chunk, path, held in opened:
                with held:
                    yield from _of_days(read_rows(path, self.manifest, ring=ring), chunk, days)

    def rows_of(self, chunks: Sequence[Chunk], labels: Container[str]) -> Iterator[tuple[str, pa.Table]]:
        """The rows of the given days in these chunks, each run with its day; raises Damaged like `rows`."""
        wanted = [chunk for chunk in chunks if any(part.day in labels for part in chunk.days)]
        with closing(open_ahead(self.repository, self.manifest.table, wanted)) as opened:
            for chunk, path, held in opened:
                with held:
                    yield from _by_day(read_rows(path, self.manifest, ring=self.repository.ring), chunk, labels)


def open_table(
    repository: Repository, backup: BackupManifest, table: TableName, *, without: Container[str] = ()
) -> StoredTable:
    """The table as the backup has it, `without` the columns of these scopes; raises KeyError when it is not in it."""
    entry = next((entry for entry in backup.tables if entry.table == table), None)
    if entry is None:
        raise KeyError(str(table))
    whole = repository.read_table(entry.manifest)
    return StoredTable(repository, without_scopes(whole, without), whole)


def without_scopes(table: TableManifest, scopes: Container[str]) -> TableManifest:
    """A table manifest without the columns of these scopes, and without what speaks of them."""
    columns = tuple(column for column in table.columns if column.scope not in scopes)
    names = {column.name for column in columns}
    return msgspec.structs.replace(
        table,
        columns=columns,
        day=table.day if table.day is not None and table.day.column in names else None,
        order_by=tuple(name for name in table.order_by if name in names),
        key=table.key if table.key is not None and names.issuperset(table.key) else None,
        required=tuple(name for name in table.required if name in names),
    )


def spans_of(parts: Sequence[ChunkDay]) -> list[Span]:
    """One span a day, with the rows of all its parts."""
    rows: dict[str, int] = {}
    for part in parts:
        rows[part.day] = rows.get(part.day, 0) + part.rows
    return [Span(label, month_of(label), ((label, count),)) for label, count in rows.items()]


def _wanted(part: ChunkDay, days: DayRange | None) -> bool:
    return days is None or part.day in days


def _may_hold(month: str, days: DayRange) -> bool:
    return month_of(days.first) <= month <= month_of(days.last) if month[0].isdigit() else False


def _of_days(groups: Iterator[pa.Table], chunk: Chunk, days: DayRange | None) -> Iterator[pa.Table]:
    """The wanted slices of a chunk's rows, which lie in the order of its days."""
    if days is None:
        yield from groups
        return
    wanted: list[tuple[int, int]] = []
    start = 0
    for part in chunk.days:
        if _wanted(part, days):
            wanted.append((start, start + part.rows))
        start += part.rows
    offset = 0
    for group in groups:
        for first, last in wanted:
            low, high = max(first - offset, 0), min(last - offset, group.num_rows)
            if low < high:
                yield group.slice(low, high - low)
        offset += group.num_rows


def _by_day(groups: Iterator[pa.Table], chunk: Chunk, labels: Container[str]) -> Iterator[tuple[str, pa.Table]]:
    """The slices of a chunk's rows that belong to the wanted days."""
    ends: list[tuple[str, int, int]] = []
    start = 0
    for part in chunk.days:
        ends.append((part.day, start, start + part.rows))
        start += part.rows
    offset = 0
    for group in groups:
        for label, first, last in ends:
            low, high = max(first - offset, 0), min(last - offset, group.num_rows)
            if low < high and label in labels:
                yield label, group.slice(low, high - low)
        offset += group.num_rows
