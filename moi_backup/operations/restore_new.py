"""Tables that do not exist yet.

Created from the backup's definitions (or, in a scratch schema, from its columns), loaded, proved, committed.

Everything is one transaction with a savepoint for each table: a killed restore leaves nothing, a failing table only
itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import NamedTuple

import msgspec
import pyarrow as pa

from moi_backup.errors import MoiError, SourceError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.restore import RestoreRequest, TableOutcome, TablePlan
from moi_backup.model.table import Column, TableName
from moi_backup.operations.load_rows import load_rows
from moi_backup.operations.move_sequences import move_sequences
from moi_backup.operations.progress import Progress
from moi_backup.operations.prove_rows import prove_rows
from moi_backup.operations.read_ahead import read_ahead
from moi_backup.operations.stored_table import StoredTable
from moi_backup.postgres.arrow_session import ArrowSession, Refused
from moi_backup.postgres.export import RowSource
from moi_backup.postgres.identifiers import qualified, quote_identifier
from moi_backup.postgres.schema_archive import read_archive
from moi_backup.postgres.schema_restore import SCHEMA_SETTINGS, SchemaPlan, plan_schema
from moi_backup.postgres.session import session_settings
from moi_backup.repository.repository import Repository

LOCK_TIMEOUT_MS = 30_000
LOADING_SETTINGS = (
    "SET LOCAL maintenance_work_mem = '256MB'",
    "SET LOCAL max_parallel_workers_per_gather = 0",
    "SET LOCAL synchronize_seqscans = off",
)
EXISTS = ("42710", "42P07", "42723", "42P06", "42P16")  # duplicate object, table, function, schema; and its like

_TABLES = """SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')"""


class NewTable(NamedTuple):
    """A table to create and where its rows are stored."""

    plan: TablePlan
    stored: StoredTable


class _Definition(NamedTuple):
    """The SQL before and after loading, and the columns that are written."""

    create: str
    finish: str
    columns: tuple[Column, ...]


@dataclass
class Created:
    """What became of the tables, and of the definitions that belong to several of them."""

    outcomes: list[TableOutcome] = field(default_factory=list[TableOutcome])
    problems: list[str] = field(default_factory=list[str])

    @property
    def restored(self) -> list[TableOutcome]:
        """The outcomes of the tables that came into being."""
        return [outcome for outcome in self.outcomes if outcome.status == "restored"]


