"""What every reader makes of a damaged repository: the right rows or a refusal, and nothing else."""

from __future__ import annotations

from moi_backup.errors import MoiError
from moi_backup.operations.query import query
from tests.engine.deployment import Deployment
from tests.engine.oracle import Rows, database_of
from tests.engine.tamper.sample import Sample

RIGHT, REFUSED = "right", "refused"
SCRATCH = "scratch"
Readings = dict[tuple[str, str], str]


def queried(sample: Sample, on: Deployment) -> Readings:
    """Every table of every backup through SQL; fails where the rows are wrong."""
    return {
        (backup, table): _queried(on, backup, table, rows)
        for backup, tables in sample.rows.items()
        for table, rows in tables.items()
    }


def _queried(on: Deployment, backup: str, table: str, rows: Rows) -> str:
    try:
        with query(on.workspace, backup, f"SELECT COLUMNS(*)::text FROM {table}") as result:
            found = list(result.rows)
    except MoiError:
        return REFUSED
    assert sorted(found, key=repr) == sorted((_shown(row, table) for row in rows), key=repr), (backup, table)
    return RIGHT


def _shown(row: tuple[str | None, ...], table: str) -> tuple[str | None, ...]:
    """The oracle's row without the byte lengths it adds behind text columns."""
    kept = {"public.sales": (0, 1, 2, 4), "public.notes": (0,), "public.later": (0, 1)}[table]
    return tuple(row[place] for place in kept)


def restored(sample: Sample, on: Deployment, *, backup: str) -> Readings:
    """Every table of a backup restored into a scratch schema; fails where a restored table's rows are wrong."""
    on.sql(f"DROP SCHEMA IF EXISTS {SCRATCH} CASCADE")
    try:
        result = on.restore(backup=backup, schema=SCRATCH)
    except MoiError:
        return {(backup, table): REFUSED for table in sample.rows[backup]}
    found = database_of(on.url, schema=SCRATCH)
    readings: Readings = {}
    for outcome in result.tables:
        readings[backup, str(outcome.table)] = RIGHT if outcome.status == "restored" else REFUSED
        if outcome.status == "restored":
            assert found[str(outcome.target)] == sample.rows[backup][str(outcome.table)], outcome
        else:
            assert str(outcome.target) not in found, outcome
    return readings
