"""The row digest written again from docs/format.md alone, in plain Python.

Slow, obvious, and sharing no code with the engine.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

from blake3 import blake3

PLAIN: Mapping[str, bytes] = {}
_NAN = {"float": b"\x00\x00\xc0\x7f", "double": b"\x00\x00\x00\x00\x00\x00\xf8\x7f"}
_PACK = {"int16": "<h", "int32": "<i", "int64": "<q", "float": "<f", "double": "<d", "date32[day]": "<i"}


def part_digest(columns: list[tuple[str, str, list[Any]]], keys: Mapping[str, bytes] = PLAIN) -> str:
    """Digest of columns (name, arrow type, values); `keys` are the digest keys by column in an encrypted repository."""
    ordered = sorted(columns, key=lambda column: column[0].encode())
    count = len(ordered[0][2])
    header = json.dumps([[name, kind] for name, kind, _ in ordered], separators=(",", ":"), ensure_ascii=False)
    digests = b"".join(column_digest(kind, values, keys.get(name)) for name, kind, values in ordered)
    data = b"moi-backup rows 1\n" + header.encode() + b"\n" + str(count).encode() + b"\n" + digests
    return blake3(data).hexdigest()


def column_digest(kind: str, values: list[Any], key: bytes | None = None) -> bytes:
    """16 bytes over validity and values."""
    data = bitmap([value is not None for value in values])
    if kind == "bool":
        data += bitmap([bool(value) for value in values])
    elif kind in ("string", "binary"):
        encoded = [b"" if v is None else v.encode() if isinstance(v, str) else v for v in values]
        offsets = [sum(len(e) for e in encoded[:index]) for index in range(len(encoded) + 1)]
        data += b"".join(struct.pack("<q", offset) for offset in offsets) + b"".join(encoded)
    else:
        data += b"".join(fixed(kind, value) for value in values)
    return blake3(data, key=key).digest(length=16)


def fixed(kind: str, value: Any) -> bytes:
    """One fixed-width value, a null as zeros."""
    if kind.startswith("decimal128"):
        scale = int(kind.rstrip(")").split(", ")[1])
        unscaled = 0 if value is None else int(value.scaleb(scale))
        return unscaled.to_bytes(16, "little", signed=True)
    if kind == "fixed_size_binary[16]":
        return bytes(16) if value is None else value
    if kind.startswith("timestamp"):
        return struct.pack("<q", value or 0)
    if value is not None and kind in _NAN and math.isnan(value):
        return _NAN[kind]
    return struct.pack(_PACK[kind], 0 if value is None else value)


def bitmap(bits: list[bool]) -> bytes:
    """Least significant bit first, padded with zeros."""
    data = bytearray((len(bits) + 7) // 8)
    for index, bit in enumerate(bits):
        data[index // 8] |= bit << (index % 8)
    return bytes(data)
