"""What a set of backups reaches, and what lies in the repository that none reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from moi_backup.errors import Damaged, StorageError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import Chunk, TableManifest, TableName
from moi_backup.repository import layout
from moi_backup.repository.chain import Chain, manifest_hashes, read_chain, states
from moi_backup.repository.reading import SharedDocuments, Unreadable, files_of, raise_damage
from moi_backup.repository.repository import Repository
from moi_backup.storage.store import ObjectInfo

_SEARCHED = (layout.BACKUPS, layout.CHUNKS, layout.FILES, layout.TABLES)


class ReachableChunk(NamedTuple):
    """A chunk, all the backups that need it, and one of the table manifests that lead to it."""

    table: TableName
    chunk: Chunk
    backups: tuple[str, ...]
    manifest: TableManifest


class Debris(msgspec.Struct, frozen=True):
    """What no backup needs: left by a killed operation, or being written by a running one (see `modified`).

    `unknown` says which documents cannot be read: what they list is not known, so nothing is called unreachable then.
    """

    unreachable: tuple[ObjectInfo, ...]
    temporary: tuple[ObjectInfo, ...]
    unknown: tuple[str, ...] = ()


def reachable_chunks(
    repository: Repository,
    backups: Iterable[BackupManifest],
    *,
    on_damage: Callable[[Unreadable], None] = raise_damage,
) -> Iterator[ReachableChunk]:
    """Every chunk of these backups once, in the order of object names.

    A document that cannot be read raises Damaged or StorageError; another `on_damage` may note it and go on without it.
    """
    found: dict[str, tuple[TableManifest, Chunk, set[str]]] = {}
    documents = SharedDocuments(repository, on_damage=on_damage)
    for digest, needed_by in _table_manifests(backups).items():
        manifest = documents.table(digest)
        if manifest is None:
            continue
        for chunk in _chunks(documents, manifest):
            name = layout.chunk_name(manifest.table, chunk)
            found.setdefault(name, (manifest, chunk, set()))[2].update(needed_by)
    for _, (manifest, chunk, needed_by) in sorted(found.items(), key=lambda item: item[0]):
        yield ReachableChunk(manifest.table, chunk, tuple(sorted(needed_by)), manifest)


def list_debris(repository: Repository) -> Debris:
    """Unreachable objects and temporary files; backups in the trash still need what is theirs.

    Raises Damaged when the chain is: then nothing can be said.
    """
    stored = [info for prefix in _SEARCHED for info in repository.store.list(prefix)]
    chain = read_chain(repository)  # after the listing: what is published from now on cannot be in it
    unknown: list[Unreadable] = []
    needed = needed_names(repository, chain, on_damage=unknown.append)
    unreachable = () if unknown else tuple(info for info in stored if info.name not in needed)
    return Debris(unreachable, tuple(_temporary_files(repository)), tuple(error.what for error in unknown))


def needed_names(repository: Repository, chain: Chain, *, on_damage: Callable[[Unreadable], None]) -> set[str]:
    """The names of all objects below the searched prefixes that a backup needs which is not gone."""
    manifests = list(_kept_manifests(repository, chain, on_damage=on_damage))
    needed = {layout.backup_name(manifest.id) for manifest in manifests}
    documents = SharedDocuments(repository, on_damage=on_damage)
    for manifest in manifests:
        needed.update(layout.file_name(digest) for digest, _ in files_of(manifest))
    for digest in _table_manifests(manifests):
        table = documents.table(digest)
        needed.add(layout.table_name(digest))
        if table is not None:
            needed.update(layout.table_name(month.list) for month in table.months)
            needed.update(layout.chunk_name(table.table, chunk) for chunk in _chunks(documents, table))
    return needed


def _kept_manifests(
    repository: Repository, chain: Chain, *, on_damage: Callable[[Unreadable], None]
) -> Iterator[BackupManifest]:
    hashes = manifest_hashes(chain)
    for backup, state in states(chain).items():
        if state == "prune":
            continue
        read = repository.read_expired_backup if state == "expire" else repository.read_backup
        try:
            yield read(backup, stored=hashes[backup])
        except (Damaged, StorageError) as error:
            on_damage(error)


def _table_manifests(backups: Iterable[BackupManifest]) -> dict[str, set[str]]:
    """The digest of every table manifest with the backups that name it."""
    found: dict[str, set[str]] = {}
    for backup in backups:
        for entry in backup.tables:
            found.setdefault(entry.manifest, set()).add(backup.id)
    return found


def _chunks(documents: SharedDocuments, manifest: TableManifest) -> Iterator[Chunk]:
    for month in manifest.months:
        chunks = documents.chunk_list(month.list)
        if chunks is not None:
            yield from chunks.chunks


def _temporary_files(repository: Repository) -> Iterator[ObjectInfo]:
    folder = repository.store.scratch()
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):  # a running operation has finished with it
            if path.is_file():
                status = path.stat()
                yield ObjectInfo(path.relative_to(folder).as_posix(), status.st_size, status.st_mtime)
