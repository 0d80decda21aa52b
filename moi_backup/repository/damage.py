"""Damage that names the object: what reading raises and verification collects."""

from __future__ import annotations

from typing import Literal

from moi_backup.errors import Damaged

DamageKind = Literal["missing", "size", "content", "inconsistent", "unreadable"]


class DamagedObject(Damaged):
    """One stored object is missing or is not what it must be.

    `object_name` is its name; `kind` is missing, size (another length), content (another hash, or no valid document),
    inconsistent (documents contradict each other) or unreadable (the medium failed).
    """

    def __init__(self, object_name: str, kind: DamageKind, detail: str, *, remedy: str = "") -> None:
        super().__init__(
            f"{object_name}: {detail}.",
            meaning="The repository is damaged in this place; nothing was read in part.",
            remedy=remedy or "Run moi-backup verify to see what is affected; a full backup writes damaged data anew.",
        )
        self.object_name = object_name
        self.kind: DamageKind = kind
        self.detail = detail
