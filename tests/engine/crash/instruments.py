"""Put crash points before and after every call of a store and of a database session of this process.

At the classes, so that whatever the engine opens is numbered. Only a child that is to be killed does this.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from moi_backup.operations import copy_objects, store_ahead
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.storage.local import LocalStore
from moi_backup.storage.s3 import S3Store
from moi_backup.storage.store import Store
from tests.engine.crash.points import Points

STORES = (LocalStore, S3Store)
SPECIAL = ("list", "local")  # what is returned is used later
FACTS = ("address", "requests_at_once")  # known without asking anybody
PLAIN = tuple(name for name in vars(Store) if not name.startswith("_") and name not in (*SPECIAL, *FACTS))
DATABASE = (
    (psycopg.Connection, ("execute", "commit", "rollback", "close")),
    (ArrowSession, ("__init__", "close", "script", "rows", "ingest")),
)


def instrument(points: Points, *, folder: str) -> None:
    """Number the calls of every store and database session, and changes of files below the folder.

    One thread stores or copies chunks, and nothing is asked or read at once: it would vary what a number means.
    """
    assert store_ahead.THREADS >= 1
    store_ahead.THREADS = 1
    assert copy_objects.ON_DISKS >= 1
    copy_objects.ON_DISKS = 1
    os.cpu_count = lambda: 1
    for kind in STORES:
        assert kind.requests_at_once
        setattr(kind, "requests_at_once", 1)  # noqa: B010 - in place of a property
        for name in PLAIN:
            _replace(kind, name, functools.partial(_plain, points))
        _replace(kind, "list", functools.partial(_listing, points))
        _replace(kind, "local", functools.partial(_opening, points))
    for kind, names in DATABASE:
        for name in names:
            _replace(kind, name, functools.partial(_plain, points))
    _replace(ArrowSession, "batches", functools.partial(_streaming, points))
    points.watch_files(folder)


def _replace(kind: type, name: str, wrap: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> None:
    original = getattr(kind, name)
    setattr(kind, name, functools.wraps(original)(wrap(f"{kind.__name__}.{name}", original)))


def _plain(points: Points, label: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def numbered(*given: Any, **named: Any) -> Any:
        points.reach(f"before {label}")
        result = call(*given, **named)
        points.reach(f"after {label}")
        return result

    return numbered


def _listing(points: Points, label: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def numbered(*given: Any, **named: Any) -> Iterator[Any]:
        points.reach(f"before {label}")
        found = list(call(*given, **named))
        points.reach(f"after {label}")
        return iter(found)

    return numbered


def _opening(points: Points, label: str, call: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def numbered(*given: Any, **named: Any) -> Generator[Path]:
        points.reach(f"before {label}")
        with call(*given, **named) as path:
            points.reach(f"inside {label}")
            yield path
        points.reach(f"after {label}")

    return numbered


def _streaming(points: Points, label: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def numbered(*given: Any, **named: Any) -> Iterator[Any]:
        points.reach(f"before {label}")
        for batch in call(*given, **named):
            points.reach(f"inside {label}")
            yield batch
        points.reach(f"after {label}")

    return numbered
