"""A fork server for a module, and stages for single operations."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.engine.conftest import Server
from tests.engine.crash.enumeration import Stage
from tests.engine.crash.fork_server import ForkServer


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    """A process that forks children."""
    with ForkServer() as running:
        yield running


@pytest.fixture
def stage(postgres_server: Server, forks: ForkServer, tmp_path: Path) -> Generator[Callable[..., Stage]]:
    """Make the state before an operation, in a folder or a bucket; its databases end with the test."""
    made: list[Stage] = []

    def make(name: str, *, folder: Path = tmp_path, bucket: str = "", aws: dict[str, str] | None = None) -> Stage:
        own = folder / f"stage-{len(made)}"
        own.mkdir()
        made.append(Stage(postgres_server, forks, name, own, bucket=bucket, aws=aws or {}))
        return made[-1]

    yield make
    for stage in made:
        stage.drop()
