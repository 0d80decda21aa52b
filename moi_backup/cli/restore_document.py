"""The JSON documents of `moi-backup restore` (docs/json.md): the plan of a dry run, and the result."""

from __future__ import annotations

import msgspec

from moi_backup.model.day import DayRange
from moi_backup.model.restore import RestorePlan, RestoreResult, TableChanges, TableOutcome


class PlannedTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table of a plan; `action` is create, compare, in-place or refuse. `changes` is null unless in place."""

    name: str
    target: str
    action: str
    rows: int
    days: int
    changes: TableChanges | None
    refusal: str
    backup: str


class PlanDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore would do; nothing was written. `token` ("" unless in place) lets `--plan` apply exactly this."""

    backup: str
    base: str
    taken_at: str
    address: str
    days: DayRange | None
    on_conflict: str
    where: str
    token: str
    undoes: str
    tables: tuple[PlannedTable, ...]
    notes: tuple[str, ...]


class InsteadDay(msgspec.Struct, frozen=True, kw_only=True):
    """A damaged day and what stands in its place; `backup` is "" when it was left out."""

    day: str
    lost: int
    rows: int
    backup: str
    taken_at: str
    identical: bool


class RestoredTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table. `status` is restored, present, failed or refused.

    `equal`: the rows read back have the backup's digest.
    """

    name: str
    target: str
    status: str
    rows: int
    replaced: int
    changes: TableChanges | None
    digest: str
    equal: bool
    undo: str
    error: str
    backup: str
    seconds: float
    instead: tuple[InsteadDay, ...]


class RestoreDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore did; `id` is that of its record (`moi-backup restores`), "" when none could be kept."""

    id: str
    backup: str
    undoes: str
    address: str
    complete: bool
    reason: str
    tables: tuple[RestoredTable, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def plan_document(plan: RestorePlan) -> PlanDocument:
    """The document of a dry run."""
    return PlanDocument(
        backup=plan.backup,
        base=plan.base,
        taken_at=plan.taken_at,
        address=plan.address,
        days=plan.days,
        on_conflict=plan.on_conflict,
        where=plan.where,
        token=plan.token,
        undoes=plan.undoes,
        tables=tuple(
            PlannedTable(
                name=str(table.table),
                target=str(table.target),
                action=table.action,
                rows=table.rows,
                days=table.days,
                changes=table.changes,
                refusal=table.refusal,
                backup=table.backup or plan.backup,
            )
            for table in plan.tables
        ),
        notes=plan.notes,
    )


def result_document(result: RestoreResult) -> RestoreDocument:
    """The document of a restore."""
    return RestoreDocument(
        id=result.id,
        backup=result.backup,
        undoes=result.undoes,
        address=result.address,
        complete=result.complete,
        reason=result.reason,
        tables=tuple(
            RestoredTable(
                name=str(table.table),
                target=str(table.target),
                status=table.status,
                rows=table.rows,
                replaced=table.replaced,
                changes=table.changes,
                digest=table.digest,
                equal=_equal(table),
                undo=table.undo,
                error=table.error,
                backup=table.backup or result.backup,
                seconds=table.seconds,
                instead=tuple(
                    InsteadDay(
                        day=day.day,
                        lost=day.lost,
                        rows=day.rows,
                        backup=day.backup,
                        taken_at=day.taken_at,
                        identical=day.identical,
                    )
                    for day in table.instead
                ),
            )
            for table in result.tables
        ),
        notes=result.notes,
        problems=result.problems,
    )


def _equal(table: TableOutcome) -> bool:
    """Whether the rows of the target in the restored range are the backup's."""
    if table.changes is not None:
        return table.equal
    # A restore into a new table commits only after the digests were compared.
    return table.done and all(day.identical for day in table.instead)
