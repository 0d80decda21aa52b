"""Restore tables of a backup: decide everything first (`plan_restore`), then carry out exactly that (`restore`).

Every table is one transaction of its own, in which its rows are read back and proved before the commit; an interrupted
restore into new tables is resumed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgspec

from moi_backup.errors import Damaged, StorageError
from moi_backup.model.restore import Action, RestorePlan, RestoreRequest, RestoreResult, TableOutcome, TablePlan
from moi_backup.operations.backup_debris import scratch_folder
from moi_backup.operations.check_restore import check_request
from moi_backup.operations.in_turn import Restored, in_turn
from moi_backup.operations.keep_replaced import KeepReplaced
from moi_backup.operations.open_for_reading import open_for_reading
from moi_backup.operations.prepare_restore import PreparedRestore, prepare_restore
from moi_backup.operations.previewed import as_previewed, refused_outcome, with_changes
from moi_backup.operations.progress import Progress, Silent
from moi_backup.operations.record_restore import begin_restore, record_restore, recorded_when_stopped, result_of
from moi_backup.operations.restore_in_place import Changing
from moi_backup.operations.restore_new import NewTable, create_tables
from moi_backup.operations.restoring_alone import alone
from moi_backup.operations.stored_table import StoredTable
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.leases import Lease


def plan_restore(
    workspace: Workspace, url: str, request: RestoreRequest, *, progress: Progress | None = None
) -> RestorePlan:
    """What `restore` would do now. Raises UsageError for what cannot be asked of this backup; writes nothing."""
    reading = open_for_reading(workspace, warn=(progress or Silent()).warn)
    check_request(request, preview=True)
    prepared = prepare_restore(reading, url, request, workspace.configuration)
    if request.in_place:
        prepared = _with_changes(workspace, prepared, url, progress or Silent())
    return msgspec.structs.replace(prepared.plan, notes=prepared.notes)


def restore(
    workspace: Workspace, url: str, request: RestoreRequest, *, progress: Progress | None = None
) -> RestoreResult:
    """Restore into the database at `url`. One table's failure does not stop the others.

    The result says which succeeded, and in its notes what was read from the copy.
    """
    progress = progress or Silent()
    check_request(request)
    begun = begin_restore(workspace, request)
    reading = open_for_reading(workspace, warn=progress.warn)
    with alone(workspace, reading, in_place=request.in_place, wait=request.wait, progress=progress) as lease:
        prepared = prepare_restore(
            reading.again() if request.in_place else reading, url, request, workspace.configuration
        )
        if request.plan is not None:
            prepared = _with_changes(workspace, prepared, url, progress)
            prepared = replace(prepared, plan=as_previewed(prepared.plan, request.plan))
        outcomes = [refused_outcome(table) for table in prepared.plan.tables if table.action == "refuse"]
        problems: list[str] = []
        into = None if reading.instead else reading.repository

        def result() -> RestoreResult:
            return result_of(prepared.plan, outcomes, problems, reason=request.reason, notes=prepared.notes)

        with recorded_when_stopped(workspace, into, begun, request, result):
            _carry_out(workspace, url, prepared, begun.id, lease, outcomes, problems, progress)
    return record_restore(workspace, into, begun, request, result())


def _carry_out(
    workspace: Workspace,
    url: str,
    prepared: PreparedRestore,
    restore_id: str,
    lease: Lease | None,
    outcomes: list[TableOutcome],
    problems: list[str],
    progress: Progress,
) -> None:
    """Create the new tables, then change those in place; `outcomes` and `problems` grow table by table."""
    request = prepared.request
    new = _openable(prepared, ("create", "compare"), outcomes)
    if new:
        created = create_tables(
            url,
            [NewTable(*pair) for pair in new],
            prepared.repository,
            prepared.backup,
            others=prepared.backups,
            restore=restore_id,
            request=request,
            progress=progress,
        )
        outcomes += created.outcomes
        problems += created.problems
    if prepared.asked:
        keep = None if lease is None else KeepReplaced(workspace, lease, url, restore_id, request.reason, progress)
        with scratch_folder(prepared.repository.store, now=workspace.clock.now()) as scratch:
            changing = Changing(url, prepared.backup, scratch, progress, keep)
            openable = _openable(prepared, ("in-place",), outcomes)
            works = [partial(changing.restore, table, prepared.asked[table.table]) for table, _ in openable]

            def done(restored: Restored) -> None:
                outcomes.append(restored[0])
                problems.extend(restored[1])

            in_turn(works, done=done)


def _with_changes(workspace: Workspace, prepared: PreparedRestore, url: str, progress: Progress) -> PreparedRestore:
    """The same with what would be done to the live rows of every table now, and the token."""
    store, now = prepared.repository.store, workspace.clock.now()
    plan = with_changes(
        prepared.plan, prepared.asked, prepared.request, url=url, store=store, now=now, progress=progress
    )
    return replace(prepared, plan=plan)


def _openable(
    prepared: PreparedRestore, actions: tuple[Action, ...], outcomes: list[TableOutcome]
) -> list[tuple[TablePlan, StoredTable]]:
    """The planned tables whose documents can still be read; of the others the failure is their outcome."""
    found: list[tuple[TablePlan, StoredTable]] = []
    for plan in prepared.plan.tables:
        if plan.action not in actions:
            continue
        try:
            found.append((plan, prepared.table(plan.table)))
        except (Damaged, StorageError) as error:
            outcomes.append(TableOutcome(table=plan.table, target=plan.target, status="failed", error=str(error)))
    return found
