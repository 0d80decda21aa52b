"""Databases of drills: made for one drill, dropped at its end, and dropped by the next one when it was killed.

While a drill lives, a session of its own holds an advisory lock that stands for its database. `pg_locks` shows the
locks of all databases of a server, so any other drill there can tell a living one's database from one left over. The
lock is taken before the database is made, and databases are listed before locks: a living drill's is never dropped.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from blake3 import blake3

from moi_backup.errors import SourceError
from moi_backup.postgres.connection_url import redact, scrub, with_database
from moi_backup.postgres.identifiers import quote_identifier
from moi_backup.postgres.session import Connection, connect, run

APPLICATION = "moi-backup drill"
LOCK_CLASS = 0x6D6F6964
_ABANDONED = r"^moi_drill_\d{8}t\d{6}z_[0-9a-f]{6}$"


@dataclass(frozen=True, slots=True)
class ScratchDatabase:
    """A database that belongs to one drill; the URL holds the password."""

    name: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Swept:
    """Databases of killed drills: those that were dropped, and why others could not be."""

    dropped: tuple[str, ...]
    problems: tuple[str, ...]


def scratch_name(drill: str, *, keep: bool) -> str:
    """The name of a drill's database. One that is to be kept has a name that no drill ever drops."""
    return f"moi_drill_{drill.lower().replace('-', '_')}{'_kept' if keep else ''}"


@contextmanager
def scratch_database(server: str, name: str, *, keep: bool) -> Generator[ScratchDatabase]:
    """An empty database of this name on the server at the URL `server`, dropped at the end unless `keep`.

    Raises SourceError when it cannot be made or, at the end, not be dropped.
    """
    with connect(server, application=APPLICATION) as holder:
        run(holder, f"SELECT pg_catalog.pg_advisory_lock({LOCK_CLASS}, {_lock_number(name)})")
        made = ScratchDatabase(name, with_database(server, name))
        try:
            _create(holder, made, server=server)
            yield made
        finally:
            if not keep:
                _drop(server, name)


def drop_abandoned(server: str) -> Swept:
    """Drop the databases of drills that no longer run; those of living drills and kept ones stay."""
    dropped: list[str] = []
    problems: list[str] = []
    with connect(server, application=APPLICATION) as conn:
        listed = run(
            conn, f"SELECT datname::text FROM pg_catalog.pg_database WHERE datname ~ '{_ABANDONED}' ORDER BY 1"
        )
        held = {int(str(number)) for (number,) in run(conn, _HELD)}
        for name in (str(name) for (name,) in listed):
            if _lock_number(name) in held:
                continue
            try:
                run(conn, _drop_sql(name))
                dropped.append(name)
            except psycopg.Error as error:
                problems.append(f"Database {name} of a killed drill could not be dropped: {_told(error, server)}")
    return Swept(tuple(dropped), tuple(problems))


def _create(holder: Connection, made: ScratchDatabase, *, server: str) -> None:
    try:
        run(holder, f"CREATE DATABASE {quote_identifier(made.name)} TEMPLATE template0 ENCODING 'UTF8'")
    except psycopg.Error as error:
        raise SourceError(
            f"The drill server {redact(server)} makes no database: {_told(error, server)}",
            meaning="A drill restores into a database of its own, so nothing was restored.",
            remedy="The role needs CREATEDB; or name another server with MOI_DRILL_URL ([drill] url in moi.toml).",
        ) from None
    with connect(made.url, application=APPLICATION) as conn:
        [(found,)] = run(conn, "SELECT pg_catalog.current_database()::text")
    if found != made.name:
        raise SourceError(
            f"The drill server {redact(server)} answered with database {found}, not with the new {made.name}.",
            meaning="A pooler or the URL leads elsewhere. Nothing was restored.",
            remedy="Give a URL that connects to the server directly.",
        )


def _drop(server: str, name: str) -> None:
    try:
        with connect(server, application=APPLICATION) as conn:
            run(conn, _drop_sql(name))
    except psycopg.Error as error:
        raise SourceError(
            f"The drill's database {name} could not be dropped: {_told(error, server)}",
            meaning="It takes up space on the drill server until it is dropped.",
            remedy="The next drill drops it.",
        ) from None


def _drop_sql(name: str) -> str:
    return f"DROP DATABASE IF EXISTS {quote_identifier(name)} WITH (FORCE)"


def _lock_number(name: str) -> int:
    """A positive 31-bit number for the name; two names that share one only keep each other's leftovers longer."""
    return int.from_bytes(blake3(name.encode()).digest()[:4]) & 0x7FFFFFFF


def _told(error: psycopg.Error, url: str) -> str:
    return scrub(str(error).strip().partition("\n")[0], url=url)


_HELD = f"""SELECT objid::bigint FROM pg_catalog.pg_locks
WHERE locktype = 'advisory' AND classid = {LOCK_CLASS} AND objsubid = 2 AND granted"""
