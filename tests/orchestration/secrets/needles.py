"""What a secret looks like when it was written somewhere: as it is, encoded, or half of it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote_from_bytes

HALF_FROM = 24
"""A secret of so many bytes is looked for by its halves: each is distinctive, and a part of it is a leak too."""


def forms(secret: bytes) -> dict[str, bytes]:
    """The encodings of a secret by name; each is found wherever in a longer text it stands."""
    found = {
        "raw": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "percent": quote_from_bytes(secret, safe="").encode(),
        "repr": repr(secret)[2:-1].encode(),
    }
    for offset in range(3):  # where in a group of three bytes the secret begins
        standard = _base64(secret, offset)
        found[f"base64 at {offset}"] = standard
        found[f"base64url at {offset}"] = standard.replace(b"+", b"-").replace(b"/", b"_")
    return found


def needles(secrets: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    """All that is looked for, with its name."""
    return [
        (f"{name} ({part}, {form})", text)
        for name, secret in secrets.items()
        for part, piece in _pieces(secret)
        for form, text in forms(piece).items()
    ]


def found_in(places: Iterable[tuple[str, bytes]], wanted: Iterable[tuple[str, bytes]]) -> list[str]:
    """Which secret stands where; the secrets themselves are not repeated."""
    wanted = list(wanted)
    return [f"{name} in {place}" for place, data in places for name, needle in wanted if needle in data]


def _pieces(secret: bytes) -> Iterator[tuple[str, bytes]]:
    half = len(secret) // 2
    if len(secret) < HALF_FROM:
        yield "all", secret
    else:
        yield from (("first half", secret[:half]), ("second half", secret[half:]))


def _base64(secret: bytes, offset: int) -> bytes:
    """The characters that depend on the secret alone, whatever stands before and after it."""
    whole = base64.b64encode(b"\0" * offset + secret)
    return whole[(8 * offset + 5) // 6 : 8 * (offset + len(secret)) // 6]
