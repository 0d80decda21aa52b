"""What keeps the objects of a bucket from being deleted, as found by trying (`s3_protection`)."""

from __future__ import annotations

from dataclasses import dataclass

GOVERNANCE = "GOVERNANCE"


@dataclass(frozen=True, slots=True)
class Retention:
    """New objects are locked for so many days: `COMPLIANCE` (for everyone) or `GOVERNANCE` (a right lifts it)."""

    mode: str
    days: int


@dataclass(frozen=True, slots=True)
class Protection:
    """What one object that these credentials wrote is protected by.

    `lock_enabled` None: they may not ask. `may_delete_versions` None: there are no versions.
    """

    versioned: bool
    retention: Retention | None
    lock_enabled: bool | None
    may_delete: bool
    may_delete_versions: bool | None
