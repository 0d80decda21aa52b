"""Days whose chunks are damaged: which they are, what other backups have of them, and what is restored instead.

A chunk is whole when its bytes are as they were written. A day is damaged when any of its chunks is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import pyarrow as pa

from moi_backup.errors import Damaged, StorageError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.day import DayRange
from moi_backup.model.restore import DamagedPolicy, DayInstead
from moi_backup.model.table import Chunk, ChunkDay
from moi_backup.operations.new_table import Contents
from moi_backup.operations.stored_table import StoredTable, open_table
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.repository import Repository
from moi_backup.storage.at_once import in_order

_SHOWN = 20


class DamagedDays(DamagedObject):
    """Days of a table cannot be restored from this backup; says which, and which other backups have them whole."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A table in one backup: its chunks, by the days in them."""

    backup: BackupManifest
    stored: StoredTable
    chunks: Sequence[Chunk]

    def chunks_of(self, day: str) -> list[Chunk]:
        return [chunk for chunk in self.chunks if any(part.day == day for part in chunk.days)]

    def parts_of(self, days: frozenset[str]) -> list[ChunkDay]:
        return [part for part in self.stored.parts_of(self.chunks) if part.day in days]


@dataclass
class _Wholeness:
    """Which chunks are whole; each is read once."""

    repository: Repository
    known: dict[str, bool] = field(default_factory=dict[str, bool])

    def look(self, source: _Source, chunks: Iterable[Chunk]) -> bool:
        """Whether all of them are."""
        unknown = [chunk for chunk in chunks if chunk.stored not in self.known]
        table, threads = source.stored.manifest.table, self.repository.store.requests_at_once

        def is_whole(chunk: Chunk) -> bool:
            try:
                with self.repository.open_chunk(table, chunk):
                    return True
            except DamagedObject:
                return False

        for chunk, whole in zip(unknown, in_order(is_whole, unknown, threads=threads), strict=True):
            self.known[chunk.stored] = whole
        return all(self.known[chunk.stored] for chunk in chunks)


def mend(
    stored: StoredTable,
    error: DamagedObject,
    *,
    backup: BackupManifest,
    others: Callable[[], Iterable[BackupManifest]],
    days: DayRange | None,
    policy: DamagedPolicy,
    without: tuple[str, ...],
) -> Contents:
    """What can be restored of a table in which `error` was met, by the policy.

    Raises DamagedDays when the policy is to fail, or when no other backup has a damaged day whole; `error` itself when
    no chunk is damaged. A day is taken from a backup that has exactly the same rows, else from the newest before this
    one.
    """
    mine = _Source(backup, stored, stored.chunks(days))
    wholeness = _Wholeness(stored.repository)
    labels = list(dict.fromkeys(part.day for part in stored.parts(days)))
    lost = [day for day in labels if not wholeness.look(mine, mine.chunks_of(day))]
    if not lost:
        raise error
    found: dict[str, _Source] = {}
    if policy != "skip":
        sources = list(_sources(mine, others, days, without))
        found = {day: source for day in lost if (source := _find(day, mine, sources, wholeness)) is not None}
    if policy == "fail" or (policy == "older" and len(found) < len(lost)):
        raise _refusal(error, lost, found, policy)
    return _contents(mine, labels, lost, found)


def _sources(
    mine: _Source, others: Callable[[], Iterable[BackupManifest]], days: DayRange | None, without: tuple[str, ...]
) -> Iterator[_Source]:
    """The table in other backups, where it has the same columns: those before this one, newest first, then later ones.

    A backup that cannot be read is passed over, and so is one that shares its whole state with one already given.
    """
    name, seen = mine.stored.manifest.table, {entry.manifest for entry in mine.backup.tables}
    listed = sorted(others(), key=lambda other: other.started_at)
    before = [other for other in listed if other.started_at < mine.backup.started_at]
    for other in [*reversed(before), *listed[len(before) :]]:
        entry = next((entry for entry in other.tables if entry.table == name), None)
        if entry is None or entry.manifest in seen:
            continue
        seen.add(entry.manifest)
        try:
            stored = open_table(mine.stored.repository, other, name, without=without)
            if _same_columns(mine.stored, stored) and not stored.locked(days):
                yield _Source(other, stored, stored.chunks(days))
        except (Damaged, StorageError):
            continue


