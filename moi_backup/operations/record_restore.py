"""Every restore that was carried out leaves a record; one that cannot be written does not undo the restore."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import msgspec

from moi_backup.errors import MoiError
from moi_backup.model.restore import RestorePlan, RestoreRequest, RestoreResult, TableChanges, TableOutcome, TablePlan
from moi_backup.model.restore_record import RecordedTable, RestoreRecord
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.documents import timestamp
from moi_backup.repository.layout import new_backup_id
from moi_backup.repository.records import write_record
from moi_backup.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class RestoreBegun:
    """A restore under way: the id of its record, when it began, and who asked for it."""

    id: str
    at: datetime
    by: str


def begin_restore(
    workspace: Workspace, request: RestoreRequest, *, entropy: Callable[[int], bytes] = os.urandom
) -> RestoreBegun:
    """The identity of a restore that begins now."""
    now = workspace.clock.now()
    return RestoreBegun(new_backup_id(now, entropy=entropy(3)), now, request.by or _person())


def record_restore(
    workspace: Workspace,
    repository: Repository | None,
    begun: RestoreBegun,
    request: RestoreRequest,
    result: RestoreResult,
) -> RestoreResult:
    """Store the record of a restore and return the result with its id; with a note where it could not be stored.

    `repository` None: the restore was read from a copy, to which nothing is written but copies.
    """
    if repository is None:
        return _untold(result, "It was read from the copy, and the repository itself cannot be written.")
    record = restore_record(begun, request, result, finished=workspace.clock.now())
    try:
        write_record(repository, "restores", begun.id, record)
    except MoiError as error:
        return _untold(result, error.what)
    return msgspec.structs.replace(result, id=begun.id)


@contextmanager
def recorded_when_stopped(
    workspace: Workspace,
    repository: Repository | None,
    begun: RestoreBegun,
    request: RestoreRequest,
    so_far: Callable[[], RestoreResult],
) -> Generator[None]:
    """Record what was done up to then when a restore is stopped (by a signal, a defect): tables commit one by one."""
    try:
        yield
    except BaseException:
        record_restore(workspace, repository, begun, request, so_far())
        raise


def result_of(
    plan: RestorePlan,
    outcomes: Sequence[TableOutcome],
    problems: Sequence[str],
    *,
    reason: str,
    notes: tuple[str, ...],
) -> RestoreResult:
    """What became of every planned table: the last of its outcomes; one without any was stopped or never begun."""
    found = {outcome.table: outcome for outcome in outcomes}
    return RestoreResult(
        backup=plan.backup,
        address=plan.address,
        reason=reason,
        tables=tuple(found.get(table.table) or _stopped(table) for table in plan.tables),
        notes=notes,
        problems=tuple(problems),
        base=plan.base,
        undoes=plan.undoes,
    )


def _stopped(table: TablePlan) -> TableOutcome:
    return TableOutcome(
        table=table.table,
        target=table.target,
        status="failed",
        error="The restore was stopped before this table was seen to be done: it is as before, unless its commit was "
        "on its way at that moment (moi-backup diff tells).",
    )


def restore_record(
    begun: RestoreBegun, request: RestoreRequest, result: RestoreResult, *, finished: datetime
) -> RestoreRecord:
    """What is kept of a restore."""
    return RestoreRecord(
        id=begun.id,
        at=timestamp(begun.at),
        finished_at=timestamp(finished),
        by=begun.by,
        reason=request.reason,
        backup=result.backup,
        base=result.base or None,
        in_place=request.in_place,
        policy=request.on_conflict or "",
        where=request.where or "",
        days=request.days,
        address=result.address,
        tables=tuple(_table(outcome) for outcome in result.tables),
        notes=result.notes,
        problems=result.problems,
        undoes=result.undoes,
    )


def _table(outcome: TableOutcome) -> RecordedTable:
    changes = outcome.changes
    counts = {"inserted": outcome.rows} if changes is None else _counts(changes)
    return RecordedTable(
        table=str(outcome.table),
        target=str(outcome.target),
        status=outcome.status,
        rows=outcome.rows,
        **counts,
        digest_before=changes.live if changes is not None else "",
        digest_after=outcome.digest,
        undo=outcome.undo,
        changes=outcome.listed,
        error=outcome.error,
        backup=outcome.backup,
    )


def _counts(changes: TableChanges) -> dict[str, int]:
    return {name: getattr(changes, name) for name in ("inserted", "updated", "deleted", "kept", "conflicts")}


def _untold(result: RestoreResult, why: str) -> RestoreResult:
    return msgspec.structs.replace(result, notes=(*result.notes, f"This restore was not recorded. {why}"))


def _person() -> str:
    """`user@host` of the operating system; the number of a user that has no name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no entry in the user database (KeyError before Python 3.13)
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
