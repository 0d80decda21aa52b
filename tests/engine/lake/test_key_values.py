"""What people write for a value of a key is that value in the stored type, or refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from moi_backup.errors import UsageError
from moi_backup.lake.arrow_types import schema_of
from moi_backup.lake.key_values import key_value, positions
from moi_backup.lake.row_texts import row_texts
from moi_backup.lake.sandbox import open_sandbox
from moi_backup.model.table import Column
from moi_backup.postgres.types import classify


def column(pg_type: str, name: str = "c") -> Column:
    encoding, arrow = classify(pg_type)
    return Column(name=name, pg_type=pg_type, encoding=encoding, arrow=arrow)


@pytest.mark.parametrize(
    ("pg_type", "text", "value"),
    [
        ("smallint", "-7", -7),
        ("bigint", "9223372036854775807", 2**63 - 1),
        ("boolean", "TRUE", True),
        ("numeric(10,2)", "1.5", Decimal("1.50")),
        ("numeric(10,2)", "1e2", Decimal("100.00")),
        ("real", "0.1", 0.1),
        ("double precision", "NaN", float("nan")),
        ("double precision", "-Infinity", float("-inf")),
        ("text", " a b ", " a b "),
        ("text", "", ""),
        ("character(4)", "ab", "ab  "),
        ("numeric", "1.50", "1.50"),
        ("bytea", r"\x00ff", b"\x00\xff"),
        ("uuid", "11111111-1111-1111-1111-111111111111", UUID(int=0x11111111111111111111111111111111).bytes),
    ],
)
def test_a_value_finds_itself_and_nothing_else(pg_type: str, text: str, value: Any):
    """Of its own value, NULL and nothing more, each is found by its text or as NULL."""
    wanted = column(pg_type)
    rows = pa.table([pa.array([None, value, None], schema_of([wanted]).types[0])], schema=schema_of([wanted]))
    assert positions(rows, [key_value(wanted, text)]).tolist() == [1]
    assert positions(rows, [key_value(wanted, None)]).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("pg_type", "texts"),
    [
        ("date", ["2025-09-14", "-0043-03-15", "12025-01-01", "infinity", "-infinity"]),
        ("timestamp without time zone", ["2025-09-14 10:30:00", "2025-09-14T10:30:00.123456"]),
        ("timestamp with time zone", ["2025-09-14 10:30:00+00", "2025-09-14 16:00:00+05:30"]),
    ],
)
def test_days_and_moments_are_found_as_they_are_told(pg_type: str, texts: list[str]):
    """Infinite and ancient days too; the same moment in two zones is one."""
    wanted = column(pg_type)
    number = pa.int32() if pg_type == "date" else pa.int64()
    numbers = [key_value(wanted, text).value.cast(number).as_py() for text in texts]
    [kind] = schema_of([wanted]).types
    rows = pa.table([pa.array(numbers, number).cast(kind)], schema=schema_of([wanted]))
    found = [positions(rows, [key_value(wanted, text)]).tolist() for text in texts]
    same = pg_type == "timestamp with time zone"
    assert found == ([[0, 1], [0, 1]] if same else [[place] for place in range(len(texts))])


@pytest.mark.parametrize(
    ("pg_type", "text"),
    [
        ("integer", "1.0"),
        ("integer", " 1"),
        ("integer", "1_000"),
        ("integer", "١"),
        ("smallint", "40000"),
        ("boolean", "1"),
        ("numeric(10,2)", "1.555"),
        ("numeric(10,2)", "NaN"),
        ("numeric(4,2)", "100"),
        ("double precision", "nan(1)"),
        ("date", "undated"),
        ("date", "2025-9-14"),
        ("date", "14.9.2025"),
        ("timestamp without time zone", "2025-09-14T10:30:00Z"),
        ("timestamp with time zone", "2025-09-14T10:30:00"),
        ("timestamp with time zone", "2025-09-14T10:30:00.1234567Z"),
        ("uuid", "1111"),
        ("bytea", "00ff"),
    ],
)
def test_nothing_is_rounded_or_guessed(pg_type: str, text: str):
    """A text that is not exactly one value of the type is refused, and the message says how to ask for NULL."""
    with pytest.raises(UsageError, match="--key-null c"):
        key_value(column(pg_type), text)


def test_rows_are_told_as_a_query_tells_them():
    """Every type by its text, NULLs left out, columns whose names differ in capitals alone apart."""
    columns = [column("date", "day"), column("uuid", "Id"), column("text", "id"), column("numeric(10,2)", "amount")]
    arrays = [
        pa.array([2**31 - 1], pa.int32()).cast(pa.date32()),
        pa.array([UUID(int=1).bytes], pa.binary(16)),
        pa.array(["x"]),
        pa.array([None], pa.decimal128(10, 2)),
    ]
    with open_sandbox() as connection:
        [row] = row_texts(connection, pa.table(arrays, schema=schema_of(columns)), columns)
    assert row == (("Id", str(UUID(int=1))), ("day", "infinity"), ("id", "x"))
