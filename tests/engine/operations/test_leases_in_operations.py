"""The writer's lease keeps backups and in-place restores apart; a dead holder does not keep anybody out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from moi_backup.errors import Locked
from tests.engine.deployment import Deployment
from tests.engine.operations.victim import Victim


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A deployment with a full backup."""
    deployment.sql(
        "CREATE TABLE t (id int PRIMARY KEY, day date);"
        "INSERT INTO t SELECT i, date '2025-01-01' + i FROM generate_series(1, 50) i"
    )
    deployment.back_up(full=True)
    return deployment


class Pausing:
    """A listener that holds its operation where it first tells something of a table."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def step(self, text: str) -> None:
        """Go on."""

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        """Wait here."""
        self.reached.set()
        assert self.go_on.wait(30)

    def advance(self, task: str, amount: int) -> None:
        """Go on."""

    def finish(self, task: str, note: str = "") -> None:
        """Go on."""

    def warn(self, text: str) -> None:
        """Go on."""


@contextmanager
def paused_backup(deployment: Deployment) -> Iterator[Pausing]:
    """A backup that is held in the middle of its first table, and ends well after the context."""
    pausing, ended = Pausing(), threading.Event()

    def run() -> None:
        deployment.back_up(full=True, progress=pausing)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert pausing.reached.wait(30)
        yield pausing
    finally:
        pausing.go_on.set()
        thread.join(30)
    assert ended.is_set()


def test_a_second_backup_is_refused_and_told_who_is_at_work(shop):
    """Exit code 11, the holder by operation and process, and nothing published by the second."""
    with paused_backup(shop):
        with pytest.raises(Locked, match=r"backup by process \d+") as refused:
            shop.back_up()
        assert len(shop.backups()) == 1
    assert refused.value.exit_code == 11
    assert len(shop.backups()) == 2


def test_a_second_backup_waits_when_it_is_told_to(shop):
    """It begins as soon as the first has ended."""
    with paused_backup(shop) as pausing:
        threading.Timer(0.5, pausing.go_on.set).start()
        shop.back_up(wait=20.0)
        assert len(shop.backups()) == 3


def test_a_restore_in_place_is_refused_while_a_backup_runs(shop):
    """The live rows are not touched."""
    with paused_backup(shop):
        shop.sql("DELETE FROM t WHERE id < 10")
        with pytest.raises(Locked):
            shop.restore_in_place()
        assert shop.sql("SELECT count(*) FROM t") == [(41,)]


def test_a_restore_into_new_tables_needs_no_lease(shop, empty_database):
    """Reading a repository disturbs nobody."""
    with paused_backup(shop):
        assert shop.restore(empty_database()).complete


def test_a_backup_is_refused_while_a_restore_in_place_runs(shop):
    """A restore that waits for the table's lock holds the lease, and the backup says so."""
    results: list[bool] = []
    restoring = threading.Thread(target=lambda: results.append(shop.restore_in_place().complete))
    with psycopg.connect(shop.url) as other:
        other.execute("LOCK TABLE t IN ROW EXCLUSIVE MODE")
        restoring.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND NOT granted"
        while shop.sql(waiting) == [(0,)]:
            assert restoring.is_alive()
        with pytest.raises(Locked, match="restore by process"):
            shop.back_up()
    restoring.join(30)
    assert results == [True]
    assert shop.back_up().manifest.tables[0].rows == 50


@pytest.mark.parametrize("operation", ["backup", "restore_in_place"])
def test_the_lease_of_a_killed_holder_is_taken_over_at_once(shop, operation):
    """The next backup neither waits nor fails, and has a higher epoch."""
    before = shop.back_up().lease_epoch
    with Victim(shop, operation) as victim:
        victim.begin()
        victim.wait_for("start")
        victim.kill()
    taken = shop.back_up(wait=0.0)
    assert taken.lease_epoch == before + 2
    assert shop.faults() == []
