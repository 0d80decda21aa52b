"""What the database refuses while an operation asks it directly becomes an error that a person can act on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from moi_backup.errors import SourceError
from moi_backup.postgres.connection_url import scrub


@contextmanager
def database_errors(doing: str, *, url: str, meaning: str = "") -> Generator[None]:
    """Raise SourceError, without the password, for an error of the database; `doing` says what failed."""
    try:
        yield
    except psycopg.Error as error:
        told = scrub(str(error).strip().partition("\n")[0], url=url)
        raise SourceError(
            f"{doing}: {told or type(error).__name__}.",
            meaning=meaning,
            remedy="Check that the server runs, and what the role may read (row-level security needs BYPASSRLS or a superuser).",
        ) from None
