"""`moi-backup repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import repository_named, wait_option
from moi_backup.cli.verify import fault_text

if TYPE_CHECKING:
    from moi_backup.cli.output import Output
    from moi_backup.operations.repair import PlannedRepair, RepairResult


@click.command(cls=Command)
@click.option("--from", "source", metavar="REPOSITORY", help="The place of the copy; without it the configured one.")
@click.option("--no-live", is_flag=True, help="Take no full backup for what the copy cannot give.")
@click.option("--dry-run", is_flag=True, help="Read everything, say what would be healed, and write nothing.")
@wait_option
@click.pass_obj
def command(invocation: Invocation, *, source: str | None, no_live: bool, dry_run: bool, wait: float) -> int:
    """Heal damaged objects: from the copy, then from the live data by a full backup, and read them again.

    Exit code 0 all healed (or nothing damaged), 3 some, 20 none.
    """
    from moi_backup.operations.repair import plan_repair, repair

    place = repository_named(invocation, source, option="--from")
    progress = invocation.progress()
    plan = plan_repair(invocation.workspace, source=place, live=not no_live, progress=progress)
    if dry_run:
        invocation.output.document(plan.document)
        _tell_plan(invocation.output, plan.document)
        return 0
    result = repair(invocation.workspace, plan, wait=wait, progress=progress)
    invocation.output.document(result)
    _tell(invocation.output, result)
    return result.exit_code


def _tell_plan(output: Output, plan: PlannedRepair) -> None:
    for fault in plan.from_copy:
        output.line(f"From the copy: {fault.object} {fault.detail}")
    for fault in plan.remaining:
        output.line(f"Not in the copy: {fault_text(fault)}")
    if plan.backup:
        output.line("A full backup would write anew what the database still has of it.")
    for note in plan.notes:
        output.line(f"Note: {note}")
    damaged = len(plan.from_copy) + len(plan.remaining)
    output.line(f"{wording.counted(damaged, 'damaged object')} in {plan.repository}. Dry run: nothing was written.")


def _tell(output: Output, result: RepairResult) -> None:
    for healed in result.healed:
        output.line(f"Healed from the {healed.source}: {healed.object}")
    for fault in result.lost:
        output.line(f"Not healed: {fault_text(fault)}")
    if result.backup is not None:
        output.line(f"Full backup {result.backup} was taken for what the copy could not give.")
    for note in result.notes:
        output.line(f"Note: {note}")
    if not result.healed and not result.lost:
        output.line(f"Nothing in {result.repository} is damaged.")
    else:
        lost = wording.count(len(result.lost))
        output.line(f"{wording.counted(len(result.healed), 'object')} healed, {lost} not, in {result.repository}.")
