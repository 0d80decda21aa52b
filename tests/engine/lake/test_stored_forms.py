"""Two stored forms of a column brought to one without loss, or not at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from moi_backup.lake.arrow_types import arrow_type
from moi_backup.lake.stored_forms import common_form, converted
from moi_backup.model.table import Column
from moi_backup.postgres.types import as_text, classify


def column(pg_type: str) -> Column:
    encoding, arrow = classify(pg_type)
    return Column("c", pg_type, encoding, arrow)


@pytest.mark.parametrize(
    ("one", "other", "arrow"),
    [
        ("smallint", "bigint", "int64"),
        ("real", "double precision", "double"),
        ("integer", "numeric(12,2)", "decimal128(12, 2)"),
        ("integer", "numeric(11,2)", None),
        ("numeric(10,2)", "numeric(12,4)", "decimal128(12, 4)"),
        ("numeric(10,2)", "numeric(10,4)", None),
        ("numeric(10,2)", "numeric", "string"),
        ("double precision", "numeric", None),
        ("bigint", "double precision", None),
        ("timestamp without time zone", "timestamp with time zone", None),
        ("date", "text", None),
        ("boolean", "text", None),
        ("varchar(3)", "text", "string"),
    ],
)
def test_only_what_loses_nothing_has_a_common_form(one: str, other: str, arrow: str | None) -> None:
    """A form is found in both directions or in none."""
    for first, second in ((one, other), (other, one)):
        found = common_form(column(first), column(second))
        assert (found and found.arrow) == arrow


@pytest.mark.parametrize(
    ("pg_type", "value", "text"),
    [
        ("numeric(10,8)", Decimal("0.00000001"), "0.00000001"),
        ("numeric(10,2)", Decimal("-5.10"), "-5.10"),
        ("timestamp without time zone", 1738307100250000, "2025-01-31 07:05:00.25"),
        ("timestamp with time zone", -62135596800000000 - 1, "0001-12-31 23:59:59.999999+00 BC"),
        ("timestamp without time zone", None, None),
    ],
)
def test_text_is_what_postgres_writes(pg_type: str, value: Any, text: str | None) -> None:
    """A value in its own form becomes the text by which the same value is kept in a column that turned to text."""
    then, now = column(pg_type), as_text(column(pg_type))
    rows = pa.table({"c": pa.array([value], arrow_type(then.arrow))})
    form = common_form(then, now)
    assert form is not None
    assert converted(rows, (then,), (form,)).column("c").to_pylist() == [text]
