"""Backups beside busy writers show one moment of the database: no torn sum, no table that was empty for an instant."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from moi_backup.errors import Locked
from tests.engine.deployment import Deployment

ACCOUNTS, TOTAL = 400, 400_000
SCRIPT = """
CREATE TABLE savings (id int PRIMARY KEY, day date, amount bigint);
CREATE TABLE wallets (id int PRIMARY KEY, amount bigint);
INSERT INTO savings SELECT i, CASE WHEN i % 10 > 0 THEN date '2025-01-01' + i END, 1000
    FROM generate_series(1, 400, 2) i;
INSERT INTO wallets SELECT i, 1000 FROM generate_series(2, 400, 2) i;
"""
REFILL = """LOCK TABLE {table}; CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM {table};
TRUNCATE {table}; INSERT INTO {table} SELECT * FROM kept"""
REWRITES = (
    REFILL.format(table="savings"),
    "ALTER TABLE wallets ALTER COLUMN amount TYPE numeric",
    REFILL.format(table="wallets"),
    "ALTER TABLE wallets ALTER COLUMN amount TYPE bigint",
    "ALTER TABLE savings ALTER COLUMN amount TYPE numeric(20, 2)",
    "ALTER TABLE savings ALTER COLUMN amount TYPE bigint",
    """ALTER TABLE savings RENAME TO s; CREATE TABLE savings (LIKE s INCLUDING ALL);
    INSERT INTO savings SELECT * FROM s; DROP TABLE s""",
)

WAITING = """SELECT count(*) > 0 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
WHERE datname = current_database() AND NOT granted"""


@pytest.fixture
def bank(deployment: Deployment) -> Deployment:
    """A deployment whose two tables always hold the same number of accounts and the same sum together."""
    deployment.sql(SCRIPT)
    return deployment


@contextmanager
def at_work(
    url: str, *jobs: Callable[[psycopg.Connection[tuple[object, ...]], threading.Event], None]
) -> Iterator[None]:
    """Run jobs in threads of their own, each with its connection, until the context ends."""
    stop, failures = threading.Event(), list[BaseException]()

    def run(job: Callable[[psycopg.Connection[tuple[object, ...]], threading.Event], None]) -> None:
        try:
            with psycopg.connect(url) as conn:
                job(conn, stop)
        except BaseException as error:  # noqa: BLE001 - raised again where the test sees it
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert failures == []


def move_money(conn: psycopg.Connection[tuple[object, ...]], stop: threading.Event) -> None:
    """Move money and whole accounts between the tables, and accounts between days."""
    chance = random.Random(2)
    while not stop.is_set():
        a, b, amount = chance.randint(1, ACCOUNTS), chance.randint(1, ACCOUNTS), chance.randint(-50, 50)
        with suppress(psycopg.errors.DeadlockDetected, psycopg.errors.UndefinedTable), conn.transaction():
            paid = conn.execute(
                "UPDATE savings SET amount = amount - %s WHERE id = %s RETURNING 1", [amount, a]
            ).fetchone()
            got = conn.execute(
                "UPDATE wallets SET amount = amount + %s WHERE id = %s RETURNING 1", [amount, b]
            ).fetchone()
            if not (paid and got):
                raise psycopg.Rollback
            conn.execute("UPDATE savings SET day = %s WHERE id = %s", [f"2025-{chance.randint(1, 12):02d}-01", a])
        with suppress(psycopg.errors.DeadlockDetected, psycopg.errors.UndefinedTable), conn.transaction():
            there, here = ("savings", "wallets") if chance.random() < 0.5 else ("wallets", "savings")
            gone = f"DELETE FROM {there} WHERE id = {a} RETURNING id, amount"
            conn.execute(f"WITH gone AS ({gone}) INSERT INTO {here} (id, amount) SELECT * FROM gone".encode())


def rewrite_tables(conn: psycopg.Connection[tuple[object, ...]], stop: threading.Event) -> None:
    """Empty, fill, rewrite and replace the tables, each time in one transaction."""
    number, chance = 0, random.Random(1)
    while not stop.is_set():
        with suppress(psycopg.errors.DeadlockDetected), conn.transaction():
            conn.execute(REWRITES[number % len(REWRITES)].encode())
            number += 1
        stop.wait(chance.uniform(0.05, 0.4))


def restored_sums(bank: Deployment, url: str, *, schema: str) -> tuple[object, ...]:
    """Accounts and money of the newest backup, restored elsewhere."""
    result = bank.restore(url, schema=schema)
    assert result.complete, result
    accounts = f"SELECT id, amount FROM {schema}.savings UNION ALL SELECT id, amount FROM {schema}.wallets"
    return bank.sql(f"SELECT count(*)::int, count(DISTINCT id)::int, sum(amount)::int FROM ({accounts}) a", url=url)[0]


@pytest.mark.parametrize("jobs", [(move_money, move_money), (move_money, rewrite_tables)], ids=["moves", "rewrites"])
def test_every_backup_beside_busy_writers_holds_the_invariant(bank, empty_database, jobs):
    """Full or incremental, the sum over two tables is that of one moment, and no account is lost or doubled."""
    elsewhere = empty_database()
    with at_work(bank.url, *jobs):
        for number in range(8):
            bank.back_up(full=number % 2 == 0)
            assert restored_sums(bank, elsewhere, schema=f"s{number}") == (ACCOUNTS, ACCOUNTS, TOTAL)
    assert bank.faults() == []
    assert len({entry.digest for backup in bank.backups() for entry in backup.tables}) > 8


@pytest.mark.parametrize("rewrite", [*REWRITES[:2], REWRITES[-1]])
def test_a_rewrite_under_way_when_the_backup_begins_never_empties_it(bank, empty_database, rewrite):
    """The backup waits for the lock and then sees the rows as the rewrite left them."""
    with psycopg.connect(bank.url) as other:
        other.execute(rewrite.encode())
        taking = threading.Thread(target=bank.back_up)
        taking.start()
        _wait_until(bank, WAITING)
        other.commit()
        taking.join(30)
    assert restored_sums(bank, empty_database(), schema="s") == (ACCOUNTS, ACCOUNTS, TOTAL)


def test_a_truncate_during_the_backup_waits_for_its_end(bank, empty_database):
    """The snapshot's rows cannot be taken away between two tables."""
    listener = _TruncatesMeanwhile(bank.url)
    bank.back_up(progress=listener)
    listener.thread.join(30)
    assert bank.sql("SELECT count(*) FROM wallets") == [(0,)]
    assert restored_sums(bank, empty_database(), schema="s") == (ACCOUNTS, ACCOUNTS, TOTAL)


