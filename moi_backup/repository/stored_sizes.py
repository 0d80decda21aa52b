"""Which objects are there and how large they are: listed once where asking for each would wait for the network."""

from __future__ import annotations

from collections.abc import Iterable

from moi_backup.storage.store import ObjectMissing, Store


class StoredSizes:
    """Sizes of stored objects by name. Safe for threads.

    What was listed counts as it was then. What the listing lacks is asked for by itself: a listing that is made while
    objects are written may leave one out.
    """

    def __init__(self, store: Store, prefixes: Iterable[str] = ()) -> None:
        """List everything below the prefixes now; without any, each object is asked for."""
        self._store = store
        self._sizes = {info.name: info.size for prefix in prefixes for info in store.list(prefix)}

    def of(self, name: str) -> int | None:
        """The size of an object in bytes; None when it is not there."""
        found = self._sizes.get(name)
        return self._ask(name) if found is None else found

    def _ask(self, name: str) -> int | None:
        try:
            return self._store.info(name).size
        except ObjectMissing:
            return None


def sizes_below(store: Store, prefixes: Iterable[str]) -> StoredSizes:
    """For many questions about objects below the prefixes: listed, unless the store answers each at once."""
    return StoredSizes(store, prefixes if store.requests_at_once > 1 else ())
