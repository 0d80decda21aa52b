"""Give a listed backup another manifest: the same rows in other objects (docs/format.md, "Chain")."""

from __future__ import annotations

from datetime import datetime

from moi_backup.model.backup import BackupManifest
from moi_backup.repository import documents, layout
from moi_backup.repository.chain import append
from moi_backup.repository.leases import Lease
from moi_backup.repository.repository import Repository


def rewrite_manifest(repository: Repository, manifest: BackupManifest, *, at: datetime, lease: Lease) -> None:
    """Replace the manifest of a listed backup and read it back.

    The new one first lies in the trash, where readers look for what is not in its place: so whichever of the two the
    chain names is there at every moment. Raises UsageError when the backup is not listed, Locked without the lease.
    """
    data = repository.manifest_bytes(manifest)
    stored = documents.digest_of(data)
    repository.store.put(layout.trash_name(manifest.id), data)
    append(repository, action="rewrite", backup=manifest.id, manifest=stored, at=at, lease=lease)
    repository.store.put(layout.backup_name(manifest.id), data)
    repository.read_backup(manifest.id, stored=stored)
