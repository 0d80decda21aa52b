"""Which columns of a table a person wants to see summed: amounts and counts, not numbers that only name something."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from moi_backup.model.table import Column
from moi_backup.postgres.types import base_type

_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision", "money")
_DIGITS = 28  # ten thousand million such numbers still fit into the 38 digits of a sum


def summed_columns(columns: Sequence[Column], *, without: Collection[str] = ()) -> tuple[str, ...]:
    """The numeric columns that are no identity and not `without` (a key, a surrogate number)."""
    return tuple(
        column.name
        for column in columns
        if _can_be_summed(column) and not column.identity and column.name not in without
    )


def _can_be_summed(column: Column) -> bool:
    digits = int(column.arrow.partition("(")[2].partition(",")[0]) if column.arrow.startswith("decimal128") else 0
    return base_type(column.pg_type) in _NUMBERS and digits <= _DIGITS
