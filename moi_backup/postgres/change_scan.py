"""The change scan: what a day holds, without reading its values.

Per day the number of rows and the sum of a 64-bit hash of every row's xmin. Every insert, update and delete changes
the pair; VACUUM (FREEZE, FULL) and CLUSTER do not. Its blind spots (a physical restore, attached partitions, ADD
COLUMN with a default ...) are covered by `moi_backup.postgres.fingerprint`: the scan only ever saves reading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moi_backup.model.day import DATE32_INFINITY, DATE32_MINUS_INFINITY, label_of, order_of
from moi_backup.model.table import DayColumn, ScannedDay, TableName
from moi_backup.postgres.day_sql import EPOCH, day_expression
from moi_backup.postgres.identifiers import qualified
from moi_backup.postgres.session import Connection, run


def scan_days(conn: Connection, table: TableName, *, only: bool, day: DayColumn | None) -> dict[str, ScannedDay]:
    """Label to what the scan saw of it, in the transaction's snapshot. `only` leaves out inheritance children."""
    summed = "sum(hashint8extended(xmin::text::int8, 0))::text"
    return {
        label_of(_number(number)): ScannedDay(rows=int(str(count)), xmin_sum=str(total))
        for number, count, total in run(conn, _days_sql(table, summed, "true", only=only, day=day))
        if count
    }


def count_days(
    rows: Callable[[str], list[tuple[Any, ...]]], table: TableName, *, only: bool, day: DayColumn | None, where: str
) -> dict[str, int]:
    """Label to the rows that the predicate holds for, in day order; `rows` runs one query in the caller's session."""
    found = {
        label_of(_number(number)): int(count) for number, count in rows(_days_sql(table, "", where, only=only, day=day))
    }
    return {label: found[label] for label in sorted(found, key=order_of) if found[label]}


def _days_sql(table: TableName, extra: str, where: str, *, only: bool, day: DayColumn | None) -> str:
    """Day numbers with their counts and, if it is given, an extra aggregate."""
    source = f"{'ONLY ' if only else ''}{qualified(table)}"
    date = "NULL::date" if day is None else day_expression(day)
    ends = f"WHEN 'infinity'::date THEN {DATE32_INFINITY} WHEN '-infinity'::date THEN {DATE32_MINUS_INFINITY}"
    number = f"CASE d {ends} ELSE d - {EPOCH} END"
    more, picked = (f", {extra} AS s", ", s") if extra else ("", "")
    counted = f"SELECT {date} AS d, count(*) AS n{more} FROM {source} WHERE {where} GROUP BY 1"
    return f"SELECT {number}, n{picked} FROM ({counted}) AS counted"


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))
