"""Definitions of a backup's tables in another schema, so that they can stand beside the live tables of the same names.

Definitions are text in which every name is written out, and no text is rewritten here: they are made in an empty
database of the same server, their schema is renamed there, and what pg_dump says then is what is made in the target.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

from moi_backup.errors import MoiError, SourceError
from moi_backup.model.backup import BackupManifest
from moi_backup.model.table import TableName
from moi_backup.operations.drill_definitions import prepare_extensions
from moi_backup.operations.new_table import begin
from moi_backup.postgres.arrow_session import ArrowSession
from moi_backup.postgres.identifiers import quote_identifier
from moi_backup.postgres.live_columns import live_columns
from moi_backup.postgres.schema_archive import Entry, read_archive
from moi_backup.postgres.schema_dump import dump_schema
from moi_backup.postgres.schema_restore import SchemaPlan
from moi_backup.postgres.scratch_database import scratch_database, scratch_name


class Moved(NamedTuple):
    """The archive, and what the type of each column is called there, by the table's name there."""

    entries: tuple[Entry, ...]
    types: dict[TableName, dict[str, str]]


def moved_definitions(
    url: str, plan: SchemaPlan, backup: BackupManifest, *, schema: str, into: str, restore: str
) -> Moved:
    """The archive of what the plan makes in `schema`, as it is when that is called `into`.

    `restore` is the id of the restore, which the database is named after: when a killed restore leaves it, the next
    drill on this server drops it. Raises SourceError.
    """
    try:
        with scratch_database(url, scratch_name(restore, keep=False), keep=False) as made:
            prepare_extensions(made.url, backup, None)
            major, types = _make(made.url, plan, schema=schema, into=into)
            with tempfile.TemporaryDirectory(prefix="moi-definitions-") as folder:
                archive = Path(folder) / "schema.dump"
                dump_schema(made.url, None, [into], server_major=major, into=archive)
                return Moved(read_archive(archive, server_major=major), types)
    except MoiError as error:
        raise SourceError(
            f"The definitions of the backup could not be brought into schema {into}: {error.what}",
            meaning="Nothing was restored. They are first made in an empty database of the same server.",
            remedy="The role needs CREATEDB and the server the backup's extensions; "
            "or leave out --schema-from-backup: the tables then have their columns alone.",
        ) from error


def _make(url: str, plan: SchemaPlan, *, schema: str, into: str) -> tuple[int, dict[TableName, dict[str, str]]]:
    """Make everything, empty, and rename the schema; the server's major version, and the types of the columns then."""
    with ArrowSession(url) as session:
        version = begin(session)
        for text in (
            *plan.shared,
            *(table.create_sql for table in plan.tables),
            *(table.finish_sql for table in plan.tables if table.finish_sql),
            *plan.final,
            f"ALTER SCHEMA {quote_identifier(schema)} RENAME TO {quote_identifier(into)}",
        ):
            session.script(text)
        tables = [TableName(into, table.table.name) for table in plan.tables]
        types = {
            table: {found.column.name: found.column.pg_type for found in live_columns(session.rows, table)}
            for table in tables
        }
        session.script("COMMIT")
    return version // 10000, types
