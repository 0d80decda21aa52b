"""What the database refuses while an operation asks it directly becomes an error that a person can act on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from moi_backup.errors import Locked, SourceError
from moi_backup.postgres.connection_url import scrub


@contextmanager
def database_errors(doing: str, *, url: str, meaning: str = "") -> Generator[None]:
    """Raise Locked or SourceError, without the password, for an error of the database; `doing` says what failed."""
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise Locked(
            f"{doing}: another session keeps a table locked.",
            meaning=meaning,
            remedy="Let the other transaction end (pg_stat_activity, pg_locks), then run it again.",
        ) from None
    except psycopg.Error as error:
        told = scrub(str(error).strip().partition("\n")[0], url=url)
        raise SourceError(
            f"{doing}: {told or type(error).__name__}.",
            meaning=meaning,
            remedy="Check that the server runs and what the role may read (row security needs BYPASSRLS).",
        ) from None
