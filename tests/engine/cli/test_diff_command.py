"""`moi-backup diff` as people and programs meet it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.cli.conftest import Command
from tests.engine.deployment import Deployment

EDITS = """
    UPDATE meta_import_data SET amount_spent = amount_spent + 1 WHERE day = '2025-09-01' AND id < 100;
    DELETE FROM meta_import_data WHERE day = '2025-09-02' AND id < 100;
"""


@pytest.fixture
def edited(copied: Deployment) -> Iterator[Deployment]:
    """The shop with six edited rows, which are put back at the end."""
    copied.sql("CREATE TABLE kept AS SELECT * FROM meta_import_data; ALTER TABLE kept SET SCHEMA information_schema")
    copied.sql(EDITS)
    yield copied
    copied.sql("""
        DELETE FROM meta_import_data; INSERT INTO meta_import_data SELECT * FROM information_schema.kept;
        DROP TABLE information_schema.kept;
    """)


def test_no_difference_is_said_in_words(moi: Command, copied: Deployment) -> None:
    """Without a difference the answer says so, with or without --exit-code."""
    answer = moi("diff", "latest", "live", "--exit-code", on=copied)
    assert answer.code == 0
    assert "No difference." in answer.out


def test_people_see_days_columns_and_sums(moi: Command, edited: Deployment) -> None:
    """Counts by day, the changed columns, the money before and after, and the rows when they are asked for."""
    answer = moi("diff", "latest", "live", "--rows", "--limit", "4", on=edited)
    assert answer.code == 0
    assert "0 inserted, 3 updated, 3 deleted, 1,994 unchanged (by " in answer.out
    assert "Changed columns: amount_spent 3" in answer.out
    assert "amount_spent: 0.70 -> 1.70" in answer.out
    assert "... and 2 rows more (--limit)" in answer.out
    [line] = [line.split() for line in answer.out.splitlines() if line.startswith("amount_spent ")]
    assert line[-1].startswith("-")


def test_the_exit_code_tells_on_request(moi: Command, edited: Deployment) -> None:
    """Differences are exit code 1 with --exit-code, and 0 without; a table that cannot be read is 3 with both."""
    assert moi("diff", "latest", "live", "--exit-code", on=edited).code == 1
    assert moi("diff", "latest", "live", on=edited).code == 0
    for chunk in (edited.folder / "repository" / "chunks" / "public.meta_import_data").rglob("*.parquet"):
        chunk.unlink()
    answer = moi("diff", "latest", "live", "--exit-code", on=edited)
    assert answer.code == 3
    assert "public.meta_import_data: not compared: chunks/" in answer.out
    assert "days: 2025-09-01" in answer.out
    assert "1 table could not be compared" in answer.out


def test_the_document_is_bounded(moi: Command, edited: Deployment) -> None:
    """--json lists as many rows as --limit says, and refuses a limit that would not fit into memory."""
    document = moi("diff", "latest", "live", "--rows", "--limit", "2", "--json", on=edited).document
    meta = next(table for table in document["tables"] if table["name"] == "public.meta_import_data")
    assert (len(meta["rows"]), meta["updated"], document["differs"]) == (2, 3, True)
    assert meta["rows"][0]["before"].keys() == {"amount_spent"}
    plain = moi("diff", "latest", "live", "--json", on=edited).document
    assert all(table["rows"] is None for table in plain["tables"])
    assert moi("diff", "latest", "live", "--rows", "--limit", "10001", "--json", on=edited).code == 2


def test_wrong_words_are_usage_errors(moi: Command, copied: Deployment) -> None:
    """Two live sides, an unknown backup and an unknown table are exit code 2."""
    assert moi("diff", "live", "live", on=copied).code == 2
    assert moi("diff", "nothing", "live", on=copied).code == 2
    assert moi("diff", "latest", "live", "--table", "nowhere", on=copied).code == 2
