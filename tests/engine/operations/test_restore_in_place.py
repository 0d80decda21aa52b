"""Restores in place replace what was asked for and nothing else, or refuse by name and write nothing."""

from __future__ import annotations

import threading

import psycopg
import pytest

from moi_backup.errors import UsageError
from moi_backup.model.day import parse_day_range
from moi_backup.model.table import TableName
from tests.engine.deployment import Deployment
from tests.engine.oracle import database_of, rows_of

SALES = TableName("public", "sales")
DAY = parse_day_range("2025-01-10")
SCRIPT = """
CREATE DOMAIN percent AS numeric(5, 2);
CREATE TABLE sales (
    id serial PRIMARY KEY, day date, code text UNIQUE, share percent, amount numeric(10, 2), note varchar(20),
    twice numeric GENERATED ALWAYS AS (amount * 2) STORED);
INSERT INTO sales (day, code, share, amount)
    SELECT CASE WHEN i % 20 > 0 THEN date '2025-01-01' + i % 30 END, 'c' || i, 12.34 + i % 50, i
    FROM generate_series(1, 300) i;
CREATE TABLE lines (id int PRIMARY KEY, sale int);
CREATE FUNCTION halve() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.amount := NEW.amount / 2; RETURN NEW; END';
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
"""

# Every kind of change on the day, so that every kind of statement is needed.
LOSS = """DELETE FROM sales WHERE id = 39; UPDATE sales SET note = 'changed' WHERE id = 69;
INSERT INTO sales (id, day, code) VALUES (9999, '2025-01-10', 'new')"""
REFERRING = "INSERT INTO lines VALUES (1, 9999)"
ON_INSERT = "BEFORE INSERT ON sales FOR EACH ROW EXECUTE FUNCTION halve()"
OBSTACLES = [
    ("trigger halving", f"CREATE TRIGGER halving {ON_INSERT}"),
    ("trigger keeping", "CREATE TRIGGER keeping BEFORE DELETE ON sales FOR EACH ROW EXECUTE FUNCTION keep()"),
    ("trigger always", f"CREATE TRIGGER always {ON_INSERT}; ALTER TABLE sales ENABLE ALWAYS TRIGGER always"),
    ("trigger each_load", "CREATE TRIGGER each_load AFTER INSERT ON sales EXECUTE FUNCTION keep()"),
    ("rule nothing", "CREATE RULE nothing AS ON DELETE TO sales DO INSTEAD NOTHING"),
    ("rule copy", "CREATE RULE copy AS ON INSERT TO sales DO ALSO INSERT INTO lines VALUES (NEW.id, NEW.id)"),
    ("sales_pkey", "UPDATE sales SET day = '2025-02-20' WHERE id = 9"),
    ("sales_code_key", "UPDATE sales SET code = 'was c9' WHERE id = 9; UPDATE sales SET code = 'c9' WHERE id = 1"),
    (
        "loud",
        """UPDATE sales SET code = 'was c9' WHERE id = 9; UPDATE sales SET code = 'C9' WHERE id = 1;
        CREATE UNIQUE INDEX loud ON sales (upper(code))""",
    ),
    ("of_sale", "ALTER TABLE lines ADD CONSTRAINT of_sale FOREIGN KEY (sale) REFERENCES sales; " + REFERRING),
    (
        "of_sale",
        "ALTER TABLE lines ADD CONSTRAINT of_sale FOREIGN KEY (sale) REFERENCES sales ON DELETE CASCADE; " + REFERRING,
    ),
    (
        "column more",
        "ALTER TABLE sales ADD COLUMN more int NOT NULL DEFAULT 7; ALTER TABLE sales ALTER COLUMN more DROP DEFAULT",
    ),
    ("column day", "ALTER TABLE sales ALTER COLUMN day TYPE timestamp"),
    ("day column", "ALTER TABLE sales RENAME COLUMN day TO date"),
    ("does not exist", "DROP TABLE sales"),
    ("not a table", "DROP TABLE sales; CREATE VIEW sales AS SELECT 1 AS id, date '2025-01-10' AS day"),
    ("small", "UPDATE sales SET amount = 1; ALTER TABLE sales ADD CONSTRAINT small CHECK (amount < 5)"),
]


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A deployment with a full backup."""
    deployment.sql(SCRIPT)
    deployment.back_up(full=True)
    return deployment


@pytest.mark.parametrize(("told", "obstacle"), OBSTACLES)
def test_what_stands_against_a_restore_in_place_is_named_and_nothing_is_written(shop, told, obstacle):
    """Triggers, rules, keys and references outside of the range and columns that do not fit are told by name."""
    shop.sql(LOSS)
    shop.sql(obstacle)
    before = database_of(shop.url) if "VIEW" not in obstacle else {}
    result = shop.restore_in_place(tables=(SALES,), days=DAY)
    [outcome] = result.tables
    assert outcome.status in ("refused", "failed")
    assert told in outcome.error
    assert result.exit_code == 1
    assert before in ({}, database_of(shop.url))


def test_row_level_security_that_applies_to_the_role_is_refused(shop, postgres_server):
    """A role whose view of the table is filtered by a policy would delete too little and prove too little."""
    name = shop.url.rpartition("/")[2]
    shop.sql(
        "CREATE ROLE clerk LOGIN PASSWORD 'clerk-word'; GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk;"
        f"GRANT TEMPORARY ON DATABASE {name} TO clerk;"
        "ALTER TABLE sales ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON sales USING (id < 20)"
    )
    before = database_of(shop.url)
    result = shop.restore(
        postgres_server.url(name, user="clerk", password="clerk-word"),
        in_place=True,
        on_conflict="replace",
        reason="a test",
        tables=(SALES,),
    )
    assert "row-level security" in result.tables[0].error
    assert database_of(shop.url) == before
    shop.sql("DROP OWNED BY clerk; DROP ROLE clerk")


def test_a_day_is_replaced_whatever_became_of_its_rows(shop):
    """Changed, deleted and added rows of the day give way to those of the backup; every other row stays."""
    on_day = "day = '2025-01-10'"
    before = rows_of(shop.url, "public.sales", where=on_day)
    shop.sql(
        "DELETE FROM sales WHERE id = 9; UPDATE sales SET amount = -1;"
        "INSERT INTO sales (day, code) VALUES ('2025-01-10', 'new'), ('2025-01-11', 'other')"
    )
    outside = rows_of(shop.url, "public.sales", where=f"({on_day}) IS NOT TRUE")
    result = shop.restore_in_place(tables=(SALES,), days=DAY)
    assert result.complete, result
    assert result.tables[0].replaced == len(before)  # one deleted, one added
    assert rows_of(shop.url, "public.sales", where=on_day) == before
    assert rows_of(shop.url, "public.sales", where=f"({on_day}) IS NOT TRUE") == outside


def test_a_day_that_the_backup_has_no_rows_of_is_emptied(shop):
    """Rows that were added to a day that was empty go."""
    shop.sql("INSERT INTO sales (day, code) VALUES ('2025-03-05', 'new')")
    assert shop.restore_in_place(tables=(SALES,), days=parse_day_range("2025-03-01..2025-03-31")).complete
    assert shop.sql("SELECT count(*) FROM sales WHERE code = 'new'") == [(0,)]


def test_a_table_is_replaced_with_its_rows_without_a_day(shop):
    """Everything in it is as in the backup, whatever the day."""
    before = rows_of(shop.url, "public.sales")
    shop.sql("DELETE FROM sales WHERE id % 3 = 0; UPDATE sales SET day = NULL; INSERT INTO sales (code) VALUES ('new')")
    assert shop.restore_in_place(tables=(SALES,)).complete
    assert rows_of(shop.url, "public.sales") == before


def test_references_that_stay_satisfied_do_not_stand_against_it(shop):
    """Rows of another table that refer to rows outside of the range, and a trigger on UPDATE, are no obstacle."""
    shop.sql(
        "ALTER TABLE lines ADD FOREIGN KEY (sale) REFERENCES sales; INSERT INTO lines VALUES (1, 11);"
        "CREATE TRIGGER halving BEFORE UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION halve();"
        "CREATE TRIGGER off BEFORE INSERT ON sales FOR EACH ROW EXECUTE FUNCTION halve();"
        "ALTER TABLE sales DISABLE TRIGGER off"
    )
    assert shop.restore_in_place(tables=(SALES,), days=DAY).complete


def test_sequences_move_forward_and_never_back(shop):
    """A sequence that was set back is moved to the backup's position; one that went on stays where it is."""
    shop.sql("SELECT setval('sales_id_seq', 5)")
    assert shop.restore_in_place(tables=(SALES,)).complete
    assert shop.sql("SELECT nextval('sales_id_seq')") == [(301,)]
    shop.sql("SELECT setval('sales_id_seq', 1000)")
    assert shop.restore_in_place(tables=(SALES,)).complete
    assert shop.sql("SELECT nextval('sales_id_seq')") == [(1001,)]


