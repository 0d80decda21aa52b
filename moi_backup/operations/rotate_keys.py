"""Rotate the master key: every scope key is wrapped by the newest one, and nothing else is written anew.

Killed half way, some keys are wrapped by the new and some by the old master key; both are configured then, so all open,
and the next run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from moi_backup.errors import UsageError, WrongKey
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.key_sources import GivenKeys, read_keys
from moi_backup.repository.key_text import MasterKey
from moi_backup.repository.repository import Repository
from moi_backup.repository.scope_keys import KeyEntry, open_entry, read_entries, read_ring, require_master, rewrap


class RotatedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """`rewrapped` keys (`scope.number`) are now under master key `master`; `retired` masters open nothing any more."""

    repository: str
    master: int
    master_id: str
    rewrapped: tuple[str, ...]
    retired: tuple[str, ...]


def rotate_keys(workspace: Workspace, *, wait: float, entropy: Callable[[int], bytes]) -> RotatedKeys:
    """Wrap every key by the newest master key, and prove that this one alone opens the repository.

    Raises WrongKey when a key cannot be opened to be wrapped anew, UsageError without encryption.
    """
    repository = workspace.open()
    if not repository.ring.encrypted:
        raise UsageError("The repository is not encrypted, so there is no key to rotate.")
    given = read_keys(workspace.settings.keys)
    master = require_master(given)
    with workspace.writing(repository, operation="key rotate", wait=wait) as lease:
        entries = [entry for entry in read_entries(repository.store) if not entry.destroyed_at]
        _require_open(entries, given, repository)
        old = [entry for entry in entries if entry.master_id != master.id]
        for entry in old:
            lease.assert_held()
            _rewrap(repository, entry, given, master, entropy=entropy)
    read_ring(repository.store, GivenKeys(masters=(master,)), repository=repository.id)
    return RotatedKeys(
        repository=repository.id,
        master=master.number,
        master_id=master.id,
        rewrapped=tuple(f"{entry.scope}.{entry.number}" for entry in old),
        retired=tuple(f"MOI_KEY_{other.number}" for other in given.masters if other.id != master.id),
    )


def _require_open(entries: Sequence[KeyEntry], given: GivenKeys, repository: Repository) -> None:
    locked = {
        f"{entry.scope}.{entry.number}": opened
        for entry in entries
        if isinstance(opened := open_entry(entry, given, repository=repository.id), str)
    }
    if locked:
        raise WrongKey(
            f"Not every key can be opened: {'; '.join(f'{name}: {why}' for name, why in locked.items())}.",
            meaning="Nothing was changed: a key left behind would be lost with the master key that looks retired.",
            remedy="Configure the master keys that are named besides the new one, then run it again.",
        )


def _rewrap(
    repository: Repository,
    entry: KeyEntry,
    given: GivenKeys,
    master: MasterKey,
    *,
    entropy: Callable[[int], bytes],
) -> None:
    key = open_entry(entry, given, repository=repository.id)
    if not isinstance(key, str):
        rewrap(repository.store, entry, key, master=master, repository=repository.id, entropy=entropy)
