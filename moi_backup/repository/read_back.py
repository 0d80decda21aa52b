"""The last look before a backup is published: everything its manifest names is there and whole."""

from __future__ import annotations

from moi_backup.model.backup import BackupManifest
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.reading import files_of
from moi_backup.repository.repository import Repository
from moi_backup.storage.store import ObjectMissing


def read_back(repository: Repository, manifest: BackupManifest, *, damaged: frozenset[str]) -> None:
    """Read every document and ask for the size of every chunk and file.

    Raises DamagedObject at the first that is not as written.
    """
    for entry in manifest.tables:
        table = repository.read_table(entry.manifest)
        for month in table.months:
            for chunk in repository.read_chunk_list(month.list).chunks:
                name = layout.chunk_name(table.table, chunk)
                if chunk.stored in damaged:
                    raise DamagedObject(name, "content", "was found damaged while the backup reused it")
                _require_size(repository, name, chunk.size)
    for digest, size in files_of(manifest):
        _require_size(repository, layout.file_name(digest), size)


def _require_size(repository: Repository, name: str, size: int) -> None:
    try:
        found = repository.store.info(name).size
    except ObjectMissing:
        raise DamagedObject(name, "missing", "was written and is missing") from None
    if found != size:
        raise DamagedObject(name, "size", f"was written with {size} bytes and has {found}")
