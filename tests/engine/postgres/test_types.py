"""Every built-in type goes out through ADBC and comes back the same, bit by bit."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from moi_backup.model.table import Column, TableName
from moi_backup.postgres import types
from moi_backup.postgres.catalog import CatalogTable, read_tables
from moi_backup.postgres.identifiers import identifier_list, qualified, quote_identifier
from moi_backup.postgres.session import begin, connect, session_settings
from tests.engine.conftest import EVERY_TYPE, Server, create_database, run_sql

TABLE = TableName("public", "every_type")
# Types of the catalog's own statistics and index internals refuse input; aclitem has no binary form to compare by.
NO_INPUT = {"aclitem", "gtsvector", "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list"}
NO_INPUT |= {"pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "pg_ddl_command"}


@pytest.fixture(scope="module", params=["18", "15"])
def every_type(request) -> str:
    """A database with the table of all types, on the newest and the oldest server at hand."""
    server: Server = request.getfixturevalue("postgres_server" if request.param == "18" else "postgres_15")
    create_database(server, "every_type")
    run_sql(server.url("every_type"), EVERY_TYPE.read_text())
    return server.url("every_type")


def column(pg_type: str) -> Column:
    """A column named c of the type."""
    encoding, arrow = types.classify(pg_type)
    return Column(name="c", pg_type=pg_type, encoding=encoding, arrow=arrow)


def catalog_table(url: str) -> CatalogTable:
    """The catalog's view of the table of all types."""
    with closing(connect(url)) as conn:
        begin(conn, lock_timeout_ms=1000)
        return read_tables(conn, [TABLE], schema="public")[0]


def start(cursor: Any) -> None:
    """The session settings in the transaction that the driver opens."""
    for setting in session_settings(server_version=150000, lock_timeout_ms=1000):
        cursor.execute(setting)


def read_column(cursor: Any, wanted: Column) -> tuple[Column, pa.ChunkedArray]:
    """The column as stored, turned to text where its own encoding cannot hold a value; the column as it then is."""
    cursor.execute(f"SELECT {types.select_expression(wanted)} AS c FROM {qualified(TABLE)} ORDER BY id")
    array = cursor.fetch_arrow_table().column(0)
    if isinstance(array.type, pa.BaseExtensionType):
        array = pa.chunked_array([chunk.storage for chunk in array.chunks], type=array.type.storage_type)
    if wanted.encoding == "decimal":
        try:
            precision, scale = wanted.arrow.removeprefix("decimal128(").removesuffix(")").split(", ")
            array = array.cast(pa.decimal128(int(precision), int(scale)))
        except pa.ArrowInvalid:
            return types.as_text(wanted), array
    elif wanted.arrow.startswith("timestamp") and pc.min(array.cast("int64")).as_py() < types.TIMESTAMP_MIN:
        return read_column(cursor, types.as_text(wanted))
    return wanted, array


def test_every_built_in_type_round_trips_bit_by_bit(every_type):
    """Rows read, staged and cast back equal the original in Postgres' binary format."""
    table = catalog_table(every_type)
    kept = [entry for entry in table.columns if not entry.generated]
    with closing(adbc.connect(every_type)) as conn, closing(conn.cursor()) as cursor:
        start(cursor)
        read = [read_column(cursor, entry) for entry in kept]
        assert [str(array.type) for _, array in read] == [entry.arrow for entry, _ in read]
        staged = ", ".join(f"{quote_identifier(e.name)} {types.staging_type(e)}" for e, _ in read)
        cursor.execute(f"CREATE TEMP TABLE staged ({staged})")
        cursor.adbc_ingest("staged", pa.table({e.name: a for e, a in read}), mode="append", temporary=True)
        cursor.execute("CREATE TABLE public.back (LIKE public.every_type)")
        cursor.execute(
            f"INSERT INTO public.back ({identifier_list(e.name for e, _ in read)})"
            f" SELECT {', '.join(types.restore_expression(e) for e, _ in read)} FROM pg_temp.staged"
        )
        conn.commit()
    names = identifier_list(e.name for e in kept)
    with psycopg.connect(every_type) as conn:
        before, after = (
            binary_copy(conn, f"SELECT {names} FROM public.{name} ORDER BY id") for name in ("every_type", "back")
        )
        assert len(before) > 1_048_576
        assert before == after
        turned = {e.name for (e, _), old in zip(read, kept, strict=True) if e.encoding != old.encoding}
        assert turned == {"c_numeric_p", "c_timestamp_0", "c_ts_infinite", "c_tstz_infinite"}


