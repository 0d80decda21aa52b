"""What Dagster's event log says of a snapshot's days, and how a backup brings it up to date.

Manifests are the truth and events mirror them: a day is logged when its digest in the backup is not the one last
logged, whoever took the backups in between (a schedule, a person in the UI, the command line).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterEvent
from dagster._core.events import DagsterEventBatchMetadata  # the only way to have many events stored at once

from moi_assets.day_metadata import DayMetadata
from moi_backup.errors import Damaged
from moi_backup.model.table import TableName
from moi_backup.operations.stored_days import EMPTY, StoredDay, stored_days
from moi_backup.operations.stored_table import open_table
from moi_backup.repository.backups import read_backup
from moi_backup.repository.chain import Chain, published
from moi_backup.repository.repository import Repository

DATA_VERSION = "dagster/data_version"
USER_PROVIDED = "dagster/data_version_is_user_provided"
BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"
_BACKFILLED = "in backup "


def backfill_version(backup: str) -> dg.DataVersion:
    """The data version of all days of a backfill: Dagster allows one for the whole run, so it names the backup."""
    return dg.DataVersion(_BACKFILLED + backup)


def logged_digests(
    instance: dg.DagsterInstance, key: dg.AssetKey, repository: Repository, chain: Chain, table: TableName
) -> dict[str, str]:
    """The digest of each day as it was last logged, by one query; "" when its backup is gone: it is logged anew."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION]
    )
    digests = {label: found[DATA_VERSION] for label, found in tags.items() if DATA_VERSION in found}
    backfilled: dict[str, dict[str, str] | None] = {}
    for label, version in digests.items():
        if version.startswith(_BACKFILLED):
            backup = version.removeprefix(_BACKFILLED)
            if backup not in backfilled:
                backfilled[backup] = _digests(repository, chain, backup, table)
            digests[label] = _looked_up(backfilled[backup], label)
    return digests


def log_days(
    context: dg.AssetExecutionContext, key: dg.AssetKey, days: Sequence[StoredDay], metadata: Mapping[str, DayMetadata]
) -> None:
    """Mark these days of the asset as materialized, in batches.

    One by one each costs a round of database transactions: 1,278 days took 28.6 s on Postgres, in batches 1.2 s.
    """
    step = context.op_execution_context.get_step_execution_context()
    batch = f"{context.run.run_id}-{key.to_user_string()}"
    with _batches():
        for number, day in enumerate(days, start=1):
            event = dg.AssetMaterialization(
                asset_key=key,
                partition=day.day,
                metadata=metadata[day.day],
                tags={DATA_VERSION: day.digest, USER_PROVIDED: "true"},
            )
            DagsterEvent.asset_materialization(step, event, DagsterEventBatchMetadata(batch, number == len(days)))


@contextmanager
def _batches() -> Iterator[None]:
    """Have Dagster store events in batches; it looks at this variable for each event and offers no other switch."""
    given = os.environ.get(BATCH_SIZE)
    os.environ[BATCH_SIZE] = given or "1000"
    try:
        yield
    finally:
        if given is None:
            del os.environ[BATCH_SIZE]


def _digests(repository: Repository, chain: Chain, backup: str, table: TableName) -> dict[str, str] | None:
    if backup not in published(chain):
        return None
    try:
        stored = open_table(repository, read_backup(repository, chain, backup), table)
        return {label: day.digest for label, day in stored_days(stored).items()}
    except (Damaged, KeyError):
        return None


def _looked_up(digests: dict[str, str] | None, label: str) -> str:
    return "" if digests is None else digests.get(label, EMPTY)
