"""Restore tables in place: one session, one transaction for each, proved before the commit.

The order: lock out writers, decide from the live rows and the backup's, look for everything that stands against it,
write, check constraints, read back, store what was replaced, commit. Sequences move forward only, after the commit,
because setval is not transactional. A preview decides the same in a snapshot, without the lock, and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import msgspec

from moi_backup.errors import MoiError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.restore import TableOutcome, TablePlan
from moi_backup.model.table import TableName
from moi_backup.operations.apply_in_place import apply
from moi_backup.operations.decide_in_place import deciding
from moi_backup.operations.in_place import InPlace, RefusedInPlace, begin
from moi_backup.operations.keep_replaced import KeepReplaced
from moi_backup.operations.move_sequences import move_sequences
from moi_backup.operations.progress import Progress
from moi_backup.operations.scratch_errors import scratch_errors
from moi_backup.postgres.arrow_session import ArrowSession, Refused
from moi_backup.postgres.foreign_key_checks import referencing_tables
from moi_backup.postgres.identifiers import qualified

LOCK_TIMEOUT_MS, LOCK_PAUSE_SECONDS, LOCK_ATTEMPTS = 2_000, 1.0, 10
ROW_TIMEOUT_MS = 30_000
LOCK_NOT_AVAILABLE, UNDEFINED_TABLE = "55P03", "42P01"
PLAN_LOCK_TIMEOUT_MS = 10_000
CONNECTION_LOST = ("08", "57P")


class KeptLocked(RefusedInPlace):
    """Another session did not let go of a table in time."""


def plan_in_place(url: str, plan: TablePlan, asked: InPlace, *, scratch: Path, progress: Progress) -> TablePlan:
    """The plan of one table with what would be done to its live rows now, or why it is refused."""
    progress.start(str(plan.target), total=plan.rows)
    with scratch_errors(asked.target), ArrowSession(url) as session:
        begin(session, isolation="REPEATABLE READ", lock_timeout_ms=PLAN_LOCK_TIMEOUT_MS)
        planned = _planned(session, plan, asked, scratch, progress)
        session.script("ROLLBACK")
    progress.finish(str(plan.target), "compared")
    return planned


@dataclass(frozen=True, slots=True)
class Changing:
    """The restore of tables of one backup in the database at `url`; `scratch` is a folder for what it needs meanwhile.

    `keep` stores what is replaced, once all is written and proved and before it is committed (None: nothing can be).
    """

    url: str
    backup: BackupManifest
    scratch: Path
    progress: Progress
    keep: KeepReplaced | None

    def restore(self, plan: TablePlan, asked: InPlace) -> tuple[TableOutcome, list[str]]:
        """Carry out the restore of one table; a failure is an outcome, after the rollback.

        A `plan` with a `part` is carried out only if the same would be done now. Besides, what failed after the commit.
        """
        began, facts, problems = monotonic(), dict[str, Any](), list[str]()
        self.progress.start(str(plan.target), total=plan.rows)
        try:
            with ArrowSession(self.url) as session:
                with scratch_errors(asked.target):
                    self._transaction(session, plan, asked, facts)
                problems += move_sequences(session, self.backup, plan.table) if plan.target == plan.table else []
        except MoiError as error:
            if facts.get("status") == "restored":
                problems.append(f"{plan.target} was restored; what came after its commit failed: {error.what}")
            else:
                facts["status"] = "refused" if isinstance(error, RefusedInPlace) else "failed"
                facts["error"] = str(error)
        self.progress.finish(str(plan.target), "proved" if facts["status"] == "restored" else "failed")
        return TableOutcome(table=plan.table, target=plan.target, seconds=monotonic() - began, **facts), problems

    def _transaction(self, session: ArrowSession, plan: TablePlan, asked: InPlace, facts: dict[str, Any]) -> None:
        """From BEGIN to COMMIT; `facts` of the outcome are filled as they become true."""
        _begin_alone(session, asked.target)
        with deciding(session, asked, scratch=self.scratch, progress=self.progress) as decided:
            if plan.part and plan.part != decided.part:
                raise RefusedInPlace(asked.target, ["its rows or its definition changed since the preview"])
            proved = apply(decided, scratch=self.scratch, progress=self.progress)
            changes = decided.changes
            if self.keep is not None and changes.written:
                facts |= self.keep.keep(decided, self.scratch)._asdict()
            _commit(session, asked.target)
            facts |= {"status": "restored", "rows": plan.rows, "changes": changes, **proved._asdict()}


def _commit(session: ArrowSession, target: TableName) -> None:
    """Commit; a connection that is lost at this moment leaves open what became of it, and that is said."""
    try:
        session.script("COMMIT")
    except Refused as error:
        if error.sqlstate and not error.sqlstate.startswith(CONNECTION_LOST):
            raise
        raise MoiError(
            f"{target}: the connection was lost while the change was committed: {error.what}",
            meaning="The table is as it was before, or as restored; which of them is not known.",
            remedy="moi-backup diff BACKUP live tells, and moi-backup undo takes it back if it was committed.",
        ) from error


def _planned(session: ArrowSession, plan: TablePlan, asked: InPlace, scratch: Path, progress: Progress) -> TablePlan:
    try:
        _lock(session, asked.target, asked.target, "ACCESS SHARE")  # before the snapshot, or a TRUNCATE comes between
        with deciding(session, asked, scratch=scratch, progress=progress) as decided:
            facts = {"changes": decided.changes, "part": decided.part}
            if decided.refusal:
                return msgspec.structs.replace(plan, action="refuse", refusal=decided.refusal, **facts)
            return msgspec.structs.replace(plan, **facts)
    except RefusedInPlace as error:
        return msgspec.structs.replace(plan, action="refuse", refusal=error.why)


def _begin_alone(session: ArrowSession, target: TableName) -> None:
    """Begin the transaction in which nobody else writes; raises RefusedInPlace where others do not let go.

    Writers queue up behind a lock that waits, so it waits briefly, and again after a pause in which they go on.
    """
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        begin(session, isolation="READ COMMITTED", lock_timeout_ms=LOCK_TIMEOUT_MS)
        try:
            _lock_out_writers(session, target)
            session.script(f"SET LOCAL lock_timeout = {ROW_TIMEOUT_MS:d}")
            return
        except KeptLocked:
            if attempt == LOCK_ATTEMPTS:
                raise
            session.script("ROLLBACK")
            sleep(LOCK_PAUSE_SECONDS)


def _lock_out_writers(session: ArrowSession, target: TableName) -> None:
    """Nobody but this session writes to the table, and to those that refer to it, from here to the end."""
    _lock(session, target, target, "SHARE ROW EXCLUSIVE")
    # A new foreign key needs the lock just taken, so from here on the referencing tables are known.
    for other in referencing_tables(session.rows, target):
        _lock(session, target, other, "SHARE ROW EXCLUSIVE")


def _lock(session: ArrowSession, target: TableName, table: TableName, mode: str) -> None:
    """Lock a table for the restore of `target`; raises RefusedInPlace when another session does not let go of it."""
    try:
        session.script(f"LOCK TABLE {qualified(table)} IN {mode} MODE")
    except Refused as error:
        if error.sqlstate == UNDEFINED_TABLE and table == target:
            raise RefusedInPlace(target, ["it does not exist"]) from error
        if error.sqlstate != LOCK_NOT_AVAILABLE:
            raise
        raise KeptLocked(target, ["another session keeps it, or a table that refers to it, locked"]) from error
