"""Status tells whether the data is protected: by age, by what is whole, and by what is covered."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from moi_backup.errors import NoRepository
from moi_backup.model.table import TableName
from moi_backup.operations import status
from moi_backup.operations.list_backups import list_backups
from moi_backup.operations.show_backup import show_backup
from moi_backup.operations.status import RepositoryFacts, Status, read_status
from moi_backup.operations.stored_table import open_table
from moi_backup.operations.workspace import Workspace
from moi_backup.repository.clock import SystemClock
from moi_backup.repository.marks import mark_damaged
from moi_backup.settings import read_settings
from tests.engine.deployment import Deployment
from tests.engine.shop import SHOP


class LaterClock(SystemClock):
    """The clock of a machine some time from now."""

    def __init__(self, later: timedelta) -> None:
        self._later = later

    def now(self) -> datetime:
        return super().now() + self._later


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A small shop with one full backup."""
    deployment.sql(SHOP)
    deployment.back_up(full=True)
    return deployment


def later(shop: Deployment, **ago: float) -> Status:
    """The status some time from now."""
    return read_status(replace(shop.workspace, clock=LaterClock(timedelta(**ago))))


def components(found: Status) -> list[tuple[str, str]]:
    """Level and component of every finding."""
    return [(finding.level, finding.component) for finding in found.findings]


@pytest.mark.parametrize(
    ("hours", "level", "code"),
    [(0.0, "ok", 0), (25.9, "ok", 0), (26.1, "warning", 4), (47.9, "warning", 4), (48.1, "critical", 5)],
)
def test_the_age_of_the_newest_backup_decides(shop: Deployment, hours: float, level: str, code: int):
    """Past 26 hours a warning, past 48 critical."""
    found = later(shop, hours=hours)
    assert (found.level, found.exit_code) == (level, code)
    assert found.age_seconds == pytest.approx(hours * 3600, abs=120)


def test_no_backup_at_all_is_critical_and_a_limited_one_does_not_count(deployment: Deployment):
    """Only what restores everything protects."""
    deployment.sql(SHOP)
    assert read_status(deployment.workspace).exit_code == 5
    deployment.back_up(tables=(TableName("public", "nothing_yet"),))
    found = read_status(deployment.workspace)
    assert (found.level, found.backups, found.complete_backups, found.newest) == ("critical", 1, 0, None)


def test_without_a_repository_there_is_no_status(tmp_path: Path):
    """A repository that is not there is an error of its own, exit code 10."""
    settings = read_settings({"MOI_REPOSITORY": str(tmp_path / "nowhere")}, cwd=tmp_path, effective_uid=1)
    with pytest.raises(NoRepository):
        read_status(Workspace(settings))


def test_a_database_that_does_not_answer_is_a_warning_beside_the_repository_facts(shop: Deployment):
    """What lies in the repository is told all the same."""
    unreachable = Deployment("postgresql://u:hunter2@127.0.0.1:1/d", shop.folder)
    found = read_status(unreachable.workspace)
    assert (found.exit_code, components(found)) == (4, [("warning", "database")])
    assert found.source.unprotected is None
    assert found.newest is not None
    assert found.newest.rows == 2003
    assert found.repository.bytes > 0
    assert "hunter2" not in str(found)


def test_uncovered_and_new_tables_are_listed(shop: Deployment):
    """What no entry covers is unprotected; what is protected but in no backup yet is a warning."""
    shop.configure('[tables."public.meta_import_data"]\n')
    assert read_status(shop.workspace).source.unprotected == ('public."Odd.Names"', "public.nothing_yet")
    shop.configure("")
    shop.sql("CREATE TABLE born_later (a int)")
    found = read_status(shop.workspace)
    assert found.exit_code == 4
    assert "public.born_later" in found.findings[0].message


def test_damaged_chunks_are_critical_for_the_newest_backup_and_a_warning_for_older_ones(shop: Deployment):
    """The marks of verification are not forgotten."""
    repository = shop.workspace.open()
    table = TableName("public", "meta_import_data")
    mark_damaged(repository.store, stored=open_table(repository, shop.backups()[0], table).chunks()[0].stored)
    assert components(read_status(shop.workspace)) == [("critical", "integrity")]
    shop.sql("DELETE FROM meta_import_data")
    shop.back_up(full=True)
    assert components(read_status(shop.workspace)) == [("warning", "integrity")]


def test_a_damaged_manifest_is_critical_and_hides_no_other_backup(shop: Deployment):
    """Status and list go on with those that can be read."""
    newest = shop.back_up(full=True).manifest.id
    first = shop.backups()[0].id
    (shop.folder / "repository" / "backups" / newest).write_bytes(b"{}")
    found = read_status(shop.workspace)
    assert ("critical", "integrity") in components(found)
    assert found.newest is not None
    assert found.newest.id == first
    listed = list_backups(shop.workspace)
    assert [backup.id for backup in listed.backups] == [first]
    assert [backup.id for backup in listed.unreadable] == [newest]


def test_a_chain_whose_end_was_cut_off_is_critical(shop: Deployment):
    """A backup that was seen once and is gone is not overlooked."""
    shop.back_up(full=True)
    read_status(shop.workspace)
    (shop.folder / "repository" / "chain" / f"{2:010d}").unlink()
    found = read_status(shop.workspace)
    assert components(found) == [("critical", "integrity")]
    assert "cut off" in found.findings[0].message


@pytest.mark.parametrize(("free", "warned"), [(11, False), (9, True)])
def test_a_disk_over_nine_tenths_full_is_a_warning(free: int, *, warned: bool):
    """Backups fail when it is too late."""
    facts = RepositoryFacts(
        address="/backups",
        id="",
        objects=0,
        bytes=0,
        disk_free=free,
        disk_total=100,
        damaged_chunks=0,
        damaged_in_newest=0,
    )
    found = [finding.component for finding in status._judge_repository(facts)]
    assert found == (["storage"] if warned else [])


def test_a_backup_is_shown_with_its_days_columns_and_source(shop: Deployment):
    """Rows without a calendar day are counted apart, generated columns and types are there, a password is not."""
    shown = show_backup(shop.workspace, "latest-full")
    tables = {table.name: table for table in shown.tables}
    odd, meta = tables['public."Odd.Names"'], tables["public.meta_import_data"]
    assert (odd.days, odd.first_day, odd.last_day, odd.undated, odd.infinite) == (1, "2025-09-14", "2025-09-14", 1, 1)
    assert list(odd.day_rows) == ["2025-09-14", "infinity", "undated"]
    assert {column.name: column.generated for column in odd.columns}["doubled"] == "stored"
    assert (meta.days, sum(meta.day_rows.values()), meta.rows) == (40, 2000, 2000)
    assert shown.source.database in shop.url
    assert "s3cret" not in str(shown)
