"""1,300 day spans in a bucket that is 20 ms away: many small objects, where waiting is what costs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial

import psycopg

from bench import work
from bench.measured import Measured
from bench.place import DAYS, LAST_DAY, Place
from bench.round import Round
from bench.timing import CHECKOUT, Side, alternating
from moi_backup.operations.take_backup import BackupRequest, take_backup
from moi_backup.operations.verify import verify
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.repository import create
from moi_backup.settings import read_settings

ROWS_A_DAY = 2100  # more than 20,000 in a third of a month: every day is a chunk
ONE_WAY_MS = 10
CONFIGURATION = '[tables."public.spans"]\n'
ROWS = ROWS_A_DAY * DAYS
FILL = (
    "DROP TABLE IF EXISTS spans",
    "CREATE TABLE spans (id int PRIMARY KEY, day date NOT NULL, value int NOT NULL)",
    f"INSERT INTO spans SELECT i, date '{LAST_DAY}' - i % {DAYS}, i % 97 FROM generate_series(1, {ROWS}) i",
    "VACUUM (ANALYZE) spans",
)


def day_spans(of: Round) -> Iterator[Measured]:
    """Backups, a verification and a restore; a request takes 20 ms before the server does anything."""
    place = of.place
    with psycopg.connect(place.url, autocommit=True) as connection:
        for statement in FILL:
            connection.execute(statement.encode())
    with _far_bucket() as environment:
        prefixes = (f"s3://lake/{number}" for number in range(1000))
        at = {"workspace": _workspace(place, environment, next(prefixes))}

        def elsewhere() -> None:
            at["workspace"] = _workspace(place, environment, next(prefixes))

        def back_up(*, full: bool) -> None:
            take_backup(at["workspace"], BackupRequest(full=full))

        first = alternating({"full": Side(partial(back_up, full=True), elsewhere)}, repeat=of.repeat)
        target = place.server.url("ours")
        sides = {
            "unchanged": Side(partial(back_up, full=False)),
            "verify": Side(lambda: verify(at["workspace"], read_data=True)),
            "restore": Side(lambda: work.restore_all(at["workspace"], target), partial(place.empty_database, "ours")),
        }
        taken = first | alternating(sides, repeat=of.repeat)
    where = f"{DAYS:,} day chunks, bucket {2 * ONE_WAY_MS} ms away"
    yield Measured(f"full backup: {where}", taken["full"], "s")
    yield Measured(f"incremental backup, nothing changed: {where}", taken["unchanged"], "s")
    yield Measured(f"verify --read-data: {where}", taken["verify"], "s")
    yield Measured(f"restore with proof: {where}", taken["restore"], "s")


@contextmanager
def _far_bucket() -> Generator[dict[str, str]]:
    """The environment of a real S3 server behind a slow network."""
    from tests.engine.storage.seaweed import object_server

    with object_server() as server:
        command = [sys.executable, "-m", "bench.network", str(server.port), str(ONE_WAY_MS)]
        network = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        try:
            port = next(iter(network.stdout or ()))
            yield server.environ(endpoint=f"http://127.0.0.1:{int(port)}")
        finally:
            network.kill()
            network.wait(10)


def _workspace(place: Place, environment: dict[str, str], repository: str) -> Workspace:
    """A workspace of the table of spans with an empty repository at this address."""
    configuration = place.folder / "spans.toml"
    configuration.write_text(CONFIGURATION)
    settings = place.environment | environment | {"MOI_REPOSITORY": repository, "MOI_CONFIG": str(configuration)}
    made = Workspace(read_settings(settings, cwd=place.folder, effective_uid=os.geteuid()))
    create(made.store(), now=made.clock.now(), entropy=os.urandom)
    return made
