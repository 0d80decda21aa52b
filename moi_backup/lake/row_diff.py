"""What differs between the states of finished `RowSets`: counts by day, columns, sums, and the rows themselves.

A row of the state before and one of the state after that have the same key are one updated row; where a key is not
unique, they are paired in the order of their days. An updated row counts on its day in the state after.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from moi_backup.lake.row_sets import DAY, RowSets

LISTED_ROWS = 2048
_AS_THEY_ARE = frozenset(("bool", "int16", "int32", "int64", "float", "double", "string"))
_PAIRS_OF_UNIQUE_KEYS = """CREATE OR REPLACE TABLE pairs AS SELECT g.id AS gone, c.id AS come
FROM gone AS g JOIN come AS c ON g.kh = c.kh AND g.k IS NOT DISTINCT FROM c.k"""
_PAIRS = f"""CREATE OR REPLACE TABLE pairs AS SELECT g.id AS gone, c.id AS come
FROM (SELECT id, kh, k, row_number() OVER (PARTITION BY k ORDER BY {DAY}, id) AS n
    FROM gone WHERE kh IN (SELECT kh FROM come)) AS g
JOIN (SELECT id, kh, k, row_number() OVER (PARTITION BY k ORDER BY {DAY}, id) AS n
    FROM come WHERE kh IN (SELECT kh FROM gone)) AS c
ON g.kh = c.kh AND g.k IS NOT DISTINCT FROM c.k AND g.n = c.n"""


class DayCounts(NamedTuple):
    """How many rows of one day differ, and how."""

    day: str
    inserted: int
    updated: int
    deleted: int
    unchanged: int


class DaySums(NamedTuple):
    """The sum of one column on one day in both states; None where a value is no number."""

    day: str
    column: str
    before: Any
    after: Any


class ChangedRow(NamedTuple):
    """One difference: `before` is None for an inserted row, `after` for a deleted one."""

    day: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class RowDiff:
    """Reads the difference. Made once all rows have come."""

    def __init__(self, sets: RowSets) -> None:
        self._sets = sets
        pair_rows(sets)

    def days(self) -> list[DayCounts]:
        """The days that were compared, by name; a day may turn out to be the same in both states."""
        return [
            DayCounts(*row)
            for row in self._sets.sql(
                f"""SELECT {DAY}, sum(i)::BIGINT, sum(u)::BIGINT, sum(d)::BIGINT, sum(n - i - u)::BIGINT FROM (
                    SELECT {DAY}, 0 AS i, 0 AS u, 0 AS d, CASE WHEN side = 'after' THEN number ELSE 0 END AS n FROM days
                    UNION ALL SELECT {DAY}, 1, 0, 0, 0 FROM come WHERE id NOT IN (SELECT come FROM pairs)
                    UNION ALL SELECT {DAY}, 0, 1, 0, 0 FROM come WHERE id IN (SELECT come FROM pairs)
                    UNION ALL SELECT {DAY}, 0, 0, 1, 0 FROM gone WHERE id NOT IN (SELECT gone FROM pairs)
                ) GROUP BY {DAY} ORDER BY {DAY}"""
            )
        ]

    def changed_columns(self) -> dict[str, int]:
        """In how many updated rows each column differs; columns that differ nowhere are left out."""
        shape = self._sets.shape
        counts = ", ".join(
            f"count(*) FILTER ({shape.bits(c.name, 'g.')} IS DISTINCT FROM {shape.bits(c.name, 'c.')})"
            for c in shape.columns
        )
        pairs = "pairs JOIN gone AS g ON g.id = pairs.gone JOIN come AS c ON c.id = pairs.come"
        [found] = self._sets.sql(f"SELECT {counts} FROM {pairs}")
        return {column.name: count for column, count in zip(shape.columns, found, strict=True) if count}

    def sums(self) -> list[DaySums]:
        """The summed columns of every compared day; no rows sum to 0."""
        return [
            DaySums(day, name, *values)
            for number, name in enumerate(self._sets.shape.summed)
            for day, *values in self._sets.sql(
                f"""SELECT {DAY}, {sum_by_day(number, "before")}, {sum_by_day(number, "after")}
                    FROM days GROUP BY {DAY} ORDER BY {DAY}"""
            )
        ]

    def totals(self) -> dict[str, tuple[Any, Any]]:
        """The summed columns over all compared days, before and after; None where a value is no number."""
        return {
            name: self._sets.sql(f"SELECT {sum_by_day(number, 'before')}, {sum_by_day(number, 'after')} FROM days")[0]
            for number, name in enumerate(self._sets.shape.summed)
        }

    def rows(self) -> Iterator[ChangedRow]:
        """Every difference, updated rows first, each kind by day.

        Numbers and truth values are themselves, all other values their text, bytes as in Postgres (x and hex digits).
        """
        yield from self._listed(
            "pairs JOIN gone AS g ON g.id = pairs.gone JOIN come AS c ON c.id = pairs.come", ("g", "c")
        )
        yield from self._listed("gone AS g WHERE g.id NOT IN (SELECT gone FROM pairs)", ("g",))
        yield from self._listed("come AS c WHERE c.id NOT IN (SELECT come FROM pairs)", ("c",))

    def _listed(self, source: str, sides: tuple[str, ...]) -> Iterator[ChangedRow]:
        names = [column.name for column in self._sets.shape.columns]
        picked = ", ".join(self._shown(name, f"{side}.") for side in sides for name in names)
        last = sides[-1]
        query = f"SELECT {last}.{DAY}, {picked} FROM {source} ORDER BY {last}.{DAY}, {last}.id"
        for batch in self._sets.connection.sql(query).to_arrow_reader(LISTED_ROWS):
            for day, *values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                found = {
                    side: dict(zip(names, values[start : start + len(names)], strict=True))
                    for side, start in zip(sides, range(0, len(values), len(names)), strict=True)
                }
                yield ChangedRow(day, found.get("g"), found.get("c"))

    def _shown(self, name: str, alias: str) -> str:
        shape = self._sets.shape
        value = f"{alias}{shape.field(name)}"
        kind = next(column.arrow for column in shape.columns if column.name == name)
        if kind in ("binary", "fixed_size_binary[16]"):
            return f"'\\x' || lower(hex({value}))"
        return value if kind in _AS_THEY_ARE else f"CAST({value} AS VARCHAR)"


def sum_by_day(number: int, side: str) -> str:
    """The sum over the rows that `days` counts of one side: 0 without any, NULL when one of them is unknown."""
    mine = f"FILTER (side = '{side}')"
    known = f"count(s{number}) {mine} = count(*) {mine}"
    return f"CASE WHEN {known} THEN coalesce(sum(s{number}) {mine}, 0) END"


def pair_rows(sets: RowSets) -> bool:
    """Make the table `pairs` (ids of `gone` and `come`) of rows with one key; tells that no key has several on a side.

    Where a key has several rows, they are paired in the order of their days.
    """
    repeated = "SELECT 1 FROM {side} GROUP BY kh HAVING count(*) > 1 LIMIT 1"
    unique = not any(sets.sql(repeated.format(side=side)) for side in ("gone", "come"))
    sets.sql(_PAIRS_OF_UNIQUE_KEYS if unique else _PAIRS)
    return unique
