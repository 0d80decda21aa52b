"""Which names an object may have: what every store refuses, so that no name reaches outside it."""

from __future__ import annotations

TEMPORARY = "tmp"
_FORBIDDEN = ("", ".", "..")


def check_name(name: str) -> str:
    """The name itself; ValueError when it is absolute, climbs, holds an empty part or lies in the temporary folder."""
    parts = name.split("/")
    if any(part in _FORBIDDEN for part in parts) or parts[0] == TEMPORARY or "\\" in name or "\0" in name:
        raise ValueError(f"not an object name: {name!r}")
    return name
