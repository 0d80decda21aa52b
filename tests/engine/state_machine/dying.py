"""A process that dies at a chosen moment: from then on neither its store nor its listener answers it any more."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from moi_backup.operations.workspace import WRITER, Workspace
from moi_backup.repository.identity import own_identity
from moi_backup.repository.leases import Lease, acquire
from moi_backup.repository.repository import Repository
from moi_backup.storage.store import ObjectInfo, Store

Moment = Literal["before a write", "after a write", "progress"]
_NOBODY = 2**22 + 1  # above every process id


class Died(BaseException):
    """The process is dead; nothing may catch this but the test."""


@dataclass
class Death:
    """Comes when a moment is passed the `at`-th time: before or after a write of the store, or a told progress.

    `prefix` limits the writes to objects whose names start so.
    """

    when: Moment
    at: int
    prefix: str = ""
    happened: bool = False
    _counted: int = 0

    def passes(self, moment: Moment, name: str = "") -> None:
        """Go through a moment, unless it is the last."""
        self.must_live()
        if moment == self.when and name.startswith(self.prefix):
            self._counted += 1
            self.happened = self._counted == self.at
        self.must_live()

    def must_live(self) -> None:
        """The dead do nothing."""
        if self.happened:
            raise Died


class DyingStore:
    """A store as a dying process sees it."""

    def __init__(self, store: Store, death: Death) -> None:
        self._store, self._death = store, death

    @property
    def address(self) -> str:
        return self._store.address

    @property
    def requests_at_once(self) -> int:
        """As of the store."""
        return self._store.requests_at_once

    @contextmanager
    def _writing(self, name: str) -> Generator[None]:
        self._death.passes("before a write", name)
        yield
        self._death.passes("after a write", name)

    def put(self, name: str, data: bytes) -> None:
        with self._writing(name):
            self._store.put(name, data)

    def create(self, name: str, data: bytes) -> bool:
        with self._writing(name):
            return self._store.create(name, data)

    def upload(self, name: str, file: Path) -> None:
        with self._writing(name):
            self._store.upload(name, file)

    def delete(self, name: str) -> None:
        with self._writing(name):
            self._store.delete(name)

    def get(self, name: str) -> bytes:
        self._death.must_live()
        return self._store.get(name)

    def local(self, name: str) -> AbstractContextManager[Path]:
        self._death.must_live()
        return self._store.local(name)

    def info(self, name: str) -> ObjectInfo:
        self._death.must_live()
        return self._store.info(name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._death.must_live()
        return self._store.list(prefix)

    def scratch(self) -> Path:
        return self._store.scratch()

    def free_bytes(self) -> int | None:
        return self._store.free_bytes()


@dataclass(frozen=True)
class DyingWorkspace(Workspace):
    """A workspace of a process that will die: its lease is that of a dead process then."""

    death: Death = field(default_factory=lambda: Death("progress", 0))

    def store(self) -> Store:
        """The store, as long as it lives."""
        return DyingStore(super().store(), self.death)

    @contextmanager
    def writing(
        self, repository: Repository, *, operation: str, wait: float, tell: Callable[[str], None] | None = None
    ) -> Generator[Lease, None, None]:
        """Hold the writer's lease under a process id that nobody has."""
        identity = replace(own_identity(), pid=_NOBODY, process_started="1")
        lease = acquire(repository.store, WRITER, operation=operation, wait=wait, clock=self.clock, identity=identity)
        with lease:
            yield lease
            if tell is not None:
                lease.end(tell)


class DyingListener:
    """A listener that a process may die in: between two pieces of its work."""

    def __init__(self, death: Death) -> None:
        self._death = death

    def step(self, text: str) -> None:
        self._death.passes("progress")

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        self._death.passes("progress")

    def advance(self, task: str, amount: int) -> None:
        self._death.passes("progress")

    def finish(self, task: str, note: str = "") -> None:
        self._death.passes("progress")

    def warn(self, text: str) -> None:
        self._death.passes("progress")
