"""`moi-backup query`."""

from __future__ import annotations

import csv
import itertools
import math
import shutil
import sys
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

import click
import msgspec

from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import BACKUP, without_scope_option
from moi_backup.errors import UsageError

if TYPE_CHECKING:
    from moi_backup.cli.output import Output
    from moi_backup.operations.query import QueryResult

_SPOOLED_BYTES = 8 << 20
_PAGE_ROWS = 1000


@click.command(cls=Command, epilog=BACKUP)
@click.argument("backup")
@click.argument("sql", metavar="SELECT")
@without_scope_option
@click.option("--csv", "as_csv", is_flag=True, help="Print the rows as CSV with a header.")
@click.pass_obj
def command(invocation: Invocation, backup: str, sql: str, *, without_scopes: tuple[str, ...], as_csv: bool) -> None:
    """Run one SELECT (DuckDB) over the tables of a backup, named as in the database."""
    if as_csv and invocation.json:
        raise UsageError("--csv and --json exclude each other.")
    from moi_backup.operations.query import query

    progress = invocation.warnings()
    with query(invocation.workspace, backup, sql, without_scopes=without_scopes, progress=progress) as result:
        if invocation.json:
            _print_json(result)
        elif as_csv:
            _print_csv(result)
        else:
            _print_table(invocation.output, result)


def _print_json(result: QueryResult) -> None:
    """A list of objects, complete or not at all: it goes out once the last row has come."""
    with SpooledTemporaryFile(max_size=_SPOOLED_BYTES, mode="w+", encoding="utf-8") as held:
        separator = "[\n"
        for row in result.rows:
            entry = dict(zip(result.columns, map(_json_value, row), strict=True))
            held.write(separator + msgspec.json.encode(entry).decode())
            separator = ",\n"
        held.write("[]\n" if separator == "[\n" else "\n]\n")
        held.seek(0)
        shutil.copyfileobj(held, sys.stdout)


def _json_value(value: str | float | bool | None) -> str | float | bool | None:  # noqa: FBT001 - a value of a row
    """JSON knows neither NaN nor infinity: they are texts."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _print_csv(result: QueryResult) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(result.columns)
    for row in result.rows:
        writer.writerow(["" if value is None else _text(value) for value in row])


def _print_table(output: Output, result: QueryResult) -> None:
    """Pages of rows, each aligned for itself, so that a long answer does not have to be held."""
    right = [
        name for name, kind in zip(result.columns, result.types, strict=True)
        if kind.endswith("INT") or kind.startswith(("DECIMAL", "DOUBLE", "FLOAT", "INTEGER", "UINTEGER"))
    ]  # fmt: skip
    shown = 0
    while page := list(itertools.islice(result.rows, _PAGE_ROWS)):
        output.table(result.columns, [[_cell(value) for value in row] for row in page], right=right)
        shown += len(page)
    if not shown:
        output.table(result.columns, [])
    output.line(f"({shown:,} row{'' if shown == 1 else 's'} of backup {result.backup})")


def _cell(value: str | float | bool | None) -> str:  # noqa: FBT001 - a value of a row
    return "NULL" if value is None else _text(value)


def _text(value: str | float | bool) -> str:  # noqa: FBT001 - a value of a row
    return str(value).lower() if isinstance(value, bool) else str(value)
