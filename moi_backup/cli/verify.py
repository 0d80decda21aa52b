"""`moi-backup verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import BACKUP
from moi_backup.errors import UsageError

if TYPE_CHECKING:
    from moi_backup.cli.output import Output
    from moi_backup.operations.verify import Verification
    from moi_backup.repository.verify import Fault

_DAYS_SHOWN = 5


@click.command(cls=Command, epilog=f"{BACKUP} Without it every backup is verified, and the chain.")
@click.argument("backup", required=False)
@click.option("--read-data", is_flag=True, help="Read every object, decode it and recompute every digest.")
@click.option("--read-data-subset", "subset", metavar="n/t", help="Read part n of t; all t parts read everything.")
@click.pass_obj
def command(invocation: Invocation, backup: str | None, *, read_data: bool, subset: str | None) -> int:
    """Verify that backups are whole. Exit code 20 when anything is damaged, with object, backup, table and day."""
    if read_data and subset is not None:
        raise UsageError("--read-data reads everything, so --read-data-subset has no meaning beside it.")
    from moi_backup.operations.verify import parse_subset, verify

    found = verify(
        invocation.workspace,
        backup=backup,
        read_data=read_data,
        subset=None if subset is None else parse_subset(subset),
        progress=invocation.progress(),
    )
    invocation.output.document(found)
    _tell(invocation.output, found)
    return found.exit_code


def _tell(output: Output, found: Verification) -> None:
    for fault in found.faults:
        output.line(_fault(fault))
    backups = wording.counted(len(found.backups), "backup")
    if found.faults:
        output.line(f"Damaged: {wording.counted(len(found.faults), 'fault')} in {backups} of {found.repository}.")
        if found.marked:
            output.line(f"{wording.counted(found.marked, 'chunk')} marked: the next full backup writes them anew.")
    else:
        output.line(f"No damage: {backups} of {found.repository}, {wording.count(found.rows)} rows listed.")
    _tell_data(output, found)
    for verdict in found.verdicts:
        if not verdict.passed:
            output.line(f"Warning: {verdict.table} in {found.judged}: {verdict.statement}: {verdict.text}")
    debris = found.debris
    if debris is not None and debris.objects + debris.temporary:
        what = f"{wording.counted(debris.objects, 'object')} ({wording.size(debris.bytes)})"
        output.line(
            f"No backup needs {what} and {wording.counted(debris.temporary, 'temporary file')}: "
            "left by a killed operation or an expired backup, or being written now. That is no damage; "
            "moi-backup prune deletes what is left over, moi-backup sweep old temporary files."
        )
    for note in found.notes:
        output.line(f"Note: {note}")


def _tell_data(output: Output, found: Verification) -> None:
    data = found.data
    if data is None:
        output.line("The structure was checked; --read-data reads and recomputes the data as well.")
        return
    speed = data.bytes / 1e6 / max(data.seconds, 1e-9)
    part = f"part {data.subset} of the data, " if data.subset else ""
    output.line(
        f"Read {part}{wording.counted(data.objects, 'object')}, {wording.size(data.bytes)}, "
        f"{wording.count(data.rows)} rows in {wording.duration(data.seconds)} ({speed:.0f} MB/s); "
        "every hash and digest was recomputed."
    )


def _fault(fault: Fault) -> str:
    days = ", ".join(fault.days[:_DAYS_SHOWN])
    more = f" and {len(fault.days) - _DAYS_SHOWN} more" if len(fault.days) > _DAYS_SHOWN else ""
    lines = [
        f"{fault.kind}: {fault.object} {fault.detail}",
        f"  backups: {', '.join(fault.backups) or 'the history of all'}",
        f"  table: {fault.table or 'all of these backups'}",
        f"  days: {f'{days}{more}' if days else 'all'}",
    ]
    return "\n".join(lines)
