"""`moi-backup copy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import repository_named, wait_option

if TYPE_CHECKING:
    from moi_backup.cli.output import Output
    from moi_backup.operations.copy_repository import CopyResult, PlannedCopy

_SHOWN = 20


@click.command(cls=Command)
@click.option("--to", metavar="REPOSITORY", help="The place of the copy; without it the configured one.")
@click.option("--prune", is_flag=True, help="Also remove from the copy what the source no longer has or needs.")
@click.option("--dry-run", is_flag=True, help="Say what would be copied and write nothing.")
@wait_option
@click.pass_obj
def command(invocation: Invocation, *, to: str | None, prune: bool, dry_run: bool, wait: float) -> int:
    """Make or refresh a second repository, byte for byte; only what is missing travels, and is verified on its way.

    Exit code 3 when the source could not give everything whole: the copy has the rest.
    """
    from moi_backup.operations.copy_repository import copy_repository, preview_copy

    place = repository_named(invocation, to, option="--to")
    if dry_run:
        plan = preview_copy(invocation.workspace, to=place, prune=prune)
        invocation.output.document(plan)
        _tell_plan(invocation.output, plan)
        return 0
    result = copy_repository(invocation.workspace, to=place, prune=prune, wait=wait, progress=invocation.progress())
    invocation.output.document(result)
    _tell(invocation.output, result)
    return result.exit_code


def _tell_plan(output: Output, plan: PlannedCopy) -> None:
    output.line(f"Copy of {plan.source} to {plan.target}")
    new = wording.counted(len(plan.backups), "new backup")
    travel = f"{wording.counted(plan.objects, 'object')} ({wording.size(plan.bytes)})"
    output.line(f"{new}; {travel} would travel, {wording.count(plan.present)} are there.")
    if plan.removes:
        output.line(f"{wording.counted(plan.removes, 'object')} would be removed there.")
    for note in plan.notes:
        output.line(f"Note: {note}")
    output.line("Dry run: nothing was written.")


def _tell(output: Output, result: CopyResult) -> None:
    for fault in result.faults[:_SHOWN]:
        output.line(f"Not in the copy: {fault.object} {fault.detail}; backups {', '.join(fault.backups) or 'all'}")
    if len(result.faults) > _SHOWN:
        output.line(f"... and {len(result.faults) - _SHOWN} more; see moi-backup verify --copy.")
    what = f"{wording.counted(result.objects, 'object')}, {wording.size(result.bytes)}"
    new = wording.counted(len(result.backups), "new backup")
    output.line(f"Copied to {result.target}: {new}, {what} in {wording.duration(result.seconds)}.")
    if result.removed:
        output.line(f"Removed there: {wording.counted(result.removed, 'object')}.")
    for note in result.notes:
        output.line(f"Note: {note}")
    if result.exit_code:
        output.line("The copy is not whole: what is named above could not be read from the source.")
    elif result.verified == "listing":
        output.line("The copy lists everything; without its keys its documents were not read back.")
    else:
        output.line("Read back: every object of these backups is there.")
