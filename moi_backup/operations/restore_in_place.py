"""Restore tables in place: one session, one transaction for each, proved before the commit.

The order: lock out writers, decide from the live rows and the backup's, look for everything that stands against it,
write, check constraints, read back, commit. Sequences move forward only, after the commit, because setval is not
transactional. A preview decides the same in a snapshot, without the lock, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from moi_backup.errors import MoiError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.restore import TableOutcome, TablePlan
from moi_backup.model.table import TableName
from moi_backup.operations.apply_in_place import Proved, apply
from moi_backup.operations.decide_in_place import Decided, deciding
from moi_backup.operations.in_place import InPlace, RefusedInPlace, begin
from moi_backup.operations.move_sequences import move_sequences
from moi_backup.operations.progress import Progress
from moi_backup.postgres.arrow_session import ArrowSession, Refused
from moi_backup.postgres.foreign_key_checks import referencing_tables
from moi_backup.postgres.identifiers import qualified

LOCK_TIMEOUT_MS = 30_000
LOCK_NOT_AVAILABLE = "55P03"
PLAN_LOCK_TIMEOUT_MS = 10_000
BeforeCommit = Callable[[Decided, Proved], None]
"""Called once everything is written and proved, while the lock is held; what it raises rolls back."""


class ChangedSincePreview(RefusedInPlace):
    """The live table is no longer what the plan that was asked for had seen."""


def plan_in_place(url: str, plan: TablePlan, asked: InPlace, *, scratch: Path, progress: Progress) -> TablePlan:
    """The plan of one table with what would be done to its live rows now, or why it is refused."""
    progress.start(str(plan.target), total=plan.rows)
    with ArrowSession(url) as session:
        begin(session, isolation="REPEATABLE READ", lock_timeout_ms=PLAN_LOCK_TIMEOUT_MS)
        planned = _planned(session, plan, asked, scratch, progress)
        session.script("ROLLBACK")
    progress.finish(str(plan.target), "compared")
    return planned


def restore_in_place(
    url: str,
    plan: TablePlan,
    asked: InPlace,
    backup: BackupManifest,
    *,
    scratch: Path,
    progress: Progress,
    before_commit: BeforeCommit | None = None,
) -> tuple[TableOutcome, list[str]]:
    """Carry out the restore of one table; a failure is an outcome, after the rollback.

    A `plan` with a `part` is carried out only if the same would be done now. Besides, what failed after the commit.
    """
    began = monotonic()
    progress.start(str(plan.target), total=plan.rows)
    try:
        with ArrowSession(url) as session:
            facts = _transaction(session, plan, asked, scratch, progress, before_commit)
            problems = move_sequences(session, backup, plan.table) if plan.target == plan.table else []
    except MoiError as error:
        progress.finish(str(plan.target), "failed")
        status = "refused" if isinstance(error, RefusedInPlace) else "failed"
        outcome = TableOutcome(
            table=plan.table, target=plan.target, status=status, error=str(error), seconds=monotonic() - began
        )
        return outcome, []
    progress.finish(str(plan.target), "proved")
    outcome = TableOutcome(
        table=plan.table, target=plan.target, status="restored", rows=plan.rows, seconds=monotonic() - began, **facts
    )
    return outcome, problems


def _planned(session: ArrowSession, plan: TablePlan, asked: InPlace, scratch: Path, progress: Progress) -> TablePlan:
    try:
        with deciding(session, asked, scratch=scratch, progress=progress) as decided:
            facts = {"changes": decided.changes, "part": decided.part}
            if decided.refusal:
                return msgspec.structs.replace(plan, action="refuse", refusal=decided.refusal, **facts)
            return msgspec.structs.replace(plan, **facts)
    except RefusedInPlace as error:
        return msgspec.structs.replace(plan, action="refuse", refusal=error.why)


def _transaction(
    session: ArrowSession,
    plan: TablePlan,
    asked: InPlace,
    scratch: Path,
    progress: Progress,
    before_commit: BeforeCommit | None,
) -> dict[str, Any]:
    """From BEGIN to COMMIT; the facts of the outcome."""
    begin(session, isolation="READ COMMITTED", lock_timeout_ms=LOCK_TIMEOUT_MS)
    _lock_out_writers(session, asked.target)
    with deciding(session, asked, scratch=scratch, progress=progress) as decided:
        if plan.part and plan.part != decided.part:
            raise ChangedSincePreview(asked.target, ["its rows or its definition changed since the preview"])
        proved = apply(decided, scratch=scratch, progress=progress)
        if before_commit is not None and decided.changes.written:
            before_commit(decided, proved)
        session.script("COMMIT")
        return {"changes": decided.changes, "digest": proved.digest, "equal": proved.equal}


def _lock_out_writers(session: ArrowSession, target: TableName) -> None:
    """Nobody but this session writes to the table, and to those that refer to it, from here to the end."""
    try:
        session.script(f"LOCK TABLE {qualified(target)} IN SHARE ROW EXCLUSIVE MODE")
        # A new foreign key needs the lock just taken, so from here on the referencing tables are known.
        for other in referencing_tables(session.rows, target):
            session.script(f"LOCK TABLE {qualified(other)} IN SHARE ROW EXCLUSIVE MODE")
    except Refused as error:
        if error.sqlstate != LOCK_NOT_AVAILABLE:
            raise
        raise RefusedInPlace(target, ["another session keeps it, or a table that refers to it, locked"]) from error
