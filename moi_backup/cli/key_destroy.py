"""`moi-backup key destroy`."""

from __future__ import annotations

import click

from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import wait_option
from moi_backup.errors import UsageError


@click.command(cls=Command)
@click.option("--scope", metavar="SCOPE", required=True, help="The scope whose columns shall never be read again.")
@click.option("--confirm", metavar="SCOPE", default="", help="The name of the scope once more: this cannot be undone.")
@wait_option
@click.pass_obj
def command(invocation: Invocation, *, scope: str, confirm: str, wait: float) -> None:
    """Destroy the keys of a scope: its columns in all backups can never be read again. The other scopes stay open."""
    if confirm != scope:
        raise UsageError(
            f"Destroying scope {scope!r} needs --confirm {scope}.",
            meaning="Its columns in every backup would be lost for good. Nothing was destroyed.",
        )
    from moi_backup.operations.destroy_scope import destroy_scope

    done = destroy_scope(invocation.workspace, scope, wait=wait)
    output = invocation.output
    output.document(done)
    output.line(f"Destroyed: {', '.join(done.destroyed) or 'nothing was left of it'}.")
    output.line("An older version of keys/ that the store keeps, a copy of the repository and every export still open")
    output.line("what was written: remove those too. The next backup makes a new key for this scope.")
