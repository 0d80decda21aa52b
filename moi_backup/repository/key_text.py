"""Keys as text: `moi-key-1-…` is a master key, `moi-scopes-1-…` some scope keys of one repository.

Both end in a checksum, so a letter that was lost or mistyped is noticed before anything is opened with them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from blake3 import blake3

from moi_backup.errors import WrongKey
from moi_backup.model.key_ring import ScopeKey

MASTER_PREFIX, SCOPES_PREFIX = "moi-key-1-", "moi-scopes-1-"
KEY_BYTES = 32
_CHECKSUM_BYTES = 4
_ID_CONTEXT = "moi-backup 1 key id"
_ID_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class MasterKey:
    """Master key `number`, which wraps scope keys."""

    number: int
    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """What it is recognised by; it tells nothing about the key."""
        return key_id(self.secret)


class _Exported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scope: str
    number: int
    secret: bytes
    digest: bytes


class _Scopes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    repository: str
    keys: tuple[_Exported, ...]


@dataclass(frozen=True, slots=True)
class ExportedScopes:
    """Scope keys of the repository with this id, for a holder who has no master key."""

    repository: str
    keys: tuple[ScopeKey, ...]


def key_id(secret: bytes) -> str:
    """16 hex digits by which a key is recognised."""
    return blake3(secret, derive_key_context=_ID_CONTEXT).hexdigest()[:_ID_CHARACTERS]


def generate_master(entropy: Callable[[int], bytes]) -> str:
    """A new master key as text; `entropy` gives that many random bytes (`os.urandom`)."""
    return MASTER_PREFIX + _encode(entropy(KEY_BYTES))


def export_scopes(repository: str, keys: tuple[ScopeKey, ...]) -> str:
    """Scope keys as text: as secret as the keys themselves."""
    exported = tuple(_Exported(key.scope, key.number, key.secret, key.digest) for key in keys)
    return SCOPES_PREFIX + _encode(msgspec.json.encode(_Scopes(repository, exported)))


def parse_key(text: str, *, number: int, origin: str) -> MasterKey | ExportedScopes:
    """The key in a text; raises WrongKey naming `origin`, and never the text."""
    text = text.strip()
    try:
        if text.startswith(SCOPES_PREFIX):
            return _parse_scopes(_decode(text.removeprefix(SCOPES_PREFIX)))
        return MasterKey(number, _sized(_decode(_without_prefix(text))))
    except (ValueError, msgspec.MsgspecError) as error:
        detail = "its content is none" if isinstance(error, msgspec.MsgspecError) else str(error)
        raise WrongKey(
            f"{origin} holds no key: {detail}.",
            meaning="A key that is not complete opens nothing.",
            remedy="Give the whole line that moi-backup key generate (or key export) printed.",
        ) from None


def _without_prefix(text: str) -> str:
    if not text.startswith(MASTER_PREFIX):
        raise ValueError(f"it begins with neither {MASTER_PREFIX} nor {SCOPES_PREFIX}")
    return text.removeprefix(MASTER_PREFIX)


def _parse_scopes(data: bytes) -> ExportedScopes:
    scopes = msgspec.json.decode(data, type=_Scopes)
    keys = tuple(ScopeKey(key.scope, key.number, _sized(key.secret), _sized(key.digest)) for key in scopes.keys)
    return ExportedScopes(scopes.repository, keys)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data + blake3(data).digest(_CHECKSUM_BYTES)).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("it holds characters that no key has, or was cut") from None
    data, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if blake3(data).digest(_CHECKSUM_BYTES) != checksum:
        raise ValueError("its checksum is wrong, so a character is missing or mistyped")
    return data


def _sized(secret: bytes) -> bytes:
    if len(secret) != KEY_BYTES:
        raise ValueError(f"it has {8 * len(secret)} bits instead of {8 * KEY_BYTES}")
    return secret
