"""`moi-backup restores`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.errors import Damaged

if TYPE_CHECKING:
    from moi_backup.model.restore_record import RecordedTable, RestoreRecord
    from moi_backup.operations.list_restores import ListedRestore

_HEADINGS = ("id", "when", "who", "backup", "into", "policy", "in", "changed", "out", "status", "undo", "reason")
_COUNTS = ("rows", "in", "changed", "out", "kept", "conflicts")


@click.command(cls=Command, epilog="RESTORE_ID is the id of a restore or a unique prefix of one.")
@click.argument("restore", metavar="RESTORE_ID", required=False)
@click.pass_obj
def command(invocation: Invocation, *, restore: str | None) -> int:
    """List the restores that were carried out, the newest first, or show one in full.

    Exit code 20 when the record of one cannot be read.
    """
    return _listed(invocation) if restore is None else _shown(invocation, restore)


def _listed(invocation: Invocation) -> int:
    from moi_backup.operations.list_restores import list_restores

    found = list_restores(invocation.workspace)
    output = invocation.output
    output.document(found)
    rows = [_row(restore, timezone=invocation.timezone) for restore in found.restores]
    if rows:
        output.table(_HEADINGS, rows, right=_COUNTS)
    elif not found.unreadable:
        output.line("No restore is recorded here.")
    for broken in found.unreadable:
        output.line(f"Damaged: {broken.id}: {broken.detail} See moi-backup verify.")
    return Damaged.exit_code if found.unreadable else 0


def _row(restore: ListedRestore, *, timezone: str) -> tuple[str, ...]:
    return (
        restore.id,
        wording.local_time(restore.at, timezone=timezone),
        restore.by,
        restore.backup,
        f"{', '.join(restore.tables)} at {restore.address}",
        f"undo of {restore.undoes}" if restore.undoes else restore.policy or "new tables",
        *map(wording.count, (restore.inserted, restore.updated, restore.deleted)),
        restore.status,
        _undo(restore, timezone=timezone),
        restore.reason,
    )


def _undo(restore: ListedRestore, *, timezone: str) -> str:
    """Whether it can still be undone, and until when that is sure."""
    undone = [f"undone by {', '.join(restore.undone_by)}"] if restore.undone_by else []
    if not restore.undo:
        return "; ".join([*undone, "nothing to undo"])
    if not restore.can_undo:
        return "; ".join([*undone, "expired"])
    until = restore.undo_held_until
    return "; ".join([*undone, f"until {wording.local_time(until, timezone=timezone)}" if until else "yes, not held"])


def _shown(invocation: Invocation, text: str) -> int:
    from moi_backup.operations.list_restores import show_restore

    record = show_restore(invocation.workspace, text)
    output = invocation.output
    output.document(record)
    for name, value in _facts(record, timezone=invocation.timezone):
        output.line(f"{name:<12} {value}")
    output.line()
    headings = ("table", "to", "status", *_COUNTS, "undo", "digest before", "digest after")
    output.table(headings, [_table(table) for table in record.tables], right=_COUNTS)
    for table in record.tables:
        if table.error:
            output.line(f"Not restored: {table.table}: {table.error}")
    for problem in record.problems:
        output.line(f"Not restored: {problem}")
    for note in record.notes:
        output.line(f"Note: {note}")
    return 0


def _facts(record: RestoreRecord, *, timezone: str) -> list[tuple[str, str]]:
    seconds = wording.seconds_between(record.at, record.finished_at)
    how = f"in place, {record.policy}" if record.in_place else "into new tables"
    how = f"undo of {record.undoes}" if record.undoes else how
    limits = [f"days {record.days}"] if record.days is not None else []
    limits += [f"where {record.where}"] if record.where else []
    base = f", compared with {record.base}" if record.base else ""
    return [
        ("restore", f"{record.id} ({record.status})"),
        ("when", f"{wording.local_time(record.at, timezone=timezone)}, in {wording.duration(seconds)}"),
        ("who", record.by),
        ("reason", record.reason or "none given"),
        ("backup", f"{record.backup}{base}"),
        ("how", "; ".join([how, *limits])),
        ("database", record.address),
    ]


def _table(table: RecordedTable) -> tuple[str, ...]:
    counts = (table.rows, table.inserted, table.updated, table.deleted, table.kept, table.conflicts)
    words = (table.undo or "-", table.digest_before or "-", table.digest_after or "-")
    return (table.table, table.target, table.status, *map(wording.count, counts), *words)