def create_tables(
    url: str,
    tables: Sequence[NewTable],
    repository: Repository,
    backup: BackupManifest,
    *,
    request: RestoreRequest,
    progress: Progress,
) -> Created:
    """Create, load and prove the tables; raises only when nothing at all could be done."""
    created = Created()
    with ArrowSession(url) as session:
        version = _begin(session)
        creating = _Creating(session, created, request, progress)
        if request.schema is not None:
            session.script(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(request.schema)}")
            for table in tables:
                creating.table(table, _scratch_definition(table))
        else:
            schema, impossible = _schema_plan(session, tables, repository, backup, server_major=version // 10000)
            created.problems += [f"Left out: {omitted.what}, because {omitted.why}." for omitted in schema.omitted]
            created.outcomes += impossible
            creating.shared(schema.shared)
            by_name = {table.plan.table: table for table in tables}
            for plan in schema.tables:  # in the archive's order: a parent before the tables that inherit from it
                table = by_name[plan.table]
                creating.table(table, _Definition(plan.create_sql, plan.finish_sql, table.stored.manifest.restorable))
            creating.final(schema.final)
            creating.sequences(backup)
        session.script("COMMIT")
        _analyze(session, created)
    return created


def _begin(session: ArrowSession) -> int:
    session.script("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    version = int(session.rows("SELECT pg_catalog.current_setting('server_version_num')")[0][0])
    settings = session_settings(server_version=version, lock_timeout_ms=LOCK_TIMEOUT_MS)
    for setting in (*settings, *SCHEMA_SETTINGS, *LOADING_SETTINGS):
        session.script(setting)
    return version


def _schema_plan(
    session: ArrowSession,
    tables: Sequence[NewTable],
    repository: Repository,
    backup: BackupManifest,
    *,
    server_major: int,
) -> tuple[SchemaPlan, list[TableOutcome]]:
    """The definitions of the tables that can exist without others, and the outcome of those that cannot."""
    roles = [name for (name,) in session.rows("SELECT rolname::text FROM pg_catalog.pg_roles")]
    with repository.open_file(backup.schema.digest, size=backup.schema.size) as archive:
        entries = read_archive(archive, server_major=server_major)
    names = [table.plan.table for table in tables]
    existing = [TableName(*name) for name in session.rows(_TABLES)]
    plan = partial(plan_schema, entries, roles=roles, existing=existing)
    with suppress(SourceError):
        return plan(names), []
    rank = {TableName(entry.schema, entry.name): place for place, entry in enumerate(entries) if entry.kind == "TABLE"}
    possible: list[TableName] = []
    impossible: list[TableOutcome] = []
    for table in sorted(tables, key=lambda table: rank.get(table.plan.table, 0)):
        try:
            plan([*possible, table.plan.table])
            possible.append(table.plan.table)
        except SourceError as error:
            impossible.append(_outcome(table.plan, status="failed", error=str(error)))
    return plan(possible), impossible


@dataclass
class _Creating:
    """The open transaction."""

    session: ArrowSession
    created: Created
    request: RestoreRequest
    progress: Progress

    def shared(self, definitions: Sequence[str]) -> None:
        """What several tables need (types, functions, sequences); one that exists already is used as it is."""
        for definition in definitions:
            try:
                with self._savepoint("moi_shared"):
                    self.session.script(definition)
            except Refused as error:
                if error.sqlstate not in EXISTS:
                    raise
                self.progress.step(f"Used as it is, because it exists: {definition.splitlines()[0]}")

    def table(self, table: NewTable, definition: _Definition) -> None:
        """Create, load, prove and finish one table, or undo it and note why."""
        began, plan = monotonic(), table.plan
        self.progress.start(str(plan.target), total=plan.rows)
        try:
            with self._savepoint("moi_table"):
                self.session.script(definition.create)
                digest = self._fill(table, definition.columns)
                if definition.finish:
                    self.session.script(definition.finish)
        except MoiError as error:
            self.progress.finish(str(plan.target), "failed")
            self.created.outcomes.append(_outcome(plan, status="failed", error=str(error), seconds=monotonic() - began))
            return
        self.progress.finish(str(plan.target), "proved equal to the backup")
        outcome = _outcome(
            plan, status="restored", rows=plan.rows, digest=digest, equal=True, seconds=monotonic() - began
        )
        self.created.outcomes.append(outcome)

    def final(self, definitions: Sequence[str]) -> None:
        """What connects tables (foreign keys); what fails is a problem of its own, the rows stay."""
        for definition in definitions:
            try:
                with self._savepoint("moi_final"):
                    self.session.script(definition)
            except Refused as error:
                self.created.problems.append(f"Could not be restored: {definition.splitlines()[0]} … ({error.what})")

    def sequences(self, backup: BackupManifest) -> None:
        """Those of the restored tables go on behind the rows from the moment at which anybody sees the rows."""
        for outcome in self.created.restored:
            savepoint = partial(self._savepoint, "moi_sequence")
            self.created.problems += move_sequences(self.session, backup, outcome.table, guard=savepoint)

    def _fill(self, table: NewTable, columns: tuple[Column, ...]) -> str:
        stored, target = table.stored, table.plan.target
        rows = self._counted(read_ahead(stored.rows(self.request.days), depth=1), str(target))
        load_rows(self.session, target, columns=columns, rows=rows)
        manifest = stored.manifest
        source = RowSource(target, only=False, columns=manifest.columns, day=manifest.day, order_by=manifest.order_by)
        parts, ring = stored.parts(self.request.days), stored.repository.ring
        proof = prove_rows(self.session, source, parts, runs=None, ring=ring, in_load_order=True)
        if not proof.generated_agree and stored.manifest == stored.whole:
            self.progress.warn(
                f"{target}: generated columns are computed differently by this server than in the backup."
            )
        return proof.digest

    def _counted(self, tables: Iterator[pa.Table], task: str) -> Iterator[pa.Table]:
        for table in tables:
            self.progress.advance(task, table.num_rows)
            yield table

    @contextmanager
    def _savepoint(self, name: str) -> Generator[None, None, None]:
        self.session.script(f"SAVEPOINT {name}")
        try:
            yield
        except MoiError:
            self.session.script(f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
            raise
        self.session.script(f"RELEASE SAVEPOINT {name}")


def _scratch_definition(table: NewTable) -> _Definition:
    """The backup's columns, generated ones as plain ones, without keys."""
    columns = tuple(msgspec.structs.replace(column, generated="") for column in table.stored.manifest.columns)
    fields = ", ".join(
        f"{quote_identifier(column.name)} {column.pg_type}{' NOT NULL' if column.not_null else ''}"
        for column in columns
    )
    return _Definition(f"CREATE TABLE {qualified(table.plan.target)} ({fields})", "", columns)


def _analyze(session: ArrowSession, created: Created) -> None:
    """Statistics for the planner; the rows are committed, so what fails now can only be told."""
    session.script("SET statement_timeout = 0")
    for outcome in created.restored:
        try:
            session.script(f"ANALYZE {qualified(outcome.target)}")
        except Refused as error:
            created.problems.append(f"{outcome.target} could not be analyzed: {error.what}")


def _outcome(plan: TablePlan, **facts: object) -> TableOutcome:
    return msgspec.convert({"table": plan.table, "target": plan.target, **facts}, TableOutcome, from_attributes=True)
