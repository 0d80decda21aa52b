"""`moi-backup restore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

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
from moi_backup.cli.restore_text import tell_plan, tell_result
from moi_backup.cli.target import target_url
from moi_backup.errors import UsageError
from moi_backup.model.conflict_policy import POLICIES, ConflictPolicy
from moi_backup.model.restore import DamagedPolicy, RestoreRequest

if TYPE_CHECKING:
    from moi_backup.cli.output import Output


@click.command(cls=Command, epilog=BACKUP)
@click.argument("backup")
@click.option("--to", metavar="URL", required=True, help="The database: a URL, env:NAME, source, embedded:DATABASE.")
@click.option("--in-place", is_flag=True, help="Write into tables that exist; needs --on-conflict and --reason.")
@click.option("--on-conflict", type=click.Choice(POLICIES), help="What wins where live rows and the backup's differ.")
@click.option("--base", metavar="BACKUP", help="merge: the backup of the damaged state.")
@click.option("--newer-by", metavar="COLUMN", help="take-newer: the timestamp that tells the newer row.")
@click.option("--where", metavar="SQL", help="In place: only keys with a differing row for which this holds.")
@click.option("--disable-triggers", is_flag=True, help="In place: keep user triggers from firing meanwhile.")
@click.option(
    "--rename", "renames", metavar="OLD=NEW", multiple=True, help="In place: the backup's column OLD is NEW now."
)
@click.option("--plan", metavar="TOKEN", help="In place: write only what the preview with this token showed.")
@reason_option
@click.option("--schema", metavar="S", help="Restore into this (scratch) schema instead of the tables' own.")
@click.option("--schema-from-backup", is_flag=True, help="With --schema, a new one: tables as the backup defines them.")
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
    base: str | None,
    newer_by: str | None,
    where: str | None,
    disable_triggers: bool,
    renames: tuple[str, ...],
    plan: str | None,
    reason: str,
    schema: str | None,
    schema_from_backup: bool,
    tables: tuple[str, ...],
    days: str | None,
    without_scopes: tuple[str, ...],
    resume: bool,
    jobs: int,
    damaged: DamagedPolicy,
    dry_run: bool,
    wait: float,
) -> int:
    """Restore everything, tables or days of a backup, and prove it: rows are read back and compared.

    Exit code 0 all restored, 3 some, 1 none.
    """
    from moi_backup.operations.check_restore import check_request

    request = RestoreRequest(
        backup=backup,
        tables=table_names(invocation, tables),
        days=day_range(days),
        schema=schema,
        schema_from_backup=schema_from_backup,
        in_place=in_place,
        on_conflict=cast("ConflictPolicy | None", on_conflict),
        base=base,
        newer_by=newer_by,
        where=where,
        disable_triggers=disable_triggers,
        renames=tuple(map(_rename, renames)),
        plan=plan,
        reason=reason,
        wait=wait,
        without_scopes=without_scopes,
        resume=resume,
        jobs=jobs,
        damaged=damaged,
    )
    check_request(request, preview=dry_run)
    return _restore(invocation, request, target_url(invocation, to), dry_run=dry_run)


def _rename(text: str) -> tuple[str, str]:
    old, sign, new = text.partition("=")
    if not (old and sign and new):
        raise UsageError(
            f"{text!r} is no renaming.", remedy="Write --rename OLD=NEW: the name in the backup, then the one now."
        )
    return old, new


def _restore(invocation: Invocation, request: RestoreRequest, url: str, *, dry_run: bool) -> int:
    from moi_backup.operations.restore import plan_restore, restore

    output: Output = invocation.output
    if dry_run:
        plan = plan_restore(invocation.workspace, url, request, progress=invocation.progress())
        output.document(plan_document(plan))
        tell_plan(output, plan, timezone=invocation.timezone)
        output.line("Dry run: nothing was written.")
        return 0
    result = restore(invocation.workspace, url, request, progress=invocation.progress())
    output.document(result_document(result))
    tell_result(output, result)
    return result.exit_code
