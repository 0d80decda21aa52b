"""How each column of a backup is carried into a live table whose definition is another one by now. Decided purely.

Names are compared, nothing is guessed: a column that was renamed looks like one dropped and one added, unless the
operator says what became of it (`renames`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import msgspec

from moi_backup.model.table import Column, TableManifest

What = Literal["added", "dropped", "computed", "renamed", "retyped"]
_EXACT = ("int", "decimal128")
_TOLD: dict[What, str] = {
    "added": "is new in the table: rows that come back take its default, updated ones keep their value",
    "dropped": "is not in the table: its values of the rows written are kept in the file of changes",
    "computed": "is generated in the table: its values of the rows written are kept in the file of changes",
    "renamed": "of the backup is {live} in the table",
    "retyped": "is {live_type} in the table and {stored_type} in the backup: no value loses anything by that",
}


class ColumnDrift(msgspec.Struct, frozen=True, kw_only=True):
    """One column that is not the same in the backup and in the table, and what is done about it.

    `column` is its name in the backup, of an added one in the table; `live` is its name in the table ("" where it has
    none), and `stored_type` and `live_type` are "" where there is none.
    """

    what: What
    column: str
    live: str = ""
    stored_type: str = ""
    live_type: str = ""

    def __str__(self) -> str:
        told = _TOLD[self.what].format(live=self.live, stored_type=self.stored_type, live_type=self.live_type)
        return f"column {self.column} {told}"


@dataclass(frozen=True, slots=True)
class LiveColumn:
    """A column as it is in the table now, in the form its values would be stored in.

    `has_default` tells that a row inserted without it gets a value; `labels` are those of an enum (None: it is none).
    """

    column: Column
    has_default: bool = False
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Carried:
    """A column that both have: as `stored`, and the `form` (name, type, scope) in which it is compared and written."""

    stored: Column
    form: Column
    live: LiveColumn

    @property
    def retyped(self) -> bool:
        """Whether values need a cast."""
        return self.stored.pg_type != self.form.pg_type


@dataclass(frozen=True)
class ColumnPlan:
    """Every column of both sides once. `refusals` say by name why the table cannot be restored in place.

    `left` are the backup's columns whose values are not written: dropped ones, and those computed now.
    """

    carried: tuple[Carried, ...]
    added: tuple[LiveColumn, ...]
    left: tuple[Column, ...]
    drift: tuple[ColumnDrift, ...]
    refusals: tuple[str, ...]

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns that both have, by their names and types in the table."""
        return tuple(carried.form for carried in self.carried)

    @cached_property
    def retyped(self) -> tuple[Carried, ...]:
        """Those whose values are cast."""
        return tuple(carried for carried in self.carried if carried.retyped)

    @cached_property
    def names(self) -> dict[str, str]:
        """Name in the backup to name in the table."""
        return {carried.stored.name: carried.form.name for carried in self.carried}

    def as_live(self, manifest: TableManifest) -> TableManifest:
        """The backup's table with the columns that both have, and all that speaks of them, by their names here."""
        day, names = manifest.day, self.names
        order = tuple(names[name] for name in manifest.order_by if name in names)
        return msgspec.structs.replace(
            manifest,
            columns=self.columns,
            day=None if day is None else msgspec.structs.replace(day, column=names.get(day.column, day.column)),
            order_by=order
            if len(order) == len(manifest.order_by)
            else tuple(names[c.stored.name] for c in self.carried),
            key=None if manifest.key is None else tuple(names.get(name, name) for name in manifest.key),
            required=tuple(names[name] for name in manifest.required if name in names),
        )


