"""`blame` and `bisect` on the command line: what people and scripts read, and the exit codes."""

from __future__ import annotations

import pytest

from moi_backup.model.table import TableName
from moi_backup.operations.stored_table import open_table
from moi_backup.repository.layout import chunk_name
from tests.engine.cli.conftest import Command
from tests.engine.deployment import Deployment

TABLE = TableName("public", "meta_import_data")


@pytest.fixture
def changed(copied: Deployment) -> Deployment:
    """The shop with a second backup, in which one row differs; the database is as it was afterwards."""
    copied.sql("UPDATE meta_import_data SET amount_spent = 0.07, cpm = NULL WHERE id = 7")
    copied.back_up(reason="a slip")
    copied.sql("UPDATE meta_import_data SET amount_spent = 0.70 WHERE id = 7")
    return copied


def test_blame_says_what_changed_and_between_which_backups(moi: Command, changed: Deployment):
    """Both backups with their times in the configured zone, and every column before and after."""
    first, second = (manifest.id for manifest in changed.backups())
    answer = moi("blame", "meta_import_data", "--key", "id=7", on=changed)
    assert answer.code == 0
    assert f"{second} (incremental, a slip)" in answer.out
    assert f"({first})" in answer.out
    assert "IST" in answer.out
    assert "amount_spent  0.70 -> 0.07" in answer.out
    assert "there already: " in answer.out
    assert "the newest has 1 row with id=7" in answer.out
    document = moi("blame", "meta_import_data", "--key", "id=7", "--json", on=changed).document
    assert [entry["backup"] for entry in document["changed"]] == [first, second]
    assert document["changed"][1]["changes"][0]["columns"] == [
        {"column": "amount_spent", "before": "0.70", "after": "0.07"}
    ]


def test_bisect_says_where_it_began_with_rows_to_look_at(moi: Command, changed: Deployment):
    """The last backup without and the first with, how many rows each has, and some of them."""
    first, second = (manifest.id for manifest in changed.backups())
    answer = moi("bisect", "meta_import_data", "--where", "amount_spent < 0.1", on=changed)
    assert answer.code == 0
    assert answer.out.startswith(f"First with such a row: {second}\n")
    assert first in answer.out
    assert "id=7" in answer.out
    absent = moi("bisect", "meta_import_data", "--where", "amount_spent = 0.7", "--absent", on=changed)
    assert absent.out.startswith(f"First without such a row: {second}\n")


def test_an_answer_of_nothing_is_an_answer(moi: Command, changed: Deployment):
    """Exit code 0, and said in words: the search was done."""
    nobody = moi("blame", "meta_import_data", "--key", "id=0", on=changed)
    assert (nobody.code, "No row of public.meta_import_data with id=0" in nobody.out) == (0, True)
    still = moi("blame", "meta_import_data", "--key", "id=8", on=changed)
    assert (still.code, "No backup changed that." in still.out) == (0, True)
    never = moi("bisect", "meta_import_data", "--where", "id = 0", on=changed)
    assert (never.code, "In none of them" in never.out) == (0, True)
    always = moi("bisect", "meta_import_data", "--where", "id = 1", "--absent", on=changed)
    assert (always.code, "In all of them" in always.out) == (0, True)
    gone = moi("bisect", "meta_import_data", "--where", "id = 0", "--absent", on=changed)
    assert (gone.code, "In none of them" in gone.out) == (0, True)


def test_a_damaged_backup_is_told_loudly(moi: Command, changed: Deployment):
    """A warning, a line in the answer, and exit code 20: what the others say is still said."""
    newest = changed.backups()[-1]
    stored = open_table(changed.workspace.open(), newest, TABLE)
    old = {chunk.stored for chunk in open_table(changed.workspace.open(), changed.backups()[0], TABLE).chunks()}
    [chunk] = [chunk for chunk in stored.chunks() if chunk.stored not in old]
    (changed.folder / "repository" / chunk_name(TABLE, chunk)).unlink()
    for command in (["blame", TABLE.name, "--key", "id=7"], ["bisect", TABLE.name, "--where", "id = 0"]):
        answer = moi(*command, on=changed)
        assert answer.code == 20
        assert f"Backup {newest.id} is passed over" in answer.err
        assert f"Not looked at (damaged; see moi-backup verify): 1 backup: {newest.id}" in answer.out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["blame", "meta_import_data"], "--key day=VALUE --key campaign_name=VALUE"),
        (["blame", "meta_import_data", "--key", "id=x"], "no value of column id"),
        (["blame", "no_such_table", "--key", "id=1"], "does not hold public.no_such_table"),
        (["blame", "a.b.c", "--key", "id=1"], "not a table name"),
        (["blame", "meta_import_data", "--key", "id=1", "--since", "2025-13-01"], "not a day"),
        (["bisect", "meta_import_data"], "--where"),
        (["bisect", "meta_import_data", "--where", "id IN (SELECT 1)"], "a subquery"),
        (["bisect", "meta_import_data", "--where", "spent > 1"], "no column spent"),
    ],
)
def test_wrong_words_are_refused_by_name(moi: Command, arguments: list[str], named: str):
    """Exit code 2, an empty standard output, and a message that says what would be right."""
    answer = moi(*arguments, "--json")
    assert (answer.code, answer.out) == (2, "")
    assert named in answer.err
