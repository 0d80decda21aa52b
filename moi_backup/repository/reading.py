"""Table manifests and chunk lists read once each, for walks over many backups that share them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from moi_backup.errors import Damaged, StorageError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import ChunkList, ChunkListRef, TableManifest
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.repository import Repository
from moi_backup.storage.at_once import in_order

Unreadable = Damaged | StorageError
Document = TypeVar("Document")


class SharedDocuments:
    """Documents by digest. One that cannot be read is handed to `on_damage` once (which may raise) and is None.

    `fetch` reads side by side, and keeps, what will be asked for.
    """

    def __init__(self, repository: Repository, *, on_damage: Callable[[Unreadable], None]) -> None:
        self._repository = repository
        self._on_damage = on_damage
        self._tables: dict[str, TableManifest | None] = {}
        self._lists: dict[str, ChunkList | None] = {}

    def table(self, digest: str) -> TableManifest | None:
        """The table manifest with this digest."""
        return self._once(self._tables, digest, self._repository.read_table)

    def chunk_list(self, digest: str) -> ChunkList | None:
        """The chunk list with this digest."""
        return self._once(self._lists, digest, self._repository.read_chunk_list)

    def fetch(self, tables: Iterable[str]) -> None:
        """Read the table manifests with these digests, then all their chunk lists."""
        wanted = dict.fromkeys(tables)
        self._fetch(self._tables, wanted, self._repository.read_table)
        found = [manifest for digest in wanted if (manifest := self._tables[digest]) is not None]
        lists = dict.fromkeys(month.list for manifest in found for month in manifest.months)
        self._fetch(self._lists, lists, self._repository.read_chunk_list)

    def _fetch(
        self, known: dict[str, Document | None], digests: Iterable[str], read: Callable[[str], Document]
    ) -> None:
        missing = [digest for digest in digests if digest not in known]
        threads = min(self._repository.store.requests_at_once, len(missing))
        for digest, found in zip(missing, in_order(partial(_read, read), missing, threads=threads), strict=True):
            if isinstance(found, Damaged | StorageError):
                known[digest] = None
                self._on_damage(found)
            else:
                known[digest] = found

    def _once(self, known: dict[str, Document | None], digest: str, read: Callable[[str], Document]) -> Document | None:
        if digest not in known:
            self._fetch(known, [digest], read)
        return known[digest]


def read_chunk_lists(repository: Repository, months: Iterable[ChunkListRef]) -> Iterator[ChunkList]:
    """The chunk lists that a table manifest names for these months, read side by side; raises at a damaged one."""
    lists = (month.list for month in months)
    return in_order(repository.read_chunk_list, lists, threads=repository.store.requests_at_once)


def raise_damage(error: Unreadable) -> None:
    """An `on_damage` that stops at the first."""
    raise error


def files_of(manifest: BackupManifest) -> list[tuple[str, int]]:
    """Digest and size of every whole file of a backup, the schema archive first; DamagedObject when one has neither."""
    found = [(manifest.schema.digest, manifest.schema.size)]
    for file in manifest.files:
        digest, size = file.get("digest"), file.get("size")
        if not isinstance(digest, str) or not isinstance(size, int):
            raise DamagedObject(layout.backup_name(manifest.id), "inconsistent", "names a file without digest and size")
        found.append((digest, size))
    return found


def _read(read: Callable[[str], Document], digest: str) -> Document | Unreadable:
    try:
        return read(digest)
    except (Damaged, StorageError) as error:
        return error
