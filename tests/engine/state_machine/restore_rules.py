"""Restores of any backup that is listed, into new tables and over live ones, and processes that die in them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from moi_backup.model.day import DayRange
from moi_backup.model.restore import RestoreRequest, TableOutcome
from moi_backup.operations.restore import restore
from tests.engine.state_machine.backup_rules import DEATHS, RANGES
from tests.engine.state_machine.dying import Death, Died, DyingListener, DyingWorkspace
from tests.engine.state_machine.machine import Machine
from tests.engine.state_machine.world import Recorded, State, name_of, state_of

WHICH = st.integers(0, 99)
IN_PLACE: dict[str, Any] = {"in_place": True, "on_conflict": "replace", "reason": "a test"}


class RestoreRules(Machine):
    """Every listed backup gives back exactly its rows, and touches nothing outside of what it covers."""

    @rule(which=WHICH, days=st.none() | RANGES)
    def restore_into_a_scratch_schema(self, which: int, days: DayRange | None) -> None:
        """The rows as they were, all or of some days."""
        recorded = self._recorded(which)
        self.world.check_restored(recorded, days=_asked(recorded, days))
        self.world.seen["restored into a scratch schema"] += 1

    @rule(which=WHICH)
    def restore_into_an_empty_database(self, which: int) -> None:
        """Definitions and rows as they were."""
        recorded = self._recorded(which)
        url = self.world.place.empty()
        result = self.world.deployment.restore(url, backup=recorded.id)
        assert result.complete, result
        found = state_of(url)
        assert set(found) == set(recorded.tables)
        for name, content in found.items():
            wanted = recorded.state[name]
            assert (content.definition, content.rows) == (wanted.definition, wanted.within(recorded.days)), name
        self.world.seen["restored into an empty database"] += 1

    @rule(which=WHICH, days=st.none() | RANGES)
    def restore_in_place(self, which: int, days: DayRange | None) -> None:
        """What is restored has the backup's rows of the days and its own of all others; what is not is as it was."""
        recorded = self._recorded(which)
        days = _asked(recorded, days) or recorded.days
        before = self.world.state()
        result = self.world.deployment.restore(backup=recorded.id, days=days, **IN_PLACE)
        after = self.world.state()
        self.world.record_undo(before)
        for outcome in result.tables:
            self._check_outcome(outcome, recorded, days, before, after)
        untouched = set(before) - {name_of(outcome.table) for outcome in result.tables}
        assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}

    @rule(which=WHICH, death=DEATHS)
    def die_in_a_restore_in_place(self, which: int, death: Death) -> None:
        """Every table is as before or as restored."""
        recorded = self._recorded(which)
        death = Death("progress", death.at)
        workspace = DyingWorkspace(self.world.deployment.workspace.settings, death=death)
        before = self.world.state()
        request = RestoreRequest(backup=recorded.id, days=recorded.days, **IN_PLACE)
        try:
            restore(workspace, self.world.place.url, request, progress=DyingListener(death))
        except Died:
            self.world.seen["died in a restore"] += 1
        self.world.record_undo(before)
        self.check_between(recorded, before)

    def check_between(self, recorded: Recorded, before: State) -> None:
        """Each table is as it was, or has the rows of the backup in all that this covers."""
        after = self.world.state()
        assert set(after) == set(before)
        for name, content in after.items():
            restored = _replaced(recorded, recorded.days, before, name) if name in recorded.tables else None
            assert content == before[name] or (content.definition, content.rows) == restored, name

    def _check_outcome(
        self, outcome: TableOutcome, recorded: Recorded, days: DayRange | None, before: State, after: State
    ) -> None:
        name = name_of(outcome.table)
        if outcome.status != "restored":
            assert after.get(name) == before.get(name), outcome
            assert not _must_work(recorded, days, before, name), outcome
            self.world.seen["refused in place"] += 1
            return
        assert (after[name].definition, after[name].rows) == _replaced(recorded, days, before, name), outcome
        self.world.seen["restored in place" if days is None else "restored days in place"] += 1

    def _recorded(self, which: int) -> Recorded:
        return self.world.recorded[which % len(self.world.recorded)]


def _asked(recorded: Recorded, days: DayRange | None) -> DayRange | None:
    """The days to ask for: those of a limited backup are its own, or some of them."""
    limit = recorded.days
    if days is None or limit is None:
        return days
    first, last = max(days.first, limit.first), min(days.last, limit.last)
    return DayRange(first, last) if first <= last else limit


def _replaced(recorded: Recorded, days: DayRange | None, before: State, name: str) -> tuple[Any, Any]:
    """The live table with the rows of some days replaced by those of the backup."""
    live, wanted = before[name], recorded.state[name].within(days)
    gone = live.within(days)
    kept = list(live.rows)
    for row in gone:
        kept.remove(row)
    rows = sorted([*kept, *wanted], key=lambda row: [(value is not None, value or "") for value in row])
    return live.definition, rows


def _must_work(recorded: Recorded, days: DayRange | None, before: State, name: str) -> bool:
    """Whether nothing stands against it: the same definition, a day column for days, and no key outside of them."""
    if name not in before or before[name].definition != recorded.state[name].definition:
        return False
    if days is None:
        return True
    live, stored = before[name], recorded.state[name]
    gone = live.within(days)
    kept = [row for row in live.rows if row not in gone]
    keys = {row[0] for row in kept} & {row[0] for row in stored.within(days)}
    return live.day is not None and not keys
