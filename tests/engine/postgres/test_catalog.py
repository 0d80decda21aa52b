"""The catalog tells what can be protected, how its rows are ordered, and when the change scan must not be believed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from moi_backup.errors import ConfigurationError
from moi_backup.model.table import Column, TableName
from moi_backup.postgres.catalog import (
    CatalogTable,
    UniqueKey,
    choose_merge_key,
    choose_order,
    list_tables,
    read_not_covered,
    read_tables,
)
from moi_backup.postgres.fingerprint import server_fingerprint, still_valid, table_fingerprint
from moi_backup.postgres.session import begin, connect
from moi_backup.postgres.types import classify
from tests.engine.conftest import run_sql

ZOO = """
CREATE TABLE public."b one" (id integer PRIMARY KEY);
CREATE UNLOGGED TABLE public.quick (id integer);
CREATE TABLE public.parts (id integer, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE public.parts_2 PARTITION OF public.parts DEFAULT PARTITION BY LIST (id);
CREATE TABLE public.parts_2a PARTITION OF public.parts_2 DEFAULT;
CREATE TABLE public.parent (id integer);
CREATE TABLE public.child (more text) INHERITS (public.parent);
CREATE VIEW public.seen AS SELECT 1 AS one;
CREATE MATERIALIZED VIEW public.kept AS SELECT 1 AS one;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE public.far (id integer) SERVER nowhere;
CREATE SCHEMA other;
CREATE TABLE other.elsewhere (id integer);
"""


@pytest.fixture
def reading(database) -> Callable[..., tuple[CatalogTable, ...]]:
    """Run SQL in a new database, then read some tables or all of public."""

    def read(sql: str, *names: str) -> tuple[CatalogTable, ...]:
        url = database("catalog")
        run_sql(url, sql)
        with closing(connect(url)) as conn:
            begin(conn, lock_timeout_ms=1000)
            return read_tables(conn, [TableName("public", name) for name in names] or None, schema="public")

    return read


def column(name: str, pg_type: str = "integer", *, generated: bool = False) -> Column:
    """A column of the type."""
    encoding, arrow = classify(pg_type)
    return Column(name, pg_type, encoding, arrow, generated="stored" if generated else "")


def key(*columns: str, primary: bool = False, constraint: bool = True, not_null: bool = True) -> UniqueKey:
    """A unique key over the columns."""
    return UniqueKey(columns, primary=primary, constraint=constraint, not_null=not_null)


def test_all_tables_are_listed_and_what_is_not_covered_has_a_reason(database):
    """Ordinary, unlogged, partitioned and inheriting tables are covered; partitions belong to their table."""
    url = database("catalog")
    run_sql(url, ZOO)
    with closing(connect(url)) as conn:
        begin(conn, lock_timeout_ms=1000)
        assert [name.name for name in list_tables(conn, schema="public")] == [
            "b one",
            "child",
            "parent",
            "parts",
            "quick",
        ]
        uncovered = {entry.name.name: entry.reason for entry in read_not_covered(conn, schema="public")}
    assert uncovered == {
        "far": "a foreign table's rows are in another database",
        "kept": "a materialized view is computed from other tables",
        "seen": "a view holds no rows of its own",
    }


def test_tables_of_extensions_are_left_out(database):
    """An extension brings its own tables with it."""
    url = database("catalog")
    run_sql(url, "CREATE TABLE public.mine (); CREATE EXTENSION citext; ALTER EXTENSION citext ADD TABLE public.mine")
    with closing(connect(url)) as conn:
        begin(conn, lock_timeout_ms=1000)
        assert list_tables(conn, schema="public") == ()


def test_a_partitioned_table_is_one_table_with_all_its_leaves(reading):
    """Every level is followed, and a table others inherit from is read alone."""
    tables = {table.name.name: table for table in reading(ZOO)}
    assert tables["parts"].partitioned
    assert len(tables["parts"].leaves) == 2
    assert not tables["parts"].only
    assert tables["parent"].only
    assert not tables["child"].only
    assert [c.name for c in tables["child"].columns] == ["id", "more"]
    assert all(leaf.filenode for table in tables.values() for leaf in table.leaves)
    assert tables["b one"].size > 0


def test_a_name_that_is_no_table_is_refused_with_its_reason(reading):
    """All of them at once, before anything else happens."""
    with pytest.raises(ConfigurationError) as caught:
        reading(ZOO, "parts", "seen", "nowhere", "parts_1")
    assert "public.seen (a view holds no rows of its own)" in caught.value.what
    assert "public.nowhere (there is no such table)" in caught.value.what
    assert "public.parts_1 (a partition belongs to its partitioned table)" in caught.value.what


def test_columns_come_in_table_order_with_all_that_a_restore_needs(reading):
    """Dropped columns are gone; identity, generation and NOT NULL are told."""
    (table,) = reading(
        """CREATE TABLE public.t (gone text, id bigint GENERATED ALWAYS AS IDENTITY, n numeric(5, 2) NOT NULL,
                                  "a 'b" varchar(3), s integer GENERATED ALWAYS AS (1) STORED,
                                  v integer GENERATED ALWAYS AS (2) VIRTUAL);
           ALTER TABLE public.t DROP COLUMN gone;"""
    )
    told = [(c.name, c.pg_type, c.encoding, c.not_null, c.generated, c.identity) for c in table.columns]
    assert told == [
        ("id", "bigint", "native", True, "", "always"),
        ("n", "numeric(5,2)", "decimal", True, "", ""),
        ("a 'b", "character varying(3)", "native", False, "", ""),
        ("s", "integer", "native", False, "stored", ""),
        ("v", "integer", "native", False, "virtual", ""),
    ]
    assert table.order_by == ("id", "n", "a 'b")
    assert table.key is None


def test_only_whole_immediate_and_valid_unique_keys_count(reading):
    """Partial, expression, deferrable and temporal keys are no keys; included columns are no part of one."""
    (table,) = reading(
        """CREATE TABLE public.t (a integer NOT NULL, b integer NOT NULL, c integer,
                                  d integer NOT NULL UNIQUE DEFERRABLE);
           CREATE UNIQUE INDEX ON public.t (a) WHERE b > 0;
           CREATE UNIQUE INDEX ON public.t ((a + b));
           CREATE UNIQUE INDEX ON public.t (b) INCLUDE (a);
           ALTER TABLE public.t ADD UNIQUE (c);"""
    )
    assert table.unique_keys == (
        key("b", constraint=False),
        key("c", not_null=False),
    )
    assert table.order_by == ("b",)
    assert table.key == ("c",)


def test_a_not_null_constraint_that_was_never_validated_is_not_believed(reading):
    """Rows from before it may hold NULLs, so a key over the column gives no order."""
    (table,) = reading(
        """CREATE TABLE public.t (a integer UNIQUE);
           INSERT INTO public.t VALUES (NULL), (NULL);
           ALTER TABLE public.t ADD CONSTRAINT filled NOT NULL a NOT VALID;"""
    )
    assert not table.columns[0].not_null
    assert table.order_by == ("a",)
    assert not table.unique_keys[0].not_null


def test_the_order_is_the_cheapest_key_whose_equality_is_of_bytes():
    """Integers before text, text before what is ordered by its text form; floats and free numerics never."""
    columns = [column("i"), column("t", "text"), column("m", "public.mood"), column("f", "real"), column("d", "date")]
    enums = frozenset({"m"})
    assert choose_order(columns, [key("t", primary=True), key("i", "d", constraint=False)], enums=enums) == ("i", "d")
    assert choose_order(columns, [key("m"), key("t")], enums=enums) == ("t",)
    assert choose_order(columns, [key("m")], enums=enums) == ("m",)
    assert choose_order(columns, [key("m")], enums=frozenset()) == ("i", "t", "m", "f", "d")
    assert choose_order(columns, [key("f"), key("i", not_null=False)], enums=enums) == ("i", "t", "m", "f", "d")
    assert choose_order(columns, [key("d", "i", primary=True), key("i")], enums=enums) == ("d", "i")


def test_the_merge_key_is_the_primary_key_else_a_unique_constraint():
    """A unique index that is no constraint, or a generated column, makes no merge key."""
    columns = [column("a"), column("b"), column("g", generated=True)]
    assert choose_merge_key(columns, [key("a"), key("b", primary=True)]) == ("b",)
    assert choose_merge_key(columns, [key("b"), key("a", not_null=False)]) == ("a",)
    assert choose_merge_key(columns, [key("a", constraint=False), key("g", primary=True)]) is None


CHANGES = {
    "nothing": "SELECT 1",
    "rows": "INSERT INTO public.t VALUES (1, '2025-01-01', 'sad', 1, NULL)",
    "a new column": "ALTER TABLE public.t ADD fresh integer DEFAULT 7",
    "a default": "ALTER TABLE public.t ALTER p SET DEFAULT 1",
    "a type": "ALTER TABLE public.t ALTER p TYPE bigint",
    "an enum label renamed": "ALTER TYPE public.mood RENAME VALUE 'sad' TO 'blue'",
    "an enum label added": "ALTER TYPE public.mood ADD VALUE 'meh'",
    "a domain's check": "ALTER DOMAIN public.small ADD CHECK (VALUE < 100)",
    "an attribute of an array's composite type": "ALTER TYPE public.pair RENAME ATTRIBUTE a TO z",
    "a constraint": "ALTER TABLE public.t ADD CHECK (p > 0)",
    "a rewrite": "VACUUM FULL public.t_1",
    "a partition detached": "ALTER TABLE public.t DETACH PARTITION public.t_1",
    "a partition attached": "CREATE TABLE public.t_2 PARTITION OF public.t DEFAULT",
    "a truncate": "TRUNCATE public.t",
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_changes_with_whatever_the_change_scan_cannot_see(database, change):
    """Definitions, types and leaves count; rows do not, or every incremental would read everything."""
    url = database("fingerprint")
    run_sql(
        url,
        """CREATE TYPE public.mood AS ENUM ('sad', 'happy'); CREATE DOMAIN public.small AS integer;
        CREATE TYPE public.pair AS (a integer, m public.mood);
        CREATE TABLE public.t (id bigint, day date, m public.mood, p public.small, pairs public.pair[])
            PARTITION BY RANGE (day);
        CREATE TABLE public.t_1 PARTITION OF public.t FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');""",
    )

    def fingerprint() -> dict[str, str]:
        begin(conn, lock_timeout_ms=1000)
        (table,) = read_tables(conn, [TableName("public", "t")], schema="public")
        facts = table_fingerprint(conn, table) | server_fingerprint(conn)
        conn.rollback()
        return facts

    with closing(connect(url)) as conn:
        before = fingerprint()
        conn.execute(CHANGES[change].encode())
        reason = still_valid(before, fingerprint())
    assert (reason is None) == (change in ("nothing", "rows"))


def test_a_server_that_went_back_is_never_believed():
    """An older transaction counter or WAL position, another timeline or a missing fact forces reading everything."""
    old = {"next_xid": "1000", "wal_position": "1/FF000000", "timeline": "1", "role": "a"}
    assert still_valid(old, old) is None
    assert still_valid(old, {**old, "next_xid": "1001", "wal_position": "2/0"}) is None
    assert "went back" in str(still_valid(old, {**old, "next_xid": "999"}))
    assert "went back" in str(still_valid(old, {**old, "wal_position": "1/FE"}))
    assert "timeline" in str(still_valid(old, {**old, "timeline": "2"}))
    assert "role" in str(still_valid(old, {**old, "role": "b"}))
    assert "timeline" in str(still_valid({k: v for k, v in old.items() if k != "timeline"}, old))
