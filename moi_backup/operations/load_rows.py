"""Loading rows into a table over COPY.

Directly where the driver writes the column's type, else through a temporary table and a cast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from moi_backup.errors import MoiError
from moi_backup.lake.arrow_types import for_driver, schema_of
from moi_backup.model.table import Column, TableName
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.identifiers import identifier_list, qualified, quote_identifier
from moi_backup.postgres.types import base_type, restore_expression, staging_type

RAW = "moi_raw"
_NEEDS_CAST = ("jsonb", "oid")  # the driver sends a string without jsonb's version byte, and int8 for an oid


def load_rows(
    session: ArrowSession, target: TableName | str, *, columns: Sequence[Column], rows: Iterable[pa.Table]
) -> int:
    """Load rows in their order into the `columns` of a table (a bare name: a temporary one); returns how many."""
    if all(_is_direct(column) for column in columns):
        return _ingest(session, target, columns=columns, rows=rows)
    fields = ", ".join(f"{quote_identifier(column.name)} {staging_type(column)}" for column in columns)
    session.script(f"CREATE TEMPORARY TABLE {RAW} ({fields}) ON COMMIT DROP")
    loaded = _ingest(session, RAW, columns=columns, rows=rows)
    name = quote_identifier(target) if isinstance(target, str) else qualified(target)
    names = identifier_list(column.name for column in columns)
    values = ", ".join(restore_expression(column) for column in columns)
    session.script(f"INSERT INTO {name} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {RAW}; DROP TABLE {RAW}")
    return loaded


def _is_direct(column: Column) -> bool:
    return column.encoding != "text" and base_type(column.pg_type) not in _NEEDS_CAST


def _ingest(
    session: ArrowSession, target: TableName | str, *, columns: Sequence[Column], rows: Iterable[pa.Table]
) -> int:
    schema = schema_of(columns)
    source = _Batches(rows, schema)
    try:
        return session.ingest(target, pa.RecordBatchReader.from_batches(schema, source.batches()))
    except MoiError as error:
        if source.error is not None:
            raise source.error from error
        raise


class _Batches:
    """Batches for the driver. An error while they are made must not arrive as the driver's.

    It is kept for the caller.
    """

    def __init__(self, rows: Iterable[pa.Table], schema: pa.Schema) -> None:
        self._rows, self._names = rows, schema.names
        self.error: BaseException | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for table in self._rows:
                yield from for_driver(table.select(self._names)).to_batches()
        except BaseException as error:
            self.error = error
            raise
