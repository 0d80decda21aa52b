"""What a table holds, said without the engine: values as Postgres prints them, with float bits and byte lengths."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

Rows = list[tuple[str | None, ...]]
_SETTINGS = (
    "SET row_security = off; SET search_path = ''; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD';"
    "SET IntervalStyle = 'postgres'; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C'"
)
_COLUMNS = """
SELECT a.attname, t.typname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attidentity
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_BITS = {"float4": "float4send({})::text", "float8": "float8send({})::text"}
_LENGTHS = ("text", "varchar", "bpchar", "bytea", "padded")


def rows_of(url: str, table: str, *, where: str = "true") -> Rows:
    """All rows of a table (`schema.name`, without the rows of its inheritance children), sorted by their text."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(_SETTINGS)
        return _rows(conn, table, where)


def definition_of(url: str, table: str) -> list[tuple[Any, ...]]:
    """Name, type, NOT NULL, generation and identity of the columns in their order."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(_SETTINGS)
        return conn.execute(_COLUMNS, [table]).fetchall()


def database_of(url: str, *, schema: str = "public") -> dict[str, Rows]:
    """The rows of every table of a schema but partitions."""
    query = """SELECT format('%%I.%%I', n.nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
               WHERE nspname = %s AND relkind IN ('r', 'p') AND NOT relispartition"""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(_SETTINGS)
        return {name: _rows(conn, name, "true") for (name,) in conn.execute(query, [schema]).fetchall()}


def contents_of(url: str, *, schema: str = "public") -> dict[str, tuple[tuple[tuple[Any, ...], ...], Rows]]:
    """Definition and rows of every ordinary table of a schema, by its name without the schema, quoted where it must."""
    query = """SELECT format('%%I', relname), format('%%I.%%I', nspname, relname)
               FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = %s AND relkind = 'r'"""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(_SETTINGS)
        return {
            short: (tuple(conn.execute(_COLUMNS, [name]).fetchall()), _rows(conn, name, "true"))
            for short, name in conn.execute(query, [schema]).fetchall()
        }


def _rows(conn: psycopg.Connection[Any], table: str, where: str) -> Rows:
    fields: list[str] = []
    for name, kind, *_ in conn.execute(_COLUMNS, [table]).fetchall():
        column = sql.Identifier(name).as_string(conn)
        fields.append(f"{column}::text")
        if kind in _BITS:
            fields.append(_BITS[kind].format(column))
        if kind in _LENGTHS:
            fields.append(f"octet_length({column})::text")
    [(partitioned,)] = conn.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass", [table]).fetchall()
    only = "" if partitioned else "ONLY "
    rows = conn.execute(f"SELECT {', '.join(fields)} FROM {only}{table} WHERE {where}".encode()).fetchall()
    return sorted(rows, key=lambda row: [(value is not None, value or "") for value in row])
