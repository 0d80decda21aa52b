"""One private Postgres server for each test process, empty databases on it, and deployments that protect them."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from moi_backup.postgres.programs import wheel_folder
from tests.engine.deployment import Deployment

PASSWORD = "s3cret-w0rd"
EVERY_TYPE = Path(__file__).with_name("postgres") / "every_type.sql"
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and the programs it came from."""

    programs: Path
    port: int

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str = PASSWORD) -> str:
        """The address of a database on this server."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The embedded wheel's server with password authentication and a C.UTF-8 locale."""
    yield from run_server(wheel_folder() / "pginstall" / "bin")


@pytest.fixture
def database(postgres_server: Server) -> Callable[[str], str]:
    """Make an empty database of a given name (dropped first if it exists); returns its URL."""

    def make(name: str) -> str:
        create_database(postgres_server, name)
        return postgres_server.url(name)

    return make


@pytest.fixture
def empty_database(postgres_server: Server) -> Iterator[Callable[[], str]]:
    """Make empty databases that end with the test; returns the URL of each."""
    names: list[str] = []

    def make() -> str:
        names.append(f"empty_{next(_NUMBERS)}")
        create_database(postgres_server, names[-1])
        return postgres_server.url(names[-1])

    yield make
    with psycopg.connect(postgres_server.url(), autocommit=True) as conn:
        for name in names:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def deployment(empty_database: Callable[[], str], tmp_path: Path) -> Deployment:
    """An empty database and an empty repository to back it up into; all ordinary tables are protected."""
    made = Deployment(empty_database(), tmp_path)
    made.configure("")
    made.initialise()
    return made


def create_database(server: Server, name: str) -> None:
    """Create a database anew from template0."""
    with psycopg.connect(server.url(), autocommit=True) as conn:
        conn.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        conn.execute(f'CREATE DATABASE "{name}" TEMPLATE template0'.encode())


def run_sql(url: str, text: str) -> None:
    """Run a script of several statements in one transaction."""
    with psycopg.connect(url) as conn:
        conn.execute(text.encode())


def run_server(programs: Path) -> Iterator[Server]:
    """Make a cluster in a temporary folder, start it on a free port, stop it and delete it at the end."""
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="moi-test-pg-"))
    if identity:
        os.chown(folder, identity["user"], identity["group"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)

    def run(*command: object) -> None:
        subprocess.run(
            [str(part) for part in command],
            check=True,
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=60,
            **identity,
        )

    data = folder / "data"
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    options += " -c max_prepared_transactions=2 -c shared_buffers=32MB -c log_min_messages=fatal"
    try:
        run(programs / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
            "-A", "scram-sha-256", f"--pwfile={folder / 'password'}")  # fmt: skip
        run(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield Server(programs, port)
        finally:
            run(programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
