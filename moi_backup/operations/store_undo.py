"""Back up what a restore is about to replace: an ordinary backup of kind `pre_restore`, so that it can be undone.

It is taken while the restore's own session holds SHARE ROW EXCLUSIVE on the table: reading conflicts with nothing of
that, and every writer has ended, so the committed rows it sees are exactly those that will be replaced.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moi_backup.model.backup import BackupManifest, Coverage
from moi_backup.model.configuration import Configuration, TableSettings
from moi_backup.model.day import DayRange
from moi_backup.model.table import TableManifest, TableName
from moi_backup.operations.backup_run import BackupOrder, BackupRun
from moi_backup.operations.database_errors import database_errors
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.scopes import with_scopes
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.catalog import CatalogTable, read_tables
from moi_backup.postgres.session import Connection, begin, connect
from moi_backup.repository.leases import Lease
from moi_backup.repository.marks import with_marks
from moi_backup.repository.repository import Repository

CHANGES, TRANSACTION = "changes", "transaction"
LOCK_SECONDS = 2.0  # writers of the live table stand still meanwhile
_NOTHING = "The state before the restore could not be kept, so nothing was replaced."


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRequest:
    """What is about to be replaced: `target`, its `days` (None: all), by the restore with the id `restore`.

    The table is read as `like`, the manifest of the table that is restored: its day column, key and scopes. `changes`
    is a file of the caller's that the backup keeps, and `transaction` the number of the restore's: later the database
    can tell whether it was committed.
    """

    target: TableName
    like: TableManifest
    days: DayRange | None
    restore: str
    reason: str
    changes: Path | None = None
    transaction: int | None = None


def store_undo(
    workspace: Workspace, lease: Lease, url: str, request: UndoRequest, *, progress: Progress | None = None
) -> BackupManifest:
    """Publish a backup of the table in the database at `url` and return its manifest.

    `lease` is the writer's lease of the configured repository; the caller holds it, and the lock of the table. Raises
    what a backup raises, and nothing is published then. Locked also, within seconds, where a third session waits for
    ACCESS EXCLUSIVE on the table: nobody reads past that, and it waits for the caller.
    """
    repository = workspace.open()  # never a copy's: what is published there belongs to no history
    progress = progress or Silent()
    with connect(url) as conn, database_errors("The backup before the restore stopped", url=url, meaning=_NOTHING):
        settings = _settings(_catalog(conn, request.target), request.like, workspace.configuration)
        repository = with_marks(with_scopes(workspace, repository, settings.scopes, entropy=os.urandom))
        order = BackupOrder(
            coverage=Coverage(tables=(str(request.target),), days=request.days),
            kind="pre_restore",
            reason=request.reason,
            restore=request.restore,
            files=_kept(repository, request),
        )
        run = BackupRun(
            workspace=workspace,
            configuration=_reading(workspace.configuration, request, settings),
            order=order,
            repository=repository,
            lease=lease,
            conn=conn,
            url=url,
            names=lambda: (request.target,),
            progress=progress,
        )
        return run.take((request.target,)).manifest


def _catalog(conn: Connection, target: TableName) -> CatalogTable:
    begin(conn, lock_timeout_ms=int(LOCK_SECONDS * 1000))
    found = read_tables(conn, [target], schema=target.schema)
    conn.rollback()
    return found[0]


def _settings(table: CatalogTable, like: TableManifest, configuration: Configuration) -> TableSettings:
    """How the table is read: days, key and scopes as the backup has them, columns it lacks as they are configured.

    What the live table does not have is left out.
    """
    configured = configuration.table(like.table)
    names = {column.name for column in table.columns}
    scopes = {column.name: configured.scope_of(column.name) for column in table.columns}
    scopes |= {column.name: column.scope for column in like.columns if column.name in names}
    return TableSettings(
        day=like.day.column if like.day is not None and like.day.column in names else "",
        key=like.key if like.key and names.issuperset(like.key) else (),
        data_class=configured.data_class,
        scopes=_by_scope(scopes),
    )


def _by_scope(scopes: dict[str, str]) -> dict[str, tuple[str, ...]]:
    named: Collection[str] = sorted(set(scopes.values()) - {"default"})
    return {scope: tuple(column for column, its in scopes.items() if its == scope) for scope in named}


def _reading(configuration: Configuration, request: UndoRequest, settings: TableSettings) -> Configuration:
    """The configuration with this table alone, whose days begin where the backup's do, and without long waits."""
    day = request.like.day
    timezone = day.timezone if day is not None and day.timezone else configuration.source.timezone
    source = msgspec.structs.replace(configuration.source, timezone=timezone, lock_timeout=LOCK_SECONDS)
    return msgspec.structs.replace(configuration, tables={request.target: settings}, source=source)


def _kept(repository: Repository, request: UndoRequest) -> tuple[dict[str, str | int], ...]:
    if request.changes is None:
        return ()
    stored = repository.write_file(request.changes)
    transaction = {} if request.transaction is None else {TRANSACTION: request.transaction}
    return ({"digest": stored.digest, "size": stored.size, "what": CHANGES, **transaction},)
