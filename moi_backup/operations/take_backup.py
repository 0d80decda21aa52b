"""Take a backup: every table from one snapshot, published at the very end (docs/format.md, "Writing and deleting").

Until the chain entry exists there is no backup; a run that is killed leaves debris that no reader takes for one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

from moi_backup.errors import UsageError
from moi_backup.model.backup import BackupKind, BackupManifest, Coverage
from moi_backup.model.day import DayRange
from moi_backup.model.table import TableManifest, TableName
from moi_backup.operations.backup_run import UNPUBLISHED, BackupOrder, BackupRun, lock_timeout_ms
from moi_backup.operations.database_errors import database_errors
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.protect import protected_names, read_protected
from moi_backup.operations.scopes import with_scopes
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.session import Connection, begin, connect
from moi_backup.repository.marks import with_marks


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """What a person asked for. `full` None: incremental where there is a base, else full."""

    full: bool | None = None
    tables: tuple[TableName, ...] | None = None
    days: DayRange | None = None
    reason: str = ""
    wait: float = 0.0
    kind: BackupKind | None = None

    @property
    def coverage(self) -> Coverage:
        """What the backup will cover."""
        names = None if self.tables is None else tuple(sorted(str(name) for name in self.tables))
        return Coverage(tables=names, days=self.days)


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A published backup and what each table's manifest says."""

    manifest: BackupManifest
    tables: tuple[TableManifest, ...]
    lease_epoch: int


def take_backup(workspace: Workspace, request: BackupRequest, *, progress: Progress | None = None) -> BackupResult:
    """Back up the configured tables and publish the result.

    Raises ConfigurationError before anything is written for names that do not exist, Locked while another operation
    writes, SourceError and StorageError for what the database or the medium refuses. Nothing is published then.
    """
    progress = progress or Silent()
    repository = workspace.open()
    url = workspace.source_url()
    with connect(url) as conn, database_errors("The backup stopped", url=url, meaning=UNPUBLISHED):
        names = _names(conn, workspace, request)
        with workspace.writing(repository, operation="backup", wait=request.wait, tell=progress.warn) as lease:
            scopes = {scope for name in names for scope in workspace.configuration.table(name).scopes}
            repository = with_marks(with_scopes(workspace, repository, scopes, entropy=os.urandom))
            published = BackupRun(
                workspace=workspace,
                configuration=workspace.configuration,
                order=_order(request),
                repository=repository,
                lease=lease,
                conn=conn,
                url=url,
                names=partial(_names, conn, workspace, request),
                progress=progress,
            ).take(names)
            return BackupResult(published.manifest, published.tables, lease.epoch)


def _order(request: BackupRequest) -> BackupOrder:
    return BackupOrder(full=request.full, coverage=request.coverage, reason=request.reason, kind=request.kind)


def _names(conn: Connection, workspace: Workspace, request: BackupRequest) -> tuple[TableName, ...]:
    """The tables to back up, checked against catalog and configuration before the lease is taken."""
    begin(conn, lock_timeout_ms=lock_timeout_ms(workspace.configuration))
    protected = protected_names(conn, workspace.configuration)
    unknown = [str(name) for name in request.tables or () if name not in protected]
    if unknown:
        raise UsageError(
            f"Not a protected table: {', '.join(unknown)}.",
            meaning="Nothing was written.",
            remedy=f"Protected are: {', '.join(map(str, protected)) or 'none'}. Add it to moi.toml to protect it.",
        )
    if not protected:
        raise UsageError(
            f"Schema {workspace.configuration.source.schema!r} has no tables, so there is nothing to back up.",
            remedy="Name the tables in moi.toml, or check that MOI_SOURCE_URL is the right database.",
        )
    read_protected(conn, workspace.configuration, protected)
    conn.rollback()
    return tuple(request.tables or protected)
