"""A value is carried into another type exactly when that type has it: compared with Python's own arithmetic."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moi_backup.lake.arrow_types import schema_of
from moi_backup.model.column_plan import LiveColumn, plan_columns
from moi_backup.model.table import Column
from moi_backup.operations.recast import Recast, recasting
from tests.engine.model.test_column_plan import MANIFEST, column

INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
NUMERICS = {"numeric(6,2)": (6, 2), "numeric(12,3)": (12, 3), "numeric(4,0)": (4, 0)}
TEXTS = {"text": None, "character varying(4)": 4}
STORED = (*INTEGERS, *NUMERICS, *TEXTS)
LIVE = (*STORED, "double precision", "numeric")
NUMBERS = st.one_of(
    st.integers(-(10**4), 10**4).map(Decimal),
    st.integers(-(2**63), 2**63 - 1).map(Decimal),
    st.decimals(-(10**5), 10**5, places=2),
    st.decimals(-(10**4), 10**4, places=3),
)


def fits(number: Decimal, kind: str) -> bool:
    """Whether the type has exactly this number."""
    if kind in INTEGERS:
        return number == number.to_integral_value() and -INTEGERS[kind] <= number < INTEGERS[kind]
    if kind in NUMERICS:
        precision, scale = NUMERICS[kind]
        return number == round(number, scale) and abs(number) < 10 ** (precision - scale)
    return kind != "double precision" or len(number.normalize().as_tuple().digits) <= 15


def written(number: Decimal, kind: str) -> str:
    """The number as Postgres writes one of the type."""
    if kind in INTEGERS:
        return str(int(number))
    return format(round(number, NUMERICS[kind][1]) + 0, "f") if kind in NUMERICS else format(number, "f")


def survives(number: Decimal, stored: str, live: str) -> bool:
    """Whether the value, written as the stored type writes it, is the same after a way through the live type."""
    text = written(number, stored)
    if live in TEXTS:
        return TEXTS[live] is None or len(text) <= TEXTS[live]
    if not fits(number, live):
        return False
    if stored not in TEXTS:
        return True
    if live == "double precision":
        return repr(float(text)).removesuffix(".0") == text
    return written(Decimal(text), live) == text


def brought(url: str, numbers: list[Decimal], stored: str, live: str) -> tuple[Recast, list[object]]:
    """The values after they were carried, and what was lost."""
    columns: tuple[Column, ...] = (column("id", "bigint"), column("v", stored))
    manifest = msgspec.structs.replace(MANIFEST, columns=columns, day=None)
    plan = plan_columns(manifest, [LiveColumn(columns[0]), LiveColumn(column("v", live))], renames={})
    kind = schema_of(columns).field("v").type
    texts = [written(number, stored) for number in numbers]
    values = texts if stored in TEXTS else [int(t) if stored in INTEGERS else Decimal(t) for t in texts]
    rows = pa.table({"id": pa.array(range(len(values)), pa.int64()), "v": pa.array(values, kind)})
    with recasting(url, plan, key=("id",)) as recast:
        return recast, recast(rows).column("v").to_pylist()


@pytest.fixture
def url(empty_database) -> str:
    """An empty database."""
    return empty_database()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NUMBERS, min_size=1, max_size=8), st.sampled_from(STORED), st.sampled_from(LIVE))
def test_a_number_survives_exactly_where_the_other_type_has_it(url, numbers, stored, live):
    """Ranges, scales, lengths and spellings: what is lost is counted, what is not is the same number."""
    numbers = [number for number in numbers if fits(number, stored)]
    numbers = [number for number in numbers if TEXTS.get(stored) is None or len(written(number, stored)) <= 4]
    recast, found = brought(url, numbers, stored, live)
    expected = [stored == live or survives(number, stored, live) for number in numbers]
    assert recast.lost.get("v", (0, ""))[0] == expected.count(False)
    for number, value, kept in zip(numbers, found, expected, strict=True):
        assert (value is not None) == kept
        assert value is None or Decimal(str(value)) == number


@pytest.mark.parametrize(
    ("stored", "live", "value", "kept"),
    [
        ("text", "boolean", "true", True),
        ("text", "boolean", "yes", False),
        ("text", "timestamp with time zone", "2025-01-01 00:00:00+00", True),
        ("text", "timestamp with time zone", "2025-01-01 00:00:00", False),
        ("text", "timestamp with time zone", "infinity", True),
        ("text", "numeric(10,2)", "NaN", True),
        ("text", "jsonb", '{"a": 1}', True),
        ("text", "jsonb", '{"a":1}', False),
        ("text", "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", True),
        ("text", "public.mood", "glad", True),
        ("text", "public.mood", "cross", False),
        ("text", "public.filled", "x", True),
        ("text", "public.filled", None, False),
        ("public.gone", "text", "any", True),
        ("public.mood", "public.other", "glad", True),
        ("public.mood", "public.other", "sad", False),
        ("character(6)", "character varying(2)", "ab    ", True),
        ("double precision", "real", 0.5, True),
        ("double precision", "real", 0.1, False),
        ("double precision", "numeric", -0.0, False),
        ("integer", "public.mood", 1, False),
        ("integer", "date", 20250101, False),
    ],
)
def test_values_of_other_kinds_survive_where_their_text_does(url, stored, live, value, kept):
    """Domains, enums, times, JSON and types that are gone: what is written is what was there."""
    with_types(url)
    columns = (column("id", "bigint"), column("v", stored))
    plan = plan_columns(
        msgspec.structs.replace(MANIFEST, columns=columns, day=None),
        [LiveColumn(columns[0]), LiveColumn(column("v", live))],
        renames={},
    )
    rows = pa.table({"id": pa.array([7]), "v": pa.array([value], schema_of(columns).field("v").type)})
    with recasting(url, plan, key=("id",)) as recast:
        recast(rows)
        recast(rows)
    assert recast.lost == ({} if kept else {"v": (2, "id 7")})


def with_types(url: str) -> None:
    """Types of people's own."""
    with psycopg.connect(url) as conn:
        conn.execute(
            "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TYPE other AS ENUM ('glad', 'cross');"
            "CREATE DOMAIN filled AS text NOT NULL"
        )
