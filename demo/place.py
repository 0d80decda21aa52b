"""Where the demo and the local platform live: the checkout, its settings, and the state folder."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from moi_backup.errors import UsageError
from moi_backup.postgres import embedded
from moi_backup.postgres.embedded import EmbeddedServer, create_database
from moi_backup.settings import EMBEDDED_DATABASE, Settings, read_settings

CHECKOUT = Path(__file__).parents[1]
DAGSTER_DATABASE = "dagster"
MARKER = "demo.txt"
CONTENTS = (MARKER, "exports", "dagster", "logs", "platform.json", "postgres", "repository", "heads")


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
        """Whether the repository is one the user configured, outside of the state folder."""
        return self.settings.repository.address != str(self.state / "repository")

    def prepare(self) -> EmbeddedServer:
        """Make the state folder ours, start the embedded server, and make its databases."""
        self.state.mkdir(parents=True, exist_ok=True)
        marker = self.state / MARKER
        marker.write_text("The state of a local MOI Backup platform. `make clean` removes it.\n")
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

    def remove(self) -> None:
        """Remove the state's known contents; the rest stays. Raises UsageError where our marker is missing."""
        if not (self.state / MARKER).exists():
            raise UsageError(
                f"{self.state} holds no state of a demo.",
                meaning="Nothing was removed.",
                remedy="Run it in the same folder and with the same MOI_STATE as make demo or make up.",
            )
        for name in reversed(CONTENTS):  # the marker goes last, so that an interrupted clean-up can be repeated
            found = self.state / name
            if found.is_dir():
                shutil.rmtree(found)
            else:
                found.unlink(missing_ok=True)
        if not any(self.state.iterdir()):
            self.state.rmdir()


def this_place() -> Place:
    """The place of this process."""
    return Place(read_settings(os.environ, cwd=CHECKOUT, effective_uid=os.geteuid()))
