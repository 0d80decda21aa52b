"""Connection URLs of Postgres: what one may look like, which secrets it holds, and how it is shown without them.

libpq ends the user and password at the first `@` before the first `/`, and reads any key of the query as a parameter
(PostgreSQL documentation, "Connection URIs"). Python's `urlsplit` ends them elsewhere (`?` and `#` in a password), so a
URL is read here by libpq's rule, and one on which the two could differ is refused: it must be clear what is secret.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

# A driver as SQLAlchemy writes it (`postgresql+psycopg2`) is accepted; what connects drops it.
_SCHEME = re.compile(r"postgres(ql)?(\+\w+)?")
HIDDEN = "***"
_SECRETS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(:[0-9]*)?")


class _Parts(NamedTuple):
    """`scheme://user:password@place?query`; None for what is absent. A later `@` counts as the end of a password."""

    scheme: str
    user: str | None
    password: str | None
    place: str
    parameters: tuple[tuple[str, str], ...]


def check_connection_url(url: str) -> None:
    """Raise ValueError, without repeating the URL, unless it is one that libpq and this module read alike."""
    parts = _parts(url)
    if not _SCHEME.fullmatch(parts.scheme):
        raise ValueError("a database is given as postgresql://user@host:port/database or as env:NAME")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("the URL holds white space or control characters; write them percent-encoded")
    credentials, at, _ = url.partition("://")[2].rpartition("@")
    if at and ("@" in credentials or "/" in credentials):
        raise ValueError("the URL has a stray @ or /; in names and passwords write %40 for @ and %2F for /")
    hosts = parts.place.partition("/")[0].split(",")
    if not all(_HOST.fullmatch(host) for host in hosts):
        raise ValueError("the URL's host and port cannot be read; in a password write %40 for @ and %3A for :")


def named_variable(value: str) -> str | None:
    """The variable that `env:NAME` names; None when the value is a URL itself. Raises ValueError for an odd name."""
    if not value.startswith("env:"):
        return None
    name = value.removeprefix("env:")
    if not _VARIABLE.fullmatch(name):
        raise ValueError("env: must be followed by the name of an environment variable, as in env:DATABASE_URL")
    return name


def holds_secret(url: str) -> bool:
    """Whether a password, or another secret parameter, stands in the URL."""
    parts = _parts(url)
    return bool(parts.password) or any(_secret(key) and value for key, value in parts.parameters)


def shown(url: str) -> str:
    """The URL with every secret replaced by `***`; safe for output, manifests and logs."""
    parts = _parts(url)
    user = "" if parts.user is None else parts.user
    password = "" if parts.password is None else f":{HIDDEN}"
    at = "" if parts.user is None else "@"
    query = "&".join(f"{key}={HIDDEN if _secret(key) else value}" for key, value in parts.parameters)
    return f"{parts.scheme}://{user}{password}{at}{parts.place}{'?' if query else ''}{query}"


def _parts(url: str) -> _Parts:
    scheme, _, rest = url.partition("://")
    credentials, at, address = rest.rpartition("@")
    user, colon, password = credentials.partition(":")
    place, _, query = address.partition("?")
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return _Parts(
        scheme=scheme,
        user=user if at else None,
        password=password if colon else None,
        place=place,
        parameters=tuple((key, value) for key, _, value in pairs),
    )


def _secret(key: str) -> bool:
    return unquote(key) in _SECRETS
