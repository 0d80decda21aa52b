"""`moi-backup key generate`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.secret_file import hand_over


@click.command(cls=Command)
@click.option(
    "--to", "file", metavar="FILE", type=click.Path(path_type=Path), help="Write it there (mode 0600), not to stdout."
)
@click.pass_obj
def command(invocation: Invocation, file: Path | None) -> None:
    """Make a new master key of 256 random bits. Nothing is stored but where you say: keep it, and a second copy of it.

    Set it as MOI_KEY_1 (the next one as MOI_KEY_2, and so on) or name its file: MOI_KEY_1=file:/run/secrets/moi-key.
    """
    from moi_backup.repository.key_text import generate_master

    told = f"Wrote a new master key to {file}. Keep a second copy of it in another place."
    hand_over(invocation, generate_master(os.urandom), file=file, told=told)