def plan_columns(manifest: TableManifest, live: Sequence[LiveColumn], *, renames: Mapping[str, str]) -> ColumnPlan:
    """How the columns of the backup's table are carried; `renames` maps names in the backup to names in the table."""
    by_name = {found.column.name: found for found in live}
    homes = {column.name: by_name.get(renames.get(column.name, column.name)) for column in manifest.columns}
    taken = set(renames.values())
    carried: list[Carried] = []
    left: list[Column] = []
    drift: list[ColumnDrift] = []
    for column in manifest.columns:
        home = homes[column.name] if column.name in renames or column.name not in taken else None
        drift += _drift(column, home)
        if home is None or (home.column.generated and not column.generated):
            left.append(column)
        else:
            carried.append(Carried(column, _form(column, home.column), home))
    theirs = {found.form.name for found in carried} | {column.name for column in left if homes[column.name]}
    added = tuple(found for found in live if found.column.name not in theirs and not found.column.generated)
    drift += [
        ColumnDrift(what="added", column=found.column.name, live=found.column.name, live_type=found.column.pg_type)
        for found in added
    ]
    refusals = (*_wrong_renames(manifest, by_name, renames), *_wrong_columns(manifest, carried))
    return ColumnPlan(tuple(carried), added, tuple(left), tuple(drift), refusals)


def _drift(column: Column, home: LiveColumn | None) -> Iterator[ColumnDrift]:
    if home is None:
        yield ColumnDrift(what="dropped", column=column.name, stored_type=column.pg_type)
        return
    live = home.column
    kinds: list[What] = ["renamed"] if live.name != column.name else []
    if live.generated and not column.generated:
        kinds.append("computed")
    elif live.pg_type != column.pg_type:
        kinds.append("retyped")
    for kind in kinds:
        yield ColumnDrift(
            what=kind, column=column.name, live=live.name, stored_type=column.pg_type, live_type=live.pg_type
        )


def _form(stored: Column, live: Column) -> Column:
    """The live column in the backup's scope and, where the type is the same, in its stored form.

    A value of another type may be NaN or infinite, which some forms cannot hold: such a column is compared as text.
    """
    generated = stored.generated if live.generated else ""
    form = msgspec.structs.replace(live, scope=stored.scope, generated=generated)
    if live.pg_type == stored.pg_type:
        return msgspec.structs.replace(form, encoding=stored.encoding, arrow=stored.arrow)
    bounded = live.arrow.startswith(("decimal128", "timestamp"))
    if bounded and live.arrow != stored.arrow and not stored.arrow.startswith(_EXACT):
        return msgspec.structs.replace(form, encoding="text", arrow="string")
    return form


def _wrong_renames(
    manifest: TableManifest, live: Mapping[str, LiveColumn], renames: Mapping[str, str]
) -> Iterator[str]:
    stored = {column.name for column in manifest.columns}
    for old, new in renames.items():
        if old not in stored:
            yield f"rename {old}={new}: the backup has no column {old}"
        if new not in live:
            yield f"rename {old}={new}: the table has no column {new}"
        if new in stored and new not in renames and new != old:
            yield f"rename {old}={new}: the backup has a column {new} too; say what became of it (--rename {new}=...)"
    if len(set(renames.values())) < len(renames):
        yield "two columns of the backup cannot become one"


def _wrong_columns(manifest: TableManifest, carried: Sequence[Carried]) -> Iterator[str]:
    found = {column.stored.name: column for column in carried}
    if not any(not column.form.generated for column in carried):
        yield "it has no column of the backup"
    day = None if manifest.day is None else found.get(manifest.day.column)
    if manifest.day is not None and day is None:
        yield f"it has no day column {manifest.day.column!r} to tell the days of rows by (if it was renamed: --rename)"
    if day is not None and day.retyped:
        yield f"column {day.stored.name}: {_types(day)}, and days are told by it"
    for name in manifest.key or ():
        if name not in found:
            yield (
                f"column {name}: it is part of the key and the table has no such values any more,"
                " so rows cannot be recognised (if it was renamed: --rename)"
            )
    for column in carried:
        if column.retyped and _zone_dependent(column.stored.pg_type, column.form.pg_type):
            yield f"column {column.stored.name}: {_types(column)}, and what that means depends on a time zone"


def _types(column: Carried) -> str:
    return f"it is {column.form.pg_type} in the table and {column.stored.pg_type} in the backup"


def _zone_dependent(one: str, other: str) -> bool:
    both = (one, other)
    times = all(text.startswith(("timestamp", "time", "date")) for text in both)
    return times and sum(text.endswith("with time zone") for text in both) == 1
