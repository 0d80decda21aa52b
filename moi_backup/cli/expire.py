"""`moi-backup expire`."""

from __future__ import annotations

import click

from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import IDS, wait_option


@click.command(cls=Command, epilog=IDS)
@click.argument("backups", metavar="BACKUP...", nargs=-1, required=True)
@wait_option
@click.pass_obj
def command(invocation: Invocation, backups: tuple[str, ...], *, wait: float) -> None:
    """Put backups into the trash. They restore no more, and keep all that is theirs until moi-backup prune."""
    from moi_backup.operations.expire_backups import expire_backups

    done = expire_backups(invocation.workspace, backups, wait=wait)
    invocation.output.document(done)
    for backup in done.backups:
        invocation.output.line(
            f"Expired {backup}: moi-backup undelete {backup} brings it back until moi-backup prune removes it."
        )
    for note in done.notes:
        invocation.output.line(f"Warning: {note}")
