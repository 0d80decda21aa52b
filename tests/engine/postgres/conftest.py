"""The oldest supported server, beside the one of all engine tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.conftest import Server, run_server


@pytest.fixture(scope="session")
def postgres_15() -> Iterator[Server]:
    """The oldest supported major version, where the system has it installed."""
    programs = Path("/usr/lib/postgresql/15/bin")
    if not (programs / "postgres").exists():
        pytest.skip("Postgres 15 is not installed (Debian: postgresql-15)")
    yield from run_server(programs)
