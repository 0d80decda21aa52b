"""Replace rows of a live table by those of a backup: one session, one transaction, proved before the commit.

The order: lock out writers, stage the backup's rows, look for everything that stands against it, delete and insert,
check constraints, read back and compare digests, commit. Sequences move forward only, after the commit, because
setval is not transactional.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import monotonic

import msgspec
import pyarrow as pa

from moi_backup.errors import MoiError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.day import DayRange
from moi_backup.model.restore import RestoreRequest, TableOutcome, TablePlan
from moi_backup.model.table import Column, TableName
from moi_backup.operations.load_rows import load_rows
from moi_backup.operations.move_sequences import move_sequences
from moi_backup.operations.progress import Progress
from moi_backup.operations.prove_rows import prove_rows
from moi_backup.operations.stored_table import StoredTable
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.day_sql import day_predicate
from moi_backup.postgres.export import RowSource
from moi_backup.postgres.identifiers import identifier_list, qualified, quote_identifier, quote_literal
from moi_backup.postgres.restore_checks import Replacement, check_columns, find_refusals, referencing_tables
from moi_backup.postgres.session import Connection, run, session_settings

STAGED = "moi_staged"
LOCK_TIMEOUT_MS = 30_000


class RefusedInPlace(MoiError):
    """Something of the live table stands against replacing its rows; it was left as it was."""


def count_live(conn: Connection, plan: TablePlan, stored: StoredTable, days: DayRange | None) -> TablePlan:
    """The plan of a table that exists: how many live rows the backup's will replace, or why it is refused."""
    kind = _one(conn, f"SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = {_regclass(plan.target)}")
    if kind not in ("r", "p"):
        return msgspec.structs.replace(plan, action="refuse", refusal="it is not a table")
    day = stored.manifest.day
    names = {
        name
        for (name,) in run(
            conn, f"SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = {_regclass(plan.target)}"
        )
    }
    if day is not None and day.column not in names:
        return msgspec.structs.replace(plan, action="refuse", refusal=f"it has no day column {day.column!r}")
    where = day_predicate(day, runs) if (runs := _runs(days)) is not None else "true"
    live = int(_one(conn, f"SELECT count(*) FROM {_only(kind)}{qualified(plan.target)} WHERE {where}"))
    return msgspec.structs.replace(plan, action="replace", replaces=live)


def replace_rows(
    url: str, plan: TablePlan, stored: StoredTable, backup: BackupManifest, request: RestoreRequest, progress: Progress
) -> tuple[TableOutcome, list[str]]:
    """Carry out the plan of one table; a failure is an outcome, after the rollback.

    Besides, what failed after the commit.
    """
    began = monotonic()
    days = request.days or backup.coverage.days
    progress.start(str(plan.target), total=plan.rows)
    try:
        with ArrowSession(url) as session:
            replaced, digest = _Replacing(session, plan, stored, days, progress).run()
            problems = move_sequences(session, backup, plan.table) if plan.target == plan.table else []
    except MoiError as error:
        progress.finish(str(plan.target), "failed")
        outcome = TableOutcome(
            table=plan.table, target=plan.target, status="failed", error=str(error), seconds=monotonic() - began
        )
        return outcome, []
    progress.finish(str(plan.target), "proved equal to the backup")
    outcome = TableOutcome(
        table=plan.table,
        target=plan.target,
        status="restored",
        rows=plan.rows,
        replaced=replaced,
        digest=digest,
        seconds=monotonic() - began,
    )
    return outcome, problems


