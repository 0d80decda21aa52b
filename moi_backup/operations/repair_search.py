"""Find everything that is damaged, and what of it the copy can give: tried on a view before anything is written.

A candidate from the copy counts when the damage is gone with it in place, under the very checks that found it. So a
rotten copy heals nothing, and what lies below a lost document is found through the copy's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from moi_backup.errors import Damaged, StorageError
from moi_backup.model.backup import BackupManifest
from moi_backup.operations.progress import Progress
from moi_backup.operations.read_data import DataReader, files_to_read
from moi_backup.operations.workspace import Workspace
from moi_backup.repository import layout
from moi_backup.repository.backups import read_backup
from moi_backup.repository.chain import Chain, published, scan_chain, stored_entries
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.reachability import reachable_chunks
from moi_backup.repository.reading import Unreadable
from moi_backup.repository.records import verify_records
from moi_backup.repository.repository import Repository
from moi_backup.repository.verify import Fault, verify_structure
from moi_backup.storage.overlay import OverlayStore
from moi_backup.storage.store import Store


@dataclass(frozen=True, slots=True)
class Damage:
    """All faults, one for each object, and the names of those that the copy can heal."""

    faults: tuple[Fault, ...]
    from_copy: frozenset[str]

    @property
    def healed(self) -> tuple[Fault, ...]:
        """What the copy gives."""
        return tuple(fault for fault in self.faults if fault.object in self.from_copy)

    @property
    def lost(self) -> tuple[Fault, ...]:
        """What it does not give."""
        return tuple(fault for fault in self.faults if fault.object not in self.from_copy)


def find_damage(workspace: Workspace, store: Store, copy: Store | None, progress: Progress) -> Damage:
    """Structure and data of all listed backups; without a copy nothing can be healed by it.

    Raises NoRepository and Damaged when identity or keys cannot be read, and the copy has none that fit.
    """
    return _Search(workspace, store, copy, progress).all()


class _Search:
    """One search. Objects are taken from the copy for trial, and given up again when that does not help."""

    def __init__(self, workspace: Workspace, store: Store, copy: Store | None, progress: Progress) -> None:
        self._workspace, self._store, self._progress = workspace, store, progress
        self._copy = copy or store
        self._view = OverlayStore(store, self._copy)
        self._faults: dict[str, Fault] = {}

    def all(self) -> Damage:
        repository = self._opened()
        self._chain(repository)
        self._progress.step("Checking the structure: chain, manifests, and that every object is there.")
        self._settle(lambda _: [*verify_structure(repository), *verify_records(repository)])
        self._data(repository)
        names = frozenset(self._view.taken)
        return Damage(tuple(self._faults[name] for name in sorted(self._faults)), names)

    def _opened(self) -> Repository:
        """Identity and keys, which nothing can be read without."""
        self._missing_keys()
        while True:
            try:
                return self._workspace.open_at(self._view)
            except DamagedObject as error:
                name = error.object_name
                if name in self._faults or not self._related() or not self._view.take([name]):
                    raise
                self._faults[name] = Fault(name, error.kind, error.detail)

    def _missing_keys(self) -> None:
        held = {info.name for info in self._store.list(layout.KEYS)}
        for info in self._copy.list(layout.KEYS):
            if info.name not in held and self._view.take([info.name]):
                self._faults[info.name] = Fault(info.name, "missing", "is missing")

    def _related(self) -> bool:
        """Whether copy and repository share an entry of their histories."""
        own = dict(stored_entries(self._store))
        return any(data is not None and own.get(seq) == data for seq, data in stored_entries(self._copy))

    def _chain(self, repository: Repository) -> None:
        """Take the copy's entries where they differ, if the history is then whole; else each that makes it better."""
        damage = {found.object_name: found for found in scan_chain(repository).damage}
        own = dict(stored_entries(self._store))
        names = self._differing(own)
        doubtful = not damage and bool(names) and names[0] <= layout.chain_name(max(own, default=0))
        before = len(verify_structure(repository)) if doubtful else 0
        self._view.take(names)
        if doubtful and len(verify_structure(repository)) >= before:
            self._view.taken.difference_update(names)  # it is the copy's history that is damaged, or another one
        elif scan_chain(repository).damage:
            self._view.taken.difference_update(names)
            self._one_by_one(repository, names)
        for name in sorted(self._view.taken & set(names)):
            self._note([_entry_fault(name, damage.get(name))])
        self._note(Fault(left.object_name, left.kind, left.detail) for left in scan_chain(repository).damage)

    def _differing(self, own: dict[int, bytes | None]) -> list[str]:
        theirs = dict(stored_entries(self._copy))
        return [layout.chain_name(seq) for seq, data in theirs.items() if data is not None and own.get(seq) != data]

    def _one_by_one(self, repository: Repository, names: Sequence[str]) -> None:
        before = len(scan_chain(repository).damage)
        for name in names:
            self._view.take([name])
            after = len(scan_chain(repository).damage)
            if after >= before:
                self._view.taken.discard(name)
            before = min(before, after)

    def _note(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self._faults.setdefault(fault.object, fault)

    def _settle(self, look: Callable[[AbstractSet[str]], Sequence[Fault]]) -> None:
        """Look, take what is faulty from the copy, look again, until nothing more can be taken; give up what is left.

        `look` gets the names in question, at first none, which means all.
        """
        tried: set[str] = set()
        names: set[str] = set()
        while True:
            faults = [fault for fault in look(names) if not fault.object.startswith(layout.CHAIN)]
            self._note(faults)
            wanted = {fault.object for fault in faults} - tried
            tried |= wanted
            names = self._view.take(wanted) if wanted else set()
            if not names:
                self._view.taken.difference_update(fault.object for fault in faults)
                return

    def _data(self, repository: Repository) -> None:
        manifests = readable_manifests(repository)
        known = {fault.object for fault in self._faults.values()} - self._view.taken
        self._settle(lambda names: read_objects(repository, manifests, self._progress, only=names, without=known))


def _entry_fault(name: str, damage: DamagedObject | None) -> Fault:
    """Why an entry is taken from the copy; one that no check named is a tail that was cut off, or its neighbour was."""
    if damage is not None:
        return Fault(name, damage.kind, damage.detail)
    return Fault(name, "missing", "is missing or another one here; with the copy's the history is whole")


def readable_manifests(repository: Repository) -> list[BackupManifest]:
    """Those of all listed backups that can be read; the others are faults of the structure."""
    scan = scan_chain(repository)
    chain = Chain(scan.entries, scan.head)
    found: list[BackupManifest] = []
    for backup in published(chain):
        try:
            found.append(read_backup(repository, chain, backup))
        except (Damaged, StorageError):
            continue
    return found


def read_objects(
    repository: Repository,
    manifests: Sequence[BackupManifest],
    progress: Progress,
    *,
    only: AbstractSet[str],
    without: AbstractSet[str] = frozenset(),
) -> list[Fault]:
    """Read chunks and files whole (`only` those, or all when it is empty) and return what is wrong with them."""
    lost: list[Unreadable] = []  # the structure has named them

    def wanted(name: str) -> bool:
        return name not in without and (not only or name in only)

    reader = DataReader(repository, progress)
    reachable = reachable_chunks(repository, manifests, on_damage=lost.append)
    reader.read_chunks([item for item in reachable if wanted(layout.chunk_name(item.table, item.chunk))])
    files = files_to_read(manifests)
    reader.read_files({digest: needed for digest, needed in files.items() if wanted(layout.file_name(digest))})
    return reader.faults
