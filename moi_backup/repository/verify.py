"""Structure verification: everything a backup names is there, has its size, and the documents agree with each other.

It reads every document and no chunk; reading the data itself starts from `reachability.reachable_chunks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from moi_backup.errors import Damaged, StorageError, UsageError
from moi_backup.model.backup import BackupManifest, TableEntry
from moi_backup.model.day import month_of
from moi_backup.model.span import may_hold
from moi_backup.model.table import Chunk, ChunkList, ChunkListRef, TableManifest, TableName
from moi_backup.repository import layout
from moi_backup.repository.chain import Chain, manifest_hashes, published, scan_chain
from moi_backup.repository.damage import DamagedObject, DamageKind
from moi_backup.repository.reading import Unreadable, files_of
from moi_backup.repository.repository import Repository
from moi_backup.repository.stored_sizes import StoredSizes
from moi_backup.storage.at_once import in_order

Item = TypeVar("Item")
Result = TypeVar("Result")


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with one object, and what it touches.

    `backups` is empty for damage to the chain itself. `table` is None when all tables of the backups are affected.
    `days` holds day labels, or a month (`2025-09`) where the list of its days is what is damaged; empty means all days.
    """

    object: str
    kind: DamageKind
    detail: str
    backups: tuple[str, ...] = ()
    table: str | None = None
    days: tuple[str, ...] = ()


class _Finding(NamedTuple):
    """A fault before it is known which backups share it."""

    object: str
    kind: DamageKind
    detail: str
    table: str | None = None
    days: tuple[str, ...] = ()


def verify_structure(repository: Repository, backups: Sequence[str] | None = None) -> list[Fault]:
    """All faults of the chain and of the selected backups (ids; None: all listed), in the order of object names.

    A fault of something shared is listed once with every selected backup that needs it. Raises UsageError for an id
    that is not listed, NoRepository when a newer version wrote a document.
    """
    scan = scan_chain(repository)
    chain = Chain(scan.entries, scan.head)
    found: dict[_Finding, list[str]] = {_of_error(damage, layout.CHAIN): [] for damage in scan.damage}
    structure = _Structure(repository, manifest_hashes(chain))
    for backup, findings in structure.walk(_selected(published(chain), backups)):
        for finding in findings:
            needed_by = found.setdefault(finding, [])
            if backup not in needed_by:
                needed_by.append(backup)
    faults = [_fault(finding, needed_by) for finding, needed_by in found.items()]
    return sorted(faults, key=lambda fault: (fault.object, fault.kind, fault.detail))


