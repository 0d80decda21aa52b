"""`moi-backup bisect`."""

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
    from moi_backup.operations.bisect import Bisection, JudgedBackup


@click.command(cls=Command)
@click.argument("table")
@click.option(
    "--where",
    "condition",
    metavar="CONDITION",
    required=True,
    help="What a row must satisfy: a boolean expression in DuckDB's SQL over the columns of the table.",
)
@click.option("--absent", is_flag=True, help="Find the first backup in which no row satisfies it any more.")
@since_option
@until_option
@without_scope_option
@click.pass_obj
def command(
    invocation: Invocation,
    table: str,
    *,
    condition: str,
    absent: bool,
    since: str | None,
    until: str | None,
    without_scopes: tuple[str, ...],
) -> int:
    """Find the first backup in which a row satisfies a condition."""
    from moi_backup.operations.bisect import BisectRequest, bisect

    request = BisectRequest(
        table=table_named(invocation, table),
        condition=condition,
        absent=absent,
        since=since,
        until=until,
        without_scopes=without_scopes,
    )
    found = bisect(invocation.workspace, request, progress=invocation.progress())
    invocation.output.document(found)
    _tell(invocation, found)
    return exit_code(found.passed_over)


def _tell(invocation: Invocation, found: Bisection) -> None:
    output = invocation.output
    if found.first is None:
        output.line(_nothing(found))
    else:
        what = "First without such a row" if found.absent else "First with such a row"
        rows = (found.before, found.first) if found.before else (found.first,)
        names = (*(("last before",) if found.before else ()), what.lower())
        output.line(f"{what}: {found.first.backup}")
        if found.before is None:
            output.line("It is the oldest that was looked at: what was before is not known.")
        output.table(
            ("", "backup", "kind", "taken", "rows", "reason"),
            [_row(name, backup, timezone=invocation.timezone) for name, backup in zip(names, rows, strict=True)],
            right=("rows",),
        )
        _tell_samples(output, found)
    tell_passed_over(output, found.passed_over)
    for note in found.notes:
        output.line(f"Note: {note}")


def _nothing(found: Bisection) -> str:
    """What was there instead of what was sought."""
    backups = wording.counted(found.looked_at, "backup")
    looked_at = f"{backups} looked at, from {found.oldest.backup} to {found.newest.backup}"
    if found.newest.rows:
        return f"In all of them there is such a row of {found.table} ({looked_at})."
    if found.oldest.rows:
        return f"Such rows of {found.table} were there before, and came up no more ({looked_at})."
    return f"In none of them there is such a row of {found.table} ({looked_at})."


def _row(name: str, backup: JudgedBackup, *, timezone: str) -> tuple[str, ...]:
    taken = wording.local_time(backup.taken_at, timezone=timezone)
    return (name, backup.backup, backup.kind, taken, wording.count(backup.rows), backup.reason)


def _tell_samples(output: Output, found: Bisection) -> None:
    output.line("The last of them:" if found.absent else "Such rows:")
    for sample in found.samples:
        output.line(f"  {', '.join(f'{name}={value}' for name, value in sample.row.items())}")
