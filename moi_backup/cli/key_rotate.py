"""`moi-backup key rotate`."""

from __future__ import annotations

import os

import click

from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import wait_option


@click.command(cls=Command)
@wait_option
@click.pass_obj
def command(invocation: Invocation, *, wait: float) -> None:
    """Wrap every key by the newest master key: configure the old and the new one (MOI_KEY_1, MOI_KEY_2) and run this.

    No backup is written anew, so it takes a moment. Who has both an old master key and an old copy of keys/ can still
    open what was written before: after a theft run key rekey as well.
    """
    from moi_backup.operations.rotate_keys import rotate_keys

    done = rotate_keys(invocation.workspace, wait=wait, entropy=os.urandom)
    output = invocation.output
    output.document(done)
    what = f"Wrapped anew: {', '.join(done.rewrapped)}." if done.rewrapped else "Every key was wrapped by it already."
    output.line(f"Master key {done.master} (id {done.master_id}) opens the repository by itself. {what}")
    for variable in done.retired:
        output.line(f"{variable} opens nothing here any more: take it out of the configuration of every machine.")
