"""A comparison as Markdown."""

from __future__ import annotations

from moi_backup.model.diff import ChangedColumn, ColumnSum, DayChanges, SchemaDifference, TableDiff
from moi_backup.model.table import TableName
from moi_backup.operations.diff_markdown import diff_markdown

TABLE = TableName("public", "a|b")


def test_days_beyond_the_limit_are_counted_and_names_escaped() -> None:
    """The first days are in the table, the others a number, and no name can break a cell."""
    days = tuple(
        DayChanges(day=f"2025-01-{day:02d}", inserted=0, updated=1000, deleted=0, unchanged=5) for day in (1, 2, 3)
    )
    found = diff_markdown(
        TableDiff(
            table=TABLE,
            status="compared",
            updated=3000,
            days=days,
            columns=(ChangedColumn(name="x|y", rows=3000),),
            sums=(
                ColumnSum(name="x|y", before="1.00", after="3.50", difference="2.50"),
                ColumnSum(name="same", before="1", after="1", difference="0"),
            ),
            schema=(SchemaDifference(name="c", what="a column only after", compared=False),),
        ),
        days=2,
    )
    assert "**public.a\\|b** 0 inserted, 3,000 updated" in found
    assert "| 2025-01-02 | 0 | 1,000 | 0 | 5 |" in found
    assert "2025-01-03" not in found
    assert "… and 1 more days." in found
    assert "| x\\|y | 1.00 | 3.50 | 2.50 |" in found
    assert "same" not in found


def test_a_table_that_was_not_compared_says_why() -> None:
    """Failed, only before and only after are one line each."""
    assert diff_markdown(TableDiff(table=TABLE, status="failed", error="why")).endswith("why")
    assert "only before: 5 rows" in diff_markdown(TableDiff(table=TABLE, status="only_before", rows_before=5))
    assert "only after: 6 rows" in diff_markdown(TableDiff(table=TABLE, status="only_after", rows_after=6))
