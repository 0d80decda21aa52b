"""One table of a backup: scan, plan, read what changed, reuse what did not, and write its manifest.

The caller owns the snapshot; `BaseTable` is what an earlier backup knows of the same table.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from moi_backup.lake.arrow_types import Unrepresentable
from moi_backup.lake.assemble import Assembled, assemble
from moi_backup.lake.digest import day_digest, table_digest
from moi_backup.lake.parquet import encoding_of
from moi_backup.model.backup import TableEntry
from moi_backup.model.day import DayRange, order_of
from moi_backup.model.key_ring import KeyRing
from moi_backup.model.span import Span, plan_spans
from moi_backup.model.table import Chunk, ChunkList, ChunkListRef, ScannedDay, TableManifest
from moi_backup.operations.progress import Progress
from moi_backup.operations.protect import ProtectedTable
from moi_backup.operations.row_stream import layout_of, row_batches
from moi_backup.operations.store_ahead import StoreAhead
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.change_scan import scan_days
from moi_backup.postgres.export import Read, RowSource, plan_reads, select_rows
from moi_backup.postgres.sequences import read_sequences
from moi_backup.postgres.session import Connection
from moi_backup.repository.layout import chunk_folder
from moi_backup.repository.marks import unmark_damaged
from moi_backup.repository.repository import Repository
from moi_backup.repository.stored_sizes import StoredSizes, sizes_below
from moi_backup.storage.at_once import in_order


@dataclass(frozen=True, slots=True)
class BaseTable:
    """What an earlier backup knows of a table. `trusted`: the change scan may skip days it saw unchanged."""

    manifest: TableManifest
    lists: Mapping[str, ChunkList]
    trusted: bool

    def chunks_of(self, span: Span) -> tuple[Chunk, ...]:
        """Its chunks of a span, if they hold exactly the span's days."""
        found = tuple(chunk for chunk in self.chunks(span.month) if chunk.span == span.name)
        rows: dict[str, int] = {}
        for day in itertools.chain.from_iterable(chunk.days for chunk in found):
            rows[day.day] = rows.get(day.day, 0) + day.rows
        return found if tuple(rows.items()) == span.days else ()

    def chunks(self, month: str) -> tuple[Chunk, ...]:
        """All its chunks of a month."""
        return self.lists[month].chunks if month in self.lists else ()

    def scanned(self, label: str, month: str) -> ScannedDay | None:
        """What the scan saw of a day then."""
        return self.lists[month].scan.get(label) if month in self.lists else None


class _Stored(NamedTuple):
    """A chunk that is in the repository, and whether this backup wrote it."""

    month: str
    chunk: Chunk
    is_new: bool


