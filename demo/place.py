"""Where the demo and the local platform live: the checkout, its settings, and the state folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from moi_backup.errors import Locked, UsageError
from moi_backup.postgres import embedded
from moi_backup.postgres.embedded import EmbeddedServer, create_database
from moi_backup.settings import EMBEDDED_DATABASE, Settings, read_settings

CHECKOUT = Path(__file__).parents[1]
DAGSTER_DATABASE = "dagster"
MARKER = "demo.txt"
LOCK = "demo.lock"
MADE_HERE = ("exports", "dagster", "logs", "platform.json")
"""What only the demo and the platform make in a state folder; the engine makes the rest."""


@dataclass(frozen=True, slots=True)
class Place:
    """The checkout under the present environment."""

    settings: Settings

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.settings.state.path

    @property
    def own_source(self) -> bool:
        """Whether the protected database is one the user configured."""
        return not self.settings.source.embedded

    @property
    def has_own_repository(self) -> bool:
        """Whether the repository is one the user configured."""
        return self.settings.repository.origin != "default"

    @contextmanager
    def alone(self, *, wait: float = 0.0) -> Generator[None, None, None]:
        """Be the only demo command at this state folder, which must exist; raises Locked after `wait` seconds."""
        handle = os.open(self.state / LOCK, os.O_RDONLY | os.O_CREAT, 0o644)
        deadline = time.monotonic() + wait
        try:
            while not _try_lock(handle):
                if time.monotonic() > deadline:
                    raise Locked(
                        f"Another make demo, up, down or clean is at work in {self.state}.",
                        meaning="Two of them would start the same processes twice.",
                        remedy="Wait for it to end, or choose a state folder of your own with MOI_STATE.",
                    )
                time.sleep(0.1)
            yield
        finally:
            os.close(handle)

    def claim(self) -> None:
        """Make the state folder and mark it as the platform's.

        Raises UsageError for a folder that is not marked and holds files of the names that the platform uses: they are
        somebody's, and a clean-up would remove them.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        marker = self.state / MARKER
        strange = [name for name in MADE_HERE if (self.state / name).exists()]
        if not marker.exists() and strange:
            raise UsageError(
                f"{self.state} is in use for something else: it holds {', '.join(strange)}.",
                meaning="The platform keeps files of that name in its state folder, and make clean removes them.",
                remedy="Set MOI_STATE to a folder of its own.",
            )
        marker.write_text("The state of a local MOI Backup platform. `make clean` removes it.\n")

    def prepare(self) -> EmbeddedServer:
        """Start the embedded server and make its databases."""
        server = embedded.start(self.state)
        create_database(server, DAGSTER_DATABASE)
        create_database(server, EMBEDDED_DATABASE)
        return server

    def dagster_environment(self, server: EmbeddedServer) -> dict[str, str]:
        """The environment of every Dagster process."""
        files = self.state / "dagster"
        files.mkdir(parents=True, exist_ok=True)
        return {
            **os.environ,
            "DAGSTER_HOME": str(CHECKOUT),
            "DAGSTER_POSTGRES_URL": server.url(DAGSTER_DATABASE),
            "DAGSTER_FILES": str(files),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }


def this_place() -> Place:
    """The place of this process."""
    return Place(read_settings(os.environ, cwd=CHECKOUT, effective_uid=os.geteuid()))


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
