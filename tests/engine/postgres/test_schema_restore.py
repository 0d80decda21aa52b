"""The definitions of some tables come out of an archive and make the same tables in an empty database."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import pytest

from moi_backup.errors import SourceError
from moi_backup.model.table import TableName
from moi_backup.postgres.catalog import read_tables
from moi_backup.postgres.schema_archive import Entry, definition_text, parse_entries, read_archive, statements
from moi_backup.postgres.schema_dump import dump_schema, needed_schemas
from moi_backup.postgres.schema_restore import SCHEMA_SETTINGS, SchemaPlan, plan_schema
from moi_backup.postgres.sequences import SequencePosition, forward_sql, read_sequences
from moi_backup.postgres.session import connect, coordinating_snapshot
from tests.engine.conftest import EVERY_TYPE, PASSWORD, Server, create_database, run_sql

SHOP = Path(__file__).with_name("shop_schema.sql")
CUSTOMER = TableName("public", "customer")
ORDER = TableName("Odd Schema", "order of things")
VISIT = TableName("public", "visit")
EVERY = TableName("public", "every_type")
TABLES = (CUSTOMER, ORDER, VISIT, EVERY)
SCHEMAS = ("Odd Schema", "lookup", "public")


@pytest.fixture(scope="module", params=["18", "15"])
def shop(request) -> Server:
    """A server with the database `shop`: the tables of this test, others around them, and the role shop_reader."""
    server: Server = request.getfixturevalue("postgres_server" if request.param == "18" else "postgres_15")
    create_database(server, "shop")
    run_sql(server.url(), "DROP ROLE IF EXISTS shop_reader; CREATE ROLE shop_reader")
    run_sql(server.url("shop"), EVERY_TYPE.read_text())
    run_sql(server.url("shop"), SHOP.read_text())
    return server


def major(server: Server) -> int:
    """The server's major version."""
    return 15 if "/15/" in str(server.programs) else 18


def dumped(server: Server, database: str, into: Path) -> tuple[Entry, ...]:
    """The entries of a dump of the three schemas."""
    with closing(connect(server.url(database))) as conn:
        snapshot = coordinating_snapshot(conn, [], address="")
        dump_schema(server.url(database), snapshot.exported, SCHEMAS, server_major=major(server), into=into)
    return read_archive(into, server_major=major(server))


def apply(url: str, plan: SchemaPlan) -> None:
    """Run the plan as a restore does: one ADBC connection, one transaction."""
    with closing(adbc.connect(url)) as conn, closing(conn.cursor()) as cursor:
        for setting in SCHEMA_SETTINGS:
            cursor.execute(setting)
        tables = (*(table.create_sql for table in plan.tables), *(table.finish_sql for table in plan.tables))
        for text in (*plan.shared, *tables, *plan.final):
            if text:
                cursor.executescript(text)
        conn.commit()


def test_restored_definitions_equal_the_dumped_ones(shop, tmp_path):
    """A dump of the restored tables has the same text as the dump they came from, omitted things apart."""
    entries = dumped(shop, "shop", tmp_path / "shop.dump")
    plan = plan_schema(entries, TABLES, roles={"shop_reader", "postgres"})
    create_database(shop, "shop_back")
    apply(shop.url("shop_back"), plan)
    back = dumped(shop, "shop_back", tmp_path / "back.dump")
    gone = {"unrelated", "unrelated_pkey", "points_at_customer", "customer_view", "not_needed()", "by_others"}
    gone |= {"unrelated unrelated_pkey", "points_at_customer points_at_customer_id_fkey", "customer by_others"}
    gone |= {"of_customer(public.customer)", "order of things order of things_unrelated_fkey"}
    kept = tuple(entry for entry in entries if entry.name not in gone)
    assert len(kept) > 60
    assert sorted(definition_text((e,)) for e in back) == sorted(definition_text((e,)) for e in kept)
    assert {(omitted.what, omitted.why) for omitted in plan.omitted} == {
        ("view public.customer_view", "views are not restored"),
        ("policy public.customer by_others", "it needs the table public.unrelated, which is not restored"),
        (
            "fk constraint Odd Schema.order of things order of things_unrelated_fkey",
            "it needs the table public.unrelated, which is not restored",
        ),
    }


