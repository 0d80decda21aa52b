"""Comparisons of random states of a table against a naive reference that keeps all rows in lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from moi_backup.model.diff import DiffRequest, RowChange, TableDiff
from moi_backup.operations.diff import diff
from tests.engine.deployment import Deployment

Row = tuple[str | None, ...]
COLUMNS = ("day", "a", "b", "f", "n", "j", "l")
DEFINITION = "day date, a int, b text, f double precision, n numeric, j jsonb, l text[]"
ROW = st.tuples(
    st.sampled_from([None, "2025-01-31", "2025-02-01", "2025-02-02", "infinity"]),
    st.sampled_from([None, "1", "2", "3"]),
    st.sampled_from([None, "", "x", "é"]),
    st.sampled_from([None, "0", "-0", "NaN", "1.5", "Infinity"]),
    st.sampled_from([None, "1", "1.0", "NaN", "0.0000001"]),
    st.sampled_from([None, '{"k": 1}', "null"]),
    st.sampled_from([None, "{}", "{NULL,y}"]),
)
ROWS = st.lists(ROW, max_size=8)
KEYS = st.sampled_from([None, ("a",), ("a", "b"), ("day", "a"), ("f",)])
TEXT = "day::text, a::text, b, f::text, n::text, j::text, l::text"


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example takes a second: shrinking would take minutes
)
@given(before=ROWS, after=ROWS, key=KEYS)
def test_every_change_is_found_and_no_other(
    deployment: Deployment, before: list[Row], after: list[Row], key: tuple[str, ...] | None
) -> None:
    """Counts are those of the multisets of rows, each group of a key is paired as far as it goes, rows are real."""
    names = ", ".join(f'"{name}"' for name in key or ())
    deployment.configure(f"[tables.t]\nkey = [{names}]\n")
    deployment.sql(f"DROP TABLE IF EXISTS t; CREATE TABLE t ({DEFINITION})")
    first, old = _state(deployment, before)
    second, new = _state(deployment, after)
    for one, other in ((first, second), (first, "live")):
        table, rows = _diff(deployment, one, other)
        assert table.status == "compared", table.error
        gone, come = old - new, new - old
        assert table.unchanged == (old & new).total()
        assert table.updated == _pairs(gone, come, key)
        assert table.inserted == come.total() - table.updated
        assert table.deleted == gone.total() - table.updated
        _agree(rows, gone, come)
        assert sum(day.inserted + day.updated + day.deleted for day in table.days) == len(rows)


def _state(deployment: Deployment, rows: list[Row]) -> tuple[str, Counter[Row]]:
    """Make the table hold these rows and back it up: the id, and the rows as Postgres writes them."""
    values = ", ".join(f"({', '.join(_literal(value) for value in row)})" for row in rows)
    deployment.sql(f"TRUNCATE t{f'; INSERT INTO t VALUES {values}' if rows else ''}")
    found = Counter[Row](tuple(row) for row in deployment.sql(f"SELECT {TEXT} FROM t"))
    return deployment.back_up(full=True).manifest.id, found


def _literal(value: str | None) -> str:
    return "NULL" if value is None else f"'{value}'"


def _diff(deployment: Deployment, before: str, after: str) -> tuple[TableDiff, list[RowChange]]:
    rows: list[RowChange] = []

    def told(_table: TableDiff, found: Iterator[RowChange]) -> None:
        rows.extend(found)

    result = diff(deployment.workspace, DiffRequest(before=before, after=after), told=told)
    return result.tables[0], rows


def _pairs(gone: Counter[Row], come: Counter[Row], key: tuple[str, ...] | None) -> int:
    """How many rows find a partner with their key on the other side; NULLs are equal."""
    if key is None:
        return 0
    sides = [Counter[Row](), Counter[Row]()]
    for side, rows in zip(sides, (gone, come), strict=True):
        for row, count in rows.items():
            side[tuple(row[COLUMNS.index(name)] for name in key)] += count
    return (sides[0] & sides[1]).total()


def _agree(rows: list[RowChange], gone: Counter[Row], come: Counter[Row]) -> None:
    """Inserted and deleted rows are whole; an updated one names what changed, and its key is on both sides."""
    for kind, side, found in (("deleted", "before", gone), ("inserted", "after", come)):
        for row in rows:
            if row.kind == kind:
                assert found[_whole(getattr(row, side))] > 0
    for row in rows:
        if row.kind == "updated":
            assert row.before.keys() == row.after.keys() != set()
            assert _holds(gone, {**row.key, **row.before})
            assert _holds(come, {**row.key, **row.after})


def _whole(values: dict[str, Any]) -> Row:
    return tuple(_as_postgres(name, values[name]) for name in COLUMNS)


def _holds(rows: Counter[Row], values: dict[str, Any]) -> bool:
    known = {COLUMNS.index(name): _as_postgres(name, value) for name, value in values.items()}
    return any(all(row[place] == value for place, value in known.items()) for row in rows)


def _as_postgres(name: str, value: Any) -> str | None:
    """A listed value as Postgres writes it."""
    if value is None:
        return None
    if name == "f":
        return {"nan": "NaN", "inf": "Infinity"}[value] if isinstance(value, str) else f"{value:g}"
    return str(value)
