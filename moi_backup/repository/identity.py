"""Who this process is, so that another one on the same machine can tell whether it still lives."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from moi_backup.model.child_environment import without_keys

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
_PID_NAMESPACE = _PROC / "self/ns/pid"
_STARTED_FIELD = 19  # field 22 of proc(5) stat, counted after the name in parentheses
_DEAD = ("Z", "X")
_COMMAND_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Identity:
    """A process on this planet: host, boot (with the process namespace, "" when unknown), process id and its start."""

    host: str
    boot: str
    pid: int
    process_started: str


def own_identity() -> Identity:
    """The identity of the calling process."""
    pid = os.getpid()
    return Identity(host=socket.gethostname(), boot=_boot(), pid=pid, process_started=started(pid) or "")


def is_gone(holder: Identity, *, own: Identity) -> bool:
    """Whether a process certainly no longer runs; False when it does, or when that cannot be told from here."""
    if not own.boot or (holder.host, holder.boot) != (own.host, own.boot):
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it runs as another user
        pass
    began = started(holder.pid)
    return bool(began and holder.process_started) and began != holder.process_started


def _boot() -> str:
    """Boot and process namespace: containers of one host share the boot but not the process ids."""
    try:
        return f"{_BOOT_ID.read_text().strip()} {_PID_NAMESPACE.readlink()}"
    except OSError:
        numbers = re.search(r"sec = (\d+), usec = (\d+)", _answer("sysctl", "-n", "kern.boottime"))
        return ".".join(numbers.groups()) if numbers else ""


def started(pid: int) -> str | None:
    """When a process started, in the system's own words; "dead" for a zombie, None when it cannot be told."""
    if not _BOOT_ID.exists():
        return _answer("ps", "-o", "lstart=", "-p", str(pid)) or None
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # hidden from other users, or gone this moment
        return None
    return "dead" if fields[0] in _DEAD else fields[_STARTED_FIELD]


def _answer(*command: str) -> str:
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=without_keys(os.environ),
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()
