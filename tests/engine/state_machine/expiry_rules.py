"""Backups into the trash and back, prunes, and processes that die in them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from moi_backup.operations.expire_backups import expire_backups, undelete_backups
from moi_backup.operations.prune import prune
from moi_backup.operations.workspace import Workspace
from tests.engine.state_machine.backup_rules import DEATHS, BackupRules
from tests.engine.state_machine.dying import Death, Died, DyingWorkspace
from tests.engine.state_machine.world import Fate, Recorded

WHICH = st.integers(0, 99)


class ExpiryRules(BackupRules):
    """What is listed is whole whatever goes; what is in the trash comes back as it was, until it is pruned."""

    @precondition(lambda self: len(self._free()) > 1)
    @rule(which=WHICH, death=st.none() | DEATHS)
    def expire(self, which: int, death: Death | None) -> None:
        """One backup that nothing holds; the last one stays."""
        free = self._free()
        backup = free[which % len(free)].id
        self._change({backup: "in the trash"}, lambda place: expire_backups(place, [backup]), death, "expired")

    @precondition(lambda self: self.world.in_state("in the trash"))
    @rule(which=WHICH, death=st.none() | DEATHS)
    def undelete(self, which: int, death: Death | None) -> None:
        """One backup, which then restores again."""
        trash = self.world.in_state("in the trash")
        made = trash[which % len(trash)]
        self._change({made.id: "listed"}, lambda place: undelete_backups(place, [made.id]), death, "undeleted")
        if self.world.states[made.id] == "listed":
            self.world.check_restored(made)

    @rule(death=st.none() | DEATHS)
    def prune(self, death: Death | None) -> None:
        """All that expired; when it was not cut, nothing is left that no backup needs."""
        gone: dict[str, Fate] = {made.id: "gone" for made in self.world.in_state("in the trash")}
        self._change(gone, lambda place: prune(place, grace_hours=0), death, "pruned")
        if death is None:
            assert self.world.unneeded() == 0

    def _free(self) -> list[Recorded]:
        return [made for made in self.world.recorded if not made.held]

    def _change(
        self, allowed: dict[str, Fate], act: Callable[[Workspace], object], death: Death | None, what: str
    ) -> None:
        """Carry it out, or die in it: it has happened or not to each of these backups, and nothing is damaged."""
        settings = self.world.deployment.workspace.settings
        try:
            act(Workspace(settings) if death is None else DyingWorkspace(settings, death=death))
            self.world.seen[what] += 1
        except Died:
            self.world.seen["died while one is " + what] += 1
        before = dict(self.world.states)
        self.world.see_states(allowed=allowed)
        self.unverified = True
        assert death or self.world.states == {**before, **allowed}
        assert self.world.deployment.faults() == []
