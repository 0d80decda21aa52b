import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.place import Place
from demo.processes import Platform, read_platform
from moi_backup.repository.key_text import generate_master
from moi_backup.settings import read_settings

CHECKOUT = Path(__file__).parents[2]
DEAD_PROXY = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}  # nothing needs the network


class Shell:
    """Runs `python -m demo …` with a state folder of its own."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def demo(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MOI_", "DAGSTER_"))}
        return subprocess.run(
            [sys.executable, "-m", "demo", *arguments],
            cwd=CHECKOUT,
            env={**inherited, **DEAD_PROXY, "MOI_STATE": str(self.state), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )


@pytest.fixture
def shell() -> Iterator[Shell]:
    folder = Path(tempfile.mkdtemp(prefix="moi-demo-"))
    folder.chmod(0o755)
    shell = Shell(folder / "state")
    yield shell
    shell.demo("down")
    shutil.rmtree(folder)


def require_platform(shell: Shell) -> Platform:
    known = read_platform(shell.state / "platform.json")
    assert known is not None
    return known


@pytest.mark.timeout(600)
def test_the_demo_keeps_its_promises_twice_and_the_platform_starts_on_its_state(shell: Shell) -> None:
    """The whole story, once more on the same state, then `up` twice, again for a killed daemon, `down`, `clean`."""
    for _ in range(2):
        told = shell.demo("run", "--rows", "2000")
        assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]
        assert "All promises kept" in told.stdout
    first, second = shell.demo("up"), shell.demo("up")
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr + second.stdout + second.stderr
    address = re.findall(r"http://127\.0\.0\.1:\d+", first.stdout)[0]
    assert address in second.stdout
    assert "runs already" in second.stdout
    with urllib.request.urlopen(f"{address}/server_info", timeout=10) as answer:
        assert json.load(answer)["dagster_version"].startswith("1.13")
    known = require_platform(shell)
    os.kill(known.daemon.pid, signal.SIGKILL)
    third, again = shell.demo("up"), require_platform(shell)
    assert third.returncode == 0, third.stdout + third.stderr
    assert address in third.stdout
    assert again.webserver == known.webserver
    assert again.daemon != known.daemon
    assert again.running
    assert "Stopped" in shell.demo("down").stdout
    assert not again.webserver.alive
    assert not again.daemon.alive
    assert "Nothing was running" in shell.demo("down").stdout
    assert shell.demo("clean").returncode == 2
    assert (shell.state / "repository" / "repository.json").exists()
    assert shell.demo("clean", "--yes").returncode == 0
    assert not shell.state.exists()


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_the_demo_keeps_its_promises_with_a_key(shell: Shell) -> None:
    """The same story in an encrypted repository, the restore through Dagster included; no key is told."""
    key = generate_master(os.urandom)
    told = shell.demo("run", "--rows", "2000", MOI_KEY_1=key)
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]
    assert "All promises kept" in told.stdout
    assert b'"encryption"' in (shell.state / "repository" / "repository.json").read_bytes()
    assert key not in told.stdout + told.stderr


def test_the_demo_refuses_to_play_with_data_of_your_own(shell: Shell) -> None:
    """With a source of the user's configured, nothing is started and nothing is written."""
    told = shell.demo("run", MOI_SOURCE_URL="postgresql://me@db.example.com/marketing")
    assert told.returncode == 2
    assert "its own data only" in told.stderr
    assert not shell.state.exists()


def test_two_demos_never_run_at_once_on_one_state(shell: Shell) -> None:
    """While one is at work the next refuses as locked, and touches nothing."""
    settings = read_settings({"MOI_STATE": str(shell.state)}, cwd=CHECKOUT, effective_uid=os.geteuid())
    place = Place(settings)
    place.claim()
    with place.alone():
        told = shell.demo("run", "--rows", "1000")
    assert told.returncode == 11
    assert "is at work" in told.stderr
    assert not (shell.state / "postgres").exists()


def test_a_clean_up_leaves_a_folder_that_is_not_the_demos(shell: Shell) -> None:
    """Without the demo's marker nothing is removed, whatever lies there."""
    shell.state.mkdir()
    (shell.state / "repository").mkdir()
    assert shell.demo("clean", "--yes").returncode == 2
    assert (shell.state / "repository").exists()
