"""`moi-backup restore`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import (
    BACKUP,
    day_range,
    days_option,
    reason_option,
    table_names,
    table_option,
    wait_option,
    without_scope_option,
)
from moi_backup.cli.restore_document import plan_document, result_document
from moi_backup.cli.target import target_url
from moi_backup.errors import UsageError
from moi_backup.model.restore import DamagedPolicy, DayInstead, RestorePlan, RestoreRequest, RestoreResult, TableOutcome

if TYPE_CHECKING:
    from moi_backup.cli.output import Output


@click.command(cls=Command, epilog=BACKUP)
@click.argument("backup")
@click.option("--to", metavar="URL", required=True, help="The database: a URL, env:NAME, source, embedded:DATABASE.")
@click.option("--in-place", is_flag=True, help="Write into tables that exist; needs --on-conflict and --reason.")
@click.option("--on-conflict", type=click.Choice(["replace"]), help="replace: the chosen rows become the backup's.")
@reason_option
@click.option("--schema", metavar="S", help="Restore into this (scratch) schema instead of the tables' own.")
@table_option
@days_option
@without_scope_option
@click.option("--resume", is_flag=True, help="Go on: a table that exists and is wholly the backup's is kept.")
@click.option("--jobs", type=click.IntRange(1, 16), default=2, show_default=True, help="New tables side by side.")
@click.option(
    "--damaged",
    type=click.Choice(["fail", "skip", "older"]),
    default="fail",
    show_default=True,
    help="Damaged days: fail the table, skip them, or take their newest older state.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and write nothing.")
@wait_option
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter for each option
    invocation: Invocation,
    backup: str,
    *,
    to: str,
    in_place: bool,
    on_conflict: str | None,
    reason: str,
    schema: str | None,
    tables: tuple[str, ...],
    days: str | None,
    without_scopes: tuple[str, ...],
    resume: bool,
    jobs: int,
    damaged: DamagedPolicy,
    dry_run: bool,
    wait: float,
) -> int:
    """Restore everything, tables or days of a backup, and prove it: rows are read back and their digest compared.

    Exit code 0 all restored, 3 some, 1 none.
    """
    request = RestoreRequest(
        backup=backup,
        tables=table_names(invocation, tables),
        days=day_range(days),
        schema=schema,
        in_place=in_place,
        on_conflict="replace" if on_conflict else None,
        reason=reason,
        wait=wait,
        without_scopes=without_scopes,
        resume=resume,
        jobs=jobs,
        damaged=damaged,
    )
    _require_said(request)
    return _restore(invocation, request, target_url(invocation, to), dry_run=dry_run)


def _require_said(request: RestoreRequest) -> None:
    """The words that an overwriting restore needs, asked for before anything connects."""
    missing = ["--on-conflict replace"] if request.in_place and request.on_conflict is None else []
    missing += ["--reason TEXT"] if request.in_place and not request.reason.strip() else []
    if missing:
        raise UsageError(
            f"--in-place needs {' and '.join(missing)}.",
            meaning="It overwrites live rows, so the policy and the reason must be said. Nothing was written.",
        )
    if request.on_conflict is not None and not request.in_place:
        raise UsageError("--on-conflict is for restores in place.", remedy="Add --in-place, or leave it out.")


def _restore(invocation: Invocation, request: RestoreRequest, url: str, *, dry_run: bool) -> int:
    from moi_backup.operations.restore import plan_restore, restore

    output = invocation.output
    # What is done after the plan tells its warnings itself.
    plan = plan_restore(invocation.workspace, url, request, progress=invocation.progress() if dry_run else None)
    _tell_plan(output, plan, timezone=invocation.timezone)
    if dry_run:
        output.document(plan_document(plan))
        output.line("Dry run: nothing was written.")
        return 0
    # What the plan named is what is restored, also when `latest` changes in between.
    bound = msgspec.structs.replace(request, backup=plan.backup)
    result = restore(invocation.workspace, url, bound, progress=invocation.progress())
    output.document(result_document(result))
    _tell_result(output, result)
    return result.exit_code


def _tell_plan(output: Output, plan: RestorePlan, *, timezone: str) -> None:
    days = f", days {plan.days}" if plan.days is not None else ""
    taken = wording.local_time(plan.taken_at, timezone=timezone)
    output.line(f"Restore of {plan.backup}, taken {taken}, to {plan.address}{days}")
    output.table(
        ("table", "to", "action", "rows", "days", "replaces", "why not"),
        [
            (
                str(table.table),
                str(table.target),
                table.action,
                wording.count(table.rows),
                wording.count(table.days),
                wording.count(table.replaces),
                table.refusal,
            )
            for table in plan.tables
        ],
        right=("rows", "days", "replaces"),
    )
    for note in plan.notes:
        output.line(f"Note: {note}")
    output.line()


def _tell_result(output: Output, result: RestoreResult) -> None:
    output.table(
        ("table", "to", "status", "rows", "replaced", "time", "digest of the rows read back"),
        [
            (
                str(table.table),
                str(table.target),
                table.status,
                wording.count(table.rows),
                wording.count(table.replaced),
                wording.duration(table.seconds),
                _digest_told(table),
            )
            for table in result.tables
        ],
        right=("rows", "replaced", "time"),
    )
    for table in result.tables:
        if table.status == "failed":  # why one is refused stands in the plan
            output.line(f"Failed: {table.error}")
    for table in result.tables:
        for day in table.instead:
            output.line(_instead_told(table, day))
    for problem in result.problems:
        output.line(f"Not restored: {problem}")
    if not result.id:
        output.line(f"Warning: {result.notes[-1]}")
    restored = sum(table.done for table in result.tables)
    record = f" Recorded as {result.id} (moi-backup restores)." if result.id else ""
    output.line(f"Restored {restored} of {wording.counted(len(result.tables), 'table')}.{record}")


def _digest_told(table: TableOutcome) -> str:
    if not table.done:
        return "-"
    return f"{table.digest} {'equal to what was restored' if table.instead else 'equal to the backup'}"


def _instead_told(table: TableOutcome, day: DayInstead) -> str:
    lost = f"{table.target}, day {day.day}: {wording.counted(day.lost, 'row')} of the backup are damaged"
    if not day.backup:
        return f"Left out: {lost}."
    same = "exactly the same rows" if day.identical else "an older state"
    return f"Instead: {lost}; {wording.counted(day.rows, 'row')} of {day.backup}, taken {day.taken_at}, {same}."
