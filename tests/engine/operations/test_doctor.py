"""The doctor finds what would keep a backup from succeeding, and says what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from moi_backup.errors import ConfigurationError
from moi_backup.operations.check_configuration import check_configuration
from moi_backup.operations.doctor import Examination, clock_check, examine
from tests.engine.deployment import Deployment
from tests.engine.shop import SHOP


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """A small shop with an empty repository."""
    deployment.sql(SHOP)
    return deployment


@pytest.fixture
def reader(shop: Deployment) -> Iterator[Deployment]:
    """The same shop seen by a role that owns nothing and may do nothing."""
    shop.sql("CREATE ROLE reader LOGIN PASSWORD 'r'")
    place = urlsplit(shop.url)
    yield Deployment(f"postgresql://reader:r@{place.hostname}:{place.port}{place.path}", shop.folder)
    shop.sql("DROP OWNED BY reader; DROP ROLE reader")


def examined(shop: Deployment) -> Examination:
    """What the doctor finds."""
    return examine(lambda: shop.workspace, entropy=os.urandom)


def level(found: Examination, name: str) -> str:
    """How one check came out."""
    return next(check.level for check in found.checks if check.name == name)


def test_a_healthy_deployment_has_only_good_checks(shop: Deployment):
    """Everything a backup needs is examined, and trying the disk leaves nothing behind."""
    before = shop.objects()
    found = examined(shop)
    assert [check for check in found.checks if check.level != "ok" and check.name != "free space"] == []
    assert {check.name for check in found.checks} >= {
        "python", "settings", "embedded server", "database", "database clock", "pg_dump", "tables", "privileges",
        "row security", "repository", "repository writable", "repository clock", "free space",
    }  # fmt: skip
    assert found.exit_code == 0
    assert shop.objects() == before
    assert list((shop.folder / "repository" / "tmp").iterdir()) == []


def test_a_role_that_may_not_read_a_table_fails(reader: Deployment):
    """A backup reads every protected table or none."""
    reader_of = "GRANT SELECT ON meta_import_data, nothing_yet TO reader"
    owner = Deployment(reader.url.replace("reader:r@", "postgres:s3cret-w0rd@"), reader.folder)
    owner.sql(reader_of)
    found = examined(reader)
    (check,) = [check for check in found.checks if check.level == "fail"]
    assert (found.exit_code, check.name) == (1, "privileges")
    assert '"Odd.Names"' in check.text
    assert "meta_import_data" not in check.text
    assert "GRANT SELECT" in check.remedy
    owner.sql('GRANT SELECT ON "Odd.Names" TO reader')
    assert level(examined(reader), "privileges") == "ok"


def test_row_security_that_hides_rows_fails(reader: Deployment):
    """A policy never makes a backup silently smaller; the doctor says so before one is refused."""
    owner = Deployment(reader.url.replace("reader:r@", "postgres:s3cret-w0rd@"), reader.folder)
    owner.sql(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader; ALTER TABLE nothing_yet ENABLE ROW LEVEL SECURITY"
    )
    assert level(examined(reader), "row security") == "fail"
    assert level(examined(owner), "row security") == "ok"


def test_what_cannot_be_reached_is_told_and_the_rest_is_examined(shop: Deployment):
    """A database that is down does not hide the state of the repository, and no password is told."""
    found = examined(Deployment("postgresql://u:hunter2@127.0.0.1:1/d", shop.folder))
    assert (level(found, "database"), level(found, "repository"), found.exit_code) == ("fail", "ok", 1)
    assert "hunter2" not in str(found)


def test_a_missing_repository_and_one_that_cannot_be_written_fail(shop: Deployment):
    """Both are found before the night's backup finds them."""
    (shop.folder / "repository" / "tmp").rmdir() if (shop.folder / "repository" / "tmp").exists() else None
    (shop.folder / "repository" / "tmp").write_text("a file in the way")
    assert level(examined(shop), "repository writable") == "fail"
    elsewhere = Deployment(shop.url, shop.folder / "elsewhere")
    elsewhere.folder.mkdir()
    elsewhere.configure("")
    found = examined(elsewhere)
    assert level(found, "repository") == "fail"
    assert not (elsewhere.folder / "repository").exists()


def test_settings_that_cannot_be_read_are_one_failed_check(shop: Deployment):
    """An unknown key is told with its remedy, not raised."""
    shop.configure("[source]\ntimezon = 'UTC'\n")
    found = examined(shop)
    assert (level(found, "settings"), found.exit_code) == ("fail", 1)
    assert "timezone" in str(found)


def test_a_configured_column_that_does_not_exist_fails_by_name(shop: Deployment):
    """Doctor tells it, config check refuses it."""
    shop.configure('[tables."public.nothing_yet"]\nday = "dya"\n')
    (check,) = [check for check in examined(shop).checks if check.name == "tables"]
    assert check.level == "fail"
    assert "'dya'" in check.text
    with pytest.raises(ConfigurationError, match="'dya'"):
        check_configuration(shop.workspace)


@pytest.mark.parametrize(("seconds", "outcome"), [(0, "ok"), (-59, "ok"), (61, "warn"), (-3600, "warn")])
def test_a_clock_that_is_off_is_a_warning(seconds: float, outcome: str):
    """Ages are told by clocks."""
    assert clock_check("clock", seconds).level == outcome


def test_the_configuration_is_checked_without_a_database_too(shop: Deployment):
    """Where the catalog cannot be asked its part is said to be unknown, and why."""
    connected = check_configuration(shop.workspace)
    settings = {row.name: (row.value, row.origin) for row in connected.settings}
    assert connected.connected
    assert settings['tables."public.nothing_yet".key'] == ("id", "discovered from the catalog")
    alone = check_configuration(Deployment("postgresql://u@127.0.0.1:1/d", shop.folder).workspace)
    assert not alone.connected
    assert "127.0.0.1" in alone.problem
