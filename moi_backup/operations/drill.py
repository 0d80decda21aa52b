"""A recovery drill: a complete restore into a scratch database, proved from outside, measured, dropped, reported.

The live database is only counted. The report is written last, after the database is gone: a drill that is killed
leaves no report, and its database to the next drill.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

import msgspec

from moi_backup.errors import Damaged, MoiError, SourceError, StorageError, UsageError, WrongKey
from moi_backup.model.backup import BackupManifest, TableEntry
from moi_backup.model.drill import DrillCheck, DrilledTable, DrillReport, DrillRequest, DrillServer, overall
from moi_backup.model.restore import RestoreRequest, RestoreResult, TableOutcome
from moi_backup.operations.database_errors import database_errors
from moi_backup.operations.drill_database import reading
from moi_backup.operations.drill_definitions import (
    Definitions,
    definition_check,
    prepare_extensions,
    prerequisites,
    problem_checks,
    read_definitions,
)
from moi_backup.operations.drill_recovery import Undrilled, objective_checks, recovery_time
from moi_backup.operations.drill_references import key_checks, sequence_checks
from moi_backup.operations.drill_rows import Drilled, field_checks, prove_table, rows_checks, volume_checks
from moi_backup.operations.drill_server import DrillPlace, drill_server, refuse_source
from moi_backup.operations.open_for_reading import Reading, open_for_reading
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.restore import restore
from moi_backup.operations.stored_table import open_table
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.connection_url import address_of
from moi_backup.postgres.scratch_database import ScratchDatabase, drop_abandoned, scratch_database, scratch_name
from moi_backup.postgres.session import connect, run
from moi_backup.repository.backups import resolve_backup
from moi_backup.repository.layout import new_backup_id
from moi_backup.repository.records import write_record

_BROKEN = (Damaged, SourceError, StorageError, WrongKey)


def drill(
    workspace: Workspace,
    request: DrillRequest,
    *,
    progress: Progress | None = None,
    entropy: Callable[[int], bytes] = os.urandom,
) -> DrillReport:
    """Restore a backup into a database of its own, check it, drop it, and store the report.

    A recovery that does not work is a report that says so. Raises UsageError for what cannot be asked and SourceError
    when no drill server can be used; then there is no report.
    """
    progress = progress or Silent()
    read = open_for_reading(workspace, warn=progress.warn)
    backup = resolve_backup(read.repository, read.chain, request.backup)
    entries = _chosen(backup, request)
    began = workspace.clock.now()
    drill_id = new_backup_id(began, entropy=entropy(3))
    with drill_server(workspace, progress=progress) as place:
        notes = [note for note in (refuse_source(workspace, place.url, backup),) if note]
        notes += _swept(place, progress)
        name = scratch_name(drill_id, keep=request.keep_database)
        with scratch_database(place.url, name, keep=request.keep_database) as database:
            server = _server(place, database, kept=request.keep_database and not place.temporary)
            work = _Work(workspace, read, backup, entries, database, server, progress)
            tables, checks, seconds = work.run()
    undrilled = [_undrilled(read, backup, entry) for entry in backup.tables if entry not in entries]
    recovery = recovery_time(tables, undrilled, seconds=seconds)
    checks += objective_checks(recovery)
    report = DrillReport(
        id=drill_id,
        backup=backup.id,
        taken_at=backup.started_at,
        limited=not backup.coverage.complete,
        partial=bool(undrilled),
        started_at=_stamp(began),
        finished_at=_stamp(workspace.clock.now()),
        verdict=overall(checks),
        server=server,
        recovery=recovery,
        tables=tuple(tables),
        checks=tuple(checks),
        notes=(*notes, *work.notes, *_said_of(backup, request, place)),
    )
    return _stored(read, report, progress)


@dataclass
class _Work:
    """What is done in the drill's database."""

    workspace: Workspace
    read: Reading
    backup: BackupManifest
    entries: Sequence[TableEntry]
    database: ScratchDatabase
    server: DrillServer
    progress: Progress
    notes: tuple[str, ...] = field(default=())

    def run(self) -> tuple[list[DrilledTable], list[DrillCheck], float]:
        """Restore, then check; the tables, the checks, and the seconds that the restore took."""
        url = self.database.url
        definitions, unreadable = self._definitions()
        lacking = prepare_extensions(url, self.backup, definitions)
        began = monotonic()
        result = self._restore()
        seconds = monotonic() - began
        self.notes = result.notes
        outcomes = {outcome.table: outcome for outcome in result.tables}
        drilled = [self._drilled(entry, outcomes[entry.table]) for entry in self.entries]
        tables = [prove_table(url, table, self.progress) for table in drilled]
        checks = [
            *rows_checks(tables),
            *field_checks(drilled),
            *volume_checks(self.workspace, self.backup, drilled),
            *self._definition_checks(definitions, drilled),
            *unreadable,
            prerequisites(self.backup, definitions, lacking=lacking, server_version=self.server.version),
            *problem_checks(result),
        ]
        return tables, checks, seconds

    def _definitions(self) -> tuple[Definitions | None, list[DrillCheck]]:
        try:
            return read_definitions(self.database.url, self.read.repository, self.backup), []
        except _BROKEN as error:
            statement = "the definitions of the backup can be read"
            return None, [DrillCheck(statement=statement, verdict="failed", text=error.what)]

    def _restore(self) -> RestoreResult:
        """The restore, also when it could not begin: then every table failed for the same reason."""
        names = tuple(entry.table for entry in self.entries)
        request = RestoreRequest(backup=self.backup.id, tables=names, reason="recovery drill")
        try:
            return restore(self.workspace, self.database.url, request, progress=self.progress)
        except _BROKEN as error:
            failed = tuple(TableOutcome(table=name, target=name, status="failed", error=str(error)) for name in names)
            return RestoreResult(backup=self.backup.id, address=address_of(self.database.url), tables=failed)

    def _drilled(self, entry: TableEntry, outcome: TableOutcome) -> Drilled:
        try:
            stored = open_table(self.read.repository, self.backup, entry.table)
        except (Damaged, StorageError):  # the restore met it too, and says so in the outcome
            stored = None
        return Drilled(entry, stored, outcome)

    def _definition_checks(self, definitions: Definitions | None, drilled: Sequence[Drilled]) -> Iterator[DrillCheck]:
        """Foreign keys, sequences and definitions of the restored tables."""
        restored = [table.entry.table for table in drilled if table.outcome.status == "restored"]
        if definitions is None or not restored:
            return
        url = self.database.url
        with database_errors("The drill's database could not be checked", url=url), reading(url) as conn:
            yield from key_checks(conn, drilled, definitions.of(restored))
            yield from sequence_checks(conn, drilled)
        scratch = self.workspace.settings.state.path / "scratch"
        yield definition_check(url, self.backup, definitions, restored, scratch=scratch)


