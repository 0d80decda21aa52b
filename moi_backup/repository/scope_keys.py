"""`keys/<scope>/<n>`: the scope keys of a repository, each wrapped by a master key (docs/format.md, "Encryption").

An entry is created once and later replaced whole: wrapped anew by `rewrap`, emptied for good by `destroy_key`. The
object is the blake3 of the document in hex, a newline, and the document: damage is told from a key that does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import MappingProxyType

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moi_backup.errors import WrongKey
from moi_backup.model.key_ring import DEFAULT_SCOPE, KeyName, KeyRing, ScopeKey, key_name
from moi_backup.repository import documents, layout
from moi_backup.repository.damage import DamagedObject
from moi_backup.repository.key_sources import GivenKeys
from moi_backup.repository.key_text import KEY_BYTES, MasterKey, key_id
from moi_backup.storage.store import ObjectMissing, Store

_NONCE_BYTES = 12


class KeyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`wrapped`: nonce and AES-256-GCM of the key and the scope's digest key, under master key `master` (`master_id`).

    `key_id` recognises the scope key itself. `rotation` counts how often it was wrapped; a destroyed key has no
    `wrapped`.
    """

    scope: str
    number: int
    created_at: str
    key_id: str
    master: int
    master_id: str
    rotation: int
    wrapped: bytes
    destroyed_at: str = ""
    format: int = documents.FORMAT

    @property
    def name(self) -> str:
        """Its object."""
        return layout.key_name(self.scope, self.number)


def read_entries(store: Store) -> list[KeyEntry]:
    """All entries; raises DamagedObject for one that is not as written."""
    return [_read(store, info.name) for info in list(store.list(layout.KEYS))]


def read_ring(store: Store, given: GivenKeys, *, repository: str) -> KeyRing:
    """The ring of an encrypted repository; raises WrongKey when scope `default`, which opens all else, is not held."""
    entries = read_entries(store)
    if not any(entry.scope == DEFAULT_SCOPE for entry in entries):
        raise DamagedObject(layout.key_name(DEFAULT_SCOPE, 1), "missing", "is missing from an encrypted repository")
    opened = {(entry.scope, entry.number): open_entry(entry, given, repository=repository) for entry in entries}
    current = {scope: max(e.number for e in entries if e.scope == scope) for scope in {e.scope for e in entries}}
    ring = KeyRing(
        encrypted=True,
        keys=MappingProxyType({name: key for name, key in opened.items() if isinstance(key, ScopeKey)}),
        withheld=MappingProxyType({name: why for name, why in opened.items() if isinstance(why, str)}),
        current=MappingProxyType(current),
        destroyed=frozenset(
            entry.scope for entry in entries if entry.destroyed_at and entry.number == current[entry.scope]
        ),
    )
    ring.key(DEFAULT_SCOPE)
    return ring