class _Replacing:
    """The transaction of one table."""

    def __init__(
        self, session: ArrowSession, plan: TablePlan, stored: StoredTable, days: DayRange | None, progress: Progress
    ) -> None:
        self._session, self._target, self._progress = session, plan.target, progress
        self._stored, self._days = stored, days

    def run(self) -> tuple[int, str]:
        """Rows that were replaced, and the digest of the rows read back."""
        self._begin()
        kind = self._session.rows(
            f"SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = {_regclass(self._target)}"
        )[0][0]
        only = _only(kind)
        columns = self._columns()
        runs = _runs(self._days)
        replaced = "true" if runs is None else day_predicate(self._stored.manifest.day, runs)
        replacement = Replacement(self._target, columns, replaced, f"pg_temp.{STAGED}", only=bool(only))
        self._refuse_columns(replacement)
        self._stage(columns)
        self._refuse(replacement)
        names = identifier_list(column.name for column in columns if not column.generated)
        target = qualified(self._target)
        delete = f"DELETE FROM {only}{target} WHERE {replaced} RETURNING 1"
        [(gone,)] = self._session.rows(f"WITH gone AS ({delete}) SELECT count(*) FROM gone")
        staged = f"SELECT {names} FROM pg_temp.{STAGED}"
        self._session.script(f"INSERT INTO {target} ({names}) OVERRIDING SYSTEM VALUE {staged}")
        self._session.script("SET CONSTRAINTS ALL IMMEDIATE")
        digest = self._prove(only=bool(only), runs=runs)
        self._session.script("COMMIT")
        return int(gone), digest

    def _begin(self) -> None:
        session, target = self._session, qualified(self._target)
        session.script("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
        version = int(session.rows("SELECT pg_catalog.current_setting('server_version_num')")[0][0])
        for setting in session_settings(server_version=version, lock_timeout_ms=LOCK_TIMEOUT_MS):
            session.script(setting)
        session.script(f"LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE")
        # A new foreign key needs the lock just taken, so from here on the referencing tables are known.
        for other in referencing_tables(session.rows, self._target):
            session.script(f"LOCK TABLE {qualified(other)} IN SHARE ROW EXCLUSIVE MODE")

    def _columns(self) -> tuple[Column, ...]:
        """The backup's columns.

        One that is generated there and plain here (a scratch table) is written like any other.
        """
        live = dict(
            self._session.rows(
                "SELECT attname::text, attgenerated::text FROM pg_catalog.pg_attribute"
                f" WHERE attrelid = {_regclass(self._target)} AND attnum > 0 AND NOT attisdropped"
            )
        )
        return tuple(
            msgspec.structs.replace(column, generated="") if live.get(column.name) == "" else column
            for column in self._stored.manifest.columns
        )

    def _stage(self, columns: tuple[Column, ...]) -> None:
        """The backup's rows in a temporary table, in the exact types of the target and without its constraints."""
        fields = ", ".join(f"{quote_identifier(column.name)} {column.pg_type}" for column in columns)
        self._session.script(f"CREATE TEMPORARY TABLE {STAGED} ({fields}) ON COMMIT DROP")
        rows = _counted(self._stored.rows(self._days), str(self._target), self._progress)
        load_rows(self._session, STAGED, columns=columns, rows=rows)
        self._session.script(f"ANALYZE pg_temp.{STAGED}")

    def _refuse_columns(self, replacement: Replacement) -> None:
        self._raise(check_columns(self._session.rows, replacement))

    def _refuse(self, replacement: Replacement) -> None:
        self._raise(find_refusals(self._session.rows, replacement))

    def _raise(self, refusals: Iterable[object]) -> None:
        told = [str(refusal) for refusal in refusals]
        if told:
            raise RefusedInPlace(
                f"{self._target} cannot be restored in place: {'; '.join(told)}.",
                meaning="Nothing was written.",
                remedy="Remove what stands against it, choose other days, "
                "or restore into a scratch schema (--schema) and copy what you need.",
            )

    def _prove(self, *, only: bool, runs: list[tuple[str, str]] | None) -> str:
        manifest = self._stored.manifest
        expected = self._stored.parts(self._days)
        source = RowSource(self._target, only, manifest.columns, manifest.day, manifest.order_by)
        proof = prove_rows(self._session, source, expected, runs=runs, ring=self._stored.repository.ring)
        if not proof.generated_agree:
            self._progress.warn(f"{self._target}: generated columns are computed differently now than in the backup.")
        return proof.digest


def _counted(tables: Iterator[pa.Table], task: str, progress: Progress) -> Iterator[pa.Table]:
    for table in tables:
        progress.advance(task, table.num_rows)
        yield table


def _runs(days: DayRange | None) -> list[tuple[str, str]] | None:
    return None if days is None else [(days.first, days.last)]


def _only(kind: str) -> str:
    """A partitioned table is emptied with its partitions; any other without the tables that inherit from it."""
    return "" if kind == "p" else "ONLY "


def _regclass(table: TableName) -> str:
    return f"{quote_literal(qualified(table))}::pg_catalog.regclass"


def _one(conn: Connection, sql: str) -> str:
    return str(run(conn, sql)[0][0])
