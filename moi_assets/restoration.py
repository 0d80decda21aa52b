"""The result of a restore as Dagster shows it."""

from __future__ import annotations

import dagster as dg

from moi_backup.errors import MoiError
from moi_backup.model.restore import RestoreResult


def require_restored(result: RestoreResult) -> dg.MaterializeResult:
    """The metadata of a restore of one table; raises MoiError when it was refused or failed."""
    outcome = result.tables[0]
    if outcome.status != "restored":
        raise MoiError(f"{outcome.target} was not restored ({outcome.status}).", meaning=outcome.error)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": outcome.rows,
            "rows": outcome.rows,
            "rows replaced": outcome.replaced,
            "digest": outcome.digest,
            "backup": result.backup,
            "target": f"{outcome.target} at {result.address}",
            "reason": result.reason,
            "seconds": outcome.seconds,
            "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in result.notes) or "none"),
        }
    )
