"""Every conflict policy, restored into a real table, against the naive reference of rows in lists."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moi_backup.model.conflict_policy import POLICIES, ConflictPolicy
from moi_backup.model.day import DayRange
from moi_backup.model.restore import RestoreRequest
from moi_backup.model.table import TableName
from moi_backup.operations.restore import plan_restore, restore
from tests.engine.deployment import Deployment
from tests.engine.lake.policy_oracle import NAMES, Row, bits, expected

TABLE = TableName("public", "Odd Table")
CREATE = (
    'CREATE TABLE "Odd Table" ("Day" date, k text, "odd ""name""" numeric(10, 2), day double precision, at timestamp)'
)
ROW = st.tuples(
    st.sampled_from([1, 2, 3, None]),
    st.sampled_from(["a", "b", "", None]),
    st.sampled_from([None, "1.00", "2.50"]),
    st.sampled_from([0.0, -0.0, 1.5, float("nan"), None]),
    st.sampled_from([None, 1, 2]),
)
ROWS = st.lists(ROW, max_size=6)
KEYS = st.sampled_from([("Day", "k"), ("k",), ("k", "day"), ()])
RANGE = st.sampled_from([None, (1, 1), (2, 3)])
SETTINGS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
_COLUMNS = ", ".join('"' + name.replace('"', '""') + '"' for name in NAMES)


def fill(deployment: Deployment, rows: list[Row]) -> None:
    """Make the table hold these rows."""
    with psycopg.connect(deployment.url) as conn:
        conn.execute('TRUNCATE "Odd Table"')
        for day, k, amount, number, at in rows:
            conn.execute(
                f"INSERT INTO \"Odd Table\" ({_COLUMNS}) VALUES (date '2025-01-01' + %s::int, %s, %s, %s,"
                " timestamp '2025-01-01' + make_interval(secs => %s))".encode(),
                (day, k, amount, number, at),
            )


def rows_of(deployment: Deployment) -> Counter[Row]:
    """The rows of the table as the reference has them."""
    query = (
        """SELECT "Day" - '2025-01-01', k, "odd ""name\"""::text, day, extract(epoch FROM at - '2025-01-01')::int"""
        ' FROM "Odd Table"'
    )
    return Counter(bits(row) for row in deployment.sql(query))


def reference(policy: ConflictPolicy, states: dict[str, list[Row]], key: tuple[str, ...], days: Any) -> Any:
    """The rows after a restore of these days, and the keys in conflict."""
    inside = {
        side: [row for row in rows if days is None or (row[0] is not None and days[0] <= row[0] <= days[1])]
        for side, rows in states.items()
    }
    result, conflicts = expected(policy, inside["live"], inside["backup"], inside["base"], key or None)
    outside = Counter(map(bits, states["live"])) - Counter(map(bits, inside["live"]))
    return result + outside, conflicts


def try_policy(deployment: Deployment, policy: ConflictPolicy, states: Any, key: Any, days: Any) -> None:
    """Back up, damage, preview, restore by the preview's token, and compare with the reference."""
    quoted = ", ".join(f'"{name}"' for name in key)
    deployment.configure(f'[tables."public.Odd Table"]\nday = "Day"\nkey = [{quoted}]\nnewer_by = "at"\n')
    ids: dict[str, str] = {}
    for side in ("backup", "base"):
        fill(deployment, states[side])
        ids[side] = deployment.back_up(full=True).manifest.id
    fill(deployment, states["live"])
    request = RestoreRequest(
        backup=ids["backup"],
        in_place=True,
        on_conflict=policy,
        base=ids["base"] if policy == "merge" else None,
        days=None if days is None else DayRange(f"2025-01-0{days[0] + 1}", f"2025-01-0{days[1] + 1}"),
        reason="a test",
    )
    result, conflicts = reference(policy, states, key, days)
    plan = plan_restore(deployment.workspace, deployment.url, request)
    [planned] = plan.tables
    assert rows_of(deployment) == Counter(map(bits, states["live"]))
    assert planned.changes is not None
    assert planned.changes.conflicts == len(conflicts)
    [outcome] = restore(deployment.workspace, deployment.url, with_plan(request, plan.token)).tables
    if policy == "fail" and conflicts:
        assert (planned.action, outcome.status) == ("refuse", "refused")
        result = Counter(map(bits, states["live"]))
    elif days is not None and "Day" not in key and "rows on other days hold" in planned.refusal:
        assert outcome.status == "refused"
        result = Counter(map(bits, states["live"]))
    else:
        assert outcome.status == "restored", outcome.error
        assert outcome.changes == planned.changes
    assert rows_of(deployment) == result
    if outcome.status == "restored":
        changes = planned.changes
        assert sum(result.values()) == len(states["live"]) + changes.inserted - changes.deleted
        again = plan_restore(deployment.workspace, deployment.url, with_plan(request, None)).tables[0].changes
        assert again is not None
        assert again.written == 0 or policy in ("take-newer", "merge")


def with_plan(request: RestoreRequest, token: str | None) -> RestoreRequest:
    """The same request with the token of a preview."""
    return msgspec.structs.replace(request, plan=token)


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=4, **SETTINGS)
@given(live=ROWS, backup=ROWS, base=ROWS, key=KEYS, days=RANGE)
def test_every_policy_writes_what_its_description_says(deployment, policy, live, backup, base, key, days):
    """Rows with NULL keys, repeated and undated ones too; the preview writes nothing, and its token applies it."""
    deployment.sql(f'DROP TABLE IF EXISTS "Odd Table"; {CREATE}')
    try_policy(deployment, policy, {"live": live, "backup": backup, "base": base}, key, days)


@pytest.mark.soak
@settings(max_examples=400, **SETTINGS)
@given(policy=st.sampled_from(POLICIES), live=ROWS, backup=ROWS, base=ROWS, key=KEYS, days=RANGE)
def test_every_policy_writes_what_its_description_says_many_times(deployment, policy, live, backup, base, key, days):
    """The same over many more states."""
    deployment.sql(f'DROP TABLE IF EXISTS "Odd Table"; {CREATE}')
    try_policy(deployment, policy, {"live": live, "backup": backup, "base": base}, key, days)


def test_take_newer_needs_a_column_that_tells_time(deployment):
    """Without one configured or given nothing is guessed, and a column of text is refused by name."""
    deployment.sql(CREATE)
    deployment.configure('[tables."public.Odd Table"]\nday = "Day"\nkey = ["k"]\n')
    deployment.back_up()
    request: dict[str, Any] = {"in_place": True, "on_conflict": "take-newer", "reason": "a test"}
    with pytest.raises(Exception, match="newer_by"):
        deployment.restore(**request)
    [outcome] = deployment.restore(newer_by="k", **request).tables
    assert "does not tell when" in outcome.error


def test_live_rows_stay_where_no_time_tells_the_newer_one(deployment):
    """Both times are NULL, or the backup's alone, also of keys with several rows."""
    deployment.sql(CREATE)
    backup: list[Row] = [(1, "a", "1.00", None, None), (2, "b", "1.00", None, None), (3, "c", "1.00", None, 1)]
    live: list[Row] = [(1, "a", "2.50", None, None), (2, "b", "2.50", None, 1), (3, "c", "2.50", None, 1)]
    for more in ([], [(1, "d", None, None, None)]):  # a key with two rows is decided another way
        twice = more + more
        states: dict[str, list[Row]] = {"backup": backup + more, "live": live + twice, "base": []}
        try_policy(deployment, "take-newer", states, ("k",), None)
        assert rows_of(deployment) == Counter(map(bits, live + twice))
