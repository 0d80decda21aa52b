"""Sizes of objects: from one listing where each question would wait, and never wrong about what a listing lacks."""

from __future__ import annotations

from collections.abc import Iterator

from moi_backup.repository.stored_sizes import StoredSizes, sizes_below
from moi_backup.storage.local import LocalStore
from moi_backup.storage.store import ObjectInfo


class DistantStore(LocalStore):
    """A folder that is asked as a bucket is; `asked` are the objects asked for by themselves."""

    requests_at_once = 8

    def __init__(self, root) -> None:
        super().__init__(root)
        self.asked: list[str] = []
        self.hidden: set[str] = set()

    def info(self, name: str) -> ObjectInfo:
        self.asked.append(name)
        return super().info(name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return (info for info in super().list(prefix) if info.name not in self.hidden)


def test_listed_objects_are_not_asked_for(tmp_path):
    """One listing answers for all objects below its prefixes."""
    store = DistantStore(tmp_path)
    for name, data in (("chunks/a/1", b"12"), ("chunks/a/2", b"123")):
        store.put(name, data)
    sizes = sizes_below(store, ("chunks/a/",))
    assert [sizes.of("chunks/a/1"), sizes.of("chunks/a/2")] == [2, 3]
    assert store.asked == []


def test_what_a_listing_lacks_is_asked_for(tmp_path):
    """An object a listing left out is found; one that is not there is None."""
    store = DistantStore(tmp_path)
    store.put("chunks/a/1", b"12")
    store.hidden = {"chunks/a/1"}
    sizes = sizes_below(store, ("chunks/a/",))
    assert (sizes.of("chunks/a/1"), sizes.of("chunks/a/2")) == (2, None)


def test_a_store_that_answers_at_once_is_not_listed(tmp_path):
    """Asking a folder for a few objects is quicker than listing its many."""
    store = LocalStore(tmp_path)
    store.put("chunks/a/1", b"12")
    sizes = sizes_below(store, ("chunks/a/",))
    store.put("chunks/a/1", b"1234")
    assert sizes.of("chunks/a/1") == 4
    assert StoredSizes(store, ("chunks/a/",)).of("chunks/a/1") == 4
