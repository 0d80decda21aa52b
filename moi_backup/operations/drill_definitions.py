"""The checks of a drill that are about definitions: what the server must have, and whether the tables are the same."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from blake3 import blake3

from moi_backup.errors import MoiError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.drill import DrillCheck
from moi_backup.model.restore import RestoreResult
from moi_backup.model.table import TableName
from moi_backup.operations.database_errors import database_errors
from moi_backup.operations.drill_database import reading
from moi_backup.postgres.identifiers import quote_identifier
from moi_backup.postgres.schema_archive import Entry, definition_text, read_archive
from moi_backup.postgres.schema_dump import dump_schema
from moi_backup.postgres.schema_restore import named_roles, plan_schema
from moi_backup.postgres.session import Connection, connect, run
from moi_backup.repository.repository import Repository

SAME_DEFINITIONS = "definitions are those of the backup"
_SHOWN = 5
_BUILT_IN = ("plpgsql",)
_APART = re.compile(r"\bextensions\.")


@dataclass(frozen=True, slots=True)
class Definitions:
    """The backup's archive as a server of major version `server_major` reads it, and the roles of that server."""

    entries: tuple[Entry, ...]
    server_major: int
    roles: frozenset[str]

    def of(self, tables: Sequence[TableName]) -> tuple[Entry, ...]:
        """What belongs to the tables and can be made on the server; raises SourceError."""
        return plan_schema(self.entries, tables, roles=self.roles).entries


def read_definitions(url: str, repository: Repository, backup: BackupManifest) -> Definitions:
    """The archive of a backup; raises Damaged or SourceError."""
    with connect(url) as conn:
        major = conn.info.server_version // 10000
        roles = frozenset(str(name) for (name,) in run(conn, "SELECT rolname::text FROM pg_catalog.pg_roles"))
    with repository.open_file(backup.schema.digest, size=backup.schema.size) as archive:
        return Definitions(read_archive(archive, server_major=major), major, roles)


def prepare_extensions(url: str, backup: BackupManifest, definitions: Definitions | None) -> dict[str, str]:
    """Make the backup's extensions in the drill's database; those that cannot be made, each with the reason.

    A backup names them without their schemas. Where its definitions speak of the schema `extensions`, in which Supabase
    keeps them, they are made there; else, and where one insists on another, in their own or in `public`.
    """
    names = [name for text in backup.source.extensions if (name := text.partition(" ")[0]) not in _BUILT_IN]
    apart = any(_APART.search(entry.sql) for entry in definitions.entries) if definitions else False
    lacking: dict[str, str] = {}
    with connect(url) as conn:
        if names and apart:
            run(conn, "CREATE SCHEMA IF NOT EXISTS extensions")
        for name in names:
            why = _create_extension(conn, name, " SCHEMA extensions") if apart else None
            why = _create_extension(conn, name, "") if why is not None or not apart else None
            lacking |= {} if why is None else {name: why}
    return lacking


def _create_extension(conn: Connection, name: str, where: str) -> str | None:
    """Make it; why not, when it cannot be made."""
    try:
        run(conn, f"CREATE EXTENSION IF NOT EXISTS {quote_identifier(name)}{where} CASCADE")
    except psycopg.Error as error:
        return str(error).strip().partition("\n")[0]
    return None


def prerequisites(
    backup: BackupManifest, definitions: Definitions | None, *, lacking: dict[str, str], server_version: str
) -> DrillCheck:
    """What the backup needs of a server and this one lacks, by name, and how their versions differ.

    A lack is a warning: whether the tables come back without it the other checks tell.
    """
    roles = sorted(named_roles(definitions.entries) - definitions.roles) if definitions else []
    told = [f"extension {name} is lacking ({why})" for name, why in lacking.items()]
    told += [f"role {name} is lacking, so its grants and policies are left out" for name in roles]
    there, here = _major(backup.source.server_version), _major(server_version)
    if here < there:
        told.append(f"the server runs Postgres {here}, older than the backup's {there}")
    other = f" It runs Postgres {here}, the backup's source ran {there}." if here > there else ""
    return DrillCheck(
        statement="the server has what the backup needs",
        verdict="warning" if told else "passed",
        text=f"{'; '.join(told) or 'Nothing is lacking'}.{other}",
        facts={
            "lacking extensions": ", ".join(lacking),
            "lacking roles": ", ".join(roles),
            "server": server_version,
            "source": backup.source.server_version,
        },
    )


