"""Undo over random states, restored and edited in a real table, against the naive reference of rows in lists."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moi_backup.model.conflict_policy import ConflictPolicy
from moi_backup.model.day import DayRange
from moi_backup.model.restore import RestoreResult
from moi_backup.model.undo import UndoOrder
from moi_backup.operations.undo import plan_undo, undo
from tests.engine.deployment import Deployment
from tests.engine.lake.policy_oracle import Row, bits
from tests.engine.operations.test_conflict_policies import CREATE, KEYS, RANGE, ROWS, fill, reference, rows_of

POLICIES: tuple[ConflictPolicy, ...] = ("keep-live", "take-backup", "take-newer", "replace")
SETTINGS = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
EDITS = st.tuples(st.sets(st.integers(0, 5), max_size=3), ROWS)
_ROWS = (
    """SELECT "Day" - '2025-01-01', k, "odd ""name\"""::text, day, extract(epoch FROM at - '2025-01-01')::int"""
    ' FROM "Odd Table" ORDER BY ctid'
)


def edited(rows: list[Row], edits: tuple[set[int], list[Row]]) -> list[Row]:
    """The rows without those at these places, and with these."""
    places, more = edits
    return [row for place, row in enumerate(rows) if place not in places] + more


def moved_away(result: RestoreResult, key: tuple[str, ...], days: object) -> bool:
    """Whether it was refused since it would insert a key that rows on other days hold, as only some can be."""
    refused = any("rows on other days hold" in table.error for table in result.tables)
    assert not refused or (days is not None and "Day" not in key)
    return refused


def try_undo(
    deployment: Deployment, policy: ConflictPolicy, live: list[Row], backup: list[Row], edits: Any, key: Any, days: Any
) -> None:
    """Restore, edit, undo by the token of its preview, compare with the reference; then undo the undo."""
    quoted = ", ".join(f'"{name}"' for name in key)
    deployment.configure(f'[tables."public.Odd Table"]\nday = "Day"\nkey = [{quoted}]\nnewer_by = "at"\n')
    fill(deployment, backup)
    deployment.back_up(full=True)
    fill(deployment, live)
    limit = None if days is None else DayRange(f"2025-01-0{days[0] + 1}", f"2025-01-0{days[1] + 1}")
    restored = deployment.restore(in_place=True, on_conflict=policy, days=limit, reason="a test")
    if moved_away(restored, key, days):
        return
    assert restored.complete, restored
    left = deployment.sql(_ROWS)
    now = edited(left, edits)
    fill(deployment, now)
    order = UndoOrder(restore=restored.id, reason="a test")
    plan = plan_undo(deployment.workspace, deployment.url, order)
    assert rows_of(deployment) == Counter(map(bits, now))
    if not restored.tables[0].undo:
        assert plan.tables == undo(deployment.workspace, deployment.url, order).tables == ()
        return
    result, conflicts = reference("merge", {"live": now, "backup": live, "base": left}, key, days)
    done = undo(deployment.workspace, deployment.url, UndoOrder(restore=restored.id, plan=plan.token, reason="a test"))
    [outcome] = done.tables
    if moved_away(done, key, days):
        assert rows_of(deployment) == Counter(map(bits, now))
        return
    assert outcome.status == "restored", outcome.error
    assert outcome.changes == plan.tables[0].changes
    assert outcome.changes is not None
    assert outcome.changes.conflicts == len(conflicts)
    assert done.exit_code == (3 if conflicts else 0)
    assert rows_of(deployment) == result
    if now == left:
        assert outcome.equal
        assert rows_of(deployment) == Counter(map(bits, live))
    after = rows_of(deployment)
    again = undo(deployment.workspace, deployment.url, UndoOrder(restore=done.id, reason="a test"))
    assert rows_of(deployment) == (after if moved_away(again, key, days) else Counter(map(bits, now)))


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=4, **SETTINGS)
@given(live=ROWS, backup=ROWS, edits=EDITS, key=KEYS, days=RANGE)
def test_an_undo_merges_back_what_was_replaced(deployment, policy, live, backup, edits, key, days):
    """Rows with NULL keys, repeated and undated ones too; and the undo of the undo brings everything back again."""
    deployment.sql(f'DROP TABLE IF EXISTS "Odd Table"; {CREATE}')
    try_undo(deployment, policy, live, backup, edits, key, days)


@settings(max_examples=4, **SETTINGS)
@given(live=ROWS, backup=ROWS, key=KEYS, days=RANGE)
def test_an_undo_brings_back_every_row_when_nothing_happened_since(deployment, live, backup, key, days):
    """Row by row, and by the digest of the range."""
    deployment.sql(f'DROP TABLE IF EXISTS "Odd Table"; {CREATE}')
    try_undo(deployment, "replace", live, backup, (set(), []), key, days)


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
@settings(max_examples=300, **SETTINGS)
@given(policy=st.sampled_from(POLICIES), live=ROWS, backup=ROWS, edits=EDITS, key=KEYS, days=RANGE)
def test_an_undo_merges_back_what_was_replaced_many_times(deployment, policy, live, backup, edits, key, days):
    """The same over many more states."""
    deployment.sql(f'DROP TABLE IF EXISTS "Odd Table"; {CREATE}')
    try_undo(deployment, policy, live, backup, edits, key, days)
