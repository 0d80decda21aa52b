"""Real processes that are killed as the kernel kills, at any change of a file or at any time."""

from __future__ import annotations

import signal
import time

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.engine.operations.victim import LIMIT_SECONDS, Victim
from tests.engine.state_machine.backup_rules import CHANGES, BackupRules
from tests.engine.state_machine.changes import Change
from tests.engine.state_machine.restore_rules import RestoreRules

_SESSIONS = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""


class KillRules(BackupRules, RestoreRules):
    """What holds for a process that dies holds for one that is killed. It takes seconds each time."""

    @rule(made=CHANGES, moment=st.integers(1, 120))
    def kill_a_backup(self, made: list[Change], moment: int) -> None:
        """It is listed whole or not at all."""
        self.change(made)
        state = self.world.state()
        with Victim(self.world.deployment, "backup", kill_at=moment) as victim:
            victim.begin()
            victim.wait_for("done")
            self.world.seen["killed in a backup"] += victim.end() == -signal.SIGKILL
        self.record_new(state)
        assert self.world.deployment.faults() == []

    @precondition(lambda self: any(one.complete for one in self.world.recorded))
    @rule(milliseconds=st.integers(0, 600))
    def kill_a_restore_in_place(self, milliseconds: int) -> None:
        """Every table is as before or as restored."""
        recorded = [one for one in self.world.recorded if one.complete][-1]
        before = self.world.state()
        with Victim(self.world.deployment, "restore_in_place") as victim:
            victim.begin()
            time.sleep(milliseconds / 1000)
            victim.kill()
        self._wait_for_its_sessions()
        self.check_between(recorded, before)
        self.world.seen["killed in a restore"] += 1

    def _wait_for_its_sessions(self) -> None:
        """Until the server has noticed that the client is gone and has rolled back."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while self.world.sql(_SESSIONS) != [(0,)]:
            assert time.monotonic() < deadline
            time.sleep(0.01)
