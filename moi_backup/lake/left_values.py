"""What rows of a backup hold in columns that a restore in place does not write, kept beside what it does write.

Rows of `come` know the number that they have within their day in the backup (`PLACE`), and are found by it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from moi_backup.lake.arrow_types import arrow_type, schema_of
from moi_backup.lake.row_sets import DAY, PLACE, RowSets
from moi_backup.lake.untyped import arrow
from moi_backup.model.table import Column

_LEFT = "left_values"
_WANTED = "come.id IN (SELECT id FROM come_taken) OR come.id IN (SELECT id FROM come_judged WHERE conflict)"


class LeftValues:
    """The values of the `columns` of the rows that are written or in conflict, once `add` has seen their days."""

    def __init__(self, sets: RowSets, columns: Sequence[Column]) -> None:
        self._sets, self._columns = sets, columns
        self._numbers: dict[str, np.ndarray[Any, Any]] = {}
        self._seen: dict[str, int] = {}
        for day, number in sets.sql(f"SELECT {DAY}, list({PLACE}) FROM come WHERE {_WANTED} GROUP BY {DAY}"):
            self._numbers[day] = np.array(sorted(map(int, number)))
        self._create()

    @property
    def days(self) -> frozenset[str]:
        """The days that are needed."""
        return frozenset(self._numbers)

    def add(self, rows: Iterable[tuple[str, pa.Table]]) -> None:
        """The rows of these days in the order in which they were numbered."""
        for day, table in rows:
            first = self._seen.get(day, 0)
            self._seen[day] = first + table.num_rows
            wanted = self._numbers[day]
            numbers = wanted[(wanted >= first) & (wanted < first + table.num_rows)]
            self._insert(day, numbers, table.take(arrow.array(numbers - first)))

    def written(self) -> Iterator[pa.Table]:
        """The rows that are written, as they are in the sets, with their day and these columns after theirs."""
        return self._rows("come.id IN (SELECT id FROM come_taken)")

    def conflicts(self) -> Iterator[pa.Table]:
        """The same for the backup's rows of the groups in conflict."""
        return self._rows("come.id IN (SELECT id FROM come_judged WHERE conflict)")

    def _rows(self, which: str) -> Iterator[pa.Table]:
        fields = ", ".join(f"come.{field}" for field in self._sets.shape.fields)
        left = ", ".join(f"v.v{number}" for number in range(len(self._columns)))
        query = (
            f"SELECT {fields}, come.{DAY}, {left} FROM come JOIN {_LEFT} AS v"
            f" ON v.{DAY} = come.{DAY} AND v.{PLACE} = come.{PLACE} WHERE {which} ORDER BY come.id"
        )
        left_types = [(column.name, arrow_type(column.arrow)) for column in self._columns]
        return self._sets.rows(query, extra=[(DAY, pa.string()), *left_types])

    def _create(self) -> None:
        schema = schema_of(self._columns)
        self._load(
            f"CREATE OR REPLACE TABLE {_LEFT} AS FROM incoming", "", np.array([], dtype=np.int64), schema.empty_table()
        )

    def _insert(self, day: str, numbers: np.ndarray[Any, Any], rows: pa.Table) -> None:
        if len(numbers):
            self._load(f"INSERT INTO {_LEFT} FROM incoming", day, numbers, rows)

    def _load(self, statement: str, day: str, numbers: np.ndarray[Any, Any], rows: pa.Table) -> None:
        arrays = [rows.column(column.name) for column in self._columns]
        days = arrow.repeat(arrow.scalar(day, pa.string()), len(numbers))
        places = arrow.array([str(number) for number in numbers], pa.string())
        names = [*(f"v{number}" for number in range(len(arrays))), DAY, PLACE]
        self._sets.connection.register("incoming", arrow.table([*arrays, days, places], names=names))
        self._sets.connection.execute(statement)
        self._sets.connection.unregister("incoming")
