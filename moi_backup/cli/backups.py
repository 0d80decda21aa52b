"""`moi-backup backups`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.errors import Damaged

if TYPE_CHECKING:
    from moi_backup.operations.list_backups import ListedBackup

_HEADINGS = ("id", "kind", "taken", "rows", "size", "new", "coverage", "reason")


@click.command(cls=Command)
@click.pass_obj
def command(invocation: Invocation) -> int:
    """List the backups, the newest first. Exit code 20 when the manifest of one cannot be read."""
    from moi_backup.operations.list_backups import list_backups

    found = list_backups(invocation.workspace, progress=invocation.warnings())
    output = invocation.output
    output.document(found)
    rows = [_row(backup, timezone=invocation.timezone) for backup in found.backups]
    if rows:
        output.table(_HEADINGS, rows, right=("rows", "size", "new"))
    elif not found.unreadable:
        output.line("There are no backups yet. Take one with moi-backup backup.")
    for broken in found.unreadable:
        output.line(f"Damaged: {broken.id}: {broken.detail} See moi-backup verify.")
    return Damaged.exit_code if found.unreadable else 0


def _row(backup: ListedBackup, *, timezone: str) -> tuple[str, ...]:
    return (
        backup.id,
        backup.kind,
        wording.local_time(backup.started_at, timezone=timezone),
        wording.count(backup.rows),
        wording.size(backup.bytes),
        wording.size(backup.bytes_written),
        wording.coverage_text(tables=backup.coverage.tables, days=backup.coverage.days),
        backup.reason,
    )
