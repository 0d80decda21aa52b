"""Connection URLs: reading them, and keeping their passwords out of everything that is shown or stored."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import quote, unquote

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import ProgrammingError

from moi_backup.errors import SourceError, UsageError

HIDDEN: Final = "***"
_SCHEME: Final = re.compile(r"postgres(?:ql)?(?:\+\w+)?://")
# Greedy to the last @: a password whose own @ or / was not percent-encoded is hidden whole.
_USER_PASSWORD: Final = re.compile(r"(://[^:/?#@]*):(.*)@", re.DOTALL)
_PARAMETER: Final = re.compile(r"((?:password|passwd|sslpassword)\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^&\s]*)", re.IGNORECASE)
_SUPABASE: Final = (".supabase.com", ".supabase.co")
_TRANSACTION_POOLER_PORT: Final = "6543"


def redact(url: str) -> str:
    """The URL for messages and manifests, without its password."""
    return _PARAMETER.sub(rf"\1{HIDDEN}", _USER_PASSWORD.sub(rf"\1:{HIDDEN}@", url))


def libpq_url(url: str) -> str:
    """The URL as libpq and ADBC take it: a SQLAlchemy driver (`postgresql+psycopg2://`) is dropped.

    Raises UsageError, without echoing the password, for anything that is no Postgres URL.
    """
    if not _SCHEME.match(url):
        raise UsageError(
            f"{redact(url)!r} is not a Postgres connection URL.",
            remedy="Give postgresql://USER@HOST:PORT/DATABASE; the password can come from PGPASSWORD or ~/.pgpass.",
        )
    parameters(url)
    return _SCHEME.sub("postgresql://", url, count=1)


def parameters(url: str) -> dict[str, str]:
    """The URL's libpq parameters (host, port, dbname, user, password, ...), decoded; only what the URL itself says."""
    found: dict[str, str] = {}
    valid = not _unescaped_password(url)
    try:
        plain = _SCHEME.sub("postgresql://", url, count=1)
        found = {name: str(value) for name, value in conninfo_to_dict(plain).items()}
    except ProgrammingError:
        # libpq's message echoes a part of the URL, perhaps of the password, so it is not passed on.
        valid = False
    if not valid:
        raise UsageError(
            f"The connection URL {redact(url)!r} cannot be read.",
            remedy="Percent-encode special characters in user and password (@ is %40, / is %2F, # is %23, ? is %3F).",
        )
    return found


def _unescaped_password(url: str) -> bool:
    """Whether libpq would take a part of the password for the host, and name it in its messages."""
    match = _USER_PASSWORD.search(url.partition("?")[0])
    return match is not None and re.search("[@/#]", match.group(2)) is not None


def without_password(url: str) -> tuple[str, dict[str, str]]:
    """The connection string that may stand on a command line, and the environment that carries the password instead."""
    known = parameters(url)
    password = known.pop("password", None)
    return make_conninfo("", **known), {} if password is None else {"PGPASSWORD": password}


def scrub(message: str, *, url: str) -> str:
    """A message of libpq or a child program without the URL or any password that is known to this process."""
    split = _USER_PASSWORD.search(url)
    secrets = {split.group(2), unquote(split.group(2))} if split else set[str]()
    secrets |= {parameters(url).get("password", ""), os.environ.get("PGPASSWORD", "")}
    # A secret of a letter or two stands in every sentence; where it stands as a password, `redact` finds it.
    for secret in sorted((secret for secret in secrets if len(secret) > 2), key=len, reverse=True):
        message = message.replace(secret, HIDDEN)
    return redact(message)


def refuse_transaction_pooler(url: str) -> None:
    """Raise SourceError for Supabase's transaction pooler, which gives every transaction another session."""
    known = parameters(libpq_url(url))
    host, port = known.get("host", ""), known.get("port", "")
    if host.endswith(_SUPABASE) and port == _TRANSACTION_POOLER_PORT:
        raise SourceError(
            f"{host}:{port} is Supabase's transaction pooler.",
            meaning="A backup needs one session for its snapshot; this pooler gives every transaction another one.",
            remedy="Use the session pooler (same host, port 5432) or connect directly, db.PROJECT.supabase.co:5432.",
        )


def address_of(url: str) -> str:
    """Host, port and database for a manifest: `host:port/database`, never user or password."""
    known = parameters(url)
    return f"{known.get('host', 'local')}:{known.get('port', '5432')}/{known.get('dbname', '')}"


def with_database(url: str, database: str) -> str:
    """The URL with another database of the same server; a `dbname` in its query is dropped."""
    scheme, _, rest = url.partition("://")
    credentials, at, address = rest.rpartition("@")
    place, _, query = address.partition("?")
    pairs = [pair for pair in query.split("&") if pair and unquote(pair.partition("=")[0]) != "dbname"]
    hosts = place.partition("/")[0]
    return f"{scheme}://{credentials}{at}{hosts}/{quote(database, safe='')}{'?' if pairs else ''}{'&'.join(pairs)}"
