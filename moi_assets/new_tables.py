"""The result of a restore of everything as Dagster shows it."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from moi_assets.restoration import Metadata, bullets
from moi_backup.model.restore import RestoreResult, TableOutcome
from moi_backup.operations.markdown import markdown_rows

_HEADINGS = ("table", "to", "status", "rows", "seconds", "digest of the rows read back", "what happened")


def restored_everything(result: RestoreResult) -> dg.MaterializeResult:
    """What became of every table.

    Raises dg.Failure, with all of it, unless every table is there and proved with all that belongs to it. Days that
    were left out or taken from an older backup, because the person asked for that, are told and fail nothing.
    """
    done = sum(table.done for table in result.tables)
    metadata: Metadata = {
        "dagster/row_count": dg.MetadataValue.int(sum(table.rows for table in result.tables if table.done)),
        "backup": dg.MetadataValue.text(result.backup),
        "address": dg.MetadataValue.text(result.address),
        "restored": dg.MetadataValue.text(f"{done} of {len(result.tables)} tables"),
        "tables": dg.MetadataValue.md(markdown_rows(_HEADINGS, map(_row, result.tables))),
        "days not of this backup": bullets([text for table in result.tables for text in _instead(table)]),
        "not restored": bullets(result.problems),
        "notes": bullets(result.notes),
        "restore": dg.MetadataValue.text(result.id or "not recorded"),
        "reason": dg.MetadataValue.text(result.reason),
    }
    if done == len(result.tables) and not result.problems:
        return dg.MaterializeResult(metadata=metadata)
    raise dg.Failure(description=_failure(result, done), metadata=metadata, allow_retries=False)


def _failure(result: RestoreResult, done: int) -> str:
    errors = [f"{table.target} ({table.status}): {table.error}" for table in result.tables if not table.done]
    return "\n".join([f"Restored {done} of {len(result.tables)} tables.", *errors, *result.problems])


def _row(table: TableOutcome) -> tuple[object, ...]:
    seconds = f"{table.seconds:.1f}"
    return (str(table.table), str(table.target), table.status, table.rows, seconds, table.digest, table.error)


def _instead(table: TableOutcome) -> Iterator[str]:
    for day in table.instead:
        taken = f"{day.rows:,} rows of {day.backup} instead" if day.backup else "left out"
        yield f"{table.target} {day.day}: {day.lost:,} rows are damaged; {taken}"