def _same_columns(mine: StoredTable, theirs: StoredTable) -> bool:
    ours, other = mine.manifest, theirs.manifest
    return (ours.columns, ours.day, ours.order_by) == (other.columns, other.day, other.order_by)


def _find(day: str, mine: _Source, sources: Sequence[_Source], wholeness: _Wholeness) -> _Source | None:
    same = [source for source in sources if _is_same(day, mine, source)]
    older = [source for source in sources if source.backup.started_at < mine.backup.started_at]
    for source in [*same, *older]:
        chunks = source.chunks_of(day)
        if chunks and wholeness.look(source, chunks):
            return source
    return None


def _is_same(day: str, mine: _Source, other: _Source) -> bool:
    only = frozenset({day})
    return [part.digest for part in mine.parts_of(only)] == [part.digest for part in other.parts_of(only)]


def _contents(mine: _Source, labels: Sequence[str], lost: Sequence[str], found: dict[str, _Source]) -> Contents:
    """The days in their order: whole ones from this backup, the others from where they were found, or not at all."""
    kept = [day for day in labels if day not in lost or day in found]
    runs = [(source, frozenset(run)) for source, run in _runs(mine, kept, found)]

    def rows() -> Iterator[pa.Table]:
        for source, days in runs:
            for _, table in source.stored.rows_of(source.chunks, days):
                yield table

    parts = [part for source, days in runs for part in source.parts_of(days)]
    return Contents(parts, rows, tuple(_instead(day, mine, found.get(day)) for day in lost))


def _runs(mine: _Source, days: Sequence[str], found: dict[str, _Source]) -> Iterator[tuple[_Source, list[str]]]:
    """Neighbouring days that come from the same backup, read together."""
    for _, run in groupby(days, key=lambda day: found.get(day, mine).backup.id):
        labels = list(run)
        yield found.get(labels[0], mine), labels


def _instead(day: str, mine: _Source, source: _Source | None) -> DayInstead:
    only = frozenset({day})
    lost = sum(part.rows for part in mine.parts_of(only))
    if source is None:
        return DayInstead(day=day, lost=lost)
    return DayInstead(
        day=day,
        lost=lost,
        rows=sum(part.rows for part in source.parts_of(only)),
        backup=source.backup.id,
        taken_at=source.backup.started_at,
        identical=_is_same(day, mine, source),
    )


def _refusal(error: DamagedObject, lost: Sequence[str], found: dict[str, _Source], policy: str) -> DamagedDays:
    """The error that names the days, and where each is whole."""
    told = [f"{_days(lost)} cannot be restored from this backup"]
    whole_in = dict.fromkeys(source.backup.id for source in found.values())
    told += [
        f"{_days([day for day in found if found[day].backup.id == other])}: whole in {other}" for other in whole_in
    ]
    if nowhere := [day for day in lost if day not in found]:
        told.append(f"{_days(nowhere)}: whole in no other backup before it")
    older = "--damaged older takes their newest whole state before this backup, " if found and policy == "fail" else ""
    refusal = DamagedDays(error.object_name, error.kind, f"{error.detail}; {'; '.join(told)}")
    refusal.meaning = f"{error.meaning} The table was not restored, because it would not be whole.".strip()
    refusal.remedy = f"{older}--damaged skip leaves these days out; both say so for each day."
    return refusal


def _days(days: Sequence[str]) -> str:
    more = f" and {len(days) - _SHOWN:,} more" if len(days) > _SHOWN else ""
    return f"{'day' if len(days) == 1 else 'days'} {', '.join(days[:_SHOWN])}{more}"
