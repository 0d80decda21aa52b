"""Drills that are killed, and drills whose server is started for them: nothing is claimed, nothing is left for long.

The killed drills are processes of the command line.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moi_backup.errors import Locked
from moi_backup.operations.list_drills import list_drills
from moi_backup.postgres.embedded import running, stop
from tests.engine.cli.conftest import start
from tests.engine.conftest import Server
from tests.engine.deployment import Deployment
from tests.engine.operations.drills import SHOP, drill_databases, drilled, drilling, said

LIMIT_SECONDS = 60
LIVING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'moi-backup drill'"
MANY_ROWS = "INSERT INTO orders (day, customer) SELECT date '2025-01-01' + i % 90, 5 FROM generate_series(1, 60000) i"


@pytest.fixture
def shop(deployment: Deployment, postgres_server: Server) -> Deployment:
    """A deployment with a full backup of more rows than a moment's."""
    deployment.sql(f"{SHOP}; {MANY_ROWS}")
    deployment.back_up(full=True)
    return drilling(deployment, postgres_server)


@pytest.fixture
def without_server(deployment: Deployment) -> Iterator[Deployment]:
    """The same without a drill server, in a state folder that every user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="moi-drill-"))
    folder.chmod(0o755)
    made = Deployment(deployment.url, folder)
    made.configure("")
    made.initialise()
    made.sql(SHOP)
    made.back_up(full=True)
    yield made
    stop(folder / "state" / "drill")
    shutil.rmtree(folder)


def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def seconds_of_a_drill(shop: Deployment) -> float:
    """From the making of its database to the end of the process."""
    with start(["drill", "--quiet"], shop) as child:
        until(lambda: drill_databases(shop))
        began = time.monotonic()
        assert child.wait(LIMIT_SECONDS) == 0
    return time.monotonic() - began


def test_a_drill_killed_at_any_moment_claims_nothing_and_the_next_one_drops_its_database(shop):
    """As soon as it has its database, and at moments until its end."""
    whole = seconds_of_a_drill(shop)
    finished = 1
    for fraction in (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9):
        with start(["drill", "--quiet"], shop) as child:
            until(lambda: drill_databases(shop))
            [left] = drill_databases(shop)
            time.sleep(fraction * whole)
            child.kill()
            child.wait(LIMIT_SECONDS)
        until(lambda: shop.sql(LIVING) == [(0,)])
        gone = left not in drill_databases(shop)
        drills = list_drills(shop.workspace)
        assert drills.unreadable == ()
        finished += len(drills.drills) > finished  # only one that had dropped its database may have reported
        assert len(drills.drills) == finished
        report = drilled(shop)
        finished += 1
        assert report.verdict == "passed", said(report, "failed", "warning", "unknown")
        assert gone or any(left in note for note in report.notes), fraction
        assert drill_databases(shop) == []
    assert shop.faults() == []


def test_a_stopped_drill_drops_its_database_itself(shop):
    """SIGTERM: exit code 130, no database, no report."""
    with start(["drill"], shop) as child:
        until(lambda: drill_databases(shop))
        child.terminate()
        assert child.wait(LIMIT_SECONDS) == 130
    assert drill_databases(shop) == []
    assert list_drills(shop.workspace).drills == ()


def test_without_any_server_one_is_started_for_the_drill_and_is_gone_afterwards(without_server):
    """Below the state folder; a database in it cannot be kept."""
    report = drilled(without_server, keep_database=True)
    assert report.server.temporary
    assert not report.server.kept
    assert any("not kept" in note for note in report.notes)
    assert report.verdict == "passed", said(report, "failed", "warning", "unknown")
    assert not (without_server.folder / "state" / "drill").exists()


def test_the_server_of_a_killed_drill_is_stopped_and_removed_by_the_next(without_server):
    """Another drill beside a living one is refused."""
    folder = without_server.folder / "state" / "drill"
    with start(["drill", "--quiet"], without_server) as child:
        until(lambda: folder.exists() and running(folder))
        with pytest.raises(Locked, match="Another drill"):
            drilled(without_server)
        child.kill()
        child.wait(LIMIT_SECONDS)
    left = running(folder)
    assert left is not None
    report = drilled(without_server)
    assert report.verdict == "passed"
    assert not folder.exists()
    assert not Path(f"/proc/{left.pid}").exists()


def test_an_embedded_server_that_runs_is_the_drill_server(without_server):
    """The one of the state folder; it goes on running."""
    from moi_backup.postgres.embedded import start as start_server

    state = without_server.folder / "state"
    server = start_server(state, settings={"fsync": "off", "shared_buffers": "32MB"})
    try:
        report = drilled(without_server)
        assert (report.server.temporary, report.server.address) == (False, f"127.0.0.1:{server.port}/postgres")
        assert report.verdict == "passed", said(report, "failed", "warning", "unknown")
        assert running(state) == server
    finally:
        stop(state)
