"""The checks of every snapshot: statements about its table in the newest complete backup.

Backup runs evaluate them as well; here they run by themselves, from the UI or after a backfill.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from moi_assets.checks.evaluations import check_result
from moi_assets.run_log import plain_failures
from moi_assets.tables import TableAssets
from moi_backup.errors import UsageError
from moi_backup.operations.judge_backup import STATEMENTS, Judge
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.backups import LATEST, resolve_backup

DESCRIPTIONS: Mapping[str, str] = {
    "complete": "The table is in the newest complete backup, with every row of every day that its snapshot had.",
    "required_fields": "The fields that moi.toml requires are there and filled, counted over every stored row.",
    "readable": "Every object the table needs is there with its size, and those new in the backup have their hash.",
}


def build_snapshot_checks(tables: Sequence[TableAssets]) -> list[dg.AssetChecksDefinition]:
    """Three checks a table."""
    return [_check(table, statement) for table in tables for statement in STATEMENTS]


def _check(table: TableAssets, statement: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(name=statement, asset=table.snapshot, description=DESCRIPTIONS[statement])
    def check(workspace: dg.ResourceParam[Workspace]) -> dg.AssetCheckResult:
        with plain_failures():
            repository, chain = workspace.history()
            try:
                newest = resolve_backup(repository, chain, LATEST)
            except UsageError as error:  # a backfill may well be the first backup of all
                return dg.AssetCheckResult(passed=False, description=str(error))
            return check_result(Judge(repository, chain, newest), table, statement)

    return check
