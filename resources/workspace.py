"""The engine's workspace: settings from the environment and moi.toml. It opens nothing before an operation asks."""

import os
from pathlib import Path

import dagster as dg

from moi_backup.operations.workspace import Workspace
from moi_backup.settings import read_settings


class WorkspaceResource(dg.ConfigurableResource[Workspace]):
    """Arrives in assets as a plain `Workspace`. `folder` is where moi.toml lies and relative paths begin."""

    folder: str

    def create_resource(self, context: dg.InitResourceContext) -> Workspace:  # noqa: ARG002 - Dagster's signature
        """Read the settings of this process."""
        return Workspace(read_settings(os.environ, cwd=Path(self.folder), effective_uid=os.geteuid()))
