"""A database of the application with two months of uploads, an empty one, and a reader of the documents."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest

from demo.application import create_tables, load_export
from demo.exports import write_exports
from moi_backup.postgres.embedded import create_database, start, stop
from tests.end_to_end.reader import Reader


@pytest.fixture
def reader() -> Iterator[Reader]:
    """Somebody with a server of their own."""
    folder = Path(tempfile.mkdtemp(prefix="moi-readme-"))
    folder.chmod(0o755)
    try:
        server = start(folder / "server", settings={"fsync": "off"})
        for name in ("shop", "fresh"):
            create_database(server, name)
        with psycopg.connect(server.url("shop"), autocommit=True) as connection:
            create_tables(connection)
            for export in write_exports(folder / "exports", last_day=date(2026, 11, 20), rows=3000, months=2):
                load_export(connection, export.path)
        yield Reader(folder, source=server.url("shop"), new_server=server.url("fresh"))
    finally:
        stop(folder / "server")
        shutil.rmtree(folder)
