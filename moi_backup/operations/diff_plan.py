"""How two states of one table are compared: the columns both have, their common form, and how definitions differ."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from moi_backup.lake.row_sets import Shape
from moi_backup.lake.stored_forms import common_form
from moi_backup.model.diff import SchemaDifference
from moi_backup.model.table import Column, DayColumn
from moi_backup.operations.summed_columns import summed_columns


@dataclass(frozen=True, slots=True)
class Definition:
    """What a side says of the table. `columns` are without generated ones, in the types of its rows."""

    columns: tuple[Column, ...]
    day: DayColumn | None
    key: tuple[str, ...] | None
    order_by: tuple[str, ...]

    def column(self, name: str) -> Column | None:
        """The column of that name, if there is one."""
        return next((column for column in self.columns if column.name == name), None)

    def only(self, names: Collection[str]) -> tuple[Column, ...]:
        """The columns of these names, in their order here."""
        return tuple(column for column in self.columns if column.name in names)


@dataclass(frozen=True, slots=True)
class DiffPlan:
    """`shape` has the compared columns in their common form; without `by_day` all rows count as undated."""

    shape: Shape
    by_day: bool
    differences: tuple[SchemaDifference, ...]

    @property
    def names(self) -> frozenset[str]:
        """The columns that are compared."""
        return frozenset(column.name for column in self.shape.columns)


def plan_diff(before: Definition, after: Definition, *, left_out: Collection[str] = ()) -> DiffPlan | None:
    """How to compare, `left_out` being columns that cannot be read; None when no column can be."""
    forms = [
        form
        for column in before.columns
        if (other := after.column(column.name)) is not None and (form := common_form(column, other)) is not None
        if column.name not in left_out
    ]
    names = {form.name for form in forms}
    if not forms:
        return None
    by_day = before.day == after.day and (before.day is None or _same_day(before, after, before.day.column, names))
    key = next((key for key in (after.key, before.key) if key is not None and names.issuperset(key)), None)
    unsummed = {*(key or ()), *before.order_by, *after.order_by} if _has_order_key(before) else set(key or ())
    shape = Shape(tuple(forms), key, summed=summed_columns(forms, without=unsummed))
    return DiffPlan(shape, by_day, tuple(_differences(before, after, by_day=by_day)))


def _has_order_key(definition: Definition) -> bool:
    """Whether the order is that of a key, not of all columns for want of one."""
    return len(definition.order_by) < len(definition.columns)


def _same_day(before: Definition, after: Definition, name: str, compared: Collection[str]) -> bool:
    """Whether the day column is compared in the type that both have."""
    one, other = before.column(name), after.column(name)
    return name in compared and one is not None and other is not None and one.arrow == other.arrow


def _differences(before: Definition, after: Definition, *, by_day: bool) -> list[SchemaDifference]:
    found = [_lost(column.name, "before") for column in before.columns if after.column(column.name) is None]
    found += [_lost(column.name, "after") for column in after.columns if before.column(column.name) is None]
    for column in before.columns:
        other = after.column(column.name)
        if other is not None and (column.pg_type, column.arrow) != (other.pg_type, other.arrow):
            found.append(_retyped(column, other))
    if before.day != after.day or not by_day:
        text = f"{_day(before.day)} before, {_day(after.day)} after; the rows are not told by day"
        found.append(SchemaDifference(name="day column", what=text, compared=True))
    if before.key != after.key:
        text = f"{_listed(before.key)} before, {_listed(after.key)} after"
        found.append(SchemaDifference(name="key", what=text, compared=True))
    return found


def _lost(name: str, side: str) -> SchemaDifference:
    return SchemaDifference(name=name, what=f"a column only {side}", compared=False)


def _retyped(one: Column, other: Column) -> SchemaDifference:
    form = common_form(one, other)
    types = f"{one.pg_type} before, {other.pg_type} after"
    if one.pg_type == other.pg_type:
        types = f"{one.pg_type}, kept as {one.encoding} before and {other.encoding} after"
    what = types if form is not None else f"{types}; its values are not compared"
    return SchemaDifference(name=one.name, what=what, compared=form is not None)


def _day(day: DayColumn | None) -> str:
    return "no day column" if day is None else f"{day.column}{f' in {day.timezone}' if day.timezone else ''}"


def _listed(names: Sequence[str] | None) -> str:
    return "none" if names is None else ", ".join(names)
