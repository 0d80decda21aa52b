"""The pieces of work that are timed: the engine's and its peers'. Each is one call on a prepared place."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from bench.place import TABLE, Place
from bench.timing import run
from moi_backup.lake.day_stream import DayStream
from moi_backup.model.restore import RestoreRequest
from moi_backup.model.span import plan_spans
from moi_backup.operations.protect import ProtectedTable, read_protected
from moi_backup.operations.restore import restore
from moi_backup.operations.row_stream import layout_of, row_batches
from moi_backup.operations.take_backup import BackupRequest, take_backup
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.change_scan import scan_days
from moi_backup.postgres.export import WORK_MEM, select_rows
from moi_backup.postgres.session import begin, connect

PLAIN = f"COPY {TABLE} TO STDOUT (FORMAT binary)"
SETTINGS = (f"SET work_mem = '{WORK_MEM}'", "SET jit = off")  # what the engine's own reading session sets


def protected_table(place: Place) -> ProtectedTable:
    """The table as the engine sees it."""
    with connect(place.url) as conn:
        begin(conn, lock_timeout_ms=10_000)
        return read_protected(conn, place.workspace().configuration, [TABLE])[0]


def ordered_copy(table: ProtectedTable) -> str:
    """COPY of the SELECT that the engine sends, with its order and its casts."""
    return f"COPY ({select_rows(table.source, None)}) TO STDOUT (FORMAT binary)"


def back_up(place: Place, *, full: bool = True) -> None:
    """One backup into the repository that is there."""
    take_backup(place.workspace(), BackupRequest(full=full))


def read(place: Place, table: ProtectedTable) -> None:
    """Everything a backup does with rows but encoding and storing them."""
    with connect(place.url) as conn, ArrowSession(place.url) as session:
        begin(conn, lock_timeout_ms=10_000)
        scan = scan_days(conn, TABLE, only=False, day=table.day)
        for setting in SETTINGS:
            session.script(setting)
        stream = DayStream(row_batches(session, table.source, select_rows(table.source, None)), layout_of(table.source))
        for span in plan_spans({label: seen.rows for label, seen in scan.items()}):
            for label, count in span.days:
                for _ in stream.parts(label, count):
                    pass
        stream.expect_end()


def copy_to_client(place: Place, statement: str, *, database: str = "bench") -> None:
    """COPY TO STDOUT through psql, a client in C that writes what comes to /dev/null."""
    session = [part for setting in (*SETTINGS, statement) for part in ("-c", setting)]
    run([place.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *session, place.server.url(database)])


def copy_on_server(place: Place, statement: str) -> None:
    """The same COPY without any client: the server writes to its own /dev/null."""
    with psycopg.connect(place.url, autocommit=True) as connection:
        for setting in SETTINGS:
            connection.execute(setting.encode())
        connection.execute(statement.replace("TO STDOUT", "TO '/dev/null'").encode())


def dump(place: Place, *options: str) -> None:
    """pg_dump of the table; without `-f` to /dev/null."""
    run([place.program("pg_dump"), "-Fc", "-t", str(TABLE), *options, place.url])


def restore_all(workspace: Workspace, url: str) -> None:
    """The newest backup into an empty database; raises unless all of it was restored and proved."""
    result = restore(workspace, url, RestoreRequest(backup="latest"))
    if not result.complete:
        raise RuntimeError(f"the restore failed: {result}")


def dropping_schema(place: Place, schema: str) -> Callable[[], None]:
    """What removes a schema that an earlier round made."""

    def drop() -> None:
        with psycopg.connect(place.url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())

    return drop
