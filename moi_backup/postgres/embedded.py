"""The embedded Postgres server: the default source, drill target and Dagster store where no other is configured.

`start` makes and starts it once and finds it afterwards, `running` finds it from any process through
`<state>/postgres/server.json`, `stop` ends it. The server outlives the process that started it. It listens on 127.0.0.1
alone and asks every connection for the generated password of the role `moi` (a superuser).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import msgspec
import psycopg
from psycopg import sql

from moi_backup.postgres.embedded_cluster import (
    LOG_BYTES_KEPT,
    ROLE,
    Cluster,
    cluster_of,
    drop_stale_pid,
    initialize,
    locked,
    prepare_folder,
    publish,
    server_programs,
    write_settings,
)
from moi_backup.postgres.server_user import EmbeddedServerError, run_as

HOST = "127.0.0.1"
DEFAULT_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
        "wal_level": "logical",
        "fsync": "on",
        "max_connections": "100",
        "shared_buffers": "256MB",
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        # Parallel queries fail where /dev/shm is small (64 MB in containers); this part needs none of it.
        "min_dynamic_shared_memory": "128MB",
        "max_wal_size": "2GB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
    }
)
_PASSING = ("Address already in use", "pre-existing shared memory block")
_CONNECT_SECONDS = 5
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A server that answered: port on 127.0.0.1, process id, data directory, operating system user, password."""

    port: int
    pid: int
    data: Path
    user: str
    password: str = field(repr=False)

    def url(self, database: str = "postgres") -> str:
        """A connection URL with the password in it: for connecting, never for printing."""
        return f"postgresql://{ROLE}:{self.password}@{HOST}:{self.port}/{quote(database, safe='')}"


class _Record(msgspec.Struct, frozen=True):
    """The document `server.json`. It holds no secret."""

    host: str
    port: int
    pid: int
    data: str
    user: str


def running(state: Path) -> EmbeddedServer | None:
    """The server of a state folder if it is alive and answers with this data directory; else None.

    Raises EmbeddedServerError when it is alive but belongs to another user, whose password cannot be read.
    """
    cluster = cluster_of(state)
    record = _read_record(cluster)
    if record is None or cluster.postmaster() != (record.pid, record.port):
        return None
    return _answering(cluster, pid=record.pid, port=record.port)


def start(state: Path, *, settings: Mapping[str, str] | None = None, limit: float = 60.0) -> EmbeddedServer:
    """The running server of a state folder; made and started when there is none.

    `settings` go over DEFAULT_SETTINGS and hold from this start to the next; a server that runs already keeps its own.
    The port of the last start is kept while it is free. A dead server's leavings are cleared away. Raises
    EmbeddedServerError, with the end of the server's log, when it does not answer within `limit` seconds.
    """
    cluster = cluster_of(state)
    prepare_folder(cluster)
    with locked(cluster, limit=limit):
        programs = server_programs(cluster)
        chosen = {**DEFAULT_SETTINGS, **(settings or {})}
        initialize(cluster, programs, sync=chosen["fsync"] != "off")
        return _start_locked(cluster, programs, settings=chosen, limit=limit)


def stop(state: Path, *, limit: float = 60.0) -> bool:
    """Stop the server (open transactions are rolled back); False when none was running. Raises when it does not end."""
    cluster = cluster_of(state)
    if not cluster.data.exists():
        return False
    with locked(cluster, limit=limit):
        if cluster.postmaster() is None:
            return False
        programs = server_programs(cluster)
        said = ""
        for mode in ("fast", "immediate"):
            said = _pg_ctl(cluster, programs, "stop", "-m", mode, limit=limit)
            if cluster.postmaster() is None:
                return True
    raise EmbeddedServerError(f"The embedded server did not stop within {limit:.0f} s: {said}\n{cluster.log_tail()}")


def create_database(server: EmbeddedServer, name: str) -> bool:
    """Create a database if it is not there; whether it was created."""
    with psycopg.connect(server.url(), autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return False
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return False
    return True


def _start_locked(cluster: Cluster, programs: Path, *, settings: Mapping[str, str], limit: float) -> EmbeddedServer:
    deadline = time.monotonic() + limit
    said = ""
    while time.monotonic() < deadline:
        alive = cluster.postmaster()
        if alive is None:
            said = _launch(cluster, programs, settings=settings, limit=deadline - time.monotonic())
            continue
        server = _answering(cluster, pid=alive[0], port=alive[1])
        if server is not None:
            _write_record(cluster, server)
            return server
        time.sleep(_POLL_SECONDS)
    raise EmbeddedServerError(
        f"The embedded server did not answer within {limit:.0f} s. {said}",
        meaning=f"The end of its log {cluster.log}:\n{cluster.log_tail()}",
        remedy="If the log names no cause, stop the server and start it again.",
    )


def _launch(cluster: Cluster, programs: Path, *, settings: Mapping[str, str], limit: float) -> str:
    """Start the server process; what pg_ctl said. Raises unless the failure is one that passes."""
    drop_stale_pid(cluster)
    _bound_log(cluster)
    write_settings(cluster, {**settings, "port": str(_choose_port(cluster))})
    since = cluster.log.stat().st_size if cluster.log.exists() else 0
    said = _pg_ctl(cluster, programs, "start", "-l", str(cluster.log), limit=max(1.0, limit))
    log = cluster.log_tail(since=since)
    if cluster.postmaster() is None and not any(reason in log for reason in _PASSING):
        raise EmbeddedServerError(
            f"The embedded server did not start: {said}",
            meaning=f"The end of its log {cluster.log}:\n{log}",
            remedy="Correct what the log names and start again.",
        )
    return said


def _pg_ctl(cluster: Cluster, programs: Path, verb: str, *options: str, limit: float) -> str:
    command = [programs / "pg_ctl", verb, "-D", cluster.data, "-w", "-t", f"{limit:.0f}", *options]
    _, said = run_as(cluster.user, command, cwd=cluster.owned, limit=limit + 10)
    return said


def _answering(cluster: Cluster, *, pid: int, port: int) -> EmbeddedServer | None:
    """The server if it lets the role in and names our data directory: another program may have taken its port."""
    found = EmbeddedServer(port=port, pid=pid, data=cluster.data, user=cluster.user.name, password=cluster.password())
    try:
        with psycopg.connect(found.url(), connect_timeout=_CONNECT_SECONDS) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
    except psycopg.OperationalError:
        return None
    return found if row == (str(cluster.data),) else None


def _choose_port(cluster: Cluster) -> int:
    """The port of the last start while nobody listens there, else a free one."""
    record = _read_record(cluster)
    for port in (record.port, 0) if record is not None else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise EmbeddedServerError(f"No free port on {HOST}.", remedy="Close programs that hold many ports.")


def _bound_log(cluster: Cluster) -> None:
    if cluster.log.exists() and cluster.log.stat().st_size > LOG_BYTES_KEPT:
        cluster.log.replace(cluster.log.with_suffix(".log.1"))


def _read_record(cluster: Cluster) -> _Record | None:
    try:
        return msgspec.json.decode(cluster.record.read_bytes(), type=_Record)
    except (FileNotFoundError, msgspec.DecodeError):
        # A damaged record is like none: `start` writes it anew.
        return None


def _write_record(cluster: Cluster, server: EmbeddedServer) -> None:
    record = _Record(host=HOST, port=server.port, pid=server.pid, data=str(server.data), user=server.user)
    text = msgspec.json.format(msgspec.json.encode(record), indent=2).decode()
    publish(cluster, cluster.record, f"{text}\n", mode=0o644)