@dataclass(frozen=True, slots=True)
class TableBackup:
    """Backs up tables into one repository from one snapshot.

    `scratch` is a folder for files that are being written, `created` collects the names of objects that did not exist
    before. `checkpoint` is called for every chunk and may stop the backup; `damaged` names chunks (by stored hash) that
    must be written anew.
    """

    conn: Connection
    session: ArrowSession
    repository: Repository
    scratch: Path
    created: list[str]
    progress: Progress
    checkpoint: Callable[[], None]
    damaged: frozenset[str] = frozenset()

    def take(
        self, table: ProtectedTable, base: BaseTable | None, *, days: DayRange | None, fingerprint: dict[str, str]
    ) -> tuple[TableManifest, TableEntry]:
        """Back up one table; `days` limits what is covered."""
        scan = scan_days(self.conn, table.name, only=table.catalog.only, day=table.day)
        if days is not None:
            scan = {label: seen for label, seen in scan.items() if label in days}
        spans = plan_spans({label: seen.rows for label, seen in scan.items()})
        table = table if base is None else table.with_text(_text_columns(base.manifest, table))
        while True:
            usable = base if base is not None and _comparable(base.manifest, table, self.repository.ring) else None
            try:
                written = self._chunks(table, spans, scan, usable, limited=days is not None)
                break
            except Unrepresentable as found:
                self.progress.warn(
                    f"{table.name}: column {found.column!r} holds a value its type cannot be stored in natively "
                    "(NaN or infinity); the whole column is stored as text from now on."
                )
                table = table.with_text([found.column])
        return self._publish(table, spans, scan, usable, written, fingerprint)

    def _chunks(
        self,
        table: ProtectedTable,
        spans: Sequence[Span],
        scan: Mapping[str, ScannedDay],
        base: BaseTable | None,
        *,
        limited: bool,
    ) -> list[_Stored]:
        """The chunks of all spans in day order: the base's where nothing changed, else read and stored."""
        sizes = sizes_below(self.repository.store, (chunk_folder(table.name),) if base else ())
        kept = [self._unchanged(table, span, scan, base, sizes) for span in spans]
        wanted = [not chunks for chunks in kept]
        reads = plan_reads(spans, wanted)
        everything = len(reads) == 1 and all(wanted) and not limited
        task = str(table.name)
        self.progress.start(task, total=sum(span.rows for span in spans))
        stored: list[Future[_Stored]] = []
        threads = self.repository.store.requests_at_once
        with StoreAhead(threads) as ahead, closing(self._read(table.source, reads, everything=everything)) as arriving:
            for span, chunks in zip(spans, kept, strict=True):
                for chunk in chunks:
                    stored.append(_done(_Stored(span.month, chunk, is_new=False)))
                    self.progress.advance(task, chunk.rows)
                for assembled in () if chunks else _until_none(arriving):
                    self.checkpoint()
                    job = partial(self._store, table, assembled, base, span.month, sizes)
                    stored.append(ahead.submit(job, weight=assembled.weight))
                    self.progress.advance(task, sum(day.rows for day in assembled.days))
            next(arriving, None)  # lets the last read see that its stream has ended
        return [future.result() for future in stored]

    def _unchanged(
        self,
        table: ProtectedTable,
        span: Span,
        scan: Mapping[str, ScannedDay],
        base: BaseTable | None,
        sizes: StoredSizes,
    ) -> tuple[Chunk, ...]:
        """The base's chunks of a span whose days the scan saw unchanged and whose objects are whole; else nothing."""
        if base is None or not base.trusted:
            return ()
        if any(base.scanned(label, span.month) != scan[label] for label, _ in span.days):
            return ()
        chunks = base.chunks_of(span)
        return chunks if all(self._reusable(table, chunk, sizes) for chunk in chunks) else ()

    def _store(
        self, table: ProtectedTable, assembled: Assembled, base: BaseTable | None, month: str, sizes: StoredSizes
    ) -> _Stored:
        broken = ""
        for known in base.chunks(month) if base else ():
            # By its days and not by the chunk's digest, which leaves generated columns out.
            if (known.span, known.days) != (assembled.span, tuple(assembled.days)):
                continue
            if self._reusable(table, known, sizes):
                assembled.discard()
                return _Stored(month, known, is_new=False)
            broken = known.stored
        stored = self.repository.store_chunk(
            table.name, span=assembled.span, digest=assembled.digest, file=assembled.write(), known=broken
        )
        if stored.created is not None:
            self.created.append(stored.created)
        if stored.digest in self.damaged:  # the same bytes under the same name: older backups are healed too
            unmark_damaged(self.repository.store, stored=stored.digest)
        return _Stored(month, assembled.stored(stored=stored.digest, size=stored.size), is_new=True)

    def _reusable(self, table: ProtectedTable, chunk: Chunk, sizes: StoredSizes) -> bool:
        return (
            chunk.encoding == encoding_of(table.source.columns, self.repository.ring)
            and chunk.stored not in self.damaged
            and self.repository.has_chunk(table.name, chunk, sizes=sizes)
        )

    def _read(
        self, source: RowSource, reads: Sequence[Read], *, everything: bool
    ) -> Generator[Assembled | None, None, None]:
        """Assembled chunks of all reads; None after the last chunk of each span."""
        layout = layout_of(source, self.repository.ring)
        scratch = (self.scratch / f"{source.table.name.encode().hex()[:16]}-{number}" for number in itertools.count())
        for read in reads:
            sql = select_rows(source, None if everything else read.runs)
            batches = row_batches(self.session, source, sql)
            chunks = assemble(batches, read.spans, layout=layout, scratch=scratch)
            yield from _by_span(chunks, read.spans)

    def _publish(
        self,
        table: ProtectedTable,
        spans: Sequence[Span],
        scan: Mapping[str, ScannedDay],
        base: BaseTable | None,
        written: Sequence[_Stored],
        fingerprint: dict[str, str],
    ) -> tuple[TableManifest, TableEntry]:
        refs = self._list_refs(_chunk_lists(spans, scan, written), base)
        chunks = [stored.chunk for stored in written]
        new = [stored.chunk for stored in written if stored.is_new]
        manifest = TableManifest(
            table=table.name,
            columns=table.source.columns,
            day=table.day,
            order_by=table.catalog.order_by,
            key=table.key,
            required=table.required,
            data_class=table.data_class,
            rows=sum(ref.rows for ref in refs),
            digest=digest_of_chunks(chunks),
            months=tuple(refs),
        )
        entry = TableEntry(
            table=table.name,
            manifest=self.repository.write_table(manifest),
            rows=manifest.rows,
            digest=manifest.digest,
            chunks=len(chunks),
            new_chunks=len(new),
            bytes=sum(chunk.size for chunk in chunks),
            bytes_written=sum(chunk.size for chunk in new),
            weight=sum(chunk.weight for chunk in chunks),
            fingerprint=fingerprint,
            sequences={
                str(name): (position.last_value, position.is_called)
                for name, position in read_sequences(self.conn, table.catalog).items()
            },
        )
        self.progress.finish(str(table.name), f"{len(new)} of {len(chunks)} chunks new")
        return manifest, entry

    def _list_refs(self, lists: Iterable[ChunkList], base: BaseTable | None) -> list[ChunkListRef]:
        threads = self.repository.store.requests_at_once
        return list(in_order(partial(self._list_ref, base), lists, threads=threads))

    def _list_ref(self, base: BaseTable | None, chunks: ChunkList) -> ChunkListRef:
        if base is not None and base.lists.get(chunks.month) == chunks:
            return next(ref for ref in base.manifest.months if ref.month == chunks.month)
        return ChunkListRef(
            month=chunks.month,
            list=self.repository.write_chunk_list(chunks),
            rows=sum(chunk.rows for chunk in chunks.chunks),
            size=sum(chunk.size for chunk in chunks.chunks),
            chunks=len(chunks.chunks),
        )


