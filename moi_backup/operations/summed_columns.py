"""Which columns of a table a person wants to see summed: amounts and counts, not numbers that only name something."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from moi_backup.model.table import Column
from moi_backup.postgres.types import base_type

_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")


def summed_columns(columns: Sequence[Column], *, without: Collection[str] = ()) -> tuple[str, ...]:
    """The numeric columns that are no identity and not `without` (a key, a surrogate number)."""
    return tuple(
        column.name
        for column in columns
        if base_type(column.pg_type) in _NUMBERS and not column.identity and column.name not in without
    )
