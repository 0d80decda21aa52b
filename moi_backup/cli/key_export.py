"""`moi-backup key export`."""

from __future__ import annotations

from pathlib import Path

import click

from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.secret_file import hand_over


@click.command(cls=Command)
@click.option("--scope", "scopes", metavar="SCOPE", multiple=True, required=True, help="May be repeated.")
@click.option(
    "--to", "file", metavar="FILE", type=click.Path(path_type=Path), help="Write it there (mode 0600), not to stdout."
)
@click.pass_obj
def command(invocation: Invocation, scopes: tuple[str, ...], file: Path | None) -> None:
    """Export the keys of scopes for a holder without the master key, who sets them as MOI_KEY_1.

    Scope default is always among them. What is exported can be taken back by key rekey alone.
    """
    from moi_backup.operations.export_keys import export_keys

    text = export_keys(invocation.workspace, scopes)
    holds = tuple(sorted({"default", *scopes}))
    hand_over(invocation, text, file=file, told=f"Wrote the keys of {', '.join(holds)} to {file}.", holds=holds)
