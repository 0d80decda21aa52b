"""`make up`, `make down`, `make clean`: the platform on this machine."""

from __future__ import annotations

import os
import sys

from demo import shop
from demo.place import Place
from demo.processes import read_platform, run_dagster, start_platform, stop_platform
from demo.story import say
from moi_backup.errors import NoRepository, UsageError
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres import embedded
from moi_backup.repository.repository import create

RECORD = "platform.json"
POOL = "backup_repository"


def up(place: Place, *, rows: int) -> None:
    """Start what does not run: Postgres, the demo's data where no source is configured, the repository, Dagster."""
    known = read_platform(place.state / RECORD)
    if known and known.webserver.alive and known.daemon.alive and embedded.running(place.state):
        say("The platform runs already.")
    server = place.prepare()
    if not place.own_source:
        _fill(place, server, rows=rows)
    _make_repository(Workspace(place.settings))
    environment = place.dagster_environment(server)
    if known is None:
        say("Preparing Dagster …")
        run_dagster(["instance", "concurrency", "set", POOL, "1"], environment)
    say("Starting the Dagster UI (half a minute) …" if not (known and known.webserver.alive) else "Looking at the UI …")
    platform = start_platform(place.state / RECORD, place.state / "logs", environment)
    say(f"\nThe Dagster UI: {platform.address}")
    say("   Jobs > full_backup > Launchpad > Launch run takes a backup;")
    say("   Assets > Global lineage shows tables, snapshots and restores; a partition is a day of rows.")
    say(f"Logs: {place.state / 'logs'}.  Stop it: make down.")


def down(place: Place) -> None:
    """Stop everything that `up` or the demo started."""
    stopped = stop_platform(place.state / RECORD)
    stopped = embedded.stop(place.state) or stopped
    say("Stopped." if stopped else "Nothing was running.")


def clean(place: Place, *, yes: bool) -> None:
    """Stop everything and remove the state folder's contents, after asking."""
    if not yes:
        _ask(place)
    down(place)
    place.remove()
    say(f"Removed the state in {place.state}.")
    if place.has_own_repository:
        say(f"Your repository {place.settings.repository.address} was left as it is.")


def _ask(place: Place) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "Nobody is there to ask whether the state should go.",
            meaning="Nothing was removed.",
            remedy="Run it on a terminal, or say --yes: .venv/bin/python -m demo clean --yes.",
        )
    say(f"This removes the demo's database, its repository with all backups, and Dagster's history in {place.state}.")
    if input("Type yes to go on: ").strip() != "yes":
        raise UsageError("Nothing was removed.")


def _fill(place: Place, server: embedded.EmbeddedServer, *, rows: int) -> None:
    with shop.connect(server) as live:
        if shop.is_empty(live):
            say(f"Filling the demo's tables with {rows:,} rows from generated CSV exports …")
            shop.load(live, shop.exports(place.state / "exports", rows=rows))


def _make_repository(workspace: Workspace) -> None:
    try:
        workspace.open()
    except NoRepository:
        identity = create(workspace.store(), now=workspace.clock.now(), entropy=os.urandom)
        say(f"Made repository {identity} at {workspace.store().address}.")
