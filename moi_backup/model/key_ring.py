"""The scope keys of one repository that this process holds (docs/format.md, "Encryption").

A ring is a value: the repository reads and unwraps it once, everything that encrypts or digests is handed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from blake3 import blake3

from moi_backup.errors import WrongKey

DEFAULT_SCOPE = "default"
LASTING = 0
_LASTING_CONTEXT = "moi-backup 1 lasting key: chain entries"
KeyName = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ScopeKey:
    """Key `number` of a scope: 32 bytes that encrypt, and 32 that key its digests (the same for every number)."""

    scope: str
    number: int
    secret: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """As chunk files name it: `financial.2`."""
        return key_name(self.scope, self.number)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """`keys` are held; `withheld` says of every key that exists and is not held why. Both are empty without encryption.

    `current` is the number that a scope's new objects are written under; `destroyed` are the scopes where that key is
    gone for good, so that the next backup makes a new one.
    """

    encrypted: bool = False
    keys: Mapping[KeyName, ScopeKey] = field(default_factory=lambda: MappingProxyType({}))
    withheld: Mapping[KeyName, str] = field(default_factory=lambda: MappingProxyType({}))
    current: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    destroyed: frozenset[str] = frozenset()

    def key(self, scope: str, number: int | None = None) -> ScopeKey:
        """A key by its number (None: the current one); raises WrongKey, which says what is needed."""
        wanted = self.current.get(scope, 1) if number is None else number
        if wanted == LASTING:
            return self._lasting(scope)
        found = self.keys.get((scope, wanted))
        if found is None:
            raise WrongKey(
                f"Key {key_name(scope, wanted)} is needed: {self.why_not((scope, wanted))}.",
                meaning=f"Nothing in scope {scope} can be read or written without it.",
                remedy="See moi-backup key list for what there is and which key opens it.",
            )
        return found

    def digest_key(self, scope: str) -> bytes | None:
        """What keys the digests of a scope; None in a repository without encryption. Raises WrongKey."""
        if not self.encrypted:
            return None
        of_scope = {number: key for (name, number), key in self.keys.items() if name == scope}
        held = of_scope.get(self.current.get(scope, 1)) or next(iter(of_scope.values()), None)
        return self.key(scope).digest if held is None else held.digest

    def exists(self, scope: str, number: int) -> bool:
        """Whether there is such a key, held or not."""
        return (scope, number) in self.keys or (scope, number) in self.withheld

    def holds(self, scope: str) -> bool:
        """Whether what is in a scope can be written and read."""
        return not self.encrypted or (scope, self.current.get(scope, 1)) in self.keys

    def lacks(self, scopes: Iterable[str]) -> dict[str, str]:
        """The scopes among these that are not held, with the reason."""
        missing = sorted({scope for scope in scopes if not self.holds(scope)})
        return {scope: self.why_not((scope, self.current.get(scope, 1))) for scope in missing}

    def why_not(self, name: KeyName) -> str:
        """Why a key is not held."""
        return self.withheld.get(name, "it does not exist")

    def name_digest(self, data: bytes) -> str:
        """What a content-addressed object is called: blake3, keyed where names must reveal nothing."""
        key = self.digest_key(DEFAULT_SCOPE)
        return (blake3(data) if key is None else blake3(data, key=key)).hexdigest()

    def name_hasher(self) -> blake3:
        """A hasher for `name_digest` of what comes in pieces."""
        key = self.digest_key(DEFAULT_SCOPE)
        return blake3() if key is None else blake3(key=key)

    def _lasting(self, scope: str) -> ScopeKey:
        """The key that outlives every rekey, for what is never written anew: derived from the digest key."""
        digest = self.digest_key(scope) or b""
        return ScopeKey(scope, LASTING, blake3(digest, derive_key_context=_LASTING_CONTEXT).digest(), digest)


PLAIN = KeyRing()


def key_name(scope: str, number: int) -> str:
    """`financial.2`."""
    return f"{scope}.{number}"


def parse_key_name(text: str) -> KeyName:
    """Inverse of `key_name`; raises ValueError."""
    scope, _, number = text.rpartition(".")
    if not scope or not number.isdecimal():
        raise ValueError(f"not the name of a key: {text!r}")
    return scope, int(number)
