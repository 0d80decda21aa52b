"""Backups of every kind, and processes that die in them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from moi_backup.model.day import DayRange
from moi_backup.model.table import TableName
from moi_backup.operations.take_backup import BackupRequest, take_backup
from moi_backup.operations.verify import verify
from moi_backup.repository import layout
from tests.engine.state_machine.changes import DAYS, ROWS, SCHEMA, Change, changes
from tests.engine.state_machine.dying import Death, Died, DyingListener, DyingWorkspace
from tests.engine.state_machine.machine import Machine
from tests.engine.state_machine.world import State

WRITTEN = ("", layout.CHUNKS, layout.TABLES, layout.BACKUPS, layout.CHAIN, layout.TRASH, layout.MARKS, layout.KEYS)
DEATHS = st.one_of(
    st.builds(Death, st.just("progress"), st.sampled_from(range(1, 9))),
    st.builds(
        Death,
        st.sampled_from(("before a write", "after a write")),
        st.sampled_from((1, 2, 3, 5, 8, 13)),
        st.sampled_from(WRITTEN),
    ),
)
CHANGES = st.lists(changes(ROWS), min_size=1, max_size=3) | st.lists(changes((*ROWS, *SCHEMA)), min_size=1, max_size=4)
RANGES = st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS)).map(lambda pair: DayRange(*sorted(pair)))


class BackupRules(Machine):
    """A backup that is published is recorded; one that is not leaves nothing."""

    unverified = True

    @rule(made=CHANGES, full=st.sampled_from((True, False, None)))
    def back_up(self, made: list[Change], full: bool | None) -> None:  # noqa: FBT001 - given by name
        """Everything, full or incremental, after some changes."""
        self.change(made)
        self._take(full=full)
        self.world.seen["full" if full else "incremental"] += 1

    @rule(table=st.none() | st.integers(0, 9), days=RANGES)
    def back_up_a_part(self, table: int | None, days: DayRange) -> None:
        """One table, or some days of all tables that have days."""
        tables = self.world.tables()
        if table is not None:
            name = tables[table % len(tables)].plain_name
            self._take(tables=(TableName("public", name),))
            self.world.seen["limited to a table"] += 1
        elif any(found.day for found in tables):
            self._take(days=days)
            self.world.seen["limited to days"] += 1

    @rule(made=CHANGES, death=DEATHS, full=st.booleans())
    def die_in_a_backup(self, made: list[Change], death: Death, full: bool) -> None:  # noqa: FBT001 - given by name
        """Whatever it had come to: it is listed whole, or not at all, and nothing is damaged."""
        self.change(made)
        workspace = DyingWorkspace(self.world.deployment.workspace.settings, death=death)
        state = self.world.state()
        try:
            take_backup(workspace, BackupRequest(full=full), progress=DyingListener(death))
        except Died:
            self.world.seen["died in a backup"] += 1
        self.record_new(state)
        assert self.world.deployment.faults() == []

    @precondition(lambda self: self.unverified)
    @rule()
    def verify(self) -> None:
        """Every object is read, and nothing is damaged."""
        found = verify(self.world.deployment.workspace, read_data=True)
        assert (found.exit_code, found.faults, found.notes) == (0, (), ())
        assert list(found.backups) == [recorded.id for recorded in self.world.recorded]
        self.world.seen["verified"] += 1
        self.unverified = False

    def change(self, made: list[Change]) -> None:
        """Let the application work; what it has then is configured."""
        self.unverified = True
        for change in made:
            self.world.change(change)
        self.world.configure()

    def _take(self, **request: Any) -> None:
        self.world.configure()
        manifest = self.world.deployment.back_up(**request).manifest
        self.world.record(manifest, self.world.state())

    def record_new(self, state: State) -> None:
        """Record the backup that was published before its process died, if it was."""
        known = self.world.states
        new = [backup for backup in self.world.deployment.backups() if backup.id not in known]
        assert len(new) <= 1
        for manifest in new:
            self.world.record(manifest, state)
            self.world.seen["published before it died"] += 1
