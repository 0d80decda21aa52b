"""The conformance suite: what every store must do, whatever it is made of."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from moi_backup.storage.store import ObjectMissing, Store

NAMES = ["chain/0000000001", "chain/0000000002", "chunks/public.a/2025-09/x.parquet", "chunks/public.a-b/x", "files/f"]


def test_an_object_is_read_as_it_was_put(store: Store):
    """Any bytes come back unchanged, also none."""
    for data in (b"", b"\x00\xff" * 70_000):
        store.put("files/one", data)
        assert store.get("files/one") == data
        assert store.info("files/one").size == len(data)


def test_put_replaces(store: Store):
    """The second put wins, also when it is shorter."""
    store.put("files/one", b"first and longer")
    store.put("files/one", b"second")
    assert store.get("files/one") == b"second"


def test_create_never_replaces(store: Store):
    """Creating a name that exists says so and leaves the old bytes."""
    assert store.create("chain/0000000001", b"first") is True
    assert store.create("chain/0000000001", b"second") is False
    assert store.get("chain/0000000001") == b"first"


def test_only_one_of_many_creators_wins(store: Store):
    """Creating is the compare-and-swap: of eight at the same moment exactly one is told that it succeeded."""
    barrier = Barrier(8)

    def create(number: int) -> bool:
        barrier.wait(10)
        return store.create("chain/0000000001", str(number).encode())

    with ThreadPoolExecutor(8) as pool:
        won = [number for number, success in enumerate(pool.map(create, range(8))) if success]
    assert len(won) == 1
    assert store.get("chain/0000000001") == str(won[0]).encode()


@pytest.mark.parametrize("name", ["files/none", "nothing/at/all", "files"])
def test_a_missing_object_is_missing_to_every_reader(store: Store, name: str):
    """Reading, asking and opening raise ObjectMissing; a folder is no object either."""
    store.put("files/one", b"1")
    with pytest.raises(ObjectMissing):
        store.get(name)
    with pytest.raises(ObjectMissing):
        store.info(name)
    with pytest.raises(ObjectMissing), store.local(name):
        pass


def test_upload_consumes_its_file(store: Store):
    """The object holds the file's bytes and the file is gone; an object of that name is replaced."""
    for data in (b"one" * 1000, b"two"):
        file = store.scratch() / "finished"
        file.write_bytes(data)
        store.upload("chunks/x", file)
        assert store.get("chunks/x") == data
        assert not file.exists()


def test_an_uploaded_object_is_as_new_as_its_upload(store: Store):
    """`modified` is when the store got the object, not when the file was written: a prune's grace counts from there."""
    file = store.scratch() / "finished"
    file.write_bytes(b"x")
    file.touch()
    long_ago = time.time() - 100_000
    os.utime(file, (long_ago, long_ago))
    store.upload("chunks/x", file)
    assert abs(store.info("chunks/x").modified - time.time()) < 60


def test_local_gives_a_file_with_the_bytes(store: Store):
    """Inside the context the object can be read by path."""
    store.put("files/one", b"bytes")
    with store.local("files/one") as path:
        assert Path(path).read_bytes() == b"bytes"
    assert store.get("files/one") == b"bytes"


def test_list_is_in_name_order_and_complete(store: Store):
    """Names come sorted as strings, although `-` sorts before the slash of a folder."""
    for name in reversed(NAMES):
        store.put(name, name.encode())
    assert [(info.name, info.size) for info in store.list("")] == [(name, len(name)) for name in sorted(NAMES)]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("chain/", NAMES[:2]),
        ("chain/000000000", NAMES[:2]),
        ("chunks/public.a/", NAMES[2:3]),
        ("chunks/public.a", sorted(NAMES[2:4])),
        ("ch", sorted(NAMES[:4])),
        ("none/", []),
        ("chain/0000000001/", []),
    ],
)
def test_list_shows_what_begins_with_the_prefix(store: Store, prefix: str, expected: list[str]):
    """A prefix is a string, not a folder."""
    for name in NAMES:
        store.put(name, b"")
    assert [info.name for info in store.list(prefix)] == expected


def test_an_empty_store_lists_nothing(store: Store):
    """Listing makes nothing and finds nothing."""
    assert list(store.list("")) == []


def test_deleting_twice_is_no_error(store: Store):
    """After a deletion the object is missing, and the name can be created again."""
    store.put("files/one", b"1")
    store.delete("files/one")
    store.delete("files/one")
    store.delete("files/one/below")
    with pytest.raises(ObjectMissing):
        store.get("files/one")
    assert store.create("files/one", b"2")


def test_scratch_files_are_no_objects(store: Store):
    """What lies in the scratch folder is never listed."""
    (store.scratch() / "half-written").write_bytes(b"x")
    assert list(store.list("")) == []


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../out", "a/../b", "a//b", "a/", "./a", "tmp/x", "a\\b", "a\0b"])
def test_a_name_never_leads_outside(store: Store, name: str):
    """Absolute, climbing, empty and temporary names are refused before anything is touched."""
    with pytest.raises(ValueError, match="not an object name"):
        store.put(name, b"x")
    with pytest.raises(ValueError, match="not an object name"):
        store.get(name)
    with pytest.raises(ValueError, match="not an object name"):
        store.delete(name)


def test_free_space_is_known_or_without_limit(store: Store):
    """Free bytes are a number, or None where there is nothing to ask; also before the store exists."""
    free = store.free_bytes()
    assert free is None or free > 0