def _chosen(backup: BackupManifest, request: DrillRequest) -> list[TableEntry]:
    covered = {entry.table for entry in backup.tables}
    unknown = [str(name) for name in request.tables or () if name not in covered]
    if unknown or not covered:
        raise UsageError(
            f"Backup {backup.id} does not hold {', '.join(unknown) or 'any table'}.",
            meaning=f"It covers: {', '.join(map(str, sorted(covered))) or 'no table'}.",
            remedy="Choose another backup (moi-backup backups), or correct the name.",
        )
    return [entry for entry in backup.tables if request.tables is None or entry.table in request.tables]


def _swept(place: DrillPlace, progress: Progress) -> list[str]:
    """Drop what killed drills left on the server, and say so."""
    swept = drop_abandoned(place.url)
    notes = [f"Dropped database {name}, which a killed drill had left." for name in swept.dropped]
    for note in (*notes, *swept.problems):
        progress.warn(note)
    return [*notes, *swept.problems]


def _server(place: DrillPlace, database: ScratchDatabase, *, kept: bool) -> DrillServer:
    with connect(database.url) as conn:
        version = str(run(conn, "SHOW server_version")[0][0])
    return DrillServer(
        address=address_of(place.url),
        version=version,
        database=database.name,
        temporary=place.temporary,
        kept=kept,
    )


def _undrilled(read: Reading, backup: BackupManifest, entry: TableEntry) -> Undrilled:
    try:
        data_class = open_table(read.repository, backup, entry.table).manifest.data_class
    except (Damaged, StorageError):
        data_class = "historical"
    return Undrilled(data_class, entry.rows, entry.bytes)


def _said_of(backup: BackupManifest, request: DrillRequest, place: DrillPlace) -> Iterator[str]:
    if not backup.coverage.complete:
        yield "The backup is limited: this drill says nothing of the tables and days it does not cover."
    if request.keep_database and place.temporary:
        yield "The database was not kept: its server was started for this drill alone."


def _stored(read: Reading, report: DrillReport, progress: Progress) -> DrillReport:
    """Write the report into the repository; one that cannot be stored says so."""
    try:
        if read.instead:
            raise StorageError("The repository cannot be read, and a copy is only written by moi-backup copy.")
        write_record(read.repository, "drills", report.id, report)
    except MoiError as error:
        progress.warn(f"The report was not stored. {error.what}")
        check = DrillCheck(statement="the report is stored", verdict="failed", text=error.what)
        checks = (*report.checks, check)
        return msgspec.structs.replace(report, checks=checks, verdict=overall(checks))
    return report


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
