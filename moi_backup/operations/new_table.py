"""One table that does not exist yet, in one transaction: created, loaded, proved, finished, committed.

A killed restore leaves a table whole or not at all. One that is there already (`compare`) is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import NamedTuple

import msgspec
import pyarrow as pa

from moi_backup.errors import MoiError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.restore import DayInstead, RestoreRequest, TableOutcome, TablePlan
from moi_backup.model.table import ChunkDay, Column, TableName
from moi_backup.operations.load_rows import load_rows
from moi_backup.operations.move_sequences import move_sequences
from moi_backup.operations.progress import Progress
from moi_backup.operations.prove_rows import Mismatch, prove_rows
from moi_backup.operations.read_ahead import read_ahead
from moi_backup.operations.stopwatch import Stopwatch
from moi_backup.operations.stored_table import StoredTable
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.export import RowSource
from moi_backup.postgres.identifiers import qualified, quote_literal
from moi_backup.postgres.schema_restore import SCHEMA_SETTINGS
from moi_backup.postgres.session import session_settings
from moi_backup.repository.damage import DamagedObject

LOCK_TIMEOUT_MS = 30_000
LOADING_SETTINGS = (
    "SET LOCAL maintenance_work_mem = '256MB'",
    "SET LOCAL max_parallel_workers_per_gather = 0",
    "SET LOCAL synchronize_seqscans = off",
)


class NewTable(NamedTuple):
    """A table to create and where its rows are stored."""

    plan: TablePlan
    stored: StoredTable


class Definition(NamedTuple):
    """The SQL before and after loading, the columns that are written, and the tables that must come first.

    `differs` says in what a table that is there is not the backup's; "" for none, or for one that is not there.
    """

    create: str
    finish: str
    columns: tuple[Column, ...]
    after: frozenset[TableName] = frozenset()
    differs: str = ""


class Contents(NamedTuple):
    """The days to restore with their digests, their rows, and what stands in the place of damaged days."""

    parts: list[ChunkDay]
    rows: Callable[[], Iterator[pa.Table]]
    instead: tuple[DayInstead, ...] = ()


class Result(NamedTuple):
    """What became of the table, and what could not be done besides (a sequence that could not be moved)."""

    outcome: TableOutcome
    problems: list[str]


@dataclass(frozen=True)
class TableRestorer:
    """What the tables of one restore have in common.

    `mend` is asked when a stored object of a table is damaged: it gives the contents that can be had, or raises.
    """

    url: str
    backup: BackupManifest
    request: RestoreRequest
    progress: Progress
    mend: Callable[[StoredTable, DamagedObject], Contents]

    def restore(self, table: NewTable, definition: Definition) -> Result:
        """Restore or compare one table. A failure is an outcome, after the rollback."""
        began, task = monotonic(), str(table.plan.target)
        self.progress.start(task, total=table.plan.rows)
        try:
            with ArrowSession(self.url) as session:
                act = self._compare if table.plan.action == "compare" else self._create
                outcome, problems = act(session, table, definition)
        except MoiError as error:
            self.progress.finish(task, "failed")
            failed = outcome_of(table.plan, status="failed", error=str(error), seconds=monotonic() - began)
            return Result(failed, [])
        self.progress.finish(task, _told(outcome))
        return Result(msgspec.structs.replace(outcome, seconds=monotonic() - began), problems)

    def _create(self, session: ArrowSession, table: NewTable, definition: Definition) -> Result:
        days = self.request.days
        contents = Contents(table.stored.parts(days), partial(table.stored.rows, days))
        try:
            return self._attempt(session, table, definition, contents)
        except DamagedObject as error:
            session.script("ROLLBACK")
            return self._attempt(session, table, definition, self.mend(table.stored, error))

    def _attempt(self, session: ArrowSession, table: NewTable, definition: Definition, contents: Contents) -> Result:
        watch = Stopwatch()
        begin(session)
        with watch.phase("define"):
            session.script(definition.create)
        with watch.phase("load"):
            arriving = watch.waiting("read", read_ahead(contents.rows(), depth=1))
            rows = self._counted(arriving, str(table.plan.target))
            load_rows(session, table.plan.target, columns=definition.columns, rows=rows)
        with watch.phase("proof"):
            digest = self._prove(session, table, contents.parts)
        if definition.finish:
            with watch.phase("indexes"):
                session.script(definition.finish)
        # Before the commit, so that nobody ever sees the rows with a sequence that would give their numbers again.
        problems = self._sequences(session, table.plan)
        session.script("COMMIT")
        restored = sum(part.rows for part in contents.parts)
        outcome = outcome_of(table.plan, status="restored", rows=restored, digest=digest, phases=watch.phases)
        return Result(msgspec.structs.replace(outcome, instead=contents.instead), problems)

    def _compare(self, session: ArrowSession, table: NewTable, definition: Definition) -> Result:
        """A table that is there counts as restored when its definition and all its rows are the backup's."""
        begin(session)
        if definition.differs:
            raise _other(table.plan, definition.differs)
        try:
            digest = self._prove(session, table, table.stored.parts(self.request.days))
        except Mismatch as error:
            raise _other(table.plan, error.what) from error
        problems = self._sequences(session, table.plan)
        session.script("COMMIT")
        return Result(outcome_of(table.plan, status="present", rows=table.plan.rows, digest=digest), problems)

    def _prove(self, session: ArrowSession, table: NewTable, parts: list[ChunkDay]) -> str:
        manifest, target = table.stored.manifest, table.plan.target
        relation = quote_literal(qualified(target))
        [(kind,)] = session.rows(
            f"SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = {relation}::pg_catalog.regclass"
        )
        # Tables that inherit from it keep their own rows; partitions are part of it.
        source = RowSource(target, kind != "p", manifest.columns, manifest.day, manifest.order_by)
        ring = table.stored.repository.ring
        proof = prove_rows(session, source, parts, runs=None, ring=ring, in_load_order=True)
        if not proof.generated_agree and manifest == table.stored.whole:
            self.progress.warn(
                f"{target}: generated columns are computed differently by this server than in the backup."
            )
        return proof.digest

    def _sequences(self, session: ArrowSession, plan: TablePlan) -> list[str]:
        if plan.target != plan.table:
            return []
        return move_sequences(session, self.backup, plan.table, guard=partial(savepoint, session, "moi_sequence"))

    def _counted(self, tables: Iterator[pa.Table], task: str) -> Iterator[pa.Table]:
        for table in tables:
            self.progress.advance(task, table.num_rows)
            yield table


