"""A condition is one truth value of one row; everything else is refused with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from moi_backup.errors import UsageError
from moi_backup.lake.conditions import columns_of_condition, condition_sql
from moi_backup.lake.sandbox import open_sandbox
from moi_backup.model.table import Column

COLUMNS = (
    Column(name="id", pg_type="integer", encoding="native", arrow="int32"),
    Column(name="Amount (INR)", pg_type="numeric(10,2)", encoding="decimal", arrow="decimal128(10, 2)"),
    Column(name="day", pg_type="date", encoding="native", arrow="date32[day]"),
    Column(name="name", pg_type="text", encoding="native", arrow="string"),
    Column(name="Twin", pg_type="text", encoding="native", arrow="string"),
    Column(name="twin", pg_type="text", encoding="native", arrow="string"),
    Column(name="key", pg_type="uuid", encoding="native", arrow="fixed_size_binary[16]"),
)


@pytest.fixture
def connection() -> Iterator[Any]:
    with open_sandbox() as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("id = 7", ["id"]),
        ("ID = 7 OR name LIKE 'x;%' -- a remark", ["id", "name"]),
        ("\"Amount (INR)\" > 1.5 AND day BETWEEN '2025-01-01' AND '2025-02-01'", ["Amount (INR)", "day"]),
        ("key = '11111111-1111-1111-1111-111111111111'", ["key"]),
        ("CASE WHEN id > 1 THEN name IS NULL ELSE lower(name) IN ('a', 'b') END", ["id", "name"]),
        ("true", []),
    ],
)
def test_a_condition_reads_the_columns_it_names(connection: Any, text: str, used: list[str]):
    """Any boolean expression over a row is taken, and says which columns it needs."""
    sql = condition_sql(connection, text, columns=COLUMNS)
    assert [column.name for column in columns_of_condition(connection, sql, columns=COLUMNS)] == used


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "syntax error"),
        ("id", "INTEGER, not true or false"),
        ("NULL", "not true or false"),
        ("id = 1; SELECT 2", "syntax error"),
        ("id = 1) OR (id = 2", "syntax error"),
        ("1)) OR ((1", "syntax error"),
        ("true THEN true WHEN true", "syntax error|not one expression"),
        ("true THEN true END WHERE CASE WHEN true", "syntax error|not one expression"),
        ("true THEN true END GROUP BY CASE WHEN true", "syntax error|not one expression"),
        ("true THEN true END QUALIFY CASE WHEN true", "syntax error|not one expression"),
        ("true THEN true END UNION SELECT CASE WHEN true", "syntax error|not one expression"),
        ("true THEN true END OR CASE WHEN true", "syntax error|not one expression"),
        ("id = 1 /* never closed", "comment"),
        ("id = 1, name = 'a'", "syntax error"),
        ("id = 1 ORDER BY 1", "syntax error"),
        ("id IN (SELECT 1)", "subquery"),
        ("EXISTS (FROM read_text('/etc/passwd'))", "subquery"),
        ("count(*) > 1", "aggregate"),
        ("sum(id) OVER () > 1", "window"),
        ("COLUMNS('i.*') > 1", "star"),
        ("id > ?", "parameter"),
        ("random() < 0.5", "another answer"),
        ("day < now()", "another answer"),
        ("day < current_date", "no column current_date"),
        ("error('x')", "another answer"),
        ("nme = 'a'", "did you mean name"),
        ("twin = 'a'", "any of Twin, twin"),
        ("t.id = 1", "no column t.id"),
        ("id = 'x'", "Could not convert|convert"),
    ],
)
def test_anything_else_than_one_truth_value_of_a_row_is_refused(connection: Any, text: str, why: str):
    """What ends the expression early, looks past the row or changes from call to call is named."""
    with pytest.raises(UsageError, match=f"(?i){why}"):
        condition_sql(connection, text, columns=COLUMNS)


def test_a_condition_keeps_its_bounds_wherever_it_stands(connection: Any):
    """An OR or a comment in it never reaches what stands beside it."""
    sql = condition_sql(connection, "id = 1 OR id = 2 -- a remark", columns=COLUMNS)
    rows = connection.from_arrow(pa.table({"id": [1, 2, 3]}))
    assert rows.filter(f"false AND {sql} AND true").fetchall() == []
    assert rows.filter(f"NOT {sql}").fetchall() == [(3,)]
