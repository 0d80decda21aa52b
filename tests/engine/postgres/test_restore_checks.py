"""What stands against replacing some days of a live table is found and named before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import pytest

from moi_backup.model.table import Column, TableName
from moi_backup.postgres.foreign_key_checks import check_parents, check_references, referencing_tables
from moi_backup.postgres.restore_checks import check_unique_keys, mark_moved
from moi_backup.postgres.session import session_settings
from moi_backup.postgres.staged_changes import StagedChanges
from moi_backup.postgres.types import classify
from moi_backup.postgres.user_triggers import DELETE, INSERT, check_rules, check_triggers
from tests.engine.conftest import run_sql

SALES = TableName("public", "sales")
TABLE = """
CREATE TABLE public.sales (id integer PRIMARY KEY, day date, code text COLLATE "C" UNIQUE, note text);
INSERT INTO public.sales VALUES (1, '2025-01-01', 'a', 'x'), (2, '2025-01-02', 'b', 'x'), (3, NULL, 'c', 'x');
"""
SECOND = "day = '2025-01-02'"


def columns(**types: str) -> tuple[Column, ...]:
    """Columns of a backup by name and type."""
    return tuple(
        Column(name=name, pg_type=pg_type, encoding=classify(pg_type)[0], arrow=classify(pg_type)[1])
        for name, pg_type in types.items()
    )


STORED = columns(id="integer", day="date", code="text", note="text")
STAGED = StagedChanges(SALES, STORED)


@pytest.fixture
def refusals(database) -> Callable[..., list[str]]:
    """Set up the table with more SQL, stage rows, and run every check on an ADBC session."""
    url = database("checks")

    def find(setup: str, staged: str, *, replaced: str = SECOND, table: str = TABLE) -> list[str]:
        run_sql(url, table + setup)
        with closing(adbc.connect(url)) as conn, closing(conn.cursor()) as cursor:
            rows = executor(cursor)
            stage(cursor, staged, replaced)
            return [str(refusal) for refusal in all_refusals(rows, cursor)]

    return find


def stage(cursor: Any, come: str, replaced: str) -> None:
    """Stage rows of the backup; a live row that is replaced gives its place to the one with its id, or goes."""
    for statement in STAGED.create_sql().split(";"):
        cursor.execute(statement)
    if come:
        fields = "id, day, code, note"
        cursor.execute(
            f"INSERT INTO pg_temp.moi_come SELECT {fields}, row_number() OVER (),"
            f" (SELECT tableoid::text || ' ' || ctid::text FROM public.sales o WHERE o.id = v.id AND {replaced})"
            f" FROM (VALUES {come}) AS v ({fields.replace('day', 'd')}), LATERAL (SELECT d::date AS day) AS l"
        )
    cursor.execute(
        "INSERT INTO pg_temp.moi_gone SELECT tableoid::text || ' ' || ctid::text FROM public.sales"
        f" WHERE {replaced} AND id NOT IN (SELECT id FROM pg_temp.moi_come)"
    )
    for statement in STAGED.places_sql().split(";"):
        cursor.execute(statement)


def all_refusals(rows: Callable[[str], list[tuple[Any, ...]]], cursor: Any) -> list[Any]:
    """Every check, as a restore runs them when it deletes and inserts rows."""
    mark_moved(rows, cursor.execute, STAGED)
    events = DELETE | INSERT
    return [
        *check_triggers(rows, SALES, events),
        *check_rules(rows, SALES, events),
        *check_unique_keys(rows, STAGED),
        *check_references(rows, STAGED),
        *check_parents(rows, STAGED),
    ]


def executor(cursor: Any) -> Callable[[str], list[tuple[Any, ...]]]:
    """Run queries in the session settings of a restore."""
    for setting in session_settings(server_version=150000, lock_timeout_ms=1000):
        cursor.execute(setting)

    def rows(sql: str) -> list[tuple[Any, ...]]:
        cursor.execute(sql)
        return cursor.fetchall()

    return rows


def test_a_plain_replacement_is_not_refused(refusals):
    """The rows that go may come back, with their keys, beside rows that were never there."""
    assert refusals("", "(2, '2025-01-02', 'b', 'new'), (9, '2025-01-02', 'z', 'new')") == []


def test_a_key_held_outside_of_the_range_is_refused(refusals):
    """Also by a row without a day; the indexes are named, and NULL keys collide with nothing."""
    found = refusals("", "(3, '2025-01-02', 'a', 'n'), (9, '2025-01-02', NULL, 'n'), (10, '2025-01-02', NULL, 'n')")
    why = "1 rows of the backup have a key that rows which stay hold"
    assert found == [f"unique index sales_code_key: {why}", f"unique index sales_pkey: {why}"]


def test_unique_indexes_over_expressions_and_partial_ones_are_understood(refusals):
    """The expression, its own collation and the predicate decide, on both sides."""
    setup = """CREATE UNIQUE INDEX by_lower ON public.sales (lower(code), (id % 2)) WHERE note <> 'free';
               UPDATE public.sales SET code = 'A', note = 'free' WHERE id = 3;"""
    assert refusals(setup, "(11, '2025-01-02', 'A', 'n')")[:1] == [
        "unique index by_lower: 1 rows of the backup have a key that rows which stay hold"
    ]
    assert refusals("", "(13, '2025-01-02', 'q', 'free')", table="") == []


def test_nulls_that_are_not_distinct_collide(refusals):
    """An index declared NULLS NOT DISTINCT takes one NULL only."""
    setup = "ALTER TABLE public.sales ADD CONSTRAINT one_null UNIQUE NULLS NOT DISTINCT (note);"
    setup = "UPDATE public.sales SET note = NULLIF(id, 3);" + setup
    found = refusals(setup, "(2, '2025-01-02', 'b', NULL)")
    assert found == ["unique index one_null: 1 rows of the backup have a key that rows which stay hold"]


def test_a_key_of_an_extension_type_is_compared_by_its_own_equality(refusals):
    """The type citext ignores case although its operators are not on the empty search path."""
    setup = "CREATE EXTENSION citext SCHEMA public; CREATE UNIQUE INDEX loose ON public.sales ((code::public.citext));"
    found = refusals(setup, "(20, '2025-01-02', 'A', 'n')")
    assert [refusal.split(":")[0] for refusal in found] == ["unique index loose"]


def test_an_index_over_a_generated_column_is_left_to_postgres(refusals):
    """Staged rows have no generated columns, so such an index is not asked about."""
    setup = "ALTER TABLE public.sales ADD double integer GENERATED ALWAYS AS (id * 2) STORED UNIQUE;"
    assert refusals(setup, "(9, '2025-01-02', 'z', 'n')") == []


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("NO ACTION", "cannot lose the rows they refer to"),
        ("RESTRICT", "cannot lose the rows they refer to"),
        ("CASCADE", "would be deleted with them (ON DELETE CASCADE)"),
        ("SET NULL", "would lose their reference (ON DELETE SET NULL)"),
    ],
)
def test_rows_that_refer_to_replaced_rows_are_counted_by_table(refusals, action, words):
    """Whatever the foreign key does on deletion, rows beyond the table would fail or change."""
    setup = f"""CREATE TABLE public."a line" (
                    sale integer CONSTRAINT of_sale REFERENCES public.sales ON DELETE {action});
                INSERT INTO public."a line" VALUES (2), (2), (1), (NULL);"""
    assert refusals(setup, "") == [f"foreign key of_sale of public.a line: 2 rows of public.a line {words}"]


def test_references_from_replaced_rows_themselves_do_not_count(refusals):
    """A tree inside the table may be replaced whole, but not from under a row that stays."""
    setup = "ALTER TABLE public.sales ADD CONSTRAINT up FOREIGN KEY (note) REFERENCES public.sales (code);"
    setup = "UPDATE public.sales SET note = 'b' WHERE id = 2; UPDATE public.sales SET note = 'a' WHERE id <> 2;" + setup
    assert refusals(setup, "(2, '2025-01-02', 'b', 'b')") == []
    run = "UPDATE public.sales SET note = 'b' WHERE id = 1;"
    assert refusals(run, "", table="") == [
        "foreign key up of public.sales: 1 rows of public.sales cannot lose the rows they refer to"
    ]


def test_partitioned_children_and_collations_are_compared(refusals):
    """A partitioned table is counted whole, once, under the collation of the key it refers to."""
    setup = """CREATE TABLE public.part (code text COLLATE "POSIX" REFERENCES public.sales (code))
                   PARTITION BY LIST (code);
               CREATE TABLE public.part_b PARTITION OF public.part FOR VALUES IN ('b');
               INSERT INTO public.part VALUES ('b');"""
    found = refusals(setup, "")
    assert found == [
        "foreign key part_code_fkey of public.part: 1 rows of public.part cannot lose the rows they refer to"
    ]


def test_triggers_and_rules_that_would_fire_are_named(refusals):
    """Those for INSERT and DELETE count, those for UPDATE and disabled ones do not."""
    setup = """
    CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER on_insert AFTER INSERT ON public.sales EXECUTE FUNCTION public.f();
    CREATE TRIGGER on_delete BEFORE DELETE ON public.sales FOR EACH ROW EXECUTE FUNCTION public.f();
    CREATE TRIGGER on_update BEFORE UPDATE ON public.sales FOR EACH ROW EXECUTE FUNCTION public.f();
    CREATE TRIGGER asleep AFTER INSERT ON public.sales EXECUTE FUNCTION public.f();
    ALTER TABLE public.sales DISABLE TRIGGER asleep;
    CREATE RULE keep AS ON DELETE TO public.sales WHERE old.id < 0 DO INSTEAD NOTHING;
    CREATE RULE change AS ON UPDATE TO public.sales WHERE old.id < 0 DO INSTEAD NOTHING;"""
    assert refusals(setup, "") == [
        "trigger on_delete on public.sales: it would fire for the restored rows (see --disable-triggers)",
        "trigger on_insert on public.sales: it would fire for the restored rows (see --disable-triggers)",
        "rule keep on public.sales: it would rewrite the statements of the restore",
    ]


def test_a_trigger_of_a_partition_is_found_and_a_copied_one_told_once(database):
    """The trigger of one partition fires as well; the copies of the parent's trigger are the parent's."""
    url = database("checks")
    run_sql(
        url,
        """CREATE TABLE public.sales (id integer, day date, code text, note text) PARTITION BY RANGE (id);
        CREATE TABLE public.low PARTITION OF public.sales FOR VALUES FROM (0) TO (10);
        CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER for_all AFTER INSERT ON public.sales FOR EACH ROW EXECUTE FUNCTION public.f();
        CREATE TRIGGER for_low AFTER INSERT ON public.low FOR EACH ROW EXECUTE FUNCTION public.f();""",
    )
    with closing(adbc.connect(url)) as conn, closing(conn.cursor()) as cursor:
        rows = executor(cursor)
        found = check_triggers(rows, SALES, INSERT)
    assert [refusal.what for refusal in found] == ["trigger for_low on public.low", "trigger for_all on public.sales"]


def test_tables_that_refer_to_the_table_can_be_locked_first(database):
    """Each referencing table is named once, the table itself not."""
    url = database("checks")
    run_sql(
        url,
        TABLE
        + """CREATE TABLE public.x (a integer REFERENCES public.sales, b integer REFERENCES public.sales);
        ALTER TABLE public.sales ADD up integer REFERENCES public.sales;""",
    )
    with closing(adbc.connect(url)) as conn, closing(conn.cursor()) as cursor:
        assert referencing_tables(executor(cursor), SALES) == (TableName("public", "x"),)
