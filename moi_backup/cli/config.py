"""`moi-backup config`."""

from __future__ import annotations

import click

from moi_backup.cli.commands import LazyGroup


@click.command(cls=LazyGroup, modules={"check": "config_check"})
def command() -> None:
    """Look at the configuration."""
