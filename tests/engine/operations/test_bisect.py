"""The first backup in which a condition holds, or no longer holds, found among backups in which it comes and goes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moi_backup.errors import UsageError
from moi_backup.model.table import TableName
from moi_backup.operations import walk_history
from moi_backup.operations.bisect import Bisection, BisectRequest, bisect
from moi_backup.operations.expire_backups import expire_backups
from tests.engine.deployment import Deployment

SALES = TableName("public", "sales")
TABLE = """
CREATE TABLE sales (id int PRIMARY KEY, day date, name text, "Amount (INR)" numeric(10, 2), at timestamptz);
INSERT INTO sales SELECT i, date '2025-01-01' + i % 90, 'name ' || i, i, '2025-01-01 00:00+05:30'
    FROM generate_series(1, 300) i;
"""


@pytest.fixture
def sales(deployment: Deployment) -> Deployment:
    """A table with one full backup."""
    deployment.sql(TABLE)
    deployment.back_up(full=True)
    return deployment


def asked(deployment: Deployment, condition: str, **options: Any) -> Bisection:
    return bisect(deployment.workspace, BisectRequest(table=SALES, condition=condition, **options))


def ends(found: Bisection) -> tuple[tuple[str, int] | None, tuple[str, int] | None]:
    """The last backup before and the first in which it holds, with their rows."""
    before, first = found.before, found.first
    return (before and (before.backup, before.rows), first and (first.backup, first.rows))


def changed_to(deployment: Deployment, sql: str) -> str:
    """Change something and back it up; the id of the backup."""
    deployment.sql(sql)
    return deployment.back_up().manifest.id


def test_the_first_backup_is_found_though_the_condition_comes_and_goes(sales: Deployment):
    """Halving would look at the end, see no such row, and never find it."""
    first = sales.backups()[0].id
    changed_to(sales, "UPDATE sales SET name = 'other' WHERE id = 9")
    bad = changed_to(sales, 'UPDATE sales SET "Amount (INR)" = -5 WHERE id IN (7, 8)')
    good = changed_to(sales, 'UPDATE sales SET "Amount (INR)" = 5 WHERE "Amount (INR)" < 0')
    changed_to(sales, "DELETE FROM sales WHERE id = 9")
    found = asked(sales, '"Amount (INR)" < 0')
    before = sales.backups()[1].id
    assert ends(found) == ((before, 0), (bad, 2))
    assert [sample.row["id"] for sample in found.samples] == ["7", "8"]
    assert (found.looked_at, found.newest.backup) == (3, bad)
    gone = asked(sales, '"Amount (INR)" < 0', absent=True)
    assert ends(gone) == ((bad, 2), (good, 0))
    assert [sample.row["Amount (INR)"] for sample in gone.samples] == ["-5.00", "-5.00"]
    assert ends(asked(sales, "id = 9", absent=True))[0] == ((good, 1))
    assert first != before


def test_a_window_asks_for_what_begins_in_it(sales: Deployment, monkeypatch: pytest.MonkeyPatch):
    """What held in the backup before the window has to end before it can begin again."""
    second = changed_to(sales, "UPDATE sales SET name = 'x' WHERE id = 1")
    third = changed_to(sales, "UPDATE sales SET name = 'y' WHERE id = 1")
    fourth = changed_to(sales, "UPDATE sales SET name = 'x' WHERE id = 1")
    later = {third: datetime(2999, 1, 2, tzinfo=UTC), fourth: datetime(2999, 1, 3, tzinfo=UTC)}
    known = walk_history.moment_of
    monkeypatch.setattr(walk_history, "moment_of", lambda backup: later.get(backup) or known(backup))
    assert ends(asked(sales, "name = 'x'"))[1] == (second, 1)
    assert ends(asked(sales, "name = 'x'", since="2999-01-01")) == ((third, 0), (fourth, 1))
    assert ends(asked(sales, "name = 'x'", since="2999-01-01", absent=True)) == ((second, 1), (third, 0))
    ended = asked(sales, "name = 'x'", since="2999-01-01", until="2999-01-02")
    assert (ended.first, ended.oldest.rows, ended.newest.rows) == (None, 1, 0)


def test_a_condition_that_held_from_the_beginning_says_so(sales: Deployment):
    """The oldest backup has none before it; what is there for ever never goes."""
    first = sales.backups()[0].id
    changed_to(sales, "DELETE FROM sales WHERE id > 250")
    found = asked(sales, "true")
    assert ends(found) == (None, (first, 300))
    assert len(found.samples) == 5
    always = asked(sales, "id = 1", absent=True)
    assert (always.first, always.newest.rows) == (None, 1)
    never = asked(sales, "id = 0")
    assert (never.first, never.samples, never.looked_at) == (None, (), 2)


def test_only_changed_chunks_are_judged(sales: Deployment):
    """Three months once, then the one that changed."""
    for number in range(3):
        changed_to(sales, f"UPDATE sales SET name = 'x{number}' WHERE id = 1")
    assert asked(sales, "name = 'x9'").chunks_read == 3 + 3


def test_types_are_those_of_the_table(sales: Deployment):
    """Days compare as days, moments in UTC, decimals by value."""
    condition = "day BETWEEN '2025-01-31' AND '2025-02-01' AND \"Amount (INR)\" > 120"
    [(rows,)] = sales.sql(f"SELECT count(*) FROM sales WHERE {condition}")
    assert asked(sales, condition).newest.rows == rows == 4
    assert (
        asked(sales, "\"at\" = '2024-12-31 18:30:00+00' AND \"at\"::text LIKE '2024-12-31 18:30%'").newest.rows == 300
    )


def test_an_expired_backup_widens_the_time_in_which_it_happened(sales: Deployment):
    """It is named, and the next one is the first."""
    first = sales.backups()[0].id
    second = changed_to(sales, "UPDATE sales SET name = 'x' WHERE id = 1")
    third = changed_to(sales, "UPDATE sales SET name = 'y' WHERE id = 2")
    expire_backups(sales.workspace, [second])
    found = asked(sales, "name = 'x'")
    assert ends(found) == ((first, 0), (third, 1))
    assert [(entry.backup, entry.why) for entry in found.passed_over] == [(second, "expired")]


@pytest.mark.parametrize(
    "condition", ["id", "id IN (SELECT 1)", "id = 1; DROP TABLE x", "no_such = 1", "name::int > 0", "count(*) > 1"]
)
def test_what_is_no_condition_over_the_rows_is_refused(sales: Deployment, condition: str):
    """Also one that fails on a value: a row that cannot be judged is never taken for one that does not fit."""
    with pytest.raises(UsageError, match="The condition"):
        asked(sales, condition)
