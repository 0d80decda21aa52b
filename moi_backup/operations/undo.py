"""Undo a restore in place: merge back what it replaced, with the state that it left as the base.

So what people changed since stays, what the restore changed goes back, and what both changed is a conflict: it stays as
it is and is told. An undo is a restore in place like any other: it leaves a record and what undoes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from moi_backup.errors import Damaged, UsageError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.restore import RestorePlan, RestoreRequest, RestoreResult, TableOutcome, TablePlan
from moi_backup.model.table import TableName
from moi_backup.model.undo import UndoOrder
from moi_backup.operations.backup_debris import scratch_folder
from moi_backup.operations.database_errors import database_errors
from moi_backup.operations.find_undo import FoundUndo, Lost, Replaced, find_undo, told_hold
from moi_backup.operations.in_place import InPlace
from moi_backup.operations.in_turn import Restored, in_turn
from moi_backup.operations.keep_replaced import KeepReplaced
from moi_backup.operations.locked_columns import wrong_key
from moi_backup.operations.open_for_reading import Reading, open_for_reading
from moi_backup.operations.previewed import as_previewed, refuse, refused_outcome, with_changes
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.record_restore import begin_restore, record_restore, recorded_when_stopped, result_of
from moi_backup.operations.restore_in_place import Changing
from moi_backup.operations.restoring_alone import alone
from moi_backup.operations.stored_table import open_table
from moi_backup.operations.was_committed import is_target, was_committed
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.connection_url import address_of
from moi_backup.postgres.identifiers import qualified, quote_literal
from moi_backup.postgres.session import Connection, begin, connect, read_source, run
from moi_backup.repository.leases import Lease

LOCK_TIMEOUT_MS = 10_000


def plan_undo(workspace: Workspace, url: str, order: UndoOrder, *, progress: Progress | None = None) -> RestorePlan:
    """What `undo` would do now in the database at `url`; writes nothing. No table: there is nothing to undo."""
    progress = progress or Silent()
    reading = open_for_reading(workspace, warn=progress.warn)
    prepared = _prepare(workspace, reading, url, order).with_changes(workspace, url, progress)
    return msgspec.structs.replace(prepared.plan, notes=(*reading.notes(), *prepared.plan.notes))


def undo(workspace: Workspace, url: str, order: UndoOrder, *, progress: Progress | None = None) -> RestoreResult:
    """Take back a restore in the database at `url`. One table's failure does not stop the others.

    Where there is nothing to undo the result has no table, and no record is kept. Raises UsageError without a reason.
    """
    require_reason(order)
    progress = progress or Silent()
    reading = open_for_reading(workspace, warn=progress.warn)
    with alone(workspace, reading, in_place=True, wait=order.wait, progress=progress) as lease:
        prepared = _prepare(workspace, reading.again(), url, order)
        begun = begin_restore(workspace, prepared.request)
        if order.plan is not None:
            prepared = prepared.with_changes(workspace, url, progress)
            prepared = replace(prepared, plan=as_previewed(prepared.plan, order.plan))
        if not prepared.plan.tables:
            return result_of(prepared.plan, (), (), reason=order.reason, notes=(*reading.notes(), *prepared.plan.notes))
        outcomes, problems = list[TableOutcome](), list[str]()
        into = None if reading.instead else reading.repository

        def result() -> RestoreResult:
            notes = (*reading.notes(), *prepared.plan.notes)
            return result_of(prepared.plan, outcomes, problems, reason=order.reason, notes=notes)

        with recorded_when_stopped(workspace, into, begun, prepared.request, result):
            _carry_out(workspace, prepared, url, lease, begun.id, outcomes, problems, progress)
    return record_restore(workspace, into, begun, prepared.request, result())


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The undo as a restore in place. `backups` and `asked` are those of every table that can be undone."""

    plan: RestorePlan
    reading: Reading
    request: RestoreRequest
    backups: Mapping[TableName, BackupManifest]
    asked: Mapping[TableName, InPlace]

    def with_changes(self, workspace: Workspace, url: str, progress: Progress) -> _Prepared:
        """The same with what would be done to the live rows now, and the token."""
        store, now = self.reading.repository.store, workspace.clock.now()
        try:
            plan = with_changes(self.plan, self.asked, self.request, url=url, store=store, now=now, progress=progress)
        except Damaged as error:
            held = [note for note in self.plan.notes if "held until" in note]
            error.meaning = " ".join([error.meaning, "Nothing was written.", *held]).strip()
            raise
        return replace(self, plan=plan)


def _carry_out(
    workspace: Workspace,
    prepared: _Prepared,
    url: str,
    lease: Lease | None,
    restore: str,
    outcomes: list[TableOutcome],
    problems: list[str],
    progress: Progress,
) -> None:
    """Change every table that can be; `outcomes`, and `problems` after a commit, grow table by table."""
    keep = None
    if lease is not None:
        keep = KeepReplaced(workspace, lease, url, restore, prepared.request.reason, progress)
    backup_of = {table.table: table.backup for table in prepared.plan.tables}

    def done(restored: Restored) -> None:
        outcomes.append(msgspec.structs.replace(restored[0], backup=backup_of[restored[0].table]))
        problems.extend(restored[1])

    with scratch_folder(prepared.reading.repository.store, now=workspace.clock.now()) as scratch:
        works: list[Callable[[], Restored]] = []
        for table in prepared.plan.tables:
            if table.action == "refuse":
                works.append(partial(_left_alone, table))
                continue
            changing = Changing(url, prepared.backups[table.table], scratch, progress, keep)
            works.append(partial(changing.restore, table, prepared.asked[table.table]))
        in_turn(works, done=done)


