"""Parquet's modular encryption: a data key a column, wrapped by the key of the column's scope; the footer by `default`.

Every column is named to pyarrow: one that is not would be written in the clear. Its list of columns is a text that
commas and colons cut, so in an encrypted file a column is called by the hex of its name.
"""

# pyarrow's stubs leave the types of its encryption unknown, and say str where `unwrap_key` returns bytes.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet.encryption as pe
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moi_backup.model.key_ring import DEFAULT_SCOPE, KeyRing, parse_key_name
from moi_backup.model.table import Column

DATA_KEY_BYTES = 32
_NONCE_BYTES = 12


class ScopeKeys(pe.KmsClient):
    """Wraps and unwraps data keys by the keys of a ring, which files call `financial.2`.

    One serves one file, which asks for the same data key about six times: it is unwrapped once.
    """

    def __init__(self, ring: KeyRing) -> None:
        super().__init__()
        self._ring = ring
        self._unwrapped: dict[tuple[str, str], bytes] = {}

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        """The data key under the scope key, as base64; refuses a data key that has not 256 bits."""
        if len(key_bytes) != DATA_KEY_BYTES:
            raise ValueError(f"a data key of {8 * len(key_bytes)} bits instead of {8 * DATA_KEY_BYTES}")
        nonce = os.urandom(_NONCE_BYTES)
        wrapped = self._cipher(master_key_identifier).encrypt(nonce, key_bytes, master_key_identifier.encode())
        return base64.b64encode(nonce + wrapped).decode()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        """Inverse of `wrap_key`; raises WrongKey when the ring has not the key, ValueError when it does not open."""
        asked = master_key_identifier, wrapped_key
        if asked not in self._unwrapped:
            self._unwrapped[asked] = self._unwrap(base64.b64decode(wrapped_key), master_key_identifier)
        return self._unwrapped[asked]

    def _unwrap(self, wrapped: bytes, name: str) -> bytes:
        try:
            return self._cipher(name).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], name.encode())
        except InvalidTag:
            raise ValueError(f"a data key does not open with {name}") from None

    def _cipher(self, name: str) -> AESGCM:
        scope, number = parse_key_name(name)
        return AESGCM(self._ring.key(scope, number).secret)


def column_in_file(name: str, ring: KeyRing) -> str:
    """What a column is called in the files of a repository."""
    return name.encode().hex() if ring.encrypted else name


def name_of_column(name: str, ring: KeyRing) -> str:
    """The column that is called so in the files of a repository."""
    return bytes.fromhex(name).decode() if ring.encrypted else name


def scopes_in_file(columns: Sequence[Column], ring: KeyRing) -> list[str]:
    """The current keys that a file of these columns is written under, by name; none without encryption."""
    if not ring.encrypted:
        return []
    return [ring.key(scope).name for scope in sorted({DEFAULT_SCOPE, *(column.scope for column in columns)})]


def encryption(columns: Sequence[Column], ring: KeyRing) -> Any:
    """The properties of a writer; None without encryption. Raises WrongKey for a scope that is not held."""
    if not ring.encrypted:
        return None
    names: dict[str, Any] = {}
    for column in columns:
        names.setdefault(ring.key(column.scope).name, []).append(column_in_file(column.name, ring))
    configuration = pe.EncryptionConfiguration(
        footer_key=ring.key(DEFAULT_SCOPE).name,
        column_keys=names,
        encryption_algorithm="AES_GCM_V1",
        plaintext_footer=False,
        double_wrapping=False,  # with it, and without the next line, keys of 128 bits appear silently
        data_key_length_bits=8 * DATA_KEY_BYTES,
    )
    return _factory(ring).file_encryption_properties(pe.KmsConnectionConfig(), configuration)


def decryption(ring: KeyRing) -> Any:
    """The properties of a reader; None without encryption."""
    if not ring.encrypted:
        return None
    return _factory(ring).file_decryption_properties(pe.KmsConnectionConfig(), pe.DecryptionConfiguration())


def _factory(ring: KeyRing) -> Any:
    return pe.CryptoFactory(lambda _: ScopeKeys(ring))
