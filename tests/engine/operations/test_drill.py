"""A drill restores into a database of its own, proves what it restored, and says by name what is not as it should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from moi_backup.model.drill import DrillCheck, DrillReport, DrillRequest
from moi_backup.operations.drill import drill
from moi_backup.operations.list_drills import show_drill
from tests.engine.conftest import Server
from tests.engine.deployment import Deployment
from tests.engine.oracle import database_of

SCRIPT = """
CREATE TYPE state AS ENUM ('paid', 'open');
CREATE TABLE customers (id int PRIMARY KEY, name text);
INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 20) i;
CREATE TABLE orders (id serial PRIMARY KEY, day date, customer int REFERENCES customers, state state,
    number int GENERATED ALWAYS AS IDENTITY);
INSERT INTO orders (day, customer, state)
    SELECT date '2025-01-01' + i % 30, 1 + i % 20, 'open' FROM generate_series(1, 500) i;
CREATE INDEX ON orders (day);
CREATE TABLE z_base (id int, day date);
INSERT INTO z_base VALUES (1, '2025-01-01');
CREATE TABLE a_heir (more int) INHERITS (z_base);
INSERT INTO a_heir VALUES (2, '2025-01-01', 3);
"""


@pytest.fixture
def shop(deployment: Deployment, postgres_server: Server) -> Deployment:
    """A deployment whose drills run on the test server, with nothing in its database yet."""
    return replace(deployment, keys={"MOI_DRILL_URL": postgres_server.url()})


def drilled(shop: Deployment, **request: object) -> DrillReport:
    """Run a drill."""
    return drill(shop.workspace, DrillRequest(**request))  # pyright: ignore[reportArgumentType]


def not_passed(report: DrillReport) -> list[tuple[str, str | None, str]]:
    """The checks that did not pass: verdict, table, and what they say."""
    return [(check.verdict, check.table, check.text) for check in report.checks if check.verdict != "passed"]


def test_a_drill_passes(shop):
    shop.sql(SCRIPT)
    shop.back_up(full=True)
    report = drilled(shop)
    print(report)
    assert not_passed(report) == []