def test_a_sequence_that_cannot_be_moved_is_a_problem_and_not_a_failed_table(deployment, postgres_server):
    """The rows are committed by then: the table is restored, and what is left to do is told."""
    name = deployment.url.rpartition("/")[2]
    deployment.sql(
        "CREATE SEQUENCE numbers; CREATE TABLE t (id bigint PRIMARY KEY DEFAULT nextval('numbers'));"
        "INSERT INTO t SELECT FROM generate_series(1, 9); CREATE ROLE keeper LOGIN PASSWORD 'keeper-word';"
        f"ALTER TABLE t OWNER TO keeper; GRANT TEMPORARY ON DATABASE {name} TO keeper;"
        "GRANT SELECT, USAGE ON numbers TO keeper"
    )
    deployment.back_up()
    deployment.sql("DELETE FROM t; SELECT setval('numbers', 1)")
    result = deployment.restore(
        postgres_server.url(name, user="keeper", password="keeper-word"),
        in_place=True,
        on_conflict="replace",
        reason="a test",
    )
    assert result.tables[0].status == "restored"
    assert deployment.sql("SELECT count(*) FROM t") == [(9,)]
    assert "numbers" in result.problems[0]
    assert result.exit_code == 3
    deployment.sql("DROP OWNED BY keeper CASCADE; DROP ROLE keeper")


