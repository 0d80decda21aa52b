"""Whether the key that a sealed object names can be its key at all: damage is told from a key that is not held."""

from __future__ import annotations

from moi_backup.model.key_ring import DEFAULT_SCOPE, LASTING, KeyRing, key_name
from moi_backup.repository import layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.sealing import key_number
from moi_backup.storage.store import ObjectMissing, Store


def require_possible_key(stored: bytes, *, name: str, ring: KeyRing, store: Store) -> None:
    """Raise DamagedObject where the object (at least its first bytes) names a key that does not exist.

    Keys are numbered without gaps, so a number above the current one was never written, and below it the key is gone.
    One that was made after the ring was read exists: that is no damage.
    """
    number = key_number(stored, name=name) if ring.encrypted else LASTING
    if number == LASTING or ring.exists(DEFAULT_SCOPE, number):
        return
    key = layout.key_name(DEFAULT_SCOPE, number)
    if _exists(store, key):
        return
    if number < ring.current.get(DEFAULT_SCOPE, 1):
        raise DamagedObject(key, "missing", f"is missing, and {name} needs it")
    detail = f"says it was encrypted under the key {key_name(DEFAULT_SCOPE, number)}, which does not exist"
    raise DamagedObject(name, "content", detail)


def _exists(store: Store, name: str) -> bool:
    try:
        store.info(name)
    except ObjectMissing:
        return False
    return True
