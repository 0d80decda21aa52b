"""Stored rows brought to the columns of a live table: named, chosen and cast as a `ColumnPlan` says.

Casts are Postgres' own, in a session beside the one that restores: that one may be sending rows at the same time.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from moi_backup.lake.arrow_types import canonical
from moi_backup.lake.untyped import arrow, pc
from moi_backup.model.column_plan import ColumnPlan
from moi_backup.operations.in_place import begin
from moi_backup.operations.load_rows import load_rows
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.lossless_cast import (
    NUMBER,
    STAGED,
    Cast,
    casts_of,
    checked_columns,
    checked_sql,
    prepare,
    staged_columns,
)

LOCK_TIMEOUT_MS = 10_000


@dataclass
class Recast:
    """Brings rows over. `lost` collects, by column, how many values do not survive and the key of the first such row.

    A lost value becomes NULL, so whoever reads rows must look at `lost` before any is used.
    """

    plan: ColumnPlan
    key: tuple[str, ...]
    session: ArrowSession | None = None
    casts: tuple[Cast, ...] = ()
    lost: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows in the columns of the plan."""
        names = self.plan.names
        found = rows.select(list(names)).rename_columns(list(names.values()))
        if self.session is None or not rows.num_rows:
            return found
        for (name, values), lost in zip(*self._checked(self.session, rows), strict=True):
            place = found.column_names.index(name)
            found = found.set_column(place, pa.field(name, values.type), values)
            self._note(name, lost, found)
        return found

    @property
    def refusals(self) -> list[str]:
        """What was lost so far, by column."""
        types = {carried.form.name: carried for carried in self.plan.retyped}
        return [
            f"column {types[name].stored.name}: it is {types[name].form.pg_type} in the table and"
            f" {types[name].stored.pg_type} in the backup, and {count} values would not survive that"
            f" (the first one: {first})"
            for name, (count, first) in self.lost.items()
        ]

    def _checked(self, session: ArrowSession, rows: pa.Table) -> tuple[list[tuple[str, Any]], list[Any]]:
        """Name and values of every column that is cast, and of each row whether its value is lost."""
        arrays = [arrow.array(range(rows.num_rows), pa.int64()), *(rows.column(c.stored.name) for c in self.casts)]
        columns = staged_columns(self.casts)
        staged = arrow.table(arrays, names=[NUMBER, *(cast.name for cast in self.casts)])
        load_rows(session, STAGED, columns=columns, rows=[staged])
        wanted = checked_columns(self.casts)
        batches = [canonical(batch, wanted) for batch in session.batches(checked_sql(self.casts))]
        session.script(f"TRUNCATE pg_temp.{STAGED}")
        found = pa.Table.from_batches(batches)
        count = len(self.casts)
        values = [(cast.form.name, found.column(count + n)) for n, cast in enumerate(self.casts)]
        return values, [found.column(n) for n in range(count)]

    def _note(self, name: str, lost: Any, rows: pa.Table) -> None:
        number = int(pc.sum(lost).as_py() or 0)
        if not number:
            return
        count, first = self.lost.get(name, (0, ""))
        self.lost[name] = (count + number, first or self._told(rows, pc.index(lost, value=True).as_py()))

    def _told(self, rows: pa.Table, place: int) -> str:
        names = [name for name in self.key if name in rows.column_names] or rows.column_names[:1]
        return ", ".join(f"{name} {rows.column(name)[place].as_py()}" for name in names)


@contextmanager
def recasting(url: str, plan: ColumnPlan, *, key: tuple[str, ...]) -> Generator[Recast]:
    """A `Recast` for the database at `url`; without columns to be cast nothing connects. `key`: of the live table."""
    if not plan.retyped:
        yield Recast(plan, key)
        return
    with ArrowSession(url) as session:
        begin(session, isolation="READ COMMITTED", lock_timeout_ms=LOCK_TIMEOUT_MS)
        casts = casts_of(session, plan.retyped)
        prepare(session, casts)
        yield Recast(plan, key, session, casts)
