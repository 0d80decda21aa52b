"""Every kind of store, empty, for the conformance suite; the real S3 server behind one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from pathlib import Path
from uuid import uuid4

import pytest

from moi_backup.storage.address import Bucket
from moi_backup.storage.local import LocalStore
from moi_backup.storage.memory import MemoryStore
from moi_backup.storage.s3 import S3Store
from moi_backup.storage.store import Store
from tests.engine.storage.faulty_proxy import FaultyProxy, faulty_proxy
from tests.engine.storage.seaweed import BUCKET, ObjectServer, object_server


@pytest.fixture(scope="session")
def s3_server() -> Generator[ObjectServer]:
    """One S3 server for each test process."""
    with object_server() as server:
        yield server


@pytest.fixture
def bucket() -> Bucket:
    """An empty prefix of the bucket."""
    return Bucket(BUCKET, f"tests/{uuid4().hex}")


@pytest.fixture
def proxy(s3_server: ObjectServer) -> Generator[FaultyProxy]:
    """A proxy before the server that does as a test tells it."""
    with faulty_proxy(s3_server.port) as running:
        yield running


@pytest.fixture(params=["local", "memory", "s3"])
def store(request, tmp_path: Path) -> Store:
    """One empty store of each kind."""
    kinds: dict[str, Callable[[], Store]] = {
        "local": lambda: LocalStore(tmp_path / "a" / "repository"),
        "memory": lambda: MemoryStore(scratch=tmp_path / "scratch", clock=time.time),
        "s3": lambda: S3Store(
            request.getfixturevalue("bucket"),
            scratch=tmp_path / "scratch",
            access=request.getfixturevalue("s3_server").access(),
        ),
    }
    return kinds[request.param]()
