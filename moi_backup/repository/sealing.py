"""Whole objects under AES-256-GCM, bound to their names (docs/format.md, "Encryption"). Chunks are Parquet's matter.

A sealed object: `MOI1`, the key's number (4 bytes, big-endian), 12 bytes of nonce, the ciphertext, 16 bytes of tag.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moi_backup.model.key_ring import DEFAULT_SCOPE, KeyRing
from moi_backup.repository.damage import DamagedObject

MAGIC = b"MOI1"
NONCE_BYTES, TAG_BYTES = 12, 16
_HEADER = struct.Struct(">4sI12s")
OVERHEAD = _HEADER.size + TAG_BYTES
_PIECE = 1 << 20


def seal(data: bytes, *, name: str, ring: KeyRing, number: int | None = None) -> bytes:
    """The bytes to store under `name`; without encryption the data itself. `number` 0 is the lasting key."""
    if not ring.encrypted:
        return data
    key = ring.key(DEFAULT_SCOPE, number)
    nonce = os.urandom(NONCE_BYTES)
    return _HEADER.pack(MAGIC, key.number, nonce) + AESGCM(key.secret).encrypt(nonce, data, name.encode())


def unseal(stored: bytes, *, name: str, ring: KeyRing) -> bytes:
    """Inverse of `seal`. Raises DamagedObject for what was not sealed under this name, WrongKey without its key."""
    if not ring.encrypted:
        return stored
    number, nonce = _header(stored, name)
    try:
        secret = ring.key(DEFAULT_SCOPE, number).secret
        return AESGCM(secret).decrypt(nonce, stored[_HEADER.size :], name.encode())
    except InvalidTag:
        raise _forged(name) from None


def seal_file(source: Path, target: Path, *, name: str, ring: KeyRing) -> None:
    """Seal a file of any size into another, piece by piece."""
    key, nonce = ring.key(DEFAULT_SCOPE), os.urandom(NONCE_BYTES)
    encryptor = Cipher(algorithms.AES(key.secret), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(name.encode())
    with source.open("rb") as reading, target.open("xb") as writing:
        writing.write(_HEADER.pack(MAGIC, key.number, nonce))
        while piece := reading.read(_PIECE):
            writing.write(encryptor.update(piece))
        writing.write(encryptor.finalize() + encryptor.tag)


def unseal_file(source: Path, target: Path, *, name: str, ring: KeyRing) -> None:
    """Inverse of `seal_file`; `target` may be used only when this returns, for the tag stands at the end."""
    remaining = source.stat().st_size - OVERHEAD
    with source.open("rb") as reading, target.open("xb") as writing:
        number, nonce = _header(reading.read(_HEADER.size), name)
        key = ring.key(DEFAULT_SCOPE, number)
        decryptor = Cipher(algorithms.AES(key.secret), modes.GCM(nonce)).decryptor()
        decryptor.authenticate_additional_data(name.encode())
        while remaining > 0 and (piece := reading.read(min(_PIECE, remaining))):
            writing.write(decryptor.update(piece))
            remaining -= len(piece)
        try:
            decryptor.finalize_with_tag(reading.read())
        except (InvalidTag, ValueError):
            raise _forged(name) from None


def first_bytes(sealed: Path) -> bytes:
    """As much of a sealed file as `key_number` needs."""
    with sealed.open("rb") as reading:
        return reading.read(_HEADER.size)


def key_number(stored: bytes, *, name: str) -> int:
    """The number of the key that an object was sealed with."""
    return _header(stored, name)[0]


def _header(stored: bytes, name: str) -> tuple[int, bytes]:
    if len(stored) < _HEADER.size:
        raise _forged(name)
    magic, number, nonce = _HEADER.unpack_from(stored)
    if magic != MAGIC:
        raise _forged(name)
    return number, nonce


def _forged(name: str) -> DamagedObject:
    return DamagedObject(name, "content", "is not what was encrypted under this name")
