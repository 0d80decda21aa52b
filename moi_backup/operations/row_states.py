"""States of a table that can be compared: as a backup has it, changed since, or live in an open transaction.

`compare` brings the rows of all days that are not the same everywhere into `RowSets`, block by block in the order of
days; days whose digests agree are not read from the repository and not kept of the live table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from moi_backup.errors import SourceError
from moi_backup.lake.arrow_types import Unrepresentable
from moi_backup.lake.day_stream import DayStream
from moi_backup.lake.digest import day_digest
from moi_backup.lake.parts import MAXIMUM_WEIGHT
from moi_backup.lake.row_sets import DAY, RowSets, Side
from moi_backup.lake.stored_forms import converted
from moi_backup.lake.untyped import arrow
from moi_backup.model.day import UNDATED, DayRange, order_of
from moi_backup.model.key_ring import KeyRing
from moi_backup.model.table import Chunk, ChunkDay, Column
from moi_backup.operations.progress import Progress
from moi_backup.operations.row_stream import layout_of, row_batches
from moi_backup.operations.stored_table import StoredTable
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.change_scan import count_days
from moi_backup.postgres.day_sql import day_predicate
from moi_backup.postgres.export import RowSource, select_rows
from moi_backup.postgres.identifiers import quote_literal
from moi_backup.postgres.located_rows import PLACE, select_located

BLOCK_ROWS = 100_000


@dataclass(frozen=True)
class StoredState:
    """The days of a table as a backup has them; `days` None means all. `labels` limits them to some of these.

    `form` are the columns in the types in which rows are given (None: as stored); `undivided` gives all rows as
    undated. `carry` brings rows to other columns, and `numbered` rows carry their number within the day as a place.
    """

    stored: StoredTable
    days: DayRange | None = None
    labels: frozenset[str] | None = None
    form: tuple[Column, ...] | None = field(default=None, kw_only=True)
    undivided: bool = field(default=False, kw_only=True)
    carry: Callable[[pa.Table], pa.Table] | None = field(default=None, kw_only=True)
    numbered: bool = field(default=False, kw_only=True)

    @cached_property
    def chunks(self) -> list[Chunk]:
        """The chunks that hold any of the days."""
        return self.stored.chunks(self.days)

    @cached_property
    def parts(self) -> dict[str, list[ChunkDay]]:
        """Label to the parts of that day."""
        found: dict[str, list[ChunkDay]] = {}
        for part in self.stored.parts_of(self.chunks, self.days):
            if self.labels is None or part.day in self.labels:
                found.setdefault(UNDATED if self.undivided else part.day, []).append(part)
        return found

    @cached_property
    def counts(self) -> dict[str, int]:
        """Label to rows."""
        return {label: sum(part.rows for part in parts) for label, parts in self.parts.items()}

    @cached_property
    def digests(self) -> dict[str, str]:
        """Label to the digest of the day."""
        return {label: day_digest([part.digest for part in parts]) for label, parts in self.parts.items()}

    def read(self, labels: Iterable[str]) -> Iterator[tuple[str, pa.Table]]:
        """The rows of these days."""
        form = self.form or self.stored.manifest.columns
        numbers: Counter[str] = Counter()
        for label, rows in self._read(frozenset(labels)):
            brought = converted(rows, self.stored.manifest.columns, form)
            brought = brought if self.carry is None else self.carry(brought)
            if self.numbered:
                first = numbers[label]
                places = [str(number) for number in range(first, first + rows.num_rows)]
                brought = brought.append_column(PLACE.name, arrow.array(places, pa.string()))
                numbers[label] += rows.num_rows
            yield label, brought

    def _read(self, labels: frozenset[str]) -> Iterator[tuple[str, pa.Table]]:
        if self.undivided:
            yield from ((UNDATED, rows) for rows in self.stored.rows(self.days))
        else:
            yield from self.stored.rows_of(self.chunks, labels)


@dataclass(frozen=True)
class ChangedState:
    """A stored state of which some rows went and others came; `rows` holds the days that changed, as they are then.

    In `rows`, finished sets, these days are what `gone` holds.
    """

    stored: StoredState
    rows: RowSets
    days: frozenset[str]

    @property
    def parts(self) -> dict[str, list[ChunkDay]]:
        """Those of the stored state."""
        return self.stored.parts

    @cached_property
    def counts(self) -> dict[str, int]:
        """Label to rows."""
        changed = dict(self.rows.sql(f"SELECT {DAY}, count(*) FROM gone GROUP BY {DAY}"))
        return {label: rows for label, rows in self.stored.counts.items() if label not in self.days} | changed

    @cached_property
    def digests(self) -> dict[str, str]:
        """Label to the digest of the day; what is said of a day that changed is no digest and equals none."""
        kept = {label: digest for label, digest in self.stored.digests.items() if label not in self.days}
        return kept | dict.fromkeys(self.days, "changed")

    def read(self, labels: Iterable[str]) -> Iterator[tuple[str, pa.Table]]:
        """The rows of these days; of those that changed the columns of `rows`."""
        wanted = frozenset(labels)
        yield from self.stored.read(wanted - self.days)
        fields = ", ".join(self.rows.shape.fields)
        for label in sorted(wanted & self.days, key=order_of):
            query = f"SELECT {fields} FROM gone WHERE {DAY} = {quote_literal(label)}"
            yield from ((label, rows) for rows in self.rows.rows(query))


State = StoredState | ChangedState


@dataclass(frozen=True)
class LiveState:
    """The rows of a live table in the session's transaction, which must show one moment: a snapshot, or under a lock.

    `runs` limits the days (None: all of them); rows come with their places if they are `located`, in the types of
    `form` (None: as the source has them).
    """

    session: ArrowSession
    source: RowSource
    runs: Sequence[tuple[str, str]] | None
    ring: KeyRing
    form: tuple[Column, ...] | None = field(default=None, kw_only=True)
    located: bool = field(default=True, kw_only=True)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Label to rows."""
        source = self.source
        where = "true" if self.runs is None else day_predicate(source.day, self.runs)
        return count_days(self.session.rows, source.table, only=source.only, day=source.day, where=where)

    def read(self) -> Iterator[tuple[ChunkDay, pa.Table]]:
        """Every part of every day in order, with its digest; raises SourceError for a value that cannot be compared."""
        carried = (PLACE,) if self.located else ()
        layout = layout_of(self.source, self.ring)._replace(carried=tuple(column.name for column in carried))
        select = select_located if self.located else select_rows
        batches = row_batches(self.session, self.source, select(self.source, self.runs), extra=carried)
        stream = DayStream(batches, layout)
        form = self.form or self.source.columns
        try:
            for label in sorted(self.counts, key=order_of):
                for part in stream.parts(label, self.counts[label]):
                    yield part.day, converted(part.rows, self.source.columns, form)
            stream.expect_end()
        except Unrepresentable as error:
            raise SourceError(
                f"{self.source.table}: column {error.column!r} holds a value now that the backup's form of it cannot.",
                meaning="It is NaN or infinite; such a column is stored as text from the next backup on.",
                remedy="Compare with a backup taken from now on; for a restore in place of this one, write any other "
                "value there first, in place of which it puts the backup's.",
            ) from error


