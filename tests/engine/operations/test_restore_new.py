"""Restores into new tables: one table's failure is its own, and what exists is never touched."""

from __future__ import annotations

import pytest

from moi_backup.errors import UsageError
from moi_backup.model.day import parse_day_range
from moi_backup.model.restore import RestoreResult
from moi_backup.model.table import TableName
from tests.engine.deployment import Deployment
from tests.engine.oracle import database_of, rows_of

SCRIPT = """
CREATE TYPE state AS ENUM ('paid', 'open');
CREATE DOMAIN percent AS numeric(5, 2);
CREATE TABLE customers (id int PRIMARY KEY, name text);
INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 20) i;
CREATE TABLE orders (id serial PRIMARY KEY, day date, customer int REFERENCES customers, state state, share percent);
INSERT INTO orders (day, customer, state, share)
    SELECT date '2025-01-01' + i, i, 'open', 12.34 FROM generate_series(1, 20) i;
CREATE TABLE plain (id int, day date);
INSERT INTO plain SELECT i, date '2025-01-01' + i FROM generate_series(1, 20) i;
CREATE TABLE z_base (id int, day date);
INSERT INTO z_base VALUES (1, '2025-01-01');
CREATE TABLE a_heir (more int) INHERITS (z_base);
INSERT INTO a_heir VALUES (2, '2025-01-01', 3);
"""

