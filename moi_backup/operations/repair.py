"""Repair a repository: from its copy object by object, then from the live data by a full backup, then look again.

Every object is put whole under the name of its hash, so a kill at any moment leaves no more damage than before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from moi_backup.errors import Damaged, Locked, NoRepository, PartlyDone, SourceError, StorageError, UsageError
from moi_backup.operations.backup_debris import scratch_folder
from moi_backup.operations.copy_objects import ObjectCopier
from moi_backup.operations.copy_plan import STAGES, stored_part
from moi_backup.operations.copy_source import read_identity
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.repair_search import Damage, find_damage, read_objects, readable_manifests
from moi_backup.operations.take_backup import BackupRequest, take_backup
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import layout
from moi_backup.repository.chain import Chain, published, scan_chain
from moi_backup.repository.marks import mark_damaged, unmark_damaged
from moi_backup.repository.name_checks import NameChecks, manifest_names
from moi_backup.repository.records import verify_records
from moi_backup.repository.verify import Fault, verify_structure
from moi_backup.settings import RepositorySetting
from moi_backup.storage.overlay import OverlayStore
from moi_backup.storage.store import ObjectInfo, ObjectMissing, Store

REASON = "repair"
_TASK = "healed from the copy"


class PlannedRepair(msgspec.Struct, frozen=True, kw_only=True):
    """What a repair would do; nothing was written. `backup`: whether it would take a full backup for what remains."""

    repository: str
    copy: str | None
    from_copy: tuple[Fault, ...]
    remaining: tuple[Fault, ...]
    backup: bool
    notes: tuple[str, ...]


class HealedObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object that was damaged and reads whole again; `source` is `copy` or `live data`."""

    object: str
    source: str
    backups: tuple[str, ...]
    table: str | None
    days: tuple[str, ...]


class RepairResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a repair did. `lost` is what is still damaged; `backup` the full backup that was taken for it, if any."""

    repository: str
    copy: str | None
    healed: tuple[HealedObject, ...]
    lost: tuple[Fault, ...]
    backup: str | None
    notes: tuple[str, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 nothing is damaged any more, 3 some was healed, 20 none."""
        if not self.lost:
            return 0
        return PartlyDone.exit_code if self.healed else Damaged.exit_code


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What is damaged and what the copy gives, found before anything is written. `live`: whether to use live data."""

    store: Store
    copy: Store | None
    damage: Damage
    live: bool
    notes: tuple[str, ...]

    @property
    def backup(self) -> bool:
        """Whether a full backup could heal what the copy does not."""
        healable = (layout.CHUNKS, layout.TABLES)
        return self.live and any(fault.object.startswith(healable) for fault in self.damage.lost)

    @property
    def document(self) -> PlannedRepair:
        """The plan as it is told."""
        return PlannedRepair(
            repository=self.store.address,
            copy=None if self.copy is None else self.copy.address,
            from_copy=self.damage.healed,
            remaining=self.damage.lost,
            backup=self.backup,
            notes=self.notes,
        )


def plan_repair(
    workspace: Workspace,
    *,
    source: RepositorySetting | None = None,
    live: bool = True,
    progress: Progress | None = None,
) -> RepairPlan:
    """Read everything and decide; `source` is the place of the copy (None: the configured one).

    Raises NoRepository when there is nothing left to repair, UsageError for a copy of another repository.
    """
    store = workspace.store()
    copy, notes = _copy_store(workspace, source)
    if copy is not None:
        _refuse_another(store, copy)
    try:
        damage = find_damage(workspace, store, copy, progress or Silent())
    except NoRepository as error:
        raise _gone(error, copy) from error
    return RepairPlan(store, copy, damage, live, notes)


def repair(
    workspace: Workspace, plan: RepairPlan, *, wait: float = 0.0, progress: Progress | None = None
) -> RepairResult:
    """Carry out a plan and read again what was damaged. Raises Locked while another operation writes."""
    return _Repair(workspace, plan, wait, progress or Silent()).run()


class _Repair:
    """One repair."""

    def __init__(self, workspace: Workspace, plan: RepairPlan, wait: float, progress: Progress) -> None:
        self._workspace, self._plan, self._wait, self._progress = workspace, plan, wait, progress
        self._notes = list(plan.notes)
        self._refused: set[str] = set()

    def run(self) -> RepairResult:
        began = self._workspace.clock.monotonic()
        copied = self._from_copy() if self._plan.damage.from_copy else set[str]()
        backup = self._from_live_data() if self._plan.backup else None
        lost = self._still_damaged() if self._plan.damage.faults else []
        gone = {fault.object for fault in lost}
        healed = [fault for fault in self._plan.damage.faults if fault.object not in gone]
        self._unmark(healed)
        return RepairResult(
            repository=self._plan.store.address,
            copy=None if self._plan.copy is None else self._plan.copy.address,
            healed=tuple(_healed(fault, from_copy=fault.object in copied) for fault in healed),
            lost=tuple(lost),
            backup=backup,
            notes=tuple(self._notes),
            seconds=self._workspace.clock.monotonic() - began,
        )

    def _from_copy(self) -> set[str]:
        """Identity and keys, then what is named before what names it, the chain last."""
        store, copy = self._plan.store, self._plan.copy
        if copy is None:
            return set()
        with self._workspace.writing_at(store, operation="repair", wait=self._wait) as lease:
            names = self._still_needed(copy)
            self._put(copy, [name for name in names if name == layout.REPOSITORY or name.startswith(layout.KEYS)])
            for stage in STAGES:
                lease.assert_held()
                self._copy(copy, [name for name in names if name.startswith(stage) and layout.KEYS not in stage])
            lease.assert_held()
            self._put(copy, [name for name in names if name.startswith(layout.CHAIN)])
        return names - self._refused

    def _still_needed(self, copy: Store) -> set[str]:
        """What the copy gives, without what only backups need that have expired since the plan: it may be pruned."""
        names = set(self._plan.damage.from_copy)
        view = OverlayStore(self._plan.store, copy)
        view.take(names)
        scan = scan_chain(self._workspace.open_at(view))
        listed = set(published(Chain(scan.entries, scan.head)))
        dropped = {f.object for f in self._plan.damage.healed if f.backups and not listed & set(f.backups)}
        return names - dropped

    def _put(self, copy: Store, names: Sequence[str]) -> None:
        for name in sorted(names):
            self._plan.store.put(name, copy.get(name))
            self._progress.step(f"{name} was healed from the copy.")

    def _copy(self, copy: Store, names: Sequence[str]) -> None:
        """Verified once more on the way, for the copy may have changed since the plan."""
        objects = [copy.info(name) for name in sorted(names)]
        if not objects:
            return
        self._progress.start(_TASK, total=sum(info.size for info in objects), unit="bytes")
        with scratch_folder(self._plan.store, now=self._workspace.clock.now()) as scratch:
            copier = ObjectCopier(copy, self._plan.store, self._checks(copy), scratch)
            refused = copier.copy(objects, done=self._done)
        self._progress.finish(_TASK, f"{len(objects) - len(refused)} objects")
        self._refused |= {failed.object for failed in refused}
        self._notes += [f"{failed.object} in the copy {failed.detail}." for failed in refused]

    def _done(self, info: ObjectInfo) -> None:
        self._progress.advance(_TASK, info.size)

    def _checks(self, copy: Store) -> NameChecks:
        """By the history as the copy has it, for one's own may be what is damaged."""
        _, identity = read_identity(self._plan.store)
        scan = scan_chain(self._workspace.open_at(copy, is_copy=True))
        return NameChecks(manifest_names(Chain(scan.entries, scan.head)), identity.encryption is not msgspec.UNSET)

    def _from_live_data(self) -> str | None:
        """A full backup writes the same rows as the same bytes under the same names, so older backups are healed."""
        try:
            for fault in self._plan.damage.lost:
                if fault.object.startswith(layout.CHUNKS):
                    mark_damaged(self._plan.store, stored=stored_part(fault.object))
            request = BackupRequest(full=True, reason=REASON, wait=self._wait)
            return take_backup(self._workspace, request, progress=self._progress).manifest.id
        except (SourceError, StorageError, Damaged, Locked, UsageError) as error:
            self._notes.append(f"The live data could not be used: {error.what}")
            return None

    def _still_damaged(self) -> list[Fault]:
        """What was damaged, read again: the structure of everything, and the data of the objects in question."""
        repository = self._workspace.open_at(self._plan.store)
        names = {fault.object for fault in self._plan.damage.faults}
        faults = [*verify_structure(repository), *verify_records(repository)]
        known = {fault.object for fault in faults}
        faults += read_objects(repository, readable_manifests(repository), self._progress, only=names, without=known)
        return list({fault.object: fault for fault in faults}.values())

    def _unmark(self, healed: Sequence[Fault]) -> None:
        for fault in healed:
            if fault.object.startswith(layout.CHUNKS):
                unmark_damaged(self._plan.store, stored=stored_part(fault.object))


def _healed(fault: Fault, *, from_copy: bool) -> HealedObject:
    return HealedObject(
        object=fault.object,
        source="copy" if from_copy else "live data",
        backups=fault.backups,
        table=fault.table,
        days=fault.days,
    )


def _copy_store(workspace: Workspace, source: RepositorySetting | None) -> tuple[Store | None, tuple[str, ...]]:
    """The place of the copy, if it answers; what it holds is judged object by object."""
    if source is None and workspace.settings.copy is None:
        return None, ("No copy is configured, so nothing can be healed from one.",)
    try:
        copy = workspace.copy_store(source)
        if next(iter(copy.list(layout.CHAIN)), None) is None:
            return None, (f"There is no copy of a repository at {copy.address}.",)
    except StorageError as error:
        return None, (f"The copy cannot be read: {error.what}",)
    return copy, ()


def _refuse_another(store: Store, copy: Store) -> None:
    try:
        own, other = read_identity(store)[1].id, read_identity(copy)[1].id
    except (Damaged, NoRepository):
        return  # found and judged with everything else
    if own != other:
        raise UsageError(
            f"{copy.address} is the repository {other}, not a copy of {own}.",
            meaning="Nothing was written.",
            remedy="Name the place of the copy by --from.",
        )


def _gone(error: NoRepository, copy: Store | None) -> NoRepository:
    """Without identity and history there is nothing to repair; a copy is copied back instead."""
    if copy is None or not isinstance(error.__cause__, ObjectMissing):
        return error
    return NoRepository(
        error.what,
        meaning="Nothing of it is left to repair.",
        remedy=f"Copy the copy back: MOI_REPOSITORY={copy.address} moi-backup copy --to the old or a new place.",
    )
