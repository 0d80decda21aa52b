"""An open repository in a real folder, a clock that tests move, and backups to fill it with."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moi_backup.repository.identity import Identity, own_identity
from moi_backup.repository.leases import Lease, acquire
from moi_backup.repository.repository import Repository, create, open_repository
from moi_backup.storage.local import LocalStore

NOW = datetime(2026, 11, 24, 20, 30, tzinfo=UTC)


class HandClock:
    """A clock that moves only when somebody sleeps; `during_sleep` is what others do meanwhile."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.started = datetime.now(UTC)
        self.during_sleep: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return self.started + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.elapsed += seconds
        self.during_sleep()


@pytest.fixture
def clock() -> HandClock:
    """A clock by hand, starting at the real present."""
    return HandClock()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """An empty local store."""
    return LocalStore(tmp_path / "repository")


@pytest.fixture
def repository(store: LocalStore, tmp_path: Path) -> Repository:
    """A new repository in the store."""
    create(store, now=NOW, entropy=os.urandom)
    return open_repository(store, heads=tmp_path / "state" / "heads")


@pytest.fixture
def identity() -> Identity:
    """This process."""
    return own_identity()


@pytest.fixture
def lease(store: LocalStore, clock: HandClock, identity: Identity) -> Generator[Lease]:
    """The writer's lease."""
    with acquire(store, "writer", operation="backup", wait=0, clock=clock, identity=identity) as held:
        yield held
