"""The full backup job as Dagster runs it, on Dagster's Postgres storage; what start-up costs is not counted."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from bench.place import Place


def full_backup_job(place: Place) -> Callable[[], None]:
    """A call that executes the job once; Dagster, the definitions and the instance are loaded before."""
    os.environ.update(place.environment)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    logging.disable(logging.WARNING)  # the terminal's copy of the events, not the events
    import dagster as dg

    from moi_assets.definitions import build_definitions

    url = place.empty_database("dagster").replace("postgresql://", "postgresql+psycopg2://", 1)
    folder = place.folder / "dagster"
    folder.mkdir(exist_ok=True)
    (folder / "dagster.yaml").write_text(
        f"storage:\n  postgres:\n    postgres_url: {url}\ntelemetry:\n  enabled: false\n"
    )
    instance = dg.DagsterInstance.from_config(str(folder))
    job = build_definitions().resolve_job_def("full_backup")

    def execute() -> None:
        if not job.execute_in_process(instance=instance).success:
            raise RuntimeError("the full_backup job failed")

    return execute
