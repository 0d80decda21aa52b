"""A stream of rows cut into the planned days, and an oversized day into parts, each with its digest.

The plan says how many rows each day has (counted in the same snapshot); the stream must agree row by row, or the
operation fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from moi_backup.errors import SourceError
from moi_backup.lake.digest import RowDigester
from moi_backup.lake.parts import MINIMUM_WEIGHT, PartCutter, row_weights
from moi_backup.lake.untyped import pc
from moi_backup.model.day import number_of
from moi_backup.model.table import ChunkDay, Column

DAY_FIELD = "\x00day"  # the label column an export adds for a day column that is no date; no Postgres name holds NUL


class Layout(NamedTuple):
    """What assembling needs to know of a table."""

    columns: tuple[Column, ...]
    order_by: tuple[str, ...]
    day_column: str | None

    @property
    def digested(self) -> tuple[Column, ...]:
        """The columns of the row digest."""
        return tuple(column for column in self.columns if not column.generated)

    @property
    def generated(self) -> tuple[Column, ...]:
        """The generated columns, with a digest of their own."""
        return tuple(column for column in self.columns if column.generated)


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


class DayStream:
    """Takes days, in their order, from batches ordered by day and `layout.order_by`."""

    def __init__(self, batches: Iterator[pa.RecordBatch], layout: Layout) -> None:
        self._rows = _Rows(batches)
        self._layout = layout

    def parts(self, label: str, count: int) -> Iterator[Part]:
        """The next `count` rows, which must all lie on the day `label`; raises Miscounted."""
        for rows, weight in _parts(self._rows, label, count, self._layout):
            yield Part(_digested(rows, label, self._layout), rows, weight)

    def expect_end(self) -> None:
        """Raise Miscounted unless every row was taken."""
        self._rows.expect_end()


class _Rows:
    """A stream of batches from which a given number of rows is taken, without copying where one batch has them."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._rest: pa.Table | None = None

    def take(self, count: int) -> Iterator[pa.Table]:
        """Tables that hold the next `count` rows together, each from one batch."""
        while count > 0:
            rest = self._rest if self._rest is not None and self._rest.num_rows else self._next()
            if rest is None:
                raise Miscounted(f"{count} rows fewer than counted")
            yield rest.slice(0, count)
            self._rest = rest.slice(count)
            count -= rest.num_rows - self._rest.num_rows

    def expect_end(self) -> None:
        """Raise unless every row was taken."""
        if (self._rest is not None and self._rest.num_rows) or self._next() is not None:
            raise Miscounted("more rows than counted")

    def _next(self) -> pa.Table | None:
        for batch in self._batches:
            if batch.num_rows:
                return pa.Table.from_batches([batch])
        return None


def _parts(stream: _Rows, label: str, count: int, layout: Layout) -> Iterator[tuple[pa.Table, int]]:
    """The parts of a day and their weights. A small day (the usual case) is one part without looking at its keys."""
    held: list[pa.Table] = []
    weight = 0
    cutter = PartCutter(layout.order_by)
    for piece in stream.take(count):
        _same_day(piece, label, layout)
        rows = piece.select([column.name for column in layout.columns])
        weights = row_weights(rows)
        cuts = cutter.cuts(rows, weights) if weight + int(weights.sum()) > MINIMUM_WEIGHT else cutter.skip(weights)
        start = 0
        for cut in cuts:
            held.append(rows.slice(start, cut - start))
            yield pa.concat_tables(held).combine_chunks(), weight + int(weights[start:cut].sum())
            held, weight, start = [], 0, cut
        held.append(rows.slice(start))
        weight += int(weights[start:].sum())
    yield pa.concat_tables(held).combine_chunks(), weight


def _digested(rows: pa.Table, label: str, layout: Layout) -> ChunkDay:
    digest, columns = RowDigester(rows, layout.digested).digest(0, rows.num_rows)
    generated = RowDigester(rows, layout.generated).digest(0, rows.num_rows).digest if layout.generated else ""
    return ChunkDay(day=label, rows=rows.num_rows, digest=digest, columns=columns, generated=generated)


def _same_day(rows: pa.Table, label: str, layout: Layout) -> None:
    """Every row must lie on the planned day: the stream and the count come from the same snapshot."""
    if layout.day_column is None:
        return
    name = DAY_FIELD if DAY_FIELD in rows.column_names else layout.day_column
    days: Any = rows.column(name).cast(pa.int32())
    number = number_of(label)
    agree = days.null_count == len(days) if number is None else pc.all(pc.equal(days, number), skip_nulls=False).as_py()
    if not agree:
        raise Miscounted(f"rows of another day where {label} was expected")
