"""Table manifests and chunk lists read once each, for walks over many backups that share them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from moi_backup.errors import Damaged, StorageError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import ChunkList, TableManifest
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.repository import Repository

Unreadable = Damaged | StorageError
Document = TypeVar("Document")


class SharedDocuments:
    """Documents by digest. One that cannot be read is handed to `on_damage` once (which may raise) and is None."""

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

    def _once(self, known: dict[str, Document | None], digest: str, read: Callable[[str], Document]) -> Document | None:
        if digest not in known:
            known[digest] = None
            try:
                known[digest] = read(digest)
            except (Damaged, StorageError) as error:
                self._on_damage(error)
        return known[digest]


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
