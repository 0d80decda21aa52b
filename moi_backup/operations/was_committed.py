"""Ask a database whether the transaction of a restore was committed, where its record does not say so."""

from __future__ import annotations

from typing import Literal

import psycopg

from moi_backup.model.backup import BackupManifest, Source
from moi_backup.operations.store_undo import TRANSACTION
from moi_backup.postgres.session import Connection, run

Committed = Literal["committed", "aborted", "in progress", "unknown"]


def was_committed(conn: Connection, backup: BackupManifest, source: Source) -> Committed:
    """What became of the restore before which the backup was taken; `source` is the database of the connection now.

    Unknown when the server is another one, was set back in time (another timeline), or has forgotten it.
    """
    number = next((file[TRANSACTION] for file in backup.files if TRANSACTION in file), None)
    same = source.system_identifier == backup.source.system_identifier != "unknown"
    if not isinstance(number, int) or not same or source.timeline != backup.source.timeline:
        return "unknown"
    try:
        [(status,)] = run(conn, f"SELECT pg_catalog.txid_status({number})")
    except psycopg.DataError:  # the number is in the future of this server
        conn.rollback()
        return "unknown"
    return status if status in ("committed", "aborted", "in progress") else "unknown"


def is_target(one: Source, other: Source) -> bool:
    """Whether two identities are of one database, by address or by what the server says of itself."""
    same_server = "unknown" != one.system_identifier == other.system_identifier
    return one.address == other.address or (same_server and one.database == other.database)
