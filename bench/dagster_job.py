"""The full backup job as Dagster runs it, on Dagster's Postgres storage, in turns with the engine alone.

`python -m bench.dagster_job PLACE REPEAT` is a process of its own: it prints seconds as JSON, start-up (imports and
definitions) apart from the runs. The instance stands before a run begins; its event storage takes part in the run.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from bench import work
from bench.place import Place, place_at
from bench.timing import Side, alternating, seconds


class _Platform:
    """The definitions, and an instance that can be made anew."""

    def __init__(self, place: Place) -> None:
        from moi_assets.definitions import build_definitions

        self._place = place
        self._job: Any = build_definitions().resolve_job_def("full_backup")
        self._instance: Any = None

    def fresh_instance(self) -> None:
        """An instance whose database knows of no run and no asset."""
        import dagster as dg

        if self._instance is not None:
            self._instance.dispose()
        url = self._place.empty_database("dagster").replace("postgresql://", "postgresql+psycopg2://", 1)
        folder = self._place.folder / "dagster"
        folder.mkdir(exist_ok=True)
        (folder / "dagster.yaml").write_text(
            f"storage:\n  postgres:\n    postgres_url: {url}\ntelemetry:\n  enabled: false\n"
        )
        self._instance = dg.DagsterInstance.from_config(str(folder))

    def first_run_ahead(self) -> None:
        """Nothing is known of any backup."""
        self._place.empty_repository()
        self.fresh_instance()

    def run(self) -> None:
        """Execute the job once."""
        if not self._job.execute_in_process(instance=self._instance).success:
            raise RuntimeError("the full_backup job failed")


def measure(place: Place, *, repeat: int) -> dict[str, list[float]]:
    """Seconds: `start`; `first job` and `first` (the engine) without anything stored; `job` and `engine` after that."""
    made: list[_Platform] = []
    start = seconds(lambda: made.append(_Platform(place)))
    platform = made[0]
    back_up = partial(work.back_up, place)
    first = {
        "first": Side(back_up, place.empty_repository),
        "first job": Side(platform.run, platform.first_run_ahead),
    }
    taken = alternating(first, repeat=repeat)
    platform.first_run_ahead()
    platform.run()
    taken |= alternating({"engine": Side(back_up), "job": Side(platform.run)}, repeat=repeat)
    return {"start": [start]} | {name: list(sample.values) for name, sample in taken.items()}


if __name__ == "__main__":
    print(json.dumps(measure(place_at(Path(sys.argv[1])), repeat=int(sys.argv[2]))))