def problem_checks(result: RestoreResult) -> Iterator[DrillCheck]:
    """What the restore itself says could not be made beside the rows; the checks of keys and sequences weigh it."""
    for problem in result.problems:
        yield DrillCheck(statement="everything beside the rows is restored", verdict="warning", text=problem)


def definition_check(
    url: str, backup: BackupManifest, definitions: Definitions, tables: Sequence[TableName], *, scratch: Path
) -> DrillCheck:
    """Whether a dump of the drill's database defines the restored tables as the backup's archive does.

    Word for word where servers and pg_dump have the same major version; else it is unknown.
    """
    majors = {_major(backup.source.server_version), _major(backup.schema.pg_dump), definitions.server_major}
    if len(majors) > 1:
        versions = ", ".join(map(str, sorted(majors)))
        text = f"Not compared: different versions of Postgres ({versions}) write them differently."
        return DrillCheck(statement=SAME_DEFINITIONS, verdict="unknown", text=text)
    try:
        expected = definitions.of(tables)
        found = _dumped(url, expected, definitions.server_major, scratch)
    except MoiError as error:
        return DrillCheck(statement=SAME_DEFINITIONS, verdict="failed", text=error.what)
    return _compared(found, expected, definitions, whole=backup.schema.text)


def _compared(
    found: tuple[Entry, ...], expected: tuple[Entry, ...], definitions: Definitions, *, whole: str
) -> DrillCheck:
    same = blake3(definition_text(found).encode()).hexdigest() == whole
    wanted, here, archive = _by_name(expected), _by_name(found), _by_name(definitions.entries)
    differing = [f"{name} is missing" for name in wanted.keys() - here.keys()]
    differing += [f"{name} is another one" for name in wanted.keys() & here.keys() if wanted[name] != here[name]]
    differing += [
        f"{name} is not the backup's" for name in here.keys() - wanted.keys() if archive.get(name) != here[name]
    ]
    more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
    all_of_it = "that is all of the archive, word for word" if same else "the archive holds others beside them"
    return DrillCheck(
        statement=SAME_DEFINITIONS,
        verdict="failed" if differing and not same else "passed",
        text=f"{'; '.join(sorted(differing)[:_SHOWN])}{more}."
        if differing and not same
        else f"{len(wanted)} definitions are equal; {all_of_it}.",
        facts={"definitions": len(wanted), "of the archive": len(archive), "differing": len(differing)},
    )


def _dumped(url: str, expected: Sequence[Entry], server_major: int, scratch: Path) -> tuple[Entry, ...]:
    schemas = sorted({entry.name if entry.kind == "SCHEMA" else entry.schema for entry in expected} - {"-"})
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="drill-", dir=scratch) as folder, _asking(url), reading(url) as conn:
        into = Path(folder) / "schema.dump"
        dump_schema(url, _exported(conn), schemas, server_major=server_major, into=into)
        return read_archive(into, server_major=server_major)


def _asking(url: str) -> AbstractContextManager[None]:
    return database_errors("The drill's database could not be dumped", url=url)


def _exported(conn: Connection) -> str:
    return str(run(conn, "SELECT pg_catalog.pg_export_snapshot()")[0][0])


def _by_name(entries: Sequence[Entry]) -> dict[str, str]:
    """The SQL of each entry by what it is; entries without any are left out."""
    return {str(entry): entry.sql for entry in entries if entry.sql}


def _major(version: str) -> int:
    return int(version.partition(".")[0].split()[0])
