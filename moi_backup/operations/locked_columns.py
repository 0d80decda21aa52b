"""Columns whose scope's key this process does not hold: refused by name, never left out silently."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from moi_backup.errors import WrongKey
from moi_backup.lake.parquet import keys_of
from moi_backup.model.key_ring import KeyRing
from moi_backup.model.table import TableManifest


class LockedColumns(NamedTuple):
    """The columns of one scope, and why it is not open."""

    scope: str
    columns: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        return f"scope {self.scope} ({', '.join(self.columns)}) is not open: {self.why}"


def locked_columns(table: TableManifest, ring: KeyRing, encodings: Iterable[str]) -> list[LockedColumns]:
    """What of a table's chunks in these encodings cannot be read; nothing without encryption."""
    needed = {key for encoding in set(encodings) for key in keys_of(encoding)}
    lacking = {scope: ring.why_not((scope, number)) for scope, number in sorted(needed - ring.keys.keys())}
    columns = {scope: tuple(column.name for column in table.columns if column.scope == scope) for scope in lacking}
    return [LockedColumns(scope, columns[scope], why) for scope, why in lacking.items() if columns[scope]]


def wrong_key(what: str, locked: list[LockedColumns]) -> WrongKey:
    """The refusal of an operation that needs what is locked."""
    return WrongKey(
        f"{what}: {'; '.join(map(str, locked))}.",
        meaning="What these scopes hold can be read by the holders of their keys alone.",
        remedy="Give the key that is needed (MOI_KEY_<n>), or leave the scope out with --without-scope.",
    )
