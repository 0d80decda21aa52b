"""A session that speaks Arrow: rows leave and enter Postgres as record batches over the binary COPY protocol (ADBC).

Transactions are explicit (`BEGIN` … `COMMIT`): the driver's own mode loses savepoints after a failed COPY (measured,
ADBC 1.13).
"""

# The driver has no stubs, and its cursors are partly untyped.
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Self, cast

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from moi_backup.errors import SourceError
from moi_backup.model.table import TableName
from moi_backup.postgres.connection_url import libpq_url, redact, scrub

BATCH_BYTES = 4 * 1024 * 1024
_VALUES = re.compile(r"\n(?:DETAIL|CONTEXT):.*?(?=\n(?:HINT|LINE|LOCATION):|\n?\. SQLSTATE|\Z)", re.DOTALL)


class Refused(SourceError):
    """The database refused a statement; `sqlstate` says why in five characters ("" when the driver itself failed)."""

    def __init__(self, what: str, *, sqlstate: str = "") -> None:
        super().__init__(what)
        self.sqlstate = sqlstate


class ArrowSession:
    """One connection. Close it with `close`, or leave its context, which rolls back what is open."""

    def __init__(self, url: str) -> None:
        """Connect; raises SourceError without the password."""
        self._url = url
        with self._translated(f"Cannot connect to {redact(url)}"):
            self._connection = adbc.connect(libpq_url(url), autocommit=True)

    @property
    def url(self) -> str:
        """The database, with the password if it has one: for another session beside this one."""
        return self._url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the server rolls back an open transaction."""
        self._connection.close()

    def script(self, sql: str) -> None:
        """Run statements that return no rows."""
        with self._translated("The database refused a statement"), self._connection.cursor() as cursor:
            cursor.executescript(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement and fetch its (few) rows."""
        with self._translated("The database refused a query"), self._connection.cursor() as cursor:
            cursor.execute(sql)
            return cast("list[tuple[Any, ...]]", cursor.fetchall())

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Stream the rows of one query; the statement ends when the iterator is exhausted or closed."""
        with self._translated("The database stopped sending rows"), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
            cursor.execute(sql)
            reader = cursor.fetch_record_batch()
            try:
                yield from reader
            finally:
                reader.close()

    def ingest(self, table: TableName | str, rows: pa.RecordBatchReader) -> int:
        """COPY rows into the columns of their names; a bare name is a temporary table. Returns how many."""
        where: dict[str, Any] = (
            {"table_name": table, "temporary": True}
            if isinstance(table, str)
            else {"table_name": table.name, "db_schema_name": table.schema}
        )
        with self._translated("The database refused rows"), self._connection.cursor() as cursor:
            return cursor.adbc_ingest(data=rows, mode="append", **where)

    @contextmanager
    def _translated(self, what: str) -> Generator[None, None, None]:
        try:
            yield
        except adbc_driver_manager.Error as error:
            raise Refused(f"{what}: {_message(error, self._url)}", sqlstate=error.sqlstate or "") from None


def _message(error: adbc_driver_manager.Error, url: str) -> str:
    """The server's own words, without the driver's prefix, a password, and the values of rows.

    Those stand in DETAIL and CONTEXT ("Failing row contains ..."); a message ends in records and logs, which no scope
    seals.
    """
    text = scrub(str(error), url=url).strip()
    _, marker, server = text.partition("ERROR:  ")
    told = (server if marker else text).partition("\nQuery was:")[0].strip()
    return _VALUES.sub("", told)
