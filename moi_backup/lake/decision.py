"""Which of the differing rows a restore in place writes, by its conflict policy (`model.conflict_policy`).

Pure: it looks at finished `RowSets` (before: live, after: the backup, base: the damaged state) and fills tables there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from moi_backup.lake.row_diff import DaySums, pair_rows, sum_by_day
from moi_backup.lake.row_sets import DAY, PLACE, RowSets
from moi_backup.model.conflict_policy import ConflictPolicy

_DIFFERS = "g > 0 AND c > 0"
_LIVE_CHANGED, _BACKUP_CHANGED = (
    f"EXISTS (SELECT 1 FROM base_{side} AS b WHERE b.k IS NOT DISTINCT FROM found.k)" for side in ("before", "after")
)
_TAKES: dict[ConflictPolicy, str] = {
    "keep-live": "g = 0",
    "fail": "g = 0",
    "take-backup": "c > 0",
    "take-newer": "c > 0 AND (g = 0 OR newest_come > newest_gone OR newest_gone IS NULL AND newest_come IS NOT NULL)",
    "replace": "true",
    "merge": f"NOT {_LIVE_CHANGED}",
}
"""When the backup's rows of a group take the place of the live ones."""
_CONFLICTS: dict[ConflictPolicy, str] = {
    "keep-live": _DIFFERS,
    "fail": _DIFFERS,
    "take-backup": _DIFFERS,
    "take-newer": _DIFFERS,
    "replace": "false",
    "merge": f"{_LIVE_CHANGED} AND {_BACKUP_CHANGED}",
}


class Counts(NamedTuple):
    """Rows that are written, and groups that are in conflict; `kept` live rows differ from the backup and stay."""

    inserted: int
    updated: int
    deleted: int
    kept: int
    conflicts: int


class DayFate(NamedTuple):
    """The same for one day: an updated row counts on the day it has in the backup, a deleted or kept one on its own."""

    day: str
    inserted: int
    updated: int
    deleted: int
    kept: int
    unchanged: int


