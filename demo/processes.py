"""The platform's two background processes, web server and daemon.

A record says which they are; strangers are left alone.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from demo.place import CHECKOUT
from moi_backup.errors import MoiError
from moi_backup.repository.identity import started

HOST = "127.0.0.1"
DEFINITIONS = "moi_assets.definitions"
STOP_SECONDS = 25.0
UI_SECONDS = 180.0
LOG_BYTES_KEPT = 10_000_000
_DEAD = "dead"  # what `started` says of a process that ended and was not waited for
_LOAD_QUERY = """{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
    ... on PythonError { message errorChain { error { message } } } } } } } }"""


class PlatformError(MoiError):
    """A process of the platform did not do as it should."""


class Process(msgspec.Struct, frozen=True):
    """A process by its id and its start, which together name it for good."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether exactly this process runs."""
        return self.started not in {"", _DEAD} and started(self.pid) == self.started


class Platform(msgspec.Struct, frozen=True):
    """The record `platform.json`."""

    port: int
    webserver: Process
    daemon: Process

    @property
    def address(self) -> str:
        """Where the UI answers."""
        return f"http://{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether both processes run."""
        return self.webserver.alive and self.daemon.alive


def read_platform(record: Path) -> Platform | None:
    """The record, or None when there is none."""
    try:
        return msgspec.json.decode(record.read_bytes(), type=Platform)
    except FileNotFoundError:
        return None


def start_platform(record: Path, logs: Path, environment: Mapping[str, str]) -> Platform:
    """Start what does not run; returns when the UI answers, else raises PlatformError with the end of its log."""
    known = read_platform(record)
    logs.mkdir(parents=True, exist_ok=True)
    port = known.port if known and (known.webserver.alive or _is_free(known.port)) else _free_port()
    web = ("dagster-webserver", "-h", HOST, "-p", str(port), "-m", DEFINITIONS)
    daemon = ("dagster-daemon", "run", "-m", DEFINITIONS)
    platform = Platform(
        port,
        known.webserver if known and known.webserver.alive else _launch(web, logs / "webserver.log", environment),
        known.daemon if known and known.daemon.alive else _launch(daemon, logs / "daemon.log", environment),
    )
    _write(record, platform)
    _wait_for_ui(platform, logs)
    return platform


def stop_platform(record: Path, *, limit: float = STOP_SECONDS) -> bool:
    """Stop both processes and what they started, by force after `limit` seconds; whether any ran."""
    known = read_platform(record)
    processes = (known.webserver, known.daemon) if known else ()
    ran = any(_group_lives(process) for process in processes)
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + limit
    while any(_group_lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in processes:
        _signal_group(process, signal.SIGKILL)
    record.unlink(missing_ok=True)
    return ran


def run_dagster(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one `dagster` command to its end and capture what it says."""
    program = Path(sys.executable).with_name("dagster")
    return subprocess.run(
        [program, *command],
        cwd=CHECKOUT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def require_dagster(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run one `dagster` command; raises PlatformError with what it said when it fails."""
    done = run_dagster(command, environment)
    if done.returncode != 0:
        raise PlatformError(f"dagster {' '.join(command)} failed:\n{done.stderr[-3000:]}")


def load_errors(platform: Platform) -> list[str]:
    """What the web server could not load, in its own words; empty when the UI shows everything."""
    body = json.dumps({"query": _LOAD_QUERY})
    answer = _ask(platform.port, "POST", "/graphql", body=body)
    entries = json.loads(answer)["data"]["workspaceOrError"].get("locationEntries", []) if answer else []
    errors = [entry["locationOrLoadError"] for entry in entries]
    return ["".join(_messages(error)) for error in errors if error and "message" in error]


def _messages(error: dict[str, Any]) -> list[str]:
    """The message of an error and of those that caused it, the cause last."""
    return [error["message"], *(link["error"]["message"] for link in error["errorChain"])]


def _launch(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
    program = Path(sys.executable).with_name(command[0])
    if log.exists() and log.stat().st_size > LOG_BYTES_KEPT:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        child = subprocess.Popen(
            [program, *command[1:]],
            cwd=CHECKOUT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Process(child.pid, started(child.pid) or "")


def _write(record: Path, platform: Platform) -> None:
    unfinished = record.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.encode(platform))
    unfinished.replace(record)


def _signal_group(process: Process, number: int) -> None:
    """Signal a process and all it started, unless a stranger has its number by now."""
    if process.alive or started(process.pid) in {None, "", _DEAD}:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def _group_lives(process: Process) -> bool:
    """Whether a process or anything it started (code servers, runs) still runs."""
    if process.alive:
        return True
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return started(process.pid) is None


def _wait_for_ui(platform: Platform, logs: Path) -> None:
    deadline = time.monotonic() + UI_SECONDS
    while time.monotonic() < deadline:
        if _ask(platform.port, "GET", "/server_info") and platform.running:
            break
        if not platform.running:
            raise _not_up(platform, logs)
        time.sleep(0.5)
    else:
        raise _not_up(platform, logs)
    errors = load_errors(platform)
    if errors:
        raise PlatformError(
            f"The Dagster UI answers at {platform.address}, but its definitions do not load:\n{errors[0]}",
            remedy="Correct what it names, then run make down and make up.",
        )


def _not_up(platform: Platform, logs: Path) -> PlatformError:
    name = "daemon.log" if platform.webserver.alive else "webserver.log"
    tail = "\n".join((logs / name).read_text(errors="replace").splitlines()[-20:])
    return PlatformError(
        f"The platform did not come up at {platform.address}.\n{tail}",
        meaning="Backups by the command line work all the same.",
        remedy=f"Read {logs}, then run make down and make up.",
    )


def _ask(port: int, method: str, path: str, *, body: str | None = None) -> str:
    """The answer of the web server; "" while it does not answer. No proxy of the environment comes between."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request(method, path, body=body, headers={"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex((HOST, port)) != 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
