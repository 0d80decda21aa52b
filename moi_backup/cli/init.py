"""`moi-backup init`."""

from __future__ import annotations

import os

import click

from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation


@click.command(cls=Command)
@click.pass_obj
def command(invocation: Invocation) -> None:
    """Make the repository that MOI_REPOSITORY or moi.toml names. One that exists is left as it is (exit code 2)."""
    from moi_backup.operations.initialise import initialise

    made = initialise(invocation.workspace, entropy=os.urandom)
    invocation.output.document(made)
    invocation.output.line(f"Made repository {made.id} at {made.address}.")
    if made.encrypted:
        invocation.output.line(
            "It is encrypted. Without its master key nobody can read it: keep a second copy of the key."
        )
    invocation.output.line("Next: moi-backup backup")
