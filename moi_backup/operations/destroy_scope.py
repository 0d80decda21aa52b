"""Destroy the keys of a scope: what its columns hold in all backups can never be read again (crypto-shredding)."""

from __future__ import annotations

import msgspec

from moi_backup.errors import UsageError
from moi_backup.model.key_ring import DEFAULT_SCOPE
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.scope_keys import destroy_key, read_entries


class DestroyedScope(msgspec.Struct, frozen=True, kw_only=True):
    """The keys (`scope.number`) that are gone."""

    repository: str
    scope: str
    destroyed: tuple[str, ...]


def destroy_scope(workspace: Workspace, scope: str, *, wait: float) -> DestroyedScope:
    """Empty every key of a scope and read it back; the next backup makes a new key for what is live then.

    The key need not be held. Raises UsageError for `default`, which opens every manifest, and for an unknown scope.
    """
    if scope == DEFAULT_SCOPE:
        raise UsageError(
            "Scope default cannot be destroyed.",
            meaning="It opens every manifest, so no backup at all could be read, the other scopes included.",
            remedy="To give up everything, delete the repository itself.",
        )
    repository = workspace.open()
    with workspace.writing(repository, operation="key destroy", wait=wait) as lease:
        entries = read_entries(repository.store) if repository.ring.encrypted else []
        found = [entry for entry in entries if entry.scope == scope]
        if not found:
            raise UsageError(f"The repository has no scope {scope!r}.", remedy="See moi-backup key list.")
        alive = [entry for entry in found if not entry.destroyed_at]
        for entry in alive:
            lease.assert_held()
            destroy_key(repository.store, entry, now=workspace.clock.now())
    return DestroyedScope(
        repository=repository.id, scope=scope, destroyed=tuple(f"{entry.scope}.{entry.number}" for entry in alive)
    )
