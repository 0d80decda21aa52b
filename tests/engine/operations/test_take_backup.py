"""Backups: what each costs, what an incremental one sees, what stands against one, and what limits mean."""

from __future__ import annotations

from typing import Any

import pytest

from moi_backup.errors import ConfigurationError, SourceError, UsageError
from moi_backup.model.day import parse_day_range
from moi_backup.model.table import TableName
from moi_backup.repository import layout
from tests.engine.deployment import Deployment
from tests.engine.oracle import database_of, rows_of

SALES = TableName("public", "sales")
SCRIPT = """
CREATE TYPE state AS ENUM ('paid', 'open');
CREATE TABLE sales (id int PRIMARY KEY, day date, amount numeric(10, 2), state state DEFAULT 'open');
INSERT INTO sales SELECT i, CASE WHEN i % 50 > 0 THEN date '2025-01-01' + i % 200 END, i / 3.0
    FROM generate_series(1, 1000) i;
CREATE TABLE notes (id int, text text);
INSERT INTO notes SELECT i, repeat('n', i) FROM generate_series(1, 10) i;
"""
PARTED = """
CREATE TABLE parted (id int, day date) PARTITION BY LIST (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted SELECT 1 + i % 2, date '2025-01-01' + i FROM generate_series(1, 20) i;
CREATE TABLE parted_3 (id int, day date);
INSERT INTO parted_3 VALUES (3, '2025-01-05'), (3, NULL);
"""


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A deployment with two tables and one full backup."""
    deployment.sql(SCRIPT)
    deployment.back_up(full=True)
    return deployment


def restored(deployment: Deployment, **request: Any) -> dict[str, Any]:
    """The newest backup's tables, restored into a scratch schema that is dropped afterwards."""
    result = deployment.restore(schema="scratch", **request)
    assert result.complete, result
    rows = database_of(deployment.url, schema="scratch")
    deployment.sql("DROP SCHEMA scratch CASCADE")
    return {name.replace("scratch", "public", 1): rows for name, rows in rows.items()}


def new_chunks(deployment: Deployment, *, full: bool = False) -> dict[str, int]:
    """Take a backup; the new chunks of each table."""
    return {entry.table.name: entry.new_chunks for entry in deployment.back_up(full=full).manifest.tables}


def test_a_backup_without_changes_writes_its_manifest_alone(shop):
    """No chunk, no list, no table manifest, no schema archive: a few kilobytes and a link of the chain."""
    before = shop.objects()
    taken = shop.back_up(full=False)
    written = {name: data for name, data in shop.objects().items() if name not in before}
    assert set(written) == {layout.backup_name(taken.manifest.id), layout.chain_name(2)}
    assert sum(map(len, written.values())) < 8_000
    assert taken.manifest.kind == "incremental"
    assert [entry.bytes_written for entry in taken.manifest.tables] == [0, 0]


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO sales VALUES (2000, '2025-03-03', 1)",
        "INSERT INTO sales VALUES (2000, '1999-01-01', 1)",
        "INSERT INTO sales VALUES (2000, NULL, 1)",
        "UPDATE sales SET amount = 0 WHERE id = 77",
        "UPDATE sales SET amount = amount WHERE id = 77; UPDATE sales SET amount = -1 WHERE day IS NULL",
        "DELETE FROM sales WHERE id = 77",
        "DELETE FROM sales WHERE day IS NULL AND id = 50",
        "DELETE FROM sales WHERE day IS NULL",
        "UPDATE sales SET day = '2025-07-01' WHERE id = 77",
        "UPDATE sales SET day = NULL WHERE id = 77",
        "UPDATE sales SET id = -id WHERE id = 77",
        "DELETE FROM sales WHERE id = 77; INSERT INTO sales VALUES (77, '2025-03-19', 5)",
        "TRUNCATE sales",
        "TRUNCATE sales; INSERT INTO sales VALUES (1, '2025-01-02', 3)",
        "VACUUM FULL sales",
        "CLUSTER sales USING sales_pkey",
        "ALTER TABLE sales ADD COLUMN channel text DEFAULT 'web'",
        "ALTER TABLE sales DROP COLUMN amount",
        "ALTER TABLE sales ALTER COLUMN amount TYPE numeric(12, 4)",
        "ALTER TABLE sales RENAME COLUMN amount TO cost",
        "ALTER TYPE state RENAME VALUE 'open' TO 'unpaid'",
        "ALTER TABLE sales DROP CONSTRAINT sales_pkey",
        """BEGIN; SAVEPOINT a; INSERT INTO sales VALUES (2000, '2025-03-03', 1); ROLLBACK TO a;
        INSERT INTO sales VALUES (2001, '2025-03-04', 1); COMMIT""",
    ],
)
def test_an_incremental_backup_holds_every_change(shop, change):
    """Whatever changed, rows or definition, the next incremental backup restores to the live rows."""
    shop.sql(change)
    shop.back_up(full=False)
    assert restored(shop) == database_of(shop.url)


