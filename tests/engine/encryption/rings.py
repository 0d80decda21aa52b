"""Key rings for tests that need no repository."""

from __future__ import annotations

import os
from types import MappingProxyType

from moi_backup.model.key_ring import KeyRing, ScopeKey


def ring(*scopes: str, withheld: str = "", number: int = 1) -> KeyRing:
    """A ring with a random key for each scope; the key of `withheld` exists and is not held."""
    keys = {(scope, number): ScopeKey(scope, number, os.urandom(32), os.urandom(32)) for scope in scopes}
    return KeyRing(
        encrypted=True,
        keys=MappingProxyType(keys),
        withheld=MappingProxyType({(withheld, number): "it opens with master key 7"} if withheld else {}),
        current=MappingProxyType(dict.fromkeys([*scopes, *([withheld] if withheld else [])], number)),
    )


def without(held: KeyRing, scope: str) -> KeyRing:
    """The same ring for a holder who has not this scope."""
    keys = {name: key for name, key in held.keys.items() if name[0] != scope}
    lacking = {name: "it opens with master key 7" for name in held.keys if name[0] == scope}
    return KeyRing(
        encrypted=True, keys=MappingProxyType(keys), withheld=MappingProxyType(lacking), current=held.current
    )
