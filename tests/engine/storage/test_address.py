"""Addresses: which place they name, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from moi_backup.errors import ConfigurationError
from moi_backup.storage.address import Bucket, parse_address
from moi_backup.storage.local import LocalStore
from moi_backup.storage.opening import open_store
from moi_backup.storage.s3 import S3Store
from moi_backup.storage.s3_access import S3Access

ACCESS = S3Access("http://127.0.0.1:1", key_id="KEY", secret_key="secret")


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("s3://lake", Bucket("lake")),
        ("s3://lake/", Bucket("lake")),
        ("S3://lake.of-data/", Bucket("lake.of-data")),
        ("s3://lake/moi/backups/", Bucket("lake", "moi/backups")),
        ("s3://lake/a%41b", Bucket("lake", "a%41b")),
    ],
)
def test_a_bucket_and_its_prefix_are_taken_literally(address: str, bucket: Bucket):
    """Slashes at the ends do not count, nothing is decoded, and the text names the same place again."""
    assert parse_address(address, setting="x") == bucket
    assert parse_address(str(bucket), setting="x") == bucket


@pytest.mark.parametrize(
    "address",
    [
        "s3:lake",
        "s3:/lake",
        "s3://",
        "s3:///moi",
        "s3://KEY:hunter2@lake/moi",
        "s3://lake:9000/moi",
        "s3://la ke",
        "s3://lake/moi?secret=hunter2",
        "s3://lake/a/../b",
        "s3://lake/a//b",
        "s3://lake/a\\b",
    ],
)
def test_what_names_no_bucket_is_refused_without_being_repeated(address: str):
    """Someone may have put a key into it."""
    with pytest.raises(ConfigurationError, match="MOI_REPOSITORY begins with s3: and names no bucket") as caught:
        parse_address(address, setting="MOI_REPOSITORY")
    assert "hunter2" not in str(caught.value)
    assert "AWS_" in caught.value.remedy


@pytest.mark.parametrize("address", ["gs://b/p", "az://b", "sftp://h/p", "https://h/p", "s3a://b"])
def test_another_scheme_is_refused_by_its_name(tmp_path: Path, address: str):
    """Nothing is ever written into a folder named like a scheme."""
    with pytest.raises(ConfigurationError, match=f"begins with {address.partition(':')[0]}:"):
        open_store(address, scratch=tmp_path, access=ACCESS)


def test_an_address_opens_the_store_it_names(tmp_path: Path):
    """A path, a file address and a bucket; none is touched by opening it."""
    for address in (f"{tmp_path}/repository", f"file://{tmp_path}/repository"):
        store = open_store(address, scratch=tmp_path / "scratch", access=ACCESS)
        assert isinstance(store, LocalStore)
        assert store.address == f"{tmp_path}/repository"
    store = open_store("s3://lake/moi/", scratch=tmp_path / "scratch", access=ACCESS)
    assert isinstance(store, S3Store)
    assert store.address == "s3://lake/moi"
    assert store.scratch() == tmp_path / "scratch"
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
