"""`drill_passed` of the asset `backup`: its last recovery drill found nothing that a person should look at.

A drill evaluates it in its own run; by itself it reads the last report in the repository and drills nothing.
"""

from typing import Any

import dagster as dg

from moi_assets.run_log import plain_failures
from moi_backup.errors import UsageError
from moi_backup.model.drill import DrillReport
from moi_backup.operations.list_drills import last_drill
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import LATEST, resolve_backup

NAME = "drill_passed"
ASSET = dg.AssetKey("backup")
DESCRIPTION = (
    "The last drill of the newest complete backup (without one: the last of any) restored and proved all of it without "
    "a warning."
)


def build_drill_passed() -> dg.AssetChecksDefinition:
    """The check by itself."""

    @dg.asset_check(name=NAME, asset=ASSET, description=DESCRIPTION)
    def check(workspace: dg.ResourceParam[Workspace]) -> dg.AssetCheckResult:
        with plain_failures():
            repository, chain = workspace.history()
            try:
                newest = resolve_backup(repository, chain, LATEST)
            except UsageError as error:
                return dg.AssetCheckResult(passed=False, description=str(error))
            report = last_drill(repository, newest)
            if report is None:
                text = "There is no drill yet: run the job drill_recovery."
                return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description=text)
            return dg.AssetCheckResult(**_said(report))

    return check


def drill_evaluation(report: DrillReport) -> dg.AssetCheckEvaluation:
    """The evaluation of a drill, for its own run."""
    return dg.AssetCheckEvaluation(asset_key=ASSET, check_name=NAME, **_said(report))


def _said(report: DrillReport) -> dict[str, Any]:
    """A failed drill is an error; one with warnings recovers, and a person should look."""
    bad = [check for check in report.checks if check.verdict in ("failed", "warning")]
    told = [f"{check.statement}{f' ({check.table})' if check.table else ''}: {check.text}" for check in bad]
    severity = dg.AssetCheckSeverity.ERROR if report.verdict == "failed" else dg.AssetCheckSeverity.WARN
    return {
        "passed": report.verdict == "passed",
        "severity": severity,
        "description": "\n".join([f"Drill {report.id} of backup {report.backup}: {report.verdict}.", *told]),
        "metadata": {
            "report": report.id,
            "backup": report.backup,
            "recovery time": report.recovery.seconds,
            "recovery time of everything": report.recovery.everything,
        },
    }
