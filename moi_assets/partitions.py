"""The days that Dagster shows: one partition is one day of rows, in the configured time zone, today included."""

from __future__ import annotations

from datetime import datetime, time

import dagster as dg

from moi_backup.model.configuration import Configuration
from moi_backup.model.day import DayRange


def daily_partitions(configuration: Configuration) -> dg.DailyPartitionsDefinition:
    """From `source.partition_start` to today: without `end_offset` a definition would end yesterday."""
    start = datetime.combine(configuration.source.partition_start, time())
    return dg.DailyPartitionsDefinition(start_date=start, timezone=configuration.source.timezone, end_offset=1)


def days_of(keys: dg.PartitionKeyRange) -> DayRange:
    """The days of a run, both ends included."""
    return DayRange(first=keys.start, last=keys.end)
