"""Where an operation works: settings turned into a database URL and an open repository.

Nothing connects before it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from moi_backup.errors import ConfigurationError, SourceError
from moi_backup.model.configuration import Configuration
from moi_backup.repository.chain import Chain, read_chain
from moi_backup.repository.clock import Clock, SystemClock
from moi_backup.repository.identity import own_identity
from moi_backup.repository.leases import Lease, acquire
from moi_backup.repository.repository import Repository, open_repository
from moi_backup.settings import EMBEDDED_DATABASE, DatabaseSetting, RepositorySetting, Settings
from moi_backup.storage.opening import open_store
from moi_backup.storage.s3_access import S3Access
from moi_backup.storage.store import Store

WRITER = "writer"


@dataclass(frozen=True)
class Workspace:
    """The settings of this process and the clock of its operations."""

    settings: Settings
    clock: Clock = field(default_factory=SystemClock)

    @property
    def configuration(self) -> Configuration:
        """What is protected and how."""
        return self.settings.configuration

    def source_url(self) -> str:
        """The protected database, with its password."""
        return self.database_url(self.settings.source)

    def restore_url(self) -> str:
        """The database restored partitions go to, with its password."""
        return self.database_url(self.settings.restore_target)

    def database_url(self, setting: DatabaseSetting) -> str:
        """A configured database's URL; raises SourceError when it is the embedded server and that does not run."""
        return setting.url or self._embedded_url()

    def store(self) -> Store:
        """The place of the repository; temporary files for a bucket go below the state folder."""
        return self._store_at(self.settings.repository, self.settings.buckets)

    def open(self) -> Repository:
        """The repository; raises NoRepository."""
        return self.open_at(self.store())

    def open_at(self, store: Store, *, is_copy: bool = False) -> Repository:
        """The repository in a store of one's own making; raises NoRepository.

        What is remembered of a copy's chain is kept apart, and heads from before places had their own are not its.
        """
        heads = self.settings.state.path / "heads"
        heads = heads / "copies" if is_copy else heads
        return open_repository(store, heads=heads, keys=self.settings.keys)

    def copy_store(self, place: RepositorySetting | None = None) -> Store:
        """The place of the copy: the one given, else the configured one; raises ConfigurationError without any."""
        chosen = place or self.settings.copy
        if chosen is None:
            raise ConfigurationError(
                "No copy of the repository is configured.",
                remedy="Name its place, or set MOI_REPOSITORY_COPY (or copy in the section [repository] of moi.toml).",
            )
        return self._store_at(chosen, self.settings.copy_buckets)

    def open_copy(self, place: RepositorySetting | None = None) -> Repository:
        """The repository at the place of the copy; raises NoRepository."""
        return self.open_at(self.copy_store(place), is_copy=True)

    def _store_at(self, place: RepositorySetting, access: S3Access) -> Store:
        return open_store(place.address, scratch=self.settings.state.path / "scratch", access=access)

    def history(self) -> tuple[Repository, Chain]:
        """The repository and its checked chain."""
        repository = self.open()
        return repository, read_chain(repository)

    @contextmanager
    def writing(
        self, repository: Repository, *, operation: str, wait: float, tell: Callable[[str], None] | None = None
    ) -> Generator[Lease, None, None]:
        """Hold the writer's lease; raises Locked.

        `tell` hears when the work is done and only the release fails, which otherwise is an error.
        """
        with self.writing_at(repository.store, operation=operation, wait=wait) as lease:
            yield lease
            if tell is not None:
                lease.end(tell)

    def writing_at(self, store: Store, *, operation: str, wait: float) -> Lease:
        """The writer's lease of a repository that perhaps cannot be opened; a context manager. Raises Locked."""
        return acquire(store, WRITER, operation=operation, wait=wait, clock=self.clock, identity=own_identity())

    def _embedded_url(self) -> str:
        from moi_backup.postgres import embedded

        server = embedded.running(self.settings.state.path)
        if server is None:
            raise SourceError(
                "No database is configured, and the embedded server does not run.",
                meaning=f"Looked for it in {self.settings.state.path}.",
                remedy="Set MOI_SOURCE_URL to the database to protect, or start the embedded one with make up.",
            )
        return server.url(EMBEDDED_DATABASE)
