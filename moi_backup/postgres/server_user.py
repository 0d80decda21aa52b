"""The operating system user the embedded server runs as, and what that user can reach.

Postgres refuses to run as root; root runs it as an existing user without rights, everybody else as oneself.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moi_backup.errors import MoiError

UNPRIVILEGED = "nobody"
_READ_AND_ENTER = 0o5
_ENTER = 0o1


class EmbeddedServerError(MoiError):
    """The embedded Postgres server could not be made, started, stopped or reached."""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """Who runs the server; `switched` when that is another user than the caller (who is root then)."""

    name: str
    uid: int
    gid: int
    switched: bool


def server_user(cluster: Path) -> ServerUser:
    """The user for the server of a cluster folder: its owner when it exists, as root `nobody`, else oneself."""
    if os.geteuid() != 0:
        return ServerUser(name=_name_of(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), switched=False)
    if cluster.exists() and cluster.stat().st_uid != 0:
        status = cluster.stat()
        return ServerUser(name=_name_of(status.st_uid), uid=status.st_uid, gid=status.st_gid, switched=True)
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError as error:
        raise EmbeddedServerError(
            f"This system has no user {UNPRIVILEGED!r}.",
            meaning="Postgres refuses to run as root, so root needs an unprivileged user to run it as.",
            remedy="Run as an ordinary user, or set MOI_SOURCE_URL to a database of your own.",
        ) from error
    return ServerUser(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, switched=True)


def can_use(path: Path, *, user: ServerUser) -> bool:
    """Whether the mode bits let `user` read and enter (or execute) `path` and enter every folder above it."""
    return closed_folder(path, user=user) is None and _allows(path, user=user, wanted=_READ_AND_ENTER)


def closed_folder(path: Path, *, user: ServerUser) -> Path | None:
    """The first folder above `path` that `user` cannot enter by its mode bits; None when the way is open."""
    for folder in reversed(path.resolve().parents):
        if not _allows(folder, user=user, wanted=_ENTER):
            return folder
    return None


def run_as(user: ServerUser, command: Sequence[str | Path], *, cwd: Path, limit: float) -> tuple[int, str]:
    """Run a program as `user`: its exit code and its output (stdout and stderr together).

    The environment is empty but for PATH and the locale: PG* variables would change what the server does. The output
    goes through a file, so a grandchild that outlives the program cannot hold a pipe open. Raises EmbeddedServerError
    when the program takes longer than `limit` seconds.
    """
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                umask=0o077,
                timeout=limit,
                check=False,
                user=user.uid if user.switched else None,
                group=user.gid if user.switched else None,
                extra_groups=[] if user.switched else None,
            )
        except subprocess.TimeoutExpired as error:
            raise EmbeddedServerError(f"{Path(command[0]).name} did not finish within {limit:.0f} s.") from error
        output.seek(0)
        return done.returncode, output.read().decode("utf-8", "replace").strip()


def _allows(path: Path, *, user: ServerUser, wanted: int) -> bool:
    status = path.stat()
    shift = 6 if status.st_uid == user.uid else 3 if status.st_gid == user.gid else 0
    return (status.st_mode >> shift) & wanted == wanted


def _name_of(uid: int) -> str:
    """The login name, or the number where the system's user database does not know it (containers)."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
