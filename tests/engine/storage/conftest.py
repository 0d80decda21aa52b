"""Every kind of store, empty, for the conformance suite."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from moi_backup.storage.local import LocalStore
from moi_backup.storage.memory import MemoryStore
from moi_backup.storage.store import Store


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path: Path) -> Store:
    """One empty store of each kind."""
    if request.param == "local":
        return LocalStore(tmp_path / "a" / "repository")
    return MemoryStore(scratch=tmp_path / "scratch", clock=time.time)
