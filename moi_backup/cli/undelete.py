"""`moi-backup undelete`."""

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
    """Take expired backups out of the trash: they are listed and restore again, as before."""
    from moi_backup.operations.expire_backups import undelete_backups

    done = undelete_backups(invocation.workspace, backups, wait=wait)
    invocation.output.document(done)
    for backup in done.backups:
        invocation.output.line(f"{backup} is listed again.")
    for note in done.notes:
        invocation.output.line(f"Warning: {note}")
