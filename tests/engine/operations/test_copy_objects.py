"""Objects on their way: small in memory, large through a file, both verified before they are written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3

from moi_backup.errors import StorageError
from moi_backup.operations import copy_objects
from moi_backup.operations.copy_objects import ObjectCopier
from moi_backup.repository.documents import compress
from moi_backup.repository.name_checks import NameChecks
from moi_backup.storage.local import LocalStore
from moi_backup.storage.store import ObjectInfo

LARGE, SMALL = os.urandom(3 << 20), b"small"
DIGEST = "d" * 64


def chunk(data: bytes, suffix: str = "") -> str:
    """The name of a chunk of these bytes."""
    return f"chunks/public.sales/2025-09/{DIGEST}.{blake3(data).hexdigest()}{suffix}.parquet"


@pytest.fixture
def copier(tmp_path: Path) -> ObjectCopier:
    """From one folder to another."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    source, target = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "target")
    return ObjectCopier(source, target, NameChecks({}, encrypted=False), scratch)


def copied(copier: ObjectCopier, names: list[str]) -> dict[str, str]:
    """Copy what is there under these names; the refused ones with the reason."""
    seen: list[ObjectInfo] = []
    there = {info.name: info for info in copier.source.list("")}
    infos = [there.get(name, ObjectInfo(name, len(LARGE), 0.0)) for name in names]
    refused = copier.copy(infos, done=seen.append)
    assert seen == infos
    assert list(copier.scratch.iterdir()) == []
    return {failed.object: failed.detail for failed in refused}


@pytest.mark.parametrize("data", [LARGE, SMALL])
def test_an_object_arrives_as_it_is_named(copier: ObjectCopier, data: bytes):
    """Chunks by their stored hash (also where the name was given a second time), tables by their content."""
    packed = compress(data.hex().encode())
    objects = {
        chunk(data): data,
        chunk(data, "~12"): data,
        f"files/{blake3(data).hexdigest()}": data,
        f"tables/{blake3(data.hex().encode()).hexdigest()}": packed,
        "keys/default/1": data,
    }
    for name, stored in objects.items():
        copier.source.put(name, stored)
    assert copied(copier, list(objects)) == {}
    assert {info.name: copier.target.get(info.name) for info in copier.target.list("")} == objects


@pytest.mark.parametrize("data", [LARGE, SMALL])
def test_what_is_not_as_named_never_arrives(copier: ObjectCopier, data: bytes):
    """Rotten chunks, files and tables; the sound one beside them does."""
    rotten = bytes([data[0] ^ 1]) + data[1:]
    bad = [chunk(data), f"files/{blake3(data).hexdigest()}", f"tables/{blake3(data).hexdigest()}"]
    for name, stored in zip(bad, [rotten, rotten, compress(rotten)], strict=True):
        copier.source.put(name, stored)
    copier.source.put(chunk(data, "~1"), data)
    refused = copied(copier, [*bad, chunk(data, "~1")])
    assert set(refused) == set(bad)
    assert all("hash" in detail for detail in refused.values())
    assert [info.name for info in copier.target.list("")] == [chunk(data, "~1")]


def test_an_object_that_went_away_or_cannot_be_read_is_refused_alone(copier: ObjectCopier):
    """A prune of the source, a folder in its place."""
    (Path(copier.source.address) / chunk(SMALL)).mkdir(parents=True)
    copier.source.put(chunk(LARGE), LARGE)
    refused = copied(copier, [chunk(b"gone"), chunk(SMALL), chunk(LARGE)])
    assert refused[chunk(b"gone")] == "is not there any more"
    assert set(refused) == {chunk(b"gone"), chunk(SMALL)}


@pytest.mark.parametrize("data", [LARGE, SMALL])
def test_a_target_that_refuses_a_write_is_an_error_and_no_fault_of_the_source(copier: ObjectCopier, data: bytes):
    """The copy stops there and says which place it was."""
    copier.source.put(chunk(data), data)
    (Path(copier.target.address)).mkdir()
    (Path(copier.target.address) / "chunks").write_text("in the way")
    with pytest.raises(StorageError, match=copier.target.address):
        copied(copier, [chunk(data)])


def test_a_full_scratch_folder_is_an_error_of_the_target(copier: ObjectCopier):
    """Where the file on its way cannot be written, the target has no room."""
    copier.source.put(chunk(LARGE), LARGE)
    copier.scratch.rmdir()
    with pytest.raises(StorageError, match=copier.target.address):
        copier.copy(list(copier.source.list("")), done=lambda _: None)


def test_many_objects_travel_and_each_is_told_once_in_order(copier: ObjectCopier):
    """More than are on their way at a time."""
    names = [chunk(str(number).encode()) for number in range(40 * copy_objects.ON_DISKS)]
    for number, name in enumerate(names):
        copier.source.put(name, str(number).encode())
    assert copied(copier, names) == {}
    assert len(list(copier.target.list(""))) == len(names)
