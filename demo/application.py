"""The application whose data is protected: it makes its tables and loads uploaded exports into them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from demo.uploads import Platform, platform_of, read_rows

SCHEMA = Path(__file__).with_name("schema.sql")
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one upload did: data rows in the file, and how many the table gained, changed, or had already."""

    table: str
    rows: int
    inserted: int
    updated: int

    @property
    def unchanged(self) -> int:
        """Rows of the file that the table already had, or that a later line of the same file replaced."""
        return self.rows - self.inserted - self.updated


def create_tables(connection: Connection) -> None:
    """Make the three tables where they are missing."""
    with connection.transaction():
        connection.execute(SCHEMA.read_bytes())


def load_export(connection: Connection, path: Path) -> Loaded:
    """Load one export in one transaction: new rows are inserted, rows with a known key updated where they differ.

    Raises UsageError for a file of no known platform, psycopg.Error for a refused value; nothing changes then.
    """
    platform = platform_of(path)
    with connection.transaction(), connection.cursor() as cursor:
        rows = _copy_to_staging(cursor, platform, path)
        inserted, updated = _upsert(cursor, platform)
    return Loaded(table=platform.table, rows=rows, inserted=inserted, updated=updated)


def _copy_to_staging(cursor: psycopg.Cursor[Any], platform: Platform, path: Path) -> int:
    names = sql.SQL(", ").join(map(sql.Identifier, platform.columns))
    table = sql.Identifier(platform.table)
    cursor.execute(
        sql.SQL("CREATE TEMP TABLE staging ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0").format(names, table)
    )
    cursor.execute("ALTER TABLE staging ADD COLUMN line serial")
    rows = 0
    with cursor.copy(sql.SQL("COPY staging ({}) FROM STDIN").format(names)) as copy:
        for row in read_rows(path):
            copy.write_row(row)
            rows += 1
    return rows


def _upsert(cursor: psycopg.Cursor[Any], platform: Platform) -> tuple[int, int]:
    """Rows inserted and updated. A key that occurs twice in the file counts by its last line."""
    statement = sql.SQL(
        """
        WITH changed AS (
            INSERT INTO {table} AS live ({columns})
            SELECT DISTINCT ON ({key}) {columns} FROM staging ORDER BY {key}, line DESC
            ON CONFLICT ({key}) DO UPDATE SET ({measures}) = ROW ({new})
            WHERE ({old}) IS DISTINCT FROM ({new})
            RETURNING xmax = 0 AS inserted
        )
        SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM changed
        """
    )
    measures = [column for column in platform.columns if column not in platform.key]
    comma = sql.SQL(", ")
    cursor.execute(
        statement.format(
            table=sql.Identifier(platform.table),
            columns=comma.join(map(sql.Identifier, platform.columns)),
            key=comma.join(map(sql.Identifier, platform.key)),
            measures=comma.join(map(sql.Identifier, measures)),
            old=comma.join(sql.Identifier("live", column) for column in measures),
            new=comma.join(sql.Identifier("excluded", column) for column in measures),
        )
    )
    inserted, updated = cursor.fetchone() or (0, 0)
    return inserted, updated
