"""From a stream of rows to chunks: cut by day, digested, and only then written.

A chunk keeps its rows in memory up to 64 MiB and goes to a file past that, so memory stays bounded whatever the size
of a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from moi_backup.lake.day_stream import DayStream, Layout, Part
from moi_backup.lake.digest import chunk_digest
from moi_backup.lake.parquet import ChunkWriter, encoding_of
from moi_backup.lake.parts import MAXIMUM_WEIGHT
from moi_backup.model.span import Span
from moi_backup.model.table import Chunk, ChunkDay


class Assembled:
    """A chunk whose digest is known and whose bytes are written on demand."""

    def __init__(self, *, span: str, layout: Layout, scratch: Path) -> None:
        self.span, self.days, self.weight = span, list[ChunkDay](), 0
        self._layout, self._path = layout, scratch
        self._rows: list[pa.Table] = []
        self._held = 0
        self._writer: ChunkWriter | None = None

    @property
    def digest(self) -> str:
        """The chunk digest over its days so far."""
        return chunk_digest((day.day, day.digest) for day in self.days)

    def add(self, part: Part) -> None:
        """Append the rows of one day (or of one part of it)."""
        self.days.append(part.day)
        self.weight += part.weight
        if self._rows and self._held + part.weight > MAXIMUM_WEIGHT:
            self._spill()
        self._held += part.weight
        self._rows.append(part.rows)

    def write(self) -> Path:
        """The finished file, in the scratch folder."""
        self._spill().close()
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
            span=self.span,
            digest=self.digest,
            stored=stored,
            size=size,
            weight=self.weight,
            encoding=encoding_of(self._layout.columns, self._layout.ring),
            days=tuple(self.days),
        )

    def _spill(self) -> ChunkWriter:
        if self._writer is None:
            layout = self._layout
            self._writer = ChunkWriter(
                self._path, columns=layout.columns, day_column=layout.day_column, ring=layout.ring
            )
        if self._rows:
            self._writer.write(pa.concat_tables(self._rows))
        self._rows, self._held = [], 0
        return self._writer


def assemble(
    batches: Iterator[pa.RecordBatch],
    spans: Sequence[Span],
    *,
    layout: Layout,
    scratch: Iterator[Path],
) -> Iterator[Assembled]:
    """Chunks of `spans` from a stream of exactly their rows, ordered by day and `layout.order_by`.

    Raises Miscounted.
    """
    stream = DayStream(batches, layout)
    for span in spans:
        chunk = Assembled(span=span.name, layout=layout, scratch=next(scratch))
        for label, count in span.days:
            for part in stream.parts(label, count):
                if not span.is_shared and chunk.days:
                    yield chunk
                    chunk = Assembled(span=span.name, layout=layout, scratch=next(scratch))
                chunk.add(part)
        yield chunk
    stream.expect_end()
