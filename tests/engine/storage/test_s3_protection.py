"""The doctor says what protects a bucket, found by trying: versioning, object lock, missing rights, or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import botocore.session
import pytest

from moi_backup.errors import StorageError
from moi_backup.operations.doctor import examine
from moi_backup.operations.examine_bucket import judge_protection
from moi_backup.operations.examined import Examined
from moi_backup.storage.address import Bucket
from moi_backup.storage.protection import Protection, Retention
from moi_backup.storage.s3 import S3Store
from moi_backup.storage.s3_access import S3Access
from moi_backup.storage.s3_protection import probe_protection
from tests.engine.storage.seaweed import BUCKET, SECRET, ObjectServer, free_ports
from tests.engine.storage.test_s3_operations import BucketDeployment

PROBE = "leases/doctor/probe"
MakeBucket = Callable[..., Bucket]


@pytest.fixture
def client(s3_server: ObjectServer) -> Any:
    """The server's administrator."""
    return botocore.session.Session().create_client(
        "s3", region_name="us-east-1", endpoint_url=s3_server.endpoint,
        aws_access_key_id="ADMIN", aws_secret_access_key=SECRET,
    )  # fmt: skip


@pytest.fixture
def make_bucket(client: Any) -> MakeBucket:
    """Make a bucket of the test's own."""

    def make(*, versions: bool = False, lock: str | None = None, days: int = 0) -> Bucket:
        name = f"{BUCKET}-{uuid4().hex[:12]}"
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock is not None)
        if versions:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        if days:
            rule = {"DefaultRetention": {"Mode": lock, "Days": days}}
            configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
            client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=configuration)
        return Bucket(name, "moi")

    return make


def probed(bucket: Bucket, access: S3Access, tmp_path: Path) -> Protection:
    """What is found with an object that was just written."""
    S3Store(bucket, scratch=tmp_path, access=access).put(PROBE, b"a probe")
    return probe_protection(bucket, access, name=PROBE)


@pytest.mark.parametrize("user", ["admin", "deleter", "writer"])
def test_a_plain_bucket_keeps_nothing_that_is_overwritten(
    make_bucket: MakeBucket, s3_server: ObjectServer, tmp_path: Path, user: str
):
    """Whoever may delete can delete everything, and whoever may not can still overwrite: a warning in both cases."""
    found, may_delete = probed(make_bucket(), s3_server.access(user), tmp_path), user != "writer"
    assert (found.versioned, found.may_delete, found.may_delete_versions) == (False, may_delete, None)
    told = judge_protection(found)
    assert told.level == "warn"
    assert "nothing keeps" in told.text
    assert ("can delete objects" if may_delete else "but they can overwrite") in told.text
    assert "object lock" in told.remedy


@pytest.mark.parametrize("user", ["admin", "deleter", "writer"])
def test_versions_protect_from_those_who_cannot_delete_them(
    make_bucket: MakeBucket, s3_server: ObjectServer, tmp_path: Path, user: str
):
    """With versioning it is the right to delete versions that counts."""
    found = probed(make_bucket(versions=True), s3_server.access(user), tmp_path)
    assert (found.versioned, found.may_delete) == (True, user != "writer")
    assert found.may_delete_versions == (user == "admin")
    assert judge_protection(found).level == ("warn" if user == "admin" else "ok")


@pytest.mark.parametrize("user", ["admin", "writer"])
def test_object_lock_protects_from_everybody(
    make_bucket: MakeBucket, s3_server: ObjectServer, tmp_path: Path, user: str
):
    """Its days are told, also to credentials that may not ask for the bucket's configuration."""
    found = probed(make_bucket(lock="COMPLIANCE", days=30), s3_server.access(user), tmp_path)
    assert (found.retention, found.may_delete_versions) == (Retention("COMPLIANCE", 30), False)
    told = judge_protection(found)
    assert (told.level, told.remedy) == ("ok", "")
    assert "object lock (compliance) keeps every version for 30 days" in told.text


def test_a_lock_that_a_right_lifts_protects_only_from_those_without_it(
    make_bucket: MakeBucket, s3_server: ObjectServer, tmp_path: Path
):
    """Governance mode: the administrator can delete versions all the same, the backup's credentials cannot."""
    bucket = make_bucket(lock="GOVERNANCE", days=7)
    levels = {u: judge_protection(probed(bucket, s3_server.access(u), tmp_path)).level for u in ("admin", "writer")}
    assert levels == {"admin": "warn", "writer": "ok"}


def test_a_lock_without_retention_is_told_as_such(make_bucket: MakeBucket, s3_server: ObjectServer, tmp_path: Path):
    """A bucket that could lock and does not."""
    told = judge_protection(probed(make_bucket(lock="COMPLIANCE"), s3_server.access(), tmp_path))
    assert (told.level, "gives new objects no retention" in told.text) == ("warn", True)


def test_the_probe_is_all_that_is_deleted(
    make_bucket: MakeBucket, s3_server: ObjectServer, client: Any, tmp_path: Path
):
    """Objects beside it stay, and of the probe neither a version nor a marker is left."""
    bucket = make_bucket(versions=True)
    store = S3Store(bucket, scratch=tmp_path, access=s3_server.access())
    store.put("chain/0000000001", b"history")
    probed(bucket, s3_server.access(), tmp_path)
    listed = client.list_object_versions(Bucket=bucket.name)
    assert [version["Key"] for version in listed["Versions"]] == ["moi/chain/0000000001"]
    assert "DeleteMarkers" not in listed


def test_a_store_that_does_not_answer_is_told_without_the_secret(tmp_path: Path):
    """The failure is named by its kind."""
    access = S3Access(endpoint=f"http://127.0.0.1:{free_ports(1)[0]}", key_id="KEY", secret_key=SECRET)
    with pytest.raises(StorageError, match="could not be found out") as error:
        probe_protection(Bucket("lake"), access, name=PROBE)
    assert SECRET not in repr(error.value)
    assert error.value.__cause__ is None


def test_doctor_tells_what_protects_the_bucket(make_bucket: MakeBucket, s3_server: ObjectServer, tmp_path: Path):
    """One check beside the others; a warning does not fail the examination of the repository."""
    found: dict[str, Examined] = {}
    for lock, days in ((None, 0), ("COMPLIANCE", 1)):
        shop = BucketDeployment(
            "postgresql://u@127.0.0.1:1/d", tmp_path, make_bucket(lock=lock, days=days), s3_server.environ("writer")
        )
        shop.configure("")
        shop.initialise()
        checks = {check.name: check for check in examine(lambda shop=shop: shop.workspace, entropy=os.urandom).checks}
        assert checks["repository writable"].level == "ok", checks
        found[str(lock)] = checks["protection"]
    assert [found[name].level for name in ("None", "COMPLIANCE")] == ["warn", "ok"]