@dataclass
class Compared:
    """`same` are the days (label to rows) that are the same everywhere, `live` the digests of all live days read.

    `recomputed` are days that are the same but for the values of generated columns, which no restore writes.
    """

    same: dict[str, int]
    live: dict[str, str]
    recomputed: list[str] = field(default_factory=list[str])


def compare(
    sets: RowSets,
    stored: Mapping[Side, State],
    live: tuple[Side, LiveState] | None = None,
    *,
    digests_compare: bool = True,
    progress: tuple[Progress, str] | None = None,
) -> Compared:
    """Fill the sets with what is not the same in all states, and finish them.

    `digests_compare` tells that all states have the same columns and order, so equal digests are equal rows.
    """
    comparison = _Comparison(sets, stored, live, digests_compare=digests_compare, progress=progress)
    comparison.run()
    return comparison.compared


class _Comparison:
    def __init__(
        self,
        sets: RowSets,
        stored: Mapping[Side, State],
        live: tuple[Side, LiveState] | None,
        *,
        digests_compare: bool,
        progress: tuple[Progress, str] | None,
    ) -> None:
        self._sets, self._stored, self._digests_compare = sets, stored, digests_compare
        self._live, self._progress = live, progress
        self.compared = Compared({}, {})

    def run(self) -> None:
        with closing(self._live_parts()) as parts:
            for block in self._blocks():
                agreed = self._agreed(block)
                if self._live is not None:
                    differing = self._take_live(*self._live, block, agreed, parts)
                else:
                    differing = self._differing(block, agreed)
                for side, state in self._stored.items():
                    for label, rows in state.read(differing):
                        self._sets.add(side, rows, day=label, places=_places(rows))
                self._sets.day_done()
            next(parts, None)  # lets the stream see its end
        self._sets.finish()

    def _live_parts(self) -> Generator[tuple[ChunkDay, pa.Table]]:
        if self._live is not None:
            yield from self._live[1].read()

    def _differing(self, block: Sequence[str], agreed: Mapping[str, str]) -> list[str]:
        for label in agreed:
            self.compared.same[label] = next(iter(self._stored.values())).counts[label]
        self._advance(sum(state.counts.get(label, 0) for state in self._stored.values() for label in block))
        return [label for label in block if label not in agreed]

    def _blocks(self) -> Iterator[list[str]]:
        """All days in order, in blocks of bounded rows."""
        counts = [state.counts for state in self._stored.values()]
        counts += [self._live[1].counts] if self._live is not None else []
        block: list[str] = []
        rows = 0
        for label in sorted({label for found in counts for label in found}, key=order_of):
            block.append(label)
            rows += sum(found.get(label, 0) for found in counts)
            if rows >= BLOCK_ROWS:
                yield block
                block, rows = [], 0
        if block:
            yield block

    def _agreed(self, block: Sequence[str]) -> dict[str, str]:
        """The days on which all stored states agree, with their digest ("" where none of them has the day)."""
        if not self._digests_compare:
            return {}
        found = {label: {state.digests.get(label, "") for state in self._stored.values()} for label in block}
        return {label: digests.pop() for label, digests in found.items() if len(digests) == 1}

    def _take_live(
        self,
        side: Side,
        state: LiveState,
        block: Sequence[str],
        agreed: Mapping[str, str],
        parts: Iterator[tuple[ChunkDay, pa.Table]],
    ) -> list[str]:
        """Take the live rows of the block's days; returns the days that differ anywhere."""
        differing: list[str] = []
        for label in block:
            held = _Held(self._sets, side, label)
            digests: list[str] = []
            generated: list[str] = []
            rest = state.counts.get(label, 0)
            while rest:
                part, rows = next(parts)
                rest -= part.rows
                digests.append(part.digest)
                generated.append(part.generated)
                held.add(rows)
                self._advance(part.rows)
            digest = day_digest(digests) if digests else ""
            if digest:
                self.compared.live[label] = digest
            if agreed.get(label) == digest:
                self.compared.same[label] = state.counts.get(label, 0)
                self._note_generated(label, generated)
                held.drop()
            else:
                held.keep()
                differing.append(label)
        return differing

    def _note_generated(self, label: str, generated: list[str]) -> None:
        stored = next(iter(self._stored.values())).parts.get(label, [])
        if generated != [part.generated for part in stored]:
            self.compared.recomputed.append(label)

    def _advance(self, rows: int) -> None:
        if self._progress is not None:
            self._progress[0].advance(self._progress[1], rows)


class _Held:
    """The live rows of one day until it is known whether they are needed: in memory, an oversized day in the sets."""

    def __init__(self, sets: RowSets, side: Side, label: str) -> None:
        self._sets, self._label = sets, label
        self._side: Side = side
        self._rows: list[pa.Table] = []
        self._bytes, self._spooled = 0, False

    def add(self, rows: pa.Table) -> None:
        self._rows.append(rows)
        self._bytes += rows.nbytes
        if self._bytes > MAXIMUM_WEIGHT:
            self._spooled = True
            self.keep()

    def keep(self) -> None:
        for rows in self._rows:
            self._sets.add(self._side, rows, day=self._label, places=_places(rows))
        self._rows, self._bytes = [], 0

    def drop(self) -> None:
        self._rows = []
        if self._spooled:
            self._sets.forget(self._side, self._label)


def _places(rows: pa.Table) -> Any:
    return rows.column(PLACE.name) if PLACE.name in rows.column_names else None
