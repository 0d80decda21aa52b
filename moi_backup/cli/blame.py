"""`moi-backup blame`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import since_option, table_named, until_option, without_scope_option
from moi_backup.cli.passed_over import exit_code, tell_passed_over

if TYPE_CHECKING:
    from moi_backup.cli.output import Output
    from moi_backup.operations.blame import Blame, BlamedBackup
    from moi_backup.operations.row_changes import RowChange

_SHOWN = 20
_SAID = {
    "present": "there already",
    "appeared": "appeared",
    "changed": "changed",
    "disappeared": "disappeared",
}


@click.command(cls=Command)
@click.argument("table")
@click.option(
    "--key",
    "keys",
    metavar="COL=VALUE",
    multiple=True,
    help="Rows whose column has this value; may be repeated, a row fits all.",
)
@click.option(
    "--key-null", "null_keys", metavar="COL", multiple=True, help="Rows whose column is NULL; may be repeated."
)
@since_option
@until_option
@without_scope_option
@click.pass_obj
def command(
    invocation: Invocation,
    table: str,
    *,
    keys: tuple[str, ...],
    null_keys: tuple[str, ...],
    since: str | None,
    until: str | None,
    without_scopes: tuple[str, ...],
) -> int:
    """Tell which backups changed a row: when it appeared, changed or disappeared, column by column."""
    from moi_backup.operations.blame import BlameRequest, blame

    request = BlameRequest(
        table=table_named(invocation, table),
        keys=keys,
        null_keys=null_keys,
        since=since,
        until=until,
        without_scopes=without_scopes,
    )
    found = blame(invocation.workspace, request, progress=invocation.progress())
    invocation.output.document(found)
    _tell(invocation, found)
    return exit_code(found.passed_over)


def _tell(invocation: Invocation, found: Blame) -> None:
    output, key = invocation.output, _pairs(found.key)
    for backup in found.changed:
        _tell_backup(output, backup, timezone=invocation.timezone)
    if not found.changed:
        output.line(f"No row of {found.table} with {key} in any backup that was looked at.")
    elif len(found.changed) == 1 and found.changed[0].after is None:
        output.line("No backup changed that.")
    backups = wording.counted(found.looked_at, "backup")
    rows = wording.counted(found.rows, "row")
    output.line(f"{backups} looked at, from {found.oldest} to {found.newest}; the newest has {rows} with {key}.")
    tell_passed_over(output, found.passed_over)
    for note in found.notes:
        output.line(f"Note: {note}")


def _tell_backup(output: Output, backup: BlamedBackup, *, timezone: str) -> None:
    taken = wording.local_time(backup.taken_at, timezone=timezone)
    reason = f", {backup.reason}" if backup.reason else ""
    output.line(f"{backup.backup} ({backup.kind}{reason})")
    if backup.after_taken_at is None:
        output.line(f"  at {taken}, the oldest that was looked at")
    else:
        output.line(f"  between {wording.local_time(backup.after_taken_at, timezone=timezone)} ({backup.after})")
        output.line(f"      and {taken}")
    for change in backup.changes[:_SHOWN]:
        _tell_change(output, change)
    if len(backup.changes) > _SHOWN:
        output.line(f"  and {len(backup.changes) - _SHOWN:,} more rows; --json has them all")
    output.line()


def _tell_change(output: Output, change: RowChange) -> None:
    times = f" ({change.rows} times)" if change.rows > 1 else ""
    if change.what != "changed":
        output.line(f"  {_SAID[change.what]}{times}: {_pairs(change.row)}")
        return
    output.line("  changed:")
    width = max(len(column.column) for column in change.columns)
    for column in change.columns:
        output.line(f"    {column.column:<{width}}  {_cell(column.before)} -> {_cell(column.after)}")


def _pairs(values: dict[str, str] | dict[str, str | None]) -> str:
    return ", ".join(f"{name}={_cell(value)}" for name, value in values.items())


def _cell(value: str | None) -> str:
    return "NULL" if value is None else value