def test_a_deadlock_with_a_rewrite_of_several_tables_is_tried_again(bank, empty_database):
    """A transaction that locks the tables in another order costs the backup a moment, not the backup."""
    workspace, results = bank.workspace, []
    with psycopg.connect(bank.url) as other:
        other.execute("SET deadlock_timeout = '20s'")
        with workspace.writing(workspace.open(), operation="a test", wait=0):
            taking = threading.Thread(target=lambda: results.append(bank.back_up(wait=20.0)))
            taking.start()
            _wait_until(
                bank,
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'moi%' AND query = 'ROLLBACK'",
            )
            other.execute("LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE")
        _wait_until(bank, WAITING)
        other.execute("LOCK TABLE savings IN ACCESS EXCLUSIVE MODE")
        other.commit()
        taking.join(30)
    assert len(results) == 1
    assert restored_sums(bank, empty_database(), schema="s") == (ACCOUNTS, ACCOUNTS, TOTAL)


def test_a_table_that_stays_locked_stops_the_backup_after_a_bounded_wait(bank):
    """Exit code 11, and nothing is published."""
    bank.configure("[source]\nlock_timeout = 0.1\n")
    with psycopg.connect(bank.url) as other:
        other.execute("LOCK TABLE wallets IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Locked, match="locked"):
            bank.back_up()
    assert bank.backups() == []


class _TruncatesMeanwhile:
    """A listener that empties both tables as soon as the backup has begun with one of them."""

    def __init__(self, url: str) -> None:
        self.thread = threading.Thread(target=self._truncate, args=(url,))

    def _truncate(self, url: str) -> None:
        with psycopg.connect(url) as conn:
            conn.execute("TRUNCATE wallets, savings")

    def step(self, text: str) -> None:
        """Go on."""

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        """Begin to truncate."""
        if self.thread.ident is None:
            self.thread.start()
            self.thread.join(0.3)

    def advance(self, task: str, amount: int) -> None:
        """Go on."""

    def finish(self, task: str, note: str = "") -> None:
        """Go on."""

    def warn(self, text: str) -> None:
        """Go on."""


def _wait_until(deployment: Deployment, query: str) -> None:
    deadline = time.monotonic() + 20
    while deployment.sql(query) != [(True,)]:
        assert time.monotonic() < deadline, query
