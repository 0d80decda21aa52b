"""One table compared: counts by day, columns, sums, and the rows that differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import msgspec

from moi_backup.errors import MoiError, SourceError, UsageError, WrongKey
from moi_backup.lake.arrow_types import Unrepresentable
from moi_backup.lake.row_diff import RowDiff
from moi_backup.lake.row_sets import RowSets
from moi_backup.lake.row_sets import Side as RowSide
from moi_backup.model.day import DayRange, order_of
from moi_backup.model.diff import DayChanges, RowChange, TableDiff
from moi_backup.model.table import TableName
from moi_backup.operations.diff_live import LiveSide, Runs
from moi_backup.operations.diff_plan import Definition, DiffPlan, plan_diff
from moi_backup.operations.diff_rows import changed_columns, row_changes, sums_of
from moi_backup.operations.diff_stored import (
    StoredSide,
    damaged_days,
    definition_of,
    hidden_days,
    stored_rows,
    unread_columns,
)
from moi_backup.operations.progress import Progress
from moi_backup.operations.row_states import Compared, LiveState, StoredState, compare
from moi_backup.operations.stored_table import StoredTable

Side = StoredSide | LiveSide
Told = Callable[[TableDiff, Iterator[RowChange]], None]


@dataclass(frozen=True)
class TableComparison:
    """Compares tables of two sides, `before` and `after`, at most one of them live.

    `told` gets every table as soon as it is compared, with its rows, which are valid during the call.
    """

    before: Side
    after: Side
    days: DayRange | None
    without_scopes: Sequence[str]
    scratch: Path
    progress: Progress
    told: Told

    def compare(self, table: TableName) -> TableDiff:
        """Compare one table that at least one side has; a failure is in the answer."""
        opened: list[StoredTable] = []
        try:
            absent = [side for side in (self.before, self.after) if table not in side.names]
            found = self._alone(table, opened) if absent else self._both(table, opened)
        except UsageError:
            raise
        except (MoiError, duckdb.Error) as error:
            found = self._failed(table, opened, error)
            self.told(found, iter(()))
        return found

    def _both(self, table: TableName, opened: list[StoredTable]) -> TableDiff:
        self._refuse_unreadable(table)
        opened.extend(side.open(table) for side in (self.before, self.after) if isinstance(side, StoredSide))
        unread = self._unread(opened)
        texts: set[str] = set()
        while True:
            definitions = [self._definition(side, opened, texts) for side in (self.before, self.after)]
            plan = plan_diff(*definitions, left_out=unread)
            if plan is None:
                raise _nothing_in_common(table, unread)
            if not plan.by_day and self.days is not None:
                raise _not_by_day(table)
            try:
                return self._compare(table, opened, definitions, plan, unread)
            except SourceError as error:
                if not isinstance(error.__cause__, Unrepresentable) or error.__cause__.column in texts:
                    raise
                texts.add(error.__cause__.column)

    def _compare(
        self,
        table: TableName,
        opened: Sequence[StoredTable],
        definitions: Sequence[Definition],
        plan: DiffPlan,
        unread: dict[str, str],
    ) -> TableDiff:
        states = self._states(table, opened, definitions, plan)
        task = str(table)
        with RowSets(plan.shape, scratch=self.scratch) as sets:
            self.progress.start(task, total=_total(states))
            compared = _fill(sets, states, plan, (self.progress, task))
            found = _summary(table, RowDiff(sets), plan, states, compared)
            hidden = self._hidden(opened, plan, compared, unread)
            left_out = tuple(f"{name}: {why}" for name, why in unread.items())
            found = msgspec.structs.replace(found, left_out=left_out, hidden_days=hidden)
            self.progress.finish(task, "differs" if found.differs else "no difference")
            self.told(found, row_changes(RowDiff(sets), plan.shape))
        return found

    def _states(
        self, table: TableName, opened: Sequence[StoredTable], definitions: Sequence[Definition], plan: DiffPlan
    ) -> list[StoredState | LiveState]:
        tables = iter(opened)
        return [
            stored_rows(next(tables), self.days, plan)
            if isinstance(side, StoredSide)
            else side.rows(table, found, plan, runs=self._runs, ring=opened[0].repository.ring)
            for side, found in zip((self.before, self.after), definitions, strict=True)
        ]

    @property
    def _runs(self) -> Runs:
        return None if self.days is None else ((self.days.first, self.days.last),)

    def _definition(self, side: Side, opened: Sequence[StoredTable], texts: set[str]) -> Definition:
        if isinstance(side, LiveSide):
            return side.definition(opened[0].manifest, texts=texts)
        return definition_of(opened[0] if side is self.before else opened[-1])

    def _unread(self, opened: Sequence[StoredTable]) -> dict[str, str]:
        found: dict[str, str] = {}
        for stored in opened:
            found |= unread_columns(stored, self.days, without=self.without_scopes)
        return found

    def _hidden(
        self, opened: Sequence[StoredTable], plan: DiffPlan, compared: Compared, unread: dict[str, str]
    ) -> tuple[str, ...]:
        if len(opened) < 2 or not unread or not plan.by_day:
            return ()
        return tuple(hidden_days(opened[0], opened[1], self.days, sorted(compared.same, key=order_of)))

    def _alone(self, table: TableName, opened: list[StoredTable]) -> TableDiff:
        """A table that one side alone has: how many rows it has there."""
        self._refuse_unreadable(table)
        is_before = table in self.before.names
        side = self.before if is_before else self.after
        if isinstance(side, LiveSide):
            rows = side.count(table, runs=self._runs)
        else:
            opened.append(side.open(table))
            rows = sum(part.rows for part in opened[0].parts(self.days))
        found = (
            TableDiff(table=table, status="only_before", rows_before=rows)
            if is_before
            else TableDiff(table=table, status="only_after", rows_after=rows)
        )
        self.told(found, iter(()))
        return found

    def _refuse_unreadable(self, table: TableName) -> None:
        for side in (self.before, self.after):
            if isinstance(side, LiveSide) and table in side.refused:
                raise SourceError(
                    f"The role may not read every row of the live table {table} (it needs SELECT, and BYPASSRLS)."
                )

    def _failed(self, table: TableName, opened: Sequence[StoredTable], error: MoiError | duckdb.Error) -> TableDiff:
        for side in (self.before, self.after):
            if isinstance(side, LiveSide):
                side.begin_again()
        days: list[str] = []
        if isinstance(error, MoiError):
            days = [label for stored in opened for label in damaged_days(stored, self.days, error)]
        text = error.what if isinstance(error, MoiError) else f"DuckDB could not compare it: {str(error).strip()}"
        return TableDiff(table=table, status="failed", error=text, error_days=tuple(dict.fromkeys(days)))


State = StoredState | LiveState


def _fill(sets: RowSets, states: Sequence[State], plan: DiffPlan, progress: tuple[Progress, str]) -> Compared:
    sides: tuple[RowSide, RowSide] = ("before", "after")
    stored: dict[RowSide, StoredState] = {}
    live: tuple[RowSide, LiveState] | None = None
    for side, state in zip(sides, states, strict=True):
        if isinstance(state, LiveState):
            live = (side, state)
        else:
            stored[side] = state
    # Equal digests are equal rows under any order, for the digest of each column is of its values in one row order.
    return compare(sets, stored, live, digests_compare=plan.by_day, progress=progress)


def _total(states: Sequence[State]) -> int:
    """The rows that progress is told of: the live ones, or those of both backups."""
    live = [state for state in states if isinstance(state, LiveState)]
    return sum(sum(state.counts.values()) for state in live or states)


def _summary(table: TableName, diff: RowDiff, plan: DiffPlan, states: Sequence[State], compared: Compared) -> TableDiff:
    days = [DayChanges(**day._asdict()) for day in sorted(diff.days(), key=lambda day: order_of(day.day))]
    before, after = (sum(state.counts.values()) for state in states)
    return TableDiff(
        table=table,
        status="compared",
        rows_before=before,
        rows_after=after,
        inserted=sum(day.inserted for day in days),
        updated=sum(day.updated for day in days),
        deleted=sum(day.deleted for day in days),
        unchanged=sum(day.unchanged for day in days) + sum(compared.same.values()),
        key=plan.shape.key,
        days=tuple(day for day in days if day.inserted + day.updated + day.deleted),
        columns=changed_columns(diff),
        sums=sums_of(diff, plan.shape),
        schema=plan.differences,
    )


def _nothing_in_common(table: TableName, unread: dict[str, str]) -> MoiError:
    if unread:
        return WrongKey(
            f"{table}: no column that both sides have can be read ({'; '.join(sorted(set(unread.values())))})."
        )
    return SourceError(f"{table}: the two sides have no column in common whose values could be compared.")


def _not_by_day(table: TableName) -> MoiError:
    return SourceError(
        f"{table} is cut into days by another column on one side, so days of it cannot be compared; leave out --days."
    )