FOREIGN_KEYS = "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f'"


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A deployment with a full backup."""
    deployment.sql(SCRIPT)
    deployment.back_up(full=True)
    return deployment


def failures(result: RestoreResult) -> dict[str, str]:
    """The tables that were not restored, and what is told of them."""
    return {outcome.table.name: outcome.error for outcome in result.tables if outcome.status != "restored"}


def test_a_table_that_exists_is_refused_and_the_others_are_restored(shop, empty_database):
    """What is there is not touched; a foreign key to it can be made, and what could not be is told."""
    target = empty_database()
    shop.sql("CREATE TABLE plain (own text); INSERT INTO plain VALUES ('mine')", url=target)
    result = shop.restore(target)
    assert list(failures(result)) == ["plain"]
    assert result.exit_code == 3
    assert shop.sql("SELECT * FROM plain", url=target) == [("mine",)]
    live, restored = database_of(shop.url), database_of(target)
    assert {name: restored[name] for name in live if name != "public.plain"} == {
        name: rows for name, rows in live.items() if name != "public.plain"
    }


def test_a_parent_that_exists_stops_only_the_tables_that_inherit_from_it(shop, empty_database):
    """A table that cannot be created without one that is not restored fails alone."""
    target = empty_database()
    shop.sql("CREATE TABLE z_base (id int, day date)", url=target)
    result = shop.restore(target)
    assert set(failures(result)) == {"z_base", "a_heir"}
    assert "z_base" in failures(result)["a_heir"]
    assert result.exit_code == 3


def test_a_type_that_is_missing_stops_only_its_table(shop, empty_database):
    """A scratch schema has no types of its own: in a database without them the table fails, the others do not."""
    target = empty_database()
    result = shop.restore(target, schema="scratch")
    assert list(failures(result)) == ["orders"]
    assert "state" in failures(result)["orders"]
    assert result.exit_code == 3
    assert rows_of(target, "scratch.plain") == rows_of(shop.url, "public.plain")


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ("CREATE TYPE state AS ENUM ('paid', 'unpaid')", "open"),
        ("CREATE DOMAIN percent AS numeric(5, 1)", "not those of the backup"),
        ("CREATE SEQUENCE orders_id_seq", "orders_id_seq"),
    ],
)
def test_what_exists_and_does_not_fit_stops_only_its_table(shop, empty_database, there, told):
    """A type that refuses or changes values is found out before the commit, and only its table is left out."""
    target = empty_database()
    shop.sql(there, url=target)
    result = shop.restore(target)
    assert list(failures(result)) == ["orders"]
    assert told in failures(result)["orders"]
    assert result.exit_code == 3
    assert "public.orders" not in database_of(target)
    assert rows_of(target, "public.customers") == rows_of(shop.url, "public.customers")


@pytest.mark.parametrize("prefix", ["chunks/", "tables/"])
def test_damage_stops_only_its_table(shop, empty_database, prefix):
    """A lost object costs the tables that need it, and they are named."""
    repository, manifest = shop.workspace.open(), shop.backups()[0]
    entry = next(entry for entry in manifest.tables if entry.table.name == "plain")
    [month] = repository.read_table(entry.manifest).months
    lost = f"tables/{month.list}"
    if prefix == "chunks/":
        [lost] = [name for name in shop.objects("chunks/") if name.startswith("chunks/public.plain/")]
    shop.workspace.store().delete(lost)
    target = empty_database()
    result = shop.restore(target)
    assert list(failures(result)) == ["plain"]
    assert lost in failures(result)["plain"]
    assert result.exit_code == 3
    assert "public.plain" not in database_of(target)


def test_rotten_bytes_are_never_restored(shop, empty_database):
    """A chunk of the right size with one byte changed is found by its hash, and the table stays as it was."""
    store = shop.workspace.store()
    [name] = [name for name in shop.objects("chunks/") if name.startswith("chunks/public.plain/")]
    data = bytearray(store.get(name))
    data[len(data) // 2] ^= 1
    store.put(name, bytes(data))
    assert list(failures(shop.restore(empty_database()))) == ["plain"]
    shop.sql("DELETE FROM plain")  # else the bytes would not be needed
    before = database_of(shop.url)
    result = shop.restore_in_place(tables=(TableName("public", "plain"),))
    assert name in failures(result)["plain"]
    assert database_of(shop.url) == before


def test_a_target_that_refuses_everything_gives_exit_code_1(shop):
    """Restoring over the live tables without saying so restores nothing."""
    before = database_of(shop.url)
    result = shop.restore()
    assert len(failures(result)) == len(before)
    assert result.exit_code == 1
    assert database_of(shop.url) == before


def test_chosen_tables_and_days_come_alone(shop, empty_database):
    """Only what was asked for is created, with the rows of its days."""
    target = empty_database()
    result = shop.restore(
        target, tables=(TableName("public", "plain"),), days=parse_day_range("2025-01-05..2025-01-06")
    )
    assert result.complete, result
    assert database_of(target) == {"public.plain": rows_of(shop.url, "public.plain", where="id IN (4, 5)")}


def test_a_table_without_days_is_refused_when_days_are_asked_for(shop, empty_database):
    """It has no part that could be meant."""
    result = shop.restore(empty_database(), days=parse_day_range("2025-01-05"))
    assert list(failures(result)) == ["customers"]
    assert "no day column" in failures(result)["customers"]


def test_a_foreign_key_that_cannot_be_made_is_a_problem_and_its_rows_stay(shop, empty_database):
    """Without the table it refers to, the key is left out by name."""
    target = empty_database()
    result = shop.restore(target, tables=(TableName("public", "orders"),))
    assert failures(result) == {}
    assert "orders_customer_fkey" in " ".join(result.problems)
    assert result.exit_code == 3
    assert rows_of(target, "public.orders") == rows_of(shop.url, "public.orders")


def test_a_table_restored_alone_keeps_its_foreign_key_to_a_table_that_is_there(shop, empty_database):
    """The key is made and checked against the rows there, and the table there is left as it is."""
    target = empty_database()
    assert shop.restore(target, tables=(TableName("public", "customers"),)).complete
    assert shop.restore(target, tables=(TableName("public", "orders"),)).complete
    [key] = shop.sql(FOREIGN_KEYS)
    assert shop.sql(FOREIGN_KEYS, url=target) == [key]
    for table in ("public.customers", "public.orders"):
        assert rows_of(target, table) == rows_of(shop.url, table)


def test_a_foreign_key_that_the_rows_there_break_is_a_problem_and_the_rows_stay(shop, empty_database):
    """A customer that an order names is gone from the table that is there."""
    target = empty_database()
    assert shop.restore(target, tables=(TableName("public", "customers"),)).complete
    shop.sql("DELETE FROM customers", url=target)
    result = shop.restore(target, tables=(TableName("public", "orders"),))
    assert failures(result) == {}
    assert "orders_customer_fkey" in " ".join(result.problems)
    assert rows_of(target, "public.orders") == rows_of(shop.url, "public.orders")


def test_sequences_go_on_where_the_backup_saw_them(shop, empty_database):
    """The next number of a restored serial column is a new one."""
    target = empty_database()
    assert shop.restore(target).complete
    assert shop.sql("SELECT nextval('orders_id_seq')", url=target) == [(21,)]


def test_a_table_that_the_backup_does_not_hold_cannot_be_asked_for(shop, empty_database):
    """The error names what the backup covers."""
    with pytest.raises(UsageError, match=r"public\.plain"):
        shop.restore(empty_database(), tables=(TableName("public", "absent"),))
