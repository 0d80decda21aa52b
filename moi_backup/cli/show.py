"""`moi-backup show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import BACKUP

if TYPE_CHECKING:
    from moi_backup.cli.output import Output
    from moi_backup.operations.show_backup import BackupDescription, DescribedTable


@click.command(cls=Command, epilog=BACKUP)
@click.argument("backup")
@click.pass_obj
def command(invocation: Invocation, backup: str) -> None:
    """Describe one backup: tables, days, columns and types, source, schema archive."""
    from moi_backup.operations.show_backup import show_backup

    shown = show_backup(invocation.workspace, backup, progress=invocation.warnings())
    output = invocation.output
    output.document(shown)
    _facts(output, shown, timezone=invocation.timezone)
    output.line()
    output.table(
        ("table", "rows", "days", "from", "to", "chunks", "new", "size", "digest"),
        [_row(table) for table in shown.tables],
        right=("rows", "days", "chunks", "new", "size"),
    )
    for table in shown.tables:
        output.line()
        _columns(output, table)


def _facts(output: Output, shown: BackupDescription, *, timezone: str) -> None:
    seconds = wording.seconds_between(shown.started_at, shown.finished_at)
    base = f", based on {shown.base}" if shown.base else ""
    source, schema = shown.source, shown.schema
    coverage = wording.coverage_text(tables=shown.coverage.tables, days=shown.coverage.days)
    taken = wording.local_time(shown.started_at, timezone=timezone)
    for name, text in (
        ("backup", f"{shown.id} ({shown.kind}{base})"),
        ("taken", f"{taken}, in {wording.duration(seconds)}"),
        ("reason", shown.reason or "none given"),
        ("coverage", coverage),
        ("rows", f"{wording.count(shown.rows)} in {wording.counted(len(shown.tables), 'table')}"),
        ("size", wording.saving(weight=shown.weight, stored=shown.bytes)),
        ("source", f"{source.address} (database {source.database}, Postgres {source.server_version})"),
        ("snapshot", f"{source.snapshot} at {source.wal_position}, system {source.system_identifier}"),
        ("schema", f"{wording.size(schema.size)} by {schema.pg_dump}, files/{schema.digest}"),
        ("unprotected", ", ".join(shown.unprotected) or "nothing"),
    ):
        output.line(f"{name:<12} {text}")


def _row(table: DescribedTable) -> tuple[str, ...]:
    return (
        table.name,
        wording.count(table.rows),
        wording.count(table.days),
        table.first_day or "-",
        table.last_day or "-",
        wording.count(table.chunks),
        wording.count(table.new_chunks),
        wording.size(table.bytes),
        table.digest,
    )


def _columns(output: Output, table: DescribedTable) -> None:
    day = "no day column" if table.day is None else f"days by {table.day.column} ({table.day.kind})"
    others = [f"{wording.count(table.undated)} undated rows"] if table.undated else []
    others += [f"{wording.count(table.infinite)} rows at infinity"] if table.infinite else []
    key = f"key {', '.join(table.key)}" if table.key else "no key"
    output.line(f"{table.name}: {'; '.join([day, key, *others])}")
    rows = [
        (column.name, column.pg_type, column.encoding, "not null" if column.not_null else "", column.generated)
        for column in table.columns
    ]
    output.table(("column", "type", "stored as", "null", "generated"), rows)
