"""Keys that backups need and that are gone or do not open, and keys that were left under an older master key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from moi_backup.lake.parquet import keys_of
from moi_backup.model.key_ring import KeyName, KeyRing
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import layout
from moi_backup.repository.key_sources import GivenKeys, read_keys
from moi_backup.repository.reachability import ReachableChunk
from moi_backup.repository.repository import Repository
from moi_backup.repository.scope_keys import KeyEntry, read_entries
from moi_backup.repository.verify import Fault


def judge_keys(
    workspace: Workspace, repository: Repository, chunks: Iterable[ReachableChunk]
) -> tuple[list[Fault], list[str]]:
    """Faults and notes; none without encryption.

    A key that chunks need is a fault when it is gone, and when it does not open for a holder of master keys, who opens
    everything. A key under an older master key than another one is noted: data is safe, and that master key is not
    retired.
    """
    if not repository.ring.encrypted:
        return [], []
    given = read_keys(workspace.settings.keys)
    entries = [entry for entry in read_entries(repository.store) if not entry.destroyed_at]
    needed = keys_needed(chunks)
    faults = [*missing_keys(repository.ring, needed), *_closed(entries, repository.ring, needed, given)]
    return faults, list(_left_behind(entries, repository.ring))


def missing_keys(ring: KeyRing, needed: dict[tuple[KeyName, str], set[str]]) -> list[Fault]:
    """The keys that do not exist, which is not what destroying one leaves."""
    return [
        Fault(
            layout.key_name(*key), "missing", "is missing, and chunks are encrypted under it", _sorted(backups), table
        )
        for (key, table), backups in needed.items()
        if not ring.exists(*key)
    ]


def keys_needed(chunks: Iterable[ReachableChunk]) -> dict[tuple[KeyName, str], set[str]]:
    """Every key and table with the backups that have chunks of the table under the key."""
    needed: dict[tuple[KeyName, str], set[str]] = {}
    for item in chunks:
        for key in keys_of(item.chunk.encoding):
            needed.setdefault((key, str(item.table)), set()).update(item.backups)
    return needed


def _closed(
    entries: Sequence[KeyEntry], ring: KeyRing, needed: dict[tuple[KeyName, str], set[str]], given: GivenKeys
) -> Iterator[Fault]:
    """Rotating leaves no key behind: one that no master key opens was put back, or the rotation was cut."""
    if not given.masters or given.exported:
        return
    alive = {(entry.scope, entry.number): entry for entry in entries}
    for (key, table), backups in needed.items():
        if key in alive and key in ring.withheld:
            detail = f"does not open, and neither do the chunks under it: {ring.withheld[key]}"
            yield Fault(alive[key].name, "unreadable", detail, _sorted(backups), table)


def _left_behind(entries: Sequence[KeyEntry], ring: KeyRing) -> Iterator[str]:
    newest = max((entry.master for entry in entries), default=0)
    for entry in entries:
        if entry.master < newest and (entry.scope, entry.number) in ring.keys:
            yield (
                f"{entry.name} is wrapped by master key {entry.master} and others by {newest}: a rotation was cut, or "
                "the key was put back as it was before. Run moi-backup key rotate with both master keys."
            )


def _sorted(backups: set[str]) -> tuple[str, ...]:
    return tuple(sorted(backups))
