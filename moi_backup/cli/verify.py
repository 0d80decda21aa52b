"""`moi-backup verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import BACKUP, repository_named
from moi_backup.errors import UsageError

if TYPE_CHECKING:
    from moi_backup.cli.output import Output
    from moi_backup.operations.verify import CopyVerification, DataRead, Verification
    from moi_backup.operations.verify_copy import VerifyRequest
    from moi_backup.repository.verify import Fault
    from moi_backup.settings import RepositorySetting

_DAYS_SHOWN = 5
CONFIGURED = "\0"  # no place has this name: --copy was given without one


@click.command(cls=Command, epilog=f"{BACKUP} Without it every backup is verified, and the chain.")
@click.argument("backup", required=False)
@click.option("--read-data", is_flag=True, help="Read every object, decode it and recompute every digest.")
@click.option("--read-data-subset", "subset", metavar="n/t", help="Read part n of t; all t parts read everything.")
@click.option(
    "--copy",
    metavar="[REPOSITORY]",
    is_flag=False,
    flag_value=CONFIGURED,
    help="Verify the copy too: the one at this place, or the configured one.",
)
@click.option("--only-copy", is_flag=True, help="Verify nothing but the copy.")
@click.pass_obj
def command(
    invocation: Invocation,
    backup: str | None,
    *,
    read_data: bool,
    subset: str | None,
    copy: str | None,
    only_copy: bool,
) -> int:
    """Verify that backups are whole. Exit code 20 when anything is damaged, with object, backup, table and day."""
    if read_data and subset is not None:
        raise UsageError("--read-data reads everything, so --read-data-subset has no meaning beside it.")
    from moi_backup.operations.verify import parse_subset
    from moi_backup.operations.verify_copy import VerifyRequest

    request = VerifyRequest(backup, read_data, None if subset is None else parse_subset(subset))
    place = repository_named(invocation, None if copy == CONFIGURED else copy, option="--copy")
    found = _verify(invocation, request, place, beside=copy is not None, only_copy=only_copy)
    invocation.output.document(found)
    _tell(invocation.output, found)
    return found.exit_code


def _verify(
    invocation: Invocation, request: VerifyRequest, place: RepositorySetting | None, *, beside: bool, only_copy: bool
) -> Verification:
    from moi_backup.operations.verify_copy import verify_both, verify_copy, verify_primary

    workspace, progress = invocation.workspace, invocation.progress()
    if only_copy:
        return verify_copy(workspace, request, copy=place, progress=progress)
    if beside:
        return verify_both(workspace, request, copy=place, progress=progress)
    return verify_primary(workspace, request, progress=progress)


def _tell(output: Output, found: Verification) -> None:
    for fault in found.faults:
        output.line(fault_text(fault))
    backups = wording.counted(len(found.backups), "backup")
    if found.faults:
        output.line(f"Damaged: {wording.counted(len(found.faults), 'fault')} in {backups} of {found.repository}.")
        if found.marked:
            output.line(f"{wording.counted(found.marked, 'chunk')} marked: the next full backup writes them anew.")
    else:
        output.line(f"No damage: {backups} of {found.repository}, {wording.count(found.rows)} rows listed.")
    _tell_data(output, found.data)
    if found.behind is not None:
        output.line(_lag(found.behind))
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
    if found.copy is not None:
        output.line()
        _tell_copy(output, found.copy)


def _tell_copy(output: Output, copy: CopyVerification) -> None:
    for fault in copy.faults:
        output.line(fault_text(fault))
    backups = wording.counted(len(copy.backups), "backup")
    if copy.faults:
        output.line(f"The copy is damaged: {wording.counted(len(copy.faults), 'fault')} in {backups}.")
        output.line("moi-backup copy brings anew what is missing, cut or marked.")
    else:
        output.line(f"No damage in the copy: {backups} of {copy.repository}, {wording.count(copy.rows)} rows listed.")
    _tell_data(output, copy.data)
    output.line(_lag(copy.behind))
    for note in copy.notes:
        output.line(f"Note: {note}")


def _lag(behind: tuple[str, ...]) -> str:
    if not behind:
        return "The copy has every backup that is listed."
    return f"The copy lags behind by {wording.counted(len(behind), 'backup')}: {', '.join(behind[-_DAYS_SHOWN:])}."


def _tell_data(output: Output, data: DataRead | None) -> None:
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


def fault_text(fault: Fault) -> str:
    """What is wrong with which object, and what it touches."""
    days = ", ".join(fault.days[:_DAYS_SHOWN])
    more = f" and {len(fault.days) - _DAYS_SHOWN} more" if len(fault.days) > _DAYS_SHOWN else ""
    lines = [
        f"{fault.kind}: {fault.object} {fault.detail}",
        f"  backups: {', '.join(fault.backups) or 'the history of all'}",
        f"  table: {fault.table or 'all of these backups'}",
        f"  days: {f'{days}{more}' if days else 'all'}",
    ]
    return "\n".join(lines)
