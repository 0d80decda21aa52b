"""`moi-backup key`."""

from __future__ import annotations

import click

from moi_backup.cli.commands import LazyGroup

COMMANDS = {
    "generate": "key_generate",
    "list": "key_list",
    "check": "key_check",
    "rotate": "key_rotate",
    "rekey": "key_rekey",
    "export": "key_export",
    "destroy": "key_destroy",
}


@click.command(cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """Manage the keys of an encrypted repository (docs/keys.md tells what to do when one is lost or stolen)."""
