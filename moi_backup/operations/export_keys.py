"""Export scope keys for a holder who shall open some scopes and not the others."""

from __future__ import annotations

from collections.abc import Sequence

from moi_backup.errors import UsageError
from moi_backup.model.key_ring import DEFAULT_SCOPE
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.key_text import export_scopes


def export_keys(workspace: Workspace, scopes: Sequence[str]) -> str:
    """The keys of these scopes as text, old numbers included; `default` always, for it opens the manifests.

    Raises UsageError for a scope that the repository has not, WrongKey for one that is not open.
    """
    repository = workspace.open()
    ring = repository.ring
    unknown = [scope for scope in scopes if scope not in ring.current]
    if not ring.encrypted or unknown:
        what = f"The repository has no scope {', '.join(unknown)}" if ring.encrypted else "The repository is plain"
        raise UsageError(f"{what}.", remedy=f"It has: {', '.join(sorted(ring.current)) or 'no key at all'}.")
    wanted = {DEFAULT_SCOPE, *scopes}
    for scope in wanted:
        ring.key(scope)
    return export_scopes(repository.id, tuple(key for name, key in sorted(ring.keys.items()) if name[0] in wanted))
