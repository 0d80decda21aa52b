"""`moi-backup key rekey`."""

from __future__ import annotations

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import wait_option


@click.command(cls=Command)
@click.option("--scope", metavar="SCOPE", required=True, help="The scope whose key was stolen or given away too far.")
@wait_option
@click.pass_obj
def command(invocation: Invocation, *, scope: str, wait: float) -> None:
    """Give a scope a new key and write everything under it anew, in all listed backups. Backups keep their ids.

    The objects under the old key go with the next prune. Exports of the scope open nothing that is written from now on.
    """
    from moi_backup.operations.rekey import rekey

    done = rekey(invocation.workspace, scope, wait=wait, progress=invocation.progress())
    output = invocation.output
    output.document(done)
    output.line(
        f"Scope {done.scope} has key {done.number}: {wording.counted(done.chunks, 'chunk')} "
        f"({wording.size(done.bytes)}) written anew in {wording.counted(len(done.backups), 'backup')}."
    )
    if done.trash:
        output.line(f"Still under the old key, because they are in the trash: {', '.join(done.trash)}.")
    output.line("Next: moi-backup prune deletes what is under the old key; then refresh the copies (copy --prune).")
