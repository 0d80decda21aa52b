"""Comparisons in an encrypted repository, by holders of all keys and of some."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from moi_backup.model.diff import DiffRequest, TableDiff
from moi_backup.operations.diff import diff
from moi_backup.operations.export_keys import export_keys
from moi_backup.repository.key_text import generate_master
from tests.engine.deployment import Deployment

SALES = """
CREATE TABLE sales (id int PRIMARY KEY, day date, customer text, amount numeric(10, 2));
INSERT INTO sales SELECT i, date '2025-01-01' + i % 90, 'customer-' || i, i FROM generate_series(1, 500) i;
"""
SCOPES = '[tables.sales]\nday = "day"\nscopes = { pii = ["customer"], financial = ["amount"] }\n'
EDITS = """
UPDATE sales SET customer = 'somebody else' WHERE id = 31;
UPDATE sales SET amount = amount + 1 WHERE id = 32;
"""


@pytest.fixture
def shop(empty_database: Callable[[], str], tmp_path: Path) -> Deployment:
    """An encrypted repository with a backup before two edits and one after them."""
    made = Deployment(empty_database(), tmp_path, keys={"MOI_KEY_1": generate_master(os.urandom)})
    made.configure(SCOPES)
    made.initialise()
    made.sql(SALES)
    made.back_up(full=True)
    made.sql(EDITS)
    made.back_up(full=True)
    return made


def compared(shop: Deployment, after: str, **request: tuple[str, ...]) -> TableDiff:
    """The difference from the first backup."""
    first = shop.backups()[0].id
    after = shop.backups()[-1].id if after == "last" else after
    [table] = diff(shop.workspace, DiffRequest(before=first, after=after, **request)).tables
    assert table.status == "compared", table.error
    return table


@pytest.mark.parametrize("after", ["last", "live"])
def test_the_holder_of_all_keys_sees_every_change(shop: Deployment, after: str) -> None:
    """Both edits are found, on their days alone."""
    table = compared(shop, after)
    assert (table.updated, table.unchanged, len(table.days)) == (2, 498, 2)
    assert {column.name for column in table.columns} == {"customer", "amount"}


@pytest.mark.parametrize("after", ["last", "live"])
def test_columns_that_are_locked_are_left_out_and_named(shop: Deployment, after: str) -> None:
    """The holder of some scopes compares these; of two backups it also learns on which days the others differ."""
    table = compared(replace(shop, keys={"MOI_KEY_1": export_keys(shop.workspace, ["financial"])}), after)
    assert [column.name for column in table.columns] == ["amount"]
    assert (table.updated, table.unchanged) == (1, 499)
    assert [text.partition(":")[0] for text in table.left_out] == ["customer"]
    assert table.hidden_days == (("2025-02-01",) if after == "last" else ())


def test_a_scope_is_left_out_on_request(shop: Deployment) -> None:
    """--without-scope compares as if the columns were not there, and says so."""
    table = compared(shop, "last", without_scopes=("pii", "financial"))
    assert (table.updated, table.unchanged) == (0, 500)
    assert table.left_out == ("customer: left out", "amount: left out")
    assert table.hidden_days == ("2025-02-01", "2025-02-02")
    assert table.differs