def binary_copy(conn: psycopg.Connection, query: str) -> bytes:
    """The rows in the format of COPY BINARY."""
    with conn.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)".encode()) as copy:
        return b"".join(bytes(part) for part in copy)


def test_the_table_of_all_types_has_every_type_postgres_has(every_type):
    """A type that a new Postgres version brings makes this fail until it is proved to round-trip."""
    with psycopg.connect(every_type) as conn:
        rows = conn.execute(
            "SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b'"
            " AND typcategory <> 'A' AND oid NOT IN (SELECT atttypid FROM pg_attribute"
            " WHERE attrelid = 'public.every_type'::regclass)"
        ).fetchall()
    assert {name for (name,) in rows} <= NO_INPUT


def test_the_order_of_every_type_is_one_postgres_can_compute(every_type):
    """Ordering by all columns works although json, xml and point have no order of their own, and is reproducible."""
    table = catalog_table(every_type)
    order = ", ".join(types.order_expression(entry) for entry in table.columns)
    with closing(connect(every_type)) as conn:
        begin(conn, lock_timeout_ms=1000)
        first = conn.execute(f"SELECT day::text FROM public.every_type ORDER BY {order}".encode()).fetchall()
    assert len(first) == 5


@pytest.mark.parametrize(
    ("pg_type", "encoding", "arrow"),
    [
        ("numeric(10,2)", "decimal", "decimal128(10, 2)"),
        ("numeric(39,2)", "text", "string"),
        ("numeric(5,-3)", "text", "string"),
        ("numeric(3,5)", "text", "string"),
        ("numeric", "text", "string"),
        ("timestamp(3) with time zone", "native", "timestamp[us, tz=UTC]"),
        ("character(4)", "native", "string"),
        ("integer[]", "text", "string"),
        ('public."numeric(3,1)"', "text", "string"),
        ("public.integer", "text", "string"),
        ("time without time zone", "text", "string"),
    ],
)
def test_the_encoding_follows_the_type_text_alone(pg_type, encoding, arrow):
    """Modifiers, arrays and look-alikes from other schemas are told apart."""
    assert types.classify(pg_type) == (encoding, arrow)


def test_blanks_and_rows_of_nulls_survive_their_text_form(every_type):
    """A bpchar keeps its blanks also inside a domain; a row of NULLs does not become NULL, and NULL stays NULL."""
    cases = [
        ("bpchar", "'ab  '::bpchar", "ab  "),
        ("public.padded", "'ab  '::public.padded", "ab  "),
        ("public.pair", "ROW(NULL, NULL, NULL)::public.pair", "(,,)"),
        ("public.pair", "NULL::public.pair", None),
        ("money", "'1234.5'::money", "1234.50"),
        ("regtype", "'public.mood'::regtype", "public.mood"),
    ]
    with closing(connect(every_type)) as conn:
        begin(conn, lock_timeout_ms=1000)
        for pg_type, value, text in cases:
            row = conn.execute(f"SELECT {types.text_expression(pg_type, value)}".encode()).fetchone()
            assert row == (text,), pg_type


def test_infinite_dates_wrap_as_documented_and_go_back(every_type):
    """The driver's values for infinite dates are the documented ones, and ingesting them gives the infinities again."""
    wire = [types.DATE_INFINITY_WIRE, types.DATE_MINUS_INFINITY_WIRE]
    with closing(adbc.connect(every_type)) as conn, closing(conn.cursor()) as cursor:
        cursor.execute("SELECT * FROM (VALUES ('infinity'::date), ('-infinity')) AS v(d)")
        assert cursor.fetch_arrow_table().column(0).cast("int32").to_pylist() == wire
        cursor.execute("CREATE TEMP TABLE days (d date)")
        cursor.adbc_ingest(
            "days", pa.table({"d": pa.array(wire, "int32").cast("date32")}), mode="append", temporary=True
        )
        cursor.execute("SELECT d::text FROM days")
        assert cursor.fetchall() == [("infinity",), ("-infinity",)]


def test_the_encoding_a_column_turned_to_does_not_change_its_order():
    """The rows of a day keep their order when a later value turns the column to text."""
    for pg_type in ("timestamp without time zone", "numeric(10,2)", "date", "text"):
        native = column(pg_type)
        assert types.order_expression(native) == types.order_expression(types.as_text(native))
