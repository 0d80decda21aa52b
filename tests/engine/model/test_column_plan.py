"""How columns of a backup are carried into a table is decided from names and types alone."""

from __future__ import annotations

from typing import Any

import pytest

from moi_backup.model.column_plan import ColumnPlan, LiveColumn, plan_columns
from moi_backup.model.table import Column, DayColumn, TableManifest, TableName
from moi_backup.postgres.types import classify


def column(name: str, pg_type: str, **facts: Any) -> Column:
    encoding, arrow = classify(pg_type)
    return Column(name, pg_type, encoding, arrow, **facts)


STORED = (column("id", "integer"), column("day", "date"), column("note", "character varying(20)", scope="pii"))
MANIFEST = TableManifest(
    table=TableName("public", "t"),
    columns=STORED,
    day=DayColumn("day", "date"),
    order_by=("id",),
    key=("id",),
    required=("note",),
    data_class="critical",
    rows=0,
    digest="",
    months=(),
)


def planned(*live: Column, **renames: str) -> ColumnPlan:
    return plan_columns(MANIFEST, [LiveColumn(found) for found in live], renames=renames)


def told(plan: ColumnPlan) -> list[tuple[str, str]]:
    return [(drift.what, drift.column) for drift in plan.drift]


def test_the_same_columns_are_no_drift():
    """In whatever order they are, and with generated ones that the backup does not have."""
    plan = planned(*reversed(STORED), column("sum", "integer", generated="stored"))
    assert (told(plan), plan.refusals, plan.columns) == ([], (), STORED)
    assert plan.as_live(MANIFEST) == MANIFEST


def test_every_column_of_both_sides_has_one_fate():
    """Added, dropped, computed and retyped ones are told by name, and only what both have is carried."""
    plan = planned(
        column("id", "bigint"), STORED[1], column("note", "text", generated="stored"), column("more", "text")
    )
    assert told(plan) == [("retyped", "id"), ("computed", "note"), ("added", "more")]
    assert [carried.form.pg_type for carried in plan.carried] == ["bigint", "date"]
    assert [left.name for left in plan.left] == ["note"]
    assert told(planned(*STORED[:2])) == [("dropped", "note")]


def test_a_column_keeps_its_scope_and_its_stored_form():
    """What is sealed in the backup is sealed in what a restore keeps, under the name that it has there."""
    plan = planned(*STORED[:2], column("remark", "character varying(20)"), note="remark")
    assert told(plan) == [("renamed", "note")]
    assert plan.columns[2].scope == "pii"
    assert plan.as_live(MANIFEST).required == ("remark",)


def test_a_value_that_a_form_cannot_hold_is_compared_as_text():
    """A text may be NaN or infinite; an integer is neither."""
    amounts = [column("id", "numeric(10,2)"), STORED[1], column("note", "timestamp(0) without time zone")]
    assert [found.arrow for found in planned(*amounts).columns] == ["decimal128(10, 2)", "date32[day]", "string"]


@pytest.mark.parametrize(
    ("live", "renames", "refusal"),
    [
        ((STORED[1], STORED[2]), {}, "rows cannot be recognised"),
        ((STORED[0], STORED[2]), {}, "no day column 'day'"),
        ((STORED[0], column("day", "timestamp without time zone"), STORED[2]), {}, "days are told by it"),
        ((column("other", "text"),), {}, "it has no column of the backup"),
        (STORED, {"note": "id"}, "the backup has a column id too"),
        (STORED, {"more": "note"}, "the backup has no column more"),
        (STORED, {"note": "more"}, "the table has no column more"),
        ((*STORED, column("x", "text")), {"note": "x", "id": "x"}, "two columns of the backup cannot become one"),
    ],
)
def test_what_cannot_be_decided_is_refused_by_name(live, renames, refusal):
    """Nothing is guessed about keys, days and names."""
    assert any(refusal in found for found in planned(*live, **renames).refusals)


@pytest.mark.parametrize("zoned", ["timestamp with time zone", "timestamp(3) with time zone"])
@pytest.mark.parametrize("plain", ["timestamp without time zone", "date"])
def test_times_with_and_without_a_zone_are_not_cast(zoned, plain):
    """In either direction: which moment is meant is not in the value."""
    for then, now in ((zoned, plain), (plain, zoned)):
        manifest = TableManifest(**{**{f: getattr(MANIFEST, f) for f in MANIFEST.__struct_fields__}, "day": None,
                                    "columns": (STORED[0], column("at", then))})  # fmt: skip
        plan = plan_columns(manifest, [LiveColumn(STORED[0]), LiveColumn(column("at", now))], renames={})
        assert any("time zone" in refusal for refusal in plan.refusals)
