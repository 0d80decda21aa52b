"""The proof of a restore in place: the rows read back are exactly those that were decided, each as often.

Live rows before were the common ones and `gone`, the backup has the common ones and `come`. What was written are the
taken rows of `come`, some of them with another surrogate number. So against the backup, the rows read back must differ
by the `gone` rows that stayed and the `come` rows that were not written as they are in the backup.
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from moi_backup.lake.decision import Decision
from moi_backup.lake.row_sets import DAY, RowSets

_UNLIKE = "unlike"


def renumber(sets: RowSets, column: str, numbers: pa.Table) -> None:
    """Give rows of `come` the values that they are written with; `numbers` are their ids and these values."""
    field = sets.shape.field(column)
    sets.connection.register("numbers", numbers.rename_columns(["id", "value"]))
    sets.sql(f"CREATE OR REPLACE TABLE {_UNLIKE} AS SELECT * FROM come WHERE id IN (SELECT id FROM numbers)")
    sets.sql(f"UPDATE come_rows SET {field} = numbers.value FROM numbers WHERE come_rows.id = numbers.id")
    sets.connection.unregister("numbers")


def unexpected_rows(decision: Decision, found: RowSets, *, days: Collection[str]) -> int:
    """How many rows are there that should not be, or the other way around; `found`: what was read back of these days.

    `found` are finished sets: before, the live rows now; after, the backup's.
    """
    sets = decision.sets
    for side in ("gone", "come"):
        fields = ", ".join(found.shape.fields)
        sets.receive(f"{side}_found", found.rows(f"SELECT {fields} FROM {side}"))
    sets.sql("CREATE OR REPLACE TABLE days_read AS SELECT unnest(?::VARCHAR[]) AS day", list(days))
    sets.sql(f"CREATE TABLE IF NOT EXISTS {_UNLIKE} AS SELECT * FROM come LIMIT 0")
    read = f"{DAY} IN (SELECT day FROM days_read)"
    bits = ", ".join(f"{sets.shape.bits(column.name)} AS b{n}" for n, column in enumerate(sets.shape.columns))
    left = " UNION ALL ".join(
        f"SELECT {bits} FROM {rows}"
        for rows in (
            "gone_found",
            f"come WHERE {decision.left('come')} AND {read}",
            _UNLIKE,
        )
    )
    right = " UNION ALL ".join(
        f"SELECT {bits} FROM {rows}"
        for rows in (
            "come_found",
            f"gone WHERE {decision.left('gone')} AND {read}",
            f"come WHERE id IN (SELECT id FROM {_UNLIKE})",
        )
    )
    [(count,)] = sets.sql(f"SELECT {_left_over(left, right)} + {_left_over(right, left)}")
    return int(count)


def _left_over(mine: str, other: str) -> str:
    return f"(SELECT count(*) FROM (SELECT * FROM ({mine}) EXCEPT ALL SELECT * FROM ({other})))"
