"""A verdict of the engine as Dagster's check results: inside a backup's run, and of a check that runs by itself."""

from __future__ import annotations

import dagster as dg

from moi_assets.tables import TableAssets
from moi_backup.model.verdict import Verdict
from moi_backup.operations.judge_backup import Judge, judge_table


def evaluate(judge: Judge, table: TableAssets, statement: str) -> dg.AssetCheckEvaluation:
    """The evaluation of a check, for the run that took the backup."""
    verdict = judge_table(judge, table.table, statement)
    return dg.AssetCheckEvaluation(
        asset_key=table.snapshot,
        check_name=statement,
        passed=verdict.passed,
        severity=_severity(verdict),
        description=verdict.text,
        metadata={"backup": judge.backup.id, **verdict.facts},
    )


def check_result(judge: Judge, table: TableAssets, statement: str) -> dg.AssetCheckResult:
    """The same for a check that runs by itself."""
    verdict = judge_table(judge, table.table, statement)
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=_severity(verdict),
        description=verdict.text,
        metadata={"backup": judge.backup.id, **verdict.facts},
    )


def _severity(verdict: Verdict) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if verdict.serious else dg.AssetCheckSeverity.WARN
