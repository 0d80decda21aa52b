"""The change scan: what a day holds, without reading its values.

Per day the number of rows and the sum of a 64-bit hash of every row's xmin. Every insert, update and delete changes
the pair; VACUUM (FREEZE, FULL) and CLUSTER do not. Its blind spots (a physical restore, attached partitions, ADD
COLUMN with a default ...) are covered by `moi_backup.postgres.fingerprint`: the scan only ever saves reading.
"""

from __future__ import annotations

from moi_backup.model.day import DATE32_INFINITY, DATE32_MINUS_INFINITY, label_of
from moi_backup.model.table import DayColumn, ScannedDay, TableName
from moi_backup.postgres.day_sql import EPOCH, day_expression
from moi_backup.postgres.identifiers import qualified
from moi_backup.postgres.session import Connection, run


def scan_days(conn: Connection, table: TableName, *, only: bool, day: DayColumn | None) -> dict[str, ScannedDay]:
    """Label to what the scan saw of it, in the transaction's snapshot. `only` leaves out inheritance children."""
    source = f"{'ONLY ' if only else ''}{qualified(table)}"
    date = "NULL::date" if day is None else day_expression(day)
    ends = f"WHEN 'infinity'::date THEN {DATE32_INFINITY} WHEN '-infinity'::date THEN {DATE32_MINUS_INFINITY}"
    number = f"CASE d {ends} ELSE d - {EPOCH} END"
    counted = (
        f"SELECT {date} AS d, count(*) AS n, sum(hashint8extended(xmin::text::int8, 0)) AS s FROM {source} GROUP BY 1"
    )
    rows = run(conn, f"SELECT {number}, n, s::text FROM ({counted}) AS counted")
    return {
        label_of(None if number is None else int(str(number))): ScannedDay(rows=int(str(count)), xmin_sum=str(total))
        for number, count, total in rows
        if count
    }