class Decision:
    """What is to be written. `newer_by` names the timestamp column of `take-newer`.

    `chosen` is an SQL query over the sets that gives the keys (as `k`) a restore is limited to; without it all are.
    """

    def __init__(
        self, sets: RowSets, policy: ConflictPolicy, *, newer_by: str | None = None, chosen: str | None = None
    ) -> None:
        self.sets = sets
        self.policy: ConflictPolicy = policy
        unique = pair_rows(sets)
        self._paired = bool(sets.sql("SELECT 1 FROM pairs LIMIT 1"))
        if unique and not sets.shape.has_base:
            self._judge_pairs(newer_by, chosen)
        else:
            self._judge_groups(newer_by, chosen)
        self._everything: set[str] = set()
        for side in ("gone", "come"):
            self._take(side, chosen)

    def _judge_pairs(self, newer_by: str | None, chosen: str | None) -> None:
        """Make `judged`, and by side `gone_judged` and `come_judged` (id, takes, conflict): keys with one row each."""
        field = "NULL" if newer_by is None else self.sets.shape.field(newer_by)
        newest = f"g.{field} AS newest_gone, c.{field} AS newest_come" if newer_by is not None else "1"
        rows = "JOIN gone AS g ON g.id = p.gone JOIN come AS c ON c.id = p.come" if newer_by or chosen else ""
        limit = "true" if chosen is None else f"g.k IN ({chosen})"
        # `g` and `c` are the numbers of rows in what the policies say.
        found = f"SELECT p.gone, p.come, {newest} FROM pairs AS p {rows} WHERE {limit}"
        self.sets.sql(
            f"CREATE OR REPLACE TABLE judged AS SELECT gone, come, coalesce({_TAKES[self.policy]}, false) AS takes,"
            f" {_CONFLICTS[self.policy]} AS conflict FROM (SELECT *, 1 AS g, 1 AS c FROM ({found})) AS found"
        )
        for side in ("gone", "come"):
            self.sets.sql(f"CREATE OR REPLACE VIEW {side}_judged AS SELECT {side} AS id, takes, conflict FROM judged")

    def _judge_groups(self, newer_by: str | None, chosen: str | None) -> None:
        """The same of keys with any number of rows; with a base of all keys, else of those on both sides."""
        sets = self.sets
        newest = f"max({sets.shape.field(newer_by)})" if newer_by is not None else "NULL"
        other = {"gone": "come", "come": "gone"}
        sides = " UNION ALL ".join(
            f"SELECT k, '{side}' AS side, count(*) AS number, {newest} AS newest FROM {side}"
            f" WHERE {'true' if sets.shape.has_base else f'kh IN (SELECT kh FROM {other[side]})'} GROUP BY k"
            for side in ("gone", "come")
        )
        picked = ", ".join(
            f"coalesce(max({fact}) FILTER (side = '{side}'), {default}) AS {name}"
            for side, fact, default, name in (
                ("gone", "number", "0", "g"),
                ("come", "number", "0", "c"),
                ("gone", "newest", "NULL", "newest_gone"),
                ("come", "newest", "NULL", "newest_come"),
            )
        )
        limit = "true" if chosen is None else f"k IN ({chosen})"
        sets.sql(
            f"CREATE OR REPLACE TABLE judged AS SELECT k, coalesce({_TAKES[self.policy]}, false) AS takes,"
            f" {_CONFLICTS[self.policy]} AS conflict FROM (SELECT k, {picked} FROM ({sides}) GROUP BY k) AS found"
            f" WHERE {limit}"
        )
        for side in ("gone", "come"):
            sets.sql(
                f"CREATE OR REPLACE TABLE {side}_judged AS SELECT x.id, j.takes, j.conflict FROM {side} AS x"
                " JOIN judged AS j ON j.k IS NOT DISTINCT FROM x.k"
            )

    def _take(self, side: str, chosen: str | None) -> None:
        """Make `gone_taken` or `come_taken` (id, moi_day). A key on one side alone was judged only with a base."""
        alone = not self.sets.shape.has_base and (side == "come" or self.policy == "replace")
        if alone and chosen is None and not self.sets.sql(f"SELECT 1 FROM {side}_judged WHERE NOT takes LIMIT 1"):
            self._everything.add(side)
            self.sets.sql(f"CREATE OR REPLACE VIEW {side}_taken AS SELECT id, {DAY} FROM {side}")
            return
        limit = "true" if chosen is None else f"x.k IN ({chosen})"
        self.sets.sql(
            f"CREATE OR REPLACE TABLE {side}_taken AS SELECT x.id, x.{DAY} FROM {side} AS x"
            f" LEFT JOIN {side}_judged AS j ON j.id = x.id WHERE coalesce(j.takes, {str(alone).lower()}) AND {limit}"
        )

    def left(self, side: str) -> str:
        """A condition on rows of `gone` that stay, or of `come` that are not written."""
        return "false" if side in self._everything else f"id NOT IN (SELECT id FROM {side}_taken)"

    def _taken(self, side: str) -> str:
        """A condition on rows `x` of one side."""
        return "true" if side in self._everything else f"x.id IN (SELECT id FROM {side}_taken)"

    @cached_property
    def counts(self) -> Counts:
        """Sums over all days."""
        rows = self.days()
        [(conflicts,)] = self.sets.sql("SELECT count(*) FROM judged WHERE conflict")
        return Counts(
            inserted=sum(row.inserted for row in rows),
            updated=sum(row.updated for row in rows),
            deleted=sum(row.deleted for row in rows),
            kept=sum(row.kept for row in rows),
            conflicts=conflicts,
        )

    def days(self) -> list[DayFate]:
        """What happens on each day on which something does, or a differing live row stays.

        `unchanged` live rows are those that are the same in the backup.
        """
        rows = self.sets.sql(
            f"""SELECT {DAY}, sum(i)::BIGINT, sum(u)::BIGINT, sum(d)::BIGINT, sum(k)::BIGINT, sum(n)::BIGINT FROM (
                SELECT {DAY}, 1 AS i, 0 AS u, 0 AS d, 0 AS k, 0 AS n FROM come_taken
                    WHERE id NOT IN (SELECT come FROM pairs)
                UNION ALL SELECT {DAY}, 0, 1, 0, 0, 0 FROM come_taken WHERE id IN (SELECT come FROM pairs)
                UNION ALL SELECT {DAY}, 0, 0, 1, 0, 0 FROM gone_taken WHERE id NOT IN (SELECT gone FROM pairs)
                UNION ALL SELECT {DAY}, 0, 0, 0, 1, 0 FROM gone WHERE id NOT IN (SELECT id FROM gone_taken)
                UNION ALL SELECT {DAY}, 0, 0, 0, 0, -1 FROM gone
                UNION ALL SELECT {DAY}, 0, 0, 0, 0, number FROM days WHERE side = 'before'
            ) GROUP BY {DAY} HAVING sum(i) + sum(u) + sum(d) + sum(k) > 0 ORDER BY {DAY}"""
        )
        return [DayFate(*row) for row in rows]

    def touched_days(self) -> list[str]:
        """The days that any written row has before or after."""
        found = self.sets.sql(f"SELECT {DAY} FROM gone_taken UNION SELECT {DAY} FROM come_taken")
        return [day for (day,) in found]

    def changed_columns(self) -> dict[str, int]:
        """In how many of the updated rows each column becomes another; columns that never do are left out."""
        shape = self.sets.shape
        differs = ", ".join(
            f"count(*) FILTER ({shape.bits(c.name, 'g.')} IS DISTINCT FROM {shape.bits(c.name, 'c.')})"
            for c in shape.columns
        )
        [found] = self.sets.sql(
            f"SELECT {differs} FROM pairs JOIN gone AS g ON g.id = pairs.gone JOIN come AS c ON c.id = pairs.come"
            " WHERE c.id IN (SELECT id FROM come_taken)"
        )
        return {column.name: count for column, count in zip(shape.columns, found, strict=True) if count}

    def sums(self) -> list[DaySums]:
        """The summed columns of every touched day, live before and after the restore; None: a value is no number."""
        return [
            DaySums(day, name, before, _moved(before, less, more))
            for number, name in enumerate(self.sets.shape.summed)
            for day, before, less, more in self._sums(number, name)
        ]

    def _sums(self, number: int, name: str) -> list[tuple[Any, ...]]:
        """Day, its sum before, what its rows that go sum to, and what those that come do."""
        taken = {
            side: f"SELECT x.{DAY}, {self.sets.sum_of(name)} AS s FROM {side} AS x"
            f" WHERE {self._taken(side)} GROUP BY x.{DAY}"
            for side in ("gone", "come")
        }
        return self.sets.sql(
            f"""SELECT t.{DAY}, CASE WHEN b.number IS NULL THEN 0 ELSE b.s END,
                    CASE WHEN g.{DAY} IS NULL THEN 0 ELSE g.s END, CASE WHEN c.{DAY} IS NULL THEN 0 ELSE c.s END
                FROM (SELECT {DAY} FROM gone_taken UNION SELECT {DAY} FROM come_taken) AS t
                LEFT JOIN (SELECT {DAY}, sum(number) AS number, {sum_by_day(number, "before")} AS s
                    FROM days WHERE side = 'before' GROUP BY {DAY}) AS b USING ({DAY})
                LEFT JOIN ({taken["gone"]}) AS g USING ({DAY}) LEFT JOIN ({taken["come"]}) AS c USING ({DAY})
                ORDER BY {DAY}"""
        )

    def written(self, *, number: str, place: str) -> Iterator[pa.Table]:
        """The backup's rows that are written, then their number here and (None: a new row) the live row's place.

        `number` and `place` name these two columns.
        """
        place_of = f"g.{PLACE}" if self._paired else "NULL"
        joined = (
            " LEFT JOIN pairs ON pairs.come = x.id LEFT JOIN gone AS g ON g.id = pairs.gone" if self._paired else ""
        )
        query = f"SELECT {self._fields('x')}, x.id, {place_of} FROM come AS x{joined} WHERE {self._taken('come')}"
        return self.sets.rows(query, extra=((number, pa.int64()), (place, pa.string())))

    def inserted(self) -> Iterator[pa.Table]:
        """The backup's rows that are new to the table."""
        query = f"SELECT {self._fields('x')} FROM come AS x WHERE {self._taken('come')}"
        return self.sets.rows(f"{query} AND x.id NOT IN (SELECT come FROM pairs)")

    def updated(self) -> Iterator[pa.Table]:
        """The backup's rows that take the place of a live one, with the live row's place as their last column."""
        query = (
            f"SELECT {self._fields('x')}, g.{PLACE} FROM come AS x JOIN pairs ON pairs.come = x.id"
            f" JOIN gone AS g ON g.id = pairs.gone WHERE {self._taken('come')}"
        )
        return self.sets.rows(query, extra=((PLACE, pa.string()),))

    def deleted(self) -> Iterator[pa.Table]:
        """The live rows that go, with their place as the last column."""
        query = f"SELECT {self._fields('x')}, x.{PLACE} FROM gone AS x WHERE {self._taken('gone')}"
        return self.sets.rows(f"{query} AND x.id NOT IN (SELECT gone FROM pairs)", extra=((PLACE, pa.string()),))

    def taken(self, side: str) -> Iterator[pa.Table]:
        """The `gone` rows that go or change, as they were; the `come` rows as they are written. Last their day."""
        query = f"SELECT {self._fields('x')}, x.{DAY} FROM {side} AS x WHERE {self._taken(side)}"
        return self.sets.rows(query, extra=((DAY, pa.string()),))

    def unlike(self) -> Iterator[pa.Table]:
        """The rows that `expected_rows.renumber` changed, as they are in the backup; last their day."""
        query = f"SELECT {self._fields('x')}, x.{DAY} FROM unlike AS x ORDER BY x.id"
        return self.sets.rows(query, extra=((DAY, pa.string()),))

    def conflicts(self, side: str) -> Iterator[pa.Table]:
        """The rows of the groups in conflict: `gone` the live ones, `come` the backup's; last their day."""
        query = (
            f"SELECT {self._fields('x')}, x.{DAY} FROM {side} AS x JOIN {side}_judged AS j"
            " ON j.id = x.id AND j.conflict ORDER BY x.id"
        )
        return self.sets.rows(query, extra=((DAY, pa.string()),))

    def conflict_keys(self, most: int) -> list[str]:
        """The first keys in conflict as text, `column=value` each; without a key all columns are one."""
        shape = self.sets.shape
        names = shape.key if shape.key is not None else tuple(column.name for column in shape.columns)
        texts = ", ".join(f"CAST(x.{shape.field(name)} AS VARCHAR)" for name in names)
        found = " UNION ".join(
            f"SELECT {texts} FROM {side} AS x JOIN {side}_judged AS j ON j.id = x.id AND j.conflict"
            for side in ("gone", "come")
        )
        rows = self.sets.sql(f"{found} ORDER BY ALL NULLS FIRST LIMIT {most}")
        return [", ".join(f"{name}={_told(value)}" for name, value in zip(names, row, strict=True)) for row in rows]

    def _fields(self, alias: str) -> str:
        return ", ".join(f"{alias}.{field}" for field in self.sets.shape.fields)


def _told(value: str | None) -> str:
    return "NULL" if value is None else value


def _moved(before: Any, less: Any, more: Any) -> Any:
    return None if before is None or less is None or more is None else before - less + more
