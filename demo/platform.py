"""`make up`, `make down`, `make clean`: the platform on this machine."""

from __future__ import annotations

import os
import sys

from demo import shop
from demo.place import Place
from demo.processes import Platform, read_platform, require_dagster, start_platform, stop_platform
from demo.removal import reason_to_keep, remove, require_marker
from demo.story import say
from moi_backup.errors import NoRepository, UsageError
from moi_backup.operations.workspace import Workspace
from moi_backup.postgres import embedded
from moi_backup.repository.repository import create

RECORD = "platform.json"
POOL = "backup_repository"
WAIT_SECONDS = 240.0  # a first start on a slow machine; whoever waits finds the platform running


def up(place: Place, *, rows: int) -> None:
    """Start what does not run: Postgres, the demo's data where no source is configured, the repository, Dagster."""
    place.claim()
    with place.alone(wait=WAIT_SECONDS):
        known = read_platform(place.state / RECORD)
        if known and known.running and embedded.running(place.state):
            say("The platform runs already.")
        server = place.prepare()
        if not place.own_source:
            _fill(place, server, rows=rows)
        _make_repository(Workspace(place.settings))
        platform = _start_dagster(place, place.dagster_environment(server), known)
    say(f"\nThe Dagster UI: {platform.address}")
    say("   Jobs > full_backup > Launchpad > Launch run takes a backup;")
    say("   Assets > Global lineage shows tables, snapshots and restores; a partition is a day of rows.")
    say(f"Logs: {place.state / 'logs'}.  Stop it: make down.")


def down(place: Place) -> None:
    """Stop everything that `up` or the demo started."""
    stopped = False
    if place.state.is_dir():
        with place.alone(wait=WAIT_SECONDS):
            stopped = _stop(place)
    say("Stopped." if stopped else "Nothing was running.")


def clean(place: Place, *, yes: bool) -> None:
    """Stop everything and remove the demo's state, after asking."""
    require_marker(place)
    kept = reason_to_keep(place)
    if not yes:
        _ask(place, kept)
    with place.alone():
        _stop(place)
        remove(place, repository=not kept)
    say(f"Removed the demo's state in {place.state}.")
    if kept:
        say(f"The repository {place.settings.repository.address} was left as it is: {kept}.")


def _stop(place: Place) -> bool:
    stopped = stop_platform(place.state / RECORD)
    return embedded.stop(place.state) or stopped


def _ask(place: Place, kept: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "Nobody is there to ask whether the state should go.",
            meaning="Nothing was removed.",
            remedy="Run it on a terminal, or say --yes: .venv/bin/python -m demo clean --yes.",
        )
    say(f"This removes the demo's database, its exports, and Dagster's history in {place.state}.")
    say(f"The repository stays: {kept}." if kept else "It also removes its repository with all backups.")
    if input("Type yes to go on: ").strip() != "yes":
        raise UsageError("Nothing was removed.")


def _start_dagster(place: Place, environment: dict[str, str], known: Platform | None) -> Platform:
    if known is None:
        say("Preparing Dagster …")
        require_dagster(["instance", "concurrency", "set", POOL, "1"], environment)
    if not (known and known.running):
        say("Starting the Dagster UI (half a minute) …")
    return start_platform(place.state / RECORD, place.state / "logs", environment)


def _fill(place: Place, server: embedded.EmbeddedServer, *, rows: int) -> None:
    with shop.connect(server) as live:
        if not shop.wants_filling(live):
            return
        say(f"Filling the demo's tables with {rows:,} rows from generated CSV exports …")
        with shop.filling(live):
            shop.load(live, shop.exports(place.state / "exports", rows=rows))


def _make_repository(workspace: Workspace) -> None:
    try:
        workspace.open()
    except NoRepository:
        identity = create(workspace.store(), now=workspace.clock.now(), entropy=os.urandom)
        say(f"Made repository {identity} at {workspace.store().address}.")
