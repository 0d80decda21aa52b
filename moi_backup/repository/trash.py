"""Backups into the trash and back (docs/format.md, "Marks, trash, prune"). The state is what the chain says.

From the first expiry until the backup is pruned its manifest stays in the trash, also when it is listed again: so
whatever a writer that was held up still deletes from `backups/`, a whole copy remains.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from moi_backup.errors import StorageError
from moi_backup.repository import documents, layout
from moi_backup.repository.chain import Chain, append, expired, manifest_hashes
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.leases import Lease
from moi_backup.repository.repository import Repository
from moi_backup.storage.store import ObjectMissing, Store


def expire(repository: Repository, chain: Chain, backup: str, *, at: datetime, lease: Lease) -> bool:
    """Move a listed backup to the trash; False when its manifest is damaged, so that none could be kept.

    Raises UsageError when the backup is not listed, Locked when the lease is lost.
    """
    source, target = layout.backup_name(backup), layout.trash_name(backup)
    kept = _copy(repository.store, source, target, digest=manifest_hashes(chain).get(backup, ""))
    append(repository, action="expire", backup=backup, at=at, lease=lease)
    if kept:
        with suppress(StorageError):  # credentials that may not delete: it is in both places, and expired
            repository.store.delete(source)
    return kept


def undelete(repository: Repository, chain: Chain, backup: str, *, at: datetime, lease: Lease) -> None:
    """List an expired backup again.

    Raises UsageError when the backup is not in the trash, DamagedObject when its manifest is nowhere whole, Locked when
    the lease is lost.
    """
    source, target = layout.trash_name(backup), layout.backup_name(backup)
    whole = _copy(repository.store, source, target, digest=manifest_hashes(chain).get(backup, ""))
    if not whole and backup in expired(chain):
        remedy = "It stays in the trash: a backup without its manifest restores nothing."
        raise DamagedObject(source, "content", "is not the manifest that the chain names, or missing", remedy=remedy)
    append(repository, action="undelete", backup=backup, at=at, lease=lease)


def _copy(store: Store, source: str, target: str, *, digest: str) -> bool:
    """See that `target` holds the bytes with this blake3, taken from `source`; False when neither has them."""
    if _is_whole(store, target, digest):
        return True
    with suppress(ObjectMissing):
        data = store.get(source)
        if documents.digest_of(data) == digest:
            store.put(target, data)
            return True
    return False


def _is_whole(store: Store, name: str, digest: str) -> bool:
    try:
        return documents.digest_of(store.get(name)) == digest
    except ObjectMissing:
        return False
