import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from moi_backup.errors import MoiError
from moi_backup.operations.backup_debris import ABANDONED_SECONDS, scratch_folder
from moi_backup.operations.progress import Silent
from moi_backup.operations.take_backup import BackupRequest, take_backup
from tests.engine.deployment import Deployment


class Stopping(Silent):
    """Somebody who presses Ctrl-C when the second table begins."""

    def start(self, task: str, *, total: int, unit: str = "rows") -> None:
        if task.endswith(".b"):
            raise KeyboardInterrupt


def objects(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "leases" not in path.parts
    }


@pytest.fixture
def two_tables(deployment: Deployment) -> Deployment:
    with psycopg.connect(deployment.url, autocommit=True) as conn:
        for name in "ab":
            conn.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, day date)".encode())
            conn.execute(f"INSERT INTO {name} SELECT i, '2025-09-01' FROM generate_series(1, 100) i".encode())
    return deployment


def test_a_backup_that_fails_takes_its_new_chunks_with_it(two_tables: Deployment) -> None:
    """Interrupted in the second table, the first one's chunks are gone again, and no temporary file stays."""
    repository = two_tables.workspace.settings.repository.path
    before = objects(repository)
    with pytest.raises(KeyboardInterrupt):
        take_backup(two_tables.workspace, BackupRequest(), progress=Stopping())
    assert {name for name in objects(repository) - before if name.startswith(("chunks/", "tmp/"))} == set()
    assert take_backup(two_tables.workspace, BackupRequest()).manifest.rows == 200


def test_a_failed_backup_deletes_nothing_that_an_earlier_one_needs(two_tables: Deployment) -> None:
    """A chunk that was there before the failed run stays, even one that the run wrote again."""
    take_backup(two_tables.workspace, BackupRequest())
    repository = two_tables.workspace.settings.repository.path
    before = objects(repository)
    with pytest.raises(KeyboardInterrupt):
        take_backup(two_tables.workspace, BackupRequest(full=True), progress=Stopping())
    assert before <= objects(repository)


def test_temporary_files_of_killed_backups_go_after_a_day(two_tables: Deployment) -> None:
    """A fresh folder may belong to a running backup and stays; an abandoned one goes; by the clock that is given."""
    store = two_tables.workspace.store()
    fresh, old = store.scratch() / "backup-1-aa", store.scratch() / "backup-2-bb"
    for folder in (fresh, old):
        folder.mkdir()
        (folder / "0").write_bytes(b"x")
    now = two_tables.workspace.clock.now() + timedelta(days=300)
    for folder, age in ((fresh, 10.0), (old, ABANDONED_SECONDS + 1)):
        os.utime(folder, (now.timestamp() - age, now.timestamp() - age))
    with scratch_folder(store, now=now) as own:
        assert own.is_dir()
    assert (fresh.exists(), old.exists(), own.exists()) == (True, False, False)


def test_a_configured_table_that_is_gone_is_an_error_before_anything_is_written(
    two_tables: Deployment, empty_database: Callable[[], str]
) -> None:
    """The platform's three tables do not exist here, so a backup of them writes nothing."""
    two_tables.configure('[tables."public.a"]\n[tables."public.missing"]\n')
    before = objects(two_tables.workspace.settings.repository.path)
    with pytest.raises(MoiError, match="public.missing"):
        take_backup(two_tables.workspace, BackupRequest())
    assert objects(two_tables.workspace.settings.repository.path) == before
