"""`moi-backup drills`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.drill_text import tell_report
from moi_backup.cli.invocation import Invocation
from moi_backup.errors import Damaged

if TYPE_CHECKING:
    from moi_backup.operations.list_drills import DrillList, ListedDrill

_HEADINGS = ("id", "backup", "ended", "verdict", "tables", "rows", "recovery", "everything", "covers")


@click.command(cls=Command, epilog="DRILL is an id, a unique prefix of one, or latest.")
@click.argument("drill", required=False)
@click.pass_obj
def command(invocation: Invocation, drill: str | None) -> int:
    """List the recovery drills, the newest first, or show the report of one."""
    from moi_backup.operations.list_drills import list_drills, show_drill

    if drill is not None:
        report = show_drill(invocation.workspace, drill)
        invocation.output.document(report)
        tell_report(invocation.output, report, timezone=invocation.timezone)
        return 0
    found = list_drills(invocation.workspace)
    invocation.output.document(found)
    _tell(invocation, found)
    return Damaged.exit_code if found.unreadable else 0


def _tell(invocation: Invocation, found: DrillList) -> None:
    output, timezone = invocation.output, invocation.timezone
    for unreadable in found.unreadable:
        output.line(f"Cannot be read: drill {unreadable.id}: {unreadable.detail}")
    if not found.drills:
        output.line("There is no drill yet: moi-backup drill makes one.")
        return
    rows = [_row(listed, timezone=timezone) for listed in found.drills]
    output.table(_HEADINGS, rows, right=("tables", "rows", "recovery", "everything"))


def _row(listed: ListedDrill, *, timezone: str) -> tuple[str, ...]:
    return (
        listed.id,
        listed.backup,
        wording.local_time(listed.finished_at, timezone=timezone),
        listed.verdict,
        wording.count(listed.tables),
        wording.count(listed.rows),
        wording.duration(listed.seconds),
        wording.duration(listed.everything),
        ", ".join(["a limited backup"] * listed.limited + ["some tables"] * listed.partial) or "everything",
    )
