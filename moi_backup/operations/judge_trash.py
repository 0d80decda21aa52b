"""What is damaged of that which nobody lists: manifests in the trash, marks for deletion. No listed backup needs it."""

from __future__ import annotations

from collections.abc import Iterator

from moi_backup.errors import StorageError
from moi_backup.model.backup import BackupManifest
from moi_backup.repository import layout
from moi_backup.repository.backups import try_backups
from moi_backup.repository.chain import Chain, expired
from moi_backup.repository.marks import read_marks
from moi_backup.repository.repository import Repository


def notes_on_trash(repository: Repository, chain: Chain) -> list[str]:
    """One sentence for each object that is not what the chain names; damage to these is no fault of a listed backup."""
    return [*_expired(repository, chain), *_marks(repository, chain)]


def _expired(repository: Repository, chain: Chain) -> Iterator[str]:
    for backup, found in try_backups(repository, chain, expired(chain)):
        if not isinstance(found, BackupManifest):
            name = layout.trash_name(backup)
            yield f"{name}: the expired backup cannot be read, so undelete cannot bring it back. {found.what}"


def _marks(repository: Repository, chain: Chain) -> Iterator[str]:
    try:
        marks = read_marks(repository, chain)
    except StorageError as error:
        yield f"Marks for deletion were not looked at: {error.what}"
        return
    for mark in marks:
        if mark.names is None:
            yield (
                f"{mark.object_name} is not the list that the chain names; no backup needs it, and what it listed is "
                "found again by the next prune."
            )
