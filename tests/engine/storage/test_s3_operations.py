"""Whole operations over a bucket: by credentials that cannot delete, through lost answers, by writers that race."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moi_backup.errors import StorageError
from moi_backup.operations.doctor import examine
from moi_backup.operations.expire_backups import expire_backups, undelete_backups
from moi_backup.operations.prune import prune
from moi_backup.operations.query import query
from moi_backup.operations.status import read_status
from moi_backup.operations.sweep import sweep
from moi_backup.operations.verify import verify
from moi_backup.repository.chain import append, published, read_chain
from moi_backup.repository.clock import SystemClock
from moi_backup.repository.identity import own_identity
from moi_backup.repository.leases import acquire
from moi_backup.repository.marks import damaged_chunks, mark_damaged
from moi_backup.repository.repository import open_repository
from moi_backup.storage.address import Bucket
from moi_backup.storage.s3 import S3Store
from tests.engine.deployment import Deployment
from tests.engine.oracle import database_of
from tests.engine.shop import SHOP
from tests.engine.storage.faulty_proxy import LOSE, Fault, FaultyProxy, Request
from tests.engine.storage.seaweed import SECRET, ObjectServer

RACERS, EACH = 3, 4


@dataclass(frozen=True, slots=True)
class BucketDeployment(Deployment):
    """A deployment whose repository is in a bucket; `state` names its state folder, so two may share a bucket."""

    bucket: Bucket
    aws: dict[str, str]
    state: str = "state"

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a process that works here."""
        return {
            "MOI_SOURCE_URL": self.url,
            "MOI_REPOSITORY": str(self.bucket),
            "MOI_STATE": str(self.folder / self.state),
            "MOI_CONFIG": str(self.folder / "moi.toml"),
            **self.aws,
        }


@pytest.fixture
def shop(
    empty_database: Callable[[], str], tmp_path: Path, s3_server: ObjectServer, bucket: Bucket
) -> BucketDeployment:
    """A small shop, backed up by credentials that may read, write and list, and not delete."""
    made = BucketDeployment(empty_database(), tmp_path, bucket, s3_server.environ("writer"))
    made.configure("")
    made.initialise()
    made.sql(SHOP)
    return made


def numbers_of_chain(store: S3Store) -> list[int]:
    """The numbers of the stored chain entries."""
    return [int(info.name.removeprefix("chain/")) for info in store.list("chain/")]


def test_credentials_that_cannot_delete_do_everything_but_delete(shop: BucketDeployment, empty_database):
    """Full and incremental backup, verification of every byte, query, and both kinds of restore prove their rows."""
    before = database_of(shop.url)
    first = shop.back_up()
    shop.sql("DELETE FROM meta_import_data WHERE day = '2025-09-14'; UPDATE meta_import_data SET cpm = 1 WHERE id < 9")
    second = shop.back_up()
    assert [manifest.kind for manifest in shop.backups()] == ["full", "incremental"]
    assert second.manifest.base == first.manifest.id
    found = verify(shop.workspace, read_data=True)
    assert found.exit_code == 0, found.faults
    with query(shop.workspace, first.manifest.id, "SELECT count(*) FROM meta_import_data") as result:
        assert list(result.rows) == [(2000,)]
    target = empty_database()
    assert shop.restore(target, backup=first.manifest.id).complete
    assert database_of(target) == before
    assert shop.restore_in_place(backup=first.manifest.id).complete
    assert database_of(shop.url) == before
    assert [path for path in (shop.folder / "state" / "scratch").rglob("*") if path.is_file()] == []


def test_a_chunk_marked_damaged_is_healed_without_the_right_to_delete_the_mark(shop: BucketDeployment):
    """The chunk is written anew and the backup succeeds; the mark stays, so the next full backup writes it again."""
    shop.back_up()
    store = shop.workspace.store()
    [chunk, *_] = store.list("chunks/")
    stored = chunk.name.rpartition("/")[2].split(".")[1]
    mark_damaged(store, stored=stored)
    store.put(chunk.name, b"rotten")
    shop.back_up(full=True)
    assert shop.faults() == []
    assert damaged_chunks(store) == {stored}


def test_pruning_a_bucket_needs_the_right_to_delete_and_says_so_first(
    shop: BucketDeployment, s3_server: ObjectServer, empty_database
):
    """Without it backups still expire and come back; with it the remaining backup restores exactly."""
    first = shop.back_up().manifest.id
    shop.sql("DELETE FROM meta_import_data WHERE day < '2025-09-14'")
    second = shop.back_up(full=True).manifest.id
    before = database_of(shop.url)
    expire_backups(shop.workspace, [first])
    undelete_backups(shop.workspace, [first])
    expire_backups(shop.workspace, [first])
    kept = shop.objects()
    with pytest.raises(StorageError, match="AccessDenied") as refused:
        prune(shop.workspace, grace_hours=0)
    assert "s3:DeleteObject" in refused.value.remedy
    assert shop.objects() == kept
    allowed = replace(shop, aws=s3_server.environ("admin"))
    done = prune(allowed.workspace, grace_hours=0)
    assert done.deleted == done.plan.objects > 0
    assert [backup.id for backup in done.plan.gone] == [first]
    assert shop.objects().keys() & {f"trash/{first}", f"backups/{first}"} == set()
    assert verify(shop.workspace, read_data=True).exit_code == 0
    target = empty_database()
    assert shop.restore(target, backup=second).complete
    assert database_of(target) == before
    assert [kind.removed for kind in sweep(allowed.workspace).kinds][:2] == [0, 0]


