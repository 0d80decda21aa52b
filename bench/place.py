"""Where a benchmark runs: a private Postgres with full durability, one table of the application, a repository."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg

from demo.application import create_tables
from demo.bulk import fill_shopify
from moi_backup.model.table import TableName
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres import embedded
from moi_backup.postgres.embedded import EmbeddedServer
from moi_backup.postgres.programs import wheel_folder
from moi_backup.repository.repository import create
from moi_backup.settings import read_settings

TABLE = TableName("public", "shopify_import_data")
LAST_DAY = date(2025, 7, 31)
DAYS = 1300
SERVER = {"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min"}
CONFIGURATION = '[tables."public.shopify_import_data"]\n'


@dataclass(frozen=True, slots=True)
class Place:
    """A folder with the server, and the database `bench` in it."""

    folder: Path
    server: EmbeddedServer

    @property
    def url(self) -> str:
        """The benchmarked database."""
        return self.server.url("bench")

    @property
    def environment(self) -> dict[str, str]:
        """What a process of the CLI or of Dagster needs to work here."""
        return {
            "MOI_SOURCE_URL": self.url,
            "MOI_REPOSITORY": str(self.repository),
            "MOI_STATE": str(self.folder / "state"),
            "MOI_CONFIG": str(self.folder / "moi.toml"),
        }

    @property
    def repository(self) -> Path:
        """The folder of the repository."""
        return self.folder / "repository"

    def workspace(self) -> Workspace:
        """The engine's workspace."""
        return Workspace(read_settings(self.environment, cwd=self.folder, effective_uid=os.geteuid()))

    def empty_repository(self) -> None:
        """Begin with a repository that holds nothing."""
        if self.repository.exists():
            shutil.rmtree(self.repository)
        workspace = self.workspace()
        create(workspace.store(), now=workspace.clock.now(), entropy=os.urandom)

    def program(self, name: str) -> str:
        """A program of the server's own version."""
        return str(wheel_folder() / "pginstall" / "bin" / name)

    def empty_database(self, name: str) -> str:
        """An empty database of this name, whatever was there; its URL."""
        with psycopg.connect(self.server.url(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            admin.execute(f"CREATE DATABASE {name}".encode())
        return self.server.url(name)

    def fill(self, rows: int) -> None:
        """Make the table anew with this many rows."""
        self.empty_database("bench")
        with psycopg.connect(self.url, autocommit=True) as connection:
            create_tables(connection)
            fill_shopify(connection, rows=rows, days=DAYS, last_day=LAST_DAY)
            connection.execute("VACUUM (ANALYZE) shopify_import_data")
            connection.execute("CHECKPOINT")


def place_at(folder: Path) -> Place:
    """The place that another process has made; raises LookupError when its server does not run."""
    server = embedded.running(folder / "server")
    if server is None:
        raise LookupError(f"no server runs in {folder}")
    return Place(folder, server)


@contextmanager
def bench_place() -> Generator[Place, None, None]:
    """A place that is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="moi-bench-"))
    folder.chmod(0o755)
    (folder / "moi.toml").write_text(CONFIGURATION)
    try:
        yield Place(folder, embedded.start(folder / "server", settings=SERVER))
    finally:
        embedded.stop(folder / "server")
        shutil.rmtree(folder)
