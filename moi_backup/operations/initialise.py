"""Make the repository that the settings name."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from moi_backup.operations.workspace import Workspace
from moi_backup.repository.documents import timestamp
from moi_backup.repository.repository import create


class Initialised(msgspec.Struct, frozen=True, kw_only=True):
    """A repository that was just made."""

    id: str
    address: str
    created_at: str
    encrypted: bool


def initialise(workspace: Workspace, *, entropy: Callable[[int], bytes]) -> Initialised:
    """Make the repository; `entropy` gives random bytes (`os.urandom`). Raises UsageError when there is one already."""
    store = workspace.store()
    now = workspace.clock.now()
    identity = create(store, now=now, entropy=entropy, keys=workspace.settings.keys)
    return Initialised(
        id=identity, address=store.address, created_at=timestamp(now), encrypted=bool(workspace.settings.keys)
    )
