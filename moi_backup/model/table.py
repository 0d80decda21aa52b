"""What the repository knows of one table: its columns, and the chunks its rows are in.

`TableManifest` and `ChunkList` are stored objects (see docs/format.md, "Table manifest" and "Chunk list").
"""

from __future__ import annotations

from typing import Literal

import msgspec

Encoding = Literal["native", "decimal", "text"]
DayKind = Literal["date", "timestamp", "timestamptz"]
Generated = Literal["", "stored", "virtual"]
Identity = Literal["", "always", "by default"]


class TableName(msgspec.Struct, frozen=True, order=True):
    """A table as `schema.name`; parts that hold a dot or a double quote are quoted as in SQL."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{_part(self.schema)}.{_part(self.name)}"


def _part(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if "." in text or '"' in text else text


def parse_table_name(text: str, *, default_schema: str = "public") -> TableName:
    """Read `name`, `schema.name` or `"odd.schema"."odd.name"`; raises ValueError when it is none of these."""
    parts: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            end = 1
            while (end := rest.find('"', end)) != -1 and rest[end : end + 2] == '""':
                end += 2
            if end == -1:
                raise ValueError(f"unbalanced quotes in table name {text!r}")
            parts.append(rest[1:end].replace('""', '"'))
            rest = rest[end + 1 :]
        else:
            part, dot, tail = rest.partition(".")
            parts.append(part)
            rest = dot + tail
        if not rest:
            break
        if not rest.startswith("."):
            raise ValueError(f"not a table name: {text!r}")
        rest = rest[1:]
    if len(parts) > 2 or not all(parts):
        raise ValueError(f"not a table name: {text!r}")
    return TableName(parts[0] if len(parts) == 2 else default_schema, parts[-1])


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column: its exact Postgres type and how its values are stored.

    `pg_type` is `format_type(atttypid, atttypmod)` under an empty search path. `encoding` is native (the Arrow type
    is the value), decimal (numeric(p,s) as decimal128) or text (the type's text output). `arrow` is the Arrow type's
    name, part of the digest. `scope` is the encryption scope.
    """

    name: str
    pg_type: str
    encoding: Encoding
    arrow: str
    not_null: bool = False
    generated: Generated = ""
    identity: Identity = ""
    scope: str = "default"


class DayColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column that cuts a table into days; a timestamptz is cut in `timezone`."""

    column: str
    kind: DayKind
    timezone: str = ""


class ChunkDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rows of one day in one chunk, in stored order.

    `digest` covers them all; `columns` is base64 of the 16-byte column digests in the order of column names.
    """

    day: str
    rows: int
    digest: str
    columns: str
    generated: str = ""


class Chunk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One immutable Parquet object: `chunks/<table>/<span>/<digest>.<stored>.parquet`.

    `stored` is the blake3 of its bytes, with `~<n>` after it where that name was once marked for deletion. `size` is
    their number, `weight` the logical size of its rows in bytes.
    """

    span: str
    digest: str
    stored: str
    size: int
    weight: int
    encoding: str
    days: tuple[ChunkDay, ...]

    @property
    def rows(self) -> int:
        """Rows in the chunk."""
        return sum(day.rows for day in self.days)


class ScannedDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the change scan saw of a day: its rows and the sum of a 64-bit hash of every row's xmin."""

    rows: int
    xmin_sum: str


class ChunkList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All chunks of one month of one table (or of one of the days that have no month), shared by backups."""

    month: str
    chunks: tuple[Chunk, ...]
    scan: dict[str, ScannedDay]


class ChunkListRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a month's chunk list lies (`tables/<digest>`) and the sums of what it lists."""

    month: str
    list: str
    rows: int
    size: int
    chunks: int


class TableManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table at one moment: equal content has an equal digest, so unchanged tables share it.

    `order_by` is the row order of every digest; `key` is the merge key (None: the table has none).
    """

    table: TableName
    columns: tuple[Column, ...]
    day: DayColumn | None
    order_by: tuple[str, ...]
    key: tuple[str, ...] | None
    required: tuple[str, ...]
    data_class: str
    rows: int
    digest: str
    months: tuple[ChunkListRef, ...]
    format: int = 1

    @property
    def restorable(self) -> tuple[Column, ...]:
        """The columns a restore writes: all but the generated ones."""
        return tuple(column for column in self.columns if not column.generated)
