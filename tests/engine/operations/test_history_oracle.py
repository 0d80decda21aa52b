"""Over random histories blame and bisect say what comparing every row of every backup says."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moi_backup.lake.row_texts import Row
from moi_backup.model.table import TableName
from moi_backup.operations.bisect import BisectRequest, bisect
from moi_backup.operations.blame import Blame, BlameRequest, blame
from moi_backup.operations.query import query
from tests.engine.deployment import Deployment

TABLE = TableName("public", "t")
NAMES = ("day", "id", "v")
_NUMBERS = itertools.count(1)

ids, values = st.integers(1, 3), st.sampled_from(["NULL", "0", "1.50", "-2.25"])
days = st.sampled_from(["NULL", "'2025-01-01'", "'2025-01-02'", "'2025-02-01'", "'infinity'"])
change = st.one_of(
    st.builds("INSERT INTO t VALUES ({}, {}, {}) ON CONFLICT DO NOTHING".format, ids, days, values),
    st.builds("UPDATE t SET v = {} WHERE id = {}".format, values, ids),
    st.builds("UPDATE t SET day = {} WHERE id = {}".format, days, ids),
    st.builds("DELETE FROM t WHERE id = {}".format, ids),
)
histories = st.lists(st.lists(change, max_size=4), min_size=2, max_size=5)
KEYS = ({"id": "2"}, {"v": "1.5"}, {"day": "2025-01-01"}, {"day": None}, {"id": "1", "v": None})


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories, st.sampled_from(["PRIMARY KEY", ""]))
def test_every_history_is_told_as_comparing_all_rows_tells_it(
    empty_database: Callable[[], str], tmp_path: Path, history: list[list[str]], key: str
) -> None:
    """With and without a primary key: the same backups, rows that add up, and the same first backup."""
    made = Deployment(empty_database(), tmp_path / str(next(_NUMBERS)))
    made.folder.mkdir()
    made.configure('[tables.t]\nday = "day"\n')
    made.initialise()
    made.sql(f"CREATE TABLE t (id int {key}, day date, v numeric(6, 2))")
    states: list[tuple[str, Counter[Row]]] = []
    for changes in history:
        for sql in changes:
            made.sql(sql)
        states.append((made.back_up().manifest.id, live_rows(made)))
    for asked in KEYS:
        check_blame(made, states, asked)
    for sign in ("v < 0", "id = 2 AND v IS NULL", "day = '2025-01-02' OR v > 1"):
        check_bisect(made, sign)


def live_rows(made: Deployment) -> Counter[Row]:
    rows = made.sql("SELECT day::text, id::text, v::text FROM t")
    return Counter(tuple((n, v) for n, v in zip(NAMES, row, strict=True) if v is not None) for row in rows)


def check_blame(made: Deployment, states: list[tuple[str, Counter[Row]]], key: dict[str, str | None]) -> None:
    pairs = [f"{name}={value}" for name, value in key.items() if value is not None]
    nulls = [name for name, value in key.items() if value is None]
    found = blame(made.workspace, BlameRequest(table=TABLE, keys=pairs, null_keys=nulls))
    wanted: list[str] = []
    before: Counter[Row] = Counter()
    for place, (backup, rows) in enumerate(states):
        now = Counter({row: count for row, count in rows.items() if fits(dict(row), key)})
        if now != before:
            wanted.append(backup)
        assert replayed(found, {known for known, _ in states[: place + 1]}) == now
        before = now
    assert [entry.backup for entry in found.changed] == wanted


def fits(row: dict[str, str], key: dict[str, str | None]) -> bool:
    return all(
        row.get(name) == (f"{float(value):.2f}" if name == "v" and value else value) for name, value in key.items()
    )


def replayed(found: Blame, backups: set[str]) -> Counter[Row]:
    """The rows that the changes told of these backups lead to."""
    rows: Counter[Row] = Counter()
    for entry in found.changed:
        if entry.backup not in backups:
            continue
        for change in entry.changes:
            after = tuple(sorted(change.row.items()))
            if change.what == "changed":
                old = {**change.row, **{c.column: c.before for c in change.columns}}
                rows[tuple(sorted((n, v) for n, v in old.items() if v is not None))] -= change.rows
            rows[after] += -change.rows if change.what == "disappeared" else change.rows
    assert min(rows.values(), default=0) >= 0
    return +rows


def check_bisect(made: Deployment, condition: str) -> None:
    """The rows of every backup are counted by a query."""
    counts: list[tuple[str, int]] = []
    for manifest in made.backups():
        with query(made.workspace, manifest.id, f"SELECT count(*) FROM t WHERE {condition}") as result:
            counts.append((manifest.id, int(str(next(result.rows)[0]))))
    for absent in (False, True):
        found = bisect(made.workspace, BisectRequest(table=TABLE, condition=condition, absent=absent))
        before = [("", 0), *counts]
        hits = [b for (_, had), (b, has) in itertools.pairwise(before) if ((had and not has) if absent else has)]
        assert (found.first and found.first.backup) == (hits[0] if hits else None)
        if found.first:
            assert found.first.rows == dict(counts)[found.first.backup]