@pytest.mark.parametrize(
    "change", ["VACUUM FULL sales", "CLUSTER sales USING sales_pkey", "VACUUM FREEZE sales", "ANALYZE sales"]
)
def test_rewriting_a_table_without_changing_it_writes_no_chunk(shop, change):
    """Rows that lie elsewhere and are the same have the same digest."""
    shop.sql(change)
    assert new_chunks(shop) == {"sales": 0, "notes": 0}


def test_an_update_that_moves_a_row_to_another_day_costs_both_months(shop):
    """The month it left and the month it came to are written, and nothing else."""
    shop.sql("UPDATE sales SET day = '2025-07-01' WHERE id = (SELECT min(id) FROM sales WHERE day = '2025-03-03')")
    assert new_chunks(shop) == {"sales": 2, "notes": 0}


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE parted ATTACH PARTITION parted_3 FOR VALUES IN (3)",
        "ALTER TABLE parted DETACH PARTITION parted_2",
        "DROP TABLE parted_2",
        "TRUNCATE parted_1",
        """ALTER TABLE parted DETACH PARTITION parted_2; UPDATE parted_2 SET day = '2025-02-02';
        ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES IN (2)""",
    ],
)
def test_partitions_that_come_and_go_are_seen(deployment, change):
    """Rows that came or went with a partition are in the next incremental backup, or out of it."""
    deployment.sql(PARTED)
    deployment.back_up()
    deployment.sql(change)
    deployment.back_up(full=False)
    assert restored(deployment) == database_of(deployment.url)


@pytest.mark.parametrize("full", [True, False])
def test_a_lost_chunk_is_written_anew(shop, full):
    """A full backup and an incremental one both notice that an object is gone, and heal the older backup."""
    chunks = [name for name in shop.objects("chunks/") if "sales" in name]
    shop.workspace.store().delete(chunks[0])
    assert shop.faults()
    assert new_chunks(shop, full=full)["sales"] == 1
    assert shop.faults() == []
    assert restored(shop) == database_of(shop.url)


def test_a_chunk_of_another_size_is_written_anew(shop):
    """A cut-off object is not reused."""
    name = next(name for name in shop.objects("chunks/") if "sales" in name)
    shop.workspace.store().put(name, b"short")
    assert new_chunks(shop)["sales"] == 1
    assert shop.faults() == []


def test_backups_before_and_after_a_change_both_restore(shop):
    """An incremental backup is complete by itself, and the one before it keeps what it held."""
    before = rows_of(shop.url, "public.sales")
    first = shop.backups()[0].id
    shop.sql("DELETE FROM sales WHERE id < 500; UPDATE sales SET amount = 0")
    shop.back_up(full=False)
    assert restored(shop, tables=(SALES,))["public.sales"] == rows_of(shop.url, "public.sales")
    assert restored(shop, tables=(SALES,), backup=first)["public.sales"] == before


@pytest.mark.parametrize(
    "tables",
    [
        '[tables."public.missing"]',
        '[tables."public.sales"]\nday = "when"',
        '[tables."public.sales"]\nkey = ["id", "nr"]',
        '[tables."public.sales"]\nrequired = ["amount", "total"]',
        '[tables."public.sales"]\nscopes = { financial = ["price"] }',
        '[tables."public.sales"]\nday = "amount"',
        '[tables."public.sales_view"]',
    ],
)
def test_a_configured_name_that_does_not_exist_stops_before_anything_is_written(shop, tables):
    """The repository is byte for byte what it was, the leases too."""
    shop.sql("CREATE VIEW sales_view AS SELECT * FROM sales")
    shop.configure(tables)
    everything = sorted((path, path.read_bytes()) for path in (shop.folder / "repository").rglob("*") if path.is_file())
    with pytest.raises(ConfigurationError):
        shop.back_up()
    assert (
        sorted((path, path.read_bytes()) for path in (shop.folder / "repository").rglob("*") if path.is_file())
        == everything
    )