def test_a_backup_gets_through_overload_and_lost_answers(shop: BucketDeployment, proxy: FaultyProxy):
    """Every ninth request is refused with 503, every eleventh carried out and not answered: the backup is complete."""
    count = 0

    def choose(_: Request) -> Fault | None:
        nonlocal count
        count += 1
        return (503, "SlowDown") if count % 9 == 0 else LOSE if count % 11 == 0 else None

    proxy.choose = choose
    through = replace(shop, aws={**shop.aws, "AWS_ENDPOINT_URL": proxy.endpoint}, state="other")
    through.back_up()
    proxy.choose = lambda _: None
    assert numbers_of_chain(shop.workspace.store()) == [1]
    assert verify(shop.workspace, read_data=True).exit_code == 0
    assert count > 20


def test_two_hosts_that_back_up_at_once_keep_the_chain_dense(shop: BucketDeployment):
    """Each waits for the other's lease; all backups are published, none twice, every entry follows the one before."""
    hosts = [replace(shop, state=f"host-{number}") for number in range(2)]

    def back_up(host: BucketDeployment) -> list[str]:
        return [host.back_up(wait=60).manifest.id for _ in range(2)]

    with ThreadPoolExecutor(2) as pool:
        taken = [backup for backups in pool.map(back_up, hosts) for backup in backups]
    repository, chain = shop.workspace.history()
    assert sorted(published(chain)) == sorted(taken)
    assert numbers_of_chain(repository.store) == [1, 2, 3, 4]
    assert shop.faults() == []


def test_writers_that_race_through_lost_answers_lose_nothing(
    shop: BucketDeployment, s3_server: ObjectServer, proxy: FaultyProxy, tmp_path: Path
):
    """Three publishers append at once while answers are lost: each entry is there once and linked to the last."""
    lost = 0

    def choose(request: Request) -> Fault | None:
        nonlocal lost
        lost += request.conditional and "/chain/" in request.path
        return LOSE if request.conditional and "/chain/" in request.path and lost % 4 == 0 else None

    proxy.choose = choose
    access = s3_server.access("writer", endpoint=proxy.endpoint)

    def publish(who: int) -> list[str]:
        store = S3Store(shop.bucket, scratch=tmp_path / str(who), access=access)
        repository = open_repository(store, heads=tmp_path / f"heads-{who}")
        backups = [f"20261124T203000Z-{who:02x}{number:04x}" for number in range(EACH)]
        clock, identity = SystemClock(), own_identity()
        with acquire(store, f"w{who}", operation="race", wait=0, clock=clock, identity=identity) as lease:
            for backup in backups:
                append(
                    repository, action="publish", backup=backup, at=datetime.now(UTC), lease=lease, manifest="1" * 64
                )
        return backups

    with ThreadPoolExecutor(RACERS) as pool:
        expected = [backup for backups in pool.map(publish, range(RACERS)) for backup in backups]
    chain = read_chain(shop.workspace.open())
    assert [entry.seq for entry in chain.entries] == list(range(1, RACERS * EACH + 1))
    assert sorted(entry.backup for entry in chain.entries) == sorted(expected)
    assert lost > RACERS * EACH


def test_status_and_doctor_know_what_a_bucket_is(shop: BucketDeployment):
    """A bucket has no disk to run full; whether it can be written is tried without leaving more than one object."""
    shop.back_up()
    facts = read_status(shop.workspace).repository
    assert (facts.address, facts.disk_free, facts.disk_total) == (str(shop.bucket), None, None)
    for _ in range(2):
        found = examine(lambda: shop.workspace, entropy=os.urandom)
        checks = {check.name: check for check in found.checks}
        assert checks["repository writable"].level == "ok", checks
        assert "conditionally" in checks["repository writable"].text
        assert checks["repository clock"].level == "ok"
    assert [info.name for info in shop.workspace.store().list("leases/doctor/")] == ["leases/doctor/probe"]


def test_doctor_says_that_credentials_can_only_read(shop: BucketDeployment, s3_server: ObjectServer):
    """The check fails by name, with the rights that are missing and without the secret."""
    reader = replace(shop, aws=s3_server.environ("reader"))
    found = examine(lambda: reader.workspace, entropy=os.urandom)
    [check] = [check for check in found.checks if check.name == "repository writable"]
    assert (check.level, found.exit_code) == ("fail", 1)
    assert "s3:PutObject" in check.remedy
    assert SECRET not in repr(found)
