"""A damaged repository: what is whole is restored, what is not is named by day, and older days stand in on request."""

from __future__ import annotations

import pytest

from moi_backup.errors import UsageError
from moi_backup.model.table import TableName
from moi_backup.repository.layout import chunk_name
from tests.engine.deployment import Deployment
from tests.engine.oracle import rows_of

PLAIN = TableName("public", "plain")
SCRIPT = """
CREATE TABLE plain (id int PRIMARY KEY, day date, note text);
INSERT INTO plain SELECT i, date '2025-01-25' + i, 'first' FROM generate_series(1, 40) i;
CREATE TABLE other (id int, day date);
INSERT INTO other VALUES (1, '2025-01-01');
"""
FEBRUARY = "day >= '2025-02-01' AND day < '2025-03-01'"


@pytest.fixture
def shop(deployment: Deployment) -> Deployment:
    """Two backups of a table whose February changed in between; February of the second is lost."""
    deployment.sql(SCRIPT)
    deployment.back_up(full=True)
    deployment.sql(f"UPDATE plain SET note = 'second' WHERE {FEBRUARY}")
    deployment.back_up()
    lose(deployment, 1, "2025-02")
    return deployment


def lose(deployment: Deployment, number: int, month: str) -> None:
    """Remove the chunks of a month of a backup, counted from the oldest."""
    entry = next(entry for entry in deployment.backups()[number].tables if entry.table == PLAIN)
    repository = deployment.workspace.open()
    for listed in repository.read_table(entry.manifest).months:
        if listed.month == month:
            for chunk in repository.read_chunk_list(listed.list).chunks:
                deployment.workspace.store().delete(chunk_name(PLAIN, chunk))


def test_without_a_word_the_table_fails_and_its_days_are_named_with_a_backup_that_has_them(shop, empty_database):
    """The other table is restored; the error says which days and where they are whole."""
    target = empty_database()
    result = shop.restore(target)
    failed = next(table for table in result.tables if table.status == "failed")
    assert failed.table == PLAIN
    assert "2025-02-01, 2025-02-02" in failed.error
    assert "2025-01-31" not in failed.error
    assert f"whole in {shop.backups()[0].id}" in failed.error
    assert "--damaged older" in failed.error
    assert result.exit_code == 3


@pytest.mark.parametrize("schema", [None, "scratch"])
def test_older_days_stand_in_and_each_is_told(shop, empty_database, schema):
    """February is that of the first backup, everything else that of the second; the exit code is 3."""
    target = empty_database()
    result = shop.restore(target, damaged="older", schema=schema)
    assert result.exit_code == 3
    plain = next(table for table in result.tables if table.table == PLAIN)
    first = shop.backups()[0]
    assert plain.status == "restored"
    assert [(day.day, day.lost, day.rows, day.backup, day.taken_at) for day in plain.instead] == [
        (f"2025-02-{number:02}", 1, 1, first.id, first.started_at) for number in range(1, 29)
    ]
    assert not any(day.identical for day in plain.instead)
    shop.sql("UPDATE plain SET note = 'first'")
    assert rows_of(target, f"{schema or 'public'}.plain") == rows_of(shop.url, "public.plain")


def test_days_are_left_out_when_asked(shop, empty_database):
    """February is missing, and every day of it is named."""
    target = empty_database()
    result = shop.restore(target, damaged="skip")
    assert result.exit_code == 3
    plain = next(table for table in result.tables if table.table == PLAIN)
    assert plain.rows == 12
    assert {day.backup for day in plain.instead} == {""}
    assert len(plain.instead) == 28
    assert rows_of(target, "public.plain") == rows_of(shop.url, "public.plain", where=f"NOT ({FEBRUARY})")


def test_a_backup_with_exactly_the_same_rows_comes_before_an_older_state(shop, empty_database):
    """A later backup has all of February but one day as it was: that day alone comes from the older one."""
    shop.sql("UPDATE plain SET note = 'third' WHERE day = '2025-02-10'")
    shop.back_up()
    first, chosen, third = (backup.id for backup in shop.backups())
    target = empty_database()
    result = shop.restore(target, backup=chosen, damaged="older")
    plain = next(table for table in result.tables if table.table == PLAIN)
    assert [(day.backup, day.identical) for day in plain.instead] == [
        (first, False) if number == 10 else (third, True) for number in range(1, 29)
    ]
    shop.sql("UPDATE plain SET note = 'first' WHERE day = '2025-02-10'")
    assert rows_of(target, "public.plain") == rows_of(shop.url, "public.plain")


def test_days_that_no_backup_has_whole_fail_the_table(shop, empty_database):
    """Nothing older: the table is not there, and the days are named."""
    lose(shop, 0, "2025-02")
    target = empty_database()
    result = shop.restore(target, damaged="older")
    failed = next(table for table in result.tables if table.status == "failed")
    assert "whole in no other backup" in failed.error
    assert "--damaged skip" in failed.error
    assert shop.sql("SELECT to_regclass('plain') IS NULL", url=target) == [(True,)]


def test_other_days_never_stand_in_for_live_rows(shop):
    """A restore in place knows no damaged days."""
    with pytest.raises(UsageError, match="new tables"):
        shop.restore_in_place(damaged="older")
