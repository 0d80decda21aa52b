"""A repository: typed objects over a store (history: `chain`; which backup is meant: `backups`; locks: `leases`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from blake3 import blake3

from moi_backup.errors import MoiError, NoRepository, StorageError, UsageError, WrongKey
from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import Chunk, ChunkList, TableManifest, TableName
from moi_backup.repository import documents, layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.stored_sizes import StoredSizes
from moi_backup.storage.store import ObjectMissing, Store

_COPY_BYTES = 1 << 20
_ID = re.compile(r"[0-9a-f]{32}")


class Stored(NamedTuple):
    """What was stored: blake3 of the stored bytes and their number.

    `created` names the object if there was none before.
    """

    digest: str
    size: int
    created: str | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """An open repository; `heads` is the folder outside of it that remembers how long its chain was."""

    store: Store
    id: str
    heads: Path

    def write_backup(self, manifest: BackupManifest) -> str:
        """Store a backup manifest and return the blake3 of its bytes, for the chain.

        It is no backup before the chain says so.
        """
        name, data = layout.backup_name(manifest.id), documents.encode_document(manifest)
        if not self.store.create(name, data) and self.store.get(name) != data:
            raise MoiError(
                f"{name} exists and holds another manifest.",
                meaning="Two backups chose the same id; the older one was left as it is.",
                remedy="Run the backup again; it chooses a new id.",
            )
        return documents.digest_of(data)

    def read_backup(self, backup: str, *, stored: str) -> BackupManifest:
        """The manifest of a backup, whose bytes must have the blake3 `stored` (from the chain)."""
        name = layout.backup_name(backup)
        return self._read_manifest(name, stored=stored)

    def read_expired_backup(self, backup: str, *, stored: str) -> BackupManifest:
        """The manifest of a backup in the trash, wherever the expiry has got to."""
        try:
            return self.read_backup(backup, stored=stored)
        except DamagedObject:
            return self._read_manifest(layout.trash_name(backup), stored=stored)

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

    def store_chunk(self, table: TableName, *, span: str, digest: str, file: Path) -> Stored:
        """Move a finished Parquet file into the repository; the file is gone afterwards."""
        stored, size = documents.hash_file(file)
        name = layout.chunk_object(table, span=span, digest=digest, stored=stored)
        created = None if self._exists(name) else name
        self.store.upload(name, file)
        return Stored(stored, size, created)

    def _exists(self, name: str) -> bool:
        try:
            self.store.info(name)
        except ObjectMissing:
            return False
        return True

    def has_chunk(self, table: TableName, chunk: Chunk, *, sizes: StoredSizes | None = None) -> bool:
        """Whether the chunk's object is there and has its size; its bytes are not read. `sizes`: as listed."""
        return (sizes or StoredSizes(self.store)).of(layout.chunk_name(table, chunk)) == chunk.size

    @contextmanager
    def open_chunk(self, table: TableName, chunk: Chunk, *, check_hash: bool = True) -> Generator[Path]:
        """The chunk as a local file, after its size and (unless told not to) the hash of its bytes were checked."""
        name = layout.chunk_name(table, chunk)
        with self._open(name, digest=chunk.stored if check_hash else None, size=chunk.size) as path:
            yield path

    def write_file(self, content: Path | bytes) -> Stored:
        """Store a whole file unless it is there; a file given by its path is left where it is."""
        if isinstance(content, bytes):
            stored = Stored(documents.digest_of(content), len(content))
            if not self._holds_file(stored):
                self.store.put(layout.file_name(stored.digest), content)
            return stored
        with self._copied(content) as (copy, stored):
            if not self._holds_file(stored):
                self.store.upload(layout.file_name(stored.digest), copy)
        return stored

    @contextmanager
    def open_file(self, digest: str, *, size: int) -> Generator[Path]:
        """A whole file as a local file, after its size and hash were checked."""
        with self._open(layout.file_name(digest), digest=digest, size=size) as path:
            yield path

    @contextmanager
    def _open(self, name: str, *, digest: str | None, size: int) -> Generator[Path]:
        with ExitStack() as opened:
            with _required(name):
                path = opened.enter_context(self.store.local(name))
            _check_file(path, name=name, digest=digest, size=size)
            yield path

    @contextmanager
    def _copied(self, source: Path) -> Generator[tuple[Path, Stored]]:
        copy = self.store.scratch() / f"{os.getpid()}-{os.urandom(8).hex()}"
        try:
            try:
                stored = _copy(source, copy)
            except OSError as error:
                raise StorageError(
                    f"Could not copy {source} into {self.store.address}: {error.strerror}.",
                    meaning="The file is not in the repository.",
                    remedy="See that it can be read and that there is room for it, then try again.",
                ) from error
            yield copy, stored
        finally:
            copy.unlink(missing_ok=True)

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
        return documents.decode_document(data, BackupManifest, name=name)

    def _write_compressed(self, document: msgspec.Struct) -> str:
        data = documents.encode_document(document)
        digest = documents.digest_of(data)
        if not self._holds_compressed(digest):
            self.store.put(layout.table_name(digest), documents.compress(data))
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
        data = documents.decompress(stored, name=name)
        documents.require_digest(data, digest, name=name)
        return data


def create(store: Store, *, now: datetime, entropy: Callable[[int], bytes]) -> str:
    """Make a repository in an empty store and return its id; `entropy` gives that many random bytes (`os.urandom`).

    Raises UsageError when there is one already.
    """
    document = documents.RepositoryDocument(created_at=documents.timestamp(now), id=entropy(16).hex())
    if _has_history(store) or not store.create(layout.REPOSITORY, documents.encode_document(document)):
        raise UsageError(
            f"There already is a repository at {store.address}.",
            meaning="It was left as it is.",
            remedy="Use it (moi-backup status), or choose another place by MOI_REPOSITORY.",
        )
    return document.id


def open_repository(store: Store, *, heads: Path) -> Repository:
    """The repository in a store; `heads` is a folder of the state.

    Raises NoRepository when there is none or a newer version wrote it, WrongKey when it is encrypted.
    """
    document = _read_identity(store)
    if document.encryption is not msgspec.UNSET:
        raise WrongKey(
            f"The repository at {store.address} is encrypted.",
            meaning="This version of moi-backup reads repositories without encryption only.",
            remedy="Use the version that wrote it, with its keys.",
        )
    return Repository(store=store, id=document.id, heads=heads)


def _read_identity(store: Store) -> documents.RepositoryDocument:
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


@contextmanager
def _required(name: str) -> Generator[None]:
    try:
        yield
    except ObjectMissing as error:
        raise DamagedObject(name, "missing", "is missing") from error


def _check_file(path: Path, *, name: str, digest: str | None, size: int) -> None:
    try:
        found = path.stat().st_size
        stored = digest if digest is None or found != size else documents.hash_file(path)[0]
    except OSError as error:
        raise DamagedObject(name, "unreadable", f"cannot be read ({error.strerror})") from error
    if found != size:
        raise DamagedObject(name, "size", f"has {found} bytes instead of {size}")
    if stored != digest:
        raise DamagedObject(name, "content", f"has the hash {stored} instead of {digest}")


def _copy(source: Path, target: Path) -> Stored:
    """Copy a file and hash the very bytes that were copied: the source may be changing."""
    hasher, size = blake3(), 0
    with source.open("rb") as reading, target.open("xb") as writing:
        while block := reading.read(_COPY_BYTES):
            hasher.update(block)
            writing.write(block)
            size += len(block)
    return Stored(hasher.hexdigest(), size)
