"""`moi-backup key check`."""

from __future__ import annotations

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation


@click.command(cls=Command)
@click.pass_obj
def command(invocation: Invocation) -> int:
    """Check that the configured keys open every scope, and read rows with them. Exit code 12 when one is not open."""
    from moi_backup.operations.check_keys import check_keys

    found = check_keys(invocation.workspace)
    output = invocation.output
    output.document(found)
    for key in found.locked:
        output.line(f"Locked: {key.scope}.{key.number}: {key.why}")
    if found.backup is None:
        output.line("There is no backup yet, so no rows were read.")
    else:
        output.line(f"Read rows of {found.backup} in: {', '.join(found.opened)}.")
    if found.not_rotated:
        count = wording.counted(found.not_rotated, "key")
        output.line(f"{count} not yet under the newest master key: run moi-backup key rotate.")
    return found.exit_code
