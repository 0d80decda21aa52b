"""One embedded server for the tests of the demo, and an empty application database for each test."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo.application import create_tables
from moi_backup.postgres.embedded import EmbeddedServer, create_database, start, stop

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A running server in a folder that every user can reach; stopped and removed at the end."""
    state = Path(tempfile.mkdtemp(prefix="moi-demo-"))
    state.chmod(0o755)
    try:
        yield start(state, settings={"fsync": "off"})
    finally:
        stop(state)
        shutil.rmtree(state)


@pytest.fixture
def application(server: EmbeddedServer) -> Iterator[psycopg.Connection[Any]]:
    """An autocommit connection to a database of the test's own, with the three empty tables."""
    name = f"test_{next(_NUMBERS)}"
    create_database(server, name)
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        create_tables(connection)
        yield connection
