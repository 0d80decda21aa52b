"""A plan token applies exactly what its preview showed, or nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from moi_backup.model.day import parse_day_range
from moi_backup.model.restore import RestorePlan, RestoreRequest
from moi_backup.operations.progress import Silent
from moi_backup.operations.restore import plan_restore, restore
from tests.engine.deployment import Deployment
from tests.engine.oracle import database_of

SCRIPT = """
CREATE TABLE spend (id serial PRIMARY KEY, day date, campaign text, amount numeric(10, 2), UNIQUE (day, campaign));
INSERT INTO spend (day, campaign, amount) SELECT date '2025-01-01' + i % 5, 'c' || i, i FROM generate_series(1, 50) i;
CREATE TABLE visits (day date, page text, hits int, UNIQUE (day, page));
INSERT INTO visits SELECT date '2025-01-01' + i % 5, 'p' || i, i FROM generate_series(1, 50) i;
"""
REQUEST = RestoreRequest(backup="latest", in_place=True, on_conflict="take-backup", reason="a test")


@pytest.fixture
def damaged(deployment: Deployment) -> Deployment:
    """Two tables with a full backup, and damage in both."""
    deployment.sql(SCRIPT)
    deployment.configure('[tables.spend]\nkey = ["day", "campaign"]\n[tables.visits]\n')
    deployment.back_up(full=True)
    deployment.sql("UPDATE spend SET amount = 0 WHERE id < 10; DELETE FROM visits WHERE hits > 45")
    return deployment


def preview(deployment: Deployment, **options: Any) -> RestorePlan:
    """A dry run."""
    return plan_restore(deployment.workspace, deployment.url, msgspec.structs.replace(REQUEST, **options))


def apply(deployment: Deployment, token: str, **options: Any) -> Any:
    """The restore by a token."""
    request = msgspec.structs.replace(REQUEST, plan=token, **options)
    return restore(deployment.workspace, deployment.url, request)


def test_the_token_of_a_preview_applies_what_it_showed(damaged):
    """The preview writes nothing; applying it gives the same numbers, and the live rows are the backup's again."""
    before = database_of(damaged.url)
    plan = preview(damaged)
    assert database_of(damaged.url) == before
    result = apply(damaged, plan.token)
    assert result.complete, result
    assert [table.changes for table in result.tables] == [table.changes for table in plan.tables]
    assert all(table.equal for table in result.tables)
    assert [(table.changes.updated, table.changes.inserted) for table in result.tables] == [(9, 0), (0, 5)]


def test_the_same_plan_has_the_same_token(damaged):
    """Whatever the reason and the waiting time."""
    assert preview(damaged).token == preview(damaged, reason="another", wait=5.0).token


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE spend SET amount = 7 WHERE id = 40",
        "UPDATE spend SET amount = 7 WHERE id = 3",
        "INSERT INTO visits VALUES ('2030-01-01', 'new', 1)",
        "ALTER TABLE spend ADD CHECK (amount < 1000)",
        "CREATE INDEX ON visits (hits)",
    ],
)
def test_a_live_table_that_changed_since_the_preview_is_refused_with_all_others(damaged, change):
    """One row or one definition in one table is enough, and nothing is written to any."""
    token = preview(damaged).token
    damaged.sql(change)
    before = database_of(damaged.url)
    result = apply(damaged, token)
    assert result.exit_code == 1
    assert {table.status for table in result.tables} == {"refused"}
    assert "live rows or the table are not as they were" in result.tables[0].error
    assert database_of(damaged.url) == before


@pytest.mark.parametrize(
    "options",
    [{"on_conflict": "replace"}, {"days": parse_day_range("2025-01-01..2025-01-03")}, {"where": "day > '2024-01-01'"}],
)
def test_a_token_of_other_options_is_refused(damaged, options):
    """The refusal says that the options are others, also where the same rows would be written."""
    token = preview(damaged).token
    before = database_of(damaged.url)
    [first, _] = apply(damaged, token, **options).tables
    assert "other options" in first.error
    assert database_of(damaged.url) == before


def test_a_change_between_the_check_of_all_tables_and_the_lock_of_one_is_found_under_the_lock(damaged):
    """That table is refused and keeps the change; the other one, which is as it was, is restored."""

    class Meddling(Silent):
        def finish(self, task: str, note: str = "") -> None:
            if (task, note) == ("public.visits", "compared"):
                damaged.sql("UPDATE spend SET amount = 12345 WHERE id = 50")

    token = preview(damaged).token
    request = msgspec.structs.replace(REQUEST, plan=token)
    result = restore(damaged.workspace, damaged.url, request, progress=Meddling())
    assert {table.table.name: table.status for table in result.tables} == {"spend": "refused", "visits": "restored"}
    assert "since the preview" in result.tables[0].error
    assert damaged.sql("SELECT amount FROM spend WHERE id IN (3, 50) ORDER BY id") == [(0,), (12345,)]
