"""How buckets are reached: endpoint, region and credentials from the usual AWS variables, read with the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from moi_backup.errors import StorageError

DEFAULT_REGION = "us-east-1"
COPY_PREFIX = "MOI_COPY_"
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_PLACE = (*_ENDPOINTS, *_REGIONS, "AWS_ALLOW_HTTP")
COPY_VARIABLES = tuple(
    f"{COPY_PREFIX}{name}" for name in (*_CREDENTIALS, "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ALLOW_HTTP")
)
_TRUE = ("1", "true", "yes", "on")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class S3Access:
    """Endpoint (None: Amazon's own), region and credentials. The repr holds no secret."""

    endpoint: str | None = field(default=None, repr=False)
    region: str = DEFAULT_REGION
    key_id: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    allow_http: bool = False


def read_access(environ: Mapping[str, str]) -> S3Access:
    """What the AWS variables say; an empty one counts as not set. Nothing is checked before a bucket is opened."""
    return S3Access(
        endpoint=_first(environ, _ENDPOINTS),
        region=_first(environ, _REGIONS) or DEFAULT_REGION,
        key_id=environ.get("AWS_ACCESS_KEY_ID") or None,
        secret_key=environ.get("AWS_SECRET_ACCESS_KEY") or None,
        session_token=environ.get("AWS_SESSION_TOKEN") or None,
        allow_http=environ.get("AWS_ALLOW_HTTP", "").lower() in _TRUE,
    )


def read_copy_access(environ: Mapping[str, str]) -> S3Access:
    """How the copy's bucket is reached: as `MOI_COPY_AWS_...` says, else as the AWS variables do.

    Credentials are taken from one of the two as a whole, an endpoint brings no region of the other's along.
    """
    own = {name.removeprefix(COPY_PREFIX): value for name, value in environ.items() if name in COPY_VARIABLES}
    replaced = {name for group in (_CREDENTIALS, _PLACE) if own.keys() & set(group) for name in group}
    return read_access({name: value for name, value in environ.items() if name not in replaced} | own)


def check_access(access: S3Access) -> None:
    """Raises StorageError when credentials are missing or the endpoint must not be used as it stands."""
    if access.key_id is None or access.secret_key is None:
        missing = "AWS_ACCESS_KEY_ID" if access.key_id is None else "AWS_SECRET_ACCESS_KEY"
        raise StorageError(
            f"There are no credentials for the bucket: {missing} is not set.",
            meaning="Profiles, instance roles and anonymous access are not in this release.",
            remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN for temporary credentials.",
        )
    if access.endpoint is not None:
        _check_endpoint(access.endpoint, allow_http=access.allow_http)


def _check_endpoint(endpoint: str, *, allow_http: bool) -> None:
    url = _split(endpoint)
    if url is None or url.scheme not in ("http", "https") or not url.hostname or url.query or "@" in url.netloc:
        # Not repeated: a name and a password may stand in it.
        raise StorageError(
            "The endpoint of the bucket is no address of a server.",
            remedy="Set AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_S3) to https://host or https://host:port.",
        )
    if url.scheme == "http" and not allow_http and url.hostname not in _LOOPBACK:
        raise StorageError(
            f"The endpoint http://{url.hostname} is not encrypted.",
            meaning="Rows would travel over the network readable and changeable by others.",
            remedy="Use its https:// address, or set AWS_ALLOW_HTTP=true where the network is trusted.",
        )


def _split(endpoint: str) -> SplitResult | None:
    try:
        url = urlsplit(endpoint)
        _ = url.port  # raises where it is no number
    except ValueError:
        return None
    return url


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)
