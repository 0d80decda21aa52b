"""Keys that are made anew and wrapped anew, and processes that die in that."""

from __future__ import annotations

import os

from hypothesis import strategies as st
from hypothesis.stateful import rule

from moi_backup.operations.rekey import rekey
from moi_backup.operations.rotate_keys import rotate_keys
from moi_backup.operations.workspace import Workspace
from tests.engine.state_machine.backup_rules import DEATHS, BackupRules
from tests.engine.state_machine.dying import Death, Died, DyingListener, DyingWorkspace


class KeyRules(BackupRules):
    """Backups keep their ids and rows under whatever keys they are."""

    encrypted = True

    @rule(which=st.integers(0, 9), death=st.none() | DEATHS)
    def rekey(self, which: int, death: Death | None) -> None:
        """A new key for a scope; cut, every backup opens, and the next one goes on."""
        scopes = sorted(self.world.deployment.workspace.open().ring.current)
        scope, workspace = scopes[which % len(scopes)], self._workspace(death)
        try:
            rekey(workspace, scope, wait=0, progress=DyingListener(death) if death else None)
            self.world.seen["rekeyed"] += 1
        except Died:
            self.world.seen["died in a rekey"] += 1
        self._look()

    @rule(death=st.none() | DEATHS)
    def rotate(self, death: Death | None) -> None:
        """A new master key; one that was cut is ended by the next."""
        self.world.add_master_key()
        try:
            rotate_keys(self._workspace(death), wait=0, entropy=os.urandom)
        except Died:
            self.world.seen["died in a rotation"] += 1
            self._look()
            rotate_keys(self._workspace(None), wait=0, entropy=os.urandom)
        self.world.seen["rotated"] += 1
        self._look()

    def _workspace(self, death: Death | None) -> Workspace:
        settings = self.world.deployment.workspace.settings
        return Workspace(settings) if death is None else DyingWorkspace(settings, death=death)

    def _look(self) -> None:
        self.unverified = True
        assert self.world.deployment.faults() == []