def test_grants_and_policies_of_missing_roles_are_reported_and_not_fatal(shop, tmp_path):
    """Without the role the tables are created all the same, and each grant left out is named."""
    plan = plan_schema(dumped(shop, "shop", tmp_path / "a"), [CUSTOMER], roles={"postgres"})
    told = {omitted.what: omitted.why for omitted in plan.omitted}
    assert told["GRANT SELECT ON TABLE public.customer TO shop_reader"] == "the target has no role shop_reader"
    assert told["policy public.customer own_rows"] == "the target has no role shop_reader"
    assert "shop_reader" not in plan.shared_sql + plan.final_sql + "".join(t.finish_sql for t in plan.tables)
    create_database(shop, "shop_alone")
    apply(shop.url("shop_alone"), plan)


def test_a_foreign_key_to_a_table_that_is_not_restored_is_left_out_by_name(shop, tmp_path):
    """One table alone loses its references to others, says so, and keeps those to itself."""
    plan = plan_schema(dumped(shop, "shop", tmp_path / "a"), [ORDER], roles=())
    assert "parent_fk" in plan.final_sql
    assert "customer" not in plan.final_sql
    assert sum("fk constraint" in omitted.what for omitted in plan.omitted) == 2


def test_of_a_table_that_is_there_only_a_foreign_key_makes_use(shop, tmp_path):
    """Nothing that belongs to it is created again."""
    there = [CUSTOMER, TableName("public", "unrelated")]
    plan = plan_schema(dumped(shop, "shop", tmp_path / "a"), [ORDER], roles=(), existing=there)
    alone = plan_schema(dumped(shop, "shop", tmp_path / "b"), [ORDER], roles=())
    assert not [omitted for omitted in plan.omitted if "fk constraint" in omitted.what]
    assert len(plan.final) == len(alone.final) + 2
    assert (plan.shared, plan.tables) == (alone.shared, alone.tables)


def test_tables_come_in_the_order_in_which_they_can_be_created(shop, tmp_path):
    """The order of the request does not matter, nor do partitions appear as tables of their own."""
    plan = plan_schema(dumped(shop, "shop", tmp_path / "a"), reversed(TABLES), roles=())
    assert {entry.table for entry in plan.tables} == set(TABLES)
    visit = next(entry for entry in plan.tables if entry.table == VISIT)
    assert "ATTACH PARTITION public.visit_rest_1" in visit.create_sql
    assert "ATTACH PARTITION public.visit_rest_1_day_idx" in visit.finish_sql


def test_a_table_missing_from_the_archive_is_refused_by_name(shop, tmp_path):
    """The plan never silently leaves out a table that was asked for."""
    with pytest.raises(SourceError, match=r"public\.nowhere"):
        plan_schema(dumped(shop, "shop", tmp_path / "a"), [TableName("public", "nowhere")], roles=())


def test_a_foreign_partition_is_left_out_by_name(shop, tmp_path):
    """Its rows are in another database; the table is planned without it."""
    create_database(shop, "far")
    run_sql(
        shop.url("far"),
        """CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
        CREATE SCHEMA lookup; CREATE SCHEMA "Odd Schema";
        CREATE TABLE public.t (id integer) PARTITION BY LIST (id);
        CREATE TABLE public.near PARTITION OF public.t FOR VALUES IN (1);
        CREATE FOREIGN TABLE public.far PARTITION OF public.t FOR VALUES IN (2) SERVER nowhere;""",
    )
    plan = plan_schema(dumped(shop, "far", tmp_path / "a"), [TableName("public", "t")], roles=())
    assert "near" in plan.tables[0].create_sql
    assert "far" not in plan.tables[0].create_sql
    assert [omitted.what for omitted in plan.omitted] == ["table attach public.far"]