def _chunk_lists(
    spans: Sequence[Span], scan: Mapping[str, ScannedDay], written: Sequence[_Stored]
) -> Iterator[ChunkList]:
    """One list for each month, in day order."""
    for month in dict.fromkeys(span.month for span in spans):
        labels = [label for span in spans if span.month == month for label, _ in span.days]
        yield ChunkList(
            month=month,
            chunks=tuple(stored.chunk for stored in written if stored.month == month),
            scan={label: scan[label] for label in labels},
        )


def days_of_chunks(chunks: Iterable[Chunk]) -> dict[str, tuple[int, str]]:
    """Label to rows and day digest, in day order."""
    parts: dict[str, list[tuple[int, str]]] = {}
    for day in itertools.chain.from_iterable(chunk.days for chunk in chunks):
        parts.setdefault(day.day, []).append((day.rows, day.digest))
    return {
        label: (sum(rows for rows, _ in parts[label]), day_digest([digest for _, digest in parts[label]]))
        for label in sorted(parts, key=order_of)
    }


def digest_of_chunks(chunks: Iterable[Chunk]) -> str:
    """The table digest over all its chunks."""
    return table_digest((label, rows, digest) for label, (rows, digest) in days_of_chunks(chunks).items())


def _comparable(base: TableManifest, table: ProtectedTable, ring: KeyRing) -> bool:
    """Whether the base's chunks hold the same columns, cut and ordered alike, each under the same scope's key."""
    then, now = (
        [
            (column.name, column.arrow, column.encoding, column.generated, ring.encrypted and column.scope)
            for column in columns
        ]
        for columns in (base.columns, table.source.columns)
    )
    return then == now and base.day == table.day and base.order_by == table.catalog.order_by


def _text_columns(base: TableManifest, table: ProtectedTable) -> list[str]:
    """Columns the base stores as text; kept while their type is the same, so that digests stay comparable."""
    types = {column.name: column.pg_type for column in table.columns}
    return [
        column.name for column in base.columns if column.encoding == "text" and types.get(column.name) == column.pg_type
    ]


def _done(stored: _Stored) -> Future[_Stored]:
    future: Future[_Stored] = Future()
    future.set_result(stored)
    return future


def _until_none(arriving: Iterator[Assembled | None]) -> Iterator[Assembled]:
    """The chunks up to the end of the span."""
    while (assembled := next(arriving, None)) is not None:
        yield assembled


def _by_span(assembled: Iterator[Assembled], spans: Sequence[Span]) -> Iterator[Assembled | None]:
    """The chunks with a None after each span's last one."""
    remaining = iter(assembled)
    for span in spans:
        rows = span.rows
        while rows > 0:
            chunk = next(remaining)
            rows -= sum(day.rows for day in chunk.days)
            yield chunk
        yield None
    next(remaining, None)  # lets the assembler see that the stream has ended
