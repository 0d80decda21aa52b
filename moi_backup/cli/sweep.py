"""`moi-backup sweep`."""

from __future__ import annotations

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation

_WORDS = {"temporary": "temporary files of killed runs", "marks": "marks that do not count", "leases": "ended leases"}


@click.command(cls=Command)
@click.option("--dry-run", is_flag=True, help="Tell what would be removed and remove nothing.")
@click.pass_obj
def command(invocation: Invocation, *, dry_run: bool) -> None:
    """Remove what killed runs left beside the data: temporary files older than a day, old marks and leases."""
    from moi_backup.operations.sweep import sweep

    result = sweep(invocation.workspace, dry_run=dry_run)
    invocation.output.document(result)
    rows = [(_WORDS[kind.kind], wording.count(kind.removed), wording.size(kind.bytes)) for kind in result.kinds]
    invocation.output.table(("kind", "removed", "size"), rows, right=("removed", "size"))
    if dry_run:
        invocation.output.line("Dry run: nothing was removed.")
