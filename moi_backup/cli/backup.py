"""`moi-backup backup`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import day_range, days_option, reason_option, table_names, table_option, wait_option
from moi_backup.errors import UsageError

if TYPE_CHECKING:
    from moi_backup.cli.output import Output
    from moi_backup.model.backup import BackupManifest


@click.command(cls=Command)
@click.option("--full", is_flag=True, help="Read every row.")
@click.option("--incremental", is_flag=True, help="Read only what changed since the newest complete backup.")
@table_option
@days_option
@reason_option
@wait_option
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    full: bool,
    incremental: bool,
    tables: tuple[str, ...],
    days: str | None,
    reason: str,
    wait: float,
) -> None:
    """Back up every protected table from one snapshot. Without --full or --incremental: incremental where it can be.

    Whatever its kind, a backup restores on its own. One limited by --table or --days is never latest.
    """
    if full and incremental:
        raise UsageError("--full and --incremental exclude each other.")
    limits = table_names(invocation, tables), day_range(days)
    from moi_backup.operations.take_backup import BackupRequest, take_backup

    request = BackupRequest(
        full=True if full else False if incremental else None,
        tables=limits[0],
        days=limits[1],
        reason=reason,
        wait=wait,
    )
    manifest = take_backup(invocation.workspace, request, progress=invocation.progress()).manifest
    _tell(invocation, manifest)


def _tell(invocation: Invocation, manifest: BackupManifest) -> None:
    from moi_backup.cli.backup_document import backup_document

    document = backup_document(manifest)
    output = invocation.output
    output.document(document)
    output.table(
        ("table", "rows", "chunks", "new", "stored", "written", "digest"),
        [
            (
                table.name,
                wording.count(table.rows),
                wording.count(table.chunks),
                wording.count(table.new_chunks),
                wording.size(table.bytes),
                wording.size(table.bytes_written),
                table.digest,
            )
            for table in document.tables
        ],
        right=("rows", "chunks", "new", "stored", "written"),
    )
    output.line()
    _tell_sum(output, manifest)


def _tell_sum(output: Output, manifest: BackupManifest) -> None:
    weight, stored = (sum(sizes) for sizes in zip(*((t.weight, t.bytes) for t in manifest.tables), strict=True))
    written = sum(table.bytes_written for table in manifest.tables)
    seconds = wording.seconds_between(manifest.started_at, manifest.finished_at)
    output.line(
        f"Backup {manifest.id} ({manifest.kind}): {wording.count(manifest.rows)} rows "
        f"in {wording.duration(seconds)}, {wording.size(written)} written."
    )
    output.line(f"Size: {wording.saving(weight=weight, stored=stored)}.")
    if not manifest.coverage.complete:
        limits = wording.coverage_text(tables=manifest.coverage.tables, days=manifest.coverage.days)
        output.line(f"Limited to {limits}: it is never latest, and restores nothing else.")
    if manifest.unprotected:
        output.line(f"Unprotected, because no entry covers them: {', '.join(manifest.unprotected)}")
