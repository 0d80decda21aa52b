"""`moi-backup backups`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.errors import Damaged

if TYPE_CHECKING:
    from moi_backup.operations.list_backups import ListedBackup, TrashedBackup, UnreadableBackup

_HEADINGS = ("id", "kind", "taken", "rows", "size", "new", "coverage", "reason")
_TRASH_HEADINGS = ("id", "kind", "taken", "rows", "size", "expired", "can be pruned from")


@click.command(cls=Command)
@click.option("--trash", is_flag=True, help="List the expired backups instead, with the time each can be pruned from.")
@click.pass_obj
def command(invocation: Invocation, *, trash: bool) -> int:
    """List the backups, the newest first. Exit code 20 when the manifest of one cannot be read."""
    return _trash(invocation) if trash else _listed(invocation)


def _listed(invocation: Invocation) -> int:
    from moi_backup.operations.list_backups import list_backups

    found = list_backups(invocation.workspace, progress=invocation.warnings())
    output = invocation.output
    output.document(found)
    rows = [_row(backup, timezone=invocation.timezone) for backup in found.backups]
    if rows:
        output.table(_HEADINGS, rows, right=("rows", "size", "new"))
    elif not found.unreadable:
        output.line("There are no backups yet. Take one with moi-backup backup.")
    return _tell_unreadable(invocation, found.unreadable)


def _trash(invocation: Invocation) -> int:
    from moi_backup.operations.list_backups import list_trash

    found = list_trash(invocation.workspace)
    output = invocation.output
    output.document(found)
    rows = [_trash_row(backup, timezone=invocation.timezone) for backup in found.backups]
    if rows:
        output.table(_TRASH_HEADINGS, rows, right=("rows", "size"))
        output.line("moi-backup undelete brings one back; moi-backup prune removes those whose time has come.")
    elif not found.unreadable:
        output.line("The trash is empty.")
    return _tell_unreadable(invocation, found.unreadable)


def _tell_unreadable(invocation: Invocation, unreadable: tuple[UnreadableBackup, ...]) -> int:
    for broken in unreadable:
        invocation.output.line(f"Damaged: {broken.id}: {broken.detail} See moi-backup verify.")
    return Damaged.exit_code if unreadable else 0


def _trash_row(backup: TrashedBackup, *, timezone: str) -> tuple[str, ...]:
    return (
        backup.id,
        backup.kind,
        wording.local_time(backup.started_at, timezone=timezone),
        wording.count(backup.rows),
        wording.size(backup.bytes),
        wording.local_time(backup.expired_at, timezone=timezone),
        wording.local_time(backup.prunable_from, timezone=timezone),
    )


def _row(backup: ListedBackup, *, timezone: str) -> tuple[str, ...]:
    return (
        backup.id,
        backup.kind,
        wording.local_time(backup.started_at, timezone=timezone),
        wording.count(backup.rows),
        wording.size(backup.bytes),
        wording.size(backup.bytes_written),
        wording.coverage_text(tables=backup.coverage.tables, days=backup.coverage.days),
        "; ".join([*([backup.reason] if backup.reason else []), *_held(backup, timezone=timezone)]),
    )


def _held(backup: ListedBackup, *, timezone: str) -> list[str]:
    if backup.held_until is None:
        return []
    undoes = f"undoes restore {backup.restore}, " if backup.restore else ""
    return [f"{undoes}held until {wording.local_time(backup.held_until, timezone=timezone)}"]
