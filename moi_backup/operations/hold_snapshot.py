"""One snapshot for the three sessions of a backup: the one that asks, the one that streams rows, and that of pg_dump.

Each needs its own lock on every table. When somebody asks for ACCESS EXCLUSIVE (TRUNCATE, ALTER TABLE) after the first
session has its lock and before the others have theirs, Postgres lets nobody past that request, and it waits for the
first session: a deadlock the server cannot see (measured: the backup failed with a lock timeout). So the other locks
are waited for only shortly; when they do not come, everything is let go, the request gets its turn, and it begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg

from moi_backup.errors import Locked, SourceError
from moi_backup.model.table import TableName
from moi_backup.operations.progress import Progress
from moi_backup.postgres.arrow_session import ArrowSession, Refused
from moi_backup.postgres.export import shared_snapshot
from moi_backup.postgres.identifiers import qualified
from moi_backup.postgres.session import (
    Connection,
    CoordinatingSnapshot,
    coordinating_snapshot,
    run,
    session_settings,
    snapshot_text,
)

# Often and shortly where a table is changed again and again; then longer, for a lock that somebody keeps for a while.
PATIENCE_MS = (*[250] * 12, 1_000, 2_000, 4_000, 8_000, 16_000)
_LOCK_REFUSED = ("55P03", "40P01")  # lock_not_available, deadlock_detected
# pg_dump bounds its wait for locks by a statement timeout.
_LOCK_WORDS = (
    "canceling statement due to lock timeout",
    "canceling statement due to statement timeout",
    "deadlock detected",
)
Result = TypeVar("Result")


def hold_snapshot(
    conn: Connection,
    session: ArrowSession,
    names: Sequence[TableName],
    *,
    address: str,
    lock_timeout_ms: int,
    dump: Callable[[CoordinatingSnapshot, int], Result],
    progress: Progress,
) -> tuple[CoordinatingSnapshot, Result]:
    """Both sessions in one snapshot with locks on every table, and what `dump` makes of it.

    `dump` gets the snapshot and the milliseconds it may wait for locks of its own. Raises Locked when the locks cannot
    be had.
    """
    settings = session_settings(server_version=conn.info.server_version, lock_timeout_ms=lock_timeout_ms)
    for patience in PATIENCE_MS:
        try:
            snapshot = coordinating_snapshot(conn, names, address=address, lock_timeout_ms=lock_timeout_ms)
            for statement in shared_snapshot(snapshot_text(snapshot.exported), settings):
                session.script(statement)
            _lock_tables(conn, session, names, patience_ms=patience, then_ms=lock_timeout_ms)
            return snapshot, dump(snapshot, patience)
        except (SourceError, psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            if not _is_overtaken(error):
                raise
        conn.rollback()
        session.script("ROLLBACK")
        progress.step("Another session is about to change a table; the backup lets it go first and begins again.")
    raise Locked(
        "Other sessions keep locking tables, so that the backup cannot hold all of them at one moment.",
        meaning=f"It was tried {len(PATIENCE_MS)} times, and nothing was read.",
        remedy="See who does it (pg_stat_activity, pg_locks), then run the backup again.",
    )


def _lock_tables(
    conn: Connection, session: ArrowSession, names: Sequence[TableName], *, patience_ms: int, then_ms: int
) -> None:
    """The second session's locks on the tables, and both sessions' on their indexes, which planning a query takes."""
    session.script(f"SET LOCAL lock_timeout = {patience_ms:d}")
    session.script(f"LOCK TABLE {', '.join(qualified(name) for name in sorted(names))} IN ACCESS SHARE MODE")
    run(conn, f"SET LOCAL lock_timeout = {patience_ms:d}")
    for name in names:
        session.rows(f"SELECT 1 FROM {qualified(name)} LIMIT 0")
        run(conn, f"SELECT 1 FROM {qualified(name)} LIMIT 0")
    session.script(f"SET LOCAL lock_timeout = {then_ms:d}")
    run(conn, f"SET LOCAL lock_timeout = {then_ms:d}")


def _is_overtaken(error: Exception) -> bool:
    """Whether a lock did not come; pg_dump says so in words only (in English: it runs with LC_ALL=C)."""
    if isinstance(error, Refused):
        return error.sqlstate in _LOCK_REFUSED
    causes = (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable)
    return isinstance(error, causes) or isinstance(error.__cause__, causes) or _words_of_a_lock(str(error))


def _words_of_a_lock(text: str) -> bool:
    return any(words in text for words in _LOCK_WORDS)
