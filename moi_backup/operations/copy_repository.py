"""Make or refresh the copy of a repository, byte for byte, in an order that survives a kill at any moment.

What the chain names is there before its entry: a backup exists in the copy when its entry does. The source's history is
read once at the start; what is published later is copied the next time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from moi_backup.errors import Damaged, PartlyDone, StorageError, UsageError, WrongKey
from moi_backup.operations.backup_debris import scratch_folder
from moi_backup.operations.copy_objects import NotCopied, ObjectCopier
from moi_backup.operations.copy_plan import CopyPlan, plan_copy, stored_part
from moi_backup.operations.copy_source import CopySource, read_source
from moi_backup.operations.copy_target import refuse_same_place
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import layout
from moi_backup.repository.chain import published, read_chain
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.identity import own_identity
from moi_backup.repository.leases import Lease, acquire
from moi_backup.repository.marks import damaged_chunks, unmark_damaged
from moi_backup.repository.verify import Fault, verify_structure
from moi_backup.settings import RepositorySetting
from moi_backup.storage.store import ObjectInfo, ObjectMissing, Store

LEASE = "copy"
RESERVE_BYTES = 64 * 1024 * 1024
_TASK = "copied"


class PlannedCopy(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy would do; nothing was written. `bytes` travel, `removes` counts objects that would go away."""

    source: str
    target: str
    id: str
    entries: int
    backups: tuple[str, ...]
    objects: int
    bytes: int
    present: int
    removes: int
    notes: tuple[str, ...]


class CopyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy did. `backups` are those it brought; `faults` is what the copy lacks of them, read back.

    `verified` says how the copy was looked at afterwards: `structure`, or `listing` without the keys.
    """

    source: str
    target: str
    id: str
    entries: int
    backups: tuple[str, ...]
    objects: int
    bytes: int
    present: int
    removed: int
    verified: str
    not_copied: tuple[NotCopied, ...]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """3 when the copy lacks what its history names (or may name, where that cannot be told)."""
        lacking = self.faults or (self.not_copied and self.verified == "listing")
        return PartlyDone.exit_code if lacking else 0


def preview_copy(workspace: Workspace, *, to: RepositorySetting | None = None, prune: bool = False) -> PlannedCopy:
    """What `copy_repository` would do now; raises what it would raise, and writes nothing."""
    source, target = read_source(workspace), workspace.copy_store(to)
    plan = plan_copy(source, target, prune=prune)
    return PlannedCopy(
        source=source.store.address,
        target=target.address,
        id=source.id,
        entries=len(plan.entries),
        backups=plan.backups,
        objects=len(plan.objects),
        bytes=sum(info.size for info in plan.objects),
        present=plan.present,
        removes=len(plan.removes),
        notes=_notes(plan),
    )


def copy_repository(
    workspace: Workspace,
    *,
    to: RepositorySetting | None = None,
    prune: bool = False,
    wait: float = 0.0,
    progress: Progress | None = None,
) -> CopyResult:
    """Bring the copy at `to` (None: the configured one) up to the repository.

    Raises UsageError for a place that cannot be its copy, Locked while another copy is made there, Damaged when the
    source's history is, StorageError when the target refuses a write. An object that the source cannot give whole is in
    the result, with the backups that need it; the others go on.
    """
    source, target = read_source(workspace), workspace.copy_store(to)
    plan_copy(source, target, prune=False)  # refuses before anything is written, the lease included
    clock = workspace.clock
    with acquire(target, LEASE, operation="copy", wait=wait, clock=clock, identity=own_identity()) as lease:
        refuse_same_place(source.store, target, layout.lease_name(LEASE, lease.epoch))
        run = _Run(workspace, source, target, lease, progress or Silent())
        return run.copy(plan_copy(source, target, prune=prune), to)


class _Run:
    """One copy under its lease."""

    def __init__(
        self, workspace: Workspace, source: CopySource, target: Store, lease: Lease, progress: Progress
    ) -> None:
        self._workspace, self._source, self._target = workspace, source, target
        self._lease, self._progress = lease, progress
        self._copied: dict[str, int] = {}

    def copy(self, plan: CopyPlan, to: RepositorySetting | None) -> CopyResult:
        began = self._workspace.clock.monotonic()
        _require_space(self._target, plan)
        not_copied = [*self._identity(), *self._objects(plan)]
        self._entries(plan.entries)
        not_copied = list({failed.object: failed for failed in [*self._rewritten(plan), *not_copied]}.values())
        self._unmark()
        verified, faults = self._read_back(plan, not_copied, to)
        removed = self._remove(plan, faults)
        return CopyResult(
            source=self._source.store.address,
            target=self._target.address,
            id=self._source.id,
            entries=len(plan.entries),
            backups=plan.backups,
            objects=len(self._copied),
            bytes=sum(self._copied.values()),
            present=plan.present,
            removed=removed,
            verified=verified,
            not_copied=tuple(not_copied),
            faults=tuple(faults),
            notes=_notes(plan),
            seconds=self._workspace.clock.monotonic() - began,
        )

    def _identity(self) -> list[NotCopied]:
        """First of all: a killed copy is known for what it is.

        The document never changes, so one of two that differ is rotten; which, the history says where it can be read.
        """
        document, target = self._source.document, self._target
        if target.create(layout.REPOSITORY, document) or target.get(layout.REPOSITORY) == document:
            return []
        if self._source.opened is None:
            return [NotCopied(object=layout.REPOSITORY, detail="differs, and only with its keys can damage be told")]
        target.put(layout.REPOSITORY, document)
        return []

    def _objects(self, plan: CopyPlan) -> list[NotCopied]:
        """Stage by stage, each ended before the next begins."""
        not_copied = [
            NotCopied(object=name, detail="differs, and only with its keys can a change be told from damage")
            for name in plan.unsettled
        ]
        self._progress.start(_TASK, total=sum(info.size for stage in plan.stages for info in stage), unit="bytes")
        with scratch_folder(self._target, now=self._workspace.clock.now()) as scratch:
            copier = ObjectCopier(self._source.store, self._target, self._source.checks, scratch)
            for stage in plan.stages:
                not_copied += self._carried(copier, stage)
            not_copied += self._ahead(copier, plan.rewritten)
        self._progress.finish(_TASK, f"{len(self._copied)} objects")
        for refused in not_copied:
            self._progress.warn(f"{refused.object} was not copied: it {refused.detail}.")
        return not_copied

    def _carried(self, copier: ObjectCopier, objects: Sequence[ObjectInfo]) -> list[NotCopied]:
        refused = copier.copy(objects, done=self._done)
        for failed in refused:
            self._copied.pop(failed.object, None)
        return refused

    def _ahead(self, copier: ObjectCopier, rewritten: Sequence[ObjectInfo]) -> list[NotCopied]:
        """Manifests in a new form lie in the trash, where readers look as well, until the history has them."""
        refused: list[NotCopied] = []
        for info in rewritten:
            try:
                data = self._source.store.get(info.name)
                copier.checks.require(info.name, data)
            except (ObjectMissing, DamagedObject, StorageError) as error:
                refused.append(NotCopied(object=info.name, detail=f"cannot be read ({error})"))
                continue
            self._target.put(layout.trash_name(info.name.removeprefix(layout.BACKUPS)), data)
        return refused

    def _rewritten(self, plan: CopyPlan) -> list[NotCopied]:
        """Then they take their place, and what lay in the trash only for that goes (where deleting is allowed)."""
        if not plan.rewritten:
            return []
        with scratch_folder(self._target, now=self._workspace.clock.now()) as scratch:
            copier = ObjectCopier(self._source.store, self._target, self._source.checks, scratch)
            refused = copier.copy(plan.rewritten, done=self._counted)
        failed = {found.object for found in refused}
        kept = {info.name for info in self._source.store.list(layout.TRASH)}
        for info in plan.rewritten:
            trash = layout.trash_name(info.name.removeprefix(layout.BACKUPS))
            if info.name not in failed and trash not in kept:
                with suppress(StorageError):
                    self._target.delete(trash)
        return refused

    def _counted(self, info: ObjectInfo) -> None:
        self._copied[info.name] = info.size

    def _done(self, info: ObjectInfo) -> None:
        self._counted(info)
        self._progress.advance(_TASK, info.size)

    def _entries(self, numbers: Sequence[int]) -> None:
        """In order, each under the lease; one that another process created meanwhile must be the same."""
        for seq in numbers:
            name, data = layout.chain_name(seq), self._source.entries[seq - 1]
            self._lease.assert_held()
            if not self._target.create(name, data) and self._target.get(name) != data:
                raise UsageError(
                    f"{name} in {self._target.address} was written by something else while the copy was made.",
                    meaning="The place is used as a repository of its own, so it is no copy any more.",
                    remedy="Choose another place for the copy.",
                )

    def _unmark(self) -> None:
        """Chunks that the copy's own verification found damaged, and that have travelled again."""
        marked = damaged_chunks(self._target)
        for name in self._copied if marked else ():
            if name.startswith(layout.CHUNKS) and stored_part(name) in marked:
                unmark_damaged(self._target, stored=stored_part(name))

    def _read_back(
        self, plan: CopyPlan, not_copied: Sequence[NotCopied], to: RepositorySetting | None
    ) -> tuple[str, list[Fault]]:
        """Look at the copy as a reader would: the whole of it when something could not be copied, else what is new."""
        self._progress.step("Reading the copy back.")
        faults = self._listed(plan, refused={failed.object for failed in not_copied})
        if self._source.opened is None:
            return "listing", faults
        try:
            copy = self._workspace.open_copy(to)
            chain = read_chain(copy)
            backups = published(chain) if not_copied or faults else list(plan.backups)
            return "structure", [*faults, *verify_structure(copy, backups)]
        except WrongKey:
            return "listing", faults
        except (Damaged, StorageError) as error:
            return "structure", [*faults, Fault(layout.CHAIN, "unreadable", error.what)]

    def _listed(self, plan: CopyPlan, *, refused: set[str]) -> list[Fault]:
        """What was written and is not listed with its size."""
        written = {info.name: info.size for info in plan.objects if info.name not in refused}
        folders = {f"{name.partition('/')[0]}/" for name in written}
        found = {info.name: info.size for folder in folders for info in self._target.list(folder)}
        return [
            Fault(name, "missing", "is not in the copy as it was written")
            for name, size in written.items()
            if found.get(name) != size
        ]

    def _remove(self, plan: CopyPlan, faults: Sequence[Fault]) -> int:
        """Last, and only from a copy that was read back whole."""
        if faults:
            return 0
        for info in plan.removes:
            self._lease.assert_held()
            self._target.delete(info.name)
        return len(plan.removes)


def _notes(plan: CopyPlan) -> tuple[str, ...]:
    return (plan.kept,) if plan.kept else ()


def _require_space(target: Store, plan: CopyPlan) -> None:
    free, needed = target.free_bytes(), sum(info.size for info in plan.objects) + RESERVE_BYTES
    if free is not None and free < needed:
        raise StorageError(
            f"{target.address} has {free >> 20} MiB free, and the copy needs {needed >> 20} MiB.",
            meaning="Nothing was copied.",
            remedy="Free some space there, or choose another place.",
        )
