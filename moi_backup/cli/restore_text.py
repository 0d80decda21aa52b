"""What `moi-backup restore` says to a person: the plan of a dry run, and what a restore did."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from moi_backup.cli import wording
from moi_backup.model.restore import (
    ColumnSum,
    DayInstead,
    RestorePlan,
    RestoreResult,
    TableChanges,
    TableOutcome,
    TablePlan,
)

if TYPE_CHECKING:
    from moi_backup.cli.output import Output

MOST_DAYS = 40
"""Days listed one by one; the JSON document has them all."""
_COUNTS = ("inserted", "updated", "deleted", "kept", "unchanged", "conflicts")


def tell_plan(output: Output, plan: RestorePlan, *, timezone: str) -> None:
    """The plan, table by table; of a restore in place the changes by day as well."""
    days = f", days {plan.days}" if plan.days is not None else ""
    output.line(f"{_what_plan(plan, timezone=timezone)} {plan.address}{days}")
    output.table(
        ("table", "to", "action", "rows", "days", *_COUNTS, "why not"),
        [
            (
                str(table.table),
                str(table.target),
                table.action,
                wording.count(table.rows),
                wording.count(table.days),
                *_counts(table.changes),
                table.refusal,
            )
            for table in plan.tables
        ],
        right=("rows", "days", *_COUNTS),
    )
    for table in plan.tables:
        if table.changes is not None:
            _tell_changes(output, table, table.changes)
    for note in plan.notes:
        output.line(f"Note: {note}")
    output.line()
    if plan.token:
        output.line(f"Plan {plan.token}: with --plan {plan.token} nothing else than this is written.")


def tell_result(output: Output, result: RestoreResult) -> None:
    """What became of every table."""
    what = f"Undo of {result.undoes} at" if result.undoes else f"Restore of {result.backup} to"
    output.line(f"{what} {result.address}")
    output.table(
        ("table", "to", "status", "rows", *_COUNTS, "time", "digest of the rows read back"),
        [
            (
                str(table.table),
                str(table.target),
                table.status,
                wording.count(table.rows),
                *_counts(table.changes),
                wording.duration(table.seconds),
                _digest_told(table),
            )
            for table in result.tables
        ],
        right=("rows", *_COUNTS, "time"),
    )
    for table in result.tables:
        for day in table.instead:
            output.line(_instead_told(table, day))
        if table.error:
            output.line(f"{table.status.capitalize()}: {table.error}")
        if table.changes is not None and table.changes.renumbered:
            output.line(f"{table.target}: {_renumbered(table.changes)}")
        if table.changes is not None and table.changes.conflicts:
            output.line(f"{table.target}: {_conflicts(table.changes)}")
        for drift in table.changes.drift if table.changes is not None else ():
            output.line(f"{table.target}: {drift}")
        if table.undo:
            output.line(f"{table.target}: what was replaced is kept in backup {table.undo}")
    for note in result.notes:
        output.line(f"Note: {note}")
    for problem in result.problems:
        output.line(f"Not restored: {problem}")
    restored = sum(table.done for table in result.tables)
    record = f" Recorded as {result.id} (moi-backup restores)." if result.id else ""
    output.line(f"Restored {restored} of {wording.counted(len(result.tables), 'table')}.{record}")


def _counts(changes: TableChanges | None) -> tuple[str, ...]:
    return tuple("-" if changes is None else wording.count(getattr(changes, name)) for name in _COUNTS)


def _tell_changes(output: Output, table: TablePlan, changes: TableChanges) -> None:
    """The days with a difference, and what else happens to the rows."""
    if changes.days:
        output.line()
        output.table(
            (str(table.target), *_COUNTS[:-1], "sums"),
            [
                (day.day, *(wording.count(getattr(day, name)) for name in _COUNTS[:-1]), _sums(day.sums))
                for day in changes.days[:MOST_DAYS]
            ],
            right=_COUNTS[:-1],
        )
    if len(changes.days) > MOST_DAYS:
        output.line(f"... and {len(changes.days) - MOST_DAYS} more days (--json has them all)")
    if changes.columns:
        columns = ", ".join(f"{name} in {wording.counted(rows, 'row')}" for name, rows in changes.columns.items())
        output.line(f"Columns that change: {columns}")
    if changes.renumbered:
        output.line(_renumbered(changes))
    if changes.conflicts:
        output.line(_conflicts(changes))
    for drift in changes.drift:
        output.line(f"{table.target}: {drift}")
    for trigger in changes.disabled_triggers:
        output.line(f"Trigger kept from firing: {trigger}")


def _what_plan(plan: RestorePlan, *, timezone: str) -> str:
    if plan.undoes:
        return f"Undo of {plan.undoes} at"
    return f"Restore of {plan.backup}, taken {wording.local_time(plan.taken_at, timezone=timezone)}, to"


def _conflicts(changes: TableChanges) -> str:
    more = changes.conflicts - len(changes.conflict_keys)
    rest = f"; and {more:,} more" if more > 0 else ""
    return f"Differ on both sides: {'; '.join(changes.conflict_keys)}{rest}"


def _renumbered(changes: TableChanges) -> str:
    return f"{wording.counted(changes.renumbered, 'row')} with another number, because a row that stays has theirs"


def _sums(sums: tuple[ColumnSum, ...]) -> str:
    """The sums that change."""
    changed = [found for found in sums if found.before != found.after]
    return ", ".join(f"{found.column} {_number(found.before)} -> {_number(found.after)}" for found in changed)


def _number(text: str | None) -> str:
    if text is None:
        return "?"
    number = Decimal(text)
    return format(number.quantize(Decimal(1)) if number == number.to_integral() else number.normalize(), "f")


def _digest_told(table: TableOutcome) -> str:
    if not table.done:
        return "-"
    if table.changes is not None:
        return f"{table.digest}{' equal to the backup' if table.equal else ''}"
    return f"{table.digest} {'equal to what was restored' if table.instead else 'equal to the backup'}"


def _instead_told(table: TableOutcome, day: DayInstead) -> str:
    lost = f"{table.target}, day {day.day}: {wording.counted(day.lost, 'row')} of the backup are damaged"
    if not day.backup:
        return f"Left out: {lost}."
    same = "exactly the same rows" if day.identical else "an older state"
    return f"Instead: {lost}; {wording.counted(day.rows, 'row')} of {day.backup}, taken {day.taken_at}, {same}."