def test_a_table_that_nobody_protects_cannot_be_asked_for(shop):
    """A name on the command line must be one of the protected tables."""
    with pytest.raises(UsageError, match="other"):
        shop.back_up(tables=(TableName("public", "other"),))


def test_a_limited_backup_is_no_latest_and_no_base(shop):
    """Limits by table or by day make a backup that others are never built on and that `latest` never means."""
    complete = shop.backups()[0].id
    shop.sql("UPDATE sales SET amount = 0")
    by_table = shop.back_up(tables=(SALES,)).manifest
    by_day = shop.back_up(days=parse_day_range("2025-01-01..2025-02-28")).manifest
    assert shop.restore(schema="a").backup == complete
    assert shop.restore(schema="b", backup="latest-full").backup == complete
    following = shop.back_up(full=False).manifest
    assert following.base == complete
    assert [backup.coverage.complete for backup in (by_table, by_day, following)] == [False, False, True]
    assert restored(shop) == database_of(shop.url)


def test_a_backup_of_some_days_restores_those_days_alone(shop):
    """In place nothing outside of its days is touched, not the rows without a day either, nor tables without days."""
    shop.configure('[tables."public.sales"]\n[tables."public.notes"]')
    taken = shop.back_up(days=parse_day_range("2025-02-01..2025-02-28")).manifest
    within = "day BETWEEN '2025-02-01' AND '2025-02-28'"
    before = rows_of(shop.url, "public.sales", where=within)
    shop.sql("UPDATE sales SET amount = -1; INSERT INTO sales VALUES (3000, '2025-02-03', 1), (3001, '2025-03-01', 1)")
    outside = rows_of(shop.url, "public.sales", where=f"({within}) IS NOT TRUE")
    notes = rows_of(shop.url, "public.notes")
    shop.restore_in_place(backup=taken.id)
    assert rows_of(shop.url, "public.sales", where=within) == before
    assert rows_of(shop.url, "public.sales", where=f"({within}) IS NOT TRUE") == outside
    assert rows_of(shop.url, "public.notes") == notes


def test_days_outside_of_a_backups_coverage_are_refused(shop):
    """Asking for more than a limited backup covers is an error before anything is written."""
    taken = shop.back_up(days=parse_day_range("2025-02-01..2025-02-28")).manifest
    with pytest.raises(UsageError, match="covers only"):
        shop.restore_in_place(backup=taken.id, tables=(SALES,), days=parse_day_range("2025-02-01..2025-03-01"))


def test_a_backup_of_some_tables_leaves_the_others_alone(shop):
    """A restore of everything in it touches what it covers, and asking for another table is an error."""
    taken = shop.back_up(tables=(SALES,)).manifest
    shop.sql("DELETE FROM sales; DELETE FROM notes WHERE id > 5")
    result = shop.restore_in_place(backup=taken.id)
    assert result.complete
    assert [table.table for table in result.tables] == [SALES]
    assert shop.sql("SELECT (SELECT count(*) FROM sales), (SELECT count(*) FROM notes)") == [(1000, 5)]
    with pytest.raises(UsageError, match="notes"):
        shop.restore_in_place(backup=taken.id, tables=(TableName("public", "notes"),))


def test_a_policy_that_hides_rows_stops_the_backup_by_the_tables_name(shop, postgres_server):
    """A role that row-level security applies to would see fewer rows, so no backup is published."""
    shop.sql(
        "CREATE ROLE watched LOGIN PASSWORD 'watched-word'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO watched;"
        "ALTER TABLE sales ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON sales USING (id < 10)"
    )
    watched = Deployment(
        postgres_server.url(shop.url.rpartition("/")[2], user="watched", password="watched-word"), shop.folder
    )
    with pytest.raises(SourceError, match='row-level security policy for table "sales"'):
        watched.back_up()
    assert len(shop.backups()) == 1
    shop.sql("DROP OWNED BY watched; DROP ROLE watched")
