"""`moi-backup drill`."""

from __future__ import annotations

import click

from moi_backup.cli.commands import Command
from moi_backup.cli.drill_text import tell_report
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import BACKUP, table_names, table_option
from moi_backup.model.drill import DrillRequest


@click.command(cls=Command, epilog=f"{BACKUP} Without it the newest complete backup is drilled.")
@click.argument("backup", default="latest")
@table_option
@click.option("--keep-database", is_flag=True, help="Leave the database for looking at; drop it yourself.")
@click.pass_obj
def command(invocation: Invocation, backup: str, *, tables: tuple[str, ...], keep_database: bool) -> int:
    """Restore a backup into a scratch database, prove and measure it, and keep the report.

    Exit code 0 passed, 3 passed with warnings, 1 failed.
    """
    from moi_backup.operations.drill import drill

    request = DrillRequest(backup=backup, tables=table_names(invocation, tables), keep_database=keep_database)
    report = drill(invocation.workspace, request, progress=invocation.progress())
    invocation.output.document(report)
    tell_report(invocation.output, report, timezone=invocation.timezone)
    return report.exit_code
