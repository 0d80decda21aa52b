"""A copy in a bucket: made by credentials that cannot delete, restored from, healed from, and the other way round."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from moi_backup.operations.copy_repository import copy_repository
from moi_backup.operations.repair import plan_repair, repair
from moi_backup.operations.verify import verify
from moi_backup.settings import place_named
from moi_backup.storage.address import Bucket
from tests.engine.copies import CopiedDeployment, flip, remove
from tests.engine.oracle import database_of
from tests.engine.shop import SHOP
from tests.engine.storage.faulty_proxy import LOSE, Fault, FaultyProxy, Request
from tests.engine.storage.seaweed import ObjectServer


@dataclass(frozen=True, slots=True)
class CopiedToBucket(CopiedDeployment):
    """A deployment with its repository in a folder and its copy in a bucket."""

    bucket: Bucket
    aws: dict[str, str]

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a process that works here."""
        return {
            "MOI_SOURCE_URL": self.url,
            "MOI_REPOSITORY": str(self.folder / "repository"),
            "MOI_REPOSITORY_COPY": str(self.bucket),
            "MOI_STATE": str(self.folder / "state"),
            "MOI_CONFIG": str(self.folder / "moi.toml"),
            **self.aws,
        }


@pytest.fixture
def shop(empty_database: Callable[[], str], tmp_path: Path, s3_server: ObjectServer, bucket: Bucket) -> CopiedToBucket:
    """A small shop with one backup; the bucket's credentials may read, write and list, and not delete."""
    made = CopiedToBucket(empty_database(), tmp_path, bucket, s3_server.environ("writer"))
    made.configure("")
    made.initialise()
    made.sql(SHOP)
    made.back_up(full=True)
    return made


def test_a_copy_in_a_bucket_is_byte_for_byte_and_restores(shop: CopiedToBucket, empty_database):
    """Made, refreshed, verified whole, and enough when the folder is gone."""
    before = database_of(shop.url)
    assert shop.copy().exit_code == 0
    shop.back_up(full=True)
    refreshed = shop.copy()
    assert (refreshed.exit_code, len(refreshed.backups)) == (0, 1)
    assert shop.in_copy() == shop.objects()
    workspace = shop.workspace
    assert verify(workspace, read_data=True, repository=workspace.open_copy()).exit_code == 0
    shutil.rmtree(shop.folder / "repository")
    target = empty_database()
    result = shop.restore(target)
    assert result.complete
    assert str(shop.bucket) in result.notes[0]
    assert database_of(target) == before
    scratch = shop.folder / "state" / "scratch"
    assert [path for path in scratch.rglob("*") if path.is_file()] == []


def test_a_repository_is_healed_from_a_bucket(shop: CopiedToBucket):
    """Chunks, documents and history, by credentials that only read what they need."""
    shop.copy()
    before = shop.objects()
    for name in (shop.chunks()[0], next(name for name in before if name.startswith("tables/"))):
        flip(shop.file(name))
    remove(shop.file("chain/0000000001"))
    result = repair(shop.workspace, plan_repair(shop.workspace))
    assert (result.exit_code, len(result.healed)) == (0, 3)
    assert shop.objects() == before


def test_a_bucket_is_copied_to_a_folder(shop: CopiedToBucket):
    """The way back, when the folder is gone."""
    shop.copy()
    before = shop.objects()
    (shop.folder / "repository").rename(shop.folder / "gone")
    back = Promoted(shop.url, shop.folder, shop.bucket, shop.aws)
    to = place_named("repository", cwd=shop.folder, setting="--to")
    assert copy_repository(back.workspace, to=to).exit_code == 0
    assert shop.objects() == before


class Promoted(CopiedToBucket):
    """The copy in the place of the repository."""

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a process that works here."""
        ordinary = CopiedToBucket(self.url, self.folder, self.bucket, self.aws).environ
        return {name: value for name, value in ordinary.items() if name != "MOI_REPOSITORY_COPY"} | {
            "MOI_REPOSITORY": str(self.bucket)
        }


def test_a_copy_gets_through_overload_and_lost_answers(shop: CopiedToBucket, proxy: FaultyProxy):
    """Every ninth request is refused, every eleventh carried out and not answered: the copy is whole."""
    count = 0

    def choose(_: Request) -> Fault | None:
        nonlocal count
        count += 1
        return (503, "SlowDown") if count % 9 == 0 else LOSE if count % 11 == 0 else None

    proxy.choose = choose
    through = CopiedToBucket(shop.url, shop.folder, shop.bucket, {**shop.aws, "AWS_ENDPOINT_URL": proxy.endpoint})
    assert through.copy().exit_code == 0
    proxy.choose = lambda _: None
    assert count > 20
    assert shop.in_copy() == shop.objects()
