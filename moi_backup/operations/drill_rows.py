"""The checks of a drill that are about rows: recovered whole, required fields filled, as many as in the live tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from moi_backup.errors import MoiError
from moi_backup.model.backup import BackupManifest, TableEntry
from moi_backup.model.drill import DrillCheck, DrilledTable
from moi_backup.model.restore import TableOutcome
from moi_backup.operations.database_errors import database_errors
from moi_backup.operations.drill_database import count_rows, reading
from moi_backup.operations.progress import Progress
from moi_backup.operations.prove_rows import prove_rows
from moi_backup.operations.required_fields import required_fields_filled
from moi_backup.operations.stored_table import StoredTable
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.export import RowSource
from moi_backup.postgres.identifiers import quote_literal
from moi_backup.postgres.session import Connection, session_settings

VARIANCE_ALLOWED = 0.01
RECOVERED = "all rows are recovered"
FIELDS_FILLED = "required fields are filled"
_LOCK_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class Drilled:
    """A table of the backup and what its restore said; `stored` None: its documents cannot be read."""

    entry: TableEntry
    stored: StoredTable | None
    outcome: TableOutcome

    @property
    def data_class(self) -> str:
        """The class of its objectives; `historical`, the default, where the documents cannot be read."""
        return "historical" if self.stored is None else self.stored.manifest.data_class

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.entry.table)


def prove_table(url: str, drilled: Drilled, progress: Progress) -> DrilledTable:
    """Count the committed rows and recompute their digest, in a session of its own; what differs is its `error`."""
    entry, outcome, stored = drilled.entry, drilled.outcome, drilled.stored
    error, equal, found = outcome.error, False, 0
    if outcome.status == "restored" and stored is not None:
        progress.step(f"{drilled.name}: proving the committed rows once more")
        try:
            found = _count(url, drilled)
            equal = _digest(url, stored) == entry.digest
            error = "" if equal else "the digest of the committed rows is another one"
        except MoiError as failure:
            error = failure.what
    return DrilledTable(
        name=drilled.name,
        data_class=drilled.data_class,
        status=outcome.status,
        rows=entry.rows,
        rows_found=found,
        bytes=entry.bytes,
        digest=entry.digest,
        equal=equal and found == entry.rows,
        error=error,
        seconds=outcome.seconds,
        phases=outcome.phases,
    )


def rows_checks(tables: Sequence[DrilledTable]) -> Iterator[DrillCheck]:
    """One check for each table, and one that every row of the backup is there."""
    for table in tables:
        numbers = f"{table.rows_found:,} of {table.rows:,} rows"
        text = f"{numbers}, digest equal to the backup." if table.equal else f"{numbers}: {table.error or 'too few'}."
        yield DrillCheck(
            statement="the table is restored and its committed rows are the backup's",
            table=table.name,
            verdict="passed" if table.equal else "failed",
            text=text,
            facts={"rows in the backup": table.rows, "rows found": table.rows_found, "digest": table.digest},
        )
    expected = sum(table.rows for table in tables)
    found = sum(table.rows_found for table in tables if table.equal)
    whole = all(table.equal for table in tables)
    share = 100 * found / expected if expected else 100.0 if whole else 0.0
    yield DrillCheck(
        statement=RECOVERED,
        verdict="passed" if whole else "failed",
        text=f"{found:,} of {expected:,} rows ({share:.4g} %) are proved, in {len(tables)} tables.",
        facts={"rows in the backup": expected, "rows proved": found, "percent": share},
    )


def field_checks(tables: Sequence[Drilled]) -> Iterator[DrillCheck]:
    """Whether the required fields of each restored table are filled; empty ones are a warning, missing ones a failure.

    The backup is true to data that is itself incomplete.
    """
    for drilled in tables:
        stored = drilled.stored
        if stored is None or drilled.outcome.status != "restored" or not stored.manifest.required:
            continue
        try:
            verdict = required_fields_filled(stored)
        except MoiError as error:  # read a second time, and now damaged or out of reach
            yield DrillCheck(statement=FIELDS_FILLED, table=drilled.name, verdict="failed", text=error.what)
            continue
        yield DrillCheck(
            statement=FIELDS_FILLED,
            table=drilled.name,
            verdict="passed" if verdict.passed else "failed" if verdict.serious else "warning",
            text=verdict.text,
            facts=dict(verdict.facts),
        )


def volume_checks(workspace: Workspace, backup: BackupManifest, tables: Sequence[Drilled]) -> Iterator[DrillCheck]:
    """How far the backup is from the live tables by number of rows; a database that does not answer is unknown."""
    statement = "the backup has the volume of the live table"
    if backup.coverage.days is not None:
        text = f"The backup covers only the days {backup.coverage.days}, so it was not compared."
        yield DrillCheck(statement=statement, verdict="unknown", text=text)
        return
    try:
        url = workspace.source_url()
        with database_errors("The live tables could not be counted", url=url), reading(url) as conn:
            yield from [_volume(conn, drilled, statement=statement) for drilled in tables]
    except MoiError as error:
        text = f"The live database could not be asked, so nothing was compared. {error.what}"
        yield DrillCheck(statement=statement, verdict="unknown", text=text)


def _volume(conn: Connection, drilled: Drilled, *, statement: str) -> DrillCheck:
    live, rows = count_rows(conn, drilled.entry.table), drilled.entry.rows
    if live is None:
        text = f"There is no live table any more; the backup has {rows:,} rows."
        return DrillCheck(statement=statement, table=drilled.name, verdict="warning", text=text)
    variance = abs(live - rows) / max(live, rows, 1)
    return DrillCheck(
        statement=statement,
        table=drilled.name,
        verdict="passed" if variance < VARIANCE_ALLOWED else "warning",
        text=f"{live:,} rows live, {rows:,} in the backup: {variance:.2%} variance.",
        facts={"rows live": live, "rows in the backup": rows, "variance percent": 100 * variance},
    )


def _count(url: str, drilled: Drilled) -> int:
    with database_errors(f"{drilled.name} could not be counted", url=url), reading(url) as conn:
        return count_rows(conn, drilled.entry.table) or 0


def _digest(url: str, stored: StoredTable) -> str:
    """The digest of the committed rows; raises Mismatch naming the first day that differs."""
    manifest = stored.manifest
    with ArrowSession(url) as session:
        session.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        version = int(session.rows("SELECT pg_catalog.current_setting('server_version_num')")[0][0])
        for setting in session_settings(server_version=version, lock_timeout_ms=_LOCK_TIMEOUT_MS):
            session.script(setting)
        kind = session.rows(
            _KIND.format(schema=quote_literal(manifest.table.schema), name=quote_literal(manifest.table.name))
        )
        only = kind != [("p",)]
        source = RowSource(manifest.table, only, manifest.columns, manifest.day, manifest.order_by)
        ring = stored.repository.ring
        return prove_rows(session, source, stored.parts(), runs=None, ring=ring, in_load_order=True).digest


_KIND = """SELECT c.relkind::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {schema} AND c.relname = {name}"""