class _Structure:
    """The walk over one repository; what backups share is looked at once."""

    def __init__(self, repository: Repository, manifest_hashes: dict[str, str]) -> None:
        self._repository = repository
        self._hashes = manifest_hashes
        self._stored = StoredSizes(repository.store, (layout.CHUNKS, layout.FILES))
        self._read: dict[str, TableManifest | Unreadable] = {}
        self._tables: dict[str, tuple[TableManifest | None, list[_Finding]]] = {}
        self._lists: dict[tuple[TableName, ChunkListRef], list[_Finding]] = {}

    def walk(self, backups: Sequence[str]) -> Iterator[tuple[str, Iterator[_Finding]]]:
        """Each backup with what is wrong with it; everything is read side by side before the first is given."""
        manifests = list(self._side_by_side(self._try_backup, backups))
        self._fetch(entry for found in manifests if isinstance(found, BackupManifest) for entry in found.tables)
        for backup, found in zip(backups, manifests, strict=True):
            yield backup, self._findings(backup, found)

    def _fetch(self, entries: Iterable[TableEntry]) -> None:
        """Every table manifest and every chunk list that the entries lead to, once."""
        digests = list(dict.fromkeys(entry.manifest for entry in entries))
        self._read = dict(zip(digests, self._side_by_side(self._try_table, digests), strict=True))
        tables = [found for found in self._read.values() if isinstance(found, TableManifest)]
        lists = list(dict.fromkeys((table.table, month) for table in tables for month in table.months))
        self._lists = dict(zip(lists, self._side_by_side(self._list_findings, lists), strict=True))

    def _side_by_side(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        return in_order(work, items, threads=self._repository.store.requests_at_once)

    def _findings(self, backup: str, manifest: BackupManifest | Unreadable) -> Iterator[_Finding]:
        name = layout.backup_name(backup)
        if not isinstance(manifest, BackupManifest):
            yield _of_error(manifest, name)
            return
        try:
            yield from self._files(manifest)
        except (Damaged, StorageError) as error:
            yield _of_error(error, name)
            return
        if manifest.id != backup:
            yield _Finding(name, "inconsistent", f"is the manifest of {manifest.id}")
        for entry in manifest.tables:
            table, findings = self._table(entry)
            yield from findings
            yield from _entry_findings(name, entry, table)

    def _try_backup(self, backup: str) -> BackupManifest | Unreadable:
        try:
            return self._repository.read_backup(backup, stored=self._hashes[backup])
        except (Damaged, StorageError) as error:
            return error

    def _try_table(self, digest: str) -> TableManifest | Unreadable:
        try:
            return self._repository.read_table(digest)
        except (Damaged, StorageError) as error:
            return error

    def _files(self, manifest: BackupManifest) -> Iterator[_Finding]:
        for digest, size in files_of(manifest):
            yield from _size_findings(self._stored, layout.file_name(digest), size)

    def _table(self, entry: TableEntry) -> tuple[TableManifest | None, list[_Finding]]:
        if entry.manifest not in self._tables:
            self._tables[entry.manifest] = self._judged_table(entry)
        return self._tables[entry.manifest]

    def _judged_table(self, entry: TableEntry) -> tuple[TableManifest | None, list[_Finding]]:
        name = f"{layout.TABLES}{entry.manifest}"
        table = self._read[entry.manifest]
        if not isinstance(table, TableManifest):
            return None, [_of_error(table, name, table=entry.table)]
        findings = [finding for month in table.months for finding in self._lists[table.table, month]]
        rows, months = sum(month.rows for month in table.months), [month.month for month in table.months]
        if rows != table.rows:
            detail = f"says {table.rows} rows, its months hold {rows}"
            findings.append(_Finding(name, "inconsistent", detail, str(table.table)))
        if len(set(months)) != len(months):
            findings.append(_Finding(name, "inconsistent", "lists a month twice", str(table.table)))
        return table, findings

    def _list_findings(self, key: tuple[TableName, ChunkListRef]) -> list[_Finding]:
        return list(self._read_list(*key))

    def _read_list(self, table: TableName, month: ChunkListRef) -> Iterator[_Finding]:
        name = f"{layout.TABLES}{month.list}"
        try:
            chunks = self._repository.read_chunk_list(month.list)
        except (Damaged, StorageError) as error:
            yield _of_error(error, name, table=table, days=(month.month,))
            return
        for detail in _list_contradictions(chunks, month):
            yield _Finding(name, "inconsistent", detail, str(table), (month.month,))
        for chunk in chunks.chunks:
            yield from self._chunk(table, chunk)

    def _chunk(self, table: TableName, chunk: Chunk) -> Iterator[_Finding]:
        days = tuple(dict.fromkeys(day.day for day in chunk.days))
        try:
            name = layout.chunk_name(table, chunk)
        except DamagedObject as error:
            yield _of_error(error, error.object_name, table=table, days=days)
            return
        for finding in _size_findings(self._stored, name, chunk.size):
            yield finding._replace(table=str(table), days=days)


def _size_findings(stored: StoredSizes, name: str, size: int) -> list[_Finding]:
    found = stored.of(name)
    if found is None:
        return [_Finding(name, "missing", "is missing")]
    return [] if found == size else [_Finding(name, "size", f"has {found} bytes instead of {size}")]


def _entry_findings(name: str, entry: TableEntry, table: TableManifest | None) -> Iterator[_Finding]:
    """Where the backup manifest and the table manifest it names contradict each other."""
    if table is None:
        return
    facts: dict[str, tuple[object, object]] = {
        "table": (entry.table, table.table),
        "rows": (entry.rows, table.rows),
        "digest": (entry.digest, table.digest),
        "chunks": (entry.chunks, sum(month.chunks for month in table.months)),
        "bytes": (entry.bytes, sum(month.size for month in table.months)),
    }
    for fact, (said, found) in facts.items():
        if said != found:
            detail = f"says {fact} {said} of {entry.table}, tables/{entry.manifest} says {found}"
            yield _Finding(name, "inconsistent", detail, str(entry.table))


def _list_contradictions(chunks: ChunkList, month: ChunkListRef) -> Iterator[str]:
    """Where a chunk list contradicts itself or the table manifest that names it."""
    facts: dict[str, tuple[object, object]] = {
        "month": (month.month, chunks.month),
        "rows": (month.rows, sum(chunk.rows for chunk in chunks.chunks)),
        "size": (month.size, sum(chunk.size for chunk in chunks.chunks)),
        "chunks": (month.chunks, len(chunks.chunks)),
    }
    for fact, (said, found) in facts.items():
        if said != found:
            yield f"has {fact} {found}, the table manifest says {said}"
    for chunk in chunks.chunks:
        if not all(may_hold(chunk.span, day.day) for day in chunk.days):
            yield f"lists days in the chunk {chunk.digest} that do not belong to its span {chunk.span}"
        if any(month_of(day.day) != chunks.month for day in chunk.days):
            yield f"lists days in the chunk {chunk.digest} that do not belong to {chunks.month}"


def _selected(listed: Sequence[str], backups: Sequence[str] | None) -> Sequence[str]:
    unknown = [] if backups is None else [backup for backup in backups if backup not in listed]
    if unknown:
        raise UsageError(f"No such backup is listed: {', '.join(unknown)}.", remedy="See moi-backup backups.")
    return listed if backups is None else backups


def _of_error(error: Unreadable, name: str, *, table: TableName | None = None, days: tuple[str, ...] = ()) -> _Finding:
    """A finding from an error of reading; one that does not name its object concerns `name`."""
    affected = None if table is None else str(table)
    if isinstance(error, DamagedObject):
        return _Finding(error.object_name, error.kind, error.detail, affected, days)
    return _Finding(name, "unreadable", error.what, affected, days)


def _fault(finding: _Finding, backups: list[str]) -> Fault:
    return Fault(
        finding.object, finding.kind, finding.detail, backups=tuple(backups), table=finding.table, days=finding.days
    )
