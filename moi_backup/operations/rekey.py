"""Give a scope a new key and write everything under it anew: what to do when a key was stolen.

Backups keep their ids, rows and digests; their objects are others afterwards, and `prune` deletes the old ones. Killed
at any moment every backup opens, and the next run goes on with the key that was made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from moi_backup.errors import UsageError, WrongKey
from moi_backup.lake.parquet import ChunkWriter, encoding_of, keys_of, read_rows
from moi_backup.model.backup import BackupManifest, TableEntry
from moi_backup.model.key_ring import DEFAULT_SCOPE
from moi_backup.model.table import Chunk, ChunkList, ChunkListRef, TableManifest
from moi_backup.operations.backup_debris import scratch_folder
from moi_backup.operations.locked_columns import locked_columns, wrong_key
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.read_data import contradictions
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import layout
from moi_backup.repository.backups import read_backups
from moi_backup.repository.chain import Chain, expired, read_chain
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.key_sources import read_keys
from moi_backup.repository.leases import Lease
from moi_backup.repository.marks import with_marks
from moi_backup.repository.reading import files_of
from moi_backup.repository.repository import Repository
from moi_backup.repository.rewriting import rewrite_manifest
from moi_backup.repository.scope_keys import create_key, require_master

_TASK = "rekey"


class Rekeyed(msgspec.Struct, frozen=True, kw_only=True):
    """Scope `scope` now has key `number`; `backups` were rewritten, `chunks` of `bytes` bytes written anew.

    `trash` are expired backups, which stay under the old key until they are pruned.
    """

    repository: str
    scope: str
    number: int
    backups: tuple[str, ...]
    chunks: int
    bytes: int
    trash: tuple[str, ...]


def rekey(
    workspace: Workspace,
    scope: str,
    *,
    wait: float,
    entropy: Callable[[int], bytes] = os.urandom,
    progress: Progress | None = None,
) -> Rekeyed:
    """Make the next key of a scope and rewrite all listed backups under it.

    Raises, before anything is written: UsageError for a scope that is not there, WrongKey for what cannot be opened.
    """
    repository = workspace.open()
    if not repository.ring.encrypted or scope not in repository.ring.current:
        raise UsageError(f"The repository has no scope {scope!r}.", remedy="See moi-backup key list.")
    progress = progress or Silent()
    with workspace.writing(repository, operation="key rekey", wait=wait, tell=progress.warn) as lease:
        repository = with_marks(repository)
        chain = read_chain(repository)
        backups = list(read_backups(repository, chain))
        _require_open(repository, backups)
        if not _is_unfinished(repository, backups, scope):
            _next_key(workspace, repository, scope, entropy=entropy)
            repository = with_marks(workspace.open())
        with scratch_folder(repository.store, now=workspace.clock.now()) as scratch:
            run = _Rekey(workspace, repository, scope, lease, scratch, progress)
            return run.rekey(backups, chain)


def _require_open(repository: Repository, backups: Sequence[BackupManifest]) -> None:
    """Every column of every chunk must be readable: a chunk is written anew as a whole."""
    for table, chunk in _chunks(repository, backups):
        if locked := locked_columns(table, repository.ring, [chunk.encoding]):
            raise wrong_key(f"{table.table} cannot be written anew", locked)


def _is_unfinished(repository: Repository, backups: Sequence[BackupManifest], scope: str) -> bool:
    """Whether an earlier rekey was cut: there is a newer key than the one some objects are under."""
    current = repository.ring.current[scope]
    numbers = {
        number for _, chunk in _chunks(repository, backups) for name, number in keys_of(chunk.encoding) if name == scope
    }
    return current > 1 and any(number < current for number in numbers)


def _chunks(repository: Repository, backups: Sequence[BackupManifest]) -> list[tuple[TableManifest, Chunk]]:
    """Every chunk of the backups once, with a table manifest that leads to it."""
    found: dict[str, tuple[TableManifest, Chunk]] = {}
    lists: set[str] = set()
    for digest in dict.fromkeys(entry.manifest for backup in backups for entry in backup.tables):
        table = repository.read_table(digest)
        for ref in table.months:
            if ref.list not in lists:
                lists.add(ref.list)
                found |= {chunk.stored: (table, chunk) for chunk in repository.read_chunk_list(ref.list).chunks}
    return list(found.values())


def _next_key(workspace: Workspace, repository: Repository, scope: str, *, entropy: Callable[[int], bytes]) -> None:
    """The key after the current one, with the digest key that the scope always had."""
    ring = repository.ring
    made = create_key(
        repository.store,
        repository=repository.id,
        scope=scope,
        number=ring.current[scope] + 1,
        digest=ring.digest_key(scope),
        master=require_master(read_keys(workspace.settings.keys)),
        now=workspace.clock.now(),
        entropy=entropy,
    )
    if made is None:
        raise WrongKey(f"Scope {scope} has just been given a new key by another process.", remedy="Run it again.")


@dataclass
class _Rekey:
    """One run under the writer's lease; what backups share is written once."""

    workspace: Workspace
    repository: Repository
    scope: str
    lease: Lease
    scratch: Path
    progress: Progress
    chunks: dict[str, Chunk] = field(default_factory=dict[str, Chunk])
    lists: dict[str, ChunkListRef] = field(default_factory=dict[str, ChunkListRef])
    tables: dict[str, tuple[str, TableManifest]] = field(default_factory=dict[str, tuple[str, TableManifest]])
    rewritten: int = 0
    bytes: int = 0

    def rekey(self, backups: Sequence[BackupManifest], chain: Chain) -> Rekeyed:
        total = sum(chunk.size for _, chunk in _chunks(self.repository, backups) if self._is_old(chunk))
        self.progress.start(_TASK, total=total, unit="bytes")
        if self.scope == DEFAULT_SCOPE:
            self._reseal_records()
        for backup in backups:
            manifest = msgspec.structs.replace(backup, tables=tuple(self._entry(entry) for entry in backup.tables))
            if self.scope == DEFAULT_SCOPE:
                self._reseal(manifest)
            if manifest != backup or self.scope == DEFAULT_SCOPE:
                rewrite_manifest(self.repository, manifest, at=self.workspace.clock.now(), lease=self.lease)
        self.progress.finish(_TASK, f"{self.rewritten} chunks written anew")
        return Rekeyed(
            repository=self.repository.id,
            scope=self.scope,
            number=self.repository.ring.current[self.scope],
            backups=tuple(backup.id for backup in backups),
            chunks=self.rewritten,
            bytes=self.bytes,
            trash=tuple(expired(chain)),
        )

    def _entry(self, entry: TableEntry) -> TableEntry:
        if entry.manifest not in self.tables:
            self.tables[entry.manifest] = self._table(self.repository.read_table(entry.manifest))
        digest, table = self.tables[entry.manifest]
        return msgspec.structs.replace(entry, manifest=digest, bytes=sum(ref.size for ref in table.months))

    def _table(self, table: TableManifest) -> tuple[str, TableManifest]:
        table = msgspec.structs.replace(table, months=tuple(self._list(table, ref) for ref in table.months))
        return self.repository.write_table(table), table

    def _list(self, table: TableManifest, ref: ChunkListRef) -> ChunkListRef:
        if ref.list not in self.lists:
            listed = self.repository.read_chunk_list(ref.list)
            self.lists[ref.list] = self._written(
                msgspec.structs.replace(listed, chunks=tuple(self._chunk(table, chunk) for chunk in listed.chunks)), ref
            )
        return self.lists[ref.list]

    def _written(self, chunks: ChunkList, ref: ChunkListRef) -> ChunkListRef:
        size = sum(chunk.size for chunk in chunks.chunks)
        return msgspec.structs.replace(ref, list=self.repository.write_chunk_list(chunks), size=size)

    def _is_old(self, chunk: Chunk) -> bool:
        current = self.repository.ring.current[self.scope]
        return any(name == self.scope and number != current for name, number in keys_of(chunk.encoding))

    def _chunk(self, table: TableManifest, chunk: Chunk) -> Chunk:
        if not self._is_old(chunk):
            return chunk
        if chunk.stored not in self.chunks:
            self.lease.assert_held()
            self.chunks[chunk.stored] = self._rewrite(table, chunk)
            self.rewritten += 1
            self.bytes += self.chunks[chunk.stored].size
            self.progress.advance(_TASK, chunk.size)
        return self.chunks[chunk.stored]

    def _rewrite(self, table: TableManifest, chunk: Chunk) -> Chunk:
        """The same rows under the current keys, compared with the manifest's digests before they are stored."""
        ring, path = self.repository.ring, self.scratch / layout.hash_of(chunk.stored)
        writer = ChunkWriter(path, columns=table.columns, day_column=table.day and table.day.column, ring=ring)
        with self.repository.open_chunk(table.table, chunk) as old:
            for rows in read_rows(old, table, ring=ring):
                writer.write(rows)
        writer.close()
        written = msgspec.structs.replace(chunk, encoding=encoding_of(table.columns, ring))
        for detail, _ in contradictions(path, table, written, ring=ring):
            raise DamagedObject(layout.chunk_name(table.table, chunk), "content", detail)
        stored = self.repository.store_chunk(table.table, span=chunk.span, digest=chunk.digest, file=path)
        return msgspec.structs.replace(written, stored=stored.digest, size=stored.size)

    def _reseal_records(self) -> None:
        """First, while the old chunks still tell the next run that this one was cut; passes a damaged record over."""
        for info in list(self.repository.store.list(layout.RECORDS)):
            try:
                self.repository.reseal(info.name)
            except DamagedObject as error:
                self.progress.warn(f"{info.name} stays as it is: it {error.detail}.")

    def _reseal(self, manifest: BackupManifest) -> None:
        """What is content-addressed keeps its name and its content; its bytes are replaced."""
        for digest, _ in files_of(manifest):
            self.repository.reseal(layout.file_name(digest))
        for entry in manifest.tables:
            table = self.repository.read_table(entry.manifest)
            for reference in (entry.manifest, *(ref.list for ref in table.months)):
                self.repository.reseal(layout.table_name(reference))
