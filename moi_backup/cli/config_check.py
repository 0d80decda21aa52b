"""`moi-backup config check`."""

from __future__ import annotations

import click

from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation


@click.command(cls=Command)
@click.pass_obj
def command(invocation: Invocation) -> None:
    """Show every resolved setting with its origin; exit code 2 when one is unknown or names what does not exist."""
    from moi_backup.operations.check_configuration import check_configuration
    from moi_backup.operations.explain_configuration import explanation_lines

    checked = check_configuration(invocation.workspace)
    output = invocation.output
    output.document(checked)
    for line in explanation_lines(checked.settings):
        output.line(line)
    if not checked.connected:
        output.line(f"\nThe database was not asked, so tables and columns were not compared with it. {checked.problem}")
    elif checked.unprotected:
        output.line(f"\nNo entry covers: {', '.join(checked.unprotected)}")
