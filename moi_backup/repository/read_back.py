"""The last look before a backup is published: everything its manifest names is there and whole."""

from __future__ import annotations

from moi_backup.model.backup import BackupManifest
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.reading import files_of, read_chunk_lists
from moi_backup.repository.repository import Repository
from moi_backup.repository.stored_sizes import StoredSizes, sizes_below


def read_back(repository: Repository, manifest: BackupManifest, *, damaged: frozenset[str]) -> None:
    """Read every document and ask for the size of every chunk and file.

    Raises DamagedObject at the first that is not as written.
    """
    for entry in manifest.tables:
        table = repository.read_table(entry.manifest)
        stored = sizes_below(repository.store, (layout.chunk_folder(table.table),))
        for chunks in read_chunk_lists(repository, table.months):
            for chunk in chunks.chunks:
                name = layout.chunk_name(table.table, chunk)
                if chunk.stored in damaged:
                    raise DamagedObject(name, "content", "was found damaged while the backup reused it")
                _require_size(stored, name, chunk.size)
    files = StoredSizes(repository.store)
    for digest, size in files_of(manifest):
        _require_size(files, layout.file_name(digest), size)


def _require_size(stored: StoredSizes, name: str, size: int) -> None:
    found = stored.of(name)
    if found is None:
        raise DamagedObject(name, "missing", "was written and is missing")
    if found != size:
        raise DamagedObject(name, "size", f"was written with {size} bytes and has {found}")
