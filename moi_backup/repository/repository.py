"""A repository: typed objects over a store (history: `chain`; which backup is meant: `backups`; locks: `leases`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from moi_backup.errors import MoiError, NoRepository, StorageError, UsageError, WrongKey
from moi_backup.model.backup import BackupManifest
from moi_backup.model.key_ring import DEFAULT_SCOPE, LASTING, PLAIN, KeyRing
from moi_backup.model.table import Chunk, ChunkList, TableManifest, TableName
from moi_backup.repository import documents, layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.files import check_file, copy_file
from moi_backup.repository.key_sources import KeySource, read_keys
from moi_backup.repository.marked_names import MarkedNames
from moi_backup.repository.scope_keys import create_key, read_ring, require_master
from moi_backup.repository.sealed_by import require_possible_key
from moi_backup.repository.sealing import OVERHEAD, first_bytes, key_number, seal, seal_file, unseal, unseal_file
from moi_backup.repository.stored_sizes import StoredSizes
from moi_backup.storage.store import ObjectMissing, Store

_ID = re.compile(r"[0-9a-f]{32}")


class Stored(NamedTuple):
    """What was stored: the reference (blake3 of the stored bytes, revived where it had been marked) and their number.

    `created` names the object if there was none before.
    """

    digest: str
    size: int
    created: str | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """An open repository; `heads` is the folder outside of it that remembers how long its chain was.

    `ring` holds its keys; without encryption that is an empty one. `marked` is what writers must not touch
    (`marks.with_marks`); reading needs none of it.
    """

    store: Store
    id: str
    heads: Path
    ring: KeyRing = PLAIN
    marked: MarkedNames = field(default_factory=MarkedNames)

    def write_backup(self, manifest: BackupManifest) -> str:
        """Store a backup manifest and return the blake3 of its bytes, for the chain.

        It is no backup before the chain says so.
        """
        name, data = layout.backup_name(manifest.id), self.manifest_bytes(manifest)
        with _required(name):
            same = self.store.create(name, data) or self.store.get(name) == data
        if not same:
            raise MoiError(
                f"{name} exists and holds another manifest.",
                meaning="Two backups chose the same id; the older one was left as it is.",
                remedy="Run the backup again; it chooses a new id.",
            )
        return documents.digest_of(data)

    def manifest_bytes(self, manifest: BackupManifest) -> bytes:
        """A backup manifest as it is stored."""
        name = layout.backup_name(manifest.id)
        return seal(documents.encode_document(manifest), name=name, ring=self.ring)

    def read_backup(self, backup: str, *, stored: str) -> BackupManifest:
        """The manifest of a backup, whose bytes must have the blake3 `stored` (from the chain).

        Its copy in the trash is as good: what state a backup is in, the chain alone says.
        """
        try:
            return self._read_manifest(layout.backup_name(backup), stored=stored)
        except DamagedObject as error:
            try:
                return self._read_manifest(layout.trash_name(backup), stored=stored)
            except DamagedObject as second:
                only_trash = error.kind == "missing" != second.kind  # it is expired: what is damaged lies in the trash
                raise (second if only_trash else error) from None

    def write_table(self, manifest: TableManifest) -> str:
        """Store a table manifest unless it is there; returns its digest."""
        return self._write_compressed(manifest)

    def read_table(self, digest: str) -> TableManifest:
        """The table manifest with this digest."""
        return self._read_compressed(digest, TableManifest)

    def write_chunk_list(self, chunks: ChunkList) -> str:
        """Store a chunk list unless it is there; returns its digest."""
        return self._write_compressed(chunks)

    def read_chunk_list(self, digest: str) -> ChunkList:
        """The chunk list with this digest."""
        return self._read_compressed(digest, ChunkList)

    def store_chunk(self, table: TableName, *, span: str, digest: str, file: Path, known: str = "") -> Stored:
        """Move a finished Parquet file into the repository; the file is gone afterwards.

        `known` is the reference under which an earlier backup has these rows: the same bytes heal it.
        """
        named = partial(_chunk_object, table, span, digest)
        stored, size = documents.hash_file(file)
        heals = layout.hash_of(known) == stored and named(known) not in self.marked.names
        stored = known if heals else self._reference(stored, named)
        name = layout.chunk_object(table, span=span, digest=digest, stored=stored)
        created = None if self._exists(name) else name
        self.store.upload(name, file)
        return Stored(stored, size, created)

    def _reference(self, digest: str, named: Callable[[str], str]) -> str:
        """What a writer calls an object of these bytes: never by a name that was marked for deletion."""
        return layout.revived(digest, self.marked.mark_of(named(digest)))

    def _exists(self, name: str) -> bool:
        try:
            self.store.info(name)
        except ObjectMissing:
            return False
        return True

    def has_chunk(self, table: TableName, chunk: Chunk, *, sizes: StoredSizes | None = None) -> bool:
        """Whether the chunk's object is there, has its size and is not to be deleted; its bytes are not read.

        `sizes`: as listed.
        """
        name = layout.chunk_name(table, chunk)
        return name not in self.marked.names and (sizes or StoredSizes(self.store)).of(name) == chunk.size

    @contextmanager
    def open_chunk(self, table: TableName, chunk: Chunk, *, check_hash: bool = True) -> Generator[Path]:
        """The chunk as a local file, after its size and (unless told not to) the hash of its bytes were checked."""
        name = layout.chunk_name(table, chunk)
        with self._open(name, digest=layout.hash_of(chunk.stored) if check_hash else None, size=chunk.size) as path:
            yield path

    def write_file(self, content: Path | bytes) -> Stored:
        """Store a whole file unless it is there; a file given by its path is left where it is."""
        if isinstance(content, bytes):
            reference = self._reference(self.ring.name_digest(content), layout.file_name)
            stored = Stored(reference, len(content) + self._overhead)
            if not self._holds_file(stored):
                name = layout.file_name(stored.digest)
                self.store.put(name, seal(content, name=name, ring=self.ring))
            return stored
        with self._copied(content) as (copy, copied):
            stored = Stored(self._reference(copied.digest, layout.file_name), copied.size)
            if not self._holds_file(stored):
                name = layout.file_name(stored.digest)
                with self._sealed(copy, name=name) as sealed:
                    self.store.upload(name, sealed)
        return stored

    @contextmanager
    def open_file(self, digest: str, *, size: int) -> Generator[Path]:
        """A whole file as a local file, after its size and hash were checked."""
        name = layout.file_name(digest)
        if not self.ring.encrypted:
            with self._open(name, digest=layout.hash_of(digest), size=size) as path:
                yield path
            return
        with self._open(name, digest=None, size=size) as stored, self._scratch_file() as plain:
            require_possible_key(first_bytes(stored), name=name, ring=self.ring, store=self.store)
            unseal_file(stored, plain, name=name, ring=self.ring)
            hasher = self.ring.name_hasher()
            check_file(plain, name=name, digest=layout.hash_of(digest), size=size - OVERHEAD, hasher=hasher)
            yield plain

    def reseal(self, name: str) -> None:
        """Write a whole object anew under the current key, and read it back; nothing when it is already."""
        stored = self.store.get(name)
        if key_number(stored, name=name) == self.ring.current[DEFAULT_SCOPE]:
            return
        content = self.unsealed(stored, name=name)
        self.store.put(name, seal(content, name=name, ring=self.ring))
        if self.unsealed(self.store.get(name), name=name) != content:
            raise DamagedObject(name, "content", "is not what was just written")

    def chain_bytes(self, data: bytes, *, name: str) -> bytes:
        """The bytes to store for an entry of the chain, which no rekey ever writes anew."""
        return seal(data, name=name, ring=self.ring, number=LASTING)

    def unsealed(self, stored: bytes, *, name: str) -> bytes:
        """The content of a whole object; raises DamagedObject unless it was stored under this name."""
        require_possible_key(stored, name=name, ring=self.ring, store=self.store)
        return unseal(stored, name=name, ring=self.ring)

    @contextmanager
    def _sealed(self, file: Path, *, name: str) -> Generator[Path]:
        if not self.ring.encrypted:
            yield file
            return
        with self._scratch_file() as sealed:
            seal_file(file, sealed, name=name, ring=self.ring)
            yield sealed

    @property
    def _overhead(self) -> int:
        return OVERHEAD if self.ring.encrypted else 0

    @contextmanager
    def _scratch_file(self) -> Generator[Path]:
        path = self.store.scratch() / f"{os.getpid()}-{os.urandom(8).hex()}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _open(self, name: str, *, digest: str | None, size: int) -> Generator[Path]:
        with ExitStack() as opened:
            with _required(name):
                path = opened.enter_context(self.store.local(name))
            check_file(path, name=name, digest=digest, size=size)
            yield path

    @contextmanager
    def _copied(self, source: Path) -> Generator[tuple[Path, Stored]]:
        with self._scratch_file() as copy:
            try:
                digest, size = copy_file(source, copy, hasher=self.ring.name_hasher())
            except OSError as error:
                raise StorageError(
                    f"Could not copy {source} into {self.store.address}: {error.strerror}.",
                    meaning="The file is not in the repository.",
                    remedy="See that it can be read and that there is room for it, then try again.",
                ) from error
            yield copy, Stored(digest, size + self._overhead)

    def _holds_file(self, stored: Stored) -> bool:
        try:
            with self.open_file(stored.digest, size=stored.size):
                return True
        except DamagedObject:
            return False

    def _read_manifest(self, name: str, *, stored: str) -> BackupManifest:
        with _required(name):
            data = self.store.get(name)
        documents.require_digest(data, stored, name=name)
        sealed_as = layout.backup_name(name.rpartition("/")[2])  # also in the trash, where it lies byte for byte
        return documents.decode_document(self.unsealed(data, name=sealed_as), BackupManifest, name=name)

    def _write_compressed(self, document: msgspec.Struct) -> str:
        data = documents.encode_document(document)
        digest = self._reference(self.ring.name_digest(data), layout.table_name)
        if not self._holds_compressed(digest):
            name = layout.table_name(digest)
            self.store.put(name, seal(documents.compress(data), name=name, ring=self.ring))
        return digest

    def _holds_compressed(self, digest: str) -> bool:
        """By content, not by stored bytes: another zlib may have compressed the same document differently."""
        try:
            self._get_compressed(digest)
        except DamagedObject:
            return False
        return True

    def _read_compressed(self, digest: str, kind: type[documents.Document]) -> documents.Document:
        return documents.decode_document(self._get_compressed(digest), kind, name=layout.table_name(digest))

    def _get_compressed(self, digest: str) -> bytes:
        name = layout.table_name(digest)
        with _required(name):
            stored = self.store.get(name)
        data = documents.decompress(self.unsealed(stored, name=name), name=name)
        found = self.ring.name_digest(data)
        if found != layout.hash_of(digest):
            raise DamagedObject(name, "content", f"has the hash {found} instead of {digest}")
        return data


def create(store: Store, *, now: datetime, entropy: Callable[[int], bytes], keys: Sequence[KeySource] = ()) -> str:
    """Make a repository in an empty store and return its id; `entropy` gives that many random bytes (`os.urandom`).

    With keys it is encrypted. Raises UsageError when there is one already, WrongKey when a key cannot be had.
    """
    document = documents.RepositoryDocument(created_at=documents.timestamp(now), id=entropy(16).hex())
    master = require_master(read_keys(keys)) if keys else None
    if master is not None:
        document = msgspec.structs.replace(document, encryption=documents.Encryption())
    if _has_history(store) or not store.create(layout.REPOSITORY, documents.encode_document(document)):
        document = _unfinished(store) if keys else None
    if document is None:
        raise UsageError(
            f"There already is a repository at {store.address}.",
            meaning="It was left as it is.",
            remedy="Use it (moi-backup status), or choose another place by MOI_REPOSITORY.",
        )
    if master is not None:
        create_key(
            store,
            repository=document.id,
            scope=DEFAULT_SCOPE,
            number=1,
            digest=None,
            master=master,
            now=now,
            entropy=entropy,
        )
    return document.id


def _unfinished(store: Store) -> documents.RepositoryDocument | None:
    """The encrypted repository whose `init` was killed before it made the first key: nothing is in it yet."""
    document = identify(store)
    begun = not document.is_encrypted or _has_history(store) or any(store.list(layout.KEYS))
    return None if begun else document


def _refuse_unfinished(store: Store) -> None:
    if _unfinished(store) is not None:
        raise NoRepository(
            f"The encrypted repository at {store.address} was not finished: it has no key.",
            meaning="moi-backup init was stopped before it made the first one; nothing is stored there yet.",
            remedy="Run moi-backup init again: it goes on from there.",
        ) from None


def open_repository(store: Store, *, heads: Path, keys: Sequence[KeySource] = ()) -> Repository:
    """The repository in a store; `heads` is a folder of the state.

    Raises NoRepository when there is none, its init was cut, or a newer version wrote it, WrongKey when keys and
    repository do not fit.
    """
    document = identify(store)
    if not document.is_encrypted:
        _refuse_keys(store, keys)
        return Repository(store=store, id=document.id, heads=heads)
    if document.scheme > documents.ENCRYPTION_SCHEME:
        raise documents.newer(layout.REPOSITORY, f"has the encryption scheme {document.scheme}")
    try:
        ring = read_ring(store, read_keys(keys), repository=document.id)
    except DamagedObject:
        _refuse_unfinished(store)
        raise
    return Repository(store=store, id=document.id, heads=heads, ring=ring)


def _refuse_keys(store: Store, keys: Sequence[KeySource]) -> None:
    if any(store.list(layout.KEYS)):
        raise DamagedObject(layout.REPOSITORY, "inconsistent", "says nothing of encryption, and there are keys")
    if keys:
        raise WrongKey(
            f"The repository at {store.address} is not encrypted, but {keys[0].variable} is set.",
            meaning="Nothing is written in the clear while a key is configured.",
            remedy="Make an encrypted repository in another place (MOI_REPOSITORY, moi-backup init) and take a full "
            f"backup; to use this one as it is, unset {keys[0].variable}.",
        )


def identify(store: Store) -> documents.RepositoryDocument:
    """What `repository.json` says, without opening anything; raises NoRepository or DamagedObject."""
    try:
        data = store.get(layout.REPOSITORY)
    except ObjectMissing as error:
        if _has_history(store):
            raise DamagedObject(
                layout.REPOSITORY, "missing", f"is missing from {store.address}, which holds a history of backups"
            ) from error
        raise NoRepository(
            f"There is no repository at {store.address}.",
            meaning="The place is empty, not mounted, or another one is meant.",
            remedy="Make one with moi-backup init, or set MOI_REPOSITORY to where it is.",
        ) from error
    document = documents.decode_document(data, documents.RepositoryDocument, name=layout.REPOSITORY)
    if not _ID.fullmatch(document.id):
        raise DamagedObject(layout.REPOSITORY, "content", f"holds the id {document.id!r}, which is none")
    return document


def _has_history(store: Store) -> bool:
    return next(iter(store.list(layout.CHAIN)), None) is not None


def _chunk_object(table: TableName, span: str, digest: str, stored: str) -> str:
    return layout.chunk_object(table, span=span, digest=digest, stored=stored)


@contextmanager
def _required(name: str) -> Generator[None]:
    try:
        yield
    except ObjectMissing as error:
        raise DamagedObject(name, "missing", "is missing") from error
