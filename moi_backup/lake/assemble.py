"""From a stream of rows to chunks: cut by day, digested, and only then written.

The plan says how many rows each day has (counted in the same snapshot); the stream must agree row by row, or the backup fails. A chunk keeps its
rows in memory up to 64 MiB and goes to a file past that, so memory stays bounded whatever the size of a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from moi_backup.errors import SourceError
from moi_backup.lake.digest import RowDigester, chunk_digest
from moi_backup.lake.parquet import ENCODING, ChunkWriter, Encodings
from moi_backup.lake.parts import MAXIMUM_WEIGHT, MINIMUM_WEIGHT, PartCutter, row_weights
from moi_backup.model.day import number_of
from moi_backup.model.span import Span
from moi_backup.model.table import Chunk, ChunkDay, Column

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


class Assembled:
    """A chunk whose digest is known and whose bytes are written on demand."""

    def __init__(self, *, span: str, layout: Layout, scratch: Path, encodings: Encodings) -> None:
        self.span, self.days, self.weight = span, list[ChunkDay](), 0
        self._layout, self._path, self._encodings = layout, scratch, encodings
        self._rows: list[pa.Table] = []
        self._held = 0
        self._writer: ChunkWriter | None = None

    @property
    def digest(self) -> str:
        """The chunk digest over its days so far."""
        return chunk_digest((day.day, day.digest) for day in self.days)

    def add(self, day: ChunkDay, rows: pa.Table, weight: int) -> None:
        """Append the rows of one day (or of one part of it)."""
        self.days.append(day)
        self.weight += weight
        self._held += weight
        self._rows.append(rows)
        if self._held > MAXIMUM_WEIGHT and len(self._rows) > 1:
            self._spill()

    def write(self) -> Path:
        """The finished file, in the scratch folder."""
        self._spill()
        assert self._writer is not None
        self._writer.close()
        return self._path

    def discard(self) -> None:
        """Forget the rows: the repository has this chunk already."""
        self._rows = []
        if self._writer is not None:
            self._writer.close()
            self._path.unlink(missing_ok=True)

    def stored(self, *, stored: str, size: int) -> Chunk:
        """The chunk as a chunk list names it."""
        return Chunk(
            span=self.span, digest=self.digest, stored=stored, size=size, weight=self.weight, encoding=ENCODING, days=tuple(self.days)
        )

    def _spill(self) -> None:
        if self._writer is None:
            self._writer = ChunkWriter(self._path, columns=self._layout.columns, encodings=self._encodings, day_column=self._layout.day_column)
        if self._rows:
            self._writer.write(pa.concat_tables(self._rows))
        self._rows, self._held = [], 0


def assemble(batches: Iterator[pa.RecordBatch], spans: Sequence[Span], *, layout: Layout, scratch: Iterator[Path], encodings: Encodings) -> Iterator[Assembled]:
    """Chunks of `spans` from the rows of a stream ordered by day and `layout.order_by`.

    Raises SourceError when the stream does not hold exactly the planned rows of the planned days.
    """
    stream = _Rows(batches)
    for span in spans:
        chunk = Assembled(span=span.name, layout=layout, scratch=next(scratch), encodings=encodings)
        for label, count in span.days:
            for rows, weight in _parts(stream, label, count, layout):
                if not span.is_month and chunk.days:
                    yield chunk
                    chunk = Assembled(span=span.name, layout=layout, scratch=next(scratch), encodings=encodings)
                chunk.add(_digested(rows, label, layout), rows, weight)
        yield chunk
    stream.expect_end()


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
                raise _miscounted(f"{count} rows fewer than counted")
            yield rest.slice(0, count)
            self._rest = rest.slice(count)
            count -= rest.num_rows - self._rest.num_rows

    def expect_end(self) -> None:
        """Raise unless every row was taken."""
        if (self._rest is not None and self._rest.num_rows) or self._next() is not None:
            raise _miscounted("more rows than counted")

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
        raise _miscounted(f"rows of another day where {label} was expected")


def _miscounted(what: str) -> SourceError:
    return SourceError(
        f"The export does not match the count of the same snapshot: {what}.",
        meaning="The database gave two different answers within one snapshot; a backup from it could not be trusted, so none was made.",
        remedy="Run the backup again; if it repeats, check the table's indexes with amcheck (a damaged index hides rows).",
    )
