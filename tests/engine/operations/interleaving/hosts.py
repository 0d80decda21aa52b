"""Hosts that share one repository in memory: each with a clock, a state folder and operations of its own.

A host that waits for a lease always takes it over: the holder is held up, and its time does not go on. So every switch
in the middle of an operation makes a zombie of it, which goes on later without having noticed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from moi_backup.operations.backup_debris import delete_unpublished
from moi_backup.operations.expire_backups import expire_backups, undelete_backups
from moi_backup.operations.prune import prune
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import read_backups
from moi_backup.repository.chain import published, read_chain
from moi_backup.repository.layout import chunk_name, trash_name
from moi_backup.repository.leases import TTL_SECONDS
from moi_backup.repository.marks import damaged_chunks, read_marks, with_marks
from moi_backup.repository.reachability import list_debris
from moi_backup.repository.read_back import read_back
from moi_backup.repository.repository import Repository, create, open_repository
from moi_backup.settings import read_settings
from moi_backup.storage.memory import MemoryStore
from moi_backup.storage.store import Store
from tests.engine.operations.interleaving.scheduler import Schedule, Scheduler, SteppedStore, expected_failures
from tests.engine.repository.samples import SALES, backup_id, publish, write_backup, write_chunk

KEPT, EXPIRED, NEW, OTHER = 1, 2, 3, 4
FOREVER = 1e9
DAYS: Mapping[int, str] = {KEPT: "2025-09-01", EXPIRED: "2025-09-02", NEW: "2025-09-02", OTHER: "2025-09-02"}


class HostClock:
    """The clock of one host. Whoever waits, waits past the time to live of any lease."""

    def __init__(self) -> None:
        self._elapsed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 20, 30, tzinfo=UTC) + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        self._elapsed += TTL_SECONDS + seconds


@dataclass(frozen=True)
class HostWorkspace(Workspace):
    """The workspace of one host over a store that is shared."""

    shared: Store | None = None

    def store(self) -> Store:
        assert self.shared is not None
        return self.shared


Second = Literal["listed", "expired", "none"]
Work = Callable[[HostWorkspace], object]


def back_up(number: int) -> Work:
    """A backup of one table, as an operation writes it: lease, marks, objects, the last look, publish."""

    def work(workspace: HostWorkspace) -> None:
        repository = workspace.open()
        with workspace.writing(repository, operation="backup", wait=FOREVER) as lease:
            repository = with_marks(repository)
            manifest = write_backup(repository, number, tables={SALES: (DAYS[number],)})
            read_back(repository, manifest, damaged=damaged_chunks(repository.store))
            publish(repository, manifest, lease=lease)

    return work


def failing_backup(workspace: HostWorkspace) -> None:
    """A backup that is stopped and takes its new chunk with it."""
    repository = workspace.open()
    with workspace.writing(repository, operation="backup", wait=FOREVER) as lease:
        repository = with_marks(repository)
        name = chunk_name(SALES, write_chunk(repository, SALES, DAYS[NEW]))
        delete_unpublished(repository, [name], lease=lease, now=workspace.clock.now)
        raise KeyboardInterrupt


def careless_failing_backup(workspace: HostWorkspace) -> None:
    """What must not be done: it deletes its new chunk without a mark, though it holds the lease when it looks."""
    repository = workspace.open()
    with workspace.writing(repository, operation="backup", wait=FOREVER) as lease:
        repository = with_marks(repository)
        name = chunk_name(SALES, write_chunk(repository, SALES, DAYS[NEW]))
        if name in {info.name for info in list_debris(repository).unreachable}:
            lease.assert_held()
            repository.store.delete(name)
        raise KeyboardInterrupt


def prune_all(workspace: HostWorkspace) -> None:
    """A prune without a grace."""
    prune(workspace, grace_hours=0, wait=FOREVER)


def expire(number: int) -> Work:
    """Expire a backup."""
    return lambda workspace: expire_backups(workspace, [backup_id(number)], wait=FOREVER)


def undelete(number: int) -> Work:
    """Bring a backup back."""
    return lambda workspace: undelete_backups(workspace, [backup_id(number)], wait=FOREVER)


def careless_undelete(workspace: HostWorkspace) -> None:
    """What must not be done: it takes the copy out of the trash."""
    undelete(EXPIRED)(workspace)
    workspace.store().delete(trash_name(backup_id(EXPIRED)))


class World:
    """A repository from which every schedule starts anew: a listed backup, and a second one that holds other rows.

    `second` says what became of that one: listed, expired, or that there is none.
    """

    def __init__(self, folder: Path, *, second: Second) -> None:
        self._folder = folder
        self._settings = read_settings({"MOI_STATE": str(folder / "state")}, cwd=folder, effective_uid=1)
        self._start = MemoryStore(scratch=folder / "scratch", clock=lambda: 0.0)
        create(self._start, now=HostClock().now(), entropy=bytes)
        host = self._host(self._start, "start")
        back_up(KEPT)(host)
        if second != "none":
            back_up(EXPIRED)(host)
        if second == "expired":
            expire(EXPIRED)(host)

    def run(self, works: Sequence[Work], schedule: Schedule) -> Scheduler:
        """Run by a schedule, check the invariant, prune in peace, and check it again."""
        shutil.rmtree(self._folder / "states")  # this world has not seen the chains of the others
        store = MemoryStore(scratch=self._folder / "scratch", clock=lambda: 0.0)
        store._objects.update(self._start._objects)
        scheduler = Scheduler()
        for number, work in enumerate(works):
            stepped = SteppedStore(store, scheduler, folder=self._folder / f"scratch-{number}")
            scheduler.add(partial(work, self._host(stepped, f"host-{number}")))
        with expected_failures(scheduler):
            scheduler.run(schedule)
        self._check(store, works, scheduler)
        prune_all(self._host(store, "end"))
        self._check(store, works, scheduler)
        self._check_settled(store)
        return scheduler

    def _host(self, store: Store, name: str) -> HostWorkspace:
        repository = replace(self._settings.state, path=self._folder / "states" / name)
        return HostWorkspace(replace(self._settings, state=repository), clock=HostClock(), shared=store)

    def _check(self, store: MemoryStore, works: Sequence[Work], scheduler: Scheduler) -> None:
        """Every listed backup reads completely, and what reported success is listed."""
        repository = open_repository(store, heads=self._folder / "states" / "check")
        chain = read_chain(repository)
        for manifest in read_backups(repository, chain):
            read_everything(repository, manifest)
        succeeded = {work for work, process in zip(works, scheduler.processes, strict=True) if process.error is None}
        listed = set(published(chain))
        for number, work in BACKUPS.items():
            assert work not in succeeded or backup_id(number) in listed, f"backup {number} was lost"

    def _check_settled(self, store: MemoryStore) -> None:
        """A prune in peace leaves nothing that no backup needs, and nothing half done."""
        repository = open_repository(store, heads=self._folder / "states" / "check")
        assert list_debris(repository).unreachable == ()
        assert [mark for mark in read_marks(repository, read_chain(repository)) if mark.done is None] == []


def read_everything(repository: Repository, manifest) -> None:
    """Read every object of a backup with its hash."""
    with repository.open_file(manifest.schema.digest, size=manifest.schema.size):
        pass
    for entry in manifest.tables:
        table = repository.read_table(entry.manifest)
        for month in table.months:
            for chunk in repository.read_chunk_list(month.list).chunks:
                with repository.open_chunk(table.table, chunk):
                    pass


BACKUPS: Mapping[int, Work] = {NEW: back_up(NEW), OTHER: back_up(OTHER)}
