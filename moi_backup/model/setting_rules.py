"""What a value of `moi.toml` must satisfy beyond its type; each rule raises ValueError with what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable
from zoneinfo import ZoneInfo

from moi_backup.model.connection_url import check_connection_url, holds_secret, named_variable

_SCOPE = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def refuse_odd_columns(field: str, columns: Iterable[str]) -> None:
    """Column names are not empty and stand once."""
    seen: set[str] = set()
    for column in columns:
        if not column or column in seen:
            raise ValueError(f"{field} names column {column!r} twice" if column else f"{field} holds an empty name")
        seen.add(column)


def refuse_odd_scope(scope: str) -> None:
    """A scope's name fits into object names (`keys/<scope>/<n>`) and is not the one of all other columns."""
    if scope == "default" or not _SCOPE.fullmatch(scope):
        raise ValueError(
            f"{scope!r} is no name for a scope: use lower-case letters, digits, _ and -; "
            "`default` is the scope of all columns that are in no other"
        )


def refuse_empty(field: str, value: str | None) -> None:
    """A value that is given says something."""
    if value is not None and not value.strip():
        raise ValueError(f"{field} is empty; leave the key out to get its default")


def refuse_unfit_url(url: str | None) -> None:
    """A database is `env:NAME` or a URL without any secret in it."""
    if url is None or named_variable(url) is not None:
        return
    check_connection_url(url)
    if holds_secret(url):
        raise ValueError(
            "url holds a password, which must not stand in this file; "
            'write url = "env:NAME" and set that variable, or leave the password to ~/.pgpass'
        )


def refuse_unknown_timezone(name: str) -> None:
    """A time zone is one of the IANA database."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"timezone {name!r} is not a zone of the IANA database, as Asia/Kolkata is") from error
