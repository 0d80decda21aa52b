"""How each Postgres type is stored, read, ordered and given back (docs/format.md, "Types").

Everything follows from `Column.pg_type`, the text of `format_type(atttypid, atttypmod)` under an empty search path:
built-in types have their plain SQL names there, every other type is qualified by its schema (so it has a dot) and
travels as text.

What the ADBC driver 1.13 gives for `select_expression`, and what a batch must become (measured on Postgres 15 and 18):

| Postgres type | Arrow type from ADBC | stored type (`arrow`) | conversion |
|---|---|---|---|
| bool, int2/4/8, float4/8, text, varchar, bytea | the same | the same | none |
| char(n), bpchar | string, padding kept | string | none |
| oid | int32, wrapped (4294967295 is -1) | int64 | selected as `::int8` |
| uuid | extension arrow.uuid | fixed_size_binary[16] | take the storage |
| json, jsonb | extension arrow.json | string | take the storage |
| date | date32[day]; infinities wrap (below) | date32[day] | `DATE_*_WIRE` to the ends of int32 and back on ingest |
| timestamp, timestamptz | timestamp[us], timestamp[us, tz=UTC] | the same | below `TIMESTAMP_MIN`: not representable |
| numeric(p,s) | selected as `::text`: string | decimal128(p, s) | cast; a NaN fails and turns the column to text |
| everything else | selected as text: string | string | none |

The driver adds the days (microseconds) from 1970 to 2000 without a check, so `infinity` wraps to a value before every
date Postgres knows. For dates that is reversible; for timestamps values past the year 294247 wrap as well, so a column
in which any value is below `TIMESTAMP_MIN` is stored as text (`as_text`).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from moi_backup.model.table import Column, Encoding
from moi_backup.postgres.identifiers import quote_identifier

DATE_INFINITY_WIRE: Final = -2147472692
"""`infinity` as the driver gives and takes it: 2^31 - 1 days after 2000-01-01, wrapped."""
DATE_MINUS_INFINITY_WIRE: Final = -2147472691
"""`-infinity` as the driver gives and takes it: 2^31 days before 2000-01-01, wrapped."""
TIMESTAMP_MIN: Final = -210866803200000000
"""4714-11-24 00:00:00 BC in microseconds since 1970, the first timestamp of Postgres; anything below has wrapped."""
MAX_DECIMAL_DIGITS: Final = 38

_NATIVE: Final = {
    "boolean": "bool",
    "smallint": "int16",
    "integer": "int32",
    "bigint": "int64",
    "oid": "int64",
    "real": "float",
    "double precision": "double",
    "text": "string",
    "character varying": "string",
    "character": "string",
    "bpchar": "string",
    "bytea": "binary",
    "uuid": "fixed_size_binary[16]",
    "json": "string",
    "jsonb": "string",
    "date": "date32[day]",
    "timestamp without time zone": "timestamp[us]",
    "timestamp with time zone": "timestamp[us, tz=UTC]",
}
_STAGING: Final = {
    "bool": "boolean",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "float": "real",
    "double": "double precision",
    "string": "text",
    "binary": "bytea",
    "fixed_size_binary[16]": "uuid",
    "date32[day]": "date",
    "timestamp[us]": "timestamp without time zone",
    "timestamp[us, tz=UTC]": "timestamp with time zone",
}
_DIRECT_ORDER: Final = frozenset(
    (
        "boolean",
        "smallint",
        "integer",
        "bigint",
        "oid",
        "bytea",
        "uuid",
        "date",
        "timestamp without time zone",
        "timestamp with time zone",
    )
)
_TEXT_ORDER: Final = frozenset(("text", "character varying"))
_MODIFIER: Final = re.compile(r"\([\d,-]+\)")
_NUMERIC: Final = re.compile(r"numeric\((\d+),(-?\d+)\)")


def base_type(pg_type: str) -> str:
    """A built-in type without its modifier: `timestamp(3) without time zone` is `timestamp without time zone`.

    Types of other schemas, which always hold a dot, come back unchanged.
    """
    return pg_type if is_user_type(pg_type) else _MODIFIER.sub("", pg_type, count=1)


def is_user_type(pg_type: str) -> bool:
    """Whether the type is not built in (domain, enum, composite, extension type, or an array of one)."""
    return "." in pg_type


def classify(pg_type: str) -> tuple[Encoding, str]:
    """How values of the type are stored: the encoding, and the Arrow type as `str(pyarrow type)`."""
    native = _NATIVE.get(base_type(pg_type))
    if native is not None:
        return "native", native
    numeric = _NUMERIC.fullmatch(pg_type)
    if numeric is not None:
        precision, scale = int(numeric[1]), int(numeric[2])
        if precision <= MAX_DECIMAL_DIGITS and 0 <= scale <= precision:
            return "decimal", f"decimal128({precision}, {scale})"
    return "text", "string"


def as_text(column: Column) -> Column:
    """The column stored as text, for values its own encoding cannot hold (NaN in numeric(p,s), infinite timestamps)."""
    return msgspec.structs.replace(column, encoding="text", arrow="string")


def select_expression(column: Column, value: str | None = None) -> str:
    """SQL that reads the column so that ADBC gives what the table above says; `value` replaces the quoted column name.

    It depends on the session settings of `moi_backup.postgres.session`.
    """
    value = value or quote_identifier(column.name)
    if column.encoding == "native":
        return f"{value}::int8" if column.pg_type == "oid" else value
    return text_expression(column.pg_type, value)


def text_expression(pg_type: str, value: str) -> str:
    """SQL for the text output of a value; NULL stays NULL, and a row of NULLs does not become one.

    A cast to text is the output function for built-in types but for money, which would follow lc_monetary, and bpchar,
    which loses its blanks. Other types may have a cast of their own, or bpchar inside a domain, so format() calls their
    output function.
    """
    if is_user_type(pg_type):
        return f"CASE WHEN {value} IS DISTINCT FROM NULL THEN format('%s', {value}) END"
    if pg_type == "money":
        return f"{value}::numeric::text"
    if pg_type == "bpchar":
        return f"textin(bpcharout({value}))"
    return f"{value}::text"


def staging_type(column: Column) -> str:
    """The type of the column in a staging table that ADBC ingests the stored Arrow type into."""
    return "numeric" if column.encoding == "decimal" else _STAGING[column.arrow]


def restore_expression(column: Column, value: str | None = None) -> str:
    """SQL that turns a staged value into the column's exact type."""
    value = value or quote_identifier(column.name)
    if staging_type(column) == column.pg_type:
        return value
    if column.pg_type == "money" and column.encoding == "text":
        return f"{value}::numeric::money"
    return f"{value}::{column.pg_type}"


def order_expression(column: Column, value: str | None = None) -> str:
    """One entry of the ORDER BY that every digest assumes: ascending, NULLS FIRST, free of the server's collations.

    It follows the Postgres type, not the encoding: a column that turned to text keeps its order.
    """
    value = value or quote_identifier(column.name)
    base = base_type(column.pg_type)
    if base in _DIRECT_ORDER:
        return f"{value} ASC NULLS FIRST"
    if base in _TEXT_ORDER:
        return f'{value} COLLATE "C" ASC NULLS FIRST'
    return f'({text_expression(column.pg_type, value)}) COLLATE "C" ASC NULLS FIRST'


def key_cost(pg_type: str, *, enum: bool = False) -> int | None:
    """What ordering by a key column of the type costs; None when equal values can differ in their bytes.

    0 for types of fixed width, 1 for text, 2 for types ordered by their text output (char(n), enums, numeric(p,s)).
    """
    base = base_type(pg_type)
    if base in _DIRECT_ORDER:
        return 0
    if base in _TEXT_ORDER:
        return 1
    if enum or base == "character" or classify(pg_type)[0] == "decimal":
        return 2
    return None
