"""What went wrong in an object store, read from the errors of obstore, and what to do about it.

obstore's errors have no fields for status and code, only text with a debug dump after it; the server's answer in that
text can hold the signed request with the session token. So nothing of it goes on but what is picked out here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from moi_backup.errors import StorageError

_STATUS = re.compile(r"status code: (\d{3})|\bstatus: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_REDIRECT = "redirect without LOCATION"
_CONNECTION = re.compile(r"kind: (Connect|Timeout|Interrupted|Request|Decode)\b")
_PASSING_CODES = ("SlowDown", "RequestTimeout", "InternalError", "NoSuchUpload", "OperationAborted")
_PASSING_STATUS = (408, 409, 425, 429)  # 409: another conditional write of the same name is under way

_KEYS = (
    "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN: they must belong together and to this store."
)
_RIGHTS = (
    "Allow these credentials s3:GetObject, s3:PutObject, s3:AbortMultipartUpload and s3:ListBucket on the bucket; "
    "backups and restores never need s3:DeleteObject."
)
_REGION = "Set AWS_REGION to the bucket's region, or AWS_ENDPOINT_URL to the store that holds the bucket."
_REMEDIES = {
    "NoSuchBucket": (
        "the bucket does not exist",
        "Make the bucket, or correct the address (MOI_REPOSITORY) or the store (AWS_ENDPOINT_URL, AWS_REGION).",
    ),
    "AccessDenied": ("the credentials are not allowed to", _RIGHTS),
    "InvalidAccessKeyId": ("the store does not know the access key", _KEYS),
    "SignatureDoesNotMatch": ("the secret key is wrong", _KEYS),
    "ExpiredToken": ("the session token has expired", "Get new temporary credentials and set all three variables."),
    "InvalidToken": ("the session token is not valid", _KEYS),
    "RequestTimeTooSkewed": (
        "this machine's clock and the store's are too far apart",
        "Set the clock of this machine (NTP); stores accept a difference of 15 minutes at most.",
    ),
    "PermanentRedirect": ("the bucket is in another region", _REGION),
    "AuthorizationHeaderMalformed": ("the bucket is in another region", _REGION),
    "NotImplemented": (
        "the store does not know this kind of request",
        "Use a store with conditional writes (If-None-Match) and multipart uploads, as Amazon S3 has them.",
    ),
    "EntityTooLarge": ("the object is too large for the store", "Raise the store's limit for single objects."),
    "QuotaExceeded": ("the store is full", "Raise the quota of the bucket or free space there."),
    "InsufficientStorage": ("the store is full", "Raise the quota of the bucket or free space there."),
}
_BY_STATUS = {
    301: "PermanentRedirect",
    401: "SignatureDoesNotMatch",
    403: "AccessDenied",
    413: "EntityTooLarge",
    501: "NotImplemented",
    507: "InsufficientStorage",
}


class Failure(NamedTuple):
    """A failed request: HTTP status (None: no answer came), the store's code, and what became of the connection."""

    status: int | None
    code: str | None
    connection: str | None

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed a little later."""
        if self.status is None:
            return self.connection is not None or self.code in _PASSING_CODES
        if self.code in _PASSING_CODES:
            return True
        return self.status in _PASSING_STATUS or (self.status >= 500 and self.status not in (501, 505, 507))

    @property
    def exists(self) -> bool:
        """Whether a conditional write failed because the object is there."""
        return self.status in (304, 412)

    @property
    def missing(self) -> bool:
        """Whether the object is what was not found (and not the bucket)."""
        return self.status == 404 and self.code in (None, "NoSuchKey")


BROKEN = Failure(status=None, code=None, connection="Interrupted")
UNDECIDED = Failure(status=409, code=None, connection=None)


def read_failure(error: Exception) -> Failure:
    """What the text of one of obstore's errors says."""
    text = str(error)
    status, code, connection = _STATUS.search(text), _CODE.search(text), _CONNECTION.search(text)
    if _REDIRECT in text:
        return Failure(status=301, code=None, connection=None)
    return Failure(
        status=int(status[1] or status[2]) if status else None,
        code=(code[1] or code[2]) if code else None,
        connection=connection[1] if connection else None,
    )


def failed_request(
    failure: Failure, *, verb: str, name: str, address: str, endpoint: str, meaning: str
) -> StorageError:
    """The error a user sees; it holds no secret and nothing of the server's own text but its code."""
    reason, remedy = _explained(failure, verb=verb, endpoint=endpoint)
    code = f" ({failure.code})" if failure.code else ""
    return StorageError(
        f"Could not {verb} {name or 'the repository'} in {address}: {reason}{code}.", meaning=meaning, remedy=remedy
    )


def _explained(failure: Failure, *, verb: str, endpoint: str) -> tuple[str, str]:
    known = _REMEDIES.get(failure.code or "") or _REMEDIES.get(_BY_STATUS.get(failure.status or 0, ""))
    if known is not None:
        reason, remedy = known
        if verb == "delete" and remedy is _RIGHTS:
            remedy = "Use credentials that are allowed s3:DeleteObject for this; backups and restores never need it."
        return reason, remedy
    if failure.status is None:
        return _unanswered(failure, endpoint=endpoint)
    if failure.passing:
        reason = f"the store is overloaded or out of order, it answered with status {failure.status} again and again"
        return reason, "Run the command again when the store has recovered."
    return f"the store refused with status {failure.status}", f"See that {endpoint} is the S3 store that is meant."


def _unanswered(failure: Failure, *, endpoint: str) -> tuple[str, str]:
    if failure.connection == "Connect":
        remedy = "Check the network and AWS_ENDPOINT_URL, and that the store runs; then run the command again."
        return f"nothing answers at {endpoint}", remedy
    reason = "did not answer in time" if failure.connection == "Timeout" else "broke the connection off"
    return f"{endpoint} {reason}", "Check the network and the store, then run the command again."
