"""`moi-backup diff`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from moi_backup.cli.commands import Command
from moi_backup.cli.diff_document import diff_document
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import BACKUP, day_range, days_option, table_names, table_option, without_scope_option
from moi_backup.errors import PartlyDone, UsageError
from moi_backup.model.diff import DiffRequest, DiffResult, RowChange, TableDiff

if TYPE_CHECKING:
    from moi_backup.operations.diff_table import Told

LIMIT = 50
JSON_LIMIT = 10_000
DIFFERENT = 1


@click.command(cls=Command, epilog=f"BEFORE and AFTER: {BACKUP} One of them may be live, the protected database.")
@click.argument("before")
@click.argument("after")
@table_option
@days_option
@click.option("--rows", "with_rows", is_flag=True, help="List the rows: their key, and what changed.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=LIMIT,
    show_default=True,
    help="List at most so many rows of each table.",
)
@without_scope_option
@click.option("--exit-code", "tell_by_code", is_flag=True, help="Exit code 1 when anything differs.")
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter for each option
    invocation: Invocation,
    before: str,
    after: str,
    *,
    tables: tuple[str, ...],
    days: str | None,
    with_rows: bool,
    limit: int,
    without_scopes: tuple[str, ...],
    tell_by_code: bool,
) -> int:
    """Tell what differs from one backup to another, or to the live tables: rows by day, columns, sums, and the rows.

    Exit code 0 compared, 3 some table could not be compared.
    """
    if with_rows and invocation.json and limit > JSON_LIMIT:
        raise UsageError(
            f"--limit is at most {JSON_LIMIT:,} with --json, which is held in memory.",
            remedy="List more rows without --json, or query the backup.",
        )
    request = DiffRequest(
        before=before,
        after=after,
        tables=table_names(invocation, tables),
        days=day_range(days),
        without_scopes=without_scopes,
    )
    return _diff(invocation, request, limit=limit if with_rows else 0, tell_by_code=tell_by_code)


def _diff(invocation: Invocation, request: DiffRequest, *, limit: int, tell_by_code: bool) -> int:
    from moi_backup.cli.diff_text import tell_end, tell_table
    from moi_backup.operations.diff import diff

    listed: dict[str, list[RowChange]] = {}

    def told(table: TableDiff, rows: Iterator[RowChange]) -> None:
        if invocation.json:
            listed[str(table.table)] = [row for row, _ in zip(rows, range(limit), strict=False)]
        else:
            tell_table(invocation.output, table, rows, limit=limit)

    listener: Told = told
    result = diff(invocation.workspace, request, told=listener, progress=invocation.progress())
    invocation.output.document(diff_document(result, listed if limit else None))
    tell_end(invocation.output, result, timezone=invocation.timezone)
    return _exit_code(result, tell_by_code=tell_by_code)


def _exit_code(result: DiffResult, *, tell_by_code: bool) -> int:
    if not result.complete:
        return PartlyDone.exit_code
    return DIFFERENT if tell_by_code and result.differs else 0