def begin(session: ArrowSession) -> int:
    """Begin a transaction with the settings of a restore; the server's version number."""
    session.script("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    version = int(session.rows("SELECT pg_catalog.current_setting('server_version_num')")[0][0])
    settings = session_settings(server_version=version, lock_timeout_ms=LOCK_TIMEOUT_MS)
    session.script("; ".join((*settings, *SCHEMA_SETTINGS, *LOADING_SETTINGS)))
    return version


@contextmanager
def savepoint(session: ArrowSession, name: str) -> Generator[None, None, None]:
    """What fails inside is undone alone."""
    session.script(f"SAVEPOINT {name}")
    try:
        yield
    except MoiError:
        session.script(f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
        raise
    session.script(f"RELEASE SAVEPOINT {name}")


def outcome_of(plan: TablePlan, **facts: object) -> TableOutcome:
    """The outcome of a planned table."""
    return msgspec.convert({"table": plan.table, "target": plan.target, **facts}, TableOutcome, from_attributes=True)


def _told(outcome: TableOutcome) -> str:
    if outcome.instead:
        return "restored, but not all of its days as in the backup"
    return f"{'there already, ' if outcome.status == 'present' else ''}proved equal to the backup"


def _other(plan: TablePlan, how: str) -> MoiError:
    return MoiError(
        f"{plan.target} exists and is not the backup's: {how}",
        meaning="It was left as it is, and does not count as restored.",
        remedy="Rename or drop it and resume, restore it in place (--in-place), or into a scratch schema (--schema).",
    )
