"""The platform's two background processes, web server and daemon.

A record says which they are; strangers are left alone.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from demo.place import CHECKOUT
from moi_backup.errors import MoiError
from moi_backup.repository.identity import started

HOST = "127.0.0.1"
DEFINITIONS = "moi_assets.definitions"
STOP_SECONDS = 25.0
UI_SECONDS = 180.0


class PlatformError(MoiError):
    """A process of the platform did not do as it should."""


class Process(msgspec.Struct, frozen=True):
    """A process by its id and its start, which together name it for good."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether exactly this process runs."""
        return bool(self.started) and started(self.pid) == self.started


class Platform(msgspec.Struct, frozen=True):
    """The record `platform.json`."""

    port: int
    webserver: Process
    daemon: Process

    @property
    def address(self) -> str:
        """Where the UI answers."""
        return f"http://{HOST}:{self.port}"


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
    record.write_bytes(msgspec.json.encode(platform))
    _wait_for_ui(platform, logs / "webserver.log")
    return platform


def stop_platform(record: Path) -> bool:
    """Stop both processes and what they started; whether any ran."""
    known = read_platform(record)
    running = [process for process in (known.webserver, known.daemon) if process.alive] if known else []
    for process in running:
        os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while any(process.alive for process in running) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in running:
        if process.alive:
            os.killpg(process.pid, signal.SIGKILL)
    record.unlink(missing_ok=True)
    return bool(running)


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


def _launch(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
    program = Path(sys.executable).with_name(command[0])
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


def _wait_for_ui(platform: Platform, log: Path) -> None:
    deadline = time.monotonic() + UI_SECONDS
    while time.monotonic() < deadline:
        if _answers(f"{platform.address}/server_info"):
            return
        if not (platform.webserver.alive and platform.daemon.alive):
            break
        time.sleep(0.5)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise PlatformError(
        f"The Dagster UI does not answer at {platform.address}.\n{tail}",
        meaning="The platform is not up; backups by the command line work all the same.",
        remedy=f"Read {log.parent}, then run make down and make up.",
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - an address of this machine, made above
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex((HOST, port)) != 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
