"""One call of the command line: its environment and how it speaks. Settings are read when a command needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from moi_backup.cli.output import Output

if TYPE_CHECKING:
    from moi_backup.operations.progress import Progress
    from moi_backup.operations.workspace import Workspace
    from moi_backup.settings import Settings


@dataclass
class Invocation:
    """What every command gets. `json`, `quiet` and `verbose` are set by the options, before or after the command."""

    environ: Mapping[str, str]
    cwd: Path
    effective_uid: int
    json: bool = False
    quiet: bool = False
    verbose: bool = False

    @cached_property
    def settings(self) -> Settings:
        """`MOI_*` and `moi.toml`; raises ConfigurationError."""
        from moi_backup.settings import read_settings

        return read_settings(self.environ, cwd=self.cwd, effective_uid=self.effective_uid)

    @cached_property
    def workspace(self) -> Workspace:
        """Where operations work."""
        from moi_backup.operations.workspace import Workspace

        return Workspace(self.settings)

    @cached_property
    def output(self) -> Output:
        """Standard output, in the way that was asked for."""
        return Output(json=self.json, quiet=self.quiet)

    @property
    def timezone(self) -> str:
        """The zone in which people are told times."""
        return self.settings.configuration.source.timezone

    def progress(self) -> Progress:
        """A listener for long operations: silent under --quiet, else on standard error."""
        from moi_backup.cli.progress import listen

        return listen(quiet=self.quiet, verbose=self.verbose)

    def warnings(self) -> Progress:
        """A listener for quick commands: it tells warnings, and under --verbose everything."""
        from moi_backup.cli.progress import Warnings

        return self.progress() if self.quiet or self.verbose else Warnings()
