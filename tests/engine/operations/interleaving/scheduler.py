"""Processes that run one at a time, switched before chosen calls of their stores: the same schedule, the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Semaphore, Thread, get_ident
from typing import NamedTuple

from moi_backup.errors import MoiError
from moi_backup.storage.memory import MemoryStore
from moi_backup.storage.store import ObjectInfo

ENDLESS = 1 << 30
STUCK_SECONDS = 30.0


class Segment(NamedTuple):
    """A process runs so many store calls, then it is held before the next one."""

    process: int
    steps: int


Schedule = tuple[Segment, ...]


@dataclass
class Process:
    """A process of a run: its work, the calls it has made, and how it ended (`error` None: it reported success)."""

    work: Callable[[], object]
    steps: int = 0
    ended: bool = False
    error: BaseException | None = None


class Scheduler:
    """Hands the baton from process to process."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self._batons: list[Semaphore] = []
        self._mine = Semaphore(0)
        self._threads: dict[int, int] = {}
        self._budget = 0

    def add(self, work: Callable[[], object]) -> None:
        """Another process."""
        self.processes.append(Process(work))
        self._batons.append(Semaphore(0))

    def run(self, schedule: Schedule) -> None:
        """Run by the schedule, then every process to its end in the order of their numbers."""
        threads = [Thread(target=self._live, args=(number,), daemon=True) for number in range(len(self.processes))]
        for thread in threads:
            thread.start()
        rest = [Segment(number, ENDLESS) for number in range(len(self.processes))]
        for segment in (*schedule, *rest):
            if segment.steps and not self.processes[segment.process].ended:
                self._budget = segment.steps
                self._batons[segment.process].release()
                assert self._mine.acquire(timeout=STUCK_SECONDS), "a process waits for something that is no store call"
        for thread in threads:
            thread.join()

    def step(self) -> None:
        """Called before a store call: goes on, or waits until the schedule comes back to this process."""
        number = self._threads.get(get_ident())
        if number is None:  # the heartbeat of a lease
            return
        if self._budget == 0:
            self._mine.release()
            self._batons[number].acquire()
        self._budget -= 1
        self.processes[number].steps += 1

    def _live(self, number: int) -> None:
        self._threads[get_ident()] = number
        process = self.processes[number]
        self._batons[number].acquire()
        try:
            process.work()
        except BaseException as error:  # noqa: BLE001 - judged by the test, in its own thread
            process.error = error
        process.ended = True
        self._mine.release()


class SteppedStore:
    """A memory store as one process sees it: every call is a step. `folder` is the process' own scratch folder."""

    def __init__(self, store: MemoryStore, scheduler: Scheduler, *, folder: Path) -> None:
        self._store, self._scheduler, self._folder = store, scheduler, folder

    @property
    def address(self) -> str:
        """As of the store."""
        return self._store.address

    @property
    def requests_at_once(self) -> int:
        """As of the store."""
        return self._store.requests_at_once

    def get(self, name: str) -> bytes:
        """One step."""
        self._scheduler.step()
        return self._store.get(name)

    def put(self, name: str, data: bytes) -> None:
        """One step."""
        self._scheduler.step()
        self._store.put(name, data)

    def create(self, name: str, data: bytes) -> bool:
        """One step."""
        self._scheduler.step()
        return self._store.create(name, data)

    def upload(self, name: str, file: Path) -> None:
        """One step."""
        self._scheduler.step()
        self._store.upload(name, file)

    def local(self, name: str) -> AbstractContextManager[Path]:
        """One step."""
        self._scheduler.step()
        return self._store.local(name)

    def info(self, name: str) -> ObjectInfo:
        """One step."""
        self._scheduler.step()
        return self._store.info(name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """One step."""
        self._scheduler.step()
        return self._store.list(prefix)

    def delete(self, name: str) -> None:
        """One step."""
        self._scheduler.step()
        self._store.delete(name)

    def scratch(self) -> Path:
        """No step: it is local."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def free_bytes(self) -> None:
        """There is no limit to ask for."""
        return


@contextmanager
def expected_failures(scheduler: Scheduler) -> Iterator[None]:
    """A process may end with an error a user would see; anything else is a defect."""
    yield
    for process in scheduler.processes:
        if process.error is not None and not isinstance(process.error, MoiError | KeyboardInterrupt):
            raise process.error


def up_to_two_switches(steps: Sequence[int]) -> Iterator[Schedule]:
    """All ways to run two processes with at most two preemptions: one i calls, the other j calls, then to the end."""
    for first, other in ((0, 1), (1, 0)):
        for i in range(1, steps[first] + 1):
            for j in range(1, steps[other] + 1):
                yield (Segment(first, i), Segment(other, j), Segment(first, ENDLESS))


def three_switches(steps: Sequence[int]) -> Iterator[Schedule]:
    """All ways to run two processes with exactly three preemptions."""
    for first, other in ((0, 1), (1, 0)):
        for i in range(1, steps[first]):
            for j in range(1, steps[other]):
                for k in range(1, steps[first] - i + 1):
                    yield (Segment(first, i), Segment(other, j), Segment(first, k), Segment(other, ENDLESS))


def any_schedule(steps: Sequence[int], dice: Random) -> Schedule:
    """A random schedule with up to eight preemptions."""
    return tuple(
        Segment(process := dice.randrange(len(steps)), dice.randint(1, steps[process]))
        for _ in range(dice.randint(2, 9))
    )
