"""A stream of rows cut into the planned days, and an oversized day into parts, each with its digest.

The plan says how many rows each day has (counted in the same snapshot); the stream must agree row by row, or the
operation fails.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from moi_backup.errors import SourceError
from moi_backup.lake.parts import MINIMUM_WEIGHT, PartCutter
from moi_backup.lake.prepared_rows import PreparedRows
from moi_backup.model.key_ring import PLAIN, KeyRing
from moi_backup.model.table import ChunkDay, Column

DAY_FIELD = "\x00day"  # the label column an export adds for a day column that is no date; no Postgres name holds NUL


class Layout(NamedTuple):
    """What assembling needs to know of a table.

    `carried` columns travel with the rows and are no part of any digest.
    """

    columns: tuple[Column, ...]
    order_by: tuple[str, ...]
    day_column: str | None
    ring: KeyRing = PLAIN
    carried: tuple[str, ...] = ()

    def prepared(self, rows: pa.Table, *, day: str | None) -> PreparedRows:
        """Rows of the table, whose days are in the column `day` (None: they need no check)."""
        return PreparedRows(rows, columns=self.columns, day=day, ring=self.ring, carried=self.carried)


class Part(NamedTuple):
    """The rows of a day, or of a part of an oversized one, with their digest and their weight in bytes."""

    day: ChunkDay
    rows: pa.Table
    weight: int


class Miscounted(SourceError):
    """The rows that came are not those that were counted."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The rows do not match the count of the same snapshot: {what}.",
            meaning="The database gave two answers within one snapshot; a backup from it could not be trusted.",
            remedy="Run it again; if it repeats, check the table's indexes with amcheck (a damaged index hides rows).",
        )
        self.detail = what


class _Run(NamedTuple):
    """Rows `start` to `stop` (exclusive) of prepared ones."""

    source: PreparedRows
    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    @property
    def weight(self) -> int:
        return self.source.weight(self.start, self.stop)

    @property
    def rows(self) -> pa.Table:
        return self.source.rows.slice(self.start, self.length)

    def part(self, label: str) -> Part:
        return Part(self.source.digest(label, self.start, self.stop), self.rows, self.weight)


class DayStream:
    """Takes days, in their order, from batches ordered by day and `layout.order_by`."""

    def __init__(self, batches: Iterator[pa.RecordBatch], layout: Layout) -> None:
        self._rows = _Rows(_prepared(batches, layout))
        self._layout = layout

    def parts(self, label: str, count: int) -> Iterator[Part]:
        """The next `count` (at least one) rows, which must all lie on the day `label`; raises Miscounted.

        A small day in one batch (the usual case) is one part, without copying its rows or looking at their keys.
        """
        runs = self._rows.take(label, count)
        first = next(runs)
        if first.length == count and first.weight <= MINIMUM_WEIGHT:
            yield first.part(label)
            return
        for rows in _parts(itertools.chain([first], runs), self._layout.order_by):
            whole = self._layout.prepared(rows, day=None)
            yield _Run(whole, 0, rows.num_rows).part(label)

    def expect_end(self) -> None:
        """Raise Miscounted unless every row was taken."""
        self._rows.expect_end()


class _Rows:
    """A stream of batches from which a given number of rows is taken."""

    def __init__(self, batches: Iterator[PreparedRows]) -> None:
        self._batches = batches
        self._rest: _Run | None = None

    def take(self, label: str, count: int) -> Iterator[_Run]:
        """The next `count` rows, each run from one batch.

        The stream and the count come from the same snapshot: raises Miscounted unless all are there and on the day.
        """
        while count > 0:
            rest = self._next()
            if rest is None:
                raise Miscounted(f"{count} rows fewer than counted")
            run = rest._replace(stop=min(rest.start + count, rest.stop))
            if not run.source.are_of(label, run.start, run.stop):
                raise Miscounted(f"rows of another day where {label} was expected")
            self._rest = rest._replace(start=run.stop)
            count -= run.length
            yield run

    def expect_end(self) -> None:
        """Raise unless every row was taken."""
        if self._next() is not None:
            raise Miscounted("more rows than counted")

    def _next(self) -> _Run | None:
        if self._rest is None or not self._rest.length:
            batch = next(self._batches, None)
            self._rest = None if batch is None else _Run(batch, 0, batch.rows.num_rows)
        return self._rest


def _prepared(batches: Iterator[pa.RecordBatch], layout: Layout) -> Iterator[PreparedRows]:
    for batch in batches:
        if batch.num_rows:
            day = DAY_FIELD if DAY_FIELD in batch.schema.names else layout.day_column
            yield layout.prepared(pa.Table.from_batches([batch]), day=day)


def _parts(runs: Iterator[_Run], order_by: tuple[str, ...]) -> Iterator[pa.Table]:
    """The rows of a day that lies in several batches or is oversized, cut into its parts."""
    held: list[pa.Table] = []
    weight = 0
    cutter = PartCutter(order_by)
    for run in runs:
        rows, weights = run.rows, run.source.weights[run.start : run.stop]
        weight += run.weight
        start = 0
        for cut in cutter.cuts(rows, weights) if weight > MINIMUM_WEIGHT else cutter.skip(weights):
            yield pa.concat_tables([*held, rows.slice(start, cut - start)]).combine_chunks()
            held, start, weight = [], cut, int(weights[cut:].sum())
        held.append(rows.slice(start))
    yield pa.concat_tables(held).combine_chunks()
