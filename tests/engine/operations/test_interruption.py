"""Kill -9 at any moment: the next run works unaided, nothing is damaged, and live data is as before or as restored."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.engine.deployment import Deployment
from tests.engine.operations.victim import Victim

SCRIPT = """
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id serial PRIMARY KEY, day date, customer int REFERENCES customers, note text);
CREATE INDEX ON orders (day, note);
CREATE TABLE events (day date, text text);
INSERT INTO customers SELECT i, md5(i::text) FROM generate_series(1, 2000) i;
INSERT INTO orders (day, customer, note)
    SELECT date '2025-01-01' + i % 90, 1 + i % 2000, md5(i::text) FROM generate_series(1, 12000) i;
INSERT INTO events SELECT date '2025-01-01' + i % 20, repeat(md5(i::text), 3) FROM generate_series(1, 12000) i;
"""
CHANGE = "UPDATE customers SET name = md5(name); UPDATE orders SET note = md5(note); UPDATE events SET text = md5(text)"
DAMAGE = """DELETE FROM orders WHERE id % 3 = 0; UPDATE orders SET note = 'gone';
DELETE FROM events WHERE day < '2025-01-15'; INSERT INTO events VALUES (NULL, 'odd')"""
TABLES = ("customers", "orders", "events")
_DEFINED = """SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0
              UNION ALL SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"""


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A deployment with three tables and a full backup."""
    deployment.sql(SCRIPT)
    deployment.back_up(full=True)
    return deployment


def state(deployment: Deployment, *, url: str | None = None, schema: str = "public") -> dict[str, str]:
    """A hash of every row of each table that exists."""
    found: dict[str, str] = {}
    for table in TABLES:
        name = f"{schema}.{table}"
        if deployment.sql(f"SELECT to_regclass('{name}') IS NOT NULL", url=url) == [(True,)]:
            text = f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text COLLATE \"C\")) FROM {name} t"
            found[table] = deployment.sql(text, url=url)[0][0]
    return found


def changes_of_a_backup(deployment: Deployment) -> int:
    """How many changes of files a whole backup of changed tables makes."""
    deployment.sql(CHANGE)
    with Victim(deployment, "backup") as victim:
        victim.begin()
        said = victim.wait_for("done")
    return next(int(word.split()[1]) for word in said if word.startswith("changes"))


def kill_backups(deployment: Deployment, moments: list[int]) -> None:
    """Kill backups before the given changes of files; look after each, and take one in between."""
    for moment in moments:
        deployment.sql(CHANGE)
        listed = [backup.id for backup in deployment.backups()]
        with Victim(deployment, "backup", kill_at=moment) as victim:
            victim.begin()
            victim.wait_for("done")
            assert victim.end() == -signal.SIGKILL
        assert deployment.faults() == [], moment
        assert [backup.id for backup in deployment.backups()][: len(listed)] == listed
        taken = deployment.back_up()
        assert deployment.faults() == [], moment
        assert deployment.restore(schema="proof", backup=taken.manifest.id).complete
        assert state(deployment, schema="proof") == state(deployment)
        deployment.sql("DROP SCHEMA proof CASCADE")


def duration(deployment: Deployment, operation: str, *, target: str) -> float:
    """Seconds the operation takes when nobody kills it."""
    with Victim(deployment, operation, target=target) as victim:
        began = time.monotonic()
        victim.begin()
        victim.wait_for("done")
        return time.monotonic() - began


def kill_after(deployment: Deployment, operation: str, *, target: str, seconds: float) -> None:
    """Kill the operation so long after its beginning, and wait until the server has noticed."""
    with Victim(deployment, operation, target=target) as victim:
        victim.begin()
        time.sleep(seconds)
        victim.kill()
        victim.wait_for_its_sessions()


def kill_restores_in_place(deployment: Deployment, fractions: list[float]) -> None:
    """Kill restores in place after fractions of their duration; look after each, and let the next one succeed."""
    deployment.sql("ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey")
    good = state(deployment)
    deployment.sql(DAMAGE)
    damaged = state(deployment)
    whole = duration(deployment, "restore_in_place", target=deployment.url)
    assert state(deployment) == good
    for fraction in fractions:
        deployment.sql(DAMAGE)
        kill_after(deployment, "restore_in_place", target=deployment.url, seconds=fraction * whole)
        found = state(deployment)
        assert all(found[table] in (good[table], damaged[table]) for table in TABLES), fraction
        assert deployment.restore_in_place().complete
        assert state(deployment) == good
        assert deployment.faults() == []


def kill_restores_into_new_tables(deployment: Deployment, fractions: list[float], *, target: str) -> None:
    """Kill restores into an empty database: every table is whole or absent, and a resumed restore does the rest."""
    good = state(deployment)
    everything = ", ".join(TABLES)
    whole = duration(deployment, "restore_new", target=target)
    for fraction in fractions:
        deployment.sql(f"DROP TABLE IF EXISTS {everything} CASCADE", url=target)
        kill_after(deployment, "restore_new", target=target, seconds=fraction * whole)
        assert state(deployment, url=target).items() <= good.items(), fraction
        result = deployment.restore(target, resume=True)
        assert result.complete, (fraction, result)
        assert state(deployment, url=target) == good
        assert deployment.sql(_DEFINED, url=target) == deployment.sql(_DEFINED), fraction


def test_a_backup_killed_at_any_change_of_a_file_leaves_a_sound_repository(shop):
    """Early, in the middle, and around the publishing: no fault, no half backup, and the next one is whole."""
    last = changes_of_a_backup(shop)
    kill_backups(shop, [1, last // 4, last // 2, last - 12, last - 8, last - 5, last - 3, last - 1])


def test_a_restore_in_place_killed_at_any_moment_leaves_each_table_as_before_or_as_restored(shop):
    """Never between, and the next restore works unaided."""
    kill_restores_in_place(shop, [0.1, 0.35, 0.5, 0.65, 0.8, 0.95])


def test_a_restore_into_new_tables_killed_at_any_moment_is_resumed(shop, empty_database):
    """Each table is one transaction, and resuming ends where one go would have."""
    kill_restores_into_new_tables(shop, [0.3, 0.6, 0.8, 0.95], target=empty_database())


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(3))
def test_backups_and_restores_killed_at_random_leave_nothing_between(shop, empty_database, seed):
    """The same promises at sixty moments drawn by chance."""
    chance = random.Random(seed)
    last = changes_of_a_backup(shop)
    kill_backups(shop, [chance.randint(1, last - 1) for _ in range(20)])
    kill_restores_into_new_tables(shop, [chance.random() for _ in range(20)], target=empty_database())
    kill_restores_in_place(shop, [chance.random() for _ in range(20)])
