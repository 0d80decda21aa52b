"""An undo puts back what a restore in place replaced, keeps what people did since, and tells where both did."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from moi_backup.model.day import parse_day_range
from moi_backup.model.restore import RestoreResult
from moi_backup.model.table import TableName
from moi_backup.model.undo import UndoOrder
from moi_backup.operations.undo import undo
from moi_backup.repository.key_text import generate_master
from tests.engine.deployment import Deployment
from tests.engine.oracle import rows_of

ADS, NOTES = TableName("public", "ads"), TableName("public", "notes")
CONFIGURATION = """
[tables.ads]
day = "day"
key = ["day", "campaign"]
scopes = { pii = ["campaign"], financial = ["spend"] }
[tables.notes]
"""
SCRIPT = """
CREATE TABLE ads (
    id serial PRIMARY KEY, day date, campaign text, spend numeric(10, 2),
    twice numeric GENERATED ALWAYS AS (spend * 2) STORED);
INSERT INTO ads (day, campaign, spend)
    SELECT CASE WHEN i % 20 > 0 THEN date '2025-01-01' + i % 30 END, 'c' || i, i FROM generate_series(1, 300) i;
CREATE TABLE notes (text text, number float8);
INSERT INTO notes VALUES ('same', 1), ('same', 1), ('same', 1), ('zero', -0.0), ('none', 'NaN'), (NULL, NULL);
"""
LOSS = """
UPDATE ads SET spend = 0.01 WHERE id % 3 = 0; DELETE FROM ads WHERE id % 5 = 0;
INSERT INTO ads (day, campaign, spend) VALUES ('2025-01-07', 'later', 7), (NULL, 'undated', 8);
DELETE FROM notes WHERE ctid = (SELECT min(ctid) FROM notes); INSERT INTO notes VALUES ('none', 'NaN'), ('zero', 0.0);
"""
DAYS = parse_day_range("2025-01-05..2025-01-09")
IN_DAYS = "day BETWEEN '2025-01-05' AND '2025-01-09'"


@pytest.fixture
def shop(empty_database: Callable[[], str], tmp_path: Path, request: pytest.FixtureRequest) -> Deployment:
    """Two tables with a full backup, and a loss after it; encrypted where the parameter says so."""
    keys = {"MOI_KEY_1": generate_master(os.urandom)} if getattr(request, "param", False) else {}
    made = Deployment(empty_database(), tmp_path, keys=keys)
    made.configure(CONFIGURATION)
    made.initialise()
    made.sql(SCRIPT)
    made.back_up(full=True)
    made.sql(LOSS)
    return made


def take_back(shop: Deployment, restored: RestoreResult, **order: object) -> RestoreResult:
    """Undo a restore in the protected database."""
    return undo(shop.workspace, shop.url, UndoOrder(restore=restored.id, reason="a mistake", **order))  # pyright: ignore[reportArgumentType]


def everything(shop: Deployment) -> dict[str, object]:
    """The rows of both tables."""
    return {str(table): rows_of(shop.url, str(table)) for table in (ADS, NOTES)}


@pytest.mark.parametrize("shop", [False, True], indirect=True, ids=["plain", "encrypted"])
@pytest.mark.parametrize("policy", ["replace", "take-backup"])
def test_the_rows_are_exactly_those_before_when_nothing_happened_since(shop, policy):
    """Repeated rows, -0, NaN, NULL and undated rows too; the digest of what is read back is that of what was kept."""
    before = everything(shop)
    restored = shop.restore(in_place=True, on_conflict=policy, reason="a test")
    assert restored.complete, restored
    assert everything(shop) != before
    undone = take_back(shop, restored)
    assert (undone.complete, undone.exit_code) == (True, 0), undone
    assert everything(shop) == before
    assert all(table.equal for table in undone.tables)
    assert [table.digest for table in undone.tables] == [
        next(entry.digest for entry in backup.tables)
        for table in undone.tables
        for backup in shop.backups()
        if backup.id == table.backup
    ]
