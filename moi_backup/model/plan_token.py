"""Plan tokens: a few characters that stand for everything a preview of a restore in place showed.

A token is two hashes joined by a dash: of what was asked, and of what would be done to every table (which depends on
the live rows). Equal tokens mean the same options and the same outcome; the half that differs tells what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from blake3 import blake3

from moi_backup.model.restore import RestoreRequest, TableChanges
from moi_backup.model.table import TableName

_ASKED, _DONE = 8, 12
_MEANINGLESS = ("backup", "base", "reason", "by", "wait", "plan", "jobs")
"""Names of backups stand there as their ids; the others decide nothing."""


def plan_token(asked: str, parts: Iterable[str]) -> str:
    """The token of a plan from `asked_digest` and the parts of its tables, in their order."""
    return f"{asked[:_ASKED]}-{_digest(list(parts))[:_DONE]}"


def same_asked(token: str, other: str) -> bool:
    """Whether two tokens come from the same options against the same backup and database."""
    return token[: _ASKED + 1] == other[: _ASKED + 1]


def asked_digest(request: RestoreRequest, *, address: str, backup: str, base: str) -> str:
    """A hash of what was asked: the options that decide anything, bound to the backups' ids and the database."""
    options = {name: value for name, value in msgspec.to_builtins(request).items() if name not in _MEANINGLESS}
    return _digest({**options, "address": address, "backup": backup, "base": base})


def part_of(
    target: TableName,
    *,
    stored: Iterable[str],
    newer_by: str | None,
    definition: object,
    live: Mapping[str, str],
    changes: TableChanges,
    refusal: str,
) -> str:
    """A hash of one table's part: the digests of the stored and the live rows, its definition, and what results."""
    return _digest([str(target), list(stored), newer_by, definition, dict(live), changes, refusal])


def _digest(value: object) -> str:
    return blake3(msgspec.json.encode(value, order="sorted")).hexdigest()
