"""Where an operation is killed or meets a fault: two databases, and a repository in a folder or a bucket."""

from __future__ import annotations

from dataclasses import dataclass, field

from moi_backup.operations.workspace import Workspace
from moi_backup.settings import read_settings
from tests.engine.deployment import Deployment
from tests.engine.storage.faults import Fault, FaultyWorkspace


@dataclass(frozen=True, slots=True)
class Place(Deployment):
    """`target` is the URL of the second database; `bucket` an address instead of the folder, reached by `aws`.

    `fault` is what the stores do wrong, if anything; `state` the folder that remembers the repository.
    """

    target: str
    bucket: str = ""
    aws: dict[str, str] = field(default_factory=dict[str, str])
    fault: Fault | None = None
    state: str = "state"

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a process that works here."""
        return {
            "MOI_SOURCE_URL": self.url,
            "MOI_REPOSITORY": self.bucket or str(self.folder / "repository"),
            "MOI_STATE": str(self.folder / self.state),
            "MOI_CONFIG": str(self.folder / "moi.toml"),
            **self.aws,
            **self.keys,
        }

    @property
    def workspace(self) -> Workspace:
        """A workspace whose store has the fault."""
        settings = read_settings(self.environ, cwd=self.folder, effective_uid=1)
        return Workspace(settings) if self.fault is None else FaultyWorkspace(settings, fault=self.fault)