def create_key(
    store: Store,
    *,
    repository: str,
    scope: str,
    number: int,
    digest: bytes | None,
    master: MasterKey,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> ScopeKey | None:
    """Make key `number` of a scope; None when another process has made it. `digest` None: this is the scope's first."""
    key = ScopeKey(scope, number, entropy(KEY_BYTES), digest or entropy(KEY_BYTES))
    entry = KeyEntry(
        scope=scope,
        number=number,
        created_at=documents.timestamp(now),
        key_id=key_id(key.secret),
        master=master.number,
        master_id=master.id,
        rotation=1,
        wrapped=_wrap(key, master, repository=repository, entropy=entropy),
    )
    return key if store.create(entry.name, _encode(entry)) else None


def rewrap(
    store: Store, entry: KeyEntry, key: ScopeKey, *, master: MasterKey, repository: str, entropy: Callable[[int], bytes]
) -> KeyEntry:
    """Replace an entry by the same key under another master key, and read it back."""
    return _replace(
        store,
        msgspec.structs.replace(
            entry,
            master=master.number,
            master_id=master.id,
            rotation=entry.rotation + 1,
            wrapped=_wrap(key, master, repository=repository, entropy=entropy),
        ),
    )


def destroy_key(store: Store, entry: KeyEntry, *, now: datetime) -> KeyEntry:
    """Replace an entry by one without its key; what was encrypted under it can never be read again."""
    return _replace(store, msgspec.structs.replace(entry, wrapped=b"", destroyed_at=documents.timestamp(now)))


def _replace(store: Store, entry: KeyEntry) -> KeyEntry:
    store.put(entry.name, _encode(entry))
    found = _read(store, entry.name)
    if _encode(found) != _encode(entry):
        raise DamagedObject(entry.name, "content", "is not what was just written")
    return found


def open_entry(entry: KeyEntry, given: GivenKeys, *, repository: str) -> ScopeKey | str:
    """The key of an entry, or why it is not held."""
    if entry.destroyed_at:
        return f"it was destroyed at {entry.destroyed_at}"
    for master in given.masters:
        if master.id == entry.master_id:
            return _unwrap(entry, master, repository=repository)
    for exported in given.exported:
        for key in exported.keys:
            if _names(key) == (entry.scope, entry.number) and key_id(key.secret) == entry.key_id:
                return key
    return _why_withheld(entry, given)


def _why_withheld(entry: KeyEntry, given: GivenKeys) -> str:
    needed = f"it opens with master key {entry.master} (id {entry.master_id})"
    same = next((master for master in given.masters if master.number == entry.master), None)
    if same is not None:
        return f"{needed}, and MOI_KEY_{entry.master} is another key (id {same.id})"
    if given.masters:
        numbers = ", ".join(f"MOI_KEY_{master.number}" for master in given.masters)
        return f"{needed}, which is none of {numbers}"
    if given.exported:
        retired = any(key.scope == entry.scope for exported in given.exported for key in exported.keys)
        return f"{needed}; the exported keys hold {'only an older key of it' if retired else 'nothing of its scope'}"
    return f"{needed}, and no key is configured: set MOI_KEY_{entry.master}"


def _names(key: ScopeKey) -> KeyName:
    return key.scope, key.number


def _read(store: Store, name: str) -> KeyEntry:
    try:
        data = store.get(name)
    except ObjectMissing as error:
        raise DamagedObject(name, "missing", "is missing") from error
    checksum, _, document = data.partition(b"\n")
    if checksum != documents.digest_of(document).encode():
        raise DamagedObject(name, "content", "has the wrong checksum")
    entry = documents.decode_document(document, KeyEntry, name=name)
    if entry.name != name:
        raise DamagedObject(name, "inconsistent", f"is the key {key_name(entry.scope, entry.number)}")
    return entry


def _encode(entry: KeyEntry) -> bytes:
    document = documents.encode_document(entry)
    return documents.digest_of(document).encode() + b"\n" + document


def _wrap(key: ScopeKey, master: MasterKey, *, repository: str, entropy: Callable[[int], bytes]) -> bytes:
    nonce = entropy(_NONCE_BYTES)
    return nonce + AESGCM(master.secret).encrypt(nonce, key.secret + key.digest, _bound_to(key, repository))


def _unwrap(entry: KeyEntry, master: MasterKey, *, repository: str) -> ScopeKey:
    key = ScopeKey(entry.scope, entry.number, b"", b"")
    try:
        nonce, wrapped = entry.wrapped[:_NONCE_BYTES], entry.wrapped[_NONCE_BYTES:]
        plain = AESGCM(master.secret).decrypt(nonce, wrapped, _bound_to(key, repository))
    except (InvalidTag, ValueError):
        detail = f"does not open with the key that wrapped it for the id in {layout.REPOSITORY}: one was replaced"
        raise DamagedObject(entry.name, "content", detail) from None
    return ScopeKey(entry.scope, entry.number, plain[:KEY_BYTES], plain[KEY_BYTES:])


def _bound_to(key: ScopeKey, repository: str) -> bytes:
    return f"{repository} {layout.key_name(key.scope, key.number)}".encode()


def require_master(given: GivenKeys) -> MasterKey:
    """The newest master key; raises WrongKey for a holder of exported scopes alone."""
    if given.newest is None:
        raise WrongKey(
            "No master key is configured.",
            meaning="Scope keys are made and wrapped by a master key; exported scopes can only read and write.",
            remedy="Set MOI_KEY_<n> to the repository's master key.",
        )
    return given.newest