def _left_alone(table: TablePlan) -> Restored:
    return refused_outcome(table), []


def _prepare(workspace: Workspace, reading: Reading, url: str, order: UndoOrder) -> _Prepared:
    timezone = workspace.configuration.source.timezone
    found = find_undo(reading, order.restore, order.tables, timezone=timezone)
    with (
        connect(url) as conn,
        database_errors("The undo could not be planned", url=url, meaning="Nothing was written."),
    ):
        begin(conn, lock_timeout_ms=LOCK_TIMEOUT_MS)
        found = _still_to_undo(conn, found, address=address_of(url))
    backups = {entry.table: entry.backup for entry in found.tables if isinstance(entry, Replaced)}
    asked = {
        entry.table: _asked(reading, entry, order) for entry in found.tables if isinstance(entry, Replaced)
    }  # fmt: skip
    tables = tuple(
        refuse(TablePlan(table=entry.table, target=entry.table, action="refuse", rows=0, days=0), entry.why)
        if isinstance(entry, Lost)
        else _table_plan(entry, asked[entry.table])
        for entry in found.tables
    )
    first = next(iter(backups.values()), None)
    plan = RestorePlan(
        backup=first.id if first else "",
        taken_at=first.started_at if first else "",
        address=address_of(url),
        days=first.coverage.days if first else None,
        tables=tables,
        on_conflict="merge",
        undoes=found.restore,
        notes=(*found.notes, *(told_hold(backup, timezone=timezone) for backup in backups.values())),
    )
    return _Prepared(plan, reading, _request(order, plan), backups, asked)


def _still_to_undo(conn: Connection, found: FoundUndo, *, address: str) -> FoundUndo:
    """Without the tables to which the restore was never committed; raises UsageError for another database than its."""
    source = read_source(conn, address=address)
    tables: list[Replaced | Lost] = []
    notes = list(found.notes)
    for entry in found.tables:
        if isinstance(entry, Lost):
            tables.append(entry)
            continue
        if not is_target(source, entry.backup.source):
            raise _other_database(found.restore, entry.backup.source.address, address)
        name = quote_literal(qualified(entry.table))
        if run(conn, f"SELECT pg_catalog.to_regclass({name}) IS NULL")[0][0]:
            tables.append(Lost(entry.table, "it does not exist"))
            continue
        status = "committed" if entry.recorded else was_committed(conn, entry.backup, source)
        if status == "aborted":
            notes.append(f"{entry.table}: nothing to undo, for that restore was never committed.")
        elif status == "in progress":
            tables.append(Lost(entry.table, f"restore {found.restore} has not ended yet"))
        else:
            tables.append(entry)
        if status == "unknown":
            notes.append(
                f"{entry.table}: whether that restore was committed cannot be known any more;"
                " rows that are as it would have left them are put back."
            )
    return FoundUndo(found.restore, tuple(tables), tuple(notes))


def _asked(reading: Reading, entry: Replaced, order: UndoOrder) -> InPlace:
    stored = open_table(reading.repository, entry.backup, entry.table)
    days = entry.backup.coverage.days
    if locked := stored.locked(days):
        raise wrong_key(f"{entry.table} cannot be undone", locked)
    return InPlace(
        target=entry.table,
        stored=stored,
        days=days,
        policy="merge",
        undoing=entry.listed,
        disable_triggers=order.disable_triggers,
    )


def _table_plan(entry: Replaced, asked: InPlace) -> TablePlan:
    parts = asked.stored.parts(asked.days)
    return TablePlan(
        table=entry.table,
        target=entry.table,
        action="in-place",
        rows=sum(part.rows for part in parts),
        days=len({part.day for part in parts}),
        backup=entry.backup.id,
    )


def _request(order: UndoOrder, plan: RestorePlan) -> RestoreRequest:
    """The restore that the undo is; the backups of all tables are part of what is asked."""
    return RestoreRequest(
        backup=" ".join([plan.undoes, *(table.backup for table in plan.tables)]),
        tables=tuple(table.table for table in plan.tables),
        days=plan.days,
        in_place=True,
        on_conflict="merge",
        disable_triggers=order.disable_triggers,
        plan=order.plan,
        reason=order.reason,
        wait=order.wait,
        by=order.by,
    )


def require_reason(order: UndoOrder) -> None:
    """Raise UsageError when an undo is asked for without saying why."""
    if not order.reason.strip():
        raise UsageError(
            "An undo needs --reason TEXT.",
            meaning="It overwrites live rows, so the reason must be said.",
            remedy="Nothing was written. Add the reason, or look at the plan with --dry-run.",
        )


def _other_database(restore: str, then: str, now: str) -> UsageError:
    return UsageError(
        f"Restore {restore} wrote into {then}, and this is {now}.",
        meaning="An undo puts rows back where the restore replaced them, and nowhere else.",
        remedy="Name that database with --to.",
    )
