"""Backups whose rows are remembered beside the repository, so that each can be compared with what it must hold."""

from __future__ import annotations

import json
from typing import Any

from tests.engine.crash.operation import require_restorable
from tests.engine.crash.place import Place
from tests.engine.crash.shop import CHANGE, SCRIPT, rows, rows_without_pii

_FILE = "expected.json"


def take(place: Place, **request: Any) -> str:
    """Take a backup and remember the rows it holds; its id."""
    backup = place.back_up(**request).manifest.id
    (place.folder / _FILE).write_text(
        json.dumps({**_remembered(place), backup: [rows(place), rows_without_pii(place)]})
    )
    return backup


def expected(place: Place) -> dict[str, dict[str, str]]:
    """The rows of every backup that was taken by `take`, oldest first."""
    return {backup: whole for backup, (whole, _) in _remembered(place).items()}


def _remembered(place: Place) -> dict[str, list[dict[str, str]]]:
    file = place.folder / _FILE
    return json.loads(file.read_text()) if file.exists() else {}


def listed(place: Place) -> list[str]:
    """The ids of the listed backups, oldest first."""
    return [manifest.id for manifest in place.backups()]


def require_listed_restore(place: Place) -> None:
    """Every listed backup that is remembered restores exactly its rows."""
    remembered = expected(place)
    for backup in listed(place):
        if backup in remembered:
            require_restorable(place, remembered[backup], backup=backup)


def require_listed_restore_without_pii(place: Place) -> None:
    """Every listed backup that is remembered restores exactly its columns of the other scopes."""
    for backup in listed(place):
        if backup in expected(place):
            place.sql("DROP SCHEMA IF EXISTS proof CASCADE", url=place.target)
            assert place.restore(place.target, backup=backup, schema="proof", without_scopes=("pii",)).complete
            assert rows_without_pii(place, url=place.target, schema="proof") == _remembered(place)[backup][1]


def prepare_history(place: Place) -> None:
    """Three backups: one of other rows, and two of the rows that live."""
    place.sql(SCRIPT)
    place.initialise()
    take(place)
    place.sql(CHANGE)
    take(place)
    take(place)
