"""Decide what a restore in place does to one table: compare, choose by the policy, stage, look for what stands against.

The session's transaction must show one moment: a snapshot for a preview, or under the lock that keeps writers out for
what is then applied. Nothing but temporary tables is written.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from moi_backup.lake.chosen_keys import chosen_keys
from moi_backup.lake.decision import Decision
from moi_backup.lake.digest import table_digest
from moi_backup.lake.row_sets import PLACE, RowSets, Shape, Side
from moi_backup.model.day import order_of
from moi_backup.model.plan_token import part_of
from moi_backup.model.restore import ColumnSum, DayChange, TableChanges
from moi_backup.operations.in_place import InPlace, LiveTable, RefusedInPlace, live_table
from moi_backup.operations.load_rows import load_rows
from moi_backup.operations.missing_labels import missing_labels
from moi_backup.operations.progress import Progress
from moi_backup.operations.recast import recasting
from moi_backup.operations.row_states import Compared, LiveState, State, StoredState, compare
from moi_backup.operations.state_undone import state_undone
from moi_backup.operations.summed_columns import summed_columns
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.column_checks import check_values
from moi_backup.postgres.day_sql import day_predicate
from moi_backup.postgres.foreign_key_checks import check_parents, check_references
from moi_backup.postgres.restore_checks import (
    Refusal,
    Rows,
    check_moved_keys,
    check_unique_keys,
    definition_of,
    mark_moved,
)
from moi_backup.postgres.staged_changes import COME, GONE
from moi_backup.postgres.surrogate_numbers import Surrogate, find_surrogate, renumber
from moi_backup.postgres.user_triggers import (
    DELETE,
    INSERT,
    UPDATE,
    Trigger,
    check_rules,
    check_triggers,
    firing_triggers,
)

MOST_KEYS = 20
"""Keys in conflict that are told one by one; the file that lists the changes has the rows of all of them."""


@dataclass
class Decided:
    """What would be done to the table, staged in the session; valid inside of `deciding`.

    `statement` are the rows the statement deletes, updates and inserts, `refusals` what stands against it.
    """

    session: ArrowSession
    asked: InPlace
    table: LiveTable
    live: LiveState
    stored: StoredState
    compared: Compared
    decision: Decision
    surrogate: Surrogate | None
    renumbered: int
    statement: tuple[int, int, int]
    triggers: tuple[Trigger, ...]
    refusals: tuple[Refusal, ...]

    @cached_property
    def changes(self) -> TableChanges:
        """What is done, in rows."""
        counts = self.decision.counts
        return TableChanges(
            inserted=counts.inserted,
            updated=counts.updated,
            deleted=counts.deleted,
            kept=counts.kept,
            unchanged=sum(self.live.counts.values()) - counts.updated - counts.deleted - counts.kept,
            conflicts=counts.conflicts,
            conflict_keys=tuple(self.decision.conflict_keys(MOST_KEYS)) if counts.conflicts else (),
            renumbered=self.renumbered,
            days=tuple(_days(self.decision)),
            columns=self.decision.changed_columns(),
            disabled_triggers=tuple(str(trigger) for trigger in self.triggers if not trigger.copied),
            live=digest_of_days(self.compared.live, self.live.counts),
            drift=self.table.plan.drift,
        )

    @property
    def refusal(self) -> str:
        """Why nothing may be written; "" when it may."""
        return "; ".join(str(refusal) for refusal in self.refusals)

    @property
    def part(self) -> str:
        """This table's part of the plan's token."""
        return part_of(
            self.asked.target,
            stored=[f"{label} {digest}" for label, digest in self.stored.digests.items()],
            newer_by=self.asked.newer_by,
            definition=definition_of(self.session.rows, self.asked.target),
            live=self.compared.live,
            changes=self.changes,
            refusal=self.refusal,
        )


@contextmanager
def deciding(
    session: ArrowSession, asked: InPlace, *, scratch: Path, progress: Progress
) -> Generator[Decided, None, None]:
    """Decide in the session's transaction; `scratch` is a folder for what does not fit into memory.

    Raises RefusedInPlace for a table that cannot be compared at all, UsageError for a condition or column that is none.
    """
    table = live_table(session, asked)
    key = table.manifest.key or ()
    written = {column.name for column in table.staged.written}
    surrogate = find_surrogate(session.rows, asked.target, key=key, written=written)
    with ExitStack() as opened:
        recast = opened.enter_context(recasting(session.url, table.plan, key=key))
        shape = _shape(asked, table, surrogate)
        sets = opened.enter_context(RowSets(shape, scratch=scratch))
        carry = recast if table.drifted else None
        stored = StoredState(asked.stored, asked.days, carry=carry, numbered=bool(table.plan.left))
        states = _states(asked, stored)
        if asked.undoing is not None:
            states["base"] = opened.enter_context(state_undone(asked, asked.undoing, stored, shape, scratch=scratch))
        live = LiveState(session, table.source, asked.runs, asked.stored.repository.ring)
        compared = compare(
            sets, states, ("before", live), digests_compare=digests_compare(asked, table),
            progress=(progress, str(asked.target)),
        )  # fmt: skip
        if recast.refusals:
            raise RefusedInPlace(asked.target, recast.refusals)
        chosen = chosen_keys(sets, asked.where) if asked.where is not None else None
        decision = Decision(sets, asked.policy, newer_by=asked.newer_by, chosen=chosen)
        yield _staged(session, asked, table, live, stored, compared, decision, surrogate)


def digests_compare(asked: InPlace, table: LiveTable) -> bool:
    """Whether equal digests are equal rows: same columns, same order, and no written column that they leave out."""
    manifest = asked.stored.manifest
    carried = all(drift.what == "added" for drift in table.plan.drift)
    whole = carried and len(table.staged.written) == len(manifest.restorable)
    base = None if asked.base is None else asked.base.manifest
    return whole and (base is None or base.order_by == manifest.order_by)


def digest_of_days(digests: dict[str, str], counts: dict[str, int]) -> str:
    """The table digest over days whose digests are known."""
    return table_digest((label, counts[label], digests[label]) for label in sorted(digests, key=order_of))


def _shape(asked: InPlace, table: LiveTable, surrogate: Surrogate | None) -> Shape:
    manifest, written = table.manifest, table.staged.written
    names = {column.name for column in written}
    key = manifest.key if manifest.key and names.issuperset(manifest.key) else None
    if manifest.key and key is None:
        _refuse_computed_key(asked, sorted({*manifest.key} - names))
    if asked.newer_by is not None:
        _require_moments(asked, table, asked.newer_by)
    left_out = {*(key or ()), *((surrogate.column,) if surrogate is not None else ())}
    has_base = asked.base is not None or asked.undoing is not None
    return Shape(written, key, summed=summed_columns(written, without=left_out), has_base=has_base)


def _refuse_computed_key(asked: InPlace, computed: list[str]) -> None:
    """Refuse policies that look at keys where the key holds a generated column, of which no value is compared.

    Without the key two states of one row would be two rows that both stay.
    """
    if asked.policy != "replace" and asked.undoing is None:
        why = f"its key holds the generated column {', '.join(computed)}, so rows cannot be recognised by it"
        raise RefusedInPlace(asked.target, [f"{why}; only --on-conflict replace needs no key"])


def _require_moments(asked: InPlace, table: LiveTable, name: str) -> None:
    """Refuse a column of take-newer by which rows of this table have no order in time."""
    found = next((column for column in table.staged.written if column.name == name), None)
    if found is None:
        raise RefusedInPlace(asked.target, [f"it has no column {name!r} to tell the newer row by"])
    if found.encoding == "text" and found.pg_type.startswith("timestamp"):
        raise RefusedInPlace(
            asked.target, [f"column {name!r} holds infinite moments, which have no order in the backup"]
        )
    if not found.arrow.startswith(("timestamp", "date32")):
        raise RefusedInPlace(asked.target, [f"column {name!r} ({found.pg_type}) does not tell when a row was written"])


def _states(asked: InPlace, stored: StoredState) -> dict[Side, State]:
    if asked.base is None:
        return {"after": stored}
    columns = [[(c.name, c.pg_type, c.arrow) for c in s.manifest.columns] for s in (asked.stored, asked.base)]
    if columns[0] != columns[1]:
        raise RefusedInPlace(asked.target, ["the base has other columns than the backup"])
    if asked.base.manifest.day != asked.stored.manifest.day:
        raise RefusedInPlace(asked.target, ["the base divides its rows into days by another column or time zone"])
    return {"after": stored, "base": replace(stored, stored=asked.base, numbered=False)}


def _staged(
    session: ArrowSession, asked: InPlace, table: LiveTable, live: LiveState, stored: StoredState,
    compared: Compared, decision: Decision, surrogate: Surrogate | None,
) -> Decided:  # fmt: skip
    staged, rows, run = table.staged, session.rows, session.script
    run(staged.create_sql())
    counts = decision.counts
    if missing := missing_labels(decision, table.plan):
        raise RefusedInPlace(asked.target, missing)
    if counts.inserted + counts.updated:
        load_rows(
            session, COME, columns=staged.come_columns, rows=decision.written(number=staged.number, place=staged.place)
        )
    if counts.deleted:
        load_rows(session, GONE, columns=staged.gone_columns, rows=_places(decision.deleted(), staged.place))
    run(staged.places_sql())
    renumbered = renumber(rows, run, staged, surrogate) if surrogate is not None and table.manifest.key else 0
    if counts.updated:
        mark_moved(rows, run, staged)
    [statement] = rows(staged.counts_sql())
    deleted, updated, inserted = (int(count) for count in statement)
    events = _events(deleted, updated, inserted, partitioned=not staged.only)
    triggers = firing_triggers(rows, asked.target, events)
    refusals = (
        *_conflicts(asked, counts.conflicts),
        *(() if asked.disable_triggers else check_triggers(rows, asked.target, events)),
        *check_rules(rows, asked.target, events),
        *check_values(rows, staged, added=table.plan.added, filled=surrogate.column if surrogate is not None else None),
        *check_unique_keys(rows, staged),
        *_moved_away(asked, table, rows),
        *check_references(rows, staged),
        *check_parents(rows, staged),
    )
    return Decided(
        session, asked, table, live, stored, compared, decision, surrogate, renumbered,
        (deleted, updated, inserted), triggers if asked.disable_triggers else (), refusals,
    )  # fmt: skip


def _moved_away(asked: InPlace, table: LiveTable, rows: Rows) -> tuple[Refusal, ...]:
    """Refusals of rows that are live on days which were not chosen; a key that holds the day cannot be there."""
    manifest = table.manifest
    if asked.runs is None or manifest.day is None or manifest.key is None or manifest.day.column in manifest.key:
        return ()
    return check_moved_keys(rows, table.staged, key=manifest.key, range_=day_predicate(manifest.day, asked.runs))


def _events(deleted: int, updated: int, inserted: int, *, partitioned: bool) -> int:
    """The kinds of statements that will run, as bits; an update may move a row to another partition."""
    if updated and partitioned:
        return DELETE | UPDATE | INSERT
    return (DELETE if deleted else 0) | (UPDATE if updated else 0) | (INSERT if inserted else 0)


def _conflicts(asked: InPlace, conflicts: int) -> tuple[Refusal, ...]:
    if asked.policy != "fail" or not conflicts:
        return ()
    return (Refusal("policy fail", f"{conflicts} keys have rows live that differ from the backup's"),)


def _places(tables: Iterator[pa.Table], name: str) -> Iterator[pa.Table]:
    for table in tables:
        yield table.select([PLACE]).rename_columns([name])


def _days(decision: Decision) -> Iterator[DayChange]:
    sums: dict[str, list[ColumnSum]] = {}
    for day in decision.sums():
        sums.setdefault(day.day, []).append(
            ColumnSum(column=day.column, before=_number(day.before), after=_number(day.after))
        )
    for day in sorted(decision.days(), key=lambda day: order_of(day.day)):
        yield DayChange(**day._asdict(), sums=tuple(sums.get(day.day, ())))


def _number(value: object) -> str | None:
    return None if value is None else format(value, "f") if not isinstance(value, float) else repr(value)
