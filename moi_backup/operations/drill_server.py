"""The server of a drill: the configured one, else the embedded one that runs, else one started for this drill alone."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from moi_backup.errors import Locked, MoiError, UsageError
from moi_backup.model.backup import BackupManifest, Source
from moi_backup.operations.database_errors import database_errors
from moi_backup.operations.progress import Progress
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres.connection_url import address_of
from moi_backup.postgres.session import connect, read_source


@dataclass(frozen=True, slots=True)
class DrillPlace:
    """A server that can be connected to; the URL holds the password and names a database to connect to first."""

    url: str = field(repr=False)
    temporary: bool


@contextmanager
def drill_server(workspace: Workspace, *, progress: Progress) -> Generator[DrillPlace]:
    """The server, for as long as the drill lasts.

    Raises Locked when another drill uses the temporary server of this state folder.
    """
    from moi_backup.postgres import embedded

    configured = workspace.settings.drill.url
    if configured is not None:
        yield DrillPlace(configured, temporary=False)
        return
    state = workspace.settings.state.path
    running = embedded.running(state)
    if running is not None:
        yield DrillPlace(running.url(), temporary=False)
        return
    with _locked(state / "drill.lock"):
        progress.step("The embedded server does not run; one is started for this drill.")
        with _temporary(state / "drill") as url:
            yield DrillPlace(url, temporary=True)


def refuse_source(workspace: Workspace, url: str, backup: BackupManifest) -> str:
    """Raise UsageError when the URL names the protected database itself; a note when it is the server of that one.

    Compared are the system identifier and the database or, where an identifier is not known, the address: with the
    protected database as it is now, where it answers, and with the one that the backup was taken from.
    """
    here = _identity(url)
    sources = [backup.source, *_live(workspace)]
    if any(_is_same(here, source) for source in sources):
        raise UsageError(
            f"The drill server's database {here.address} is the protected database.",
            meaning="A drill works apart from the live data. Nothing was written.",
            remedy="Set MOI_DRILL_URL ([drill] url in moi.toml) to another server, or leave it out.",
        )
    if any(_is_same_server(here, source) for source in sources):
        return "The drill ran on the server of the protected database, and took its share of that server's work."
    return ""


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Hold the lock of the temporary server; the kernel gives it back when this process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(
                "Another drill uses the temporary server of this state folder.",
                meaning="Nothing was restored.",
                remedy="Let it end, or name a server with MOI_DRILL_URL.",
            ) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def _temporary(folder: Path) -> Generator[str]:
    """A server of its own in the folder; what a killed drill left there is stopped and removed first."""
    from moi_backup.postgres import embedded

    if folder.exists():
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)  # what a killed start still writes to, `start` clears away
    try:
        yield embedded.start(folder).url()
    finally:
        embedded.stop(folder)
        shutil.rmtree(folder)


def _identity(url: str) -> Source:
    with connect(url) as conn, database_errors("The drill server could not be asked who it is", url=url):
        return read_source(conn, address=address_of(url))


def _live(workspace: Workspace) -> list[Source]:
    try:
        return [_identity(workspace.source_url())]
    except MoiError:  # the volume check tells why it does not answer
        return []


def _is_same(one: Source, other: Source) -> bool:
    if "unknown" in (one.system_identifier, other.system_identifier):
        return one.address == other.address
    return _is_same_server(one, other) and one.database == other.database


def _is_same_server(one: Source, other: Source) -> bool:
    return "unknown" != one.system_identifier == other.system_identifier