def test_two_dumps_of_one_definition_have_one_text(shop, tmp_path):
    """The text digest ignores dates, tokens and object ids, and a change of a comment changes it."""

    def digest(name: str) -> str:
        with closing(connect(shop.url("shop"))) as conn:
            exported = coordinating_snapshot(conn, [CUSTOMER], address="").exported
            return dump_schema(shop.url("shop"), exported, SCHEMAS, server_major=major(shop), into=tmp_path / name).text

    first, second = digest("a"), digest("b")
    run_sql(shop.url("shop"), "COMMENT ON TABLE public.unrelated IS 'new'")
    third = digest("c")
    run_sql(shop.url("shop"), "COMMENT ON TABLE public.unrelated IS NULL")
    assert first == second != third


def test_the_password_is_not_on_the_command_line_nor_in_an_error(shop, tmp_path, monkeypatch):
    """pg_dump gets the password by its environment, and its failure shows none."""
    seen = []
    real = subprocess.run

    def watch(command, **options):
        seen.append([str(part) for part in command])
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", watch)
    with pytest.raises(SourceError) as caught:
        dump_schema(shop.url("shop"), "no-such-snapshot", SCHEMAS, server_major=major(shop), into=tmp_path / "a")
    assert "pg_dump failed" in str(caught.value)
    assert PASSWORD not in str(caught.value) + repr(caught.value) + str(seen)


def test_schemas_of_types_functions_and_sequences_are_dumped_too(shop):
    """A table in public whose enum, check function and sequence live elsewhere needs that schema, and no other."""
    with closing(connect(shop.url("shop"))) as conn:
        coordinating_snapshot(conn, [CUSTOMER], address="")
        assert needed_schemas(conn, read_tables(conn, [CUSTOMER], schema="public")) == ("lookup", "public")
        assert needed_schemas(conn, read_tables(conn, [ORDER], schema="public")) == ("Odd Schema",)


def test_a_marker_inside_a_body_does_not_cut_an_entry():
    """Text that looks like an entry's header stays text in strings, dollar quotes and quoted names."""
    head = "-- TOC entry {} (class 1 OID 2)\n-- Name: f{}; Type: FUNCTION; Schema: public; Owner: -\n-- Data Pos: 0\n"
    head += "--\n\n"
    body = "CREATE FUNCTION f() AS $x$\n--\n" + head.format(9, 9) + "$$;$x$ '\n" + head.format(8, 8) + "';\n"
    entries = parse_entries(
        "--\n"
        + head.format(1, 1)
        + body
        + "\n\nSET default_tablespace = '';\n\n--\n"
        + head.format(2, 2)
        + "SELECT 1;\n"
    )
    assert [(entry.id, entry.sql) for entry in entries] == [(1, body.strip()), (2, "SELECT 1;")]
    assert statements(body + "SELECT ';';") == [body.strip(), "SELECT ';';"]


def test_sequences_only_move_forward(shop):
    """A position behind the live one changes nothing, for counting up and for counting down."""
    with closing(connect(shop.url("shop"))) as conn:
        table = read_tables(conn, [CUSTOMER], schema="public")[0]
        before = read_sequences(conn, table)
        number, identity = TableName("lookup", "shared_number"), TableName("public", "customer_id_seq")
        assert before == {
            number: SequencePosition(-1, is_called=False),
            identity: SequencePosition(100, is_called=False),
        }
        for sequence, value, expected in [
            (number, -5, -5), (number, -3, -5), (identity, 200, 200), (identity, 150, 200),
        ]:  # fmt: skip
            conn.execute(forward_sql(sequence, SequencePosition(value, is_called=True)).encode())
            assert read_sequences(conn, table)[sequence] == SequencePosition(expected, is_called=True)
