"""`moi-backup undo`."""

from __future__ import annotations

import click

from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import reason_option, table_names, table_option, wait_option
from moi_backup.cli.restore_document import plan_document, result_document
from moi_backup.cli.restore_text import tell_plan, tell_result
from moi_backup.cli.target import target_url
from moi_backup.model.undo import UndoOrder


@click.command(cls=Command, epilog="RESTORE_ID is the id of a restore (moi-backup restores) or a unique prefix of one.")
@click.argument("restore", metavar="RESTORE_ID")
@click.option(
    "--to",
    metavar="URL",
    default="source",
    show_default=True,
    help="The database that was restored into, as for restore.",
)
@table_option
@click.option("--disable-triggers", is_flag=True, help="Keep user triggers from firing meanwhile.")
@click.option("--plan", metavar="TOKEN", help="Write only what the preview with this token showed.")
@reason_option
@click.option("--dry-run", is_flag=True, help="Print the plan and write nothing.")
@wait_option
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter for each option
    invocation: Invocation,
    restore: str,
    *,
    to: str,
    tables: tuple[str, ...],
    disable_triggers: bool,
    plan: str | None,
    reason: str,
    dry_run: bool,
    wait: float,
) -> int:
    """Put back what a restore in place replaced, and keep what was changed since.

    Exit code 0 done or nothing to undo, 3 in part (also where rows that it changed were changed since), 1 not at all.
    """
    order = UndoOrder(
        restore=restore,
        tables=table_names(invocation, tables),
        disable_triggers=disable_triggers,
        plan=plan,
        reason=reason,
        wait=wait,
    )
    return _preview(invocation, order, to) if dry_run else _undo(invocation, order, to)


def _preview(invocation: Invocation, order: UndoOrder, to: str) -> int:
    from moi_backup.operations.undo import plan_undo

    plan = plan_undo(invocation.workspace, target_url(invocation, to), order, progress=invocation.progress())
    output = invocation.output
    output.document(plan_document(plan))
    tell_plan(output, plan, timezone=invocation.timezone)
    output.line("Dry run: nothing was written." if plan.tables else "Nothing to undo.")
    return 0


def _undo(invocation: Invocation, order: UndoOrder, to: str) -> int:
    from moi_backup.operations.undo import require_reason, undo

    require_reason(order)
    result = undo(invocation.workspace, target_url(invocation, to), order, progress=invocation.progress())
    output = invocation.output
    output.document(result_document(result))
    tell_result(output, result)
    if not result.tables:
        output.line("Nothing to undo.")
    return result.exit_code
