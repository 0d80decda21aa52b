"""One embedded server for the tests of the platform, and a database with uploaded exports for each test."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from demo.application import create_tables, load_export
from demo.exports import write_exports
from moi_backup.postgres.embedded import EmbeddedServer, create_database, start, stop
from tests.orchestration.platform import Platform, make_platform

TEMPLATE = "application"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A running server in a folder that every user can reach, with a template of the loaded application."""
    state = Path(tempfile.mkdtemp(prefix="moi-dagster-"))
    state.chmod(0o755)
    try:
        running = start(state, settings={"fsync": "off"})
        create_database(running, TEMPLATE)
        _load(running.url(TEMPLATE), state / "exports")
        yield running
    finally:
        stop(state)
        shutil.rmtree(state)


def _load(url: str, folder: Path) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        create_tables(connection)
        for export in write_exports(folder, last_day=date(2025, 10, 20), rows=1200, months=1):
            load_export(connection, export.path)


@pytest.fixture
def database(server: EmbeddedServer) -> str:
    """The URL of a database of the test's own with a month of uploads (2025-09-21 to 2025-10-20)."""
    name = f"platform_{next(_NUMBERS)}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}".encode())
    return server.url(name)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A real instance in a temporary folder."""
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def platform(database: str, tmp_path: Path, instance: dg.DagsterInstance) -> Platform:
    """A platform with loaded tables, an empty repository, and an instance of its own."""
    return make_platform(database, tmp_path, instance)