@pytest.mark.parametrize("days", [None, DAY])
def test_rows_that_come_back_changed_are_rolled_back(shop, days):
    """A domain of the same name that rounds lets every row in: the proof finds it, and the table stays as it was."""
    shop.sql(
        "ALTER TABLE sales ALTER COLUMN share TYPE numeric; DROP DOMAIN percent;"
        "CREATE DOMAIN percent AS numeric(5, 1); ALTER TABLE sales ALTER COLUMN share TYPE percent"
    )
    before = database_of(shop.url)
    [outcome] = shop.restore_in_place(tables=(SALES,), days=days).tables
    assert outcome.status == "failed"
    assert "rows read back are not those" in outcome.error
    assert database_of(shop.url) == before


def test_one_table_that_is_refused_does_not_stop_the_others(shop):
    """The others are restored and the result says that it is not all."""
    shop.sql(
        "CREATE TRIGGER halving BEFORE INSERT ON sales FOR EACH ROW EXECUTE FUNCTION halve();"
        "INSERT INTO lines VALUES (1, 1); DELETE FROM sales WHERE id = 5"
    )
    result = shop.restore_in_place()
    found = {outcome.table.name: outcome.status for outcome in result.tables}
    assert found == {"sales": "refused", "lines": "restored"}
    assert result.exit_code == 3
    assert shop.sql("SELECT count(*) FROM lines") == [(0,)]


def test_a_locked_table_does_not_stop_the_others(shop, monkeypatch):
    """A table that somebody keeps locked is left as it is, by name, after a bounded wait."""
    monkeypatch.setattr("moi_backup.operations.restore_in_place.LOCK_TIMEOUT_MS", 300)
    monkeypatch.setattr("moi_backup.operations.restore_in_place.LOCK_ATTEMPTS", 2)
    with psycopg.connect(shop.url) as other:
        other.execute("LOCK TABLE sales IN ACCESS EXCLUSIVE MODE")
        result = shop.restore_in_place()
    assert {outcome.table.name: outcome.status for outcome in result.tables} == {
        "sales": "refused",
        "lines": "restored",
    }
    assert "lock" in result.tables[[o.table.name for o in result.tables].index("sales")].error


@pytest.mark.parametrize("missing", [{"on_conflict": None}, {"reason": "  "}])
def test_a_restore_in_place_needs_its_policy_and_its_reason(shop, missing):
    """Without one of them nothing is even planned."""
    request = {"in_place": True, "on_conflict": "replace", "reason": "a test", **missing}
    with pytest.raises(UsageError):
        shop.restore(**request)


def test_writers_wait_for_a_restore_and_then_go_on(shop):
    """A row that is inserted while the table is being replaced comes after it and is kept."""
    done = threading.Event()

    def insert() -> None:
        for number in range(100):
            if done.is_set():
                break
            shop.sql(f"INSERT INTO sales (day, code) VALUES ('2025-05-05', 'w{number}')")

    writer = threading.Thread(target=insert)
    writer.start()
    try:
        result = shop.restore_in_place(tables=(SALES,), days=DAY)
    finally:
        done.set()
        writer.join()
    assert result.complete, result
    found = shop.sql("SELECT count(*), max(substr(code, 2)::int) + 1 FROM sales WHERE day = '2025-05-05'")
    assert found[0][0] == found[0][1]


def test_columns_may_have_the_names_that_the_engine_gives_to_its_own(deployment):
    """What is added to a SELECT is never called as a column is: such a table is backed up and restored in place."""
    deployment.sql(
        "CREATE TABLE odd (moi_day int, moi_place int, at timestamptz, PRIMARY KEY (moi_day, moi_place));"
        "INSERT INTO odd SELECT i, -i, timestamptz '2025-01-01 12:00+00' + i * interval '7 h'"
        " FROM generate_series(1, 9) i"
    )
    deployment.configure('[tables.odd]\nday = "at"\n')
    deployment.back_up(full=True)
    deployment.sql("UPDATE odd SET at = at + interval '1 min' WHERE moi_day < 4; DELETE FROM odd WHERE moi_day = 5")
    [outcome] = deployment.restore_in_place().tables
    assert (outcome.status, outcome.equal) == ("restored", True), outcome.error
    assert deployment.sql("SELECT count(*), count(*) FILTER (WHERE extract(minute FROM at) = 0) FROM odd") == [(9, 9)]
