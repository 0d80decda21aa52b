"""A restore in place beside programs that go on reading and writing: nobody ever sees or keeps a broken state."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.engine.deployment import Deployment

SCRIPT = """
CREATE TABLE accounts (id int PRIMARY KEY, day date, a int, b int);
INSERT INTO accounts SELECT i, date '2025-01-01' + i % 7, 100, 0 FROM generate_series(1, 200) i;
"""
BROKEN = "SELECT count(*) FROM accounts WHERE a + b <> 100"


class _Programs:
    """Threads that work until they are stopped; what goes wrong in one is kept."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._threads: list[threading.Thread] = []
        self.failures: list[str] = []

    def start(self, work: Callable[[random.Random], None], *, seed: int) -> None:
        """Repeat some work in a thread of its own."""

        def loop() -> None:
            chance = random.Random(seed)
            try:
                while not self._done.is_set():
                    work(chance)
            except Exception as error:  # noqa: BLE001 - whatever it is fails the test
                self.failures.append(repr(error))

        self._threads.append(threading.Thread(target=loop))
        self._threads[-1].start()

    def stop(self) -> None:
        """End all of them."""
        self._done.set()
        for thread in self._threads:
            thread.join()


def writing(url: str, moved: list[int]) -> Callable[[random.Random], None]:
    """Move amounts from one column to the other, in two statements of one transaction."""

    def work(chance: random.Random) -> None:
        number, amount = chance.randint(1, 200), chance.randint(1, 9)
        with psycopg.connect(url) as conn:
            conn.execute("UPDATE accounts SET a = a - %s WHERE id = %s", (amount, number))
            conn.execute("UPDATE accounts SET b = b + %s WHERE id = %s", (amount, number))
        moved.append(number)

    return work


def reading(url: str, failures: list[str]) -> Callable[[random.Random], None]:
    """Look for rows that are neither before nor after, and for lost ones."""

    def work(chance: random.Random) -> None:
        with psycopg.connect(url) as conn:
            found: list[tuple[Any, ...]] = conn.execute(
                f"{BROKEN} UNION ALL SELECT count(*) FROM accounts".encode()
            ).fetchall()
            if sorted(found) != [(0,), (200,)]:
                failures.append(f"saw {found}")

    return work


@pytest.mark.parametrize("policy", ["replace", "take-backup", "keep-live"])
def test_readers_and_writers_never_see_or_leave_a_broken_state(deployment: Deployment, policy: Any) -> None:
    """Amounts move between two columns all the time; their sum holds before, during and after every restore."""
    deployment.sql(SCRIPT)
    deployment.back_up(full=True)
    programs, moved, seen = _Programs(), list[int](), list[str]()
    for seed in (1, 2):
        programs.start(writing(deployment.url, moved), seed=seed)
    programs.start(reading(deployment.url, seen), seed=3)
    try:
        for _ in range(3):
            before = len(moved)
            [outcome] = deployment.restore(in_place=True, on_conflict=policy, reason="a test").tables
            assert outcome.status == "restored", outcome.error
            assert outcome.equal or policy == "keep-live"
            while len(moved) < before + 20:
                assert not programs.failures
    finally:
        programs.stop()
    assert (programs.failures, seen) == ([], [])
    assert deployment.sql(f"{BROKEN} UNION ALL SELECT count(*) FROM accounts ORDER BY 1") == [(0,), (200,)]
