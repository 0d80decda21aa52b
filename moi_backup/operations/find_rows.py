"""The rows of a table that are looked for, in one backup after the other: only what changed in between is opened.

Rows are known by the digests of their days. A day (an oversized one: a part of it) whose digest was met in the backup
before holds the rows that were found there, so its chunk stays closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from moi_backup.errors import UsageError
from moi_backup.lake.parquet import is_readable, read_rows
from moi_backup.lake.row_texts import Row, row_texts
from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import Chunk, ChunkDay, ChunkList, Column, TableManifest, TableName
from moi_backup.operations.locked_columns import locked_columns, wrong_key
from moi_backup.operations.stored_table import without_scopes
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.open_ahead import open_ahead
from moi_backup.repository.reading import read_chunk_lists
from moi_backup.repository.repository import Repository


class PartKey(NamedTuple):
    """What rows of a day are known by; equal keys have equal rows."""

    digest: str
    generated: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What is looked for: `find` gives the positions of the rows, from these `columns` alone.

    `may_hold` rules out days by their label.
    """

    columns: tuple[Column, ...]
    find: Callable[[pa.Table], np.ndarray[Any, Any]]
    may_hold: Callable[[str], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Found:
    """The rows found in one part: how many, and the first of them as texts."""

    count: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class FoundRows:
    """What was found in a backup: the parts that may hold rows, in stored order, and what each of them holds."""

    table: TableManifest
    parts: tuple[PartKey, ...]
    found: Mapping[PartKey, Found]

    @property
    def count(self) -> int:
        """The number of rows."""
        return sum(self.found[part].count for part in self.parts)

    def rows(self, parts: Iterable[PartKey] | None = None) -> Counter[Row]:
        """The rows of these parts (None: of all) that were kept, with how often each is there."""
        return Counter(row for part in (self.parts if parts is None else parts) for row in self.found[part].rows)


class NoSuchTable(UsageError):
    """The backup does not hold the table."""


class NotSelectable(UsageError):
    """The table of a backup has not what is looked for: a column is missing, or of a type without that value."""


@dataclass
class RowFinder:
    """Finds rows of one table, backup by backup, in their order. `keep` rows of each part become texts.

    `bind` says what is looked for in a table as some backup has it, and raises UsageError where that cannot be.
    More than `at_most` rows in one chunk or backup are refused. `chunks_read` counts what was opened.
    """

    repository: Repository
    table: TableName
    bind: Callable[[TableManifest], Selection]
    connection: Any
    keep: int
    at_most: int | None = None
    without: Container[str] = ()
    chunks_read: int = 0
    _lists: dict[str, ChunkList] = field(default_factory=dict[str, ChunkList])
    _known: dict[PartKey, Found] = field(default_factory=dict[PartKey, Found])
    _last: tuple[str, FoundRows] | None = None

    def find(self, backup: BackupManifest) -> FoundRows:
        """The rows in this backup.

        Raises NoSuchTable, NotSelectable, WrongKey, or Damaged and StorageError for what it needs and cannot read.
        """
        entry = next((entry for entry in backup.tables if entry.table == self.table), None)
        if entry is None:
            raise NoSuchTable(
                f"Backup {backup.id} does not hold {self.table}.",
                remedy=f"moi-backup show {backup.id} lists the tables it holds.",
            )
        if self._last is not None and self._last[0] == entry.manifest:
            return self._last[1]
        found = self._find(without_scopes(self.repository.read_table(entry.manifest), self.without))
        self._last = (entry.manifest, found)
        return found

    def _find(self, table: TableManifest) -> FoundRows:
        try:
            selection = self.bind(table)
        except UsageError as error:
            raise NotSelectable(error.what, meaning=error.meaning, remedy=error.remedy) from error
        wanted = [(chunk, _wanted(chunk, selection)) for chunk in self._chunks(table)]
        new = {chunk.stored: chunk for chunk, parts in wanted if any(_key(part) not in self._known for part in parts)}
        self._read(table, selection, list(new.values()))
        keys = tuple(_key(part) for _, parts in wanted for part in parts)
        self._known = {key: self._known[key] for key in keys}
        found = FoundRows(table, keys, dict(self._known))
        self._refuse_too_many(found.count)
        return found

    def _chunks(self, table: TableManifest) -> list[Chunk]:
        """All chunks of the table; lists that the backup before had are not read again."""
        new = [month for month in table.months if month.list not in self._lists]
        read = zip(new, read_chunk_lists(self.repository, new), strict=True)
        self._lists |= {month.list: found for month, found in read}
        self._lists = {month.list: self._lists[month.list] for month in table.months}
        return [chunk for found in self._lists.values() for chunk in found.chunks]

    def _read(self, table: TableManifest, selection: Selection, chunks: Sequence[Chunk]) -> None:
        locked = locked_columns(table, self.repository.ring, (chunk.encoding for chunk in chunks))
        if locked:
            raise wrong_key(f"{self.table} cannot be read", locked)
        with closing(open_ahead(self.repository, self.table, chunks)) as opened:
            for chunk, path, held in opened:
                with held:
                    self._known |= self._in_chunk(path, table, selection, chunk)
                    self.chunks_read += 1

    def _in_chunk(self, path: Path, table: TableManifest, selection: Selection, chunk: Chunk) -> dict[PartKey, Found]:
        ring = self.repository.ring
        if not is_readable(chunk.encoding, encrypted=ring.encrypted):
            raise _undecodable(self.table, chunk, f"has the encoding {chunk.encoding}, which this version cannot read")
        try:
            return self._in_file(path, table, selection, chunk)
        except (pa.ArrowException, OSError) as error:
            raise _undecodable(self.table, chunk, f"cannot be decoded ({type(error).__name__}: {error})") from error

    def _in_file(self, path: Path, table: TableManifest, selection: Selection, chunk: Chunk) -> dict[PartKey, Found]:
        hits = self._positions(path, table, selection, chunk)
        parts = [part for part in _bounded(chunk) if selection.may_hold(part.day.day)]
        of_parts = [hits[(hits >= part.start) & (hits < part.start + part.day.rows)] for part in parts]
        self._refuse_too_many(sum(map(len, of_parts)))
        rows = self._texts(path, table, _joined([found[: self.keep] for found in of_parts]))
        return {
            _key(part.day): Found(len(found), tuple(rows[int(at)] for at in found[: self.keep]))
            for part, found in zip(parts, of_parts, strict=True)
        }

    def _positions(self, path: Path, table: TableManifest, selection: Selection, chunk: Chunk) -> np.ndarray[Any, Any]:
        """Where in the chunk the rows are, from the columns alone that decide."""
        found: list[np.ndarray[Any, Any]] = []
        start = 0
        columns = selection.columns or table.columns[:1]
        for group in read_rows(path, table, columns=columns, ring=self.repository.ring):
            found.append(selection.find(group) + start)
            start += group.num_rows
        if start != chunk.rows:
            raise _undecodable(self.table, chunk, f"holds {start} rows instead of {chunk.rows}")
        return _joined(found)

    def _texts(self, path: Path, table: TableManifest, at: np.ndarray[Any, Any]) -> dict[int, Row]:
        """The rows at these positions, whole."""
        texts: dict[int, Row] = {}
        start = 0
        for group in read_rows(path, table, ring=self.repository.ring) if len(at) else ():
            inside = at[(at >= start) & (at < start + group.num_rows)]
            rows = row_texts(self.connection, group.take(inside - start), table.columns)
            texts |= dict(zip(inside.tolist(), rows, strict=True))
            start += group.num_rows
        return texts

    def _refuse_too_many(self, count: int) -> None:
        if self.at_most is not None and count > self.at_most:
            raise UsageError(
                f"More than {self.at_most:,} rows of {self.table} are meant.",
                meaning="They are compared in memory, which they would exceed.",
                remedy="Name more columns of the key, its day for one.",
            )


class _Bounded(NamedTuple):
    day: ChunkDay
    start: int


def _bounded(chunk: Chunk) -> list[_Bounded]:
    """The parts of a chunk, each with the position of its first row."""
    parts: list[_Bounded] = []
    start = 0
    for day in chunk.days:
        parts.append(_Bounded(day, start))
        start += day.rows
    return parts


def _joined(found: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return np.concatenate([np.empty(0, dtype=np.int64), *found])


def _wanted(chunk: Chunk, selection: Selection) -> list[ChunkDay]:
    return [part for part in chunk.days if selection.may_hold(part.day)]


def _key(part: ChunkDay) -> PartKey:
    return PartKey(part.digest, part.generated)


def _undecodable(table: TableName, chunk: Chunk, detail: str) -> DamagedObject:
    return DamagedObject(layout.chunk_name(table, chunk), "content", detail)
