"""Copies, processes that die in them, and restores when only the copy is left."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from moi_backup.operations.copy_repository import copy_repository
from moi_backup.repository import layout
from moi_backup.repository.chain import published, read_chain
from tests.engine.state_machine.dying import Death, Died, DyingListener
from tests.engine.state_machine.expiry_rules import WHICH
from tests.engine.state_machine.machine import Machine

DEATHS = st.none() | st.builds(Death, st.just("progress"), st.sampled_from(range(1, 9)))


class CopyRules(Machine):
    """What the copy lists, it gives back when the repository is lost, whatever has become of it there meanwhile."""

    @rule(prune=st.booleans(), death=DEATHS)
    def copy(self, prune: bool, death: Death | None) -> None:  # noqa: FBT001 - given by name
        """It lists what the repository lists; one that was cut lists what it listed, or some more."""
        workspace = self.world.with_copy.workspace
        listener = DyingListener(death or Death("progress", 0))
        try:
            result = copy_repository(workspace, prune=prune, progress=listener)
            assert (result.exit_code, result.not_copied) == (0, ()), result
            self.world.seen["copied"] += 1
            self.world.copied = self._listed()
            assert self.world.copied == [recorded.id for recorded in self.world.recorded]
        except Died:
            self.world.seen["died in a copy"] += 1
            self.world.copied = self._listed()

    @precondition(lambda self: self.world.copied)
    @rule(which=WHICH)
    def restore_from_the_copy(self, which: int) -> None:
        """The rows as they were, without the repository."""
        self.world.check_copy([self.world.copied[which % len(self.world.copied)]])
        self.world.seen["restored from the copy"] += 1

    def _listed(self) -> list[str]:
        """What the copy lists; nothing where it has not come to its identity or its keys."""
        workspace = self.world.with_copy.workspace
        names = {info.name for info in workspace.copy_store().list("")}
        if not any(name.startswith(layout.CHAIN) for name in names):
            return []
        return published(read_chain(workspace.open_copy()))
