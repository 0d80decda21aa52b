"""A small shop for tests: a platform table, one with odd names and types, and one that is empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.engine.conftest import Server, create_database
from tests.engine.deployment import Deployment

SHOP = """
CREATE TABLE meta_import_data (
    id serial PRIMARY KEY, day date NOT NULL,
    campaign_name varchar(255), ad_set_name varchar(255), ad_name varchar(255),
    amount_spent numeric(10, 2), cpm numeric(8, 2), UNIQUE (day, campaign_name, ad_set_name, ad_name));
INSERT INTO meta_import_data (day, campaign_name, ad_set_name, ad_name, amount_spent)
SELECT date '2025-08-25' + i % 40, 'TOF | 80K, LUXE ' || i % 7 || ' हिन्दी', 'set ' || i % 3, 'ad ' || i, i / 10.0
FROM generate_series(1, 2000) i;
CREATE TABLE "Odd.Names" (
    id uuid PRIMARY KEY, "Amount (INR)" numeric, at timestamptz, day date, tags text[],
    doubled int GENERATED ALWAYS AS (42) STORED);
INSERT INTO "Odd.Names" VALUES
    ('11111111-1111-1111-1111-111111111111', 1.50, '2025-09-14 00:00+00', '2025-09-14', '{a,b}'),
    ('22222222-2222-2222-2222-222222222222', 'NaN', NULL, 'infinity', NULL),
    ('33333333-3333-3333-3333-333333333333', NULL, NULL, NULL, '{}');
CREATE TABLE nothing_yet (id int PRIMARY KEY, day date, flag boolean);
"""


@contextmanager
def backed_up_shop(server: Server, folder: Path) -> Iterator[Deployment]:
    """The shop in a database of its own with one full backup, for all tests of a module that leave it as it is."""
    name = f"shop_{os.getpid()}_{folder.name}"
    create_database(server, name)
    made = Deployment(server.url(name), folder)
    made.configure("")
    made.sql(SHOP)
    made.initialise()
    made.back_up(full=True, reason="the first")
    yield made
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
