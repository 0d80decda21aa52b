import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from demo.processes import Platform, Process, stop_platform
from moi_backup.repository.identity import started

SLEEPER = "import time; time.sleep(300)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); {SLEEPER}"
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); {SLEEPER}"


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[str]]]:
    started_here: list[subprocess.Popen[str]] = []
    yield started_here
    for child in started_here:
        child.kill()
        child.communicate()


def launch(children: list[subprocess.Popen[str]], code: str) -> Process:
    """A process in a session of its own, as the platform's are."""
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    children.append(child)
    return Process(child.pid, started(child.pid) or "")


def write_record(folder: Path, *, webserver: Process, daemon: Process) -> Path:
    record = folder / "platform.json"
    record.write_bytes(msgspec.json.encode(Platform(1, webserver, daemon)))
    return record


def test_stopping_ends_what_the_processes_started_even_what_refuses_to_go(tmp_path, children) -> None:
    """A grandchild that ignores the polite signal is gone after the limit too."""
    webserver, daemon = launch(children, PARENT), launch(children, SLEEPER)
    output = children[0].stdout
    assert output is not None
    assert output.readline() == "ready\n"
    assert stop_platform(write_record(tmp_path, webserver=webserver, daemon=daemon), limit=1.0)
    assert output.read() == ""  # its end comes only when the grandchild, who holds the pipe too, has ended
    assert not webserver.alive
    assert not daemon.alive
    assert not (tmp_path / "platform.json").exists()


def test_stopping_ends_what_a_process_that_died_had_started(tmp_path, children) -> None:
    """The children of a killed daemon go too, although the daemon itself is gone."""
    parent = launch(children, PARENT)
    output = children[0].stdout
    assert output is not None
    assert output.readline() == "ready\n"
    children[0].kill()
    children[0].wait()
    assert stop_platform(write_record(tmp_path, webserver=parent, daemon=parent), limit=1.0)
    assert output.read() == ""  # only the grandchild still held the pipe


def test_stopping_never_touches_a_stranger_who_has_the_number_of_a_dead_process(tmp_path, children) -> None:
    """A process with a recorded number and another start goes on running."""
    stranger = launch(children, SLEEPER)
    recorded = Process(stranger.pid, "1")
    assert not stop_platform(write_record(tmp_path, webserver=recorded, daemon=recorded), limit=1.0)
    assert stranger.alive


def test_a_process_that_ended_and_was_not_waited_for_is_not_alive(children) -> None:
    """A zombie is no running process, whenever it was looked at first."""
    ended = launch(children, "")
    deadline = time.monotonic() + 20
    while started(ended.pid) != "dead" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not ended.alive
    assert not Process(ended.pid, started(ended.pid) or "").alive
