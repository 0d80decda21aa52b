"""The keys of differing rows for which a person's condition holds, for restores that are limited by one."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from moi_backup.lake.conditions import columns_of_condition, condition_sql, refused_condition
from moi_backup.lake.row_sets import RowSets
from moi_backup.lake.sandbox import open_sandbox, quoted
from moi_backup.model.table import Column

_KEY = '"moi key"'
_CHOSEN = "chosen_keys"


def chosen_keys(sets: RowSets, where: str) -> str:
    """An SQL query over the sets: the keys (as `k`) of rows, gone or come, for which the condition is true.

    Raises UsageError for what is no condition of one row over the table's columns, or has no value for one of the rows.
    """
    columns = sets.shape.columns
    with open_sandbox() as sandbox:
        condition = condition_sql(sandbox, where, columns=columns)
        used = columns_of_condition(sandbox, condition, columns=columns)
    fields = ", ".join([f"k AS {_KEY}", *(f"{_typed(sets, column)} AS {quoted(column.name)}" for column in used)])
    rows = " UNION ALL ".join(f"SELECT {fields} FROM {side}" for side in ("gone", "come"))
    try:
        sets.sql(f"CREATE OR REPLACE TABLE {_CHOSEN} AS SELECT {_KEY} AS k FROM ({rows}) WHERE {condition}")
    except duckdb.DataError as error:  # a cast or a sum of this row; what DuckDB says of it holds the row's values
        why = f"it has no value for one of the rows ({type(error).__name__}); TRY_CAST gives NULL instead"
        raise refused_condition(where, why) from None
    return f"SELECT k FROM {_CHOSEN}"


def check_condition(where: str, *, columns: Sequence[Column]) -> None:
    """Raise UsageError unless it is a condition of one row over these columns."""
    with open_sandbox() as sandbox:
        condition_sql(sandbox, where, columns=columns)


def _typed(sets: RowSets, column: Column) -> str:
    """The field in the type that conditions see: a uuid is no row of bytes to people."""
    field = sets.shape.field(column.name)
    return f"CAST(lower(hex({field})) AS UUID)" if column.pg_type == "uuid" and column.encoding == "native" else field
