"""Rows of a database table as the lake takes them: read ahead, in canonical types, with the label of their day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from moi_backup.lake.arrow_types import canonical, canonical_dates
from moi_backup.lake.day_stream import DAY_FIELD, Layout
from moi_backup.model.key_ring import PLAIN, KeyRing
from moi_backup.model.table import Column
from moi_backup.operations.read_ahead import read_ahead
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.export import RowSource


def layout_of(source: RowSource, ring: KeyRing = PLAIN) -> Layout:
    """What the assembler needs to know of the table."""
    return Layout(source.columns, source.order_by, None if source.day is None else source.day.column, ring)


def row_batches(
    session: ArrowSession, source: RowSource, sql: str, *, extra: Sequence[Column] = ()
) -> Iterator[pa.RecordBatch]:
    """The batches of one SELECT made by `postgres.export.select_rows`; raises Unrepresentable.

    `extra` are the columns that it selects after the table's.
    """
    columns = (*source.columns, *extra)
    for batch in read_ahead(session.batches(sql)):
        rows = canonical(batch, columns)
        if source.labelled:
            rows = rows.append_column(DAY_FIELD, canonical_dates(batch.column(batch.num_columns - 1)))
        yield rows
