"""docs/recovery.md: its commands are typed in its order, and everything lost is there again."""

from __future__ import annotations

import psycopg

from tests.end_to_end.reader import Page, Reader

PAGE = Page("docs/recovery.md")
LIVE = "postgresql://backup@db.example.com:5432/postgres"
EMPTY = "postgresql://postgres@new-server:5432/postgres"
TABLES = ("meta_import_data", "google_import_data", "shopify_import_data")


def rows(reader: Reader, database: str) -> list[tuple[object, ...]]:
    """Count and hash of every table."""
    with psycopg.connect(reader.own[database], autocommit=True) as connection:
        query = "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY id)) FROM {} t"
        return [row for table in TABLES for row in connection.execute(query.format(table).encode()).fetchall()]


def test_every_command_of_the_page_works_as_written(reader: Reader) -> None:
    """A machine that knows nothing restores everything, and goes on where a table is missing."""
    for command in PAGE.section("Before that day"):
        reader.types(command)
    new = reader.moved()
    restoring = PAGE.section("Restore into an empty server")
    assert len(restoring) == 5
    for command in restoring:
        new.types(command)
    assert rows(reader, EMPTY) == rows(reader, LIVE)
    with psycopg.connect(reader.own[EMPTY], autocommit=True) as connection:
        connection.execute("DROP TABLE meta_import_data CASCADE")
    (resume,) = PAGE.section("The restore was interrupted")
    assert "present" in new.types(resume)
    assert rows(reader, EMPTY) == rows(reader, LIVE)
    assert {heading for heading, _ in PAGE.commands} == {
        "Before that day",
        "Restore into an empty server",
        "The restore was interrupted",
    }
