"""What every machine is made of: a world, and the rules that change its data."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.engine.state_machine.changes import ROWS, SCHEMA, Change, changes
from tests.engine.state_machine.world import Place, World


class Machine(RuleBasedStateMachine):
    """`place` is given by the test; `seen` counts over all its examples what happened.

    `encrypted` machines work on an encrypted repository.
    """

    place: ClassVar[Place]
    seen: ClassVar[Counter[str]]
    encrypted: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.place, seen=self.seen, encrypted=self.encrypted)

    def teardown(self) -> None:
        """In the end every backup that is listed is restored once more, and from the copy what that lists."""
        try:
            for recorded in self.world.recorded:
                self.world.check_restored(recorded)
            self.world.check_copy(self.world.copied)
        finally:
            self.world.close()


class DataRules(Machine):
    """The application at work."""

    @initialize(rows=st.integers(3, 12), number=st.integers(0, 99))
    def begin(self, rows: int, number: int) -> None:
        """A table with a key and one without, and a first backup."""
        self.world.sql("CREATE TABLE t1 (id int PRIMARY KEY, day date, note text, spent numeric(10,2))")
        self.world.sql("CREATE TABLE t2 (day date, note text)")
        for table in (0, 1):
            self.world.change(Change("insert", table, number, rows))
        self.world.configure()
        self.world.record(self.world.deployment.back_up(full=True).manifest, self.world.state())
        self.world.seen["full"] += 1

    @rule(made=st.lists(changes(ROWS), min_size=1, max_size=5))
    def change_rows(self, made: list[Change]) -> None:
        """Insert, duplicate, update, back-date, undate, delete, truncate."""
        for change in made:
            self.world.change(change)

    @rule(made=st.lists(changes(SCHEMA), min_size=1, max_size=2), rows=changes(("insert",)))
    def change_schema(self, made: list[Change], rows: Change) -> None:
        """Columns, types, tables and labels come, change and go; a row comes with them."""
        for change in (*made, rows):
            self.world.change(change)

    @invariant()
    def nothing_that_failed_is_listed(self) -> None:
        """The repository lists exactly the backups that were published."""
        assert self.world.listed() == [recorded.id for recorded in self.world.recorded]
