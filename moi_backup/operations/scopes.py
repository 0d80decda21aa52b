"""The scopes a backup writes: each has a key, or the backup does not begin."""

from __future__ import annotations

from collections.abc import Callable, Collection

from moi_backup.errors import WrongKey
from moi_backup.model.backup import BackupManifest
from moi_backup.model.key_ring import DEFAULT_SCOPE
from moi_backup.operations.judge_keys import keys_needed, missing_keys
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import layout
from moi_backup.repository.backups import try_backups
from moi_backup.repository.chain import read_chain, states
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.key_sources import read_keys
from moi_backup.repository.reachability import reachable_chunks
from moi_backup.repository.reading import Unreadable
from moi_backup.repository.repository import Repository
from moi_backup.repository.scope_keys import create_key, require_master


def with_scopes(
    workspace: Workspace, repository: Repository, scopes: Collection[str], *, entropy: Callable[[int], bytes]
) -> Repository:
    """The repository with a key for every scope: made where there never was one, or the last was destroyed.

    Raises WrongKey for a scope that is not held, DamagedObject for one whose key is gone. The caller holds
    the writer's lease.
    """
    ring = repository.ring
    if not ring.encrypted:
        return repository
    new = sorted(scope for scope in scopes if scope not in ring.current or scope in ring.destroyed)
    if new:
        _refuse_lost(repository, new)
        _create(workspace, repository, new, entropy=entropy)
        repository = workspace.open()
    lacking = repository.ring.lacks({DEFAULT_SCOPE, *scopes})
    if lacking:
        raise WrongKey(
            f"The backup cannot write: {'; '.join(f'scope {scope}: {why}' for scope, why in lacking.items())}.",
            meaning="Nothing was written; a backup is complete or it is none.",
            remedy="Set the key that is needed (MOI_KEY_<n>); moi-backup key list shows what there is.",
        )
    return repository


def _refuse_lost(repository: Repository, scopes: Collection[str]) -> None:
    """Raise DamagedObject where a key is gone that was not destroyed: another one in its place would hide the loss."""
    chain = read_chain(repository)
    kept = [backup for backup, state in states(chain).items() if state != "prune"]
    manifests = [found for _, found in try_backups(repository, chain, kept) if isinstance(found, BackupManifest)]
    unread: list[Unreadable] = []  # verification names them
    needed = keys_needed(reachable_chunks(repository, manifests, on_damage=unread.append))
    for fault in missing_keys(repository.ring, needed):
        if fault.object.removeprefix(layout.KEYS).rpartition("/")[0] in scopes:
            remedy = (
                "Bring it back (moi-backup repair takes it from the copy), or give the columns a scope of another name."
            )
            raise DamagedObject(fault.object, fault.kind, fault.detail, remedy=remedy)


def _create(
    workspace: Workspace, repository: Repository, scopes: Collection[str], *, entropy: Callable[[int], bytes]
) -> None:
    master = require_master(read_keys(workspace.settings.keys))
    for scope in scopes:
        create_key(
            repository.store,
            repository=repository.id,
            scope=scope,
            number=repository.ring.current.get(scope, 0) + 1,
            digest=None,
            master=master,
            now=workspace.clock.now(),
            entropy=entropy,
        )
