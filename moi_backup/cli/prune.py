"""`moi-backup prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moi_backup.cli import wording
from moi_backup.cli.commands import Command
from moi_backup.cli.invocation import Invocation
from moi_backup.cli.options import wait_option

if TYPE_CHECKING:
    from moi_backup.cli.output import Output
    from moi_backup.operations.prune import PrunePlan


@click.command(cls=Command)
@click.option(
    "--grace",
    metavar="HOURS",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    help="Keep backups in the trash that expired less than this ago.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and delete nothing.")
@wait_option
@click.pass_obj
def command(invocation: Invocation, *, grace: float, dry_run: bool, wait: float) -> None:
    """Remove expired backups for good, and delete everything that no backup needs. Safe beside other hosts."""
    from moi_backup.operations.prune import plan_prune, prune

    output = invocation.output
    if dry_run:
        plan = plan_prune(invocation.workspace, grace_hours=grace)
        output.document(plan)
        _tell(output, plan)
        output.line("Dry run: nothing was deleted.")
        return
    result = prune(invocation.workspace, grace_hours=grace, wait=wait, progress=invocation.progress())
    output.document(result)
    _tell(output, result.plan)
    output.line(f"Deleted {wording.counted(result.deleted, 'object')} in {wording.duration(result.seconds)}.")


def _tell(output: Output, plan: PrunePlan) -> None:
    for backup in plan.gone:
        output.line(f"Gone for good: {backup.id} ({backup.why})")
    for backup in plan.kept:
        output.line(f"Kept: {backup.id} ({backup.why})")
    rows = [(kind.kind, wording.count(kind.objects), wording.size(kind.bytes)) for kind in plan.delete]
    if rows:
        output.table(("not needed", "objects", "size"), rows, right=("objects", "size"))
    what = f"{wording.counted(plan.objects, 'object')} ({wording.size(plan.bytes)})"
    output.line(f"No backup needs {what}." if plan.objects else "Every object is needed.")
    if plan.unfinished:
        output.line(f"{wording.counted(plan.unfinished, 'object')} of them were marked by a prune that did not end.")
