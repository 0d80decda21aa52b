"""The application's data in the embedded server: tables filled from generated exports, and looked at by hand."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from demo.application import create_tables, load_export
from demo.exports import Export, write_exports
from moi_backup.postgres.embedded import EmbeddedServer, create_database
from moi_backup.settings import EMBEDDED_DATABASE

TABLES: tuple[str, ...] = ("meta_import_data", "google_import_data", "shopify_import_data")
MONEY = {"meta_import_data": "amount_spent", "google_import_data": "cost", "shopify_import_data": "pageviews"}
Connection = psycopg.Connection[Any]
_FILLING = "being filled by the demo"


class Look(NamedTuple):
    """A table as somebody would check it by hand: rows, a sum, and an md5 over the md5 of every row in key order."""

    rows: int
    total: str
    md5: str


def yesterday() -> date:
    """The last complete day in India."""
    return datetime.now(ZoneInfo("Asia/Kolkata")).date() - timedelta(days=1)


def connect(server: EmbeddedServer, database: str = EMBEDDED_DATABASE) -> Connection:
    """A connection in autocommit mode."""
    return psycopg.connect(server.url(database), autocommit=True)


def make_anew(server: EmbeddedServer, database: str) -> None:
    """An empty database of this name, whatever was there, also when programs are connected to it."""
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
    create_database(server, database)


def exports(folder: Path, *, rows: int) -> list[Export]:
    """Fourteen months of exports that end yesterday."""
    return write_exports(folder, last_day=yesterday(), rows=rows)


def load(connection: Connection, uploads: Iterable[Export]) -> dict[str, int]:
    """Load exports; rows gained by table."""
    create_tables(connection)
    gained = dict.fromkeys(TABLES, 0)
    for upload in uploads:
        loaded = load_export(connection, upload.path)
        gained[loaded.table] += loaded.inserted
    return gained


def wants_filling(connection: Connection) -> bool:
    """Whether the application has no table yet, or a filling that began never came to its end."""
    found = connection.execute(
        "SELECT to_regclass('public.meta_import_data') IS NULL OR shobj_description(oid, 'pg_database') = %s"
        " FROM pg_database WHERE datname = current_database()",
        [_FILLING],
    ).fetchone()
    return bool(found and found[0])


@contextmanager
def filling(connection: Connection) -> Generator[None, None, None]:
    """Mark the database until the block is done; loading the same exports again completes what was cut off."""
    name = sql.Identifier(connection.info.dbname)
    comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
    connection.execute(comment.format(name, sql.Literal(_FILLING)))
    yield
    connection.execute(comment.format(name, sql.SQL("NULL")))


def busiest_day(connection: Connection, table: str, *, days: tuple[date, date]) -> date:
    """The day with the most rows among `days` (both included); the first of them where none has any."""
    query = sql.SQL(
        "SELECT day FROM {} WHERE day BETWEEN %s AND %s GROUP BY day ORDER BY count(*) DESC, day LIMIT 1"
    ).format(sql.Identifier(table))
    row = connection.execute(query, days).fetchone()
    return row[0] if row else days[0]


def look(connection: Connection, table: str, *, schema: str = "public", day: date | None = None) -> Look:
    """Rows, sum and md5 of a table's rows, or of those of one day."""
    query = sql.SQL(
        "SELECT count(*), coalesce(sum({money}), 0)::text, md5(coalesce(string_agg(md5(r::text), '' ORDER BY id), ''))"
        " FROM {table} AS r WHERE %(day)s::date IS NULL OR day = %(day)s"
    ).format(money=sql.Identifier(MONEY[table]), table=sql.Identifier(schema, table))
    row = connection.execute(query, {"day": day}).fetchone()
    if row is None:
        raise RuntimeError("an aggregate always gives a row")
    return Look(*row)
