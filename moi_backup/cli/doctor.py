"""`moi-backup doctor`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation

if TYPE_CHECKING:
    from moi_backup.operations.workspace import Workspace


@click.command(cls=Command)
@click.pass_obj
def command(invocation: Invocation) -> int:
    """Examine the environment: settings, database, privileges, pg_dump, repository. Exit code 1 when anything fails."""
    from moi_backup.operations.doctor import examine

    def workspace() -> Workspace:
        return invocation.workspace

    found = examine(workspace, entropy=os.urandom)
    output = invocation.output
    output.document(found)
    output.table(("check", "result", "found"), [(check.name, check.level, check.text) for check in found.checks])
    for check in found.checks:
        if check.remedy:
            output.line(f"{check.name}: {check.remedy}")
    return found.exit_code
