"""Sessions on the protected database: connecting, their settings, and the transaction whose snapshot a backup shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString, cast

import psycopg

from moi_backup.errors import Locked, SourceError
from moi_backup.model.backup import Source
from moi_backup.model.table import TableName
from moi_backup.postgres.connection_url import libpq_url, redact, refuse_transaction_pooler, scrub
from moi_backup.postgres.identifiers import qualified, quote_literal

Connection = psycopg.Connection[tuple[object, ...]]
OLDEST_SERVER: Final = 130000

SESSION_SETTINGS: Final[tuple[str, ...]] = (
    "SET LOCAL row_security = off",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    "SET LOCAL search_path = ''",
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO, YMD'",
    "SET LOCAL IntervalStyle = 'postgres'",
    "SET LOCAL extra_float_digits = 3",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL client_encoding = 'UTF8'",
    "SET LOCAL lc_monetary = 'C'",
    "SET LOCAL xmloption = 'content'",
)
"""What every transaction that reads or writes rows sets: text output and input depend on it.

No statement here takes a snapshot, so a lock can still come before it.
"""


@dataclass(frozen=True, slots=True)
class CoordinatingSnapshot:
    """The open transaction's snapshot: its exported id for other sessions, and its place in the database's history."""

    exported: str
    source: Source


def session_settings(*, server_version: int, lock_timeout_ms: int) -> tuple[str, ...]:
    """`SESSION_SETTINGS` with what depends on the server (`server_version` as 180006) and the given lock timeout.

    To be executed one by one after BEGIN and before anything else, over psycopg and ADBC alike.
    """
    newer = ("SET LOCAL transaction_timeout = 0",) if server_version >= 170000 else ()
    return (*SESSION_SETTINGS, *newer, f"SET LOCAL lock_timeout = {lock_timeout_ms:d}")


def connect(url: str, *, application: str = "moi-backup", timeout_seconds: int = 15) -> Connection:
    """Connect in autocommit mode; password, service and TLS files come from libpq's own places where the URL has none.

    Raises SourceError when the server does not answer or does not fit; no message holds the password.
    """
    refuse_transaction_pooler(url)
    failure = ""
    try:
        conn = psycopg.connect(
            libpq_url(url),
            autocommit=True,
            connect_timeout=timeout_seconds,
            application_name=application,
            client_encoding="UTF8",
        )
    except psycopg.Error as error:
        failure = scrub(str(error).strip(), url=url)
    else:
        _check_server(conn)
        return conn
    # Outside of the except block: a chained exception would carry what libpq echoes of the URL.
    raise SourceError(
        f"Cannot connect to {redact(url)}: {failure}",
        meaning="Nothing was read or written.",
        remedy="Check that the server runs, then host, port, database, user, password (URL, PGPASSWORD, ~/.pgpass).",
    )


def run(conn: Connection, sql: str) -> list[tuple[object, ...]]:
    """Run one statement without parameters; its rows, or none. The text must be built by `identifiers`."""
    cursor = conn.execute(cast("LiteralString", sql))
    return cursor.fetchall() if cursor.description else []


def begin(conn: Connection, *, lock_timeout_ms: int) -> None:
    """Begin the read-only, repeatable-read transaction with the session settings; no snapshot is taken yet."""
    run(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    for setting in session_settings(server_version=conn.info.server_version, lock_timeout_ms=lock_timeout_ms):
        run(conn, setting)


def coordinating_snapshot(
    conn: Connection, tables: Sequence[TableName], *, address: str, lock_timeout_ms: int = 5_000, attempts: int = 5
) -> CoordinatingSnapshot:
    """Open the transaction of a backup on `conn`, which must be idle, and export its snapshot.

    Every table is locked in ACCESS SHARE mode before the first statement that takes a snapshot: a TRUNCATE or rewrite
    that commits between snapshot and lock would make the snapshot see an empty table, silently. The transaction stays
    open. Raises Locked when another session holds a table for `attempts` times the timeout, SourceError when a table is
    missing or may not be read.
    """
    for attempt in range(1, attempts + 1):
        begin(conn, lock_timeout_ms=lock_timeout_ms)
        try:
            lock_tables(conn, tables)
            break
        except psycopg.errors.LockNotAvailable as error:
            conn.rollback()
            if attempt == attempts:
                raise Locked(
                    f"Another session keeps a table locked: {_first_line(error)}.",
                    meaning=f"The backup waited {attempts} times {lock_timeout_ms / 1000:g} s and read nothing.",
                    remedy="Let the other transaction end (pg_stat_activity, pg_locks), then run the backup again.",
                ) from error
        except psycopg.Error as error:
            conn.rollback()
            raise SourceError(
                f"A table cannot be locked for reading: {_first_line(error)}.",
                meaning="A backup reads only tables that it can hold against TRUNCATE and DROP.",
                remedy="Check that the table exists and that the role may SELECT from it.",
            ) from error
    exported = str(run(conn, "SELECT pg_catalog.pg_export_snapshot()")[0][0])
    return CoordinatingSnapshot(exported=exported, source=read_source(conn, address=address))


def lock_tables(conn: Connection, tables: Sequence[TableName]) -> None:
    """Lock the tables, in the order of their names, in the mode that only ACCESS EXCLUSIVE conflicts with."""
    if tables:
        names = ", ".join(qualified(table) for table in sorted(tables))
        run(conn, f"LOCK TABLE {names} IN ACCESS SHARE MODE")


def read_source(conn: Connection, *, address: str) -> Source:
    """The database's identity and position as the transaction sees them; `address` must hold no password.

    What a managed server refuses to tell is "unknown" (timeline 0).
    """
    row = run(
        conn,
        "SELECT current_database(), current_setting('server_version'), pg_is_in_recovery(), current_user::text,"
        " pg_current_snapshot()::text, has_function_privilege('pg_control_system()', 'execute'),"
        " has_function_privilege('pg_control_checkpoint()', 'execute')",
    )[0]
    database, version, standby, role, snapshot, may_system, may_checkpoint = row
    position = "pg_last_wal_replay_lsn()" if standby else "pg_current_wal_lsn()"
    extensions = run(conn, "SELECT extname || ' ' || extversion FROM pg_catalog.pg_extension ORDER BY extname")
    return Source(
        database=str(database),
        address=address,
        system_identifier=_one(conn, "system_identifier FROM pg_control_system()") if may_system else "unknown",
        server_version=str(version),
        timeline=int(_timeline(conn, standby=bool(standby), may_ask=bool(may_checkpoint))),
        wal_position=_one(conn, position),
        snapshot=str(snapshot),
        role=str(role),
        extensions=tuple(str(extension) for (extension,) in extensions),
    )


def snapshot_text(snapshot_id: str) -> str:
    """The statement that makes another session's fresh transaction share the exported snapshot."""
    return f"SET TRANSACTION SNAPSHOT {quote_literal(snapshot_id)}"


def _timeline(conn: Connection, *, standby: bool, may_ask: bool) -> str:
    if not standby:
        return str(int(_one(conn, "left(pg_walfile_name(pg_current_wal_lsn()), 8)"), 16))
    return _one(conn, "timeline_id FROM pg_control_checkpoint()") if may_ask else "0"


def _one(conn: Connection, expression: str) -> str:
    return str(run(conn, f"SELECT {expression}")[0][0])


def _check_server(conn: Connection) -> None:
    if conn.info.server_version < OLDEST_SERVER:
        conn.close()
        raise SourceError(
            f"The server is Postgres {conn.info.server_version // 10000}.",
            meaning="The snapshot functions a backup needs exist since Postgres 13.",
            remedy="Upgrade the server.",
        )
    encoding = conn.info.parameter_status("server_encoding")
    if encoding not in ("UTF8", "LATIN1"):  # in these two the order of bytes is the order of characters
        conn.close()
        raise SourceError(
            f"The database's encoding is {encoding}.",
            meaning="Digests need one order of texts everywhere; under this encoding it is another.",
            remedy="Move the data into a database with encoding UTF8.",
        )


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0]
