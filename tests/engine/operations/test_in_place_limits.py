"""Where a restore in place ends: what it must not reach, and what must not stop it half way."""

from __future__ import annotations

from typing import Any

import pytest

from moi_backup.model.restore import RestoreResult
from tests.engine.deployment import Deployment

SPEND = """CREATE TABLE spend (id int PRIMARY KEY, day date, note text);
INSERT INTO spend SELECT i, date '2025-01-01' + i % 3, 'n' || i FROM generate_series(1, 12) i"""


@pytest.fixture
def spend(deployment: Deployment) -> Deployment:
    """A table with a full backup."""
    deployment.sql(SPEND)
    deployment.configure("[tables.spend]\n")
    deployment.back_up(full=True)
    return deployment


def in_place(deployment: Deployment, policy: str, **options: Any) -> RestoreResult:
    """Restore by a policy."""
    return deployment.restore(in_place=True, on_conflict=policy, reason="a test", **options)


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_a_reference_that_was_never_validated_keeps_its_row(spend, action):
    """ON DELETE acts on rows of a foreign key NOT VALID as on any others, so it stands against the restore."""
    spend.sql(
        "INSERT INTO spend VALUES (100, '2025-01-01', 'new'); CREATE TABLE lines (id int PRIMARY KEY, spend int);"
        "INSERT INTO lines VALUES (1, 100);"
        f"ALTER TABLE lines ADD CONSTRAINT loose FOREIGN KEY (spend) REFERENCES spend ON DELETE {action} NOT VALID"
    )
    [outcome] = in_place(spend, "replace").tables
    assert (outcome.status, "loose" in outcome.error) == ("refused", True)
    assert spend.sql("SELECT * FROM lines") == [(1, 100)]
