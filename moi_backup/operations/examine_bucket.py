"""Examine what protects the objects of a bucket from who has these credentials, or from a mistake."""

from __future__ import annotations

from moi_backup.errors import StorageError
from moi_backup.operations.examined import Examined
from moi_backup.operations.workspace import Workspace
from moi_backup.storage.address import Bucket, parse_address
from moi_backup.storage.protection import GOVERNANCE, Protection

NAME = "protection"
_INSTALL = "Install moi-backup with its extra s3 to see what protects the bucket."
_LOCK = "Use a bucket with object lock and a default retention, or versioning and credentials without the rights "
_REMEDY = f"{_LOCK}s3:DeleteObject and s3:DeleteObjectVersion (docs/configuration.md, Object storage)."


def examine_protection(workspace: Workspace, *, probe: str) -> Examined:
    """Whether stored objects can be deleted; tried on the object `probe`, which doctor itself has written."""
    place = parse_address(workspace.settings.repository.address, setting="The repository's address")
    if not isinstance(place, Bucket):
        raise TypeError(f"not in a bucket: {place}")
    try:
        from moi_backup.storage.s3_protection import probe_protection

        found = probe_protection(place, workspace.settings.buckets, name=probe)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "botocore":
            raise
        return Examined(name=NAME, level="warn", text="the package botocore is not installed", remedy=_INSTALL)
    except StorageError as error:
        return Examined(name=NAME, level="warn", text=error.what, remedy=error.remedy)
    return judge_protection(found)


def judge_protection(found: Protection) -> Examined:
    """What is protected by what, or that nothing is."""
    text = f"{_by_lock(found)}{_by_versions(found)}{_by_rights(found)}"
    if found.versioned and not found.may_delete_versions:
        return Examined(name=NAME, level="ok", text=text)
    return Examined(name=NAME, level="warn", text=text, remedy=_REMEDY)


def _by_lock(found: Protection) -> str:
    if found.retention is None:
        return "object lock is on but gives new objects no retention; " if found.lock_enabled else ""
    lifted = ", unless a right lifts it" if found.retention.mode == GOVERNANCE else ", whoever asks"
    return f"object lock ({found.retention.mode.lower()}) keeps every version for {found.retention.days} days{lifted}; "


def _by_versions(found: Protection) -> str:
    if found.versioned:
        return "versioning keeps what is overwritten or deleted; "
    return "no versioning: nothing keeps what is overwritten or deleted; "


def _by_rights(found: Protection) -> str:
    if found.may_delete_versions:
        return "these credentials can delete objects and their versions, so whoever steals them can delete everything"
    if found.may_delete:
        return "these credentials can delete objects" + (", but no version" if found.versioned else "")
    return "these credentials cannot delete" + ("" if found.versioned else ", but they can overwrite")
