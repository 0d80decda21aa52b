"""Prune: backups that expired long enough ago go for good, and with them everything that no backup needs.

What is decided and what is deleted are separate steps, safe beside other hosts (`moi_backup.repository.deletion`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from moi_backup.errors import StorageError
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import documents, layout
from moi_backup.repository.chain import Chain, append, expired, read_chain, states
from moi_backup.repository.deletion import (
    finish,
    mark_unreachable,
    outdated_marks,
    pending_names,
    require_deletable,
)
from moi_backup.repository.marks import DELETABLE, Mark, read_marks
from moi_backup.repository.reachability import needed_names
from moi_backup.repository.reading import raise_damage
from moi_backup.repository.repository import Repository

GRACE_HOURS = 24.0
_TASK = "deleting"


class BackupFate(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one backup, and why."""

    id: str
    why: str


class ObjectsToDelete(msgspec.Struct, frozen=True, kw_only=True):
    """How many objects of a kind go: chunks, tables (table manifests and chunk lists), files, backups (manifests)."""

    kind: str
    objects: int
    bytes: int


class PrunePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune would do now. `unfinished` counts objects that an earlier prune marked and did not delete."""

    gone: tuple[BackupFate, ...]
    kept: tuple[BackupFate, ...]
    delete: tuple[ObjectsToDelete, ...]
    objects: int
    bytes: int
    unfinished: int


class PruneResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a prune did: the plan it obeyed, the objects it deleted, and the old marks it removed."""

    plan: PrunePlan
    deleted: int
    marks_removed: int
    seconds: float


def plan_prune(workspace: Workspace, *, grace_hours: float = GRACE_HOURS) -> PrunePlan:
    """What `prune` would do now; writes nothing.

    Raises Damaged or StorageError when a document cannot be read: what it lists is not known then. While a backup runs,
    what it has written so far counts as not needed here; the prune itself waits for it.
    """
    repository, chain = workspace.history()
    return _plan(repository, chain, grace_hours=grace_hours, now=workspace.clock.now().timestamp())


def prune(
    workspace: Workspace, *, grace_hours: float = GRACE_HOURS, wait: float = 0.0, progress: Progress | None = None
) -> PruneResult:
    """Remove backups that expired at least `grace_hours` ago, and everything that no backup needs.

    Killed at any moment it leaves every listed backup whole, and the next prune goes on. Raises, before anything is
    changed: Locked while another operation writes, StorageError without the permission to delete, Damaged when a
    document cannot be read.
    """
    progress = progress or Silent()
    started = workspace.clock.monotonic()
    repository = workspace.open()
    with workspace.writing(repository, operation="prune", wait=wait, tell=progress.warn) as lease:
        require_deletable(repository)
        now = lease.taken_at()
        plan = _plan(repository, read_chain(repository), grace_hours=grace_hours, now=now)
        for backup in plan.gone:
            append(repository, action="prune", backup=backup.id, at=workspace.clock.now(), lease=lease)
        mark_unreachable(repository, lease=lease, now=workspace.clock.now)
    deleted = _finish_all(repository, progress)
    outdated = outdated_marks(repository, store_now=now)
    for name in outdated:
        repository.store.delete(name)
    return PruneResult(
        plan=plan,
        deleted=deleted,
        marks_removed=len(outdated),
        seconds=workspace.clock.monotonic() - started,
    )


def prunable_from(repository: Repository, seq: int, *, grace_hours: float) -> datetime:
    """When the backup that the chain entry `seq` expired may be pruned, by the store's own time."""
    modified = repository.store.info(layout.chain_name(seq)).modified
    return datetime.fromtimestamp(modified, UTC) + timedelta(hours=grace_hours)


def _plan(repository: Repository, chain: Chain, *, grace_hours: float, now: float) -> PrunePlan:
    stored = {info.name: info.size for prefix in DELETABLE for info in repository.store.list(prefix)}
    fates = _fates(repository, chain, grace_hours=grace_hours, now=now)
    gone = [backup for backup, (goes, _) in fates.items() if goes]
    needed = needed_names(repository, chain, without=gone, on_damage=raise_damage)
    unneeded = {name: size for name, size in stored.items() if name not in needed}
    pending = pending_names(read_marks(repository, chain))
    return PrunePlan(
        gone=tuple(BackupFate(id=backup, why=why) for backup, (goes, why) in fates.items() if goes),
        kept=tuple(BackupFate(id=backup, why=why) for backup, (goes, why) in fates.items() if not goes),
        delete=tuple(_by_kind(unneeded)),
        objects=len(unneeded),
        bytes=sum(unneeded.values()),
        unfinished=len(pending & unneeded.keys()),
    )


def _fates(repository: Repository, chain: Chain, *, grace_hours: float, now: float) -> dict[str, tuple[bool, str]]:
    """For every backup that is not gone yet: whether it goes now, and why."""
    fates: dict[str, tuple[bool, str]] = {}
    trash = expired(chain)
    for backup, state in states(chain).items():
        if backup not in trash:
            if state != "prune":
                fates[backup] = (False, "listed")
            continue
        free = prunable_from(repository, trash[backup].seq, grace_hours=grace_hours)
        if free.timestamp() <= now:
            fates[backup] = (True, f"expired at {trash[backup].at}, at least {grace_hours:g} h ago")
        else:
            fates[backup] = (False, f"in the trash; can be pruned from {documents.timestamp(free)}")
    return fates


def _by_kind(sizes: Mapping[str, int]) -> Iterable[ObjectsToDelete]:
    kinds: dict[str, list[int]] = {}
    for name, size in sizes.items():
        folder = name.partition("/")[0]
        kinds.setdefault("backups" if folder == "trash" else folder, []).append(size)
    return (ObjectsToDelete(kind=kind, objects=len(of), bytes=sum(of)) for kind, of in sorted(kinds.items()))


def _finish_all(repository: Repository, progress: Progress) -> int:
    """Delete what is marked, the marks of killed runs first; how many names that were."""
    pending = [mark for mark in read_marks(repository, read_chain(repository)) if mark.done is None]
    total = sum(len(mark.names or ()) for mark in pending)
    progress.start(_TASK, total=total, unit="objects")
    for mark in pending:
        _finish(repository, mark, progress)
    progress.finish(_TASK, f"{total} deleted")
    return total


def _finish(repository: Repository, mark: Mark, progress: Progress) -> None:
    try:
        finish(repository, mark, on_deleted=lambda count: progress.advance(_TASK, count))
    except StorageError as error:
        error.meaning = "What was marked is still to be deleted; no backup needs any of it, and none will use it."
        error.remedy = f"{error.remedy} The next moi-backup prune goes on from here.".lstrip()
        raise
