"""What keeps the objects of a bucket from being deleted: versioning, object lock, missing rights.

The one module that knows botocore: obstore reads neither versions nor locks. `moi-backup doctor` alone uses it.
"""

# botocore makes its clients at run time, so none of it has types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from moi_backup.errors import StorageError
from moi_backup.storage.address import Bucket
from moi_backup.storage.protection import GOVERNANCE, Protection, Retention
from moi_backup.storage.s3_access import S3Access, check_access

_SECONDS = 20
_DAY = 86_400
_OWN_VERSION = "null"  # the version of what was written without versioning


def probe_protection(bucket: Bucket, access: S3Access, *, name: str) -> Protection:
    """Try to delete the object `name`, and the version of it that is there now; both belong to the caller.

    Where a lock forbids it, that version and a deletion marker stay. Raises StorageError when the store gives no
    answer.
    """
    check_access(access)
    probe = _Probe(_client(access), bucket.name, bucket.key(name))
    with _translated(bucket):
        head = probe.call("head_object", Key=probe.key)
        enabled, retention = probe.lock_of_bucket()
        retention = retention or _retention_of(head)
        version = head.get("VersionId", _OWN_VERSION)
        deleted = probe.delete()
        if version == _OWN_VERSION:
            return Protection(
                versioned=False,
                retention=retention,
                lock_enabled=enabled,
                may_delete=deleted is not None,
                may_delete_versions=None,
            )
        lifts = retention is not None and retention.mode == GOVERNANCE
        gone = probe.delete(VersionId=version) is not None or (lifts and probe.delete_lifting(version) is not None)
        if deleted and "VersionId" in deleted:
            probe.delete(VersionId=deleted["VersionId"])  # the deletion's own marker
        return Protection(
            versioned=True,
            retention=retention,
            lock_enabled=enabled,
            may_delete=deleted is not None,
            may_delete_versions=gone,
        )


class _Probe:
    """Requests about one object."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client, self._bucket, self.key = client, bucket, key

    def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return getattr(self._client, operation)(Bucket=self._bucket, **parameters)

    def delete(self, **parameters: Any) -> Mapping[str, Any] | None:
        """The answer; None when it was refused."""
        return self._unless_refused("delete_object", Key=self.key, **parameters)

    def delete_lifting(self, version: str) -> Mapping[str, Any] | None:
        """Delete a version by the right to lift its lock."""
        return self.delete(VersionId=version, BypassGovernanceRetention=True)

    def lock_of_bucket(self) -> tuple[bool | None, Retention | None]:
        """Whether the bucket has object lock, and what it gives to new objects; (None, None) when that is not told."""
        try:
            told = self.call("get_object_lock_configuration")["ObjectLockConfiguration"]
        except ClientError as error:
            return (False if _status(error) == 404 else None), None
        rule = told.get("Rule", {}).get("DefaultRetention", {})
        days = rule.get("Days", 0) or 365 * rule.get("Years", 0)
        return told.get("ObjectLockEnabled") == "Enabled", Retention(rule["Mode"], days) if days else None

    def _unless_refused(self, operation: str, **parameters: Any) -> Mapping[str, Any] | None:
        """Refusals of a right or a lock differ from store to store, but none is the store's own failure (5xx)."""
        try:
            return self.call(operation, **parameters)
        except ClientError as error:
            if 400 <= _status(error) < 500:
                return None
            raise


def _client(access: S3Access) -> Any:
    session = botocore.session.Session()
    for name in ("config_file", "credentials_file"):  # what is configured is the environment's AWS variables alone
        session.set_config_variable(name, os.devnull)
    session.set_config_variable("profile", None)
    return session.create_client(
        "s3",
        region_name=access.region,
        endpoint_url=access.endpoint,
        aws_access_key_id=access.key_id,
        aws_secret_access_key=access.secret_key,
        aws_session_token=access.session_token,
        config=Config(
            connect_timeout=_SECONDS,
            read_timeout=_SECONDS,
            retries={"total_max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path" if access.endpoint else "auto"},
        ),
    )


def _retention_of(head: Mapping[str, Any]) -> Retention | None:
    """The lock of one object, in whole days from its writing."""
    if "ObjectLockMode" not in head or "ObjectLockRetainUntilDate" not in head:
        return None
    seconds = (head["ObjectLockRetainUntilDate"] - head["LastModified"]).total_seconds()
    return Retention(head["ObjectLockMode"], round(seconds / _DAY))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def _translated(bucket: Bucket) -> Generator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        # Not chained, and not its text: it may hold the request.
        raise StorageError(
            f"What protects {bucket} could not be found out ({_kind(error)}).",
            meaning="Backups are not concerned.",
            remedy="Try again; the store may be overloaded or not know versions and locks.",
        ) from None


def _kind(error: BotoCoreError | ClientError) -> str:
    return str(_status(error)) if isinstance(error, ClientError) else type(error).__name__
