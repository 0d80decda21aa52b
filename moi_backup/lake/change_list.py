"""The file that lists what a restore in place did: the columns of the rows, then what became of each, then its day.

`gone`: a live row that went or changed, as it was; `come`: a row as it was written; `conflict_live` and
`conflict_backup`: the rows of keys that differed on both sides; `renumbered`: a written row as the backup has it,
before it got another number. A file is sealed by the scopes of its columns, like a chunk.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from moi_backup.lake.arrow_types import schema_of
from moi_backup.lake.parquet import read_columns
from moi_backup.lake.parquet_encryption import decryption, name_of_column
from moi_backup.lake.stored_forms import common_form, converted
from moi_backup.lake.untyped import pc, pq
from moi_backup.model.key_ring import KeyRing
from moi_backup.model.table import Column

CHANGE, CHANGE_DAY = "moi_change", "moi_day"


class Change(NamedTuple):
    """Rows of one day that one thing became of."""

    change: str
    day: str
    rows: pa.Table


class OtherColumns(Exception):
    """The file does not list a column in a form that can be compared."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


def change_columns(names: Collection[str]) -> tuple[Column, Column]:
    """The columns of what became of a row and of its day, beside columns of these names."""
    suffix = ""
    while {CHANGE + suffix, CHANGE_DAY + suffix} & set(names):
        suffix += "_"
    return Column(CHANGE + suffix, "text", "native", "string"), Column(CHANGE_DAY + suffix, "text", "native", "string")


def read_changes(path: Path, columns: Sequence[Column], *, ring: KeyRing) -> Iterator[Change]:
    """The listed rows in these columns, a bounded number at a time, without those that only tell of conflicts.

    Raises OtherColumns, and WrongKey for a column under a key that the ring has not.
    """
    found = _columns_in(path, ring)
    *_, change, day = found
    stored = [_as_stored(column, found) for column in columns]
    wanted = [*stored, Column(change, "text", "native", "string"), Column(day, "text", "native", "string")]
    schema = schema_of(columns)
    for table in read_columns(path, wanted, ring=ring):
        rows = converted(table, stored, columns)
        for (what, label), part in _by(rows, change, day):
            if what in ("gone", "come"):
                yield Change(what, label, part.select(schema.names))


def _columns_in(path: Path, ring: KeyRing) -> dict[str, pa.DataType]:
    """The columns of the file by name, in their order, with their canonical types."""
    with pq.ParquetFile(str(path), decryption_properties=decryption(ring)) as file:
        schema: Any = file.schema_arrow
    kinds = [kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind for kind in schema.types]
    return dict(zip((name_of_column(name, ring) for name in schema.names), kinds, strict=True))


def _as_stored(column: Column, found: dict[str, pa.DataType]) -> Column:
    """The column as the file has it; raises OtherColumns when that cannot be brought to the wanted form."""
    kind = found.get(column.name)
    if kind is None:
        raise OtherColumns(column.name)
    stored = msgspec.structs.replace(column, arrow=str(kind))
    form = common_form(column, stored)
    if form is None or form.arrow != column.arrow:
        raise OtherColumns(column.name)
    return stored


def _by(rows: pa.Table, *names: str) -> Iterator[tuple[tuple[str, ...], pa.Table]]:
    """The runs of rows that have the same values in these columns of text, each value in one run."""
    places = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in names])
    ordered = rows.take(places)
    for values, count, start in _runs(ordered, names):
        yield values, ordered.slice(start, count)


def _runs(ordered: pa.Table, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], int, int]]:
    counted: Any = ordered.group_by(list(names), use_threads=False).aggregate([([], "count_all")])
    start = 0
    for row in sorted(counted.to_pylist(), key=lambda row: tuple(row[name] for name in names)):
        yield tuple(row[name] for name in names), row["count_all"], start
        start += row["count_all"]
