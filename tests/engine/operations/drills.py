"""What the tests of drills share: a shop with every kind of thing a drill looks at, and a way to drill it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moi_backup.model.drill import DrillReport, DrillRequest
from moi_backup.operations.drill import drill
from tests.engine.conftest import Server
from tests.engine.deployment import Deployment

SHOP = """
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


def drilling(deployment: Deployment, server: Server, **environ: str) -> Deployment:
    """The deployment with its drills on the server."""
    keys: Mapping[str, str] = {**deployment.keys, "MOI_DRILL_URL": server.url(), **environ}
    return replace(deployment, keys=keys)


def drilled(deployment: Deployment, **request: Any) -> DrillReport:
    """Run a drill."""
    return drill(deployment.workspace, DrillRequest(**request))


def said(report: DrillReport, *verdicts: str) -> list[str]:
    """The checks with these verdicts, each with its table and its words."""
    return [
        f"{check.table or ''} {check.statement}: {check.text}" for check in report.checks if check.verdict in verdicts
    ]


def drill_databases(deployment: Deployment) -> list[str]:
    """The databases of drills on the server of the deployment."""
    rows = deployment.sql("SELECT datname FROM pg_database WHERE datname LIKE 'moi\\_drill\\_%' ORDER BY 1")
    return [name for (name,) in rows]
